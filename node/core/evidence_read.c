/* evidence_read - writes the evidence of one event, or of a fork, from the archive (query.h, QUERY_EVIDENCE).
 *
 * Chains go to the channel's end, so that a receipt, a checkpoint or a newer key behind the event can be seen to cover it; a chain that
 * would pass its limit ends before, and the receipts beyond are there all the same. */
#include "core/archived.h"
#include "core/evidence.h"
#include "core/query.h"

#include "core/handle.h"
#include "core/wire.h"
#include "enlight/event/v1/node.pb-c.h"
#include "enlight/log/v1/evidence.pb-c.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
	WALK_END = 100,
	DAY_MS = 86400000,
	CHECKPOINT_CHAIN_MAX = 4096, /* with the event's own chain within what one message may hold */
	CHECKPOINTS_TRIED = 8,       /* of those that there are */
	CHECKPOINT_DAYS = 400,       /* after the event, in which a checkpoint is looked for */
	CHECKPOINT_UNPACKED_MAX = 1 << 20,
};

typedef Enlight__Log__V1__SignedHeader SignedHeader;
typedef Enlight__Log__V1__HeldBy HeldBy;

/* One event and what goes with it; everything is owned. */
struct show {
	struct archived opened;
	struct place place;
	uint64_t sequence;
	SignedHeader *chain;
	struct digest *digests;
	size_t n_chain, chain_max, chain_bytes;
	HeldBy *receipts;
	char **readers; /* of the receipts */
	size_t n_receipts;
};

struct writing {
	const struct store_keys *keys;
	const struct archive_ops *ops;
	void *archive;
	struct evidence_query *query;
	struct show event, checkpoint;
	uint8_t salt[SALT_LEN];
	bool anchored;
	struct trust *trust; /* what the notes gathered so far come to */
	ProtobufCBinaryData *notes;
	size_t n_notes;
};

static void show_deinit(struct show *s)
{
	for (size_t i = 0; i < s->n_chain; i++) {
		free(s->chain[i].header.data);
		free(s->chain[i].signature.data);
	}
	for (size_t i = 0; i < s->n_receipts; i++) {
		free(s->receipts[i].receipt.data);
		free(s->receipts[i].signature.data);
		free(s->readers[i]);
	}
	free(s->chain);
	free(s->digests);
	free(s->receipts);
	free(s->readers);
	archived_deinit(&s->opened);
}

/* A copy for a message; `*r` becomes -ENOMEM. */
static ProtobufCBinaryData copy(struct bytes b, int *r)
{
	ProtobufCBinaryData out = {b.len, bytes_dup(b)};

	if (out.data == NULL)
		*r = -ENOMEM;
	return out;
}

/* ---- one event, with its chain and receipts ---- */

struct gathering {
	struct writing *w;
	struct show *s;
};

static int open_batch(void *context, const struct batch_row *row)
{
	struct gathering *g = context;

	return archived_read(&g->s->opened, g->w->keys, row);
}

static int gather_receipt(void *context, const struct receipt_row *row)
{
	struct show *s = ((struct gathering *)context)->s;
	HeldBy *receipts;
	char **readers;
	int r = 0;

	if (row->channel != s->opened.row.channel || row->to < s->sequence ||
		strcmp(row->reader, s->opened.header.publisher) == 0)
		return 0;
	receipts = realloc(s->receipts, (s->n_receipts + 1) * sizeof *receipts);
	if (receipts == NULL)
		return -ENOMEM;
	s->receipts = receipts;
	readers = realloc(s->readers, (s->n_receipts + 1) * sizeof(char *));
	if (readers == NULL)
		return -ENOMEM;
	s->readers = readers;
	readers[s->n_receipts] = strdup(row->reader);
	if (readers[s->n_receipts] == NULL)
		r = -ENOMEM;
	receipts[s->n_receipts] = (HeldBy)ENLIGHT__LOG__V1__HELD_BY__INIT;
	receipts[s->n_receipts].receipt = copy(row->packed, &r);
	receipts[s->n_receipts].signature = copy(bytes_of(row->signature, SIGNATURE_LEN), &r);
	s->n_receipts++;
	return r;
}

