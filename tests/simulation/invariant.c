#include "invariant.h"

#include "bounded.h"
#include "core/archived.h"
#include "core/event.h"
#include "core/handle.h"
#include "core/node_state.h"
#include "network_state.h"
#include "plugin.h"
#include "proof.h"
#include "thief.h"
#include <assert.h>

/* ---- what is sent ---- */

static void check_receipt(struct network *w, size_t from, const Enlight__Link__V1__SignedReceipt *signed_receipt)
{
	const struct member *m = &w->members[from];
	struct receipt receipt = {0};
	struct channel_row row = {0};
	struct batch_row batch;
	int r = receipt_decode(&receipt, bytes_of(signed_receipt->receipt.data, signed_receipt->receipt.len));

	assert(r == 0);
	r = memory_ledger_ops.channel_find(m->ledger, receipt.publisher, receipt.audience, &row);
	if (r == 0)
		r = memory_ledger_ops.batch_ending(m->ledger, row.id, receipt.to, &batch);
	if (r != 0 || receipt.to > row.last || !digest_equal(&batch.digest, &receipt.head))
		network_break(w,
			"a receipt claims more than is durable: reader %s, channel %s/%s, to %llu, held to %llu",
			m->handle, receipt.publisher, receipt.audience, (unsigned long long)receipt.to,
			(unsigned long long)row.last);
	channel_row_deinit(&row);
	receipt_deinit(&receipt);
}

static void check_for(struct network *w, size_t from, size_t to, const ProtobufCBinaryData *packed)
{
	struct header h = {0};
	int r = header_decode(&h, bytes_of(packed->data, packed->len));

	assert(r == 0);
	if (!audience_has(h.audience, w->members[to].handle) && strcmp(h.publisher, w->members[to].handle) != 0)
		network_break(w, "sent to one outside the audience: publisher %s, audience %s, to %s",
			w->members[from].handle, h.audience, w->members[to].handle);
	header_deinit(&h);
}

/* The key goes to one member: no other session's key opens it, nor does one that everybody knows. */
static void check_sealed(struct network *w, size_t from, size_t to, const Enlight__Link__V1__Deliver *d)
{
	static const uint8_t known[32];
	struct bytes wrapped = bytes_of(d->key.data, d->key.len);
	struct digest digest;
	uint8_t key[BATCH_KEY_LEN];
	bool opens;

	digest_header(&digest, bytes_of(d->header.data, d->header.len));
	opens = key_unwrap(key, known, &digest, wrapped);
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; i != from && i != to && w->members[i].up && k < w->members[i].node->n_peers; k++) {
			const struct session *s = w->members[i].node->peers[k]->session;

			opens |= s != NULL && key_unwrap(key, s->key, &digest, wrapped);
		}
	if (opens)
		network_break(w, "another than the reader can open a batch: publisher %s, to %s",
			w->members[from].handle, w->members[to].handle);
}

void check_sent(struct network *w, size_t from, size_t to, struct bytes frame)
{
	enum { RECEIPT = 5, HEADS = 3, DELIVER = 4 };
	struct bytes rest = frame;
	struct wire_field field;
	bool wanted = false;
	Frame *f;

	if (w->broken[0] != '\0' || (w->tamper != NULL && w->tamper_from == from))
		return;
	while (!wanted && wire_next(&rest, &field))
		wanted = field.number == RECEIPT || field.number == DELIVER ||
			 (field.number == HEADS && w->n_frames % 16 == 0);
	if (!wanted)
		return;
	f = wire_unpack(&enlight__link__v1__frame__descriptor, frame, 4 << 20);
	assert(f != NULL);
	if (f->receipt != NULL)
		check_receipt(w, from, f->receipt);
	if (f->deliver != NULL)
		check_for(w, from, to, &f->deliver->header);
	if (f->deliver != NULL && w->n <= 32 && w->n_frames % 64 == 0)
		check_sealed(w, from, to, f->deliver);
	for (size_t i = 0; f->heads != NULL && i < f->heads->n_head; i++)
		check_for(w, from, to, &f->heads->head[i]->header);
	wire_free(f);
}

/* ---- ledgers ---- */

struct walking {
	struct network *w;
	size_t reader;
	size_t publisher;              /* w->n: not known */
	const struct channel_row *row; /* the reader's */
	struct channel_row theirs;     /* the publisher's; id 0: none */
	uint64_t last;
	uint32_t incarnation, key;
	struct digest head;
	uint64_t empty, empty_at_head; /* slots without their events */
	size_t events;
};

