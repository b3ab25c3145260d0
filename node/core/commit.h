/* commit - turns what happened into durable rows: events to publish, batches delivered, receipts, notes.
 *
 * Jobs are values: the loop makes them, the commit worker runs them in one transaction (commit_run), the loop gets them back
 * with their results filled in. Nothing else is shared. Everything expensive is here: sealing and opening, hashing, signing and
 * verifying. No I/O but through the ledger, no clock, no randomness. */
#ifndef ENLIGHT_CORE_COMMIT_H
#define ENLIGHT_CORE_COMMIT_H

#include "core/batch.h"
#include "core/ledger.h"
#include "core/receipt.h"
#include "core/session.h"

enum job_kind {
	JOB_PUBLISH = 1,
	JOB_ACCEPT,
	JOB_RECEIPT,
	JOB_NOTE,
	JOB_SETTING,
	JOB_DELIVERY,
	JOB_ACT,
	JOB_CHECKPOINT,
	JOB_REPUBLISH,
	JOB_REPAIR,
	JOB_DISOWN,
};

/* What became of one event that was asked to be published. */
enum publish_state {
	PUBLISH_NEW = 1,   /* published by this job */
	PUBLISH_AGAIN,     /* the same id with the same content was published before: its old answer */
	PUBLISH_UNCHANGED, /* the data equals the last revision's: nothing was written; its answer is that revision's */
};
struct published {
	enum publish_state state;
	uint64_t revision, sequence;
	struct digest leaf;
	struct place place; /* 0 for what is not stored */
};

/* Why nothing of a job was published. The HTTP status of each is api's to know. */
enum publish_outcome {
	PUBLISH_OK = 0,
	PUBLISH_RULE,     /* an audience's member is not in the roster (422) */
	PUBLISH_CONFLICT, /* id used for something else, or not the next revision, or a decision on an older one (409) */
	PUBLISH_FULL,     /* the disk or its limit is full (507) */
	PUBLISH_FAILED,   /* out of memory and the like (503) */
};

/* All drafts of one request: all are published or none. */
struct publish_job {
	struct draft *drafts; /* owned by the job; complete (draft_complete) and valid (event_validate) */
	size_t n_drafts;
	/* They were published before, in another history and that incarnation: only what an id names already is left out. */
	enum origin again;
	uint32_t incarnation;
	size_t n_left_out; /* of those: that cannot be, by their own fault or since somebody else may have signed them */
	enum publish_outcome outcome;
	struct published *results; /* n_drafts; only with PUBLISH_OK */
	struct problems
		problems; /* places begin with the draft's number when there are several: "/3/enlightrevision" */
};

/* A batch that a peer delivered. */
enum accept_outcome {
	ACCEPT_OK = 0,
	ACCEPT_HELD,     /* held already; the receipt is given again */
	ACCEPT_GAP,      /* does not continue our copy: ask again from there */
	ACCEPT_FORGED,   /* signature, seal, root, header or key are not good; `why` says which */
	ACCEPT_NOT_OURS, /* another network, or an audience we are not in, or not the publisher's session */
	ACCEPT_FORK,     /* contradicts what is held: kept as evidence, the channel stops */
	ACCEPT_STOPPED,  /* the channel was stopped before */
	ACCEPT_WITHHELD, /* slots without their events at the head, and no erasure that lists them */
	ACCEPT_LATER,    /* a format of a later version: cannot be taken in by this node */
	ACCEPT_FULL,     /* the disk or its limit is full */
	ACCEPT_FAILED,   /* out of memory and the like */
	ACCEPT_ASIDE,    /* published by this node in another history of its channel: kept, to be published again */
	ACCEPT_SURPLUS,  /* the same, shown as a head: it is to be fetched */
};
struct accept_job {
	char peer[HANDLE_MAX + 1]; /* who delivered; of a head that another reader showed, its publisher */
	char witness[HANDLE_MAX +
		     1]; /* that reader; empty: none. Then there is a header only, and it is only compared */
	uint8_t session_key[32];
	size_t frame_len;          /* what the delivery took of the credit; not looked at */
	uint64_t announced;        /* last sequence of the channel by the publisher's signed head; 0: not known */
	struct sealed_batch batch; /* owned */
	uint8_t wrapped[WRAPPED_KEY_LEN];
	enum accept_outcome outcome;
	const char *why;           /* for the log */
	struct bytes contradicted; /* ACCEPT_FORK: the header that was held; owned */
	uint8_t contradicted_signature[SIGNATURE_LEN];
	struct opened *opened;       /* what was found in it so far; owned */
	bool raised;                 /* the batch began a new incarnation of a channel we held */
	bool elsewhere;              /* ACCEPT_FORGED: it goes on from something else than what is held */
	uint64_t set_aside;          /* events of ours that left the history */
	unsigned n_refused, n_stale; /* events in it marked so */
};

/* A batch that the disk changed, delivered again by who has it. */
struct repair_job {
	uint64_t number;
	struct accept_job delivered; /* peer, session_key, batch and wrapped are looked at */
	bool done;
	const char *why; /* it was not */
};

struct receipt_job {
	char peer[HANDLE_MAX + 1];
	struct bytes packed; /* owned */
	uint8_t signature[SIGNATURE_LEN];
	bool good; /* verified and kept, or older than what is kept */
	bool lost; /* it could not be stored, whatever it says */
	const char *why;
};

/* A roster or card that trust_with() has taken; or a setting (a blocked peer). */
struct note_job {
	const char *kind; /* "roster", "card" */
	char member[HANDLE_MAX + 1];
	uint32_t number;
	struct bytes text; /* owned */
	bool done;
};
struct setting_job {
	char *name, *value; /* owned; value NULL removes */
	bool done;
};

