/* The local API over its real sockets, with a node of this file's own behind it: what it is asked is looked at, what it answers is
 * set. Server and client take turns in one thread, so a test waits for a condition and for nothing else. */
#include "api/request.h"
#include "api/cloudevents.h"
#include "api/stream.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- memory that fails: the linker puts these in front of malloc and its kin (meson.build) ---- */

static bool api_is_running;     /* only what the API allocates fails */
static size_t allocations_left; /* the one that brings it to 0 fails; 0: none does */

static bool fails(void)
{
	if (!api_is_running || allocations_left == 0 || --allocations_left != 0)
		return false;
	return true;
}

#include "failing_memory.h"

/* ---- a node behind the API: while the API runs it asserts nothing, since Check allocates too ---- */

enum { WAITING_MAX = 256 };

/* Users, by what the access table says of them; the last is one that the kernel cannot name. */
enum { READER = 2001, PUBLISHER = 2002, OPERATOR = 2003, STRANGER = 2004, UNKNOWN = 666 };

/* The node behind the API, and everything that a test sets or looks at. */
struct node_double {
	char folder[64], path[96];
	struct api *api;
	uint64_t now_ms; /* monotonic */
	unsigned uid;    /* of whoever connects */
	gid_t gid;

	bool busy;                    /* -EAGAIN */
	bool hold;                    /* answers wait for release() */
	bool broken;                  /* queries fail; acts do not become durable */
	enum publish_outcome outcome; /* of jobs */
	enum publish_state state;     /* of results */
	const char *not_ready, *full; /* a reason; NULL: ready */
	int result;                   /* of notes and blocks */
	const char *place;            /* of a problem with them or with a job; NULL: none */
	uint64_t n_events;            /* stored: numbers 1, 2, ..., one event each */
	size_t event_bytes;           /* of each */

	struct job *jobs[WAITING_MAX];
	struct query *queries[WAITING_MAX];
	size_t n_jobs, n_queries;
	size_t n_published, n_asked; /* in all */
	char audit[256];             /* the last act */
	size_t n_acts;
	char note[64]; /* the last text, cut */
	uint64_t act;  /* the tag of one that is held */
};

static json_t *op_status(void *context)
{
	return json_pack("{s:s}", "member", "ut.ee");
}

static json_t *op_list(void *context)
{
	return json_pack("{s:[]}", "list");
}

static json_t *op_not_ready(void *context)
{
	const struct node_double *n = context;

	return n->not_ready == NULL ? json_array() : json_pack("[s]", n->not_ready);
}

static const char *op_full(void *context)
{
	return ((struct node_double *)context)->full;
}

static uint64_t op_last_number(void *context)
{
	return ((struct node_double *)context)->n_events;
}

static void op_metrics(void *context, struct buffer *out)
{
	static const struct metric m = {"enlight_members", METRIC_GAUGE, "", "Members of the roster"};

	metric_single(out, &m, 9);
}

static void answer_job(struct node_double *n, struct job *job)
{
	struct publish_job *p = &job->publish;

	n->n_published++;
	p->outcome = n->outcome;
	if (p->outcome != PUBLISH_OK) {
		if (n->place != NULL)
			problem_add(&p->problems, n->place, "a reason");
	} else {
		p->results = calloc(p->n_drafts, sizeof *p->results);
		ck_assert_ptr_nonnull(p->results);
		for (size_t i = 0; i < p->n_drafts; i++)
			p->results[i] = (struct published){.state = n->state, .revision = 1, .sequence = i + 18};
	}
	api_is_running = true;
	api_published(n->api, job);
	api_is_running = false;
}

/* Of nine batches the second and the eighth are damaged. */
static void answer_check(struct check_query *q)
{
	static const struct damage damage = {.publisher = "ut.ee", .first = 4, .last = 9, .what = "a bit"};
	uint64_t number = q->only != 0 ? q->only : q->after < 2 ? 2 : 8;

	q->next = q->end = 9;
	q->n_batches = q->only == 0 ? 9 - q->after : q->only <= 9;
	if (number != 2 && number != 8)
		return;
	q->damages = malloc(sizeof *q->damages);
	q->damages[q->n_damages++] = damage;
	q->damages[0].number = number;
	q->damages[0].audience = strdup("network");
}

/* A page as the read worker makes it, of events that carry only what is looked at. */
static void answer_query(struct node_double *n, struct query *q)
{
	n->n_asked++;
	if (n->broken) {
		q->result = -EIO;
	} else if (q->kind == QUERY_EVENT) {
		if (strcmp(q->event.id, "a/b c") == 0)
			q->event.event = json_pack("{s:s, s:b}", "id", q->event.id, "data", q->event.with_data ? 1 : 0);
	} else if (q->kind == QUERY_EVIDENCE) {
		if (q->evidence.id == NULL ? strcmp(q->evidence.audience, "rug.nl,ugent.be") == 0
					   : strcmp(q->evidence.id, "a/b c") == 0)
			q->evidence.file = bytes_of(bytes_dup(bytes_str("a file")), 6);
	} else if (q->kind == QUERY_CHECK) {
		answer_check(&q->check);
	} else {
		struct events_query *e = &q->events;
		uint64_t number = e->after.number + (e->from_start ? 1 : 0);
		char *filler = malloc(n->event_bytes + 1);

		ck_assert_ptr_nonnull(filler);
		memset(filler, 'x', n->event_bytes);
		filler[n->event_bytes] = '\0';
		if (!e->from_start || number == 0)
			number = e->after.number + 1;
		e->events = json_array();
		e->next = e->after;
		for (; number <= n->n_events && json_array_size(e->events) < e->limit; number++) {
			json_array_append_new(
				e->events, json_pack("{s:s, s:o, s:s}", "id", "event", "cursor",
						   json_sprintf("%u.0", (unsigned)number), "text", filler));
			e->next = (struct place){number, 0};
		}
		e->more = number <= n->n_events;
		free(filler);
	}
	api_is_running = true;
	api_queried(n->api, q);
	api_is_running = false;
}

static int op_publish(void *context, struct job *job)
{
	struct node_double *n = context;

	if (n->busy || n->n_jobs == WAITING_MAX)
		return -EAGAIN;
	n->jobs[n->n_jobs++] = job;
	return 0;
}

static int op_query(void *context, struct query *query)
{
	struct node_double *n = context;

	if (n->busy || n->n_queries == WAITING_MAX)
		return -EAGAIN;
	n->queries[n->n_queries++] = query;
	return 0;
}

/* An act as the trail has it; what it waits for is answered at once, or held. */
static void note_act(struct node_double *n, uint64_t tag, const struct act *act)
{
	bool was_running = api_is_running;
	struct problems problems = {0};
	struct draft draft;

	api_is_running = false; /* memory is short for the api alone */
	snprintf(n->audit, sizeof n->audit, "%u %s %s %s", act->uid, act->verb, act->object == NULL ? "" : act->object,
		act->reason == NULL ? "" : act->reason);
	n->n_acts++;
	ck_assert(act->by_user);
	ck_assert_int_eq(act_draft(&draft, act, "ut.ee", 1000), 0);
	ck_assert_int_eq(event_validate(&draft.event, "ut.ee", "ut.ee", &problems), 0);
	draft_deinit(&draft);
	api_is_running = was_running;
	if (n->hold)
		n->act = tag;
	else
		api_kept(n->api, tag, !n->broken);
}

static int op_import(void *context, uint64_t tag, const struct act *act, struct bytes text, struct problems *problems)
{
	struct node_double *n = context;

	snprintf(n->note, sizeof n->note, "%.*s", (int)text.len, (const char *)text.data);
	if (n->place != NULL)
		problem_add(problems, n->place, "a reason");
	else if (n->result >= 0)
		note_act(n, tag, act);
	return n->result;
}

static int op_block(
	void *context, uint64_t tag, const struct act *act, const char *member, bool block, struct problems *problems)
{
	struct node_double *n = context;

	snprintf(n->note, sizeof n->note, "%s %d %s", member, block, act->reason == NULL ? "" : act->reason);
	return op_import(n, tag, act, bytes_str(n->note), problems);
}

/* One member has another name. */
static const char *op_resolve(void *context, const char *name)
{
	return strcmp(name, "nuigalway.ie") == 0 ? "universityofgalway.ie" : NULL;
}

/* The one roster of the double. */
static const char roster_digest[] = "8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101";

static bool is_roster(const struct digest *digest)
{
	char hex[2 * DIGEST_LEN + 1];

	hex_encode(hex, digest->bytes, DIGEST_LEN);
	return strcmp(hex, roster_digest) == 0;
}

static struct bytes op_roster_text(void *context, const struct digest *digest)
{
	struct bytes nothing = {0};

	return is_roster(digest) ? bytes_str("enlight roster 1\n") : nothing;
}

static int op_pin(void *context, uint64_t tag, const struct act *act, const struct digest *digest)
{
	struct problems none = {0};

	return is_roster(digest) ? op_import(context, tag, act, bytes_str("pin"), &none) : -ENOENT;
}

static void op_audit(void *context, uint64_t tag, const struct act *act)
{
	note_act(context, tag, act);
}

static uint64_t op_now(void *context)
{
	return 1795426200250;
}

enum { LETTERS = 5 };

/* There are five of the plugin registrar, at 1.0 to 5.0. */
static int op_held(void *context, struct held_page *page)
{
	if (page->after_plugin[0] != '\0' && strcmp(page->after_plugin, "registrar") != 0)
		return -ENOENT;
	strcpy(page->after_plugin, "registrar");
	page->letters = json_array();
	while (page->after.number < LETTERS && json_array_size(page->letters) < page->limit)
		json_array_append_new(page->letters,
			json_pack("{s:i, s:i}", "place", (int)++page->after.number, "state", (int)page->state));
	page->more = page->after.number < LETTERS;
	return 0;
}

static json_t *op_held_row(void *context, const char *plugin, const struct place *place)
{
	return place->number == 7 ? json_pack("{s:s}", "plugin", plugin) : json_null();
}

static int op_held_retry(void *context, const char *plugin, const struct place *place)
{
	struct node_double *n = context;

	snprintf(n->note, sizeof n->note, "%s %d.%d", plugin, (int)place->number, (int)place->index);
	return n->result;
}

static int op_held_retry_all(void *context, const char *plugin, const struct held_filter *filter)
{
	const struct node_double *n = context;

	return strcmp(plugin, "registrar") == 0 ? n->result : -ENOENT;
}

/* Two channels of a member that has another name, one of another. */
static json_t *op_channels(void *context)
{
	return json_pack("{s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}", "channels", "publisher", "universityofgalway.ie",
		"audience", "network", "publisher", "universityofgalway.ie", "audience", "rug.nl,ut.ee", "publisher",
		"ut.ee", "audience", "rug.nl,universityofgalway.ie");
}

static int op_backup_begin(void *context, char why[static 160])
{
	const struct node_double *n = context;

	if (n->place != NULL)
		snprintf(why, 160, "%s", n->place);
	return n->result;
}

static json_t *op_backup(void *context)
{
	return ((const struct node_double *)context)->result == -ENOENT ? json_null()
									: json_pack("{s:s}", "state", "copying");
}

static int op_repair(void *context, uint64_t tag, const struct act *act, const struct damage *damage)
{
	struct node_double *n = context;

	if (n->result == 0)
		note_act(n, tag, act);
	return n->result;
}

/* The "copy" is this program's own file. */
static int op_backup_file(void *context, uint64_t *bytes)
{
	static int fd = -1;

	if (((const struct node_double *)context)->result != 0)
		return -1;
	if (fd < 0)
		fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	*bytes = 4;
	return fd;
}

static int op_backup_end(void *context, uint64_t tag, bool kept)
{
	struct node_double *n = context;

	if (n->result == 0 && kept)
		api_kept(n->api, tag, !n->broken);
	return n->result;
}

