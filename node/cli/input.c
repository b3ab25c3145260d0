#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024 };

int input_open(struct input *in, const char *path)
{
	*in = (struct input){.line = 1, .column = 1};
	in->fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (in->fd < 0)
		return -errno;
	in->chunk = malloc(CHUNK);
	return in->chunk != NULL ? 0 : -ENOMEM;
}

void input_close(struct input *in)
{
	if (in->chunk != NULL || in->fd > 0)
		close(in->fd);
	free(in->chunk);
	*in = (struct input){0};
}

/* The next byte; -1 at the end; other negative values are -errno - 1. */
static int next_byte(struct input *in)
{
	ssize_t n;
	int byte;

	while (in->chunk_at == in->chunk_len) {
		if (in->ended)
			return -1;
		n = read(in->fd, in->chunk, CHUNK);
		if (n < 0 && errno != EINTR)
			return -errno - 1;
		in->chunk_at = 0;
		in->chunk_len = n > 0 ? (size_t)n : 0;
		in->ended = n == 0;
	}
	byte = (unsigned char)in->chunk[in->chunk_at++];
	in->line += byte == '\n';
	if (byte == '\n')
		in->column = 1;
	else if ((byte & 0xc0) != 0x80) /* not inside of a character */
		in->column++;
	return byte;
}

static bool is_space(int byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == 0x1e; /* RFC 7464 */
}

bool input_would_wait(struct input *in)
{
	struct pollfd fd = {.fd = in->fd, .events = POLLIN};

	while (in->chunk_at < in->chunk_len &&
		(is_space(in->chunk[in->chunk_at]) || (in->in_array && in->chunk[in->chunk_at] == ',')))
		next_byte(in); /* the line end after an event is no next event */
	return in->chunk_at == in->chunk_len && !in->ended && poll(&fd, 1, 0) == 0;
}

/* Passes over what stands between events. Answers the `{` of the next one, -1 at the end, -errno - 1, or another byte that
 * does not belong there. */
static int next_start(struct input *in)
{
	int byte;

	for (;;) {
		byte = next_byte(in);
		if (is_space(byte))
			continue;
		if (byte == '[' && !in->begun) {
			in->in_array = in->begun = true;
			continue;
		}
		if (in->in_array && byte == ',')
			continue;
		if (in->in_array && byte == ']') {
			in->in_array = false;
			continue;
		}
		in->begun = true;
		return byte;
	}
}

/* Copies one object, whose `{` was read. Only braces and strings matter here; whoever gets the text parses it. */
static int copy_object(struct input *in, struct buffer *text)
{
	bool in_string = false, escaped = false;
	int depth = 1, byte;
	char c = '{';

	buffer_add(text, &c, 1);
	while (depth > 0) {
		byte = next_byte(in);
		if (byte < 0)
			return byte == -1 ? INPUT_BAD : byte + 1;
		if (text->len == INPUT_EVENT_MAX)
			return INPUT_BAD;
		c = (char)byte;
		buffer_add(text, &c, 1);
		if (escaped)
			escaped = false;
		else if (in_string && c == '\\')
			escaped = true;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && c == '{')
			depth++;
		else if (!in_string && c == '}')
			depth--;
	}
	return text->error;
}

int input_next(struct input *in, struct buffer *text, unsigned long *line, const char **why)
{
	int byte, r;

	buffer_clear(text);
	byte = next_start(in);
	*line = in->line;
	in->event_column = in->column - 1; /* its brace was read */
	if (byte == -1 && in->in_array) {
		*why = "the array has no end";
		return INPUT_BAD;
	}
	if (byte == -1)
		return INPUT_END;
	if (byte < 0)
		return byte + 1;
	if (byte != '{') {
		*why = "an event must be a JSON object";
		return INPUT_BAD;
	}
	r = copy_object(in, text);
	if (r == INPUT_BAD)
		*why = text->len == INPUT_EVENT_MAX ? "an event is at most 1 MiB of JSON" : "the event has no end";
	return r;
}
