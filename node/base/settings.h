/* settings - a configuration file in YAML, read by a table of settings.
 *
 * One row says a setting's name, type, range, default and help, so that the manual and the example file are printed from what
 * the reader obeys. All mistakes are found at once, each with `file:line:column`. What two YAML readers may understand
 * differently is refused: anchors, aliases, tags, merge keys, further documents, keys that come twice. A value is what its
 * setting's type makes of the text: `member: no` is the word no.
 *
 * A table ends with a row without a name. Values land in a struct at the rows' offsets. */
#ifndef ENLIGHT_BASE_SETTINGS_H
#define ENLIGHT_BASE_SETTINGS_H

#include "base/bytes.h"
#include "base/problem.h"

enum { SETTINGS_FILE_MAX = 1024 * 1024, SETTINGS_DEPTH_MAX = 16 };

enum setting_type {
	SETTING_TEXT = 1, /* char * */
	SETTING_PATH,     /* char *; a relative one begins in the file's folder */
	SETTING_NUMBER,   /* uint64_t */
	SETTING_SIZE,     /* uint64_t, bytes: 0, 512KiB, 20GiB */
	SETTING_DURATION, /* uint64_t, milliseconds: 500ms, 30s, 5min, 2h, 7d */
	SETTING_FLAG,     /* bool: true, false */
	SETTING_TEXTS,    /* char ** and, at n_offset, size_t */
	SETTING_GROUP,    /* settings of their own (members), in the same struct */
	SETTING_GROUPS,   /* a list of groups: an array of member_size structs and, at n_offset, size_t */
	SETTING_FREE,     /* char *: any mapping, as JSON text that keeps the file's lines and columns */
	SETTING_ENTRIES, /* names of the author's own: an array of member_size structs and, at n_offset, size_t. The first
			   * member takes the name; a value that is no group is the second member's */
};

struct setting {
	const char *name;
	enum setting_type type;
	size_t offset, n_offset;
	bool required;
	uint64_t min, max;    /* of numbers, sizes, durations; max 0: no limit */
	const char *fallback; /* the default, as it would stand in the file; NULL: none */
	const char *example;  /* for the example file, as it would stand there */
	const char *help;     /* one or two sentences */
	const struct setting *members;
	size_t member_size;
	/* The rule a text (or each text of a list) breaks; NULL: none. */
	const char *(*check)(const char *value);
};

struct settings; /* a file being read: where each value stood, and what is wrong so far */

struct settings *settings_new(const char *file); /* NULL: out of memory. The name is copied */
void settings_free(struct settings *s);          /* NULL is a no-op */

/* Reads the text into the zeroed struct at `out`, defaults included. Whatever is wrong is kept for settings_finish(). 0 or
 * -ENOMEM. What `out` holds is released with settings_release(), also after an error. */
int settings_parse(struct settings *s, void *out, const struct setting *table, struct bytes text);
/* The same with the file's content. */
int settings_read(struct settings *s, void *out, const struct setting *table);
void settings_release(void *out, const struct setting *table);

/* For checks that need more than one value: whether a field of `out` (for a list also each of its items) was in the file,
 * and a problem at its place. A field that was not there has the place of the group it belongs to. */
bool settings_given(const struct settings *s, const void *field);
unsigned settings_line(const struct settings *s, const void *field); /* from 1; of what is not there, its group's */
void settings_problem(struct settings *s, const void *field, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Hands over what is wrong, in the order of the file. 0; SETTINGS_BAD when there is anything; -ENOMEM. */
enum { SETTINGS_BAD = 1 };
int settings_finish(struct settings *s, struct problems *problems);

/* How many settings of two structs differ. `changed` (may be NULL) hears the dotted name of each, in the order of the table. */
size_t settings_changes(const void *a, const void *b, const struct setting *table,
	void (*changed)(void *context, const char *name), void *context);

/* A path as it stands in the file, seen from the file's folder; memory the caller frees. NULL: out of memory, which
 * settings_finish() says too. */
char *settings_path(struct settings *s, const char *path);

/* Writes the table as the source of a manual page (scdoc), and as a file with comments in which every required setting
 * stands with its example and every other one is commented out. `value` may answer another text for a setting's dotted name
 * (`trust.anchor`), else NULL; it may be NULL itself. */
void settings_manual(struct buffer *out, const struct setting *table);
void settings_example(
	struct buffer *out, const struct setting *table, const char *(*value)(void *, const char *), void *context);

#endif
