/* restore - puts a backup in the place of a node's store. The only verb that uses the store itself: no node may run meanwhile. */
#include "cli/backup.h"
#include "cli/offline.h"
#include "store/restore.h"

#include "base/secret.h"
#include "base/stamp.h"
#include "core/check.h"
#include "core/node.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct restoring {
	const struct cli *cli;
	const char *backup;
	struct backup_head head;
	struct node_folder place;
	struct restore store;
	uint8_t secret[SECRET_LEN];
	char *key_path, *key_before; /* the name of one that was put aside */
	bool key_present, key_differs, key_written;
	uint64_t now_ms;
	char suffix[40]; /* of what was there before */
	struct cli_progress progress;
};

static int cannot(const char *what, const char *path, int error)
{
	cli_error("%s: cannot %s: %s", path, what, error == -EBADMSG ? "damaged" : strerror(-error));
	return error == -ENOMEM ? EX_OSERR : error == -EACCES || error == -EPERM ? EX_NOPERM : EX_CANTCREAT;
}

/* ---- what is asked for, judged before anything is written ---- */

static int open_place(struct restoring *r, const char *folder)
{
	int result = node_folder_open(&r->place, r->cli, folder);

	if (result == EX_OK && strcmp(r->place.config->member, r->head.member) != 0) {
		cli_error("%s is a backup of %s, and %s is %s's folder", r->backup, r->head.member, folder,
			r->place.config->member);
		result = EX_DATAERR;
	}
	return result;
}

/* The key: out of the backup, or as `enlight backup key` wrote it. */
static int take_key(struct restoring *r)
{
	const char *path = cli_value(r->cli, "key");
	struct problems problems = {0};
	int result;

	if (path == NULL)
		return backup_open_key(r->secret, r->cli, &r->head, r->backup);
	if (cli_value(r->cli, "identity") != NULL) {
		cli_error("--identity or --key, not both");
		return EX_USAGE;
	}
	result = secret_read(r->secret, path, false, &problems);
	return offline_result(result, &problems);
}

/* Whether the folder of keys has another store key. */
static int look_at_key(struct restoring *r)
{
	struct problems problems = {0};
	uint8_t present[SECRET_LEN];
	int result;

	r->key_path = offline_path(r->place.config->trust.keys, "store.key");
	if (r->key_path == NULL)
		return EX_OSERR;
	r->key_present = offline_exists(r->key_path);
	if (!r->key_present)
		return EX_OK;
	result = offline_result(secret_read(present, r->key_path, false, &problems), &problems);
	r->key_differs = result == EX_OK && sodium_memcmp(present, r->secret, SECRET_LEN) != 0;
	sodium_memzero(present, sizeof present);
	return result;
}

static int open_store(struct restoring *r)
{
	const struct config *c = r->place.config;
	char *why = NULL;
	int result;

	if (!r->cli->dry_run && mkdir(c->state, 0700) < 0 && errno != EEXIST)
		return cannot("make this folder", c->state, -errno);
	result = (r->cli->dry_run ? restore_look : restore_open)(&r->store, c->store.url, c->state, &why);
	if (result == 0)
		return EX_OK;
	cli_error("%s%s", why != NULL ? why : strerror(-result),
		result == -EBUSY ? "; stop it first (systemctl stop enlightd)" : "");
	free(why);
	return result == -EBUSY ? EX_TEMPFAIL : result == -ENOMEM ? EX_OSERR : EX_NOPERM;
}

static int check_replace(const struct restoring *r)
{
	if (cli_value(r->cli, "replace") != NULL || (!r->store.present && !r->key_differs))
		return EX_OK;
	cli_error("%s is there already%s; --replace keeps it under another name beside it",
		r->store.present ? r->store.path : r->key_path, r->store.present ? "" : ", another key");
	return EX_CANTCREAT;
}

/* ---- the copy ---- */

static int ended(void)
{
	cli_error("ended; nothing was changed");
	return EX_TEMPFAIL;
}

static bool show(void *context, uint64_t done, uint64_t total)
{
	struct restoring *r = context;

	cli_progress(&r->progress, r->cli, "writing the store", done, total);
	return !backup_is_told_to_end(0);
}

static int write_copy(struct restoring *r)
{
	int fd = open(r->backup, O_RDONLY | O_CLOEXEC), result;

	if (fd < 0 || lseek(fd, (off_t)r->head.len, SEEK_SET) < 0) {
		result = cannot("read it", r->backup, -errno);
		if (fd >= 0)
			close(fd);
		return result;
	}
	result = restore_copy(&r->store, fd, r->head.bytes, &r->head.digest, show, r);
	close(fd);
	if (result == RESTORE_DAMAGED) {
		cli_error("%s is damaged: it is not of the length and digest that its head says; nothing was changed",
			r->backup);
		return EX_DATAERR;
	}
	if (result == -ECANCELED)
		return ended();
	return result == 0 ? EX_OK : cannot("write it", r->store.copy, result);
}

