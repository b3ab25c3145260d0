#include "core/delivery.h"

#include "core/wire.h"
#include "enlight/plugin/v1/plugin.pb-c.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool stepping;           /* only what the delivery allocates fails */
static size_t allocations_left; /* the one that brings it to 0 fails; 0: none does */
static bool starving;           /* each fails */

static bool fails(void)
{
	return stepping && (starving || (allocations_left != 0 && --allocations_left == 0));
}

#include "failing_memory.h"

/* One delivery with everything around it played: a log of events, a durable state, a process that is told things, and the clock. What the
 * delivery asks for is answered at once, unless a test holds it back. */

typedef Enlight__Plugin__V1__ToPlugin ToPlugin;
typedef Enlight__Plugin__V1__FromPlugin FromPlugin;

enum { EVENTS_MAX = 4000, ROWS_MAX = 4000, OPEN_MAX = 4096 };

struct given {
	uint64_t number, sequence, settled;
	uint32_t attempt;
	bool erase;
};

struct play {
	struct delivery *d;
	uint64_t now_ms, time_ms;
	struct {
		int lane;
		bool erase, gone, unreadable;
		const char *topic; /* NULL: course.offering */
		uint32_t later;    /* incarnations */
	} events[EVENTS_MAX];      /* event i has place (i + 1, 0) and sequence i + 1 */
	size_t event_bytes;        /* of each */
	const char *topics;        /* that the plugin may read */
	size_t n_events, n_erased; /* events; what each erasure lists: so many from the first */
	size_t page_events;        /* are read at once */
	unsigned rounds;           /* in which what an erasure lists is looked up, but for the last */
	struct place cursor;       /* durable */
	struct held_row held[ROWS_MAX];
	size_t n_held;
	struct given open[OPEN_MAX]; /* what the process has */
	size_t n_open;
	size_t told; /* ids to be forgotten */
	unsigned starts, kills, commits, drains;
	bool may_fail; /* memory does */
	bool alive, finished, hold_commits, fail_commits, fail_queries;
	uint64_t damaged; /* number of the batch that cannot be read; 0: none */
	struct job *held_job;
	char said[512]; /* the last line of the log */
	unsigned lines;
	uint64_t wake_ms;
	int result;
};

static void feed(struct play *p, struct delivery_input *in);

/* ---- what is around it ---- */

static const char *topic_of(const struct play *p, size_t i)
{
	if (p->events[i].topic != NULL)
		return p->events[i].topic;
	return p->events[i].erase ? "person.erasure" : "course.offering";
}

static struct delivered delivered_of(const struct play *p, size_t i)
{
	struct delivered e = {.place = {i + 1, 0},
		.channel = 1,
		.audience = strdup("ugent.be"),
		.incarnation = 1 + p->events[i].later,
		.sequence = i + 1,
		.packed = bytes_of(calloc(1, p->event_bytes), p->event_bytes),
		.stored_ms = 1000};

	strcpy(e.source, "ut.ee");
	strcpy(e.topic, topic_of(p, i));
	e.lane.bytes[8] = (uint8_t)p->events[i].lane;
	if (p->events[i].erase) {
		e.erased = calloc(1, sizeof *e.erased);
		e.erased->n_sequences = e.erased->n_places = e.erased->n_ids = p->n_erased;
		e.erased->sequences = calloc(p->n_erased, sizeof(uint64_t));
		e.erased->places = calloc(p->n_erased, sizeof(struct place));
		e.erased->ids = calloc(p->n_erased + 1, sizeof(char *));
		e.erased->subjects = calloc(p->n_erased + 1, sizeof(char *));
		for (size_t k = 0; k < p->n_erased; k++) {
			e.erased->sequences[k] = k + 1;
			e.erased->places[k] = (struct place){k + 1, 0};
			e.erased->ids[k] = strdup("id");
			e.erased->subjects[k] = strdup("course/1");
		}
	}
	return e;
}

/* False: what it lists is not looked up in this round. */
static bool give(struct play *p, struct deliveries_query *q, size_t i)
{
	delivered_deinit(&q->unfinished);
	if (p->events[i].erase && p->rounds > 0) {
		p->rounds--;
		q->unfinished = delivered_of(p, i);
		return false;
	}
	if (p->events[i].unreadable)
		q->events[q->n_events++] = (struct delivered){.place = {i + 1, 0}, .unreadable = true};
	else if (!p->events[i].gone)
		q->events[q->n_events++] = delivered_of(p, i);
	return true;
}

static bool is_full(const struct play *p, const struct deliveries_query *q)
{
	return q->n_events > 0 && (q->n_events == p->page_events || (q->n_events + 1) * p->event_bytes > q->max_bytes);
}

static void give_places(struct play *p, struct deliveries_query *q)
{
	for (size_t i = 0; i < q->n_places; i++)
		if (is_full(p, q) || (q->places[i].number <= p->n_events && !give(p, q, q->places[i].number - 1)))
			q->n_places = i;
}

static void give_page(struct play *p, struct deliveries_query *q)
{
	bool going = true;

	for (size_t i = q->after.number; going && i < p->n_events; i++) {
		bool wanted = p->events[i].erase || topic_matches(q->allowed[0], topic_of(p, i));

		going = i + 1 != p->damaged && !is_full(p, q) && (!wanted || give(p, q, i));
		if (going)
			q->next = (struct place){i + 1, 0};
	}
	q->more = q->next.number < p->n_events;
}

static void answer_query(struct play *p, struct query *query)
{
	struct deliveries_query *q = &query->deliveries;
	struct delivery_input in = {.kind = DELIVERY_READ, .query = query};

	q->next = q->after;
	q->events = calloc(p->n_events + 1, sizeof *q->events);
	if (p->fail_queries)
		query->result = -EIO;
	else if (q->places != NULL)
		give_places(p, q);
	else
		give_page(p, q);
	if (q->places == NULL && p->damaged != 0 && q->after.number + 1 == p->damaged) {
		query->result = -EBADMSG;
		q->unreadable = p->damaged;
	}
	feed(p, &in);
	query_free(query);
}

static void remove_row(struct play *p, const struct place *place)
{
	for (size_t i = 0; i < p->n_held; i++)
		if (p->held[i].place.number == place->number) {
			memmove(&p->held[i], &p->held[i + 1], (--p->n_held - i) * sizeof *p->held);
			return;
		}
}

static void commit(struct play *p, struct job *job)
{
	struct delivery_job *j = &job->delivery;
	struct delivery_input in = {.kind = DELIVERY_COMMITTED, .job = job};

	j->done = !p->fail_commits;
	if (j->done) {
		p->commits++;
		p->cursor = j->cursor;
		for (size_t i = 0; i < j->n_removes; i++)
			remove_row(p, &j->removes[i]);
		for (size_t i = 0; i < j->n_puts; i++) {
			size_t at = 0;

			remove_row(p, &j->puts[i].place);
			while (at < p->n_held && p->held[at].place.number < j->puts[i].place.number)
				at++;
			memmove(&p->held[at + 1], &p->held[at], (p->n_held++ - at) * sizeof *p->held);
			p->held[at] = j->puts[i];
		}
	}
	feed(p, &in);
	job_free(job);
}

