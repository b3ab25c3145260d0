/* restore - puts a backup in the place of a node's store. The only verb that uses the store itself: no node may run meanwhile.
 *
 * Root restores for the node's user, who owns the folder that is written in and may put links there at any moment. So backup and keys
 * are read as whoever called, and everything in the node's folders is done as who owns them (rights.h). */
#include "cli/backup.h"
#include "cli/offline.h"
#include "cli/rights.h"
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
	struct backup_file backup;
	uid_t owner; /* of the node's folder; when it is root, each folder that the configuration names has its own */
	struct node_folder place;
	struct restore store;
	char *store_folder;
	uint8_t secret[SECRET_LEN];
	char *key_path, *key_before; /* the second name of the one that was there */
	bool key_present, key_differs, key_begun;
	uint64_t now_ms;
	char suffix[40]; /* of what was there before */
	struct cli_progress progress;
};

static int cannot(const char *what, const char *path, int error)
{
	cli_error("%s: cannot %s: %s", path, what, error == -EBADMSG ? "damaged" : strerror(-error));
	if ((error == -EACCES || error == -EPERM) && geteuid() != getuid())
		cli_error("this was done with the rights of user %u, who owns the node's folder", (unsigned)geteuid());
	return error == -ENOMEM ? EX_OSERR : error == -EACCES || error == -EPERM ? EX_NOPERM : EX_CANTCREAT;
}

/* ---- with whose rights ---- */

static int take_rights(const char *folder, uid_t owner)
{
	int result = rights_take(owner);

	if (result == -ENOENT)
		cli_error("%s belongs to user %u, whom this machine does not know: chown it to the node's user", folder,
			(unsigned)owner);
	else if (result != 0)
		cli_error("%s: cannot act as its owner, user %u: %s", folder, (unsigned)owner, strerror(-result));
	return result == 0 ? EX_OK : result == -ENOENT ? EX_NOUSER : EX_OSERR;
}

static int act_as_caller(void)
{
	return take_rights("/", 0);
}

/* What follows is done as a folder's owner. Who owns the node's folder has written where the others are, so none is written in with
 * more than that one's rights. */
static int act_in(const struct restoring *r, const char *folder)
{
	uid_t owner = r->owner;
	int result = act_as_caller(), error;

	if (result != EX_OK)
		return result;
	error = owner == 0 ? rights_owner(&owner, folder) : 0;
	if (error == 0 && owner == 0 && rights_shared(folder)) {
		cli_error(
			"%s is root's, and others may write in it: chmod go-w, or chown it to the node's user", folder);
		return EX_NOPERM;
	}
	return error == 0 ? take_rights(folder, owner) : cannot("look at it", folder, error);
}

/* ---- what is asked for, judged before anything is written ---- */

static int open_place(struct restoring *r, const char *folder)
{
	const char *member = r->backup.head.member;
	char *file = offline_path(folder, "enlight.yaml");
	int result = file == NULL ? -ENOMEM : rights_owner(&r->owner, file);

	free(file);
	result = result == 0 ? take_rights(folder, r->owner) : cannot("look at it", folder, result);
	if (result == EX_OK)
		result = node_folder_open(&r->place, r->cli, folder);
	if (result == EX_OK && strcmp(r->place.config->member, member) != 0) {
		cli_error("%s is a backup of %s, and %s is %s's folder", r->backup.path, member, folder,
			r->place.config->member);
		result = EX_DATAERR;
	}
	return result == EX_OK ? backup_check_signer(r->cli, &r->backup, r->place.card) : result;
}

