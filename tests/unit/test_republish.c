#include "commit_world.h"

#include "core/archived.h"
#include "core/event.h"

/* A batch of the publisher's, as a reader has it. */
struct given {
	struct sealed_batch batch;
	struct digest digest;
	uint8_t key[BATCH_KEY_LEN];
};

static void given_deinit(struct given *g)
{
	sealed_batch_deinit(&g->batch);
}

/* Publishes one course, whose code is the event's id; its batch, when `out` is not NULL, is the caller's. */
static void say(struct world *w, struct memory_ledger *ledger, const char *course, const char *id, struct given *out)
{
	struct draft d = world_course(course, "network", id, id);
	struct job *job = world_publish_job(w, &d, 1);
	struct commit_changes *changes = NULL;

	ck_assert_int_eq(world_run(w, w->publishing, ledger, job, &changes), 0);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	ck_assert_uint_eq(changes->n_batches, 1);
	if (out != NULL) {
		*out = (struct given){.batch = changes->batches[0].batch, .digest = changes->batches[0].digest};
		memcpy(out->key, changes->batches[0].key, sizeof out->key);
		changes->batches[0].batch = (struct sealed_batch){0};
	}
	commit_changes_free(changes);
	job_free(job);
}

static struct job *accept_job(struct world *w, const struct given *g)
{
	struct job *job = job_new(JOB_ACCEPT, w->trust);

	memcpy(job->accept.batch.signature, g->batch.signature, SIGNATURE_LEN);
	job->accept.batch.header = bytes_of(bytes_dup(g->batch.header), g->batch.header.len);
	return job;
}

/* A reader gives it back. */
static struct job *give_job(struct world *w, const struct given *g)
{
	struct job *job = accept_job(w, g);
	struct entropy entropy;

	entropy_init(&entropy, w->seed);
	strcpy(job->accept.peer, READER);
	memcpy(job->accept.session_key, w->session_key, sizeof w->session_key);
	key_wrap(job->accept.wrapped, w->session_key, &g->digest, g->key, &entropy);
	job->accept.batch.body = bytes_of(bytes_dup(g->batch.body), g->batch.body.len);
	return job;
}

/* A reader shows its header. */
static struct job *show_job(struct world *w, const struct given *g)
{
	struct job *job = accept_job(w, g);

	strcpy(job->accept.peer, PUBLISHER);
	strcpy(job->accept.witness, READER);
	return job;
}

/* What came of it; the job is given up. */
static enum accept_outcome run(struct world *w, struct memory_ledger *ledger, struct job *job, uint64_t set_aside)
{
	struct commit_changes *changes = NULL;
	enum accept_outcome outcome;

	ck_assert_int_eq(world_run(w, w->publishing, ledger, job, &changes), 0);
	outcome = job->accept.outcome;
	ck_assert_uint_eq(job->accept.set_aside, set_aside);
	commit_changes_free(changes);
	job_free(job);
	return outcome;
}

static enum accept_outcome give(struct world *w, struct memory_ledger *ledger, const struct given *g)
{
	return run(w, ledger, give_job(w, g), 0);
}

/* Publishes again all there is. */
static void republish(struct world *w, struct memory_ledger *ledger)
{
	struct commit_changes *changes;
	struct job *job;
	bool none;

	do {
		changes = NULL;
		job = job_new(JOB_REPUBLISH, w->trust);
		ck_assert_int_eq(world_run(w, w->publishing, ledger, job, &changes), 0);
		ck_assert_int_eq(job->republish.publish.outcome, PUBLISH_OK);
		none = job->republish.none;
		commit_changes_free(changes);
		job_free(job);
	} while (!none);
}

struct telling {
	struct world *w;
	struct buffer text;
};

