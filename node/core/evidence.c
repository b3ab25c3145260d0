/* evidence - the verifier, and the file of a fork. What writes the evidence of an event is evidence_read.c.
 *
 * The checks go in the order of the table in proto/README.md, so that every verifier names the same one when a file is broken; the
 * first broken thing is then all there is to say. */
#include "core/evidence.h"

#include "base/stamp.h"
#include "core/handle.h"
#include "core/trust.h"
#include "core/wire.h"
#include "enlight/event/v1/node.pb-c.h"
#include "enlight/log/v1/evidence.pb-c.h"
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, NOTES_MAX = 8192, UNPACKED_MAX = 5 * EVIDENCE_MAX, PLACE_SIZE = HANDLE_MAX + 1, TIME_SIZE = 40 };
static const uint64_t YEAR_10000_MS = UINT64_C(253402300800000), DAY_MS = 86400000;

typedef Enlight__Log__V1__SignedHeader SignedHeader;
typedef Enlight__Log__V1__Shown Shown;
typedef Enlight__Log__V1__Evidence Evidence;

/* What one verification shares. */
struct verifier {
	struct evidence_report *out;
	struct digest network; /* as given */
	struct trust *trust;
	int error; /* -ENOMEM */
};

/* A chain that was read; as many headers as are good so far. */
struct chain {
	struct header *headers;
	struct digest *digests;
	size_t n;
};

/* One `Shown` that was judged. */
struct shown {
	struct chain chain;
	struct event event;
	struct digest leaf;
	uint64_t sequence;
};

/* ---- findings ---- */

static size_t rank_of(const char *what)
{
	static const char *const order[] = {"published", "fork", "position", "thief", "blame", "member", "receipt",
		"checkpoint", "witness", "network"};
	enum { N_ORDER = sizeof order / sizeof *order };
	size_t i = 0;

	while (i < N_ORDER && strcmp(order[i], what) != 0)
		i++;
	return i;
}

static void clear_findings(struct evidence_report *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->findings[i].text);
	free(r->findings);
	r->findings = NULL;
	r->n = 0;
}

/* Behind all of its rank, so that a reader meets what matters first. */
static void place_finding(struct evidence_report *r, const struct finding *f)
{
	size_t at = r->n++;

	for (; at > 0 && rank_of(r->findings[at - 1].what) > rank_of(f->what); at--)
		r->findings[at] = r->findings[at - 1];
	r->findings[at] = *f;
}

__attribute__((format(printf, 5, 0))) static void add_finding(struct verifier *v, enum finding_kind kind,
	const char *what, const char *about, const char *format, va_list arguments)
{
	struct evidence_report *r = v->out;
	struct finding f = {.kind = kind, .what = what}, *more;

	snprintf(f.about, sizeof f.about, "%s", about);
	more = realloc(r->findings, (r->n + 1) * sizeof *more);
	if (more != NULL)
		r->findings = more;
	if (vasprintf(&f.text, format, arguments) < 0)
		f.text = NULL;
	if (more == NULL || f.text == NULL) {
		free(f.text);
		v->error = -ENOMEM;
		return;
	}
	place_finding(r, &f);
}

__attribute__((format(printf, 4, 5))) static void proves(
	struct verifier *v, const char *what, const char *about, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_finding(v, FINDING_PROVES, what, about, format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 4, 5))) static void proves_not(
	struct verifier *v, const char *what, const char *about, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add_finding(v, FINDING_PROVES_NOT, what, about, format, arguments);
	va_end(arguments);
}

/* Says what does not hang together, and nothing else. BROKEN() is false, which the analyser sees without looking into a function of varying
 * arguments. */
#define BROKEN(...) (broken(__VA_ARGS__), false)
__attribute__((format(printf, 4, 5))) static void broken(
	struct verifier *v, const char *what, const char *place, const char *format, ...)
{
	va_list arguments;

