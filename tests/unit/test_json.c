#include "core/json.h"

#include "core/wire.h"
#include "enlight/event/v1/course.pb-c.h"
#include "enlight/event/v1/decision.pb-c.h"
#include "enlight/event/v1/person.pb-c.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

static const ProtobufCMessageDescriptor *const course = &enlight__event__v1__course_offering__descriptor;
static const ProtobufCMessageDescriptor *const erasure = &enlight__event__v1__erasure__descriptor;
static const ProtobufCMessageDescriptor *const withdrawal = &enlight__event__v1__withdrawal__descriptor;

/* Reads JSON as a message; gives what json_to_message() gave. */
static int read_json(
	const ProtobufCMessageDescriptor *type, const char *text, uint8_t **out, size_t *len, struct problems *problems)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	int r;

	ck_assert_ptr_nonnull(json);
	r = json_to_message(out, len, type, json, "/data", problems);
	json_decref(json);
	return r;
}

/* Names change as protoc changes them. */
START_TEST(test_names)
{
	static const struct {
		const char *field, *name;
	} cases[] = {{"course_id", "courseId"}, {"student_isced_f", "studentIscedF"}, {"title", "title"},
		{"a_b2_c", "aB2C"}, {"x_1", "x1"}};
	char name[JSON_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_name(name, cases[i].field);
		ck_assert_str_eq(name, cases[i].name);
		ck_assert(json_name_is(cases[i].field, name, strlen(name)));
		ck_assert(!json_name_is(cases[i].field, name, strlen(name) - 1));
	}
}
END_TEST

/* Every fault is refused under its own pointer, those in one message all at once. */
START_TEST(test_refusals)
{
	static const struct {
		const ProtobufCMessageDescriptor *const *type;
		const char *text, *places[3];
	} cases[] = {
		{&withdrawal, "5", {"/data"}},
		{&withdrawal, "null", {"/data"}},
		{&withdrawal, "{}", {"/data/topic", "/data/revision", "/data/reason"}},
		{&withdrawal, "{\"topic\": null, \"revision\": true, \"reason\": \"a\\u0000b\"}",
			{"/data/topic", "/data/revision", "/data/reason"}},
		{&erasure, "{\"erasureId\": \"a\", \"erasure_id\": \"b\"}", {"/data/erasure_id"}},
		{&erasure, "{\"erasureId\": \"a\", \"x/y~z\": 1, \"erasureid\": \"b\"}",
			{"/data/x~1y~0z", "/data/erasureid"}},
		{&erasure, "{\"erasureId\": \"a\", \"sequences\": [1, null, -1]}",
			{"/data/sequences/1", "/data/sequences/2"}},
		{&course, "{\"courseId\": \"a\", \"runs\": [{\"runId\": \"r\"}, {\"places\": 1.5}]}",
			{"/data/runs/1/runId", "/data/runs/1/places"}},
		{&course, "{\"courseId\": \"a\", \"title\": {\"lang\": \"en\"}}", {"/data/title"}},
	};
	struct problems problems = {0};
	uint8_t *packed;
	size_t len, n = 0;

	ck_assert_int_eq(read_json(*cases[_i].type, cases[_i].text, &packed, &len, &problems), JSON_REFUSED);
	ck_assert_ptr_null(packed);
	for (; n < 3 && cases[_i].places[n] != NULL; n++)
		ck_assert_str_eq(problems.items[n].place, cases[_i].places[n]);
	ck_assert_uint_eq(problems.n, n);
	problems_deinit(&problems);
}
END_TEST

/* A field goes by either of its names, and null is as good as absent. */
START_TEST(test_both_names)
{
	struct problems problems = {0};
	uint8_t *a, *b;
	size_t a_len, b_len;

	ck_assert_int_eq(read_json(course, "{\"courseId\": \"a\", \"iscedF\": \"0613\"}", &a, &a_len, &problems), 0);
	ck_assert_int_eq(read_json(course, "{\"isced_f\": \"0613\", \"code\": null, \"course_id\": \"a\"}", &b, &b_len,
				 &problems),
		0);
	ck_assert(bytes_equal(bytes_of(a, a_len), bytes_of(b, b_len)));
	free(a);
	free(b);
}
END_TEST

/* base64 in both alphabets, padded or not; nothing that another reader would take for other bytes. */
START_TEST(test_base64)
{
	static const char *const good[] = {"", "AA==", "AA", "AAA=", "AAA", "AAAA", "-_-_", "+/+/"};
	static const char *const bad[] = {
		"A", "A=", "A===", "AA=", "AAAA=", "AAAA====", "AB==", "AA AA", "AA\n==", "=", "A=A="};
	uint8_t *data;
	size_t len;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ck_assert_msg(json_base64(&data, &len, good[i], strlen(good[i])) == 0, "%s", good[i]);
		ck_assert_uint_eq(len, strcspn(good[i], "=") * 3 / 4);
		free(data);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(json_base64(&data, &len, bad[i], strlen(bad[i])) == JSON_REFUSED, "%s", bad[i]);
}
END_TEST

/* Bytes that are no message of the type give no JSON; fields of a later version are left out. */
START_TEST(test_from_bytes)
{
	static const uint8_t later[] = {0x0a, 1, 'e', 0x7a, 1, 'x'};
	json_t *json = json_from_message(erasure, bytes_of(later, sizeof later));

	ck_assert_uint_eq(json_object_size(json), 1);
	json_decref(json);
	errno = 0;
	ck_assert_ptr_null(json_from_message(erasure, bytes_of(later, 2)));
	ck_assert_int_eq(errno, EPROTO);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tc = tcase_create("json");

	tcase_add_test(tc, test_names);
	tcase_add_loop_test(tc, test_refusals, 0, 9);
	tcase_add_test(tc, test_both_names);
	tcase_add_test(tc, test_base64);
	tcase_add_test(tc, test_from_bytes);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
