/* enlight roster: the ceremony by which members agree on who belongs to the network. */
#include "cli/http.h"
#include "cli/offline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void hex_of(char out[static 2 * DIGEST_LEN + 1], const struct digest *d)
{
	hex_encode(out, d->bytes, DIGEST_LEN);
}

/* The smallest whole number an option may hold is 1; 0: not given. */
static int quorum_option(unsigned *out, const struct cli *c)
{
	const char *value = cli_value(c, "quorum");
	uint32_t quorum = 0;

	*out = 0;
	if (value != NULL && !note_number(&quorum, value, MEMBERS_MAX)) {
		cli_error("--quorum is a number of members");
		return EX_USAGE;
	}
	*out = quorum;
	return EX_OK;
}

/* Several files, read at once. */
struct files {
	struct draft_file *items;
	size_t n;
};

static int files_read(struct files *out, const char *const *paths, size_t n)
{
	int r = EX_OK;

	out->n = 0;
	out->items = calloc(n + 1, sizeof *out->items);
	if (out->items == NULL)
		return EX_OSERR;
	for (; out->n < n && r == EX_OK; out->n++)
		r = offline_read(&out->items[out->n], paths[out->n]);
	return r;
}

static void files_deinit(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		offline_release(&f->items[i]);
	free(f->items);
	*f = (struct files){0};
}

/* Writes what was drafted to --output or standard output. */
static int finish(const struct cli *c, int r, struct buffer *text, struct problems *problems)
{
	r = offline_result(r, problems);
	if (r == EX_OK)
		r = offline_write(c, cli_value(c, "output"), bytes_of(text->data, text->len), 0644);
	buffer_deinit(text);
	return r;
}

static void say_sign_next(const struct cli *c)
{
	const char *path = cli_value(c, "output");

	if (path == NULL || c->dry_run)
		return;
	offline_say(c,
		"Next: send %s to all members. Each looks at it (enlight roster show) and signs a copy (enlight roster "
		"sign);\n"
		"`enlight roster merge` unites the copies.\n",
		path);
}

static int run_new(struct cli *c, int argc, char **argv)
{
	struct problems problems = {0};
	struct buffer text = {0};
	struct files files = {0};
	unsigned quorum;
	int r = quorum_option(&quorum, c);

	if (r == EX_OK && cli_value(c, "network") == NULL) {
		cli_error("--network NAME is needed");
		r = EX_USAGE;
	}
	if (r == EX_OK)
		r = files_read(&files, (const char *const *)argv, (size_t)argc);
	if (r == EX_OK)
		r = finish(c, draft_first(&text, cli_value(c, "network"), quorum, files.items, files.n, &problems),
			&text, &problems);
	if (r == EX_OK)
		say_sign_next(c);
	files_deinit(&files);
	return r;
}

/* ---- next ---- */

/* What the options of `roster next` list, and the memory behind it. */
struct next {
	const char **add, **rekey, **remove, **alias;
	size_t n_add, n_rekey, n_remove, n_alias;
	char *memory[4];
	struct files add_files, rekey_files;
};

static void next_deinit(struct next *n)
{
	free(n->add);
	free(n->rekey);
	free(n->remove);
	free(n->alias);
	for (size_t i = 0; i < sizeof n->memory / sizeof *n->memory; i++)
		free(n->memory[i]);
	files_deinit(&n->add_files);
	files_deinit(&n->rekey_files);
}

static int next_read(struct next *n, const struct cli *c)
{
	int r = offline_list(&n->add, &n->n_add, &n->memory[0], cli_value(c, "add"));

	if (r == EX_OK)
		r = offline_list(&n->rekey, &n->n_rekey, &n->memory[1], cli_value(c, "rekey"));
	if (r == EX_OK)
		r = offline_list(&n->remove, &n->n_remove, &n->memory[2], cli_value(c, "remove"));
	if (r == EX_OK)
		r = offline_list(&n->alias, &n->n_alias, &n->memory[3], cli_value(c, "alias"));
	if (r == EX_OK)
		r = files_read(&n->add_files, n->add, n->n_add);
	if (r == EX_OK)
		r = files_read(&n->rekey_files, n->rekey, n->n_rekey);
	return r;
}

