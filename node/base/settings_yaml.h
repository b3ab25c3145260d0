/* settings_yaml - the strict part of YAML that configuration is written in: libyaml's events made into a tree, each node with its
 * place. Used by settings.c.
 *
 * Anchors, aliases, tags and further documents are refused, since parsers disagree about them and since aliases can make a
 * small file a huge tree. */
#ifndef ENLIGHT_BASE_SETTINGS_YAML_H
#define ENLIGHT_BASE_SETTINGS_YAML_H

#include "base/bytes.h"
#include "base/problem.h"
#include <stdarg.h>

struct yaml_place {
	unsigned line, column; /* from 1; 0: the file as a whole */
};

enum yaml_kind {
	YAML_TEXT = 1,
	YAML_EMPTY, /* nothing was written */
	YAML_LIST,
	YAML_MAP,
};

struct yaml_node {
	enum yaml_kind kind;
	struct yaml_place at;
	char *text;               /* of YAML_TEXT and YAML_EMPTY */
	bool plain;               /* written without quotes */
	struct yaml_node **items; /* of lists; of maps key, value, key, value */
	size_t n;
	struct yaml_node *parent, *next;
};

struct yaml_tree {
	struct yaml_node *nodes; /* all of them, for release */
};

/* What is wrong with a file, in any order. The zeroed value is empty. */
struct yaml_faults {
	struct yaml_fault {
		struct yaml_place at;
		size_t order;
		char *rule;
	} * items;
	size_t n, size, lost; /* lost: memory was short, or far too many */
};
void yaml_fault(struct yaml_faults *f, struct yaml_place at, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
/* Moves all to `to` in the order of the file, as `file:line:column`. Whether there was any. */
bool yaml_faults_move(struct problems *to, const char *file, struct yaml_faults *f);
void yaml_faults_deinit(struct yaml_faults *f);

/* Reads one document. 0: `*root` is its root; 1: it has faults; -ENOMEM. The tree is released with yaml_tree_deinit(), also
 * after an error. */
int yaml_tree_parse(struct yaml_tree *tree, const struct yaml_node **root, struct bytes text, size_t depth_max,
	struct yaml_faults *faults);
void yaml_tree_deinit(struct yaml_tree *t);

/* Writes a node as JSON; plain numbers, true, false and null keep their kind. A name that comes twice is a fault. Each name
 * and value stands at the line and, as nearly as quotes allow, the column that it has in the file. */
void yaml_json(struct buffer *out, struct yaml_faults *faults, const struct yaml_node *node);

#endif
