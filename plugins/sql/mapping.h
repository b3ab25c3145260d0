/* mapping - the file that says which events become which rows (README.md has an example).
 *
 * Read by tables of settings, so that every mistake is found at once with file, line and column, and the reference is
 * printed from the rows that the reader obeys. Places are compiled against the topics' messages. */
#ifndef ENLIGHT_SQL_MAPPING_H
#define ENLIGHT_SQL_MAPPING_H

#include "base/settings.h"
#include "core/topic.h"
#include "place.h"

/* What a column of the database can hold, as far as it matters here. */
enum column_kind {
	KIND_UNKNOWN, /* nobody has looked yet */
	KIND_TEXT,
	KIND_WHOLE,
	KIND_DECIMAL,
	KIND_FLAG,
	KIND_DATE,
	KIND_TIME,
	KIND_BYTES, /* nothing of ours fits */
};
struct column_type {
	enum column_kind kind;
	short sql_type; /* of ODBC, to bind with */
	bool nullable;
};

struct translation {
	char *name, *to;
};

struct column {
	char *name, *from;
	struct translation *values;
	size_t n_values;
	char *otherwise;
	bool personal;
	bool identifies; /* it holds what an erasure calls a person by */
	struct place place;
	struct column_type type;
};

/* A list of the event as a table of its own: a row an item. */
struct rows {
	char *table, *each;
	struct column *key, *columns;
	size_t n_key, n_columns;
	struct place place;
};

struct table {
	char *topic, *table, *revision, *withdrawn, *erased;
	struct column *key, *columns;
	size_t n_key, n_columns;
	struct rows *rows;
	size_t n_rows;
	const struct topic *of;
	struct column_type revision_type, withdrawn_type;
};

struct mapping {
	char *connection, *done;
	uint64_t wait_ms;
	struct table *tables;
	size_t n_tables;
	char *file;
	struct settings *settings; /* knows where everything stands */
};

extern const struct setting mapping_settings[]; /* what may stand in the file */

/* Reads a mapping. 0; MAPPING_BAD with all that is wrong; -ENOMEM. `out` is released with mapping_deinit() in any case. */
enum { MAPPING_BAD = 1 };
int mapping_read(struct mapping *out, const char *file, struct problems *problems);
int mapping_parse(struct mapping *out, const char *file, struct bytes text, struct problems *problems);
void mapping_deinit(struct mapping *m);

bool any_personal(const struct column *columns, size_t n);
bool table_deletes_withdrawn(const struct table *t); /* else `withdrawn` is a column that gets the time */
bool table_deletes_erased(const struct table *t);    /* else personal columns are blanked */

/* Whether a person can be found by a column of its own. */
bool column_finds_person(const struct column *c);
bool table_finds_person(const struct table *t);
/* The first table of a topic about persons where none can be found; NULL: there is none. */
const struct table *mapping_blind(const struct mapping *m);

/* The line that a field of the mapping stands in. */
unsigned mapping_line(const struct mapping *m, const void *field);

/* Writes what may stand in a mapping as Markdown: a line a setting. */
void mapping_reference(struct buffer *out);

#endif
