/* sqlite - what the files of the SQLite engine share: the file and its lock, statements, rows, errors. */
#ifndef ENLIGHT_STORE_SQLITE_H
#define ENLIGHT_STORE_SQLITE_H

#include "store/store.h"

#include <sqlite3.h>

/* Formats `*why` (returned; NULL when memory is short) and gives `r` back. */
int sqlite_why(char **why, int r, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The path of a sqlite: URL, in memory the caller frees. 0, -EINVAL, -ENOMEM. */
int sqlite_path(char **out, const char *url, const char *folder, char **why);

/* The name that keeps nodes from a store until a restore has ended (memory the caller frees), and whether it is there. 0 or -ENOMEM. */
int sqlite_mark(char **out, bool *there, const char *path);

/* Takes the lock beside the file. `*fd` is closed to give it back. 0, -EBUSY, other -errno. */
int sqlite_lock(int *fd, const char *path, char **why);

/* Creates the file (mode 0600) when absent; syncs it and its WAL and drops both from the page cache. After a sync has
 * failed the cache may hold what the disk does not, and a second sync says nothing of it. 0 or -errno. */
int sqlite_settle(const char *path, char **why);

/* What a result of SQLite is to a caller: 0, LEDGER_FULL or a negative errno. */
int sqlite_error(int rc);

/* The same while a database is opened: for what could not be opened, what the system said. */
int sqlite_open_error(sqlite3 *db, int rc);

/* Runs each SQL text; the first result that is not SQLITE_OK. */
int sqlite_configure(sqlite3 *db, const char *const *sql, size_t n);

/* Prepares a table of statements, to be finalised by sqlite_finalize(). SQLITE_OK or what failed. */
int sqlite_prepare(sqlite3 *db, sqlite3_stmt **out, const char *const *sql, size_t n);
void sqlite_finalize(sqlite3_stmt **stmts, size_t n);

/* One execution of a statement: its arguments in the order of the SQL, all borrowed until the statement is reset. */
struct call {
	sqlite3_stmt *stmt;
	int argument;
	int rc;
};
struct call call_to(sqlite3_stmt *stmt);
void call_u64(struct call *c, uint64_t v); /* any value: what has its highest bit set comes back so, but sorts first */
void call_position(struct call *c, uint64_t v); /* a sequence or a number: SQLITE_RANGE when 2^63 or above */
void call_bytes(struct call *c, struct bytes v);
void call_bytes_or_null(struct call *c, struct bytes v); /* `data` NULL: NULL */
void call_text(struct call *c, const char *v);
int call_step(struct call *c); /* SQLITE_ROW, SQLITE_DONE or an error, also of an argument */

uint64_t column_u64(sqlite3_stmt *stmt, int column);
struct bytes column_bytes(sqlite3_stmt *stmt, int column);
const char *column_text(sqlite3_stmt *stmt, int column); /* never NULL */
bool column_digest(struct digest *out, sqlite3_stmt *stmt, int column);

/* Rows as the statements with these columns give them: 0, -EBADMSG (damaged) or -ENOMEM. */
#define BATCH_COLUMNS "number, channel, incarnation, first, last, digest, stored_ms, header, signature, wrapped, body"
#define CHANNEL_COLUMNS                                                                                                \
	"id, publisher, audience, incarnation, first, last, head, key, uncovered, bytes, stopped, next_incarnation"
#define RECEIPT_COLUMNS "channel, reader, incarnation, upto, uncovered, time_ms, packed, signature"
#define HELD_COLUMNS                                                                                                   \
	"plugin, number, slot, channel, sequence, source, topic, lane, state, attempts, deaths, next_ms, since_ms, "   \
	"reason"
int batch_row_read(struct batch_row *out, sqlite3_stmt *stmt);
int channel_row_read(struct channel_row *out, sqlite3_stmt *stmt);
int receipt_row_read(struct receipt_row *out, sqlite3_stmt *stmt);
int held_row_read(struct held_row *out, sqlite3_stmt *stmt);

const char *store_path(const struct store *s);

/* The writer's connection, between two transactions, and how large its pages are. */
sqlite3 *store_connection(struct store *s, uint64_t *page_bytes);

#endif
