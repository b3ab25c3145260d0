#include "base/settings.h"
#include "base/settings_value.h"

#include <stdio.h>
#include <string.h>

enum { DOTTED_MAX = 128, WRAP = 100 };

/* scdoc gives these a meaning. */
static void escaped(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("*_\\<>#`", *text) != NULL)
			buffer_str(out, "\\");
		buffer_add(out, text, 1);
	}
}

static void manual_range(struct buffer *out, const struct setting *row)
{
	if (row->max == 0 || row->type < SETTING_NUMBER || row->type > SETTING_DURATION)
		return;
	buffer_str(out, " from ");
	value_format(out, row->type, row->min);
	buffer_str(out, " to ");
	value_format(out, row->type, row->max);
}

static void manual_rows(struct buffer *out, const struct setting *table, const char *prefix)
{
	char dotted[DOTTED_MAX];

	for (const struct setting *row = table; row->name != NULL; row++) {
		snprintf(dotted, sizeof dotted, "%s%s", prefix, row->name);
		buffer_str(out, "*");
		escaped(out, dotted);
		buffer_str(out, "*\n\t");
		escaped(out, row->help);
		buffer_str(out, "++\nA value is ");
		escaped(out, value_type_words(row->type));
		manual_range(out, row);
		buffer_str(out, row->required ? "; required." : ".");
		if (row->fallback != NULL) {
			buffer_str(out, " Default: ");
			escaped(out, row->fallback);
			buffer_str(out, ".");
		}
		buffer_str(out, "\n\n");
		snprintf(dotted, sizeof dotted, "%s%s%s", prefix, row->name,
			row->type == SETTING_GROUPS    ? "[]."
			: row->type == SETTING_ENTRIES ? ".NAME."
						       : ".");
		if (row->members != NULL)
			manual_rows(out, row->members + (row->type == SETTING_ENTRIES), dotted);
	}
}

void settings_manual(struct buffer *out, const struct setting *table)
{
	manual_rows(out, table, "");
}

/* Help as comment lines, cut between words. */
static void comment(struct buffer *out, const char *text, int indent)
{
	size_t n, end;

	while (*text != '\0') {
		n = strlen(text);
		for (; n > WRAP; n = end) {
			end = n - 1;
			while (end > 0 && text[end] != ' ')
				end--;
			if (end == 0)
				break;
		}
		buffer_printf(out, "%*s# %.*s\n", indent, "", (int)n, text);
		text += n;
		text += *text == ' ';
	}
}

struct example {
	struct buffer *out;
	const char *(*value)(void *context, const char *name);
	void *context;
};

static void example_rows(const struct example *e, const struct setting *table, const char *prefix, int indent)
{
	char dotted[DOTTED_MAX];
	const char *value, *mark;

	for (const struct setting *row = table; row->name != NULL; row++) {
		snprintf(dotted, sizeof dotted, "%s%s", prefix, row->name);
		value = e->value != NULL ? e->value(e->context, dotted) : NULL;
		mark = row->required || value != NULL ? "" : "#";
		if (value == NULL)
			value = row->example != NULL ? row->example : row->fallback;
		if (indent == 0)
			buffer_str(e->out, "\n");
		comment(e->out, row->help, indent);
		if (row->type == SETTING_GROUP) {
			/* A group of which nothing is set is a group all the same. */
			buffer_printf(e->out, "%*s%s:\n", indent, "", row->name);
			snprintf(dotted, sizeof dotted, "%s%s.", prefix, row->name);
			example_rows(e, row->members, dotted, indent + 2);
		} else {
			buffer_printf(e->out, "%*s%s%s: %s\n", indent, "", mark, row->name, value != NULL ? value : "");
		}
	}
}

void settings_example(
	struct buffer *out, const struct setting *table, const char *(*value)(void *, const char *), void *context)
{
	example_rows(&(struct example){out, value, context}, table, "", 0);
}
