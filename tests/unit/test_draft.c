#include "cli/draft.h"
#include "notes.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define A "member a.be BE AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= A of A"
#define B "member b.be BE AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= B"
#define C "member c.be BE AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= C"
#define NEW_B "member b.be BE AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= B"
#define FIRST                                                                                                          \
	"enlight roster 1\nnetwork enlight\nnumber 1\nprevious none\nquorum 2\n" A "\n" B "\n" C                       \
	"\nalias c.be older.be\nlater rule\n"

static struct draft_file file(const char *name, const char *text)
{
	return (struct draft_file){name, bytes_str(text)};
}

/* All problems as one text. */
static void say(char out[static 1024], struct problems *problems)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < problems->n && len < 1024; i++)
		len += (size_t)snprintf(
			out + len, 1024 - len, "%s: %s\n", problems->items[i].place, problems->items[i].rule);
	problems_deinit(problems);
}

/* Lines of several files become a roster in order. */
START_TEST(test_first)
{
	struct draft_file files[] = {file("c", "# from C\n\n" C "\nalias c.be older.be\n"), file("ab", B "\n" A)};
	struct problems problems = {0};
	struct buffer out = {0};

	ck_assert_int_eq(draft_first(&out, "enlight", 0, files, 2, &problems), 0);
	ck_assert_str_eq(buffer_cstr(&out), "enlight roster 1\nnetwork enlight\nnumber 1\nprevious none\nquorum 2\n" A
					    "\n" B "\n" C "\nalias c.be older.be\n");
	buffer_deinit(&out);
}
END_TEST

/* What is wrong with a line is said of the file it came from. */
START_TEST(test_first_refused)
{
	static const struct {
		const char *network, *text;
		unsigned quorum;
		const char *problems;
	} cases[] = {
		{"enlight", "# one\n" B "\nmember a.be be AAAA A\n", 0,
			"f:3:16: an identity key is the base64 of 32 bytes\n"},
		{"enlight", A "\n" B "\n" A "\n", 0, "f:3:1: a.be has a line in f:1 already\n"},
		{"enlight", "university a.be\n", 0,
			"f:1:1: a line here begins with `member` or `alias` (`enlight init` writes such a file)\n"},
		{"enlight", A "\nalias a.be B\n", 0, "f:2:12: an alias is a domain name in lower case\n"},
		{"enlight", A "\n" B "\n", 1,
			"roster: the quorum is more than half of the 2 members and not more than all\n"},
		{"En", A "\n", 0, "roster: a network's name is 1 to 63 of a-z, 0-9, `.` and `-`\n"},
		{"enlight", "", 0, "roster: a line `member` is missing\n"},
		{"enlight", A "\r\n", 0, "f:1:67: a control character or one that hides or reorders text\n"},
	};
	char said[1024];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct draft_file f = file("f", cases[i].text);
		struct problems problems = {0};
		struct buffer out = {0};

		ck_assert_int_eq(draft_first(&out, cases[i].network, cases[i].quorum, &f, 1, &problems), DRAFT_BAD);
		ck_assert_uint_eq(out.len, 0);
		say(said, &problems);
		ck_assert_msg(strcmp(said, cases[i].problems) == 0, "case %zu: %s", i, said);
		buffer_deinit(&out);
	}
}
END_TEST

/* A next roster names the one before, changes what it is told to, and keeps all else, also what it does not know. */
START_TEST(test_next)
{
	struct draft_file add = file("d", "member d.be BE BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= D\n");
	struct draft_file rekeyed = file("b", NEW_B "\n");
	const char *remove[] = {"c.be"}, *alias[] = {"a.be=newer.be"};
	struct draft_changes changes = {&add, 1, &rekeyed, 1, remove, 1, alias, 1, 0};
	struct problems problems = {0};
	struct roster first, next;
	struct buffer out = {0};

	ck_assert_int_eq(roster_parse(&first, "x", bytes_str(FIRST), &problems), 0);
	ck_assert_int_eq(draft_next(&out, &first, "x", &changes, &problems), 0);
	ck_assert_int_eq(roster_parse(&next, "y", view(&out), &problems), 0);
	ck_assert_uint_eq(next.number, 2);
	ck_assert(digest_equal(&next.previous, &first.note.digest));
	ck_assert(digest_equal(&next.origin, &first.origin));
	ck_assert_uint_eq(next.quorum, 2);
	ck_assert_uint_eq(next.n_members, 3);
	ck_assert_ptr_null(roster_resolve(&next, "older.be"));
	ck_assert_str_eq(roster_resolve(&next, "newer.be"), "a.be");
	ck_assert_ptr_nonnull(strstr(buffer_cstr(&out), NEW_B "\n"));
	ck_assert_ptr_nonnull(strstr(buffer_cstr(&out), "\nlater rule\n"));
	roster_deinit(&next);
	roster_deinit(&first);
	buffer_deinit(&out);
}
END_TEST

