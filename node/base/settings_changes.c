#include "base/settings.h"

#include <stdio.h>
#include <string.h>

enum { DOTTED_MAX = 128 };

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_list(const char *a, const char *b, const struct setting *row)
{
	const char *items[2];
	size_t n[2];

	memcpy(&items[0], a + row->offset, sizeof items[0]);
	memcpy(&items[1], b + row->offset, sizeof items[1]);
	memcpy(&n[0], a + row->n_offset, sizeof n[0]);
	memcpy(&n[1], b + row->n_offset, sizeof n[1]);
	for (size_t i = 0; i < n[0] && n[0] == n[1]; i++) {
		size_t at = i * row->member_size;

		if (row->type == SETTING_TEXTS
				? !same_text(((char *const *)(const void *)items[0])[i],
					  ((char *const *)(const void *)items[1])[i])
				: settings_changes(items[0] + at, items[1] + at, row->members, NULL, NULL) != 0)
			return false;
	}
	return n[0] == n[1];
}

static bool same_value(const char *a, const char *b, const struct setting *row)
{
	const char *texts[2];

	switch (row->type) {
	case SETTING_TEXT:
	case SETTING_PATH:
	case SETTING_FREE:
		memcpy(&texts[0], a + row->offset, sizeof texts[0]);
		memcpy(&texts[1], b + row->offset, sizeof texts[1]);
		return same_text(texts[0], texts[1]);
	case SETTING_FLAG:
		return memcmp(a + row->offset, b + row->offset, sizeof(bool)) == 0;
	case SETTING_TEXTS:
	case SETTING_GROUPS:
		return same_list(a, b, row);
	default:
		return memcmp(a + row->offset, b + row->offset, sizeof(uint64_t)) == 0;
	}
}

/* What one call of settings_changes() hands down. */
struct comparison {
	const char *a, *b;
	void (*changed)(void *context, const char *name);
	void *context;
};

static size_t compare(const struct comparison *c, const struct setting *table, const char *prefix)
{
	char dotted[DOTTED_MAX];
	size_t n = 0;

	for (const struct setting *row = table; row->name != NULL; row++) {
		snprintf(dotted, sizeof dotted, "%s%s%s", prefix, row->name, row->type == SETTING_GROUP ? "." : "");
		if (row->type == SETTING_GROUP) {
			n += compare(c, row->members, dotted);
		} else if (!same_value(c->a, c->b, row)) {
			n++;
			if (c->changed != NULL)
				c->changed(c->context, dotted);
		}
	}
	return n;
}

size_t settings_changes(const void *a, const void *b, const struct setting *table,
	void (*changed)(void *context, const char *name), void *context)
{
	return compare(&(struct comparison){a, b, changed, context}, table, "");
}
