/* enlight init: a new member's keys, the line for the roster, the configuration. */
#include "cli/offline.h"

#include "base/secret.h"
#include "core/handle.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SYSTEM_FOLDER "/etc/enlight"

/* Everything that is made, before anything is written. */
struct making {
	const struct cli *c;
	const char *folder, *member;
	char *listen, *loopback; /* in quotes, or NULL */
	struct identity identity;
	struct buffer key, line, card, config;
};

static const char no_memory[] = "could not be checked: out of memory";

static const char *check_name(const char *name)
{
	struct buffer text = {0};
	struct problems problems = {0};
	struct draft_file f = {.name = "x"};
	struct buffer roster = {0};
	char key[BASE64_SIZE(SIGN_PUBLIC_LEN)];
	int r;

	base64_encode(key, digest_zero.bytes, SIGN_PUBLIC_LEN);
	buffer_printf(&text, "member a.be BE %s %s\n", key, name);
	f.text = bytes_of(text.data, text.len);
	r = text.error != 0 ? text.error : draft_first(&roster, "x", 0, &f, 1, &problems);
	problems_deinit(&problems);
	buffer_deinit(&text);
	buffer_deinit(&roster);
	return r == 0 ? NULL : r < 0 ? no_memory : "is the university's name, in one line with single spaces";
}

static const char *check_country(const char *country)
{
	return strlen(country) == 2 && strspn(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 2
		       ? NULL
		       : "is two capitals (ISO 3166-1), such as BE";
}

static const char *check_member(const char *member)
{
	return handle_valid(member) ? NULL : "is the university's domain name in lower case, such as ugent.be";
}

/* It goes into the configuration between quotes; the rest is the configuration's to check. */
static const char *check_quotable(const char *value)
{
	return strpbrk(value, "\"\\") == NULL ? NULL : "has no quotes and backslashes";
}

static const char *check_endpoint(const char *endpoint)
{
	return endpoint_valid(endpoint) ? NULL : "is where others reach this node: tcp://HOST:PORT";
}

static const struct {
	const char *name;
	bool required;
	const char *(*check)(const char *value);
} rules[] = {
	{"member", true, check_member},
	{"country", true, check_country},
	{"name", true, check_name},
	{"endpoint", false, check_endpoint},
	{"listen", false, check_quotable},
	{"loopback", false, check_quotable},
};

/* Says everything that is wrong with the options. */
static int check_options(const struct cli *c)
{
	int r = EX_OK;

	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
		const char *value = cli_value(c, rules[i].name), *wrong = NULL;

		if (value == NULL && rules[i].required)
			wrong = "is needed";
		else if (value != NULL)
			wrong = rules[i].check(value);
		if (wrong != NULL) {
			cli_error("--%s %s", rules[i].name, wrong);
			r = wrong == no_memory ? EX_OSERR : EX_USAGE;
		}
	}
	return r;
}

/* What the configuration says from the start. Outside of the system's folder everything stays in the node's own. */
static const char *setting(void *context, const char *name)
{
	const struct making *m = context;
	bool own = strcmp(m->folder, SYSTEM_FOLDER) != 0;
	const struct {
		const char *name, *value;
	} values[] = {
		{"member", m->member},
		{"state", own ? "state" : NULL},
		{"api.socket", own ? "api.sock" : NULL},
		{"api.loopback", m->loopback},
		{"link.listen", m->listen},
	};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		if (strcmp(values[i].name, name) == 0)
			return values[i].value;
	return NULL;
}

/* Reads the configuration again, so that a wrong --listen shows before anything is written. */
static int check_config(struct making *m)
{
	struct settings *s = settings_new("enlight.yaml");
	struct config *config = calloc(1, sizeof *config);
	struct problems problems = {0};
	int r = -ENOMEM;

	if (s != NULL && config != NULL)
		r = settings_parse(s, config, config_table, bytes_of(m->config.data, m->config.len));
	if (r == 0)
		r = settings_finish(s, &problems);
	settings_free(s);
	config_free(config);
	return r == 0 ? EX_OK : offline_result(r, &problems) == EX_DATAERR ? EX_USAGE : EX_OSERR;
}

