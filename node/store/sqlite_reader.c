#include "store/store.h"

#include "store/sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A reader: a connection of its own that can only read. Each question is one statement, so one short transaction. */

enum statement {
	SQL_CHANNELS,
	SQL_RECEIPTS,
	SQL_NOTES,
	SQL_SETTINGS,
	SQL_BATCHES,
	SQL_CHANNEL_BATCHES,
	SQL_BATCH_ENDING,
	SQL_ASIDE,
	SQL_ASIDE_PENDS,
	SQL_EVENT,
	SQL_BATCH,
	SQL_MARKS,
	SQL_LAST_NUMBER,
	SQL_CURSORS,
	SQL_HELD,
	SQL_FORKS,
	N_STATEMENTS,
};

static const char *const statements[N_STATEMENTS] = {
	[SQL_CHANNELS] = "SELECT " CHANNEL_COLUMNS " FROM channel ORDER BY id",
	[SQL_RECEIPTS] = "SELECT " RECEIPT_COLUMNS " FROM receipt ORDER BY channel, reader",
	[SQL_NOTES] = "SELECT kind, member, number, text FROM note ORDER BY turn",
	[SQL_SETTINGS] = "SELECT name, value FROM setting ORDER BY name",
	[SQL_BATCHES] = "SELECT " BATCH_COLUMNS " FROM batch WHERE number >= ?1 ORDER BY number",
	[SQL_CHANNEL_BATCHES] = "SELECT " BATCH_COLUMNS " FROM batch WHERE channel = ?1 AND last > ?2 ORDER BY last",
	[SQL_BATCH_ENDING] = "SELECT " BATCH_COLUMNS " FROM batch WHERE channel = ?1 AND last = ?2",
	[SQL_ASIDE] = "SELECT 1 FROM aside_batch WHERE channel = ?1 AND digest = ?2",
	[SQL_ASIDE_PENDS] = "SELECT 1 FROM aside_batch WHERE again > 0 LIMIT 1",
	[SQL_EVENT] = "SELECT number, slot FROM event WHERE key = ?1",
	[SQL_BATCH] = "SELECT " BATCH_COLUMNS " FROM batch WHERE number = ?1",
	[SQL_MARKS] = "SELECT slot, kind, text FROM mark WHERE number = ?1 ORDER BY slot, kind",
	[SQL_LAST_NUMBER] = "SELECT max(number) FROM batch",
	[SQL_CURSORS] = "SELECT plugin, number, slot FROM cursor ORDER BY plugin",
	[SQL_HELD] = "SELECT " HELD_COLUMNS " FROM held ORDER BY plugin, number, slot",
	[SQL_FORKS] = "SELECT channel, header_a, signature_a, header_b, signature_b FROM fork ORDER BY channel, rowid",
};

static const char *const configuration[] = {
	"PRAGMA cell_size_check = ON",
	"PRAGMA trusted_schema = OFF",
	"PRAGMA query_only = ON",
	"PRAGMA cache_size = -1024",
	"PRAGMA mmap_size = 0",
	"PRAGMA temp_store = MEMORY",
};

struct store_reader {
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
};

static int open_reader(struct store_reader **out, const char *path)
{
	enum { PATIENCE_MS = 1000 };
	struct store_reader *reader = calloc(1, sizeof *reader);
	int r, rc;

	*out = NULL;
	if (reader == NULL)
		return -ENOMEM;
	rc = sqlite3_open_v2(path, &reader->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(reader->db, 1);
		sqlite3_busy_timeout(reader->db, PATIENCE_MS);
		sqlite3_db_config(reader->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		rc = sqlite_configure(reader->db, configuration, sizeof configuration / sizeof *configuration);
	}
	if (rc == SQLITE_OK)
		rc = sqlite_prepare(reader->db, reader->statements, statements, N_STATEMENTS);
	r = sqlite_open_error(reader->db, rc);
	if (r == 0)
		*out = reader;
	else
		store_reader_close(reader);
	return r == LEDGER_FULL ? -ENOSPC : r;
}

int store_reader_open(struct store_reader **out, const struct store *s)
{
	return open_reader(out, store_path(s));
}

int store_reader_open_file(struct store_reader **out, const char *url, const char *folder, char **why)
{
	char *path;
	int r;

	*out = NULL;
	*why = NULL;
	r = sqlite_path(&path, url, folder, why);
	if (r == 0)
		r = open_reader(out, path);
	if (r != 0 && r != -ENOMEM && *why == NULL)
		sqlite_why(why, r, "%s cannot be read: %s", path,
			r == -EBADMSG ? "it is damaged, or not a node's store" : strerror(-r));
	free(path);
	return r;
}

/* Of a page that could not be had the check says so, with SQLite's code, as if that were damage. 0: it is. */
static int not_read(const char *found)
{
	static const char words[] = "unable to get the page. error code=";
	const char *code = strstr(found, words);
	int rc = code == NULL ? SQLITE_CORRUPT : atoi(code + sizeof words - 1);

	return (rc & 0xff) == SQLITE_NOMEM || (rc & 0xff) == SQLITE_IOERR ? rc : 0;
}

int store_reader_check(struct store_reader *r, char **what)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(r->db, "PRAGMA integrity_check(1)", -1, &stmt, NULL), result = 0;

	*what = NULL;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_CORRUPT)
		result = sqlite_why(what, 0, "the database is malformed");
	else if (rc != SQLITE_ROW)
		result = sqlite_error(rc);
	else if (not_read(column_text(stmt, 0)) != 0)
		result = sqlite_error(not_read(column_text(stmt, 0)));
	else if (strcmp(column_text(stmt, 0), "ok") != 0)
		result = sqlite_why(what, 0, "%s", column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return result;
}