static const struct api_ops ops = {op_status, op_list, op_channels, op_not_ready, op_full, op_last_number, op_metrics,
	op_publish, op_query, op_import, op_block, op_resolve, op_list, op_list, op_roster_text, op_pin, op_list,
	op_held, op_held_row, op_held_retry, op_held_retry_all, op_held_retry, op_audit, op_now, op_backup_begin,
	op_backup, op_backup_file, op_backup_end, op_repair, op_list};

static int op_identify(void *context, int fd, struct api_peer *out)
{
	const struct node_double *n = context;

	if (n->uid == UNKNOWN)
		return -EPERM;
	out->groups = malloc(sizeof *out->groups);
	if (out->groups == NULL)
		return -ENOMEM;
	out->groups[0] = n->gid;
	out->n_groups = 1;
	out->uid = n->uid;
	return 0;
}

/* ---- the world of a test ---- */

static char course_pattern[] = "course.*", all_pattern[] = "*";
static char *course[] = {course_pattern}, *everything[] = {all_pattern};
static const struct api_access rows[] = {
	{.by_uid = true, .id = READER, .read = course, .n_read = 1},
	{.by_uid = true, .id = PUBLISHER, .publish = everything, .n_publish = 1},
	{.by_uid = true, .id = OPERATOR, .operator_ = true},
};

static struct api_options options_of(struct node_double *n)
{
	return (struct api_options){
		.socket = n->path,
		.loopback = "127.0.0.1:0",
		.member = "ut.ee",
		.access = rows,
		.n_access = sizeof rows / sizeof *rows,
		.ops = &ops,
		.context = n,
		.identify = op_identify,
	};
}

static void node_start(struct node_double *n)
{
	struct api_options options;
	char *why;

	char path[sizeof n->path], loopback[] = "127.0.0.1:0", member[] = "ut.ee";

	*n = (struct node_double){.uid = OPERATOR, .gid = 77, .now_ms = 1000, .state = PUBLISH_NEW};
	snprintf(n->folder, sizeof n->folder, "/tmp/enlight-api-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(n->folder));
	snprintf(n->path, sizeof n->path, "%s/api.sock", n->folder);
	memcpy(path, n->path, sizeof path);
	options = options_of(n);
	options.socket = path;
	options.loopback = loopback;
	options.member = member;
	ck_assert_msg(api_open(&n->api, &options, &why) == 0, "%s", why);
	memset(path, 'x', sizeof path - 1); /* a configuration that is read again is another one */
	memset(loopback, 'x', sizeof loopback - 1);
	memset(member, 'x', sizeof member - 1);
}

static void node_stop(struct node_double *n)
{
	api_close(n->api);
	for (size_t i = 0; i < n->n_jobs; i++)
		job_free(n->jobs[i]);
	for (size_t i = 0; i < n->n_queries; i++)
		query_free(n->queries[i]);
	unlink(n->path);
	rmdir(n->folder);
}

static void release(struct node_double *n)
{
	struct job *jobs[WAITING_MAX];
	struct query *queries[WAITING_MAX];
	size_t n_jobs = n->n_jobs, n_queries = n->n_queries;

	memcpy(jobs, n->jobs, sizeof jobs);
	memcpy(queries, n->queries, sizeof queries);
	n->n_jobs = n->n_queries = 0;
	for (size_t i = 0; i < n_jobs; i++)
		answer_job(n, jobs[i]);
	for (size_t i = 0; i < n_queries; i++)
		answer_query(n, queries[i]);
}

/* One round of the loop, as the daemon does it: sleep at most `max_ms`, then take a turn. */
static void turn(struct node_double *n, int max_ms)
{
	struct pollfd fds[2];
	int list[2];
	size_t count = api_fds(n->api, list, 2);
	uint64_t timeout = api_timeout_ms(n->api);

	for (size_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){.fd = list[i], .events = POLLIN};
	poll(fds, count, timeout < (uint64_t)max_ms ? (int)timeout : max_ms);
	api_is_running = true;
	api_turn(n->api, n->now_ms);
	api_is_running = false;
	if (!n->hold)
		release(n);
}

/* ---- a client ---- */

struct client {
	int fd;
	struct buffer in;
	bool closed;
};

static void client_open(struct client *c, struct node_double *n)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*c = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", n->path);
	ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void client_open_tcp(struct client *c, struct node_double *n)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)api_loopback_port(n->api)),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};

	*c = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void client_close(struct client *c)
{
	close(c->fd);
	buffer_deinit(&c->in);
}

/* Takes what has come. */
static void client_read(struct client *c)
{
	char chunk[65536];
	ssize_t got;

	while ((got = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
		buffer_add(&c->in, chunk, (size_t)got);
	if (got == 0 || (got < 0 && errno != EAGAIN))
		c->closed = true;
}

static void client_send(struct client *c, struct node_double *n, const void *data, size_t len)
{
	size_t at = 0;

	while (at < len && !c->closed) {
		ssize_t sent = send(c->fd, (const char *)data + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			at += (size_t)sent;
		else if (errno != EAGAIN)
			return;
		if (at < len)
			turn(n, 10);
	}
}

struct answer {
	unsigned status;
	char *head; /* owned; the status line and the headers */
	char *body; /* owned, NUL-terminated, not chunked any more */
	size_t len;
	json_t *json;
};

static const char *text_of(struct client *c)
{
	const char *text = buffer_cstr(&c->in);

	return text == NULL ? "" : text;
}

/* Whether the whole answer is there; then it is taken out of the buffer. */
static bool client_take(struct client *c, struct answer *a, bool head_only)
{
	const char *text = text_of(c), *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "Content-Length:");
	size_t head, len, rest;

	if (end == NULL)
		return false;
	head = (size_t)(end - text) + 4;
	len = head_only || length == NULL || length > end ? 0 : strtoul(length + 15, NULL, 10);
	if (c->in.len < head + len)
		return false;
	a->status = (unsigned)strtoul(text + 9, NULL, 10);
	a->head = strndup(text, head);
	a->body = strndup(text + head, len);
	a->len = len;
	a->json = json_loads(a->body, JSON_DECODE_ANY, NULL);
	rest = c->in.len - head - len;
	memmove(c->in.data, c->in.data + head + len, rest);
	c->in.len = rest;
	return true;
}

static void answer_deinit(struct answer *a)
{
	free(a->head);
	free(a->body);
	json_decref(a->json);
}

static struct answer client_wait(struct client *c, struct node_double *n, bool head_only)
{
	struct answer a = {0};

	for (int i = 0; i < 3000; i++) {
		client_read(c);
		if (client_take(c, &a, head_only))
			return a;
		ck_assert_msg(!c->closed, "closed without an answer: %s", text_of(c));
		turn(n, 10);
	}
	ck_abort_msg("no answer");
	return a;
}

/* Sends a request: the first line without version, further header lines (each with CRLF), and a body. */
static void client_ask(
	struct client *c, struct node_double *n, const char *line, const char *headers, const void *body, size_t len)
{
	struct buffer out = {0};

	buffer_printf(&out, "%s HTTP/1.1\r\nHost: localhost\r\n%s", line, headers);
	if (body != NULL)
		buffer_printf(&out, "Content-Length: %zu\r\n", len);
	buffer_str(&out, "\r\n");
	if (body != NULL)
		buffer_add(&out, body, len);
	client_send(c, n, out.data, out.len);
	buffer_deinit(&out);
}

/* One request on a connection of its own. */
static struct answer ask(struct node_double *n, const char *line, const char *headers, const char *body)
{
	struct client c;
	struct answer a;

	client_open(&c, n);
	client_ask(&c, n, line, headers, body, body == NULL ? 0 : strlen(body));
	a = client_wait(&c, n, strncmp(line, "HEAD ", 5) == 0);
	client_close(&c);
	return a;
}

static void assert_problem(const char *name, const struct answer *a, unsigned status, const char *type)
{
	char urn[64];

	snprintf(urn, sizeof urn, "urn:enlight:problem:%s", type);
	ck_assert_msg(a->status == status, "%s: %u %s", name, a->status, a->body);
	ck_assert_msg(strstr(a->head, "application/problem+json") != NULL, "%s: %s", name, a->head);
	ck_assert_str_eq(json_string_value(json_object_get(a->json, "type")), urn);
	ck_assert_int_eq(json_integer_value(json_object_get(a->json, "status")), status);
	ck_assert_ptr_nonnull(json_string_value(json_object_get(a->json, "title")));
}

static const char *first_pointer(const struct answer *a)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(a->json, "errors"), 0), "pointer"));
}

static bool has_pointer(const struct answer *a, const char *pointer)
{
	json_t *error;
	size_t i;

	json_array_foreach(json_object_get(a->json, "errors"), i,
		error) if (strcmp(json_string_value(json_object_get(error, "pointer")), pointer) == 0) return true;
	return false;
}

static const char *first_rule(const struct answer *a)
{
	return json_string_value(json_object_get(json_array_get(json_object_get(a->json, "errors"), 0), "rule"));
}

static char *event_text(void)
{
	json_t *event = event_example(topic_find("course.offering"));
	char *text;

	json_object_set_new(event, "source", json_string("ut.ee"));
	text = json_dumps(event, 0);
	json_decref(event);
	return text;
}

#define ONE "Content-Type: application/cloudevents+json\r\n"
#define MANY "Content-Type: application/cloudevents-batch+json\r\n"

/* ---- publishing ---- */

/* An event comes back with what the node made of it; the body of the answer is what the design shows. */
START_TEST(test_publishing)
{
	struct node_double n;
	struct answer a;
	char *body = event_text();

	node_start(&n);
	n.uid = PUBLISHER;
	a = ask(&n, "POST /v1/events", ONE, body);
	ck_assert_msg(a.status == 201, "%s", a.body);
	ck_assert_str_eq(a.body,
		"{\"events\":[{\"id\":\"01a207bd-a9c0-7cc3-98c4-dc0c0c07398f\",\"state\":\"published\","
		"\"revision\":1,\"audience\":\"network\",\"sequence\":18,\"digest\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000\"}]}\n");
	ck_assert_ptr_nonnull(strstr(a.head, "Content-Type: application/json\r\n"));
	ck_assert_ptr_nonnull(strstr(a.head, "Cache-Control: no-store\r\n"));
	ck_assert_ptr_nonnull(strstr(a.head, "X-Content-Type-Options: nosniff\r\n"));
	answer_deinit(&a);
	free(body);
	node_stop(&n);
}
END_TEST

/* 201 when anything is new, else 200. */
START_TEST(test_again_and_unchanged)
{
	static const struct {
		enum publish_state state;
		unsigned status;
		const char *word;
	} cases[] = {
		{PUBLISH_NEW, 201, "published"}, {PUBLISH_AGAIN, 200, "again"}, {PUBLISH_UNCHANGED, 200, "unchanged"}};
	struct node_double n;
	char *body = event_text(), *list;

	ck_assert_int_gt(asprintf(&list, "[%s,%s]", body, body), 0);
	node_start(&n);
	for (size_t i = 0; i < 3; i++) {
		struct answer a;

		n.state = cases[i].state;
		a = ask(&n, "POST /v1/events", MANY, list);
		ck_assert_msg(a.status == cases[i].status, "%s", a.body);
		ck_assert_uint_eq(json_array_size(json_object_get(a.json, "events")), 2);
		ck_assert_ptr_nonnull(strstr(a.body, cases[i].word));
		answer_deinit(&a);
	}
	free(body);
	free(list);
	node_stop(&n);
}
END_TEST

/* What the commit refuses has its own status and says where; a batch of one has numbers in its places too. */
START_TEST(test_outcomes)
{
	static const struct {
		enum publish_outcome outcome;
		unsigned status;
		const char *type;
	} cases[] = {{PUBLISH_RULE, 422, "rule"}, {PUBLISH_CONFLICT, 409, "conflict"}, {PUBLISH_FULL, 507, "full"},
		{PUBLISH_FAILED, 503, "failed"}};
	struct node_double n;
	char *body = event_text(), *list;

	ck_assert_int_gt(asprintf(&list, "[%s]", body), 0);
	node_start(&n);
	n.place = "/enlightrevision";
	for (size_t i = 0; i < 4; i++) {
		struct answer a;

		n.outcome = cases[i].outcome;
		a = ask(&n, "POST /v1/events", ONE, body);
		assert_problem("one", &a, cases[i].status, cases[i].type);
		ck_assert_str_eq(first_pointer(&a), "/enlightrevision");
		answer_deinit(&a);
		a = ask(&n, "POST /v1/events", MANY, list);
		assert_problem("many", &a, cases[i].status, cases[i].type);
		ck_assert_str_eq(first_pointer(&a), "/0/enlightrevision");
		answer_deinit(&a);
	}
	free(body);
	free(list);
	node_stop(&n);
}
END_TEST

