/* load - a local system that publishes at one node and waits for its events at another.
 *
 *   load flood A.sock B.sock MEMBER EVENTS PER_REQUEST CONNECTIONS   until B says that it holds the last event
 *   load publish A.sock - MEMBER EVENTS PER_REQUEST CONNECTIONS      until A has answered
 *   load wait - B.sock MEMBER LAST                                   until B holds MEMBER's channel up to LAST
 *   load pace A.sock B.sock MEMBER EVENTS PER_SECOND                 each until B's stream shows it
 *   load turns A.sock B.sock MEMBER EVENTS                           likewise, the next when the one before was shown
 *
 * MEMBER is who publishes, at A. Requests are application/cloudevents-batch+protobuf, one in flight on each connection. Prints
 * one JSON object: seconds from the first POST (`began_s`: of the monotonic clock), or milliseconds from each POST as median and 99th percentile. Ends with 1 when
 * anything is answered with something else than 201 or 503. */
#include "base/bytes.h"
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64, BUSY_MS = 2, PATIENCE_S = 120, ANSWER_MAX = 4 << 20 };

/* One connection to A: a request on its way, or its answer. */
struct client {
	int fd;
	struct buffer request;
	size_t sent;
	struct buffer answer;
	bool busy;
	size_t last; /* number of the last event in it */
};

struct load {
	const char *to, *at, *member;
	size_t n_events, per_request, n_clients;
	struct client clients[CONNECTIONS_MAX];
	struct sample sample;
	size_t n_made, n_answered, n_refused;
	double began;
	/* of each event, with pace and turns */
	double *posted_s, *answered_ms, *shown_ms;
	size_t n_shown;
	struct buffer shown;
	int stream;
};

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(EXIT_FAILURE);
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof address.sun_path)
		fail(path, "too long for a socket");
	strcpy(address.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		fail(path, strerror(errno));
	return fd;
}

static void send_all(int fd, const char *text)
{
	for (size_t len = strlen(text); len > 0;) {
		ssize_t n = write(fd, text, len);

		if (n < 0)
			fail("write", strerror(errno));
		text += n;
		len -= (size_t)n;
	}
}

/* ---- posting ---- */

static void make_request(struct load *l, struct client *c)
{
	struct timespec t;
	uint8_t *event = malloc(l->sample.len);
	size_t n = l->n_events - l->n_made < l->per_request ? l->n_events - l->n_made : l->per_request;
	uint64_t time_ms;

	if (event == NULL)
		fail("memory", strerror(errno));
	clock_gettime(CLOCK_REALTIME, &t);
	time_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	buffer_clear(&c->request);
	buffer_printf(&c->request,
		"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
		"application/cloudevents-batch+protobuf\r\n"
		"Content-Length: %zu\r\n\r\n",
		n * l->sample.len);
	for (size_t i = 0; i < n; i++) {
		sample_stamp(&l->sample, event, time_ms, l->n_made++);
		buffer_add(&c->request, event, l->sample.len);
	}
	if (c->request.error != 0)
		fail("memory", strerror(ENOMEM));
	free(event);
}

static void post(struct load *l, struct client *c)
{
	c->sent = 0;
	c->busy = true;
	buffer_clear(&c->answer);
	c->last = l->n_made - 1;
	if (l->posted_s != NULL)
		l->posted_s[c->last] = now_s();
}

static void give(struct client *c)
{
	ssize_t n = write(c->fd, c->request.data + c->sent, c->request.len - c->sent);

	if (n < 0 && errno != EAGAIN)
		fail("write", strerror(errno));
	c->sent += n < 0 ? 0 : (size_t)n;
}

/* The answer's status once all of it is there, else 0. */
static int answer_status(struct client *c)
{
	const char *text = buffer_cstr(&c->answer), *body, *length;

	body = text == NULL ? NULL : strstr(text, "\r\n\r\n");
	if (body == NULL)
		return 0;
	length = strcasestr(text, "\r\ncontent-length:");
	if (length == NULL || length > body)
		fail("answer", "without its length");
	if (c->answer.len < (size_t)(body + 4 - text) + strtoul(length + 17, NULL, 10))
		return 0;
	return (int)strtol(text + strlen("HTTP/1.1 "), NULL, 10);
}

/* Whether the request was answered with 201; one that found the node busy is sent again. */
static bool take(struct load *l, struct client *c)
{
	static uint8_t block[64 * 1024];
	ssize_t n = read(c->fd, block, sizeof block);
	int status;

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		fail("answer", n == 0 ? "the node hung up" : strerror(errno));
	buffer_add(&c->answer, block, (size_t)n);
	status = answer_status(c);
	if (status == 0)
		return false;
	if (status == 503) {
		const struct timespec pause = {.tv_nsec = BUSY_MS * 1000000};

		l->n_refused++;
		nanosleep(&pause, NULL);
		c->sent = 0;
		buffer_clear(&c->answer);
		return false;
	}
	if (status != 201)
		fail("answer", buffer_cstr(&c->answer));
	c->busy = false;
	return true;
}

