#include "base/settings_yaml.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* ---- faults ---- */

void yaml_fault(struct yaml_faults *f, struct yaml_place at, const char *format, va_list args)
{
	struct yaml_fault *items;
	char *rule;

	if (f->n == f->size) {
		f->size = f->size != 0 ? 2 * f->size : 16;
		items = reallocarray(f->items, f->size, sizeof *items);
		if (items == NULL) {
			f->size = f->n;
			f->lost++;
			return;
		}
		f->items = items;
	}
	if (vasprintf(&rule, format, args) < 0) {
		f->lost++;
		return;
	}
	f->items[f->n] = (struct yaml_fault){at, f->n, rule};
	f->n++;
}

static void fault(struct yaml_faults *f, struct yaml_place at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void fault(struct yaml_faults *f, struct yaml_place at, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	yaml_fault(f, at, format, args);
	va_end(args);
}

static int by_place(const void *a, const void *b)
{
	const struct yaml_fault *x = a, *y = b;

	if (x->at.line != y->at.line)
		return x->at.line < y->at.line ? -1 : 1;
	if (x->at.column != y->at.column)
		return x->at.column < y->at.column ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

bool yaml_faults_move(struct problems *to, const char *file, struct yaml_faults *f)
{
	bool any = f->n != 0 || f->lost != 0;
	char *place;

	if (f->n != 0)
		qsort(f->items, f->n, sizeof *f->items, by_place);
	for (size_t i = 0; i < f->n; i++) {
		if (f->items[i].at.line == 0)
			place = strdup(file);
		else if (asprintf(&place, "%s:%u:%u", file, f->items[i].at.line, f->items[i].at.column) < 0)
			place = NULL;
		problem_add(to, place != NULL ? place : "", f->items[i].rule);
		free(place);
	}
	to->total += f->lost;
	yaml_faults_deinit(f);
	return any;
}

void yaml_faults_deinit(struct yaml_faults *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->items[i].rule);
	free(f->items);
	*f = (struct yaml_faults){0};
}

/* ---- the tree ---- */

struct builder {
	struct yaml_tree *tree;
	struct yaml_faults *faults;
	struct yaml_node *root, *open; /* `open` takes the next item */
	size_t depth, depth_max;
	unsigned documents;
	bool ended, incomplete;
};

static struct yaml_place place_of(yaml_mark_t mark)
{
	return (struct yaml_place){(unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

/* Makes a node part of the tree. `text` is of `len` bytes. NULL: out of memory. */
static struct yaml_node *node_add(
	struct builder *b, enum yaml_kind kind, yaml_mark_t mark, const void *text, size_t len)
{
	struct yaml_node *node = calloc(1, sizeof *node), *parent = b->open, **items;

	if (node == NULL)
		return NULL;
	*node = (struct yaml_node){.kind = kind, .at = place_of(mark), .parent = parent, .next = b->tree->nodes};
	b->tree->nodes = node;
	node->text = bytes_dup(bytes_of(text, len));
	if (node->text == NULL)
		return NULL;
	if (parent == NULL) {
		b->root = node;
		return node;
	}
	if ((parent->n & (parent->n - 1)) == 0) { /* sizes are powers of two */
		items = reallocarray(parent->items, parent->n == 0 ? 1 : 2 * parent->n, sizeof(struct yaml_node *));
		if (items == NULL)
			return NULL;
		parent->items = items;
	}
	parent->items[parent->n++] = node;
	return node;
}

static void refuse_anchor_and_tag(struct builder *b, const yaml_event_t *event, const void *anchor, const void *tag)
{
	if (anchor != NULL)
		fault(b->faults, place_of(event->start_mark), "anchors (&name) are not used here");
	if (tag != NULL)
		fault(b->faults, place_of(event->start_mark), "tags (!name) are not used here");
}

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
	size_t len = event->data.scalar.length;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct yaml_node *node;

	refuse_anchor_and_tag(b, event, event->data.scalar.anchor, event->data.scalar.tag);
	if (memchr(event->data.scalar.value, '\0', len) != NULL)
		fault(b->faults, place_of(event->start_mark), "a text must not contain NUL");
	node = node_add(
		b, plain && len == 0 ? YAML_EMPTY : YAML_TEXT, event->start_mark, event->data.scalar.value, len);
	if (node == NULL)
		return -ENOMEM;
	node->plain = plain;
	return 0;
}

static int on_open(struct builder *b, const yaml_event_t *event, enum yaml_kind kind)
{
	if (kind == YAML_MAP)
		refuse_anchor_and_tag(b, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
	else
		refuse_anchor_and_tag(b, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
	if (++b->depth > b->depth_max) {
		fault(b->faults, place_of(event->start_mark), "nested deeper than %zu levels", b->depth_max);
		b->ended = b->incomplete = true;
		return 0;
	}
	b->open = node_add(b, kind, event->start_mark, "", 0);
	return b->open == NULL ? -ENOMEM : 0;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, event, YAML_LIST);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, event, YAML_MAP);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		assert(b->open != NULL); /* libyaml ends only what it began */
		b->open = b->open->parent;
		b->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		fault(b->faults, place_of(event->start_mark),
			"aliases (*name) are not used here; a text that begins with a star stands in quotes");
		b->incomplete = true;
		return node_add(b, YAML_EMPTY, event->start_mark, "", 0) == NULL ? -ENOMEM : 0;
	case YAML_DOCUMENT_START_EVENT:
		if (++b->documents == 2) {
			fault(b->faults, place_of(event->start_mark), "a second document (---) is not used here");
			b->ended = true;
		}
		return 0;
	case YAML_STREAM_END_EVENT:
		b->ended = true;
		return 0;
	default:
		return 0;
	}
}

/* Where a byte of the text stands, for what libyaml finds before it counts lines. */
static struct yaml_place place_of_offset(struct bytes text, size_t offset)
{
	struct yaml_place at = {1, 1};

	for (size_t i = 0; i < offset && i < text.len; i++) {
		at.column = text.data[i] == '\n' ? 1 : at.column + ((text.data[i] & 0xc0) != 0x80);
		at.line += text.data[i] == '\n';
	}
	return at;
}

static int on_error(const yaml_parser_t *parser, struct bytes text, struct yaml_faults *faults)
{
	struct yaml_place at = place_of(parser->problem_mark);
	const char *hint = "";

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR) {
		fault(faults, place_of_offset(text, parser->problem_offset), "not UTF-8 text: %s", parser->problem);
		return 1;
	}
	if (parser->problem_mark.index < text.len && text.data[parser->problem_mark.index] == '\t')
		hint = "; indent with spaces, not tabs";
	else if (parser->context != NULL && strstr(parser->context, "alias") != NULL)
		hint = "; a text that begins with a star stands in quotes";
	fault(faults, at, "not YAML: %s%s%s%s", parser->problem, parser->context != NULL ? ", " : "",
		parser->context != NULL ? parser->context : "", hint);
	return 1;
}

int yaml_tree_parse(struct yaml_tree *tree, const struct yaml_node **root, struct bytes text, size_t depth_max,
	struct yaml_faults *faults)
{
	struct builder b = {.tree = tree, .faults = faults, .depth_max = depth_max};
	yaml_parser_t parser;
	yaml_event_t event;
	int r = 0;

	*root = NULL;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, text.len != 0 ? text.data : (const unsigned char *)"", text.len);
	while (r == 0 && !b.ended) {
		if (!yaml_parser_parse(&parser, &event)) {
			r = on_error(&parser, text, faults);
			break;
		}
		r = on_event(&b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (r == 0 && b.root == NULL && node_add(&b, YAML_EMPTY, (yaml_mark_t){0}, "", 0) == NULL)
		r = -ENOMEM;
	if (r == 0 && b.incomplete)
		r = 1;
	*root = b.root;
	return r;
}

void yaml_tree_deinit(struct yaml_tree *t)
{
	struct yaml_node *next;

	for (struct yaml_node *node = t->nodes; node != NULL; node = next) {
		next = node->next;
		free(node->items);
		free(node->text);
		free(node);
	}
	t->nodes = NULL;
}

/* ---- JSON ---- */

/* The text so far, and where its end stands. Before each key and value comes white space, so that it stands where it stood in
 * the file: who reads the JSON can name that place. What is longer as JSON (quotes) pushes the rest of its line on, and the
 * rest catches up where there is room; lines never shift. */
struct writer {
	struct buffer *out;
	struct yaml_place at;
	size_t space_left; /* so that a list of a thousand groups does not carry a thousand files of white space */
};
enum { SPACE_MAX = 65536 };

static void write_text(struct writer *w, const char *text)
{
	buffer_str(w->out, text);
	for (; *text != '\0'; text++)
		w->at.column += (*text & 0xc0) != 0x80;
}

static void write_space(struct writer *w, const char *space)
{
	buffer_str(w->out, space);
	w->space_left--;
}

/* Goes on to a place, unless it was passed already. */
static void write_up_to(struct writer *w, struct yaml_place place)
{
	for (; w->at.line < place.line && w->space_left > 0; w->at = (struct yaml_place){w->at.line + 1, 1})
		write_space(w, "\n");
	for (; w->at.line == place.line && w->at.column < place.column && w->space_left > 0; w->at.column++)
		write_space(w, " ");
}

static void json_text(struct writer *w, const char *text)
{
	char escaped[8];

	write_text(w, "\"");
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20)
			snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*text);
		else if (*text == '"' || *text == '\\')
			snprintf(escaped, sizeof escaped, "\\%c", *text);
		else
			snprintf(escaped, sizeof escaped, "%c", *text);
		write_text(w, escaped);
	}
	write_text(w, "\"");
}