/* Room for one header more; false: out of memory. */
static bool chain_room(struct show *s)
{
	SignedHeader *chain = realloc(s->chain, (s->n_chain + 1) * sizeof *chain);
	struct digest *digests;

	if (chain == NULL)
		return false;
	s->chain = chain;
	digests = realloc(s->digests, (s->n_chain + 1) * sizeof *digests);
	if (digests == NULL)
		return false;
	s->digests = digests;
	return true;
}

static int gather_header(void *context, const struct batch_row *row)
{
	struct show *s = ((struct gathering *)context)->s;
	SignedHeader *h;
	int r = 0;

	if (s->n_chain == s->chain_max || s->chain_bytes + row->header.len > EVIDENCE_CHAIN_BYTES)
		return WALK_END;
	if (!chain_room(s))
		return -ENOMEM;
	h = &s->chain[s->n_chain];
	*h = (SignedHeader)ENLIGHT__LOG__V1__SIGNED_HEADER__INIT;
	h->header = copy(row->header, &r);
	h->signature = copy(row->signature, &r);
	s->digests[s->n_chain++] = row->digest;
	s->chain_bytes += row->header.len + row->signature.len;
	return r;
}

/* LEDGER_NONE: nothing is left of the event. */
static int gather(struct writing *w, struct show *s, const struct place *place, size_t chain_max)
{
	struct gathering g = {w, s};
	int r;

	s->place = *place;
	r = w->ops->batch(w->archive, place->number, open_batch, &g);
	if (r == 0 && (place->index >= s->opened.slots.n || s->opened.slots.items[place->index].event.data == NULL))
		r = LEDGER_NONE;
	if (r != 0)
		return r;
	s->sequence = s->opened.header.first + place->index;
	s->chain_max = chain_max;
	r = w->ops->receipts(w->archive, gather_receipt, &g);
	if (r == 0)
		r = w->ops->channel_batches(
			w->archive, s->opened.row.channel, s->opened.header.first - 1, gather_header, &g);
	return r == WALK_END ? 0 : r;
}

/* ---- the first checkpoint that names one of the event's headers ---- */

/* Sees whether the checkpoint's data name a header of the event's chain; the salt is kept then. */
static int find_anchor(struct writing *w, struct bytes data)
{
	Enlight__Event__V1__Checkpoint *c;
	struct digest anchor;

	c = wire_unpack(&enlight__event__v1__checkpoint__descriptor, data, CHECKPOINT_UNPACKED_MAX);
	if (c == NULL)
		return errno == ENOMEM ? -ENOMEM : 0;
	for (size_t i = 0; i < w->event.n_chain && !w->anchored; i++) {
		checkpoint_salt(w->salt, w->keys, c->time, &w->event.digests[i]);
		checkpoint_anchor(&anchor, w->salt, &w->event.digests[i]);
		w->anchored = checkpoint_names(c, &anchor);
	}
	wire_free(c);
	return 0;
}

static int try_checkpoint(struct writing *w, const struct place *place)
{
	struct event e = {0};
	int r = gather(w, &w->checkpoint, place, CHECKPOINT_CHAIN_MAX);

	if (r == 0)
		r = event_unpack(&e, w->checkpoint.opened.slots.items[place->index].event);
	if (r == 0)
		r = find_anchor(w, e.data);
	event_deinit(&e);
	return r == EVENT_MALFORMED ? LEDGER_NONE : r;
}

static int find_checkpoint(struct writing *w)
{
	const struct header *h = &w->event.opened.header;
	char id[CHECKPOINT_ID_SIZE];
	struct index_key key;
	struct place place;
	int r = 0, tries = 0;

	if (strcmp(h->audience, AUDIENCE_NETWORK) == 0)
		return 0; /* a checkpoint stands in that channel itself: its chain says as much */
	for (uint64_t day = h->time_ms / DAY_MS, end = day + CHECKPOINT_DAYS;
		day < end && !w->anchored && r == 0 && tries < CHECKPOINTS_TRIED; day++) {
		checkpoint_id(id, day);
		index_event(&key, w->keys, h->publisher, id);
		r = w->ops->event(w->archive, &key, &place);
		tries += r == 0;
		if (r == 0)
			r = try_checkpoint(w, &place);
		if (!w->anchored) {
			show_deinit(&w->checkpoint);
			w->checkpoint = (struct show){0};
		}
		if (r == LEDGER_NONE)
			r = 0;
	}
	return r;
}

