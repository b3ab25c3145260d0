#include "core/digest.h"
#include "unit.h"

#include <string.h>

enum { LEAVES = 35 };

static void make_leaves(struct digest leaves[static LEAVES])
{
	for (size_t i = 0; i < LEAVES; i++) {
		uint8_t event = (uint8_t)i;

		digest_leaf(&leaves[i], bytes_of(&event, 1));
	}
}

/* The root as RFC 6962 words it: split at the largest power of two below n. */
static void root_by_definition(struct digest *out, const struct digest *leaves, size_t n)
{
	struct digest left, right;
	size_t k = 1;

	if (n == 1) {
		*out = leaves[0];
		return;
	}
	while (2 * k < n)
		k *= 2;
	root_by_definition(&left, leaves, k);
	root_by_definition(&right, leaves + k, n - k);
	digest_node(out, &left, &right);
}

/* The root built leaf by leaf is the one of the definition. */
START_TEST(test_root_is_that_of_the_definition)
{
	struct digest leaves[LEAVES], expected, got;

	make_leaves(leaves);
	for (size_t n = 1; n <= LEAVES; n++) {
		root_by_definition(&expected, leaves, n);
		merkle_root(&got, leaves, n);
		ck_assert_msg(digest_equal(&got, &expected), "%zu leaves", n);
	}
}
END_TEST

/* Each leaf's path proves it at its place, and nowhere else, nor in a tree of another size. */
START_TEST(test_path_proves_one_place)
{
	struct digest leaves[LEAVES], root, path[MERKLE_PATH_MAX];

	make_leaves(leaves);
	for (size_t n = 1; n <= LEAVES; n++) {
		merkle_root(&root, leaves, n);
		for (size_t i = 0; i < n; i++) {
			size_t len = merkle_path(path, leaves, n, i);

			ck_assert(merkle_verify(&root, &leaves[i], i, n, path, len));
			ck_assert(!merkle_verify(&root, &leaves[(i + 1) % LEAVES], i, n, path, len));
			for (size_t j = 0; j < n; j++)
				ck_assert(j == i || !merkle_verify(&root, &leaves[i], j, n, path, len));
			if (len > 0)
				ck_assert(!merkle_verify(&root, &leaves[i], i, n, path, len - 1));
			ck_assert(!merkle_verify(&root, &leaves[i], n, n, path, len));
		}
	}
}
END_TEST

/* The longest path fits: a batch of the largest size has twelve levels. */
START_TEST(test_longest_path_fits)
{
	static struct digest leaves[BATCH_EVENTS_MAX];
	struct digest root, path[MERKLE_PATH_MAX];
	size_t len;

	merkle_root(&root, leaves, BATCH_EVENTS_MAX);
	len = merkle_path(path, leaves, BATCH_EVENTS_MAX, BATCH_EVENTS_MAX - 1);
	ck_assert_uint_eq(len, 12);
	ck_assert(merkle_verify(&root, &leaves[0], BATCH_EVENTS_MAX - 1, BATCH_EVENTS_MAX, path, len));
}
END_TEST

/* The same bytes as event, header and alone have three digests. */
START_TEST(test_domains_are_apart)
{
	struct bytes b = bytes_str("enlight");
	struct digest leaf, header, plain;

	digest_leaf(&leaf, b);
	digest_header(&header, b);
	digest_plain(&plain, b);
	ck_assert(!digest_equal(&leaf, &header));
	ck_assert(!digest_equal(&leaf, &plain));
	ck_assert(!digest_equal(&header, &plain));
}
END_TEST

/* Only 32 bytes are a digest. */
START_TEST(test_digest_has_one_length)
{
	uint8_t bytes[33] = {7};
	struct digest d;

	ck_assert(digest_from(&d, bytes_of(bytes, 32)));
	ck_assert_uint_eq(d.bytes[0], 7);
	ck_assert(!digest_from(&d, bytes_of(bytes, 31)));
	ck_assert(!digest_from(&d, bytes_of(bytes, 33)));
	ck_assert(!digest_from(&d, (struct bytes){0}));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("digest");
	TCase *tc = tcase_create("digest");

	tcase_add_test(tc, test_root_is_that_of_the_definition);
	tcase_add_test(tc, test_path_proves_one_place);
	tcase_add_test(tc, test_longest_path_fits);
	tcase_add_test(tc, test_domains_are_apart);
	tcase_add_test(tc, test_digest_has_one_length);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
