#include "base/bytes.h"
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A buffer grows, and hands over a string. */
START_TEST(test_buffer_grows)
{
	struct buffer b = {0};
	size_t len;
	char *text;

	for (int i = 0; i < 1000; i++)
		buffer_printf(&b, "%03d", i);
	text = buffer_take(&b, &len);
	ck_assert_uint_eq(len, 3000);
	ck_assert_uint_eq(strlen(text), 3000);
	ck_assert_mem_eq(text + 2997, "999", 3);
	free(text);
	buffer_deinit(&b);
}
END_TEST

/* Base64 has one text for one value: wrong lengths, loose bits and foreign characters are refused. */
START_TEST(test_base64_is_canonical)
{
	static const char *const bad[] = {"AAAAAA=", "AAAAAA", "AAAAAB==", "AAAA AA==", "AAAAA-==", ""};
	uint8_t out[4];
	char text[BASE64_SIZE(4)];

	ck_assert(base64_decode(out, 4, "AAECAw==", 8));
	base64_encode(text, out, 4);
	ck_assert_str_eq(text, "AAECAw==");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert(!base64_decode(out, 4, bad[i], strlen(bad[i])));
}
END_TEST

/* Hexadecimal takes exactly the digits asked for. */
START_TEST(test_hex_is_exact)
{
	uint8_t out[2];

	ck_assert(hex_decode(out, 2, "aBcD"));
	ck_assert(!hex_decode(out, 2, "abc"));
	ck_assert(!hex_decode(out, 2, "abcde"));
	ck_assert(!hex_decode(out, 2, "abcg"));
}
END_TEST

/* A file is replaced whole, with the mode asked for, and read up to a limit. */
START_TEST(test_file_is_replaced)
{
	char folder[] = "/tmp/enlight-test-XXXXXX", path[64];
	struct stat st;
	void *data;
	size_t len;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/key", folder);
	ck_assert_int_eq(file_write(path, "first", 5, 0644), 0);
	ck_assert_int_eq(file_write(path, "second", 6, 0600), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(file_read(&data, &len, path, 6), 0);
	ck_assert_str_eq(data, "second");
	free(data);
	ck_assert_int_eq(file_read(&data, &len, path, 5), -EFBIG);
	ck_assert_ptr_null(data);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(file_read(&data, &len, path, 5), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bytes");
	TCase *tc = tcase_create("bytes");

	tcase_add_test(tc, test_buffer_grows);
	tcase_add_test(tc, test_base64_is_canonical);
	tcase_add_test(tc, test_hex_is_exact);
	tcase_add_test(tc, test_file_is_replaced);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
