/* The files of proto/vectors, read with core's own functions. Another program of another language reads them too
 * (check_vectors.py). The folder is in VECTORS. */
#include "core/batch.h"
#include "core/event.h"
#include "core/handle.h"
#include "core/receipt.h"
#include "core/session.h"
#include "unit.h"

#include <jansson.h>
#include <string.h>

static json_t *load(const char *name)
{
	const char *folder = getenv("VECTORS");
	struct buffer path = {0};
	json_error_t error;
	json_t *o;

	ck_assert_ptr_nonnull(folder);
	buffer_printf(&path, "%s/%s.json", folder, name);
	o = json_load_file(buffer_cstr(&path), JSON_REJECT_DUPLICATES, &error);
	ck_assert_msg(o != NULL, "%s: %s", buffer_cstr(&path), error.text);
	buffer_deinit(&path);
	return o;
}

static json_t *get(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	ck_assert_msg(v != NULL, "%s is missing", name);
	return v;
}

static const char *text(json_t *o, const char *name)
{
	const char *s = json_string_value(get(o, name));

	ck_assert_msg(s != NULL, "%s is no text", name);
	return s;
}

static uint64_t number(json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(get(o, name));
}

/* Bytes written in hexadecimal: at most as many as one test needs at a time, in memory that the next ones reuse. */
struct room {
	uint8_t bytes[16][16384];
	unsigned next;
};
static struct bytes hex(struct room *room, const char *s)
{
	uint8_t *out = room->bytes[room->next++ % 16];
	size_t len = strlen(s) / 2;

	ck_assert_uint_le(len, sizeof room->bytes[0]);
	ck_assert(hex_decode(out, len, s));
	return bytes_of(out, len);
}

static struct bytes view(struct room *room, json_t *o, const char *name)
{
	return hex(room, text(o, name));
}

static void same(struct bytes got, json_t *o, const char *name)
{
	char *s = malloc(2 * got.len + 1);

	ck_assert_ptr_nonnull(s);
	hex_encode(s, got.data, got.len);
	ck_assert_msg(strcmp(s, text(o, name)) == 0, "%s: %s is not %s", name, s, text(o, name));
	free(s);
}

static void same_digest(const struct digest *got, json_t *o, const char *name)
{
	same(bytes_of(got->bytes, DIGEST_LEN), o, name);
}

static void same_text(const char *got, json_t *o, const char *name)
{
	ck_assert_str_eq(got, text(o, name));
}

static void same_number(uint64_t got, json_t *o, const char *name)
{
	ck_assert_msg(got == number(o, name), "%s", name);
}

/* An audience in its one form against the list. */
static void same_audience(const char *got, json_t *o)
{
	json_t *list = get(o, "audience");
	struct buffer b = {0};

	for (size_t i = 0; i < json_array_size(list); i++)
		buffer_printf(&b, "%s%s", i == 0 ? "" : ",", json_string_value(json_array_get(list, i)));
	ck_assert_str_eq(got, buffer_cstr(&b));
	buffer_deinit(&b);
}

/* Keys follow from secrets. */
START_TEST(test_derivation)
{
	static struct room room;
	json_t *o = load("derivation"), *v;
	size_t i;

	json_array_foreach(get(o, "nodes"), i, v)
	{
		struct node_keys k;

		node_keys_derive(&k, 1, view(&room, v, "node_secret").data);
		same(bytes_of(k.sign_secret, 32), v, "sign_seed");
		same(bytes_of(k.sign_public, 32), v, "sign_public");
		same(bytes_of(k.link_secret, 32), v, "link_secret");
		same(bytes_of(k.link_public, 32), v, "link_public");
	}
	json_array_foreach(get(o, "stores"), i, v)
	{
		struct store_keys k;

		store_keys_derive(&k, view(&room, v, "store_secret").data);
		same(bytes_of(k.wrap, 32), v, "wrap");
		same(bytes_of(k.index, 32), v, "index");
	}
	json_decref(o);
}
END_TEST

