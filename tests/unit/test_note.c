#include "core/note.h"
#include "notes.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SIGNATURE "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

/* Reads a text as a card, gives the first problem ("" when there is none). */
static void read_text(char out[static 256], struct bytes text)
{
	struct problems problems = {0};
	struct note n;
	int r = note_parse(&n, "card", "x", text, &problems);

	ck_assert(r == 0 || r == NOTE_BAD);
	ck_assert_int_eq(r == 0, problems.total == 0);
	out[0] = '\0';
	if (r != 0) {
		ck_assert_ptr_null(n.memory);
		snprintf(out, 256, "%s: %s", problems.items[0].place, problems.items[0].rule);
	}
	note_deinit(&n);
	problems_deinit(&problems);
}

/* What is no note is refused at its place, with its rule. */
START_TEST(test_form)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
		{"enlight card 1\n", ""},
		{"enlight card 1\nname Universit\xc3\xa9 de l'Aube\n", ""},
		{"enlight card 1\nname a\n\n\xe2\x80\x94 a.be " SIGNATURE "\n", ""},
		{"", "x:1:1: a note has 1 to"},
		{"enlight card 1", "x:1:1: the last line has no line end"},
		{"enlight card 2\n", "x:1:1: the first line is `enlight card 1`"},
		{"enlight roster 1\n", "x:1:1: the first line is"},
		{"\nenlight card 1\n", "x:1:1: the first line is"},
		{"enlight card 1\na\tb\n", "x:2:2: a control character"},
		{"enlight card 1\r\n", "x:1:15: a control character"},
		{"enlight card 1\na \xc2\x85\n", "x:2:3: a control character"},
		{"enlight card 1\n\xc3\xa9 a \xe2\x80\xae\n", "x:2:5: a control character or one that hides"},
		{"enlight card 1\n\xef\xbb\xbf\n", "x:2:1: a control character or one that hides"},
		{"enlight card 1\na \xff\n", "x:2:3: not UTF-8"},
		{"enlight card 1\na \xc0\xaf\n", "x:2:3: not UTF-8"},
		{"enlight card 1\na \xe0\x82\xa9\n", "x:2:3: not UTF-8"},
		{"enlight card 1\na \xed\xa0\x80\n", "x:2:3: not UTF-8"},
		{"enlight card 1\na \xf4\x90\x80\x80\n", "x:2:3: not UTF-8"},
		{"enlight card 1\na \xe2\x82", "x:2:3: not UTF-8"},
		{"enlight card 1\na  b\n", "x:2:3: one space"},
		{"enlight card 1\n a\n", "x:2:1: one space"},
		{"enlight card 1\n\xc3\xa9 b \n", "x:2:5: one space"},
		{"enlight card 1\n\xe2\x80\x94 a.be " SIGNATURE "\n", "x:2:1: a line begins with a word in ASCII"},
		{"enlight card 1\na\n\n", "x:3:1: an empty line, but no signature"},
		{"enlight card 1\na\n\nb\n", "x:4:1: a signature line is"},
		{"enlight card 1\na\n\n\n", "x:4:1: a signature line is"},
		{"enlight card 1\na\n\n\xe2\x80\x94 a.be\n", "x:4:1: a signature line is"},
		{"enlight card 1\na\n\n\xe2\x80\x94 a.be AAAA\n", "x:4:1: a signature is a name and"},
		{"enlight card 1\na\n\n\xe2\x80\x94  " SIGNATURE "\n", "x:4:1: a signature is a name and"},
		{"enlight card 1\na\n\n\xe2\x80\x94 a.be " SIGNATURE "\n\n", "x:5:1: a signature line is"},
		{"enlight card 1\na\n\n\xe2\x80\x94 a.be " SIGNATURE "\n\xe2\x80\x94 a.be " SIGNATURE "\n",
			"x:5:1: a.be has signed with this key already in line 4"},
	};
	char problem[256];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		read_text(problem, bytes_str(cases[i].text));
		ck_assert_msg(strncmp(problem, cases[i].problem, strlen(cases[i].problem)) == 0 &&
				      (problem[0] == '\0') == (cases[i].problem[0] == '\0'),
			"case %zu: %s", i, problem);
	}
	read_text(problem, bytes_of("enlight card 1\na\0b\n", 19));
	ck_assert_str_eq(problem, "x:2:2: a control character or one that hides or reorders text");
}
END_TEST

