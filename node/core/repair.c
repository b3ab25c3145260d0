/* repair - batches that the disk changed are asked for again from who has them: those of others from their publisher, our own from
 * any of their readers.
 *
 * Asked for with an ordinary Fetch from the place before the batch; when it has come the channel is fetched from its end again, so what
 * was sent behind it meanwhile is held already and changes nothing. One after the other. Who is away is waited for, as long as this node
 * runs. */
#include "core/node_state.h"

#include "core/handle.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	REPAIRS_MAX = 4096,
	ANSWER_MS = 30000, /* so long one who was asked has */
	AGAIN_MS = 600000, /* before all are asked again when none of them had anything good */
};

static struct repair *find(const struct node *n, uint64_t number)
{
	struct repair *r = n->repairs;

	while (r != NULL && r->damage.number != number)
		r = r->next;
	return r;
}

static void remove_repair(struct node *n, struct repair *r)
{
	struct repair **at = &n->repairs;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	free(r->damage.audience);
	free(r);
}

void repair_free(struct node *n)
{
	while (n->repairs != NULL)
		remove_repair(n, n->repairs);
}

/* Who is there is asked at once, whatever came of it before, and from the place that is known to be before it now. */
static void ask_anew(struct node *n, struct repair *r, const struct behind *behind)
{
	r->damage.behind = *behind;
	r->again_ms = 0;
	r->n_failed = 0;
	r->why = NULL;
	repair_tick(n);
}

int repair_begin(struct node *n, const struct damage *damage)
{
	struct repair **at = &n->repairs, *r;
	size_t count = 0;

	for (; *at != NULL; at = &(*at)->next, count++)
		if ((*at)->damage.number == damage->number) {
			ask_anew(n, *at, &damage->behind);
			return 0;
		}
	if (count == REPAIRS_MAX)
		return -EAGAIN;
	r = calloc(1, sizeof *r);
	if (r != NULL) {
		r->damage = *damage;
		r->damage.audience = strdup(damage->audience);
	}
	if (r == NULL || r->damage.audience == NULL) {
		free(r);
		return -EAGAIN;
	}
	*at = r;
	repair_tick(n);
	return 0;
}

static bool is_own(const struct node *n, const struct repair *r)
{
	return strcmp(r->damage.publisher, n->member) == 0;
}

static bool may_have(const struct node *n, const struct repair *r, const struct peer *p)
{
	return is_own(n, r) ? audience_has(r->damage.audience, p->member) : strcmp(p->member, r->damage.publisher) == 0;
}

/* How many may have it, and of them how many are there. */
static size_t count_who_may(const struct node *n, const struct repair *r, size_t *linked)
{
	size_t all = 0;

	*linked = 0;
	for (size_t i = 0; i < n->n_peers; i++) {
		if (!may_have(n, r, n->peers[i]))
			continue;
		all++;
		*linked += n->peers[i]->session != NULL;
	}
	return all;
}

/* Who is asked next: each that may have it in turn, from the one behind who was asked last. NULL: nobody is there. */
static struct peer *next_peer(const struct node *n, struct repair *r)
{
	for (size_t i = 0; i < n->n_peers; i++) {
		struct peer *p = n->peers[(r->next_peer + i) % n->n_peers];

		if (p->session == NULL || !may_have(n, r, p))
			continue;
		r->next_peer = (r->next_peer + i + 1) % n->n_peers;
		return p;
	}
	return NULL;
}

/* The channel is fetched as before; of our own there is nothing more to come. */
static void go_on(struct node *n, struct session *s, const struct repair *r)
{
	struct reading *rd = find_reading(s, r->damage.publisher, r->damage.audience);

	if (rd == NULL)
		return;
	fetch_channel(n, s, rd);
	if (is_own(n, r))
		rd->open = false;
}

static void ask(struct node *n, struct repair *r, struct session *s)
{
	struct reading *rd = reading_of(n, s, r->damage.publisher, r->damage.audience);

	if (rd == NULL)
		return;
	fetch_behind(n, s, rd, &r->damage.behind);
	r->asked = s->serial;
	r->until_ms = n->now_ms + ANSWER_MS;
}

static bool is_under_way(const struct node *n, const struct repair *r)
{
	return r->committing || (r->asked != 0 && n->now_ms < r->until_ms && node_session(n, r->asked) != NULL);
}

static void end_try(struct node *n, struct repair *r, const char *why)
{
	node_log(n, LOG_LEVEL_WARN, "store: not mended number=%llu publisher=%s audience=%s why=\"%s\"",
		(unsigned long long)r->damage.number, r->damage.publisher, r->damage.audience, why);
	r->why = why;
	r->asked = 0;
	r->committing = false;
}

/* Who was asked had nothing good: the next one is asked, and when that was the last one that is there, all of them later again. */
static void failed(struct node *n, struct repair *r, const char *why)
{
	size_t linked;

	end_try(n, r, why);
	count_who_may(n, r, &linked);
	r->n_failed++;
	if (r->n_failed < linked)
		return;
	r->n_failed = 0;
	r->again_ms = n->now_ms + AGAIN_MS;
}

static void end_overdue(struct node *n, struct repair *r)
{
	struct session *s = node_session(n, r->asked);

	if (r->asked == 0 || is_under_way(n, r))
		return;
	if (s == NULL) {
		end_try(n, r, "the link ended");
		return;
	}
	go_on(n, s, r);
	failed(n, r, "it was not sent");
}

