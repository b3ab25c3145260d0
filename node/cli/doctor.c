#include "cli/cli.h"
#include "cli/http.h"
#include "cli/offline.h"
#include "core/trust.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

enum { EARLIEST_YEAR = 2026 }; /* an earlier clock is certainly wrong */

enum verdict { FINE, WARN, FAIL, SKIPPED };

static const struct {
	const char *word, *colour;
} verdicts[] = {
	[FINE] = {"ok", "\033[32m"},
	[WARN] = {"warn", "\033[33m"},
	[FAIL] = {"FAIL", "\033[31m"},
	[SKIPPED] = {"skip", ""},
};

/* What the checks find and hand on. */
struct doctor {
	const struct cli *cli;
	struct config *config; /* NULL: it could not be read */
	struct trust *trust;   /* NULL: the roster is not good */
	struct http *http;     /* NULL: the node does not answer */
	json_t *node;          /* its /v1/status; NULL: not to be had */
	json_t *findings;
	json_t *damages;   /* what the node found in its store; NULL: it was not looked at */
	const char *check; /* the one that runs */
	int status;        /* of the first that failed */
};

static void find(struct doctor *d, enum verdict verdict, const char *advice, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Notes a finding; `advice` NULL: nothing to do. */
static void find(struct doctor *d, enum verdict verdict, const char *advice, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	json_t *finding;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0) {
		cli_lack_memory();
		text = NULL;
	}
	va_end(args);
	finding = json_pack("{ss, ss, ss?, ss?}", "check", d->check, "verdict", verdicts[verdict].word, "found", text,
		"advice", advice);
	if (finding == NULL) /* another program's text may not be UTF-8 */
		finding = json_pack(
			"{ss, ss, ss?}", "check", d->check, "verdict", verdicts[verdict].word, "advice", advice);
	json_array_append_new(d->findings, finding);
	free(text);
}

static void find_problems(struct doctor *d, enum verdict verdict, const char *advice, struct problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		find(d, verdict, i + 1 == p->n ? advice : NULL, "%s: %s", p->items[i].place, p->items[i].rule);
	problems_deinit(p);
}

/* ---- the configuration and what it names ---- */

/* The answer of a look that may lack memory. */
static int seen(int r)
{
	if (r < 0)
		cli_lack_memory();
	return r;
}

static void check_configuration(struct doctor *d)
{
	struct problems problems = {0};
	struct config *whole;

	if (access(d->cli->config, F_OK) < 0) {
		find(d, FAIL, "name it with --config, or make one: enlight init", "%s is not there", d->cli->config);
		return;
	}
	if (seen(config_read(&d->config, d->cli->config, &problems)) != 0) {
		find_problems(d, FAIL, "mend the file; enlight.yaml(5) explains every setting", &problems);
		return;
	}
	if (seen(config_load(&whole, d->cli->config, &problems)) == 0)
		find(d, FINE, NULL, "%s is good", d->cli->config);
	else if (geteuid() != 0)
		find_problems(d, WARN, "run enlight doctor as root or as the node's user to be sure", &problems);
	else
		find_problems(d, FAIL, "mend what is named here", &problems);
	config_free(whole);
}

