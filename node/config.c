#include "config.h"

#include "core/handle.h"
#include "core/topic.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- what one text must be ---- */

static const char *check_member(const char *value)
{
	return handle_valid(value) ? NULL : "must be a member's handle: a lower-case domain name such as ugent.be";
}

static const char *check_anchor(const char *value)
{
	uint8_t digest[DIGEST_LEN];

	return hex_decode(digest, sizeof digest, value) ? NULL
							: "must be 64 hexadecimal digits, the digest of a roster";
}

static const char *check_pattern(const char *value)
{
	return topic_pattern_valid(value) ? NULL
					  : "must be a topic or a pattern of topics such as course.*, \"*.decision\" "
					    "or \"*\" (see enlight topics)";
}

/* Whether a text is a port. */
static bool is_port(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n >= 1 && n <= 5 && text[n] == '\0' && atoi(text) >= 1 && atoi(text) <= 65535;
}

static const char *check_listen(const char *value)
{
	const char *colon = strrchr(value, ':');

	if (strncmp(value, "tcp://", 6) == 0 && colon > value + 6 && is_port(colon + 1) &&
		strpbrk(value, " ,;") == NULL)
		return NULL;
	return "must be tcp://ADDRESS:PORT, or tcp://*:PORT for every address";
}

static const char *check_loopback(const char *value)
{
	const char *colon = strrchr(value, ':');
	size_t n = colon != NULL ? (size_t)(colon - value) : 0;

	if (colon != NULL && is_port(colon + 1) &&
		((n == 9 && strncmp(value, "127.0.0.1", n) == 0) || (n == 5 && strncmp(value, "[::1]", n) == 0)))
		return NULL;
	return "must be 127.0.0.1:PORT or [::1]:PORT";
}

static const char *check_url(const char *value)
{
	return strncmp(value, "sqlite:", 7) == 0 && value[7] != '\0' ? NULL : "must be sqlite:FILE";
}

static const char *check_socket(const char *value)
{
	return strlen(value) < sizeof((struct sockaddr_un *)NULL)->sun_path ? NULL : "is too long for a socket's path";
}

static const char *check_plugin_name(const char *value)
{
	size_t n = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n <= 32 && value[n] == '\0' && islower((unsigned char)*value)
		       ? NULL
		       : "must be at most 32 lower-case letters, digits and hyphens, beginning with a letter";
}

static const char *check_variable(const char *value)
{
	size_t n = strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

	return n > 0 && value[n] == '=' && !isdigit((unsigned char)*value) ? NULL : "must be NAME=value";
}

static const char *check_from(const char *value)
{
	return strcmp(value, "beginning") == 0 || strcmp(value, "now") == 0 ? NULL : "must be beginning or now";
}

/* ---- the table ---- */

#define AT(field) offsetof(struct config, field)

static const struct setting trust_rows[] = {
	{"anchor", SETTING_TEXT, AT(trust.anchor), .required = true, .check = check_anchor,
		.example = "8270f9d38db4189b399833849914c2fa1affac7a4d9b5e24418ec19e11cca101",
		.help = "Digest of the roster that this node believes; everything else follows from it. Compare it "
			"with "
			"another member by telephone. `enlight roster show` prints a roster's."},
	{"roster", SETTING_PATH, AT(trust.roster), .fallback = "roster.note",
		.help = "That roster. Newer ones come over the links and are kept in the store."},
	{"cards", SETTING_PATH, AT(trust.cards), .fallback = "cards",
		.help = "Folder with cards (*.card) to begin with, this node's own among them. Newer ones come over "
			"the links."},
	{"keys", SETTING_PATH, AT(trust.keys), .fallback = "keys",
		.help = "Folder with this node's secrets: node-1.key, node-2.key and so on, and store.key, mode 0600. "
			"Under "
			"systemd they are taken from the credentials instead when LoadCredential=keys:FOLDER is set. "
			"The identity "
			"key does not belong here, but in a safe."},
	{"key_age", SETTING_NUMBER, AT(trust.key_age_days), .fallback = "365", .max = 36500,
		.help = "How many days a node key may be in use. The node warns 60, 30 and 7 days before, and goes on "
			"with "
			"it "
			"afterwards. 0: no limit."},
	{0},
};

