#include "store/reader.h"

#include "store/queue.h"

#include <errno.h>
#include <stdlib.h>

struct reader {
	struct queue queue;
	struct store_reader *archive;
	struct reader_options options;
	pthread_t thread;
	bool running;
};

/* One at a time, so that the first answer does not wait for the last query. */
static void *reader_main(void *context)
{
	struct reader *r = context;
	void *job;
	size_t n;

	while (queue_start(&r->queue, &job, 1, &n, -1) == QUEUE_JOBS) {
		r->options.run(r->options.context, &store_archive_ops, r->archive, job);
		queue_done(&r->queue);
	}
	return NULL;
}

int reader_open(struct reader **out, struct store_reader *archive, const struct reader_options *options)
{
	struct reader *reader = calloc(1, sizeof *reader);
	int r = -ENOMEM;

	*out = NULL;
	if (reader == NULL)
		return -ENOMEM;
	reader->options = *options;
	r = queue_init(&reader->queue, options->max_queue);
	if (r != 0)
		goto out;
	reader->archive = archive;
	r = queue_thread(&reader->thread, "read", reader_main, reader);
	if (r != 0) {
		reader->archive = NULL; /* still the caller's */
		goto out;
	}
	reader->running = true;
	*out = reader;
	reader = NULL;
out:
	reader_close(reader);
	return r;
}

int reader_put(struct reader *r, void *job)
{
	return queue_put(&r->queue, job) ? 0 : READER_BUSY;
}

int reader_fd(const struct reader *r)
{
	return r->queue.fd;
}

size_t reader_take(struct reader *r, void **jobs, size_t max)
{
	return queue_take(&r->queue, jobs, max);
}

void reader_drain(struct reader *r)
{
	if (!r->running)
		return;
	queue_close(&r->queue);
	pthread_join(r->thread, NULL);
	r->running = false;
}

void reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	reader_drain(r);
	queue_deinit(&r->queue);
	store_reader_close(r->archive);
	free(r);
}
