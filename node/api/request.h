/* request - one HTTP request from its first line to its answer; shared by the files of api, and by nobody else.
 *
 * A request is begun by api.c, which checks host, route, role and size before it reads a body. Its route's handler then answers at
 * once (request_json, request_problem), or leaves it waiting for a job or query whose tag is the request's, or opens a stream.
 * While it waits its connection is suspended. */
#ifndef ENLIGHT_API_REQUEST_H
#define ENLIGHT_API_REQUEST_H

#include "api/api.h"
#include "api/metrics.h"
#include "api/route.h"
#include "core/json.h"
#include <microhttpd.h>
#include <sys/stat.h>

struct stream;

/* Kinds of problem documents (RFC 9457), in the order of their status; reply.c holds a row for each. */
enum problem_kind {
	REFUSED_SYNTAX,
	REFUSED_PARAMETER,
	REFUSED_FORBIDDEN,
	REFUSED_NOT_FOUND,
	REFUSED_METHOD,
	REFUSED_CONFLICT,
	REFUSED_BEYOND,
	REFUSED_TOO_LARGE,
	REFUSED_MEDIA_TYPE,
	REFUSED_HOST,
	REFUSED_RULE,
	REFUSED_ACT,
	REFUSED_NOT_READY,
	REFUSED_BUSY,
	REFUSED_FAILED,
	REFUSED_FULL,
	REFUSED_NOT_DURABLE,
	REFUSED_NOT_TOLD,
	REFUSED_KINDS,
};
struct problem_row {
	const char *name; /* of the type: urn:enlight:problem:NAME */
	unsigned status;
	const char *title;
};
extern const struct problem_row problem_rows[REFUSED_KINDS];

/* Where connections come in: the socket or loopback. */
struct door {
	struct api *api;
	struct MHD_Daemon *daemon; /* NULL: there is none */
	int fd;                    /* readable when it has something to do */
	bool loopback;
	unsigned port;
};

/* A value out of the path or the query string, decoded; owned. */
struct request_value {
	const char *name; /* of the route's row */
	char *value;
};
enum { REQUEST_VALUES_MAX = 12 };

struct request {
	struct request *next, *prev; /* of all of the api */
	struct api *api;
	struct door *door;
	struct MHD_Connection *connection;
	const struct api_peer *peer; /* the connection's; on loopback one that nobody is */
	const struct route *route;   /* NULL: no such */
	bool head;
	uint64_t begun_ms;

	struct request_value values[REQUEST_VALUES_MAX];
	size_t n_values;

	struct buffer body;
	size_t body_held;      /* of the api's body_bytes */
	size_t body_discarded; /* what came after it was refused */

	bool handled, suspended;
	uint64_t tag;     /* of the job or query it waits for; 0: none */
	bool batch;       /* POST /v1/events: places begin with the event's number */
	bool not_durable; /* an act of an operator: what api_kept() said last */
	void (*queried)(struct request *rq, struct query *query); /* the query is borrowed */
	void (*kept)(struct request *rq);           /* what it waits for is in the audit trail, or is not */
	void (*show)(struct request *rq, bool may); /* payloads, when it is there that they are read */
	char shown[ACT_OBJECT_MAX + 1];
	struct query *query; /* which are asked for then; owned */
	struct stream *stream;
	int file;            /* the answer is this file; owned; 0: none */
	uint64_t file_bytes; /* of it */

	bool answered;
	unsigned status;
	const char *content_type;
	char allow[ROUTE_ALLOW_MAX]; /* header, or empty */
	unsigned retry_after_s;      /* header, or 0 */
	struct buffer answer;
	const char *fixed; /* instead of `answer` when there was no memory for it */
};

/* Counts since the start, for metrics. */
enum { API_STATUSES = 16, API_ROUTES_MAX = 48, API_TIMES = 8 };
struct api_counts {
	uint64_t answers[API_ROUTES_MAX + 1][API_STATUSES]; /* the last route: none */
	uint64_t times[API_TIMES + 1];                      /* of answers, by api_times */
	double seconds;
	uint64_t body_bytes;
	uint64_t events; /* sent on streams */
};

