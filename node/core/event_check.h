/* event_check - what event.c, event_check.c, draft.c and event_json.c share; others call event.h. */
#ifndef ENLIGHT_CORE_EVENT_CHECK_H
#define ENLIGHT_CORE_EVENT_CHECK_H

#include "core/event.h"
#include "enlight/log/v1/log.pb-c.h"

#define CONTENT_JSON "application/json"
#define CONTENT_PROTOBUF "application/protobuf"

/* What was found wrong so far. */
struct verdict {
	struct problems *problems;
	int worst; /* DRAFT_..., the lowest of those met; 0: none */
};
__attribute__((format(printf, 4, 5))) void verdict_refuse(
	struct verdict *v, int outcome, const char *place, const char *rule_format, ...);

/* Rules on attributes, for topics unknown to this node too. What is NULL is not checked. */
void event_check_attributes(struct verdict *v, const struct event *e, const char *audience);

/* Rules on data. `e` has a topic, a subject, and data that wire_valid() found good. */
void event_check_data(struct verdict *v, const struct event *e, const char *publisher, const char *audience);

/* The first value at a place of the data; data NULL: there is none. */
struct bytes event_value(const struct event *e, const char *place);

/* The values at all places where the topic has persons, each once, at most `max`. Returns how many. */
size_t event_persons(const struct event *e, struct bytes *out, size_t max);
bool event_names(const struct event *e, struct bytes person); /* whether the node's list has it */
bool event_add_person(struct event *e, struct bytes person);  /* false: out of memory */

/* Lets the message borrow everything; what a draft does not have yet is empty. */
void event_message(Enlight__Log__V1__Event *m, const struct event *e);

#endif
