/* value - what a column gets: the event's JSON value, translated, in the form that the column's type takes.
 *
 * Everything is bound as text; drivers convert. What cannot be such a value is found here, in our words, before the
 * database is asked. */
#ifndef ENLIGHT_SQL_VALUE_H
#define ENLIGHT_SQL_VALUE_H

#include "mapping.h"

/* Writes the value's text to memory the caller frees; NULL when it is absent. 0; VALUE_REFUSED with the rule that it breaks (a
 * constant text); -ENOMEM. */
enum { VALUE_REFUSED = 1 };
int value_make(char **out, const struct column *c, json_t *json, const char **rule);

/* The same for a text without a place, such as a time, and the type it is to have. */
int value_convert(char **out, enum column_kind kind, const char *text, bool flag, const char **rule);

/* What a column must be to take every value of a place. NULL: it may; else what is wrong with it. */
const char *value_misfit(const struct column *c, enum column_kind kind);

#endif