static void break_channel(const struct walking *k, const char *what, uint64_t sequence)
{
	network_break(k->w, "%s: member %s, channel %s/%s, sequence %llu", what, k->w->members[k->reader].handle,
		k->row->publisher, k->row->audience, (unsigned long long)sequence);
}

static bool counts(const struct member *m)
{
	return m->joined && m->in_roster;
}

/* The reader may be in another history than the publisher, until all has arrived; for ever when they have no link any more. */
static bool is_mending(const struct network *w, size_t publisher, size_t reader)
{
	const struct member *p = &w->members[publisher], *r = &w->members[reader];

	return (is_retold(p) || r->went_back) && (!w->at_rest || !counts(p) || !counts(r) || p->liar || r->liar);
}

/* What is held is what the publisher holds; of one who lied, unless the channel is stopped. */
static void check_same(const struct walking *k, const struct batch_row *batch)
{
	struct batch_row own;
	uint64_t last = batch->first + batch->count - 1;

	if (k->reader == k->publisher || k->w->members[k->publisher].liar || is_mending(k->w, k->publisher, k->reader))
		return;
	if (k->theirs.id == 0 ||
		memory_ledger_ops.batch_ending(k->w->members[k->publisher].ledger, k->theirs.id, last, &own) != 0 ||
		!digest_equal(&own.digest, &batch->digest))
		break_channel(k, "other bytes than the publisher's", last);
}

static int walk_batch(void *context, const struct batch_row *batch)
{
	struct walking *k = context;
	struct header h = {0};
	struct digest digest;
	int r = header_decode(&h, batch->header);

	assert(r == 0);
	digest_header(&digest, batch->header);
	if (batch->first != k->last + 1 || h.first != batch->first || h.count != batch->count)
		break_channel(k, "a gap", batch->first);
	else if (!digest_equal(&digest, &batch->digest) || !digest_equal(&h.previous, &k->head))
		break_channel(k, "a batch that does not continue the one before", batch->first);
	else if (strcmp(h.publisher, k->row->publisher) != 0 || strcmp(h.audience, k->row->audience) != 0)
		break_channel(k, "a batch of another channel", batch->first);
	else if (!digest_equal(&h.network, &k->w->anchor))
		break_channel(k, "a batch of another network", batch->first);
	else if (h.key < k->key)
		break_channel(k, "the key number fell", batch->first);
	else
		check_same(k, batch);
	k->last = batch->first + batch->count - 1;
	k->incarnation = batch->incarnation;
	k->head = batch->digest;
	k->key = h.key;
	header_deinit(&h);
	return k->w->broken[0] != '\0';
}

/* ---- evidence ---- */

struct proving {
	struct proof proof;
	const char *lacks; /* what the last one lacks that proves nothing */
	bool proved;       /* one of them proves it */
	bool blames;       /* one of them does, and nobody else can have signed either header */
};

static int prove(void *context, struct bytes header_a, const uint8_t *signature_a, struct bytes header_b,
	const uint8_t *signature_b)
{
	struct proving *p = context;
	const char *lacks;

	p->proof.a = (struct proof_header){header_a.data, header_a.len, signature_a};
	p->proof.b = (struct proof_header){header_b.data, header_b.len, signature_b};
	lacks = proof_lacks(&p->proof);
	if (lacks != NULL)
		p->lacks = lacks;
	else
		p->proved = true;
	p->blames |= lacks == NULL && !proof_leaves_a_thief(&p->proof);
	return 0;
}

static int is_one(void *context, struct bytes header_a, const uint8_t *signature_a, struct bytes header_b,
	const uint8_t *signature_b)
{
	(void)context, (void)header_a, (void)signature_a, (void)header_b, (void)signature_b;
	return 1;
}

/* How far what a member keeps convinces somebody who has the publisher's newest card and nothing else. */
static struct proving prove_all(const struct walking *k)
{
	const struct network *w = k->w;
	const struct member *publisher = &w->members[k->publisher];
	const struct memory_ledger *ledger = w->members[k->reader].ledger;
	struct proving p = {.lacks = "there is none"};
	struct actor actor;
	struct buffer card;

	if (memory_ledger_forks(ledger, k->row->id, is_one, NULL) == 0)
		return p;
	actor = actor_of(publisher->handle, 0);
	card = network_newest_card(w, k->publisher);
	p = (struct proving){.proof = {.publisher = publisher->handle,
				     .network = w->anchor.bytes,
				     .identity = actor.public,
				     .card = (const char *)card.data,
				     .card_len = card.len}};
	memory_ledger_forks(ledger, k->row->id, prove, &p);
	buffer_deinit(&card);
	return p;
}

