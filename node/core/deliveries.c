/* deliveries - reads events for plugins out of the archive (query.h, QUERY_DELIVERIES). */
#include "core/handle.h"
#include "core/archived.h"
#include "core/query.h"
#include "core/wire.h"
#include "enlight/event/v1/person.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void erased_free(struct erased *e)
{
	if (e == NULL)
		return;
	texts_free(e->ids);
	texts_free(e->subjects);
	free(e->sequences);
	free(e->places);
	free(e->person);
	free(e);
}

void delivered_deinit(struct delivered *d)
{
	free(d->audience);
	free((void *)d->packed.data);
	erased_free(d->erased);
	*d = (struct delivered){0};
}

void deliveries_deinit(struct deliveries_query *q)
{
	texts_free(q->allowed);
	texts_free(q->wanted);
	free(q->places);
	for (size_t i = 0; i < q->n_events; i++)
		delivered_deinit(&q->events[i]);
	free(q->events);
}

struct reading {
	const struct store_keys *keys;
	const struct archive_ops *ops;
	void *archive;
	struct deliveries_query *q;
	size_t bytes, size, n_batches;
	uint32_t only; /* with `chosen`: the slot */
	bool chosen;
	enum mark_kind *marks; /* of the batch at hand, by slot */
	uint32_t n_marks;
};
enum { READING_END = 1 };

/* ---- what is given ---- */

static bool matches(char *const *patterns, size_t n, const char *topic)
{
	for (size_t i = 0; i < n; i++)
		if (topic_matches(patterns[i], topic))
			return true;
	return false;
}

static bool is_wanted(const struct reading *rd, const struct archived *o, const struct event *e, const char *topic)
{
	const struct deliveries_query *q = rd->q;

	if (rd->chosen)
		return true;
	if (!q->own && strcmp(o->header.publisher, q->member) == 0)
		return false;
	if (event_is_erasure(e))
		return true;
	return matches(q->allowed, q->n_allowed, topic) && (q->n_wanted == 0 || matches(q->wanted, q->n_wanted, topic));
}

static int note_mark(void *context, uint32_t index, enum mark_kind kind, const char *text)
{
	struct reading *rd = context;

	(void)text;
	if (index < rd->n_marks && rd->marks[index] != MARK_REFUSED)
		rd->marks[index] = kind;
	return 0;
}

static int read_marks(struct reading *rd, const struct archived *o)
{
	free(rd->marks);
	rd->n_marks = o->header.count;
	rd->marks = calloc(rd->n_marks + 1, sizeof *rd->marks);
	return rd->marks == NULL ? -ENOMEM : rd->ops->marks(rd->archive, o->row.number, note_mark, rd);
}

/* ---- erasures ---- */

struct erasing {
	struct reading *rd;
	struct erased *e;
	size_t i; /* next of the sequences, which rise */
};

static int note_erased(struct erasing *er, const struct archived *o, uint32_t slot)
{
	struct erased *e = er->e;
	struct event event = {0};
	int r;

	if (o->slots.items[slot].event.data == NULL)
		return 0;
	r = event_unpack(&event, o->slots.items[slot].event);
	if (r == 0) {
		e->places[e->n_held] = (struct place){o->row.number, slot};
		e->ids[e->n_held] = strdup(event.id);
		e->subjects[e->n_held] = strdup(event.subject);
		e->n_held++;
		r = e->ids[e->n_held - 1] == NULL || e->subjects[e->n_held - 1] == NULL ? -ENOMEM : 0;
	}
	event_deinit(&event);
	return r == EVENT_MALFORMED ? 0 : r;
}

/* One batch of the channel: the listed sequences that it holds. */
static int erase_batch(void *context, const struct batch_row *row)
{
	struct erasing *er = context;
	const struct erased *e = er->e;
	uint64_t last = row->first + row->count - 1;
	struct archived o;
	int r;

	while (er->i < e->n_sequences && e->sequences[er->i] < row->first)
		er->i++;
	if (er->i == e->n_sequences)
		return READING_END;
	if (e->sequences[er->i] > last)
		return 0;
	r = archived_read(&o, er->rd->keys, row);
	for (; r == 0 && er->i < e->n_sequences && e->sequences[er->i] <= last; er->i++)
		if (e->sequences[er->i] - row->first < o.slots.n)
			r = note_erased(er, &o, (uint32_t)(e->sequences[er->i] - row->first));
	archived_deinit(&o);
	return r;
}

