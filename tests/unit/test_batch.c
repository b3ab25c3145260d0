#include "core/batch.h"
#include "core/handle.h"
#include "enlight/log/v1/log.pb-c.h"
#include "unit.h"

#include <string.h>

static const uint8_t seed[32] = {1};

/* A header that is good but for what a case changes. */
static struct header good_header(void)
{
	struct header h = {
		.network = {{1}},
		.publisher = "ut.ee",
		.audience = strdup("rug.nl,ugent.be"),
		.incarnation = 1,
		.first = 18,
		.count = 3,
		.previous = {{2}},
		.root = {{3}},
		.time_ms = 1795426200000,
		.roster = {{4}},
		.card = {{5}},
		.key = 2,
	};

	ck_assert_ptr_nonnull(h.audience);
	return h;
}

static int recode(struct header *out, const struct header *h)
{
	struct bytes packed;
	int r;

	ck_assert_int_eq(header_encode(&packed, h), 0);
	r = header_decode(out, packed);
	free((void *)packed.data);
	return r;
}

/* A header says after decoding what it said before encoding. */
START_TEST(test_header_survives_the_wire)
{
	struct header h = good_header(), got;

	h.incarnation = 2;
	h.has_after = true;
	h.after_sequence = 17;
	h.after_digest = h.previous;
	ck_assert_int_eq(recode(&got, &h), 0);
	ck_assert_str_eq(got.publisher, h.publisher);
	ck_assert_str_eq(got.audience, h.audience);
	ck_assert_uint_eq(got.incarnation, 2);
	ck_assert_uint_eq(got.first, 18);
	ck_assert_uint_eq(header_last(&got), 20);
	ck_assert(got.has_after && got.after_sequence == 17);
	ck_assert(digest_equal(&got.after_digest, &h.previous) && digest_equal(&got.previous, &h.previous));
	ck_assert(digest_equal(&got.network, &h.network) && digest_equal(&got.root, &h.root));
	ck_assert(digest_equal(&got.roster, &h.roster) && digest_equal(&got.card, &h.card));
	ck_assert_uint_eq(got.time_ms, h.time_ms);
	ck_assert_uint_eq(got.key, 2);
	header_deinit(&got);
	header_deinit(&h);
}
END_TEST

/* Where a batch may stand: a channel begins at 1 after zeros, an incarnation names where it goes on, numbers do not overflow. */
static const struct {
	const char *name;
	uint32_t incarnation;
	uint64_t first;
	uint32_t count;
	uint8_t previous; /* first byte of the digest; the others are 0 */
	bool has_after;
	uint64_t after;
	uint8_t after_digest;
	int result;
} places[] = {
	{"channel begins", 1, 1, 1, 0, true, 0, 0, 0},
	{"chain goes on", 1, 2, 1, 7, false, 0, 0, 0},
	{"new incarnation", 2, 18, 1, 7, true, 17, 7, 0},
	{"new incarnation of nothing", 3, 1, 1, 0, true, 0, 0, 0},
	{"largest count", 1, 2, BATCH_EVENTS_MAX, 7, false, 0, 0, 0},
	{"largest sequence", 1, INT64_MAX - 1, 1, 7, false, 0, 0, 0},
	{"incarnation 0", 0, 1, 1, 0, true, 0, 0, BATCH_MALFORMED},
	{"count 0", 1, 2, 0, 7, false, 0, 0, BATCH_MALFORMED},
	{"count too large", 1, 2, BATCH_EVENTS_MAX + 1, 7, false, 0, 0, BATCH_MALFORMED},
	{"sequence 0", 1, 0, 1, 0, false, 0, 0, BATCH_MALFORMED},
	{"overflow", 1, UINT64_MAX, 1, 7, false, 0, 0, BATCH_MALFORMED},
	{"more than 63 bits", 1, INT64_MAX, 1, 7, false, 0, 0, BATCH_MALFORMED},
	{"first without after", 1, 1, 1, 0, false, 0, 0, BATCH_MALFORMED},
	{"first after something", 1, 1, 1, 7, true, 0, 7, BATCH_MALFORMED},
	{"later after nothing", 1, 2, 1, 0, false, 0, 0, BATCH_MALFORMED},
	{"first incarnation goes on", 1, 18, 1, 7, true, 17, 7, BATCH_MALFORMED},
	{"hole after after", 2, 19, 1, 7, true, 17, 7, BATCH_MALFORMED},
	{"after of another", 2, 18, 1, 7, true, 17, 8, BATCH_MALFORMED},
};

