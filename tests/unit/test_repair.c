#include "commit_world.h"
#include "core/batch.h"
#include "core/check.h"
#include "core/query.h"

#include <sodium.h>

/* What the disk changed is found, and mended by the very batch that was stored, and by nothing else. */

enum { BATCHES = 3 };

static struct world w;

/* A stored batch, copied. */
struct copy {
	struct batch_row row;
	uint8_t *bytes[4]; /* header, signature, body, wrapped */
};
static struct copy before[BATCHES + 1];

static struct bytes *part(struct batch_row *row, size_t i)
{
	struct bytes *const parts[] = {&row->header, &row->signature, &row->body, &row->wrapped};

	return parts[i];
}

static int take_copy(void *context, const struct batch_row *row)
{
	struct copy *c = context;

	c->row = *row;
	for (size_t i = 0; i < 4; i++) {
		c->bytes[i] = bytes_dup(*part(&c->row, i));
		part(&c->row, i)->data = c->bytes[i];
	}
	return 0;
}

static void copy_free(struct copy *c)
{
	for (size_t i = 0; i < 4; i++)
		free(c->bytes[i]);
}

static void publish_to(const char *audience, unsigned n)
{
	struct commit_changes *changes = NULL;
	char id[16];
	struct draft draft;
	struct job *job;

	snprintf(id, sizeof id, "%u", n);
	draft = world_course(id, audience, id, id);
	job = world_publish_job(&w, &draft, 1);
	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), 0);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	commit_changes_free(changes);
	job_free(job);
}

static void publish(unsigned n)
{
	publish_to("network", n);
}

static void start(void)
{
	world_init(&w);
	for (unsigned n = 1; n <= BATCHES; n++) {
		publish(n);
		ck_assert_int_eq(memory_archive_ops.batch(w.publisher, n, take_copy, &before[n]), 0);
	}
}

static void end(void)
{
	for (unsigned n = 1; n <= BATCHES; n++)
		copy_free(&before[n]);
	world_deinit(&w);
}

static struct check_query check(uint64_t only)
{
	struct check_query q = {.only = only, .trust = trust_ref(w.trust)};

	ck_assert_int_eq(check_run(&w.store_keys, &memory_archive_ops, w.publisher, &q), 0);
	ck_assert(!q.more);
	return q;
}

static void assert_whole(void)
{
	struct check_query q = check(0);

	ck_assert_uint_eq(q.n_batches, BATCHES);
	ck_assert_uint_eq(q.n_damages, 0);
	ck_assert_uint_eq(q.next, BATCHES);
	ck_assert_uint_eq(q.end, BATCHES);
	check_deinit(&q);
}

/* The disk changes one bit of a batch: of header, signature, body or wrapped key, or (4) of its digest. */
static void flip(unsigned number, size_t which)
{
	struct batch_row row = before[number].row;
	struct bytes *changed = which < 4 ? part(&row, which) : NULL;
	uint8_t *bytes = changed == NULL ? NULL : bytes_dup(*changed);

	if (changed == NULL) {
		row.digest.bytes[7] ^= 16;
	} else {
		bytes[changed->len / 2] ^= 16;
		changed->data = bytes;
	}
	memory_ledger_begin(w.publisher);
	ck_assert_int_eq(memory_ledger_ops.batch_mend(w.publisher, &row), 0);
	memory_ledger_commit(w.publisher);
	free(bytes);
}

/* A batch as a peer delivers it, for the place of `number`. */
static struct job *delivered(uint64_t number, const struct copy *c)
{
	struct job *job = job_new(JOB_REPAIR, w.trust);
	struct accept_job *a = &job->repair.delivered;
	uint8_t key[BATCH_KEY_LEN];
	struct entropy entropy;

