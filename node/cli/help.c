#include "cli/help.h"

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	int status;
	const char *meaning;
} exits[] = {
	{EX_OK, "done"},
	{1, "enlight verify: not proved"},
	{EX_USAGE, "the command line is wrong"},
	{EX_DATAERR, "the input is wrong, or the node refused it by a rule"},
	{EX_NOINPUT, "there is no such file or thing"},
	{EX_UNAVAILABLE, "the node does not answer"},
	{EX_SOFTWARE, "the node answered something unexpected"},
	{EX_OSERR, "out of memory"},
	{EX_CANTCREAT, "a file cannot be written, or the node's disk is full"},
	{EX_IOERR, "reading or writing failed"},
	{EX_TEMPFAIL, "not now; try again later"},
	{EX_NOPERM, "you are not allowed to"},
	{EX_CONFIG, "the configuration is wrong"},
};
enum { N_EXITS = sizeof exits / sizeof *exits, EXAMPLE_WIDTH = 78 };

/* Where a line of shell that is too long goes on in the next: the last space outside of quotes that leaves room for a backslash. */
static size_t shell_break(const char *line, size_t len, size_t room)
{
	size_t at = 0;
	char quote = '\0';

	for (size_t i = 0; i < len && (i + 2 <= room || at == 0); i++) {
		if (quote != '\0')
			quote = line[i] == quote ? '\0' : quote;
		else if (line[i] == '\'' || line[i] == '"')
			quote = line[i];
		else if (line[i] == ' ')
			at = i;
	}
	return at;
}

/* The example as it can be pasted: argp and a terminal would cut a line that is longer. */
static void example_lines(struct buffer *out, const struct command *command)
{
	const char *line, *end;
	size_t len, at;
	int indent;

	for (line = command->example; *line != '\0'; line = *end == '\n' ? end + 1 : end) {
		end = strchrnul(line, '\n');
		len = (size_t)(end - line);
		for (indent = 2; indent + len > EXAMPLE_WIDTH; indent = 6) {
			at = shell_break(line, len, (size_t)(EXAMPLE_WIDTH - indent));
			if (at == 0)
				break;
			buffer_printf(out, "%*s%.*s \\\n", indent, "", (int)at, line);
			line += at + 1;
			len -= at + 1;
		}
		buffer_printf(out, "%*s%.*s\n", indent, "", (int)len, line);
	}
}

char *help_of(const struct command *command)
{
	struct buffer b = {0};
	char *text;

	buffer_printf(&b, "%s.", command->help);
	if (command->details != NULL)
		buffer_printf(&b, "\n\n%s", command->details);
	buffer_str(&b, "\vExample:\n");
	example_lines(&b, command);
	buffer_str(&b, "\nExit status:\n");
	for (size_t i = 0; i < N_EXITS; i++)
		buffer_printf(&b, "  %2d  %s\n", exits[i].status, exits[i].meaning);
	text = buffer_take(&b, NULL);
	buffer_deinit(&b);
	return text;
}

static int run_help(struct cli *c, int argc, char **argv)
{
	const struct command **all = cli_commands();
	json_t *rows = json_array();
	char text[96];
	int r = EX_OSERR;

	for (size_t i = 0; all != NULL && all[i] != NULL; i++) {
		snprintf(text, sizeof text, "%s%s%s", all[i]->name, all[i]->args != NULL ? " " : "",
			all[i]->args != NULL ? all[i]->args : "");
		if (!all[i]->hidden)
			json_array_append_new(rows, json_pack("{ss, ss}", "verb", text, "help", all[i]->help));
	}
	if (all != NULL && c->json) {
		r = cli_json(rows);
	} else if (all != NULL) {
		for (size_t i = 0; i < json_array_size(rows); i++)
			printf("%-34s %s\n", cli_text(json_array_get(rows, i), "verb"),
				cli_text(json_array_get(rows, i), "help"));
		puts("\nEach verb explains itself with --help. Manual: enlight(1), enlight.yaml(5), enlightd(8).");
		r = EX_OK;
	}
	json_decref(rows);
	free(all);
	return r;
}

/* ---- manual pages, as scdoc reads them ---- */

static void escaped(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (strchr("*_\\<>#`~", *text) != NULL)
			buffer_str(out, "\\");
		buffer_add(out, text, 1);
	}
}

/* Lines as they are, indented, as an example block. */
static void literal(struct buffer *out, struct buffer *content)
{
	const char *text = buffer_cstr(content), *end;

	if (text == NULL) {
		out->error = -ENOMEM; /* what lacks a part is no page */
		return;
	}
	buffer_str(out, "```\n");
	for (; *text != '\0'; text = *end == '\n' ? end + 1 : end) {
		end = strchrnul(text, '\n');
		buffer_printf(out, "%.*s\n", (int)(end - text), text);
	}
	buffer_str(out, "```\n\n");
}

