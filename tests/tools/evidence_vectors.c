/* vectors/evidence.json: files of evidence, one good one and what becomes of it when one thing is changed. Each row says what a verifier
 * must find; the rest of its findings is what core finds. */
#include "make_vectors.h"

#include "../unit/notes.h"
#include "core/evidence.h"
#include "core/wire.h"
#include "enlight/event/v1/node.pb-c.h"
#include "enlight/log/v1/evidence.pb-c.h"
#include "enlight/log/v1/log.pb-c.h"
#include <stdio.h>

static const char about[] =
	"Files of evidence: a good one, `whole`, and others with one thing changed. Each of `files` is the first "
	"`head` "
	"bytes of the good one, then `middle`, then the last `tail` bytes of the good one. `network` is the digest "
	"that a verifier is given, `proved` its verdict, `findings` all that it says, in any order: kind, what, "
	"about.";

#define PUBLISHER "ut.ee"
#define AUDIENCE "rug.nl,ugent.be"
enum { N_MEMBERS = 3, NOTES = 8, HEADERS = 3, RECEIPTS = 2, EVENTS = 3, SHOWN_EVENT = 1, KEPT = 64 };
static const uint64_t now_ms = 1795426200000; /* 2026-11-23, 09:30 UTC */
static const char checkpoint_time[] = "2026-11-24T00:00:01.000Z";

typedef Enlight__Log__V1__Evidence Evidence;
typedef Enlight__Log__V1__SignedHeader SignedHeader;
typedef Enlight__Log__V1__HeldBy HeldBy;
typedef Enlight__Log__V1__Shown Shown;

/* One header before it is signed, and what comes of it. */
struct made {
	struct header header;
	const char *signer;  /* whose key signs */
	bool keep_previous;  /* do not fill it in */
	struct bytes packed; /* owned */
	struct digest digest;
	uint8_t signature[SIGNATURE_LEN];
};
struct made_receipt {
	struct receipt receipt;
	const char *signer;
	bool keep_head;
	struct bytes packed; /* owned */
	uint8_t signature[SIGNATURE_LEN];
};
/* One event's place, chain and receipts. */
struct made_shown {
	struct batch_builder batch;
	uint32_t index;
	struct digest path[MERKLE_PATH_MAX];
	size_t n_path;
	struct made chain[HEADERS];
	size_t n_chain;
	struct made_receipt receipts[RECEIPTS];
	size_t n_receipts;
};
struct parts {
	struct digest network, given; /* of the headers; for the verifier */
	struct buffer notes[NOTES];
	size_t n_notes;
	struct made_shown event, checkpoint;
	uint8_t salt[SALT_LEN];
	bool anchored;
	bool fork; /* the first two headers of the event's chain */
};

/* ---- rosters and cards ---- */

static const char *const handles[] = {"rug.nl", "ugent.be", PUBLISHER, "uu.se"};

static struct digest signed_digest(const struct buffer *note)
{
	struct digest d;

	digest_plain(&d, signed_part(note));
	return d;
}

static struct buffer *add_note(struct parts *p, struct buffer text)
{
	must(p->n_notes < NOTES, "notes");
	p->notes[p->n_notes] = text;
	return &p->notes[p->n_notes++];
}

static struct buffer first_roster(void)
{
	struct actor members[N_MEMBERS];
	struct buffer b;

	for (size_t i = 0; i < N_MEMBERS; i++)
		members[i] = actor_of(handles[i], 0);
	b = roster_text(NULL, 1, 2, members, N_MEMBERS);
	sign_by(&b, &members[0]);
	sign_by(&b, &members[2]);
	return b;
}

/* Number 2, in which uu.se joins; `n_signers` of those before sign. */
static struct buffer second_roster(const struct buffer *first, size_t n_signers)
{
	struct actor members[N_MEMBERS + 1];
	struct buffer b;

	for (size_t i = 0; i < N_MEMBERS + 1; i++)
		members[i] = actor_of(handles[i], 0);
	b = roster_text(first, 2, 3, members, N_MEMBERS + 1);
	for (size_t i = 0; i < n_signers; i++)
		sign_by(&b, &members[i]);
	sign_by(&b, &members[N_MEMBERS]);
	return b;
}

/* The second card of a member: key 1 is what `state` says, key 2 in use. */
static struct buffer second_card(const struct parts *p, const char *handle, enum card_key_state state)
{
	struct actor a = actor_of(handle, 0);
	struct card_key keys[] = {card_key_of(handle, 1, state), card_key_of(handle, 2, CARD_KEY_CURRENT)};
	struct buffer b = {0};

	card_write(&b, &p->network, handle, 2, NULL, keys, 2, NULL, 0);
	sign_by(&b, &a);
	sign_by_node(&b, handle, 2);
	return b;
}

static void make_notes(struct parts *p)
{
	struct buffer *first = add_note(p, first_roster());

	p->network = p->given = signed_digest(first);
	for (size_t i = 0; i < N_MEMBERS; i++) {
		struct actor a = actor_of(handles[i], 0);

		add_note(p, card_text(&p->network, &a, 1, 1));
	}
	add_note(p, second_roster(&p->notes[0], 2));
}