/* What the API itself refuses is not asked of the node. */
static const struct {
	const char *name, *headers, *body;
	unsigned status;
	const char *type, *pointer;
} refused[] = {
	{"no media type", "", "{}", 415, "media-type", "Content-Type"},
	{"another media type", "Content-Type: text/xml\r\n", "<a/>", 415, "media-type", "Content-Type"},
	{"another charset", "Content-Type: application/cloudevents+json; charset=latin1\r\n", "{}", 415, "media-type",
		"Content-Type"},
	{"not JSON", ONE, "{", 400, "syntax", ""},
	{"not protobuf", "Content-Type: application/cloudevents-batch+protobuf\r\n", "xx", 400, "syntax", "/0"},
	{"binary without attributes", "Content-Type: application/json\r\n", "{}", 400, "syntax", "/specversion"},
	{"header twice", "Content-Type: application/json\r\nce-id: a\r\nCe-Id: b\r\n", "{}", 400, "syntax", ""},
	{"header not encoded", "Content-Type: application/json\r\nce-id: %zz\r\n", "{}", 400, "syntax", ""},
	{"header not carried", "Content-Type: application/json\r\nce-colour: blue\r\n", "{}", 422, "rule", "/colour"},
	{"another's event", ONE, "{\"specversion\": \"1.0\", \"source\": \"uu.se\", \"type\": \"x\"}", 403, "forbidden",
		"/source"},
	{"unknown topic", ONE, "{\"specversion\": \"1.0\", \"type\": \"eu.enlight.no.such.v1\"}", 422, "rule",
		"/subject"},
	{"empty list", MANY, "[]", 200, NULL, NULL},
};

START_TEST(test_refusals)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, "POST /v1/events", refused[_i].headers, refused[_i].body);
	if (refused[_i].type != NULL) {
		assert_problem(refused[_i].name, &a, refused[_i].status, refused[_i].type);
		ck_assert_msg(has_pointer(&a, refused[_i].pointer), "%s: %s", refused[_i].name, a.body);
	} else {
		ck_assert_uint_eq(a.status, refused[_i].status);
	}
	ck_assert_uint_eq(n.n_published, 0);
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* Binary mode: attributes are headers, percent-encoded, in any case. */
START_TEST(test_binary_mode)
{
	struct node_double n;
	struct answer a;
	char *body = event_text(), *data, *headers;
	json_t *event = json_loads(body, 0, NULL);

	node_start(&n);
	n.hold = true;
	data = json_dumps(json_object_get(event, "data"), 0);
	ck_assert_int_gt(
		asprintf(&headers,
			"Content-Type: application/json\r\nce-specversion: 1.0\r\nCE-Id: caf%%C3%%A9\r\n"
			"ce-type: eu.enlight.course.offering.v1\r\nce-enlightaudience: network\r\nce-subject: %s\r\n",
			json_string_value(json_object_get(event, "subject"))),
		0);
	a = ask(&n, "POST /v1/events", headers, data);
	assert_problem("id", &a, 422, "rule"); /* was decoded: ids are printable ASCII */
	ck_assert_str_eq(first_pointer(&a), "/id");
	answer_deinit(&a);
	memcpy(strstr(headers, "caf%C3%A9"), "caf%2F%21", 9);
	n.hold = false;
	a = ask(&n, "POST /v1/events", headers, data);
	ck_assert_msg(a.status == 201, "%s", a.body);
	ck_assert_ptr_nonnull(strstr(a.body, "\"id\":\"caf/!\""));
	answer_deinit(&a);
	free(headers);
	free(data);
	free(body);
	json_decref(event);
	node_stop(&n);
}
END_TEST

/* While the node is not ready nothing is published, and the reasons are said, to monitoring too. */
START_TEST(test_not_ready)
{
	struct node_double n;
	struct answer a;
	char *body = event_text();

	node_start(&n);
	n.not_ready = "this member has no card";
	a = ask(&n, "POST /v1/events", ONE, body);
	assert_problem("publish", &a, 503, "not-ready");
	ck_assert_str_eq(first_rule(&a), "this member has no card");
	ck_assert_ptr_nonnull(strstr(a.head, "Retry-After: "));
	answer_deinit(&a);
	a = ask(&n, "GET /readyz", "", NULL);
	assert_problem("ready", &a, 503, "not-ready");
	answer_deinit(&a);
	a = ask(&n, "GET /livez", "", NULL);
	ck_assert_uint_eq(a.status, 200);
	answer_deinit(&a);
	n.not_ready = NULL;
	a = ask(&n, "GET /readyz", "", NULL);
	ck_assert_str_eq(a.body, "{\"ready\":true}\n");
	answer_deinit(&a);
	free(body);
	node_stop(&n);
}
END_TEST

/* A full disk is a reason not to be ready, and keeps nobody from trying: the answer may be another by now. */
START_TEST(test_full)
{
	struct node_double n;
	struct answer a;
	char *body = event_text();

	node_start(&n);
	n.full = "the disk is full";
	a = ask(&n, "GET /readyz", "", NULL);
	assert_problem("ready", &a, 503, "not-ready");
	ck_assert_str_eq(first_rule(&a), "the disk is full");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/status", "", NULL);
	ck_assert_ptr_nonnull(strstr(a.body, "\"reasons\":[\"the disk is full\"]"));
	answer_deinit(&a);
	a = ask(&n, "POST /v1/events", ONE, body);
	ck_assert_uint_eq(a.status, 201);
	answer_deinit(&a);
	free(body);
	node_stop(&n);
}
END_TEST

/* A node that has too much to do says so; nothing waits in the API. */
START_TEST(test_busy)
{
	static const char *const lines[] = {"GET /v1/events", "GET /v1/events/ut.ee/x"};
	struct node_double n;
	struct answer a;
	char *body = event_text();

	node_start(&n);
	n.busy = true;
	a = ask(&n, "POST /v1/events", ONE, body);
	assert_problem("publish", &a, 503, "busy");
	answer_deinit(&a);
	for (size_t i = 0; i < 2; i++) {
		a = ask(&n, lines[i], "", NULL);
		assert_problem(lines[i], &a, 503, "busy");
		answer_deinit(&a);
	}
	n.busy = false;
	n.broken = true;
	for (size_t i = 0; i < 2; i++) {
		a = ask(&n, lines[i], "", NULL);
		assert_problem(lines[i], &a, 503, "failed");
		answer_deinit(&a);
	}
	free(body);
	node_stop(&n);
}
END_TEST

/* A body that says it is too large is refused before it is sent; one that does not say so, at the limit, and what the rest of it
 * holds is not kept. */
