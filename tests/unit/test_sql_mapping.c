#include "core/event.h"
#include "unit.h"
#include "value.h"
#include "work.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- an allocator that can be told to fail ---- */

static unsigned long fail_after, allocations; /* fail_after 0: never */

static bool fails(void)
{
	return fail_after != 0 && ++allocations >= fail_after;
}

#include "failing_memory.h"

/* ---- mappings ---- */

#define HEAD "connection: DSN=x\ntables:\n  - topic: course.offering\n    table: course\n    revision: revision\n"
#define KEY "    key: {university: source, id: data.courseId}\n"
#define NOMINATION                                                                                                     \
	"connection: DSN=x\ntables:\n  - topic: mobility.nomination\n    table: student\n    revision: revision\n"     \
	"    key: {university: source, id: subject}\n"

static const char whole[] =
	"connection: DSN=x\n"
	"done: kept.applied\n"
	"tables:\n"
	"  - topic: course.offering\n"
	"    table: catalogue.course\n"
	"    key: {university: source, id: data.courseId}\n"
	"    revision: revision\n"
	"    columns:\n"
	"      title: data.title[lang=sk].value | data.title[0].value\n"
	"      ects: data.credits[scheme=ects].value\n"
	"    rows:\n"
	"      - {table: run, each: data.runs, key: {run: runId}, columns: {nr: .number, places: places}}\n"
	"  - topic: mobility.nomination\n"
	"    table: student\n"
	"    key: {university: source, id: data.mobilityId}\n"
	"    revision: rev\n"
	"    columns:\n"
	"      family: data.student.names[0].family\n"
	"      gender: {from: data.student.gender, values: {FEMALE: F}, otherwise: X}\n"
	"      level: data.eqfLevel\n"
	"    rows:\n"
	"      - {table: name, each: data.student.names, columns: {given: given}}\n"
	"    withdrawn: gone_at\n"
	"    erased: blank\n";

/* Reads a mapping; all that is wrong comes back as one string of `line:column: rule` lines. */
static char *read_text(struct mapping *out, const char *text)
{
	static char said[8192];
	struct problems problems = {0};
	int r = mapping_parse(out, "dir/f.yaml", bytes_str(text), &problems);

	said[0] = '\0';
	ck_assert_int_eq(r, problems.total == 0 ? 0 : MAPPING_BAD);
	for (size_t i = 0; i < problems.n; i++)
		snprintf(said + strlen(said), sizeof said - strlen(said), "%s%s: %s", i == 0 ? "" : "\n",
			problems.items[i].place + strlen("dir/f.yaml:"), problems.items[i].rule);
	problems_deinit(&problems);
	return said;
}

