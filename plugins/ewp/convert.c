#include "ewp/convert.h"

#include "core/event.h"
#include "core/handle.h"
#include "core/json.h"
#include "ewp/document.h"
#include "ewp/values.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	POINTER_MAX = 256,
	ENTRIES_MAX = 4096, /* of one list; an event has no room for more */
};

/* Where in the document something in the data comes from. */
struct spot {
	char *pointer;
	const xmlNode *node;
	const char *name; /* as the document calls it */
	bool value;       /* a value: what the event makes of it has parts that the document does not */
};

struct conversion {
	const struct ewp_request *in;
	struct ewp_result *out;
	const struct ewp_kind *kind;
	const struct topic *topic;
	struct spot *spots; /* of the event under construction */
	size_t n_spots, spots_size;
	const char *lifted; /* pointer to what lift_credits() put there; NULL: nothing */
	json_t *seen;       /* subject: [line, data] of each event so far */
	int error;
};

/* ---- Spots ---- */

static void add_spot(struct conversion *c, const char *pointer, const xmlNode *node, const char *name, bool value)
{
	size_t size = c->spots_size == 0 ? 64 : 2 * c->spots_size;
	struct spot *spots;

	if (c->n_spots == c->spots_size) {
		spots = realloc(c->spots, size * sizeof *spots);
		if (spots == NULL) {
			c->error = -ENOMEM;
			return;
		}
		c->spots = spots;
		c->spots_size = size;
	}
	c->spots[c->n_spots] = (struct spot){strdup(pointer), node, name, value};
	if (c->spots[c->n_spots].pointer == NULL)
		c->error = -ENOMEM;
	else
		c->n_spots++;
}

static void clear_spots(struct conversion *c)
{
	while (c->n_spots > 0)
		free(c->spots[--c->n_spots].pointer);
}

/* The spot of a pointer, or of the nearest thing around it; what of the pointer is not in it through `*rest`. There is always
 * one: of the event as a whole. */
static const struct spot *find_spot(const struct conversion *c, const char *pointer, const char **rest)
{
	const struct spot *best = &c->spots[0];
	size_t best_len = 0;

	for (size_t i = 0; i < c->n_spots; i++) {
		size_t len = strlen(c->spots[i].pointer);

		if (len < best_len || strncmp(c->spots[i].pointer, pointer, len) != 0)
			continue;
		if (pointer[len] == '\0' || pointer[len] == '/') {
			best = &c->spots[i];
			best_len = len;
		}
	}
	*rest = pointer + best_len;
	return best;
}

static const struct spot *spot_at(const struct conversion *c, const struct place *at, const char *field, size_t i)
{
	char pointer[POINTER_MAX];
	const char *rest;

	snprintf(pointer, sizeof pointer, "%s/%s/%zu", at->pointer, field, i);
	return find_spot(c, pointer, &rest);
}

/* ---- What is said ---- */

static void refuse(struct conversion *c, const xmlNode *node, const char *name, const char *text)
{
	remark_add(&c->out->refused, document_line(node), "%.*s: %s", DOCUMENT_NAME(name), text);
}

static void leave_out(struct conversion *c, const xmlNode *node, const char *name, const char *text)
{
	remark_add(&c->out->left_out, document_line(node), "not carried: %.*s: %s", DOCUMENT_NAME(name), text);
}

/* ---- Walking a document ---- */

/* What was met of one row in one element. */
struct tally {
	unsigned seen, carried;
	bool refused, empty;
	const xmlNode *first;
};

static bool is_list(const struct ewp_field *f)
{
	return f->presence == EWP_MANY || f->presence == EWP_SOME || value_is_entry(f->type);
}

/* Puts a value (taken) into its object; the pointer to where it went is written to `pointer` of POINTER_MAX bytes. */
static void put(struct conversion *c, const struct ewp_field *f, const struct place *at, const xmlNode *node,
	json_t *value, char *pointer)
{
	json_t *list;
	int r;

	if (is_list(f)) {
		list = json_object_get(at->object, f->field);
		if (list == NULL && json_object_set_new(at->object, f->field, list = json_array()) != 0)
			list = NULL;
		snprintf(pointer, POINTER_MAX, "%s/%s/%zu", at->pointer, f->field, json_array_size(list));
		r = json_array_append_new(list, value);
	} else {
		snprintf(pointer, POINTER_MAX, "%s/%s", at->pointer, f->field);
		r = json_object_set_new(at->object, f->field, value);
	}
	if (r != 0)
		c->error = -ENOMEM;
	add_spot(c, pointer, node, f->element, f->group == NULL);
}

