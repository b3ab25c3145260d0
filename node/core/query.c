#include "core/query.h"

#include "core/batch.h"
#include "core/handle.h"
#include "core/archived.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct querier {
	struct store_keys keys;
};

struct query *query_new(enum query_kind kind)
{
	struct query *q = calloc(1, sizeof *q);

	if (q != NULL)
		q->kind = kind;
	return q;
}

static void filter_deinit(struct event_filter *f)
{
	free(f->source);
	free(f->topic);
	free(f->subject);
	free(f->audience);
	for (size_t i = 0; i < f->n_readable; i++)
		free(f->readable[i]);
	free(f->readable);
}

static void fetched_deinit(struct fetch_query *f)
{
	for (size_t i = 0; i < f->n_batches; i++) {
		free((void *)f->batches[i].header.data);
		free((void *)f->batches[i].body.data);
	}
	free(f->batches);
	sodium_memzero(f->session_key, sizeof f->session_key);
}

void query_free(struct query *q)
{
	if (q == NULL)
		return;
	switch (q->kind) {
	case QUERY_EVENTS:
		filter_deinit(&q->events.filter);
		json_decref(q->events.events);
		break;
	case QUERY_EVENT:
		filter_deinit(&q->event.filter);
		free(q->event.source);
		free(q->event.id);
		json_decref(q->event.event);
		break;
	case QUERY_FETCH:
		fetched_deinit(&q->fetch);
		break;
	case QUERY_DELIVERIES:
		deliveries_deinit(&q->deliveries);
		break;
	case QUERY_EVIDENCE:
		filter_deinit(&q->evidence.filter);
		free(q->evidence.source);
		free(q->evidence.id);
		free(q->evidence.audience);
		free((void *)q->evidence.file.data);
		trust_unref(q->evidence.trust);
		break;
	case QUERY_CHECK:
		check_deinit(&q->check);
		break;
	}
	free(q);
}

struct querier *querier_new(const struct store_keys *store_keys)
{
	struct querier *q = calloc(1, sizeof *q);

	if (q != NULL)
		q->keys = *store_keys;
	return q;
}

void querier_free(struct querier *q)
{
	if (q == NULL)
		return;
	sodium_memzero(q, sizeof *q);
	free(q);
}

/* ---- events ---- */

static bool wanted(const char *filter, const char *value)
{
	return filter == NULL || strcmp(filter, value) == 0;
}

/* Whether the asker may see a topic, known to this node or not. */
static bool readable(const struct event_filter *f, const char *topic)
{
	if (f->readable != NULL && topic_is_self(topic))
		return false;
	for (size_t i = 0; i < f->n_readable; i++)
		if (topic_matches(f->readable[i], topic))
			return true;
	return f->readable == NULL;
}

static bool matches(const struct event_filter *f, const struct archived *o, const struct event *e)
{
	char topic[TYPE_MAX + 1];

	if (!topic_name_of_type(topic, e->type))
		topic[0] = '\0';
	return wanted(f->source, o->header.publisher) && wanted(f->audience, o->header.audience) &&
	       wanted(f->subject, e->subject) &&
	       (f->topic != NULL ? topic_matches(f->topic, topic) : f->self || !topic_is_self(topic)) &&
	       readable(f, topic);
}

struct found_mark {
	uint32_t index;
	enum mark_kind kind;
	char text[256];
};

static int find_mark(void *context, uint32_t index, enum mark_kind kind, const char *text)
{
	struct found_mark *m = context;

	if (index != m->index || m->kind == MARK_REFUSED)
		return 0;
	m->kind = kind;
	snprintf(m->text, sizeof m->text, "%s", text);
	return 0;
}

static const char *mark_state(enum mark_kind kind)
{
	return kind == MARK_REFUSED ? "refused" : kind == MARK_STALE ? "stale" : "accepted";
}

/* The API's object of one slot; NULL in `*out` when the filter does not want it, or nothing is left of it. */
static int slot_json(json_t **out, const struct archive_ops *ops, void *archive, const struct archived *o,
	uint32_t index, const struct event_filter *filter, bool with_data)
{
	struct found_mark m = {.index = index};
	char cursor[48], digest[2 * DIGEST_LEN + 1];
	struct event e = {0};
	json_t *json = NULL;
	int r;

	*out = NULL;
	if (o->slots.items[index].event.data == NULL)
		return 0;
	r = event_unpack(&e, o->slots.items[index].event);
	if (r != 0)
		return r == EVENT_MALFORMED ? 0 : r; /* shown by its mark in the channel's counts only */
	if (!matches(filter, o, &e))
		goto out;
	r = ops->marks(archive, o->row.number, find_mark, &m);
	if (r != 0)
		goto out;
	json = event_to_json(&e, o->header.publisher, o->header.audience, with_data);
	snprintf(cursor, sizeof cursor, "%llu.%u", (unsigned long long)o->row.number, index);
	hex_encode(digest, o->slots.items[index].leaf.bytes, DIGEST_LEN);
	r = json == NULL ? -ENOMEM : 0;
	if (r == 0 &&
		(json_object_set_new(json, "cursor", json_string(cursor)) != 0 ||
			json_object_set_new(json, "sequence", json_integer((json_int_t)(o->header.first + index))) !=
				0 ||
			json_object_set_new(json, "incarnation", json_integer(o->header.incarnation)) != 0 ||
			json_object_set_new(json, "digest", json_string(digest)) != 0 ||
			json_object_set_new(json, "received_ms", json_integer((json_int_t)o->row.stored_ms)) != 0 ||
			json_object_set_new(json, "state", json_string(mark_state(m.kind))) != 0 ||
			(m.kind != 0 && json_object_set_new(json, "reason", json_string(m.text)) != 0)))
		r = -ENOMEM;
	if (r == 0) {
		*out = json;
		json = NULL;
	}
out:
	json_decref(json);
	event_deinit(&e);
	return r;
}

