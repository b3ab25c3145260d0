/* enlight keys: the public halves of a node's keys, and new ones. */
#include "cli/http.h"
#include "cli/offline.h"

#include "base/secret.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static const char *state_of(const struct card *card, const struct node_keys *keys)
{
	static const char *const states[] = {
		[CARD_KEY_CURRENT] = "current", [CARD_KEY_RETIRED] = "retired", [CARD_KEY_REVOKED] = "revoked"};
	const struct card_key *k = card->n_keys == 0 ? NULL : card_key(card, keys->number);

	if (k == NULL)
		return "not on the card";
	return memcmp(k->sign, keys->sign_public, SIGN_PUBLIC_LEN) == 0 ? states[k->state] : "another key's number";
}

static int add_node_key(json_t *rows, const struct card *card, const struct node_keys *keys)
{
	char sign[BASE64_SIZE(32)], link[BASE64_SIZE(32)], name[32];
	json_t *row;

	base64_encode(sign, keys->sign_public, sizeof keys->sign_public);
	base64_encode(link, keys->link_public, sizeof keys->link_public);
	snprintf(name, sizeof name, "node-%u.key", keys->number);
	row = json_pack("{s:s, s:i, s:s, s:s, s:s}", "file", name, "number", (int)keys->number, "state",
		state_of(card, keys), "sign", sign, "link", link);
	return row != NULL && json_array_append_new(rows, row) == 0 ? EX_OK : EX_OSERR;
}

/* The identity key, when its file is in the folder at all. */
static int add_identity(json_t *rows, const struct node_folder *p)
{
	char *path = offline_path(p->folder, "identity.key");
	char digits[FINGERPRINT_SIZE], sign[BASE64_SIZE(32)];
	struct problems problems = {0};
	struct draft_file f = {0};
	struct identity id = {0};
	int r = path == NULL ? EX_OSERR : EX_OK;

	if (r != EX_OK || !offline_exists(path))
		goto out;
	r = offline_read(&f, path);
	if (r == EX_OK)
		r = offline_result(identity_parse(&id, path, f.text, bytes_of(NULL, 0), &problems), &problems);
	if (r != EX_OK)
		goto out;
	fingerprint(digits, id.member, id.public);
	base64_encode(sign, id.public, sizeof id.public);
	if (json_array_append_new(
		    rows, json_pack("{s:s, s:s, s:s, s:s}", "file", "identity.key", "state",
				  id.sealed ? "sealed" : "no passphrase", "sign", sign, "fingerprint", digits)) != 0)
		r = EX_OSERR;
out:
	identity_wipe(&id);
	offline_release(&f);
	free(path);
	return r;
}

static int list(const struct cli *c, const struct node_folder *p, const struct config_keys *keys)
{
	static const struct column columns[] = {
		{"FILE", "file", COLUMN_TEXT},
		{"STATE", "state", COLUMN_TEXT},
		{"SIGN", "sign", COLUMN_LONG},
		{"LINK", "link", COLUMN_LONG},
		{"FINGERPRINT", "fingerprint", COLUMN_WORDS},
	};
	json_t *rows = json_array();
	struct card card = {0};
	int r = rows == NULL ? EX_OSERR : EX_OK;

	if (r == EX_OK && offline_exists(p->card))
		r = offline_card(&card, p->card);
	for (size_t i = 0; i < keys->n_nodes && r == EX_OK; i++)
		r = add_node_key(rows, &card, &keys->nodes[i]);
	if (r == EX_OK)
		r = add_identity(rows, p);
	if (r == EX_OK)
		r = cli_table(c, columns, sizeof columns / sizeof *columns, rows);
	card_deinit(&card);
	json_decref(rows);
	return r;
}

static int run_keys(struct cli *c, int argc, char **argv)
{
	struct problems problems = {0};
	struct config_keys *keys = NULL;
	struct node_folder p;
	int r = node_folder_open(&p, c, argc > 0 ? argv[0] : NULL);

	if (r == EX_OK)
		r = offline_result(config_keys_load(&keys, p.config, &problems), &problems);
	if (r == EX_OK)
		r = list(c, &p, keys);
	config_keys_free(keys);
	node_folder_close(&p);
	return r;
}

/* The first number above all that were ever used: by a file, or by a line of the card whose file is gone. */
static int next_number(uint32_t *out, const struct node_folder *p)
{
	struct problems problems = {0};
	struct config_keys *keys = NULL;
	struct card card = {0};
	int r = offline_exists(p->card) ? offline_card(&card, p->card) : EX_OK;

	*out = card.n_keys > 0 ? card.keys[card.n_keys - 1].number : 0;
	if (r == EX_OK) {
		int loaded = config_keys_load(&keys, p->config, &problems);

		if (loaded > 0 && *out > 0) /* none is left; the card knows how many there were */
			problems_deinit(&problems);
		else
			r = offline_result(loaded, &problems);
	}
	if (r == EX_OK) {
		if (keys != NULL && keys->nodes[keys->n_nodes - 1].number > *out)
			*out = keys->nodes[keys->n_nodes - 1].number;
		++*out;
	}
	if (r == EX_OK && *out > KEY_NUMBERS_MAX) {
		cli_error("a member has at most %d node keys", KEY_NUMBERS_MAX);
		r = EX_DATAERR;
	}
	config_keys_free(keys);
	card_deinit(&card);
	return r;
}

/* A thief of the identity key may have used the next numbers: --number names a higher one. */
static int choose_number(uint32_t *out, const struct cli *c, uint32_t next)
{
	const char *wanted = cli_value(c, "number");

	*out = next;
	if (wanted == NULL || (note_number(out, wanted, KEY_NUMBERS_MAX) && *out >= next))
		return EX_OK;
	cli_error("--number %s: not a number from %u to %d", wanted, next, KEY_NUMBERS_MAX);
	return EX_USAGE;
}

