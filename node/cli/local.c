#include "cli/cli.h"
#include "cli/offline.h"
#include "core/event.h"
#include "core/rule.h"

#include <stdlib.h>
#include <string.h>

/* ---- check-config ---- */

/* A place as programs want it: `file:line:column` in its parts, or a file alone. */
static json_t *problem_json(const struct problem *p)
{
	unsigned numbers[2] = {0}, power = 1;
	size_t len = strlen(p->place), cut = len;
	int n = 2;

	while (n > 0 && cut > 0) {
		cut--;
		if (p->place[cut] >= '0' && p->place[cut] <= '9' && power < 1000000000) {
			numbers[n - 1] += power * (unsigned)(p->place[cut] - '0');
			power *= 10;
		} else if (p->place[cut] == ':' && power > 1) {
			n--;
			power = 1;
		} else {
			break;
		}
	}
	if (n > 0)
		return json_pack("{s:s, s:s}", "file", p->place, "error", p->rule);
	return json_pack("{s:s%, s:I, s:I, s:s}", "file", p->place, cut, "line", (json_int_t)numbers[0], "column",
		(json_int_t)numbers[1], "error", p->rule);
}

static void print_check(const char *path, const struct problems *problems)
{
	json_t *errors = json_array(), *all;

	for (size_t i = 0; i < problems->n; i++)
		json_array_append_new(errors, problem_json(&problems->items[i]));
	all = json_pack("{s:s, s:b, s:o}", "config", path, "good", problems->total == 0, "errors", errors);
	cli_json(all);
	json_decref(all);
}

static int run_check_config(struct cli *c, int argc, char **argv)
{
	const char *path = argc == 1 ? argv[0] : c->config;
	struct problems problems = {0};
	int r = config_check(path, &problems);

	if (r >= 0 && c->json)
		print_check(path, &problems);
	else if (r == 0)
		cli_note(c, "%s is good", path);
	if (c->json)
		problems_deinit(&problems);
	else
		cli_problems(&problems);
	return r == 0 ? EX_OK : r < 0 ? EX_OSERR : EX_CONFIG;
}

/* ---- topics ---- */

static const struct column topic_columns[] = {
	{"TOPIC", "name", COLUMN_TEXT},
	{"PERSONAL", "personal", COLUMN_FLAG},
	{"PUBLISHER", "publisher", COLUMN_WORDS},
	{"KEEP DAYS", "keep_days", COLUMN_NUMBER},
	{"PURPOSE", "purpose", COLUMN_WORDS},
};

static json_t *topic_json(const struct topic *t)
{
	return json_pack("{ss, ss, ss, sb, sb, ss, si, ss}", "name", t->name, "type", t->type, "family", t->family,
		"personal", t->personal, "self", t->self, "publisher", t->publisher, "keep_days", (int)t->keep_days,
		"purpose", t->purpose);
}

static int list_topics(const struct cli *c)
{
	json_t *rows = json_array();
	int r;

	for (size_t i = 0; i < n_topics; i++)
		json_array_append_new(rows, topic_json(&topics[i]));
	r = cli_table(c, topic_columns, sizeof topic_columns / sizeof *topic_columns, rows);
	json_decref(rows);
	return r;
}

static const struct column field_columns[] = {
	{"FIELD", "place", COLUMN_TEXT},
	{"TYPE", "type", COLUMN_TEXT},
	{"NEEDED", "required", COLUMN_FLAG},
	{"MANY", "repeated", COLUMN_FLAG},
	{"RULE", "rule", COLUMN_WORDS},
};

static int on_field(void *context, const struct rule_line *line)
{
	return json_array_append_new(context,
		json_pack("{ss, ss, sb, sb, ss}", "place", *line->place != '\0' ? line->place : "(together)", "type",
			line->type, "required", line->required, "repeated", line->repeated, "rule", line->rule));
}

static const char *audience_of(const struct topic *t)
{
	if (t->self)
		return "the node's own member alone; shown to its operators";
	return t->personal ? "named members only; it is about persons" : "named members or network";
}

static int print_topic(const struct cli *c, const struct topic *t, const json_t *fields, const json_t *example)
{
	int r;

	printf("%s: %s\n\n", t->name, t->purpose);
	printf("type       %s\nsubject    %s/ID\npublisher  %s\naudience   %s\nkept       %u days\n\n", t->type,
		t->family, t->publisher, audience_of(t), t->keep_days);
	r = cli_table(c, field_columns, sizeof field_columns / sizeof *field_columns, fields);
	if (r != EX_OK)
		return r;
	printf("\nAn example:\n\n");
	return cli_json(example);
}