START_TEST(test_large_bodies)
{
	static char piece[65536];
	struct node_double n;
	struct client c;
	struct answer a;
	size_t sent = 0;

	node_start(&n);
	memset(piece, ' ', sizeof piece);
	client_open(&c, &n);
	client_ask(&c, &n, "POST /v1/events", ONE "Expect: 100-continue\r\nContent-Length: 4194305\r\n", NULL, 0);
	a = client_wait(&c, &n, false);
	assert_problem("said", &a, 413, "too-large");
	answer_deinit(&a);
	client_close(&c);

	client_open(&c, &n);
	client_ask(&c, &n, "POST /v1/events", ONE "Transfer-Encoding: chunked\r\n", NULL, 0);
	for (; sent < EVENTS_BODY_MAX + sizeof piece; sent += sizeof piece) {
		client_send(&c, &n, "10000\r\n", 7);
		client_send(&c, &n, piece, sizeof piece);
		client_send(&c, &n, "\r\n", 2);
		ck_assert_uint_le(n.api->body_bytes, EVENTS_BODY_MAX);
	}
	for (int i = 0; i < 100 && n.api->body_bytes > 0; i++)
		turn(&n, 10);
	ck_assert_uint_eq(n.api->body_bytes, 0);
	client_send(&c, &n, "0\r\n\r\n", 5);
	a = client_wait(&c, &n, false);
	assert_problem("chunked", &a, 413, "too-large");
	answer_deinit(&a);
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* A client that never ends is cut off; a body where none belongs is refused. */
START_TEST(test_endless_bodies)
{
	static char piece[65536];
	struct node_double n;
	struct client c;
	struct answer a;

	node_start(&n);
	memset(piece, ' ', sizeof piece);
	client_open(&c, &n);
	client_ask(&c, &n, "POST /v1/events", ONE "Transfer-Encoding: chunked\r\n", NULL, 0);
	for (size_t i = 0; i < 400 && !c.closed; i++) {
		client_send(&c, &n, "10000\r\n", 7);
		client_send(&c, &n, piece, sizeof piece);
		client_send(&c, &n, "\r\n", 2);
		client_read(&c);
	}
	ck_assert(c.closed);
	client_close(&c);
	a = ask(&n, "DELETE /v1/peers/uu.se/block", "", "{}");
	assert_problem("body of DELETE", &a, 413, "too-large");
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* All bodies together have a limit: who comes too late is asked to come again. */
START_TEST(test_bodies_together)
{
	struct node_double n;
	struct client clients[8], late;
	struct answer a;

	node_start(&n);
	for (size_t i = 0; i < 8; i++) {
		client_open(&clients[i], &n);
		client_ask(&clients[i], &n, "POST /v1/events", ONE "Content-Length: 4194304\r\n", NULL, 0);
		turn(&n, 10);
	}
	client_open(&late, &n);
	client_ask(&late, &n, "POST /v1/events", ONE, "{}", 2);
	a = client_wait(&late, &n, false);
	assert_problem("late", &a, 503, "busy");
	answer_deinit(&a);
	for (size_t i = 0; i < 8; i++)
		client_close(&clients[i]);
	for (int i = 0; i < 100 && n.api->body_bytes > 0; i++)
		turn(&n, 10);
	ck_assert_uint_eq(n.api->body_bytes, 0);
	client_ask(&late, &n, "POST /v1/events", ONE, "{}", 2);
	a = client_wait(&late, &n, false);
	assert_problem("in time", &a, 400, "syntax");
	answer_deinit(&a);
	client_close(&late);
	node_stop(&n);
}
END_TEST

/* A client that goes away in the middle of its body, or while its job runs, takes nothing with it. */
START_TEST(test_clients_that_leave)
{
	struct node_double n;
	struct client c;
	char *body = event_text();

	node_start(&n);
	client_open(&c, &n);
	client_ask(&c, &n, "POST /v1/events", ONE "Content-Length: 1000\r\n", NULL, 0);
	client_send(&c, &n, "{\"id\"", 5);
	for (int i = 0; i < 100 && n.api->counts.body_bytes == 0; i++)
		turn(&n, 10);
	ck_assert_ptr_nonnull(n.api->requests);
	client_close(&c);
	for (int i = 0; i < 100 && n.api->requests != NULL; i++)
		turn(&n, 10);
	ck_assert_ptr_null(n.api->requests);

	n.hold = true;
	client_open(&c, &n);
	client_ask(&c, &n, "POST /v1/events", ONE, body, strlen(body));
	for (int i = 0; i < 100 && n.n_jobs == 0; i++)
		turn(&n, 10);
	ck_assert_uint_eq(n.n_jobs, 1);
	client_close(&c);
	n.hold = false;
	for (int i = 0; i < 100 && n.api->requests != NULL; i++)
		turn(&n, 10);
	ck_assert_ptr_null(n.api->requests);
	ck_assert_uint_eq(n.n_published, 1);
	free(body);
	node_stop(&n);
}
END_TEST

/* A node that stops while requests wait and streams sleep leaves nothing behind; an answer for nobody is no answer. */
START_TEST(test_stopping)
{
	struct node_double n;
	struct client waiting, streaming, sending;
	char *body = event_text();
	struct job *stray;

	node_start(&n);
	n.hold = true;
	client_open(&waiting, &n);
	client_open(&streaming, &n);
	client_open(&sending, &n);
	client_ask(&waiting, &n, "POST /v1/events", ONE, body, strlen(body));
	client_ask(&streaming, &n, "GET /v1/events/stream?after=0.0", "", NULL, 0);
	client_ask(&sending, &n, "POST /v1/events", ONE "Content-Length: 1000\r\n", NULL, 0);
	for (int i = 0; i < 100 && (n.n_jobs == 0 || n.n_queries == 0); i++)
		turn(&n, 10);
	stray = job_new(JOB_PUBLISH, NULL);
	stray->tag = 999;
	api_published(n.api, stray);
	node_stop(&n);
	client_close(&waiting);
	client_close(&streaming);
	client_close(&sending);
	free(body);
}
END_TEST

/* Several requests on one connection, sent without waiting, are answered in order. */
START_TEST(test_pipelining)
{
	struct node_double n;
	struct client c;
	char *body = event_text();

	node_start(&n);
	client_open(&c, &n);
	for (int i = 0; i < 5; i++) {
		client_ask(&c, &n, "POST /v1/events", ONE, body, strlen(body));
		client_ask(&c, &n, "GET /livez", "", NULL, 0);
	}
	for (int i = 0; i < 10; i++) {
		struct answer a = client_wait(&c, &n, false);

		ck_assert_uint_eq(a.status, i % 2 == 0 ? 201 : 200);
		answer_deinit(&a);
	}
	client_close(&c);
	free(body);
	node_stop(&n);
}
END_TEST

/* ---- who may ---- */

static const struct {
	const char *line;
	unsigned roles; /* READER 1, PUBLISHER 2, OPERATOR 4, STRANGER 8: who gets past the access table */
} guarded[] = {
	{"GET /", 15},
	{"GET /livez", 15},
	{"GET /readyz", 15},
	{"GET /metrics", 15},
	{"GET /v1/topics", 15},
	{"GET /v1/topics/course.offering", 15},
	{"GET /v1/status", 7},
	{"GET /v1/events", 5},
	{"GET /v1/events/ut.ee/x", 5},
	{"GET /v1/events/ut.ee/x/evidence", 5},
	{"POST /v1/events", 6},
	{"GET /v1/peers", 4},
	{"GET /v1/channels", 4},
	{"GET /v1/channels/ut.ee/network/fork", 4},
	{"GET /v1/dead-letters", 4},
	{"POST /v1/dead-letters/registrar/retry", 4},
	{"POST /v1/cards", 4},
	{"POST /v1/rosters", 4},
	{"GET /v1/invite", 4},
	{"GET /v1/rosters", 4},
	{"GET /v1/rosters/8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101", 4},
	{"POST /v1/rosters/8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101/pin", 4},
	{"POST /v1/peers/uu.se/block", 4},
	{"DELETE /v1/peers/uu.se/block", 4},
};

/* Every route is for those whom its row names; somebody whom the kernel cannot name gets nothing. */
START_TEST(test_roles)
{
	static const unsigned uids[] = {READER, PUBLISHER, OPERATOR, STRANGER, UNKNOWN, 0};
	struct node_double n;

	node_start(&n);
	for (size_t i = 0; i < 6; i++) {
		bool may = uids[i] == 0 || (uids[i] != UNKNOWN && (guarded[_i].roles >> i & 1) != 0);
		struct answer a;

		n.uid = uids[i];
		a = ask(&n, guarded[_i].line, "", guarded[_i].line[0] == 'P' ? "" : NULL);
		ck_assert_msg((a.status != 403) == may, "%s as %u: %u", guarded[_i].line, uids[i], a.status);
		if (!may)
			assert_problem(guarded[_i].line, &a, 403, "forbidden");
		answer_deinit(&a);
	}
	node_stop(&n);
}
END_TEST

/* A publisher of some topics is refused the others; a table that is read again holds from the next request on. */
START_TEST(test_topics_of_a_publisher)
{
	static const struct api_access other[] = {{.by_uid = true, .id = PUBLISHER, .publish = course, .n_publish = 1}};
	struct node_double n;
	struct answer a;
	const char *nomination = "{\"specversion\": \"1.0\", \"type\": \"eu.enlight.mobility.nomination.v1\"}";

	node_start(&n);
	n.uid = PUBLISHER;
	a = ask(&n, "POST /v1/events", ONE, nomination);
	assert_problem("may", &a, 422, "rule");
	answer_deinit(&a);
	api_set_access(n.api, other, 1);
	a = ask(&n, "POST /v1/events", ONE, nomination);
	assert_problem("may not", &a, 403, "forbidden");
	ck_assert_str_eq(first_pointer(&a), "/type");
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* The kernel's word is used when nobody else's is: the node's own user is an operator. */
START_TEST(test_own_user)
{
	struct node_double n;
	struct api_options options;
	struct answer a;
	char *why;

	node_start(&n);
	api_close(n.api);
	options = options_of(&n);
	options.identify = NULL;
	options.loopback = NULL;
	ck_assert_int_eq(api_open(&n.api, &options, &why), 0);
	a = ask(&n, "GET /v1/peers", "", NULL);
	ck_assert_uint_eq(a.status, 200);
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* ---- reading ---- */

/* A query says what was asked, within what the asker may read. */
START_TEST(test_what_is_asked)
{
	struct node_double n;
	struct client c;
	struct events_query *q;
	struct answer a;

	node_start(&n);
	n.hold = true;
	n.uid = READER;
	n.n_events = 30;
	client_open(&c, &n);
	client_ask(&c, &n,
		"GET "
		"/v1/"
		"events?source=uu.se&topic=course.*&subject=course%2FCR%2f1+2&audience=ut.ee,rug.nl&after=7.3&limit=5&"
		"data=true",
		"", NULL, 0);
	for (int i = 0; i < 100 && n.n_queries == 0; i++)
		turn(&n, 10);
	ck_assert_uint_eq(n.n_queries, 1);
	q = &n.queries[0]->events;
	ck_assert_str_eq(q->filter.source, "uu.se");
	ck_assert_str_eq(q->filter.topic, "course.*");
	ck_assert_str_eq(q->filter.subject, "course/CR/1 2");
	ck_assert_str_eq(q->filter.audience, "rug.nl,ut.ee");
	ck_assert_uint_eq(q->filter.n_readable, 1);
	ck_assert_str_eq(q->filter.readable[0], "course.*");
	ck_assert(q->after.number == 7 && q->after.index == 3 && !q->from_start);
	ck_assert_uint_eq(q->limit, 5);
	ck_assert(q->with_data);
	ck_assert_str_eq(n.audit, ""); /* it may read them, and is no operator */
	n.hold = false;
	n.n_events = 30;
	a = client_wait(&c, &n, false);
	ck_assert_uint_eq(json_array_size(json_object_get(a.json, "events")), 5);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "next")), "12.0");
	ck_assert(json_is_true(json_object_get(a.json, "more")));
	answer_deinit(&a);
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* Pages go on where the last one ended, until there is no more. */
START_TEST(test_pages)
{
	struct node_double n;
	char line[64] = "GET /v1/events?limit=10";
	size_t seen = 0;
	bool more = true;

	node_start(&n);
	n.n_events = 25;
	while (more) {
		struct answer a = ask(&n, line, "", NULL);

		ck_assert_msg(a.status == 200, "%s", a.body);
		seen += json_array_size(json_object_get(a.json, "events"));
		more = json_is_true(json_object_get(a.json, "more"));
		snprintf(line, sizeof line, "GET /v1/events?limit=10&after=%s",
			json_string_value(json_object_get(a.json, "next")));
		answer_deinit(&a);
	}
	ck_assert_uint_eq(seen, 25);
	ck_assert_str_eq(n.audit, ""); /* no payload was read */
	node_stop(&n);
}
END_TEST

/* One event is found by its publisher and id, whatever characters the id has; reading its payload is noted. */
START_TEST(test_one_event)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, "GET /v1/events/ut.ee/a%2Fb%20c", "", NULL);
	ck_assert_str_eq(a.body, "{\"id\":\"a/b c\",\"data\":false}\n");
	ck_assert_str_eq(n.audit, "");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/events/ut.ee/a%2Fb%20c?data=true", "", NULL);
	ck_assert_str_eq(a.body, "{\"id\":\"a/b c\",\"data\":true}\n");
	ck_assert_str_eq(n.audit, "2003 events.read source=ut.ee topic=* ");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/events/ut.ee/other", "", NULL);
	assert_problem("other", &a, 404, "not-found");
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* A fork's evidence is found by its channel, its audience in whatever order. */
START_TEST(test_fork)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, "GET /v1/channels/ut.ee/ugent.be,rug.nl/fork", "", NULL);
	ck_assert_str_eq(a.body, "a file");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/channels/ut.ee/network/fork", "", NULL);
	assert_problem("none", &a, 404, "not-found");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/channels/ut.ee/nobody/fork", "", NULL);
	assert_problem("audience", &a, 400, "parameter");
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

static const struct {
	const char *query, *found;
} channel_queries[] = {
	{"", "universityofgalway.ie>network universityofgalway.ie>rug.nl,ut.ee ut.ee>rug.nl,universityofgalway.ie "},
	{"?source=nuigalway.ie", "universityofgalway.ie>network universityofgalway.ie>rug.nl,ut.ee "},
	{"?audience=network", "universityofgalway.ie>network "},
	{"?audience=ut.ee,rug.nl", "universityofgalway.ie>rug.nl,ut.ee "},
	{"?source=ut.ee&audience=ut.ee,nuigalway.ie,rug.nl", "ut.ee>rug.nl,universityofgalway.ie "},
	{"?source=ut.ee&audience=network", ""},
	{"?source=Ut", NULL},
	{"?audience=nobody", NULL},
};

/* Channels are found by publisher and audience, by whatever name and in whatever order. */
START_TEST(test_channels)
{
	const char *expected = channel_queries[_i].found;
	char head[128], found[512] = "";
	struct node_double n;
	struct answer a;
	json_t *json, *channel;
	size_t i;

	node_start(&n);
	snprintf(head, sizeof head, "GET /v1/channels%s", channel_queries[_i].query);
	a = ask(&n, head, "", NULL);
	if (expected == NULL) {
		assert_problem(head, &a, 400, "parameter");
	} else {
		json = json_loads(a.body, 0, NULL);
		json_array_foreach(json_object_get(json, "channels"), i, channel)
		{
			strcat(found, json_string_value(json_object_get(channel, "publisher")));
			strcat(strcat(strcat(found, ">"), json_string_value(json_object_get(channel, "audience"))),
				" ");
		}
		ck_assert_str_eq(found, expected);
		json_decref(json);
	}
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* The evidence of an event is a file, which holds its payload: that is noted. */
START_TEST(test_evidence)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, "GET /v1/events/ut.ee/a%2Fb%20c/evidence", "", NULL);
	ck_assert_uint_eq(a.status, 200);
	ck_assert_str_eq(a.body, "a file");
	ck_assert_str_eq(n.audit, "2003 events.read source=ut.ee topic=* ");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/events/ut.ee/other/evidence", "", NULL);
	assert_problem("other", &a, 404, "not-found");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/events/UT.EE/other/evidence", "", NULL);
	assert_problem("source", &a, 400, "parameter");
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

