/* offline - files of the verbs that need no running node: notes, identity keys, and the folder of one node.
 *
 * Functions that answer an exit status have printed why when it is not EX_OK. */
#ifndef ENLIGHT_CLI_OFFLINE_H
#define ENLIGHT_CLI_OFFLINE_H

#include "cli/cli.h"
#include "cli/draft.h"
#include "cli/identity.h"
#include "config.h"
#include "core/card.h"
#include "core/roster.h"

/* Files whose text is the caller's; the name is borrowed. `-` is standard input. */
int offline_read(struct draft_file *out, const char *path);
void offline_release(struct draft_file *f); /* wipes; the zeroed value is fine */

/* Writes to a file, durably, or to standard output when the path is NULL or `-`. With --dry-run it only says so. */
int offline_write(const struct cli *c, const char *path, struct bytes text, unsigned mode);

/* Prints what a parser or check found; `r` is its answer: EX_OK, EX_DATAERR, or EX_OSERR when memory was short. */
int offline_result(int r, struct problems *problems);

int offline_roster(struct roster *out, const char *path);
int offline_card(struct card *out, const char *path);

/* An identity key with its secret, from --identity (or `path` when that was not given) and --passphrase-file. */
int offline_identity(struct identity *out, const struct cli *c, const char *path);

/* The content of --passphrase-file without its line end; empty when not given. The caller wipes it with buffer_deinit(). */
int offline_passphrase(struct buffer *out, const struct cli *c);

/* Gives a note's file to the running node, which passes it on. `what` names it in messages. */
int offline_import(const struct cli *c, const char *file, const char *route, const char *what);

/* What a comma-separated value lists: pointers into `*memory`, both the caller's to free. A NULL value lists nothing. */
int offline_list(const char ***out, size_t *n, char **memory, const char *value);

/* A path below a folder; memory the caller frees, NULL when short of it. */
char *offline_path(const char *folder, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The folder of a file's path; likewise. */
char *offline_folder_of(const char *path);

/* What the node knows better than a roster's file, in words, by its answer to /v1/status; "": nothing, or no answer. */
void offline_newer_roster(char out[static 160], const struct roster *file, const json_t *status);

/* The member that the configuration names, NULL when there is no good one; memory the caller frees. EX_OK or EX_OSERR. */
int offline_member(char **out, const struct cli *c);

bool offline_exists(const char *path);

/* The folder that `enlight init` made: its configuration, and where things are. */
struct node_folder {
	char *folder;
	char *file; /* enlight.yaml */
	struct config *config;
	char *card; /* this member's own */
};
/* From a folder, or, when that is NULL, from --config. */
int node_folder_open(struct node_folder *out, const struct cli *c, const char *folder);
void node_folder_close(struct node_folder *p); /* the zeroed value is fine */

/* Puts a roster that was verified into a node's folder and pins its digest (roster.c). */
int roster_pin_in(const struct cli *c, const struct node_folder *p, const struct roster *r);

/* What a new member begins with (invite.c): read, looked through, and its digest agreed to, before anything is written; then put into a
 * node's folder. An invite has nothing in it that counts by itself: the roster does by its digest, which a person has compared, and the
 * cards do by the roster. */
struct invite {
	struct roster roster;
	struct card *cards;
	size_t n_cards;
};
int invite_read(struct invite *out, const struct cli *c, const char *path);
int invite_confirm(const struct invite *in, const struct cli *c);
int invite_put(const struct invite *in, const struct cli *c, const char *folder);
void invite_deinit(struct invite *in); /* the zeroed value is fine */
#define INVITE_OPTIONS                                                                                                 \
	{"digest", "DIGEST", "The roster's digest, as another member reads it out: then nobody is asked"},             \
	{                                                                                                              \
		"yes", NULL, "Take the digest as it is; it was compared before"                                        \
	}

/* Prints lines of text as standing beside a person's next steps: to stderr, not with --quiet. */
void offline_say(const struct cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
