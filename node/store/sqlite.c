#include "store/store.h"

#include "base/log.h"
#include "store/migrations.h"
#include "store/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

/* The writer. Its connection is the only one that writes or checkpoints: SQLite before 3.51.3 can damage a database whose WAL is
 * reset by one connection while another writes. So nothing checkpoints by itself; the owner says when. */

enum statement {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_SAVEPOINT,
	SQL_UNDO_PART,
	SQL_RELEASE,
	SQL_PAGE_COUNT,
	SQL_FREE_PAGES,
	SQL_CHANNEL_FIND,
	SQL_CHANNEL_ADD,
	SQL_CHANNEL_REPLACE,
	SQL_BATCH_ADD,
	SQL_BATCH_GET,
	SQL_BATCH_MEND,
	SQL_BATCH_ENDING,
	SQL_BATCH_HOLDING,
	SQL_ASIDE_ADD,
	SQL_ASIDE_EVENT,
	SQL_ASIDE_OBJECT,
	SQL_ASIDE_FIND,
	SQL_ASIDE_NAMED,
	SQL_ASIDE_HOLDING,
	SQL_ASIDE_NEXT,
	SQL_ASIDE_DONE,
	SQL_ASIDE_AGAIN,
	SQL_ASIDE_ORIGIN,
	SQL_ASIDE_REVISION,
	SQL_EVENT_FIND,
	SQL_EVENT_ADD,
	SQL_OBJECT_FIND,
	SQL_OBJECT_PUT,
	SQL_PERSON_ADD,
	SQL_MARK_ADD,
	SQL_UNCOVERED_ADD,
	SQL_UNCOVERED_REMOVE,
	SQL_RECEIPT_FIND,
	SQL_RECEIPT_PUT,
	SQL_RECEIPT_REMOVE,
	SQL_NOTE_PUT,
	SQL_FORK_PUT,
	SQL_SETTING_PUT,
	SQL_SETTING_REMOVE,
	SQL_CURSOR_PUT,
	SQL_HELD_PUT,
	SQL_HELD_REMOVE,
	N_STATEMENTS,
};

#define OBJECT_COLUMNS "key, number, slot, revision, data, leaf"

