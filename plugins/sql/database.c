#include "odbc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOGIN_TIMEOUT_S = 10, CELL_LEN = 96 };

/* ---- what differs between databases ---- */

/* clang-format off */
#define MARIADB .session = {"SET time_zone = '+00:00'", "SET sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"}, \
	.waits = {{"SET innodb_lock_wait_timeout = ", 1000}, {"SET lock_wait_timeout = ", 1000}}, .catalogs = true, \
	.closer = "SELECT c.column_name, CONCAT(IF(c.is_nullable = 'NO' AND c.column_default IS NULL AND" \
		  " c.extra NOT LIKE '%auto_increment%' AND c.extra NOT LIKE '%GENERATED%', 'm', '')," \
		  " IF(RIGHT(c.collation_name, 4) <> '_bin' AND LOCATE('_cs', c.collation_name) = 0, 'c', '')," \
		  " IF(t.engine NOT IN (SELECT engine FROM information_schema.engines WHERE transactions = 'YES'), 't', ''))" \
		  " FROM information_schema.columns c JOIN information_schema.tables t" \
		  " ON t.table_schema = c.table_schema AND t.table_name = c.table_name" \
		  " WHERE c.table_name = ? AND c.table_schema = COALESCE(NULLIF(?, ''), DATABASE())"
static const struct dbms systems[] = {
	{"MariaDB", MARIADB},
	{"MySQL", MARIADB},
	{"PostgreSQL", .session = {"SET TIME ZONE 'UTC'"}, .waits = {{"SET lock_timeout = ", 1}},
		.schema = "SELECT current_schema()",
		.closer = "SELECT column_name, 'm' FROM information_schema.columns WHERE table_name = ? AND table_schema = ?"
			  " AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'"},
	{"SQLite", .wait_option = "Timeout",
		.closer = "SELECT name, 'm' FROM pragma_table_info(?, NULLIF(?, '')) WHERE \"notnull\" AND dflt_value IS NULL"
			  " AND NOT (pk = 1 AND upper(type) = 'INTEGER')"},
};
/* clang-format on */
static const struct dbms other_system = {""};

/* What an error means: the first row that fits. A state is a class or a whole one. Of what comes with success only a class
 * 01 that stands here counts: MariaDB's driver calls it that when a strict server took nothing. */
static const struct verdict {
	const char *dbms, *state;
	int native; /* 0: any */
	int what;
	const char *words;
} verdicts[] = {
	{"SQLite", "HY000", 1, DATABASE_MISMATCH, "the database does not know a table or column of it"},
	{"SQLite", "HY000", 5, DATABASE_LATER, "the database is busy"},
	{"SQLite", "HY000", 6, DATABASE_LATER, "the database is busy"},
	{"SQLite", "HY000", 8, DATABASE_LATER, "the database can only be read"},
	{"SQLite", "HY000", 13, DATABASE_LATER, "the disk is full"},
	{"SQLite", "HY000", 18, DATABASE_REFUSED, "a value is too large for the database"},
	{"SQLite", "HY000", 19, DATABASE_REFUSED, "a constraint of the database forbids it"},
	{"SQLite", "HY000", 20, DATABASE_REFUSED, "a value is not of the column's type"},
	{"MariaDB", NULL, 1021, DATABASE_LATER, "the disk is full"},
	{"MariaDB", NULL, 1114, DATABASE_LATER, "the table is full"},
	{"MariaDB", NULL, 1205, DATABASE_LATER, "another transaction held a lock too long"},
	{"MariaDB", NULL, 1213, DATABASE_LATER, "a deadlock with another transaction"},
	{"MariaDB", NULL, 1290, DATABASE_LOST, "the database can only be read"},
	{"MariaDB", NULL, 1364, DATABASE_MISMATCH, "a column that must have a value is not in the mapping"},
	{"MariaDB", NULL, 1366, DATABASE_REFUSED, "a value is not of the column's type"},
	{"MariaDB", NULL, 1836, DATABASE_LOST, "the database can only be read"},
	{"MariaDB", NULL, 3819, DATABASE_REFUSED, "a constraint of the database forbids it"},
	{"MariaDB", NULL, 4025, DATABASE_REFUSED, "a constraint of the database forbids it"},
	{"MariaDB", "01", 0, DATABASE_REFUSED, "a value does not fit its column"},
	{NULL, "01004", 0, DATABASE_REFUSED, "a value does not fit its column"},
	{NULL, "08", 0, DATABASE_LOST, "the connection to the database is lost"},
	{NULL, "21", 0, DATABASE_REFUSED, "a value does not fit the database"},
	{NULL, "22", 0, DATABASE_REFUSED, "a value does not fit its column"},
	{NULL, "23502", 0, DATABASE_MISMATCH, "a column that must have a value is not in the mapping"},
	{NULL, "23", 0, DATABASE_REFUSED, "a constraint of the database forbids it"},
	{NULL, "25006", 0, DATABASE_LOST, "the database can only be read"},
	{NULL, "28", 0, DATABASE_LOST, "the database does not let us in"},
	{NULL, "3D", 0, DATABASE_LOST, "there is no such database"},
	{NULL, "2F", 0, DATABASE_REFUSED, "a function of the database forbids it"},
	{NULL, "38", 0, DATABASE_REFUSED, "a function of the database forbids it"},
	{NULL, "39", 0, DATABASE_REFUSED, "a function of the database forbids it"},
	{NULL, "40", 0, DATABASE_LATER, "a conflict with another transaction"},
	{NULL, "42501", 0, DATABASE_MISMATCH, "the database does not permit it"},
	{NULL, "42", 0, DATABASE_MISMATCH, "the database does not know a table or column of it, or does not permit it"},
	{NULL, "44", 0, DATABASE_REFUSED, "a view of the database forbids it"},
	{NULL, "45", 0, DATABASE_REFUSED, "a trigger of the database forbids it"},
	{NULL, "54", 0, DATABASE_REFUSED, "a value is too large for the database"},
	{NULL, "53", 0, DATABASE_LATER, "the database is short of resources"},
	{NULL, "55", 0, DATABASE_LATER, "the database is busy"},
	{NULL, "57014", 0, DATABASE_LATER, "it took too long"},
	{NULL, "57", 0, DATABASE_LOST, "the database is shutting down"},
	{NULL, "HYT00", 0, DATABASE_LATER, "it took too long"},
	{NULL, "IM", 0, DATABASE_LOST, "ODBC has no such data source or driver"},
	{NULL, "P0", 0, DATABASE_REFUSED, "a trigger of the database forbids it"},
	{NULL, "", 0, DATABASE_FAILS, "the database fails"},
};

