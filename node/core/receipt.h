/* receipt - a reader's signed statement of what it holds.
 * Signature = Ed25519 over "enlight receipt 1" ‖ 0x00 ‖ receipt. */
#ifndef ENLIGHT_CORE_RECEIPT_H
#define ENLIGHT_CORE_RECEIPT_H

#include "core/keys.h"

struct receipt {
	struct digest network;
	char reader[HANDLE_MAX + 1];
	char publisher[HANDLE_MAX + 1];
	char *audience; /* owned */
	uint32_t incarnation;
	uint64_t from, to;
	struct digest head;
	uint64_t uncovered;
	uint64_t time_ms;
	uint32_t key;
};

/* 0, RECEIPT_MALFORMED, -ENOMEM. */
enum { RECEIPT_MALFORMED = 1 };
int receipt_decode(struct receipt *out, struct bytes packed);
void receipt_deinit(struct receipt *r);

/* Packs and signs; `*packed` is owned memory. The network, reader and key number come from `r`. 0 or -ENOMEM. */
int receipt_sign(struct bytes *packed, uint8_t signature[static SIGNATURE_LEN], const struct receipt *r,
	const struct node_keys *keys);
bool receipt_verify(
	struct bytes packed, const uint8_t signature[static SIGNATURE_LEN], const uint8_t key[static SIGN_PUBLIC_LEN]);

#endif
