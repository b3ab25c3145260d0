#include "core/card.h"
#include "notes.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define HEAD "enlight card 1\nnetwork " ZEROS "\nmember a.be\nnumber 1\n"
#define A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define B "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define C "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define D "AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define KEY1 "key 1 sign " A " link " A "\n"

/* A card's form is checked, each fault at its place. */
START_TEST(test_form)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
		{HEAD KEY1, ""},
		{HEAD KEY1 "key 2 sign " B " link " B "\n", ""},
		{HEAD "retired 2 sign " B "\nrevoked 1 sign " A "\nkey 3 sign " C " link " C "\n", ""},
		{HEAD "endpoint tcp://enlight.a.be:4847\n" KEY1 "takes course.* *\ntakes mobility.nomination\n", ""},
		{HEAD "endpoint tcp://[2001:db8::1]:4847\n" KEY1, ""},
		{HEAD, "x:1:1: a line `key` is missing"},
		{"enlight card 1\nmember a.be\nnumber 1\n" KEY1, "x:1:1: a line `network` is missing"},
		{"enlight card 1\nnetwork 00\nmember a.be\nnumber 1\n" KEY1,
			"x:2:9: the digest of the network's roster 1"},
		{"enlight card 1\nnetwork " ZEROS "\nmember A\nnumber 1\n" KEY1, "x:3:8: a handle is"},
		{"enlight card 1\nnetwork " ZEROS "\nmember a.be\nnumber 0\n" KEY1, "x:4:8: a card's number is"},
		{HEAD "endpoint udp://a:1\n" KEY1, "x:5:10: an endpoint is"},
		{HEAD KEY1 KEY1, "x:6:1: the key number of line 5 again"},
		{HEAD KEY1 "key 2 sign " A " link " B "\n", "x:6:1: the key of line 5 again"},
		{HEAD KEY1 "key 2 sign " B " link " A "\n", "x:6:1: the key of line 5 again"},
		{HEAD KEY1 "retired 2 sign " B "\n", "x:6:1: the highest key number is of a key in use"},
		{HEAD "retired 1 sign " A "\n", "x:1:1: a line `key` is missing"},
		{HEAD KEY1 "key 2 sign " B " link " B "\nkey 3 sign " C " link " C "\n", "x:1:1: at most 2 keys"},
		{HEAD "key 1001 sign " A " link " A "\n", "x:5:5: a key's number is"},
		{HEAD "key 1 sing " A " link " A "\n", "x:5:7: `sign` and a key's base64"},
		{HEAD "key 1 sign " A " link AAAA\n", "x:5:62: a key is the base64 of 32 bytes"},
		{HEAD "key 1 sign " A "\n", "x:5:1: `key` has too few values"},
		{HEAD KEY1 "takes Course\n", "x:6:7: a pattern of topics"},
		{HEAD KEY1 "!must know\n", "x:6:1: a rule that this version does not know"},
		{HEAD KEY1 "may know\n", ""},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = {0};
		struct card c;
		int result = card_parse(&c, "x", bytes_str(cases[i].text), &problems);
		char problem[256] = "";

		if (result != 0)
			snprintf(problem, sizeof problem, "%s: %s", problems.items[0].place, problems.items[0].rule);
		ck_assert_msg(strncmp(problem, cases[i].problem, strlen(cases[i].problem)) == 0 &&
				      (problem[0] == '\0') == (cases[i].problem[0] == '\0'),
			"case %zu: %s", i, problem);
		if (result == 0)
			card_deinit(&c);
		problems_deinit(&problems);
	}
}
END_TEST

/* An endpoint is tcp, a host and a port, and nothing else. */
START_TEST(test_endpoints)
{
	static const char *const good[] = {
		"tcp://a:1", "tcp://127.0.0.1:4847", "tcp://node-1.ugent.be:65535", "tcp://[::1]:4847"};
	static const char *const bad[] = {"", "tcp://", "tcp://:1", "tcp://a", "tcp://a:", "tcp://a:0", "tcp://a:65536",
		"tcp://a:01", "tcp://a:1/", "tcp://*:1", "tcp://a b:1", "ipc://a:1", "tcp://[]:1", "tcp://[::1:1",
		"tcp://::1:1", "tcp://a;tcp://b:1"};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(endpoint_valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!endpoint_valid(bad[i]), "%s", bad[i]);
}
END_TEST

/* What is written is read back, many topics over several lines. */
START_TEST(test_written_and_read)
{
	const char *takes[130];
	struct card_key keys[] = {card_key_of("a.be", 3, CARD_KEY_CURRENT), card_key_of("a.be", 2, CARD_KEY_RETIRED),
		card_key_of("a.be", 1, CARD_KEY_REVOKED)};
	struct problems problems = {0};
	struct buffer b = {0};
	struct card c;

	for (size_t i = 0; i < 130; i++)
		takes[i] = i % 2 == 0 ? "course.*" : "mobility.*";
	card_write(&b, &digest_zero, "a.be", 7, NULL, keys, 3, takes, 130);
	ck_assert_int_eq(card_parse(&c, "x", view(&b), &problems), 0);
	ck_assert_str_eq(c.member, "a.be");
	ck_assert_uint_eq(c.number, 7);
	ck_assert_ptr_null(c.endpoint);
	ck_assert_uint_eq(c.n_takes, 130);
	ck_assert_str_eq(c.takes[129], "mobility.*");
	ck_assert_uint_eq(c.n_keys, 3);
	ck_assert_uint_eq(card_newest_key(&c)->number, 3);
	ck_assert_mem_eq(card_newest_key(&c)->link, keys[0].link, LINK_PUBLIC_LEN);
	ck_assert_mem_eq(card_key(&c, 1)->sign, keys[2].sign, SIGN_PUBLIC_LEN);
	ck_assert_int_eq(card_key(&c, 1)->state, CARD_KEY_REVOKED);
	ck_assert_int_eq(card_key(&c, 2)->state, CARD_KEY_RETIRED);
	ck_assert_ptr_null(card_key(&c, 4));
	card_deinit(&c);
	buffer_deinit(&b);
}
END_TEST

