/* http - talks to the node's local API over its Unix socket (libcurl).
 *
 * Functions that answer an exit status have printed why when it is not EX_OK. */
#ifndef ENLIGHT_CLI_HTTP_H
#define ENLIGHT_CLI_HTTP_H

#include "cli/cli.h"

struct http;

struct http_reply {
	long status;
	json_t *json;      /* the body when it is JSON, else NULL */
	struct bytes body; /* else this; owned */
	char type[128];
};

/* Finds the socket (--socket, ENLIGHT_SOCKET, the configuration, the default). An exit status. */
int http_open(struct http **out, const struct cli *c);
void http_close(struct http *h); /* NULL is a no-op */
const char *http_socket(const struct http *h);

/* From now on nothing is printed of a node that went away, nor of one that is busy; it is EX_UNAVAILABLE or EX_TEMPFAIL. */
void http_patient(struct http *h);

/* Asks. `body` with data NULL: none. Any answer is EX_OK, whatever its status; release it with http_reply_deinit(). */
int http_ask(struct http *h, struct http_reply *out, const char *method, const char *path, const char *type,
	struct bytes body);
void http_reply_deinit(struct http_reply *r);

/* Asks and wants a 2xx with JSON: then `*out` is a new reference. Anything else is printed. */
int http_json(struct http *h, json_t **out, const char *method, const char *path, const char *type, struct bytes body);

/* Gets a path's body as it comes, however long; `take` answers whether to go on. Anything but a 200 is printed. */
typedef bool (*http_take)(void *context, struct bytes part);
int http_fetch(struct http *h, const char *path, http_take take, void *context);

/* Opens the socket, gets JSON from one path, closes. */
int http_get(const struct cli *c, json_t **out, const char *path);

/* What the node answers when it does; nothing is printed when it does not. A new reference, or NULL. */
json_t *http_peek(const struct cli *c, const char *path);

/* Reads a stream of server-sent events for ever: `on_event` has the id and the data of each and answers true to go on. Data is NULL
 * where the stream only tells its place, or that it lives. */
typedef bool (*http_on_event)(void *context, const char *id, const char *data);
int http_stream(struct http *h, const char *path, http_on_event on_event, void *context);

/* Prints a problem document (RFC 9457) and answers the exit status that fits the reply's. */
int http_problem(const struct http_reply *r);

/* Appends `name=value` to a query, escaped, with ? or & in front. A value of NULL adds nothing. */
void http_query(struct buffer *path, const char *name, const char *value);
/* Appends one escaped segment of a path. */
void http_segment(struct buffer *path, const char *text);

#endif