START_TEST(test_places)
{
	struct header h = good_header(), got;

	h.incarnation = places[_i].incarnation;
	h.first = places[_i].first;
	h.count = places[_i].count;
	h.previous = (struct digest){{places[_i].previous}};
	h.has_after = places[_i].has_after;
	h.after_sequence = places[_i].after;
	h.after_digest = (struct digest){{places[_i].after_digest}};
	ck_assert_msg(recode(&got, &h) == places[_i].result, "%s", places[_i].name);
	header_deinit(&got);
	header_deinit(&h);
}
END_TEST

/* The audience has its one form, and the publisher is in it only alone. */
START_TEST(test_header_audiences)
{
	static const struct {
		const char *audience;
		int result;
	} cases[] = {
		{"network", 0},
		{"rug.nl", 0},
		{"ut.ee", 0},
		{"rug.nl,ut.ee", BATCH_MALFORMED},
		{"ugent.be,rug.nl", BATCH_MALFORMED},
		{"rug.nl,rug.nl", BATCH_MALFORMED},
		{"network,rug.nl", BATCH_MALFORMED},
		{"Rug.nl", BATCH_MALFORMED},
		{"", BATCH_MALFORMED},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct header h = good_header(), got;

		free(h.audience);
		h.audience = strdup(cases[i].audience);
		ck_assert_msg(recode(&got, &h) == cases[i].result, "%s", cases[i].audience);
		header_deinit(&got);
		header_deinit(&h);
	}
}
END_TEST

/* Other single fields that make a header none. */
START_TEST(test_header_fields)
{
	struct header h = good_header(), got;

	h.key = 0;
	ck_assert_int_eq(recode(&got, &h), BATCH_MALFORMED);
	h.key = 1;
	h.time_ms = UINT64_MAX;
	ck_assert_int_eq(recode(&got, &h), BATCH_MALFORMED);
	h.time_ms = 0;
	strcpy(h.publisher, "UT.ee");
	ck_assert_int_eq(recode(&got, &h), BATCH_MALFORMED);
	strcpy(h.publisher, "ut.ee");
	ck_assert_int_eq(recode(&got, &h), 0);
	header_deinit(&got);
	header_deinit(&h);
}
END_TEST

/* Reads a good header's bytes with one more field in front of or behind it. */
static int decode_with(const void *before, size_t n_before, const void *behind, size_t n_behind)
{
	struct header h = good_header(), got;
	struct buffer b = {0};
	struct bytes packed;
	int r;

	ck_assert_int_eq(header_encode(&packed, &h), 0);
	buffer_add(&b, before, n_before);
	buffer_add(&b, packed.data, packed.len);
	buffer_add(&b, behind, n_behind);
	r = header_decode(&got, bytes_of(b.data, b.len));
	free((void *)packed.data);
	buffer_deinit(&b);
	header_deinit(&got);
	header_deinit(&h);
	return r;
}

/* A later format is told apart from nonsense, even when this node could not read the rest of it; unknown fields of this
 * format are ignored; a digest of another length, a second copy of a field and torn bytes are refused. */
