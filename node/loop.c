#include "loop.h"

#include "base/log.h"
#include "base/stamp.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#define VERSION "enlightd " ENLIGHT_VERSION

enum {
	POLL_MAX = 2048,
	TAKE_MAX = 256,             /* jobs and queries taken back in one round */
	UNSENT_MAX_BYTES = 2 << 20, /* of one connection: a page of batches and what else a session may say at once */
	UNSENT_RETRY_MS = 5,
	PUBLISHING_MAX_BYTES = 16 << 20, /* of events on their way to the disk; beyond it POST answers 503 */
	SLEEP_MAX_MS = 1000,
	DRAIN_MS = 10000, /* that plugins have to finish when the node ends */
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t loop_monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

uint64_t loop_time_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

/* ---- the commit worker's thread ---- */

int loop_writer_run(void *context, const struct ledger_ops *ops, void *ledger, void **jobs, size_t n)
{
	struct loop *l = context;
	uint8_t seed[32];
	int r;

	randombytes_buf(seed, sizeof seed);
	commit_changes_free(l->changes);
	r = commit_run(l->committer, ops, ledger, (struct job *const *)jobs, n, loop_time_ms(), seed, &l->changes);
	sodium_memzero(seed, sizeof seed);
	return r;
}

void loop_writer_prepare(void *context, void *job)
{
	job_prepare(job, ((const struct loop *)context)->committer);
}

void loop_writer_done(void *context, void **jobs, size_t n, int result)
{
	struct loop *l = context;
	struct job *first = jobs[0];

	if (result == 0) {
		first->changes = l->changes;
		l->changes = NULL;
		return;
	}
	commit_failed((struct job *const *)jobs, n, result == STORE_FULL ? LEDGER_FULL : result);
}

/* ---- the read worker's thread ---- */

void loop_reader_run(void *context, const struct archive_ops *ops, void *archive, void *job)
{
	struct loop *l = context;
	uint8_t seed[32];

	randombytes_buf(seed, sizeof seed);
	query_run(l->querier, ops, archive, job, seed);
	sodium_memzero(seed, sizeof seed);
}

/* ---- actions ---- */

/* Hands a job of the node's own over; a worker that cannot take it answers as a full disk would: later. */
static void put_job(struct loop *l, struct job *job)
{
	struct node_input in = {.kind = NODE_COMMITTED, .jobs = &job, .n_jobs = 1};

	if (writer_put(l->writer, job) == 0)
		return;
	commit_failed(&job, 1, -ENOMEM);
	loop_step(l, &in);
	job_free(job);
}

static void put_query(struct loop *l, struct query *query)
{
	struct node_input in = {.kind = NODE_FETCHED, .query = query};

	if (reader_put(l->reader, query) == 0)
		return;
	query->result = -EAGAIN;
	loop_step(l, &in);
	query_free(query);
}

static struct waiting *waiting_of(const struct loop *l, uint32_t connection)
{
	struct waiting *w = l->waiting;

