#include "core/delivery.h"

#include "base/log.h"
#include "core/delivery_state.h"
#include "core/wire.h"
#include "enlight/plugin/v1/plugin.pb-c.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Enlight__Plugin__V1__ToPlugin ToPlugin;
typedef Enlight__Plugin__V1__FromPlugin FromPlugin;

enum {
	FRAME_CAP = 2 << 20,        /* what unpacking one frame may allocate */
	BEATS_MISSED = 3,           /* idle for so many beats: hung */
	ERASED_PART = 1000,         /* sequences, ids and subjects in one Erase: well below a frame */
	DEADLINES_OPEN = 10,        /* one event open for so many deadlines: forgotten */
	GIVE_UP_MS = 5000,          /* after the drain's end without a commit */
	READ_AGAIN_MS = 1000,       /* after a query that failed */
	SAY_AGAIN_MS = 3600 * 1000, /* that a batch cannot be read */
};

/* ---- actions ---- */

bool delivery_grow(struct delivery *d, void *array, size_t n, size_t *size, size_t item)
{
	void **at = array, *more;

	if (n < *size)
		return true;
	more = realloc(*at, (*size * 2 + 16) * item);
	if (more == NULL) {
		d->short_of_memory = true;
		return false;
	}
	*at = more;
	*size = *size * 2 + 16;
	return true;
}

struct delivery_action *delivery_act(struct delivery *d, enum delivery_action_kind kind)
{
	struct delivery_update *up = d->update;

	if (!delivery_grow(d, &up->actions, up->n_actions, &up->size, sizeof *up->actions))
		return NULL;
	up->actions[up->n_actions] = (struct delivery_action){.kind = kind};
	return &up->actions[up->n_actions++];
}

void delivery_log(struct delivery *d, int level, const char *format, ...)
{
	struct delivery_action *a = delivery_act(d, DELIVERY_LOG);
	va_list args;

	if (a == NULL)
		return;
	a->level = level;
	va_start(args, format);
	if (vasprintf(&a->text, format, args) < 0)
		a->text = NULL;
	va_end(args);
}

void delivery_update_clear(struct delivery_update *up)
{
	for (size_t i = 0; i < up->n_actions; i++) {
		free((void *)up->actions[i].bytes.data);
		free(up->actions[i].text);
		query_free(up->actions[i].query);
		job_free(up->actions[i].job);
	}
	free(up->actions);
	*up = (struct delivery_update){0};
}

/* False: out of memory; the frame was not sent. */
static bool send_frame(struct delivery *d, const ToPlugin *frame)
{
	size_t len;
	uint8_t *packed = wire_pack(frame, &len);
	struct delivery_action *a = packed == NULL ? NULL : delivery_act(d, DELIVERY_SEND);

	if (a == NULL) {
		free(packed);
		d->short_of_memory = true;
		return false;
	}
	a->bytes = bytes_of(packed, len);
	return true;
}

/* ---- the process ---- */

static void send_start(struct delivery *d)
{
	ToPlugin frame = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	Enlight__Plugin__V1__Start start = ENLIGHT__PLUGIN__V1__START__INIT;

	start.protocol = PLUGIN_PROTOCOL;
	start.member = d->member;
	start.name = d->name;
	start.settings = d->settings;
	start.state = d->state_folder;
	start.beat_ms = DELIVERY_BEAT_MS;
	start.n_topics = d->n_topics;
	start.topics = d->topics;
	start.n_publishes = d->n_publishes;
	start.publishes = d->publishes;
	start.folder = d->folder;
	start.file = d->file;
	frame.start = &start;
	send_frame(d, &frame);
}

static void start(struct delivery *d)
{
	if (delivery_act(d, DELIVERY_START) == NULL)
		return;
	d->run++;
	d->run_state = RUN_STARTING;
	d->heard_ms = d->busy_ms = d->now_ms;
	d->n_publishing = 0;
	send_start(d);
}

static void kill_process(struct delivery *d, const char *why)
{
	delivery_log(d, LOG_LEVEL_ERROR, "plugin: killed plugin=%s reason=\"%s\"", d->name, why);
	snprintf(d->last_error, sizeof d->last_error, "%s", why);
	d->run_state = RUN_ENDING;
	d->killed = delivery_act(d, DELIVERY_KILL) != NULL; /* else with the next step */
}

static void send_drain(struct delivery *d)
{
	ToPlugin frame = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	Enlight__Plugin__V1__Drain drain = ENLIGHT__PLUGIN__V1__DRAIN__INIT;
	uint64_t left = d->drain_until_ms > d->now_ms ? d->drain_until_ms - d->now_ms : 0;

	drain.has_deadline_ms = true;
	drain.deadline_ms = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
	frame.drain = &drain;
	if (send_frame(d, &frame))
		d->run_state = RUN_DRAINING;
}

static void drain(struct delivery *d, uint64_t ms)
{
	if (d->draining)
		return;
	d->draining = true;
	d->drain_until_ms = d->now_ms + ms;
	if (d->run_state == RUN_WAITING)
		d->run_state = RUN_FINISHED;
	/* one that is ready is told by watch(); while it starts: when it is, or the time is over */
}

/* ---- what is open ---- */

static struct item *page_item(const struct delivery *d, const struct place *place)
{
	size_t low = d->head, high = d->n_page;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = place_compare(&d->page[middle].event.place, place);

