/* ledger - the durable state as core sees it: what a commit reads and writes, and what a query reads.
 *
 * core decides, but opens no file: whoever keeps the state hands these two tables of functions in (node/store for SQLite, the
 * simulator for its memory). Ids, subjects and persons appear only as keyed names (keys.h), bodies only sealed.
 *
 * Batches are numbered 1, 2, 3 as this node stored them, whatever their channel; a number may be left out. A place is a
 * batch's number and a slot's index from 0. */
#ifndef ENLIGHT_CORE_LEDGER_H
#define ENLIGHT_CORE_LEDGER_H

#include "core/digest.h"
#include "core/keys.h"
#include "core/limits.h"

enum {
	LEDGER_NONE = 1, /* there is no such row */
	LEDGER_FULL,     /* the disk, or its limit, is reached: nothing more may be added in this transaction */
	LEDGER_HELD,     /* there is such a row already, and it stays */
};

struct place {
	uint64_t number;
	uint32_t index;
};

/* A channel's copy. `audience` is owned by the row; release with channel_row_deinit(). */
struct channel_row {
	uint64_t id; /* 0: not in the ledger yet */
	char publisher[HANDLE_MAX + 1];
	char *audience;
	uint32_t incarnation;      /* of the head; 0: empty */
	uint64_t first;            /* lowest sequence held */
	uint64_t last;             /* highest; 0: empty */
	struct digest head;        /* digest of the last header; zero: empty */
	uint32_t key;              /* highest key number met; it never falls */
	uint64_t uncovered;        /* leaf-only slots that no erasure lists */
	uint64_t bytes;            /* of all batches held */
	uint64_t stopped;          /* a fork was proved: from this sequence on nothing more is accepted; 0: none */
	uint32_t next_incarnation; /* our own: the incarnation that the next batch begins; 0: it goes on in this one */
};
void channel_row_deinit(struct channel_row *row);

/* A batch as it lies on disk. From the ledger: views that stay valid until the next call; to it: borrowed. */
struct batch_row {
	uint64_t number, channel;
	uint32_t incarnation;
	uint64_t first;
	uint32_t count;
	struct digest digest;                          /* of the header */
	struct bytes header, signature, body, wrapped; /* wrapped: the batch key, by the store's wrap key */
	uint64_t stored_ms;                            /* by this node's clock */
	bool erases; /* only to the ledger, never from it: an erasure is in it, for which space is kept */
};

/* An object's last revision. */
struct object_row {
	uint64_t revision;
	struct digest data; /* keyed digest of the data (index_data) */
	struct digest leaf;
	struct place place;
};

/* What this node found out about an event when it took it in. */
enum mark_kind { MARK_REFUSED = 1, MARK_STALE };

/* Whence a batch comes that is kept apart, and whose events are published again. */
enum origin {
	ORIGIN_NONE,    /* they are not: another's channel, or not kept apart */
	ORIGIN_READERS, /* readers gave it back: it is older than what this node put in its place */
	ORIGIN_OWN,     /* it stood in this node's own history */
};

/* A reader's receipt, or this node's own (then `reader` is this member). */
struct receipt_row {
	uint64_t channel;
	const char *reader;
	uint32_t incarnation;
	uint64_t to, uncovered, time_ms;
	struct bytes packed;
	const uint8_t *signature; /* SIGNATURE_LEN */
};

/* How far a plugin has come: every event up to this place is done, or has a row of its own below. */
struct cursor_row {
	const char *plugin;
	struct place place;
};

/* An event that a plugin has not done, though its cursor has passed it. */
enum held_state {
	HELD_RETRYING = 1, /* the plugin gets it again */
	HELD_DEAD,         /* it does not, until an operator says so */
	HELD_PARKED,       /* it waits for an earlier one of the same lane that is one of these */
};
enum { PLUGIN_NAME_MAX = 32, HELD_REASON_MAX = 255 };
struct held_row {
	char plugin[PLUGIN_NAME_MAX + 1];
	struct place place;
	uint64_t channel; /* row id */
	uint64_t sequence;
	char source[HANDLE_MAX + 1];
	char topic[TYPE_MAX + 1];
	struct index_key lane; /* of its publisher and subject (index_lane) */
	enum held_state state;
	uint32_t attempts; /* deliveries that came to nothing */
	uint32_t deaths;   /* those of them that the plugin did not survive */
	uint64_t next_ms;  /* retrying: not before this, since 1970 */
	uint64_t since_ms; /* since 1970 */
	char reason[HELD_REASON_MAX + 1];
};

