#include "../unit/unit.h"
#include "../unit/notes.h"
#include "core/batch.h"
#include "core/node_state.h"
#include "invariant.h"
#include "liar.h"
#include "network_state.h"
#include "operate.h"
#include "proof.h"
#include "thief.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Publishes `n` events from random members, to everybody, to one or to two others; now and then a new revision of an old course. */
static void publish_some(struct network *w, unsigned n)
{
	size_t size = network_size(w);

	for (unsigned i = 0; i < n; i++) {
		size_t from = network_random(w, (uint32_t)size), one = network_random(w, (uint32_t)size),
		       two = network_random(w, (uint32_t)size);
		char audience[160], course[32];

		snprintf(course, sizeof course, "CR/%u", network_random(w, 1000000));
		switch (network_random(w, 3)) {
		case 0:
			snprintf(audience, sizeof audience, "network");
			break;
		case 1:
			snprintf(audience, sizeof audience, "%s",
				network_handle(w, one == from ? (one + 1) % size : one));
			break;
		default:
			if (one == from)
				one = (one + 1) % size;
			if (two == from || two == one)
				snprintf(audience, sizeof audience, "%s", network_handle(w, one));
			else
				snprintf(audience, sizeof audience, "%s,%s", network_handle(w, one < two ? one : two),
					network_handle(w, one < two ? two : one));
		}
		network_publish(w, from, audience, course);
	}
}

#define ck_network(expression)                                                                                         \
	do {                                                                                                           \
		const char *bad_ = (expression);                                                                       \
		ck_assert_msg(bad_ == NULL, "seed %d: %s", _i, bad_ == NULL ? "" : bad_);                              \
	} while (0)

/* Everything has arrived within this time, once and in order; the network ends. */
static void arrives(struct network *w, uint64_t within_ms, int _i)
{
	ck_assert_msg(network_settle(w, within_ms), "seed %d", _i);
	ck_network(network_check_complete(w));
	network_free(w);
}

static void heal_all(struct network *w, size_t n_members)
{
	for (size_t i = 0; i < n_members; i++)
		for (size_t k = 0; k < i; k++)
			network_heal(w, i, k);
}

/* In a quiet network every event reaches its audience, once and in order, and nobody else. */
START_TEST(test_quiet_network)
{
	struct network *w = network_new((uint64_t)_i + 1, 5);

	publish_some(w, 60);
	arrives(w, 60000, _i);
}
END_TEST

/* Connections break and members are cut off from each other: once that stops, everything arrives. */
START_TEST(test_broken_connections)
{
	struct network *w = network_new((uint64_t)_i + 100, 5);

	for (int round = 0; round < 30; round++) {
		size_t a = network_random(w, 5), b = network_random(w, 5);

		publish_some(w, 3);
		if (a != b && network_random(w, 3) == 0)
			network_cut(w, a, b);
		else if (a != b)
			network_drop(w, a, b);
		network_run(w, network_random(w, 3000));
		if (round % 5 == 4)
			heal_all(w, 5);
		if (round % 10 == 9)
			ck_network(network_check(w));
	}
	heal_all(w, 5);
	arrives(w, 180000, _i);
}
END_TEST

/* Members crash at any moment and start again, with what was durable: nothing that was answered with success is lost, nothing
 * arrives twice. */
START_TEST(test_crashes)
{
	struct network *w = network_new((uint64_t)_i + 200, 5);

	for (int round = 0; round < 40; round++) {
		size_t a = network_random(w, 5);

		publish_some(w, 3);
		network_run(w, network_random(w, 400));
		if (network_is_up(w, a))
			network_crash(w, a);
		network_run(w, network_random(w, 2000));
		network_start(w, a);
		if (round % 10 == 9)
			ck_network(network_check(w));
	}
	arrives(w, 180000, _i);
}
END_TEST

/* A member that was away while much was published catches up, page by page, within its credit. */
START_TEST(test_catching_up)
{
	struct network *w = network_new((uint64_t)_i + 300, 3);

	ck_assert(network_settle(w, 10000));
	network_crash(w, 2);
	for (int i = 0; i < 40; i++) {
		publish_some(w, 20);
		network_run(w, 1000);
	}
	network_start(w, 2);
	arrives(w, 120000, _i);
}
END_TEST