static void check_identity_key(struct doctor *d)
{
	DIR *dir = d->config == NULL ? NULL : opendir(d->config->trust.keys);
	struct dirent *entry;
	bool found = false;

	if (dir == NULL) {
		find(d, SKIPPED, NULL, "the folder of keys cannot be read");
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		found = found || strncmp(entry->d_name, "identity", 8) == 0;
	closedir(dir);
	if (found)
		find(d, WARN, "move it to a safe, on a medium that is not connected; the node never needs it",
			"an identity key lies in %s", d->config->trust.keys);
	else
		find(d, FINE, NULL, "no identity key lies among the node's keys");
}

static void check_roster(struct doctor *d)
{
	struct problems problems = {0};
	char newer[160];

	if (d->config == NULL) {
		find(d, SKIPPED, NULL, "there is no configuration");
		return;
	}
	if (seen(config_roster_load(&d->trust, d->config, &problems)) != 0)
		find_problems(d, FAIL, "ask another member for the roster, and for its digest by telephone", &problems);
	else if (offline_newer_roster(newer, trust_roster(d->trust), d->node), *newer != '\0')
		find(d, WARN, "adopt it, so that a new store begins with it too", "%s",
			newer); /* it may list us first */
	else if (!trust_is_member(d->trust, d->config->member))
		find(d, FAIL, "check `member`, or ask for a roster that names you", "%s is not in the roster",
			d->config->member);
	else
		find(d, FINE, NULL, "roster %u of network %s, %zu members", trust_roster(d->trust)->number,
			trust_roster(d->trust)->network, trust_roster(d->trust)->n_members);
}

/* Looks at a number of the node's status that is 0 when all is well. */
static void check_number(struct doctor *d, const char *key, const char *trouble, const char *advice, const char *fine)
{
	long long number = (long long)json_integer_value(cli_get(d->node, key));

	if (d->node == NULL)
		find(d, SKIPPED, NULL, "the node's status is not to be had");
	else if (number > 0)
		find(d, FAIL, advice, "%lld %s", number, trouble);
	else
		find(d, FINE, NULL, "%s", fine);
}

static void check_dispute(struct doctor *d)
{
	check_number(d, "roster.disputed", "rosters compete with one in force that has their number",
		"see enlight rosters; agree with the others by telephone which one counts, then enlight roster pin "
		"DIGEST",
		"no roster competes with one in force");
}

static void check_forks(struct doctor *d)
{
	check_number(d, "channels.stopped", "channels are stopped: their publisher showed two histories",
		"see enlight channels; enlight evidence fork SOURCE AUDIENCE writes the proof; call the publisher by "
		"telephone",
		"no channel is stopped by two histories");
}

/* A member's identity key signed two cards with one number: somebody else may have it. */
static void check_second_cards(struct doctor *d)
{
	long long cards = (long long)json_integer_value(cli_get(d->node, "second_cards"));

	if (cards > 0)
		find(d, WARN,
			"see which in the log (journalctl -u enlightd), and ask that member by telephone: somebody "
			"else "
			"may have its identity key",
			"%lld cards came with the number of another one of their member", cards);
}

static void check_cards(struct doctor *d)
{
	struct problems problems = {0};
	const struct roster *roster;
	char newer[160];
	size_t n = 0;

	if (d->trust == NULL || access(d->config->trust.cards, R_OK | X_OK) < 0) {
		find(d, SKIPPED, NULL, "there is no roster, or the folder of cards cannot be read");
		return;
	}
	seen(config_cards_load(&d->trust, d->config, &problems));
	roster = trust_roster(d->trust);
	offline_newer_roster(newer, roster, d->node);
	find_problems(d, WARN,
		*newer != '\0' ? "adopt the newer roster, which may list it" : "ask that member for its card again",
		&problems);
	for (size_t i = 0; i < roster->n_members; i++)
		n += trust_card(d->trust, roster->members[i].handle) != NULL;
	find(d, FINE, NULL, "good cards of %zu of %zu members; the links bring the others", n, roster->n_members);
	check_second_cards(d);
}

static void check_own_card(struct doctor *d)
{
	const struct card *card = d->trust == NULL ? NULL : trust_card(d->trust, d->config->member);
	struct problems problems = {0};
	struct config_keys *keys = NULL;
	json_int_t learnt = json_integer_value(cli_get(d->node, "card"));

	if (learnt > (json_int_t)(card == NULL ? 0 : card->number)) {
		find(d, FINE, NULL, "the node has card %lld", (long long)learnt);
	} else if (d->trust == NULL) {
		find(d, SKIPPED, NULL, "there is no roster");
	} else if (card == NULL) {
		find(d, FAIL, "make it with enlight card new, sign it with enlight card sign",
			"there is no card of this node");
	} else if (seen(config_keys_load(&keys, d->config, &problems)) != 0) {
		find(d, SKIPPED, "run enlight doctor as the node's user", "the node's keys cannot be read");
	} else if (config_card_lacks(card, keys) != NULL) {
		find(d, FAIL, "enlight card new FOLDER, enlight card import CARD", "card %u %s", card->number,
			config_card_lacks(card, keys));
	} else {
		find(d, FINE, NULL, "card %u names a key that is here", card->number);
	}
	problems_deinit(&problems);
	config_keys_free(keys);
}

/* What the running node says of a key that must be renewed. */
static void check_key_age(struct doctor *d)
{
	long long number = (long long)json_integer_value(cli_get(d->node, "key.number"));
	long long due = (long long)json_integer_value(cli_get(d->node, "key.due_days"));
	long long overdue = (long long)json_integer_value(cli_get(d->node, "key.overdue_days"));
	long long newer = (long long)json_integer_value(cli_get(d->node, "key.newer"));

	if (d->node == NULL)
		find(d, SKIPPED, NULL, "the node's status is not to be had");
	else if (newer > 0)
		find(d, WARN, "restart the node when the others have the card (enlight peers)",
			"the card lists node key %lld, which is newer than the %lld in use", newer, number);
	else if (overdue > 0)
		find(d, FAIL, "renew it: enlight keys new FOLDER", "node key %lld passed its age limit %lld days ago",
			number, overdue);
	else if (due > 0)
		find(d, WARN, "renew it: enlight keys new FOLDER", "node key %lld passes its age limit in %lld days",
			number, due);
	else
		find(d, FINE, NULL, "node key %lld is within its age limit", number);
}

/* ---- the machine ---- */

static void check_clock(struct doctor *d)
{
	struct timex timex = {0};
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	if (tm.tm_year + 1900 < EARLIEST_YEAR)
		find(d, FAIL, "set the clock (timedatectl)", "the clock says it is %d", tm.tm_year + 1900);
	else if (adjtimex(&timex) == TIME_ERROR)
		find(d, WARN, "switch time synchronisation on (timedatectl set-ntp true)",
			"the kernel does not know of the clock being synchronised");
	else
		find(d, FINE, NULL, "the clock is synchronised");
}

static void check_disk(struct doctor *d)
{
	struct statvfs fs;
	uint64_t available;
	char text[32], wanted[32];

	if (d->config == NULL || statvfs(d->config->state, &fs) < 0) {
		find(d, SKIPPED, NULL, "the state folder cannot be looked into");
		return;
	}
	available = (uint64_t)fs.f_bavail * fs.f_frsize;
	cli_size(text, available);
	cli_size(wanted, d->config->store.reserve_bytes);
	if (available < d->config->store.reserve_bytes)
		find(d, FAIL, "make room: the node refuses publications until then",
			"%s are free, less than the reserve of %s", text, wanted);
	else if (available < 10 * d->config->store.reserve_bytes)
		find(d, WARN, "make room soon", "only %s are free beside the store", text);
	else
		find(d, FINE, NULL, "%s are free", text);
}

/* ---- the running node ---- */

/* Whether anything says where the socket is. What is wrong with a configuration that was named is said already. */
static bool knows_socket(const struct doctor *d)
{
	return d->config != NULL || !d->cli->config_given || d->cli->socket != NULL;
}

static void check_socket(struct doctor *d)
{
	struct stat st;

	if (!knows_socket(d) || http_open(&d->http, d->cli) != EX_OK) {
		find(d, SKIPPED, NULL, "nothing says where the socket is");
		return;
	}
	if (stat(http_socket(d->http), &st) < 0)
		find(d, FAIL, "start the node: systemctl start enlightd; then journalctl -u enlightd",
			"there is no socket at %s", http_socket(d->http));
	else if (access(http_socket(d->http), R_OK | W_OK) < 0)
		find(d, FAIL, "join the socket's group, or use sudo", "you may not use the socket at %s",
			http_socket(d->http));
	else
		find(d, FINE, NULL, "the socket %s is there", http_socket(d->http));
	if (stat(http_socket(d->http), &st) < 0 || access(http_socket(d->http), R_OK | W_OK) < 0) {
		http_close(d->http);
		d->http = NULL;
	}
}

static void check_ready(struct doctor *d)
{
	const json_t *errors, *error;
	struct http_reply reply;
	size_t i;

	if (d->http == NULL) {
		find(d, SKIPPED, NULL, "the node does not answer");
		return;
	}
	if (http_ask(d->http, &reply, "GET", "/readyz", NULL, (struct bytes){0}) != EX_OK) {
		find(d, FAIL, "see what it says: journalctl -u enlightd", "the node does not answer");
		http_close(d->http);
		d->http = NULL;
		return;
	}
	errors = json_object_get(reply.json, "errors");
	if (reply.status == 200)
		find(d, FINE, NULL, "the node is ready");
	else if (json_array_size(errors) == 0)
		find(d, FAIL, NULL, "the node is not ready: %s", cli_text(reply.json, "title"));
	json_array_foreach(errors, i, error) find(d, FAIL, NULL, "not ready: %s", cli_text(error, "rule"));
	http_reply_deinit(&reply);
}

static void check_links(struct doctor *d)
{
	long long live = (long long)json_integer_value(cli_get(d->node, "links.live"));
	long long others = (long long)json_integer_value(cli_get(d->node, "links.members")) - 1;

	if (d->http == NULL)
		find(d, SKIPPED, NULL, "the node does not answer");
	else if (d->node == NULL)
		find(d, SKIPPED, "ask for an access row in the configuration", "you may not see the node's status");
	else if (live == 0 && others > 0)
		find(d, WARN, "see enlight peers; is the port open, does a card name this node's endpoint?",
			"no link to any of %lld other members", others);
	else
		find(d, FINE, NULL, "links to %lld of %lld other members are live", live, others);
}

static void check_backup(struct doctor *d)
{
	static const char advice[] = "enlight backup --output FILE, by a timer; store.backup_age says how often";
	long long age = (long long)json_integer_value(cli_get(d->node, "backup.age_days"));
	long long limit = (long long)json_integer_value(cli_get(d->node, "backup.limit_days"));

	if (d->node == NULL)
		find(d, SKIPPED, NULL, "the node's status is not to be had");
	else if (limit == 0)
		find(d, FINE, NULL, "nobody wants backups to be watched (store.backup_age is 0)");
	else if (age < 0)
		find(d, WARN, advice, "there is no backup of this store");
	else if (age > limit)
		find(d, WARN, advice, "the last backup is %lld days old, and %lld are allowed", age, limit);
	else
		find(d, FINE, NULL, "the last backup is %lld days old", age);
}

static void check_plugins(struct doctor *d)
{
	long long configured = (long long)json_integer_value(cli_get(d->node, "plugins.configured"));
	long long ready = (long long)json_integer_value(cli_get(d->node, "plugins.ready"));
	long long dead = (long long)json_integer_value(cli_get(d->node, "plugins.dead"));

	if (d->node == NULL)
		find(d, SKIPPED, NULL, "the node's status is not to be had");
	else if (ready < configured)
		find(d, WARN, "see enlight plugins and the node's log", "%lld of %lld plugins are ready", ready,
			configured);
	else
		find(d, FINE, NULL, "%lld of %lld plugins are ready", ready, configured);
	if (dead > 0)
		find(d, WARN, "see enlight dead: mend the cause and retry, or drop them", "dead letters: %lld", dead);
}

/* ---- the store ---- */

static const char restore_advice[] =
	"restore a backup (enlight restore), or start with an empty store and be given back what others hold";

static bool wants_all(const struct doctor *d)
{
	return cli_value(d->cli, "store") != NULL || cli_value(d->cli, "repair") != NULL;
}

/* The database's form, which nothing of the node's own depends on: this process reads the file itself. */
static void check_structure(struct doctor *d)
{
	struct store_reader *reader = NULL;
	char *why = NULL;
	int r;

	if (d->config == NULL || !wants_all(d)) {
		find(d, SKIPPED, NULL, "takes long: enlight doctor --store");
		return;
	}
	r = store_reader_open_file(&reader, d->config->store.url, d->config->state, &why);
	if (r == 0)
		r = store_reader_check(reader, &why);
	store_reader_close(reader);
	if (seen(r == -ENOMEM ? r : 0) < 0)
		return;
	if (r == -EBADMSG || (r == 0 && why != NULL))
		find(d, FAIL, restore_advice, "%s", why != NULL ? why : "the database is damaged");
	else if (r == -EIO)
		find(d, FAIL, restore_advice, "%s", why != NULL ? why : strerror(EIO));
	else if (r != 0)
		find(d, SKIPPED, "run enlight doctor as root or as the node's user", "%s",
			why != NULL ? why : strerror(-r));
	else
		find(d, FINE, NULL, "the database is well-formed");
	free(why);
}

/* A page of the node's own look through its store. False: there is none, which was found. */
static bool look_at_page(struct doctor *d, json_int_t after, json_t **page)
{
	struct http_reply reply;
	char path[64];
	bool good;

	*page = NULL;
	snprintf(path, sizeof path, "/v1/store/check?after=%lld", (long long)after);
	if (http_ask(d->http, &reply, "GET", path, NULL, (struct bytes){0}) != EX_OK) {
		find(d, FAIL, NULL, "the node does not answer any more");
		return false;
	}
	good = reply.status == 200;
	if (good)
		*page = json_incref(reply.json);
	else if (reply.status == 403)
		find(d, SKIPPED, "ask for an access row in the configuration", "you may not look through the store");
	else
		find(d, FAIL, reply.status == 503 ? restore_advice : NULL, "%s",
			cli_text(json_array_get(json_object_get(reply.json, "errors"), 0), "rule"));
	http_reply_deinit(&reply);
	return good;
}

static uint64_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

/* All pages, or those of two seconds. Answers how far it came; `*end`: how far there is; false: it broke off. */
static bool look_through(struct doctor *d, json_int_t *at, json_int_t *end)
{
	struct cli_progress progress = {0};
	uint64_t began_s = now_s();
	bool more = true;
	json_t *page;

	*at = *end = 0;
	while (more && (wants_all(d) || now_s() < began_s + 2)) {
		if (!look_at_page(d, *at, &page))
			return false;
		more = json_is_true(json_object_get(page, "more"));
		*at = json_integer_value(json_object_get(page, "next"));
		*end = json_integer_value(json_object_get(page, "end"));
		json_array_extend(d->damages, json_object_get(page, "damages"));
		json_decref(page);
		cli_progress(&progress, d->cli, "checking batches", (uint64_t)*at, (uint64_t)*end);
	}
	if (!more)
		*at = *end;
	return true;
}

static void find_damage(
	struct doctor *d, enum verdict verdict, const json_t *damage, const char *what, const char *advice)
{
	find(d, verdict, advice, "batch %lld, events %lld to %lld of %s to %s: %s",
		(long long)json_integer_value(json_object_get(damage, "number")),
		(long long)json_integer_value(json_object_get(damage, "first")),
		(long long)json_integer_value(json_object_get(damage, "last")), cli_text(damage, "publisher"),
		cli_text(damage, "audience"), what);
}

static void check_batches(struct doctor *d)
{
	json_int_t at, end;
	const json_t *damage;
	size_t i;

	if (d->http == NULL) {
		find(d, SKIPPED, NULL, "the node does not answer");
		return;
	}
	d->damages = json_array();
	if (!look_through(d, &at, &end))
		return;
	if (cli_value(d->cli, "repair") == NULL)
		json_array_foreach(d->damages, i, damage)
			find_damage(d, FAIL, damage, cli_text(damage, "what"), "enlight doctor --repair");
	if (at < end)
		find(d, FINE, NULL, "looked at batches up to %lld of %lld; at all: enlight doctor --store",
			(long long)at, (long long)end);
	else if (json_array_size(d->damages) == 0)
		find(d, FINE, NULL, "every batch is what was stored, up to %lld", (long long)end);
}

/* ---- what is damaged, from who has it ---- */

static bool ask_for(struct doctor *d, const json_t *damage)
{
	struct http_reply reply;
	char path[64];
	bool good;

	snprintf(path, sizeof path, "/v1/store/repair?number=%lld",
		(long long)json_integer_value(json_object_get(damage, "number")));
	good = http_ask(d->http, &reply, "POST", path, NULL, (struct bytes){0}) == EX_OK;
	good = good && reply.status / 100 == 2;
	http_reply_deinit(&reply);
	return good;
}

/* The row of the node's list about this batch; NULL: it is mended. */
static const json_t *repair_of(const json_t *repairs, const json_t *damage)
{
	const json_t *row;
	size_t i;

	json_array_foreach(repairs, i, row)
	{
		if (json_equal(json_object_get(row, "number"), json_object_get(damage, "number")))
			return row;
	}
	return NULL;
}

/* Something may still come at once: it is asked for or in the queue. */
static bool is_moving(const json_t *repairs)
{
	const json_t *row;
	size_t i;

	json_array_foreach(repairs, i, row)
	{
		if (strcmp(cli_text(row, "state"), "asked") == 0 || strcmp(cli_text(row, "state"), "queued") == 0)
			return true;
	}
	return false;
}

/* Waits as long as batches come. A new reference; NULL: the node does not answer. */
static json_t *wait_for_repairs(struct doctor *d)
{
	enum { PATIENCE_S = 60 };
	struct timespec pause = {0, 100000000};
	uint64_t moved_s = now_s();
	size_t left = SIZE_MAX;
	json_t *answer = NULL;

	for (;;) {
		json_decref(answer);
		if (http_json(d->http, &answer, "GET", "/v1/store/repair", NULL, (struct bytes){0}) != EX_OK)
			return NULL;
		if (json_array_size(json_object_get(answer, "repairs")) < left)
			moved_s = now_s();
		left = json_array_size(json_object_get(answer, "repairs"));
		if (!is_moving(json_object_get(answer, "repairs")) || now_s() > moved_s + PATIENCE_S)
			return answer;
		nanosleep(&pause, NULL);
	}
}

static void find_repair(struct doctor *d, const json_t *damage, const json_t *row)
{
	const char *state = row == NULL ? "" : cli_text(row, "state"),
		   *reason = row == NULL ? "" : cli_text(row, "reason");
	char what[160];

	if (row == NULL) {
		find_damage(d, FINE, damage, "mended", NULL);
	} else if (strcmp(state, "nobody") == 0) {
		find_damage(d, FAIL, damage, "nobody else has it", "restore a backup: enlight restore");
	} else if (strcmp(state, "refused") == 0) {
		snprintf(what, sizeof what, "who was asked had nothing good: %s", reason);
		find_damage(d, FAIL, damage, what,
			"they are asked again in a while, and at once when you run this again; if none has it, restore "
			"a backup");
	} else {
		snprintf(what, sizeof what, "waits for %s%s%s", cli_text(row, "from"), *reason != '\0' ? ": " : "",
			reason);
		find_damage(d, FAIL, damage, what,
			"it is mended when they are there, as long as this node runs; after a restart run this again");
	}
}

static void repair_batches(struct doctor *d)
{
	json_t *answer;
	const json_t *damage;
	size_t i;

	if (cli_value(d->cli, "repair") == NULL || json_array_size(d->damages) == 0)
		return;
	json_array_foreach(d->damages, i, damage)
	{
		if (d->cli->dry_run)
			find_damage(d, FAIL, damage, "would be asked for again", NULL);
		else if (!ask_for(d, damage))
			find_damage(d, FAIL, damage, "the node could not ask for it", "run this again");
	}
	answer = d->cli->dry_run ? NULL : wait_for_repairs(d);
	json_array_foreach(d->damages, i, damage)
	{
		if (answer != NULL)
			find_repair(d, damage, repair_of(json_object_get(answer, "repairs"), damage));
	}
	json_decref(answer);
}

static const struct {
	const char *name;
	void (*run)(struct doctor *d);
	int status; /* when it fails */
} checks[] = {
	/* in this order: later ones use what earlier ones found */
	{"configuration", check_configuration, EX_CONFIG},
	{"identity key", check_identity_key, EX_CONFIG},
	{"roster", check_roster, EX_CONFIG},
	{"dispute", check_dispute, EX_DATAERR},
	{"cards", check_cards, EX_CONFIG},
	{"own card", check_own_card, EX_CONFIG},
	{"node key", check_key_age, EX_CONFIG},
	{"forks", check_forks, EX_DATAERR},
	{"clock", check_clock, EX_CONFIG},
	{"disk", check_disk, EX_CANTCREAT},
	{"socket", check_socket, EX_UNAVAILABLE},
	{"ready", check_ready, EX_UNAVAILABLE},
	{"links", check_links, EX_UNAVAILABLE},
	{"plugins", check_plugins, EX_UNAVAILABLE},
	{"backup", check_backup, EX_UNAVAILABLE},
	{"structure", check_structure, EX_IOERR},
	{"batches", check_batches, EX_IOERR},
	{"repair", repair_batches, EX_IOERR},
};

static void run_checks(struct doctor *d)
{
	const json_t *finding;
	size_t before, k;

	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		before = json_array_size(d->findings);
		d->check = checks[i].name;
		checks[i].run(d);
		if (checks[i].run == check_configuration && knows_socket(d))
			d->node = http_peek(d->cli, "/v1/status");
		for (k = before; k < json_array_size(d->findings); k++) {
			finding = json_array_get(d->findings, k);
			if (d->status == EX_OK && strcmp(cli_text(finding, "verdict"), verdicts[FAIL].word) == 0)
				d->status = checks[i].status;
		}
	}
}

