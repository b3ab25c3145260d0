/* What a plugin may write to its node: a program of steps, some of them frames as they come, some made well-formed here, between
 * commits, reads, deaths and an operator's acts. Whatever comes, the window is kept, lanes are kept, and the cursor only rises. */
#include "core/delivery.h"
#include "core/wire.h"
#include "enlight/plugin/v1/plugin.pb-c.h"
#include "fuzz.h"

enum { EVENTS_MAX = 64, OPEN_MAX = 4096, STEPS_MAX = 400, LANES = 4 };

struct given {
	uint64_t number, sequence;
};

struct play {
	struct delivery *d;
	uint64_t now_ms;
	uint64_t n_events; /* event i has place (i, 0), sequence i and lane i % LANES; every seventh is an erasure */
	struct given open[OPEN_MAX];
	size_t n_open, window, publishing;
	bool alive, ready, finished, lanes;
	struct place cursor;
	struct job *job;          /* not yet committed */
	struct query *queries[2]; /* not yet answered: of a page, of places */
	uint64_t run, number;
};

static void feed(struct play *p, struct delivery_input in);

static void take_frame(struct play *p, struct bytes bytes)
{
	Enlight__Plugin__V1__ToPlugin *f = wire_unpack(&enlight__plugin__v1__to_plugin__descriptor, bytes, 8 << 20);

	must(f != NULL && bytes.len <= FRAME_MAX);
	if (f->deliver != NULL || f->erase != NULL) {
		uint64_t sequence = f->deliver != NULL ? f->deliver->sequence : 0;

		must(p->ready && p->n_open < p->window && p->n_open < OPEN_MAX);
		for (size_t i = 0; i < p->n_open && sequence != 0; i++)
			must(p->open[i].sequence == 0 || p->open[i].sequence % LANES != sequence % LANES);
		p->open[p->n_open++] =
			(struct given){f->deliver != NULL ? f->deliver->number : f->erase->number, sequence};
	}
	wire_free(f);
}

static void act(struct play *p, struct delivery_action *a)
{
	switch (a->kind) {
	case DELIVERY_START:
		must(!p->alive && !p->finished);
		p->alive = true;
		p->ready = false;
		p->n_open = p->publishing = 0;
		p->window = 0;
		break;
	case DELIVERY_SEND:
		must(p->alive);
		take_frame(p, a->bytes);
		break;
	case DELIVERY_KILL:
		must(p->alive);
		break;
	case DELIVERY_QUERY:
		must(p->queries[a->query->deliveries.places != NULL] == NULL);
		p->queries[a->query->deliveries.places != NULL] = a->query;
		a->query = NULL;
		break;
	case DELIVERY_COMMIT:
		must(p->job == NULL); /* one after the other */
		p->job = a->job;
		a->job = NULL;
		break;
	case DELIVERY_PUBLISH:
		must(++p->publishing <= DELIVERY_PUBLISH_MAX);
		p->run = a->run;
		p->number = a->number;
		break;
	case DELIVERY_LOG:
		must(a->text != NULL);
		break;
	case DELIVERY_FINISHED:
		p->finished = true;
		break;
	}
}

static void feed(struct play *p, struct delivery_input in)
{
	struct delivery_update up = {0};
	struct delivery_counters c;

	if (p->finished)
		return;
	in.now_ms = p->now_ms;
	in.time_ms = 1700000000000 + p->now_ms;
	must(delivery_step(p->d, &in, &up) == 0);
	for (size_t i = 0; i < up.n_actions; i++)
		act(p, &up.actions[i]);
	delivery_update_clear(&up);
	delivery_counters(p->d, &c);
	must(c.retrying + c.dead + c.parked <= p->n_events);
}

static struct delivered delivered_of(uint64_t i)
{
	struct delivered e = {.place = {i, 0},
		.channel = 1,
		.audience = strdup("ugent.be"),
		.incarnation = 1,
		.sequence = i,
		.packed = bytes_of(bytes_dup(bytes_str("event")), 5),
		.stored_ms = 1000};

	strcpy(e.source, "ut.ee");
	strcpy(e.topic, i % 3 == 0 ? "course.offering" : "mobility.nomination");
	e.lane.bytes[8] = (uint8_t)(i % LANES);
	if (i % 7 != 0)
		return e;
	e.erased = calloc(1, sizeof *e.erased);
	e.erased->n_sequences = e.erased->n_places = e.erased->n_ids = 1;
	e.erased->sequences = calloc(1, sizeof(uint64_t));
	e.erased->places = calloc(1, sizeof(struct place));
	e.erased->ids = calloc(2, sizeof(char *));
	e.erased->subjects = calloc(2, sizeof(char *));
	e.erased->sequences[0] = e.erased->places[0].number = i / 2 + 1;
	e.erased->ids[0] = strdup("id");
	e.erased->subjects[0] = strdup("course/1");
	return e;
}

