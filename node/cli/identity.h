/* identity - a member's identity key in a file, and its fingerprint.
 *
 * The file is a note (core/note.h) of the kind "identity", which nobody signs:
 *
 *   enlight identity 1
 *   member HANDLE
 *   public BASE64
 *   secret BASE64                            the Ed25519 seed, or, under a passphrase:
 *   sealed argon2id OPS MEMORY SALT BOX      crypto_pwhash of libsodium (MEMORY in bytes, SALT base64 of 16 bytes) gives the
 *                                            key of a secretbox; BOX is the base64 of its nonce and the sealed seed */
#ifndef ENLIGHT_CLI_IDENTITY_H
#define ENLIGHT_CLI_IDENTITY_H

#include "base/problem.h"
#include "core/keys.h"

struct identity {
	char member[HANDLE_MAX + 1];
	uint8_t public[SIGN_PUBLIC_LEN];
	uint8_t secret[SIGN_SECRET_LEN]; /* zero while sealed */
	bool sealed;
};

/* Draws a new key for a member, whose handle is valid. */
void identity_new(struct identity *out, const char *member);
void identity_wipe(struct identity *id);

/* The file's text, appended to `out`, sealed when the passphrase is not empty. 0; -ENOMEM, also when there is no memory for
 * Argon2id (256 MiB). */
int identity_write(struct buffer *out, const struct identity *id, struct bytes passphrase);

/* Reads a file's text. With an empty passphrase a sealed key stays sealed. 0; IDENTITY_BAD with `problems` (also a wrong
 * passphrase); -ENOMEM. Release with identity_wipe(). */
enum { IDENTITY_BAD = 1 };
int identity_parse(
	struct identity *out, const char *name, struct bytes text, struct bytes passphrase, struct problems *problems);

/* What two people compare by telephone: eight groups of five digits, from BLAKE2b-256(HANDLE ‖ 0x0A ‖ public key), each 4
 * bytes (big-endian) modulo 100,000. */
enum { FINGERPRINT_SIZE = 8 * 6 };
void fingerprint(char out[static FINGERPRINT_SIZE], const char *member, const uint8_t public[static SIGN_PUBLIC_LEN]);

#endif
