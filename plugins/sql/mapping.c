#include "mapping.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { IDENTIFIER_MAX = 63 };

/* ---- what one text must be ---- */

/* Letters, digits and underscores: what every database takes between quotes, and no quote can be part of. */
static size_t identifier_len(const char *s)
{
	size_t n = 0;

	if (isdigit((unsigned char)*s))
		return 0;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n <= IDENTIFIER_MAX ? n : 0;
}

static const char *check_column(const char *value)
{
	size_t n = identifier_len(value);

	return n != 0 && value[n] == '\0' ? NULL
					  : "a column's name has letters a to z, digits and underscores, at most 63";
}

static const char *check_table(const char *value)
{
	size_t n = identifier_len(value);

	if (n != 0 && value[n] == '.') {
		value += n + 1;
		n = identifier_len(value);
	}
	return n != 0 && value[n] == '\0' ? NULL
					  : "a table's name has letters a to z, digits and underscores, at most 63, "
					    "and may have that of its schema and a dot in front";
}

static const char *check_topic(const char *value)
{
	return topic_find(value) != NULL ? NULL : "is no topic; `enlight topics` lists them";
}

static const char *check_erased(const char *value)
{
	return strcmp(value, "delete") == 0 || strcmp(value, "blank") == 0 ? NULL : "must be delete or blank";
}

/* ---- what may stand in the file ---- */

/* clang-format off */
static const struct setting translation_rows[] = {
	{"name", SETTING_TEXT, offsetof(struct translation, name), .help = "The event's value."},
	{"to", SETTING_TEXT, offsetof(struct translation, to), .required = true, .help = "The column's."},
	{0},
};

static const struct setting column_rows[] = {
	{"name", SETTING_TEXT, offsetof(struct column, name), .check = check_column, .help = "The column's name."},
	{"from", SETTING_TEXT, offsetof(struct column, from), .required = true,
		.help = "Where the value stands. `COLUMN: PLACE` is short for `COLUMN: {from: PLACE}`."},
	{"values", SETTING_ENTRIES, offsetof(struct column, values), offsetof(struct column, n_values),
		.members = translation_rows, .member_size = sizeof(struct translation),
		.help = "What the event's values are in the column: `{FEMALE: F, MALE: M}`."},
	{"otherwise", SETTING_TEXT, offsetof(struct column, otherwise),
		.help = "What every other value is. Without it an event with another value is rejected."},
	{"personal", SETTING_FLAG, offsetof(struct column, personal),
		.help = "Whether `erased: blank` empties it. Without it: what is said of a person, its names and identifiers."},
	{0},
};
#define COLUMNS(type, field) offsetof(type, field), offsetof(type, n_##field), .members = column_rows, \
	.member_size = sizeof(struct column)

static const struct setting rows_rows[] = {
	{"table", SETTING_TEXT, offsetof(struct rows, table), .required = true, .check = check_table,
		.help = "A table with a row for each item. It has the columns of the outer key too, under the same names."},
	{"each", SETTING_TEXT, offsetof(struct rows, each), .required = true,
		.help = "The list, as in `data.runs`. Places below begin at its item; `.` is the item, `.number` its number from 1."},
	{"key", SETTING_ENTRIES, COLUMNS(struct rows, key),
		.help = "What tells the items apart; always has a value."},
	{"columns", SETTING_ENTRIES, COLUMNS(struct rows, columns), .help = "The other columns."},
	{0},
};