static void take_frame(struct play *p, struct bytes bytes)
{
	ToPlugin *f = wire_unpack(&enlight__plugin__v1__to_plugin__descriptor, bytes, 1 << 20);

	ck_assert_ptr_nonnull(f);
	if (f->deliver != NULL)
		p->open[p->n_open++] = (struct given){
			f->deliver->number, f->deliver->sequence, f->deliver->settled, f->deliver->attempt, false};
	if (f->erase != NULL)
		p->told += f->erase->n_ids;
	if (f->erase != NULL)
		p->open[p->n_open++] = (struct given){f->erase->number, 0, 0, 0, true};
	p->drains += f->drain != NULL;
	wire_free(f);
}

static void act(struct play *p, struct delivery_action *a)
{
	switch (a->kind) {
	case DELIVERY_START:
		p->starts++;
		p->alive = true;
		p->n_open = 0;
		break;
	case DELIVERY_SEND:
		take_frame(p, a->bytes);
		break;
	case DELIVERY_KILL:
		p->kills++;
		break;
	case DELIVERY_QUERY:
		answer_query(p, a->query);
		a->query = NULL;
		break;
	case DELIVERY_COMMIT:
		if (p->hold_commits)
			p->held_job = a->job;
		else
			commit(p, a->job);
		a->job = NULL;
		break;
	case DELIVERY_LOG:
		p->lines++;
		snprintf(p->said, sizeof p->said, "%s", a->text == NULL ? "" : a->text);
		break;
	case DELIVERY_FINISHED:
		p->finished = true;
		break;
	case DELIVERY_PUBLISH:
		break;
	}
}

static void feed(struct play *p, struct delivery_input *in)
{
	struct delivery_update up = {0};
	int r;

	in->now_ms = p->now_ms;
	in->time_ms = p->time_ms;
	stepping = true;
	r = delivery_step(p->d, in, &up);
	stepping = false;
	ck_assert(r == 0 || (r == -ENOMEM && p->may_fail));
	p->wake_ms = up.wake_ms;
	if (in->kind == DELIVERY_RETRY || in->kind == DELIVERY_RETRY_ALL || in->kind == DELIVERY_DROP)
		p->result = up.result; /* what follows at once has none */
	for (size_t i = 0; i < up.n_actions; i++)
		act(p, &up.actions[i]);
	delivery_update_clear(&up);
}

static void tick(struct play *p)
{
	struct delivery_input in = {.kind = DELIVERY_TICK};

	feed(p, &in);
}

/* Lets time pass, with a tick whenever one is due. */
static void wait_ms(struct play *p, uint64_t ms)
{
	uint64_t end = p->now_ms + ms;

	while (p->now_ms < end) {
		uint64_t next = p->wake_ms > p->now_ms && p->wake_ms < end ? p->wake_ms : end;

		p->time_ms += next - p->now_ms;
		p->now_ms = next;
		tick(p);
	}
}

static void say(struct play *p, const FromPlugin *frame)
{
	size_t len;
	uint8_t *packed = wire_pack(frame, &len);
	struct delivery_input in = {.kind = DELIVERY_FRAME, .bytes = bytes_of(packed, len)};

	feed(p, &in);
	free(packed);
}

static void ready(struct play *p, const char *order, unsigned window)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Ready r = ENLIGHT__PLUGIN__V1__READY__INIT;

	r.protocol = 1;
	r.order = (char *)order;
	r.has_window = true;
	r.window = window;
	frame.ready = &r;
	say(p, &frame);
}

static void beat(struct play *p)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Beat b = ENLIGHT__PLUGIN__V1__BEAT__INIT;

	frame.beat = &b;
	say(p, &frame);
}

/* Answers the i-th that is open, counted from the oldest. */
static void result(struct play *p, size_t i, const char *outcome)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Result r = ENLIGHT__PLUGIN__V1__RESULT__INIT;

	ck_assert_uint_lt(i, p->n_open);
	r.number = p->open[i].number;
	r.outcome = (char *)outcome;
	r.reason = strcmp(outcome, "done") == 0 ? NULL : (char *)"a reason";
	memmove(&p->open[i], &p->open[i + 1], (--p->n_open - i) * sizeof *p->open);
	frame.result = &r;
	say(p, &frame);
}

static void ended(struct play *p)
{
	struct delivery_input in = {.kind = DELIVERY_ENDED, .text = "killed by SIGSEGV"};

	p->alive = false;
	p->n_open = 0;
	feed(p, &in);
}

static void stored(struct play *p)
{
	struct delivery_input in = {.kind = DELIVERY_STORED, .last_number = p->n_events};

	feed(p, &in);
}

static void add(struct play *p, int lane)
{
	p->events[p->n_events++].lane = lane;
}

static int operate(struct play *p, enum delivery_input_kind kind, uint64_t number)
{
	struct delivery_input in = {.kind = kind, .place = {number, 0}};

	feed(p, &in);
	return p->result;
}

static struct delivery_options options_of(const struct play *p)
{
	return (struct delivery_options){.name = "registrar",
		.member = "ugent.be",
		.topics = (char *const *)&p->topics,
		.n_topics = 1,
		.state = "/state",
		.deadline_ms = 5000};
}

/* A delivery over what is durable; its process is started. */
static void begin(struct play *p)
{
	struct delivery_options options = options_of(p);

	delivery_free(p->d);
	ck_assert_int_eq(delivery_new(&p->d, &options), 0);
	delivery_load_cursor(p->d, &p->cursor);
	for (size_t i = 0; i < p->n_held; i++)
		ck_assert_int_eq(delivery_load_held(p->d, &p->held[i]), 0);
	stored(p);
	ck_assert(p->alive);
}

/* The configuration changes: the process is asked to end, does, or is killed, and another begins with these topics. */
static void reload(struct play *p, const char *pattern)
{
	struct delivery_input in = {.kind = DELIVERY_DRAIN, .drain_ms = 1000};
	struct delivery_options options;
	struct delivery *old = p->d;

	feed(p, &in);
	wait_ms(p, 1000);
	ended(p);
	while (!p->finished)
		wait_ms(p, 1000);
	p->finished = false;
	p->topics = pattern;
	options = options_of(p);
	ck_assert_int_eq(delivery_renew(&p->d, &options, old), 0);
	delivery_free(old);
	stored(p);
	ck_assert(p->alive);
}

static struct play *play_new(void)
{
	struct play *p = calloc(1, sizeof *p);

	p->now_ms = 100000;
	p->time_ms = 1700000000000;
	p->n_erased = 1;
	p->page_events = 600;
	p->event_bytes = 5;
	p->topics = "course.*";
	return p;
}

/* A plugin with a window of so many events that is ready for `n_events`, which are in turn of so many lanes. */
static struct play *play_with(int n_events, int n_lanes, unsigned window)
{
	struct play *p = play_new();

	for (int i = 0; i < n_events; i++)
		add(p, i % n_lanes);
	begin(p);
	ready(p, "lanes", window);
	return p;
}

static void play_free(struct play *p)
{
	delivery_free(p->d);
	job_free(p->held_job);
	free(p);
}

static bool has(const struct play *p, uint64_t sequence)
{
	for (size_t i = 0; i < p->n_open; i++)
		if (p->open[i].sequence == sequence)
			return true;
	return false;
}

static size_t index_of(const struct play *p, uint64_t sequence)
{
	for (size_t i = 0; i < p->n_open; i++)
		if (p->open[i].sequence == sequence)
			return i;
	ck_abort_msg("not open");
}