static const struct verdict *verdict_of(const struct dbms *dbms, const char *state, int native)
{
	const struct verdict *v = verdicts;
	const char *name = strcmp(dbms->name, "MySQL") == 0 ? "MariaDB" : dbms->name;

	while ((v->dbms != NULL && strcmp(v->dbms, name) != 0) ||
		(v->state != NULL && strncmp(v->state, state, strlen(v->state)) != 0) ||
		(v->native != 0 && v->native != native))
		v++;
	return v;
}

static SQLPOINTER number(uintptr_t n)
{
	return (SQLPOINTER)n; /* ODBC passes numbers in pointers. NOLINT(performance-no-int-to-ptr) */
}

/* What record `n` of a handle says. NULL: there is none, and `out` says that it fails. */
static const struct verdict *judge_record(
	const struct dbms *dbms, SQLSMALLINT type, SQLHANDLE handle, SQLSMALLINT n, struct trouble *out)
{
	SQLCHAR state[6] = "HY000", text[1];
	SQLINTEGER native = 0;
	SQLSMALLINT len;
	bool found = SQL_SUCCEEDED(SQLGetDiagRec(type, handle, n, state, &native, text, sizeof text, &len));
	const struct verdict *v = verdict_of(dbms, (const char *)state, native);

	*out = (struct trouble){.what = v->what, .native = native, .words = v->words};
	memcpy(out->sqlstate, state, 5);
	return found ? v : NULL;
}

/* What is wrong with a handle of the connection. */
int odbc_judge(struct database *db, SQLSMALLINT type, SQLHANDLE handle, struct trouble *out)
{
	SQLUINTEGER dead = SQL_CD_FALSE;

	judge_record(db->dbms, type, handle, 1, out);
	if (out->what == DATABASE_FAILS && db->connected)
		SQLGetConnectAttr(db->connection, SQL_ATTR_CONNECTION_DEAD, &dead, 0, NULL);
	if (dead == SQL_CD_TRUE)
		out->what = DATABASE_LOST;
	return out->what;
}

/* Gives up what the statement was about to do, and names it. */
static int blame(SQLHSTMT h, const struct statement *s, struct trouble *out)
{
	if (s != NULL) {
		out->table = s->table;
		out->at = s->at;
	}
	SQLFreeStmt(h, SQL_CLOSE);
	return out->what;
}

