#include "core/roster.h"
#include "notes.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *const handles[] = {"rug.nl", "u-bordeaux.fr", "ugent.be", "uniwersytet.pl", "ut.ee"};
enum { N = 5 };

/* Five members, and what they agreed on first. */
struct network {
	struct actor members[N];
	struct buffer first;
	struct roster roster;
};

static void parse(struct roster *out, const struct buffer *text)
{
	struct problems problems = {0};
	int r = roster_parse(out, "x", view(text), &problems);

	ck_assert_msg(r == 0, "%s", r == 0 ? "" : problems.items[0].rule);
}

static void network_init(struct network *n)
{
	for (size_t i = 0; i < N; i++)
		n->members[i] = actor_of(handles[i], 0);
	n->first = roster_text(NULL, 1, 3, n->members, N);
	for (size_t i = 0; i < 3; i++)
		sign_by(&n->first, &n->members[i]);
	parse(&n->roster, &n->first);
}

static void network_deinit(struct network *n)
{
	roster_deinit(&n->roster);
	buffer_deinit(&n->first);
}

/* The outcome as text: "" or all rules, one a line. Releases the text. */
static void check_next(char out[static 1024], const struct network *n, struct buffer *text)
{
	struct problems problems = {0};
	struct roster next;
	size_t len = 0;
	int r;

	out[0] = '\0';
	parse(&next, text);
	r = roster_check_next(&n->roster, &next, "x", &problems);
	ck_assert_int_eq(r, problems.total == 0 ? 0 : ROSTER_BAD);
	for (size_t i = 0; i < problems.n && len < 1024; i++)
		len += (size_t)snprintf(
			out + len, 1024 - len, "%s %s\n", problems.items[i].place, problems.items[i].rule);
	problems_deinit(&problems);
	roster_deinit(&next);
	buffer_deinit(text);
}

#define KEY_A "member a.be BE AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= A of A\n"
#define KEY_B "member b.be BE AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= B\n"
#define KEY_C "member c.be BE AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= C\n"
#define HEAD "enlight roster 1\nnetwork enlight\nnumber 1\nprevious none\n"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

/* A roster's form is checked, each fault at its place. */
START_TEST(test_form)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
		{HEAD "quorum 2\n" KEY_A KEY_B KEY_C, ""},
		{HEAD "quorum 1\n" KEY_A, ""},
		{HEAD "quorum 2\n" KEY_A KEY_B "alias a.be older.a.be\nsomething new\n", ""},
		{HEAD "quorum 2\n" KEY_A KEY_B "!something new\n", "x:8:1: a rule that this version does not know"},
		{HEAD "quorum 1\n" KEY_A KEY_B, "x:1:1: the quorum is more than half of the 2 members"},
		{HEAD "quorum 3\n" KEY_A KEY_B, "x:1:1: the quorum is more than half"},
		{HEAD "quorum 0\n" KEY_A, "x:5:8: a quorum is"},
		{HEAD KEY_A, "x:1:1: a line `quorum` is missing"},
		{HEAD "quorum 1\nquorum 1\n" KEY_A, "x:6:1: `quorum` stands once"},
		{HEAD "quorum 1\n", "x:1:1: a line `member` is missing"},
		{HEAD "quorum 2\n" KEY_B KEY_A, "x:7:8: members stand in byte order"},
		{HEAD "quorum 2\n" KEY_A KEY_A, "x:7:8: members stand in byte order"},
		{HEAD "quorum 2\n" KEY_A "member b.be BE AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= B\n",
			"x:7:16: the identity key of a.be too"},
		{HEAD "quorum 1\nmember A.be BE AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= A\n",
			"x:6:8: a handle is"},
		{HEAD "quorum 1\nmember a.be be AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= A\n",
			"x:6:13: a country is"},
		{HEAD "quorum 1\nmember a.be BE AAAA A\n", "x:6:16: an identity key is"},
		{HEAD "quorum 1\nmember a.be BE AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
			"x:6:1: `member` has too few values"},
		{HEAD "quorum 2\n" KEY_A KEY_B "alias c.be d.be\n", "x:8:1: an alias of somebody who is no member"},
		{HEAD "quorum 2\n" KEY_A KEY_B "alias a.be b.be\n", "x:8:1: a member's handle cannot be an alias"},
		{HEAD "quorum 2\n" KEY_A KEY_B "alias a.be d.be\nalias b.be d.be\n", "x:"},
		{HEAD "quorum 2\n" KEY_A KEY_B "alias a.be D.be\n", "x:8:12: an alias is a domain name"},
		{HEAD "origin " ZEROS "\nquorum 1\n" KEY_A, "x:1:1: every roster but number 1 has a line `origin`"},
		{"enlight roster 1\nnetwork En\nnumber 1\nprevious none\nquorum 1\n" KEY_A, "x:2:9: a network's name"},
		{"enlight roster 1\nnetwork e\nnumber 2\nprevious none\norigin " ZEROS "\nquorum 1\n" KEY_A,
			"x:1:1: `previous none` belongs to number 1"},
		{"enlight roster 1\nnetwork e\nnumber 1\nprevious " ZEROS "\nquorum 1\n" KEY_A,
			"x:1:1: `previous none` belongs to number 1"},
		{"enlight roster 1\nnetwork e\nnumber 2\nprevious " ZEROS "\nquorum 1\n" KEY_A,
			"x:1:1: every roster but number 1 has a line `origin`"},
		{"enlight roster 1\nnetwork e\nnumber 2\nprevious " ZEROS "\norigin " ZEROS "\nquorum 1\n" KEY_A, ""},
		{"enlight roster 1\nnetwork e\nnumber 0\nprevious 00\nquorum 1\n" KEY_A, "x:3:8: a roster's number"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = {0};
		struct roster r;
		int result = roster_parse(&r, "x", bytes_str(cases[i].text), &problems);
		char problem[256] = "";

		if (result != 0)
			snprintf(problem, sizeof problem, "%s: %s", problems.items[0].place, problems.items[0].rule);
		ck_assert_msg(strncmp(problem, cases[i].problem, strlen(cases[i].problem)) == 0 &&
				      (problem[0] == '\0') == (cases[i].problem[0] == '\0'),
			"case %zu: %s", i, problem);
		if (result == 0)
			roster_deinit(&r);
		problems_deinit(&problems);
	}
}
END_TEST