		if (order == 0)
			return &d->page[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

size_t retry_seek(const struct delivery *d, const struct place *place, bool *found)
{
	size_t low = 0, high = d->n_retries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (place_compare(&d->retries[middle].event.place, place) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*found = low < d->n_retries && place_compare(&d->retries[low].event.place, place) == 0;
	return low;
}

static struct item *retry_item(const struct delivery *d, const struct place *place)
{
	bool found;
	size_t i = retry_seek(d, place, &found);

	return found ? &d->retries[i] : NULL;
}

static void forget_retry(struct delivery *d, struct item *item)
{
	size_t i = (size_t)(item - d->retries);

	d->retry_bytes -= delivered_bytes(&item->event);
	delivered_deinit(&item->event);
	memmove(item, item + 1, (--d->n_retries - i) * sizeof *item);
}

/* An event of the page is done, or on record: it stays until the cursor passes it, without its bytes. */
static void done_with(struct delivery *d, struct item *item)
{
	struct delivered left = {.place = item->event.place,
		.channel = item->event.channel,
		.incarnation = item->event.incarnation,
		.sequence = item->event.sequence};

	d->ahead_bytes -= delivered_bytes(&item->event);
	delivered_deinit(&item->event);
	item->event = left;
	item->settled = true;
}

/* Where the delivery of that number is among the open ones; `n_opens`: nowhere. */
static size_t find_open(const struct delivery *d, uint64_t number)
{
	size_t low = 0, high = d->n_opens;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->opens[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < d->n_opens && d->opens[low].number == number ? low : d->n_opens;
}

/* Whether an event of its lane is open. A page can be full of events that wait, and each is passed over whenever there is room: so
 * it remembers behind whom. */
static bool lane_is_open(const struct delivery *d, struct item *item)
{
	const struct index_key *lane = &item->event.lane;

	if (d->open_lanes[lane_slot(lane)] == 0)
		return false;
	if (item->behind != 0 && find_open(d, item->behind) < d->n_opens)
		return true;
	for (size_t i = 0; i < d->n_opens; i++)
		if (memcmp(d->opens[i].lane.bytes, lane->bytes, sizeof lane->bytes) == 0) {
			item->behind = d->opens[i].number;
			return true;
		}
	return false;
}

static struct floor *find_floor(const struct delivery *d, uint64_t channel)
{
	for (size_t i = 0; i < d->n_floors; i++)
		if (d->floors[i].channel == channel)
			return &d->floors[i];
	return NULL;
}

/* The cursor passes an event. Without memory nothing of its channel counts as settled. */
static void pass(struct delivery *d, const struct delivered *event)
{
	struct floor *f = find_floor(d, event->channel);

	if (f == NULL) {
		if (!delivery_grow(d, &d->floors, d->n_floors, &d->size_floors, sizeof *d->floors))
			return;
		f = &d->floors[d->n_floors++];
		*f = (struct floor){.channel = event->channel, .incarnation = event->incarnation};
	}
	if (f->incarnation != event->incarnation)
		*f = (struct floor){.channel = event->channel, .incarnation = event->incarnation};
	f->passed = event->sequence + 1;
}

/* Below this sequence nothing of the event's channel comes again: a plugin may forget it. It goes by what is durable, since after a crash
 * the rest comes again. */
static uint64_t settled_below(const struct delivery *d, const struct delivered *event)
{
	const struct floor *f = find_floor(d, event->channel);

	if (f == NULL || f->incarnation != event->incarnation)
		return 0;
	return f->safe < event->sequence ? f->safe : event->sequence;
}

static bool send_event(struct delivery *d, const struct item *item, uint64_t number)
{
	ToPlugin frame = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	Enlight__Plugin__V1__Deliver deliver = ENLIGHT__PLUGIN__V1__DELIVER__INIT;
	const struct delivered *e = &item->event;

	deliver.number = number;
	deliver.source = (char *)e->source;
	deliver.audience = e->audience;
	deliver.incarnation = e->incarnation;
	deliver.sequence = e->sequence;
	deliver.event = (ProtobufCBinaryData){e->packed.len, (uint8_t *)e->packed.data};
	deliver.digest = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)e->leaf.bytes};
	deliver.attempt = item->attempt;
	deliver.settled = settled_below(d, e);
	deliver.has_stale = e->stale;
	deliver.stale = e->stale;
	frame.deliver = &deliver;
	return send_frame(d, &frame);
}

/* How many Erase frames an erasure takes. */
static size_t erased_parts(const struct erased *e)
{
	size_t n = e->n_sequences > e->n_ids ? e->n_sequences : e->n_ids;

	return n == 0 ? 1 : (n + ERASED_PART - 1) / ERASED_PART;
}

/* How many of `n` stand in a part. */
static size_t in_part(size_t n, size_t part)
{
	size_t left = n > part * ERASED_PART ? n - part * ERASED_PART : 0;

	return left < ERASED_PART ? left : ERASED_PART;
}

static bool send_erase(struct delivery *d, const struct item *item, uint64_t number)
{
	ToPlugin frame = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	Enlight__Plugin__V1__Erase erase = ENLIGHT__PLUGIN__V1__ERASE__INIT;
	const struct erased *e = item->event.erased;
	size_t from = item->part * ERASED_PART;

	erase.number = number;
	erase.source = (char *)item->event.source;
	erase.audience = item->event.audience;
	erase.n_sequences = in_part(e->n_sequences, item->part);
	if (erase.n_sequences > 0)
		erase.sequences = e->sequences + from;
	erase.n_ids = erase.n_subjects = in_part(e->n_ids, item->part);
	if (erase.n_ids > 0) {
		erase.ids = e->ids + from;
		erase.subjects = e->subjects + from;
	}
	erase.person = e->person;
	frame.erase = &erase;
	return send_frame(d, &frame);
}

static void send_item(struct delivery *d, struct item *item, bool retry)
{
	uint64_t number = d->next_delivery + 1;

	if (!delivery_grow(d, &d->opens, d->n_opens, &d->size_opens, sizeof *d->opens))
		return;
	if (!(item->event.erased != NULL ? send_erase(d, item, number) : send_event(d, item, number)))
		return;
	d->next_delivery = number;
	if (d->n_opens == 0)
		d->busy_ms = d->now_ms;
	d->exclusive = item->alone || item->event.erased != NULL;
	d->opens[d->n_opens++] = (struct open){number, item->event.place, item->event.lane, retry};
	d->open_lanes[lane_slot(&item->event.lane)]++;
	item->number = number;
	item->sent_ms = d->now_ms;
}

/* Takes a delivery off the list of open ones. NULL: there is none of that number, or it was taken off the record meanwhile. */
static struct item *close_open(struct delivery *d, uint64_t number, bool *retry)
{
	size_t i = find_open(d, number);
	struct item *item;
	struct open o;

	if (i == d->n_opens)
		return NULL;
	o = d->opens[i];
	memmove(&d->opens[i], &d->opens[i + 1], (--d->n_opens - i) * sizeof o);
	item = o.retry ? retry_item(d, &o.place) : page_item(d, &o.place);
	*retry = o.retry;
	assert(item != NULL);
	d->open_lanes[lane_slot(&o.lane)]--;
	d->exclusive = false;
	item->number = 0;
	return item;
}

/* What the erasure at this place lists is not tried any more; items may move. */
static void erase_held(struct delivery *d, const struct erased *e, const struct place *erasure)
{
	for (size_t i = 0; i < e->n_places; i++) {
		struct item *item = retry_item(d, &e->places[i]);

		if (held_at(d, &e->places[i]) == NULL || place_compare(&e->places[i], erasure) == 0)
			continue;
		held_settle(d, &e->places[i]);
		if (item != NULL && item->number == 0)
			forget_retry(d, item);
	}
}

/* ---- results ---- */

static void settle(struct delivery *d, struct item *item, bool retry)
{
	struct place place = item->event.place;

	if (item->event.erased != NULL && ++item->part < erased_parts(item->event.erased))
		return; /* the next part goes out now */
	d->worked = true;
	if (item->event.erased != NULL) {
		d->counters.erased++;
		erase_held(d, item->event.erased, &place);
		item = retry ? retry_item(d, &place) : item;
	} else {
		d->counters.done++;
	}
	if (retry) {
		forget_retry(d, item);
		held_settle(d, &place);
	} else {
		done_with(d, item);
	}
}

/* Not now, or never. */
static void put_off(struct delivery *d, struct item *item, bool retry, bool dead, uint64_t after_ms, uint32_t deaths,
	const char *reason)
{
	struct held_row *row = retry ? held_at(d, &item->event.place) : NULL;

	if (dead)
		d->counters.rejected++;
	else
		d->counters.retried++;
	if (!retry) {
		if (held_add(
			    d, &item->event, dead ? HELD_DEAD : HELD_RETRYING, item->attempt, deaths, after_ms, reason))
			done_with(d, item);
		else
			d->waiting = d->head; /* without memory for a row it is delivered again */
		return;
	}
	if (row != NULL) {
		row->attempts = item->attempt;
		row->deaths = deaths;
		if (dead)
			held_die(d, row, reason);
		else
			held_again(d, row, after_ms, reason);
	}
	forget_retry(d, item);
}

/* As long as the plugin asks for, but no longer than the longest pause. 0: as the attempts say. */
static uint64_t retry_after(const Enlight__Plugin__V1__Result *r)
{
	if (!r->has_retry_after_ms)
		return 0;
	return r->retry_after_ms < DELIVERY_RETRY_MAX_MS ? r->retry_after_ms : DELIVERY_RETRY_MAX_MS;
}

static void take_result(struct delivery *d, const Enlight__Plugin__V1__Result *r)
{
	const char *reason = r->reason == NULL ? "" : r->reason;
	bool again = strcmp(r->outcome, "retry") == 0, dead = strcmp(r->outcome, "reject") == 0, retry = false;
	struct held_row *row;
	struct item *item;

	if (!again && !dead && strcmp(r->outcome, "done") != 0) {
		kill_process(d, "a Result with an outcome that is none");
		return;
	}
	item = close_open(d, r->number, &retry);
	if (item == NULL) {
		kill_process(d, "a Result for what is not open");
		return;
	}
	row = retry ? held_at(d, &item->event.place) : NULL;
	if (retry && row == NULL)
		forget_retry(d, item); /* an operator dropped it */
	else if (again || dead)
		put_off(d, item, retry, dead, retry_after(r), 0, reason);
	else
		settle(d, item, retry);
	d->backoff_ms = 0;
}

/* What was open when the process ended: who was alone with it is counted, the others go out one at a time. */
static void close_all(struct delivery *d, bool count)
{
	bool single = d->n_opens == 1, retry = false;

	while (d->n_opens > 0) {
		struct item *item = close_open(d, d->opens[0].number, &retry);
		const struct held_row *row = item != NULL && retry ? held_at(d, &item->event.place) : NULL;
		uint32_t deaths = (row == NULL ? 0 : row->deaths) + 1;

		assert(item != NULL);
		if (retry && row == NULL) {
			forget_retry(d, item);
		} else if (!count) {
			continue;
		} else if (!single) {
			item->alone = d->suspects = true;
		} else if (deaths >= DELIVERY_DEATHS_MAX) {
			put_off(d, item, retry, true, 0, deaths, "the plugin ended each time that it had this event");
		} else {
			put_off(d, item, retry, false, 1, deaths, "the plugin ended while it had this event");
		}
	}
}

/* ---- frames ---- */

static void take_ready(struct delivery *d, const Enlight__Plugin__V1__Ready *r)
{
	bool lanes = r->order != NULL && strcmp(r->order, "lanes") == 0;
	char **wanted;

	if (d->run_state != RUN_STARTING) {
		kill_process(d, "a second Ready");
		return;
	}
	if (r->protocol == 0 || r->protocol > PLUGIN_PROTOCOL) {
		kill_process(d, "it speaks a version of the protocol that this node does not");
		return;
	}
	if (r->order != NULL && !lanes && strcmp(r->order, "in order") != 0) {
		kill_process(d, "an order that is neither \"in order\" nor \"lanes\"");
		return;
	}
	for (size_t i = 0; i < r->n_topics; i++)
		if (!topic_pattern_valid(r->topics[i])) {
			kill_process(d, "it wants a topic that does not exist");
			return;
		}
	wanted = texts_dup(r->topics, r->n_topics, 0);
	if (wanted == NULL) {
		kill_process(d, "out of memory");
		return;
	}
	texts_free(d->wanted);
	d->wanted = wanted;
	d->n_wanted = r->n_topics;
	d->lanes = lanes;
	d->window = lanes && r->has_window && r->window > 0 ? r->window : 1;
	if (d->window > DELIVERY_WINDOW_MAX)
		d->window = DELIVERY_WINDOW_MAX;
	delivery_cut(d->version, sizeof d->version, r->version == NULL ? "" : r->version);
	d->run_state = RUN_READY;
	d->ready_ms = d->now_ms;
	delivery_log(d, LOG_LEVEL_INFO, "plugin: ready plugin=%s version=%s order=%s window=%zu", d->name, d->version,
		lanes ? "lanes" : "\"in order\"", d->window);
}

/* Begins to count lines anew, and tells how many were too many. */
static void count_anew(struct delivery *d)
{
	if (d->lines == 0 || d->now_ms < d->lines_ms + DELIVERY_LINES_MS)
		return;
	if (d->lines_left_out > 0)
		delivery_log(d, LOG_LEVEL_WARN, "plugin: too much to log plugin=%s lines_left_out=%u", d->name,
			d->lines_left_out);
	d->lines = d->lines_left_out = 0;
}

/* Words of the plugin: so many lines in a while, the others are counted. */
static void say(struct delivery *d, int level, const char *text)
{
	count_anew(d);
	if (d->lines == 0)
		d->lines_ms = d->now_ms;
	if (d->lines++ < DELIVERY_LINES) {
		delivery_log(d, level, "plugin: says plugin=%s text=\"%.*s\"", d->name, DELIVERY_LINE_MAX, text);
		return;
	}
	d->lines_left_out++;
	d->counters.dropped_lines++;
}

static void take_log(struct delivery *d, const Enlight__Plugin__V1__Log *l)
{
	static const char *const names[] = {[LOG_LEVEL_ERROR] = "error",
		[LOG_LEVEL_WARN] = "warn",
		[LOG_LEVEL_INFO] = "info",
		[LOG_LEVEL_DEBUG] = "debug"};

	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
		if (strcmp(l->level, names[level]) == 0) {
			say(d, level, l->text);
			return;
		}
	say(d, LOG_LEVEL_INFO, l->text);
}

static void take_publish(struct delivery *d, const Enlight__Plugin__V1__Publish *p)
{
	struct delivery_action *a = delivery_act(d, DELIVERY_PUBLISH);
	struct bytes event = bytes_of(p->event.data, p->event.len);

	if (a == NULL) {
		kill_process(d, "out of memory");
		return;
	}
	d->n_publishing++;
	a->run = d->run;
	a->number = p->number;
	a->bytes = bytes_of(bytes_dup(event), event.len);
	if (a->bytes.data == NULL)
		kill_process(d, "out of memory");
}

static void take_frame(struct delivery *d, struct bytes bytes)
{
	FromPlugin *f;

	if (d->run_state == RUN_ENDING || d->run_state == RUN_WAITING || d->run_state == RUN_FINISHED)
		return; /* what it wrote before it was killed */
	f = wire_unpack(&enlight__plugin__v1__from_plugin__descriptor, bytes, FRAME_CAP);
	if (f == NULL) {
		kill_process(d, errno == ENOMEM ? "out of memory" : "it wrote what is no frame");
		return;
	}
	d->heard_ms = d->now_ms;
	if (f->ready != NULL)
		take_ready(d, f->ready);
	else if (f->log != NULL)
		take_log(d, f->log);
	else if (f->result != NULL)
		take_result(d, f->result);
	else if (f->publish != NULL && d->run_state == RUN_STARTING)
		kill_process(d, "a Publish before Ready");
	else if (f->publish != NULL)
		take_publish(d, f->publish);
	/* a Beat, or a message of a later version: hearing it was all */
	wire_free(f);
}

static void send_answer(struct delivery *d, const struct delivery_answer *answer)
{
	ToPlugin frame = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	Enlight__Plugin__V1__Published p = ENLIGHT__PLUGIN__V1__PUBLISHED__INIT;
	const struct problems *problems = answer->problems;
	Enlight__Plugin__V1__Problem rows[PROBLEMS_MAX], *list[PROBLEMS_MAX];

	if (answer->run != d->run || d->n_publishing == 0)
		return; /* of a process that is gone */
	d->n_publishing--;
	if (d->run_state != RUN_READY && d->run_state != RUN_DRAINING)
		return;
	p.number = answer->number;
	p.status = answer->status;
	if (answer->digest != NULL) {
		p.id = (char *)answer->id;
		p.audience = (char *)answer->audience;
		p.has_revision = p.has_sequence = p.has_digest = true;
		p.revision = answer->revision;
		p.sequence = answer->sequence;
		p.digest = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)answer->digest->bytes};
		d->counters.published++;
	}
	for (size_t i = 0; problems != NULL && i < problems->n; i++) {
		rows[i] = (Enlight__Plugin__V1__Problem)ENLIGHT__PLUGIN__V1__PROBLEM__INIT;
		rows[i].place = problems->items[i].place;
		rows[i].rule = problems->items[i].rule;
		list[i] = &rows[i];
		p.n_problems = i + 1;
	}
	p.problems = list;
	frame.published = &p;
	if (!send_frame(d, &frame))
		kill_process(d, "out of memory"); /* it would wait for ever */
}