static char *quoted(const char *value)
{
	char *text;

	return value == NULL || asprintf(&text, "\"%s\"", value) < 0 ? NULL : text;
}

/* Whether a text that was given is not there for want of memory. */
static bool lost_quotes(const struct making *m)
{
	return (cli_value(m->c, "listen") != NULL && m->listen == NULL) ||
	       (cli_value(m->c, "loopback") != NULL && m->loopback == NULL);
}

/* Draws the identity key and writes all texts. */
static int make(struct making *m)
{
	const char *endpoint = cli_value(m->c, "endpoint");
	char key[BASE64_SIZE(SIGN_PUBLIC_LEN)];
	struct buffer passphrase = {0};
	int r;

	r = offline_passphrase(&passphrase, m->c);
	if (r != EX_OK)
		return r;
	identity_new(&m->identity, m->member);
	r = identity_write(&m->key, &m->identity, bytes_of(passphrase.data, passphrase.len));
	buffer_deinit(&passphrase);
	base64_encode(key, m->identity.public, sizeof m->identity.public);
	buffer_printf(
		&m->line, "member %s %s %s %s\n", m->member, cli_value(m->c, "country"), key, cli_value(m->c, "name"));
	buffer_printf(&m->card, "# Lines of this node's card; change them, then run `enlight card new`.\n");
	if (endpoint != NULL)
		buffer_printf(&m->card, "endpoint %s\n", endpoint);
	else
		buffer_str(&m->card,
			"# endpoint tcp://enlight.example.org:4847   (without it this node only dials out)\n");
	buffer_str(&m->card, "takes *\n");
	m->listen = quoted(cli_value(m->c, "listen"));
	m->loopback = quoted(cli_value(m->c, "loopback"));
	buffer_str(&m->config,
		"# Configuration of an ENLIGHT node; see enlight.yaml(5). What is commented out has the value "
		"that is shown,\n# or is an example. Check changes with `enlight check-config`.\n");
	settings_example(&m->config, config_table, setting, m);
	if (r != 0 || m->line.error != 0 || m->card.error != 0 || m->config.error != 0 || lost_quotes(m))
		return EX_OSERR;
	return check_config(m);
}

static int make_folder(const struct cli *c, const char *path, mode_t mode)
{
	if (c->dry_run || mkdir(path, mode) == 0 || errno == EEXIST)
		return EX_OK;
	cli_error("%s: cannot be made: %s", path, strerror(errno));
	return EX_CANTCREAT;
}

/* Where everything goes. */
struct paths {
	char *keys, *cards, *identity, *line, *card, *config, *node_key, *store_key;
};

static int paths_init(struct paths *p, const struct making *m)
{
	p->keys = offline_path(m->folder, "keys");
	p->cards = offline_path(m->folder, "cards");
	p->identity = offline_path(m->folder, "identity.key");
	p->line = offline_path(m->folder, "%s.member", m->member);
	p->card = offline_path(m->folder, "card.lines");
	p->config = offline_path(m->folder, "enlight.yaml");
	p->node_key = offline_path(m->folder, "keys/node-1.key");
	p->store_key = offline_path(m->folder, "keys/store.key");
	return p->keys == NULL || p->cards == NULL || p->identity == NULL || p->line == NULL || p->card == NULL ||
			       p->config == NULL || p->node_key == NULL || p->store_key == NULL
		       ? EX_OSERR
		       : EX_OK;
}

static void paths_deinit(struct paths *p)
{
	free(p->keys);
	free(p->cards);
	free(p->identity);
	free(p->line);
	free(p->card);
	free(p->config);
	free(p->node_key);
	free(p->store_key);
}