/* Members are found by handle and by alias; a name keeps its spaces. */
START_TEST(test_look_up)
{
	static const char text[] = HEAD "quorum 2\n" KEY_A KEY_B KEY_C "alias c.be older.be\nalias a.be newer.be\n";
	struct problems problems = {0};
	struct roster r;

	ck_assert_int_eq(roster_parse(&r, "x", bytes_str(text), &problems), 0);
	ck_assert_str_eq(roster_member(&r, "a.be")->name, "A of A");
	ck_assert_str_eq(roster_member(&r, "c.be")->name, "C");
	ck_assert_ptr_null(roster_member(&r, "d.be"));
	ck_assert_str_eq(roster_resolve(&r, "older.be"), "c.be");
	ck_assert_str_eq(roster_resolve(&r, "newer.be"), "a.be");
	ck_assert_str_eq(roster_resolve(&r, "b.be"), "b.be");
	ck_assert_ptr_null(roster_resolve(&r, "older"));
	ck_assert(digest_equal(&r.origin, &r.note.digest));
	roster_deinit(&r);
}
END_TEST

/* The first roster takes its pinned digest and a quorum of its own members; a stranger's or a spoilt signature refuses it. */
START_TEST(test_first_roster)
{
	struct network n;
	struct problems problems = {0};
	struct digest pinned;
	struct roster r;
	struct actor stranger = actor_of("stranger.be", 0), thief = actor_of("ut.ee", 1);
	struct buffer text;

	network_init(&n);
	pinned = n.roster.note.digest;
	ck_assert_int_eq(roster_check_first(&n.roster, &pinned, "x", &problems), 0);
	ck_assert_int_eq(roster_check_first(&n.roster, NULL, "x", &problems), 0);
	pinned.bytes[0] ^= 1;
	ck_assert_int_eq(roster_check_first(&n.roster, &pinned, "x", &problems), ROSTER_BAD);
	problems_deinit(&problems);

	text = roster_text(NULL, 1, 3, n.members, N);
	sign_by(&text, &n.members[0]);
	sign_by(&text, &n.members[1]);
	parse(&r, &text);
	ck_assert_int_eq(roster_check_first(&r, NULL, "x", &problems), ROSTER_BAD);
	ck_assert_str_eq(problems.items[0].place, "x:14:1");
	ck_assert_str_eq(problems.items[0].rule, "signed by 2 of the 3 members of roster 1 that it takes");
	problems_deinit(&problems);
	roster_deinit(&r);
	sign_by(&text, &stranger);
	sign_by(&text, &thief);
	parse(&r, &text);
	ck_assert_int_eq(roster_check_first(&r, NULL, "x", &problems), ROSTER_BAD);
	ck_assert_uint_eq(problems.n, 3);
	ck_assert_str_eq(problems.items[0].rule, "signed by stranger.be, who is no member");
	ck_assert_str_eq(problems.items[1].place, "x:15:1");
	problems_deinit(&problems);
	roster_deinit(&r);
	buffer_deinit(&text);
	network_deinit(&n);
}
END_TEST

