/* host - the plugins' processes: starts them, moves frames between their pipes and core's deliveries, ends them.
 *
 * One struct delivery (core/delivery.h) for each plugin decides; here is what it may not touch: processes, pipes, limits. A plugin gets
 * its standard input and output for the protocol and its standard error for the node's log; a scrubbed environment, a process group
 * and a folder of its own, no new privileges, a limit on memory, and no descriptor of the node's. When the node dies it dies too, so that
 * the next node's process is the only one. Runs in the loop's thread. */
#ifndef ENLIGHT_HOST_HOST_H
#define ENLIGHT_HOST_HOST_H

#include "core/commit.h"
#include "core/delivery.h"
#include "core/ledger.h"
#include <zmq.h>

struct host;

#define HOST_CONNECTION UINT32_MAX /* the `connection` of its jobs and queries */

/* A plugin of the configuration; borrowed for the call. */
struct host_plugin {
	const char *name;
	const char *program;      /* path */
	char *const *command;     /* the program as it was called, and its arguments */
	char *const *environment; /* NAME=value, beside PATH, HOME and LANG */
	char *const *topics, *const *publishes;
	size_t n_command, n_environment, n_topics, n_publishes;
	bool own;
	const char *settings; /* or NULL */
	uint64_t deadline_ms;
	uint64_t memory_limit_bytes; /* of address space; 0: none */
	bool newest;                 /* one that has no cursor yet begins behind what is stored now */
};

/* What the loop does for it. A job or query is taken, and comes back through host_committed() or host_queried(); when it cannot be taken,
 * the function answers -EAGAIN and the host keeps it. */
struct host_ops {
	int (*commit)(void *context, struct job *job);
	int (*query)(void *context, struct query *query);
	uint64_t (*time_ms)(void *context); /* since 1970 */
};

struct host_options {
	const char *member;
	const char *state; /* folder; each plugin's is plugins/NAME in it */
	const char *file;  /* the configuration; relative paths in settings begin in its folder */
	const struct host_ops *ops;
	void *context;
};

int host_open(struct host **out, const struct host_options *options); /* 0, -ENOMEM, -errno of finding state or file */

/* Makes the plugins those of the configuration: new ones start where the archive says that they were; removed and changed ones are drained, a
 * changed one starts again as it is now, which is tried until it can be set up. The cursor of a removed one is kept. 0, or -errno: the
 * rest is as it was. */
int host_configure(struct host *h, const struct host_plugin *plugins, size_t n, const struct archive_ops *ops,
	void *archive, uint64_t now_ms);

/* Asks all to end; host_stopped() then tells when they have, at most `drain_ms` later. */
void host_drain(struct host *h, uint64_t drain_ms, uint64_t now_ms);
bool host_stopped(const struct host *h);
void host_close(struct host *h); /* NULL is a no-op; kills what still runs */

/* For the loop: items to poll, when a turn is due at the latest, and the turn. */
size_t host_poll_items(struct host *h, zmq_pollitem_t *items, size_t max);
uint64_t host_wake_ms(const struct host *h);
void host_turn(struct host *h, uint64_t now_ms);

/* Answers; both are taken, whether or not their plugin is still there. */
void host_committed(struct host *h, struct job *job, uint64_t now_ms);
void host_queried(struct host *h, struct query *query, uint64_t now_ms);
void host_stored(struct host *h, uint64_t last_number, uint64_t now_ms); /* something new was stored */

/* What operators do and see. -ENOENT: no such plugin or row; -EBUSY: it is parked. */
int host_retry(struct host *h, const char *plugin, const struct place *place, uint64_t now_ms);
int host_retry_all(struct host *h, const char *plugin, const struct held_filter *filter,
	uint64_t now_ms); /* how many, or -ENOENT */
int host_drop(struct host *h, const char *plugin, const struct place *place, uint64_t now_ms);
json_t *host_plugins(const struct host *h);                  /* array; new references, NULL: out of memory */
int host_held(const struct host *h, struct held_page *page); /* 0, -ENOENT: no such plugin to go on behind, -ENOMEM */
json_t *host_row(const struct host *h, const char *plugin, const struct place *place); /* JSON null: there is none */

/* Counters by plugin, for metrics: calls `visit` for each. */
void host_counters(const struct host *h,
	void (*visit)(void *context, const char *plugin, const struct delivery_counters *counters), void *context);

#endif
