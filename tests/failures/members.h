/* members - a folder with two members that have met, made by the command itself: ugent.be/ and ut.ee/, roster.note, and the files of
 * the ceremony between. */
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
static inline int enlight(const char *line)
{
	char copy[512], *argv[WORDS_MAX];
	struct quiet q;
	int status;

	snprintf(copy, sizeof copy, "%s", line);
	q = quiet_begin();
	status = enlight_main(words_of(argv, copy), argv);
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

/* ugent.be's node under a configuration that fits a test: node.yaml, whose files and socket lie in its folder, on a free port. */
static inline void members_node(void)
{
	struct buffer text = {0};
	void *made;
	size_t len;

	ck_assert_int_eq(file_read(&made, &len, "ugent.be/enlight.yaml", 1 << 20), 0);
	for (char *line = strtok(made, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (line[0] == 'm' || line[0] == 't' || (line[0] == ' ' && strstr(line, "anchor:") != NULL))
			buffer_printf(&text, "%s\n", line);
	buffer_printf(&text,
		"state: state\napi: {socket: api.sock}\nlink: {listen: 'tcp://127.0.0.1:%u'}\n"
		"access:\n  - {uid: %u, operator: true, publish: ['*'], read: ['*']}\n",
		free_port(), (unsigned)getuid());
	ck_assert_int_eq(file_write("ugent.be/node.yaml", text.data, text.len, 0600), 0);
	buffer_deinit(&text);
	free(made);
}

static inline void members_make(void)
{
	static const char *const ceremony[] = {
		"enlight init --member ugent.be --country BE --name Gent --endpoint tcp://127.0.0.1:1 ugent.be",
		"enlight init --member ut.ee --country EE --name Tartu --endpoint tcp://127.0.0.1:2 ut.ee",
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
	for (size_t i = 0; i < sizeof ceremony / sizeof *ceremony; i++)
		ck_assert_msg(enlight(ceremony[i]) == 0, "%s: %s", ceremony[i], said);
	members_node();
}

/* Runs ugent.be's node; its exit status. */
static inline int start_enlightd(void)
{
	char line[] = "enlightd --config ugent.be/node.yaml", *argv[WORDS_MAX];

	return enlightd_main(words_of(argv, line), argv);
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
