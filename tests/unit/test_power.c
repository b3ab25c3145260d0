#include "faulty_vfs.h"
#include "power.h"
#include "store/store.h"
#include "store/writer.h"
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdint.h>
#include <string.h>

/* The power fails at every write and at every sync of a store at work. Each time what the disk may hold is opened again: it must be
 * sound, and hold exactly what one of the transactions left behind: the last that was acknowledged, or the one under way.
 *
 * ENLIGHT_SEED (a number), ENLIGHT_IMAGES (disks for each cut) and ENLIGHT_LIVES (times that a store goes on from such a disk)
 * make longer runs. */

enum { MAX_STATES = 1024, JOBS = 5, ROUNDS = 7, PATIENCE_MS = 60000, ALLOWED_S = 200 };

static const struct ledger_ops *const ops = &store_ledger_ops;
static uint8_t body[200000];

static uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	return z ^ z >> 31;
}

/* What a database holds, as one digest: the statements that made its tables, and every row. */

struct state {
	uint8_t digest[32];
};

static void hash_value(crypto_generichash_state *h, sqlite3_stmt *stmt, int column)
{
	int type = sqlite3_column_type(stmt, column);
	const void *data = sqlite3_column_blob(stmt, column); /* a number as text */
	int n = sqlite3_column_bytes(stmt, column);

	crypto_generichash_update(h, (const uint8_t *)&type, sizeof type);
	crypto_generichash_update(h, (const uint8_t *)&n, sizeof n);
	if (n > 0)
		crypto_generichash_update(h, data, (size_t)n);
}

static int hash_rows(crypto_generichash_state *h, sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(stmt);
		for (int i = 0; i < sqlite3_column_count(stmt) && rc == SQLITE_ROW; i++)
			hash_value(h, stmt, i);
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : rc;
}

static int hash_tables(crypto_generichash_state *h, sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db,
		"SELECT 'SELECT * FROM ' || name FROM sqlite_schema WHERE type = 'table' ORDER BY 1", -1, &stmt, NULL);
	int r = 0;

	while (rc == SQLITE_OK && r == 0 && sqlite3_step(stmt) == SQLITE_ROW)
		r = hash_rows(h, db, (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return rc != SQLITE_OK ? rc : r;
}

static int look(struct state *out, sqlite3 *db)
{
	crypto_generichash_state h;
	int r;

	crypto_generichash_init(&h, NULL, 0, sizeof out->digest);
	r = hash_rows(&h, db, "PRAGMA user_version");
	if (r == 0)
		r = hash_rows(&h, db, "SELECT name, sql FROM sqlite_schema ORDER BY 1, 2");
	if (r == 0)
		r = hash_tables(&h, db);
	crypto_generichash_final(&h, out->digest, sizeof out->digest);
	return r;
}

/* Past the faulty file system: who looks on leaves no trace in the log. */
static sqlite3 *open_beside(const char *folder)
{
	char path[160];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/node.db", folder);
	ck_assert_int_eq(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, "unix"), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return db;
}

static bool answers(sqlite3 *db, const char *sql, const char *expected)
{
	sqlite3_stmt *stmt = NULL;
	bool same = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK;
	int rc = sqlite3_step(stmt);

	if (expected == NULL)
		same = same && rc == SQLITE_DONE;
	else
		same = same && rc == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), expected) == 0;
	sqlite3_finalize(stmt);
	return same;
}

/* A store at work: jobs of every kind that a node commits. */

enum act { PUBLISH, ACCEPT, UNDO_PART, RECEIPT, DELIVER, NOTE, SET, SET_ASIDE, FILL_CACHE, N_ACTS };

struct job {
	enum act act;
	uint64_t serial;
};

struct life {
	char folder[128];
	struct store *store;
	struct writer *writer;
	uint64_t random, serial;
	struct state states[MAX_STATES]; /* after each transaction */
	size_t n_states;
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	bool open; /* the gate in front of a transaction */
	bool at_gate;
};

static struct index_key key_of(uint64_t serial, uint8_t slot)
{
	struct index_key key = {{0}};

	for (int i = 0; i < 8; i++)
		key.bytes[i] = (uint8_t)(serial >> (56 - 8 * i));
	key.bytes[8] = slot;
	return key;
}

