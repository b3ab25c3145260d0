#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <jansson.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

static atomic_int armed;   /* the kind of call that fails */
static atomic_size_t left; /* the call that brings it to 0 does; 0: none */
static const char *_Atomic struck;
enum { FRAMES = 12, SKIPPED = 2 };
static void *frames[FRAMES]; /* where */
static int n_frames;

/* ---- places ---- */

enum { PLACES_MAX = 8192, PLACE_FRAMES = 5, NAME_LEN = 40 };

struct place {
	atomic_uint_fast64_t id; /* 0: free */
	atomic_size_t visits, failures;
	char name[NAME_LEN];
};

/* What lies in the file; all zero at first. */
static struct shared {
	atomic_size_t each; /* 0: nothing fails */
	char struck[NAME_LEN];
	atomic_int n_frames;
	void *frames[FRAMES];
	struct place places[PLACES_MAX];
} * shared;
static bool is_subject;

/* Of the linker: where our own code lies. */
extern const char __executable_start[], etext[];

static void map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof *shared) < 0)
		abort();
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		abort();
	close(fd);
}

void faults_share(const char *path)
{
	map(path);
	is_subject = false;
}

void faults_subject(const char *path)
{
	map(path);
	is_subject = true;
}

void faults_arm_place(size_t each)
{
	shared->struck[0] = '\0';
	shared->each = each;
}

const char *faults_disarm_place(void)
{
	shared->each = 0;
	return shared->struck[0] == '\0' ? NULL : shared->struck;
}

size_t faults_of(const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < PLACES_MAX; i++)
		if (strcmp(shared->places[i].name, name) == 0)
			n += shared->places[i].failures;
	return n;
}

/* The innermost frames of our own, the same in each life of a program wherever it was loaded. */
static uint64_t place_here(void *const *stack, int n)
{
	uint64_t id = 1469598103934665603u;

	for (int i = 0, taken = 0; i < n && taken < PLACE_FRAMES; i++) {
		const char *at = stack[i];

		if (at < __executable_start || at >= etext)
			continue;
		id = (id ^ (uint64_t)(at - __executable_start)) * 1099511628211u;
		taken++;
	}
	return id;
}

static struct place *place_of(uint64_t id, const char *name)
{
	for (size_t i = id % PLACES_MAX;; i = (i + 1) % PLACES_MAX) {
		struct place *p = &shared->places[i];
		uint64_t free_id = 0;

		if (atomic_compare_exchange_strong(&p->id, &free_id, id)) {
			snprintf(p->name, sizeof p->name, "%s", name);
			return p;
		}
		if (free_id == id)
			return p;
	}
}

/* Every other visit fails at first, as the place's number draws it, then every eighth, and so on: not always the first place of many that
 * are met one after the other. */
static bool is_due(struct place *p)
{
	uint64_t drawn = (p->id + ++p->visits) * 0x9e3779b97f4a7c15u;

	return (drawn >> 32) % ((uint64_t)2 << (2 * p->failures)) == 0;
}

/* Whether this call, of the system, is one to fail where the test goes by places. */
static bool strikes_here(const char *name)
{
	size_t each = shared->each;
	void *stack[FRAMES * 2];
	struct place *p;
	int n;

	if (each == 0)
		return false;
	n = backtrace(stack, FRAMES * 2);
	p = place_of(place_here(stack, n), name);
	if (p->failures >= each || !is_due(p) || !atomic_compare_exchange_strong(&shared->each, &each, 0))
		return false;
	p->failures++;
	memcpy(shared->frames, stack, sizeof shared->frames);
	shared->n_frames = n < FRAMES ? n : FRAMES;
	snprintf(shared->struck, sizeof shared->struck, "%s", name);
	return true;
}

/* ---- which calls there are ---- */

enum { LEARNT_MAX = 1 << 16 };
static atomic_int learning; /* the kind of call whose places are noted */
static atomic_size_t n_learnt;
static uint64_t learnt[LEARNT_MAX];