/* Single frames are lost while the connections stay: what was in them arrives all the same, soon after, and no connection has to break
 * for it. */
START_TEST(test_lost_frames)
{
	struct network *w = network_new((uint64_t)_i + 500, 4);

	for (int round = 0; round < 40; round++) {
		network_lose(w, 10 + 10 * (unsigned)_i);
		publish_some(w, 3);
		network_run(w, network_random(w, 4000));
		if (round % 10 == 9) {
			network_lose(w, 0);
			ck_assert_msg(network_settle(w, 20000), "seed %d round %d", _i, round);
			ck_network(network_check_complete(w));
		}
	}
	network_free(w);
}
END_TEST

/* A reader that takes nothing costs its publisher a page of memory, however much credit it gave, and no other reader anything. It gets the rest
 * when it goes on. */
START_TEST(test_silent_reader)
{
	struct network *w = network_new(3, 3);
	struct node_counters c;

	ck_assert(network_settle(w, 10000));
	network_stall(w, 0, 2, true);
	for (int i = 0; i < 300; i++) {
		char course[32];

		snprintf(course, sizeof course, "CR/%d", i);
		network_publish(w, 0, "network", course);
		if (i % 10 == 0)
			network_run(w, 100);
	}
	network_run(w, 5000);
	node_counters(network_node(w, 1), &c);
	ck_assert_uint_eq(c.received, 300);
	ck_assert_uint_gt(network_stalled_bytes(w, 0, 2), 0);
	ck_assert_uint_lt(network_stalled_bytes(w, 0, 2), 64 << 10);
	network_stall(w, 0, 2, false);
	ck_assert(network_settle(w, 60000));
	ck_assert_ptr_null(network_check_complete(w));
	network_free(w);
}
END_TEST

/* A publisher that shows two readers different histories is found by both when they meet, though it shows each of them one only. It learns of it by
 * the headers alone, from the one that it has a link with, though that one follows its present history: it goes back, and the reader goes on;
 * the other, which holds the other history, waits for it; so does a third one, which nobody has shown anything. */
START_TEST(test_two_histories)
{
	struct network *w = network_new((uint64_t)_i + 600, 4);
	struct memory_ledger *copy;
	struct node_counters c[4];

	network_cut(w, 0, 3);
	network_run(w, 10000);
	copy = memory_ledger_copy(network_ledger(w, 0));
	network_cut(w, 0, 2);
	network_publish(w, 0, "network", "CR/1");
	network_run(w, 5000);
	network_cut(w, 0, 1);
	network_go_back(w, 0, copy);
	network_heal(w, 0, 2);
	for (int i = 0; i <= _i; i++) {
		network_publish(w, 0, "network", "CR/2");
		network_run(w, 500);
	}
	network_run(w, 120000);
	for (size_t i = 0; i < 4; i++)
		node_counters(network_node(w, i), &c[i]);
	ck_assert_uint_ge(c[0].forks, 1);
	ck_assert_uint_ge(c[0].republished, 1);
	ck_assert_uint_ge(c[1].forks, 1);
	ck_assert_uint_eq(c[1].stopped, 1);
	ck_assert_uint_ge(c[2].forks, 1);
	ck_assert_uint_eq(c[2].stopped, 0);
	network_heal(w, 0, 3);
	network_heal(w, 0, 1);
	network_run(w, 120000);
	ck_assert(network_settle(w, 60000));
	for (size_t i = 0; i < 4; i++) {
		node_counters(network_node(w, i), &c[i]);
		ck_assert_uint_eq(c[i].stopped, 0);
	}
	ck_network(network_check_complete(w));
	network_free(w);
}
END_TEST

/* A member whose disk went back, or is empty, gets what it published from its readers; the one that holds most may come late. Nothing acknowledged
 * is lost, no place is used twice, and what it publishes then goes on behind it. */
