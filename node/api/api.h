/* api - HTTP for local systems, operators and monitoring: libmicrohttpd on a Unix socket (everything, by the access table) and on
 * loopback TCP (health, metrics and counts only).
 *
 * Runs in the loop's thread. Knows HTTP, JSON and who may do what; publishing and reading are asked for through `struct api_ops` and
 * answered later, by api_published() and api_queried(). Routes stand in one table (route.h), as do metrics (metrics.h). */
#ifndef ENLIGHT_API_API_H
#define ENLIGHT_API_API_H

#include "api/access.h"
#include "core/act.h"
#include "core/commit.h"
#include "core/delivery.h"
#include "core/query.h"
#include "core/trust.h"

struct api;

/* What the node answers at once, from the loop's own picture. JSON objects are new references; NULL: out of memory. */
struct api_ops {
	json_t *(*status)(void *context); /* /v1/status, without what api knows itself */
	json_t *(*peers)(void *context);
	json_t *(*channels)(void *context);
	/* Reasons why the node is not ready, as a JSON array of strings; empty: ready. */
	json_t *(*not_ready)(void *context);
	/* Why the last batch was refused for want of space; NULL: it was not. A reason not to be ready, for which nobody is kept from
	 * publishing: the next batch may find room. */
	const char *(*full)(void *context);
	/* Number of the newest batch stored, 0: none. Event streams without a cursor begin behind it. */
	uint64_t (*last_number)(void *context);
	/* Appends this node's metrics; see metrics.h. */
	void (*metrics)(void *context, struct buffer *out);

	/* Takes a job or query (whose `trust` is NULL and the loop's to fill in) and answers later with the same tag; 0, or
	 * -EAGAIN: too many are waiting (503). Taken on 0 only. */
	int (*publish)(void *context, struct job *job);
	int (*query)(void *context, struct query *query);

	/* Takes in a roster or card by hand; blocks or unblocks a peer, for the act's reason. 0: in force; 1: known already; of both
	 * api_kept() says with this tag when they and the act are durable. -ENOENT: no such member (404); with `problems`: 422; any other
	 * negative errno: 503. */
	int (*import_note)(
		void *context, uint64_t tag, const struct act *act, struct bytes text, struct problems *problems);
	int (*block)(void *context, uint64_t tag, const struct act *act, const char *member, bool block,
		struct problems *problems);
	/* Whose handle or alias a name is: the handle, borrowed until the trust changes; NULL: nobody's. A handle_resolve. */
	const char *(*resolve)(void *context, const char *name);
	json_t *(*invite)(void *context); /* what a new member begins with */
	/* Rosters held; the text of one, borrowed for the call's answer (data NULL: not held); which of two with one number counts: 0, 1 and
	 * -ENOENT as above. */
	json_t *(*rosters)(void *context);
	struct bytes (*roster_text)(void *context, const struct digest *digest);
	int (*pin)(void *context, uint64_t tag, const struct act *act, const struct digest *digest);
	/* Plugins, and what they have not done; see host.h. */
	json_t *(*plugins)(void *context);
	int (*held)(void *context, struct held_page *page); /* 0, -ENOENT, -ENOMEM */
	json_t *(*held_row)(void *context, const char *plugin, const struct place *place);
	int (*held_retry)(void *context, const char *plugin, const struct place *place); /* 0, -ENOENT, -EBUSY */
	int (*held_retry_all)(
		void *context, const char *plugin, const struct held_filter *filter); /* how many, or -ENOENT */
	int (*held_drop)(void *context, const char *plugin, const struct place *place);
	/* Something else that was done, for the audit trail; api_kept() says with this tag when it is durable there. */
	void (*audit)(void *context, uint64_t tag, const struct act *act);
	uint64_t (*now_ms)(void *context); /* since 1970 */
	/* A copy of the store. Begins one: 0, -EBUSY: there is one, other -errno, perhaps with `why`. What of it there is to say (JSON null:
	 * there is none). When it is ready its descriptor, borrowed; -1: it is not. Done with it; `kept`: it is in a safe place, which
	 * api_kept() says with the tag when it is noted; -ENOENT: there is none. */
	int (*backup_begin)(void *context, char why[static 160]);
	json_t *(*backup)(void *context);
	int (*backup_file)(void *context, uint64_t *bytes);
	int (*backup_end)(void *context, uint64_t tag, bool kept);
	/* A damaged batch is asked for again: 0 or -EAGAIN as above; those that are. */
	int (*repair)(void *context, uint64_t tag, const struct act *act, const struct damage *damage);
	json_t *(*repairs)(void *context);
};

struct api_options {
	const char *socket;   /* path; created 0660 */
	const char *loopback; /* "127.0.0.1:4848" (port 0: any free one); NULL: none */
	const char *member;
	const struct api_access *access; /* stays valid, or api_set_access() */
	size_t n_access;
	const struct api_ops *ops;
	void *context;
	/* Who is at the other end of a connection's descriptor; NULL: the kernel says (access_peer_of). */
	int (*identify)(void *context, int fd, struct api_peer *out);
	unsigned ping_ms; /* of idle event streams; 0: 15 s */
};

/* 0 or -errno; `*why` (memory the caller frees) says what is wrong. Of `options` the strings are copied, the tables borrowed until
 * api_close() or api_set_access(). */
int api_open(struct api **out, const struct api_options *options, char **why);
void api_close(struct api *a); /* NULL is a no-op; ends all connections */

/* The access table of a configuration that was read again; holds from the next request on. */
void api_set_access(struct api *a, const struct api_access *access, size_t n_access);

/* The TCP port in use; 0: none. */
unsigned api_loopback_port(const struct api *a);

/* For the loop: descriptors to poll for reading (at most 2), how long it may sleep at most (UINT64_MAX: no limit), and
 * the turn to take after each poll. */
size_t api_fds(const struct api *a, int *fds, size_t max);
uint64_t api_timeout_ms(struct api *a);
void api_turn(struct api *a, uint64_t now_monotonic_ms);

/* Answers; the job or query is taken. A request that is gone meanwhile is a no-op. */
void api_published(struct api *a, struct job *job);
void api_queried(struct api *a, struct query *query);

/* An act of an operator is on disk, or could not be written yet: then it is in force, and tried again. */
void api_kept(struct api *a, uint64_t tag, bool durable);

/* Something new was committed: wakes the event streams. */
void api_committed(struct api *a);

#endif
