#include "config.h"

#include "core/note.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_roster_load(struct trust **out, const struct config *c, struct problems *problems)
{
	struct digest anchor;
	void *text = NULL;
	size_t len;
	int r = file_read(&text, &len, c->trust.roster, NOTE_MAX);

	*out = NULL;
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		problem_addf(problems, c->trust.roster, "cannot be read: %s", strerror(-r));
		return CONFIG_BAD;
	}
	memcpy(anchor.bytes, c->trust.digest, sizeof anchor.bytes);
	r = trust_new(out, &anchor, c->trust.roster, bytes_of(text, len), problems);
	free(text);
	return r > 0 ? CONFIG_BAD : r;
}

/* Takes one card of the folder in. An older one than another in the folder does no harm. */
static int load_card(struct trust **trust, const char *path, struct problems *problems)
{
	struct trust *next;
	void *text = NULL;
	size_t len;
	int r = file_read(&text, &len, path, NOTE_MAX);

	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		problem_addf(problems, path, "cannot be read: %s", strerror(-r));
		return 0;
	}
	r = trust_with(&next, *trust, path, bytes_of(text, len), problems);
	free(text);
	if (r == TRUST_FORK)
		note_problem_at(problems, path, 1, "another card with this number is in the folder; ask whose it is");
	if (next != NULL) {
		trust_unref(*trust);
		*trust = next;
	}
	return r < 0 ? r : 0;
}

int config_cards_load(struct trust **trust, const struct config *c, struct problems *problems)
{
	struct dirent **names = NULL;
	size_t before = problems->total;
	char *path;
	int r = 0, n = scandir(c->trust.cards, &names, NULL, alphasort);

	if (n < 0)
		problem_addf(problems, c->trust.cards, "cannot be read: %s", strerror(errno));
	for (int i = 0; i < n; i++) {
		if (r == 0 && names[i]->d_name[0] != '.') {
			r = asprintf(&path, "%s/%s", c->trust.cards, names[i]->d_name) < 0 ? -ENOMEM : 0;
			if (r == 0) {
				r = load_card(trust, path, problems);
				free(path);
			}
		}
		free(names[i]);
	}
	free(names);
	return r != 0 ? r : problems->total != before ? CONFIG_BAD : 0;
}

/* Puts the handle in the place of an alias. */
static int resolve(char **name, const struct roster *r)
{
	const char *handle = *name == NULL ? NULL : roster_resolve(r, *name);
	char *copy;

	if (handle == NULL || strcmp(handle, *name) == 0)
		return 0;
	copy = strdup(handle);
	if (copy == NULL)
		return -ENOMEM;
	free(*name);
	*name = copy;
	return 0;
}

int config_resolve(struct config *c, const struct roster *r)
{
	int error = resolve(&c->member, r);

	for (size_t i = 0; i < c->peers.n_blocked && error == 0; i++)
		error = resolve(&c->peers.blocked[i], r);
	return error;
}

static bool is_listed(const struct card *own, const struct node_keys *keys)
{
	const struct card_key *key = card_key(own, keys->number);

	return key != NULL && key->state == CARD_KEY_CURRENT &&
	       memcmp(key->sign, keys->sign_public, SIGN_PUBLIC_LEN) == 0 &&
	       memcmp(key->link, keys->link_public, LINK_PUBLIC_LEN) == 0;
}

const struct node_keys *config_key_in_use(const struct config_keys *keys, const struct card *own)
{
	for (size_t i = keys->n_nodes; own != NULL && i-- > 0;)
		if (is_listed(own, &keys->nodes[i]))
			return &keys->nodes[i];
	return &keys->nodes[keys->n_nodes - 1];
}

const char *config_card_lacks(const struct card *own, const struct config_keys *keys)
{
	const struct node_keys *used = config_key_in_use(keys, own);
	const struct card_key *key = card_key(own, used->number);

	if (is_listed(own, used))
		return NULL;
	if (key == NULL || key->state != CARD_KEY_CURRENT)
		return "does not list the newest node key as current; make a new card: enlight card new";
	return "lists another key under the number of the newest node key; put that key back, or make a new card";
}