	while (w != NULL && w->connection != connection)
		w = w->next;
	return w;
}

/* Frees the first frame that waits. */
static void shift(struct waiting *w)
{
	struct unsent *u = w->first;

	w->first = u->next;
	if (w->first == NULL)
		w->end = &w->first;
	w->bytes -= u->frame.len;
	free((void *)u->frame.data);
	free(u);
}

static void drop_waiting(struct loop *l, uint32_t connection)
{
	struct waiting **at = &l->waiting, *w;

	while (*at != NULL && (*at)->connection != connection)
		at = &(*at)->next;
	w = *at;
	if (w == NULL)
		return;
	*at = w->next;
	while (w->first != NULL)
		shift(w);
	free(w);
}

void loop_drop_waiting(struct loop *l)
{
	while (l->waiting != NULL)
		drop_waiting(l, l->waiting->connection);
}

/* The frames that wait for a connection, none yet. NULL: out of memory. */
static struct waiting *add_waiting(struct loop *l, uint32_t connection)
{
	struct waiting *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	*w = (struct waiting){.next = l->waiting, .connection = connection, .end = &w->first, .round = l->round};
	l->waiting = w;
	return w;
}

/* Keeps a frame until its connection takes it; more than UNSENT_MAX_BYTES, or than there is memory for, are not kept, and the session
 * ends. Takes the frame. */
static void keep_unsent(struct loop *l, uint32_t connection, struct bytes frame)
{
	struct node_input busy = {.kind = NODE_BUSY, .connection = connection};
	struct waiting *w = waiting_of(l, connection);
	struct unsent *u = NULL;

	if (w == NULL)
		w = add_waiting(l, connection);
	if (w != NULL && w->bytes + frame.len <= UNSENT_MAX_BYTES)
		u = calloc(1, sizeof *u);
	if (u == NULL) {
		if (w != NULL)
			w->stuck = true;
		free((void *)frame.data);
		return;
	}
	u->frame = frame;
	*w->end = u;
	w->end = &u->next;
	w->bytes += frame.len;
	loop_step(l, &busy);
}

/* Sends what can be sent of one connection's frames, and tells the node how it stands. */
static void retry_one(struct loop *l, struct waiting *w)
{
	struct node_input in = {.kind = w->stuck ? NODE_STUCK : NODE_READY, .connection = w->connection};

	while (!w->stuck && w->first != NULL) {
		if (link_send(l->link, w->connection, w->first->frame) == LINK_BUSY)
			return;
		shift(w);
	}
	drop_waiting(l, w->connection);
	loop_step(l, &in);
}

/* Tries every connection once; what the node then does may add to the list and take from it. */
static void retry_unsent(struct loop *l)
{
	struct waiting *w;

	l->round++;
	for (;;) {
		for (w = l->waiting; w != NULL && w->round == l->round; w = w->next)
			;
		if (w == NULL)
			return;
		w->round = l->round;
		retry_one(l, w);
	}
}

/* Takes the action's frame. */
static void send_frame(struct loop *l, struct node_action *a)
{
	struct bytes frame = a->frame;

	a->frame = (struct bytes){0};
	if (waiting_of(l, a->connection) != NULL || link_send(l->link, a->connection, frame) == LINK_BUSY)
		keep_unsent(l, a->connection, frame);
	else
		free((void *)frame.data);
}

static void allow(struct loop *l)
{
	size_t n;
	uint8_t *keys = node_allowed(l->node, &n);

	if (n == SIZE_MAX || link_allow(l->link, keys, n) != 0) {
		log_error("link: out of memory: who may connect is not up to date, ending");
		l->lost_track = true;
	}
	free(keys);
}

static void act(struct loop *l, struct node_action *a)
{
	int r = 0;

	switch (a->kind) {
	case NODE_SEND:
		send_frame(l, a);
		break;
	case NODE_HANG_UP:
		drop_waiting(l, a->connection);
		link_hang_up(l->link, a->connection);
		break;
	case NODE_DIAL:
		r = link_dial(l->link, a->connection, a->endpoint, a->key);
		if (r != 0)
			log_error("link: cannot dial endpoint=%s error=\"%s\"", a->endpoint, strerror(-r));
		l->lost_track |= r == -ENOMEM;
		break;
	case NODE_ALLOW:
		allow(l);
		break;
	case NODE_REBIND:
		r = link_rebind(l->link);
		if (r != 0)
			log_error("link: cannot bind anew error=\"%s\"", strerror(-r));
		break;
	case NODE_COMMIT:
		put_job(l, a->job);
		a->job = NULL;
		break;
	case NODE_QUERY:
		put_query(l, a->query);
		a->query = NULL;
		break;
	case NODE_KEPT:
		api_kept(l->api, a->tag, a->durable);
		break;
	case NODE_LOG:
		if (a->text != NULL)
			log_line((enum log_level)a->level, "%s", a->text);
		break;
	}
}

/* Feeds one input in and carries out what comes back. The result is the update's. */
static int step_result(struct loop *l, struct node_input *in)
{
	struct node_update up = {0};
	int result;

	in->now_ms = loop_monotonic_ms();
	in->time_ms = loop_time_ms();
	randombytes_buf(in->entropy, sizeof in->entropy);
	if (node_step(l->node, in, &up) != 0) {
		log_error("node: out of memory, ending");
		l->lost_track = true;
	}
	l->wake_ms = up.wake_ms;
	for (size_t i = 0; i < up.n_actions; i++)
		act(l, &up.actions[i]);
	result = up.result;
	node_update_clear(&up);
	sodium_memzero(in->entropy, sizeof in->entropy);
	return result;
}

void loop_step(struct loop *l, struct node_input *in)
{
	step_result(l, in);
}

/* ---- what happens ---- */

void loop_link_event(void *context, const struct link_event *event)
{
	struct loop *l = context;
	struct node_input in = {
		.connection = event->connection, .key = event->key, .frame = event->frame, .reason = event->reason};

	switch (event->kind) {
	case LINK_UP:
		in.kind = NODE_UP;
		break;
	case LINK_DOWN:
		in.kind = NODE_DOWN;
		drop_waiting(l, event->connection);
		break;
	case LINK_FRAME:
		in.kind = NODE_FRAME;
		break;
	}
	loop_step(l, &in);
}

static size_t job_bytes(const struct job *job)
{
	size_t bytes = 0;

	for (size_t i = 0; i < job->publish.n_drafts; i++)
		bytes += job->publish.drafts[i].event.data.len + 256;
	return bytes;
}

/* ---- a full disk ---- */

static void set_full(struct loop *l, const char *why)
{
	if (why != NULL && l->full == NULL)
		log_warn("store: full, events are refused and nothing is fetched reason=\"%s\"", why);
	if (why == NULL && l->full != NULL)
		log_info("store: there is room again");
	l->full = why;
}

/* A batch that was refused for want of space says that the store is full, one that was stored that it is not, unless it was an
 * erasure. */
static void note_space(struct loop *l, const struct job *job)
{
	bool no_room = job->act.n_drafts > 0 && job->act.outcome == PUBLISH_FULL;
	const char *lacks;

	no_room |= job->kind == JOB_PUBLISH && job->publish.outcome == PUBLISH_FULL;
	no_room |= job->kind == JOB_ACCEPT && job->accept.outcome == ACCEPT_FULL;
	if (job->changes != NULL && job->changes->last_number != 0 && store_lacks_room(l->store) == NULL)
		set_full(l, NULL);
	if (!no_room)
		return;
	lacks = store_lacks_room(l->store);
	l->full_seen = lacks != NULL;
	set_full(l, lacks != NULL ? lacks : "the disk is full");
}

/* Space may come back while nobody publishes, who waits for /readyz. Where it could not be seen to be gone, the next batch tells. */
static void look_for_space(struct loop *l)
{
	if (l->full != NULL && l->full_seen && store_lacks_room(l->store) == NULL)
		set_full(l, NULL);
}

/* Takes back what the commit worker has done; false: nothing. */
static bool take_jobs(struct loop *l)
{
	void *jobs[TAKE_MAX];
	size_t n = writer_take(l->writer, jobs, TAKE_MAX);
	bool stored = false;

	for (size_t i = 0; i < n; i++) {
		struct job *job = jobs[i];
		struct node_input in = {.kind = NODE_COMMITTED, .jobs = &job, .n_jobs = 1, .changes = job->changes};

		note_space(l, job);
		stored |= job->changes != NULL && job->changes->last_number != 0;
		loop_step(l, &in);
		if (job->connection == HOST_CONNECTION) {
			host_committed(l->host, job, loop_monotonic_ms());
		} else if (job->kind == JOB_PUBLISH) {
			l->publishing_bytes -= job_bytes(job);
			api_published(l->api, job);
		} else {
			job_free(job);
		}
	}
	if (stored) {
		api_committed(l->api);
		host_stored(l->host, node_last_number(l->node), loop_monotonic_ms());
	}
	return n > 0;
}

static bool take_queries(struct loop *l)
{
	void *queries[TAKE_MAX];
	size_t n = reader_take(l->reader, queries, TAKE_MAX);

	for (size_t i = 0; i < n; i++) {
		struct query *query = queries[i];
		struct node_input in = {.kind = NODE_FETCHED, .query = query};

		if (query->connection == HOST_CONNECTION) {
			host_queried(l->host, query, loop_monotonic_ms());
			continue;
		}
		if (query->kind != QUERY_FETCH) {
			api_queried(l->api, query);
			continue;
		}
		loop_step(l, &in);
		query_free(query);
	}
	return n > 0;
}

/* ---- what api asks for ---- */

static int ask_publish(void *context, struct job *job)
{
	struct loop *l = context;
	size_t bytes = job_bytes(job);

	if (l->stopping || (l->publishing_bytes > 0 && l->publishing_bytes + bytes > PUBLISHING_MAX_BYTES))
		return -EAGAIN;
	job->trust = trust_ref(node_trust(l->node));
	if (writer_put(l->writer, job) != 0)
		return -EAGAIN;
	l->publishing_bytes += bytes;
	return 0;
}

static int ask_query(void *context, struct query *query)
{
	struct loop *l = context;

	if (query->kind == QUERY_CHECK && query->check.trust == NULL)
		query->check.trust = trust_ref(node_trust(l->node));
	if (query->kind == QUERY_EVIDENCE && query->evidence.trust == NULL)
		query->evidence.trust = trust_ref(node_trust(l->node));
	return reader_put(l->reader, query) == 0 ? 0 : -EAGAIN;
}

static int ask_import(void *context, uint64_t tag, const struct act *act, struct bytes text, struct problems *problems)
{
	struct node_input in = {
		.kind = NODE_NOTE, .frame = text, .reason = "operator", .problems = problems, .act = act, .tag = tag};
	int r = step_result(context, &in);

	if (r == TRUST_FORK)
		problem_add(problems, "",
			"another text with this number is held already, signed as well; of two rosters "
			"`enlight roster pin` says which one counts");
	if (r == TRUST_OLDER)
		problem_add(problems, "", "a newer one is held already");
	return r == TRUST_KNOWN ? 1 : r < 0 ? r : 0;
}

static int ask_block(
	void *context, uint64_t tag, const struct act *act, const char *member, bool block, struct problems *problems)
{
	struct node_input in = {
		.kind = NODE_BLOCK, .member = member, .block = block, .reason = act->reason, .act = act, .tag = tag};

	(void)problems;
	return step_result(context, &in);
}

static const char *resolve(void *context, const char *name)
{
	return trust_resolve(node_trust(((struct loop *)context)->node), name);
}

static json_t *invite(void *context)
{
	return node_invite(((struct loop *)context)->node);
}

static json_t *rosters(void *context)
{
	return node_rosters(((struct loop *)context)->node);
}

static struct bytes roster_text(void *context, const struct digest *digest)
{
	const struct roster *r = trust_find_roster(node_trust(((struct loop *)context)->node), digest);
	struct bytes nothing = {0};

