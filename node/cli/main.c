/* enlight - the command of operators and local systems. Reads the options, finds the verb, runs it. */
#include "cli/cli.h"
#include "cli/help.h"
#include "config.h"

#include <argp.h>
#include <curl/curl.h>
#include <errno.h>
#include <locale.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_OPTION = 0x200, KEY_OPTION_END = 0x300 }; /* of the first option of a verb */

/* What one argp run fills in. */
struct parsing {
	struct cli *cli;
	bool before_verb; /* stop at the first word */
	int verb;         /* its place in argv; 0: none */
	char **args;      /* what is no option */
	int n_args;
};

enum { KEY_CONFIG = 0x100, KEY_SOCKET, KEY_JSON, KEY_RAW, KEY_DRY_RUN };

static const struct argp_option global_options[] = {
	{"config", KEY_CONFIG, "FILE", 0, "Configuration (ENLIGHT_CONFIG; default " CONFIG_FILE ")", 2},
	{"socket", KEY_SOCKET, "PATH", 0, "Socket of the node (ENLIGHT_SOCKET; default: as the configuration says)", 2},
	{"json", KEY_JSON, NULL, 0, "Print JSON", 2},
	{"raw", KEY_RAW, NULL, 0, "Print tables without headings and alignment", 2},
	{"quiet", 'q', NULL, 0, "No messages but errors", 2},
	{"dry-run", KEY_DRY_RUN, NULL, 0, "Change nothing; say what would be done", 2},
	{0},
};
enum { N_GLOBAL = sizeof global_options / sizeof *global_options - 1 };

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct parsing *p = state->input;
	struct cli *c = p->cli;

	switch (key) {
	case KEY_CONFIG:
		c->config = arg;
		c->config_given = true;
		return 0;
	case KEY_SOCKET:
		c->socket = arg;
		return 0;
	case KEY_JSON:
		c->json = true;
		return 0;
	case KEY_RAW:
		c->raw = true;
		return 0;
	case 'q':
		c->quiet = true;
		return 0;
	case KEY_DRY_RUN:
		c->dry_run = true;
		return 0;
	case ARGP_KEY_ARG:
		if (p->before_verb) {
			p->verb = state->next - 1;
			state->next = state->argc;
		} else {
			p->args[p->n_args++] = arg;
		}
		return 0;
	default:
		if (key < KEY_OPTION || key >= KEY_OPTION_END || c->values == NULL)
			return ARGP_ERR_UNKNOWN;
		c->values[key - KEY_OPTION] = arg != NULL ? arg : "";
		return 0;
	}
}

static int read_globals(struct parsing *p, int argc, char **argv)
{
	static const struct argp argp = {global_options, on_option, "VERB [ARGUMENT...]",
		"Shows and steers an ENLIGHT node.\vThe verbs are listed by `enlight help`; each explains itself and "
		"gives "
		"an example with --help."};
	error_t r;

	p->before_verb = true;
	r = argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, p);
	if (r != 0)
		return EX_OSERR;
	if (p->verb == 0) {
		cli_error("which verb? `enlight help` lists them");
		return EX_USAGE;
	}
	return EX_OK;
}

/* The verb of two words before the one of one. */
static const struct command *find_command(const struct command **all, int argc, char **argv, int *n_words)
{
	const struct command *found = NULL;
	char two[64] = "";

	if (argc > 1)
		snprintf(two, sizeof two, "%s %s", argv[0], argv[1]);
	for (size_t i = 0; all[i] != NULL; i++) {
		if (strcmp(all[i]->name, two) == 0) {
			*n_words = 2;
			return all[i];
		}
		if (strcmp(all[i]->name, argv[0]) == 0) {
			*n_words = 1;
			found = all[i];
		}
	}
	return found;
}

static size_t option_count(const struct cli_option *options)
{
	size_t n = 0;

	while (options != NULL && options[n].name != NULL)
		n++;
	return n;
}

/* The verb's own options in front of the global ones, as argp wants them. NULL: out of memory. */
static struct argp_option *options_of(const struct command *command)
{
	size_t n = option_count(command->options);
	struct argp_option *options = calloc(n + N_GLOBAL + 1, sizeof *options);

