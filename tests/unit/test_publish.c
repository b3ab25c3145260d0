#include "commit_world.h"

/* Publishes drafts as one request. The caller frees the job. */
static struct job *publish(struct world *w, struct draft *drafts, size_t n)
{
	struct job *job = world_publish_job(w, drafts, n);
	struct commit_changes *changes = NULL;

	ck_assert_int_eq(world_run(w, w->publishing, w->publisher, job, &changes), 0);
	commit_changes_free(changes);
	return job;
}

static struct job *publish_one(struct world *w, struct draft d)
{
	return publish(w, &d, 1);
}

static void ck_refused(struct job *job, enum publish_outcome outcome, const char *place, const char *rule)
{
	ck_assert_int_eq(job->publish.outcome, outcome);
	ck_assert_uint_ge(job->publish.problems.n, 1);
	ck_assert_str_eq(job->publish.problems.items[0].place, place);
	ck_assert_msg(
		strstr(job->publish.problems.items[0].rule, rule) != NULL, "%s", job->publish.problems.items[0].rule);
	job_free(job);
}

static void ck_published(struct job *job, enum publish_state state, uint64_t revision, uint64_t sequence)
{
	ck_assert_msg(job->publish.outcome == PUBLISH_OK, "%s",
		job->publish.problems.n > 0 ? job->publish.problems.items[0].rule : "");
	ck_assert_int_eq(job->publish.results[0].state, state);
	ck_assert_uint_eq(job->publish.results[0].revision, revision);
	ck_assert_uint_eq(job->publish.results[0].sequence, sequence);
	job_free(job);
}

static uint64_t last_sequence(struct world *w, const char *audience)
{
	struct channel_row row = {0};
	uint64_t last = 0;

	memory_ledger_begin(w->publisher);
	if (memory_ledger_ops.channel_find(w->publisher, PUBLISHER, audience, &row) == 0)
		last = row.last;
	channel_row_deinit(&row);
	memory_ledger_rollback(w->publisher);
	return last;
}

/* Revisions and sequences count 1, 2, 3, each audience for itself. */
START_TEST(test_revisions_count)
{
	struct world w;

	world_init(&w);
	ck_published(publish_one(&w, world_course("CR/1", "network", "a", "1")), PUBLISH_NEW, 1, 1);
	ck_published(publish_one(&w, world_course("CR/1", "network", "b", "2")), PUBLISH_NEW, 2, 2);
	ck_published(publish_one(&w, world_course("CR/2", "network", "c", "1")), PUBLISH_NEW, 1, 3);
	ck_published(publish_one(&w, world_course("CR/3", READER, "d", "1")), PUBLISH_NEW, 1, 1);
	world_deinit(&w);
}
END_TEST

/* The same id again gets the old answer, also after a restart and inside one request; for something else it is a conflict. */
START_TEST(test_the_same_id_again)
{
	struct world w;
	struct draft twice[2];
	struct job *job;

	world_init(&w);
	ck_published(publish_one(&w, world_course("CR/1", "network", "a", "1")), PUBLISH_NEW, 1, 1);
	ck_published(publish_one(&w, world_course("CR/1", "network", "b", "2")), PUBLISH_NEW, 2, 2);
	memory_ledger_restart(w.publisher);
	ck_published(publish_one(&w, world_course("CR/1", "network", "a", "1")), PUBLISH_AGAIN, 1, 1);
	ck_refused(
		publish_one(&w, world_course("CR/1", "network", "a", "3")), PUBLISH_CONFLICT, "/id", "another event");
	ck_refused(publish_one(&w, world_course("CR/1", READER, "a", "1")), PUBLISH_CONFLICT, "/id", "another event");
	ck_refused(
		publish_one(&w, world_course("CR/9", "network", "a", "1")), PUBLISH_CONFLICT, "/id", "another event");
	twice[0] = world_course("CR/7", "network", "t", "1");
	twice[1] = world_course("CR/7", "network", "t", "1");
	job = publish(&w, twice, 2);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	ck_assert_int_eq(job->publish.results[1].state, PUBLISH_AGAIN);
	ck_assert_uint_eq(job->publish.results[1].sequence, job->publish.results[0].sequence);
	job_free(job);
	ck_assert_uint_eq(last_sequence(&w, "network"), 3);
	world_deinit(&w);
}
END_TEST

