/* work - one event made into statements with values, and the order they run in.
 *
 * Made ready without a database, so that what is wrong with the event itself is known before a transaction is touched; run
 * through an executor, which is a database or, for --dry-run, a printer. */
#ifndef ENLIGHT_SQL_WORK_H
#define ENLIGHT_SQL_WORK_H

#include "statement.h"

enum { WORK_REASON_MAX = 256 };

/* The event and where it stood. `json` as of enlight_event_json(). */
struct work_event {
	json_t *json;
	const char *source, *id, *topic, *subject, *time, *audience;
	uint64_t revision, sequence, settled;
	uint32_t incarnation;
};

struct work_rows {
	char ***items; /* for each its key's and columns' values */
	size_t n;
};

struct work_table {
	const struct table *table;
	const struct table_sql *sql;
	bool withdraw;
	char **texts; /* of the key, of the columns */
	char *revision, *time;
	const char *person;
	struct work_rows *rows;
};

/* The zeroed value is empty; release with work_deinit(). */
struct work {
	const struct sql *sql;
	char *done[DONE_VALUES];
	char *own_object; /* digest of what the event is the state of */
	uint64_t revision;
	bool prune;
	struct work_table *tables; /* none: the mapping has nothing for it */
	size_t n_tables;
};

/* Makes an event ready. 0; WORK_REFUSED: it can never be a row, `reason` says why, without values; -ENOMEM. */
enum { WORK_REFUSED = 1 };
int work_prepare(
	struct work *out, const struct sql *sql, const struct work_event *event, char reason[static WORK_REASON_MAX]);
void work_deinit(struct work *w);

/* How many rows it can write. */
size_t work_size(const struct work *w);

/* What carries statements out. Both return 0, or what work_run() is to return. `note` is for people. */
struct executor {
	void *context;
	int (*run)(
		void *context, const struct statement *s, const char *const *values, const char *note, bool *changed);
	/* Whether the event was applied before, and up to which revision its object is withdrawn (0: it is not). */
	int (*seen)(
		void *context, const struct statement *s, const char *const *values, bool *done, uint64_t *withdrawn);
};

/* Applies the event, once. 0 or what the executor said; the transaction is the caller's. */
int work_run(const struct work *w, const struct executor *x);

/* What a publisher wants forgotten; lists end with NULL, and each may be NULL. */
struct work_erasure {
	const char *source, *person;
	const char *const *ids, *const *subjects;
};

/* Forgets: what became of subjects and person, and that the events are not to come again. 0, -ENOMEM, or what the executor
 * said. */
int work_erase(const struct sql *sql, const struct work_erasure *e, const struct executor *x);

#endif
