#include "store/backup.h"

#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	STEP_PAGES = 16,             /* copied in one step: 128 KiB, so that a commit waits for little */
	STEP_READ_BYTES = 256 << 10, /* of which the digest is made in one */
};

struct backup {
	uint64_t reserve_bytes;
	int fd;
	sqlite3 *copy; /* NULL: copied */
	sqlite3_backup *copying;
	crypto_generichash_state hash;
	uint8_t *buffer; /* STEP_READ_BYTES */
	uint64_t page_bytes, hashed;

	/* What other threads look at; what is not atomic is written before the state says that it is ready. */
	_Atomic enum backup_state state;
	_Atomic uint64_t done, total, lacked_bytes;
	_Atomic int error;
	_Atomic bool given_up;
	uint64_t bytes;
	struct digest digest;
};

/* The copy needs no journal and no sync: it counts when it has been read to its end, and is thrown away otherwise. */
static const char *const configuration[] = {
	"PRAGMA journal_mode = OFF",
	"PRAGMA synchronous = OFF",
	"PRAGMA cache_size = -512",
	"PRAGMA mmap_size = 0",
};

/* Opens a new file that has no name any more. */
static int open_copy(struct backup *b, const char *folder)
{
	char *path;
	int rc, r;

	if (asprintf(&path, "%s/backup.XXXXXX", folder) < 0)
		return -ENOMEM;
	b->fd = mkostemp(path, O_CLOEXEC);
	if (b->fd < 0) {
		r = -errno;
		free(path);
		return r;
	}
	rc = sqlite3_open_v2(path, &b->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	r = sqlite_open_error(b->copy, rc);
	unlink(path);
	free(path);
	if (r == 0)
		r = sqlite_error(
			sqlite_configure(b->copy, configuration, sizeof configuration / sizeof *configuration));
	return r == LEDGER_FULL ? -ENOSPC : r;
}

int backup_new(struct backup **out, const char *folder, uint64_t reserve_bytes)
{
	struct backup *b = calloc(1, sizeof *b);
	int r = -ENOMEM;

	*out = NULL;
	if (b == NULL)
		return r;
	b->fd = -1;
	b->reserve_bytes = reserve_bytes;
	atomic_store(&b->state, BACKUP_UNDER_WAY);
	b->buffer = malloc(STEP_READ_BYTES);
	if (b->buffer != NULL)
		r = open_copy(b, folder);
	if (r == 0)
		*out = b;
	else
		backup_free(b);
	return r;
}

/* What only the copying needs. */
static int close_copy(struct backup *b)
{
	int rc = sqlite3_backup_finish(b->copying);

	b->copying = NULL;
	sqlite3_close(b->copy);
	b->copy = NULL;
	return sqlite_error(rc);
}

void backup_free(struct backup *b)
{
	if (b == NULL)
		return;
	close_copy(b);
	if (b->fd >= 0)
		close(b->fd);
	free(b->buffer);
	free(b);
}

void backup_look(const struct backup *b, struct backup_view *out)
{
	*out = (struct backup_view){.state = atomic_load(&b->state),
		.done = atomic_load(&b->done),
		.total = atomic_load(&b->total),
		.error = atomic_load(&b->error),
		.lacked_bytes = atomic_load(&b->lacked_bytes)};
	if (out->state != BACKUP_READY)
		return;
	out->bytes = b->bytes;
	out->digest = b->digest;
}

void backup_give_up(struct backup *b)
{
	atomic_store(&b->given_up, true);
}

int backup_file(const struct backup *b)
{
	return b->fd;
}

/* Whether `bytes` more would leave the reserve free: 0, -ENOSPC or -errno. */
static int check_room(struct backup *b, uint64_t bytes)
{
	struct statvfs fs;

	if (fstatvfs(b->fd, &fs) < 0)
		return -errno;
	atomic_store(&b->lacked_bytes, bytes + b->reserve_bytes);
	return (uint64_t)fs.f_bavail * fs.f_frsize < bytes + b->reserve_bytes ? -ENOSPC : 0;
}

static int begin(struct backup *b, struct store *s)
{
	int rc;

	b->copying = sqlite3_backup_init(b->copy, "main", store_connection(s, &b->page_bytes), "main");
	if (b->copying == NULL)
		return sqlite_error(sqlite3_extended_errcode(b->copy));
	rc = sqlite3_backup_step(b->copying, 0); /* counts the pages */
	if (rc != SQLITE_OK)
		return sqlite_error(rc);
	return check_room(b, (uint64_t)sqlite3_backup_pagecount(b->copying) * b->page_bytes);
}

static void note_copied(struct backup *b)
{
	uint64_t total = (uint64_t)sqlite3_backup_pagecount(b->copying) * b->page_bytes;

	atomic_store(&b->total, 2 * total);
	atomic_store(&b->done, total - (uint64_t)sqlite3_backup_remaining(b->copying) * b->page_bytes);
}

static int copy_part(struct backup *b, struct store *s)
{
	int r = b->copying == NULL ? begin(b, s) : check_room(b, STEP_PAGES * b->page_bytes);
	int rc;

	if (r != 0)
		return r;
	rc = sqlite3_backup_step(b->copying, STEP_PAGES);
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		return sqlite_error(rc);
	note_copied(b);
	if (rc != SQLITE_DONE)
		return 0;
	crypto_generichash_init(&b->hash, NULL, 0, DIGEST_LEN);
	return close_copy(b);
}

enum { DIGESTED = 1 };

/* Reads a part of the copy for its digest; DIGESTED: that was all. */
static int digest_part(struct backup *b)
{
	ssize_t n = pread(b->fd, b->buffer, STEP_READ_BYTES, (off_t)b->hashed);

	if (n < 0)
		return -errno;
	crypto_generichash_update(&b->hash, b->buffer, (size_t)n);
	b->hashed += (uint64_t)n;
	atomic_fetch_add(&b->done, (uint64_t)n);
	if (n > 0)
		return 0;
	crypto_generichash_final(&b->hash, b->digest.bytes, DIGEST_LEN);
	b->bytes = b->hashed;
	return DIGESTED;
}

/* Who sees the last state may free it at once: nothing comes behind that. */
bool backup_step(struct backup *b, struct store *s)
{
	bool copied = b->copy == NULL;
	int r = atomic_load(&b->given_up) ? -ECANCELED : copied ? digest_part(b) : copy_part(b, s);

	if (r == 0)
		return true;
	if (copied && r == DIGESTED) {
		atomic_store(&b->state, BACKUP_READY);
		return false;
	}
	if (b->copy != NULL)
		close_copy(b);
	atomic_store(&b->error, r == LEDGER_FULL ? -ENOSPC : r);
	atomic_store(&b->state, BACKUP_FAILED);
	return false;
}
