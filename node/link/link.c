#include "link/link.h"

#include "link/dial.h"
#include "link/incoming.h"
#include "link/proof.h"
#include "link/socket.h"
#include "link/watchdog.h"
#include "link/zap.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
	ROUND_FRAMES = 64,     /* taken from one socket in one turn */
	BUSY_MS = 2,           /* a full queue of the ROUTER wakes nobody when it has room again */
	PORT_FREE_MS = 2000,   /* how long a closed ROUTER may keep its port */
	REBIND_AGAIN_MS = 1000 /* after a bind that failed */
};

struct link {
	void *context;
	struct socket_keys keys;
	struct zap *zap;     /* NULL: only dials out */
	uint64_t proved;     /* strangers of our own that it refused, to show that it does */
	void *router;        /* NULL: only dials out, or could not be bound anew */
	unsigned generation; /* of the router */
	char address[256];   /* where it is bound; "" when it only dials out */
	uint64_t rebind_ms;
	struct incoming_table *incoming;
	struct dial **dials;
	size_t n_dials, dials_size;
	struct watchdog watchdog;
	int timer; /* readable when link_turn() is needed though nothing came */
	bool in_turn;
	size_t handed_over; /* in this turn */
	link_handler handler;
	void *handler_context;
	struct link_counters counters;
};

/* The timer of the poll items: fires in `ms`; a shorter time that was set before is lost, the next turn sets what is needed. */
static void wake_in(struct link *l, uint64_t ms)
{
	struct itimerspec t = {.it_value = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000 + 1}};

	timerfd_settime(l->timer, 0, &t, NULL);
}

static void tell(struct link *l, const struct link_event *event)
{
	l->handed_over++;
	l->handler(l->handler_context, event);
}

static void tell_ended(struct link *l)
{
	struct incoming *e;

	while ((e = incoming_take_ended(l->incoming)) != NULL) {
		struct link_event event = {.kind = LINK_DOWN, .connection = e->number, .reason = e->reason};

		memcpy(event.key, e->key, sizeof event.key);
		tell(l, &event);
		free(e);
	}
}

/* Takes a frame whole: `m` becomes its first part. 1: single; 0: had further parts, which are gone; -EAGAIN: nothing there. */
static int receive(void *socket, zmq_msg_t *m)
{
	zmq_msg_t part;
	bool more;

	zmq_msg_init(m);
	if (zmq_msg_recv(m, socket, ZMQ_DONTWAIT) < 0)
		return -EAGAIN;
	if (!zmq_msg_more(m))
		return 1;
	for (more = true; more;) {
		zmq_msg_init(&part);
		more = zmq_msg_recv(&part, socket, ZMQ_DONTWAIT) >= 0 && zmq_msg_more(&part);
		zmq_msg_close(&part);
	}
	return 0;
}

static void tell_frame(struct link *l, uint32_t connection, const uint8_t *key, zmq_msg_t *m)
{
	struct link_event event = {
		.kind = LINK_FRAME, .connection = connection, .frame = bytes_of(zmq_msg_data(m), zmq_msg_size(m))};

	memcpy(event.key, key, sizeof event.key);
	l->counters.frames_in++;
	l->counters.bytes_in += event.frame.len;
	tell(l, &event);
}

/* --- those who dial in --- */

/* The key that ZAP saw, if it may still connect: libzmq asked at the handshake only. */
static bool admitted_key(struct link *l, zmq_msg_t *m, uint8_t key[static LINK_PUBLIC_LEN])
{
	const char *user_id = zmq_msg_gets(m, "User-Id");

	return user_id != NULL && hex_decode(key, LINK_PUBLIC_LEN, user_id) && zap_allows(l->zap, key);
}

/* A routing id is whatever the peer says; with another key behind it, it is another connection. */
static struct incoming *connection_of(struct link *l, struct bytes id, const uint8_t *key)
{
	struct incoming *e = incoming_by_id(l->incoming, id);

	if (e != NULL && memcmp(e->key, key, LINK_PUBLIC_LEN) != 0) {
		incoming_end(l->incoming, e, "closed");
		e = NULL;
	}
	if (e == NULL)
		return incoming_add(l->incoming, id, key, false);
	incoming_used(l->incoming, e);
	return e;
}

/* Ends the session, and ignores what else comes from there: a ROUTER cannot cut one peer off. */
static void mute(struct link *l, struct bytes id, const uint8_t *key)
{
	struct incoming *e = incoming_by_id(l->incoming, id);

	if (e != NULL && e->number == 0)
		return;
	if (e != NULL)
		incoming_end(l->incoming, e, "multi-part");
	incoming_add(l->incoming, id, key, true);
}

