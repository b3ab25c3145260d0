#include "plugin.h"

#include "core/delivery_state.h"
#include "core/event.h"
#include "core/node_state.h"
#include "core/wire.h"
#include "enlight/plugin/v1/plugin.pb-c.h"
#include "network_state.h"
#include <assert.h>

typedef Enlight__Plugin__V1__ToPlugin ToPlugin;
typedef Enlight__Plugin__V1__FromPlugin FromPlugin;

/* What is due, beside the results of what it was given. */
#define DUE_TICK 0
#define DUE_READY (UINT64_MAX - 1)
#define DUE_BEAT (UINT64_MAX - 2)
#define DUE_ENDED (UINT64_MAX - 3)

/* Numbers by names. */
struct map {
	uint64_t *keys, *values; /* key 0: free */
	size_t n, size;
};

static uint64_t *map_at(struct map *m, uint64_t key)
{
	size_t i = key & (m->size - 1);

	while (m->keys[i] != 0 && m->keys[i] != key)
		i = (i + 1) & (m->size - 1);
	return &m->keys[i];
}

/* The value's place, or NULL. */
static uint64_t *map_find(const struct map *m, uint64_t key)
{
	uint64_t *at = m->size == 0 ? NULL : map_at((struct map *)m, key);

	return at == NULL || *at == 0 ? NULL : &m->values[at - m->keys];
}

static void map_put(struct map *m, uint64_t key, uint64_t value)
{
	uint64_t *at;

	if (2 * (m->n + 1) > m->size) {
		struct map bigger = {.size = m->size == 0 ? 64 : 2 * m->size};

		bigger.keys = calloc(bigger.size, sizeof *bigger.keys);
		bigger.values = calloc(bigger.size, sizeof *bigger.values);
		assert(bigger.keys != NULL && bigger.values != NULL);
		for (size_t i = 0; i < m->size; i++)
			if (m->keys[i] != 0)
				map_put(&bigger, m->keys[i], m->values[i]);
		free(m->keys);
		free(m->values);
		*m = bigger;
	}
	at = map_at(m, key);
	m->n += *at == 0;
	*at = key;
	m->values[at - m->keys] = value;
}

static void map_deinit(struct map *m)
{
	free(m->keys);
	free(m->values);
	*m = (struct map){0};
}

