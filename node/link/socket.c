#include "link/socket.h"

#include "link/zap.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

/* A queue is no storage: what waits here is lost with the connection. It bounds memory too: QUEUE_FRAMES * FRAME_MAX per peer. */
enum { QUEUE_FRAMES = 16 };

/* CURVE puts this much around each part (RFC 26: 8 command, 8 nonce, 16 tag, 1 flags), and ZMQ_MAXMSGSIZE counts it. */
enum { CURVE_OVERHEAD = 33 };

struct option {
	int name;
	int value;
};

static const struct option common_options[] = {
	{ZMQ_LINGER, 0},
	{ZMQ_SNDHWM, QUEUE_FRAMES},
	{ZMQ_RCVHWM, QUEUE_FRAMES},
	{ZMQ_IPV6, 1},
	{ZMQ_HANDSHAKE_IVL, 3000},
	/* Patient: while a large frame crawls over a slow line nothing else passes, and that counts as silence. */
	{ZMQ_HEARTBEAT_IVL, 10000},
	{ZMQ_HEARTBEAT_TIMEOUT, 60000},
	{ZMQ_TCP_KEEPALIVE, 1},
	{ZMQ_TCP_KEEPALIVE_IDLE, 60},
	{ZMQ_TCP_KEEPALIVE_INTVL, 20},
	{ZMQ_TCP_KEEPALIVE_CNT, 3},
};

static const struct option router_options[] = {
	{ZMQ_BACKLOG, 512},
	{ZMQ_ROUTER_HANDOVER, 0},  /* a peer that picks another's routing id gets nothing */
	{ZMQ_ROUTER_MANDATORY, 1}, /* a peer that went away is told to the sender */
	{ZMQ_CURVE_SERVER, 1},
};

static const struct option dealer_options[] = {
	{ZMQ_IMMEDIATE, 1},
	{ZMQ_RECONNECT_IVL,
		-1}, /* libzmq never tries again after a refusal; link.c dials anew after every end instead */
	{ZMQ_CONNECT_TIMEOUT, 10000},
};

void *socket_context(void)
{
	void *context = zmq_ctx_new();

	if (context == NULL)
		return NULL;
	zmq_ctx_set(context, ZMQ_IO_THREADS, 2);
	zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 4 * MEMBERS_MAX); /* a dialled node takes three */
	return context;
}

static int set_all(void *socket, const struct option *options, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (zmq_setsockopt(socket, options[i].name, &options[i].value, sizeof options[i].value) < 0)
			return -errno;
	return 0;
}

/* `io_thread` keeps those who dial in apart from what is dialled: libzmq resolves names in the I/O thread, and waits there. */
static int open_socket(void **out, void *context, int type, unsigned io_thread)
{
	int64_t frame_max = FRAME_MAX + CURVE_OVERHEAD;
	uint64_t affinity = UINT64_C(1) << io_thread;
	int r;

	*out = zmq_socket(context, type);
	if (*out == NULL)
		return -errno;
	r = set_all(*out, common_options, sizeof common_options / sizeof *common_options);
	if (r == 0 && (zmq_setsockopt(*out, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max) < 0 ||
			      zmq_setsockopt(*out, ZMQ_AFFINITY, &affinity, sizeof affinity) < 0))
		r = -errno;
	if (r < 0)
		socket_close(out);
	return r;
}

int socket_router(void **out, void *context, const struct socket_keys *keys)
{
	int r = open_socket(out, context, ZMQ_ROUTER, 0);

	if (r < 0)
		return r;
	r = set_all(*out, router_options, sizeof router_options / sizeof *router_options);
	if (r == 0 && (zmq_setsockopt(*out, ZMQ_CURVE_SECRETKEY, keys->secret, sizeof keys->secret) < 0 ||
			      zmq_setsockopt(*out, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen(ZAP_DOMAIN)) < 0))
		r = -errno;
	if (r < 0)
		socket_close(out);
	return r;
}

int socket_dealer(
	void **out, void *context, const struct socket_keys *keys, const uint8_t server_key[static LINK_PUBLIC_LEN])
{
	int r = open_socket(out, context, ZMQ_DEALER, 1);

	if (r < 0)
		return r;
	r = set_all(*out, dealer_options, sizeof dealer_options / sizeof *dealer_options);
	if (r == 0 && (zmq_setsockopt(*out, ZMQ_CURVE_SERVERKEY, server_key, LINK_PUBLIC_LEN) < 0 ||
			      zmq_setsockopt(*out, ZMQ_CURVE_PUBLICKEY, keys->public_key, LINK_PUBLIC_LEN) < 0 ||
			      zmq_setsockopt(*out, ZMQ_CURVE_SECRETKEY, keys->secret, sizeof keys->secret) < 0))
		r = -errno;
	if (r < 0)
		socket_close(out);
	return r;
}

int socket_monitor(void **out, void *context, void *watched)
{
	static const int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
				  ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
				  ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED;
	char address[40];
	int zero = 0;

	/* Addresses of one process's memory are unique while both ends live. */
	snprintf(address, sizeof address, "inproc://monitor-%" PRIxPTR, (uintptr_t)watched);
	*out = NULL;
	if (zmq_socket_monitor(watched, address, events) < 0)
		return -errno;
	*out = zmq_socket(context, ZMQ_PAIR);
	if (*out == NULL || zmq_setsockopt(*out, ZMQ_LINGER, &zero, sizeof zero) < 0 ||
		zmq_connect(*out, address) < 0) {
		int r = -errno;

		socket_close_monitor(out, watched);
		return r;
	}
	return 0;
}

int socket_event(void *monitor)
{
	uint16_t event = 0;
	zmq_msg_t part;
	bool more = false;

	/* Two parts (zmq_socket_monitor(3)): the event and a number, then the address. */
	for (int i = 0; i == 0 || more; i++) {
		zmq_msg_init(&part);
		if (zmq_msg_recv(&part, monitor, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(&part);
			return event;
		}
		if (i == 0 && zmq_msg_size(&part) >= sizeof event)
			memcpy(&event, zmq_msg_data(&part), sizeof event);
		more = zmq_msg_more(&part);
		zmq_msg_close(&part);
	}
	return event;
}

void socket_close(void **socket)
{
	if (*socket != NULL)
		zmq_close(*socket);
	*socket = NULL;
}

void socket_close_monitor(void **monitor, void *watched)
{
	zmq_socket_monitor(watched, NULL, 0);
	socket_close(monitor);
}
