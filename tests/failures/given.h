/* given - a number that whoever runs a test gives it in the environment. */
#ifndef ENLIGHT_TESTS_GIVEN_H
#define ENLIGHT_TESTS_GIVEN_H

#include <stdlib.h>

static inline size_t given(const char *name, size_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoul(text, NULL, 10) : otherwise;
}

#endif