	clear_findings(v->out);
	va_start(arguments, format);
	add_finding(v, FINDING_BROKEN, what, place, format, arguments);
	va_end(arguments);
}

/* What a function answered: true for 0, false when memory was short or, with any other result, the thing is broken. */
static bool whole(struct verifier *v, int r, const char *what, const char *place, const char *why)
{
	if (r == 0)
		return true;
	if (r < 0) {
		v->error = r;
		return false;
	}
	return BROKEN(v, what, place, "%s", why);
}

const char *finding_kind_word(enum finding_kind kind)
{
	return kind == FINDING_PROVES ? "proves" : kind == FINDING_PROVES_NOT ? "does not prove" : "broken";
}

static struct bytes view(ProtobufCBinaryData b)
{
	return bytes_of(b.data, b.len);
}

/* "event/chain/3"; names and numbers are short, so a place fits. */
static void place_of(char out[static PLACE_SIZE], const char *of, const char *list, size_t i)
{
	snprintf(out, PLACE_SIZE, "%.20s/%.10s/%zu", of, list, i);
}

static void time_words(char out[static TIME_SIZE], uint64_t time_ms)
{
	if (time_ms < YEAR_10000_MS)
		stamp_time(out, time_ms);
	else
		snprintf(out, TIME_SIZE, "%llu ms after 1970", (unsigned long long)time_ms);
}

/* ---- rosters and cards ---- */

static bool begin_trust(struct verifier *v, struct bytes text, struct problems *problems)
{
	struct roster first;
	bool same;
	int r = roster_parse(&first, "note/0", text, problems);

	if (r != 0)
		return whole(v, r, "notes", "note/0", "the first note is not a roster");
	same = digest_equal(&first.note.digest, &v->network);
	roster_deinit(&first);
	if (!same)
		return BROKEN(v, "network", "note/0",
			"its rosters begin with another one than that whose digest was given: this is another network, "
			"or a file of whoever wanted to pass for it");
	r = trust_new(&v->trust, &v->network, "note/0", text, problems);
	return whole(v, r, "notes", "note/0", "the first roster is not signed by its own quorum");
}

static bool add_note(struct verifier *v, size_t i, struct bytes text, struct problems *problems)
{
	char place[PLACE_SIZE];
	struct trust *next;
	int r;

	snprintf(place, sizeof place, "note/%zu", i);
	r = trust_with(&next, v->trust, place, text, problems);
	if (r != 0)
		return whole(v, r, "notes", place,
			problems->n > 0 ? problems->items[0].rule
					: "this roster or card does not follow those before it");
	trust_unref(v->trust);
	v->trust = next;
	return true;
}

static bool read_notes(struct verifier *v, const Evidence *e)
{
	struct problems problems = {0};
	bool good;

	if (e->n_note == 0 || e->n_note > NOTES_MAX)
		return BROKEN(v, "notes", "", "it has no rosters, or more notes than are allowed");
	good = begin_trust(v, view(e->note[0]), &problems);
	for (size_t i = 1; i < e->n_note && good; i++)
		good = add_note(v, i, view(e->note[i]), &problems);
	problems_deinit(&problems);
	return good;
}

static const struct roster *roster_of_digest(const struct trust *t, const struct digest *digest)
{
	for (uint32_t i = trust_oldest_roster(t); i <= trust_roster(t)->number; i++) {
		const struct roster *r = trust_roster_number(t, i);

		if (r != NULL && digest_equal(&r->note.digest, digest))
			return r;
	}
	return NULL;
}

/* The highest card of a member in the file; 0: none. */
static uint32_t newest_card(const struct trust *t, const char *member)
{
	const struct card *card = trust_card(t, member);

	return card == NULL ? 0 : card->number;
}

static void say_network(struct verifier *v)
{
	uint32_t oldest = trust_oldest_roster(v->trust);
	const struct roster *newest = trust_roster(v->trust);

	if (oldest == 1)
		proves(v, "network", "",
			"the rosters in it, from number 1 with the digest given to number %u, follow each other as the "
			"quorums of network %s signed them",
			newest->number, newest->network);
	else
		proves(v, "network", "",
			"the rosters in it, from number %u with the digest given to number %u, follow each other; that "
			"number %u is the network's own is taken from you",
			oldest, newest->number, oldest);
}

