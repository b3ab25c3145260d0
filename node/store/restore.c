#include "store/restore.h"

#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PART_BYTES = 1 << 20 };

/* What lies beside a database. The lock's file stays. */
static const char *const endings[] = {"", "-wal", "-shm"};
enum { N_ENDINGS = sizeof endings / sizeof *endings };

int restore_look(struct restore *out, const char *url, const char *folder, char **why)
{
	int r;

	*out = (struct restore){.lock = -1, .file = -1};
	*why = NULL;
	r = sqlite_path(&out->path, url, folder, why);
	if (r == 0 && asprintf(&out->copy, "%s.restoring", out->path) < 0) {
		out->copy = NULL;
		r = -ENOMEM;
	}
	if (r == 0)
		out->present = access(out->path, F_OK) == 0;
	else
		restore_close(out);
	return r;
}

int restore_open(struct restore *out, const char *url, const char *folder, char **why)
{
	int r = restore_look(out, url, folder, why);

	if (r != 0)
		return r;
	r = sqlite_lock(&out->lock, out->path, why);
	if (r == 0)
		out->present = access(out->path, F_OK) == 0; /* a node that ended just now may have made it */
	else
		restore_close(out);
	return r;
}

/* Takes no memory: what is left when there is none must go as well. */
static int remove_with(const char *path, const char *ending)
{
	char name[PATH_MAX];

	if (snprintf(name, sizeof name, "%s%s", path, ending) >= (int)sizeof name)
		return -ENAMETOOLONG;
	return unlink(name) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_copy(struct restore *r)
{
	int result = remove_with(r->copy, ".lock");

	if (r->file >= 0)
		close(r->file);
	r->file = -1;
	for (size_t i = 0; i < N_ENDINGS && result == 0; i++)
		result = remove_with(r->copy, endings[i]);
	return result;
}

/* One part more; RESTORE_DAMAGED when the file ends before. */
static int copy_part(int to, int from, uint8_t *part, size_t len, crypto_generichash_state *hash)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(from, part + got, len - got);

		if (n <= 0)
			return n < 0 ? -errno : RESTORE_DAMAGED;
		got += (size_t)n;
	}
	crypto_generichash_update(hash, part, len);
	for (size_t put = 0; put < len;) {
		ssize_t n = write(to, part + put, len - put);

		if (n < 0)
			return -errno;
		put += (size_t)n;
	}
	return 0;
}

/* RESTORE_DAMAGED when the file goes on. */
static int check_end(int from)
{
	char byte;
	ssize_t n = read(from, &byte, 1);

	return n < 0 ? -errno : n > 0 ? RESTORE_DAMAGED : 0;
}

int restore_copy(struct restore *r, int from, uint64_t bytes, const struct digest *digest,
	bool (*progress)(void *context, uint64_t done, uint64_t total), void *context)
{
	uint8_t *part = malloc(PART_BYTES);
	crypto_generichash_state hash;
	struct digest seen;
	int result = -ENOMEM;

	if (part != NULL)
		result = remove_copy(r);
	if (result == 0)
		r->file = open(r->copy, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (result == 0 && r->file < 0)
		result = -errno;
	crypto_generichash_init(&hash, NULL, 0, DIGEST_LEN);
	for (uint64_t done = 0; result == 0 && done < bytes;) {
		size_t len = bytes - done < PART_BYTES ? (size_t)(bytes - done) : PART_BYTES;

		result = copy_part(r->file, from, part, len, &hash);
		done += len;
		if (result == 0 && progress != NULL && !progress(context, done, bytes))
			result = -ECANCELED;
	}
	if (result == 0)
		result = check_end(from);
	crypto_generichash_final(&hash, seen.bytes, DIGEST_LEN);
	if (result == 0 && !digest_equal(&seen, digest))
		result = RESTORE_DAMAGED;
	if (result == 0 && fsync(r->file) < 0)
		result = -errno;
	free(part);
	return result;
}

/* Puts a file of the store's aside, or `back`. */
static int rename_with(const struct restore *r, const char *ending, const char *suffix, bool back)
{
	char *from = NULL, *to = NULL;
	int result = -ENOMEM;

	if (asprintf(&from, "%s%s", r->path, ending) < 0)
		from = NULL;
	if (asprintf(&to, "%s%s%s", r->path, suffix, ending) < 0)
		to = NULL;
	if (from != NULL && to != NULL)
		result = rename(back ? to : from, back ? from : to) < 0 && errno != ENOENT ? -errno : 0;
	free(from);
	free(to);
	return result;
}

/* The old database goes first, then its WAL. Stopped in between there is no store, which anybody sees; the other way round there would be
 * one without its last commits, which nobody does. */
int restore_put(struct restore *r, const char *suffix)
{
	char *why = NULL, *wal;
	size_t n = 0;
	bool put;
	int result = 0;

	if (asprintf(&wal, "%s-wal", r->copy) < 0)
		return -ENOMEM;
	if (access(wal, F_OK) == 0)
		result = -EBUSY; /* somebody has it open still */
	free(wal);
	while (n < N_ENDINGS && result == 0)
		result = rename_with(r, endings[n++], suffix, false);
	put = result == 0 && rename(r->copy, r->path) == 0;
	if (result == 0)
		result = put ? sqlite_settle(r->path, &why) /* and its name */ : -errno;
	free(why);
	if (result != 0 && put)
		rename(r->path, r->copy);
	while (result != 0 && n > 0)
		rename_with(r, endings[--n], suffix, true);
	return result;
}

void restore_close(struct restore *r)
{
	if (r->lock >= 0 && r->copy != NULL)
		remove_copy(r); /* closes it */
	if (r->lock >= 0)
		close(r->lock);
	free(r->path);
	free(r->copy);
	*r = (struct restore){.lock = -1, .file = -1};
}
