#include "commit_world.h"

#include "core/receipt.h"

/* What a publisher may put into a batch by hand; a modified node is not bound by the rules of publishing. */
struct made {
	struct sealed_batch batch;
	struct header header;
	struct digest digest;
	uint8_t wrapped[WRAPPED_KEY_LEN];
};

static void made_deinit(struct made *m)
{
	sealed_batch_deinit(&m->batch);
	header_deinit(&m->header);
}

/* A header that follows `before` (NULL: the channel's first). */
static struct header header_after(const struct world *w, const struct made *before, const char *audience)
{
	struct header h = {.incarnation = 1, .first = 1, .has_after = true, .time_ms = NOW_MS, .key = 1};

	strcpy(h.publisher, PUBLISHER);
	h.audience = strdup(audience);
	h.network = *trust_network(w->trust);
	h.roster = trust_roster(w->trust)->note.digest;
	h.card = trust_card(w->trust, PUBLISHER)->note.digest;
	if (before != NULL) {
		h.has_after = false;
		h.incarnation = before->header.incarnation;
		h.first = header_last(&before->header) + 1;
		h.previous = before->digest;
	}
	return h;
}

static struct bytes packed_course(const char *course, const char *id, uint64_t revision)
{
	struct draft d = world_course(course, "network", id, id);
	uint8_t *packed;
	size_t len;

	d.event.revision = revision;
	memcpy(d.event.salt, id, strlen(id));
	ck_assert_int_eq(event_pack(&packed, &len, &d.event), 0);
	draft_deinit(&d);
	return bytes_of(packed, len);
}

/* Signs and seals; the header is taken. */
static struct made seal(struct world *w, struct header h, const struct batch_builder *b)
{
	struct made m = {.header = h};
	struct node_keys keys = w->publisher_keys;
	struct entropy entropy;
	uint8_t key[BATCH_KEY_LEN];

	w->seed[2]++;
	entropy_init(&entropy, w->seed);
	keys.number = h.key;
	ck_assert_int_eq(batch_seal(&m.batch, key, &m.header, b, &keys, &entropy), 0);
	digest_header(&m.digest, m.batch.header);
	key_wrap(m.wrapped, w->session_key, &m.digest, key, &entropy);
	return m;
}

/* A batch of one course; the header is taken. */
static struct made make(struct world *w, struct header h, const char *course, const char *id, uint64_t revision)
{
	struct batch_builder b = {0};
	struct bytes packed = packed_course(course, id, revision);
	struct digest leaf;
	struct made m;

	ck_assert_int_eq(batch_add(&b, packed, &leaf), 0);
	m = seal(w, h, &b);
	free((void *)packed.data);
	batch_builder_deinit(&b);
	return m;
}

static struct made make_next(struct world *w, const struct made *before, const char *course, const char *id)
{
	return make(w, header_after(w, before, "network"), course, id, 1);
}

/* What delivering something came to. */
struct outcome {
	enum accept_outcome outcome;
	unsigned refused, stale;
	bool raised;
	uint64_t set_aside;
	int result;
};

/* Whether deliveries are opened ahead of their commit. */
static bool ahead;

static void set_ahead(void)
{
	ahead = true;
}

static struct job *delivery(struct world *w, const char *peer, const struct made *m, uint64_t announced)
{
	struct job *job = job_new(JOB_ACCEPT, w->trust);

	strcpy(job->accept.peer, peer);
	memcpy(job->accept.session_key, w->session_key, sizeof w->session_key);
	memcpy(job->accept.wrapped, m->wrapped, sizeof m->wrapped);
	memcpy(job->accept.batch.signature, m->batch.signature, SIGNATURE_LEN);
	job->accept.batch.header = bytes_of(bytes_dup(m->batch.header), m->batch.header.len);
	job->accept.batch.body = bytes_of(bytes_dup(m->batch.body), m->batch.body.len);
	job->accept.announced = announced;
	if (ahead)
		job_prepare(job, w->reading);
	return job;
}

static struct outcome deliver_from(struct world *w, const char *peer, const struct made *m, uint64_t announced)
{
	struct job *job = delivery(w, peer, m, announced);
	struct commit_changes *changes = NULL;
	struct outcome o;

	o.result = world_run(w, w->reading, w->reader, job, &changes);
	o.outcome = job->accept.outcome;
	o.refused = job->accept.n_refused;
	o.stale = job->accept.n_stale;
	o.raised = job->accept.raised;
	o.set_aside = job->accept.set_aside;
	if (o.outcome == ACCEPT_OK) {
		struct receipt receipt;

		ck_assert_uint_eq(changes->n_channels, 1);
		ck_assert(receipt_verify(changes->channels[0].receipt, changes->channels[0].receipt_signature,
			w->reader_keys.sign_public));
		ck_assert_int_eq(receipt_decode(&receipt, changes->channels[0].receipt), 0);
		ck_assert_uint_eq(receipt.to, header_last(&m->header));
		ck_assert(digest_equal(&receipt.head, &m->digest));
		receipt_deinit(&receipt);
	}
	commit_changes_free(changes);
	job_free(job);
	return o;
}

static enum accept_outcome deliver(struct world *w, const struct made *m)
{
	return deliver_from(w, PUBLISHER, m, 0).outcome;
}

/* The reader's copy: last sequence and count of uncovered slots. */
static struct channel_row held(struct world *w, const char *audience)
{
	struct channel_row row = {0}, copy;

	memory_ledger_begin(w->reader);
	if (memory_ledger_ops.channel_find(w->reader, PUBLISHER, audience, &row) != 0)
		row = (struct channel_row){0};
	copy = row;
	copy.audience = NULL;
	channel_row_deinit(&row);
	memory_ledger_rollback(w->reader);
	return copy;
}