	return r == NULL ? nothing : bytes_of(r->note.text, r->note.text_len);
}

static int ask_pin(void *context, uint64_t tag, const struct act *act, const struct digest *digest)
{
	struct node_input in = {.kind = NODE_PIN, .digest = digest, .act = act, .tag = tag};

	return step_result(context, &in);
}

static int ask_repair(void *context, uint64_t tag, const struct act *act, const struct damage *damage)
{
	struct node_input in = {.kind = NODE_REPAIR, .damage = damage, .act = act, .tag = tag};

	return step_result(context, &in);
}

static json_t *repairs(void *context)
{
	return node_repairs(((struct loop *)context)->node);
}

static void audit(void *context, uint64_t tag, const struct act *act)
{
	struct node_input in = {.kind = NODE_ACT, .act = act, .tag = tag};

	loop_step(context, &in);
}

/* What the node does by itself, or is told to do by a signal (NULL: by none). */
static void tell(struct loop *l, const struct act *act, const struct signalfd_siginfo *signal)
{
	struct act told = *act;

	stamp_uuid(told.id, loop_time_ms(), 0);
	told.by_user = signal != NULL && signal->ssi_code == SI_USER;
	told.uid = told.by_user ? signal->ssi_uid : 0;
	if (told.by_user)
		access_name(told.user, sizeof told.user, told.uid);
	audit(l, 0, &told);
}

static json_t *peers(void *context)
{
	return node_peers(((struct loop *)context)->node, loop_monotonic_ms());
}

static json_t *channels(void *context)
{
	return node_channels(((struct loop *)context)->node);
}

static json_t *not_ready(void *context)
{
	return node_not_ready(((struct loop *)context)->node);
}

static const char *full(void *context)
{
	return ((struct loop *)context)->full;
}

static uint64_t last_number(void *context)
{
	return node_last_number(((struct loop *)context)->node);
}

static uint64_t time_ms(void *context)
{
	(void)context;
	return loop_time_ms();
}

const struct api_ops loop_api_ops = {
	.status = loop_status,
	.peers = peers,
	.channels = channels,
	.not_ready = not_ready,
	.full = full,
	.last_number = last_number,
	.metrics = loop_metrics,
	.publish = ask_publish,
	.query = ask_query,
	.import_note = ask_import,
	.block = ask_block,
	.resolve = resolve,
	.invite = invite,
	.rosters = rosters,
	.roster_text = roster_text,
	.pin = ask_pin,
	.audit = audit,
	.plugins = loop_plugins,
	.held = loop_held,
	.held_row = loop_held_row,
	.held_retry = loop_held_retry,
	.held_retry_all = loop_held_retry_all,
	.held_drop = loop_held_drop,
	.now_ms = time_ms,
	.backup_begin = loop_backup_begin,
	.backup = loop_backup,
	.backup_file = loop_backup_file,
	.backup_end = loop_backup_end,
	.repair = ask_repair,
	.repairs = repairs,
};

/* ---- configuration ---- */

struct api_access *loop_access(const struct config *c)
{
	struct api_access *rows = calloc(c->n_access + 1, sizeof *rows);

