/* What the database has for a mapping: the types of its columns, and what will not do. */
#include "odbc.h"

#include "value.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A column as the catalogue describes it. */
struct found {
	char name[ODBC_NAME_LEN];
	struct column_type type;
	bool must;  /* have a value, and has none of its own */
	bool blind; /* it takes a for A */
};

struct look {
	struct database *db;
	char schema[ODBC_NAME_LEN];
	struct found *columns; /* of the table looked at */
	size_t n;
	bool plain; /* it has no transactions */
	database_report *report;
	void *context;
	struct trouble *trouble;
};

static const struct {
	SQLSMALLINT sql;
	enum column_kind kind;
} kinds[] = {
	{SQL_TINYINT, KIND_WHOLE},
	{SQL_SMALLINT, KIND_WHOLE},
	{SQL_INTEGER, KIND_WHOLE},
	{SQL_BIGINT, KIND_WHOLE},
	{SQL_NUMERIC, KIND_DECIMAL},
	{SQL_DECIMAL, KIND_DECIMAL},
	{SQL_REAL, KIND_DECIMAL},
	{SQL_FLOAT, KIND_DECIMAL},
	{SQL_DOUBLE, KIND_DECIMAL},
	{SQL_BIT, KIND_FLAG},
	{SQL_DATE, KIND_DATE},
	{SQL_TYPE_DATE, KIND_DATE},
	{SQL_TIMESTAMP, KIND_TIME},
	{SQL_TYPE_TIMESTAMP, KIND_TIME},
	{SQL_BINARY, KIND_BYTES},
	{SQL_VARBINARY, KIND_BYTES},
	{SQL_LONGVARBINARY, KIND_BYTES},
};

static struct column_type type_of(SQLSMALLINT sql, const char *name, bool nullable)
{
	struct column_type t = {.kind = KIND_TEXT, .nullable = nullable};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (kinds[i].sql == sql)
			t.kind = kinds[i].kind;
	}
	if (strcmp(name, "bool") == 0) /* PostgreSQL's driver calls it a text */
		t.kind = KIND_FLAG;
	if (t.kind == KIND_TEXT && (sql == SQL_LONGVARCHAR || sql == SQL_GUID))
		t.sql_type = sql;
	if (t.kind == KIND_DECIMAL && sql != SQL_DECIMAL && sql != SQL_NUMERIC)
		t.sql_type = SQL_DOUBLE;
	return t;
}

static bool number_cell(SQLHSTMT h, SQLUSMALLINT at, SQLSMALLINT *out)
{
	SQLLEN len;

	return SQL_SUCCEEDED(SQLGetData(h, at, SQL_C_SSHORT, out, sizeof *out, &len));
}

/* Takes in a row of SQLColumns. */
static int take_column(struct look *l, SQLHSTMT h, const char *schema, const char *table)
{
	char in[ODBC_NAME_LEN] = "", of[ODBC_NAME_LEN] = "", type[ODBC_NAME_LEN] = "";
	struct found *more, f = {0};
	SQLSMALLINT sql = 0, nullable = 0;

	if (!odbc_cell(h, 2, in, sizeof in, NULL) || !odbc_cell(h, 3, of, sizeof of, NULL) ||
		!odbc_cell(h, 4, f.name, sizeof f.name, NULL) || !number_cell(h, 5, &sql) ||
		!odbc_cell(h, 6, type, sizeof type, NULL) || !number_cell(h, 11, &nullable))
		return odbc_judge_statement(l->db, h, NULL, l->trouble);
	/* Names were patterns, and names without a schema were looked for in all. */
	if (strcmp(of, table) != 0 || (in[0] != '\0' && *schema != '\0' && strcmp(in, schema) != 0))
		return 0;
	more = reallocarray(l->columns, l->n + 1, sizeof *more);
	if (more == NULL)
		return -ENOMEM;
	f.type = type_of(sql, type, nullable != SQL_NO_NULLS);
	l->columns = more;
	l->columns[l->n++] = f;
	return 0;
}

/* A name of the mapping taken apart. */
struct table_name {
	char schema[ODBC_NAME_LEN]; /* or nothing */
	const char *table;
	SQLCHAR *catalog_arg, *schema_arg; /* as ODBC's functions want it */
};