static const struct {
	const char *name, *text, *said;
} broken[] = {
	{"empty", "", "1:1: missing setting \"connection\"\n1:1: missing setting \"tables\""},
	{"no tables", "connection: x\ntables: []\n", "2:9: tables: is empty"},
	{"topic", "connection: x\ntables:\n  - {topic: course.offer, table: a, revision: r, key: {s: source}}\n",
		"3:13: topic: is no topic; `enlight topics` lists them"},
	{"names",
		"connection: x\ndone: a.b.c\ntables:\n  - {topic: course.offering, table: a b, revision: \"r;\",\n"
		"     key: {\"1s\": source, id: subject}, withdrawn: \"a\\\"\", erased: drop}\n",
		"2:7: done: a table's name has letters a to z, digits and underscores, at most 63, and may have that "
		"of "
		"its schema and a dot in front\n"
		"4:37: table: a table's name has letters a to z, digits and underscores, at most 63, and may have that "
		"of its schema and a dot in front\n"
		"4:52: revision: a column's name has letters a to z, digits and underscores, at most 63\n"
		"5:12: name: a column's name has letters a to z, digits and underscores, at most 63\n"
		"5:51: withdrawn: a column's name has letters a to z, digits and underscores, at most 63\n"
		"5:66: erased: must be delete or blank"},
	{"no key", HEAD, "3:5: missing setting \"key\""},
	{"empty key", HEAD "    key: {}\n", "6:10: key: is empty"},
	{"key without source", HEAD "    key: {id: data.courseId}\n",
		"6:10: key: needs source and subject or data.courseId: two universities may give their objects the "
		"same "
		"ID"},
	{"key that is no place", HEAD "    key: {university: source, id: data.courseI}\n",
		"6:35: id: data.courseI: CourseOffering has no field \"courseI\"; it has courseId, code, title, kind, "
		"ounitId, "
		"iscedF, erasmusSubjectArea, eqfLevel, description, urls, credits, runs, contains, partners, "
		"learningOutcomes, ..."},
	{"key of something else", HEAD "    key: {university: source, id: data.courseId, code: data.code}\n",
		"6:56: code: a key has source, subject or data.courseId and nothing else: a withdrawal names no more"},
	{"key translated", HEAD "    key: {university: {from: source, values: {a: b}}, id: subject}\n",
		"6:46: university: a key is not translated"},
	{"field",
		HEAD KEY
		"    columns:\n      a: data.titel\n      b: data.runs[0].place\n      c: sauce\n      d: data\n",
		"8:10: a: data.titel: CourseOffering has no field \"titel\"; it has courseId, code, title, kind, "
		"ounitId, "
		"iscedF, erasmusSubjectArea, eqfLevel, description, urls, credits, runs, contains, partners, "
		"learningOutcomes, ...\n"
		"9:10: b: data.runs[0].place: CourseRun has no field \"place\"; it has runId, start, end, term, "
		"language, "
		"credits, gradingScheme, results, engagementHours, status, places, enrolFrom, enrolUntil, "
		"deliveryMode\n"
		"10:10: c: sauce: begins with source, subject, revision, id, type, time, audience or data\n"
		"11:10: d: data: data is an object: name one of its fields"},
	{"proto's own name", HEAD KEY "    columns: {a: data.isced_f}\n",
		"7:18: a: data.isced_f: CourseOffering has no field \"isced_f\"; it has courseId, code, title, kind, "
		"ounitId, iscedF, erasmusSubjectArea, eqfLevel, description, urls, credits, runs, contains, partners, "
		"learningOutcomes, ..."},
	{"shape",
		HEAD KEY "    columns:\n      a: data.title\n      b: data.title.value\n      c: data.code.x\n      d: "
			 "data.code[0]\n"
			 "      e: data.runs[0].term\n      f: data.title[0]value\n      g: data.title[0\n      h: "
			 "data.contains.x\n"
			 "      i: source.x\n",
		"8:10: a: data.title: title is a list: say which of it, as in title[0], or give it rows of their own\n"
		"9:10: b: data.title.value: title is a list: say which of it, as in title[0] or [lang=en]\n"
		"10:10: c: data.code.x: code is a value: nothing is inside it\n"
		"11:10: d: data.code[0]: [0] stands behind what is no list\n"
		"12:10: e: data.runs[0].term: term is an object: name one of its fields, academicYear, term, localId, "
		"name, start, end\n"
		"13:10: f: data.title[0]value: a dot or a bracket is missing before \"value\"\n"
		"14:10: g: data.title[0: a bracket is not closed\n"
		"15:10: h: data.contains.x: contains is a list: say which of it, as in contains[0]\n"
		"16:10: i: source.x: source is a value: nothing is inside it"},
	{"choosing",
		HEAD KEY "    columns:\n      a: data.title[language=en].value\n      b: data.runs[places=1].start\n"
			 "      c: data.title[x].value\n      d: data.contains[a=b]\n",
		"8:10: a: data.title[language=en].value: [language=en]: there is no text \"language\" to choose by\n"
		"9:10: b: data.runs[places=1].start: [places=1]: there is no text \"places\" to choose by\n"
		"10:10: c: data.title[x].value: in brackets stands a number from 0, or a field and its value, as in "
		"[lang=en]\n"
		"11:10: d: data.contains[a=b]: [a=b]: there is no text \"a\" to choose by"},
	{"second place", HEAD KEY "    columns:\n      a: data.code | data.x\n",
		"8:10: a: data.code | data.x: CourseOffering has no field \"x\"; it has courseId, code, title, kind, "
		"ounitId, iscedF, erasmusSubjectArea, eqfLevel, description, urls, credits, runs, contains, partners, "
		"learningOutcomes, ..."},
	{"column twice", HEAD KEY "    columns: {ID: data.code, revision: revision, x: data.kind, x: data.code}\n",
		"5:15: revision: the column is filled in line 7 already\n7:15: ID: is filled in line 6 already\n"
		"7:64: x: set before, in line 7"},
	{"key blanked",
		"connection: DSN=x\ntables:\n  - topic: mobility.nomination\n    table: student\n    revision: r\n"
		"    key: {university: source, id: {from: subject, personal: true}}\n    columns: {g: "
		"data.student.gender}\n    erased: blank\n",
		"6:61: id: a key cannot be blanked: either it is not personal, or erased: delete"},
	{"withdrawn into the revision", HEAD KEY "    withdrawn: revision\n",
		"7:16: withdrawn: the column holds the revision"},
	{"otherwise alone", HEAD KEY "    columns: {a: {from: data.code, otherwise: x}}\n",
		"7:47: otherwise: needs values"},
	{"column without place", HEAD KEY "    columns: {a: {values: {x: y}}}\n", "7:15: missing setting \"from\""},
	{"rows",
		HEAD KEY
		"    rows:\n      - {table: course, each: data.runs}\n      - {table: b, each: data.code, key: {a: "
		"b}}\n"
		"      - {table: c, each: data.runs, key: {id: runId, x: status}, columns: {y: data.code, x: runId}}\n"
		"      - {table: d, each: data.contains, columns: {x: ., y: x}}\n",
		"8:17: table: the rows of a list need a table of their own\n8:31: the rows have no columns\n"
		"9:26: each: data.code: code is no list\n"
		"10:43: id: is filled in line 6 already\n"
		"10:57: x: status: status is an object: name one of its fields, code, foreignValue, foreignList\n"
		"10:79: y: data.code: CourseRun has no field \"data\"; it has runId, start, end, term, language, "
		"credits, "
		"gradingScheme, results, engagementHours, status, places, enrolFrom, enrolUntil, deliveryMode\n"
		"10:90: x: is filled in line 10 already\n"
		"11:60: y: x: the items of this list are values: \".\" is the item, \".number\" its number"},
	{"nothing to blank", NOMINATION "    columns: {a: data.activityType}\n    erased: blank\n",
		"8:13: erased: no column is personal; give those that are `personal: true`"},
	{"one revision for two",
		HEAD KEY "  - topic: course.decision\n    table: course\n    revision: REVISION\n    key: {university: "
			 "source, s: subject}\n",
		"7:5: withdrawn: the table in line 4 is the same: each topic needs a column of its own, so that one "
		"taken back "
		"leaves the other\n9:15: revision: is that of the table in line 4 too; each topic counts its own"},
	{"a list's table for two",
		HEAD KEY
		"    rows: [{table: a, each: data.contains, columns: {x: .}}, {table: a, each: data.runs, columns: {x: "
		"runId}}]\n  - topic: course.offering\n    table: b\n    revision: revision\n    key: {s: source, i: "
		"subject}\n"
		"    rows: [{table: a, each: data.runs, columns: {x: runId}}]\n",
		"12:20: table: holds the rows of line 7 already\n12:20: table: holds the rows of line 7 already"},
};

