#include "commit_world.h"
#include "core/query.h"

/* What plugins are given, out of a publisher's own ledger: batch 1 has five courses, batch 2 a nomination, batch 3 an erasure of the first
 * and third course, batch 4 a course to the network. */

enum { COURSES = 5 };

static struct world w;

static void publish(struct draft *drafts, size_t n)
{
	struct job *job = world_publish_job(&w, drafts, n);
	struct commit_changes *changes;

	ck_assert_int_eq(world_run(&w, w.publishing, w.publisher, job, &changes), 0);
	ck_assert_int_eq(job->publish.outcome, PUBLISH_OK);
	commit_changes_free(changes);
	job_free(job);
}

static void start(void)
{
	static const char *const ids[] = {"c1", "c2", "c3", "c4", "c5"};
	struct draft drafts[COURSES], one;

	world_init(&w);
	for (size_t i = 0; i < COURSES; i++)
		drafts[i] = world_course(ids[i], READER, ids[i], ids[i]);
	publish(drafts, COURSES);
	one = world_draft(PUBLISHER, "mobility.nomination", "mobility/m1", READER, "n1",
		"{\"mobilityId\": \"m1\", \"sending\": {\"heiId\": \"" PUBLISHER
		"\"}, \"receiving\": {\"heiId\": \"" READER "\"}}");
	publish(&one, 1);
	one = world_draft(PUBLISHER, "person.erasure", "person/e1", READER, "e1",
		"{\"erasureId\": \"e1\", \"sequences\": [\"3\", \"1\", \"99\"], \"person\": \"ut.ee:b41887\"}");
	publish(&one, 1);
	one = world_course("c6", "network", "c6", "c6");
	publish(&one, 1);
}

static void end(void)
{
	world_deinit(&w);
}

static struct deliveries_query query(const char *allowed, const char *wanted)
{
	struct deliveries_query q = {.own = true, .max_events = 100, .max_bytes = 1 << 20, .n_allowed = 1};
	char *texts[] = {(char *)allowed, (char *)wanted};

	strcpy(q.member, PUBLISHER);
	q.allowed = texts_dup(texts, 1, 0);
	q.wanted = texts_dup(texts + 1, wanted != NULL, 0);
	q.n_wanted = wanted != NULL;
	return q;
}

static void run(struct deliveries_query *q)
{
	ck_assert_int_eq(deliveries_run(&w.store_keys, &memory_archive_ops, w.publisher, q), 0);
}

/* Places as "1.0 1.1 2.0", for comparing at a glance. */
static const char *places(const struct deliveries_query *q)
{
	static char text[512];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < q->n_events; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%d.%d", i == 0 ? "" : " ",
			(int)q->events[i].place.number, (int)q->events[i].place.index);
	return text;
}

static const struct {
	const char *allowed, *wanted, *places;
} filters[] = {
	{"*", NULL, "1.0 1.1 1.2 1.3 1.4 2.0 3.0 4.0"},
	{"course.*", NULL, "1.0 1.1 1.2 1.3 1.4 3.0 4.0"}, /* an erasure is everybody's */
	{"mobility.*", NULL, "2.0 3.0"},
	{"*", "mobility.nomination", "2.0 3.0"},
	{"course.*", "mobility.*", "3.0"},
};

/* Topics must be allowed and wanted; what is looked at and not given moves the place all the same. */
START_TEST(test_filters)
{
	struct deliveries_query q = query(filters[_i].allowed, filters[_i].wanted);

	run(&q);
	ck_assert_str_eq(places(&q), filters[_i].places);
	ck_assert(!q.more);
	ck_assert_uint_eq(q.next.number, 4);
	deliveries_deinit(&q);
}
END_TEST

/* A node's own events are given only to who asks for them. */
START_TEST(test_own)
{
	struct deliveries_query q = query("*", NULL);

	q.own = false;
	run(&q);
	ck_assert_uint_eq(q.n_events, 0);
	ck_assert_uint_eq(q.next.number, 4);
	deliveries_deinit(&q);
}
END_TEST

/* Pages of any size give every event once, in order: by number of events, or by bytes. */
START_TEST(test_pages)
{
	struct place after = {0};
	size_t n = 0, most = _i < 8 ? (size_t)_i + 1 : 100;
	bool more = true;

	while (more) {
		struct deliveries_query q = query("*", NULL);

		q.after = after;
		q.max_events = most;
		q.max_bytes = _i < 8 ? 1 << 20 : 1; /* one event is always given */
		run(&q);
		ck_assert_uint_le(q.n_events, _i < 8 ? most : 1);
		n += q.n_events;
		more = q.more;
		after = q.next;
		deliveries_deinit(&q);
	}
	ck_assert_uint_eq(n, 8);
}
END_TEST

