#include "cli/cli.h"
#include "cli/http.h"
#include "cli/input.h"
#include "cli/offline.h"
#include "core/event.h"
#include "core/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH_EVENTS = 500,
	BATCH_BYTES = 1 << 20,
	PROGRESS_AFTER_MS = 2000,  /* on a file or pipe; a terminal sees it at once */
	PROGRESS_EVERY_MS = 10000, /* the same */
	PROGRESS_TTY_MS = 200,
	BUSY_TRIES = 20, /* 503: waits of 50 ms doubling up to 2 s, about 30 s in all */
};

/* What is being published: a batch in the making, and counts of what is done. */
struct publishing {
	const struct cli *cli;
	struct http *http;
	const char *file; /* for messages */
	const char *audience;
	char *member; /* for --dry-run; NULL: each event's own source */

	struct buffer batch;
	unsigned long lines[BATCH_EVENTS];
	size_t n;

	unsigned long published, unchanged, again, checked, wrong;
	uint64_t began_ms, shown_ms;
	bool terminal;
};

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void progress(struct publishing *p)
{
	unsigned long n = p->published + p->unchanged + p->again;
	uint64_t now = clock_ms(), since = p->shown_ms != 0 ? p->shown_ms : p->began_ms;
	uint64_t wait = p->terminal ? PROGRESS_TTY_MS : p->shown_ms != 0 ? PROGRESS_EVERY_MS : PROGRESS_AFTER_MS;

	if (p->cli->quiet || now - since < wait)
		return;
	p->shown_ms = now;
	fprintf(stderr, p->terminal ? "\r%lu events, %.0f a second \033[K" : "enlight: %lu events, %.0f a second\n", n,
		(double)n * 1000 / (double)(now - p->began_ms));
}

static void progress_end(const struct publishing *p)
{
	if (p->terminal && p->shown_ms != 0)
		fputs("\r\033[K", stderr);
}

/* ---- the answer ---- */

/* The event of the batch that a pointer is about; the rest of the pointer through `*rest`. */
static size_t pointed_at(const struct publishing *p, const char *pointer, const char **rest)
{
	char *end;
	unsigned long i;

	*rest = pointer;
	if (pointer[0] != '/' || pointer[1] < '0' || pointer[1] > '9')
		return 0;
	i = strtoul(pointer + 1, &end, 10);
	if ((*end != '/' && *end != '\0') || i >= p->n)
		return 0;
	*rest = end;
	return i;
}

/* What the node refused, by the line of the file it came from. */
static int refused(struct publishing *p, const struct http_reply *reply)
{
	const json_t *errors = json_object_get(reply->json, "errors"), *error;
	struct http_reply title = {.status = reply->status};
	const char *rest;
	size_t i, at;
	int r;

	progress_end(p);
	json_array_foreach(errors, i, error)
	{
		at = pointed_at(p, cli_text(error, "pointer"), &rest);
		fprintf(stderr, "%s:%lu: %s%s%s\n", p->file, p->n != 0 ? p->lines[at] : 0, rest,
			*rest != '\0' ? ": " : "", cli_text(error, "rule"));
	}
	title.json = json_pack(
		"{ss, ss}", "title", cli_text(reply->json, "title"), "detail", cli_text(reply->json, "detail"));
	r = http_problem(&title);
	http_reply_deinit(&title);
	if (json_array_size(errors) == 0 && p->n != 0)
		cli_note(p->cli, "the events in question begin in line %lu of %s", p->lines[0], p->file);
	return r;
}

static int accepted(struct publishing *p, const json_t *answer)
{
	const json_t *events = json_object_get(answer, "events"), *event;
	const char *state;
	size_t i;

	if (json_array_size(events) != p->n) {
		cli_error("the node's answer is about another number of events");
		return EX_SOFTWARE;
	}
	json_array_foreach(events, i, event)
	{
		state = cli_text(event, "state");
		p->published += strcmp(state, "published") == 0;
		p->unchanged += strcmp(state, "unchanged") == 0;
		p->again += strcmp(state, "again") == 0;
		if (p->cli->json) {
			json_dumpf(event, stdout, JSON_COMPACT);
			putchar('\n');
		}
	}
	return EX_OK;
}

