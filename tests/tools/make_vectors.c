/* make_vectors - writes the test vectors of proto/vectors, and proto/topics.json: make_vectors [--check] FOLDER
 *
 * All secrets are BLAKE2b-256 of a label, all drawn bytes come from a fixed seed, so every run gives the same files. With
 * --check nothing is written: the files must be there already, byte for byte. */
#include "make_vectors.h"

#include "core/batch.h"
#include "core/handle.h"
#include "core/receipt.h"
#include "core/session.h"
#include "enlight/event/v1/course.pb-c.h"
#include "enlight/event/v1/decision.pb-c.h"
#include "enlight/link/v1/link.pb-c.h"
#include "enlight/log/v1/log.pb-c.h"
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MEMBERS = 3, N_EVENTS = 3, LEAVES_MAX = 9 };
static const uint64_t now_ms = 1795426200000; /* 2026-11-23, 09:30 UTC */

void must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "make_vectors: %s\n", what);
		exit(EXIT_FAILURE);
	}
}

struct member {
	const char *handle, *country, *name;
	uint8_t identity_seed[32], identity_public[SIGN_PUBLIC_LEN], identity_secret[SIGN_SECRET_LEN];
	uint8_t node_secret[SECRET_LEN];
	struct node_keys keys;
};

/* Everything the files are made from. */
struct world {
	struct member members[N_MEMBERS + 1]; /* the last one joins with roster 2 */
	struct buffer roster[2];
	struct buffer cards[N_MEMBERS];
	struct trust *trust;
	struct hello dialler, listener;
	struct bytes claim[2];
	uint8_t signature[2][SIGNATURE_LEN];
	uint8_t ephemeral_secret[2][32];
	uint8_t events[N_EVENTS][2048];
	size_t event_len[N_EVENTS];
	struct batch_builder builder;
	struct header header;
	struct sealed_batch batch;
	uint8_t batch_key[BATCH_KEY_LEN];
	struct digest digest;
};

enum { TARTU = 2, GHENT = 1, GRONINGEN = 0, BORDEAUX = 3 };

static void label_bytes(uint8_t out[static 32], const char *a, const char *b)
{
	struct buffer text = {0};
	struct digest d;

	buffer_printf(&text, "%s%s", a, b);
	digest_plain(&d, bytes_of(text.data, text.len));
	memcpy(out, d.bytes, sizeof d.bytes);
	buffer_deinit(&text);
}

static struct entropy draws(const char *label)
{
	struct entropy e;
	uint8_t seed[32];

	label_bytes(seed, "entropy of ", label);
	entropy_init(&e, seed);
	return e;
}

/* JSON: all bytes in hexadecimal. */
json_t *hex(const void *data, size_t len)
{
	char *text = malloc(2 * len + 1);
	json_t *out;

	must(text != NULL, "out of memory");
	hex_encode(text, data, len);
	out = json_string(text);
	free(text);
	return out;
}

json_t *hex_digest(const struct digest *d)
{
	return hex(d->bytes, DIGEST_LEN);
}

static json_t *hex_bytes(struct bytes b)
{
	return hex(b.data, b.len);
}

static json_t *text_of(const struct buffer *b)
{
	return json_stringn((const char *)b->data, b->len);
}

void set(json_t *object, const char *name, json_t *value)
{
	must(json_object_set_new(object, name, value) == 0, name);
}

void add(json_t *array, json_t *value)
{
	must(json_array_append_new(array, value) == 0, "array");
}

json_t *number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

/* --- members, rosters, cards --- */

static void make_members(struct world *w)
{
	static const char *const who[N_MEMBERS + 1][3] = {
		{"rug.nl", "NL", "Rijksuniversiteit Groningen"},
		{"ugent.be", "BE", "Universiteit Gent"},
		{"ut.ee", "EE", "Tartu Ülikool"},
		{"u-bordeaux.fr", "FR", "Université de Bordeaux"},
	};

	for (size_t i = 0; i <= N_MEMBERS; i++) {
		struct member *m = &w->members[i];

		m->handle = who[i][0];
		m->country = who[i][1];
		m->name = who[i][2];
		label_bytes(m->identity_seed, "identity of ", m->handle);
		label_bytes(m->node_secret, "node secret 1 of ", m->handle);
		crypto_sign_seed_keypair(m->identity_public, m->identity_secret, m->identity_seed);
		node_keys_derive(&m->keys, 1, m->node_secret);
	}
}

static struct bytes signed_text(const struct buffer *note)
{
	const uint8_t *end = memmem(note->data, note->len, "\n\n", 2);

	return bytes_of(note->data, end == NULL ? note->len : (size_t)(end - note->data) + 1);
}

static struct digest note_digest(const struct buffer *note)
{
	struct digest d;

	digest_plain(&d, signed_text(note));
	return d;
}

static void sign_note(struct buffer *note, const char *name, const uint8_t *secret)
{
	struct bytes text = signed_text(note);
	struct buffer line = {0};

	note_sign(&line, text, name, secret);
	if (text.len == note->len)
		buffer_str(note, "\n");
	buffer_add(note, line.data, line.len);
	buffer_deinit(&line);
}

static void vote(struct buffer *note, const struct member *m)
{
	sign_note(note, m->handle, m->identity_secret);
}

static void member_line(struct buffer *out, const struct member *m)
{
	char key[BASE64_SIZE(SIGN_PUBLIC_LEN)];

	base64_encode(key, m->identity_public, SIGN_PUBLIC_LEN);
	buffer_printf(out, "member %s %s %s %s\n", m->handle, m->country, key, m->name);
}

/* The unsigned second roster: Bordeaux joins. */
static struct buffer second_roster(const struct world *w)
{
	struct digest first = note_digest(&w->roster[0]);
	char origin[2 * DIGEST_LEN + 1];
	struct buffer b = {0};

	hex_encode(origin, first.bytes, DIGEST_LEN);
	buffer_printf(
		&b, "enlight roster 1\nnetwork example\nnumber 2\nprevious %s\norigin %s\nquorum 3\n", origin, origin);
	member_line(&b, &w->members[GRONINGEN]);
	member_line(&b, &w->members[BORDEAUX]);
	member_line(&b, &w->members[GHENT]);
	member_line(&b, &w->members[TARTU]);
	buffer_str(&b, "alias ugent.be rug.ac.be\n");
	return b;
}

