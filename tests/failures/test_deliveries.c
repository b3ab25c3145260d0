/* Every call of memory, of the system, of ODBC and of SQLite's own that `enlight-sql` makes fails once while a node gives it events: it answers each
 * as done or to be tried again, or ends with a status of <sysexits.h>; what it answered as done is in the tables then, and when the
 * node has given it the rest again, they are as if nothing had failed.
 *
 * The node is this test: its frames lie in a file, and the answers go to another. Of the calls in one place two fail (ENLIGHT_EACH: as
 * many). */
#include "core/event.h"
#include "core/wire.h"
#include "frame.h"
#include "walk.h"

#include "enlight/plugin/v1/plugin.pb-c.h"
#include <fcntl.h>
#include <glob.h>
#include <sql.h>
#include <sqlext.h>
#include <sqlite3.h>

int plugin_main(int argc, char **argv);

/* ---- ODBC ---- */

#define FAILING(name, params, args)                                                                                    \
	SQLRETURN __real_##name params;                                                                                \
	SQLRETURN __wrap_##name params;                                                                                \
	SQLRETURN __wrap_##name params                                                                                 \
	{                                                                                                              \
		return faults_strike(FAULT_CALL, #name) ? SQL_ERROR : __real_##name args;                              \
	}

FAILING(SQLAllocHandle, (SQLSMALLINT type, SQLHANDLE of, SQLHANDLE *out), (type, of, out))
FAILING(SQLDriverConnect,
	(SQLHDBC h, SQLHWND w, SQLCHAR *in, SQLSMALLINT n, SQLCHAR *out, SQLSMALLINT size, SQLSMALLINT *len,
		SQLUSMALLINT how),
	(h, w, in, n, out, size, len, how))
FAILING(SQLSetConnectAttr, (SQLHDBC h, SQLINTEGER what, SQLPOINTER value, SQLINTEGER len), (h, what, value, len))
FAILING(SQLGetInfo, (SQLHDBC h, SQLUSMALLINT what, SQLPOINTER out, SQLSMALLINT size, SQLSMALLINT *len),
	(h, what, out, size, len))
FAILING(SQLExecDirect, (SQLHSTMT h, SQLCHAR *sql, SQLINTEGER len), (h, sql, len))
FAILING(SQLPrepare, (SQLHSTMT h, SQLCHAR *sql, SQLINTEGER len), (h, sql, len))
FAILING(SQLBindParameter,
	(SQLHSTMT h, SQLUSMALLINT at, SQLSMALLINT in, SQLSMALLINT from, SQLSMALLINT to, SQLULEN size,
		SQLSMALLINT digits, SQLPOINTER value, SQLLEN n, SQLLEN *len),
	(h, at, in, from, to, size, digits, value, n, len))
FAILING(SQLExecute, (SQLHSTMT h), (h))
FAILING(SQLRowCount, (SQLHSTMT h, SQLLEN *out), (h, out))
FAILING(SQLFetch, (SQLHSTMT h), (h))
FAILING(SQLGetData, (SQLHSTMT h, SQLUSMALLINT at, SQLSMALLINT to, SQLPOINTER out, SQLLEN size, SQLLEN *len),
	(h, at, to, out, size, len))
FAILING(SQLColumns,
	(SQLHSTMT h, SQLCHAR *a, SQLSMALLINT an, SQLCHAR *b, SQLSMALLINT bn, SQLCHAR *c, SQLSMALLINT cn, SQLCHAR *d,
		SQLSMALLINT dn),
	(h, a, an, b, bn, c, cn, d, dn))
FAILING(SQLStatistics,
	(SQLHSTMT h, SQLCHAR *a, SQLSMALLINT an, SQLCHAR *b, SQLSMALLINT bn, SQLCHAR *c, SQLSMALLINT cn, SQLUSMALLINT x,
		SQLUSMALLINT y),
	(h, a, an, b, bn, c, cn, x, y))

/* The end of a transaction may fail, and so may the news that it did not. */
SQLRETURN __real_SQLEndTran(SQLSMALLINT type, SQLHANDLE h, SQLSMALLINT how);
SQLRETURN __wrap_SQLEndTran(SQLSMALLINT type, SQLHANDLE h, SQLSMALLINT how);
SQLRETURN __wrap_SQLEndTran(SQLSMALLINT type, SQLHANDLE h, SQLSMALLINT how)
{
	SQLRETURN r;

	if (faults_strike(FAULT_CALL, "SQLEndTran"))
		return SQL_ERROR;
	r = __real_SQLEndTran(type, h, how);
	return faults_strike(FAULT_CALL, "SQLEndTran's answer") ? SQL_ERROR : r;
}

/* ---- the database ---- */

static const char tables[] =
	"CREATE TABLE course (university TEXT, id TEXT, revision INTEGER, title TEXT, PRIMARY KEY (university, id));"
	"CREATE TABLE run (university TEXT, id TEXT, run TEXT, position INTEGER, PRIMARY KEY (university, id, run));"
	"CREATE TABLE student (university TEXT, id TEXT, revision INTEGER, family TEXT, esi TEXT, gone TEXT, PRIMARY "
	"KEY "
	"(university, id));";

static const char mapping[] = "tables:\n"
			      "  - topic: course.offering\n"
			      "    table: course\n"
			      "    key: {university: source, id: data.courseId}\n"
			      "    revision: revision\n"
			      "    columns: {title: 'data.title[0].value'}\n"
			      "    rows:\n"
			      "      - table: run\n"
			      "        each: data.runs\n"
			      "        key: {run: runId}\n"
			      "        columns: {position: .number}\n"
			      "  - topic: mobility.nomination\n"
			      "    table: student\n"
			      "    key: {university: source, id: data.mobilityId}\n"
			      "    revision: revision\n"
			      "    columns: {family: 'data.student.names[0].family', esi: data.student.esi}\n"
			      "    withdrawn: gone\n"
			      "    erased: delete\n";

static const char *const dumps[] = {
	"SELECT university, id, revision, title FROM course ORDER BY 1, 2",
	"SELECT university, id, run, position FROM run ORDER BY 1, 2, 3",
	"SELECT university, id, revision, family, esi, gone IS NULL FROM student ORDER BY 1, 2",
	"SELECT source, id FROM enlight_done ORDER BY 1, 2",
};
enum { N_DUMPS = sizeof dumps / sizeof *dumps };

/* As a walk finds it: with tables alone, and with what the events before left there. */
enum { N_WALKS = 2 };
static struct {
	void *data;
	size_t len;
} databases[N_WALKS];

static sqlite3 *opened(void)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open("registrar.db", &db), SQLITE_OK);
	return db;
}