/* ---- headers ---- */

/* Reads a header of this network and verifies who signed it. */
static bool read_header(struct verifier *v, struct header *h, const SignedHeader *in, const char *place)
{
	enum card_key_state state;
	const uint8_t *key;
	int r = in->signature.len == SIGNATURE_LEN ? header_decode(h, view(in->header)) : BATCH_MALFORMED;

	if (r != 0)
		return whole(v, r, "header", place,
			r == BATCH_UNKNOWN_FORMAT ? "a header of a later format, which this program does not know"
						  : "not a signed header");
	if (!digest_equal(&h->network, trust_network(v->trust)))
		return BROKEN(v, "network", place, "a header of another network");
	key = trust_sign_key(v->trust, h->publisher, h->key, &state);
	if (key == NULL)
		return BROKEN(
			v, "key", place, "no card in it says that node key %u is one of %s", h->key, h->publisher);
	if (!header_verify(view(in->header), in->signature.data, key))
		return BROKEN(v, "signature", place, "not signed with node key %u of %s", h->key, h->publisher);
	return true;
}

static bool follows(const struct header *before, const struct digest *digest, const struct header *h)
{
	return strcmp(h->publisher, before->publisher) == 0 && strcmp(h->audience, before->audience) == 0 &&
	       h->first == header_last(before) + 1 && digest_equal(&h->previous, digest) && h->key >= before->key &&
	       (h->has_after ? h->incarnation > before->incarnation : h->incarnation == before->incarnation);
}

static bool read_chain(struct verifier *v, struct chain *c, const Shown *in, const char *of)
{
	char place[PLACE_SIZE];

	if (in->n_chain == 0 || in->n_chain > EVIDENCE_CHAIN_MAX)
		return BROKEN(v, "chain", of, "it has no header, or more than are allowed");
	c->headers = calloc(in->n_chain, sizeof *c->headers);
	c->digests = calloc(in->n_chain, sizeof *c->digests);
	if (c->headers == NULL || c->digests == NULL) {
		v->error = -ENOMEM;
		return false;
	}
	for (; c->n < in->n_chain; c->n++) {
		struct header *h = &c->headers[c->n];

		place_of(place, of, "chain", c->n);
		if (!read_header(v, h, in->chain[c->n], place)) {
			header_deinit(h);
			return false;
		}
		if (c->n > 0 && !follows(h - 1, &c->digests[c->n - 1], h)) {
			header_deinit(h);
			return BROKEN(v, "chain", place, "this header does not go on where the one before it ends");
		}
		digest_header(&c->digests[c->n], view(in->chain[c->n]->header));
	}
	return true;
}

static void chain_deinit(struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		header_deinit(&c->headers[i]);
	free(c->headers);
	free(c->digests);
}

/* The first key along a chain that is not revoked: who signed what follows under it had the batches before it. 0: none. */
static uint32_t standing_key(const struct verifier *v, const struct chain *c)
{
	enum card_key_state state = CARD_KEY_REVOKED;

	for (size_t i = 0; i < c->n; i++) {
		if (i > 0 && c->headers[i].key == c->headers[i - 1].key)
			continue;
		if (trust_sign_key(v->trust, c->headers[i].publisher, c->headers[i].key, &state) != NULL &&
			state != CARD_KEY_REVOKED)
			return c->headers[i].key;
	}
	return 0;
}

/* ---- one event ---- */

static bool read_path(struct digest path[static MERKLE_PATH_MAX], const Shown *in)
{
	if (in->n_path > MERKLE_PATH_MAX)
		return false;
	for (size_t i = 0; i < in->n_path; i++)
		if (!digest_from(&path[i], view(in->path[i])))
			return false;
	return true;
}

