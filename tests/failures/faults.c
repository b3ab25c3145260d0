#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <zmq.h>

static atomic_int armed;   /* the kind of call that fails */
static atomic_size_t left; /* the call that brings it to 0 does; 0: none */
static const char *_Atomic struck;
enum { FRAMES = 12, SKIPPED = 2 };
static void *frames[FRAMES]; /* where */
static int n_frames;

/* Of the sanitizers, where there is one. */
void __sanitizer_symbolize_pc(void *pc, const char *format, char *out, size_t size) __attribute__((weak));

/* Whether this call is the one. */
static bool strikes(enum fault_kind kind, const char *name)
{
	size_t n = left;

	if (armed != (int)kind)
		return false;
	do {
		if (n == 0)
			return false;
	} while (!atomic_compare_exchange_weak(&left, &n, n - 1));
	if (n != 1)
		return false;
	n_frames = backtrace(frames, FRAMES);
	struck = name;
	return true;
}

const char *faults_where(void)
{
	static char where[1024];
	size_t at = 0;

	where[0] = '\0';
	for (int i = SKIPPED; i < n_frames && at + 64 < sizeof where && __sanitizer_symbolize_pc != NULL; i++) {
		where[at++] = ' ';
		__sanitizer_symbolize_pc((char *)frames[i] - 1, "%f:%l", where + at, sizeof where - at);
		at += strlen(where + at);
	}
	return where;
}

void faults_arm(enum fault_kind kind, size_t n)
{
	struck = NULL;
	left = n;
	armed = (int)kind;
}

const char *faults_disarm(void)
{
	armed = 0;
	return struck;
}

/* ---- memory ---- */

static bool fails(void)
{
	return strikes(FAULT_MEMORY, "memory");
}

#include "../unit/failing_memory.h"

static void *sql_malloc(int size)
{
	size_t *p = __wrap_malloc(sizeof *p * 2 + (size_t)size);

	if (p == NULL)
		return NULL;
	*p = (size_t)size;
	return p + 2;
}

static void sql_free(void *p)
{
	if (p != NULL)
		free((size_t *)p - 2);
}

static int sql_size(void *p)
{
	return p == NULL ? 0 : (int)((size_t *)p)[-2];
}

static void *sql_realloc(void *p, int size)
{
	void *q = sql_malloc(size);

	if (q == NULL)
		return NULL;
	memcpy(q, p, (size_t)(sql_size(p) < size ? sql_size(p) : size));
	sql_free(p);
	return q;
}

static int sql_roundup(int size)
{
	return (size + 7) & ~7;
}

static int sql_init(void *context)
{
	(void)context;
	return SQLITE_OK;
}

static void sql_shutdown(void *context)
{
	(void)context;
}

/* ---- the system ---- */