/* Asks until the node is not too busy any longer. */
static int ask(struct publishing *p, struct http_reply *reply)
{
	struct timespec wait = {.tv_nsec = 50000000};
	int r;

	for (int i = 0;; i++) {
		r = http_ask(p->http, reply, "POST", "/v1/events", "application/cloudevents-batch+json",
			bytes_of(p->batch.data, p->batch.len));
		if (r != EX_OK || reply->status != 503 || i == BUSY_TRIES)
			return r;
		http_reply_deinit(reply);
		nanosleep(&wait, NULL);
		if (wait.tv_sec == 0)
			wait = wait.tv_nsec < 800000000 ? (struct timespec){0, wait.tv_nsec * 2}
							: (struct timespec){2, 0};
	}
}

static int send_batch(struct publishing *p)
{
	struct http_reply reply;
	int r;

	if (p->n == 0)
		return EX_OK;
	buffer_str(&p->batch, "]");
	if (p->batch.error != 0)
		return EX_OSERR;
	r = ask(p, &reply);
	if (r == EX_OK && reply.status >= 200 && reply.status <= 299)
		r = accepted(p, reply.json);
	else if (r == EX_OK)
		r = refused(p, &reply);
	http_reply_deinit(&reply);
	buffer_clear(&p->batch);
	p->n = 0;
	progress(p);
	return r;
}

/* ---- one event ---- */

/* What the node would say to its form and its topic's rules; what it holds already is not looked at. */
static int check_event(struct publishing *p, json_t *event, unsigned long line)
{
	const char *source = json_string_value(json_object_get(event, "source"));
	const char *member = p->member != NULL ? p->member : source != NULL ? source : "";
	struct problems problems = {0};
	struct draft draft = {0};
	int r;

	r = draft_from_json(&draft, event, member, &problems);
	if (r == 0)
		r = draft_complete(&draft, "dry-run", "2026-01-01T00:00:00Z", "2026-01-01");
	if (r == 0)
		r = event_validate(&draft.event, member, draft.audience, &problems);
	for (size_t i = 0; i < problems.n; i++)
		fprintf(stderr, "%s:%lu: %s: %s\n", p->file, line, problems.items[i].place, problems.items[i].rule);
	p->checked++;
	p->wrong += r > 0;
	problems_deinit(&problems);
	draft_deinit(&draft);
	return r < 0 ? EX_OSERR : EX_OK;
}

static int add_to_batch(struct publishing *p, json_t *event, struct buffer *text, unsigned long line)
{
	int r = EX_OK;

	if (p->audience != NULL) {
		buffer_clear(text);
		json_append(text, event);
		if (text->error != 0)
			return EX_OSERR;
	}
	if (p->n == BATCH_EVENTS || (p->n != 0 && p->batch.len + text->len > BATCH_BYTES))
		r = send_batch(p);
	if (r != EX_OK)
		return r;
	buffer_str(&p->batch, p->n == 0 ? "[" : ",\n");
	buffer_add(&p->batch, text->data, text->len);
	p->lines[p->n++] = line;
	return EX_OK;
}

static const char *json_fault(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		return "a name comes twice in one object";
	case json_error_invalid_utf8:
		return "not UTF-8";
	case json_error_numeric_overflow:
		return "a number is too large";
	case json_error_null_byte_in_key:
	case json_error_null_character:
		return "a text has a null character";
	case json_error_stack_overflow:
		return "too many objects inside each other";
	default:
		return "syntax";
	}
}