static const char *const statements[N_STATEMENTS] = {
	[SQL_BEGIN] = "BEGIN IMMEDIATE",
	[SQL_COMMIT] = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_SAVEPOINT] = "SAVEPOINT part",
	[SQL_UNDO_PART] = "ROLLBACK TO part",
	[SQL_RELEASE] = "RELEASE part",
	[SQL_PAGE_COUNT] = "PRAGMA page_count",
	[SQL_FREE_PAGES] = "PRAGMA freelist_count",
	[SQL_CHANNEL_FIND] = "SELECT " CHANNEL_COLUMNS " FROM channel WHERE publisher = ?1 AND audience = ?2",
	[SQL_CHANNEL_ADD] = "INSERT INTO channel(incarnation, first, last, head, key, uncovered, bytes, stopped, "
			    "next_incarnation, publisher,"
			    " audience) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[SQL_CHANNEL_REPLACE] = "UPDATE channel SET incarnation = ?1, first = ?2, last = ?3, head = ?4, key = ?5,"
				" uncovered = ?6, bytes = ?7, stopped = ?8, next_incarnation = ?9 WHERE id = ?10",
	[SQL_BATCH_ADD] = "INSERT INTO batch(" BATCH_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[SQL_BATCH_GET] = "SELECT " BATCH_COLUMNS " FROM batch WHERE number = ?1",
	[SQL_BATCH_MEND] = "UPDATE batch SET digest = ?2, header = ?3, signature = ?4, wrapped = ?5, body = ?6"
			   " WHERE number = ?1",
	[SQL_BATCH_ENDING] = "SELECT " BATCH_COLUMNS " FROM batch WHERE channel = ?1 AND last = ?2",
	[SQL_BATCH_HOLDING] =
		"SELECT " BATCH_COLUMNS " FROM batch WHERE channel = ?1 AND last >= ?2 ORDER BY last LIMIT 1",
	[SQL_ASIDE_ADD] = "INSERT INTO aside_batch(" BATCH_COLUMNS
			  ", above, again) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 1)",
	[SQL_ASIDE_EVENT] = "INSERT OR REPLACE INTO aside_event(key, number, slot) VALUES (?1, ?2, ?3)",
	[SQL_ASIDE_OBJECT] = "INSERT OR REPLACE INTO aside_object(" OBJECT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_ASIDE_FIND] = "SELECT above FROM aside_batch WHERE channel = ?1 AND digest = ?2",
	[SQL_ASIDE_NAMED] = "SELECT " BATCH_COLUMNS " FROM aside_batch WHERE channel = ?1 AND digest = ?2",
	[SQL_ASIDE_HOLDING] = "SELECT " BATCH_COLUMNS " FROM aside_batch WHERE channel = ?1 AND incarnation = ?2"
			      " AND first <= ?3 AND last >= ?3 LIMIT 1",
	[SQL_ASIDE_NEXT] =
		"SELECT " BATCH_COLUMNS ", again FROM aside_batch WHERE again > 0 ORDER BY again, number LIMIT 1",
	[SQL_ASIDE_DONE] = "UPDATE aside_batch SET again = -again WHERE number = ?1",
	[SQL_ASIDE_AGAIN] = "UPDATE aside_batch SET again = -again WHERE number = ?1 AND again < 0",
	[SQL_ASIDE_ORIGIN] = "SELECT abs(again) FROM aside_batch WHERE number IN"
			     " (SELECT number FROM aside_event WHERE key = ?1) ORDER BY number DESC LIMIT 1",
	[SQL_ASIDE_REVISION] = "SELECT coalesce(max(revision), 0) FROM aside_object WHERE key = ?1",
	[SQL_EVENT_FIND] = "SELECT number, slot FROM event WHERE key = ?1",
	[SQL_EVENT_ADD] = "INSERT INTO event(key, number, slot) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
	[SQL_OBJECT_FIND] = "SELECT number, slot, revision, data, leaf FROM object WHERE key = ?1"
			    " ORDER BY number DESC, slot DESC LIMIT 1",
	[SQL_OBJECT_PUT] = "INSERT OR REPLACE INTO object(key, number, slot, revision, data, leaf)"
			   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_PERSON_ADD] = "INSERT OR IGNORE INTO person(number, key) VALUES (?1, ?2)",
	[SQL_MARK_ADD] = "INSERT OR REPLACE INTO mark(number, slot, kind, text) VALUES (?1, ?2, ?3, ?4)",
	[SQL_UNCOVERED_ADD] = "INSERT OR IGNORE INTO uncovered(channel, sequence) VALUES (?1, ?2)",
	[SQL_UNCOVERED_REMOVE] = "DELETE FROM uncovered WHERE channel = ?1 AND sequence = ?2",
	[SQL_RECEIPT_FIND] = "SELECT " RECEIPT_COLUMNS " FROM receipt WHERE channel = ?1 AND reader = ?2",
	[SQL_RECEIPT_REMOVE] = "DELETE FROM receipt WHERE channel = ?1 AND reader = ?2",
	[SQL_RECEIPT_PUT] = "INSERT INTO receipt(" RECEIPT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
			    " ON CONFLICT DO UPDATE SET incarnation = excluded.incarnation, upto = excluded.upto,"
			    " uncovered = excluded.uncovered, time_ms = excluded.time_ms, packed = excluded.packed,"
			    " signature = excluded.signature"
			    " WHERE (excluded.incarnation, excluded.upto) >= (receipt.incarnation, receipt.upto)",
	[SQL_NOTE_PUT] = "INSERT OR IGNORE INTO note(kind, member, number, text) VALUES (?1, ?2, ?3, ?4)",
	[SQL_FORK_PUT] = "INSERT INTO fork(channel, header_a, signature_a, header_b, signature_b)"
			 " SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS"
			 " (SELECT 1 FROM fork WHERE channel = ?1 AND header_a = ?2)",
	[SQL_SETTING_PUT] = "INSERT OR REPLACE INTO setting(name, value) VALUES (?1, ?2)",
	[SQL_SETTING_REMOVE] = "DELETE FROM setting WHERE name = ?1",
	[SQL_CURSOR_PUT] = "INSERT OR REPLACE INTO cursor(plugin, number, slot) VALUES (?1, ?2, ?3)",
	[SQL_HELD_PUT] = "INSERT OR REPLACE INTO held(" HELD_COLUMNS
			 ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
	[SQL_HELD_REMOVE] = "DELETE FROM held WHERE plugin = ?1 AND number = ?2 AND slot = ?3",
};

/* Small caches: pages that are read again come from the system's cache. What is deleted is overwritten, since erasure means it. */
static const char *const configuration[] = {
	"PRAGMA cell_size_check = ON",
	"PRAGMA trusted_schema = OFF",
	"PRAGMA page_size = 8192", /* of a new file: bodies need few writes, and what one event changes stays small */
	"PRAGMA foreign_keys = ON",
	"PRAGMA secure_delete = ON",
	"PRAGMA synchronous = FULL",
	"PRAGMA cache_size = -2048",
	"PRAGMA mmap_size = 0",
	"PRAGMA temp_store = MEMORY",
	"PRAGMA journal_size_limit = 16777216",
};

enum lack { LACK_NOTHING, LACK_LIMIT, LACK_RESERVE };

struct store {
	sqlite3 *db;
	char *path;
	int lock_fd;
	sqlite3_stmt *statements[N_STATEMENTS];
	sqlite3_stmt *viewed; /* whose row the caller may still be looking at */
	uint64_t disk_limit_bytes, reserve_bytes;
	_Atomic uint64_t lacked_bytes; /* that were not free when a batch was refused, and which bytes */
	_Atomic enum lack lack;
	uint64_t page_bytes;
	uint64_t next_number;
	uint64_t added_bytes; /* by batches of this transaction, which are not in the WAL yet */
	uint64_t wal_bytes;
	_Atomic uint64_t bytes;
	bool has_aside; /* there may be something that is kept apart */
	bool in_transaction;
	bool wal_stays; /* the WAL could not be moved, which was said */
	bool expendable;
	int lost; /* what ended the transaction by itself; 0: it is alive */
};

const char *store_path(const struct store *s)
{
	return s->path;
}

sqlite3 *store_connection(struct store *s, uint64_t *page_bytes)
{
	assert(!s->in_transaction);
	*page_bytes = s->page_bytes;
	return s->db;
}

/* What the system said when a write to or a sync of the WAL or the database failed last. */
static int write_errno(const struct store *s, int which)
{
	sqlite3_file *file = NULL;
	int e = 0;

	if (sqlite3_file_control(s->db, "main", which, &file) != SQLITE_OK || file == NULL || file->pMethods == NULL)
		return 0;
	return file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &e) == SQLITE_OK ? e : 0;
}