/* `before`: the highest number so far. */
static int write_key(const struct cli *c, const struct node_folder *p, uint32_t number, uint32_t before)
{
	uint8_t secret[SECRET_LEN];
	char *path = offline_path(p->config->trust.keys, "node-%u.key", number);
	int r;

	if (path == NULL)
		return EX_OSERR;
	randombytes_buf(secret, sizeof secret);
	r = c->dry_run ? 0 : secret_write(path, secret);
	sodium_memzero(secret, sizeof secret);
	if (r != 0) {
		cli_error("%s: cannot be written: %s", path, strerror(-r));
		r = EX_CANTCREAT;
	} else if (c->dry_run) {
		cli_note(c, "would write %s", path);
	} else {
		printf("%s\n", path);
		offline_say(c,
			"\nNext:\n"
			"  1. enlight card new %s   (the card then lists both keys)\n"
			"  2. enlight card import CARD: the running node passes it on\n"
			"  3. When enlight peers shows the others live: restart the node, which uses the new key from "
			"then on\n"
			"  4. After the overlap: enlight card new --retire %u %s, enlight card import CARD,\n"
			"     enlight keys destroy %u %s\n",
			p->folder, before, p->folder, before, p->folder);
	}
	free(path);
	return r;
}

static int run_keys_new(struct cli *c, int argc, char **argv)
{
	struct node_folder p;
	uint32_t next = 0, number;
	int r = node_folder_open(&p, c, argc > 0 ? argv[0] : NULL);

	if (r == EX_OK)
		r = next_number(&next, &p);
	if (r == EX_OK)
		r = choose_number(&number, c, next);
	if (r == EX_OK)
		r = write_key(c, &p, number, next - 1);
	node_folder_close(&p);
	return r;
}

/* Why a key cannot go yet; NULL: it can. `node` is what the running node says of itself, or NULL. */
static const char *still_needed(const struct card *card, const json_t *node, uint32_t number)
{
	const struct card_key *key = card->n_keys == 0 ? NULL : card_key(card, number);

	if (json_integer_value(cli_get(node, "key.number")) == (json_int_t)number)
		return "is what the running node uses: restart it when its card lists a newer one";
	if (key == NULL)
		return "is on no card yet, or the card is not here";
	if (key->state == CARD_KEY_CURRENT)
		return "is in use by the card: enlight card new --retire NUMBER, enlight card import CARD";
	if (node != NULL && json_integer_value(cli_get(node, "card")) < (json_int_t)card->number)
		return "is retired by a card that the running node has not got: enlight card import CARD";
	return NULL;
}

static int destroy(const struct cli *c, const struct node_folder *p, uint32_t number)
{
	char *path = offline_path(p->config->trust.keys, "node-%u.key", number);
	int r;

	if (path == NULL)
		return EX_OSERR;
	r = c->dry_run ? 0 : secret_destroy(path);
	if (r != 0)
		cli_error("%s: cannot be destroyed: %s", path, strerror(-r));
	else
		cli_note(c, "%s %s", c->dry_run ? "would destroy" : "destroyed", path);
	free(path);
	return r == 0 ? EX_OK : EX_IOERR;
}

/* What the node of this folder says of itself; NULL: it does not run. */
static json_t *ask_node(const struct cli *c, const struct node_folder *p)
{
	struct cli at = *c;
	json_t *status;

	if (at.socket == NULL)
		at.socket = p->config->api.socket;
	status = http_peek(&at, "/v1/status");
	if (strcmp(cli_text(status, "member"), p->config->member) == 0)
		return status;
	json_decref(status);
	return NULL;
}

static int run_keys_destroy(struct cli *c, int argc, char **argv)
{
	json_t *node = NULL;
	struct card card = {0};
	const char *why = NULL;
	struct node_folder p;
	uint32_t number = 0;
	int r = node_folder_open(&p, c, argc > 1 ? argv[1] : NULL);

	if (r == EX_OK && !note_number(&number, argv[0], KEY_NUMBERS_MAX)) {
		cli_error("%s: is no key's number", argv[0]);
		r = EX_USAGE;
	}
	if (r == EX_OK && offline_exists(p.card))
		r = offline_card(&card, p.card);
	if (r == EX_OK) {
		node = ask_node(c, &p);
		if (cli_lacks_memory()) /* it may run, and with this very key */
			r = EX_OSERR;
		else
			why = still_needed(&card, node, number);
	}
	if (why != NULL) {
		cli_error("key %u %s; nothing was destroyed", number, why);
		r = EX_DATAERR;
	}
	if (r == EX_OK)
		r = destroy(c, &p, number);
	json_decref(node);
	card_deinit(&card);
	node_folder_close(&p);
	return r;
}

static const struct cli_option new_options[] = {
	{"number", "N", "Which number it has (default: the next one)"},
	{0},
};

const struct command keys_commands[] = {
	{"keys", "[FOLDER]", "Show the public halves of a node's keys",
		"FOLDER is what `enlight init` made; default: that of the configuration.", "enlight keys /etc/enlight",
		0, 1, NULL, run_keys, false},
	{"keys destroy", "NUMBER [FOLDER]", "Overwrite and remove a node key that is retired",
		"Refused as long as the card lists the key as in use, the running node uses it, or has not got the "
		"card "
		"that retires it. Copies in backups are the operator's to destroy.",
		"enlight keys destroy 1 /etc/enlight", 1, 2, NULL, run_keys_destroy, false},
	{"keys new", "[FOLDER]", "Make the node key with the next number",
		"The node uses a key once its card lists it, so a new card comes next.",
		"enlight keys new /etc/enlight", 0, 1, new_options, run_keys_new, false},
	{0},
};