/* FNV-1a over two texts; never 0. */
static uint64_t name_of(const char *a, const char *b)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (const char *p = a; *p != '\0'; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
	hash = (hash ^ 0xff) * 0x100000001b3u;
	for (const char *p = b; *p != '\0'; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3u;
	return hash | 1;
}

struct given {
	uint64_t number, id, object, revision, content;
	char source[HANDLE_MAX + 1];
	bool answered; /* by an event of the plugin's own, before it is done */
	bool asked;    /* that is under way */
	bool heard;    /* it is out, or will not be */
};

struct plugin {
	struct network *w;
	size_t member;
	struct delivery *d; /* NULL: its node is down */
	bool alive, ending;
	unsigned run;
	uint64_t wake_ms;
	struct given *open;
	size_t n_open;
	struct plugin_mood mood;
	struct map applied; /* (source, id) -> what the event says */
	struct map objects; /* (source, subject) -> revision applied last */
	struct map states;  /* (source, subject) -> what the event applied last says */
	struct map settled; /* (source, audience, incarnation) -> sequence below which nothing comes again */
};

static void feed(struct plugin *p, struct delivery_input *in);

static void later(struct plugin *p, uint64_t number, uint64_t after_ms)
{
	struct happens *h = network_happen(p->w, HAPPEN_PLUGIN, p->member, after_ms);

	h->number = number;
	h->run = p->run;
}

/* ---- what the node wants ---- */

static void process_starts(struct plugin *p)
{
	p->run++;
	p->alive = true;
	p->ending = false;
	p->n_open = 0;
	later(p, DUE_READY, 1 + network_random(p->w, 50));
}

/* However it ends, the node learns of it a little later. */
static void process_ends(struct plugin *p)
{
	if (!p->alive || p->ending)
		return;
	p->ending = true;
	later(p, DUE_ENDED, 1 + network_random(p->w, 20));
}

/* Nothing comes again below what is settled; of one incarnation, in a later one sequences are used again. What stood under a revoked key and was set aside
 * may come again, when a thief had displaced it or its publisher had lost it. */
static void judge_settled(struct plugin *p, const Enlight__Plugin__V1__Deliver *d)
{
	size_t publisher = network_member_of(p->w, d->source);
	const struct member *m = publisher < p->w->n ? &p->w->members[publisher] : NULL;
	bool retold = m != NULL && (is_retold(m) || m->liar) && lost_a_key(m);
	uint64_t channel = (name_of(d->source, d->audience) + 2 * (uint64_t)d->incarnation) | 1,
		 *settled = map_find(&p->settled, channel);

	network_trace(p->w, "%s plugin gets %s/%s %llu attempt %u settled %llu", p->w->members[p->member].handle,
		d->source, d->audience, (unsigned long long)d->sequence, (unsigned)d->attempt,
		(unsigned long long)d->settled);
	if (settled != NULL && d->sequence < *settled && !retold)
		network_break(p->w,
			"a plugin gets what was settled: member %s, channel %s/%s, sequence %llu below %llu",
			p->w->members[p->member].handle, d->source, d->audience, (unsigned long long)d->sequence,
			(unsigned long long)*settled);
	if (settled == NULL || d->settled > *settled)
		map_put(&p->settled, channel, d->settled);
}

/* All of an event but what the node adds. */
uint64_t plugin_content(const struct event *e)
{
	struct digest digest;
	uint64_t content;

	digest_plain(&digest, e->data);
	memcpy(&content, digest.bytes, sizeof content);
	return content ^ name_of(e->type, e->subject);
}

static void take_deliver(struct plugin *p, const Enlight__Plugin__V1__Deliver *d)
{
	struct problems problems = {0};
	struct event e = {0};
	struct given *g;
	int r = event_unpack(&e, bytes_of(d->event.data, d->event.len));

	assert(r == 0 && strlen(d->source) <= HANDLE_MAX);
	if (event_validate(&e, d->source, d->audience, &problems) != 0)
		network_break(p->w, "a plugin gets an event that breaks a rule: member %s, publisher %s, sequence %llu",
			p->w->members[p->member].handle, d->source, (unsigned long long)d->sequence);
	problems_deinit(&problems);
	p->open = realloc(p->open, (p->n_open + 1) * sizeof *p->open);
	assert(p->open != NULL);
	g = &p->open[p->n_open++];
	*g = (struct given){.number = d->number,
		.id = name_of(d->source, e.id),
		.object = name_of(d->source, e.subject),
		.revision = e.revision};
	g->answered = g->id % 64 == 1 && strcmp(e.subject, "course/" PLUGIN_COURSE) != 0;
	g->content = plugin_content(&e);
	strcpy(g->source, d->source);
	event_deinit(&e);
	judge_settled(p, d);
	p->w->n_delivered++;
	later(p, g->number, 1 + network_random(p->w, 20));
}

static size_t find_given(const struct plugin *p, uint64_t number)
{
	size_t i = 0;

	while (i < p->n_open && p->open[i].number != number)
		i++;
	return i;
}

static void take_published(struct plugin *p, const Enlight__Plugin__V1__Published *published)
{
	size_t i = find_given(p, published->number);

	if (i == p->n_open || !p->open[i].asked || p->open[i].heard) {
		network_break(p->w, "a plugin hears of what it did not ask for: member %s, number %llu",
			p->w->members[p->member].handle, (unsigned long long)published->number);
		return;
	}
	p->open[i].heard = true;
	later(p, published->number, 1 + network_random(p->w, 20));
}

static void take_frame(struct plugin *p, struct bytes bytes)
{
	ToPlugin *f = wire_unpack(&enlight__plugin__v1__to_plugin__descriptor, bytes, 4 << 20);

	assert(f != NULL);
	if (p->alive && !p->ending && f->deliver != NULL)
		take_deliver(p, f->deliver);
	if (p->alive && !p->ending && f->published != NULL)
		take_published(p, f->published);
	wire_free(f);
}

static void act(struct plugin *p, struct delivery_action *a)
{
	switch (a->kind) {
	case DELIVERY_START:
		process_starts(p);
		break;
	case DELIVERY_SEND:
		take_frame(p, a->bytes);
		break;
	case DELIVERY_KILL:
		process_ends(p);
		break;
	case DELIVERY_QUERY:
		network_ask(p->w, p->member, a->query);
		a->query = NULL;
		break;
	case DELIVERY_COMMIT:
		network_add_job(p->w, p->member, a->job);
		a->job = NULL;
		break;
	case DELIVERY_LOG:
		network_trace(p->w, "%s %s", p->w->members[p->member].handle, a->text == NULL ? "" : a->text);
		break;
	case DELIVERY_PUBLISH: /* an id, where a node's host gets an event */
		network_publish_for_plugin(p->w, p->member, (const char *)a->bytes.data, a->run, a->number);
		break;
	case DELIVERY_FINISHED:
		break;
	}
}

static void feed(struct plugin *p, struct delivery_input *in)
{
	struct delivery_update up = {0};
	int r;

	in->now_ms = p->w->now_ms;
	in->time_ms = (uint64_t)((int64_t)p->w->now_ms + p->w->members[p->member].clock_ms);
	r = delivery_step(p->d, in, &up);
	assert(r == 0);
	for (size_t i = 0; i < up.n_actions; i++)
		act(p, &up.actions[i]);
	if (up.wake_ms != UINT64_MAX && (p->wake_ms <= p->w->now_ms || up.wake_ms < p->wake_ms)) {
		p->wake_ms = up.wake_ms > p->w->now_ms ? up.wake_ms : p->w->now_ms + 1;
		later(p, DUE_TICK, p->wake_ms - p->w->now_ms);
	}
	delivery_update_clear(&up);
}

/* ---- what the plugin says ---- */

static void say(struct plugin *p, const FromPlugin *frame)
{
	size_t len;
	uint8_t *packed = wire_pack(frame, &len);
	struct delivery_input in = {.kind = DELIVERY_FRAME, .bytes = bytes_of(packed, len)};

	assert(packed != NULL);
	feed(p, &in);
	free(packed);
}

static void say_ready(struct plugin *p)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Ready r = ENLIGHT__PLUGIN__V1__READY__INIT;

	r.protocol = 1;
	r.order = (char *)(p->member % 3 == 0 ? "in order" : "lanes");
	r.has_window = true;
	r.window = 1 + (uint32_t)p->member % 20;
	frame.ready = &r;
	say(p, &frame);
	later(p, DUE_BEAT, 5000);
}

