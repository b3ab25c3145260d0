#include "statement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct column_type text_type = {.kind = KIND_TEXT}, whole_type = {.kind = KIND_WHOLE};

/* The table of applied events. Events and objects are found by digests: databases disagree about which texts are equal. */
static const struct {
	const char *column, *definition;
	const struct column_type *type;
} done_columns[] = {
	[DONE_EVENT] = {"event", "VARCHAR(64) NOT NULL PRIMARY KEY", &text_type},
	[DONE_SOURCE] = {"source", "VARCHAR(63) NOT NULL", &text_type},
	[DONE_ID] = {"id", "VARCHAR(64) NOT NULL", &text_type},
	[DONE_CHANNEL] = {"channel", "VARCHAR(64)", &text_type},
	[DONE_SEQUENCE] = {"sequence", "BIGINT", &whole_type},
	[DONE_SETTLED] = {NULL, NULL, &whole_type},
	[DONE_OBJECT] = {"object", "VARCHAR(64)", &text_type},
	[DONE_REVISION] = {"revision", "BIGINT", &whole_type},
};

const char *const done_indexes[] = {"channel", "object"};

/* A statement being written. */
struct writing {
	struct buffer text, params;
	char quote;
	struct sql *sql;
};

static void put(struct writing *w, const char *text)
{
	buffer_str(&w->text, text);
}

/* A name between quotes; SCHEMA.NAME is two. Names were checked to hold none. */
static void put_name(struct writing *w, const char *name)
{
	const char *dot = strchr(name, '.');

	if (dot != NULL)
		buffer_printf(&w->text, "%c%.*s%c.", w->quote, (int)(dot - name), name, w->quote);
	buffer_printf(&w->text, "%c%s%c", w->quote, dot != NULL ? dot + 1 : name, w->quote);
}

static void put_param(
	struct writing *w, enum param_kind kind, size_t index, const char *column, const struct column_type *type)
{
	struct param p = {kind, index, column, type};

	put(w, "?");
	buffer_add(&w->params, &p, sizeof p);
}

/* Ends the statement. 0 or -ENOMEM. */
static int finish(struct writing *w, struct statement *out, const void *at, const char *table)
{
	size_t len = 0;

	out->n_params = w->params.len / sizeof *out->params;
	out->sql = buffer_take(&w->text, NULL);
	out->params = buffer_take(&w->params, &len);
	out->number = w->sql->n++;
	out->at = at;
	out->table = table;
	buffer_deinit(&w->text);
	buffer_deinit(&w->params);
	return out->sql == NULL || out->params == NULL ? -ENOMEM : 0;
}

/* ---- pieces ---- */

static void put_names(struct writing *w, const struct column *columns, size_t n, bool first)
{
	for (size_t i = 0; i < n; i++) {
		put(w, first && i == 0 ? "" : ", ");
		put_name(w, columns[i].name);
	}
}

static void put_params(struct writing *w, enum param_kind kind, const struct column *columns, size_t n, bool first)
{
	for (size_t i = 0; i < n; i++) {
		put(w, first && i == 0 ? "" : ", ");
		put_param(w, kind, i, columns[i].name, &columns[i].type);
	}
}

static void put_sets(struct writing *w, const struct column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		put_name(w, columns[i].name);
		put(w, " = ");
		put_param(w, PARAM_COLUMN, i, columns[i].name, &columns[i].type);
		put(w, ", ");
	}
}

static void put_where_key(struct writing *w, const struct table *t)
{
	put(w, " WHERE ");
	for (size_t i = 0; i < t->n_key; i++) {
		put(w, i == 0 ? "" : " AND ");
		put_name(w, t->key[i].name);
		put(w, " = ");
		put_param(w, PARAM_KEY, i, t->key[i].name, &t->key[i].type);
	}
}

/* AND (revision < ? OR revision IS NULL): a row that nobody gave a revision is older than any. */
static void put_and_revision(struct writing *w, const struct table *t, const char *comparison)
{
	put(w, " AND (");
	put_name(w, t->revision);
	put(w, comparison);
	put_param(w, PARAM_REVISION, 0, t->revision, &t->revision_type);
	put(w, " OR ");
	put_name(w, t->revision);
	put(w, " IS NULL)");
}

/* ---- statements of a table ---- */