static int tell_batch(void *context, const struct batch_row *row)
{
	struct telling *t = context;
	struct archived o;

	ck_assert_int_eq(archived_read(&o, &t->w->store_keys, row), 0);
	for (size_t i = 0; i < o.slots.n; i++) {
		struct event e = {0};
		bool again;

		ck_assert_int_eq(event_unpack(&e, o.slots.items[i].event), 0);
		again = strncmp(e.id, "again-", 6) == 0;
		buffer_printf(&t->text, "%u.%llu %s%s r%llu\n", row->incarnation, (unsigned long long)(row->first + i),
			again ? "again " : e.id, again ? e.subject + strlen("course/CR/") : "",
			(unsigned long long)e.revision);
		event_deinit(&e);
	}
	archived_deinit(&o);
	return 0;
}

/* The history of the channel to the network, an event in each line: incarnation, sequence, id, revision. */
static void expect(struct world *w, struct memory_ledger *ledger, const char *history)
{
	struct telling t = {w, {0}};

	ck_assert_int_eq(memory_archive_ops.channel_batches(ledger, 1, 0, tell_batch, &t), 0);
	ck_assert_str_eq(buffer_cstr(&t.text), history);
	buffer_deinit(&t.text);
}

/* A first life that published a, b and c, and the disk as it was after a. */
struct lives {
	struct world w;
	struct memory_ledger *old;
	struct given b, c;
};

static void lives_init(struct lives *l)
{
	world_init(&l->w);
	say(&l->w, l->w.publisher, "CR/1", "a", NULL);
	l->old = memory_ledger_copy(l->w.publisher);
	say(&l->w, l->w.publisher, "CR/1", "b", &l->b);
	say(&l->w, l->w.publisher, "CR/2", "c", &l->c);
}

static void lives_deinit(struct lives *l)
{
	memory_ledger_free(l->old);
	given_deinit(&l->b);
	given_deinit(&l->c);
	world_deinit(&l->w);
}

/* What goes on where the copy ends is simply taken back. */
START_TEST(test_nothing_published_meanwhile)
{
	struct lives l;

	lives_init(&l);
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_OK);
	ck_assert_int_eq(give(&l.w, l.old, &l.c), ACCEPT_OK);
	republish(&l.w, l.old);
	say(&l.w, l.old, "CR/3", "d", NULL);
	expect(&l.w, l.old, "1.1 a r1\n1.2 b r2\n1.3 c r1\n1.4 d r1\n");
	lives_deinit(&l);
}
END_TEST

/* A header of its own that contradicts what a publisher published anew: it goes back behind neither, begins a later incarnation, and publishes both
 * again, what readers had first; the newer state comes once more, for who knows it already, under another id. */
START_TEST(test_two_histories)
{
	struct lives l;

	lives_init(&l);
	say(&l.w, l.old, "CR/1", "x", NULL);
	say(&l.w, l.old, "CR/3", "y", NULL);
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &l.b), 2), ACCEPT_FORK);
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &l.b), 0), ACCEPT_SURPLUS);
	expect(&l.w, l.old, "1.1 a r1\n");
	ck_assert_int_eq(give(&l.w, l.old, &l.c), ACCEPT_GAP); /* what it follows is not known yet */
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_ASIDE);
	ck_assert_int_eq(give(&l.w, l.old, &l.c), ACCEPT_ASIDE);
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_HELD);
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &l.c), 0), ACCEPT_HELD);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n2.2 b r3\n2.3 c r2\n2.4 x r4\n2.5 again 1 r5\n2.6 y r2\n");
	republish(&l.w, l.old); /* once is enough */
	say(&l.w, l.old, "CR/2", "z", NULL);
	expect(&l.w, l.old, "1.1 a r1\n2.2 b r3\n2.3 c r2\n2.4 x r4\n2.5 again 1 r5\n2.6 y r2\n2.7 z r3\n");
	lives_deinit(&l);
}
END_TEST

