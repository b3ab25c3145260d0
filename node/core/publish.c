/* publish - the publisher's side of a commit.
 *
 * Revisions, ids and decisions are judged in the order of the jobs, each seeing what the ones before it did; so a local system may
 * send a whole export without waiting between its events. A job runs inside a savepoint: all of its drafts are published or none. */
#include "core/work.h"

#include "core/handle.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESTATED "again-" /* how ids of the node's own begin */

/* What one draft's handling shares. */
struct publishing {
	struct work *w;
	struct publish_job *job;
	size_t i; /* which draft */
	struct draft *draft;
	struct channel_work *cw;
	struct index_key event_key, object_key;
	struct digest data;
	struct object_row object; /* the last revision; revision 0: none */
	uint64_t last_revision;   /* of the object, also in what left the history: its readers have seen it */
	size_t body_before;       /* the segment's length without this event */
};

/* Notes what is wrong with the present draft; the worst outcome stays. */
static void refuse(struct publishing *p, enum publish_outcome outcome, const char *place, const char *rule)
{
	char where[64];

	if (p->job->n_drafts > 1)
		snprintf(where, sizeof where, "/%zu%s", p->i, place);
	else
		snprintf(where, sizeof where, "%s", place);
	problem_add(&p->job->problems, where, rule);
	if (p->job->outcome != PUBLISH_CONFLICT)
		p->job->outcome = outcome;
}

static void refuse_revision(struct publishing *p, const char *place, const char *what, uint64_t last)
{
	char rule[128];

	snprintf(rule, sizeof rule, "%s; the last revision is %llu", what, (unsigned long long)last);
	refuse(p, PUBLISH_CONFLICT, place, rule);
}

/* After the disk went back the channel goes on in a later incarnation than any that readers may hold. */
static uint32_t next_incarnation(const struct work *w, const struct channel_row *row)
{
	uint32_t next = row->incarnation > w->c->incarnation ? row->incarnation : w->c->incarnation;

	return row->next_incarnation > next ? row->next_incarnation : next;
}

/* Where an event of an own channel stands: among those of this commit that are not sealed yet, or in a stored batch. The event is
 * unpacked into `out`. */
struct found {
	struct event event;
	struct digest leaf;
	uint64_t sequence;
	uint32_t incarnation;
	bool same_channel;
};

static int unpack_found(struct found *out, struct bytes packed, const struct digest *leaf)
{
	int r = event_unpack(&out->event, packed);

	if (r > 0)
		return -EBADMSG; /* we packed it ourselves: the disk changed it, or memory */
	out->leaf = *leaf;
	return r;
}

/* A slot of a body that is not sealed yet. */
static int find_unsealed(struct found *out, const struct segment *s, uint32_t index)
{
	struct bytes packed = batch_builder_event(&s->builder, index);

	out->sequence = s->first + index;
	return unpack_found(out, packed, &s->builder.leaves[index]);
}

static int find_stored(struct found *out, struct publishing *p, const struct place *place)
{
	struct work *w = p->w;
	struct sealed_batch sealed = {0};
	struct batch_row row;
	struct header header = {0};
	struct slots slots = {0};
	uint8_t key[BATCH_KEY_LEN];
	int r;

	r = w->ops->batch_get(w->ledger, place->number, &row);
	if (r != 0)
		return r == LEDGER_NONE ? -EBADMSG : r;
	out->same_channel = row.channel == p->cw->row.id;
	out->incarnation = row.incarnation;
	out->sequence = row.first + place->index;
	r = header_decode(&header, row.header);
	if (r == 0) {
		sealed.header = row.header;
		sealed.body = row.body;
		memcpy(sealed.signature, row.signature.data, SIGNATURE_LEN);
		r = key_unwrap(key, w->c->store_keys.wrap, &row.digest, row.wrapped)
			    ? batch_open(&slots, &header, &sealed, key)
			    : -EBADMSG;
	}
	if (r == 0 && (place->index >= slots.n || slots.items[place->index].event.data == NULL))
		r = -EBADMSG;
	if (r == 0)
		r = unpack_found(out, slots.items[place->index].event, &slots.items[place->index].leaf);
	slots_deinit(&slots);
	header_deinit(&header);
	sodium_memzero(key, sizeof key);
	return r > 0 ? -EBADMSG : r;
}

