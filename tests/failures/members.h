/* members - a folder with two members that have met, made by the command itself: ugent.be/ and ut.ee/, roster.note, and the files of
 * the ceremony between; and how ugent.be's node, or any, runs in this process. */
#ifndef ENLIGHT_TESTS_MEMBERS_H
#define ENLIGHT_TESTS_MEMBERS_H

#include "base/bytes.h"
#include "run_main.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <netinet/in.h>
#include <sys/socket.h>

static char members_folder[64];

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void remove_all(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs a verb; its exit status. */
static inline int start_enlight(const char *line)
{
	char copy[512], *argv[WORDS_MAX];

	snprintf(copy, sizeof copy, "%s", line);
	return enlight_main(words_of(argv, copy), argv);
}

static inline int enlight(const char *line)
{
	struct quiet q = quiet_begin();
	int status = start_enlight(line);

	quiet_end(&q);
	return status;
}

/* A port of loopback that nobody listens on. */
static inline unsigned free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert(bind(fd, (struct sockaddr *)&at, len) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	close(fd);
	return ntohs(at.sin_port);
}

/* Where the two nodes listen, as their cards say: ugent.be, ut.ee. */
static unsigned members_ports[2];

/* A node under a configuration that fits a test: node.yaml, whose files and socket lie in the member's folder; it listens on `port`, or
 * (0) only dials out; `more` ends it. */
static inline void members_node(const char *handle, unsigned port, const char *more)
{
	struct buffer text = {0};
	char path[64];
	void *made;
	size_t len;

	snprintf(path, sizeof path, "%s/enlight.yaml", handle);
	ck_assert_int_eq(file_read(&made, &len, path, 1 << 20), 0);
	for (char *line = strtok(made, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (line[0] == 'm' || line[0] == 't' || (line[0] == ' ' && strstr(line, "anchor:") != NULL))
			buffer_printf(&text, "%s\n", line);
	buffer_printf(&text, "state: state\napi: {socket: api.sock}\n");
	if (port != 0)
		buffer_printf(&text, "link: {listen: 'tcp://127.0.0.1:%u'}\n", port);
	buffer_printf(&text, "access:\n  - {uid: %u, operator: true, publish: ['*'], read: ['*']}\n%s",
		(unsigned)getuid(), more);
	snprintf(path, sizeof path, "%s/node.yaml", handle);
	ck_assert_int_eq(file_write(path, text.data, text.len, 0600), 0);
	buffer_deinit(&text);
	free(made);
}

/* Its port. */
static inline unsigned member_init(const char *handle, const char *country)
{
	unsigned port = free_port();
	char line[256];

	snprintf(line, sizeof line,
		"enlight init --member %s --country %s --name Test --endpoint tcp://127.0.0.1:%u %s", handle, country,
		port, handle);
	ck_assert_msg(enlight(line) == 0, "%s: %s", line, said);
	return port;
}

static inline void members_make(void)
{
	static const char *const ceremony[] = {
		("enlight roster new --network enlight --output unsigned.note ugent.be/ugent.be.member "
		 "ut.ee/ut.ee.member"),
		"enlight roster sign --identity ugent.be/identity.key --output ugent.be.note unsigned.note",
		"enlight roster sign --identity ut.ee/identity.key --output ut.ee.note unsigned.note",
		"enlight roster merge --output roster.note ugent.be.note ut.ee.note",
		"enlight roster adopt roster.note ugent.be",
		"enlight roster adopt roster.note ut.ee",
		"enlight card new ugent.be",
		"enlight card new ut.ee",
		"enlight card sign --identity ugent.be/identity.key --output signed.card ugent.be/cards/ugent.be.card",
		"enlight roster next --alias ut.ee=tartu.ee --output next.note roster.note",
	};

	unit_folder(members_folder, sizeof members_folder);
	ck_assert_int_eq(chdir(members_folder), 0);
	members_ports[0] = member_init("ugent.be", "BE");
	members_ports[1] = member_init("ut.ee", "EE");
	for (size_t i = 0; i < sizeof ceremony / sizeof *ceremony; i++)
		ck_assert_msg(enlight(ceremony[i]) == 0, "%s: %s", ceremony[i], said);
	members_node("ugent.be", members_ports[0], "");
}

/* Runs a member's node; its exit status. */
static inline int start_node(const char *handle)
{
	char line[64], *argv[WORDS_MAX];

	snprintf(line, sizeof line, "enlightd --config %s/node.yaml", handle);
	return enlightd_main(words_of(argv, line), argv);
}

static inline int start_enlightd(void)
{
	return start_node("ugent.be");
}

static inline int enlightd(void)
{
	struct quiet q = quiet_begin();
	int status = start_enlightd();

	quiet_end(&q);
	return status;
}

static inline void members_remove(void)
{
	ck_assert_int_eq(chdir("/"), 0);
	remove_all(members_folder);
}

#endif