/* All rows as text; what there is no table for is left out. */
static void dump(struct buffer *out)
{
	sqlite3 *db = opened();
	sqlite3_stmt *stmt;

	for (size_t i = 0; i < N_DUMPS; i++) {
		if (sqlite3_prepare_v2(db, dumps[i], -1, &stmt, NULL) != SQLITE_OK)
			continue;
		while (sqlite3_step(stmt) == SQLITE_ROW) {
			for (int k = 0; k < sqlite3_column_count(stmt); k++)
				buffer_printf(out, "%s|",
					sqlite3_column_type(stmt, k) == SQLITE_NULL
						? ""
						: (const char *)sqlite3_column_text(stmt, k));
			buffer_str(out, "\n");
		}
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
}

static bool is_recorded(const char *id)
{
	sqlite3 *db = opened();
	sqlite3_stmt *stmt = NULL;
	bool found = sqlite3_prepare_v2(db, "SELECT 1 FROM enlight_done WHERE id = ?", -1, &stmt, NULL) == SQLITE_OK &&
		     sqlite3_bind_text(stmt, 1, id, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW;

	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return found;
}

/* ---- the node ---- */

/* What it gives in each walk, of an object only one: the next would wait until that is done. */
static const struct given_event {
	size_t walk;
	const char *id, *topic, *subject, *key;
	unsigned revision;
	bool erases; /* it is no event, but the erasure of `subject` */
} events[] = {
	{0, "first", "course.offering", "course/C1", "courseId", 1, false},
	{0, "second", "mobility.nomination", "mobility/N1", "mobilityId", 1, false},
	{0, "third", "mobility.nomination", "mobility/N2", "mobilityId", 1, false},
	{0, "again", "course.offering", "course/C2", "courseId", 1, false},
	{0, "taken-back", "mobility.withdrawal", "mobility/N3", NULL, 1, false},
	{1, "newer", "course.offering", "course/C1", "courseId", 2, false},
	{1, "again", "course.offering", "course/C2", "courseId", 1, false}, /* which the node does not know was done */
	{1, "too-late", "mobility.nomination", "mobility/N3", "mobilityId", 1, false},
	{1, "another", "course.offering", "course/C3", "courseId", 1, false},
	{1, "erasure", NULL, "mobility/N2", NULL, 0, true},
	{1, "withdrawal", "mobility.withdrawal", "mobility/N1", NULL, 1, false},
};
enum { N_EVENTS = sizeof events / sizeof *events };
static size_t at; /* the walk */

enum outcome { NONE, DONE, RETRY, REJECT };
static enum outcome outcomes[N_EVENTS];

/* Packs an event as its publisher's node would. */
static void pack(uint8_t **out, size_t *len, const struct given_event *g)
{
	json_t *json = event_example(topic_find(g->topic)), *data = json_object_get(json, "data");
	struct problems problems = {0};
	struct draft d = {0};

	json_object_set_new(json, "enlightaudience", json_string("ugent.be"));
	json_object_set_new(json, "id", json_string(g->id));
	json_object_set_new(json, "subject", json_string(g->subject));
	json_object_del(json, "source");
	json_object_del(json, "enlightrevision");
	if (g->revision > 1) {
		json_object_set_new(json_array_get(json_object_get(data, "title"), 0), "value", json_string("Anew"));
		json_object_set_new(json_array_get(json_object_get(data, "runs"), 0), "runId", json_string("CRI/2"));
	}
	if (g->key != NULL)
		json_object_set_new(data, g->key, json_string(strchr(g->subject, '/') + 1));
	else
		json_object_set_new(data, "topic", json_string("mobility.nomination"));
	ck_assert_msg(draft_from_json(&d, json, "ut.ee", &problems) == 0, "%s: %s %s", g->id, problems.items[0].place,
		problems.items[0].rule);
	ck_assert_int_eq(draft_complete(&d, g->id, "2026-11-23T09:30:00Z", "2026-11-23"), 0);
	d.event.revision = g->revision;
	ck_assert_int_eq(event_pack(out, len, &d.event), 0);
	draft_deinit(&d);
	problems_deinit(&problems);
	json_decref(json);
}

static void put_event(struct buffer *out, size_t i, unsigned attempt)
{
	Enlight__Plugin__V1__Deliver deliver = ENLIGHT__PLUGIN__V1__DELIVER__INIT;
	Enlight__Plugin__V1__ToPlugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	struct digest digest;
	uint8_t *packed;
	size_t len;

	pack(&packed, &len, &events[i]);
	digest_leaf(&digest, bytes_of(packed, len));
	deliver.number = i + 1;
	deliver.source = (char *)"ut.ee";
	deliver.audience = (char *)"ugent.be";
	deliver.incarnation = 1;
	deliver.sequence = i + 1;
	deliver.event = (ProtobufCBinaryData){len, packed};
	deliver.digest = (ProtobufCBinaryData){DIGEST_LEN, digest.bytes};
	deliver.attempt = attempt;
	m.deliver = &deliver;
	frame_put(out, &m);
	free(packed);
}

static void put_erasure(struct buffer *out, size_t i)
{
	Enlight__Plugin__V1__Erase erase = ENLIGHT__PLUGIN__V1__ERASE__INIT;
	Enlight__Plugin__V1__ToPlugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	char *ids[] = {(char *)"third"}, *subjects[] = {(char *)events[i].subject};
	uint64_t sequences[] = {i};

	erase.number = i + 1;
	erase.source = (char *)"ut.ee";
	erase.audience = (char *)"ugent.be";
	erase.n_sequences = erase.n_ids = erase.n_subjects = 1;
	erase.sequences = sequences;
	erase.ids = ids;
	erase.subjects = subjects;
	m.erase = &erase;
	frame_put(out, &m);
}

static void put_start(struct buffer *out)
{
	Enlight__Plugin__V1__Start start = ENLIGHT__PLUGIN__V1__START__INIT;
	Enlight__Plugin__V1__ToPlugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;

	start.protocol = 1;
	start.member = (char *)"ugent.be";
	start.name = (char *)"registrar";
	start.settings = (char *)"{\"mapping\": \"mapping.yaml\"}";
	start.state = members_folder;
	start.folder = members_folder;
	start.beat_ms = 60000;
	m.start = &start;
	frame_put(out, &m);
}

/* All that is not done yet, for the plugin to read. */
static int frames_for(unsigned attempt)
{
	Enlight__Plugin__V1__Drain drain = ENLIGHT__PLUGIN__V1__DRAIN__INIT;
	Enlight__Plugin__V1__ToPlugin end = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	struct buffer out = {0};
	int fd = memfd_create("frames", MFD_CLOEXEC);

	put_start(&out);
	for (size_t i = 0; i < N_EVENTS; i++) {
		if (outcomes[i] == DONE || events[i].walk != at)
			continue;
		if (events[i].erases)
			put_erasure(&out, i);
		else
			put_event(&out, i, attempt);
	}
	end.drain = &drain;
	frame_put(&out, &end);
	ck_assert_int_eq(write(fd, out.data, out.len), (ssize_t)out.len);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	buffer_deinit(&out);
	return fd;
}

/* The answers that a run wrote; a frame that its end cut off is none. */
static void take_answers(int fd)
{
	static const char *const words[] = {[DONE] = "done", [RETRY] = "retry", [REJECT] = "reject"};
	struct frames frames = {0};
	struct bytes frame;

	lseek(fd, 0, SEEK_SET);
	while (frames_fill(&frames, fd) > 0)
		;
	while (frames_next(&frames, &frame) == FRAME_WHOLE) {
		Enlight__Plugin__V1__FromPlugin *m =
			wire_unpack(&enlight__plugin__v1__from_plugin__descriptor, frame, 1 << 20);

		ck_assert_ptr_nonnull(m);
		for (enum outcome o = DONE; m->result != NULL && o <= REJECT; o++)
			if (strcmp(m->result->outcome, words[o]) == 0)
				outcomes[m->result->number - 1] = o;
		wire_free(m);
	}
	frames_deinit(&frames);
}

/* ---- the plugin ---- */

enum { PRIVATE_FROM = 10, PRIVATE_TO = 64 };

/* What a process leaves to its end. */
static void close_private(uint64_t kept)
{
	for (int fd = PRIVATE_FROM; fd < PRIVATE_TO; fd++)
		if ((kept & (uint64_t)1 << fd) == 0)
			close(fd);
}

static uint64_t open_private(void)
{
	uint64_t kept = 0;

	for (int fd = PRIVATE_FROM; fd < PRIVATE_TO; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			kept |= (uint64_t)1 << fd;
	return kept;
}

static unsigned attempt;

/* One life of it; the line says how it is called. Only the plugin's own calls fail. */
static int start_plugin(const char *line)
{
	char copy[64], *argv[WORDS_MAX];
	int in, answers_to, status, input, output;
	uint64_t kept;

	faults_pause(true);
	in = frames_for(attempt);
	answers_to = memfd_create("answers", MFD_CLOEXEC);
	input = dup(STDIN_FILENO);
	output = dup(STDOUT_FILENO);
	snprintf(copy, sizeof copy, "%s", line);
	dup2(in, STDIN_FILENO);
	dup2(answers_to, STDOUT_FILENO);
	kept = open_private();
	faults_pause(false);
	status = plugin_main(words_of(argv, copy), argv);
	faults_pause(true);
	close_private(kept);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	close(input);
	close(output);
	close(in);
	take_answers(answers_to);
	close(answers_to);
	faults_pause(false);
	return status;
}

/* ---- the test ---- */

static char *expected; /* of the tables when nothing failed */

static void make(void)
{
	struct buffer text = {0};
	glob_t drivers;
	sqlite3 *db;

	unit_folder(members_folder, sizeof members_folder);
	ck_assert_int_eq(chdir(members_folder), 0);
	ck_assert_msg(glob("/usr/lib/*/odbc/libsqlite3odbc.so", 0, NULL, &drivers) == 0, "SQLite's driver is missing");
	buffer_printf(&text, "connection: Driver=%s;Database=%s/registrar.db\n%s", drivers.gl_pathv[0], members_folder,
		mapping);
	globfree(&drivers);
	ck_assert_int_eq(file_write("mapping.yaml", text.data, text.len, 0600), 0);
	buffer_deinit(&text);
	db = opened();
	ck_assert_int_eq(sqlite3_exec(db, tables, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void unmake(void)
{
	for (size_t i = 0; i < N_WALKS; i++)
		free(databases[i].data);
	free(expected);
	expected = NULL;
	members_remove();
}

/* A registrar as the walk begins, and a node that has given it nothing since. */
static void begin_anew(void)
{
	remove_all("registrar.db-journal");
	ck_assert_int_eq(file_write("registrar.db", databases[at].data, databases[at].len, 0600), 0);
	memset(outcomes, 0, sizeof outcomes);
	attempt = 1;
}

static const char *wrong_of_answers(void)
{
	static char what[128];

	attempt++; /* of what follows */
	for (size_t i = 0; i < N_EVENTS; i++) {
		const char *is = outcomes[i] == REJECT ? "is rejected" : NULL;

		if (outcomes[i] == DONE && !events[i].erases && !is_recorded(events[i].id))
			is = "is answered as done and not in the tables";
		if (is != NULL) {
			snprintf(what, sizeof what, "%s %s", events[i].id, is);
			return what;
		}
	}
	return NULL;
}

/* Whether the node has nothing left to give, and the tables have all. */
static bool is_all_done(void)
{
	struct buffer now = {0};
	bool all;

	dump(&now);
	all = strcmp(buffer_cstr(&now), expected) == 0;
	for (size_t i = 0; i < N_EVENTS; i++)
		all = all && (outcomes[i] == DONE || events[i].walk != at);
	if (!all)
		fprintf(stderr, "the tables have\n%sinstead of\n%s", buffer_cstr(&now), expected);
	buffer_deinit(&now);
	return all;
}

/* The node gives what is left, in another life of the plugin. */
static const char *wrong_in_the_end(int status)
{
	const char *wrong = wrong_of_answers();

	if (wrong != NULL || expected == NULL)
		return wrong;
	if (status != EX_OK && status != EX_OSERR && status != EX_IOERR && status != EX_TEMPFAIL)
		return "it ends as no plugin does";
	status = start_plugin("enlight-sql");
	wrong = wrong_of_answers();
	if (wrong == NULL && status != EX_OK)
		wrong = "it does not run again";
	return wrong != NULL || is_all_done() ? wrong : "the tables are not what they should be";
}

/* One walk's events, of which nothing fails. */
static void give_all(void)
{
	struct quiet q;
	int status;

	ck_assert_int_eq(file_read(&databases[at].data, &databases[at].len, "registrar.db", 1 << 20), 0);
	begin_anew();
	q = quiet_begin();
	status = start_plugin("enlight-sql");
	quiet_end(&q);
	ck_assert_msg(status == EX_OK && wrong_of_answers() == NULL, "status %d: %s", status, said);
}

static void walk_deliveries(size_t which, enum fault_kind kind)
{
	const struct walk w = {.start = start_plugin,
		.line = "enlight-sql",
		.before = begin_anew,
		.wrong = wrong_in_the_end,
		.sampled = true};
	struct buffer whole = {0};

	for (at = 0; at <= which; at++)
		give_all();
	at = which;
	dump(&whole);
	expected = buffer_take(&whole, NULL);
	ck_assert(is_all_done());
	walk(&w, kind);
}

/* Memory is short once: not SQLite's, whose driver falls then in itself (the node starts such a plugin again). */
START_TEST(test_memory)
{
	walk_deliveries((size_t)_i, FAULT_MEMORY);
}
END_TEST

/* A call fails once, of the system, of ODBC, or SQLite's. */
START_TEST(test_system)
{
	walk_deliveries((size_t)_i, FAULT_CALL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures of enlight-sql");
	TCase *tc = tcase_create("deliveries");

	faults_init();
	faults_spare_sqlite();
	tcase_add_checked_fixture(tc, make, unmake);
	tcase_add_loop_test(tc, test_memory, 0, N_WALKS);
	tcase_add_loop_test(tc, test_system, 0, N_WALKS);
	tcase_set_timeout(tc, 3600);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
