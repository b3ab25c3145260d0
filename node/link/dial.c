#include "link/dial.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
	WAIT_FIRST_MS = 250,
	WAIT_MAX_MS = 60000,
	ATTEMPT_MS = 30000, /* an attempt without any event (a name server that is silent) ends here */
};

static const struct {
	int event;
	const char *reason;
} endings[] = {
	{ZMQ_EVENT_HANDSHAKE_FAILED_AUTH, "refused"},
	{ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL, "handshake failed"},
	{ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL, "handshake failed"},
	{ZMQ_EVENT_DISCONNECTED, "closed"},
	{ZMQ_EVENT_CLOSED, "unreachable"},
};

/* 0; DIAL_NO_ENDPOINT; -errno: no memory or no sockets, for now. */
enum { DIAL_NO_ENDPOINT = 1 };
static int start_attempt(struct dial *d)
{
	int r = socket_dealer(&d->dealer, d->context, d->keys, d->server_key);

	if (r == 0)
		r = socket_monitor(&d->monitor, d->context, d->dealer);
	if (r == 0 && zmq_connect(d->dealer, d->endpoint) < 0)
		r = errno == EINVAL || errno == EPROTONOSUPPORT ? DIAL_NO_ENDPOINT : -errno;
	if (r != 0)
		dial_close(d);
	d->due_ms = 0;
	return r;
}

int dial_new(struct dial **out, void *context, const struct socket_keys *keys, uint32_t connection,
	const char *endpoint, const uint8_t server_key[static LINK_PUBLIC_LEN])
{
	struct dial *d = calloc(1, sizeof *d);

	*out = NULL;
	if (d == NULL)
		return -ENOMEM;
	d->connection = connection;
	d->context = context;
	d->keys = keys;
	d->wait_ms = WAIT_FIRST_MS;
	memcpy(d->server_key, server_key, LINK_PUBLIC_LEN);
	d->endpoint = strdup(endpoint);
	if (d->endpoint == NULL || start_attempt(d) == DIAL_NO_ENDPOINT) {
		int r = d->endpoint == NULL ? -ENOMEM : -EINVAL;

		dial_free(d);
		return r;
	}
	*out = d;
	return 0;
}

void dial_close(struct dial *d)
{
	if (d->monitor != NULL)
		socket_close_monitor(&d->monitor, d->dealer);
	socket_close(&d->dealer);
	d->up = false;
	d->crowded = false;
}

void dial_free(struct dial *d)
{
	if (d == NULL)
		return;
	dial_close(d);
	free(d->endpoint);
	free(d);
}

/* The first thing that ends an attempt tells why; a refusal, for example, is followed by a disconnection. */
static void take_event(struct dial *d, int event, uint64_t now_ms)
{
	if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
		d->up = true;
		d->up_ms = now_ms;
		d->told = NULL;
	}
	for (size_t i = 0; i < sizeof endings / sizeof *endings && d->ending == NULL; i++)
		if (endings[i].event == event)
			d->ending = endings[i].reason;
}

void dial_look(struct dial *d, uint64_t now_ms)
{
	int event;

	d->crowded = false;
	if (d->dealer == NULL) {
		if (now_ms < d->due_ms)
			return;
		if (start_attempt(d) != 0) {
			d->ending = "no sockets left";
			return;
		}
	}
	if (d->due_ms == 0)
		d->due_ms = now_ms + ATTEMPT_MS;
	while (d->ending == NULL && (event = socket_event(d->monitor)) != 0)
		take_event(d, event, now_ms);
	if (!d->up && d->ending == NULL && now_ms >= d->due_ms)
		d->ending = "no answer";
}

/* A tenth more or less, so that nodes that lost a partner at once do not return at once. */
static uint64_t with_jitter(uint64_t ms)
{
	return ms - ms / 10 + randombytes_uniform((uint32_t)(ms / 5));
}

const char *dial_end(struct dial *d, uint64_t now_ms)
{
	const char *reason = d->ending;
	bool news = d->told == NULL || strcmp(d->told, reason) != 0;

	if (d->up && now_ms - d->up_ms > d->wait_ms)
		d->wait_ms = WAIT_FIRST_MS;
	d->due_ms = now_ms + with_jitter(d->wait_ms);
	d->wait_ms = d->wait_ms * 2 < WAIT_MAX_MS ? d->wait_ms * 2 : WAIT_MAX_MS;
	dial_close(d);
	d->ending = NULL;
	d->told = reason;
	return news ? reason : NULL;
}

uint64_t dial_due(const struct dial *d)
{
	return d->up ? UINT64_MAX : d->due_ms;
}
