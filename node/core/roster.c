#include "core/roster.h"

#include "core/handle.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_network(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct roster *r = into;
	const char *word = line->words[1];
	size_t len = strlen(word);

	if (len > HANDLE_MAX || strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789.-") != len)
		note_problem(
			problems, name, line, 1, "a network's name is 1 to %d of a-z, 0-9, `.` and `-`", HANDLE_MAX);
	r->network = word;
	return 0;
}

static int take_number(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct roster *r = into;

	if (!note_number(&r->number, line->words[1], UINT32_MAX))
		note_problem(problems, name, line, 1, "a roster's number is 1, 2, 3 ...");
	return 0;
}

static bool take_digest(struct digest *out, const char *word)
{
	return strspn(word, "0123456789abcdef") == strlen(word) && hex_decode(out->bytes, sizeof out->bytes, word);
}

static int take_previous(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct roster *r = into;

	r->first = strcmp(line->words[1], "none") == 0;
	if (!r->first && !take_digest(&r->previous, line->words[1]))
		note_problem(problems, name, line, 1, "the digest of the roster before in hexadecimal, or `none`");
	return 0;
}

static int take_origin(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct roster *r = into;

	if (!take_digest(&r->origin, line->words[1]))
		note_problem(problems, name, line, 1, "the digest of the network's roster 1 in hexadecimal");
	return 0;
}

static int take_quorum(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct roster *r = into;
	uint32_t quorum = 0;

	if (!note_number(&quorum, line->words[1], MEMBERS_MAX))
		note_problem(problems, name, line, 1, "a quorum is a number of members");
	r->quorum = quorum;
	return 0;
}

/* A name of several words: they stand one behind the other in memory, where its spaces became NULs. */
static char *join_words(const char **words, size_t n)
{
	const char *end = words[n - 1] + strlen(words[n - 1]);
	char *name = bytes_dup(bytes_of(words[0], (size_t)(end - words[0])));

	if (name != NULL)
		for (char *p = name; p < name + (end - words[0]); p++)
			if (*p == '\0')
				*p = ' ';
	return name;
}

