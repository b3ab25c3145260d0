/* odbc - what those share who speak it: database.c runs statements, look.c reads the catalogue. */
#ifndef ENLIGHT_SQL_ODBC_H
#define ENLIGHT_SQL_ODBC_H

#include "database.h"

#include <sql.h>
#include <sqlext.h>

enum { ODBC_NAME_LEN = 128 }; /* of a name in the catalogue, with its NUL */

/* What differs between databases. `closer` is a query by table and schema for columns, each with letters: m: it must have a
 * value, and nothing gives it one; c: it takes a for A; t: its table has no transactions. */
struct dbms {
	const char *name;       /* as it calls itself */
	const char *session[2]; /* said first; times are in UTC, and values are not cut to fit */
	struct wait {
		const char *sql; /* the number comes behind it */
		unsigned unit_ms;
	} waits[2];              /* how long a statement waits for a lock */
	const char *wait_option; /* of the connection, in milliseconds: its driver waits by itself */
	const char *schema;      /* query for the schema of names without one; NULL: its driver knows */
	const char *closer;
	bool catalogs; /* what stands in front of a table is to ODBC a catalogue */
};

struct database {
	SQLHENV environment;
	SQLHDBC connection;
	bool connected;
	char quote;
	const struct dbms *dbms;
	SQLHSTMT *prepared; /* by the number of the statement */
	unsigned n_prepared;
};

/* What is wrong with a handle of the connection; with a statement, which is closed and named (`s` may be NULL). Returns
 * `out->what`. */
int odbc_judge(struct database *db, SQLSMALLINT type, SQLHANDLE handle, struct trouble *out);
int odbc_judge_statement(struct database *db, SQLHSTMT h, const struct statement *s, struct trouble *out);

/* Binds a text, which `*len` stays with, to the parameter `at` (from 1); NULL is NULL. */
SQLRETURN odbc_bind(SQLHSTMT h, SQLUSMALLINT at, const struct column_type *type, const char *value, SQLLEN *len);

/* Goes to the next row. 0; ODBC_END: there is none; else as odbc_judge_statement(). */
enum { ODBC_END = 100 };
int odbc_next(struct database *db, SQLHSTMT h, const struct statement *s, struct trouble *out);

/* The text of a column in the row at hand, `*text` NULL where it is NULL (`text` may be NULL itself: that is "" then). False: it cannot be
 * had. */
bool odbc_cell(SQLHSTMT h, SQLUSMALLINT at, char *out, size_t size, const char **text);

#endif