/* Two histories of an honest publisher are a thief's work, or its disk went back. */
static void check_evidence(const struct walking *k)
{
	const struct member *publisher = &k->w->members[k->publisher];
	struct proving p = prove_all(k);
	char what[160];

	if (p.blames && !publisher->liar && !publisher->went_back)
		break_channel(k, "evidence that blames an honest publisher", k->row->last);
	if (!k->row->stopped)
		return;
	snprintf(what, sizeof what, "stopped without evidence (%s)", p.lacks == NULL ? "" : p.lacks);
	if (!publisher->liar && !is_mending(k->w, k->publisher, k->reader))
		break_channel(k, "an honest publisher was stopped", k->row->last);
	else if (!p.proved)
		break_channel(k, what, k->row->last);
}

static bool signed_by(const struct trust *trust, const struct header *h, const struct sealed_batch *batch)
{
	enum card_key_state state;
	const uint8_t *key = trust_sign_key(trust, h->publisher, h->key, &state);

	return key != NULL && header_verify(batch->header, batch->signature, key);
}

/* A good signature of the publisher over something else than what is held at that place. */
void check_accepted(struct network *w, size_t member, const struct accept_job *job, uint64_t before)
{
	struct member *m = &w->members[member];
	struct walking k = {.w = w, .reader = member, .publisher = network_member_of(w, job->peer)};
	const struct trust *trust = node_trust(m->node);
	struct channel_row row = {0};
	struct header h = {0};
	struct batch_row held;
	enum card_key_state state = CARD_KEY_CURRENT;
	bool forked;

	if (k.publisher == w->n || k.publisher == member || !w->members[k.publisher].liar ||
		header_decode(&h, job->batch.header) != 0)
		return;
	k.row = &row;
	if (job->witness[0] != '\0')
		trust_sign_key(trust, h.publisher, h.key, &state);
	/* who contradicts itself and revokes the key may have been robbed: then it goes on */
	forked = state != CARD_KEY_REVOKED && !lost_a_key(&w->members[k.publisher]) &&
		 strcmp(h.publisher, job->peer) == 0 && audience_has(h.audience, m->handle) &&
		 digest_equal(&h.network, trust_network(trust)) &&
		 memory_ledger_ops.channel_find(m->ledger, h.publisher, h.audience, &row) == 0 && !row.stopped &&
		 memory_ledger_ops.batch_holding(m->ledger, row.id, h.first, &held) == 0 && held.number <= before &&
		 held.incarnation == h.incarnation && !bytes_equal(held.header, job->batch.header) &&
		 signed_by(trust, &h, &job->batch);
	if (forked)
		break_channel(&k, "two signed histories and the channel goes on", h.first);
	channel_row_deinit(&row);
	header_deinit(&h);
}

static int check_channel(void *context, const struct channel_row *row)
{
	struct walking *outer = context, k = {.w = outer->w, .reader = outer->reader, .row = row};
	const struct member *m = &k.w->members[k.reader];

	k.publisher = network_member_of(k.w, row->publisher);
	if (k.publisher == k.w->n || (k.publisher != k.reader && !audience_has(row->audience, m->handle))) {
		break_channel(&k, "holds what is not for it", row->last);
		return 1;
	}
	if (memory_ledger_ops.channel_find(
		    k.w->members[k.publisher].ledger, row->publisher, row->audience, &k.theirs) != 0)
		k.theirs = (struct channel_row){0};
	memory_archive_ops.channel_batches(m->ledger, row->id, 0, walk_batch, &k);
	if (k.last != row->last || !digest_equal(&k.head, &row->head))
		break_channel(&k, "the channel's row is not what is held", row->last);
	check_evidence(&k);
	channel_row_deinit(&k.theirs);
	return k.w->broken[0] != '\0';
}

/* A receipt that a publisher keeps is of what its reader holds. */
static int check_kept_receipt(void *context, const struct receipt_row *receipt)
{
	struct walking *k = context;
	size_t reader = network_member_of(k->w, receipt->reader);
	struct receipt r = {0};
	struct channel_row row = {0};

	if (reader == k->w->n || k->w->members[reader].liar || is_mending(k->w, k->reader, reader) ||
		receipt_decode(&r, receipt->packed) != 0)
		return 0;
	if (memory_ledger_ops.channel_find(k->w->members[reader].ledger, r.publisher, r.audience, &row) != 0 ||
		row.last < receipt->to)
		network_break(k->w,
			"a receipt of what its reader does not hold: reader %s, channel %s/%s, to %llu, held to %llu",
			receipt->reader, r.publisher, r.audience, (unsigned long long)receipt->to,
			(unsigned long long)row.last);
	channel_row_deinit(&row);
	receipt_deinit(&r);
	return k->w->broken[0] != '\0';
}