/* ---- the end of a process ---- */

static void take_end(struct delivery *d, const char *how)
{
	bool stable = d->ready_ms != 0 && d->now_ms >= d->ready_ms + DELIVERY_STABLE_MS;
	bool asked = d->draining && (d->run_state == RUN_DRAINING || d->now_ms >= d->drain_until_ms);

	close_all(d, !asked);
	d->ready_ms = 0;
	if (d->draining) {
		d->run_state = RUN_FINISHED;
		return;
	}
	d->counters.restarts++;
	d->backoff_ms = d->backoff_ms == 0 || stable ? DELIVERY_RESTART_MIN_MS : d->backoff_ms * 2;
	if (d->backoff_ms > DELIVERY_RESTART_MAX_MS)
		d->backoff_ms = DELIVERY_RESTART_MAX_MS;
	if (d->run_state != RUN_ENDING)
		snprintf(d->last_error, sizeof d->last_error, "%s", how);
	delivery_log(d, LOG_LEVEL_WARN, "plugin: ended plugin=%s how=\"%s\" again_in_ms=%llu", d->name, how,
		(unsigned long long)d->backoff_ms);
	d->run_state = RUN_WAITING;
	d->start_ms = d->now_ms + d->backoff_ms;
}

/* ---- reading ---- */