/* Without a header shown before, the batch alone does the same. */
START_TEST(test_given_before_shown)
{
	struct lives l;

	lives_init(&l);
	say(&l.w, l.old, "CR/3", "y", NULL);
	ck_assert_int_eq(run(&l.w, l.old, give_job(&l.w, &l.b), 1), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n2.2 b r3\n2.3 y r2\n");
	lives_deinit(&l);
}
END_TEST

/* A restored backup goes on in a later incarnation at once, so that readers see no fork. Who held more comes later: what it has is published again,
 * and what was published since stays the last word. */
START_TEST(test_restored)
{
	struct lives l;

	lives_init(&l);
	ck_assert_int_eq(committer_restored(l.w.publishing, "2"), 0);
	say(&l.w, l.old, "CR/1", "x", NULL);
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &l.c), 0), ACCEPT_SURPLUS);
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_ASIDE);
	ck_assert_int_eq(give(&l.w, l.old, &l.c), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n2.2 x r2\n2.3 b r3\n2.4 again 1 r4\n2.5 c r2\n");
	lives_deinit(&l);
}
END_TEST

/* What a local system published again by itself, under its id, is not repeated. */
START_TEST(test_known_ids)
{
	struct lives l;

	lives_init(&l);
	ck_assert_int_eq(committer_restored(l.w.publishing, "2"), 0);
	say(&l.w, l.old, "CR/1", "b", NULL);
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n2.2 b r2\n");
	lives_deinit(&l);
}
END_TEST

/* Histories that part at different places: the publisher goes back behind the first of them, in the incarnation after the latest. */
START_TEST(test_three_histories)
{
	struct memory_ledger *middle;
	struct lives l;
	struct given y;

	lives_init(&l);
	middle = memory_ledger_copy(l.old);
	ck_assert_int_eq(give(&l.w, middle, &l.b), ACCEPT_OK); /* as the disk was after b */
	say(&l.w, l.old, "CR/3", "y", &y);
	say(&l.w, middle, "CR/4", "x", NULL);
	ck_assert_int_eq(run(&l.w, middle, give_job(&l.w, &l.c), 1), ACCEPT_ASIDE);
	ck_assert_int_eq(run(&l.w, middle, give_job(&l.w, &y), 1), ACCEPT_ASIDE);
	republish(&l.w, middle);
	expect(&l.w, middle, "1.1 a r1\n2.2 c r2\n2.3 y r2\n2.4 b r3\n2.5 x r2\n");
	ck_assert_int_eq(give(&l.w, middle, &l.b), ACCEPT_HELD);
	given_deinit(&y);
	memory_ledger_free(middle);
	lives_deinit(&l);
}
END_TEST

/* A reader cannot leave an event out of what it gives back. */
START_TEST(test_empty_slot)
{
	struct batch_builder b = {0};
	struct digest leaf = {{1}};
	struct header h = {0};
	struct entropy entropy;
	struct given empty;
	struct lives l;

	lives_init(&l);
	say(&l.w, l.old, "CR/3", "y", NULL);
	ck_assert_int_eq(header_decode(&h, l.b.batch.header), 0);
	ck_assert_int_eq(batch_add_leaf(&b, &leaf), 0);
	entropy_init(&entropy, l.w.seed);
	ck_assert_int_eq(batch_seal(&empty.batch, empty.key, &h, &b, &l.w.publisher_keys, &entropy), 0);
	digest_header(&empty.digest, empty.batch.header);
	ck_assert_int_eq(give(&l.w, l.old, &empty), ACCEPT_WITHHELD);
	expect(&l.w, l.old, "1.1 a r1\n1.2 y r1\n");
	say(&l.w, l.old, "CR/3", "z", NULL); /* nothing has changed */
	expect(&l.w, l.old, "1.1 a r1\n1.2 y r1\n1.3 z r2\n");
	given_deinit(&empty);
	header_deinit(&h);
	batch_builder_deinit(&b);
	lives_deinit(&l);
}
END_TEST