START_TEST(test_header_of_later_versions)
{
	static const uint8_t format_2[] = {0x08, 2, 0x10, 1}, suite_9[] = {0x08, 1, 0x10, 9}, only_format[] = {0x08, 1};
	static const uint8_t unknown[] = {0xfa, 0x07, 3, 'n', 'e', 'w'}, twice[] = {0x78, 3};
	static uint8_t large[HEADER_MAX + 1];
	struct header got;

	ck_assert_int_eq(header_decode(&got, bytes_of(format_2, sizeof format_2)), BATCH_UNKNOWN_FORMAT);
	ck_assert_int_eq(header_decode(&got, bytes_of(suite_9, sizeof suite_9)), BATCH_UNKNOWN_FORMAT);
	ck_assert_int_eq(header_decode(&got, bytes_of(only_format, sizeof only_format)), BATCH_MALFORMED);
	ck_assert_int_eq(header_decode(&got, (struct bytes){0}), BATCH_MALFORMED);
	ck_assert_int_eq(header_decode(&got, bytes_of(large, sizeof large)), BATCH_MALFORMED);
	ck_assert_int_eq(decode_with(NULL, 0, unknown, sizeof unknown), 0);
	ck_assert_int_eq(decode_with(unknown, sizeof unknown, NULL, 0), 0);
	ck_assert_int_eq(decode_with(NULL, 0, twice, sizeof twice), BATCH_MALFORMED);
	ck_assert_int_eq(decode_with(NULL, 0, unknown, sizeof unknown - 1), BATCH_MALFORMED);
}
END_TEST

/* A batch of three events, sealed, with what is needed to open it. */
struct sealed {
	struct node_keys keys;
	struct header header;
	struct sealed_batch batch;
	uint8_t key[BATCH_KEY_LEN];
	struct batch_builder builder;
};

static const char *const texts[] = {"first", "", "third, and somewhat longer than the others"};

static void seal(struct sealed *s)
{
	static const uint8_t secret[SECRET_LEN] = {8};
	struct entropy e;
	struct digest leaf;

	*s = (struct sealed){.header = good_header()};
	node_keys_derive(&s->keys, s->header.key, secret);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(batch_add(&s->builder, bytes_str(texts[i]), &leaf), 0);
	entropy_init(&e, seed);
	ck_assert_int_eq(batch_seal(&s->batch, s->key, &s->header, &s->builder, &s->keys, &e), 0);
}

static void sealed_deinit(struct sealed *s)
{
	header_deinit(&s->header);
	sealed_batch_deinit(&s->batch);
	batch_builder_deinit(&s->builder);
}

/* What was sealed is read back, event by event, with the leaves that were given out. */
START_TEST(test_sealed_batch_opens)
{
	struct header h;
	struct sealed s;
	struct slots slots;

	seal(&s);
	ck_assert(header_verify(s.batch.header, s.batch.signature, s.keys.sign_public));
	ck_assert_int_eq(header_decode(&h, s.batch.header), 0);
	ck_assert_uint_eq(h.count, 3);
	ck_assert_int_eq(batch_open(&slots, &h, &s.batch, s.key), 0);
	ck_assert_uint_eq(slots.n, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_ptr_nonnull(slots.items[i].event.data);
		ck_assert(bytes_equal(slots.items[i].event, bytes_str(texts[i])));
		ck_assert(digest_equal(&slots.items[i].leaf, &s.builder.leaves[i]));
	}
	slots_deinit(&slots);
	header_deinit(&h);
	sealed_deinit(&s);
}
END_TEST

/* One flipped bit anywhere in header, signature or body is found. */
START_TEST(test_flipped_bits_are_found)
{
	struct sealed s;
	struct slots slots;

	seal(&s);
	for (size_t bit = 0; bit < 8 * s.batch.header.len; bit++) {
		uint8_t *byte = (uint8_t *)s.batch.header.data + bit / 8;

		*byte ^= (uint8_t)(1 << bit % 8);
		ck_assert(!header_verify(s.batch.header, s.batch.signature, s.keys.sign_public));
		ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_FORGED);
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * SIGNATURE_LEN; bit++) {
		s.batch.signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!header_verify(s.batch.header, s.batch.signature, s.keys.sign_public));
		ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_FORGED);
		s.batch.signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * s.batch.body.len; bit++) {
		uint8_t *byte = (uint8_t *)s.batch.body.data + bit / 8;

		*byte ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_FORGED);
		*byte ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), 0);
	slots_deinit(&slots);
	sealed_deinit(&s);
}
END_TEST

