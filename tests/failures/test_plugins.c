/* Every call of memory and of the system that `enlight-ewp` and `enlight-sql` make for people fails once: they say so and end with a status
 * of <sysexits.h>; they never crash, lose memory, or say that they have done what they have not. As a plugin, the SDK's main() is at
 * work in test_traffic.c. */
#include "core/event.h"
#include "walk.h"

int plugin_main(int argc, char **argv);

static int start_plugin(const char *line)
{
	char copy[512], *argv[WORDS_MAX];

	snprintf(copy, sizeof copy, "%s", line);
	return plugin_main(words_of(argv, copy), argv);
}

/* PROGRAM is the one that this test is linked with. */
static bool is_ours(const char *line)
{
	return strncmp(line, PROGRAM, strlen(PROGRAM)) == 0;
}

static const struct {
	const char *line;
	bool unclear; /* jansson does not tell whether it was memory that it read no JSON for */
} lines[] = {
	{"enlight-ewp convert --member uniba.sk --audience network " EWP_DATA "/courses.xml"},
	{"enlight-ewp convert --member uniba.sk " EWP_DATA "/nominations.xml"},
	{"enlight-ewp fields"},
	{"enlight-sql --reference"},
	{"enlight-sql --dry-run mapping.yaml event.json", .unclear = true},
};
enum { N_LINES = sizeof lines / sizeof *lines };

static const char mapping[] = "connection: DSN=none\n"
			      "tables:\n"
			      "  - topic: course.offering\n"
			      "    table: course\n"
			      "    key: {university: source, id: data.courseId}\n"
			      "    revision: revision\n"
			      "    columns: {title: 'data.title[0].value'}\n";

static void make(void)
{
	json_t *event = event_example(topic_find("course.offering"));

	unit_folder(members_folder, sizeof members_folder);
	ck_assert_int_eq(chdir(members_folder), 0);
	ck_assert_int_eq(json_dump_file(event, "event.json", 0), 0);
	ck_assert_int_eq(file_write("mapping.yaml", mapping, sizeof mapping - 1, 0600), 0);
	json_decref(event);
}

static void walk_line(const char *line, enum fault_kind kind)
{
	walk(&(struct walk){.start = start_plugin, .line = line}, kind);
}

/* Without memory they say so and end with 71. */
START_TEST(test_memory)
{
	if (is_ours(lines[_i].line) && !lines[_i].unclear)
		walk_line(lines[_i].line, FAULT_MEMORY);
}
END_TEST

/* A call of the system that fails makes them end with a message and a status that fits. */
START_TEST(test_system)
{
	if (is_ours(lines[_i].line))
		walk_line(lines[_i].line, FAULT_CALL);
}
END_TEST

/* What cannot be printed was not done. */
START_TEST(test_full_output)
{
	struct quiet q;
	int status, full;

	if (!is_ours(lines[_i].line))
		return;
	q = quiet_begin();
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	dup2(full, STDOUT_FILENO);
	close(full);
	status = start_plugin(lines[_i].line);
	fflush(stdout);
	quiet_end(&q);
	ck_assert_int_eq(status, EX_IOERR);
	ck_assert_msg(strstr(said, "cannot write") != NULL, "%s", said);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures of plugins");
	TCase *tc = tcase_create("plugins");

	faults_init();
	prints_the_same = true;
	tcase_add_checked_fixture(tc, make, members_remove);
	tcase_add_loop_test(tc, test_memory, 0, N_LINES);
	tcase_add_loop_test(tc, test_system, 0, N_LINES);
	tcase_add_loop_test(tc, test_full_output, 0, N_LINES);
	tcase_set_timeout(tc, 300);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
