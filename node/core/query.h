/* query - reads what was committed: pages of events for the API, one event, and batches for a peer that fetches.
 *
 * Run in the read worker (query_run), which has the store's keys; asked and answered as values, like the jobs of a commit. */
#ifndef ENLIGHT_CORE_QUERY_H
#define ENLIGHT_CORE_QUERY_H

#include "core/check.h"
#include "core/event.h"
#include "core/ledger.h"
#include "core/trust.h"

enum query_kind { QUERY_EVENTS = 1, QUERY_EVENT, QUERY_FETCH, QUERY_DELIVERIES, QUERY_EVIDENCE, QUERY_CHECK };

/* Which events: every one that is set must match. Strings are owned by the query. */
struct event_filter {
	char *source, *topic, *subject, *audience; /* topic may be a pattern */
	char **readable; /* topic patterns that the asker may read; NULL: all, he is an operator */
	size_t n_readable;
	bool self; /* without `topic`: also what the node says to itself (topic.h) */
};

struct events_query {
	struct event_filter filter;
	struct place after; /* cursor: events behind this place; {0, 0} from the beginning */
	bool from_start;    /* `after` is not set: the very first place counts too */
	unsigned limit;     /* 1..1000 */
	bool with_data;
	/* Answer: */
	json_t *events; /* array of objects as event_to_json(), with cursor, sequence, incarnation, received, state, reason */
	struct place next; /* behind the last place looked at: where the next page begins */
	/* The scan budget, the limit or a damaged batch, at which the next page fails, ended the page; false: all that is stored was looked at. */
	bool more;
};
struct event_query {
	char *source, *id;
	struct event_filter filter; /* readable only */
	bool with_data;
	json_t *event; /* NULL: there is none that the asker may read */
};

/* Batches of one channel behind a place, as Deliver frames' content for one session. */
struct fetch_query {
	uint64_t channel;
	uint32_t incarnation; /* of what the asker holds */
	uint64_t sequence;
	struct digest digest;
	bool headers_only;
	bool own; /* our own channel: where it is in a later incarnation, the place must be one that is kept apart here */
	size_t max_bytes; /* stop when this much is gathered; at least one batch */
	uint8_t session_key[32];
	/* Answer: */
	struct fetched {
		struct bytes header, body; /* owned */
		uint8_t signature[SIGNATURE_LEN];
		uint8_t wrapped[WRAPPED_KEY_LEN]; /* by the session's key */
		uint32_t incarnation;
		uint64_t first, last;
		struct digest digest;
	} * batches;
	size_t n_batches;
	bool no_such_place; /* what the asker holds is not in the history, and no later incarnation says so: it may hold more than we */
};

/* What an erasure asks to be forgotten: `sequences` are all that it lists. All owned; lists of texts end with NULL. */
struct erased {
	uint64_t *sequences; /* rising */
	size_t n_sequences, n_looked_up;
	struct place *places; /* of those that are stored, whatever their topics: not for the plugin */
	size_t n_places;
	char **ids, **subjects; /* of those that this node still has and the plugin may read */
	size_t n_ids;
	char *person; /* identifier, when there are such, or the plugin may read erasures; or NULL */
};

/* One event as a plugin gets it. */
struct delivered {
	struct place place;
	uint64_t channel; /* row id */
	char source[HANDLE_MAX + 1];
	char *audience; /* owned */
	uint32_t incarnation;
	uint64_t sequence;
	struct digest leaf;
	struct index_key lane;
	char topic[TYPE_MAX + 1];
	struct bytes packed; /* owned */
	bool stale;
	uint64_t stored_ms;
	struct erased *erased; /* owned; NULL: not an erasure */
	bool unreadable;       /* the disk changed its batch: there is the place and nothing else */
};
void delivered_deinit(struct delivered *d);
size_t delivered_bytes(const struct delivered *d); /* of memory, about */

/* Events for a plugin: behind a place, or at given ones. What this node refused, and what no longer has a body, is never given. An erasure
 * is always given, whatever the topics; of what it lists a plugin is told ids and subjects where `allowed` lets it read them. */
struct deliveries_query {
	char member[HANDLE_MAX + 1]; /* this node's; its own events only with `own` */
	bool own;
	char **allowed, **wanted; /* topic patterns, both must match; owned; n_wanted 0: all that are allowed */
	size_t n_allowed, n_wanted;
	struct place after;           /* number 0: from the beginning */
	size_t max_events, max_bytes; /* of a page; at least one event is given */
	struct place *places;         /* owned; not NULL: these, whatever their topics, and no page */
	size_t n_places;              /* answered: so many were looked at */
	/* An erasure that lists more than one round looks up: answered without it, and with `more`. Given with the next query, which for
	 * places is about this one alone, it goes on there. Owned; `erased` NULL: none. */
	struct delivered unfinished;
	/* Answer: */
	struct delivered *events; /* owned; rising by place */
	size_t n_events;
	struct place next;   /* the last place looked at */
	bool more;           /* a limit or the scan budget ended the page; false: all that is stored was looked at */
	uint64_t unreadable; /* of a page, with -EBADMSG: number of the batch behind `after` that the disk changed */
};

/* The evidence of one event, or of a fork of one channel, as a file (evidence.h). */
struct evidence_query {
	char *source, *id;          /* `id` NULL: of a fork */
	char *audience;             /* then of the channel for these */
	struct event_filter filter; /* readable only */
	struct trust *trust;        /* a reference, the query's */
	/* Answer: */
	struct bytes file; /* owned; data NULL: there is no such event or fork, or none that the asker may read */
};

struct query {
	enum query_kind kind;
	uint64_t tag;        /* the loop's own */
	uint32_t connection; /* the same */
	int result;          /* 0, or a negative errno */
	union {
		struct events_query events;
		struct event_query event;
		struct fetch_query fetch;
		struct deliveries_query deliveries;
		struct evidence_query evidence;
		struct check_query check;
	};
};
struct query *query_new(enum query_kind kind); /* NULL: out of memory */
void query_free(struct query *q);              /* NULL is a no-op */

/* deliveries.c */
int deliveries_run(
	const struct store_keys *keys, const struct archive_ops *ops, void *archive, struct deliveries_query *query);
void deliveries_deinit(struct deliveries_query *query);

/* evidence_read.c. `may_read` answers 0 when the asker may see a packed event, LEDGER_NONE when not, or -ENOMEM. */
int evidence_run(const struct store_keys *keys, const struct archive_ops *ops, void *archive,
	struct evidence_query *query, int (*may_read)(const struct event_filter *filter, struct bytes event));

struct querier; /* holds the store's keys */
struct querier *querier_new(const struct store_keys *store_keys);
void querier_free(struct querier *q);

/* Answers one query from the archive; it opens at most QUERY_SCAN_BATCHES batches, and passes over more by their headers.
 * `random_seed` for wrapping. */
enum { QUERY_SCAN_BATCHES = 64 };
void query_run(struct querier *q, const struct archive_ops *ops, void *archive, struct query *query,
	const uint8_t random_seed[static 32]);

#endif