/* Asks for the next page when little is left of the last one. */
static void read_on(struct delivery *d)
{
	size_t ahead = d->n_page - d->waiting;
	struct deliveries_query *q;
	struct delivery_action *a;
	struct query *query;

	if (d->reading || !d->more || ahead > d->window || d->ahead_bytes >= DELIVERY_AHEAD_BYTES ||
		d->now_ms < d->not_again_ms)
		return;
	query = query_new(QUERY_DELIVERIES);
	if (query == NULL) {
		d->short_of_memory = true;
		return;
	}
	q = &query->deliveries;
	memcpy(q->member, d->member, sizeof q->member);
	q->own = d->own;
	q->allowed = texts_dup(d->topics, d->n_topics, 0);
	q->n_allowed = d->n_topics;
	q->wanted = texts_dup(d->wanted, d->n_wanted, 0);
	q->n_wanted = d->n_wanted;
	q->after = d->read_to;
	q->max_events = BATCH_EVENTS_MAX;
	q->max_bytes = DELIVERY_PAGE_BYTES;
	a = q->allowed == NULL || q->wanted == NULL ? NULL : delivery_act(d, DELIVERY_QUERY);
	if (a == NULL) {
		query_free(query);
		d->short_of_memory = true;
		return;
	}
	q->unfinished = d->unfinished;
	d->unfinished = (struct delivered){0};
	a->query = query;
	d->reading = true;
}

