#include "api/api.h"

#include "api/cloudevents.h"
#include "api/door.h"
#include "api/request.h"
#include "api/stream.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 128,             /* at each door */
	CONNECTION_MEMORY = 32 * 1024,     /* bytes: a request's headers, and what is read at once */
	CONNECTION_TIMEOUT_S = 60,         /* without a byte moving */
	BODIES_MAX = 32 * 1024 * 1024,     /* bytes of all bodies held together */
	DISCARD_MAX = 4 * EVENTS_BODY_MAX, /* bytes read and thrown away to answer a body that is refused */
};

const struct api_limit api_limits[] = {
	{"connections", CONNECTIONS_MAX, "", "at each door; further ones wait"},
	{"headers", CONNECTION_MEMORY, "bytes", "of one request"},
	{"silence", CONNECTION_TIMEOUT_S, "seconds", "before a connection is closed"},
	{"body", EVENTS_BODY_MAX, "bytes", "of one POST /v1/events"},
	{"bodies", BODIES_MAX, "bytes", "of all requests together; 503 beyond"},
	{"events", EVENTS_MAX, "", "of one POST /v1/events"},
	{"event", EVENT_JSON_MAX, "bytes", "of JSON for one event"},
	{"values", EVENT_JSON_VALUES, "", "in the JSON of one event"},
	{"streams", STREAMS_MAX, "", "open at a time; 503 beyond"},
	{"page", STREAM_PAGE, "events", "held for one stream"},
	{"ping", STREAM_PING_MS, "milliseconds", "between two signs of life on an idle stream"},
};
const size_t n_api_limits = sizeof api_limits / sizeof *api_limits;

/* On TCP nobody is known; what is served there is for anyone. */
static const struct api_peer nobody = {.uid = (unsigned)-1};

/* ---- a connection ---- */

static void note_peer(struct door *door, struct MHD_Connection *connection, void **socket_context)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const struct api_options *o = &door->api->options;
	struct api_peer *peer = calloc(1, sizeof *peer);
	int r;

	if (peer == NULL || info == NULL)
		r = -ENOMEM;
	else if (o->identify != NULL)
		r = o->identify(o->context, info->connect_fd, peer);
	else
		r = access_peer_of(peer, info->connect_fd);
	if (r != 0) { /* whoever cannot be told is refused with each request */
		if (peer != NULL)
			api_peer_deinit(peer);
		free(peer);
		peer = NULL;
	}
	*socket_context = peer;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	struct door *door = context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED && !door->loopback) {
		note_peer(door, connection, socket_context);
	} else if (code == MHD_CONNECTION_NOTIFY_CLOSED && *socket_context != NULL) {
		api_peer_deinit(*socket_context);
		free(*socket_context);
		*socket_context = NULL;
	}
}

static const struct api_peer *peer_of(const struct door *door, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info;

	if (door->loopback)
		return &nobody;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	return info == NULL ? NULL : info->socket_context;
}

/* ---- a request's beginning ---- */

static struct request *request_new(struct door *door, struct MHD_Connection *connection)
{
	struct request *rq = calloc(1, sizeof *rq);
	struct api *a = door->api;

	if (rq == NULL)
		return NULL;
	rq->api = a;
	rq->door = door;
	rq->connection = connection;
	rq->peer = peer_of(door, connection);
	rq->begun_ms = a->now_ms;
	rq->next = a->requests;
	if (a->requests != NULL)
		a->requests->prev = rq;
	a->requests = rq;
	return rq;
}

static void request_free(struct request *rq)
{
	if (rq->next != NULL)
		rq->next->prev = rq->prev;
	if (rq->prev != NULL)
		rq->prev->next = rq->next;
	else
		rq->api->requests = rq->next;
	stream_free(rq);
	request_body_release(rq);
	buffer_deinit(&rq->answer);
	if (rq->file > 0)
		close(rq->file);
	query_free(rq->query);
	for (size_t i = 0; i < rq->n_values; i++)
		free(rq->values[i].value);
	free(rq);
}

/* A parameter that names one member may give an alias: its handle takes the place. Takes `value`. */
static char *resolve_value(const struct request *rq, const char *name, char *value)
{
	const char *handle = NULL;
	char *copy;

	if (value != NULL && (strcmp(name, "source") == 0 || strcmp(name, "member") == 0))
		handle = rq->api->options.ops->resolve(rq->api->options.context, value);
	if (handle == NULL || strcmp(handle, value) == 0)
		return value;
	copy = strdup(handle);
	free(value);
	return copy;
}

