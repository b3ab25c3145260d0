/* trust - whom a node believes: the chain of rosters from the pinned one, and every card of every member.
 *
 * A value: once made it never changes, so threads share it. trust_with() makes the next one; trust_ref() and trust_unref() count
 * who holds it (atomically). The network is named by the digest of roster 1; the pin may be of a later roster, which is then where
 * this node's chain begins and which must say the network's digest by its own chain file or be number 1. */
#ifndef ENLIGHT_CORE_TRUST_H
#define ENLIGHT_CORE_TRUST_H

#include "core/card.h"
#include "core/roster.h"

struct trust;

/* Starts from the roster the configuration pins (number 1: its quorum is checked by itself). 0; TRUST_REFUSED with
 * `problems`; -ENOMEM. */
enum { TRUST_REFUSED = 1, TRUST_KNOWN, TRUST_OLDER, TRUST_FORK };
int trust_new(struct trust **out, const struct digest *pinned, const char *name, struct bytes roster,
	struct problems *problems);
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t); /* NULL is a no-op */

/* The trust with one more roster or card (the text says which by its first line). `*out` is a new reference; `t` stays the caller's.
 * 0: changed; TRUST_KNOWN: this very text is held already; TRUST_OLDER: a lower number than what is held (kept by no
 * one); TRUST_FORK: another text with a number that is held; TRUST_REFUSED with `problems`; -ENOMEM. With anything but 0 `*out` is NULL.
 * A card is refused when its member is not in the roster, its network is another, its signatures are not good, a key
 * number has another key than an earlier card gave it, a revoked or retired key comes back, or another member's card has
 * one of its link or signing keys. */
int trust_with(struct trust **out, struct trust *t, const char *name, struct bytes text, struct problems *problems);

const struct digest *trust_network(const struct trust *t);
const struct roster *trust_roster(const struct trust *t);                         /* newest */
const struct roster *trust_roster_number(const struct trust *t, uint32_t number); /* NULL: not held */
uint32_t trust_oldest_roster(const struct trust *t);
const struct card *trust_card(const struct trust *t, const char *member); /* newest; NULL: none */

/* A member's signing key by number, from any of its cards; `state` is what the newest card says of it (a number the newest
 * card leaves out counts as retired). NULL: no such key, or the member was never in a roster. */
const uint8_t *trust_sign_key(const struct trust *t, const char *member, uint32_t number, enum card_key_state *state);

/* The member that has this link key as a current one in its newest card and is in the newest roster; NULL: nobody. */
const char *trust_member_of_link_key(const struct trust *t, const uint8_t key[static LINK_PUBLIC_LEN]);

/* Whether a member is in the newest roster; whether it was in any. */
bool trust_is_member(const struct trust *t, const char *member);
bool trust_was_member(const struct trust *t, const char *member);

/* Whether a member may read a channel's batch published under the roster with this digest: it is in the audience and, for the
 * network, in that roster or in a later one. */
bool trust_entitled(const struct trust *t, const char *member, const char *audience, const struct digest *roster);

#endif
