/* digest - BLAKE2b-256 in the places where the contract uses it. Formats: proto/README.md, section "Digests". */
#ifndef ENLIGHT_CORE_DIGEST_H
#define ENLIGHT_CORE_DIGEST_H

#include "base/bytes.h"
#include "core/limits.h"

struct digest {
	uint8_t bytes[DIGEST_LEN];
};

extern const struct digest digest_zero;

bool digest_equal(const struct digest *a, const struct digest *b);
bool digest_from(struct digest *out, struct bytes b); /* false unless b is 32 bytes */

/* BLAKE2b-256 of the bytes alone: what names a roster or a card. */
void digest_plain(struct digest *out, struct bytes b);

/* H(0x00 ‖ event), H(0x01 ‖ left ‖ right), H(0x02 ‖ header). */
void digest_leaf(struct digest *out, struct bytes event);
void digest_node(struct digest *out, const struct digest *left, const struct digest *right);
void digest_header(struct digest *out, struct bytes header);

/* Root over n >= 1 leaves, shape as RFC 6962, section 2.1. */
void merkle_root(struct digest *out, const struct digest *leaves, size_t n);

/* The audit path of leaf `index` (RFC 6962, section 2.1.1), from the leaf's sibling upwards. `path` has room for
 * MERKLE_PATH_MAX digests. Returns how many were written. */
enum { MERKLE_PATH_MAX = 13 };
size_t merkle_path(struct digest *path, const struct digest *leaves, size_t n, size_t index);

/* Whether a leaf stands at `index` of the `n` under `root`. */
bool merkle_verify(const struct digest *root, const struct digest *leaf, size_t index, size_t n,
	const struct digest *path, size_t n_path);

#endif
