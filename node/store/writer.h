/* writer - the commit worker: a thread that owns the store and makes jobs durable, several with one sync.
 *
 * A transaction takes all that is queued when the one before has finished: alone, a job waits for nobody; under load transactions
 * fill up. Jobs are opaque here. When a transaction of several cannot be done (a full disk above all), each of its jobs is tried in
 * a transaction of its own, so that what is small still passes and what is wrong spoils nothing else. */
#ifndef ENLIGHT_STORE_WRITER_H
#define ENLIGHT_STORE_WRITER_H

#include "store/backup.h"

struct writer;

/* Does the jobs' reads and writes inside a transaction, in the worker's thread. 0: commit; anything else: all is undone. It may be called
 * again for the same jobs. */
typedef int (*writer_run)(void *context, const struct ledger_ops *ops, void *ledger, void **jobs, size_t n);

/* Says what became of a transaction, in the worker's thread, before its jobs are handed back: 0: durable; STORE_FULL; or what
 * store_begin(), store_commit() or `run` answered. Each job is told of exactly once. */
typedef void (*writer_done)(void *context, void **jobs, size_t n, int result);

/* Does of a job what needs neither ledger nor order, in a helper's thread while the worker is busy with earlier ones: at most once, before
 * `run`, and not of every job. */
typedef void (*writer_prepare)(void *context, void *job);

struct writer_options {
	writer_run run;
	writer_prepare prepare; /* NULL: nothing, and there is no helper */
	writer_done done;
	void *context;
	size_t max_jobs;  /* of one transaction */
	size_t max_queue; /* put and not taken back */
};

enum { WRITER_BUSY = 1 };

/* Starts the worker. `s` is taken: from then on only the worker may use it (but for store_bytes() and store_reader_open()).
 * 0, -ENOMEM, other -errno of the thread. */
int writer_open(struct writer **out, struct store *s, const struct writer_options *options);

/* The loop's side. A job belongs to the writer until writer_take() gives it back. */
int writer_put(struct writer *w, void *job); /* 0 or WRITER_BUSY: `max_queue` are under way */
int writer_fd(const struct writer *w);       /* readable when there is something to take */
size_t writer_take(struct writer *w, void **jobs, size_t max);

/* Has a copy of the database made, a part after each transaction and while there are none. The worker has it until backup_look() says
 * that it is ready or failed; what is under way when the worker is drained has failed. 0, or WRITER_BUSY: it makes another, or is
 * drained. */
int writer_backup(struct writer *w, struct backup *b);

/* Does what is queued, then ends the thread; writer_put() answers WRITER_BUSY from then on, writer_take() gives what is left. */
void writer_drain(struct writer *w);

/* writer_drain(), and closes the store; jobs that were not taken back are forgotten. NULL is a no-op. */
void writer_close(struct writer *w);

#endif