/* A call that answers -1 with this errno; what it is otherwise, the linker knows. */
#define FAILING(type, failed, error, name, params, args)                                                               \
	type __real_##name params;                                                                                     \
	type __wrap_##name params;                                                                                     \
	type __wrap_##name params                                                                                      \
	{                                                                                                              \
		if (strikes(FAULT_CALL, #name)) {                                                                      \
			errno = error;                                                                                 \
			return failed;                                                                                 \
		}                                                                                                      \
		return __real_##name args;                                                                             \
	}

FAILING(ssize_t, -1, EIO, read, (int fd, void *to, size_t n), (fd, to, n))
FAILING(ssize_t, -1, ENOSPC, write, (int fd, const void *from, size_t n), (fd, from, n))
FAILING(FILE *, NULL, EMFILE, fopen, (const char *path, const char *mode), (path, mode))
FAILING(DIR *, NULL, EMFILE, opendir, (const char *path), (path))
FAILING(int, -1, EIO, fsync, (int fd), (fd))
FAILING(int, -1, EIO, rename, (const char *from, const char *to), (from, to))
FAILING(int, -1, EIO, ftruncate, (int fd, off_t size), (fd, size))
FAILING(int, -1, EACCES, mkdir, (const char *path, mode_t mode), (path, mode))
FAILING(int, -1, EACCES, chmod, (const char *path, mode_t mode), (path, mode))
FAILING(int, -1, EPERM, fchmod, (int fd, mode_t mode), (fd, mode))
FAILING(int, -1, EACCES, stat, (const char *path, struct stat *st), (path, st))
FAILING(int, -1, EACCES, lstat, (const char *path, struct stat *st), (path, st))
FAILING(int, -1, EIO, fstat, (int fd, struct stat *st), (fd, st))
FAILING(int, -1, EIO, statvfs, (const char *path, struct statvfs *st), (path, st))
FAILING(int, -1, ENOLCK, flock, (int fd, int how), (fd, how))
FAILING(int, -1, EMFILE, socket, (int family, int type, int protocol), (family, type, protocol))
FAILING(int, -1, EADDRINUSE, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAILING(int, -1, EADDRINUSE, listen, (int fd, int n), (fd, n))
FAILING(int, -1, ECONNREFUSED, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAILING(ssize_t, -1, ECONNRESET, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags))
FAILING(int, -1, ENOPROTOOPT, setsockopt, (int fd, int level, int name, const void *v, socklen_t n),
	(fd, level, name, v, n))
FAILING(int, -1, ENOPROTOOPT, getsockopt, (int fd, int level, int name, void *v, socklen_t *n), (fd, level, name, v, n))
FAILING(int, -1, ENOMEM, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, ms))
FAILING(int, -1, EMFILE, pipe2, (int fds[2], int flags), (fds, flags))
FAILING(int, -1, EMFILE, dup, (int fd), (fd))
FAILING(pid_t, -1, EAGAIN, fork, (void), ())
FAILING(int, -1, EMFILE, eventfd, (unsigned n, int flags), (n, flags))
FAILING(int, -1, EMFILE, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
FAILING(int, -1, EMFILE, timerfd_create, (int clock, int flags), (clock, flags))
FAILING(int, EAGAIN, EAGAIN, pthread_create,
	(pthread_t * t, const pthread_attr_t *a, void *(*run)(void *), void *context), (t, a, run, context))
FAILING(void *, NULL, EMFILE, zmq_ctx_new, (void), ())
FAILING(int, -1, EINVAL, zmq_ctx_set, (void *context, int option, int value), (context, option, value))
FAILING(void *, NULL, EMFILE, zmq_socket, (void *context, int type), (context, type))
FAILING(int, -1, EINVAL, zmq_setsockopt, (void *s, int option, const void *v, size_t n), (s, option, v, n))
FAILING(int, -1, EINVAL, zmq_getsockopt, (void *s, int option, void *v, size_t *n), (s, option, v, n))
FAILING(int, -1, EADDRINUSE, zmq_bind, (void *s, const char *at), (s, at))
FAILING(int, -1, EMTHREAD, zmq_connect, (void *s, const char *to), (s, to))
FAILING(int, -1, EMFILE, zmq_socket_monitor, (void *s, const char *at, int events), (s, at, events))
FAILING(int, -1, EAGAIN, zmq_send, (void *s, const void *from, size_t n, int flags), (s, from, n, flags))
FAILING(int, -1, EAGAIN, zmq_msg_send, (zmq_msg_t * m, void *s, int flags), (m, s, flags))
FAILING(int, -1, EAGAIN, zmq_msg_recv, (zmq_msg_t * m, void *s, int flags), (m, s, flags))
FAILING(int, -1, ENOMEM, zmq_msg_init_size, (zmq_msg_t * m, size_t n), (m, n))

int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	if ((flags & O_CREAT) != 0) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if (strikes(FAULT_CALL, "open")) {
		errno = EMFILE;
		return -1;
	}
	return __real_open(path, flags, mode);
}

/* ---- SQLite's own calls ---- */

static int sql_open(const char *path, int flags, int mode)
{
	return __wrap_open(path, flags, (mode_t)mode);
}

static ssize_t sql_pread(int fd, void *to, size_t n, off_t at)
{
	if (!strikes(FAULT_CALL, "SQLite's pread"))
		return pread(fd, to, n, at);
	errno = EIO;
	return -1;
}

static ssize_t sql_pwrite(int fd, const void *from, size_t n, off_t at)
{
	if (!strikes(FAULT_CALL, "SQLite's pwrite"))
		return pwrite(fd, from, n, at);
	errno = EIO;
	return -1;
}

void faults_init(void)
{
	static const sqlite3_mem_methods memory = {
		sql_malloc, sql_free, sql_realloc, sql_size, sql_roundup, sql_init, sql_shutdown, NULL};
	sqlite3_vfs *vfs;

	backtrace(frames, FRAMES); /* which allocates the first time */
	json_set_alloc_funcs(__wrap_malloc, free);
	sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
	sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* nothing comes from a store of its own */
	vfs = sqlite3_vfs_find(NULL);
	vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)sql_open);
	vfs->xSetSystemCall(vfs, "pread", (sqlite3_syscall_ptr)sql_pread);
	vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)sql_pread);
	vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)sql_pwrite);
	vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)sql_pwrite);
}
