#include "base/bytes.h"
#include "core/backup_head.h"
#include "faulty_vfs.h"
#include "store/backup.h"
#include "store/restore.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A copy of a store at work, and what puts it back. */

enum { ROWS = 400, VALUE_LEN = 6000 };

static char folder[128];
static struct store *store;

static void open_store(void)
{
	struct store_options options = {.folder = folder};
	char *why = NULL;

	ck_assert_msg(store_open(&store, "sqlite:node.db", &options, &why) == 0, "%s", why);
}

/* Two rows of one transaction that say the same, far from each other in the file. */
static void put_pair(unsigned n)
{
	char text[16];

	snprintf(text, sizeof text, "%u", n);
	ck_assert_int_eq(store_begin(store), 0);
	ck_assert_int_eq(store_ledger_ops.setting_put(store, "000 first", text), 0);
	ck_assert_int_eq(store_ledger_ops.setting_put(store, "zzz last", text), 0);
	ck_assert_int_eq(store_commit(store), 0);
}

static void start(void)
{
	char name[16], value[VALUE_LEN + 1];

	unit_folder(folder, sizeof folder);
	open_store();
	memset(value, 'x', VALUE_LEN);
	value[VALUE_LEN] = '\0';
	ck_assert_int_eq(store_begin(store), 0);
	for (unsigned i = 0; i < ROWS; i++) {
		snprintf(name, sizeof name, "%06u", i);
		ck_assert_int_eq(store_ledger_ops.setting_put(store, name, value), 0);
	}
	ck_assert_int_eq(store_commit(store), 0);
	put_pair(0);
}

static void end(void)
{
	faulty_vfs_fail(FAULTY_WRITE, 0, SQLITE_OK);
	store_close(store);
	unit_folder_remove(folder);
}

static struct backup *new_backup(uint64_t reserve_bytes)
{
	struct backup *b;

	ck_assert_int_eq(backup_new(&b, folder, reserve_bytes), 0);
	return b;
}

static struct backup_view look(const struct backup *b)
{
	struct backup_view v;

	backup_look(b, &v);
	return v;
}

/* Files in the folder that are not the store's. */
static unsigned strangers(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.' && strncmp(entry->d_name, "node.db", 7) != 0;
	closedir(dir);
	return n;
}

static int read_text(const char *path, const char *sql, char out[static 32])
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int rc;

	ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
	rc = sqlite3_step(stmt);
	snprintf(out, 32, "%s", rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : "");
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return rc;
}

/* The copy as a file with a name, which must be what its view says. */
static void write_copy(const struct backup *b, const char *path)
{
	struct backup_view v = look(b);
	struct digest digest;
	uint8_t *bytes = malloc(v.bytes + 1);

	ck_assert_int_eq(v.state, BACKUP_READY);
	ck_assert_uint_eq(v.done, v.total);
	ck_assert_int_eq(pread(backup_file(b), bytes, v.bytes + 1, 0), (ssize_t)v.bytes);
	digest_plain(&digest, bytes_of(bytes, v.bytes));
	ck_assert(digest_equal(&digest, &v.digest));
	ck_assert_int_eq(file_write(path, bytes, v.bytes, 0600), 0);
	free(bytes);
}