/* ---- windows, lanes, order ---- */

/* Of each lane one event is out at a time, of all lanes as many as the window holds. */
START_TEST(test_lanes)
{
	struct play *p = play_with(6, 3, 2);

	ck_assert_uint_eq(p->n_open, 2);
	ck_assert(has(p, 1) && has(p, 2));
	result(p, 0, "done"); /* lane 0: the third event is of lane 2 */
	ck_assert(has(p, 2) && has(p, 3));
	result(p, index_of(p, 3), "done");
	ck_assert(has(p, 4)); /* of lane 0, which is free again */
	result(p, index_of(p, 2), "done");
	ck_assert(has(p, 5));
	play_free(p);
}
END_TEST

/* In order: one at a time, whatever the window says. */
START_TEST(test_in_order)
{
	struct play *p = play_new();

	for (int i = 0; i < 3; i++)
		add(p, i);
	begin(p);
	ready(p, "in order", 10);
	for (uint64_t sequence = 1; sequence <= 3; sequence++) {
		ck_assert_uint_eq(p->n_open, 1);
		ck_assert_uint_eq(p->open[0].sequence, sequence);
		result(p, 0, "done");
	}
	ck_assert_uint_eq(p->cursor.number, 3);
	play_free(p);
}
END_TEST

/* In order: what is retried holds up everything behind it. */
START_TEST(test_in_order_waits)
{
	struct play *p = play_new();

	add(p, 0);
	add(p, 1);
	begin(p);
	ready(p, "in order", 1);
	result(p, 0, "retry");
	ck_assert_uint_eq(p->n_open, 0);
	ck_assert_uint_eq(p->cursor.number, 1); /* the cursor has moved: the event is on record */
	ck_assert_uint_eq(p->n_held, 1);
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert_uint_eq(p->open[0].sequence, 1);
	ck_assert_uint_eq(p->open[0].attempt, 2);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0);
	ck_assert_uint_eq(p->open[0].sequence, 2);
	play_free(p);
}
END_TEST

/* Results in any order: the cursor stands before the first that is not settled. */
START_TEST(test_cursor)
{
	struct play *p = play_with(4, 4, 4);

	result(p, index_of(p, 3), "done");
	result(p, index_of(p, 2), "done");
	ck_assert_uint_eq(p->cursor.number, 0);
	result(p, index_of(p, 1), "done");
	ck_assert_uint_eq(p->cursor.number, 3);
	result(p, 0, "done");
	ck_assert_uint_eq(p->cursor.number, 4);
	play_free(p);
}
END_TEST

/* `settled` is the lowest sequence of the channel that may come again: not committed yet, or held. What is done and not durable comes again
 * after a crash, so it does not count. */
START_TEST(test_settled)
{
	struct play *p = play_with(6, 6, 1);
	struct job *job;

	ck_assert_uint_eq(p->open[0].settled, 0);
	p->hold_commits = true;
	result(p, 0, "done");
	ck_assert_uint_eq(p->open[0].settled, 0);
	result(p, 0, "done");
	ck_assert_uint_eq(p->open[0].sequence, 3);
	ck_assert_uint_eq(p->open[0].settled, 0); /* the first one's commit still runs */
	job = p->held_job;
	p->held_job = NULL;
	p->hold_commits = false;
	commit(p, job);
	result(p, 0, "reject");
	ck_assert_uint_eq(p->open[0].settled, 3); /* both are durable by now */
	result(p, 0, "done");
	ck_assert_uint_eq(p->open[0].sequence, 5);
	ck_assert_uint_eq(p->open[0].settled, 3); /* the third one is held */
	result(p, 0, "done");
	ck_assert_uint_eq(p->open[0].settled, 3);
	play_free(p);
}
END_TEST

/* A long log is given out page by page, all of it, in order. */
START_TEST(test_many)
{
	struct play *p = play_with(3000, 200, 1);
	uint64_t next = 1;

	while (p->n_open > 0) {
		ck_assert_uint_eq(p->open[0].sequence, next++);
		result(p, 0, "done");
	}
	ck_assert_uint_eq(next, 3001);
	ck_assert_uint_eq(p->cursor.number, 3000);
	play_free(p);
}
END_TEST

/* What waits for its lane costs next to nothing each time it is passed over, however many there are. The time limit is the test. */
START_TEST(test_crowded_lanes)
{
	enum { LANES = 200, DEPTH = 20 };
	struct play *p = play_new();
	uint64_t next[LANES];

	for (int i = 0; i < LANES * DEPTH; i++)
		add(p, i / DEPTH);
	for (int lane = 0; lane < LANES; lane++)
		next[lane] = (uint64_t)lane * DEPTH + 1;
	p->page_events = LANES * DEPTH;
	begin(p);
	ready(p, "lanes", LANES);
	for (size_t i = 0; p->n_open > 0; i = (i + 7) % (p->n_open + 1)) {
		size_t k = i % p->n_open;

		ck_assert_uint_eq(p->open[k].sequence, next[(p->open[k].sequence - 1) / DEPTH]++);
		result(p, k, "done");
	}
	ck_assert_uint_eq(p->cursor.number, LANES * DEPTH);
	play_free(p);
}
END_TEST

/* As many as can be held, half of them each parked behind one of the others: all are listed, each with what waits for it. */
START_TEST(test_long_list)
{
	struct play *p = play_new();
	struct held_row row = {.channel = 1, .plugin = "registrar", .source = "ut.ee", .topic = "course.offering"};
	struct held_page page = {.limit = DELIVERY_HELD_MAX, .letters = json_array()};

	begin(p);
	for (uint64_t i = 0; i < DELIVERY_HELD_MAX; i++) {
		row.place = (struct place){100000 + i, 0};
		row.state = i % 2 == 0 ? HELD_DEAD : HELD_PARKED;
		row.lane.bytes[0] = (uint8_t)(i / 2 >> 8);
		row.lane.bytes[1] = (uint8_t)(i / 2);
		ck_assert_int_eq(delivery_load_held(p->d, &row), 0);
	}
	ck_assert_int_eq(delivery_list_held(p->d, &page, NULL), 0);
	ck_assert_uint_eq(json_array_size(page.letters), DELIVERY_HELD_MAX / 2);
	ck_assert(!page.more);
	for (size_t i = 0; i < DELIVERY_HELD_MAX / 2; i++)
		ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(page.letters, i), "parked")), 1);
	json_decref(page.letters);
	play_free(p);
}
END_TEST

/* ---- held rows ---- */