/* A number as JSON writes it, short enough for anybody to read exactly. */
static bool is_number(const char *text)
{
	const char *s = text + (*text == '-'), *digits = s;

	if (strlen(text) > 15)
		return false;
	while (isdigit((unsigned char)*s))
		s++;
	if (s == digits || (*digits == '0' && s - digits > 1))
		return false;
	if (*s == '.' && isdigit((unsigned char)s[1])) {
		for (s++; isdigit((unsigned char)*s);)
			s++;
	}
	return *s == '\0';
}

static void json_scalar(struct writer *w, const struct yaml_node *node)
{
	static const char *const words[] = {"true", "false", "null"};
	bool bare = node->plain && is_number(node->text);

	for (size_t i = 0; node->plain && i < sizeof words / sizeof *words; i++)
		bare = bare || strcmp(node->text, words[i]) == 0;
	if (node->kind == YAML_EMPTY)
		write_text(w, "null");
	else if (bare)
		write_text(w, node->text);
	else
		json_text(w, node->text);
}

static int by_name(const void *a, const void *b)
{
	const struct yaml_node *x = *(struct yaml_node *const *)a, *y = *(struct yaml_node *const *)b;
	int c = strcmp(x->text, y->text);

	return c != 0                     ? c
	       : x->at.line != y->at.line ? (x->at.line < y->at.line ? -1 : 1)
					  : (int)(x->at.column - y->at.column);
}