/* Every mistake is named at once, each where it stands. */
START_TEST(test_broken_mappings)
{
	struct mapping m;
	char *said = read_text(&m, broken[_i].text);

	ck_assert_msg(
		strcmp(said, broken[_i].said) == 0, "%s:\n%s\nwanted:\n%s", broken[_i].name, said, broken[_i].said);
	mapping_deinit(&m);
}
END_TEST

/* ---- places ---- */

static const struct {
	const char *topic, *place, *value; /* as JSON; NULL: nothing is there */
	bool personal;
} places[] = {
	{"course.offering", "source", "\"ugent.be\"", false},
	{"course.offering", "audience", "\"network\"", false},
	{"course.offering", "revision", "3", false},
	{"course.offering", "data.courseId", "\"CR/f6d14b1f-f330-4956-8819-e24feb12d519\"", false},
	{"course.offering", "data.title[lang=et].value", "\"Masin\\u00F5pe\"", false},
	{"course.offering", "data.title[1].lang", "\"et\"", false},
	{"course.offering", "data.title[lang=fr].value", NULL, false},
	{"course.offering", "data.title[lang=fr].value | data.title[0].value", "\"Machine Learning\"", false},
	{"course.offering", "data.title[9].value|data.prerequisites[0].value", NULL, false},
	{"course.offering", "data.runs[0].term.name[lang=en].value", "\"Autumn 2026\"", false},
	{"course.offering", "data.runs[0].places", "20", false},
	{"mobility.nomination", "data.student.names[lang=ru-Cyrl].family", "\"\\u0422\\u0430\\u043C\\u043C\"", true},
	{"mobility.nomination", "data.student.esi", "\"urn:schac:personalUniqueCode:int:esi:ut.ee:b41887\"", true},
	{"mobility.nomination", "data.sending.contacts[0].email", NULL, true},
	{"mobility.nomination", "data.nonStandardPeriod", NULL, false},
};

