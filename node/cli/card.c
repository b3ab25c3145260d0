/* enlight card: what this member says of its own node. */
#include "cli/offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a new card is made of. */
struct making {
	struct cli *c;
	struct node_folder place;
	struct roster roster;
	struct config_keys *node_keys;
	struct card before; /* n_keys 0: there is none */
	struct buffer lines_text;
	struct card lines; /* endpoint and takes */
	struct card_key *keys;
	size_t n_keys;
};

static void making_deinit(struct making *m)
{
	roster_deinit(&m->roster);
	config_keys_free(m->node_keys);
	card_deinit(&m->before);
	card_deinit(&m->lines);
	buffer_deinit(&m->lines_text);
	free(m->keys);
	node_folder_close(&m->place);
}

/* ---- what is there ---- */

static int read_roster(struct making *m)
{
	const char *path = m->place.config->trust.roster;
	int r;

	if (!offline_exists(path)) {
		cli_error("%s: is not there yet: when enough members have signed the roster, "
			  "enlight roster adopt ROSTER %s",
			path, m->place.folder);
		return EX_NOINPUT;
	}
	r = offline_roster(&m->roster, path);
	if (r == EX_OK && memcmp(m->roster.note.digest.bytes, m->place.config->trust.digest, DIGEST_LEN) != 0) {
		cli_error("%s: is not the roster that %s pins: enlight roster adopt ROSTER %s", path, m->place.file,
			m->place.folder);
		r = EX_DATAERR;
	}
	if (r == EX_OK && roster_member(&m->roster, m->place.config->member) == NULL)
		cli_note(m->c, "%s: %s is no member yet; the card counts when a roster lists it", path,
			m->place.config->member);
	return r;
}

static int read_before(struct making *m)
{
	int r = offline_exists(m->place.card) ? offline_card(&m->before, m->place.card) : EX_OK;

	if (r == EX_OK && m->before.n_keys > 0 &&
		(strcmp(m->before.member, m->place.config->member) != 0 ||
			!digest_equal(&m->before.network, &m->roster.origin))) {
		cli_error("%s: is another member's or network's card", m->place.card);
		r = EX_DATAERR;
	}
	return r;
}

/* Appends the lines of a text; those that are empty or begin with `#` become a word that no card knows, so that numbers stay. */
static void add_lines(struct buffer *out, struct bytes text)
{
	const char *p = (const char *)text.data, *end = p + text.len;

	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((stop == NULL ? end : stop) - p);

		if (len == 0 || *p == '#')
			buffer_str(out, "#");
		else
			buffer_add(out, p, len);
		buffer_str(out, "\n");
		p += len + 1;
	}
}

/* The endpoint and topics are lines of a card like any other, so they are read as one, made whole around them. */
static int parse_lines(struct making *m, const char *path, struct bytes text)
{
	enum { HEAD_LINES = 5 };
	struct problems found = {0}, problems = {0};
	char zeros[2 * DIGEST_LEN + 1], key[BASE64_SIZE(32)];
	int r;

	hex_encode(zeros, digest_zero.bytes, DIGEST_LEN);
	base64_encode(key, digest_zero.bytes, 32);
	buffer_printf(&m->lines_text, "enlight card 1\nnetwork %s\nmember a.be\nnumber 1\nkey 1 sign %s link %s\n",
		zeros, key, key);
	add_lines(&m->lines_text, text);
	r = m->lines_text.error;
	if (r == 0)
		r = card_parse(&m->lines, "", bytes_of(m->lines_text.data, m->lines_text.len), &found);
	for (size_t i = 0; i < found.n; i++) {
		unsigned line = 0, column = 0;

		sscanf(found.items[i].place, ":%u:%u", &line, &column);
		note_problem_at(&problems, path, line > HEAD_LINES ? line - HEAD_LINES : 1, "%s", found.items[i].rule);
	}
	problems_deinit(&found);
	return offline_result(r, &problems);
}

