#include "cli/cli.h"

#include <errno.h>
#include <libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const struct command *const tables[] = {
	audit_commands,
	backup_commands,
	restore_commands,
	online_commands,
	event_commands,
	evidence_commands,
	plugin_commands,
	publish_commands,
	local_commands,
	doctor_commands,
	help_commands,
	init_commands,
	invite_commands,
	keys_commands,
	card_commands,
	roster_commands,
	governance_commands,
};

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct command *const *)a)->name, (*(const struct command *const *)b)->name);
}

const struct command **cli_commands(void)
{
	const struct command **all;
	size_t n = 0;

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		for (const struct command *row = tables[i]; row->name != NULL; row++)
			n++;
	}
	all = calloc(n + 1, sizeof *all);
	if (all == NULL)
		return NULL;
	n = 0;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		for (const struct command *row = tables[i]; row->name != NULL; row++)
			all[n++] = row;
	}
	qsort(all, n, sizeof *all, by_name);
	return all;
}

const char *cli_value(const struct cli *c, const char *option)
{
	for (size_t i = 0; c->command->options != NULL && c->command->options[i].name != NULL; i++) {
		if (strcmp(c->command->options[i].name, option) == 0)
			return c->values[i];
	}
	return NULL;
}

bool cli_number(const struct cli *c, const char *option, unsigned long *out, unsigned long usual)
{
	const char *text = cli_value(c, option);
	char *end;

	*out = usual;
	if (text == NULL)
		return true;
	errno = 0;
	*out = strtoul(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *out > 0)
		return true;
	cli_error("--%s is a number, 1 or more", option);
	return false;
}

const struct cli_option cli_reason_options[] = {
	{"reason", "TEXT", "Why, for the audit trail"},
	{0},
};

void cli_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("enlight: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

void cli_note(const struct cli *c, const char *format, ...)
{
	va_list args;

	if (c->quiet)
		return;
	va_start(args, format);
	fputs("enlight: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

void cli_progress(struct cli_progress *p, const struct cli *c, const char *what, uint64_t done, uint64_t total)
{
	enum { EVERY_MS = 2000 };
	struct timespec t;
	uint64_t now_ms;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now_ms = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	if (p->began_ms == 0)
		p->began_ms = p->said_ms = now_ms;
	if (now_ms < p->said_ms + EVERY_MS || total == 0)
		return;
	p->said_ms = now_ms;
	cli_note(c, "%s: %.0f %% in %llu s", what, 100.0 * (double)done / (double)total,
		(unsigned long long)(now_ms - p->began_ms) / 1000);
}

void cli_problems(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		fprintf(stderr, "%s: error: %s\n", p->items[i].place, p->items[i].rule);
	if (p->total > p->n)
		fprintf(stderr, "and %zu more\n", p->total - p->n);
	problems_deinit(p);
}

const json_t *cli_get(const json_t *object, const char *key)
{
	const char *dot = strchr(key, '.');
	char name[64];

	if (dot == NULL)
		return json_object_get(object, key);
	snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
	return cli_get(json_object_get(object, name), dot + 1);
}

const char *cli_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(cli_get(object, key));

	return text != NULL ? text : "";
}

void cli_size(char out[static 32], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
		value /= 1024;
	snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void cli_age(char out[static 32], uint64_t seconds)
{
	static const struct {
		uint64_t until, unit;
		const char *name;
	} units[] = {{120, 1, "s"}, {7200, 60, "min"}, {172800, 3600, "h"}, {UINT64_MAX, 86400, "d"}};
	size_t i = 0;

	while (seconds >= units[i].until)
		i++;
	snprintf(out, 32, "%llu %s", (unsigned long long)(seconds / units[i].unit), units[i].name);
}

/* ---- memory ---- */

/* jansson gives its allocator no context, so this is one of the process. */
static bool memory_was_short;

static void *json_memory(size_t size)
{
	void *p = malloc(size);

	memory_was_short |= p == NULL;
	return p;
}

void cli_watch_memory(void)
{
	memory_was_short = false;
	json_set_alloc_funcs(json_memory, free);
}

void cli_lack_memory(void)
{
	memory_was_short = true;
}

bool cli_lacks_memory(void)
{
	return memory_was_short;
}

/* ---- tables ---- */

/* A value as a cell; memory the caller frees. NULL: out of memory. */
static char *cell(const struct column *column, const json_t *row)
{
	const json_t *value = cli_get(row, column->key);
	struct buffer b = {0};
	char text[32];

	if (json_is_string(value)) {
		buffer_str(&b, json_string_value(value));
	} else if (json_is_integer(value) && column->kind == COLUMN_SIZE) {
		cli_size(text, (uint64_t)json_integer_value(value));
		buffer_str(&b, text);
	} else if (json_is_integer(value) && column->kind == COLUMN_AGE) {
		cli_age(text, (uint64_t)json_integer_value(value));
		buffer_str(&b, text);
	} else if (json_is_integer(value)) {
		buffer_printf(&b, "%lld", (long long)json_integer_value(value));
	} else if (json_is_boolean(value)) {
		buffer_str(&b, json_is_true(value) ? "yes" : "no");
	} else if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++)
			buffer_printf(&b, "%s%s", i == 0 ? "" : ", ",
				json_string_value(json_array_get(value, i)) != NULL
					? json_string_value(json_array_get(value, i))
					: "?");
	}
	/* What comes from other members must not steer the terminal. */
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] < 0x20 || b.data[i] == 0x7f)
			b.data[i] = '?';
	}
	return buffer_take(&b, NULL);
}

