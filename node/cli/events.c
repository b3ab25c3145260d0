#include "cli/cli.h"
#include "cli/http.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- events ---- */

static const struct cli_option filter_options[] = {
	{"source", "MEMBER", "Only events that this member published"},
	{"topic", "PATTERN", "Only events of this topic; a pattern such as mobility.* is possible"},
	{"subject", "FAMILY/ID", "Only events about this object"},
	{"audience", "MEMBER,...", "Only events for this audience"},
	{"after", "CURSOR", "Only events behind this place, as printed in the column CURSOR"},
	{"limit", "N", "At most so many events; default 100"},
	{"data", NULL, "With their data; the node notes in its audit trail that an operator read it"},
	{0},
};

static const struct column event_columns[] = {
	{"CURSOR", "cursor", COLUMN_TEXT},
	{"TIME", "time", COLUMN_TEXT},
	{"SOURCE", "source", COLUMN_TEXT},
	{"AUDIENCE", "enlightaudience", COLUMN_LONG},
	{"SEQ", "sequence", COLUMN_NUMBER},
	{"TYPE", "type", COLUMN_LONG},
	{"SUBJECT", "subject", COLUMN_LONG},
	{"REV", "enlightrevision", COLUMN_NUMBER},
	{"STATE", "state", COLUMN_TEXT},
	{"REASON", "reason", COLUMN_WORDS},
};
enum { N_EVENT_COLUMNS = sizeof event_columns / sizeof *event_columns };

/* The address of events or stream with the filters that were given. */
static void filtered(struct buffer *path, const struct cli *c, const char *base)
{
	static const char *const names[] = {"source", "topic", "subject", "audience"};

	buffer_str(path, base);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		http_query(path, names[i], cli_value(c, names[i]));
	if (cli_value(c, "data") != NULL)
		http_query(path, "data", "true");
}

static int print_page(const struct cli *c, const json_t *page)
{
	if (c->json)
		return cli_json(page);
	return cli_table(c, event_columns, N_EVENT_COLUMNS, json_object_get(page, "events"));
}

static int run_events(struct cli *c, int argc, char **argv)
{
	struct buffer path = {0};
	json_t *page = NULL;
	unsigned long limit;
	char digits[24];
	int r = EX_OSERR;

	if (!cli_number(c, "limit", &limit, 100))
		return EX_USAGE;
	snprintf(digits, sizeof digits, "%lu", limit);
	filtered(&path, c, "/v1/events");
	http_query(&path, "after", cli_value(c, "after"));
	http_query(&path, "limit", digits);
	if (buffer_cstr(&path) != NULL)
		r = http_get(c, &page, buffer_cstr(&path));
	if (r == EX_OK)
		r = print_page(c, page);
	json_decref(page);
	buffer_deinit(&path);
	return r;
}

/* ---- tail ---- */

enum { WAIT_MS = 250, WAIT_MAX_MS = 10000 }; /* for a node that went away, doubling */

struct tail {
	const struct cli *cli;
	struct http *http;
	unsigned long left; /* events still wanted; 0: all */
	char after[64];     /* cursor of the last one seen; "": none yet */
	bool open;          /* the stream has begun */
};

static void print_event(const struct cli *c, const json_t *event)
{
	const json_t *reason = json_object_get(event, "reason");

	if (c->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		printf("%s %s %s -> %s %lld %s %s r%lld%s%s%s%s\n", cli_text(event, "cursor"), cli_text(event, "time"),
			cli_text(event, "source"), cli_text(event, "enlightaudience"),
			(long long)json_integer_value(json_object_get(event, "sequence")), cli_text(event, "type"),
			cli_text(event, "subject"),
			(long long)json_integer_value(json_object_get(event, "enlightrevision")),
			strcmp(cli_text(event, "state"), "accepted") == 0 ? "" : " ",
			strcmp(cli_text(event, "state"), "accepted") == 0 ? "" : cli_text(event, "state"),
			reason != NULL ? ": " : "", cli_text(event, "reason"));
	}
	fflush(stdout);
}

static bool on_event(void *context, const char *id, const char *data)
{
	struct tail *t = context;
	json_t *event;

	t->open = true;
	http_patient(t->http);
	if (*id != '\0')
		snprintf(t->after, sizeof t->after, "%s", id);
	event = data == NULL ? NULL : json_loads(data, 0, NULL);
	if (event == NULL)
		return !cli_lacks_memory();
	print_event(t->cli, event);
	json_decref(event);
	return t->left == 0 || --t->left != 0;
}

static int read_stream(struct tail *t)
{
	struct buffer path = {0};
	int r = EX_OSERR;

	filtered(&path, t->cli, "/v1/events/stream");
	if (*t->after != '\0')
		http_query(&path, "after", t->after);
	if (buffer_cstr(&path) != NULL)
		r = http_stream(t->http, buffer_cstr(&path), on_event, t);
	buffer_deinit(&path);
	return r;
}

/* Follows until enough is seen. A node that was there once and went away is waited for: the cursor says where to go on. A stream that
 * has told no place yet is that of an empty node. */
static int follow(struct tail *t)
{
	unsigned wait_ms = 0;
	bool was_there = false;
	int r;

	for (;;) {
		t->open = false;
		r = read_stream(t);
		if (t->open) {
			was_there = true;
			wait_ms = 0;
			if (*t->after == '\0')
				snprintf(t->after, sizeof t->after, "0.0");
		}
		if (!was_there || (r != EX_UNAVAILABLE && r != EX_TEMPFAIL))
			return r;
		if (wait_ms == 0)
			cli_note(t->cli, "the node went away; waiting for it");
		wait_ms = wait_ms == 0 ? WAIT_MS : 2 * wait_ms < WAIT_MAX_MS ? 2 * wait_ms : WAIT_MAX_MS;
		nanosleep(&(struct timespec){wait_ms / 1000, wait_ms % 1000 * 1000000L}, NULL);
	}
}

static int run_tail(struct cli *c, int argc, char **argv)
{
	const char *after = cli_value(c, "after");
	struct tail t = {.cli = c};
	int r;

	if (!cli_number(c, "limit", &t.left, 0))
		return EX_USAGE;
	snprintf(t.after, sizeof t.after, "%s", after != NULL ? after : "");
	r = http_open(&t.http, c);
	if (r == EX_OK)
		r = follow(&t);
	http_close(t.http);
	return r;
}

static const struct cli_option tail_options[] = {
	{"source", "MEMBER", "Only events that this member published"},
	{"topic", "PATTERN", "Only events of this topic; a pattern such as mobility.* is possible"},
	{"subject", "FAMILY/ID", "Only events about this object"},
	{"audience", "MEMBER,...", "Only events for this audience"},
	{"after", "CURSOR", "Begin behind this place; 0.0 is the very beginning. Default: now"},
	{"limit", "N", "End after so many events"},
	{"data", NULL, "With their data; the node notes in its audit trail that an operator read it"},
	{0},
};

const struct command event_commands[] = {
	{"events", NULL, "List events this node published or received",
		"In the order in which this node stored them, oldest first. Data is shown as JSON only (--data "
		"--json).",
		"enlight events --topic 'mobility.*' --source ut.ee --limit 20", 0, 0, filter_options, run_events},
	{"tail", NULL, "Show events as they come in, until interrupted",
		"With --json one object a line, for programs. The first word of a line is its cursor: --after goes on "
		"behind it. When the node restarts, the stream goes on where it was.",
		"enlight tail --topic course.offering --json | jq -r .subject", 0, 0, tail_options, run_tail},
	{0},
};