static const struct setting table_rows[] = {
	{"topic", SETTING_TEXT, offsetof(struct table, topic), .required = true, .check = check_topic,
		.help = "The topic whose events become rows."},
	{"table", SETTING_TEXT, offsetof(struct table, table), .required = true, .check = check_table,
		.help = "The table they go into: NAME or SCHEMA.NAME, as the database spells it."},
	{"key", SETTING_ENTRIES, COLUMNS(struct table, key), .required = true,
		.help = "The columns that tell the objects apart: one from `source`, and one from `subject` or from the place that holds its ID."},
	{"revision", SETTING_TEXT, offsetof(struct table, revision), .required = true, .check = check_column,
		.help = "A column for the revision, whole numbers: an older one never replaces a newer one."},
	{"columns", SETTING_ENTRIES, COLUMNS(struct table, columns), .help = "The other columns, and where their values stand."},
	{"rows", SETTING_GROUPS, offsetof(struct table, rows), offsetof(struct table, n_rows), .members = rows_rows,
		.member_size = sizeof(struct rows), .help = "Lists that become tables of their own, replaced whole with each revision."},
	{"withdrawn", SETTING_TEXT, offsetof(struct table, withdrawn), .check = check_column, .fallback = "delete",
		.help = "What happens when the object is taken back: `delete`, or a column that gets the time."},
	{"erased", SETTING_TEXT, offsetof(struct table, erased), .check = check_erased, .fallback = "delete",
		.help = "What happens when a person is to be forgotten: `delete` the row, or `blank` its personal columns."},
	{0},
};

const struct setting mapping_settings[] = {
	{"connection", SETTING_TEXT, offsetof(struct mapping, connection), .required = true,
		.help = "What ODBC connects to: `DSN=NAME` with the rest, the password too, in odbc.ini."},
	{"done", SETTING_TEXT, offsetof(struct mapping, done), .check = check_table, .fallback = "enlight_done",
		.help = "The table of applied events; created when absent."},
	{"wait", SETTING_DURATION, offsetof(struct mapping, wait_ms), .fallback = "10s", .min = 1, .max = 600000,
		.help = "How long a statement waits for a lock that another holds; well below the plugin's `deadline`."},
	{"tables", SETTING_GROUPS, offsetof(struct mapping, tables), offsetof(struct mapping, n_tables), .required = true,
		.members = table_rows, .member_size = sizeof(struct table), .help = "Which events become which rows."},
	{0},
};
/* clang-format on */

bool table_deletes_withdrawn(const struct table *t)
{
	return strcmp(t->withdrawn, "delete") == 0;
}

bool table_deletes_erased(const struct table *t)
{
	return strcmp(t->erased, "delete") == 0;
}

bool column_finds_person(const struct column *c)
{
	return c->identifies && (c->type.kind == KIND_TEXT || c->type.kind == KIND_UNKNOWN);
}

bool table_finds_person(const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		if (column_finds_person(&t->columns[i]))
			return true;
	}
	return false;
}

const struct table *mapping_blind(const struct mapping *m)
{
	for (size_t i = 0; i < m->n_tables; i++) {
		if (m->tables[i].of->persons != NULL && !table_finds_person(&m->tables[i]))
			return &m->tables[i];
	}
	return NULL;
}

unsigned mapping_line(const struct mapping *m, const void *field)
{
	return settings_line(m->settings, field);
}

/* ---- checks of more than one value ---- */

/* One of the topic's places that hold a person's identifier. */
static bool identifies_person(const struct topic *topic, const struct place *place)
{
	for (size_t i = 0; topic->persons != NULL && topic->persons[i] != NULL; i++) {
		if (place_leads(place, topic->persons[i]))
			return true;
	}
	return false;
}

/* What to call a column whose name was refused. */
static const char *name_of(const struct column *c)
{
	return c->name != NULL ? c->name : "a column";
}

static int compile_column(
	struct mapping *m, const struct topic *topic, struct column *c, const struct place_scope *scope)
{
	char rule[PLACE_RULE_MAX];
	bool personal = false;
	int r = 0;