/* The latest incarnation that the copy tells of. */
struct latest {
	const char *member;
	unsigned long incarnation;
};

static int note_channel(void *context, const struct channel_row *row)
{
	struct latest *l = context;

	if (strcmp(row->publisher, l->member) != 0)
		return 0;
	if (row->incarnation > l->incarnation)
		l->incarnation = row->incarnation;
	if (row->next_incarnation > l->incarnation)
		l->incarnation = row->next_incarnation;
	return 0;
}

static int note_setting(void *context, const char *name, const char *value)
{
	struct latest *l = context;
	unsigned long before = strcmp(name, RESTORED_SETTING) == 0 ? strtoul(value, NULL, 10) : 0;

	if (before > l->incarnation)
		l->incarnation = before;
	return 0;
}

/* Minutes since 1970, so that a second restore of the same backup begins yet another one. */
static uint32_t next_incarnation(const struct restoring *r, const struct latest *latest)
{
	uint64_t minutes = r->now_ms / 60000;

	return (uint32_t)(minutes > latest->incarnation ? minutes : latest->incarnation + 1);
}

/* The node goes on in an incarnation that is not in this copy: what its readers hold of the present one may be more. */
static int note_restored(struct restoring *r, struct store *s)
{
	struct latest latest = {.member = r->place.config->member};
	struct store_reader *reader = NULL;
	char text[24];
	int result = store_reader_open(&reader, s);

	if (result == 0)
		result = store_archive_ops.channels(reader, note_channel, &latest);
	if (result == 0)
		result = store_archive_ops.settings(reader, note_setting, &latest);
	store_reader_close(reader);
	if (result == 0)
		result = store_begin(s);
	if (result != 0)
		return result;
	snprintf(text, sizeof text, "%lu", (unsigned long)next_incarnation(r, &latest));
	result = store_ledger_ops.setting_put(s, RESTORED_SETTING, text);
	if (result == 0)
		result = store_commit(s);
	else
		store_rollback(s);
	return result == 0 ? store_checkpoint(s)
			   : result; /* nothing is to stay in the WAL, which is not put in place */
}

/* Opens every batch of the copy with the key. */
static int check_copy(struct restoring *r, const struct store *s)
{
	struct cli_progress progress = {0};
	struct store_reader *reader = NULL;
	struct check_query q = {.more = true};
	struct store_keys keys;
	size_t n_damages = 0, n = 0;
	int result = store_reader_open(&reader, s);

	store_keys_derive(&keys, r->secret);
	while (result == 0 && q.more) {
		q = (struct check_query){.after = q.next};
		result = check_run(&keys, &store_archive_ops, reader, &q);
		n += q.n_batches;
		n_damages += q.n_damages;
		cli_progress(&progress, r->cli, "checking batches", q.next, q.end);
		check_deinit(&q);
		if (result == 0 && backup_is_told_to_end(0))
			result = -ECANCELED;
	}
	store_reader_close(reader);
	store_keys_wipe(&keys);
	if (result == -ECANCELED)
		return ended();
	if (result != 0)
		return cannot("read it through", r->backup, result);
	if (n > 0 && n_damages == n) {
		cli_error("this store key does not open %s; nothing was changed", r->backup);
		return EX_DATAERR;
	}
	if (n_damages > 0)
		cli_note(r->cli,
			"%zu of %zu batches are damaged, in the backup already: enlight doctor --repair when the "
			"node runs",
			n_damages, n);
	return EX_OK;
}

static int prepare_copy(struct restoring *r)
{
	struct store *s = NULL;
	char *why = NULL, *url = NULL;
	int result, status;

	if (asprintf(&url, "sqlite:%s", r->store.copy) < 0)
		return EX_OSERR;
	result = store_open(&s, url, &(struct store_options){.folder = ".", .expendable = true}, &why);
	free(url);
	if (result != 0) {
		cli_error("%s: %s", r->backup, why != NULL ? why : strerror(-result));
		free(why);
		return result == -ENOMEM ? EX_OSERR : EX_DATAERR;
	}
	status = check_copy(r, s);
	if (status == EX_OK) {
		result = note_restored(r, s);
		if (result != 0)
			status = cannot("write it", r->store.copy, result > 0 ? -ENOSPC : result);
	}
	store_close(s);
	return status;
}

/* ---- putting it in place ---- */

/* A folder's owner gets a file in it: root restores for the node's user. That user may rename and link what is there, so what is
 * given is the open file, never whatever has its name by now. */
static int give_to_owner(int fd, const char *path, const char *folder)
{
	struct stat st;

	if (geteuid() != 0 || stat(folder, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) == 0)
		return EX_OK;
	return cannot("give it to its folder's owner", path, -errno);
}

/* The copy and the lock's file. */
static int give_store(const struct restoring *r)
{
	const char *state = r->place.config->state;
	int result = give_to_owner(r->store.file, r->store.copy, state);

	return result == EX_OK ? give_to_owner(r->store.lock, r->store.path, state) : result;
}