/* The key: out of the backup, or as `enlight backup key` wrote it. */
static int take_key(struct restoring *r)
{
	const char *path = cli_value(r->cli, "key");
	struct problems problems = {0};
	int result = act_as_caller();

	if (result != EX_OK)
		return result;
	if (path == NULL)
		return backup_open_key(r->secret, r->cli, &r->backup);
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
	int result = act_in(r, r->place.config->trust.keys);

	if (result != EX_OK)
		return result;
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

/* A state folder that is not there becomes that of who owns the keys: a node that reads them itself runs as that user. Keys of root's
 * systemd hands to the node, and the state folder too. */
static int make_state(const struct restoring *r)
{
	const char *state = r->place.config->state;
	int result = act_in(r, r->place.config->trust.keys);

	if (result != EX_OK || r->cli->dry_run || offline_exists(state))
		return result;
	if (geteuid() == 0)
		result = act_in(r, state);
	if (result != EX_OK)
		return result;
	if (mkdir(state, 0700) < 0) {
		result = cannot("make this folder", state, -errno);
		if (result == EX_NOPERM)
			cli_error("make it for the node's user: sudo install -d -m 700 -o USER %s", state);
		return result;
	}
	if (geteuid() == 0)
		cli_note(r->cli,
			"%s was not there and is root's now: systemd gives it to the node's user when it "
			"starts enlightd; without systemd: chown -R USER %s",
			state, state);
	return EX_OK;
}

static int cannot_open_store(int result, char *why)
{
	cli_error("%s%s", why != NULL ? why : strerror(-result),
		result == -EBUSY ? "; stop it first (systemctl stop enlightd)" : "");
	free(why);
	return result == -EBUSY ? EX_TEMPFAIL : result == -ENOMEM ? EX_OSERR : EX_NOPERM;
}

static int open_store(struct restoring *r)
{
	const struct config *c = r->place.config;
	char *why;
	int result = make_state(r), error;

	if (result != EX_OK)
		return result;
	error = restore_look(&r->store, c->store.url, c->state, &why);
	if (error != 0)
		return cannot_open_store(error, why);
	r->store_folder = offline_folder_of(r->store.path);
	if (r->store_folder == NULL)
		return EX_OSERR;
	if (r->cli->dry_run)
		return EX_OK;
	result = act_in(r, r->store_folder);
	if (result != EX_OK)
		return result;
	error = restore_take(&r->store, &why);
	if (error != 0)
		return cannot_open_store(error, why);
	if (r->store.unfinished)
		cli_note(r->cli,
			"a restore was interrupted; this one takes its place. What was there before is kept as "
			"%s.until-*",
			r->store.path);
	return EX_OK;
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
	const struct backup_head *head = &r->backup.head;
	int fd = fileno(r->backup.file), result;

	if (lseek(fd, (off_t)head->len, SEEK_SET) < 0)
		return cannot("read it", r->backup.path, -errno);
	result = restore_copy(&r->store, fd, head->bytes, &head->digest, show, r);
	if (result == RESTORE_DAMAGED) {
		cli_error("%s is damaged: it is not of the length and digest that its head says; nothing was changed",
			r->backup.path);
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
		return cannot("read it through", r->backup.path, result);
	if (n > 0 && n_damages == n) {
		cli_error("this store key does not open %s; nothing was changed", r->backup.path);
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
		cli_error("%s: %s", r->backup.path, why != NULL ? why : strerror(-result));
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

/* The one that was there gets a second name, so that there is a key at any time. */
static int keep_key(struct restoring *r)
{
	int error;

	if (asprintf(&r->key_before, "%s%s", r->key_path, r->suffix) < 0) {
		r->key_before = NULL;
		return EX_OSERR;
	}
	if (link(r->key_path, r->key_before) < 0)
		return cannot("keep it under another name", r->key_path, -errno);
	error = file_sync_folder(r->key_path);
	if (error != 0)
		unlink(r->key_before);
	return error == 0 ? EX_OK : cannot("keep it under another name", r->key_path, error);
}

static int put_key(struct restoring *r)
{
	int result, error;

	if (r->key_present && !r->key_differs)
		return EX_OK;
	result = act_in(r, r->place.config->trust.keys);
	if (result == EX_OK && r->key_differs)
		result = keep_key(r);
	if (result != EX_OK)
		return result;
	r->key_begun = true;
	error = secret_replace(r->key_path, r->secret);
	return error == 0 ? EX_OK : cannot("write it", r->key_path, error);
}

static int take_key_back(const struct restoring *r)
{
	int result = r->key_begun ? act_in(r, r->place.config->trust.keys) : EX_OK, error = 0;

	if (result != EX_OK || !r->key_begun)
		return result;
	if (r->key_before != NULL && rename(r->key_before, r->key_path) < 0)
		error = -errno;
	/* a name that is left: the second one of the key that was not replaced, or of a key where there was none */
	if (error == 0 && unlink(r->key_before != NULL ? r->key_before : r->key_path) < 0 && errno != ENOENT)
		error = -errno;
	if (error == 0)
		error = file_sync_folder(r->key_path);
	return error == 0 ? EX_OK : cannot("take it back", r->key_path, error);
}

static int take_store_back(struct restoring *r)
{
	int result = act_in(r, r->store_folder), error;

	if (result != EX_OK)
		return result;
	error = restore_undo(&r->store, r->suffix);
	return error == 0 ? EX_OK : cannot("take it back", r->store.path, error);
}

/* The store that was there stays, and so does its key. */
static void take_back(struct restoring *r)
{
	bool known = r->store.begun || !r->store.unfinished;
	int result = known ? take_key_back(r) : EX_OK;

	if (known && result == EX_OK)
		result = take_store_back(r);
	if (known && result == EX_OK)
		cli_error("%s and its key %s are as they were", r->store.path, r->key_path);
	else
		cli_error("the node does not start until a restore has ended: run it again. What was there is kept as "
			  "%s.until-* and %s.until-*",
			r->store.path, r->key_path);
}

static int put_both(struct restoring *r)
{
	int error = restore_begin(&r->store, r->suffix), result;

	if (error != 0)
		return cannot("keep it under another name", r->store.path, error);
	result = put_key(r);
	if (result == EX_OK)
		result = act_in(r, r->store_folder);
	if (result != EX_OK)
		return result;
	error = restore_put(&r->store);
	return error == 0 ? EX_OK : cannot("put it in place", r->store.path, error);
}

static int put(struct restoring *r)
{
	bool had = r->store.present;
	int result = put_both(r);

	if (result != EX_OK) {
		take_back(r);
		return result;
	}
	if (had && r->store.begun)
		cli_note(r->cli, "the store that was there is now %s%s", r->store.path, r->suffix);
	cli_note(r->cli, "%s is in place, as of %s; the node may be started", r->store.path, r->backup.head.time);
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
	struct restoring r = {.cli = c, .store = {.lock = -1}, .now_ms = time_ms()};
	int result = backup_file_open(&r.backup, argv[0]);

	strcpy(r.suffix, ".until-");
	stamp_time(r.suffix + strlen(r.suffix), r.now_ms);
	if (result == EX_OK)
		result = open_place(&r, argv[1]);
	if (result == EX_OK)
		result = take_key(&r);
	if (result == EX_OK)
		result = look_at_key(&r);
	if (result == EX_OK)
		result = open_store(&r);
	if (result == EX_OK)
		result = check_replace(&r);
	if (result == EX_OK && c->dry_run) {
		cli_note(c, "would put %s in place, as of %s", r.store.path, r.backup.head.time);
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
	if (r.store_folder != NULL && act_in(&r, r.store_folder) == EX_OK)
		restore_discard(&r.store);
	act_as_caller();
	restore_close(&r.store);
	backup_file_close(&r.backup);
	node_folder_close(&r.place);
	free(r.store_folder);
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