static int read_lines(struct making *m)
{
	char *path = offline_path(m->place.folder, "card.lines");
	struct draft_file f = {0};
	int r = path == NULL ? EX_OSERR : EX_OK;

	if (r == EX_OK && offline_exists(path)) {
		r = offline_read(&f, path);
		if (r == EX_OK)
			r = parse_lines(m, path, f.text);
	}
	offline_release(&f);
	free(path);
	return r;
}

static int read_all(struct making *m, const char *folder)
{
	struct problems problems = {0};
	int r = node_folder_open(&m->place, m->c, folder);

	if (r == EX_OK)
		r = read_roster(m);
	if (r == EX_OK)
		r = read_before(m);
	if (r == EX_OK)
		r = read_lines(m);
	if (r == EX_OK)
		r = offline_result(config_keys_load(&m->node_keys, m->place.config, &problems), &problems);
	return r;
}

/* ---- keys ---- */

static struct card_key *find_key(struct making *m, uint32_t number)
{
	for (size_t i = 0; i < m->n_keys; i++)
		if (m->keys[i].number == number)
			return &m->keys[i];
	return NULL;
}

static const struct node_keys *find_node_keys(const struct making *m, uint32_t number)
{
	for (size_t i = 0; i < m->node_keys->n_nodes; i++)
		if (m->node_keys->nodes[i].number == number)
			return &m->node_keys->nodes[i];
	return NULL;
}

/* The keys of the card before, and every file with a higher number. A first card takes the newest file. */
static int collect_keys(struct making *m)
{
	uint32_t above = m->before.n_keys > 0 ? m->before.keys[m->before.n_keys - 1].number : 0;
	size_t n = m->node_keys->n_nodes;

	m->keys = calloc(m->before.n_keys + n, sizeof *m->keys);
	if (m->keys == NULL)
		return EX_OSERR;
	if (above == 0)
		above = m->node_keys->nodes[n - 1].number - 1;
	for (size_t i = 0; i < m->before.n_keys; i++)
		m->keys[m->n_keys++] = m->before.keys[i];
	for (size_t i = 0; i < n; i++) {
		const struct node_keys *k = &m->node_keys->nodes[i];
		struct card_key *new = &m->keys[m->n_keys];

		if (k->number <= above)
			continue;
		new->number = k->number;
		memcpy(new->sign, k->sign_public, sizeof new->sign);
		memcpy(new->link, k->link_public, sizeof new->link);
		m->n_keys++;
	}
	return EX_OK;
}

/* Carries out --retire or --revoke. */
static int end_keys(struct making *m, const char *option, enum card_key_state state)
{
	const char **numbers = NULL;
	char *memory = NULL;
	size_t n;
	int r = offline_list(&numbers, &n, &memory, cli_value(m->c, option));

	for (size_t i = 0; i < n && r == EX_OK; i++) {
		uint32_t number = 0;
		struct card_key *k = note_number(&number, numbers[i], KEY_NUMBERS_MAX) ? find_key(m, number) : NULL;

		if (k == NULL || k->state == CARD_KEY_REVOKED || (k->state == CARD_KEY_RETIRED && state == k->state)) {
			cli_error("--%s %s: is no key of the card that could be %s", option, numbers[i],
				state == CARD_KEY_RETIRED ? "retired" : "revoked");
			r = EX_USAGE;
		} else {
			k->state = state;
		}
	}
	free(numbers);
	free(memory);
	return r;
}