static void print_findings(const struct doctor *d)
{
	const json_t *finding;
	const char *word, *colour;
	size_t i, k;

	json_array_foreach(d->findings, i, finding)
	{
		word = cli_text(finding, "verdict");
		colour = "";
		for (k = 0; d->cli->colour && k < sizeof verdicts / sizeof *verdicts; k++) {
			if (strcmp(word, verdicts[k].word) == 0)
				colour = verdicts[k].colour;
		}
		printf("%s%-4s%s  %-13s  %s\n", colour, word, *colour != '\0' ? "\033[0m" : "",
			cli_text(finding, "check"), cli_text(finding, "found"));
		if (*cli_text(finding, "advice") != '\0')
			printf("%21s-> %s\n", "", cli_text(finding, "advice"));
	}
}

static int run_doctor(struct cli *c, int argc, char **argv)
{
	struct doctor d = {.cli = c, .findings = json_array()};

	if (d.findings == NULL)
		return EX_OSERR;
	run_checks(&d);
	if (c->json)
		cli_json(d.findings);
	else
		print_findings(&d);
	json_decref(d.findings);
	json_decref(d.damages);
	http_close(d.http);
	json_decref(d.node);
	trust_unref(d.trust);
	config_free(d.config);
	return d.status;
}

static const struct cli_option doctor_options[] = {
	{"store", NULL, "Look through the whole store: the database's form, and every batch"},
	{"repair", NULL, "The same, and have damaged batches sent again by who has them"},
	{0},
};

const struct command doctor_commands[] = {
	{"doctor", NULL, "Look at everything that can be wrong with this node, and say what to do",
		"Checks configuration, keys and their age, roster, cards, forks, clock, disk, socket, readiness, "
		"links, "
		"plugins, the last backup and, for two seconds, stored batches. Each line says ok, warn, FAIL or skip. "
		"Ends with an error status when something failed. Best run as root. What --repair asks for and nobody "
		"has now is mended when who has it is there.",
		"sudo enlight doctor\nsudo enlight doctor --repair", 0, 0, doctor_options, run_doctor},
	{0},
};
