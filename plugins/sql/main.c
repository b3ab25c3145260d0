/* enlight-sql: run by a node it is the plugin; run by a person it checks a mapping, or shows what an event would become. */
#include "enlight-plugin.h"
#include "session.h"

#include "core/event.h"
#include "core/json.h"
#include <errno.h>
#include <locale.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

static const char usage[] =
	"enlight-sql --check MAPPING                 say what is wrong with a mapping, and with the database for it\n"
	"enlight-sql --dry-run MAPPING EVENT.json    print the SQL that an event becomes; no database is asked\n"
	"enlight-sql --reference                     print what may stand in a mapping\n"
	"enlight-sql                                 be a plugin of the node that started it\n";

static int print_problems(struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		fprintf(stderr, "%s: %s\n", problems->items[i].place, problems->items[i].rule);
	if (problems->total > problems->n)
		fprintf(stderr, "and %zu more\n", problems->total - problems->n);
	problems_deinit(problems);
	return EX_CONFIG;
}

/* Whether all that was printed has left; asked right behind the printing, while errno is of it. */
static int written(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	fprintf(stderr, "enlight-sql: cannot write: %s\n", strerror(errno));
	return EX_IOERR;
}

static int out_of_memory(void)
{
	fputs("enlight-sql: out of memory\n", stderr);
	return EX_OSERR;
}

/* Reads the mapping; what is wrong is printed. 0 or an exit status. */
static int read_mapping(struct mapping *out, const char *file)
{
	struct problems problems = {0};
	int r = mapping_read(out, file, &problems);

	if (r == MAPPING_BAD)
		return print_problems(&problems);
	problems_deinit(&problems);
	return r == 0 ? 0 : out_of_memory();
}

/* ---- check ---- */

static void note(void *context, bool misfit, const void *field, const char *text)
{
	struct mapping *m = context;

	(void)misfit;
	settings_problem(m->settings, field, "%s", text);
}

static int check_database(struct session *s)
{
	struct problems problems = {0};
	struct trouble trouble = {0};
	char words[SESSION_WORDS_MAX];
	bool done[DONE_PARTS] = {false};
	int r = database_open(&s->db, s->mapping.connection, s->mapping.wait_ms, &trouble);

	if (r == 0)
		r = database_look(s->db, &s->mapping, done, note, &s->mapping, &trouble);
	if (r < 0)
		return out_of_memory();
	if (r > 0) {
		session_words(s, &trouble, words);
		fprintf(stderr, "%s: nothing is wrong in the file; the database was not looked at: %s\n",
			s->mapping.file, words);
		return EX_UNAVAILABLE;
	}
	r = settings_finish(s->mapping.settings, &problems);
	if (r != 0)
		return r < 0 ? out_of_memory() : print_problems(&problems);
	problems_deinit(&problems);
	printf("%s: good; the database has every table and column%s%s%s\n", s->mapping.file, done[0] ? "" : ", and ",
		done[0] ? "" : s->mapping.done, done[0] ? "" : " will be created");
	return 0;
}

static int check(char **words)
{
	struct session s = {0};
	int r = read_mapping(&s.mapping, words[0]);

	if (r == 0)
		r = check_database(&s);
	session_deinit(&s);
	return r;
}

/* ---- dry run ---- */

static void print_value(const char *value)
{
	if (value == NULL) {
		fputs("NULL", stdout);
		return;
	}
	putchar('\'');
	for (; *value != '\0'; value++) {
		if (*value == '\'')
			putchar('\'');
		putchar(*value);
	}
	putchar('\'');
}

/* Prints the statement; what follows an UPDATE is printed as if it had found no row. */
static int print_statement(
	void *context, const struct statement *s, const char *const *values, const char *words, bool *changed)
{
	(void)context;
	if (words != NULL)
		printf("\n-- %s\n", words);
	printf("%s;\n", s->sql);
	for (size_t i = 0; i < s->n_params; i++) {
		printf("--   %zu %s = ", i + 1, s->params[i].column != NULL ? s->params[i].column : "settled");
		print_value(values[i]);
		putchar('\n');
	}
	*changed = strncmp(s->sql, "UPDATE", 6) != 0;
	return 0;
}

static int print_seen(
	void *context, const struct statement *s, const char *const *values, bool *done, uint64_t *withdrawn)
{
	bool changed;

	*done = false;
	*withdrawn = 0;
	return print_statement(context, s, values, "was it applied before, or its object withdrawn?", &changed);
}

/* A text of the event; what a node would fill in gets another. NULL: out of memory. */
static const char *fill(json_t *json, const char *name, const char *otherwise)
{
	if (!json_is_string(json_object_get(json, name)) &&
		json_object_set_new(json, name, json_string(otherwise)) != 0)
		return NULL;
	return json_string_value(json_object_get(json, name));
}

