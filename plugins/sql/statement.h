/* statement - the SQL of a mapping, with a parameter for every value: none is ever part of the text.
 *
 * What three databases understand alike: UPDATE where the revision is older, else INSERT where there is no such row. An
 * UPDATE that finds its row changes it, since it raises the revision; so "no row was changed" means the same everywhere. */
#ifndef ENLIGHT_SQL_STATEMENT_H
#define ENLIGHT_SQL_STATEMENT_H

#include "base/bytes.h"
#include "mapping.h"

/* Where the value of a parameter comes from. */
enum param_kind {
	PARAM_KEY = 1,    /* index: of the table's key */
	PARAM_COLUMN,     /* of its columns */
	PARAM_ROW_KEY,    /* of the rows' key */
	PARAM_ROW_COLUMN, /* of the rows' columns */
	PARAM_REVISION,   /* that is applied or withdrawn */
	PARAM_TIME,       /* of the withdrawal */
	PARAM_PERSON,     /* to be forgotten */
	PARAM_DONE,       /* index: enum done_value */
};
enum done_value {
	DONE_EVENT,  /* digest of owner, source and id */
	DONE_SOURCE, /* as they are, for people */
	DONE_ID,
	DONE_CHANNEL, /* digest of the channel, to forget by */
	DONE_SEQUENCE,
	DONE_SETTLED,
	DONE_OBJECT,   /* digest of a withdrawn object, else nothing */
	DONE_REVISION, /* up to which it is withdrawn */
	DONE_VALUES,
};

struct param {
	enum param_kind kind;
	size_t index;
	const char *column; /* for people */
	const struct column_type *type;
};

struct statement {
	char *sql;
	struct param *params;
	size_t n_params;
	unsigned number; /* from 0, each its own */
	const void *at;  /* field of the mapping it was made from */
	const char *table;
};

struct rows_sql {
	struct statement clear, add, withdraw, erase, erase_person;
};
struct table_sql {
	struct statement update, insert, withdraw, erase, erase_person;
	struct rows_sql *rows;
};

/* The table of applied events has indexes named TABLE_SUFFIX. */
enum { DONE_INDEXES = 2, DONE_PARTS = 1 + DONE_INDEXES };
extern const char *const done_indexes[DONE_INDEXES];

/* All statements of a mapping; a statement without text is not needed. */
struct sql {
	const struct mapping *mapping;
	const char *owner; /* of what is in the table of applied events, part of its digests */
	struct table_sql *tables;
	struct statement seen, record, prune;
	char *create[DONE_PARTS]; /* what makes the table of applied events, and its indexes */
	unsigned n;               /* statements */
};

/* Writes the statements, with names between `quote`s. What another `owner` applied is not applied: each has a mapping of its
 * own. Mapping and owner are borrowed until sql_deinit(). 0 or -ENOMEM; released with sql_deinit() in any case. */
int sql_init(struct sql *out, const struct mapping *m, char quote, const char *owner);
void sql_deinit(struct sql *s);

#endif