static void walk(struct conversion *c, const struct ewp_group *group, const struct place *at);

static void walk_object(
	struct conversion *c, const struct ewp_field *f, const struct place *at, const xmlNode *node, struct tally *t)
{
	char pointer[POINTER_MAX];
	struct place inside = {json_object(), pointer, node};

	t->carried++;
	put(c, f, at, node, inside.object, pointer);
	if (c->error == 0)
		walk(c, f->group, &inside);
}

/* A value that was read, or why there is none. */
static void take_value(struct conversion *c, const struct ewp_field *f, const struct place *at, const xmlNode *node,
	struct tally *t, const char *text, const char *lang)
{
	char pointer[POINTER_MAX];
	struct ewp_value value;

	if (value_read(&value, f, text, lang) != 0) {
		c->error = -ENOMEM;
		return;
	}
	if (value.left_out != NULL)
		leave_out(c, node, f->element, value.left_out);
	if (value.refused != NULL)
		refuse(c, node, f->element, value.refused);
	t->refused = t->refused || value.refused != NULL;
	t->empty = t->empty || value.empty;
	if (value.json == NULL)
		return;
	t->carried++;
	put(c, f, at, node, value.json, pointer);
}

/* What belongs to XML itself and says nothing about the object: where a schema is. */
static bool is_hint(const xmlAttr *a)
{
	return a->ns != NULL && strcmp((const char *)a->ns->href, "http://www.w3.org/2001/XMLSchema-instance") == 0 &&
	       (strcmp((const char *)a->name, "schemaLocation") == 0 ||
		       strcmp((const char *)a->name, "noNamespaceSchemaLocation") == 0);
}

static bool is_lang(const xmlAttr *a)
{
	return a->ns != NULL && strcmp((const char *)a->ns->href, (const char *)XML_XML_NAMESPACE) == 0 &&
	       strcmp((const char *)a->name, "lang") == 0;
}

static void leave_attribute(struct conversion *c, const xmlNode *node, const xmlAttr *a)
{
	remark_add(&c->out->left_out, document_line(node), "not carried: attribute %.*s of %.*s",
		DOCUMENT_NAME(a->name), DOCUMENT_NAME(node->name));
}

static bool is_text(const xmlNode *node)
{
	return node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE;
}

/* What a value's element has beside its text. */
static void leave_rest(struct conversion *c, const struct ewp_field *f, const xmlNode *node)
{
	for (const xmlAttr *a = node->properties; a != NULL; a = a->next)
		if (!is_hint(a) && !(is_lang(a) && value_has_lang(f->type)))
			leave_attribute(c, node, a);
	for (const xmlNode *child = node->children; child != NULL; child = child->next)
		if (child->type == XML_ELEMENT_NODE)
			leave_out(c, child, (const char *)child->name, "no place in the event");
}

static void walk_value(
	struct conversion *c, const struct ewp_field *f, const struct place *at, const xmlNode *node, struct tally *t)
{
	struct buffer text = {0};
	xmlChar *lang = NULL;
	const char *content;

	for (const xmlAttr *a = node->properties; a != NULL; a = a->next)
		if (is_lang(a) && value_has_lang(f->type) && lang == NULL)
			lang = xmlNodeGetContent((const xmlNode *)a);
	for (const xmlNode *child = node->children; child != NULL; child = child->next)
		if (is_text(child))
			buffer_str(&text, (const char *)child->content);
	content = buffer_cstr(&text);
	if (content == NULL)
		c->error = -ENOMEM;
	else
		take_value(c, f, at, node, t, content, (const char *)lang);
	leave_rest(c, f, node);
	xmlFree(lang);
	buffer_deinit(&text);
}

static bool may_come(struct conversion *c, const struct ewp_field *f, const xmlNode *node, struct tally *t)
{
	bool many = f->presence == EWP_MANY || f->presence == EWP_SOME;

	if (t->seen++ == 0)
		t->first = node;
	if (t->seen == 1 || (many && t->seen <= ENTRIES_MAX))
		return true;
	if (!many || t->seen == ENTRIES_MAX + 1)
		refuse(c, node, f->element, many ? "more than an event has room for" : "comes twice");
	return false;
}

static void walk_child(struct conversion *c, const struct ewp_group *group, const struct place *at, const xmlNode *node,
	struct tally *tallies)
{
	const struct ewp_field *f = group->fields;

