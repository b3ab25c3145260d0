#include "host/process.h"

#include "core/limits.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	TURN_BYTES = 256 << 10, /* read from one pipe in one turn */
	LINE_MAX_BYTES = 1000,  /* of standard error; the rest of a longer line is left out */
	EXIT_CANNOT_RUN = 127,
};

/* ---- the child, between fork and exec: only what is safe there ---- */

static void complain(const char *program, int error)
{
	char digits[12];
	size_t i = sizeof digits;

	for (digits[--i] = '\n'; error > 0; error /= 10)
		digits[--i] = (char)('0' + error % 10);
	if (write(STDERR_FILENO, "cannot run ", 11) < 0 || write(STDERR_FILENO, program, strlen(program)) < 0 ||
		write(STDERR_FILENO, ": error ", 8) < 0 || write(STDERR_FILENO, digits + i, sizeof digits - i) < 0)
		_exit(EXIT_CANNOT_RUN);
}

static int become(const struct process_options *options, pid_t parent, const int *theirs)
{
	struct rlimit memory = {options->memory_limit_bytes, options->memory_limit_bytes};
	sigset_t none;

	if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errno != 0 ? errno : ESRCH;
	for (int fd = 0; fd < 3; fd++)
		if (dup2(theirs[fd], fd) < 0)
			return errno;
	if (close_range(3, ~0U, 0) < 0 || chdir(options->folder) < 0)
		return errno;
	if (options->memory_limit_bytes != 0 && setrlimit(RLIMIT_AS, &memory) < 0)
		return errno;
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(options->program, options->arguments, options->environment);
	return errno;
}

