#include "store/reader.h"
#include "store/writer.h"
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { MAX_JOBS = 8, MAX_QUEUE = 32, BIG = 100000, PATIENCE_MS = 20000 };

/* A job: adds a batch with a body of this size (0: only a setting), or answers `fails`. */
struct work {
	unsigned number;
	size_t body_len;
	int fails;
	int result;          /* as writer_done told */
	int told;            /* how often */
	unsigned companions; /* jobs in its transaction */
	int prepared;        /* how often */
	bool early_run;      /* it was run while it was being prepared */
};

/* The worker waits at the gate before each transaction, so that a test says what is queued behind one under way. */
struct desk {
	char folder[128];
	struct store *store;
	struct writer *writer;
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	bool open;        /* the gate */
	unsigned waiting; /* times the worker came to the gate */
	unsigned prepared;
	writer_prepare prepare;
	uint64_t channel;
};

static struct desk desk;
static uint8_t body[BIG];

static void gate(struct desk *d)
{
	pthread_mutex_lock(&d->mutex);
	d->waiting++;
	pthread_cond_broadcast(&d->moved);
	while (!d->open)
		pthread_cond_wait(&d->moved, &d->mutex);
	pthread_mutex_unlock(&d->mutex);
}

static void set_gate(struct desk *d, bool open)
{
	pthread_mutex_lock(&d->mutex);
	d->open = open;
	pthread_cond_broadcast(&d->moved);
	pthread_mutex_unlock(&d->mutex);
}

static void await_worker(struct desk *d, unsigned times)
{
	pthread_mutex_lock(&d->mutex);
	while (d->waiting < times)
		pthread_cond_wait(&d->moved, &d->mutex);
	pthread_mutex_unlock(&d->mutex);
}

static int run_one(struct desk *d, const struct ledger_ops *ops, void *ledger, const struct work *work)
{
	static const uint8_t signature[SIGNATURE_LEN];
	struct batch_row row = {.number = ops->next_number(ledger),
		.channel = d->channel,
		.incarnation = 1,
		.first = work->number,
		.count = 1,
		.header = bytes_str("header"),
		.signature = bytes_of(signature, sizeof signature),
		.wrapped = bytes_str("wrapped"),
		.body = bytes_of(body, work->body_len)};
	char name[32];
	int r;

	snprintf(name, sizeof name, "%06u", work->number);
	r = ops->setting_put(ledger, name, "done");
	if (r == 0 && work->body_len != 0)
		r = ops->batch_add(ledger, &row);
	return r == 0 ? work->fails : r;
}

static int run(void *context, const struct ledger_ops *ops, void *ledger, void **jobs, size_t n)
{
	int r = 0;

	gate(context);
	for (size_t i = 0; i < n && r == 0; i++)
		r = run_one(context, ops, ledger, jobs[i]);
	return r;
}

static void done(void *context, void **jobs, size_t n, int result)
{
	for (size_t i = 0; i < n; i++) {
		struct work *work = jobs[i];

		work->result = result;
		work->told++;
		work->companions = (unsigned)n;
	}
}

static void start_with_limit(uint64_t limit)
{
	struct store_options options = {.folder = desk.folder, .disk_limit_bytes = limit};
	struct writer_options work = {.run = run,
		.prepare = desk.prepare,
		.done = done,
		.context = &desk,
		.max_jobs = MAX_JOBS,
		.max_queue = MAX_QUEUE};
	struct channel_row row = {.publisher = "ut.ee", .audience = (char[]){"network"}};
	char *why = NULL;

	ck_assert_msg(store_open(&desk.store, "sqlite:node.db", &options, &why) == 0, "%s", why);
	ck_assert_int_eq(store_begin(desk.store), 0);
	ck_assert_int_eq(store_ledger_ops.channel_put(desk.store, &row), 0);
	ck_assert_int_eq(store_commit(desk.store), 0);
	desk.channel = row.id;
	ck_assert_int_eq(writer_open(&desk.writer, desk.store, &work), 0);
}

static void start(void)
{
	memset(&desk, 0, sizeof desk);
	pthread_mutex_init(&desk.mutex, NULL);
	pthread_cond_init(&desk.moved, NULL);
	desk.open = true;
	unit_folder(desk.folder, sizeof desk.folder);
}

static void end(void)
{
	writer_close(desk.writer);
	pthread_cond_destroy(&desk.moved);
	pthread_mutex_destroy(&desk.mutex);
	unit_folder_remove(desk.folder);
}