/* Makes room at the end of the page by moving what is left to its beginning. */
static void close_ranks(struct delivery *d)
{
	if (d->head == 0)
		return;
	memmove(d->page, d->page + d->head, (d->n_page - d->head) * sizeof *d->page);
	d->n_page -= d->head;
	d->waiting -= d->head;
	d->head = 0;
}

static void take_page(struct delivery *d, struct deliveries_query *q)
{
	close_ranks(d);
	for (size_t i = 0; i < q->n_events; i++) {
		if (!delivery_grow(d, &d->page, d->n_page, &d->size_page, sizeof *d->page))
			return; /* read again from the last one that was taken */
		d->page[d->n_page++] = (struct item){.event = q->events[i], .attempt = 1};
		d->read_to = q->events[i].place;
		d->ahead_bytes += delivered_bytes(&q->events[i]);
		q->events[i] = (struct delivered){0};
	}
	d->unfinished = q->unfinished;
	q->unfinished = (struct delivered){0};
	d->read_to = q->next;
	d->more = q->more || d->last_number > q->next.number;
}

/* A batch that the disk changed is waited for: it is not passed over, since nobody would give it later. It is tried as often as any query, and
 * said once, and then each hour. */
static void note_unreadable(struct delivery *d, uint64_t number)
{
	if (d->unreadable == number && d->now_ms < d->unreadable_said_ms + SAY_AGAIN_MS)
		return;
	d->unreadable = number;
	d->unreadable_said_ms = d->now_ms;
	snprintf(d->last_error, sizeof d->last_error, "batch %llu is damaged: enlight doctor --repair",
		(unsigned long long)number);
	delivery_log(d, LOG_LEVEL_ERROR,
		"plugin: waits for a damaged batch, see enlight doctor --repair plugin=%s number=%llu", d->name,
		(unsigned long long)number);
}

