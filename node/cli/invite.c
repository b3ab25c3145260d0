/* enlight invite, enlight join: what a new member begins with, in one file that people can read and send by mail.
 *
 *   enlight invite 1
 *   from HANDLE                       whose node wrote it
 *   network NAME
 *   number N                          of the roster
 *   digest HEX                        of the roster: what is compared by telephone
 *   endpoint HANDLE tcp://HOST:PORT   one line for each member that listens
 *   roster LINE                       the lines of the roster, in order; an empty one is the word alone
 *   card LINE                         those of the cards, one after the other
 *
 * The lines before the roster are for people and checked against what follows; unknown words are passed over. */
#include "cli/http.h"
#include "cli/offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE "enlight invite 1\n"
enum { INVITE_MAX = 8 << 20 };

/* ---- writing ---- */

static void add_lines(struct buffer *out, const char *word, const char *text)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");

		buffer_printf(out, "%s%s%.*s\n", word, len > 0 ? " " : "", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void write_invite(struct buffer *out, const json_t *in)
{
	const json_t *card;
	size_t i;

	buffer_printf(out, FIRST_LINE "from %s\nnetwork %s\nnumber %lld\ndigest %s\n", cli_text(in, "from"),
		cli_text(in, "network"), (long long)json_integer_value(cli_get(in, "number")), cli_text(in, "digest"));
	json_array_foreach(json_object_get(in, "cards"), i, card)
	{
		if (*cli_text(card, "endpoint") != '\0')
			buffer_printf(out, "endpoint %s %s\n", cli_text(card, "member"), cli_text(card, "endpoint"));
	}
	add_lines(out, "roster", cli_text(in, "roster"));
	json_array_foreach(json_object_get(in, "cards"), i, card) add_lines(out, "card", cli_text(card, "text"));
}

static int run_invite(struct cli *c, int argc, char **argv)
{
	struct buffer text = {0};
	json_t *answer;
	int r = http_get(c, &answer, "/v1/invite");

	if (r == EX_OK)
		write_invite(&text, answer);
	if (r == EX_OK)
		r = text.error != 0 ? EX_OSERR
				    : offline_write(c, cli_value(c, "output"), bytes_of(text.data, text.len), 0644);
	if (r == EX_OK)
		offline_say(c,
			"Send it to the new member, who runs: enlight init --invite FILE ...\n"
			"Nothing in it is secret. By telephone, read out the digest of roster %lld:\n  %s\n",
			(long long)json_integer_value(cli_get(answer, "number")), cli_text(answer, "digest"));
	json_decref(answer);
	buffer_deinit(&text);
	return r;
}

/* ---- reading ---- */

/* What is taken apart. */
struct parts {
	struct buffer roster;
	struct buffer *cards;
	size_t n_cards;
	char digest[2 * DIGEST_LEN + 1];
};

static void parts_deinit(struct parts *p)
{
	buffer_deinit(&p->roster);
	for (size_t i = 0; i < p->n_cards; i++)
		buffer_deinit(&p->cards[i]);
	free(p->cards);
}

/* What stands behind a word at the line's start; NULL: the line has another. */
static const char *behind(const char *line, size_t len, const char *word, size_t *left)
{
	size_t n = strlen(word);

	if (len < n || memcmp(line, word, n) != 0 || (len > n && line[n] != ' '))
		return NULL;
	*left = len > n ? len - n - 1 : 0;
	return len > n ? line + n + 1 : line + n;
}

static int take_card_line(struct parts *p, const char *text, size_t len)
{
	static const char begin[] = "enlight card ";
	struct buffer *cards;

	if (len >= strlen(begin) && memcmp(text, begin, strlen(begin)) == 0) {
		cards = realloc(p->cards, (p->n_cards + 1) * sizeof *cards);
		if (cards == NULL)
			return -ENOMEM;
		p->cards = cards;
		cards[p->n_cards++] = (struct buffer){0};
	}
	if (p->n_cards > 0)
		buffer_printf(&p->cards[p->n_cards - 1], "%.*s\n", (int)len, text);
	return 0;
}

static int take_line(struct parts *p, const char *line, size_t len)
{
	const char *text;
	size_t n;

	if ((text = behind(line, len, "roster", &n)) != NULL)
		buffer_printf(&p->roster, "%.*s\n", (int)n, text);
	else if ((text = behind(line, len, "card", &n)) != NULL)
		return take_card_line(p, text, n);
	else if ((text = behind(line, len, "digest", &n)) != NULL)
		snprintf(p->digest, sizeof p->digest, "%.*s", (int)n, text);
	return 0;
}

static int take_apart(struct parts *p, const char *text, size_t len)
{
	const char *end = text + len;
	int r = 0;

	while (text < end && r == 0) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((stop == NULL ? end : stop) - text);

		r = take_line(p, text, n);
		text += n + 1;
	}
	for (size_t i = 0; i < p->n_cards && r == 0; i++)
		r = p->cards[i].error;
	return r == 0 ? p->roster.error : r;
}

static int parse_cards(struct invite *out, const struct parts *p, const char *path, struct problems *problems)
{
	int r = 0;

	out->cards = calloc(p->n_cards + 1, sizeof *out->cards);
	if (out->cards == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_cards && r == 0; i++) {
		struct card *card = &out->cards[out->n_cards];
		const struct roster_member *m;

		r = card_parse(card, path, bytes_of(p->cards[i].data, p->cards[i].len), problems);
		if (r != 0)
			break;
		out->n_cards++;
		m = roster_member(&out->roster, card->member);
		if (m == NULL || !digest_equal(&card->network, &out->roster.origin))
			note_problem_at(problems, path, 1, "the card of %s is not one under this roster", card->member);
		else
			r = card_check(card, m->identity, path, problems);
	}
	return r;
}