	if (options == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++)
		options[i] = (struct argp_option){command->options[i].name, KEY_OPTION + (int)i,
			command->options[i].arg, 0, command->options[i].help, 1};
	memcpy(options + n, global_options, N_GLOBAL * sizeof *options);
	return options;
}

static int check_count(const struct command *command, int n)
{
	if (n < command->min_args)
		cli_error("%s: too few arguments; see enlight %s --help", command->name, command->name);
	else if (command->max_args >= 0 && n > command->max_args)
		cli_error("%s: too many arguments; see enlight %s --help", command->name, command->name);
	else
		return EX_OK;
	return EX_USAGE;
}

/* Reads the verb's options and runs it. argv[0] is its name for messages and help. */
static int run_verb(struct cli *c, int argc, char **argv)
{
	struct parsing p = {.cli = c};
	struct argp argp = {.parser = on_option, .args_doc = c->command->args};
	struct argp_option *options = options_of(c->command);
	char *doc = help_of(c->command);
	int r = EX_OSERR;

	c->values = calloc(option_count(c->command->options) + 1, sizeof *c->values);
	p.args = calloc((size_t)argc + 1, sizeof *p.args);
	if (options == NULL || doc == NULL || c->values == NULL || p.args == NULL)
		goto out;
	argp.options = options;
	argp.doc = doc;
	if (argp_parse(&argp, argc, argv, 0, NULL, &p) != 0)
		goto out;
	r = check_count(c->command, p.n_args);
	if (r == EX_OK)
		r = c->command->run(c, p.n_args, p.args);
out:
	free(options);
	free(doc);
	free(c->values);
	free(p.args);
	return r;
}

static int unknown_verb(const struct command **all, const char *word)
{
	size_t n = strlen(word);
	bool some = false;

	for (size_t i = 0; all[i] != NULL; i++)
		some = some || (strncmp(all[i]->name, word, n) == 0 && all[i]->name[n] == ' ');
	if (some)
		cli_error("%s what? `enlight help` lists the verbs", word);
	else
		cli_error("there is no verb \"%s\"; `enlight help` lists them", word);
	return EX_USAGE;
}

static int find_and_run(struct cli *c, int argc, char **argv, int verb)
{
	const struct command **all = cli_commands();
	char name[96];
	int n_words = 0, r;

	if (all == NULL)
		return EX_OSERR;
	c->command = find_command(all, argc - verb, argv + verb, &n_words);
	if (c->command == NULL) {
		r = unknown_verb(all, argv[verb]);
	} else {
		snprintf(name, sizeof name, "enlight %s", c->command->name);
		argv[verb + n_words - 1] = name;
		r = run_verb(c, argc - verb - n_words + 1, argv + verb + n_words - 1);
	}
	free(all);
	return r;
}

/* What could not be printed was not done, whether the last of it was lost or something before. */
static int end_output(int r)
{
	int error = fflush(stdout) != 0 ? errno : 0;

	if ((error == 0 && !ferror(stdout)) || (r != EX_OK && r != EX_IOERR))
		return r;
	cli_error("cannot write: %s", error != 0 ? strerror(error) : "what was printed is not whole");
	return EX_IOERR;
}

int main(int argc, char **argv)
{
	struct cli c = {.config = getenv("ENLIGHT_CONFIG"), .socket = getenv("ENLIGHT_SOCKET")};
	const char *no_colour = getenv("NO_COLOR");
	struct parsing p = {.cli = &c};
	int r;

	setlocale(LC_CTYPE, ""); /* how wide a character is, for tables */
	argp_program_version = "enlight " ENLIGHT_VERSION;
	cli_watch_memory();
	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return EX_OSERR;
	c.config_given = c.config != NULL;
	if (c.config == NULL)
		c.config = CONFIG_FILE;
	c.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || *no_colour == '\0');
	r = read_globals(&p, argc, argv);
	if (r == EX_OK)
		r = find_and_run(&c, argc, argv, p.verb);
	curl_global_cleanup();
	if (cli_lacks_memory())
		r = EX_OSERR;
	if (r == EX_OSERR)
		cli_error("out of memory");
	return end_output(r);
}
