/* fields - what of Erasmus Without Paper has which place in an event: a table for each kind of document.
 *
 * A row is an element (or attribute) in the one its group describes, the field of the event's data it goes to, what kind of value
 * it is, and how often it comes by the official schema. The conversion walks a document by these rows, `enlight-ewp fields`
 * prints them. Another kind of document is another table here and a row in `ewp_kinds`. */
#ifndef ENLIGHT_EWP_FIELDS_H
#define ENLIGHT_EWP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

/* What a value is; values.c holds one reader and one sentence for each, but for those marked. */
enum ewp_type {
	EWP_OBJECT, /* elements that become an object of their own; walked by the conversion */
	EWP_INLINE, /* elements that belong to the object around; likewise */
	EWP_STRING,
	EWP_SCHEME,
	EWP_LOS_ID,
	EWP_LOI_ID,
	EWP_ISCED_F,
	EWP_YEAR,
	EWP_TERM,
	EWP_LANGUAGE,
	EWP_DATE,
	EWP_DECIMAL,
	EWP_INTEGER,
	EWP_COUNT,
	EWP_WORD,
	EWP_GENDER,
	EWP_FLAG,
	EWP_STATUS,
	EWP_TEXT,
	EWP_NAME,
	EWP_LINK,
	EWP_TYPES,
};

enum ewp_presence {
	EWP_OPTIONAL,
	EWP_REQUIRED,
	EWP_CHOICE, /* one of the rows of the group that are marked so */
	EWP_MANY,   /* any number */
	EWP_SOME,   /* at least one */
};

/* A word of the standard, and ours for it. A list ends with a row of NULL. */
struct ewp_word {
	const char *theirs, *ours;
};

struct ewp_group;
struct ewp_field {
	const char *element; /* its local name; of an attribute with @ in front */
	const char *field;   /* in the data, as JSON has it; of EWP_INLINE: NULL */
	enum ewp_type type;
	enum ewp_presence presence;
	const struct ewp_group *group; /* of EWP_OBJECT and EWP_INLINE */
	const struct ewp_word *words;  /* of EWP_WORD and EWP_GENDER */
	const char *list;              /* of EWP_STATUS: whose spelling it is */
	const char *ns;                /* NULL: the document's own */
};

struct conversion;
struct place;
struct ewp_group {
	const struct ewp_field *fields; /* ends with a row of NULL; at most EWP_FIELDS_MAX */
	void (*finish)(struct conversion *c, const struct place *at); /* what no row can say (convert.h); or NULL */
};
enum { EWP_FIELDS_MAX = 24 };

struct ewp_kind {
	const char *name; /* for people: courses 0.7.1 */
	const char *root, *ns;
	const char *schema; /* in the folder of official schemas */
	const char *object; /* element of one object, which becomes one event */
	const char *topic;
	const char *reader; /* place in the data of the only member that may read; NULL: --audience says who */
	struct ewp_group group;
};

extern const struct ewp_kind ewp_kinds[];
extern const size_t n_ewp_kinds;

const char *ewp_presence_text(enum ewp_presence presence);

#endif
