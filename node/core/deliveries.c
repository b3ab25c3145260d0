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

size_t delivered_bytes(const struct delivered *d)
{
	const struct erased *e = d->erased;
	size_t bytes = d->packed.len;

	if (e != NULL)
		bytes += e->n_sequences * (sizeof *e->sequences + sizeof *e->places + 2 * sizeof *e->ids);
	for (size_t i = 0; e != NULL && i < e->n_ids; i++)
		bytes += strlen(e->ids[i]) + strlen(e->subjects[i]);
	return bytes;
}

void deliveries_deinit(struct deliveries_query *q)
{
	texts_free(q->allowed);
	texts_free(q->wanted);
	free(q->places);
	delivered_deinit(&q->unfinished);
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
	struct archived batch; /* at hand; number 0: none */
	bool unreadable;       /* it is */
	enum mark_kind *marks; /* of it, by slot */
	uint32_t n_marks;
};
enum { READING_END = LEDGER_HELD + 1, READING_ON }; /* beside the archive's own */

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

	if (q->places != NULL)
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

static int read_marks(struct reading *rd)
{
	free(rd->marks);
	rd->n_marks = rd->batch.header.count;
	rd->marks = calloc(rd->n_marks + 1, sizeof *rd->marks);
	return rd->marks == NULL ? -ENOMEM : rd->ops->marks(rd->archive, rd->batch.row.number, note_mark, rd);
}

/* Makes a batch the one at hand. READING_END: enough were opened in this round. */
static int take_up(struct reading *rd, const struct batch_row *row)
{
	int r;

	if (rd->n_batches++ >= QUERY_SCAN_BATCHES)
		return READING_END;
	archived_deinit(&rd->batch);
	r = archived_read(&rd->batch, rd->keys, row);
	rd->unreadable = r == -EBADMSG;
	return r == 0 ? read_marks(rd) : r;
}

/* ---- erasures ---- */

struct erasing {
	struct reading *rd;
	struct erased *e;
};

static int note_erased(struct erasing *er, const struct archived *o, uint32_t slot)
{
	struct erased *e = er->e;
	struct event event = {0};
	char topic[TYPE_MAX + 1];
	int r;

	e->places[e->n_places++] = (struct place){o->row.number, slot};
	if (o->slots.items[slot].event.data == NULL)
		return 0;
	r = event_unpack(&event, o->slots.items[slot].event);
	if (r == 0 && topic_name_of_type(topic, event.type) &&
		matches(er->rd->q->allowed, er->rd->q->n_allowed, topic)) {
		e->ids[e->n_ids] = strdup(event.id);
		e->subjects[e->n_ids] = strdup(event.subject);
		e->n_ids++;
		r = e->ids[e->n_ids - 1] == NULL || e->subjects[e->n_ids - 1] == NULL ? -ENOMEM : 0;
	}
	event_deinit(&event);
	return r == EVENT_MALFORMED ? 0 : r;
}

/* The first batch that may hold the next of the listed sequences: all that it holds of them. READING_ON: what comes then is sought anew,
 * since much may lie between. */
static int erase_batch(void *context, const struct batch_row *row)
{
	struct erasing *er = context;
	struct erased *e = er->e;
	struct archived o;
	int r = archived_read(&o, er->rd->keys, row);

	for (; e->n_looked_up < e->n_sequences && (r == 0 || r == -EBADMSG); e->n_looked_up++) {
		uint64_t sequence = e->sequences[e->n_looked_up];

		if (sequence >= row->first + row->count)
			break;
		if (r == 0 && sequence >= row->first && sequence - row->first < o.slots.n)
			r = note_erased(er, &o, (uint32_t)(sequence - row->first));
	}
	archived_deinit(&o);
	return r == 0 || r == -EBADMSG ? READING_ON : r; /* of a batch that the disk changed there is nothing to tell */
}