static void manual_exits(struct buffer *out)
{
	buffer_str(out, "# EXIT STATUS\n\n");
	for (size_t i = 0; i < N_EXITS; i++) {
		buffer_printf(out, "*%d*\n\t", exits[i].status);
		escaped(out, exits[i].meaning);
		buffer_str(out, "\n\n");
	}
}

static void manual_command(struct buffer *out, const struct command *command)
{
	struct buffer example = {0};

	buffer_str(out, "## enlight ");
	escaped(out, command->name);
	buffer_str(out, "\n\n*enlight ");
	escaped(out, command->name);
	buffer_str(out, "*");
	if (command->args != NULL) {
		buffer_str(out, " ");
		escaped(out, command->args);
	}
	buffer_str(out, "\n\n");
	escaped(out, command->help);
	buffer_str(out, ".");
	if (command->details != NULL) {
		buffer_str(out, " ");
		escaped(out, command->details);
	}
	buffer_str(out, "\n\n");
	for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
		buffer_str(out, "*--");
		escaped(out, o->name);
		buffer_str(out, "*");
		if (o->arg != NULL) {
			buffer_str(out, "=");
			escaped(out, o->arg);
		}
		buffer_str(out, "\n\t");
		escaped(out, o->help);
		buffer_str(out, ".\n\n");
	}
	example_lines(&example, command);
	literal(out, &example);
	buffer_deinit(&example);
}

/* All verbs for a page, which is none without them. */
static const struct command **verbs_for(struct buffer *out)
{
	const struct command **all = cli_commands();

	if (all == NULL)
		out->error = -ENOMEM;
	return all;
}

static void manual_enlight(struct buffer *out)
{
	const struct command **all = verbs_for(out);

	buffer_str(out,
		"enlight(1)\n\n# NAME\n\nenlight - shows and steers an ENLIGHT node\n\n"
		"# SYNOPSIS\n\n*enlight* [options] _verb_ [argument...]\n\n"
		"# DESCRIPTION\n\n"
		"*enlight* talks to the node *enlightd*(8) on this machine over its Unix socket. Some verbs need no "
		"node: they "
		"make and check keys, cards, rosters and configurations. A plural noun lists; a noun and a verb act. "
		"Data goes "
		"to the standard output, messages go to the standard error.\n\n"
		"# OPTIONS\n\nEvery verb understands these, wherever they stand.\n\n"
		"*--config*=FILE\n\tThe configuration. Default: " CONFIG_FILE ".\n\n"
		"*--socket*=PATH\n\tThe node's socket. Default: as the configuration says.\n\n"
		"*--json*\n\tPrint JSON.\n\n"
		"*--raw*\n\tPrint tables without headings and alignment; spaces inside a value are written \\\\x20.\n\n"
		"*-q*, *--quiet*\n\tNo messages but errors.\n\n"
		"*--dry-run*\n\tChange nothing; say what would be done.\n\n"
		"*--help*, *--version*\n\tPrint help, or the version.\n\n"
		"# VERBS\n\n");
	for (size_t i = 0; all != NULL && all[i] != NULL; i++) {
		if (!all[i]->hidden)
			manual_command(out, all[i]);
	}
	free(all);
	manual_exits(out);
	buffer_str(out, "# ENVIRONMENT\n\n"
			"*ENLIGHT\\_CONFIG*, *ENLIGHT\\_SOCKET*\n\tAs *--config* and *--socket*.\n\n"
			"*NO\\_COLOR*\n\tWhen set, nothing is coloured.\n\n"
			"# FILES\n\n" CONFIG_FILE "\n\n" CONFIG_SOCKET "\n\n"
			"# SEE ALSO\n\n*enlight.yaml*(5), *enlightd*(8)\n");
}

static void manual_enlightd(struct buffer *out)
{
	buffer_str(out,
		"enlightd(8)\n\n# NAME\n\nenlightd - the ENLIGHT node of a university\n\n"
		"# SYNOPSIS\n\n*enlightd* [-c FILE] [-n] [--version]\n\n"
		"# DESCRIPTION\n\n"
		"*enlightd* takes events from local systems over a Unix socket, signs and seals them, keeps "
		"them on disk, and "
		"exchanges them with the nodes of the other members of the network. It runs in the foreground, "
		"writes its log to "
		"the journal or to the standard error, and tells systemd when it is ready.\n\n"
		"# OPTIONS\n\n"
		"*-c*, *--config*=FILE\n\tThe configuration; see *enlight.yaml*(5). Default: " CONFIG_FILE ".\n\n"
		"*-n*, *--check-config*\n\tRead and check the configuration, its files and secrets included, print "
		"all errors as "
		"file:line:column: text, and end; with status 78 when there are any.\n\n"
		"*--version*\n\tPrint the version.\n\n"
		"# SIGNALS\n\n"
		"*SIGTERM*, *SIGINT*\n\tEnd, when everything accepted is on disk.\n\n"
		"*SIGHUP*\n\tRead the configuration again: access rows and cards hold from now on. A bad file changes "
		"nothing.\n\n"
		"# ENVIRONMENT\n\n"
		"*ENLIGHT\\_CONFIG*\n\tAs *--config*.\n\n"
		"*ENLIGHT\\_LOG*\n\terror, warn, info (default) or debug.\n\n"
		"*CREDENTIALS\\_DIRECTORY*\n\tSet by systemd: node keys and store key are taken from here when "
		"they are there, "
		"under the names LoadCredential=keys:FOLDER gives them.\n\n");
	manual_exits(out);
	buffer_str(out, "# FILES\n\n" CONFIG_FILE "\n\n" CONFIG_SOCKET "\n\n/var/lib/enlight\n\n"
			"# SEE ALSO\n\n*enlight*(1), *enlight.yaml*(5)\n");
}

