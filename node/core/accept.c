/* accept - the reader's side of a commit: batches that a publisher delivered, and receipts for our own.
 *
 * A batch is taken in only if it continues exactly where this node's copy ends. The checks go from cheap to dear, and nothing is
 * written before the last of them: header, audience, key, signature, position, seal and root, slots without events. What an event in a good
 * batch breaks does not stop the channel: it is stored, marked and never given to anybody as valid. */
#include "core/work.h"

#include "core/handle.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct accepting {
	struct work *w;
	struct accept_job *job;
	const struct opened *o;
	const struct header *header;
	struct channel_work *cw;
	bool set_aside; /* what is above `kept` leaves the history */
	bool aside;     /* the batch itself is kept apart, above `kept` */
	uint64_t kept;
	struct place place;
	uint64_t *erased; /* sequences that erasures in this batch list */
	size_t n_erased;
	bool erases; /* one of its events is an erasure: what else the publisher put beside it is not the reader's choice */
};

static int refuse(struct accepting *a, enum accept_outcome outcome, const char *why)
{
	a->job->outcome = outcome;
	a->job->why = why;
	return 0;
}

/* A head that another reader showed: it is compared, and nothing is taken from it. */
static bool witnessed(const struct accepting *a)
{
	return a->job->witness[0] != '\0';
}

/* A batch that this node published, lost, and is given back by a reader. */
static bool own(const struct accepting *a)
{
	return strcmp(a->header->publisher, a->w->c->member) == 0;
}

static bool accepted(const struct accepting *a)
{
	return a->job->outcome == ACCEPT_OK;
}

/* Where a digest stands at the end of our history up to `last`; an empty history ends with zero. 0, LEDGER_NONE, or an error. */
static int stands(struct accepting *a, uint64_t last, const struct digest *digest)
{
	struct batch_row held;
	int r;

	if (last == 0)
		return digest_equal(digest, &digest_zero) ? 0 : LEDGER_NONE;
	r = a->w->ops->batch_ending(a->w->ledger, a->cw->row.id, last, &held);
	return r == 0 && !digest_equal(&held.digest, digest) ? LEDGER_NONE : r;
}

/* Whom it is from and for. */
static int check_header(struct accepting *a)
{
	const struct trust *trust = a->w->trust;
	int r = opened_header(a->job, trust);

	if (r != 0)
		return r;
	a->o = a->job->opened;
	a->header = &a->o->header;
	if (a->o->header_result == BATCH_UNKNOWN_FORMAT)
		return refuse(a, ACCEPT_LATER, "a format of a later version");
	if (a->o->header_result != 0)
		return refuse(a, ACCEPT_FORGED, "not a header");
	if (!digest_equal(&a->header->network, trust_network(trust)))
		return refuse(a, ACCEPT_NOT_OURS, "another network");
	if (strcmp(a->header->publisher, a->job->peer) != 0 && !own(a))
		return refuse(a, ACCEPT_NOT_OURS, "not published by the peer that delivers it");
	if (!own(a) && !audience_has(a->header->audience, a->w->c->member))
		return refuse(a, ACCEPT_NOT_OURS, "this node is not in the audience");
	if (!trust_knows(trust, a->header->audience))
		return refuse(a, ACCEPT_NOT_OURS, "somebody in the audience never was a member");
	return 0;
}

/* Its publisher serves it itself, in a session under a key in force: so a retired or revoked key is good too, as long as the numbers of the
 * keys never fall along the channel; which its position shows. What a reader gives back of ours under a revoked key is kept apart until
 * something under a later key goes on from it (vouch()). */
static int check_signature(struct accepting *a)
{
	if (!a->o->key_known)
		return refuse(a, ACCEPT_FORGED, "a signing key that no card of the publisher has");
	if (a->o->key_revoked && witnessed(a))
		return refuse(a, ACCEPT_FORGED, "not from its publisher, and under a key that may have been stolen");
	return a->o->signed_well ? 0 : refuse(a, ACCEPT_FORGED, "the signature is not good");
}

static int set_aside(struct accepting *a)
{
	a->job->set_aside = a->cw->row.last - a->kept;
	return work_set_aside(a->w, a->cw, a->kept, own(a));
}

/* Our next batch begins an incarnation that is later than all we know of, where the history ends now. */
static void raise_incarnation(struct accepting *a)
{
	struct channel_row *row = &a->cw->row;
	uint32_t highest = row->incarnation > a->header->incarnation ? row->incarnation : a->header->incarnation;

	if (row->next_incarnation > highest)
		return;
	row->next_incarnation = highest + 1;
	a->cw->changed = true;
}