/* Leaves, roots over the first of them, and paths. */
START_TEST(test_trees)
{
	static struct room room;
	json_t *leaf = load("leaf"), *root = load("root"), *path = load("path"), *v, *step;
	struct digest leaves[32], got, steps[MERKLE_PATH_MAX];
	size_t i, k, len;

	json_array_foreach(get(leaf, "leaves"), i, v)
	{
		digest_leaf(&leaves[i], view(&room, v, "event"));
		same_digest(&leaves[i], v, "leaf");
	}
	json_array_foreach(get(root, "roots"), i, v)
	{
		merkle_root(&got, leaves, number(v, "n"));
		same_digest(&got, v, "root");
	}
	json_array_foreach(get(path, "paths"), i, v)
	{
		len = merkle_path(steps, leaves, number(v, "n"), number(v, "index"));
		ck_assert_uint_eq(len, json_array_size(get(v, "path")));
		json_array_foreach(get(v, "path"), k, step)
			ck_assert(bytes_equal(hex(&room, json_string_value(step)), bytes_of(&steps[k], DIGEST_LEN)));
		merkle_root(&got, leaves, number(v, "n"));
		ck_assert(merkle_verify(
			&got, &leaves[number(v, "index")], number(v, "index"), number(v, "n"), steps, len));
	}
	json_decref(leaf);
	json_decref(root);
	json_decref(path);
}
END_TEST

static void same_header(const struct header *h, json_t *v)
{
	json_t *after = get(v, "after");

	same_digest(&h->network, v, "network");
	same_text(h->publisher, v, "publisher");
	same_audience(h->audience, v);
	same_number(h->incarnation, v, "incarnation");
	same_number(h->first, v, "first");
	same_number(h->count, v, "count");
	same_digest(&h->previous, v, "previous");
	ck_assert(h->has_after == json_is_object(after));
	if (h->has_after) {
		same_number(h->after_sequence, after, "sequence");
		same_digest(&h->after_digest, after, "digest");
	}
	same_digest(&h->root, v, "root");
	same_number(h->time_ms, v, "time_ms");
	same_digest(&h->roster, v, "roster");
	same_digest(&h->card, v, "card");
	same_number(h->key, v, "key");
}

/* Headers are read, digested and verified; what is none is refused for its reason. */
START_TEST(test_headers)
{
	static struct room room;
	json_t *o = load("header"), *v;
	struct header h;
	size_t i;

	json_array_foreach(get(o, "headers"), i, v)
	{
		struct bytes packed = view(&room, v, "packed");
		struct digest d;

		ck_assert_int_eq(header_decode(&h, packed), 0);
		same_header(&h, get(v, "fields"));
		digest_header(&d, packed);
		same_digest(&d, v, "digest");
		ck_assert(header_verify(packed, view(&room, v, "signature").data, view(&room, o, "sign_public").data));
		header_deinit(&h);
	}
	json_array_foreach(get(o, "refused"), i, v)
	{
		bool later = strcmp(text(v, "outcome"), "unknown format") == 0;

		ck_assert_msg(
			header_decode(&h, view(&room, v, "packed")) == (later ? BATCH_UNKNOWN_FORMAT : BATCH_MALFORMED),
			"%s", text(v, "what"));
	}
	json_decref(o);
}
END_TEST

static int outcome_of(const char *name)
{
	if (strcmp(name, "good") == 0)
		return 0;
	return strcmp(name, "forged") == 0 ? BATCH_FORGED : BATCH_MALFORMED;
}

/* Sealed bodies open to what they should. */
START_TEST(test_sealing)
{
	static struct room room;
	json_t *o = load("sealing"), *v;
	struct sealed_batch b = {.header = view(&room, o, "header")};
	struct header h;
	size_t i;

	memcpy(b.signature, view(&room, o, "signature").data, SIGNATURE_LEN);
	ck_assert_int_eq(header_decode(&h, b.header), 0);
	json_array_foreach(get(o, "seals"), i, v)
	{
		struct slots slots;
		int r;

		b.body = view(&room, v, "sealed");
		r = batch_open(&slots, &h, &b, view(&room, v, "key").data);
		ck_assert_msg(r == outcome_of(text(v, "outcome")), "%s", text(v, "what"));
		if (r == 0)
			same(bytes_of(slots.memory, b.body.len - BODY_OVERHEAD), v, "body");
		slots_deinit(&slots);
	}
	header_deinit(&h);
	json_decref(o);
}
END_TEST