/* Three batches in a row are taken in; the same again only gets its receipt again; nothing is taken twice. */
START_TEST(test_batches_in_order)
{
	struct world w;
	struct made a, b, c;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	c = make_next(&w, &b, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_HELD);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_HELD);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_OK);
	ck_assert_uint_eq(held(&w, "network").last, 3);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	world_deinit(&w);
}
END_TEST

/* A batch after a missing one is a gap, and nothing of it is written. */
START_TEST(test_gap)
{
	struct world w;
	struct made a, b, c;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	c = make_next(&w, &b, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_GAP);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_GAP);
	ck_assert_uint_eq(held(&w, "network").last, 1);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	world_deinit(&w);
}
END_TEST

static void other_network(struct header *h)
{
	h->network.bytes[0] ^= 1;
}

static void other_readers(struct header *h)
{
	free(h->audience);
	h->audience = strdup(OTHER);
}

static void other_publisher(struct header *h)
{
	strcpy(h->publisher, OTHER);
}

static void a_stranger(struct header *h)
{
	free(h->audience);
	h->audience = strdup("nobody.example," READER);
	h->first = 1;
	h->previous = digest_zero;
	h->has_after = true;
}

static void unknown_key(struct header *h)
{
	h->key = 2;
}

static void other_previous(struct header *h)
{
	h->previous.bytes[5] ^= 1;
}

static void begins_again(struct header *h)
{
	h->has_after = true;
	h->after_sequence = h->first - 1;
	h->after_digest = h->previous;
}

static void beyond_raise(struct header *h)
{
	begins_again(h);
	h->incarnation = 2;
	h->first += 5;
	h->after_sequence += 5;
}

/* Well-signed headers that are not the continuation of what is held, one lie each. */
static const struct {
	const char *name;
	void (*lie)(struct header *h);
	enum accept_outcome outcome;
} lies[] = {
	{"another network", other_network, ACCEPT_NOT_OURS},
	{"an audience without this reader", other_readers, ACCEPT_NOT_OURS},
	{"an audience with somebody who never was a member", a_stranger, ACCEPT_NOT_OURS},
	{"another publisher than the peer", other_publisher, ACCEPT_NOT_OURS},
	{"a key that no card has", unknown_key, ACCEPT_FORGED},
	{"another previous digest", other_previous, ACCEPT_FORGED},
	{"an incarnation raised beyond what is held", beyond_raise, ACCEPT_GAP},
};

START_TEST(test_lies_in_the_header)
{
	struct world w;
	struct made a, b;
	struct header h;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	h = header_after(&w, &a, "network");
	lies[_i].lie(&h);
	b = make(&w, h, "CR/2", "b", 1);
	ck_assert_msg(deliver(&w, &b) == lies[_i].outcome, "%s", lies[_i].name);
	ck_assert_uint_eq(held(&w, "network").last, 1);
	made_deinit(&b);
	b = make_next(&w, &a, "CR/2", "b"); /* and the honest one is still welcome */
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	made_deinit(&a);
	made_deinit(&b);
	world_deinit(&w);
}
END_TEST

/* A batch for one audience cannot be shown to another, nor by another member, nor in another session. */
START_TEST(test_replays)
{
	struct world w;
	struct made a, b;

	world_init(&w);
	a = make(&w, header_after(&w, NULL, READER), "CR/1", "a", 1);
	b = make(&w, header_after(&w, NULL, "network"), "CR/1", "a", 1);
	ck_assert_int_eq(deliver_from(&w, OTHER, &a, 0).outcome, ACCEPT_NOT_OURS);
	w.session_key[0] ^= 1;
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_FORGED);
	w.session_key[0] ^= 1;
	free((void *)b.batch.body.data); /* the body of one under the header of the other */
	b.batch.body = bytes_of(bytes_dup(a.batch.body), a.batch.body.len);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_FORGED);
	ck_assert_uint_eq(held(&w, READER).last + held(&w, "network").last, 0);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	made_deinit(&a);
	made_deinit(&b);
	world_deinit(&w);
}
END_TEST

static void flip(struct bytes b, size_t bit)
{
	((uint8_t *)b.data)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

/* One bit flipped anywhere, in header, signature, wrapped key or body: never accepted, nothing written. */
START_TEST(test_every_bit_counts)
{
	struct world w;
	struct made a;
	struct bytes parts[4];
	enum accept_outcome outcome;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	parts[0] = a.batch.header;
	parts[1] = bytes_of(a.batch.signature, SIGNATURE_LEN);
	parts[2] = bytes_of(a.wrapped, WRAPPED_KEY_LEN);
	parts[3] = a.batch.body;
	for (size_t p = 0; p < 4; p++)
		for (size_t bit = 0; bit < 8 * parts[p].len; bit += p == 3 ? 7 : 1) {
			flip(parts[p], bit);
			outcome = deliver(&w, &a);
			ck_assert_msg(outcome == ACCEPT_FORGED || outcome == ACCEPT_NOT_OURS ||
					      outcome == ACCEPT_LATER || outcome == ACCEPT_GAP,
				"part %zu bit %zu: %d", p, bit, outcome);
			flip(parts[p], bit);
		}
	ck_assert_uint_eq(held(&w, "network").last, 0);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	made_deinit(&a);
	world_deinit(&w);
}
END_TEST

/* After a change of keys nothing is taken under an old one any more, but what is held under it is still held. */
START_TEST(test_change_of_keys)
{
	struct actor publisher = actor_of(PUBLISHER, 0);
	struct made a, b, late, fork;
	struct buffer card;
	struct header h;
	struct world w;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	fork = make_next(&w, NULL, "CR/1", "x");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	card = card_text(trust_network(w.trust), &publisher, 2, 2);
	w.trust = world_learn(w.trust, &card);
	h = header_after(&w, &a, "network");
	h.key = 2;
	w.publisher_keys = node_keys_of(PUBLISHER, 2);
	b = make(&w, h, "CR/2", "b", 1);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_HELD);
	w.publisher_keys = node_keys_of(PUBLISHER, 1);
	late = make_next(&w, &b, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &late), ACCEPT_FORGED);
	ck_assert_int_eq(deliver(&w, &fork), ACCEPT_FORK);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&late);
	made_deinit(&fork);
	world_deinit(&w);
}
END_TEST