void store_reader_close(struct store_reader *r)
{
	if (r == NULL)
		return;
	sqlite_finalize(r->statements, N_STATEMENTS);
	sqlite3_close(r->db);
	free(r);
}

/* A walk: gives each row of a statement to `give` until it answers something else than 0. */
struct walk {
	struct call call;
	int (*give)(struct walk *w);
	union {
		batch_visit batch;
		channel_visit channel;
		receipt_visit receipt;
		note_visit note;
		setting_visit setting;
		mark_visit mark;
		cursor_visit cursor;
		held_visit held;
		fork_visit fork;
	} visit;
	void *context;
	bool met; /* at least one row */
};

static struct walk walk_of(struct store_reader *r, enum statement which, int (*give)(struct walk *w), void *context)
{
	return (struct walk){.call = call_to(r->statements[which]), .give = give, .context = context};
}

/* An argument that is out of range is that of no row. */
static int walk(struct store_reader *r, struct walk *w)
{
	int result = 0, rc;

	while ((rc = call_step(&w->call)) == SQLITE_ROW) {
		w->met = true;
		result = w->give(w);
		if (result != 0)
			break;
	}
	if (rc != SQLITE_ROW && rc != SQLITE_DONE && rc != SQLITE_RANGE)
		result = sqlite_error(rc);
	sqlite3_reset(w->call.stmt);
	return result;
}

static int give_channel(struct walk *w)
{
	struct channel_row row = {0};
	int r = channel_row_read(&row, w->call.stmt);

	if (r == 0)
		r = w->visit.channel(w->context, &row);
	channel_row_deinit(&row);
	return r;
}

static int give_receipt(struct walk *w)
{
	struct receipt_row row;
	int r = receipt_row_read(&row, w->call.stmt);

	return r == 0 ? w->visit.receipt(w->context, &row) : r;
}

static int give_note(struct walk *w)
{
	sqlite3_stmt *stmt = w->call.stmt;

	return w->visit.note(w->context, column_text(stmt, 0), column_text(stmt, 1), (uint32_t)column_u64(stmt, 2),
		column_bytes(stmt, 3));
}

static int give_setting(struct walk *w)
{
	return w->visit.setting(w->context, column_text(w->call.stmt, 0), column_text(w->call.stmt, 1));
}

static int give_batch(struct walk *w)
{
	struct batch_row row;
	int r = batch_row_read(&row, w->call.stmt);

	return r == 0 ? w->visit.batch(w->context, &row) : r;
}

static int give_mark(struct walk *w)
{
	sqlite3_stmt *stmt = w->call.stmt;

	return w->visit.mark(
		w->context, (uint32_t)column_u64(stmt, 0), (enum mark_kind)column_u64(stmt, 1), column_text(stmt, 2));
}

static int give_cursor(struct walk *w)
{
	sqlite3_stmt *stmt = w->call.stmt;
	struct cursor_row row = {
		column_text(stmt, 0), {.number = column_u64(stmt, 1), .index = (uint32_t)column_u64(stmt, 2)}};

	return w->visit.cursor(w->context, &row);
}

static int give_held(struct walk *w)
{
	struct held_row row;
	int r = held_row_read(&row, w->call.stmt);

	return r == 0 ? w->visit.held(w->context, &row) : r;
}

static int give_fork(struct walk *w)
{
	sqlite3_stmt *stmt = w->call.stmt;
	struct fork_row row = {column_u64(stmt, 0), column_bytes(stmt, 1), column_bytes(stmt, 2), column_bytes(stmt, 3),
		column_bytes(stmt, 4)};

	return w->visit.fork(w->context, &row);
}