/* Payloads that an operator was shown, and that the audit trail says so. */
enum { API_READS = 16 };
struct read_noted {
	unsigned uid;
	char what[ACT_OBJECT_MAX + 1];
	uint64_t until_ms; /* noted again then */
};

struct api {
	struct api_options options; /* its strings are copies */
	struct access access;
	struct door doors[2]; /* socket, loopback */
	struct stat socket_file;
	struct request *requests;
	size_t n_streams;
	size_t body_bytes; /* held by all requests */
	uint64_t now_ms;   /* monotonic, of the last turn */
	uint64_t last_tag;
	uint64_t last_given; /* the highest number of a place that anybody was told */
	bool closing;
	struct api_counts counts;
	struct read_noted reads[API_READS];
};

/* A value by the name in the route's row; NULL: not given. */
const char *request_value(const struct request *rq, const char *name);
/* `true` or `false`; anything else becomes a problem. Absent: false. */
bool request_flag(const struct request *rq, const char *name, struct problems *problems);
const char *request_header(const struct request *rq, const char *name);

/* Answers. `json` is taken, NULL counts as out of memory. */
void request_json(struct request *rq, unsigned status, json_t *json);
/* `problems` (may be NULL) is borrowed and becomes `errors`. */
void request_problem(struct request *rq, enum problem_kind kind, const struct problems *problems);
void request_problem_at(struct request *rq, enum problem_kind kind, const char *pointer, const char *rule);
void request_out_of_memory(struct request *rq);

/* Answers 503 with the node's reasons when it is not ready; true then. */
bool request_not_ready(struct request *rq);

/* The body {"reason": "..."} of an operator's act: a new reference that `*reason` is part of. NULL: answered already. */
json_t *request_reason(struct request *rq, const char **reason);
/* The parameter `reason` where it need not be given; `*reason` may be NULL. False: answered already. */
bool request_reason_given(struct request *rq, const char **reason);

/* act.c. An act as the audit trail is to have it; `object` and `reason` (NULL: none) are borrowed. It goes to the node with the op
 * that carries it out and the tag of request_wait(), or by request_tell() when it was carried out. */
void request_act(const struct request *rq, struct act *out, const char *verb, const char *object, const char *reason);
void request_tell(struct request *rq, const char *verb, const char *object, const char *reason);
/* Then: answers with `json` (taken) when the act is durable, and with 507 when it is not yet. */
void request_acted(struct request *rq, unsigned status, json_t *json);
/* The same for another end: `kept` is called with rq->not_durable set, at once when it is known already. */
void request_when_kept(struct request *rq, void (*kept)(struct request *rq));
/* Before payloads are shown: `show` is called when the trail says that an operator reads them, which it says once an hour for the same
 * source and topic; for others at once. Without `may` it gives up what it has: the request is answered. */
void request_show(struct request *rq, const struct event_filter *f, void (*show)(struct request *rq, bool may));

/* Takes in the answer to a job of POST /v1/events, which is borrowed. */
void events_post_published(struct request *rq, struct job *job);

/* Gives back the body's memory. */
void request_body_release(struct request *rq);

/* Asks; the request waits for the answer. The job or query is taken. Answered with 503 when it is not. */
void request_publish(struct request *rq, struct job *job);
void request_query(struct request *rq, struct query *query, void (*queried)(struct request *rq, struct query *query));

/* The tag under which the request waits for something else. */
uint64_t request_wait(struct request *rq);

/* Lets a waiting request go on: its answer is ready, or its stream has something to write. */
void request_resume(struct request *rq);

/* As json_append(), a text with its quotes. */
void json_append_text(struct buffer *out, const char *text);

/* All metrics: the api's own, then the node's. */
void api_metrics(struct api *a, struct buffer *out);
void api_count(struct api *a, const struct request *rq);
extern const struct metric api_metric_rows[];
extern const size_t n_api_metric_rows;

/* Bounds of what one client may ask for, printed in the README. */
struct api_limit {
	const char *name;
	unsigned long value;
	const char *unit, *help;
};
extern const struct api_limit api_limits[];
extern const size_t n_api_limits;

#endif
