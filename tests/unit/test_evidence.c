#include <stdbool.h>

/* Allocations of the code under test that still go well; negative: all. */
static long allocations_left = -1;

static bool fails(void)
{
	return allocations_left >= 0 && allocations_left-- == 0;
}

#include "failing_memory.h"

#include "commit_world.h"
#include "core/evidence.h"
#include "core/node.h"
#include "core/query.h"

/* A publisher's node (ut.ee) with its ledger, driven by hand: days pass, events are published to ugent.be, which signs for them. */
enum { DAY_MS = 86400000, SETTLE_MS = 600000 };

struct driven {
	struct world w;
	struct node *node;
	uint64_t now_ms;
	struct job *job; /* to be committed; NULL: none */
};

static void feed(struct driven *d, struct node_input in)
{
	struct node_update up = {0};

	in.now_ms = in.time_ms = d->now_ms;
	ck_assert_int_eq(node_step(d->node, &in, &up), 0);
	for (size_t i = 0; i < up.n_actions; i++) {
		if (up.actions[i].kind != NODE_COMMIT)
			continue;
		ck_assert_ptr_null(d->job); /* no second one while the first is under way */
		d->job = up.actions[i].job;
		up.actions[i].job = NULL;
	}
	node_update_clear(&up);
}

static void tick(struct driven *d, uint64_t ms)
{
	d->now_ms += ms;
	feed(d, (struct node_input){.kind = NODE_TICK});
}

/* Runs a job; with `result` it cannot be written. */
static void commit(struct driven *d, struct job *job, int result)
{
	struct commit_changes *changes = NULL;

	if (result != 0)
		memory_ledger_fail(d->w.publisher, 0, result);
	ck_assert_int_eq(world_run(&d->w, d->w.publishing, d->w.publisher, job, &changes), result);
	feed(d, (struct node_input){.kind = NODE_COMMITTED, .jobs = &job, .n_jobs = 1, .changes = changes});
	commit_changes_free(changes);
	job_free(job);
}

static void commit_due(struct driven *d, int result)
{
	struct job *job = d->job;

	ck_assert_ptr_nonnull(job);
	ck_assert_int_eq(job->kind, JOB_CHECKPOINT);
	d->job = NULL;
	commit(d, job, result);
}

static int load_head(void *context, const struct batch_row *batch)
{
	struct driven *d = context;
	struct channel_row row = {.id = batch->channel, .audience = (char *)READER, .incarnation = 1, .first = 1};

	strcpy(row.publisher, PUBLISHER);
	row.last = batch->first + batch->count - 1;
	row.head = batch->digest;
	ck_assert_int_eq(node_load_channel(d->node, &row, batch->header, batch->signature.data), 0);
	return 0;
}

static int load_channel(void *context, const struct channel_row *row)
{
	struct driven *d = context;

	if (strcmp(row->audience, READER) != 0)
		return 0;
	return memory_archive_ops.batch_ending(d->w.publisher, row->id, row->last, load_head, d);
}

static int load_setting(void *context, const char *name, const char *value)
{
	struct driven *d = context;

	ck_assert_str_eq(name, CHECKPOINT_SETTING);
	return node_load_checkpoint(d->node, value);
}

/* A node that begins with what the ledger holds, and perhaps with what it noted of its last checkpoint. */
static void start_node(struct driven *d, bool with_setting)
{
	static const uint8_t boot[BOOT_ID_LEN];
	struct node_options options = {
		.member = PUBLISHER, .boot = boot, .keys = &d->w.publisher_keys, .trust = d->w.trust};

	node_free(d->node);
	ck_assert_int_eq(node_new(&d->node, &options), 0);
	ck_assert_int_eq(memory_archive_ops.channels(d->w.publisher, load_channel, d), 0);
	if (with_setting)
		ck_assert_int_eq(memory_archive_ops.settings(d->w.publisher, load_setting, d), 0);
}

static void keep_card(struct driven *d, const char *member)
{
	const struct card *card = trust_card(d->w.trust, member);
	struct job *job = job_new(JOB_NOTE, NULL);
	struct bytes text = bytes_of(card->note.text, card->note.text_len);

	job->note.kind = "card";
	strcpy(job->note.member, member);
	job->note.number = card->number;
	job->note.text = bytes_of(bytes_dup(text), text.len);
	commit(d, job, 0);
}