/* After a failed write or sync nobody knows which of the last pages are on disk: a second sync would say nothing of those that the
 * first could not write. So the process ends, and the next start reads what the disk has. */
static _Noreturn void end(const struct store *s, int rc)
{
	int of_wal = write_errno(s, SQLITE_FCNTL_JOURNAL_POINTER), e = write_errno(s, SQLITE_FCNTL_FILE_POINTER);

	log_error("store: cannot %s, ending file=%s%s reason=\"%s\" code=%d",
		rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC ? "sync" : "write", s->path,
		of_wal != 0 ? "-wal" : "", of_wal != 0 || e != 0 ? strerror(of_wal != 0 ? of_wal : e) : "unknown", rc);
	_exit(EX_IOERR);
}

/* A quota or a limit that was reached is a full disk; with other failures of writes and syncs the process ends. So it does when SQLite had
 * to be content with reading a file: the next start may open it. */
static int judge(const struct store *s, int rc, int which)
{
	static const int unknown[] = {
		SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_WRITE, SQLITE_IOERR_TRUNCATE};
	int e = rc == SQLITE_IOERR_WRITE ? write_errno(s, which) : 0;

	if (e == EDQUOT || e == EFBIG)
		return SQLITE_FULL;
	if (s->expendable)
		return rc;
	for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
		if (rc == unknown[i])
			end(s, rc);
	if ((rc & 0xff) == SQLITE_READONLY)
		end(s, rc);
	return rc;
}

/* What went wrong in a transaction, for its caller. SQLite may have undone all of it. */
static int wrong(struct store *s, int rc)
{
	int r = sqlite_error(judge(s, rc, SQLITE_FCNTL_JOURNAL_POINTER));

	if (s->in_transaction && sqlite3_get_autocommit(s->db))
		s->lost = r;
	return r;
}

static void forget_view(struct store *s)
{
	if (s->viewed != NULL)
		sqlite3_reset(s->viewed);
	s->viewed = NULL;
}

/* Arguments may be views of the row that was found last (of another statement), so that row stays until the call is done. */
static struct call call(struct store *s, enum statement which)
{
	if (s->viewed == s->statements[which])
		forget_view(s);
	return call_to(s->statements[which]);
}

/* Runs a statement that gives no rows. */
static int run(struct store *s, struct call *c)
{
	int rc, r;

	assert(s->in_transaction);
	if (s->lost != 0)
		return s->lost;
	rc = call_step(c);
	r = rc == SQLITE_DONE ? 0 : wrong(s, rc);
	sqlite3_reset(c->stmt);
	forget_view(s);
	return r;
}

static int run_plain(struct store *s, enum statement which)
{
	struct call c = call_to(s->statements[which]);

	forget_view(s);
	return run(s, &c);
}

/* Runs a statement that gives at most one row, to be looked at until the next call. 0, LEDGER_NONE or what is wrong. An
 * argument that is out of range is that of no row. */
static int find(struct store *s, struct call *c)
{
	int rc, r;

	assert(s->in_transaction);
	if (s->lost != 0)
		return s->lost;
	rc = call_step(c);
	forget_view(s);
	if (rc == SQLITE_ROW) {
		s->viewed = c->stmt;
		return 0;
	}
	r = rc == SQLITE_DONE || rc == SQLITE_RANGE ? LEDGER_NONE : wrong(s, rc);
	sqlite3_reset(c->stmt);
	return r;
}

/* A number of the engine's; what was found last may still be looked at. */
static int ask_number(struct store *s, enum statement which, uint64_t *out)
{
	sqlite3_stmt *stmt = s->statements[which];
	int rc, r = 0;

	assert(s->in_transaction);
	if (s->lost != 0)
		return s->lost;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*out = column_u64(stmt, 0);
	else
		r = wrong(s, rc);
	sqlite3_reset(stmt);
	return r;
}

static uint64_t file_bytes(sqlite3 *db, int which)
{
	sqlite3_file *file = NULL;
	sqlite3_int64 size = 0;

	if (sqlite3_file_control(db, "main", which, &file) != SQLITE_OK || file == NULL || file->pMethods == NULL)
		return 0;
	return file->pMethods->xFileSize(file, &size) == SQLITE_OK ? (uint64_t)size : 0;
}

static void measure(struct store *s)
{
	atomic_store(&s->bytes,
		file_bytes(s->db, SQLITE_FCNTL_FILE_POINTER) + file_bytes(s->db, SQLITE_FCNTL_JOURNAL_POINTER));
}

uint64_t store_bytes(const struct store *s)
{
	return atomic_load(&s->bytes);
}

uint64_t store_wal_bytes(const struct store *s)
{
	return s->wal_bytes;
}

/* Opening */

/* Called by SQLite after each commit. Having this hook also keeps SQLite from checkpointing by itself. */
static int committed(void *context, sqlite3 *db, const char *schema, int frames)
{
	struct store *s = context;

	s->wal_bytes = (uint64_t)frames * s->page_bytes;
	return SQLITE_OK;
}

static int ask_text(sqlite3 *db, const char *sql, const char *expected)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		rc = strcmp(column_text(stmt, 0), expected) == 0 ? SQLITE_OK : SQLITE_CANTOPEN;
	sqlite3_finalize(stmt);
	return rc;
}

