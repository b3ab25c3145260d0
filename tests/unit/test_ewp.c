#include "ewp/convert.h"
#include "ewp/document.h"
#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#define COURSES "courses.xml"
#define NOMINATIONS "nominations.xml"
#define MARK "Xanthippe" /* stands for a person's data in wrong values: no message may quote it */

/* ---- memory that runs out ---- */

static long fail_at = -1; /* this allocation from now on fails, and all after it; -1: none */
static bool has_failed;

static bool fails(void)
{
	if (fail_at < 0)
		return false;
	if (fail_at > 0) {
		fail_at--;
		return false;
	}
	has_failed = true;
	return true;
}

#include "failing_memory.h"

/* ---- documents ---- */

/* A document of tests/data/ewp, the caller's to free. */
static char *document(const char *name)
{
	char path[512];
	void *text;
	size_t len;

	snprintf(path, sizeof path, "%s/%s", EWP_DATA, name);
	ck_assert_int_eq(file_read(&text, &len, path, DOCUMENT_MAX), 0);
	return text;
}

/* The same with the first `old` replaced. The tests would pass for nothing if it were not there. */
static char *changed(const char *name, const char *old, const char *new)
{
	char *text = document(name), *found, *result;

	if (old == NULL)
		return text;
	found = strstr(text, old);
	ck_assert_msg(found != NULL, "%s has no: %s", name, old);
	ck_assert_int_gt(asprintf(&result, "%.*s%s%s", (int)(found - text), text, new, found + strlen(old)), 0);
	free(text);
	return result;
}

static int convert(struct ewp_result *out, const char *text, const char *audience)
{
	struct ewp_request request = {bytes_str(text), "uniba.sk", audience, NULL};

	return ewp_convert(out, &request);
}

static const char *audience_for(const char *name)
{
	return strcmp(name, COURSES) == 0 ? "network" : NULL;
}

/* All remarks as `LINE: TEXT`, with line ends between. The caller's to free. */
static char *said(struct remarks *r)
{
	char *all = NULL, *text;
	size_t len;
	FILE *out = open_memstream(&all, &len);

	remarks_print(r, "", out);
	fclose(out);
	text = all;
	for (char *s = all; *s != '\0'; s++) { /* without the name of the file */
		if (*s == ':' && (s == all || s[-1] == '\n'))
			s++;
		*text++ = *s;
	}
	while (text > all && text[-1] == '\n')
		text--;
	*text = '\0';
	return all;
}

/* Line `i` of the events. */
static json_t *event_of(const struct ewp_result *result, size_t i)
{
	const char *s = (const char *)result->events.data;
	json_error_t error;
	json_t *event;

	for (; i > 0; i--)
		s = strchr(s, '\n') + 1;
	event = json_loads(s, JSON_DISABLE_EOF_CHECK, &error);
	ck_assert_ptr_nonnull(event);
	return event;
}

static void check_data(const struct ewp_result *result, size_t i, const char *wanted)
{
	json_t *event = event_of(result, i), *expected = json_loads(wanted, 0, NULL);
	char *text = json_dumps(json_object_get(event, "data"), JSON_COMPACT);

	ck_assert_msg(expected != NULL, "the test's own JSON %zu", i);
	ck_assert_msg(json_equal(json_object_get(event, "data"), expected), "event %zu: %s", i, text);
	free(text);
	json_decref(expected);
	json_decref(event);
}

#define JSON(...) #__VA_ARGS__