/* Wrapped keys open for their header. */
START_TEST(test_wraps)
{
	static struct room room;
	json_t *o = load("wrap"), *v;
	size_t i;

	json_array_foreach(get(o, "wraps"), i, v)
	{
		uint8_t key[BATCH_KEY_LEN];
		struct digest d;

		ck_assert(digest_from(&d, view(&room, v, "header_digest")));
		ck_assert(key_unwrap(key, view(&room, v, "wrapping").data, &d, view(&room, v, "wrapped")));
		same(bytes_of(key, sizeof key), v, "key");
	}
	json_decref(o);
}
END_TEST

static int learn(struct trust **t, json_t *note)
{
	struct problems problems = {0};
	struct trust *next = NULL;
	int r = trust_with(&next, *t, "note", bytes_str(text(note, "text")), &problems);

	if (r == 0) {
		trust_unref(*t);
		*t = next;
	}
	problems_deinit(&problems);
	return r;
}

/* Roster 1 and the first `n_cards` cards. */
static struct trust *founded(json_t *notes, size_t n_cards)
{
	static struct room room;
	struct problems problems = {0};
	struct digest network;
	struct trust *t;

	ck_assert(digest_from(&network, view(&room, notes, "network")));
	ck_assert_int_eq(
		trust_new(&t, &network, "roster", bytes_str(text(get(notes, "roster_1"), "text")), &problems), 0);
	for (size_t i = 0; i < n_cards; i++)
		ck_assert_int_eq(learn(&t, json_array_get(get(notes, "cards"), i)), 0);
	return t;
}

/* Rosters and cards are taken as they should be, and have the digests they should. */
START_TEST(test_notes)
{
	json_t *o = load("notes"), *v;
	struct trust *t = founded(o, 3);
	size_t i;

	ck_assert_int_eq(learn(&t, get(o, "roster_2")), 0);
	same_digest(trust_network(t), o, "network");
	same_digest(&trust_roster(t)->note.digest, get(o, "roster_2"), "digest");
	same_digest(&trust_roster_number(t, 1)->note.digest, get(o, "roster_1"), "digest");
	json_array_foreach(get(o, "cards"), i, v) same_digest(
		&trust_card(t, text(json_array_get(get(o, "members"), i), "handle"))->note.digest, v, "digest");
	trust_unref(t);
	t = founded(o, 2);
	json_array_foreach(get(o, "refused"), i, v) ck_assert_msg(learn(&t, v) == TRUST_REFUSED, "%s", text(v, "why"));
	ck_assert_int_eq(learn(&t, get(o, "copied")), 0);
	trust_unref(t);
	t = founded(o, 0);
	ck_assert_int_eq(learn(&t, get(o, "copied")), 0);
	ck_assert_int_eq(learn(&t, json_array_get(get(o, "cards"), 1)), 0);
	trust_unref(t);
	json_decref(o);
}
END_TEST

/* One end of the meeting, as its node would stand before the other's claim arrives. */
struct end {
	struct node_keys keys;
	uint8_t boot[BOOT_ID_LEN];
	struct hello_self self;
	struct bytes claim, signature;
	struct hello hello;
};

static void end_init(struct end *e, struct room *room, const struct trust *t, json_t *v)
{
	node_keys_derive(&e->keys, (uint32_t)number(v, "key"), view(room, v, "node_secret").data);
	memcpy(e->boot, view(room, v, "boot").data, BOOT_ID_LEN);
	e->self = (struct hello_self){t, text(v, "member"), &e->keys, e->boot, number(v, "time_ms")};
	e->claim = view(room, v, "claim");
	e->signature = view(room, v, "signature");
	digest_plain(&e->hello.own_claim, e->claim);
	same_digest(&e->hello.own_claim, v, "claim_digest");
	memcpy(e->hello.ephemeral_secret, view(room, v, "ephemeral_secret").data, 32);
}

static struct trust *whole_network(void)
{
	json_t *notes = load("notes");
	struct trust *t = founded(notes, 3);

	ck_assert_int_eq(learn(&t, get(notes, "roster_2")), 0);
	json_decref(notes);
	return t;
}