static int find_channel(void *ledger, struct channel_row *row, const char *publisher)
{
	int r = ops->channel_find(ledger, publisher, "network", row);

	if (r != LEDGER_NONE)
		return r;
	snprintf(row->publisher, sizeof row->publisher, "%s", publisher);
	row->audience = strdup("network");
	row->incarnation = 1;
	return ops->channel_put(ledger, row);
}

static int add_events(void *ledger, uint64_t number, uint64_t serial)
{
	int r = 0;

	for (uint8_t slot = 0; slot < 3 && r == 0; slot++) {
		struct index_key key = key_of(serial, slot);
		struct object_row object = {.revision = serial, .place = {number, slot}};

		r = ops->event_add(ledger, &key, &object.place);
		if (r == 0)
			r = ops->object_put(ledger, &key, &object);
		if (r == 0)
			r = ops->person_add(ledger, &key, number);
	}
	return r;
}

static int add_batch(void *ledger, const char *publisher, uint64_t serial, size_t body_len)
{
	static const uint8_t signature[SIGNATURE_LEN] = {3};
	struct channel_row channel = {0};
	struct batch_row batch;
	int r = find_channel(ledger, &channel, publisher);

	batch = (struct batch_row){.number = ops->next_number(ledger),
		.channel = channel.id,
		.incarnation = 1,
		.first = channel.last + 1,
		.count = 3,
		.header = bytes_str("header"),
		.signature = bytes_of(signature, sizeof signature),
		.wrapped = bytes_str("wrapped"),
		.body = bytes_of(body, body_len),
		.stored_ms = serial};
	if (r == 0)
		r = add_events(ledger, batch.number, serial);
	if (r == 0)
		r = ops->batch_add(ledger, &batch);
	channel.last += 3;
	channel.bytes += body_len;
	if (r == 0)
		r = ops->channel_put(ledger, &channel);
	channel_row_deinit(&channel);
	return r;
}

static int add_receipt(void *ledger, const char *publisher, const char *reader, uint64_t serial)
{
	static const uint8_t signature[SIGNATURE_LEN] = {4};
	struct channel_row channel = {0};
	int r = find_channel(ledger, &channel, publisher);
	struct receipt_row row = {.channel = channel.id,
		.reader = reader,
		.incarnation = 1,
		.to = channel.last,
		.time_ms = serial,
		.packed = bytes_str("receipt"),
		.signature = signature};

	channel_row_deinit(&channel);
	return r == 0 ? ops->receipt_put(ledger, &row) : r;
}

static int publish(void *ledger, uint64_t serial)
{
	int r = ops->savepoint(ledger);

	if (r == 0)
		r = add_batch(ledger, "ugent.be", serial, serial * 997 % 30000);
	return r == 0 ? ops->release(ledger) : r;
}

/* What is taken in is receipted in the same transaction. */
static int take_in(void *ledger, uint64_t serial)
{
	const struct place place = {serial, 1};
	int r = add_batch(ledger, "ut.ee", serial, serial * 499 % 20000);

	if (r == 0)
		r = ops->mark_add(ledger, &place, MARK_REFUSED, "/data: a rule");
	if (r == 0)
		r = ops->uncovered_add(ledger, 1, serial);
	return r == 0 ? add_receipt(ledger, "ut.ee", "ugent.be", serial) : r;
}

static int undo_part(void *ledger, uint64_t serial)
{
	int r = ops->savepoint(ledger);

	if (r == 0)
		r = add_batch(ledger, "ugent.be", serial, 9000);
	return r == 0 ? ops->rollback(ledger) : r;
}

static int deliver(void *ledger, uint64_t serial)
{
	const struct place before = {serial - 1, 0};
	struct cursor_row cursor = {.plugin = "registrar", .place = {serial, 0}};
	struct held_row held = {.plugin = "registrar",
		.place = {serial, 0},
		.channel = 1,
		.sequence = serial,
		.source = "ut.ee",
		.topic = "course.offering",
		.state = HELD_RETRYING};
	int r = ops->cursor_put(ledger, &cursor);

	if (r == 0)
		r = ops->held_put(ledger, &held);
	if (r == 0)
		r = ops->held_remove(ledger, "registrar", &before);
	return r == LEDGER_NONE ? 0 : r;
}

