/* restore - puts a database that was backed up in a store's place, while no node has that open. */
#ifndef ENLIGHT_STORE_RESTORE_H
#define ENLIGHT_STORE_RESTORE_H

#include "store/store.h"

/* A store's place, kept from every node until restore_close(). */
struct restore {
	char *path;   /* of the database */
	char *copy;   /* where it is written first: beside it */
	int lock;     /* the lock's file */
	bool present; /* there is a store in the place */
};

/* Where the store at `url` is and what is there; nothing is made, and of what a node does meanwhile it tells nothing. 0 or -errno; then
 * `*why` as store_open(), and nothing to close. */
int restore_look(struct restore *out, const char *url, const char *folder, char **why);

/* Takes the place. 0; -EBUSY: a node runs with it; other -errno; then `*why` as store_open(). */
int restore_take(struct restore *r, char **why);

/* Writes `bytes` from a file, from where that stands, to the copy, durably (mode 0600). `progress` (may be NULL) is told how far
 * it is and answers whether to go on. 0; RESTORE_DAMAGED: too short, too long, or not of this digest; -ECANCELED; other -errno. */
enum { RESTORE_DAMAGED = 1 };
int restore_copy(struct restore *r, int from, uint64_t bytes, const struct digest *digest,
	bool (*progress)(void *context, uint64_t done, uint64_t total), void *context);

/* Puts the copy in the store's place. One that is there is kept beside it, under the same name with `suffix`. 0 or -errno;
 * then all is where it was, as far as it can be renamed back. */
int restore_put(struct restore *r, const char *suffix);

/* Removes a copy that was not put. */
void restore_discard(struct restore *r);

/* Gives the place free. */
void restore_close(struct restore *r);

#endif