static int run_next(struct cli *c, int argc, char **argv)
{
	struct problems problems = {0};
	struct draft_changes changes = {0};
	struct roster from = {0};
	struct buffer text = {0};
	struct next n = {0};
	int r = quorum_option(&changes.quorum, c);

	if (r == EX_OK)
		r = offline_roster(&from, argv[0]);
	if (r == EX_OK)
		r = next_read(&n, c);
	if (r != EX_OK)
		goto out;
	changes = (struct draft_changes){n.add_files.items, n.add_files.n, n.rekey_files.items, n.rekey_files.n,
		n.remove, n.n_remove, n.alias, n.n_alias, changes.quorum};
	r = finish(c, draft_next(&text, &from, argv[0], &changes, &problems), &text, &problems);
	if (r == EX_OK)
		say_sign_next(c);
out:
	next_deinit(&n);
	roster_deinit(&from);
	return r;
}

/* ---- sign, merge ---- */

/* Whether the identity has a say in this roster: as a member, or as one of the roster before. */
static int check_signer(const struct cli *c, const struct roster *r, struct identity *id, const char *name)
{
	const char *handle = roster_resolve(r, id->member), *path = cli_value(c, "previous");
	const struct roster_member *m = roster_member(r, id->member);
	struct roster before = {0};
	int result = EX_OK;

	if (handle != NULL && strcmp(handle, id->member) != 0) { /* the key was made under what is an alias now */
		snprintf(id->member, sizeof id->member, "%s", handle);
		m = roster_member(r, id->member);
	}
	if (m != NULL && memcmp(m->identity, id->public, SIGN_PUBLIC_LEN) == 0)
		return EX_OK;
	if (path != NULL) {
		result = offline_roster(&before, path);
		m = result == EX_OK ? roster_member(&before, id->member) : NULL;
	}
	if (result == EX_OK && (path == NULL || m == NULL || memcmp(m->identity, id->public, SIGN_PUBLIC_LEN) != 0)) {
		cli_error("%s: %s with this identity key is no member%s", name, id->member,
			path != NULL || r->first ? "" : "; who leaves or changes its key gives --previous ROSTER too");
		result = EX_DATAERR;
	}
	roster_deinit(&before);
	return result;
}

static int run_sign(struct cli *c, int argc, char **argv)
{
	struct identity id = {0};
	struct buffer out = {0};
	struct roster roster;
	int r = offline_roster(&roster, argv[0]), signed_already;

	if (r == EX_OK && cli_value(c, "identity") == NULL) {
		cli_error("--identity FILE is needed");
		r = EX_USAGE;
	}
	if (r == EX_OK)
		r = offline_identity(&id, c, NULL);
	if (r == EX_OK)
		r = check_signer(c, &roster, &id, argv[0]);
	if (r != EX_OK)
		goto out;
	signed_already = draft_sign(&out, &roster.note, id.member, id.secret);
	r = signed_already < 0 ? EX_OSERR : offline_write(c, cli_value(c, "output"), bytes_of(out.data, out.len), 0644);
	if (r == EX_OK)
		cli_note(c, "%s: roster %u of %s, %s %s", argv[0], roster.number, roster.network,
			signed_already == DRAFT_SIGNED ? "bears already the signature of" : "signed by", id.member);
out:
	identity_wipe(&id);
	buffer_deinit(&out);
	roster_deinit(&roster);
	return r;
}

static int run_merge(struct cli *c, int argc, char **argv)
{
	struct problems problems = {0};
	struct buffer text = {0};
	struct files files;
	int r = files_read(&files, (const char *const *)argv, (size_t)argc);

	if (r == EX_OK)
		r = finish(c, draft_merge(&text, "roster", files.items, files.n, &problems), &text, &problems);
	files_deinit(&files);
	return r;
}

