#include "cli/cli.h"
#include "cli/http.h"
#include "core/json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- plugins ---- */

static const struct column plugin_columns[] = {
	{"PLUGIN", "name", COLUMN_TEXT},
	{"STATE", "state", COLUMN_TEXT},
	{"CURSOR", "cursor", COLUMN_TEXT},
	{"BEHIND", "behind_batches", COLUMN_NUMBER},
	{"OLDEST", "oldest_seconds", COLUMN_AGE},
	{"DONE", "done", COLUMN_NUMBER},
	{"RETRYING", "retrying", COLUMN_NUMBER},
	{"DEAD", "dead", COLUMN_NUMBER},
	{"PARKED", "parked", COLUMN_NUMBER},
	{"RESTARTS", "restarts", COLUMN_NUMBER},
	{"LAST ERROR", "last_error", COLUMN_TEXT},
};

/* Adds how long ago a time was, in seconds, under a name of its own. */
static void add_age(json_t *row, const char *from, const char *to)
{
	long long ms = (long long)json_integer_value(json_object_get(row, from));
	long long age = (long long)time(NULL) - ms / 1000;

	if (ms != 0)
		json_object_set_new(row, to, json_integer(age > 0 ? age : 0));
}

static int run_plugins(struct cli *c, int argc, char **argv)
{
	json_t *answer, *row;
	size_t i;
	int r;

	r = http_get(c, &answer, "/v1/plugins");
	json_array_foreach(json_object_get(answer, "plugins"), i, row) add_age(row, "oldest_ms", "oldest_seconds");
	if (r == EX_OK)
		r = cli_table(c, plugin_columns, sizeof plugin_columns / sizeof *plugin_columns,
			json_object_get(answer, "plugins"));
	json_decref(answer);
	return r;
}

/* ---- dead letters ---- */

static const struct column letter_columns[] = {
	{"PLUGIN", "plugin", COLUMN_TEXT},
	{"PLACE", "place", COLUMN_TEXT},
	{"STATE", "state", COLUMN_TEXT},
	{"SOURCE", "source", COLUMN_TEXT},
	{"TOPIC", "topic", COLUMN_TEXT},
	{"SEQ", "sequence", COLUMN_NUMBER},
	{"TRIED", "attempts", COLUMN_NUMBER},
	{"SINCE", "since_seconds", COLUMN_AGE},
	{"PARKED", "parked", COLUMN_NUMBER},
	{"REASON", "reason", COLUMN_TEXT},
};
enum { N_LETTER_COLUMNS = sizeof letter_columns / sizeof *letter_columns };

/* One page of the letters behind `after`. */
static int get_letters(struct cli *c, json_t **out, const char *plugin, const char *after)
{
	struct buffer path = {0};
	int r = EX_OSERR;

	*out = NULL;
	buffer_str(&path, "/v1/dead-letters");
	http_query(&path, "plugin", plugin);
	http_query(&path, "state", cli_value(c, "state"));
	http_query(&path, "after", after);
	http_query(&path, "limit", "1000");
	if (buffer_cstr(&path) != NULL)
		r = http_get(c, out, buffer_cstr(&path));
	buffer_deinit(&path);
	return r;
}

static int run_dead(struct cli *c, int argc, char **argv)
{
	json_t *letters = json_array(), *page = NULL, *row;
	bool more = true;
	size_t i;
	int r = EX_OK;

	while (r == EX_OK && more) {
		json_t *last = page;

		r = get_letters(c, &page, argc > 0 ? argv[0] : NULL, json_string_value(json_object_get(last, "next")));
		json_array_extend(letters, json_object_get(page, "letters"));
		more = json_is_true(json_object_get(page, "more"));
		json_decref(last);
	}
	json_array_foreach(letters, i, row) add_age(row, "since_ms", "since_seconds");
	if (r == EX_OK)
		r = cli_table(c, letter_columns, N_LETTER_COLUMNS, letters);
	json_decref(page);
	json_decref(letters);
	return r;
}

static void add_path(struct buffer *path, char **argv)
{
	buffer_str(path, "/v1/dead-letters/");
	http_segment(path, argv[0]);
	buffer_str(path, "/");
	http_segment(path, argv[1]);
}

