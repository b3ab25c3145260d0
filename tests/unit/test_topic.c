#include "core/rule.h"
#include "core/topic.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* The table is sorted by name, without repetition, and every topic is found under its name and its type. */
START_TEST(test_table)
{
	for (size_t i = 0; i < n_topics; i++) {
		char type[128];

		if (i > 0)
			ck_assert_msg(strcmp(topics[i - 1].name, topics[i].name) < 0, "%s", topics[i].name);
		ck_assert_ptr_eq(topic_find(topics[i].name), &topics[i]);
		ck_assert_ptr_eq(topic_of_type(topics[i].type), &topics[i]);
		snprintf(type, sizeof type, "eu.enlight.%s.v1", topics[i].name);
		ck_assert_str_eq(topics[i].type, type);
		ck_assert(strncmp(topics[i].name, topics[i].family, strlen(topics[i].family)) == 0);
	}
	ck_assert_ptr_null(topic_find("mobility.nominations"));
	ck_assert_ptr_null(topic_of_type("eu.enlight.mobility.nomination.v2"));
}
END_TEST

/* Each row says everything: who publishes, for what, how long; what is personal says so in its class. */
START_TEST(test_rows_are_whole)
{
	for (size_t i = 0; i < n_topics; i++) {
		const struct topic *t = &topics[i];

		ck_assert_msg(t->message != NULL && t->publisher != NULL && t->purpose != NULL && t->example != NULL &&
				      t->rules != NULL && t->keep_days > 0 && t->data_class != NULL,
			"%s", t->name);
		ck_assert_msg(t->personal == (strcmp(t->data_class, "personal") == 0), "%s", t->name);
		ck_assert_msg(
			t->persons == NULL || t->personal || strcmp(t->name, "person.erasure") == 0, "%s", t->name);
	}
}
END_TEST

/* A message type of the contract may hold no other than these: what has no lower bound on its nesting, no presence, or
 * another form in JSON than one text or number stays out. */
static void check_type(const ProtobufCMessageDescriptor *type, const struct rule_set *set, unsigned depth)
{
	ck_assert_msg(depth < 8, "%s is recursive", type->name);
	ck_assert_ptr_eq(set->type, type);
	ck_assert_uint_le(type->n_fields, 40);
	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &type->fields[i];
		const struct rule *r = &set->rules[i];

		ck_assert_msg(f->label != PROTOBUF_C_LABEL_NONE, "%s.%s: proto2 has presence", type->name, f->name);
		ck_assert_msg((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0, "%s.%s", type->name, f->name);
		ck_assert_msg(f->type != PROTOBUF_C_TYPE_ENUM && f->type != PROTOBUF_C_TYPE_FLOAT &&
				      f->type != PROTOBUF_C_TYPE_DOUBLE,
			"%s.%s", type->name, f->name);
		ck_assert_msg(r->field != NULL && strcmp(r->field, f->name) == 0,
			"%s.%s: its rule stands in another row", type->name, f->name);
		ck_assert_msg((f->type == PROTOBUF_C_TYPE_MESSAGE) == (r->kind == RULE_MESSAGE), "%s.%s", type->name,
			f->name);
		ck_assert_msg(f->type != PROTOBUF_C_TYPE_STRING || r->kind != RULE_ANY, "%s.%s: text without a rule",
			type->name, f->name);
		ck_assert_msg((r->min == 0 && r->max == 0) || f->label == PROTOBUF_C_LABEL_REPEATED, "%s.%s",
			type->name, f->name);
		ck_assert_msg(r->kind != RULE_ONE_OF || r->list != NULL, "%s.%s", type->name, f->name);
		if (f->type == PROTOBUF_C_TYPE_MESSAGE)
			check_type(f->descriptor, r->set, depth + 1);
	}
}

/* No message recurses, has enumerations, floating point or oneofs, and every text has a rule in the right row. */
START_TEST(test_messages)
{
	for (size_t i = 0; i < n_topics; i++)
		check_type(topics[i].message, topics[i].rules, 0);
}
END_TEST

/* Every place that the table names exists and is a text. */
START_TEST(test_places)
{
	for (size_t i = 0; i < n_topics; i++) {
		const char *const *const lists[] = {topics[i].roles, topics[i].persons};
		const struct bytes nothing = {(const uint8_t *)"", 0};
		struct bytes value;

		for (size_t l = 0; l < 2; l++)
			for (const char *const *p = lists[l]; p != NULL && *p != NULL; p++)
				ck_assert_uint_eq(place_values(topics[i].message, nothing, *p, &value, 1), 0);
		if (topics[i].id != NULL)
			ck_assert_uint_eq(place_values(topics[i].message, nothing, topics[i].id, &value, 1), 0);
	}
}
END_TEST