static void take_apart(struct look *l, struct table_name *out, const char *name)
{
	const char *dot = strchr(name, '.');
	SQLCHAR *in;

	*out = (struct table_name){.table = dot != NULL ? dot + 1 : name};
	in = (SQLCHAR *)out->schema;
	snprintf(out->schema, sizeof out->schema, "%.*s", dot != NULL ? (int)(dot - name) : (int)sizeof out->schema - 1,
		dot != NULL ? name : l->schema);
	if (*in != '\0' && l->db->dbms->catalogs)
		out->catalog_arg = in;
	else if (*in != '\0')
		out->schema_arg = in;
}

static struct found *found_column(const struct look *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->columns[i].name, name) == 0)
			return &l->columns[i];
	}
	return NULL;
}

/* What a row of `closer` says of a column: letters. */
static int take_closer(struct look *l, SQLHSTMT h)
{
	char name[ODBC_NAME_LEN] = "", what[ODBC_NAME_LEN] = "";
	struct found *f;

	if (!odbc_cell(h, 1, name, sizeof name, NULL) || !odbc_cell(h, 2, what, sizeof what, NULL))
		return odbc_judge_statement(l->db, h, NULL, l->trouble);
	f = found_column(l, name);
	if (f != NULL) {
		f->must = strchr(what, 'm') != NULL;
		f->blind = strchr(what, 'c') != NULL;
	}
	l->plain = l->plain || strchr(what, 't') != NULL;
	return 0;
}

static int look_closer(struct look *l, SQLHSTMT h, const struct table_name *name)
{
	static const struct column_type text = {.kind = KIND_TEXT};
	SQLLEN lens[2];
	int r;

	l->plain = false;
	if (l->db->dbms->closer == NULL || l->n == 0)
		return 0;
	SQLFreeStmt(h, SQL_CLOSE);
	if (!SQL_SUCCEEDED(odbc_bind(h, 1, &text, name->table, &lens[0])) ||
		!SQL_SUCCEEDED(odbc_bind(h, 2, &text, name->schema, &lens[1])) ||
		!SQL_SUCCEEDED(SQLExecDirect(h, (SQLCHAR *)l->db->dbms->closer, SQL_NTS)))
		return odbc_judge_statement(l->db, h, NULL, l->trouble);
	while ((r = odbc_next(l->db, h, NULL, l->trouble)) == 0 && (r = take_closer(l, h)) == 0)
		;
	return r == ODBC_END ? 0 : r;
}

/* Learns the columns of a table; none: there is no such table. */
static int look_at(struct look *l, const char *table)
{
	struct table_name name;
	SQLHSTMT h = NULL;
	int r = 0;

	l->n = 0;
	take_apart(l, &name, table);
	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, l->db->connection, &h)))
		return odbc_judge(l->db, SQL_HANDLE_DBC, l->db->connection, l->trouble);
	if (!SQL_SUCCEEDED(SQLColumns(
		    h, name.catalog_arg, SQL_NTS, name.schema_arg, SQL_NTS, (SQLCHAR *)name.table, SQL_NTS, NULL, 0)))
		r = odbc_judge_statement(l->db, h, NULL, l->trouble);
	while (r == 0 && (r = odbc_next(l->db, h, NULL, l->trouble)) == 0)
		r = take_column(l, h, name.catalog_arg != NULL ? "" : name.schema, name.table);
	if (r == ODBC_END)
		r = look_closer(l, h, &name);
	SQLFreeHandle(SQL_HANDLE_STMT, h);
	return r;
}

static void say(struct look *l, bool misfit, const void *field, const char *format, va_list args)
	__attribute__((format(printf, 4, 0)));
static void say(struct look *l, bool misfit, const void *field, const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	l->report(l->context, misfit, field, text != NULL ? text : "out of memory");
	free(text);
}

