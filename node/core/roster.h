/* roster - the quorum-signed list of members and their identity keys.
 *
 *   enlight roster 1
 *   network NAME                          [a-z0-9.-], 1 to HANDLE_MAX characters
 *   number N                              1, 2, 3
 *   previous none | DIGEST-OF-N-MINUS-1   hexadecimal, lower case; none in number 1 only
 *   origin DIGEST-OF-1                    in every number but 1: names the network, whatever roster a node begins with
 *   quorum Q                              more than half of the members
 *   member HANDLE COUNTRY BASE64 NAME...  identity key (Ed25519); in byte order of the handles, MEMBERS_MAX at most
 *   alias HANDLE OLDER-OR-NEWER-DOMAIN    one line each
 * Signed by members with their identity keys under their handles. Unknown words are ignored, except with a leading `!`.
 *
 * A roster is in force when it follows the one before (roster_check_next). A member that changes its identity key signs with the new
 * key, which shows that it holds it, and, when it still has it, with the old one too: only that counts to the quorum. */
#ifndef ENLIGHT_CORE_ROSTER_H
#define ENLIGHT_CORE_ROSTER_H

#include "core/note.h"

struct roster_member {
	const char *handle;
	const char *country; /* ISO 3166-1 alpha-2, capitals */
	char *name;
	uint8_t identity[SIGN_PUBLIC_LEN];
	unsigned line; /* number in the file */
};

struct roster_alias {
	const char *handle;
	const char *alias;
	unsigned line;
};

/* Plain data; every pointer in it lives until roster_deinit(). */
struct roster {
	struct note note;
	const char *network;
	uint32_t number;
	bool first;             /* number 1: previous none, no origin line */
	struct digest previous; /* zero in number 1 */
	struct digest origin;   /* of roster 1: its own digest in number 1 */
	unsigned quorum;
	struct roster_member *members; /* sorted by handle */
	size_t n_members;
	struct roster_alias *aliases; /* sorted by alias */
	size_t n_aliases;
};

/* Reads a roster; checks its form (quorum more than half, members sorted and once, identity keys distinct, aliases of
 * members only, unique and nobody's handle), not its signatures: a draft without any is read too. `name` is the file's, for
 * problems' places. 0; ROSTER_BAD with `problems`; -ENOMEM. On failure `*out` is zeroed. */
enum { ROSTER_BAD = 1 };
int roster_parse(struct roster *out, const char *name, struct bytes text, struct problems *problems);
void roster_deinit(struct roster *r); /* the zeroed value is fine */

const struct roster_member *roster_member(const struct roster *r, const char *handle); /* NULL: none */
/* A member's handle from the handle itself or an alias; NULL: neither. */
const char *roster_resolve(const struct roster *r, const char *handle_or_alias);

/* Whether the first roster of a network is good: number 1, previous none, digest as pinned (NULL: whatever it is), signed by a
 * quorum of its own members. And whether `next` follows `r`: same network and origin, number + 1, previous is r's digest,
 * signed by a quorum of r's members, and by every new member and every holder of a changed identity key. 0 or ROSTER_BAD with
 * `problems`: too few signatures (how many of how many), a stranger's or one that does not verify, a wrong predecessor... */
int roster_check_first(
	const struct roster *r, const struct digest *pinned, const char *name, struct problems *problems);
int roster_check_next(const struct roster *r, const struct roster *next, const char *name, struct problems *problems);

/* Says in words what changes from one to the other, one line each, appended to `out`; nothing when nothing does. */
void roster_diff(struct buffer *out, const struct roster *from, const struct roster *to);

#endif
