#include "core/note.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DASH "\xe2\x80\x94 " /* em dash and a space: begins a signature line */

enum {
	SEALED_LEN = NOTE_HINT_LEN + SIGNATURE_LEN,
	HINT_KIND = 1, /* Ed25519, as in C2SP signed-note */
};

/* What the parser carries along. */
struct reader {
	struct note *n;
	const char *name;
	struct problems *problems;
	size_t n_words; /* of all lines so far */
};

__attribute__((format(printf, 5, 0))) static void add_problem(
	struct problems *p, const char *name, unsigned line, size_t column, const char *format, va_list args)
{
	char *place = NULL, *rule = NULL;

	if (asprintf(&place, "%s:%u:%zu", name, line, column) < 0)
		place = NULL;
	if (vasprintf(&rule, format, args) < 0)
		rule = NULL;
	/* Short of memory it still counts, so that what is wrong is not taken for right. */
	problem_add(p, place == NULL ? name : place, rule == NULL ? "not as it must be" : rule);
	free(place);
	free(rule);
}

/* Characters up to `end`, which is in the same line. */
static size_t column_of(const char *start, const char *end)
{
	size_t column = 1;

	for (; start < end; start++)
		column += (*start & 0xc0) != 0x80;
	return column;
}

void note_problem(
	struct problems *p, const char *name, const struct note_line *line, size_t word, const char *rule, ...)
{
	va_list args;

	assert(word < line->n_words);
	va_start(args, rule);
	add_problem(p, name, line->number, column_of(line->words[0], line->words[word]), rule, args);
	va_end(args);
}

void note_problem_at(struct problems *p, const char *name, unsigned line, const char *rule, ...)
{
	va_list args;

	va_start(args, rule);
	add_problem(p, name, line, 1, rule, args);
	va_end(args);
}

unsigned note_end(const struct note *n)
{
	unsigned line = 1;

	for (size_t i = 0; i < n->text_len; i++)
		line += n->text[i] == '\n';
	return line;
}

/* The length of the UTF-8 character at `p` (RFC 3629: shortest form, no surrogates), 0 when there is none. */
static size_t utf8_char(const uint8_t *p, size_t len, uint32_t *c)
{
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	size_t n;

	for (n = 0; n < 4 && (*p & forms[n].mask) != forms[n].lead;)
		n++;
	if (n == 4 || n >= len)
		return 0;
	*c = *p & (uint8_t)~forms[n].mask;
	for (size_t i = 1; i <= n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < forms[n].least || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return n + 1;
}

static bool readable(uint32_t c)
{
	static const uint32_t hidden[][2] = {
		{0x00, 0x09}, {0x0b, 0x1f}, {0x7f, 0x9f}, {0x2028, 0x202e}, {0x2066, 0x2069}, {0xfeff, 0xfeff}};

	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		if (c >= hidden[i][0] && c <= hidden[i][1])
			return false;
	return true;
}

/* Whether the bytes are text that people read as it is. The first place where they are not is enough to say. */
static bool check_characters(const struct reader *r, struct bytes text)
{
	unsigned line = 1;
	size_t column = 1, n;
	uint32_t c = 0;
	char place[32];
	const char *rule = NULL;

	for (size_t i = 0; i < text.len && rule == NULL; i += n) {
		n = utf8_char(text.data + i, text.len - i, &c);
		if (n == 0)
			rule = "not UTF-8";
		else if (!readable(c))
			rule = "a control character or one that hides or reorders text";
		else if (c == '\n') {
			line++;
			column = 1;
		} else
			column++;
	}
	if (rule == NULL)
		return true;
	snprintf(place, sizeof place, ":%u:%zu", line, column);
	struct problems one = {0};
	problem_add(&one, place, rule);
	problems_move(r->problems, r->name, &one);
	return false;
}

static bool printable(const char *s)
{
	while (*s > ' ' && *s <= '~')
		s++;
	return *s == '\0';
}

/* Cuts a line at its spaces into words, the first of which is the line's. */
static void cut_line(struct reader *r, struct note_line *line, char *text)
{
	line->words = r->n->words + r->n_words;
	line->n_words = 0;
	for (char *p = text;; p++) {
		size_t len = strcspn(p, " ");
		bool last = p[len] == '\0';

		if (line->n_words == NOTE_WORDS_MAX) {
			note_problem_at(
				r->problems, r->name, line->number, "a line has at most %d words", NOTE_WORDS_MAX);
			break;
		}
		p[len] = '\0';
		line->words[line->n_words++] = p;
		if (len == 0) {
			note_problem(r->problems, r->name, line, line->n_words - 1,
				"one space between words, none at the ends of a line");
			break;
		}
		if (last)
			break;
		p += len;
	}
	r->n_words += line->n_words;
	if (!printable(line->words[0])) /* above all, signatures without the empty line before them */
		note_problem_at(r->problems, r->name, line->number,
			"a line begins with a word in ASCII, and an empty line stands before the signatures");
}

static bool name_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NOTE_NAME_MAX && printable(name);
}