/* Every element of courses has its place in the event, in the spelling of events. */
START_TEST(test_courses)
{
	/* clang-format off */
	static const char *const wanted[] = {
		JSON({"courseId": "CR/GEO-4410", "code": "GEO 4410", "ounitId": "fns-hydro", "kind": "course",
			"title": [{"lang": "en", "value": "Rivers & Groundwater"}, {"lang": "sk", "value": "Rieky a podzemná voda"}],
			"erasmusSubjectArea": "07.3", "iscedF": "0532", "eqfLevel": "7",
			"urls": [{"lang": "sk", "url": "https://example.org/sk/geo-4410"},
				{"url": "https://example.org/geo-4410?a=1&b=2"}],
			"description": [{"lang": "en",
				"value": "Wells, springs and the rivers between them.\n\nA week of field work in May."}],
			"runs": [{"runId": "CRI/GEO-4410-26", "start": "2026-09-21", "end": "2027-01-29",
				"term": {"academicYear": "2026/2027", "term": "2026/2027-1/2", "start": "2026-09-21", "end": "2027-02-14",
					"name": [{"lang": "en", "value": "Winter term"}, {"lang": "und", "value": "Zimný semester"}]},
				"gradingScheme": {"label": [{"lang": "und", "value": "A-FX"}],
					"description": [{"lang": "en", "value": "A is best; FX has failed."}]},
				"results": {"categories": [{"label": "A", "count": 7}, {"label": "B & below", "count": 12}],
					"description": [{"lang": "en", "value": "Winter 2025."}]},
				"credits": [{"scheme": "ects", "level": "master", "value": "6"}, {"scheme": "sk-hours", "value": "0.50"}],
				"language": "en", "engagementHours": "52.000000"}],
			"credits": [{"scheme": "ects", "level": "master", "value": "6"}, {"scheme": "sk-hours", "value": "0.50"}],
			"contains": ["CLS/GEO-4410-L", "CLS/GEO-4410-F"]}),
		JSON({"courseId": "MOD/ICE-1", "title": [{"lang": "und", "value": "Glaciology"}], "runs": [
			{"runId": "MODI/ICE-1a", "start": "2026-09-21", "end": "2026-12-18", "credits": [{"scheme": "ects", "value": "5"}]},
			{"runId": "MODI/ICE-1b", "start": "2027-02-15", "end": "2027-05-21", "credits": [{"scheme": "ects", "value": "4"}]}]}),
		JSON({"courseId": "DEP/GEO", "title": [{"lang": "en", "value": "Geology"}], "kind": "programme"}),
	};
	/* clang-format on */
	char *text = document(COURSES);
	struct ewp_result result;
	json_t *event;

	ck_assert_int_eq(convert(&result, text, "network"), 0);
	ck_assert_uint_eq(result.refused.n, 0);
	ck_assert_uint_eq(result.left_out.n, 0);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
		check_data(&result, i, wanted[i]);
	event = event_of(&result, 2);
	ck_assert_ptr_null(json_object_get(event, "id")); /* the node makes one */
	ck_assert_str_eq(json_string_value(json_object_get(event, "source")), "uniba.sk");
	ck_assert_str_eq(json_string_value(json_object_get(event, "type")), "eu.enlight.course.offering.v1");
	ck_assert_str_eq(json_string_value(json_object_get(event, "subject")), "course/DEP/GEO");
	ck_assert_str_eq(json_string_value(json_object_get(event, "enlightaudience")), "network");
	json_decref(event);
	ewp_result_deinit(&result);
	free(text);
}
END_TEST

/* Every element of nominations has its place in the event, which goes to the receiving university alone. */
START_TEST(test_nominations)
{
	/* clang-format off */
	static const char *const wanted[] = {
		JSON({"mobilityId": "7a1c0f52-0d1e-4a31-9a44-5d2f6f2b7e10",
			"student": {"names": [{"lang": "uk-Cyrl", "given": "Оксана Марта", "family": "Вигадана"},
					{"given": "Oksana Marta", "family": "Vyhadana"}],
				"esi": "urn:schac:personalUniqueCode:int:esi:uniba.sk:test-4401", "birthDate": "2004-02-29",
				"nationality": "UA", "gender": "FEMALE", "email": "oksana.vyhadana@example.org"},
			"proposalId": "P-1",
			"sending": {"heiId": "uniba.sk", "ounitId": "fns", "agreementId": "iia-77"},
			"receiving": {"heiId": "ut.ee", "ounitId": "LTOM", "agreementId": "ee-12"},
			"sendingTerm": "2026/2027-2/2", "receivingAcademicYear": "2026/2027", "activityType": "student-studies",
			"activityAttributes": "long-term", "agreementIscedF": "0532", "eqfLevel": "7", "studentIscedF": "0532",
			"comment": [{"lang": "und", "value": "Stays on for the field work in July."}],
			"status": {"code": "pending", "foreignValue": "pending", "foreignList": "ewp-omobilities-3"}}),
		JSON({"mobilityId": "m-2",
			"student": {"names": [{"given": "Ferko", "family": "Mrkvička"}],
				"esi": "urn:schac:personalUniqueCode:int:esi:sk:test-4402", "birthDate": "2005-11-03",
				"nationality": "SK", "gender": "NOT_APPLICABLE", "email": "ferko.mrkvicka@example.org"},
			"proposalId": "P-2", "sending": {"heiId": "uniba.sk"}, "receiving": {"heiId": "ugent.be"},
			"nonStandardPeriod": true, "receivingAcademicYear": "2026/2027", "activityType": "student-studies",
			"activityAttributes": "short-term-blended", "agreementIscedF": "0231", "eqfLevel": "6", "studentIscedF": "0231",
			"status": {"code": "approved", "foreignValue": "approved", "foreignList": "ewp-omobilities-3"}}),
	};
	/* clang-format on */
	static const char *const readers[] = {"ut.ee", "ugent.be"};
	char *text = document(NOMINATIONS);
	struct ewp_result result;
	json_t *event;

	ck_assert_int_eq(convert(&result, text, NULL), 0);
	ck_assert_uint_eq(result.left_out.n, 0);
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		check_data(&result, i, wanted[i]);
		event = event_of(&result, i);
		ck_assert_str_eq(json_string_value(json_object_get(event, "enlightaudience")), readers[i]);
		json_decref(event);
	}
	ewp_result_deinit(&result);
	free(text);
}
END_TEST