/* ---- events, headers and receipts ---- */

static void label(struct digest *out, const char *what, size_t i)
{
	char text[64];

	snprintf(text, sizeof text, "%s %zu", what, i);
	digest_plain(out, bytes_str(text));
}

static void add_event(struct made_shown *s, const char *type, const char *id, const char *subject, struct bytes data)
{
	Enlight__Log__V1__Event m = ENLIGHT__LOG__V1__EVENT__INIT;
	struct digest salt, leaf;
	uint8_t *packed;
	size_t len;

	label(&salt, "salt", s->batch.n);
	m.salt = (ProtobufCBinaryData){SALT_LEN, salt.bytes};
	m.id = (char *)id;
	m.type = (char *)type;
	m.subject = (char *)subject;
	m.time = (char *)"2026-11-23T09:30:00Z";
	m.revision = 1;
	m.has_data = true;
	m.data = (ProtobufCBinaryData){data.len, (uint8_t *)data.data};
	m.data_class = (char *)"internal";
	m.keep_until = (char *)"2036-11-23";
	packed = wire_pack(&m, &len);
	must(packed != NULL && batch_add(&s->batch, bytes_of(packed, len), &leaf) == 0, "an event");
	free(packed);
}

static void set_header(struct parts *p, struct made *m, const char *audience, uint64_t first, uint32_t count)
{
	m->header = (struct header){.network = p->network,
		.incarnation = 1,
		.first = first,
		.count = count,
		.has_after = first == 1,
		.time_ms = now_ms + first,
		.roster = signed_digest(&p->notes[p->n_notes - 1]),
		.card = signed_digest(&p->notes[N_MEMBERS]),
		.key = 1};
	strcpy(m->header.publisher, PUBLISHER);
	m->header.audience = strdup(audience);
	must(m->header.audience != NULL, "out of memory");
	label(&m->header.root, "root", first);
	m->signer = PUBLISHER;
}

static void set_receipt(struct parts *p, struct made_receipt *m, const char *reader, const char *audience, uint64_t to)
{
	m->receipt = (struct receipt){
		.network = p->network, .incarnation = 1, .from = 1, .to = to, .time_ms = now_ms + 1000, .key = 1};
	strcpy(m->receipt.reader, reader);
	strcpy(m->receipt.publisher, PUBLISHER);
	m->receipt.audience = strdup(audience);
	must(m->receipt.audience != NULL, "out of memory");
	m->signer = reader;
}

static void make_event(struct parts *p)
{
	static const char *const ids[EVENTS] = {"one", "two", "three"};
	static const uint64_t firsts[HEADERS] = {1, 4, 6};
	static const uint32_t counts[HEADERS] = {EVENTS, 2, 1};
	struct made_shown *s = &p->event;

	for (size_t i = 0; i < EVENTS; i++)
		add_event(s, "eu.enlight.elsewhere.thing.v1", ids[i], "elsewhere/1", bytes_str(ids[i]));
	s->index = SHOWN_EVENT;
	s->n_chain = HEADERS;
	for (size_t i = 0; i < HEADERS; i++)
		set_header(p, &s->chain[i], AUDIENCE, firsts[i], counts[i]);
	merkle_root(&s->chain[0].header.root, s->batch.leaves, s->batch.n);
	s->n_receipts = RECEIPTS;
	set_receipt(p, &s->receipts[0], "ugent.be", AUDIENCE, 6);
	set_receipt(p, &s->receipts[1], "rug.nl", AUDIENCE, 3);
}

/* ---- what rows change before anything is signed ---- */

static void without_witnesses(struct parts *p)
{
	p->event.n_receipts = 0;
	p->anchored = false;
}

static void retired(struct parts *p)
{
	add_note(p, second_card(p, PUBLISHER, CARD_KEY_RETIRED));
}

static void revoked(struct parts *p)
{
	add_note(p, second_card(p, PUBLISHER, CARD_KEY_REVOKED));
}

static void revoked_alone(struct parts *p)
{
	revoked(p);
	p->anchored = false;
}

static void revoked_and_goes_on(struct parts *p)
{
	revoked_alone(p);
	p->event.chain[2].header.key = 2;
}

static void revoked_and_checkpoint(struct parts *p)
{
	revoked(p);
	p->checkpoint.chain[0].header.key = 2;
}

static void receipt_before(struct parts *p)
{
	p->event.index = 2;
	p->event.receipts[1].receipt.to = 1;
	p->event.receipts[1].keep_head = true;
}

static void receipt_beyond(struct parts *p)
{
	p->event.n_chain = 2;
	p->event.receipts[0].keep_head = true;
}

static void reader_revoked(struct parts *p)
{
	add_note(p, second_card(p, "ugent.be", CARD_KEY_REVOKED));
}

static void reader_retired(struct parts *p)
{
	add_note(p, second_card(p, "ugent.be", CARD_KEY_RETIRED));
}