/* ---- notes ---- */

static bool has_reader(const struct show *s, const char *member)
{
	for (size_t i = 0; i < s->n_receipts; i++)
		if (strcmp(s->readers[i], member) == 0)
			return true;
	return false;
}

static int add_note(struct writing *w, struct bytes text)
{
	ProtobufCBinaryData *notes = realloc(w->notes, (w->n_notes + 1) * sizeof *notes);
	int r = 0;

	if (notes == NULL)
		return -ENOMEM;
	w->notes = notes;
	notes[w->n_notes++] = copy(text, &r);
	return r;
}

/* A roster, or a card of somebody who signed: kept when it follows those that are there, as a verifier will see it. */
static int gather_note(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	struct writing *w = context;
	struct problems problems = {0};
	struct trust *next;
	int r;

	(void)number;
	if (strcmp(kind, "card") == 0 && strcmp(member, w->query->source) != 0 && !has_reader(&w->event, member) &&
		!has_reader(&w->checkpoint, member))
		return 0;
	r = trust_with(&next, w->trust, kind, text, &problems);
	problems_deinit(&problems);
	if (r != 0)
		return r < 0 ? r : 0;
	trust_unref(w->trust);
	w->trust = next;
	return add_note(w, text);
}

static int gather_notes(struct writing *w)
{
	const struct trust *t = w->query->trust;
	const struct roster *oldest = trust_roster_number(t, trust_oldest_roster(t));
	struct bytes text = bytes_of(oldest->note.text, oldest->note.text_len);
	struct problems problems = {0};
	int r = trust_new(&w->trust, &oldest->note.digest, "roster", text, &problems);

	problems_deinit(&problems);
	if (r == 0)
		r = add_note(w, text);
	if (r == 0)
		r = w->ops->notes(w->archive, gather_note, w);
	return r > 0 ? -EBADMSG : r;
}

/* ---- the file ---- */

/* A message that views what was gathered; its parts live as long as `m`. */
struct shown_message {
	Enlight__Log__V1__Shown shown;
	struct digest digests[MERKLE_PATH_MAX];
	ProtobufCBinaryData path[MERKLE_PATH_MAX];
	SignedHeader **chain;
	HeldBy **receipts;
};

static int fill_path(struct shown_message *m, const struct show *s)
{
	const struct slots *slots = &s->opened.slots;
	struct digest *leaves = calloc(slots->n, sizeof *leaves);

	if (leaves == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < slots->n; i++)
		leaves[i] = slots->items[i].leaf;
	m->shown.n_path = merkle_path(m->digests, leaves, slots->n, s->place.index);
	for (size_t i = 0; i < m->shown.n_path; i++)
		m->path[i] = (ProtobufCBinaryData){DIGEST_LEN, m->digests[i].bytes};
	m->shown.path = m->path;
	free(leaves);
	return 0;
}

static int fill_shown(struct shown_message *m, const struct show *s)
{
	struct bytes event = s->opened.slots.items[s->place.index].event;

	m->shown = (Enlight__Log__V1__Shown)ENLIGHT__LOG__V1__SHOWN__INIT;
	m->shown.event = (ProtobufCBinaryData){event.len, (uint8_t *)event.data};
	m->shown.index = s->place.index;
	m->chain = calloc(s->n_chain + 1, sizeof(SignedHeader *));
	m->receipts = calloc(s->n_receipts + 1, sizeof(HeldBy *));
	if (m->chain == NULL || m->receipts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_chain; i++)
		m->chain[i] = &s->chain[i];
	for (size_t i = 0; i < s->n_receipts; i++)
		m->receipts[i] = &s->receipts[i];
	m->shown.chain = m->chain;
	m->shown.n_chain = s->n_chain;
	m->shown.receipt = m->receipts;
	m->shown.n_receipt = s->n_receipts;
	return fill_path(m, s);
}