static void make_rosters(struct world *w)
{
	struct buffer *b = &w->roster[0];

	buffer_str(b, "enlight roster 1\nnetwork example\nnumber 1\nprevious none\nquorum 2\n");
	for (size_t i = 0; i < N_MEMBERS; i++)
		member_line(b, &w->members[i]);
	for (size_t i = 0; i < N_MEMBERS; i++)
		vote(b, &w->members[i]);
	w->roster[1] = second_roster(w);
	vote(&w->roster[1], &w->members[GRONINGEN]);
	vote(&w->roster[1], &w->members[TARTU]);
	vote(&w->roster[1], &w->members[BORDEAUX]);
}

/* The unsigned first card of a member. */
static struct buffer card_text(const struct world *w, const struct member *m, const struct node_keys *keys)
{
	static const char *const takes[] = {"course.*", "mobility.*"};
	struct digest network = note_digest(&w->roster[0]);
	struct card_key key = {.number = 1, .state = CARD_KEY_CURRENT};
	struct buffer b = {0}, endpoint = {0};

	memcpy(key.sign, keys->sign_public, sizeof key.sign);
	memcpy(key.link, keys->link_public, sizeof key.link);
	buffer_printf(&endpoint, "tcp://enlight.%s:4847", m->handle);
	card_write(&b, &network, m->handle, 1, buffer_cstr(&endpoint), &key, 1, takes, 2);
	buffer_deinit(&endpoint);
	return b;
}

static void possess(struct buffer *card, const struct member *m)
{
	struct buffer name = {0};

	buffer_printf(&name, "%s+%u", m->handle, m->keys.number);
	sign_note(card, buffer_cstr(&name), m->keys.sign_secret);
	buffer_deinit(&name);
}

static void learn(struct world *w, const struct buffer *note)
{
	struct problems problems = {0};
	struct trust *next = NULL;

	must(trust_with(&next, w->trust, "note", bytes_of(note->data, note->len), &problems) == 0, "a note is refused");
	trust_unref(w->trust);
	w->trust = next;
}

static void make_notes(struct world *w)
{
	struct problems problems = {0};
	struct digest network;

	make_rosters(w);
	network = note_digest(&w->roster[0]);
	must(trust_new(&w->trust, &network, "roster", bytes_of(w->roster[0].data, w->roster[0].len), &problems) == 0,
		"roster 1 is refused");
	for (size_t i = 0; i < N_MEMBERS; i++) {
		struct member *m = &w->members[i];

		w->cards[i] = card_text(w, m, &m->keys);
		vote(&w->cards[i], m);
		possess(&w->cards[i], m);
		learn(w, &w->cards[i]);
	}
	learn(w, &w->roster[1]);
}

static json_t *member_json(const struct member *m)
{
	json_t *o = json_object();

	set(o, "handle", json_string(m->handle));
	set(o, "identity_seed", hex(m->identity_seed, 32));
	set(o, "identity_public", hex(m->identity_public, 32));
	set(o, "node_secret", hex(m->node_secret, 32));
	set(o, "key", number(m->keys.number));
	return o;
}

static json_t *note_json(const struct buffer *note)
{
	struct digest d = note_digest(note);
	json_t *o = json_object();

	set(o, "text", text_of(note));
	set(o, "digest", hex_digest(&d));
	return o;
}

static void refuse_note(json_t *list, const char *why, struct buffer *note)
{
	json_t *o = json_object();

	set(o, "why", json_string(why));
	set(o, "text", text_of(note));
	add(list, o);
	buffer_deinit(note);
}

/* Notes that a node holding roster 1 and the three cards refuses. */
static void refused_rosters(json_t *list, const struct world *w)
{
	struct buffer b = second_roster(w);
	uint8_t *digit;

	vote(&b, &w->members[TARTU]);
	vote(&b, &w->members[BORDEAUX]);
	refuse_note(list, "signed by one of the two members of roster 1 that it takes; the new one does not count", &b);
	b = second_roster(w);
	vote(&b, &w->members[TARTU]);
	vote(&b, &w->members[GRONINGEN]);
	refuse_note(list, "the new member has not signed", &b);
	b = second_roster(w);
	digit = (uint8_t *)memmem(b.data, b.len, "previous ", 9) + 9;
	*digit = *digit == '0' ? '1' : '0';
	vote(&b, &w->members[TARTU]);
	vote(&b, &w->members[GRONINGEN]);
	vote(&b, &w->members[BORDEAUX]);
	refuse_note(list, "follows another roster", &b);
	b = second_roster(w);
	vote(&b, &w->members[TARTU]);
	vote(&b, &w->members[GRONINGEN]);
	vote(&b, &w->members[BORDEAUX]);
	b.data[b.len - 8] = b.data[b.len - 8] == 'A' ? 'B' : 'A';
	refuse_note(list, "a signature that does not verify", &b);
}

static void refused_cards(json_t *list, const struct world *w)
{
	struct member tartu = w->members[TARTU];
	struct buffer b = card_text(w, &tartu, &tartu.keys);

	vote(&b, &tartu);
	refuse_note(list, "not signed by the key it lists: no possession", &b);
	b = card_text(w, &tartu, &tartu.keys);
	possess(&b, &tartu);
	refuse_note(list, "not signed by the identity key", &b);
	tartu.keys = w->members[GHENT].keys;
	b = card_text(w, &tartu, &tartu.keys);
	vote(&b, &tartu);
	possess(&b, &tartu);
	refuse_note(list, "has the key of ugent.be in use, whose own card has proved it", &b);
}

/* A card of ut.ee with keys copied from that of ugent.be: its signing key as retired, its link key for the own one. */
static json_t *copied_card(const struct world *w)
{
	const struct member *tartu = &w->members[TARTU], *ghent = &w->members[GHENT];
	struct digest network = note_digest(&w->roster[0]);
	struct card_key keys[] = {{.number = 1, .state = CARD_KEY_RETIRED}, {.number = 2, .state = CARD_KEY_CURRENT}};
	const char *takes[] = {"*"};
	struct buffer b = {0};
	json_t *o;

	memcpy(keys[0].sign, ghent->keys.sign_public, SIGN_PUBLIC_LEN);
	memcpy(keys[1].sign, tartu->keys.sign_public, SIGN_PUBLIC_LEN);
	memcpy(keys[1].link, ghent->keys.link_public, LINK_PUBLIC_LEN);
	card_write(&b, &network, tartu->handle, 1, NULL, keys, 2, takes, 1);
	vote(&b, tartu);
	sign_note(&b, "ut.ee+2", tartu->keys.sign_secret);
	o = note_json(&b);
	buffer_deinit(&b);
	return o;
}