/* Two signed batches for one place are a fork, whatever their bounds: the channel stops, other channels go on. */
START_TEST(test_fork)
{
	struct world w;
	struct made a, b, fork, next, elsewhere;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	fork = make_next(&w, &a, "CR/2", "x");
	next = make_next(&w, &b, "CR/3", "c");
	elsewhere = make(&w, header_after(&w, NULL, READER), "CR/9", "e", 1);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &fork), ACCEPT_FORK);
	ck_assert(held(&w, "network").stopped);
	ck_assert_int_eq(deliver(&w, &next), ACCEPT_STOPPED);
	ck_assert_uint_eq(held(&w, "network").last, 2);
	ck_assert_int_eq(deliver(&w, &elsewhere), ACCEPT_OK);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&fork);
	made_deinit(&next);
	made_deinit(&elsewhere);
	world_deinit(&w);
}
END_TEST

/* What a disk changed accuses nobody: neither the very batch that is held, nor another one in its place. */
START_TEST(test_damaged_is_no_fork)
{
	struct world w;
	struct made a, b, other;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	other = make_next(&w, &a, "CR/2", "x");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	world_flip_digest(w.reader, 2);
	ck_assert_int_eq(deliver(&w, _i == 0 ? &b : &other), ACCEPT_HELD);
	ck_assert_uint_eq(held(&w, "network").stopped, 0);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&other);
	world_deinit(&w);
}
END_TEST

/* A stopped channel starts again when its publisher begins a later incarnation before the place where its histories part; behind it, it would
 * go on with one of them. */
START_TEST(test_fork_disowned)
{
	struct world w;
	struct made a, b, fork, raised, next;
	struct header h;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	fork = make_next(&w, &a, "CR/2", "x");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &fork), ACCEPT_FORK);
	h = header_after(&w, _i == 0 ? &a : &b, "network");
	begins_again(&h);
	h.incarnation = 2;
	raised = make(&w, h, "CR/2", "x", 1);
	next = make_next(&w, &raised, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &next), ACCEPT_STOPPED);
	ck_assert_int_eq(deliver(&w, &raised), _i == 0 ? ACCEPT_OK : ACCEPT_STOPPED);
	ck_assert_int_eq(deliver(&w, &next), _i == 0 ? ACCEPT_OK : ACCEPT_STOPPED);
	ck_assert_uint_eq(held(&w, "network").stopped, _i == 0 ? 0 : 2);
	ck_assert_uint_eq(held(&w, "network").last, _i == 0 ? 3 : 2);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&fork);
	made_deinit(&raised);
	made_deinit(&next);
	world_deinit(&w);
}
END_TEST

/* Another reader shows the header. */
static enum accept_outcome show_head(struct world *w, const struct made *m, bool stops)
{
	struct job *job = delivery(w, PUBLISHER, m, 0);
	struct commit_changes *changes = NULL;
	enum accept_outcome outcome;

	strcpy(job->accept.witness, OTHER);
	free((void *)job->accept.batch.body.data);
	job->accept.batch.body = (struct bytes){0};
	ck_assert_int_eq(world_run(w, w->reading, w->reader, job, &changes), 0);
	outcome = job->accept.outcome;
	ck_assert_uint_eq(changes->n_channels, outcome == ACCEPT_FORK && stops); /* it is worth no receipt */
	ck_assert(outcome != ACCEPT_FORK || job->accept.contradicted.data != NULL);
	commit_changes_free(changes);
	job_free(job);
	return outcome;
}

static enum accept_outcome show(struct world *w, const struct made *m)
{
	return show_head(w, m, true);
}

static enum accept_outcome show_left(struct world *w, const struct made *m)
{
	return show_head(w, m, false);
}

static void revoke_first_key(struct world *w)
{
	struct card_key keys[] = {
		card_key_of(PUBLISHER, 1, CARD_KEY_REVOKED), card_key_of(PUBLISHER, 2, CARD_KEY_CURRENT)};
	struct actor publisher = actor_of(PUBLISHER, 0);
	struct buffer text = {0};

	card_write(&text, trust_network(w->trust), PUBLISHER, 2, NULL, keys, 2, NULL, 0);
	sign_by(&text, &publisher);
	sign_by_node(&text, PUBLISHER, 2);
	w->trust = world_learn(w->trust, &text);
}

/* A head that another reader shows is compared, wherever it lies in what is held; what goes beyond that says nothing yet. */
START_TEST(test_shown_by_another)
{
	struct world w;
	struct made a, b, c, fork;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	c = make_next(&w, &b, "CR/3", "c");
	fork = make_next(&w, &a, "CR/2", "x");
	ck_assert_int_eq(show(&w, &a), ACCEPT_HELD);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(show(&w, &fork), ACCEPT_HELD);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_OK);
	ck_assert_int_eq(show(&w, &a), ACCEPT_HELD);
	ck_assert_int_eq(show(&w, &c), ACCEPT_HELD);
	ck_assert(!held(&w, "network").stopped);
	ck_assert_int_eq(show(&w, &fork), ACCEPT_FORK);
	ck_assert(held(&w, "network").stopped);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&fork);
	world_deinit(&w);
}
END_TEST

