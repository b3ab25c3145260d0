/* node - decides what a node does: whom to dial, who may talk, what to fetch, send, acknowledge and commit.
 *
 * The loop feeds what happened in (node_step) and carries out the actions that come back. No I/O, no clock, no randomness:
 * each input brings the time and fresh entropy. The picture of channels, receipts and peers is held in memory; what is durable is the
 * ledger's, and every change of it comes back as NODE_COMMITTED.
 *
 * Parts: node.c (inputs, timers), gossip.c (rosters and cards), key_age.c (when to renew), keep.c (what is in force becomes durable),
 * checkpoint.c (once a day), meet.c (Hellos and sessions), read.c (what we fetch), serve.c (what we send), witness.c (what readers show
 * each other), recover.c (what they give back to us), view.c (what operators see). They share node_state.h. The conversation is described
 * in proto/README.md. */
#ifndef ENLIGHT_CORE_NODE_H
#define ENLIGHT_CORE_NODE_H

#include "core/act.h"
#include "core/commit.h"
#include "core/query.h"

struct node;

/* Timers and limits; the first ones are part of the contract. */
enum {
	BEAT_MS = 10000,         /* a session that has sent nothing for so long sends a Beat */
	SILENCE_MS = 30000,      /* a session that has heard nothing for so long is dead */
	HELLO_MS = 10000,        /* the Hellos take at most this */
	HEADS_MS = 1000,         /* Heads at most this often */
	CREDIT_WINDOW = 2 << 20, /* bytes a reader is ready to take from one peer */
	RETRY_MS = 5000,         /* before asking again for what was refused or did not fit */
	MEETINGS_MAX = 64,       /* Hellos of others under way */
	RECEIPTS_MAX = 2 << 20,  /* bytes of one reader's receipts that wait for a commit; further ones are left out */
	HEADS_MAX = 2 << 20,     /* bytes of heads one peer showed that wait to be compared; it shows others again */
	ACTS_MAX =
		256, /* acts that wait for a commit; further ones are refused. Half is for those that node carries out */
};

struct node_options {
	const char *member;
	const struct node_keys *keys; /* copied */
	const uint8_t *boot;          /* BOOT_ID_LEN, random at each start */
	struct trust *trust;          /* a new reference is taken */
	uint64_t quota_bytes;         /* of one publisher's batches here; beyond it no credit is given. 0: none */
	uint64_t key_limit_ms;        /* how old a node key may get; 0: it is not watched */
	bool keep_anchor;             /* the ledger lacks the roster that the configuration pins */
};

int node_new(struct node **out, const struct node_options *options); /* 0 or -ENOMEM */
void node_free(struct node *n);

/* What is remembered, before the first step. `header` and `signature` are the head's. All borrowed. 0 or -ENOMEM. */
int node_load_channel(struct node *n, const struct channel_row *row, struct bytes header, const uint8_t *signature);
int node_load_receipt(struct node *n, const struct receipt_row *row);
int node_load_fork(struct node *n, const struct fork_row *row); /* after its channel */
void node_load_last_number(struct node *n, uint64_t number);

/* The setting in which a pin is kept, for one number, and what it says: the roster's digest and the anchor under which the operator chose
 * it. A pin holds as long as the configuration has that anchor: whoever changes it has chosen anew. */
#define NODE_PIN_SETTING "pinned roster "
/* The trust with a pin that was remembered; `name` begins with NODE_PIN_SETTING. As trust_pin(); TRUST_KNOWN also for one of another anchor. */
int node_remember_pin(struct trust **out, struct trust *t, const char *name, const char *value);
int node_load_blocked(struct node *n, const char *member, const char *reason);
void node_load_again(struct node *n); /* the ledger keeps batches apart whose events are to be published again */
int node_load_checkpoint(struct node *n, const char *value); /* of CHECKPOINT_SETTING; -EBADMSG: not one of ours */

/* The setting that says since when a node key is in use, for one number: milliseconds since 1970. */
#define NODE_KEY_SETTING "key since "
void node_load_key_since(struct node *n, const char *name, const char *value);

/* The setting that says when a backup was kept last: milliseconds since 1970 in decimal digits. */
#define NODE_BACKUP_SETTING "backup"

enum node_input_kind {
	NODE_TICK = 1,  /* time passed; due at the update's wake_ms; also the first input */
	NODE_UP,        /* connection (dialled) */
	NODE_DOWN,      /* connection, reason */
	NODE_FRAME,     /* connection, key, frame */
	NODE_BUSY,      /* connection: a frame has to wait until it takes more */
	NODE_READY,     /* connection: nothing waits any more */
	NODE_STUCK,     /* connection: more waits than may; all of it is gone */
	NODE_COMMITTED, /* jobs that are done, and what they changed (NULL: nothing) */
	NODE_FETCHED,   /* query of kind QUERY_FETCH, answered */
	NODE_NOTE,      /* text: a roster or card by hand; problems, act, tag */
	NODE_BLOCK,     /* member, block, reason, act, tag */
	NODE_PIN,       /* digest of the roster that counts among those with its number, act, tag */
	NODE_ACT,       /* act, tag: something else was done, for the audit trail */
	NODE_REPAIR,    /* damage, act, tag: asks for a batch again */
	NODE_BACKUP,    /* tag: a copy of the store is in a safe place now */
};
struct node_input {
	enum node_input_kind kind;
	uint64_t now_ms;     /* monotonic */
	uint64_t time_ms;    /* since 1970 */
	uint8_t entropy[32]; /* fresh for each input */
	uint32_t connection;
	const uint8_t *key;
	struct bytes frame; /* also `text` of NODE_NOTE */
	const char *reason;
	struct job *const *jobs;
	size_t n_jobs;
	const struct commit_changes *changes;
	struct query *query;
	struct problems *problems;
	const char *member;
	bool block;
	const struct digest *digest;
	const struct damage *damage;
	const struct act *
		act; /* who did it, for the audit trail; its result, and a note's object, are filled in; NULL: nobody did */
	uint64_t tag; /* of who waits until it is durable: NODE_KEPT says so when the result is 0; 0: nobody */
};