/* Adds a decoded value; what cannot be decoded becomes a problem. */
static int add_value(struct request *rq, const char *name, struct bytes encoded, struct problems *problems)
{
	char *value;

	assert(rq->n_values < REQUEST_VALUES_MAX);
	value = resolve_value(rq, name, percent_decode(encoded));
	if (value == NULL && errno != EINVAL)
		return -ENOMEM;
	if (value == NULL) {
		problem_add(problems, name, "not percent-encoded UTF-8");
		return 0;
	}
	rq->values[rq->n_values++] = (struct request_value){.name = name, .value = value};
	return 0;
}

struct collecting {
	struct request *rq;
	struct problems problems;
	int error;
};

/* The names of a route's path, as request_value() is asked for them. */
static int take_part(void *context, struct bytes name, struct bytes value)
{
	static const char *const names[] = {"source", "id", "audience", "member", "topic", "plugin", "place", "digest"};
	struct collecting *c = context;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (bytes_equal(bytes_str(names[i]), name))
			return add_value(c->rq, names[i], value, &c->problems);
	assert(!"a name in the table that is not known here");
	return 0;
}

static void refuse_parameter(struct collecting *c, const char *encoded, const char *rule)
{
	char *name = percent_decode(bytes_str(encoded));

	problem_add(&c->problems, name == NULL ? "" : name, rule);
	free(name);
}

static enum MHD_Result take_parameter(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct collecting *c = context;

	for (const struct route_parameter *p = c->rq->route->parameters; p->name != NULL; p++) {
		if (strcmp(p->name, name) != 0)
			continue;
		if (request_value(c->rq, p->name) != NULL)
			refuse_parameter(c, name, "given twice");
		else
			c->error = add_value(c->rq, p->name, bytes_str(value == NULL ? "" : value), &c->problems);
		return c->error == 0 ? MHD_YES : MHD_NO;
	}
	refuse_parameter(c, name, "not a parameter of this path");
	return MHD_YES;
}

static void collect_values(struct request *rq, const char *path)
{
	struct collecting c = {.rq = rq};

	c.error = route_parts(rq->route, path, take_part, &c);
	if (c.error == 0)
		MHD_get_connection_values(rq->connection, MHD_GET_ARGUMENT_KIND, take_parameter, &c);
	if (c.error != 0)
		request_out_of_memory(rq);
	else if (c.problems.total > 0)
		request_problem(rq, REFUSED_PARAMETER, &c.problems);
	problems_deinit(&c.problems);
}

/* Sets memory aside for what the body says it is long, or refuses it before it is sent. */
static void expect_body(struct request *rq)
{
	const char *text = request_header(rq, "Content-Length");
	unsigned long long len = text == NULL ? 0 : strtoull(text, NULL, 10);

	if (len > rq->route->body_max) {
		request_problem(rq, REFUSED_TOO_LARGE, NULL);
	} else if (len > BODIES_MAX - rq->api->body_bytes) {
		request_problem(rq, REFUSED_BUSY, NULL);
	} else {
		rq->body_held = (size_t)len;
		rq->api->body_bytes += (size_t)len;
	}
}

/* All that can be judged before the body. */
static void check(struct request *rq, const char *method, const char *path)
{
	if (rq->door->loopback && !door_host_is_loopback(request_header(rq, "Host"))) {
		request_problem(rq, REFUSED_HOST, NULL);
		return;
	}
	rq->head = strcmp(method, "HEAD") == 0;
	rq->route = route_find(method, path, rq->door->loopback, rq->allow);
	if (rq->route == NULL)
		request_problem(rq, rq->allow[0] == '\0' ? REFUSED_NOT_FOUND : REFUSED_METHOD, NULL);
	else if (rq->peer == NULL || !(access_roles(&rq->api->access, rq->peer) & (rq->route->who | ACCESS_OPERATOR)))
		request_problem(rq, REFUSED_FORBIDDEN, NULL);
	else
		collect_values(rq, path);
	if (!rq->answered)
		expect_body(rq);
}

/* ---- its body ---- */

/* A body that is refused is still read, within bounds: a client that is writing does not look for an answer. False: enough. */
static bool discard(struct request *rq, size_t len)
{
	request_body_release(rq);
	rq->body_discarded += len;
	return rq->body_discarded <= DISCARD_MAX;
}

/* False: nothing more is to be read. */
static bool take_body(struct request *rq, const char *data, size_t len)
{
	size_t more = rq->body.len + len > rq->body_held ? rq->body.len + len - rq->body_held : 0;

	if (!rq->answered && rq->body.len + len > rq->route->body_max)
		request_problem(rq, REFUSED_TOO_LARGE, NULL);
	else if (!rq->answered && more > BODIES_MAX - rq->api->body_bytes)
		request_problem(rq, REFUSED_BUSY, NULL);
	if (rq->answered)
		return discard(rq, len);
	rq->body_held += more;
	rq->api->body_bytes += more;
	rq->api->counts.body_bytes += len;
	buffer_add(&rq->body, data, len);
	if (rq->body.error != 0)
		request_out_of_memory(rq);
	return true;
}