/* A header alone does it too where the publisher has gone on in a later incarnation above the place: it goes back behind that. */
START_TEST(test_shown_below_a_later_incarnation)
{
	struct lives l;

	lives_init(&l);
	say(&l.w, l.old, "CR/3", "x", NULL);
	ck_assert_int_eq(committer_restored(l.w.publishing, "2"), 0);
	say(&l.w, l.old, "CR/3", "y", NULL);
	expect(&l.w, l.old, "1.1 a r1\n1.2 x r1\n2.3 y r2\n");
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &l.b), 2), ACCEPT_FORK);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n3.2 x r3\n3.3 y r4\n");
	lives_deinit(&l);
}
END_TEST

static int count_fork(void *context, const struct fork_row *row)
{
	++*(unsigned *)context;
	return 0;
}

/* A header of an incarnation between two of the history is no fork, and accuses nobody; who holds it can follow only when the publisher has gone
 * back behind the place all the same. */
START_TEST(test_shown_between_incarnations)
{
	struct lives l;
	struct given b;
	unsigned n_forks = 0;

	lives_init(&l);
	memory_ledger_free(l.w.publisher);
	l.w.publisher = memory_ledger_copy(l.old);
	ck_assert_int_eq(committer_restored(l.w.publishing, "2"), 0);
	say(&l.w, l.w.publisher, "CR/1", "b", &b);
	committer_free(l.w.publishing);
	l.w.publishing = committer_new(PUBLISHER, &l.w.publisher_keys, &l.w.store_keys);
	say(&l.w, l.old, "CR/3", "x", NULL);
	ck_assert_int_eq(committer_restored(l.w.publishing, "3"), 0);
	say(&l.w, l.old, "CR/4", "y", NULL);
	expect(&l.w, l.old, "1.1 a r1\n1.2 x r1\n3.3 y r1\n");
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &b), 2), ACCEPT_SURPLUS);
	ck_assert_int_eq(memory_archive_ops.forks(l.old, count_fork, &n_forks), 0);
	ck_assert_uint_eq(n_forks, 0);
	ck_assert_int_eq(give(&l.w, l.old, &b), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n4.2 b r3\n4.3 x r2\n4.4 y r2\n");
	given_deinit(&b);
	lives_deinit(&l);
}
END_TEST

/* What the publisher's own disk changed is no other history: it goes back behind nothing. */
START_TEST(test_damaged_is_no_history)
{
	struct lives l;
	struct given x, y;

	lives_init(&l);
	say(&l.w, l.old, "CR/3", "x", &x);
	say(&l.w, l.old, "CR/4", "y", &y);
	world_flip_digest(l.old, 2);
	ck_assert_int_eq(give(&l.w, l.old, &x), ACCEPT_HELD);
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &x), 0), ACCEPT_HELD);
	ck_assert_int_eq(give(&l.w, l.old, &y), ACCEPT_HELD);
	given_deinit(&x);
	given_deinit(&y);
	lives_deinit(&l);
}
END_TEST

/* A batch in the place of b with such bytes for its event, signed by the publisher. */
static struct given in_place_of_b(struct lives *l, struct bytes packed)
{
	struct batch_builder b = {0};
	struct header h = {0};
	struct entropy entropy;
	struct digest leaf;
	struct given out;

	ck_assert_int_eq(header_decode(&h, l->b.batch.header), 0);
	ck_assert_int_eq(batch_add(&b, packed, &leaf), 0);
	entropy_init(&entropy, l->w.seed);
	ck_assert_int_eq(batch_seal(&out.batch, out.key, &h, &b, &l->w.publisher_keys, &entropy), 0);
	digest_header(&out.digest, out.batch.header);
	header_deinit(&h);
	batch_builder_deinit(&b);
	return out;
}

/* What a later version of this node published is published again, though its topic is not known here. What is no event of any version is left
 * out; neither holds up the rest. */