/* Whether a configuration is the example as it was installed, in which nobody has said anything yet. */
static bool is_example(const char *path)
{
	struct buffer example = {0};
	void *text = NULL;
	size_t len;
	bool same;

	config_example(&example, NULL, NULL);
	same = file_read(&text, &len, path, SETTINGS_FILE_MAX) == 0 && example.error == 0 &&
	       bytes_equal(bytes_of(text, len), bytes_of(example.data, example.len));
	free(text);
	buffer_deinit(&example);
	return same;
}

/* A key that exists is never touched: it may be the only copy. */
static int check_nothing_there(const struct paths *p)
{
	const char *const files[] = {p->identity, p->node_key, p->store_key, p->config};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (offline_exists(files[i]) && !(files[i] == p->config && is_example(files[i]))) {
			cli_error("%s: is there already; nothing was changed. Take another folder, or move it away",
				files[i]);
			return EX_CANTCREAT;
		}
	return EX_OK;
}

static int write_secret(const struct cli *c, const char *path)
{
	uint8_t secret[SECRET_LEN];
	int r;

	if (c->dry_run) {
		cli_note(c, "would write %s", path);
		return EX_OK;
	}
	randombytes_buf(secret, sizeof secret);
	r = secret_write(path, secret);
	sodium_memzero(secret, sizeof secret);
	if (r == 0)
		return EX_OK;
	cli_error("%s: cannot be written: %s", path, strerror(-r));
	return EX_CANTCREAT;
}

static struct bytes text_of(const struct buffer *b)
{
	return bytes_of(b->data, b->len);
}

static int write_all(const struct making *m, const struct paths *p)
{
	const struct cli *c = m->c;
	int r = make_folder(c, m->folder, 0755);

	if (r == EX_OK)
		r = make_folder(c, p->keys, 0700);
	if (r == EX_OK)
		r = make_folder(c, p->cards, 0755);
	if (r == EX_OK)
		r = offline_write(c, p->identity, text_of(&m->key), 0600);
	if (r == EX_OK)
		r = write_secret(c, p->node_key);
	if (r == EX_OK)
		r = write_secret(c, p->store_key);
	if (r == EX_OK)
		r = offline_write(c, p->line, text_of(&m->line), 0644);
	if (r == EX_OK)
		r = offline_write(c, p->card, text_of(&m->card), 0644);
	return r == EX_OK ? offline_write(c, p->config, text_of(&m->config), 0644) : r;
}

static int report(const struct making *m)
{
	char digits[FINGERPRINT_SIZE], key[BASE64_SIZE(SIGN_PUBLIC_LEN)];
	json_t *json;
	int r;

	fingerprint(digits, m->member, m->identity.public);
	base64_encode(key, m->identity.public, sizeof m->identity.public);
	if (!m->c->json) {
		printf("member       %s\nidentity     %s\nfingerprint  %s\n", m->member, key, digits);
		return EX_OK;
	}
	json = json_pack("{s:s, s:s, s:s}", "member", m->member, "identity", key, "fingerprint", digits);
	r = json == NULL ? EX_OSERR : cli_json(json);
	json_decref(json);
	return r;
}

/* The next steps of who joins a network that is there. */
static void say_joining(const struct making *m)
{
	const char *f = m->folder;

	offline_say(m->c,
		"\nNext:\n"
		"  1. Send %s/%s.member to the member that invites, and read the fingerprint out by telephone.\n"
		"  2. Look at the next roster, which you get (enlight roster diff %s/roster.note ROSTER), sign it, and "
		"make "
		"the card:\n"
		"       enlight roster sign --identity %s/identity.key --output ROSTER ROSTER\n"
		"       enlight card new %s\n"
		"  3. Send both back. That member runs: enlight roster import ROSTER, enlight card import %s.card\n"
		"  4. Start the node. It is ready when the links have brought it the roster.\n"
		"  5. Move %s/identity.key to where only you get it. The node never reads it.\n",
		f, m->member, f, f, f, m->member, f);
}