/* ---- its answer ---- */

/* The response closes the file. */
static struct MHD_Response *file_response(struct request *rq)
{
	struct MHD_Response *response = MHD_create_response_from_fd64(rq->file_bytes, rq->file);

	if (response != NULL)
		rq->file = 0;
	return response;
}

static struct MHD_Response *make_response(struct request *rq)
{
	struct MHD_Response *response;
	size_t len;
	void *body;

	if (rq->stream != NULL && !rq->head)
		return stream_response(rq);
	if (rq->file > 0)
		return file_response(rq);
	if (rq->fixed != NULL || rq->answer.len == 0)
		return MHD_create_response_from_buffer(
			rq->fixed == NULL ? 0 : strlen(rq->fixed), (void *)rq->fixed, MHD_RESPMEM_PERSISTENT);
	body = buffer_take(&rq->answer, &len);
	response = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		free(body);
	return response;
}

static bool add_headers(struct MHD_Response *response, const struct request *rq)
{
	char seconds[16];

	snprintf(seconds, sizeof seconds, "%u", rq->retry_after_s);
	return MHD_add_response_header(response, "Content-Type", rq->content_type) == MHD_YES &&
	       MHD_add_response_header(response, "Cache-Control", "no-store") == MHD_YES &&
	       MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") == MHD_YES &&
	       (rq->allow[0] == '\0' || MHD_add_response_header(response, "Allow", rq->allow) == MHD_YES) &&
	       (rq->retry_after_s == 0 || MHD_add_response_header(response, "Retry-After", seconds) == MHD_YES);
}

/* MHD_NO closes the connection: all that is left when there is no memory for an answer. */
static enum MHD_Result send_answer(struct request *rq)
{
	struct MHD_Response *response = make_response(rq);
	enum MHD_Result r = MHD_NO;

	if (response == NULL)
		return MHD_NO;
	if (add_headers(response, rq))
		r = MHD_queue_response(rq->connection, rq->status, response);
	MHD_destroy_response(response);
	api_count(rq->api, rq);
	return r;
}

/* libmicrohttpd calls this for the headers, for each piece of the body, at its end, and after each resumption. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *data, size_t *data_len, void **request_context)
{
	struct request *rq = *request_context;

	if (rq == NULL) {
		rq = *request_context = request_new(context, connection);
		if (rq == NULL)
			return MHD_NO;
		check(rq, method, url);
		return rq->answered && request_header(rq, "Expect") != NULL ? send_answer(rq) : MHD_YES;
	}
	if (*data_len > 0) {
		bool more = take_body(rq, data, *data_len);

		*data_len = 0;
		return more ? MHD_YES : MHD_NO;
	}
	if (!rq->answered && !rq->handled) {
		rq->handled = true;
		rq->route->handle(rq);
		request_body_release(rq);
	}
	if (rq->answered)
		return send_answer(rq);
	rq->suspended = true;
	MHD_suspend_connection(connection);
	return MHD_YES;
}

static void on_completed(
	void *context, struct MHD_Connection *connection, void **request_context, enum MHD_RequestTerminationCode code)
{
	if (*request_context != NULL)
		request_free(*request_context);
	*request_context = NULL;
}

/* Paths and parameters are decoded after they were split (percent_decode), so an id may hold a slash. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

/* ---- the whole ---- */

static int open_door(struct api *a, struct door *door, int fd)
{
	const union MHD_DaemonInfo *info;

	door->api = a;
	door->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, door,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, door, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
		MHD_OPTION_END);
	if (door->daemon == NULL)
		return -ENOMEM;
	info = MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL)
		return -ENOMEM;
	door->fd = info->epoll_fd;
	return 0;
}

static int open_doors(struct api *a, char **why)
{
	int fd = door_socket(a->options.socket, &a->socket_file, why), r;

	if (fd < 0)
		return fd;
	r = open_door(a, &a->doors[0], fd);
	if (r != 0 || a->options.loopback == NULL)
		return r;
	a->doors[1].loopback = true;
	fd = door_loopback(a->options.loopback, &a->doors[1].port, why);
	return fd < 0 ? fd : open_door(a, &a->doors[1], fd);
}

