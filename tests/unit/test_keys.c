#include "core/keys.h"
#include "unit.h"

#include <string.h>

static const uint8_t secret[SECRET_LEN] = {1, 2, 3};

/* Signing and link keys of one secret are a pair each, have nothing in common, and change with the secret. */
START_TEST(test_node_keys_are_pairs)
{
	static const uint8_t other_secret[SECRET_LEN] = {1, 2, 4};
	struct node_keys keys, other;
	uint8_t signature[SIGNATURE_LEN], public[32];

	node_keys_derive(&keys, 3, secret);
	node_keys_derive(&other, 3, other_secret);
	ck_assert_uint_eq(keys.number, 3);
	crypto_sign_detached(signature, NULL, (const uint8_t *)"x", 1, keys.sign_secret);
	ck_assert_int_eq(crypto_sign_verify_detached(signature, (const uint8_t *)"x", 1, keys.sign_public), 0);
	crypto_scalarmult_base(public, keys.link_secret);
	ck_assert_mem_eq(public, keys.link_public, 32);
	ck_assert_mem_ne(keys.sign_secret, keys.link_secret, 32);
	ck_assert_mem_ne(keys.sign_public, other.sign_public, 32);
	ck_assert_mem_ne(keys.link_public, other.link_public, 32);
}
END_TEST

/* Wiping leaves nothing. */
START_TEST(test_wiped_keys_are_zero)
{
	static const uint8_t zeros[256];
	struct node_keys keys;
	struct store_keys store;

	node_keys_derive(&keys, 3, secret);
	node_keys_wipe(&keys);
	ck_assert_mem_eq(&keys, zeros, sizeof keys);
	store_keys_derive(&store, secret);
	ck_assert_mem_ne(store.wrap, store.index, 32);
	store_keys_wipe(&store);
	ck_assert_mem_eq(&store, zeros, sizeof store);
}
END_TEST

/* The same seed gives the same stream; two draws of one stream differ; another seed gives another. */
START_TEST(test_entropy_follows_from_its_seed)
{
	uint8_t seed[32] = {9}, first[64], second[64], again[64];
	struct entropy e;

	entropy_init(&e, seed);
	entropy_fill(&e, first, sizeof first);
	entropy_fill(&e, second, sizeof second);
	ck_assert_mem_ne(first, second, sizeof first);
	entropy_init(&e, seed);
	entropy_fill(&e, again, sizeof again);
	ck_assert_mem_eq(first, again, sizeof first);
	seed[31] = 1;
	entropy_init(&e, seed);
	entropy_fill(&e, again, sizeof again);
	ck_assert_mem_ne(first, again, sizeof first);
	entropy_wipe(&e);
}
END_TEST