/* The copy of a store that goes on committing is whole, one state, that of its end, and has no name in the folder. */
START_TEST(test_copy_of_a_store_at_work)
{
	struct backup *b = new_backup(0);
	char path[160], first[32], last[32], written[16];
	unsigned n = 0;

	while (look(b).total == 0 || look(b).done < look(b).total / 2) {
		ck_assert(backup_step(b, store));
		put_pair(++n);
		if (n % 3 == 0)
			store_checkpoint(store);
		ck_assert_uint_eq(strangers(), 0);
	}
	ck_assert_uint_gt(n, 3);
	while (backup_step(b, store))
		;
	snprintf(path, sizeof path, "%s/copy", folder);
	write_copy(b, path);
	backup_free(b);
	snprintf(written, sizeof written, "%u", n - 1); /* the last pair came when all pages were copied */
	ck_assert_int_eq(read_text(path, "PRAGMA integrity_check", first), SQLITE_ROW);
	ck_assert_str_eq(first, "ok");
	ck_assert_int_eq(read_text(path, "SELECT value FROM setting WHERE name = '000 first'", first), SQLITE_ROW);
	ck_assert_int_eq(read_text(path, "SELECT value FROM setting WHERE name = 'zzz last'", last), SQLITE_ROW);
	ck_assert_str_eq(first, last);
	ck_assert_str_eq(first, written);
	ck_assert_int_eq(read_text(path, "SELECT count(*) FROM setting", first), SQLITE_ROW);
	ck_assert_str_eq(first, "402");
}
END_TEST

/* Whichever write to the copy fails, the copy fails with the reason, and the store neither notices nor stops. */
START_TEST(test_no_write_that_fails_harms_the_store)
{
	unsigned long n = 0;
	struct backup *b;
	bool ready;

	do {
		b = new_backup(0);
		faulty_vfs_fail(FAULTY_WRITE, n, n % 2 == 0 ? SQLITE_FULL : SQLITE_IOERR_WRITE);
		while (backup_step(b, store))
			;
		faulty_vfs_fail(FAULTY_WRITE, 0, SQLITE_OK);
		ready = look(b).state == BACKUP_READY;
		ck_assert(ready || look(b).error == (n % 2 == 0 ? -ENOSPC : -EIO));
		ck_assert_uint_eq(strangers(), 0);
		backup_free(b);
		put_pair((unsigned)n);
		n += n < 20 ? 1 : 37;
	} while (!ready);
	ck_assert_uint_gt(n, 20);
}
END_TEST

/* Without room for all of it beside the reserve a copy is not begun. */
START_TEST(test_no_room)
{
	struct backup *b = new_backup(UINT64_C(1) << 60);

	ck_assert(!backup_step(b, store));
	ck_assert_int_eq(look(b).state, BACKUP_FAILED);
	ck_assert_int_eq(look(b).error, -ENOSPC);
	ck_assert_uint_gt(look(b).lacked_bytes, UINT64_C(1) << 60);
	backup_free(b);
	put_pair(1);
}
END_TEST

/* A copy that nobody wants any more ends at its next step. */
START_TEST(test_giving_up)
{
	struct backup *b = new_backup(0);

	ck_assert(backup_step(b, store));
	backup_give_up(b);
	ck_assert_int_eq(look(b).state, BACKUP_UNDER_WAY);
	ck_assert(!backup_step(b, store));
	ck_assert_int_eq(look(b).error, -ECANCELED);
	put_pair(1);
	backup_free(b);
}
END_TEST

/* ---- restoring ---- */

static struct restore place;

static int open_place(char **why)
{
	int r = restore_look(&place, "sqlite:node.db", folder, why);

	return r == 0 ? restore_take(&place, why) : r;
}

/* While a node has the store open its place is not to be had. */
START_TEST(test_place_is_taken)
{
	char *why;

	ck_assert_int_eq(open_place(&why), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "is open in another node"));
	free(why);
	restore_close(&place);
}
END_TEST