/* A page that was read; what stood in the way is behind it. */
static void note_readable(struct delivery *d, const struct deliveries_query *q)
{
	if (d->unreadable == 0 || q->next.number < d->unreadable)
		return;
	delivery_log(d, LOG_LEVEL_INFO, "plugin: goes on behind a batch that was damaged plugin=%s number=%llu",
		d->name, (unsigned long long)d->unreadable);
	d->unreadable = 0;
	d->last_error[0] = '\0';
}

static void take_query(struct delivery *d, struct query *query)
{
	bool page = query->deliveries.places == NULL;

	if (query->result == 0) {
		if (page) {
			d->reading = false;
			note_readable(d, &query->deliveries);
			take_page(d, &query->deliveries);
		} else {
			held_loaded(d, &query->deliveries);
		}
		return;
	}
	*(page ? &d->reading : &d->loading) = false;
	d->not_again_ms = d->now_ms + READ_AGAIN_MS;
	if (page && query->deliveries.unreadable != 0)
		note_unreadable(d, query->deliveries.unreadable);
	else if (query->result != -EAGAIN)
		delivery_log(d, LOG_LEVEL_ERROR, "plugin: cannot read events plugin=%s error=\"%s\"", d->name,
			strerror(-query->result));
}

/* ---- giving out ---- */

/* The cursor moves over what is settled at the front, and to where reading has come when nothing is left. */
static void move_cursor(struct delivery *d)
{
	while (d->head < d->n_page && d->page[d->head].settled) {
		d->cursor = d->page[d->head].event.place;
		pass(d, &d->page[d->head].event);
		delivered_deinit(&d->page[d->head].event);
		d->head++;
	}
	if (d->waiting < d->head)
		d->waiting = d->head;
	if (d->head == d->n_page) {
		d->head = d->n_page = d->waiting = 0;
		if (place_compare(&d->read_to, &d->cursor) > 0)
			d->cursor = d->read_to;
	}
}

/* What must be given out with nothing beside it. */
static struct item *find_alone(struct delivery *d, bool *retry)
{
	if (!d->suspects)
		return NULL;
	for (size_t i = 0; i < d->n_retries; i++)
		if (d->retries[i].alone) {
			*retry = true;
			return &d->retries[i];
		}
	for (size_t i = d->head; i < d->n_page; i++)
		if (d->page[i].alone && !d->page[i].settled) {
			*retry = false;
			return &d->page[i];
		}
	d->suspects = false;
	return NULL;
}

/* An erasure goes out with nothing beside it, and of a lane one at a time, here too. */
static void send_retries(struct delivery *d)
{
	for (size_t i = 0; i < d->n_retries && d->n_opens < d->window && !d->exclusive; i++) {
		struct item *item = &d->retries[i];

		if (item->number != 0 || lane_is_open(d, item) || (item->event.erased != NULL && d->n_opens > 0))
			continue;
		send_item(d, item, true);
	}
}

/* An erasure is next in the page: what is open ends first, and nothing is added to it. */
static bool erasure_is_next(const struct delivery *d)
{
	const struct item *item = d->waiting < d->n_page ? &d->page[d->waiting] : NULL;

	return item != NULL && item->event.erased != NULL && !item->settled && item->number == 0;
}

static size_t open_retries(const struct delivery *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_opens; i++)
		n += d->opens[i].retry;
	return n;
}

static bool has_room(struct delivery *d, size_t n_open_retries)
{
	if (d->n_held >= DELIVERY_HELD_MAX) {
		if (!d->full_said)
			delivery_log(d, LOG_LEVEL_ERROR,
				"plugin: too many events are held, it is given nothing new plugin=%s held=%zu", d->name,
				d->n_held);
		d->full_said = true;
		return false;
	}
	d->full_said = false;
	return d->n_opens - n_open_retries + d->n_retrying < d->window;
}

/* Sends what waits in the page, in its order, as far as there is room; a lane that is held takes what follows in it. */
static void send_page(struct delivery *d)
{
	size_t n_open_retries = open_retries(d);
	bool skipped = false;

	for (size_t i = d->waiting; i < d->n_page; i++) {
		struct item *item = &d->page[i];

		if (item->settled || item->number != 0) {
			d->waiting += !skipped;
			continue;
		}
		if (d->n_held > 0 && held_at(d, &item->event.place) !=
					     NULL) { /* on record since before a crash, ahead of the cursor */
			done_with(d, item);
			d->waiting += !skipped;
			continue;
		}
		if (item->event.erased != NULL) { /* all before it first */
			if (d->n_opens == 0 && !skipped)
				send_item(d, item, false);
			return;
		}
		if (held_blocks(d, &item->event.lane)) {
			if (d->n_held >= DELIVERY_HELD_MAX && !has_room(d, n_open_retries))
				return;
			if (!held_add(d, &item->event, HELD_PARKED, 0, 0, 0,
				    "waits for an earlier event of the same object"))
				return; /* out of memory */
			done_with(d, item);
			d->waiting += !skipped;
			continue;
		}
		if (!has_room(d, n_open_retries))
			return;
		if (lane_is_open(d, item)) {
			skipped = true;
			continue;
		}
		send_item(d, item, false);
		if (item->number == 0)
			return; /* out of memory */
		d->waiting += !skipped;
	}
}

static void give_out(struct delivery *d)
{
	struct item *item;
	bool retry;

	if (d->run_state != RUN_READY || d->draining)
		return;
	held_load(d);
	if (d->exclusive)
		return;
	item = find_alone(d, &retry);
	if (item != NULL) {
		if (d->n_opens == 0)
			send_item(d, item, retry);
		return;
	}
	if (!erasure_is_next(d))
		send_retries(d);
	if (!d->exclusive)
		send_page(d);
	read_on(d);
}