static int find_event(struct found *out, struct publishing *p, const struct place *place)
{
	*out = (struct found){0};
	for (size_t i = 0; i < p->w->n_channels; i++) {
		struct channel_work *cw = p->w->channels[i];

		for (size_t k = 0; k < cw->n_segments; k++)
			if (cw->segments[k].number == place->number) {
				out->same_channel = cw == p->cw;
				out->incarnation = next_incarnation(p->w, &cw->row);
				return find_unsealed(out, &cw->segments[k], place->index);
			}
	}
	return find_stored(out, p, place);
}

/* The same id again: the same content gets the old answer, another is a conflict. */
static int publish_again(struct publishing *p, const struct place *place)
{
	const struct event *e = &p->draft->event;
	struct published *result = &p->job->results[p->i];
	struct found f;
	int r;

	r = find_event(&f, p, place);
	if (r == 0) {
		if (f.same_channel && strcmp(f.event.type, e->type) == 0 && strcmp(f.event.subject, e->subject) == 0 &&
			bytes_equal(f.event.data, e->data) && (e->revision == 0 || e->revision == f.event.revision))
			*result = (struct published){PUBLISH_AGAIN, f.event.revision, f.sequence, f.leaf, *place};
		else
			refuse(p, PUBLISH_CONFLICT, "/id",
				"this id was used for another event; an id names one event for ever");
	}
	event_deinit(&f.event);
	return r;
}

/* Whether the draft says what the object's last revision says to the same readers; then that revision's answer is given. */
static int publish_unchanged(struct publishing *p, bool *unchanged)
{
	struct published *result = &p->job->results[p->i];
	struct found f;
	int r;

	*unchanged = false;
	if (p->object.revision == 0 || !digest_equal(&p->object.data, &p->data))
		return 0;
	if (p->draft->event.revision != 0 && p->draft->event.revision != p->object.revision)
		return 0;
	r = find_event(&f, p, &p->object.place);
	if (r == 0 && f.same_channel) {
		*unchanged = true;
		*result =
			(struct published){PUBLISH_UNCHANGED, p->object.revision, f.sequence, f.leaf, p->object.place};
	}
	event_deinit(&f.event);
	return r;
}

/* A decision must judge the object as it is now. */
static int check_judged(struct publishing *p)
{
	struct object_row object;
	struct index_key key;
	struct judged judged;
	int r;

	if (!event_judges(&p->draft->event, &judged))
		return 0;
	index_object(&key, &p->w->c->store_keys, judged.source, judged.topic, judged.subject);
	r = p->w->ops->object_find(p->w->ledger, &key, &object);
	if (r == LEDGER_NONE) {
		refuse(p, PUBLISH_CONFLICT, "/data/subject", "the object that is judged is not known to this node");
		return 0;
	}
	if (r != 0)
		return r;
	if (object.revision != judged.revision)
		refuse_revision(p, "/data/revision", "the object has moved on", object.revision);
	else if (!digest_equal(&object.leaf, &judged.leaf))
		refuse(p, PUBLISH_CONFLICT, "/data/digest", "not the digest of the revision that is judged");
	return 0;
}

/* Finds what a withdrawal takes back: its publisher's own object, in its last revision. LEDGER_NONE: the event is no withdrawal. */
static int find_withdrawn(struct work *w, const struct event *e, struct index_key *key, struct object_row *object,
	struct withdrawn *withdrawn)
{
	if (!event_withdraws(e, withdrawn))
		return LEDGER_NONE;
	index_object(key, &w->c->store_keys, w->c->member, withdrawn->topic, e->subject);
	*object = (struct object_row){0};
	return w->ops->object_find(w->ledger, key, object);
}