/* The dialling end of the recorded meeting comes to the recorded signature, session and key. */
START_TEST(test_dialler)
{
	static struct room room;
	json_t *o = load("handshake");
	struct end d = {0}, l = {0};
	uint8_t signature[SIGNATURE_LEN];
	struct trust *t = whole_network();

	end_init(&d, &room, t, get(o, "dialler"));
	end_init(&l, &room, t, get(o, "listener"));
	d.hello.dialled = true;
	strcpy(d.hello.peer, l.self.member);
	memcpy(d.hello.peer_link, l.keys.link_public, LINK_PUBLIC_LEN);
	ck_assert_int_eq(hello_finish(&d.hello, &d.self, l.claim, l.signature, signature), 0);
	same(bytes_of(signature, sizeof signature), get(o, "dialler"), "signature");
	same(bytes_of(d.hello.session, SESSION_ID_LEN), o, "session");
	same(bytes_of(d.hello.session_key, 32), o, "session_key");
	trust_unref(t);
	json_decref(o);
}
END_TEST

/* The listening end takes the recorded claim and signature, and refuses every bad claim with its code. */
START_TEST(test_listener)
{
	static struct room room;
	uint8_t seed[32] = {0}, signature[SIGNATURE_LEN];
	struct trust *t = whole_network();
	struct end d = {0}, l = {0};
	json_t *o = load("handshake"), *v;
	struct entropy entropy;
	struct hello h;
	struct bytes claim;
	size_t i;

	end_init(&d, &room, t, get(o, "dialler"));
	end_init(&l, &room, t, get(o, "listener"));
	entropy_init(&entropy, seed);
	ck_assert_int_eq(hello_answer(&h, &l.self, d.keys.link_public, d.claim, &entropy, &claim, signature), 0);
	free((void *)claim.data);
	h.own_claim = l.hello.own_claim; /* as if this had been the answer */
	ck_assert_int_eq(hello_accept(&h, &l.self, d.signature), 0);
	json_array_foreach(get(o, "refused"), i, v)
		ck_assert_msg(hello_answer(&h, &l.self, d.keys.link_public, view(&room, v, "claim"), &entropy, &claim,
				      signature) == (int)number(v, "code"),
			"%s", text(v, "why"));
	trust_unref(t);
	json_decref(o);
}
END_TEST

/* A whole batch: from events to the sealed body and back. */
START_TEST(test_batch)
{
	static struct room room;
	json_t *o = load("batch"), *v;
	struct sealed_batch b = {view(&room, o, "packed"), {0}, view(&room, o, "sealed")};
	struct batch_builder builder = {0};
	uint8_t key[BATCH_KEY_LEN];
	struct slots slots;
	struct header h;
	struct digest d;
	size_t i;

	json_array_foreach(get(o, "events"), i, v)
	{
		ck_assert_int_eq(batch_add(&builder, view(&room, v, "packed"), &d), 0);
		same_digest(&d, v, "leaf");
	}
	same(bytes_of(builder.body.data, builder.body.len), o, "body");
	batch_builder_deinit(&builder);
	memcpy(b.signature, view(&room, o, "signature").data, SIGNATURE_LEN);
	ck_assert_int_eq(header_decode(&h, b.header), 0);
	same_header(&h, get(o, "header"));
	ck_assert(header_verify(b.header, b.signature, view(&room, o, "sign_public").data));
	digest_header(&d, b.header);
	same_digest(&d, o, "digest");
	ck_assert(key_unwrap(key, view(&room, o, "session_key").data, &d, view(&room, o, "wrapped")));
	same(bytes_of(key, sizeof key), o, "batch_key");
	ck_assert_int_eq(batch_open(&slots, &h, &b, key), 0);
	json_array_foreach(get(o, "events"), i, v) same(slots.items[i].event, v, "packed");
	slots_deinit(&slots);
	header_deinit(&h);
	json_decref(o);
}
END_TEST

