#include "cli/cli.h"
#include "config.h"

/* ---- check-config ---- */

static int run_check_config(struct cli *c, int argc, char **argv)
{
	const char *path = argc == 1 ? argv[0] : c->config;
	struct problems problems = {0};
	struct config *config;
	int r;

	r = config_load(&config, path, &problems);
	if (r == CONFIG_BAD)
		cli_problems(&problems);
	if (r < 0)
		cli_error("out of memory");
	if (r == 0)
		cli_note(c, "%s is good", path);
	config_free(config);
	return r == 0 ? EX_OK : r < 0 ? EX_OSERR : EX_CONFIG;
}

const struct command local_commands[] = {
	{"check-config", "[FILE]", "Check a configuration, its files and secrets included",
		"Prints every mistake as file:line:column: text. Run it as the user that runs the node, or as root.",
		"enlight check-config /etc/enlight/enlight.yaml", 0, 1, NULL, run_check_config},
	{0},
};