static const struct {
	const char *line, *pointer;
} parameters[] = {
	{"GET /v1/events?colour=blue", "colour"},
	{"GET /v1/events?limit=5&limit=6", "limit"},
	{"GET /v1/events?limit=0", "limit"},
	{"GET /v1/events?limit=1001", "limit"},
	{"GET /v1/events?limit=201&data=true", "limit"},
	{"GET /v1/events?limit=-1", "limit"},
	{"GET /v1/events?limit=5x", "limit"},
	{"GET /v1/events?limit=99999999999999999999", "limit"},
	{"GET /v1/events?after=5", "after"},
	{"GET /v1/events?after=5.", "after"},
	{"GET /v1/events?after=5.4096", "after"},
	{"GET /v1/events?after=99999999999999999999.0", "after"},
	{"GET /v1/events?after=5.0.0", "after"},
	{"GET /v1/events?data=yes", "data"},
	{"GET /v1/events?source=UT.EE", "source"},
	{"GET /v1/events?topic=no.such", "topic"},
	{"GET /v1/events?audience=a,b", "audience"},
	{"GET /v1/events?subject=%zz", "subject"},
	{"GET /v1/events?subject=%00", "subject"},
	{"GET /v1/events?subject=%ff", "subject"},
	{"GET /v1/events?s%75bject=x&%ff=1", "s%75bject"},
	{"GET /v1/events/stream?after=x", "after"},
	{"GET /v1/events/stream?limit=5", "limit"},
	{"GET /v1/events/UT/x", "source"},
	{"GET /v1/events/ut.ee/%zz", "id"},
	{"GET /v1/status?x=1", "x"},
	{"GET /livez?verbose", "verbose"},
};

/* A parameter that is unknown, given twice or malformed is named, not passed over. */
START_TEST(test_parameters)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, parameters[_i].line, "", NULL);
	assert_problem(parameters[_i].line, &a, 400, "parameter");
	ck_assert_str_eq(first_pointer(&a),
		strcmp(parameters[_i].pointer, "s%75bject") == 0 ? "subject" : parameters[_i].pointer);
	ck_assert_uint_eq(n.n_asked, 0);
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* A cursor beyond everything stored is of another store: who waited behind it would miss what comes. The last place is told. */
START_TEST(test_beyond)
{
	static const struct {
		const char *line, *headers, *pointer;
	} cases[] = {
		{"GET /v1/events?after=6.0", "", "after"},
		{"GET /v1/events/stream?after=999.0", "", "after"},
		{"GET /v1/events/stream", "Last-Event-ID: 9999.0\r\n", "Last-Event-ID"},
	};
	struct node_double n;
	struct answer a;

	node_start(&n);
	n.n_events = 5;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		a = ask(&n, cases[i].line, cases[i].headers, NULL);
		assert_problem(cases[i].line, &a, 409, "beyond");
		ck_assert_str_eq(first_pointer(&a), cases[i].pointer);
		ck_assert_str_eq(first_rule(&a), "beyond the last place, 5.4095");
		answer_deinit(&a);
	}
	ck_assert_uint_eq(n.api->n_streams, 0);
	a = ask(&n, "GET /v1/events?after=5.4095", "", NULL);
	ck_assert_uint_eq(a.status, 200);
	answer_deinit(&a);
	n.api->last_given = 6; /* a page that was read before the loop heard of the commit */
	a = ask(&n, "GET /v1/events?after=6.0", "", NULL);
	ck_assert_uint_eq(a.status, 200);
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

static const struct {
	const char *query;
	unsigned status;
	const char *places; /* of the answer, then its `next` and whether there are more */
} letters[] = {
	{"", 200, "12345 registrar/5.0"},
	{"?limit=2", 200, "12 registrar/2.0 more"},
	{"?limit=2&after=registrar/2.0", 200, "34 registrar/4.0 more"},
	{"?limit=2&after=registrar/4.0", 200, "5 registrar/5.0"},
	{"?after=registrar/5.0&state=dead", 200, " registrar/5.0"},
	{"?after=nobody/1.0", 400, NULL},
	{"?after=1.0", 400, NULL},
	{"?after=/1.0", 400, NULL},
	{"?after=registrar/", 400, NULL},
	{"?after=a.name.that.no.plugin.can.have.for.it.is.too.long/1.0", 400, NULL},
	{"?limit=0", 400, NULL},
	{"?limit=1001", 400, NULL},
	{"?state=alive", 400, NULL},
};

/* Dead letters come in pages, as events do. */
START_TEST(test_letters)
{
	char line[128], said[128] = "";
	struct node_double n;
	struct answer a;
	json_t *json, *row;
	size_t i;

	node_start(&n);
	snprintf(line, sizeof line, "GET /v1/dead-letters%s", letters[_i].query);
	a = ask(&n, line, "", NULL);
	ck_assert_msg(a.status == letters[_i].status, "%s: %u %s", line, a.status, a.body);
	if (letters[_i].places == NULL) {
		assert_problem(line, &a, 400, "parameter");
	} else {
		json = json_loads(a.body, 0, NULL);
		json_array_foreach(json_object_get(json, "letters"), i, row) said[i] =
			(char)('0' + json_integer_value(json_object_get(row, "place")));
		strcat(strcat(said, " "), json_string_value(json_object_get(json, "next")));
		if (json_is_true(json_object_get(json, "more")))
			strcat(said, " more");
		ck_assert_str_eq(said, letters[_i].places);
		json_decref(json);
	}
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* ---- paths and methods ---- */

static const struct {
	const char *line;
	unsigned status;
	const char *type, *allow;
} paths[] = {
	{"GET /v2", 404, "not-found", NULL},
	{"GET /v1/events/", 404, "not-found", NULL},
	{"GET /v1/events/ut.ee/", 404, "not-found", NULL},
	{"GET /v1/events/ut.ee/x/y", 404, "not-found", NULL},
	{"GET //v1/events", 404, "not-found", NULL},
	{"GET /v1/topics/no.such", 404, "not-found", NULL},
	{"POST /v1/peers/UU/block", 422, "act", NULL},
	{"PUT /v1/events", 405, "method", "GET, HEAD, POST"},
	{"DELETE /livez", 405, "method", "GET, HEAD"},
	{"OPTIONS /v1/peers/uu.se/block", 405, "method", "POST, DELETE"},
	{"PATCH /v1/cards", 405, "method", "POST"},
};

START_TEST(test_paths)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, paths[_i].line, "", paths[_i].line[0] == 'P' ? "{}" : NULL);
	assert_problem(paths[_i].line, &a, paths[_i].status, paths[_i].type);
	if (paths[_i].allow != NULL) {
		char want[64];

		snprintf(want, sizeof want, "Allow: %s\r\n", paths[_i].allow);
		ck_assert_msg(strstr(a.head, want) != NULL, "%s", a.head);
	}
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* HEAD is GET without the body, for streams too. */
START_TEST(test_head)
{
	struct node_double n;

	node_start(&n);
	for (size_t i = 0; i < n_routes; i++) {
		char line[64];
		struct answer a;

		if (strcmp(routes[i].method, "GET") != 0 || strchr(routes[i].path, '{') != NULL)
			continue;
		snprintf(line, sizeof line, "HEAD %s", routes[i].path);
		a = ask(&n, line, "", NULL);
		ck_assert_msg(a.status == 200, "%s: %u", line, a.status);
		answer_deinit(&a);
	}
	ck_assert_ptr_null(n.api->requests);
	ck_assert_uint_eq(n.api->n_streams, 0);
	node_stop(&n);
}
END_TEST

/* The index and the topics come from the tables; the status says which version runs. */
START_TEST(test_tables)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, "GET /", "", NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(a.json, "routes")), n_routes);
	answer_deinit(&a);
	a = ask(&n, "GET /v1/topics", "", NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(a.json, "topics")), n_topics);
	answer_deinit(&a);
	a = ask(&n, "GET /v1/topics/mobility.nomination", "", NULL);
	ck_assert(json_is_true(json_object_get(a.json, "personal")));
	ck_assert(json_is_object(json_object_get(json_object_get(a.json, "example"), "data")));
	answer_deinit(&a);
	a = ask(&n, "GET /v1/status", "", NULL);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "version")), ENLIGHT_VERSION);
	ck_assert_str_eq(json_string_value(json_object_get(a.json, "member")), "ut.ee");
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* ---- acts of an operator ---- */

