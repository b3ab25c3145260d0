/* aside - what leaves a channel's history here: its publisher went back behind it, this node did as its publisher, or it turned out to be a
 * thief's. It stays in the store, kept apart. */
#include "core/work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Slots that go are not counted any longer. */
static int forget_uncovered(struct work *w, struct channel_row *row, uint64_t kept)
{
	int r = 0;

	for (uint64_t i = kept + 1; i <= row->last && row->uncovered > 0 && r == 0; i++) {
		r = w->ops->uncovered_remove(w->ledger, row->id, i);
		if (r == 0)
			row->uncovered--;
		else if (r == LEDGER_NONE)
			r = 0;
	}
	return r;
}

/* The header that ends the history now; none when all of it is gone. */
static int take_head_back(struct work *w, struct channel_work *cw)
{
	struct batch_row head = {0};
	int r = cw->row.last == 0 ? 0 : w->ops->batch_ending(w->ledger, cw->row.id, cw->row.last, &head);

	free((void *)cw->header.data);
	cw->header = (struct bytes){0};
	if (r != 0)
		return r == LEDGER_NONE ? -EBADMSG : r;
	cw->row.incarnation = head.incarnation;
	cw->row.head = head.digest;
	cw->changed = true;
	if (cw->row.last == 0)
		return 0;
	cw->header = bytes_of(bytes_dup(head.header), head.header.len);
	memcpy(cw->signature, head.signature.data, SIGNATURE_LEN);
	return cw->header.data == NULL ? -ENOMEM : 0;
}

int work_set_aside(struct work *w, struct channel_work *cw, uint64_t kept, bool again)
{
	int r = forget_uncovered(w, &cw->row, kept);

	if (r != 0)
		return r;
	cw->row.last = kept;
	r = w->ops->set_aside(w->ledger, cw->row.id, kept, again);
	return r != 0 ? r : take_head_back(w, cw);
}