/* One member that signs twice does not make two. */
START_TEST(test_one_member_twice)
{
	struct network n;
	struct problems problems = {0};
	struct roster r;
	struct buffer text;

	network_init(&n);
	text = roster_text(NULL, 1, 3, n.members, N);
	sign_by(&text, &n.members[0]);
	sign_by(&text, &n.members[1]);
	sign_by(&text, &n.members[1]);
	ck_assert_int_eq(roster_parse(&r, "x", view(&text), &problems), ROSTER_BAD);
	ck_assert_str_eq(problems.items[0].rule, "u-bordeaux.fr has signed with this key already in line 13");
	problems_deinit(&problems);
	buffer_deinit(&text);
	network_deinit(&n);
}
END_TEST

/* The next roster follows the one before: number, digest, network, a quorum of the members before. */
START_TEST(test_next_roster)
{
	struct network n;
	struct buffer text;
	char problem[1024];

	network_init(&n);
	text = roster_text(&n.first, 2, 3, n.members, N - 1);
	for (size_t i = 2; i < N; i++) /* who leaves may vote too */
		sign_by(&text, &n.members[i]);
	check_next(problem, &n, &text);
	ck_assert_str_eq(problem, "");

	text = roster_text(&n.first, 2, 3, n.members, N - 1);
	sign_by(&text, &n.members[0]);
	sign_by(&text, &n.members[1]);
	check_next(problem, &n, &text);
	ck_assert_str_eq(problem, "x:14:1 signed by 2 of the 3 members of roster 1 that it takes\n");

	text = roster_text(&n.first, 3, 3, n.members, N);
	for (size_t i = 0; i < N; i++)
		sign_by(&text, &n.members[i]);
	check_next(problem, &n, &text);
	ck_assert_str_eq(problem, "x:1:1 number 3 does not follow number 1\n");

	n.first.data[n.first.len / 4] ^= 1; /* its digest changes */
	text = roster_text(&n.first, 2, 3, n.members, N);
	n.first.data[n.first.len / 4] ^= 1;
	for (size_t i = 0; i < N; i++)
		sign_by(&text, &n.members[i]);
	check_next(problem, &n, &text);
	ck_assert_str_eq(problem, "x:1:1 a roster of another network\n"
				  "x:1:1 its line `previous` is not the digest of roster 1: it follows another one\n");
	network_deinit(&n);
}
END_TEST

/* A new member shows that it holds its key; its signature does not count to the quorum of those before. */
START_TEST(test_new_member)
{
	struct network n;
	struct actor grown[N + 1];
	struct buffer text;
	char problem[1024];

	network_init(&n);
	grown[0] = actor_of("ru.nl", 0); /* before rug.nl, in byte order */
	memcpy(grown + 1, n.members, sizeof n.members);

	text = roster_text(&n.first, 2, 4, grown, N + 1);
	for (size_t i = 1; i < 4; i++)
		sign_by(&text, &grown[i]);
	check_next(problem, &n, &text);
	ck_assert_str_eq(problem, "x:7:1 ru.nl has not signed with its new identity key\n");

	text = roster_text(&n.first, 2, 4, grown, N + 1);
	for (size_t i = 0; i < 3; i++)
		sign_by(&text, &grown[i]);
	check_next(problem, &n, &text);
	ck_assert_str_eq(problem, "x:17:1 signed by 2 of the 3 members of roster 1 that it takes\n");

	text = roster_text(&n.first, 2, 4, grown, N + 1);
	for (size_t i = 0; i < 4; i++)
		sign_by(&text, &grown[i]);
	check_next(problem, &n, &text);
	ck_assert_str_eq(problem, "");
	network_deinit(&n);
}
END_TEST