/* Pages of the held rows: each row once, whatever the limit; those behind a dead one are counted, and are a list of their own. */
START_TEST(test_pages_of_held_rows)
{
	struct play *p = play_new();
	struct held_page page = {.limit = 2, .letters = json_array()}, parked = {.state = HELD_PARKED, .limit = 9};
	struct place last;

	for (int i = 0; i < 7; i++)
		add(p, i < 2 ? 0 : i); /* 2 behind 1 */
	begin(p);
	ready(p, "lanes", 8);
	while (p->n_open > 0)
		result(p, 0, p->open[0].sequence == 4 ? "done" : "reject");
	ck_assert_int_eq(delivery_list_held(p->d, &page, NULL), 0);
	ck_assert(page.more && page.after.number == 3);
	ck_assert_str_eq(page.after_plugin, "registrar");
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(page.letters, 0), "parked")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(page.letters, 1), "parked")), 0);
	last = page.after;
	json_array_clear(page.letters);
	ck_assert_int_eq(delivery_list_held(p->d, &page, &last), 0);
	ck_assert(page.more && page.after.number == 6);
	ck_assert_int_eq(operate(p, DELIVERY_DROP, 6), 0); /* what is gone is a place as good as any */
	last = page.after;
	json_array_clear(page.letters);
	ck_assert_int_eq(delivery_list_held(p->d, &page, &last), 0);
	ck_assert(!page.more && page.after.number == 7);
	ck_assert_uint_eq(json_array_size(page.letters), 1);
	parked.letters = json_array();
	ck_assert_int_eq(delivery_list_held(p->d, &parked, NULL), 0);
	ck_assert(json_array_size(parked.letters) == 1 && parked.after.number == 2);
	json_decref(parked.letters);
	json_decref(page.letters);
	play_free(p);
}
END_TEST

static const struct {
	const char *source, *topic;
	int n;
} filters[] = {
	{NULL, NULL, 3},
	{"ut.ee", NULL, 3},
	{"uu.se", NULL, 0},
	{NULL, "mobility.*", 1},
	{"ut.ee", "course.offering", 2},
};

/* An operator has many retried at once: all, or those of a publisher and a topic; never what is parked. */
START_TEST(test_retry_of_many)
{
	struct play *p = play_new();
	struct held_filter filter = {filters[_i].source, filters[_i].topic};
	struct delivery_input in = {.kind = DELIVERY_RETRY_ALL, .filter = &filter};

	for (int i = 0; i < 4; i++)
		add(p, i < 2 ? 0 : i); /* 2 behind 1 */
	p->events[3].topic = "mobility.nomination";
	p->topics = "*";
	begin(p);
	ready(p, "lanes", 8);
	result(p, index_of(p, 1), "reject");
	result(p, index_of(p, 3), "reject");
	result(p, index_of(p, 4), "retry");
	ck_assert_uint_eq(p->n_held, 4);
	feed(p, &in);
	ck_assert_int_eq(p->result, filters[_i].n);
	ck_assert_uint_eq(p->n_open, filters[_i].n);
	ck_assert(!has(p, 2));
	play_free(p);
}
END_TEST

/* Rejected: dead; later ones of its lane park behind it, others go on; after a retry all come, in order. */
START_TEST(test_dead_and_parked)
{
	struct play *p = play_with(6, 2, 1);
	struct delivery_counters c;

	result(p, 0, "reject");
	while (p->n_open > 0)
		result(p, 0, "done");
	delivery_counters(p->d, &c);
	ck_assert_uint_eq(c.dead, 1);
	ck_assert_uint_eq(c.parked, 2);
	ck_assert_uint_eq(c.done, 3);
	ck_assert_uint_eq(p->cursor.number, 6);
	ck_assert_int_eq(operate(p, DELIVERY_RETRY, 3), -EBUSY);
	ck_assert_int_eq(operate(p, DELIVERY_RETRY, 2), -ENOENT);
	ck_assert_int_eq(operate(p, DELIVERY_RETRY, 1), 0);
	for (uint64_t sequence = 1; sequence <= 5; sequence += 2) {
		ck_assert_uint_eq(p->n_open, 1);
		ck_assert_uint_eq(p->open[0].sequence, sequence);
		result(p, 0, "done");
	}
	ck_assert_uint_eq(p->n_held, 0);
	play_free(p);
}
END_TEST

/* One that is dropped is gone, and the next of its lane is tried. */
START_TEST(test_drop)
{
	struct play *p = play_with(2, 1, 1);

	result(p, 0, "reject");
	ck_assert_uint_eq(p->n_open, 0);
	ck_assert_int_eq(operate(p, DELIVERY_DROP, 1), 0);
	ck_assert_uint_eq(p->open[0].sequence, 2);
	ck_assert_int_eq(operate(p, DELIVERY_DROP, 2), 0); /* while the plugin has it */
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0);
	ck_assert_int_eq(operate(p, DELIVERY_DROP, 2), -ENOENT);
	play_free(p);
}
END_TEST

/* The pause grows, up to its limit. */
START_TEST(test_back_off)
{
	struct play *p = play_with(1, 1, 1);
	uint64_t pause = DELIVERY_RETRY_MIN_MS;

	for (int i = 0; i < 12; i++) {
		uint64_t waited = 0;

		result(p, 0, "retry");
		while (p->n_open == 0) {
			beat(p);
			wait_ms(p, 250);
			waited += 250;
		}
		ck_assert_uint_eq(waited, pause);
		pause = pause * 2 < DELIVERY_RETRY_MAX_MS ? pause * 2 : DELIVERY_RETRY_MAX_MS;
	}
	ck_assert_uint_eq(p->open[0].attempt, 13);
	play_free(p);
}
END_TEST

/* Rows that are retried fill the window: a plugin whose database is down is not given the whole log. */
START_TEST(test_ailing_plugin)
{
	struct play *p = play_with(500, 250, 8);

	for (int i = 0; i < 8; i++)
		result(p, 0, "retry");
	ck_assert_uint_eq(p->n_open, 0);
	ck_assert_uint_eq(p->n_held, 8);
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert_uint_eq(p->n_open, 8);
	while (p->n_open > 0)
		result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0);
	ck_assert_uint_eq(p->cursor.number, 500);
	play_free(p);
}
END_TEST

/* A plugin that asks for an hour is asked again after the longest pause, not before. */
START_TEST(test_retry_in_an_hour)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Result r = ENLIGHT__PLUGIN__V1__RESULT__INIT;
	struct play *p = play_with(1, 1, 1);

	r.number = p->open[0].number;
	r.outcome = (char *)"retry";
	r.has_retry_after_ms = true;
	r.retry_after_ms = 3600000;
	frame.result = &r;
	p->n_open = 0;
	say(p, &frame);
	for (int i = 0; i < DELIVERY_RETRY_MAX_MS / 1000; i++) {
		ck_assert_uint_eq(p->n_open, 0);
		beat(p);
		wait_ms(p, 1000);
	}
	ck_assert_uint_eq(p->n_open, 1);
	play_free(p);
}
END_TEST

/* A clock that was set back makes nobody wait for years. */
START_TEST(test_clock_set_back)
{
	struct play *p = play_with(1, 1, 1);

	result(p, 0, "retry");
	p->time_ms -= 86400000;
	tick(p);
	ck_assert_uint_eq(p->n_open, 1);
	play_free(p);
}
END_TEST

/* However large its window, only so many bytes are in memory for it: of what it has, of what is read ahead, and of what is retried. */
START_TEST(test_bytes_in_memory)
{
	struct play *p = play_new();
	size_t most;

	p->event_bytes = EVENT_MAX;
	most = (DELIVERY_AHEAD_BYTES + DELIVERY_PAGE_BYTES) / p->event_bytes;
	for (int i = 0; i < 200; i++)
		add(p, i);
	begin(p);
	ready(p, "lanes", DELIVERY_WINDOW_MAX);
	ck_assert_uint_gt(p->n_open, 10);
	ck_assert_uint_le(p->n_open, most);
	while (p->n_open > 0)
		result(p, 0, "retry");
	ck_assert_uint_eq(p->n_held, 200);
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert_uint_gt(p->n_open, 10);
	ck_assert_uint_le(p->n_open, most);
	while (p->n_open > 0)
		result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0);
	ck_assert_uint_eq(p->cursor.number, 200);
	play_free(p);
}
END_TEST

