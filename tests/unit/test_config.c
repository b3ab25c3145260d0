#include "config.h"
#include "base/secret.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/enlight-test-config-XXXXXX";

#define ANCHOR "8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101"
#define MINIMAL "member: ut.ee\ntrust: {anchor: " ANCHOR "}\n"

static void put(const char *name, const char *text)
{
	ck_assert_int_eq(file_write(name, text, strlen(text), 0644), 0);
}

static void put_secret(const char *name, uint8_t fill)
{
	uint8_t secret[SECRET_FILE_LEN];

	memset(secret, fill, sizeof secret);
	ck_assert_int_eq(secret_write(name, secret), 0);
}

/* A folder with everything a configuration names. */
static void setup(void)
{
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	ck_assert(mkdtemp(folder) != NULL);
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert(mkdir("keys", 0700) == 0 && mkdir("cards", 0700) == 0);
	put("roster.note", "enlight roster 1\n");
	put_secret("keys/node-1.key", 1);
	put_secret("keys/store.key", 9);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void teardown(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

/* Loads enlight.yaml with this content; all that is wrong as `place: rule` lines without the file's name. */
static const char *load_text(struct config **c, const char *text)
{
	static char said[16384];
	struct problems problems = {0};
	const char *place;

	put("enlight.yaml", text);
	said[0] = '\0';
	ck_assert_int_ge(config_load(c, "enlight.yaml", &problems), 0);
	for (size_t i = 0; i < problems.n; i++) {
		place = problems.items[i].place;
		place += strncmp(place, "enlight.yaml:", 13) == 0 ? 13 : 0;
		snprintf(said + strlen(said), sizeof said - strlen(said), "%s%s: %s", i == 0 ? "" : "\n", place,
			problems.items[i].rule);
	}
	problems_deinit(&problems);
	return said;
}

/* Three lines make a node's configuration; all else has a default. */
START_TEST(test_defaults)
{
	struct config *c;

	ck_assert_str_eq(load_text(&c, MINIMAL), "");
	ck_assert_str_eq(c->member, "ut.ee");
	ck_assert_str_eq(c->state, "/var/lib/enlight");
	ck_assert_str_eq(c->trust.roster, "roster.note");
	ck_assert_uint_eq(c->trust.digest[0], 0x82);
	ck_assert_str_eq(c->store.url, "sqlite:enlight.db");
	ck_assert_uint_eq(c->store.disk_limit_bytes, 20ull << 30);
	ck_assert(c->link.listen == NULL && c->api.loopback == NULL);
	ck_assert_str_eq(c->api.socket, "/run/enlight/api.sock");
	ck_assert_uint_eq(c->n_access, 0);
	config_free(c);
}
END_TEST

/* A relative path begins in the file's folder, wherever the node was started. */
START_TEST(test_relative_paths)
{
	struct problems problems = {0};
	struct config *c;
	char path[128];

	put("enlight.yaml", "state: s\napi: {socket: api.sock}\n" MINIMAL);
	snprintf(path, sizeof path, "%s/enlight.yaml", folder);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(config_load(&c, path, &problems), 0);
	ck_assert(strncmp(c->state, folder, strlen(folder)) == 0 && strcmp(c->state + strlen(folder), "/s") == 0);
	ck_assert_str_eq(c->api.socket + strlen(folder), "/api.sock");
	ck_assert_str_eq(c->trust.keys + strlen(folder), "/keys");
	config_free(c);
}
END_TEST

/* Access rows name a user, a number or a group; names become numbers. */
START_TEST(test_access)
{
	struct config *c;

	ck_assert_str_eq(
		load_text(&c, MINIMAL "access:\n  - {group: root, publish: [course.*, \"*\"], read: [\"*.decision\"]}\n"
				      "  - {uid: 4711, operator: true}\n  - {user: root, read: [course.offering]}\n"),
		"");
	ck_assert_uint_eq(c->n_access, 3);
	ck_assert(!c->access[0].by_uid && c->access[0].id == 0);
	ck_assert_uint_eq(c->access[0].n_publish, 2);
	ck_assert_str_eq(c->access[0].publish[0], "course.*");
	ck_assert(c->access[1].by_uid && c->access[1].id == 4711 && c->access[1].operator_);
	ck_assert(c->access[2].by_uid && c->access[2].id == 0 && !c->access[2].operator_);
	config_free(c);
}
END_TEST

static const struct {
	const char *name, *text, *said;
} broken[] = {
	{"handle", "member: Ghent\ntrust: {anchor: " ANCHOR "}\n",
		"1:9: member: must be a member's handle: a lower-case domain name such as ugent.be"},
	{"anchor", "member: ut.ee\ntrust:\n  anchor: 8270\n",
		"3:11: anchor: must be 64 hexadecimal digits, the digest of a roster"},
	{"nothing", "{}", "1:1: missing setting \"member\"\n1:1: missing setting \"trust\""},
	{"patterns",
		MINIMAL
		"access:\n  - {uid: 1, publish: [course.*, Course, \"a.\", \"**\", \"course*\"], read: [\"\"]}\n",
		"4:34: publish: must be a topic or a pattern of topics such as course.*, \"*.decision\" or \"*\" (see "
		"enlight topics)\n"
		"4:42: publish: must be a topic or a pattern of topics such as course.*, \"*.decision\" or \"*\" (see "
		"enlight topics)\n"
		"4:48: publish: must be a topic or a pattern of topics such as course.*, \"*.decision\" or \"*\" (see "
		"enlight topics)\n"
		"4:54: publish: must be a topic or a pattern of topics such as course.*, \"*.decision\" or \"*\" (see "
		"enlight topics)\n"
		"4:73: read: must not be empty"},
	{"who", MINIMAL "access:\n  - read: [course.*]\n  - {uid: 1, group: root, operator: true}\n  - {user: root}\n",
		"4:5: access: name whom this row is about, by user, uid or group\n"
		"5:21: access: only one of user, uid and group can be set\n"
		"6:12: access: this row allows nothing; set publish, read or operator"},
	{"nobody",
		MINIMAL
		"access:\n  - {group: no-such-group, operator: true}\n  - {user: no-such-user, operator: true}\n",
		"4:13: group: there is no such group on this machine\n5:12: user: there is no such user on this "
		"machine"},
	{"endpoints",
		MINIMAL
		"link: {listen: \"*:4847\"}\napi: {loopback: \"0.0.0.0:4848\"}\nstore: {url: \"postgres://x\"}\n",
		"3:16: listen: must be tcp://ADDRESS:PORT, or tcp://*:PORT for every address\n"
		"4:17: loopback: must be 127.0.0.1:PORT or [::1]:PORT\n5:14: url: must be sqlite:FILE"},
	{"ports", MINIMAL "link: {listen: \"tcp://*:0\"}\napi: {loopback: \"127.0.0.1:70000\"}\n",
		"3:16: listen: must be tcp://ADDRESS:PORT, or tcp://*:PORT for every address\n"
		"4:17: loopback: must be 127.0.0.1:PORT or [::1]:PORT"},
	{"long socket",
		MINIMAL "api:\n  socket: "
			"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"
			"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
		"4:11: socket: is too long for a socket's path"},
	{"blocked", MINIMAL "peers: {blocked: [ugent.be, ut.ee]}\n",
		"3:29: blocked: a node cannot block its own member"},
	{"files", "member: ut.ee\ntrust:\n  anchor: " ANCHOR "\n  roster: cards\n  cards: no\n  keys: none\n",
		"4:11: roster: cards is a folder\n5:10: cards: no cannot be found: No such file or directory\n"
		"6:9: keys: none cannot be read: No such file or directory"},
	{"state", "state: roster.note\n" MINIMAL, "1:8: state: roster.note is no folder"},
	{"plugins' settings",
		MINIMAL
		"plugins:\n  - name: a\n    command: [./no]\n    environment: [A=b, =c, 1=d]\n    from: yesterday\n"
		"    deadline: 1ms\n",
		"5:14: command: ./no cannot be run: No such file or directory\n6:24: environment: must be NAME=value\n"
		"6:28: environment: must be NAME=value\n7:11: from: must be beginning or now\n8:15: deadline: must be "
		"between 100ms and 1d"},
	{"plugins",
		MINIMAL "plugins:\n  - {name: a, command: [x], topics: [course.*], settings: {b: 1}}\n"
			"  - {name: a, command: []}\n  - {name: A}\n",
		"4:24: command: there is no program x among the installed plugins or in PATH\n"
		"5:12: name: another plugin has this name\n5:24: command: must name a program\n"
		"6:5: missing setting \"command\"\n"
		"6:12: name: must be at most 32 lower-case letters, digits and hyphens, beginning with a letter"},
};

/* Every mistake is named at once, with its place, whether it is in the text or in what the text names. */
START_TEST(test_broken_configurations)
{
	struct config *c;

	ck_assert_msg(strcmp(load_text(&c, broken[_i].text), broken[_i].said) == 0, "%s:\n%s\nwanted:\n%s",
		broken[_i].name, load_text(&c, broken[_i].text), broken[_i].said);
	ck_assert(c == NULL);
}
END_TEST

/* Secrets that others can read, that are cut short, or that are missing stop a node. */
START_TEST(test_bad_secrets)
{
	struct config *c;

	ck_assert_int_eq(chmod("keys/node-1.key", 0640), 0);
	put_secret("keys/node-2.key", 2);
	ck_assert_int_eq(truncate("keys/node-2.key", 60), 0);
	ck_assert_int_eq(unlink("keys/store.key"), 0);
	const char *said = load_text(&c, MINIMAL);
	ck_assert(strstr(said, "2:1: keys: keys/node-1.key can be read by others than its owner: chmod 600") != NULL);
	ck_assert(
		strstr(said, "2:1: keys: keys/node-2.key is no key file: it must hold 64 hexadecimal digits") != NULL);
	ck_assert(strstr(said, "2:1: keys: keys/store.key cannot be read: No such file or directory") != NULL);
	ck_assert_int_eq(unlink("keys/node-1.key") | unlink("keys/node-2.key"), 0);
	put_secret("keys/store.key", 9);
	ck_assert_str_eq(load_text(&c, MINIMAL), "2:1: keys: keys holds no node key (node-1.key)");
}
END_TEST

/* Node keys come sorted by number; names that only look like keys are passed over. */
START_TEST(test_keys)
{
	static const char *const others[] = {"keys/node-01.key", "keys/node-3.key.old", "keys/node-.key",
		"keys/node-0.key", "keys/node-+4.key", "keys/note"};
	struct problems problems = {0};
	struct config_keys *keys;
	struct node_keys wanted;
	struct config *c;
	uint8_t secret[SECRET_FILE_LEN];

	put_secret("keys/node-12.key", 12);
	put_secret("keys/node-3.key", 3);
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		put(others[i], "x");
	ck_assert_str_eq(load_text(&c, MINIMAL), "");
	ck_assert_int_eq(config_keys_load(&keys, c, &problems), 0);
	ck_assert_uint_eq(keys->n_nodes, 3);
	ck_assert_uint_eq(keys->nodes[0].number, 1);
	ck_assert_uint_eq(keys->nodes[1].number, 3);
	ck_assert_uint_eq(keys->nodes[2].number, 12);
	memset(secret, 3, sizeof secret);
	node_keys_derive(&wanted, 3, secret);
	ck_assert_mem_eq(keys->nodes[1].sign_public, wanted.sign_public, sizeof wanted.sign_public);
	config_keys_free(keys);
	config_free(c);
}
END_TEST

/* Keys among systemd's credentials come before those of the folder, which then need not even be there. */
START_TEST(test_credentials)
{
	struct problems problems = {0};
	struct config_keys *keys;
	struct config *c;

	ck_assert(mkdir("credentials", 0700) == 0);
	put_secret("credentials/keys_node-7.key", 7);
	put_secret("credentials/keys_store.key", 8);
	ck_assert_int_eq(chmod("credentials/keys_node-7.key", 0440), 0);
	ck_assert_int_eq(rename("keys", "elsewhere"), 0);
	setenv("CREDENTIALS_DIRECTORY", "credentials", 1);
	ck_assert_str_eq(load_text(&c, MINIMAL), "");
	ck_assert_int_eq(config_keys_load(&keys, c, &problems), 0);
	ck_assert_uint_eq(keys->n_nodes, 1);
	ck_assert_uint_eq(keys->nodes[0].number, 7);
	config_keys_free(keys);
	config_free(c);
}
END_TEST

/* A secret that is destroyed is overwritten where it lies, and gone. */
START_TEST(test_secrets_go)
{
	uint8_t left[SECRET_FILE_LEN], secret[SECRET_FILE_LEN];
	struct problems problems = {0};

	put_secret("keys/node-5.key", 5);
	memset(secret, 5, sizeof secret);
	ck_assert_int_eq(link("keys/node-5.key", "same"), 0);
	ck_assert_int_eq(secret_read(left, "same", false, &problems), 0);
	ck_assert_mem_eq(left, secret, sizeof left);
	ck_assert_int_eq(secret_destroy("keys/node-5.key"), 0);
	ck_assert_int_ne(access("keys/node-5.key", F_OK), 0);
	ck_assert_int_eq(secret_read(left, "same", false, &problems), SECRET_BAD);
	ck_assert_int_eq(secret_destroy("keys/node-5.key"), -ENOENT);
	problems_deinit(&problems);
}
END_TEST

/* A secret is never written over. */
START_TEST(test_secrets_stay)
{
	uint8_t secret[SECRET_FILE_LEN] = {0};
	struct stat st;

	ck_assert_int_eq(secret_write("keys/node-1.key", secret), -EEXIST);
	ck_assert_int_eq(stat("keys/node-1.key", &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

/* The example file is a good configuration, filled in or not. */
START_TEST(test_example)
{
	struct buffer text = {0};
	struct config *c;

	config_example(&text, NULL, NULL);
	ck_assert_str_eq(load_text(&c, buffer_cstr(&text)), "");
	ck_assert_str_eq(c->member, "ugent.be");
	config_free(c);
	buffer_clear(&text);
	config_example(&text, "rug.nl", "0000000000000000000000000000000000000000000000000000000000000000");
	ck_assert_str_eq(load_text(&c, buffer_cstr(&text)), "");
	ck_assert_str_eq(c->member, "rug.nl");
	ck_assert_uint_eq(c->trust.digest[0], 0);
	config_free(c);
	buffer_deinit(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tc = tcase_create("config");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_defaults);
	tcase_add_test(tc, test_relative_paths);
	tcase_add_test(tc, test_access);
	tcase_add_loop_test(tc, test_broken_configurations, 0, sizeof broken / sizeof *broken);
	tcase_add_test(tc, test_bad_secrets);
	tcase_add_test(tc, test_keys);
	tcase_add_test(tc, test_credentials);
	tcase_add_test(tc, test_secrets_go);
	tcase_add_test(tc, test_secrets_stay);
	tcase_add_test(tc, test_example);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