static void say_next(const struct making *m)
{
	const char *f = m->folder;

	if (cli_value(m->c, "passphrase-file") == NULL)
		offline_say(m->c,
			"\n%s/identity.key has no passphrase: whoever can read it can speak for %s. Keep it offline.\n",
			f, m->member);
	if (cli_value(m->c, "invite") != NULL) {
		say_joining(m);
		return;
	}
	offline_say(m->c,
		"\nNext:\n"
		"  1. Send %s/%s.member to whoever puts the roster together, and read the fingerprint out by "
		"telephone.\n"
		"  2. Look at the roster you get (enlight roster show ROSTER), compare fingerprints, sign it and send "
		"it on:\n"
		"       enlight roster sign --identity %s/identity.key --output ROSTER ROSTER\n"
		"  3. When enough members have signed: enlight roster adopt ROSTER %s\n"
		"  4. Then: enlight card new %s\n"
		"  5. Move %s/identity.key to where only you get it. The node never reads it.\n",
		f, m->member, f, f, f, f);
}

static int run_init(struct cli *c, int argc, char **argv)
{
	struct making m = {.c = c, .folder = argc > 0 ? argv[0] : ".", .member = cli_value(c, "member")};
	const char *path = cli_value(c, "invite");
	struct invite invite = {0};
	struct paths paths = {0};
	int r;

	r = check_options(c);
	if (r == EX_OK && path != NULL)
		r = invite_read(&invite, c, path);
	if (r == EX_OK && path != NULL)
		r = invite_confirm(&invite, c);
	if (r != EX_OK)
		goto out;
	r = paths_init(&paths, &m);
	if (r == EX_OK)
		r = check_nothing_there(&paths);
	if (r == EX_OK)
		r = make(&m);
	if (r == EX_OK)
		r = write_all(&m, &paths);
	if (r == EX_OK && path != NULL && !c->dry_run)
		r = invite_put(&invite, c, m.folder);
	if (r == EX_OK && !c->dry_run) {
		r = report(&m);
		say_next(&m);
	}
out:
	invite_deinit(&invite);
	identity_wipe(&m.identity);
	free(m.listen);
	free(m.loopback);
	buffer_deinit(&m.key);
	buffer_deinit(&m.line);
	buffer_deinit(&m.card);
	buffer_deinit(&m.config);
	paths_deinit(&paths);
	return r;
}

static const struct cli_option init_options[] = {
	{"member", "HANDLE", "The university's domain name; it names the member for ever"},
	{"country", "CC", "Two capitals (ISO 3166-1)"},
	{"name", "NAME", "The university's name"},
	{"endpoint", "tcp://HOST:PORT", "Where other nodes reach this one; without it this node only dials out"},
	{"listen", "tcp://ADDRESS:PORT", "Where it listens, such as tcp://*:4847"},
	{"loopback", "ADDRESS:PORT", "Where it answers for health and metrics, such as 127.0.0.1:4848"},
	{"invite", "FILE", "What a member's `enlight invite` wrote: the network that this member joins"},
	INVITE_OPTIONS,
	{"passphrase-file", "FILE", "Seals the identity key with the passphrase in FILE (/dev/stdin to type it)"},
	{0},
};

const struct command init_commands[] = {
	{"init", "[FOLDER]", "Make a new member's keys, its line for the roster, and a configuration",
		"Writes enlight.yaml, keys/, cards/, card.lines, identity.key and HANDLE.member into FOLDER (default: "
		"this one), and "
		"prints the fingerprint of the identity key. Existing keys are never touched, a "
		"configuration is replaced only while it is the example that was installed. In " SYSTEM_FOLDER
		" the node uses the system's folders for state and socket, anywhere else FOLDER itself.",
		"enlight init --member ugent.be --country BE --name 'Universiteit Gent' "
		"--endpoint tcp://enlight.ugent.be:4847 --listen 'tcp://*:4847' /etc/enlight",
		0, 1, init_options, run_init, false},
	{0},
};
