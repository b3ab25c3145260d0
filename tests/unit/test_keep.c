#include "base/log.h"
#include "commit_world.h"
#include "core/node.h"

/* One node (ugent.be) and its ledger, driven by hand. */
struct driven {
	struct world w;
	struct node *node;
	uint64_t now_ms, wake_ms;
	struct job *job;           /* to be committed; NULL: none */
	struct buffer answers;     /* "TAG durable" or "TAG not yet" of each that was given */
	unsigned errors, warnings; /* logged */
};

static void carry_out(struct driven *d, struct node_update *up)
{
	for (size_t i = 0; i < up->n_actions; i++) {
		struct node_action *a = &up->actions[i];

		if (a->kind == NODE_COMMIT) {
			ck_assert_ptr_null(d->job); /* one after the other */
			d->job = a->job;
			a->job = NULL;
		}
		if (a->kind == NODE_KEPT)
			buffer_printf(&d->answers, "%u %s\n", (unsigned)a->tag, a->durable ? "durable" : "not yet");
		d->errors += a->kind == NODE_LOG && a->level == LOG_LEVEL_ERROR;
		d->warnings += a->kind == NODE_LOG && a->level == LOG_LEVEL_WARN;
	}
	node_update_clear(up);
}

static int feed(struct driven *d, struct node_input in)
{
	struct node_update up = {0};
	int result;

	in.now_ms = in.time_ms = d->now_ms;
	ck_assert_int_eq(node_step(d->node, &in, &up), 0);
	result = up.result;
	d->wake_ms = up.wake_ms;
	carry_out(d, &up);
	return result;
}

static void tick(struct driven *d, uint64_t ms)
{
	d->now_ms += ms;
	feed(d, (struct node_input){.kind = NODE_TICK});
}

/* `key_limit_ms`: see node_options. */
static void drive_with(struct driven *d, uint64_t key_limit_ms)
{
	static const uint8_t boot[BOOT_ID_LEN];
	struct node_options options = {.member = READER, .boot = boot};

	*d = (struct driven){.now_ms = 1000};
	world_init(&d->w);
	options.keys = &d->w.reader_keys;
	options.key_limit_ms = key_limit_ms;
	options.trust = d->w.trust;
	ck_assert_int_eq(node_new(&d->node, &options), 0);
	tick(d, 0);
}

static void drive(struct driven *d)
{
	drive_with(d, 0);
}

static void stop(struct driven *d)
{
	job_free(d->job);
	buffer_deinit(&d->answers);
	node_free(d->node);
	world_deinit(&d->w);
}

/* Runs what is to be committed; with `full` the disk takes nothing. */
static void commit(struct driven *d, bool full)
{
	struct commit_changes *changes = NULL;
	struct job *job = d->job;

	ck_assert_ptr_nonnull(job);
	d->job = NULL;
	if (full)
		memory_ledger_fail(d->w.reader, 0, LEDGER_FULL);
	ck_assert_int_eq(world_run(&d->w, d->w.reading, d->w.reader, job, &changes), full ? LEDGER_FULL : 0);
	feed(d, (struct node_input){.kind = NODE_COMMITTED, .jobs = &job, .n_jobs = 1, .changes = changes});
	commit_changes_free(changes);
	job_free(job);
}

static int block(struct driven *d, const char *member, uint64_t tag)
{
	return feed(
		d, (struct node_input){.kind = NODE_BLOCK, .member = member, .block = true, .reason = "x", .tag = tag});
}

static void give_card(struct driven *d, const char *handle, uint64_t tag)
{
	struct actor member = actor_of(handle, 0);
	struct buffer text = card_text(trust_network(d->w.trust), &member, 2, 2);
	struct problems problems = {0};

	ck_assert_int_eq(feed(d, (struct node_input){.kind = NODE_NOTE,
					 .frame = view(&text),
					 .reason = "operator",
					 .problems = &problems,
					 .tag = tag}),
		0);
	buffer_deinit(&text);
}

static int write_setting(void *context, const char *name, const char *value)
{
	buffer_printf(context, "%s=%s\n", name, value);
	return 0;
}

static int write_note(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	buffer_printf(context, "%s %s %u\n", kind, member, number);
	return 0;
}

static void expect_held(struct driven *d, const char *wanted)
{
	struct buffer text = {0};

	memory_archive_ops.settings(d->w.reader, write_setting, &text);
	memory_archive_ops.notes(d->w.reader, write_note, &text);
	buffer_str(&text, "");
	ck_assert_str_eq(text.len == 0 ? "" : buffer_cstr(&text), wanted);
	buffer_deinit(&text);
}

/* Who waits for a block is told when it is on disk. */
START_TEST(test_told_when_durable)
{
	struct driven d;

	drive(&d);
	ck_assert_int_eq(block(&d, OTHER, 7), 0);
	ck_assert_uint_eq(d.answers.len, 0);
	commit(&d, false);
	ck_assert_str_eq(buffer_cstr(&d.answers), "7 durable\n");
	expect_held(&d, "blocked rug.nl=x\n");
	ck_assert_int_eq(block(&d, "nobody.eu", 8), -ENOENT);
	ck_assert_ptr_null(d.job);
	ck_assert_uint_eq(d.errors, 0);
	stop(&d);
}
END_TEST