/* A note is read up to its limits and refused above them, whatever they hold. */
START_TEST(test_limits)
{
	struct buffer b = {0};
	char problem[256];

	buffer_str(&b, "enlight card 1\na");
	for (int i = 1; i < NOTE_WORDS_MAX; i++)
		buffer_str(&b, " b");
	buffer_str(&b, "\n");
	read_text(problem, view(&b));
	ck_assert_str_eq(problem, "");
	b.len--;
	buffer_str(&b, " b\n");
	read_text(problem, view(&b));
	ck_assert_str_eq(problem, "x:2:1: a line has at most 64 words");

	buffer_clear(&b);
	buffer_str(&b, "enlight card 1\n");
	while (b.len < NOTE_MAX)
		buffer_str(&b, "a\n");
	b.len = NOTE_MAX;
	b.data[NOTE_MAX - 1] = '\n';
	b.data[NOTE_MAX - 2] = 'a';
	read_text(problem, view(&b));
	ck_assert_str_eq(problem, "");
	buffer_str(&b, "\n");
	read_text(problem, view(&b));
	ck_assert_str_eq(problem, "x:1:1: a note has 1 to 262144 bytes");

	buffer_clear(&b);
	buffer_str(&b, "enlight card 1\n\n");
	for (int i = 0; i <= NOTE_SIGNATURES_MAX; i++)
		buffer_printf(&b, "\xe2\x80\x94 a%d " SIGNATURE "\n", i);
	read_text(problem, view(&b));
	ck_assert_str_eq(problem, "x:1027:1: more than 1024 signatures");
	buffer_deinit(&b);
}
END_TEST

/* A signature holds for one text, one name and one key. */
START_TEST(test_signatures)
{
	struct actor a = actor_of("a.be", 0), other = actor_of("a.be", 1);
	struct problems problems = {0};
	struct buffer b = {0};
	struct note n;

	buffer_str(&b, "enlight card 1\nname a\n");
	sign_by(&b, &a);
	sign(&b, "b.be", other.secret);
	ck_assert_int_eq(note_parse(&n, "card", "x", view(&b), &problems), 0);
	ck_assert_uint_eq(n.n_signatures, 2);
	ck_assert_uint_eq(n.signed_len, strlen("enlight card 1\nname a\n"));
	ck_assert(note_signed_by(&n, "a.be", a.public));
	ck_assert(!note_signed_by(&n, "a.be", other.public));
	ck_assert(!note_signed_by(&n, "b.be", a.public));
	ck_assert(note_signed_by(&n, "b.be", other.public));
	ck_assert_uint_eq(note_end(&n), 6);
	n.text[3] ^= 1;
	ck_assert(!note_signed_by(&n, "a.be", a.public));
	note_deinit(&n);
	buffer_deinit(&b);
}
END_TEST

/* A signature line that was read is written again as it was. */
START_TEST(test_signature_is_written_again)
{
	struct actor a = actor_of("a.be", 0);
	struct problems problems = {0};
	struct buffer b = {0}, again = {0};
	struct note n;

	buffer_str(&b, "enlight card 1\n");
	sign_by(&b, &a);
	ck_assert_int_eq(note_parse(&n, "card", "x", view(&b), &problems), 0);
	buffer_add(&again, n.text, n.signed_len);
	buffer_str(&again, "\n");
	note_signature_write(&again, &n.signatures[0]);
	ck_assert(bytes_equal(view(&again), view(&b)));
	note_deinit(&n);
	buffer_deinit(&b);
	buffer_deinit(&again);
}
END_TEST

/* Numbers have one form. */
START_TEST(test_numbers)
{
	static const struct {
		const char *text;
		uint32_t value; /* 0: refused */
	} cases[] = {{"1", 1}, {"4294967295", UINT32_MAX}, {"4294967296", 0}, {"18446744073709551617", 0}, {"0", 0},
		{"01", 0}, {"+1", 0}, {"-1", 0}, {"1x", 0}, {"", 0}, {" 1", 0}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t v = 0;

		ck_assert_msg(note_number(&v, cases[i].text, UINT32_MAX) == (cases[i].value != 0), "%s", cases[i].text);
		ck_assert_uint_eq(v, cases[i].value);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("note");
	TCase *tc = tcase_create("note");

	tcase_add_test(tc, test_form);
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_signatures);
	tcase_add_test(tc, test_signature_is_written_again);
	tcase_add_test(tc, test_numbers);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