enum node_action_kind {
	NODE_SEND = 1, /* connection, frame (owned by the action) */
	NODE_HANG_UP,  /* connection */
	NODE_DIAL,     /* connection, endpoint, key */
	NODE_ALLOW,    /* the link keys of node_allowed() are in force now */
	NODE_REBIND,   /* drop every session that was dialled in */
	NODE_COMMIT,   /* job, taken by the loop */
	NODE_QUERY,    /* query, taken by the loop */
	NODE_KEPT,     /* tag, durable: what came with it is on disk, or could not be written and is tried again */
	NODE_LOG,      /* level (enum log_level), text */
};
struct node_action {
	enum node_action_kind kind;
	uint32_t connection;
	struct bytes frame;
	char *endpoint;
	uint8_t key[LINK_PUBLIC_LEN];
	struct job *job;
	struct query *query;
	uint64_t tag;
	bool durable;
	int level;
	char *text;
};
struct node_update {
	struct node_action *actions; /* in order; valid until node_update_clear() */
	size_t n_actions;
	uint64_t wake_ms; /* when a NODE_TICK is due */
	int result; /* of NODE_NOTE: 0 changed, 1 known, TRUST_REFUSED...; of NODE_BLOCK: 0 or -ENOENT; of NODE_PIN: 0 changed, 1 so it
		     * was, -ENOENT; of all -EAGAIN: nothing was done, too many acts wait for the disk */
};

/* 0 or -ENOMEM: the input was not taken in whole, so what the node believes may be behind what is stored and said; it is to be
 * ended and started from the store. Actions are appended to `up`; jobs and queries taken from an action are to be set
 * to NULL there. */
int node_step(struct node *n, const struct node_input *in, struct node_update *up);
void node_update_clear(struct node_update *up);

bool node_is_saving(const struct node *n);       /* something in force, or done, is on its way to the disk */
struct trust *node_trust(const struct node *n);  /* borrowed */
uint64_t node_last_number(const struct node *n); /* of the newest batch stored; 0: none */

/* Link keys that may connect now: n * 32 bytes in memory the caller frees. NULL: none (n 0) or out of memory (n SIZE_MAX). */
uint8_t *node_allowed(const struct node *n, size_t *n_keys);

/* What operators see; new references, NULL: out of memory. */
json_t *node_peers(const struct node *n, uint64_t now_ms);
json_t *node_channels(const struct node *n);
json_t *node_invite(
	const struct node *n); /* what a new member begins with: the roster in force and the cards under it */
json_t *node_repairs(const struct node *n);   /* batches that are asked for again */
json_t *node_rosters(const struct node *n);   /* those held, oldest first, then their rivals */
json_t *node_not_ready(const struct node *n); /* reasons why events cannot be published now; empty: ready */

const char *node_why_not_ready(const struct node *n); /* the first of them; NULL: ready */

/* Whether this node is given back what it published and lost: nothing may be published meanwhile. */
bool node_recovers(const struct node *n);
/* The key in use. `due_days`: alarms are due and it reaches its limit in so many days; `overdue_days`: it did so long ago; `newer`: the
 * number of a newer key on this member's card, which the node takes at its next start. 0: none of it. */
struct node_key_view {
	uint32_t number, newer;
	uint64_t age_ms, limit_ms, due_days, overdue_days;
};
void node_key(const struct node *n, uint64_t time_ms, struct node_key_view *out);

struct node_counters {
	uint64_t published, received, refused, stale, gaps, forks, forged, receipts;
	uint64_t raised, republished; /* channels of others that went back; events of ours that were published again */
	uint64_t disowned;            /* events of others that a thief had published */
	size_t live, members, channels, stopped, withheld;
	uint64_t behind;             /* events that readers have not acknowledged, summed over readers */
	uint64_t no_session;         /* frames of a session that is not ours */
	uint64_t refused_by_readers; /* batches or heads of ours */
	uint64_t lost;               /* sessions that ended since a frame was lost */
	uint64_t second_cards;       /* cards with the number of another one of their member */
	uint64_t same_keys;          /* sessions of members whose keys two nodes use */
	size_t repairs;              /* batches that the disk changed and that are asked for again */
	size_t disputes;             /* rosters that compete with one in force, unsettled */
};
void node_counters(const struct node *n, struct node_counters *out);

#endif