START_TEST(test_gone_back)
{
	struct network *w = network_new((uint64_t)_i + 700, 4);
	struct memory_ledger *copy;
	struct node_counters c;

	ck_assert(network_settle(w, 10000));
	publish_some(w, _i % 2 == 0 ? 0 : 20);
	ck_assert(network_settle(w, 60000));
	copy = memory_ledger_copy(network_ledger(w, 0));
	publish_some(w, 20);
	ck_assert(network_settle(w, 60000));
	network_cut(w, 0, 1);
	for (int i = 0; i < 5; i++) { /* reader 1 has less of it */
		network_publish(w, 0, "network", "CR/1");
		network_run(w, 1000);
	}
	network_heal(w, 0, 1);
	network_go_back(w, 0, copy);
	network_run(w, 120000); /* receipts from before say nothing of what it holds now */
	publish_some(w, 20);
	ck_assert_msg(network_settle(w, 120000), "seed %d", _i);
	ck_network(network_check_complete(w));
	for (size_t i = 0; i < network_size(w); i++) {
		node_counters(network_node(w, i), &c);
		ck_assert_uint_eq(c.forks, 0);
	}
	network_free(w);
}
END_TEST

/* A member whose disk went back publishes before its readers can tell it, which hold different parts of what was lost; or its operator restored the
 * disk, and it knows. Nothing that anybody holds is lost, all end with one history, and none stays stopped; readers of a restored node see no fork. */
START_TEST(test_published_anew)
{
	bool known = _i % 2 == 0;
	struct network *w = network_new((uint64_t)_i + 800, 4);
	struct memory_ledger *copy;
	struct node_counters c;

	ck_assert(network_settle(w, 10000));
	publish_some(w, 10);
	ck_assert(network_settle(w, 60000));
	copy = memory_ledger_copy(network_ledger(w, 0));
	publish_some(w, 10);
	ck_assert(network_settle(w, 60000));
	for (size_t reader = 1; reader < 4; reader++) {
		network_publish(w, 0, "network", "CR/1"); /* each reader has one more of it than the next */
		network_run(w, 1000);
		network_cut(w, 0, reader);
	}
	if (known)
		network_restore(w, 0, copy);
	else
		network_go_back(w, 0, copy);
	for (size_t i = 0; i < 3; i++)
		network_publish(w, 0, "network", "CR/1");
	network_run(w, 10000);
	for (size_t reader = 1; reader < 4; reader++) {
		network_heal(w, 0, reader);
		network_run(w, _i < 4 ? 0 : 200000);
	}
	network_run(w, 10000);
	publish_some(w, 10);
	ck_assert_msg(network_settle(w, 120000), "seed %d", _i);
	network_run(w, 10000);
	ck_network(network_check_complete(w));
	for (size_t i = 0; i < network_size(w); i++) {
		node_counters(network_node(w, i), &c);
		ck_assert_uint_eq(c.stopped, 0);
		ck_assert(!known || c.forks == 0);
	}
	network_free(w);
}
END_TEST

/* A publisher that is never idle finds time to look at what a reader shows it. */
START_TEST(test_published_anew_and_busy)
{
	struct network *w = network_new((uint64_t)_i + 900, 4);
	struct memory_ledger *copy;
	struct node_counters c;
	char course[32];

	ck_assert(network_settle(w, 10000));
	copy = memory_ledger_copy(network_ledger(w, 0));
	for (size_t reader = 2; reader < 4; reader++)
		for (size_t i = 0; i < 2; i++)
			network_cut(w, i, reader);
	for (int i = 0; i < 5; i++)
		network_publish(w, 0, "network", "CR/1");
	network_run(w, 2000);
	network_cut(w, 0, 1);
	network_go_back(w, 0, copy);
	network_heal(w, 0, 2);
	network_heal(w, 0, 3);
	for (int i = 0; i < 10; i++)
		network_publish(w, 0, "network", "CR/7");
	network_run(w, 3000);
	network_heal(w, 0, 1);
	c.republished = 0;
	for (int i = 0; i < 4000 && c.republished == 0; i++) {
		snprintf(course, sizeof course, "CR/%d", 100 + i);
		for (int k = 0; k < 8; k++)
			network_publish(w, 0, "network", course);
		network_run(w, 5);
		node_counters(network_node(w, 0), &c);
	}
	ck_assert_uint_gt(c.republished, 0);
	network_free(w);
}
END_TEST

