#include "store/writer.h"

#include "store/queue.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
	AHEAD_MAX = 8,                /* jobs that are prepared before their transaction begins; bounds the memory */
	QUIET_MS = 500,               /* after this the WAL is moved into the database */
	WAL_BYTES = 16 * 1024 * 1024, /* with more it is moved between two transactions */
};

struct writer {
	struct queue queue;
	struct store *store;
	struct writer_options options;
	pthread_t thread, helper;
	bool running, helped;
	void **jobs;                     /* of the transaction under way */
	_Atomic(struct backup *) backup; /* to be made; NULL: none */
};

static int transact(struct writer *w, void **jobs, size_t n)
{
	int r = store_begin(w->store);

	if (r != 0)
		return r;
	r = w->options.run(w->options.context, &store_ledger_ops, w->store, jobs, n);
	if (r == 0)
		return store_commit(w->store);
	store_rollback(w->store);
	return r;
}

static void make_durable(struct writer *w, size_t n)
{
	int r = transact(w, w->jobs, n);

	if (r == 0 || n == 1) {
		w->options.done(w->options.context, w->jobs, n, r);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		r = transact(w, &w->jobs[i], 1);
		w->options.done(w->options.context, &w->jobs[i], 1, r);
	}
}

static void *helper_main(void *context)
{
	struct writer *w = context;
	void *job;

	while ((job = queue_ahead(&w->queue, AHEAD_MAX)) != NULL)
		w->options.prepare(w->options.context, job);
	return NULL;
}

/* Does a part of the copy. False: there is none to be made. */
static bool back_up(struct writer *w)
{
	struct backup *b = atomic_load(&w->backup);
	bool more = b != NULL && backup_step(b, w->store);

	if (b != NULL && !more)
		atomic_store(&w->backup, NULL);
	return more;
}

static void give_up(struct writer *w)
{
	struct backup *b = atomic_load(&w->backup);

	if (b == NULL)
		return;
	backup_give_up(b);
	back_up(w);
}

static void *writer_main(void *context)
{
	struct writer *w = context;
	bool copying = false;
	size_t n;
	int r;

	for (;;) {
		r = queue_start(&w->queue, w->jobs, w->options.max_jobs, &n,
			copying                          ? 0
			: store_wal_bytes(w->store) != 0 ? QUIET_MS
							 : -1);
		if (r == QUEUE_END) {
			give_up(w);
			return NULL;
		}
		if (r == QUEUE_JOBS) {
			queue_claim(&w->queue);
			make_durable(w, n);
			queue_done(&w->queue);
		}
		if ((r == QUEUE_IDLE && !copying) || store_wal_bytes(w->store) > WAL_BYTES)
			store_checkpoint(w->store);
		copying = back_up(w);
	}
}

int writer_open(struct writer **out, struct store *s, const struct writer_options *options)
{
	struct writer *w = calloc(1, sizeof *w);
	int r = -ENOMEM;

	*out = NULL;
	if (w == NULL)
		goto out;
	w->options = *options;
	w->jobs = calloc(options->max_jobs, sizeof *w->jobs);
	if (w->jobs == NULL)
		goto out;
	r = queue_init(&w->queue, options->max_queue);
	if (r != 0)
		goto out;
	w->store = s;
	r = queue_thread(&w->thread, "commit", writer_main, w);
	if (r != 0) {
		w->store = NULL; /* still the caller's */
		goto out;
	}
	w->running = true;
	if (options->prepare != NULL)
		r = queue_thread(&w->helper, "prepare", helper_main, w);
	if (r != 0) {
		writer_drain(w);
		w->store = NULL;
		goto out;
	}
	w->helped = options->prepare != NULL;
	*out = w;
	w = NULL;
out:
	writer_close(w);
	return r;
}

int writer_put(struct writer *w, void *job)
{
	return queue_put(&w->queue, job) ? 0 : WRITER_BUSY;
}

int writer_backup(struct writer *w, struct backup *b)
{
	struct backup *none = NULL;

	if (!w->running || !atomic_compare_exchange_strong(&w->backup, &none, b))
		return WRITER_BUSY;
	queue_wake(&w->queue);
	return 0;
}

int writer_fd(const struct writer *w)
{
	return w->queue.fd;
}

size_t writer_take(struct writer *w, void **jobs, size_t max)
{
	return queue_take(&w->queue, jobs, max);
}

void writer_drain(struct writer *w)
{
	if (!w->running)
		return;
	queue_close(&w->queue);
	pthread_join(w->thread, NULL);
	if (w->helped)
		pthread_join(w->helper, NULL);
	w->running = false;
}

void writer_close(struct writer *w)
{
	if (w == NULL)
		return;
	writer_drain(w);
	queue_deinit(&w->queue);
	store_close(w->store);
	free(w->jobs);
	free(w);
}