/* ---- time ---- */

/* Since when its silence counts: it was heard, it was given something, or the node began to listen again. */
static uint64_t silent_since(const struct delivery *d)
{
	uint64_t since = d->heard_ms > d->busy_ms ? d->heard_ms : d->busy_ms;

	return d->deaf_ms > since ? d->deaf_ms : since;
}

/* When the oldest that is open was sent, or the node began to listen again. */
static uint64_t open_since(const struct delivery *d)
{
	const struct open *o = &d->opens[0];
	uint64_t sent_ms = (o->retry ? retry_item(d, &o->place) : page_item(d, &o->place))->sent_ms;

	return d->deaf_ms > sent_ms ? d->deaf_ms : sent_ms;
}

/* When one that is silent is killed. */
static uint64_t patience_ms(const struct delivery *d)
{
	if (d->run_state == RUN_READY && d->n_opens == 0)
		return silent_since(d) + (uint64_t)BEATS_MISSED * DELIVERY_BEAT_MS;
	return silent_since(d) + d->deadline_ms;
}

static void watch_ready(struct delivery *d)
{
	if (d->draining)
		send_drain(d);
	else if (d->now_ms >= patience_ms(d))
		kill_process(d, d->n_opens == 0 ? "it gave no sign of life"
						: "it said nothing for its deadline while it had events");
	else if (d->n_opens > 0 && d->now_ms >= open_since(d) + DEADLINES_OPEN * d->deadline_ms)
		kill_process(d, "it gave no Result for an event for ten times its deadline");
}

/* `heard`: what the process wrote until now was read. Only then is its silence its own. */
static void watch(struct delivery *d, bool heard)
{
	if (!delivery_listens(d))
		d->deaf_ms = d->now_ms;
	switch (d->run_state) {
	case RUN_WAITING:
		if (d->now_ms >= d->start_ms)
			start(d);
		break;
	case RUN_STARTING:
		if (d->draining && d->now_ms >= d->drain_until_ms)
			kill_process(d, "not ready when the node stopped");
		else if (heard && d->now_ms >= patience_ms(d))
			kill_process(d, "not ready within its deadline");
		break;
	case RUN_READY:
		if (heard || d->draining)
			watch_ready(d);
		break;
	case RUN_DRAINING:
		if (d->now_ms >= d->drain_until_ms)
			kill_process(d, "it did not end when it was asked to");
		break;
	case RUN_ENDING:
		if (!d->killed)
			d->killed = delivery_act(d, DELIVERY_KILL) != NULL;
		break;
	case RUN_FINISHED:
		break;
	}
}

static void earlier(uint64_t *wake, uint64_t at)
{
	if (at < *wake)
		*wake = at;
}

static uint64_t wake_ms(const struct delivery *d)
{
	uint64_t wake = d->now_ms + 1000;

	if (d->run_state == RUN_WAITING)
		earlier(&wake, d->start_ms);
	if (d->run_state == RUN_STARTING || d->run_state == RUN_READY)
		earlier(&wake, patience_ms(d));
	if (d->run_state == RUN_READY && d->n_opens > 0)
		earlier(&wake, open_since(d) + DEADLINES_OPEN * d->deadline_ms);
	if (d->draining && d->run_state != RUN_ENDING && d->run_state != RUN_FINISHED)
		earlier(&wake, d->drain_until_ms);
	if (d->due_ms != UINT64_MAX && d->due_ms > d->time_ms)
		earlier(&wake, d->now_ms + (d->due_ms - d->time_ms));
	return wake;
}

/* ---- operators ---- */

static int retry_now(struct delivery *d, const struct place *place)
{
	struct held_row *row = held_at(d, place);
	struct item *item = retry_item(d, place);

	if (row == NULL)
		return -ENOENT;
	if (row->state == HELD_PARKED)
		return -EBUSY;
	if (item != NULL)
		return 0; /* it is on its way */
	row->deaths = 0;
	held_again(d, row, 1, "an operator asked for it");
	row->next_ms = d->time_ms; /* not a moment later */
	return 0;
}

static int retry_all(struct delivery *d, const struct held_filter *filter)
{
	int n = 0;

	for (size_t i = 0; i < d->n_held; i++) {
		const struct held_row *row = &d->held[i];

		if (row->state != HELD_PARKED && (filter->source == NULL || strcmp(filter->source, row->source) == 0) &&
			(filter->topic == NULL || topic_matches(filter->topic, row->topic)))
			n += retry_now(d, &row->place) == 0;
	}
	return n;
}

static int drop(struct delivery *d, const struct place *place)
{
	struct item *item = retry_item(d, place);

	if (held_at(d, place) == NULL)
		return -ENOENT;
	held_settle(d, place);
	if (item != NULL && item->number == 0)
		forget_retry(d, item);
	return 0;
}

/* ---- steps ---- */