/* Keys in use need their file: the card is signed by them. */
static int check_keys(const struct making *m)
{
	size_t current = 0;

	for (size_t i = 0; i < m->n_keys; i++) {
		const struct card_key *k = &m->keys[i];
		const struct node_keys *file = find_node_keys(m, k->number);

		if (k->state != CARD_KEY_CURRENT)
			continue;
		current++;
		if (file == NULL || memcmp(file->sign_public, k->sign, sizeof k->sign) != 0) {
			cli_error("%s/node-%u.key: the card before lists another key, or the file is gone: "
				  "give --retire %u (or --revoke %u when it may be in wrong hands)",
				m->place.config->trust.keys, k->number, k->number, k->number);
			return EX_DATAERR;
		}
	}
	if (current == 0 || m->keys[m->n_keys - 1].state != CARD_KEY_CURRENT) {
		cli_error("the card needs a newer key before this one goes: enlight keys new %s", m->place.folder);
		return EX_USAGE;
	}
	if (current > CARD_CURRENT_MAX) {
		cli_error(
			"%zu keys would be in use, and a card lists at most %d: retire the oldest with --retire NUMBER",
			current, CARD_CURRENT_MAX);
		return EX_USAGE;
	}
	return EX_OK;
}

/* ---- the text ---- */

static void write_text(struct buffer *out, const struct making *m, uint32_t number)
{
	const struct card *lines = m->lines.n_keys > 0 ? &m->lines : &m->before;

	card_write(out, &m->roster.origin, m->place.config->member, number, lines->endpoint, m->keys, m->n_keys,
		lines->takes, lines->n_takes);
}

/* Signs by each key in use, and by the identity key when it is at hand. `*complete`: it was. */
static int sign(struct making *m, struct buffer *text, bool *complete)
{
	char *path = offline_path(m->place.folder, "identity.key"), name[NOTE_NAME_MAX + 1];
	const char *member = m->place.config->member;
	const struct roster_member *self = roster_member(&m->roster, member); /* NULL: it joins */
	size_t signed_len = text->len;
	struct identity id = {0};
	struct buffer lines = {0};
	int r = path == NULL ? EX_OSERR : EX_OK;

	*complete = path != NULL && (cli_value(m->c, "identity") != NULL || offline_exists(path));
	if (*complete && r == EX_OK)
		r = offline_identity(&id, m->c, path);
	if (*complete && r == EX_OK && self == NULL && strcmp(id.member, member) != 0) {
		cli_error("this is the identity key of %s, not of %s", id.member, member);
		r = EX_DATAERR;
	}
	if (*complete && r == EX_OK && self != NULL && memcmp(id.public, self->identity, SIGN_PUBLIC_LEN) != 0) {
		cli_error("this is not the identity key that roster %u lists for %s%s", m->roster.number, self->handle,
			m->roster.number > 1 ? "" : " (if a later roster does: enlight roster adopt ROSTER FOLDER)");
		r = EX_DATAERR;
	}
	if (r != EX_OK)
		goto out;
	if (*complete)
		note_sign(&lines, bytes_of(text->data, signed_len), member, id.secret);
	for (size_t i = 0; i < m->n_keys; i++) {
		if (m->keys[i].state != CARD_KEY_CURRENT)
			continue;
		snprintf(name, sizeof name, "%s+%u", member, m->keys[i].number);
		note_sign(&lines, bytes_of(text->data, signed_len), name,
			find_node_keys(m, m->keys[i].number)->sign_secret);
	}
	buffer_str(text, "\n");
	buffer_add(text, lines.data, lines.len);
out:
	identity_wipe(&id);
	buffer_deinit(&lines);
	free(path);
	return r;
}

/* Whether the card before already says all this, signed by the identity key that the roster lists. */
static int find_change(bool *same, const struct making *m)
{
	const struct roster_member *self = roster_member(&m->roster, m->place.config->member);
	struct problems problems = {0};
	struct buffer text = {0};
	int r;

	*same = false;
	if (m->before.n_keys == 0 || self == NULL)
		return EX_OK;
	write_text(&text, m, m->before.number);
	r = card_check(&m->before, self->identity, "card", &problems);
	*same = r == 0 &&
		bytes_equal(bytes_of(text.data, text.len), bytes_of(m->before.note.text, m->before.note.signed_len));
	if (text.error != 0)
		r = text.error;
	problems_deinit(&problems);
	buffer_deinit(&text);
	return r < 0 ? EX_OSERR : EX_OK;
}