/* What this node published above `kept` leaves its history, to be published again. */
static int go_back(struct accepting *a)
{
	raise_incarnation(a);
	return set_aside(a);
}

static const char damaged[] = "what is held there is damaged, and says nothing";

/* Whether a stored batch has the header that its digest names: a disk that changed either accuses nobody. */
static bool is_whole(const struct batch_row *held)
{
	struct digest digest;

	digest_header(&digest, held->header);
	return digest_equal(&digest, &held->digest);
}

/* LEDGER_HELD: it is kept already. */
static int keep_evidence(struct accepting *a, const struct batch_row *held)
{
	struct accept_job *job = a->job;

	free((void *)job->contradicted.data); /* of a try before */
	job->contradicted = bytes_of(bytes_dup(held->header), held->header.len);
	if (job->contradicted.data == NULL)
		return -ENOMEM;
	memcpy(job->contradicted_signature, held->signature.data, SIGNATURE_LEN);
	return a->w->ops->fork_put(a->w->ledger, a->cw->row.id, job->contradicted,
		bytes_of(job->contradicted_signature, SIGNATURE_LEN), job->batch.header,
		bytes_of(job->batch.signature, SIGNATURE_LEN));
}

/* Two signed headers of one place: the publisher showed two histories. Both are kept and the channel stops. One that sees it of itself goes
 * back behind neither of them, and on in a later incarnation; that starts the channel again. */
static int fork_found(struct accepting *a, const struct batch_row *held)
{
	int r;

	if (!is_whole(held))
		return refuse(a, ACCEPT_HELD, damaged);
	r = keep_evidence(a, held);
	if (r != 0 && r != LEDGER_HELD)
		return r;
	a->kept = held->first - 1;
	if (own(a)) {
		r = go_back(a);
		if (r != 0)
			return r;
	} else {
		uint64_t place = held->first < a->header->first ? held->first : a->header->first;

		if (a->cw->row.stopped == 0 || place < a->cw->row.stopped)
			a->cw->row.stopped = place;
		a->cw->changed = true;
	}
	return refuse(a, ACCEPT_FORK, "contradicts a signed header that is held; both are kept as evidence");
}

/* A header of an incarnation that its publisher has gone back behind: what was held of that one is kept apart, and tells whether it showed two
 * histories before. Both of them are taken back, so the channel goes on. */
static int check_left_out(struct accepting *a)
{
	struct batch_row held;
	int r = a->w->ops->aside_holding(a->w->ledger, a->cw->row.id, a->header->incarnation, a->header->first, &held);

	if (r == 0 && is_whole(&held) && !digest_equal(&held.digest, &a->o->digest))
		r = keep_evidence(a, &held);
	else
		r = r == 0 ? LEDGER_HELD : r;
	if (r == LEDGER_NONE || r == LEDGER_HELD)
		return refuse(a, ACCEPT_HELD, "held already, or of an incarnation that was left");
	return r != 0 ? r
		      : refuse(a, ACCEPT_FORK,
				"contradicts a signed header of an incarnation that was left; both are "
				"kept as evidence");
}

/* At or below what is held: the same batch again, an older incarnation's, or a fork. One of the present incarnation below the place where
 * that one began here says that it began elsewhere: it contradicts the header that began it. */
static int check_held(struct accepting *a)
{
	const struct ledger_ops *ops = a->w->ops;
	struct batch_row held;
	int r;

	r = ops->batch_holding(a->w->ledger, a->cw->row.id, a->header->first, &held);
	while (r == 0 && a->header->incarnation == a->cw->row.incarnation && held.incarnation < a->header->incarnation)
		r = ops->batch_holding(a->w->ledger, a->cw->row.id, held.first + held.count, &held);
	if (r == 0 && held.incarnation > a->header->incarnation)
		return check_left_out(a);
	if (r == LEDGER_NONE ||
		(r == 0 && (digest_equal(&held.digest, &a->o->digest) || held.incarnation != a->header->incarnation)))
		return refuse(a, ACCEPT_HELD, "held already");
	return r != 0 ? r : fork_found(a, &held);
}

/* A new incarnation continues after a place that must be in our copy; what we hold above it is set aside. Another batch at that place proves
 * nothing against the publisher: between the two it may have gone back once more. */