static int check_withdrawn(struct publishing *p)
{
	struct withdrawn withdrawn;
	struct object_row object = {0};
	struct index_key key;
	int r = find_withdrawn(p->w, &p->draft->event, &key, &object, &withdrawn);

	if (r != 0 && r != LEDGER_NONE)
		return r;
	if (event_withdraws(&p->draft->event, &withdrawn) && object.revision != withdrawn.revision)
		refuse_revision(
			p, "/data/revision", "not the last revision of an object of this member", object.revision);
	return 0;
}

int work_forget_withdrawn(struct work *w, const struct event *e)
{
	struct withdrawn withdrawn;
	struct object_row object;
	struct index_key key;
	int r = find_withdrawn(w, e, &key, &object, &withdrawn);

	if (r != 0)
		return r == LEDGER_NONE ? 0 : r;
	object.data = digest_zero;
	return w->ops->object_put(w->ledger, &key, &object);
}

/* Whoever drafted it may have named members by their aliases: from here on it is handles. */
static int resolve_audience(struct publishing *p)
{
	char *audience = audience_resolve(p->draft->audience, p->w->c->member, trust_resolve, p->w->trust);

	if (audience == NULL)
		return -ENOMEM;
	free(p->draft->audience);
	p->draft->audience = audience;
	return 0;
}

static int check_audience(struct publishing *p)
{
	char *copy, *parts[AUDIENCE_MAX];
	size_t n;

	if (strcmp(p->draft->audience, "network") == 0)
		return 0;
	copy = strdup(p->draft->audience);
	if (copy == NULL)
		return -ENOMEM;
	n = audience_split(copy, parts);
	for (size_t i = 0; i < n; i++) {
		char rule[HANDLE_MAX + 64];

		if (trust_is_member(p->w->trust, parts[i]))
			continue;
		snprintf(rule, sizeof rule, "%s is not a member in the roster", parts[i]);
		refuse(p, PUBLISH_RULE, "/enlightaudience", rule);
	}
	free(copy);
	return 0;
}

/* Opens a new segment behind the last. */
static int open_segment(struct work *w, struct channel_work *cw)
{
	uint64_t first = work_next_sequence(cw);
	struct segment *segments = realloc(cw->segments, (cw->n_segments + 1) * sizeof *segments);

	if (segments == NULL)
		return -ENOMEM;
	cw->segments = segments;
	segments[cw->n_segments++] = (struct segment){.number = w->ops->next_number(w->ledger), .first = first};
	return 0;
}

/* Puts the packed event into the channel's last segment, or a new one: when that is full, or when the object's revision before stands
 * behind it, in another channel's segment. The highest place is an object's last revision (ledger.h). */
static int append(struct publishing *p, struct bytes packed, struct published *result)
{
	struct channel_work *cw = p->cw;
	struct segment *s;
	int r = BATCH_FULL;

	if (cw->n_segments > 0 && cw->segments[cw->n_segments - 1].number >= p->object.place.number) {
		p->body_before = cw->segments[cw->n_segments - 1].builder.body.len;
		r = batch_add(&cw->segments[cw->n_segments - 1].builder, packed, &result->leaf);
	}
	if (r == BATCH_FULL) {
		p->body_before = 0;
		r = open_segment(p->w, cw);
		if (r == 0)
			r = batch_add(&cw->segments[cw->n_segments - 1].builder, packed, &result->leaf);
	}
	if (r != 0)
		return r == BATCH_FULL ? -EOVERFLOW : r; /* EVENT_MAX is below BODY_MAX: one event always fits */
	s = &cw->segments[cw->n_segments - 1];
	s->erases = (s->builder.n == 1 || s->erases) && event_is_erasure(&p->draft->event);
	result->place = (struct place){s->number, (uint32_t)(s->builder.n - 1)};
	result->sequence = s->first + s->builder.n - 1;
	return 0;
}

