#include "config.h"

#include "base/secret.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A folder to take secrets from. */
struct keys_folder {
	const char *path;
	const char *prefix;  /* of the file names: systemd puts the credential's name in front */
	bool private_folder; /* the system keeps others out */
};

/* The number of `node-N.key`; 0: not such a name. */
static uint32_t key_number(const char *name, const char *prefix)
{
	unsigned number = 0;
	int end = 0;
	char again[64];

	if (strncmp(name, prefix, strlen(prefix)) != 0)
		return 0;
	name += strlen(prefix);
	if (sscanf(name, "node-%4u.key%n", &number, &end) != 1 || end == 0 || number > KEY_NUMBERS_MAX)
		return 0;
	snprintf(again, sizeof again, "node-%u.key", number); /* only one way to write a number: no +1, no 01 */
	return strcmp(name, again) == 0 ? number : 0;
}

static int read_node_key(
	struct config_keys *k, const struct keys_folder *f, const char *name, struct problems *problems)
{
	struct node_keys *nodes = NULL;
	uint8_t secret[SECRET_LEN];
	char *path = NULL;
	int r = -ENOMEM;

	if (asprintf(&path, "%s/%s", f->path, name) < 0) {
		path = NULL;
		goto out;
	}
	r = secret_read(secret, path, f->private_folder, problems);
	if (r != 0)
		goto out;
	r = -ENOMEM;
	nodes = calloc(k->n_nodes + 1, sizeof *nodes); /* not realloc: no copies of secrets stay behind */
	if (nodes == NULL)
		goto out;
	if (k->n_nodes != 0) {
		memcpy(nodes, k->nodes, k->n_nodes * sizeof *nodes);
		sodium_memzero(k->nodes, k->n_nodes * sizeof *nodes);
	}
	free(k->nodes);
	k->nodes = nodes;
	node_keys_derive(&k->nodes[k->n_nodes++], key_number(name, f->prefix), secret);
	r = 0;
out:
	sodium_memzero(secret, sizeof secret);
	free(path);
	return r == SECRET_BAD ? 0 : r;
}

static int read_store_secret(uint8_t out[static SECRET_LEN], const struct keys_folder *f, struct problems *problems)
{
	char *path;
	int r;

	if (asprintf(&path, "%s/%sstore.key", f->path, f->prefix) < 0)
		return -ENOMEM;
	r = secret_read(out, path, f->private_folder, problems);
	free(path);
	return r;
}

static int read_store_key(struct config_keys *k, const struct keys_folder *f, struct problems *problems)
{
	uint8_t secret[SECRET_LEN];
	int r = read_store_secret(secret, f, problems);

	if (r == 0)
		store_keys_derive(&k->store, secret);
	sodium_memzero(secret, sizeof secret);
	return r == SECRET_BAD ? 0 : r;
}

static int by_number(const void *a, const void *b)
{
	const struct node_keys *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int read_folder(struct config_keys *k, const struct keys_folder *f, struct problems *problems)
{
	size_t before = problems->total;
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	dir = opendir(f->path);
	if (dir == NULL) {
		problem_addf(problems, f->path, "cannot be read: %s", strerror(errno));
		return CONFIG_BAD;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL) {
		if (key_number(entry->d_name, f->prefix) != 0)
			r = read_node_key(k, f, entry->d_name, problems);
	}
	closedir(dir);
	if (r == 0 && k->n_nodes == 0 && problems->total == before)
		problem_addf(problems, f->path, "holds no node key (%snode-1.key)", f->prefix);
	if (r == 0)
		r = read_store_key(k, f, problems);
	if (k->n_nodes != 0)
		qsort(k->nodes, k->n_nodes, sizeof *k->nodes, by_number);
	return r != 0 ? r : problems->total != before ? CONFIG_BAD : 0;
}

static bool has_store_key(const char *folder, const char *prefix)
{
	char path[4096];
	FILE *file;

	if (snprintf(path, sizeof path, "%s/%sstore.key", folder, prefix) >= (int)sizeof path)
		return false;
	file = fopen(path, "re");
	if (file != NULL)
		fclose(file);
	return file != NULL;
}

/* systemd's credentials come before the configuration's folder, when there are keys among them. */
static struct keys_folder folder_of(const struct config *c)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	if (credentials != NULL && has_store_key(credentials, "keys_"))
		return (struct keys_folder){credentials, "keys_", true};
	if (credentials != NULL && has_store_key(credentials, ""))
		return (struct keys_folder){credentials, "", true};
	return (struct keys_folder){c->trust.keys, "", false};
}

int config_store_secret(uint8_t out[static SECRET_LEN], const struct config *c, struct problems *problems)
{
	struct keys_folder f = folder_of(c);
	int r = read_store_secret(out, &f, problems);

	return r == SECRET_BAD ? CONFIG_BAD : r;
}

int config_keys_load(struct config_keys **out, const struct config *c, struct problems *problems)
{
	struct config_keys *k = calloc(1, sizeof *k);
	struct keys_folder f = folder_of(c);
	int r;

	*out = NULL;
	if (k == NULL)
		return -ENOMEM;
	r = read_folder(k, &f, problems);
	if (r == 0)
		*out = k;
	else
		config_keys_free(k);
	return r;
}

void config_keys_free(struct config_keys *k)
{
	if (k == NULL)
		return;
	if (k->nodes != NULL)
		sodium_memzero(k->nodes, k->n_nodes * sizeof *k->nodes);
	free(k->nodes);
	sodium_memzero(k, sizeof *k);
	free(k);
}
