/* cli - the frame of the `enlight` command: verbs in tables, options, messages, tables.
 *
 * A verb is a row of a table (struct command); help and manual are printed from the rows. Data goes to stdout, messages to
 * stderr. A verb's function answers an exit status of <sysexits.h>; see cli_exits in help.c. */
#ifndef ENLIGHT_CLI_CLI_H
#define ENLIGHT_CLI_CLI_H

#include "base/bytes.h"
#include "base/problem.h"
#include <jansson.h>
#include <stdio.h>
#include <sysexits.h>

struct cli;

/* An option of one verb. `arg` NULL: a flag. A table ends with a row without a name. */
struct cli_option {
	const char *name; /* audience: --audience */
	const char *arg;  /* MEMBER,... */
	const char *help;
};

struct command {
	const char *name;       /* "peers", "peers block" */
	const char *args;       /* "MEMBER"; NULL: none */
	const char *help;       /* one line, without a full stop */
	const char *details;    /* further sentences; NULL: none */
	const char *example;    /* a line for each command, as one types it; how long ones are cut is help.c's */
	int min_args, max_args; /* max_args -1: any number */
	const struct cli_option *options;
	int (*run)(struct cli *c, int argc, char **argv); /* argv: what is left after options, without the verb */
	bool hidden;                                      /* not in help and manual */
};

/* One run. Options that every verb understands; not every verb has a use for each. */
struct cli {
	const struct command *command;
	const char *config; /* --config, ENLIGHT_CONFIG, or the default; never NULL */
	bool config_given;
	const char *socket; /* --socket, ENLIGHT_SOCKET; NULL: the configuration says */
	bool json;          /* print JSON rather than tables */
	bool raw;           /* tables without alignment and headings */
	bool quiet;         /* no messages but errors */
	bool dry_run;       /* say what would be done */
	bool colour;
	const char **values; /* of the verb's options, by row; NULL: not given */
};

/* The tables, each ended by a row without a name. All verbs, sorted by name: cli_commands(); the caller frees the array, which
 * ends with NULL. NULL: out of memory. */
extern const struct command audit_commands[];  /* audit.c */
extern const struct command backup_commands[]; /* backup.c, restore.c */
extern const struct command restore_commands[];
extern const struct command online_commands[]; /* online.c: they ask the running node */
extern const struct command event_commands[];  /* events.c: events, tail */
extern const struct command publish_commands[];
extern const struct command evidence_commands[];   /* evidence.c: receipts, evidence, verify */
extern const struct command local_commands[];      /* local.c: they need no node */
extern const struct command plugin_commands[];     /* plugins.c: plugins, dead */
extern const struct command doctor_commands[];     /* doctor.c */
extern const struct command help_commands[];       /* help.c */
extern const struct command init_commands[];       /* init.c */
extern const struct command invite_commands[];     /* invite.c: invite, join */
extern const struct command keys_commands[];       /* keys.c */
extern const struct command card_commands[];       /* card.c */
extern const struct command roster_commands[];     /* roster.c */
extern const struct command governance_commands[]; /* governance.c: rosters of the running node */
const struct command **cli_commands(void);

/* The value of an option of the verb ("" for a flag that is set); NULL: not given. */
const char *cli_value(const struct cli *c, const char *option);

/* The number after an option, `usual` when it is not given. False: it is no number of 1 or more, which has been said. */
bool cli_number(const struct cli *c, const char *option, unsigned long *out, unsigned long usual);

/* The options of acts that need no reason. */
extern const struct cli_option cli_reason_options[];

/* Messages: to stderr, one line each; "enlight: " stands in front. cli_note() is silent with --quiet. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_note(const struct cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints all problems (`place: error: rule`) to stderr and releases them. */
void cli_problems(struct problems *p);

/* One column of a table: where its value stands in a row's JSON object. A long text, and one of words, goes on in
 * further lines of its cell when the terminal is too narrow. */
enum column_kind { COLUMN_TEXT, COLUMN_LONG, COLUMN_WORDS, COLUMN_NUMBER, COLUMN_SIZE, COLUMN_AGE, COLUMN_FLAG };
struct column {
	const char *title;
	const char *key; /* "roster.number" looks into objects */
	enum column_kind kind;
};

/* Prints an array of objects as a table, or raw, or as JSON (c->json). `n` columns. An exit status. */
int cli_table(const struct cli *c, const struct column *columns, size_t n, const json_t *rows);

/* Prints JSON to stdout, indented, with a line end. An exit status. */
int cli_json(const json_t *json);

/* EX_OSERR means that memory was short, and main() says so. JSON that was built while it was short lacks something, wherever that
 * was: it is never printed, and the command ends with EX_OSERR. cli_watch_memory() comes before any JSON. */
void cli_watch_memory(void);
bool cli_lacks_memory(void);
void cli_lack_memory(void); /* for a callback that cannot say so otherwise */

/* What stands at a dotted key; NULL: nothing. And as text, "" when absent. */
const json_t *cli_get(const json_t *object, const char *key);
const char *cli_text(const json_t *object, const char *key);

/* How far something is that takes long: said on stderr from the second second on, every two, but not with --quiet. The zeroed value is
 * the beginning. */
struct cli_progress {
	uint64_t began_ms, said_ms;
};
void cli_progress(struct cli_progress *p, const struct cli *c, const char *what, uint64_t done, uint64_t total);

/* A size for people ("1.5 MiB"), written to `out`. */
void cli_size(char out[static 32], uint64_t bytes);

/* A time span for people ("3 h"), written to `out`. */
void cli_age(char out[static 32], uint64_t seconds);

#endif