static void say_next(const struct making *m, const char *path, bool complete)
{
	const char *folder = m->place.folder;

	if (m->c->dry_run)
		return;
	if (m->lines.n_keys > 0 ? m->lines.endpoint == NULL : m->before.endpoint == NULL)
		offline_say(m->c, "The card has no endpoint: this node only dials out (see %s/card.lines).\n", folder);
	if (!complete)
		offline_say(m->c,
			"%s still lacks the signature of the identity key. Where that key is:\n"
			"  enlight card sign --identity identity.key --output CARD %s\n"
			"then bring it back as %s.\n",
			path, path, m->place.card);
	else
		offline_say(m->c,
			"Next: a node that runs: enlight card import %s\n"
			"      a new one: swap first cards with a member whose node runs (cards/HANDLE.card, or card "
			"import), "
			"and start it\n",
			path);
}

static int make_card(struct making *m)
{
	const char *path = cli_value(m->c, "output");
	struct buffer text = {0};
	char *draft = NULL;
	bool complete, same;
	int r = find_change(&same, m);

	if (r != EX_OK)
		return r;
	if (same) {
		cli_note(m->c, "card %u says all this already; nothing was changed", m->before.number);
		return EX_OK;
	}
	write_text(&text, m, m->before.number + 1);
	r = sign(m, &text, &complete);
	if (r == EX_OK && text.error != 0)
		r = EX_OSERR;
	if (r != EX_OK)
		goto out;
	draft = offline_path(m->place.folder, "%s.card.draft", m->place.config->member);
	if (path == NULL)
		path = complete ? m->place.card : draft;
	r = draft == NULL ? EX_OSERR : offline_write(m->c, path, bytes_of(text.data, text.len), 0644);
	if (r == EX_OK)
		say_next(m, path, complete);
out:
	free(draft);
	buffer_deinit(&text);
	return r;
}

static int run_new(struct cli *c, int argc, char **argv)
{
	struct making m = {.c = c};
	int r = read_all(&m, argc > 0 ? argv[0] : NULL);

	if (r == EX_OK)
		r = collect_keys(&m);
	if (r == EX_OK)
		r = end_keys(&m, "retire", CARD_KEY_RETIRED);
	if (r == EX_OK)
		r = end_keys(&m, "revoke", CARD_KEY_REVOKED);
	if (r == EX_OK)
		r = check_keys(&m);
	if (r == EX_OK)
		r = make_card(&m);
	making_deinit(&m);
	return r;
}

/* ---- other verbs ---- */

static int run_sign(struct cli *c, int argc, char **argv)
{
	struct identity id = {0};
	struct buffer out = {0};
	struct card card;
	int r = offline_card(&card, argv[0]);

	if (r == EX_OK && cli_value(c, "identity") == NULL) {
		cli_error("--identity FILE is needed");
		r = EX_USAGE;
	}
	if (r == EX_OK)
		r = offline_identity(&id, c, NULL);
	if (r == EX_OK && strcmp(id.member, card.member) != 0) {
		cli_error("%s: is a card of %s, and the key belongs to %s", argv[0], card.member, id.member);
		r = EX_DATAERR;
	}
	if (r == EX_OK) {
		r = draft_sign(&out, &card.note, id.member, id.secret);
		if (r == DRAFT_SIGNED)
			cli_note(c, "%s: bears this signature already", argv[0]);
		r = r < 0 ? EX_OSERR : offline_write(c, cli_value(c, "output"), bytes_of(out.data, out.len), 0644);
	}
	identity_wipe(&id);
	buffer_deinit(&out);
	card_deinit(&card);
	return r;
}

