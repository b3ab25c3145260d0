#include "core/trust.h"
#include "notes.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const handles[] = {"rug.nl", "ugent.be", "ut.ee"};
enum { N = 3, RUG = 0, UGENT = 1, UT = 2 };

/* Three members and the trust that begins with their first roster. `t` moves on with accept(). */
struct network {
	struct actor members[N];
	struct buffer first;
	struct digest digest;
	struct trust *t;
};

static void network_init(struct network *n)
{
	struct problems problems = {0};

	for (size_t i = 0; i < N; i++)
		n->members[i] = actor_of(handles[i], 0);
	n->first = roster_text(NULL, 1, 2, n->members, N);
	sign_by(&n->first, &n->members[RUG]);
	sign_by(&n->first, &n->members[UT]);
	digest_plain(&n->digest, signed_part(&n->first));
	ck_assert_int_eq(trust_new(&n->t, &n->digest, "x", view(&n->first), &problems), 0);
}

static void network_deinit(struct network *n)
{
	buffer_deinit(&n->first);
	trust_unref(n->t);
}

/* Gives a text, which is released, and says what came of it; on 0 the network goes on with the new trust. `rule` is the first
 * problem or "". */
static int give(struct network *n, struct buffer text, char rule[static 256])
{
	struct problems problems = {0};
	struct trust *next;
	int r = trust_with(&next, n->t, "x", view(&text), &problems);

	ck_assert_int_eq(r == TRUST_REFUSED, problems.n != 0);
	ck_assert(r == TRUST_FORK || (r == 0) == (next != NULL));
	snprintf(rule, 256, "%s", problems.n == 0 ? "" : problems.items[0].rule);
	if (next != NULL) {
		trust_unref(n->t);
		n->t = next;
	}
	problems_deinit(&problems);
	buffer_deinit(&text);
	return r;
}

static void accept(struct network *n, struct buffer text)
{
	char rule[256];
	int r = give(n, text, rule);

	ck_assert_msg(r == 0, "%d %s", r, rule);
}

static void expect(struct network *n, int outcome, const char *wanted, struct buffer text)
{
	char rule[256];
	int r = give(n, text, rule);

	ck_assert_msg(r == outcome && strncmp(rule, wanted, strlen(wanted)) == 0, "%d %s", r, rule);
}

/* A card of a member with the given keys, signed by its identity key and by all that are in use. */
static struct buffer card_with(
	const struct network *n, const struct actor *a, uint32_t number, const struct card_key *keys, size_t n_keys)
{
	struct buffer b = {0};

	card_write(&b, &n->digest, a->handle, number, NULL, keys, n_keys, NULL, 0);
	sign_by(&b, a);
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].state == CARD_KEY_CURRENT)
			sign_by_node(&b, a->handle, keys[i].number);
	return b;
}

static struct buffer card_of(const struct network *n, size_t member, uint32_t number, uint32_t key)
{
	return card_text(&n->digest, &n->members[member], number, key);
}

/* A roster after `before`, signed by the old and new members given. */
static struct buffer roster_after(const struct buffer *before, unsigned number, const struct actor *members, size_t n,
	const struct actor *signers, size_t n_signers)
{
	struct buffer b = roster_text(before, number, (unsigned)n / 2 + 1, members, n);

	for (size_t i = 0; i < n_signers; i++)
		sign_by(&b, &signers[i]);
	return b;
}

static struct buffer again(const struct buffer *text)
{
	struct buffer b = {0};

	buffer_add(&b, text->data, text->len);
	return b;
}

/* The chain begins with the pinned roster; a first one needs its quorum too. */
START_TEST(test_anchor)
{
	struct network n;
	struct problems problems = {0};
	struct buffer text;
	struct digest d;
	struct trust *t;

	network_init(&n);
	ck_assert(digest_equal(trust_network(n.t), &n.digest));
	ck_assert_uint_eq(trust_oldest_roster(n.t), 1);
	d = n.digest;
	d.bytes[31] ^= 1;
	ck_assert_int_eq(trust_new(&t, &d, "x", view(&n.first), &problems), TRUST_REFUSED);
	ck_assert_ptr_null(t);
	problems_deinit(&problems);

	text = roster_text(NULL, 1, 2, n.members, N);
	sign_by(&text, &n.members[RUG]);
	ck_assert_int_eq(trust_new(&t, &n.digest, "x", view(&text), &problems), TRUST_REFUSED);
	ck_assert_str_eq(problems.items[0].rule, "signed by 1 of the 2 members of roster 1 that it takes");
	problems_deinit(&problems);
	buffer_deinit(&text);

	text = card_of(&n, RUG, 1, 1);
	ck_assert_int_eq(trust_new(&t, &n.digest, "x", view(&text), &problems), TRUST_REFUSED);
	problems_deinit(&problems);
	buffer_deinit(&text);
	network_deinit(&n);
}
END_TEST

