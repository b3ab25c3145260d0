#include "link/zap.h"

#include "base/bytes.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* Frames of a request, in their order (RFC 27, section "The ZAP request"). */
enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, CREDENTIAL, N_PARTS };

struct request {
	zmq_msg_t parts[N_PARTS];
	size_t n; /* as sent: may be more than N_PARTS */
};

struct table {
	size_t n;
	uint8_t keys[][LINK_PUBLIC_LEN]; /* sorted */
};

struct zap {
	void *socket; /* the thread's, from its start */
	pthread_t thread;
	pthread_mutex_t lock; /* of `table` */
	struct table *table;  /* never changed, only replaced */
	atomic_uint_fast64_t refused;
};

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, LINK_PUBLIC_LEN);
}

static struct table *table_new(const uint8_t *keys, size_t n)
{
	struct table *t = malloc(sizeof *t + n * LINK_PUBLIC_LEN);

	if (t == NULL)
		return NULL;
	t->n = n;
	if (n > 0) {
		memcpy(t->keys, keys, n * LINK_PUBLIC_LEN);
		qsort(t->keys, n, LINK_PUBLIC_LEN, compare_keys);
	}
	return t;
}

int zap_allow(struct zap *z, const uint8_t *keys, size_t n)
{
	struct table *fresh = table_new(keys, n), *old;

	if (fresh == NULL)
		return -ENOMEM;
	pthread_mutex_lock(&z->lock);
	old = z->table;
	z->table = fresh;
	pthread_mutex_unlock(&z->lock);
	free(old);
	return 0;
}

bool zap_allows(struct zap *z, const uint8_t key[static LINK_PUBLIC_LEN])
{
	bool found;

	pthread_mutex_lock(&z->lock);
	found = bsearch(key, z->table->keys, z->table->n, LINK_PUBLIC_LEN, compare_keys) != NULL;
	pthread_mutex_unlock(&z->lock);
	return found;
}

uint64_t zap_refused(struct zap *z)
{
	return atomic_load(&z->refused);
}

/* Takes a whole request. False: the context is shutting down. */
static bool receive(void *socket, struct request *rq)
{
	zmq_msg_t part;
	bool more = true;

	for (rq->n = 0; more; rq->n++) {
		/* cppcheck-suppress uninitvar ; zmq_msg_init() takes what is not initialised */
		zmq_msg_t *p = rq->n < N_PARTS ? &rq->parts[rq->n] : &part;

		zmq_msg_init(p);
		while (zmq_msg_recv(p, socket, 0) < 0)
			if (errno == ETERM) {
				zmq_msg_close(p);
				return false;
			}
		more = zmq_msg_more(p);
		if (p == &part)
			zmq_msg_close(p);
	}
	return true;
}

static void release(struct request *rq)
{
	for (size_t i = 0; i < rq->n && i < N_PARTS; i++)
		zmq_msg_close(&rq->parts[i]);
}

static bool part_is(struct request *rq, int part, const char *text)
{
	return bytes_equal(bytes_of(zmq_msg_data(&rq->parts[part]), zmq_msg_size(&rq->parts[part])), bytes_str(text));
}

static bool admits(struct zap *z, struct request *rq)
{
	return rq->n == N_PARTS && part_is(rq, VERSION, "1.0") && part_is(rq, DOMAIN, ZAP_DOMAIN) &&
	       part_is(rq, MECHANISM, "CURVE") && zmq_msg_size(&rq->parts[CREDENTIAL]) == LINK_PUBLIC_LEN &&
	       zap_allows(z, zmq_msg_data(&rq->parts[CREDENTIAL]));
}

/* Sends a part, as soon as there is memory for it: half a reply would leave a socket that takes no request any more, and a node that
 * lets nobody in. False: the context is shutting down. */
static bool send_part(void *socket, struct bytes part, int flags)
{
	while (zmq_send(socket, part.data, part.len, flags) < 0) {
		if (errno == ETERM)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

/* What cannot be sent ends with the context; the handshake then fails, so nobody is let in by it. */
static void reply(void *socket, struct request *rq, bool admitted)
{
	char user_id[2 * LINK_PUBLIC_LEN + 1] = "";
	struct bytes parts[] = {bytes_str("1.0"), {0}, bytes_str(admitted ? "200" : "400"), {0}, {0}, {0}};
	const size_t n = sizeof parts / sizeof *parts;
	bool sent = true;

	if (rq->n > REQUEST_ID)
		parts[1] = bytes_of(zmq_msg_data(&rq->parts[REQUEST_ID]), zmq_msg_size(&rq->parts[REQUEST_ID]));
	if (admitted)
		hex_encode(user_id, zmq_msg_data(&rq->parts[CREDENTIAL]), LINK_PUBLIC_LEN);
	parts[4] = bytes_str(user_id);
	for (size_t i = 0; i < n && sent; i++)
		sent = send_part(socket, parts[i], i + 1 < n ? ZMQ_SNDMORE : 0);
}

static void *answer(void *arg)
{
	struct zap *z = arg;
	struct request rq;

	while (receive(z->socket, &rq)) {
		bool admitted = admits(z, &rq);

		if (!admitted)
			atomic_fetch_add(&z->refused, 1);
		reply(z->socket, &rq, admitted);
		release(&rq);
	}
	release(&rq);
	zmq_close(z->socket);
	return NULL;
}

/* Signals are for the thread that reads them from a signalfd, never for this one. */
static int start_thread(struct zap *z)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&z->thread, NULL, answer, z);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int zap_start(struct zap **out, void *context)
{
	struct zap *z;
	int r;

	*out = NULL;
	z = calloc(1, sizeof *z);
	if (z == NULL)
		return -ENOMEM;
	z->table = table_new(NULL, 0);
	pthread_mutex_init(&z->lock, NULL);
	z->socket = zmq_socket(context, ZMQ_REP);
	if (z->table == NULL || z->socket == NULL || zmq_bind(z->socket, "inproc://zeromq.zap.01") < 0)
		r = z->table == NULL ? -ENOMEM : -errno;
	else
		r = start_thread(z);
	if (r < 0) {
		if (z->socket != NULL)
			zmq_close(z->socket);
		pthread_mutex_destroy(&z->lock);
		free(z->table);
		free(z);
		return r;
	}
	*out = z;
	return 0;
}

void zap_stop(struct zap *z)
{
	if (z == NULL)
		return;
	pthread_join(z->thread, NULL);
	pthread_mutex_destroy(&z->lock);
	free(z->table);
	free(z);
}