/* Data equal to the last revision's writes nothing, under whatever id; to other readers it is news. */
START_TEST(test_unchanged)
{
	struct world w;

	world_init(&w);
	ck_published(publish_one(&w, world_course("CR/1", "network", "a", "1")), PUBLISH_NEW, 1, 1);
	ck_published(publish_one(&w, world_course("CR/1", "network", "b", "1")), PUBLISH_UNCHANGED, 1, 1);
	ck_published(publish_one(&w, world_course("CR/1", READER, "c", "1")), PUBLISH_NEW, 2, 1);
	ck_assert_uint_eq(last_sequence(&w, "network"), 1);
	world_deinit(&w);
}
END_TEST

/* Revisions of one object to different readers count on, also in one transaction, in whatever order its channels come. */
START_TEST(test_revisions_of_several_channels)
{
	static const char *const audiences[] = {"network", READER, "network", READER, OTHER, "network", READER};
	enum { N = sizeof audiences / sizeof *audiences };
	struct draft drafts[N];
	struct world w;
	struct job *job;
	char id[2] = "a";

	world_init(&w);
	for (size_t i = 0; i < N; i++, id[0]++)
		drafts[i] = world_course("CR/1", audiences[i], id, id);
	job = publish(&w, drafts, N);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	for (size_t i = 0; i < N; i++)
		ck_assert_uint_eq(job->publish.results[i].revision, i + 1);
	job_free(job);
	ck_assert_uint_eq(last_sequence(&w, "network"), 3);
	ck_published(publish_one(&w, world_course("CR/1", "network", "z", "z")), PUBLISH_NEW, N + 1, 4);
	world_deinit(&w);
}
END_TEST

/* A revision that is given must be the next; the refusal names the last. */
START_TEST(test_wrong_revision)
{
	struct world w;
	struct draft d;

	world_init(&w);
	d = world_course("CR/1", "network", "a", "1");
	d.event.revision = 2;
	ck_refused(publish_one(&w, d), PUBLISH_CONFLICT, "/enlightrevision", "the last revision is 0");
	d = world_course("CR/1", "network", "a", "1");
	d.event.revision = 1;
	ck_published(publish_one(&w, d), PUBLISH_NEW, 1, 1);
	d = world_course("CR/1", "network", "b", "2");
	d.event.revision = 1;
	ck_refused(publish_one(&w, d), PUBLISH_CONFLICT, "/enlightrevision", "the last revision is 1");
	ck_assert_uint_eq(last_sequence(&w, "network"), 1);
	world_deinit(&w);
}
END_TEST

/* One bad draft of a request keeps all of it out, and leaves nothing behind: ids, revisions and sequences are free again. */
START_TEST(test_all_or_nothing)
{
	struct world w;
	struct draft drafts[3];
	struct job *job;

	world_init(&w);
	drafts[0] = world_course("CR/1", "network", "a", "1");
	drafts[1] = world_course("CR/2", READER, "b", "1");
	drafts[2] = world_course("CR/1", "network", "c", "2");
	drafts[2].event.revision = 9;
	ck_refused(publish(&w, drafts, 3), PUBLISH_CONFLICT, "/2/enlightrevision", "the last revision is 1");
	ck_assert_uint_eq(last_sequence(&w, "network"), 0);
	ck_assert_uint_eq(last_sequence(&w, READER), 0);
	drafts[0] = world_course("CR/2", "network", "b", "1");
	drafts[1] = world_course("CR/1", "network", "a", "1");
	job = publish(&w, drafts, 2);
	ck_published(job, PUBLISH_NEW, 1, 1);
	world_deinit(&w);
}
END_TEST