static int set(void *ledger, uint64_t serial)
{
	char name[32];

	snprintf(name, sizeof name, "setting %u", (unsigned)(serial % 5));
	return ops->setting_put(ledger, name, serial % 7 == 0 ? NULL : "value");
}

static int set_aside(void *ledger)
{
	struct channel_row row = {0};
	int r = find_channel(ledger, &row, "ut.ee");

	if (r == 0 && row.last >= 3) {
		row.last -= 3;
		r = ops->set_aside(ledger, row.id, row.last, false);
		if (r == 0)
			r = ops->channel_put(ledger, &row);
	}
	channel_row_deinit(&row);
	return r;
}

/* More than the cache holds: SQLite writes a part of it before the commit. */
static int fill_cache(void *ledger, uint64_t serial)
{
	int r = 0;

	for (uint64_t i = 0; i < 12 && r == 0; i++)
		r = add_batch(ledger, "ut.ee", serial << 8 | i, sizeof body);
	return r;
}

static int do_job(void *ledger, const struct job *job)
{
	switch (job->act) {
	case PUBLISH:
		return publish(ledger, job->serial);
	case ACCEPT:
		return take_in(ledger, job->serial);
	case UNDO_PART:
		return undo_part(ledger, job->serial);
	case RECEIPT:
		return add_receipt(ledger, "ugent.be", job->serial % 2 == 0 ? "ut.ee" : "rug.nl", job->serial);
	case DELIVER:
		return deliver(ledger, job->serial);
	case NOTE:
		return ops->note_put(ledger, "card", "ut.ee", (uint32_t)job->serial, bytes_of(body, 3000));
	case SET:
		return set(ledger, job->serial);
	case SET_ASIDE:
		return set_aside(ledger);
	case FILL_CACHE:
		return fill_cache(ledger, job->serial);
	case N_ACTS:
		break;
	}
	return -1;
}

static int run(void *context, const struct ledger_ops *ledger_ops, void *ledger, void **jobs, size_t n)
{
	struct life *life = context;
	int r = 0;

	pthread_mutex_lock(&life->mutex);
	life->at_gate = true;
	pthread_cond_broadcast(&life->moved);
	while (!life->open)
		pthread_cond_wait(&life->moved, &life->mutex);
	pthread_mutex_unlock(&life->mutex);
	for (size_t i = 0; i < n && r == 0; i++)
		r = do_job(ledger, jobs[i]);
	return r;
}

static void remember(struct life *life)
{
	sqlite3 *db = open_beside(life->folder);

	power_mark();
	ck_assert_uint_lt(life->n_states, MAX_STATES);
	ck_assert_int_eq(look(&life->states[life->n_states++], db), 0);
	sqlite3_close(db);
}

/* Whoever hears this may tell the world. */
static void done(void *context, void **jobs, size_t n, int result)
{
	ck_assert_int_eq(result, 0);
	remember(context);
}

static void set_gate(struct life *life, bool open)
{
	pthread_mutex_lock(&life->mutex);
	life->open = open;
	life->at_gate = false;
	pthread_cond_broadcast(&life->moved);
	pthread_mutex_unlock(&life->mutex);
}

static void await_worker(struct life *life)
{
	pthread_mutex_lock(&life->mutex);
	while (!life->at_gate)
		pthread_cond_wait(&life->moved, &life->mutex);
	pthread_mutex_unlock(&life->mutex);
}

static void take(struct life *life, size_t n)
{
	void *jobs[JOBS];

	for (size_t got = 0; got < n;) {
		struct pollfd p = {.fd = writer_fd(life->writer), .events = POLLIN};

		ck_assert_int_eq(poll(&p, 1, PATIENCE_MS), 1);
		got += writer_take(life->writer, jobs, n - got);
	}
}

/* One transaction with the first job, one with the others, which come while it is under way. */
static void commit_round(struct life *life, enum act first)
{
	struct job jobs[JOBS];

	set_gate(life, false);
	for (size_t i = 0; i < JOBS; i++) {
		jobs[i].act = i == 0 ? first : (enum act)(draw(&life->random) % FILL_CACHE);
		jobs[i].serial = ++life->serial;
		ck_assert_int_eq(writer_put(life->writer, &jobs[i]), 0);
		if (i == 0)
			await_worker(life);
	}
	set_gate(life, true);
	take(life, JOBS);
}