/* Receipts are read and verified; impossible ones are refused. */
START_TEST(test_receipts)
{
	static struct room room;
	json_t *o = load("receipt"), *v, *f;
	struct receipt r;
	size_t i;

	json_array_foreach(get(o, "receipts"), i, v)
	{
		struct bytes packed = view(&room, v, "packed");

		f = get(v, "fields");
		ck_assert_int_eq(receipt_decode(&r, packed), 0);
		same_digest(&r.network, f, "network");
		same_text(r.reader, f, "reader");
		same_text(r.publisher, f, "publisher");
		same_audience(r.audience, f);
		same_number(r.incarnation, f, "incarnation");
		same_number(r.from, f, "from");
		same_number(r.to, f, "to");
		same_digest(&r.head, f, "head");
		same_number(r.uncovered, f, "uncovered");
		same_number(r.time_ms, f, "time_ms");
		same_number(r.key, f, "key");
		ck_assert(receipt_verify(packed, view(&room, v, "signature").data, view(&room, o, "sign_public").data));
		receipt_deinit(&r);
	}
	json_array_foreach(get(o, "refused"), i, v)
		ck_assert_msg(receipt_decode(&r, view(&room, v, "packed")) == RECEIPT_MALFORMED, "%s", text(v, "what"));
	json_decref(o);
}
END_TEST

static void same_persons(const struct event *e, json_t *list)
{
	ck_assert_uint_eq(e->n_persons, json_array_size(list));
	for (size_t i = 0; i < e->n_persons; i++)
		ck_assert_str_eq(e->persons[i], json_string_value(json_array_get(list, i)));
}

/* What a local system posts becomes the recorded Event, with what its node adds on that day. */
START_TEST(test_events)
{
	static struct room room;
	json_t *o = load("event"), *v;
	size_t i, len;

	ck_assert_uint_eq(json_array_size(get(o, "events")), n_topics);
	json_array_foreach(get(o, "events"), i, v)
	{
		const char *source = text(get(v, "event"), "source");
		struct problems problems = {0};
		uint8_t *packed;
		struct digest leaf;
		struct draft d;

		if (topic_find(text(v, "topic"))->self)
			continue; /* no local system posts it */
		ck_assert_msg(draft_from_json(&d, get(v, "event"), source, &problems) == 0, "%s", text(v, "topic"));
		ck_assert_int_eq(draft_complete(&d, NULL, NULL, text(o, "today")), 0);
		memcpy(d.event.salt, view(&room, v, "salt").data, SALT_LEN);
		same_persons(&d.event, get(v, "persons"));
		same_text(d.event.data_class, v, "dataclass");
		same_text(d.event.keep_until, v, "keepuntil");
		ck_assert_int_eq(event_pack(&packed, &len, &d.event), 0);
		same(bytes_of(packed, len), v, "packed");
		digest_leaf(&leaf, bytes_of(packed, len));
		same_digest(&leaf, v, "leaf");
		free(packed);
		draft_deinit(&d);
	}
	json_decref(o);
}
END_TEST

/* A reader finds the recorded breach in each refused event, and nothing at another place. */
START_TEST(test_refused_events)
{
	static struct room room;
	json_t *o = load("event"), *v;
	size_t i;

	json_array_foreach(get(o, "refused"), i, v)
	{
		struct problems problems = {0};
		struct event e;

		if (event_unpack(&e, view(&room, v, "packed")) == EVENT_MALFORMED) {
			ck_assert_str_eq(text(v, "rule"), "event");
			continue;
		}
		event_validate(&e, text(v, "publisher"), text(v, "audience"), &problems);
		ck_assert_msg(problems.n > 0, "%s of %s", text(v, "rule"), text(v, "topic"));
		same_text(problems.items[0].rule, v, "says");
		for (size_t k = 0; k < problems.n; k++)
			same_text(problems.items[k].place, v, "place");
		problems_deinit(&problems);
		event_deinit(&e);
	}
	json_decref(o);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vectors");
	TCase *tc = tcase_create("vectors");

	tcase_add_test(tc, test_derivation);
	tcase_add_test(tc, test_trees);
	tcase_add_test(tc, test_headers);
	tcase_add_test(tc, test_sealing);
	tcase_add_test(tc, test_wraps);
	tcase_add_test(tc, test_notes);
	tcase_add_test(tc, test_dialler);
	tcase_add_test(tc, test_listener);
	tcase_add_test(tc, test_batch);
	tcase_add_test(tc, test_receipts);
	tcase_add_test(tc, test_events);
	tcase_add_test(tc, test_refused_events);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
