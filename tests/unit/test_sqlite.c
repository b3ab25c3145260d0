#include "base/bytes.h"
#include "faulty_vfs.h"
#include "store/migrations.h"
#include "store/store.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sysexits.h>

/* What only files can do: be locked, foreign, old, full, broken. The rows are test_store.c's. */

static char folder[128], db[160];
static const struct ledger_ops *const ops = &store_ledger_ops;

static void start(void)
{
	unit_folder(folder, sizeof folder);
	snprintf(db, sizeof db, "%s/node.db", folder);
}

static void end(void)
{
	faulty_vfs_fail(FAULTY_WRITE, 0, SQLITE_OK);
	faulty_vfs_fail(FAULTY_SYNC, 0, SQLITE_OK);
	unit_folder_remove(folder);
}

static int try_open(struct store **out, struct store_options options, char **why)
{
	options.folder = folder;
	return store_open(out, "sqlite:node.db", &options, why);
}

static struct store *open_with(struct store_options options)
{
	struct store *s;
	char *why = NULL;

	ck_assert_msg(try_open(&s, options, &why) == 0, "%s", why);
	ck_assert_ptr_null(why);
	return s;
}

static struct store *open_plain(void)
{
	return open_with((struct store_options){0});
}

/* Opening is refused with this result and words; nothing is left open. */
static void assert_refused(int expected, const char *words)
{
	struct store *s = (void *)folder;
	char *why = NULL;

	ck_assert_int_eq(try_open(&s, (struct store_options){0}, &why), expected);
	ck_assert_ptr_null(s);
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, words) != NULL, "%s", why);
	free(why);
}

static const uint8_t signature[SIGNATURE_LEN] = {3};
static uint8_t body[20000];

/* Batch `n` of channel 1 with one event; 0 or what the ledger says. */
static int add_batch_that(struct store *s, bool erases, uint64_t n, size_t body_len)
{
	struct batch_row row = {.number = n,
		.channel = 1,
		.incarnation = 1,
		.first = n,
		.count = 1,
		.header = bytes_str("header"),
		.signature = bytes_of(signature, sizeof signature),
		.wrapped = bytes_str("wrapped"),
		.body = bytes_of(body, body_len),
		.erases = erases};
	struct index_key key = {{(uint8_t)(n >> 8), (uint8_t)n}};
	struct place place = {n, 0};
	int r = ops->batch_add(s, &row);

	return r == 0 ? ops->event_add(s, &key, &place) : r;
}

static int add_batch(struct store *s, uint64_t n, size_t body_len)
{
	return add_batch_that(s, false, n, body_len);
}

static void add_channel(struct store *s)
{
	struct channel_row row = {.publisher = "ut.ee", .audience = (char[]){"network"}};

	ck_assert_int_eq(store_begin(s), 0);
	ck_assert_int_eq(ops->channel_put(s, &row), 0);
	ck_assert_uint_eq(row.id, 1);
	ck_assert_int_eq(store_commit(s), 0);
}

/* A transaction with one batch: 0, STORE_FULL (whoever said so) or an error; undone then. */
static int commit_batch_that(struct store *s, bool erases, uint64_t n, size_t body_len)
{
	int r = store_begin(s);

	if (r != 0)
		return r;
	r = add_batch_that(s, erases, n, body_len);
	if (r == 0)
		return store_commit(s);
	store_rollback(s);
	return r == LEDGER_FULL ? STORE_FULL : r;
}

static int commit_batch(struct store *s, uint64_t n, size_t body_len)
{
	return commit_batch_that(s, false, n, body_len);
}

static int commit_receipt(struct store *s, uint64_t to)
{
	struct receipt_row row = {.channel = 1,
		.reader = "rug.nl",
		.incarnation = 1,
		.to = to,
		.packed = bytes_str("receipt"),
		.signature = signature};
	int r = store_begin(s);

	if (r == 0)
		r = ops->receipt_put(s, &row);
	if (r == 0)
		return store_commit(s);
	store_rollback(s);
	return r;
}

static int count_in_order(void *context, const struct batch_row *row)
{
	uint64_t *n = context;

	ck_assert_uint_eq(row->number, ++*n);
	return 0;
}

/* How many batches there are, from 1 on without a hole, each with its event. */
static uint64_t held(const struct store *s)
{
	struct store_reader *reader;
	struct place place;
	uint64_t n = 0;

	ck_assert_int_eq(store_reader_open(&reader, s), 0);
	ck_assert_int_eq(store_archive_ops.batches(reader, 1, count_in_order, &n), 0);
	for (uint64_t i = 1; i <= n + 1; i++) {
		struct index_key key = {{(uint8_t)(i >> 8), (uint8_t)i}};

		ck_assert_int_eq(store_archive_ops.event(reader, &key, &place), i <= n ? 0 : LEDGER_NONE);
	}
	store_reader_close(reader);
	return n;
}

