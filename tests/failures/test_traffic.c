/* Two nodes that publish to each other, each with a plugin, while the calls of the system that one node and its plugin make fail: those
 * of link, API, host and SDK at work, of starts, restarts and drains among them. A call fails, some events pass, the next call
 * fails. Whatever fails: no crash, no leak, no hang; the node goes on, or ends with a status of the manual and is started again; what
 * was answered is at both nodes, and both plugins have done it.
 *
 * Each place fails twice (faults.h; ENLIGHT_EACH: as often, 0: nothing fails), as many of them as there are rounds (ENLIGHT_ROUNDS). */
#include "asking.h"
#include "faults.h"
#include "given.h"
#include "members.h"

#include <errno.h>
#include <jansson.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>

enum { ROUNDS = 320, MORE = 6, EACH = 2, HURRY = 10, PATIENCE_S = 60, STREAM_MS = 20 };

struct member {
	const char *handle;
	bool lacks;  /* it is the one whose calls fail */
	bool hides;  /* it does not listen, so that the other waits for it to dial in */
	pid_t pid;   /* of its node; 0: it does not run */
	int version; /* of its configuration */
};

static struct member gent = {.handle = "ugent.be", .lacks = true}, tartu = {.handle = "ut.ee"};
static size_t each, n_events, n_ends, n_failed;
static char node_faults[128], plugin_faults[128];

/* ---- processes ---- */

static void configure(struct member *m)
{
	char row[1024], words[64];

	snprintf(row, sizeof row,
		"plugins:\n  - name: keep\n    command: ['%s']\n    topics: ['course.*']\n    own: true\n    "
		"memory_limit: 0\n"
		"    environment: ['HURRY=%d'%s%s%s]\n    deadline: %ds\n    settings: {words: words.yaml}\n",
		getenv("KEEP_PLUGIN"), HURRY, m->lacks ? ", 'FAULTS=" : "", m->lacks ? plugin_faults : "",
		m->lacks ? "'" : "", 600 + m->version++);
	snprintf(words, sizeof words, "%s/words.yaml", m->handle);
	ck_assert_int_eq(file_write(words, "mortal: true\n", 13, 0600), 0);
	members_node(m->handle, m->hides ? 0 : members_ports[m == &tartu], row);
}

/* What a node logs, and its plugin says, goes to HANDLE.log. */
static void start(struct member *m)
{
	char log[64];
	int fd;

	m->pid = fork();
	ck_assert_int_ge(m->pid, 0);
	if (m->pid != 0)
		return;
	snprintf(log, sizeof log, "%s.log", m->handle);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(EX_USAGE);
	if (m->lacks)
		faults_subject(node_faults);
	faults_hurry(HURRY);
	exit(start_node(m->handle));
}

/* The end of what a node logged, for messages. */
static const char *log_of(const struct member *m)
{
	static char text[4096];
	char path[64];
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "%s.log", m->handle);
	f = fopen(path, "r");
	if (f == NULL)
		return "";
	fseek(f, 0, SEEK_END);
	fseek(f, ftell(f) < (long)sizeof text ? 0 : -(long)sizeof text + 1, SEEK_END);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* Whether a word stands anywhere in what a node logged. */
static bool has_logged(const struct member *m, const char *word)
{
	char path[64];
	void *text;
	size_t len;
	bool found;

	snprintf(path, sizeof path, "%s.log", m->handle);
	ck_assert_int_eq(file_read(&text, &len, path, 1 << 28), 0);
	found = memmem(text, len, word, strlen(word)) != NULL;
	free(text);
	return found;
}

static void give_up(const struct member *m, const char *what, int status)
{
	const char *struck = faults_disarm_place();

	fprintf(stderr, "%s: %s, wait status %d; last failed: %s in%s\n%s\n", m->handle, what, status,
		struck == NULL ? "nothing" : struck, faults_where(), log_of(m));
	ck_abort_msg("%s: %s", m->handle, what);
}

static void judge(struct member *m, int status)
{
	static const int statuses[] = {EX_OK, EX_SOFTWARE, EX_OSERR, EX_IOERR, EX_TEMPFAIL, EX_NOPERM, EX_CONFIG};
	size_t i = 0;

	m->pid = 0;
	n_ends++;
	while (i < sizeof statuses / sizeof *statuses && !(WIFEXITED(status) && WEXITSTATUS(status) == statuses[i]))
		i++;
	if (i == sizeof statuses / sizeof *statuses || (!m->lacks && status != 0))
		give_up(m, "ended as no node does", status);
}