static void say_beat(struct plugin *p)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Beat b = ENLIGHT__PLUGIN__V1__BEAT__INIT;

	later(p, DUE_BEAT, 5000);
	if (p->mood.hangs)
		return;
	frame.beat = &b;
	say(p, &frame);
}

static void say_result(struct plugin *p, uint64_t number, const char *outcome)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Result r = ENLIGHT__PLUGIN__V1__RESULT__INIT;

	network_trace(p->w, "%s plugin says %s to %llu", p->w->members[p->member].handle, outcome,
		(unsigned long long)number);
	r.number = number;
	r.outcome = (char *)outcome;
	r.reason = strcmp(outcome, "done") == 0 ? NULL : (char *)"a reason";
	frame.result = &r;
	say(p, &frame);
}

/* Under an id that is the event's, so that it is published once however often the event comes. */
static void say_publish(struct plugin *p, const struct given *g)
{
	FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Publish publish = ENLIGHT__PLUGIN__V1__PUBLISH__INIT;
	char id[48];

	snprintf(id, sizeof id, "answer-%zu-%llx", p->member, (unsigned long long)g->id);
	publish.number = g->number;
	publish.event.data = (uint8_t *)id;
	publish.event.len = strlen(id) + 1;
	frame.publish = &publish;
	say(p, &frame);
}

/* ---- what the plugin does ---- */

/* The effect, in the transaction that keeps the id. */
static void apply(struct plugin *p, const struct given *g)
{
	const struct member *m = &p->w->members[p->member];
	size_t publisher = network_member_of(p->w, g->source);
	uint64_t *applied = map_find(&p->applied, g->id), *last = map_find(&p->objects, g->object);
	bool honest = publisher < p->w->n && !p->w->members[publisher].liar && !m->liar;

	if (applied != NULL) {
		if (*applied != g->content && honest)
			network_break(p->w, "one id with two contents reached a plugin: member %s, publisher %s",
				m->handle, g->source);
		return;
	}
	/* Of a publisher whose disk went back, or whose key was stolen, an object may be shown in two histories; what counts is how it ends
	 * (plugin_state). */
	if (honest && !is_retold(&p->w->members[publisher]) && g->revision != (last == NULL ? 0 : *last) + 1)
		network_break(p->w,
			"a plugin gets an object's revisions in another order: member %s, publisher %s, revision %llu "
			"after %llu",
			m->handle, g->source, (unsigned long long)g->revision,
			(unsigned long long)(last == NULL ? 0 : *last));
	map_put(&p->applied, g->id, g->content);
	map_put(&p->objects, g->object, g->revision);
	map_put(&p->states, g->object, g->content);
	p->w->n_applied++;
}