	for (size_t i = 0; i < c->n_access && rows != NULL; i++) {
		const struct config_access *a = &c->access[i];

		rows[i] = (struct api_access){
			a->by_uid, a->id, a->publish, a->n_publish, a->read, a->n_read, a->operator_};
	}
	return rows;
}

/* Whether it is new. */
static bool import_card(struct loop *l, const char *path)
{
	struct problems problems = {0};
	struct node_input in = {.kind = NODE_NOTE, .reason = path, .problems = &problems};
	void *text;
	size_t len;
	int r;

	r = file_read(&text, &len, path, NOTE_MAX);
	if (r != 0) {
		log_error("trust: cannot read file=%s error=\"%s\"", path, strerror(-r));
		return false;
	}
	in.frame = bytes_of(text, len);
	r = step_result(l, &in);
	if (r == TRUST_REFUSED)
		for (size_t i = 0; i < problems.n; i++)
			log_error("trust: refused %s: %s", problems.items[i].place, problems.items[i].rule);
	problems_deinit(&problems);
	free(text);
	return r == 0;
}

size_t loop_import_cards(struct loop *l)
{
	const char *folder = l->config->trust.cards;
	struct dirent **names = NULL;
	size_t n_new = 0;
	char *path;
	int n;

	if (folder == NULL)
		return 0;
	n = scandir(folder, &names, NULL, alphasort);
	if (n < 0)
		log_error("trust: cannot read folder=%s error=\"%s\"", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.' && asprintf(&path, "%s/%s", folder, names[i]->d_name) >= 0) {
			n_new += import_card(l, path);
			free(path);
		}
		free(names[i]);
	}
	free(names);
	return n_new;
}