struct finding {
	uint64_t sequence;
	uint32_t index;
};

static int note_sequence(void *context, const struct batch_row *batch)
{
	struct finding *f = context;

	f->sequence = batch->first + f->index;
	return 0;
}

/* What was answered with success is where the answer said. */
static void check_acknowledged(struct network *w, const struct acknowledged *a)
{
	const struct member *m = &w->members[a->publisher];
	struct index_key key;
	struct place place;
	struct finding f = {0};

	if (m->liar || a->lost || is_mending(w, a->publisher, a->publisher))
		return;
	index_event(&key, &m->store_keys, m->handle, a->id);
	if (memory_archive_ops.event(m->ledger, &key, &place) == 0) {
		f.index = place.index;
		memory_archive_ops.batch(m->ledger, place.number, note_sequence, &f);
	}
	if (m->went_back ? f.sequence == 0 : f.sequence != a->sequence)
		network_break(w, "acknowledged and not there: publisher %s, audience %s, sequence %llu, found at %llu",
			m->handle, a->audience, (unsigned long long)a->sequence, (unsigned long long)f.sequence);
}

/* ---- trust ---- */

static bool is_agreed(const struct network *w, const struct roster *r)
{
	struct digest digest = w->anchor;
	bool found = digest_equal(&digest, &r->note.digest);

	for (size_t i = 0; i < w->n_rosters && !found; i++) {
		digest_plain(&digest, signed_part(&w->rosters[i]));
		found = digest_equal(&digest, &r->note.digest);
	}
	return found;
}

/* A key in use on a card is nobody else's. */
static void check_card(struct network *w, const struct member *m, const struct card *card)
{
	for (size_t k = 0; k < card->n_keys; k++)
		for (size_t i = 0; i < w->n && card->keys[k].state == CARD_KEY_CURRENT; i++)
			if (strcmp(w->members[i].handle, card->member) != 0 &&
				memcmp(w->members[i].keys.sign_public, card->keys[k].sign, SIGN_PUBLIC_LEN) == 0)
				network_break(w, "another's key is taken for its own: member %s, card of %s, key of %s",
					m->handle, card->member, w->members[i].handle);
}

static void check_trust(struct network *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct member *m = &w->members[i];
		const struct trust *trust = m->up ? node_trust(m->node) : m->trust;
		const struct roster *roster = trust_roster(trust);

		if (!is_agreed(w, roster))
			network_break(w, "a roster in force that the members did not agree on: member %s, number %u",
				m->handle, roster->number);
		for (size_t k = 0; k < roster->n_members; k++) {
			const struct card *card = trust_card(trust, roster->members[k].handle);

			if (card != NULL)
				check_card(w, m, card);
		}
	}
}

void check_ledgers(struct network *w)
{
	check_trust(w);
	for (size_t i = 0; i < w->n && w->broken[0] == '\0'; i++) {
		struct walking k = {.w = w, .reader = i};

		memory_archive_ops.channels(w->members[i].ledger, check_channel, &k);
		if (!w->members[i].liar)
			memory_archive_ops.receipts(w->members[i].ledger, check_kept_receipt, &k);
	}
	for (size_t i = 0; i < w->n_acknowledged && w->broken[0] == '\0'; i++)
		check_acknowledged(w, &w->acknowledged[i]);
}

/* ---- bodies ---- */

enum { MARKED_MAX = BATCH_EVENTS_MAX };
struct marked {
	bool refused[MARKED_MAX];
};

static int note_mark(void *context, uint32_t index, enum mark_kind kind, const char *text)
{
	struct marked *m = context;

	(void)text;
	if (index < MARKED_MAX && kind == MARK_REFUSED)
		m->refused[index] = true;
	return 0;
}

/* Signed by nobody who may: whoever has a link with its publisher has taken it back in the end. */
static bool is_thiefs(const struct walking *k, const struct event *e)
{
	const struct member *publisher = &k->w->members[k->publisher];

	return k->w->at_rest && strncmp(e->id, THIEF_ID, strlen(THIEF_ID)) == 0 && counts(publisher) &&
	       !publisher->liar && counts(&k->w->members[k->reader]);
}

