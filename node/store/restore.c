#include "store/restore.h"

#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_BYTES = 1 << 20 };

/* A database and what lies beside it. The lock's file stays. */
static const char *const endings[] = {"", "-wal", "-shm"};
enum { N_ENDINGS = sizeof endings / sizeof *endings };

static int look(struct restore *r)
{
	int result;

	free(r->copy);
	result = sqlite_mark(&r->copy, &r->unfinished, r->path);
	if (result == 0 && !r->unfinished) {
		free(r->copy);
		if (asprintf(&r->copy, "%s.restoring", r->path) < 0) {
			r->copy = NULL;
			result = -ENOMEM;
		}
	}
	r->present = access(r->path, F_OK) == 0;
	return result;
}

int restore_look(struct restore *out, const char *url, const char *folder, char **why)
{
	int r;

	*out = (struct restore){.lock = -1};
	*why = NULL;
	r = sqlite_path(&out->path, url, folder, why);
	if (r == 0)
		r = look(out);
	if (r != 0)
		restore_close(out);
	return r;
}

int restore_take(struct restore *r, char **why)
{
	int result;

	*why = NULL;
	result = sqlite_lock(&r->lock, r->path, why);
	return result == 0 ? look(r) : result; /* who ended just now may have changed what is there */
}

/* Takes no memory: what is left when there is none must go as well. */
static int remove_with(const char *path, const char *ending)
{
	char name[PATH_MAX];

	if (snprintf(name, sizeof name, "%s%s", path, ending) >= (int)sizeof name)
		return -ENAMETOOLONG;
	return unlink(name) < 0 && errno != ENOENT ? -errno : 0;
}

/* A copy whose name keeps nodes out stays there, to be written over. */
static int remove_copy(const struct restore *r)
{
	int result = remove_with(r->copy, ".lock");

	for (size_t i = r->unfinished ? 1 : 0; i < N_ENDINGS && result == 0; i++)
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
	int result = -ENOMEM, to = -1;

	if (part != NULL)
		result = remove_copy(r);
	if (result == 0)
		to = open(r->copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (result == 0 && to < 0)
		result = -errno;
	crypto_generichash_init(&hash, NULL, 0, DIGEST_LEN);
	for (uint64_t done = 0; result == 0 && done < bytes;) {
		size_t len = bytes - done < PART_BYTES ? (size_t)(bytes - done) : PART_BYTES;

		result = copy_part(to, from, part, len, &hash);
		done += len;
		if (result == 0 && progress != NULL && !progress(context, done, bytes))
			result = -ECANCELED;
	}
	if (result == 0)
		result = check_end(from);
	crypto_generichash_final(&hash, seen.bytes, DIGEST_LEN);
	if (result == 0 && !digest_equal(&seen, digest))
		result = RESTORE_DAMAGED;
	if (result == 0 && fsync(to) < 0)
		result = -errno;
	if (to >= 0)
		close(to);
	free(part);
	return result;
}

static int check_closed(const struct restore *r)
{
	char *wal;
	int result;

	if (asprintf(&wal, "%s-wal", r->copy) < 0)
		return -ENOMEM;
	result = access(wal, F_OK) == 0 ? -EBUSY : 0; /* somebody has it open still */
	free(wal);
	return result;
}

static int mark(struct restore *r)
{
	char *name;
	bool there;
	int result = sqlite_mark(&name, &there, r->path);

	if (result == 0)
		result = remove_with(r->copy, ".lock");
	if (result == 0)
		result = remove_with(r->copy, "-shm"); /* closing may have left it */
	if (result == 0 && rename(r->copy, name) < 0)
		result = -errno;
	if (result != 0) {
		free(name);
		return result;
	}
	free(r->copy);
	r->copy = name;
	r->unfinished = r->begun = true;
	return file_sync_folder(r->path);
}

static int link_to(const char *from, const char *to)
{
	return link(from, to) < 0 && errno != ENOENT ? -errno : 0;
}

/* When both are one file, rename() leaves both names. */
static int move_back(const char *to, const char *from)
{
	return (rename(from, to) < 0 || unlink(from) < 0) && errno != ENOENT ? -errno : 0;
}

/* Does it to a file of the store's and the name under which that is kept. */
static int with_kept(const struct restore *r, const char *ending, const char *suffix,
	int (*act)(const char *place, const char *kept))
{
	char *place = NULL, *kept = NULL;
	int result = -ENOMEM;

	if (asprintf(&place, "%s%s", r->path, ending) < 0)
		place = NULL;
	if (asprintf(&kept, "%s%s%s", r->path, suffix, ending) < 0)
		kept = NULL;
	if (place != NULL && kept != NULL)
		result = act(place, kept);
	free(place);
	free(kept);
	return result;
}

/* The database last: once it has its second name, all have. */
static int keep(const struct restore *r, const char *suffix)
{
	struct stat st;
	int result = 0;

	if (!r->begun && stat(r->path, &st) == 0 && st.st_nlink > 1)
		return 0;
	for (size_t i = N_ENDINGS; i-- > 0 && result == 0;)
		result = with_kept(r, endings[i], suffix, link_to);
	return result == 0 ? file_sync_folder(r->path) : result;
}

int restore_begin(struct restore *r, const char *suffix)
{
	int result = check_closed(r);

	if (result == 0 && !r->unfinished)
		result = mark(r);
	return result == 0 ? keep(r, suffix) : result;
}

int restore_put(struct restore *r)
{
	char *why = NULL;
	int result = 0;

	for (size_t i = 1; i < N_ENDINGS && result == 0; i++)
		result = remove_with(r->path, endings[i]);
	if (result == 0)
		result = file_sync_folder(r->path); /* the old log never lies beside the new database */
	if (result == 0 && rename(r->copy, r->path) < 0)
		result = -errno;
	r->put = result == 0;
	if (r->put)
		result = sqlite_settle(r->path, &why); /* and its name */
	free(why);
	if (r->put && result != 0 && rename(r->path, r->copy) == 0)
		r->put = false; /* so no node starts while the key may be another's */
	r->unfinished = result != 0;
	return result;
}

int restore_undo(struct restore *r, const char *suffix)
{
	int result = 0;

	if (!r->begun)
		return 0;
	if (r->put && rename(r->path, r->copy) < 0)
		result = -errno;
	for (size_t i = 0; i < N_ENDINGS && result == 0; i++)
		result = with_kept(r, endings[i], suffix, move_back);
	if (result == 0)
		result = file_sync_folder(r->path);
	r->unfinished = result != 0;
	return result;
}

void restore_discard(struct restore *r)
{
	if (r->lock >= 0 && r->copy != NULL)
		remove_copy(r);
}

void restore_close(struct restore *r)
{
	if (r->lock >= 0)
		close(r->lock);
	free(r->path);
	free(r->copy);
	*r = (struct restore){.lock = -1};
}