static int channels(void *archive, channel_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_CHANNELS, give_channel, context);

	w.visit.channel = visit;
	return walk(archive, &w);
}

static int receipts(void *archive, receipt_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_RECEIPTS, give_receipt, context);

	w.visit.receipt = visit;
	return walk(archive, &w);
}

static int notes(void *archive, note_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_NOTES, give_note, context);

	w.visit.note = visit;
	return walk(archive, &w);
}

static int settings(void *archive, setting_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_SETTINGS, give_setting, context);

	w.visit.setting = visit;
	return walk(archive, &w);
}

static int cursors(void *archive, cursor_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_CURSORS, give_cursor, context);

	w.visit.cursor = visit;
	return walk(archive, &w);
}

static int forks(void *archive, fork_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_FORKS, give_fork, context);

	w.visit.fork = visit;
	return walk(archive, &w);
}

static int held(void *archive, held_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_HELD, give_held, context);

	w.visit.held = visit;
	return walk(archive, &w);
}

static int batches(void *archive, uint64_t from, batch_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_BATCHES, give_batch, context);

	w.visit.batch = visit;
	call_position(&w.call, from);
	return walk(archive, &w);
}

static int channel_batches(void *archive, uint64_t channel, uint64_t after, batch_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_CHANNEL_BATCHES, give_batch, context);

	w.visit.batch = visit;
	call_position(&w.call, channel);
	call_position(&w.call, after);
	return walk(archive, &w);
}

static int batch_ending(void *archive, uint64_t channel, uint64_t last, batch_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_BATCH_ENDING, give_batch, context);
	int r;

	w.visit.batch = visit;
	call_position(&w.call, channel);
	call_position(&w.call, last);
	r = walk(archive, &w);
	return r == 0 && !w.met ? LEDGER_NONE : r;
}

/* The only row; to be reset by the caller. */
static int find(struct call *c)
{
	int rc = call_step(c);

	if (rc == SQLITE_ROW)
		return 0;
	return rc == SQLITE_DONE ? LEDGER_NONE : sqlite_error(rc);
}

static int aside(void *archive, uint64_t channel, const struct digest *digest)
{
	struct store_reader *reader = archive;
	struct call c = call_to(reader->statements[SQL_ASIDE]);
	int r;

	call_position(&c, channel);
	call_bytes(&c, bytes_of(digest->bytes, DIGEST_LEN));
	r = find(&c);
	sqlite3_reset(c.stmt);
	return r;
}

static int aside_pends(void *archive)
{
	struct store_reader *reader = archive;
	struct call c = call_to(reader->statements[SQL_ASIDE_PENDS]);
	int r = find(&c);

	sqlite3_reset(c.stmt);
	return r;
}

static int event(void *archive, const struct index_key *key, struct place *out)
{
	struct store_reader *reader = archive;
	struct call c = call_to(reader->statements[SQL_EVENT]);
	int r;

	call_bytes(&c, bytes_of(key->bytes, sizeof key->bytes));
	r = find(&c);
	if (r == 0)
		*out = (struct place){.number = column_u64(c.stmt, 0), .index = (uint32_t)column_u64(c.stmt, 1)};
	sqlite3_reset(c.stmt);
	return r;
}

static int batch(void *archive, uint64_t number, batch_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_BATCH, give_batch, context);
	int r;

	w.visit.batch = visit;
	call_position(&w.call, number);
	r = walk(archive, &w);
	return r == 0 && !w.met ? LEDGER_NONE : r;
}

static int marks(void *archive, uint64_t number, mark_visit visit, void *context)
{
	struct walk w = walk_of(archive, SQL_MARKS, give_mark, context);

	w.visit.mark = visit;
	call_position(&w.call, number);
	return walk(archive, &w);
}

static uint64_t last_number(void *archive)
{
	struct store_reader *reader = archive;
	struct call c = call_to(reader->statements[SQL_LAST_NUMBER]);
	uint64_t last = 0;

	if (call_step(&c) == SQLITE_ROW)
		last = column_u64(c.stmt, 0);
	sqlite3_reset(c.stmt);
	return last;
}

const struct archive_ops store_archive_ops = {
	.channels = channels,
	.receipts = receipts,
	.notes = notes,
	.settings = settings,
	.cursors = cursors,
	.held = held,
	.forks = forks,
	.batches = batches,
	.channel_batches = channel_batches,
	.batch_ending = batch_ending,
	.aside = aside,
	.aside_pends = aside_pends,
	.event = event,
	.batch = batch,
	.marks = marks,
	.last_number = last_number,
};