static const struct setting store_rows[] = {
	{"url", SETTING_TEXT, AT(store.url), .fallback = "sqlite:enlight.db", .check = check_url,
		.help = "The store. A relative path begins in the state folder."},
	{"disk_limit", SETTING_SIZE, AT(store.disk_limit_bytes), .fallback = "20GiB",
		.help = "How large the store may grow. Then publications are refused and nothing more is fetched, "
			"until space is "
			"free again; nothing is lost. Erasures may pass it by half of the reserve. 0: no limit."},
	{"reserve", SETTING_SIZE, AT(store.reserve_bytes), .fallback = "64MiB",
		.help = "Free disk space that is kept: half of it for erasures, the rest for receipts, cursors and "
			"other small "
			"rows."},
	{"backup_age", SETTING_NUMBER, AT(store.backup_age_days), .fallback = "7", .max = 36500,
		.help = "In how many days there should be a backup (`enlight backup`). `enlight doctor`, `enlight "
			"status` and "
			"the metrics tell when the last one is older. 0: nobody watches."},
	{0},
};

static const struct setting link_rows[] = {
	{"listen", SETTING_TEXT, AT(link.listen), .example = "\"tcp://*:4847\"", .check = check_listen,
		.help = "Where other nodes dial in. Without it this node only dials out."},
	{"memory_limit", SETTING_SIZE, AT(link.memory_limit_bytes), .min = 32 * 1048576, .max = 1099511627776,
		.fallback = "256MiB",
		.help = "Resident memory above which all incoming links are dropped, against floods."},
	{0},
};

static const struct setting api_rows[] = {
	{"socket", SETTING_PATH, AT(api.socket), .fallback = CONFIG_SOCKET,
		.help = "The Unix socket of the local API, for local systems and the enlight command."},
	{"loopback", SETTING_TEXT, AT(api.loopback), .example = "\"127.0.0.1:4848\"", .check = check_loopback,
		.help = "A loopback port for health, metrics and counts, without events. Without it there is none."},
	{0},
};

static const struct setting peers_rows[] = {
	{"blocked", SETTING_TEXTS, AT(peers.blocked), AT(peers.n_blocked), .check = check_member, .example = "[]",
		.help = "Members this node does not talk to. `enlight peers block` does the same without a restart."},
	{"quota", SETTING_SIZE, AT(peers.quota_bytes), .fallback = "5GiB",
		.help = "How much of one publisher this node stores; beyond it nothing more is fetched from it, and "
			"the node says "
			"so. 0: no limit."},
	{0},
};

#define ACCESS(field) offsetof(struct config_access, field)
static const struct setting access_rows[] = {
	{"user", SETTING_TEXT, ACCESS(user), .help = "Whom the row is about: a user's name,"},
	{"uid", SETTING_NUMBER, ACCESS(uid), .max = UINT32_MAX - 1, .help = "or a user's number,"},
	{"group", SETTING_TEXT, ACCESS(group), .help = "or everybody in a group."},
	{"publish", SETTING_TEXTS, ACCESS(publish), ACCESS(n_publish), .check = check_pattern,
		.help = "Topics they may publish. A pattern that begins with a star stands in quotes."},
	{"read", SETTING_TEXTS, ACCESS(read), ACCESS(n_read), .check = check_pattern, .help = "Topics they may read."},
	{"operator", SETTING_FLAG, ACCESS(operator_), .fallback = "false",
		.help = "Whether they may also see and steer the node itself."},
	{0},
};

#define PLUGIN(field) offsetof(struct config_plugin, field)
static const struct setting plugin_rows[] = {
	{"name", SETTING_TEXT, PLUGIN(name), .required = true, .check = check_plugin_name,
		.help = "Its name in this node."},
	{"command", SETTING_TEXTS, PLUGIN(command), PLUGIN(n_command), .required = true,
		.help = "The program and its arguments. Without a slash it is looked for in " PLUGIN_FOLDER
			", then in PATH; a relative path begins in this file's folder."},
	{"environment", SETTING_TEXTS, PLUGIN(environment), PLUGIN(n_environment), .check = check_variable,
		.example = "[]", .help = "Variables it is given beside PATH, HOME and LANG, as NAME=value."},
	{"topics", SETTING_TEXTS, PLUGIN(topics), PLUGIN(n_topics), .check = check_pattern,
		.help = "Topics it is given."},
	{"publishes", SETTING_TEXTS, PLUGIN(publishes), PLUGIN(n_publishes), .check = check_pattern,
		.help = "Topics it may publish."},
	{"own", SETTING_FLAG, PLUGIN(own), .fallback = "false",
		.help = "Whether it is also given this node's own events."},
	{"from", SETTING_TEXT, PLUGIN(from), .fallback = "beginning", .check = check_from,
		.help = "Where it begins when it is new: at the beginning of what this node holds, or now. Later it "
			"goes on where "
			"it was, also when it was taken out and put in again."},
	{"deadline", SETTING_DURATION, PLUGIN(deadline_ms), .fallback = "60s", .min = 100, .max = 86400000,
		.help = "How long it may say nothing while it has events, or until it is ready; then it is killed and "
			"started "
			"again."},
	{"memory_limit", SETTING_SIZE, PLUGIN(memory_limit_bytes), .fallback = "1GiB",
		.help = "Address space it may use. 0: no limit."},
	{"settings", SETTING_FREE, PLUGIN(settings), .help = "Settings of the plugin itself."},
	{0},
};

