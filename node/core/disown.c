/* disown - a reader met the thief of a key before it had the card that revokes it, and took what that one published. The publisher does not know
 * its place, in a session under a key in force. So the batch that ends the copy is set aside, when its key is revoked, and the place before it
 * is tried, until the publisher knows it.
 *
 * Nothing is set aside as long as the publisher stands by it: a revocation alone takes nothing back. Nor is what a later key follows, since who
 * has that one had it all. One batch at a time, so that nothing comes again that was good. */
#include "core/node_state.h"
#include "core/work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the commit worker's side ---- */

/* The key of the batch that ends the history; 0: there is none. */
static int read_last_key(const struct work *w, const struct channel_row *row, uint32_t *key, uint64_t *first)
{
	struct batch_row batch;
	struct header h = {0};
	int r = row->last == 0 ? LEDGER_NONE : w->ops->batch_ending(w->ledger, row->id, row->last, &batch);

	*key = 0;
	if (r == 0) {
		*first = batch.first;
		r = header_decode(&h, batch.header);
		*key = r == 0 ? h.key : 0;
		header_deinit(&h);
	}
	return r < 0 ? r : 0; /* what the disk changed says nothing of anybody */
}

static int set_last_aside(struct work *w, struct channel_work *cw, struct disown_job *job)
{
	uint64_t first = 0, before = cw->row.last;
	uint32_t key;
	int r = read_last_key(w, &cw->row, &key, &first);

	if (r != 0 || key == 0 || !trust_is_revoked(w->trust, cw->row.publisher, key))
		return r;
	job->set_aside = before - (first - 1);
	r = w->ops->receipt_remove(w->ledger, cw->row.id, w->c->member); /* it says more */
	if (r == 0)
		r = work_set_aside(w, cw, first - 1, false);
	if (r == 0)
		r = read_last_key(w, &cw->row, &cw->row.key, &first);
	cw->receipt = cw->row.last > 0;
	return r;
}

int work_disown(struct work *w, struct disown_job *job)
{
	struct channel_work *cw;
	int r = work_channel(&cw, w, job->publisher, job->audience);

	job->done = true;
	job->went_on = false;
	job->set_aside = 0;
	if (r != 0 || cw->row.id == 0 || !digest_equal(&cw->row.head, &job->head))
		return r;
	if (!job->goes_on)
		return set_last_aside(w, cw, job);
	job->went_on = cw->row.stopped != 0; /* else it did already */
	cw->row.stopped = 0;
	cw->changed = job->went_on || cw->changed;
	return 0;
}

/* ---- the node's side ---- */

static bool is_thiefs(const struct node *n, const struct channel *c, const struct shown_header *shown)
{
	struct header h = {0};
	bool yes;

	if (shown->header.data == NULL || header_decode(&h, shown->header) != 0)
		return false;
	yes = trust_is_revoked(n->trust, c->row.publisher, h.key);
	header_deinit(&h);
	return yes;
}

bool disown_due(const struct node *n, const struct channel *c)
{
	if (c == NULL || c->row.last == 0 || strcmp(c->row.publisher, n->member) == 0)
		return false;
	if (c->row.stopped == 0)
		return trust_is_revoked(n->trust, c->row.publisher, c->row.key);
	return is_thiefs(n, c, &c->fork[0]) || is_thiefs(n, c, &c->fork[1]);
}

void disown(struct node *n, const struct session *s, const char *publisher, const char *audience)
{
	const struct channel *c = node_channel(n, publisher, audience);
	struct job *job;

	if (strcmp(publisher, s->peer->member) != 0 || !disown_due(n, c))
		return;
	job = job_new(JOB_DISOWN, n->trust);
	if (job != NULL)
		job->disown.audience = strdup(audience);
	if (job == NULL || job->disown.audience == NULL) {
		job_free(job);
		n->short_of_memory = true;
		return;
	}
	memcpy(job->disown.publisher, c->row.publisher, sizeof job->disown.publisher);
	job->disown.head = c->row.head;
	job->disown.goes_on = c->row.stopped != 0;
	node_act_commit(n, job);
}

/* What the publisher has in its place is asked for; where it has nothing, it says so of the head before. */
void disown_committed(struct node *n, const struct disown_job *job)
{
	const struct peer *p = node_peer(n, job->publisher);
	struct channel *c = node_channel(n, job->publisher, job->audience);
	struct reading *rd;

	if (!job->done || (job->set_aside == 0 && !job->went_on))
		return;
	if (c != NULL && c->row.last == 0) {
		free((void *)c->receipt.data); /* of what is not held any more */
		c->receipt = (struct bytes){0};
	}
	n->counters.disowned += job->set_aside;
	node_log(n, LOG_LEVEL_ERROR, "channel: %s publisher=%s audience=%s events=%llu",
		job->went_on ? "what stopped it is under a revoked key, so it goes on"
			     : "what was taken under a revoked key is not its publisher's, and set aside",
		job->publisher, job->audience, (unsigned long long)job->set_aside);
	if (p == NULL || p->session == NULL)
		return;
	rd = reading_of(n, p->session, job->publisher, job->audience);
	if (rd != NULL)
		fetch_channel(n, p->session, rd);
	if (c != NULL && job->went_on)
		send_receipt(n, p->session, c);
	if (c != NULL && c->row.last > 0)
		serve_head(n, p->session, c->header, c->signature);
}
