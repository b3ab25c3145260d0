/* run_main - calls a program's main() in this process, keeping what it says away from the test's own output. */
#ifndef ENLIGHT_TESTS_RUN_MAIN_H
#define ENLIGHT_TESTS_RUN_MAIN_H

#include "unit.h"

#include <argp.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

int enlight_main(int argc, char **argv);
int enlightd_main(int argc, char **argv);

enum { WORDS_MAX = 32, SAID_MAX = 4096 };

/* What the last program said on standard error, and a digest of what it printed on standard output. */
static char said[SAID_MAX];
static uint8_t printed[crypto_generichash_BYTES];

/* What happens when a node says that it is ready: it is told to end, or a byte goes to this descriptor. */
static bool ends_when_ready;
static int tell_when_ready = -1;

int __wrap_sd_notify(int unset, const char *state);
int __wrap_sd_notify(int unset, const char *state)
{
	(void)unset;
	if (strcmp(state, "READY=1") != 0)
		return 0;
	if (ends_when_ready)
		syscall(SYS_kill, getpid(), SIGTERM); /* which does not fail */
	if (tell_when_ready >= 0 && write(tell_when_ready, "", 1) != 1)
		abort();
	return 0;
}

/* Sends standard output and error of this process to a file in memory, and back. */
struct quiet {
	int out, err, file, output;
};

static inline struct quiet quiet_begin(void)
{
	struct quiet q = {.out = dup(STDOUT_FILENO),
		.err = dup(STDERR_FILENO),
		.file = memfd_create("said", MFD_CLOEXEC),
		.output = memfd_create("printed", MFD_CLOEXEC)};

	fflush(stdout);
	dup2(q.output, STDOUT_FILENO);
	dup2(q.file, STDERR_FILENO);
	return q;
}

static inline void digest_of(int fd)
{
	crypto_generichash_state state;
	uint8_t chunk[4096];
	ssize_t n;

	crypto_generichash_init(&state, NULL, 0, sizeof printed);
	for (off_t at = 0; (n = pread(fd, chunk, sizeof chunk, at)) > 0; at += n)
		crypto_generichash_update(&state, chunk, (size_t)n);
	crypto_generichash_final(&state, printed, sizeof printed);
}

static inline void quiet_end(struct quiet *q)
{
	ssize_t n = pread(q->file, said, sizeof said - 1, 0);

	said[n < 0 ? 0 : n] = '\0';
	fflush(stdout);
	clearerr(stdout);
	digest_of(q->output);
	dup2(q->out, STDOUT_FILENO);
	dup2(q->err, STDERR_FILENO);
	close(q->out);
	close(q->err);
	close(q->file);
	close(q->output);
}

/* Cuts a line into words at spaces: argv, which points into `line`. */
static inline int words_of(char **argv, char *line)
{
	int n = 0;

	for (char *word = strtok(line, " "); word != NULL && n < WORDS_MAX - 1; word = strtok(NULL, " "))
		argv[n++] = word;
	argv[n] = NULL;
	return n;
}

#endif