/* What finds the event again. LEDGER_HELD: another event has its id. */
static int index_published(struct publishing *p, const struct published *result)
{
	struct object_row object = {result->revision, p->data, result->leaf, result->place};
	const struct ledger_ops *ops = p->w->ops;
	struct index_key person;
	int r;

	r = ops->event_add(p->w->ledger, &p->event_key, &result->place);
	if (r == 0)
		r = ops->object_put(p->w->ledger, &p->object_key, &object);
	for (size_t i = 0; i < p->draft->event.n_persons && r == 0; i++) {
		index_person(&person, &p->w->c->store_keys, p->draft->event.persons[i]);
		r = ops->person_add(p->w->ledger, &person, result->place.number);
	}
	return r;
}

/* An id that was there already: what was appended for it goes again. */
static int take_back(struct publishing *p)
{
	struct batch_builder *b = &p->cw->segments[p->cw->n_segments - 1].builder;
	struct place place;
	int r;

	batch_truncate(b, b->n - 1, p->body_before);
	p->job->results[p->i] = (struct published){0};
	r = p->w->ops->event_find(p->w->ledger, &p->event_key, &place);
	return r == 0 ? publish_again(p, &place) : r;
}

static int publish_new(struct publishing *p)
{
	struct event *e = &p->draft->event;
	struct published *result = &p->job->results[p->i];
	uint8_t *packed = NULL;
	size_t len;
	int r;

	e->revision = p->last_revision + 1;
	entropy_fill(&p->w->entropy, e->salt, sizeof e->salt);
	r = event_pack(&packed, &len, e);
	if (r == EVENT_TOO_LARGE) {
		if (p->job->again == ORIGIN_NONE)
			refuse(p, PUBLISH_RULE, "", "larger than 192 KiB when packed");
		else
			p->job->n_left_out++;
		return 0;
	}
	if (r != 0)
		return r;
	result->state = PUBLISH_NEW;
	result->revision = e->revision;
	r = append(p, bytes_of(packed, len), result);
	if (r == 0)
		r = index_published(p, result);
	if (r == LEDGER_HELD)
		r = take_back(p);
	else if (r == 0)
		r = work_forget_withdrawn(p->w, e);
	free(packed);
	return r;
}

static void name_event(struct publishing *p)
{
	const struct event *e = &p->draft->event;
	const struct committer *c = p->w->c;
	char topic[TYPE_MAX + 1] = "";

	topic_name_of_type(topic, e->type); /* it need not be known here: a later version may have published it */
	index_event(&p->event_key, &c->store_keys, c->member, e->id);
	index_object(&p->object_key, &c->store_keys, c->member, topic, e->subject);
	index_data(&p->data, &c->store_keys, e->data);
}

static int find_last_revision(struct publishing *p)
{
	int r = p->w->ops->aside_revision(p->w->ledger, &p->object_key, &p->last_revision);

	if (p->object.revision > p->last_revision)
		p->last_revision = p->object.revision;
	return r;
}

/* Publishes what the event says once more, under an id of the node's own: so it comes last also to whom that event is known. */
static int restate(struct publishing *p, const struct event *e, const struct digest *leaf)
{
	struct draft *drafted = p->draft, draft = {.event = *e, .audience = p->draft->audience};
	char id[sizeof RESTATED + 2 * DIGEST_LEN / 2];
	int r;

	memcpy(id, RESTATED, sizeof RESTATED);
	hex_encode(id + strlen(RESTATED), leaf->bytes, DIGEST_LEN / 2);
	draft.event.id = id;
	p->draft = &draft;
	name_event(p);
	r = p->w->ops->object_find(p->w->ledger, &p->object_key, &p->object);
	if (r == 0)
		r = find_last_revision(p);
	if (r == 0)
		r = publish_new(p);
	p->draft = drafted;
	return r == LEDGER_NONE ? -EBADMSG : r;
}

/* Publishes again what stood in another history. Readers may know any part of both, and act on an id once; so where the object has another
 * last revision by now, the newer of the two states comes again behind both. */