static int write_update(struct writing *w, struct statement *out, const struct table *t)
{
	put(w, "UPDATE ");
	put_name(w, t->table);
	put(w, " SET ");
	put_sets(w, t->columns, t->n_columns);
	if (!table_deletes_withdrawn(t)) {
		put_name(w, t->withdrawn);
		put(w, " = NULL, ");
	}
	put_name(w, t->revision);
	put(w, " = ");
	put_param(w, PARAM_REVISION, 0, t->revision, &t->revision_type);
	put_where_key(w, t);
	put_and_revision(w, t, " < ");
	return finish(w, out, &t->table, t->table);
}

static int write_insert(struct writing *w, struct statement *out, const struct table *t)
{
	put(w, "INSERT INTO ");
	put_name(w, t->table);
	put(w, " (");
	put_names(w, t->key, t->n_key, true);
	put_names(w, t->columns, t->n_columns, false);
	put(w, ", ");
	put_name(w, t->revision);
	put(w, ") SELECT ");
	put_params(w, PARAM_KEY, t->key, t->n_key, true);
	put_params(w, PARAM_COLUMN, t->columns, t->n_columns, false);
	put(w, ", ");
	put_param(w, PARAM_REVISION, 0, t->revision, &t->revision_type);
	put(w, " WHERE NOT EXISTS (SELECT 1 FROM ");
	put_name(w, t->table);
	put_where_key(w, t);
	put(w, ")");
	return finish(w, out, &t->table, t->table);
}

static int write_withdraw(struct writing *w, struct statement *out, const struct table *t)
{
	if (table_deletes_withdrawn(t)) {
		put(w, "DELETE FROM ");
		put_name(w, t->table);
	} else {
		put(w, "UPDATE ");
		put_name(w, t->table);
		put(w, " SET ");
		put_name(w, t->withdrawn);
		put(w, " = ");
		put_param(w, PARAM_TIME, 0, t->withdrawn, &t->withdrawn_type);
	}
	put_where_key(w, t);
	put_and_revision(w, t, " <= ");
	return finish(w, out, &t->withdrawn, t->table);
}

/* UPDATE that empties the personal columns. False: there are none. */
static bool put_blank(struct writing *w, const char *table, const struct column *columns, size_t n)
{
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		if (!columns[i].personal)
			continue;
		put(w, any ? ", " : "UPDATE ");
		if (!any) {
			put_name(w, table);
			put(w, " SET ");
		}
		put_name(w, columns[i].name);
		put(w, " = NULL");
		any = true;
	}
	return any;
}

/* Of a publisher, what a person's identifier stands in. */
static void put_where_person(struct writing *w, const struct table *t)
{
	const char *before = " AND (";

	put(w, " WHERE ");
	for (size_t i = 0; i < t->n_key; i++) {
		if (!place_is(&t->key[i].place, "source", NULL))
			continue;
		put_name(w, t->key[i].name);
		put(w, " = ");
		put_param(w, PARAM_KEY, i, t->key[i].name, &t->key[i].type);
		break;
	}
	for (size_t i = 0; i < t->n_columns; i++) {
		if (!column_finds_person(&t->columns[i]))
			continue;
		put(w, before);
		put_name(w, t->columns[i].name);
		put(w, " = ");
		put_param(w, PARAM_PERSON, 0, t->columns[i].name, &t->columns[i].type);
		before = " OR ";
	}
	put(w, ")");
}

/* The rows of a list whose row is the person's. */
static void put_where_persons_list(struct writing *w, const struct table *t, const struct rows *rows)
{
	put(w, " WHERE EXISTS (SELECT 1 FROM ");
	put_name(w, t->table);
	put_where_person(w, t);
	for (size_t i = 0; i < t->n_key; i++) {
		put(w, " AND ");
		put_name(w, t->key[i].name);
		put(w, " = ");
		put_name(w, rows->table);
		put(w, ".");
		put_name(w, t->key[i].name);
	}
	put(w, ")");
}

enum erase_by { BY_SUBJECT, BY_PERSON };

/* Of the table, or of a list's. Rows of a list whose key is personal are deleted, since a key cannot be empty. */
static int write_erase(
	struct writing *w, struct statement *out, const struct table *t, const struct rows *rows, enum erase_by by)
{
	const char *table = rows != NULL ? rows->table : t->table;

	if (by == BY_PERSON && !table_finds_person(t))
		return 0;
	if (table_deletes_erased(t) || (rows != NULL && any_personal(rows->key, rows->n_key))) {
		put(w, "DELETE FROM ");
		put_name(w, table);
	} else if (!put_blank(w, table, rows != NULL ? rows->columns : t->columns,
			   rows != NULL ? rows->n_columns : t->n_columns)) {
		return 0;
	}
	if (by == BY_SUBJECT)
		put_where_key(w, t);
	else if (rows != NULL)
		put_where_persons_list(w, t, rows);
	else
		put_where_person(w, t);
	return finish(w, out, &t->erased, table);
}