static void take_incoming(struct link *l, struct bytes id, zmq_msg_t *m, bool single)
{
	uint8_t key[LINK_PUBLIC_LEN];
	struct incoming *e;
	uint32_t number;

	if (!admitted_key(l, m, key) || !single) {
		l->counters.dropped_frames++;
		if (!single && zmq_msg_gets(m, "User-Id") != NULL)
			mute(l, id, key);
		return;
	}
	e = connection_of(l, id, key);
	if (e == NULL || e->number == 0) {
		l->counters.dropped_frames++;
		return;
	}
	number = e->number;
	tell_ended(l); /* the old number is over before the new one speaks */
	if (incoming_by_number(l->incoming, number) != NULL)
		tell_frame(l, number, key, m);
}

static void turn_router(struct link *l)
{
	unsigned generation = l->generation;

	for (int i = 0; i < ROUND_FRAMES && l->router != NULL && generation == l->generation; i++) {
		zmq_msg_t id, m;
		int r;

		zmq_msg_init(&id);
		if (zmq_msg_recv(&id, l->router, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(&id);
			return;
		}
		r = receive(l->router, &m);
		if (r >= 0)
			take_incoming(l, bytes_of(zmq_msg_data(&id), zmq_msg_size(&id)), &m, r == 1);
		zmq_msg_close(&m);
		zmq_msg_close(&id);
	}
}

/* Binds a new ROUTER to `address`; a closed one gives its port back from another thread, which takes a moment. */
static int router_open(struct link *l, const char *address, int wait_ms)
{
	size_t size = sizeof l->address;
	void *router;
	int r;

	r = socket_router(&router, l->context, &l->keys);
	if (r < 0)
		return r;
	while (zmq_bind(router, address) < 0) {
		r = -errno;
		if (r != -EADDRINUSE || wait_ms-- <= 0) {
			socket_close(&router);
			return r;
		}
		poll(NULL, 0, 1);
	}
	if (l->address[0] == '\0')
		zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, l->address, &size);
	l->router = router;
	l->generation++;
	return 0;
}

int link_rebind(struct link *l)
{
	int r;

	if (l->address[0] == '\0')
		return 0;
	incoming_end_where(l->incoming, NULL, NULL, "bound anew");
	socket_close(&l->router);
	l->counters.rebinds++;
	r = router_open(l, l->address, PORT_FREE_MS);
	l->rebind_ms = 0; /* a turn tries again when this failed */
	wake_in(l, 0);
	return r;
}

/* --- those dialled --- */

static void tell_dial(struct link *l, const struct dial *d, enum link_event_kind kind, const char *reason)
{
	struct link_event event = {.kind = kind, .connection = d->connection, .reason = reason};

	memcpy(event.key, d->server_key, sizeof event.key);
	tell(l, &event);
}

static void receive_dialled(struct link *l, struct dial *d)
{
	for (int i = 0; i < ROUND_FRAMES && !d->hung_up; i++) {
		zmq_msg_t m;
		int r = receive(d->dealer, &m);

		if (r == 1) {
			tell_frame(l, d->connection, d->server_key, &m);
		} else if (r == 0) {
			l->counters.dropped_frames++;
			d->ending = "multi-part";
		}
		zmq_msg_close(&m);
		if (r != 1)
			return;
	}
}

static void turn_dial(struct link *l, struct dial *d, uint64_t now_ms)
{
	bool was_up = d->up;
	const char *reason;

	dial_look(d, now_ms);
	if (d->up && !was_up)
		tell_dial(l, d, LINK_UP, NULL);
	if (d->up)
		receive_dialled(l, d);
	if (d->hung_up || d->ending == NULL)
		return;
	reason = dial_end(d, now_ms);
	if (reason != NULL)
		tell_dial(l, d, LINK_DOWN, reason);
}

static struct dial *find_dial(const struct link *l, uint32_t connection)
{
	for (size_t i = 0; i < l->n_dials; i++)
		if (l->dials[i]->connection == connection && !l->dials[i]->hung_up)
			return l->dials[i];
	return NULL;
}

static void sweep_dials(struct link *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n_dials; i++)
		if (l->dials[i]->hung_up)
			dial_free(l->dials[i]);
		else
			l->dials[kept++] = l->dials[i];
	l->n_dials = kept;
}