/* A node pinned to a later roster believes it by its digest, knows the network's, and goes on from there. */
START_TEST(test_later_anchor)
{
	struct network n;
	struct problems problems = {0};
	struct buffer second, third;
	struct digest d;

	network_init(&n);
	second = roster_after(&n.first, 2, n.members, N, n.members, 0);
	third = roster_after(&second, 3, n.members, N, n.members, 2);
	digest_plain(&d, signed_part(&second));
	trust_unref(n.t);
	ck_assert_int_eq(trust_new(&n.t, &n.digest, "x", view(&second), &problems), TRUST_REFUSED);
	problems_deinit(&problems);
	ck_assert_int_eq(trust_new(&n.t, &d, "x", view(&second), &problems), 0);
	ck_assert(digest_equal(trust_network(n.t), &n.digest));
	ck_assert_uint_eq(trust_oldest_roster(n.t), 2);
	ck_assert_ptr_null(trust_roster_number(n.t, 1));
	expect(&n, TRUST_KNOWN, "", again(&second));
	expect(&n, TRUST_REFUSED, "not the roster 2 that is pinned",
		roster_after(&n.first, 2, n.members, 2, n.members, 3));
	accept(&n, third);
	accept(&n, card_of(&n, UT, 1, 1));
	ck_assert_uint_eq(trust_roster(n.t)->number, 3);
	ck_assert_uint_eq(trust_roster_number(n.t, 2)->number, 2);
	buffer_deinit(&second);
	network_deinit(&n);
}
END_TEST

/* A roster is taken when it follows the newest; a second one with the same number is a fork only when it is signed as well. */
START_TEST(test_rosters)
{
	struct network n;
	struct buffer second, third;

	network_init(&n);
	second = roster_after(&n.first, 2, n.members, 2, n.members, 2);
	third = roster_after(&second, 3, n.members, 2, n.members, 2);
	expect(&n, TRUST_KNOWN, "", again(&n.first));
	expect(&n, TRUST_REFUSED, "number 3 does not follow number 1", third);
	expect(&n, TRUST_REFUSED, "signed by 1 of the 2", roster_after(&n.first, 2, n.members, 2, n.members, 1));
	accept(&n, again(&second));
	expect(&n, TRUST_KNOWN, "", again(&second));
	expect(&n, TRUST_KNOWN, "", again(&n.first));
	expect(&n, TRUST_FORK, "", roster_after(&n.first, 2, n.members, 3, n.members, 3));
	expect(&n, TRUST_REFUSED, "signed by 1 of the 2", roster_after(&n.first, 2, n.members + 1, 2, n.members, 1));
	ck_assert(!trust_is_member(n.t, "ut.ee"));
	ck_assert(trust_was_member(n.t, "ut.ee"));
	ck_assert(trust_is_member(n.t, "rug.nl"));
	ck_assert(!trust_was_member(n.t, "stranger.be"));
	buffer_deinit(&second);
	network_deinit(&n);
}
END_TEST

/* What was in force before the pinned roster is taken by its digest, one before the other, and by it the cards of those who were
 * members then are good again. */
