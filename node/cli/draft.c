#include "cli/draft.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A roster's lines that come from somewhere, before they are put in order. */
struct line {
	char *text;   /* owned, without the line end */
	char *word;   /* owned: member, alias or another */
	char *handle; /* owned: the second word, "" when there is none */
	const char *file;
	unsigned number;
};

struct lines {
	struct line *items;
	size_t n, size;
};

static void line_deinit(struct line *l)
{
	free(l->text);
	free(l->word);
	free(l->handle);
}

static void lines_deinit(struct lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		line_deinit(&lines->items[i]);
	free(lines->items);
	*lines = (struct lines){0};
}

/* Adds a line, which is `len` bytes of `text`. 0 or -ENOMEM. */
static int lines_add(struct lines *lines, const char *text, size_t len, const char *file, unsigned number)
{
	struct line l = {.file = file, .number = number};
	size_t word, handle;

	if (lines->n == lines->size) {
		size_t size = lines->size == 0 ? 32 : 2 * lines->size;
		struct line *items = realloc(lines->items, size * sizeof *items);

		if (items == NULL)
			return -ENOMEM;
		lines->items = items;
		lines->size = size;
	}
	l.text = bytes_dup(bytes_of(text, len));
	if (l.text == NULL)
		return -ENOMEM;
	word = strcspn(l.text, " ");
	handle = l.text[word] == '\0' ? 0 : strcspn(l.text + word + 1, " ");
	l.word = strndup(l.text, word);
	l.handle = strndup(handle == 0 ? "" : l.text + word + 1, handle);
	if (l.word == NULL || l.handle == NULL) {
		line_deinit(&l);
		return -ENOMEM;
	}
	lines->items[lines->n++] = l;
	return 0;
}

static void lines_remove(struct lines *lines, size_t i)
{
	line_deinit(&lines->items[i]);
	memmove(lines->items + i, lines->items + i + 1, (lines->n - i - 1) * sizeof *lines->items);
	lines->n--;
}

static struct line *find_member(const struct lines *lines, const char *handle)
{
	for (size_t i = 0; i < lines->n; i++)
		if (strcmp(lines->items[i].word, "member") == 0 && strcmp(lines->items[i].handle, handle) == 0)
			return &lines->items[i];
	return NULL;
}

/* Takes the `member` and `alias` lines of a file. */
static int lines_read(struct lines *lines, const struct draft_file *file, struct problems *problems)
{
	const char *p = (const char *)file->text.data, *end = p + file->text.len;
	unsigned number = 1;
	int r;

	for (; p < end; number++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((stop == NULL ? end : stop) - p);

		if (len > 0 && *p != '#') {
			r = lines_add(lines, p, len, file->name, number);
			if (r != 0)
				return r;
			const char *word = lines->items[lines->n - 1].word;
			if (strcmp(word, "member") != 0 && strcmp(word, "alias") != 0) {
				note_problem_at(problems, file->name, number,
					"a line here begins with `member` or `alias` (`enlight init` writes such a "
					"file)");
				lines_remove(lines, lines->n - 1);
			}
		}
		p += len + 1;
	}
	return 0;
}

/* Members first, in the order a roster has them, then aliases, then the rest as it came. */
static int rank(const struct line *l)
{
	return strcmp(l->word, "member") == 0 ? 0 : strcmp(l->word, "alias") == 0 ? 1 : 2;
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int order = rank(x) - rank(y);

	if (order == 0 && rank(x) == 0)
		order = strcmp(x->handle, y->handle);
	if (order == 0)
		order = x->number < y->number ? -1 : x->number > y->number;
	return order;
}

/* Says of every handle that has several lines where they are; roster_parse() could only say that the order is wrong. */
static bool check_once(const struct lines *lines, struct problems *problems)
{
	bool good = true;

	for (size_t i = 1; i < lines->n; i++) {
		const struct line *a = &lines->items[i - 1], *b = &lines->items[i];

		if (rank(a) != 0 || rank(b) != 0 || strcmp(a->handle, b->handle) != 0)
			continue;
		note_problem_at(
			problems, b->file, b->number, "%s has a line in %s:%u already", b->handle, a->file, a->number);
		good = false;
	}
	return good;
}

/* Moves problems of the made text to the lines it was made of; `first` is the number of the first one there. */
static void blame(struct problems *to, struct problems *found, const struct lines *lines, unsigned first)
{
	for (size_t i = 0; i < found->n; i++) {
		unsigned number = 0, column = 0;
		char place[32];

		if (sscanf(found->items[i].place, ":%u:%u", &number, &column) != 2 || number < first ||
			number - first >= lines->n) {
			problem_add(to, "roster", found->items[i].rule);
			continue;
		}
		const struct line *l = &lines->items[number - first];
		struct problems one = {0};

		snprintf(place, sizeof place, ":%u:%u", l->number, column);
		problem_add(&one, place, found->items[i].rule);
		problems_move(to, l->file, &one);
	}
	to->total += found->total - found->n;
	problems_deinit(found);
}