static void answer_query(struct play *p, bool of_places, bool fails)
{
	struct query *query = p->queries[of_places];
	struct deliveries_query *q;

	if (query == NULL)
		return;
	p->queries[of_places] = NULL;
	q = &query->deliveries;
	q->next = q->after;
	q->events = calloc(EVENTS_MAX + 1 + q->n_places, sizeof *q->events);
	if (fails)
		query->result = -5;
	for (size_t i = 0; i < q->n_places && !fails; i++)
		if (q->places[i].number % 13 == 0)
			q->events[q->n_events++] = (struct delivered){.place = q->places[i], .unreadable = true};
		else if (q->places[i].number <= p->n_events)
			q->events[q->n_events++] = delivered_of(q->places[i].number);
	for (uint64_t i = q->after.number + 1; !of_places && !fails && i <= p->n_events; i++) {
		q->events[q->n_events++] = delivered_of(i);
		q->next = (struct place){i, 0};
	}
	feed(p, (struct delivery_input){.kind = DELIVERY_READ, .query = query});
	query_free(query);
}

static void commit(struct play *p, bool done)
{
	struct job *job = p->job;

	if (job == NULL)
		return;
	p->job = NULL;
	job->delivery.done = done;
	if (done) {
		must(job->delivery.cursor.number >= p->cursor.number);
		p->cursor = job->delivery.cursor;
	}
	feed(p, (struct delivery_input){.kind = DELIVERY_COMMITTED, .job = job});
	job_free(job);
}

static void say(struct play *p, const void *frame)
{
	size_t len;
	uint8_t *packed = wire_pack(frame, &len);

	must(packed != NULL);
	if (p->alive)
		feed(p, (struct delivery_input){.kind = DELIVERY_FRAME, .bytes = bytes_of(packed, len)});
	free(packed);
}

static void ready(struct play *p, struct choices *c)
{
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Ready r = ENLIGHT__PLUGIN__V1__READY__INIT;
	static char all[] = "*", courses[] = "course.*";
	char *patterns[] = {choose(c) & 1 ? all : courses};
	uint8_t how = choose(c);

	r.protocol = how >> 4 == 15 ? 2 : 1;
	r.order = (char *)(how & 1 ? "lanes" : how & 2 ? "in order" : how & 4 ? "odd" : NULL);
	r.has_window = how & 8;
	r.window = choose(c);
	r.topics = patterns;
	r.n_topics = choose(c) & 1;
	frame.ready = &r;
	if (p->alive && !p->ready) {
		p->ready = true;
		p->window = how & 1 && r.has_window && r.window > 0 ? r.window : 1;
	}
	say(p, &frame);
}

static void result(struct play *p, struct choices *c)
{
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Result r = ENLIGHT__PLUGIN__V1__RESULT__INIT;
	static const char *const outcomes[] = {"done", "retry", "reject", "perhaps"};
	uint8_t which = choose(c), how = choose(c);
	size_t i = p->n_open == 0 ? 0 : which % p->n_open;

	r.number = p->n_open == 0 ? which : p->open[i].number;
	r.outcome = (char *)outcomes[how & 3];
	r.has_retry_after_ms = how & 4;
	r.retry_after_ms = (uint32_t)how << (how >> 4);
	r.reason = (char *)(how & 8 ? "a reason" : NULL);
	if (p->n_open > 0 && (how & 3) != 3) /* before it is said: the answer frees the window */
		p->open[i] = p->open[--p->n_open];
	frame.result = &r;
	say(p, &frame);
}

static void publish(struct play *p, struct choices *c)
{
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Publish m = ENLIGHT__PLUGIN__V1__PUBLISH__INIT;
	struct bytes text = choose_bytes(c, choose(c));

	if (!delivery_listens(p->d))
		return; /* the host reads no more frames then */
	m.number = choose(c);
	m.event = (ProtobufCBinaryData){text.len, (uint8_t *)text.data};
	frame.publish = &m;
	say(p, &frame);
}