START_TEST(test_strange_events)
{
	struct draft d = world_course("CR/9", "network", "later", "later");
	struct given strange;
	uint8_t *packed;
	struct lives l;
	size_t len;

	lives_init(&l);
	say(&l.w, l.old, "CR/3", "y", NULL);
	d.event.revision = 1;
	free(d.event.type);
	d.event.type = strdup("eu.enlight.course.hologram.v1");
	ck_assert_int_eq(event_pack(&packed, &len, &d.event), 0);
	strange = in_place_of_b(&l, _i == 0 ? bytes_of(packed, len) : bytes_str("no event"));
	ck_assert_int_eq(run(&l.w, l.old, give_job(&l.w, &strange), 1), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, _i == 0 ? "1.1 a r1\n2.2 later r2\n2.3 y r2\n" : "1.1 a r1\n2.2 y r2\n");
	free(packed);
	draft_deinit(&d);
	given_deinit(&strange);
	lives_deinit(&l);
}
END_TEST

/* A newer state that is too large to come once more, under a longer id, does not hold up the rest. */
START_TEST(test_as_large_as_may_be)
{
	struct draft d = world_course("CR/1", "network", "x", "x");
	struct commit_changes *changes = NULL;
	uint8_t *packed, *data;
	struct job *job;
	struct lives l;
	size_t len, n;

	lives_init(&l);
	ck_assert_int_eq(committer_restored(l.w.publishing, "2"), 0);
	ck_assert_int_eq(event_pack(&packed, &len, &d.event), 0);
	n = d.event.data.len + EVENT_MAX - len - 16;
	data = calloc(1, n);
	memcpy(data, d.event.data.data, d.event.data.len);
	free((void *)d.event.data.data);
	d.event.data = bytes_of(data, n);
	job = world_publish_job(&l.w, &d, 1);
	ck_assert_int_eq(world_run(&l.w, l.w.publishing, l.old, job, &changes), 0);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	commit_changes_free(changes);
	job_free(job);
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_ASIDE);
	ck_assert_int_eq(give(&l.w, l.old, &l.c), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n2.2 x r2\n2.3 b r3\n2.4 c r2\n");
	free(packed);
	lives_deinit(&l);
}
END_TEST

/* The publisher goes on with its second key; the first one retires or is revoked. */
static void change_key(struct lives *l, enum card_key_state first)
{
	struct card_key keys[] = {card_key_of(PUBLISHER, 1, first), card_key_of(PUBLISHER, 2, CARD_KEY_CURRENT)};
	struct actor publisher = actor_of(PUBLISHER, 0);
	struct buffer text = {0};

	card_write(
		&text, trust_network(l->w.trust), PUBLISHER, first == CARD_KEY_RETIRED ? 2 : 3, NULL, keys, 2, NULL, 0);
	sign_by(&text, &publisher);
	sign_by_node(&text, PUBLISHER, 2);
	l->w.trust = world_learn(l->w.trust, &text);
	l->w.publisher_keys = node_keys_of(PUBLISHER, 2);
	committer_free(l->w.publishing);
	l->w.publishing = committer_new(PUBLISHER, &l->w.publisher_keys, &l->w.store_keys);
}

/* What a reader gives back under a revoked key does not become the publisher's history, though it goes on where that ends. A header proves
 * nothing. */
START_TEST(test_not_taken_in_under_a_revoked_key)
{
	struct lives l;

	lives_init(&l);
	change_key(&l, CARD_KEY_REVOKED);
	ck_assert_int_eq(run(&l.w, l.old, show_job(&l.w, &l.b), 0), ACCEPT_FORGED);
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n");
	say(&l.w, l.old, "CR/3", "y", NULL);
	expect(&l.w, l.old, "1.1 a r1\n1.2 y r1\n");
	lives_deinit(&l);
}
END_TEST

/* The history that a publisher lost began under a key that was revoked later, and went on under another: who holds that one had it all, so
 * all of it is published again, but for what nothing follows; also when what follows comes from another reader, and later. */