static int check_raised(struct accepting *a)
{
	const struct header *h = a->header;
	const struct channel_row *row = &a->cw->row;
	int r;

	if (!h->has_after || h->after_sequence > row->last)
		return refuse(a, ACCEPT_GAP, "a later incarnation that continues after what is not held");
	a->set_aside = h->after_sequence < row->last;
	a->kept = h->after_sequence;
	a->job->raised = row->incarnation != 0;
	r = stands(a, h->after_sequence, &h->after_digest);
	a->job->elsewhere = r == LEDGER_NONE;
	return r == LEDGER_NONE ? refuse(a, ACCEPT_FORGED, "a later incarnation that continues after what is not held")
				: r;
}

/* Above which place of our history a batch of ours goes on that is not in it: where its previous one stands, or left the history. LEDGER_NONE:
 * that one is not known. */
static int find_branch(struct accepting *a)
{
	const struct header *h = a->header;
	int r = stands(a, h->first - 1, &h->previous);

	a->kept = h->first - 1;
	return r == LEDGER_NONE ? a->w->ops->aside_find(a->w->ledger, a->cw->row.id, &h->previous, &a->kept) : r;
}

/* A batch of ours that stands elsewhere: this node published something else in its place, or went on in a later incarnation. It is kept apart.
 * Who holds it can follow only a later incarnation that begins where the two part; unless our history has one there already, it goes back
 * to that place, and what is left out is published again. */
static int check_surplus(struct accepting *a)
{
	const struct channel_row *row = &a->cw->row;
	struct batch_row held;
	int r = find_branch(a);

	if (r == LEDGER_NONE)
		return refuse(a, ACCEPT_GAP, "of another history of this node's, and the batch before it is missing");
	if (r != 0)
		return r;
	a->aside = true;
	if (row->last == a->kept)
		return 0;
	r = a->w->ops->batch_holding(a->w->ledger, row->id, a->kept + 1, &held);
	if (r != 0)
		return r == LEDGER_NONE ? -EBADMSG : r;
	if (!is_whole(&held)) {
		a->aside = false;
		return refuse(a, ACCEPT_HELD, damaged);
	}
	if (a->o->key_revoked) /* it binds nobody, until something vouches for it */
		return 0;
	a->set_aside = held.incarnation <= a->header->incarnation;
	r = held.incarnation == a->header->incarnation ? keep_evidence(a, &held) : 0;
	return r == LEDGER_HELD ? 0 : r;
}

/* Whether a batch of ours is in our history, or kept apart. */
static int known(struct accepting *a)
{
	uint64_t above;
	int r = stands(a, header_last(a->header), &a->o->digest);

	return r == LEDGER_NONE ? a->w->ops->aside_find(a->w->ledger, a->cw->row.id, &a->o->digest, &above) : r;
}

/* A header of ours that is not in our history. It needs no body to see that our history has something else at its place: nobody who was shown
 * both goes on before we have gone back behind both. Two of one incarnation are a fork, and kept as evidence; of others nobody can be accused. */
static int check_shown(struct accepting *a)
{
	const struct channel_row *row = &a->cw->row;
	struct batch_row held = {.incarnation = UINT32_MAX};
	int r = a->header->first > row->last ? 0 : find_branch(a);

	if (r == LEDGER_NONE) /* where the two part is not known: at its own place they have */
		a->kept = a->header->first - 1;
	else if (r != 0)
		return r;
	if (a->header->first <= row->last && a->kept < row->last)
		r = a->w->ops->batch_holding(a->w->ledger, row->id, a->kept + 1, &held);
	if (r != 0 && r != LEDGER_NONE)
		return r;
	if (held.incarnation == a->header->incarnation)
		return fork_found(a, &held);
	if (held.incarnation < a->header->incarnation && is_whole(&held)) {
		a->kept = held.first - 1;
		r = go_back(a);
		if (r != 0)
			return r;
	}
	return refuse(a, ACCEPT_SURPLUS, "published in another history of this channel");
}

/* What this node published and a reader shows or gives back. What goes on where our copy ends is taken in as what it is, unless somebody else
 * may have signed it: that is kept apart. */
