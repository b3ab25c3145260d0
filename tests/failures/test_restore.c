/* Every call of memory and of the system fails once while a backup is opened, put in a store's place, or a store is looked through: beside
 * what the verb answers, the folder is as it was or has all that was asked for, and the same line then does it.
 *
 * Of the calls in one place two fail (ENLIGHT_EACH: as many). */
#include "running.h"
#include "walk.h"

#include "base/secret.h"

#define STORE "ugent.be/state/enlight.db"
#define STORE_KEY "ugent.be/keys/store.key"

static const char *const store_files[] = {STORE, STORE "-wal", STORE "-shm", STORE_KEY};
enum { N_STORE_FILES = sizeof store_files / sizeof *store_files };

/* What is told apart: the same words are in the files before. */
static const char old_key[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n";
static const char *const old[] = {"an older store", "its last commits", "its index", old_key};
static char new_key[sizeof old_key];

/* ---- a node, its backup, and the keys for it ---- */

static void read_key(char out[static sizeof old_key], const char *path)
{
	void *text;
	size_t len;

	ck_assert_int_eq(file_read(&text, &len, path, sizeof old_key), 0);
	ck_assert_uint_eq(len, sizeof old_key - 1);
	memcpy(out, text, sizeof old_key);
	free(text);
}

static void run(const char *line)
{
	ck_assert_msg(enlight(line) == EX_OK, "%s: %s", line, said);
}

static void make(void)
{
	node_start();
	for (int i = 0; i < 3; i++)
		run("enlight --config ugent.be/node.yaml publish event.json");
	run("enlight --config ugent.be/node.yaml backup --output safe.backup");
	node_end();
	read_key(new_key, STORE_KEY);
	ck_assert_int_eq(rename("ugent.be/node.yaml", "ugent.be/enlight.yaml"), 0);
	ck_assert_int_eq(link("ugent.be/keys/node-1.key", "node-1.key"), 0);
	run("enlight backup key --identity ugent.be/identity.key --output opened.key safe.backup");
}

/* ---- what each run finds ---- */

static void remove_key(void)
{
	remove_all("store.key");
}

/* A new disk: neither state nor store key; the node key was kept elsewhere. */
static void empty(void)
{
	remove_all("ugent.be/state");
	remove_all("ugent.be/keys");
	ck_assert_int_eq(mkdir("ugent.be/keys", 0700), 0);
	ck_assert_int_eq(link("node-1.key", "ugent.be/keys/node-1.key"), 0);
}

static void older(void)
{
	empty();
	ck_assert_int_eq(mkdir("ugent.be/state", 0700), 0);
	for (size_t i = 0; i < N_STORE_FILES; i++)
		ck_assert_int_eq(file_write(store_files[i], old[i], strlen(old[i]), 0600), 0);
}

/* ---- what it leaves behind ---- */

static bool holds(const char *path, const char *text)
{
	void *found = NULL;
	size_t len = 0;
	bool same = file_read(&found, &len, path, 1 << 24) == 0 && len == strlen(text) && memcmp(found, text, len) == 0;

	free(found);
	return same;
}

/* How many names in a folder have a word in them. */
static size_t names_with(const char *folder, const char *word)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		n += strstr(entry->d_name, word) != NULL;
	if (dir != NULL)
		closedir(dir);
	return n;
}

/* Names that are nothing which stays: of files while they are written. The lock of the copy may stay that could not be removed. */
static size_t unfinished(const char *folder)
{
	static const char *const whole[] = {".", "..", "enlight.db", "enlight.db-wal", "enlight.db-shm",
		"enlight.db.lock", "enlight.db.restoring.lock", "store.key", "node-1.key"};
	DIR *dir = opendir(folder);
	struct dirent *entry;
	size_t n = 0, i;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		for (i = 0; i < sizeof whole / sizeof *whole && strcmp(entry->d_name, whole[i]) != 0; i++)
			;
		n += i == sizeof whole / sizeof *whole && strstr(entry->d_name, ".until-") == NULL;
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

static const char *wrong_of_key(int status)
{
	if (holds("store.key", new_key))
		return NULL;
	return access("store.key", F_OK) == 0 ? "half a key" : status == EX_OK ? "no key" : NULL;
}

static const char *wrong_of_names(void)
{
	if (unfinished("ugent.be/state") != 0)
		return "an unfinished file lies in state/";
	return unfinished("ugent.be/keys") != 0 ? "an unfinished file lies in keys/" : NULL;
}

static bool is_restored(void)
{
	return access(STORE, F_OK) == 0 && !holds(STORE, old[0]) && access(STORE "-wal", F_OK) != 0;
}

static const char *wrong_of_empty(int status)
{
	bool key = holds(STORE_KEY, new_key), store = is_restored();

	if (wrong_of_names() != NULL)
		return wrong_of_names();
	if (!key && access(STORE_KEY, F_OK) == 0)
		return "half a key";
	if (key != store)
		return key ? "the key without its store" : "the store without its key";
	return status == EX_OK && !store ? "no store" : NULL;
}

static const char *wrong_of_older(int status)
{
	size_t n = 0, aside = names_with("ugent.be/state", ".until-") + names_with("ugent.be/keys", ".until-");

	for (size_t i = 0; i < N_STORE_FILES; i++)
		n += holds(store_files[i], old[i]);
	if (wrong_of_names() != NULL)
		return wrong_of_names();
	if (n == N_STORE_FILES)
		return aside > 0 ? "something lies aside" : status == EX_OK ? "nothing was put" : NULL;
	if (!is_restored() || !holds(STORE_KEY, new_key))
		return "neither what was there nor what was to be put";
	return aside != N_STORE_FILES ? "what was there is not kept" : NULL;
}

#define RESTORE "enlight restore safe.backup ugent.be "
static const struct {
	const char *line;
	void (*before)(void);
	const char *(*wrong)(int status);
} lines[] = {
	{"enlight backup key --identity ugent.be/identity.key --output store.key safe.backup", remove_key,
		wrong_of_key},
	{RESTORE "--identity ugent.be/identity.key", empty, wrong_of_empty},
	{RESTORE "--key opened.key --replace", older, wrong_of_older},
};
enum { N_LINES = sizeof lines / sizeof *lines };

static struct walk walk_of(size_t i)
{
	return (struct walk){.start = start_enlight,
		.line = lines[i].line,
		.before = lines[i].before,
		.wrong = lines[i].wrong,
		.sampled = true,
		.again = true};
}

/* Without memory a verb says so, ends with 71, and has done nothing or all. */
START_TEST(test_memory)
{
	struct walk w = walk_of((size_t)_i);

	walk(&w, FAULT_MEMORY);
}
END_TEST

/* The same when a call of the system fails, with a status that fits. */
START_TEST(test_system)
{
	struct walk w = walk_of((size_t)_i);

	walk(&w, FAULT_CALL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures of restoring");
	TCase *tc = tcase_create("backups");

	faults_init();
	tcase_add_checked_fixture(tc, make, members_remove);
	tcase_add_loop_test(tc, test_memory, 0, N_LINES);
	tcase_add_loop_test(tc, test_system, 0, N_LINES);
	tcase_set_timeout(tc, 3600);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