static int compare_sequences(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int take_person(struct erased *out, const struct event *e)
{
	Enlight__Event__V1__Erasure *message =
		wire_unpack(&enlight__event__v1__erasure__descriptor, e->data, EVENT_MAX * 4);
	int r = 0;

	if (message == NULL)
		return errno == ENOMEM ? -ENOMEM : 0;
	if (message->person != NULL) {
		out->person = strdup(message->person);
		r = out->person == NULL ? -ENOMEM : 0;
	}
	wire_free(message);
	return r;
}

static int read_erased(struct reading *rd, struct delivered *d, const struct event *event)
{
	struct erased *e = calloc(1, sizeof *e);
	struct erasing er = {.rd = rd, .e = e};
	long n;
	int r;

	d->erased = e;
	if (e == NULL)
		return -ENOMEM;
	n = event_erases(event, &e->sequences);
	if (n <= 0)
		return n < 0 ? (int)n : 0;
	e->n_sequences = (size_t)n;
	qsort(e->sequences, e->n_sequences, sizeof *e->sequences, compare_sequences);
	e->places = calloc(e->n_sequences, sizeof *e->places);
	e->ids = calloc(e->n_sequences + 1, sizeof *e->ids);
	e->subjects = calloc(e->n_sequences + 1, sizeof *e->subjects);
	if (e->places == NULL || e->ids == NULL || e->subjects == NULL)
		return -ENOMEM;
	r = take_person(e, event);
	if (r == 0)
		r = rd->ops->channel_batches(rd->archive, d->channel, e->sequences[0] - 1, erase_batch, &er);
	return r == READING_END ? 0 : r;
}

/* ---- events ---- */

static int take_event(
	struct reading *rd, const struct archived *o, uint32_t slot, const struct event *e, const char *topic)
{
	struct deliveries_query *q = rd->q;
	struct bytes packed = o->slots.items[slot].event;
	struct delivered *d;

	if (q->n_events == rd->size) {
		size_t size = rd->size == 0 ? 16 : rd->size * 2;
		struct delivered *events = realloc(q->events, size * sizeof *events);

		if (events == NULL)
			return -ENOMEM;
		q->events = events;
		rd->size = size;
	}
	d = &q->events[q->n_events++];
	*d = (struct delivered){
		.place = {o->row.number, slot},
		.channel = o->row.channel,
		.audience = strdup(o->header.audience),
		.incarnation = o->header.incarnation,
		.sequence = o->header.first + slot,
		.leaf = o->slots.items[slot].leaf,
		.packed = bytes_of(bytes_dup(packed), packed.len),
		.stale = rd->marks[slot] == MARK_STALE,
		.stored_ms = o->row.stored_ms,
	};
	strcpy(d->source, o->header.publisher);
	snprintf(d->topic, sizeof d->topic, "%s", topic);
	index_lane(&d->lane, rd->keys, d->source, e->subject);
	rd->bytes += packed.len;
	if (d->audience == NULL || d->packed.data == NULL)
		return -ENOMEM;
	return event_is_erasure(e) ? read_erased(rd, d, e) : 0;
}

/* READING_END: the page is full before this slot. */
static int read_slot(struct reading *rd, const struct archived *o, uint32_t slot)
{
	const struct deliveries_query *q = rd->q;
	struct bytes packed = o->slots.items[slot].event;
	char topic[TYPE_MAX + 1];
	struct event e = {0};
	int r;

	if (packed.data == NULL || rd->marks[slot] == MARK_REFUSED)
		return 0;
	if (q->n_events > 0 && (q->n_events == q->max_events || rd->bytes + packed.len > q->max_bytes))
		return READING_END;
	r = event_unpack(&e, packed);
	if (r == 0 && !topic_name_of_type(topic, e.type))
		topic[0] = '\0';
	if (r == 0 && is_wanted(rd, o, &e, topic))
		r = take_event(rd, o, slot, &e, topic);
	event_deinit(&e);
	return r == EVENT_MALFORMED ? 0 : r;
}

static int read_batch(void *context, const struct batch_row *row)
{
	struct reading *rd = context;
	struct deliveries_query *q = rd->q;
	uint32_t slot = row->number == q->after.number ? q->after.index + 1 : 0;
	struct archived o;
	int r;

	if (slot >= row->count)
		return 0;
	if (rd->n_batches++ == QUERY_SCAN_BATCHES)
		return READING_END;
	r = archived_read(&o, rd->keys, row);
	if (r == 0)
		r = read_marks(rd, &o);
	for (; r == 0 && slot < o.slots.n; slot++) {
		r = read_slot(rd, &o, slot);
		if (r == 0)
			q->next = (struct place){row->number, slot};
	}
	archived_deinit(&o);
	return r;
}

static int read_chosen(void *context, const struct batch_row *row)
{
	struct reading *rd = context;
	struct archived o;
	int r = archived_read(&o, rd->keys, row);

	if (r == 0)
		r = read_marks(rd, &o);
	if (r == 0 && rd->only < o.slots.n)
		r = read_slot(rd, &o, rd->only);
	archived_deinit(&o);
	return r;
}

int deliveries_run(
	const struct store_keys *keys, const struct archive_ops *ops, void *archive, struct deliveries_query *q)
{
	struct reading rd = {.keys = keys, .ops = ops, .archive = archive, .q = q, .chosen = q->n_places > 0};
	int r = 0;

	q->next = q->after;
	for (size_t i = 0; i < q->n_places && r == 0; i++) {
		rd.only = q->places[i].index;
		r = ops->batch(archive, q->places[i].number, read_chosen, &rd);
		if (r == LEDGER_NONE)
			r = 0; /* set aside since */
		if (r == READING_END)
			q->n_places = i; /* the others were not looked at */
	}
	if (!rd.chosen)
		r = ops->batches(archive, q->after.number, read_batch, &rd);
	q->more = r == READING_END;
	free(rd.marks);
	return r == READING_END ? 0 : r;
}
