#include "core/handle.h"
#include "unit.h"

#include <string.h>

/* A handle is a lower-case domain name. */
START_TEST(test_handles)
{
	static const char *const good[] = {"ugent.be", "uni-goettingen.de", "u-bordeaux.fr", "a.b.c", "1.2"};
	static const char *const bad[] = {"", "ugent", "Ugent.be", ".be", "ugent.", "a..b", "-a.be", "a-.be", "a.b-",
		"a_b.be", "ugent.be\n", "ugent .be",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.be"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(handle_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!handle_valid(bad[i]), "%s", bad[i]);
}
END_TEST

/* However people write an audience, it has one form, without the publisher unless it is alone. */
START_TEST(test_audiences_have_one_form)
{
	static const struct {
		const char *text, *form;
	} cases[] = {
		{"network", "network"},
		{"ugent.be", "ugent.be"},
		{"ugent.be, rug.nl", "rug.nl,ugent.be"},
		{"ugent.be,rug.nl,ugent.be", "rug.nl,ugent.be"},
		{"ut.ee,rug.nl", "rug.nl"},
		{"ut.ee", "ut.ee"},
		{"network,rug.nl", NULL},
		{"", NULL},
		{"Rug.nl", NULL},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *form = audience_normalise(cases[i].text, "ut.ee");

		if (cases[i].form == NULL)
			ck_assert_msg(form == NULL, "%s", cases[i].text);
		else
			ck_assert_str_eq(form, cases[i].form);
		if (form != NULL)
			ck_assert(audience_valid(form));
		free(form);
	}
}
END_TEST

static const char *former(void *context, const char *name)
{
	return strcmp(name, "nuigalway.ie") == 0 ? context : strcmp(name, "tartu.ee") == 0 ? "ut.ee" : NULL;
}

/* Other names of members become their handles before anything else is looked at. */
START_TEST(test_names_become_handles)
{
	static const struct {
		const char *text, *form;
	} cases[] = {
		{"nuigalway.ie", "universityofgalway.ie"},
		{"nuigalway.ie, rug.nl,universityofgalway.ie", "rug.nl,universityofgalway.ie"},
		{"tartu.ee,rug.nl", "rug.nl"},
		{"tartu.ee", "ut.ee"},
		{"network", "network"},
		{"unknown.ie", "unknown.ie"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *form = audience_resolve(cases[i].text, "ut.ee", former, (void *)"universityofgalway.ie");

		ck_assert_str_eq(form, cases[i].form);
		free(form);
	}
}
END_TEST

/* An audience that is not sorted, repeats or is cut short is no audience. */
START_TEST(test_other_forms_are_refused)
{
	static const char *const bad[] = {
		"ugent.be,rug.nl", "rug.nl,rug.nl", "rug.nl,", ",rug.nl", "rug.nl,network", ""};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!audience_valid(bad[i]), "%s", bad[i]);
}
END_TEST

/* Only who is named may read; a name that contains another is another name. */
START_TEST(test_who_may_read)
{
	ck_assert(audience_has("network", "ut.ee"));
	ck_assert(audience_has("rug.nl,ut.ee", "ut.ee"));
	ck_assert(audience_has("rug.nl,ut.ee", "rug.nl"));
	ck_assert(!audience_has("rug.nl,ut.ee", "ug.nl"));
	ck_assert(!audience_has("rug.nl,xut.ee", "ut.ee"));
	ck_assert(!audience_has("rug.nl.eu", "rug.nl"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handle");
	TCase *tc = tcase_create("handle");

	tcase_add_test(tc, test_handles);
	tcase_add_test(tc, test_audiences_have_one_form);
	tcase_add_test(tc, test_names_become_handles);
	tcase_add_test(tc, test_other_forms_are_refused);
	tcase_add_test(tc, test_who_may_read);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