static void other_roster(struct parts *p)
{
	label(&p->event.chain[0].header.roster, "roster", 0);
}

static void later_anchor(struct parts *p)
{
	struct buffer second = p->notes[N_MEMBERS + 1];

	p->given = signed_digest(&second);
	buffer_deinit(&p->notes[0]);
	p->notes[0] = second;
	p->n_notes--;
}

static void new_incarnation(struct parts *p)
{
	for (size_t i = 1; i < HEADERS; i++)
		p->event.chain[i].header.incarnation = 2;
	p->event.chain[1].header.has_after = true;
	p->event.receipts[0].receipt.incarnation = 2;
}

static void other_network_given(struct parts *p)
{
	label(&p->given, "network", 0);
}

static void no_notes(struct parts *p)
{
	while (p->n_notes > 0)
		buffer_deinit(&p->notes[--p->n_notes]);
}

static void card_first(struct parts *p)
{
	struct buffer roster = p->notes[0];

	p->notes[0] = p->notes[1];
	p->notes[1] = roster;
}

static void replace_note(struct parts *p, size_t i, struct buffer text)
{
	buffer_deinit(&p->notes[i]);
	p->notes[i] = text;
}

/* Roster 3, whose predecessor is not in the file. */
static void roster_hole(struct parts *p)
{
	struct actor members[N_MEMBERS];
	struct buffer b;

	for (size_t i = 0; i < N_MEMBERS; i++)
		members[i] = actor_of(handles[i], 0);
	b = roster_text(&p->notes[N_MEMBERS + 1], 3, 2, members, N_MEMBERS);
	for (size_t i = 0; i < N_MEMBERS; i++)
		sign_by(&b, &members[i]);
	replace_note(p, N_MEMBERS + 1, b);
}

static void roster_without_quorum(struct parts *p)
{
	replace_note(p, N_MEMBERS + 1, second_roster(&p->notes[0], 1));
}

static void first_without_quorum(struct parts *p)
{
	struct bytes text = signed_part(&p->notes[0]);
	struct actor a = actor_of(handles[0], 0);
	struct buffer b = {0};

	buffer_add(&b, text.data, text.len);
	sign_by(&b, &a);
	replace_note(p, 0, b);
}

static void card_of_stranger(struct parts *p)
{
	struct actor a = actor_of("uu.se", 0);

	replace_note(p, 1, card_text(&p->network, &a, 1, 1));
}

static void card_by_other_identity(struct parts *p)
{
	struct actor a = actor_of("ugent.be", 1);

	replace_note(p, 2, card_text(&p->network, &a, 1, 1));
}

static void card_twice(struct parts *p)
{
	struct actor a = actor_of("ugent.be", 0);

	add_note(p, card_text(&p->network, &a, 1, 1));
}

static void key_comes_back(struct parts *p)
{
	struct actor a = actor_of(PUBLISHER, 0);
	struct card_key keys[] = {
		card_key_of(PUBLISHER, 1, CARD_KEY_RETIRED), card_key_of(PUBLISHER, 2, CARD_KEY_CURRENT)};
	struct buffer b = {0};

	revoked(p);
	card_write(&b, &p->network, PUBLISHER, 3, NULL, keys, 2, NULL, 0);
	sign_by(&b, &a);
	sign_by_node(&b, PUBLISHER, 2);
	add_note(p, b);
}

static void unknown_word(struct parts *p)
{
	struct actor a = actor_of("ugent.be", 0);
	struct card_key keys[] = {card_key_of("ugent.be", 1, CARD_KEY_CURRENT)};
	struct buffer b = {0};

	card_write(&b, &p->network, "ugent.be", 1, NULL, keys, 1, NULL, 0);
	buffer_str(&b, "!must know\n");
	sign_by(&b, &a);
	sign_by_node(&b, "ugent.be", 1);
	replace_note(p, 2, b);
}

static void header_of_other_network(struct parts *p)
{
	label(&p->event.chain[0].header.network, "network", 0);
}

static void signed_by_stranger(struct parts *p)
{
	p->event.chain[0].signer = "uu.se";
}

static void unknown_key(struct parts *p)
{
	p->event.chain[0].header.key = 7;
}

static void link_by_stranger(struct parts *p)
{
	p->event.chain[1].signer = "rug.nl";
}

static void gap(struct parts *p)
{
	p->event.chain[1].header.first = 5;
}

static void other_previous(struct parts *p)
{
	label(&p->event.chain[2].header.previous, "previous", 0);
	p->event.chain[2].keep_previous = true;
}

static void key_falls(struct parts *p)
{
	retired(p);
	p->event.chain[0].header.key = 2;
}

static void other_channel(struct parts *p)
{
	strcpy(p->event.chain[1].header.audience, "rug.nl");
}

static void raised_without_after(struct parts *p)
{
	p->event.chain[1].header.incarnation = 2;
}

static void receipt_of_other_channel(struct parts *p)
{
	strcpy(p->event.receipts[0].receipt.audience, "ugent.be");
}

