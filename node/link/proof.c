#include "link/proof.h"

#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <zmq.h>

enum { PROOF_MS = 5000 };

static int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void random_keys(struct socket_keys *out)
{
	randombytes_buf(out->secret, sizeof out->secret);
	crypto_scalarmult_base(out->public_key, out->secret);
}

/* The server needs no attention: its I/O thread shakes hands. */
static int await_refusal(void *monitor)
{
	int64_t end = clock_ms() + PROOF_MS;

	for (int64_t left = PROOF_MS; left > 0; left = end - clock_ms()) {
		zmq_pollitem_t item = {monitor, 0, ZMQ_POLLIN, 0};

		zmq_poll(&item, 1, left);
		switch (socket_event(monitor)) {
		case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
			return 0;
		case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
			return -EPERM;
		}
	}
	return -EPERM;
}

int proof_stranger_is_refused(void *context, const struct socket_keys *keys)
{
	void *router = NULL, *dealer = NULL, *monitor = NULL;
	struct socket_keys stranger;
	char address[64];
	int r;

	random_keys(&stranger);
	snprintf(address, sizeof address, "ipc://@enlight-proof-%08x%08x", randombytes_random(), randombytes_random());
	r = socket_router(&router, context, keys);
	if (r == 0)
		r = socket_dealer(&dealer, context, &stranger, keys->public_key);
	if (r == 0)
		r = socket_monitor(&monitor, context, dealer);
	if (r == 0 && (zmq_bind(router, address) < 0 || zmq_connect(dealer, address) < 0))
		r = -errno;
	if (r == 0)
		r = await_refusal(monitor);
	if (monitor != NULL)
		socket_close_monitor(&monitor, dealer);
	socket_close(&dealer);
	socket_close(&router);
	sodium_memzero(&stranger, sizeof stranger);
	return r;
}