int odbc_judge_statement(struct database *db, SQLHSTMT h, const struct statement *s, struct trouble *out)
{
	odbc_judge(db, SQL_HANDLE_STMT, h, out);
	return blame(h, s, out);
}

/* What a success came with: 0 unless it is one of those that are none. */
static int judge_information(struct database *db, SQLHSTMT h, const struct statement *s, struct trouble *out)
{
	const struct verdict *v;
	SQLSMALLINT n = 1;

	while ((v = judge_record(db->dbms, SQL_HANDLE_STMT, h, n, out)) != NULL) {
		if (v->state != NULL && strncmp(v->state, "01", 2) == 0)
			return blame(h, s, out);
		n++;
	}
	return 0;
}

/* ---- connecting ---- */

static const struct dbms *dbms_of(SQLHDBC connection)
{
	char name[ODBC_NAME_LEN] = "";

	SQLGetInfo(connection, SQL_DBMS_NAME, name, sizeof name, NULL);
	for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
		if (strncmp(systems[i].name, name, strlen(systems[i].name)) == 0)
			return &systems[i];
	}
	return &other_system;
}

static int set_wait(struct database *db, const struct wait *wait, uint64_t wait_ms, struct trouble *trouble)
{
	char sql[ODBC_NAME_LEN];

	if (wait->sql == NULL)
		return 0;
	snprintf(sql, sizeof sql, "%s%llu", wait->sql,
		(unsigned long long)((wait_ms + wait->unit_ms - 1) / wait->unit_ms));
	return database_do(db, sql, trouble);
}

static int set_up(struct database *db, uint64_t wait_ms, struct trouble *trouble)
{
	char quote[ODBC_NAME_LEN] = "\"";
	int r = 0;

	SQLGetInfo(db->connection, SQL_IDENTIFIER_QUOTE_CHAR, quote, sizeof quote, NULL);
	db->quote = quote[0];
	for (size_t i = 0; r == 0 && i < 2 && db->dbms->session[i] != NULL; i++)
		r = database_do(db, db->dbms->session[i], trouble);
	for (size_t i = 0; r == 0 && i < 2; i++)
		r = set_wait(db, &db->dbms->waits[i], wait_ms, trouble);
	if (r == 0 && !SQL_SUCCEEDED(SQLSetConnectAttr(
			      db->connection, SQL_ATTR_AUTOCOMMIT, number(SQL_AUTOCOMMIT_OFF), SQL_IS_UINTEGER)))
		r = odbc_judge(db, SQL_HANDLE_DBC, db->connection, trouble);
	return r;
}

static int connect_to(struct database *db, const char *connection, struct trouble *trouble)
{
	db->connected = SQL_SUCCEEDED(SQLDriverConnect(
		db->connection, NULL, (SQLCHAR *)connection, SQL_NTS, NULL, 0, NULL, SQL_DRIVER_NOPROMPT));
	if (db->connected)
		return 0;
	odbc_judge(db, SQL_HANDLE_DBC, db->connection, trouble);
	return trouble->what = DATABASE_LOST;
}

/* Connects; once more where what there is decides about the options. */
static int connect_waiting(struct database *db, const char *connection, uint64_t wait_ms, struct trouble *trouble)
{
	int r = connect_to(db, connection, trouble);
	char *again;

	if (r != 0)
		return r;
	db->dbms = dbms_of(db->connection);
	if (db->dbms->wait_option == NULL)
		return 0;
	if (asprintf(&again, "%s;%s=%llu", connection, db->dbms->wait_option, (unsigned long long)wait_ms) < 0)
		return -ENOMEM;
	SQLDisconnect(db->connection);
	r = connect_to(db, again, trouble);
	free(again);
	return r;
}

int database_open(struct database **out, const char *connection, uint64_t wait_ms, struct trouble *trouble)
{
	struct database *db = calloc(1, sizeof *db);
	int r = -ENOMEM;

	*out = NULL;
	if (db == NULL)
		return r;
	db->dbms = &other_system;
	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &db->environment)))
		goto out;
	SQLSetEnvAttr(db->environment, SQL_ATTR_ODBC_VERSION, number(SQL_OV_ODBC3), 0);
	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_DBC, db->environment, &db->connection)))
		goto out;
	SQLSetConnectAttr(db->connection, SQL_ATTR_LOGIN_TIMEOUT, number(LOGIN_TIMEOUT_S), SQL_IS_UINTEGER);
	r = connect_waiting(db, connection, wait_ms, trouble);
	if (r == 0)
		r = set_up(db, wait_ms, trouble);
	if (r != 0)
		goto out;
	*out = db;
	db = NULL;
