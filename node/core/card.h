/* card - what a member says of its own node.
 *
 *   enlight card 1
 *   network DIGEST-OF-ROSTER-1 (hex)
 *   member HANDLE
 *   number N                              1, 2, 3
 *   endpoint tcp://HOST:PORT              absent: this node only dials out
 *   key NUMBER sign BASE64 link BASE64    the node keys in use; two during a renewal, newest last
 *   retired NUMBER sign BASE64            kept for ever: they verify what they signed
 *   revoked NUMBER sign BASE64            may have been stolen: nothing new is accepted under it
 *   takes PATTERN...                      topics that this member reads
 * Signed by the identity key as HANDLE, and by every key of a `key` line as HANDLE+NUMBER (possession). */
#ifndef ENLIGHT_CORE_CARD_H
#define ENLIGHT_CORE_CARD_H

#include "core/keys.h"
#include "core/note.h"

enum card_key_state { CARD_KEY_CURRENT, CARD_KEY_RETIRED, CARD_KEY_REVOKED };

struct card_key {
	uint32_t number;
	enum card_key_state state;
	uint8_t sign[SIGN_PUBLIC_LEN];
	uint8_t link[LINK_PUBLIC_LEN]; /* of current keys only */
};

struct card {
	struct note note;
	struct digest network;
	const char *member;
	uint32_t number;
	const char *endpoint;  /* or NULL */
	struct card_key *keys; /* sorted by number */
	size_t n_keys;
	const char **takes;
	size_t n_takes;
};

/* Reads a card; checks its form (at least one current key, numbers distinct and rising, endpoint tcp:// with a port). 0;
 * CARD_BAD with `problems`; -ENOMEM. */
enum { CARD_BAD = 1 };
int card_parse(struct card *out, const char *name, struct bytes text, struct problems *problems);
void card_deinit(struct card *c);

/* Whether the card is this identity's: signed by it, and by each of its own current keys. */
int card_check(const struct card *c, const uint8_t identity[static SIGN_PUBLIC_LEN], const char *name,
	struct problems *problems);

const struct card_key *card_key(const struct card *c, uint32_t number); /* NULL: none */
const struct card_key *card_newest_key(const struct card *c);           /* current, highest number */

/* Writes the signed part of a card from plain data (for `enlight card new`). */
void card_write(struct buffer *out, const struct digest *network, const char *member, uint32_t number,
	const char *endpoint, const struct card_key *keys, size_t n_keys, const char *const *takes, size_t n_takes);

#endif