/* A change to a good document, and what is said of it, by line. */
struct variant {
	const char *document, *old, *new, *said;
};

#define ESI "urn:schac:personalUniqueCode:int:esi:uniba.sk:test-4401"
static const struct variant refused[] = {
	/* ids */
	{COURSES, "<los-id>CR/GEO", "<los-id>XX/" MARK,
		"5: los-id: CR/, CLS/, MOD/ or DEP/ and 1 to 40 characters of [!-~]"},
	{COURSES, "<los-id>CR/GEO-4410<", "<los-id>CR/12345678901234567890123456789012345678901<",
		"5: los-id: CR/, CLS/, MOD/ or DEP/ and 1 to 40 characters of [!-~]"},
	{COURSES, "<los-id>CLS/GEO-4410-F", "<los-id>CR/a b",
		"56: los-id: CR/, CLS/, MOD/ or DEP/ and 1 to 40 characters of [!-~]"},
	{COURSES, "<loi-id>CRI/", "<loi-id>CR/",
		"21: loi-id: CRI/, CLSI/, MODI/ or DEPI/ and 1 to 40 characters of [!-~]"},
	{COURSES, "<los-id>MOD/ICE-1<", "<los-id>CR/GEO-4410<",
		"59: learningOpportunitySpecification: has the id of the one in line 4, and says other things"},
	{COURSES, "<ounit-id>fns-hydro", "<ounit-id>fns hydro", "7: ounit-id: 1 to 64 characters of [!-~]"},
	{NOMINATIONS, "7a1c0f52-", MARK "  ", "4: omobility-id: 1 to 64 characters of [!-~]"},
	{NOMINATIONS, "proposal-id=\"P-1\"", "proposal-id=\"P 1\"", "16: @proposal-id: 1 to 64 characters of [!-~]"},
	/* dates, numbers, codes */
	{COURSES, "<end>2027-01-29", "<end>2026-09-20", "23: end: not before start"},
	{COURSES, "<start>2026-09-21", "<start>2026-09-31", "22: start: a date that exists: YYYY-MM-DD"},
	{COURSES, "<start>2026-09-21", "<start>2026-09", "22: start: a date that exists: YYYY-MM-DD"},
	{COURSES, "<t:end-date>2027-02-14", "<t:end-date>2026-02-14", "30: end-date: not before start"},
	{COURSES, "<value>6.<", "<value>-6<", "44: value: a decimal as text, without sign and exponent: 6 or 6.00"},
	{COURSES, "<value>6.<", "<value>.<", "44: value: a decimal as text, without sign and exponent: 6 or 6.00"},
	{COURSES, "<value>6.<", "<value>6e1<", "44: value: a decimal as text, without sign and exponent: 6 or 6.00"},
	{COURSES, "<value>6.<", "<value>6.0000001<",
		"44: value: a decimal as text, without sign and exponent: 6 or 6.00"},
	{COURSES, "count=\"7\"", "count=\"4294967296\"", "37: @count: a whole number from 0 to 4294967295"},
	{COURSES, "count=\"7\"", "count=\"-7\"", "37: @count: a whole number from 0 to 4294967295"},
	{COURSES, "<eqfLevelProvided>07", "<eqfLevelProvided>9", "13: eqfLevelProvided: 1 to 8 (EQF)"},
	{COURSES, "<scheme>sk-hours", "<scheme>sk hours",
		"47: scheme: a code: 1 to 64 characters of [A-Za-z0-9._-]; known: ects"},
	{COURSES, "<url>https:", "<url>ftp:",
		"15: url: an address beginning with https:// or http://, at most 2000 bytes"},
	{COURSES, "GEO 4410<", "GEO\n4410<",
		"6: los-code: text of one line, not empty, at most 1000 bytes, without control characters"},
	{NOMINATIONS, "2004-02-29", "2005-02-29", "11: birth-date: a date that exists: YYYY-MM-DD"},
	{NOMINATIONS, ">2</om:gender", ">3</om:gender", "13: gender: 0, 1, 2 or 9 (ISO/IEC 5218)"},
	{NOMINATIONS, ">UA<", ">" MARK "<", "12: nationality: two capital letters (ISO 3166-1)"},
	{NOMINATIONS, ESI, "urn:schac:personalUniqueCode:int:" MARK,
		"10: global-id: urn:schac:personalUniqueCode:int:esi:SCOPE:CODE (European Student Identifier)"},
	{NOMINATIONS, "vyhadana@example.org", MARK, "14: email: an address NAME@DOMAIN"},
	{NOMINATIONS, "Vyhadana<", MARK "\n<",
		"9: family-name: text of one line, not empty, at most 1000 bytes, without control characters"},
	{NOMINATIONS, ">2026/2027-2/2<", ">2026/2027-3/2<",
		"27: sending-academic-term-ewp-id: a term, the first of two for example: 2026/2027-1/2"},
	{NOMINATIONS, ">2026/2027<", ">2026/2026<",
		"28: receiving-academic-year-id: an academic year, two years in a row: 2026/2027"},
	{NOMINATIONS, ">0532<", ">532<", "31: agreement-isced-f-code: four digits (ISCED-F 2013)"},
	/* what is missing, empty or there twice */
	{COURSES, "<los-id>CR/GEO-4410</los-id>", "", "4: learningOpportunitySpecification: los-id is missing"},
	{COURSES, "<title>Glaciology</title>", "", "59: learningOpportunitySpecification: title is missing"},
	{COURSES, "<title>Glaciology</title>", "<title> </title>", "61: title: empty, and it is required"},
	{COURSES, "<end>2027-01-29</end>", "", "20: learningOpportunityInstance: end is missing"},
	{COURSES, "<t:academic-year-id>2026/2027</t:academic-year-id>", "",
		"24: academic-term: academic-year-id is missing"},
	{COURSES, " count=\"7\"", "", "37: category: @count is missing"},
	{COURSES, "<value>6.</value>", "", "41: credit: value is missing"},
	{COURSES, "<start>2026-09-21</start>", "<start>2026-09-21</start>\n<start>2026-09-21</start>",
		"23: start: comes twice"},
	{COURSES, "<contains>", "<contains/>\n<contains>", "55: contains: comes twice"},
	{NOMINATIONS, "<om:status>pending</om:status>", "", "3: student-mobility: status is missing"},
	{NOMINATIONS, " proposal-id=\"P-1\"", "", "16: nomination: @proposal-id is missing"},
	{NOMINATIONS, "<om:non-standard-mobility-period/>", "",
		"49: nomination: sending-academic-term-ewp-id or non-standard-mobility-period is missing"},
	{NOMINATIONS, "<om:receiving-academic-year-id>",
		"\n<om:non-standard-mobility-period/><om:receiving-academic-year-id>",
		"29: non-standard-mobility-period: only one of sending-academic-term-ewp-id or "
		"non-standard-mobility-period"},
	{NOMINATIONS, "<om:email>oksana.vyhadana@example.org</om:email>", "<om:email/>",
		"14: email: empty, and it is required"},
	/* whose it is, and who may read it */
	{NOMINATIONS, "<om:hei-id>uniba.sk", "<om:hei-id>uu.se",
		"18: hei-id: not --member, and a member publishes its own objects alone"},
	{NOMINATIONS, "<om:hei-id>ut.ee", "<om:hei-id>uniba.sk",
		"22: receiving-hei: another university than the sending one"},
	{NOMINATIONS, "<om:hei-id>ut.ee", "<om:hei-id>UT.ee",
		"23: hei-id: a university's domain in lower case: ugent.be"},
	/* several at once, and by line */
	{NOMINATIONS, "<om:student>", "<om:student/><om:comment/>\n<om:student>",
		"5: student: given-names is missing\n5: student: family-name is missing\n"
		"5: student: global-id is missing\n5: student: birth-date is missing\n5: student: nationality is "
		"missing\n"
		"5: student: gender is missing\n5: student: email is missing\n6: student: comes twice"},
	/* not XML, or not a document of ours */
	{COURSES, "</title>\n    <title xml", "</titel>\n    <title xml",
		"8: not well-formed: an end tag does not fit its start tag (libxml2 76)"},
	{COURSES, "GEO 4410<", "GEO & " MARK "<",
		"6: not well-formed: a name is missing, or & stands where &amp; should (libxml2 68)"},
	{COURSES, "GEO 4410<", "GEO &" MARK ";<", "6: not well-formed: an entity that nobody declared (libxml2 26)"},
	{COURSES, "GEO 4410<", "GEO \xff" MARK "<",
		"6: not well-formed: a character that XML does not allow (libxml2 9)"},
	{COURSES, "GEO 4410<", "GEO &#1;<", "6: not well-formed: a character that XML does not allow (libxml2 9)"},
	{COURSES, "<t:ewp-id>", "<x:ewp-id>", "26: not well-formed: a prefix that nobody declared (libxml2 201)"},
	{COURSES, "</courses-response>", "", "83: not well-formed: an element has no end (libxml2 77)"},
	{COURSES, "<courses-response",
		"<!DOCTYPE a SYSTEM \"/etc/passwd\" [<!ENTITY b \"" MARK "\">]>\n<courses-response",
		"2: a document type declaration is not taken"},
	{COURSES, "ewp-specs-api-courses/tree/stable-v1", "ewp-specs-api-courses/tree/stable-v2",
		"3: courses-response: of another version than courses 0.7.1, by its namespace"},
	{NOMINATIONS, "stable-v3", "stable-v2",
		"2: omobilities-get-response: of another version than omobilities 3.0.0, by its namespace"},
};

