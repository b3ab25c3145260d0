#include "cli/cli.h"
#include "cli/http.h"
#include "core/json.h"

#include <string.h>

enum { SHORT_DIGEST = 12 };

/* ---- status ---- */

static void print_reasons(const json_t *reasons, const char *before)
{
	const json_t *reason;
	size_t i;

	json_array_foreach(reasons, i, reason)
		printf("%s%s\n", before, json_string_value(reason) != NULL ? json_string_value(reason) : "?");
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(cli_get(object, key));
}

/* What someone should look at, in words; nothing is printed for what is well. */
static const struct {
	const char *key, *text;
} alarms[] = {
	{"roster.disputed", "rosters compete with one in force that has their number: see enlight rosters, then "
			    "enlight roster pin"},
	{"second_cards",
		"cards came with the number of another one of their member: see the log, ask that member by telephone"},
	{"key.overdue_days", "days since the node key passed its age limit: renew it (enlight keys new)"},
	{"key.due_days", "days until the node key passes its age limit: renew it (enlight keys new)"},
	{"key.newer", "is the number of a newer key on this member's card: restart the node, then it uses it"},
	{"store.repairs", "damaged batches wait for who has them: see enlight doctor --repair"},
	{"backup.overdue_days", "days since there should have been a backup: enlight backup"},
	{"channels.stopped", "channels are stopped: their publisher contradicted itself; see enlight channels"},
	{"channels.forks", "contradictions of publishers are kept as evidence"},
	{"channels.raised",
		"times a publisher went back in a channel since start: it lost something; see its log and ours"},
	{"events.disowned",
		"events that a thief had published were set aside: what local systems did for them stays; see the log"},
	{"channels.republished", "events of this member were published again since start: its disk had gone back"},
	{"channels.withheld", "channels have events that their publisher withholds"},
	{"plugins.unreadable", "plugins wait for a damaged batch: enlight doctor --repair"},
	{"plugins.dead", "events are dead letters of plugins: somebody must look; see enlight dead"},
	{"plugins.retrying", "events are tried again by plugins; see enlight dead"},
	{"events.behind", "events wait for their readers' receipts, summed over readers"},
};

static void print_status(const json_t *s)
{
	char bytes[32], limit[32], up[32];

	cli_age(up, (uint64_t)number(s, "uptime_seconds"));
	cli_size(bytes, (uint64_t)number(s, "store.bytes"));
	cli_size(limit, (uint64_t)number(s, "store.limit_bytes"));
	printf("%s, card %lld, enlightd %s, up %s", cli_text(s, "member"), number(s, "card"), cli_text(s, "version"),
		up);
	printf("\n%s\n", json_is_true(cli_get(s, "ready")) ? "ready" : "NOT READY");
	print_reasons(cli_get(s, "reasons"), "  ");
	printf("network  %s (%.*s), roster %lld (%.*s)\n", cli_text(s, "network_name"), SHORT_DIGEST,
		cli_text(s, "network"), number(s, "roster.number"), SHORT_DIGEST, cli_text(s, "roster.digest"));
	printf("links    %lld of %lld other members\n", number(s, "links.live"), number(s, "links.members") - 1);
	if (number(s, "plugins.configured") != 0)
		printf("plugins  %lld of %lld ready\n", number(s, "plugins.ready"), number(s, "plugins.configured"));
	printf("events   %lld published, %lld received, %lld refused since start\n", number(s, "events.published"),
		number(s, "events.received"), number(s, "events.refused"));
	printf("store    %s%s%s\n", bytes, number(s, "store.limit_bytes") != 0 ? " of " : "",
		number(s, "store.limit_bytes") != 0 ? limit : "");
	for (size_t i = 0; i < sizeof alarms / sizeof *alarms; i++) {
		if (number(s, alarms[i].key) != 0)
			printf("note     %lld %s\n", number(s, alarms[i].key), alarms[i].text);
	}
}

static int run_status(struct cli *c, int argc, char **argv)
{
	json_t *status;
	int r;

	r = http_get(c, &status, "/v1/status");
	if (r == EX_OK && c->json)
		r = cli_json(status);
	else if (r == EX_OK)
		print_status(status);
	json_decref(status);
	return r;
}

/* ---- lists ---- */

/* Gets a list and prints it. `name` is the member of the answer that holds the list. */
static int list(struct cli *c, const char *path, const char *name, const struct column *columns, size_t n)
{
	json_t *answer;
	int r;

	r = http_get(c, &answer, path);
	if (r == EX_OK)
		r = cli_table(c, columns, n, json_object_get(answer, name));
	json_decref(answer);
	return r;
}

static const struct column peer_columns[] = {
	{"MEMBER", "member", COLUMN_TEXT},
	{"STATE", "state", COLUMN_TEXT},
	{"FOR", "seconds", COLUMN_AGE},
	{"DIALLED", "dialled", COLUMN_FLAG},
	{"ENDPOINT", "endpoint", COLUMN_LONG},
	{"CARD", "card", COLUMN_NUMBER},
	{"KEY", "key", COLUMN_NUMBER},
	{"IN", "bytes_in", COLUMN_SIZE},
	{"OUT", "bytes_out", COLUMN_SIZE},
	{"BEHIND", "behind", COLUMN_NUMBER},
	{"LAST ERROR", "last_error", COLUMN_WORDS},
};

