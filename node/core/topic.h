/* topic - the kinds of event there are. One row says all that differs between them, and `enlight topics` prints it. */
#ifndef ENLIGHT_CORE_TOPIC_H
#define ENLIGHT_CORE_TOPIC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct rule_set;

#define TYPE_PREFIX "eu.enlight."

/* Who may publish: checked by the validation against a place in the data or against the object judged. */
struct topic {
	const char *name;                          /* mobility.nomination */
	const char *type;                          /* eu.enlight.mobility.nomination.v1 */
	const char *family;                        /* mobility: the first part of every subject */
	const ProtobufCMessageDescriptor *message; /* of the data */
	bool personal;                             /* named members only, never network */
	bool self; /* published by the node itself, to its own member alone; shown to its operators alone */
	const char *data_class;       /* public, internal, personal */
	const char *publisher;        /* in words, for the manual: "sender" */
	const char *const *roles;     /* places in the data that hold the handle of a member that may
						    * publish, NULL-terminated ("sending.heiId"); NULL: anyone */
	const char *const *persons;   /* places that hold a person's identifier, NULL-terminated, or NULL */
	unsigned keep_days;           /* retention from the day of publication */
	const char *purpose;          /* one line */
	const char *example;          /* the data of a valid event, JSON */
	const char *id;               /* place in the data that holds the ID of the subject; NULL: none does */
	const struct rule_set *rules; /* what the fields of the data must look like (rule.h) */
};

extern const struct topic topics[]; /* sorted by name */
extern const size_t n_topics;

const struct topic *topic_find(const char *name);    /* NULL: unknown */
const struct topic *topic_of_type(const char *type); /* NULL: unknown */
bool topic_is_self(const char *name);                /* whether it is known, and only a node's own */

/* Whether a pattern (`course.*`, `*`, `*.decision` or a whole name) covers a topic's name. What nodes publish to themselves no
 * star covers: who means it says its whole name. */
bool topic_matches(const char *pattern, const char *name);
bool topic_pattern_valid(const char *pattern); /* well-formed and covers at least one topic */

/* The topic's name inside a type of our form, also for topics this node does not know ("x.y" of "eu.enlight.x.y.v1"),
 * written to `out` of TYPE_MAX + 1 bytes. False: not our form. */
bool topic_name_of_type(char *out, const char *type);

#endif
