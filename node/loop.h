/* loop - one thread, one zmq_poll(): turns readiness into inputs for core's node, and carries out the actions that come back.
 *
 * The parts know nothing of each other: link has frames, api has requests, the commit and read workers have jobs and queries. What
 * passes between them passes here, as values. */
#ifndef ENLIGHT_LOOP_H
#define ENLIGHT_LOOP_H

#include "api/api.h"
#include "config.h"
#include "core/node.h"
#include "host/host.h"
#include "link/link.h"
#include "store/backup.h"
#include "store/reader.h"
#include "store/writer.h"

/* Frames that a connection could not take yet, in order. */
struct unsent {
	struct unsent *next;
	struct bytes frame; /* owned */
};
struct waiting {
	struct waiting *next;
	uint32_t connection;
	struct unsent *first, **end;
	size_t bytes;
	unsigned round; /* in which it was tried last */
	bool stuck;     /* more came than is kept */
};

struct loop {
	struct config *config;
	const char *config_path;
	struct api_access *access; /* of the configuration in force */
	struct node *node;
	struct link *link;
	struct api *api;
	struct host *host;
	struct store *store; /* owned by the writer once that runs; for store_bytes() */
	struct writer *writer;
	struct reader *reader;
	struct committer *committer;
	struct querier *querier;
	struct commit_changes *changes; /* of the running transaction; the commit worker's */
	struct waiting *waiting;
	unsigned round;
	size_t publishing_bytes; /* of events whose commit is under way */
	const char *full;        /* why the last batch was refused for want of space; NULL: it was not */
	bool full_seen;          /* store_lacks_room() sees it too, and so sees when it is over */
	struct {
		struct backup *copy; /* NULL: none */
		struct buffer head;
		bool ready;        /* the head is whole */
		uint64_t until_ms; /* then it is given up; 0: it is */
		uint64_t last_ms;  /* when the last one was kept, since 1970; 0: never */
	} backup;
	uint64_t wake_ms, started_ms;
	int signals; /* signalfd */
	bool stopping;
	bool lost_track; /* memory was too short for an input */
};

uint64_t loop_monotonic_ms(void);
uint64_t loop_time_ms(void);

/* What the workers and the parts call; `context` is the struct loop. */
extern const struct api_ops loop_api_ops;
void loop_link_event(void *context, const struct link_event *event);
int loop_writer_run(void *context, const struct ledger_ops *ops, void *ledger, void **jobs, size_t n);
void loop_writer_prepare(void *context, void *job);
void loop_writer_done(void *context, void **jobs, size_t n, int result);
void loop_reader_run(void *context, const struct archive_ops *ops, void *archive, void *job);

/* Runs until SIGTERM or SIGINT; then plugins finish what they have, and what was accepted is made durable and answered. 0 or -errno:
 * -ENOMEM also when the node could not take something in, for then only a new start knows again what the store holds.
 * SIGHUP reads the configuration again: the access table, cards and plugins; what else changed is logged and waits for a restart; a
 * file with mistakes changes nothing. */
int loop_run(struct loop *l);

/* Takes in the cards of the configured folder. Files that are refused are logged. Returns how many were new. */
size_t loop_import_cards(struct loop *l);

/* hosting.c: makes the plugins those of the configuration. 0 or -errno. */
int loop_configure_plugins(struct loop *l);
int loop_open_host(struct loop *l); /* 0 or -ENOMEM */

/* The same for the API's ops. */
json_t *loop_plugins(void *context);
int loop_held(void *context, struct held_page *page);
json_t *loop_held_row(void *context, const char *plugin, const struct place *place);
int loop_held_retry(void *context, const char *plugin, const struct place *place);
int loop_held_retry_all(void *context, const char *plugin, const struct held_filter *filter);
int loop_held_drop(void *context, const char *plugin, const struct place *place);

/* backup.c: the same; its turn in a round, and its end. */
int loop_backup_begin(void *context, char why[static 160]);
json_t *loop_backup(void *context);
int loop_backup_file(void *context, uint64_t *bytes);
int loop_backup_end(void *context, uint64_t tag, bool kept);
void loop_backup_turn(struct loop *l);
void loop_backup_close(struct loop *l); /* the commit worker is drained */

/* Gives the node something that happened; actions are carried out. */
void loop_step(struct loop *l, struct node_input *in);

/* Frees the frames that still wait. */
void loop_drop_waiting(struct loop *l);

/* report.c: /v1/status and the metrics. */
json_t *loop_status(void *context);
void loop_metrics(void *context, struct buffer *out);

/* The configuration's access rows in the form of api; memory the caller frees. NULL: none, or out of memory. */
struct api_access *loop_access(const struct config *c);

#endif
