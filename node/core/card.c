#include "core/card.h"

#include "core/handle.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_words[] = {
	[CARD_KEY_CURRENT] = "key", [CARD_KEY_RETIRED] = "retired", [CARD_KEY_REVOKED] = "revoked"};

static int take_network(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct card *c = into;
	const char *word = line->words[1];

	if (strspn(word, "0123456789abcdef") != strlen(word) || !hex_decode(c->network.bytes, DIGEST_LEN, word))
		note_problem(problems, name, line, 1, "the digest of the network's roster 1 in hexadecimal");
	return 0;
}

static int take_member(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct card *c = into;

	c->member = line->words[1];
	if (!handle_valid(c->member))
		note_problem(problems, name, line, 1,
			"a handle is a domain name in lower case of at most %d characters", HANDLE_MAX);
	return 0;
}

static int take_number(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct card *c = into;

	if (!note_number(&c->number, line->words[1], UINT32_MAX))
		note_problem(problems, name, line, 1, "a card's number is 1, 2, 3 ...");
	return 0;
}

bool endpoint_valid(const char *endpoint)
{
	static const char scheme[] = "tcp://";
	const char *host = endpoint + strlen(scheme), *colon;
	size_t len;
	uint32_t port;

	if (strncmp(endpoint, scheme, strlen(scheme)) != 0 || strlen(endpoint) > CARD_ENDPOINT_MAX)
		return false;
	colon = strrchr(host, ':');
	if (colon == NULL || !note_number(&port, colon + 1, 65535))
		return false;
	len = (size_t)(colon - host);
	if (len > 2 && host[0] == '[' && host[len - 1] == ']')
		return strspn(host + 1, "0123456789abcdefABCDEF:.") == len - 2;
	return len > 0 && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == len;
}

static int take_endpoint(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct card *c = into;

	c->endpoint = line->words[1];
	if (!endpoint_valid(c->endpoint))
		note_problem(problems, name, line, 1, "an endpoint is tcp://HOST:PORT");
	return 0;
}

/* A public key behind its word: `sign BASE64`. */
static void take_public(uint8_t out[static 32], const struct note_line *line, size_t at, const char *word,
	const char *name, struct problems *problems)
{
	const char *text = line->words[at + 1];

	if (strcmp(line->words[at], word) != 0)
		note_problem(problems, name, line, at, "`%s` and a key's base64 stand here", word);
	else if (!base64_decode(out, 32, text, strlen(text)))
		note_problem(problems, name, line, at + 1, "a key is the base64 of 32 bytes");
}

static int take_key(struct card *c, enum card_key_state state, const struct note_line *line, const char *name,
	struct problems *problems)
{
	struct card_key *k = &c->keys[c->n_keys];

	if (c->n_keys == KEY_NUMBERS_MAX) {
		note_problem(problems, name, line, 0, "a member has at most %d keys", KEY_NUMBERS_MAX);
		return 0;
	}
	*k = (struct card_key){.state = state, .line = line->number};
	if (!note_number(&k->number, line->words[1], KEY_NUMBERS_MAX))
		note_problem(problems, name, line, 1, "a key's number is 1 to %d", KEY_NUMBERS_MAX);
	take_public(k->sign, line, 2, "sign", name, problems);
	if (state == CARD_KEY_CURRENT)
		take_public(k->link, line, 4, "link", name, problems);
	c->n_keys++;
	return 0;
}

static int take_current(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	return take_key(into, CARD_KEY_CURRENT, line, name, problems);
}

static int take_retired(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	return take_key(into, CARD_KEY_RETIRED, line, name, problems);
}

static int take_revoked(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	return take_key(into, CARD_KEY_REVOKED, line, name, problems);
}