static void await_fd(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

/* Takes exactly `n` jobs, as the loop does. */
static void take(void **jobs, size_t n)
{
	for (size_t got = 0; got < n;) {
		await_fd(writer_fd(desk.writer));
		got += writer_take(desk.writer, jobs + got, n - got);
	}
}

/* What one reads in the store from another thread: the names of all jobs whose setting is there. */
static int write_name(void *context, const char *name, const char *value)
{
	buffer_printf(context, "%u ", (unsigned)atoi(name));
	return 0;
}

static void assert_settings(const char *expected)
{
	struct store_reader *archive;
	struct buffer text = {0};

	ck_assert_int_eq(store_reader_open(&archive, desk.store), 0);
	ck_assert_int_eq(store_archive_ops.settings(archive, write_name, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), expected);
	store_reader_close(archive);
	buffer_deinit(&text);
}

/* A lone job is committed at once; jobs that come meanwhile share the next commit, at most as many as are allowed. */
START_TEST(test_load_fills_commits)
{
	struct work work[1 + MAX_JOBS + 3] = {0};
	const size_t n = sizeof work / sizeof *work;
	void *jobs[sizeof work / sizeof *work];

	start_with_limit(0);
	set_gate(&desk, false);
	for (size_t i = 0; i < n; i++) {
		work[i].number = (unsigned)i + 1;
		ck_assert_int_eq(writer_put(desk.writer, &work[i]), 0);
		if (i == 0)
			await_worker(&desk, 1);
	}
	ck_assert(!readable(writer_fd(desk.writer)));
	set_gate(&desk, true);
	take(jobs, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_ptr_eq(jobs[i], &work[i]);
		ck_assert_int_eq(work[i].told, 1);
		ck_assert_int_eq(work[i].result, 0);
		ck_assert_uint_eq(work[i].companions, i == 0 ? 1 : i <= MAX_JOBS ? MAX_JOBS : 3);
	}
	ck_assert(!readable(writer_fd(desk.writer)));
	assert_settings("1 2 3 4 5 6 7 8 9 10 11 12 ");
}
END_TEST

static void prepare(void *context, void *job)
{
	struct desk *d = context;
	struct work *work = job;

	poll(NULL, 0, 2); /* long enough for a worker that does not wait to be seen */
	pthread_mutex_lock(&d->mutex);
	work->prepared++;
	work->early_run = work->companions != 0;
	d->prepared++;
	pthread_cond_broadcast(&d->moved);
	pthread_mutex_unlock(&d->mutex);
}

/* While a transaction is under way, the first jobs behind it are prepared, once, and none is run while it is being prepared. */
START_TEST(test_preparing_ahead)
{
	enum { AHEAD = 8, N = MAX_QUEUE };
	struct work work[N] = {0};
	void *jobs[N];

	desk.prepare = prepare;
	start_with_limit(0);
	set_gate(&desk, false);
	for (unsigned i = 0; i < N; i++) {
		work[i].number = i + 1;
		ck_assert_int_eq(writer_put(desk.writer, &work[i]), 0);
		if (i == 0)
			await_worker(&desk, 1);
	}
	pthread_mutex_lock(&desk.mutex);
	while (desk.prepared < AHEAD)
		pthread_cond_wait(&desk.moved, &desk.mutex);
	pthread_mutex_unlock(&desk.mutex);
	for (unsigned i = 0; i < N; i++)
		ck_assert_int_eq(work[i].prepared, i >= 1 && i <= AHEAD);
	set_gate(&desk, true);
	take(jobs, N);
	for (unsigned i = 0; i < N; i++) {
		ck_assert_ptr_eq(jobs[i], &work[i]);
		ck_assert_int_eq(work[i].told, 1);
		ck_assert_int_le(work[i].prepared, 1);
		ck_assert(!work[i].early_run);
	}
}
END_TEST

/* The bound holds for everything that was not taken back, and a job taken back makes room for one. */
START_TEST(test_queue_is_bounded)
{
	struct work work[MAX_QUEUE + 1] = {0};
	void *jobs[MAX_QUEUE];

	start_with_limit(0);
	for (unsigned i = 0; i < MAX_QUEUE; i++) {
		work[i].number = i + 1;
		ck_assert_int_eq(writer_put(desk.writer, &work[i]), 0);
	}
	ck_assert_int_eq(writer_put(desk.writer, &work[MAX_QUEUE]), WRITER_BUSY);
	take(jobs, 1);
	ck_assert_int_eq(writer_put(desk.writer, &work[MAX_QUEUE]), 0);
	take(jobs, MAX_QUEUE);
	ck_assert_ptr_eq(jobs[MAX_QUEUE - 1], &work[MAX_QUEUE]);
}
END_TEST

/* When the disk is full, what is large is refused and what is small passes, though they were queued together. */
START_TEST(test_small_jobs_pass_a_full_disk)
{
	struct work work[] = {{.number = 1}, {.number = 2, .body_len = BIG}, {.number = 3},
		{.number = 4, .body_len = BIG}, {.number = 5}};
	const size_t n = sizeof work / sizeof *work;
	void *jobs[sizeof work / sizeof *work];

	start_with_limit(600000);
	set_gate(&desk, false);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(writer_put(desk.writer, &work[i]), 0);
		if (i == 0)
			await_worker(&desk, 1);
	}
	set_gate(&desk, true);
	take(jobs, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_ptr_eq(jobs[i], &work[i]);
		ck_assert_int_eq(work[i].told, 1);
		ck_assert_int_eq(work[i].result, work[i].number == 4 ? LEDGER_FULL : 0);
	}
	assert_settings("1 2 3 5 ");
}
END_TEST