static void check_event(const struct walking *k, struct bytes packed, bool refused, uint64_t sequence)
{
	struct problems problems = {0};
	struct event e = {0};
	int r = event_unpack(&e, packed);

	if (r == 0)
		r = event_validate(&e, k->row->publisher, k->row->audience, &problems);
	if (r != 0 && !refused && !(k->publisher == k->reader && k->w->members[k->publisher].liar))
		break_channel(k, "an event that breaks a rule is taken for good", sequence);
	if (refused && !k->w->members[k->publisher].liar)
		break_channel(k, "a good event is refused", sequence);
	if (r == 0 && is_thiefs(k, &e))
		break_channel(k, "a thief's event stays in a history", sequence);
	problems_deinit(&problems);
	event_deinit(&e);
}

static void check_signature(const struct walking *k, const struct batch_row *row)
{
	struct node_keys keys;
	struct header h = {0};
	int r = header_decode(&h, row->header);

	assert(r == 0);
	keys = node_keys_of(k->row->publisher, h.key);
	if (!header_verify(row->header, row->signature.data, keys.sign_public))
		break_channel(k, "a batch that its publisher did not sign", row->first);
	header_deinit(&h);
}

static int open_batch(void *context, const struct batch_row *row)
{
	struct walking *k = context;
	const struct member *m = &k->w->members[k->reader];
	struct archived o;
	struct marked *marked = calloc(1, sizeof *marked);
	int r = archived_read(&o, &m->store_keys, row);

	assert(marked != NULL);
	memory_archive_ops.marks(m->ledger, row->number, note_mark, marked);
	if (r != 0)
		break_channel(k, "a batch that does not open", row->first);
	check_signature(k, row);
	k->empty_at_head = 0;
	for (size_t i = 0; r == 0 && i < o.slots.n; i++) {
		if (o.slots.items[i].event.data == NULL)
			k->empty_at_head++;
		else
			check_event(k, o.slots.items[i].event, marked->refused[i], row->first + i);
		k->events++;
	}
	k->empty += k->empty_at_head;
	archived_deinit(&o);
	free(marked);
	return k->w->broken[0] != '\0';
}

/* Nobody erases anything here: every empty slot is one withheld. */
static int check_opened(void *context, const struct channel_row *row)
{
	struct walking *outer = context, k = {.w = outer->w, .reader = outer->reader, .row = row};
	const struct member *m = &k.w->members[k.reader];
	struct channel_row own = {0};

	k.publisher = network_member_of(k.w, row->publisher);
	memory_archive_ops.channel_batches(m->ledger, row->id, 0, open_batch, &k);
	if (k.empty != row->uncovered)
		break_channel(&k, "empty slots that are not counted", row->last);
	if (!k.w->members[k.publisher].went_back && /* then its head is no longer where it was */
		memory_ledger_ops.channel_find(k.w->members[k.publisher].ledger, row->publisher, row->audience, &own) ==
			0 &&
		own.last == row->last && k.empty_at_head > 0)
		break_channel(&k, "empty slots at the head were taken", row->last);
	channel_row_deinit(&own);
	return k.w->broken[0] != '\0';
}

static int check_receipt_signature(void *context, const struct receipt_row *row)
{
	struct walking *k = context;
	struct node_keys keys;
	struct receipt r = {0};
	int result = receipt_decode(&r, row->packed);

	assert(result == 0);
	keys = node_keys_of(row->reader, r.key);
	if (!receipt_verify(row->packed, row->signature, keys.sign_public))
		network_break(k->w, "a receipt that its reader did not sign: publisher %s, reader %s", r.publisher,
			row->reader);
	receipt_deinit(&r);
	return k->w->broken[0] != '\0';
}

void check_bodies(struct network *w)
{
	check_ledgers(w);
	for (size_t i = 0; i < w->n && w->broken[0] == '\0'; i++) {
		struct walking k = {.w = w, .reader = i};

		memory_archive_ops.receipts(w->members[i].ledger, check_receipt_signature, &k);
		memory_archive_ops.channels(w->members[i].ledger, check_opened, &k);
	}
}

/* ---- at the end ---- */

struct arriving {
	struct network *w;
	size_t publisher;
	char *why;
	size_t size;
	bool missing;
};