static int republish(struct publishing *p)
{
	struct found last = {0};
	enum origin origin = ORIGIN_NONE;
	struct index_key key;
	bool both = false, own;
	int r = p->object.revision == 0 ? 0 : find_event(&last, p, &p->object.place);

	if (r == 0 && last.same_channel && last.incarnation > p->job->incarnation) {
		index_event(&key, &p->w->c->store_keys, p->w->c->member, last.event.id);
		r = p->w->ops->aside_origin(p->w->ledger, &key, &origin);
		both = origin != p->job->again;
	}
	own = p->job->again == ORIGIN_OWN &&
	      (origin == ORIGIN_READERS || (both && strncmp(last.event.id, RESTATED, strlen(RESTATED)) == 0));
	if (r == 0)
		r = publish_new(p);
	if (r == 0 && both && (!own || p->job->results[p->i].state == PUBLISH_NEW))
		r = own ? restate(p, &p->draft->event, &p->job->results[p->i].leaf)
			: restate(p, &last.event, &last.leaf);
	event_deinit(&last.event);
	return r;
}

static int publish_draft(struct publishing *p)
{
	const struct event *e = &p->draft->event;
	struct work *w = p->w;
	struct place place;
	bool unchanged;
	int r;

	r = resolve_audience(p);
	if (r == 0 && !p->job->again)
		r = check_audience(p);
	if (r == 0)
		r = work_channel(&p->cw, w, w->c->member, p->draft->audience);
	if (r != 0)
		return r;
	name_event(p);
	r = w->ops->object_find(w->ledger, &p->object_key, &p->object);
	if (r == LEDGER_NONE)
		p->object = (struct object_row){0}; /* so the event is hardly known: see when its id is added */
	else if (r == 0)
		r = w->ops->event_find(w->ledger, &p->event_key, &place);
	if (r == 0)
		return p->job->again ? 0 : publish_again(p, &place);
	if (r != LEDGER_NONE)
		return r;
	r = find_last_revision(p);
	if (r != 0 || p->job->again != ORIGIN_NONE)
		return r != 0 ? r : republish(p);
	r = check_judged(p);
	if (r == 0)
		r = check_withdrawn(p);
	if (r != 0 || p->job->outcome != PUBLISH_OK)
		return r; /* also when it was said before: then it was true */
	r = publish_unchanged(p, &unchanged);
	if (r != 0 || unchanged)
		return r;
	if (e->revision != 0 && e->revision != p->last_revision + 1)
		refuse_revision(p, "/enlightrevision", "not the next revision", p->last_revision);
	return p->job->outcome == PUBLISH_OK ? publish_new(p) : 0;
}

/* Where each channel stands before a job, and back to there. */
static void keep_segments(struct work *w)
{
	for (size_t i = 0; i < w->n_channels; i++) {
		struct channel_work *cw = w->channels[i];
		const struct segment *last = cw->n_segments == 0 ? NULL : &cw->segments[cw->n_segments - 1];

		cw->kept_segments = cw->n_segments;
		cw->kept_events = last == NULL ? 0 : last->builder.n;
		cw->kept_body = last == NULL ? 0 : last->builder.body.len;
	}
}

static void restore_segments(struct work *w)
{
	for (size_t i = 0; i < w->n_channels; i++) {
		struct channel_work *cw = w->channels[i];

		while (cw->n_segments > cw->kept_segments)
			batch_builder_deinit(&cw->segments[--cw->n_segments].builder);
		if (cw->n_segments > 0)
			batch_truncate(&cw->segments[cw->n_segments - 1].builder, cw->kept_events, cw->kept_body);
	}
}

int work_publish(struct work *w, struct publish_job *job)
{
	const struct card *card = trust_card(w->trust, w->c->member);
	int r;

	free(job->results); /* of a run that was undone */
	problems_deinit(&job->problems);
	job->outcome = card == NULL ? PUBLISH_FAILED : PUBLISH_OK;
	job->results = calloc(job->n_drafts + 1, sizeof *job->results);
	if (job->results == NULL)
		return -ENOMEM;
	r = w->ops->savepoint(w->ledger);
	keep_segments(w);
	for (size_t i = 0; i < job->n_drafts && r == 0 && card != NULL; i++) {
		struct publishing p = {.w = w, .job = job, .i = i, .draft = &job->drafts[i]};

		r = publish_draft(&p);
	}
	if (r != 0)
		return r;
	if (job->outcome == PUBLISH_OK)
		return w->ops->release(w->ledger);
	restore_segments(w);
	return w->ops->rollback(w->ledger);
}