/* A held row whose batch the disk changed is dead, and says why; everything else goes on. */
START_TEST(test_unreadable_row)
{
	struct play *p = play_with(3, 3, 3);

	result(p, index_of(p, 1), "retry");
	result(p, index_of(p, 2), "retry");
	p->events[0].unreadable = true;
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert(has(p, 2) && has(p, 3) && !has(p, 1));
	while (p->n_open > 0)
		result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 1);
	ck_assert(p->held[0].state == HELD_DEAD && strstr(p->held[0].reason, "unreadable") != NULL);
	play_free(p);
}
END_TEST

/* A batch that the disk changed is waited for: what is before it is given, the log says it once an hour, operators see it, and when it is
 * mended all else is given once. */
START_TEST(test_damaged_batch)
{
	struct delivery_counters c;
	struct play *p = play_new();
	unsigned lines;

	for (int i = 0; i < 4; i++)
		add(p, i);
	p->damaged = 3;
	begin(p);
	ready(p, "lanes", 8);
	ck_assert(has(p, 1) && has(p, 2) && !has(p, 3) && !has(p, 4));
	while (p->n_open > 0)
		result(p, 0, "done");
	wait_ms(p, 2000);
	delivery_counters(p->d, &c);
	ck_assert_uint_eq(c.unreadable, 3);
	ck_assert_ptr_nonnull(strstr(p->said, "waits for a damaged batch"));
	lines = p->lines;
	for (int s = 0; s < 3590; s += 5) {
		wait_ms(p, 5000);
		beat(p);
	}
	ck_assert_uint_eq(p->lines, lines);
	wait_ms(p, 20000);
	ck_assert_uint_eq(p->lines, lines + 1);
	p->damaged = 0;
	wait_ms(p, 2000);
	ck_assert(has(p, 3) && has(p, 4) && !has(p, 1) && !has(p, 2));
	delivery_counters(p->d, &c);
	ck_assert_uint_eq(c.unreadable, 0);
	play_free(p);
}
END_TEST

/* ---- changes of the configuration, and of history ---- */

/* What was held before the plugin was changed is retried, done and committed after it. */
START_TEST(test_change_with_held_rows)
{
	struct play *p = play_with(4, 2, 2);

	result(p, index_of(p, 1), "reject");
	result(p, index_of(p, 2), "retry");
	reload(p, "course.*");
	ready(p, "lanes", 4);
	ck_assert_uint_eq(p->n_held, 4);
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert_int_eq(operate(p, DELIVERY_RETRY, 1), 0);
	while (p->n_open > 0)
		result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0);
	ck_assert_uint_eq(p->cursor.number, 4);
	play_free(p);
}
END_TEST

/* A last commit that failed while the plugin was changed is made up for by the one that follows. */
START_TEST(test_change_without_commit)
{
	struct play *p = play_with(1, 1, 1);

	p->fail_commits = true;
	result(p, 0, "reject");
	reload(p, "course.*");
	ck_assert_uint_eq(p->n_held, 0);
	p->fail_commits = false;
	wait_ms(p, 1000);
	ck_assert_uint_eq(p->n_held, 1);
	ck_assert_uint_eq(p->cursor.number, 1);
	play_free(p);
}
END_TEST

/* What the plugin has when it is changed comes again, if it is still of its topics. */
START_TEST(test_change_with_open_events)
{
	struct play *p = play_new();

	add(p, 0);
	add(p, 1);
	p->events[0].topic = "mobility.nomination";
	p->topics = "*";
	begin(p);
	ready(p, "lanes", 2);
	ck_assert_uint_eq(p->n_open, 2);
	reload(p, "course.*");
	ready(p, "lanes", 2);
	ck_assert(p->n_open == 1 && has(p, 2));
	result(p, 0, "done");
	ck_assert_uint_eq(p->cursor.number, 2);
	play_free(p);
}
END_TEST

/* Held rows that are not of its topics any more are dropped, as such events would be passed over now, and the log names each; what was
 * parked behind one goes on. An erasure stays. After a start of the node it is the same. */
START_TEST(test_narrowed_topics)
{
	struct play *p = play_new();

	for (int i = 0; i < 4; i++)
		add(p, i / 2); /* 2 behind 1, 4 behind 3 */
	p->events[0].topic = p->events[3].topic = "mobility.nomination";
	p->events[p->n_events++].erase = true;
	p->events[4].lane = 7;
	p->n_erased = 0;
	p->topics = "*";
	begin(p);
	ready(p, "lanes", 8);
	result(p, index_of(p, 1), "reject");
	result(p, index_of(p, 3), "reject");
	result(p, 0, "retry");
	ck_assert_uint_eq(p->n_held, 5);
	if (_i == 0) {
		reload(p, "course.*");
	} else {
		p->topics = "course.*";
		begin(p);
	}
	ck_assert_ptr_nonnull(strstr(p->said, "not of its topics any more, dropped plugin=registrar place=4.0"));
	ready(p, "lanes", 1);
	ck_assert_uint_eq(p->n_held, 3);
	ck_assert(p->held[0].place.number == 2 && p->held[1].place.number == 3 && p->held[2].place.number == 5);
	ck_assert(has(p, 2));
	result(p, 0, "done");
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert(p->open[0].erase);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 1);
	ck_assert(p->held[0].state == HELD_DEAD);
	play_free(p);
}
END_TEST

/* A channel goes back while events of it are held and open: what was set aside is retried no more, its Results count, and what the new
 * incarnation brings is given, with nothing settled. */
START_TEST(test_incarnation_raised)
{
	struct play *p = play_with(4, 4, 4);

	result(p, index_of(p, 1), "reject");
	result(p, index_of(p, 2), "retry");
	p->events[1].gone = p->events[2].gone = p->events[3].gone = true;
	add(p, 1);
	p->events[4].later = 1;
	stored(p);
	ck_assert(has(p, 3) && has(p, 4) && !has(p, 5));
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert_uint_eq(p->n_held, 2);
	ck_assert_ptr_nonnull(strstr(p->said, "an event is gone"));
	result(p, index_of(p, 3), "retry");
	result(p, index_of(p, 4), "done");
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert_int_eq(operate(p, DELIVERY_RETRY, 5), 0);
	ck_assert(p->n_open == 1 && has(p, 5));
	ck_assert_uint_eq(p->open[0].settled, 0);
	result(p, 0, "done");
	ck_assert_uint_eq(p->cursor.number, 5);
	ck_assert(p->n_held == 1 && p->held[0].place.number == 1); /* the dead one is of the history that stays */
	play_free(p);
}
END_TEST

/* ---- deaths ---- */