static void say_all(struct network *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		network_publish(w, 0, "network", "CR/1");
		network_run(w, 300); /* a batch for each */
	}
}

/* The first member's key is stolen, and used at a reader that is down from then on; false: that one did not believe it. */
static bool rob(struct network *w, size_t reader, unsigned n_before)
{
	bool met;

	ck_assert(thief_steals(w, 0));
	say_all(w, n_before);
	met = thief_strikes(w, 0, reader);
	if (met)
		operate_revoke(w, 0);
	return met;
}

/* All have what the first member published, and nobody has what a thief did. */
static void heals(struct network *w, int _i)
{
	struct node_counters c;

	say_all(w, 2);
	ck_assert_msg(network_settle(w, 120000), "seed %d", _i);
	ck_network(network_check_complete(w));
	check_end(w);
	ck_network(network_check(w));
	for (size_t i = 0; i < network_size(w); i++) {
		node_counters(network_node(w, i), &c);
		ck_assert_uint_eq(c.stopped, 0);
	}
	network_free(w);
}

/* A reader that met who stole its publisher's key, before it knew that the key was revoked, follows the publisher's history with all others; whether the
 * thief went on where its copy ended, contradicted it, or began another incarnation in it. */
START_TEST(test_thief)
{
	struct network *w = network_new((uint64_t)_i + 1000, 4);

	ck_assert(network_settle(w, 10000));
	say_all(w, (unsigned)_i % 3);
	ck_assert(rob(w, 1, (unsigned)_i % 4));
	say_all(w, 3);
	network_start(w, 1);
	network_run(w, 5000);
	heals(w, _i);
}
END_TEST

/* A reader that stopped where a thief contradicted its publisher is away while another one meets a second thief, further on: the publisher
 * begins its next incarnation behind the place of the first, which it learns of afterwards. */
START_TEST(test_two_thieves)
{
	struct network *w = network_new((uint64_t)_i + 1100, 4);

	ck_assert(network_settle(w, 10000));
	say_all(w, 2);
	ck_assert(rob(w, 1, 1));
	say_all(w, 4);
	ck_assert(rob(w, 2, 1));
	say_all(w, 2);
	network_start(w, 2);
	say_all(w, 2);
	network_run(w, 20000);
	network_start(w, 1);
	network_run(w, 20000);
	heals(w, _i);
}
END_TEST

/* A reader that holds a stolen key of its publisher shows it head after head under it, though the key is revoked. The publisher goes back behind
 * none, waits for none, and all it publishes arrives. */
START_TEST(test_heads_under_a_stolen_key)
{
	struct network *w = network_new(9, 3);
	struct node_counters c;

	ck_assert(network_settle(w, 10000));
	say_all(w, 3);
	operate_revoke(w, 0);
	say_all(w, 3);
	ck_assert(network_settle(w, 20000));
	ck_assert(liar_begin(w, 1, LIE_STOLEN));
	for (int i = 0; i < 100; i++) {
		say_all(w, 1);
		ck_assert(!node_recovers(network_node(w, 0)));
	}
	node_counters(network_node(w, 0), &c);
	ck_assert_uint_eq(c.same_keys + c.republished + c.forks, 0);
	ck_assert(network_settle(w, 20000));
	ck_network(network_check_complete(w));
	network_free(w);
}
END_TEST

/* A reader that cannot keep up and says Hello again and again gets no more credit by that: what is under way from one publisher stays below the
 * window (an invariant of every step), and all arrives. */
START_TEST(test_reconnecting_reader)
{
	struct network *w = network_new(4, 2);

	ck_assert(network_settle(w, 10000));
	network_cut(w, 0, 1);
	for (int i = 0; i < 6000; i++) {
		char course[32];

		snprintf(course, sizeof course, "CR/%d", i);
		network_publish(w, 0, "network", course);
		if (i % 20 == 0)
			network_run(w, 10);
	}
	network_run(w, 5000);
	ck_assert_uint_gt(memory_ledger_bytes(network_ledger(w, 0)), 2 * CREDIT_WINDOW);
	network_heal(w, 0, 1);
	network_slow(w, 1, 20000);
	for (int i = 0; i < 40; i++) {
		network_run(w, 500);
		network_drop(w, 0, 1);
	}
	ck_network(network_check(w));
	network_slow(w, 1, 0);
	ck_assert(network_settle(w, 120000));
	ck_network(network_check_complete(w));
	network_free(w);
}
END_TEST

