#include "api/access.h"
#include "unit.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char courses[] = "course.*", mobilities[] = "mobility.*", staff[] = "staff.nomination", any[] = "*";
static char *course[] = {courses}, *mobility[] = {mobilities, staff}, *all[] = {any};
static const struct api_access rows[] = {
	{.by_uid = true, .id = 1001, .publish = course, .n_publish = 1},
	{.by_uid = false, .id = 50, .publish = mobility, .n_publish = 2, .read = course, .n_read = 1},
	{.by_uid = false, .id = 51, .read = all, .n_read = 1},
	{.by_uid = true, .id = 1002, .operator_ = true},
};
static const struct access table = {.rows = rows, .n_rows = 4, .owner_uid = 900};

static const struct {
	const char *name;
	unsigned uid;
	gid_t groups[3];
	unsigned roles;
	const char *publish, *publish_not, *read, *read_not; /* topics; NULL: none */
} peers[] = {
	{"a user of a row", 1001, {7, 7, 7}, ACCESS_PUBLISHER, "course.offering", "mobility.stay", NULL,
		"course.offering"},
	{"a group of a row", 2000, {50, 7, 7}, ACCESS_PUBLISHER | ACCESS_READER, "mobility.stay", "course.offering",
		"course.offering", "mobility.stay"},
	{"a supplementary group", 2000, {7, 7, 51}, ACCESS_READER, NULL, "course.offering", "label.learner", NULL},
	{"rows add up", 1001, {50, 51, 7}, ACCESS_PUBLISHER | ACCESS_READER, "course.offering", "label.learner",
		"label.learner", NULL},
	{"a user with a group's number", 50, {7, 7, 7}, 0, NULL, "mobility.stay", NULL, "course.offering"},
	{"a group with a user's number", 2000, {1001, 1002, 7}, 0, NULL, "course.offering", NULL, "course.offering"},
	{"a stranger", 3000, {7, 7, 7}, 0, NULL, "course.offering", NULL, "course.offering"},
	{"an operator by row", 1002, {7, 7, 7}, ACCESS_OPERATOR, "label.learner", NULL, "label.learner", NULL},
	{"root", 0, {7, 7, 7}, ACCESS_OPERATOR, "label.learner", NULL, "label.learner", NULL},
	{"the node's own user", 900, {7, 7, 7}, ACCESS_OPERATOR, "label.learner", NULL, "label.learner", NULL},
};

/* What no row allows is denied; users and groups are told apart. */
START_TEST(test_rows_decide)
{
	struct api_peer p = {.uid = peers[_i].uid, .groups = (gid_t *)peers[_i].groups, .n_groups = 3};

	ck_assert_msg(access_roles(&table, &p) == (peers[_i].roles | ACCESS_ANYONE), "%s", peers[_i].name);
	ck_assert_msg(
		peers[_i].publish == NULL || access_may_publish(&table, &p, peers[_i].publish), "%s", peers[_i].name);
	ck_assert_msg(peers[_i].publish_not == NULL || !access_may_publish(&table, &p, peers[_i].publish_not), "%s",
		peers[_i].name);
	ck_assert_msg(peers[_i].read == NULL || access_may_read(&table, &p, peers[_i].read), "%s", peers[_i].name);
	ck_assert_msg(
		peers[_i].read_not == NULL || !access_may_read(&table, &p, peers[_i].read_not), "%s", peers[_i].name);
}
END_TEST

/* A query gets exactly the patterns that the peer's rows give; an operator's has none, which means all. */
START_TEST(test_what_is_readable)
{
	gid_t groups[] = {50, 51};
	struct api_peer reader = {.uid = 2000, .groups = groups, .n_groups = 2}, root = {.uid = 0};
	char **patterns;
	size_t n;

	ck_assert_int_eq(access_readable(&table, &reader, &patterns, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(patterns[0], "course.*");
	ck_assert_str_eq(patterns[1], "*");
	for (size_t i = 0; i < n; i++)
		free(patterns[i]);
	free(patterns);
	ck_assert_int_eq(access_readable(&table, &root, &patterns, &n), 0);
	ck_assert_ptr_null(patterns);
}
END_TEST

/* Somebody whom no row covers gets a filter that lets nothing through, not one that lets all through. */
START_TEST(test_nothing_is_not_everything)
{
	struct api_peer stranger = {.uid = 3000};
	char **patterns;
	size_t n;

	ck_assert_int_eq(access_readable(&table, &stranger, &patterns, &n), 0);
	ck_assert_ptr_nonnull(patterns);
	ck_assert_uint_eq(n, 0);
	free(patterns);
}
END_TEST

/* The kernel names the user and all groups of the process at the other end. */
START_TEST(test_kernel_names_the_peer)
{
	gid_t own[256];
	int pair[2], n = getgroups(256, own);
	struct api_peer p;

	ck_assert_int_ge(n, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(access_peer_of(&p, pair[0]), 0);
	ck_assert_uint_eq(p.uid, geteuid());
	ck_assert_uint_eq(p.n_groups, (size_t)n + 1);
	ck_assert_uint_eq(p.groups[0], getegid());
	for (int i = 0; i < n; i++)
		ck_assert_uint_eq(p.groups[i + 1], own[i]);
	api_peer_deinit(&p);
	close(pair[0]);
	close(pair[1]);
	ck_assert_int_lt(access_peer_of(&p, pair[0]), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access");
	TCase *tc = tcase_create("access");

	tcase_add_loop_test(tc, test_rows_decide, 0, sizeof peers / sizeof *peers);
	tcase_add_test(tc, test_what_is_readable);
	tcase_add_test(tc, test_nothing_is_not_everything);
	tcase_add_test(tc, test_kernel_names_the_peer);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