static void manual_yaml(struct buffer *out)
{
	struct buffer example = {0};

	buffer_str(out, "enlight.yaml(5)\n\n# NAME\n\nenlight.yaml - configuration of an ENLIGHT node\n\n"
			"# DESCRIPTION\n\n"
			"A YAML file (" CONFIG_FILE
			" unless another is named) that *enlightd*(8) reads when it starts. Anchors, aliases, "
			"tags and several documents are refused; a text that begins with a star stands in quotes. "
			"Relative paths begin in "
			"the file's folder. *enlight check-config* finds every mistake at once.\n\n"
			"# SETTINGS\n\nA dot stands for a group inside a group, [] for each item of a list.\n\n");
	settings_manual(out, config_table);
	buffer_str(out, "# EXAMPLE\n\n");
	config_example(&example, NULL, NULL);
	literal(out, &example);
	buffer_deinit(&example);
	buffer_str(out, "# SEE ALSO\n\n*enlight*(1), *enlightd*(8)\n");
}

static void example_file(struct buffer *out)
{
	config_example(out, NULL, NULL);
}

/* `enlight peers <TAB>` completes words of verbs and options from the tables. */
static void completion(struct buffer *out)
{
	const struct command **all = verbs_for(out);

	buffer_str(out,
		"# bash completion for enlight\n_enlight()\n{\n\tlocal verbs options=\"--config --socket --json --raw "
		"--quiet --dry-run --help --version\" line\n\tverbs=\"");
	for (size_t i = 0; all != NULL && all[i] != NULL; i++) {
		if (!all[i]->hidden)
			buffer_printf(out, "%s%s", i == 0 ? "" : "\n", all[i]->name);
	}
	buffer_str(out, "\"\n\tcase \"${COMP_WORDS[*]:1}\" in\n");
	for (size_t i = 0; all != NULL && all[i] != NULL; i++) {
		if (all[i]->hidden || all[i]->options == NULL)
			continue;
		buffer_printf(out, "\t\"%s \"*) options=\"$options", all[i]->name);
		for (const struct cli_option *o = all[i]->options; o->name != NULL; o++)
			buffer_printf(out, " --%s", o->name);
		buffer_str(out, "\" ;;\n");
	}
	buffer_str(out,
		"\tesac\n\tif [[ $2 == -* ]]; then\n\t\tmapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$2\")\n"
		"\telif [[ $COMP_CWORD -eq 1 ]]; then\n"
		"\t\tmapfile -t COMPREPLY < <(compgen -W \"$(cut -d' ' -f1 <<<\"$verbs\" | sort -u)\" -- \"$2\")\n"
		"\telse\n\t\tline=$(sed -n \"s/^${COMP_WORDS[1]} //p\" <<<\"$verbs\")\n"
		"\t\t[[ $COMP_CWORD -eq 2 ]] || line=\n"
		"\t\tif [[ -n $line ]]; then\n\t\t\tmapfile -t COMPREPLY < <(compgen -W \"$line\" -- \"$2\")\n"
		"\t\telse\n\t\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n\t\tfi\n\tfi\n}\n"
		"complete -o filenames -F _enlight enlight\n");
	free(all);
}

static const struct {
	const char *name;
	void (*write)(struct buffer *out);
} pages[] = {
	{"completion", completion},
	{"enlight.1", manual_enlight},
	{"enlight.yaml", example_file},
	{"enlight.yaml.5", manual_yaml},
	{"enlightd.8", manual_enlightd},
};

static int run_manual(struct cli *c, int argc, char **argv)
{
	struct buffer out = {0};
	int r = EX_USAGE;

	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		if (strcmp(argv[0], pages[i].name) != 0)
			continue;
		pages[i].write(&out);
		r = buffer_cstr(&out) == NULL                         ? EX_OSERR
		    : fwrite(out.data, 1, out.len, stdout) == out.len ? EX_OK
								      : EX_IOERR;
	}
	if (r == EX_USAGE)
		cli_error("manual: there is no page of this name");
	buffer_deinit(&out);
	return r;
}

const struct command help_commands[] = {
	{"help", NULL, "List the verbs", NULL, "enlight help", 0, 0, NULL, run_help},
	{"manual", "PAGE", "Print the source of a manual page", NULL, "enlight manual enlight.1 | scdoc | man -l -", 1,
		1, NULL, run_manual, .hidden = true},
	{0},
};