/* What is put in place is what was backed up; the store before is kept beside it. What is too short or of another digest never comes there. */
START_TEST(test_restoring)
{
	char path[160], old[200], text[32], *why;
	struct backup *b = new_backup(0);
	struct backup_view v;
	struct digest other;
	int fd;

	while (backup_step(b, store))
		;
	v = look(b);
	snprintf(path, sizeof path, "%s/copy", folder);
	write_copy(b, path);
	backup_free(b);
	put_pair(7);
	store_close(store);
	store = NULL;

	ck_assert_int_eq(open_place(&why), 0);
	ck_assert(place.present);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(restore_copy(&place, fd, v.bytes + 1, &v.digest, NULL, NULL), RESTORE_DAMAGED);
	lseek(fd, 0, SEEK_SET);
	other = v.digest;
	other.bytes[31] ^= 1;
	ck_assert_int_eq(restore_copy(&place, fd, v.bytes, &other, NULL, NULL), RESTORE_DAMAGED);
	restore_discard(&place);
	restore_close(&place);
	ck_assert_uint_eq(strangers(), 1); /* the test's own */
	open_store();
	store_close(store);

	ck_assert_int_eq(open_place(&why), 0);
	lseek(fd, 0, SEEK_SET);
	ck_assert_int_eq(restore_copy(&place, fd, v.bytes, &v.digest, NULL, NULL), 0);
	ck_assert_int_eq(restore_begin(&place, ".old"), 0);
	ck_assert_int_eq(restore_put(&place), 0);
	restore_discard(&place);
	restore_close(&place);
	close(fd);
	open_store();
	snprintf(old, sizeof old, "%s/node.db.old", folder);
	ck_assert_int_eq(read_text(old, "SELECT value FROM setting WHERE name = 'zzz last'", text), SQLITE_ROW);
	ck_assert_str_eq(text, "7");
	snprintf(old, sizeof old, "%s/node.db", folder);
	ck_assert_int_eq(read_text(old, "SELECT value FROM setting WHERE name = 'zzz last'", text), SQLITE_ROW);
	ck_assert_str_eq(text, "0");
}
END_TEST

static bool stop(void *context, uint64_t done, uint64_t total)
{
	return false;
}

/* A file that goes on behind the database is not what was backed up; a copy that is told to end, or cannot be put, leaves the store as it
 * was and nothing beside it. */
START_TEST(test_restoring_in_vain)
{
	char from[160], copy[160], path[160], text[32], *why;
	struct digest digest;
	int fd;

	put_pair(7);
	store_close(store);
	store = NULL;
	snprintf(from, sizeof from, "%s/from", folder);
	snprintf(copy, sizeof copy, "%s/node.db.restoring", folder);
	snprintf(path, sizeof path, "%s/node.db", folder);
	ck_assert_int_eq(file_write(from, "abcd", 4, 0600), 0);
	digest_plain(&digest, bytes_of("abc", 3));
	fd = open(from, O_RDONLY);
	ck_assert_int_eq(open_place(&why), 0);
	ck_assert_int_eq(restore_copy(&place, fd, 3, &digest, NULL, NULL), RESTORE_DAMAGED);
	lseek(fd, 0, SEEK_SET);
	ck_assert_int_eq(restore_copy(&place, fd, 3, &digest, stop, NULL), -ECANCELED);
	digest_plain(&digest, bytes_of("abcd", 4));
	lseek(fd, 0, SEEK_SET);
	ck_assert_int_eq(restore_copy(&place, fd, 4, &digest, NULL, NULL), 0);
	ck_assert_int_eq(unlink(copy), 0);
	ck_assert_int_eq(restore_begin(&place, ".old"), -ENOENT);
	ck_assert_int_eq(restore_undo(&place, ".old"), 0);
	restore_discard(&place);
	restore_close(&place);
	close(fd);
	ck_assert_int_eq(access(copy, F_OK), -1);
	ck_assert_int_eq(read_text(path, "SELECT value FROM setting WHERE name = 'zzz last'", text), SQLITE_ROW);
	ck_assert_str_eq(text, "7");
}
END_TEST

/* The place of a store that is not open, with a copy that is whole. */
static void copy_text(const char *text)
{
	char from[160], *why;
	struct digest digest;
	int fd;

	snprintf(from, sizeof from, "%s/from", folder);
	ck_assert_int_eq(file_write(from, text, strlen(text), 0600), 0);
	digest_plain(&digest, bytes_str(text));
	ck_assert_int_eq(open_place(&why), 0);
	fd = open(from, O_RDONLY);
	ck_assert_int_eq(restore_copy(&place, fd, strlen(text), &digest, NULL, NULL), 0);
	close(fd);
	ck_assert_int_eq(unlink(from), 0);
}