static void receipt_of_other_network(struct parts *p)
{
	label(&p->event.receipts[1].receipt.network, "network", 0);
}

static void receipt_of_other_head(struct parts *p)
{
	label(&p->event.receipts[0].receipt.head, "head", 0);
	p->event.receipts[0].keep_head = true;
}

static void receipt_inside_batch(struct parts *p)
{
	p->event.receipts[0].receipt.to = 5;
	p->event.receipts[0].receipt.head = p->event.chain[1].header.root;
	p->event.receipts[0].keep_head = true;
	p->event.chain[1].header.count = 3;
	p->event.chain[2].header.first = 7;
}

static void receipt_of_other_incarnation(struct parts *p)
{
	p->event.receipts[1].receipt.incarnation = 2;
}

static void receipt_unknown_key(struct parts *p)
{
	p->event.receipts[0].receipt.key = 3;
}

static void receipt_by_other(struct parts *p)
{
	p->event.receipts[0].signer = "rug.nl";
}

/* Only a channel for the network has its publisher in its audience. */
static void receipt_by_publisher(struct parts *p)
{
	strcpy(p->checkpoint.receipts[0].receipt.reader, PUBLISHER);
	p->checkpoint.receipts[0].signer = PUBLISHER;
}

static void checkpoint_to_few(struct parts *p)
{
	free(p->checkpoint.chain[0].header.audience);
	p->checkpoint.chain[0].header.audience = strdup(AUDIENCE);
	p->checkpoint.n_receipts = 0;
}

static void checkpoint_of_other(struct parts *p)
{
	strcpy(p->checkpoint.chain[0].header.publisher, "rug.nl");
	p->checkpoint.chain[0].signer = "rug.nl";
	p->checkpoint.n_receipts = 0;
}

static void as_fork(struct parts *p)
{
	p->fork = true;
	p->anchored = false;
	p->event.chain[1].header = (struct header){.network = p->network,
		.audience = p->event.chain[1].header.audience,
		.incarnation = 1,
		.first = 1,
		.count = 2,
		.has_after = true,
		.root = p->event.chain[1].header.root,
		.time_ms = now_ms,
		.key = 1};
	strcpy(p->event.chain[1].header.publisher, PUBLISHER);
	p->event.chain[1].keep_previous = true;
}

static void fork_revoked(struct parts *p)
{
	as_fork(p);
	revoked(p);
}

/* The second one begins incarnation 2 above the first, which has it already. */
static void fork_below(struct parts *p)
{
	struct header *a, *b;

	as_fork(p);
	a = &p->event.chain[0].header;
	b = &p->event.chain[1].header;
	a->incarnation = b->incarnation = 2;
	a->first = 2;
	a->after_sequence = 1;
	a->after_digest = a->previous = b->root;
	p->event.chain[0].keep_previous = true;
	b->first = 9;
	b->after_sequence = 8;
	b->after_digest = b->previous = a->root;
}

static void fork_in_order(struct parts *p)
{
	as_fork(p);
	p->event.chain[1].header.first = 4;
	p->event.chain[1].header.has_after = false;
	p->event.chain[1].header.previous = p->event.chain[1].header.root;
}

static void fork_of_channels(struct parts *p)
{
	as_fork(p);
	strcpy(p->event.chain[1].header.audience, "rug.nl");
}

/* ---- signing ---- */

static void sign_header(struct made *m)
{
	struct node_keys keys = node_keys_of(m->signer, m->header.key);

	must(header_encode(&m->packed, &m->header) == 0, "a header");
	digest_header(&m->digest, m->packed);
	domain_sign(m->signature, "enlight header 1", m->packed, keys.sign_secret);
}

static void sign_chain(struct made_shown *s)
{
	for (size_t i = 0; i < s->n_chain; i++) {
		struct made *m = &s->chain[i];

		if (i > 0 && !m->keep_previous) {
			m->header.previous = s->chain[i - 1].digest;
			m->header.after_sequence = m->header.first - 1;
			m->header.after_digest = s->chain[i - 1].digest;
		}
		sign_header(m);
	}
}

static void sign_receipt(struct made_receipt *m, const struct made_shown *s)
{
	struct node_keys keys = node_keys_of(m->signer, m->receipt.key);

	for (size_t i = 0; i < s->n_chain && !m->keep_head; i++)
		if (header_last(&s->chain[i].header) == m->receipt.to)
			m->receipt.head = s->chain[i].digest;
	must(receipt_sign(&m->packed, m->signature, &m->receipt, &keys) == 0, "a receipt");
}

static void sign_shown(struct made_shown *s)
{
	sign_chain(s);
	for (size_t i = 0; i < s->n_receipts; i++)
		sign_receipt(&s->receipts[i], s);
	s->n_path = merkle_path(s->path, s->batch.leaves, s->batch.n, s->index);
}