const struct setting config_table[] = {
	{"member", SETTING_TEXT, AT(member), .required = true, .check = check_member, .example = "ugent.be",
		.help = "The member this node belongs to, by its handle in the roster."},
	{"state", SETTING_PATH, AT(state), .fallback = "/var/lib/enlight",
		.help = "Folder for the store and what the node learns. Everything else named here is only read."},
	{"trust", SETTING_GROUP, .required = true, .members = trust_rows, .help = "Whom this node believes."},
	{"store", SETTING_GROUP, .members = store_rows, .help = "Where events are kept."},
	{"link", SETTING_GROUP, .members = link_rows, .help = "How other nodes reach this one."},
	{"api", SETTING_GROUP, .members = api_rows, .help = "How local systems and operators reach it."},
	{"peers", SETTING_GROUP, .members = peers_rows, .help = "What other members may do here."},
	{"access", SETTING_GROUPS, AT(access), AT(n_access), .members = access_rows,
		.member_size = sizeof(struct config_access),
		.example = "[{group: sis, publish: [course.*, mobility.*], read: [course.*]}]",
		.help = "Who may use the local API for what; nobody else may. Root and the node's own user are "
			"operators. Whom a row names must also be able to open the socket: its group is the node's."},
	{"plugins", SETTING_GROUPS, AT(plugins), AT(n_plugins), .members = plugin_rows,
		.member_size = sizeof(struct config_plugin),
		.example = "[{name: registrar, command: [enlight-sql], topics: [course.*, mobility.*], publishes: "
			   "[mobility.decision], settings: {mapping: registrar.yaml}}]",
		.help = "Programs that are given events and publish events. They are changed without a restart "
			"(systemctl reload)."},
	{0},
};

/* ---- what must go together ---- */

static void check_access(struct settings *s, struct config_access *a)
{
	int n = settings_given(s, &a->user) + settings_given(s, &a->uid) + settings_given(s, &a->group);

	if (n == 0)
		settings_problem(s, &a->user, "access: name whom this row is about, by user, uid or group");
	if (n > 1)
		settings_problem(s, settings_given(s, &a->group) ? (void *)&a->group : (void *)&a->uid,
			"access: only one of user, uid and group can be set");
	if (a->n_publish == 0 && a->n_read == 0 && !a->operator_)
		settings_problem(s, settings_given(s, &a->group) ? (void *)&a->group : (void *)&a->user,
			"access: this row allows nothing; set publish, read or operator");
	a->by_uid = !settings_given(s, &a->group);
	a->id = (unsigned)a->uid;
}

static void find_user_and_group(struct settings *s, struct config_access *a)
{
	struct passwd *user = a->user != NULL ? getpwnam(a->user) : NULL;
	struct group *group = a->group != NULL ? getgrnam(a->group) : NULL;

	if (a->user != NULL && user == NULL)
		settings_problem(s, &a->user, "user: there is no such user on this machine");
	if (a->group != NULL && group == NULL)
		settings_problem(s, &a->group, "group: there is no such group on this machine");
	if (user != NULL)
		a->id = user->pw_uid;
	if (group != NULL)
		a->id = group->gr_gid;
}

static void check_plugins(struct settings *s, const struct config *c)
{
	for (size_t i = 0; i < c->n_plugins; i++) {
		for (size_t j = 0; j < i; j++) {
			if (c->plugins[i].name != NULL && c->plugins[j].name != NULL &&
				strcmp(c->plugins[i].name, c->plugins[j].name) == 0)
				settings_problem(s, &c->plugins[i].name, "name: another plugin has this name");
		}
		if (c->plugins[i].n_command == 0 && settings_given(s, &c->plugins[i].command))
			settings_problem(s, &c->plugins[i].command, "command: must name a program");
	}
}