static void put_text(const char *name, const char *text)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	ck_assert_int_eq(file_write(path, text, strlen(text), 0600), 0);
}

/* What a file of the folder holds; "-": there is none. */
static const char *text_of(const char *name)
{
	static char text[64];
	char path[160];
	void *data;
	size_t len;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	if (file_read(&data, &len, path, sizeof text - 1) == -ENOENT)
		return "-";
	snprintf(text, sizeof text, "%s", (char *)data);
	free(data);
	return text;
}

static void start_with_texts(void)
{
	store_close(store);
	store = NULL;
	put_text("node.db", "old");
	put_text("node.db-wal", "old's WAL");
}

/* A restore that fails leaves all as it was, at whatever step it is undone. */
START_TEST(test_undoing)
{
	start_with_texts();
	for (unsigned n_steps = 0; n_steps < 3; n_steps++) {
		copy_text("new");
		if (n_steps > 0)
			ck_assert_int_eq(restore_begin(&place, ".old"), 0);
		if (n_steps > 1)
			ck_assert_int_eq(restore_put(&place), 0);
		ck_assert_str_eq(text_of("node.db"), n_steps > 1 ? "new" : "old");
		ck_assert_int_eq(restore_undo(&place, ".old"), 0);
		restore_discard(&place);
		restore_close(&place);
		ck_assert_str_eq(text_of("node.db"), "old");
		ck_assert_str_eq(text_of("node.db-wal"), "old's WAL");
		ck_assert_uint_eq(strangers(), 0);
	}
}
END_TEST

/* After a restore that was interrupted no node opens the store. The next one ends it, and what was there before is kept once: under the
 * name that the first gave it, with its WAL. */
START_TEST(test_interrupted)
{
	struct store_options options = {.folder = folder};
	char wal[160], *why;

	start_with_texts();
	copy_text("first");
	ck_assert_int_eq(restore_begin(&place, ".1"), 0);
	restore_close(&place);
	snprintf(wal, sizeof wal, "%s/node.db-wal", folder);
	ck_assert_int_eq(unlink(wal), 0); /* so far it had come */
	ck_assert_int_eq(store_open(&store, "sqlite:node.db", &options, &why), -EINPROGRESS);
	ck_assert_ptr_nonnull(strstr(why, "node.db.unfinished is there: enlight restore was interrupted"));
	free(why);

	copy_text("second");
	ck_assert(place.unfinished);
	ck_assert_int_eq(restore_begin(&place, ".2"), 0);
	ck_assert_int_eq(restore_undo(&place, ".2"), 0);
	restore_discard(&place);
	restore_close(&place);
	ck_assert_int_eq(store_open(&store, "sqlite:node.db", &options, &why), -EINPROGRESS);
	free(why);

	copy_text("third");
	ck_assert_int_eq(restore_begin(&place, ".3"), 0);
	ck_assert_int_eq(restore_put(&place), 0);
	restore_discard(&place);
	restore_close(&place);
	ck_assert_str_eq(text_of("node.db"), "third");
	ck_assert_str_eq(text_of("node.db.1"), "old");
	ck_assert_str_eq(text_of("node.db.1-wal"), "old's WAL");
	ck_assert_str_eq(text_of("node.db.2"), "-");
	ck_assert_str_eq(text_of("node.db.3"), "-");
	ck_assert_str_eq(text_of("node.db.unfinished"), "-");

	copy_text("fourth");
	ck_assert_int_eq(restore_begin(&place, ".4"), 0);
	restore_close(&place);
	snprintf(wal, sizeof wal, "%s/node.db.4", folder);
	ck_assert_int_eq(unlink(wal), 0); /* it stopped before */
	copy_text("fifth");
	ck_assert_int_eq(restore_begin(&place, ".5"), 0);
	ck_assert_int_eq(restore_put(&place), 0);
	restore_close(&place);
	ck_assert_str_eq(text_of("node.db.5"), "third");
}
END_TEST