static int reserve_dial(struct link *l)
{
	size_t size = l->dials_size == 0 ? 16 : 2 * l->dials_size;
	struct dial **grown;

	if (l->n_dials < l->dials_size)
		return 0;
	grown = realloc(l->dials, size * sizeof(struct dial *));
	if (grown == NULL)
		return -ENOMEM;
	l->dials = grown;
	l->dials_size = size;
	return 0;
}

int link_dial(
	struct link *l, uint32_t connection, const char *endpoint, const uint8_t server_key[static LINK_PUBLIC_LEN])
{
	int r;

	assert(connection < LINK_INCOMING && find_dial(l, connection) == NULL);
	r = reserve_dial(l);
	if (r == 0)
		r = dial_new(&l->dials[l->n_dials], l->context, &l->keys, connection, endpoint, server_key);
	if (r == 0)
		l->n_dials++;
	wake_in(l, 0);
	return r;
}

/* --- both --- */

void link_hang_up(struct link *l, uint32_t connection)
{
	struct incoming *e = incoming_by_number(l->incoming, connection);
	struct dial *d = find_dial(l, connection);

	if (e != NULL)
		incoming_end(l->incoming, e, NULL);
	if (d == NULL)
		return;
	d->hung_up = true;
	dial_close(d);
	if (!l->in_turn)
		sweep_dials(l);
}

/* The message is taken in any case. */
static int send_dialled(struct dial *d, zmq_msg_t *m)
{
	if (d == NULL || !d->up)
		return LINK_GONE;
	if (zmq_msg_send(m, d->dealer, ZMQ_DONTWAIT) >= 0)
		return 0;
	d->crowded = true;
	return LINK_BUSY;
}