static bool read_event(struct verifier *v, struct shown *s, const Shown *in, const char *of)
{
	const struct header *h = &s->chain.headers[0];
	struct digest path[MERKLE_PATH_MAX];

	digest_leaf(&s->leaf, view(in->event));
	if (in->index >= h->count || !read_path(path, in) ||
		!merkle_verify(&h->root, &s->leaf, in->index, h->count, path, in->n_path))
		return BROKEN(v, "path", of, "these bytes are not in the batch that was signed");
	s->sequence = h->first + in->index;
	return whole(v, event_unpack(&s->event, view(in->event)), "event", of, "these bytes are not an event");
}

/* ---- receipts ---- */

static bool check_receipt(struct verifier *v, const struct receipt *r, const Enlight__Log__V1__HeldBy *in,
	const struct chain *c, const char *place, enum card_key_state *state)
{
	const struct header *h = &c->headers[0];
	const uint8_t *key;

	if (!digest_equal(&r->network, trust_network(v->trust)) || strcmp(r->publisher, h->publisher) != 0 ||
		strcmp(r->audience, h->audience) != 0 || strcmp(r->reader, h->publisher) == 0)
		return BROKEN(v, "receipt", place, "a receipt for another channel");
	key = trust_sign_key(v->trust, r->reader, r->key, state);
	if (key == NULL)
		return BROKEN(v, "key", place, "no card in it says that node key %u is one of %s", r->key, r->reader);
	if (!receipt_verify(view(in->receipt), in->signature.data, key))
		return BROKEN(v, "signature", place, "not signed with node key %u of %s", r->key, r->reader);
	return true;
}

/* Whether the head that a receipt names is one of the chain. */
static bool in_chain(const struct receipt *r, const struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (header_last(&c->headers[i]) == r->to)
			return c->headers[i].incarnation == r->incarnation && digest_equal(&c->digests[i], &r->head);
	return false;
}

static bool judge_receipt(struct verifier *v, const struct receipt *r, const struct shown *s, const char *what,
	enum card_key_state state, const char *place)
{
	const struct chain *c = &s->chain;
	unsigned long long to = r->to, uncovered = r->uncovered;
	char when[TIME_SIZE];

	time_words(when, r->time_ms);
	if (r->to < s->sequence)
		proves_not(v, what, r->reader, "that %s holds this: its receipt ends before, at number %llu", r->reader,
			to);
	else if (r->to > header_last(&c->headers[c->n - 1]))
		proves_not(v, what, r->reader,
			"that %s holds this: its receipt is for number %llu, further than the headers in this file go",
			r->reader, to);
	else if (!in_chain(r, c))
		return BROKEN(v, "receipt", place, "%s signed for another history than this", r->reader);
	else if (state == CARD_KEY_REVOKED)
		proves_not(v, what, r->reader,
			"that %s holds this: the receipt is under node key %u, which was revoked, so it may be a "
			"thief's",
			r->reader, r->key);
	else
		proves(v, what, r->reader,
			"%s signed on %s, by its own clock, with node key %u%s, that it holds numbers 1 to %llu of "
			"that "
			"channel on disk, this among them; %llu of them without their text",
			r->reader, when, r->key, state == CARD_KEY_RETIRED ? " (retired since)" : "", to, uncovered);
	return true;
}

static bool read_receipts(struct verifier *v, const struct shown *s, const Shown *in, const char *of, const char *what)
{
	char place[PLACE_SIZE];
	bool good = true;

	for (size_t i = 0; i < in->n_receipt && good; i++) {
		const Enlight__Log__V1__HeldBy *signed_receipt = in->receipt[i];
		enum card_key_state state = CARD_KEY_REVOKED;
		struct receipt r = {0};
		int result = signed_receipt->signature.len == SIGNATURE_LEN
				     ? receipt_decode(&r, view(signed_receipt->receipt))
				     : RECEIPT_MALFORMED;

		place_of(place, of, "receipt", i);
		good = whole(v, result, "receipt", place, "not a signed receipt") &&
		       check_receipt(v, &r, signed_receipt, &s->chain, place, &state) &&
		       judge_receipt(v, &r, s, what, state, place);
		receipt_deinit(&r);
	}
	return good;
}