static int ask_u64(sqlite3 *db, const char *sql, uint64_t *out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		*out = column_u64(stmt, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(stmt);
	return rc;
}

/* Nothing is written before migrate() has found the file to be ours. */
static int open_database(struct store *s)
{
	uint64_t in_use = 0, set_aside = 0;
	int rc;

	rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK && sqlite3_db_readonly(s->db, "main") == 1)
		rc = SQLITE_READONLY; /* what it could not open for writing it opened for reading */
	if (rc != SQLITE_OK)
		return rc;
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	rc = sqlite_configure(s->db, configuration, sizeof configuration / sizeof *configuration);
	if (rc == SQLITE_OK)
		rc = migrate(s->db, migrations, n_migrations);
	if (rc == SQLITE_OK)
		rc = ask_text(s->db, "PRAGMA journal_mode = WAL", "wal");
	if (rc == SQLITE_OK)
		rc = ask_u64(s->db, "PRAGMA page_size", &s->page_bytes);
	if (rc == SQLITE_OK)
		rc = ask_u64(s->db, "SELECT max(number) FROM batch", &in_use);
	if (rc == SQLITE_OK)
		rc = ask_u64(s->db, "SELECT max(number) FROM aside_batch", &set_aside);
	if (rc == SQLITE_OK)
		rc = sqlite_prepare(s->db, s->statements, statements, N_STATEMENTS);
	s->next_number = (in_use > set_aside ? in_use : set_aside) + 1;
	s->has_aside = set_aside > 0;
	sqlite3_wal_hook(s->db, committed, s);
	return rc;
}

/* Which file could not be opened or read SQLite does not tell, but what the system said of it. */
static int explain(const struct store *s, int rc, char **why)
{
	int e = sqlite3_system_errno(s->db);
	int r = sqlite_open_error(s->db, rc);

	if (r == LEDGER_FULL)
		r = -ENOSPC;
	switch (r) {
	case -EPROTO:
		return sqlite_why(why, r, "%s was written by a newer version of this node", s->path);
	case -EBADMSG:
		return sqlite_why(why, r, "%s is not a node's store, or it is damaged", s->path);
	default:
		return sqlite_why(why, r, "cannot open %s or what lies beside it: %s%s%s", s->path, sqlite3_errstr(rc),
			e != 0 ? ": " : "", e != 0 ? strerror(e) : "");
	}
}

/* Which of store and key belong together only a restore that ends knows. */
static int refuse_unfinished(const char *path, char **why)
{
	bool there;
	char *mark;
	int r = sqlite_mark(&mark, &there, path);

	if (r == 0 && there)
		r = sqlite_why(why, -EINPROGRESS,
			"%s is there: enlight restore was interrupted before store and store.key were in place; run it "
			"again",
			mark);
	free(mark);
	return r;
}

int store_open(struct store **out, const char *url, const struct store_options *options, char **why)
{
	struct store *s = calloc(1, sizeof *s);
	int r = -ENOMEM, rc;

	*out = NULL;
	*why = NULL;
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* nobody asks for it; it takes a lock for each allocation */
	if (s == NULL)
		goto out;
	s->lock_fd = -1;
	s->disk_limit_bytes = options->disk_limit_bytes;
	s->reserve_bytes = options->reserve_bytes;
	s->expendable = options->expendable;
	r = sqlite_path(&s->path, url, options->folder, why);
	if (r == 0)
		r = sqlite_lock(&s->lock_fd, s->path, why);
	if (r == 0)
		r = refuse_unfinished(s->path, why);
	if (r == 0)
		r = sqlite_settle(s->path, why);
	if (r != 0)
		goto out;
	rc = open_database(s);
	if (rc != SQLITE_OK) {
		r = explain(s, rc, why);
		goto out;
	}
	store_checkpoint(s);
	*out = s;
	s = NULL;
out:
	store_close(s);
	return r;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->in_transaction)
		store_rollback(s);
	forget_view(s);
	sqlite_finalize(s->statements, N_STATEMENTS);
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s->path);
	free(s);
}

/* Transactions */

int store_begin(struct store *s)
{
	int r;

	assert(!s->in_transaction);
	s->in_transaction = true;
	s->lost = 0;
	s->added_bytes = 0;
	r = run_plain(s, SQL_BEGIN);
	if (r != 0)
		s->in_transaction = false;
	return r == LEDGER_FULL ? STORE_FULL : r;
}

int store_commit(struct store *s)
{
	int r = run_plain(s, SQL_COMMIT);

	if (r != 0)
		store_rollback(s);
	s->in_transaction = false;
	measure(s);
	return r == LEDGER_FULL ? STORE_FULL : r;
}

void store_rollback(struct store *s)
{
	if (!s->in_transaction)
		return;
	forget_view(s);
	if (!sqlite3_get_autocommit(s->db)) {
		int rc = sqlite3_step(s->statements[SQL_ROLLBACK]);

		if (rc != SQLITE_DONE)
			log_error("store: cannot undo a transaction code=%d", rc);
		sqlite3_reset(s->statements[SQL_ROLLBACK]);
	}
	s->in_transaction = false;
}

