/* count - the least that a plugin can do: it says when it has been given as many events as it waits for.
 *
 * Settings: `events`, and `file`, which then gets the seconds of the monotonic clock. */
#include <enlight-plugin.h>

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct settings {
	uint64_t events;
	const char *file;
};

struct count {
	const struct settings *settings;
	uint64_t events;
};

static const struct enlight_setting settings[] = {
	{"events", ENLIGHT_NUMBER, offsetof(struct settings, events), true, NULL, "Events to wait for"},
	{"file", ENLIGHT_PATH, offsetof(struct settings, file), true, NULL, "Written when they have come"},
	{0},
};

static int count_start(struct enlight *e, const void *given, void **state)
{
	static struct count count;

	count.settings = given;
	*state = &count;
	return 0;
}

static int say_when(const char *path)
{
	FILE *file = fopen(path, "w");
	struct timespec t;

	if (file == NULL)
		return -errno;
	clock_gettime(CLOCK_MONOTONIC, &t);
	fprintf(file, "%ld.%09ld\n", (long)t.tv_sec, t.tv_nsec);
	return fclose(file) == 0 ? 0 : -errno;
}

static enum enlight_outcome count_deliver(
	struct enlight *e, void *state, const struct enlight_event *event, struct enlight_result *result)
{
	struct count *c = state;
	int r = ++c->events == c->settings->events ? say_when(c->settings->file) : 0;

	if (r != 0)
		return enlight_result(result, ENLIGHT_REJECT, "cannot write: %s", strerror(-r));
	return ENLIGHT_DONE;
}

const struct enlight_plugin plugin = {
	.name = "count",
	.topics = "course.*",
	.order = ENLIGHT_LANES,
	.window = 256,
	.settings = settings,
	.settings_size = sizeof(struct settings),
	.start = count_start,
	.deliver = count_deliver,
};
