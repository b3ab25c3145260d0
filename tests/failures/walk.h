/* walk - makes each call fail once that a command line gives rise to: the program says so and ends with a status of <sysexits.h>. */
#ifndef ENLIGHT_TESTS_WALK_H
#define ENLIGHT_TESTS_WALK_H

#include "base/bytes.h"
#include "faults.h"
#include "members.h"

#include <sysexits.h>

/* Whether a program always prints the same: then it has coped with a failure when it prints that. */
static bool prints_the_same;
static uint8_t printed_whole[sizeof printed];

/* Whether a verb answers a call that failed (NULL: none did) as it should. */
static inline bool answers(enum fault_kind kind, const char *failed, int status)
{
	if (failed == NULL)
		return status == EX_OK;
	if (status == EX_OK) /* what it can do without */
		return prints_the_same ? memcmp(printed, printed_whole, sizeof printed) == 0 : kind == FAULT_CALL;
	if (kind == FAULT_MEMORY && strstr(said, "out of memory") == NULL &&
		strstr(said, "Cannot allocate memory") == NULL)
		return false;
	return said[0] != '\0' && status >= EX__BASE && status <= EX__MAX;
}

/* Starts a program with a command line again and again, n upwards until no call fails; tells all that went wrong. What a run leaves behind
 * (`made`, or NULL) is removed before each. */
static inline void walk(int (*start)(const char *line), enum fault_kind kind, const char *line, const char *made)
{
	struct buffer wrong = {0};
	bool ends_well = true;
	const char *failed;
	struct quiet q;
	size_t n = 0;
	int status;

	if (prints_the_same) {
		q = quiet_begin();
		status = start(line);
		quiet_end(&q);
		ck_assert_msg(status == EX_OK, "%s: %s", line, said);
		memcpy(printed_whole, printed, sizeof printed);
	}
	do {
		if (made != NULL)
			remove_all(made);
		q = quiet_begin();
		faults_arm(kind, ++n);
		status = start(line);
		failed = faults_disarm();
		quiet_end(&q);
		if (answers(kind, failed, status))
			continue;
		ends_well = false;
		buffer_printf(&wrong, "\ncall %zu, %s, failed in%s: status %d: %s", n, failed != NULL ? failed : "none",
			failed != NULL ? faults_where() : "", status, said);
	} while (failed != NULL);
	if (wrong.len != 0) /* more than Check takes in a message */
		fprintf(stderr, "%s:%s\n", line, buffer_cstr(&wrong));
	buffer_deinit(&wrong);
	ck_assert_msg(ends_well, "%s does not answer each failure as it should; see standard error", line);
	ck_assert_msg(n > 1 || kind == FAULT_CALL, "%s allocates nothing", line);
}

#endif
