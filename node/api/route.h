/* route - the table of what can be asked over HTTP. One row says method, path, who may, what else may be said, and the help; the
 * index at `/`, the README's table, the checks before a handler runs and the metrics' labels all come from it. */
#ifndef ENLIGHT_API_ROUTE_H
#define ENLIGHT_API_ROUTE_H

#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>

struct request;

enum { ROUTE_PARAMETERS_MAX = 8 };
struct route_parameter {
	const char *name, *help;
};

struct route {
	const char *method; /* GET serves HEAD too */
	const char *path;   /* a part in braces stands for any one part */
	unsigned who;       /* set of access_role; operators always may */
	bool loopback;      /* also on loopback TCP */
	size_t body_max;    /* bytes; 0: no body */
	void (*handle)(struct request *rq);
	struct route_parameter
		parameters[ROUTE_PARAMETERS_MAX]; /* in the query string; ends with a row without a name */
	const char *help;
};
extern const struct route routes[];
extern const size_t n_routes;

/* The route of a method and a path as it stands in the request line. NULL: none; then `allow` lists the methods that the path
 * has ("GET, HEAD"), or is empty when there is no such path. `loopback`: only what is served there. */
enum { ROUTE_ALLOW_MAX = 64 };
const struct route *route_find(const char *method, const char *path, bool loopback, char allow[static ROUTE_ALLOW_MAX]);

/* Calls `part` with each part in braces: its name in the row (without braces, not NUL-terminated) and what stands there, still
 * percent-encoded. Stops at the first that does not return 0 and returns that. */
int route_parts(const struct route *route, const char *path,
	int (*part)(void *context, struct bytes name, struct bytes value), void *context);

/* Decodes %XX; memory the caller frees. NULL with errno EINVAL: bad encoding, not UTF-8 or a NUL; ENOMEM. */
char *percent_decode(struct bytes text);

#endif