/* What was open when the process died goes out one at a time; who is alone then is counted, and is dead after three deaths. */
START_TEST(test_deaths)
{
	struct play *p = play_with(4, 4, 4);
	struct delivery_counters c;

	ck_assert_uint_eq(p->n_open, 4);
	ended(p);
	wait_ms(p, DELIVERY_RESTART_MIN_MS);
	ready(p, "lanes", 4);
	ck_assert_uint_eq(p->n_open, 1);
	result(p, 0, "done");
	ck_assert_uint_eq(p->open[0].sequence, 2);
	for (int i = 0; i < DELIVERY_DEATHS_MAX; i++) { /* the second event kills it */
		delivery_counters(p->d, &c);
		ck_assert_uint_eq(c.dead, 0);
		while (!has(p, 2)) { /* the others pass, one at a time */
			ck_assert_uint_le(p->n_open, 1);
			if (p->n_open == 1)
				result(p, 0, "done");
			else
				wait_ms(p, 10);
		}
		ck_assert_uint_eq(p->n_open, 1);
		ended(p);
		while (!p->alive)
			wait_ms(p, 10);
		ready(p, "lanes", 4);
	}
	while (p->n_open > 0)
		result(p, 0, "done");
	delivery_counters(p->d, &c);
	ck_assert_uint_eq(c.dead, 1);
	ck_assert_uint_eq(c.done, 3);
	play_free(p);
}
END_TEST

/* Processes that end at once are started again, with a pause that grows up to its limit. */
START_TEST(test_restarts)
{
	struct play *p = play_new();
	uint64_t pause = DELIVERY_RESTART_MIN_MS;

	begin(p);
	for (int i = 0; i < 12; i++) {
		ended(p);
		wait_ms(p, pause - 1);
		ck_assert(!p->alive);
		wait_ms(p, 1);
		ck_assert(p->alive);
		pause = pause * 2 < DELIVERY_RESTART_MAX_MS ? pause * 2 : DELIVERY_RESTART_MAX_MS;
	}
	ck_assert_uint_eq(p->starts, 13);
	play_free(p);
}
END_TEST

/* ---- silence ---- */

/* One that has events and says nothing for its deadline is killed; a sign of life keeps it. */
START_TEST(test_deadline)
{
	struct play *p = play_with(1, 1, 1);

	wait_ms(p, 4900);
	beat(p);
	wait_ms(p, 4900);
	ck_assert_uint_eq(p->kills, 0);
	wait_ms(p, 200);
	ck_assert_uint_eq(p->kills, 1);
	play_free(p);
}
END_TEST

/* An event without a Result for ten deadlines is forgotten by the plugin: it is killed, whatever else it says. */
START_TEST(test_forgotten)
{
	struct play *p = play_with(1, 1, 1);

	for (int i = 0; i < 49; i++) {
		wait_ms(p, 1000);
		beat(p);
	}
	ck_assert_uint_eq(p->kills, 0);
	wait_ms(p, 1000);
	ck_assert_uint_eq(p->kills, 1);
	play_free(p);
}
END_TEST

/* Without events three missed Beats are too many; before Ready the deadline counts. */
START_TEST(test_idle)
{
	struct play *p = play_new();

	begin(p);
	wait_ms(p, 5000);
	ck_assert_uint_eq(p->kills, 1);
	ended(p);
	wait_ms(p, DELIVERY_RESTART_MIN_MS);
	ready(p, "lanes", 1);
	wait_ms(p, 3 * DELIVERY_BEAT_MS - 1);
	ck_assert_uint_eq(p->kills, 1);
	wait_ms(p, 1);
	ck_assert_uint_eq(p->kills, 2);
	play_free(p);
}
END_TEST

static void publish(struct play *p)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Publish publish = ENLIGHT__PLUGIN__V1__PUBLISH__INIT;

	publish.event = (ProtobufCBinaryData){2, (uint8_t *)"{}"};
	frame.publish = &publish;
	say(p, &frame);
}

/* While the node itself does not listen, because too much is being published, neither silence nor a Result that is late is the plugin's. */
START_TEST(test_not_listened_to)
{
	struct play *p = play_with(1, 1, 1);
	struct delivery_answer answer = {.run = 1, .status = 503};
	struct delivery_input in = {.kind = DELIVERY_PUBLISHED, .answer = &answer};

	for (int i = 0; i < DELIVERY_PUBLISH_MAX; i++)
		publish(p);
	ck_assert(!delivery_listens(p->d));
	wait_ms(p, 20 * 5000);
	ck_assert_uint_eq(p->kills, 0);
	feed(p, &in);
	ck_assert(delivery_listens(p->d));
	wait_ms(p, 4999);
	ck_assert_uint_eq(p->kills, 0);
	wait_ms(p, 1);
	ck_assert_uint_eq(p->kills, 1);
	play_free(p);
}
END_TEST

/* A node that was held up itself reads first what the plugin said meanwhile. */
START_TEST(test_node_held_up)
{
	struct play *p = play_with(1, 1, 1);

	p->now_ms += 2 * 5000;
	stored(p);
	ck_assert_uint_eq(p->kills, 0);
	ck_assert_uint_le(p->wake_ms, p->now_ms);
	beat(p);
	tick(p);
	ck_assert_uint_eq(p->kills, 0);
	wait_ms(p, 5000);
	ck_assert_uint_eq(p->kills, 1);
	play_free(p);
}
END_TEST

/* ---- what a plugin says that it should not ---- */

static void say_result(struct play *p, uint64_t number, const char *outcome)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Result r = ENLIGHT__PLUGIN__V1__RESULT__INIT;

	r.number = number;
	r.outcome = (char *)outcome;
	frame.result = &r;
	say(p, &frame);
}

static void say_ready(struct play *p, unsigned protocol, const char *order, const char *topic)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Ready r = ENLIGHT__PLUGIN__V1__READY__INIT;
	char *patterns[] = {(char *)topic};

	r.protocol = protocol;
	r.order = (char *)order;
	r.n_topics = topic != NULL;
	r.topics = patterns;
	frame.ready = &r;
	say(p, &frame);
}

static void bad_number(struct play *p)
{
	ready(p, "lanes", 1);
	say_result(p, 99, "done");
}

static void bad_outcome(struct play *p)
{
	ready(p, "lanes", 1);
	say_result(p, p->open[0].number, "perhaps");
}

static void twice_ready(struct play *p)
{
	ready(p, "lanes", 1);
	ready(p, "lanes", 1);
}

static void later_protocol(struct play *p)
{
	say_ready(p, 2, "lanes", NULL);
}

static void no_order(struct play *p)
{
	say_ready(p, 1, "as I like", NULL);
}

static void no_topic(struct play *p)
{
	say_ready(p, 1, "lanes", "no.such.topic");
}

static void no_frame(struct play *p)
{
	struct delivery_input in = {.kind = DELIVERY_FRAME, .bytes = bytes_str("\xff\xff")};

	feed(p, &in);
}

static void garbage(struct play *p)
{
	struct delivery_input in = {.kind = DELIVERY_GARBAGE, .text = "it wrote what is no frame"};

	feed(p, &in);
}

/* What the process does in the next test: events 1 and 5 are refused at first, 2 is retried at first, it dies with 4 and what else it
 * has, once; all else is done. `acted` counts what was done, by sequence. */
