#include "base/settings.h"

#include "base/settings_value.h"
#include "base/settings_yaml.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 1000, TABLE_MAX = 32 };

/* Where a field's value stood; of one that was not in the file, where its group stands. */
struct where {
	const void *field;
	struct yaml_place at;
	bool given;
};

struct settings {
	char *file, *folder;
	struct where *wheres; /* sorted by field once the file is read */
	size_t n_wheres, size_wheres;
	struct yaml_faults faults;
	struct yaml_tree tree;
	const struct setting *root;
	int error;
};

struct settings *settings_new(const char *file)
{
	struct settings *s = calloc(1, sizeof *s);
	const char *slash = strrchr(file, '/');

	if (s == NULL)
		return NULL;
	s->file = strdup(file);
	s->folder = slash == NULL ? strdup("") : strndup(file, (size_t)(slash - file) + 1);
	if (s->file != NULL && s->folder != NULL)
		return s;
	settings_free(s);
	return NULL;
}

void settings_free(struct settings *s)
{
	if (s == NULL)
		return;
	yaml_tree_deinit(&s->tree);
	yaml_faults_deinit(&s->faults);
	free(s->wheres);
	free(s->file);
	free(s->folder);
	free(s);
}

char *settings_path(struct settings *s, const char *path)
{
	char *out;

	if (asprintf(&out, "%s%s", *path == '/' ? "" : s->folder, path) >= 0)
		return out;
	s->error = -ENOMEM;
	return NULL;
}

/* ---- places ---- */

static void where_add(struct settings *s, const void *field, struct yaml_place at, bool given)
{
	struct where *wheres;

	if (s->n_wheres == s->size_wheres) {
		s->size_wheres = s->size_wheres != 0 ? 2 * s->size_wheres : 64;
		wheres = reallocarray(s->wheres, s->size_wheres, sizeof *wheres);
		if (wheres == NULL) {
			s->size_wheres = s->n_wheres;
			s->error = -ENOMEM;
			return;
		}
		s->wheres = wheres;
	}
	s->wheres[s->n_wheres++] = (struct where){field, at, given};
}

static int by_field(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct where *)a)->field, y = (uintptr_t)((const struct where *)b)->field;

	return x < y ? -1 : x > y;
}

static const struct where *where_find(const struct settings *s, const void *field)
{
	struct where wanted = {.field = field};

	return s->n_wheres == 0 ? NULL : bsearch(&wanted, s->wheres, s->n_wheres, sizeof wanted, by_field);
}

bool settings_given(const struct settings *s, const void *field)
{
	const struct where *w = where_find(s, field);

	return w != NULL && w->given;
}

