#include "cli/cli.h"

const struct command doctor_commands[] = {
	{0},
};