static void check_variant(const struct variant *v, bool is_refused)
{
	char *text = changed(v->document, v->old, v->new), *seen;
	struct ewp_result result;

	ck_assert_int_eq(convert(&result, text, audience_for(v->document)), is_refused ? EWP_REFUSED : 0);
	seen = said(is_refused ? &result.refused : &result.left_out);
	ck_assert_str_eq(seen, v->said);
	ck_assert_ptr_null(strstr(seen, MARK));
	ck_assert_msg((result.events.len == 0) == is_refused, "all or nothing");
	free(seen);
	ewp_result_deinit(&result);
	free(text);
}

/* What is missing or breaks a rule is refused by its line, and nothing of the document comes out. */
START_TEST(test_refused)
{
	check_variant(&refused[_i], true);
}
END_TEST

static const struct variant left_out[] = {
	{COURSES, "<type>Course", "<type>" MARK,
		"10: not carried: type: a word that this version of the standard does not have"},
	{COURSES, "<level>Master", "<level>Short cycle",
		"43: not carried: level: a word that this version of the standard does not have"},
	{COURSES, "<iscedCode>0532", "<iscedCode>053",
		"12: not carried: iscedCode: a code that is not four digits (ISCED-F 2013)"},
	{COURSES, "<t:academic-year-id>2026/2027", "<t:academic-year-id>2026/2026",
		"25: not carried: academic-year-id: an academic year that is not two years in a row"},
	{COURSES, "<t:ewp-id>2026/2027", "<t:ewp-id>2026/2026",
		"26: not carried: ewp-id: a term that is not of an academic year of two years in a row"},
	{COURSES, "<start>2026-09-21", "<start>2026-09-21+02:00", "22: not carried: start: its time zone"},
	{COURSES, "xml:lang=\"sk\">Rieky", "xml:lang=\"i-hak\">Rieky",
		"9: not carried: title: its xml:lang, which does not begin with a language"},
	{COURSES, "<languageOfInstruction>en", "<languageOfInstruction>x-elvish",
		"50: not carried: languageOfInstruction: a language tag that does not begin with a language"},
	{COURSES, "<los-code>GEO 4410", "<los-code>", "6: not carried: los-code: empty"},
	{COURSES, "<title xml:lang=\"en\">Rivers &amp; Groundwater", "<title>", "8: not carried: title: empty"},
	{COURSES, "<los-code>", "<teacher>" MARK "</teacher><los-code>",
		"6: not carried: teacher: no place in the event"},
	{COURSES, "<los-code>", "<t:type>Course</t:type><los-code>", "6: not carried: type: no place in the event"},
	{COURSES, "<los-code>GEO", "<los-code>GEO<b>" MARK "</b>", "6: not carried: b: no place in the event"},
	{COURSES, "<los-code>", "<los-code who=\"" MARK "\" xml:lang=\"en\">",
		"6: not carried: attribute who of los-code\n6: not carried: attribute lang of los-code"},
	{COURSES, "count=\"7\"", "count=\"7\" share=\"0.3\"", "37: not carried: attribute share of category"},
	{COURSES, "<contains>", "<contains>" MARK, "54: not carried: contains: text between its elements"},
	{COURSES, "\n</courses-response>", "\n<next/></courses-response>",
		"82: not carried: next: no place in an event"},
	{NOMINATIONS, "<om:non-standard-mobility-period/>",
		"<om:non-standard-mobility-period>" MARK "</om:non-standard-mobility-period>",
		"56: not carried: non-standard-mobility-period: what is in it"},
	{NOMINATIONS, "<om:given-names xml:lang=\"uk-Cyrl\"", "<om:given-names xml:lang=\"uk-Latn\"",
		"7: not carried: given-names: there is no family-name for it"},
	{NOMINATIONS, "<om:given-names>Ferko", "<om:given-names xml:lang=\"sk\">Ferko",
		"41: not carried: given-names: its xml:lang, which the family-name does not have"},
};