/* ---- show, diff ---- */

/* What a signature under this name is worth, as far as the roster itself tells. */
static const char *signature_of(const struct roster *r, const struct roster_member *m)
{
	bool any = false;

	if (note_signed_by(&r->note, m->handle, m->identity))
		return "yes";
	for (size_t i = 0; i < r->note.n_signatures; i++)
		any |= strcmp(r->note.signatures[i].name, m->handle) == 0;
	return any ? "by another key" : "no";
}

static json_t *member_rows(const struct roster *r, size_t *n_signed)
{
	json_t *rows = json_array();
	char digits[FINGERPRINT_SIZE], key[BASE64_SIZE(SIGN_PUBLIC_LEN)];

	*n_signed = 0;
	for (size_t i = 0; i < r->n_members; i++) {
		const struct roster_member *m = &r->members[i];
		const char *state = signature_of(r, m);

		*n_signed += strcmp(state, "yes") == 0;
		fingerprint(digits, m->handle, m->identity);
		base64_encode(key, m->identity, sizeof m->identity);
		json_array_append_new(
			rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "member", m->handle, "country", m->country,
				      "name", m->name, "signed", state, "fingerprint", digits, "identity", key));
	}
	return rows;
}

static json_t *alias_rows(const struct roster *r)
{
	json_t *aliases = json_object();

	for (size_t i = 0; i < r->n_aliases; i++)
		json_object_set_new(aliases, r->aliases[i].alias, json_string(r->aliases[i].handle));
	return aliases;
}

static json_t *roster_json(const struct roster *r)
{
	char digest[2 * DIGEST_LEN + 1], origin[2 * DIGEST_LEN + 1], previous[2 * DIGEST_LEN + 1];
	size_t n_signed;
	json_t *rows = member_rows(r, &n_signed);

	hex_of(digest, &r->note.digest);
	hex_of(origin, &r->origin);
	hex_of(previous, &r->previous);
	return json_pack("{s:s, s:I, s:s, s:s, s:s?, s:i, s:i, s:o, s:o}", "network", r->network, "number",
		(json_int_t)r->number, "digest", digest, "origin", origin, "previous", r->first ? NULL : previous,
		"quorum", (int)r->quorum, "signed", (int)n_signed, "members", rows, "aliases", alias_rows(r));
}

static int print_roster(const struct cli *c, const json_t *json)
{
	static const struct column columns[] = {
		{"MEMBER", "member", COLUMN_TEXT},
		{"COUNTRY", "country", COLUMN_TEXT},
		{"NAME", "name", COLUMN_WORDS},
		{"SIGNED", "signed", COLUMN_TEXT},
		{"FINGERPRINT", "fingerprint", COLUMN_WORDS},
	};
	const char *alias;
	json_t *handle;

	printf("roster %lld of %s\ndigest    %s\nnetwork   %s\nprevious  %s\nquorum    %lld of %zu; %lld of them "
	       "signed\n",
		(long long)json_integer_value(cli_get(json, "number")), cli_text(json, "network"),
		cli_text(json, "digest"), cli_text(json, "origin"),
		*cli_text(json, "previous") == '\0' ? "none" : cli_text(json, "previous"),
		(long long)json_integer_value(cli_get(json, "quorum")), json_array_size(cli_get(json, "members")),
		(long long)json_integer_value(cli_get(json, "signed")));
	json_object_foreach((json_t *)cli_get(json, "aliases"), alias, handle)
		printf("alias     %s is %s\n", alias, json_string_value(handle));
	printf("\n");
	return cli_table(c, columns, sizeof columns / sizeof *columns, cli_get(json, "members"));
}

/* A roster that came over the links is in the node's store, not in the file. */
static void note_newer(const struct cli *c, const struct roster *file)
{
	json_t *status = http_peek(c, "/v1/status");
	char newer[160];

	offline_newer_roster(newer, file, status);
	if (*newer != '\0')
		cli_note(c, "%s", newer);
	json_decref(status);
}