struct page {
	const struct querier *q;
	const struct archive_ops *ops;
	void *archive;
	struct events_query *query;
	size_t n_batches, n_passed; /* opened; passed over by their headers */
};
enum { PAGE_END = 1, PASS_MAX = 16 * QUERY_SCAN_BATCHES };

/* What the header alone tells. */
static bool header_wanted(const struct event_filter *f, const struct header *h)
{
	return wanted(f->source, h->publisher) && wanted(f->audience, h->audience);
}

/* Passes over a batch of another channel, which is cheap: nothing is unsealed. */
static int pass_over(struct page *p, const struct batch_row *row, bool *passed)
{
	struct events_query *e = p->query;
	struct header h;
	int r = header_decode(&h, row->header);

	*passed = r == 0 && !header_wanted(&e->filter, &h);
	header_deinit(&h);
	if (*passed) {
		p->n_passed++;
		e->next = (struct place){row->number, row->count - 1};
	}
	return r > 0 ? -EBADMSG : r;
}

/* Takes from one opened batch until the limit; PAGE_END: the limit is reached before the batch's end. */
static int page_slots(struct page *p, const struct archived *o, uint32_t from)
{
	struct events_query *e = p->query;
	json_t *json;
	int r;

	for (uint32_t i = from; i < o->slots.n; i++) {
		if (json_array_size(e->events) == e->limit)
			return PAGE_END;
		r = slot_json(&json, p->ops, p->archive, o, i, &e->filter, e->with_data);
		if (r == 0 && json != NULL && json_array_append_new(e->events, json) != 0)
			r = -ENOMEM;
		if (r != 0)
			return r;
		e->next = (struct place){o->row.number, i};
	}
	e->next = (struct place){o->row.number, o->header.count - 1};
	return 0;
}

static int page_batch(void *context, const struct batch_row *row)
{
	struct page *p = context;
	const struct events_query *e = p->query;
	bool first = row->number == e->after.number && !e->from_start, passed;
	struct archived o;
	int r;

	if (first && e->after.index + 1 >= row->count)
		return 0;
	if (p->n_batches == QUERY_SCAN_BATCHES || p->n_passed == PASS_MAX)
		return PAGE_END;
	r = pass_over(p, row, &passed);
	if (r != 0 || passed)
		return r;
	p->n_batches++;
	r = archived_read(&o, &p->q->keys, row);
	if (r == 0)
		r = page_slots(p, &o, first ? e->after.index + 1 : 0);
	archived_deinit(&o);
	return r;
}

static int run_events(const struct querier *q, const struct archive_ops *ops, void *archive, struct events_query *e)
{
	struct page p = {.q = q, .ops = ops, .archive = archive, .query = e};
	int r;

	e->events = json_array();
	e->next = e->after;
	if (e->events == NULL)
		return -ENOMEM;
	r = ops->batches(archive, e->after.number, page_batch, &p);
	if (r == -EBADMSG && (e->next.number != e->after.number || e->next.index != e->after.index))
		r = PAGE_END; /* what is before a damaged batch is given first */
	e->more = r == PAGE_END;
	return r == PAGE_END ? 0 : r;
}

struct one {
	const struct querier *q;
	struct archived opened;
};

static int one_batch(void *context, const struct batch_row *row)
{
	struct one *one = context;

	return archived_read(&one->opened, &one->q->keys, row);
}

static int run_event(const struct querier *q, const struct archive_ops *ops, void *archive, struct event_query *e)
{
	struct one one = {.q = q};
	struct index_key key;
	struct place place;
	int r;

	index_event(&key, &q->keys, e->source, e->id);
	r = ops->event(archive, &key, &place);
	if (r == 0)
		r = ops->batch(archive, place.number, one_batch, &one);
	if (r == 0 && place.index < one.opened.slots.n)
		r = slot_json(&e->event, ops, archive, &one.opened, place.index, &e->filter, e->with_data);
	archived_deinit(&one.opened);
	return r == LEDGER_NONE ? 0 : r;
}

