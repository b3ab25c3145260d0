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

/* A block by the operator with the uid 1000, under an id of its own. */
static int block_by_hand(struct driven *d, const char *id, uint64_t tag)
{
	struct act act = {.verb = "peers.block", .by_user = true, .uid = 1000, .object = OTHER, .reason = "x"};

	snprintf(act.id, sizeof act.id, "%s", id);
	return feed(
		d, (struct node_input){
			   .kind = NODE_BLOCK, .member = OTHER, .block = true, .reason = "x", .act = &act, .tag = tag});
}

static void tell_act(struct driven *d, const char *id, uint64_t tag)
{
	struct act act = {.verb = "dead.drop", .object = "registrar/1.0", .reason = "y"};

	snprintf(act.id, sizeof act.id, "%s", id);
	feed(d, (struct node_input){.kind = NODE_ACT, .act = &act, .tag = tag});
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

/* The trail as an operator reads it: "VERB uid OBJECT RESULT" of each act. */
static void expect_trail(struct driven *d, const char *wanted)
{
	struct query *q = query_new(QUERY_EVENTS);
	struct querier *querier = querier_new(&d->w.store_keys);
	struct buffer text = {0};
	json_t *event;
	size_t i;

	q->events.filter.topic = strdup(ACT_TOPIC);
	q->events.from_start = true;
	q->events.limit = 1000;
	q->events.with_data = true;
	query_run(querier, &memory_archive_ops, d->w.reader, q, d->w.seed);
	ck_assert_int_eq(q->result, 0);
	json_array_foreach(q->events.events, i, event)
	{
		json_t *data = json_object_get(event, "data");

		ck_assert_str_eq(json_string_value(json_object_get(event, "enlightaudience")), READER);
		buffer_printf(&text, "%s %lld %s %s\n", json_string_value(json_object_get(data, "act")),
			(long long)json_integer_value(json_object_get(data, "uid")),
			json_string_value(json_object_get(data, "object")),
			json_string_value(json_object_get(data, "result")));
	}
	buffer_str(&text, "");
	ck_assert_str_eq(text.len == 0 ? "" : buffer_cstr(&text), wanted);
	buffer_deinit(&text);
	query_free(q);
	querier_free(querier);
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

/* An act and its event in the trail become durable together. */
START_TEST(test_act_and_trail_are_one)
{
	struct driven d;

	drive(&d);
	ck_assert_int_eq(block_by_hand(&d, "a", 7), 0);
	ck_assert_int_eq(d.job->kind, JOB_SETTING);
	ck_assert_uint_eq(d.job->act.n_drafts, 1);
	commit(&d, false);
	ck_assert_ptr_null(d.job);
	ck_assert_str_eq(buffer_cstr(&d.answers), "7 durable\n");
	expect_held(&d, "blocked rug.nl=x\n");
	expect_trail(&d, "peers.block 1000 rug.nl done\n");
	stop(&d);
}
END_TEST

/* How many acts a query shows; `reads`: the pattern that the asker may read, NULL: an operator's. */
static size_t count_acts(struct driven *d, const char *topic, const char *reads)
{
	struct query *q = query_new(QUERY_EVENTS);
	struct querier *querier = querier_new(&d->w.store_keys);
	size_t n;

	q->events.filter.topic = topic == NULL ? NULL : strdup(topic);
	q->events.from_start = true;
	q->events.limit = 1000;
	if (reads != NULL) {
		q->events.filter.readable = calloc(1, sizeof(char *));
		q->events.filter.readable[q->events.filter.n_readable++] = strdup(reads);
	}
	query_run(querier, &memory_archive_ops, d->w.reader, q, d->w.seed);
	n = json_array_size(q->events.events);
	query_free(q);
	querier_free(querier);
	return n;
}

/* Only operators see the trail, and only when they ask for it by name; a reader does not though the table names it. */
START_TEST(test_trail_is_for_operators)
{
	struct driven d;

	drive(&d);
	tell_act(&d, "a", 1);
	commit(&d, false);
	ck_assert_uint_eq(count_acts(&d, ACT_TOPIC, NULL), 1);
	ck_assert_uint_eq(count_acts(&d, NULL, NULL), 0);
	ck_assert_uint_eq(count_acts(&d, "node.*", NULL), 0);
	ck_assert_uint_eq(count_acts(&d, ACT_TOPIC, "*"), 0);
	ck_assert_uint_eq(count_acts(&d, ACT_TOPIC, ACT_TOPIC), 0);
	stop(&d);
}
END_TEST

/* A card that is known already changes nothing; that somebody brought it is told. */
START_TEST(test_known_card_is_told)
{
	struct driven d;
	struct actor member = actor_of(OTHER, 0);
	struct act act = {.id = "a", .verb = "card.import", .by_user = true};
	struct problems problems = {0};
	struct buffer text;

	drive(&d);
	text = card_text(trust_network(d.w.trust), &member, 1, 1);
	ck_assert_int_eq(feed(&d, (struct node_input){.kind = NODE_NOTE,
					  .frame = view(&text),
					  .reason = "operator",
					  .problems = &problems,
					  .act = &act,
					  .tag = 3}),
		TRUST_KNOWN);
	commit(&d, false);
	ck_assert_str_eq(buffer_cstr(&d.answers), "3 durable\n");
	expect_held(&d, "");
	expect_trail(&d, "card.import 0 rug.nl 1 known\n");
	buffer_deinit(&text);
	stop(&d);
}
END_TEST

/* Roster 2, with as many of its members as are given. */
static struct buffer second_roster(size_t n_members)
{
	struct actor members[] = {actor_of(OTHER, 0), actor_of(READER, 0), actor_of(PUBLISHER, 0)};
	struct buffer first = roster_text(NULL, 1, 2, members, 3),
		      second = roster_text(&first, 2, 2, members, n_members);

	for (size_t i = 0; i < 2; i++)
		sign_by(&second, &members[i]);
	buffer_deinit(&first);
	return second;
}

static struct digest roster_digest(char hex[static 2 * DIGEST_LEN + 1], const struct buffer *text)
{
	struct digest d;

	digest_plain(&d, signed_part(text));
	hex_encode(hex, d.bytes, DIGEST_LEN);
	return d;
}

static int import_roster(struct driven *d, const char *id, size_t n_members)
{
	struct act act = {.verb = "roster.import", .by_user = true};
	struct buffer text = second_roster(n_members);
	struct problems problems = {0};
	int r;

	snprintf(act.id, sizeof act.id, "%s", id);
	r = feed(d, (struct node_input){.kind = NODE_NOTE,
			    .frame = view(&text),
			    .reason = "operator",
			    .problems = &problems,
			    .act = &act,
			    .tag = 1});
	commit(d, false);
	buffer_deinit(&text);
	return r;
}

static int pin_roster(struct driven *d, const char *id, size_t n_members, uint64_t tag)
{
	struct buffer text = second_roster(n_members);
	char hex[2 * DIGEST_LEN + 1];
	struct digest digest;
	struct act act = {.verb = "roster.pin", .by_user = true, .object = hex, .reason = "by telephone"};

	snprintf(act.id, sizeof act.id, "%s", id);
	digest = roster_digest(hex, &text);
	buffer_deinit(&text);
	return feed(d, (struct node_input){.kind = NODE_PIN, .digest = &digest, .act = &act, .tag = tag});
}

/* A roster that competes with one in force is kept, and told as refused; so is which of the two counts, and that somebody said it again. */
START_TEST(test_pin_is_told)
{
	struct driven d;
	struct buffer trail = {0}, text;
	char hex[2 * DIGEST_LEN + 1];

	drive(&d);
	ck_assert_int_eq(import_roster(&d, "a", 3), 0);
	ck_assert_int_eq(import_roster(&d, "b", 2), TRUST_FORK);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 durable\n"); /* of the rival nobody waits */
	ck_assert_int_eq(pin_roster(&d, "c", 1, 2), -ENOENT);
	ck_assert_ptr_null(d.job);
	ck_assert_int_eq(pin_roster(&d, "d", 2, 3), 0);
	ck_assert_int_eq(d.job->kind, JOB_SETTING);
	ck_assert_uint_eq(d.job->act.n_drafts, 1);
	commit(&d, false);
	ck_assert_int_eq(pin_roster(&d, "e", 2, 4), 1);
	commit(&d, false);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 durable\n3 durable\n4 durable\n");
	text = second_roster(2);
	roster_digest(hex, &text);
	buffer_printf(&trail,
		"roster.import 0 2 done\nroster.import 0 2 refused\nroster.pin 0 %s done\nroster.pin 0 %s known\n", hex,
		hex);
	expect_trail(&d, buffer_cstr(&trail));
	buffer_deinit(&text);
	buffer_deinit(&trail);
	stop(&d);
}
END_TEST

/* Where the trail takes nothing the act becomes durable alone, and whoever did it is told that something is missing; when there is room
 * again each act is in the trail once, whatever was tried meanwhile. */
START_TEST(test_trail_is_full)
{
	struct driven d;

	drive(&d);
	ck_assert_int_eq(block_by_hand(&d, "a", 1), 0);
	commit(&d, true);
	ck_assert_uint_eq(d.answers.len, 0);
	ck_assert_uint_eq(d.job->act.n_drafts, 0);
	commit(&d, false);
	expect_held(&d, "blocked rug.nl=x\n");
	ck_assert_int_eq(d.job->kind, JOB_ACT);
	commit(&d, true);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 not yet\n");
	ck_assert_uint_eq(d.errors, 1);
	tell_act(&d, "b", 2);
	ck_assert_ptr_null(d.job);
	tick(&d, 1000);
	commit(&d, true);
	expect_trail(&d, "");
	tick(&d, 1000);
	commit(&d, false);
	commit(&d, false);
	ck_assert_ptr_null(d.job);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 not yet\n2 not yet\n");
	ck_assert_uint_eq(d.errors, 1);
	expect_trail(&d, "peers.block 1000 rug.nl done\ndead.drop 0 registrar/1.0 done\n");
	stop(&d);
}
END_TEST

/* A commit that was done and whose answer was lost is tried again: the event's id lets it be there once. */
START_TEST(test_told_twice_is_there_once)
{
	struct driven d;

	drive(&d);
	tell_act(&d, "a", 1);
	commit(&d, false);
	tell_act(&d, "a", 2);
	commit(&d, false);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 durable\n2 durable\n");
	expect_trail(&d, "dead.drop 0 registrar/1.0 done\n");
	stop(&d);
}
END_TEST

/* So many acts may wait for the disk. A further block is not done; what was done already is said to be missing. */
START_TEST(test_flood_of_acts_is_bounded)
{
	struct driven d;
	char id[16];

	drive(&d);
	for (int i = 0; i < ACTS_MAX; i++) {
		snprintf(id, sizeof id, "act-%d", i);
		ck_assert_int_eq(block_by_hand(&d, id, 0), 0);
	}
	ck_assert_int_eq(block_by_hand(&d, "more", 5), -EAGAIN);
	ck_assert_uint_eq(d.answers.len, 0);
	tell_act(&d, "done", 6);
	ck_assert_str_eq(buffer_cstr(&d.answers), "6 not yet\n");
	ck_assert_uint_eq(d.errors, 1);
	commit(&d, false);
	ck_assert_int_eq(block_by_hand(&d, "again", 7), 0);
	stop(&d);
}
END_TEST

/* A node without a card of its own cannot sign a trail: it keeps what is in force, and tells the rest when it has its card. */
START_TEST(test_trail_waits_for_a_card)
{
	struct driven d;
	static const uint8_t boot[BOOT_ID_LEN];
	struct node_keys other_key = node_keys_of(READER, 2);
	struct node_options options = {.member = READER, .boot = boot, .keys = &other_key};

	drive(&d);
	node_free(d.node);
	options.trust = d.w.trust;
	ck_assert_int_eq(node_new(&d.node, &options), 0); /* its card lists key 1 alone */
	tell_act(&d, "a", 0);
	ck_assert_ptr_null(d.job);
	ck_assert_int_eq(block_by_hand(&d, "b", 1), 0);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 not yet\n");
	commit(&d, false);
	ck_assert_ptr_null(d.job);
	expect_held(&d, "blocked rug.nl=x\n");
	give_card(&d, READER, 2);
	commit(&d, false);
	ck_assert_int_eq(d.job->kind, JOB_ACT);
	stop(&d);
}
END_TEST

/* That a card took its key away is the last thing that a node's key signs, however long the disk takes; whoever waits for an act behind it is
 * told that it waits. */
START_TEST(test_key_goes)
{
	struct actor member = actor_of(READER, 0);
	struct act act = {.id = "b", .verb = "card.import", .by_user = true};
	struct problems problems = {0};
	struct buffer text;
	struct driven d;

	drive(&d);
	text = card_text(trust_network(d.w.trust), &member, 2, 2);
	ck_assert_int_eq(feed(&d, (struct node_input){.kind = NODE_NOTE,
					  .frame = view(&text),
					  .reason = "operator",
					  .problems = &problems,
					  .act = &act,
					  .tag = 1}),
		0);
	tick(&d, 1000); /* it is under way */
	commit(&d, false);
	tell_act(&d, "c", 2);
	ck_assert_ptr_null(d.job);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 durable\n2 not yet\n");
	expect_trail(&d, "card.import 0 ugent.be 2 done\n");
	buffer_deinit(&text);
	stop(&d);
}
END_TEST

/* The key goes while an act waits for the disk: who waits for it is told at the next tick. */
START_TEST(test_key_goes_meanwhile)
{
	struct driven d;

	drive(&d);
	tell_act(&d, "a", 1);
	tell_act(&d, "b", 2);
	give_card(&d, READER, 3);
	commit(&d, false);
	commit(&d, false);
	ck_assert_ptr_null(d.job);
	tick(&d, 1000);
	ck_assert_str_eq(buffer_cstr(&d.answers), "1 durable\n3 durable\n2 not yet\n");
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

/* One event of this node's own that stood in a history which it went back behind. */
static void leave_out_one(struct driven *d)
{
	struct draft draft = world_draft(
		READER, "course.offering", "course/CR/1", "network", "left-out", "{\"courseId\": \"CR/1\"}");
	struct job *job = world_publish_job(&d->w, &draft, 1);
	struct commit_changes *changes = NULL;
	struct channel_row row;

	ck_assert_int_eq(world_run(&d->w, d->w.reading, d->w.reader, job, &changes), 0);
	commit_changes_free(changes);
	job_free(job);
	memory_ledger_begin(d->w.reader);
	ck_assert_int_eq(memory_ledger_ops.channel_find(d->w.reader, READER, "network", &row), 0);
	ck_assert_int_eq(memory_ledger_ops.set_aside(d->w.reader, row.id, 0, true), 0);
	row.last = row.incarnation = 0;
	row.next_incarnation = 2;
	row.head = digest_zero;
	ck_assert_int_eq(memory_ledger_ops.channel_put(d->w.reader, &row), 0);
	memory_ledger_commit(d->w.reader);
	channel_row_deinit(&row);
}

/* What was to be published again when the node ended is published again after its start, and nothing else before; a full disk holds others up
 * no longer than that one try. */
START_TEST(test_published_again_after_a_start)
{
	struct driven d;
	struct index_key key;
	struct place place;

	drive(&d);
	leave_out_one(&d);
	ck_assert_ptr_null(node_why_not_ready(d.node));
	node_load_again(d.node);
	ck_assert_ptr_nonnull(node_why_not_ready(d.node));
	tick(&d, 1000);
	ck_assert_int_eq(d.job->kind, JOB_REPUBLISH);
	commit(&d, true);
	ck_assert_ptr_null(node_why_not_ready(d.node));
	ck_assert_ptr_null(d.job);
	tick(&d, 5000);
	commit(&d, false);
	ck_assert_ptr_nonnull(node_why_not_ready(d.node)); /* there may be more */
	commit(&d, false);
	ck_assert_ptr_null(d.job);
	ck_assert_ptr_null(node_why_not_ready(d.node));
	index_event(&key, &d.w.store_keys, READER, "left-out");
	ck_assert_int_eq(memory_archive_ops.event(d.w.reader, &key, &place), 0);
	ck_assert_int_eq(memory_archive_ops.aside_pends(d.w.reader), LEDGER_NONE);
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
	tcase_add_test(tc, test_act_and_trail_are_one);
	tcase_add_test(tc, test_trail_is_for_operators);
	tcase_add_test(tc, test_known_card_is_told);
	tcase_add_test(tc, test_pin_is_told);
	tcase_add_test(tc, test_trail_is_full);
	tcase_add_test(tc, test_told_twice_is_there_once);
	tcase_add_test(tc, test_flood_of_acts_is_bounded);
	tcase_add_test(tc, test_trail_waits_for_a_card);
	tcase_add_test(tc, test_key_goes);
	tcase_add_test(tc, test_key_goes_meanwhile);
	tcase_add_test(tc, test_kept_late);
	tcase_add_test(tc, test_published_again_after_a_start);
	tcase_add_test(tc, test_busy_node_ticks);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