/* Names differ when any part of them does, wherever the boundary between the parts lies. */
START_TEST(test_index_names_are_distinct)
{
	static const struct {
		const char *source, *topic, *subject;
	} cases[] = {
		{"ut.ee", "course.offering", "course/1"},
		{"ut.eec", "ourse.offering", "course/1"},
		{"ut.ee", "course.offeringc", "ourse/1"},
		{"rug.nl", "course.offering", "course/1"},
		{"ut.ee", "course.decision", "course/1"},
		{"ut.ee", "course.offering", "course/2"},
	};
	struct index_key names[8];
	struct store_keys k;

	store_keys_derive(&k, secret);
	for (size_t i = 0; i < 6; i++)
		index_object(&names[i], &k, cases[i].source, cases[i].topic, cases[i].subject);
	index_event(&names[6], &k, "ut.ee", "course/1");
	index_person(&names[7], &k, "ut.ee");
	for (size_t i = 0; i < 8; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_msg(memcmp(&names[i], &names[j], sizeof *names) != 0, "%zu and %zu", i, j);
}
END_TEST

/* The name of a UUIDv7 starts with its time, and nothing else of it shows; other ids show nothing. */
START_TEST(test_index_of_uuid7_starts_with_its_time)
{
	static const uint8_t time[6] = {0x01, 0xa2, 0x07, 0xbd, 0xa9, 0xc0};
	static const char *const without[] = {"01a207bd-a9c0-4cc3-98c4-dc0c0c07398f",
		"01a207bd-a9c0-7cc3-c8c4-dc0c0c07398f", "01a207bda9c0-7cc3-98c4-dc0c0c07398f0",
		"01a207bd-a9c0-7cc3-98c4-dc0c0c07398", "01a207bd-a9c0-7cc3-98c4-dc0c0c07398g", ""};
	static const char uuid[] = "01a207bd-a9c0-7cc3-98c4-dc0c0c07398f";
	struct index_key event, other, object;
	struct store_keys k;

	store_keys_derive(&k, secret);
	index_event(&event, &k, "ut.ee", uuid);
	ck_assert_mem_eq(event.bytes, time, 6);
	index_event(&other, &k, "rug.nl", uuid);
	ck_assert_mem_eq(other.bytes, time, 6);
	ck_assert_mem_ne(event.bytes + 6, other.bytes + 6, 10);
	index_object(&object, &k, "ut.ee", "mobility.nomination", "mobility/01A207BD-A9C0-7CC3-98C4-DC0C0C07398F");
	ck_assert_mem_eq(object.bytes, time, 6);
	for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
		index_event(&event, &k, "ut.ee", without[i]);
		ck_assert_msg(memcmp(event.bytes, time, 6) != 0, "%s", without[i]);
	}
}
END_TEST

/* The digest of data is keyed: another node's key gives another one. */
START_TEST(test_data_digest_is_keyed)
{
	struct store_keys k;
	struct digest one, other;

	store_keys_derive(&k, secret);
	index_data(&one, &k, bytes_str("data"));
	k.index[0] ^= 1;
	index_data(&other, &k, bytes_str("data"));
	ck_assert(!digest_equal(&one, &other));
}
END_TEST

/* A wrapped key opens under its own wrapping key and header only, and not when any bit of it changed. */
START_TEST(test_wrapped_key_opens_only_in_its_place)
{
	uint8_t wrapping[32] = {5}, key[BATCH_KEY_LEN] = {6}, wrapped[WRAPPED_KEY_LEN], got[BATCH_KEY_LEN];
	struct digest header = {{7}};
	struct entropy e;

	entropy_init(&e, secret);
	key_wrap(wrapped, wrapping, &header, key, &e);
	ck_assert(key_unwrap(got, wrapping, &header, bytes_of(wrapped, sizeof wrapped)));
	ck_assert_mem_eq(got, key, sizeof key);
	ck_assert(!key_unwrap(got, wrapping, &header, bytes_of(wrapped, sizeof wrapped - 1)));
	for (size_t bit = 0; bit < 8 * sizeof wrapped; bit++) {
		wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!key_unwrap(got, wrapping, &header, bytes_of(wrapped, sizeof wrapped)));
		wrapped[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	header.bytes[0] ^= 1;
	ck_assert(!key_unwrap(got, wrapping, &header, bytes_of(wrapped, sizeof wrapped)));
	header.bytes[0] ^= 1;
	wrapping[0] ^= 1;
	ck_assert(!key_unwrap(got, wrapping, &header, bytes_of(wrapped, sizeof wrapped)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keys");
	TCase *tc = tcase_create("keys");

	tcase_add_test(tc, test_node_keys_are_pairs);
	tcase_add_test(tc, test_wiped_keys_are_zero);
	tcase_add_test(tc, test_entropy_follows_from_its_seed);
	tcase_add_test(tc, test_index_names_are_distinct);
	tcase_add_test(tc, test_index_of_uuid7_starts_with_its_time);
	tcase_add_test(tc, test_data_digest_is_keyed);
	tcase_add_test(tc, test_wrapped_key_opens_only_in_its_place);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