/* Starts a node anew that has ended. */
static void tend(struct member *m)
{
	int status;

	if (waitpid(m->pid, &status, WNOHANG) != m->pid)
		return;
	judge(m, status);
	start(m);
}

/* When a wait has taken too long. */
static time_t patience(void)
{
	return time(NULL) + PATIENCE_S;
}

/* A moment, in which nodes that have ended are started anew. False: it takes too long. */
static bool wait_a_moment(time_t until)
{
	const struct timespec moment = {0, 1000000};

	nanosleep(&moment, NULL);
	tend(&gent);
	tend(&tartu);
	return time(NULL) < until;
}

static void stop(struct member *m)
{
	const time_t until = patience();
	const struct timespec moment = {0, 1000000};
	int status;

	kill(m->pid, SIGTERM);
	while (waitpid(m->pid, &status, WNOHANG) != m->pid) {
		if (time(NULL) >= until)
			give_up(m, "does not end", 0);
		nanosleep(&moment, NULL);
	}
	judge(m, status);
}

/* ---- requests ---- */

/* The status, or 0: no answer. */
static int ask(const struct member *m, const char *method, const char *path, const char *body, long ms)
{
	char answer[ANSWER_MAX];

	return ask_node(m->handle, method, path, body, ms, answer);
}

/* Asks until it is done; until then only what a node answers that lacks something. */
static void insist(struct member *m, const char *method, const char *path, const char *body)
{
	const time_t until = patience();
	int status;

	while ((status = ask(m, method, path, body, ANSWER_MS)) / 100 != 2) {
		if (status != 0 && status != 403 && status != 503 && status != 507)
			give_up(m, "answers what is not documented", status);
		if (!wait_a_moment(until))
			give_up(m, "does not answer", status);
	}
}

static void publish(struct member *m, const char *kind, char id[static 64])
{
	char body[1024];

	snprintf(id, 64, "%s-%zu", kind, ++n_events);
	snprintf(body, sizeof body,
		"{\"specversion\":\"1.0\",\"type\":\"eu.enlight.course.offering.v1\",\"id\":\"%s\",\"subject\":"
		"\"course/C%zu\","
		"\"enlightaudience\":\"network\",\"data\":{\"courseId\":\"C%zu\",\"title\":[{\"lang\":\"en\",\"value\":"
		"\"A\"}]}}",
		id, n_events, n_events);
	insist(m, "POST", "/v1/events", body);
}

/* Waits until a member's plugin has done an event. */
static void await(struct member *m, const char *id)
{
	const time_t until = patience();
	char path[128], line[80];
	bool found = false;

	snprintf(path, sizeof path, "%s/state/plugins/keep/ids", m->handle);
	snprintf(line, sizeof line, "%s\n", id);
	while (!found) {
		void *text = NULL;
		size_t len;

		if (file_read(&text, &len, path, 1 << 24) == 0)
			found = memmem(text, len, line, strlen(line)) != NULL;
		free(text);
		if (!found && !wait_a_moment(until))
			give_up(m, "its plugin has not got an event", 0);
	}
}

/* ---- what goes on meanwhile ---- */

static void plugin_dies(void)
{
	char id[64];

	publish(&tartu, "deadly", id);
	await(&gent, id);
}

static void plugin_changes(void)
{
	configure(&gent);
	if (gent.pid != 0)
		kill(gent.pid, SIGHUP);
}

static void look(void)
{
	static const char *const paths[] = {"/v1/status", "/v1/plugins", "/v1/channels", "/metrics",
		"/v1/events?data=true&limit=5", "/v1/dead-letters", "/v1/nothing"};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		ask(&gent, "GET", paths[i], "", ANSWER_MS);
	ask(&gent, "GET", "/v1/events/stream?after=0.0", "", STREAM_MS);
}

static void node_starts_anew(void)
{
	stop(&gent);
	start(&gent);
}

/* And changes who dials whom. */
static void peer_starts_anew(void)
{
	stop(&tartu);
	tartu.hides = !tartu.hides;
	configure(&tartu);
	start(&tartu);
}