static void learn(void)
{
	void *stack[FRAMES * 2];
	size_t n = n_learnt++;

	if (n >= LEARNT_MAX)
		abort();
	learnt[n] = place_here(stack, backtrace(stack, FRAMES * 2));
}

void faults_learn(enum fault_kind kind)
{
	n_learnt = 0;
	learning = (int)kind;
}

size_t faults_learnt(void)
{
	learning = 0;
	return n_learnt;
}

size_t faults_visits(size_t n)
{
	size_t visits = 0;

	for (size_t i = 0; i + 1 < n; i++)
		visits += learnt[i] == learnt[n - 1];
	return visits;
}

/* Of the sanitizers, where there is one. */
void __sanitizer_symbolize_pc(void *pc, const char *format, char *out, size_t size) __attribute__((weak));

static _Thread_local bool is_paused;

void faults_pause(bool paused)
{
	is_paused = paused;
}

bool faults_strike(enum fault_kind kind, const char *name)
{
	size_t n = left;

	if (is_paused)
		return false;
	if (is_subject && kind == FAULT_CALL)
		return strikes_here(name);
	if (learning == (int)kind)
		learn();
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
	void *const *stack = shared == NULL ? frames : shared->frames;
	int n = shared == NULL ? n_frames : shared->n_frames;
	size_t at = 0;

	where[0] = '\0';
	for (int i = SKIPPED; i < n && at + 64 < sizeof where && __sanitizer_symbolize_pc != NULL; i++) {
		where[at++] = ' ';
		__sanitizer_symbolize_pc((char *)stack[i] - 1, "%f:%l", where + at, sizeof where - at);
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
	return faults_strike(FAULT_MEMORY, "memory");
}

#include "../unit/failing_memory.h"

/* jansson 2.14 reads and writes beyond a string for whose end it had no memory: it always has some while it parses. */
json_t *__real_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t len, size_t flags, json_error_t *error)
{
	bool was_paused = is_paused;
	json_t *json;

	is_paused = true;
	json = __real_json_loadb(text, len, flags, error);
	is_paused = was_paused;
	return json;
}

static bool is_sqlite_spared;

void faults_spare_sqlite(void)
{
	is_sqlite_spared = true;
}