/* One member in the place of another, and the other way round: whoever the example is about stay different from each other. */
static const char *swapped(const char *handle, const char *a, const char *b)
{
	return strcmp(handle, a) == 0 ? b : strcmp(handle, b) == 0 ? a : handle;
}

static void swap_members(json_t *value, const char *a, const char *b)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(value))
		json_string_set(value, swapped(json_string_value(value), a, b));
	json_object_foreach(value, key, item) swap_members(item, a, b);
	json_array_foreach(value, i, item) swap_members(item, a, b);
}

/* An audience is handles with commas between. */
static int swap_audience(json_t *event, const char *a, const char *b)
{
	char *audience = strdup(cli_text(event, "enlightaudience")), *save = NULL;
	struct buffer out = {0};
	int r = EX_OSERR;

	for (char *p = audience == NULL ? NULL : strtok_r(audience, ",", &save); p != NULL;
		p = strtok_r(NULL, ",", &save))
		buffer_printf(&out, "%s%s", out.len == 0 ? "" : ",", swapped(p, a, b));
	if (audience != NULL && buffer_cstr(&out) != NULL) {
		json_object_set_new(event, "enlightaudience", json_string(buffer_cstr(&out)));
		r = EX_OK;
	}
	buffer_deinit(&out);
	free(audience);
	return r;
}

/* An object may be named by a member: node/ut.ee. */
static void swap_subject(json_t *event, const char *a, const char *b)
{
	const char *subject = cli_text(event, "subject"), *id = strchr(subject, '/');

	if (id != NULL)
		json_object_set_new(
			event, "subject", json_sprintf("%.*s/%s", (int)(id - subject), subject, swapped(id + 1, a, b)));
}

/* An event of this member's own: what the node adds is left out, and the configured member publishes it. */
static int make_own(const struct cli *c, json_t *event)
{
	char *member = NULL, *source = strdup(cli_text(event, "source"));
	int r = source == NULL ? EX_OSERR : offline_member(&member, c);

	if (r == EX_OK && member != NULL && strcmp(member, source) != 0) {
		swap_members(json_object_get(event, "data"), source, member);
		r = swap_audience(event, source, member);
		swap_subject(event, source, member);
	}
	json_object_del(event, "source");
	json_object_del(event, "id");
	json_object_del(event, "time");
	free(member);
	free(source);
	return r;
}

static int show_topic(const struct cli *c, const struct topic *t)
{
	json_t *example = event_example(t), *fields = json_array(), *all = NULL;
	int r = EX_OSERR;

	if (example == NULL || fields == NULL || rule_each(t, on_field, fields) != 0)
		goto out;
	if (cli_value(c, "example") != NULL) {
		r = make_own(c, example);
		if (r == EX_OK)
			r = cli_json(example);
	} else if (c->json) {
		all = topic_json(t);
		json_object_set(all, "fields", fields);
		json_object_set(all, "example", example);
		r = cli_json(all);
	} else {
		r = print_topic(c, t, fields, example);
	}
out:
	json_decref(all);
	json_decref(fields);
	json_decref(example);
	return r;
}

static int run_topics(struct cli *c, int argc, char **argv)
{
	const struct topic *t = NULL;

	if (argc == 0 && cli_value(c, "example") != NULL) {
		cli_error("--example of which topic? `enlight topics` lists them");
		return EX_USAGE;
	}
	if (argc == 0)
		return list_topics(c);
	t = strncmp(argv[0], TYPE_PREFIX, strlen(TYPE_PREFIX)) == 0 ? topic_of_type(argv[0]) : topic_find(argv[0]);
	if (t != NULL)
		return show_topic(c, t);
	cli_error("there is no topic \"%s\"; `enlight topics` lists them", argv[0]);
	return EX_NOINPUT;
}

static const struct cli_option topic_options[] = {
	{"example", NULL, "Print only a valid event of the configured member, ready for enlight publish"},
	{0},
};

const struct command local_commands[] = {
	{"check-config", "[FILE]", "Check a configuration, its files and secrets included",
		"Looks at all that start-up looks at, roster and cards included, and prints every mistake as "
		"file:line:column: error: text. Run it as the user that runs the node, or as root.",
		"enlight check-config /etc/enlight/enlight.yaml", 0, 1, NULL, run_check_config},
	{"topics", "[NAME]", "List the topics, or show the fields and rules of one and an example",
		"Needs no node: the topics are those that this version knows.",
		"enlight topics mobility.nomination\nenlight topics course.offering --example | enlight publish", 0, 1,
		topic_options, run_topics},
	{0},
};
