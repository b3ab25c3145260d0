/* input - events to publish, as people and programs write them: JSON objects one after the other (one a line, or over several
 * lines), or one array of them. Each comes with the line it began in; nothing has to fit into memory but one event. */
#ifndef ENLIGHT_CLI_INPUT_H
#define ENLIGHT_CLI_INPUT_H

#include "base/bytes.h"

enum { INPUT_EVENT_MAX = 1 << 20 }; /* bytes of one event's JSON; the node takes no more */

struct input {
	int fd;
	char *chunk;
	size_t chunk_len, chunk_at;
	unsigned long line, column; /* of the next byte; columns count characters of UTF-8 */
	unsigned long event_column; /* where the last event began in its line */
	bool in_array, begun, ended;
};

enum {
	INPUT_END = 1, /* nothing is left */
	INPUT_BAD,     /* not a JSON object; `*why` says so */
};

int input_open(struct input *in, const char *path); /* "-": standard input. 0 or -errno */
void input_close(struct input *in);                 /* the zeroed value is a no-op */

/* The next event's text (owned by the caller's buffer, which is cleared first) and the line it begins in. 0, INPUT_END, INPUT_BAD
 * or -errno. */
int input_next(struct input *in, struct buffer *text, unsigned long *line, const char **why);

/* Whether the next event would have to be waited for: nothing has been read ahead, and the file has nothing ready. */
bool input_would_wait(struct input *in);

#endif
