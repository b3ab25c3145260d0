/* Every call of memory and of the system that `enlight` makes fails once: the verb says so and ends with a status of <sysexits.h>; it
 * never crashes, loses memory, or says that it has done what it has not. */
#include "running.h"
#include "walk.h"

/* Verbs without a node, run in the network's folder. What a case leaves behind (`made`) is removed before each run. */
static const struct {
	const char *line, *made;
} cases[] = {
	{"enlight init --member uu.se --country SE --name Uppsala --endpoint tcp://uu.se:4847 uu.se", "uu.se"},
	{"enlight keys ugent.be", NULL},
	{"enlight --json keys ugent.be", NULL},
	{"enlight keys new ugent.be", "ugent.be/keys/node-2.key"},
	{"enlight roster new --network enlight --output new.note ugent.be/ugent.be.member ut.ee/ut.ee.member", NULL},
	{"enlight roster sign --identity ut.ee/identity.key --output signed.note unsigned.note", NULL},
	{"enlight roster merge --output merged.note ugent.be.note ut.ee.note", NULL},
	{"enlight roster next --remove ut.ee --alias ugent.be=gent.be --output after.note roster.note", NULL},
	{"enlight roster diff roster.note next.note", NULL},
	{"enlight roster show roster.note", NULL},
	{"enlight --json roster show roster.note", NULL},
	{"enlight roster verify roster.note", NULL},
	{"enlight roster adopt roster.note ut.ee", NULL},
	{"enlight card new ugent.be", NULL},
	{"enlight card show ugent.be/cards/ugent.be.card", NULL},
	{"enlight --json card show ugent.be/cards/ugent.be.card", NULL},
	{"enlight card sign --identity ugent.be/identity.key --output resigned.card ugent.be/cards/ugent.be.card",
		NULL},
	{"enlight card verify --roster roster.note ugent.be/cards/ugent.be.card", NULL},
	{"enlight check-config ugent.be/enlight.yaml", NULL},
	{"enlight topics", NULL},
	{"enlight --json topics", NULL},
	{"enlight topics course.offering", NULL},
	{"enlight --config ugent.be/enlight.yaml topics --example course.offering", NULL},
	{"enlight help", NULL},
	{"enlight manual enlight.1", NULL},
	{"enlight manual enlight.yaml", NULL},
	{"enlight manual enlight.yaml.5", NULL},
	{"enlight manual enlightd.8", NULL},
	{"enlight manual completion", NULL},
};

static const char *made;

static void remove_made(void)
{
	if (made != NULL)
		remove_all(made);
}

static void walk_verb(size_t i, enum fault_kind kind)
{
	made = cases[i].made;
	walk(&(struct walk){.start = start_enlight, .line = cases[i].line, .before = remove_made}, kind);
}

/* Without memory a verb says so and ends with 71. */
START_TEST(test_memory_of_verbs)
{
	walk_verb((size_t)_i, FAULT_MEMORY);
}
END_TEST

/* A call of the system that fails makes the verb end with a message and a status that fits, unless it can do without. */
START_TEST(test_system_of_verbs)
{
	walk_verb((size_t)_i, FAULT_CALL);
}
END_TEST

/* ---- verbs that ask a node ---- */

#define ENLIGHT "enlight --config ugent.be/node.yaml "
static const char *const online[] = {
	ENLIGHT "status",
	ENLIGHT "--json status",
	ENLIGHT "peers",
	ENLIGHT "channels",
	ENLIGHT "publish event.json",
	ENLIGHT "--json publish event.json",
	ENLIGHT "--dry-run publish event.json",
	ENLIGHT "events",
	ENLIGHT "--json events",
	ENLIGHT "plugins",
	ENLIGHT "dead",
	ENLIGHT "receipts",
	ENLIGHT "--json receipts",
	ENLIGHT "audit",
	ENLIGHT "--json audit",
	ENLIGHT "rosters",
	ENLIGHT "peers block --reason test ut.ee",
	ENLIGHT "peers unblock ut.ee",
	ENLIGHT "card import ugent.be/cards/ugent.be.card",
	ENLIGHT "roster import roster.note",
	ENLIGHT "roster export --output exported.note",
	ENLIGHT "invite --output written.invite",
	ENLIGHT "doctor",
	ENLIGHT "--json doctor",
};

enum {
	N_ONLINE = sizeof online / sizeof *online,
	N_FINDING = 2
}; /* the last ones say on standard output what they find */

/* The same for verbs that ask a node; it is not the node that lacks anything. */
START_TEST(test_memory_of_asking)
{
	walk(&(struct walk){.start = start_enlight, .line = online[_i]}, FAULT_MEMORY);
}
END_TEST

START_TEST(test_system_of_asking)
{
	walk(&(struct walk){.start = start_enlight, .line = online[_i]}, FAULT_CALL);
}
END_TEST

int main(void)
{
	TCase *asking = tcase_create("verbs that ask a node");
	Suite *suite = suite_create("failures of the command");
	TCase *tc = tcase_create("verbs without a node");

	faults_init();
	tcase_add_checked_fixture(tc, members_make, members_remove);
	tcase_add_loop_test(tc, test_memory_of_verbs, 0, sizeof cases / sizeof *cases);
	tcase_add_loop_test(tc, test_system_of_verbs, 0, sizeof cases / sizeof *cases);
	tcase_set_timeout(tc, 300);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(asking, node_start, node_stop);
	tcase_add_loop_test(asking, test_memory_of_asking, 0, N_ONLINE);
	tcase_add_loop_test(asking, test_system_of_asking, 0, N_ONLINE - N_FINDING);
	tcase_set_timeout(asking, 300);
	suite_add_tcase(suite, asking);
	return unit_run(suite);
}
