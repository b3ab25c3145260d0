/* work - one running commit: what the parts of commit_run() share. Private to commit.c, publish.c, accept.c, mend.c, checkpoint.c,
 * republish.c, aside.c and disown.c.
 *
 * Channels are loaded once and written back at the end. Events to publish gather in segments, each of which becomes one batch when
 * all jobs have been run; a segment's number is taken when it opens, so that what is indexed can point at it. */
#ifndef ENLIGHT_CORE_WORK_H
#define ENLIGHT_CORE_WORK_H

#include "core/commit.h"

struct committer {
	char member[HANDLE_MAX + 1];
	struct node_keys keys;
	struct store_keys store_keys;
	uint32_t incarnation; /* the lowest that a channel goes on in */
};

/* What a delivered batch holds (open.c). Each result is that of the function named, 0 when the rest beside it is filled in. */
struct opened_event {
	int result; /* event_unpack() */
	struct event event;
	struct index_key id, object;
	bool has_object; /* its type names a topic */
	int rules;       /* event_validate() */
	struct problems problems;
};
struct opened {
	int header_result; /* header_decode() */
	struct header header;
	struct digest digest;
	bool key_known, key_revoked, signed_well;
	bool body_opened; /* it was tried: */
	bool unwrapped;
	uint8_t key[BATCH_KEY_LEN];
	int body_result; /* batch_open() */
	struct slots slots;
	struct opened_event *events; /* one for each slot */
};

/* Open a delivery's header, then its body, unless that was done before; job->opened keeps what is found. 0 or -ENOMEM. */
int opened_header(struct accept_job *job, const struct trust *trust);
int opened_body(struct accept_job *job, const struct store_keys *keys);
void opened_free(struct opened *o); /* NULL is a no-op */

struct segment {
	struct batch_builder builder;
	uint64_t number;
	uint64_t first; /* sequence of its first event */
	bool erases;    /* all of its events are erasures */
};

struct channel_work {
	struct channel_row row;
	struct segment *segments; /* own channels: events not sealed yet */
	size_t n_segments;
	struct bytes header; /* of the head, when this commit changed it; owned */
	uint8_t signature[SIGNATURE_LEN];
	bool changed;                                 /* the row is to be written */
	bool receipt;                                 /* a receipt is to be given */
	size_t kept_segments, kept_events, kept_body; /* where the current job began */
};

struct work {
	struct committer *c;
	const struct ledger_ops *ops;
	void *ledger;
	uint64_t now_ms;
	struct entropy entropy;
	struct trust *trust; /* of the last job that has one; borrowed. NULL: none so far, and none of them needs it */
	struct channel_work **channels;
	size_t n_channels;
	struct commit_changes *changes;
};

/* The channel's state in this commit, loaded or new; the work keeps it. 0, -ENOMEM or what the ledger answered. */
int work_channel(struct channel_work **out, struct work *w, const char *publisher, const char *audience);

/* Sequence that the next event of an own channel gets. */
uint64_t work_next_sequence(const struct channel_work *cw);

/* A job of each kind. 0: its outcome says how it went, and with anything but success nothing of it is left; else the whole commit is to be
 * undone. */
int work_publish(struct work *w, struct publish_job *job);
int work_accept(struct work *w, struct accept_job *job);
int work_receipt(struct work *w, struct receipt_job *job);
int work_repair(struct work *w, struct repair_job *job);
int work_checkpoint(struct work *w, struct checkpoint_job *job);
int work_republish(struct work *w, struct republish_job *job);
int work_disown(struct work *w, struct disown_job *job);

/* Takes everything above this sequence out of a channel's history, which ends there then. `again`: it is to be published again. */
int work_set_aside(struct work *w, struct channel_work *cw, uint64_t kept, bool again);

/* What a withdrawal of ours took back says nothing any more: to publish the same data again is news. No other event does anything. */
int work_forget_withdrawn(struct work *w, const struct event *e);

/* Signs and seals every segment, as batches. */
int work_seal(struct work *w);
/* Signs receipts for the channels that want one. */
int work_receipts(struct work *w);

#endif