static int take_event(struct publishing *p, struct buffer *text, unsigned long line, unsigned long column)
{
	json_error_t error;
	json_t *event;
	int r;

	event = json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, &error);
	if (event == NULL) {
		fprintf(stderr, "%s:%lu:%lu: not JSON: %s\n", p->file, line + (unsigned long)error.line - 1,
			(unsigned long)error.column + (error.line == 1 ? column - 1 : 0), json_fault(&error));
		return EX_DATAERR;
	}
	if (p->audience != NULL && json_object_set_new(event, "enlightaudience", json_string(p->audience)) != 0) {
		json_decref(event);
		return EX_OSERR;
	}
	r = p->cli->dry_run ? check_event(p, event, line) : add_to_batch(p, event, text, line);
	json_decref(event);
	return r;
}

static int read_events(struct publishing *p, struct input *in)
{
	struct buffer text = {0};
	const char *why = "";
	unsigned long line;
	int r = EX_OK, got;

	while (r == EX_OK) {
		if (p->n != 0 && input_would_wait(in))
			r = send_batch(p);
		if (r != EX_OK)
			break;
		got = input_next(in, &text, &line, &why);
		if (got == INPUT_END)
			break;
		if (got == 0) {
			r = take_event(p, &text, line, in->event_column);
		} else if (got == INPUT_BAD) {
			fprintf(stderr, "%s:%lu: %s\n", p->file, line, why);
			r = EX_DATAERR;
		} else {
			cli_error("%s: %s", p->file, strerror(-got));
			r = got == -ENOMEM ? EX_OSERR : EX_IOERR;
		}
	}
	buffer_deinit(&text);
	return r == EX_OK ? send_batch(p) : r;
}

static int end(struct publishing *p, int r)
{
	unsigned long n = p->published + p->unchanged + p->again;

	progress_end(p);
	if (p->cli->dry_run) {
		cli_note(p->cli, "%lu events checked, %lu wrong; nothing was published", p->checked, p->wrong);
		return r == EX_OK && p->wrong != 0 ? EX_DATAERR : r;
	}
	cli_note(p->cli, "%lu published, %lu unchanged, %lu published before", p->published, p->unchanged, p->again);
	if (r != EX_OK && n != 0)
		cli_note(p->cli, "what follows was not published; after mending run it again, nothing comes twice");
	return r;
}

static int run_publish(struct cli *c, int argc, char **argv)
{
	struct publishing p = {.cli = c, .file = argc == 1 ? argv[0] : "-", .began_ms = clock_ms()};
	struct input in = {0};
	int r;

	p.audience = cli_value(c, "audience");
	p.terminal = isatty(STDERR_FILENO);
	r = input_open(&in, p.file);
	if (r < 0) {
		cli_error("%s: %s", p.file, strerror(-r));
		r = r == -EACCES ? EX_NOPERM : EX_NOINPUT;
		goto out;
	}
	if (c->dry_run)
		r = offline_member(&p.member, c);
	else
		r = http_open(&p.http, c);
	if (r != EX_OK)
		goto out;
	r = end(&p, read_events(&p, &in));
out:
	input_close(&in);
	http_close(p.http);
	free(p.member);
	buffer_deinit(&p.batch);
	return r;
}

static const struct cli_option publish_options[] = {
	{"audience", "MEMBER,...",
		"Publish every event to this audience, whatever it says itself; network: all members"},
	{0},
};

const struct command publish_commands[] = {
	{"publish", "[FILE]", "Publish events",
		"FILE (or the standard input, also as -) holds events as CloudEvents JSON: one object, several one "
		"after the other or "
		"one a line, or an array. Events are published in batches, each as a whole; the first batch with a "
		"mistake ends the "
		"run, and the message names the line, the place in the event and the rule. Run again, what was "
		"published before is "
		"recognised. With --dry-run only the rules of the topics are checked, without a node. With --json the "
		"answer for each "
		"event is printed, one a line.",
		"enlight topics course.offering --example > event.json\n"
		"enlight publish --audience network event.json\n"
		"enlight publish --quiet < events.json",
		0, 1, publish_options, run_publish},
	{0},
};