/* Two signed headers of one channel that contradict each other. */
struct fork_row {
	uint64_t channel;
	struct bytes header_a, signature_a, header_b, signature_b;
};

/* Everything below runs inside one transaction of the only writer. Each answers 0, what it names, or a negative errno. */
struct ledger_ops {
	int (*channel_find)(void *ledger, const char *publisher, const char *audience, struct channel_row *out);
	int (*channel_put)(void *ledger, struct channel_row *row); /* adds (and fills in id) or replaces */

	uint64_t (*next_number)(void *ledger); /* takes one; it stays taken even when rolled back */
	int (*batch_add)(void *ledger, const struct batch_row *row);            /* also LEDGER_FULL */
	int (*batch_get)(void *ledger, uint64_t number, struct batch_row *out); /* also LEDGER_NONE */
	/* Puts header, signature, body, wrapped key and digest of a batch that is there in the place of what the disk changed; all else
	 * stays. Also LEDGER_NONE. */
	int (*batch_mend)(void *ledger, const struct batch_row *row);
	/* The batch of the channel's present history whose last event has this sequence; LEDGER_NONE: no batch ends there. */
	int (*batch_ending)(void *ledger, uint64_t channel, uint64_t last, struct batch_row *out);
	/* The batch of the present history that holds this sequence. */
	int (*batch_holding)(void *ledger, uint64_t channel, uint64_t sequence, struct batch_row *out);
	/* Takes every batch above this sequence out of the history and keeps it apart, with what was indexed for it. `again`: its events are
	 * to be published again (ORIGIN_OWN). */
	int (*set_aside)(void *ledger, uint64_t channel, uint64_t above, bool again);
	/* Keeps a batch apart that never was in the history here, to be published again (ORIGIN_READERS), with the events and revisions in it. It
	 * goes on above this sequence of the present history. Also LEDGER_FULL. */
	int (*aside_add)(void *ledger, const struct batch_row *row, uint64_t above);
	int (*aside_event)(void *ledger, const struct index_key *key, const struct place *place);
	int (*aside_object)(void *ledger, const struct index_key *key, const struct object_row *row);
	/* Of a batch that is kept apart, by its header's digest: above which sequence it left the present history. LEDGER_NONE. */
	int (*aside_find)(void *ledger, uint64_t channel, const struct digest *digest, uint64_t *above);
	int (*aside_named)(void *ledger, uint64_t channel, const struct digest *digest, struct batch_row *out);
	/* The one of an incarnation that holds this sequence; LEDGER_NONE. */
	int (*aside_holding)(
		void *ledger, uint64_t channel, uint32_t incarnation, uint64_t sequence, struct batch_row *out);
	/* The first to be published again, those of readers before our own; LEDGER_NONE. And that it was. */
	int (*aside_next)(void *ledger, struct batch_row *out, enum origin *origin);
	int (*aside_done)(void *ledger, uint64_t number);
	int (*aside_again)(void *ledger, uint64_t number); /* that it is not done after all */
	int (*aside_origin)(void *ledger, const struct index_key *event, enum origin *out); /* of an event */
	/* An object's highest revision in what is kept apart; 0: none. */
	int (*aside_revision)(void *ledger, const struct index_key *key, uint64_t *out);

	int (*event_find)(void *ledger, const struct index_key *key, struct place *out);
	int (*event_add)(void *ledger, const struct index_key *key, const struct place *place); /* also LEDGER_HELD */
	int (*object_find)(void *ledger, const struct index_key *key, struct object_row *out);
	int (*object_put)(void *ledger, const struct index_key *key, const struct object_row *row);
	int (*person_add)(
		void *ledger, const struct index_key *key, uint64_t number); /* one row per person and batch */
	int (*mark_add)(void *ledger, const struct place *place, enum mark_kind kind, const char *text);

