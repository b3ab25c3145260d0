#include "network.h"

#include "../unit/notes.h"
#include "core/handle.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>

enum { PIPES_MAX = 1024, JOBS_MAX = 4096 };
#define INCOMING 0x80000000u /* connections dialled from outside, as link.h numbers them */

/* What happens at a later virtual time. */
enum happening { HAPPEN_TICK, HAPPEN_FRAME, HAPPEN_UP, HAPPEN_DOWN, HAPPEN_COMMIT, HAPPEN_QUERY, HAPPEN_REPOST };
struct happens {
	struct happens *next;
	uint64_t at_ms, order;
	enum happening kind;
	size_t member;
	unsigned life; /* of the member; an earlier life's are void */
	size_t pipe;
	uint64_t pipe_life;
	bool to_dialler;
	struct bytes frame;
	struct query *query;
};

/* One connection. */
struct pipe {
	bool used, up;
	uint64_t life; /* raised when cut */
	size_t dialler, listener;
	uint32_t dialled, incoming; /* connection numbers at both ends */
	uint64_t last_ms[2];        /* arrival of the last frame each way: order is kept */
};

/* What a local system wants published, until it is answered. */
struct wish {
	char *audience, *id, *course;
	bool posted, done;
};

struct member {
	char handle[HANDLE_MAX + 1];
	struct node_keys keys;
	struct store_keys store_keys;
	struct memory_ledger *ledger;
	struct committer *committer;
	struct querier *querier;
	struct node *node;
	struct trust *trust; /* as configured */
	unsigned life;
	bool up, committing;
	struct job *jobs[JOBS_MAX];
	size_t n_jobs;
	struct wish *wishes;
	size_t n_wishes;
	uint64_t tick_ms;
};

struct network {
	uint64_t seed, state, now_ms, order;
	struct happens *next;
	size_t n;
	struct member members[NETWORK_MAX];
	struct pipe pipes[PIPES_MAX];
	bool cut[NETWORK_MAX][NETWORK_MAX];
	bool stalled[NETWORK_MAX][NETWORK_MAX];
	size_t stalled_bytes[NETWORK_MAX][NETWORK_MAX];
	uint32_t next_incoming;
	struct acknowledged *acknowledged;
	size_t n_acknowledged;
	size_t tamper_from, tamper_to;
	network_tamper tamper;
	unsigned lost_per_mille;
	void *tamper_context;
	char wrong[256];
};