/* Chosen places are given whatever their topics; one that is gone is left out. */
START_TEST(test_places)
{
	struct deliveries_query q = query("mobility.*", NULL);
	const struct place chosen[] = {{1, 4}, {9, 0}, {1, 1}, {4, 7}};

	q.places = bytes_dup(bytes_of(chosen, sizeof chosen));
	q.n_places = 4;
	run(&q);
	ck_assert_str_eq(places(&q), "1.4 1.1");
	ck_assert_uint_eq(q.n_places, 4);
	deliveries_deinit(&q);
}
END_TEST

/* What an event is delivered with: channel, sequence, topic, lane, and the leaf digest of its bytes. */
START_TEST(test_what_is_given)
{
	struct deliveries_query q = query("*", NULL);
	struct digest leaf;

	run(&q);
	ck_assert_str_eq(q.events[5].source, PUBLISHER);
	ck_assert_str_eq(q.events[5].audience, READER);
	ck_assert_str_eq(q.events[5].topic, "mobility.nomination");
	ck_assert_uint_eq(q.events[5].sequence, 6);
	ck_assert_uint_eq(q.events[5].incarnation, 1);
	ck_assert(q.events[5].channel == q.events[0].channel && q.events[5].channel != q.events[7].channel);
	ck_assert_mem_ne(q.events[0].lane.bytes, q.events[1].lane.bytes, sizeof q.events[0].lane.bytes);
	digest_leaf(&leaf, q.events[5].packed);
	ck_assert(digest_equal(&leaf, &q.events[5].leaf));
	ck_assert_uint_eq(q.events[5].stored_ms, NOW_MS);
	deliveries_deinit(&q);
}
END_TEST

static const struct {
	const char *allowed, *wanted;
	size_t n_ids;
	bool person;
} erasures[] = {
	{"course.*", NULL, 2, true},
	{"*", "mobility.*", 2, true}, /* what it wants now says nothing of what it was given before */
	{"mobility.*", NULL, 0, false},
	{"person.*", NULL, 0, true},
};

/* An erasure comes with all sequences that it lists; with ids and subjects of those whose topics the plugin may read; with the person when
 * there are such, or when it may read erasures. The places are for the node, whatever the topics. */
START_TEST(test_erasure)
{
	struct deliveries_query q = query(erasures[_i].allowed, erasures[_i].wanted);
	const struct place chosen[] = {{3, 0}};
	const struct erased *e;

	q.places = bytes_dup(bytes_of(chosen, sizeof chosen));
	q.n_places = 1;
	run(&q);
	e = q.events[0].erased;
	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(e->n_sequences, 3);
	ck_assert(e->sequences[0] == 1 && e->sequences[1] == 3 && e->sequences[2] == 99);
	ck_assert_uint_eq(e->n_places, 2);
	ck_assert(e->places[1].number == 1 && e->places[1].index == 2);
	ck_assert_uint_eq(e->n_ids, erasures[_i].n_ids);
	if (e->n_ids > 0) {
		ck_assert_str_eq(e->ids[0], "c1");
		ck_assert_str_eq(e->ids[1], "c3");
		ck_assert_str_eq(e->subjects[1], "course/c3");
	}
	ck_assert_pstr_eq(e->person, erasures[_i].person ? "ut.ee:b41887" : NULL);
	deliveries_deinit(&q);
}
END_TEST

/* ---- an archive that counts what is read, and whose batch `broken` the disk changed ---- */

struct watched {
	struct memory_ledger *ledger;
	unsigned visits;
	uint64_t broken;
};

struct walk {
	struct watched *archive;
	batch_visit visit;
	void *context;
};

static int visit_watched(void *context, const struct batch_row *row)
{
	const struct walk *walk = context;
	struct batch_row changed = *row;

	walk->archive->visits++;
	if (row->number == walk->archive->broken)
		changed.body.len--;
	return walk->visit(walk->context, &changed);
}

static int watched_batches(void *archive, uint64_t from, batch_visit visit, void *context)
{
	struct walk walk = {archive, visit, context};

	return memory_archive_ops.batches(walk.archive->ledger, from, visit_watched, &walk);
}

static int watched_channel(void *archive, uint64_t channel, uint64_t after, batch_visit visit, void *context)
{
	struct walk walk = {archive, visit, context};

	return memory_archive_ops.channel_batches(walk.archive->ledger, channel, after, visit_watched, &walk);
}

static int watched_batch(void *archive, uint64_t number, batch_visit visit, void *context)
{
	struct walk walk = {archive, visit, context};

	return memory_archive_ops.batch(walk.archive->ledger, number, visit_watched, &walk);
}

