/* Receipts and evidence: who holds what, one file that proves it, and what such a file says. */
#include "cli/cli.h"
#include "cli/http.h"
#include "cli/offline.h"

#include "base/stamp.h"
#include "core/evidence.h"
#include "core/handle.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_NOT_PROVED = 1 };

/* ---- receipts ---- */

static const struct column receipt_columns[] = {
	{"PUBLISHER", "publisher", COLUMN_TEXT},
	{"AUDIENCE", "audience", COLUMN_LONG},
	{"READER", "reader", COLUMN_TEXT},
	{"HOLDS", "to", COLUMN_NUMBER},
	{"OF", "last", COLUMN_NUMBER},
	{"INC", "incarnation", COLUMN_NUMBER},
	{"UNCOVERED", "uncovered", COLUMN_NUMBER},
	{"SIGNED", "time", COLUMN_TEXT},
};

/* One reader of one channel; `receipt` NULL: it has signed nothing. */
static int add_row(json_t *rows, const json_t *channel, const char *reader, const json_t *receipt)
{
	char when[STAMP_TIME] = "";
	json_int_t time_ms = json_integer_value(json_object_get(receipt, "time_ms"));

	if (time_ms > 0 && time_ms < INT64_C(253402300800000))
		stamp_time(when, (uint64_t)time_ms);
	return json_array_append_new(
		rows, json_pack("{ss, ss, ss, sI, sI, sI, sI, ss}", "publisher", cli_text(channel, "publisher"),
			      "audience", cli_text(channel, "audience"), "reader", reader, "to",
			      json_integer_value(json_object_get(receipt, "to")), "last",
			      json_integer_value(json_object_get(channel, "last")), "incarnation",
			      json_integer_value(json_object_get(receipt, "incarnation")), "uncovered",
			      json_integer_value(json_object_get(receipt, "uncovered")), "time", when));
}

static const json_t *receipt_of(const json_t *channel, const char *reader)
{
	const json_t *receipt;
	size_t i;

	json_array_foreach(json_object_get(channel, "receipts"), i, receipt)
	{
		if (strcmp(cli_text(receipt, "reader"), reader) == 0)
			return receipt;
	}
	return NULL;
}

/* Every member that should hold a channel of ours, whether it has signed or not. */
static int add_readers(json_t *rows, const json_t *channel, const json_t *peers)
{
	const json_t *peer;
	size_t i;
	int r = 0;

	json_array_foreach(peers, i, peer)
	{
		const char *member = cli_text(peer, "member");

		if (r == 0 && audience_has(cli_text(channel, "audience"), member))
			r = add_row(rows, channel, member, receipt_of(channel, member));
	}
	return r;
}

/* `member` is this node's: its channels have readers, those of others have its own receipt. */
static json_t *receipt_rows(const json_t *channels, const json_t *peers, const char *member)
{
	json_t *rows = json_array();
	const json_t *channel;
	size_t i;
	int r = 0;

	json_array_foreach(channels, i, channel)
	{
		if (r != 0)
			break;
		if (strcmp(cli_text(channel, "publisher"), member) == 0)
			r = add_readers(rows, channel, peers);
		else
			r = add_row(rows, channel, member, json_object_get(channel, "own_receipt"));
	}
	if (r == 0)
		return rows;
	json_decref(rows);
	return NULL;
}

static int get_channels(const struct cli *c, json_t **out)
{
	struct buffer path = {0};
	int r = EX_OSERR;

	buffer_str(&path, "/v1/channels");
	http_query(&path, "source", cli_value(c, "source"));
	http_query(&path, "audience", cli_value(c, "audience"));
	if (buffer_cstr(&path) != NULL)
		r = http_get(c, out, buffer_cstr(&path));
	else
		cli_error("out of memory");
	buffer_deinit(&path);
	return r;
}

static int run_receipts(struct cli *c, int argc, char **argv)
{
	json_t *channels = NULL, *peers = NULL, *status = NULL, *rows = NULL;
	int r = get_channels(c, &channels);

	if (r == EX_OK)
		r = http_get(c, &peers, "/v1/peers");
	if (r == EX_OK)
		r = http_get(c, &status, "/v1/status");
	if (r == EX_OK) {
		rows = receipt_rows(json_object_get(channels, "channels"), json_object_get(peers, "peers"),
			cli_text(status, "member"));
		if (rows == NULL)
			cli_error("out of memory");
		r = rows == NULL
			    ? EX_OSERR
			    : cli_table(c, receipt_columns, sizeof receipt_columns / sizeof *receipt_columns, rows);
	}
	json_decref(channels);
	json_decref(peers);
	json_decref(status);
	json_decref(rows);
	return r;
}

