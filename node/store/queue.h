/* queue - jobs on their way from the loop to a worker thread and back, in order.
 *
 * One ring holds all three kinds: taken by nobody yet, with the worker, done. A job's place is given free when the loop takes it
 * back, so `size` bounds everything that is under way, and nothing is allocated after opening. */
#ifndef ENLIGHT_STORE_QUEUE_H
#define ENLIGHT_STORE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue {
	pthread_mutex_t mutex;
	pthread_cond_t wanted;  /* something was put, or the queue is closing */
	pthread_cond_t ahead;   /* a helper may have something to do */
	pthread_cond_t settled; /* the helper is done with a job */
	void **ring;
	size_t size;
	uint64_t n_put, n_started, n_done, n_taken; /* ever */
	uint64_t n_claimed;                         /* the helper has looked at, or never will */
	uint64_t in_hand;                           /* which one the helper is at; UINT64_MAX: none */
	int fd;                                     /* eventfd: readable while jobs are done and not taken */
	bool closing;
	bool woken; /* the worker has something else to do than jobs */
};

int queue_init(struct queue *q, size_t size); /* 0 or -errno */
void queue_deinit(struct queue *q);

/* The loop's side: false when the queue is full or closing; jobs that are done, oldest first, returns how many. */
bool queue_put(struct queue *q, void *job);
size_t queue_take(struct queue *q, void **jobs, size_t max);
void queue_close(struct queue *q); /* nothing more can be put; what was put is still done */

/* Ends the worker's wait for jobs, this one or the next. */
void queue_wake(struct queue *q);

/* The worker's side: waits for jobs at most `wait_ms` (negative: for ever) and takes up to `max` of them. QUEUE_IDLE: none came in
 * that time, or queue_wake(); QUEUE_END: closing and all were taken. What was started is handed back, whole, by queue_done(). */
enum { QUEUE_JOBS, QUEUE_IDLE, QUEUE_END };
int queue_start(struct queue *q, void **jobs, size_t max, size_t *n, int wait_ms);
void queue_done(struct queue *q);

/* A helper's side: a second thread that prepares jobs while the worker is busy with earlier ones, so that two cores share the work and no
 * sync is waited for idly. Says that the job before is prepared and waits for the next, one of the first `most` that are not started.
 * NULL: closing. */
void *queue_ahead(struct queue *q, size_t most);
/* The worker's: the helper is done with all that was started, and takes none of it any more. */
void queue_claim(struct queue *q);

/* A thread of that name with all signals blocked. 0 or -errno. */
int queue_thread(pthread_t *out, const char *name, void *(*main)(void *context), void *context);

#endif
