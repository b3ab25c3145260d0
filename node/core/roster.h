/* roster - the quorum-signed list of members and their identity keys.
 *
 *   enlight roster 1
 *   network NAME
 *   number N
 *   previous none | DIGEST-OF-N-MINUS-1 (hex)
 *   quorum Q                              more than half of the members
 *   member HANDLE COUNTRY BASE64 NAME...  in byte order of the handles
 *   alias HANDLE OLDER-OR-NEWER-DOMAIN
 * Signed by members with their identity keys under their handles. Unknown words are ignored, except with a leading `!`. */
#ifndef ENLIGHT_CORE_ROSTER_H
#define ENLIGHT_CORE_ROSTER_H

#include "core/note.h"

struct roster_member {
	const char *handle;
	const char *country; /* ISO 3166-1 alpha-2 */
	char *name;
	uint8_t identity[SIGN_PUBLIC_LEN];
};

struct roster_alias {
	const char *handle;
	const char *alias;
};

struct roster {
	struct note note;
	const char *network;
	uint32_t number;
	bool first; /* previous none */
	struct digest previous;
	unsigned quorum;
	struct roster_member *members; /* sorted by handle */
	size_t n_members;
	struct roster_alias *aliases;
	size_t n_aliases;
};

/* Reads a roster; checks its form (quorum more than half, members sorted and once, identity keys distinct, aliases of
 * members only and unique), not its signatures. 0; ROSTER_BAD with `problems`; -ENOMEM. */
enum { ROSTER_BAD = 1 };
int roster_parse(struct roster *out, const char *name, struct bytes text, struct problems *problems);
void roster_deinit(struct roster *r);

const struct roster_member *roster_member(const struct roster *r, const char *handle); /* NULL: none */
/* A member's handle from the handle itself or an alias; NULL: neither. */
const char *roster_resolve(const struct roster *r, const char *handle_or_alias);

/* Whether the first roster of a network is good: number 1, previous none, digest as pinned, signed by a quorum of its own
 * members. And whether `next` follows `r`: same network, number + 1, previous is r's digest, signed by a quorum of r's members,
 * and by every new member and every holder of a changed identity key. 0 or ROSTER_BAD with `problems`: too few signatures
 * (how many of how many), a stranger's, a wrong predecessor... A signature by one member twice counts once and is a problem. */
int roster_check_first(
	const struct roster *r, const struct digest *pinned, const char *name, struct problems *problems);
int roster_check_next(const struct roster *r, const struct roster *next, const char *name, struct problems *problems);

/* Says in words what changes from one to the other, one line each, appended to `out`. */
void roster_diff(struct buffer *out, const struct roster *from, const struct roster *to);

#endif
