/* Every call of memory and of the system that `enlight` makes fails once: the verb says so and ends with a status of <sysexits.h>; it
 * never crashes, loses memory, or says that it has done what it has not. */
#include "running.h"
#include "walk.h"

#include "core/backup_head.h"

#include <limits.h>
#include <time.h>

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
	ENLIGHT "evidence --output proof.evidence ugent.be known-1",
	ENLIGHT "tail --limit 1 --after 0.0",
	ENLIGHT "--json tail --limit 1 --after 0.0",
	ENLIGHT "dead retry --all keep",
	ENLIGHT "doctor",
	ENLIGHT "--json doctor",
	ENLIGHT "doctor --store",
	ENLIGHT "doctor --repair",
};

enum {
	N_ONLINE = sizeof online / sizeof *online,
	N_FINDING = 4
}; /* the last ones say on standard output what they find */

static struct walk walk_online(size_t i)
{
	return (struct walk){.start = start_enlight, .line = online[i], .finds = i >= N_ONLINE - N_FINDING};
}

/* The same for verbs that ask a node; it is not the node that lacks anything. */
START_TEST(test_memory_of_asking)
{
	struct walk w = walk_online((size_t)_i);

	walk(&w, FAULT_MEMORY);
}
END_TEST

START_TEST(test_system_of_asking)
{
	struct walk w = walk_online((size_t)_i);

	walk(&w, FAULT_CALL);
}
END_TEST

/* A node that holds something, and what is made of it. */
static void asking_start(void)
{
	static const char *const lines[] = {
		ENLIGHT "evidence --output known.evidence ugent.be known-1", ENLIGHT "invite --output new.invite"};

	node_start();
	node_publish("known");
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		ck_assert_msg(enlight(lines[i]) == EX_OK, "%s: %s", lines[i], said);
}

/* ---- verbs that each run finds something made for ---- */

static char words[192]; /* what stands for %s in a line */

/* The digest of the network's first roster, as the configuration has it. */
static void find_digest(void)
{
	static const char key[] = "anchor: ";
	void *text;
	size_t len;
	char *anchor;

	ck_assert_int_eq(file_read(&text, &len, "ugent.be/enlight.yaml", 1 << 20), 0);
	anchor = strstr(text, key);
	ck_assert_ptr_nonnull(anchor);
	snprintf(words, sizeof words, "%.64s", anchor + sizeof key - 1);
	free(text);
}

/* An event that the plugin has rejected: a new one, where there is none. */
static void find_dead(void)
{
	static const char path[] = "/v1/dead-letters?plugin=keep&state=dead&limit=1";
	static const char key[] = "\"place\":\"";
	const struct timespec moment = {0, 1000000};
	char answer[ANSWER_MAX], *place = NULL;
	const time_t until = time(NULL) + 60;

	ask_node("ugent.be", "GET", path, "", ANSWER_MS, answer);
	if (strstr(answer, key) == NULL)
		node_publish("never");
	while (place == NULL && time(NULL) < until) {
		ask_node("ugent.be", "GET", path, "", ANSWER_MS, answer);
		place = strstr(answer, key);
		nanosleep(&moment, NULL);
	}
	ck_assert_msg(place != NULL, "nothing is rejected: %s", answer);
	place += sizeof key - 1;
	snprintf(words, sizeof words, "%.*s", (int)strcspn(place, "\""), place);
}

/* The node lets go of a copy that it made for a run before: it has when it makes another. */
static void let_go(void)
{
	const time_t until = time(NULL) + 60;
	char answer[ANSWER_MAX], kept[sizeof said]; /* what the run before said is looked at behind this */

	memcpy(kept, said, sizeof said);
	if (ask_node("ugent.be", "DELETE", "/v1/backup", "", ANSWER_MS, answer) != 200)
		return;
	while (enlight(ENLIGHT "backup --replace --output another.backup") != EX_OK)
		ck_assert_msg(time(NULL) < until, "%s", said);
	memcpy(said, kept, sizeof said);
}

static void no_backup(void)
{
	let_go();
	remove_all("node.backup");
}

static void older_backup(void)
{
	let_go();
	ck_assert_int_eq(file_write("node.backup", "older", 5, 0600), 0);
}

/* Of a backup: its head says how long it is. */
static bool is_whole(void)
{
	struct problems problems = {0};
	struct backup_head head = {0};
	void *text = NULL;
	size_t len = 0;
	bool whole;

	whole = file_read(&text, &len, "node.backup", 1 << 26) == 0 &&
		backup_head_parse(&head, "node.backup", bytes_of(text, len < BACKUP_HEAD_MAX ? len : BACKUP_HEAD_MAX),
			&problems) == 0 &&
		head.len + head.bytes == len;
	problems_deinit(&problems);
	free(text);
	return whole;
}

