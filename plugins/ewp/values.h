/* values - what an element holds, as the event has it: one reader for each type of value. */
#ifndef ENLIGHT_EWP_VALUES_H
#define ENLIGHT_EWP_VALUES_H

#include "ewp/fields.h"
#include <jansson.h>

/* `json`: what goes into the event, a new reference, or NULL. `refused`: why the document cannot be taken. `left_out`: what of
 * the value an event cannot carry, all of it when there is no `json`. The texts are constant and quote nothing. */
struct ewp_value {
	json_t *json;
	bool empty; /* there was nothing to read */
	const char *refused, *left_out;
};

/* Reads an element's text (or an attribute's value). `lang` is its xml:lang, NULL when it has none. 0 or -ENOMEM. */
int value_read(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang);

/* Whether a value of the type may have xml:lang. */
bool value_has_lang(enum ewp_type type);

/* Whether values of the type are entries of a list, also when the standard allows but one. */
bool value_is_entry(enum ewp_type type);

const char *value_text(enum ewp_type type); /* what it is, in words */

#endif