static json_t *notes_json(const struct world *w)
{
	struct digest network = note_digest(&w->roster[0]);
	json_t *o = json_object(), *members = json_array(), *cards = json_array(), *refused = json_array();

	set(o, "about",
		json_string(
			"Three members found a network, a fourth joins. A note's digest is over its signed part. "
			"`refused` is what a node that holds roster 1 and the cards of rug.nl and ugent.be does "
			"not take. `copied` is a card of ut.ee with keys copied from that of ugent.be: it is taken, "
			"and keeps the card of ugent.be out of no node, whichever comes first."));
	for (size_t i = 0; i <= N_MEMBERS; i++)
		add(members, member_json(&w->members[i]));
	set(o, "members", members);
	set(o, "network", hex_digest(&network));
	set(o, "roster_1", note_json(&w->roster[0]));
	set(o, "roster_2", note_json(&w->roster[1]));
	for (size_t i = 0; i < N_MEMBERS; i++)
		add(cards, note_json(&w->cards[i]));
	set(o, "cards", cards);
	refused_rosters(refused, w);
	refused_cards(refused, w);
	set(o, "refused", refused);
	set(o, "copied", copied_card(w));
	return o;
}

/* --- derivation --- */

static json_t *derivation_json(const struct world *w)
{
	json_t *o = json_object(), *nodes = json_array(), *stores = json_array();
	uint8_t secret[SECRET_LEN];
	struct store_keys k;

	set(o, "about",
		json_string(
			"Keys of a node from node.key, and of its store from store.key. sign_seed is the seed of an "
			"Ed25519 pair, link_secret an X25519 secret as CURVE takes it."));
	for (size_t i = 0; i < N_MEMBERS; i++) {
		const struct member *m = &w->members[i];
		json_t *n = json_object();

		set(n, "node_secret", hex(m->node_secret, 32));
		set(n, "sign_seed", hex(m->keys.sign_secret, 32));
		set(n, "sign_public", hex(m->keys.sign_public, 32));
		set(n, "link_secret", hex(m->keys.link_secret, 32));
		set(n, "link_public", hex(m->keys.link_public, 32));
		add(nodes, n);
	}
	set(o, "nodes", nodes);
	for (int i = 0; i < 2; i++) {
		json_t *s = json_object();

		label_bytes(secret, "store secret ", i == 0 ? "a" : "b");
		store_keys_derive(&k, secret);
		set(s, "store_secret", hex(secret, 32));
		set(s, "wrap", hex(k.wrap, 32));
		set(s, "index", hex(k.index, 32));
		add(stores, s);
	}
	set(o, "stores", stores);
	return o;
}

/* --- leaves, roots, paths --- */

static void make_leaves(struct digest leaves[static LEAVES_MAX], json_t *list)
{
	for (uint8_t i = 0; i < LEAVES_MAX; i++) {
		uint8_t event[LEAVES_MAX];
		json_t *o;

		memset(event, 0xa0 + i, sizeof event);
		digest_leaf(&leaves[i], bytes_of(event, i)); /* of 0, 1, 2 ... bytes */
		if (list == NULL)
			continue;
		o = json_object();
		set(o, "event", hex(event, i));
		set(o, "leaf", hex_digest(&leaves[i]));
		add(list, o);
	}
}

static json_t *leaf_json(const struct world *w)
{
	struct digest leaves[LEAVES_MAX];
	json_t *o = json_object(), *list = json_array();

	(void)w;
	set(o, "about",
		json_string("Leaf digests. These events are short runs of one byte, since a leaf is over any bytes."));
	make_leaves(leaves, list);
	set(o, "leaves", list);
	return o;
}

static json_t *root_json(const struct world *w)
{
	struct digest leaves[LEAVES_MAX], root;
	json_t *o = json_object(), *list = json_array();

	(void)w;
	set(o, "about", json_string("Merkle roots over the first n leaves of leaf.json."));
	make_leaves(leaves, NULL);
	for (size_t n = 1; n <= LEAVES_MAX; n++) {
		json_t *r = json_object();

		merkle_root(&root, leaves, n);
		set(r, "n", number(n));
		set(r, "root", hex_digest(&root));
		add(list, r);
	}
	set(o, "roots", list);
	return o;
}

static json_t *path_json(const struct world *w)
{
	struct digest leaves[LEAVES_MAX], path[MERKLE_PATH_MAX];
	json_t *o = json_object(), *list = json_array();

	(void)w;
	set(o, "about",
		json_string("Audit paths, from the leaf's sibling upwards: of leaf `index` (from 0) of the first n "
			    "leaves of "
			    "leaf.json."));
	make_leaves(leaves, NULL);
	for (size_t n = 1; n <= LEAVES_MAX; n++)
		for (size_t i = 0; i < n; i++) {
			size_t len = merkle_path(path, leaves, n, i);
			json_t *p = json_object(), *steps = json_array();

			set(p, "n", number(n));
			set(p, "index", number(i));
			for (size_t k = 0; k < len; k++)
				add(steps, hex_digest(&path[k]));
			set(p, "path", steps);
			add(list, p);
		}
	set(o, "paths", list);
	return o;
}

/* --- headers --- */

static struct header make_header(const struct world *w, const char *audience)
{
	struct header h = {
		.network = *trust_network(w->trust),
		.incarnation = 1,
		.first = 18,
		.count = 3,
		.time_ms = now_ms,
		.roster = trust_roster(w->trust)->note.digest,
		.card = trust_card(w->trust, "ut.ee")->note.digest,
		.key = 1,
	};

	strcpy(h.publisher, "ut.ee");
	h.audience = strdup(audience);
	must(h.audience != NULL, "out of memory");
	label_bytes(h.previous.bytes, "header before", "");
	label_bytes(h.root.bytes, "some root", "");
	return h;
}

static json_t *audience_json(const char *audience)
{
	char copy[AUDIENCE_MAX * (HANDLE_MAX + 1)], *parts[AUDIENCE_MAX];
	json_t *list = json_array();
	size_t n;

	must(strlen(audience) < sizeof copy, "audience");
	strcpy(copy, audience);
	n = audience_split(copy, parts);
	for (size_t i = 0; i < n; i++)
		add(list, json_string(parts[i]));
	return list;
}

static json_t *header_fields(const struct header *h)
{
	json_t *o = json_object(), *after = json_object();

	set(o, "network", hex_digest(&h->network));
	set(o, "publisher", json_string(h->publisher));
	set(o, "audience", audience_json(h->audience));
	set(o, "incarnation", number(h->incarnation));
	set(o, "first", number(h->first));
	set(o, "count", number(h->count));
	set(o, "previous", hex_digest(&h->previous));
	set(after, "sequence", number(h->after_sequence));
	set(after, "digest", hex_digest(&h->after_digest));
	set(o, "after", h->has_after ? after : json_null());
	if (!h->has_after)
		json_decref(after);
	set(o, "root", hex_digest(&h->root));
	set(o, "time_ms", number(h->time_ms));
	set(o, "roster", hex_digest(&h->roster));
	set(o, "card", hex_digest(&h->card));
	set(o, "key", number(h->key));
	return o;
}

