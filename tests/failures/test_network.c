/* A network whose nodes are short of memory, again and again, wherever core allocates: nothing acknowledged is lost, no channel has a gap,
 * and once memory is there everything arrives. The linker puts functions of ours in front of core's entries, so that only core lacks
 * memory, and neither the simulator nor its ledgers (meson.build). */
#include "core/commit.h"
#include "core/node.h"
#include "core/query.h"
#include "network.h"
#include "unit.h"

#include <errno.h>

enum { MEMBERS = 4 };

static unsigned depth;  /* in core */
static unsigned one_in; /* so many allocations fails; 0: none */
static uint32_t state;  /* of the dice */
static unsigned n_failed;
static const struct node *lost_track; /* a node that could not take an input in for want of memory */

static bool fails(void)
{
	if (depth == 0 || one_in == 0)
		return false;
	state = state * 1664525 + 1013904223;
	if ((state >> 8) % one_in != 0)
		return false;
	n_failed++;
	return true;
}

#include "failing_memory.h"

int __real_node_step(struct node *n, const struct node_input *in, struct node_update *up);
int __wrap_node_step(struct node *n, const struct node_input *in, struct node_update *up);
int __wrap_node_step(struct node *n, const struct node_input *in, struct node_update *up)
{
	int r;

	depth++;
	r = __real_node_step(n, in, up);
	depth--;
	if (r != -ENOMEM)
		return r;
	lost_track = n;
	return 0;
}

int __real_commit_run(struct committer *c, const struct ledger_ops *ops, void *ledger, struct job *const *jobs,
	size_t n, uint64_t time_ms, const uint8_t seed[static 32], struct commit_changes **changes);
int __wrap_commit_run(struct committer *c, const struct ledger_ops *ops, void *ledger, struct job *const *jobs,
	size_t n, uint64_t time_ms, const uint8_t seed[static 32], struct commit_changes **changes);
int __wrap_commit_run(struct committer *c, const struct ledger_ops *ops, void *ledger, struct job *const *jobs,
	size_t n, uint64_t time_ms, const uint8_t seed[static 32], struct commit_changes **changes)
{
	int r;

	depth++;
	r = __real_commit_run(c, ops, ledger, jobs, n, time_ms, seed, changes);
	depth--;
	return r;
}

void __real_query_run(
	struct querier *q, const struct archive_ops *ops, void *archive, struct query *query, const uint8_t *seed);
void __wrap_query_run(
	struct querier *q, const struct archive_ops *ops, void *archive, struct query *query, const uint8_t *seed);
void __wrap_query_run(
	struct querier *q, const struct archive_ops *ops, void *archive, struct query *query, const uint8_t *seed)
{
	depth++;
	__real_query_run(q, ops, archive, query, seed);
	depth--;
}

void __real_job_prepare(struct job *job, const struct committer *c);
void __wrap_job_prepare(struct job *job, const struct committer *c);
void __wrap_job_prepare(struct job *job, const struct committer *c)
{
	depth++;
	__real_job_prepare(job, c);
	depth--;
}

static void publish_some(struct network *w, unsigned n)
{
	char audience[160], course[32];

	for (unsigned i = 0; i < n; i++) {
		size_t from = network_random(w, MEMBERS), to = (from + 1 + network_random(w, MEMBERS - 1)) % MEMBERS;

		snprintf(audience, sizeof audience, "%s", i % 3 == 0 ? "network" : network_handle(w, to));
		snprintf(course, sizeof course, "CR/%u", network_random(w, 5));
		network_publish(w, from, audience, course);
	}
}

/* A node that could not take an input in ends, as the daemon does, and starts again. */
static void run_short(struct network *w, unsigned ms)
{
	for (unsigned i = 0; i < ms; i += 5) {
		network_run(w, 5);
		for (size_t k = 0; k < MEMBERS && lost_track != NULL; k++)
			if (network_is_up(w, k) && network_node(w, k) == lost_track) {
				network_crash(w, k);
				network_start(w, k);
			}
		lost_track = NULL;
	}
}

static const unsigned densities[] = {5000, 1000, 300, 100, 40, 15};

/* However often memory is short: what holds at any time holds, and when it no longer is, everything arrives. */
START_TEST(test_network_short_of_memory)
{
	struct network *w = network_new((uint64_t)_i + 1, MEMBERS);
	const char *wrong;

	state = (uint32_t)_i;
	for (int round = 0; round < 20; round++) {
		one_in = densities[_i];
		publish_some(w, 4);
		run_short(w, 1000);
		if (round % 5 == 4)
			network_drop(w, network_random(w, 2), 2 + network_random(w, 2));
		one_in = 0;
		wrong = network_check(w);
		ck_assert_msg(wrong == NULL, "one in %u fails: %s", densities[_i], wrong);
	}
	ck_assert_msg(network_settle(w, 600000), "one in %u fails: it does not settle", densities[_i]);
	wrong = network_check_complete(w);
	ck_assert_msg(wrong == NULL, "one in %u fails: %s", densities[_i], wrong);
	ck_assert_uint_gt(n_failed, 0);
	network_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures in a network");
	TCase *tc = tcase_create("memory");

	tcase_add_loop_test(tc, test_network_short_of_memory, 0, sizeof densities / sizeof *densities);
	tcase_set_timeout(tc, 240);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