/* A job that fails is told why; its companions are done. */
START_TEST(test_a_failing_job_is_alone)
{
	struct work work[] = {{.number = 1}, {.number = 2}, {.number = 3, .fails = -EINVAL}, {.number = 4}};
	const size_t n = sizeof work / sizeof *work;
	void *jobs[sizeof work / sizeof *work];

	start_with_limit(0);
	set_gate(&desk, false);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(writer_put(desk.writer, &work[i]), 0);
		if (i == 0)
			await_worker(&desk, 1);
	}
	set_gate(&desk, true);
	take(jobs, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(work[i].told, 1);
		ck_assert_int_eq(work[i].result, work[i].fails);
	}
	assert_settings("1 2 4 ");
}
END_TEST

/* Draining does all that was put, takes nothing more, and leaves what is done to be taken. */
START_TEST(test_draining)
{
	struct work work[20] = {0}, late = {.number = 99};
	void *jobs[20];

	start_with_limit(0);
	for (unsigned i = 0; i < 20; i++) {
		work[i].number = i + 1;
		ck_assert_int_eq(writer_put(desk.writer, &work[i]), 0);
	}
	writer_drain(desk.writer);
	ck_assert_int_eq(writer_put(desk.writer, &late), WRITER_BUSY);
	ck_assert_uint_eq(writer_take(desk.writer, jobs, 20), 20);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(work[i].told, 1);
	ck_assert_uint_eq(writer_take(desk.writer, jobs, 20), 0);
}
END_TEST

/* Jobs are committed while a copy of the store is made, and the worker sleeps again when it is ready. */
START_TEST(test_copying_beside_committing)
{
	struct work work[200] = {0};
	struct backup *b, *second;
	struct backup_view v;
	unsigned n = 0;
	void *job;

	start_with_limit(0);
	ck_assert_int_eq(backup_new(&b, desk.folder, 0), 0);
	ck_assert_int_eq(backup_new(&second, desk.folder, 0), 0);
	set_gate(&desk, false);
	ck_assert_int_eq(writer_put(desk.writer, &work[0]), 0);
	await_worker(&desk, 1);
	ck_assert_int_eq(writer_backup(desk.writer, b), 0);
	ck_assert_int_eq(writer_backup(desk.writer, second), WRITER_BUSY);
	set_gate(&desk, true);
	take(&job, 1);
	do {
		if (++n < 200) {
			work[n] = (struct work){.number = n, .body_len = BIG};
			ck_assert_int_eq(writer_put(desk.writer, &work[n]), 0);
			take(&job, 1);
			ck_assert_int_eq(work[n].result, 0);
		}
		backup_look(b, &v);
	} while (v.state == BACKUP_UNDER_WAY);
	ck_assert_int_eq(v.state, BACKUP_READY);
	ck_assert_uint_gt(v.bytes, 0);
	backup_free(b);
	backup_free(second);
}
END_TEST

/* A copy that is under way when the worker is drained has failed, and none is begun afterwards. */
START_TEST(test_draining_gives_up_a_copy)
{
	struct work work = {.number = 1};
	struct backup_view v;
	struct backup *b;

	start_with_limit(0);
	ck_assert_int_eq(backup_new(&b, desk.folder, UINT64_C(1) << 60), 0);
	backup_give_up(b); /* so that it cannot be ready before */
	set_gate(&desk, false);
	ck_assert_int_eq(writer_put(desk.writer, &work), 0);
	await_worker(&desk, 1);
	ck_assert_int_eq(writer_backup(desk.writer, b), 0);
	set_gate(&desk, true);
	writer_drain(desk.writer);
	backup_look(b, &v);
	ck_assert_int_eq(v.state, BACKUP_FAILED);
	ck_assert_int_eq(v.error, -ECANCELED);
	ck_assert_int_eq(writer_backup(desk.writer, b), WRITER_BUSY);
	backup_free(b);
}
END_TEST