/* What a running node can change. All else stays as it was at the start, so that the node never says of itself what is not so. */
static const char *const at_once[] = {"access", "plugins", "trust.cards"};

static void exchange(void *a, void *b, size_t len)
{
	uint8_t kept[16];

	assert(len <= sizeof kept);
	memcpy(kept, a, len);
	memcpy(a, b, len);
	memcpy(b, kept, len);
}

static void take_changes(struct config *running, struct config *read)
{
	exchange(&running->access, &read->access, sizeof read->access);
	exchange(&running->n_access, &read->n_access, sizeof read->n_access);
	exchange(&running->plugins, &read->plugins, sizeof read->plugins);
	exchange(&running->n_plugins, &read->n_plugins, sizeof read->n_plugins);
	exchange(&running->trust.cards, &read->trust.cards, sizeof read->trust.cards);
}

/* Names of settings that differ from those the node runs with: all, and those that are not taken over. */
struct changes {
	struct buffer all, later;
};

static void add_name(struct buffer *names, const char *name)
{
	buffer_printf(names, "%s%s", names->len == 0 ? "" : ", ", name);
}

static void note_change(void *context, const char *name)
{
	struct changes *changes = context;

	add_name(&changes->all, name);
	for (size_t i = 0; i < sizeof at_once / sizeof *at_once; i++)
		if (strcmp(at_once[i], name) == 0)
			return;
	add_name(&changes->later, name);
}