/* What differs from the header of the middle of a chain; `more` is appended to the bytes; `byte` of them is changed. */
struct header_case {
	const char *what;
	const char *audience;
	void (*change)(struct header *h);
	const char *outcome; /* NULL: good */
	uint8_t more[8];
	size_t n_more;
	size_t byte, value;
	size_t cut; /* of the end, before `more` */
};

static void begins_channel(struct header *h)
{
	h->first = 1;
	h->previous = digest_zero;
	h->has_after = true;
}

static void new_incarnation(struct header *h)
{
	h->incarnation = 2;
	h->has_after = true;
	h->after_sequence = h->first - 1;
	h->after_digest = h->previous;
}

static void incarnation_0(struct header *h)
{
	h->incarnation = 0;
}

static void no_slots(struct header *h)
{
	h->count = 0;
}

static void many_slots(struct header *h)
{
	h->count = BATCH_EVENTS_MAX + 1;
}

static void beyond_63_bits(struct header *h)
{
	h->first = INT64_MAX;
}

static void previous_zero(struct header *h)
{
	h->previous = digest_zero;
}

static void first_without_after(struct header *h)
{
	begins_channel(h);
	h->has_after = false;
}

static void after_with_a_hole(struct header *h)
{
	new_incarnation(h);
	h->first++;
}

static void after_of_another(struct header *h)
{
	new_incarnation(h);
	h->after_digest.bytes[0] ^= 1;
}

static void incarnation_1_goes_on(struct header *h)
{
	new_incarnation(h);
	h->incarnation = 1;
}

static void key_0(struct header *h)
{
	h->key = 0;
}

static void as_it_is(struct header *h)
{
	(void)h;
}

static const char two[] = "rug.nl,ugent.be", malformed[] = "malformed", later[] = "unknown format";

static const struct header_case header_cases[] = {
	{"a channel begins", "network", begins_channel, NULL, {0}, 0, 0, 0},
	{"a chain goes on", two, as_it_is, NULL, {0}, 0, 0, 0},
	{"a channel to oneself", "ut.ee", as_it_is, NULL, {0}, 0, 0, 0},
	{"an incarnation begins", "ugent.be", new_incarnation, NULL, {0}, 0, 0, 0},
	{"a field that version 1 does not know", two, as_it_is, NULL, {0xa2, 0x06, 3, 'n', 'e', 'w'}, 6, 0, 0},
	{"format 2", two, as_it_is, later, {0}, 0, 1, 2},
	{"suite 2", two, as_it_is, later, {0}, 0, 3, 2},
	{"format 0", two, as_it_is, malformed, {0}, 0, 1, 0},
	{"incarnation 0", two, incarnation_0, malformed, {0}, 0, 0, 0},
	{"no slots", two, no_slots, malformed, {0}, 0, 0, 0},
	{"4097 slots", two, many_slots, malformed, {0}, 0, 0, 0},
	{"a sequence beyond 63 bits", two, beyond_63_bits, malformed, {0}, 0, 0, 0},
	{"previous zero, but not the first", two, previous_zero, malformed, {0}, 0, 0, 0},
	{"the first, without after", two, first_without_after, malformed, {0}, 0, 0, 0},
	{"after leaves a hole", two, after_with_a_hole, malformed, {0}, 0, 0, 0},
	{"after differs from previous", two, after_of_another, malformed, {0}, 0, 0, 0},
	{"incarnation 1 goes on after something", two, incarnation_1_goes_on, malformed, {0}, 0, 0, 0},
	{"key 0", two, key_0, malformed, {0}, 0, 0, 0},
	{"audience not sorted", "ugent.be,rug.nl", as_it_is, malformed, {0}, 0, 0, 0},
	{"a member twice in the audience", "rug.nl,rug.nl", as_it_is, malformed, {0}, 0, 0, 0},
	{"network and a member", "network,rug.nl", as_it_is, malformed, {0}, 0, 0, 0},
	{"the publisher among others", "rug.nl,ut.ee", as_it_is, malformed, {0}, 0, 0, 0},
	{"no audience", "", as_it_is, malformed, {0}, 0, 0, 0},
	{"field 15 twice", two, as_it_is, malformed, {0x78, 2}, 2, 0, 0},
	{"torn at the end", two, as_it_is, malformed, {0xa2, 0x06, 3, 'n'}, 4, 0, 0},
	{"key 2^32 + 1, which some would read as 1", two, as_it_is, malformed, {0x78, 0x81, 0x80, 0x80, 0x80, 0x10}, 6,
		.cut = 2},
};

static json_t *header_case_json(const struct world *w, const struct header_case *c)
{
	struct header h = make_header(w, c->audience);
	uint8_t signature[SIGNATURE_LEN];
	struct buffer packed = {0};
	json_t *o = json_object();
	struct bytes whole;
	struct digest d;

	c->change(&h);
	must(header_encode(&whole, &h) == 0, "header");
	buffer_add(&packed, whole.data, whole.len - c->cut);
	free((void *)whole.data);
	buffer_add(&packed, c->more, c->n_more);
	if (c->byte != 0)
		packed.data[c->byte] = (uint8_t)c->value;
	whole = bytes_of(packed.data, packed.len);
	set(o, "what", json_string(c->what));
	set(o, "packed", hex_bytes(whole));
	if (c->outcome != NULL) {
		set(o, "outcome", json_string(c->outcome));
	} else {
		digest_header(&d, whole);
		domain_sign(signature, "enlight header 1", whole, w->members[TARTU].keys.sign_secret);
		set(o, "fields", header_fields(&h));
		set(o, "digest", hex_digest(&d));
		set(o, "signature", hex(signature, sizeof signature));
	}
	header_deinit(&h);
	buffer_deinit(&packed);
	return o;
}

static json_t *header_json(const struct world *w)
{
	json_t *o = json_object(), *good = json_array(), *refused = json_array();

	set(o, "about",
		json_string("Headers of ut.ee: packed bytes, what they say, digest, signature. `refused` is what no "
			    "node takes for a header."));
	set(o, "sign_public", hex(w->members[TARTU].keys.sign_public, 32));
	for (size_t i = 0; i < sizeof header_cases / sizeof *header_cases; i++)
		add(header_cases[i].outcome == NULL ? good : refused, header_case_json(w, &header_cases[i]));
	set(o, "headers", good);
	set(o, "refused", refused);
	return o;
}

/* --- Hellos --- */