static void drive(struct driven *d)
{
	*d = (struct driven){.now_ms = 1000};
	world_init(&d->w);
	start_node(d, false);
	keep_card(d, PUBLISHER);
	keep_card(d, READER);
	keep_card(d, OTHER);
}

static void stop(struct driven *d)
{
	ck_assert_ptr_null(d->job);
	node_free(d->node);
	world_deinit(&d->w);
}

static void publish(struct driven *d, const char *id)
{
	struct draft draft = world_course(id, READER, id, id);
	struct job *job = world_publish_job(&d->w, &draft, 1);

	commit(d, job, 0);
}

/* The digest of the batch that ends the reader's channel at a sequence. */
static int take_digest(void *context, const struct batch_row *row)
{
	*(struct digest *)context = row->digest;
	return 0;
}

static void sign_for(struct driven *d, uint64_t to)
{
	struct receipt r = {.network = *trust_network(d->w.trust),
		.incarnation = 1,
		.from = 1,
		.to = to,
		.time_ms = 5000,
		.key = 1};
	struct job *job = job_new(JOB_RECEIPT, d->w.trust);

	strcpy(r.reader, READER);
	strcpy(r.publisher, PUBLISHER);
	r.audience = strdup(READER);
	ck_assert_int_eq(memory_archive_ops.batch_ending(d->w.publisher, 1, to, take_digest, &r.head), 0);
	strcpy(job->receipt.peer, READER);
	ck_assert_int_eq(receipt_sign(&job->receipt.packed, job->receipt.signature, &r, &d->w.reader_keys), 0);
	receipt_deinit(&r);
	commit(d, job, 0);
}

/* A node published `a`, which its reader signed for, and a day passed: its checkpoint is due. */
static void drive_past_midnight(struct driven *d)
{
	drive(d);
	publish(d, "a");
	sign_for(d, 1);
	tick(d, 0);
	tick(d, DAY_MS);
}

static struct query *query_of(struct driven *d, const char *id)
{
	struct query *q = query_new(QUERY_EVIDENCE);

	q->evidence.source = strdup(PUBLISHER);
	q->evidence.id = id == NULL ? NULL : strdup(id);
	q->evidence.trust = trust_ref(d->w.trust);
	return q;
}

static void run(struct driven *d, struct query *q)
{
	struct querier *querier = querier_new(&d->w.store_keys);

	query_run(querier, &memory_archive_ops, d->w.publisher, q, d->w.seed);
	querier_free(querier);
}

static struct query *evidence_of(struct driven *d, const char *id)
{
	struct query *q = query_of(d, id);

	run(d, q);
	ck_assert_int_eq(q->result, 0);
	return q;
}

static bool finds(const struct evidence_report *r, enum finding_kind kind, const char *what, const char *about)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->findings[i].kind == kind && strcmp(r->findings[i].what, what) == 0 &&
			strcmp(r->findings[i].about, about) == 0)
			return true;
	return false;
}

static struct evidence_report verify(struct driven *d, struct bytes file)
{
	struct evidence_report r;

	ck_assert_ptr_nonnull(file.data);
	ck_assert_int_eq(evidence_verify(&r, file, trust_network(d->w.trust)), 0);
	return r;
}

/* What a publisher's node writes about an event proves it, with what a reader signed and the checkpoint that names it. */
START_TEST(test_a_node_writes_what_proves)
{
	struct evidence_report r;
	struct driven d;
	struct query *q;

	drive(&d);
	publish(&d, "a");
	publish(&d, "b");
	publish(&d, "c");
	sign_for(&d, 2);
	tick(&d, 0);
	tick(&d, DAY_MS);
	commit_due(&d, 0);
	q = evidence_of(&d, "b");
	r = verify(&d, q->evidence.file);
	ck_assert(r.proved);
	ck_assert(finds(&r, FINDING_PROVES, "published", PUBLISHER));
	ck_assert(finds(&r, FINDING_PROVES, "member", PUBLISHER));
	ck_assert(finds(&r, FINDING_PROVES, "receipt", READER));
	ck_assert(finds(&r, FINDING_PROVES, "checkpoint", ""));
	ck_assert_str_eq(r.event.id, "b");
	ck_assert_str_eq(r.audience, READER);
	ck_assert_uint_eq(r.sequence, 2);
	evidence_report_deinit(&r);
	query_free(q);
	q = evidence_of(&d, "c");
	r = verify(&d, q->evidence.file);
	ck_assert(r.proved && finds(&r, FINDING_PROVES_NOT, "receipt", ""));
	evidence_report_deinit(&r);
	query_free(q);
	stop(&d);
}
END_TEST

