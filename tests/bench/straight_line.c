/* straight_line - the least that publishing at one node and reading at another can cost: what a node's figures are held against.
 *
 *   straight_line FOLDER EVENTS EVENTS_PER_COMMIT SINGLE
 *
 * Publisher's half: each event is packed and hashed; a full batch gets its root and signature, is sealed under a new key, the key is
 * wrapped; the batches of a commit are appended to a file, one fdatasync. Reader's half: the signature is verified, the key unwrapped,
 * the body opened, each event hashed, the root compared, the key wrapped again; the batches of a commit are appended, one fdatasync.
 * The formats are the contract's, made by core's own functions. No sockets, no SQL, no index, no request, no rules, no receipts.
 *
 * `both` does the halves one after the other on one core, `apart` on two threads with commits handed over in memory: two nodes on two
 * cores can do no better. SINGLE events one to a commit give the halves' medians. Prints one JSON object. */
#include "core/batch.h"
#include "core/event.h"
#include "core/handle.h"
#include "sample.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { AHEAD = 8 }; /* commits that the publisher's half may be ahead of the reader's */

/* What a commit adds to the log and hands to the reader. */
struct entry {
	struct sealed_batch batch;
	uint8_t key[BATCH_KEY_LEN];
	uint8_t wrapped[WRAPPED_KEY_LEN]; /* for the session */
};
struct commit {
	struct entry *entries;
	size_t n;
};

struct node {
	int fd;
	struct entropy entropy;
	uint8_t store_key[32];
	struct digest head;
	uint64_t last;
};

struct line {
	struct node publisher, reader;
	struct node_keys keys;
	uint8_t session_key[32];
	size_t n_events, per_commit;
	/* between the threads */
	struct commit ring[AHEAD];
	size_t n_put, n_taken;
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	double *publisher_us, *reader_us, *sync_us; /* of single events */
};

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "straight_line: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static double clock_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double now_s(void)
{
	return clock_s(CLOCK_MONOTONIC);
}

static void append(struct node *n, const struct entry *e, const uint8_t *wrapped)
{
	const struct iovec parts[] = {
		{(void *)e->batch.header.data, e->batch.header.len},
		{(void *)e->batch.signature, SIGNATURE_LEN},
		{(void *)wrapped, WRAPPED_KEY_LEN},
		{(void *)e->batch.body.data, e->batch.body.len},
	};
	size_t len = e->batch.header.len + SIGNATURE_LEN + WRAPPED_KEY_LEN + e->batch.body.len;

	if (writev(n->fd, parts, 4) != (ssize_t)len)
		fail("write");
}

static void sync_log(struct node *n)
{
	if (fdatasync(n->fd) < 0)
		fail("fdatasync");
}

/* ---- the publisher's half ---- */

static void seal(struct line *l, struct entry *out, struct batch_builder *b)
{
	struct node *n = &l->publisher;
	uint8_t wrapped[WRAPPED_KEY_LEN];
	struct digest digest;
	struct header h = {.publisher = "ut.ee",
		.audience = (char *)"network",
		.incarnation = 1,
		.first = n->last + 1,
		.previous = n->head,
		.has_after = n->last == 0,
		.time_ms = 1795426200250,
		.key = l->keys.number};

	if (batch_seal(&out->batch, out->key, &h, b, &l->keys, &n->entropy) != 0)
		fail("sealing");
	digest_header(&digest, out->batch.header);
	key_wrap(wrapped, n->store_key, &digest, out->key, &n->entropy);
	key_wrap(out->wrapped, l->session_key, &digest, out->key, &n->entropy);
	n->head = digest;
	n->last += b->n;
	append(n, out, wrapped);
}

static void add_entry(struct line *l, struct commit *c, struct batch_builder *b)
{
	c->entries = realloc(c->entries, (c->n + 1) * sizeof *c->entries);
	if (c->entries == NULL)
		fail("memory");
	seal(l, &c->entries[c->n++], b);
	batch_truncate(b, 0, 0);
}