/* The roster a card is checked against: --roster, else the configured one. */
static int roster_for(struct roster *out, const struct cli *c)
{
	const char *path = cli_value(c, "roster");
	struct node_folder p;
	int r;

	*out = (struct roster){0};
	if (path != NULL)
		return offline_roster(out, path);
	r = node_folder_open(&p, c, NULL);
	if (r != EX_OK) {
		cli_error("give --roster FILE, or --config");
		return r;
	}
	r = offline_roster(out, p.config->trust.roster);
	node_folder_close(&p);
	return r;
}

static int verify(const struct card *card, const struct roster *roster, const char *name)
{
	const struct roster_member *m = roster_member(roster, card->member);
	struct problems problems = {0};
	int r = 0;

	if (!digest_equal(&card->network, &roster->origin))
		note_problem_at(&problems, name, 1, "a card for another network");
	if (m == NULL)
		note_problem_at(&problems, name, 1, "%s is no member by roster %u", card->member, roster->number);
	else
		r = card_check(card, m->identity, name, &problems);
	return offline_result(r < 0 ? r : problems.total != 0 ? CARD_BAD : 0, &problems);
}

static int run_verify(struct cli *c, int argc, char **argv)
{
	struct roster roster = {0};
	struct card card;
	int r = offline_card(&card, argv[0]);

	if (r == EX_OK)
		r = roster_for(&roster, c);
	if (r == EX_OK)
		r = verify(&card, &roster, argv[0]);
	if (r == EX_OK)
		cli_note(c, "%s: card %u of %s is good by roster %u", argv[0], card.number, card.member, roster.number);
	card_deinit(&card);
	roster_deinit(&roster);
	return r;
}

static json_t *key_rows(const struct card *card)
{
	static const char *const states[] = {
		[CARD_KEY_CURRENT] = "current", [CARD_KEY_RETIRED] = "retired", [CARD_KEY_REVOKED] = "revoked"};
	json_t *rows = json_array();
	char sign_text[BASE64_SIZE(32)], link[BASE64_SIZE(32)];

	for (size_t i = 0; i < card->n_keys; i++) {
		const struct card_key *k = &card->keys[i];

		base64_encode(sign_text, k->sign, sizeof k->sign);
		base64_encode(link, k->link, sizeof k->link);
		json_array_append_new(
			rows, json_pack("{s:i, s:s, s:s, s:s}", "number", (int)k->number, "state", states[k->state],
				      "sign", sign_text, "link", k->state == CARD_KEY_CURRENT ? link : ""));
	}
	return rows;
}

static json_t *card_json(const struct card *card)
{
	json_t *takes = json_array(), *signers = json_array();
	char digest[2 * DIGEST_LEN + 1], network[2 * DIGEST_LEN + 1];

	hex_encode(digest, card->note.digest.bytes, DIGEST_LEN);
	hex_encode(network, card->network.bytes, DIGEST_LEN);
	for (size_t i = 0; i < card->n_takes; i++)
		json_array_append_new(takes, json_string(card->takes[i]));
	for (size_t i = 0; i < card->note.n_signatures; i++)
		json_array_append_new(signers, json_string(card->note.signatures[i].name));
	return json_pack("{s:s, s:I, s:s, s:s, s:s?, s:o, s:o, s:o}", "member", card->member, "number",
		(json_int_t)card->number, "digest", digest, "network", network, "endpoint", card->endpoint, "takes",
		takes, "keys", key_rows(card), "signedBy", signers);
}