static struct hello_self self_of(const struct world *w, const struct member *m, const uint8_t *boot)
{
	return (struct hello_self){w->trust, m->handle, &m->keys, boot, now_ms};
}

/* The second draw of a claim: the first is its nonce. */
static void ephemeral_of(uint8_t out[static 32], struct entropy e)
{
	uint8_t nonce[NONCE_LEN];

	entropy_fill(&e, nonce, sizeof nonce);
	entropy_fill(&e, out, 32);
}

static void make_hellos(struct world *w)
{
	const struct member *tartu = &w->members[TARTU], *ghent = &w->members[GHENT];
	uint8_t boot[2][32];
	struct hello_self dialler = self_of(w, tartu, boot[0]), listener = self_of(w, ghent, boot[1]);
	struct entropy e[2] = {draws("dialler"), draws("listener")};

	label_bytes(boot[0], "boot of ", "dialler");
	label_bytes(boot[1], "boot of ", "listener");
	ephemeral_of(w->ephemeral_secret[0], e[0]);
	ephemeral_of(w->ephemeral_secret[1], e[1]);
	must(hello_dial(&w->dialler, &dialler, "ugent.be", ghent->keys.link_public, &e[0], &w->claim[0]) == 0, "dial");
	must(hello_answer(&w->listener, &listener, tartu->keys.link_public, w->claim[0], &e[1], &w->claim[1],
		     w->signature[1]) == 0,
		"answer");
	must(hello_finish(&w->dialler, &dialler, w->claim[1], bytes_of(w->signature[1], SIGNATURE_LEN),
		     w->signature[0]) == 0,
		"finish");
	must(hello_accept(&w->listener, &listener, bytes_of(w->signature[0], SIGNATURE_LEN)) == 0, "accept");
}

static json_t *frame_json(const Enlight__Link__V1__Frame *frame)
{
	size_t len = enlight__link__v1__frame__get_packed_size(frame);
	uint8_t *packed = malloc(len);
	json_t *out;

	must(packed != NULL, "out of memory");
	enlight__link__v1__frame__pack(frame, packed);
	out = hex(packed, len);
	free(packed);
	return out;
}

static json_t *hello_frame(struct bytes claim, const uint8_t *signature)
{
	Enlight__Link__V1__Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Hello hello = ENLIGHT__LINK__V1__HELLO__INIT;

	frame.hello = &hello;
	hello.has_claim = claim.data != NULL;
	hello.claim = (ProtobufCBinaryData){claim.len, (uint8_t *)claim.data};
	hello.has_signature = signature != NULL;
	hello.signature = (ProtobufCBinaryData){SIGNATURE_LEN, (uint8_t *)signature};
	return frame_json(&frame);
}

static json_t *end_json(const struct world *w, int side)
{
	const struct member *m = &w->members[side == 0 ? TARTU : GHENT];
	Enlight__Link__V1__Claim *c = enlight__link__v1__claim__unpack(NULL, w->claim[side].len, w->claim[side].data);
	struct digest d;
	json_t *o = json_object();

	must(c != NULL, "claim");
	digest_plain(&d, w->claim[side]);
	set(o, "member", json_string(m->handle));
	set(o, "node_secret", hex(m->node_secret, 32));
	set(o, "key", number(m->keys.number));
	set(o, "nonce", hex(c->nonce.data, c->nonce.len));
	set(o, "ephemeral_secret", hex(w->ephemeral_secret[side], 32));
	set(o, "ephemeral", hex(c->ephemeral.data, c->ephemeral.len));
	set(o, "boot", hex(c->boot.data, c->boot.len));
	set(o, "time_ms", number(c->time_ms));
	set(o, "roster", number(c->roster));
	set(o, "claim", hex_bytes(w->claim[side]));
	set(o, "claim_digest", hex_digest(&d));
	set(o, "signature", hex(w->signature[side], SIGNATURE_LEN));
	enlight__link__v1__claim__free_unpacked(c, NULL);
	return o;
}

typedef Enlight__Link__V1__Claim claim;

static void replace_text(char **text, const char *by)
{
	free(*text);
	*text = strdup(by);
}

static void claim_later_version(claim *c)
{
	c->version = c->oldest = LINK_VERSION + 1;
}

static void claim_oldest_above(claim *c)
{
	c->oldest = c->version + 1;
}

static void claim_network(claim *c)
{
	c->network.data[0] ^= 1;
}

static void claim_to(claim *c)
{
	replace_text(&c->to, "rug.nl");
}

static void claim_from_member(claim *c)
{
	replace_text(&c->from, "rug.nl");
}

static void claim_from_stranger(claim *c)
{
	replace_text(&c->from, "example.org");
}

static void claim_from_link(claim *c)
{
	c->from_link.data[0] ^= 1;
}

static void claim_to_link(claim *c)
{
	c->to_link.data[0] ^= 1;
}

static void claim_key(claim *c)
{
	c->key = 2;
}

static void claim_ephemeral(claim *c)
{
	memset(c->ephemeral.data, 0, c->ephemeral.len);
}

static void claim_nonce(claim *c)
{
	c->nonce.len--;
}

static const struct {
	const char *why;
	void (*change)(claim *c);
	enum refuse_code code;
} claim_cases[] = {
	{"speaks later versions only", claim_later_version, REFUSE_VERSION},
	{"its oldest version is above its highest", claim_oldest_above, REFUSE_MALFORMED},
	{"another network", claim_network, REFUSE_NETWORK},
	{"meant for another member", claim_to, REFUSE_STRANGER},
	{"from a member with another's key", claim_from_member, REFUSE_KEY},
	{"from nobody of the roster", claim_from_stranger, REFUSE_STRANGER},
	{"another link key than the connection's", claim_from_link, REFUSE_KEY},
	{"another link key than the listener's", claim_to_link, REFUSE_KEY},
	{"a key number that the card does not list", claim_key, REFUSE_KEY},
	{"an ephemeral key of small order", claim_ephemeral, REFUSE_KEY},
	{"a nonce of 31 bytes", claim_nonce, REFUSE_MALFORMED},
};

static json_t *refused_claims(const struct world *w)
{
	json_t *list = json_array();
	uint8_t packed[1024];

	for (size_t i = 0; i < sizeof claim_cases / sizeof *claim_cases; i++) {
		claim *c = enlight__link__v1__claim__unpack(NULL, w->claim[0].len, w->claim[0].data);
		json_t *o = json_object();
		size_t len;

		must(c != NULL, "claim");
		claim_cases[i].change(c);
		must(enlight__link__v1__claim__get_packed_size(c) <= sizeof packed, "claim");
		len = enlight__link__v1__claim__pack(c, packed);
		set(o, "why", json_string(claim_cases[i].why));
		set(o, "claim", hex(packed, len));
		set(o, "code", number(claim_cases[i].code));
		add(list, o);
		enlight__link__v1__claim__free_unpacked(c, NULL);
	}
	return list;
}