static int check_own(struct accepting *a)
{
	const struct header *h = a->header;
	const struct channel_row *row = &a->cw->row;
	int r = known(a);

	if (r != LEDGER_NONE)
		return r == 0 ? refuse(a, ACCEPT_HELD, "held already") : r;
	if (h->incarnation == UINT32_MAX)
		return refuse(a, ACCEPT_FORGED, "an incarnation behind which there is none");
	if (a->cw->n_segments > 0)
		return refuse(a, ACCEPT_GAP, "something was published in its place just now");
	if (witnessed(a))
		return check_shown(a);
	if (a->o->key_revoked)
		return check_surplus(a);
	if (row->next_incarnation == 0 && h->incarnation == row->incarnation && !h->has_after &&
		h->first == row->last + 1 && digest_equal(&h->previous, &row->head))
		return 0;
	if (row->next_incarnation == 0 && h->incarnation > row->incarnation && h->has_after &&
		h->after_sequence <= row->last) {
		r = stands(a, h->after_sequence, &h->after_digest);
		if (r != LEDGER_NONE)
			return r == 0 ? check_raised(a) : r;
	}
	return check_surplus(a);
}

/* A publisher that showed two histories goes on in a later incarnation, which begins before the place where they part. */
static bool takes_both_back(const struct accepting *a)
{
	const struct header *h = a->header;

	return h->incarnation > a->cw->row.incarnation && h->has_after && h->after_sequence < a->cw->row.stopped;
}

/* A channel that is stopped may have parted even earlier, and then goes on from before that only. */
static bool parts_earlier(const struct accepting *a)
{
	const struct header *h = a->header;
	const struct channel_row *row = &a->cw->row;

	return h->incarnation <= row->incarnation && h->first <= row->last && h->first < row->stopped;
}

static int check_position(struct accepting *a)
{
	const struct header *h = a->header;
	const struct channel_row *row = &a->cw->row;

	if (own(a))
		return check_own(a);
	if (row->stopped != 0 && !takes_both_back(a) && !parts_earlier(a))
		return refuse(a, ACCEPT_STOPPED, "the channel was stopped by a fork");
	if (h->incarnation <= row->incarnation && h->first <= row->last)
		return check_held(a);
	if (witnessed(a))
		return refuse(a, ACCEPT_HELD, "more than is held; there is nothing to compare it with");
	if (h->key < row->key)
		return refuse(a, ACCEPT_FORGED, "the key number fell");
	if (a->cw->n_segments > 0)
		return refuse(a, ACCEPT_GAP, "something was published in its place just now");
	if (h->incarnation > row->incarnation)
		return check_raised(a);
	if (h->incarnation < row->incarnation)
		return refuse(a, ACCEPT_FORGED, "an older incarnation goes on");
	if (h->first > row->last + 1)
		return refuse(a, ACCEPT_GAP, "batches between are missing");
	if (h->has_after || !digest_equal(&h->previous, &row->head))
		return refuse(a, ACCEPT_FORGED, "does not continue the header that is held");
	return 0;
}

static int open_body(struct accepting *a)
{
	int r = opened_body(a->job, &a->w->c->store_keys);

	if (r != 0)
		return r;
	if (!a->o->unwrapped)
		return refuse(a, ACCEPT_FORGED, "the batch key is not wrapped for this session");
	if (a->o->body_result == BATCH_FORGED)
		return refuse(a, ACCEPT_FORGED, "the body's seal or root is not good");
	return a->o->body_result == 0 ? 0 : refuse(a, ACCEPT_FORGED, "the body is malformed");
}

static int mark(struct accepting *a, enum mark_kind kind, const char *text)
{
	if (kind == MARK_REFUSED)
		a->job->n_refused++;
	else
		a->job->n_stale++;
	return a->w->ops->mark_add(a->w->ledger, &a->place, kind, text);
}

/* The first broken rule, as one text. */
static int mark_refused(struct accepting *a, const struct problems *problems)
{
	char text[256];

	if (problems->n == 0)
		return mark(a, MARK_REFUSED, "breaks a rule of its topic");
	snprintf(text, sizeof text, "%s: %s", problems->items[0].place, problems->items[0].rule);
	return mark(a, MARK_REFUSED, text);
}

/* A decision on an object that has moved on meanwhile. */
static int mark_stale(struct accepting *a, const struct event *e)
{
	struct judged judged;
	struct object_row object;
	struct index_key key;
	int r;

	if (!event_judges(e, &judged))
		return 0;
	index_object(&key, &a->w->c->store_keys, judged.source, judged.topic, judged.subject);
	r = a->w->ops->object_find(a->w->ledger, &key, &object);
	if (r == 0 && (object.revision > judged.revision ||
			      (object.revision == judged.revision && !digest_equal(&object.leaf, &judged.leaf))))
		return mark(a, MARK_STALE, "judges a revision that is not the last");
	return r == LEDGER_NONE ? 0 : r;
}