static int print_card(const struct cli *c, const json_t *json)
{
	static const struct column columns[] = {
		{"KEY", "number", COLUMN_NUMBER},
		{"STATE", "state", COLUMN_TEXT},
		{"SIGN", "sign", COLUMN_LONG},
		{"LINK", "link", COLUMN_LONG},
	};
	const json_t *item;
	size_t i;

	printf("card %lld of %s\ndigest    %s\nnetwork   %s\nendpoint  %s\ntakes    ",
		(long long)json_integer_value(cli_get(json, "number")), cli_text(json, "member"),
		cli_text(json, "digest"), cli_text(json, "network"),
		*cli_text(json, "endpoint") == '\0' ? "(only dials out)" : cli_text(json, "endpoint"));
	json_array_foreach(cli_get(json, "takes"), i, item) printf(" %s", json_string_value(item));
	printf("\nsigned by");
	json_array_foreach(cli_get(json, "signedBy"), i, item) printf(" %s", json_string_value(item));
	printf("\n\n");
	return cli_table(c, columns, sizeof columns / sizeof *columns, cli_get(json, "keys"));
}

static int run_show(struct cli *c, int argc, char **argv)
{
	struct card card = {0};
	struct node_folder p = {0};
	json_t *json = NULL;
	int r = argc > 0 ? EX_OK : node_folder_open(&p, c, NULL);

	if (r == EX_OK)
		r = offline_card(&card, argc > 0 ? argv[0] : p.card);
	if (r == EX_OK) {
		json = card_json(&card);
		r = json == NULL ? EX_OSERR : c->json ? cli_json(json) : print_card(c, json);
	}
	json_decref(json);
	card_deinit(&card);
	node_folder_close(&p);
	return r;
}

static int run_import(struct cli *c, int argc, char **argv)
{
	struct card card;
	char what[HANDLE_MAX + 32];
	int r = offline_card(&card, argv[0]); /* what is no card at all is said with its line */

	if (r == EX_OK) {
		snprintf(what, sizeof what, "card %u of %s", card.number, card.member);
		r = offline_import(c, argv[0], "/v1/cards", what);
	}
	card_deinit(&card);
	return r;
}

static const struct cli_option new_options[] = {
	{"retire", "NUMBER,...", "Keys that are used no longer"},
	{"revoke", "NUMBER,...", "Keys that may be in wrong hands: nothing new is accepted under them"},
	{"identity", "FILE", "The identity key (default: FOLDER/identity.key, when it is there)"},
	{"passphrase-file", "FILE", "Its passphrase (/dev/stdin to type it)"},
	{"output", "FILE", "Where the card goes (default: the node's folder of cards; - is standard output)"},
	{0},
};

static const struct cli_option sign_options[] = {
	{"identity", "FILE", "The identity key"},
	{"passphrase-file", "FILE", "Its passphrase (/dev/stdin to type it)"},
	{"output", "FILE", "Where the signed card goes (default: standard output)"},
	{0},
};

static const struct cli_option verify_options[] = {
	{"roster", "FILE", "The roster to check against (default: the configured one)"},
	{0},
};

const struct command card_commands[] = {
	{"card import", "CARD", "Give a card to the running node, which passes it on to all", NULL,
		"enlight card import ugent.be.card", 1, 1, cli_reason_options, run_import, false},
	{"card new", "[FOLDER]", "Make this member's next card",
		"Takes the endpoint and topics from card.lines, the keys from the card before and from keys/, and "
		"signs with "
		"them. When the identity key is elsewhere, what comes out is a draft for `enlight card sign`.",
		"enlight card new /etc/enlight\nenlight card new --retire 1 /etc/enlight", 0, 1, new_options, run_new,
		false},
	{"card show", "[CARD]", "Show a card", "Default: this member's own.", "enlight card show ugent.be.card", 0, 1,
		NULL, run_show, false},
	{"card sign", "CARD", "Add the identity key's signature to a card", NULL,
		"enlight card sign --identity identity.key --output ugent.be.card ugent.be.card.draft", 1, 1,
		sign_options, run_sign, false},
	{"card verify", "CARD", "Check a card's signatures against a roster", NULL,
		"enlight card verify --roster roster.note ugent.be.card", 1, 1, verify_options, run_verify, false},
	{0},
};