/* Two batches of ut.ee, or of who says to be it, and its card. */
struct accusing {
	struct buffer card;
	struct actor actor;
	struct digest network;
	struct sealed_batch a, b;
};

struct accusation {
	const char *name, *lacks; /* NULL: nothing */
	uint64_t first, other_first;
	uint32_t incarnation, key;
	bool begins, same, network, audience, forged, card;
};

static void make_header(struct sealed_batch *out, const struct header *h, const struct node_keys *keys)
{
	int r = header_encode(&out->header, h);

	ck_assert_int_eq(r, 0);
	domain_sign(out->signature, "enlight header 1", out->header, keys->sign_secret);
}

static void accuse(struct accusing *x, const struct accusation *c)
{
	char audience[] = "network", another[] = "rug.nl";
	struct header h = {.network = x->network,
		.audience = audience,
		.incarnation = 2,
		.first = c->first,
		.count = 2,
		.previous = {{1}},
		.key = 1};
	struct node_keys keys = node_keys_of("ut.ee", 1);

	strcpy(h.publisher, "ut.ee");
	if (c->begins) {
		h.has_after = true;
		h.after_sequence = h.first - 1;
		h.after_digest = h.previous;
	}
	make_header(&x->a, &h, &keys);
	if (!c->same)
		h.time_ms = 1;
	h.has_after = false;
	h.after_sequence = 0;
	h.after_digest = digest_zero;
	h.first = c->other_first;
	h.incarnation = c->incarnation;
	h.key = c->key;
	if (c->network)
		h.network.bytes[0] ^= 1;
	if (c->audience)
		h.audience = another;
	keys = node_keys_of(c->forged ? "rug.nl" : "ut.ee", c->key);
	make_header(&x->b, &h, &keys);
}

static const struct accusation accusations[] = {
	{"two of one place", NULL, 5, 5, 2, 1},
	{"they overlap", NULL, 5, 6, 2, 1},
	{"under another key", NULL, 5, 5, 2, 2},
	{"below where the incarnation begins", NULL, 5, 2, 2, 1, .begins = true},
	{"one behind the other", "both can be true", 5, 7, 2, 1},
	{"one twice", "one header twice", 5, 5, 2, 1, .same = true},
	{"another incarnation", "not of one channel and incarnation of the publisher", 5, 5, 3, 1},
	{"another channel", "not of one channel and incarnation of the publisher", 5, 5, 2, 1, .audience = true},
	{"another network", "a header of another network", 5, 5, 2, 1, .network = true},
	{"signed by another", "a header that the publisher did not sign", 5, 5, 2, 1, .forged = true},
	{"a key that no card has", "a header that the publisher did not sign", 5, 5, 2, 3},
	{"the card of another", "the card is not the publisher's", 5, 5, 2, 1, .card = true},
};

/* The checker of proofs accepts what the contract calls a fork, and nothing else. */
START_TEST(test_proofs)
{
	const struct accusation *c = &accusations[_i];
	struct accusing x = {.actor = actor_of("ut.ee", 0), .network = {{9}}};
	struct actor signer = actor_of(c->card ? "rug.nl" : "ut.ee", 0);
	const char *lacks;

	x.card = card_text(&x.network, &signer, 1, 2);
	accuse(&x, c);
	lacks = proof_lacks(&(struct proof){.publisher = "ut.ee",
		.network = x.network.bytes,
		.identity = x.actor.public,
		.card = (const char *)x.card.data,
		.card_len = x.card.len,
		.a = {x.a.header.data, x.a.header.len, x.a.signature},
		.b = {x.b.header.data, x.b.header.len, x.b.signature}});
	if (c->lacks == NULL)
		ck_assert_msg(lacks == NULL, "%s: %s", c->name, lacks);
	else
		ck_assert_msg(lacks != NULL && strcmp(lacks, c->lacks) == 0, "%s: %s", c->name, lacks);
	buffer_deinit(&x.card);
	sealed_batch_deinit(&x.a);
	sealed_batch_deinit(&x.b);
}
END_TEST

