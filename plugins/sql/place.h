/* place - where in an event's JSON a column's value stands: `source`, `data.courseId`, `data.title[lang=en].value`,
 * `data.student.names[0].family`; several with a bar between: the first that has a value. In the rows of a list a place
 * begins at the item (`runId`); `.` is the item itself and `.number` its number, from 1.
 *
 * A place is compiled against the topic's message, so that a wrong one is found before the first event. */
#ifndef ENLIGHT_SQL_PLACE_H
#define ENLIGHT_SQL_PLACE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

enum { PLACE_STEPS_MAX = 16, PLACE_RULE_MAX = 256 };

struct place_step {
	enum { STEP_NAME = 1, STEP_NUMBER, STEP_SELECT } kind;
	char *name;   /* of the field; of the one that selects */
	char *value;  /* that the selecting field must have */
	size_t index; /* of STEP_NUMBER */
};

/* The zeroed value is empty; release with place_deinit(). */
struct place {
	struct place_step steps[PLACE_STEPS_MAX];
	size_t n;
	const ProtobufCFieldDescriptor *field; /* it ends at; NULL: an attribute of the event, or the item's number */
	bool whole;                            /* a number, though no field: the revision, the item's number */
	bool item_number;
	bool personal;      /* it leads into what is said of a person */
	struct place *next; /* where to look when nothing is here */
};

/* What a place may name. `item`: it begins at an item of the list `list`, else at an event with `data`. */
struct place_scope {
	const ProtobufCMessageDescriptor *data;
	const ProtobufCFieldDescriptor *list;
};

/* Compiles `text`. A place of a column ends at a value (with `list`: at a list of whatever). 0; PLACE_BAD with the rule it
 * breaks in `rule`; -ENOMEM. `out` is released by the caller in any case. */
enum { PLACE_BAD = 1 };
int place_compile(struct place *out, const char *text, const struct place_scope *scope, bool list,
	char rule[static PLACE_RULE_MAX]);
void place_deinit(struct place *p);

/* What stands at the place, borrowed; NULL: nothing. An item's own number is not JSON: see `item_number`. */
json_t *place_find(const struct place *p, json_t *root);

/* The one attribute or top-level field of the data that the whole place is ("source", "data.courseId"); else false. */
bool place_is(const struct place *p, const char *attribute, const char *data_field);

/* Whether it leads by names alone to a field of the data ("student.esi"), whatever is looked for when nothing is there. */
bool place_leads(const struct place *p, const char *path);

#endif
