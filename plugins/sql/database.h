/* database - a connection over ODBC: statements with bound values, and what an error means for the event.
 *
 * An error is judged by SQLSTATE and the driver's own code. The driver's text is never read: it can quote rows. */
#ifndef ENLIGHT_SQL_DATABASE_H
#define ENLIGHT_SQL_DATABASE_H

#include "statement.h"

/* What is wrong; functions below return one of these, 0 or -ENOMEM. */
enum {
	DATABASE_LOST = 1, /* the connection is of no use any more: open a new one, later */
	DATABASE_LATER,    /* busy, deadlock, full: the same may work another time */
	DATABASE_MISMATCH, /* the mapping and the database do not fit: an operator must mend one of them */
	DATABASE_REFUSED,  /* it will never take these values */
	DATABASE_FAILS,    /* nobody knows why: perhaps because of these values, perhaps a new connection helps */
};
struct trouble {
	int what;
	char sqlstate[6];
	int native;
	const char *words; /* our own */
	const char *table; /* what it was about, in the mapping: its name, and a field there; or NULL */
	const void *at;
};

struct database;

/* Connects and sets the session up; a statement waits for locks of others no longer than `wait_ms`, then it is DATABASE_LATER.
 * On success the caller closes `*out`. */
int database_open(struct database **out, const char *connection, uint64_t wait_ms, struct trouble *trouble);
void database_close(struct database *db); /* NULL is a no-op */
char database_quote(const struct database *db);

/* Learns the types of the mapping's columns and reports what is missing or will not do (`misfit`), and what may not, each with
 * the field of the mapping it stands in. `done` says whether the table of applied events is there, and its indexes. */
typedef void database_report(void *context, bool misfit, const void *field, const char *text);
int database_look(struct database *db, struct mapping *m, bool done[static DONE_PARTS], database_report *report,
	void *context, struct trouble *trouble);

/* Runs a text, or a statement with its values (NULL among them is NULL). `*changed`: whether it changed any row. */
int database_do(struct database *db, const char *sql, struct trouble *trouble);
int database_run(struct database *db, const struct statement *s, const char *const *values, bool *changed,
	struct trouble *trouble);

/* Runs a query of two columns, calling `row` with the text of both (NULL is NULL) for each. */
int database_query(struct database *db, const struct statement *s, const char *const *values,
	void (*row)(void *context, const char *first, const char *second), void *context, struct trouble *trouble);

/* Every statement is part of a transaction; these end it. */
int database_commit(struct database *db, struct trouble *trouble);
void database_rollback(struct database *db);

#endif