out:
	database_close(db);
	return r;
}

void database_close(struct database *db)
{
	if (db == NULL)
		return;
	for (unsigned i = 0; i < db->n_prepared; i++) {
		if (db->prepared[i] != NULL)
			SQLFreeHandle(SQL_HANDLE_STMT, db->prepared[i]);
	}
	free(db->prepared);
	if (db->connected) {
		SQLEndTran(SQL_HANDLE_DBC, db->connection, SQL_ROLLBACK);
		SQLDisconnect(db->connection);
	}
	if (db->connection != NULL)
		SQLFreeHandle(SQL_HANDLE_DBC, db->connection);
	if (db->environment != NULL)
		SQLFreeHandle(SQL_HANDLE_ENV, db->environment);
	free(db);
}

char database_quote(const struct database *db)
{
	return db->quote;
}

/* ---- statements ---- */

int database_do(struct database *db, const char *sql, struct trouble *trouble)
{
	SQLHSTMT h = NULL;
	int r = 0;

	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, db->connection, &h)))
		return odbc_judge(db, SQL_HANDLE_DBC, db->connection, trouble);
	if (!SQL_SUCCEEDED(SQLExecDirect(h, (SQLCHAR *)sql, SQL_NTS)))
		r = odbc_judge_statement(db, h, NULL, trouble);
	SQLFreeHandle(SQL_HANDLE_STMT, h);
	return r;
}

/* The statement's handle, prepared when it is needed first. */
static int prepare(struct database *db, const struct statement *s, SQLHSTMT *out, struct trouble *trouble)
{
	SQLHSTMT *more, h = NULL;
	int r;

	if (s->number >= db->n_prepared) {
		more = reallocarray(db->prepared, s->number + 1, sizeof(SQLHSTMT));
		if (more == NULL)
			return -ENOMEM;
		memset(more + db->n_prepared, 0, (s->number + 1 - db->n_prepared) * sizeof(SQLHSTMT));
		db->prepared = more;
		db->n_prepared = s->number + 1;
	}
	*out = db->prepared[s->number];
	if (*out != NULL)
		return 0;
	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, db->connection, &h)))
		return odbc_judge(db, SQL_HANDLE_DBC, db->connection, trouble);
	if (!SQL_SUCCEEDED(SQLPrepare(h, (SQLCHAR *)s->sql, SQL_NTS))) {
		r = odbc_judge_statement(db, h, s, trouble);
		SQLFreeHandle(SQL_HANDLE_STMT, h);
		return r;
	}
	db->prepared[s->number] = *out = h;
	return 0;
}

/* As what to bind, where the column's own type is not at hand or will not do. */
static const SQLSMALLINT sql_types[] = {
	[KIND_UNKNOWN] = SQL_VARCHAR,
	[KIND_TEXT] = SQL_VARCHAR,
	[KIND_WHOLE] = SQL_BIGINT,
	[KIND_DECIMAL] = SQL_NUMERIC,
	[KIND_FLAG] = SQL_BIT,
	[KIND_DATE] = SQL_TYPE_DATE,
	[KIND_TIME] = SQL_TYPE_TIMESTAMP,
	[KIND_BYTES] = SQL_VARBINARY,
};

SQLRETURN odbc_bind(SQLHSTMT h, SQLUSMALLINT at, const struct column_type *type, const char *value, SQLLEN *len)
{
	const char *point = value != NULL ? strchr(value, '.') : NULL;
	SQLULEN size = value != NULL && *value != '\0' ? strlen(value) : 1;
	SQLSMALLINT digits = point != NULL && type->kind != KIND_TEXT ? (SQLSMALLINT)strlen(point + 1) : 0;

	*len = value != NULL ? (SQLLEN)strlen(value) : SQL_NULL_DATA;
	return SQLBindParameter(h, at, SQL_PARAM_INPUT, SQL_C_CHAR,
		type->sql_type != 0 ? type->sql_type : sql_types[type->kind], size, digits, (SQLPOINTER)value, 0, len);
}

/* Whether a column that must have a value was given none: then it is not the mapping's fault that it has none. */
static bool lacks_value(const struct statement *s, const char *const *values)
{
	for (size_t i = 0; i < s->n_params; i++) {
		if (values[i] == NULL && !s->params[i].type->nullable)
			return true;
	}
	return false;
}