static int copy_options(struct api *a, const struct api_options *options)
{
	struct api_options *o = &a->options;

	*o = *options;
	o->socket = strdup(options->socket);
	o->member = strdup(options->member);
	o->loopback = options->loopback == NULL ? NULL : strdup(options->loopback);
	return o->socket == NULL || o->member == NULL || (options->loopback != NULL && o->loopback == NULL) ? -ENOMEM
													    : 0;
}

int api_open(struct api **out, const struct api_options *options, char **why)
{
	struct api *a = calloc(1, sizeof *a);
	int r;

	*out = NULL;
	*why = NULL;
	if (a == NULL)
		return -ENOMEM;
	a->access.owner_uid = geteuid();
	api_set_access(a, options->access, options->n_access);
	r = copy_options(a, options);
	if (r == 0)
		r = open_doors(a, why);
	if (r != 0) {
		if (*why == NULL)
			*why = strdup("the HTTP server cannot be started");
		api_close(a);
		return r;
	}
	*out = a;
	return 0;
}

/* libmicrohttpd wants nothing suspended when it stops. */
void api_close(struct api *a)
{
	if (a == NULL)
		return;
	a->closing = true;
	for (struct request *rq = a->requests; rq != NULL; rq = rq->next)
		request_resume(rq);
	for (size_t i = 0; i < 2; i++)
		if (a->doors[i].daemon != NULL)
			MHD_stop_daemon(a->doors[i].daemon);
	if (a->socket_file.st_ino != 0)
		door_remove(a->options.socket, &a->socket_file);
	free((char *)a->options.socket);
	free((char *)a->options.loopback);
	free((char *)a->options.member);
	free(a);
}

void api_set_access(struct api *a, const struct api_access *access, size_t n_access)
{
	a->access.rows = access;
	a->access.n_rows = n_access;
}

unsigned api_loopback_port(const struct api *a)
{
	return a->doors[1].port;
}

size_t api_fds(const struct api *a, int *fds, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < 2 && n < max; i++)
		if (a->doors[i].daemon != NULL)
			fds[n++] = a->doors[i].fd;
	return n;
}

uint64_t api_timeout_ms(struct api *a)
{
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < 2; i++) {
		MHD_UNSIGNED_LONG_LONG ms;

		if (a->doors[i].daemon != NULL && MHD_get_timeout(a->doors[i].daemon, &ms) == MHD_YES && ms < least)
			least = ms;
	}
	for (const struct request *rq = a->requests; rq != NULL; rq = rq->next) {
		uint64_t due = rq->stream == NULL ? UINT64_MAX : stream_due_ms(rq);
		uint64_t wait = due > a->now_ms ? due - a->now_ms : 0;

		if (due != UINT64_MAX && wait < least)
			least = wait;
	}
	return least;
}

void api_turn(struct api *a, uint64_t now_monotonic_ms)
{
	a->now_ms = now_monotonic_ms;
	for (struct request *rq = a->requests; rq != NULL; rq = rq->next)
		if (rq->stream != NULL)
			stream_tick(rq, a->now_ms);
	for (size_t i = 0; i < 2; i++)
		if (a->doors[i].daemon != NULL)
			MHD_run(a->doors[i].daemon);
}

static struct request *find_waiting(struct api *a, uint64_t tag)
{
	for (struct request *rq = a->requests; rq != NULL; rq = rq->next)
		if (rq->tag == tag)
			return rq;
	return NULL;
}

void api_published(struct api *a, struct job *job)
{
	struct request *rq = find_waiting(a, job->tag);

	if (rq != NULL && job->tag != 0) {
		rq->tag = 0;
		events_post_published(rq, job);
		request_resume(rq);
	}
	job_free(job);
}

/* A stream goes on by itself; any other request has its answer now. */
void api_queried(struct api *a, struct query *query)
{
	struct request *rq = find_waiting(a, query->tag);

	if (rq != NULL && query->tag != 0) {
		rq->tag = 0;
		rq->queried(rq, query);
		if (rq->stream == NULL)
			request_resume(rq);
	}
	query_free(query);
}

/* The node may say so before the handler has made the answer. What is to be shown then is asked for first. */
void api_kept(struct api *a, uint64_t tag, bool durable)
{
	struct request *rq = find_waiting(a, tag);

	if (rq == NULL || tag == 0)
		return;
	rq->tag = 0;
	rq->not_durable = !durable;
	if (!rq->suspended || rq->kept == NULL)
		return;
	rq->kept(rq);
	if (rq->answered)
		request_resume(rq);
}

void api_committed(struct api *a)
{
	for (struct request *rq = a->requests; rq != NULL; rq = rq->next)
		if (rq->stream != NULL)
			stream_wake(rq);
}