/* The age of a node key is counted from its first day, which is kept; alarms rise 60, 30 and 7 days before the limit, and at it. */
START_TEST(test_key_age)
{
	const uint64_t day = 86400000;
	static const struct {
		unsigned day, warnings, errors, due, overdue;
	} days[] = {{39, 0, 0, 0, 0}, {40, 1, 0, 60, 0}, {69, 1, 0, 31, 0}, {70, 2, 0, 30, 0}, {93, 2, 1, 7, 0},
		{99, 2, 1, 1, 0}, {100, 2, 2, 0, 1}, {250, 2, 2, 0, 151}};
	struct node_key_view k;
	struct driven d;

	drive_with(&d, 100 * day);
	commit(&d, false);
	expect_held(&d, "key since 1=1000\n");
	for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
		tick(&d, 1000 + days[i].day * day - d.now_ms);
		node_key(d.node, d.now_ms, &k);
		ck_assert_uint_eq(d.warnings, days[i].warnings);
		ck_assert_uint_eq(d.errors, days[i].errors);
		ck_assert_uint_eq(k.due_days, days[i].due);
		ck_assert_uint_eq(k.overdue_days, days[i].overdue);
		ck_assert_uint_eq(k.age_ms, days[i].day * day);
	}
	ck_assert_ptr_null(d.job);
	stop(&d);
}
END_TEST

/* A node that starts again counts from the day that was kept for this very key. */
START_TEST(test_key_age_is_remembered)
{
	const uint64_t day = 86400000;
	struct node_key_view k;
	struct driven d;

	drive_with(&d, 100 * day);
	node_load_key_since(d.node, NODE_KEY_SETTING "2", "7");
	node_load_key_since(d.node, NODE_KEY_SETTING "one", "7");
	node_key(d.node, 50 * day + 1000, &k);
	ck_assert_uint_eq(k.age_ms, 50 * day);
	node_load_key_since(d.node, NODE_KEY_SETTING "1", "7");
	node_key(d.node, 50 * day, &k);
	ck_assert_uint_eq(k.age_ms, 50 * day - 7);
	ck_assert_uint_eq(k.due_days, 51);
	node_key(d.node, 1, &k);
	ck_assert_uint_eq(k.age_ms, 0); /* a clock that was set back */
	stop(&d);
}
END_TEST

/* What the disk did not take is said once, and tried again each second until it is there; what came meanwhile follows in its order. */
START_TEST(test_tried_again)
{
	struct driven d;

	drive(&d);
	ck_assert_int_eq(block(&d, OTHER, 1), 0);
	give_card(&d, PUBLISHER, 2);
	commit(&d, true);
	ck_assert_uint_eq(d.errors, 1);
	give_card(&d, OTHER, 3);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 not yet\n2 not yet\n3 not yet\n");
	tick(&d, 500);
	ck_assert_ptr_null(d.job);
	tick(&d, 500);
	commit(&d, true);
	tick(&d, 1000);
	ck_assert_uint_eq(d.errors, 1);
	expect_held(&d, "");
	commit(&d, false);
	commit(&d, false);
	commit(&d, false);
	ck_assert_ptr_null(d.job);
	expect_held(&d, "blocked rug.nl=x\ncard ut.ee 2\ncard rug.nl 2\n");
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 not yet\n2 not yet\n3 not yet\n");
	stop(&d);
}
END_TEST

/* The card that a batch of this transaction, which publishes one event before something older is written, is sealed under. */
static struct digest sealed_under(struct driven *d, struct job *older)
{
	struct draft draft =
		world_draft(READER, "course.offering", "course/CR", "network", "a", "{\"courseId\": \"CR\"}");
	struct job *jobs[2] = {world_publish_job(&d->w, &draft, 1), older};
	struct commit_changes *changes = NULL;
	struct header h = {0};
	struct digest card;

	trust_unref(jobs[0]->trust);
	jobs[0]->trust = trust_ref(node_trust(d->node));
	memory_ledger_begin(d->w.reader);
	ck_assert_int_eq(
		commit_run(d->w.reading, &memory_ledger_ops, d->w.reader, jobs, 2, NOW_MS, d->w.seed, &changes), 0);
	memory_ledger_commit(d->w.reader);
	ck_assert_int_eq(header_decode(&h, changes->batches[0].batch.header), 0);
	card = h.card;
	header_deinit(&h);
	commit_changes_free(changes);
	job_free(jobs[0]);
	return card;
}

/* What waited to be written brings no earlier cards back: a batch in its transaction is sealed under the card in force. */
START_TEST(test_kept_late)
{
	struct driven d;
	struct digest card;

	drive(&d);
	ck_assert_int_eq(block(&d, OTHER, 1), 0);
	commit(&d, true);
	give_card(&d, READER, 2);
	tick(&d, 1000);
	ck_assert_ptr_nonnull(d.job);
	card = sealed_under(&d, d.job);
	ck_assert(digest_equal(&card, &trust_card(node_trust(d.node), READER)->note.digest));
	stop(&d);
}
END_TEST

/* What happens without a pause puts no tick off: heads, credit and deadlines hang on them. */
START_TEST(test_busy_node_ticks)
{
	struct driven d;
	uint64_t due_ms;

	drive(&d);
	due_ms = d.wake_ms;
	while (d.now_ms < due_ms) {
		d.now_ms += 10;
		feed(&d, (struct node_input){.kind = NODE_READY, .connection = 99});
		ck_assert_uint_le(d.wake_ms, due_ms);
	}
	tick(&d, 0);
	ck_assert_uint_gt(d.wake_ms, d.now_ms);
	stop(&d);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keep");
	TCase *tc = tcase_create("keep");

	tcase_add_test(tc, test_told_when_durable);
	tcase_add_test(tc, test_key_age);
	tcase_add_test(tc, test_key_age_is_remembered);
	tcase_add_test(tc, test_tried_again);
	tcase_add_test(tc, test_kept_late);
	tcase_add_test(tc, test_busy_node_ticks);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