/* READING_END: not all in this round. */
static int look_up(struct reading *rd, struct delivered *d)
{
	struct erased *e = d->erased;
	struct erasing er = {rd, e};

	while (e->n_looked_up < e->n_sequences) {
		uint64_t sequence = e->sequences[e->n_looked_up];
		int r;

		if (rd->n_batches++ >= QUERY_SCAN_BATCHES)
			return READING_END;
		r = rd->ops->channel_batches(
			rd->archive, d->channel, sequence > 0 ? sequence - 1 : 0, erase_batch, &er);
		if (r == 0)
			e->n_looked_up = e->n_sequences; /* the others are not there yet, or not any more */
		else if (r != READING_ON)
			return r;
	}
	return 0;
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

/* What an erasure lists; its sequences are looked up then. */
static int read_list(struct delivered *d, const struct event *event)
{
	struct erased *e = calloc(1, sizeof *e);
	long n;

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
	return take_person(e, event);
}

/* A person is named to who had something of this person, or may read erasures. */
static void hide_person(const struct deliveries_query *q, struct delivered *d)
{
	if (d->erased->n_ids > 0 || matches(q->allowed, q->n_allowed, d->topic))
		return;
	free(d->erased->person);
	d->erased->person = NULL;
}

/* ---- events ---- */

/* Taken on success. */
static int give(struct reading *rd, struct delivered *d)
{
	struct deliveries_query *q = rd->q;

	if (q->n_events == rd->size) {
		size_t size = rd->size == 0 ? 16 : rd->size * 2;
		struct delivered *events = realloc(q->events, size * sizeof *events);

		if (events == NULL)
			return -ENOMEM;
		q->events = events;
		rd->size = size;
	}
	q->events[q->n_events++] = *d;
	rd->bytes += delivered_bytes(d);
	return 0;
}

/* Taken in any case: given, or kept for the next round (READING_END). */
static int give_erasure(struct reading *rd, struct delivered *d)
{
	int r = look_up(rd, d);

	if (r == READING_END) {
		rd->q->unfinished = *d;
		return r;
	}
	if (r == 0) {
		hide_person(rd->q, d);
		r = give(rd, d);
	}
	if (r != 0)
		delivered_deinit(d);
	return r;
}

static int take_event(struct reading *rd, uint32_t slot, const struct event *e, const char *topic)
{
	const struct archived *o = &rd->batch;
	struct bytes packed = o->slots.items[slot].event;
	struct delivered d = {
		.place = {o->row.number, slot},
		.channel = o->row.channel,
		.incarnation = o->header.incarnation,
		.sequence = o->header.first + slot,
		.leaf = o->slots.items[slot].leaf,
		.stale = rd->marks[slot] == MARK_STALE,
		.stored_ms = o->row.stored_ms,
	};
	int r;

	strcpy(d.source, o->header.publisher);
	snprintf(d.topic, sizeof d.topic, "%s", topic);
	index_lane(&d.lane, rd->keys, d.source, e->subject);
	d.audience = strdup(o->header.audience);
	d.packed = bytes_of(bytes_dup(packed), packed.len);
	r = d.audience == NULL || d.packed.data == NULL ? -ENOMEM : 0;
	if (r == 0 && event_is_erasure(e))
		r = read_list(&d, e);
	if (r == 0 && d.erased != NULL)
		return give_erasure(rd, &d);
	if (r == 0)
		r = give(rd, &d);
	if (r != 0)
		delivered_deinit(&d);
	return r;
}

/* READING_END: the page is full before this slot. */
static int read_slot(struct reading *rd, uint32_t slot)
{
	const struct deliveries_query *q = rd->q;
	struct bytes packed = rd->batch.slots.items[slot].event;
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
	if (r == 0 && is_wanted(rd, &rd->batch, &e, topic))
		r = take_event(rd, slot, &e, topic);
	event_deinit(&e);
	return r == EVENT_MALFORMED ? 0 : r;
}

static int read_batch(void *context, const struct batch_row *row)
{
	struct reading *rd = context;
	struct deliveries_query *q = rd->q;
	uint32_t slot = row->number == q->after.number ? q->after.index + 1 : 0;
	int r;

	if (slot >= row->count)
		return 0;
	r = take_up(rd, row);
	if (r == -EBADMSG && (q->next.number != q->after.number || q->next.index != q->after.index))
		return READING_END; /* what is before it is given first */
	if (r == -EBADMSG)
		q->unreadable = row->number;
	for (; r == 0 && slot < rd->batch.slots.n; slot++) {
		r = read_slot(rd, slot);
		if (r == 0)
			q->next = (struct place){row->number, slot};
	}
	return r;
}

static int take_up_chosen(void *context, const struct batch_row *row)
{
	int r = take_up(context, row);

	return r == -EBADMSG ? 0 : r;
}

static int read_place(struct reading *rd, const struct place *place)
{
	struct delivered unreadable = {.place = *place, .unreadable = true};
	int r = 0;

	if (rd->batch.row.number != place->number)
		r = rd->ops->batch(rd->archive, place->number, take_up_chosen, rd);
	if (r != 0)
		return r == LEDGER_NONE ? 0 : r; /* set aside since */
	if (rd->unreadable)
		return give(rd, &unreadable);
	return place->index < rd->batch.slots.n ? read_slot(rd, place->index) : 0;
}

/* Each batch is opened once for all of its places that follow each other. */
static int read_places(struct reading *rd)
{
	struct deliveries_query *q = rd->q;
	int r = 0;

	for (size_t i = 0; i < q->n_places && r == 0; i++) {
		r = read_place(rd, &q->places[i]);
		if (r == READING_END)
			q->n_places = i; /* the others were not looked at */
	}
	return r;
}

/* Goes on with an erasure, and with nothing else in this round. */
static int go_on(struct reading *rd)
{
	struct deliveries_query *q = rd->q;
	struct delivered d = q->unfinished;
	struct place place = d.place;
	int r;

	q->unfinished = (struct delivered){0};
	r = give_erasure(rd, &d);
	if (r == 0)
		q->next = place;
	else
		q->n_places = 0;
	return r == 0 ? READING_END : r;
}

int deliveries_run(
	const struct store_keys *keys, const struct archive_ops *ops, void *archive, struct deliveries_query *q)
{
	struct reading rd = {.keys = keys, .ops = ops, .archive = archive, .q = q};
	int r;

	q->next = q->after;
	if (q->unfinished.erased != NULL)
		r = go_on(&rd);
	else if (q->places != NULL)
		r = read_places(&rd);
	else
		r = ops->batches(archive, q->after.number, read_batch, &rd);
	q->more = r == READING_END;
	archived_deinit(&rd.batch);
	free(rd.marks);
	return r == READING_END ? 0 : r;
}