static bool read_shown(struct verifier *v, struct shown *s, const Shown *in, const char *of, const char *what)
{
	*s = (struct shown){0};
	return read_chain(v, &s->chain, in, of) && read_event(v, s, in, of) && read_receipts(v, s, in, of, what);
}

static void shown_deinit(struct shown *s)
{
	chain_deinit(&s->chain);
	event_deinit(&s->event);
}

/* ---- checkpoints ---- */

void checkpoint_salt(
	uint8_t salt[static SALT_LEN], const struct store_keys *keys, const char *time, const struct digest *header)
{
	static const char domain[] = "enlight checkpoint 1";
	crypto_generichash_state state;

	crypto_generichash_init(&state, keys->index, sizeof keys->index, SALT_LEN);
	crypto_generichash_update(&state, (const uint8_t *)domain, sizeof domain);
	crypto_generichash_update(&state, (const uint8_t *)time, strlen(time) + 1);
	crypto_generichash_update(&state, header->bytes, DIGEST_LEN);
	crypto_generichash_final(&state, salt, SALT_LEN);
	sodium_memzero(&state, sizeof state);
}

void checkpoint_anchor(struct digest *out, const uint8_t salt[static SALT_LEN], const struct digest *header)
{
	uint8_t both[SALT_LEN + DIGEST_LEN];

	memcpy(both, salt, SALT_LEN);
	memcpy(both + SALT_LEN, header->bytes, DIGEST_LEN);
	digest_plain(out, bytes_of(both, sizeof both));
}

void checkpoint_id(char out[static CHECKPOINT_ID_SIZE], uint64_t day)
{
	char text[STAMP_DAY];

	stamp_day(text, day < YEAR_10000_MS / DAY_MS ? day * DAY_MS : 0);
	snprintf(out, CHECKPOINT_ID_SIZE, "checkpoint-%s", text);
}

bool checkpoint_names(const Enlight__Event__V1__Checkpoint *c, const struct digest *anchor)
{
	for (size_t i = 0; i < c->n_anchors; i++)
		if (bytes_equal(view(c->anchors[i]), bytes_of(anchor->bytes, DIGEST_LEN)))
			return true;
	return false;
}

/* The first header of the event's chain that the checkpoint names; SIZE_MAX: none. */
static size_t anchored_at(const struct chain *c, const Enlight__Event__V1__Checkpoint *checkpoint, const uint8_t *salt)
{
	struct digest anchor;

	for (size_t i = 0; i < c->n; i++) {
		checkpoint_anchor(&anchor, salt, &c->digests[i]);
		if (checkpoint_names(checkpoint, &anchor))
			return i;
	}
	return SIZE_MAX;
}

static bool is_checkpoint(const struct shown *s, const struct header *of)
{
	const struct header *h = &s->chain.headers[0];

	return strcmp(h->publisher, of->publisher) == 0 && strcmp(h->audience, AUDIENCE_NETWORK) == 0 &&
	       s->event.topic != NULL && strcmp(s->event.topic->name, "node.checkpoint") == 0;
}

/* Other members wrote it: what is not plain stays out of sentences. */
static const char *plain(const char *text)
{
	const char *p = text;

	while (*p >= ' ' && *p <= '~')
		p++;
	return *p == '\0' ? text : "a time that cannot be read";
}