	if (c->from != NULL) {
		r = place_compile(&c->place, c->from, scope, false, rule);
		if (r != 0)
			place_deinit(&c->place); /* half a place is none */
		if (r == PLACE_BAD)
			settings_problem(m->settings, &c->from, "%s: %s: %s", name_of(c), c->from, rule);
	}
	if (c->otherwise != NULL && c->n_values == 0)
		settings_problem(m->settings, &c->otherwise, "otherwise: needs values");
	for (const struct place *p = &c->place; p != NULL; p = p->next) {
		personal = personal || p->personal;
		c->identifies = c->identifies || (scope->list == NULL && identifies_person(topic, p));
	}
	if (!settings_given(m->settings, &c->personal))
		c->personal = personal || c->identifies;
	c->identifies = c->identifies && c->n_values == 0;
	return r < 0 ? r : 0;
}

static int compile_columns(
	struct mapping *m, const struct topic *topic, struct column *columns, size_t n, const struct place_scope *scope)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = compile_column(m, topic, &columns[i], scope);
	return r;
}

static int compile_rows(struct mapping *m, struct table *t, struct rows *rows)
{
	struct place_scope scope = {.data = t->of->message};
	char rule[PLACE_RULE_MAX];
	int r;

	if (rows->each == NULL)
		return 0;
	r = place_compile(&rows->place, rows->each, &scope, true, rule);
	if (r != 0)
		place_deinit(&rows->place);
	if (r == PLACE_BAD) {
		settings_problem(m->settings, &rows->each, "each: %s: %s", rows->each, rule);
		return 0;
	}
	if (r == 0 && rows->n_key + rows->n_columns == 0)
		settings_problem(m->settings, &rows->each, "the rows have no columns");
	scope.list = rows->place.field;
	if (r == 0)
		r = compile_columns(m, t->of, rows->key, rows->n_key, &scope);
	if (r == 0)
		r = compile_columns(m, t->of, rows->columns, rows->n_columns, &scope);
	for (size_t i = 0; rows->place.personal && i < rows->n_key; i++) {
		if (!rows->key[i].place.item_number && !settings_given(m->settings, &rows->key[i].personal))
			rows->key[i].personal = true;
	}
	for (size_t i = 0; rows->place.personal && i < rows->n_columns; i++) {
		if (!settings_given(m->settings, &rows->columns[i].personal))
			rows->columns[i].personal = true;
	}
	return r;
}

/* An object is what its publisher calls by its subject; a withdrawal and an erasure tell no more of it. */
static void check_key(struct mapping *m, const struct table *t)
{
	bool source = false, subject = false, whole = true;

	for (size_t i = 0; i < t->n_key; i++) {
		const struct column *c = &t->key[i];
		bool is_source = place_is(&c->place, "source", NULL);
		bool is_subject = place_is(&c->place, "subject", NULL) ||
				  (t->of->id != NULL && place_is(&c->place, NULL, t->of->id));

		whole = whole && c->place.n != 0;
		source = source || is_source;
		subject = subject || is_subject;
		if (c->place.n != 0 && !is_source && !is_subject)
			settings_problem(m->settings, &c->from,
				"%s: a key has source, subject%s%s and nothing else: a withdrawal names no more",
				name_of(c), t->of->id != NULL ? " or data." : "", t->of->id != NULL ? t->of->id : "");
		if (c->n_values != 0)
			settings_problem(m->settings, &c->values, "%s: a key is not translated", name_of(c));
	}
	if (t->n_key != 0 && whole && (!source || !subject))
		settings_problem(m->settings, &t->key,
			"key: needs source and subject%s%s: two universities may give their objects the same ID",
			t->of->id != NULL ? " or data." : "", t->of->id != NULL ? t->of->id : "");
}

/* No column is filled from two places. */
static void check_twice(struct mapping *m, const struct column *c, const struct column *others, size_t n)
{
	for (size_t i = 0; i < n && c->name != NULL && &others[i] != c; i++) {
		if (others[i].name != NULL && strcasecmp(others[i].name, c->name) == 0)
			settings_problem(m->settings, &c->name, "%s: is filled in line %u already", c->name,
				mapping_line(m, &others[i].name));
	}
}