/* Two requests in one transaction: the bad one leaves the good one alone, also where both were in the same batch. */
START_TEST(test_requests_of_one_transaction)
{
	struct world w;
	struct commit_changes *changes;
	struct draft d;
	struct job *jobs[3];

	world_init(&w);
	d = world_course("CR/1", "network", "a", "1");
	jobs[0] = world_publish_job(&w, &d, 1);
	d = world_course("CR/2", "network", "b", "1");
	d.event.revision = 5;
	jobs[1] = world_publish_job(&w, &d, 1);
	d = world_course("CR/1", "network", "c", "2");
	jobs[2] = world_publish_job(&w, &d, 1);
	memory_ledger_begin(w.publisher);
	ck_assert_int_eq(
		commit_run(w.publishing, &memory_ledger_ops, w.publisher, jobs, 3, NOW_MS, w.seed, &changes), 0);
	memory_ledger_commit(w.publisher);
	ck_assert_uint_eq(changes->n_batches, 1);
	commit_changes_free(changes);
	ck_published(jobs[0], PUBLISH_NEW, 1, 1);
	ck_refused(jobs[1], PUBLISH_CONFLICT, "/enlightrevision", "the last revision is 0");
	ck_published(jobs[2], PUBLISH_NEW, 2, 2);
	world_deinit(&w);
}
END_TEST

/* An audience of whom the roster does not know is refused, and who it is named. */
START_TEST(test_audience_not_in_the_roster)
{
	struct world w;

	world_init(&w);
	ck_refused(publish_one(&w, world_course("CR/1", "unibe.ch", "a", "1")), PUBLISH_RULE, "/enlightaudience",
		"unibe.ch is not a member");
	world_deinit(&w);
}
END_TEST

/* What does not fit one batch goes into several, one after the other, without a gap. */
START_TEST(test_large_requests_are_split)
{
	enum { N = 1200 };
	struct draft *drafts = calloc(N, sizeof *drafts);
	struct world w;
	struct commit_changes *changes;
	struct job *job;
	char course[16], id[16];
	uint64_t next = 1;

	world_init(&w);
	for (int i = 0; i < N; i++) {
		snprintf(course, sizeof course, "CR/%d", i);
		snprintf(id, sizeof id, "i%d", i);
		drafts[i] = world_course(course, "network", id, "1");
	}
	job = world_publish_job(&w, drafts, N);
	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), 0);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	ck_assert_uint_gt(changes->n_batches, 2);
	for (size_t i = 0; i < changes->n_batches; i++) {
		ck_assert_uint_le(changes->batches[i].batch.body.len, BODY_MAX + BODY_OVERHEAD);
		ck_assert_uint_eq(changes->batches[i].first, next);
		next = changes->batches[i].last + 1;
	}
	ck_assert_uint_eq(next, N + 1);
	for (int i = 0; i < N; i++)
		ck_assert_uint_eq(job->publish.results[i].sequence, (uint64_t)i + 1);
	commit_changes_free(changes);
	job_free(job);
	free(drafts);
	world_deinit(&w);
}
END_TEST

/* A full disk refuses the request whole; when there is space again it is as if it had never been. */
START_TEST(test_full_disk)
{
	struct world w;
	struct commit_changes *changes = NULL;
	struct draft d;
	struct job *job;

	world_init(&w);
	memory_ledger_limit(w.publisher, 100);
	d = world_course("CR/1", "network", "a", "1");
	job = world_publish_job(&w, &d, 1);
	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), LEDGER_FULL);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_FULL);
	ck_assert_ptr_null(changes);
	job_free(job);
	memory_ledger_limit(w.publisher, 0);
	ck_published(publish_one(&w, world_course("CR/1", "network", "a", "1")), PUBLISH_NEW, 1, 1);
	world_deinit(&w);
}
END_TEST