/* Says which settings differ from those the node runs with, and which are not taken over. */
static void find_changes(const struct loop *l, const struct config *read, struct changes *changes)
{
	settings_changes(l->config, read, config_table, note_change, changes);
	if (changes->later.len != 0 && buffer_cstr(&changes->later) != NULL)
		log_warn("config: takes effect after a restart settings=\"%s\"", buffer_cstr(&changes->later));
}

/* Takes the changes. */
static void tell_changes(struct loop *l, struct changes *changes, size_t n_cards, const struct signalfd_siginfo *signal)
{
	struct act act = {.verb = "config.reload"};
	char cards[32];

	snprintf(cards, sizeof cards, "%zu new cards", n_cards);
	if (n_cards > 0)
		add_name(&changes->all, cards);
	act.object = changes->all.len == 0 ? NULL : buffer_cstr(&changes->all);
	tell(l, &act, signal);
	buffer_deinit(&changes->all);
	buffer_deinit(&changes->later);
}

/* SIGHUP: a good file's access table and cards hold from now on; a bad one changes nothing. */
static void reload(struct loop *l, const struct signalfd_siginfo *signal)
{
	const struct act refused = {.verb = "config.reload", .result = "refused"};
	struct problems problems = {0};
	struct changes changes = {0};
	struct api_access *access;
	struct config *c = NULL;
	size_t n_cards;
	int r = config_load(&c, l->config_path, &problems);

	for (size_t i = 0; i < problems.n; i++)
		log_error("config: %s: %s", problems.items[i].place, problems.items[i].rule);
	problems_deinit(&problems);
	if (r == 0)
		r = config_resolve(c, trust_roster(node_trust(l->node)));
	access = r == 0 ? loop_access(c) : NULL;
	if (access == NULL) {
		log_error("config: not read again; what was in force stays file=%s", l->config_path);
		tell(l, &refused, signal);
		config_free(c);
		return;
	}
	api_set_access(l->api, access, c->n_access);
	free(l->access);
	l->access = access;
	find_changes(l, c, &changes);
	take_changes(l->config, c);
	config_free(c);
	n_cards = loop_import_cards(l);
	loop_configure_plugins(l);
	tell_changes(l, &changes, n_cards, signal);
	log_info("config: read again file=%s", l->config_path);
}

/* ---- the loop ---- */

static void begin_to_stop(struct loop *l, const struct signalfd_siginfo *signal)
{
	const struct act stop = {.verb = "node.stop", .object = VERSION, .reason = strsignal((int)signal->ssi_signo)};

	log_info("node: stopping signal=%s", stop.reason);
	if (l->stopping)
		return;
	tell(l, &stop, signal);
	host_drain(l->host, DRAIN_MS, loop_monotonic_ms());
	l->stopping = true;
}

static void take_signals(struct loop *l)
{
	struct signalfd_siginfo info;

	while (read(l->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP) {
			sd_notify(0, "RELOADING=1");
			reload(l, &info);
			sd_notify(0, "READY=1");
		} else {
			begin_to_stop(l, &info);
		}
	}
}

