/* walk - makes each call fail once that a command line gives rise to: the program says so and ends with a status of <sysexits.h>. */
#ifndef ENLIGHT_TESTS_WALK_H
#define ENLIGHT_TESTS_WALK_H

#include "base/bytes.h"
#include "faults.h"
#include "given.h"
#include "members.h"

#include <sysexits.h>
#include <time.h>

/* Whether a program always prints the same: then it has coped with a failure when it prints that. */
static bool prints_the_same;
static uint8_t printed_whole[sizeof printed];

/* What is walked: a program's main() with a command line. */
struct walk {
	int (*start)(const char *line);
	const char *line;
	void (*before)(void);             /* makes things as each run finds them; or NULL */
	const char *(*wrong)(int status); /* what is wrong with what a run left behind, or NULL; or NULL */
	int status;                       /* what it ends with when nothing fails */
	bool finds;                       /* it prints what it finds, that something failed among it */
	bool sampled;                     /* of calls in one place two fail (ENLIGHT_EACH: as many) */
	bool again;                       /* behind a run that has not done it the same line does it */
};

/* Whether a verb answers a call that failed (NULL: none did) as it should. What it leaves behind can show that it has done all. */
static inline bool answers(const struct walk *w, enum fault_kind kind, const char *failed, int status)
{
	if (failed == NULL)
		return status == w->status;
	if (w->finds && (kind == FAULT_CALL || status == w->status)) /* of what it could do without it says nothing */
		return status == w->status || memcmp(printed, printed_whole, sizeof printed) != 0 || said[0] != '\0';
	if (status == EX_OK) /* what it can do without */
		return prints_the_same ? memcmp(printed, printed_whole, sizeof printed) == 0
				       : kind == FAULT_CALL || w->wrong != NULL;
	if (kind == FAULT_MEMORY && strstr(said, "out of memory") == NULL &&
		strstr(said, "Cannot allocate memory") == NULL)
		return false;
	return said[0] != '\0' && status >= EX__BASE && status <= EX__MAX;
}

enum { SAMPLED = 2, AGAIN_S = 90 };

/* One run, with what it leaves behind. */
static inline int walk_run(const struct walk *w)
{
	struct quiet q = quiet_begin();
	int status = w->start(w->line);

	quiet_end(&q);
	return status;
}

/* A run of which nothing fails. How many calls it makes. */
static inline size_t walk_whole(const struct walk *w, enum fault_kind kind)
{
	size_t n;
	int status;

	if (w->before != NULL)
		w->before();
	faults_learn(kind);
	status = walk_run(w);
	n = faults_learnt();
	ck_assert_msg(status == w->status, "%s: status %d: %s", w->line, status, said);
	ck_assert_msg(w->wrong == NULL || w->wrong(status) == NULL, "%s: %s", w->line, w->wrong(status));
	memcpy(printed_whole, printed, sizeof printed);
	return n;
}

/* Call n fails, where there is one; `*failed` says which. What went wrong is added to `wrong`. */
static inline void walk_step(
	const struct walk *w, enum fault_kind kind, size_t n, struct buffer *wrong, const char **failed)
{
	const time_t until = time(NULL) + AGAIN_S;
	const char *left;
	struct quiet q;
	int status;

	if (w->before != NULL)
		w->before();
	q = quiet_begin();
	faults_arm(kind, n);
	status = w->start(w->line);
	*failed = faults_disarm();
	quiet_end(&q);
	left = w->wrong == NULL ? NULL : w->wrong(status);
	if (!answers(w, kind, *failed, status) || left != NULL)
		buffer_printf(wrong, "\ncall %zu, %s, failed in%s: status %d: %s%s%s", n,
			*failed != NULL ? *failed : "none", *failed != NULL ? faults_where() : "", status, said,
			left != NULL ? "-> " : "", left != NULL ? left : "");
	if (!w->again || status == EX_OK || (w->wrong != NULL && w->wrong(EX_OK) == NULL))
		return;
	do /* a node may not have noticed yet that who asked is gone, and says to try again */
		status = walk_run(w);
	while (status == EX_TEMPFAIL && time(NULL) < until);
	left = w->wrong == NULL ? NULL : w->wrong(status);
	if (status != EX_OK || left != NULL)
		buffer_printf(wrong, "\ncall %zu, %s, failed in%s; once more: status %d: %s%s%s", n,
			*failed != NULL ? *failed : "none", *failed != NULL ? faults_where() : "", status, said,
			left != NULL ? "-> " : "", left != NULL ? left : "");
}

/* Each call fails once, n upwards until none does; tells all that went wrong. */
static inline void walk(const struct walk *w, enum fault_kind kind)
{
	size_t each = w->sampled ? given("ENLIGHT_EACH", SAMPLED) : SIZE_MAX, n = 0, runs = 0;
	size_t n_calls = walk_whole(w, kind);
	struct buffer wrong = {0};
	const char *failed = "";

	while (failed != NULL) {
		if (++n <= n_calls && faults_visits(n) >= each)
			continue;
		walk_step(w, kind, n, &wrong, &failed);
		runs++;
	}
	if (wrong.len != 0) /* more than Check takes in a message */
		fprintf(stderr, "%s:%s\n", w->line, buffer_cstr(&wrong));
	ck_assert_msg(wrong.len == 0, "%s does not answer each failure as it should; see standard error", w->line);
	ck_assert_msg(n > 1 || kind == FAULT_CALL, "%s allocates nothing", w->line);
	if (w->sampled)
		fprintf(stderr, "# %s: %zu of %zu calls %s\n", w->line, runs - 1, n - 1,
			kind == FAULT_MEMORY ? "of memory" : "of the system");
	buffer_deinit(&wrong);
}

#endif