	job->repair.number = number;
	entropy_init(&entropy, w.seed);
	ck_assert(key_unwrap(key, w.store_keys.wrap, &c->row.digest, c->row.wrapped));
	key_wrap(a->wrapped, w.session_key, &c->row.digest, key, &entropy);
	memcpy(a->session_key, w.session_key, sizeof w.session_key);
	memcpy(a->batch.signature, c->row.signature.data, SIGNATURE_LEN);
	a->batch.header = bytes_of(bytes_dup(c->row.header), c->row.header.len);
	a->batch.body = bytes_of(bytes_dup(c->row.body), c->row.body.len);
	return job;
}

/* NULL: it was mended; else why not. Takes the job. */
static const char *mend(struct job *job)
{
	struct commit_changes *changes = NULL;
	const char *why;

	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), 0);
	why = job->repair.done ? NULL : job->repair.why;
	ck_assert(job->repair.done || why != NULL);
	ck_assert_uint_eq(changes->n_channels, 0);
	commit_changes_free(changes);
	job_free(job);
	return why;
}

/* A store that nothing happened to is whole. */
START_TEST(test_whole)
{
	struct check_query none = check(77); /* there is no such batch */

	ck_assert_uint_eq(none.n_batches, 0);
	check_deinit(&none);
	assert_whole();
}
END_TEST

/* Each changed bit of each batch is found, at that batch alone, with the place before it; what was stored mends it, byte for byte. */
START_TEST(test_each_part)
{
	for (unsigned number = 1; number <= BATCHES; number++)
		for (size_t which = 0; which <= 4; which++) {
			struct check_query q, one;
			struct copy after;

			flip(number, which);
			q = check(0);
			one = check(number);
			ck_assert_msg(q.n_damages == 1, "batch %u, part %zu: %zu", number, which, q.n_damages);
			ck_assert_uint_eq(one.n_damages, 1);
			ck_assert_uint_eq(q.damages[0].number, number);
			ck_assert_uint_eq(q.damages[0].first, number);
			ck_assert_str_eq(q.damages[0].publisher, PUBLISHER);
			ck_assert_uint_eq(q.damages[0].behind.sequence, number - 1);
			ck_assert(number == 1 ||
				  digest_equal(&q.damages[0].behind.digest, &before[number - 1].row.digest));
			check_deinit(&q);
			check_deinit(&one);

			ck_assert_ptr_null(mend(delivered(number, &before[number])));
			assert_whole();
			ck_assert_int_eq(memory_archive_ops.batch(w.publisher, number, take_copy, &after), 0);
			for (size_t i = 0; i < 3; i++)
				ck_assert(bytes_equal(*part(&after.row, i), *part(&before[number].row, i)));
			ck_assert(digest_equal(&after.row.digest, &before[number].row.digest));
			ck_assert_uint_eq(after.row.stored_ms, before[number].row.stored_ms);
			copy_free(&after);
		}
}
END_TEST

/* A batch whose neighbour is damaged as well still knows the place before it. */
START_TEST(test_neighbours)
{
	struct check_query q;

	flip(1, 4);
	flip(2, 2);
	q = check(0);
	ck_assert_uint_eq(q.n_damages, 2);
	ck_assert_uint_eq(q.damages[1].number, 2);
	ck_assert(digest_equal(&q.damages[1].behind.digest, &before[1].row.digest));
	check_deinit(&q);
	ck_assert_ptr_null(mend(delivered(2, &before[2])));
	ck_assert_ptr_null(mend(delivered(1, &before[1])));
	assert_whole();
}
END_TEST

/* Another batch, one that is damaged itself, and one that has no place any more, change nothing. */
START_TEST(test_what_does_not_mend)
{
	struct job *job;

	flip(2, 2);
	ck_assert_str_eq(mend(delivered(2, &before[3])), "it is another batch than the one that was stored");
	job = delivered(2, &before[2]);
	((uint8_t *)job->repair.delivered.batch.body.data)[9] ^= 1;
	ck_assert_str_eq(mend(job), "its body does not open");
	job = delivered(2, &before[2]);
	((uint8_t *)job->repair.delivered.batch.header.data)[9] ^= 1;
	ck_assert_str_eq(mend(job), "header or signature are not good");
	job = delivered(2, &before[2]);
	job->repair.delivered.batch.signature[9] ^= 1;
	ck_assert_str_eq(mend(job), "header or signature are not good");
	ck_assert_str_eq(mend(delivered(99, &before[2])), "it is not in the history any more");
	ck_assert_ptr_null(mend(delivered(2, &before[2])));
	assert_whole();
}
END_TEST