/* A change that cannot be is refused with its reason. */
START_TEST(test_next_refused)
{
	const char *remove[] = {"d.be"}, *alias[] = {"a.be", "d.be=x.be"};
	struct draft_file add = file("a", A "\n"), same = file("b", B "\n"),
			  stranger = file("d", "member d.be BE BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= D\n");
	const struct {
		struct draft_changes changes;
		const char *problems;
	} cases[] = {
		{{0}, "roster: nothing would change: --add, --remove, --rekey, --alias or --quorum\n"},
		{{.remove = remove, .n_remove = 1}, "--remove: d.be is no member\n"},
		{{.alias = alias, .n_alias = 1}, "--alias: an alias is HANDLE=DOMAIN\n"},
		{{.alias = alias + 1, .n_alias = 1}, "--alias:1:1: an alias of somebody who is no member\n"},
		{{.add = &add, .n_add = 1}, "x:6:1: a.be has a line in a:1 already\n"},
		{{.rekey = &same, .n_rekey = 1}, "b:1:1: this line stands in the roster already\n"},
		{{.rekey = &stranger, .n_rekey = 1}, "d:1:1: no line of a present member: a new one comes by --add\n"},
		{{.quorum = 1}, "roster: the quorum is more than half of the 3 members and not more than all\n"},
	};
	struct problems problems = {0};
	struct roster first;
	char said[1024];

	ck_assert_int_eq(roster_parse(&first, "x", bytes_str(FIRST), &problems), 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer out = {0};

		ck_assert_int_eq(draft_next(&out, &first, "x", &cases[i].changes, &problems), DRAFT_BAD);
		say(said, &problems);
		ck_assert_msg(strcmp(said, cases[i].problems) == 0, "case %zu: %s", i, said);
		buffer_deinit(&out);
	}
	roster_deinit(&first);
}
END_TEST

/* A signature is added once; copies that were signed apart come together. */
START_TEST(test_sign_and_merge)
{
	struct actor a = actor_of("a.be", 0), b = actor_of("b.be", 0);
	struct problems problems = {0};
	struct buffer one = {0}, two = {0}, again = {0}, all = {0};
	struct draft_file copies[3];
	struct roster r;
	char said[1024];

	ck_assert_int_eq(roster_parse(&r, "x", bytes_str(FIRST), &problems), 0);
	ck_assert_int_eq(draft_sign(&one, &r.note, "b.be", b.secret), 0);
	ck_assert_int_eq(draft_sign(&two, &r.note, "a.be", a.secret), 0);
	roster_deinit(&r);
	ck_assert_int_eq(roster_parse(&r, "x", view(&one), &problems), 0);
	ck_assert_int_eq(draft_sign(&again, &r.note, "b.be", b.secret), DRAFT_SIGNED);
	ck_assert(bytes_equal(view(&again), view(&one)));
	roster_deinit(&r);

	copies[0] = (struct draft_file){"one", view(&one)};
	copies[1] = (struct draft_file){"two", view(&two)};
	copies[2] = (struct draft_file){"again", view(&again)};
	ck_assert_int_eq(draft_merge(&all, "roster", copies, 3, &problems), 0);
	ck_assert_int_eq(roster_parse(&r, "x", view(&all), &problems), 0);
	ck_assert_uint_eq(r.note.n_signatures, 2);
	ck_assert_str_eq(r.note.signatures[0].name, "a.be");
	ck_assert(note_signed_by(&r.note, "a.be", a.public) && note_signed_by(&r.note, "b.be", b.public));
	roster_deinit(&r);

	one.data[24] ^= 1;
	buffer_clear(&all);
	ck_assert_int_eq(draft_merge(&all, "roster", copies, 2, &problems), DRAFT_BAD);
	say(said, &problems);
	ck_assert_str_eq(said, "two:1:1: another text than one: signatures of different texts cannot be united\n");
	buffer_deinit(&one);
	buffer_deinit(&two);
	buffer_deinit(&again);
	buffer_deinit(&all);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("draft");
	TCase *tc = tcase_create("draft");

	tcase_add_test(tc, test_first);
	tcase_add_test(tc, test_first_refused);
	tcase_add_test(tc, test_next);
	tcase_add_test(tc, test_next_refused);
	tcase_add_test(tc, test_sign_and_merge);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
