#include "base/settings_value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LEN = 32 };

struct unit {
	const char *name;
	uint64_t factor;
};

/* Smallest first: value_format() takes the largest that divides. */
static const struct unit size_units[] = {
	{"B", 1}, {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776}, {NULL, 0}};
static const struct unit duration_units[] = {
	{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit number_units[] = {{"", 1}, {NULL, 0}};

static const struct {
	const char *words;
	const struct unit *units; /* NULL: not a number of any kind */
} types[] = {
	[SETTING_TEXT] = {"text", NULL},
	[SETTING_PATH] = {"a path, from the folder of this file", NULL},
	[SETTING_NUMBER] = {"a whole number", number_units},
	[SETTING_SIZE] = {"a size such as 512KiB or 20GiB", size_units},
	[SETTING_DURATION] = {"a duration such as 30s, 5min or 7d", duration_units},
	[SETTING_FLAG] = {"true or false", NULL},
	[SETTING_TEXTS] = {"a list of texts such as [a, b]", NULL},
	[SETTING_GROUP] = {"a group of settings (name: value)", NULL},
	[SETTING_GROUPS] = {"a list of groups of settings", NULL},
	[SETTING_FREE] = {"any settings (name: value)", NULL},
	[SETTING_ENTRIES] = {"names of your own, each with its value (name: value)", NULL},
};

const char *value_type_words(enum setting_type type)
{
	return types[type].words;
}

/* Digits, then one of the units. False: not so, or beyond 2^63. */
static bool number_read(uint64_t *out, const char *text, const struct unit *units)
{
	uint64_t n = 0;
	const char *s = text;

	for (; isdigit((unsigned char)*s); s++) {
		if (n > INT64_MAX / 10 - 9)
			return false;
		n = n * 10 + (uint64_t)(*s - '0');
	}
	if (s == text)
		return false;
	if (n == 0 && *s == '\0') {
		*out = 0;
		return true;
	}
	for (; units->name != NULL; units++) {
		if (strcmp(s, units->name) == 0) {
			*out = n * units->factor;
			return n <= INT64_MAX / units->factor;
		}
	}
	return false;
}

void value_format(struct buffer *out, enum setting_type type, uint64_t value)
{
	const struct unit *units = types[type].units, *best = units;

	for (const struct unit *u = units; u->name != NULL; u++) {
		if (value % u->factor == 0)
			best = u;
	}
	buffer_printf(out, "%llu%s", (unsigned long long)(value / best->factor), value == 0 ? "" : best->name);
}

static void range_rule(char rule[static RULE_MAX], const struct setting *row)
{
	struct buffer b = {0};

	buffer_str(&b, "must be between ");
	value_format(&b, row->type, row->min);
	buffer_str(&b, " and ");
	value_format(&b, row->type, row->max);
	snprintf(rule, RULE_MAX, "%s", buffer_cstr(&b) != NULL ? (const char *)b.data : "is out of range");
	buffer_deinit(&b);
}

static bool flag_read(char rule[static RULE_MAX], const char *text, bool *out)
{
	*out = strcmp(text, "true") == 0;
	if (*out || strcmp(text, "false") == 0)
		return true;
	snprintf(rule, RULE_MAX, "must be %s", types[SETTING_FLAG].words);
	return false;
}

bool value_read(char rule[static RULE_MAX], const struct setting *row, const char *text, void *field)
{
	uint64_t n;

	if (row->type == SETTING_FLAG)
		return flag_read(rule, text, field);
	if (!number_read(&n, text, types[row->type].units)) {
		snprintf(rule, RULE_MAX, "must be %s", types[row->type].words);
		return false;
	}
	if (n < row->min || (row->max != 0 && n > row->max)) {
		range_rule(rule, row);
		return false;
	}
	memcpy(field, &n, sizeof n);
	return true;
}

const char *value_text_rule(const char *text)
{
	if (*text == '\0')
		return "must not be empty";
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return "must not contain line ends or other control characters";
	}
	return NULL;
}

/* How many letters to insert, remove, replace or swap with their neighbour make one of the other (optimal string alignment). */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
	size_t n = strlen(a), m = strlen(b);

	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			unsigned best = (unsigned)(i == 0 ? j : i);

			if (i != 0 && j != 0) {
				best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
				best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
				best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
			}
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
				d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

const char *name_near(const struct setting *table, const char *name)
{
	unsigned best = 3, found;
	const char *near = NULL;

	if (strlen(name) > NAME_MAX_LEN)
		return NULL;
	for (const struct setting *row = table; row->name != NULL; row++) {
		found = distance(name, row->name);
		if (found < best && found * 2 < strlen(row->name)) {
			best = found;
			near = row->name;
		}
	}
	return near;
}

const char *name_elsewhere(const struct setting *table, const char *name)
{
	for (const struct setting *row = table; row->name != NULL; row++) {
		if (row->type != SETTING_GROUP)
			continue;
		for (const struct setting *member = row->members; member->name != NULL; member++) {
			if (strcmp(member->name, name) == 0)
				return row->name;
		}
	}
	return NULL;
}
