/* A plugin's own settings, read as the node reads its configuration. */
#include "connection.h"

#include "base/settings.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loaded {
	struct loaded *next;
	struct setting *table;
	void *values;
};

static const enum setting_type types[] = {
	[ENLIGHT_TEXT] = SETTING_TEXT,
	[ENLIGHT_PATH] = SETTING_TEXT, /* its folder is not always the file's */
	[ENLIGHT_NUMBER] = SETTING_NUMBER,
	[ENLIGHT_DURATION] = SETTING_DURATION,
	[ENLIGHT_FLAG] = SETTING_FLAG,
};

/* Our rows as those of base/settings.h. NULL: out of memory. */
static struct setting *table_of(const struct enlight_setting *rows)
{
	struct setting *table;
	size_t n = 0;

	while (rows != NULL && rows[n].name != NULL)
		n++;
	table = calloc(n + 1, sizeof *table);
	if (table == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		table[i] = (struct setting){
			.name = rows[i].name,
			.type = types[rows[i].type],
			.offset = rows[i].offset,
			.required = rows[i].required,
			.fallback = rows[i].fallback,
			.help = rows[i].help,
		};
	return table;
}

static void loaded_free(struct loaded *l)
{
	if (l == NULL)
		return;
	if (l->table != NULL && l->values != NULL)
		settings_release(l->values, l->table);
	free(l->table);
	free(l->values);
	free(l);
}

static struct loaded *loaded_new(const struct enlight_setting *rows, size_t size)
{
	struct loaded *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->table = table_of(rows);
	l->values = calloc(1, size > 0 ? size : 1);
	if (l->table == NULL || l->values == NULL) {
		loaded_free(l);
		return NULL;
	}
	return l;
}

static int join_paths(const struct loaded *l, const struct enlight_setting *rows, const char *folder)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		char **field = (char **)(void *)((char *)l->values + rows->offset), *joined;
		size_t n = strlen(folder);

		if (rows->type != ENLIGHT_PATH || *field == NULL || **field == '/' || n == 0)
			continue;
		if (asprintf(&joined, "%s%s%s", folder, folder[n - 1] == '/' ? "" : "/", *field) < 0)
			return -ENOMEM;
		free(*field);
		*field = joined;
	}
	return 0;
}

static void say(struct enlight *e, const struct problems *problems)
{
	e->bad_settings = true;
	for (size_t i = 0; i < problems->n; i++) {
		fprintf(stderr, "%s: error: %s\n", problems->items[i].place, problems->items[i].rule);
		enlight_log(e, ENLIGHT_ERROR, "%s: error: %s", problems->items[i].place, problems->items[i].rule);
	}
	if (problems->total > problems->n)
		fprintf(stderr, "and %zu more errors\n", problems->total - problems->n);
}

int own_settings_read(struct enlight *e, void **values, const struct enlight_setting *rows, size_t size,
	const char *file, const char *folder, const char *text)
{
	struct settings *s = settings_new(file);
	struct loaded *l = loaded_new(rows, size);
	struct problems problems = {0};
	int r = -ENOMEM;

	*values = NULL;
	if (s == NULL || l == NULL)
		goto out;
	if (text != NULL)
		r = settings_parse(s, l->values, l->table, bytes_str(text));
	else
		r = settings_read(s, l->values, l->table);
	if (r == 0)
		r = settings_finish(s, &problems);
	if (r == SETTINGS_BAD)
		say(e, &problems);
	if (r == 0)
		r = join_paths(l, rows, folder);
	if (r != 0)
		goto out;
	*values = l->values;
	l->next = e->loaded;
	e->loaded = l;
	l = NULL;
out:
	loaded_free(l);
	settings_free(s);
	problems_deinit(&problems);
	return r;
}

void own_settings_free(struct enlight *e)
{
	struct loaded *next;

	for (struct loaded *l = e->loaded; l != NULL; l = next) {
		next = l->next;
		loaded_free(l);
	}
	e->loaded = NULL;
}

int enlight_settings_file(
	struct enlight *e, const char *path, const struct enlight_setting *rows, void *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup("");
	void *values = NULL;
	int r = -ENOMEM;

	if (folder != NULL)
		r = own_settings_read(e, &values, rows, size, path, folder, NULL);
	if (r == 0)
		memcpy(out, values, size);
	free(folder);
	return r > 0 ? -EINVAL : r;
}