static const struct {
	const char *name, *line, *headers, *body;
	int result;
	const char *place;
	unsigned status;
	const char *type, *audit;
} acts[] = {
	{"card", "POST /v1/cards", "Content-Type: text/plain\r\n", "enlight card 1\n", 0, NULL, 201, NULL,
		"2003 card.import  "},
	{"card with charset", "POST /v1/cards", "Content-Type: text/plain; charset=utf-8\r\n", "enlight card 1\n", 1,
		NULL, 200, NULL, "2003 card.import  "},
	{"bad card", "POST /v1/cards", "Content-Type: text/plain\r\n", "enlight card 1\n", 1, "card:3", 422, "act", ""},
	{"card out of memory", "POST /v1/cards", "Content-Type: text/plain\r\n", "enlight card 1\n", -ENOMEM, NULL, 503,
		"failed", ""},
	{"roster as card", "POST /v1/cards", "Content-Type: text/plain\r\n", "enlight roster 1\n", 0, NULL, 422, "act",
		""},
	{"empty card", "POST /v1/cards", "Content-Type: text/plain\r\n", "", 0, NULL, 422, "act", ""},
	{"card as JSON", "POST /v1/cards", "Content-Type: application/json\r\n", "{}", 0, NULL, 415, "media-type", ""},
	{"roster", "POST /v1/rosters", "Content-Type: text/plain\r\n", "enlight roster 2\n", 0, NULL, 201, NULL,
		"2003 roster.import  "},
#define ROSTER "/v1/rosters/8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101"
	{"pin", "POST " ROSTER "/pin", "", "", 0, NULL, 200, NULL,
		"2003 roster.pin 8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101 "},
	{"pin again", "POST " ROSTER "/pin", "", "", 1, NULL, 200, NULL,
		"2003 roster.pin 8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101 "},
	{"pin another", "POST /v1/rosters/0000000000000000000000000000000000000000000000000000000000000000/pin", "", "",
		0, NULL, 404, "not-found", ""},
	{"pin what is no digest", "POST /v1/rosters/8270/pin", "", "", 0, NULL, 404, "not-found", ""},
	{"roster text", "GET " ROSTER, "", NULL, 0, NULL, 200, NULL, ""},
	{"no roster text", "GET /v1/rosters/8270", "", NULL, 0, NULL, 404, "not-found", ""},
	{"pin with a reason", "POST " ROSTER "/pin?reason=agreed%20by%20telephone", "", "", 0, NULL, 200, NULL,
		"2003 roster.pin 8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101 agreed by telephone"},
	{"pin with a reason of two lines", "POST " ROSTER "/pin?reason=a%0Ab", "", "", 0, NULL, 400, "parameter", ""},
	{"pin while too many acts wait", "POST " ROSTER "/pin", "", "", -EAGAIN, NULL, 503, "busy", ""},
	{"block", "POST /v1/peers/uu.se/block", "", "{\"reason\": \"floods us\"}", 0, NULL, 200, NULL,
		"2003 peers.block uu.se floods us"},
	{"block by another name", "POST /v1/peers/nuigalway.ie/block", "", "{\"reason\": \"x\"}", 0, NULL, 200, NULL,
		"2003 peers.block universityofgalway.ie x"},
	{"card with a reason", "POST /v1/cards?reason=agreed%20by%20telephone", "Content-Type: text/plain\r\n",
		"enlight card 1\n", 0, NULL, 201, NULL, "2003 card.import  agreed by telephone"},
	{"reason of two lines", "POST /v1/cards?reason=a%0Ab", "Content-Type: text/plain\r\n", "enlight card 1\n", 0,
		NULL, 400, "parameter", ""},
	{"too many acts wait", "POST /v1/cards", "Content-Type: text/plain\r\n", "enlight card 1\n", -EAGAIN, NULL, 503,
		"busy", ""},
	{"block in two lines", "POST /v1/peers/uu.se/block", "", "{\"reason\": \"a\\nb\"}", 0, NULL, 422, "act", ""},
	{"retry", "POST /v1/dead-letters/registrar/7.1/retry?reason=mended", "", NULL, 0, NULL, 200, NULL,
		"2003 dead.retry registrar/7.1 mended"},
	{"drop", "DELETE /v1/dead-letters/registrar/7.1", "", "{\"reason\": \"a test\"}", 0, NULL, 200, NULL,
		"2003 dead.drop registrar/7.1 a test"},
	{"drop nothing", "DELETE /v1/dead-letters/registrar/7.1", "", "{\"reason\": \"a test\"}", -ENOENT, NULL, 404,
		"not-found", ""},
	{"block nobody", "POST /v1/peers/no.such/block", "", "{\"reason\": \"x\"}", -ENOENT, NULL, 404, "not-found",
		""},
	{"block without reason", "POST /v1/peers/uu.se/block", "", "{}", 0, NULL, 422, "act", ""},
	{"block with more", "POST /v1/peers/uu.se/block", "", "{\"reason\": \"x\", \"until\": 1}", 0, NULL, 422, "act",
		""},
	{"block without JSON", "POST /v1/peers/uu.se/block", "", "x", 0, NULL, 400, "syntax", ""},
	{"block no handle", "POST /v1/peers/UU/block", "", "{\"reason\": \"x\"}", 0, NULL, 404, "not-found", ""},
	{"unblock", "DELETE /v1/peers/uu.se/block", "", NULL, 0, NULL, 200, NULL, "2003 peers.unblock uu.se "},
	{"retry all", "POST /v1/dead-letters/registrar/retry", "", "", 12, NULL, 200, NULL,
		"2003 dead.retry registrar/* source=* topic=* n=12 "},
	{"retry some", "POST /v1/dead-letters/registrar/retry?source=ut.ee&topic=course.*&reason=mended", "", "", 0,
		NULL, 200, NULL, "2003 dead.retry registrar/* source=ut.ee topic=course.* n=0 mended"},
	{"retry of nobody", "POST /v1/dead-letters/nobody/retry", "", "", 0, NULL, 404, "not-found", ""},
	{"retry of no member", "POST /v1/dead-letters/registrar/retry?source=UT", "", "", 0, NULL, 400, "parameter",
		""},
	{"retry of no topic", "POST /v1/dead-letters/registrar/retry?topic=no.such", "", "", 0, NULL, 400, "parameter",
		""},
	{"backup", "POST /v1/backup?reason=weekly", "", "", 0, NULL, 201, NULL, "2003 store.backup  weekly"},
	{"second backup", "POST /v1/backup", "", "", -EBUSY, NULL, 503, "busy", "2003 store.backup  "},
	{"backup without a key", "POST /v1/backup", "", "", -EACCES, "store.key", 503, "failed", "2003 store.backup  "},
	{"how far a backup is", "GET /v1/backup", "", NULL, 0, NULL, 200, NULL, ""},
	{"no backup", "GET /v1/backup", "", NULL, -ENOENT, NULL, 404, "not-found", ""},
	{"the copy", "GET /v1/backup/database", "", NULL, 0, NULL, 200, NULL, ""},
	{"no copy", "GET /v1/backup/database", "", NULL, -ENOENT, NULL, 404, "not-found", ""},
	{"backup given up", "DELETE /v1/backup", "", NULL, 0, NULL, 200, NULL, ""},
	{"backup kept", "DELETE /v1/backup?kept=true", "", NULL, 0, NULL, 200, NULL, ""},
	{"no backup given up", "DELETE /v1/backup?kept=true", "", NULL, -ENOENT, NULL, 404, "not-found", ""},
	{"backup perhaps kept", "DELETE /v1/backup?kept=perhaps", "", NULL, 0, NULL, 400, "parameter", ""},
	{"store checked", "GET /v1/store/check?after=3", "", NULL, 0, NULL, 200, NULL, ""},
	{"store checked from no number", "GET /v1/store/check?after=-1", "", NULL, 0, NULL, 400, "parameter", ""},
	{"repairs", "GET /v1/store/repair", "", NULL, 0, NULL, 200, NULL, ""},
	{"repair", "POST /v1/store/repair?number=8&reason=doctor", "", "", 0, NULL, 202, NULL,
		"2003 store.repair batch 8 of ut.ee doctor"},
	{"repair of what is whole", "POST /v1/store/repair?number=7", "", "", 0, NULL, 200, NULL, ""},
	{"repair of what is not there", "POST /v1/store/repair?number=77777", "", "", 0, NULL, 404, "not-found", ""},
	{"repair without a number", "POST /v1/store/repair", "", "", 0, NULL, 400, "parameter", ""},
	{"repair of nothing", "POST /v1/store/repair?number=0", "", "", 0, NULL, 400, "parameter", ""},
	{"too many repairs", "POST /v1/store/repair?number=2", "", "", -EAGAIN, NULL, 503, "busy", ""},
	{"unblock again", "DELETE /v1/peers/uu.se/block", "", NULL, 1, NULL, 200, NULL, "2003 peers.unblock uu.se "},
};

/* Acts are carried out, answered and noted, each once; what is refused is not noted as done. */
START_TEST(test_acts)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	n.result = acts[_i].result;
	n.place = acts[_i].place;
	a = ask(&n, acts[_i].line, acts[_i].headers, acts[_i].body);
	if (acts[_i].type != NULL)
		assert_problem(acts[_i].name, &a, acts[_i].status, acts[_i].type);
	else
		ck_assert_msg(a.status == acts[_i].status, "%s: %u %s", acts[_i].name, a.status, a.body);
	ck_assert_str_eq(n.audit, acts[_i].audit);
	ck_assert_uint_eq(n.n_acts, acts[_i].audit[0] != '\0');
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* An act is answered when it is durable. When it could not be written the answer says so, and that it is in force. */
START_TEST(test_acts_wait_for_the_disk)
{
	for (int broken = 0; broken <= 1; broken++) {
		struct node_double n;
		struct client c;
		struct answer a;

		node_start(&n);
		n.hold = true;
		client_open(&c, &n);
		client_ask(&c, &n, "POST /v1/cards", "Content-Type: text/plain\r\n", "enlight card 1\n", 15);
		for (int i = 0; i < 100 && n.act == 0; i++)
			turn(&n, 10);
		for (int i = 0; i < 3; i++)
			turn(&n, 10);
		client_read(&c);
		ck_assert_uint_eq(c.in.len, 0);
		api_kept(n.api, n.act, broken == 0);
		a = client_wait(&c, &n, false);
		if (broken)
			assert_problem("waiting", &a, 507, "not-durable");
		else
			ck_assert_uint_eq(a.status, 201);
		answer_deinit(&a);
		client_close(&c);
		n.hold = false;
		n.broken = broken;
		a = ask(&n, "DELETE /v1/peers/uu.se/block", "", NULL);
		if (broken)
			assert_problem("at once", &a, 507, "not-durable");
		else
			ck_assert_uint_eq(a.status, 200);
		answer_deinit(&a);
		a = ask(&n, "DELETE /v1/dead-letters/registrar/7.1", "", "{\"reason\": \"x\"}");
		if (broken)
			assert_problem("a dead letter", &a, 507, "not-durable");
		else
			ck_assert_uint_eq(a.status, 200);
		answer_deinit(&a);
		ck_assert_uint_eq(n.n_acts, 3);
		api_kept(n.api, 999, true); /* for nobody */
		node_stop(&n);
	}
}
END_TEST

/* Payloads are shown to an operator when the trail says that he reads them; of the same again it says so an hour later. */
START_TEST(test_payloads_wait_for_the_trail)
{
	static const char *const asked[] = {"/v1/events?data=true", "/v1/events/ut.ee/a%2Fb%20c?data=true"};

	for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
		struct node_double n;
		struct answer a;
		char line[64];

		snprintf(line, sizeof line, "GET %s", asked[i]);
		node_start(&n);
		n.broken = true;
		a = ask(&n, line, "", NULL);
		assert_problem(line, &a, 507, "not-told");
		answer_deinit(&a);
		ck_assert_uint_eq(n.n_asked, 0);
		n.broken = false;
		for (int k = 0; k < 3; k++) {
			a = ask(&n, line, "", NULL);
			ck_assert_msg(a.status == 200, "%s", a.body);
			answer_deinit(&a);
		}
		ck_assert_uint_eq(n.n_acts, 2);
		ck_assert_uint_eq(n.n_asked, 3);
		a = ask(&n, "GET /v1/events?data=true&topic=course.offering", "", NULL);
		ck_assert_uint_eq(a.status, 200);
		answer_deinit(&a);
		ck_assert_uint_eq(n.n_acts, 3);
		a = ask(&n, "GET /v1/events?data=true&topic=node.act", "", NULL); /* the trail itself */
		ck_assert_uint_eq(a.status, 200);
		answer_deinit(&a);
		ck_assert_uint_eq(n.n_acts, 3);
		node_stop(&n);
	}
}
END_TEST

/* ---- streams ---- */

static void stream_open(struct client *c, struct node_double *n, const char *query, const char *headers)
{
	char line[128];

	snprintf(line, sizeof line, "GET /v1/events/stream%s", query);
	client_open(c, n);
	client_ask(c, n, line, headers, NULL, 0);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text += strlen(what))
		n++;
	return n;
}

/* Turns until the client has got `times` times `what`. */
static void stream_wait(struct client *c, struct node_double *n, const char *what, size_t times)
{
	for (int i = 0; i < 2000; i++) {
		client_read(c);
		if (count(text_of(c), what) >= times)
			return;
		ck_assert_msg(!c->closed, "closed: %s", text_of(c));
		turn(n, 5);
	}
	ck_abort_msg("%zu of %zu %s", count(text_of(c), what), times, what);
}

static void settle(struct node_double *n)
{
	for (int i = 0; i < 20; i++)
		turn(n, 1);
}

