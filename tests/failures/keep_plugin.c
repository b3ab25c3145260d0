/* keep_plugin - the plugin of test_traffic.c: keeps each event's id in the file `ids` of its folder, rejects some, and dies of some the first time. */
#include "faults.h"
#include <enlight-plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
	const char *words;
};

static const struct enlight_setting settings[] = {
	{"words", ENLIGHT_PATH, offsetof(struct settings, words), .required = true, .help = "A file of its own."}, {0}};

struct words {
	bool mortal;
};

static const struct enlight_setting word_rows[] = {
	{"mortal", ENLIGHT_FLAG, offsetof(struct words, mortal), .required = true, .help = "Whether it dies of some."},
	{0}};

static int start(struct enlight *e, const void *values, void **state)
{
	const struct settings *s = values;
	struct words words = {0};
	static int ids;
	char path[512];
	int r = enlight_settings_file(e, s->words, word_rows, &words, sizeof words);

	if (r != 0)
		return r;
	snprintf(path, sizeof path, "%s/ids", enlight_state(e));
	ids = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	*state = &ids;
	return ids < 0 ? -errno : 0;
}

/* Whether it has not died of this one yet; the mark that it now has stays. */
static bool is_first_time(struct enlight *e, const char *id)
{
	char path[512];
	int fd;

	snprintf(path, sizeof path, "%s/%s", enlight_state(e), id);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void deliver_one(struct enlight *e, int ids, const struct enlight_event *event, struct enlight_result *result)
{
	char line[128];
	int len = snprintf(line, sizeof line, "%s\n", event->id);

	if (strncmp(event->id, "never", 5) == 0) {
		enlight_result(result, ENLIGHT_REJECT, "is not for us");
		return;
	}
	if (strncmp(event->id, "deadly", 6) == 0 && is_first_time(e, event->id))
		_exit(EXIT_FAILURE);
	if (write(ids, line, (size_t)len) == len) {
		result->outcome = ENLIGHT_DONE;
		return;
	}
	enlight_result(result, ENLIGHT_RETRY, "cannot be written");
	result->retry_after_ms = 1;
}

static void deliver_many(
	struct enlight *e, void *state, const struct enlight_event *events, size_t n, struct enlight_result *results)
{
	for (size_t i = 0; i < n; i++)
		deliver_one(e, *(int *)state, &events[i], &results[i]);
}

static void stop(struct enlight *e, void *state)
{
	close(*(int *)state);
}

const struct enlight_plugin plugin = {
	.name = "keep",
	.order = ENLIGHT_LANES,
	.settings = settings,
	.settings_size = sizeof(struct settings),
	.start = start,
	.deliver_many = deliver_many,
	.stop = stop,
};

/* FAULTS: the file of its places; it lacks nothing without. HURRY: how much faster its clock runs. */
int main(int argc, char **argv)
{
	if (getenv("FAULTS") != NULL)
		faults_subject(getenv("FAULTS"));
	if (getenv("HURRY") != NULL)
		faults_hurry((unsigned)atoi(getenv("HURRY")));
	return enlight_main(argc, argv);
}