	while (f->element != NULL && !document_is(node, f->ns == NULL ? c->kind->ns : f->ns, f->element))
		f++;
	if (f->element == NULL) {
		leave_out(c, node, (const char *)node->name, "no place in the event");
		return;
	}
	tallies += f - group->fields;
	if (!may_come(c, f, node, tallies))
		return;
	if (f->type == EWP_OBJECT) {
		walk_object(c, f, at, node, tallies);
	} else if (f->type == EWP_INLINE) {
		tallies->carried++;
		walk(c, f->group, &(struct place){at->object, at->pointer, node});
	} else {
		walk_value(c, f, at, node, tallies);
	}
}

static void walk_attribute(struct conversion *c, const struct ewp_group *group, const struct place *at,
	const xmlAttr *a, struct tally *tallies)
{
	const struct ewp_field *f = group->fields;
	xmlChar *value;

	if (is_hint(a))
		return;
	while (f->element != NULL &&
		(a->ns != NULL || f->element[0] != '@' || strcmp(f->element + 1, (const char *)a->name) != 0))
		f++;
	if (f->element == NULL) {
		leave_attribute(c, at->node, a);
		return;
	}
	tallies += f - group->fields;
	tallies->seen++;
	tallies->first = at->node;
	value = xmlNodeGetContent((const xmlNode *)a);
	if (value == NULL)
		c->error = -ENOMEM;
	else
		take_value(c, f, at, at->node, tallies, (const char *)value, NULL);
	xmlFree(value);
}

/* All rows of the group that are a choice, as words: "a or b". */
static void check_choice(
	struct conversion *c, const struct ewp_group *group, const struct place *at, const struct tally *tallies)
{
	struct buffer names = {0};
	const struct ewp_field *last = NULL;
	unsigned n = 0;
	const char *text;

	for (const struct ewp_field *f = group->fields; f->element != NULL; f++) {
		if (f->presence != EWP_CHOICE)
			continue;
		buffer_printf(&names, "%s%s", names.len > 0 ? " or " : "", f->element);
		if (tallies[f - group->fields].seen > 0 && n++ > 0)
			last = f;
	}
	text = buffer_cstr(&names);
	if (text == NULL)
		c->error = -ENOMEM;
	else if (names.len > 0 && n == 0)
		remark_add(&c->out->refused, document_line(at->node), "%s: %s is missing", (const char *)at->node->name,
			text);
	else if (n > 1)
		remark_add(&c->out->refused, document_line(tallies[last - group->fields].first), "%s: only one of %s",
			last->element, text);
	buffer_deinit(&names);
}

static void check_presence(
	struct conversion *c, const struct ewp_group *group, const struct place *at, const struct tally *tallies)
{
	for (const struct ewp_field *f = group->fields; f->element != NULL; f++) {
		const struct tally *t = &tallies[f - group->fields];

		if ((f->presence != EWP_REQUIRED && f->presence != EWP_SOME) || t->carried > 0 || t->refused)
			continue;
		if (t->seen > 0 && t->empty)
			refuse(c, t->first, f->element, "empty, and it is required");
		else if (t->seen == 0)
			remark_add(&c->out->refused, document_line(at->node), "%s: %s is missing",
				(const char *)at->node->name, f->element);
	}
	check_choice(c, group, at, tallies);
}

static void walk(struct conversion *c, const struct ewp_group *group, const struct place *at)
{
	struct tally tallies[EWP_FIELDS_MAX] = {0};

	for (const xmlAttr *a = at->node->properties; a != NULL && c->error == 0; a = a->next)
		walk_attribute(c, group, at, a, tallies);
	for (const xmlNode *child = at->node->children; child != NULL && c->error == 0; child = child->next) {
		if (child->type == XML_ELEMENT_NODE)
			walk_child(c, group, at, child, tallies);
		else if (is_text(child) && !xmlIsBlankNode(child))
			leave_out(c, at->node, (const char *)at->node->name, "text between its elements");
	}
	check_presence(c, group, at, tallies);
	if (group->finish != NULL && c->error == 0)
		group->finish(c, at);
}

/* ---- What no row can say ---- */

static const char *lang_of(const json_t *name)
{
	return json_string_value(json_object_get(name, "lang"));
}

static bool same_lang(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcasecmp(a, b) == 0;
}

/* The first given name not paired yet that goes with this language; -1: there is none. */
static long find_given(const json_t *given, const bool *paired, const char *lang, bool exactly)
{
	size_t i;
	const json_t *name;

	json_array_foreach(given, i,
		name) if (!paired[i] && (same_lang(lang_of(name), lang) ||
						(!exactly && (lang == NULL || lang_of(name) == NULL)))) return (long)i;
	return -1;
}

