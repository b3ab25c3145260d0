/* process - one plugin's process and its three pipes. Knows frames by their length only. */
#ifndef ENLIGHT_HOST_PROCESS_H
#define ENLIGHT_HOST_PROCESS_H

#include "base/bytes.h"
#include <sys/types.h>

struct process_options {
	const char *program;      /* path */
	char *const *arguments;   /* ends with NULL */
	char *const *environment; /* all of it; ends with NULL */
	const char *folder;       /* to run in; must exist */
	uint64_t memory_limit_bytes;
};

/* The zeroed value with pid 0 is none. */
struct process {
	pid_t pid;
	int pidfd, in, out, err; /* -1: closed; all non-blocking */
	struct buffer unsent;    /* to be written to `in` */
	size_t unsent_from;
	struct buffer unread; /* of `out`: a frame that is not whole yet */
	struct buffer line;   /* of `err`: a line that is not whole yet */
	bool line_cut;        /* the rest of it is left out */
};

/* What comes out of a process. */
struct process_handler {
	void (*frame)(void *context, struct bytes frame);
	void (*line)(void *context, const char *text);
	void (*garbage)(void *context, const char *why); /* nothing more of it is read */
	bool (*listens)(void *context);                  /* whether frames are wanted now */
	void *context;
};

/* 0 or -errno. Whether the program could be run is told by its end: 127, after a line on its standard error. */
int process_start(struct process *p, const struct process_options *options);

/* Sends a frame: what the pipe does not take now is kept. 0 or -ENOMEM. */
int process_send(struct process *p, struct bytes frame);

size_t process_unsent(const struct process *p); /* bytes that wait to be written */

/* Writes and reads what is possible, a bounded amount. True: there may be more to read. */
bool process_turn(struct process *p, const struct process_handler *handler);

/* Whether it has ended; then all that it wrote was given to the handler, and `how` (of 64 bytes) says how it ended. Its pipes are closed. */
bool process_ended(struct process *p, const struct process_handler *handler, char how[static 64]);

void process_kill(struct process *p);  /* with all of its group; no-op when there is none */
void process_close(struct process *p); /* kills, waits for its end, and frees */

#endif