/* A stream without a cursor begins at the end: what was there is not sent, what comes is, once. */
START_TEST(test_stream_begins_at_the_end)
{
	struct node_double n;
	struct client c;

	node_start(&n);
	n.n_events = 3;
	stream_open(&c, &n, "", "");
	stream_wait(&c, &n, "id: 3.4095\n", 1);
	ck_assert_ptr_nonnull(strstr(text_of(&c), "Content-Type: text/event-stream\r\n"));
	settle(&n);
	ck_assert_uint_eq(count(text_of(&c), "event: event\n"), 0);
	n.n_events = 4;
	api_committed(n.api);
	stream_wait(&c, &n, "event: event\n", 1);
	settle(&n);
	client_read(&c);
	ck_assert_uint_eq(count(text_of(&c), "event: event\n"), 1);
	ck_assert_ptr_nonnull(strstr(text_of(&c), "id: 4.0\nevent: event\ndata: {"));
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* A stream of payloads begins when the trail says that an operator reads them. */
START_TEST(test_stream_waits_for_the_trail)
{
	for (int broken = 0; broken <= 1; broken++) {
		struct node_double n;
		struct client c;
		struct answer a;

		node_start(&n);
		n.n_events = 3;
		n.hold = true;
		stream_open(&c, &n, "?data=true&after=0.0", "");
		for (int i = 0; i < 100 && n.act == 0; i++)
			turn(&n, 5);
		api_committed(n.api);
		settle(&n);
		client_read(&c);
		ck_assert_uint_eq(c.in.len, 0);
		ck_assert_uint_eq(n.n_queries, 0);
		n.hold = false;
		api_kept(n.api, n.act, broken == 0);
		if (broken) {
			a = client_wait(&c, &n, false);
			assert_problem("stream", &a, 507, "not-told");
			answer_deinit(&a);
		} else {
			stream_wait(&c, &n, "event: event\n", 3);
		}
		client_close(&c);
		node_stop(&n);
	}
}
END_TEST

/* An empty node's stream has its first event too. */
START_TEST(test_stream_of_an_empty_node)
{
	struct node_double n;
	struct client c;

	node_start(&n);
	stream_open(&c, &n, "", "");
	stream_wait(&c, &n, "retry: ", 1);
	settle(&n);
	n.n_events = 1;
	api_committed(n.api);
	stream_wait(&c, &n, "id: 1.0\n", 1);
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* A stream with a cursor sends everything behind it, page by page; Last-Event-ID goes before the address. */
START_TEST(test_stream_resumes)
{
	static const struct {
		const char *query, *headers;
		size_t events;
		const char *first;
	} cases[] = {
		{"?after=0.0", "", 200, "id: 1.0\n"},
		{"?after=150.0", "", 50, "id: 151.0\n"},
		{"", "Last-Event-ID: 199.0\r\n", 1, "id: 200.0\n"},
		{"?after=10.0", "Last-Event-ID: 190.0\r\n", 10, "id: 191.0\n"},
	};
	struct node_double n;

	node_start(&n);
	n.n_events = 200;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct client c;

		stream_open(&c, &n, cases[i].query, cases[i].headers);
		stream_wait(&c, &n, "event: event\n", cases[i].events);
		stream_wait(&c, &n, "id: 200.0\n", 1);
		settle(&n);
		client_read(&c);
		ck_assert_uint_eq(count(text_of(&c), "event: event\n"), cases[i].events);
		ck_assert_ptr_nonnull(strstr(text_of(&c), cases[i].first));
		client_close(&c);
	}
	node_stop(&n);
}
END_TEST

/* What is committed while a page is being read or written is not missed. */
START_TEST(test_stream_misses_nothing)
{
	struct node_double n;
	struct client c;

	node_start(&n);
	n.hold = true;
	stream_open(&c, &n, "?after=0.0", "");
	for (int i = 0; i < 100 && n.n_queries == 0; i++)
		turn(&n, 5);
	ck_assert_uint_eq(n.n_queries, 1);
	release(&n); /* an empty page: nothing is stored yet */
	settle(&n);
	ck_assert_uint_eq(n.n_queries, 0);
	n.n_events = 1;
	api_committed(n.api); /* wakes: a query is under way */
	ck_assert_uint_eq(n.n_queries, 1);
	api_committed(n.api); /* a second commit while it is */
	ck_assert_uint_eq(n.n_queries, 1);
	release(&n);
	n.n_events = 2;
	settle(&n);
	n.hold = false;
	stream_wait(&c, &n, "id: 2.0\n", 1);
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* An idle stream shows that it lives, and tells how far it has looked. */
START_TEST(test_stream_pings)
{
	struct node_double n;
	struct client c;

	node_start(&n);
	n.n_events = 5;
	stream_open(&c, &n, "?after=5.0", "");
	stream_wait(&c, &n, "id: 5.0\n", 1);
	settle(&n);
	ck_assert_uint_le(api_timeout_ms(n.api), STREAM_PING_MS);
	n.now_ms += STREAM_PING_MS - 1;
	settle(&n);
	client_read(&c);
	ck_assert_uint_eq(count(text_of(&c), ": ping\n"), 0);
	n.now_ms += 1;
	stream_wait(&c, &n, ": ping\n\n", 1);
	n.now_ms += STREAM_PING_MS;
	stream_wait(&c, &n, ": ping\n\n", 2);
	client_close(&c);
	n.now_ms += STREAM_PING_MS; /* the next ping finds out that nobody listens */
	for (int i = 0; i < 100 && n.api->n_streams > 0; i++)
		turn(&n, 5);
	ck_assert_uint_eq(n.api->n_streams, 0);
	node_stop(&n);
}
END_TEST

/* A node that is too busy for a page, or fails to read it, is asked again, and the stream goes on. */
START_TEST(test_stream_asks_again)
{
	struct node_double n;
	struct client c;

	node_start(&n);
	n.n_events = 2;
	n.busy = true;
	stream_open(&c, &n, "?after=0.0", "");
	stream_wait(&c, &n, "retry: ", 1);
	settle(&n);
	n.busy = false;
	n.broken = true;
	n.now_ms += STREAM_RETRY_MS;
	settle(&n);
	ck_assert_uint_eq(n.n_asked, 1);
	n.broken = false;
	n.now_ms += STREAM_RETRY_MS;
	stream_wait(&c, &n, "event: event\n", 2);
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* For a client that does not read, no more than a page is held, however much is committed; when it reads, it gets all. */
START_TEST(test_slow_clients)
{
	enum { EVENTS = 400, BYTES = 8000 };
	struct node_double n;
	struct client c;
	size_t asked;

	node_start(&n);
	n.n_events = EVENTS;
	n.event_bytes = BYTES;
	stream_open(&c, &n, "?after=0.0", "");
	settle(&n);
	settle(&n);
	asked = n.n_asked;
	ck_assert_uint_lt(asked, 4); /* what fits into the socket, and a page */
	for (int i = 0; i < 50; i++) {
		api_committed(n.api);
		settle(&n);
	}
	ck_assert_uint_eq(n.n_asked, asked);
	stream_wait(&c, &n, "event: event\n", EVENTS);
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* There is room for so many streams; the next one is asked to come again, and other requests are still served. */
START_TEST(test_streams_have_a_limit)
{
	struct node_double n;
	struct client clients[STREAMS_MAX];
	struct answer a;

	node_start(&n);
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		stream_open(&clients[i], &n, "", "");
		stream_wait(&clients[i], &n, "retry: ", 1);
	}
	a = ask(&n, "GET /v1/events/stream", "", NULL);
	assert_problem("one more", &a, 503, "busy");
	answer_deinit(&a);
	a = ask(&n, "GET /v1/events", "", NULL);
	ck_assert_uint_eq(a.status, 200);
	answer_deinit(&a);
	client_close(&clients[0]); /* one that has gone, unnoticed since it sleeps, makes room */
	stream_open(&clients[0], &n, "", "");
	stream_wait(&clients[0], &n, "retry: ", 1);
	n.n_events = 1;
	api_committed(n.api);
	for (size_t i = 0; i < STREAMS_MAX; i++) {
		stream_wait(&clients[i], &n, "id: 1.0\n", 1);
		client_close(&clients[i]);
	}
	n.now_ms += STREAM_PING_MS;
	for (int i = 0; i < 100 && n.api->n_streams > 0; i++)
		turn(&n, 5);
	ck_assert_uint_eq(n.api->n_streams, 0);
	node_stop(&n);
}
END_TEST

/* ---- the doors ---- */

static const struct {
	const char *host;
	unsigned status;
} hosts[] = {
	{"localhost", 200},
	{"LOCALHOST:4848", 200},
	{"127.0.0.1", 200},
	{"127.0.0.1:80", 200},
	{"[::1]:4848", 200},
	{"evil.example", 421},
	{"localhost.evil.example", 421},
	{"127.0.0.1.evil.example:80", 421},
	{"localhost:", 421},
	{"localhost:80x", 421},
	{"", 421},
};

/* On TCP only what names this machine is answered: a web page cannot reach the node through a name of its own. */
START_TEST(test_host_is_checked)
{
	struct node_double n;
	struct client c;
	struct answer a;
	char request[128];

	node_start(&n);
	client_open_tcp(&c, &n);
	snprintf(request, sizeof request, "GET /livez HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[_i].host);
	client_send(&c, &n, request, strlen(request));
	a = client_wait(&c, &n, false);
	ck_assert_msg(a.status == hosts[_i].status, "%s: %u", hosts[_i].host, a.status);
	answer_deinit(&a);
	client_close(&c);
	node_stop(&n);
}
END_TEST

/* On TCP there is health, metrics and the index of these, whoever asks; nothing else is even there. */
START_TEST(test_loopback_shows_little)
{
	struct node_double n;

	node_start(&n);
	for (size_t i = 0; i < n_routes; i++) {
		char line[96];
		struct client c;
		struct answer a;

		snprintf(line, sizeof line, "%s %s", routes[i].method, routes[i].path);
		client_open_tcp(&c, &n);
		client_ask(&c, &n, line, "", NULL, 0);
		a = client_wait(&c, &n, false);
		ck_assert_msg(a.status == (routes[i].loopback ? 200 : 404), "%s: %u", line, a.status);
		if (strcmp(routes[i].path, "/") == 0)
			ck_assert_uint_eq(json_array_size(json_object_get(a.json, "routes")), 4);
		answer_deinit(&a);
		client_close(&c);
	}
	node_stop(&n);
}
END_TEST

/* The socket is for its owner and group, whatever the umask; a file left over by a node that was killed is replaced; a
 * socket that somebody answers, and what is no socket, is not. */
START_TEST(test_socket_file)
{
	struct node_double n;
	struct api_options options;
	struct api *second;
	struct stat st;
	char *why;
	mode_t old;

	old = umask(0);
	node_start(&n);
	ck_assert_int_eq(lstat(n.path, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0660);
	options = options_of(&n);
	ck_assert_int_eq(api_open(&second, &options, &why), -EADDRINUSE);
	ck_assert_ptr_nonnull(strstr(why, n.path));
	free(why);
	api_close(n.api);
	ck_assert_int_ne(lstat(n.path, &st), 0);

	umask(0077);
	{
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		snprintf(address.sun_path, sizeof address.sun_path, "%s", n.path);
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
		close(fd);
	}
	ck_assert_int_eq(api_open(&n.api, &options, &why), 0);
	ck_assert_int_eq(lstat(n.path, &st), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0660);
	api_close(n.api);

	ck_assert_int_eq(file_write(n.path, "x", 1, 0600), 0);
	ck_assert_int_eq(api_open(&n.api, &options, &why), -EEXIST);
	free(why);
	umask(old);
	node_stop(&n);
}
END_TEST

/* An address that others could reach, or that is none, is refused with a reason. */
START_TEST(test_addresses)
{
	static const char *const bad[] = {"0.0.0.0:4848", "192.0.2.1:4848", "[::]:4848", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "localhost:80", "[::1:4848", ":4848", "[127.0.0.1]:80"};
	struct node_double n;
	struct api_options options;

	node_start(&n);
	api_close(n.api);
	options = options_of(&n);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char *why;

		options.loopback = bad[i];
		ck_assert_msg(api_open(&n.api, &options, &why) == -EINVAL, "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(why, bad[i]));
		free(why);
	}
	node_stop(&n);
}
END_TEST

/* ---- memory ---- */

static const struct {
	const char *name, *line, *headers;
	const char *body; /* `EVENT`: a valid one */
	unsigned status;
} short_cases[] = {
	{"publish", "POST /v1/events", ONE, "EVENT", 201},
	{"publish in binary mode", "POST /v1/events",
		"Content-Type: application/json\r\nce-specversion: 1.0\r\nce-type: eu.enlight.no.such.v1\r\n", "{}",
		422},
	{"publish in protobuf", "POST /v1/events", "Content-Type: application/cloudevents-batch+protobuf\r\n",
		"\x0a\x0c\x0a\x02id\x2a\x06\x0a\x04time", 400},
	{"refuse", "POST /v1/events", MANY, "[{}, {\"id\": 5}]", 400},
	{"page", "GET /v1/events?source=uu.se&topic=course.*&subject=x&audience=rug.nl&after=0.0&data=true", "", NULL,
		200},
	{"event", "GET /v1/events/ut.ee/a%2Fb%20c", "", NULL, 200},
	{"evidence", "GET /v1/events/ut.ee/a%2Fb%20c/evidence", "", NULL, 200},
	{"parameter", "GET /v1/events?colour=blue&limit=x", "", NULL, 400},
	{"path", "GET /v2", "", NULL, 404},
	{"card", "POST /v1/cards", "Content-Type: text/plain\r\n", "enlight card 1\n", 201},
	{"block", "POST /v1/peers/uu.se/block", "", "{\"reason\": \"x\"}", 200},
	{"topic", "GET /v1/topics/mobility.nomination", "", NULL, 200},
	{"metrics", "GET /metrics", "", NULL, 200},
	{"index", "GET /", "", NULL, 200},
};

/* Like ask(), but the connection may be closed instead: 0 then. */
static unsigned ask_short(struct node_double *n, const char *line, const char *headers, const char *body)
{
	struct client c;
	struct answer a = {0};

	client_open(&c, n);
	client_ask(&c, n, line, headers, body, body == NULL ? 0 : strlen(body));
	for (int i = 0; i < 3000 && !client_take(&c, &a, false) && !c.closed; i++) {
		turn(n, 10);
		client_read(&c);
	}
	client_close(&c);
	ck_assert(a.status != 0 || c.closed);
	answer_deinit(&a);
	return a.status;
}

/* Every allocation of a request fails once: the client is told, or cut off, or served all the same; nothing is lost, and the
 * next request is served. */
START_TEST(test_memory_is_short)
{
	struct node_double n;
	char *event = event_text();
	const char *body = short_cases[_i].body;
	size_t failed = 0;

	if (body != NULL && strcmp(body, "EVENT") == 0)
		body = event;
	node_start(&n);
	n.uid = READER; /* so that patterns are copied */
	if (short_cases[_i].line[0] == 'P')
		n.uid = OPERATOR;
	for (size_t at = 1;; at++, failed++) {
		unsigned status;

		allocations_left = at;
		status = ask_short(&n, short_cases[_i].line, short_cases[_i].headers, body);
		if (allocations_left != 0) {
			allocations_left = 0;
			ck_assert_msg(status == short_cases[_i].status, "%s: %u", short_cases[_i].name, status);
			break;
		}
		ck_assert_msg(status == 0 || status == 503 || status == 403 || status == short_cases[_i].status,
			"%s at %zu: %u", short_cases[_i].name, at, status);
		for (int i = 0; i < 100 && n.api->requests != NULL; i++)
			turn(&n, 1);
		ck_assert_ptr_null(n.api->requests);
		ck_assert_uint_eq(n.api->body_bytes, 0);
	}
	ck_assert_uint_gt(failed, 2);
	free(event);
	node_stop(&n);
}
END_TEST

/* A stream whose memory fails goes on later or ends; it never leaves an event out: the client that comes back with the last id
 * gets what follows it. */
START_TEST(test_streams_without_memory)
{
	enum { EVENTS = 3 };
	struct node_double n;

	node_start(&n);
	n.uid = READER;
	n.n_events = EVENTS;
	for (size_t at = 1, done = 0; !done; at++) {
		struct client c;

		allocations_left = at;
		stream_open(&c, &n, "?after=0.0&topic=course.*", "");
		for (int i = 0; i < 200 && !c.closed && count(text_of(&c), "event: event\n") < EVENTS; i++) {
			n.now_ms += 50;
			turn(&n, 1);
			client_read(&c);
			if (strstr(text_of(&c), " 503 ") != NULL)
				break;
		}
		done = allocations_left != 0;
		allocations_left = 0;
		for (size_t i = 1; i < EVENTS; i++) { /* an event is never there without the one before it */
			char before[16], after[16];

			snprintf(before, sizeof before, "id: %zu.0\n", i);
			snprintf(after, sizeof after, "id: %zu.0\n", i + 1);
			ck_assert(strstr(text_of(&c), after) == NULL || strstr(text_of(&c), before) != NULL);
		}
		ck_assert(!done || count(text_of(&c), "event: event\n") == EVENTS);
		client_close(&c);
		n.now_ms += STREAM_PING_MS;
		for (int i = 0; i < 100 && n.api->requests != NULL; i++)
			turn(&n, 1);
		ck_assert_ptr_null(n.api->requests);
		ck_assert_uint_eq(n.api->n_streams, 0);
	}
	node_stop(&n);
}
END_TEST

/* ---- metrics and documents ---- */

/* Each line belongs to the metric whose HELP and TYPE stand before it, each metric stands in one piece, and each row of the
 * table is there. */
static void lint(const char *text)
{
	char name[96] = "", *copy = strdup(text), *state, *seen = strdup(" ");

	for (char *line = strtok_r(copy, "\n", &state); line != NULL; line = strtok_r(NULL, "\n", &state)) {
		char found[96], kind[16], *more;

		if (sscanf(line, "# HELP %95s %15s", found, kind) == 2) {
			snprintf(name, sizeof name, "%s", found);
			ck_assert_msg(strstr(seen, name) == NULL, "%s twice", name);
			ck_assert_int_gt(asprintf(&more, "%s%s ", seen, name), 0);
			free(seen);
			seen = more;
		} else if (sscanf(line, "# TYPE %95s %15s", found, kind) == 2) {
			ck_assert_str_eq(found, name);
		} else {
			char *end;

			ck_assert_msg(strncmp(line, name, strlen(name)) == 0, "%s under %s", line, name);
			strtod(strrchr(line, ' ') + 1, &end);
			ck_assert_msg(*end == '\0', "%s", line);
		}
	}
	for (size_t i = 0; i < n_api_metric_rows; i++)
		ck_assert_msg(strstr(seen, api_metric_rows[i].name) != NULL, "no %s", api_metric_rows[i].name);
	free(copy);
	free(seen);
}

START_TEST(test_metrics)
{
	struct node_double n;
	struct answer a;

	node_start(&n);
	a = ask(&n, "GET /v1/nothing", "", NULL);
	answer_deinit(&a);
	a = ask(&n, "GET /v1/events?limit=1", "", NULL);
	answer_deinit(&a);
	a = ask(&n, "GET /metrics", "", NULL);
	ck_assert_uint_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.head, "Content-Type: text/plain; version=0.0.4"));
	lint(a.body);
	ck_assert_ptr_nonnull(strstr(a.body, "enlight_api_answers_total{method=\"\",route=\"\",status=\"404\"} 1\n"));
	ck_assert_ptr_nonnull(
		strstr(a.body, "enlight_api_answers_total{method=\"GET\",route=\"/v1/events\",status=\"200\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "enlight_members 9\n"));
	for (size_t i = 0; i < n_api_metric_rows; i++)
		ck_assert_msg(metric_problem(&api_metric_rows[i]) == NULL, "%s", api_metric_rows[i].name);
	answer_deinit(&a);
	node_stop(&n);
}
END_TEST

/* Rows of the problem table have their status in rising order and a name of their own, and each status is counted. */
START_TEST(test_problem_rows)
{
	for (size_t i = 0; i < REFUSED_KINDS; i++) {
		ck_assert_ptr_nonnull(problem_rows[i].name);
		ck_assert(i == 0 || problem_rows[i].status >= problem_rows[i - 1].status);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(problem_rows[i].name, problem_rows[k].name);
	}
	ck_assert_uint_le(n_routes, API_ROUTES_MAX);
}
END_TEST

static const char *who_text(unsigned who)
{
	return who & ACCESS_ANYONE                         ? "anyone"
	       : who == (ACCESS_READER | ACCESS_PUBLISHER) ? "reader, publisher"
	       : who == ACCESS_READER                      ? "reader"
	       : who == ACCESS_PUBLISHER                   ? "publisher"
							   : "operator";
}

/* The README's tables are printed from the rows. ENLIGHT_PRINT=1 shows what they should be. */
START_TEST(test_readme)
{
	struct buffer want = {0};
	void *readme;
	size_t len;

	buffer_str(&want, "| request | who may | TCP | what |\n|---|---|---|---|\n");
	for (size_t i = 0; i < n_routes; i++) {
		buffer_printf(&want, "| `%s %s` | %s | %s | %s", routes[i].method, routes[i].path,
			who_text(routes[i].who), routes[i].loopback ? "yes" : "", routes[i].help);
		for (const struct route_parameter *p = routes[i].parameters; p->name != NULL; p++)
			buffer_printf(&want, "%s `%s`: %s", p == routes[i].parameters ? "." : ";", p->name, p->help);
		buffer_str(&want, " |\n");
	}
	buffer_str(&want, "\n| Content-Type of POST /v1/events | body |\n|---|---|\n");
	for (size_t i = 0; i < n_media_types; i++)
		buffer_printf(&want, "| `%s` | %s |\n", media_types[i].name, media_types[i].help);
	buffer_str(&want, "\n| status | `urn:enlight:problem:` | title |\n|---|---|---|\n");
	for (size_t i = 0; i < REFUSED_KINDS; i++)
		buffer_printf(&want, "| %u | `%s` | %s |\n", problem_rows[i].status, problem_rows[i].name,
			problem_rows[i].title);
	buffer_str(&want, "\n| limit | | of |\n|---|---|---|\n");
	for (size_t i = 0; i < n_api_limits; i++)
		buffer_printf(&want, "| %s | %lu%s%s | %s |\n", api_limits[i].name, api_limits[i].value,
			api_limits[i].unit[0] == '\0' ? "" : " ", api_limits[i].unit, api_limits[i].help);
	if (getenv("ENLIGHT_PRINT") != NULL)
		fputs(buffer_cstr(&want), stderr);
	ck_assert_int_eq(file_read(&readme, &len, API_README, 1 << 20), 0);
	ck_assert_msg(
		strstr(readme, buffer_cstr(&want)) != NULL, "node/api/README.md: its tables are not those of the rows");
	free(readme);
	buffer_deinit(&want);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api");
	TCase *tc = tcase_create("api");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_publishing);
	tcase_add_test(tc, test_again_and_unchanged);
	tcase_add_test(tc, test_outcomes);
	tcase_add_loop_test(tc, test_refusals, 0, sizeof refused / sizeof *refused);
	tcase_add_test(tc, test_binary_mode);
	tcase_add_test(tc, test_not_ready);
	tcase_add_test(tc, test_full);
	tcase_add_test(tc, test_busy);
	tcase_add_test(tc, test_large_bodies);
	tcase_add_test(tc, test_endless_bodies);
	tcase_add_test(tc, test_bodies_together);
	tcase_add_test(tc, test_clients_that_leave);
	tcase_add_test(tc, test_stopping);
	tcase_add_test(tc, test_pipelining);
	tcase_add_loop_test(tc, test_roles, 0, sizeof guarded / sizeof *guarded);
	tcase_add_test(tc, test_topics_of_a_publisher);
	tcase_add_test(tc, test_own_user);
	tcase_add_test(tc, test_what_is_asked);
	tcase_add_test(tc, test_pages);
	tcase_add_test(tc, test_one_event);
	tcase_add_test(tc, test_evidence);
	tcase_add_test(tc, test_fork);
	tcase_add_loop_test(tc, test_channels, 0, sizeof channel_queries / sizeof *channel_queries);
	tcase_add_test(tc, test_beyond);
	tcase_add_loop_test(tc, test_parameters, 0, sizeof parameters / sizeof *parameters);
	tcase_add_loop_test(tc, test_letters, 0, sizeof letters / sizeof *letters);
	tcase_add_loop_test(tc, test_paths, 0, sizeof paths / sizeof *paths);
	tcase_add_test(tc, test_head);
	tcase_add_test(tc, test_tables);
	tcase_add_loop_test(tc, test_acts, 0, sizeof acts / sizeof *acts);
	tcase_add_test(tc, test_acts_wait_for_the_disk);
	tcase_add_test(tc, test_payloads_wait_for_the_trail);
	tcase_add_test(tc, test_stream_begins_at_the_end);
	tcase_add_test(tc, test_stream_waits_for_the_trail);
	tcase_add_test(tc, test_stream_of_an_empty_node);
	tcase_add_test(tc, test_stream_resumes);
	tcase_add_test(tc, test_stream_misses_nothing);
	tcase_add_test(tc, test_stream_pings);
	tcase_add_test(tc, test_stream_asks_again);
	tcase_add_test(tc, test_slow_clients);
	tcase_add_test(tc, test_streams_have_a_limit);
	tcase_add_loop_test(tc, test_host_is_checked, 0, sizeof hosts / sizeof *hosts);
	tcase_add_test(tc, test_loopback_shows_little);
	tcase_add_test(tc, test_socket_file);
	tcase_add_test(tc, test_addresses);
	tcase_add_loop_test(tc, test_memory_is_short, 0, sizeof short_cases / sizeof *short_cases);
	tcase_add_test(tc, test_streams_without_memory);
	tcase_add_test(tc, test_metrics);
	tcase_add_test(tc, test_problem_rows);
	tcase_add_test(tc, test_readme);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