static size_t names_beginning(const char *begin)
{
	DIR *dir = opendir(".");
	struct dirent *entry;
	size_t n = 0;

	while ((entry = readdir(dir)) != NULL)
		n += strncmp(entry->d_name, begin, strlen(begin)) == 0;
	closedir(dir);
	return n;
}

static const char *wrong_of_backup(int status)
{
	struct stat st;
	bool older = stat("node.backup", &st) == 0 && st.st_size == 5;
	bool none = stat("node.backup", &st) < 0;

	let_go();
	if (names_beginning("node.backup.") != 0)
		return "an unfinished file";
	if (is_whole())
		return NULL;
	return (!older && !none) || status == EX_OK ? "no whole backup" : NULL;
}

/* A folder that `enlight init` has made. */
static void new_member(void)
{
	find_digest();
	remove_all("uu.se");
	ck_assert_int_eq(enlight("enlight init --member uu.se --country SE --name Uppsala uu.se"), EX_OK);
}

static void no_member(void)
{
	find_digest();
	remove_all("uu.se");
}

/* A key that its card has retired. */
static void retired_key(void)
{
	if (access("retired.key", F_OK) != 0) {
		ck_assert_msg(enlight("enlight keys new ut.ee") == EX_OK, "%s", said);
		ck_assert_msg(enlight("enlight card new ut.ee") == EX_OK, "%s", said);
		ck_assert_msg(enlight("enlight card new --retire 1 ut.ee") == EX_OK, "%s", said);
		ck_assert_int_eq(rename("ut.ee/keys/node-1.key", "retired.key"), 0);
	}
	remove_all("ut.ee/keys/node-1.key");
	ck_assert_int_eq(link("retired.key", "ut.ee/keys/node-1.key"), 0);
}

static const char *wrong_of_key(int status)
{
	return status == EX_OK && access("ut.ee/keys/node-1.key", F_OK) == 0 ? "it is there" : NULL;
}

static const struct {
	const char *line;
	void (*before)(void);
	const char *(*wrong)(int status);
	int status;
	bool again;
} prepared[] = {
	{ENLIGHT "backup --output node.backup", no_backup, wrong_of_backup, .again = true},
	{ENLIGHT "backup --replace --output node.backup", older_backup, wrong_of_backup, .again = true},
	{ENLIGHT "dead show --data keep %s", find_dead},
	{ENLIGHT "--json dead show keep %s", find_dead},
	{ENLIGHT "dead retry keep %s", find_dead},
	{ENLIGHT "dead drop --reason tested keep %s", find_dead},
	{ENLIGHT "roster pin %s", find_digest},
	{ENLIGHT "evidence fork --output fork.evidence ugent.be network", NULL, .status = EX_NOINPUT},
	{"enlight verify --data --network %s known.evidence", find_digest},
	{"enlight --json verify --network %s known.evidence", find_digest},
	{"enlight join --digest %s new.invite uu.se", new_member, .again = true},
	{"enlight init --member uu.se --country SE --name Uppsala --invite new.invite --digest %s uu.se", no_member},
	{"enlight keys destroy 1 ut.ee", retired_key, wrong_of_key},
	{"enlight --config nowhere.yaml doctor --store", NULL, .status = EX_CONFIG},
};
static size_t at;
static char line[512];

static void prepare(void)
{
	const char *gap;

	if (prepared[at].before != NULL)
		prepared[at].before();
	gap = strstr(prepared[at].line, "%s");
	snprintf(line, sizeof line, "%.*s%s%s", (int)(gap != NULL ? gap - prepared[at].line : INT_MAX),
		prepared[at].line, gap != NULL ? words : "", gap != NULL ? gap + 2 : "");
}

static void walk_prepared(size_t i, enum fault_kind kind)
{
	at = i;
	walk(&(struct walk){.start = start_enlight,
		     .line = line,
		     .before = prepare,
		     .wrong = prepared[at].wrong,
		     .status = prepared[at].status,
		     .finds = prepared[at].status == EX_CONFIG,
		     .sampled = true,
		     .again = prepared[at].again},
		kind);
}

START_TEST(test_memory_of_prepared)
{
	walk_prepared((size_t)_i, FAULT_MEMORY);
}
END_TEST

START_TEST(test_system_of_prepared)
{
	walk_prepared((size_t)_i, FAULT_CALL);
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
	tcase_add_checked_fixture(asking, asking_start, node_stop);
	tcase_add_loop_test(asking, test_memory_of_asking, 0, N_ONLINE);
	tcase_add_loop_test(asking, test_system_of_asking, 0, N_ONLINE);
	tcase_add_loop_test(asking, test_memory_of_prepared, 0, sizeof prepared / sizeof *prepared);
	tcase_add_loop_test(asking, test_system_of_prepared, 0, sizeof prepared / sizeof *prepared);
	tcase_set_timeout(asking, 300);
	suite_add_tcase(suite, asking);
	return unit_run(suite);
}