/* Whether the asker may see a packed event, by its topic: 0, LEDGER_NONE or -ENOMEM. */
static int may_read(const struct event_filter *f, struct bytes packed)
{
	char topic[TYPE_MAX + 1];
	struct event e;
	int r = event_unpack(&e, packed);

	if (r == 0 && !readable(f, topic_name_of_type(topic, e.type) ? topic : ""))
		r = LEDGER_NONE;
	event_deinit(&e);
	return r == EVENT_MALFORMED ? LEDGER_NONE : r;
}

/* ---- fetches ---- */

struct fetching {
	const struct querier *q;
	struct fetch_query *f;
	struct entropy entropy;
	size_t bytes;
	bool found;           /* the place asked for is in the history */
	bool raised;          /* it is not, but a later incarnation goes on below it */
	uint64_t start_after; /* where to begin */
};

static int at_place(void *context, const struct batch_row *row)
{
	struct fetching *fe = context;

	fe->found = digest_equal(&row->digest, &fe->f->digest);
	fe->start_after = fe->f->sequence;
	return 0;
}

/* The first batch of a later incarnation than the asker's: where it must go on when its own place is gone. */
static int at_raise(void *context, const struct batch_row *row)
{
	struct fetching *fe = context;

	if (row->incarnation <= fe->f->incarnation)
		return 0;
	fe->found = fe->raised = row->first <= fe->f->sequence + 1;
	fe->start_after = row->first - 1;
	return PAGE_END;
}

static int fetch_batch(void *context, const struct batch_row *row)
{
	struct fetching *fe = context;
	struct fetch_query *f = fe->f;
	struct fetched *batches, *b;
	uint8_t key[BATCH_KEY_LEN];

	if (f->n_batches > 0 && fe->bytes + row->body.len > f->max_bytes)
		return PAGE_END;
	batches = realloc(f->batches, (f->n_batches + 1) * sizeof *batches);
	if (batches == NULL)
		return -ENOMEM;
	f->batches = batches;
	b = &batches[f->n_batches];
	*b = (struct fetched){.incarnation = row->incarnation,
		.first = row->first,
		.last = row->first + row->count - 1,
		.digest = row->digest};
	memcpy(b->signature, row->signature.data, SIGNATURE_LEN);
	b->header = bytes_of(bytes_dup(row->header), row->header.len);
	if (!f->headers_only)
		b->body = bytes_of(bytes_dup(row->body), row->body.len);
	f->n_batches++;
	if (b->header.data == NULL || (!f->headers_only && b->body.data == NULL))
		return -ENOMEM;
	if (!key_unwrap(key, fe->q->keys.wrap, &row->digest, row->wrapped))
		return -EBADMSG;
	key_wrap(b->wrapped, f->session_key, &row->digest, key, &fe->entropy);
	sodium_memzero(key, sizeof key);
	fe->bytes += row->header.len + row->body.len;
	return 0;
}

static int run_fetch(const struct querier *q, const struct archive_ops *ops, void *archive, struct fetch_query *f,
	const uint8_t seed[static 32])
{
	struct fetching fe = {.q = q, .f = f, .found = f->sequence == 0};
	int r = 0;

	entropy_init(&fe.entropy, seed);
	if (!fe.found)
		r = ops->batch_ending(archive, f->channel, f->sequence, at_place, &fe);
	if (r == LEDGER_NONE)
		r = 0;
	if (r == 0 && !fe.found)
		r = ops->channel_batches(archive, f->channel, 0, at_raise, &fe);
	if (r == PAGE_END)
		r = 0;
	if (r == 0 && fe.found && fe.raised && f->own)
		r = ops->aside(archive, f->channel, &f->digest);
	if (r == LEDGER_NONE) { /* it holds what we had published: not before that was fetched back */
		fe.found = false;
		r = 0;
	}
	f->no_such_place = !fe.found;
	if (r == 0 && fe.found)
		r = ops->channel_batches(archive, f->channel, fe.start_after, fetch_batch, &fe);
	entropy_wipe(&fe.entropy);
	return r == PAGE_END ? 0 : r;
}

void query_run(struct querier *q, const struct archive_ops *ops, void *archive, struct query *query,
	const uint8_t random_seed[static 32])
{
	switch (query->kind) {
	case QUERY_EVENTS:
		query->result = run_events(q, ops, archive, &query->events);
		break;
	case QUERY_EVENT:
		query->result = run_event(q, ops, archive, &query->event);
		break;
	case QUERY_FETCH:
		query->result = run_fetch(q, ops, archive, &query->fetch, random_seed);
		break;
	case QUERY_DELIVERIES:
		query->result = deliveries_run(&q->keys, ops, archive, &query->deliveries);
		break;
	case QUERY_EVIDENCE:
		query->result = evidence_run(&q->keys, ops, archive, &query->evidence, may_read);
		break;
	case QUERY_CHECK:
		query->result = check_run(&q->keys, ops, archive, &query->check);
		break;
	}
}