/* A checkpoint that names the head of the event's chain, beside another one. */
static void checkpoint_batch(struct parts *p)
{
	Enlight__Event__V1__Checkpoint m = ENLIGHT__EVENT__V1__CHECKPOINT__INIT;
	struct made_shown *s = &p->checkpoint;
	struct digest anchors[2];
	ProtobufCBinaryData views[] = {{DIGEST_LEN, anchors[0].bytes}, {DIGEST_LEN, anchors[1].bytes}};
	uint8_t *packed;
	size_t len;

	label(&anchors[0], "anchor", 0);
	checkpoint_anchor(&anchors[1], p->salt, &p->event.chain[p->event.n_chain - 1].digest);
	m.node = (char *)PUBLISHER;
	m.time = (char *)checkpoint_time;
	m.n_anchors = 2;
	m.anchors = views;
	packed = wire_pack(&m, &len);
	must(packed != NULL, "a checkpoint");
	add_event(
		s, "eu.enlight.node.checkpoint.v1", "checkpoint-2026-11-24", "node/" PUBLISHER, bytes_of(packed, len));
	free(packed);
	merkle_root(&s->chain[0].header.root, s->batch.leaves, s->batch.n);
}

static void make_checkpoint(struct parts *p)
{
	struct digest salt;

	label(&salt, "checkpoint", 0);
	memcpy(p->salt, salt.bytes, SALT_LEN);
	p->anchored = true;
	p->checkpoint.n_chain = 1;
	set_header(p, &p->checkpoint.chain[0], "network", 1, 1);
	p->checkpoint.n_receipts = 1;
	set_receipt(p, &p->checkpoint.receipts[0], "rug.nl", "network", 1);
}

/* ---- what rows change of the message ---- */

static void flip(ProtobufCBinaryData *b)
{
	b->data[b->len / 2] ^= 0x10;
}

static void event_changed(Evidence *e)
{
	flip(&e->event->event);
}

static void other_index(Evidence *e)
{
	e->event->index = 0;
}

static void index_beyond(Evidence *e)
{
	e->event->index = 3;
}

static void path_changed(Evidence *e)
{
	flip(&e->event->path[1]);
}

static void path_cut(Evidence *e)
{
	e->event->n_path--;
}

static void short_digest(Evidence *e)
{
	e->event->path[0].len = 31;
}

static void header_changed(Evidence *e)
{
	e->event->chain[0]->header.data[e->event->chain[0]->header.len - 3] ^= 1; /* of the card's digest */
}

static void header_cut(Evidence *e)
{
	e->event->chain[1]->header.len -= 2;
}

static void later_format(Evidence *e)
{
	e->event->chain[0]->header.data[1] = 2;
}

static void signature_changed(Evidence *e)
{
	flip(&e->event->chain[2]->signature);
}

static void signature_short(Evidence *e)
{
	e->event->chain[0]->signature.len = 63;
}

static void no_chain(Evidence *e)
{
	e->event->n_chain = 0;
}

static void receipt_changed(Evidence *e)
{
	flip(&e->event->receipt[0]->signature);
}

static void receipt_cut(Evidence *e)
{
	e->event->receipt[1]->receipt.len -= 2;
}

static void note_changed(Evidence *e)
{
	uint8_t *name = memmem(e->note[4].data, e->note[4].len, "University of uu", 16);

	must(name != NULL, "a name");
	name[14] = '0';
}

static void note_cut(Evidence *e)
{
	e->note[2].len--;
}

static void other_salt(Evidence *e)
{
	flip(&e->anchored[0]->salt);
}

static void short_salt(Evidence *e)
{
	e->anchored[0]->salt.len = 8;
}

static void event_as_checkpoint(Evidence *e)
{
	e->anchored[0]->checkpoint = e->event;
}

static void two_checkpoints(Evidence *e)
{
	static Enlight__Log__V1__Anchored *both[2];

	both[0] = both[1] = e->anchored[0];
	e->anchored = both;
	e->n_anchored = 2;
}

static void format_two(Evidence *e)
{
	e->format = 2;
}

static void nothing_in_it(Evidence *e)
{
	e->event = NULL;
	e->n_anchored = 0;
}

static void same_header_twice(Evidence *e)
{
	e->fork->other = e->fork->one;
}

static void fork_changed(Evidence *e)
{
	flip(&e->fork->other->signature);
}

static void fork_and_event(Evidence *e)
{
	static Enlight__Log__V1__Fork fork;

	fork = (Enlight__Log__V1__Fork)ENLIGHT__LOG__V1__FORK__INIT;
	fork.one = e->event->chain[0];
	fork.other = e->event->chain[1];
	e->fork = &fork;
}

/* ---- the rows ---- */

