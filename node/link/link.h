/* link - frames between nodes over ZeroMQ with CURVE: one ROUTER for those who dial in, a DEALER for each node dialled.
 *
 * Knows nothing of what the frames say. A connection is named by a number: those dialled by the caller's own numbers below
 * LINK_INCOMING, those dialled from outside by numbers from there, never used twice. A connection is bound to the CURVE key that
 * ZAP saw (User-Id), never to a routing id that a peer chose. Frames are single ZeroMQ parts of at most FRAME_MAX bytes.
 *
 * One thread owns a link; ZAP answers in a thread of its own from a table that link_allow() replaces. Events
 * are handed over by link_turn() only. */
#ifndef ENLIGHT_LINK_LINK_H
#define ENLIGHT_LINK_LINK_H

#include "base/bytes.h"
#include "core/limits.h"
#include <zmq.h>

struct link;

#define LINK_INCOMING 0x80000000u

enum link_event_kind {
	LINK_UP = 1, /* a dialled connection is authenticated and can be sent on; comes again after each LINK_DOWN */
	LINK_DOWN, /* a connection is gone; a dialled one is tried again by itself, an incoming number is over. One that is not yet
	                up comes when it fails for a reason that was not told before */
	LINK_FRAME, /* one frame; of an unknown incoming connection this is the first that is heard of it */
};

struct link_event {
	enum link_event_kind kind;
	uint32_t connection;
	uint8_t key[LINK_PUBLIC_LEN]; /* CURVE public key of the other end */
	struct bytes frame;           /* LINK_FRAME: borrowed during the callback */
	const char *reason; /* LINK_DOWN: for the log: "closed", "refused", "unreachable", "multi-part", "revoked"... */
};
typedef void (*link_handler)(void *context, const struct link_event *event);

struct link_options {
	const char *listen;    /* tcp://0.0.0.0:4847 or with a star; NULL: this node only dials out */
	const uint8_t *secret; /* CURVE secret key, 32 bytes, borrowed */
	const uint8_t *public_key;
	uint64_t rss_limit_bytes; /* resident memory above which all connections are dropped; 0: none */
	link_handler handler;
	void *context;
};

/* Opens the sockets, and proves that ZAP refuses a random key before the port is open to anybody (a loopback handshake); without that
 * proof nothing starts. Errors: -errno of bind, -EPERM (ZAP let a stranger in), -ENOMEM. `*why` as in store.h. */
int link_open(struct link **out, const struct link_options *options, char **why);
void link_close(struct link *l); /* linger 0; NULL is a no-op */

/* Where it listens, as bound: a star in place of the port is a number here. "" when it only dials out. Borrowed. */
const char *link_endpoint(const struct link *l);

/* Who may connect: replaces the table of link keys (n * 32 bytes). Nobody may before the first call. Frames of keys that are not in
 * it any more are dropped from now on and their connections are LINK_DOWN, but the sessions stay until link_rebind(). 0 or -ENOMEM. */
int link_allow(struct link *l, const uint8_t *keys, size_t n);

/* Closes the ROUTER and binds it anew, so that every session that was dialled in is gone; link_turn() then tells LINK_DOWN for each.
 * May take a moment (at most two seconds) until the port is free. 0; -errno: not bound, link_turn() goes on trying. */
int link_rebind(struct link *l);

/* Dials: `connection` is below LINK_INCOMING and not in use. Tries for ever, with a back-off from a quarter of a second to a minute,
 * until link_hang_up(), also when there are no sockets for now. 0; -EINVAL: not an endpoint; -ENOMEM. */
int link_dial(
	struct link *l, uint32_t connection, const char *endpoint, const uint8_t server_key[static LINK_PUBLIC_LEN]);

/* Ends a connection: a dialled one is closed, of an incoming one the number is forgotten. Unknown numbers are a no-op. */
void link_hang_up(struct link *l, uint32_t connection);

/* Sends one frame without waiting; `data` (at most FRAME_MAX) is copied. 0; LINK_BUSY: the queue is full, try again on a later round; LINK_GONE: the
 * connection is unknown or its peer went away (LINK_DOWN follows); -ENOMEM. */
enum { LINK_BUSY = 1, LINK_GONE };
int link_send(struct link *l, uint32_t connection, struct bytes data);

/* For zmq_poll(): fills in up to `max` items and answers how many there are; then, after the poll, link_turn() takes what is there, at
 * most a bounded number of frames from each socket, and calls the handler. The handler may call everything but link_close().
 * `now_ms` is a monotonic clock. Answers how many events were handed over (so that 0 means idle). */
size_t link_poll_items(struct link *l, zmq_pollitem_t *items, size_t max);
size_t link_turn(struct link *l, uint64_t now_ms);

struct link_counters {
	uint64_t frames_in, frames_out, bytes_in, bytes_out;
	uint64_t refused_keys;   /* handshakes that ZAP refused */
	uint64_t dropped_frames; /* multi-part, from a muted connection, or from a key that is not allowed (any more) */
	uint64_t rebinds;
};
void link_counters(const struct link *l, struct link_counters *out);

#endif