static void run_sql(const char *sql)
{
	sqlite3 *raw;

	ck_assert_int_eq(sqlite3_open(db, &raw), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(raw, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(raw));
	ck_assert_int_eq(sqlite3_close(raw), SQLITE_OK);
}

static void assert_intact(void)
{
	sqlite3 *raw;
	sqlite3_stmt *stmt;

	ck_assert_int_eq(sqlite3_open(db, &raw), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(raw, "PRAGMA integrity_check", -1, &stmt, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
	ck_assert_str_eq((const char *)sqlite3_column_text(stmt, 0), "ok");
	sqlite3_finalize(stmt);
	sqlite3_close(raw);
}

/* Nobody but the node's user may read its files, whatever the umask. */
START_TEST(test_modes)
{
	static const char *const names[] = {"node.db", "node.db-wal", "node.db-shm", "node.db.lock"};
	mode_t before = umask(0);
	struct store *s = open_plain();
	struct stat st;
	char path[160];

	add_channel(s);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		ck_assert_msg(stat(path, &st) == 0, "%s", path);
		ck_assert_msg((st.st_mode & 0777) == 0600, "%s %o", path, st.st_mode);
	}
	store_close(s);
	umask(before);
}
END_TEST

/* The URL names the engine and a path, which is the folder's unless it begins with a slash. */
START_TEST(test_urls)
{
	static const char *const bad[] = {"", "node.db", "sqlite:", "sqlite", "postgres://x/y", "file:node.db"};
	struct store_options options = {.folder = "/does/not/exist"};
	struct store *s;
	char *why = NULL, url[200];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_int_eq(store_open(&s, bad[i], &options, &why), -EINVAL);
		ck_assert_ptr_null(s);
		ck_assert_ptr_nonnull(why);
		free(why);
	}
	ck_assert_int_eq(store_open(&s, "sqlite:node.db", &options, &why), -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "/does/not/exist/node.db"));
	free(why);
	snprintf(url, sizeof url, "sqlite:%s", db);
	ck_assert_int_eq(store_open(&s, url, &options, &why), 0);
	store_close(s);
	ck_assert_int_eq(access(db, F_OK), 0);
}
END_TEST

/* A store is open once: the second is told who has it. When the first closes or is killed, it is free. */
START_TEST(test_lock)
{
	struct store *s = open_plain();
	char pid[48];
	int status;
	pid_t child;

	snprintf(pid, sizeof pid, "process %ld", (long)getpid());
	assert_refused(-EBUSY, pid);
	store_close(s);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		s = open_plain();
		kill(getpid(), SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	store_close(open_plain());
}
END_TEST

static void write_file(const void *data, size_t len)
{
	ck_assert_int_eq(file_write(db, data, len, 0600), 0);
}

/* A file that is no store of ours is refused and not changed. */
START_TEST(test_foreign_files)
{
	static const char garbage[] = "enlight roster 1\nnetwork enlight\n";
	char page[8192];
	void *before, *after;
	size_t before_len, after_len;

	write_file(garbage, sizeof garbage);
	assert_refused(-EBADMSG, "not a node's store");
	memset(page, 'x', sizeof page);
	write_file(page, sizeof page);
	assert_refused(-EBADMSG, "not a node's store");
	ck_assert_int_eq(unlink(db), 0);
	run_sql("CREATE TABLE photo(name TEXT); PRAGMA user_version = 1;");
	ck_assert_int_eq(file_read(&before, &before_len, db, 1000000), 0);
	assert_refused(-EBADMSG, "not a node's store");
	ck_assert_int_eq(file_read(&after, &after_len, db, 1000000), 0);
	ck_assert(bytes_equal(bytes_of(before, before_len), bytes_of(after, after_len)));
	free(before);
	free(after);
}
END_TEST

/* An empty file, as an interrupted first start leaves it, becomes a store. */
START_TEST(test_empty_file)
{
	struct store *s;

	write_file("", 0);
	s = open_plain();
	add_channel(s);
	store_close(s);
}
END_TEST

/* A damaged store is refused. */
START_TEST(test_damaged_store)
{
	char zeros[4096] = {0};
	int fd;

	store_close(open_plain());
	fd = open(db, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, zeros, sizeof zeros, 100), sizeof zeros);
	close(fd);
	assert_refused(-EBADMSG, "damaged");
	store_close(NULL);
}
END_TEST