START_TEST(test_before_the_anchor)
{
	struct network n;
	struct problems problems = {0};
	struct buffer second, third, other, card;
	struct digest d;
	enum card_key_state state;
	struct trust *next;

	network_init(&n);
	second = roster_after(&n.first, 2, n.members, N, n.members, 0);
	other = roster_after(&n.first, 2, n.members, 2, n.members, 3);
	third = roster_after(&second, 3, n.members, 2, n.members, 0);
	digest_plain(&d, signed_part(&third));
	trust_unref(n.t);
	ck_assert_int_eq(trust_new(&n.t, &d, "x", view(&third), &problems), 0);
	expect(&n, TRUST_OLDER, "", again(&n.first));
	expect(&n, TRUST_OLDER, "", other);
	card = card_of(&n, UT, 1, 1);
	ck_assert_int_eq(trust_again(&next, n.t, "x", view(&card), &problems), TRUST_REFUSED);
	problems_deinit(&problems);
	accept(&n, second);
	accept(&n, again(&n.first));
	expect(&n, TRUST_KNOWN, "", again(&n.first));
	ck_assert_uint_eq(trust_oldest_roster(n.t), 1);
	ck_assert_uint_eq(trust_roster(n.t)->number, 3);
	expect(&n, TRUST_REFUSED, "ut.ee is no member by roster 3", again(&card));
	ck_assert_int_eq(trust_again(&next, n.t, "x", view(&card), &problems), 0);
	trust_unref(n.t);
	n.t = next;
	ck_assert_ptr_null(trust_card(n.t, "ut.ee"));
	ck_assert_ptr_nonnull(trust_sign_key(n.t, "ut.ee", 1, &state));
	buffer_deinit(&card);
	buffer_deinit(&third);
	network_deinit(&n);
}
END_TEST

/* Pins a roster, as the operator does. */
static void pin(struct network *n, int outcome, const struct buffer *roster)
{
	struct trust *next;
	struct digest d;

	digest_plain(&d, signed_part(roster));
	ck_assert_int_eq(trust_pin(&next, n->t, 2, &d), outcome);
	ck_assert_int_eq(outcome == 0, next != NULL);
	if (next != NULL)
		trust_unref(n->t);
	n->t = next != NULL ? next : n->t;
}

/* Of two rosters with one number the first stays in force and both are held; a pin says which counts, takes back what only the other
 * made good, and can be changed. */
START_TEST(test_two_successors)
{
	struct network n;
	struct actor changed[N];
	struct buffer one, two, third;
	struct card_key thief, own;

	network_init(&n);
	memcpy(changed, n.members, sizeof changed);
	changed[UT] = actor_of("ut.ee", 1);
	one = roster_after(&n.first, 2, changed, N, changed, N);
	two = roster_after(&n.first, 2, n.members, 2, n.members, 2);
	third = roster_after(&two, 3, n.members, 2, n.members, 2);
	thief = own = card_key_of("ut.ee", 7, CARD_KEY_CURRENT);
	accept(&n, again(&one));
	accept(&n, card_with(&n, &changed[UT], 1, &thief, 1));
	expect(&n, TRUST_FORK, "", again(&two));
	expect(&n, TRUST_KNOWN, "", again(&two));
	expect(&n, TRUST_KNOWN, "", again(&one));
	expect(&n, TRUST_REFUSED, "its line `previous` is not the digest of roster 2", again(&third));
	ck_assert_uint_eq(trust_n_rivals(n.t), 1);
	ck_assert_uint_eq(trust_disputes(n.t), 1);
	ck_assert(!trust_settled(n.t, 2));
	ck_assert(trust_settled(n.t, 1));
	ck_assert_uint_eq(trust_roster(n.t)->n_members, 3);

	pin(&n, 0, &two);
	pin(&n, TRUST_KNOWN, &two);
	ck_assert_uint_eq(trust_disputes(n.t), 0);
	ck_assert_uint_eq(trust_n_rivals(n.t), 1);
	ck_assert_uint_eq(trust_roster(n.t)->n_members, 2);
	ck_assert_ptr_null(trust_sign_key(n.t, "ut.ee", 7, &own.state));
	expect(&n, TRUST_KNOWN, "", again(&one));
	accept(&n, third);
	ck_assert_uint_eq(trust_roster(n.t)->number, 3);

	pin(&n, 0, &one);
	ck_assert_uint_eq(trust_roster(n.t)->number, 2);
	ck_assert_uint_eq(trust_roster(n.t)->n_members, 3);
	ck_assert_uint_eq(trust_n_rivals(n.t), 1);
	ck_assert_uint_eq(trust_disputes(n.t), 0);
	accept(&n, card_with(&n, &changed[UT], 1, &thief, 1));
	buffer_deinit(&one);
	buffer_deinit(&two);
	network_deinit(&n);
}
END_TEST

