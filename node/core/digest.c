#include "core/digest.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* What is hashed starts with one byte that says what it is, so that no leaf can pass for a node. */
enum { DOMAIN_LEAF = 0x00, DOMAIN_NODE = 0x01, DOMAIN_HEADER = 0x02 };

const struct digest digest_zero;

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

bool digest_from(struct digest *out, struct bytes b)
{
	if (b.len != DIGEST_LEN)
		return false;
	memcpy(out->bytes, b.data, DIGEST_LEN);
	return true;
}

void digest_plain(struct digest *out, struct bytes b)
{
	crypto_generichash(out->bytes, DIGEST_LEN, b.data, b.len, NULL, 0);
}

static void digest_tagged(struct digest *out, uint8_t domain, struct bytes a, struct bytes b)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, DIGEST_LEN);
	crypto_generichash_update(&state, &domain, 1);
	crypto_generichash_update(&state, a.data, a.len);
	crypto_generichash_update(&state, b.data, b.len);
	crypto_generichash_final(&state, out->bytes, DIGEST_LEN);
}

void digest_leaf(struct digest *out, struct bytes event)
{
	digest_tagged(out, DOMAIN_LEAF, event, (struct bytes){0});
}

void digest_node(struct digest *out, const struct digest *left, const struct digest *right)
{
	digest_tagged(out, DOMAIN_NODE, bytes_of(left->bytes, DIGEST_LEN), bytes_of(right->bytes, DIGEST_LEN));
}

void digest_header(struct digest *out, struct bytes header)
{
	digest_tagged(out, DOMAIN_HEADER, header, (struct bytes){0});
}

/* Keeps one root for each complete subtree to the left, largest first: after n leaves these are the set bits of n. */
void merkle_root(struct digest *out, const struct digest *leaves, size_t n)
{
	struct digest stack[8 * sizeof n];
	size_t height = 0;

	assert(n >= 1);
	for (size_t i = 0; i < n; i++) {
		stack[height++] = leaves[i];
		for (size_t done = i + 1; done % 2 == 0; done /= 2, height--)
			digest_node(&stack[height - 2], &stack[height - 2], &stack[height - 1]);
	}
	for (; height > 1; height--)
		digest_node(&stack[height - 2], &stack[height - 2], &stack[height - 1]);
	*out = stack[0];
}

/* The largest power of two below n, for n >= 2: how many leaves stand in the left subtree. */
static size_t left_size(size_t n)
{
	size_t k = 1;

	while (k < n - k)
		k *= 2;
	return k;
}

size_t merkle_path(struct digest *path, const struct digest *leaves, size_t n, size_t index)
{
	struct digest down[MERKLE_PATH_MAX];
	size_t depth = 0;

	assert(index < n && n <= BATCH_EVENTS_MAX);
	while (n > 1) {
		size_t k = left_size(n);

		if (index < k) {
			merkle_root(&down[depth++], leaves + k, n - k);
			n = k;
		} else {
			merkle_root(&down[depth++], leaves, k);
			leaves += k;
			index -= k;
			n -= k;
		}
	}
	for (size_t i = 0; i < depth; i++)
		path[i] = down[depth - 1 - i];
	return depth;
}

/* RFC 9162, section 2.1.3.2: `last` is the index of the last node on the level that `index` stands on. */
bool merkle_verify(const struct digest *root, const struct digest *leaf, size_t index, size_t n,
	const struct digest *path, size_t n_path)
{
	struct digest got = *leaf;
	size_t last = n - 1;

	if (index >= n)
		return false;
	for (size_t i = 0; i < n_path; i++) {
		if (last == 0)
			return false;
		if (index % 2 == 1 || index == last) {
			digest_node(&got, &path[i], &got);
			while (index % 2 == 0 && index != 0) {
				index /= 2;
				last /= 2;
			}
		} else {
			digest_node(&got, &got, &path[i]);
		}
		index /= 2;
		last /= 2;
	}
	return last == 0 && digest_equal(&got, root);
}