/* ---- evidence ---- */

/* NAME.evidence, with `_` for what does not belong into the name of a file. Memory the caller frees; NULL: out of memory. */
static char *file_name(const char *of)
{
	struct buffer b = {0};
	char *name;
	size_t len;

	for (const char *p = of; *p != '\0'; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			     (p > of && strchr("._-", *p) != NULL);

		buffer_add(&b, plain ? p : "_", 1);
	}
	buffer_str(&b, ".evidence");
	buffer_add(&b, "", 1);
	name = buffer_take(&b, &len);
	buffer_deinit(&b);
	return name;
}

/* Gets a file from the node and writes it. `name` is taken; NULL: out of memory. */
static int write_from(const struct cli *c, struct buffer *path, char *name)
{
	struct http_reply reply = {0};
	struct http *h = NULL;
	int r = http_open(&h, c);

	if (r == EX_OK && (buffer_cstr(path) == NULL || name == NULL)) {
		cli_error("out of memory");
		r = EX_OSERR;
	}
	if (r == EX_OK)
		r = http_ask(h, &reply, "GET", buffer_cstr(path), NULL, (struct bytes){0});
	if (r == EX_OK && reply.status != 200)
		r = http_problem(&reply);
	else if (r == EX_OK)
		r = offline_write(c, name, reply.body, 0600);
	if (r == EX_OK && !c->dry_run && strcmp(name, "-") != 0)
		cli_note(c, "%s: %zu bytes. Whoever gets it runs: enlight verify --network DIGEST FILE", name,
			reply.body.len);
	http_reply_deinit(&reply);
	http_close(h);
	buffer_deinit(path);
	free(name);
	return r;
}

/* Where the file goes: --output, or a name made of `of`. */
static char *output_name(const struct cli *c, const char *of)
{
	const char *output = cli_value(c, "output");

	return output == NULL ? file_name(of) : strdup(output);
}

static int run_evidence(struct cli *c, int argc, char **argv)
{
	struct buffer path = {0};

	buffer_str(&path, "/v1/events/");
	http_segment(&path, argv[0]);
	buffer_str(&path, "/");
	http_segment(&path, argv[1]);
	buffer_str(&path, "/evidence");
	return write_from(c, &path, output_name(c, argv[1]));
}

static int run_evidence_fork(struct cli *c, int argc, char **argv)
{
	struct buffer path = {0};

	buffer_str(&path, "/v1/channels/");
	http_segment(&path, argv[0]);
	buffer_str(&path, "/");
	http_segment(&path, argv[1]);
	buffer_str(&path, "/fork");
	return write_from(c, &path, output_name(c, argv[0]));
}

/* ---- verify ---- */

static json_t *event_json(const struct evidence_report *r, bool with_data)
{
	char digest[2 * DIGEST_LEN + 1];
	json_t *event;

	if (!r->has_event)
		return json_null();
	hex_encode(digest, r->leaf.bytes, DIGEST_LEN);
	event = event_to_json(&r->event, r->publisher, r->audience, with_data);
	if (event == NULL || json_object_set_new(event, "incarnation", json_integer(r->incarnation)) != 0 ||
		json_object_set_new(event, "sequence", json_integer((json_int_t)r->sequence)) != 0 ||
		json_object_set_new(event, "digest", json_string(digest)) != 0) {
		json_decref(event);
		return NULL;
	}
	return event;
}

static int print_json(const struct evidence_report *r, json_t *event)
{
	json_t *findings = json_array(), *all;
	int status;

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(findings,
			json_pack("{ss, ss, ss, ss}", "kind", finding_kind_word(r->findings[i].kind), "what",
				r->findings[i].what, "about", r->findings[i].about, "text", r->findings[i].text));
	all = json_pack("{sb, so, sO}", "proved", r->proved, "findings", findings, "event", event);
	status = all == NULL ? EX_OSERR : cli_json(all);
	json_decref(all);
	return status;
}

static void print_kind(const struct evidence_report *r, enum finding_kind kind, const char *title)
{
	bool any = false;

	for (size_t i = 0; i < r->n; i++) {
		const struct finding *f = &r->findings[i];

		if (f->kind != kind)
			continue;
		if (!any)
			printf("\n%s\n", title);
		any = true;
		printf("  - %s%s%s\n", kind == FINDING_BROKEN ? f->about : "",
			kind == FINDING_BROKEN && f->about[0] != '\0' ? ": " : "", f->text);
	}
}