static void peer_is_blocked(void)
{
	insist(&gent, "POST", "/v1/peers/ut.ee/block", "{\"reason\":\"a test\"}");
	insist(&gent, "DELETE", "/v1/peers/ut.ee/block?reason=over", "");
}

static void (*const acts[])(void) = {plugin_dies, look, plugin_changes, peer_starts_anew, plugin_dies, node_starts_anew,
	plugin_dies, peer_is_blocked};

/* Gives one member's card to another. */
static void introduce(const struct member *m, const struct member *to)
{
	char from[128], at[128];
	void *card;
	size_t len;

	snprintf(from, sizeof from, "%s/cards/%s.card", m->handle, m->handle);
	snprintf(at, sizeof at, "%s/cards/%s.card", to->handle, m->handle);
	ck_assert_int_eq(file_read(&card, &len, from, 1 << 20), 0);
	ck_assert_int_eq(file_write(at, card, len, 0600), 0);
	free(card);
}

static void begin(void)
{
	members_make();
	json_set_alloc_funcs(malloc, free); /* the command, which has one thread, leaves its own */
	snprintf(node_faults, sizeof node_faults, "%s/node.faults", members_folder);
	snprintf(plugin_faults, sizeof plugin_faults, "%s/plugin.faults", members_folder);
	introduce(&gent, &tartu);
	introduce(&tartu, &gent);
	configure(&gent);
	configure(&tartu);
	start(&gent);
	start(&tartu);
}

static void round_of(size_t i)
{
	char ours[64], theirs[64];

	faults_share(i % 4 == 3 ? plugin_faults : node_faults);
	faults_arm_place(each);
	acts[i / 4 % (sizeof acts / sizeof *acts)]();
	publish(&gent, "event", ours);
	publish(&tartu, "event", theirs);
	await(&gent, theirs);
	await(&tartu, ours);
	await(&gent, ours);
	if (faults_disarm_place() != NULL)
		n_failed++;
}

/* Plugins' sanitizers speak to their nodes' logs. */
static void expect_soundness(const struct member *m)
{
	if (has_logged(m, "Sanitizer") || has_logged(m, "runtime error"))
		give_up(m, "a sanitizer spoke", 0);
}

/* The first of these calls that has not failed anywhere; NULL: each has. */
static const char *first_spared(const char *path, const char *const *names)
{
	faults_share(path);
	while (*names != NULL && faults_of(*names) > 0)
		names++;
	return *names;
}

static const char *spared(void)
{
	static const char *const of_node[] = {"read", "write", "pipe2", "fcntl64", "fork", "setsid", "prctl", "dup2",
		"close_range", "chdir", "execve", "pidfd_open", "waitpid", "poll", "kill", "zmq_poll", "zmq_msg_recv",
		"zmq_msg_send", "zmq_send", "zmq_msg_init_size", "zmq_socket", "zmq_setsockopt", "timerfd_settime",
		"MHD_run", "MHD_get_connection_info", "MHD_create_response_from_buffer", "MHD_add_response_header",
		"MHD_queue_response", "getsockopt", "open", "SQLite's pread", "SQLite's pwrite", NULL};
	static const char *const of_plugin[] = {"open", "fcntl64", "dup2", "poll", "read", "write", NULL};
	const char *name = first_spared(node_faults, of_node);

	return name != NULL ? name : first_spared(plugin_faults, of_plugin);
}

/* Which call comes next hangs on how fast the machine is: more rounds are played until each kind has failed. */
START_TEST(test_traffic)
{
	size_t n = given("ENLIGHT_ROUNDS", ROUNDS), i = 0;
	bool all;

	each = given("ENLIGHT_EACH", EACH);
	all = each > 0 && n >= ROUNDS;
	begin();
	while (i < n || (all && i < MORE * n && spared() != NULL))
		round_of(i++);
	stop(&gent);
	stop(&tartu);
	printf("# %zu calls failed in %zu rounds, nodes ended %zu times\n", n_failed, i, n_ends);
	fflush(stdout);
	expect_soundness(&gent);
	expect_soundness(&tartu);
	if (all)
		ck_assert_msg(spared() == NULL, "no %s has failed", spared());
	members_remove();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("failures under traffic");
	TCase *tc = tcase_create("traffic");

	faults_init();
	tcase_set_timeout(tc, 3600);
	tcase_add_test(tc, test_traffic);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