static int give_key(const struct restoring *r)
{
	struct stat st;
	int fd, result;

	if (geteuid() != 0)
		return EX_OK;
	fd = open(r->key_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		result = cannot("open it", r->key_path, -errno);
	else if (!S_ISREG(st.st_mode) || st.st_nlink != 1 || st.st_uid != 0)
		result = cannot("give it to its folder's owner", r->key_path, -EPERM);
	else
		result = give_to_owner(fd, r->key_path, r->place.config->trust.keys);
	if (fd >= 0)
		close(fd);
	return result;
}

static int put_key(struct restoring *r)
{
	char *before = NULL;
	int result;

	if (r->key_present && !r->key_differs)
		return EX_OK;
	if (r->key_differs) {
		if (asprintf(&before, "%s%s", r->key_path, r->suffix) < 0)
			return EX_OSERR;
		if (rename(r->key_path, before) < 0) {
			result = cannot("rename it", r->key_path, -errno);
			free(before);
			return result;
		}
		r->key_before = before;
	}
	result = secret_write(r->key_path, r->secret);
	r->key_written = result == 0;
	return r->key_written ? give_key(r) : cannot("write it", r->key_path, result);
}

/* The store that was there stays, and so does its key. */
static void take_key_back(const struct restoring *r)
{
	int result = 0;

	if (r->key_before != NULL)
		result = rename(r->key_before, r->key_path);
	else if (r->key_written)
		result = unlink(r->key_path);
	if (result < 0)
		cli_error("%s is the backup's key and cannot be taken back: %s; the one before is %s", r->key_path,
			strerror(errno), r->key_before != NULL ? r->key_before : "none");
	if (offline_exists(r->store.path) != r->store.present)
		cli_error("the store that was there is %s%s now: rename it back", r->store.path, r->suffix);
	else if (result == 0)
		cli_error("%s and its key %s are as they were", r->store.path, r->key_path);
}

static int put_both(struct restoring *r)
{
	int result = put_key(r), error;

	if (result != EX_OK)
		return result;
	error = restore_put(&r->store, r->suffix);
	return error == 0 ? EX_OK : cannot("put it in place", r->store.path, error);
}

static int put(struct restoring *r)
{
	bool had = r->store.present;
	int result = give_store(r);

	if (result != EX_OK)
		return result;
	result = put_both(r);
	if (result != EX_OK) {
		take_key_back(r);
		return result;
	}
	if (had)
		cli_note(r->cli, "the store that was there is now %s%s", r->store.path, r->suffix);
	cli_note(r->cli, "%s is in place, as of %s; the node may be started", r->store.path, r->head.time);
	return EX_OK;
}

static uint64_t time_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int run_restore(struct cli *c, int argc, char **argv)
{
	struct restoring r = {.cli = c, .backup = argv[0], .store = {.lock = -1, .file = -1}, .now_ms = time_ms()};
	int result = backup_read_head(&r.head, argv[0]);

	strcpy(r.suffix, ".until-");
	stamp_time(r.suffix + strlen(r.suffix), r.now_ms);
	if (result == EX_OK)
		result = open_place(&r, argv[1]);
	if (result == EX_OK)
		result = backup_check_signer(c, r.backup, r.place.card);
	if (result == EX_OK)
		result = take_key(&r);
	if (result == EX_OK)
		result = look_at_key(&r);
	if (result == EX_OK)
		result = open_store(&r);
	if (result == EX_OK)
		result = check_replace(&r);
	if (result == EX_OK && c->dry_run) {
		cli_note(c, "would put %s in place, as of %s", r.store.path, r.head.time);
		goto out;
	}
	backup_hold_signals();
	if (result == EX_OK)
		result = write_copy(&r);
	if (result == EX_OK)
		result = prepare_copy(&r);
	if (result == EX_OK && backup_is_told_to_end(0))
		result = ended();
	if (result == EX_OK)
		result = put(&r);
out:
	sodium_memzero(r.secret, sizeof r.secret);
	restore_close(&r.store);
	node_folder_close(&r.place);
	free(r.key_path);
	free(r.key_before);
	return result;
}

static const struct cli_option restore_options[] = {
	{"identity", "FILE", "The identity key (default: identity.key)"},
	{"passphrase-file", "FILE", "Where its passphrase is; /dev/stdin to type it"},
	{"key", "FILE", "Instead: the store key that `enlight backup key` opened where the identity key is"},
	{"replace", NULL, "Put a store that is there, and another store key, aside under another name"},
	{0},
};

const struct command restore_commands[] = {
	{"restore", "BACKUP FOLDER", "Put a backup in the place of a node's store",
		"FOLDER is what `enlight init` made; its enlight.yaml says where the store is. The node must not run. "
		"The backup is "
		"read through and every batch opened before anything is changed. What the node published since the "
		"backup its "
		"readers give back when it starts. Node keys are those in FOLDER; without one: enlight keys new.",
		"sudo enlight restore --key store.key enlight.backup /etc/enlight", 2, 2, restore_options, run_restore,
		false},
	{0},
};