/* One commit of `n` events: packed, hashed, signed, sealed, durable. */
static struct commit publish(struct line *l, size_t n)
{
	static uint8_t data[SAMPLE_DATA];
	char id[UUID_LEN + 1] = "", subject[UUID_LEN + 8] = "course/";
	struct event e = {.id = id,
		.type = (char *)SAMPLE_TYPE,
		.subject = subject,
		.time = (char *)SAMPLE_TIME,
		.revision = 1,
		.data = bytes_of(data, sizeof data),
		.data_class = (char *)"public",
		.keep_until = (char *)"2036-11-20"};
	struct batch_builder b = {0};
	struct commit c = {0};
	struct digest leaf;

	if (data[0] == 0)
		sample_data(data, "00000000-0000-7000-8000-000000000002");
	for (size_t i = 0; i < n; i++) {
		uint8_t *packed;
		size_t len;

		sample_uuid(id, 1795426200250, i);
		memcpy(subject + 7, id, UUID_LEN);
		entropy_fill(&l->publisher.entropy, e.salt, sizeof e.salt);
		if (event_pack(&packed, &len, &e) != 0)
			fail("packing");
		if (batch_add(&b, bytes_of(packed, len), &leaf) == BATCH_FULL) {
			add_entry(l, &c, &b);
			batch_add(&b, bytes_of(packed, len), &leaf);
		}
		free(packed);
	}
	add_entry(l, &c, &b);
	sync_log(&l->publisher);
	batch_builder_deinit(&b);
	return c;
}

/* ---- the reader's half ---- */

static void take(struct line *l, struct entry *e)
{
	uint8_t key[BATCH_KEY_LEN], wrapped[WRAPPED_KEY_LEN];
	struct node *n = &l->reader;
	struct header h = {0};
	struct slots slots = {0};
	struct digest digest;

	errno = EBADMSG;
	if (header_decode(&h, e->batch.header) != 0 ||
		!header_verify(e->batch.header, e->batch.signature, l->keys.sign_public) || h.first != n->last + 1 ||
		(n->last != 0 && !digest_equal(&h.previous, &n->head)))
		fail("header");
	digest_header(&digest, e->batch.header);
	if (!key_unwrap(key, l->session_key, &digest, bytes_of(e->wrapped, WRAPPED_KEY_LEN)) ||
		batch_open(&slots, &h, &e->batch, key) != 0)
		fail("body");
	n->last = header_last(&h);
	n->head = digest;
	key_wrap(wrapped, n->store_key, &digest, key, &n->entropy);
	append(n, e, wrapped);
	slots_deinit(&slots);
	header_deinit(&h);
}

static void accept_commit(struct line *l, struct commit *c)
{
	for (size_t i = 0; i < c->n; i++)
		take(l, &c->entries[i]);
	sync_log(&l->reader);
	for (size_t i = 0; i < c->n; i++)
		sealed_batch_deinit(&c->entries[i].batch);
	free(c->entries);
}

/* ---- the whole line ---- */

static void begin(struct node *n, const char *folder, const char *name)
{
	uint8_t seed[32];
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	*n = (struct node){.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600)};
	if (n->fd < 0)
		fail(path);
	unlink(path);
	randombytes_buf(n->store_key, sizeof n->store_key);
	randombytes_buf(seed, sizeof seed);
	entropy_init(&n->entropy, seed);
}

static void restart(struct line *l, const char *folder)
{
	if (l->publisher.fd > 0) {
		close(l->publisher.fd);
		close(l->reader.fd);
	}
	begin(&l->publisher, folder, "published");
	begin(&l->reader, folder, "read");
}

static double both(struct line *l)
{
	double began = now_s();

	for (size_t n = 0; n < l->n_events; n += l->per_commit) {
		struct commit c = publish(l, l->per_commit);

		accept_commit(l, &c);
	}
	return now_s() - began;
}

static void *read_all(void *context)
{
	struct line *l = context;

	for (size_t n = 0; n < l->n_events; n += l->per_commit) {
		struct commit c;

		pthread_mutex_lock(&l->mutex);
		while (l->n_put == l->n_taken)
			pthread_cond_wait(&l->moved, &l->mutex);
		c = l->ring[l->n_taken++ % AHEAD];
		pthread_cond_signal(&l->moved);
		pthread_mutex_unlock(&l->mutex);
		accept_commit(l, &c);
	}
	return NULL;
}