/* The pair of headers that stopped a channel is a proof against its publisher. */
START_TEST(test_a_fork_that_was_kept)
{
	struct header h = {.incarnation = 1, .first = 1, .count = 1, .has_after = true, .key = 1};
	struct bytes packed[2];
	uint8_t signatures[2][SIGNATURE_LEN];
	struct evidence_report r;
	struct driven d;
	struct query *q;

	drive(&d);
	publish(&d, "a");
	strcpy(h.publisher, PUBLISHER);
	h.audience = (char *)READER;
	h.network = *trust_network(d.w.trust);
	for (size_t i = 0; i < 2; i++) {
		h.time_ms = i;
		ck_assert_int_eq(header_encode(&packed[i], &h), 0);
		domain_sign(signatures[i], "enlight header 1", packed[i], d.w.publisher_keys.sign_secret);
	}
	memory_ledger_begin(d.w.publisher);
	ck_assert_int_eq(memory_ledger_ops.fork_put(d.w.publisher, 1, packed[0], bytes_of(signatures[0], SIGNATURE_LEN),
				 packed[1], bytes_of(signatures[1], SIGNATURE_LEN)),
		0);
	memory_ledger_commit(d.w.publisher);
	q = query_of(&d, NULL);
	q->evidence.audience = strdup("network");
	run(&d, q);
	ck_assert_ptr_null(q->evidence.file.data);
	query_free(q);
	q = query_of(&d, NULL);
	q->evidence.audience = strdup(READER);
	run(&d, q);
	r = verify(&d, q->evidence.file);
	ck_assert(r.proved && finds(&r, FINDING_PROVES, "fork", PUBLISHER));
	evidence_report_deinit(&r);
	query_free(q);
	free((void *)packed[0].data);
	free((void *)packed[1].data);
	stop(&d);
}
END_TEST

/* There is no file about an event that is unknown, or that the asker may not read. */
START_TEST(test_no_file_without_an_event)
{
	static char *none[] = {(char *)"mobility.*", NULL};
	struct driven d;
	struct query *q;

	drive(&d);
	publish(&d, "a");
	q = evidence_of(&d, "b");
	ck_assert_ptr_null(q->evidence.file.data);
	query_free(q);
	q = query_of(&d, "a");
	q->evidence.filter.readable = texts_dup(none, 1, 0);
	q->evidence.filter.n_readable = 1;
	run(&d, q);
	ck_assert_ptr_null(q->evidence.file.data);
	texts_free(q->evidence.filter.readable);
	q->evidence.filter = (struct event_filter){0};
	query_free(q);
	stop(&d);
}
END_TEST

/* Whichever bit of a file is changed, it proves nothing that it did not prove before. */
START_TEST(test_a_changed_bit_adds_nothing)
{
	struct evidence_report before, after;
	struct driven d;
	struct query *q;
	uint8_t *file;
	size_t len;

	drive_past_midnight(&d);
	commit_due(&d, 0);
	q = evidence_of(&d, "a");
	before = verify(&d, q->evidence.file);
	len = q->evidence.file.len;
	file = bytes_dup(q->evidence.file);
	for (size_t i = 0; i < len; i++) {
		file[i] ^= (uint8_t)(1 << i % 8);
		after = verify(&d, bytes_of(file, len));
		for (size_t k = 0; k < after.n; k++)
			if (after.findings[k].kind == FINDING_PROVES)
				ck_assert_msg(
					finds(&before, FINDING_PROVES, after.findings[k].what, after.findings[k].about),
					"byte %zu: %s", i, after.findings[k].text);
		if (after.proved)
			ck_assert(digest_equal(&before.leaf, &after.leaf) && before.sequence == after.sequence);
		evidence_report_deinit(&after);
		file[i] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t cut = 0; cut < len; cut++) {
		after = verify(&d, bytes_of(file, cut));
		ck_assert(!after.proved || !finds(&after, FINDING_PROVES, "checkpoint", ""));
		evidence_report_deinit(&after);
	}
	evidence_report_deinit(&before);
	free(file);
	query_free(q);
	stop(&d);
}
END_TEST