/* A pattern covers whole words; one that covers nothing is a slip. */
START_TEST(test_patterns)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
		{"*", "course.offering", true},
		{"course.*", "course.offering", true},
		{"*.decision", "course.decision", true},
		{"course.offering", "course.offering", true},
		{"course.*", "courses.offering", false},
		{"*.decision", "course.offering", false},
		{"course.offering", "course.offerings", false},
		{"node.*", "node.checkpoint", true},
		{"node.*", "node.act", false}, /* what a node says to itself has to be meant */
		{"*.act", "node.act", false},
		{"*", "node.act", false},
		{"node.act", "node.act", true},
	};
	static const char *const good[] = {"*", "course.*", "*.withdrawal", "label.learner"};
	static const char *const bad[] = {
		"", "cour*", "cour*.offering", "courses.*", "*.*", "*ing", "course.*ing", "**", "*.act"};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg(
			topic_matches(cases[i].pattern, cases[i].name) == cases[i].matches, "%s", cases[i].pattern);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(topic_pattern_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!topic_pattern_valid(bad[i]), "%s", bad[i]);
}
END_TEST

/* The topic's name is found in a type of our form, also for topics of later versions. */
START_TEST(test_names_in_types)
{
	static const struct {
		const char *type, *name;
	} cases[] = {
		{"eu.enlight.course.offering.v1", "course.offering"},
		{"eu.enlight.course.offering.v12", "course.offering"},
		{"eu.enlight.library.loan.v3", "library.loan"},
		{"eu.enlight.course.offering", NULL},
		{"eu.enlight.course.offering.v", NULL},
		{"eu.enlight.course.offering.v0", NULL},
		{"eu.enlight.course.v1", NULL},
		{"eu.enlight.v1", NULL},
		{"com.example.course.offering.v1", NULL},
		{"", NULL},
	};
	char name[129];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_msg(topic_name_of_type(name, cases[i].type) == (cases[i].name != NULL), "%s", cases[i].type);
		if (cases[i].name != NULL)
			ck_assert_str_eq(name, cases[i].name);
	}
}
END_TEST

static int count_line(void *context, const struct rule_line *line)
{
	unsigned *n = context;

	ck_assert(line->place != NULL && line->type != NULL && line->rule != NULL);
	if (strcmp(line->place, "student.names[].family") == 0) {
		ck_assert_str_eq(line->type, "text");
		ck_assert(line->required && !line->repeated);
	}
	if (strcmp(line->place, "student.gender") == 0)
		ck_assert_str_eq(line->rule, "one of UNKNOWN, MALE, FEMALE, NOT_APPLICABLE");
	++*n;
	return 0;
}

static int stop(void *context, const struct rule_line *line)
{
	return 7;
}

/* The manual is printed from the rules: every field with its type and rule. */
START_TEST(test_fields_for_people)
{
	unsigned n = 0;

	ck_assert_int_eq(rule_each(topic_find("mobility.nomination"), count_line, &n), 0);
	ck_assert_uint_gt(n, 50);
	ck_assert_int_eq(rule_each(topic_find("mobility.nomination"), stop, NULL), 7);
}
END_TEST

