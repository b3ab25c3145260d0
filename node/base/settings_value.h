/* settings_value - one value of a configuration file: from its text, by its setting's type. Used by settings.c. */
#ifndef ENLIGHT_BASE_SETTINGS_VALUE_H
#define ENLIGHT_BASE_SETTINGS_VALUE_H

#include "base/settings.h"

enum { RULE_MAX = 200 };

/* Reads a number, size, duration or flag into `field`. False, with the rule it breaks in `rule`: it is none, or out of range. */
bool value_read(char rule[static RULE_MAX], const struct setting *row, const char *text, void *field);

/* Whether the text is fit to be a value at all: not empty, without control characters. NULL, or the rule. */
const char *value_text_rule(const char *text);

/* The type in words, for the manual ("a size such as 20GiB"). */
const char *value_type_words(enum setting_type type);

/* Writes a number of a type as it would stand in the file. */
void value_format(struct buffer *out, enum setting_type type, uint64_t value);

/* The known name nearest to a wrong one, when it is near enough to be meant; NULL: none. */
const char *name_near(const struct setting *table, const char *name);

/* The name of the group in the table that has a setting of this name; NULL: none. */
const char *name_elsewhere(const struct setting *table, const char *name);

#endif