static int run_peers(struct cli *c, int argc, char **argv)
{
	return list(c, "/v1/peers", "peers", peer_columns, sizeof peer_columns / sizeof *peer_columns);
}

static const struct column channel_columns[] = {
	{"PUBLISHER", "publisher", COLUMN_TEXT},
	{"AUDIENCE", "audience", COLUMN_LONG},
	{"INC", "incarnation", COLUMN_NUMBER},
	{"FIRST", "first", COLUMN_NUMBER},
	{"LAST", "last", COLUMN_NUMBER},
	{"HEAD", "digest", COLUMN_TEXT},
	{"STATE", "state", COLUMN_TEXT},
	{"RECEIPTS", "summary", COLUMN_WORDS},
};

/* "ugent.be 18, rug.nl 12": who holds how much of a channel. */
static void summarise(json_t *channel)
{
	const json_t *receipts = json_object_get(channel, "receipts"), *receipt;
	const char *digest = cli_text(channel, "digest");
	struct buffer b = {0};
	size_t i;

	json_array_foreach(receipts, i, receipt)
		buffer_printf(&b, "%s%s %lld", i == 0 ? "" : ", ", cli_text(receipt, "reader"), number(receipt, "to"));
	if (i > 0 && buffer_cstr(&b) != NULL)
		json_object_set_new(channel, "summary", json_string(buffer_cstr(&b)));
	if (strlen(digest) > SHORT_DIGEST)
		json_object_set_new(channel, "digest", json_stringn(digest, SHORT_DIGEST));
	buffer_deinit(&b);
}

static int run_channels(struct cli *c, int argc, char **argv)
{
	json_t *answer, *channel;
	size_t i;
	int r;

	r = http_get(c, &answer, "/v1/channels");
	if (r == EX_OK && !c->json) {
		json_array_foreach(json_object_get(answer, "channels"), i, channel) summarise(channel);
	}
	if (r == EX_OK)
		r = cli_table(c, channel_columns, sizeof channel_columns / sizeof *channel_columns,
			json_object_get(answer, "channels"));
	json_decref(answer);
	return r;
}

/* ---- blocking ---- */

static int ask_block(struct cli *c, const char *method, const char *member, json_t *body)
{
	struct buffer path = {0}, text = {0};
	struct http_reply reply = {0};
	struct http *h;
	int r;

	if (body != NULL)
		json_append(&text, body);
	buffer_str(&path, "/v1/peers/");
	http_segment(&path, member);
	buffer_str(&path, "/block");
	if (body == NULL)
		http_query(&path, "reason", cli_value(c, "reason"));
	r = http_open(&h, c);
	if (r == EX_OK && (buffer_cstr(&path) == NULL || text.error != 0))
		r = EX_OSERR;
	if (r == EX_OK)
		r = http_ask(h, &reply, method, buffer_cstr(&path), body != NULL ? "application/json" : NULL,
			bytes_of(text.data, text.len));
	if (r == EX_OK && (reply.status < 200 || reply.status > 299))
		r = http_problem(&reply);
	http_reply_deinit(&reply);
	http_close(h);
	buffer_deinit(&path);
	buffer_deinit(&text);
	return r;
}

static int run_block(struct cli *c, int argc, char **argv)
{
	const char *reason = cli_value(c, "reason");
	json_t *body;
	int r;

	if (reason == NULL || *reason == '\0') {
		cli_error("peers block: --reason is needed; it goes into the audit trail");
		return EX_USAGE;
	}
	if (c->dry_run) {
		cli_note(c, "would end the link with %s and refuse new ones", argv[0]);
		return EX_OK;
	}
	body = json_pack("{ss}", "reason", reason);
	r = body != NULL ? ask_block(c, "POST", argv[0], body) : EX_OSERR;
	json_decref(body);
	if (r == EX_OK)
		cli_note(c, "%s is blocked; what it publishes waits at its node", argv[0]);
	return r;
}

static int run_unblock(struct cli *c, int argc, char **argv)
{
	int r;

	if (c->dry_run) {
		cli_note(c, "would let %s link again", argv[0]);
		return EX_OK;
	}
	r = ask_block(c, "DELETE", argv[0], NULL);
	if (r == EX_OK)
		cli_note(c, "%s may link again", argv[0]);
	return r;
}

static const struct cli_option block_options[] = {
	{"reason", "TEXT", "Why, for the audit trail; needed"},
	{0},
};

const struct command online_commands[] = {
	{"channels", NULL, "List the channels this node holds, with their heads and receipts",
		"A channel is one publisher's log for one audience. RECEIPTS says up to which sequence each reader has "
		"signed for.",
		"enlight channels", 0, 0, NULL, run_channels},
	{"peers", NULL, "List the other members and the links to them",
		"BEHIND counts the events of the peer's channels that it has announced and this node has not fetched "
		"yet.",
		"enlight peers", 0, 0, NULL, run_peers},
	{"peers block", "MEMBER", "End the link with a member and refuse new ones",
		"Nothing is lost: what the member publishes waits at its node, and the other way round.",
		"enlight peers block ut.ee --reason 'floods us, told them by telephone'", 1, 1, block_options,
		run_block},
	{"peers unblock", "MEMBER", "Let a blocked member link again", NULL, "enlight peers unblock ut.ee", 1, 1,
		cli_reason_options, run_unblock},
	{"status", NULL, "Show what the node is and whether it is well", NULL,
		"enlight status\nenlight status --json | jq .ready", 0, 0, NULL, run_status},
	{0},
};