/* Sequences that an erasure lists are covered from now on. */
static int cover_erased(struct accepting *a, const struct event *e)
{
	uint64_t *listed = NULL, *erased;
	long n = event_erases(e, &listed);

	a->erases = a->erases || event_is_erasure(e);
	if (n <= 0)
		return (int)n;
	erased = realloc(a->erased, (a->n_erased + (size_t)n) * sizeof *erased);
	if (erased == NULL) {
		free(listed);
		return -ENOMEM;
	}
	memcpy(erased + a->n_erased, listed, (size_t)n * sizeof *erased);
	a->erased = erased;
	a->n_erased += (size_t)n;
	free(listed);
	return 0;
}

static int index_persons(struct accepting *a, const struct event *e)
{
	struct index_key key;
	int r = 0;

	for (size_t i = 0; i < e->n_persons && r == 0; i++) {
		index_person(&key, &a->w->c->store_keys, e->persons[i]);
		r = a->w->ops->person_add(a->w->ledger, &key, a->place.number);
	}
	return r;
}

/* Whether an object's last revision stands in the channel of this batch. */
static int in_this_channel(struct accepting *a, const struct object_row *object, bool *out)
{
	struct batch_row batch;
	int r;

	*out = object->place.number == a->place.number;
	if (*out)
		return 0;
	r = a->w->ops->batch_get(a->w->ledger, object->place.number, &batch);
	*out = r == 0 && batch.channel == a->cw->row.id;
	return r == LEDGER_NONE ? 0 : r;
}

/* An event that keeps the rules becomes the object's last revision. Channels have no order between them: one that another channel has
 * overtaken is good and leaves the object as it is. */
static int index_object_revision(struct accepting *a, const struct opened_event *e, const struct digest *leaf)
{
	struct object_row object;
	bool here;
	int r;

	if (!e->has_object)
		return 0;
	r = a->w->ops->object_find(a->w->ledger, &e->object, &object);
	if (r == 0 && e->event.revision <= object.revision) {
		r = in_this_channel(a, &object, &here);
		return r == 0 && here ? mark(a, MARK_REFUSED, "/enlightrevision: not above the object's last revision")
				      : r;
	}
	if (r != 0 && r != LEDGER_NONE)
		return r;
	object = (struct object_row){.revision = e->event.revision, .leaf = *leaf, .place = a->place};
	if (own(a)) /* only of its own objects a node asks whether a revision changes them */
		index_data(&object.data, &a->w->c->store_keys, e->event.data);
	r = a->w->ops->object_put(a->w->ledger, &e->object, &object);
	return r == 0 && own(a) ? work_forget_withdrawn(a->w, &e->event) : r;
}

static int take_event(struct accepting *a, const struct opened_event *e, const struct digest *leaf)
{
	unsigned n_refused = a->job->n_refused;
	int r;

	if (e->result != 0)
		return mark(a, MARK_REFUSED, "not an event of this contract");
	r = index_persons(a, &e->event); /* also of what is refused: it must be found to be erased */
	if (r != 0)
		return r;
	r = a->w->ops->event_add(a->w->ledger, &e->id, &a->place);
	if (r == LEDGER_HELD)
		return mark(a, MARK_REFUSED, "/id: used for an earlier event");
	if (r == 0)
		r = e->rules > 0 ? mark_refused(a, &e->problems) : index_object_revision(a, e, leaf);
	if (r == 0 && a->job->n_refused == n_refused && !own(a)) /* ours was good when it was published */
		r = mark_stale(a, &e->event);
	if (r == 0 && a->job->n_refused == n_refused)
		r = cover_erased(a, &e->event); /* what is refused has no effect */
	return r;
}

/* Slots without events are legal only when an erasure lists them: in this batch, or in a later one. At the head there is no later one. */
static int check_uncovered(struct accepting *a)
{
	const struct ledger_ops *ops = a->w->ops;
	struct channel_row *row = &a->cw->row;
	uint64_t uncovered = 0;
	int r = 0;

	for (size_t i = 0; i < a->o->slots.n && r == 0; i++)
		if (a->o->slots.items[i].event.data == NULL) {
			uncovered++;
			r = ops->uncovered_add(a->w->ledger, row->id, a->header->first + i);
		}
	row->uncovered += uncovered;
	for (size_t i = 0; i < a->n_erased && r == 0; i++) {
		r = ops->uncovered_remove(a->w->ledger, row->id, a->erased[i]);
		if (r == 0) {
			row->uncovered--;
			uncovered -= a->erased[i] >= a->header->first;
		} else if (r == LEDGER_NONE) {
			r = 0;
		}
	}
	if (r == 0 && uncovered > 0 && (own(a) || header_last(a->header) >= a->job->announced))
		return refuse(
			a, ACCEPT_WITHHELD, "events are withheld: their slots are empty and no erasure lists them");
	return r;
}

