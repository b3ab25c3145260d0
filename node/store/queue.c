#include "store/queue.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int queue_init(struct queue *q, size_t size)
{
	pthread_condattr_t attributes;
	int r;

	*q = (struct queue){.size = size, .in_hand = UINT64_MAX, .fd = -1};
	q->ring = calloc(size, sizeof *q->ring);
	if (q->ring == NULL)
		return -ENOMEM;
	q->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (q->fd < 0) {
		r = -errno;
		free(q->ring);
		q->ring = NULL;
		return r;
	}
	pthread_mutex_init(&q->mutex, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&q->wanted, &attributes);
	pthread_cond_init(&q->ahead, NULL);
	pthread_cond_init(&q->settled, NULL);
	pthread_condattr_destroy(&attributes);
	return 0;
}

void queue_deinit(struct queue *q)
{
	if (q->ring == NULL)
		return;
	pthread_cond_destroy(&q->wanted);
	pthread_cond_destroy(&q->ahead);
	pthread_cond_destroy(&q->settled);
	pthread_mutex_destroy(&q->mutex);
	close(q->fd);
	free(q->ring);
	*q = (struct queue){.fd = -1};
}

bool queue_put(struct queue *q, void *job)
{
	bool room;

	pthread_mutex_lock(&q->mutex);
	room = !q->closing && q->n_put - q->n_taken < q->size;
	if (room) {
		q->ring[q->n_put++ % q->size] = job;
		pthread_cond_signal(&q->wanted);
		if (q->n_started > q->n_done)
			pthread_cond_signal(&q->ahead);
	}
	pthread_mutex_unlock(&q->mutex);
	return room;
}

size_t queue_take(struct queue *q, void **jobs, size_t max)
{
	uint64_t signals;
	size_t n = 0;

	pthread_mutex_lock(&q->mutex);
	while (n < max && q->n_taken < q->n_done)
		jobs[n++] = q->ring[q->n_taken++ % q->size];
	if (q->n_taken == q->n_done && read(q->fd, &signals, sizeof signals) < 0)
		errno = 0; /* it was not signalled */
	pthread_mutex_unlock(&q->mutex);
	return n;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->closing = true;
	pthread_cond_signal(&q->wanted);
	pthread_cond_signal(&q->ahead);
	pthread_mutex_unlock(&q->mutex);
}

void queue_wake(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->woken = true;
	pthread_cond_signal(&q->wanted);
	pthread_mutex_unlock(&q->mutex);
}

static struct timespec in_ms(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

int queue_start(struct queue *q, void **jobs, size_t max, size_t *n, int wait_ms)
{
	struct timespec until = in_ms(wait_ms < 0 ? 0 : wait_ms);
	int r = 0;

	*n = 0;
	pthread_mutex_lock(&q->mutex);
	while (q->n_started == q->n_put && !q->closing && !q->woken && r == 0)
		r = wait_ms < 0 ? pthread_cond_wait(&q->wanted, &q->mutex)
				: pthread_cond_timedwait(&q->wanted, &q->mutex, &until);
	q->woken = false;
	while (*n < max && q->n_started < q->n_put)
		jobs[(*n)++] = q->ring[q->n_started++ % q->size];
	if (*n > 0)
		r = QUEUE_JOBS;
	else
		r = q->closing ? QUEUE_END : QUEUE_IDLE;
	if (q->n_started < q->n_put)
		pthread_cond_signal(&q->ahead);
	pthread_mutex_unlock(&q->mutex);
	return r;
}

/* While the worker waits for jobs there is nothing to do ahead: it is quicker by itself. */
static bool can_help(const struct queue *q, size_t most)
{
	return q->n_started > q->n_done && q->n_claimed < q->n_put && q->n_claimed < q->n_started + most;
}

void *queue_ahead(struct queue *q, size_t most)
{
	void *job = NULL;

	pthread_mutex_lock(&q->mutex);
	if (q->in_hand != UINT64_MAX)
		pthread_cond_signal(&q->settled);
	q->in_hand = UINT64_MAX;
	while (!q->closing && !can_help(q, most))
		pthread_cond_wait(&q->ahead, &q->mutex);
	if (!q->closing) {
		q->in_hand = q->n_claimed++;
		job = q->ring[q->in_hand % q->size];
	}
	pthread_mutex_unlock(&q->mutex);
	return job;
}

void queue_claim(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	if (q->n_claimed < q->n_started)
		q->n_claimed = q->n_started;
	while (q->in_hand < q->n_started)
		pthread_cond_wait(&q->settled, &q->mutex);
	pthread_mutex_unlock(&q->mutex);
}

void queue_done(struct queue *q)
{
	const uint64_t one = 1;

	pthread_mutex_lock(&q->mutex);
	q->n_done = q->n_started;
	if (write(q->fd, &one, sizeof one) < 0)
		errno = 0; /* it is signalled already, as often as it can be */
	pthread_mutex_unlock(&q->mutex);
}

int queue_thread(pthread_t *out, const char *name, void *(*main)(void *context), void *context)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(out, NULL, main, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_setname_np(*out, name);
	return -r;
}