/* A channel that is stopped goes on from before all places where its publisher contradicted itself, also those that show later. */
START_TEST(test_parts_earlier)
{
	struct world w;
	struct made a, b, c, late, early, raised[2];
	struct header h;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	c = make_next(&w, &b, "CR/3", "c");
	late = make_next(&w, &b, "CR/3", "x");
	early = make_next(&w, &a, "CR/2", "y");
	for (int i = 0; i < 2; i++) {
		h = header_after(&w, i == 0 ? &b : &a, "network");
		begins_again(&h);
		h.incarnation = 2;
		raised[i] = make(&w, h, "CR/4", "d", 1);
	}
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_OK);
	ck_assert_int_eq(show(&w, &late), ACCEPT_FORK);
	ck_assert_uint_eq(held(&w, "network").stopped, 3);
	ck_assert_int_eq(show(&w, &b), ACCEPT_HELD);
	ck_assert_int_eq(show(&w, &early), ACCEPT_FORK);
	ck_assert_int_eq(show(&w, &late), ACCEPT_STOPPED);
	ck_assert_uint_eq(held(&w, "network").stopped, 2);
	ck_assert_int_eq(deliver(&w, &raised[0]), ACCEPT_STOPPED);
	ck_assert_int_eq(deliver(&w, &raised[1]), ACCEPT_OK);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&late);
	made_deinit(&early);
	made_deinit(&raised[0]);
	made_deinit(&raised[1]);
	world_deinit(&w);
}
END_TEST

/* A publisher that showed two histories and went back behind both is found all the same, by what was set aside; its channel goes on. */
START_TEST(test_shown_after_it_was_left)
{
	struct world w;
	struct made a, b, other, third, raised;
	struct header h;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	other = make_next(&w, &a, "CR/2", "x");
	third = make_next(&w, &a, "CR/2", "z");
	h = header_after(&w, &a, "network");
	begins_again(&h);
	h.incarnation = 2;
	raised = make(&w, h, "CR/3", "c", 1);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &raised), ACCEPT_OK);
	ck_assert_int_eq(show(&w, &b), ACCEPT_HELD);
	ck_assert_int_eq(show_left(&w, &other), ACCEPT_FORK);
	ck_assert_int_eq(show(&w, &other), ACCEPT_HELD); /* it is said once */
	ck_assert_int_eq(show(&w, &third), ACCEPT_HELD); /* and proved: more of the kind would fill the disk */
	made_deinit(&third);
	ck_assert_uint_eq(held(&w, "network").stopped, 0);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&other);
	made_deinit(&raised);
	world_deinit(&w);
}
END_TEST

/* Nobody can be framed: a head with another's signature, or under a key that was revoked and which a thief may have, proves nothing. */
START_TEST(test_framed)
{
	struct world w;
	struct made a, fork;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	fork = make_next(&w, NULL, "CR/1", "x");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	fork.batch.signature[0] ^= 1;
	ck_assert_int_eq(show(&w, &fork), ACCEPT_FORGED);
	fork.batch.signature[0] ^= 1;
	revoke_first_key(&w);
	ck_assert_int_eq(show(&w, &fork), ACCEPT_FORGED);
	ck_assert(!held(&w, "network").stopped);
	ck_assert_int_eq(deliver(&w, &fork), ACCEPT_FORK); /* its publisher says it itself */
	made_deinit(&a);
	made_deinit(&fork);
	world_deinit(&w);
}
END_TEST

/* The next one, under the second key. */
static struct made make_second(struct world *w, const struct made *before, const char *course, const char *id)
{
	struct header h = header_after(w, before, "network");

	h.key = 2;
	return make(w, h, course, id, 1);
}

/* Sets the last batch aside when it is under a revoked key; answers how many events that were. `stopped`: lets the channel go on instead. */
static uint64_t disown(struct world *w, bool stopped)
{
	struct job *job = job_new(JOB_DISOWN, w->trust);
	struct commit_changes *changes = NULL;
	uint64_t set_aside;

	strcpy(job->disown.publisher, PUBLISHER);
	job->disown.audience = strdup("network");
	job->disown.goes_on = stopped;
	job->disown.head = held(w, "network").head;
	ck_assert_int_eq(world_run(w, w->reading, w->reader, job, &changes), 0);
	ck_assert(job->disown.done);
	ck_assert_int_eq(job->disown.went_on, stopped);
	set_aside = job->disown.set_aside;
	ck_assert_uint_eq(changes->n_channels, set_aside > 0 || stopped);
	commit_changes_free(changes);
	job_free(job);
	return set_aside;
}

/* A reader that took a thief's batches sets them aside when their key is revoked, one after the other, as far as nothing under a later key
 * follows, and takes its publisher's in their place: the same key number, the same ids, and no earlier incarnation stands in the way. */