/* What an event has no place for is said by its line, quoting nothing, and the rest is carried. */
START_TEST(test_left_out)
{
	check_variant(&left_out[_i], false);
}
END_TEST

/* The same object twice is one event. */
START_TEST(test_twice)
{
	char *text = document(COURSES), *object = strstr(text, "  <learningOpportunitySpecification>\n    <los-id>DEP"),
	     *twice, *seen;
	char *end = strstr(text, "</courses-response>");
	struct ewp_result result;
	size_t n = 0;

	ck_assert_int_gt(asprintf(&twice, "%.*s%.*s%s", (int)(end - text), text, (int)(end - object), object, end), 0);
	ck_assert_int_eq(convert(&result, twice, "network"), 0);
	for (size_t i = 0; i < result.events.len; i++)
		n += result.events.data[i] == '\n';
	ck_assert_uint_eq(n, 3);
	seen = said(&result.left_out);
	ck_assert_str_eq(seen, "82: not carried: learningOpportunitySpecification: the same as in line 77");
	free(seen);
	ewp_result_deinit(&result);
	free(twice);
	free(text);
}
END_TEST

/* Courses are for whom the request says, nominations for the receiving university alone, whatever it says. */
START_TEST(test_audience)
{
	static const struct {
		const char *document, *audience;
		int outcome;
		const char *said;
	} cases[] = {
		{COURSES, NULL, EWP_WHOSE_AUDIENCE, ""},
		{COURSES, "rug.nl,ut.ee", 0, ""},
		{NOMINATIONS, NULL, 0, ""},
		{NOMINATIONS, "ut.ee", EWP_REFUSED,
			"54: hei-id: not the --audience; it is about a person and goes to this university alone (leave "
			"--audience out)"},
		{NOMINATIONS, "network", EWP_REFUSED,
			"23: hei-id: not the --audience; it is about a person and goes to this university alone (leave "
			"--audience out)\n"
			"54: hei-id: not the --audience; it is about a person and goes to this university alone (leave "
			"--audience out)"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = document(cases[i].document), *seen;
		struct ewp_result result;

		ck_assert_int_eq(convert(&result, text, cases[i].audience), cases[i].outcome);
		seen = said(&result.refused);
		ck_assert_str_eq(seen, cases[i].said);
		free(seen);
		ewp_result_deinit(&result);
		free(text);
	}
}
END_TEST

/* Lines are right beyond those that libxml2 counts. */
START_TEST(test_many_lines)
{
	enum { LINES = 70000 };
	char *blank = malloc(LINES + 1), *text, *seen;
	struct ewp_result result;

	memset(blank, '\n', LINES);
	blank[LINES] = '\0';
	text = changed(COURSES, "<los-id>MOD/ICE-1</los-id>", blank);
	free(blank);
	ck_assert_int_eq(convert(&result, text, "network"), EWP_REFUSED);
	seen = said(&result.refused);
	ck_assert_str_eq(seen, "59: learningOpportunitySpecification: los-id is missing");
	free(seen);
	ewp_result_deinit(&result);
	*strstr(text, "MODI/") = 'N';
	ck_assert_int_eq(convert(&result, text, "network"), EWP_REFUSED);
	seen = said(&result.refused);
	ck_assert_str_eq(seen, "59: learningOpportunitySpecification: los-id is missing\n"
			       "70064: loi-id: CRI/, CLSI/, MODI/ or DEPI/ and 1 to 40 characters of [!-~]");
	free(seen);
	ewp_result_deinit(&result);
	free(text);
}
END_TEST

/* Lists longer than any event are refused at once, and an event that is too large by its line. */
START_TEST(test_limits)
{
	struct buffer names = {0};
	struct ewp_result result;
	char *text, *seen;

	for (size_t i = 0; i < 5000; i++)
		buffer_str(&names, "<title>T</title>");
	text = changed(COURSES, "<title>Glaciology</title>", buffer_cstr(&names));
	ck_assert_int_eq(convert(&result, text, "network"), EWP_REFUSED);
	seen = said(&result.refused);
	ck_assert_str_eq(seen, "61: title: more than an event has room for");
	free(seen);
	ewp_result_deinit(&result);
	free(text);

	buffer_clear(&names);
	buffer_str(&names, "<title>Ice</title>");
	for (size_t i = 0; i < 10; i++) {
		buffer_str(&names, "<description>");
		for (size_t k = 0; k < 30000; k++)
			buffer_str(&names, "i");
		buffer_str(&names, "</description>");
	}
	text = changed(COURSES, "<title>Glaciology</title>", buffer_cstr(&names));
	ck_assert_int_eq(convert(&result, text, "network"), EWP_REFUSED);
	seen = said(&result.refused);
	ck_assert_str_eq(seen,
		"59: learningOpportunitySpecification: an event of at most 196352 bytes; documents go out in "
		"pieces (document.part)");
	free(seen);
	ewp_result_deinit(&result);
	free(text);
	buffer_deinit(&names);
}
END_TEST

static const struct variant short_of_memory[] = {
	{COURSES, NULL, NULL, NULL},
	{NOMINATIONS, NULL, NULL, NULL},
	{NOMINATIONS, "<om:given-names xml:lang=\"uk-Cyrl\"", "<om:given-names xml:lang=\"uk-Latn\"", NULL},
	{NOMINATIONS, "2004-02-29", "2005-02-29", NULL},
	{NOMINATIONS, ">UA<", ">ua<", NULL},
	{NOMINATIONS, "<om:non-standard-mobility-period/>", "", NULL},
};

/* Memory that runs out at any point is told as that, and leaks nothing. */
START_TEST(test_memory)
{
	const struct variant *v = &short_of_memory[_i];
	char *text = changed(v->document, v->old, v->new);
	struct ewp_result result;
	int r, whole;

	whole = convert(&result, text, audience_for(v->document));
	ewp_result_deinit(&result);
	json_set_alloc_funcs(__wrap_malloc, free);
	for (long n = 0;; n++) {
		fail_at = n;
		has_failed = false;
		r = convert(&result, text, audience_for(v->document));
		fail_at = -1;
		if (r != -ENOMEM)
			ck_assert_int_eq(r, whole);
		else
			ck_assert_uint_eq(result.events.len, 0);
		ewp_result_deinit(&result);
		if (!has_failed)
			break;
		ck_assert_msg(r == -ENOMEM || whole != 0, "allocation %ld failed, and nobody says so", n);
	}
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ewp");
	TCase *tc = tcase_create("ewp");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_courses);
	tcase_add_test(tc, test_nominations);
	tcase_add_loop_test(tc, test_refused, 0, sizeof refused / sizeof *refused);
	tcase_add_loop_test(tc, test_left_out, 0, sizeof left_out / sizeof *left_out);
	tcase_add_test(tc, test_twice);
	tcase_add_test(tc, test_audience);
	tcase_add_test(tc, test_many_lines);
	tcase_add_test(tc, test_limits);
	tcase_add_loop_test(tc, test_memory, 0, sizeof short_of_memory / sizeof *short_of_memory);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
