/* delivery - decides what one plugin is given and when: the node's side of the plugin protocol (proto/enlight/plugin/v1).
 *
 * Events are read behind the cursor in the order in which this node stored them, and sent as the plugin's window allows, of one lane
 * (publisher and subject) one at a time. The cursor always moves: what the plugin could not do becomes a held row that is retried,
 * is dead until an operator acts, or is parked behind one of those of its lane. Cursor and held rows become durable together, so that
 * after a crash an event comes again or is on record, never neither.
 *
 * Rows that are retried fill the window: a plugin whose database is down is not given more than it can fail. After the end of a
 * process what it had is given out one at a time, and only who is alone with the plugin when it ends is counted against: after
 * DELIVERY_DEATHS_MAX it is dead.
 *
 * No I/O, no clock: the host feeds what happened in (delivery_step) and carries out the actions that come back. */
#ifndef ENLIGHT_CORE_DELIVERY_H
#define ENLIGHT_CORE_DELIVERY_H

#include "core/commit.h"
#include "core/query.h"

struct delivery;

enum {
	PLUGIN_PROTOCOL = 1,
	DELIVERY_BEAT_MS = 10000, /* the plugin says something at least this often; after three times that it is hung */
	DELIVERY_WINDOW_MAX = 4096,
	DELIVERY_DEATHS_MAX = 3,
	DELIVERY_HELD_MAX = 10000, /* held rows of one plugin; then it is given nothing new until some are settled */
	DELIVERY_PUBLISH_MAX = 64, /* Publishes of one plugin under way */
	DELIVERY_PAGE_BYTES = 1 << 20,  /* of events read at once */
	DELIVERY_AHEAD_BYTES = 8 << 20, /* of events not done, and again of those retried: no more are read */
	DELIVERY_RESTART_MIN_MS = 250,  /* before a process is started again; doubles */
	DELIVERY_RESTART_MAX_MS = 60000,
	DELIVERY_STABLE_MS = 60000,   /* a process that was ready for so long is started again at once */
	DELIVERY_RETRY_MIN_MS = 1000, /* before an event is retried; doubles */
	DELIVERY_RETRY_MAX_MS = 300000,
	DELIVERY_LINES = 100, /* of a plugin's words in DELIVERY_LINES_MS that reach the log */
	DELIVERY_LINES_MS = 10000,
	DELIVERY_LINE_MAX = 1000, /* bytes of one */
};

/* What the configuration says of a plugin. All is copied. Held rows of topics that are not (any more) among `topics` are dropped with
 * the first step, each with a line in the log, as an event of such a topic would be passed over now; those of erasures stay. */
struct delivery_options {
	const char *name, *member;
	char *const *topics, *const *publishes;
	size_t n_topics, n_publishes;
	bool own;
	const char *settings, *file, *folder; /* of Start; may be NULL */
	const char *state;                    /* folder of its own */
	uint64_t deadline_ms;                 /* silence while it has something to do */
};

/* 0, or -ENOMEM. Then what the ledger remembers: its cursor (without a call: the beginning) and its held rows, rising by place. */
int delivery_new(struct delivery **out, const struct delivery_options *options);
void delivery_free(struct delivery *d); /* NULL is a no-op */

/* The same with what `old`, which has finished, has come to; it can only be freed then. */
int delivery_renew(struct delivery **out, const struct delivery_options *options, struct delivery *old);
void delivery_load_cursor(struct delivery *d, const struct place *place);
int delivery_load_held(struct delivery *d, const struct held_row *row);

enum delivery_input_kind {
	DELIVERY_TICK = 1,  /* all that the process wrote until now, as far as delivery_listens(), was fed before */
	DELIVERY_FRAME,     /* `bytes`: a frame from the plugin, without its length */
	DELIVERY_GARBAGE,   /* what it wrote is no frame; `text`: why */
	DELIVERY_SAID,      /* `text`: a line of its stderr */
	DELIVERY_ENDED,     /* the process is gone; `text`: how */
	DELIVERY_STORED,    /* `last_number`: of the newest batch stored */
	DELIVERY_READ,      /* `query`: answered; borrowed, its events may be taken out */
	DELIVERY_COMMITTED, /* `job`: done or not; borrowed */
	DELIVERY_PUBLISHED, /* `answer` */
	DELIVERY_RETRY,     /* an operator: `place` again now. Result 0, -ENOENT, -EBUSY: it is parked */
	DELIVERY_RETRY_ALL, /* an operator: all rows that are not parked and that `filter` lets through. Result: how many */
	DELIVERY_DROP,      /* an operator: `place` never. Result 0, -ENOENT */
	DELIVERY_DRAIN,     /* finish what is open within `drain_ms`, then end: DELIVERY_FINISHED */
};