static void open_life(struct life *life)
{
	struct store_options options = {.folder = life->folder};
	struct writer_options work = {
		.run = run, .done = done, .context = life, .max_jobs = JOBS, .max_queue = 2 * JOBS};
	char *why = NULL;

	ck_assert_msg(store_open(&life->store, "sqlite:node.db", &options, &why) == 0, "%s", why);
	if (life->n_states == 0)
		remember(life);
	ck_assert_int_eq(writer_open(&life->writer, life->store, &work), 0);
}

/* An idle writer moves the WAL into the database: a sync of that says so. */
static void await_checkpoint(size_t syncs)
{
	for (int i = 0; power_counts().syncs <= syncs; i++) {
		ck_assert_int_lt(i, PATIENCE_MS);
		poll(NULL, 0, 1);
	}
}

/* A store is opened, works, moves its WAL, is closed, opened again, works, and the power fails. */
static void live(struct life *life)
{
	pthread_mutex_init(&life->mutex, NULL);
	pthread_cond_init(&life->moved, NULL);
	power_record(life->folder);
	open_life(life);
	for (int i = 0; i < ROUNDS; i++) {
		commit_round(life, (enum act)(i % FILL_CACHE));
		if (i == 2)
			await_checkpoint(power_counts().syncs);
	}
	writer_close(life->writer);
	open_life(life);
	commit_round(life, FILL_CACHE);
	commit_round(life, PUBLISH);
	power_stop();
	writer_close(life->writer);
	pthread_cond_destroy(&life->moved);
	pthread_mutex_destroy(&life->mutex);
}

/* What is found on a disk. */
enum verdict { SOUND, NOT_OPENED, DAMAGED, HALF_THERE, LOST, N_VERDICTS };

static const char *const verdicts[N_VERDICTS] = {
	"sound", "cannot be opened", "is damaged", "holds half a transaction", "has lost what was acknowledged"};

static enum verdict compare(const struct life *life, size_t acknowledged, const struct state *found)
{
	size_t n_later = acknowledged + 1 < life->n_states ? acknowledged + 1 : life->n_states;

	/* n_states[0] is what opening makes, which is acknowledged first. */
	for (size_t i = acknowledged == 0 ? 0 : acknowledged - 1; i < n_later; i++)
		if (memcmp(&life->states[i], found, sizeof *found) == 0)
			return SOUND;
	for (size_t i = 0; i + 1 < acknowledged; i++)
		if (memcmp(&life->states[i], found, sizeof *found) == 0)
			return LOST;
	return HALF_THERE;
}

static enum verdict examine(const struct life *life, size_t acknowledged, const char *folder)
{
	struct store_options options = {.folder = folder};
	enum verdict verdict = DAMAGED;
	struct state found;
	struct store *s;
	char *why = NULL;
	sqlite3 *db;

	if (store_open(&s, "sqlite:node.db", &options, &why) != 0) {
		free(why);
		return NOT_OPENED;
	}
	store_close(s);
	db = open_beside(folder);
	if (answers(db, "PRAGMA integrity_check", "ok") && answers(db, "PRAGMA foreign_key_check", NULL) &&
		look(&found, db) == 0)
		verdict = compare(life, acknowledged, &found);
	sqlite3_close(db);
	return verdict;
}

struct cuts {
	enum power_lie lie;
	unsigned images;           /* examined of each cut */
	size_t stride;             /* a cut after so many entries */
	uint64_t seed;             /* goes on with each image */
	size_t counts[N_VERDICTS]; /* how often there was each */
};

static void cut(struct cuts *c, const struct life *life, const struct power_disk *d, const char *folder)
{
	for (unsigned i = 0; i < c->images; i++) {
		enum verdict verdict;

		power_disk_write(d, ++c->seed, folder);
		verdict = examine(life, power_disk_marks(d), folder);
		ck_assert_msg(c->lie != POWER_HONEST || verdict == SOUND, "image %llu, %zu acknowledged: the store %s",
			(unsigned long long)c->seed, power_disk_marks(d), verdicts[verdict]);
		c->counts[verdict]++;
	}
}