static const struct row {
	const char *what;
	void (*before)(struct parts *p);
	void (*after)(Evidence *e);
	const char *finds; /* of its findings, each `kind:what:about`, separated by spaces; no `_` in kinds */
} rows[] = {
	/* that prove what they are about */
	{"an event with receipts and a checkpoint", NULL, NULL,
		"proves:network: proves:published:ut.ee proves:member:ut.ee proves:receipt:ugent.be "
		"proves:receipt:rug.nl "
		"proves:checkpoint: proves:witness:rug.nl not:read: not:truth: not:time: not:branch: not:newest:ut.ee"},
	{"without receipts and checkpoint", without_witnesses, NULL,
		"proves:published:ut.ee not:receipt: not:checkpoint:"},
	{"under a key that was retired later", retired, NULL, "proves:published:ut.ee"},
	{"under a revoked key, but the channel goes on under the next", revoked_and_goes_on, NULL,
		"proves:published:ut.ee proves:position:ut.ee"},
	{"under a revoked key, but a checkpoint under the next names it", revoked_and_checkpoint, NULL,
		"proves:published:ut.ee proves:position:ut.ee proves:checkpoint:"},
	{"a receipt that ends before the event", receipt_before, NULL,
		"proves:published:ut.ee proves:receipt:ugent.be not:receipt:rug.nl"},
	{"a receipt for more than the headers show", receipt_beyond, NULL,
		"proves:published:ut.ee not:receipt:ugent.be proves:receipt:rug.nl"},
	{"a receipt under a revoked key", reader_revoked, NULL, "proves:published:ut.ee not:receipt:ugent.be"},
	{"a receipt under a retired key", reader_retired, NULL, "proves:receipt:ugent.be"},
	{"a header that names a roster which is not there", other_roster, NULL,
		"proves:published:ut.ee not:member:ut.ee"},
	{"rosters from a later one, which is trusted instead", later_anchor, NULL,
		"proves:network: proves:published:ut.ee"},
	{"a new incarnation behind the event", new_incarnation, NULL, "proves:receipt:ugent.be"},
	{"a fork", as_fork, NULL, "proves:fork:ut.ee not:blame: not:newest:ut.ee"},
	{"a fork below the place where an incarnation begins", fork_below, NULL, "proves:fork:ut.ee"},
	{"a fork under a revoked key", fork_revoked, NULL, "proves:fork:ut.ee not:thief:ut.ee"},
	/* that hang together and do not prove it */
	{"under a revoked key, and nothing behind it", revoked_alone, NULL,
		"not:published:ut.ee proves:receipt:ugent.be"},
	{"under a revoked key, and so is the checkpoint", revoked, NULL, "not:published:ut.ee not:checkpoint:"},
	/* that do not hang together */
	{"another network", other_network_given, NULL, "broken:network:note/0"},
	{"no notes", no_notes, NULL, "broken:notes:"},
	{"a card before the first roster", card_first, NULL, "broken:notes:note/0"},
	{"a hole in the chain of rosters", roster_hole, NULL, "broken:notes:note/4"},
	{"a roster without its quorum", roster_without_quorum, NULL, "broken:notes:note/4"},
	{"a first roster without its quorum", first_without_quorum, NULL, "broken:notes:note/0"},
	{"a roster that was changed", NULL, note_changed, "broken:notes:note/4"},
	{"a card that was cut", NULL, note_cut, "broken:notes:note/2"},
	{"a card of a stranger", card_of_stranger, NULL, "broken:notes:note/1"},
	{"a card under another identity key", card_by_other_identity, NULL, "broken:notes:note/2"},
	{"the same card twice", card_twice, NULL, "broken:notes:note/5"},
	{"a revoked key that is retired later", key_comes_back, NULL, "broken:notes:note/6"},
	{"a word that must be known", unknown_word, NULL, "broken:notes:note/2"},
	{"a header of another network", header_of_other_network, NULL, "broken:network:event/chain/0"},
	{"a header signed by a stranger", signed_by_stranger, NULL, "broken:signature:event/chain/0"},
	{"a header under a key that no card has", unknown_key, NULL, "broken:key:event/chain/0"},
	{"a header that was changed", NULL, header_changed, "broken:signature:event/chain/0"},
	{"a header that was cut", NULL, header_cut, "broken:header:event/chain/1"},
	{"a header of a later format", NULL, later_format, "broken:header:event/chain/0"},
	{"a signature that was changed", NULL, signature_changed, "broken:signature:event/chain/2"},
	{"a signature of 63 bytes", NULL, signature_short, "broken:header:event/chain/0"},
	{"no header", NULL, no_chain, "broken:chain:event"},
	{"a later header signed by another member", link_by_stranger, NULL, "broken:signature:event/chain/1"},
	{"a gap in the chain", gap, NULL, "broken:chain:event/chain/1"},
	{"a header with another one before it", other_previous, NULL, "broken:chain:event/chain/2"},
	{"a key number that falls", key_falls, NULL, "broken:chain:event/chain/1"},
	{"a header of another channel", other_channel, NULL, "broken:chain:event/chain/1"},
	{"an incarnation that begins nowhere", raised_without_after, NULL, "broken:chain:event/chain/1"},
	{"an event that was changed", NULL, event_changed, "broken:path:event"},
	{"the path of another leaf", NULL, other_index, "broken:path:event"},
	{"a slot that the batch has not", NULL, index_beyond, "broken:path:event"},
	{"a path that was changed", NULL, path_changed, "broken:path:event"},
	{"a path that is too short", NULL, path_cut, "broken:path:event"},
	{"a digest of 31 bytes in the path", NULL, short_digest, "broken:path:event"},
	{"a receipt for another channel", receipt_of_other_channel, NULL, "broken:receipt:event/receipt/0"},
	{"a receipt of another network", receipt_of_other_network, NULL, "broken:receipt:event/receipt/1"},
	{"a receipt of another head", receipt_of_other_head, NULL, "broken:receipt:event/receipt/0"},
	{"a receipt that ends inside a batch", receipt_inside_batch, NULL, "broken:receipt:event/receipt/0"},
	{"a receipt of another incarnation", receipt_of_other_incarnation, NULL, "broken:receipt:event/receipt/1"},
	{"a receipt under a key that no card has", receipt_unknown_key, NULL, "broken:key:event/receipt/0"},
	{"a receipt signed by another reader", receipt_by_other, NULL, "broken:signature:event/receipt/0"},
	{"a receipt that was changed", NULL, receipt_changed, "broken:signature:event/receipt/0"},
	{"a receipt that was cut", NULL, receipt_cut, "broken:receipt:event/receipt/1"},
	{"a receipt by the publisher itself", receipt_by_publisher, NULL, "broken:receipt:checkpoint/receipt/0"},
	{"another salt", NULL, other_salt, "broken:checkpoint:checkpoint"},
	{"a salt of 8 bytes", NULL, short_salt, "broken:checkpoint:checkpoint"},
	{"a checkpoint for a few members", checkpoint_to_few, NULL, "broken:checkpoint:checkpoint"},
	{"a checkpoint of another publisher", checkpoint_of_other, NULL, "broken:checkpoint:checkpoint"},
	{"another event instead of the checkpoint", NULL, event_as_checkpoint, "broken:checkpoint:checkpoint"},
	{"two checkpoints", NULL, two_checkpoints, "broken:checkpoint:checkpoint"},
	{"a later format of the file", NULL, format_two, "broken:format:"},
	{"neither an event nor a fork", NULL, nothing_in_it, "broken:format:"},
	{"both an event and a fork", NULL, fork_and_event, "broken:format:"},
	{"a fork of one header with itself", as_fork, same_header_twice, "broken:fork:fork"},
	{"a fork of headers that follow each other", fork_in_order, NULL, "broken:fork:fork"},
	{"a fork of two channels", fork_of_channels, NULL, "broken:fork:fork"},
	{"a fork with a changed signature", as_fork, fork_changed, "broken:signature:fork/other"},
};