/* PASSIVE waits for no reader: what one still needs stays for the next time. */
int store_checkpoint(struct store *s)
{
	int in_wal = 0, moved = 0;
	int rc;

	assert(!s->in_transaction);
	rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_PASSIVE, &in_wal, &moved);
	if (rc == SQLITE_OK && in_wal >= moved) {
		s->wal_bytes = (uint64_t)(in_wal - moved) * s->page_bytes;
		s->wal_stays = false;
	} else if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
		rc = judge(s, rc, SQLITE_FCNTL_FILE_POINTER);
		if (!s->wal_stays)
			log_warn("store: cannot move the WAL into the database reason=\"%s\" code=%d",
				sqlite3_errstr(rc), rc);
		s->wal_stays = true;
	}
	measure(s);
	return sqlite_error(rc);
}

/* The ledger */

static int channel_find(void *ledger, const char *publisher, const char *audience, struct channel_row *out)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_CHANNEL_FIND);
	int r;

	*out = (struct channel_row){0};
	call_text(&c, publisher);
	call_text(&c, audience);
	r = find(s, &c);
	return r == 0 ? channel_row_read(out, c.stmt) : r;
}

static int channel_put(void *ledger, struct channel_row *row)
{
	struct store *s = ledger;
	bool add = row->id == 0;
	struct call c = call(s, add ? SQL_CHANNEL_ADD : SQL_CHANNEL_REPLACE);
	int r;

	call_u64(&c, row->incarnation);
	call_position(&c, row->first);
	call_position(&c, row->last);
	call_bytes(&c, bytes_of(row->head.bytes, DIGEST_LEN));
	call_u64(&c, row->key);
	call_u64(&c, row->uncovered);
	call_u64(&c, row->bytes);
	call_position(&c, row->stopped);
	call_u64(&c, row->next_incarnation);
	if (add) {
		call_text(&c, row->publisher);
		call_text(&c, row->audience);
	} else {
		call_position(&c, row->id);
	}
	r = run(s, &c);
	if (r == 0 && add)
		row->id = (uint64_t)sqlite3_last_insert_rowid(s->db);
	else if (r == 0 && sqlite3_changes(s->db) == 0)
		r = LEDGER_NONE;
	return r;
}

static uint64_t next_number(void *ledger)
{
	struct store *s = ledger;

	return s->next_number++;
}

/* Keeps what a batch was refused for, so that its end can be seen. */
static int lacks(struct store *s, enum lack lack, uint64_t bytes)
{
	atomic_store(&s->lacked_bytes, bytes);
	atomic_store(&s->lack, lack);
	return LEDGER_FULL;
}

/* Whether a batch would pass the limit or reach into the reserve. It lies in the WAL first and in the database later, and both
 * count until the WAL is used again. What is lacking is told of batches that do not erase. */
static int check_space(struct store *s, const struct batch_row *row)
{
	enum { FRAME_HEADER = 24, OTHER_PAGES = 3 }; /* of a page in the WAL; of its table, its index, its channel */
	uint64_t row_pages = (row->header.len + row->body.len) / s->page_bytes + 1 + OTHER_PAGES;
	uint64_t row_bytes = row_pages * (s->page_bytes + FRAME_HEADER);
	uint64_t spare = row->erases ? s->reserve_bytes / 2 : 0;
	uint64_t pages = 0, free_pages = 0, database, used, wanted;
	struct statvfs fs;
	int r;

	r = ask_number(s, SQL_PAGE_COUNT, &pages);
	if (r == 0)
		r = ask_number(s, SQL_FREE_PAGES, &free_pages);
	if (r != 0)
		return r;
	used = (pages - free_pages) * s->page_bytes + file_bytes(s->db, SQLITE_FCNTL_JOURNAL_POINTER) + s->added_bytes;
	if (s->disk_limit_bytes != 0 && used + 2 * row_bytes > s->disk_limit_bytes + spare)
		return lacks(s, LACK_LIMIT, used + 2 * row_bytes - store_bytes(s));
	if (statvfs(s->path, &fs) < 0)
		return -errno;
	/* What lies in the WAL has to find room in the database as well. */
	database = file_bytes(s->db, SQLITE_FCNTL_FILE_POINTER);
	wanted = s->reserve_bytes + s->added_bytes + 2 * row_bytes;
	if (pages * s->page_bytes > database)
		wanted += pages * s->page_bytes - database;
	if ((uint64_t)fs.f_bavail * fs.f_frsize < wanted - spare)
		return lacks(s, LACK_RESERVE, wanted);
	if (!row->erases)
		atomic_store(&s->lack, LACK_NOTHING);
	s->added_bytes += row_bytes;
	return 0;
}

const char *store_lacks_room(const struct store *s)
{
	uint64_t lacked_bytes = atomic_load(&s->lacked_bytes);
	struct statvfs fs;

	switch (atomic_load(&s->lack)) {
	case LACK_LIMIT:
		return store_bytes(s) + lacked_bytes > s->disk_limit_bytes
			       ? "the store has reached its limit (store.disk_limit)"
			       : NULL;
	case LACK_RESERVE:
		return statvfs(s->path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < lacked_bytes
			       ? "the disk is full (store.reserve is kept free)"
			       : NULL;
	default:
		return NULL;
	}
}

static void call_batch(struct call *c, const struct batch_row *row)
{
	call_position(c, row->number);
	call_position(c, row->channel);
	call_u64(c, row->incarnation);
	call_position(c, row->first);
	call_position(c, row->first + row->count - 1);
	call_bytes(c, bytes_of(row->digest.bytes, DIGEST_LEN));
	call_u64(c, row->stored_ms);
	call_bytes(c, row->header);
	call_bytes(c, row->signature);
	call_bytes(c, row->wrapped);
	call_bytes_or_null(c, row->body);
}

/* Begins to add a batch where there is room for it. */
static int add(struct call *c, struct store *s, enum statement which, const struct batch_row *row)
{
	int r = check_space(s, row);

	if (r != 0)
		return r;
	*c = call(s, which);
	call_batch(c, row);
	return 0;
}

static int batch_add(void *ledger, const struct batch_row *row)
{
	struct call c;
	int r = add(&c, ledger, SQL_BATCH_ADD, row);

	return r != 0 ? r : run(ledger, &c);
}

static int batch_get(void *ledger, uint64_t number, struct batch_row *out)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_BATCH_GET);
	int r;

	call_position(&c, number);
	r = find(s, &c);
	return r == 0 ? batch_row_read(out, c.stmt) : r;
}