enum { BY_IDENTITY = 1, BY_KEY_1 = 2, BY_KEY_2 = 4, BY_STRANGER = 8, BY_OLD_KEY = 16, BY_THIEF = 32 };

/* A card is good when its identity key and every key in use signed it, and nobody else. */
START_TEST(test_who_signed)
{
	static const struct {
		int by;
		const char *problem;
	} cases[] = {
		{BY_IDENTITY | BY_KEY_1 | BY_KEY_2, ""},
		{BY_KEY_1 | BY_KEY_2, "not signed by the identity key of a.be"},
		{BY_IDENTITY | BY_KEY_2, "not signed by node key 1: nothing shows that a.be holds it"},
		{BY_IDENTITY | BY_KEY_1, "not signed by node key 2: nothing shows that a.be holds it"},
		{BY_IDENTITY | BY_KEY_1 | BY_KEY_2 | BY_STRANGER, "the signature of b.be does not verify"},
		{BY_THIEF | BY_KEY_1 | BY_KEY_2, "the signature of a.be does not verify"},
		{BY_IDENTITY | BY_KEY_1 | BY_KEY_2 | BY_THIEF, "the signature of a.be does not verify"},
		{BY_IDENTITY | BY_KEY_1 | BY_KEY_2 | BY_OLD_KEY, "the signature of a.be+9 does not verify"},
	};
	struct card_key keys[] = {card_key_of("a.be", 1, CARD_KEY_CURRENT), card_key_of("a.be", 2, CARD_KEY_CURRENT)};
	struct actor a = actor_of("a.be", 0), thief = actor_of("a.be", 1), b = actor_of("b.be", 0);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct problems problems = {0};
		struct buffer text = {0};
		struct card c;
		int by = cases[i].by;

		card_write(&text, &digest_zero, "a.be", 1, NULL, keys, 2, NULL, 0);
		if (by & BY_IDENTITY)
			sign_by(&text, &a);
		if (by & BY_THIEF)
			sign_by(&text, &thief);
		if (by & BY_KEY_1)
			sign_by_node(&text, "a.be", 1);
		if (by & BY_KEY_2)
			sign_by_node(&text, "a.be", 2);
		if (by & BY_OLD_KEY)
			sign_by_node(&text, "a.be", 9);
		if (by & BY_STRANGER)
			sign_by(&text, &b);
		ck_assert_int_eq(card_parse(&c, "x", view(&text), &problems), 0);
		card_check(&c, a.public, "x", &problems);
		ck_assert_msg(problems.n == (cases[i].problem[0] != '\0'), "case %zu", i);
		if (problems.n != 0)
			ck_assert_msg(strncmp(problems.items[0].rule, cases[i].problem, strlen(cases[i].problem)) == 0,
				"case %zu: %s", i, problems.items[0].rule);
		card_deinit(&c);
		problems_deinit(&problems);
		buffer_deinit(&text);
	}
}
END_TEST

static bool accepted(const struct actor *a, const uint8_t *data, size_t len)
{
	struct problems problems = {0};
	struct card c;
	bool good = card_parse(&c, "x", bytes_of(data, len), &problems) == 0;

	if (good) {
		good = card_check(&c, a->public, "x", &problems) == 0;
		card_deinit(&c);
	}
	problems_deinit(&problems);
	return good;
}

/* Whatever is done to a signed card, it is refused. */
START_TEST(test_spoilt_cards)
{
	struct actor a = actor_of("a.be", 0);
	struct buffer text = card_text(&digest_zero, &a, 1, 1);
	size_t len = text.len;
	uint8_t *copy = malloc(len + 1);

	if (copy == NULL)
		ck_abort_msg("out of memory");
	ck_assert(accepted(&a, text.data, len));
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, text.data, len);
		copy[i] ^= (uint8_t)(1u << i % 8);
		ck_assert_msg(!accepted(&a, copy, len), "bit flipped in byte %zu", i);
		ck_assert_msg(!accepted(&a, text.data, i), "cut to %zu bytes", i);
		memcpy(copy, text.data, i + 1);
		memcpy(copy + i + 1, text.data + i, len - i);
		ck_assert_msg(!accepted(&a, copy, len + 1), "byte %zu twice", i);
		memcpy(copy, text.data, i);
		memcpy(copy + i, text.data + i + 1, len - i - 1);
		ck_assert_msg(!accepted(&a, copy, len - 1), "byte %zu taken out", i);
	}
	free(copy);
	buffer_deinit(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("card");
	TCase *tc = tcase_create("card");

	tcase_set_timeout(tc, 60); /* the spoilt ones, with sanitizers on a busy machine */
	tcase_add_test(tc, test_form);
	tcase_add_test(tc, test_endpoints);
	tcase_add_test(tc, test_written_and_read);
	tcase_add_test(tc, test_who_signed);
	tcase_add_test(tc, test_spoilt_cards);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