/* What a newer node wrote is not opened, and not changed. */
START_TEST(test_newer_version)
{
	struct store *s = open_plain();
	char sql[64];

	add_channel(s);
	store_close(s);
	snprintf(sql, sizeof sql, "PRAGMA user_version = %zu", n_migrations + 1);
	run_sql(sql);
	assert_refused(-EPROTO, "newer version");
	snprintf(sql, sizeof sql, "PRAGMA user_version = %zu", n_migrations);
	run_sql(sql);
	s = open_plain();
	ck_assert_int_eq(commit_batch(s, 1, 10), 0);
	store_close(s);
}
END_TEST

/* The tables of version 1 with a row each, as a node of that version left them. This text never changes. */
static const char version_1[] =
	"CREATE TABLE channel(id INTEGER PRIMARY KEY, publisher TEXT NOT NULL, audience TEXT NOT NULL, incarnation "
	"INTEGER NOT"
	" NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, head BLOB NOT NULL, key INTEGER NOT NULL, uncovered "
	"INTEGER NOT"
	" NULL, bytes INTEGER NOT NULL, stopped INTEGER NOT NULL, UNIQUE(publisher, audience)) STRICT;"
	"CREATE TABLE batch(number INTEGER PRIMARY KEY, channel INTEGER NOT NULL REFERENCES channel(id), incarnation "
	"INTEGER NOT"
	" NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, digest BLOB NOT NULL, stored_ms INTEGER NOT NULL, "
	"header BLOB NOT"
	" NULL, signature BLOB NOT NULL, wrapped BLOB NOT NULL, body BLOB) STRICT;"
	"CREATE UNIQUE INDEX batch_by_end ON batch(channel, last);"
	"CREATE TABLE event(key BLOB PRIMARY KEY, number INTEGER NOT NULL, slot INTEGER NOT NULL) STRICT, WITHOUT "
	"ROWID;"
	"CREATE TABLE object(key BLOB NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL, revision INTEGER NOT "
	"NULL, data"
	" BLOB NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY(key, number, slot)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE person(number INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY(number, key)) STRICT, WITHOUT "
	"ROWID;"
	"CREATE TABLE mark(number INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, text TEXT NOT NULL, "
	"PRIMARY"
	" KEY(number, slot, kind)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE uncovered(channel INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY(channel, sequence)) "
	"STRICT,"
	" WITHOUT ROWID;"
	"CREATE TABLE aside_batch(number INTEGER PRIMARY KEY, channel INTEGER NOT NULL REFERENCES channel(id), "
	"incarnation"
	" INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, digest BLOB NOT NULL, stored_ms INTEGER NOT "
	"NULL,"
	" header BLOB NOT NULL, signature BLOB NOT NULL, wrapped BLOB NOT NULL, body BLOB) STRICT;"
	"CREATE TABLE aside_event(key BLOB NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL, PRIMARY "
	"KEY(number, slot,"
	" key)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE aside_object(key BLOB NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL, revision INTEGER "
	"NOT NULL,"
	" data BLOB NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY(number, slot, key)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE aside_person(number INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY(number, key)) STRICT, "
	"WITHOUT ROWID;"
	"CREATE TABLE aside_mark(number INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, text TEXT NOT "
	"NULL,"
	" PRIMARY KEY(number, slot, kind)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE receipt(channel INTEGER NOT NULL REFERENCES channel(id), reader TEXT NOT NULL, incarnation "
	"INTEGER NOT"
	" NULL, upto INTEGER NOT NULL, uncovered INTEGER NOT NULL, time_ms INTEGER NOT NULL, packed BLOB NOT NULL, "
	"signature BLOB"
	" NOT NULL, PRIMARY KEY(channel, reader)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE note(kind TEXT NOT NULL, member TEXT NOT NULL, number INTEGER NOT NULL, text BLOB NOT NULL) "
	"STRICT;"
	"CREATE UNIQUE INDEX note_in_order ON note(kind DESC, number, member);"
	"CREATE TABLE fork(channel INTEGER NOT NULL REFERENCES channel(id), header_a BLOB NOT NULL, signature_a BLOB "
	"NOT NULL,"
	" header_b BLOB NOT NULL, signature_b BLOB NOT NULL) STRICT;"
	"CREATE INDEX fork_by_channel ON fork(channel);"
	"CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
	"INSERT INTO channel VALUES(1, 'ut.ee', 'network', 1, 1, 1, zeroblob(32), 1, 0, 10, 0);"
	"INSERT INTO batch VALUES(1, 1, 1, 1, 1, zeroblob(32), 5, x'00', zeroblob(64), x'00', x'00');"
	"INSERT INTO event VALUES(x'00010000000000000000000000000000', 1, 0);"
	"INSERT INTO object VALUES(zeroblob(16), 1, 0, 4, zeroblob(32), zeroblob(32));"
	"INSERT INTO aside_batch VALUES(9, 1, 1, 2, 2, zeroblob(32), 5, x'00', zeroblob(64), x'00', x'00');"
	"INSERT INTO receipt VALUES(1, 'rug.nl', 1, 1, 0, 5, x'00', zeroblob(64));"
	"INSERT INTO note VALUES('card', 'ut.ee', 1, x'61'), ('roster', '', 2, x'62'), ('card', 'rug.nl', 1, x'63');"
	"INSERT OR REPLACE INTO note VALUES('card', 'ut.ee', 1, x'64');"
	"INSERT INTO setting VALUES('block ut.ee', 'x');"
	"PRAGMA application_id = 1162759252; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;";