static void close_given(struct plugin *p, size_t i, const char *outcome)
{
	uint64_t number = p->open[i].number;

	p->open[i] = p->open[--p->n_open];
	say_result(p, number, outcome);
}

static void work_on(struct plugin *p, uint64_t number)
{
	const struct plugin_mood *mood = &p->mood;
	size_t i = find_given(p, number);
	struct given g;
	bool chosen;

	if (p->ending || i == p->n_open || (p->open[i].asked && !p->open[i].heard))
		return;
	if (mood->hangs) {
		later(p, number, 1000);
		return;
	}
	g = p->open[i];
	if (g.heard) {
		close_given(p, i, "done");
		return;
	}
	chosen = g.object / 2 % 8 == mood->objects;
	if (mood->crashes > 0 && network_random(p->w, 1000) < mood->crashes) {
		if (network_random(p->w, 2) == 0)
			apply(p, &g);
		process_ends(p);
	} else if (mood->dies && chosen) {
		process_ends(p);
	} else if (mood->rejects && chosen) {
		close_given(p, i, "reject");
	} else if ((mood->retries && chosen) || (mood->fails > 0 && network_random(p->w, 1000) < mood->fails)) {
		close_given(p, i, "retry");
	} else {
		apply(p, &g);
		if (!g.answered) {
			close_given(p, i, "done");
			return;
		}
		p->open[i].asked = true;
		say_publish(p, &g);
	}
}

void plugin_happens(struct plugin *p, unsigned run, uint64_t number)
{
	struct delivery_input tick = {.kind = DELIVERY_TICK},
			      ended = {.kind = DELIVERY_ENDED, .text = "killed by SIGSEGV"};

	if (number == DUE_TICK) {
		feed(p, &tick);
	} else if (run != p->run || !p->alive) {
		return;
	} else if (number == DUE_ENDED) {
		p->alive = false;
		p->n_open = 0;
		feed(p, &ended);
	} else if (p->ending) {
		return;
	} else if (number == DUE_READY) {
		say_ready(p);
	} else if (number == DUE_BEAT) {
		say_beat(p);
	} else {
		work_on(p, number);
	}
}

/* ---- life ---- */

struct plugin *plugin_new(struct network *w, size_t member)
{
	struct plugin *p = calloc(1, sizeof *p);

	assert(p != NULL);
	p->w = w;
	p->member = member;
	return p;
}

void plugin_free(struct plugin *p)
{
	if (p == NULL)
		return;
	delivery_free(p->d);
	map_deinit(&p->applied);
	map_deinit(&p->objects);
	map_deinit(&p->states);
	map_deinit(&p->settled);
	free(p->open);
	free(p);
}

static int load_cursor(void *context, const struct cursor_row *row)
{
	delivery_load_cursor(((struct plugin *)context)->d, &row->place);
	return 0;
}

static int load_held(void *context, const struct held_row *row)
{
	return delivery_load_held(((struct plugin *)context)->d, row);
}

void plugin_begin(struct plugin *p)
{
	struct member *m = &p->w->members[p->member];
	char all[] = "*", *patterns[] = {all};
	struct delivery_options options = {.name = "registrar",
		.member = m->handle,
		.topics = patterns,
		.n_topics = 1,
		.state = "/state",
		.deadline_ms = 30000};
	int r = delivery_new(&p->d, &options);

	assert(r == 0);
	r = memory_archive_ops.cursors(m->ledger, load_cursor, p);
	assert(r == 0);
	r = memory_archive_ops.held(m->ledger, load_held, p);
	assert(r == 0);
	p->wake_ms = 0;
	plugin_stored(p, node_last_number(m->node));
}

void plugin_end(struct plugin *p)
{
	delivery_free(p->d);
	p->d = NULL;
	p->alive = false;
	p->run++;
	p->n_open = 0;
}

