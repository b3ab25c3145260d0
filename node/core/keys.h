/* keys - a node's secrets and what is derived from them. Formats: proto/README.md, section "Keys".
 *
 * From the node secret (32 bytes), with crypto_kdf_derive_from_key():
 *   signing seed  sub-key 1, context "enlsign_"  -> crypto_sign_seed_keypair
 *   link secret   sub-key 1, context "enllink_"  -> the CURVE secret key; public = crypto_scalarmult_base
 * From the store key (32 bytes):
 *   wrap key      sub-key 1, context "enlwrap_"  -> wraps batch keys on disk
 *   index key     sub-key 1, context "enlindex"  -> keys the hashes of ids, subjects and persons */
#ifndef ENLIGHT_CORE_KEYS_H
#define ENLIGHT_CORE_KEYS_H

#include "base/bytes.h"
#include "core/digest.h"
#include "core/limits.h"

enum { SECRET_LEN = 32, SIGN_SECRET_LEN = 64, BATCH_KEY_LEN = 32 };

struct node_keys {
	uint32_t number;
	uint8_t sign_public[SIGN_PUBLIC_LEN];
	uint8_t sign_secret[SIGN_SECRET_LEN];
	uint8_t link_public[LINK_PUBLIC_LEN];
	uint8_t link_secret[32];
};

struct store_keys {
	uint8_t wrap[32];
	uint8_t index[32];
};

void node_keys_derive(struct node_keys *out, uint32_t number, const uint8_t secret[static SECRET_LEN]);
void store_keys_derive(struct store_keys *out, const uint8_t secret[static SECRET_LEN]);
void node_keys_wipe(struct node_keys *k);
void store_keys_wipe(struct store_keys *k);

/* Ed25519 over DOMAIN ‖ 0x00 ‖ message; the domain says what is signed ("enlight header 1"), so that no signature can
 * be passed off as one over something else. At most HEADER_MAX bytes: longer ones are never signed
 * and never verify. */
void domain_sign(uint8_t signature[static SIGNATURE_LEN], const char *domain, struct bytes message,
	const uint8_t secret[static SIGN_SECRET_LEN]);
bool domain_verify(const uint8_t signature[static SIGNATURE_LEN], const char *domain, struct bytes message,
	const uint8_t key[static SIGN_PUBLIC_LEN]);

/* A stream of bytes from one 32-byte seed: the only randomness in core, handed in by whoever calls (in a node fresh
 * from the system for each commit; in the simulator from its seed). Never give two uses the same seed. */
struct entropy {
	uint8_t seed[32];
	uint64_t counter; /* of draws */
};
void entropy_init(struct entropy *e, const uint8_t seed[static 32]);
void entropy_fill(struct entropy *e, void *out, size_t len);
void entropy_wipe(struct entropy *e);

/* Keyed names of what the store must find but not tell: 16 bytes, made by the index key. The name of a UUIDv7 (also at
 * the end of a subject) starts with the UUID's 6 bytes of time, so that the index grows at its end. */
struct index_key {
	uint8_t bytes[16];
};
void index_event(struct index_key *out, const struct store_keys *k, const char *source, const char *id);
void index_object(
	struct index_key *out, const struct store_keys *k, const char *source, const char *topic, const char *subject);
/* What must be done in order: everything about one object of one publisher, whatever the topic. */
void index_lane(struct index_key *out, const struct store_keys *k, const char *source, const char *subject);
void index_person(struct index_key *out, const struct store_keys *k, const char *person);
/* A keyed digest of an event's data, to tell whether a revision changes anything. */
void index_data(struct digest *out, const struct store_keys *k, struct bytes data);

/* Wraps a batch key: nonce (24, random) ‖ XChaCha20-Poly1305 (RFC draft-irtf-cfrg-xchacha, IETF form of libsodium),
 * with the header's digest as associated data. Used on disk (wrap key) and on a link (session key). */
void key_wrap(uint8_t out[static WRAPPED_KEY_LEN], const uint8_t wrapping[static 32], const struct digest *header,
	const uint8_t key[static BATCH_KEY_LEN], struct entropy *entropy);
bool key_unwrap(uint8_t key[static BATCH_KEY_LEN], const uint8_t wrapping[static 32], const struct digest *header,
	struct bytes wrapped);

#endif