static bool judge_anchor(struct verifier *v, const struct shown *event, const struct shown *checkpoint,
	const Enlight__Log__V1__Anchored *in)
{
	Enlight__Event__V1__Checkpoint *c;
	size_t at;

	if (!is_checkpoint(checkpoint, &event->chain.headers[0]) || in->salt.len != SALT_LEN)
		return BROKEN(v, "checkpoint", "checkpoint", "not a checkpoint of the event's publisher");
	c = wire_unpack(&enlight__event__v1__checkpoint__descriptor, checkpoint->event.data, UNPACKED_MAX);
	if (c == NULL && errno == ENOMEM) {
		v->error = -ENOMEM;
		return false;
	}
	at = c == NULL ? SIZE_MAX : anchored_at(&event->chain, c, in->salt.data);
	wire_free(c);
	if (at == SIZE_MAX)
		return BROKEN(v, "checkpoint", "checkpoint", "the checkpoint names none of these headers");
	if (standing_key(v, &checkpoint->chain) == 0)
		proves_not(v, "checkpoint", "",
			"that it was there by a checkpoint: that one is under a revoked node key as well");
	else
		proves(v, "checkpoint", "",
			"by its checkpoint of %s, number %llu of its channel for the network, %s had the event in that "
			"channel",
			plain(checkpoint->event.time), (unsigned long long)checkpoint->sequence,
			checkpoint->chain.headers[0].publisher);
	return true;
}

/* `*standing` becomes the checkpoint's standing key, when there is one. */
static bool read_anchors(struct verifier *v, const struct shown *event, const Evidence *e, uint32_t *standing)
{
	struct shown checkpoint;
	bool good = true;

	*standing = 0;
	if (e->n_anchored > EVIDENCE_ANCHORS_MAX)
		return BROKEN(v, "checkpoint", "checkpoint", "more checkpoints than are allowed");
	for (size_t i = 0; i < e->n_anchored && good; i++) {
		good = read_shown(v, &checkpoint, e->anchored[i]->checkpoint, "checkpoint", "witness") &&
		       judge_anchor(v, event, &checkpoint, e->anchored[i]);
		if (good)
			*standing = standing_key(v, &checkpoint.chain);
		shown_deinit(&checkpoint);
	}
	return good;
}

/* ---- an event's evidence ---- */

static void say_member(struct verifier *v, const struct header *h)
{
	const struct roster *r = roster_of_digest(v->trust, &h->roster);

	if (r == NULL)
		proves_not(v, "member", h->publisher,
			"that %s was a member then: the roster that the header names is not in this file",
			h->publisher);
	else if (roster_member(r, h->publisher) == NULL)
		proves_not(v, "member", h->publisher,
			"that %s was a member then: by roster %u, which it names, it was not", h->publisher, r->number);
	else
		proves(v, "member", h->publisher, "%s was a member by roster %u, which was in force at its node then",
			h->publisher, r->number);
}

/* Says who published; false in `proved` when a revoked key leaves it open. */
static void say_published(struct verifier *v, const struct shown *s, size_t len, uint32_t by_checkpoint)
{
	const struct header *h = &s->chain.headers[0];
	uint32_t by_chain = standing_key(v, &s->chain);
	char leaf[2 * DIGEST_LEN + 1], when[TIME_SIZE];

	hex_encode(leaf, s->leaf.bytes, DIGEST_LEN);
	time_words(when, h->time_ms);
	if (by_chain == 0 && by_checkpoint == 0) {
		proves_not(v, "published", h->publisher,
			"that %s published it: node key %u, which signed it, was revoked, and nothing here follows it "
			"under another; a thief of that key could have made it",
			h->publisher, h->key);
		return;
	}
	v->out->proved = true;
	proves(v, "published", h->publisher,
		"%s published exactly these %zu bytes, digest %s, as number %llu of its channel for %s (incarnation "
		"%u), "
		"signed with its node key %u on %s by its own clock",
		h->publisher, len, leaf, (unsigned long long)s->sequence, h->audience, h->incarnation, h->key, when);
	if (by_chain != h->key)
		proves(v, "position", h->publisher,
			"node key %u was revoked later; what %s signed behind it under node key %u shows that the "
			"event "
			"was there before, and no revocation takes that back",
			h->key, h->publisher, by_chain != 0 ? by_chain : by_checkpoint);
}