void repair_tick(struct node *n)
{
	for (struct repair *r = n->repairs; r != NULL; r = r->next) {
		end_overdue(n, r);
		if (is_under_way(n, r))
			return;
	}
	for (struct repair *r = n->repairs; r != NULL; r = r->next) {
		struct peer *p = n->now_ms < r->again_ms ? NULL : next_peer(n, r);

		if (p == NULL)
			continue;
		ask(n, r, p->session);
		return;
	}
}

/* The one that is asked for in this session and is this batch. */
static struct repair *asked_for(const struct node *n, const struct session *s, const struct header *h)
{
	for (struct repair *r = n->repairs; r != NULL; r = r->next)
		if (r->asked == s->serial && !r->committing && h->first == r->damage.first &&
			h->incarnation == r->damage.incarnation && strcmp(h->publisher, r->damage.publisher) == 0 &&
			strcmp(h->audience, r->damage.audience) == 0)
			return r;
	return NULL;
}

static struct job *make_job(const struct node *n, const struct repair *r, const struct session *s,
	const Enlight__Link__V1__Deliver *deliver)
{
	struct job *job = job_new(JOB_REPAIR, n->trust);
	struct accept_job *a;

	if (job == NULL)
		return NULL;
	job->repair.number = r->damage.number;
	a = &job->repair.delivered;
	memcpy(a->peer, s->peer->member, sizeof a->peer);
	memcpy(a->session_key, s->key, sizeof a->session_key);
	a->batch.header = bytes_of(bytes_dup(bytes_of(deliver->header.data, deliver->header.len)), deliver->header.len);
	a->batch.body = bytes_of(bytes_dup(bytes_of(deliver->body.data, deliver->body.len)), deliver->body.len);
	memcpy(a->batch.signature, deliver->signature.data, SIGNATURE_LEN);
	memcpy(a->wrapped, deliver->key.data, WRAPPED_KEY_LEN);
	if (a->batch.header.data != NULL && a->batch.body.data != NULL)
		return job;
	job_free(job);
	return NULL;
}

bool repair_takes(struct node *n, struct session *s, const struct header *h, const Enlight__Link__V1__Deliver *deliver)
{
	struct repair *r = asked_for(n, s, h);
	struct job *job;

	if (r == NULL)
		return false;
	go_on(n, s, r);
	job = make_job(n, r, s, deliver);
	if (job == NULL)
		n->short_of_memory = true;
	r->committing = job != NULL && node_act_commit(n, job);
	if (!r->committing)
		failed(n, r, "out of memory");
	return true;
}

/* What is mended may be what we show as a channel's head. */
static void show_head(struct node *n, const struct repair *r, const struct accept_job *a)
{
	struct channel *c = node_channel(n, r->damage.publisher, r->damage.audience);
	struct bytes header;

	if (c == NULL || c->row.last != r->damage.last)
		return;
	header = bytes_of(bytes_dup(a->batch.header), a->batch.header.len);
	if (header.data == NULL) {
		n->short_of_memory = true;
		return;
	}
	free((void *)c->header.data);
	c->header = header;
	memcpy(c->signature, a->batch.signature, SIGNATURE_LEN);
	c->version = ++n->version;
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i]->session != NULL && serve_shows(n, n->peers[i]->session, c))
			n->peers[i]->session->heads_due = true;
}

void repair_committed(struct node *n, const struct job *job)
{
	struct repair *r = find(n, job->repair.number);

	if (r == NULL)
		return;
	if (job->repair.done) {
		node_log(n, LOG_LEVEL_WARN, "store: mended number=%llu publisher=%s audience=%s from=%s",
			(unsigned long long)r->damage.number, r->damage.publisher, r->damage.audience,
			job->repair.delivered.peer);
		show_head(n, r, &job->repair.delivered);
		remove_repair(n, r);
	} else {
		failed(n, r, job->repair.why);
	}
	repair_tick(n);
}

/* The place before the batch is not in the peer's history, or it may not give it. */
void repair_refused(struct node *n, const struct session *s, const char *publisher, const char *audience)
{
	for (struct repair *r = n->repairs; r != NULL; r = r->next)
		if (r->asked == s->serial && !r->committing && strcmp(publisher, r->damage.publisher) == 0 &&
			strcmp(audience, r->damage.audience) == 0)
			failed(n, r, "it does not have it");
}

static const char *state_of(const struct node *n, const struct repair *r)
{
	size_t linked, all = count_who_may(n, r, &linked);

	if (all == 0)
		return "nobody";
	if (is_under_way(n, r))
		return "asked";
	if (linked == 0)
		return "waiting";
	return n->now_ms < r->again_ms ? "refused" : "queued";
}

json_t *node_repairs(const struct node *n)
{
	json_t *array = json_array();

	for (const struct repair *r = n->repairs; r != NULL && array != NULL; r = r->next)
		json_array_append_new(
			array, json_pack("{s:I, s:s, s:s, s:I, s:I, s:s, s:s, s:s?}", "number",
				       (json_int_t)r->damage.number, "publisher", r->damage.publisher, "audience",
				       r->damage.audience, "first", (json_int_t)r->damage.first, "last",
				       (json_int_t)r->damage.last, "state", state_of(n, r), "from",
				       is_own(n, r) ? "any reader" : r->damage.publisher, "reason", r->why));
	return array == NULL ? NULL : json_pack("{s:o}", "repairs", array);
}

size_t repair_count(const struct node *n)
{
	size_t count = 0;

	for (const struct repair *r = n->repairs; r != NULL; r = r->next)
		count++;
	return count;
}
