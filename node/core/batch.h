/* batch - the run of events that is committed, signed, sealed and sent together. Formats: proto/README.md, "Batches".
 *
 * Sealed body = XChaCha20-Poly1305 (IETF form) over the packed Body with the batch key, a nonce of 24 zero bytes (a
 * batch key seals one body once: sealing again means a new key), associated data = header ‖ signature. Signature =
 * Ed25519 over "enlight header 1" ‖ 0x00 ‖ header. */
#ifndef ENLIGHT_CORE_BATCH_H
#define ENLIGHT_CORE_BATCH_H

#include "core/event.h"
#include "core/keys.h"
#include "core/trust.h"

/* A header, decoded. Plain data; release with header_deinit(). */
struct header {
	struct digest network;
	char publisher[HANDLE_MAX + 1];
	char *audience; /* in its one form */
	uint32_t incarnation;
	uint64_t first;
	uint32_t count;
	struct digest previous;
	bool has_after;
	uint64_t after_sequence;
	struct digest after_digest;
	struct digest root;
	uint64_t time_ms;
	struct digest roster, card;
	uint32_t key;
};

/* A batch as it is stored and sent, but for its key. All three are owned memory. */
struct sealed_batch {
	struct bytes header; /* packed */
	uint8_t signature[SIGNATURE_LEN];
	struct bytes body; /* sealed; data NULL when absent (headers only) */
};

enum {
	BATCH_MALFORMED = 1,  /* the bytes are not a header or body of the contract */
	BATCH_UNKNOWN_FORMAT, /* a format or suite of a later version */
	BATCH_FORGED,         /* signature, seal or root do not fit */
};

/* Decodes and checks everything that needs no other knowledge: sizes, format, suite, the audience's one form, sequence
 * arithmetic (sequences and times fit into 63 bits), `previous` zero in a channel's first header only, `after`
 * consistent with first and previous. Whether this is the first header of its incarnation only the chain can say:
 * having `after` it claims to be, and in incarnation 1 that means sequence 1. Unknown fields are ignored. On success
 * the caller owns `out`, else it is empty. 0, BATCH_MALFORMED, BATCH_UNKNOWN_FORMAT, -ENOMEM. */
int header_decode(struct header *out, struct bytes packed);
int header_encode(struct bytes *out, const struct header *h); /* owned memory; 0 or -ENOMEM */
void header_deinit(struct header *h);
static inline uint64_t header_last(const struct header *h)
{
	return h->first + h->count - 1;
}

bool header_verify(
	struct bytes packed, const uint8_t signature[static SIGNATURE_LEN], const uint8_t key[static SIGN_PUBLIC_LEN]);

/* Collects events for one batch. The zeroed value is empty. batch_add() takes a packed event and gives its leaf; it
 * answers BATCH_FULL when the body or the count would pass its limit, and then nothing is changed. */
enum { BATCH_FULL = 1 };
struct batch_builder {
	struct buffer body; /* packed Body so far */
	struct digest *leaves;
	size_t n, size;
};
int batch_add(struct batch_builder *b, struct bytes packed_event, struct digest *leaf);
int batch_add_leaf(struct batch_builder *b, const struct digest *leaf); /* a slot whose event was erased */
/* An event that was added, by its index; a view into the builder. Walks from the front: for the rare look back. */
struct bytes batch_builder_event(const struct batch_builder *b, size_t index);
void batch_truncate(struct batch_builder *b, size_t n, size_t body_len); /* back to an earlier state */
void batch_builder_deinit(struct batch_builder *b);

/* Signs and seals what was collected under `h`, whose count and root are filled in here. The batch key is drawn from
 * `entropy` and given out, to be wrapped and wiped by the caller. 0 or -ENOMEM. */
int batch_seal(struct sealed_batch *out, uint8_t key[static BATCH_KEY_LEN], struct header *h,
	const struct batch_builder *b, const struct node_keys *keys, struct entropy *entropy);

/* Seals another body under a header and signature that stay: what is left after an erasure. The leaves are those of the
 * header, in order. `b->body` is replaced on success. 0 or -ENOMEM. */
int batch_reseal(struct sealed_batch *b, uint8_t key[static BATCH_KEY_LEN], const struct batch_builder *left,
	struct entropy *entropy);

/* The slots of an opened body: pointers into `memory`. Release with slots_deinit(). */
struct slot {
	struct bytes event; /* packed; data NULL: only the leaf is left */
	struct digest leaf;
};
struct slots {
	uint8_t *memory;
	struct slot *items;
	size_t n;
};

/* Opens a body: unseals, splits, computes every leaf and compares the root. The caller has verified the header. 0,
 * BATCH_FORGED, BATCH_MALFORMED or -ENOMEM. */
int batch_open(struct slots *out, const struct header *h, const struct sealed_batch *b,
	const uint8_t key[static BATCH_KEY_LEN]);
void slots_deinit(struct slots *s);
void sealed_batch_deinit(struct sealed_batch *b);

#endif
