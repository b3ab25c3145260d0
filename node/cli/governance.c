/* What the running node holds of the network's order: its rosters, also those that compete, and which of two counts. */
#include "cli/http.h"
#include "cli/offline.h"

#include <stdlib.h>
#include <string.h>

enum { DIGEST_HEX = 2 * DIGEST_LEN, SHORT_DIGEST = 12, DIGEST_LEAST = 8 };

/* ---- rosters ---- */

/* "rug.nl, ut.ee", and of the digest what people compare first. EX_OSERR: out of memory. */
static int shorten(json_t *row)
{
	const json_t *signer;
	struct buffer b = {0};
	size_t i;
	int r;

	json_array_foreach(json_object_get(row, "signedBy"), i, signer)
		buffer_printf(&b, "%s%s", i == 0 ? "" : ", ", json_string_value(signer));
	r = buffer_cstr(&b) == NULL || json_object_set_new(row, "signers", json_string(buffer_cstr(&b))) != 0 ||
			    json_object_set_new(row, "digest", json_stringn(cli_text(row, "digest"), SHORT_DIGEST)) != 0
		    ? EX_OSERR
		    : EX_OK;
	buffer_deinit(&b);
	return r;
}

static int run_rosters(struct cli *c, int argc, char **argv)
{
	static const struct column columns[] = {
		{"NUMBER", "number", COLUMN_NUMBER},
		{"DIGEST", "digest", COLUMN_TEXT},
		{"STATE", "state", COLUMN_TEXT},
		{"MEMBERS", "members", COLUMN_NUMBER},
		{"QUORUM", "quorum", COLUMN_NUMBER},
		{"SIGNED BY", "signers", COLUMN_WORDS},
	};
	json_t *answer, *row;
	size_t i;
	int r = http_get(c, &answer, "/v1/rosters");

	if (!c->json)
		json_array_foreach(json_object_get(answer, "rosters"), i, row) r = r == EX_OK ? shorten(row) : r;
	if (r == EX_OK)
		r = cli_table(c, columns, sizeof columns / sizeof *columns, json_object_get(answer, "rosters"));
	json_decref(answer);
	return r;
}

/* The one roster of the node whose digest begins so; with NULL the one in force. `*row` is a new reference. */
static int find_roster(const struct cli *c, const char *begin, json_t **row)
{
	json_t *answer, *one;
	size_t i, n = 0;
	int r;

	*row = NULL;
	if (begin != NULL && (strlen(begin) < DIGEST_LEAST || strlen(begin) > DIGEST_HEX)) {
		cli_error("%s: give at least the first %d digits of the roster's digest", begin, DIGEST_LEAST);
		return EX_USAGE;
	}
	r = http_get(c, &answer, "/v1/rosters");
	json_array_foreach(json_object_get(answer, "rosters"), i, one)
	{
		if (begin == NULL ? strcmp(cli_text(one, "state"), "in force") != 0
				  : strncmp(cli_text(one, "digest"), begin, strlen(begin)) != 0)
			continue;
		n++;
		json_decref(*row);
		*row = json_incref(one);
	}
	json_decref(answer);
	if (r == EX_OK && n != 1) {
		cli_error("%s: %s of the node's rosters; see enlight rosters", begin == NULL ? "in force" : begin,
			n == 0 ? "is none" : "is more than one");
		r = EX_DATAERR;
	}
	if (r != EX_OK) {
		json_decref(*row);
		*row = NULL;
	}
	return r;
}

/* Asks about one roster: "/v1/rosters/DIGEST" and `behind`. */
static int ask_about(const struct cli *c, json_t **answer, const char *method, const json_t *row, const char *behind)
{
	struct buffer path = {0};
	struct http *h;
	int r = http_open(&h, c);

	*answer = NULL;
	buffer_printf(&path, "/v1/rosters/%s%s", cli_text(row, "digest"), behind);
	http_query(&path, "reason", cli_value(c, "reason"));
	if (r == EX_OK)
		r = buffer_cstr(&path) == NULL
			    ? EX_OSERR
			    : http_json(h, answer, method, buffer_cstr(&path), NULL, (struct bytes){0});
	http_close(h);
	buffer_deinit(&path);
	return r;
}

static int run_export(struct cli *c, int argc, char **argv)
{
	json_t *row, *answer = NULL;
	int r = find_roster(c, argc > 0 ? argv[0] : NULL, &row);

	if (r == EX_OK)
		r = ask_about(c, &answer, "GET", row, "");
	if (r == EX_OK)
		r = offline_write(c, cli_value(c, "output"), bytes_str(cli_text(answer, "text")), 0644);
	json_decref(answer);
	json_decref(row);
	return r;
}

static int run_pin(struct cli *c, int argc, char **argv)
{
	json_t *row, *answer = NULL;
	long long number;
	int r = find_roster(c, argv[0], &row);

	number = (long long)json_integer_value(cli_get(row, "number"));
	if (r == EX_OK && c->dry_run) {
		cli_note(c, "would make the node go on with roster %lld, %s", number, cli_text(row, "digest"));
		goto out;
	}
	if (r == EX_OK)
		r = ask_about(c, &answer, "POST", row, "/pin");
	if (r == EX_OK)
		cli_note(c,
			"this node goes on with roster %lld, %s; no other node was told. Keep the file too: enlight "
			"roster "
			"export --output ROSTER, enlight roster adopt ROSTER",
			number, cli_text(row, "digest"));
out:
	json_decref(answer);
	json_decref(row);
	return r;
}

static const struct cli_option export_options[] = {
	{"output", "FILE", "Where it goes (default: standard output)"},
	{0},
};

const struct command governance_commands[] = {
	{"roster export", "[DIGEST]", "Write out a roster that the running node holds",
		"Default: the one in force. DIGEST: at least its first eight digits, as enlight rosters shows them.",
		"enlight roster export --output roster.note", 0, 1, export_options, run_export, false},
	{"roster pin", "DIGEST", "Say which of two rosters with one number counts, at the running node",
		"Two rosters that follow the same one, both signed by a quorum, are a dispute that no program can "
		"settle. "
		"Look at both (roster export, roster diff), agree with the other members by telephone, then pin the "
		"same at "
		"every node. The other is kept as evidence; cards that only it made good are given up.",
		"enlight roster pin 8270f9d38db4 --reason 'agreed by telephone'", 1, 1, cli_reason_options, run_pin,
		false},
	{"rosters", NULL, "List the rosters that the running node holds",
		"STATE is `in force`, `followed` (by a later one), `rival` (signed as well as the one in force with "
		"its "
		"number; somebody must look) or `set aside` (a rival that lost).",
		"enlight rosters", 0, 0, NULL, run_rosters, false},
	{0},
};
