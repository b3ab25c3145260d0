/* backup_head - what stands in front of the database in a backup's file, so that it can be judged before anything is written.
 *
 *   enlight backup 1
 *   member HANDLE
 *   network HEX                  digest of the network's first roster
 *   time TIME                    RFC 3339, UTC: when the copy was begun
 *   version TEXT                 of the node
 *   roster NUMBER HEX            that was in force, and its digest
 *   identity BASE64              the member's identity key in it (Ed25519, public), to which is sealed:
 *   store-key BASE64             store.key (crypto_box_seal of libsodium, to the X25519 form of the identity key)
 *   database BYTES HEX           what follows the head, and its BLAKE2b-256
 *   signed NUMBER BASE64         all lines above, by the node key with this number (domain "enlight backup 1")
 *
 * The identity key is public, so anybody can seal a store key to it and put a database of their own behind: a copy is restored only when a node key
 * on the member's card signed it. Node keys are not in it. The line `signed` is the last one; the bytes of an SQLite database follow its
 * line end. */
#ifndef ENLIGHT_CORE_BACKUP_HEAD_H
#define ENLIGHT_CORE_BACKUP_HEAD_H

#include "base/problem.h"
#include "core/digest.h"
#include "core/keys.h"

enum { BACKUP_HEAD_MAX = 4096, BACKUP_SEALED_LEN = SECRET_LEN + 48 };

struct backup_head {
	char member[HANDLE_MAX + 1];
	uint8_t network[DIGEST_LEN];
	char time[32];
	uint32_t roster;
	uint8_t identity[SIGN_PUBLIC_LEN];
	uint8_t sealed[BACKUP_SEALED_LEN];
	uint64_t bytes;
	struct digest digest;
	uint32_t key; /* that signed */
	uint8_t signature[SIGNATURE_LEN];
	size_t len; /* of the head itself: where the database begins */
};

/* Reads the head from a file's first bytes; `name` is the file's, for problems' places. 0; BACKUP_HEAD_BAD with `problems`; -ENOMEM. */
enum { BACKUP_HEAD_BAD = 1 };
int backup_head_parse(struct backup_head *out, const char *name, struct bytes begin, struct problems *problems);

/* Writes all of it but the last two lines; `len`, `bytes`, `digest`, `key` and `signature` are not looked at. Then the line `database`, what is
 * signed ends with it; then the last line. */
void backup_head_write(
	struct buffer *out, const struct backup_head *h, const struct digest *roster, const char *version);
#define BACKUP_HEAD_DOMAIN "enlight backup 1"
void backup_head_database(struct buffer *out, uint64_t bytes, const struct digest *digest);
void backup_head_signed(struct buffer *out, uint32_t key, const uint8_t signature[static SIGNATURE_LEN]);

/* Whether the key signed a head that was parsed from these bytes. */
bool backup_head_verify(
	const struct backup_head *h, struct bytes begin, const uint8_t sign_public[static SIGN_PUBLIC_LEN]);

/* Seals a store key to an identity key, and opens it with that key's secret half. False: no such key, or not sealed to it. */
bool backup_seal(uint8_t out[static BACKUP_SEALED_LEN], const uint8_t secret[static SECRET_LEN],
	const uint8_t identity[static SIGN_PUBLIC_LEN]);
bool backup_unseal(uint8_t secret[static SECRET_LEN], const struct backup_head *h,
	const uint8_t identity_secret[static SIGN_SECRET_LEN]);

#endif