/* Becomes the channel's head in the ledger and in the changes. */
static int seal_segment(struct work *w, struct channel_work *cw, struct segment *s, struct own_batch *out)
{
	struct channel_row *row = &cw->row;
	uint32_t incarnation = next_incarnation(w, row);
	struct header h = {.audience = row->audience,
		.incarnation = incarnation,
		.first = row->last + 1,
		.previous = row->head,
		.has_after = incarnation != row->incarnation,
		.after_sequence = row->last,
		.after_digest = row->head,
		.time_ms = w->now_ms,
		.key = w->c->keys.number};
	uint8_t wrapped[WRAPPED_KEY_LEN];
	struct batch_row batch;
	int r;

	h.network = *trust_network(w->trust);
	h.roster = trust_roster(w->trust)->note.digest;
	h.card = trust_card(w->trust, w->c->member)->note.digest;
	strcpy(h.publisher, w->c->member);
	out->audience = strdup(row->audience);
	if (out->audience == NULL)
		return -ENOMEM;
	r = batch_seal(&out->batch, out->key, &h, &s->builder, &w->c->keys, &w->entropy);
	if (r != 0)
		return r;
	digest_header(&out->digest, out->batch.header);
	key_wrap(wrapped, w->c->store_keys.wrap, &out->digest, out->key, &w->entropy);
	out->incarnation = h.incarnation;
	out->first = h.first;
	out->last = header_last(&h);
	out->number = s->number;

	row->incarnation = h.incarnation;
	row->next_incarnation = 0;
	row->last = out->last;
	row->head = out->digest;
	row->key = h.key;
	row->bytes += out->batch.body.len + out->batch.header.len;
	if (row->first == 0)
		row->first = 1;
	if (row->id == 0) /* a batch points at its channel's row */
		r = w->ops->channel_put(w->ledger, row);
	if (r != 0)
		return r;
	batch = (struct batch_row){.number = s->number,
		.channel = row->id,
		.incarnation = h.incarnation,
		.first = h.first,
		.count = h.count,
		.digest = out->digest,
		.header = out->batch.header,
		.signature = bytes_of(out->batch.signature, SIGNATURE_LEN),
		.body = out->batch.body,
		.wrapped = bytes_of(wrapped, sizeof wrapped),
		.stored_ms = w->now_ms,
		.erases = s->erases};
	if (w->changes->last_number < s->number)
		w->changes->last_number = s->number;
	return w->ops->batch_add(w->ledger, &batch);
}

static int seal_channel(struct work *w, struct channel_work *cw)
{
	struct own_batch *last = NULL;
	int r;

	for (size_t i = 0; i < cw->n_segments; i++) {
		if (cw->segments[i].builder.n == 0)
			continue;
		last = &w->changes->batches[w->changes->n_batches++];
		r = seal_segment(w, cw, &cw->segments[i], last);
		if (r != 0)
			return r;
	}
	if (last == NULL)
		return 0;
	cw->changed = true;
	free((void *)cw->header.data);
	cw->header = bytes_of(bytes_dup(last->batch.header), last->batch.header.len);
	memcpy(cw->signature, last->batch.signature, SIGNATURE_LEN);
	return cw->header.data == NULL ? -ENOMEM : 0;
}

int work_seal(struct work *w)
{
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < w->n_channels; i++)
		n += w->channels[i]->n_segments;
	w->changes->batches = calloc(n + 1, sizeof *w->changes->batches);
	if (w->changes->batches == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_channels && r == 0; i++)
		r = seal_channel(w, w->channels[i]);
	return r;
}