static int run_show(struct cli *c, int argc, char **argv)
{
	struct node_folder p = {0};
	struct roster roster = {0};
	json_t *json = NULL;
	int r = argc > 0 ? EX_OK : node_folder_open(&p, c, NULL);

	if (r == EX_OK)
		r = offline_roster(&roster, argc > 0 ? argv[0] : p.config->trust.roster);
	if (r == EX_OK) {
		json = roster_json(&roster);
		r = json == NULL ? EX_OSERR : c->json ? cli_json(json) : print_roster(c, json);
	}
	if (r == EX_OK && argc == 0)
		note_newer(c, &roster);
	json_decref(json);
	roster_deinit(&roster);
	node_folder_close(&p);
	return r;
}

static int run_diff(struct cli *c, int argc, char **argv)
{
	struct roster from, to = {0};
	struct buffer out = {0};
	int r = offline_roster(&from, argv[0]);

	if (r == EX_OK)
		r = offline_roster(&to, argv[1]);
	if (r == EX_OK) {
		roster_diff(&out, &from, &to);
		r = out.error != 0 ? EX_OSERR : offline_write(c, NULL, bytes_of(out.data, out.len), 0);
		if (out.len == 0)
			cli_note(c, "nothing changes");
	}
	buffer_deinit(&out);
	roster_deinit(&from);
	roster_deinit(&to);
	return r;
}

/* ---- verify, adopt ---- */

/* Whether a roster is to be believed: by its own quorum when it is the first, by the one before, or by a digest that was told
 * by telephone. `before` is a path or NULL. */
static int verify(const struct cli *c, const struct roster *r, const char *name, const char *before)
{
	const char *anchor = cli_value(c, "anchor");
	struct problems problems = {0};
	struct digest pinned = {0};
	struct roster previous = {0};
	int result = EX_OK;

	if (anchor != NULL && !hex_decode(pinned.bytes, sizeof pinned.bytes, anchor)) {
		cli_error("--anchor is a roster's digest: 64 hexadecimal digits");
		return EX_USAGE;
	}
	if (anchor != NULL && !digest_equal(&pinned, &r->note.digest)) {
		cli_error("%s: has another digest than --anchor: not the roster that was agreed", name);
		return EX_DATAERR;
	}
	if (r->first)
		return offline_result(roster_check_first(r, NULL, name, &problems), &problems);
	if (before == NULL && anchor != NULL)
		return EX_OK;
	if (before == NULL) {
		cli_error("%s: is roster %u: give the one before (--previous ROSTER), or its digest as another member "
			  "reads it "
			  "out (--anchor DIGEST)",
			name, r->number);
		return EX_USAGE;
	}
	result = offline_roster(&previous, before);
	if (result == EX_OK)
		result = offline_result(roster_check_next(&previous, r, name, &problems), &problems);
	roster_deinit(&previous);
	return result;
}

static int run_verify(struct cli *c, int argc, char **argv)
{
	char digest[2 * DIGEST_LEN + 1];
	struct roster roster;
	int r = offline_roster(&roster, argv[0]);

	if (r == EX_OK)
		r = verify(c, &roster, argv[0], cli_value(c, "previous"));
	if (r == EX_OK) {
		hex_of(digest, &roster.note.digest);
		printf("%s\n", digest);
		cli_note(c, "%s: roster %u of %s is good; the line above is its digest", argv[0], roster.number,
			roster.network);
	}
	roster_deinit(&roster);
	return r;
}

/* The line of the configuration that says `anchor:`, when there is exactly one. */
static const char *find_anchor(struct bytes text, size_t *len)
{
	const char *p = (const char *)text.data, *end = p + text.len, *found = NULL;

	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p)), *word = p + strspn(p, " ");
		size_t n = (size_t)((stop == NULL ? end : stop) - p);

		if (word > p && strncmp(word, "anchor:", strlen("anchor:")) == 0) {
			if (found != NULL)
				return NULL;
			found = p;
			*len = n;
		}
		p += n + 1;
	}
	return found;
}