/* What became of a Publish; strings are borrowed. `run` is that of the action. */
struct delivery_answer {
	uint64_t run, number;
	unsigned status;
	const char *id, *audience;
	uint64_t revision, sequence;
	const struct digest *digest; /* NULL: nothing was published, and `problems` say why */
	const struct problems *problems;
};

/* NULL: any. */
struct held_filter {
	const char *source, *topic; /* a member; a pattern */
};

struct delivery_input {
	enum delivery_input_kind kind;
	uint64_t now_ms, time_ms; /* monotonic; since 1970 */
	struct bytes bytes;
	const char *text;
	uint64_t last_number;
	struct query *query;
	struct job *job;
	const struct delivery_answer *answer;
	struct place place;
	const struct held_filter *filter; /* borrowed */
	uint64_t drain_ms;
};

enum delivery_action_kind {
	DELIVERY_START = 1, /* start the process; what is sent next is for it */
	DELIVERY_SEND,      /* `bytes`: a frame, without its length; taken out by setting it to NULL */
	DELIVERY_KILL,      /* end the process at once; DELIVERY_ENDED follows */
	DELIVERY_QUERY,     /* `query`; taken out by setting it to NULL */
	DELIVERY_COMMIT,    /* `job`; taken out by setting it to NULL */
	DELIVERY_PUBLISH,   /* `bytes`: a CloudEvent in JSON; `run`, `number` for the answer; taken out like SEND's */
	DELIVERY_LOG,       /* `level` (base/log.h), `text` */
	DELIVERY_FINISHED,  /* drained, ended and committed: it can be freed */
};

struct delivery_action {
	enum delivery_action_kind kind;
	struct bytes bytes; /* owned */
	struct query *query;
	struct job *job;
	uint64_t run, number;
	int level;
	char *text; /* owned */
};

struct delivery_update {
	struct delivery_action *actions;
	size_t n_actions, size;
	uint64_t wake_ms; /* when a DELIVERY_TICK is due */
	int result;
};
void delivery_update_clear(struct delivery_update *up);

/* 0 or -ENOMEM: something was left out, and is tried again with the next input. */
int delivery_step(struct delivery *d, const struct delivery_input *in, struct delivery_update *up);

/* Whether more frames of the plugin should be read now: not while too many Publishes are under way. */
bool delivery_listens(const struct delivery *d);

struct delivery_counters {
	uint64_t done, retried, rejected, erased, restarts, published, dropped_lines;
	uint64_t behind;    /* batches stored behind the cursor */
	uint64_t oldest_ms; /* when the oldest event that is read and not settled was stored, since 1970; 0: none */
	size_t open, retrying, dead, parked;
	uint64_t unreadable; /* number of the damaged batch that it waits for; 0: none */
	bool ready;
};
void delivery_counters(const struct delivery *d, struct delivery_counters *out);

/* What operators see; new references, NULL: out of memory. A held row has `plugin`, `place`, `state`, `source`, `topic`, `sequence`,
 * `attempts`, `since_ms`, `next_ms` when it is retried, `reason`, and how many are `parked` behind it. */
json_t *delivery_json(const struct delivery *d);

/* A page of what is held: plugin by plugin, of each rising by place. */
struct held_page {
	const char *plugin;    /* only its; NULL: all */
	enum held_state state; /* 0: retrying and dead */
	size_t limit;
	char after_plugin[PLUGIN_NAME_MAX +
			  1]; /* what is behind `after` of this one; "": from the beginning. Answer: the last row */
	struct place after;
	json_t *letters; /* array, at most `limit` */
	bool more;       /* answer: the next page is not empty */
};

/* Appends the rows behind a place (NULL: all). 0 or -ENOMEM. */
int delivery_list_held(const struct delivery *d, struct held_page *page, const struct place *after);

/* One row, with the places of those `behind` it. JSON null: there is none. */
json_t *delivery_row_json(const struct delivery *d, const struct place *place);

const char *delivery_name(const struct delivery *d);
bool delivery_may_publish(const struct delivery *d, const char *topic);

#endif
