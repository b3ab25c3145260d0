/* What the main() of every plugin in C does: keeps the protocol off the standard descriptors and moves frames until the node is done. */
#include "connection.h"

#include "frame.h"
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { PRIVATE_FROM = 10 }; /* no plugin counts on a descriptor from here on */

/* ---- help ---- */

static const char *const type_words[] = {
	[ENLIGHT_TEXT] = "text",
	[ENLIGHT_PATH] = "path",
	[ENLIGHT_NUMBER] = "number",
	[ENLIGHT_DURATION] = "duration",
	[ENLIGHT_FLAG] = "true or false",
};

/* What --help prints around the options; memory the caller frees. NULL: out of memory. */
static char *help(void)
{
	struct buffer b = {0};
	char *text;

	buffer_printf(&b, "%s: takes events (%s) from an ENLIGHT node, %s.\v", plugin.name,
		plugin.topics != NULL ? plugin.topics : "all that the configuration allows",
		plugin.order == ENLIGHT_LANES ? "of each object in order" : "one after the other");
	buffer_str(&b, "The node starts this program; it is named below `plugins:` in enlight.yaml.");
	if (plugin.settings != NULL)
		buffer_str(&b, " Its settings:\n");
	for (const struct enlight_setting *s = plugin.settings; s != NULL && s->name != NULL; s++) {
		buffer_printf(&b, "\n  %-16s %s", s->name, type_words[s->type]);
		if (s->required)
			buffer_str(&b, ", required");
		else if (s->fallback != NULL)
			buffer_printf(&b, ", default %s", s->fallback);
		buffer_printf(&b, "\n  %-16s %s", "", s->help != NULL ? s->help : "");
	}
	text = buffer_take(&b, NULL);
	buffer_deinit(&b);
	return text;
}

/* There are no options but argp's own, and no arguments. */
static error_t parse(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key == ARGP_KEY_ARG)
		argp_usage(state);
	return ARGP_ERR_UNKNOWN;
}

static void print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	fprintf(out, "%s %s (SDK " ENLIGHT_VERSION ")\n", plugin.name, plugin.version != NULL ? plugin.version : "");
}

static int read_arguments(int argc, char **argv)
{
	struct argp argp = {.parser = parse, .doc = help()};
	int r = 0;

	argp_err_exit_status = EX_USAGE;
	argp_program_version_hook = print_version;
	if (argp.doc == NULL || argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0) {
		fprintf(stderr, "%s: out of memory\n", plugin.name);
		r = EX_OSERR;
	}
	free((char *)argp.doc);
	if (r == 0 && isatty(STDIN_FILENO)) {
		fprintf(stderr, "%s: is started by a node (enlight.yaml, plugins:); see --help\n", plugin.name);
		r = EX_USAGE;
	}
	return r;
}

/* ---- descriptors ---- */

/* Moves the protocol away from where anybody's printf() goes: 0 reads nothing, 1 is the log. */
static int take_descriptors(int *in, int *out)
{
	int nothing = open("/dev/null", O_RDWR);

	*in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, PRIVATE_FROM);
	*out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, PRIVATE_FROM);
	if (nothing < 0 || *in < 0 || *out < 0)
		return -errno;
	if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(nothing, STDERR_FILENO) < 0)
		return -errno;
	if (dup2(nothing, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -errno;
	if (nothing > STDERR_FILENO)
		close(nothing);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

/* Waits until the descriptor is ready; -1: as long as it takes. */
static bool ready(int fd, short events, int timeout_ms)
{
	struct pollfd p = {fd, events, 0};

	return poll(&p, 1, timeout_ms) > 0;
}

static bool write_frames(void *context, struct bytes frames)
{
	int fd = *(int *)context;
	ssize_t n;

	while (frames.len > 0) {
		n = write(fd, frames.data, frames.len);
		if (n < 0 && errno == EAGAIN)
			ready(fd, POLLOUT, -1);
		else if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			frames = bytes_of(frames.data + n, frames.len - (size_t)n);
	}
	return true;
}

/* ---- the conversation ---- */

/* Takes in more, after what was gathered got its turn and beats were sent meanwhile. */
static void take_more(struct enlight *e, struct frames *frames, int in)
{
	int r;

	if (e->n > 0 && !ready(in, POLLIN, 0))
		connection_idle(e);
	if (e->status >= 0)
		return;
	if (!ready(in, POLLIN, connection_wait_ms(e))) {
		enlight_beat(e);
		return;
	}
	r = frames_fill(frames, in);
	if (r == -ENOMEM)
		connection_fail(e, EX_OSERR, "out of memory");
	else if (r < 0)
		connection_fail(e, EX_IOERR, "cannot read from the node: %s", strerror(-r));
	else if (r == 0)
		connection_eof(e);
}

static void converse(struct enlight *e, int in)
{
	struct frames frames = {0};
	struct bytes frame;

	while (e->status < 0) {
		switch (frames_next(&frames, &frame)) {
		case FRAME_WHOLE:
			connection_take(e, frame);
			break;
		case FRAME_PARTLY:
			take_more(e, &frames, in);
			break;
		default:
			connection_fail(e, EX_SOFTWARE, "the node breaks the protocol: a frame larger than %d bytes",
				FRAME_MAX);
		}
	}
	frames_deinit(&frames);
}

int enlight_main(int argc, char **argv)
{
	struct enlight *e;
	int in, out, r;

	r = read_arguments(argc, argv);
	if (r != 0)
		return r;
	r = take_descriptors(&in, &out);
	if (r != 0) {
		fprintf(stderr, "%s: standard descriptors: %s\n", plugin.name, strerror(-r));
		return EX_OSERR;
	}
	e = connection_new(&plugin, write_frames, &out);
	if (e == NULL) {
		fprintf(stderr, "%s: out of memory\n", plugin.name);
		return EX_OSERR;
	}
	converse(e, in);
	r = e->status;
	connection_free(e);
	return r;
}