static bool fill_in(struct work_event *e, json_t *json)
{
	if (!json_is_integer(json_object_get(json, "enlightrevision")) &&
		json_object_set_new(json, "enlightrevision", json_integer(1)) != 0)
		return false;
	e->source = fill(json, "source", "example.org");
	e->id = fill(json, "id", "00000000-0000-7000-8000-000000000000");
	e->subject = fill(json, "subject", "");
	e->time = fill(json, "time", "2026-01-01T00:00:00Z");
	e->audience = fill(json, "enlightaudience", "network");
	e->revision = (uint64_t)json_integer_value(json_object_get(json, "enlightrevision"));
	e->sequence = e->incarnation = 1;
	return e->source != NULL && e->id != NULL && e->subject != NULL && e->time != NULL && e->audience != NULL;
}

/* Puts in place of the event's data what its message carries of it. 0, or an exit status after what is wrong was printed. */
static int read_data(json_t *json, const struct topic *topic, const char *file)
{
	struct problems problems = {0};
	uint8_t *packed = NULL;
	json_t *data = NULL;
	size_t len;
	int r = json_to_message(&packed, &len, topic->message, json_object_get(json, "data"), "/data", &problems);

	for (size_t i = 0; i < problems.n; i++)
		fprintf(stderr, "%s: %s: %s\n", file, problems.items[i].place, problems.items[i].rule);
	problems_deinit(&problems);
	if (r == 0)
		data = json_from_message(topic->message, bytes_of(packed, len));
	free(packed);
	if (r > 0)
		return EX_DATAERR;
	return data != NULL && json_object_set_new(json, "data", data) == 0 ? 0 : out_of_memory();
}

/* The event as a node would deliver it. 0, or an exit status after what is wrong was printed. */
static int read_event(struct work_event *out, const char *file)
{
	json_error_t error;
	json_t *json = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	const struct topic *topic;
	int r;

	*out = (struct work_event){.json = json};
	if (json == NULL) {
		fprintf(stderr, "%s:%d:%d: is not JSON, or cannot be read\n", file, error.line, error.column);
		return EX_DATAERR;
	}
	topic = json_is_object(json) ? topic_of_type(fill(json, "type", "")) : NULL;
	if (topic == NULL) {
		fprintf(stderr, "%s: /type: names no topic; `enlight topics` lists them\n", file);
		return EX_DATAERR;
	}
	out->topic = topic->name;
	r = read_data(json, topic, file);
	return r != 0 || fill_in(out, json) ? r : out_of_memory();
}

static int print_event(const struct sql *sql, const struct work_event *event, const char *file)
{
	struct executor x = {NULL, print_statement, print_seen};
	char reason[WORK_REASON_MAX];
	struct work work;
	int r = work_prepare(&work, sql, event, reason);

	if (r == WORK_REFUSED)
		fprintf(stderr, "%s: would be rejected: %s\n", file, reason);
	else if (r == 0 && work.n_tables == 0)
		printf("-- the mapping has nothing for %s\n", event->topic);
	else if (r == 0)
		r = work_run(&work, &x);
	work_deinit(&work);
	return r < 0 ? out_of_memory() : r == 0 ? 0 : EX_DATAERR;
}

static int dry_run(char **words)
{
	struct mapping mapping = {0};
	struct work_event event = {0};
	struct sql sql = {0};
	int r = read_mapping(&mapping, words[0]);

	if (r == 0)
		r = read_event(&event, words[1]);
	if (r == 0 && sql_init(&sql, &mapping, '"', "") != 0)
		r = out_of_memory();
	if (r == 0)
		r = print_event(&sql, &event, words[1]);
	json_decref(event.json);
	sql_deinit(&sql);
	mapping_deinit(&mapping);
	return r;
}

static int reference(char **words)
{
	struct buffer out = {0};
	const char *text;

	(void)words;
	mapping_reference(&out);
	text = buffer_cstr(&out);
	if (text != NULL)
		fputs(text, stdout);
	buffer_deinit(&out);
	return text != NULL ? 0 : out_of_memory();
}

static const struct {
	const char *option;
	int words;
	int (*run)(char **words);
} verbs[] = {
	{"--check", 1, check},
	{"--dry-run", 2, dry_run},
	{"--reference", 0, reference},
};

int main(int argc, char **argv)
{
	/* Drivers take bound texts for what the locale says; ours are UTF-8 wherever we run. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (sodium_init() < 0)
		return EX_OSERR;
	for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++) {
		if (strcmp(argv[1], verbs[i].option) == 0 && argc == 2 + verbs[i].words) {
			int r = verbs[i].run(argv + 2);

			return r == 0 ? written() : r;
		}
	}
	if (argc == 1)
		return enlight_main(argc, argv);
	if (strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	fputs(usage, stderr);
	return EX_USAGE;
}