static int name_note(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	buffer_printf(context, "%s %s %u %.*s\n", kind, member, number, (int)text.len, (const char *)text.data);
	return 0;
}

/* A node takes over what a node of the first version wrote; its notes in the order in which they were accepted. */
START_TEST(test_version_1)
{
	struct index_key zero = {{0}};
	struct object_row object;
	struct receipt_row receipt;
	struct channel_row channel;
	struct store_reader *reader;
	struct buffer notes = {0};
	struct store *s;

	run_sql(version_1);
	s = open_plain();
	ck_assert_uint_eq(held(s), 1);
	ck_assert_int_eq(store_begin(s), 0);
	ck_assert_int_eq(ops->channel_find(s, "ut.ee", "network", &channel), 0);
	ck_assert_uint_eq(channel.bytes, 10);
	channel_row_deinit(&channel);
	ck_assert_int_eq(ops->object_find(s, &zero, &object), 0);
	ck_assert_uint_eq(object.revision, 4);
	ck_assert_int_eq(ops->receipt_find(s, 1, "rug.nl", &receipt), 0);
	ck_assert_uint_eq(ops->next_number(s), 10);
	ck_assert_int_eq(store_commit(s), 0);
	ck_assert_int_eq(commit_batch(s, 2, 10), 0);
	ck_assert_int_eq(store_reader_open(&reader, s), 0);
	ck_assert_int_eq(store_archive_ops.notes(reader, name_note, &notes), 0);
	ck_assert_str_eq(buffer_cstr(&notes), "roster  2 b\ncard rug.nl 1 c\ncard ut.ee 1 d\n");
	buffer_deinit(&notes);
	store_reader_close(reader);
	store_close(s);
	assert_intact();
}
END_TEST