/* When it has been quiet for a while, the WAL is in the database. */
START_TEST(test_quiet_writer_checkpoints)
{
	struct work work = {.number = 1, .body_len = BIG};
	uint64_t before;
	struct stat st;
	char path[160];
	void *job;

	snprintf(path, sizeof path, "%s/node.db", desk.folder);
	start_with_limit(0);
	ck_assert_int_eq(stat(path, &st), 0);
	before = (uint64_t)st.st_size;
	ck_assert_int_eq(writer_put(desk.writer, &work), 0);
	take(&job, 1);
	for (int ms = 0; ms < PATIENCE_MS && stat(path, &st) == 0 && (uint64_t)st.st_size < before + BIG / 2; ms++)
		poll(NULL, 0, 1);
	ck_assert_uint_ge((uint64_t)st.st_size, before + BIG / 2);
}
END_TEST

/* A query: asks for a batch's size. */
struct question {
	uint64_t number;
	size_t body_len;
	int result;
};

static int note_size(void *context, const struct batch_row *row)
{
	*(size_t *)context = row->body.len;
	return 0;
}

static void answer(void *context, const struct archive_ops *ops, void *archive, void *job)
{
	struct question *q = job;

	q->result = ops->batch(archive, q->number, note_size, &q->body_len);
}

/* Queries are answered in order, from what was committed, while commits go on. */
START_TEST(test_reading_beside_writing)
{
	enum { N = 200 };
	struct reader_options options = {.run = answer, .max_queue = MAX_QUEUE};
	static struct work work[N];
	static struct question questions[N];
	struct store_reader *archive;
	struct reader *reader;
	size_t n_put = 0, n_asked = 0, n_answered = 0, n;
	void *jobs[MAX_QUEUE];

	start_with_limit(0);
	ck_assert_int_eq(store_reader_open(&archive, desk.store), 0);
	ck_assert_int_eq(reader_open(&reader, archive, &options), 0);
	while (n_answered < N) {
		struct pollfd p[] = {
			{.fd = writer_fd(desk.writer), .events = POLLIN}, {.fd = reader_fd(reader), .events = POLLIN}};

		for (; n_put < N; n_put++) {
			work[n_put] = (struct work){.number = (unsigned)n_put + 1, .body_len = n_put + 1};
			if (writer_put(desk.writer, &work[n_put]) != 0)
				break;
		}
		ck_assert_int_gt(poll(p, 2, PATIENCE_MS), 0);
		n = writer_take(desk.writer, jobs, MAX_QUEUE - (n_asked - n_answered));
		for (size_t i = 0; i < n; i++, n_asked++) { /* durable: a query must see it */
			questions[n_asked].number = ((struct work *)jobs[i])->number;
			ck_assert_int_eq(reader_put(reader, &questions[n_asked]), 0);
		}
		n = reader_take(reader, jobs, MAX_QUEUE);
		for (size_t i = 0; i < n; i++, n_answered++) {
			ck_assert_ptr_eq(jobs[i], &questions[n_answered]);
			ck_assert_int_eq(questions[n_answered].result, 0);
			ck_assert_uint_eq(questions[n_answered].body_len, n_answered + 1);
		}
	}
	reader_close(reader);
}
END_TEST

/* A reader's queue is bounded, too. */
START_TEST(test_reader_is_bounded)
{
	struct reader_options options = {.run = answer, .max_queue = 4};
	struct question questions[5] = {0};
	struct store_reader *archive;
	struct reader *reader;
	void *jobs[5];

	start_with_limit(0);
	ck_assert_int_eq(store_reader_open(&archive, desk.store), 0);
	ck_assert_int_eq(reader_open(&reader, archive, &options), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(reader_put(reader, &questions[i]), 0);
	ck_assert_int_eq(reader_put(reader, &questions[4]), READER_BUSY);
	reader_drain(reader);
	ck_assert_uint_eq(reader_take(reader, jobs, 5), 4);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(questions[i].result, LEDGER_NONE);
	reader_close(reader);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("writer");
	TCase *tc = tcase_create("writer");

	tcase_add_checked_fixture(tc, start, end);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_load_fills_commits);
	tcase_add_test(tc, test_preparing_ahead);
	tcase_add_test(tc, test_queue_is_bounded);
	tcase_add_test(tc, test_small_jobs_pass_a_full_disk);
	tcase_add_test(tc, test_a_failing_job_is_alone);
	tcase_add_test(tc, test_draining);
	tcase_add_test(tc, test_copying_beside_committing);
	tcase_add_test(tc, test_draining_gives_up_a_copy);
	tcase_add_test(tc, test_quiet_writer_checkpoints);
	tcase_add_test(tc, test_reading_beside_writing);
	tcase_add_test(tc, test_reader_is_bounded);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