static unsigned count_members(const struct lines *lines)
{
	unsigned n = 0;

	for (size_t i = 0; i < lines->n; i++)
		n += rank(&lines->items[i]) == 0;
	return n;
}

/* Puts a roster together behind its head, checks it, and appends it to `out`. `lines` gets sorted. */
static int finish(
	struct buffer *out, struct buffer *head, unsigned quorum, struct lines *lines, struct problems *problems)
{
	struct problems found = {0};
	struct roster r;
	unsigned first = 1;
	int result;

	if (lines->n > 0)
		qsort(lines->items, lines->n, sizeof *lines->items, compare_lines);
	if (!check_once(lines, problems))
		return DRAFT_BAD;
	buffer_printf(head, "quorum %u\n", quorum != 0 ? quorum : count_members(lines) / 2 + 1);
	for (size_t i = 0; i < head->len; i++)
		first += head->data[i] == '\n';
	for (size_t i = 0; i < lines->n; i++)
		buffer_printf(head, "%s\n", lines->items[i].text);
	if (head->error != 0)
		return head->error;
	result = roster_parse(&r, "", bytes_of(head->data, head->len), &found);
	if (result == 0) {
		roster_deinit(&r);
		buffer_add(out, head->data, head->len);
		result = out->error;
	} else if (result == ROSTER_BAD) {
		result = DRAFT_BAD;
	}
	blame(problems, &found, lines, first);
	return result;
}

int draft_first(struct buffer *out, const char *network, unsigned quorum, const struct draft_file *files,
	size_t n_files, struct problems *problems)
{
	struct lines lines = {0};
	struct buffer head = {0};
	size_t before = problems->total;
	int r = 0;

	for (size_t i = 0; i < n_files && r == 0; i++)
		r = lines_read(&lines, &files[i], problems);
	if (r == 0 && problems->total != before)
		r = DRAFT_BAD;
	if (r != 0)
		goto out;
	buffer_printf(&head, "enlight roster 1\nnetwork %s\nnumber 1\nprevious none\n", network);
	r = finish(out, &head, quorum, &lines, problems);
out:
	buffer_deinit(&head);
	lines_deinit(&lines);
	return r;
}