static void live(struct play *p, unsigned *acted, bool *died)
{
	unsigned greeted = 0, buried = 0;

	for (unsigned rounds = 0; rounds < 2000 && (p->cursor.number < p->n_events || p->n_held > 0); rounds++) {
		uint64_t sequence = p->n_open == 0 ? 0 : p->open[0].sequence;

		if (p->kills > buried) {
			buried = p->kills;
			ended(p);
		} else if (!p->alive) {
			wait_ms(p, 100);
		} else if (greeted < p->starts) {
			greeted = p->starts;
			ready(p, "lanes", 3);
		} else if (p->n_open == 0) {
			beat(p);
			for (size_t i = 0; i < p->n_held; i++)
				if (p->held[i].state == HELD_DEAD)
					operate(p, DELIVERY_RETRY, p->held[i].place.number);
			wait_ms(p, 500);
		} else if (sequence == 4 && !*died) {
			*died = true;
			ended(p);
		} else if (acted[sequence]++ == 0 && (sequence == 1 || sequence == 2 || sequence == 5)) {
			result(p, 0, sequence == 2 ? "retry" : "reject");
		} else {
			result(p, 0, "done");
		}
	}
}

/* Whichever allocation fails, no event is passed over: in the end each was done, what was refused after it was retried, and nothing leaks. */
START_TEST(test_memory_fails)
{
	size_t n = 0;
	bool failed = true;

	while (failed) {
		struct play *p = play_new();
		unsigned acted[16] = {0};
		bool died = false;

		for (int i = 0; i < 8; i++)
			add(p, i % 4);
		begin(p);
		p->may_fail = true;
		allocations_left = ++n;
		live(p, acted, &died);
		failed = allocations_left == 0;
		allocations_left = 0;
		ck_assert_msg(p->cursor.number == 8 && p->n_held == 0,
			"stuck after allocation %zu failed: %d, %zu held", n, (int)p->cursor.number, p->n_held);
		for (uint64_t i = 1; i <= 8; i++)
			ck_assert_uint_ge(acted[i], i == 1 || i == 2 || i == 5 ? 2 : 1);
		play_free(p);
	}
	ck_assert_uint_gt(n, 50);
}
END_TEST

/* Without memory the end of a process, or the request to end, is put off until there is some, not forgotten. */
START_TEST(test_end_without_memory)
{
	struct delivery_input drain = {.kind = DELIVERY_DRAIN, .drain_ms = 10000};
	struct play *p = play_new();

	begin(p);
	ready(p, "lanes", 1);
	p->may_fail = starving = true;
	if (_i == 0)
		garbage(p);
	else
		feed(p, &drain);
	wait_ms(p, 2000);
	ck_assert_uint_eq(p->kills + p->drains, 0);
	starving = false;
	wait_ms(p, 1000);
	ck_assert_uint_eq(_i == 0 ? p->kills : p->drains, 1);
	play_free(p);
}
END_TEST

static const struct {
	const char *name;
	void (*misbehave)(struct play *p);
} misdeeds[] = {
	{"a Result for what is not open", bad_number},
	{"an outcome that is none", bad_outcome},
	{"Ready twice", twice_ready},
	{"a later protocol", later_protocol},
	{"an order that is none", no_order},
	{"a topic that is none", no_topic},
	{"a frame that is none", no_frame},
	{"bytes that are no frame", garbage},
	{"a Publish before Ready", publish},
};

/* Each is killed with a reason, once, and started again later. */
START_TEST(test_misdeeds)
{
	struct play *p = play_new();

	add(p, 0);
	begin(p);
	misdeeds[_i].misbehave(p);
	ck_assert_msg(p->kills == 1, "%s", misdeeds[_i].name);
	garbage(p); /* what it wrote before it died */
	ck_assert_uint_eq(p->kills, 1);
	ended(p);
	wait_ms(p, DELIVERY_RESTART_MIN_MS);
	ck_assert_uint_eq(p->starts, 2);
	play_free(p);
}
END_TEST

/* So many lines of its words reach the log, the others are counted. */
START_TEST(test_flood_of_words)
{
	struct play *p = play_new();
	struct delivery_counters c;
	unsigned before;

	begin(p);
	ready(p, "lanes", 1);
	before = p->lines;
	for (int i = 0; i < 10 * DELIVERY_LINES; i++) {
		struct delivery_input in = {.kind = DELIVERY_SAID, .text = "words"};

		feed(p, &in);
	}
	ck_assert_uint_eq(p->lines - before, DELIVERY_LINES);
	delivery_counters(p->d, &c);
	ck_assert_uint_eq(c.dropped_lines, 9 * DELIVERY_LINES);
	wait_ms(p, DELIVERY_LINES_MS);
	ck_assert_uint_eq(p->lines - before, DELIVERY_LINES + 1);
	ck_assert_ptr_nonnull(strstr(p->said, "lines_left_out=900"));
	play_free(p);
}
END_TEST

/* ---- durability ---- */

/* After a crash of the node what was not durable comes again, what was on record is as it was. */
START_TEST(test_crash)
{
	struct play *p = play_with(4, 2, 2);

	result(p, index_of(p, 1), "reject");
	p->hold_commits = true;
	result(p, index_of(p, 2), "done"); /* not durable */
	ck_assert_uint_eq(p->n_held, 2);   /* the dead one, and the third event behind it */
	job_free(p->held_job);
	p->held_job = NULL;
	p->hold_commits = false;
	begin(p);
	ready(p, "lanes", 2);
	ck_assert(has(p, 2)); /* again */
	while (p->n_open > 0)
		result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 2);
	ck_assert_uint_eq(p->cursor.number, 4);
	play_free(p);
}
END_TEST

/* A row can be durable before the cursor has passed its event. After a crash the event, read again, is known, and does not wait behind itself. */
START_TEST(test_crash_with_a_row_ahead)
{
	struct play *p = play_with(2, 2, 2);

	result(p, index_of(p, 2), "reject");
	ck_assert_uint_eq(p->cursor.number, 0);
	ck_assert_uint_eq(p->n_held, 1);
	begin(p);
	ready(p, "lanes", 2);
	ck_assert_uint_eq(p->n_open, 1);
	result(p, 0, "done");
	ck_assert_uint_eq(p->cursor.number, 2);
	ck_assert_uint_eq(p->n_held, 1);
	ck_assert(p->held[0].state == HELD_DEAD);
	ck_assert_int_eq(operate(p, DELIVERY_RETRY, 2), 0);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0);
	play_free(p);
}
END_TEST

/* While one commit runs the next gathers: nothing waits for the disk, and nothing is committed twice. */
START_TEST(test_commits_gather)
{
	struct play *p = play_with(10, 10, 10);
	struct job *job;

	p->hold_commits = true;
	while (p->n_open > 0)
		result(p, 0, "done");
	job = p->held_job;
	p->held_job = NULL;
	p->hold_commits = false;
	ck_assert_uint_eq(job->delivery.cursor.number, 1);
	commit(p, job);
	ck_assert_uint_eq(p->commits, 2);
	ck_assert_uint_eq(p->cursor.number, 10);
	play_free(p);
}
END_TEST

/* A commit or a query that fails is tried again. */
START_TEST(test_failures)
{
	struct play *p = play_new();

	add(p, 0);
	p->fail_queries = true;
	begin(p);
	ready(p, "lanes", 1);
	ck_assert_uint_eq(p->n_open, 0);
	p->fail_queries = false;
	wait_ms(p, 1000);
	ck_assert_uint_eq(p->n_open, 1);
	p->fail_commits = true;
	result(p, 0, "reject");
	ck_assert_uint_eq(p->cursor.number, 0);
	p->fail_commits = false;
	wait_ms(p, 1000);
	ck_assert_uint_eq(p->cursor.number, 1);
	ck_assert_uint_eq(p->n_held, 1);
	play_free(p);
}
END_TEST