static int judge_values(
	struct database *db, SQLHSTMT h, const struct statement *s, const char *const *values, struct trouble *out)
{
	odbc_judge_statement(db, h, s, out);
	if (strcmp(out->sqlstate, "23502") == 0 && lacks_value(s, values)) {
		out->what = DATABASE_REFUSED;
		out->words = "a column that must have a value would get none";
	}
	return out->what;
}

/* Whether the statement changed any row. */
static int count_changed(
	struct database *db, SQLHSTMT h, const struct statement *s, bool *changed, struct trouble *trouble)
{
	SQLLEN rows = 0;

	if (!SQL_SUCCEEDED(SQLRowCount(h, &rows)))
		return odbc_judge_statement(db, h, s, trouble);
	*changed = rows > 0;
	return 0;
}

/* Runs the statement and leaves what it found open; `changed` is NULL for a query. */
static int execute(struct database *db, const struct statement *s, const char *const *values, SQLHSTMT *h,
	bool *changed, struct trouble *trouble)
{
	SQLLEN *lens = calloc(s->n_params, sizeof *lens);
	SQLRETURN done = SQL_SUCCESS;
	int r = lens == NULL ? -ENOMEM : prepare(db, s, h, trouble);

	if (changed != NULL)
		*changed = false;
	if (r != 0)
		goto out;
	for (size_t i = 0; SQL_SUCCEEDED(done) && i < s->n_params; i++)
		done = odbc_bind(*h, (SQLUSMALLINT)(i + 1), s->params[i].type, values[i], &lens[i]);
	if (SQL_SUCCEEDED(done))
		done = SQLExecute(*h);
	if (done == SQL_SUCCESS_WITH_INFO)
		r = judge_information(db, *h, s, trouble);
	if (r == 0 && !SQL_SUCCEEDED(done) && done != SQL_NO_DATA) /* which some drivers say when no row was changed */
		r = judge_values(db, *h, s, values, trouble);
	else if (r == 0 && SQL_SUCCEEDED(done) && changed != NULL)
		r = count_changed(db, *h, s, changed, trouble);
	if (r == 0)
		SQLFreeStmt(*h, SQL_RESET_PARAMS);
out:
	free(lens);
	return r;
}

int database_run(struct database *db, const struct statement *s, const char *const *values, bool *changed,
	struct trouble *trouble)
{
	SQLHSTMT h;
	int r = execute(db, s, values, &h, changed, trouble);

	if (r == 0)
		SQLFreeStmt(h, SQL_CLOSE);
	return r;
}

int odbc_next(struct database *db, SQLHSTMT h, const struct statement *s, struct trouble *out)
{
	SQLRETURN fetched = SQLFetch(h);

	if (SQL_SUCCEEDED(fetched))
		return 0;
	return fetched == SQL_NO_DATA ? ODBC_END : odbc_judge_statement(db, h, s, out);
}

bool odbc_cell(SQLHSTMT h, SQLUSMALLINT at, char *out, size_t size, const char **text)
{
	SQLLEN len = SQL_NULL_DATA;
	bool good = SQL_SUCCEEDED(SQLGetData(h, at, SQL_C_CHAR, out, (SQLLEN)size, &len));

	if (len == SQL_NULL_DATA)
		out[0] = '\0';
	if (text != NULL)
		*text = len == SQL_NULL_DATA ? NULL : out;
	return good;
}

int database_query(struct database *db, const struct statement *s, const char *const *values,
	void (*row)(void *context, const char *first, const char *second), void *context, struct trouble *trouble)
{
	char first[CELL_LEN], second[CELL_LEN];
	const char *one, *two;
	SQLHSTMT h;
	int r = execute(db, s, values, &h, NULL, trouble);

	if (r != 0)
		return r;
	while ((r = odbc_next(db, h, s, trouble)) == 0) {
		if (!odbc_cell(h, 1, first, sizeof first, &one) || !odbc_cell(h, 2, second, sizeof second, &two))
			return odbc_judge_statement(db, h, s, trouble);
		row(context, one, two);
	}
	if (r != ODBC_END)
		return r;
	SQLFreeStmt(h, SQL_CLOSE);
	return 0;
}

int database_commit(struct database *db, struct trouble *trouble)
{
	if (SQL_SUCCEEDED(SQLEndTran(SQL_HANDLE_DBC, db->connection, SQL_COMMIT)))
		return 0;
	return odbc_judge(db, SQL_HANDLE_DBC, db->connection, trouble);
}

void database_rollback(struct database *db)
{
	SQLEndTran(SQL_HANDLE_DBC, db->connection, SQL_ROLLBACK);
}
