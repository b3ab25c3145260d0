#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int sqlite_why(char **why, int r, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(why, format, args) < 0)
		*why = NULL;
	va_end(args);
	return r;
}

int sqlite_path(char **out, const char *url, const char *folder, char **why)
{
	static const char scheme[] = "sqlite:";
	const char *path = url + sizeof scheme - 1;
	int n;

	*out = NULL;
	if (strncmp(url, scheme, sizeof scheme - 1) != 0 || *path == '\0')
		return sqlite_why(why, -EINVAL, "the store's URL is not sqlite:PATH");
	n = *path == '/' ? asprintf(out, "%s", path) : asprintf(out, "%s/%s", folder, path);
	if (n < 0)
		*out = NULL;
	return *out != NULL ? 0 : -ENOMEM;
}

int sqlite_mark(char **out, bool *there, const char *path)
{
	if (asprintf(out, "%s.unfinished", path) < 0) {
		*out = NULL;
		return -ENOMEM;
	}
	*there = access(*out, F_OK) == 0;
	return 0;
}

static int failed(char **why, const char *what, const char *path)
{
	int r = -errno;

	return sqlite_why(why, r, "cannot %s %s: %s", what, path, strerror(-r));
}

static int locked_by_another(int fd, const char *path, char **why)
{
	char pid[24] = "";
	ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

	if (n > 0)
		pid[strspn(pid, "0123456789")] = '\0';
	if (n <= 0 || *pid == '\0')
		return sqlite_why(why, -EBUSY, "%s is open in another node", path);
	return sqlite_why(why, -EBUSY, "%s is open in another node (process %s)", path, pid);
}

/* The lock is on an open file, not on a process: it also keeps a second store of this process out, and a killed process
 * leaves none behind. The file itself stays, since removing it would let two hold a lock on two files of that name. */
static int take_lock(int *out, const char *lock, const char *path, char **why)
{
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600), r = 0;

	if (fd < 0)
		return failed(why, "open", lock);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? locked_by_another(fd, path, why) : failed(why, "lock", lock);
	/* The number only helps people; a full disk may leave it out. */
	if (r == 0 && (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0))
		errno = 0;
	if (r != 0)
		close(fd);
	else
		*out = fd;
	return r;
}

int sqlite_lock(int *fd, const char *path, char **why)
{
	char *lock;
	int r;

	if (asprintf(&lock, "%s.lock", path) < 0)
		return -ENOMEM;
	r = take_lock(fd, lock, path, why);
	free(lock);
	return r;
}

static int sync_and_drop(const char *path, int flags, char **why)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	int r = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : failed(why, "open", path);
	if (fsync(fd) < 0)
		r = failed(why, "sync", path);
	else if (posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
		r = sqlite_why(why, -EIO, "cannot drop %s from the page cache", path);
	close(fd);
	return r;
}

/* Makes the name of a new file durable. */
static int sync_parent(const char *path, char **why)
{
	const char *slash = strrchr(path, '/');
	char *parent = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	int r;

	if (parent == NULL)
		return -ENOMEM;
	r = sync_and_drop(parent, O_RDONLY | O_DIRECTORY, why);
	free(parent);
	return r;
}

int sqlite_settle(const char *path, char **why)
{
	char *wal;
	int r;

	if (asprintf(&wal, "%s-wal", path) < 0)
		return -ENOMEM;
	r = sync_and_drop(path, O_RDWR | O_CREAT, why);
	if (r == 0)
		r = sync_and_drop(wal, O_RDWR, why);
	if (r == 0)
		r = sync_parent(path, why);
	free(wal);
	return r;
}
