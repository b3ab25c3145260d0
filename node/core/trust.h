/* trust - whom a node believes: the chain of rosters from the pinned one, and every card of every member.
 *
 * A value: once made it never changes, so threads share it. trust_with() makes the next one and shares with it what stays the
 * same; trust_ref() and trust_unref() count who holds it (atomically). The network is named by the digest of roster 1, which every
 * later roster repeats (`origin`), so the pin may be of a later one: this node's chain begins there.
 *
 * A card is in force when it is the last one its member's present identity key signed: after a roster that changes an identity key
 * the member makes a new card (a new text: another number), and until then has none in force. Cards of former identity keys and of former members stay held,
 * since their keys verify what they signed.
 *
 * Two rosters with one number, both signed by a quorum of the one before, are a dispute that only people can settle. The first one stays
 * in force; the other is held as its rival, so that both can be shown. A pin says which of them counts: trust_pin(), or the anchor,
 * which settles all below it, since each roster names the digest of the one before.
 *
 * A node that starts again gives what it kept with trust_again(), in the order in which it was accepted: older rosters than the pinned
 * one first, as long as one names the next, then the rest. */
#ifndef ENLIGHT_CORE_TRUST_H
#define ENLIGHT_CORE_TRUST_H

#include "core/card.h"
#include "core/roster.h"

struct trust;

/* Starts from the roster the configuration pins: its digest must be `pinned`, and one with number 1 must have its own quorum. The
 * signatures of a later one cannot be checked without its predecessor: there the pin alone is what counts. `name` is the
 * file's, for problems' places. On success the caller owns `*out` and gives it up with trust_unref(). 0; TRUST_REFUSED with
 * `problems`; -ENOMEM. On failure `*out` is NULL. */
enum { TRUST_REFUSED = 1, TRUST_KNOWN, TRUST_OLDER, TRUST_FORK };
enum { RIVALS_MAX = 16 };
int trust_new(struct trust **out, const struct digest *pinned, const char *name, struct bytes roster,
	struct problems *problems);
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t); /* NULL is a no-op */

/* The trust with one more roster or card (the text says which by its first line). `*out` is a new reference; `t` stays the caller's.
 * 0: changed; TRUST_KNOWN: this very text is held already; TRUST_OLDER: a lower number than what is held (kept by no
 * one); TRUST_FORK: another text, signed as well, with a number that is held: evidence against who signed both, and `*out` holds it
 * when it is a roster (no more than RIVALS_MAX of them); TRUST_REFUSED with `problems`; -ENOMEM. Otherwise `*out` is NULL.
 * A roster is refused when it does not follow the newest one, and is not the one before the oldest one held. A card is refused when its member is not in the newest roster, its
 * network is another, its signatures are not good, a key number has another key than an earlier card gave it, a key comes back
 * that a card of the same identity key revoked or retired, a key of its member's card before is left out, one of its keys is an identity key of the roster, or one in
 * use was in use in another member's card. */
int trust_with(struct trust **out, struct trust *t, const char *name, struct bytes text, struct problems *problems);

/* The same for what this node accepted at an earlier time: a card is good when any identity key signed it that its member has, or had, by
 * a roster that is held. */
int trust_again(struct trust **out, struct trust *t, const char *name, struct bytes text, struct problems *problems);

/* The trust in which the roster with this number and digest counts, in place of every other with that number. When it is a rival, the
 * chain goes on with it, later rosters and what only they made good are given up, and the one that was in force becomes the rival. One
 * that is not held yet counts as soon as it comes. 0: changed; TRUST_KNOWN: so it was; -ENOMEM. */
int trust_pin(struct trust **out, struct trust *t, uint32_t number, const struct digest *digest);

const struct digest *trust_network(const struct trust *t);
const struct roster *trust_roster(const struct trust *t);                         /* newest */
const struct roster *trust_roster_number(const struct trust *t, uint32_t number); /* NULL: not held */
uint32_t trust_oldest_roster(const struct trust *t);
const struct digest *trust_anchor(const struct trust *t); /* what trust_new() was given */

/* Rosters that were signed as well as the one in force with their number; whether a pin has settled which of them counts. */
size_t trust_n_rivals(const struct trust *t);
const struct roster *trust_rival(const struct trust *t, size_t i);
bool trust_settled(const struct trust *t, uint32_t number);
size_t trust_disputes(const struct trust *t); /* rivals whose number is not settled */
/* A roster by its digest, in force or rival; NULL: not held. */
const struct roster *trust_find_roster(const struct trust *t, const struct digest *digest);
const struct card *trust_card(const struct trust *t, const char *member); /* in force; NULL: none */

/* A member's signing key by number, from any of its cards. `*state` is what its last card says of it; retired when that card is no longer in
 * force; revoked when the first card under another identity key leaves it out; revoked for ever once a card said so, unless the first card under
 * another identity key says otherwise. NULL: no such key. */
const uint8_t *trust_sign_key(const struct trust *t, const char *member, uint32_t number, enum card_key_state *state);

/* Whether the member's key is revoked: somebody else may have it. */
bool trust_is_revoked(const struct trust *t, const char *member, uint32_t number);

/* What a name means by the newest roster: the handle of the member whose handle or alias it is; NULL: nobody's. A handle_resolve. */
const char *trust_resolve(void *trust, const char *name);

/* Whether a member is in the newest roster; whether it was in any that is held. */
bool trust_is_member(const struct trust *t, const char *member);
bool trust_was_member(const struct trust *t, const char *member);
/* Whether all that an audience names were members in some roster that is held. */
bool trust_knows(const struct trust *t, const char *audience);

#endif