static void open_clients(struct load *l)
{
	for (size_t i = 0; i < l->n_clients; i++) {
		l->clients[i].fd = connect_to(l->to);
		fcntl(l->clients[i].fd, F_SETFL, O_NONBLOCK);
	}
	if (sample_new(&l->sample) != 0)
		fail("sample", strerror(ENOMEM));
}

static size_t poll_clients(const struct load *l, struct pollfd *fds)
{
	for (size_t i = 0; i < l->n_clients; i++) {
		const struct client *c = &l->clients[i];
		bool sending = c->busy && c->sent < c->request.len;

		fds[i] = (struct pollfd){.fd = c->busy ? c->fd : -1, .events = sending ? POLLIN | POLLOUT : POLLIN};
	}
	return l->n_clients;
}

static void publish_all(struct load *l)
{
	struct pollfd fds[CONNECTIONS_MAX];
	size_t n_busy = 0;

	for (size_t i = 0; i < l->n_clients && l->n_made < l->n_events; i++, n_busy++)
		make_request(l, &l->clients[i]);
	l->began = now_s();
	for (size_t i = 0; i < n_busy; i++)
		post(l, &l->clients[i]);
	while (n_busy > 0) {
		if (poll(fds, poll_clients(l, fds), PATIENCE_S * 1000) <= 0)
			fail("answers", "none for a long time");
		for (size_t i = 0; i < l->n_clients; i++) {
			struct client *c = &l->clients[i];

			if (fds[i].revents & POLLOUT)
				give(c);
			if (!(fds[i].revents & (POLLIN | POLLHUP)) || !take(l, c))
				continue;
			n_busy--;
			if (l->n_made < l->n_events) {
				make_request(l, c);
				post(l, c);
				n_busy++;
			}
		}
	}
}

/* ---- what B holds ---- */

static char *ask(const char *socket, const char *path)
{
	int fd = connect_to(socket);
	struct buffer answer = {0};
	char request[256];
	uint8_t block[4096];
	size_t len;
	ssize_t n;

	snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
	send_all(fd, request);
	while ((n = read(fd, block, sizeof block)) > 0)
		buffer_add(&answer, block, (size_t)n);
	close(fd);
	buffer_add(&answer, "", 1);
	return buffer_take(&answer, &len);
}

static size_t held(const struct load *l)
{
	char *answer = ask(l->at, "/v1/channels"), quoted[128];
	const char *at;
	size_t last = 0;

	snprintf(quoted, sizeof quoted, "\"%s\"", l->member);
	at = answer == NULL ? NULL : strstr(answer, quoted);
	at = at == NULL ? NULL : strstr(at, "\"last\"");
	if (at != NULL)
		last = strtoul(at + strlen("\"last\"") + strspn(at + strlen("\"last\""), ": "), NULL, 10);
	free(answer);
	return last;
}

static void wait_held(const struct load *l, size_t last)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	double end = now_s() + PATIENCE_S;

	while (held(l) < last) {
		if (now_s() > end)
			fail(l->at, "does not get the events");
		nanosleep(&pause, NULL);
	}
}

/* ---- one by one ---- */

static void open_stream(struct load *l)
{
	struct pollfd fd;

	l->stream = connect_to(l->at);
	send_all(l->stream, "GET /v1/events/stream HTTP/1.0\r\nHost: localhost\r\n\r\n");
	fd = (struct pollfd){.fd = l->stream, .events = POLLIN};
	if (poll(&fd, 1, PATIENCE_S * 1000) <= 0)
		fail("stream", "does not begin");
}

/* Notes which events the stream has shown: its lines name them by id, which ends in our number. */
static void take_shown(struct load *l)
{
	uint8_t block[16 * 1024];
	ssize_t n = read(l->stream, block, sizeof block);
	double now = now_s();
	char *line, *end;

	if (n <= 0)
		fail("stream", n == 0 ? "ended" : strerror(errno));
	buffer_add(&l->shown, block, (size_t)n);
	line = (char *)buffer_cstr(&l->shown);
	if (line == NULL)
		fail("memory", strerror(ENOMEM));
	for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		const char *id = memmem(line, (size_t)(end - line), "\"id\"", 4);
		size_t number;

		if (id == NULL || strncmp(line, "data: ", 6) != 0)
			continue;
		id = strchr(id + 4, '"') + 1;
		number = strtoul(id + 24, NULL, 16);
		if (number >= l->n_events || l->shown_ms[number] != 0)
			fail("stream", "shows an event that was not awaited");
		l->shown_ms[number] = (now - l->posted_s[number]) * 1000;
		l->n_shown++;
	}
	memmove(l->shown.data, line, strlen(line));
	l->shown.len = strlen(line);
}