static int send_incoming(struct link *l, struct incoming *e, zmq_msg_t *m)
{
	if (e == NULL || l->router == NULL)
		return LINK_GONE;
	if (zmq_send(l->router, e->id, e->id_len, ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0)
		return zmq_msg_send(m, l->router, ZMQ_DONTWAIT) >= 0 ? 0 : LINK_GONE;
	if (errno == EHOSTUNREACH) {
		incoming_end(l->incoming, e, "closed");
		wake_in(l, 0);
		return LINK_GONE;
	}
	wake_in(l, BUSY_MS);
	return LINK_BUSY;
}

int link_send(struct link *l, uint32_t connection, struct bytes data)
{
	zmq_msg_t m;
	int r;

	assert(data.len <= FRAME_MAX);
	if (zmq_msg_init_size(&m, data.len) < 0)
		return -ENOMEM;
	if (data.len > 0)
		memcpy(zmq_msg_data(&m), data.data, data.len);
	if (connection < LINK_INCOMING)
		r = send_dialled(find_dial(l, connection), &m);
	else
		r = send_incoming(l, incoming_by_number(l->incoming, connection), &m);
	zmq_msg_close(&m);
	if (r == 0) {
		l->counters.frames_out++;
		l->counters.bytes_out += data.len;
	}
	return r;
}

static bool is_revoked(void *zap, const struct incoming *e)
{
	return !zap_allows(zap, e->key);
}

int link_allow(struct link *l, const uint8_t *keys, size_t n)
{
	int r = l->zap == NULL ? 0 : zap_allow(l->zap, keys, n);

	if (r < 0 || l->zap == NULL)
		return r;
	incoming_end_where(l->incoming, is_revoked, l->zap, "revoked");
	wake_in(l, 0);
	return 0;
}

static void add_item(zmq_pollitem_t *items, size_t *n, size_t max, void *socket, short events)
{
	if (socket == NULL)
		return;
	if (*n < max)
		items[*n] = (zmq_pollitem_t){.socket = socket, .events = events};
	(*n)++;
}

size_t link_poll_items(struct link *l, zmq_pollitem_t *items, size_t max)
{
	size_t n = 0;

	if (max > 0)
		items[0] = (zmq_pollitem_t){.fd = l->timer, .events = ZMQ_POLLIN};
	n++;
	add_item(items, &n, max, l->router, ZMQ_POLLIN);
	for (size_t i = 0; i < l->n_dials; i++) {
		struct dial *d = l->dials[i];

		add_item(items, &n, max, d->monitor, ZMQ_POLLIN);
		if (d->up)
			add_item(items, &n, max, d->dealer, d->crowded ? ZMQ_POLLIN | ZMQ_POLLOUT : ZMQ_POLLIN);
	}
	return n;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the next turn is due though nothing comes. */
static uint64_t next_ms(const struct link *l)
{
	uint64_t due = UINT64_MAX;

	if (incoming_has_ended(l->incoming))
		return 0;
	if (l->address[0] != '\0' && l->router == NULL)
		due = l->rebind_ms;
	if (l->watchdog.limit_bytes > 0)
		due = earlier(due, l->watchdog.next_ms);
	for (size_t i = 0; i < l->n_dials; i++)
		due = earlier(due, dial_due(l->dials[i]));
	return due;
}

/* A ROUTER whose port was taken when it was to be bound anew. */
static void bind_again(struct link *l, uint64_t now_ms)
{
	if (l->address[0] == '\0' || l->router != NULL || now_ms < l->rebind_ms)
		return;
	if (router_open(l, l->address, 0) < 0)
		l->rebind_ms = now_ms + REBIND_AGAIN_MS;
}

/* Nothing tells which connection is being flooded, nor from which end: all of them go. */
static void drop_floods(struct link *l, uint64_t now_ms)
{
	if (!watchdog_look(&l->watchdog, now_ms))
		return;
	for (size_t i = 0; i < l->n_dials; i++)
		if (l->dials[i]->up && l->dials[i]->ending == NULL)
			l->dials[i]->ending = "memory";
	link_rebind(l);
}

size_t link_turn(struct link *l, uint64_t now_ms)
{
	uint64_t expirations, due;

	l->in_turn = true;
	l->handed_over = 0;
	if (read(l->timer, &expirations, sizeof expirations) < 0)
		errno = 0; /* it was not due */
	tell_ended(l);
	bind_again(l, now_ms);
	drop_floods(l, now_ms);
	turn_router(l);
	for (size_t i = 0; i < l->n_dials; i++)
		if (!l->dials[i]->hung_up)
			turn_dial(l, l->dials[i], now_ms);
	tell_ended(l);
	sweep_dials(l);
	l->in_turn = false;
	due = next_ms(l);
	if (due != UINT64_MAX)
		wake_in(l, due > now_ms ? due - now_ms : 0);
	return l->handed_over;
}

void link_counters(const struct link *l, struct link_counters *out)
{
	*out = l->counters;
	out->refused_keys = l->zap == NULL ? 0 : zap_refused(l->zap) - l->proved;
}

const char *link_endpoint(const struct link *l)
{
	return l->address;
}

/* Who dials in meets a ZAP that refuses strangers, shown before there is a port. */
static int start_listening(struct link *l, const char *listen, char **why)
{
	int r = zap_start(&l->zap, l->context);

	if (r == 0)
		r = proof_stranger_is_refused(l->context, &l->keys);
	if (r == 0)
		l->proved = zap_refused(l->zap);
	if (r == -EPERM && asprintf(why, "a key that nobody knows was not refused, so the port stays closed") < 0)
		*why = NULL;
	if (r < 0)
		return r;
	r = router_open(l, listen, 0);
	if (r < 0 && asprintf(why, "cannot listen on %s: %s", listen, zmq_strerror(-r)) < 0)
		*why = NULL;
	return r;
}

int link_open(struct link **out, const struct link_options *options, char **why)
{
	struct link *l;
	int r = -ENOMEM;

	*out = NULL;
	*why = NULL;
	l = calloc(1, sizeof *l);
	if (l == NULL)
		return -ENOMEM;
	memcpy(l->keys.public_key, options->public_key, sizeof l->keys.public_key);
	memcpy(l->keys.secret, options->secret, sizeof l->keys.secret);
	l->handler = options->handler;
	l->handler_context = options->context;
	watchdog_init(&l->watchdog, options->rss_limit_bytes);
	l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	l->context = socket_context();
	l->incoming = incoming_new(LINK_INCOMING);
	if (l->timer < 0 || l->context == NULL)
		r = -errno;
	else if (l->incoming != NULL)
		r = options->listen == NULL ? 0 : start_listening(l, options->listen, why);
	if (r < 0) {
		link_close(l);
		return r;
	}
	wake_in(l, 0);
	*out = l;
	return 0;
}

void link_close(struct link *l)
{
	if (l == NULL)
		return;
	assert(!l->in_turn);
	for (size_t i = 0; i < l->n_dials; i++)
		dial_free(l->dials[i]);
	free(l->dials);
	socket_close(&l->router);
	if (l->context != NULL) {
		zmq_ctx_shutdown(l->context);
		zap_stop(l->zap);
		while (zmq_ctx_term(l->context) < 0 && errno == EINTR)
			;
	}
	incoming_free(l->incoming);
	if (l->timer >= 0)
		close(l->timer);
	sodium_memzero(l, sizeof *l);
	free(l);
}
