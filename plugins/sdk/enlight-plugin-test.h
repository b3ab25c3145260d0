/* enlight-plugin-test - a node for the unit tests of a plugin, in the test's own process: pkg-config enlight-plugin-test. The
 * test has a main() of its own; the SDK's is not linked then.
 *
 *	struct enlight_test *t = enlight_test_new(&plugin);
 *
 *	ck_assert_int_eq(enlight_test_start(t, "file: list.txt"), 0);
 *	ck_assert_int_eq(enlight_test_deliver(t, event).outcome, ENLIGHT_DONE);
 *	ck_assert_int_eq(enlight_test_stop(t), 0);
 *	enlight_test_free(t);
 *
 * The node is ugent.be's and holds events to the rules that every node does. */
#ifndef ENLIGHT_PLUGIN_TEST_H
#define ENLIGHT_PLUGIN_TEST_H

#include <enlight-plugin.h>

#define ENLIGHT_TEST_MEMBER "ugent.be"

struct enlight_test;

/* A node that will run the plugin, with a new and empty state folder. NULL: out of memory, or no folder can be made. */
struct enlight_test *enlight_test_new(const struct enlight_plugin *of);

/* Starts the plugin with settings as they would stand below `settings:` (YAML or JSON; NULL: none), in a file named
 * `settings`. 0: it is ready; else what its process would exit with (78: the settings have mistakes). After a stop it may be
 * started again, with what it kept in its state folder. */
int enlight_test_start(struct enlight_test *t, const char *settings);

/* Delivers an event, given as a CloudEvents JSON object, and says what the plugin answered. What it leaves out is filled in: source
 * ut.ee, an id, a time, the object's next revision. An event with a source and id that came before comes again: the same
 * revision and sequence, the next attempt. Outcome 0: it was not delivered, and the reason says why: the rule that it breaks,
 * or that the plugin has ended. */
struct enlight_result enlight_test_deliver(struct enlight_test *t, const char *event);

/* The same for several at once, as many as the window takes; results[i] is of events[i]. */
void enlight_test_deliver_many(
	struct enlight_test *t, const char *const *events, size_t n, struct enlight_result *results);

struct enlight_result enlight_test_erase(struct enlight_test *t, const struct enlight_erasure *what);

/* The i-th event that the plugin published since its start, from 0 (borrowed); NULL: there was none. Each is answered before
 * enlight_test_deliver() and its like return: 201, 200 for an id that came before, 422 with the rules that it breaks. */
const json_t *enlight_test_published(const struct enlight_test *t, size_t i);

/* All that the plugin logged, each as a line `LEVEL: TEXT`; valid until the next call. */
const char *enlight_test_log(struct enlight_test *t);

const char *enlight_test_state(const struct enlight_test *t); /* the state folder */

int enlight_test_stop(struct enlight_test *t);  /* what the process would exit with: 0 */
void enlight_test_free(struct enlight_test *t); /* also removes the state folder; NULL is a no-op */

#endif