/* Topics this version does not know are fine: only the form is checked. */
static int take_takes(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct card *c = into;

	for (size_t i = 1; i < line->n_words; i++) {
		const char *word = line->words[i];

		if (strlen(word) > TYPE_MAX || strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789.-*") != strlen(word))
			note_problem(problems, name, line, i, "a pattern of topics is like `course.*`");
		c->takes[c->n_takes++] = word;
	}
	return 0;
}

static const struct note_word words[] = {
	{"network", 1, 1, true, false, take_network},
	{"member", 1, 1, true, false, take_member},
	{"number", 1, 1, true, false, take_number},
	{"endpoint", 1, 1, false, false, take_endpoint},
	{"key", 5, 5, true, true, take_current},
	{"retired", 3, 3, false, true, take_retired},
	{"revoked", 3, 3, false, true, take_revoked},
	{"takes", 1, NOTE_WORDS_MAX, false, true, take_takes},
};

static bool is_key_line(const struct note_line *line)
{
	for (size_t i = 0; i < sizeof state_words / sizeof *state_words; i++)
		if (strcmp(line->words[0], state_words[i]) == 0)
			return true;
	return false;
}

static int make_room(struct card *c)
{
	size_t keys = 0, takes = 0;

	for (size_t i = 0; i < c->note.n_lines; i++) {
		if (strcmp(c->note.lines[i].words[0], "takes") == 0)
			takes += c->note.lines[i].n_words - 1;
		keys += is_key_line(&c->note.lines[i]);
	}
	if (keys > KEY_NUMBERS_MAX)
		keys = KEY_NUMBERS_MAX;
	c->keys = calloc(keys + 1, sizeof *c->keys);
	c->takes = calloc(takes + 1, sizeof *c->takes);
	return c->keys == NULL || c->takes == NULL ? -ENOMEM : 0;
}

static int compare_keys(const void *a, const void *b)
{
	uint32_t x = ((const struct card_key *)a)->number, y = ((const struct card_key *)b)->number;

	return x < y ? -1 : x > y;
}

static bool same_link(const struct card_key *a, const struct card_key *b)
{
	return a->state == CARD_KEY_CURRENT && b->state == CARD_KEY_CURRENT &&
	       memcmp(a->link, b->link, sizeof a->link) == 0;
}

/* Keys are sorted by number here. */
static void check_keys(const struct card *c, const char *name, struct problems *problems)
{
	size_t current = 0;

	for (size_t i = 0; i < c->n_keys; i++) {
		const struct card_key *k = &c->keys[i];

		current += k->state == CARD_KEY_CURRENT;
		if (i > 0 && k[-1].number == k->number)
			note_problem_at(problems, name, k->line, "the key number of line %u again", k[-1].line);
		for (size_t j = 0; j < i; j++)
			if (memcmp(c->keys[j].sign, k->sign, sizeof k->sign) == 0 || same_link(&c->keys[j], k))
				note_problem_at(problems, name, k->line, "the key of line %u again", c->keys[j].line);
	}
	if (current > CARD_CURRENT_MAX)
		note_problem_at(problems, name, 1, "at most %d keys are in use", CARD_CURRENT_MAX);
	if (c->n_keys > 0 && c->keys[c->n_keys - 1].state != CARD_KEY_CURRENT)
		note_problem_at(problems, name, c->keys[c->n_keys - 1].line,
			"the highest key number is of a key in use: give a new key a higher number");
}

int card_parse(struct card *out, const char *name, struct bytes text, struct problems *problems)
{
	size_t before = problems->total;
	int result;

	*out = (struct card){0};
	result = note_parse(&out->note, "card", name, text, problems);
	if (result == NOTE_BAD)
		result = CARD_BAD;
	if (result != 0)
		goto out;
	result = make_room(out);
	if (result == 0)
		result = note_walk(&out->note, words, sizeof words / sizeof *words, out, name, problems);
	if (result != 0)
		goto out;
	qsort(out->keys, out->n_keys, sizeof *out->keys, compare_keys);
	if (problems->total == before) /* else what follows would only repeat it */
		check_keys(out, name, problems);
	result = problems->total == before ? 0 : CARD_BAD;
out:
	if (result != 0)
		card_deinit(out);
	return result;
}

void card_deinit(struct card *c)
{
	free(c->keys);
	free(c->takes);
	note_deinit(&c->note);
	*c = (struct card){0};
}

/* The name under which a node key signs. */
static void key_name(char out[static NOTE_NAME_MAX + 1], const char *member, uint32_t number)
{
	snprintf(out, NOTE_NAME_MAX + 1, "%s+%u", member, number);
}

/* Whether a signature is one that belongs on the card. */
static bool signature_fits(const struct card *c, const struct note_signature *s, const uint8_t *identity)
{
	char key[NOTE_NAME_MAX + 1];

	if (strcmp(s->name, c->member) == 0)
		return note_verify(&c->note, s, identity);
	for (size_t i = 0; i < c->n_keys; i++) {
		key_name(key, c->member, c->keys[i].number);
		if (c->keys[i].state == CARD_KEY_CURRENT && strcmp(s->name, key) == 0)
			return note_verify(&c->note, s, c->keys[i].sign);
	}
	return false;
}

static bool has_signature(const struct card *c, const char *signer)
{
	for (size_t i = 0; i < c->note.n_signatures; i++)
		if (strcmp(c->note.signatures[i].name, signer) == 0)
			return true;
	return false;
}

int card_check(const struct card *c, const uint8_t identity[static SIGN_PUBLIC_LEN], const char *name,
	struct problems *problems)
{
	size_t before = problems->total;
	char key[NOTE_NAME_MAX + 1];

	for (size_t i = 0; i < c->note.n_signatures; i++) {
		const struct note_signature *s = &c->note.signatures[i];

		if (!signature_fits(c, s, identity))
			note_problem_at(problems, name, s->number,
				"the signature of %s does not verify: the text has changed since, or it is another's "
				"key",
				s->name);
	}
	if (!has_signature(c, c->member))
		note_problem_at(problems, name, note_end(&c->note), "not signed by the identity key of %s", c->member);
	for (size_t i = 0; i < c->n_keys; i++) {
		key_name(key, c->member, c->keys[i].number);
		if (c->keys[i].state == CARD_KEY_CURRENT && !has_signature(c, key))
			note_problem_at(problems, name, c->keys[i].line,
				"not signed by node key %u: nothing shows that %s holds it", c->keys[i].number,
				c->member);
	}
	return problems->total == before ? 0 : CARD_BAD;
}

const struct card_key *card_key(const struct card *c, uint32_t number)
{
	struct card_key key = {.number = number};

	return bsearch(&key, c->keys, c->n_keys, sizeof *c->keys, compare_keys);
}

const struct card_key *card_newest_key(const struct card *c)
{
	assert(c->n_keys > 0 && c->keys[c->n_keys - 1].state == CARD_KEY_CURRENT);
	return &c->keys[c->n_keys - 1];
}

static void write_key(struct buffer *out, const struct card_key *k)
{
	char base64[BASE64_SIZE(32)];

	base64_encode(base64, k->sign, sizeof k->sign);
	buffer_printf(out, "%s %u sign %s", state_words[k->state], k->number, base64);
	if (k->state == CARD_KEY_CURRENT) {
		base64_encode(base64, k->link, sizeof k->link);
		buffer_printf(out, " link %s", base64);
	}
	buffer_str(out, "\n");
}

void card_write(struct buffer *out, const struct digest *network, const char *member, uint32_t number,
	const char *endpoint, const struct card_key *keys, size_t n_keys, const char *const *takes, size_t n_takes)
{
	char hex[2 * DIGEST_LEN + 1];

	hex_encode(hex, network->bytes, sizeof network->bytes);
	buffer_printf(out, "enlight card 1\nnetwork %s\nmember %s\nnumber %u\n", hex, member, number);
	if (endpoint != NULL)
		buffer_printf(out, "endpoint %s\n", endpoint);
	for (size_t i = 0; i < n_keys; i++)
		write_key(out, &keys[i]);
	for (size_t i = 0; i < n_takes; i++)
		buffer_printf(out, "%s%s%s", i % (NOTE_WORDS_MAX - 1) == 0 ? "takes " : " ", takes[i],
			i + 1 == n_takes || (i + 1) % (NOTE_WORDS_MAX - 1) == 0 ? "\n" : "");
}