/* Puts the digest into the configuration. */
static int write_anchor(const struct cli *c, const struct node_folder *p, const char *digest)
{
	struct draft_file f;
	struct buffer text = {0};
	const char *line;
	size_t len = 0;
	int r = offline_read(&f, p->file);

	if (r != EX_OK)
		return r;
	line = find_anchor(f.text, &len);
	if (line == NULL) {
		cli_error("%s: put in by hand, below trust: anchor: %s", p->file, digest);
		r = EX_DATAERR;
		goto out;
	}
	buffer_add(&text, f.text.data, (size_t)(line - (const char *)f.text.data));
	buffer_printf(&text, "%*sanchor: %s", (int)strspn(line, " "), "", digest);
	buffer_add(&text, line + len, f.text.len - (size_t)(line + len - (const char *)f.text.data));
	r = text.error != 0 ? EX_OSERR : offline_write(c, p->file, bytes_of(text.data, text.len), 0644);
out:
	buffer_deinit(&text);
	offline_release(&f);
	return r;
}

/* The roster before, as it stands in the folder, when the new one follows it. */
static const char *roster_before(const struct cli *c, const struct node_folder *p, const struct roster *r)
{
	struct problems problems = {0};
	struct draft_file f = {0};
	struct roster held = {0};
	const char *path = NULL;

	if (cli_value(c, "previous") != NULL)
		return cli_value(c, "previous");
	if (r->first || !offline_exists(p->config->trust.roster) || offline_read(&f, p->config->trust.roster) != EX_OK)
		return NULL;
	if (roster_parse(&held, p->config->trust.roster, f.text, &problems) == 0 && held.number + 1 == r->number)
		path = p->config->trust.roster;
	problems_deinit(&problems);
	roster_deinit(&held);
	offline_release(&f);
	return path;
}

int roster_pin_in(const struct cli *c, const struct node_folder *p, const struct roster *r)
{
	char digest[2 * DIGEST_LEN + 1];
	int result;

	hex_of(digest, &r->note.digest);
	result = offline_write(c, p->config->trust.roster, bytes_of(r->note.text, r->note.text_len), 0644);
	return result == EX_OK ? write_anchor(c, p, digest) : result;
}

static int run_adopt(struct cli *c, int argc, char **argv)
{
	char digest[2 * DIGEST_LEN + 1];
	struct roster roster = {0};
	struct node_folder p;
	int r = node_folder_open(&p, c, argc > 1 ? argv[1] : NULL);

	if (r == EX_OK)
		r = offline_roster(&roster, argv[0]);
	if (r == EX_OK)
		r = verify(c, &roster, argv[0], roster_before(c, &p, &roster));
	if (r != EX_OK)
		goto out;
	hex_of(digest, &roster.note.digest);
	r = roster_pin_in(c, &p, &roster);
	if (r == EX_OK && !c->dry_run)
		offline_say(c,
			"%s now believes roster %u of %s, with the digest\n  %s\n"
			"Compare it with another member by telephone. Next: enlight card new %s\n",
			p.file, roster.number, roster.network, digest, p.folder);
out:
	roster_deinit(&roster);
	node_folder_close(&p);
	return r;
}

static int run_import(struct cli *c, int argc, char **argv)
{
	struct roster roster;
	char what[HANDLE_MAX + 32];
	int r = offline_roster(&roster, argv[0]); /* what is no roster at all is said with its line */

	if (r == EX_OK) {
		snprintf(what, sizeof what, "roster %u of %s", roster.number, roster.network);
		r = offline_import(c, argv[0], "/v1/rosters", what);
	}
	roster_deinit(&roster);
	return r;
}

/* ---- the table ---- */

#define OUTPUT                                                                                                         \
	{                                                                                                              \
		"output", "FILE", "Where it goes (default: standard output)"                                           \
	}
