/* restore - puts a database that was backed up in a store's place, while no node has that open.
 *
 * A store and its key lie in two folders, and a database has a WAL beside it: no call of the system changes all of them. So the copy, when
 * it is whole, gets a name that store_open() refuses to go past (PATH.unfinished), and has it until all is in place. A restore that was
 * interrupted in between is ended by the next one. */
#ifndef ENLIGHT_STORE_RESTORE_H
#define ENLIGHT_STORE_RESTORE_H

#include "store/store.h"

/* A store's place, kept from every node until restore_close(). */
struct restore {
	char *path;   /* of the database */
	char *copy;   /* where it is written first: beside it */
	int lock;     /* the lock's file */
	bool present; /* there is a store in the place */
	bool unfinished; /* no node opens it until a restore has ended: an earlier one was interrupted, or this one has begun */
	bool begun; /* by this one */
	bool put;
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

/* From here on no node opens the store. One that is there is kept beside it, under a second name with `suffix`, unless the restore that
 * was interrupted has done so. 0 or -errno. */
int restore_begin(struct restore *r, const char *suffix);

/* Puts the copy in the store's place, where nodes may open it. 0 or -errno. */
int restore_put(struct restore *r);

/* All is as it was before restore_begin(), whatever has failed since. Where an earlier restore was interrupted before it nothing is known to
 * go back to, and nothing is done. 0 or -errno: then no node opens the store. */
int restore_undo(struct restore *r, const char *suffix);

/* Removes a copy that was not put, unless a restore has to be run again for it. */
void restore_discard(struct restore *r);

/* Gives the place free. */
void restore_close(struct restore *r);

#endif
