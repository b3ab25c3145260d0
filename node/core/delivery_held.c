/* What a plugin has not done: the rows of `held`, the lanes they keep closed, and the commits that make them durable. */
#include "core/delivery_state.h"

#include "base/log.h"
#include "enlight/event/v1/person.pb-c.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	IDLE_COMMIT_MS = 1000, /* a cursor that moved over what the plugin is not given can wait */
	FAILED_COMMIT_MS = 1000,
};

/* ---- rows ---- */

/* Where a row is, or would be. */
static size_t seek(const struct delivery *d, const struct place *place)
{
	size_t low = 0, high = d->n_held;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (place_compare(&d->held[middle].place, place) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct held_row *held_at(const struct delivery *d, const struct place *place)
{
	size_t i = seek(d, place);

	return i < d->n_held && place_compare(&d->held[i].place, place) == 0 ? &d->held[i] : NULL;
}

size_t held_behind(const struct delivery *d, const struct place *place)
{
	return seek(d, place) + (held_at(d, place) != NULL);
}

static size_t *count_of(struct delivery *d, enum held_state state)
{
	return state == HELD_RETRYING ? &d->n_retrying : state == HELD_DEAD ? &d->n_dead : &d->n_parked;
}

void held_count_lane(struct delivery *d, const struct index_key *lane, int by)
{
	d->held_lanes[lane_slot(lane)] = (uint16_t)(d->held_lanes[lane_slot(lane)] + by);
}

static bool same_lane(const struct held_row *row, const struct index_key *lane)
{
	return memcmp(row->lane.bytes, lane->bytes, sizeof lane->bytes) == 0;
}

bool held_blocks(const struct delivery *d, const struct index_key *lane)
{
	if (d->held_lanes[lane_slot(lane)] == 0)
		return false;
	for (size_t i = 0; i < d->n_held; i++)
		if (same_lane(&d->held[i], lane))
			return true;
	return false;
}

/* Notes that a row is to be committed as it is then, or its absence. */
static void touch(struct delivery *d, const struct held_row *row)
{
	size_t i = (size_t)(row - d->held);

	d->worked = d->held_changed = true;
	if (d->is_dirty[i])
		return;
	assert(d->n_dirty < d->size_dirty);
	d->is_dirty[i] = true;
	d->dirty[d->n_dirty++] = row->place;
}

/* Room for one more row, and for every row among the changed ones. */
static bool reserve(struct delivery *d)
{
	bool room = delivery_grow(d, &d->held, d->n_held, &d->size_held, sizeof *d->held) &&
		    delivery_grow(d, &d->is_dirty, d->n_held, &d->size_is_dirty, sizeof *d->is_dirty);

	while (room && d->size_dirty < d->n_dirty + d->n_held + 1)
		room = delivery_grow(d, &d->dirty, d->size_dirty, &d->size_dirty, sizeof *d->dirty);
	return room;
}

static void set_state(struct delivery *d, struct held_row *row, enum held_state state)
{
	--*count_of(d, row->state);
	row->state = state;
	++*count_of(d, state);
	touch(d, row);
}

void delivery_cut(char *out, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		len = size - 1;
	while (len > 0 && text[len] != '\0' && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--; /* not within a character */
	memcpy(out, text, len);
	out[len] = '\0';
}

static struct held_row *insert(struct delivery *d, const struct held_row *row)
{
	size_t i = seek(d, &row->place);

	if (!reserve(d))
		return NULL;
	memmove(&d->held[i + 1], &d->held[i], (d->n_held - i) * sizeof *d->held);
	memmove(&d->is_dirty[i + 1], &d->is_dirty[i], (d->n_held - i) * sizeof *d->is_dirty);
	d->n_held++;
	d->held[i] = *row;
	d->is_dirty[i] = false;
	++*count_of(d, row->state);
	d->held_changed = true;
	held_count_lane(d, &row->lane, 1);
	return &d->held[i];
}

int delivery_load_held(struct delivery *d, const struct held_row *row)
{
	return insert(d, row) != NULL ? 0 : -ENOMEM;
}

/* When to try again: twice as long each time. */
static uint64_t back_off(uint32_t attempts)
{
	uint64_t ms = DELIVERY_RETRY_MIN_MS;

	while (attempts-- > 1 && ms < DELIVERY_RETRY_MAX_MS)
		ms *= 2;
	return ms < DELIVERY_RETRY_MAX_MS ? ms : DELIVERY_RETRY_MAX_MS;
}

static void log_dead(struct delivery *d, const struct held_row *row)
{
	delivery_log(d, LOG_LEVEL_ERROR, "plugin: dead letter plugin=%s place=%llu.%u source=%s topic=%s reason=\"%s\"",
		d->name, (unsigned long long)row->place.number, (unsigned)row->place.index, row->source, row->topic,
		row->reason);
}

bool held_add(struct delivery *d, const struct delivered *event, enum held_state state, uint32_t attempts,
	uint32_t deaths, uint64_t retry_after_ms, const char *reason)
{
	struct held_row row =
				{
					.place = event->place,
					.channel = event->channel,
					.sequence = event->sequence,
					.lane = event->lane,
					.state = state,
					.attempts = attempts,
					.deaths = deaths,
					.since_ms = d->time_ms,
				},
			*added;

	memcpy(row.plugin, d->name, sizeof row.plugin);
	memcpy(row.source, event->source, sizeof row.source);
	memcpy(row.topic, event->topic, sizeof row.topic);
	delivery_cut(row.reason, sizeof row.reason, reason);
	if (state == HELD_RETRYING)
		row.next_ms = d->time_ms + (retry_after_ms != 0 ? retry_after_ms : back_off(attempts));
	added = insert(d, &row);
	if (added == NULL)
		return false;
	touch(d, added);
	if (state == HELD_DEAD)
		log_dead(d, added);
	return true;
}

void held_again(struct delivery *d, struct held_row *row, uint64_t retry_after_ms, const char *reason)
{
	row->next_ms = d->time_ms + (retry_after_ms != 0 ? retry_after_ms : back_off(row->attempts));
	delivery_cut(row->reason, sizeof row->reason, reason);
	set_state(d, row, HELD_RETRYING);
}

void held_die(struct delivery *d, struct held_row *row, const char *reason)
{
	delivery_cut(row->reason, sizeof row->reason, reason);
	set_state(d, row, HELD_DEAD);
	log_dead(d, row);
}

/* The first that is parked in a lane becomes the one that is tried. */
static void release_lane(struct delivery *d, const struct index_key *lane)
{
	for (size_t i = 0; i < d->n_held; i++) {
		struct held_row *row = &d->held[i];

		if (!same_lane(row, lane))
			continue;
		if (row->state == HELD_PARKED) {
			row->next_ms = 0;
			set_state(d, row, HELD_RETRYING);
		}
		return;
	}
}

void held_settle(struct delivery *d, const struct place *place)
{
	struct held_row *row = held_at(d, place), gone;
	size_t i;

	if (row == NULL)
		return;
	gone = *row;
	i = (size_t)(row - d->held);
	touch(d, row);
	--*count_of(d, gone.state);
	held_count_lane(d, &gone.lane, -1);
	d->n_held--;
	memmove(&d->held[i], &d->held[i + 1], (d->n_held - i) * sizeof *d->held);
	memmove(&d->is_dirty[i], &d->is_dirty[i + 1], (d->n_held - i) * sizeof *d->is_dirty);
	if (d->held_lanes[lane_slot(&gone.lane)] != 0)
		release_lane(d, &gone.lane);
}

/* ---- topics ---- */

/* Erasures are every plugin's. */
static bool is_of_topics(const struct delivery *d, const char *name)
{
	const struct topic *topic = topic_find(name);

	for (size_t i = 0; i < d->n_topics; i++)
		if (topic_matches(d->topics[i], name))
			return true;
	return topic != NULL && topic->message == &enlight__event__v1__erasure__descriptor;
}

/* Something before it in its lane is held. */
static bool has_before(const struct delivery *d, size_t row)
{
	for (size_t i = 0; i < row; i++)
		if (same_lane(&d->held[i], &d->held[row].lane))
			return true;
	return false;
}

static void leave_out(struct delivery *d, const struct held_row *row)
{
	delivery_log(d, LOG_LEVEL_WARN,
		"plugin: not of its topics any more, dropped plugin=%s place=%llu.%u source=%s topic=%s", d->name,
		(unsigned long long)row->place.number, (unsigned)row->place.index, row->source, row->topic);
	touch(d, row);
	--*count_of(d, row->state);
	held_count_lane(d, &row->lane, -1);
}

void held_narrow(struct delivery *d)
{
	size_t n = 0, before = d->n_held;

	if (d->narrowed)
		return;
	d->narrowed = true;
	for (size_t i = 0; i < d->n_held; i++) {
		if (!is_of_topics(d, d->held[i].topic)) {
			leave_out(d, &d->held[i]);
			continue;
		}
		d->held[n] = d->held[i];
		d->is_dirty[n++] = d->is_dirty[i];
	}
	d->n_held = n;
	for (size_t i = 0; i < n && n < before; i++)
		if (d->held[i].state == HELD_PARKED && !has_before(d, i)) {
			d->held[i].next_ms = 0;
			set_state(d, &d->held[i], HELD_RETRYING);
		}
}

/* ---- trying again ---- */

/* A clock that was set back makes nobody wait longer than the longest pause. */
static bool is_due(const struct delivery *d, uint64_t next_ms)
{
	return next_ms <= d->time_ms ||
	       (next_ms != UINT64_MAX && next_ms > d->time_ms + 2 * (uint64_t)DELIVERY_RETRY_MAX_MS);
}

/* When the first of those that are retried is due. */
static void find_due(struct delivery *d)
{
	if (!d->held_changed)
		return;
	d->held_changed = false;
	d->due_ms = UINT64_MAX;
	for (size_t i = 0; i < d->n_held && d->n_retrying > 0; i++)
		if (d->held[i].state == HELD_RETRYING && d->held[i].next_ms < d->due_ms)
			d->due_ms = d->held[i].next_ms;
}

/* The rows that are due and not in memory; or the one that the last query did not finish. False: out of memory. */
static bool ask_for(struct delivery *d, struct deliveries_query *q, size_t room)
{
	bool loaded;

	q->places = calloc(room, sizeof *q->places);
	q->allowed = texts_dup(d->topics, d->n_topics, 0);
	q->n_allowed = d->n_topics;
	q->max_events = room;
	q->max_bytes = DELIVERY_PAGE_BYTES;
	if (q->places == NULL || q->allowed == NULL)
		return false;
	if (d->unfinished_row.erased != NULL)
		q->places[q->n_places++] = d->unfinished_row.place;
	for (size_t i = 0; i < d->n_held && q->n_places < room && d->unfinished_row.erased == NULL; i++)
		if (d->held[i].state == HELD_RETRYING && is_due(d, d->held[i].next_ms)) {
			retry_seek(d, &d->held[i].place, &loaded);
			if (!loaded)
				q->places[q->n_places++] = d->held[i].place;
		}
	return true;
}

void held_load(struct delivery *d)
{
	struct delivery_action *a;
	struct query *query;
	size_t room = d->n_retries < d->window && d->retry_bytes < DELIVERY_AHEAD_BYTES ? d->window - d->n_retries : 0;

	find_due(d);
	if (d->loading || d->now_ms < d->not_again_ms || room == 0 || d->n_retries >= d->n_retrying ||
		!is_due(d, d->due_ms))
		return;
	query = query_new(QUERY_DELIVERIES);
	if (query == NULL || !ask_for(d, &query->deliveries, room)) {
		query_free(query);
		d->short_of_memory = true;
		return;
	}
	a = query->deliveries.n_places == 0 ? NULL : delivery_act(d, DELIVERY_QUERY);
	if (a == NULL) {
		query_free(query);
		return;
	}
	query->deliveries.unfinished = d->unfinished_row;
	d->unfinished_row = (struct delivered){0};
	a->query = query;
	d->loading = true;
}

/* Makes an event of a row one that is tried. Taken on success. */
static bool add_retry(struct delivery *d, struct delivered *event, const struct held_row *row)
{
	bool found;
	size_t i = retry_seek(d, &event->place, &found);

	if (found || !delivery_grow(d, &d->retries, d->n_retries, &d->size_retries, sizeof *d->retries))
		return false;
	memmove(&d->retries[i + 1], &d->retries[i], (d->n_retries++ - i) * sizeof *d->retries);
	d->retries[i] = (struct item){.event = *event, .attempt = row->attempts + 1, .alone = row->deaths > 0};
	d->retry_bytes += delivered_bytes(event);
	*event = (struct delivered){0};
	return true;
}

/* What became of one row that was asked for; `event` NULL: there is none. */
static void loaded(struct delivery *d, struct held_row *row, struct delivered *event)
{
	if (event == NULL) { /* its channel went back, or it was erased */
		delivery_log(d, LOG_LEVEL_WARN, "plugin: an event is gone plugin=%s place=%llu.%u", d->name,
			(unsigned long long)row->place.number, (unsigned)row->place.index);
		held_settle(d, &row->place);
	} else if (event->unreadable) {
		held_die(d, row, "unreadable: the disk changed the batch that holds it");
	} else {
		add_retry(d, event, row);
	}
}

/* Answers come in the order of the places. */
void held_loaded(struct delivery *d, struct deliveries_query *query)
{
	size_t at = 0;

	d->loading = false;
	for (size_t i = 0; i < query->n_places; i++) {
		const struct place *place = &query->places[i];
		bool there = at < query->n_events && place_compare(&query->events[at].place, place) == 0;
		struct held_row *row = held_at(d, place);

		if (row != NULL)
			loaded(d, row, there ? &query->events[at] : NULL);
		at += there;
	}
	d->unfinished_row = query->unfinished;
	query->unfinished = (struct delivered){0};
}

/* ---- commits ---- */

/* What comes no more when this commit is durable: what the cursor has passed and no row holds. */
static void find_floors(struct delivery *d)
{
	for (size_t i = 0; i < d->n_floors; i++)
		d->floors[i].next = d->floors[i].passed;
	for (size_t i = 0; i < d->n_held; i++)
		for (size_t k = 0; k < d->n_floors; k++)
			if (d->floors[k].channel == d->held[i].channel && d->floors[k].next > d->held[i].sequence)
				d->floors[k].next = d->held[i].sequence;
}

static bool fill(struct delivery *d, struct delivery_job *job)
{
	job->puts = calloc(d->n_dirty + 1, sizeof *job->puts);
	job->removes = calloc(d->n_dirty + 1, sizeof *job->removes);
	if (job->puts == NULL || job->removes == NULL)
		return false;
	memcpy(job->plugin, d->name, sizeof job->plugin);
	job->cursor = d->cursor;
	for (size_t i = 0; i < d->n_dirty; i++) {
		const struct held_row *row = held_at(d, &d->dirty[i]);

		if (row != NULL)
			job->puts[job->n_puts++] = *row;
		else
			job->removes[job->n_removes++] = d->dirty[i];
	}
	return true;
}

void held_commit(struct delivery *d)
{
	bool moved = place_compare(&d->cursor, &d->committed) != 0;
	struct delivery_action *a;
	struct job *job;

	if (d->committing || d->now_ms < d->not_again_ms || (!moved && d->n_dirty == 0))
		return;
	if (!d->worked && !d->draining && d->now_ms < d->commit_ms + IDLE_COMMIT_MS)
		return;
	job = job_new(JOB_DELIVERY, NULL);
	a = job == NULL || !fill(d, &job->delivery) ? NULL : delivery_act(d, DELIVERY_COMMIT);
	if (a == NULL) {
		job_free(job);
		d->short_of_memory = true;
		return;
	}
	a->job = job;
	find_floors(d);
	d->n_sent = d->n_dirty;
	if (d->n_held > 0)
		memset(d->is_dirty, 0, d->n_held * sizeof *d->is_dirty);
	d->committing = true;
	d->worked = false;
	d->commit_ms = d->now_ms;
}

void held_committed(struct delivery *d, const struct delivery_job *job)
{
	d->committing = false;
	if (job->done) {
		d->committed = job->cursor;
		for (size_t i = 0; i < d->n_floors; i++)
			d->floors[i].safe = d->floors[i].next;
		d->n_dirty -= d->n_sent;
		if (d->n_dirty > 0)
			memmove(d->dirty, d->dirty + d->n_sent, d->n_dirty * sizeof *d->dirty);
	} else {
		delivery_log(
			d, LOG_LEVEL_WARN, "plugin: its cursor could not be stored, trying again plugin=%s", d->name);
		d->not_again_ms = d->now_ms + FAILED_COMMIT_MS;
	}
	d->n_sent = 0;
}