/* What will not do. */
static void report(struct look *l, const void *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void report(struct look *l, const void *field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(l, true, field, format, args);
	va_end(args);
}

/* What may not do: a trigger may give a column its value, and IDs may never differ in their case alone. */
static void warn(struct look *l, const void *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void warn(struct look *l, const void *field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(l, false, field, format, args);
	va_end(args);
}

static bool learn(struct look *l, const char *table, const char *name, const void *field, struct column_type *type)
{
	const struct found *f = found_column(l, name);

	if (f == NULL) {
		report(l, field, "%s: the table %s has no such column", name, table);
		return false;
	}
	*type = f->type;
	return true;
}

static void learn_columns(struct look *l, const char *table, struct column *columns, size_t n, bool blanked)
{
	for (size_t i = 0; i < n; i++) {
		struct column *c = &columns[i];
		const char *misfit;

		if (!learn(l, table, c->name, &c->name, &c->type))
			continue;
		misfit = value_misfit(c, c->type.kind);
		if (misfit != NULL)
			report(l, &c->name, "%s: the column %s", c->name, misfit);
		if (blanked && c->personal && !c->type.nullable)
			report(l, &c->name, "%s: the column must have a value, so erasure cannot blank it", c->name);
	}
}

static void warn_of_key(struct look *l, const struct column *key, size_t n, const void *field)
{
	for (size_t i = 0; i < n; i++) {
		const struct found *f = found_column(l, key[i].name);

		/* Sources are all in small letters. */
		if (f != NULL && f->blind && !place_is(&key[i].place, "source", NULL))
			warn(l, field != NULL ? field : &key[i].name,
				"%s: the column takes a for A: give it a collation that does not, as utf8mb4_bin",
				key[i].name);
	}
}

static bool among(const char *name, const struct column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(columns[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool fills(const struct table *t, const struct rows *rows, const char *name)
{
	if (among(name, t->key, t->n_key))
		return true;
	if (rows != NULL)
		return among(name, rows->key, rows->n_key) || among(name, rows->columns, rows->n_columns);
	return among(name, t->columns, t->n_columns) || strcmp(name, t->revision) == 0 ||
	       strcmp(name, t->withdrawn) == 0;
}

/* Warns of what stands in a table, or in the one of a list. */
static void warn_of_table(struct look *l, const struct table *t, const struct rows *rows)
{
	const char *table = rows != NULL ? rows->table : t->table;
	const void *field = rows != NULL ? &rows->table : &t->table;

	if (l->plain)
		warn(l, field, "%s: the table has no transactions: make it one of InnoDB", table);
	warn_of_key(l, t->key, t->n_key, rows != NULL ? field : NULL);
	if (rows != NULL)
		warn_of_key(l, rows->key, rows->n_key, NULL);
	for (size_t i = 0; i < l->n; i++) {
		if (l->columns[i].must && !fills(t, rows, l->columns[i].name))
			warn(l, field, "%s: the table's column %s must have a value, and nothing here gives it one",
				table, l->columns[i].name);
	}
}

static int look_at_rows(struct look *l, struct table *t, struct rows *rows)
{
	struct column_type ignored;
	int r = look_at(l, rows->table);

	if (r != 0)
		return r;
	if (l->n == 0) {
		report(l, &rows->table, "%s: the database has no such table", rows->table);
		return 0;
	}
	for (size_t i = 0; i < t->n_key; i++)
		learn(l, rows->table, t->key[i].name, &rows->table, &ignored);
	learn_columns(l, rows->table, rows->key, rows->n_key, false);
	learn_columns(l, rows->table, rows->columns, rows->n_columns, !table_deletes_erased(t));
	warn_of_table(l, t, rows);
	return 0;
}

static int look_at_table(struct look *l, struct table *t)
{
	int r = look_at(l, t->table);
	enum column_kind kind;

	if (r != 0)
		return r;
	if (l->n == 0) {
		report(l, &t->table, "%s: the database has no such table", t->table);
	} else {
		learn_columns(l, t->table, t->key, t->n_key, false);
		learn_columns(l, t->table, t->columns, t->n_columns, !table_deletes_erased(t));
		learn(l, t->table, t->revision, &t->revision, &t->revision_type);
		kind = t->revision_type.kind;
		if (kind != KIND_UNKNOWN && kind != KIND_WHOLE && kind != KIND_DECIMAL)
			report(l, &t->revision, "%s: the column does not hold numbers", t->revision);
		if (!table_deletes_withdrawn(t) &&
			learn(l, t->table, t->withdrawn, &t->withdrawn, &t->withdrawn_type)) {
			kind = t->withdrawn_type.kind;
			if (kind != KIND_TIME && kind != KIND_DATE && kind != KIND_TEXT)
				report(l, &t->withdrawn, "%s: the column cannot hold a time", t->withdrawn);
			if (!t->withdrawn_type.nullable)
				report(l, &t->withdrawn, "%s: the column must be able to be NULL", t->withdrawn);
		}
		warn_of_table(l, t, NULL);
	}
	for (size_t i = 0; r == 0 && i < t->n_rows; i++)
		r = look_at_rows(l, t, &t->rows[i]);
	return r;
}

/* What a row of SQLStatistics names. */
static int take_index(struct look *l, SQLHSTMT h, const char *table, bool there[static DONE_INDEXES])
{
	char found[ODBC_NAME_LEN], wanted[ODBC_NAME_LEN];

	if (!odbc_cell(h, 6, found, sizeof found, NULL))
		return odbc_judge_statement(l->db, h, NULL, l->trouble);
	for (size_t i = 0; i < DONE_INDEXES; i++) {
		snprintf(wanted, sizeof wanted, "%s_%s", table, done_indexes[i]);
		there[i] = there[i] || strcmp(found, wanted) == 0;
	}
	return 0;
}

/* Which of its indexes the table of applied events has. */
static int look_at_indexes(struct look *l, const char *table, bool there[static DONE_INDEXES])
{
	struct table_name name;
	SQLHSTMT h = NULL;
	int r = 0;

	take_apart(l, &name, table);
	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, l->db->connection, &h)))
		return odbc_judge(l->db, SQL_HANDLE_DBC, l->db->connection, l->trouble);
	if (!SQL_SUCCEEDED(SQLStatistics(h, name.catalog_arg, SQL_NTS, name.schema_arg, SQL_NTS, (SQLCHAR *)name.table,
		    SQL_NTS, SQL_INDEX_ALL, SQL_QUICK)))
		r = odbc_judge_statement(l->db, h, NULL, l->trouble);
	while (r == 0 && (r = odbc_next(l->db, h, NULL, l->trouble)) == 0)
		r = take_index(l, h, name.table, there);
	SQLFreeHandle(SQL_HANDLE_STMT, h);
	return r == ODBC_END ? 0 : r;
}

static int look_at_done(struct look *l, struct mapping *m, bool there[static DONE_PARTS])
{
	static const char *const columns[] = {"event", "source", "id", "channel", "sequence", "object", "revision"};
	struct column_type ignored;
	int r = look_at(l, m->done);

	there[0] = l->n != 0;
	for (size_t i = 0; r == 0 && there[0] && i < sizeof columns / sizeof *columns; i++)
		learn(l, m->done, columns[i], &m->done, &ignored);
	if (r == 0 && l->plain)
		warn(l, &m->done, "%s: the table has no transactions: make it one of InnoDB", m->done);
	return r == 0 && there[0] ? look_at_indexes(l, m->done, there + 1) : r;
}

/* Asks for the schema that names without one are looked for in. */
static int look_at_schema(struct look *l)
{
	SQLHSTMT h = NULL;
	int r = 0;

	if (l->db->dbms->schema == NULL)
		return 0;
	if (!SQL_SUCCEEDED(SQLAllocHandle(SQL_HANDLE_STMT, l->db->connection, &h)))
		return odbc_judge(l->db, SQL_HANDLE_DBC, l->db->connection, l->trouble);
	if (!SQL_SUCCEEDED(SQLExecDirect(h, (SQLCHAR *)l->db->dbms->schema, SQL_NTS)))
		r = odbc_judge_statement(l->db, h, NULL, l->trouble);
	else
		r = odbc_next(l->db, h, NULL, l->trouble);
	if (r == 0 && !odbc_cell(h, 1, l->schema, sizeof l->schema, NULL))
		r = odbc_judge_statement(l->db, h, NULL, l->trouble);
	SQLFreeHandle(SQL_HANDLE_STMT, h);
	return r == ODBC_END ? 0 : r;
}

int database_look(struct database *db, struct mapping *m, bool done[static DONE_PARTS], database_report *report_to,
	void *context, struct trouble *trouble)
{
	struct look l = {.db = db, .report = report_to, .context = context, .trouble = trouble};
	int r = look_at_schema(&l);

	if (r == 0)
		r = look_at_done(&l, m, done);
	for (size_t i = 0; r == 0 && i < m->n_tables; i++)
		r = look_at_table(&l, &m->tables[i]);
	free(l.columns);
	if (r == 0)
		r = database_commit(db, trouble); /* reading began a transaction */
	return r;
}
