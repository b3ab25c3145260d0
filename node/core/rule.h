/* rule - what the fields of an event's data must look like.
 *
 * Each message has one set: a row for each field, in the order of the .proto file, and relations between fields. The rows
 * are what event_validate() checks and what `enlight topics NAME` prints, so the documentation cannot lie. Rules are
 * checked on the packed bytes in place: nothing is unpacked or allocated for data without a fault. */
#ifndef ENLIGHT_CORE_RULE_H
#define ENLIGHT_CORE_RULE_H

#include "base/bytes.h"
#include "base/problem.h"
#include "core/topic.h"

/* What a field's value is; rule.c holds one check and one sentence for each. */
enum rule_kind {
	RULE_ANY, /* numbers, flags and bytes without a rule */
	RULE_MESSAGE,
	RULE_ID,
	RULE_CODE,   /* of an open list */
	RULE_ONE_OF, /* of a closed list */
	RULE_LINE,
	RULE_TEXT,
	RULE_LANGUAGE,
	RULE_DATE,
	RULE_TIME,
	RULE_DECIMAL,
	RULE_ISCED_F,
	RULE_EQF,
	RULE_CEFR,
	RULE_COUNTRY,
	RULE_ACADEMIC_YEAR,
	RULE_TERM,
	RULE_HANDLE,
	RULE_ESI,
	RULE_ALLIANCE_ID,
	RULE_PERSON_ID,
	RULE_PERSON, /* any of the three before */
	RULE_EMAIL,
	RULE_URL,
	RULE_MEDIA_TYPE,
	RULE_FILE_NAME,
	RULE_TOPIC,
	RULE_SUBJECT,
	RULE_DIGEST,
	RULE_PIECE,
	RULE_POSITIVE,
	RULE_KINDS,
};

struct rule {
	const char *field; /* as in the .proto */
	enum rule_kind kind;
	unsigned min, max;          /* entries of a repeated field; max 0: any number */
	const char *list;           /* of RULE_CODE and RULE_ONE_OF: "approve, reject, comment" */
	const struct rule_set *set; /* of RULE_MESSAGE */
};

/* Something that holds between fields of one message. `a`, `b` and `c` are places in it, as in topic.roles. */
struct relation;
struct relation_kind {
	const char *name;
	bool (*holds)(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message);
};
struct relation {
	const struct relation_kind *kind;
	const char *at; /* field at which its breach is reported; NULL: the message itself */
	const char *text;
	const char *a, *b, *c;
};

struct rule_set {
	const ProtobufCMessageDescriptor *type;
	const struct rule *rules;         /* as many as the type has fields */
	const struct relation *relations; /* ends with a row without `kind`; NULL: none */
};

/* The sets of the messages that stand in the table of topics. */
extern const struct rule_set rules_act, rules_agreement, rules_assessment, rules_checkpoint, rules_correction,
	rules_course, rules_credential, rules_decision, rules_document_part, rules_eligibility, rules_enrolment,
	rules_erasure, rules_learning, rules_nomination, rules_programme, rules_staff, rules_stay, rules_transcript,
	rules_withdrawal;

/* Checks a message that wire_valid() found good; every breach goes to `problems`, its place beginning with `at`. */
void rules_check(const struct rule_set *set, struct bytes message, const char *at, struct problems *problems);

/* The bytes at a place ("partners.heiId") of a message, in order, at most `max` of them. Returns how many there are, also
 * beyond `max`. */
size_t place_values(
	const ProtobufCMessageDescriptor *type, struct bytes message, const char *place, struct bytes *out, size_t max);

/* One field of a topic's data, for people. All strings are valid during the call only. */
struct rule_line {
	const char *place; /* "runs[].term.academicYear"; "": the data itself, when a rule holds between its fields */
	const char *type;  /* text, number, true/false, base64, object */
	bool required, repeated;
	const char *rule; /* "" when there is none */
};

/* Visits the fields of a topic's data from top to bottom, what is inside an object after it. Stops at the first visit that
 * does not return 0 and returns that. */
int rule_each(const struct topic *topic, int (*visit)(void *context, const struct rule_line *line), void *context);

/* What a kind asks of a value, for programs; proto/topics.json is printed from it, proto/README.md explains it. */
struct rule_form {
	const char *name; /* "academic-year" */
	bool (*check)(const char *s, size_t len);
	const char *pattern;           /* of the whole value; NULL: any */
	const char *also;              /* what no pattern says: words with commas between; NULL: nothing */
	unsigned min_bytes, max_bytes; /* max 0: any number */
	const char *text;              /* for people */
};
const struct rule_form *rule_form(enum rule_kind kind);

/* The checks that events' own attributes share with data. `s` need not be NUL-terminated. */
bool rule_holds(enum rule_kind kind, const char *s, size_t len);
const char *rule_text(enum rule_kind kind);

#endif