/* What the node is doing, for `systemctl status`, and the sign of life for systemd's watchdog. */
static void notify(struct loop *l, uint64_t now_ms, uint64_t *next_ms)
{
	struct node_counters c;

	if (now_ms < *next_ms)
		return;
	*next_ms = now_ms + 5000;
	node_counters(l->node, &c);
	sd_notifyf(0, "WATCHDOG=1\nSTATUS=%zu of %zu links live, %llu events to be acknowledged", c.live,
		c.members > 0 ? c.members - 1 : 0, (unsigned long long)c.behind);
}

static long sleep_ms(struct loop *l, uint64_t now_ms)
{
	uint64_t most = api_timeout_ms(l->api);

	if (most > SLEEP_MAX_MS)
		most = SLEEP_MAX_MS;
	if (l->waiting != NULL && most > UNSENT_RETRY_MS)
		most = UNSENT_RETRY_MS;
	if (host_wake_ms(l->host) <= now_ms)
		return 0;
	if (host_wake_ms(l->host) - now_ms < most)
		most = host_wake_ms(l->host) - now_ms;
	if (l->wake_ms <= now_ms)
		return 0;
	return (long)(l->wake_ms - now_ms < most ? l->wake_ms - now_ms : most);
}

/* Descriptors to wait for; link's items come last, since their number varies. */
static size_t poll_items(struct loop *l, zmq_pollitem_t *items)
{
	int fds[5] = {l->signals, writer_fd(l->writer), reader_fd(l->reader)};
	size_t n = 3 + api_fds(l->api, fds + 3, 2);

	for (size_t i = 0; i < n; i++)
		items[i] = (zmq_pollitem_t){.fd = fds[i], .events = ZMQ_POLLIN};
	n += host_poll_items(l->host, items + n, POLL_MAX / 2);
	return n + link_poll_items(l->link, items + n, POLL_MAX - n);
}

/* One round: waits, then lets each part take a bounded turn. */
static int turn(struct loop *l, zmq_pollitem_t *items, bool *more)
{
	uint64_t now_ms = loop_monotonic_ms();
	size_t n = poll_items(l, items);
	struct node_input tick = {.kind = NODE_TICK};

	if (zmq_poll(items, (int)n, *more ? 0 : sleep_ms(l, now_ms)) < 0 && errno != EINTR)
		return -errno;
	now_ms = loop_monotonic_ms();
	take_signals(l);
	take_jobs(l);
	take_queries(l);
	retry_unsent(l);
	look_for_space(l);
	*more = link_turn(l->link, now_ms) > 0;
	api_turn(l->api, now_ms);
	host_turn(l->host, now_ms);
	loop_backup_turn(l);
	if (now_ms >= l->wake_ms)
		loop_step(l, &tick);
	return 0;
}

/* Everything accepted becomes durable, and who waits gets its answer. What this gives rise to is answered by the workers, which
 * take nothing more, with a refusal. */
static void finish(struct loop *l)
{
	writer_drain(l->writer);
	reader_drain(l->reader);
	while (take_jobs(l) || take_queries(l))
		;
	api_turn(l->api, loop_monotonic_ms());
}

int loop_run(struct loop *l)
{
	const struct act start = {.verb = "node.start", .object = VERSION};
	zmq_pollitem_t *items = calloc(POLL_MAX, sizeof *items);
	uint64_t notify_ms = 0;
	bool more = false;
	int r = 0;

	if (items == NULL)
		return -ENOMEM;
	tell(l, &start, NULL);
	sd_notify(0, "READY=1");
	while (!(l->stopping && host_stopped(l->host) && !node_is_saving(l->node)) && r == 0) {
		r = turn(l, items, &more);
		if (r == 0 && l->lost_track)
			r = -ENOMEM; /* the next start knows again what the store holds */
		notify(l, loop_monotonic_ms(), &notify_ms);
	}
	sd_notify(0, "STOPPING=1");
	finish(l);
	free(items);
	return r;
}
