/* commit_cost - whether a commit grows dearer as the log grows longer.
 *
 *   commit_cost [EVENTS [BYTES [FOLDER]]]
 *
 * Appends EVENTS (1000000) events of BYTES (512) in commits of 100 to a new store in FOLDER (.), through the ledger as core does: for
 * each event its object is looked up, its id and its object are noted, for every second a person. Names begin with a time as those of
 * UUIDv7 do. Prints the median of a commit near 10,000 events and near the end, by the clock and in processor time (which a busy
 * machine disturbs less), and their ratios; ends with 1 when the ratio of processor times is above 1.5. */
#include "base/bytes.h"
#include "store/store.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PER_COMMIT = 100, EARLY = 10000, WINDOW = 100 /* commits */ };

struct bench {
	struct store *store;
	struct channel_row channel;
	uint8_t *body;
	size_t body_len;
	uint64_t time_ms;         /* in the names */
	double *wall_us, *cpu_us; /* of each commit */
	double checkpoint_ms;     /* all together */
};

static double now_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct index_key next_name(struct bench *b)
{
	struct index_key key;

	randombytes_buf(key.bytes, sizeof key.bytes);
	for (int i = 0; i < 6; i++)
		key.bytes[i] = (uint8_t)(b->time_ms >> (40 - 8 * i));
	return key;
}

static int add_event(struct bench *b, const struct place *place)
{
	struct index_key id = next_name(b), object = next_name(b), person;
	struct object_row row = {.revision = 1, .place = *place};
	int r;

	b->time_ms++;
	r = store_ledger_ops.object_find(b->store, &object, &row);
	if (r == LEDGER_NONE)
		r = store_ledger_ops.event_add(b->store, &id, place);
	if (r == 0)
		r = store_ledger_ops.object_put(b->store, &object, &row);
	if (r != 0 || place->index % 2 == 0)
		return r;
	randombytes_buf(person.bytes, sizeof person.bytes);
	return store_ledger_ops.person_add(b->store, &person, place->number);
}

static int add_batch(struct bench *b)
{
	static const uint8_t header[300], signature[SIGNATURE_LEN], wrapped[WRAPPED_KEY_LEN];
	struct place place = {.number = store_ledger_ops.next_number(b->store)};
	struct batch_row row = {.number = place.number,
		.channel = b->channel.id,
		.incarnation = 1,
		.first = b->channel.last + 1,
		.count = PER_COMMIT,
		.header = bytes_of(header, sizeof header),
		.signature = bytes_of(signature, sizeof signature),
		.wrapped = bytes_of(wrapped, sizeof wrapped),
		.body = bytes_of(b->body, b->body_len)};
	int r = 0;

	for (; place.index < PER_COMMIT && r == 0; place.index++)
		r = add_event(b, &place);
	if (r == 0)
		r = store_ledger_ops.batch_add(b->store, &row);
	b->channel.last += PER_COMMIT;
	return r == 0 ? store_ledger_ops.channel_put(b->store, &b->channel) : r;
}

static int commit_one(struct bench *b, size_t i)
{
	double wall = now_us(CLOCK_MONOTONIC), cpu = now_us(CLOCK_PROCESS_CPUTIME_ID);
	int r = store_begin(b->store);

	if (r == 0)
		r = add_batch(b);
	if (r == 0)
		r = store_commit(b->store);
	b->cpu_us[i] = now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	b->wall_us[i] = now_us(CLOCK_MONOTONIC) - wall;
	wall = now_us(CLOCK_MONOTONIC);
	if (store_wal_bytes(b->store) > 16 * 1024 * 1024)
		store_checkpoint(b->store);
	b->checkpoint_ms += (now_us(CLOCK_MONOTONIC) - wall) / 1e3;
	return r;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *us, size_t n)
{
	double copy[WINDOW];

	memcpy(copy, us, n * sizeof *us);
	qsort(copy, n, sizeof *copy, by_size);
	return copy[n / 2];
}

/* Prints one line of the table and gives the ratio. */
static double compare(const char *what, const double *us, size_t n)
{
	double early = median(us + EARLY / PER_COMMIT - WINDOW / 2, WINDOW);
	double late = median(us + n - WINDOW, WINDOW);

	printf("%-9s  near %d events: %.0f us a commit   near %zu: %.0f us   ratio %.2f\n", what, EARLY, early,
		n * PER_COMMIT, late, late / early);
	return late / early;
}

static int run(struct bench *b, size_t n)
{
	int r;

	r = store_begin(b->store);
	if (r == 0)
		r = store_ledger_ops.channel_put(b->store, &b->channel);
	if (r == 0)
		r = store_commit(b->store);
	for (size_t i = 0; i < n && r == 0; i++)
		r = commit_one(b, i);
	if (r != 0) {
		fprintf(stderr, "commit_cost: %s\n", r < 0 ? strerror(-r) : "the disk is full");
		return EXIT_FAILURE;
	}
	printf("%zu events in commits of %d, store %ju MB, checkpoints %.1f ms\n", n * PER_COMMIT, PER_COMMIT,
		(uintmax_t)(store_bytes(b->store) / 1000000), b->checkpoint_ms);
	compare("clock", b->wall_us, n);
	return compare("processor", b->cpu_us, n) > 1.5 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void remove_store(const char *folder)
{
	static const char *const names[] = {"commit_cost.db", "commit_cost.db.lock"};
	char path[4096];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
}

int main(int argc, char **argv)
{
	size_t n = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000) / PER_COMMIT;
	size_t event_bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 512;
	const char *folder = argc > 3 ? argv[3] : ".";
	struct store_options options = {.folder = folder};
	struct bench b = {.channel = {.publisher = "ut.ee", .audience = (char[]){"network"}, .first = 1},
		.body_len = event_bytes * PER_COMMIT,
		.time_ms = 1700000000000};
	char *why = NULL;
	int result = EXIT_FAILURE;

	if (n * PER_COMMIT < 2 * EARLY || sodium_init() < 0) {
		fprintf(stderr, "commit_cost: at least %d events\n", 2 * EARLY);
		return EXIT_FAILURE;
	}
	remove_store(folder);
	b.body = malloc(b.body_len + 1);
	b.wall_us = calloc(n, sizeof *b.wall_us);
	b.cpu_us = calloc(n, sizeof *b.cpu_us);
	if (b.body == NULL || b.wall_us == NULL || b.cpu_us == NULL)
		goto out;
	randombytes_buf(b.body, b.body_len);
	if (store_open(&b.store, "sqlite:commit_cost.db", &options, &why) != 0) {
		fprintf(stderr, "commit_cost: %s\n", why != NULL ? why : "out of memory");
		goto out;
	}
	result = run(&b, n);
out:
	store_close(b.store);
	remove_store(folder);
	free(why);
	free(b.wall_us);
	free(b.cpu_us);
	free(b.body);
	return result;
}