/* ---- starting ---- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Three pipes; ours[i] and theirs[i] are the ends of descriptor i. Above 2, so that dup2() cannot tread on one. */
static int open_pipes(int *ours, int *theirs)
{
	for (int i = 0; i < 3; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		ours[i] = ends[i == 0];
		theirs[i] = ends[i != 0];
		if (fcntl(ours[i], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

int process_start(struct process *p, const struct process_options *options)
{
	int ours[3] = {-1, -1, -1}, theirs[3] = {-1, -1, -1};
	pid_t parent = getpid(), pid;
	int r = open_pipes(ours, theirs);

	if (r != 0)
		goto out;
	pid = fork();
	if (pid == 0) {
		complain(options->program, become(options, parent, theirs));
		_exit(EXIT_CANNOT_RUN);
	}
	r = pid < 0 ? -errno : 0;
	if (r != 0)
		goto out;
	*p = (struct process){.pid = pid, .pidfd = pidfd_open(pid, 0), .in = ours[0], .out = ours[1], .err = ours[2]};
	ours[0] = ours[1] = ours[2] = -1;
	if (p->pidfd < 0) {
		r = -errno;
		process_close(p);
	}
out:
	for (int i = 0; i < 3; i++) {
		close_fd(&ours[i]);
		close_fd(&theirs[i]);
	}
	return r;
}

/* ---- writing ---- */

static void forget(struct buffer *b, size_t n)
{
	if (n > 0)
		memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

size_t process_unsent(const struct process *p)
{
	return p->unsent.len - p->unsent_from;
}

static void write_unsent(struct process *p)
{
	while (p->in >= 0 && process_unsent(p) > 0) {
		ssize_t n = write(p->in, p->unsent.data + p->unsent_from, process_unsent(p));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			close_fd(&p->in); /* it reads no more: its end will follow, or its deadline */
		if (n < 0)
			break;
		p->unsent_from += (size_t)n;
	}
	if (p->unsent_from == p->unsent.len || p->in < 0) {
		buffer_clear(&p->unsent);
		p->unsent_from = 0;
	} else if (p->unsent_from > p->unsent.len / 2) {
		forget(&p->unsent, p->unsent_from);
		p->unsent_from = 0;
	}
}

int process_send(struct process *p, struct bytes frame)
{
	uint8_t length[10];
	size_t n = 0, rest = frame.len;

	if (p->in < 0)
		return 0;
	do {
		length[n++] = (uint8_t)((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
		rest >>= 7;
	} while (rest != 0);
	buffer_add(&p->unsent, length, n);
	buffer_add(&p->unsent, frame.data, frame.len);
	return p->unsent.error;
}

/* ---- reading ---- */

/* Reads what is there, at most `limit` bytes, to the end of the buffer. False: nothing more for now, or ever. */
static bool read_some(int *fd, struct buffer *to, size_t limit)
{
	uint8_t chunk[16384];
	ssize_t n;

	if (*fd < 0)
		return false;
	n = read(*fd, chunk, limit < sizeof chunk ? limit : sizeof chunk);
	if (n > 0) {
		buffer_add(to, chunk, (size_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(fd);
	return false;
}

/* The length in front of a frame. -1: not whole yet; -2: none. */
static int read_length(struct bytes b, size_t *used)
{
	uint32_t len = 0;

	for (size_t i = 0; i < 4; i++) {
		if (i == b.len)
			return -1;
		len |= (uint32_t)(b.data[i] & 0x7f) << (7 * i);
		if ((b.data[i] & 0x80) == 0) {
			*used = i + 1;
			return len <= FRAME_MAX ? (int)len : -2;
		}
	}
	return -2;
}

static void give_frames(struct process *p, const struct process_handler *h)
{
	size_t at = 0, used = 0;

	while (p->out >= 0 || p->unread.len > at) {
		struct bytes rest = bytes_of(p->unread.data + at, p->unread.len - at);
		int len;

		if (!h->listens(h->context))
			break;
		len = read_length(rest, &used);
		if (len == -2) {
			h->garbage(h->context, "it wrote what is no frame");
			close_fd(&p->out);
			at = p->unread.len;
			break;
		}
		if (len < 0 || rest.len - used < (size_t)len)
			break;
		h->frame(h->context, bytes_of(rest.data + used, (size_t)len));
		at += used + (size_t)len;
	}
	forget(&p->unread, at);
}

static void give_line(struct process *p, const struct process_handler *h)
{
	const char *text = buffer_cstr(&p->line);

	if (text != NULL && p->line.len > 0)
		h->line(h->context, text);
	buffer_clear(&p->line);
	p->line_cut = false;
}

/* Cuts what was read into lines; what a line has beyond its limit is left out. */
static void give_lines(struct process *p, const struct process_handler *h, const struct buffer *read)
{
	for (size_t i = 0; i < read->len; i++) {
		if (read->data[i] == '\n')
			give_line(p, h);
		else if (p->line.len < LINE_MAX_BYTES)
			buffer_add(&p->line, read->data[i] == '\0' ? "?" : (const char *)&read->data[i], 1);
		else
			p->line_cut = true;
	}
}

/* True: there may be more. */
static bool read_err(struct process *p, const struct process_handler *h, size_t limit)
{
	struct buffer read = {0};
	bool more = true;

	while (more && read.len < limit && read.error == 0)
		more = read_some(&p->err, &read, limit - read.len);
	give_lines(p, h, &read);
	buffer_deinit(&read);
	return more;
}

static bool read_out(struct process *p, const struct process_handler *h, size_t limit)
{
	size_t taken = 0;
	bool more = true;

	give_frames(p, h);
	while (more && taken < limit && h->listens(h->context) && p->unread.error == 0) {
		size_t before = p->unread.len;

		more = read_some(&p->out, &p->unread, limit - taken);
		taken += p->unread.len - before;
		if (more)
			give_frames(p, h);
	}
	return more && taken >= limit;
}

bool process_turn(struct process *p, const struct process_handler *h)
{
	bool more;

	if (p->pid == 0)
		return false;
	more = read_out(p, h, TURN_BYTES);
	more |= read_err(p, h, TURN_BYTES);
	write_unsent(p);
	return more;
}

/* ---- ending ---- */

static void describe(int status, char how[static 64])
{
	if (WIFSIGNALED(status))
		snprintf(how, 64, "killed by SIG%s",
			sigabbrev_np(WTERMSIG(status)) != NULL ? sigabbrev_np(WTERMSIG(status)) : "?");
	else if (WEXITSTATUS(status) == EXIT_CANNOT_RUN)
		snprintf(how, 64, "the program cannot be run");
	else
		snprintf(how, 64, "exit status %d", WEXITSTATUS(status));
}

static void release(struct process *p)
{
	close_fd(&p->pidfd);
	close_fd(&p->in);
	close_fd(&p->out);
	close_fd(&p->err);
	buffer_deinit(&p->unsent);
	buffer_deinit(&p->unread);
	buffer_deinit(&p->line);
	*p = (struct process){.pidfd = -1, .in = -1, .out = -1, .err = -1};
}

bool process_ended(struct process *p, const struct process_handler *h, char how[static 64])
{
	struct pollfd poll_pid = {.fd = p->pidfd, .events = POLLIN};
	int status;

	if (p->pid == 0 || poll(&poll_pid, 1, 0) <= 0)
		return false;
	if (waitpid(p->pid, &status, WNOHANG) != p->pid)
		return false;
	kill(-p->pid, SIGKILL);         /* what it left of its group */
	read_out(p, h, 4 * TURN_BYTES); /* a pipe holds less */
	read_err(p, h, TURN_BYTES);
	give_line(p, h);
	describe(status, how);
	release(p);
	return true;
}

void process_kill(struct process *p)
{
	if (p->pid == 0)
		return;
	kill(-p->pid, SIGKILL);
	kill(p->pid, SIGKILL); /* should it not have its group yet */
}

void process_close(struct process *p)
{
	if (p->pid == 0)
		return;
	process_kill(p);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	release(p);
}