/* Looking at a place makes nothing there. */
START_TEST(test_looking_makes_nothing)
{
	char empty[160], *why;

	snprintf(empty, sizeof empty, "%s/empty", folder);
	ck_assert_int_eq(restore_look(&place, "sqlite:node.db", empty, &why), 0);
	ck_assert(!place.present);
	restore_close(&place);
	ck_assert_int_eq(access(empty, F_OK), -1);
	ck_assert_int_eq(restore_look(&place, "sqlite:node.db", folder, &why), 0);
	ck_assert(place.present);
	restore_close(&place);
}
END_TEST

/* ---- the head ---- */

/* A head is read as it was written, whatever follows it, and only the identity key's holder opens the store key in it. */
START_TEST(test_head)
{
	static const uint8_t secret[SECRET_LEN] = {1, 2, 3};
	uint8_t public[SIGN_PUBLIC_LEN], stranger[SIGN_PUBLIC_LEN], signature[SIGNATURE_LEN];
	uint8_t key[SIGN_SECRET_LEN], other[SIGN_SECRET_LEN], opened[SECRET_LEN];
	struct backup_head h = {.member = "ut.ee", .time = "2026-11-23T09:30:00.000Z", .roster = 3}, read;
	struct problems problems = {0};
	struct digest digest = {{9}};
	struct buffer text = {0};
	size_t len;

	crypto_sign_keypair(public, other);
	crypto_sign_keypair(public, key);
	memcpy(h.identity, public, sizeof public);
	ck_assert(backup_seal(h.sealed, secret, public));
	backup_head_write(&text, &h, &digest, "0.1.0");
	ck_assert_int_eq(backup_head_parse(&read, "file", bytes_of(text.data, text.len), &problems), BACKUP_HEAD_BAD);
	backup_head_database(&text, 123456789012, &digest);
	domain_sign(signature, BACKUP_HEAD_DOMAIN, bytes_of(text.data, text.len), key);
	backup_head_signed(&text, 4, signature);
	len = text.len;
	buffer_add(&text, "SQLite format 3\0\nsigned 1 2\n", 28);
	problems_deinit(&problems);
	ck_assert_int_eq(backup_head_parse(&read, "file", bytes_of(text.data, text.len), &problems), 0);
	ck_assert_uint_eq(read.len, len);
	ck_assert_uint_eq(read.bytes, 123456789012);
	ck_assert_str_eq(read.member, "ut.ee");
	ck_assert_uint_eq(read.roster, 3);
	ck_assert(digest_equal(&read.digest, &digest));
	ck_assert_uint_eq(read.key, 4);
	ck_assert(backup_head_verify(&read, bytes_of(text.data, text.len), public));
	crypto_sign_ed25519_sk_to_pk(stranger, other);
	ck_assert(!backup_head_verify(&read, bytes_of(text.data, text.len), stranger));
	((uint8_t *)text.data)[30] ^= 1; /* a handle's letter */
	ck_assert(!backup_head_verify(&read, bytes_of(text.data, text.len), public));
	ck_assert(!backup_unseal(opened, &read, other));
	ck_assert(backup_unseal(opened, &read, key));
	ck_assert_mem_eq(opened, secret, sizeof secret);
	buffer_deinit(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backup");
	TCase *tc = tcase_create("backup");
	const TTest *const tests[] = {test_copy_of_a_store_at_work, test_no_write_that_fails_harms_the_store,
		test_no_room, test_giving_up, test_place_is_taken, test_restoring, test_restoring_in_vain, test_undoing,
		test_interrupted, test_looking_makes_nothing, test_head};

	if (sodium_init() < 0)
		return 1;
	faulty_vfs_register();
	tcase_add_checked_fixture(tc, start, end);
	tcase_set_timeout(tc, 100);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