/* ---- packing ---- */

/* Messages that view the parts. */
struct message {
	Shown shown;
	SignedHeader headers[HEADERS], *chain[HEADERS];
	HeldBy held[RECEIPTS], *receipts[RECEIPTS];
	ProtobufCBinaryData path[MERKLE_PATH_MAX];
	struct bytes event;
};

static ProtobufCBinaryData data_of(struct bytes b)
{
	return (ProtobufCBinaryData){b.len, (uint8_t *)b.data};
}

static void fill(struct message *m, struct made_shown *s)
{
	m->shown = (Shown)ENLIGHT__LOG__V1__SHOWN__INIT;
	for (size_t i = 0; i < s->n_chain; i++) {
		m->headers[i] = (SignedHeader)ENLIGHT__LOG__V1__SIGNED_HEADER__INIT;
		m->headers[i].header = data_of(s->chain[i].packed);
		m->headers[i].signature = data_of(bytes_of(s->chain[i].signature, SIGNATURE_LEN));
		m->chain[i] = &m->headers[i];
	}
	for (size_t i = 0; i < s->n_receipts; i++) {
		m->held[i] = (HeldBy)ENLIGHT__LOG__V1__HELD_BY__INIT;
		m->held[i].receipt = data_of(s->receipts[i].packed);
		m->held[i].signature = data_of(bytes_of(s->receipts[i].signature, SIGNATURE_LEN));
		m->receipts[i] = &m->held[i];
	}
	for (size_t i = 0; i < s->n_path; i++)
		m->path[i] = data_of(bytes_of(s->path[i].bytes, DIGEST_LEN));
	m->shown.event = data_of(batch_builder_event(&s->batch, s->index));
	m->shown.index = s->index;
	m->shown.n_path = s->n_path;
	m->shown.path = m->path;
	m->shown.n_chain = s->n_chain;
	m->shown.chain = m->chain;
	m->shown.n_receipt = s->n_receipts;
	m->shown.receipt = m->receipts;
}

static struct bytes pack(struct parts *p, void (*after)(Evidence *e))
{
	Evidence e = ENLIGHT__LOG__V1__EVIDENCE__INIT;
	Enlight__Log__V1__Anchored anchored = ENLIGHT__LOG__V1__ANCHORED__INIT, *anchors[] = {&anchored};
	Enlight__Log__V1__Fork fork = ENLIGHT__LOG__V1__FORK__INIT;
	struct message event = {0}, checkpoint = {0};
	ProtobufCBinaryData notes[NOTES];
	struct bytes out;