/* Who changes its identity key signs with the new one; only its old one votes. */
START_TEST(test_changed_identity)
{
	static const struct {
		bool old, new;
		size_t others;
		const char *problem;
	} cases[] = {
		{true, true, 2, ""},
		{false, true, 3, ""},
		{false, true, 2, "x:16:1 signed by 2 of the 3 members of roster 1 that it takes\n"},
		{true, false, 3, "x:7:1 rug.nl has not signed with its new identity key\n"},
	};
	struct network n;
	struct actor changed[N];
	char problem[1024];

	network_init(&n);
	memcpy(changed, n.members, sizeof changed);
	changed[0] = actor_of(handles[0], 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer text = roster_text(&n.first, 2, 3, changed, N);

		for (size_t j = 1; j <= cases[i].others; j++)
			sign_by(&text, &n.members[j]);
		if (cases[i].old)
			sign_by(&text, &n.members[0]);
		if (cases[i].new)
			sign_by(&text, &changed[0]);
		check_next(problem, &n, &text);
		ck_assert_msg(strcmp(problem, cases[i].problem) == 0, "case %zu: %s", i, problem);
	}
	network_deinit(&n);
}
END_TEST

/* A difference reads as sentences. */
START_TEST(test_diff)
{
	static const char from[] = HEAD "quorum 2\n" KEY_A KEY_B "alias a.be older.be\n";
	static const char to[] = HEAD
		"quorum 1\nmember a.be NL BQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= The new A\nalias a.be b.be\n";
	struct problems problems = {0};
	struct roster a, b;
	struct buffer out = {0};

	ck_assert_int_eq(roster_parse(&a, "x", bytes_str(from), &problems), 0);
	ck_assert_int_eq(roster_parse(&b, "x", bytes_str(to), &problems), 0);
	roster_diff(&out, &a, &a);
	ck_assert_uint_eq(out.len, 0);
	roster_diff(&out, &a, &b);
	ck_assert_str_eq(buffer_cstr(&out), "the quorum is 1 (was 2)\nb.be leaves (B)\na.be changes its identity key\n"
					    "a.be is now called The new A (was A of A)\na.be is now in NL (was BE)\n"
					    "older.be is no longer an alias of a.be\nb.be is an alias of a.be\n");
	buffer_deinit(&out);
	roster_deinit(&a);
	roster_deinit(&b);
}
END_TEST

/* Whether a text stands as the network's first roster. */
static bool accepted(const uint8_t *data, size_t len)
{
	struct problems problems = {0};
	struct roster r;
	bool good = roster_parse(&r, "x", bytes_of(data, len), &problems) == 0;

	if (good) {
		good = roster_check_first(&r, NULL, "x", &problems) == 0;
		roster_deinit(&r);
	}
	problems_deinit(&problems);
	return good;
}

/* Whatever is done to a signed roster, it is refused unless its signed part is as it was. */
START_TEST(test_spoilt_rosters)
{
	struct network n;
	uint8_t *copy;
	size_t len, signed_len;

	network_init(&n);
	len = n.first.len;
	signed_len = n.roster.note.signed_len;
	copy = malloc(len + 1);
	if (copy == NULL)
		ck_abort_msg("out of memory");
	ck_assert(accepted(n.first.data, len));
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, n.first.data, len);
		copy[i] ^= (uint8_t)(1u << i % 8);
		ck_assert_msg(!accepted(copy, len), "bit flipped in byte %zu", i);
		ck_assert_msg(!accepted(n.first.data, i), "cut to %zu bytes", i);
		memcpy(copy, n.first.data, i + 1); /* one byte twice */
		memcpy(copy + i + 1, n.first.data + i, len - i);
		ck_assert_msg(!accepted(copy, len + 1), "byte %zu twice", i);
		memcpy(copy, n.first.data, i); /* one byte less */
		memcpy(copy + i, n.first.data + i + 1, len - i - 1);
		ck_assert_msg(!accepted(copy, len - 1), "byte %zu taken out", i);
	}
	ck_assert_uint_lt(signed_len, len);
	free(copy);
	network_deinit(&n);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("roster");
	TCase *tc = tcase_create("roster");

	tcase_set_timeout(tc, 60); /* the spoilt ones, with sanitizers on a busy machine */
	tcase_add_test(tc, test_form);
	tcase_add_test(tc, test_look_up);
	tcase_add_test(tc, test_first_roster);
	tcase_add_test(tc, test_one_member_twice);
	tcase_add_test(tc, test_next_roster);
	tcase_add_test(tc, test_new_member);
	tcase_add_test(tc, test_changed_identity);
	tcase_add_test(tc, test_diff);
	tcase_add_test(tc, test_spoilt_rosters);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
