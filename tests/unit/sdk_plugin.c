/* sdk_plugin - the plugin that test_sdk.c starts as a process. What it does with an event, the event's id says. */
#include <enlight-plugin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct settings {
	const char *greeting;
	uint64_t wait_ms;
};

static const struct enlight_setting settings[] = {
	{"greeting", ENLIGHT_TEXT, offsetof(struct settings, greeting), .required = true,
		.help = "What it says first."},
	{"wait", ENLIGHT_DURATION, offsetof(struct settings, wait_ms), .fallback = "30s", .help = "Nothing."},
	{0},
};

static int start(struct enlight *e, const void *values, void **state)
{
	const struct settings *s = values;

	*state = e;
	enlight_log(e, ENLIGHT_INFO, "start: %s to %s at %s", s->greeting, enlight_name(e), enlight_member(e));
	return 0;
}

/* Stays in the callback, alive, until the test has seen that. */
static void wait_for_file(struct enlight *e)
{
	const struct timespec pause = {0, 1000000};
	char path[512];

	snprintf(path, sizeof path, "%s/go-on", enlight_state(e));
	while (access(path, F_OK) != 0) {
		enlight_beat(e);
		nanosleep(&pause, NULL);
	}
}

static void deliver_one(struct enlight *e, const struct enlight_event *event, struct enlight_result *result)
{
	if (strcmp(event->id, "nothing") == 0)
		return;
	if (strcmp(event->id, "print") == 0)
		printf("a stray line, and %d from standard input\n", getchar());
	if (strcmp(event->id, "child") == 0 &&
		system("echo from a child; test ! -e /proc/self/fd/10 || echo leaked") != 0)
		exit(EXIT_FAILURE);
	if (strcmp(event->id, "slow") == 0)
		wait_for_file(e);
	if (strcmp(event->id, "later") == 0) {
		enlight_result(result, ENLIGHT_RETRY, "the registrar is closed");
		result->retry_after_ms = 5000;
		return;
	}
	result->outcome = ENLIGHT_DONE;
}

static void deliver_many(
	struct enlight *e, void *state, const struct enlight_event *events, size_t n, struct enlight_result *results)
{
	enlight_log(e, ENLIGHT_DEBUG, "took %zu", n);
	for (size_t i = 0; i < n; i++)
		deliver_one(e, &events[i], &results[i]);
}

static void stop(struct enlight *e, void *state)
{
	enlight_log(e, ENLIGHT_INFO, "stopped");
}

const struct enlight_plugin plugin = {
	.name = "sdk-plugin",
	.version = "7",
	.topics = "course.*, mobility.*",
	.order = ENLIGHT_LANES,
	.window = 8,
	.settings = settings,
	.settings_size = sizeof(struct settings),
	.start = start,
	.deliver_many = deliver_many,
	.stop = stop,
};