static void *sql_malloc(int size)
{
	size_t *p = (is_sqlite_spared ? __real_malloc : __wrap_malloc)(sizeof *p * 2 + (size_t)size);

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

/* ---- time ---- */

static unsigned speed = 1;

void faults_hurry(unsigned times)
{
	speed = times;
}

static long hurried(long ms)
{
	return ms <= 0 ? ms : (ms + speed - 1) / speed;
}

static struct timespec from_ns(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

static uint64_t to_ns(struct timespec t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* As timers take it: 0 would be none. */
static struct timespec hurried_time(struct timespec t)
{
	return from_ns((to_ns(t) + speed - 1) / speed);
}

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = __real_clock_gettime(clock, t);

	if (clock == CLOCK_MONOTONIC)
		*t = from_ns(to_ns(*t) * speed);
	return r;
}

/* Ours wait by the monotonic clock. */
int __real_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *until)
{
	const struct timespec real = hurried_time(*until);

	return __real_pthread_cond_timedwait(c, m, &real);
}

/* ---- the system ---- */

/* A call that answers -1 with this errno; what it is otherwise, the linker knows. Files are opened and looked at by the names that
 * the C library has for them where sizes have 64 bits, as Meson asks for everywhere. */
#define FAILING(type, failed, error, name, params, args)                                                               \
	type __real_##name params;                                                                                     \
	type __wrap_##name params;                                                                                     \
	type __wrap_##name params                                                                                      \
	{                                                                                                              \
		if (faults_strike(FAULT_CALL, #name)) {                                                                \
			errno = error;                                                                                 \
			return failed;                                                                                 \
		}                                                                                                      \
		return __real_##name args;                                                                             \
	}

FAILING(ssize_t, -1, EIO, read, (int fd, void *to, size_t n), (fd, to, n))
FAILING(ssize_t, -1, ENOSPC, write, (int fd, const void *from, size_t n), (fd, from, n))
FAILING(FILE *, NULL, EMFILE, fopen64, (const char *path, const char *mode), (path, mode))
FAILING(DIR *, NULL, EMFILE, opendir, (const char *path), (path))
FAILING(int, -1, EIO, fsync, (int fd), (fd))
FAILING(int, EOF, EIO, fflush, (FILE * f), (f))
FAILING(int, -1, EIO, access, (const char *path, int how), (path, how))
FAILING(int, -1, EACCES, mkstemp64, (char *path), (path))
FAILING(FILE *, NULL, ENOMEM, fdopen, (int fd, const char *mode), (fd, mode))
FAILING(off_t, -1, EIO, lseek64, (int fd, off_t at, int whence), (fd, at, whence))
FAILING(ssize_t, -1, EIO, pread64, (int fd, void *to, size_t n, off_t at), (fd, to, n, at))
FAILING(int, -1, EPERM, fchown, (int fd, uid_t user, gid_t group), (fd, user, group))
FAILING(int, EIO, EIO, posix_fadvise64, (int fd, off_t at, off_t n, int advice), (fd, at, n, advice))
FAILING(char *, NULL, EACCES, realpath, (const char *path, char *out), (path, out))
FAILING(int, -1, EACCES, unlink, (const char *path), (path))
FAILING(int, -1, EACCES, mkostemp64, (char *path, int flags), (path, flags))
FAILING(int, -1, EACCES, scandir64,
	(const char *path, struct dirent ***out, int (*filter)(const struct dirent *),
		int (*compare)(const struct dirent **, const struct dirent **)),
	(path, out, filter, compare))
FAILING(int, -1, EIO, rename, (const char *from, const char *to), (from, to))
FAILING(int, -1, EIO, ftruncate64, (int fd, off_t size), (fd, size))
FAILING(int, -1, EACCES, mkdir, (const char *path, mode_t mode), (path, mode))
FAILING(int, -1, EACCES, chmod, (const char *path, mode_t mode), (path, mode))
FAILING(int, -1, EPERM, fchmod, (int fd, mode_t mode), (fd, mode))
FAILING(int, -1, EACCES, stat64, (const char *path, struct stat *st), (path, st))
FAILING(int, -1, EACCES, lstat64, (const char *path, struct stat *st), (path, st))
FAILING(int, -1, EIO, fstat64, (int fd, struct stat *st), (fd, st))
FAILING(int, -1, EIO, statvfs64, (const char *path, struct statvfs *st), (path, st))
FAILING(int, -1, ENOLCK, flock, (int fd, int how), (fd, how))
FAILING(int, -1, EMFILE, socket, (int family, int type, int protocol), (family, type, protocol))
FAILING(int, -1, EADDRINUSE, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAILING(int, -1, EADDRINUSE, listen, (int fd, int n), (fd, n))
FAILING(int, -1, ECONNREFUSED, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAILING(ssize_t, -1, ECONNRESET, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags))
FAILING(int, -1, ENOPROTOOPT, setsockopt, (int fd, int level, int name, const void *v, socklen_t n),
	(fd, level, name, v, n))
FAILING(int, -1, ENOPROTOOPT, getsockopt, (int fd, int level, int name, void *v, socklen_t *n), (fd, level, name, v, n))
FAILING(int, -1, ENOMEM, poll, (struct pollfd * p, nfds_t n, int ms), (p, n, (int)hurried(ms)))
FAILING(int, -1, EMFILE, pipe2, (int fds[2], int flags), (fds, flags))
FAILING(int, -1, EMFILE, dup, (int fd), (fd))
FAILING(int, -1, EMFILE, dup2, (int from, int to), (from, to))
FAILING(pid_t, -1, EAGAIN, fork, (void), ())
FAILING(int, -1, EPERM, setsid, (void), ())
FAILING(int, -1, EINVAL, close_range, (unsigned from, unsigned to, int flags), (from, to, flags))
FAILING(int, -1, EACCES, chdir, (const char *path), (path))
FAILING(int, -1, EINVAL, setrlimit64, (int what, const struct rlimit *limit), (what, limit))
FAILING(int, -1, EACCES, execve, (const char *path, char *const *argv, char *const *env), (path, argv, env))
FAILING(int, -1, EMFILE, pidfd_open, (pid_t pid, unsigned flags), (pid, flags))
FAILING(pid_t, -1, ECHILD, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
FAILING(int, -1, EPERM, kill, (pid_t pid, int signal), (pid, signal))
FAILING(int, -1, EMFILE, eventfd, (unsigned n, int flags), (n, flags))
FAILING(int, -1, EMFILE, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))
FAILING(int, -1, EMFILE, timerfd_create, (int clock, int flags), (clock, flags))
FAILING(int, -1, EINVAL, timerfd_settime, (int fd, int flags, const struct itimerspec *t, struct itimerspec *old),
	(fd, flags, &(struct itimerspec){t->it_interval, hurried_time(t->it_value)}, old))
FAILING(int, -1, ENOBUFS, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
FAILING(int, EAGAIN, EAGAIN, pthread_create,
	(pthread_t * t, const pthread_attr_t *a, void *(*run)(void *), void *context), (t, a, run, context))
FAILING(void *, NULL, EMFILE, zmq_ctx_new, (void), ())
FAILING(int, -1, EINVAL, zmq_ctx_set, (void *context, int option, int value), (context, option, value))
FAILING(void *, NULL, EMFILE, zmq_socket, (void *context, int type), (context, type))
FAILING(int, -1, EINVAL, zmq_setsockopt, (void *s, int option, const void *v, size_t n), (s, option, v, n))
FAILING(int, -1, EINVAL, zmq_getsockopt, (void *s, int option, void *v, size_t *n), (s, option, v, n))
FAILING(int, -1, EADDRINUSE, zmq_bind, (void *s, const char *at), (s, at))
FAILING(int, -1, EMTHREAD, zmq_connect, (void *s, const char *to), (s, to))
FAILING(int, -1, EAGAIN, zmq_send, (void *s, const void *from, size_t n, int flags), (s, from, n, flags))
FAILING(int, -1, EAGAIN, zmq_msg_send, (zmq_msg_t * m, void *s, int flags), (m, s, flags))
FAILING(int, -1, EAGAIN, zmq_msg_recv, (zmq_msg_t * m, void *s, int flags), (m, s, flags))
FAILING(int, -1, ENOMEM, zmq_msg_init_size, (zmq_msg_t * m, size_t n), (m, n))

FAILING(int, -1, EFAULT, zmq_poll, (zmq_pollitem_t * items, int n, long ms), (items, n, hurried(ms)))
FAILING(enum MHD_Result, MHD_NO, ENOMEM, MHD_add_response_header,
	(struct MHD_Response * r, const char *name, const char *value), (r, name, value))
FAILING(struct MHD_Response *, NULL, ENOMEM, MHD_create_response_from_buffer,
	(size_t n, void *buffer, enum MHD_ResponseMemoryMode mode), (n, buffer, mode))
FAILING(struct MHD_Response *, NULL, ENOMEM, MHD_create_response_from_callback,
	(uint64_t n, size_t block, MHD_ContentReaderCallback give, void *context,
		MHD_ContentReaderFreeCallback release),
	(n, block, give, context, release))
FAILING(enum MHD_Result, MHD_NO, EINVAL, MHD_queue_response,
	(struct MHD_Connection * c, unsigned status, struct MHD_Response *r), (c, status, r))
FAILING(enum MHD_Result, MHD_NO, EIO, MHD_run, (struct MHD_Daemon * d), (d))

/* ---- those that are called with any number of arguments ---- */

FAILING(int, -1, EMFILE, fcntl64, (int fd, int what, long value), (fd, what, value))
FAILING(int, -1, EINVAL, prctl, (int what, long a, long b, long c, long d), (what, a, b, c, d))
FAILING(const union MHD_ConnectionInfo *, NULL, EINVAL, MHD_get_connection_info,
	(struct MHD_Connection * c, enum MHD_ConnectionInfoType type), (c, type))
FAILING(const union MHD_DaemonInfo *, NULL, EINVAL, MHD_get_daemon_info,
	(struct MHD_Daemon * d, enum MHD_DaemonInfoType type), (d, type))

struct MHD_Daemon *__wrap_MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept,
	void *accept_context, MHD_AccessHandlerCallback handle, void *context, ...);
struct MHD_Daemon *__wrap_MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept,
	void *accept_context, MHD_AccessHandlerCallback handle, void *context, ...)
{
	struct MHD_Daemon *d;
	va_list options;

	if (faults_strike(FAULT_CALL, "MHD_start_daemon"))
		return NULL;
	va_start(options, context);
	d = MHD_start_daemon_va(flags, port, accept, accept_context, handle, context, options);
	va_end(options);
	return d;
}

/* To end it (NULL) takes nothing that could be short. */
int __real_zmq_socket_monitor(void *s, const char *at, int events);
int __wrap_zmq_socket_monitor(void *s, const char *at, int events);
int __wrap_zmq_socket_monitor(void *s, const char *at, int events)
{
	if (at == NULL || !faults_strike(FAULT_CALL, "zmq_socket_monitor"))
		return __real_zmq_socket_monitor(s, at, events);
	errno = EMFILE;
	return -1;
}

/* The file knows that it lacks something. */
size_t __real_fwrite(const void *from, size_t size, size_t n, FILE *f);
size_t __wrap_fwrite(const void *from, size_t size, size_t n, FILE *f);
size_t __wrap_fwrite(const void *from, size_t size, size_t n, FILE *f)
{
	enum { ERROR_SEEN = 0x20 }; /* of the GNU C library: what ferror() asks for */

	if (!faults_strike(FAULT_CALL, "fwrite"))
		return __real_fwrite(from, size, n, f);
	f->_flags |= ERROR_SEEN;
	errno = ENOSPC;
	return 0;
}

/* The file is closed all the same. */
int __real_fclose(FILE *f);
int __wrap_fclose(FILE *f);
int __wrap_fclose(FILE *f)
{
	bool fails = faults_strike(FAULT_CALL, "fclose");
	int r = __real_fclose(f);

	if (!fails)
		return r;
	errno = EIO;
	return EOF;
}

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	if ((flags & O_CREAT) != 0) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if (faults_strike(FAULT_CALL, "open")) {
		errno = EMFILE;
		return -1;
	}
	return __real_open64(path, flags, mode);
}

/* ---- SQLite's own calls ---- */

static int sql_open(const char *path, int flags, int mode)
{
	return __wrap_open64(path, flags, (mode_t)mode);
}

static ssize_t sql_pread(int fd, void *to, size_t n, off_t at)
{
	if (!faults_strike(FAULT_CALL, "SQLite's pread"))
		return pread(fd, to, n, at);
	errno = EIO;
	return -1;
}

static ssize_t sql_pwrite(int fd, const void *from, size_t n, off_t at)
{
	if (!faults_strike(FAULT_CALL, "SQLite's pwrite"))
		return pwrite(fd, from, n, at);
	errno = EIO;
	return -1;
}

static int sql_unlink(const char *path)
{
	return __wrap_unlink(path);
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
	vfs->xSetSystemCall(vfs, "unlink", (sqlite3_syscall_ptr)sql_unlink);
	vfs->xSetSystemCall(vfs, "pwrite", (sqlite3_syscall_ptr)sql_pwrite);
	vfs->xSetSystemCall(vfs, "pwrite64", (sqlite3_syscall_ptr)sql_pwrite);
}