/* The archive of a node that publishes to somebody new just when its batches are looked at. */
static int batches_and_one_more(void *archive, uint64_t from, batch_visit visit, void *context)
{
	publish_to(READER, BATCHES + 1);
	return memory_archive_ops.batches(archive, from, visit, context);
}

/* What is stored while the check begins is judged by the channels of the same moment. */
START_TEST(test_meanwhile)
{
	struct archive_ops busy = memory_archive_ops;
	struct check_query q = {0};

	busy.batches = batches_and_one_more;
	ck_assert_int_eq(check_run(&w.store_keys, &busy, w.publisher, &q), 0);
	ck_assert_uint_eq(q.n_batches, BATCHES + 1);
	ck_assert_uint_eq(q.n_damages, 0);
	check_deinit(&q);
}
END_TEST

/* A long store is looked through in pages, each from where the one before ended. */
START_TEST(test_pages)
{
	struct check_query q = {.more = true};
	size_t n = 0, pages = 0;

	for (unsigned i = BATCHES + 1; i <= 2 * CHECK_BATCHES; i++)
		publish(i);
	while (q.more) {
		q = (struct check_query){.after = q.next};
		ck_assert_int_eq(check_run(&w.store_keys, &memory_archive_ops, w.publisher, &q), 0);
		ck_assert_uint_le(q.n_batches, CHECK_BATCHES);
		ck_assert_uint_eq(q.n_damages, 0);
		n += q.n_batches;
		pages++;
		check_deinit(&q);
	}
	ck_assert_uint_eq(n, 2 * CHECK_BATCHES);
	ck_assert_uint_ge(pages, 2);
}
END_TEST

/* The events behind a batch, up to the next damaged one: how many they are. -1: nothing could be read. */
static int n_events(uint64_t after, bool *more)
{
	static const uint8_t seed[32] = {1};
	struct querier *querier = querier_new(&w.store_keys);
	struct query *q = query_new(QUERY_EVENTS);
	int n;

	q->events.after.number = after;
	q->events.limit = 10;
	query_run(querier, &memory_archive_ops, w.publisher, q, seed);
	ck_assert(q->result == 0 || q->result == -EBADMSG);
	n = q->result == 0 ? (int)json_array_size(q->events.events) : -1;
	*more = q->events.more;
	query_free(q);
	querier_free(querier);
	return n;
}

/* What is stored before a damaged batch is shown, and only then that there is no going on; what is behind it can be asked for. */
START_TEST(test_events_before)
{
	bool more;

	flip(2, 2);
	ck_assert_int_eq(n_events(0, &more), 1);
	ck_assert(more);
	ck_assert_int_eq(n_events(1, &more), -1);
	ck_assert_int_eq(n_events(2, &more), 1);
	ck_assert(!more);
	ck_assert_ptr_null(mend(delivered(2, &before[2])));
	ck_assert_int_eq(n_events(0, &more), BATCHES);
	ck_assert(!more);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("repair");
	TCase *tc = tcase_create("repair");

	if (sodium_init() < 0)
		return 1;
	tcase_add_checked_fixture(tc, start, end);
	tcase_add_test(tc, test_whole);
	tcase_add_test(tc, test_each_part);
	tcase_add_test(tc, test_neighbours);
	tcase_add_test(tc, test_what_does_not_mend);
	tcase_add_test(tc, test_meanwhile);
	tcase_add_test(tc, test_pages);
	tcase_add_test(tc, test_events_before);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