START_TEST(test_disowned)
{
	struct made a, b, c, thief, other;
	struct header h;
	struct world w;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	h = header_after(&w, &a, "network");
	begins_again(&h);
	h.incarnation = UINT32_MAX;
	thief = make(&w, h, "CR/2", "t", 1);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &thief), ACCEPT_OK);
	ck_assert_uint_eq(disown(&w, false), 0); /* the key is good */
	ck_assert_uint_eq(held(&w, "network").last, 2);
	revoke_first_key(&w);
	ck_assert_uint_eq(disown(&w, false), 1);
	ck_assert_uint_eq(held(&w, "network").last, 1);
	ck_assert_uint_eq(held(&w, "network").incarnation, 1);
	ck_assert_uint_eq(held(&w, "network").key, 1);
	ck_assert_uint_eq(disown(&w, false), 1);
	ck_assert_uint_eq(disown(&w, false), 0);
	ck_assert_uint_eq(held(&w, "network").last, 0);
	ck_assert_uint_eq(held(&w, "network").key, 0);
	b = make_next(&w, &a, "CR/2", "b");
	w.publisher_keys = node_keys_of(PUBLISHER, 2);
	c = make_second(&w, &b, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_OK);
	ck_assert_uint_eq(disown(&w, false), 0); /* what a later key follows */
	ck_assert_uint_eq(held(&w, "network").last, 3);
	ck_assert_uint_eq(held(&w, "network").incarnation, 1);
	other = make_second(&w, &b, "CR/3", "x");
	ck_assert_int_eq(deliver(&w, &other), ACCEPT_FORK);
	ck_assert_uint_eq(disown(&w, true), 0); /* its caller found one of the two under a revoked key */
	ck_assert_uint_eq(held(&w, "network").stopped, 0);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&thief);
	made_deinit(&other);
	world_deinit(&w);
}
END_TEST

/* A header that the disk changed says nothing of whom it is from: nothing is set aside. */
START_TEST(test_damaged_is_not_disowned)
{
	struct world w;
	struct made a;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	revoke_first_key(&w);
	world_cut_header(w.reader, 1);
	ck_assert_uint_eq(disown(&w, false), 0);
	ck_assert_uint_eq(held(&w, "network").last, 1);
	made_deinit(&a);
	world_deinit(&w);
}
END_TEST

/* What this node had published and is given back by a reader becomes its own again, without a receipt; but no reader can leave its events out. */
START_TEST(test_given_back)
{
	struct world w;
	struct batch_builder b = {0};
	struct digest leaf = {{42}};
	struct commit_changes *changes = NULL;
	struct node_keys publisher_keys;
	struct made whole, empty;
	struct header h;
	struct job *job;

	world_init(&w);
	publisher_keys = w.publisher_keys;
	w.publisher_keys = w.reader_keys; /* this node's */
	h = header_after(&w, NULL, "network");
	strcpy(h.publisher, READER);
	whole = make(&w, h, "CR/1", "a", 1);
	ck_assert_int_eq(batch_add_leaf(&b, &leaf), 0);
	h = header_after(&w, NULL, "network");
	strcpy(h.publisher, READER);
	empty = seal(&w, h, &b);
	w.publisher_keys = publisher_keys;
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &empty, 9).outcome, ACCEPT_WITHHELD);
	job = delivery(&w, PUBLISHER, &whole, 9);
	ck_assert_int_eq(world_run(&w, w.reading, w.reader, job, &changes), 0);
	ck_assert_int_eq(job->accept.outcome, ACCEPT_OK);
	ck_assert_uint_eq(changes->n_channels, 1);
	ck_assert_str_eq(changes->channels[0].row.publisher, READER);
	ck_assert_ptr_null(changes->channels[0].receipt.data);
	commit_changes_free(changes);
	job_free(job);
	batch_builder_deinit(&b);
	made_deinit(&whole);
	made_deinit(&empty);
	world_deinit(&w);
}
END_TEST

/* A raised incarnation goes on after a batch that is held; what is above is set aside, and its ids are free to come again. */
START_TEST(test_raised_incarnation)
{
	struct world w;
	struct made a, b, c, raised, again;
	struct header h;
	struct outcome o;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	c = make_next(&w, &b, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_OK);
	h = header_after(&w, &a, "network");
	begins_again(&h);
	h.incarnation = 2;
	raised = make(&w, h, "CR/2", "b", 1);
	o = deliver_from(&w, PUBLISHER, &raised, 0);
	ck_assert_int_eq(o.outcome, ACCEPT_OK);
	ck_assert(o.raised);
	ck_assert_uint_eq(o.set_aside, 2);
	ck_assert_uint_eq(o.refused, 0);
	again = make_next(&w, &raised, "CR/3", "c");
	o = deliver_from(&w, PUBLISHER, &again, 0);
	ck_assert_int_eq(o.outcome, ACCEPT_OK);
	ck_assert_uint_eq(o.refused, 0);
	ck_assert_uint_eq(held(&w, "network").last, 3);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_HELD); /* of the incarnation before: says nothing any more */
	ck_assert_uint_eq(held(&w, "network").incarnation, 2);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&raised);
	made_deinit(&again);
	world_deinit(&w);
}
END_TEST

/* An incarnation begins at one place only: a second beginning at a lower one is a fork, whether it reaches the first or not. */
START_TEST(test_raised_twice)
{
	struct world w;
	struct made a, b, c, raised, again, other;
	struct header h;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	c = make_next(&w, &b, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &c), ACCEPT_OK);
	h = header_after(&w, &b, "network");
	begins_again(&h);
	h.incarnation = 2;
	raised = make(&w, h, "CR/3", "c", 1);
	again = make_next(&w, &raised, "CR/4", "d");
	h = header_after(&w, &a, "network");
	begins_again(&h);
	h.incarnation = 2;
	other = make(&w, h, "CR/2", "b", 1);
	ck_assert_int_eq(deliver(&w, &raised), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &again), ACCEPT_OK);
	ck_assert_int_eq(deliver(&w, &b), ACCEPT_HELD);
	ck_assert_int_eq(deliver(&w, &other), ACCEPT_FORK);
	ck_assert(held(&w, "network").stopped);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&raised);
	made_deinit(&again);
	made_deinit(&other);
	world_deinit(&w);
}
END_TEST

/* A raised incarnation that goes on after another batch than the one held there is refused. It is no fork: its publisher may have gone back
 * in between, and shows that first. */