/* ---- statements of a list's rows ---- */

static int write_clear(struct writing *w, struct statement *out, const struct table *t, const struct rows *rows)
{
	put(w, "DELETE FROM ");
	put_name(w, rows->table);
	put_where_key(w, t);
	return finish(w, out, &rows->table, rows->table);
}

static int write_add(struct writing *w, struct statement *out, const struct table *t, const struct rows *rows)
{
	put(w, "INSERT INTO ");
	put_name(w, rows->table);
	put(w, " (");
	put_names(w, t->key, t->n_key, true);
	put_names(w, rows->key, rows->n_key, false);
	put_names(w, rows->columns, rows->n_columns, false);
	put(w, ") VALUES (");
	put_params(w, PARAM_KEY, t->key, t->n_key, true);
	put_params(w, PARAM_ROW_KEY, rows->key, rows->n_key, false);
	put_params(w, PARAM_ROW_COLUMN, rows->columns, rows->n_columns, false);
	put(w, ")");
	return finish(w, out, &rows->table, rows->table);
}

/* Before the row they belong to is deleted, and only if it will be. */
static int write_rows_withdraw(struct writing *w, struct statement *out, const struct table *t, const struct rows *rows)
{
	if (!table_deletes_withdrawn(t))
		return 0;
	put(w, "DELETE FROM ");
	put_name(w, rows->table);
	put_where_key(w, t);
	put(w, " AND EXISTS (SELECT 1 FROM ");
	put_name(w, t->table);
	put_where_key(w, t);
	put_and_revision(w, t, " <= ");
	put(w, ")");
	return finish(w, out, &rows->table, rows->table);
}

static int write_rows(struct writing *w, struct rows_sql *out, const struct table *t, const struct rows *rows)
{
	int r = write_clear(w, &out->clear, t, rows);

	if (r == 0)
		r = write_add(w, &out->add, t, rows);
	if (r == 0)
		r = write_rows_withdraw(w, &out->withdraw, t, rows);
	if (r == 0)
		r = write_erase(w, &out->erase, t, rows, BY_SUBJECT);
	if (r == 0)
		r = write_erase(w, &out->erase_person, t, rows, BY_PERSON);
	return r;
}

static int write_table(struct writing *w, struct table_sql *out, const struct table *t)
{
	int r = 0;

	out->rows = calloc(t->n_rows + 1, sizeof *out->rows);
	if (out->rows == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < t->n_rows; i++)
		r = write_rows(w, &out->rows[i], t, &t->rows[i]);
	if (r == 0)
		r = write_update(w, &out->update, t);
	if (r == 0)
		r = write_insert(w, &out->insert, t);
	if (r == 0)
		r = write_withdraw(w, &out->withdraw, t);
	if (r == 0)
		r = write_erase(w, &out->erase, t, NULL, BY_SUBJECT);
	if (r == 0)
		r = write_erase(w, &out->erase_person, t, NULL, BY_PERSON);
	return r;
}

/* ---- the table of applied events ---- */

static void put_done(struct writing *w, enum done_value value)
{
	put_param(w, PARAM_DONE, value, done_columns[value].column, done_columns[value].type);
}

static void put_done_is(struct writing *w, enum done_value value)
{
	put_name(w, done_columns[value].column);
	put(w, " = ");
	put_done(w, value);
}

static void put_found(struct writing *w, const struct mapping *m, enum done_value by)
{
	put(w, "SELECT ");
	put_name(w, "event");
	put(w, ", ");
	put_name(w, "revision");
	put(w, " FROM ");
	put_name(w, m->done);
	put(w, " WHERE ");
	put_done_is(w, by);
}

/* Not one question with OR: for a table that was empty when it was planned PostgreSQL would read all of it, ever after. */
static int write_seen(struct writing *w, struct statement *out, const struct mapping *m)
{
	put_found(w, m, DONE_EVENT);
	put(w, " UNION ALL ");
	put_found(w, m, DONE_OBJECT);
	return finish(w, out, &m->done, m->done);
}