static void cut_everywhere(struct cuts *c, const struct life *life)
{
	struct power_disk *d = power_disk_new(c->lie);
	char folder[128];
	size_t at = 0;

	unit_folder(folder, sizeof folder);
	do {
		if (at++ % c->stride == 0)
			cut(c, life, d, folder);
	} while (power_disk_step(d));
	power_disk_free(d);
	unit_folder_remove(folder);
}

/* Another life goes on from what a disk may hold after a cut somewhere in this one. */
static void inherit(struct life *next, const struct life *life, uint64_t seed)
{
	struct power_disk *d = power_disk_new(POWER_HONEST);
	uint64_t random = seed;
	size_t at = power_counts().entries / 4 + (size_t)(draw(&random) % (power_counts().entries * 3 / 4));

	while (at-- > 0)
		power_disk_step(d);
	*next = (struct life){.random = draw(&random), .serial = life->serial};
	unit_folder(next->folder, sizeof next->folder);
	power_disk_write(d, seed, next->folder);
	power_disk_free(d);
}

static void end_life(struct life *life)
{
	power_forget();
	unit_folder_remove(life->folder);
	free(life);
}

static struct life *new_life(void)
{
	struct life *life = calloc(1, sizeof *life);

	ck_assert_ptr_nonnull(life);
	return life;
}

static struct life *first_life(uint64_t seed)
{
	struct life *life = new_life();

	life->random = seed;
	unit_folder(life->folder, sizeof life->folder);
	live(life);
	return life;
}

static void report(unsigned number, const struct cuts *cuts)
{
	const struct power_counts c = power_counts();

	printf("# power: life %u: %zu writes, %zu truncations, %zu syncs, %zu names, %zu transactions; cut at %zu "
	       "places, "
	       "%zu disks examined\n",
		number, c.writes, c.truncations, c.syncs, c.names, c.marks, c.entries + 1, cuts->counts[SOUND]);
	fflush(stdout);
}

/* Wherever the power fails, what was acknowledged is there, every transaction is there whole or not at all, and the store opens; so it is
 * for the store that goes on from there. */
START_TEST(test_nothing_is_lost)
{
	const uint64_t seed = setting("ENLIGHT_SEED", 20261127);
	const unsigned lives = (unsigned)setting("ENLIGHT_LIVES", 2), images = (unsigned)setting("ENLIGHT_IMAGES", 1);
	struct life *life = first_life(seed);

	for (unsigned i = 1;; i++) {
		struct cuts cuts = {.images = images, .stride = 1, .seed = seed * 1000003 * i};
		struct life *next;

		cut_everywhere(&cuts, life);
		report(i, &cuts);
		ck_assert_uint_gt(power_counts().writes, 500);
		ck_assert_uint_gt(power_counts().syncs, 20);
		if (i == lives)
			break;
		next = new_life();
		inherit(next, life, seed + i);
		end_life(life);
		life = next;
		live(life);
	}
	end_life(life);
}
END_TEST

/* The test of the test: on disks that do not sync, or do not sync names, it finds that acknowledged transactions are lost. */
START_TEST(test_lies_are_found)
{
	static const struct {
		enum power_lie lie;
		const char *name;
	} cases[] = {{POWER_IGNORES_SYNC, "syncs"}, {POWER_IGNORES_NAMES, "syncs of names"}};
	struct life *life = first_life(1);
	struct cuts cuts = {.lie = cases[_i].lie, .images = 1, .stride = 5};
	const size_t *n = cuts.counts;

	cut_everywhere(&cuts, life);
	printf("# power: %s ignored: %zu sound, %zu not opened, %zu damaged, %zu half there, %zu lost\n",
		cases[_i].name, n[SOUND], n[NOT_OPENED], n[DAMAGED], n[HALF_THERE], n[LOST]);
	fflush(stdout);
	ck_assert_uint_gt(n[LOST], 10);
	end_life(life);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("power");
	TCase *tc = tcase_create("power");
	const bool longer = getenv("ENLIGHT_LIVES") != NULL || getenv("ENLIGHT_IMAGES") != NULL;

	randombytes_buf_deterministic(body, sizeof body, (const uint8_t[randombytes_SEEDBYTES]){1});
	faulty_vfs_register();
	tcase_set_timeout(tc, longer ? 0 : ALLOWED_S);
	tcase_add_test(tc, test_nothing_is_lost);
	tcase_add_loop_test(tc, test_lies_are_found, 0, 2);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
