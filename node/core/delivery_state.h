/* delivery_state - what the parts of delivery share. Private to delivery.c, delivery_held.c and delivery_view.c. */
#ifndef ENLIGHT_CORE_DELIVERY_STATE_H
#define ENLIGHT_CORE_DELIVERY_STATE_H

#include "core/delivery.h"

enum run_state {
	RUN_WAITING = 1, /* for start_ms */
	RUN_STARTING,    /* Start is sent, Ready is awaited */
	RUN_READY,
	RUN_DRAINING, /* Drain is sent */
	RUN_ENDING,   /* killed; its end is awaited */
	RUN_FINISHED, /* drained and gone */
};

/* An event in memory: of a page, or of a held row that is retried. */
struct item {
	struct delivered event;
	uint64_t number; /* of its Deliver; 0: not open */
	uint64_t behind; /* of a page: the Deliver that it was seen to wait for; 0: none */
	uint64_t sent_ms;
	uint32_t attempt;
	size_t part;  /* of an erasure: so many frames of it are done */
	bool alone;   /* it was open with others when a process ended: nothing else is given out beside it */
	bool settled; /* of a page: done, or held */
};

/* Of a channel: what lies below `safe` comes no more, also after a crash of the node. */
struct floor {
	uint64_t channel;
	uint32_t incarnation;
	uint64_t passed; /* by the cursor: every sequence below */
	uint64_t next;   /* what the running commit makes safe */
	uint64_t safe;
};

/* Lanes that may not be entered, counted by hash: most questions are answered without a look at the rows. */
enum { LANE_SLOTS = 1024 };

struct open {
	uint64_t number;
	struct place place;
	struct index_key lane;
	bool retry; /* in `retries`, else in the page */
};

struct delivery {
	char name[PLUGIN_NAME_MAX + 1], member[HANDLE_MAX + 1];
	char **topics, **publishes, **wanted; /* configured; by Ready */
	size_t n_topics, n_publishes, n_wanted;
	bool own;
	char *settings, *file, *folder, *state_folder;
	uint64_t deadline_ms;

	enum run_state run_state;
	uint64_t run; /* counts processes */
	uint64_t start_ms, ready_ms, heard_ms, busy_ms, drain_until_ms;
	uint64_t deaf_ms;    /* when the node last did not listen */
	bool killed;         /* the process that ends was told so */
	uint64_t backoff_ms; /* before the next start; 0: at once */
	bool draining;       /* the node asked for the end */
	char version[64], last_error[128];
	size_t window;
	bool lanes;

	struct place cursor, committed, read_to; /* committed: durable; read_to: pages are read up to here */
	uint64_t last_number;
	bool more;                   /* there is something behind read_to */
	bool reading;                /* a page is on its way */
	uint64_t unreadable;         /* number of the batch behind read_to that the disk changed; 0: none is known */
	uint64_t unreadable_said_ms; /* when the log said so last */
	bool loading;                /* held rows are on their way */

	struct item *page;                       /* rising by place; page[head] is the first that counts */
	size_t head, n_page, size_page, waiting; /* waiting: none before it is to be sent */
	struct item *retries;                    /* rising by place */
	size_t n_retries, size_retries;
	size_t ahead_bytes, retry_bytes; /* of what is not settled of the page; of `retries` */
	/* Erasures of the page, and of a held row, whose lists the next query goes on with. */
	struct delivered unfinished, unfinished_row;
	struct open *opens;
	size_t n_opens, size_opens; /* in the order in which they were sent: rising by number */
	bool suspects;              /* some item may have to go out alone */
	bool exclusive;             /* what is open must be alone */
	uint16_t open_lanes[LANE_SLOTS], held_lanes[LANE_SLOTS];
	uint64_t next_delivery;

	struct held_row *held; /* rising by place */
	size_t n_held, size_held;
	size_t n_retrying, n_dead, n_parked;
	uint64_t due_ms; /* the earliest next_ms of what is retried; UINT64_MAX: nothing is */
	bool held_changed;
	bool narrowed; /* held rows are of the topics */
	/* Places whose rows changed since the last commit: there now, or not any more. The first n_sent are in the running commit. There is
	 * always room for every row that is not among them, so that a change of a row never lacks memory. */
	struct place *dirty;
	bool *is_dirty; /* by row */
	size_t n_dirty, n_sent, size_dirty, size_is_dirty;
	bool committing;
	bool worked;           /* the plugin did something since: the cursor is worth a commit at once */
	uint64_t commit_ms;    /* when the last one began */
	uint64_t not_again_ms; /* one failed: not before */
	bool full_said;

	struct floor *floors;
	size_t n_floors, size_floors;

	size_t n_publishing;
	uint64_t lines_ms;
	unsigned lines, lines_left_out;

	struct delivery_counters counters;

	/* Of the present step. */
	uint64_t now_ms, time_ms;
	struct delivery_update *update;
	bool short_of_memory;
};

static inline int place_compare(const struct place *a, const struct place *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* Makes room for one more item of `item` bytes; false: out of memory, which the step reports. */
bool delivery_grow(struct delivery *d, void *array, size_t n, size_t *size, size_t item);
struct delivery_action *delivery_act(struct delivery *d, enum delivery_action_kind kind);
void delivery_log(struct delivery *d, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The retry at a place, or (`found` false) where it would be. */
size_t retry_seek(const struct delivery *d, const struct place *place, bool *found);

/* delivery_held.c */
void delivery_cut(char *out, size_t size, const char *text); /* as much as fits, in whole characters (UTF-8) */
struct held_row *held_at(const struct delivery *d, const struct place *place); /* NULL: none */
size_t held_behind(const struct delivery *d, const struct place *place);  /* index of the first row behind a place */
bool held_blocks(const struct delivery *d, const struct index_key *lane); /* a row of the lane is held */
/* Puts an event on record. False: out of memory, it is not; it must not be passed. */
bool held_add(struct delivery *d, const struct delivered *event, enum held_state state, uint32_t attempts,
	uint32_t deaths, uint64_t retry_after_ms, const char *reason);
/* Tries a row again: after `retry_after_ms` (0: as the attempts say). */
void held_again(struct delivery *d, struct held_row *row, uint64_t retry_after_ms, const char *reason);
void held_die(struct delivery *d, struct held_row *row, const char *reason);
/* Takes a row off the record; the next of its lane is tried then. */
void held_settle(struct delivery *d, const struct place *place);
void held_narrow(struct delivery *d); /* drops rows that are not of its topics */
void held_load(struct delivery *d);   /* asks for the events of rows that are due */
void held_loaded(struct delivery *d, struct deliveries_query *query);
void held_commit(struct delivery *d); /* makes what changed durable, when it is time */
void held_committed(struct delivery *d, const struct delivery_job *job);
void held_count_lane(struct delivery *d, const struct index_key *lane, int by);

static inline size_t lane_slot(const struct index_key *lane)
{
	return ((size_t)lane->bytes[8] << 8 | lane->bytes[9]) % LANE_SLOTS;
}

#endif
