#include "core/receipt.h"
#include "unit.h"

#include <string.h>

static const uint8_t secret[SECRET_LEN] = {8};
static char audience[] = "rug.nl,ugent.be";

static const struct receipt good = {
	.network = {{1}},
	.reader = "ugent.be",
	.publisher = "ut.ee",
	.audience = audience,
	.incarnation = 2,
	.from = 1,
	.to = 20,
	.head = {{6}},
	.uncovered = 1,
	.time_ms = 1795426200000,
	.key = 3,
};

static int recode(struct receipt *out, const struct receipt *r)
{
	uint8_t signature[SIGNATURE_LEN];
	struct node_keys keys;
	struct bytes packed;
	int result;

	node_keys_derive(&keys, 3, secret);
	ck_assert_int_eq(receipt_sign(&packed, signature, r, &keys), 0);
	result = receipt_decode(out, packed);
	free((void *)packed.data);
	return result;
}

/* A receipt says after decoding what was signed. */
START_TEST(test_receipt_survives_the_wire)
{
	struct receipt got;

	ck_assert_int_eq(recode(&got, &good), 0);
	ck_assert_str_eq(got.reader, good.reader);
	ck_assert_str_eq(got.publisher, good.publisher);
	ck_assert_str_eq(got.audience, good.audience);
	ck_assert_uint_eq(got.incarnation, good.incarnation);
	ck_assert_uint_eq(got.from, good.from);
	ck_assert_uint_eq(got.to, good.to);
	ck_assert_uint_eq(got.uncovered, good.uncovered);
	ck_assert_uint_eq(got.time_ms, good.time_ms);
	ck_assert_uint_eq(got.key, good.key);
	ck_assert(digest_equal(&got.head, &good.head) && digest_equal(&got.network, &good.network));
	receipt_deinit(&got);
}
END_TEST

/* A receipt's signature holds for its bytes and its signer only. */
START_TEST(test_signature_is_for_these_bytes)
{
	uint8_t signature[SIGNATURE_LEN], other[SECRET_LEN] = {9};
	struct node_keys keys;
	struct bytes packed;

	node_keys_derive(&keys, 3, secret);
	ck_assert_int_eq(receipt_sign(&packed, signature, &good, &keys), 0);
	ck_assert(receipt_verify(packed, signature, keys.sign_public));
	for (size_t bit = 0; bit < 8 * packed.len; bit++) {
		((uint8_t *)packed.data)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!receipt_verify(packed, signature, keys.sign_public));
		((uint8_t *)packed.data)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	node_keys_derive(&keys, 3, other);
	ck_assert(!receipt_verify(packed, signature, keys.sign_public));
	free((void *)packed.data);
}
END_TEST

/* Receipts that claim what cannot be are refused. */
START_TEST(test_impossible_receipts)
{
	char stranger[] = "ut.ee", unsorted[] = "ugent.be,rug.nl";
	struct receipt cases[] = {good, good, good, good, good, good, good, good, good, good}, got;

	cases[0].from = 0;
	cases[1].from = 21;
	cases[2].to = INT64_MAX;
	cases[3].uncovered = 21;
	cases[4].incarnation = 0;
	cases[5].key = 0;
	cases[6].audience = stranger; /* the reader is not in it */
	cases[7].audience = unsorted;
	strcpy(cases[8].reader, "UGENT.be");
	strcpy(cases[9].publisher, "ut");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(recode(&got, &cases[i]) == RECEIPT_MALFORMED, "case %zu", i);
}
END_TEST

/* Torn and oversized bytes are no receipt. */
START_TEST(test_torn_receipts)
{
	static uint8_t large[HEADER_MAX + 1];
	uint8_t signature[SIGNATURE_LEN];
	struct node_keys keys;
	struct receipt got;
	struct bytes packed;

	node_keys_derive(&keys, 3, secret);
	ck_assert_int_eq(receipt_sign(&packed, signature, &good, &keys), 0);
	for (size_t len = 0; len < packed.len; len++)
		ck_assert_int_eq(receipt_decode(&got, bytes_of(packed.data, len)), RECEIPT_MALFORMED);
	ck_assert_int_eq(receipt_decode(&got, bytes_of(large, sizeof large)), RECEIPT_MALFORMED);
	free((void *)packed.data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("receipt");
	TCase *tc = tcase_create("receipt");

	tcase_add_test(tc, test_receipt_survives_the_wire);
	tcase_add_test(tc, test_signature_is_for_these_bytes);
	tcase_add_test(tc, test_impossible_receipts);
	tcase_add_test(tc, test_torn_receipts);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
