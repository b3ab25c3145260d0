/* What operators and monitoring see of a plugin's deliveries. */
#include "core/delivery_state.h"

#include <stdio.h>
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
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}",
		"name", d->name, "state", state_names[d->run_state], "version", d->version, "order",
		d->lanes ? "lanes" : "in order", "window", (json_int_t)d->window, "topics",
		texts_json(d->topics, d->n_topics), "cursor", place_json(&d->cursor), "behind_batches",
		(json_int_t)c.behind, "oldest_ms", (json_int_t)c.oldest_ms, "open", (json_int_t)c.open, "retrying",
		(json_int_t)c.retrying, "dead", (json_int_t)c.dead, "parked", (json_int_t)c.parked, "done",
		(json_int_t)c.done, "retried", (json_int_t)c.retried, "rejected", (json_int_t)c.rejected, "erased",
		(json_int_t)c.erased, "published", (json_int_t)c.published, "restarts", (json_int_t)c.restarts,
		"last_error", d->last_error);
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

static json_t *row_json(const struct delivery *d, const struct held_row *row)
{
	json_int_t parked = 0;
	json_t *json;

	for (size_t i = 0; i < d->n_held && d->n_parked > 0; i++)
		parked += waits_for(&d->held[i], row);
	json = json_pack("{s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I}", "plugin", d->name, "place",
		place_json(&row->place), "state", held_names[row->state], "source", row->source, "topic", row->topic,
		"sequence", (json_int_t)row->sequence, "attempts", (json_int_t)row->attempts, "since_ms",
		(json_int_t)row->since_ms, "reason", row->reason, "parked", row->state == HELD_PARKED ? 0 : parked);
	if (json != NULL && row->state == HELD_RETRYING &&
		json_object_set_new(json, "next_ms", json_integer((json_int_t)row->next_ms)) != 0) {
		json_decref(json);
		json = NULL;
	}
	return json;
}

json_t *delivery_held_json(const struct delivery *d, enum held_state state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n_held && list != NULL; i++) {
		const struct held_row *row = &d->held[i];

		if (state == 0 ? row->state == HELD_PARKED : row->state != state)
			continue;
		if (json_array_append_new(list, row_json(d, row)) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

json_t *delivery_row_json(const struct delivery *d, const struct place *place)
{
	const struct held_row *row = held_at(d, place);
	json_t *json, *behind = json_array();

	if (row == NULL) {
		json_decref(behind);
		return json_null();
	}
	json = row_json(d, row);
	for (size_t i = 0; i < d->n_held; i++)
		if (row->state != HELD_PARKED && waits_for(&d->held[i], row))
			json_array_append_new(behind, place_json(&d->held[i].place));
	if (json == NULL || json_object_set_new(json, "behind", behind) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}