static const struct {
	enum rule_kind kind;
	const char *good[5], *bad[12];
} kinds[] = {
	{RULE_ID, {"a", "CR/1", "!~"},
		{"", "a b", "é", "a\n", "12345678901234567890123456789012345678901234567890123456789012345"}},
	{RULE_CODE, {"ects", "x-2.0_b"}, {"", "a b", "a/b"}},
	{RULE_LINE, {"Göttingen", " "}, {"", "a\nb", "a\tb", "\x7f"}},
	{RULE_TEXT, {"a\nb\tc"}, {"", "a\x01", "\x1b[1m"}},
	{RULE_LANGUAGE, {"en", "ru-Cyrl", "und", "de-CH-1996"},
		{"", "e", "en_GB", "en-", "-en", "1n", "en-ninechars", "en--x"}},
	{RULE_DATE, {"2026", "2026-02", "2024-02-29", "2000-02-29"},
		{"", "26", "2026-13", "2026-00", "2026-02-29", "1900-02-29", "2026-04-31", "2026-1-1", "2026-01-00",
			"2026-01-01Z"}},
	{RULE_TIME, {"2026-11-23T09:30:00Z", "2026-11-23T09:30:00.123456789Z"},
		{"2026-11-23T09:30:00", "2026-11-23T09:30:00+01:00", "2026-11-23 09:30:00Z", "2026-11-23T24:00:00Z",
			"2026-11-23T09:60:00Z", "2026-11-23T09:30:60Z", "2026-11-31T09:30:00Z", "2026-11-23T09:30:00.Z",
			"2026-11-23T09:30:00.1234567890Z", "2026-11-23t09:30:00z"}},
	{RULE_DECIMAL, {"6", "6.00", "0.5"}, {"", ".5", "6.", "-1", "1e3", "6,0", "1.2.3", "1234567890"}},
	{RULE_ISCED_F, {"0613"}, {"", "613", "06130", "061a"}},
	{RULE_EQF, {"1", "8"}, {"", "0", "9", "07"}},
	{RULE_CEFR, {"A1", "C2", "NS"}, {"", "A3", "D1", "a1", "B2+"}},
	{RULE_COUNTRY, {"BE"}, {"", "be", "BEL", "B1"}},
	{RULE_ACADEMIC_YEAR, {"2026/2027", "1999/2000"}, {"", "2026", "2026/2026", "2026/2028", "2026-2027"}},
	{RULE_TERM, {"2026/2027-1/2", "2026/2027-3/3"},
		{"", "2026/2027", "2026/2027-0/2", "2026/2027-3/2", "2026/2028-1/2"}},
	{RULE_HANDLE, {"ugent.be"}, {"", "UGent.be", "ugent", "ugent.be/"}},
	{RULE_ESI, {"urn:schac:personalUniqueCode:int:esi:ut.ee:b41887", "urn:schac:personalUniqueCode:int:esi:NL:1"},
		{"", "ut.ee:b41887", "urn:schac:personalUniqueCode:int:esi:ut.ee",
			"urn:schac:personalUniqueCode:int:esi:ut.ee:", "urn:schac:personalUniqueCode:int:esi::1",
			"urn:schac:personalUniqueCode:int:esi:ut.ee:a b"}},
	{RULE_ALLIANCE_ID, {"urn:schac:europeanUniversityAllianceCode:int:euai:ut.ee:1"},
		{"", "urn:schac:personalUniqueCode:int:esi:ut.ee:1"}},
	{RULE_PERSON_ID, {"ut.ee:b41887"}, {"", "b41887", "ut.ee:", "UT.ee:1", "ut.ee:a b"}},
	{RULE_PERSON, {"ut.ee:b41887", "urn:schac:personalUniqueCode:int:esi:ut.ee:1"}, {"", "b41887"}},
	{RULE_EMAIL, {"a@b.eu"}, {"", "a", "@b", "a@", "a@b@c", "a b@c"}},
	{RULE_URL, {"https://ut.ee/x?y=1", "http://ut.ee"},
		{"", "ftp://ut.ee", "javascript:1", "https://a b", "https://a\nb", "https://a\tb", "https://"}},
	{RULE_MEDIA_TYPE, {"application/pdf"}, {"", "pdf", "/pdf", "application/", "a/b/c"}},
	{RULE_FILE_NAME, {"transcript.pdf"}, {"", "../etc/passwd", ".profile", "a\\b", "a/b"}},
	{RULE_TOPIC, {"mobility.nomination", "x.y"}, {"", "mobility", ".x", "x.", "x y.z"}},
	{RULE_SUBJECT, {"mobility/1", "course/CR/1"}, {"", "mobility", "/1", "mobility/", "mobility/a b"}},
};

/* Each kind of rule takes its own and nothing else. */
START_TEST(test_kinds)
{
	for (size_t i = 0; kinds[_i].good[i] != NULL; i++)
		ck_assert_msg(rule_holds(kinds[_i].kind, kinds[_i].good[i], strlen(kinds[_i].good[i])), "%s",
			kinds[_i].good[i]);
	for (size_t i = 0; kinds[_i].bad[i] != NULL; i++)
		ck_assert_msg(!rule_holds(kinds[_i].kind, kinds[_i].bad[i], strlen(kinds[_i].bad[i])), "%s: %s",
			rule_text(kinds[_i].kind), kinds[_i].bad[i]);
}
END_TEST

/* A control character is found wherever it stands, and no other byte is taken for one. */
START_TEST(test_control_characters)
{
	char text[21];

	for (int c = 0; c < 256; c++)
		for (size_t at = 0; at < sizeof text; at++) {
			bool control = c < 0x20 || c == 0x7f, space = c == '\t' || c == '\n' || c == '\r';

			memset(text, 0xe9, sizeof text);
			text[at] = (char)c;
			ck_assert_int_eq(rule_holds(RULE_LINE, text, sizeof text), !control);
			ck_assert_int_eq(rule_holds(RULE_TEXT, text, sizeof text), !control || space);
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("topic");
	TCase *tc = tcase_create("topic");

	tcase_add_test(tc, test_table);
	tcase_add_test(tc, test_control_characters);
	tcase_add_test(tc, test_rows_are_whole);
	tcase_add_test(tc, test_messages);
	tcase_add_test(tc, test_places);
	tcase_add_test(tc, test_patterns);
	tcase_add_test(tc, test_names_in_types);
	tcase_add_test(tc, test_fields_for_people);
	tcase_add_loop_test(tc, test_kinds, 0, sizeof kinds / sizeof *kinds);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