/* A pin that is remembered counts when its roster comes, whichever comes first; a pin of what is in force only settles. */
START_TEST(test_pin_first)
{
	struct network n;
	struct buffer one, two;

	network_init(&n);
	one = roster_after(&n.first, 2, n.members, N, n.members, N);
	two = roster_after(&n.first, 2, n.members, 2, n.members, 2);
	pin(&n, 0, &two);
	accept(&n, again(&one));
	ck_assert(!trust_settled(n.t, 2));
	accept(&n, again(&two));
	ck_assert_uint_eq(trust_roster(n.t)->n_members, 2);
	ck_assert_uint_eq(trust_n_rivals(n.t), 1);
	network_deinit(&n);

	network_init(&n);
	accept(&n, again(&one));
	pin(&n, 0, &one);
	expect(&n, TRUST_FORK, "", again(&two));
	ck_assert_uint_eq(trust_disputes(n.t), 0);
	ck_assert_uint_eq(trust_roster(n.t)->n_members, 3);
	buffer_deinit(&one);
	buffer_deinit(&two);
	network_deinit(&n);
}
END_TEST

/* A quorum that signs without end fills nobody's memory. */
START_TEST(test_many_rivals)
{
	struct network n;

	network_init(&n);
	accept(&n, roster_after(&n.first, 2, n.members, N, n.members, N));
	for (unsigned i = 0; i < RIVALS_MAX + 3; i++) {
		struct buffer b = {0}, end = roster_text(&n.first, 2, 2, n.members, N);

		buffer_add(&b, end.data, end.len);
		buffer_printf(&b, "comment %u\n", i);
		sign_by(&b, &n.members[RUG]);
		sign_by(&b, &n.members[UT]);
		expect(&n, TRUST_FORK, "", b);
		buffer_deinit(&end);
	}
	ck_assert_uint_eq(trust_n_rivals(n.t), RIVALS_MAX);
	network_deinit(&n);
}
END_TEST

/* A card is taken when it is a member's own and newer than the last. */
START_TEST(test_cards)
{
	struct network n, other;
	struct actor stranger = actor_of("stranger.be", 0);
	struct card_key key = card_key_of("ut.ee", 5, CARD_KEY_CURRENT);
	struct buffer text;

	network_init(&n);
	other = n;
	other.digest.bytes[0] ^= 1;
	ck_assert_ptr_null(trust_card(n.t, "ut.ee"));
	expect(&n, TRUST_REFUSED, "a card for another network", card_of(&other, UT, 1, 1));
	expect(&n, TRUST_REFUSED, "stranger.be is no member by roster 1", card_text(&n.digest, &stranger, 1, 1));
	accept(&n, card_of(&n, UT, 5, 5));
	expect(&n, TRUST_KNOWN, "", card_of(&n, UT, 5, 5));
	expect(&n, TRUST_OLDER, "", card_of(&n, UT, 4, 5));
	expect(&n, TRUST_FORK, "", card_of(&n, UT, 5, 6));
	text = (struct buffer){0};
	card_write(&text, &n.digest, "ut.ee", 5, NULL, &key, 1, NULL, 0); /* differs, but nobody signed it */
	expect(&n, TRUST_REFUSED, "not signed by the identity key", text);
	accept(&n, card_of(&n, UT, 7, 6));
	expect(&n, TRUST_KNOWN, "", card_of(&n, UT, 5, 5));
	expect(&n, TRUST_OLDER, "", card_of(&n, UT, 6, 6));
	accept(&n, card_of(&n, RUG, 1, 1));
	accept(&n, card_of(&n, UGENT, 1, 1));
	ck_assert_uint_eq(trust_card(n.t, "ut.ee")->number, 7);
	ck_assert_uint_eq(trust_card(n.t, "rug.nl")->number, 1);
	ck_assert_str_eq(trust_card(n.t, "ugent.be")->member, "ugent.be");
	text = (struct buffer){0};
	buffer_str(&text, "neither roster nor card\n");
	expect(&n, TRUST_REFUSED, "the first line is", text);
	network_deinit(&n);
}
END_TEST

