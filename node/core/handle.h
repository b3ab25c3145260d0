/* handle - members' handles and audiences.
 *
 * A handle is a lower-case domain name of at most HANDLE_MAX characters ([a-z0-9-] labels, at least one dot). An audience
 * is written as one string: the word `network`, or handles sorted by byte, each once, with commas between
 * (`rug.nl,ugent.be`). That string is its only form in memory, store and API; on the wire it is the list of its parts.
 * It never holds the publisher, except alone: that is the channel to oneself. */
#ifndef ENLIGHT_CORE_HANDLE_H
#define ENLIGHT_CORE_HANDLE_H

#include <stdbool.h>
#include <stddef.h>

#define AUDIENCE_NETWORK "network"

bool handle_valid(const char *handle);

/* Brings an audience as people write it (any order, spaces after commas, the publisher among them) into its one form,
 * returned in memory the caller frees. NULL when it is malformed, has more than AUDIENCE_MAX members, or (with errno
 * ENOMEM) memory is short. Whether the members exist is the roster's to say. */
char *audience_normalise(const char *text, const char *publisher);

/* What a name means: a member's handle, borrowed, or NULL. `context` is its own. */
typedef const char *(*handle_resolve)(void *context, const char *name);

/* The same with a handle in place of each name that `resolve` knows, such as a member's former domain. */
char *audience_resolve(const char *text, const char *publisher, handle_resolve resolve, void *context);

/* Whether the string is in its one form. */
bool audience_valid(const char *audience);

/* Whether a member may read: it is named, or the audience is the network. */
bool audience_has(const char *audience, const char *member);

/* From and to the list on the wire. audience_join() gives NULL when the result is not valid; the caller frees it.
 * audience_split() fills up to AUDIENCE_MAX pointers into `copy`, which is the caller's copy of the string and gets cut. */
char *audience_join(char *const *parts, size_t n);
size_t audience_split(char *copy, char **parts);

#endif
