#include "cli/identity.h"
#include "unit.h"

#include <string.h>

static int parse(struct identity *id, const char *text, const char *passphrase, const char **rule)
{
	static char kept[256];
	struct problems problems = {0};
	int r = identity_parse(id, "x", bytes_str(text), bytes_str(passphrase), &problems);

	ck_assert_int_eq(r != 0, problems.n != 0);
	snprintf(kept, sizeof kept, "%s", problems.n == 0 ? "" : problems.items[0].rule);
	*rule = kept;
	problems_deinit(&problems);
	return r;
}

/* A key is read as it was written; in the open without a passphrase. */
START_TEST(test_plain)
{
	struct identity id, again;
	struct buffer b = {0};
	const char *rule;

	identity_new(&id, "ugent.be");
	ck_assert_int_eq(identity_write(&b, &id, bytes_str("")), 0);
	ck_assert_int_eq(parse(&again, buffer_cstr(&b), "", &rule), 0);
	ck_assert_str_eq(again.member, "ugent.be");
	ck_assert_mem_eq(again.public, id.public, sizeof id.public);
	ck_assert_mem_eq(again.secret, id.secret, sizeof id.secret);
	ck_assert(!again.sealed);
	identity_wipe(&again);
	identity_wipe(&id);
	buffer_deinit(&b);
}
END_TEST

/* Under a passphrase the public half shows without it, the secret only with the right one. */
START_TEST(test_sealed)
{
	struct identity id, again;
	struct buffer b = {0};
	const char *rule;

	identity_new(&id, "ugent.be");
	ck_assert_int_eq(identity_write(&b, &id, bytes_str("correct horse")), 0);
	ck_assert_ptr_null(strstr(buffer_cstr(&b), "secret"));
	ck_assert_int_eq(parse(&again, buffer_cstr(&b), "", &rule), 0);
	ck_assert(again.sealed);
	ck_assert_mem_eq(again.public, id.public, sizeof id.public);
	ck_assert_int_eq(parse(&again, buffer_cstr(&b), "correct house", &rule), IDENTITY_BAD);
	ck_assert_str_eq(rule, "the passphrase does not open this key");
	ck_assert_int_eq(parse(&again, buffer_cstr(&b), "correct horse", &rule), 0);
	ck_assert(!again.sealed);
	ck_assert_mem_eq(again.secret, id.secret, sizeof id.secret);
	buffer_deinit(&b);
}
END_TEST

#define HEAD "enlight identity 1\nmember a.be\npublic O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=\n"

/* What is no key file is refused, with the reason; nobody's file makes us take much memory. */
START_TEST(test_refused)
{
	static const struct {
		const char *text, *rule;
	} cases[] = {
		{HEAD "secret AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", ""},
		{HEAD "secret AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
			"the secret is not that of the public key"},
		{HEAD "secret AAAA\n", "a key is the base64 of 32 bytes"},
		{HEAD, "a line `secret` or `sealed` is missing"},
		{HEAD "sealed scrypt 3 268435456 AAAA AAAA\n", "argon2id, operations, bytes of memory, salt and box"},
		{HEAD "sealed argon2id 3 4294967295 AAAAAAAAAAAAAAAAAAAAAA== AAAA\n",
			"argon2id, operations, bytes of memory, salt and box"},
		{"enlight card 1\n",
			"the first line is `enlight identity 1`: this is something else or a later format"},
		{"", "a note has"},
	};
	struct identity id;
	const char *rule;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int r = parse(&id, cases[i].text, "", &rule);

		ck_assert_msg((r == 0) == (cases[i].rule[0] == '\0'), "case %zu", i);
		ck_assert_msg(strncmp(rule, cases[i].rule, strlen(cases[i].rule)) == 0, "case %zu: %s", i, rule);
	}
}
END_TEST

/* A fingerprint is eight groups of five digits and differs by member and by key. */
START_TEST(test_fingerprint)
{
	char a[FINGERPRINT_SIZE], b[FINGERPRINT_SIZE];
	uint8_t key[SIGN_PUBLIC_LEN] = {0};

	fingerprint(a, "ugent.be", key);
	ck_assert_uint_eq(strlen(a), FINGERPRINT_SIZE - 1);
	ck_assert_uint_eq(strspn(a, "0123456789 "), FINGERPRINT_SIZE - 1);
	for (size_t i = 0; i < FINGERPRINT_SIZE - 1; i++)
		ck_assert_int_eq(a[i] == ' ', i % 6 == 5);
	fingerprint(b, "ugent.b", key);
	ck_assert_str_ne(a, b);
	key[31] = 1;
	fingerprint(b, "ugent.be", key);
	ck_assert_str_ne(a, b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("identity");
	TCase *tc = tcase_create("identity");

	tcase_set_timeout(tc, 60); /* Argon2id is slow by intent */
	tcase_add_test(tc, test_plain);
	tcase_add_test(tc, test_sealed);
	tcase_add_test(tc, test_refused);
	tcase_add_test(tc, test_fingerprint);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