static int pack(struct writing *w)
{
	Enlight__Log__V1__Evidence e = ENLIGHT__LOG__V1__EVIDENCE__INIT;
	Enlight__Log__V1__Anchored anchored = ENLIGHT__LOG__V1__ANCHORED__INIT, *anchors[] = {&anchored};
	struct shown_message event = {0}, checkpoint = {0};
	int r = fill_shown(&event, &w->event);

	if (r == 0 && w->anchored)
		r = fill_shown(&checkpoint, &w->checkpoint);
	e.format = 1;
	e.n_note = w->n_notes;
	e.note = w->notes;
	e.event = &event.shown;
	if (w->anchored) {
		anchored.salt = (ProtobufCBinaryData){SALT_LEN, w->salt};
		anchored.checkpoint = &checkpoint.shown;
		e.n_anchored = 1;
		e.anchored = anchors;
	}
	if (r == 0) {
		w->query->file.data = wire_pack(&e, &w->query->file.len);
		r = w->query->file.data == NULL ? -ENOMEM : 0;
	}
	free(event.chain);
	free(event.receipts);
	free(checkpoint.chain);
	free(checkpoint.receipts);
	return r;
}

static int write_event(struct writing *w, int (*may_read)(const struct event_filter *filter, struct bytes event))
{
	struct index_key key;
	struct place place;
	int r;

	index_event(&key, w->keys, w->query->source, w->query->id);
	r = w->ops->event(w->archive, &key, &place);
	if (r == 0)
		r = gather(w, &w->event, &place, EVIDENCE_CHAIN_MAX);
	if (r == 0)
		r = may_read(&w->query->filter, w->event.opened.slots.items[place.index].event);
	if (r == 0)
		r = find_checkpoint(w);
	if (r == 0)
		r = gather_notes(w);
	return r == 0 ? pack(w) : r;
}

/* ---- a fork ---- */

static int pack_fork(struct writing *w, const struct fork_row *row)
{
	struct signed_header one = {row->header_a, row->signature_a.data},
			     other = {row->header_b, row->signature_b.data};
	struct bytes *notes = calloc(w->n_notes + 1, sizeof *notes);
	int r = -ENOMEM;

	for (size_t i = 0; notes != NULL && i < w->n_notes; i++)
		notes[i] = bytes_of(w->notes[i].data, w->notes[i].len);
	if (notes != NULL)
		r = evidence_pack_fork(&w->query->file, notes, w->n_notes, &one, &other);
	free(notes);
	return r;
}

/* Packs the first one of the channel that is asked for; the notes are there already. */
static int try_fork(void *context, const struct fork_row *row)
{
	struct writing *w = context;
	struct header a = {0}, b = {0};
	struct digest digest_a, digest_b;
	int r = header_decode(&a, row->header_a);

	if (r == 0)
		r = header_decode(&b, row->header_b);
	digest_header(&digest_a, row->header_a);
	digest_header(&digest_b, row->header_b);
	if (r == 0 && strcmp(a.publisher, w->query->source) == 0 && strcmp(a.audience, w->query->audience) == 0 &&
		headers_contradict(&a, &digest_a, &b, &digest_b)) {
		r = pack_fork(w, row);
		r = r == 0 ? WALK_END : r;
	}
	header_deinit(&a);
	header_deinit(&b);
	return r > 0 && r != WALK_END ? 0 : r;
}

static int write_fork(struct writing *w)
{
	int r = gather_notes(w);

	if (r == 0)
		r = w->ops->forks(w->archive, try_fork, w);
	return r == WALK_END ? 0 : r;
}

int evidence_run(const struct store_keys *keys, const struct archive_ops *ops, void *archive,
	struct evidence_query *query, int (*may_read)(const struct event_filter *filter, struct bytes event))
{
	struct writing w = {.keys = keys, .ops = ops, .archive = archive, .query = query};
	int r = query->id == NULL ? write_fork(&w) : write_event(&w, may_read);

	for (size_t i = 0; i < w.n_notes; i++)
		free(w.notes[i].data);
	free(w.notes);
	trust_unref(w.trust);
	sodium_memzero(w.salt, sizeof w.salt);
	show_deinit(&w.event);
	show_deinit(&w.checkpoint);
	return r == LEDGER_NONE ? 0 : r;
}