static struct client *free_client(struct load *l)
{
	for (size_t i = 0; i < l->n_clients; i++)
		if (!l->clients[i].busy)
			return &l->clients[i];
	return NULL;
}

static void note_answered(struct load *l, const struct client *c)
{
	l->answered_ms[c->last] = (now_s() - l->posted_s[c->last]) * 1000;
	l->n_answered++;
}

/* Posts when it is time, and takes answers and the stream until everything was shown. `interval_s` 0: in turns. */
static void publish_singly(struct load *l, double interval_s)
{
	struct pollfd fds[CONNECTIONS_MAX + 1];
	struct client *c;

	l->began = now_s();
	while (l->n_shown < l->n_events || l->n_answered < l->n_events) {
		double due = interval_s == 0 ? 0 : l->began + (double)l->n_made * interval_s - now_s();
		bool turn = interval_s > 0 || (l->n_shown == l->n_made && l->n_answered == l->n_made);
		struct timespec wait = {.tv_sec = PATIENCE_S};

		c = l->n_made < l->n_events && turn ? free_client(l) : NULL;
		if (c != NULL && due <= 0) {
			make_request(l, c);
			post(l, c);
			give(c);
			continue;
		}
		if (c != NULL)
			wait = (struct timespec){.tv_nsec = (long)(due * 1e9)};
		poll_clients(l, fds);
		fds[l->n_clients] = (struct pollfd){.fd = l->stream, .events = POLLIN};
		if (ppoll(fds, l->n_clients + 1, &wait, NULL) == 0 && c == NULL)
			fail("events", "none for a long time");
		for (size_t i = 0; i < l->n_clients; i++) {
			if (fds[i].revents & POLLOUT)
				give(&l->clients[i]);
			if (fds[i].revents & (POLLIN | POLLHUP) && take(l, &l->clients[i]))
				note_answered(l, &l->clients[i]);
		}
		if (fds[l->n_clients].revents != 0)
			take_shown(l);
	}
}

/* ---- what is printed ---- */

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *name, double *ms, size_t n)
{
	qsort(ms, n, sizeof *ms, by_size);
	printf(", \"%s_ms\": [%.3f, %.3f]", name, ms[n / 2], ms[n - 1 - n / 100]);
}

static void run_flood(struct load *l, bool wait)
{
	open_clients(l);
	publish_all(l);
	printf("{\"began_s\": %.4f, \"answered_s\": %.4f", l->began, now_s() - l->began);
	if (wait) {
		wait_held(l, l->n_events);
		printf(", \"held_s\": %.4f", now_s() - l->began);
	}
	printf(", \"busy\": %zu}\n", l->n_refused);
}

static void run_singly(struct load *l, double interval_s)
{
	l->posted_s = calloc(l->n_events + 1, sizeof *l->posted_s);
	l->answered_ms = calloc(l->n_events + 1, sizeof *l->answered_ms);
	l->shown_ms = calloc(l->n_events + 1, sizeof *l->shown_ms);
	if (l->posted_s == NULL || l->answered_ms == NULL || l->shown_ms == NULL)
		fail("memory", strerror(ENOMEM));
	open_clients(l);
	open_stream(l);
	publish_singly(l, interval_s);
	printf("{\"seconds\": %.4f", now_s() - l->began);
	print_times("answered", l->answered_ms, l->n_events);
	print_times("shown", l->shown_ms, l->n_events);
	printf("}\n");
}

static size_t number(char **argv, int argc, int i)
{
	size_t n = argc > i ? strtoul(argv[i], NULL, 10) : 0;

	if (n == 0)
		fail("usage", "see the top of load.c");
	return n;
}

int main(int argc, char **argv)
{
	struct load l = {
		.to = argc > 2 ? argv[2] : "", .at = argc > 3 ? argv[3] : "", .per_request = 1, .n_clients = 1};
	const char *what = argc > 1 ? argv[1] : "";

	l.n_events = number(argv, argc, 5);
	l.member = argv[4];
	if (strcmp(what, "wait") == 0) {
		l.began = now_s();
		wait_held(&l, l.n_events);
		printf("{\"held_s\": %.4f}\n", now_s() - l.began);
	} else if (strcmp(what, "turns") == 0) {
		run_singly(&l, 0);
	} else if (strcmp(what, "pace") == 0) {
		l.n_clients = 8;
		run_singly(&l, 1.0 / (double)number(argv, argc, 6));
	} else {
		l.per_request = number(argv, argc, 6);
		l.n_clients = number(argv, argc, 7);
		if (l.n_clients > CONNECTIONS_MAX)
			l.n_clients = CONNECTIONS_MAX;
		run_flood(&l, strcmp(what, "flood") == 0);
	}
	return EXIT_SUCCESS;
}