static void dispatch(struct delivery *d, const struct delivery_input *in)
{
	switch (in->kind) {
	case DELIVERY_TICK:
		break;
	case DELIVERY_FRAME:
		take_frame(d, in->bytes);
		break;
	case DELIVERY_GARBAGE:
		if (d->run_state != RUN_ENDING && d->run_state != RUN_WAITING)
			kill_process(d, in->text);
		break;
	case DELIVERY_SAID:
		say(d, LOG_LEVEL_INFO, in->text);
		break;
	case DELIVERY_ENDED:
		take_end(d, in->text);
		break;
	case DELIVERY_STORED:
		d->last_number = in->last_number;
		d->more |= d->last_number > d->read_to.number;
		break;
	case DELIVERY_READ:
		take_query(d, in->query);
		break;
	case DELIVERY_COMMITTED:
		held_committed(d, &in->job->delivery);
		break;
	case DELIVERY_PUBLISHED:
		send_answer(d, in->answer);
		break;
	case DELIVERY_RETRY:
		d->update->result = retry_now(d, &in->place);
		break;
	case DELIVERY_RETRY_ALL:
		d->update->result = retry_all(d, in->filter);
		break;
	case DELIVERY_DROP:
		d->update->result = drop(d, &in->place);
		break;
	case DELIVERY_DRAIN:
		drain(d, in->drain_ms);
		break;
	}
}

static bool all_committed(const struct delivery *d)
{
	return !d->committing && d->n_dirty == 0 && place_compare(&d->cursor, &d->committed) == 0;
}

/* The last commit fails and fails: what it would have said comes again with the next start. */
static bool given_up(const struct delivery *d)
{
	return !d->committing && d->now_ms >= d->drain_until_ms + GIVE_UP_MS;
}

int delivery_step(struct delivery *d, const struct delivery_input *in, struct delivery_update *up)
{
	d->now_ms = in->now_ms;
	d->time_ms = in->time_ms;
	d->update = up;
	d->short_of_memory = false;
	dispatch(d, in);
	count_anew(d);
	watch(d, in->kind == DELIVERY_TICK);
	held_narrow(d);
	give_out(d);
	move_cursor(d);
	held_commit(d);
	if (d->run_state == RUN_FINISHED && (all_committed(d) || given_up(d)) && !d->reading && !d->loading)
		delivery_act(d, DELIVERY_FINISHED);
	up->wake_ms = wake_ms(d);
	d->update = NULL;
	return d->short_of_memory ? -ENOMEM : 0;
}

bool delivery_listens(const struct delivery *d)
{
	return d->n_publishing < DELIVERY_PUBLISH_MAX;
}

/* ---- making ---- */

static char *copy_text(const char *text, bool *failed)
{
	char *copy = text == NULL ? NULL : strdup(text);

	*failed |= text != NULL && copy == NULL;
	return copy;
}

int delivery_new(struct delivery **out, const struct delivery_options *options)
{
	struct delivery *d = calloc(1, sizeof *d);
	bool failed = false;

	*out = NULL;
	if (d == NULL)
		return -ENOMEM;
	assert(strlen(options->name) <= PLUGIN_NAME_MAX && strlen(options->member) <= HANDLE_MAX);
	strcpy(d->name, options->name);
	strcpy(d->member, options->member);
	d->topics = texts_dup(options->topics, options->n_topics, 0);
	d->n_topics = options->n_topics;
	d->publishes = texts_dup(options->publishes, options->n_publishes, 0);
	d->n_publishes = options->n_publishes;
	d->wanted = texts_dup(NULL, 0, 0);
	d->own = options->own;
	d->settings = copy_text(options->settings, &failed);
	d->file = copy_text(options->file, &failed);
	d->folder = copy_text(options->folder, &failed);
	d->state_folder = copy_text(options->state, &failed);
	d->deadline_ms = options->deadline_ms;
	d->run_state = RUN_WAITING;
	d->window = 1;
	d->due_ms = UINT64_MAX;
	if (failed || d->topics == NULL || d->publishes == NULL || d->wanted == NULL) {
		delivery_free(d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void delivery_free(struct delivery *d)
{
	if (d == NULL)
		return;
	for (size_t i = d->head; i < d->n_page; i++)
		delivered_deinit(&d->page[i].event);
	for (size_t i = 0; i < d->n_retries; i++)
		delivered_deinit(&d->retries[i].event);
	delivered_deinit(&d->unfinished);
	delivered_deinit(&d->unfinished_row);
	texts_free(d->topics);
	texts_free(d->publishes);
	texts_free(d->wanted);
	free(d->settings);
	free(d->file);
	free(d->folder);
	free(d->state_folder);
	free(d->page);
	free(d->retries);
	free(d->opens);
	free(d->held);
	free(d->dirty);
	free(d->is_dirty);
	free(d->floors);
	free(d);
}

void delivery_load_cursor(struct delivery *d, const struct place *place)
{
	d->cursor = d->committed = d->read_to = *place;
}

int delivery_renew(struct delivery **out, const struct delivery_options *options, struct delivery *old)
{
	int r = delivery_new(out, options);
	struct delivery *d = *out;

	if (r != 0)
		return r;
	delivery_load_cursor(d, &old->cursor);
	d->committed = old->committed;
	d->last_number = old->last_number;
	d->more = d->last_number > d->read_to.number;
	d->held = old->held;
	d->n_held = old->n_held;
	d->size_held = old->size_held;
	d->is_dirty = old->is_dirty;
	d->size_is_dirty = old->size_is_dirty;
	d->dirty = old->dirty;
	d->n_dirty = old->n_dirty;
	d->size_dirty = old->size_dirty;
	d->n_retrying = old->n_retrying;
	d->n_dead = old->n_dead;
	d->n_parked = old->n_parked;
	d->held_changed = true;
	memcpy(d->held_lanes, old->held_lanes, sizeof d->held_lanes);
	old->held = NULL;
	old->is_dirty = NULL;
	old->dirty = NULL;
	old->n_held = old->size_held = old->size_is_dirty = old->n_dirty = old->size_dirty = 0;
	return 0;
}
