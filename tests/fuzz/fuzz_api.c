/* The whole local API over its socket: the input is what a client writes. The first byte says who it is, the second whether the node is
 * ready and has room; the rest is HTTP, as it comes. What comes back begins as an answer does. */
#include "api/api.h"
#include "api/metrics.h"
#include "fuzz.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAITING_MAX = 64, TURNS_MAX = 64, READER = 2001, PUBLISHER, OPERATOR, STRANGER };

struct play {
	struct api *api;
	uint64_t now_ms;
	unsigned uid;
	uint8_t how;
	struct job *jobs[WAITING_MAX];
	struct query *queries[WAITING_MAX];
	size_t n_jobs, n_queries;
};

static json_t *op_object(void *context)
{
	return json_pack("{s:s}", "member", "ut.ee");
}

static json_t *op_not_ready(void *context)
{
	return ((struct play *)context)->how & 1 ? json_pack("[s]", "a reason") : json_array();
}

static const char *op_full(void *context)
{
	return ((struct play *)context)->how & 2 ? "a reason" : NULL;
}

static uint64_t op_last_number(void *context)
{
	return 5;
}

static void op_metrics(void *context, struct buffer *out)
{
	static const struct metric m = {"enlight_members", METRIC_GAUGE, "", "Members of the roster"};

	metric_single(out, &m, 9);
}

static int op_publish(void *context, struct job *job)
{
	struct play *p = context;

	must(job->publish.n_drafts > 0);
	if (p->how & 4 || p->n_jobs == WAITING_MAX)
		return -EAGAIN;
	p->jobs[p->n_jobs++] = job;
	return 0;
}

static int op_query(void *context, struct query *query)
{
	struct play *p = context;

	must(query->kind != QUERY_EVENTS || (query->events.limit > 0 && query->events.limit <= 1000));
	must(p->uid == OPERATOR || p->uid == READER);
	if (p->how & 4 || p->n_queries == WAITING_MAX)
		return -EAGAIN;
	p->queries[p->n_queries++] = query;
	return 0;
}

static int op_import(void *context, uint64_t tag, const struct act *act, struct bytes text, struct problems *problems)
{
	struct play *p = context;

	must(p->uid == OPERATOR && act->by_user);
	if (p->how & 8) {
		problem_add(problems, "card:1:1", "a rule");
		return TRUST_REFUSED;
	}
	api_kept(p->api, tag, true);
	return 0;
}

static int op_block(
	void *context, uint64_t tag, const struct act *act, const char *member, bool block, struct problems *problems)
{
	return strcmp(member, "rug.nl") == 0 ? op_import(context, tag, act, bytes_str(member), problems) : -ENOENT;
}

static int op_held(void *context, struct held_page *page)
{
	must(page->limit >= 1 && page->limit <= 1000 && strlen(page->after_plugin) <= PLUGIN_NAME_MAX);
	page->letters = json_array();
	return 0;
}

static json_t *op_held_row(void *context, const char *plugin, const struct place *place)
{
	return place->number == 7 ? json_pack("{s:s}", "plugin", plugin) : json_null();
}

static int op_held_act(void *context, const char *plugin, const struct place *place)
{
	must(((struct play *)context)->uid == OPERATOR);
	return place->number == 7 ? 0 : -ENOENT;
}

/* One member has another name. */
static const char *op_resolve(void *context, const char *name)
{
	return strcmp(name, "nuigalway.ie") == 0 ? "universityofgalway.ie" : NULL;
}

static struct bytes op_roster_text(void *context, const struct digest *digest)
{
	struct bytes nothing = {0};

	return digest->bytes[0] == 0 ? nothing : bytes_str("enlight roster 1\n");
}

static int op_pin(void *context, uint64_t tag, const struct act *act, const struct digest *digest)
{
	struct play *p = context;

	must(p->uid == OPERATOR && act->by_user);
	if (digest->bytes[0] == 0)
		return -ENOENT;
	api_kept(p->api, tag, (p->how & 8) == 0);
	return 0;
}

static int op_held_all(void *context, const char *plugin, const struct held_filter *filter)
{
	must(((struct play *)context)->uid == OPERATOR);
	return strcmp(plugin, "registrar") == 0 ? 7 : -ENOENT;
}

static void op_audit(void *context, uint64_t tag, const struct act *act)
{
	struct play *p = context;
	struct draft draft;

	must(p->uid == OPERATOR && act->by_user && act->uid == OPERATOR);
	must(act_draft(&draft, act, "ut.ee", 1795426200250) == 0);
	draft_deinit(&draft);
	api_kept(p->api, tag, (p->how & 8) == 0);
}

static uint64_t op_now(void *context)
{
	return 1795426200250;
}

static int op_backup_begin(void *context, char why[static 160])
{
	const struct play *p = context;

	must(p->uid == OPERATOR);
	return p->how & 4 ? -EBUSY : 0;
}

static json_t *op_backup(void *context)
{
	return ((const struct play *)context)->how & 4 ? json_null() : json_object();
}

static int op_backup_file(void *context, uint64_t *bytes)
{
	must(((const struct play *)context)->uid == OPERATOR);
	return -1;
}

