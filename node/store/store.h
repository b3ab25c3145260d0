/* store - the node's durable memory: batches of every channel, receipts, what finds an event again, rosters and cards.
 *
 * One writer, owned by one thread: store_begin(), calls through `ledger_ops` (core/ledger.h), store_commit(). Any number of readers,
 * each owned by one thread, through `archive_ops`. Bodies are sealed and names are keyed: a store never sees a key. */
#ifndef ENLIGHT_STORE_STORE_H
#define ENLIGHT_STORE_STORE_H

#include "core/ledger.h"

struct store;
struct store_reader;

/* Outcomes a caller must handle; anything else that goes wrong is a negative errno. */
enum {
	STORE_FULL = 1, /* the disk limit is reached: the transaction is undone; refuse publications, withhold credit */
};

struct store_options {
	const char *folder;        /* where a relative path of the URL begins */
	uint64_t disk_limit_bytes; /* of database and WAL, for batches; 0: none */
	uint64_t reserve_bytes;    /* free disk space that batches leave */
	bool expendable;           /* a copy that is thrown away when anything fails: then nothing ends the process */
};

/* A batch that erases may use half of the reserve, and pass the limit by as much. The other half is for receipts, cursors and the like, which
 * no limit binds.
 *
 * Opens the store at `url` (sqlite:PATH), creating it (mode 0600) when absent, and brings it to this version. A lock beside the
 * file (PATH.lock) keeps other nodes out until store_close(). Before it is read, the file and its WAL are synced and dropped from
 * the page cache, so that recovery reads the disk. On success the caller owns `*out` and closes it with store_close(); on
 * error `*out` is NULL and `*why` (memory the caller frees, may be NULL) says what is wrong.
 * Errors: -ENOMEM, -EIO, -EINVAL (URL), -EBUSY (another node has it open), -EINPROGRESS (a restore was interrupted), -EPROTO (a newer node wrote it), -EBADMSG (not a store,
 * or damaged), -ENOSPC, -EROFS (it can only be read), other -errno of open. */
int store_open(struct store **out, const char *url, const struct store_options *options, char **why);
void store_close(struct store *s); /* NULL is a no-op; ends an open transaction without it */

/* `ledger` is the struct store. Sequences and numbers are below 2^63: writing a higher one answers -ERANGE, and there is no such
 * row to be found. An operation that ended the transaction by itself (disk full, out of memory) is followed by the
 * same answer from all others, until store_rollback(). */
extern const struct ledger_ops store_ledger_ops;

/* Begins a transaction; makes it durable, all or none; or undoes it. When store_commit() returns 0 the transaction survives power
 * loss. 0, STORE_FULL (undone), -ENOMEM (undone). An I/O error of a sync ends the process: nobody knows what is on disk then; so does a
 * file that can only be read. */
int store_begin(struct store *s);
int store_commit(struct store *s);
void store_rollback(struct store *s);

/* Moves what has gathered in the WAL into the database, a bounded amount of work; for when the writer is idle or the WAL is long. 0,
 * STORE_FULL or -errno: it stays, and is moved another time. */
int store_checkpoint(struct store *s);
uint64_t store_wal_bytes(const struct store *s); /* not yet moved; the writer's thread only */
uint64_t store_bytes(const struct store *s);     /* on disk, database and WAL, as of the last commit; any thread */

/* After a batch was refused with STORE_FULL: what it lacks still, in words; NULL: nothing, or nothing that can be seen from outside (a
 * quota of the file system cannot). Any thread. */
const char *store_lacks_room(const struct store *s);

/* A reader beside whoever has the store open: it takes no lock and changes nothing. 0 or as store_open(), `*why` among it. */
int store_reader_open_file(struct store_reader **out, const char *url, const char *folder, char **why);

/* Whether the database is well-formed (PRAGMA integrity_check, since quick_check of SQLite 3.40 finds fault with sound tables without rowid; takes
 * as long as reading all of it). 0: `*what` NULL; or the first thing that is wrong, in memory the caller frees. Or a negative errno. */
int store_reader_check(struct store_reader *r, char **what);

/* A reader of what was committed. 0 or as store_open(). Any thread may open one; close it before the store. */
int store_reader_open(struct store_reader **out, const struct store *s);
void store_reader_close(struct store_reader *r); /* NULL is a no-op */

/* `archive` is the struct store_reader. A visitor may ask other questions of it, but not the one it is called from. */
extern const struct archive_ops store_archive_ops;

#endif