START_TEST(test_vouched_by_a_later_key)
{
	struct memory_ledger *branch;
	struct given d, e, t;
	struct lives l;

	lives_init(&l);
	branch = memory_ledger_copy(l.old);
	say(&l.w, branch, "CR/6", "t", &t);
	change_key(&l, CARD_KEY_RETIRED);
	say(&l.w, l.w.publisher, "CR/4", "d", &d);
	say(&l.w, l.w.publisher, "CR/5", "e", &e);
	change_key(&l, CARD_KEY_REVOKED);
	ck_assert_int_eq(give(&l.w, l.old, &t), ACCEPT_ASIDE);
	ck_assert_int_eq(give(&l.w, l.old, &l.b), ACCEPT_ASIDE);
	ck_assert_int_eq(give(&l.w, l.old, &l.c), ACCEPT_ASIDE);
	if (_i == 1) {
		republish(&l.w, l.old);
		expect(&l.w, l.old, "1.1 a r1\n");
	}
	ck_assert_int_eq(give(&l.w, l.old, &d), ACCEPT_ASIDE);
	ck_assert_int_eq(give(&l.w, l.old, &e), ACCEPT_ASIDE);
	republish(&l.w, l.old);
	expect(&l.w, l.old, "1.1 a r1\n2.2 b r3\n2.3 c r2\n2.4 d r2\n2.5 e r2\n");
	given_deinit(&d);
	given_deinit(&e);
	given_deinit(&t);
	memory_ledger_free(branch);
	lives_deinit(&l);
}
END_TEST

/* Whatever write fails, the transaction is undone, and done at the next try. */
START_TEST(test_every_failure)
{
	struct lives l;
	int r = -1;

	for (uint64_t n = 0; r != 0; n++) {
		struct commit_changes *changes = NULL;
		struct job *job;

		ck_assert_uint_lt(n, 200);
		lives_init(&l);
		say(&l.w, l.old, "CR/1", "x", NULL);
		job = _i == 0 ? give_job(&l.w, &l.b) : job_new(JOB_REPUBLISH, l.w.trust);
		if (_i == 1)
			ck_assert_int_eq(run(&l.w, l.old, give_job(&l.w, &l.b), 1), ACCEPT_ASIDE);
		memory_ledger_fail(l.old, n, LEDGER_FULL);
		r = world_run(&l.w, l.w.publishing, l.old, job, &changes);
		memory_ledger_fail(l.old, 0, 0);
		commit_changes_free(changes);
		job_free(job);
		if (r != 0) {
			ck_assert_int_eq(r, LEDGER_FULL);
			if (_i == 0)
				ck_assert_int_eq(run(&l.w, l.old, give_job(&l.w, &l.b), 1), ACCEPT_ASIDE);
		}
		republish(&l.w, l.old);
		expect(&l.w, l.old, "1.1 a r1\n2.2 b r3\n2.3 x r4\n2.4 again 1 r5\n");
		lives_deinit(&l);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("republish");
	TCase *tc = tcase_create("republish");

	tcase_add_test(tc, test_nothing_published_meanwhile);
	tcase_add_test(tc, test_two_histories);
	tcase_add_test(tc, test_given_before_shown);
	tcase_add_test(tc, test_restored);
	tcase_add_test(tc, test_known_ids);
	tcase_add_test(tc, test_three_histories);
	tcase_add_test(tc, test_empty_slot);
	tcase_add_test(tc, test_shown_below_a_later_incarnation);
	tcase_add_test(tc, test_shown_between_incarnations);
	tcase_add_test(tc, test_damaged_is_no_history);
	tcase_add_loop_test(tc, test_strange_events, 0, 2);
	tcase_add_test(tc, test_as_large_as_may_be);
	tcase_add_test(tc, test_not_taken_in_under_a_revoked_key);
	tcase_add_loop_test(tc, test_vouched_by_a_later_key, 0, 2);
	tcase_add_loop_test(tc, test_every_failure, 0, 2);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