static void pair(
	struct conversion *c, const struct place *at, const json_t *given, bool *paired, json_t *names, bool exactly)
{
	char pointer[POINTER_MAX];
	const struct spot *spot;
	json_t *name;
	size_t i;
	long k;

	json_array_foreach(names, i, name)
	{
		if (json_object_get(name, "given") != NULL)
			continue;
		k = find_given(given, paired, lang_of(name), exactly);
		if (k < 0)
			continue;
		paired[k] = true;
		spot = spot_at(c, at, "given", (size_t)k);
		if (lang_of(json_array_get(given, (size_t)k)) != NULL && lang_of(name) == NULL)
			leave_out(c, spot->node, spot->name, "its xml:lang, which the family-name does not have");
		if (json_object_set(name, "given", json_object_get(json_array_get(given, (size_t)k), "given")) != 0)
			c->error = -ENOMEM;
		snprintf(pointer, sizeof pointer, "%s/names/%zu/given", at->pointer, i);
		add_spot(c, pointer, spot->node, "given-names", true);
	}
}

void pair_names(struct conversion *c, const struct place *at)
{
	json_t *given = json_incref(json_object_get(at->object, "given"));
	json_t *names = json_incref(json_object_get(at->object, "family"));
	bool *paired = calloc(json_array_size(given) + 1, sizeof *paired);
	char pointer[POINTER_MAX];

	if (paired == NULL) {
		c->error = -ENOMEM;
		goto out;
	}
	json_object_del(at->object, "given");
	json_object_del(at->object, "family");
	for (size_t i = 0; i < json_array_size(names); i++) {
		snprintf(pointer, sizeof pointer, "%s/names/%zu", at->pointer, i);
		add_spot(c, pointer, spot_at(c, at, "family", i)->node, "family-name", true);
	}
	pair(c, at, given, paired, names, true);
	pair(c, at, given, paired, names, false);
	for (size_t i = 0; i < json_array_size(given); i++)
		if (!paired[i])
			leave_out(c, spot_at(c, at, "given", i)->node, "given-names", "there is no family-name for it");
	if (names != NULL && json_object_set(at->object, "names", names) != 0)
		c->error = -ENOMEM;
out:
	free(paired);
	json_decref(given);
	json_decref(names);
}

static bool schemes_differ(const json_t *credits)
{
	const json_t *a, *b;
	size_t i;

	json_array_foreach(credits, i, a) for (size_t k = 0; k < i; k++)
	{
		b = json_array_get(credits, k);
		if (json_equal(json_object_get(a, "scheme"), json_object_get(b, "scheme")))
			return false;
	}
	return true;
}

void lift_credits(struct conversion *c, const struct place *at)
{
	const json_t *runs = json_object_get(at->object, "runs"), *run;
	json_t *credits = json_object_get(json_array_get(runs, 0), "credits");
	size_t i;

	json_array_foreach(runs, i, run) if (!json_equal(json_object_get(run, "credits"), credits)) return;
	if (credits == NULL || !schemes_differ(credits))
		return;
	if (json_object_set_new(at->object, "credits", json_deep_copy(credits)) != 0)
		c->error = -ENOMEM;
	c->lifted = "/data/credits";
}

/* ---- Events ---- */

/* The text at a place such as "receiving.heiId"; NULL: there is none. */
static const char *text_at(const json_t *data, const char *place)
{
	char name[POINTER_MAX];
	size_t len;

	for (; place[len = strcspn(place, ".")] == '.'; place += len + 1) {
		snprintf(name, sizeof name, "%.*s", (int)len, place);
		data = json_object_get(data, name);
	}
	return json_string_value(json_object_get(data, place));
}

static void pointer_to(char out[static POINTER_MAX], const char *place)
{
	snprintf(out, POINTER_MAX, "/data/%s", place);
	for (char *s = out; *s != '\0'; s++)
		if (*s == '.')
			*s = '/';
}

/* Where in the data that stands which a problem of an attribute is about. */
static void place_of_problem(char out[static POINTER_MAX], const struct conversion *c, const char *pointer)
{
	if (strcmp(pointer, "/source") == 0 && c->topic->roles != NULL)
		pointer_to(out, c->topic->roles[0]);
	else if (strcmp(pointer, "/subject") == 0)
		pointer_to(out, c->topic->id);
	else if (strcmp(pointer, "/enlightaudience") == 0 && c->kind->reader != NULL)
		pointer_to(out, c->kind->reader);
	else
		snprintf(out, POINTER_MAX, "%s", pointer);
}