static int op_backup_end(void *context, uint64_t tag, bool kept)
{
	struct play *p = context;

	must(p->uid == OPERATOR && kept == (tag != 0));
	if (p->how & 4)
		return -ENOENT;
	if (kept)
		api_kept(p->api, tag, (p->how & 8) == 0);
	return 0;
}

static int op_repair(void *context, uint64_t tag, const struct act *act, const struct damage *damage)
{
	op_audit(context, tag, act);
	return 0;
}

static const struct api_ops ops = {op_object, op_object, op_object, op_not_ready, op_full, op_last_number, op_metrics,
	op_publish, op_query, op_import, op_block, op_resolve, op_object, op_object, op_roster_text, op_pin, op_object,
	op_held, op_held_row, op_held_act, op_held_all, op_held_act, op_audit, op_now, op_backup_begin, op_backup,
	op_backup_file, op_backup_end, op_repair, op_object};

static int op_identify(void *context, int fd, struct api_peer *out)
{
	*out = (struct api_peer){.uid = ((struct play *)context)->uid};
	return 0;
}

static char course[] = "course.*";
static char *const courses[] = {course};
static const struct api_access rows[] = {
	{.by_uid = true, .id = READER, .read = courses, .n_read = 1},
	{.by_uid = true, .id = PUBLISHER, .publish = courses, .n_publish = 1},
	{.by_uid = true, .id = OPERATOR, .operator_ = true},
};

/* ---- what is waited for ---- */

static void answer_job(struct play *p, struct job *job)
{
	struct publish_job *j = &job->publish;

	must(p->uid == OPERATOR || p->uid == PUBLISHER);
	j->outcome = p->how & 2 ? PUBLISH_FULL : PUBLISH_OK;
	if (j->outcome == PUBLISH_OK) {
		j->results = calloc(j->n_drafts, sizeof *j->results);
		must(j->results != NULL);
		for (size_t i = 0; i < j->n_drafts; i++)
			j->results[i] = (struct published){.state = PUBLISH_NEW, .revision = 1, .sequence = i + 1};
	}
	api_published(p->api, job);
}

static void answer_query(struct play *p, struct query *q)
{
	if (q->kind == QUERY_EVENTS) {
		q->events.events = json_array();
		q->events.next = q->events.after;
		if (q->events.after.number < op_last_number(p)) {
			q->events.next.number++;
			json_array_append_new(
				q->events.events, json_pack("{s:s, s:s}", "id", "event", "cursor", "1.0"));
		}
	}
	if (q->kind == QUERY_EVIDENCE)
		q->evidence.file = bytes_of(bytes_dup(bytes_str("file")), 4);
	api_queried(p->api, q);
}

static void turn(struct play *p)
{
	api_timeout_ms(p->api);
	api_turn(p->api, p->now_ms);
	if (p->n_queries > 0)
		api_committed(p->api); /* also while a stream waits for its page */
	while (p->n_jobs > 0)
		answer_job(p, p->jobs[--p->n_jobs]);
	while (p->n_queries > 0)
		answer_query(p, p->queries[--p->n_queries]);
}

/* ---- the client ---- */

/* Whether the server has closed. What it says first is kept in `first`. */
static bool read_all(int fd, char first[static 16], size_t *n)
{
	char chunk[65536];
	ssize_t got;

	while ((got = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < got && *n < 15; i++)
			first[(*n)++] = chunk[i];
	return got == 0 || (got < 0 && errno != EAGAIN);
}

static void converse(struct play *p, int fd, struct bytes text)
{
	char first[16] = "";
	size_t n = 0, at = 0, idle = 0;
	bool closed = false;

	for (size_t i = 0; i < TURNS_MAX && !closed && idle < 4; i++) {
		ssize_t sent = at < text.len ? send(fd, text.data + at, text.len - at, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
		size_t before = n;

		at += sent > 0 ? (size_t)sent : 0;
		if (at == text.len && sent > 0)
			shutdown(fd, SHUT_WR);
		turn(p);
		closed = read_all(fd, first, &n);
		idle = sent > 0 || n != before ? 0 : idle + 1;
	}
	must(n == 0 || strncmp(first, "HTTP/1.", n < 7 ? n : 7) == 0);
}

/* One socket for all inputs of this process; its folder goes with it. */
static char folder[32], path[48];

static void remove_folder(void)
{
	unlink(path);
	rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned who[] = {OPERATOR, PUBLISHER, READER, STRANGER};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct choices c = {data, size};
	struct play p = {.now_ms = 1000};
	struct api_options options = {.socket = path,
		.member = "ut.ee",
		.access = rows,
		.n_access = sizeof rows / sizeof *rows,
		.ops = &ops,
		.context = &p,
		.identify = op_identify};
	char *why;
	int fd;

	if (folder[0] == '\0') {
		strcpy(folder, "/tmp/enlight-fuzz-XXXXXX");
		must(mkdtemp(folder) != NULL);
		snprintf(path, sizeof path, "%s/api.sock", folder);
		atexit(remove_folder);
	}
	p.uid = who[choose(&c) % 4];
	p.how = choose(&c);
	must(api_open(&p.api, &options, &why) == 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	converse(&p, fd, bytes_of(c.at, c.left));
	close(fd);
	turn(&p);
	api_close(p.api);
	return 0;
}
