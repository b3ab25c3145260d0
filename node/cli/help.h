/* help - texts printed from the tables of verbs: --help, `enlight help`, the manual pages and the completion. */
#ifndef ENLIGHT_CLI_HELP_H
#define ENLIGHT_CLI_HELP_H

#include "cli/cli.h"

/* What argp prints around a verb's options; memory the caller frees. NULL: out of memory. */
char *help_of(const struct command *command);

#endif