/* The event at a place, out of the page that begins just before it. */
static int get_event(struct cli *c, json_t **out, const char *place)
{
	unsigned long long number;
	unsigned index;
	struct buffer path = {0};
	json_t *page = NULL, *event;
	char after[48];
	int r = EX_OSERR;

	*out = NULL;
	if (sscanf(place, "%llu.%u", &number, &index) != 2 || number == 0)
		return EX_USAGE;
	if (index > 0)
		snprintf(after, sizeof after, "%llu.%u", number, index - 1);
	else
		snprintf(after, sizeof after, "%llu.4095", number - 1); /* behind the last that a batch can have */
	buffer_str(&path, "/v1/events");
	http_query(&path, "after", after);
	http_query(&path, "limit", "1");
	if (cli_value(c, "data") != NULL)
		http_query(&path, "data", "true");
	if (buffer_cstr(&path) != NULL)
		r = http_get(c, &page, buffer_cstr(&path));
	event = json_array_get(json_object_get(page, "events"), 0);
	if (r == EX_OK && strcmp(cli_text(event, "cursor"), place) == 0)
		*out = json_incref(event);
	json_decref(page);
	buffer_deinit(&path);
	return r;
}

static void print_letter(const json_t *row, const json_t *event)
{
	const json_t *behind = json_object_get(row, "behind"), *place;
	char since[32];
	size_t i;

	cli_age(since, (uint64_t)json_integer_value(json_object_get(row, "since_seconds")));
	printf("plugin   %s\nplace    %s\nstate    %s for %s, tries so far: %lld\nreason   %s\n",
		cli_text(row, "plugin"), cli_text(row, "place"), cli_text(row, "state"), since,
		(long long)json_integer_value(json_object_get(row, "attempts")), cli_text(row, "reason"));
	if (event != NULL)
		printf("event    %s %s\nabout    %s, revision %lld\nfrom     %s to %s, sequence %lld\n",
			cli_text(event, "type"), cli_text(event, "id"), cli_text(event, "subject"),
			(long long)json_integer_value(json_object_get(event, "enlightrevision")),
			cli_text(event, "source"), cli_text(event, "enlightaudience"),
			(long long)json_integer_value(json_object_get(event, "sequence")));
	printf("behind   %zu parked%s", json_array_size(behind), json_array_size(behind) > 0 ? ":" : "");
	json_array_foreach(behind, i, place) printf(" %s", json_string_value(place));
	printf("\n");
	if (json_object_get(event, "data") != NULL)
		cli_json(json_object_get(event, "data"));
}

static int run_show(struct cli *c, int argc, char **argv)
{
	struct buffer path = {0};
	json_t *row = NULL, *event = NULL;
	int r = EX_OSERR;

	add_path(&path, argv);
	if (buffer_cstr(&path) != NULL)
		r = http_get(c, &row, buffer_cstr(&path));
	if (r == EX_OK)
		r = get_event(c, &event, argv[1]);
	if (r == EX_OK && c->json) {
		if (event != NULL)
			json_object_set(row, "event", event);
		r = cli_json(row);
	} else if (r == EX_OK) {
		add_age(row, "since_ms", "since_seconds");
		print_letter(row, event);
	}
	json_decref(row);
	json_decref(event);
	buffer_deinit(&path);
	return r;
}

static int act(struct cli *c, const char *method, const char *path, json_t *body)
{
	struct http_reply reply = {0};
	struct buffer text = {0};
	struct http *h;
	int r = http_open(&h, c);

	if (body != NULL)
		json_append(&text, body);
	if (r == EX_OK && (path == NULL || text.error != 0))
		r = EX_OSERR;
	if (r == EX_OK)
		r = http_ask(h, &reply, method, path, body != NULL ? "application/json" : NULL,
			bytes_of(text.data, text.len));
	if (r == EX_OK && (reply.status < 200 || reply.status > 299))
		r = http_problem(&reply);
	http_reply_deinit(&reply);
	http_close(h);
	buffer_deinit(&text);
	return r;
}

/* Asks for many at once; the node says how many there were. */
static int retry_all(struct cli *c, const char *plugin)
{
	struct buffer path = {0};
	struct http *h = NULL;
	json_t *answer = NULL;
	int r = EX_OSERR;

	if (c->dry_run) {
		cli_note(c, "would give %s again what enlight dead lists for it, as far as the options let through",
			plugin);
		return EX_OK;
	}
	buffer_str(&path, "/v1/dead-letters/");
	http_segment(&path, plugin);
	buffer_str(&path, "/retry");
	http_query(&path, "source", cli_value(c, "source"));
	http_query(&path, "topic", cli_value(c, "topic"));
	http_query(&path, "reason", cli_value(c, "reason"));
	if (buffer_cstr(&path) != NULL)
		r = http_open(&h, c);
	if (r == EX_OK)
		r = http_json(h, &answer, "POST", buffer_cstr(&path), NULL, (struct bytes){0});
	if (r == EX_OK)
		cli_note(c, "%s gets %lld events again; enlight plugins shows what becomes of them", plugin,
			(long long)json_integer_value(json_object_get(answer, "retrying")));
	json_decref(answer);
	http_close(h);
	buffer_deinit(&path);
	return r;
}