static int batch_mend(void *ledger, const struct batch_row *row)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_BATCH_MEND);
	int r;

	call_position(&c, row->number);
	call_bytes(&c, bytes_of(row->digest.bytes, DIGEST_LEN));
	call_bytes(&c, row->header);
	call_bytes(&c, row->signature);
	call_bytes(&c, row->wrapped);
	call_bytes(&c, row->body);
	r = run(s, &c);
	return r == 0 && sqlite3_changes(s->db) == 0 ? LEDGER_NONE : r;
}

static int batch_at(struct store *s, enum statement which, uint64_t channel, uint64_t sequence, struct batch_row *out)
{
	struct call c = call(s, which);
	int r;

	call_position(&c, channel);
	call_position(&c, sequence);
	r = find(s, &c);
	return r == 0 ? batch_row_read(out, c.stmt) : r;
}

static int batch_ending(void *ledger, uint64_t channel, uint64_t last, struct batch_row *out)
{
	return batch_at(ledger, SQL_BATCH_ENDING, channel, last, out);
}

static int batch_holding(void *ledger, uint64_t channel, uint64_t sequence, struct batch_row *out)
{
	int r = batch_at(ledger, SQL_BATCH_HOLDING, channel, sequence, out);

	return r == 0 && out->first > sequence ? LEDGER_NONE : r;
}

/* In this order: the batches say which rows are theirs. Rare, so a scan of the indexes will do. */
#define ABOVE "channel = ?1 AND last > ?2 AND first > ?2"
#define THEIRS "number IN (SELECT number FROM batch WHERE " ABOVE ")"
static const char *const set_aside_steps[] = {
	"UPDATE aside_batch SET above = ?2 WHERE channel = ?1 AND above > ?2",
	"INSERT INTO aside_event(key, number, slot) SELECT key, number, slot FROM event WHERE " THEIRS,
	"INSERT INTO aside_object(" OBJECT_COLUMNS ") SELECT " OBJECT_COLUMNS " FROM object WHERE " THEIRS,
	"INSERT INTO aside_person(number, key) SELECT number, key FROM person WHERE " THEIRS,
	"INSERT INTO aside_mark(number, slot, kind, text) SELECT number, slot, kind, text FROM mark WHERE " THEIRS,
	"DELETE FROM event WHERE " THEIRS,
	"DELETE FROM object WHERE " THEIRS,
	"DELETE FROM person WHERE " THEIRS,
	"DELETE FROM mark WHERE " THEIRS,
	"DELETE FROM uncovered WHERE channel = ?1 AND sequence > ?2",
	"INSERT INTO aside_batch(" BATCH_COLUMNS ", above, again) SELECT " BATCH_COLUMNS
	", ?2, ?3 FROM batch WHERE " ABOVE,
	("DELETE FROM batch WHERE " ABOVE),
};

static int set_aside_step(struct store *s, const char *sql, uint64_t channel, uint64_t above, bool again)
{
	struct call c = {0};
	int r, rc;

	rc = sqlite3_prepare_v2(s->db, sql, -1, &c.stmt, NULL);
	if (rc != SQLITE_OK)
		return wrong(s, rc);
	call_position(&c, channel);
	call_position(&c, above);
	if (sqlite3_bind_parameter_count(c.stmt) > 2)
		call_u64(&c, again ? ORIGIN_OWN : ORIGIN_NONE);
	r = run(s, &c);
	sqlite3_finalize(c.stmt);
	return r;
}

static int set_aside(void *ledger, uint64_t channel, uint64_t above, bool again)
{
	struct store *s = ledger;
	int r = s->lost;

	if (above > INT64_MAX)
		return r;
	s->has_aside = true;
	for (size_t i = 0; i < sizeof set_aside_steps / sizeof *set_aside_steps && r == 0; i++)
		r = set_aside_step(s, set_aside_steps[i], channel, above, again);
	return r;
}

static int aside_add(void *ledger, const struct batch_row *row, uint64_t above)
{
	struct call c;
	int r = add(&c, ledger, SQL_ASIDE_ADD, row);

	if (r != 0)
		return r;
	call_position(&c, above);
	return run(ledger, &c);
}

static int find_digest(struct store *s, struct call *c, uint64_t channel, const struct digest *digest)
{
	call_position(c, channel);
	call_bytes(c, bytes_of(digest->bytes, DIGEST_LEN));
	return find(s, c);
}

static int aside_find(void *ledger, uint64_t channel, const struct digest *digest, uint64_t *above)
{
	struct call c = call(ledger, SQL_ASIDE_FIND);
	int r = find_digest(ledger, &c, channel, digest);

	if (r == 0)
		*above = column_u64(c.stmt, 0);
	return r;
}

