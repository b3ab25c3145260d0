#include "api/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static int fail(int error, char **why, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int fail(int error, char **why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(why, format, args) < 0)
		*why = NULL;
	va_end(args);
	return -error;
}

/* 1: somebody answers; 0: nobody does, or there is no file. */
static int is_answered(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN ? 1
	    : errno == ECONNREFUSED || errno == ENOENT                                             ? 0
												   : -errno;
	close(fd);
	return r;
}

static int make_room(const struct sockaddr_un *address, char **why)
{
	const char *path = address->sun_path;
	struct stat st;
	int r;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : fail(errno, why, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(EEXIST, why, "%s: exists and is not a socket", path);
	r = is_answered(address);
	if (r == 1)
		return fail(EADDRINUSE, why, "%s: another process listens on it", path);
	if (r < 0)
		return fail(-r, why, "%s: %s", path, strerror(-r));
	return unlink(path) == 0 ? 0 : fail(errno, why, "%s: cannot be removed: %s", path, strerror(errno));
}

/* The descriptor's mode before bind() is the most that the file will have, so there is no moment when others may connect;
 * chmod() then gives what the umask took away. */
static int bind_socket(int fd, const struct sockaddr_un *address, struct stat *st)
{
	if (fchmod(fd, 0660) != 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
		chmod(address->sun_path, 0660) != 0 || lstat(address->sun_path, st) != 0 || listen(fd, BACKLOG) != 0)
		return -errno;
	return 0;
}

int door_socket(const char *path, struct stat *st, char **why)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	*why = NULL;
	if (strlen(path) >= sizeof address.sun_path)
		return fail(ENAMETOOLONG, why, "%s: a socket's path has at most %zu bytes", path,
			sizeof address.sun_path - 1);
	strcpy(address.sun_path, path);
	r = make_room(&address, why);
	if (r != 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(errno, why, "%s: %s", path, strerror(errno));
	r = bind_socket(fd, &address, st);
	if (r == 0)
		return fd;
	close(fd);
	return fail(-r, why, "%s: %s", path, strerror(-r));
}

void door_remove(const char *path, const struct stat *st)
{
	struct stat now;

	if (lstat(path, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino)
		unlink(path);
}

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static bool parse_host(union address *out, const char *host, size_t len, unsigned port)
{
	char text[INET6_ADDRSTRLEN];

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']' && len - 2 < sizeof text) {
		memcpy(text, host + 1, len - 2);
		text[len - 2] = '\0';
		out->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
		return inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1 && IN6_IS_ADDR_LOOPBACK(&out->in6.sin6_addr);
	}
	if (len >= sizeof text)
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	out->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	return inet_pton(AF_INET, text, &out->in.sin_addr) == 1 &&
	       (ntohl(out->in.sin_addr.s_addr) >> 24) == IN_LOOPBACKNET;
}

static bool parse_address(union address *out, const char *text)
{
	const char *colon = strrchr(text, ':');
	unsigned long port;
	char *end;

	if (colon == NULL || colon[1] < '0' || colon[1] > '9')
		return false;
	errno = 0;
	port = strtoul(colon + 1, &end, 10);
	return *end == '\0' && errno == 0 && port <= 65535 &&
	       parse_host(out, text, (size_t)(colon - text), (unsigned)port);
}

static int listen_loopback(int fd, union address *a, unsigned *port)
{
	socklen_t len = a->any.sa_family == AF_INET6 ? sizeof a->in6 : sizeof a->in;
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 || bind(fd, &a->any, len) != 0 ||
		listen(fd, BACKLOG) != 0 || getsockname(fd, &a->any, &len) != 0)
		return -errno;
	*port = ntohs(a->any.sa_family == AF_INET6 ? a->in6.sin6_port : a->in.sin_port);
	return 0;
}

int door_loopback(const char *address, unsigned *port, char **why)
{
	union address a;
	int fd, r;

	*why = NULL;
	if (!parse_address(&a, address))
		return fail(EINVAL, why, "%s: not a loopback address and port (127.0.0.1:4848, [::1]:4848)", address);
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(errno, why, "%s: %s", address, strerror(errno));
	r = listen_loopback(fd, &a, port);
	if (r == 0)
		return fd;
	close(fd);
	return fail(-r, why, "%s: %s", address, strerror(-r));
}

bool door_host_is_loopback(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

	for (size_t i = 0; host != NULL && i < sizeof names / sizeof *names; i++) {
		size_t len = strlen(names[i]);

		if (strncasecmp(host, names[i], len) != 0)
			continue;
		if (host[len] == '\0')
			return true;
		if (host[len] == ':' && host[len + 1] != '\0' &&
			host[len + 1 + strspn(host + len + 1, "0123456789")] == '\0')
			return true;
	}
	return false;
}
