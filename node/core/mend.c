/* mend - the commit of a batch that comes in the place of one that the disk changed.
 *
 * It must be that very batch: the one whose digest the store has, or, where that is what changed, the one that its channel goes on
 * from. Number, sequences and what was indexed stay, so nobody is given anything twice. */
#include "core/work.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

/* Whether the channel goes on from this header: by the batch behind it, or as the channel's head. */
static int is_continued(
	struct work *w, const struct batch_row *row, const struct header *h, const struct digest *digest, bool *yes)
{
	struct channel_row channel = {0};
	struct header next = {0};
	struct batch_row row_behind;
	int r = w->ops->batch_holding(w->ledger, row->channel, header_last(h) + 1, &row_behind);

	if (r == 0) {
		r = header_decode(&next, row_behind.header);
		*yes = r == 0 && digest_equal(&next.previous, digest);
		header_deinit(&next);
		return r < 0 ? r : 0;
	}
	if (r == LEDGER_NONE)
		r = w->ops->channel_find(w->ledger, h->publisher, h->audience, &channel);
	*yes = r == 0 && channel.id == row->channel && channel.last == header_last(h) &&
	       digest_equal(&channel.head, digest);
	channel_row_deinit(&channel);
	return r == LEDGER_NONE ? 0 : r;
}

/* What is wrong with the header that was delivered; NULL in `*why`: nothing. */
static int judge_header(struct work *w, const struct batch_row *row, struct accept_job *a, const char **why)
{
	const struct opened *o;
	bool known;
	int r = opened_header(a, w->trust);

	*why = NULL;
	if (r != 0)
		return r;
	o = a->opened;
	if (o->header_result != 0 || !o->signed_well) {
		*why = "header or signature are not good";
		return 0;
	}
	known = digest_equal(&o->digest, &row->digest);
	if (!known)
		r = is_continued(w, row, &o->header, &o->digest, &known);
	if (!known || o->header.first != row->first || o->header.count != row->count)
		*why = "it is another batch than the one that was stored";
	return r;
}

static int judge_body(struct work *w, struct accept_job *a, const char **why)
{
	int r = opened_body(a, &w->c->store_keys);

	if (r == 0 && (!a->opened->unwrapped || a->opened->body_result != 0))
		*why = "its body does not open";
	return r;
}

int work_repair(struct work *w, struct repair_job *job)
{
	struct accept_job *a = &job->delivered;
	uint8_t wrapped[WRAPPED_KEY_LEN];
	struct batch_row row;
	int r = w->ops->batch_get(w->ledger, job->number, &row);

	job->done = false;
	job->why = r == LEDGER_NONE ? "it is not in the history any more" : NULL;
	if (r == 0)
		r = judge_header(w, &row, a, &job->why);
	if (r == 0 && job->why == NULL)
		r = judge_body(w, a, &job->why);
	if (r == LEDGER_NONE || (r == 0 && job->why != NULL))
		return 0;
	if (r != 0)
		return r;
	key_wrap(wrapped, w->c->store_keys.wrap, &a->opened->digest, a->opened->key, &w->entropy);
	row.digest = a->opened->digest;
	row.header = a->batch.header;
	row.signature = bytes_of(a->batch.signature, SIGNATURE_LEN);
	row.wrapped = bytes_of(wrapped, sizeof wrapped);
	row.body = a->batch.body;
	r = w->ops->batch_mend(w->ledger, &row);
	job->done = r == 0;
	return r;
}