/* Place of a member: at the end, where the file must have it. */
static void check_member(const struct roster *r, const struct roster_member *m, const struct note_line *line,
	const char *name, struct problems *problems)
{
	if (!handle_valid(m->handle))
		note_problem(problems, name, line, 1,
			"a handle is a domain name in lower case of at most %d characters", HANDLE_MAX);
	else if (r->n_members > 0 && strcmp(r->members[r->n_members - 1].handle, m->handle) >= 0)
		note_problem(problems, name, line, 1, "members stand in byte order of their handles, each once");
	if (strlen(m->country) != 2 || strspn(m->country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 2)
		note_problem(problems, name, line, 2, "a country is two capitals (ISO 3166-1)");
	for (size_t i = 0; i < r->n_members; i++)
		if (memcmp(r->members[i].identity, m->identity, SIGN_PUBLIC_LEN) == 0)
			note_problem(problems, name, line, 3, "the identity key of %s too: each member has its own",
				r->members[i].handle);
}

static int take_member(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct roster *r = into;
	struct roster_member m = {.handle = line->words[1], .country = line->words[2], .line = line->number};

	if (r->n_members == MEMBERS_MAX) {
		note_problem(problems, name, line, 0, "a roster has at most %d members", MEMBERS_MAX);
		return 0;
	}
	if (!base64_decode(m.identity, sizeof m.identity, line->words[3], strlen(line->words[3]))) {
		note_problem(problems, name, line, 3, "an identity key is the base64 of %d bytes", SIGN_PUBLIC_LEN);
		return 0;
	}
	check_member(r, &m, line, name, problems);
	m.name = join_words(line->words + 4, line->n_words - 4);
	if (m.name == NULL)
		return -ENOMEM;
	r->members[r->n_members++] = m;
	return 0;
}

static int take_alias(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct roster *r = into;

	if (!handle_valid(line->words[2]))
		note_problem(problems, name, line, 2, "an alias is a domain name in lower case");
	r->aliases[r->n_aliases++] = (struct roster_alias){line->words[1], line->words[2], line->number};
	return 0;
}

static const struct note_word words[] = {
	{"network", 1, 1, true, false, take_network},
	{"number", 1, 1, true, false, take_number},
	{"previous", 1, 1, true, false, take_previous},
	{"origin", 1, 1, false, false, take_origin},
	{"quorum", 1, 1, true, false, take_quorum},
	{"member", 4, NOTE_WORDS_MAX, true, true, take_member},
	{"alias", 2, 2, false, true, take_alias},
};

/* Memory for as many members and aliases as there are lines of them. */
static int make_room(struct roster *r)
{
	size_t members = 0, aliases = 0;

	for (size_t i = 0; i < r->note.n_lines; i++) {
		members += strcmp(r->note.lines[i].words[0], "member") == 0;
		aliases += strcmp(r->note.lines[i].words[0], "alias") == 0;
	}
	if (members > MEMBERS_MAX)
		members = MEMBERS_MAX;
	r->members = calloc(members + 1, sizeof *r->members);
	r->aliases = calloc(aliases + 1, sizeof *r->aliases);
	return r->members == NULL || r->aliases == NULL ? -ENOMEM : 0;
}

static int compare_aliases(const void *a, const void *b)
{
	return strcmp(((const struct roster_alias *)a)->alias, ((const struct roster_alias *)b)->alias);
}

static void check_aliases(struct roster *r, const char *name, struct problems *problems)
{
	qsort(r->aliases, r->n_aliases, sizeof *r->aliases, compare_aliases);
	for (size_t i = 0; i < r->n_aliases; i++) {
		const struct roster_alias *a = &r->aliases[i];

		if (roster_member(r, a->handle) == NULL)
			note_problem_at(problems, name, a->line, "an alias of somebody who is no member");
		if (roster_member(r, a->alias) != NULL)
			note_problem_at(problems, name, a->line, "a member's handle cannot be an alias");
		if (i > 0 && strcmp(a[-1].alias, a->alias) == 0)
			note_problem_at(problems, name, a->line, "the alias of line %u again", a[-1].line);
	}
}

/* What no line shows by itself. */
static void check_whole(struct roster *r, bool has_origin, const char *name, struct problems *problems)
{
	if (r->first != (r->number == 1))
		note_problem_at(problems, name, 1, "`previous none` belongs to number 1, and to no other");
	if (has_origin != (r->number > 1))
		note_problem_at(
			problems, name, 1, "every roster but number 1 has a line `origin` with the digest of number 1");
	if (r->quorum * 2 <= r->n_members || r->quorum > r->n_members)
		note_problem_at(problems, name, 1,
			"the quorum is more than half of the %zu members and not more than all", r->n_members);
	if (!has_origin)
		r->origin = r->note.digest;
	check_aliases(r, name, problems);
}

int roster_parse(struct roster *out, const char *name, struct bytes text, struct problems *problems)
{
	size_t before = problems->total;
	bool has_origin = false;
	int result;

	*out = (struct roster){0};
	result = note_parse(&out->note, "roster", name, text, problems);
	if (result == NOTE_BAD)
		result = ROSTER_BAD;
	if (result != 0)
		goto out;
	result = make_room(out);
	if (result == 0)
		result = note_walk(&out->note, words, sizeof words / sizeof *words, out, name, problems);
	if (result != 0)
		goto out;
	for (size_t i = 0; i < out->note.n_lines; i++)
		has_origin |= strcmp(out->note.lines[i].words[0], "origin") == 0;
	if (problems->total == before) /* else what follows would only repeat it */
		check_whole(out, has_origin, name, problems);
	result = problems->total == before ? 0 : ROSTER_BAD;
out:
	if (result != 0)
		roster_deinit(out);
	return result;
}

void roster_deinit(struct roster *r)
{
	for (size_t i = 0; i < r->n_members; i++)
		free(r->members[i].name);
	free(r->members);
	free(r->aliases);
	note_deinit(&r->note);
	*r = (struct roster){0};
}

static int compare_handle(const void *key, const void *member)
{
	return strcmp(key, ((const struct roster_member *)member)->handle);
}

const struct roster_member *roster_member(const struct roster *r, const char *handle)
{
	return bsearch(handle, r->members, r->n_members, sizeof *r->members, compare_handle);
}

const char *roster_resolve(const struct roster *r, const char *handle_or_alias)
{
	struct roster_alias key = {.alias = handle_or_alias};
	const struct roster_member *m = roster_member(r, handle_or_alias);
	const struct roster_alias *a;

	if (m != NULL)
		return m->handle;
	a = bsearch(&key, r->aliases, r->n_aliases, sizeof *r->aliases, compare_aliases);
	return a == NULL ? NULL : a->handle;
}

/* Who has signed, by index into the members of the roster before and of the new one. */
struct votes {
	bool old[MEMBERS_MAX];
	bool new[MEMBERS_MAX];
};

static bool vote(bool *votes, const struct roster *r, const struct roster *signed_one, const struct note_signature *s)
{
	const struct roster_member *m = r == NULL ? NULL : roster_member(r, s->name);

	if (m == NULL || !note_verify(&signed_one->note, s, m->identity))
		return false;
	votes[m - r->members] = true;
	return true;
}

/* Counts the signatures of `next`; each must be of a member, before or after, and verify. `r` is NULL for a first one. */
static void count_votes(
	struct votes *v, const struct roster *r, const struct roster *next, const char *name, struct problems *problems)
{
	for (size_t i = 0; i < next->note.n_signatures; i++) {
		const struct note_signature *s = &next->note.signatures[i];
		bool old = vote(v->old, r, next, s), new = vote(v->new, next, next, s);

		if (old || new)
			continue;
		if (roster_member(next, s->name) == NULL && (r == NULL || roster_member(r, s->name) == NULL))
			note_problem_at(problems, name, s->number, "signed by %s, who is no member", s->name);
		else
			note_problem_at(problems, name, s->number,
				"the signature of %s does not verify: the text has changed since, or it is another key",
				s->name);
	}
}

static size_t count(const bool *votes, size_t n)
{
	size_t yes = 0;

	for (size_t i = 0; i < n; i++)
		yes += votes[i];
	return yes;
}

static void check_quorum(const struct roster *r, const bool *votes, const struct roster *signed_one, const char *name,
	struct problems *problems)
{
	size_t yes = count(votes, r->n_members);

	if (yes < r->quorum)
		note_problem_at(problems, name, note_end(&signed_one->note),
			"signed by %zu of the %u members of roster %u that it takes", yes, r->quorum, r->number);
}

int roster_check_first(const struct roster *r, const struct digest *pinned, const char *name, struct problems *problems)
{
	struct votes v = {0};
	size_t before = problems->total;

	if (!r->first)
		note_problem_at(problems, name, 1, "roster %u, where the first one is expected", r->number);
	if (pinned != NULL && !digest_equal(pinned, &r->note.digest))
		note_problem_at(problems, name, 1,
			"another digest than the one that is pinned: not the roster that was agreed");
	count_votes(&v, NULL, r, name, problems);
	check_quorum(r, v.new, r, name, problems);
	return problems->total == before ? 0 : ROSTER_BAD;
}

/* Every new member and every holder of a changed identity key shows that it holds the key. */
static void check_possession(const struct roster *r, const struct roster *next, const bool *votes, const char *name,
	struct problems *problems)
{
	for (size_t i = 0; i < next->n_members; i++) {
		const struct roster_member *m = &next->members[i], *before = roster_member(r, m->handle);

		if (votes[i] || (before != NULL && memcmp(before->identity, m->identity, SIGN_PUBLIC_LEN) == 0))
			continue;
		note_problem_at(problems, name, m->line, "%s has not signed with its new identity key", m->handle);
	}
}

int roster_check_next(const struct roster *r, const struct roster *next, const char *name, struct problems *problems)
{
	struct votes v = {0};
	size_t before = problems->total;

	if (strcmp(r->network, next->network) != 0 || !digest_equal(&r->origin, &next->origin))
		note_problem_at(problems, name, 1, "a roster of another network");
	if (next->number != (uint64_t)r->number + 1)
		note_problem_at(problems, name, 1, "number %u does not follow number %u", next->number, r->number);
	else if (!digest_equal(&next->previous, &r->note.digest))
		note_problem_at(problems, name, 1,
			"its line `previous` is not the digest of roster %u: it follows another one", r->number);
	count_votes(&v, r, next, name, problems);
	check_quorum(r, v.old, next, name, problems);
	check_possession(r, next, v.new, name, problems);
	return problems->total == before ? 0 : ROSTER_BAD;
}

static void diff_member(struct buffer *out, const struct roster_member *from, const struct roster_member *to)
{
	if (memcmp(from->identity, to->identity, SIGN_PUBLIC_LEN) != 0)
		buffer_printf(out, "%s changes its identity key\n", to->handle);
	if (strcmp(from->name, to->name) != 0)
		buffer_printf(out, "%s is now called %s (was %s)\n", to->handle, to->name, from->name);
	if (strcmp(from->country, to->country) != 0)
		buffer_printf(out, "%s is now in %s (was %s)\n", to->handle, to->country, from->country);
}

static void diff_members(struct buffer *out, const struct roster *from, const struct roster *to)
{
	for (size_t i = 0; i < from->n_members; i++)
		if (roster_member(to, from->members[i].handle) == NULL)
			buffer_printf(out, "%s leaves (%s)\n", from->members[i].handle, from->members[i].name);
	for (size_t i = 0; i < to->n_members; i++) {
		const struct roster_member *m = &to->members[i], *before = roster_member(from, m->handle);

		if (before == NULL)
			buffer_printf(out, "%s joins (%s, %s)\n", m->handle, m->name, m->country);
		else
			diff_member(out, before, m);
	}
}

static bool has_alias(const struct roster *r, const struct roster_alias *alias)
{
	const struct roster_alias *a = bsearch(alias, r->aliases, r->n_aliases, sizeof *r->aliases, compare_aliases);

	return a != NULL && strcmp(a->handle, alias->handle) == 0;
}

void roster_diff(struct buffer *out, const struct roster *from, const struct roster *to)
{
	if (strcmp(from->network, to->network) != 0)
		buffer_printf(out, "the network is called %s (was %s)\n", to->network, from->network);
	if (from->quorum != to->quorum)
		buffer_printf(out, "the quorum is %u (was %u)\n", to->quorum, from->quorum);
	diff_members(out, from, to);
	for (size_t i = 0; i < from->n_aliases; i++)
		if (!has_alias(to, &from->aliases[i]))
			buffer_printf(out, "%s is no longer an alias of %s\n", from->aliases[i].alias,
				from->aliases[i].handle);
	for (size_t i = 0; i < to->n_aliases; i++)
		if (!has_alias(from, &to->aliases[i]))
			buffer_printf(out, "%s is an alias of %s\n", to->aliases[i].alias, to->aliases[i].handle);
}