/* splitmix64: https://prng.di.unimi.it/splitmix64.c, in the public domain. */
static uint64_t draw(struct network *w)
{
	uint64_t z = (w->state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint32_t network_random(struct network *w, uint32_t below)
{
	return (uint32_t)(draw(w) % below);
}

static void draw_seed(struct network *w, uint8_t seed[32])
{
	for (size_t i = 0; i < 4; i++) {
		uint64_t v = draw(w);

		memcpy(seed + 8 * i, &v, sizeof v);
	}
}

/* ---- happenings ---- */

static struct happens *happen(struct network *w, enum happening kind, size_t member, uint64_t after_ms)
{
	struct happens *h = calloc(1, sizeof *h), **at = &w->next;

	assert(h != NULL);
	*h = (struct happens){.kind = kind,
		.member = member,
		.life = w->members[member].life,
		.at_ms = w->now_ms + after_ms,
		.order = w->order++};
	while (*at != NULL && (*at)->at_ms <= h->at_ms)
		at = &(*at)->next;
	h->next = *at;
	*at = h;
	return h;
}

static void happens_free(struct happens *h)
{
	free((void *)h->frame.data);
	query_free(h->query);
	free(h);
}

static void step(struct network *w, size_t member, struct node_input *in);

/* ---- connections ---- */

static struct pipe *pipe_of(struct network *w, size_t member, uint32_t connection, bool *is_dialler)
{
	for (size_t i = 0; i < PIPES_MAX; i++) {
		struct pipe *p = &w->pipes[i];

		if (p->used && p->dialler == member && p->dialled == connection) {
			*is_dialler = true;
			return p;
		}
		if (p->used && p->listener == member && p->incoming == connection) {
			*is_dialler = false;
			return p;
		}
	}
	return NULL;
}

static void connect_later(struct network *w, struct pipe *p)
{
	struct happens *h = happen(w, HAPPEN_UP, p->dialler, 50 + network_random(w, 500));

	h->pipe = (size_t)(p - w->pipes);
	h->pipe_life = p->life;
}

/* Both ends learn that the connection is gone; the dialler tries again. */
static void cut_pipe(struct network *w, struct pipe *p)
{
	struct happens *h;

	p->life++;
	if (p->up) {
		p->up = false;
		if (w->members[p->dialler].up) {
			h = happen(w, HAPPEN_DOWN, p->dialler, network_random(w, 20));
			h->pipe = (size_t)(p - w->pipes);
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

	if (!w->members[p->dialler].up || !w->members[p->listener].up || w->cut[p->dialler][p->listener])
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
	struct pipe *p = NULL;

	assert(sscanf(a->endpoint, "tcp://%zu.", &to) == 1 && to < w->n);
	for (size_t i = 0; i < PIPES_MAX && p == NULL; i++)
		if (!w->pipes[i].used)
			p = &w->pipes[i];
	assert(p != NULL);
	*p = (struct pipe){
		.used = true, .life = p->life + 1, .dialler = member, .dialled = a->connection, .listener = to};
	connect_later(w, p);
}

static void hang_up(struct network *w, size_t member, uint32_t connection)
{
	bool is_dialler;
	struct pipe *p = pipe_of(w, member, connection, &is_dialler);

	if (p == NULL)
		return;
	if (is_dialler) {
		p->used = p->up = false;
		p->life++;
	} else {
		p->incoming = INCOMING + w->next_incoming++; /* its frames come under a new number from now on */
	}
}

static void send_frame(struct network *w, size_t member, struct node_action *a)
{
	struct node_input busy = {.kind = NODE_BUSY, .connection = a->connection};
	bool is_dialler;
	struct pipe *p = pipe_of(w, member, a->connection, &is_dialler);
	size_t to;
	struct happens *h;
	uint64_t at;

	if (p == NULL || !p->up)
		return;
	to = is_dialler ? p->listener : p->dialler;
	if (w->tamper != NULL && w->tamper_from == member && w->tamper_to == to)
		w->tamper(w->tamper_context, a->frame);
	if (w->stalled[member][to]) {
		w->stalled_bytes[member][to] += a->frame.len;
		step(w, member, &busy);
		return;
	}
	if (w->lost_per_mille > 0 && network_random(w, 1000) < w->lost_per_mille)
		return;
	at = w->now_ms + 1 + network_random(w, 20);
	if (at < p->last_ms[is_dialler])
		at = p->last_ms[is_dialler];
	p->last_ms[is_dialler] = at;
	h = happen(w, HAPPEN_FRAME, to, at - w->now_ms);
	h->pipe = (size_t)(p - w->pipes);
	h->pipe_life = p->life;
	h->to_dialler = !is_dialler;
	h->frame = a->frame;
	a->frame = (struct bytes){0};
}

/* Drops every connection that was dialled in. */
static void rebind(struct network *w, size_t member)
{
	for (size_t i = 0; i < PIPES_MAX; i++)
		if (w->pipes[i].used && w->pipes[i].listener == member)
			cut_pipe(w, &w->pipes[i]);
}

/* ---- commits and queries ---- */

static void begin_commit(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	if (m->committing || m->n_jobs == 0)
		return;
	m->committing = true;
	happen(w, HAPPEN_COMMIT, member, 1 + network_random(w, 10));
}

static void note_answer(struct network *w, size_t member, const struct job *job)
{
	struct member *m = &w->members[member];
	struct wish *wish = &m->wishes[job->tag];
	struct acknowledged *a;

	if (job->publish.outcome != PUBLISH_OK || wish->done) {
		wish->posted = false;
		return;
	}
	wish->done = true;
	if (job->publish.results[0].state == PUBLISH_UNCHANGED)
		return;
	a = realloc(w->acknowledged, (w->n_acknowledged + 1) * sizeof *a);
	assert(a != NULL);
	w->acknowledged = a;
	a[w->n_acknowledged++] = (struct acknowledged){
		member, strdup(wish->audience), strdup(wish->id), job->publish.results[0].sequence};
}

/* One transaction with all that is queued: its work and its durability are one moment here. */
static void commit(struct network *w, size_t member)
{
	struct member *m = &w->members[member];
	struct commit_changes *changes = NULL;
	struct job *jobs[JOBS_MAX];
	size_t n = m->n_jobs;
	uint8_t seed[32];
	int r;

	memcpy(jobs, m->jobs, n * sizeof(struct job *));
	m->n_jobs = 0;
	m->committing = false;
	draw_seed(w, seed);
	for (size_t i = w->now_ms % 2; i < n; i += 2) /* as the helper does in a node, of some jobs */
		job_prepare(jobs[i], m->committer);
	memory_ledger_begin(m->ledger);
	r = commit_run(m->committer, &memory_ledger_ops, m->ledger, jobs, n, w->now_ms, seed, &changes);
	if (r == 0) {
		memory_ledger_commit(m->ledger);
	} else {
		memory_ledger_rollback(m->ledger);
		commit_failed(jobs, n, r);
	}
	for (size_t i = 0; i < n; i++) {
		struct node_input in = {
			.kind = NODE_COMMITTED, .jobs = &jobs[i], .n_jobs = 1, .changes = i == 0 ? changes : NULL};

		if (jobs[i]->kind == JOB_PUBLISH)
			note_answer(w, member, jobs[i]);
		step(w, member, &in);
		job_free(jobs[i]);
	}
	commit_changes_free(changes);
	begin_commit(w, member);
}

static void add_job(struct network *w, size_t member, struct job *job)
{
	struct member *m = &w->members[member];

	assert(m->n_jobs < JOBS_MAX);
	m->jobs[m->n_jobs++] = job;
	begin_commit(w, member);
}

/* ---- steps ---- */

static void act(struct network *w, size_t member, struct node_action *a)
{
	struct happens *h;

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
		add_job(w, member, a->job);
		a->job = NULL;
		break;
	case NODE_QUERY:
		h = happen(w, HAPPEN_QUERY, member, 1 + network_random(w, 5));
		h->query = a->query;
		a->query = NULL;
		break;
	case NODE_KEPT:
		break; /* nobody waits here */
	case NODE_LOG:
		if (getenv("NETWORK_TRACE") != NULL)
			fprintf(stderr, "%8llu %s %s\n", (unsigned long long)w->now_ms, w->members[member].handle,
				a->text);
		break;
	}
}

static void step(struct network *w, size_t member, struct node_input *in)
{
	struct member *m = &w->members[member];
	struct node_update up = {0};

	in->now_ms = in->time_ms = w->now_ms;
	draw_seed(w, in->entropy);
	assert(node_step(m->node, in, &up) == 0);
	for (size_t i = 0; i < up.n_actions; i++)
		act(w, member, &up.actions[i]);
	if (m->tick_ms <= w->now_ms || up.wake_ms < m->tick_ms) {
		m->tick_ms = up.wake_ms;
		happen(w, HAPPEN_TICK, member, up.wake_ms - w->now_ms);
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
	in.key = w->members[p->listener].keys.link_public;
	step(w, p->dialler, &in);
}

static void post(struct network *w, size_t member);

static void carry_out(struct network *w, struct happens *h)
{
	struct member *m = &w->members[h->member];
	struct pipe *p = &w->pipes[h->pipe];
	struct node_input in = {0};
	uint8_t seed[32];

	if (!m->up || h->life != m->life)
		return;
	switch (h->kind) {
	case HAPPEN_TICK:
		in.kind = NODE_TICK;
		step(w, h->member, &in);
		post(w, h->member);
		break;
	case HAPPEN_FRAME:
		if (p->life != h->pipe_life)
			break;
		in = (struct node_input){.kind = NODE_FRAME,
			.frame = h->frame,
			.connection = h->to_dialler ? p->dialled : p->incoming,
			.key = w->members[h->to_dialler ? p->listener : p->dialler].keys.link_public};
		step(w, h->member, &in);
		break;
	case HAPPEN_UP:
		if (p->life == h->pipe_life && p->used)
			connected(w, p);
		break;
	case HAPPEN_DOWN:
		in = (struct node_input){.kind = NODE_DOWN, .connection = p->dialled, .reason = "closed"};
		step(w, h->member, &in);
		break;
	case HAPPEN_COMMIT:
		commit(w, h->member);
		break;
	case HAPPEN_QUERY:
		draw_seed(w, seed);
		query_run(m->querier, &memory_archive_ops, m->ledger, h->query, seed);
		in = (struct node_input){.kind = NODE_FETCHED, .query = h->query};
		step(w, h->member, &in);
		break;
	case HAPPEN_REPOST:
		post(w, h->member);
		break;
	}
}

void network_run(struct network *w, uint64_t ms)
{
	uint64_t until = w->now_ms + ms;

	while (w->next != NULL && w->next->at_ms <= until) {
		struct happens *h = w->next;

		w->next = h->next;
		w->now_ms = h->at_ms;
		carry_out(w, h);
		happens_free(h);
	}
	w->now_ms = until;
}

/* ---- publishing ---- */

static void fill_draft(struct network *w, size_t member, const struct wish *wish, struct draft *out)
{
	const struct topic *topic = topic_find("course.offering");
	json_t *data = json_loads(topic->example, 0, NULL), *event;
	struct problems problems = {0};
	int r;

	json_object_set_new(data, "courseId", json_string(wish->course));
	/* each revision says something else, or it would be unchanged */
	event = json_pack("{s:s, s:s, s:s, s:s+, s:s, s:s, s:o}", "specversion", "1.0", "id", wish->id, "type",
		topic->type, "subject", "course/", wish->course, "time", "2026-11-23T09:30:00Z", "enlightaudience",
		wish->audience, "data", data);
	r = draft_from_json(out, event, w->members[member].handle, &problems);
	if (r != 0 && problems.n > 0)
		fprintf(stderr, "%s: %s\n", problems.items[0].place, problems.items[0].rule);
	assert(r == 0);
	assert(draft_complete(out, wish->id, "2026-11-23T09:30:00Z", "2026-11-23") == 0);
	problems_deinit(&problems);
	json_decref(event);
}

/* Posts what is not under way; as the API does when the node is up. */
static void post(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	for (size_t i = 0; i < m->n_wishes && m->up; i++) {
		struct job *job;

		if (m->wishes[i].done || m->wishes[i].posted)
			continue;
		job = job_new(JOB_PUBLISH, node_trust(m->node));
		assert(job != NULL);
		job->tag = i;
		job->publish.drafts = calloc(1, sizeof *job->publish.drafts);
		job->publish.n_drafts = 1;
		fill_draft(w, member, &m->wishes[i], job->publish.drafts);
		m->wishes[i].posted = true;
		add_job(w, member, job);
	}
}

void network_publish(struct network *w, size_t member, const char *audience, const char *course)
{
	struct member *m = &w->members[member];
	struct wish *wishes = realloc(m->wishes, (m->n_wishes + 1) * sizeof *wishes);
	char id[64];

	assert(wishes != NULL);
	m->wishes = wishes;
	snprintf(id, sizeof id, "%zu-%zu-%llx", member, m->n_wishes, (unsigned long long)draw(w));
	wishes[m->n_wishes++] = (struct wish){strdup(audience), strdup(id), strdup(course), false, false};
	if (m->up)
		happen(w, HAPPEN_REPOST, member, 0);
}

/* ---- members ---- */

static struct trust *learn(struct trust *t, struct buffer *text)
{
	struct problems problems = {0};
	struct trust *next;

	assert(trust_with(&next, t, "note", bytes_of(text->data, text->len), &problems) == 0);
	trust_unref(t);
	buffer_deinit(text);
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

void network_start(struct network *w, size_t member)
{
	struct member *m = &w->members[member];
	struct node_options options = {.member = m->handle, .keys = &m->keys, .trust = m->trust};
	struct node_input in = {.kind = NODE_TICK};
	uint8_t boot[32];

	if (m->up)
		return;
	draw_seed(w, boot);
	options.boot = boot;
	memory_ledger_restart(m->ledger);
	assert(node_new(&m->node, &options) == 0);
	assert(memory_archive_ops.channels(m->ledger, load_channel, m) == 0);
	assert(memory_archive_ops.receipts(m->ledger, load_receipt, m) == 0);
	m->up = true;
	m->tick_ms = 0;
	step(w, member, &in);
	post(w, member);
}

void network_crash(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	if (!m->up)
		return;
	m->up = false;
	m->life++;
	m->committing = false;
	for (size_t i = 0; i < m->n_jobs; i++)
		job_free(m->jobs[i]);
	m->n_jobs = 0;
	for (size_t i = 0; i < m->n_wishes; i++)
		m->wishes[i].posted = false;
	node_free(m->node);
	m->node = NULL;
	for (size_t i = 0; i < PIPES_MAX; i++) {
		struct pipe *p = &w->pipes[i];

		if (p->used && p->dialler == member) {
			p->used = p->up = false;
			p->life++;
		} else if (p->used && p->listener == member) {
			cut_pipe(w, p);
		}
	}
}

bool network_is_up(const struct network *w, size_t member)
{
	return w->members[member].up;
}

static void init_member(struct network *w, size_t i)
{
	struct member *m = &w->members[i];
	uint8_t secret[32];

	snprintf(m->handle, sizeof m->handle, "m%02zu.eu", i);
	m->keys = node_keys_of(m->handle, 1);
	memset(secret, (int)i, sizeof secret);
	store_keys_derive(&m->store_keys, secret);
	m->ledger = memory_ledger_new();
	m->committer = committer_new(m->handle, &m->keys, &m->store_keys);
	m->querier = querier_new(&m->store_keys);
	assert(m->ledger != NULL && m->committer != NULL && m->querier != NULL);
}

/* A card with the endpoint from which dial() reads who is dialled. */
static struct buffer member_card(const struct digest *network, const struct actor *a, size_t i)
{
	struct card_key key = card_key_of(a->handle, 1, CARD_KEY_CURRENT);
	const char *takes[] = {"*"};
	struct buffer text = {0};
	char endpoint[64];

	snprintf(endpoint, sizeof endpoint, "tcp://%zu.example.eu:4847", i);
	card_write(&text, network, a->handle, 1, endpoint, &key, 1, takes, 1);
	sign_by(&text, a);
	sign_by_node(&text, a->handle, 1);
	return text;
}

struct network *network_new(uint64_t seed, size_t n_members)
{
	struct network *w = calloc(1, sizeof *w);
	struct actor actors[NETWORK_MAX];
	struct problems problems = {0};
	struct trust *trust;
	struct digest anchor;
	struct buffer text;

	assert(w != NULL && n_members <= NETWORK_MAX && sodium_init() >= 0);
	w->seed = w->state = seed;
	w->now_ms = 1000000;
	w->n = n_members;
	for (size_t i = 0; i < n_members; i++) {
		init_member(w, i);
		actors[i] = actor_of(w->members[i].handle, 0);
	}
	text = roster_text(NULL, 1, (unsigned)(n_members / 2 + 1), actors, n_members);
	digest_plain(&anchor, signed_part(&text));
	for (size_t i = 0; i < n_members; i++)
		sign_by(&text, &actors[i]);
	assert(trust_new(&trust, &anchor, "roster", bytes_of(text.data, text.len), &problems) == 0);
	buffer_deinit(&text);
	for (size_t i = 0; i < n_members; i++) {
		text = member_card(&anchor, &actors[i], i);
		trust = learn(trust, &text);
	}
	for (size_t i = 0; i < n_members; i++)
		w->members[i].trust = trust_ref(trust);
	trust_unref(trust);
	for (size_t i = 0; i < n_members; i++)
		network_start(w, i);
	return w;
}

void network_free(struct network *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct member *m = &w->members[i];

		network_crash(w, i);
		for (size_t k = 0; k < m->n_wishes; k++) {
			free(m->wishes[k].audience);
			free(m->wishes[k].id);
			free(m->wishes[k].course);
		}
		free(m->wishes);
		committer_free(m->committer);
		querier_free(m->querier);
		memory_ledger_free(m->ledger);
		trust_unref(m->trust);
	}
	while (w->next != NULL) {
		struct happens *h = w->next;

		w->next = h->next;
		happens_free(h);
	}
	for (size_t i = 0; i < w->n_acknowledged; i++) {
		free(w->acknowledged[i].audience);
		free(w->acknowledged[i].id);
	}
	free(w->acknowledged);
	free(w);
}

/* ---- faults ---- */

void network_drop(struct network *w, size_t a, size_t b)
{
	for (size_t i = 0; i < PIPES_MAX; i++) {
		struct pipe *p = &w->pipes[i];

		if (p->used && ((p->dialler == a && p->listener == b) || (p->dialler == b && p->listener == a)))
			cut_pipe(w, p);
	}
}

void network_cut(struct network *w, size_t a, size_t b)
{
	w->cut[a][b] = w->cut[b][a] = true;
	network_drop(w, a, b);
}

void network_heal(struct network *w, size_t a, size_t b)
{
	w->cut[a][b] = w->cut[b][a] = false;
}

void network_stall(struct network *w, size_t from, size_t to, bool stalled)
{
	w->stalled[from][to] = stalled;
	w->stalled_bytes[from][to] = 0;
	for (size_t i = 0; i < PIPES_MAX && !stalled; i++) {
		const struct pipe *p = &w->pipes[i];
		struct node_input in = {.kind = NODE_READY};

		if (!p->up || !((p->dialler == from && p->listener == to) || (p->dialler == to && p->listener == from)))
			continue;
		in.connection = p->dialler == from ? p->dialled : p->incoming;
		step(w, from, &in);
	}
}

size_t network_stalled_bytes(const struct network *w, size_t from, size_t to)
{
	return w->stalled_bytes[from][to];
}

void network_lose(struct network *w, unsigned per_mille)
{
	w->lost_per_mille = per_mille;
}

void network_tamper_with(struct network *w, size_t from, size_t to, network_tamper tamper, void *context)
{
	w->tamper_from = from;
	w->tamper_to = to;
	w->tamper = tamper;
	w->tamper_context = context;
}

/* ---- checks ---- */

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

/* All that a member shows of one channel, as the API would: an array of events. */
static json_t *shown(struct network *w, size_t member, const char *publisher, const char *audience)
{
	struct query *q = query_new(QUERY_EVENTS);
	json_t *all = json_array();
	uint8_t seed[32] = {0};

	assert(q != NULL);
	q->events.limit = 1000;
	q->events.from_start = true;
	q->events.filter.source = strdup(publisher);
	q->events.filter.audience = strdup(audience);
	do {
		json_decref(q->events.events);
		q->events.events = NULL;
		query_run(w->members[member].querier, &memory_archive_ops, w->members[member].ledger, q, seed);
		assert(q->result == 0);
		json_array_extend(all, q->events.events);
		q->events.after = q->events.next;
		q->events.from_start = false;
	} while (q->events.more);
	query_free(q);
	return all;
}

static const char *wrong(struct network *w, const char *format, const char *a, const char *b, unsigned long long n)
{
	snprintf(w->wrong, sizeof w->wrong, "%s: reader %s, channel %s, number %llu", format, a, b, n);
	return w->wrong;
}

/* What one reader shows of a channel: in order without gaps, and the publisher's own. */
static const char *check_copy(struct network *w, size_t reader, size_t publisher, const char *audience, bool complete)
{
	json_t *own = shown(w, publisher, w->members[publisher].handle, audience);
	json_t *copy = shown(w, reader, w->members[publisher].handle, audience);
	const char *bad = NULL;
	size_t i;

	if (json_array_size(copy) > json_array_size(own) || (complete && json_array_size(copy) != json_array_size(own)))
		bad = wrong(w, "not as many events as the publisher", w->members[reader].handle, audience,
			json_array_size(copy));
	for (i = 0; i < json_array_size(copy) && bad == NULL; i++) {
		json_t *a = json_array_get(own, i), *b = json_array_get(copy, i);

		if (json_integer_value(json_object_get(b, "sequence")) != (json_int_t)i + 1)
			bad = wrong(w, "a gap", w->members[reader].handle, audience, i + 1);
		else if (!json_equal(json_object_get(a, "digest"), json_object_get(b, "digest")))
			bad = wrong(w, "other bytes than the publisher's", w->members[reader].handle, audience, i + 1);
		else if (strcmp(json_string_value(json_object_get(b, "state")), "accepted") != 0)
			bad = wrong(w, "a good event is refused", w->members[reader].handle, audience, i + 1);
	}
	json_decref(own);
	json_decref(copy);
	return bad;
}

static bool same_channel(const struct acknowledged *a, const struct acknowledged *b)
{
	return a->publisher == b->publisher && strcmp(a->audience, b->audience) == 0;
}

/* The first of the acknowledged events of its channel: so that each channel is looked at once. */
static bool first_of_channel(const struct network *w, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same_channel(&w->acknowledged[k], &w->acknowledged[i]))
			return false;
	return true;
}

/* Every acknowledged event of a channel is in the publisher's own log where the answer said. */
static const char *check_acknowledged(struct network *w, const struct acknowledged *channel)
{
	json_t *own = shown(w, channel->publisher, w->members[channel->publisher].handle, channel->audience);
	const char *bad = NULL;

	for (size_t i = 0; i < w->n_acknowledged && bad == NULL; i++) {
		const struct acknowledged *a = &w->acknowledged[i];
		const char *id = json_string_value(json_object_get(json_array_get(own, a->sequence - 1), "id"));

		if (same_channel(a, channel) && (id == NULL || strcmp(id, a->id) != 0))
			bad = wrong(w, "acknowledged and not there", w->members[a->publisher].handle, a->audience,
				a->sequence);
	}
	json_decref(own);
	return bad;
}

struct visiting {
	struct network *w;
	size_t reader;
	bool complete;
	const char *bad;
};

static int check_channel(void *context, const struct channel_row *row)
{
	struct visiting *v = context;
	size_t publisher = 0;

	while (publisher < v->w->n && strcmp(v->w->members[publisher].handle, row->publisher) != 0)
		publisher++;
	assert(publisher < v->w->n);
	if (publisher != v->reader && !audience_has(row->audience, v->w->members[v->reader].handle))
		v->bad = wrong(
			v->w, "holds what is not for it", v->w->members[v->reader].handle, row->audience, row->last);
	else if (v->bad == NULL && row->last > 0)
		v->bad = check_copy(v->w, v->reader, publisher, row->audience, false);
	return v->bad != NULL;
}

const char *network_check(struct network *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct visiting v = {.w = w, .reader = i};

		memory_archive_ops.channels(w->members[i].ledger, check_channel, &v);
		if (v.bad != NULL)
			return v.bad;
	}
	for (size_t i = 0; i < w->n_acknowledged; i++) {
		const char *bad = first_of_channel(w, i) ? check_acknowledged(w, &w->acknowledged[i]) : NULL;

		if (bad != NULL)
			return bad;
	}
	return NULL;
}

const char *network_check_complete(struct network *w)
{
	const char *bad = network_check(w);

	for (size_t i = 0; i < w->n_acknowledged && bad == NULL; i++)
		for (size_t r = 0; r < w->n && bad == NULL; r++)
			if (r != w->acknowledged[i].publisher &&
				audience_has(w->acknowledged[i].audience, w->members[r].handle))
				bad = check_copy(w, r, w->acknowledged[i].publisher, w->acknowledged[i].audience, true);
	return bad;
}

/* Whether every wish is answered and every reader has acknowledged every event, by the publishers' own picture. */
static bool settled(const struct network *w)
{
	for (size_t i = 0; i < w->n; i++) {
		const struct member *m = &w->members[i];
		struct node_counters c;

		if (!m->up)
			continue;
		for (size_t k = 0; k < m->n_wishes; k++)
			if (!m->wishes[k].done)
				return false;
		node_counters(m->node, &c);
		if (c.behind != 0)
			return false;
	}
	return true;
}

bool network_settle(struct network *w, uint64_t most_ms)
{
	uint64_t until = w->now_ms + most_ms;

	while (!settled(w) && w->now_ms < until)
		network_run(w, 100);
	return settled(w);
}