/* A request whose transaction was undone for another's sake is run again, and answered as if that had been the first time. */
START_TEST(test_run_again)
{
	struct world w;
	struct commit_changes *changes;
	struct draft d;
	struct job *job;

	world_init(&w);
	d = world_course("CR/1", "network", "a", "1");
	job = world_publish_job(&w, &d, 1);
	world_run_in_vain(&w, w.publishing, w.publisher, job);
	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), 0);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	ck_assert_uint_eq(job->publish.results[0].sequence, 1);
	commit_changes_free(changes);
	job_free(job);

	d = world_course("CR/1", "network", "b", "2");
	d.event.revision = 7;
	job = world_publish_job(&w, &d, 1);
	world_run_in_vain(&w, w.publishing, w.publisher, job);
	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), 0);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_CONFLICT);
	ck_assert_uint_eq(job->publish.problems.total, 1);
	commit_changes_free(changes);
	job_free(job);
	world_deinit(&w);
}
END_TEST

static struct draft erasure(const char *id)
{
	char subject[64], patch[64];

	snprintf(subject, sizeof subject, "person/%s", id);
	snprintf(patch, sizeof patch, "{\"erasureId\": \"%s\"}", id);
	return world_draft(PUBLISHER, "person.erasure", subject, READER, id, patch);
}

/* On a full disk erasures are still published, and nothing that is asked for beside one. */
START_TEST(test_erasure_on_a_full_disk)
{
	struct world w;
	struct commit_changes *changes = NULL;
	struct draft both[2];
	struct job *job;

	world_init(&w);
	memory_ledger_limit(w.publisher, 100);
	ck_published(publish_one(&w, erasure("e1")), PUBLISH_NEW, 1, 1);
	both[0] = erasure("e2");
	both[1] = world_course("CR/1", READER, "a", "1");
	job = world_publish_job(&w, both, 2);
	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), LEDGER_FULL);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_FULL);
	job_free(job);
	ck_published(publish_one(&w, erasure("e2")), PUBLISH_NEW, 1, 2);
	world_deinit(&w);
}
END_TEST

/* Whatever change of the ledger fails, nothing of the request is left, and it succeeds afterwards. */
START_TEST(test_every_failure_of_the_ledger)
{
	for (uint64_t n = 0;; n++) {
		struct world w;
		struct commit_changes *changes = NULL;
		struct draft d;
		struct job *job;
		int r;

		world_init(&w);
		d = world_course("CR/1", "network", "a", "1");
		job = world_publish_job(&w, &d, 1);
		memory_ledger_fail(w.publisher, n, -ENOMEM);
		r = world_run(&w, w.publishing, w.publisher, job, &changes);
		commit_changes_free(changes);
		job_free(job);
		if (r != 0) {
			ck_assert_uint_eq(last_sequence(&w, "network"), 0);
			ck_published(publish_one(&w, world_course("CR/1", "network", "a", "1")), PUBLISH_NEW, 1, 1);
		}
		world_deinit(&w);
		if (r == 0)
			break;
		ck_assert_uint_lt(n, 50);
	}
}
END_TEST