static void read_signature(struct reader *r, char *text, unsigned number)
{
	struct note_signature *s = &r->n->signatures[r->n->n_signatures];
	uint8_t sealed[SEALED_LEN];
	char *base64;

	s->number = number;
	s->name = text + strlen(DASH);
	base64 = strncmp(text, DASH, strlen(DASH)) == 0 ? strchr(s->name, ' ') : NULL;
	if (base64 == NULL) {
		note_problem_at(r->problems, r->name, number, "a signature line is an em dash, a name and base64");
		return;
	}
	*base64++ = '\0';
	if (!name_valid(s->name) || !base64_decode(sealed, sizeof sealed, base64, strlen(base64))) {
		note_problem_at(
			r->problems, r->name, number, "a signature is a name and the base64 of %d bytes", SEALED_LEN);
		return;
	}
	memcpy(s->hint, sealed, NOTE_HINT_LEN);
	memcpy(s->signature, sealed + NOTE_HINT_LEN, SIGNATURE_LEN);
	for (size_t i = 0; i < r->n->n_signatures; i++)
		if (strcmp(r->n->signatures[i].name, s->name) == 0 &&
			memcmp(r->n->signatures[i].hint, s->hint, NOTE_HINT_LEN) == 0) {
			note_problem_at(r->problems, r->name, number, "%s has signed with this key already in line %u",
				s->name, r->n->signatures[i].number);
			return;
		}
	r->n->n_signatures++;
}

/* The signature lines, from behind the empty line to the end. */
static void read_signatures(struct reader *r, char *p, const char *end, unsigned number)
{
	if (p == end)
		note_problem_at(r->problems, r->name, number - 1, "an empty line, but no signature after it");
	for (; p < end; number++) {
		char *next = p + strlen(p) + 1;

		if (r->n->n_signatures == NOTE_SIGNATURES_MAX) {
			note_problem_at(r->problems, r->name, number, "more than %d signatures", NOTE_SIGNATURES_MAX);
			return;
		}
		read_signature(r, p, number);
		p = next;
	}
}

/* Memory for as many lines, words and signatures as the text can hold. */
static int make_room(struct note *n, struct bytes text)
{
	size_t lines = 0, spaces = 0, signatures;

	for (size_t i = 0; i < text.len; i++) {
		lines += text.data[i] == '\n';
		spaces += text.data[i] == ' ';
	}
	signatures = lines < NOTE_SIGNATURES_MAX ? lines : NOTE_SIGNATURES_MAX;
	n->text = bytes_dup(text);
	n->text_len = text.len;
	n->memory = bytes_dup(text);
	n->lines = calloc(lines + 1, sizeof *n->lines);
	n->words = calloc(lines + spaces + 1, sizeof *n->words);
	n->signatures = calloc(signatures + 1, sizeof *n->signatures);
	if (n->text == NULL || n->memory == NULL || n->lines == NULL || n->words == NULL || n->signatures == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < text.len; i++)
		if (n->memory[i] == '\n')
			n->memory[i] = '\0';
	return 0;
}

static void check_first_line(struct reader *r, const char *line, const char *kind)
{
	char expected[32];

	snprintf(expected, sizeof expected, "enlight %s 1", kind);
	if (strcmp(line, expected) != 0)
		note_problem_at(r->problems, r->name, 1,
			"the first line is `%s`: this is something else or a later format", expected);
}

static void read_lines(struct reader *r, const char *kind)
{
	struct note *n = r->n;
	char *p = n->memory, *end = n->memory + n->text_len;
	unsigned number = 1;

	check_first_line(r, p, kind);
	p += strlen(p) + 1;
	for (number = 2; p < end && *p != '\0'; number++) {
		char *next = p + strlen(p) + 1;

		n->lines[n->n_lines].number = number;
		cut_line(r, &n->lines[n->n_lines++], p);
		p = next;
	}
	n->signed_len = (size_t)(p - n->memory);
	if (p < end)
		read_signatures(r, p + 1, end, number + 1);
}

int note_parse(struct note *out, const char *kind, const char *name, struct bytes text, struct problems *problems)
{
	struct reader r = {.n = out, .name = name, .problems = problems};
	size_t before = problems->total;
	int result = NOTE_BAD;

	*out = (struct note){0};
	if (text.len == 0 || text.len > NOTE_MAX) {
		note_problem_at(problems, name, 1, "a note has 1 to %d bytes", NOTE_MAX);
		goto out;
	}
	if (!check_characters(&r, text))
		goto out;
	if (text.data[text.len - 1] != '\n') {
		note_problem_at(problems, name, 1, "the last line has no line end: the file is cut short");
		goto out;
	}
	result = make_room(out, text);
	if (result != 0)
		goto out;
	read_lines(&r, kind);
	digest_plain(&out->digest, bytes_of(out->text, out->signed_len));
	result = problems->total == before ? 0 : NOTE_BAD;
out:
	if (result != 0)
		note_deinit(out);
	return result;
}