/* A place leads to what the event has there, and knows whether that is said of a person. */
START_TEST(test_places)
{
	const struct topic *topic = topic_find(places[_i].topic);
	struct place_scope scope = {.data = topic->message};
	json_t *event = event_example(topic), *found;
	char rule[PLACE_RULE_MAX] = "", *text;
	struct place p = {0};

	json_object_set_new(event, "enlightrevision", json_integer(3));
	ck_assert_msg(place_compile(&p, places[_i].place, &scope, false, rule) == 0, "%s: %s", places[_i].place, rule);
	found = place_find(&p, event);
	text = found != NULL ? json_dumps(found, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	if (places[_i].value == NULL)
		ck_assert_ptr_null(text);
	else
		ck_assert_str_eq(text, places[_i].value);
	ck_assert_int_eq(p.personal, places[_i].personal);
	free(text);
	json_decref(event);
	place_deinit(&p);
}
END_TEST

/* ---- values ---- */

static const struct {
	enum column_kind kind;
	const char *json, *text, *rule;
} values[] = {
	{KIND_TEXT, "\"\"", "", NULL},
	{KIND_TEXT, "true", "true", NULL},
	{KIND_TEXT, "20", "20", NULL},
	{KIND_UNKNOWN, "\"a'b\"", "a'b", NULL},
	{KIND_WHOLE, "20", "20", NULL},
	{KIND_WHOLE, "\"6.00\"", "6", NULL},
	{KIND_WHOLE, "\"-4\"", "-4", NULL},
	{KIND_WHOLE, "true", "1", NULL},
	{KIND_WHOLE, "\"6.50\"", NULL, "is no whole number"},
	{KIND_WHOLE, "\"1e3\"", NULL, "is no whole number"},
	{KIND_WHOLE, "\"\"", NULL, "is no whole number"},
	{KIND_WHOLE, "\"1234567890123456789\"", NULL, "is no whole number"},
	{KIND_DECIMAL, "\"6.00\"", "6.00", NULL},
	{KIND_DECIMAL, "\"6.\"", NULL, "is no number"},
	{KIND_DECIMAL, "\"six\"", NULL, "is no number"},
	{KIND_DECIMAL, "\".5\"", NULL, "is no number"},
	{KIND_FLAG, "false", "0", NULL},
	{KIND_FLAG, "\"1\"", "1", NULL},
	{KIND_FLAG, "\"yes\"", NULL, "is neither true nor false"},
	{KIND_DATE, "\"2026-09-14\"", "2026-09-14", NULL},
	{KIND_DATE, "\"2026-09-14T10:00:00Z\"", "2026-09-14", NULL},
	{KIND_DATE, "\"2026-09\"", NULL, "is no date with year, month and day"},
	{KIND_DATE, "\"2026-09-145\"", NULL, "is no date with year, month and day"},
	{KIND_TIME, "\"2026-09-14T10:00:00Z\"", "2026-09-14 10:00:00", NULL},
	{KIND_TIME, "\"2026-09-14T10:00:00.123456789Z\"", "2026-09-14 10:00:00.123456", NULL},
	{KIND_TIME, "\"2026-09-14\"", "2026-09-14 00:00:00", NULL},
	{KIND_TIME, "\"2026-09-14T10:00:00+02:00\"", NULL, "is no time in UTC"},
	{KIND_TIME, "\"now\"", NULL, "is no time"},
	{KIND_BYTES, "\"a\"", NULL, "does not fit a column of bytes"},
	{KIND_TEXT, "{}", NULL, "is no value"},
};

/* A value takes the form of its column, or is refused in our words. */
START_TEST(test_values)
{
	struct column c = {.type = {.kind = values[_i].kind}};
	json_t *json = json_loads(values[_i].json, JSON_DECODE_ANY, NULL);
	const char *rule = NULL;
	char *text;
	int r = value_make(&text, &c, json, &rule);

	if (values[_i].rule == NULL) {
		ck_assert_int_eq(r, 0);
		ck_assert_str_eq(text, values[_i].text);
	} else {
		ck_assert_int_eq(r, VALUE_REFUSED);
		ck_assert_str_eq(rule, values[_i].rule);
	}
	free(text);
	json_decref(json);
}
END_TEST

/* A code becomes the column's; what is absent stays NULL, whatever stands otherwise. */
START_TEST(test_translation)
{
	char female[] = "FEMALE", f[] = "F", truth[] = "true", yes[] = "yes", other[] = "X";
	struct translation words[] = {{female, f}, {truth, yes}};
	struct column c = {.values = words, .n_values = 2};
	json_t *known = json_string("FEMALE"), *unknown = json_string("MALE");
	const char *rule;
	char *text;

	ck_assert_int_eq(value_make(&text, &c, known, &rule), 0);
	ck_assert_str_eq(text, "F");
	free(text);
	ck_assert_int_eq(value_make(&text, &c, json_true(), &rule), 0);
	ck_assert_str_eq(text, "yes");
	free(text);
	ck_assert_int_eq(value_make(&text, &c, unknown, &rule), VALUE_REFUSED);
	ck_assert_str_eq(rule, "has a code that the mapping does not translate");
	c.otherwise = other;
	ck_assert_int_eq(value_make(&text, &c, unknown, &rule), 0);
	ck_assert_str_eq(text, "X");
	free(text);
	ck_assert_int_eq(value_make(&text, &c, NULL, &rule), 0);
	ck_assert_ptr_null(text);
	json_decref(known);
	json_decref(unknown);
}
END_TEST

/* ---- statements ---- */

/* Writes down what runs: each statement with its values. */
struct writer {
	struct buffer out;
	bool update_changes, done;
	uint64_t withdrawn;
};

static int run(void *context, const struct statement *s, const char *const *bound, const char *note, bool *changed)
{
	struct writer *w = context;

	(void)note;
	buffer_str(&w->out, s->sql);
	for (size_t i = 0; i < s->n_params; i++)
		buffer_printf(&w->out, "%s%s", i == 0 ? "\n\t" : ", ",
			bound[i] == NULL             ? "NULL"
			: strlen(bound[i]) == 2 * 32 ? "DIGEST"
						     : bound[i]);
	buffer_str(&w->out, "\n");
	*changed = strncmp(s->sql, "UPDATE", 6) != 0 || w->update_changes;
	return 0;
}

static int seen(void *context, const struct statement *s, const char *const *bound, bool *done, uint64_t *withdrawn)
{
	struct writer *w = context;

	(void)s;
	(void)bound;
	*done = w->done;
	*withdrawn = w->withdrawn;
	return 0;
}

/* An event of a topic as the plugin hands it on. */
static struct work_event example(const char *topic, uint64_t revision)
{
	json_t *json = event_example(topic_find(topic));
	struct work_event e = {.json = json, .topic = topic, .revision = revision, .sequence = 7, .incarnation = 1};

	e.source = json_string_value(json_object_get(json, "source"));
	e.id = "id-1";
	e.subject = json_string_value(json_object_get(json, "subject"));
	e.time = json_string_value(json_object_get(json, "time"));
	e.audience = json_string_value(json_object_get(json, "enlightaudience"));
	return e;
}

static void run_event(struct writer *w, const struct mapping *m, const struct work_event *e)
{
	struct executor x = {w, run, seen};
	char reason[WORK_REASON_MAX];
	struct work work;
	struct sql sql;

	ck_assert_int_eq(sql_init(&sql, m, '`', "ut.ee/registrar"), 0);
	ck_assert_int_eq(work_prepare(&work, &sql, e, reason), 0);
	ck_assert_int_eq(work_run(&work, &x), 0);
	work_deinit(&work);
	sql_deinit(&sql);
}

#define RECORD(values)                                                                                                 \
	"INSERT INTO `kept`.`applied` (`event`, `source`, `id`, `channel`, `sequence`, `object`, `revision`) SELECT "  \
	"?, "                                                                                                          \
	"?, ?, ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM `kept`.`applied` WHERE `event` = ?)\n\t" values "\n"
#define COURSE "ugent.be, CR/f6d14b1f-f330-4956-8819-e24feb12d519"

/* A new state: the row, its list, that it is done. */
START_TEST(test_state)
{
	struct work_event e = example("course.offering", 2);
	struct writer w = {0};
	struct mapping m;

	ck_assert_str_eq(read_text(&m, whole), "");
	run_event(&w, &m, &e);
	ck_assert_str_eq(buffer_cstr(&w.out),
		"UPDATE `catalogue`.`course` SET `title` = ?, `ects` = ?, `revision` = ? WHERE `university` = ? AND "
		"`id` = ? "
		"AND (`revision` < ? OR `revision` IS NULL)\n\tMachine Learning, 6.00, 2, " COURSE ", 2\n"
		"INSERT INTO `catalogue`.`course` (`university`, `id`, `title`, `ects`, `revision`) SELECT ?, ?, ?, ?, "
		"? WHERE NOT "
		"EXISTS (SELECT 1 FROM `catalogue`.`course` WHERE `university` = ? AND `id` = ?)\n\t" COURSE
		", Machine Learning, 6.00, 2, " COURSE "\n"
		"DELETE FROM `run` WHERE `university` = ? AND `id` = ?\n\t" COURSE "\n"
		"INSERT INTO `run` (`university`, `id`, `run`, `nr`, `places`) VALUES (?, ?, ?, ?, ?)\n\t" COURSE
		", CRI/13466290, 1, 20\n" RECORD("DIGEST, ugent.be, id-1, DIGEST, 7, NULL, NULL, DIGEST"));

	buffer_clear(&w.out);
	w.update_changes = true;
	run_event(&w, &m, &e);
	ck_assert_ptr_null(strstr(buffer_cstr(&w.out), "INSERT INTO `catalogue`"));
	ck_assert_ptr_nonnull(strstr(buffer_cstr(&w.out), "INSERT INTO `run`"));

	/* What was done, or withdrawn up to this revision, does nothing more. */
	buffer_clear(&w.out);
	w.withdrawn = 2;
	run_event(&w, &m, &e);
	ck_assert_int_eq(strncmp(buffer_cstr(&w.out), "INSERT INTO `kept`", 18), 0);
	buffer_clear(&w.out);
	w.done = true;
	run_event(&w, &m, &e);
	ck_assert_uint_eq(w.out.len, 0);

	json_decref(e.json);
	buffer_deinit(&w.out);
	mapping_deinit(&m);
}
END_TEST

/* A withdrawal knows publisher and subject alone; it deletes, the list first, or dates. */
START_TEST(test_withdrawal)
{
	struct work_event e = example("course.withdrawal", 1);
	struct writer w = {0};
	struct mapping m;

	ck_assert_str_eq(read_text(&m, whole), "");
	json_object_set_new(json_object_get(e.json, "data"), "revision", json_string("4"));
	e.subject = "course/C/1";
	run_event(&w, &m, &e);
	ck_assert_str_eq(buffer_cstr(&w.out),
		"DELETE FROM `run` WHERE `university` = ? AND `id` = ? AND EXISTS (SELECT 1 FROM `catalogue`.`course` "
		"WHERE "
		"`university` = ? AND `id` = ? AND (`revision` <= ? OR `revision` IS NULL))\n"
		"\tugent.be, C/1, ugent.be, C/1, 4\n"
		"DELETE FROM `catalogue`.`course` WHERE `university` = ? AND `id` = ? AND (`revision` <= ? OR "
		"`revision` IS "
		"NULL)\n\tugent.be, C/1, 4\n" RECORD("DIGEST, ugent.be, id-1, DIGEST, 7, DIGEST, 4, DIGEST"));
	json_decref(e.json);

	buffer_clear(&w.out);
	e = example("mobility.withdrawal", 1);
	e.subject = "mobility/M1";
	json_object_set_new(json_object_get(e.json, "data"), "topic", json_string("mobility.nomination"));
	run_event(&w, &m, &e);
	ck_assert_int_eq(strncmp(buffer_cstr(&w.out), "UPDATE `student` SET `gone_at` = ? WHERE ", 41), 0);
	json_decref(e.json);
	buffer_deinit(&w.out);
	mapping_deinit(&m);
}
END_TEST

/* An erasure deletes, or empties the columns that are said of a person. */
START_TEST(test_erasure)
{
	static const char *const ids[] = {"id-1", NULL}, *const subjects[] = {
								 "mobility/M1", "course/C1", "label/L1", NULL};
	const struct work_erasure erasure = {"ut.ee", NULL, ids, subjects};
	struct writer w = {0};
	struct executor x = {&w, run, seen};
	struct mapping m;
	struct sql sql;

	ck_assert_str_eq(read_text(&m, whole), "");
	ck_assert_int_eq(sql_init(&sql, &m, '`', "ut.ee/registrar"), 0);
	ck_assert_int_eq(work_erase(&sql, &erasure, &x), 0);
	ck_assert_str_eq(buffer_cstr(&w.out),
		"UPDATE `name` SET `given` = NULL WHERE `university` = ? AND `id` = ?\n\tut.ee, M1\n"
		"UPDATE `student` SET `family` = NULL, `gender` = NULL WHERE `university` = ? AND `id` = ?\n\tut.ee, "
		"M1\n"
		"DELETE FROM `run` WHERE `university` = ? AND `id` = ?\n\tut.ee, C1\n"
		"DELETE FROM `catalogue`.`course` WHERE `university` = ? AND `id` = ?\n\tut.ee, C1\n" RECORD(
			"DIGEST, ut.ee, id-1, NULL, NULL, NULL, NULL, DIGEST"));
	buffer_deinit(&w.out);
	sql_deinit(&sql);
	mapping_deinit(&m);
}
END_TEST

#define PERSONS                                                                                                        \
	"connection: DSN=x\ntables:\n  - topic: mobility.nomination\n    table: s.student\n    revision: revision\n"   \
	"    key: {id: subject, university: source}\n"                                                                 \
	"    columns: {esi: data.student.esi, pid: data.student.personId, x: data.activityType}\n"                     \
	"    rows: [{table: s.name, each: data.student.names, columns: {given: given}}]\n"

/* A person is found by the columns that hold an identifier, the rows of a list by those of their row; a table without such a
 * column is known. */
START_TEST(test_person)
{
	const struct work_erasure erasure = {.source = "ut.ee", .person = "urn:x:1"};
	struct writer w = {0};
	struct executor x = {&w, run, seen};
	struct mapping m;
	struct sql sql;

	ck_assert_str_eq(read_text(&m, PERSONS), "");
	ck_assert_ptr_null(mapping_blind(&m));
	ck_assert_int_eq(sql_init(&sql, &m, '`', "ut.ee/registrar"), 0);
	ck_assert_int_eq(work_erase(&sql, &erasure, &x), 0);
	ck_assert_str_eq(buffer_cstr(&w.out),
		"DELETE FROM `s`.`name` WHERE EXISTS (SELECT 1 FROM `s`.`student` WHERE `university` = ? AND "
		"(`esi` = ? OR `pid` = ?) AND `id` = `s`.`name`.`id` AND `university` = `s`.`name`.`university`)\n"
		"\tut.ee, urn:x:1, urn:x:1\n"
		"DELETE FROM `s`.`student` WHERE `university` = ? AND (`esi` = ? OR `pid` = ?)\n"
		"\tut.ee, urn:x:1, urn:x:1\n");
	sql_deinit(&sql);
	mapping_deinit(&m);

	ck_assert_str_eq(read_text(&m, whole), "");
	ck_assert_ptr_eq(mapping_blind(&m), &m.tables[1]);
	mapping_deinit(&m);
	buffer_deinit(&w.out);
}
END_TEST

/* Applied events are pruned now and then, and events of topics that the mapping does not have cost nothing. */
START_TEST(test_prune_and_pass)
{
	struct work_event e = example("course.offering", 2), other = example("label.programme", 1);
	struct writer w = {0};
	struct mapping m;
	char id[16];

	e.id = id;
	e.sequence = 511;
	ck_assert_str_eq(read_text(&m, whole), "");
	run_event(&w, &m, &other);
	ck_assert_uint_eq(w.out.len, 0);
	e.settled = 500;
	for (unsigned i = 0; i < 4096 && (i == 0 || strstr(buffer_cstr(&w.out), "DELETE FROM `kept`") == NULL); i++) {
		buffer_clear(&w.out);
		snprintf(id, sizeof id, "id-%u", i);
		run_event(&w, &m, &e);
	}
	ck_assert_ptr_nonnull(strstr(buffer_cstr(&w.out), "DELETE FROM `kept`.`applied` WHERE `channel` = ? AND "
							  "`sequence` < ? AND `object` IS NULL\n\tDIGEST, 500\n"));

	/* Not of a channel of which nothing is settled. */
	buffer_clear(&w.out);
	e.settled = 0;
	run_event(&w, &m, &e);
	ck_assert_ptr_null(strstr(buffer_cstr(&w.out), "DELETE FROM `kept`"));
	json_decref(e.json);
	json_decref(other.json);
	buffer_deinit(&w.out);
	mapping_deinit(&m);
}
END_TEST

/* ---- memory ---- */

/* All there is, once. 0, or that something failed. */
static int everything(const struct work_event *e, const struct work_event *back)
{
	static const char *const ids[] = {"id-1", NULL}, *const subjects[] = {"mobility/M1", "course/C1", NULL};
	const struct work_erasure erasure = {"ut.ee", "urn:x:1", ids, subjects};
	struct writer w = {0};
	struct executor x = {&w, run, seen};
	struct problems problems = {0};
	char reason[WORK_REASON_MAX];
	struct work work = {0}, taken = {0};
	struct sql sql = {0};
	struct mapping m;
	int r = mapping_parse(&m, "f.yaml", bytes_str(whole), &problems);

	if (r == 0)
		r = sql_init(&sql, &m, '"', "ut.ee/registrar");
	if (r == 0)
		r = work_prepare(&work, &sql, e, reason);
	if (r == 0)
		r = work_prepare(&taken, &sql, back, reason);
	if (r == 0)
		r = work_run(&work, &x);
	if (r == 0)
		r = work_run(&taken, &x);
	if (r == 0)
		r = work_erase(&sql, &erasure, &x);
	if (r == 0)
		r = w.out.error;
	work_deinit(&work);
	work_deinit(&taken);
	sql_deinit(&sql);
	mapping_deinit(&m);
	problems_deinit(&problems);
	buffer_deinit(&w.out);
	return r;
}

/* Whichever allocation fails, it is said, and nothing is lost or freed twice. */
START_TEST(test_memory)
{
	struct work_event e = example("course.offering", 2), back = example("course.withdrawal", 1);
	unsigned long n = 0;
	int r;

	do {
		allocations = 0;
		fail_after = ++n;
		r = everything(&e, &back);
		fail_after = 0;
		ck_assert(r == 0 || r == -ENOMEM || r == MAPPING_BAD);
	} while (r != 0 || allocations >= n);
	ck_assert_uint_gt(n, 300);
	json_decref(e.json);
	json_decref(back.json);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sql_mapping");
	TCase *tc = tcase_create("mapping");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_broken_mappings, 0, sizeof broken / sizeof *broken);
	tcase_add_loop_test(tc, test_places, 0, sizeof places / sizeof *places);
	tcase_add_loop_test(tc, test_values, 0, sizeof values / sizeof *values);
	tcase_add_test(tc, test_translation);
	tcase_add_test(tc, test_state);
	tcase_add_test(tc, test_withdrawal);
	tcase_add_test(tc, test_erasure);
	tcase_add_test(tc, test_person);
	tcase_add_test(tc, test_prune_and_pass);
	tcase_add_test(tc, test_memory);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
