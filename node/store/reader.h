/* reader - the read worker: a thread that owns an archive and answers queries, one after the other.
 *
 * Queries are opaque here; a long one is the asker's to cut into pages. */
#ifndef ENLIGHT_STORE_READER_H
#define ENLIGHT_STORE_READER_H

#include "store/store.h"

struct reader;

/* Answers one query in the worker's thread; what came of it is in the job. */
typedef void (*reader_run)(void *context, const struct archive_ops *ops, void *archive, void *job);

struct reader_options {
	reader_run run;
	void *context;
	size_t max_queue; /* put and not taken back */
};

enum { READER_BUSY = 1 };

/* Starts the worker; `archive` is taken. 0, -ENOMEM, other -errno of the thread. */
int reader_open(struct reader **out, struct store_reader *archive, const struct reader_options *options);

/* The loop's side, as in writer.h. */
int reader_put(struct reader *r, void *job); /* 0 or READER_BUSY */
int reader_fd(const struct reader *r);
size_t reader_take(struct reader *r, void **jobs, size_t max);
void reader_drain(struct reader *r);
void reader_close(struct reader *r); /* NULL is a no-op; before the writer's */

#endif
