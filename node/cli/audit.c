#include "cli/cli.h"
#include "cli/http.h"
#include "core/rule.h"

#include <stdlib.h>
#include <string.h>

/* The trail is a topic like any other, so it comes as pages of events; what is added here is where to begin and how people read it. */

static const struct column columns[] = {
	{"WHEN", "time", COLUMN_TEXT},
	{"WHO", "who", COLUMN_TEXT},
	{"ACT", "act", COLUMN_TEXT},
	{"ABOUT", "object", COLUMN_LONG},
	{"RESULT", "result", COLUMN_TEXT},
	{"WHY", "reason", COLUMN_WORDS},
};

/* What to list. */
struct trail {
	json_t *rows;
	size_t n_left_out; /* older ones, beyond the limit */
	unsigned long limit;
	char since[64]; /* the beginning of a time, without its Z; "": all */
};

static char *who(const json_t *data)
{
	const char *user = cli_text(data, "user");
	long long uid = (long long)json_integer_value(cli_get(data, "uid"));
	struct buffer text = {0};
	char *copy;

	if (cli_get(data, "uid") == NULL)
		buffer_str(&text, "the node");
	else if (*user == '\0')
		buffer_printf(&text, "%lld", uid);
	else
		buffer_printf(&text, "%s (%lld)", user, uid);
	copy = buffer_cstr(&text) == NULL ? NULL : strdup(buffer_cstr(&text));
	buffer_deinit(&text);
	return copy;
}

/* Adds one event as a row, and lets the oldest go when there are more than wanted. An exit status. */
static int add_event(struct trail *t, const json_t *event)
{
	const json_t *data = json_object_get(event, "data");
	json_t *row = json_deep_copy(data);
	char *name = who(data);
	int r = EX_OSERR;

	if (strcmp(cli_text(event, "time"), t->since) < 0) {
		r = EX_OK;
		goto out;
	}
	if (row == NULL || name == NULL || json_object_set_new(row, "who", json_string(name)) != 0 ||
		json_object_set(row, "time", json_object_get(event, "time")) != 0 ||
		json_object_set(row, "cursor", json_object_get(event, "cursor")) != 0 ||
		json_array_append(t->rows, row) != 0)
		goto out;
	if (json_array_size(t->rows) > t->limit) {
		json_array_remove(t->rows, 0);
		t->n_left_out++;
	}
	r = EX_OK;
out:
	json_decref(row);
	free(name);
	return r;
}

/* One page behind a cursor, which moves on; `*more` says whether there is another. */
static int add_page(struct cli *c, struct trail *t, char after[static 64], bool *more)
{
	struct buffer path = {0};
	json_t *page = NULL, *event;
	size_t i;
	int r = EX_OSERR;

	*more = false;
	buffer_str(&path, "/v1/events");
	http_query(&path, "topic", "node.act");
	http_query(&path, "data", "true");
	http_query(&path, "limit", "200");
	http_query(&path, "after", *after != '\0' ? after : NULL);
	if (buffer_cstr(&path) != NULL)
		r = http_get(c, &page, buffer_cstr(&path));
	json_array_foreach(json_object_get(page, "events"), i, event) if (r == EX_OK) r = add_event(t, event);
	if (r == EX_OK) {
		snprintf(after, 64, "%s", cli_text(page, "next"));
		*more = json_is_true(json_object_get(page, "more"));
	}
	json_decref(page);
	buffer_deinit(&path);
	return r;
}

/* A day or a time of RFC 3339, as the events' own begin. */
static bool read_since(struct trail *t, const char *text)
{
	size_t len = text == NULL ? 0 : strlen(text);

	if (text == NULL)
		return true;
	if (len >= sizeof t->since ||
		(!rule_holds(RULE_TIME, text, len) && !(len == 10 && rule_holds(RULE_DATE, text, len)))) {
		cli_error("--since is a day (2026-11-23) or a time (2026-11-23T09:30:00Z), in UTC");
		return false;
	}
	memcpy(t->since, text, len + 1);
	if (len > 10)
		t->since[len - 1] = '\0'; /* a Z would come behind the fractions of its second */
	return true;
}

static int run_audit(struct cli *c, int argc, char **argv)
{
	struct trail t = {.rows = json_array()};
	char after[64] = "";
	bool more = true;
	int r = t.rows == NULL ? EX_OSERR : EX_OK, shown = EX_OK;

	if (r == EX_OK && (!cli_number(c, "limit", &t.limit, 100) || !read_since(&t, cli_value(c, "since"))))
		r = EX_USAGE;
	while (r == EX_OK && more)
		r = add_page(c, &t, after, &more);
	if (r == EX_OK || json_array_size(t.rows) > 0) /* what could be read, before a damaged batch too */
		shown = cli_table(c, columns, sizeof columns / sizeof *columns, t.rows);
	if (r == EX_OK)
		r = shown;
	if (r == EX_OK && t.n_left_out > 0)
		cli_note(c, "%zu older ones are not shown; see --limit", t.n_left_out);
	json_decref(t.rows);
	return r;
}

static const struct cli_option options[] = {
	{"since", "TIME", "Only what was done since this day or time (UTC)"},
	{"limit", "N", "At most so many acts, the newest; default 100"},
	{0},
};

const struct command audit_commands[] = {
	{"audit", NULL, "List what operators did to this node: who, when, what and why",
		"Oldest first. Each act is an event that the node publishes to itself alone, signed and chained like "
		"all "
		"others; starts and stops of the node are among them. WHO is the user that the kernel named.",
		"enlight audit\nenlight audit --since 2026-11-01 --limit 1000 --json", 0, 0, options, run_audit},
	{0},
};