/* A key number keeps its key, none is left out of a later card, and a key that went does not come back. */
START_TEST(test_key_numbers)
{
	struct network n;
	struct card_key one = card_key_of("ut.ee", 1, CARD_KEY_CURRENT),
			two = card_key_of("ut.ee", 2, CARD_KEY_CURRENT),
			three = card_key_of("ut.ee", 3, CARD_KEY_CURRENT),
			four = card_key_of("ut.ee", 4, CARD_KEY_CURRENT), other;
	const struct actor *ut = &n.members[UT];
	enum card_key_state state = CARD_KEY_REVOKED;

	network_init(&n);
	accept(&n, card_with(&n, ut, 1, (struct card_key[]){one, two}, 2));
	ck_assert_mem_eq(trust_sign_key(n.t, "ut.ee", 1, &state), one.sign, sizeof one.sign);
	ck_assert_int_eq(state, CARD_KEY_CURRENT);
	ck_assert_ptr_null(trust_sign_key(n.t, "ut.ee", 3, &state));
	ck_assert_ptr_null(trust_sign_key(n.t, "rug.nl", 1, &state));

	one.state = CARD_KEY_REVOKED;
	expect(&n, TRUST_REFUSED, "key 2 of card 1 is left out",
		card_with(&n, ut, 2, (struct card_key[]){one, three}, 2));
	two.state = CARD_KEY_RETIRED;
	accept(&n, card_with(&n, ut, 2, (struct card_key[]){one, two, three}, 3));
	ck_assert_mem_eq(trust_sign_key(n.t, "ut.ee", 2, &state), two.sign, sizeof two.sign);
	ck_assert_int_eq(state, CARD_KEY_RETIRED);
	ck_assert_ptr_nonnull(trust_sign_key(n.t, "ut.ee", 1, &state));
	ck_assert_int_eq(state, CARD_KEY_REVOKED);

	two.state = CARD_KEY_CURRENT;
	expect(&n, TRUST_REFUSED, "key 2 was retired by an earlier card",
		card_with(&n, ut, 3, (struct card_key[]){one, two, three}, 3));
	two.state = CARD_KEY_RETIRED;
	one.state = CARD_KEY_CURRENT;
	expect(&n, TRUST_REFUSED, "key 1 was revoked by an earlier card",
		card_with(&n, ut, 3, (struct card_key[]){one, two, three}, 3));
	one.state = CARD_KEY_RETIRED;
	expect(&n, TRUST_REFUSED, "key 1 was revoked by an earlier card",
		card_with(&n, ut, 3, (struct card_key[]){one, two, three}, 3));
	one.state = CARD_KEY_REVOKED;
	other = two;
	memcpy(other.sign, four.sign, sizeof other.sign);
	expect(&n, TRUST_REFUSED, "number 2 belongs to another key",
		card_with(&n, ut, 3, (struct card_key[]){one, other, three}, 3));
	three.state = CARD_KEY_RETIRED;
	accept(&n, card_with(&n, ut, 3, (struct card_key[]){one, two, three, four}, 4));
	ck_assert_ptr_nonnull(trust_sign_key(n.t, "ut.ee", 1, &state));
	ck_assert_int_eq(state, CARD_KEY_REVOKED);
	ck_assert_ptr_nonnull(trust_sign_key(n.t, "ut.ee", 3, &state));
	ck_assert_int_eq(state, CARD_KEY_RETIRED);
	network_deinit(&n);
}
END_TEST

/* Nobody's card has in use what another member has proved to hold, nor an identity key in whatever state. */
START_TEST(test_keys_of_others)
{
	struct network n;
	struct card_key theirs = card_key_of("ut.ee", 1, CARD_KEY_CURRENT), mine, old;
	const struct actor *rug = &n.members[RUG];
	struct buffer text = {0};

	network_init(&n);
	accept(&n, card_of(&n, UT, 1, 1));
	card_write(&text, &n.digest, "rug.nl", 1, NULL, &theirs, 1, NULL, 0);
	sign_by(&text, rug);
	sign(&text, "rug.nl+1", node_keys_of("ut.ee", 1).sign_secret); /* a thief's, who has the secret too */
	expect(&n, TRUST_REFUSED, "key 1 is a key of ut.ee", text);
	mine = card_key_of("rug.nl", 2, CARD_KEY_CURRENT);
	old = (struct card_key){.number = 1, .state = CARD_KEY_RETIRED};
	memcpy(old.sign, n.members[UGENT].public, sizeof old.sign);
	expect(&n, TRUST_REFUSED, "key 1 is a key of ugent.be",
		card_with(&n, rug, 1, (struct card_key[]){old, mine}, 2));
	accept(&n, card_with(&n, rug, 1, &mine, 1));
	network_deinit(&n);
}
END_TEST

