/* Every call of memory and of the system that `enlightd` makes from its start to its end fails once: it says so and ends with the
 * status of the manual, or copes; it never crashes or loses memory. */
#include "base/bytes.h"
#include "faults.h"
#include "members.h"

#include <sys/wait.h>
#include <sysexits.h>

enum { PATIENCE_S = 60, HURRY = 10 };

static bool documented(int status)
{
	static const int statuses[] = {EX_SOFTWARE, EX_OSERR, EX_IOERR, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG};

	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (status == statuses[i])
			return said[0] != '\0';
	return status == EX_OK; /* it could do without, or was past its start */
}

static void tell(const char *failed, size_t n, int status)
{
	fprintf(stderr, "call %zu, %s, failed in%s: status %d: %s\n", n, failed, faults_where(), status, said);
}

/* Without memory the node does not start, with status 71, ends with 70 when it had started, or goes on; what it has is all given back. */
START_TEST(test_memory_of_the_daemon)
{
	bool ends_well = true;
	const char *failed;
	size_t n = 0;
	int status;

	ends_when_ready = true;
	faults_hurry(HURRY);                        /* some failures are waited for */
	ck_assert_msg(enlightd() == 0, "%s", said); /* the store is made */
	do {
		faults_arm(FAULT_MEMORY, ++n);
		status = enlightd();
		failed = faults_disarm();
		if (failed == NULL || status == EX_OK ||
			((status == EX_OSERR || status == EX_SOFTWARE) && said[0] != '\0'))
			continue;
		ends_well = false;
		tell(failed, n, status);
	} while (failed != NULL);
	faults_hurry(1); /* Check measures by the same clock, and half an hour is too long for it */
	ck_assert_int_eq(status, EX_OK);
	ck_assert_msg(ends_well && n > 1, "see standard error");
}
END_TEST

/* The node as a process of its own, for what ends it at once. False: no call failed. */
static bool enlightd_apart(size_t n, bool *well)
{
	struct quiet q = quiet_begin();
	char what[1200] = "";
	int report[2], status;
	const char *failed;
	pid_t pid;

	ck_assert_int_eq(pipe(report), 0);
	pid = fork();
	if (pid == 0) {
		alarm(PATIENCE_S);
		faults_hurry(HURRY);
		faults_arm(FAULT_CALL, n);
		status = start_enlightd();
		failed = faults_disarm();
		dprintf(report[1], "%s%s", failed != NULL ? failed : "nothing", failed != NULL ? faults_where() : "");
		exit(status);
	}
	close(report[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (read(report[0], what, sizeof what - 1) < 0)
		what[0] = '\0';
	close(report[0]);
	quiet_end(&q);
	if (!WIFEXITED(status) || !documented(WEXITSTATUS(status))) {
		fprintf(stderr, "call %zu, %s, failed: wait status %d: %s\n", n, what, status, said);
		*well = false;
	}
	return strcmp(what, "nothing") != 0;
}

/* A call of the system that fails ends the node with a documented status, or it goes on; and the next start is good. */
START_TEST(test_system_of_the_daemon)
{
	bool well = true;
	size_t n = 0;

	ends_when_ready = true;
	ck_assert_msg(enlightd() == 0, "%s", said);
	while (enlightd_apart(++n, &well))
		;
	ck_assert_msg(well && n > 1, "see standard error");
	ck_assert_msg(enlightd() == 0, "%s", said);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures of the daemon");
	TCase *memory = tcase_create("memory"), *calls = tcase_create("system");

	faults_init();
	tcase_add_checked_fixture(memory, members_make, members_remove);
	tcase_add_test(memory, test_memory_of_the_daemon);
	tcase_set_timeout(memory, 600);
	suite_add_tcase(suite, memory);
	tcase_add_checked_fixture(calls, members_make, members_remove);
	tcase_add_test(calls, test_system_of_the_daemon);
	tcase_set_timeout(calls, 600);
	suite_add_tcase(suite, calls);
	return unit_run(suite);
}