START_TEST(test_raised_on_another_history)
{
	struct world w;
	struct made a, x, raised;
	struct header h;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	x = make_next(&w, NULL, "CR/1", "x");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	h = header_after(&w, &x, "network");
	begins_again(&h);
	h.incarnation = 2;
	raised = make(&w, h, "CR/2", "b", 1);
	ck_assert_int_eq(deliver(&w, &raised), ACCEPT_FORGED);
	ck_assert(!held(&w, "network").stopped);
	made_deinit(&a);
	made_deinit(&x);
	made_deinit(&raised);
	world_deinit(&w);
}
END_TEST

/* A batch of one slot without its event. */
static struct made make_empty(struct world *w, const struct made *before)
{
	struct batch_builder b = {0};
	struct digest leaf = {{42}};
	struct made m;

	ck_assert_int_eq(batch_add_leaf(&b, &leaf), 0);
	m = seal(w, header_after(w, before, "network"), &b);
	batch_builder_deinit(&b);
	return m;
}

/* A slot without its event at the head is refused whole; with a later head announced it is taken in, and counted until an erasure
 * lists it. */
START_TEST(test_withheld)
{
	struct world w;
	struct made a, b, c;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_empty(&w, &a);
	c = make_next(&w, &b, "CR/3", "c");
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &b, 2).outcome, ACCEPT_WITHHELD);
	ck_assert_uint_eq(held(&w, "network").last, 1);
	ck_assert_uint_eq(held(&w, "network").uncovered, 0);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &b, 3).outcome, ACCEPT_OK);
	ck_assert_uint_eq(held(&w, "network").uncovered, 1);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &c, 3).outcome, ACCEPT_OK);
	ck_assert_uint_eq(held(&w, "network").uncovered, 1);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	world_deinit(&w);
}
END_TEST

/* A batch of one event as it is, not bound by what the publisher's own node would refuse. */
static struct made make_event(struct world *w, const struct made *before, const char *audience, struct event *e)
{
	struct batch_builder b = {0};
	struct digest leaf;
	struct made m;
	uint8_t *packed;
	size_t len;

	ck_assert_int_eq(event_pack(&packed, &len, e), 0);
	ck_assert_int_eq(batch_add(&b, bytes_of(packed, len), &leaf), 0);
	m = seal(w, header_after(w, before, audience), &b);
	free(packed);
	batch_builder_deinit(&b);
	return m;
}

/* Events of a modified node: stored and receipted, so that the channel goes on, but marked as refused. */
START_TEST(test_events_that_break_a_rule)
{
	struct world w;
	struct made a, b, c, d;
	struct draft draft;
	struct outcome o;

	world_init(&w);
	/* a nomination that another member is to have sent */
	draft = world_draft(OTHER, "mobility.nomination", "mobility/m1", READER, "n1",
		"{\"mobilityId\": \"m1\", \"sending\": {\"heiId\": \"" OTHER "\"}}");
	draft.event.revision = 1;
	a = make_event(&w, NULL, READER, &draft.event);
	draft_deinit(&draft);
	o = deliver_from(&w, PUBLISHER, &a, 0);
	ck_assert_int_eq(o.outcome, ACCEPT_OK);
	ck_assert_uint_eq(o.refused, 1);
	/* an id used twice, and a revision that falls */
	b = make(&w, header_after(&w, NULL, "network"), "CR/1", "b", 2);
	c = make(&w, header_after(&w, &b, "network"), "CR/2", "b", 1);
	d = make(&w, header_after(&w, &c, "network"), "CR/1", "d", 1);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &b, 0).refused, 0);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &c, 0).refused, 1);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &d, 0).refused, 1);
	ck_assert_uint_eq(held(&w, "network").last, 3);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&d);
	world_deinit(&w);
}
END_TEST

/* Channels have no order between them: a revision that arrives after a higher one of another channel is good, and the object stays where it was.
 * In its own channel it is refused. */
START_TEST(test_crossing_channels)
{
	struct world w;
	struct made a, b, c, d;

	world_init(&w);
	a = make(&w, header_after(&w, NULL, READER), "CR/1", "a", 2);
	b = make(&w, header_after(&w, NULL, "network"), "CR/1", "b", 1);
	c = make(&w, header_after(&w, &a, READER), "CR/1", "c", 2);
	d = make(&w, header_after(&w, &b, "network"), "CR/1", "d", 3);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &a, 0).refused, 0);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &b, 0).refused, 0);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &c, 0).refused, 1);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &d, 0).refused, 0);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&d);
	world_deinit(&w);
}
END_TEST

/* What a decision that judges revision 2 comes to, by the revision that the reader holds of the object. */
static const struct {
	uint64_t revision; /* 0: none is held */
	bool same_leaf;
	unsigned stale;
} overtaken[] = {{0, false, 0}, {1, false, 0}, {2, true, 0}, {2, false, 1}, {3, false, 1}};

START_TEST(test_stale_decisions)
{
	struct object_row object = {.revision = overtaken[_i].revision};
	struct index_key key;
	struct judged judged;
	struct outcome o;
	struct draft d;
	struct made a;
	struct world w;

	world_init(&w);
	d = world_draft(PUBLISHER, "mobility.decision", "mobility/m1", READER, "d1",
		"{\"source\": \"" READER "\", \"subject\": \"mobility/m1\", \"revision\": \"2\"}");
	d.event.revision = 1;
	ck_assert(event_judges(&d.event, &judged));
	object.leaf = judged.leaf;
	object.leaf.bytes[0] ^= overtaken[_i].same_leaf ? 0 : 1;
	index_object(&key, &w.store_keys, judged.source, judged.topic, judged.subject);
	memory_ledger_begin(w.reader);
	if (object.revision != 0)
		ck_assert_int_eq(memory_ledger_ops.object_put(w.reader, &key, &object), 0);
	memory_ledger_commit(w.reader);
	a = make_event(&w, NULL, READER, &d.event);
	o = deliver_from(&w, PUBLISHER, &a, 0);
	ck_assert_int_eq(o.outcome, ACCEPT_OK);
	ck_assert_uint_eq(o.refused, 0);
	ck_assert_uint_eq(o.stale, overtaken[_i].stale);
	draft_deinit(&d);
	made_deinit(&a);
	world_deinit(&w);
}
END_TEST