static int print_words(const struct cli *c, const char *file, const struct evidence_report *r, const json_t *event)
{
	printf("%s: %s\n", file, r->proved ? "proved" : "NOT PROVED");
	print_kind(r, FINDING_BROKEN, "Broken, so that it proves nothing:");
	print_kind(r, FINDING_PROVES, "It proves:");
	print_kind(r, FINDING_PROVES_NOT, "It does not prove:");
	if (!r->has_event)
		return EX_OK;
	printf("\nThe event%s:\n", cli_value(c, "data") == NULL ? ", without its data (--data shows them)" : "");
	return cli_json(event);
}

static int run_verify(struct cli *c, int argc, char **argv)
{
	const char *network = cli_value(c, "network");
	struct evidence_report report;
	struct digest digest;
	json_t *event = NULL;
	void *data = NULL;
	size_t len;
	int r;

	if (network == NULL || !hex_decode(digest.bytes, DIGEST_LEN, network)) {
		cli_error("verify: --network is needed: the 64 digits of the first roster's digest, from somebody you "
			  "trust "
			  "and not from whoever gave you the file");
		return EX_USAGE;
	}
	r = file_read(&data, &len, argv[0], EVIDENCE_MAX + 1);
	if (r < 0) {
		cli_error("%s: cannot be read: %s", argv[0], strerror(-r));
		return r == -ENOMEM ? EX_OSERR : EX_NOINPUT;
	}
	r = evidence_verify(&report, bytes_of(data, len), &digest);
	if (r == 0)
		event = event_json(&report, c->json || cli_value(c, "data") != NULL);
	if (event == NULL) {
		cli_error("out of memory");
		r = EX_OSERR;
	} else {
		r = c->json ? print_json(&report, event) : print_words(c, argv[0], &report, event);
		if (r == EX_OK && !report.proved)
			r = EXIT_NOT_PROVED;
	}
	json_decref(event);
	evidence_report_deinit(&report);
	free(data);
	return r;
}

/* ---- the table ---- */

static const struct cli_option receipt_options[] = {
	{"source", "MEMBER", "Only channels of this publisher"},
	{"audience", "MEMBER,...", "Only the channels for this audience"},
	{0},
};

static const struct cli_option evidence_options[] = {
	{"output", "FILE",
		"Where to; - is standard output. Without it ID.evidence, or SOURCE.evidence, in this folder"},
	{0},
};

static const struct cli_option verify_options[] = {
	{"network", "DIGEST", "Digest of the network's first roster; needed. `enlight roster show` prints it"},
	{"data", NULL, "Show the event with its data"},
	{0},
};

const struct command evidence_commands[] = {
	{"evidence", "SOURCE ID", "Write one file that proves an event to whoever has no node",
		"The file holds the event, its path to what its publisher signed, the chain of rosters, the cards, the "
		"receipts that this node holds and, at its publisher's node, the checkpoint that names it. A publisher "
		"has the "
		"receipts of all readers, a reader its own. It shows the event's data: whoever may read the event may "
		"ask, and "
		"the audit trail says so.",
		"enlight evidence ut.ee 01a207bd-a9c0-7cc3-98c4-dc0c0c07398f --output nomination.evidence", 2, 2,
		evidence_options, run_evidence},
	{"evidence fork", "SOURCE AUDIENCE", "Write one file that proves that a publisher showed two histories",
		"For a channel that `enlight channels` shows as stopped. The file holds the two signed headers that "
		"contradict each "
		"other, the chain of rosters and the publisher's cards, and no event.",
		"enlight evidence fork ut.ee network --output ut.ee-fork.evidence", 2, 2, evidence_options,
		run_evidence_fork},
	{"receipts", NULL, "List who holds how much of which channel, and signed for it",
		"Of this member's channels a line for each reader, also one that has signed nothing; of others' "
		"channels what this "
		"node signed. UNCOVERED counts events that the reader holds without their text though no erasure lists "
		"them.",
		"enlight receipts\nenlight receipts --source ut.ee --json", 0, 0, receipt_options, run_receipts},
	{"verify", "FILE", "Say what a file of evidence proves, and what it does not",
		"Needs no node and no network connection. The network's digest must come from elsewhere than the file. "
		"Exit status "
		"0: it proves its event, or its fork; 1: it does not. proto/verify.py says the same by other means.",
		"enlight verify --network 8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101 "
		"nomination.evidence",
		1, 1, verify_options, run_verify},
	{0},
};