static int check_copies(void *context, const struct channel_row *row)
{
	struct arriving *a = context;
	struct network *w = a->w;
	const struct member *publisher = &w->members[a->publisher];

	if (strcmp(row->publisher, publisher->handle) != 0)
		return 0;
	for (size_t i = 0; i < w->n && !a->missing; i++) {
		struct channel_row copy = {0};
		struct receipt_row receipt = {0};

		if (i == a->publisher || !counts(&w->members[i]) || !audience_has(row->audience, w->members[i].handle))
			continue;
		memory_ledger_ops.channel_find(w->members[i].ledger, row->publisher, row->audience, &copy);
		memory_ledger_ops.receipt_find(publisher->ledger, row->id, w->members[i].handle, &receipt);
		a->missing = !digest_equal(&copy.head, &row->head) || receipt.incarnation < row->incarnation ||
			     receipt.to < row->last;
		if (a->missing)
			snprintf(a->why, a->size,
				"channel %s/%s: published to %llu, reader %s holds to %llu, its receipt is to %llu",
				row->publisher, row->audience, (unsigned long long)row->last, w->members[i].handle,
				(unsigned long long)copy.last, (unsigned long long)receipt.to);
		channel_row_deinit(&copy);
	}
	return a->missing;
}

/* What a member holds of others: nothing that they do not have, and nothing stopped. */
static int check_held(void *context, const struct channel_row *row)
{
	struct arriving *a = context;
	struct network *w = a->w;
	size_t publisher = network_member_of(w, row->publisher);
	struct channel_row theirs = {0};

	if (publisher == w->n || publisher == a->publisher || !counts(&w->members[publisher]) ||
		w->members[publisher].liar)
		return 0;
	memory_ledger_ops.channel_find(w->members[publisher].ledger, row->publisher, row->audience, &theirs);
	a->missing = row->stopped != 0 || (row->last > 0 && theirs.last == 0);
	if (a->missing)
		snprintf(a->why, a->size, "channel %s/%s: reader %s %s", row->publisher, row->audience,
			w->members[a->publisher].handle,
			row->stopped != 0 ? "is stopped" : "holds what was not published");
	channel_row_deinit(&theirs);
	return a->missing;
}

static bool is_published(const struct member *m)
{
	for (size_t i = m->first_wish; i < m->n_wishes; i++)
		if (!m->wishes[i].done)
			return false;
	return true;
}

bool check_arrived(struct network *w, char *why, size_t size)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct member *m = &w->members[i];
		struct arriving a = {.w = w, .publisher = i, .why = why, .size = size};

		if (!counts(m) || m->liar)
			continue;
		if (!m->up || !is_published(m)) {
			snprintf(why, size, "member %s %s", m->handle, m->up ? "has not published all" : "is down");
			return false;
		}
		memory_archive_ops.channels(m->ledger, check_copies, &a);
		if (!a.missing)
			memory_archive_ops.channels(m->ledger, check_held, &a);
		if (a.missing)
			return false;
		if (node_recovers(m->node)) {
			snprintf(why, size, "member %s takes back what it had published", m->handle);
			return false;
		}
		if (m->plugin != NULL && !plugin_is_settled(m->plugin)) {
			char state[160];

			plugin_say(m->plugin, state, sizeof state);
			snprintf(why, size, "the plugin of %s is not done: %s", m->handle, state);
			return false;
		}
	}
	return true;
}

/* ---- what the plugins end with ---- */

/* A state of an object in the publisher's own history. */
struct state {
	char *subject;
	uint64_t content;
	bool last;
};

struct ending {
	const struct member *m;
	struct state *states;
	size_t n;
};

static void note_state(struct ending *x, const struct event *e)
{
	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->states[i].subject, e->subject) == 0)
			x->states[i].last = false;
	x->states = realloc(x->states, (x->n + 1) * sizeof *x->states);
	assert(x->states != NULL);
	x->states[x->n++] = (struct state){strdup(e->subject), plugin_content(e), true};
}

/* The state that a plugin ended with is the last one, unless its event went with the publisher's disk. */
static bool is_older(const struct ending *x, const char *subject, uint64_t content)
{
	bool older = false;

	for (size_t i = 0; i < x->n; i++)
		if (strcmp(x->states[i].subject, subject) == 0 && x->states[i].content == content)
			older = !x->states[i].last;
	return older;
}

static int note_states(void *context, const struct batch_row *row)
{
	struct ending *x = context;
	struct archived o;
	int r = archived_read(&o, &x->m->store_keys, row);

	assert(r == 0);
	for (size_t i = 0; i < o.slots.n; i++) {
		struct event e = {0};

		if (o.slots.items[i].event.data == NULL)
			continue; /* another check's */
		r = event_unpack(&e, o.slots.items[i].event);
		assert(r == 0);
		if (strcmp(e.subject, "course/" PLUGIN_COURSE) !=
			0) /* in several channels, which have no order between them */
			note_state(x, &e);
		event_deinit(&e);
	}
	archived_deinit(&o);
	return 0;
}

struct comparing {
	struct network *w;
	size_t publisher;
};