/* Slots without events that a raised incarnation sets aside are not counted any more. */
START_TEST(test_uncovered_set_aside)
{
	struct world w;
	struct made a, b, c, raised;
	struct header h;

	world_init(&w);
	a = make_empty(&w, NULL);
	b = make_empty(&w, &a);
	c = make_empty(&w, &b);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &a, 9).outcome, ACCEPT_OK);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &b, 9).outcome, ACCEPT_OK);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &c, 9).outcome, ACCEPT_OK);
	ck_assert_uint_eq(held(&w, "network").uncovered, 3);
	h = header_after(&w, &a, "network");
	begins_again(&h);
	h.incarnation = 2;
	raised = make(&w, h, "CR/2", "b", 1);
	ck_assert_int_eq(deliver(&w, &raised), ACCEPT_OK);
	ck_assert_uint_eq(held(&w, "network").uncovered, 1);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	made_deinit(&raised);
	world_deinit(&w);
}
END_TEST

/* An erasure of the second event; it breaks a rule, or not. */
static struct made make_erasure(struct world *w, const struct made *before, bool bad)
{
	struct made m;
	struct draft d = world_draft(PUBLISHER, "person.erasure", "person/e1", "network", "e1",
		"{\"erasureId\": \"e1\", \"person\": null, \"sequences\": [\"2\"]}");

	d.event.revision = 1;
	if (bad)
		strcpy(d.event.data_class, "public"); /* shorter than the topic's own */
	m = make_event(w, before, "network", &d.event);
	draft_deinit(&d);
	return m;
}

/* An erasure covers the slots that it lists; one that is refused covers nothing. */
START_TEST(test_refused_erasure)
{
	struct world w;
	struct made a, b, c;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_empty(&w, &a);
	c = make_erasure(&w, &b, _i == 1);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &b, 3).outcome, ACCEPT_OK);
	ck_assert_uint_eq(deliver_from(&w, PUBLISHER, &c, 3).refused, (unsigned)_i);
	ck_assert_uint_eq(held(&w, "network").uncovered, (uint64_t)_i);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	world_deinit(&w);
}
END_TEST

/* A full disk takes in what erases and nothing else, not even an erasure that is refused. */
START_TEST(test_erasure_on_a_full_disk)
{
	struct world w;
	struct made a, b, c;

	world_init(&w);
	a = make_next(&w, NULL, "CR/1", "a");
	b = make_next(&w, &a, "CR/2", "b");
	c = make_erasure(&w, &a, _i == 1);
	ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
	memory_ledger_limit(w.reader, 100);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &b, 0).outcome, ACCEPT_FULL);
	ck_assert_int_eq(deliver_from(&w, PUBLISHER, &c, 0).outcome, _i == 1 ? ACCEPT_FULL : ACCEPT_OK);
	made_deinit(&a);
	made_deinit(&b);
	made_deinit(&c);
	world_deinit(&w);
}
END_TEST

/* A batch whose transaction was undone for another's sake is taken in again, and counted once. */
START_TEST(test_run_again)
{
	struct world w;
	struct commit_changes *changes = NULL;
	struct job *job;
	struct made a;

	world_init(&w);
	a = make(&w, header_after(&w, NULL, "network"), "CR/1", "a", 0); /* revisions begin with 1 */
	job = delivery(&w, PUBLISHER, &a, 0);
	world_run_in_vain(&w, w.reading, w.reader, job);
	ck_assert_int_eq(world_run(&w, w.reading, w.reader, job, &changes), 0);
	ck_assert_int_eq(job->accept.outcome, ACCEPT_OK);
	ck_assert_uint_eq(job->accept.n_refused, 1);
	commit_changes_free(changes);
	job_free(job);
	made_deinit(&a);
	world_deinit(&w);
}
END_TEST

/* Whatever change of the ledger fails, nothing of the batch is left, and it is taken in afterwards. */
START_TEST(test_every_failure_of_the_ledger)
{
	for (uint64_t n = 0;; n++) {
		struct world w;
		struct made a;
		struct outcome o;

		world_init(&w);
		a = make_next(&w, NULL, "CR/1", "a");
		memory_ledger_fail(w.reader, n, n % 2 == 0 ? -ENOMEM : LEDGER_FULL);
		o = deliver_from(&w, PUBLISHER, &a, 0);
		if (o.result != 0) {
			ck_assert_int_eq(o.outcome, n % 2 == 0 ? ACCEPT_FAILED : ACCEPT_FULL);
			ck_assert_uint_eq(held(&w, "network").last, 0);
			ck_assert_int_eq(deliver(&w, &a), ACCEPT_OK);
		}
		made_deinit(&a);
		world_deinit(&w);
		if (o.result == 0)
			break;
		ck_assert_uint_lt(n, 50);
	}
}
END_TEST

/* ---- receipts, at the publisher ---- */

static struct job *receipt_job(
	struct world *w, const struct receipt *receipt, const struct node_keys *keys, const char *peer)
{
	struct job *job = job_new(JOB_RECEIPT, w->trust);
	struct commit_changes *changes = NULL;