static int aside_named(void *ledger, uint64_t channel, const struct digest *digest, struct batch_row *out)
{
	struct call c = call(ledger, SQL_ASIDE_NAMED);
	int r = find_digest(ledger, &c, channel, digest);

	return r == 0 ? batch_row_read(out, c.stmt) : r;
}

static int aside_holding(void *ledger, uint64_t channel, uint32_t incarnation, uint64_t sequence, struct batch_row *out)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_ASIDE_HOLDING);
	int r;

	call_position(&c, channel);
	call_u64(&c, incarnation);
	call_position(&c, sequence);
	r = find(s, &c);
	return r == 0 ? batch_row_read(out, c.stmt) : r;
}

static int aside_next(void *ledger, struct batch_row *out, enum origin *origin)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_ASIDE_NEXT);
	int r = find(s, &c);

	if (r != 0)
		return r;
	*origin = (enum origin)column_u64(c.stmt, 11);
	return batch_row_read(out, c.stmt);
}

static int run_numbered(struct store *s, enum statement which, uint64_t number)
{
	struct call c = call(s, which);

	call_position(&c, number);
	return run(s, &c);
}

static int aside_done(void *ledger, uint64_t number)
{
	return run_numbered(ledger, SQL_ASIDE_DONE, number);
}

static int aside_again(void *ledger, uint64_t number)
{
	return run_numbered(ledger, SQL_ASIDE_AGAIN, number);
}

static void call_key(struct call *c, const struct index_key *key)
{
	call_bytes(c, bytes_of(key->bytes, sizeof key->bytes));
}

static void call_place(struct call *c, const struct place *place)
{
	call_position(c, place->number);
	call_u64(c, place->index);
}

static struct place column_place(sqlite3_stmt *stmt)
{
	return (struct place){.number = column_u64(stmt, 0), .index = (uint32_t)column_u64(stmt, 1)};
}

static int event_find(void *ledger, const struct index_key *key, struct place *out)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_EVENT_FIND);
	int r;

	call_key(&c, key);
	r = find(s, &c);
	if (r == 0)
		*out = column_place(c.stmt);
	return r;
}

static int aside_event(void *ledger, const struct index_key *key, const struct place *place)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_ASIDE_EVENT);

	s->has_aside = true;
	call_key(&c, key);
	call_place(&c, place);
	return run(s, &c);
}

static int aside_origin(void *ledger, const struct index_key *event, enum origin *out)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_ASIDE_ORIGIN);
	int r;

	call_key(&c, event);
	r = find(s, &c);
	*out = r == 0 ? (enum origin)column_u64(c.stmt, 0) : ORIGIN_NONE;
	return r == LEDGER_NONE ? 0 : r;
}

static int event_add(void *ledger, const struct index_key *key, const struct place *place)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_EVENT_ADD);
	int r;

	call_key(&c, key);
	call_place(&c, place);
	r = run(s, &c);
	return r == 0 && sqlite3_changes(s->db) == 0 ? LEDGER_HELD : r;
}

static int object_find(void *ledger, const struct index_key *key, struct object_row *out)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_OBJECT_FIND);
	int r;

	call_key(&c, key);
	r = find(s, &c);
	if (r != 0)
		return r;
	out->place = column_place(c.stmt);
	out->revision = column_u64(c.stmt, 2);
	return column_digest(&out->data, c.stmt, 3) && column_digest(&out->leaf, c.stmt, 4) ? 0 : -EBADMSG;
}

static int put_object(struct store *s, enum statement which, const struct index_key *key, const struct object_row *row)
{
	struct call c = call(s, which);

	call_key(&c, key);
	call_place(&c, &row->place);
	call_u64(&c, row->revision);
	call_bytes(&c, bytes_of(row->data.bytes, DIGEST_LEN));
	call_bytes(&c, bytes_of(row->leaf.bytes, DIGEST_LEN));
	return run(s, &c);
}

static int object_put(void *ledger, const struct index_key *key, const struct object_row *row)
{
	return put_object(ledger, SQL_OBJECT_PUT, key, row);
}

static int aside_object(void *ledger, const struct index_key *key, const struct object_row *row)
{
	struct store *s = ledger;

	s->has_aside = true;
	return put_object(ledger, SQL_ASIDE_OBJECT, key, row);
}

static int aside_revision(void *ledger, const struct index_key *key, uint64_t *out)
{
	struct store *s = ledger;
	struct call c;
	int r;

	*out = 0;
	if (!s->has_aside) /* so it is as a rule, and this is asked for every event */
		return s->lost;
	c = call(s, SQL_ASIDE_REVISION);
	call_key(&c, key);
	r = find(s, &c);
	if (r == 0)
		*out = column_u64(c.stmt, 0);
	return r;
}

static int person_add(void *ledger, const struct index_key *key, uint64_t number)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_PERSON_ADD);

	call_position(&c, number);
	call_key(&c, key);
	return run(s, &c);
}

static int mark_add(void *ledger, const struct place *place, enum mark_kind kind, const char *text)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_MARK_ADD);

	call_place(&c, place);
	call_u64(&c, kind);
	call_text(&c, text);
	return run(s, &c);
}

static int uncovered_add(void *ledger, uint64_t channel, uint64_t sequence)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_UNCOVERED_ADD);

	call_position(&c, channel);
	call_position(&c, sequence);
	return run(s, &c);
}