static int watched_marks(void *archive, uint64_t number, mark_visit visit, void *context)
{
	return memory_archive_ops.marks(((struct watched *)archive)->ledger, number, visit, context);
}

static const struct archive_ops watched_ops = {
	.batches = watched_batches,
	.channel_batches = watched_channel,
	.batch = watched_batch,
	.marks = watched_marks,
};

static void run_watched(struct watched *watched, struct deliveries_query *q)
{
	watched->visits = 0;
	ck_assert_int_eq(deliveries_run(&w.store_keys, &watched_ops, watched, q), 0);
}

enum { LONG = 150 };

/* One course in each of many batches, then an erasure that lists every second of them, and one that is not there. Its place. */
static struct place publish_long(void)
{
	json_t *sequences = json_array(), *data;
	struct draft one;
	char *text, id[16];

	for (unsigned i = 0; i < LONG; i++) {
		snprintf(id, sizeof id, "long%u", i);
		one = world_course(id, OTHER, id, id);
		publish(&one, 1);
	}
	for (unsigned i = 0; i < LONG; i += 2)
		json_array_append_new(sequences, json_sprintf("%u", i + 1));
	json_array_append_new(sequences, json_string("9999"));
	data = json_pack("{s:s, s:o}", "erasureId", "e2", "sequences", sequences);
	text = json_dumps(data, 0);
	one = world_draft(PUBLISHER, "person.erasure", "person/e2", OTHER, "e2", text);
	publish(&one, 1);
	json_decref(data);
	free(text);
	return (struct place){4 + LONG + 1, 0};
}

/* Looking up what a long erasure lists takes several rounds, each of which reads few batches and only such as are listed; then it is given
 * whole, by page or by place. */
START_TEST(test_long_erasure)
{
	struct watched archive = {.ledger = w.publisher};
	const struct place place = publish_long();
	struct delivered unfinished = {0};
	unsigned rounds = 0, visits = 0;
	bool given = false;

	while (!given) {
		struct deliveries_query q = query("course.*", NULL);

		if (_i == 0)
			q.after = (struct place){place.number - 1, 0};
		else
			q.places = bytes_dup(bytes_of(&place, sizeof place));
		q.n_places = _i;
		q.unfinished = unfinished;
		run_watched(&archive, &q);
		ck_assert_uint_le(archive.visits, QUERY_SCAN_BATCHES + 1);
		visits += archive.visits;
		given = q.n_events > 0;
		if (given) {
			ck_assert_uint_eq(q.n_places, _i);
			ck_assert(_i > 0 || q.next.number == place.number);
			ck_assert_uint_eq(q.events[0].place.number, place.number);
			ck_assert_uint_eq(q.events[0].erased->n_ids, LONG / 2);
			ck_assert_str_eq(q.events[0].erased->ids[LONG / 2 - 1], "long148");
		} else {
			ck_assert(q.more && q.n_places == 0 && q.next.number < place.number);
		}
		unfinished = q.unfinished;
		q.unfinished = (struct delivered){0};
		ck_assert(given == (unfinished.erased == NULL));
		deliveries_deinit(&q);
		rounds++;
	}
	ck_assert_uint_eq(rounds, 2);
	ck_assert_uint_le(visits, LONG / 2 + 3);
}
END_TEST

/* Places of one batch are read by opening it once. */
START_TEST(test_places_of_one_batch)
{
	struct watched archive = {.ledger = w.publisher};
	struct deliveries_query q = query("*", NULL);
	const struct place chosen[] = {{1, 0}, {1, 1}, {1, 2}, {1, 4}, {2, 0}};

	q.places = bytes_dup(bytes_of(chosen, sizeof chosen));
	q.n_places = 5;
	run_watched(&archive, &q);
	ck_assert_str_eq(places(&q), "1.0 1.1 1.2 1.4 2.0");
	ck_assert_uint_eq(archive.visits, 2);
	deliveries_deinit(&q);
}
END_TEST

/* Of many places those in few batches are looked at in one round, the others in the next. */
START_TEST(test_places_of_many_batches)
{
	struct watched archive = {.ledger = w.publisher};
	struct deliveries_query q = query("*", NULL);

	publish_long();
	q.max_events = LONG;
	q.places = calloc(LONG, sizeof *q.places);
	for (q.n_places = 0; q.n_places < LONG; q.n_places++)
		q.places[q.n_places] = (struct place){5 + q.n_places, 0};
	run_watched(&archive, &q);
	ck_assert_uint_eq(q.n_places, QUERY_SCAN_BATCHES);
	ck_assert_uint_eq(q.n_events, QUERY_SCAN_BATCHES);
	ck_assert(q.more);
	deliveries_deinit(&q);
}
END_TEST