static void check_lone(struct mapping *m, const struct table *t, char *const *field, const char *what)
{
	for (size_t i = 0; i < t->n_key + t->n_columns; i++) {
		const struct column *c = i < t->n_key ? &t->key[i] : &t->columns[i - t->n_key];

		if (c->name != NULL && strcasecmp(c->name, *field) == 0)
			settings_problem(m->settings, field, "%s: the column is filled in line %u already", what,
				mapping_line(m, &c->name));
	}
}

static void check_columns(struct mapping *m, const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++)
		check_twice(m, &t->columns[i], t->key, t->n_key);
	if (t->revision != NULL)
		check_lone(m, t, &t->revision, "revision");
	if (t->withdrawn != NULL && !table_deletes_withdrawn(t)) {
		check_lone(m, t, &t->withdrawn, "withdrawn");
		if (t->revision != NULL && strcasecmp(t->revision, t->withdrawn) == 0)
			settings_problem(m->settings, &t->withdrawn, "withdrawn: the column holds the revision");
	}
	for (size_t i = 0; i < t->n_rows; i++) {
		const struct rows *rows = &t->rows[i];

		for (size_t j = 0; j < rows->n_key; j++)
			check_twice(m, &rows->key[j], t->key, t->n_key);
		for (size_t j = 0; j < rows->n_columns; j++) {
			check_twice(m, &rows->columns[j], t->key, t->n_key);
			check_twice(m, &rows->columns[j], rows->key, rows->n_key);
		}
		if (rows->table != NULL && t->table != NULL && strcasecmp(rows->table, t->table) == 0)
			settings_problem(
				m->settings, &rows->table, "table: the rows of a list need a table of their own");
	}
}

bool any_personal(const struct column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (columns[i].personal)
			return true;
	}
	return false;
}

static void check_blank(struct mapping *m, const struct table *t)
{
	bool any = any_personal(t->columns, t->n_columns);

	for (size_t i = 0; i < t->n_key; i++) {
		if (t->key[i].personal)
			settings_problem(m->settings, &t->key[i].personal,
				"%s: a key cannot be blanked: either it is not personal, or erased: delete",
				name_of(&t->key[i]));
	}
	for (size_t i = 0; i < t->n_rows; i++)
		any = any || any_personal(t->rows[i].columns, t->rows[i].n_columns) ||
		      any_personal(t->rows[i].key, t->rows[i].n_key);
	if (!any)
		settings_problem(
			m->settings, &t->erased, "erased: no column is personal; give those that are `personal: true`");
}

/* Two topics may fill one row, each with a revision of its own; lists belong to one. */
static void check_shared(struct mapping *m, const struct table *t, const struct table *other)
{
	if (t->table == NULL || other->table == NULL)
		return;
	if (strcasecmp(t->table, other->table) == 0 && t->revision != NULL && other->revision != NULL &&
		strcasecmp(t->revision, other->revision) == 0)
		settings_problem(m->settings, &t->revision,
			"revision: is that of the table in line %u too; each topic counts its own",
			mapping_line(m, &other->table));
	if (strcasecmp(t->table, other->table) == 0 && t->withdrawn != NULL && other->withdrawn != NULL &&
		(table_deletes_withdrawn(t) || table_deletes_withdrawn(other) ||
			strcasecmp(t->withdrawn, other->withdrawn) == 0))
		settings_problem(m->settings, &t->withdrawn,
			"withdrawn: the table in line %u is the same: each topic needs a column of its own, so that "
			"one "
			"taken back leaves the other",
			mapping_line(m, &other->table));
	for (size_t i = 0; i < t->n_rows; i++) {
		for (size_t j = 0; j < other->n_rows; j++) {
			if (t->rows[i].table != NULL && other->rows[j].table != NULL &&
				strcasecmp(t->rows[i].table, other->rows[j].table) == 0)
				settings_problem(m->settings, &t->rows[i].table,
					"table: holds the rows of line %u already",
					mapping_line(m, &other->rows[j].table));
		}
	}
}

