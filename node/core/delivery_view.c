/* What operators and monitoring see of a plugin's deliveries. */
#include "core/delivery_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *delivery_name(const struct delivery *d)
{
	return d->name;
}

bool delivery_may_publish(const struct delivery *d, const char *topic)
{
	for (size_t i = 0; i < d->n_publishes; i++)
		if (topic_matches(d->publishes[i], topic))
			return true;
	return false;
}

void delivery_counters(const struct delivery *d, struct delivery_counters *out)
{
	*out = d->counters;
	out->behind = d->last_number > d->cursor.number ? d->last_number - d->cursor.number : 0;
	out->open = d->n_opens;
	out->retrying = d->n_retrying;
	out->dead = d->n_dead;
	out->parked = d->n_parked;
	out->unreadable = d->unreadable;
	out->ready = d->run_state == RUN_READY;
	for (size_t i = d->head; i < d->n_page && out->oldest_ms == 0; i++)
		if (!d->page[i].settled)
			out->oldest_ms = d->page[i].event.stored_ms;
	for (size_t i = 0; i < d->n_held; i++)
		if (d->held[i].state == HELD_RETRYING && (out->oldest_ms == 0 || d->held[i].since_ms < out->oldest_ms))
			out->oldest_ms = d->held[i].since_ms;
}

static const char *const state_names[] = {
	[RUN_WAITING] = "waiting",
	[RUN_STARTING] = "starting",
	[RUN_READY] = "ready",
	[RUN_DRAINING] = "stopping",
	[RUN_ENDING] = "ending",
	[RUN_FINISHED] = "stopped",
};

static json_t *place_json(const struct place *place)
{
	return json_sprintf("%llu.%u", (unsigned long long)place->number, (unsigned)place->index);
}

static json_t *texts_json(char *const *texts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

json_t *delivery_json(const struct delivery *d)
{
	struct delivery_counters c;

	delivery_counters(d, &c);
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			 "s:I, s:I, s:s}",
		"name", d->name, "state", state_names[d->run_state], "version", d->version, "order",
		d->lanes ? "lanes" : "in order", "window", (json_int_t)d->window, "topics",
		texts_json(d->topics, d->n_topics), "cursor", place_json(&d->cursor), "behind_batches",
		(json_int_t)c.behind, "oldest_ms", (json_int_t)c.oldest_ms, "open", (json_int_t)c.open, "retrying",
		(json_int_t)c.retrying, "dead", (json_int_t)c.dead, "parked", (json_int_t)c.parked, "done",
		(json_int_t)c.done, "retried", (json_int_t)c.retried, "rejected", (json_int_t)c.rejected, "erased",
		(json_int_t)c.erased, "published", (json_int_t)c.published, "restarts", (json_int_t)c.restarts,
		"unreadable_batch", (json_int_t)c.unreadable, "last_error", d->last_error);
}

static const char *const held_names[] = {
	[HELD_RETRYING] = "retrying",
	[HELD_DEAD] = "dead",
	[HELD_PARKED] = "parked",
};

/* Rows of its lane that wait for it. */
static bool waits_for(const struct held_row *row, const struct held_row *first)
{
	return row->state == HELD_PARKED && memcmp(row->lane.bytes, first->lane.bytes, sizeof row->lane.bytes) == 0;
}

static json_t *row_json(const struct delivery *d, const struct held_row *row, size_t parked)
{
	json_t *json = json_pack("{s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I}", "plugin", d->name, "place",
		place_json(&row->place), "state", held_names[row->state], "source", row->source, "topic", row->topic,
		"sequence", (json_int_t)row->sequence, "attempts", (json_int_t)row->attempts, "since_ms",
		(json_int_t)row->since_ms, "reason", row->reason, "parked", (json_int_t)parked);

	if (json != NULL && row->state == HELD_RETRYING &&
		json_object_set_new(json, "next_ms", json_integer((json_int_t)row->next_ms)) != 0) {
		json_decref(json);
		json = NULL;
	}
	return json;
}

static int compare_lanes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct index_key));
}

/* The lanes of all parked rows, sorted: counting those of one is then quick, however many rows there are. */
static struct index_key *parked_lanes(const struct delivery *d)
{
	struct index_key *lanes = calloc(d->n_parked + 1, sizeof *lanes);
	size_t n = 0;

	for (size_t i = 0; i < d->n_held && lanes != NULL; i++)
		if (d->held[i].state == HELD_PARKED)
			lanes[n++] = d->held[i].lane;
	if (lanes != NULL)
		qsort(lanes, n, sizeof *lanes, compare_lanes);
	return lanes;
}

static size_t count_lane(const struct index_key *lanes, size_t n, const struct index_key *lane)
{
	size_t low = 0, high = n, count = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_lanes(&lanes[middle], lane) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + count < n && compare_lanes(&lanes[low + count], lane) == 0)
		count++;
	return count;
}

int delivery_list_held(const struct delivery *d, struct held_page *page, const struct place *after)
{
	struct index_key *lanes = parked_lanes(d);
	int r = lanes == NULL ? -ENOMEM : 0;

	for (size_t i = after == NULL ? 0 : held_behind(d, after); i < d->n_held && r == 0; i++) {
		const struct held_row *row = &d->held[i];
		size_t parked = row->state == HELD_PARKED ? 0 : count_lane(lanes, d->n_parked, &row->lane);

		if (page->state == 0 ? row->state == HELD_PARKED : row->state != page->state)
			continue;
		page->more = json_array_size(page->letters) == page->limit;
		if (page->more)
			break;
		strcpy(page->after_plugin, d->name);
		page->after = row->place;
		r = json_array_append_new(page->letters, row_json(d, row, parked)) == 0 ? 0 : -ENOMEM;
	}
	free(lanes);
	return r;
}

json_t *delivery_row_json(const struct delivery *d, const struct place *place)
{
	const struct held_row *row = held_at(d, place);
	json_t *json, *behind = json_array();

	if (row == NULL) {
		json_decref(behind);
		return json_null();
	}
	for (size_t i = 0; i < d->n_held; i++)
		if (row->state != HELD_PARKED && waits_for(&d->held[i], row))
			json_array_append_new(behind, place_json(&d->held[i].place));
	json = row_json(d, row, json_array_size(behind));
	if (json == NULL || json_object_set_new(json, "behind", behind) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}