	fill(&event, &p->event);
	for (size_t i = 0; i < p->n_notes; i++)
		notes[i] = data_of(view(&p->notes[i]));
	e.format = 1;
	e.n_note = p->n_notes;
	e.note = notes;
	if (p->fork) {
		fork.one = event.chain[0];
		fork.other = event.chain[1];
		e.fork = &fork;
	} else {
		e.event = &event.shown;
	}
	if (p->anchored) {
		fill(&checkpoint, &p->checkpoint);
		anchored.salt = data_of(bytes_of(p->salt, SALT_LEN));
		anchored.checkpoint = &checkpoint.shown;
		e.n_anchored = 1;
		e.anchored = anchors;
	}
	if (after != NULL)
		after(&e);
	out.data = wire_pack(&e, &out.len);
	must(out.data != NULL, "out of memory");
	return out;
}

static void shown_deinit(struct made_shown *s)
{
	for (size_t i = 0; i < HEADERS; i++) {
		free((void *)s->chain[i].packed.data);
		header_deinit(&s->chain[i].header);
	}
	for (size_t i = 0; i < RECEIPTS; i++) {
		free((void *)s->receipts[i].packed.data);
		receipt_deinit(&s->receipts[i].receipt);
	}
	batch_builder_deinit(&s->batch);
}

static void parts_deinit(struct parts *p)
{
	for (size_t i = 0; i < p->n_notes; i++)
		buffer_deinit(&p->notes[i]);
	shown_deinit(&p->event);
	shown_deinit(&p->checkpoint);
}

/* ---- what is found ---- */

static bool is_finding(const struct finding *f, const char *wanted)
{
	char text[160];

	snprintf(text, sizeof text, "%s:%s:%s", f->kind == FINDING_PROVES_NOT ? "not" : finding_kind_word(f->kind),
		f->what, f->about);
	return strcmp(text, wanted) == 0;
}

static void must_find(const struct row *row, const struct evidence_report *r)
{
	char *copy = strdup(row->finds), *save = NULL;
	bool all = copy != NULL;

	for (char *p = all ? strtok_r(copy, " ", &save) : NULL; p != NULL; p = strtok_r(NULL, " ", &save)) {
		bool found = false;

		for (size_t i = 0; i < r->n; i++)
			found |= is_finding(&r->findings[i], p);
		if (!found)
			fprintf(stderr, "%s: no %s\n", row->what, p);
		all &= found;
	}
	for (size_t i = 0; i < r->n && !all; i++)
		fprintf(stderr, "  %s %s %s: %s\n", finding_kind_word(r->findings[i].kind), r->findings[i].what,
			r->findings[i].about, r->findings[i].text);
	must(all, row->what);
	free(copy);
}

/* A file by what it shares with the good one. */
static void set_file(json_t *o, struct bytes whole, struct bytes file)
{
	size_t least = whole.len < file.len ? whole.len : file.len, head = 0, tail = 0;

	while (head < least && whole.data[head] == file.data[head])
		head++;
	while (tail < least - head && whole.data[whole.len - tail - 1] == file.data[file.len - tail - 1])
		tail++;
	set(o, "head", number(head));
	set(o, "middle", hex(file.data + head, file.len - head - tail));
	set(o, "tail", number(tail));
}

static struct bytes make_file(struct parts *p, const struct row *row)
{
	make_notes(p);
	make_event(p);
	make_checkpoint(p);
	if (row->before != NULL)
		row->before(p);
	sign_shown(&p->event);
	checkpoint_batch(p);
	sign_shown(&p->checkpoint);
	return pack(p, row->after);
}

static json_t *row_json(const struct row *row, struct bytes whole)
{
	struct parts p = {0};
	struct evidence_report r;
	json_t *o = json_object(), *list = json_array();
	struct bytes file;

	file = make_file(&p, row);
	must(evidence_verify(&r, file, &p.given) == 0, row->what);
	must_find(row, &r);
	set(o, "what", json_string(row->what));
	set(o, "network", hex_digest(&p.given));
	set_file(o, whole, file);
	set(o, "proved", json_boolean(r.proved));
	for (size_t i = 0; i < r.n; i++)
		add(list, json_pack("[s, s, s]", finding_kind_word(r.findings[i].kind), r.findings[i].what,
				  r.findings[i].about));
	set(o, "findings", list);
	evidence_report_deinit(&r);
	free((void *)file.data);
	parts_deinit(&p);
	return o;
}

json_t *evidence_vectors(void)
{
	json_t *o = json_object(), *list = json_array();
	struct parts p = {0};
	struct bytes whole = make_file(&p, &rows[0]);

	set(o, "about", json_string(about));
	set(o, "whole", hex(whole.data, whole.len));
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		add(list, row_json(&rows[i], whole));
	set(o, "files", list);
	free((void *)whole.data);
	parts_deinit(&p);
	return o;
}