/* Too many rows: nothing new is given out until some are settled. */
START_TEST(test_too_many_held)
{
	struct play *p = play_new();
	struct held_row row = {.channel = 1, .state = HELD_DEAD};

	begin(p);
	strcpy(row.plugin, "registrar");
	for (uint64_t i = 0; i < DELIVERY_HELD_MAX; i++) {
		row.place = (struct place){100000 + i, 0};
		row.lane.bytes[0] = 1;
		ck_assert_int_eq(delivery_load_held(p->d, &row), 0);
	}
	add(p, 0);
	stored(p);
	ready(p, "lanes", 1);
	ck_assert_uint_eq(p->n_open, 0);
	ck_assert_ptr_nonnull(strstr(p->said, "too many events are held"));
	ck_assert_int_eq(operate(p, DELIVERY_DROP, 100000), 0);
	ck_assert_uint_eq(p->n_open, 1);
	play_free(p);
}
END_TEST

/* ---- the end ---- */

/* Asked to end: nothing new is given out, what is open may be finished, then all is durable. */
START_TEST(test_drain)
{
	struct play *p = play_with(4, 4, 2);
	struct delivery_input in = {.kind = DELIVERY_DRAIN, .drain_ms = 1000};

	feed(p, &in);
	ck_assert_uint_eq(p->drains, 1);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_open, 1);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_open, 0);
	ended(p);
	ck_assert(p->finished);
	ck_assert_uint_eq(p->cursor.number, 2);
	play_free(p);
}
END_TEST

/* One that does not end when it is asked to is killed, and nothing is held against what it had. */
START_TEST(test_drain_deadline)
{
	struct play *p = play_with(1, 1, 1);
	struct delivery_input in = {.kind = DELIVERY_DRAIN, .drain_ms = 1000};

	feed(p, &in);
	wait_ms(p, 1000);
	ck_assert_uint_eq(p->kills, 1);
	ended(p);
	ck_assert(p->finished);
	ck_assert_uint_eq(p->n_held, 0);
	ck_assert_uint_eq(p->cursor.number, 0);
	play_free(p);
}
END_TEST

/* ---- erasures ---- */

/* An erasure goes out alone, after all before it; what it lists is not tried any more. */
START_TEST(test_erasure)
{
	struct play *p = play_new();

	add(p, 0);
	add(p, 1);
	p->events[p->n_events++].erase = true;
	add(p, 2);
	begin(p);
	ready(p, "lanes", 8);
	ck_assert_uint_eq(p->n_open, 2);
	result(p, index_of(p, 1), "reject");
	ck_assert_uint_eq(p->n_open, 1);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_open, 1);
	ck_assert(p->open[0].erase);
	ck_assert_uint_eq(p->n_held, 1);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0); /* the dead letter is one of those to be forgotten */
	ck_assert_uint_eq(p->open[0].sequence, 4);
	play_free(p);
}
END_TEST

/* A large erasure takes several frames, of which each is done before the next goes out. */
START_TEST(test_large_erasure)
{
	struct play *p = play_new();
	unsigned frames = 0;

	p->n_erased = 2500;
	p->events[p->n_events++].erase = true;
	add(p, 0);
	begin(p);
	ready(p, "lanes", 8);
	for (; p->n_open == 1 && p->open[0].erase; frames++)
		result(p, 0, "done");
	ck_assert_uint_eq(frames, 3);
	ck_assert_uint_eq(p->told, 2500);
	ck_assert_uint_eq(p->open[0].sequence, 2);
	ck_assert_uint_eq(p->cursor.number, 1);
	play_free(p);
}
END_TEST

/* What a long erasure lists is looked up in several rounds, of the page and of a row that is retried. */
START_TEST(test_erasure_in_rounds)
{
	struct play *p = play_new();

	add(p, 0);
	p->events[p->n_events++].erase = true;
	p->events[1].lane = 7;
	add(p, 1);
	p->rounds = 3;
	begin(p);
	ready(p, "lanes", 8);
	ck_assert_uint_eq(p->rounds, 0);
	result(p, 0, "done");
	ck_assert(p->n_open == 1 && p->open[0].erase);
	result(p, 0, "retry");
	result(p, 0, "done");
	p->rounds = 3;
	wait_ms(p, DELIVERY_RETRY_MIN_MS);
	ck_assert_uint_eq(p->rounds, 0);
	ck_assert(p->n_open == 1 && p->open[0].erase);
	result(p, 0, "done");
	ck_assert_uint_eq(p->n_held, 0);
	ck_assert_uint_eq(p->cursor.number, 3);
	play_free(p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("delivery");
	TCase *tc = tcase_create("delivery");

	tcase_add_test(tc, test_lanes);
	tcase_add_test(tc, test_in_order);
	tcase_add_test(tc, test_in_order_waits);
	tcase_add_test(tc, test_cursor);
	tcase_add_test(tc, test_settled);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_dead_and_parked);
	tcase_add_test(tc, test_drop);
	tcase_add_test(tc, test_back_off);
	tcase_add_test(tc, test_ailing_plugin);
	tcase_add_test(tc, test_retry_in_an_hour);
	tcase_add_test(tc, test_clock_set_back);
	tcase_add_test(tc, test_deaths);
	tcase_add_test(tc, test_restarts);
	tcase_add_test(tc, test_deadline);
	tcase_add_test(tc, test_forgotten);
	tcase_add_test(tc, test_idle);
	tcase_add_test(tc, test_flood_of_words);
	tcase_add_test(tc, test_crash);
	tcase_add_test(tc, test_crash_with_a_row_ahead);
	tcase_add_test(tc, test_commits_gather);
	tcase_add_test(tc, test_failures);
	tcase_add_test(tc, test_too_many_held);
	tcase_add_test(tc, test_drain);
	tcase_add_test(tc, test_drain_deadline);
	tcase_add_test(tc, test_erasure);
	tcase_add_test(tc, test_large_erasure);
	tcase_add_test(tc, test_erasure_in_rounds);
	tcase_add_test(tc, test_long_list);
	tcase_add_test(tc, test_pages_of_held_rows);
	tcase_add_loop_test(tc, test_retry_of_many, 0, sizeof filters / sizeof *filters);
	tcase_add_test(tc, test_bytes_in_memory);
	tcase_add_test(tc, test_unreadable_row);
	tcase_add_test(tc, test_damaged_batch);
	tcase_add_test(tc, test_change_with_held_rows);
	tcase_add_test(tc, test_change_without_commit);
	tcase_add_test(tc, test_change_with_open_events);
	tcase_add_loop_test(tc, test_narrowed_topics, 0, 2);
	tcase_add_test(tc, test_incarnation_raised);
	tcase_add_test(tc, test_not_listened_to);
	tcase_add_test(tc, test_node_held_up);
	tcase_add_loop_test(tc, test_end_without_memory, 0, 2);
	tcase_add_test(tc, test_memory_fails);
	tcase_add_loop_test(tc, test_misdeeds, 0, sizeof misdeeds / sizeof *misdeeds);
	suite_add_tcase(suite, tc);
	tc = tcase_create("crowd");
	tcase_set_timeout(tc, 5);
	tcase_add_test(tc, test_crowded_lanes);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