/* A decision must name the last revision of an object that is known, and its digest. */
START_TEST(test_decisions_judge_the_last_revision)
{
	struct world w;
	struct draft d;
	struct job *job;
	struct digest leaf;
	char patch[512], base64[BASE64_SIZE(DIGEST_LEN)];
	static const char decision[] =
		"{\"source\": \"" PUBLISHER "\", \"topic\": \"mobility.nomination\", \"subject\": "
		"\"mobility/%s\", \"revision\": \"%d\", \"digest\": \"%s\", \"verdict\": \"approve\"}";

	world_init(&w);
	/* the reader's own node is to decide on what the publisher nominated: here both are one ledger, so that it is known */
	d = world_draft(PUBLISHER, "mobility.nomination", "mobility/m1", READER, "n1", "{\"mobilityId\": \"m1\"}");
	job = publish_one(&w, d);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	leaf = job->publish.results[0].leaf;
	job_free(job);
	committer_free(w.publishing);
	w.publishing = committer_new(READER, &w.reader_keys, &w.store_keys);
	base64_encode(base64, leaf.bytes, DIGEST_LEN);

	snprintf(patch, sizeof patch, decision, "m2", 1, base64);
	ck_refused(publish_one(&w, world_draft(READER, "mobility.decision", "mobility/m2", PUBLISHER, "d1", patch)),
		PUBLISH_CONFLICT, "/data/subject", "not known");
	snprintf(patch, sizeof patch, decision, "m1", 2, base64);
	ck_refused(publish_one(&w, world_draft(READER, "mobility.decision", "mobility/m1", PUBLISHER, "d2", patch)),
		PUBLISH_CONFLICT, "/data/revision", "the last revision is 1");
	base64[3] = base64[3] == 'A' ? 'B' : 'A';
	snprintf(patch, sizeof patch, decision, "m1", 1, base64);
	ck_refused(publish_one(&w, world_draft(READER, "mobility.decision", "mobility/m1", PUBLISHER, "d3", patch)),
		PUBLISH_CONFLICT, "/data/digest", "not the digest");
	base64_encode(base64, leaf.bytes, DIGEST_LEN);
	snprintf(patch, sizeof patch, decision, "m1", 1, base64);
	ck_published(publish_one(&w, world_draft(READER, "mobility.decision", "mobility/m1", PUBLISHER, "d4", patch)),
		PUBLISH_NEW, 1, 1);
	world_deinit(&w);
}
END_TEST

/* A withdrawal names the last revision of an object of one's own; after it the same data is news again. */
START_TEST(test_withdrawals)
{
	static const char course[] = "{\"courseId\": \"CR/1\"}";
	static const char first[] = "{\"topic\": \"course.offering\", \"revision\": \"1\", \"reason\": \"cancelled\"}";
	struct world w;

	world_init(&w);
	ck_refused(publish_one(&w, world_draft(PUBLISHER, "course.withdrawal", "course/CR/1", "network", "w0", first)),
		PUBLISH_CONFLICT, "/data/revision", "the last revision is 0");
	ck_published(publish_one(&w, world_draft(PUBLISHER, "course.offering", "course/CR/1", "network", "a", course)),
		PUBLISH_NEW, 1, 1);
	ck_published(
		publish_one(&w, world_draft(PUBLISHER, "course.withdrawal", "course/CR/1", "network", "w1", first)),
		PUBLISH_NEW, 1, 2);
	ck_published(publish_one(&w, world_draft(PUBLISHER, "course.offering", "course/CR/1", "network", "b", course)),
		PUBLISH_NEW, 2, 3);
	ck_refused(publish_one(&w, world_draft(PUBLISHER, "course.withdrawal", "course/CR/1", "network", "w2", first)),
		PUBLISH_CONFLICT, "/data/revision", "the last revision is 2");
	world_deinit(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("publish");
	TCase *tc = tcase_create("publish");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_revisions_count);
	tcase_add_test(tc, test_the_same_id_again);
	tcase_add_test(tc, test_unchanged);
	tcase_add_test(tc, test_wrong_revision);
	tcase_add_test(tc, test_all_or_nothing);
	tcase_add_test(tc, test_requests_of_one_transaction);
	tcase_add_test(tc, test_audience_not_in_the_roster);
	tcase_add_test(tc, test_large_requests_are_split);
	tcase_add_test(tc, test_revisions_of_several_channels);
	tcase_add_test(tc, test_full_disk);
	tcase_add_test(tc, test_run_again);
	tcase_add_test(tc, test_erasure_on_a_full_disk);
	tcase_add_test(tc, test_every_failure_of_the_ledger);
	tcase_add_test(tc, test_withdrawals);
	tcase_add_test(tc, test_decisions_judge_the_last_revision);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