static void fault(struct settings *s, struct yaml_place at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void fault(struct settings *s, struct yaml_place at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	yaml_fault(&s->faults, at, format, args);
	va_end(args);
}

unsigned settings_line(const struct settings *s, const void *field)
{
	const struct where *w = where_find(s, field);

	return w != NULL ? w->at.line : 1;
}

void settings_problem(struct settings *s, const void *field, const char *format, ...)
{
	const struct where *w = where_find(s, field);
	va_list args;

	va_start(args, format);
	yaml_fault(&s->faults, w != NULL ? w->at : (struct yaml_place){1, 1}, format, args);
	va_end(args);
}

/* ---- values ---- */

/* Takes a text in; also a path, which then begins in the file's folder. */
static void put_text(
	struct settings *s, const struct setting *row, const char *text, struct yaml_place at, char **field)
{
	const char *rule = value_text_rule(text);

	if (rule == NULL && row->check != NULL)
		rule = row->check(text);
	if (rule != NULL) {
		fault(s, at, "%s: %s", row->name, rule);
		return;
	}
	*field = row->type == SETTING_PATH ? settings_path(s, text) : strdup(text);
	if (*field == NULL)
		s->error = -ENOMEM;
}

static void put_scalar(
	struct settings *s, const struct setting *row, const char *text, struct yaml_place at, void *field)
{
	char rule[RULE_MAX];

	if (row->type == SETTING_TEXT || row->type == SETTING_PATH)
		put_text(s, row, text, at, field);
	else if (!value_read(rule, row, text, field))
		fault(s, at, "%s: %s", row->name, rule);
}

static void *field_of(char *base, const struct setting *row)
{
	return base + row->offset;
}

/* What is not in the file takes its default; `at` is where its group stands. */
static void read_absent(struct settings *s, char *base, const struct setting *row, struct yaml_place at)
{
	if (row->type == SETTING_GROUP) {
		for (const struct setting *member = row->members; member->name != NULL; member++)
			read_absent(s, base, member, at);
		return;
	}
	where_add(s, field_of(base, row), at, false);
	if (row->fallback != NULL)
		put_scalar(s, row, row->fallback, at, field_of(base, row));
}

/* Memory for a list of `n` items, at the row's offsets. NULL: none is needed, or none is left. */
static char *list_new(struct settings *s, char *base, const struct setting *row, size_t n, size_t item_size)
{
	char *items = n == 0 ? NULL : calloc(n, item_size);

	if (n != 0 && items == NULL) {
		s->error = -ENOMEM;
		return NULL;
	}
	memcpy(base + row->offset, &items, sizeof items);
	memcpy(base + row->n_offset, &n, sizeof n);
	return items;
}

static size_t list_len(struct settings *s, const struct setting *row, const struct yaml_node *node)
{
	if (node->kind == YAML_EMPTY)
		return 0;
	if (node->kind != YAML_LIST) {
		fault(s, node->at, "%s: must be %s", row->name, value_type_words(row->type));
		return 0;
	}
	if (node->n > LIST_MAX) {
		fault(s, node->at, "%s: more than %d items", row->name, LIST_MAX);
		return 0;
	}
	return node->n;
}

static void read_texts(struct settings *s, const struct yaml_node *node, char *base, const struct setting *row)
{
	size_t n = list_len(s, row, node);
	char **items = (char **)(void *)list_new(s, base, row, n, sizeof *items);

	for (size_t i = 0; items != NULL && i < n; i++) {
		where_add(s, &items[i], node->items[i]->at, true);
		if (node->items[i]->kind == YAML_TEXT || node->items[i]->kind == YAML_EMPTY)
			put_text(s, row, node->items[i]->text, node->items[i]->at, &items[i]);
		else
			fault(s, node->items[i]->at, "%s: must be %s", row->name, value_type_words(row->type));
	}
}

static void read_group(struct settings *s, const struct yaml_node *node, char *base, const struct setting *table,
	struct yaml_place at);

static void read_value(
	struct settings *s, const struct yaml_node *node, char *base, const struct setting *row, struct yaml_place at);

static void read_groups(struct settings *s, const struct yaml_node *node, char *base, const struct setting *row)
{
	size_t n = list_len(s, row, node);
	char *items = list_new(s, base, row, n, row->member_size);

	for (size_t i = 0; items != NULL && i < n; i++)
		read_group(s, node->items[i], items + i * row->member_size, row->members, node->items[i]->at);
}

/* What stands behind a name of the author's own: a group of all members but the first, or the second member's value. */
static void read_entry(struct settings *s, const struct yaml_node *key, const struct yaml_node *node, char *base,
	const struct setting *members)
{
	where_add(s, field_of(base, &members[0]), key->at, true);
	if (key->kind != YAML_TEXT)
		fault(s, key->at, "a name must be text");
	else
		put_text(s, &members[0], key->text, key->at, field_of(base, &members[0]));
	if (node->kind == YAML_MAP) {
		read_group(s, node, base, members + 1, key->at);
		return;
	}
	read_value(s, node, base, &members[1], key->at);
	for (const struct setting *member = members + 2; member->name != NULL; member++)
		read_absent(s, base, member, key->at);
}

static void read_entries(struct settings *s, const struct yaml_node *node, char *base, const struct setting *row)
{
	size_t n = node->kind == YAML_MAP ? node->n / 2 : 0;
	char *items;

	if (node->kind != YAML_MAP && node->kind != YAML_EMPTY)
		fault(s, node->at, "%s: must be %s", row->name, value_type_words(row->type));
	if (n > LIST_MAX) {
		fault(s, node->at, "%s: more than %d items", row->name, LIST_MAX);
		return;
	}
	items = list_new(s, base, row, n, row->member_size);
	for (size_t i = 0; items != NULL && i < n; i++) {
		struct yaml_node *key = node->items[2 * i];

		for (size_t j = 0; j < i; j++) {
			if (strcmp(node->items[2 * j]->text, key->text) == 0) {
				fault(s, key->at, "%s: set before, in line %u", key->text, node->items[2 * j]->at.line);
				break;
			}
		}
		read_entry(s, key, node->items[2 * i + 1], items + i * row->member_size, row->members);
	}
}

static void read_free(struct settings *s, const struct yaml_node *node, char **field, const struct setting *row)
{
	struct buffer json = {0};

	if (node->kind != YAML_MAP) {
		fault(s, node->at, "%s: must be %s", row->name, value_type_words(row->type));
		return;
	}
	yaml_json(&json, &s->faults, node);
	*field = buffer_take(&json, NULL);
	if (*field == NULL)
		s->error = -ENOMEM;
	buffer_deinit(&json);
}

static void read_value(
	struct settings *s, const struct yaml_node *node, char *base, const struct setting *row, struct yaml_place at)
{
	if (row->type != SETTING_GROUP)
		where_add(s, field_of(base, row), node->at, true);
	if (row->type == SETTING_GROUP)
		read_group(s, node, base, row->members, at);
	else if (row->type == SETTING_GROUPS)
		read_groups(s, node, base, row);
	else if (row->type == SETTING_ENTRIES)
		read_entries(s, node, base, row);
	else if (row->type == SETTING_TEXTS)
		read_texts(s, node, base, row);
	else if (row->type == SETTING_FREE)
		read_free(s, node, field_of(base, row), row);
	else if (node->kind == YAML_EMPTY)
		fault(s, node->at, "%s: has no value", row->name);
	else if (node->kind == YAML_TEXT)
		put_scalar(s, row, node->text, node->at, field_of(base, row));
	else
		fault(s, node->at, "%s: must be %s", row->name, value_type_words(row->type));
}

/* ---- groups ---- */

static const struct setting *row_find(const struct setting *table, const char *name)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

static void unknown_name(struct settings *s, const struct yaml_node *key, const struct setting *table)
{
	const char *near = name_near(table, key->text), *group = name_elsewhere(s->root, key->text);

	if (group != NULL)
		fault(s, key->at, "unknown setting here; it belongs under \"%s\"", group);
	else if (near != NULL)
		fault(s, key->at, "unknown setting; did you mean \"%s\"?", near);
	else
		fault(s, key->at, "unknown setting");
}

/* What a group lacks: an error for what is required, else the default. */
static void read_rest(
	struct settings *s, char *base, const struct setting *table, struct yaml_place at, const unsigned *seen)
{
	for (size_t i = 0; table[i].name != NULL; i++) {
		if (seen[i] != 0)
			continue;
		if (table[i].required)
			fault(s, at, "missing setting \"%s\"", table[i].name);
		read_absent(s, base, &table[i], at);
	}
}

static void read_group(
	struct settings *s, const struct yaml_node *node, char *base, const struct setting *table, struct yaml_place at)
{
	unsigned seen[TABLE_MAX] = {0}; /* the line of each row's key; 0: not met */
	const struct setting *row;
	struct yaml_node *key;

	if (node->kind != YAML_MAP && node->kind != YAML_EMPTY)
		fault(s, node->at, "must be %s", value_type_words(SETTING_GROUP));
	for (size_t i = 0; node->kind == YAML_MAP && i + 1 < node->n; i += 2) {
		key = node->items[i];
		row = key->kind == YAML_TEXT ? row_find(table, key->text) : NULL;
		if (key->kind != YAML_TEXT) {
			fault(s, key->at, "a setting's name must be text");
		} else if (row == NULL) {
			unknown_name(s, key, table);
		} else if (seen[row - table] != 0) {
			fault(s, key->at, "%s: set before, in line %u", row->name, seen[row - table]);
		} else {
			assert(row - table < TABLE_MAX);
			seen[row - table] = key->at.line;
			read_value(s, node->items[i + 1], base, row, key->at);
		}
	}
	if (node->kind == YAML_MAP || node->kind == YAML_EMPTY)
		read_rest(s, base, table, at, seen);
}

int settings_parse(struct settings *s, void *out, const struct setting *table, struct bytes text)
{
	const struct yaml_node *root;
	int r;

	s->root = table;
	if (text.len > SETTINGS_FILE_MAX) {
		fault(s, (struct yaml_place){1, 1}, "larger than %d bytes", SETTINGS_FILE_MAX);
		return 0;
	}
	r = yaml_tree_parse(&s->tree, &root, text, SETTINGS_DEPTH_MAX, &s->faults);
	if (r < 0)
		return r;
	if (r == 0)
		read_group(s, root, out, table, root->at);
	if (s->n_wheres != 0)
		qsort(s->wheres, s->n_wheres, sizeof *s->wheres, by_field);
	return s->error;
}

int settings_read(struct settings *s, void *out, const struct setting *table)
{
	void *text = NULL;
	size_t len;
	int r;

	r = file_read(&text, &len, s->file, SETTINGS_FILE_MAX);
	if (r == -ENOMEM)
		return r;
	if (r == -EFBIG)
		fault(s, (struct yaml_place){1, 1}, "larger than %d bytes", SETTINGS_FILE_MAX);
	else if (r < 0)
		fault(s, (struct yaml_place){0, 0}, "cannot be read: %s", strerror(-r));
	r = r < 0 ? 0 : settings_parse(s, out, table, bytes_of(text, len));
	free(text);
	return r;
}

/* ---- the end ---- */

static void list_release(char *base, const struct setting *row)
{
	char *items;
	size_t n;

	memcpy(&items, base + row->offset, sizeof items);
	memcpy(&n, base + row->n_offset, sizeof n);
	for (size_t i = 0; i < n; i++) {
		if (row->type != SETTING_TEXTS)
			settings_release(items + i * row->member_size, row->members);
		else
			free(((char **)(void *)items)[i]);
	}
	free(items);
	items = NULL;
	n = 0;
	memcpy(base + row->offset, &items, sizeof items);
	memcpy(base + row->n_offset, &n, sizeof n);
}

void settings_release(void *out, const struct setting *table)
{
	char **text;

	for (const struct setting *row = table; row->name != NULL; row++) {
		if (row->type == SETTING_GROUP) {
			settings_release(out, row->members);
		} else if (row->type == SETTING_GROUPS || row->type == SETTING_ENTRIES || row->type == SETTING_TEXTS) {
			list_release(out, row);
		} else if (row->type == SETTING_TEXT || row->type == SETTING_PATH || row->type == SETTING_FREE) {
			text = field_of(out, row);
			free(*text);
			*text = NULL;
		}
	}
}

int settings_finish(struct settings *s, struct problems *problems)
{
	if (s->error != 0)
		return s->error;
	return yaml_faults_move(problems, s->file, &s->faults) ? SETTINGS_BAD : 0;
}
