/* unit - what every unit test's main() is. */
#ifndef ENLIGHT_TESTS_UNIT_H
#define ENLIGHT_TESTS_UNIT_H

#include <check.h>
#include <sodium.h>
#include <stdlib.h>

/* Runs the suite and gives main()'s result. */
static inline int unit_run(Suite *suite)
{
	SRunner *runner;
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