static json_t *handshake_json(const struct world *w)
{
	json_t *o = json_object(), *frames = json_array();
	uint8_t ephemeral[32], shared[32];

	set(o, "about",
		json_string("The three Hellos between ut.ee, who dials, and ugent.be, who listens; both hold both "
			    "rosters and "
			    "the cards of notes.json. `refused` lists claims that the listener refuses over ut.ee's "
			    "connection, and with which code."));
	set(o, "dialler", end_json(w, 0));
	set(o, "listener", end_json(w, 1));
	crypto_scalarmult_base(ephemeral, w->ephemeral_secret[1]);
	must(crypto_scalarmult(shared, w->ephemeral_secret[0], ephemeral) == 0, "X25519");
	set(o, "shared", hex(shared, sizeof shared));
	add(frames, hello_frame(w->claim[0], NULL));
	add(frames, hello_frame(w->claim[1], w->signature[1]));
	add(frames, hello_frame((struct bytes){0}, w->signature[0]));
	set(o, "frames", frames);
	set(o, "session", hex(w->dialler.session, SESSION_ID_LEN));
	set(o, "session_key", hex(w->dialler.session_key, 32));
	set(o, "refused", refused_claims(w));
	return o;
}

/* --- a whole batch --- */

static ProtobufCBinaryData packed_data(const ProtobufCMessage *m, uint8_t *room)
{
	return (ProtobufCBinaryData){protobuf_c_message_pack(m, room), room};
}

static ProtobufCBinaryData offering(uint8_t *room)
{
	Enlight__Event__V1__CourseOffering m = ENLIGHT__EVENT__V1__COURSE_OFFERING__INIT;
	Enlight__Event__V1__LocalizedText title = ENLIGHT__EVENT__V1__LOCALIZED_TEXT__INIT, *titles[] = {&title};
	Enlight__Event__V1__Credit credit = ENLIGHT__EVENT__V1__CREDIT__INIT, *credits[] = {&credit};

	m.course_id = (char *)"01a207bd-a9c0-7cc3-98c4-dc0c0c07398f";
	m.code = (char *)"LTOM.01.001";
	title.lang = (char *)"et";
	title.value = (char *)"Süsteemibioloogia";
	m.n_title = 1;
	m.title = titles;
	m.isced_f = (char *)"0511";
	credit.scheme = (char *)"ects";
	credit.value = (char *)"6.00";
	m.n_credits = 1;
	m.credits = credits;
	return packed_data(&m.base, room);
}

static ProtobufCBinaryData withdrawal(uint8_t *room)
{
	Enlight__Event__V1__Withdrawal m = ENLIGHT__EVENT__V1__WITHDRAWAL__INIT;

	m.topic = (char *)"course.offering";
	m.revision = 1;
	m.reason = (char *)"cancelled";
	return packed_data(&m.base, room);
}

static ProtobufCBinaryData unknown(uint8_t *room)
{
	static const uint8_t bytes[] = {0xff, 0x00, 0xfe};

	memcpy(room, bytes, sizeof bytes);
	return (ProtobufCBinaryData){sizeof bytes, room};
}