static bool has_proof(const struct evidence_report *r, const char *what)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->findings[i].kind == FINDING_PROVES && strcmp(r->findings[i].what, what) == 0)
			return true;
	return false;
}

static void say_newest(struct verifier *v, const char *publisher)
{
	proves_not(v, "newest", publisher,
		"that no later card than number %u of %s revokes a key: a file cannot tell what it leaves out",
		newest_card(v->trust, publisher), publisher);
}

static void say_limits(struct verifier *v, const struct shown *s)
{
	const struct header *h = &s->chain.headers[0];

	if (!has_proof(v->out, "receipt"))
		proves_not(v, "receipt", "", "that any reader holds it: no receipt here covers it");
	if (!has_proof(v->out, "checkpoint"))
		proves_not(v, "checkpoint", "", "that it was there by some day: no checkpoint here names it");
	proves_not(v, "read", "", "that anybody at a reader saw it or acted on it: a receipt is of a node's disk");
	proves_not(v, "truth", "", "that what it says is so; only that %s said it", h->publisher);
	proves_not(v, "time", "", "when that was, beyond what each who signed says of its own clock");
	proves_not(v, "branch", "", "that %s showed nobody another history of that channel", h->publisher);
	say_newest(v, h->publisher);
}

/* What the report keeps of the event; takes it. */
static void keep_event(struct verifier *v, struct shown *s)
{
	const struct header *h = &s->chain.headers[0];
	struct evidence_report *out = v->out;

	out->audience = strdup(h->audience);
	if (out->audience == NULL) {
		v->error = -ENOMEM;
		return;
	}
	strcpy(out->publisher, h->publisher);
	out->incarnation = h->incarnation;
	out->sequence = s->sequence;
	out->leaf = s->leaf;
	out->event = s->event;
	out->has_event = true;
	s->event = (struct event){0};
}

static void judge_event(struct verifier *v, const Evidence *e)
{
	struct shown s;
	uint32_t by_checkpoint;

	if (read_shown(v, &s, e->event, "event", "receipt") && read_anchors(v, &s, e, &by_checkpoint)) {
		say_member(v, &s.chain.headers[0]);
		say_published(v, &s, e->event->event.len, by_checkpoint);
		say_limits(v, &s);
		keep_event(v, &s);
	}
	shown_deinit(&s);
}

/* ---- a fork ---- */

/* Both of one incarnation and different. */
static bool overlap(const struct header *a, const struct header *b)
{
	return a->first <= header_last(b) && b->first <= header_last(a);
}

static bool below_beginning(const struct header *a, const struct header *b)
{
	return b->has_after && a->first < b->first;
}

bool headers_contradict(
	const struct header *a, const struct digest *digest_a, const struct header *b, const struct digest *digest_b)
{
	return strcmp(a->publisher, b->publisher) == 0 && strcmp(a->audience, b->audience) == 0 &&
	       a->incarnation == b->incarnation && !digest_equal(digest_a, digest_b) &&
	       (overlap(a, b) || below_beginning(a, b) || below_beginning(b, a));
}

static bool is_revoked(const struct verifier *v, const struct header *h)
{
	return trust_is_revoked(v->trust, h->publisher, h->key);
}

static void say_fork(struct verifier *v, const struct header *a, const struct header *b)
{
	v->out->proved = true;
	proves(v, "fork", a->publisher,
		"%s signed two histories of its channel for %s, incarnation %u: numbers %llu to %llu in one, %llu to "
		"%llu "
		"in the other, and they cannot both be true",
		a->publisher, a->audience, a->incarnation, (unsigned long long)a->first,
		(unsigned long long)header_last(a), (unsigned long long)b->first, (unsigned long long)header_last(b));
	if (is_revoked(v, a) || is_revoked(v, b))
		proves_not(v, "thief", a->publisher,
			"that %s signed both itself: one is under a node key that was revoked, perhaps since it was "
			"stolen",
			a->publisher);
	proves_not(v, "blame", "",
		"why: a publisher that restored an old copy and did not raise the incarnation signs two histories as "
		"well as one that means to deceive");
	proves_not(v, "time", "", "when that was, beyond what each header says of its signer's own clock");
	say_newest(v, a->publisher);
}