static void check_names(struct writer *w, struct yaml_faults *faults, const struct yaml_node *map)
{
	size_t n = map->n / 2;
	struct yaml_node **keys = calloc(n + 1, sizeof(struct yaml_node *));

	if (keys == NULL) {
		w->out->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < n; i++)
		keys[i] = map->items[2 * i];
	qsort(keys, n, sizeof(struct yaml_node *), by_name);
	for (size_t i = 0; i < n; i++) {
		if (keys[i]->kind != YAML_TEXT)
			fault(faults, keys[i]->at, "a setting's name must be text");
		else if (i != 0 && strcmp(keys[i - 1]->text, keys[i]->text) == 0)
			fault(faults, keys[i]->at, "set before, in line %u", keys[i - 1]->at.line);
	}
	free(keys);
}

/* A map or list in block form begins where its first item does, so that its bracket needs the column in front. */
static void write_bracket(struct writer *w, const struct yaml_node *node, const char *bracket)
{
	struct yaml_place at = node->at;

	if (node->n > 0 && node->items[0]->at.line == at.line && node->items[0]->at.column == at.column &&
		at.column > 1)
		at.column--;
	write_up_to(w, at);
	write_text(w, bracket);
}

/* Recursion is bounded by the depth that yaml_tree_parse() allowed. */
static void json_node(struct writer *w, struct yaml_faults *faults, const struct yaml_node *node)
{
	bool map = node->kind == YAML_MAP;

	if (node->kind == YAML_TEXT || node->kind == YAML_EMPTY) {
		write_up_to(w, node->at);
		json_scalar(w, node);
		return;
	}
	if (map)
		check_names(w, faults, node);
	write_bracket(w, node, map ? "{" : "[");
	for (size_t i = 0; i < node->n; i++) {
		if (i != 0)
			write_text(w, map && i % 2 == 1 ? ":" : ",");
		if (map && i % 2 == 0) {
			write_up_to(w, node->items[i]->at);
			json_text(w, node->items[i]->text);
		} else {
			json_node(w, faults, node->items[i]);
		}
	}
	write_text(w, map ? "}" : "]");
}

void yaml_json(struct buffer *out, struct yaml_faults *faults, const struct yaml_node *node)
{
	struct writer w = {out, {1, 1}, SPACE_MAX};

	json_node(&w, faults, node);
}
