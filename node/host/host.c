#include "host/host.h"

#include "base/log.h"
#include "base/stamp.h"
#include "host/process.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a hosted plugin is made from, copied; `text` has all of it, to tell whether it has changed. */
struct plan {
	char *text;
	char *name, *program, *settings;
	char **arguments, **environment, **topics, **publishes; /* end with NULL */
	size_t n_topics, n_publishes;
	bool own, newest;
	uint64_t deadline_ms, memory_limit_bytes;
};

/* A plugin that runs, or is asked to end. */
struct hosted {
	struct host *host;
	uint64_t serial; /* never used twice: the tag of its jobs and queries */
	struct plan *plan;
	struct plan *next; /* what it becomes when it has ended */
	struct delivery *delivery;
	struct process process;
	char *folder;
	uint64_t wake_ms;
	bool going;          /* it was asked to end */
	bool finished;       /* it has */
	uint64_t replace_ms; /* when what it becomes can be tried, finished */
	bool more;           /* its pipes may hold more */
};

/* A publication of a plugin that is on its way; the job's tag. */
struct asked {
	uint64_t tag, serial, run, number;
};

struct host {
	char *member, *state, *file, *folder;
	struct host_ops ops;
	void *context;
	struct hosted **hosted; /* in the order of the configuration; those that go last */
	size_t n_hosted;
	struct asked *asked;
	size_t n_asked;
	uint64_t next_serial, next_tag, last_number, now_ms;
	bool draining;
};

static void step(struct hosted *s, struct delivery_input *in);

/* ---- plans ---- */

static void plan_free(struct plan *p)
{
	if (p == NULL)
		return;
	free(p->text);
	free(p->name);
	free(p->program);
	free(p->settings);
	texts_free(p->arguments);
	texts_free(p->environment);
	texts_free(p->topics);
	texts_free(p->publishes);
	free(p);
}

static void describe_texts(struct buffer *out, char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buffer_add(out, texts[i], strlen(texts[i]) + 1);
	buffer_str(out, "\n");
}

/* The row as one text; NULL: out of memory. */
static char *describe(const struct host_plugin *p)
{
	struct buffer b = {0};
	size_t len;

	buffer_printf(&b, "%s\n%s\n%d %d %llu %llu\n", p->name, p->program, p->own, p->newest,
		(unsigned long long)p->deadline_ms, (unsigned long long)p->memory_limit_bytes);
	describe_texts(&b, p->command, p->n_command);
	describe_texts(&b, p->environment, p->n_environment);
	describe_texts(&b, p->topics, p->n_topics);
	describe_texts(&b, p->publishes, p->n_publishes);
	buffer_str(&b, p->settings == NULL ? "" : p->settings);
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] == '\0')
			b.data[i] = '\t';
	buffer_cstr(&b);
	return buffer_take(&b, &len);
}

static struct plan *plan_new(const struct host_plugin *from)
{
	struct plan *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	p->text = describe(from);
	p->name = strdup(from->name);
	p->program = strdup(from->program);
	p->settings = from->settings == NULL ? NULL : strdup(from->settings);
	p->arguments = texts_dup(from->command, from->n_command, 0);
	p->environment = texts_dup(from->environment, from->n_environment, 3);
	p->topics = texts_dup(from->topics, from->n_topics, 0);
	p->publishes = texts_dup(from->publishes, from->n_publishes, 0);
	p->n_topics = from->n_topics;
	p->n_publishes = from->n_publishes;
	p->own = from->own;
	p->newest = from->newest;
	p->deadline_ms = from->deadline_ms;
	p->memory_limit_bytes = from->memory_limit_bytes;
	if (p->text == NULL || p->name == NULL || p->program == NULL || p->arguments == NULL ||
		p->environment == NULL || p->topics == NULL || p->publishes == NULL ||
		(from->settings != NULL && p->settings == NULL)) {
		plan_free(p);
		return NULL;
	}
	return p;
}

/* ---- hosted ---- */

static void hosted_free(struct hosted *s)
{
	if (s == NULL)
		return;
	process_close(&s->process);
	delivery_free(s->delivery);
	plan_free(s->plan);
	plan_free(s->next);
	free(s->folder);
	free(s);
}