/* The batch as the ledger keeps it; `wrapped` has room for its key. */
static struct batch_row stored(struct accepting *a, uint8_t wrapped[static WRAPPED_KEY_LEN])
{
	const struct header *h = a->header;

	key_wrap(wrapped, a->w->c->store_keys.wrap, &a->o->digest, a->o->key, &a->w->entropy);
	return (struct batch_row){.number = a->place.number,
		.channel = a->cw->row.id,
		.incarnation = h->incarnation,
		.first = h->first,
		.count = h->count,
		.digest = a->o->digest,
		.header = a->job->batch.header,
		.signature = bytes_of(a->job->batch.signature, SIGNATURE_LEN),
		.body = a->job->batch.body,
		.wrapped = bytes_of(wrapped, WRAPPED_KEY_LEN),
		.stored_ms = a->w->now_ms,
		.erases = a->erases};
}

static int add_batch(struct accepting *a)
{
	struct channel_row *row = &a->cw->row;
	const struct header *h = a->header;
	uint8_t wrapped[WRAPPED_KEY_LEN];
	struct batch_row batch = stored(a, wrapped);

	row->incarnation = h->incarnation;
	row->last = header_last(h);
	row->head = a->o->digest;
	row->key = h->key;
	row->bytes += a->job->batch.body.len + a->job->batch.header.len;
	row->stopped = 0;
	if (row->first == 0)
		row->first = h->first;
	return a->w->ops->batch_add(a->w->ledger, &batch);
}

/* The ids and revisions in a batch that is kept apart: what is published again has higher ones. */
static int note_events(struct accepting *a)
{
	int r = 0;

	for (size_t i = 0; i < a->o->slots.n && r == 0; i++) {
		const struct opened_event *e = &a->o->events[i];
		struct object_row object = {.revision = e->event.revision,
			.leaf = a->o->slots.items[i].leaf,
			.place = {a->place.number, (uint32_t)i}};

		if (a->o->slots.items[i].event.data == NULL)
			return refuse(a, ACCEPT_WITHHELD, "a slot is empty");
		if (e->result == 0)
			r = a->w->ops->aside_event(a->w->ledger, &e->id, &object.place);
		if (r == 0 && e->result == 0 && e->has_object)
			r = a->w->ops->aside_object(a->w->ledger, &e->object, &object);
	}
	return r;
}

/* Who has a key that nobody else may have had all before the batch that it signed: what was left out of that is to be published again. */
static int vouch(struct accepting *a)
{
	struct digest before = a->header->previous;
	struct header h = {0};
	struct batch_row row;
	int r = a->w->ops->aside_named(a->w->ledger, a->cw->row.id, &before, &row);

	while (r == 0) {
		r = header_decode(&h, row.header);
		if (r != 0 || !trust_is_revoked(a->w->trust, a->w->c->member, h.key))
			break;
		before = h.previous;
		header_deinit(&h);
		r = a->w->ops->aside_again(a->w->ledger, row.number);
		if (r == 0)
			r = a->w->ops->aside_named(a->w->ledger, a->cw->row.id, &before, &row);
	}
	header_deinit(&h);
	return r > 0 ? 0 : r; /* the chain ends */
}

static int put_aside(struct accepting *a)
{
	uint8_t wrapped[WRAPPED_KEY_LEN];
	struct batch_row batch;
	int r = note_events(a);

	if (r == 0 && accepted(a) && a->set_aside)
		r = go_back(a);
	if (r != 0 || !accepted(a))
		return r;
	if (!a->o->key_revoked && (a->cw->row.last == a->kept || a->cw->row.next_incarnation != 0))
		raise_incarnation(a);
	batch = stored(a, wrapped);
	r = a->w->ops->aside_add(a->w->ledger, &batch, a->kept);
	if (r == 0 && a->o->key_revoked) /* perhaps this node never said it */
		return a->w->ops->aside_done(a->w->ledger, batch.number);
	return r == 0 ? vouch(a) : r;
}