static int compile_table(struct mapping *m, struct table *t)
{
	struct place_scope scope = {0};
	int r;

	t->of = t->topic != NULL ? topic_find(t->topic) : NULL;
	if (t->of == NULL)
		return 0;
	scope.data = t->of->message;
	r = compile_columns(m, t->of, t->key, t->n_key, &scope);
	if (r == 0)
		r = compile_columns(m, t->of, t->columns, t->n_columns, &scope);
	for (size_t i = 0; r == 0 && i < t->n_rows; i++)
		r = compile_rows(m, t, &t->rows[i]);
	if (r != 0)
		return r;
	if (settings_given(m->settings, &t->key) && t->n_key == 0)
		settings_problem(m->settings, &t->key, "key: is empty");
	check_key(m, t);
	check_columns(m, t);
	if (t->erased != NULL && !table_deletes_erased(t))
		check_blank(m, t);
	return 0;
}

static int compile(struct mapping *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->n_tables; i++) {
		r = compile_table(m, &m->tables[i]);
		for (size_t j = 0; j < i; j++)
			check_shared(m, &m->tables[i], &m->tables[j]);
	}
	if (settings_given(m->settings, &m->tables) && m->n_tables == 0)
		settings_problem(m->settings, &m->tables, "tables: is empty");
	return r;
}

/* ---- reading ---- */

static int start(struct mapping *m, const char *file)
{
	*m = (struct mapping){.file = strdup(file), .settings = settings_new(file)};
	return m->file == NULL || m->settings == NULL ? -ENOMEM : 0;
}

static int finish(struct mapping *m, struct problems *problems, int r)
{
	if (r == 0)
		r = compile(m);
	if (r == 0)
		r = settings_finish(m->settings, problems);
	return r == SETTINGS_BAD ? MAPPING_BAD : r;
}

int mapping_parse(struct mapping *out, const char *file, struct bytes text, struct problems *problems)
{
	int r = start(out, file);

	if (r == 0)
		r = settings_parse(out->settings, out, mapping_settings, text);
	return finish(out, problems, r);
}

int mapping_read(struct mapping *out, const char *file, struct problems *problems)
{
	int r = start(out, file);

	if (r == 0)
		r = settings_read(out->settings, out, mapping_settings);
	return finish(out, problems, r);
}

static void columns_deinit(struct column *columns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		place_deinit(&columns[i].place);
}

void mapping_deinit(struct mapping *m)
{
	for (size_t i = 0; i < m->n_tables; i++) {
		struct table *t = &m->tables[i];

		columns_deinit(t->key, t->n_key);
		columns_deinit(t->columns, t->n_columns);
		for (size_t j = 0; j < t->n_rows; j++) {
			place_deinit(&t->rows[j].place);
			columns_deinit(t->rows[j].key, t->rows[j].n_key);
			columns_deinit(t->rows[j].columns, t->rows[j].n_columns);
		}
	}
	settings_release(m, mapping_settings);
	settings_free(m->settings);
	free(m->file);
	*m = (struct mapping){0};
}

/* ---- the reference ---- */

static void reference_rows(struct buffer *out, const struct setting *table, int depth)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		buffer_printf(out, "%*s- `%s`%s", 2 * depth, "", row->name, row->required ? " (required)" : "");
		if (row->fallback != NULL)
			buffer_printf(out, " (default `%s`)", row->fallback);
		buffer_printf(out, ": %s\n", row->help);
		if (row->type == SETTING_GROUPS)
			reference_rows(out, row->members, depth + 1);
		else if (row->members == column_rows && depth == 1 && strcmp(row->name, "columns") == 0)
			reference_rows(out, row->members + 1, depth + 1);
	}
}

void mapping_reference(struct buffer *out)
{
	reference_rows(out, mapping_settings, 0);
}