static void check_together(struct settings *s, struct config *c)
{
	if (c->trust.anchor != NULL)
		hex_decode(c->trust.digest, sizeof c->trust.digest, c->trust.anchor);
	if (c->api.socket != NULL && check_socket(c->api.socket) != NULL)
		settings_problem(s, &c->api.socket, "socket: %s", check_socket(c->api.socket));
	for (size_t i = 0; i < c->peers.n_blocked; i++) {
		if (c->member != NULL && c->peers.blocked[i] != NULL && strcmp(c->peers.blocked[i], c->member) == 0)
			settings_problem(s, &c->peers.blocked[i], "blocked: a node cannot block its own member");
	}
	for (size_t i = 0; i < c->n_access; i++)
		check_access(s, &c->access[i]);
	check_plugins(s, c);
}

/* Whether there is a file or folder that this process may use. */
static void check_there(struct settings *s, char *const *field, const char *name, bool folder)
{
	struct stat st;

	if (*field == NULL)
		return;
	if (stat(*field, &st) < 0)
		settings_problem(s, field, "%s: %s cannot be found: %s", name, *field, strerror(errno));
	else if (S_ISDIR(st.st_mode) != folder)
		settings_problem(s, field, "%s: %s is %s folder", name, *field, folder ? "no" : "a");
	else if (access(*field, folder ? R_OK | X_OK : R_OK) < 0)
		settings_problem(s, field, "%s: %s cannot be read: %s", name, *field, strerror(errno));
}

/* A program that can be run, in a folder of a list with colons between. */
static bool find_in(char *out, size_t size, const char *folders, const char *name)
{
	struct stat st;

	while (*folders != '\0') {
		size_t n = strcspn(folders, ":");

		if (n > 0 && snprintf(out, size, "%.*s/%s", (int)n, folders, name) < (int)size && stat(out, &st) == 0 &&
			S_ISREG(st.st_mode) && access(out, X_OK) == 0)
			return true;
		folders += n + (folders[n] == ':');
	}
	out[0] = '\0';
	return false;
}

static void find_program(struct settings *s, struct config_plugin *p)
{
	const char *path = getenv("PATH"), *name = p->n_command > 0 ? p->command[0] : NULL;
	char *at;

	if (name == NULL || *name == '\0')
		return;
	if (strchr(name, '/') == NULL) {
		if (!find_in(p->program, sizeof p->program, PLUGIN_FOLDER, name) &&
			!find_in(p->program, sizeof p->program, path != NULL ? path : "/usr/bin:/bin", name))
			settings_problem(s, &p->command,
				"command: there is no program %s among the installed plugins or in PATH", name);
		return;
	}
	at = settings_path(s, name);
	if (at == NULL)
		return;
	if (snprintf(p->program, sizeof p->program, "%s", at) >= (int)sizeof p->program)
		settings_problem(s, &p->command, "command: the path is too long");
	else if (access(at, X_OK) < 0)
		settings_problem(s, &p->command, "command: %s cannot be run: %s", at, strerror(errno));
	free(at);
}

/* The keys through `*out`; NULL: they are not good. */
static int check_keys(struct settings *s, const struct config *c, struct config_keys **out)
{
	struct problems problems = {0};
	int r;

	r = config_keys_load(out, c, &problems);
	for (size_t i = 0; i < problems.n; i++)
		settings_problem(s, &c->trust.keys, "keys: %s %s", problems.items[i].place, problems.items[i].rule);
	problems_deinit(&problems);
	return r < 0 ? r : 0;
}

/* 0, or CONFIG_BAD when the file is a roster, but another than the anchor names: that is said where the anchor stands. */
static int check_anchor_of(struct settings *s, const struct config *c)
{
	char digest[2 * DIGEST_LEN + 1];
	struct problems ignored = {0};
	struct roster roster = {0};
	void *text = NULL;
	size_t len;
	bool other;
	int r = file_read(&text, &len, c->trust.roster, NOTE_MAX);

	if (r == 0)
		r = roster_parse(&roster, c->trust.roster, bytes_of(text, len), &ignored);
	other = r == 0 && memcmp(roster.note.digest.bytes, c->trust.digest, DIGEST_LEN) != 0;
	if (other) {
		hex_encode(digest, roster.note.digest.bytes, DIGEST_LEN);
		settings_problem(s, &c->trust.anchor, "anchor: the digest of %s is %s", c->trust.roster, digest);
	}
	roster_deinit(&roster);
	problems_deinit(&ignored);
	free(text);
	return r == -ENOMEM ? r : other ? CONFIG_BAD : 0;
}

/* What this member needs of roster and cards. What the node learnt is in its store: once it ran, only the node can tell. */
static void check_own(
	struct settings *s, const struct config *c, const struct trust *trust, const struct config_keys *keys)
{
	const struct card *own = trust_card(trust, c->member);
	struct stat st;

