/* access - who may do what: the rows of the configuration against what the kernel says of the peer.
 *
 * A row names a user or a group; what its rows allow adds up, and what no row allows is denied. Root and the node's own user are
 * operators and may do everything. A process is judged by the user and groups it had when it connected. */
#ifndef ENLIGHT_API_ACCESS_H
#define ENLIGHT_API_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* One row of the configuration's access table. */
struct api_access {
	bool by_uid; /* else by gid */
	unsigned id;
	char *const *publish; /* topic patterns */
	size_t n_publish;
	char *const *read;
	size_t n_read;
	bool operator_;
};

/* A process at the other end of the socket. */
struct api_peer {
	unsigned uid;
	gid_t *groups; /* the primary one and the supplementary ones; owned */
	size_t n_groups;
};

/* What someone may be asked to be; a route's `who` is a set of these, of which one is enough. Operators may do everything. */
enum access_role {
	ACCESS_ANYONE = 1,
	ACCESS_READER = 2,    /* may read some topic */
	ACCESS_PUBLISHER = 4, /* may publish some topic */
	ACCESS_OPERATOR = 8,
};

struct access {
	const struct api_access *rows; /* borrowed */
	size_t n_rows;
	unsigned owner_uid; /* the node's own user */
};

/* Fills in the peer of a connected Unix socket: SO_PEERCRED and SO_PEERGROUPS, so no name service is asked. 0 or -errno. */
int access_peer_of(struct api_peer *out, int fd);
/* The name of a uid in the machine's own list, cut to `size`; empty: it has none. No name service is asked: one could keep the loop
 * waiting. */
void access_name(char *out, size_t size, unsigned uid);

void api_peer_deinit(struct api_peer *p);

unsigned access_roles(const struct access *a, const struct api_peer *p); /* set of access_role */
bool access_may_publish(const struct access *a, const struct api_peer *p, const char *topic);
bool access_may_read(const struct access *a, const struct api_peer *p, const char *topic);

/* Copies of the patterns of all that the peer may read, for a query's filter, returned with `*n` of them. NULL with 0: all
 * (an operator). 0 or -ENOMEM. */
int access_readable(const struct access *a, const struct api_peer *p, char ***out, size_t *n);

#endif