/* A batch that the disk changed hinders none of the other places: its own are given as unreadable. */
START_TEST(test_unreadable)
{
	struct watched archive = {.ledger = w.publisher, .broken = 1};
	struct deliveries_query q = query("*", NULL);
	const struct place chosen[] = {{1, 0}, {1, 3}, {2, 0}, {3, 0}};

	q.places = bytes_dup(bytes_of(chosen, sizeof chosen));
	q.n_places = 4;
	run_watched(&archive, &q);
	ck_assert_str_eq(places(&q), "1.0 1.3 2.0 3.0");
	ck_assert(q.events[0].unreadable && q.events[1].unreadable && !q.events[2].unreadable);
	ck_assert_uint_eq(q.events[3].erased->n_sequences, 3); /* what it lists there is told by its sequence */
	ck_assert_uint_eq(q.events[3].erased->n_ids, 0);
	deliveries_deinit(&q);
}
END_TEST

/* A page ends before a batch that the disk changed; the next one, which would begin with it, says which batch it is. */
START_TEST(test_unreadable_page)
{
	struct watched archive = {.ledger = w.publisher, .broken = 2};
	struct deliveries_query q = query("*", NULL), next = query("*", NULL);

	run_watched(&archive, &q);
	ck_assert_uint_gt(q.n_events, 0);
	ck_assert(q.more);
	ck_assert_uint_eq(q.next.number, 1);
	next.after = q.next;
	ck_assert_int_eq(deliveries_run(&w.store_keys, &watched_ops, &archive, &next), -EBADMSG);
	ck_assert_uint_eq(next.unreadable, 2);
	deliveries_deinit(&q);
	deliveries_deinit(&next);
}
END_TEST

/* What this node marked as refused is never given; what it marked as stale says so. */
START_TEST(test_marks)
{
	struct deliveries_query q = query("course.*", NULL);

	memory_ledger_begin(w.publisher);
	ck_assert_int_eq(memory_ledger_ops.mark_add(w.publisher, &(struct place){1, 1}, MARK_REFUSED, "a rule"), 0);
	ck_assert_int_eq(memory_ledger_ops.mark_add(w.publisher, &(struct place){1, 1}, MARK_STALE, "old"), 0);
	ck_assert_int_eq(memory_ledger_ops.mark_add(w.publisher, &(struct place){1, 3}, MARK_STALE, "old"), 0);
	memory_ledger_commit(w.publisher);
	run(&q);
	ck_assert_str_eq(places(&q), "1.0 1.2 1.3 1.4 3.0 4.0");
	ck_assert(!q.events[1].stale && q.events[2].stale);
	deliveries_deinit(&q);
}
END_TEST

/* A channel that went back: what was set aside is given no more, neither by page nor by place. */
START_TEST(test_set_aside)
{
	struct deliveries_query q = query("*", NULL), chosen = query("*", NULL);
	const struct place gone = {2, 0};

	run(&q);
	memory_ledger_begin(w.publisher);
	ck_assert_int_eq(memory_ledger_ops.set_aside(w.publisher, q.events[0].channel, 5, false), 0);
	memory_ledger_commit(w.publisher);
	deliveries_deinit(&q);
	q = query("*", NULL);
	run(&q);
	ck_assert_str_eq(places(&q), "1.0 1.1 1.2 1.3 1.4 4.0");
	deliveries_deinit(&q);
	chosen.places = bytes_dup(bytes_of(&gone, sizeof gone));
	chosen.n_places = 1;
	run(&chosen);
	ck_assert_uint_eq(chosen.n_events, 0);
	deliveries_deinit(&chosen);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("deliveries");
	TCase *tc = tcase_create("deliveries");

	tcase_add_checked_fixture(tc, start, end);
	tcase_add_loop_test(tc, test_filters, 0, sizeof filters / sizeof *filters);
	tcase_add_test(tc, test_own);
	tcase_add_loop_test(tc, test_pages, 0, 9);
	tcase_add_test(tc, test_places);
	tcase_add_test(tc, test_what_is_given);
	tcase_add_loop_test(tc, test_erasure, 0, sizeof erasures / sizeof *erasures);
	tcase_add_loop_test(tc, test_long_erasure, 0, 2);
	tcase_add_test(tc, test_places_of_one_batch);
	tcase_add_test(tc, test_places_of_many_batches);
	tcase_add_test(tc, test_unreadable);
	tcase_add_test(tc, test_unreadable_page);
	tcase_add_test(tc, test_marks);
	tcase_add_test(tc, test_set_aside);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