static int write_record(struct writing *w, struct statement *out, const struct mapping *m)
{
	put(w, "INSERT INTO ");
	put_name(w, m->done);
	for (size_t i = 0; i < DONE_VALUES; i++) {
		if (done_columns[i].column != NULL) {
			put(w, i == 0 ? " (" : ", ");
			put_name(w, done_columns[i].column);
		}
	}
	put(w, ") SELECT ");
	for (size_t i = 0; i < DONE_VALUES; i++) {
		if (done_columns[i].column != NULL) {
			put(w, i == 0 ? "" : ", ");
			put_done(w, (enum done_value)i);
		}
	}
	put(w, " WHERE NOT EXISTS (SELECT 1 FROM ");
	put_name(w, m->done);
	put(w, " WHERE ");
	put_done_is(w, DONE_EVENT);
	put(w, ")");
	return finish(w, out, &m->done, m->done);
}

/* What lies below `settled` never comes again. That an object was withdrawn is kept. */
static int write_prune(struct writing *w, struct statement *out, const struct mapping *m)
{
	put(w, "DELETE FROM ");
	put_name(w, m->done);
	put(w, " WHERE ");
	put_done_is(w, DONE_CHANNEL);
	put(w, " AND ");
	put_name(w, "sequence");
	put(w, " < ");
	put_done(w, DONE_SETTLED);
	put(w, " AND ");
	put_name(w, "object");
	put(w, " IS NULL");
	return finish(w, out, &m->done, m->done);
}

static char *take_text(struct writing *w)
{
	char *text = buffer_take(&w->text, NULL);

	buffer_deinit(&w->text);
	return text;
}

static char *write_index(struct writing *w, const struct mapping *m, const char *first, const char *second)
{
	const char *dot = strchr(m->done, '.');

	buffer_printf(
		&w->text, "CREATE INDEX %c%s_%s%c ON ", w->quote, dot != NULL ? dot + 1 : m->done, first, w->quote);
	put_name(w, m->done);
	put(w, " (");
	put_name(w, first);
	if (second != NULL) {
		put(w, ", ");
		put_name(w, second);
	}
	put(w, ")");
	return take_text(w);
}

static int write_create(struct writing *w, char *out[static DONE_PARTS], const struct mapping *m)
{
	put(w, "CREATE TABLE ");
	put_name(w, m->done);
	for (size_t i = 0; i < DONE_VALUES; i++) {
		if (done_columns[i].column != NULL) {
			put(w, i == 0 ? " (" : ", ");
			put_name(w, done_columns[i].column);
			put(w, " ");
			put(w, done_columns[i].definition);
		}
	}
	put(w, ")");
	out[0] = take_text(w);
	out[1] = write_index(w, m, done_indexes[0], "sequence");
	out[2] = write_index(w, m, done_indexes[1], NULL);
	return out[0] == NULL || out[1] == NULL || out[2] == NULL ? -ENOMEM : 0;
}

int sql_init(struct sql *out, const struct mapping *m, char quote, const char *owner)
{
	struct writing w = {.quote = quote, .sql = out};
	int r;

	*out = (struct sql){.mapping = m, .owner = owner};
	out->tables = calloc(m->n_tables + 1, sizeof *out->tables);
	if (out->tables == NULL)
		return -ENOMEM;
	r = write_create(&w, out->create, m);
	if (r == 0)
		r = write_seen(&w, &out->seen, m);
	if (r == 0)
		r = write_record(&w, &out->record, m);
	if (r == 0)
		r = write_prune(&w, &out->prune, m);
	for (size_t i = 0; r == 0 && i < m->n_tables; i++)
		r = write_table(&w, &out->tables[i], &m->tables[i]);
	return r;
}

static void statement_deinit(struct statement *s)
{
	free(s->sql);
	free(s->params);
}

static void table_deinit(struct table_sql *t, size_t n_rows)
{
	for (size_t i = 0; t->rows != NULL && i < n_rows; i++) {
		statement_deinit(&t->rows[i].clear);
		statement_deinit(&t->rows[i].add);
		statement_deinit(&t->rows[i].withdraw);
		statement_deinit(&t->rows[i].erase);
		statement_deinit(&t->rows[i].erase_person);
	}
	free(t->rows);
	statement_deinit(&t->update);
	statement_deinit(&t->insert);
	statement_deinit(&t->withdraw);
	statement_deinit(&t->erase);
	statement_deinit(&t->erase_person);
}

void sql_deinit(struct sql *s)
{
	for (size_t i = 0; s->tables != NULL && i < s->mapping->n_tables; i++)
		table_deinit(&s->tables[i], s->mapping->tables[i].n_rows);
	free(s->tables);
	statement_deinit(&s->seen);
	statement_deinit(&s->record);
	statement_deinit(&s->prune);
	for (size_t i = 0; i < DONE_PARTS; i++)
		free(s->create[i]);
	*s = (struct sql){0};
}
