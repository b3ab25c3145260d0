/* republish - a node whose disk went back publishes again what it had published elsewhere: what readers gave back of another history of its
 * channel, and what it had put in its place itself. The same ids, data and times; new revisions and places. What is published
 * already under its id is left out.
 *
 * One batch a commit, which also says that it is done: so a crash repeats nothing and leaves nothing out. Meanwhile nothing new is
 * published, so that an object's last revision stays its last. */
#include "core/node_state.h"
#include "core/work.h"

#include "core/archived.h"
#include "core/trust.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the commit worker's side ---- */

static int make_draft(struct draft *out, const struct work *w, const char *audience, struct bytes packed)
{
	int r = event_unpack(&out->event, packed);

	if (r != 0)
		return r > 0 ? -EBADMSG : r;
	out->source = strdup(w->c->member);
	out->audience = strdup(audience);
	return out->source == NULL || out->audience == NULL ? -ENOMEM : 0;
}

static int make_drafts(struct publish_job *job, const struct work *w, const struct archived *batch)
{
	int r = 0;

	job->drafts = calloc(batch->slots.n + 1, sizeof *job->drafts);
	if (job->drafts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < batch->slots.n && r == 0; i++) {
		struct draft *draft = &job->drafts[job->n_drafts];

		if (batch->slots.items[i].event.data == NULL)
			continue;
		job->n_drafts++; /* it is given up with the job */
		r = make_draft(draft, w, batch->header.audience, batch->slots.items[i].event);
		if (r != -EBADMSG)
			continue;
		draft_deinit(draft); /* no event of any version: it would be none the next time too */
		job->n_drafts--;
		job->n_left_out++;
		r = 0;
	}
	return r;
}

static void forget_drafts(struct publish_job *job)
{
	for (size_t i = 0; i < job->n_drafts; i++)
		draft_deinit(&job->drafts[i]);
	free(job->drafts);
	job->drafts = NULL;
	job->n_drafts = 0;
}

int work_republish(struct work *w, struct republish_job *job)
{
	struct archived batch = {0};
	struct batch_row row;
	enum origin origin;
	int r = w->ops->aside_next(w->ledger, &row, &origin);

	job->none = r == LEDGER_NONE;
	if (r != 0)
		return job->none ? 0 : r;
	forget_drafts(&job->publish); /* of a try before */
	job->publish.again = origin;
	job->publish.incarnation = row.incarnation;
	job->publish.n_left_out = 0;
	r = archived_read(&batch, &w->c->store_keys, &row);
	if (r == -EBADMSG) {
		job->publish.n_left_out = row.count;
		r = 0;
	} else if (r == 0) {
		r = make_drafts(&job->publish, w, &batch);
	}
	archived_deinit(&batch);
	if (r == 0)
		r = work_publish(w, &job->publish);
	if (r == 0 && job->publish.outcome == PUBLISH_OK)
		r = w->ops->aside_done(w->ledger, row.number);
	return r;
}

/* ---- the node's side ---- */

void node_load_again(struct node *n)
{
	republish_due(n);
}

void republish_due(struct node *n)
{
	n->republish.due = n->republish.pending = true;
}

bool republish_pends(const struct node *n)
{
	return n->republish.pending;
}

void republish_tick(struct node *n)
{
	struct job *job;

	if (!n->republish.due || n->republish.running || n->now_ms < n->republish.retry_ms || recover_waits(n))
		return;
	job = job_new(JOB_REPUBLISH, n->trust);
	if (job == NULL)
		n->short_of_memory = true;
	else
		n->republish.running = node_act_commit(n, job);
}

void republish_committed(struct node *n, const struct job *job)
{
	const struct republish_job *r = &job->republish;

	n->republish.running = false;
	if (r->none) {
		if (n->republish.n_events > 0)
			node_log(n, LOG_LEVEL_WARN, "channel: published again what was lost events=%llu",
				(unsigned long long)n->republish.n_events);
		n->republish.due = n->republish.pending = false;
		n->republish.n_events = 0;
		return;
	}
	if (r->publish.outcome != PUBLISH_OK) {
		if (n->republish.pending)
			node_log(n, LOG_LEVEL_ERROR, "channel: cannot publish again what was lost, trying on");
		n->republish.pending = false; /* others are not held up by what may last */
		n->republish.retry_ms = n->now_ms + RETRY_MS;
		return;
	}
	if (r->publish.n_left_out > 0)
		node_log(n, LOG_LEVEL_ERROR, "channel: events are not published again, damaged or too large count=%zu",
			r->publish.n_left_out);
	n->republish.pending = true;
	n->republish.n_events += newly_published(&r->publish);
	n->counters.republished += newly_published(&r->publish);
	republish_tick(n);
}