static const struct {
	const char *id, *type, *subject;
	const char *traceparent, *person, *data_class;
	ProtobufCBinaryData (*data)(uint8_t *room);
} events[N_EVENTS] = {
	{"01a207bd-a9c0-7cc3-98c4-dc0c0c07398f", "eu.enlight.course.offering.v1",
		"course/01a207bd-a9c0-7cc3-98c4-dc0c0c07398f",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", NULL, "public", offering},
	{"01a207bd-a9c1-7000-8000-000000000001", "eu.enlight.course.withdrawal.v1",
		"course/01a207bd-a9c0-7cc3-98c4-dc0c0c07398f", NULL, NULL, "public", withdrawal},
	{"01a207bd-a9c2-7000-8000-000000000002", "eu.enlight.archive.deposit.v1", "archive/77", NULL,
		"urn:schac:personalUniqueCode:int:esi:ut.ee:B12345", "personal", unknown},
};

static void make_event(struct world *w, size_t i, struct entropy *e)
{
	Enlight__Log__V1__Event m = ENLIGHT__LOG__V1__EVENT__INIT;
	uint8_t salt[SALT_LEN], room[512];
	char *persons[] = {(char *)events[i].person};

	entropy_fill(e, salt, sizeof salt);
	m.salt = (ProtobufCBinaryData){sizeof salt, salt};
	m.id = (char *)events[i].id;
	m.type = (char *)events[i].type;
	m.subject = (char *)events[i].subject;
	m.time = (char *)"2026-11-23T09:30:00Z";
	m.revision = 1;
	m.has_data = true;
	m.data = events[i].data(room);
	m.traceparent = (char *)events[i].traceparent;
	m.n_person = events[i].person != NULL;
	m.person = persons;
	m.data_class = (char *)events[i].data_class;
	m.keep_until = (char *)"2031-11-23";
	must(enlight__log__v1__event__get_packed_size(&m) <= sizeof w->events[i], "event");
	w->event_len[i] = enlight__log__v1__event__pack(&m, w->events[i]);
}

static struct bytes event_of(const struct world *w, size_t i)
{
	return bytes_of(w->events[i], w->event_len[i]);
}

static void make_batch(struct world *w)
{
	struct entropy e = draws("batch");
	struct digest leaf;

	for (size_t i = 0; i < N_EVENTS; i++) {
		make_event(w, i, &e);
		must(batch_add(&w->builder, event_of(w, i), &leaf) == 0, "batch");
	}
	w->header = make_header(w, two);
	must(batch_seal(&w->batch, w->batch_key, &w->header, &w->builder, &w->members[TARTU].keys, &e) == 0, "seal");
	digest_header(&w->digest, w->batch.header);
}

static json_t *event_json(const struct world *w, size_t i)
{
	Enlight__Log__V1__Event *m = enlight__log__v1__event__unpack(NULL, w->event_len[i], w->events[i]);
	json_t *o = json_object();

	must(m != NULL, "event");
	set(o, "salt", hex(m->salt.data, m->salt.len));
	set(o, "id", json_string(m->id));
	set(o, "type", json_string(m->type));
	set(o, "subject", json_string(m->subject));
	set(o, "time", json_string(m->time));
	set(o, "revision", number(m->revision));
	set(o, "data", hex(m->data.data, m->data.len));
	set(o, "traceparent", m->traceparent == NULL ? json_null() : json_string(m->traceparent));
	set(o, "person", json_array());
	for (size_t k = 0; k < m->n_person; k++)
		add(json_object_get(o, "person"), json_string(m->person[k]));
	set(o, "data_class", json_string(m->data_class));
	set(o, "keep_until", json_string(m->keep_until));
	set(o, "packed", hex_bytes(event_of(w, i)));
	set(o, "leaf", hex_digest(&w->builder.leaves[i]));
	enlight__log__v1__event__free_unpacked(m, NULL);
	return o;
}

static ProtobufCBinaryData binary(struct bytes b)
{
	return (ProtobufCBinaryData){b.len, (uint8_t *)b.data};
}

static json_t *deliver_frame(const struct world *w, const uint8_t *wrapped)
{
	Enlight__Link__V1__Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Deliver deliver = ENLIGHT__LINK__V1__DELIVER__INIT;

	frame.has_session = true;
	frame.session = binary(bytes_of(w->dialler.session, SESSION_ID_LEN));
	frame.has_number = true;
	frame.number = 3;
	frame.deliver = &deliver;
	deliver.header = binary(w->batch.header);
	deliver.signature = binary(bytes_of(w->batch.signature, SIGNATURE_LEN));
	deliver.has_key = deliver.has_body = true;
	deliver.key = binary(bytes_of(wrapped, WRAPPED_KEY_LEN));
	deliver.body = binary(w->batch.body);
	return frame_json(&frame);
}

static json_t *batch_json(const struct world *w)
{
	json_t *o = json_object(), *list = json_array();
	struct entropy e = draws("link wrap");
	uint8_t wrapped[WRAPPED_KEY_LEN];

	key_wrap(wrapped, w->dialler.session_key, &w->digest, w->batch_key, &e);
	set(o, "about",
		json_string(
			"A batch of ut.ee for rug.nl and ugent.be, from its events to the frame that takes it over the "
			"session of handshake.json. The third event has a topic that no node knows: it is stored "
			"and receipted like the others."));
	for (size_t i = 0; i < N_EVENTS; i++)
		add(list, event_json(w, i));
	set(o, "events", list);
	set(o, "body", hex(w->builder.body.data, w->builder.body.len));
	set(o, "header", header_fields(&w->header));
	set(o, "packed", hex_bytes(w->batch.header));
	set(o, "digest", hex_digest(&w->digest));
	set(o, "sign_public", hex(w->members[TARTU].keys.sign_public, 32));
	set(o, "signature", hex(w->batch.signature, SIGNATURE_LEN));
	set(o, "batch_key", hex(w->batch_key, BATCH_KEY_LEN));
	set(o, "sealed", hex_bytes(w->batch.body));
	set(o, "session", hex(w->dialler.session, SESSION_ID_LEN));
	set(o, "session_key", hex(w->dialler.session_key, 32));
	set(o, "wrapped", hex(wrapped, sizeof wrapped));
	set(o, "frame", deliver_frame(w, wrapped));
	return o;
}

/* --- sealing --- */

static json_t *seal_json(const struct world *w, const char *what, struct batch_builder *b, const char *outcome)
{
	struct entropy e = draws(what);
	struct sealed_batch batch = w->batch;
	uint8_t key[BATCH_KEY_LEN];
	json_t *o = json_object();

	batch.body = (struct bytes){0};
	must(batch_reseal(&batch, key, b, &e) == 0, "seal");
	set(o, "what", json_string(what));
	set(o, "body", hex(b->body.data, b->body.len));
	set(o, "key", hex(key, sizeof key));
	set(o, "sealed", hex_bytes(batch.body));
	set(o, "outcome", json_string(outcome));
	free((void *)batch.body.data);
	batch_truncate(b, 0, 0);
	return o;
}

static void slot(struct batch_builder *b, const struct world *w, size_t i)
{
	struct digest leaf;

	must(batch_add(b, event_of(w, i), &leaf) == 0, "slot");
}

static void leaf_slot(struct batch_builder *b, const struct world *w, size_t i)
{
	must(batch_add_leaf(b, &w->builder.leaves[i]) == 0, "slot");
}

static json_t *seals(const struct world *w)
{
	static const uint8_t empty[] = {0x0a, 0};
	struct batch_builder b = {0};
	json_t *list = json_array();

	for (size_t i = 0; i < N_EVENTS; i++)
		slot(&b, w, i);
	add(list, seal_json(w, "all events", &b, "good"));
	slot(&b, w, 0);
	leaf_slot(&b, w, 1);
	leaf_slot(&b, w, 2);
	add(list, seal_json(w, "two events erased", &b, "good"));
	slot(&b, w, 0);
	slot(&b, w, 2);
	slot(&b, w, 1);
	add(list, seal_json(w, "another order", &b, "forged"));
	slot(&b, w, 0);
	slot(&b, w, 1);
	add(list, seal_json(w, "one slot too few", &b, malformed));
	for (size_t i = 0; i < N_EVENTS; i++)
		slot(&b, w, i);
	slot(&b, w, 0);
	add(list, seal_json(w, "one slot too many", &b, malformed));
	slot(&b, w, 0);
	slot(&b, w, 1);
	buffer_add(&b.body, empty, sizeof empty);
	add(list, seal_json(w, "an empty slot", &b, malformed));
	batch_builder_deinit(&b);
	return list;
}

static json_t *sealing_json(const struct world *w)
{
	json_t *o = json_object();

	set(o, "about",
		json_string("Bodies under the header and signature of batch.json, each sealed with a key of its own. "
			    "All seals "
			    "open; `outcome` says what a reader finds in them."));
	set(o, "header", hex_bytes(w->batch.header));
	set(o, "signature", hex(w->batch.signature, SIGNATURE_LEN));
	set(o, "seals", seals(w));
	return o;
}

static json_t *wrap_json(const struct world *w)
{
	json_t *o = json_object(), *list = json_array();
	static const char *const labels[] = {"disk", "link"};

	set(o, "about", json_string("Batch keys, wrapped by another key for one header."));
	for (size_t i = 0; i < 2; i++) {
		struct entropy e = draws(labels[i]);
		uint8_t wrapping[32], key[BATCH_KEY_LEN], wrapped[WRAPPED_KEY_LEN];
		json_t *c = json_object();

		label_bytes(wrapping, "wrapping key ", labels[i]);
		label_bytes(key, "batch key ", labels[i]);
		key_wrap(wrapped, wrapping, &w->digest, key, &e);
		set(c, "wrapping", hex(wrapping, 32));
		set(c, "header_digest", hex_digest(&w->digest));
		set(c, "nonce", hex(wrapped, 24));
		set(c, "key", hex(key, 32));
		set(c, "wrapped", hex(wrapped, sizeof wrapped));
		add(list, c);
	}
	set(o, "wraps", list);
	return o;
}

/* --- receipts --- */

static const struct {
	const char *what, *reader;
	uint32_t incarnation;
	uint64_t from, to, uncovered;
	bool good;
} receipt_cases[] = {
	{"all of a channel", "ugent.be", 1, 1, 20, 0, true},
	{"two slots that nobody erased", "ugent.be", 1, 1, 20, 2, true},
	{"the end before the beginning", "ugent.be", 1, 1, 0, 0, false},
	{"from 0", "ugent.be", 1, 0, 20, 0, false},
	{"not from the beginning", "ugent.be", 1, 18, 20, 0, false},
	{"more uncovered than there are", "ugent.be", 1, 1, 20, 21, false},
	{"incarnation 0", "ugent.be", 0, 1, 20, 0, false},
	{"a reader outside the audience", "u-bordeaux.fr", 1, 1, 20, 0, false},
};

static struct receipt receipt_of(const struct world *w, size_t i, char *audience)
{
	struct receipt r = {
		.network = *trust_network(w->trust),
		.audience = audience,
		.incarnation = receipt_cases[i].incarnation,
		.from = receipt_cases[i].from,
		.to = receipt_cases[i].to,
		.head = w->digest,
		.uncovered = receipt_cases[i].uncovered,
		.time_ms = now_ms + 1500,
		.key = 1,
	};

	strcpy(r.publisher, "ut.ee");
	strcpy(r.reader, receipt_cases[i].reader);
	return r;
}

static json_t *receipt_fields(const struct receipt *r)
{
	json_t *o = json_object();

	set(o, "network", hex_digest(&r->network));
	set(o, "reader", json_string(r->reader));
	set(o, "publisher", json_string(r->publisher));
	set(o, "audience", audience_json(r->audience));
	set(o, "incarnation", number(r->incarnation));
	set(o, "from", number(r->from));
	set(o, "to", number(r->to));
	set(o, "head", hex_digest(&r->head));
	set(o, "uncovered", number(r->uncovered));
	set(o, "time_ms", number(r->time_ms));
	set(o, "key", number(r->key));
	return o;
}

static json_t *receipt_json(const struct world *w)
{
	json_t *o = json_object(), *good = json_array(), *refused = json_array();
	const struct node_keys *keys = &w->members[GHENT].keys;

	set(o, "about", json_string("Receipts of ugent.be for the channel of batch.json, whose head that batch is."));
	set(o, "sign_public", hex(keys->sign_public, 32));
	for (size_t i = 0; i < sizeof receipt_cases / sizeof *receipt_cases; i++) {
		char audience[] = "rug.nl,ugent.be";
		struct receipt r = receipt_of(w, i, audience);
		uint8_t signature[SIGNATURE_LEN];
		json_t *c = json_object();
		struct bytes packed;

		must(receipt_sign(&packed, signature, &r, keys) == 0, "receipt");
		set(c, "what", json_string(receipt_cases[i].what));
		set(c, "packed", hex_bytes(packed));
		set(c, "signature", hex(signature, sizeof signature));
		if (receipt_cases[i].good)
			set(c, "fields", receipt_fields(&r));
		add(receipt_cases[i].good ? good : refused, c);
		free((void *)packed.data);
	}
	set(o, "receipts", good);
	set(o, "refused", refused);
	return o;
}

/* --- files --- */

static json_t *events_json(const struct world *w)
{
	(void)w;
	return event_vectors();
}

static json_t *evidence_json(const struct world *w)
{
	(void)w;
	return evidence_vectors();
}

static const struct {
	const char *name;
	json_t *(*make)(const struct world *w);
} files[] = {
	{"batch", batch_json},
	{"derivation", derivation_json},
	{"event", events_json},
	{"evidence", evidence_json},
	{"handshake", handshake_json},
	{"header", header_json},
	{"leaf", leaf_json},
	{"notes", notes_json},
	{"path", path_json},
	{"receipt", receipt_json},
	{"root", root_json},
	{"sealing", sealing_json},
	{"wrap", wrap_json},
};

static bool same_as_file(const char *path, const char *text)
{
	size_t len = 0;
	void *data = NULL;
	bool same = file_read(&data, &len, path, 16 << 20) == 0 && strcmp(data, text) == 0;

	if (!same)
		fprintf(stderr, "make_vectors: %s is not what this program makes\n", path);
	free(data);
	return same;
}

static bool put_file(const struct world *w, size_t i, const char *folder, bool check)
{
	struct buffer path = {0}, text = {0};
	json_t *o = files[i].make(w);
	char *dump = json_dumps(o, JSON_INDENT(1));
	bool good;

	must(dump != NULL, "out of memory");
	buffer_printf(&text, "%s\n", dump);
	buffer_printf(&path, "%s/%s.json", folder, files[i].name);
	if (check)
		good = same_as_file(buffer_cstr(&path), buffer_cstr(&text));
	else
		good = file_write(buffer_cstr(&path), text.data, text.len, 0644) == 0;
	free(dump);
	json_decref(o);
	buffer_deinit(&path);
	buffer_deinit(&text);
	return good;
}

static bool put_topics(const char *folder, bool check)
{
	struct buffer path = {0};
	char *text = topics_text();
	bool good;

	buffer_printf(&path, "%s/../topics.json", folder);
	good = check ? same_as_file(buffer_cstr(&path), text)
		     : file_write(buffer_cstr(&path), text, strlen(text), 0644) == 0;
	free(text);
	buffer_deinit(&path);
	return good;
}

static void world_deinit(struct world *w)
{
	for (size_t i = 0; i < 2; i++) {
		buffer_deinit(&w->roster[i]);
		free((void *)w->claim[i].data);
	}
	for (size_t i = 0; i < N_MEMBERS; i++)
		buffer_deinit(&w->cards[i]);
	trust_unref(w->trust);
	batch_builder_deinit(&w->builder);
	header_deinit(&w->header);
	sealed_batch_deinit(&w->batch);
}

int main(int argc, char **argv)
{
	bool check = argc == 3 && strcmp(argv[1], "--check") == 0, good = true;
	struct world w = {0};

	if (!check && argc != 2) {
		fprintf(stderr, "usage: make_vectors [--check] FOLDER\n");
		return 64;
	}
	must(sodium_init() >= 0, "libsodium");
	make_members(&w);
	make_notes(&w);
	make_hellos(&w);
	make_batch(&w);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		good &= put_file(&w, i, argv[argc - 1], check);
	good &= put_topics(argv[argc - 1], check);
	world_deinit(&w);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