static int parse(struct invite *out, const char *path, const char *text, size_t len, struct problems *problems)
{
	char digest[2 * DIGEST_LEN + 1];
	struct parts p = {0};
	int r;

	if (len < strlen(FIRST_LINE) || memcmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0) {
		note_problem_at(problems, path, 1,
			"the first line is `enlight invite 1`: this is something else or a later format");
		return 1;
	}
	r = take_apart(&p, text, len);
	if (r == 0)
		r = roster_parse(&out->roster, path, bytes_of(p.roster.data, p.roster.len), problems);
	if (r == 0 && out->roster.first)
		r = roster_check_first(&out->roster, NULL, path, problems);
	if (r == 0) {
		hex_encode(digest, out->roster.note.digest.bytes, DIGEST_LEN);
		if (strcmp(digest, p.digest) != 0)
			note_problem_at(problems, path, 1, "its line `digest` is not that of the roster in it");
		r = parse_cards(out, &p, path, problems);
	}
	parts_deinit(&p);
	return r != 0 ? r : problems->total != 0;
}

int invite_read(struct invite *out, const struct cli *c, const char *path)
{
	struct problems problems = {0};
	void *text = NULL;
	size_t len;
	int r = file_read(&text, &len, path, INVITE_MAX);

	(void)c;
	*out = (struct invite){0};
	if (r != 0) {
		cli_error("%s: cannot be read: %s", path, strerror(-r));
		return EX_NOINPUT;
	}
	r = offline_result(parse(out, path, text, len, &problems), &problems);
	free(text);
	if (r != EX_OK)
		invite_deinit(out);
	return r;
}

void invite_deinit(struct invite *in)
{
	for (size_t i = 0; i < in->n_cards; i++)
		card_deinit(&in->cards[i]);
	free(in->cards);
	roster_deinit(&in->roster);
	*in = (struct invite){0};
}

/* ---- joining ---- */

/* Asks the person at the terminal. */
static bool agrees(void)
{
	char answer[16];

	fprintf(stderr, "Is it the same there? [yes/no] ");
	return fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0;
}

int invite_confirm(const struct invite *in, const struct cli *c)
{
	const char *told = cli_value(c, "digest");
	char digest[2 * DIGEST_LEN + 1];

	hex_encode(digest, in->roster.note.digest.bytes, DIGEST_LEN);
	if (told != NULL && strcmp(told, digest) != 0) {
		cli_error("the invite's roster has another digest than --digest: not the roster that was read out");
		return EX_DATAERR;
	}
	if (told != NULL || cli_value(c, "yes") != NULL)
		return EX_OK;
	offline_say(c, "Roster %u of %s, %zu members. Ask another member by telephone to read out its digest:\n  %s\n",
		in->roster.number, in->roster.network, in->roster.n_members, digest);
	if (isatty(STDIN_FILENO) && agrees())
		return EX_OK;
	cli_error("nothing was changed; give --digest DIGEST with what was read out, or --yes");
	return EX_USAGE;
}

int invite_put(const struct invite *in, const struct cli *c, const char *folder)
{
	struct node_folder p;
	int r = node_folder_open(&p, c, folder);

	if (r == EX_OK)
		r = roster_pin_in(c, &p, &in->roster);
	for (size_t i = 0; i < in->n_cards && r == EX_OK; i++) {
		const struct card *card = &in->cards[i];
		char *path = offline_path(p.config->trust.cards, "%s.card", card->member);

		/* What this node says of itself is in its own hands, unless they lost it. */
		if (path == NULL)
			r = EX_OSERR;
		else if (strcmp(card->member, p.config->member) != 0 || !offline_exists(path))
			r = offline_write(c, path, bytes_of(card->note.text, card->note.text_len), 0644);
		free(path);
	}
	node_folder_close(&p);
	return r;
}

static int run_join(struct cli *c, int argc, char **argv)
{
	struct invite invite;
	int r = invite_read(&invite, c, argv[0]);

	if (r == EX_OK)
		r = invite_confirm(&invite, c);
	if (r == EX_OK)
		r = invite_put(&invite, c, argc > 1 ? argv[1] : NULL);
	if (r == EX_OK && !c->dry_run)
		cli_note(c, "the node begins with roster %u of %s and the cards of %zu members", invite.roster.number,
			invite.roster.network, invite.n_cards);
	invite_deinit(&invite);
	return r;
}

static const struct cli_option invite_options[] = {
	{"output", "FILE", "Where it goes (default: standard output)"},
	{0},
};

static const struct cli_option join_options[] = {
	INVITE_OPTIONS,
	{0},
};

const struct command invite_commands[] = {
	{"invite", NULL, "Write what a new member begins with: the roster in force and the members' cards",
		"Any member can do it. Nothing in the file is secret, and nothing in it is believed for the file's "
		"sake: the "
		"new member compares the roster's digest by telephone.",
		"enlight invite --output enlight.invite", 0, 0, invite_options, run_invite, false},
	{"join", "INVITE [FOLDER]", "Begin with what an invite holds, in a folder that `enlight init` made",
		"`enlight init --invite` does both at once. FOLDER: default is that of the configuration.",
		"enlight join enlight.invite /etc/enlight", 1, 2, join_options, run_join, false},
	{0},
};