static int uncovered_remove(void *ledger, uint64_t channel, uint64_t sequence)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_UNCOVERED_REMOVE);
	int r;

	call_position(&c, channel);
	call_position(&c, sequence);
	r = run(s, &c);
	if (r == -ERANGE || (r == 0 && sqlite3_changes(s->db) == 0))
		r = LEDGER_NONE;
	return r;
}

static int receipt_find(void *ledger, uint64_t channel, const char *reader, struct receipt_row *out)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_RECEIPT_FIND);
	int r;

	call_position(&c, channel);
	call_text(&c, reader);
	r = find(s, &c);
	return r == 0 ? receipt_row_read(out, c.stmt) : r;
}

static int receipt_put(void *ledger, const struct receipt_row *row)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_RECEIPT_PUT);

	call_position(&c, row->channel);
	call_text(&c, row->reader);
	call_u64(&c, row->incarnation);
	call_position(&c, row->to);
	call_u64(&c, row->uncovered);
	call_u64(&c, row->time_ms);
	call_bytes(&c, row->packed);
	call_bytes(&c, bytes_of(row->signature, SIGNATURE_LEN));
	return run(s, &c);
}

static int receipt_remove(void *ledger, uint64_t channel, const char *reader)
{
	struct call c = call(ledger, SQL_RECEIPT_REMOVE);

	call_position(&c, channel);
	call_text(&c, reader);
	return run(ledger, &c);
}

static int note_put(void *ledger, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_NOTE_PUT);

	call_text(&c, kind);
	call_text(&c, member != NULL ? member : "");
	call_u64(&c, number);
	call_bytes(&c, text);
	return run(s, &c);
}

static int fork_put(void *ledger, uint64_t channel, struct bytes header_a, struct bytes signature_a,
	struct bytes header_b, struct bytes signature_b)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_FORK_PUT);
	int r;

	call_position(&c, channel);
	call_bytes(&c, header_a);
	call_bytes(&c, signature_a);
	call_bytes(&c, header_b);
	call_bytes(&c, signature_b);
	r = run(s, &c);
	return r == 0 && sqlite3_changes(s->db) == 0 ? LEDGER_HELD : r;
}

static int setting_put(void *ledger, const char *name, const char *value)
{
	struct store *s = ledger;
	struct call c = call(s, value != NULL ? SQL_SETTING_PUT : SQL_SETTING_REMOVE);

	call_text(&c, name);
	if (value != NULL)
		call_text(&c, value);
	return run(s, &c);
}

static int cursor_put(void *ledger, const struct cursor_row *row)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_CURSOR_PUT);

	call_text(&c, row->plugin);
	call_place(&c, &row->place);
	return run(s, &c);
}

static int held_put(void *ledger, const struct held_row *row)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_HELD_PUT);

	call_text(&c, row->plugin);
	call_place(&c, &row->place);
	call_position(&c, row->channel);
	call_position(&c, row->sequence);
	call_text(&c, row->source);
	call_text(&c, row->topic);
	call_key(&c, &row->lane);
	call_u64(&c, row->state);
	call_u64(&c, row->attempts);
	call_u64(&c, row->deaths);
	call_u64(&c, row->next_ms);
	call_u64(&c, row->since_ms);
	call_text(&c, row->reason);
	return run(s, &c);
}

static int held_remove(void *ledger, const char *plugin, const struct place *place)
{
	struct store *s = ledger;
	struct call c = call(s, SQL_HELD_REMOVE);
	int r;

	call_text(&c, plugin);
	call_place(&c, place);
	r = run(s, &c);
	return r == 0 && sqlite3_changes(s->db) == 0 ? LEDGER_NONE : r;
}

static int savepoint(void *ledger)
{
	return run_plain(ledger, SQL_SAVEPOINT);
}

static int rollback(void *ledger)
{
	int r = run_plain(ledger, SQL_UNDO_PART);

	return r == 0 ? run_plain(ledger, SQL_RELEASE) : r;
}

static int release(void *ledger)
{
	return run_plain(ledger, SQL_RELEASE);
}

const struct ledger_ops store_ledger_ops = {
	.channel_find = channel_find,
	.channel_put = channel_put,
	.next_number = next_number,
	.batch_add = batch_add,
	.batch_get = batch_get,
	.batch_mend = batch_mend,
	.batch_ending = batch_ending,
	.batch_holding = batch_holding,
	.set_aside = set_aside,
	.aside_add = aside_add,
	.aside_event = aside_event,
	.aside_object = aside_object,
	.aside_find = aside_find,
	.aside_named = aside_named,
	.aside_holding = aside_holding,
	.aside_next = aside_next,
	.aside_done = aside_done,
	.aside_again = aside_again,
	.aside_origin = aside_origin,
	.aside_revision = aside_revision,
	.event_find = event_find,
	.event_add = event_add,
	.object_find = object_find,
	.object_put = object_put,
	.person_add = person_add,
	.mark_add = mark_add,
	.uncovered_add = uncovered_add,
	.uncovered_remove = uncovered_remove,
	.receipt_find = receipt_find,
	.receipt_put = receipt_put,
	.receipt_remove = receipt_remove,
	.note_put = note_put,
	.fork_put = fork_put,
	.setting_put = setting_put,
	.cursor_put = cursor_put,
	.held_put = held_put,
	.held_remove = held_remove,
	.savepoint = savepoint,
	.rollback = rollback,
	.release = release,
};