#define QUORUM                                                                                                         \
	{                                                                                                              \
		"quorum", "NUMBER",                                                                                    \
			"Members whose signatures it takes; more than half of them (default: the smallest such "       \
			"number)"                                                                                      \
	}
#define ANCHOR                                                                                                         \
	{                                                                                                              \
		"anchor", "DIGEST", "The roster's digest, as another member reads it out"                              \
	}

static const struct cli_option new_options[] = {
	{"network", "NAME", "The network's name: a-z, 0-9, `.` and `-`"},
	QUORUM,
	OUTPUT,
	{0},
};

static const struct cli_option next_options[] = {
	{"add", "FILE,...", "Lines of new members, as `enlight init` writes them"},
	{"remove", "HANDLE,...", "Members that leave"},
	{"rekey", "FILE,...", "Lines of members with a new identity key, name or country"},
	{"alias", "HANDLE=DOMAIN,...", "Further domains by which a member is known"},
	QUORUM,
	OUTPUT,
	{0},
};

static const struct cli_option sign_options[] = {
	{"identity", "FILE", "The identity key"},
	{"passphrase-file", "FILE", "Its passphrase (/dev/stdin to type it)"},
	{"previous", "ROSTER", "The roster before, for a member that leaves or a key that is replaced"},
	OUTPUT,
	{0},
};

static const struct cli_option merge_options[] = {
	OUTPUT,
	{0},
};

static const struct cli_option verify_options[] = {
	{"previous", "ROSTER", "The roster before"},
	ANCHOR,
	{0},
};

static const struct cli_option adopt_options[] = {
	{"previous", "ROSTER", "The roster before (default: the node's present one, when it is that)"},
	ANCHOR,
	{0},
};

const struct command roster_commands[] = {
	{"roster adopt", "ROSTER [FOLDER]", "Make a node believe a roster: copy it to its folder and pin its digest",
		"The roster is verified first. FOLDER is what `enlight init` made; default: that of the configuration.",
		"enlight roster adopt roster.note /etc/enlight", 1, 2, adopt_options, run_adopt, false},
	{"roster diff", "OLD NEW", "Say in words what a roster changes", NULL,
		"enlight roster diff roster-1.note roster-2.note", 2, 2, NULL, run_diff, false},
	{"roster import", "ROSTER", "Give the next roster to the running node, which passes it on to all", NULL,
		"enlight roster import roster-2.note", 1, 1, cli_reason_options, run_import, false},
	{"roster merge", "ROSTER...", "Unite the signatures of several copies of one roster", NULL,
		"enlight roster merge --output roster.note from-ghent.note from-tartu.note", 1, -1, merge_options,
		run_merge, false},
	{"roster new", "FILE...", "Put a network's first roster together from members' lines",
		"Each FILE is what a member's `enlight init` wrote (HANDLE.member).",
		"enlight roster new --network enlight --output roster.note *.member", 1, -1, new_options, run_new,
		false},
	{"roster next", "ROSTER", "Make the roster after this one",
		"A quorum of the present members signs it, and every new member and holder of a changed key.",
		"enlight roster next --add ulb.be.member --remove ut.ee --output roster-2.note roster.note", 1, 1,
		next_options, run_next, false},
	{"roster show", "[ROSTER]", "Show a roster, its members' fingerprints, and who signed it",
		"Default: the one the configuration names.", "enlight roster show roster.note", 0, 1, NULL, run_show,
		false},
	{"roster sign", "ROSTER", "Add this member's signature to a roster", "Look at it before: enlight roster show.",
		"enlight roster sign --identity identity.key --output roster.note roster.note", 1, 1, sign_options,
		run_sign, false},
	{"roster verify", "ROSTER", "Check that enough members signed a roster, and print its digest", NULL,
		"enlight roster verify roster.note\nenlight roster verify --previous roster.note roster-2.note", 1, 1,
		verify_options, run_verify, false},
	{0},
};