/* Another key, a torn body and no body are refused. */
START_TEST(test_bodies_that_do_not_open)
{
	struct sealed s;
	struct slots slots;
	size_t len;

	seal(&s);
	s.key[0] ^= 1;
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_FORGED);
	s.key[0] ^= 1;
	len = s.batch.body.len;
	s.batch.body.len = len - 1;
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_FORGED);
	s.batch.body.len = BODY_OVERHEAD - 1;
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_MALFORMED);
	s.batch.body.len = BODY_MAX + BODY_OVERHEAD + 1;
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_MALFORMED);
	s.batch.body.len = len;
	s.header.root.bytes[0] ^= 1;
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_FORGED);
	sealed_deinit(&s);
}
END_TEST

/* Bodies that a dishonest publisher could seal under a good signature. */
static const struct {
	const char *name;
	uint8_t body[80];
	size_t len;
} bodies[] = {
	{"no slots", {0}, 0},
	{"one slot too few", {0x0a, 3, 0x0a, 1, 'a', 0x0a, 3, 0x0a, 1, 'b'}, 10},
	{"one slot too many", {0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 16},
	{"empty slot", {0x0a, 0, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 10},
	{"two events in a slot", {0x0a, 4, 0x0a, 0, 0x0a, 0, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 14},
	{"event and leaf in a slot", {0x0a, 36, 0x0a, 0, 0x12, 32, [38] = 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 46},
	{"short leaf", {0x0a, 33, 0x12, 31, [35] = 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 43},
	{"length beyond the end", {0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0, 0x0a, 3, 0x0a, 0}, 12},
	{"length of 64 bits", {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 11},
	{"event as a number", {0x0a, 2, 0x08, 0, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 12},
	{"slot as a number", {0x08, 2, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 10},
	{"group", {0x0b, 0x0c, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0, 0x0a, 2, 0x0a, 0}, 14},
};

START_TEST(test_dishonest_bodies)
{
	struct batch_builder bad = {0};
	struct entropy e;
	struct sealed s;
	struct slots slots;

	seal(&s);
	entropy_init(&e, seed);
	buffer_add(&bad.body, bodies[_i].body, bodies[_i].len);
	ck_assert_int_eq(batch_reseal(&s.batch, s.key, &bad, &e), 0);
	ck_assert_msg(batch_open(&slots, &s.header, &s.batch, s.key) == BATCH_MALFORMED, "%s", bodies[_i].name);
	batch_builder_deinit(&bad);
	sealed_deinit(&s);
}
END_TEST

/* After an erasure the slot holds the leaf, and the root still fits; another leaf does not. */
START_TEST(test_erased_slots_keep_the_root)
{
	struct batch_builder left = {0};
	struct entropy e;
	struct sealed s;
	struct slots slots;
	struct digest leaf;

	seal(&s);
	entropy_init(&e, s.key);
	ck_assert_int_eq(batch_add(&left, bytes_str(texts[0]), &leaf), 0);
	ck_assert_int_eq(batch_add_leaf(&left, &s.builder.leaves[1]), 0);
	ck_assert_int_eq(batch_add(&left, bytes_str(texts[2]), &leaf), 0);
	ck_assert_int_eq(batch_reseal(&s.batch, s.key, &left, &e), 0);
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), 0);
	ck_assert_ptr_null(slots.items[1].event.data);
	ck_assert(digest_equal(&slots.items[1].leaf, &s.builder.leaves[1]));
	slots_deinit(&slots);

	batch_truncate(&left, 1, strlen(texts[0]) + 4);
	ck_assert_int_eq(batch_add_leaf(&left, &s.builder.leaves[2]), 0);
	ck_assert_int_eq(batch_add(&left, bytes_str(texts[2]), &leaf), 0);
	ck_assert_int_eq(batch_reseal(&s.batch, s.key, &left, &e), 0);
	ck_assert_int_eq(batch_open(&slots, &s.header, &s.batch, s.key), BATCH_FORGED);
	batch_builder_deinit(&left);
	sealed_deinit(&s);
}
END_TEST

/* What the builder writes is what protobuf writes. */
START_TEST(test_body_is_protobuf)
{
	Enlight__Log__V1__Slot slot[3] = {
		ENLIGHT__LOG__V1__SLOT__INIT, ENLIGHT__LOG__V1__SLOT__INIT, ENLIGHT__LOG__V1__SLOT__INIT};
	Enlight__Log__V1__Slot *slots[3] = {&slot[0], &slot[1], &slot[2]};
	Enlight__Log__V1__Body body = ENLIGHT__LOG__V1__BODY__INIT;
	static uint8_t large[70000], packed[80000];
	struct batch_builder b = {0};
	struct digest leaf;

	for (size_t i = 0; i < 3; i++) {
		slot[i].has_event = i < 2;
		slot[i].event = (ProtobufCBinaryData){i == 0 ? 200 : sizeof large, large};
		slot[i].has_leaf = i == 2;
	}
	ck_assert_int_eq(batch_add(&b, bytes_of(large, 200), &leaf), 0);
	ck_assert_int_eq(batch_add(&b, bytes_of(large, sizeof large), &leaf), 0);
	ck_assert_int_eq(batch_add_leaf(&b, &leaf), 0);
	slot[2].leaf = (ProtobufCBinaryData){DIGEST_LEN, leaf.bytes};
	body.n_slot = 3;
	body.slot = slots;
	ck_assert_uint_eq(enlight__log__v1__body__get_packed_size(&body), b.body.len);
	enlight__log__v1__body__pack(&body, packed);
	ck_assert_mem_eq(packed, b.body.data, b.body.len);
	batch_builder_deinit(&b);
}
END_TEST

/* A batch is full at its number of slots, or when the body would pass its limit: then nothing changed. */
START_TEST(test_full_batches)
{
	static uint8_t event[EVENT_MAX];
	struct batch_builder b = {0};
	struct digest leaf;
	size_t len;

	for (unsigned i = 0; i < BATCH_EVENTS_MAX; i++)
		ck_assert_int_eq(batch_add(&b, bytes_of(event, 20), &leaf), 0);
	len = b.body.len;
	ck_assert_int_eq(batch_add(&b, bytes_of(event, 20), &leaf), BATCH_FULL);
	ck_assert_uint_eq(b.n, BATCH_EVENTS_MAX);
	ck_assert_uint_eq(b.body.len, len);
	batch_truncate(&b, 0, 0);

	ck_assert_int_eq(batch_add(&b, bytes_of(event, EVENT_MAX), &leaf), 0);
	len = BODY_MAX - b.body.len;
	ck_assert_int_eq(batch_add(&b, bytes_of(event, len - 7), &leaf), BATCH_FULL);
	ck_assert_uint_eq(b.n, 1);
	ck_assert_int_eq(batch_add(&b, bytes_of(event, len - 8), &leaf), 0);
	ck_assert_uint_eq(b.body.len, BODY_MAX);
	ck_assert_int_eq(batch_add(&b, bytes_of(event, 0), &leaf), BATCH_FULL);
	batch_builder_deinit(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("batch");
	TCase *tc = tcase_create("batch");

	tcase_add_test(tc, test_header_survives_the_wire);
	tcase_add_loop_test(tc, test_places, 0, sizeof places / sizeof *places);
	tcase_add_test(tc, test_header_audiences);
	tcase_add_test(tc, test_header_fields);
	tcase_add_test(tc, test_header_of_later_versions);
	tcase_add_test(tc, test_sealed_batch_opens);
	tcase_add_test(tc, test_flipped_bits_are_found);
	tcase_add_test(tc, test_bodies_that_do_not_open);
	tcase_add_loop_test(tc, test_dishonest_bodies, 0, sizeof bodies / sizeof *bodies);
	tcase_add_test(tc, test_erased_slots_keep_the_root);
	tcase_add_test(tc, test_body_is_protobuf);
	tcase_add_test(tc, test_full_batches);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