static sqlite3_int64 number_of(sqlite3 *raw, const char *sql)
{
	sqlite3_stmt *stmt;
	sqlite3_int64 n = -1;

	if (sqlite3_prepare_v2(raw, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return n;
}

/* Steps that are missing are taken in order, each whole or not at all, and none twice. */
START_TEST(test_migration_steps)
{
	static const char *const steps[] = {"PRAGMA application_id = 1162759252; CREATE TABLE a(x)",
		"INSERT INTO a VALUES (1); CREATE TABLE b(y); INSERT INTO b SELECT x FROM a"};
	static const char *const broken[] = {"", "INSERT INTO a VALUES (1); INSERT INTO nowhere VALUES (1)"};
	sqlite3 *raw;

	ck_assert_int_eq(sqlite3_open(db, &raw), SQLITE_OK);
	ck_assert_int_eq(migrate(raw, steps, 1), SQLITE_OK);
	ck_assert_int_eq(migrate(raw, broken, 2), SQLITE_ERROR);
	ck_assert_int_eq(number_of(raw, "PRAGMA user_version"), 1);
	ck_assert_int_eq(number_of(raw, "SELECT count(*) FROM a"), 0);
	ck_assert_int_eq(migrate(raw, steps, 2), SQLITE_OK);
	ck_assert_int_eq(migrate(raw, steps, 2), SQLITE_OK);
	ck_assert_int_eq(number_of(raw, "PRAGMA user_version"), 2);
	ck_assert_int_eq(number_of(raw, "SELECT count(*) FROM b"), 1);
	ck_assert_int_eq(migrate(raw, steps, 1), SQLITE_MISMATCH);
	sqlite3_close(raw);
}
END_TEST

/* At the limit batches are refused and the store stays below it; receipts still pass; with more room it goes on. */
START_TEST(test_disk_limit)
{
	enum { LIMIT = 2000000 };
	struct store *s = open_with((struct store_options){.disk_limit_bytes = LIMIT});
	uint64_t n = 0;
	int r;

	add_channel(s);
	while ((r = commit_batch(s, n + 1, sizeof body)) == 0)
		n++;
	ck_assert_int_eq(r, STORE_FULL);
	ck_assert_uint_gt(n, 20);
	ck_assert_uint_le(store_bytes(s), LIMIT);
	store_checkpoint(s);
	ck_assert_uint_le(store_bytes(s), LIMIT);
	for (uint64_t i = 1; i < 20; i++)
		ck_assert_int_eq(commit_receipt(s, i), 0);
	ck_assert_uint_eq(held(s), n);
	store_close(s);
	s = open_with((struct store_options){.disk_limit_bytes = 2 * LIMIT});
	ck_assert_int_eq(commit_batch(s, n + 1, sizeof body), 0);
	ck_assert_uint_eq(held(s), n + 1);
	store_close(s);
}
END_TEST

/* Several batches of one transaction count together, before any of them is on disk. */
START_TEST(test_limit_within_a_transaction)
{
	enum { LIMIT = 1000000 }; /* less than the cache: nothing is written before the commit */
	struct store *s = open_with((struct store_options){.disk_limit_bytes = LIMIT});
	int r = 0;
	uint64_t n;

	add_channel(s);
	ck_assert_int_eq(store_begin(s), 0);
	for (n = 0; r == 0 && n < 1000; n++)
		r = add_batch(s, n + 1, sizeof body);
	ck_assert_int_eq(r, LEDGER_FULL);
	ck_assert_int_eq(store_commit(s), 0);
	store_checkpoint(s);
	ck_assert_uint_le(store_bytes(s), LIMIT);
	ck_assert_uint_eq(held(s), n - 1);
	store_close(s);
}
END_TEST

/* The reserve is for receipts, not for batches. */
START_TEST(test_reserve)
{
	struct store *s = open_with((struct store_options){.reserve_bytes = UINT64_MAX / 4});

	add_channel(s);
	ck_assert_int_eq(commit_batch(s, 1, 10), STORE_FULL);
	ck_assert_int_eq(commit_receipt(s, 1), 0);
	ck_assert_uint_eq(held(s), 0);
	store_close(s);
}
END_TEST

/* At the limit a batch that erases is still taken, until half of the reserve is used up; the store stays full for others meanwhile. */
START_TEST(test_erasures_pass_the_limit)
{
	enum { LIMIT = 2000000, RESERVE = 1000000 };
	struct store *s = open_with((struct store_options){.disk_limit_bytes = LIMIT, .reserve_bytes = RESERVE});
	uint64_t n = 0, full;

	add_channel(s);
	while (commit_batch(s, n + 1, sizeof body) == 0)
		n++;
	full = n;
	while (commit_batch_that(s, true, n + 1, sizeof body) == 0) {
		n++;
		ck_assert_int_eq(commit_batch(s, n + 1, sizeof body), STORE_FULL);
		ck_assert_ptr_nonnull(store_lacks_room(s));
	}
	ck_assert_uint_gt(n, full + 5);
	store_checkpoint(s);
	ck_assert_uint_gt(store_bytes(s), LIMIT);
	ck_assert_uint_le(store_bytes(s), LIMIT + RESERVE / 2);
	ck_assert_ptr_nonnull(store_lacks_room(s));
	for (uint64_t i = 1; i < 20; i++)
		ck_assert_int_eq(commit_receipt(s, i), 0);
	ck_assert_uint_eq(held(s), n);
	store_close(s);
}
END_TEST

/* A batch that erases may use half of the disk space that is kept free, not more. */
START_TEST(test_erasures_use_the_reserve)
{
	struct statvfs fs;
	struct store *s;
	uint64_t available;

	ck_assert_int_eq(statvfs(folder, &fs), 0);
	available = (uint64_t)fs.f_bavail * fs.f_frsize;
	s = open_with((struct store_options){.reserve_bytes = available + available / 2});
	add_channel(s);
	ck_assert_int_eq(commit_batch(s, 1, 10), STORE_FULL);
	ck_assert_int_eq(commit_batch_that(s, true, 1, 10), 0);
	ck_assert_ptr_nonnull(store_lacks_room(s));
	store_close(s);
	s = open_with((struct store_options){.reserve_bytes = available * 4});
	ck_assert_int_eq(commit_batch_that(s, true, 2, 10), STORE_FULL);
	ck_assert_uint_eq(held(s), 1);
	store_close(s);
}
END_TEST

/* Wherever in a commit the disk fills up, the whole transaction is undone, what was there stays, and when there is room
 * again the same transaction passes. */
START_TEST(test_disk_full_at_any_write)
{
	struct store *s = open_plain();
	uint64_t n = 1;
	int r = STORE_FULL;

	add_channel(s);
	ck_assert_int_eq(commit_batch(s, 1, sizeof body), 0);
	for (unsigned long writes = 0; r != 0; writes++) {
		ck_assert_uint_lt(writes, 1000);
		faulty_vfs_fail(FAULTY_WRITE, writes, SQLITE_FULL);
		r = commit_batch(s, n + 1, sizeof body);
		faulty_vfs_fail(FAULTY_WRITE, 0, SQLITE_OK);
		ck_assert(r == STORE_FULL || r == 0);
		ck_assert_uint_eq(held(s), r == 0 ? n + 1 : n);
		if (r == STORE_FULL && writes % 4 == 0)
			ck_assert_int_eq(commit_batch(s, ++n, sizeof body), 0);
	}
	store_close(s);
	s = open_plain();
	ck_assert_uint_eq(held(s), n + 1);
	store_close(s);
	assert_intact();
}
END_TEST

static int count_settings(void *context, const char *name, const char *value)
{
	++*(int *)context;
	return 0;
}

static int settings_held(const struct store *s)
{
	struct store_reader *reader;
	int n = 0;

	ck_assert_int_eq(store_reader_open(&reader, s), 0);
	ck_assert_int_eq(store_archive_ops.settings(reader, count_settings, &n), 0);
	store_reader_close(reader);
	return n;
}

/* A transaction larger than the cache reaches the disk before its commit. When that fails, SQLite may end the transaction by
 * itself: all that follows is refused until it is undone, and nothing of it is committed alone. */
START_TEST(test_disk_full_before_the_commit)
{
	struct store *s = open_plain();
	struct index_key key = {{0}};
	struct place place = {1, 0}, found;
	struct channel_row row;
	int r = 0;

	add_channel(s);
	ck_assert_int_eq(store_begin(s), 0);
	faulty_vfs_fail(FAULTY_WRITE, 10, SQLITE_FULL);
	for (uint32_t n = 0; r == 0; n++) {
		ck_assert_uint_lt(n, 1000000);
		memcpy(key.bytes, &n, sizeof n);
		r = ops->event_add(s, &key, &place);
	}
	ck_assert_int_eq(r, LEDGER_FULL);
	faulty_vfs_fail(FAULTY_WRITE, 0, SQLITE_OK);
	ck_assert_int_eq(ops->setting_put(s, "name", "value"), LEDGER_FULL);
	ck_assert_int_eq(ops->event_find(s, &key, &found), LEDGER_FULL);
	ck_assert_int_eq(ops->channel_find(s, "ut.ee", "network", &row), LEDGER_FULL);
	ck_assert_int_eq(add_batch(s, 1, 10), LEDGER_FULL);
	ck_assert_int_eq(ops->set_aside(s, 1, 0, false), LEDGER_FULL);
	ck_assert_int_eq(ops->savepoint(s), LEDGER_FULL);
	ck_assert_int_eq(store_commit(s), STORE_FULL);
	ck_assert_int_eq(settings_held(s), 0);
	ck_assert_uint_eq(held(s), 0);
	ck_assert_int_eq(commit_batch(s, 1, 10), 0);
	store_close(s);
	assert_intact();
}
END_TEST

/* Runs in a child, which ends by itself or with `act`'s result; gives waitpid's status. */
static int in_child(int (*act)(void))
{
	int status;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(act());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return status;
}

/* A real limit on the size of files is a full disk, too. */
static int fill_to_file_limit(void)
{
	struct rlimit limit = {.rlim_cur = 1000000, .rlim_max = 1000000};
	struct store *s = open_plain();
	uint64_t n = 0;
	int r;

	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	while ((r = commit_batch(s, n + 1, sizeof body)) == 0)
		n++;
	if (r != STORE_FULL || n < 10)
		return 1;
	r = held(s) == n ? 0 : 2;
	store_close(s);
	return r;
}

START_TEST(test_file_size_limit)
{
	struct store *s = open_plain();
	int status;

	add_channel(s);
	store_close(s);
	status = in_child(fill_to_file_limit);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
	s = open_plain();
	ck_assert_uint_gt(held(s), 10);
	store_close(s);
	assert_intact();
}
END_TEST

static struct {
	enum faulty_call which;
	int rc;
} broken_disk;

/* Commits one batch, then another on a broken disk. */
static int commit_on_a_broken_disk(void)
{
	struct store *s = open_plain();

	add_channel(s);
	if (commit_batch(s, 1, 100) != 0)
		return 1;
	faulty_vfs_fail(broken_disk.which, 0, broken_disk.rc);
	commit_batch(s, 2, 100);
	return 2;
}

/* When a sync or a write fails the process ends, for nobody knows what is on disk; what was acknowledged is there after. */
START_TEST(test_io_errors_end_the_process)
{
	static const struct {
		enum faulty_call which;
		int rc;
	} cases[] = {{FAULTY_SYNC, SQLITE_IOERR_FSYNC}, {FAULTY_WRITE, SQLITE_IOERR_WRITE}};
	struct store *s;
	int status, silent = open("/dev/null", O_WRONLY), err = dup(STDERR_FILENO);

	dup2(silent, STDERR_FILENO);
	broken_disk.which = cases[_i].which;
	broken_disk.rc = cases[_i].rc;
	status = in_child(commit_on_a_broken_disk);
	dup2(err, STDERR_FILENO);
	close(silent);
	close(err);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == EX_IOERR, "%x", (unsigned)status);
	s = open_plain();
	ck_assert_uint_ge(held(s), 1);
	store_close(s);
	assert_intact();
}
END_TEST

/* Commits for ever and writes the number of each acknowledged batch to the pipe. */
static void commit_and_tell(int fd)
{
	struct store *s = open_plain();
	uint64_t n = held(s);

	for (;;) {
		if (commit_batch(s, n + 1, 3000 + n % 1000) != 0)
			_exit(1);
		n++;
		if (write(fd, &n, sizeof n) != sizeof n)
			_exit(2);
		if (n % 37 == 0)
			store_checkpoint(s);
	}
}

/* A node killed at any moment has lost nothing that it acknowledged, and its channel has no hole. */
START_TEST(test_killed_during_commits)
{
	uint64_t acknowledged = 0, n;
	struct store *s = open_plain();

	add_channel(s);
	store_close(s);
	for (int round = 0; round < 12; round++) {
		int pipes[2], status;
		pid_t child;

		ck_assert_int_eq(pipe(pipes), 0);
		child = fork();
		ck_assert_int_ge(child, 0);
		if (child == 0) {
			close(pipes[0]);
			commit_and_tell(pipes[1]);
		}
		close(pipes[1]);
		for (int i = 0; i < 5 + 11 * round && read(pipes[0], &n, sizeof n) == sizeof n; i++)
			acknowledged = n;
		kill(child, SIGKILL);
		while (read(pipes[0], &n, sizeof n) == sizeof n)
			acknowledged = n;
		close(pipes[0]);
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_msg(WIFSIGNALED(status), "%x", (unsigned)status);
		s = open_plain();
		n = held(s);
		store_close(s);
		ck_assert_uint_ge(n, acknowledged);
		ck_assert_uint_le(n, acknowledged + 1);
	}
	assert_intact();
}
END_TEST

/* Out of memory at any point of a transaction: -ENOMEM, all undone, and the next one passes. */
static struct {
	sqlite3_mem_methods real;
	unsigned long calls;
	bool armed;
} memory;

static bool memory_short(void)
{
	if (!memory.armed || memory.calls > 0) {
		memory.calls -= memory.armed;
		return false;
	}
	return true;
}

static void *short_malloc(int n)
{
	return memory_short() ? NULL : memory.real.xMalloc(n);
}

static void *short_realloc(void *p, int n)
{
	return memory_short() ? NULL : memory.real.xRealloc(p, n);
}

START_TEST(test_out_of_memory_anywhere)
{
	struct store *s = open_plain();
	uint64_t n = 0;
	int r = -ENOMEM;

	add_channel(s);
	for (unsigned long calls = 0; r != 0; calls++) {
		ck_assert_uint_lt(calls, 10000);
		memory.calls = calls;
		memory.armed = true;
		r = commit_batch(s, n + 1, sizeof body);
		memory.armed = false;
		ck_assert_msg(r == -ENOMEM || r == 0, "%d", r);
		n += r == 0;
		ck_assert_uint_eq(held(s), n);
	}
	store_close(s);
	assert_intact();
}
END_TEST

/* The same while opening: nothing leaks, nothing is half made, and the next start succeeds. */
START_TEST(test_out_of_memory_while_opening)
{
	struct store *s = NULL;
	char *why = NULL;
	int r = -ENOMEM;

	for (unsigned long calls = 0; r != 0; calls++) {
		ck_assert_uint_lt(calls, 100000);
		memory.calls = calls;
		memory.armed = true;
		r = try_open(&s, (struct store_options){0}, &why);
		memory.armed = false;
		ck_assert_msg(r == -ENOMEM || r == 0, "%d %s", r, why);
		ck_assert((s == NULL) == (r != 0));
		free(why);
	}
	add_channel(s);
	store_close(s);
	assert_intact();
}
END_TEST

/* Readers see a transaction when it is committed, not before. */
START_TEST(test_readers_see_what_is_committed)
{
	struct store *s = open_plain();
	struct store_reader *reader;
	uint64_t n = 0;

	add_channel(s);
	ck_assert_int_eq(store_reader_open(&reader, s), 0);
	ck_assert_int_eq(store_begin(s), 0);
	ck_assert_int_eq(add_batch(s, 1, 100), 0);
	ck_assert_int_eq(store_archive_ops.batches(reader, 1, count_in_order, &n), 0);
	ck_assert_uint_eq(n, 0);
	ck_assert_int_eq(store_commit(s), 0);
	ck_assert_int_eq(store_archive_ops.batches(reader, 1, count_in_order, &n), 0);
	ck_assert_uint_eq(n, 1);
	store_reader_close(reader);
	store_close(s);
}
END_TEST

/* A walk keeps its picture while the writer commits and checkpoints. */
struct walk {
	struct store *s;
	uint64_t seen, written;
};

static int write_while_walking(void *context, const struct batch_row *row)
{
	struct walk *w = context;

	ck_assert_uint_eq(row->number, ++w->seen);
	ck_assert_int_eq(commit_batch(w->s, ++w->written, 100), 0);
	store_checkpoint(w->s);
	return 0;
}

START_TEST(test_writing_under_a_walk)
{
	struct walk w = {.s = open_plain(), .written = 10};
	struct store_reader *reader;

	add_channel(w.s);
	for (uint64_t n = 1; n <= 10; n++)
		ck_assert_int_eq(commit_batch(w.s, n, 100), 0);
	ck_assert_int_eq(store_reader_open(&reader, w.s), 0);
	ck_assert_int_eq(store_archive_ops.batches(reader, 1, write_while_walking, &w), 0);
	ck_assert_uint_eq(w.seen, 10);
	store_reader_close(reader);
	ck_assert_uint_eq(held(w.s), 20);
	store_close(w.s);
	assert_intact();
}
END_TEST

/* Checkpoints empty the WAL, which is then used from its beginning: it does not grow with the log. */
START_TEST(test_wal_is_bounded)
{
	struct store *s = open_plain();
	struct stat st;
	char wal[200];

	snprintf(wal, sizeof wal, "%s-wal", db);
	add_channel(s);
	for (uint64_t n = 1; n <= 300; n++) {
		ck_assert_int_eq(commit_batch(s, n, sizeof body), 0);
		ck_assert_uint_gt(store_wal_bytes(s), 0);
		if (store_wal_bytes(s) < 500000)
			continue;
		store_checkpoint(s);
		ck_assert_uint_eq(store_wal_bytes(s), 0);
	}
	ck_assert_int_eq(stat(wal, &st), 0);
	ck_assert_int_lt(st.st_size, 700000);
	ck_assert_uint_gt(store_bytes(s), 300 * sizeof body);
	store_close(s);
	ck_assert_int_ne(stat(wal, &st), 0);
}
END_TEST

/* What was removed is not in the file any more. */
START_TEST(test_removed_is_overwritten)
{
	static const char secret[] = "a reason with a name in it";
	struct store *s = open_plain();
	void *file;
	size_t len;

	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(store_begin(s), 0);
		ck_assert_int_eq(ops->setting_put(s, "block ut.ee", round == 0 ? secret : NULL), 0);
		ck_assert_int_eq(store_commit(s), 0);
		store_close(s);
		ck_assert_int_eq(file_read(&file, &len, db, 10000000), 0);
		ck_assert((memmem(file, len, secret, sizeof secret - 1) != NULL) == (round == 0));
		free(file);
		s = open_plain();
	}
	store_close(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sqlite");
	TCase *tc = tcase_create("sqlite");
	const TTest *const tests[] = {test_modes, test_urls, test_lock, test_foreign_files, test_empty_file,
		test_damaged_store, test_newer_version, test_version_1, test_migration_steps, test_disk_limit,
		test_limit_within_a_transaction, test_reserve, test_erasures_pass_the_limit,
		test_erasures_use_the_reserve, test_disk_full_at_any_write, test_disk_full_before_the_commit,
		test_file_size_limit, test_killed_during_commits, test_out_of_memory_anywhere,
		test_out_of_memory_while_opening, test_readers_see_what_is_committed, test_writing_under_a_walk,
		test_wal_is_bounded, test_removed_is_overwritten};
	sqlite3_mem_methods methods;

	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory.real);
	methods = memory.real;
	methods.xMalloc = short_malloc;
	methods.xRealloc = short_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
	faulty_vfs_register();
	tcase_add_checked_fixture(tc, start, end);
	tcase_set_timeout(tc, 100);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_loop_test(tc, test_io_errors_end_the_process, 0, 2);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