static bool is_head(const char *word)
{
	static const char *const words[] = {"network", "number", "previous", "origin", "quorum"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* All lines of a roster but its head. */
static int lines_of(struct lines *lines, const struct roster *from, const char *name)
{
	int r = 0;

	for (size_t i = 0; i < from->note.n_lines && r == 0; i++) {
		const struct note_line *l = &from->note.lines[i];
		struct buffer text = {0};

		if (is_head(l->words[0]))
			continue;
		for (size_t j = 0; j < l->n_words; j++)
			buffer_printf(&text, "%s%s", j == 0 ? "" : " ", l->words[j]);
		r = text.error;
		if (r == 0)
			r = lines_add(lines, (const char *)text.data, text.len, name, l->number);
		buffer_deinit(&text);
	}
	return r;
}

/* The handle of a member that is named by it or by an alias; otherwise the name. */
static const char *handle_of(const struct roster *from, const char *name)
{
	const char *handle = roster_resolve(from, name);

	return handle == NULL ? name : handle;
}

static void remove_member(struct lines *lines, const char *handle, struct problems *problems)
{
	if (find_member(lines, handle) == NULL) {
		problem_addf(problems, "--remove", "%s is no member", handle);
		return;
	}
	for (size_t i = lines->n; i-- > 0;)
		if (rank(&lines->items[i]) < 2 && strcmp(lines->items[i].handle, handle) == 0)
			lines_remove(lines, i);
}

/* Puts the lines of `file` in the place of those of the same members. */
static int rekey(struct lines *lines, const struct draft_file *file, struct problems *problems)
{
	struct lines new = {0};
	int r = lines_read(&new, file, problems);

	for (size_t i = 0; i < new.n &&r == 0; i++) {
		struct line *l = &new.items[i], *old = find_member(lines, l->handle), swap;

		if (rank(l) != 0 || old == NULL) {
			note_problem_at(
				problems, l->file, l->number, "no line of a present member: a new one comes by --add");
		} else if (strcmp(old->text, l->text) == 0) {
			note_problem_at(problems, l->file, l->number, "this line stands in the roster already");
		} else {
			swap = *old;
			*old = *l;
			*l = swap;
		}
	}
	lines_deinit(&new);
	return r;
}

static int add_alias(struct lines *lines, const struct roster *from, const char *alias, struct problems *problems)
{
	const char *equals = strchr(alias, '=');
	char member[HANDLE_MAX + 1];
	struct buffer text = {0};
	int r;

	if (equals == NULL || equals - alias > HANDLE_MAX) {
		problem_add(problems, "--alias", "an alias is HANDLE=DOMAIN");
		return 0;
	}
	snprintf(member, sizeof member, "%.*s", (int)(equals - alias), alias);
	buffer_printf(&text, "alias %s %s", handle_of(from, member), equals + 1);
	r = text.error;
	if (r == 0)
		r = lines_add(lines, (const char *)text.data, text.len, "--alias", 1);
	buffer_deinit(&text);
	return r;
}

static int change(
	struct lines *lines, const struct roster *from, const struct draft_changes *c, struct problems *problems)
{
	int r = 0;

	if (c->n_add + c->n_rekey + c->n_remove + c->n_alias == 0 && c->quorum == 0)
		problem_add(problems, "roster", "nothing would change: --add, --remove, --rekey, --alias or --quorum");
	for (size_t i = 0; i < c->n_remove; i++)
		remove_member(lines, handle_of(from, c->remove[i]), problems);
	for (size_t i = 0; i < c->n_rekey && r == 0; i++)
		r = rekey(lines, &c->rekey[i], problems);
	for (size_t i = 0; i < c->n_add && r == 0; i++)
		r = lines_read(lines, &c->add[i], problems);
	for (size_t i = 0; i < c->n_alias && r == 0; i++)
		r = add_alias(lines, from, c->alias[i], problems);
	return r;
}

static void write_head(struct buffer *out, const struct roster *from)
{
	char previous[2 * DIGEST_LEN + 1], origin[2 * DIGEST_LEN + 1];

	hex_encode(previous, from->note.digest.bytes, DIGEST_LEN);
	hex_encode(origin, from->origin.bytes, DIGEST_LEN);
	buffer_printf(out, "enlight roster 1\nnetwork %s\nnumber %u\nprevious %s\norigin %s\n", from->network,
		from->number + 1, previous, origin);
}

int draft_next(struct buffer *out, const struct roster *from, const char *name, const struct draft_changes *changes,
	struct problems *problems)
{
	struct lines lines = {0};
	struct buffer head = {0};
	size_t before = problems->total;
	unsigned quorum = changes->quorum;
	int r = lines_of(&lines, from, name);

	if (r == 0)
		r = change(&lines, from, changes, problems);
	if (r == 0 && problems->total != before)
		r = DRAFT_BAD;
	if (r != 0)
		goto out;
	if (quorum == 0 && from->quorum > count_members(&lines) / 2 && from->quorum <= count_members(&lines))
		quorum = from->quorum;
	write_head(&head, from);
	r = finish(out, &head, quorum, &lines, problems);
out:
	buffer_deinit(&head);
	lines_deinit(&lines);
	return r;
}

int draft_sign(struct buffer *out, const struct note *n, const char *name, const uint8_t secret[static SIGN_SECRET_LEN])
{
	bool has = note_signed_by(n, name, secret + SIGN_SECRET_LEN - SIGN_PUBLIC_LEN);

	buffer_add(out, n->text, n->text_len);
	if (!has && n->n_signatures == 0)
		buffer_str(out, "\n");
	if (!has)
		note_sign(out, bytes_of(n->text, n->signed_len), name, secret);
	return out->error != 0 ? out->error : has ? DRAFT_SIGNED : 0;
}

static int compare_signatures(const void *a, const void *b)
{
	const struct note_signature *x = *(const struct note_signature *const *)a;
	const struct note_signature *y = *(const struct note_signature *const *)b;
	int order = strcmp(x->name, y->name);

	return order != 0 ? order : memcmp(x->hint, y->hint, sizeof x->hint);
}

/* The signatures of all, each once. */
static int write_merged(struct buffer *out, const struct note *notes, size_t n)
{
	const struct note_signature **all;
	size_t count = 0, k = 0;

	for (size_t i = 0; i < n; i++)
		count += notes[i].n_signatures;
	all = calloc(count + 1, sizeof(struct note_signature *));
	if (all == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < notes[i].n_signatures; j++)
			all[k++] = &notes[i].signatures[j];
	qsort(all, count, sizeof(struct note_signature *), compare_signatures);
	buffer_add(out, notes[0].text, notes[0].signed_len);
	if (count > 0)
		buffer_str(out, "\n");
	for (size_t i = 0; i < count; i++)
		if (i == 0 || compare_signatures(&all[i - 1], &all[i]) != 0)
			note_signature_write(out, all[i]);
	free(all);
	return out->error;
}

int draft_merge(struct buffer *out, const char *kind, const struct draft_file *copies, size_t n_copies,
	struct problems *problems)
{
	struct note *notes = calloc(n_copies + 1, sizeof *notes);
	size_t before = problems->total;
	int r = 0;

	assert(n_copies > 0);
	if (notes == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_copies; i++) {
		r = note_parse(&notes[i], kind, copies[i].name, copies[i].text, problems);
		if (r < 0)
			goto out;
		if (r == 0 && notes[0].text != NULL && !digest_equal(&notes[i].digest, &notes[0].digest))
			note_problem_at(problems, copies[i].name, 1,
				"another text than %s: signatures of different texts cannot "
				"be united",
				copies[0].name);
	}
	r = problems->total == before ? write_merged(out, notes, n_copies) : DRAFT_BAD;
out:
	for (size_t i = 0; i < n_copies; i++)
		note_deinit(&notes[i]);
	free(notes);
	return r;
}