static void tell_problem(struct conversion *c, const struct problem *p)
{
	bool source = strcmp(p->place, "/source") == 0;
	char pointer[POINTER_MAX];
	const struct spot *spot;
	const char *rest;

	place_of_problem(pointer, c, p->place);
	spot = find_spot(c, pointer, &rest);
	rest = *rest == '/' && !spot->value ? rest + 1 : "";
	remark_add(&c->out->refused, document_line(spot->node), "%s: %s%s%s", spot->name, rest,
		*rest == '\0' ? "" : ": ",
		source ? "not --member, and a member publishes its own objects alone" : p->rule);
}

/* Whether a problem says nothing new: an attribute that is made of a wrong value is wrong as well, and so is what was said
 * again at the course. */
static bool is_echo(const struct conversion *c, const struct problem *p, bool in_data)
{
	if (strncmp(p->place, "/data", 5) != 0)
		return in_data;
	return c->lifted != NULL && strncmp(p->place, c->lifted, strlen(c->lifted)) == 0;
}

/* What core found, at its lines. */
static void tell_problems(struct conversion *c, const struct problems *problems)
{
	bool in_data = false;

	for (size_t i = 0; i < problems->n; i++)
		in_data = in_data || strncmp(problems->items[i].place, "/data", 5) == 0;
	for (size_t i = 0; i < problems->n; i++)
		if (!is_echo(c, &problems->items[i], in_data))
			tell_problem(c, &problems->items[i]);
	if (problems->total > problems->n)
		remark_add(&c->out->refused, document_line(c->spots[0].node), "%s: and %zu more mistakes in it",
			c->spots[0].name, problems->total - problems->n);
}

/* What a node will say to the event, its own state aside. */
static int check_event(struct conversion *c, json_t *event)
{
	struct problems problems = {0};
	struct draft draft = {0};
	int r;

	r = draft_from_json(&draft, event, c->in->member, &problems);
	if (r == 0)
		r = draft_complete(&draft, "-", "2026-01-01T00:00:00Z", "2026-01-01"); /* the node's to fill in */
	if (r == 0)
		r = event_validate(&draft.event, c->in->member, draft.audience, &problems);
	if (r > 0)
		tell_problems(c, &problems);
	problems_deinit(&problems);
	draft_deinit(&draft);
	return r;
}

/* Whether the object was met before in this document. The same twice is one event; two states of one object are a mistake. */
static bool is_repeated(struct conversion *c, const xmlNode *node, const char *subject, json_t *data)
{
	const json_t *before = json_object_get(c->seen, subject);
	unsigned long line = (unsigned long)json_integer_value(json_array_get(before, 0));

	if (before == NULL) {
		if (json_object_set_new(c->seen, subject, json_pack("[I, O]", (json_int_t)document_line(node), data)) !=
			0)
			c->error = -ENOMEM;
		return false;
	}
	if (json_equal(json_array_get(before, 1), data))
		remark_add(&c->out->left_out, document_line(node), "not carried: %s: the same as in line %lu",
			c->kind->object, line);
	else
		remark_add(&c->out->refused, document_line(node),
			"%s: has the id of the one in line %lu, and says other things", c->kind->object, line);
	return true;
}

static void print_event(struct conversion *c, const json_t *event)
{
	json_append(&c->out->events, event);
	buffer_str(&c->out->events, "\n");
}

/* Who may read the event. NULL: refused. */
static const char *audience_of(struct conversion *c, const json_t *data)
{
	char pointer[POINTER_MAX];
	const struct spot *spot;
	const char *reader, *rest;

	if (c->kind->reader == NULL)
		return c->in->audience;
	reader = text_at(data, c->kind->reader);
	if (c->in->audience == NULL || strcmp(c->in->audience, reader) == 0)
		return reader;
	pointer_to(pointer, c->kind->reader);
	spot = find_spot(c, pointer, &rest);
	refuse(c, spot->node, spot->name,
		"not the --audience; it is about a person and goes to this university alone (leave --audience out)");
	return NULL;
}

