/* backup - a copy of the database as one file, made by the commit worker while it goes on committing.
 *
 * Only the writer's connection may read a database to its end while that changes: what it commits meanwhile it also writes to the
 * copy, so the copy never begins anew and is one state, that of its end. The worker does a bounded part between two transactions
 * (writer_backup()); another thread looks on. The file has no name from the beginning on: whatever happens, nothing is left behind. */
#ifndef ENLIGHT_STORE_BACKUP_H
#define ENLIGHT_STORE_BACKUP_H

#include "store/store.h"

struct backup;

enum backup_state { BACKUP_UNDER_WAY = 1, BACKUP_READY, BACKUP_FAILED };

struct backup_view {
	enum backup_state state;
	uint64_t done,
		total;  /* steps: one for each byte to be copied and one to be read again; total 0: not known yet */
	uint64_t bytes; /* ready: of the file */
	struct digest digest;  /* ready: BLAKE2b-256 of the file */
	int error;             /* failed: a negative errno; -ENOSPC: no room beside the reserve; -ECANCELED: given up */
	uint64_t lacked_bytes; /* of -ENOSPC: what was wanted */
};

/* A copy that is to be made, in a file of `folder`, of whose file system `reserve_bytes` stay free. 0, -ENOMEM, other -errno. */
int backup_new(struct backup **out, const char *folder, uint64_t reserve_bytes);
/* Not while the worker has it: it is under way, and the worker not drained. NULL is a no-op. */
void backup_free(struct backup *b);

void backup_look(const struct backup *b, struct backup_view *out); /* any thread */
void backup_give_up(struct backup *b);                             /* any thread; a no-op when it is not under way */
int backup_file(const struct backup *b);                           /* ready: its descriptor, borrowed */

/* The worker's, between two transactions: a bounded part. False: ready or failed, and not the worker's any more. */
bool backup_step(struct backup *b, struct store *s);

#endif