static double apart(struct line *l)
{
	double began = now_s();
	pthread_t thread;

	l->n_put = l->n_taken = 0;
	if (pthread_create(&thread, NULL, read_all, l) != 0)
		fail("thread");
	for (size_t n = 0; n < l->n_events; n += l->per_commit) {
		struct commit c = publish(l, l->per_commit);

		pthread_mutex_lock(&l->mutex);
		while (l->n_put - l->n_taken == AHEAD)
			pthread_cond_wait(&l->moved, &l->mutex);
		l->ring[l->n_put++ % AHEAD] = c;
		pthread_cond_signal(&l->moved);
		pthread_mutex_unlock(&l->mutex);
	}
	pthread_join(thread, NULL);
	return now_s() - began;
}

/* Each half alone, over all events; the publisher's results wait in memory. `*cpu_s`: processor time of both together. */
static void halves(struct line *l, double *publisher_s, double *reader_s, double *cpu_s)
{
	size_t n = (l->n_events + l->per_commit - 1) / l->per_commit;
	struct commit *commits = calloc(n, sizeof *commits);
	double began = now_s(), cpu = clock_s(CLOCK_THREAD_CPUTIME_ID);

	if (commits == NULL)
		fail("memory");
	for (size_t i = 0; i < n; i++)
		commits[i] = publish(l, l->per_commit);
	*publisher_s = now_s() - began;
	began = now_s();
	for (size_t i = 0; i < n; i++)
		accept_commit(l, &commits[i]);
	*reader_s = now_s() - began;
	*cpu_s = clock_s(CLOCK_THREAD_CPUTIME_ID) - cpu;
	free(commits);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof *values, by_size);
	return values[n / 2];
}

/* One event to a commit; and what a fdatasync of as many bytes takes by itself. */
static void singly(struct line *l, size_t n)
{
	static const uint8_t block[1024];

	for (size_t i = 0; i < n; i++) {
		double at = now_s();
		struct commit c = publish(l, 1);

		l->publisher_us[i] = (now_s() - at) * 1e6;
		at = now_s();
		accept_commit(l, &c);
		l->reader_us[i] = (now_s() - at) * 1e6;
		if (write(l->reader.fd, block, sizeof block) != sizeof block)
			fail("write");
		at = now_s();
		sync_log(&l->reader);
		l->sync_us[i] = (now_s() - at) * 1e6;
	}
}

int main(int argc, char **argv)
{
	size_t n_single = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
	struct line l = {.n_events = argc > 2 ? strtoul(argv[2], NULL, 10) : 0,
		.per_commit = argc > 3 ? strtoul(argv[3], NULL, 10) : 0,
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.moved = PTHREAD_COND_INITIALIZER};
	double publisher_s, reader_s, cpu_s, both_s, apart_s;

	if (l.n_events == 0 || l.per_commit == 0 || n_single == 0 || sodium_init() < 0) {
		fprintf(stderr, "usage: straight_line FOLDER EVENTS EVENTS_PER_COMMIT SINGLE\n");
		return EXIT_FAILURE;
	}
	l.keys.number = 1;
	crypto_sign_keypair(l.keys.sign_public, l.keys.sign_secret);
	randombytes_buf(l.session_key, sizeof l.session_key);
	l.publisher_us = calloc(3 * n_single, sizeof *l.publisher_us);
	if (l.publisher_us == NULL)
		fail("memory");
	l.reader_us = l.publisher_us + n_single;
	l.sync_us = l.reader_us + n_single;
	restart(&l, argv[1]);
	both_s = both(&l);
	restart(&l, argv[1]);
	apart_s = apart(&l);
	restart(&l, argv[1]);
	halves(&l, &publisher_s, &reader_s, &cpu_s);
	restart(&l, argv[1]);
	singly(&l, n_single);
	printf("{\"both_s\": %.4f, \"apart_s\": %.4f, \"publisher_s\": %.4f, \"reader_s\": %.4f, \"cpu_s\": %.4f, ",
		both_s, apart_s, publisher_s, reader_s, cpu_s);
	printf("\"single_publisher_us\": %.1f, \"single_reader_us\": %.1f, \"fdatasync_us\": %.1f}\n",
		median(l.publisher_us, n_single), median(l.reader_us, n_single), median(l.sync_us, n_single));
	return EXIT_SUCCESS;
}
