/* config - what a node is told: enlight.yaml, and the secrets beside it.
 *
 * The rows of `config_table` say what there is; enlight.yaml(5) and the example file are printed from them. Everything
 * that is wrong is found at once, with its line: values that are not good by themselves, values that do not go together,
 * files that are missing, users that do not exist. */
#ifndef ENLIGHT_CONFIG_H
#define ENLIGHT_CONFIG_H

#include "base/settings.h"
#include "core/keys.h"
#include "core/trust.h"

#define CONFIG_FILE "/etc/enlight/enlight.yaml"
#define CONFIG_SOCKET "/run/enlight/api.sock"

/* Who may do what over the local API: exactly one of user, uid and group is given. */
struct config_access {
	char *user, *group;
	uint64_t uid;
	char **publish, **read; /* topic patterns */
	size_t n_publish, n_read;
	bool operator_;
	bool by_uid; /* what the three above come to: a uid, else a gid */
	unsigned id;
};

struct config_plugin {
	char *name;
	char **command, **environment, **topics, **publishes;
	size_t n_command, n_environment, n_topics, n_publishes;
	bool own;       /* this node's own events too */
	char *settings; /* the plugin's own, as a JSON object; NULL: none */
	char *from;     /* "beginning" or "now" */
	uint64_t deadline_ms, memory_limit_bytes;
	char program[4096]; /* where command[0] was found; empty: it was not looked for (config_read) */
};

struct config {
	char *member;
	char *state; /* folder; the store's relative path begins here */
	struct {
		char *anchor; /* 64 hexadecimal digits */
		uint8_t digest[DIGEST_LEN];
		char *roster, *cards, *keys; /* paths */
		uint64_t key_age_days;       /* limit of a node key's age; 0: none */
	} trust;
	struct {
		char *url;
		uint64_t disk_limit_bytes, reserve_bytes;
		uint64_t backup_age_days; /* limit of the last backup's age; 0: not watched */
	} store;
	struct {
		char *listen; /* NULL: this node only dials out */
		uint64_t memory_limit_bytes;
	} link;
	struct {
		char *socket;
		char *loopback; /* HOST:PORT; NULL: none */
	} api;
	struct {
		char **blocked; /* members */
		size_t n_blocked;
		uint64_t quota_bytes; /* 0: none */
	} peers;
	struct config_access *access;
	size_t n_access;
	struct config_plugin *plugins;
	size_t n_plugins;
};

extern const struct setting config_table[];

/* Reads and checks a configuration, its files and users included. 0: `*out` is the caller's, for config_free(); CONFIG_BAD with
 * `problems`; -ENOMEM. Otherwise `*out` is NULL. */
enum { CONFIG_BAD = 1 };
int config_load(struct config **out, const char *path, struct problems *problems);

/* The same, but looks at nothing except the text: for who only wants to know where things are. */
int config_read(struct config **out, const char *path, struct problems *problems);
void config_free(struct config *c); /* NULL is a no-op */

/* Everything that start-up looks at and what would keep the node from becoming ready: what config_load() checks, the roster and its
 * anchor, the cards, whether this member's own lists the node key. 0; CONFIG_BAD with `problems`; -ENOMEM. */
int config_check(const char *path, struct problems *problems);

/* The secrets: keys/node-1.key, node-2.key... and store.key of trust.keys, or of systemd's $CREDENTIALS_DIRECTORY when they are
 * there (LoadCredential=keys:FOLDER names them keys_node-1.key, keys_store.key). */
struct config_keys {
	struct node_keys *nodes; /* by number, rising; at least one */
	size_t n_nodes;
	struct store_keys store;
};

/* The secret of store.key alone, which the caller wipes. 0; CONFIG_BAD with `problems`; -ENOMEM. */
int config_store_secret(uint8_t out[static SECRET_LEN], const struct config *c, struct problems *problems);

/* 0: `*out` is the caller's, for config_keys_free(), which wipes; CONFIG_BAD with `problems`; -ENOMEM. */
int config_keys_load(struct config_keys **out, const struct config *c, struct problems *problems);
void config_keys_free(struct config_keys *k);

/* The roster that the anchor pins; then the cards of the folder, in the order of their names, of which those that are not good are
 * left out. `*out` and `*trust` are the caller's. 0; CONFIG_BAD with `problems`; -ENOMEM. */
int config_roster_load(struct trust **out, const struct config *c, struct problems *problems);
int config_cards_load(struct trust **trust, const struct config *c, struct problems *problems);

/* Handles in place of the aliases of a roster that the configuration names members by: its own, and those that are blocked. 0 or
 * -ENOMEM. */
int config_resolve(struct config *c, const struct roster *r);

/* The key a node runs with: the newest that its member's card (NULL: none) lists as in use; the newest of all when it lists none. So a new
 * key waits until there is a card for it. */
const struct node_keys *config_key_in_use(const struct config_keys *keys, const struct card *own);

/* Why a node with these keys cannot publish under its member's card; NULL: it can. */
const char *config_card_lacks(const struct card *own, const struct config_keys *keys);

/* Writes a configuration file with comments, in which member and anchor (both may be NULL: examples) are filled in. */
void config_example(struct buffer *out, const char *member, const char *anchor);

#endif
