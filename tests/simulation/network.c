#include "network_state.h"

#include "bounded.h"
#include "invariant.h"
#include "core/handle.h"
#include "plugin.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#define INCOMING 0x80000000u /* connections dialled from outside, as link.h numbers them */

/* splitmix64: https://prng.di.unimi.it/splitmix64.c, in the public domain. */
uint64_t network_draw(struct network *w)
{
	uint64_t z = (w->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t network_random(struct network *w, uint32_t below)
{
	return (uint32_t)(network_draw(w) % below);
}

void network_draw_seed(struct network *w, uint8_t seed[static 32])
{
	for (size_t i = 0; i < 4; i++) {
		uint64_t v = network_draw(w);

		memcpy(seed + 8 * i, &v, sizeof v);
	}
}

/* ---- what is said ---- */

void network_break(struct network *w, const char *format, ...)
{
	va_list args;

	if (w->broken[0] != '\0')
		return;
	va_start(args, format);
	vsnprintf(w->broken, sizeof w->broken, format, args);
	va_end(args);
	w->broken_step = w->steps;
}

void network_trace(struct network *w, const char *format, ...)
{
	va_list args;

	if (!w->traced)
		return;
	printf("%llu %llu ", (unsigned long long)w->steps, (unsigned long long)w->now_ms);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* ---- happenings ---- */

static bool sooner(const struct happens *a, const struct happens *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

struct happens *network_happen(struct network *w, enum happening kind, size_t member, uint64_t after_ms)
{
	struct happens *h = calloc(1, sizeof *h);
	size_t i = w->n_heap;

	if (w->n_heap == w->size_heap) {
		w->size_heap = w->size_heap == 0 ? 1024 : 2 * w->size_heap;
		w->heap = realloc(w->heap, w->size_heap * sizeof(struct happens *));
	}
	assert(h != NULL && w->heap != NULL);
	*h = (struct happens){.kind = kind,
		.member = member,
		.life = w->members[member].life,
		.at_ms = w->now_ms + after_ms,
		.order = w->order++};
	for (w->n_heap++; i > 0 && sooner(h, w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = h;
	return h;
}

static struct happens *take_next(struct network *w)
{
	struct happens *first = w->heap[0], *last = w->heap[--w->n_heap];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < w->n_heap && sooner(w->heap[child + 1], w->heap[child]))
			child++;
		if (child >= w->n_heap || !sooner(w->heap[child], last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return first;
}

static void happens_free(struct happens *h)
{
	free((void *)h->frame.data);
	query_free(h->query);
	free(h);
}

/* ---- connections ---- */

static struct pipe *pipe_of(struct network *w, size_t member, uint32_t connection, bool *is_dialler)
{
	const struct member *m = &w->members[member];

	for (size_t i = 0; i < m->n_pipes; i++) {
		struct pipe *p = m->pipes[i];

		*is_dialler = p->dialler == member && p->dialled == connection;
		if (*is_dialler || (p->listener == member && p->incoming == connection))
			return p;
	}
	return NULL;
}

static void attach(struct member *m, struct pipe *p)
{
	if (m->n_pipes == m->size_pipes) {
		m->size_pipes = m->size_pipes == 0 ? 16 : 2 * m->size_pipes;
		m->pipes = realloc(m->pipes, m->size_pipes * sizeof(struct pipe *));
		assert(m->pipes != NULL);
	}
	m->pipes[m->n_pipes++] = p;
}

static void detach(struct member *m, const struct pipe *p)
{
	size_t i = 0;

	while (i < m->n_pipes && m->pipes[i] != p)
		i++;
	assert(i < m->n_pipes);
	memmove(&m->pipes[i], &m->pipes[i + 1], (--m->n_pipes - i) * sizeof(struct pipe *));
}

static struct pipe *new_pipe(struct network *w)
{
	if (w->n_free_pipes > 0)
		return w->free_pipes[--w->n_free_pipes];
	w->pipes = realloc(w->pipes, (w->n_pipes + 1) * sizeof(struct pipe *));
	w->free_pipes = realloc(w->free_pipes, (w->n_pipes + 1) * sizeof(struct pipe *));
	assert(w->pipes != NULL && w->free_pipes != NULL);
	w->pipes[w->n_pipes] = calloc(1, sizeof(struct pipe));
	assert(w->pipes[w->n_pipes] != NULL);
	return w->pipes[w->n_pipes++];
}

/* The dialler has given it up. */
static void drop_pipe(struct network *w, struct pipe *p)
{
	detach(&w->members[p->dialler], p);
	detach(&w->members[p->listener], p);
	p->used = p->up = false;
	p->life++;
	p->in_flight = p->bytes_in_flight = 0;
	w->free_pipes[w->n_free_pipes++] = p;
}

static void connect_later(struct network *w, struct pipe *p)
{
	struct happens *h = network_happen(w, HAPPEN_UP, p->dialler, 50 + network_random(w, 500));

	h->pipe = p;
	h->pipe_life = p->life;
}

/* Both ends learn that the connection is gone; the dialler tries again. */
static void cut_pipe(struct network *w, struct pipe *p)
{
	struct happens *h;

	p->life++;
	p->in_flight = p->bytes_in_flight = 0;
	if (p->up) {
		p->up = false;
		if (w->members[p->dialler].up) {
			h = network_happen(w, HAPPEN_DOWN, p->dialler, network_random(w, 20));
			h->pipe = p;
			h->to_dialler = true;
		}
	}
	connect_later(w, p);
}

static bool may_connect(struct network *w, const struct pipe *p)
{
	size_t n;
	uint8_t *keys;
	bool found = false;

	if (!w->members[p->dialler].up || !w->members[p->listener].up || way(w, p->dialler, p->listener)->cut ||
		memcmp(p->listener_key, w->members[p->listener].keys.link_public, LINK_PUBLIC_LEN) != 0)
		return false;
	keys = node_allowed(w->members[p->listener].node, &n);
	for (size_t i = 0; i < n && keys != NULL; i++)
		found |= memcmp(keys + 32 * i, w->members[p->dialler].keys.link_public, 32) == 0;
	free(keys);
	return found;
}

static void dial(struct network *w, size_t member, const struct node_action *a)
{
	size_t to;
	struct pipe *p = new_pipe(w);

	assert(sscanf(a->endpoint, "tcp://%zu.", &to) == 1 && to < w->n);
	for (int i = 0; i < 2; i++) /* from another connection: nothing of it is stale here */
		free((void *)p->kept[i].data);
	*p = (struct pipe){
		.used = true, .life = p->life + 1, .dialler = member, .dialled = a->connection, .listener = to};
	memcpy(p->listener_key, a->key, LINK_PUBLIC_LEN);
	attach(&w->members[member], p);
	attach(&w->members[to], p);
	connect_later(w, p);
}

static void hang_up(struct network *w, size_t member, uint32_t connection)
{
	bool is_dialler;
	struct pipe *p = pipe_of(w, member, connection, &is_dialler);

	if (p == NULL)
		return;
	if (is_dialler)
		drop_pipe(w, p);
	else
		p->incoming = INCOMING + w->next_incoming++; /* its frames come under a new number from now on */
}

void network_put_frame(struct network *w, struct pipe *p, bool to_dialler, struct bytes frame)
{
	size_t from = to_dialler ? p->listener : p->dialler, to = to_dialler ? p->dialler : p->listener;
	const struct way *by = way(w, from, to);
	unsigned delay = by->delay_ms + w->members[to].slow_ms;
	uint64_t at = w->now_ms + 1 + network_random(w, 20) + (delay == 0 ? 0 : network_random(w, delay));
	struct happens *h;

	if (at < p->last_ms[!to_dialler] && (by->overtaking == 0 || network_random(w, 1000) >= by->overtaking))
		at = p->last_ms[!to_dialler];
	if (at > p->last_ms[!to_dialler])
		p->last_ms[!to_dialler] = at;
	h = network_happen(w, HAPPEN_FRAME, to, at - w->now_ms);
	h->pipe = p;
	h->pipe_life = p->life;
	h->to_dialler = to_dialler;
	h->frame = frame;
	p->in_flight++;
	p->bytes_in_flight += frame.len;
	w->n_frames++;
}

static struct bytes copy_of(struct bytes b)
{
	return bytes_of(bytes_dup(b), b.len);
}

/* A frame of an earlier life of the connection comes before this one, and this one is kept for a later life. */
static void put_stale(struct network *w, struct pipe *p, bool to_dialler, struct bytes frame)
{
	if (p->kept[to_dialler].data != NULL)
		network_put_frame(w, p, to_dialler, p->kept[to_dialler]);
	p->kept[to_dialler] = copy_of(frame);
}

static void send_frame(struct network *w, size_t member, struct node_action *a)
{
	struct node_input busy = {.kind = NODE_BUSY, .connection = a->connection};
	bool is_dialler;
	struct pipe *p = pipe_of(w, member, a->connection, &is_dialler);
	struct way *by;
	size_t to;

	if (p == NULL || !p->up)
		return;
	to = is_dialler ? p->listener : p->dialler;
	by = way(w, member, to);
	if (w->tamper != NULL && w->tamper_from == member && w->tamper_to == to)
		w->tamper(w->tamper_context, a->frame);
	if (w->members[member].liar && w->lie != NULL)
		w->lie(w, member, to, p, is_dialler, &a->frame);
	else
		check_sent(w, member, to, a->frame);
	if (a->frame.data == NULL)
		return; /* another one went out in its place */
	if (by->stalled) {
		by->stalled_bytes += a->frame.len;
		network_step(w, member, &busy);
		return;
	}
	if (by->mute || (by->lost > 0 && network_random(w, 1000) < by->lost))
		return;
	if (by->stale > 0 && network_random(w, 1000) < by->stale)
		put_stale(w, p, !is_dialler, a->frame);
	if (by->doubled > 0 && network_random(w, 1000) < by->doubled)
		network_put_frame(w, p, !is_dialler, copy_of(a->frame));
	network_put_frame(w, p, !is_dialler, a->frame);
	a->frame = (struct bytes){0};
}

/* Drops every connection that was dialled in. */
static void rebind(struct network *w, size_t member)
{
	const struct member *m = &w->members[member];

	for (size_t i = 0; i < m->n_pipes; i++)
		if (m->pipes[i]->listener == member)
			cut_pipe(w, m->pipes[i]);
}

/* ---- commits and queries ---- */

static unsigned duration(struct network *w, size_t member, unsigned usual_ms)
{
	unsigned slow = w->members[member].slow_ms;

	return 1 + network_random(w, usual_ms) + (slow == 0 ? 0 : network_random(w, slow));
}

static void begin_commit(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	if (m->committing || m->n_jobs == 0)
		return;
	m->committing = true;
	network_happen(w, HAPPEN_COMMIT, member, duration(w, member, 10));
}

/* Whether everybody whom the audience names is a member now. */
static bool all_are_members(const struct network *w, const char *audience)
{
	for (size_t i = 0; i < w->n; i++)
		if (!w->members[i].in_roster && strcmp(audience, "network") != 0 &&
			audience_has(audience, w->members[i].handle))
			return false;
	return true;
}

/* A wish is answered for good. */
static void fulfil(struct network *w, size_t member, struct wish *wish, const struct published *result)
{
	wish->done = true;
	if (wish->number != 0 && w->members[member].plugin != NULL)
		plugin_published(w->members[member].plugin, wish->run, wish->number, wish->id, wish->audience, result);
}

static void note_answer(struct network *w, size_t member, const struct job *job)
{
	struct member *m = &w->members[member];
	struct wish *wish = job->tag < m->n_wishes ? &m->wishes[job->tag] : NULL;
	const struct published *result = job->publish.results;
	struct acknowledged *a;

	if (wish == NULL) /* a lie */
		return;
	wish->posted = false;
	if (wish->done)
		return;
	if (job->publish.outcome == PUBLISH_RULE && !all_are_members(w, wish->audience))
		fulfil(w, member, wish, NULL); /* it will not be published, and the local system knows */
	if (job->publish.outcome != PUBLISH_OK)
		return;
	fulfil(w, member, wish, result);
	if (result->state == PUBLISH_UNCHANGED)
		return;
	if ((w->n_acknowledged & (w->n_acknowledged - 1)) == 0) {
		a = realloc(w->acknowledged, (2 * w->n_acknowledged + 1) * sizeof *a);
		assert(a != NULL);
		w->acknowledged = a;
	}
	w->acknowledged[w->n_acknowledged++] =
		(struct acknowledged){member, strdup(wish->audience), strdup(wish->id), result->sequence, false};
}

static bool is_plugins(const struct job *job)
{
	return job->kind == JOB_DELIVERY;
}

/* The member goes on with what has become of its jobs, one after the other. */
static void tell_committed(
	struct network *w, size_t member, struct job **jobs, size_t n, struct commit_changes *changes)
{
	struct member *m = &w->members[member];
	struct node_input first = {.kind = NODE_COMMITTED, .changes = changes};

	network_step(w, member, &first);
	for (size_t i = 0; i < n; i++) {
		struct node_input in = {.kind = NODE_COMMITTED, .jobs = &jobs[i], .n_jobs = 1};

		if (jobs[i]->kind == JOB_PUBLISH)
			note_answer(w, member, jobs[i]);
		if (is_plugins(jobs[i]) && m->plugin != NULL)
			plugin_committed(m->plugin, jobs[i]);
		else
			network_step(w, member, &in);
	}
	if (m->plugin != NULL)
		plugin_stored(m->plugin, node_last_number(m->node));
}

/* One transaction with all that is queued: its work and its durability are one moment here. With `crash` the member ends in the middle: before it is
 * durable, or when it is and nobody knows. */
static void commit(struct network *w, size_t member, bool crash)
{
	struct member *m = &w->members[member];
	struct commit_changes *changes = NULL;
	struct job **jobs = m->jobs;
	size_t n = m->n_jobs;
	uint64_t before = memory_archive_ops.last_number(m->ledger);
	uint64_t time_ms = (uint64_t)((int64_t)w->now_ms + m->clock_ms);
	uint8_t seed[32];
	int r;

	m->jobs = NULL;
	m->n_jobs = m->size_jobs = 0;
	m->committing = false;
	network_draw_seed(w, seed);
	for (size_t i = w->now_ms % 2; i < n; i += 2) /* as the helper does in a node, of some jobs */
		job_prepare(jobs[i], m->committer);
	memory_ledger_begin(m->ledger);
	r = commit_run(m->committer, &memory_ledger_ops, m->ledger, jobs, n, time_ms, seed, &changes);
	w->n_commits++;
	if (r == 0 && !(crash && network_random(w, 2) == 0)) {
		memory_ledger_commit(m->ledger);
	} else {
		memory_ledger_rollback(m->ledger);
		commit_failed(jobs, n, r);
	}
	for (size_t i = 0; i < n && !crash && r == 0; i++)
		if (jobs[i]->kind == JOB_ACCEPT)
			check_accepted(w, member, &jobs[i]->accept, before);
	if (crash)
		network_crash(w, member);
	else
		tell_committed(w, member, jobs, n, changes);
	for (size_t i = 0; i < n; i++)
		job_free(jobs[i]);
	free(jobs);
	commit_changes_free(changes);
	if (m->up)
		begin_commit(w, member);
}

void network_add_job(struct network *w, size_t member, struct job *job)
{
	struct member *m = &w->members[member];

	if (m->n_jobs == m->size_jobs) {
		m->size_jobs = m->size_jobs == 0 ? 16 : 2 * m->size_jobs;
		m->jobs = realloc(m->jobs, m->size_jobs * sizeof(struct job *));
		assert(m->jobs != NULL);
	}
	m->jobs[m->n_jobs++] = job;
	begin_commit(w, member);
}

/* ---- steps ---- */

void network_ask(struct network *w, size_t member, struct query *query)
{
	struct happens *h = network_happen(w, HAPPEN_QUERY, member, duration(w, member, 5));

	h->query = query;
}

static void act(struct network *w, size_t member, struct node_action *a)
{
	switch (a->kind) {
	case NODE_SEND:
		send_frame(w, member, a);
		break;
	case NODE_HANG_UP:
		hang_up(w, member, a->connection);
		break;
	case NODE_DIAL:
		dial(w, member, a);
		break;
	case NODE_ALLOW:
		break; /* asked for when somebody connects */
	case NODE_REBIND:
		rebind(w, member);
		break;
	case NODE_COMMIT:
		network_add_job(w, member, a->job);
		a->job = NULL;
		break;
	case NODE_QUERY:
		network_ask(w, member, a->query);
		a->query = NULL;
		break;
	case NODE_KEPT:
		break; /* nobody waits here */
	case NODE_LOG:
		network_trace(w, "%s %s", w->members[member].handle, a->text);
		break;
	}
}

void network_step(struct network *w, size_t member, struct node_input *in)
{
	struct member *m = &w->members[member];
	struct node_update up = {0};
	int r;

	in->now_ms = w->now_ms;
	in->time_ms = (uint64_t)((int64_t)w->now_ms + m->clock_ms);
	network_draw_seed(w, in->entropy);
	r = node_step(m->node, in, &up);
	assert(r == 0);
	for (size_t i = 0; i < up.n_actions; i++)
		act(w, member, &up.actions[i]);
	if (m->tick_ms <= w->now_ms || up.wake_ms < m->tick_ms) {
		m->tick_ms = up.wake_ms;
		network_happen(w, HAPPEN_TICK, member, up.wake_ms - w->now_ms);
	}
	node_update_clear(&up);
}

static void connected(struct network *w, struct pipe *p)
{
	struct node_input in = {.kind = NODE_UP, .connection = p->dialled};

	if (!may_connect(w, p)) {
		connect_later(w, p);
		return;
	}
	p->up = true;
	p->incoming = INCOMING + w->next_incoming++;
	p->last_ms[0] = p->last_ms[1] = w->now_ms;
	in.key = p->listener_key;
	network_step(w, p->dialler, &in);
}

static void arrived(struct network *w, struct happens *h)
{
	struct pipe *p = h->pipe;
	struct node_input in = {.kind = NODE_FRAME,
		.frame = h->frame,
		.connection = h->to_dialler ? p->dialled : p->incoming,
		.key = h->to_dialler ? p->listener_key : w->members[p->dialler].keys.link_public};

	if (p->life != h->pipe_life)
		return;
	p->in_flight--;
	p->bytes_in_flight -= h->frame.len;
	network_step(w, h->member, &in);
}

static void answered(struct network *w, struct happens *h)
{
	struct member *m = &w->members[h->member];
	struct node_input in = {.kind = NODE_FETCHED, .query = h->query};
	uint8_t seed[32];

	network_draw_seed(w, seed);
	query_run(m->querier, &memory_archive_ops, m->ledger, h->query, seed);
	if (h->query->kind == QUERY_DELIVERIES)
		plugin_read(m->plugin, h->query);
	else
		network_step(w, h->member, &in);
}

static void post(struct network *w, size_t member);

static void carry_out(struct network *w, struct happens *h)
{
	static const char *const names[] = {"tick", "frame", "up", "down", "commit", "query", "post", "plugin"};
	struct member *m = &w->members[h->member];
	struct node_input in = {0};

	if (!m->up || h->life != m->life)
		return;
	w->steps++;
	if (w->traced && h->kind != HAPPEN_TICK)
		network_trace(w, "%s %s", m->handle, names[h->kind]);
	if (m->crash_in > 0 && --m->crash_in == 0) {
		if (h->kind == HAPPEN_COMMIT)
			commit(w, h->member, true);
		else
			network_crash(w, h->member);
		return;
	}
	switch (h->kind) {
	case HAPPEN_TICK:
		in.kind = NODE_TICK;
		network_step(w, h->member, &in);
		post(w, h->member);
		break;
	case HAPPEN_FRAME:
		arrived(w, h);
		break;
	case HAPPEN_UP:
		if (h->pipe->life == h->pipe_life && h->pipe->used)
			connected(w, h->pipe);
		break;
	case HAPPEN_DOWN:
		in = (struct node_input){.kind = NODE_DOWN, .connection = h->pipe->dialled, .reason = "closed"};
		if (h->pipe->used && h->pipe->dialler == h->member)
			network_step(w, h->member, &in);
		break;
	case HAPPEN_COMMIT:
		commit(w, h->member, false);
		break;
	case HAPPEN_QUERY:
		answered(w, h);
		break;
	case HAPPEN_REPOST:
		post(w, h->member);
		break;
	case HAPPEN_PLUGIN:
		plugin_happens(m->plugin, h->run, h->number);
		break;
	}
	check_step(w, h->member);
}

void network_run_steps(struct network *w, uint64_t ms, uint64_t steps)
{
	uint64_t until = w->now_ms + ms;

	while (w->n_heap > 0 && w->heap[0]->at_ms <= until && w->steps < steps && w->broken[0] == '\0') {
		struct happens *h = take_next(w);

		w->now_ms = h->at_ms;
		carry_out(w, h);
		happens_free(h);
	}
	if (w->steps < steps)
		w->now_ms = until;
}

void network_run(struct network *w, uint64_t ms)
{
	network_run_steps(w, ms, UINT64_MAX);
}

/* ---- publishing ---- */

static void describe(json_t *data, size_t size)
{
	static const char *const fields[] = {"description", "learningOutcomes", "prerequisites"};
	char *text = malloc(size);

	assert(text != NULL);
	memset(text, 'x', size);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		json_object_set_new(data, fields[i], json_pack("[{s:s, s:s%}]", "lang", "en", "value", text, size));
	free(text);
}

void network_fill_draft(struct network *w, size_t member, const struct wish *wish, struct draft *out)
{
	const struct topic *topic = topic_find("course.offering");
	json_t *data = json_loads(topic->example, 0, NULL), *event;
	struct problems problems = {0};
	int r;

	json_object_set_new(data, "courseId", json_string(wish->course));
	if (wish->size > 0)
		describe(data, wish->size);
	json_object_set_new(
		data, "code", json_string(wish->id)); /* each revision says something else, or it would be unchanged */
	event = json_pack("{s:s, s:s, s:s, s:s+, s:s, s:s, s:o}", "specversion", "1.0", "id", wish->id, "type",
		topic->type, "subject", "course/", wish->course, "time", "2026-11-23T09:30:00Z", "enlightaudience",
		wish->audience, "data", data);
	r = draft_from_json(out, event, w->members[member].handle, &problems);
	if (r != 0 && problems.n > 0)
		fprintf(stderr, "%s: %s\n", problems.items[0].place, problems.items[0].rule);
	assert(r == 0);
	r = draft_complete(out, wish->id, "2026-11-23T09:30:00Z", "2026-11-23");
	assert(r == 0);
	problems_deinit(&problems);
	json_decref(event);
}

/* Posts what is not under way; as the API does when the node is up, and as far as it takes more. */
static void post(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	while (m->first_wish < m->n_wishes && m->wishes[m->first_wish].done)
		m->first_wish++;
	for (size_t i = m->first_wish; i < m->n_wishes && m->up && m->n_jobs < NETWORK_JOBS_MAX / 8; i++) {
		struct job *job;

		if (m->wishes[i].done || m->wishes[i].posted)
			continue;
		job = job_new(JOB_PUBLISH, node_trust(m->node));
		assert(job != NULL);
		job->tag = i;
		job->publish.drafts = calloc(1, sizeof *job->publish.drafts);
		assert(job->publish.drafts != NULL);
		job->publish.n_drafts = 1;
		network_fill_draft(w, member, &m->wishes[i], job->publish.drafts);
		m->wishes[i].posted = true;
		network_add_job(w, member, job);
	}
}

static struct wish *add_wish(struct network *w, size_t member, const char *audience, const char *course, const char *id)
{
	struct member *m = &w->members[member];
	struct wish *wishes = realloc(m->wishes, (m->n_wishes + 1) * sizeof *wishes);

	assert(wishes != NULL);
	m->wishes = wishes;
	wishes[m->n_wishes++] = (struct wish){.audience = strdup(audience), .id = strdup(id), .course = strdup(course)};
	if (m->up)
		network_happen(w, HAPPEN_REPOST, member, 0);
	return &wishes[m->n_wishes - 1];
}

void network_publish(struct network *w, size_t member, const char *audience, const char *course)
{
	struct wish *wish;
	char id[64];

	snprintf(id, sizeof id, "%zu-%zu-%llx", member, w->members[member].n_wishes,
		(unsigned long long)network_draw(w));
	wish = add_wish(w, member, audience, course, id);
	/* in the simulator some are large, so that credit is used up */
	if (w->with_plugins && network_random(w, w->seed % 8 == 7 ? 2 : 20) == 0)
		wish->size = 1 + network_random(w, 32 * 1024);
}

void network_publish_for_plugin(struct network *w, size_t member, const char *id, uint64_t run, uint64_t number)
{
	struct wish *wish = add_wish(w, member, "network", PLUGIN_COURSE, id);

	wish->run = run;
	wish->number = number;
}

/* ---- members ---- */

/* The trust with one more note, when it takes it. `t` is given up. */
static struct trust *learn(struct trust *t, struct bytes text)
{
	struct problems problems = {0};
	struct trust *next;
	int r = trust_with(&next, t, "note", text, &problems);

	assert(r >= 0);
	problems_deinit(&problems);
	if (next == NULL)
		return t;
	trust_unref(t);
	return next;
}

static int load_head(void *context, const struct batch_row *row)
{
	struct bytes *out = context;

	out[0] = bytes_of(bytes_dup(row->header), row->header.len);
	out[1] = bytes_of(bytes_dup(row->signature), row->signature.len);
	return 0;
}

static int load_channel(void *context, const struct channel_row *row)
{
	struct member *m = context;
	struct bytes head[2] = {{0}, {0}};
	int r;

	if (row->last > 0)
		memory_archive_ops.batch_ending(m->ledger, row->id, row->last, load_head, head);
	r = node_load_channel(m->node, row, head[0], head[1].data);
	free((void *)head[0].data);
	free((void *)head[1].data);
	return r;
}

static int load_receipt(void *context, const struct receipt_row *row)
{
	return node_load_receipt(((struct member *)context)->node, row);
}

static int load_fork(void *context, const struct fork_row *row)
{
	return node_load_fork(((struct member *)context)->node, row);
}

static int load_note(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	struct trust **t = context;

	(void)kind, (void)member, (void)number;
	*t = learn(*t, text);
	return 0;
}

static int load_setting(void *context, const char *name, const char *value)
{
	return strcmp(name, RESTORED_SETTING) == 0 ? committer_restored(((struct member *)context)->committer, value)
						   : 0;
}

void network_start(struct network *w, size_t member)
{
	struct member *m = &w->members[member];
	struct node_options options = {.member = m->handle, .keys = &m->keys, .trust = trust_ref(m->trust)};
	struct node_input in = {.kind = NODE_TICK};
	uint8_t boot[32];
	int r;

	if (m->up || !m->joined) {
		trust_unref(options.trust);
		return;
	}
	network_trace(w, "%s starts", m->handle);
	network_draw_seed(w, boot);
	options.boot = boot;
	memory_ledger_restart(m->ledger);
	memory_archive_ops.notes(m->ledger, load_note, &options.trust);
	r = node_new(&m->node, &options);
	assert(r == 0);
	trust_unref(options.trust);
	r = memory_archive_ops.channels(m->ledger, load_channel, m);
	assert(r == 0);
	r = memory_archive_ops.receipts(m->ledger, load_receipt, m);
	assert(r == 0);
	r = memory_archive_ops.forks(m->ledger, load_fork, m);
	assert(r == 0);
	r = memory_archive_ops.settings(m->ledger, load_setting, m);
	assert(r == 0);
	if (memory_archive_ops.aside_pends(m->ledger) == 0)
		node_load_again(m->node);
	node_load_last_number(m->node, memory_archive_ops.last_number(m->ledger));
	m->up = true;
	m->tick_ms = 0;
	network_step(w, member, &in);
	if (w->with_plugins) {
		if (m->plugin == NULL)
			m->plugin = plugin_new(w, member);
		plugin_begin(m->plugin);
	}
	post(w, member);
}

void network_crash(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	if (!m->up)
		return;
	network_trace(w, "%s crashes", m->handle);
	w->n_crashes++;
	m->up = false;
	m->life++;
	m->crash_in = 0;
	m->committing = false;
	for (size_t i = 0; i < m->n_jobs; i++)
		job_free(m->jobs[i]);
	m->n_jobs = 0;
	for (size_t i = m->first_wish; i < m->n_wishes; i++) {
		m->wishes[i].posted = false;
		m->wishes[i].done |= m->wishes[i].number != 0; /* a plugin asks again when it gets the event again */
	}
	node_free(m->node);
	m->node = NULL;
	if (m->plugin != NULL)
		plugin_end(m->plugin);
	for (size_t i = m->n_pipes; i-- > 0;) {
		if (m->pipes[i]->dialler == member)
			drop_pipe(w, m->pipes[i]);
		else
			cut_pipe(w, m->pipes[i]);
	}
}

void network_slow(struct network *w, size_t member, unsigned ms)
{
	w->members[member].slow_ms = ms;
}

bool network_is_up(const struct network *w, size_t member)
{
	return w->members[member].up;
}

static void init_member(struct network *w, size_t i)
{
	struct member *m = &w->members[i];
	uint8_t secret[32];

	snprintf(m->handle, sizeof m->handle, w->n > 100 ? "m%03zu.eu" : "m%02zu.eu", i); /* sorted */
	m->keys = node_keys_of(m->handle, 1);
	m->card = 1;
	memset(secret, (int)i, sizeof secret);
	store_keys_derive(&m->store_keys, secret);
	m->ledger = memory_ledger_new();
	m->committer = committer_new(m->handle, &m->keys, &m->store_keys);
	m->querier = querier_new(&m->store_keys);
	assert(m->ledger != NULL && m->committer != NULL && m->querier != NULL);
}

/* A card with the endpoint from which dial() reads who is dialled. */
struct buffer network_card(
	const struct network *w, size_t member, uint32_t number, const struct card_key *keys, size_t n_keys)
{
	const char *handle = w->members[member].handle;
	struct actor actor = actor_of(handle, 0);
	const char *takes[] = {"*"};
	struct buffer text = {0};
	char endpoint[64];

	snprintf(endpoint, sizeof endpoint, "tcp://%zu.example.eu:4847", member);
	card_write(&text, &w->anchor, handle, number, endpoint, keys, n_keys, takes, 1);
	sign_by(&text, &actor);
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].state == CARD_KEY_CURRENT)
			sign_by_node(&text, handle, keys[i].number);
	return text;
}

struct buffer network_newest_card(const struct network *w, size_t member)
{
	const struct member *m = &w->members[member];
	struct card_key key = card_key_of(m->handle, 1, CARD_KEY_CURRENT);
	struct buffer copy = {0};

	if (m->card_text.len == 0)
		return network_card(w, member, 1, &key, 1);
	buffer_add(&copy, m->card_text.data, m->card_text.len);
	return copy;
}

void network_give_note(struct network *w, size_t member, struct buffer *text)
{
	struct problems problems = {0};
	struct node_input in = {.kind = NODE_NOTE, .frame = view(text), .reason = "operator", .problems = &problems};

	if (w->members[member].up)
		network_step(w, member, &in);
	problems_deinit(&problems);
	buffer_deinit(text);
}

struct network *network_new_with(uint64_t seed, size_t n_members, size_t n_later, bool plugins, bool traced)
{
	struct network *w = calloc(1, sizeof *w);
	struct actor *actors = calloc(n_members + 1, sizeof *actors);
	struct problems problems = {0};
	struct trust *trust;
	size_t n = n_members - n_later;
	int r;

	assert(w != NULL && actors != NULL && n_members <= NETWORK_MAX && n_later < n_members && sodium_init() >= 0);
	w->seed = w->state = seed;
	w->now_ms = 1000000000;
	w->n = n_members;
	w->with_plugins = plugins;
	w->traced = traced;
	w->ways = calloc(n_members * n_members, sizeof *w->ways);
	assert(w->ways != NULL);
	for (size_t i = 0; i < n_members; i++) {
		init_member(w, i);
		actors[i] = actor_of(w->members[i].handle, 0);
		w->members[i].joined = w->members[i].in_roster = i < n;
	}
	w->roster_number = 1;
	w->roster = roster_text(NULL, 1, (unsigned)(n / 2 + 1), actors, n);
	digest_plain(&w->anchor, signed_part(&w->roster));
	for (size_t i = 0; i < n; i++)
		sign_by(&w->roster, &actors[i]);
	r = trust_new(&trust, &w->anchor, "roster", view(&w->roster), &problems);
	assert(r == 0);
	for (size_t i = 0; i < n; i++) {
		struct buffer text = network_newest_card(w, i);

		trust = learn(trust, view(&text));
		buffer_deinit(&text);
	}
	for (size_t i = 0; i < n_members; i++)
		w->members[i].trust = trust_ref(trust);
	trust_unref(trust);
	free(actors);
	for (size_t i = 0; i < n; i++)
		network_start(w, i);
	return w;
}

struct network *network_new(uint64_t seed, size_t n_members)
{
	return network_new_with(seed, n_members, 0, false, getenv("NETWORK_TRACE") != NULL);
}

static void member_deinit(struct member *m)
{
	for (size_t k = 0; k < m->n_wishes; k++) {
		free(m->wishes[k].audience);
		free(m->wishes[k].id);
		free(m->wishes[k].course);
	}
	free(m->wishes);
	free(m->jobs);
	free(m->pipes);
	plugin_free(m->plugin);
	buffer_deinit(&m->card_text);
	memory_ledger_free(m->old);
	memory_ledger_free(m->stolen);
	sealed_batch_deinit(&m->kept_batch);
	for (size_t i = 0; i < KEPT_FRAMES; i++)
		free((void *)m->kept_frames[i].data);
	committer_free(m->committer);
	querier_free(m->querier);
	memory_ledger_free(m->ledger);
	trust_unref(m->trust);
}

void network_free(struct network *w)
{
	w->traced = false;
	for (size_t i = 0; i < w->n; i++)
		network_crash(w, i);
	for (size_t i = 0; i < w->n; i++)
		member_deinit(&w->members[i]);
	for (size_t i = 0; i < w->n_heap; i++)
		happens_free(w->heap[i]);
	free(w->heap);
	for (size_t i = 0; i < w->n_pipes; i++) {
		free((void *)w->pipes[i]->kept[0].data);
		free((void *)w->pipes[i]->kept[1].data);
		free(w->pipes[i]);
	}
	free(w->pipes);
	free(w->free_pipes);
	for (size_t i = 0; i < w->n_acknowledged; i++) {
		free(w->acknowledged[i].audience);
		free(w->acknowledged[i].id);
	}
	free(w->acknowledged);
	for (size_t i = 0; i < w->n_thefts; i++)
		free(w->thefts[i].audience);
	free(w->thefts);
	for (size_t i = 0; i < w->n_rosters; i++)
		buffer_deinit(&w->rosters[i]);
	free(w->rosters);
	buffer_deinit(&w->roster);
	free(w->ways);
	free(w);
}

/* ---- faults ---- */

static bool between(const struct pipe *p, size_t a, size_t b)
{
	return (p->dialler == a && p->listener == b) || (p->dialler == b && p->listener == a);
}

void network_drop(struct network *w, size_t a, size_t b)
{
	const struct member *m = &w->members[a];

	for (size_t i = 0; i < m->n_pipes; i++)
		if (between(m->pipes[i], a, b))
			cut_pipe(w, m->pipes[i]);
}

static bool find_event(const struct network *w, size_t member, const struct acknowledged *a, struct place *out)
{
	const struct member *m = &w->members[member];
	struct index_key key;

	index_event(&key, &m->store_keys, w->members[a->publisher].handle, a->id);
	return memory_archive_ops.event(m->ledger, &key, out) == 0;
}

/* A walk along a channel: whether a key that is not revoked signed the batch of this number, or one behind it. */
struct vouched {
	const struct member *publisher;
	uint64_t number;
	bool found, good;
};

static int look_for_key(void *context, const struct batch_row *row)
{
	struct vouched *v = context;
	struct header h = {0};
	int r = header_decode(&h, row->header);

	assert(r == 0);
	v->found |= row->number == v->number;
	v->good = v->found && v->publisher->key_states[h.key] != CARD_KEY_REVOKED;
	header_deinit(&h);
	return v->good;
}

/* Whether this reader has it, and its publisher believes that it is its own. */
static bool gives_back(const struct network *w, size_t reader, const struct acknowledged *a)
{
	struct vouched v = {.publisher = &w->members[a->publisher]};
	const struct member *m = &w->members[reader];
	struct channel_row row = {0};
	struct place place;

	if (!m->in_roster || m->liar || !find_event(w, reader, a, &place))
		return false;
	v.number = place.number;
	if (memory_ledger_ops.channel_find(m->ledger, v.publisher->handle, a->audience, &row) == 0)
		memory_archive_ops.channel_batches(m->ledger, row.id, 0, look_for_key, &v);
	channel_row_deinit(&row);
	return v.good;
}

void network_count_lost(struct network *w)
{
	for (size_t i = 0; i < w->n_acknowledged; i++) {
		struct acknowledged *a = &w->acknowledged[i];
		struct place place;
		bool held = a->lost || find_event(w, a->publisher, a, &place);

		for (size_t k = 0; k < w->n && !held; k++)
			held = gives_back(w, k, a);
		a->lost = a->lost || !held;
	}
}

static int highest_incarnation(void *context, const struct channel_row *row)
{
	uint32_t *highest = context;

	if (row->incarnation > *highest)
		*highest = row->incarnation;
	return 0;
}

void network_restore(struct network *w, size_t member, struct memory_ledger *copy)
{
	uint32_t highest = 0;
	char value[16];
	int r;

	memory_archive_ops.channels(copy, highest_incarnation, &highest);
	snprintf(value, sizeof value, "%u", highest + 1);
	memory_ledger_begin(copy);
	r = memory_ledger_ops.setting_put(copy, RESTORED_SETTING, value);
	assert(r == 0);
	memory_ledger_commit(copy);
	network_go_back(w, member, copy);
}

void network_go_back(struct network *w, size_t member, struct memory_ledger *copy)
{
	struct member *m = &w->members[member];

	network_crash(w, member);
	memory_ledger_free(m->ledger);
	m->ledger = copy;
	memory_ledger_limit(m->ledger, 0);
	m->went_back = true;
	network_count_lost(w);
	if (m->plugin != NULL)
		plugin_restored(m->plugin);
	network_start(w, member);
}

void network_cut(struct network *w, size_t a, size_t b)
{
	way(w, a, b)->cut = way(w, b, a)->cut = true;
	network_drop(w, a, b);
}

void network_heal(struct network *w, size_t a, size_t b)
{
	way(w, a, b)->cut = way(w, b, a)->cut = false;
}

void network_stall(struct network *w, size_t from, size_t to, bool stalled)
{
	const struct member *m = &w->members[from];

	way(w, from, to)->stalled = stalled;
	way(w, from, to)->stalled_bytes = 0;
	for (size_t i = 0; i < m->n_pipes && !stalled && m->up; i++) {
		const struct pipe *p = m->pipes[i];
		struct node_input in = {.kind = NODE_READY};

		if (!p->up || !between(p, from, to))
			continue;
		in.connection = p->dialler == from ? p->dialled : p->incoming;
		network_step(w, from, &in);
	}
}

size_t network_stalled_bytes(const struct network *w, size_t from, size_t to)
{
	return way(w, from, to)->stalled_bytes;
}

void network_lose(struct network *w, unsigned per_mille)
{
	for (size_t i = 0; i < w->n * w->n; i++)
		w->ways[i].lost = per_mille;
}

void network_tamper_with(struct network *w, size_t from, size_t to, network_tamper tamper, void *context)
{
	w->tamper_from = from;
	w->tamper_to = to;
	w->tamper = tamper;
	w->tamper_context = context;
}

size_t network_member_of(const struct network *w, const char *handle)
{
	size_t i = 0;

	while (i < w->n && strcmp(w->members[i].handle, handle) != 0)
		i++;
	return i;
}

struct holding {
	const char *publisher;
	uint64_t n_events;
};

static int add_held(void *context, const struct channel_row *row)
{
	struct holding *h = context;

	if (strcmp(row->publisher, h->publisher) == 0)
		h->n_events += row->last;
	return 0;
}

size_t network_longest_copy(struct network *w, size_t member)
{
	size_t found = (member + 1) % w->n;
	uint64_t most = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct holding h = {.publisher = w->members[member].handle};

		if (i == member || !w->members[i].up || w->members[i].liar)
			continue;
		memory_archive_ops.channels(w->members[i].ledger, add_held, &h);
		if (h.n_events <= most)
			continue;
		most = h.n_events;
		found = i;
	}
	return found;
}

/* ---- looks ---- */

size_t network_size(const struct network *w)
{
	return w->n;
}

const char *network_handle(const struct network *w, size_t member)
{
	return w->members[member].handle;
}

uint64_t network_now_ms(const struct network *w)
{
	return w->now_ms;
}

size_t network_acknowledged(const struct network *w, const struct acknowledged **out)
{
	*out = w->acknowledged;
	return w->n_acknowledged;
}

struct node *network_node(struct network *w, size_t member)
{
	return w->members[member].node;
}

struct memory_ledger *network_ledger(struct network *w, size_t member)
{
	return w->members[member].ledger;
}
