/* enlight-example - writes a line for each event into a file in its state folder, once, and takes it out when asked to forget.
 *
 * A line is the effect and the proof of it: `source id audience sequence topic subject revision`. It is complete when its line
 * end is on disk; what a crash left without one is cut off at the start, and the event comes again. */
#include <enlight-plugin.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct settings {
	const char *file;
	bool durable;
};

static const struct enlight_setting settings[] = {
	{"file", ENLIGHT_TEXT, offsetof(struct settings, file), .fallback = "events.txt",
		.help = "Its name in the state folder."},
	{"durable", ENLIGHT_FLAG, offsetof(struct settings, durable), .fallback = "true",
		.help = "Whether each line is on disk before the event counts as done."},
	{0},
};

struct state {
	const struct settings *settings;
	char *path;
	FILE *file;
	long whole;   /* bytes of it that are whole lines, and done */
	json_t *seen; /* the keys are "SOURCE ID" of the lines */
};

static void example_stop(struct enlight *e, void *state)
{
	struct state *s = state;

	(void)e;
	if (s->file != NULL)
		fclose(s->file);
	json_decref(s->seen);
	free(s->path);
	free(s);
}

static int remember(struct state *s, const char *source, const char *id)
{
	char key[256];

	snprintf(key, sizeof key, "%s %s", source, id);
	return json_object_set_new(s->seen, key, json_true()) == 0 ? 0 : -ENOMEM;
}

/* Opens the file, reads what was done, and cuts off what is not a whole line. */
static int open_file(struct state *s)
{
	char source[64], id[65], *line = NULL;
	size_t size = 0;
	ssize_t n;
	int r = 0;

	s->whole = 0;
	s->file = fopen(s->path, "a+");
	if (s->file == NULL)
		return -errno;
	rewind(s->file);
	while (r == 0 && (n = getline(&line, &size, s->file)) > 0 && line[n - 1] == '\n') {
		s->whole += n;
		if (sscanf(line, "%63s %64s", source, id) == 2)
			r = remember(s, source, id);
	}
	free(line);
	if (r == 0 && ftruncate(fileno(s->file), s->whole) != 0)
		r = -errno;
	return r;
}

static int example_start(struct enlight *e, const void *values, void **state)
{
	struct state *s = calloc(1, sizeof *s);
	int r = -ENOMEM;

	if (s == NULL)
		return r;
	s->settings = values;
	s->seen = json_object();
	if (asprintf(&s->path, "%s/%s", enlight_state(e), s->settings->file) < 0)
		s->path = NULL;
	if (s->seen != NULL && s->path != NULL)
		r = open_file(s);
	if (r != 0) {
		enlight_log(e, ENLIGHT_ERROR, "%s: %s", s->settings->file, strerror(-r));
		example_stop(e, s);
		return r;
	}
	*state = s;
	return 0;
}

/* A line that failed may wait in the buffer, or stand on disk in part or whole. The file is closed and cut back, so that the line stands
 * there once however often the event comes. */
static void cut_back(struct state *s)
{
	fclose(s->file);
	s->file = NULL;
	if (truncate(s->path, s->whole) != 0 || open_file(s) != 0)
		exit(EXIT_FAILURE); /* the node starts it again */
}

static enum enlight_outcome example_deliver(
	struct enlight *e, void *state, const struct enlight_event *event, struct enlight_result *result)
{
	struct state *s = state;
	char key[256];
	int n;

	(void)e;
	snprintf(key, sizeof key, "%s %s", event->source, event->id);
	if (json_object_get(s->seen, key) != NULL)
		return ENLIGHT_DONE;
	n = fprintf(s->file, "%s %s %s %llu %s %s %llu\n", event->source, event->id, event->audience,
		(unsigned long long)event->sequence, event->topic, event->subject, (unsigned long long)event->revision);
	if (n < 0 || fflush(s->file) != 0 || (s->settings->durable && fdatasync(fileno(s->file)) != 0)) {
		enlight_result(result, ENLIGHT_RETRY, "cannot write: %s", strerror(errno));
		cut_back(s);
		return ENLIGHT_RETRY;
	}
	s->whole += n;
	if (remember(s, event->source, event->id) != 0)
		exit(EXIT_FAILURE); /* it stands there: the next start reads it */
	return ENLIGHT_DONE;
}

static bool is_erased(const struct enlight_erasure *what, const char *line)
{
	char source[64], id[65], audience[4160]; /* 64 members of 63 characters */
	unsigned long long sequence;
	bool erased = false;

	if (sscanf(line, "%63s %64s %4159s %llu", source, id, audience, &sequence) == 4 &&
		strcmp(source, what->source) == 0 && strcmp(audience, what->audience) == 0)
		for (size_t i = 0; i < what->n_sequences; i++)
			erased = erased || what->sequences[i] == sequence;
	return erased;
}

/* Writes the file anew without what is erased. */
static int rewrite(struct state *s, const struct enlight_erasure *what)
{
	char *path, *line = NULL;
	size_t size = 0;
	FILE *out;
	int r;

	if (asprintf(&path, "%s.new", s->path) < 0)
		return -ENOMEM;
	out = fopen(path, "w");
	r = out == NULL ? -errno : 0;
	rewind(s->file);
	while (out != NULL && r == 0 && getline(&line, &size, s->file) > 0)
		if (!is_erased(what, line) && fputs(line, out) < 0)
			r = -EIO;
	if (out != NULL && (fflush(out) != 0 || fsync(fileno(out)) != 0))
		r = -errno;
	if (out != NULL)
		fclose(out);
	if (r == 0 && rename(path, s->path) != 0)
		r = -errno;
	free(line);
	free(path);
	return r;
}

static enum enlight_outcome example_erase(
	struct enlight *e, void *state, const struct enlight_erasure *what, struct enlight_result *result)
{
	struct state *s = state;
	int r = rewrite(s, what);

	(void)e;
	if (r == 0) {
		fclose(s->file);
		r = open_file(s);
	}
	if (s->file == NULL)
		exit(EXIT_FAILURE); /* the node starts it again */
	return r == 0 ? ENLIGHT_DONE : enlight_result(result, ENLIGHT_RETRY, "cannot write: %s", strerror(-r));
}

const struct enlight_plugin plugin = {
	.name = "example",
	.version = "1",
	.topics = "*",
	.settings = settings,
	.settings_size = sizeof(struct settings),
	.start = example_start,
	.deliver = example_deliver,
	.erase = example_erase,
	.stop = example_stop,
};