static struct hosted *hosted_of(const struct host *h, uint64_t serial)
{
	for (size_t i = 0; i < h->n_hosted; i++)
		if (h->hosted[i]->serial == serial)
			return h->hosted[i];
	return NULL;
}

static struct hosted *hosted_named(const struct host *h, const char *name)
{
	for (size_t i = 0; i < h->n_hosted; i++)
		if (strcmp(h->hosted[i]->plan->name, name) == 0)
			return h->hosted[i];
	return NULL;
}

static struct delivery_options options_of(const struct hosted *s)
{
	const struct plan *p = s->plan;

	return (struct delivery_options){.name = p->name,
		.member = s->host->member,
		.topics = p->topics,
		.n_topics = p->n_topics,
		.publishes = p->publishes,
		.n_publishes = p->n_publishes,
		.own = p->own,
		.settings = p->settings,
		.file = s->host->file,
		.folder = s->host->folder,
		.state = s->folder,
		.deadline_ms = p->deadline_ms};
}

/* PATH, HOME and LANG first, so that the configuration's own hold when they are given. */
static int complete_environment(struct hosted *s)
{
	char **e = s->plan->environment;
	size_t n = 0, room = 3;
	char *rows[3] = {strdup("PATH=/usr/local/bin:/usr/bin:/bin"), NULL, strdup("LANG=C.UTF-8")};

	if (asprintf(&rows[1], "HOME=%s", s->folder) < 0)
		rows[1] = NULL;
	while (e[n] != NULL)
		n++;
	for (size_t i = 0; i < room; i++) {
		size_t name = rows[i] == NULL ? 0 : strcspn(rows[i], "=") + 1;
		bool given = false;

		for (size_t k = 0; k < n && rows[i] != NULL; k++)
			given |= strncmp(e[k], rows[i], name) == 0;
		if (rows[i] == NULL || given)
			free(rows[i]);
		else
			e[n++] = rows[i];
		if (rows[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int make_folders(const struct host *h, const char *folder)
{
	char *parent;
	int r = 0;

	if (asprintf(&parent, "%s/plugins", h->state) < 0)
		return -ENOMEM;
	if ((mkdir(parent, 0700) < 0 && errno != EEXIST) || (mkdir(folder, 0700) < 0 && errno != EEXIST))
		r = -errno;
	free(parent);
	return r;
}

/* Takes the plan on success. */
static int hosted_new(struct hosted **out, struct host *h, struct plan *plan)
{
	struct hosted *s = calloc(1, sizeof *s);
	int r = -ENOMEM;

	*out = NULL;
	if (s == NULL)
		return r;
	s->host = h;
	s->serial = ++h->next_serial;
	s->plan = plan;
	s->process = (struct process){.pidfd = -1, .in = -1, .out = -1, .err = -1};
	if (asprintf(&s->folder, "%s/plugins/%s", h->state, plan->name) < 0)
		s->folder = NULL;
	else
		r = make_folders(h, s->folder);
	if (r == 0)
		r = complete_environment(s);
	if (r == 0) {
		struct delivery_options options = options_of(s);

		r = delivery_new(&s->delivery, &options);
	}
	if (r != 0) {
		s->plan = NULL;
		hosted_free(s);
		return r;
	}
	*out = s;
	return 0;
}

/* ---- actions ---- */

static void tell_ended(struct hosted *s, const char *how)
{
	struct delivery_input in = {.kind = DELIVERY_ENDED, .text = how};

	step(s, &in);
}

static void start(struct hosted *s)
{
	struct process_options options = {.program = s->plan->program,
		.arguments = s->plan->arguments,
		.environment = s->plan->environment,
		.folder = s->folder,
		.memory_limit_bytes = s->plan->memory_limit_bytes};
	int r = process_start(&s->process, &options);

	if (r == 0) {
		log_info("plugin: started plugin=%s pid=%d", s->plan->name, (int)s->process.pid);
		return;
	}
	log_error("plugin: cannot start plugin=%s error=\"%s\"", s->plan->name, strerror(-r));
	tell_ended(s, "it could not be started");
}

static void put_job(struct hosted *s, struct job *job)
{
	struct delivery_input in = {.kind = DELIVERY_COMMITTED, .job = job};

	job->tag = s->serial;
	job->connection = HOST_CONNECTION;
	if (s->host->ops.commit(s->host->context, job) == 0)
		return;
	job->delivery.done = false;
	step(s, &in);
	job_free(job);
}

static void put_query(struct hosted *s, struct query *query)
{
	struct delivery_input in = {.kind = DELIVERY_READ, .query = query};

	query->tag = s->serial;
	query->connection = HOST_CONNECTION;
	if (s->host->ops.query(s->host->context, query) == 0)
		return;
	query->result = -EAGAIN;
	step(s, &in);
	query_free(query);
}

/* ---- publishing ---- */

static void answer(struct hosted *s, const struct asked *asked, unsigned status, const struct published *published,
	const struct draft *draft, const struct problems *problems)
{
	struct delivery_answer a = {.run = asked->run, .number = asked->number, .status = status, .problems = problems};
	struct delivery_input in = {.kind = DELIVERY_PUBLISHED, .answer = &a};

	if (published != NULL) {
		a.id = draft->event.id;
		a.audience = draft->audience;
		a.revision = published->revision;
		a.sequence = published->sequence;
		a.digest = &published->leaf;
	}
	step(s, &in);
}

/* Reads an event into the job's only draft. 0; DRAFT_...; or -ENOMEM. */
static int read_draft(struct hosted *s, struct job *job, struct bytes text, struct problems *problems)
{
	json_t *json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	uint64_t now_ms = s->host->ops.time_ms(s->host->context);
	char id[STAMP_UUID], time[STAMP_TIME], today[STAMP_DAY], topic[TYPE_MAX + 1];
	const char *type = json_string_value(json_object_get(json, "type"));
	struct draft *draft;
	int r = DRAFT_SYNTAX;

	job->publish.drafts = calloc(1, sizeof *job->publish.drafts);
	if (job->publish.drafts == NULL) {
		json_decref(json);
		return -ENOMEM;
	}
	draft = &job->publish.drafts[0];
	if (json == NULL) {
		problem_add(problems, "", "JSON: one CloudEvent");
	} else if (type != NULL && topic_name_of_type(topic, type) && !delivery_may_publish(s->delivery, topic)) {
		problem_add(problems, "/type", "the configuration does not let this plugin publish this topic");
		r = DRAFT_FORBIDDEN;
	} else {
		r = draft_from_json(draft, json, s->host->member, problems);
	}
	json_decref(json);
	if (r != 0)
		return r;
	job->publish.n_drafts = 1;
	stamp_uuid(id, now_ms, 0);
	stamp_time(time, now_ms);
	stamp_day(today, now_ms);
	return draft_complete(
		draft, draft->event.id == NULL ? id : NULL, draft->event.time == NULL ? time : NULL, today);
}

static unsigned status_of_draft(int r)
{
	static const unsigned rows[] = {
		[DRAFT_SYNTAX] = 400, [DRAFT_TOO_LARGE] = 413, [DRAFT_FORBIDDEN] = 403, [DRAFT_RULE] = 422};

	return r < 0 ? 503 : rows[r];
}

static void publish(struct hosted *s, const struct delivery_action *a)
{
	struct host *h = s->host;
	struct asked asked = {++h->next_tag, s->serial, a->run, a->number}, *more;
	struct job *job = job_new(JOB_PUBLISH, NULL);
	struct problems problems = {0};
	int r = job == NULL ? -ENOMEM : read_draft(s, job, a->bytes, &problems);

	more = r != 0 ? NULL : realloc(h->asked, (h->n_asked + 1) * sizeof *more);
	if (r == 0 && more == NULL)
		r = -ENOMEM;
	if (more != NULL) {
		h->asked = more;
		job->tag = asked.tag;
		job->connection = HOST_CONNECTION;
		r = h->ops.commit(h->context, job);
	}
	if (r == 0) {
		h->asked[h->n_asked++] = asked;
	} else {
		answer(s, &asked, status_of_draft(r), NULL, NULL, &problems);
		job_free(job);
	}
	problems_deinit(&problems);
}

static void published(struct host *h, struct job *job)
{
	static const unsigned statuses[] = {
		[PUBLISH_RULE] = 422, [PUBLISH_CONFLICT] = 409, [PUBLISH_FULL] = 507, [PUBLISH_FAILED] = 503};
	struct publish_job *p = &job->publish;
	struct asked asked = {0};
	struct hosted *s;

	for (size_t i = 0; i < h->n_asked; i++)
		if (h->asked[i].tag == job->tag) {
			asked = h->asked[i];
			h->asked[i] = h->asked[--h->n_asked];
			break;
		}
	s = hosted_of(h, asked.serial);
	if (s == NULL)
		return;
	if (p->outcome == PUBLISH_OK)
		answer(s, &asked, p->results[0].state == PUBLISH_NEW ? 201 : 200, &p->results[0], &p->drafts[0], NULL);
	else
		answer(s, &asked, statuses[p->outcome], NULL, NULL, &p->problems);
}

/* ---- steps ---- */

static void act(struct hosted *s, struct delivery_action *a)
{
	switch (a->kind) {
	case DELIVERY_START:
		start(s);
		break;
	case DELIVERY_SEND:
		if (process_send(&s->process, a->bytes) != 0) {
			log_error("plugin: out of memory plugin=%s", s->plan->name);
			process_kill(&s->process);
		}
		break;
	case DELIVERY_KILL:
		process_kill(&s->process);
		break;
	case DELIVERY_QUERY:
		put_query(s, a->query);
		a->query = NULL;
		break;
	case DELIVERY_COMMIT:
		put_job(s, a->job);
		a->job = NULL;
		break;
	case DELIVERY_PUBLISH:
		publish(s, a);
		break;
	case DELIVERY_LOG:
		if (a->text != NULL)
			log_line((enum log_level)a->level, "%s", a->text);
		break;
	case DELIVERY_FINISHED:
		s->finished = true;
		break;
	}
}

/* Feeds one input in and carries out what comes back. An action may lead to another step, whose actions come first: they are about
 * what the worker could not take. */
static int step_result(struct hosted *s, struct delivery_input *in)
{
	struct delivery_update up = {0};
	int result;

	in->now_ms = s->host->now_ms;
	in->time_ms = s->host->ops.time_ms(s->host->context);
	if (delivery_step(s->delivery, in, &up) != 0)
		log_error("plugin: out of memory plugin=%s", s->plan->name);
	s->wake_ms = up.wake_ms;
	result = up.result;
	for (size_t i = 0; i < up.n_actions; i++)
		act(s, &up.actions[i]);
	delivery_update_clear(&up);
	return result;
}

static void step(struct hosted *s, struct delivery_input *in)
{
	step_result(s, in);
}

/* ---- what a process says ---- */

static void on_frame(void *context, struct bytes frame)
{
	struct delivery_input in = {.kind = DELIVERY_FRAME, .bytes = frame};

	step(context, &in);
}

static void on_line(void *context, const char *text)
{
	struct delivery_input in = {.kind = DELIVERY_SAID, .text = text};

	step(context, &in);
}

static void on_garbage(void *context, const char *why)
{
	struct delivery_input in = {.kind = DELIVERY_GARBAGE, .text = why};

	step(context, &in);
}

/* What waits to be written to a plugin that reads: its events, at most. More is waiting for one that publishes and never reads an answer:
 * it is not listened to until it does, or its silence ends it. */
enum { UNSENT_MAX = 4 * (DELIVERY_AHEAD_BYTES + DELIVERY_PAGE_BYTES) };

static bool listens(void *context)
{
	const struct hosted *s = context;

	return delivery_listens(s->delivery) && process_unsent(&s->process) < UNSENT_MAX;
}

static struct process_handler handler_of(struct hosted *s)
{
	return (struct process_handler){on_frame, on_line, on_garbage, listens, s};
}

/* ---- changes of the configuration ---- */

static void drain(struct hosted *s, uint64_t ms)
{
	struct delivery_input in = {.kind = DELIVERY_DRAIN, .drain_ms = ms};

	s->going = true;
	step(s, &in);
}

static int add_hosted(struct host *h, struct hosted *s)
{
	struct hosted **hosted = realloc(h->hosted, (h->n_hosted + 1) * sizeof(struct hosted *));

	if (hosted == NULL)
		return -ENOMEM;
	h->hosted = hosted;
	hosted[h->n_hosted++] = s;
	return 0;
}

struct remembering {
	struct hosted *hosted;
	bool found;
};

static int remember_cursor(void *context, const struct cursor_row *row)
{
	struct remembering *r = context;

	if (strcmp(row->plugin, r->hosted->plan->name) == 0) {
		delivery_load_cursor(r->hosted->delivery, &row->place);
		r->found = true;
	}
	return 0;
}

static int remember_held(void *context, const struct held_row *row)
{
	struct remembering *r = context;

	return strcmp(row->plugin, r->hosted->plan->name) == 0 ? delivery_load_held(r->hosted->delivery, row) : 0;
}

/* Takes the plan. */
static int begin(struct host *h, struct plan *plan, const struct archive_ops *ops, void *archive)
{
	struct delivery_input in = {.kind = DELIVERY_STORED, .last_number = h->last_number};
	struct remembering m = {0};
	int r = hosted_new(&m.hosted, h, plan);

	if (r != 0) {
		plan_free(plan);
		return r;
	}
	r = ops->cursors(archive, remember_cursor, &m);
	if (r == 0)
		r = ops->held(archive, remember_held, &m);
	if (r == 0 && !m.found && plan->newest)
		delivery_load_cursor(m.hosted->delivery, &(struct place){h->last_number, BATCH_EVENTS_MAX});
	if (r == 0)
		r = add_hosted(h, m.hosted);
	if (r != 0) {
		hosted_free(m.hosted);
		return r;
	}
	step(m.hosted, &in);
	return 0;
}

enum { CHANGE_DRAIN_MS = 10000, REPLACE_AGAIN_MS = 1000 };

/* One row of the configuration: new, changed, or as it was. */
static int configure_one(struct host *h, const struct host_plugin *p, const struct archive_ops *ops, void *archive)
{
	struct hosted *s = hosted_named(h, p->name);
	struct plan *plan = plan_new(p);

	if (plan == NULL)
		return -ENOMEM;
	if (s == NULL)
		return begin(h, plan, ops, archive);
	if (!s->going && strcmp(s->plan->text, plan->text) == 0) {
		plan_free(plan);
		return 0;
	}
	plan_free(s->next);
	s->next = plan;
	log_info("plugin: changed plugin=%s", p->name);
	drain(s, CHANGE_DRAIN_MS);
	return 0;
}

static bool is_named(const struct host_plugin *plugins, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(plugins[i].name, name) == 0)
			return true;
	return false;
}

int host_configure(struct host *h, const struct host_plugin *plugins, size_t n, const struct archive_ops *ops,
	void *archive, uint64_t now_ms)
{
	int r = 0;

	h->now_ms = now_ms;
	for (size_t i = 0; i < h->n_hosted; i++) {
		struct hosted *s = h->hosted[i];

		if (is_named(plugins, n, s->plan->name))
			continue;
		plan_free(s->next);
		s->next = NULL;
		log_info("plugin: removed plugin=%s", s->plan->name);
		drain(s, CHANGE_DRAIN_MS);
	}
	for (size_t i = 0; i < n; i++) {
		int one = configure_one(h, &plugins[i], ops, archive);

		if (one != 0) {
			log_error(
				"plugin: cannot be taken over plugin=%s error=\"%s\"", plugins[i].name, strerror(-one));
			r = one;
		}
	}
	return r;
}

/* What an ended plugin becomes, beside it. Takes its plan on success. */
static int renew(struct hosted **out, struct host *h, struct hosted *old)
{
	struct hosted *s;
	struct delivery_options options;
	int r = hosted_new(out, h, old->next);

	if (r != 0)
		return r;
	s = *out;
	options = options_of(s);
	delivery_free(s->delivery);
	r = delivery_renew(&s->delivery, &options, old->delivery);
	if (r == 0) {
		old->next = NULL;
		return 0;
	}
	s->plan = NULL;
	hosted_free(s);
	*out = NULL;
	return r;
}

/* A plugin that has ended for good: gone, or what the configuration says now, as soon as that can be set up. */
static void replace(struct host *h, size_t i)
{
	struct hosted *old = h->hosted[i], *s = NULL;
	struct delivery_input in = {.kind = DELIVERY_STORED, .last_number = h->last_number};
	int r = old->next != NULL && !h->draining ? renew(&s, h, old) : 0;

	if (r != 0) {
		if (old->replace_ms == 0)
			log_error("plugin: cannot be set up as it is now, trying again plugin=%s error=\"%s\"",
				old->plan->name, strerror(-r));
		old->replace_ms = h->now_ms + REPLACE_AGAIN_MS;
		return;
	}
	log_info("plugin: stopped plugin=%s", old->plan->name);
	hosted_free(old);
	if (s != NULL) {
		h->hosted[i] = s;
		step(s, &in);
		return;
	}
	memmove(&h->hosted[i], &h->hosted[i + 1], (--h->n_hosted - i) * sizeof(struct hosted *));
}

/* ---- the loop's side ---- */

static char *folder_of(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash == NULL ? strdup(".") : slash == file ? strdup("/") : strndup(file, (size_t)(slash - file));
}

int host_open(struct host **out, const struct host_options *options)
{
	struct host *h = calloc(1, sizeof *h);
	int r = 0;

	*out = NULL;
	if (h == NULL)
		return -ENOMEM;
	h->ops = *options->ops;
	h->context = options->context;
	h->state = realpath(options->state, NULL); /* plugins run in folders of their own */
	h->file = h->state == NULL ? NULL : realpath(options->file, NULL);
	if (h->file == NULL)
		r = -errno;
	h->folder = h->file == NULL ? NULL : folder_of(h->file);
	h->member = strdup(options->member);
	if (r == 0 && (h->folder == NULL || h->member == NULL))
		r = -ENOMEM;
	if (r != 0) {
		host_close(h);
		return r;
	}
	*out = h;
	return 0;
}

void host_close(struct host *h)
{
	if (h == NULL)
		return;
	for (size_t i = 0; i < h->n_hosted; i++)
		hosted_free(h->hosted[i]);
	free(h->hosted);
	free(h->asked);
	free(h->member);
	free(h->state);
	free(h->file);
	free(h->folder);
	free(h);
}

void host_drain(struct host *h, uint64_t drain_ms, uint64_t now_ms)
{
	h->now_ms = now_ms;
	h->draining = true;
	for (size_t i = 0; i < h->n_hosted; i++)
		drain(h->hosted[i], drain_ms);
}

bool host_stopped(const struct host *h)
{
	return h->n_hosted == 0;
}

size_t host_poll_items(struct host *h, zmq_pollitem_t *items, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_hosted && n + 4 <= max; i++) {
		const struct process *p = &h->hosted[i]->process;

		if (p->pid == 0)
			continue;
		items[n++] = (zmq_pollitem_t){.fd = p->pidfd, .events = ZMQ_POLLIN};
		if (p->out >= 0 && listens(h->hosted[i]))
			items[n++] = (zmq_pollitem_t){.fd = p->out, .events = ZMQ_POLLIN};
		if (p->err >= 0)
			items[n++] = (zmq_pollitem_t){.fd = p->err, .events = ZMQ_POLLIN};
		if (p->in >= 0 && process_unsent(p) > 0)
			items[n++] = (zmq_pollitem_t){.fd = p->in, .events = ZMQ_POLLOUT};
	}
	return n;
}

uint64_t host_wake_ms(const struct host *h)
{
	uint64_t wake = UINT64_MAX;

	for (size_t i = 0; i < h->n_hosted; i++) {
		const struct hosted *s = h->hosted[i];
		uint64_t due = s->finished ? s->replace_ms : s->wake_ms;

		if (s->more || (s->finished && h->draining))
			return 0;
		if (due < wake)
			wake = due;
	}
	return wake;
}

void host_turn(struct host *h, uint64_t now_ms)
{
	h->now_ms = now_ms;
	for (size_t i = 0; i < h->n_hosted; i++) {
		struct hosted *s = h->hosted[i];
		struct process_handler handler = handler_of(s);
		struct delivery_input tick = {.kind = DELIVERY_TICK};
		char how[64];

		s->more = process_turn(&s->process, &handler);
		if (process_ended(&s->process, &handler, how))
			tell_ended(s, how);
		if (now_ms >= s->wake_ms)
			step(s, &tick);
		process_turn(&s->process, &handler); /* what was answered just now */
	}
	for (size_t i = h->n_hosted; i > 0; i--)
		if (h->hosted[i - 1]->finished && (h->draining || now_ms >= h->hosted[i - 1]->replace_ms))
			replace(h, i - 1);
}

void host_committed(struct host *h, struct job *job, uint64_t now_ms)
{
	struct hosted *s = job->kind == JOB_DELIVERY ? hosted_of(h, job->tag) : NULL;
	struct delivery_input in = {.kind = DELIVERY_COMMITTED, .job = job};

	h->now_ms = now_ms;
	if (job->kind == JOB_PUBLISH)
		published(h, job);
	else if (s != NULL)
		step(s, &in);
	job_free(job);
}

void host_queried(struct host *h, struct query *query, uint64_t now_ms)
{
	struct hosted *s = hosted_of(h, query->tag);
	struct delivery_input in = {.kind = DELIVERY_READ, .query = query};

	h->now_ms = now_ms;
	if (s != NULL)
		step(s, &in);
	query_free(query);
}

void host_stored(struct host *h, uint64_t last_number, uint64_t now_ms)
{
	h->now_ms = now_ms;
	h->last_number = last_number;
	for (size_t i = 0; i < h->n_hosted; i++) {
		struct delivery_input in = {.kind = DELIVERY_STORED, .last_number = last_number};

		step(h->hosted[i], &in);
	}
}

/* ---- operators ---- */

static int operate(struct host *h, const char *plugin, struct delivery_input *in, uint64_t now_ms)
{
	struct hosted *s = hosted_named(h, plugin);

	h->now_ms = now_ms;
	return s == NULL ? -ENOENT : step_result(s, in);
}

int host_retry(struct host *h, const char *plugin, const struct place *place, uint64_t now_ms)
{
	struct delivery_input in = {.kind = DELIVERY_RETRY, .place = *place};

	return operate(h, plugin, &in, now_ms);
}

int host_retry_all(struct host *h, const char *plugin, const struct held_filter *filter, uint64_t now_ms)
{
	struct delivery_input in = {.kind = DELIVERY_RETRY_ALL, .filter = filter};

	return operate(h, plugin, &in, now_ms);
}

int host_drop(struct host *h, const char *plugin, const struct place *place, uint64_t now_ms)
{
	struct delivery_input in = {.kind = DELIVERY_DROP, .place = *place};

	return operate(h, plugin, &in, now_ms);
}

json_t *host_plugins(const struct host *h)
{
	json_t *list = json_array();

	for (size_t i = 0; i < h->n_hosted && list != NULL; i++) {
		json_t *row = delivery_json(h->hosted[i]->delivery);

		if (row == NULL ||
			json_object_set_new(row, "pid", json_integer((json_int_t)h->hosted[i]->process.pid)) != 0 ||
			json_array_append(list, row) != 0) {
			json_decref(list);
			list = NULL;
		}
		json_decref(row);
	}
	return list;
}

int host_held(const struct host *h, struct held_page *page)
{
	const struct hosted *from = page->after_plugin[0] == '\0' ? NULL : hosted_named(h, page->after_plugin);
	const struct place after = page->after;
	bool begun = from == NULL;
	int r = 0;

	if (from == NULL && page->after_plugin[0] != '\0')
		return -ENOENT;
	page->letters = json_array();
	for (size_t i = 0; i < h->n_hosted && r == 0 && !page->more; i++) {
		const struct hosted *s = h->hosted[i];

		begun = begun || s == from;
		if (begun && (page->plugin == NULL || strcmp(page->plugin, s->plan->name) == 0))
			r = delivery_list_held(s->delivery, page, s == from ? &after : NULL);
	}
	if (r != 0)
		json_decref(page->letters);
	return r;
}

json_t *host_row(const struct host *h, const char *plugin, const struct place *place)
{
	const struct hosted *s = hosted_named(h, plugin);

	return s == NULL ? json_null() : delivery_row_json(s->delivery, place);
}

void host_counters(const struct host *h,
	void (*visit)(void *context, const char *plugin, const struct delivery_counters *counters), void *context)
{
	struct delivery_counters c;

	for (size_t i = 0; i < h->n_hosted; i++) {
		delivery_counters(h->hosted[i]->delivery, &c);
		visit(context, h->hosted[i]->plan->name, &c);
	}
}