	if (c->state != NULL && stat(c->state, &st) == 0)
		return;
	if (!trust_is_member(trust, c->member))
		settings_problem(s, &c->member,
			"member: %s is not in roster %u: the node waits for one that lists it, which it gets from the "
			"others once it runs; or the name is wrong",
			c->member, trust_roster(trust)->number);
	else if (own == NULL)
		settings_problem(
			s, &c->trust.cards, "cards: there is no card of %s; make it: enlight card new", c->member);
	else if (keys != NULL && config_card_lacks(own, keys) != NULL)
		settings_problem(s, &c->trust.cards, "cards: card %u of %s %s", own->number, c->member,
			config_card_lacks(own, keys));
}

/* Roster and cards. Their own mistakes have places of their own and go to `notes`. */
static int check_trust(struct settings *s, struct config *c, const struct config_keys *keys, struct problems *notes)
{
	struct trust *trust = NULL;
	int r;

	if (c->trust.anchor == NULL || c->trust.roster == NULL || access(c->trust.roster, R_OK) < 0)
		return 0; /* that is said already */
	r = check_anchor_of(s, c);
	if (r == 0)
		r = config_roster_load(&trust, c, notes);
	if (r == 0 && c->trust.cards != NULL && access(c->trust.cards, R_OK | X_OK) == 0)
		r = config_cards_load(&trust, c, notes);
	if (trust != NULL && r >= 0 && config_resolve(c, trust_roster(trust)) != 0)
		r = -ENOMEM;
	if (trust != NULL && c->member != NULL && r >= 0)
		check_own(s, c, trust, keys);
	trust_unref(trust);
	return r < 0 ? r : 0;
}

/* What is outside the file; with `notes` roster and cards as well. */
static int check_outside(struct settings *s, struct config *c, struct problems *notes)
{
	struct config_keys *keys = NULL;
	struct stat st;
	int r;

	check_there(s, &c->trust.roster, "roster", false);
	check_there(s, &c->trust.cards, "cards", true);
	if (c->state != NULL && stat(c->state, &st) == 0 && !S_ISDIR(st.st_mode))
		settings_problem(s, &c->state, "state: %s is no folder", c->state);
	for (size_t i = 0; i < c->n_access; i++)
		find_user_and_group(s, &c->access[i]);
	for (size_t i = 0; i < c->n_plugins; i++)
		find_program(s, &c->plugins[i]);
	r = c->trust.keys != NULL ? check_keys(s, c, &keys) : 0;
	if (r == 0 && notes != NULL)
		r = check_trust(s, c, keys, notes);
	config_keys_free(keys);
	return r;
}

enum depth { TEXT, OUTSIDE, NOTES };

static int load(struct config **out, const char *path, enum depth depth, struct problems *problems)
{
	struct config *c = calloc(1, sizeof *c);
	struct settings *s = settings_new(path);
	struct problems notes = {0};
	int r = -ENOMEM;

	*out = NULL;
	if (c == NULL || s == NULL)
		goto out;
	r = settings_read(s, c, config_table);
	if (r != 0)
		goto out;
	check_together(s, c);
	r = depth != TEXT ? check_outside(s, c, depth == NOTES ? &notes : NULL) : 0;
	if (r != 0)
		goto out;
	r = settings_finish(s, problems);
	if (r >= 0)
		r = r == 0 && notes.total == 0 ? 0 : CONFIG_BAD;
	problems_move(problems, "", &notes);
	if (r != 0)
		goto out;
	*out = c;
	c = NULL;
out:
	problems_deinit(&notes);
	config_free(c);
	settings_free(s);
	return r;
}

int config_load(struct config **out, const char *path, struct problems *problems)
{
	return load(out, path, OUTSIDE, problems);
}

int config_read(struct config **out, const char *path, struct problems *problems)
{
	return load(out, path, TEXT, problems);
}

int config_check(const char *path, struct problems *problems)
{
	struct config *c;
	int r = load(&c, path, NOTES, problems);

	config_free(c);
	return r;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	settings_release(c, config_table);
	free(c);
}

struct filled {
	const char *member, *anchor;
};

static const char *fill(void *context, const char *name)
{
	const struct filled *f = context;

	return strcmp(name, "member") == 0 ? f->member : strcmp(name, "trust.anchor") == 0 ? f->anchor : NULL;
}

void config_example(struct buffer *out, const char *member, const char *anchor)
{
	struct filled filled = {member, anchor};

	buffer_str(out, "# Configuration of an ENLIGHT node; see enlight.yaml(5). What is commented out has the value "
			"that is shown,\n"
			"# or is an example. Check changes with `enlight check-config`.\n");
	settings_example(out, config_table, fill, &filled);
}