/* Who copies public keys from another's card gains nothing, whichever card comes first: both are taken, and the owner's keys stay
 * its own. */
START_TEST(test_copied_keys)
{
	for (int owner_first = 0; owner_first <= 1; owner_first++)
		for (enum card_key_state state = CARD_KEY_RETIRED; state <= CARD_KEY_REVOKED; state++) {
			struct card_key theirs = card_key_of("ut.ee", 1, state), mine;
			enum card_key_state known;
			struct network n;

			network_init(&n);
			mine = card_key_of("rug.nl", 2, CARD_KEY_CURRENT);
			memcpy(mine.link, theirs.link, sizeof mine.link);
			if (owner_first)
				accept(&n, card_of(&n, UT, 1, 1));
			accept(&n, card_with(&n, &n.members[RUG], 1, (struct card_key[]){theirs, mine}, 2));
			if (!owner_first)
				accept(&n, card_of(&n, UT, 1, 1));
			ck_assert_mem_eq(trust_sign_key(n.t, "ut.ee", 1, &known), theirs.sign, sizeof theirs.sign);
			ck_assert_int_eq(known, CARD_KEY_CURRENT);
			accept(&n, card_of(&n, UT, 2, 1));
			ck_assert_uint_eq(trust_card(n.t, "ut.ee")->number, 2);
			network_deinit(&n);
		}
}
END_TEST

/* A card is in force as long as the roster has its member. */
START_TEST(test_card_in_force)
{
	struct network n;

	network_init(&n);
	accept(&n, card_of(&n, UT, 1, 1));
	accept(&n, card_of(&n, RUG, 1, 1));
	ck_assert_ptr_nonnull(trust_card(n.t, "ut.ee"));
	accept(&n, roster_after(&n.first, 2, n.members, 2, n.members, 2));
	ck_assert_ptr_null(trust_card(n.t, "ut.ee"));
	ck_assert_ptr_nonnull(trust_card(n.t, "rug.nl"));
	network_deinit(&n);
}
END_TEST

/* After a changed identity key no earlier card is in force, whatever its number; the member's next one is. */
START_TEST(test_changed_identity)
{
	struct network n;
	struct actor changed[N];
	struct card_key old = card_key_of("ut.ee", 9, CARD_KEY_CURRENT), key;
	enum card_key_state state;
	struct buffer second;

	network_init(&n);
	memcpy(changed, n.members, sizeof changed);
	changed[UT] = actor_of("ut.ee", 1);
	accept(&n, card_of(&n, UT, 99, 9)); /* a thief's */
	second = roster_after(&n.first, 2, changed, N, changed, N);
	accept(&n, second);
	ck_assert_ptr_null(trust_card(n.t, "ut.ee"));
	ck_assert_mem_eq(trust_sign_key(n.t, "ut.ee", 9, &state), old.sign, sizeof old.sign);
	ck_assert_int_eq(state, CARD_KEY_RETIRED);
	expect(&n, TRUST_REFUSED, "the signature of ut.ee does not verify", card_of(&n, UT, 100, 10));
	n.members[UT] = changed[UT];
	key = card_key_of("ut.ee", 10, CARD_KEY_CURRENT);
	accept(&n,
		card_with(&n, &changed[UT], 1, &key, 1)); /* who knows nothing of the thief's keys can leave them out */
	ck_assert_uint_eq(trust_card(n.t, "ut.ee")->number, 1);
	ck_assert_ptr_nonnull(trust_sign_key(n.t, "ut.ee", 9, &state));
	ck_assert_int_eq(state, CARD_KEY_REVOKED);
	ck_assert_ptr_nonnull(card_key(trust_card(n.t, "ut.ee"), 10));
	network_deinit(&n);
}
END_TEST

static void expect_state(const struct network *n, uint32_t key, enum card_key_state expected)
{
	enum card_key_state state = CARD_KEY_REVOKED;

	ck_assert_ptr_nonnull(trust_sign_key(n->t, "ut.ee", key, &state));
	ck_assert_int_eq(state, expected);
	ck_assert_int_eq(trust_is_revoked(n->t, "ut.ee", key), expected == CARD_KEY_REVOKED);
}