/* Writes what has passed all checks that need no writing. */
static int write_batch(struct accepting *a)
{
	struct work *w = a->w;
	int r = 0;

	if (a->cw->row.id == 0)
		r = w->ops->channel_put(w->ledger, &a->cw->row); /* a batch points at its channel's row */
	if (r == 0 && a->set_aside && !a->aside)
		r = set_aside(a);
	a->place.number = w->ops->next_number(w->ledger);
	if (r != 0 || a->aside)
		return r != 0 ? r : put_aside(a);
	for (size_t i = 0; i < a->o->slots.n && r == 0; i++) {
		a->place.index = (uint32_t)i;
		if (a->o->slots.items[i].event.data != NULL)
			r = take_event(a, &a->o->events[i], &a->o->slots.items[i].leaf);
	}
	if (r == 0)
		r = check_uncovered(a);
	return r == 0 && accepted(a) ? add_batch(a) : r;
}

/* The batch is the channel's head now. */
static int become_head(struct accepting *a)
{
	struct channel_work *cw = a->cw;

	free((void *)cw->header.data);
	cw->header = bytes_of(bytes_dup(a->job->batch.header), a->job->batch.header.len);
	if (cw->header.data == NULL)
		return -ENOMEM;
	memcpy(cw->signature, a->job->batch.signature, SIGNATURE_LEN);
	cw->changed = true;
	cw->receipt = !own(a);
	if (a->w->changes->last_number < a->place.number)
		a->w->changes->last_number = a->place.number;
	return 0;
}

/* Everything that is judged before anything is written. */
static int check(struct accepting *a)
{
	int r = check_header(a);

	if (r == 0 && accepted(a))
		r = work_channel(&a->cw, a->w, a->header->publisher, a->header->audience);
	if (r == 0 && accepted(a))
		r = check_signature(a);
	if (r == 0 && accepted(a))
		r = check_position(a);
	if (r == 0 && accepted(a))
		r = open_body(a);
	return r;
}

/* The write, in a savepoint: slots that are withheld are found out only then. */
static int take(struct accepting *a)
{
	struct channel_row before = a->cw->row;
	int r = a->w->ops->savepoint(a->w->ledger);

	if (r == 0)
		r = write_batch(a);
	if (r != 0)
		return r;
	if (accepted(a)) {
		r = a->w->ops->release(a->w->ledger);
		if (a->aside)
			return r != 0 ? r : refuse(a, ACCEPT_ASIDE, "published in another history of this channel");
		return r != 0 ? r : become_head(a);
	}
	a->cw->row = before;
	return a->w->ops->rollback(a->w->ledger);
}

int work_accept(struct work *w, struct accept_job *job)
{
	struct accepting a = {.w = w, .job = job};
	int r;

	job->outcome = ACCEPT_OK;
	job->raised = job->elsewhere = false; /* a run before may have been undone */
	job->set_aside = 0;
	job->n_refused = job->n_stale = 0;
	r = check(&a);
	if (r == 0 && accepted(&a))
		r = take(&a);
	if (r == 0 && job->outcome == ACCEPT_HELD && !witnessed(&a) && !own(&a) && a.cw != NULL && a.cw->row.last > 0)
		a.cw->receipt = true; /* the first one may have been lost with the session */
	free(a.erased);
	opened_free(job->opened); /* large; should the job be run again, it is opened again */
	job->opened = NULL;
	return r;
}

static int sign_receipt(struct work *w, struct changed_channel *ch)
{
	struct receipt receipt = {.audience = ch->row.audience,
		.incarnation = ch->row.incarnation,
		.from = ch->row.first,
		.to = ch->row.last,
		.head = ch->row.head,
		.uncovered = ch->row.uncovered,
		.time_ms = w->now_ms,
		.key = w->c->keys.number};
	struct receipt_row row;
	int r;

	receipt.network = *trust_network(w->trust);
	strcpy(receipt.reader, w->c->member);
	strcpy(receipt.publisher, ch->row.publisher);
	r = receipt_sign(&ch->receipt, ch->receipt_signature, &receipt, &w->c->keys);
	if (r != 0)
		return r;
	row = (struct receipt_row){.channel = ch->row.id,
		.reader = w->c->member,
		.incarnation = receipt.incarnation,
		.to = receipt.to,
		.uncovered = receipt.uncovered,
		.time_ms = w->now_ms,
		.packed = ch->receipt,
		.signature = ch->receipt_signature};
	return w->ops->receipt_put(w->ledger, &row);
}

