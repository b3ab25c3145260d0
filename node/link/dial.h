/* dial - one node that is dialled: a DEALER for one session, and after its end, with back-off, another DEALER.
 *
 * libzmq's own reconnecting is not used: it gives up for ever after a refusal, and a socket that outlives its session mixes the
 * frames of two. So one socket is one session, up once and down once. */
#ifndef ENLIGHT_LINK_DIAL_H
#define ENLIGHT_LINK_DIAL_H

#include "link/socket.h"
#include <stdbool.h>
#include <zmq.h>

struct dial {
	uint32_t connection;
	uint8_t server_key[LINK_PUBLIC_LEN];
	char *endpoint;
	void *context; /* borrowed */
	const struct socket_keys *keys;
	void *dealer, *monitor; /* NULL between two attempts */
	bool up;
	bool crowded;       /* the queue was full when last tried in this round */
	bool hung_up;       /* by the caller, during a turn: about to be freed */
	const char *ending; /* why it is over; the sockets are still there for what came before */
	const char *told;   /* the reason last reported since it was up */
	uint64_t due_ms;    /* no sockets: when to try again; sockets, not up: when to give up; 0: set by dial_look() */
	uint64_t up_ms, wait_ms;
};

/* Starts the first attempt; both texts and keys as in link_dial(). 0 or -errno (-EINVAL: the endpoint). */
int dial_new(struct dial **out, void *context, const struct socket_keys *keys, uint32_t connection,
	const char *endpoint, const uint8_t server_key[static LINK_PUBLIC_LEN]);
void dial_free(struct dial *d); /* NULL is a no-op */
void dial_close(struct dial *d);

/* Learns what became of the attempt, begins the next one when it is time: `up` and `ending` say so. */
void dial_look(struct dial *d, uint64_t now_ms);

/* Closes what is `ending` and chooses when to try again. The reason, or NULL when it was told before. */
const char *dial_end(struct dial *d, uint64_t now_ms);

uint64_t dial_due(const struct dial *d); /* when dial_look() is needed even without an event; UINT64_MAX: never */

#endif
