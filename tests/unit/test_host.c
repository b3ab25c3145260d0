#include "host/host.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The host over an empty archive, with plugins that are a line of shell. */

static struct {
	char folder[256];
	struct host *host;
	uint64_t now_ms;
} t;

static int commit(void *context, struct job *job)
{
	(void)context;
	(void)job;
	return -EAGAIN;
}

static int query(void *context, struct query *query)
{
	(void)context;
	(void)query;
	return -EAGAIN;
}

static uint64_t time_ms(void *context)
{
	(void)context;
	return 1700000000000 + t.now_ms;
}

static int no_cursors(void *archive, cursor_visit visit, void *context)
{
	(void)archive;
	(void)visit;
	(void)context;
	return 0;
}

static int no_held(void *archive, held_visit visit, void *context)
{
	(void)archive;
	(void)visit;
	(void)context;
	return 0;
}

static void start(void)
{
	static const struct host_ops ops = {commit, query, time_ms};
	struct host_options options = {.member = "ugent.be", .ops = &ops, .file = "/dev/null"};

	signal(SIGPIPE, SIG_IGN);
	t.now_ms = 1000;
	unit_folder(t.folder, sizeof t.folder);
	options.state = t.folder;
	ck_assert_int_eq(host_open(&t.host, &options), 0);
}

static void end(void)
{
	char path[300];

	host_close(t.host);
	snprintf(path, sizeof path, "%s/plugins/shell", t.folder);
	rmdir(path);
	snprintf(path, sizeof path, "%s/plugins", t.folder);
	rmdir(path);
	unit_folder_remove(t.folder);
}

/* A plugin that is a line of shell; `argument` is its $1. */
static void run_shell(const char *line, const char *argument)
{
	static const struct archive_ops archive = {.cursors = no_cursors, .held = no_held};
	const char *command[] = {"sh", "-c", line, "sh", argument, NULL}, *none[] = {NULL};
	struct host_plugin plugin = {.name = "shell",
		.program = "/bin/sh",
		.command = (char *const *)command,
		.n_command = 5,
		.environment = (char *const *)none,
		.topics = (char *const *)none,
		.publishes = (char *const *)none,
		.deadline_ms = 5000};

	ck_assert_int_eq(host_configure(t.host, &plugin, 1, &archive, NULL, t.now_ms), 0);
}

static json_int_t number(const char *name)
{
	json_t *list = host_plugins(t.host);
	json_int_t value = json_integer_value(json_object_get(json_array_get(list, 0), name));

	json_decref(list);
	return value;
}

/* Waits for what the plugin does, and takes a turn. False: it does nothing that the host waits for. */
static bool turn(void)
{
	zmq_pollitem_t items[8];
	size_t n = host_poll_items(t.host, items, 8);
	bool ready = host_wake_ms(t.host) == 0 || zmq_poll(items, (int)n, 2000) > 0;

	host_turn(t.host, t.now_ms);
	return ready;
}

/* A Publish of an event with many mistakes, ending with a line end: what yes(1) repeats. */
static char *many_mistakes(void)
{
	struct buffer event = {0}, frame = {0};
	size_t len;

	buffer_str(&event, "{\"specversion\":\"1.0\"");
	for (int i = 0; i < 99; i++)
		buffer_printf(&event, ",\"no_such_attribute_%d\":1", i);
	buffer_str(&event, "}\n");
	len = event.len;
	ck_assert(len > 127 && len + 5 > 127 && len + 5 < 16384);
	buffer_printf(&frame, "%c%c\x1a%c%c\x08\x01\x12%c%c", (int)((len + 8) | 0x80) & 0xff, (int)(len + 8) >> 7,
		(int)((len + 5) | 0x80) & 0xff, (int)(len + 5) >> 7, (int)(len | 0x80) & 0xff, (int)len >> 7);
	buffer_add(&frame, event.data, event.len - 1);
	buffer_deinit(&event);
	buffer_add(&frame, "", 1);
	return buffer_take(&frame, &len);
}

/* A plugin that publishes and never reads what became of it does not fill the node's memory: it is no longer listened to, and ended. */
START_TEST(test_publishes_and_never_reads)
{
	char *frame = many_mistakes();
	json_int_t pid;

	run_shell("printf '\\004\\012\\002\\010\\001'; exec yes \"$1\"", frame);
	pid = number("pid");
	ck_assert_int_gt(pid, 0);
	while (turn())
		ck_assert_int_eq(number("restarts"), 0);
	t.now_ms += 3 * DELIVERY_BEAT_MS;
	while (number("pid") == pid)
		turn();
	ck_assert_int_eq(number("restarts"), 1);
	free(frame);
}
END_TEST

/* Turns, half a second after the other by the host's clock, until the plugin runs, or does not. False: it stays as it is. */
static bool turns_until(bool runs)
{
	zmq_pollitem_t items[8];

	for (int i = 0; i < 1000; i++) {
		t.now_ms += 500;
		host_turn(t.host, t.now_ms);
		if ((number("pid") > 0) == runs)
			return true;
		zmq_poll(items, (int)host_poll_items(t.host, items, 8), 5);
	}
	return false;
}

/* A changed plugin that cannot be set up when its old process has ended is not forgotten: it starts as soon as it can. */
START_TEST(test_changed_without_a_folder)
{
	static const char waits[] = "printf '\\004\\012\\002\\010\\001'; exec cat";
	char folder[300], path[320];
	int fd;

	snprintf(folder, sizeof folder, "%s/plugins", t.folder);
	snprintf(path, sizeof path, "%s/shell", folder);
	run_shell(waits, "1");
	ck_assert(turns_until(true));
	ck_assert(rmdir(path) == 0 && rmdir(folder) == 0);
	fd = open(folder, O_WRONLY | O_CREAT | O_CLOEXEC, 0600); /* where the folder was */
	ck_assert_int_ge(fd, 0);
	close(fd);
	run_shell(waits, "2");
	ck_assert(turns_until(false));
	for (int i = 0; i < 20; i++)
		host_turn(t.host, t.now_ms += 500);
	ck_assert(!host_stopped(t.host));
	ck_assert_int_eq(unlink(folder), 0);
	ck_assert(turns_until(true));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *tc = tcase_create("host");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, start, end);
	tcase_add_test(tc, test_publishes_and_never_reads);
	tcase_add_test(tc, test_changed_without_a_folder);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
