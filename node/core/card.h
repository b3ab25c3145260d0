/* card - what a member says of its own node.
 *
 *   enlight card 1
 *   network DIGEST-OF-ROSTER-1            hexadecimal, lower case
 *   member HANDLE
 *   number N                              1, 2, 3
 *   endpoint tcp://HOST:PORT              absent: this node only dials out
 *   key NUMBER sign BASE64 link BASE64    the node keys in use; two during a renewal, newest last
 *   retired NUMBER sign BASE64            listed for ever: they verify what they signed
 *   revoked NUMBER sign BASE64            may have been stolen: nothing new is accepted under it
 *   takes PATTERN...                      topics that this member reads; several such lines add up
 * Key numbers go from 1 to KEY_NUMBERS_MAX; the highest one is of a key in use, so that a channel's key number never falls.
 * Signed by the identity key as HANDLE, and by every key of a `key` line as HANDLE+NUMBER (possession). */
#ifndef ENLIGHT_CORE_CARD_H
#define ENLIGHT_CORE_CARD_H

#include "core/keys.h"
#include "core/note.h"

enum card_key_state { CARD_KEY_CURRENT, CARD_KEY_RETIRED, CARD_KEY_REVOKED };

enum { CARD_CURRENT_MAX = 2, CARD_ENDPOINT_MAX = 270 };

struct card_key {
	uint32_t number;
	enum card_key_state state;
	uint8_t sign[SIGN_PUBLIC_LEN];
	uint8_t link[LINK_PUBLIC_LEN]; /* of current keys only; zero for others */
	unsigned line;                 /* number in the file; 0 when not read from one */
};

/* Plain data; every pointer in it lives until card_deinit(). */
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

/* Reads a card; checks its form (one or two current keys, the highest number among them; numbers and keys distinct; endpoint
 * tcp:// with a port), not its signatures: a draft without any is read too. `name` is the file's, for problems' places. 0;
 * CARD_BAD with `problems`; -ENOMEM. On failure `*out` is zeroed. */
enum { CARD_BAD = 1 };
int card_parse(struct card *out, const char *name, struct bytes text, struct problems *problems);
void card_deinit(struct card *c); /* the zeroed value is fine */

/* Whether the card is this identity's: signed by it, and by each of its own current keys, and by nothing else. 0 or
 * CARD_BAD with `problems`. */
int card_check(const struct card *c, const uint8_t identity[static SIGN_PUBLIC_LEN], const char *name,
	struct problems *problems);

const struct card_key *card_key(const struct card *c, uint32_t number); /* NULL: none */
const struct card_key *card_newest_key(const struct card *c);           /* current, highest number */

/* The form of an endpoint: tcp://HOST:PORT, HOST a name, an IPv4 address or an IPv6 one in brackets, PORT 1 to 65535. */
bool endpoint_valid(const char *endpoint);

/* Writes the signed part of a card from plain data (for `enlight card new`). `endpoint` may be NULL. */
void card_write(struct buffer *out, const struct digest *network, const char *member, uint32_t number,
	const char *endpoint, const struct card_key *keys, size_t n_keys, const char *const *takes, size_t n_takes);

#endif
