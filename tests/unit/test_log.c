#include "base/log.h"
#include "base/bytes.h"
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What one call writes to stderr, when that is a pipe. */
static char *logged(enum log_level level, const char *message)
{
	static char line[8192];
	int ends[2], old = dup(STDERR_FILENO);
	ssize_t n;

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	log_open();
	log_line(level, "%s", message);
	dup2(old, STDERR_FILENO);
	close(old);
	n = read(ends[0], line, sizeof line - 1);
	close(ends[0]);
	ck_assert_int_ge(n, 0);
	line[n] = '\0';
	return line;
}

/* A line is one JSON object: its subject, its words, and each pair as a field, whose value may hold spaces and quotes. */
START_TEST(test_json_lines)
{
	static const struct {
		const char *message, *subject, *text, *fields;
	} cases[] = {
		{"link: closed peer=ut.ee reason=revoked", "link", "closed",
			"{\"peer\": \"ut.ee\", \"reason\": \"revoked\"}"},
		{"store: cannot sync error=No space left file=a b", "store", "cannot sync",
			"{\"error\": \"No space left\", \"file\": \"a b\"}"},
		{"no subject here", "", "no subject here", "{}"},
		{"two words: text", "", "two words: text", "{}"},
		{"api: said text=\"x \\ y\" n=1", "api", "said", "{\"text\": \"x \\\\ y\", \"n\": \"1\"}"},
		{"a: b =c D=e", "a", "b =c D=e", "{}"},
		{"a: x=", "a", "", "{\"x\": \"\"}"},
		{"a: one\ntwo\x1b[1m \xc3\xa9 \xff\xc3 x=\xed\xa0\x80", "a", "one?two?[1m \xc3\xa9 ??",
			"{\"x\": \"???\"}"},
	};
	json_t *line, *fields;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		line = json_loads(logged(LOG_LEVEL_ERROR, cases[i].message), JSON_REJECT_DUPLICATES, NULL);
		ck_assert_msg(line != NULL, "%s", cases[i].message);
		ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "error");
		ck_assert_str_eq(json_string_value(json_object_get(line, "subject")), cases[i].subject);
		ck_assert_str_eq(json_string_value(json_object_get(line, "message")), cases[i].text);
		fields = json_loads(cases[i].fields, 0, NULL);
		ck_assert_msg(json_equal(fields, json_object_get(line, "fields")), "%s", cases[i].message);
		json_decref(fields);
		json_decref(line);
	}
}
END_TEST

/* A message that is too long is cut; what comes out is still one JSON line. */
START_TEST(test_long_lines_are_cut)
{
	char message[5000];
	char *line;
	json_t *json;

	memset(message, 'x', sizeof message - 1);
	message[sizeof message - 1] = '\0';
	line = logged(LOG_LEVEL_ERROR, message);
	ck_assert_uint_lt(strlen(line), sizeof message);
	json = json_loads(line, 0, NULL);
	ck_assert(json != NULL);
	json_decref(json);
}
END_TEST

/* ENLIGHT_LOG says from which level on lines are written; what stands there by mistake changes nothing. */
START_TEST(test_levels)
{
	setenv("ENLIGHT_LOG", "nonsense", 1);
	ck_assert_str_ne(logged(LOG_LEVEL_INFO, "a: b"), "");
	ck_assert_str_eq(logged(LOG_LEVEL_DEBUG, "a: b"), "");
	setenv("ENLIGHT_LOG", "debug", 1);
	ck_assert_str_ne(logged(LOG_LEVEL_DEBUG, "a: b"), "");
	setenv("ENLIGHT_LOG", "error", 1);
	ck_assert_str_eq(logged(LOG_LEVEL_WARN, "a: b"), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_add_test(tc, test_json_lines);
	tcase_add_test(tc, test_long_lines_are_cut);
	tcase_add_test(tc, test_levels);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
