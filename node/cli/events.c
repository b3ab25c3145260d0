#include "cli/cli.h"
#include "cli/http.h"

#include <string.h>

/* ---- events ---- */

static const struct cli_option filter_options[] = {
	{"source", "MEMBER", "Only events that this member published"},
	{"topic", "PATTERN", "Only events of this topic; a pattern such as mobility.* is possible"},
	{"subject", "FAMILY/ID", "Only events about this object"},
	{"audience", "MEMBER,...", "Only events for this audience"},
	{"after", "CURSOR", "Only events behind this place, as printed in the column CURSOR"},
	{"limit", "N", "At most so many events; default 100"},
	{"data", NULL, "With their data; the node notes in its audit trail who read it"},
	{0},
};

static const struct column event_columns[] = {
	{"CURSOR", "cursor", COLUMN_TEXT},
	{"TIME", "time", COLUMN_TEXT},
	{"SOURCE", "source", COLUMN_TEXT},
	{"AUDIENCE", "enlightaudience", COLUMN_TEXT},
	{"SEQ", "sequence", COLUMN_NUMBER},
	{"TYPE", "type", COLUMN_TEXT},
	{"SUBJECT", "subject", COLUMN_TEXT},
	{"REV", "enlightrevision", COLUMN_NUMBER},
	{"STATE", "state", COLUMN_TEXT},
	{"REASON", "reason", COLUMN_TEXT},
};
enum { N_EVENT_COLUMNS = sizeof event_columns / sizeof *event_columns };

/* The address of events or stream with the filters that were given. */
static void filtered(struct buffer *path, const struct cli *c, const char *base)
{
	static const char *const names[] = {"source", "topic", "subject", "audience", "after"};

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
	const char *limit = cli_value(c, "limit");
	struct buffer path = {0};
	json_t *page = NULL;
	int r = EX_OSERR;

	filtered(&path, c, "/v1/events");
	http_query(&path, "limit", limit != NULL ? limit : "100");
	if (buffer_cstr(&path) != NULL)
		r = http_get(c, &page, buffer_cstr(&path));
	if (r == EX_OK)
		r = print_page(c, page);
	json_decref(page);
	buffer_deinit(&path);
	return r;
}

const struct command event_commands[] = {
	{"events", NULL, "List events this node published or received, as it stored them", NULL,
		"enlight events --topic 'mobility.*' --source ut.ee", 0, 0, filter_options, run_events},
	{0},
};