static int compare_states(void *context, const struct channel_row *row)
{
	struct comparing *c = context;
	struct network *w = c->w;
	const struct member *m = &w->members[c->publisher];
	struct ending x = {.m = m};

	if (strcmp(row->publisher, m->handle) != 0 || strcmp(row->audience, m->handle) == 0)
		return 0;
	memory_archive_ops.channel_batches(m->ledger, row->id, 0, note_states, &x);
	for (size_t i = 0; i < x.n; i++) {
		for (size_t r = x.states[i].last ? 0 : w->n; r < w->n && w->broken[0] == '\0'; r++)
			if (r != c->publisher && counts(&w->members[r]) && !w->members[r].liar &&
				audience_has(row->audience, w->members[r].handle) &&
				is_older(&x, x.states[i].subject,
					plugin_state(w->members[r].plugin, m->handle, x.states[i].subject)))
				network_break(w,
					"a plugin ends with an older state: member %s, channel %s/%s, object %s",
					w->members[r].handle, m->handle, row->audience, x.states[i].subject);
	}
	for (size_t i = 0; i < x.n; i++)
		free(x.states[i].subject);
	free(x.states);
	return w->broken[0] != '\0';
}

static void check_states(struct network *w)
{
	for (size_t i = 0; i < w->n && w->with_plugins && w->broken[0] == '\0'; i++) {
		struct comparing c = {w, i};

		if (counts(&w->members[i]) && !w->members[i].liar)
			memory_archive_ops.channels(w->members[i].ledger, compare_states, &c);
	}
}

void check_end(struct network *w)
{
	w->at_rest = true;
	check_bodies(w);
	check_at_rest(w);
	check_states(w);
	for (size_t i = 0; i < w->n_acknowledged && w->with_plugins; i++) {
		const struct acknowledged *a = &w->acknowledged[i];
		const struct member *publisher = &w->members[a->publisher];

		if (publisher->liar || a->lost || !counts(publisher))
			continue;
		for (size_t r = 0; r < w->n && w->broken[0] == '\0'; r++)
			if (r != a->publisher && counts(&w->members[r]) && !w->members[r].liar &&
				audience_has(a->audience, w->members[r].handle) &&
				!plugin_has(w->members[r].plugin, publisher->handle, a->id))
				network_break(w,
					"a plugin did not get an event: member %s, channel %s/%s, sequence %llu",
					w->members[r].handle, publisher->handle, a->audience,
					(unsigned long long)a->sequence);
	}
}

/* ---- as the API shows it ---- */

/* All that a member shows of one channel, as the API would: an array of events. */
static json_t *shown(struct network *w, size_t member, const char *publisher, const char *audience)
{
	struct query *q = query_new(QUERY_EVENTS);
	json_t *all = json_array();
	uint8_t seed[32] = {0};

	assert(q != NULL);
	q->events.limit = 1000;
	q->events.from_start = true;
	q->events.filter.source = strdup(publisher);
	q->events.filter.audience = strdup(audience);
	do {
		json_decref(q->events.events);
		q->events.events = NULL;
		query_run(w->members[member].querier, &memory_archive_ops, w->members[member].ledger, q, seed);
		assert(q->result == 0);
		json_array_extend(all, q->events.events);
		q->events.after = q->events.next;
		q->events.from_start = false;
	} while (q->events.more);
	query_free(q);
	return all;
}

static const char *wrong(struct network *w, const char *format, const char *a, const char *b, unsigned long long n)
{
	snprintf(w->wrong, sizeof w->wrong, "%s: reader %s, channel %s, number %llu", format, a, b, n);
	return w->wrong;
}

/* What one reader shows of a channel: in order without gaps, and the publisher's own. */
static const char *check_copy(struct network *w, size_t reader, size_t publisher, const char *audience, bool complete)
{
	json_t *own = shown(w, publisher, w->members[publisher].handle, audience);
	json_t *copy = shown(w, reader, w->members[publisher].handle, audience);
	const char *bad = NULL;
	size_t i;

	if (json_array_size(copy) > json_array_size(own) || (complete && json_array_size(copy) != json_array_size(own)))
		bad = wrong(w, "not as many events as the publisher", w->members[reader].handle, audience,
			json_array_size(copy));
	for (i = 0; i < json_array_size(copy) && bad == NULL; i++) {
		json_t *a = json_array_get(own, i), *b = json_array_get(copy, i);

		if (json_integer_value(json_object_get(b, "sequence")) != (json_int_t)i + 1)
			bad = wrong(w, "a gap", w->members[reader].handle, audience, i + 1);
		else if (!json_equal(json_object_get(a, "digest"), json_object_get(b, "digest")))
			bad = wrong(w, "other bytes than the publisher's", w->members[reader].handle, audience, i + 1);
		else if (strcmp(json_string_value(json_object_get(b, "state")), "accepted") != 0)
			bad = wrong(w, "a good event is refused", w->members[reader].handle, audience, i + 1);
	}
	json_decref(own);
	json_decref(copy);
	return bad;
}