	ck_assert_int_eq(receipt_sign(&job->receipt.packed, job->receipt.signature, receipt, keys), 0);
	strcpy(job->receipt.peer, peer);
	ck_assert_int_eq(world_run(w, w->publishing, w->publisher, job, &changes), 0);
	commit_changes_free(changes);
	return job;
}

/* A receipt counts only when its reader signed it, for a head of ours, and it is newer than the one before. */
START_TEST(test_receipts)
{
	struct world w;
	struct commit_changes *changes = NULL;
	struct draft d;
	struct job *job;
	struct receipt r = {.incarnation = 1, .from = 1, .to = 1, .key = 1};

	world_init(&w);
	d = world_course("CR/1", "network", "a", "1");
	job = world_publish_job(&w, &d, 1);
	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), 0);
	r.head = changes->batches[0].digest;
	commit_changes_free(changes);
	job_free(job);
	r.network = *trust_network(w.trust);
	strcpy(r.reader, READER);
	strcpy(r.publisher, PUBLISHER);
	r.audience = (char *)"network";

	job = receipt_job(&w, &r, &w.reader_keys, OTHER); /* shown by another */
	ck_assert(!job->receipt.good);
	job_free(job);
	job = receipt_job(&w, &r, &w.publisher_keys, READER); /* signed by another */
	ck_assert(!job->receipt.good);
	job_free(job);
	r.to = 2; /* more than was published */
	job = receipt_job(&w, &r, &w.reader_keys, READER);
	ck_assert(!job->receipt.good);
	job_free(job);
	r.to = 1;
	r.head.bytes[0] ^= 1; /* a head that was never published */
	job = receipt_job(&w, &r, &w.reader_keys, READER);
	ck_assert(!job->receipt.good);
	job_free(job);
	r.head.bytes[0] ^= 1;
	r.incarnation = 2; /* it was published in another */
	job = receipt_job(&w, &r, &w.reader_keys, READER);
	ck_assert(!job->receipt.good);
	job_free(job);
	r.incarnation = 1;
	job = receipt_job(&w, &r, &w.reader_keys, READER);
	ck_assert(job->receipt.good);
	job_free(job);
	world_deinit(&w);
}
END_TEST

/* Receipts are given also when the commit's last job is one of a plugin, which has no roster. */
START_TEST(test_receipt_beside_a_plugin)
{
	struct world w;
	struct made m;
	struct job *jobs[2];
	struct commit_changes *changes = NULL;

	world_init(&w);
	m = make_next(&w, NULL, "CR/1", "a");
	jobs[0] = delivery(&w, PUBLISHER, &m, 0);
	jobs[1] = job_new(JOB_DELIVERY, NULL);
	strcpy(jobs[1]->delivery.plugin, "registrar");
	memory_ledger_begin(w.reader);
	ck_assert_int_eq(commit_run(w.reading, &memory_ledger_ops, w.reader, jobs, 2, NOW_MS, w.seed, &changes), 0);
	memory_ledger_commit(w.reader);
	ck_assert_int_eq(jobs[0]->accept.outcome, ACCEPT_OK);
	ck_assert_uint_eq(changes->n_channels, 1);
	ck_assert_ptr_nonnull(changes->channels[0].receipt.data);
	commit_changes_free(changes);
	job_free(jobs[0]);
	job_free(jobs[1]);
	made_deinit(&m);
	world_deinit(&w);
}
END_TEST

/* What is opened ahead gives the same outcomes as what is opened when its turn comes. */
static TCase *accept_case(const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_batches_in_order);
	tcase_add_test(tc, test_gap);
	tcase_add_loop_test(tc, test_lies_in_the_header, 0, sizeof lies / sizeof *lies);
	tcase_add_test(tc, test_replays);
	tcase_add_test(tc, test_every_bit_counts);
	tcase_add_test(tc, test_change_of_keys);
	tcase_add_test(tc, test_fork);
	tcase_add_loop_test(tc, test_damaged_is_no_fork, 0, 2);
	tcase_add_loop_test(tc, test_fork_disowned, 0, 2);
	tcase_add_test(tc, test_shown_by_another);
	tcase_add_test(tc, test_parts_earlier);
	tcase_add_test(tc, test_shown_after_it_was_left);
	tcase_add_test(tc, test_framed);
	tcase_add_test(tc, test_disowned);
	tcase_add_test(tc, test_damaged_is_not_disowned);
	tcase_add_test(tc, test_given_back);
	tcase_add_test(tc, test_raised_incarnation);
	tcase_add_test(tc, test_raised_twice);
	tcase_add_test(tc, test_raised_on_another_history);
	tcase_add_test(tc, test_withheld);
	tcase_add_test(tc, test_events_that_break_a_rule);
	tcase_add_test(tc, test_crossing_channels);
	tcase_add_loop_test(tc, test_stale_decisions, 0, sizeof overtaken / sizeof *overtaken);
	tcase_add_test(tc, test_uncovered_set_aside);
	tcase_add_loop_test(tc, test_refused_erasure, 0, 2);
	tcase_add_test(tc, test_run_again);
	tcase_add_loop_test(tc, test_erasure_on_a_full_disk, 0, 2);
	tcase_add_test(tc, test_every_failure_of_the_ledger);
	tcase_add_test(tc, test_receipts);
	tcase_add_test(tc, test_receipt_beside_a_plugin);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("accept");
	TCase *opened_ahead = accept_case("opened ahead");

	tcase_add_checked_fixture(opened_ahead, set_ahead, NULL);
	suite_add_tcase(suite, accept_case("accept"));
	suite_add_tcase(suite, opened_ahead);
	return unit_run(suite);
}