/* The data are whole, as far as the tables know. */
static void make_event(struct conversion *c, const xmlNode *node, json_t *data)
{
	const char *audience = audience_of(c, data);
	char subject[POINTER_MAX];
	json_t *event = NULL;

	if (audience == NULL)
		return;
	snprintf(subject, sizeof subject, "%s/%s", c->topic->family, text_at(data, c->topic->id));
	event = json_pack("{ss, ss, ss, ss, ss, ss, sO}", "specversion", "1.0", "source", c->in->member, "type",
		c->topic->type, "subject", subject, "enlightaudience", audience, "datacontenttype", "application/json",
		"data", data);
	if (event == NULL || check_event(c, event) < 0)
		c->error = -ENOMEM;
	else if (!is_repeated(c, node, subject, data))
		print_event(c, event);
	json_decref(event);
}

static void convert_object(struct conversion *c, const xmlNode *node)
{
	size_t before = c->out->refused.n;
	struct place at = {json_object(), "/data", node};

	if (at.object == NULL) {
		c->error = -ENOMEM;
		return;
	}
	clear_spots(c);
	c->lifted = NULL;
	add_spot(c, "/data", node, c->kind->object, false);
	if (c->error == 0)
		walk(c, &c->kind->group, &at);
	if (c->error == 0 && c->out->refused.n == before)
		make_event(c, node, at.object);
	json_decref(at.object);
}

/* ---- The document ---- */

static const struct ewp_kind *kind_of(const xmlNode *root)
{
	for (size_t i = 0; i < n_ewp_kinds; i++)
		if (document_is(root, ewp_kinds[i].ns, ewp_kinds[i].root))
			return &ewp_kinds[i];
	return NULL;
}

static void refuse_kind(struct conversion *c, const xmlNode *root)
{
	for (size_t i = 0; i < n_ewp_kinds; i++)
		if (strcmp(ewp_kinds[i].root, (const char *)root->name) == 0) {
			remark_add(&c->out->refused, document_line(root),
				"%s: of another version than %s, by its namespace", ewp_kinds[i].root,
				ewp_kinds[i].name);
			return;
		}
	refuse(c, root, (const char *)root->name,
		"not a document that this takes: `enlight-ewp fields` lists those that it does");
}

static void convert_objects(struct conversion *c, const xmlNode *root)
{
	for (const xmlAttr *a = root->properties; a != NULL; a = a->next)
		if (!is_hint(a))
			leave_attribute(c, root, a);
	for (const xmlNode *node = root->children; node != NULL && c->error == 0; node = node->next) {
		if (document_is(node, c->kind->ns, c->kind->object))
			convert_object(c, node);
		else if (node->type == XML_ELEMENT_NODE)
			leave_out(c, node, (const char *)node->name, "no place in an event");
		else if (is_text(node) && !xmlIsBlankNode(node))
			leave_out(c, root, (const char *)root->name, "text between its elements");
	}
}

static int convert(struct conversion *c, xmlDoc *doc)
{
	const xmlNode *root = xmlDocGetRootElement(doc);
	int r;

	c->kind = kind_of(root);
	if (c->kind == NULL) {
		refuse_kind(c, root);
		return EWP_REFUSED;
	}
	if (c->kind->reader == NULL && c->in->audience == NULL)
		return EWP_WHOSE_AUDIENCE;
	c->topic = topic_find(c->kind->topic);
	r = c->in->schemas == NULL ? 0 : document_check(doc, c->in->schemas, c->kind->schema, &c->out->refused);
	if (r != 0)
		return r == DOCUMENT_REFUSED ? EWP_REFUSED : r == DOCUMENT_NO_SCHEMA ? EWP_NO_SCHEMA : r;
	c->seen = json_object();
	if (c->seen == NULL)
		return -ENOMEM;
	convert_objects(c, root);
	if (c->error != 0 || c->out->refused.error != 0 || c->out->left_out.error != 0 || c->out->events.error != 0)
		return -ENOMEM;
	return c->out->refused.n > 0 ? EWP_REFUSED : 0;
}

int ewp_convert(struct ewp_result *out, const struct ewp_request *in)
{
	struct conversion c = {.in = in, .out = out};
	xmlDoc *doc;
	int r;

	*out = (struct ewp_result){0};
	r = document_parse(&doc, in->text, &out->refused);
	if (r == DOCUMENT_REFUSED)
		r = EWP_REFUSED;
	if (r == 0)
		r = convert(&c, doc);
	if (r != 0)
		buffer_clear(&out->events);
	clear_spots(&c);
	free(c.spots);
	json_decref(c.seen);
	xmlFreeDoc(doc);
	return r;
}

void ewp_result_deinit(struct ewp_result *r)
{
	buffer_deinit(&r->events);
	remarks_deinit(&r->refused);
	remarks_deinit(&r->left_out);
}