	/* Sequences of leaf-only slots that no erasure has listed yet. Removing one that is not there: LEDGER_NONE. */
	int (*uncovered_add)(void *ledger, uint64_t channel, uint64_t sequence);
	int (*uncovered_remove)(void *ledger, uint64_t channel, uint64_t sequence);

	int (*receipt_find)(void *ledger, uint64_t channel, const char *reader, struct receipt_row *out);
	int (*receipt_put)(
		void *ledger, const struct receipt_row *row); /* keeps the newest of each reader and channel */
	int (*receipt_remove)(void *ledger, uint64_t channel, const char *reader); /* also when there is none */
	/* Keeps a text for ever, behind those that were put before it; one that is there keeps its place. */
	int (*note_put)(void *ledger, const char *kind, const char *member, uint32_t number, struct bytes text);
	/* Keeps them as evidence. LEDGER_HELD: there is one for the first header already, and one is enough. */
	int (*fork_put)(void *ledger, uint64_t channel, struct bytes header_a, struct bytes signature_a,
		struct bytes header_b, struct bytes signature_b);
	int (*setting_put)(void *ledger, const char *name, const char *value); /* value NULL: removes */
	int (*cursor_put)(void *ledger, const struct cursor_row *row);
	int (*held_put)(void *ledger, const struct held_row *row);                       /* adds or replaces */
	int (*held_remove)(void *ledger, const char *plugin, const struct place *place); /* also LEDGER_NONE */

	/* A part of the transaction that can be undone alone; not nested. */
	int (*savepoint)(void *ledger);
	int (*rollback)(void *ledger); /* to the savepoint, which is gone then */
	int (*release)(void *ledger);
};

/* What queries read, in another thread than the writer's: what was committed, in short transactions. Callbacks answer 0 to go
 * on, anything else ends the walk and becomes its result. Views are valid during the callback. What is asked for in a callback is answered
 * as of the moment at which its walk began. */
typedef int (*batch_visit)(void *context, const struct batch_row *row);
typedef int (*channel_visit)(void *context, const struct channel_row *row);
typedef int (*receipt_visit)(void *context, const struct receipt_row *row);
typedef int (*note_visit)(void *context, const char *kind, const char *member, uint32_t number, struct bytes text);
typedef int (*setting_visit)(void *context, const char *name, const char *value);
typedef int (*cursor_visit)(void *context, const struct cursor_row *row);
typedef int (*held_visit)(void *context, const struct held_row *row);
typedef int (*fork_visit)(void *context, const struct fork_row *row);
typedef int (*mark_visit)(void *context, uint32_t index, enum mark_kind kind, const char *text);

struct archive_ops {
	int (*channels)(void *archive, channel_visit visit, void *context);
	int (*receipts)(void *archive, receipt_visit visit, void *context); /* all channels, all readers */
	int (*notes)(void *archive, note_visit visit, void *context);       /* in the order in which they were put */
	int (*settings)(void *archive, setting_visit visit, void *context);
	int (*cursors)(void *archive, cursor_visit visit, void *context); /* of all plugins */
	int (*held)(void *archive, held_visit visit, void *context);      /* of all plugins, rising by place */
	int (*forks)(void *archive, fork_visit visit, void *context);     /* of all channels */

	/* Batches of all channels with number >= `from`, rising (the present history only). */
	int (*batches)(void *archive, uint64_t from, batch_visit visit, void *context);
	/* Batches of one channel's present history that hold events above `after`, rising by sequence. */
	int (*channel_batches)(void *archive, uint64_t channel, uint64_t after, batch_visit visit, void *context);
	int (*batch_ending)(void *archive, uint64_t channel, uint64_t last, batch_visit visit, void *context);
	int (*aside)(void *archive, uint64_t channel,
		const struct digest *digest); /* whether it is kept apart; LEDGER_NONE */
	int (*aside_pends)(void *archive);    /* whether any is to be published again; LEDGER_NONE */
	int (*event)(void *archive, const struct index_key *key, struct place *out);
	int (*batch)(void *archive, uint64_t number, batch_visit visit, void *context); /* LEDGER_NONE */
	int (*marks)(void *archive, uint64_t number, mark_visit visit, void *context);
	uint64_t (*last_number)(void *archive);
};

#endif