/* A checkpoint is published on the first tick of a day, once, when something was published since the one before. */
START_TEST(test_a_checkpoint_a_day)
{
	struct driven d;

	drive(&d);
	tick(&d, 0);
	tick(&d, DAY_MS);
	ck_assert_ptr_null(d.job); /* nothing was published yet */
	publish(&d, "a");
	tick(&d, 1000);
	ck_assert_ptr_null(d.job); /* not on the day itself */
	tick(&d, DAY_MS);
	commit_due(&d, 0);
	tick(&d, 1000);
	ck_assert_ptr_null(d.job);
	tick(&d, DAY_MS);
	ck_assert_ptr_null(d.job); /* nothing has changed */
	publish(&d, "b");
	tick(&d, DAY_MS);
	commit_due(&d, 0);
	ck_assert_ptr_null(d.job);
	stop(&d);
}
END_TEST

/* A node that starts again neither publishes a second one that day, nor leaves out what was published before it stopped. */
START_TEST(test_checkpoints_survive_restarts)
{
	struct driven d;

	drive(&d);
	publish(&d, "a");
	start_node(&d, true);
	tick(&d, 0);
	ck_assert_ptr_null(d.job);
	start_node(&d, true);
	tick(&d, DAY_MS);
	ck_assert_ptr_null(d.job); /* not before its readers had time to say what they hold */
	tick(&d, SETTLE_MS);
	commit_due(&d, 0);
	start_node(&d, true);
	tick(&d, 0);
	tick(&d, SETTLE_MS);
	ck_assert_ptr_null(d.job);
	tick(&d, DAY_MS);
	ck_assert_ptr_null(d.job);
	stop(&d);
}
END_TEST

/* Where the note of the last one is lost, its id keeps it from being published twice. */
START_TEST(test_one_id_a_day)
{
	struct driven d;
	uint64_t before;

	drive_past_midnight(&d);
	commit_due(&d, 0);
	before = memory_archive_ops.last_number(d.w.publisher);
	start_node(&d, false);
	tick(&d, 0);
	tick(&d, SETTLE_MS);
	commit_due(&d, 0);
	ck_assert_uint_eq(memory_archive_ops.last_number(d.w.publisher), before);
	tick(&d, 1000);
	ck_assert_ptr_null(d.job);
	stop(&d);
}
END_TEST

/* A checkpoint that could not be written is tried again after a while. */
START_TEST(test_checkpoint_on_a_full_disk)
{
	struct driven d;

	drive_past_midnight(&d);
	commit_due(&d, LEDGER_FULL);
	tick(&d, 1000);
	ck_assert_ptr_null(d.job);
	tick(&d, 60000);
	commit_due(&d, 0);
	stop(&d);
}
END_TEST

/* Whichever allocation fails, writing and verifying say so and clean up. */
START_TEST(test_without_memory)
{
	struct evidence_report r;
	struct query *q = NULL;
	struct querier *querier;
	struct driven d;
	int result = -ENOMEM;
	long n;

	drive_past_midnight(&d);
	commit_due(&d, 0);
	querier = querier_new(&d.w.store_keys);
	for (n = 0; result == -ENOMEM; n++) {
		query_free(q);
		q = query_of(&d, "a");
		allocations_left = n;
		query_run(querier, &memory_archive_ops, d.w.publisher, q, d.w.seed);
		allocations_left = -1;
		result = q->result;
	}
	ck_assert_int_eq(result, 0);
	ck_assert_int_gt(n, 5);
	result = -ENOMEM;
	for (n = 0; result == -ENOMEM; n++) {
		allocations_left = n;
		result = evidence_verify(&r, q->evidence.file, trust_network(d.w.trust));
		allocations_left = -1;
		if (result != 0)
			ck_assert_uint_eq(r.n, 0);
	}
	ck_assert_int_eq(result, 0);
	ck_assert(finds(&r, FINDING_PROVES, "checkpoint", "") && finds(&r, FINDING_PROVES, "receipt", READER));
	ck_assert_int_gt(n, 5);
	evidence_report_deinit(&r);
	querier_free(querier);
	query_free(q);
	stop(&d);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("evidence");
	TCase *tc = tcase_create("evidence");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, test_a_node_writes_what_proves);
	tcase_add_test(tc, test_a_fork_that_was_kept);
	tcase_add_test(tc, test_no_file_without_an_event);
	tcase_add_test(tc, test_a_changed_bit_adds_nothing);
	tcase_add_test(tc, test_a_checkpoint_a_day);
	tcase_add_test(tc, test_checkpoints_survive_restarts);
	tcase_add_test(tc, test_one_id_a_day);
	tcase_add_test(tc, test_checkpoint_on_a_full_disk);
	tcase_add_test(tc, test_without_memory);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