/* How far a plugin has come, and what it has not done on the way. */
struct delivery_job {
	char plugin[PLUGIN_NAME_MAX + 1];
	struct place cursor;
	struct held_row *puts; /* owned */
	struct place *removes; /* owned */
	size_t n_puts, n_removes;
	bool done;
};

/* The day's checkpoint (checkpoint.c): anchors of these heads, published by this member to the network. */
#define CHECKPOINT_SETTING "checkpoint" /* what was anchored last, among the ledger's settings */
struct checkpoint_job {
	uint64_t time_ms;
	struct digest *heads; /* owned */
	size_t n_heads;
	struct digest digest;       /* of the heads, one after the other */
	struct publish_job publish; /* made by the commit; PUBLISH_CONFLICT: this day has one already */
};

/* Publishes again what this node published in another history of its channel, one batch of it (republish.c). */
struct republish_job {
	bool none;                  /* there was nothing */
	struct publish_job publish; /* made by the commit */
};

/* The batch that ends another's channel is set aside when its key is revoked, or the channel goes on that was stopped for a header under a revoked
 * key (disown.c). */
struct disown_job {
	char publisher[HANDLE_MAX + 1];
	char *audience;     /* owned */
	struct digest head; /* nothing is done when the channel ends elsewhere by now */
	bool goes_on;       /* it is the latter that is asked for */
	bool went_on;
	uint64_t set_aside; /* events */
	bool done;
};

struct job {
	enum job_kind kind;
	uint64_t tag;        /* the loop's own; not looked at */
	uint32_t connection; /* where it came from; not looked at */
	/* Of PUBLISH, ACCEPT, REPAIR, RECEIPT, ACT, CHECKPOINT, REPUBLISH and DISOWN, made in its order; a reference, given up by job_free(). */
	struct trust *trust;
	struct publish_job
		act; /* what the audit trail says of it (act.h), published with it; all there is of JOB_ACT */
	struct commit_changes *changes; /* of its transaction; on the first job of each; owned */
	union {
		struct publish_job publish;
		struct accept_job accept;
		struct repair_job repair;
		struct receipt_job receipt;
		struct note_job note;
		struct setting_job setting;
		struct delivery_job delivery;
		struct checkpoint_job checkpoint;
		struct republish_job republish;
		struct disown_job disown;
	};
};
struct job *job_new(enum job_kind kind, struct trust *trust); /* takes a new reference; NULL: out of memory */
void job_free(struct job *j);

/* What a transaction changed, for the loop's picture of the channels; filled in by commit_run(), valid once it is durable. */
struct own_batch { /* just published: to be sent to live readers without reading it back */
	struct sealed_batch batch;
	uint8_t key[BATCH_KEY_LEN];
	struct digest digest;
	char *audience;
	uint32_t incarnation;
	uint64_t first, last;
	uint64_t number;
};
struct changed_channel {
	struct channel_row row; /* as it is now */
	struct bytes header;    /* of the head; owned */
	uint8_t signature[SIGNATURE_LEN];
	struct bytes receipt; /* of ours, for channels of others; owned; data NULL: none */
	uint8_t receipt_signature[SIGNATURE_LEN];
};
struct changed_receipt { /* a reader's receipt that is newer than what was held */
	uint64_t channel;
	char publisher[HANDLE_MAX + 1];
	char *audience;
	char reader[HANDLE_MAX + 1];
	uint32_t incarnation;
	uint64_t to, uncovered, time_ms;
	struct digest head;
};
struct commit_changes {
	struct own_batch *batches;
	size_t n_batches;
	struct changed_channel *channels;
	size_t n_channels;
	struct changed_receipt *receipts;
	size_t n_receipts;
	uint64_t last_number; /* of the highest batch stored; 0: none */
};
void commit_changes_free(struct commit_changes *c);

struct committer;

/* Holds what the worker needs: the member, its keys (copied, wiped by committer_free()). */
struct committer *committer_new(const char *member, const struct node_keys *keys, const struct store_keys *store_keys);
void committer_free(struct committer *c);
/* Signs with the node key it works with, whose number it answers. */
uint32_t committer_sign(
	const struct committer *c, uint8_t signature[static SIGNATURE_LEN], const char *domain, struct bytes message);
/* Whether these are the store's keys it works with. */
bool committer_has_keys(const struct committer *c, const struct store_keys *keys);

/* The store was restored from a backup: what its readers hold beyond it may be anything. `value` is what the ledger's settings keep of that
 * under RESTORED_SETTING: an incarnation, as a decimal number, that no channel had in the backup or had after it (`enlight restore`); every channel goes on in it, or in a later
 * one. 0, or -EBADMSG: not such a number. */
#define RESTORED_SETTING "restored"
int committer_restored(struct committer *c, const char *value);

/* Does what a job needs neither the ledger nor the jobs before it for: verifies and opens what was delivered, unpacks its events and checks
 * their rules. For a thread beside the one that commits, which does itself what is not done; never both with one job at a time. */
void job_prepare(struct job *j, const struct committer *c);

/* Runs jobs in order inside the caller's open transaction. Each job that cannot be done leaves nothing behind and says so in its
 * outcome; the rest go on. `seed` is fresh for each call. `*out` is returned, for commit_changes_free().
 * 0: commit it. LEDGER_FULL or a negative errno: undo the whole transaction; no job was done. commit_failed() then fills in the outcomes. */
int commit_run(struct committer *c, const struct ledger_ops *ops, void *ledger, struct job *const *jobs, size_t n,
	uint64_t now_ms, const uint8_t seed[static 32], struct commit_changes **out);
void commit_failed(struct job *const *jobs, size_t n, int result);

#endif