static int add_row(struct libscols_table *table, const struct column *columns, size_t n, const json_t *row)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	if (line == NULL)
		return EX_OSERR;
	for (size_t i = 0; i < n; i++) {
		char *text = cell(&columns[i], row);

		if (text == NULL || scols_line_refer_data(line, i, text) != 0) {
			free(text);
			return EX_OSERR;
		}
	}
	return EX_OK;
}

static const int column_flags[] = {
	[COLUMN_TEXT] = 0,
	[COLUMN_LONG] = SCOLS_FL_WRAP,
	[COLUMN_WORDS] = SCOLS_FL_WRAP,
	[COLUMN_NUMBER] = SCOLS_FL_RIGHT,
	[COLUMN_SIZE] = SCOLS_FL_RIGHT,
	[COLUMN_AGE] = SCOLS_FL_RIGHT,
	[COLUMN_FLAG] = 0,
};

/* Characters of a text up to a byte, near enough to cells of the terminal. */
static size_t characters(const char *text, const char *end)
{
	size_t n = 0;

	for (; text < end; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* For libsmartcols: a column of words is at least as wide as the longest, and a line ends between two. */
static size_t longest_word(const struct libscols_column *column, const char *data, void *context)
{
	size_t longest = 0, n;

	(void)column;
	(void)context;
	for (const char *end; data != NULL && *data != '\0'; data = *end == ' ' ? end + 1 : end) {
		end = strchrnul(data, ' ');
		n = characters(data, end);
		longest = n > longest ? n : longest;
	}
	return longest;
}

static char *next_words(const struct libscols_column *column, char *data, void *context)
{
	size_t width = scols_column_get_width(column);
	char *cut = NULL;

	(void)context;
	if (data == NULL || characters(data, data + strlen(data)) <= width)
		return NULL;
	for (char *space = strchr(data, ' '); space != NULL; space = strchr(space + 1, ' ')) {
		if (cut != NULL && characters(data, space) > width)
			break;
		cut = space;
	}
	if (cut == NULL)
		return NULL;
	*cut = '\0';
	return cut + 1;
}

static int add_columns(struct libscols_table *table, const struct column *columns, size_t n, bool wrap)
{
	for (size_t i = 0; i < n; i++) {
		int flags = column_flags[columns[i].kind] & (wrap ? ~0 : ~SCOLS_FL_WRAP);
		struct libscols_column *column = scols_table_new_column(table, columns[i].title, 0, flags);

		if (column == NULL)
			return EX_OSERR;
		if (wrap && columns[i].kind == COLUMN_WORDS &&
			scols_column_set_wrapfunc(column, longest_word, next_words, NULL) != 0)
			return EX_OSERR;
	}
	return EX_OK;
}

static int print_table(
	const struct cli *c, struct libscols_table *table, const struct column *columns, size_t n, const json_t *rows)
{
	struct winsize window = {0};
	bool terminal = !c->raw && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
	int r = add_columns(table, columns, n, terminal);

	scols_table_enable_raw(table, c->raw);
	scols_table_enable_noheadings(table, c->raw);
	/* A pipe has no width to cut to. */
	scols_table_set_termforce(table, terminal ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	if (terminal)
		scols_table_set_termwidth(table, window.ws_col);
	for (size_t i = 0; i < json_array_size(rows) && r == EX_OK; i++)
		r = add_row(table, columns, n, json_array_get(rows, i));
	return r == EX_OK && scols_print_table(table) != 0 ? EX_OSERR : r;
}

int cli_table(const struct cli *c, const struct column *columns, size_t n, const json_t *rows)
{
	struct libscols_table *table;
	int r;

	if (c->json)
		return cli_json(rows);
	if (cli_lacks_memory())
		return EX_OSERR;
	table = scols_new_table();
	r = table != NULL ? print_table(c, table, columns, n, rows) : EX_OSERR;
	scols_unref_table(table);
	return r;
}

int cli_json(const json_t *json)
{
	if (cli_lacks_memory())
		return EX_OSERR;
	if (json_dumpf(json, stdout, JSON_INDENT(2)) != 0)
		return EX_IOERR;
	putchar('\n');
	return EX_OK;
}