/* What a thief of an identity key made of the member's keys holds until the first card under the next one, and not beyond: its own key is
 * revoked then, and the one that it had revoked may be in use again. So it is in whatever order the cards are read again. */
START_TEST(test_stolen_identity)
{
	struct network n;
	struct actor changed[N];
	struct card_key one = card_key_of("ut.ee", 1, CARD_KEY_CURRENT),
			two = card_key_of("ut.ee", 2, CARD_KEY_CURRENT),
			three = card_key_of("ut.ee", 3, CARD_KEY_CURRENT),
			four = card_key_of("ut.ee", 4, CARD_KEY_CURRENT),
			other = card_key_of("ut.ee", 2, CARD_KEY_RETIRED);
	struct problems problems = {0};
	struct buffer thief, found;
	struct trust *next;

	network_init(&n);
	memcpy(changed, n.members, sizeof changed);
	changed[UT] = actor_of("ut.ee", 1);
	if (_i == 0)
		accept(&n, card_of(&n, UT, 1, 1));
	one.state = CARD_KEY_REVOKED;
	thief = card_with(&n, &n.members[UT], 2, (struct card_key[]){one, two}, 2);
	one.state = CARD_KEY_CURRENT;
	found = card_with(&n, &changed[UT], 1, &one, 1);
	if (_i == 0) {
		accept(&n, again(&thief));
		expect_state(&n, 1, CARD_KEY_REVOKED);
	}
	accept(&n, roster_after(&n.first, 2, changed, N, changed, N));
	accept(&n, found);
	if (_i == 1) {
		ck_assert_int_eq(trust_again(&next, n.t, "note", view(&thief), &problems), 0);
		trust_unref(n.t);
		n.t = next;
	}
	buffer_deinit(&thief);
	expect_state(&n, 1, CARD_KEY_CURRENT);
	expect_state(&n, 2, CARD_KEY_REVOKED);
	ck_assert_uint_eq(trust_card(n.t, "ut.ee")->number, 1);
	memcpy(other.sign, four.sign, sizeof other.sign);
	expect(&n, TRUST_REFUSED, "number 2 belongs to another key",
		card_with(&n, &changed[UT], 2, (struct card_key[]){one, other, three}, 3));
	one.state = CARD_KEY_REVOKED;
	accept(&n, card_with(&n, &changed[UT], 2, (struct card_key[]){one, three}, 2));
	one.state = CARD_KEY_CURRENT;
	expect(&n, TRUST_REFUSED, "key 1 was revoked",
		card_with(&n, &changed[UT], 3, (struct card_key[]){one, three}, 2));
	network_deinit(&n);
}
END_TEST

/* A trust stays as it was while others are made from it, and lives as long as somebody holds it. */
START_TEST(test_value)
{
	struct network n;
	struct trust *before;
	const struct roster *r;

	network_init(&n);
	accept(&n, card_of(&n, UT, 1, 1));
	before = trust_ref(n.t);
	accept(&n, card_of(&n, UT, 2, 2));
	accept(&n, roster_after(&n.first, 2, n.members, 2, n.members, 2));
	ck_assert_uint_eq(trust_card(before, "ut.ee")->number, 1);
	ck_assert_uint_eq(trust_roster(before)->number, 1);
	r = trust_roster_number(n.t, 1);
	ck_assert_ptr_eq(r, trust_roster(before)); /* shared, not read again */
	trust_unref(before);
	ck_assert_str_eq(r->network, "enlight");
	network_deinit(&n);
	trust_unref(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trust");
	TCase *tc = tcase_create("trust");

	tcase_add_test(tc, test_anchor);
	tcase_add_test(tc, test_later_anchor);
	tcase_add_test(tc, test_rosters);
	tcase_add_test(tc, test_before_the_anchor);
	tcase_add_test(tc, test_two_successors);
	tcase_add_test(tc, test_pin_first);
	tcase_add_test(tc, test_many_rivals);
	tcase_add_test(tc, test_cards);
	tcase_add_test(tc, test_key_numbers);
	tcase_add_test(tc, test_keys_of_others);
	tcase_add_test(tc, test_copied_keys);
	tcase_add_test(tc, test_card_in_force);
	tcase_add_test(tc, test_changed_identity);
	tcase_add_loop_test(tc, test_stolen_identity, 0, 2);
	tcase_add_test(tc, test_value);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
