/* make_vectors - what the files of that program share. */
#ifndef ENLIGHT_TESTS_MAKE_VECTORS_H
#define ENLIGHT_TESTS_MAKE_VECTORS_H

#include "core/digest.h"
#include <jansson.h>

/* A vector that cannot be made is a bug here: there is nothing to recover. */
void must(bool good, const char *what);

json_t *hex(const void *data, size_t len); /* text of lower-case digits */
json_t *hex_digest(const struct digest *d);
json_t *number(uint64_t v);
void set(json_t *object, const char *name, json_t *value); /* takes `value` */
void add(json_t *array, json_t *value);                    /* takes `value` */

/* vectors/event.json: one valid event of each topic, and refused ones. */
json_t *event_vectors(void);

/* vectors/evidence.json: files of evidence, good and bad. */
json_t *evidence_vectors(void);

/* topics.json, as text that the caller frees: the tables of topics and rules, a row a line. */
char *topics_text(void);

#endif