static void published(struct play *p, struct choices *c)
{
	struct delivery_answer answer = {.run = p->run, .number = p->number, .status = 422};
	struct problems problems = {0};

	if (p->publishing == 0)
		return;
	p->publishing--;
	problem_add(&problems, "/data", "a rule");
	answer.problems = &problems;
	if (choose(c) & 1)
		answer.run++; /* of another life */
	feed(p, (struct delivery_input){.kind = DELIVERY_PUBLISHED, .answer = &answer});
	problems_deinit(&problems);
}

static void raw(struct play *p, struct choices *c)
{
	struct bytes frame = choose_bytes(c, choose_number(c, 2));
	Enlight__Plugin__V1__FromPlugin *f = wire_unpack(&enlight__plugin__v1__from_plugin__descriptor, frame, 8 << 20);

	/* What the model has to follow is said by the steps above. */
	if (p->alive && delivery_listens(p->d) && (f == NULL || (f->ready == NULL && f->result == NULL)))
		feed(p, (struct delivery_input){.kind = DELIVERY_FRAME, .bytes = frame});
	wire_free(f);
}

/* In pages of one, each row once. */
static void list_held(const struct play *p, enum held_state state)
{
	struct held_page page = {.state = state, .limit = 1, .letters = json_array()};
	struct place last = {0};

	must(delivery_list_held(p->d, &page, NULL) == 0);
	for (size_t i = 0; page.more; i++) {
		must(i < p->n_events);
		last = page.after;
		json_array_clear(page.letters);
		page.more = false;
		must(delivery_list_held(p->d, &page, &last) == 0 && json_array_size(page.letters) == 1);
	}
	json_decref(page.letters);
}

static void show(const struct play *p)
{
	struct place place = {p->n_events, 0};

	json_decref(delivery_json(p->d));
	list_held(p, 0);
	list_held(p, HELD_PARKED);
	json_decref(delivery_row_json(p->d, &place));
}

static void step(struct play *p, struct choices *c)
{
	uint8_t what = choose(c);

	switch (what % 16) {
	case 0:
		raw(p, c);
		break;
	case 1:
		ready(p, c);
		break;
	case 2:
	case 3:
		result(p, c);
		break;
	case 4:
		p->now_ms += (uint64_t)choose(c) << (what >> 4);
		feed(p, (struct delivery_input){.kind = DELIVERY_TICK});
		break;
	case 5:
		if (p->alive) {
			p->alive = p->ready = false;
			p->n_open = 0;
			feed(p, (struct delivery_input){.kind = DELIVERY_ENDED, .text = "exit status 1"});
		}
		break;
	case 6:
		p->n_events += p->n_events + 8 <= EVENTS_MAX ? what >> 5 : 0;
		feed(p, (struct delivery_input){.kind = DELIVERY_STORED, .last_number = p->n_events});
		break;
	case 7:
		answer_query(p, what >> 4 & 1, (what >> 4) >= 14);
		break;
	case 8:
		commit(p, (what >> 4) != 15);
		break;
	case 9:
		publish(p, c);
		break;
	case 10:
		published(p, c);
		break;
	case 11:
		feed(p, (struct delivery_input){.kind = what & 16 ? DELIVERY_RETRY : DELIVERY_DROP,
				.place = {choose(c) % (EVENTS_MAX + 1), 0}});
		break;
	case 12:
		if (p->alive)
			feed(p, (struct delivery_input){.kind = DELIVERY_GARBAGE, .text = "too large"});
		break;
	case 13:
		if (p->alive)
			feed(p, (struct delivery_input){.kind = DELIVERY_SAID, .text = "a line"});
		break;
	case 14:
		if (what >> 4 == 15)
			feed(p, (struct delivery_input){.kind = DELIVERY_DRAIN, .drain_ms = 1000});
		break;
	default:
		show(p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char all[] = "*", course[] = "course.*";
	char *reads[] = {all}, *publishes[] = {course};
	struct delivery_options options = {.name = "registrar",
		.member = "ugent.be",
		.topics = reads,
		.n_topics = 1,
		.publishes = publishes,
		.n_publishes = 1,
		.state = "/state",
		.deadline_ms = 5000};
	struct play *p = calloc(1, sizeof *p);
	struct choices c = {data, size};

	must(p != NULL);
	p->now_ms = 100000;
	p->n_events = 5;
	must(delivery_new(&p->d, &options) == 0);
	feed(p, (struct delivery_input){.kind = DELIVERY_STORED, .last_number = p->n_events});
	for (size_t i = 0; i < STEPS_MAX && c.left > 0 && !p->finished; i++)
		step(p, &c);
	job_free(p->job);
	query_free(p->queries[0]);
	query_free(p->queries[1]);
	delivery_free(p->d);
	free(p);
	return 0;
}
