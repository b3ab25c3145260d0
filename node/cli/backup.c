#include "cli/backup.h"

#include "cli/cli.h"
#include "cli/http.h"
#include "cli/offline.h"

#include "base/secret.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 100 };

/* The file while it is written: under another name beside the one it gets. */
struct target {
	const char *path;
	char *temporary;
	FILE *file;
	crypto_generichash_state hash;
	uint64_t bytes, total;
	struct cli_progress progress;
	const struct cli *cli;
	int error; /* of a write */
};

/* What ends a command ends it in order: the unfinished file goes. */
static void signals_that_end(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
}

void backup_hold_signals(void)
{
	sigset_t set;

	signals_that_end(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

bool backup_is_told_to_end(unsigned wait_ms)
{
	struct timespec wait = {wait_ms / 1000, (long)(wait_ms % 1000) * 1000000};
	sigset_t set;

	signals_that_end(&set);
	return sigtimedwait(&set, NULL, &wait) > 0;
}

static int ended(void)
{
	cli_error("ended; nothing was kept");
	return EX_TEMPFAIL;
}

static int cannot_write(const char *path, int error)
{
	cli_error("%s: cannot be written: %s", path, strerror(error));
	return EX_CANTCREAT;
}

static int target_open(struct target *t, const struct cli *c, const char *path)
{
	int fd;

	*t = (struct target){.path = path, .cli = c};
	if (asprintf(&t->temporary, "%s.XXXXXX", path) < 0) {
		t->temporary = NULL;
		return EX_OSERR;
	}
	fd = mkstemp(t->temporary); /* mode 0600 */
	if (fd < 0) {
		free(t->temporary);
		t->temporary = NULL;
		return cannot_write(path, errno);
	}
	t->file = fdopen(fd, "wb");
	if (t->file == NULL)
		close(fd);
	crypto_generichash_init(&t->hash, NULL, 0, DIGEST_LEN);
	return t->file == NULL ? EX_OSERR : EX_OK;
}

/* Gives the file its name when it is on disk. */
static int target_keep(struct target *t)
{
	bool good = fflush(t->file) == 0 && fsync(fileno(t->file)) == 0;

	good = fclose(t->file) == 0 && good;
	t->file = NULL;
	if (!good || rename(t->temporary, t->path) < 0)
		return cannot_write(t->path, errno);
	free(t->temporary);
	t->temporary = NULL;
	if (file_sync_folder(t->path) < 0)
		return cannot_write(t->path, errno);
	return EX_OK;
}

/* Removes what was not kept. */
static void target_close(struct target *t)
{
	if (t->file != NULL)
		fclose(t->file);
	if (t->temporary != NULL)
		unlink(t->temporary);
	free(t->temporary);
}

static bool take_bytes(void *context, struct bytes part)
{
	struct target *t = context;

	if (backup_is_told_to_end(0)) {
		t->error = EINTR;
		return false;
	}
	if (fwrite(part.data, 1, part.len, t->file) != part.len) {
		t->error = errno;
		return false;
	}
	crypto_generichash_update(&t->hash, part.data, part.len);
	t->bytes += part.len;
	cli_progress(&t->progress, t->cli, "fetching the copy", t->bytes, t->total);
	return true;
}

/* ---- the node's part ---- */

static int begin(struct http *h, const struct cli *c)
{
	struct buffer path = {0};
	json_t *answer = NULL;
	int r = EX_OSERR;

	buffer_str(&path, "/v1/backup");
	http_query(&path, "reason", cli_value(c, "reason"));
	if (buffer_cstr(&path) != NULL)
		r = http_json(h, &answer, "POST", buffer_cstr(&path), NULL, (struct bytes){0});
	buffer_deinit(&path);
	json_decref(answer);
	return r;
}

/* Until the copy is ready; then `*out` says so. */
static int wait_for_copy(struct http *h, const struct cli *c, json_t **out)
{
	struct cli_progress progress = {0};
	const char *state = "";
	int r = EX_OK;

	while (r == EX_OK && strcmp(state, "ready") != 0) {
		json_decref(*out);
		r = http_json(h, out, "GET", "/v1/backup", NULL, (struct bytes){0});
		state = cli_text(*out, "state");
		if (r == EX_OK && strcmp(state, "failed") == 0) {
			cli_error("the node could not copy its store: %s", cli_text(*out, "reason"));
			r = json_is_true(cli_get(*out, "full")) ? EX_CANTCREAT : EX_TEMPFAIL;
		} else if (r == EX_OK && strcmp(state, "copying") == 0) {
			cli_progress(&progress, c, "copying the store",
				(uint64_t)json_integer_value(cli_get(*out, "done")),
				(uint64_t)json_integer_value(cli_get(*out, "total")));
			if (backup_is_told_to_end(LOOK_MS))
				r = ended();
		}
	}
	return r;
}

static int fetch(struct http *h, struct target *t, const char *head)
{
	struct problems problems = {0};
	struct backup_head expected;
	struct digest digest;
	int r = offline_result(
		backup_head_parse(&expected, "the node's answer", bytes_str(head), &problems), &problems);

	if (r != EX_OK)
		return r;
	if (fputs(head, t->file) < 0)
		return cannot_write(t->path, errno);
	t->total = expected.bytes;
	r = http_fetch(h, "/v1/backup/database", take_bytes, t);
	if (t->error == EINTR)
		return ended();
	if (t->error != 0)
		return cannot_write(t->path, t->error);
	if (r != EX_OK)
		return r;
	crypto_generichash_final(&t->hash, digest.bytes, DIGEST_LEN);
	if (t->bytes == expected.bytes && digest_equal(&digest, &expected.digest))
		return EX_OK;
	cli_error("the copy was damaged on its way; nothing was kept");
	return EX_IOERR;
}

/* The node lets go of the copy, and notes that it was kept. */
static int finish(struct http *h, bool kept)
{
	json_t *answer = NULL;
	int r;

	if (!kept)
		http_patient(h);
	r = http_json(h, &answer, "DELETE", kept ? "/v1/backup?kept=true" : "/v1/backup", NULL, (struct bytes){0});
	json_decref(answer);
	return r;
}

static int back_up(struct cli *c, struct http *h, const char *path)
{
	struct target t = {0};
	json_t *copy = NULL;
	char size[32];
	int r;

	backup_hold_signals();
	r = target_open(&t, c, path);
	if (r == EX_OK)
		r = begin(h, c);
	if (r != EX_OK)
		goto out;
	r = wait_for_copy(h, c, &copy);
	if (r == EX_OK)
		r = fetch(h, &t, cli_text(copy, "head"));
	if (r == EX_OK)
		r = target_keep(&t);
	if (r != EX_OK) {
		finish(h, false);
		goto out;
	}
	cli_size(size, t.bytes);
	cli_note(c, "%s: a copy of the store, %s", path, size);
	r = finish(h, true);
out:
	target_close(&t);
	json_decref(copy);
	return r;
}

static int run_backup(struct cli *c, int argc, char **argv)
{
	const char *path = cli_value(c, "output");
	struct http *h;
	struct stat st;
	int r;

	if (path == NULL) {
		cli_error("where to? --output FILE");
		return EX_USAGE;
	}
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		cli_error("%s: is no file that can be written over", path);
		return EX_CANTCREAT;
	}
	if (offline_exists(path) && cli_value(c, "replace") == NULL) {
		cli_error("%s: is there already; --replace writes over it", path);
		return EX_CANTCREAT;
	}
	if (c->dry_run) {
		cli_note(c, "would write %s", path);
		return EX_OK;
	}
	r = http_open(&h, c);
	if (r == EX_OK)
		r = back_up(c, h, path);
	http_close(h);
	return r;
}

/* ---- the store key, where the identity key is ---- */

int backup_file_open(struct backup_file *out, const char *path)
{
	struct problems problems = {0};
	FILE *file = fopen(path, "re");
	size_t n;
	int r;

	*out = (struct backup_file){.path = path};
	if (file == NULL) {
		cli_error("%s: cannot be read: %s", path, strerror(errno));
		return EX_NOINPUT;
	}
	n = fread(out->begin, 1, sizeof out->begin, file);
	r = offline_result(backup_head_parse(&out->head, path, bytes_of(out->begin, n), &problems), &problems);
	if (r == EX_OK)
		out->file = file;
	else
		fclose(file);
	return r;
}

void backup_file_close(struct backup_file *b)
{
	if (b->file != NULL)
		fclose(b->file);
	b->file = NULL;
}

static int judge_signer(
	const struct cli *c, const struct backup_file *b, const struct card *card, const char *card_path)
{
	const struct backup_head *h = &b->head;
	const struct card_key *key = card_key(card, h->key);

	if (key == NULL) {
		cli_error("%s is signed by node key %u, which %s does not list: it is not this node's", b->path, h->key,
			card_path);
		return EX_DATAERR;
	}
	if (!backup_head_verify(h, bytes_of(b->begin, h->len), key->sign)) {
		cli_error("%s is not signed by node key %u of %s: somebody else made it or changed it", b->path, h->key,
			card_path);
		return EX_DATAERR;
	}
	if (key->state == CARD_KEY_REVOKED)
		cli_note(c, "node key %u, which signed %s, was revoked since: whoever had it can have made this file",
			h->key, b->path);
	return EX_OK;
}

int backup_check_signer(const struct cli *c, const struct backup_file *b, const char *card_path)
{
	struct card card = {0};
	int r = offline_card(&card, card_path);

	if (r == EX_OK)
		r = judge_signer(c, b, &card, card_path);
	card_deinit(&card);
	return r;
}

int backup_open_key(uint8_t secret[static SECRET_LEN], const struct cli *c, const struct backup_file *b)
{
	const struct backup_head *h = &b->head;
	struct identity identity;
	int r = offline_identity(&identity, c, "identity.key");

	if (r == EX_OK && memcmp(identity.public, h->identity, sizeof h->identity) != 0) {
		cli_error("%s is sealed to another identity key than this one of %s", b->path, identity.member);
		r = EX_DATAERR;
	} else if (r == EX_OK && !backup_unseal(secret, h, identity.secret)) {
		cli_error("%s: the store key in it does not open: the file is damaged", b->path);
		r = EX_DATAERR;
	}
	identity_wipe(&identity);
	return r;
}

static int run_backup_key(struct cli *c, int argc, char **argv)
{
	const char *path = cli_value(c, "output");
	uint8_t secret[SECRET_LEN];
	struct backup_file backup;
	int r = backup_file_open(&backup, argv[0]), error = 0;

	if (r == EX_OK && path == NULL) {
		cli_error("where to? --output FILE");
		r = EX_USAGE;
	}
	if (r == EX_OK && offline_exists(path))
		r = cannot_write(path, EEXIST);
	if (r == EX_OK)
		r = backup_open_key(secret, c, &backup);
	if (r == EX_OK && c->dry_run)
		cli_note(c, "would write %s", path);
	else if (r == EX_OK)
		error = secret_write(path, secret);
	if (error != 0)
		r = cannot_write(path, -error);
	backup_file_close(&backup);
	sodium_memzero(secret, sizeof secret);
	return r;
}

static const struct cli_option backup_options[] = {
	{"output", "FILE", "Where the backup goes; mode 0600"},
	{"reason", "TEXT", "Why, for the node's audit trail"},
	{"replace", NULL, "Write over a file that is there"},
	{0},
};

static const struct cli_option key_options[] = {
	{"identity", "FILE", "The identity key (default: identity.key)"},
	{"passphrase-file", "FILE", "Where its passphrase is; /dev/stdin to type it"},
	{"output", "FILE", "Where the store key goes; mode 0600"},
	{0},
};

const struct command backup_commands[] = {
	{"backup", NULL, "Copy the running node's store into one file",
		"One state of the store while the node goes on, and the store key, sealed to the member's identity "
		"key: who finds "
		"the file learns nothing. Node keys are not in it. The audit trail says that it was made. See enlight "
		"restore.",
		"enlight backup --output /media/safe/enlight.backup --reason weekly", 0, 0, backup_options, run_backup,
		false},
	{"backup key", "BACKUP", "Open the store key of a backup with the identity key",
		"For the offline machine: the backup's first ten lines are enough (head -n 10). What is written opens "
		"the store, so "
		"destroy it when enlight restore --key has used it.",
		"enlight backup key --identity identity.key --output store.key enlight.backup.head", 1, 1, key_options,
		run_backup_key, false},
	{0},
};