struct flip {
	uint32_t at;
	unsigned left;
};

static void flip_a_bit(void *context, struct bytes frame)
{
	struct flip *f = context;

	if (f->left == 0 || frame.len < 600) /* Hellos, Beats and receipts are smaller than any batch */
		return;
	f->left--;
	((uint8_t *)frame.data)[f->at % frame.len] ^= (uint8_t)(1u << (f->at % 8));
}

/* One bit changed anywhere in a frame is never taken for the publisher's word. What was sent arrives all the same: at once when the change
 * shows, with what comes next when it made the frame say nothing. */
START_TEST(test_flipped_bits)
{
	struct network *w = network_new((uint64_t)_i + 400, 2);
	struct flip flip = {.at = (uint32_t)_i * 37, .left = 1};

	ck_assert(network_settle(w, 10000));
	network_tamper_with(w, 0, 1, flip_a_bit, &flip);
	publish_some(w, 10);
	network_run(w, 20000);
	ck_network(network_check(w));
	network_tamper_with(w, 0, 1, NULL, NULL);
	publish_some(w, 10);
	ck_assert_msg(network_settle(w, 60000), "bit %d", _i);
	ck_network(network_check_complete(w));
	network_free(w);
}
END_TEST

/* A publisher that cannot write for a while has its readers' receipts soon after, though nothing more is published. */
START_TEST(test_receipts_that_could_not_be_stored)
{
	struct network *w = network_new(8, 3);
	const struct acknowledged *all;

	ck_assert(network_settle(w, 10000));
	network_publish(w, 0, "network", "CR/1");
	while (network_acknowledged(w, &all) == 0)
		network_run(w, 1);
	for (int i = 0; i < 500; i++) {
		memory_ledger_fail(network_ledger(w, 0), 0, -ENOMEM);
		network_run(w, 10);
	}
	memory_ledger_fail(network_ledger(w, 0), 0, 0);
	ck_assert(network_settle(w, 20000));
	ck_assert_ptr_null(network_check_complete(w));
	network_free(w);
}
END_TEST

/* The same seed gives the same run. */
START_TEST(test_repeatable)
{
	uint64_t end[2];
	size_t n[2];

	for (int i = 0; i < 2; i++) {
		struct network *w = network_new(7, 4);
		const struct acknowledged *all;

		publish_some(w, 30);
		network_run(w, 100);
		network_crash(w, 1);
		network_run(w, 700);
		network_start(w, 1);
		ck_assert(network_settle(w, 60000));
		end[i] = network_now_ms(w);
		n[i] = network_acknowledged(w, &all);
		network_free(w);
	}
	ck_assert_uint_eq(end[0], end[1]);
	ck_assert_uint_eq(n[0], n[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("network");
	TCase *tc = tcase_create("network");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, test_quiet_network, 0, 3);
	tcase_add_loop_test(tc, test_broken_connections, 0, 4);
	tcase_add_loop_test(tc, test_crashes, 0, 4);
	tcase_add_loop_test(tc, test_catching_up, 0, 1);
	tcase_add_loop_test(tc, test_lost_frames, 0, 5);
	tcase_add_test(tc, test_silent_reader);
	tcase_add_loop_test(tc, test_two_histories, 0, 5);
	tcase_add_loop_test(tc, test_gone_back, 0, 6);
	tcase_add_loop_test(tc, test_published_anew, 0, 8);
	tcase_add_loop_test(tc, test_published_anew_and_busy, 0, 12);
	tcase_add_loop_test(tc, test_thief, 0, 12);
	tcase_add_loop_test(tc, test_two_thieves, 0, 12);
	tcase_add_test(tc, test_heads_under_a_stolen_key);
	tcase_add_test(tc, test_reconnecting_reader);
	tcase_add_loop_test(tc, test_proofs, 0, sizeof accusations / sizeof *accusations);
	tcase_add_loop_test(tc, test_flipped_bits, 0, 24);
	tcase_add_test(tc, test_receipts_that_could_not_be_stored);
	tcase_add_test(tc, test_repeatable);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