int work_receipts(struct work *w)
{
	int r = 0;

	for (size_t i = 0; i < w->changes->n_channels && r == 0; i++) {
		struct changed_channel *ch = &w->changes->channels[i];

		for (size_t k = 0; k < w->n_channels && r == 0; k++)
			if (w->channels[k]->row.id == ch->row.id && w->channels[k]->receipt)
				r = sign_receipt(w, ch);
	}
	return r;
}

static int receipt_refuse(struct receipt_job *job, const char *why)
{
	job->good = false;
	job->why = why;
	return 0;
}

/* The head it names must be one of ours: a reader cannot acknowledge what was never published. */
static int check_receipt(
	struct work *w, struct receipt_job *job, const struct receipt *receipt, struct channel_work **cw)
{
	enum card_key_state state;
	const uint8_t *key;
	struct batch_row batch;
	int r;

	if (!digest_equal(&receipt->network, trust_network(w->trust)))
		return receipt_refuse(job, "another network");
	if (strcmp(receipt->reader, job->peer) != 0 || strcmp(receipt->publisher, w->c->member) != 0)
		return receipt_refuse(job, "not the peer's own, or not for this publisher");
	if (!audience_has(receipt->audience, job->peer))
		return receipt_refuse(job, "the reader is not in the audience");
	key = trust_sign_key(w->trust, job->peer, receipt->key, &state);
	if (key == NULL || state == CARD_KEY_REVOKED || !receipt_verify(job->packed, job->signature, key))
		return receipt_refuse(job, "the signature is not good");
	r = work_channel(cw, w, w->c->member, receipt->audience);
	if (r != 0)
		return r;
	if ((*cw)->row.id == 0 || receipt->to > (*cw)->row.last)
		return receipt_refuse(job, "acknowledges more than was published");
	r = w->ops->batch_ending(w->ledger, (*cw)->row.id, receipt->to, &batch);
	if (r == LEDGER_NONE || (r == 0 && !digest_equal(&batch.digest, &receipt->head)))
		return receipt_refuse(job, "names a head that was never published");
	if (r == 0 && batch.incarnation != receipt->incarnation)
		return receipt_refuse(job, "the head is of another incarnation");
	return r;
}

static bool receipt_newer(const struct receipt *receipt, const struct receipt_row *held)
{
	if (receipt->incarnation != held->incarnation)
		return receipt->incarnation > held->incarnation;
	return receipt->to > held->to;
}

static int keep_receipt(struct work *w, struct receipt_job *job, const struct receipt *receipt, struct channel_work *cw)
{
	struct changed_receipt *receipts, *out;
	struct receipt_row row;
	int r;

	r = w->ops->receipt_find(w->ledger, cw->row.id, job->peer, &row);
	if (r == 0 && !receipt_newer(receipt, &row))
		return 0;
	if (r != 0 && r != LEDGER_NONE)
		return r;
	row = (struct receipt_row){.channel = cw->row.id,
		.reader = job->peer,
		.incarnation = receipt->incarnation,
		.to = receipt->to,
		.uncovered = receipt->uncovered,
		.time_ms = receipt->time_ms,
		.packed = job->packed,
		.signature = job->signature};
	r = w->ops->receipt_put(w->ledger, &row);
	if (r != 0)
		return r;
	receipts = realloc(w->changes->receipts, (w->changes->n_receipts + 1) * sizeof *receipts);
	if (receipts == NULL)
		return -ENOMEM;
	w->changes->receipts = receipts;
	out = &receipts[w->changes->n_receipts];
	*out = (struct changed_receipt){.channel = cw->row.id,
		.incarnation = receipt->incarnation,
		.to = receipt->to,
		.uncovered = receipt->uncovered,
		.time_ms = receipt->time_ms,
		.head = receipt->head};
	strcpy(out->publisher, receipt->publisher);
	strcpy(out->reader, job->peer);
	out->audience = strdup(receipt->audience);
	if (out->audience == NULL)
		return -ENOMEM;
	w->changes->n_receipts++;
	return 0;
}

int work_receipt(struct work *w, struct receipt_job *job)
{
	struct receipt receipt = {0};
	struct channel_work *cw = NULL;
	int r;

	job->good = true;
	r = receipt_decode(&receipt, job->packed);
	if (r == RECEIPT_MALFORMED)
		r = receipt_refuse(job, "not a receipt");
	else if (r == 0)
		r = check_receipt(w, job, &receipt, &cw);
	if (r == 0 && job->good)
		r = keep_receipt(w, job, &receipt, cw);
	receipt_deinit(&receipt);
	return r;
}