void note_deinit(struct note *n)
{
	free(n->memory);
	free(n->words);
	free(n->text);
	free(n->lines);
	free(n->signatures);
	*n = (struct note){0};
}

static const struct note_word *find_word(const struct note_word *words, size_t n_words, const char *word)
{
	for (size_t i = 0; i < n_words; i++)
		if (strcmp(words[i].word, word) == 0)
			return &words[i];
	return NULL;
}

static const struct note_line *first_with(const struct note *n, const char *word)
{
	for (size_t i = 0; i < n->n_lines; i++)
		if (strcmp(n->lines[i].words[0], word) == 0)
			return &n->lines[i];
	return NULL;
}

/* Whether a known word may stand here, with these values. */
static bool check_line(const struct note *n, const struct note_word *w, const struct note_line *line, const char *name,
	struct problems *problems)
{
	size_t values = line->n_words - 1;

	if (values < w->min || values > w->max) {
		note_problem(problems, name, line, 0, "`%s` has %s values", w->word,
			values < w->min ? "too few" : "too many");
		return false;
	}
	if (!w->many && first_with(n, w->word) != line) {
		note_problem(problems, name, line, 0, "`%s` stands once", w->word);
		return false;
	}
	return true;
}

int note_walk(const struct note *n, const struct note_word *words, size_t n_words, void *into, const char *name,
	struct problems *problems)
{
	int r;

	for (size_t i = 0; i < n->n_lines; i++) {
		const struct note_line *line = &n->lines[i];
		const struct note_word *w = find_word(words, n_words, line->words[0]);

		if (w == NULL && line->words[0][0] == '!')
			note_problem(
				problems, name, line, 0, "a rule that this version does not know and must not ignore");
		if (w == NULL || !check_line(n, w, line, name, problems))
			continue;
		r = w->take(into, line, name, problems);
		if (r != 0)
			return r;
	}
	for (size_t i = 0; i < n_words; i++)
		if (words[i].required && first_with(n, words[i].word) == NULL)
			note_problem_at(problems, name, 1, "a line `%s` is missing", words[i].word);
	return 0;
}

bool note_number(uint32_t *out, const char *word, uint32_t max)
{
	uint64_t v = 0;

	if (word[0] < '1' || word[0] > '9')
		return false;
	for (; *word != '\0'; word++) {
		if (*word < '0' || *word > '9')
			return false;
		v = v * 10 + (uint64_t)(*word - '0');
		if (v > max)
			return false;
	}
	*out = (uint32_t)v;
	return true;
}

static void make_hint(uint8_t hint[static NOTE_HINT_LEN], const char *name, const uint8_t key[static SIGN_PUBLIC_LEN])
{
	static const uint8_t separator[] = {0x0a, HINT_KIND};
	crypto_generichash_state state;
	struct digest d;

	crypto_generichash_init(&state, NULL, 0, sizeof d.bytes);
	crypto_generichash_update(&state, (const uint8_t *)name, strlen(name));
	crypto_generichash_update(&state, separator, sizeof separator);
	crypto_generichash_update(&state, key, SIGN_PUBLIC_LEN);
	crypto_generichash_final(&state, d.bytes, sizeof d.bytes);
	memcpy(hint, d.bytes, NOTE_HINT_LEN);
}

bool note_verify(const struct note *n, const struct note_signature *s, const uint8_t key[static SIGN_PUBLIC_LEN])
{
	uint8_t hint[NOTE_HINT_LEN];

	make_hint(hint, s->name, key);
	return memcmp(hint, s->hint, sizeof hint) == 0 &&
	       crypto_sign_verify_detached(s->signature, (const uint8_t *)n->text, n->signed_len, key) == 0;
}

bool note_signed_by(const struct note *n, const char *name, const uint8_t key[static SIGN_PUBLIC_LEN])
{
	for (size_t i = 0; i < n->n_signatures; i++)
		if (strcmp(n->signatures[i].name, name) == 0 && note_verify(n, &n->signatures[i], key))
			return true;
	return false;
}

void note_sign(struct buffer *out, struct bytes text, const char *name, const uint8_t secret[static 64])
{
	struct note_signature s = {.name = name};

	make_hint(s.hint, name, secret + crypto_sign_SEEDBYTES); /* libsodium keeps the public half behind the seed */
	crypto_sign_detached(s.signature, NULL, text.data, text.len, secret);
	note_signature_write(out, &s);
}

void note_signature_write(struct buffer *out, const struct note_signature *s)
{
	uint8_t sealed[SEALED_LEN];
	char base64[BASE64_SIZE(SEALED_LEN)];

	memcpy(sealed, s->hint, NOTE_HINT_LEN);
	memcpy(sealed + NOTE_HINT_LEN, s->signature, SIGNATURE_LEN);
	base64_encode(base64, sealed, sizeof sealed);
	buffer_printf(out, DASH "%s %s\n", s->name, base64);
}