static void judge_fork(struct verifier *v, const Enlight__Log__V1__Fork *f)
{
	struct header one = {0}, other = {0};
	struct digest digest_one, digest_other;

	if (!read_header(v, &one, f->one, "fork/one") || !read_header(v, &other, f->other, "fork/other"))
		goto out;
	digest_header(&digest_one, view(f->one->header));
	digest_header(&digest_other, view(f->other->header));
	if (headers_contradict(&one, &digest_one, &other, &digest_other))
		say_fork(v, &one, &other);
	else
		broken(v, "fork", "fork",
			"these two headers can stand in one history: they do not contradict each other");
out:
	header_deinit(&one);
	header_deinit(&other);
}

/* ---- the whole file ---- */

static void judge(struct verifier *v, const Evidence *e)
{
	if (e->format != FORMAT || (e->event == NULL) == (e->fork == NULL) || (e->fork != NULL && e->n_anchored > 0)) {
		broken(v, "format", "", "not evidence of format 1: of one event, or of one fork");
		return;
	}
	if (!read_notes(v, e))
		return;
	say_network(v);
	if (e->event != NULL)
		judge_event(v, e);
	else
		judge_fork(v, e->fork);
}

int evidence_verify(struct evidence_report *out, struct bytes file, const struct digest *network)
{
	struct verifier v = {.out = out, .network = *network};
	Evidence *e = NULL;

	*out = (struct evidence_report){0};
	errno = EPROTO;
	if (file.len <= EVIDENCE_MAX)
		e = wire_unpack(&enlight__log__v1__evidence__descriptor, file, UNPACKED_MAX);
	if (e != NULL)
		judge(&v, e);
	else if (errno == ENOMEM)
		v.error = -ENOMEM;
	else
		broken(&v, "format", "", "not a file of evidence, or a damaged one");
	wire_free(e);
	trust_unref(v.trust);
	if (v.error != 0)
		evidence_report_deinit(out);
	return v.error;
}

void evidence_report_deinit(struct evidence_report *r)
{
	clear_findings(r);
	event_deinit(&r->event);
	free(r->audience);
	*r = (struct evidence_report){0};
}

static void fill_header(SignedHeader *out, const struct signed_header *in)
{
	*out = (SignedHeader)ENLIGHT__LOG__V1__SIGNED_HEADER__INIT;
	out->header = (ProtobufCBinaryData){in->header.len, (uint8_t *)in->header.data};
	out->signature = (ProtobufCBinaryData){SIGNATURE_LEN, (uint8_t *)in->signature};
}

int evidence_pack_fork(struct bytes *out, const struct bytes *notes, size_t n_notes, const struct signed_header *one,
	const struct signed_header *other)
{
	Evidence e = ENLIGHT__LOG__V1__EVIDENCE__INIT;
	Enlight__Log__V1__Fork fork = ENLIGHT__LOG__V1__FORK__INIT;
	SignedHeader headers[2];
	ProtobufCBinaryData *texts = calloc(n_notes + 1, sizeof *texts);

	*out = (struct bytes){0};
	if (texts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_notes; i++)
		texts[i] = (ProtobufCBinaryData){notes[i].len, (uint8_t *)notes[i].data};
	fill_header(&headers[0], one);
	fill_header(&headers[1], other);
	fork.one = &headers[0];
	fork.other = &headers[1];
	e.format = FORMAT;
	e.n_note = n_notes;
	e.note = texts;
	e.fork = &fork;
	out->data = wire_pack(&e, &out->len);
	free(texts);
	return out->data == NULL ? -ENOMEM : 0;
}
