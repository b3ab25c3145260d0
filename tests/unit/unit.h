/* unit - what every unit test's main() is. */
#ifndef ENLIGHT_TESTS_UNIT_H
#define ENLIGHT_TESTS_UNIT_H

#include <check.h>
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* A new folder for a test's files; removed with what lies in it (no folders). */
static inline void unit_folder(char *path, size_t size)
{
	const char *parent = getenv("TMPDIR");

	if (parent == NULL) /* in memory where possible: no test here pulls the plug, and syncing is slow */
		parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(path, size, "%s/enlight-test-XXXXXX", parent);
	ck_assert_ptr_nonnull(mkdtemp(path));
}

/* Removes what lies in it (no folders). */
static inline void unit_folder_empty(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder != NULL && (entry = readdir(folder)) != NULL)
		unlinkat(dirfd(folder), entry->d_name, 0);
	if (folder != NULL)
		closedir(folder);
}

static inline void unit_folder_remove(const char *path)
{
	unit_folder_empty(path);
	rmdir(path);
}

#endif