static int run_retry(struct cli *c, int argc, char **argv)
{
	bool filtered = cli_value(c, "source") != NULL || cli_value(c, "topic") != NULL;
	bool all = cli_value(c, "all") != NULL || filtered;
	struct buffer path = {0};
	int r;

	if (all == (argc > 1)) {
		cli_error("dead retry: name a place, or ask for --all, or for those of a --source or --topic");
		return EX_USAGE;
	}
	if (all)
		return retry_all(c, argv[0]);
	if (c->dry_run) {
		cli_note(c, "would give %s the event at %s again", argv[0], argv[1]);
		return EX_OK;
	}
	add_path(&path, argv);
	buffer_str(&path, "/retry");
	http_query(&path, "reason", cli_value(c, "reason"));
	r = act(c, "POST", buffer_cstr(&path), NULL);
	if (r == EX_OK)
		cli_note(
			c, "%s gets the event at %s again; enlight plugins shows what becomes of it", argv[0], argv[1]);
	buffer_deinit(&path);
	return r;
}

static int run_drop(struct cli *c, int argc, char **argv)
{
	const char *reason = cli_value(c, "reason");
	struct buffer path = {0};
	json_t *body;
	int r;

	if (reason == NULL || *reason == '\0') {
		cli_error("dead drop: --reason is needed; it goes into the audit trail");
		return EX_USAGE;
	}
	if (c->dry_run) {
		cli_note(c, "would never give %s the event at %s, and go on with what is parked behind it", argv[0],
			argv[1]);
		return EX_OK;
	}
	add_path(&path, argv);
	body = json_pack("{ss}", "reason", reason);
	r = act(c, "DELETE", buffer_cstr(&path), body);
	json_decref(body);
	if (r == EX_OK)
		cli_note(c, "%s will not get the event at %s; what was parked behind it goes on", argv[0], argv[1]);
	buffer_deinit(&path);
	return r;
}

static const struct cli_option dead_options[] = {
	{"state", "STATE", "dead, retrying or parked; without it the first two"},
	{0},
};
static const struct cli_option retry_options[] = {
	{"all", NULL, "All that are not parked; those follow by themselves"},
	{"source", "MEMBER", "All of these that this member published"},
	{"topic", "TOPIC", "All of these of this topic, or pattern (course.*)"},
	{"reason", "TEXT", "Why, for the audit trail"},
	{0},
};
static const struct cli_option show_options[] = {
	{"data", NULL, "With the event's data; the node notes in its audit trail that an operator read it"},
	{0},
};
static const struct cli_option drop_options[] = {
	{"reason", "TEXT", "Why, for the audit trail; needed"},
	{0},
};

const struct command plugin_commands[] = {
	{"dead", "[PLUGIN]", "List the events that plugins have not done",
		"A dead one waits for you: mend the cause and retry it, or drop it. One that is retried comes again by "
		"itself. "
		"Later events of the same object are parked behind it, in order; everything else goes on.",
		"enlight dead\nenlight dead registrar --state parked", 0, 1, dead_options, run_dead},
	{"dead drop", "PLUGIN PLACE", "Never give a plugin an event, and go on with what is parked behind it", NULL,
		"enlight dead drop registrar 1042.7 --reason 'a test record, agreed with Tartu'", 2, 2, drop_options,
		run_drop},
	{"dead retry", "PLUGIN [PLACE]", "Give a plugin an event again now, or many",
		"The node notes in its audit trail who asked for it, and how many there were.",
		"enlight dead retry registrar 1042.7\nenlight dead retry registrar --source ut.ee --topic 'course.*'",
		1, 2, retry_options, run_retry},
	{"dead show", "PLUGIN PLACE", "Show one of them, and what is parked behind it", NULL,
		"enlight dead show registrar 1042.7", 2, 2, show_options, run_show},
	{"plugins", NULL, "List the plugins and how far they have come",
		"BEHIND counts the batches stored that the plugin's cursor has not passed; OLDEST says how long an "
		"event "
		"waits that is neither done nor dead.",
		"enlight plugins", 0, 0, NULL, run_plugins},
	{0},
};