static bool same_channel(const struct acknowledged *a, const struct acknowledged *b)
{
	return a->publisher == b->publisher && strcmp(a->audience, b->audience) == 0;
}

/* The first of the acknowledged events of its channel: so that each channel is looked at once. */
static bool first_of_channel(const struct network *w, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_channel(&w->acknowledged[k], &w->acknowledged[i]))
			return false;
	return true;
}

/* Where the answer said; anywhere, when its publisher may have published it again. */
static bool is_shown(const json_t *events, const struct acknowledged *a, bool anywhere)
{
	bool shown = a->lost;

	for (size_t i = 0; i < json_array_size(events) && !shown; i++) {
		const char *id = json_string_value(json_object_get(json_array_get(events, i), "id"));

		shown = (anywhere || i + 1 == a->sequence) && id != NULL && strcmp(id, a->id) == 0;
	}
	return shown;
}

/* Every acknowledged event of a channel is in the publisher's own log where the answer said. */
static const char *missing_acknowledged(struct network *w, const struct acknowledged *channel)
{
	json_t *own = shown(w, channel->publisher, w->members[channel->publisher].handle, channel->audience);
	const char *bad = NULL;

	for (size_t i = 0; i < w->n_acknowledged && bad == NULL; i++) {
		const struct acknowledged *a = &w->acknowledged[i];
		if (same_channel(a, channel) && !is_shown(own, a, w->members[channel->publisher].went_back))
			bad = wrong(w, "acknowledged and not there", w->members[a->publisher].handle, a->audience,
				a->sequence);
	}
	json_decref(own);
	return bad;
}

struct visiting {
	struct network *w;
	size_t reader;
	bool complete;
	const char *bad;
};

static int compare_channel(void *context, const struct channel_row *row)
{
	struct visiting *v = context;
	size_t publisher = 0;

	while (publisher < v->w->n && strcmp(v->w->members[publisher].handle, row->publisher) != 0)
		publisher++;
	assert(publisher < v->w->n);
	if (publisher != v->reader && !audience_has(row->audience, v->w->members[v->reader].handle))
		v->bad = wrong(
			v->w, "holds what is not for it", v->w->members[v->reader].handle, row->audience, row->last);
	else if (v->bad == NULL && row->last > 0)
		v->bad = check_copy(v->w, v->reader, publisher, row->audience, false);
	return v->bad != NULL;
}

const char *network_check(struct network *w)
{
	if (w->broken[0] != '\0')
		return w->broken;
	for (size_t i = 0; i < w->n; i++) {
		struct visiting v = {.w = w, .reader = i};

		memory_archive_ops.channels(w->members[i].ledger, compare_channel, &v);
		if (v.bad != NULL)
			return v.bad;
	}
	for (size_t i = 0; i < w->n_acknowledged; i++) {
		const char *bad = first_of_channel(w, i) ? missing_acknowledged(w, &w->acknowledged[i]) : NULL;

		if (bad != NULL)
			return bad;
	}
	return NULL;
}

const char *network_check_complete(struct network *w)
{
	const char *bad = network_check(w);

	for (size_t i = 0; i < w->n_acknowledged && bad == NULL; i++)
		for (size_t r = 0; r < w->n && bad == NULL && first_of_channel(w, i); r++)
			if (r != w->acknowledged[i].publisher &&
				audience_has(w->acknowledged[i].audience, w->members[r].handle))
				bad = check_copy(w, r, w->acknowledged[i].publisher, w->acknowledged[i].audience, true);
	return bad;
}

/* Whether every wish is answered and every reader has acknowledged every event, by the publishers' own picture. */
static bool settled(const struct network *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct member *m = &w->members[i];
		struct node_counters c;

		if (!m->up)
			continue;
		for (size_t k = 0; k < m->n_wishes; k++)
			if (!m->wishes[k].done)
				return false;
		node_counters(m->node, &c);
		if (c.behind != 0)
			return false;
	}
	return true;
}

bool network_settle(struct network *w, uint64_t most_ms)
{
	uint64_t until = w->now_ms + most_ms;

	while (!settled(w) && w->now_ms < until)
		network_run(w, 100);
	return settled(w);
}