void plugin_committed(struct plugin *p, struct job *job)
{
	struct delivery_input in = {.kind = DELIVERY_COMMITTED, .job = job};

	feed(p, &in);
}

void plugin_read(struct plugin *p, struct query *query)
{
	struct delivery_input in = {.kind = DELIVERY_READ, .query = query};

	feed(p, &in);
}

void plugin_published(struct plugin *p, uint64_t run, uint64_t number, const char *id, const char *audience,
	const struct published *result)
{
	struct delivery_answer answer = {
		.run = run, .number = number, .status = result == NULL ? 422 : 201, .id = id, .audience = audience};
	struct delivery_input in = {.kind = DELIVERY_PUBLISHED, .answer = &answer};

	if (result != NULL) {
		answer.revision = result->revision;
		answer.sequence = result->sequence;
		answer.digest = &result->leaf;
	}
	if (p->d != NULL)
		feed(p, &in);
}

void plugin_stored(struct plugin *p, uint64_t last_number)
{
	struct delivery_input in = {.kind = DELIVERY_STORED, .last_number = last_number};

	feed(p, &in);
}

/* ---- faults, and what became of it ---- */

struct plugin_mood *plugin_mood(struct plugin *p)
{
	return &p->mood;
}

struct dead {
	struct place *places;
	size_t n;
};

static int note_dead(void *context, const struct held_row *row)
{
	struct dead *d = context;

	if (row->state != HELD_DEAD)
		return 0;
	d->places = realloc(d->places, (d->n + 1) * sizeof *d->places);
	assert(d->places != NULL);
	d->places[d->n++] = row->place;
	return 0;
}

void plugin_mend(struct plugin *p)
{
	struct dead dead = {0};

	if (p->d == NULL)
		return;
	memory_archive_ops.held(p->w->members[p->member].ledger, note_dead, &dead);
	for (size_t i = 0; i < dead.n; i++) {
		struct delivery_input in = {.kind = DELIVERY_RETRY, .place = dead.places[i]};

		feed(p, &in);
	}
	free(dead.places);
}

void plugin_restored(struct plugin *p)
{
	map_deinit(&p->settled);
}

bool plugin_is_settled(const struct plugin *p)
{
	struct delivery_counters c;

	if (p->d == NULL)
		return false;
	delivery_counters(p->d, &c);
	return c.behind == 0 && c.open == 0 && c.retrying == 0 && c.dead == 0 && c.parked == 0;
}

void plugin_say(const struct plugin *p, char *out, size_t size)
{
	struct delivery_counters c = {0};

	if (p->d != NULL)
		delivery_counters(p->d, &c);
	snprintf(out, size, "behind %llu open %zu retrying %zu dead %zu parked %zu%s", (unsigned long long)c.behind,
		c.open, c.retrying, c.dead, c.parked, c.ready ? "" : ", not ready");
}

void plugin_check_bounds(const struct plugin *p)
{
	const struct delivery *d = p->d;
	size_t bytes = 0, n_channels = p->w->members[p->member].node->n_channels;

	for (size_t i = d == NULL ? 0 : d->head; d != NULL && i < d->n_page; i++)
		bytes += d->page[i].event.packed.len;
	if (d != NULL && (bytes > 2 * (DELIVERY_PAGE_BYTES + EVENT_MAX) || d->n_page > 2 * BATCH_EVENTS_MAX ||
				 d->n_opens > DELIVERY_WINDOW_MAX || d->n_retries > DELIVERY_WINDOW_MAX ||
				 d->n_floors > n_channels || d->n_publishing > DELIVERY_PUBLISH_MAX))
		network_break(p->w,
			"a plugin's node keeps too much: member %s, page of %zu with %zu bytes, %zu open, %zu retried, "
			"%zu floors, %zu published",
			p->w->members[p->member].handle, d->n_page, bytes, d->n_opens, d->n_retries, d->n_floors,
			d->n_publishing);
}

uint64_t plugin_state(const struct plugin *p, const char *source, const char *subject)
{
	const uint64_t *state = map_find(&p->states, name_of(source, subject));

	return state == NULL ? 0 : *state;
}

bool plugin_has(const struct plugin *p, const char *source, const char *id)
{
	return map_find(&p->applied, name_of(source, id)) != NULL;
}
