#include "place.h"

#include "base/bytes.h"
#include "core/json.h"
#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Attributes of an event: what they are called here and in CloudEvents. */
static const struct {
	const char *name, *json;
} attributes[] = {
	{"source", "source"},
	{"subject", "subject"},
	{"revision", "enlightrevision"},
	{"id", "id"},
	{"type", "type"},
	{"time", "time"},
	{"audience", "enlightaudience"},
};
enum { N_ATTRIBUTES = sizeof attributes / sizeof *attributes };

/* Messages that are about a person, whatever holds them. */
static const char *const personal_messages[] = {"Person", "PersonName", "Contact", "Signature"};

/* A place being read. */
struct parsing {
	struct place *place;
	const char *at;                            /* what is not read yet */
	const ProtobufCMessageDescriptor *message; /* whose field comes next; NULL: none can */
	const ProtobufCFieldDescriptor *field;     /* read last */
	bool entry;                                /* of a list the item, not the list */
	char *rule;
};

static int bad(struct parsing *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int bad(struct parsing *p, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(p->rule, PLACE_RULE_MAX, format, args);
	va_end(args);
	return PLACE_BAD;
}

static struct place_step *add_step(struct parsing *p)
{
	return p->place->n == PLACE_STEPS_MAX ? NULL : &p->place->steps[p->place->n++];
}

/* Adds a step into the member `name` of an object. 0, PLACE_BAD, -ENOMEM. */
static int add_name(struct parsing *p, const char *name, size_t len)
{
	struct place_step *step = add_step(p);

	if (step == NULL)
		return bad(p, "has more than %d parts", PLACE_STEPS_MAX);
	step->kind = STEP_NAME;
	step->name = strndup(name, len);
	return step->name == NULL ? -ENOMEM : 0;
}

static const ProtobufCFieldDescriptor *field_find(const ProtobufCMessageDescriptor *m, const char *name, size_t len)
{
	for (unsigned i = 0; m != NULL && i < m->n_fields; i++) {
		if (json_name_is(m->fields[i].name, name, len))
			return &m->fields[i];
	}
	return NULL;
}

/* "courseId, code, title, ..." as far as there is room. */
static void names_of(char *out, size_t size, const ProtobufCMessageDescriptor *m)
{
	char name[JSON_NAME_MAX + 1];
	size_t n = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < m->n_fields; i++) {
		json_name(name, m->fields[i].name);
		if (n + strlen(name) + 8 > size) {
			snprintf(out + n, size - n, ", ...");
			return;
		}
		n += (size_t)snprintf(out + n, size - n, "%s%s", i == 0 ? "" : ", ", name);
	}
}

static bool is_personal(const ProtobufCFieldDescriptor *field)
{
	const ProtobufCMessageDescriptor *m = field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;

	for (size_t i = 0; m != NULL && i < sizeof personal_messages / sizeof *personal_messages; i++) {
		if (strcmp(m->short_name, personal_messages[i]) == 0)
			return true;
	}
	return false;
}

/* The message inside a field; NULL: it is a value. */
static const ProtobufCMessageDescriptor *inside(const ProtobufCFieldDescriptor *field)
{
	return field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

static void enter(struct parsing *p, const ProtobufCFieldDescriptor *field)
{
	p->field = field;
	p->entry = false;
	p->message = field->label == PROTOBUF_C_LABEL_REPEATED ? NULL : inside(field);
	p->place->personal = p->place->personal || is_personal(field);
}

/* NAME: a field of the message. */
static int read_field(struct parsing *p)
{
	size_t len = strcspn(p->at, ".[|");
	const ProtobufCFieldDescriptor *field = field_find(p->message, p->at, len);
	char names[160], json[JSON_NAME_MAX + 1];
	int r;

	if (p->message == NULL) {
		assert(p->field != NULL); /* nothing comes behind an attribute */
		json_name(json, p->field->name);
		if (p->field->label == PROTOBUF_C_LABEL_REPEATED && !p->entry)
			return bad(p, "%s is a list: say which of it, as in %s[0]%s", json, json,
				inside(p->field) != NULL ? " or [lang=en]" : "");
		return bad(p, "%s is a value: nothing is inside it", json);
	}
	if (field == NULL) {
		names_of(names, sizeof names, p->message);
		return bad(p, "%s has no field \"%.*s\"; it has %s", p->message->short_name, (int)(len < 40 ? len : 40),
			p->at, names);
	}
	r = add_name(p, p->at, len);
	p->at += len;
	enter(p, field);
	return r;
}

/* [0] or [lang=en] behind a list. */
static int read_brackets(struct parsing *p)
{
	const char *text = p->at + 1, *end = strchr(text, ']'), *equals;
	const ProtobufCFieldDescriptor *field;
	struct place_step *step;

	if (end == NULL)
		return bad(p, "a bracket is not closed");
	if (p->field == NULL || p->field->label != PROTOBUF_C_LABEL_REPEATED || p->entry)
		return bad(p, "[%.*s] stands behind what is no list", (int)(end - text), text);
	step = add_step(p);
	if (step == NULL)
		return bad(p, "has more than %d parts", PLACE_STEPS_MAX);
	p->at = end + 1;
	p->entry = true;
	p->message = inside(p->field);
	equals = memchr(text, '=', (size_t)(end - text));
	if (equals == NULL) {
		step->kind = STEP_NUMBER;
		if (end == text || end - text > 6 || strspn(text, "0123456789") < (size_t)(end - text))
			return bad(p, "in brackets stands a number from 0, or a field and its value, as in [lang=en]");
		step->index = (size_t)strtoul(text, NULL, 10);
		return 0;
	}
	field = field_find(p->message, text, (size_t)(equals - text));
	if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING || field->label == PROTOBUF_C_LABEL_REPEATED)
		return bad(p, "[%.*s]: there is no text \"%.*s\" to choose by", (int)(end - text), text,
			(int)(equals - text), text);
	step->kind = STEP_SELECT;
	step->name = strndup(text, (size_t)(equals - text));
	step->value = strndup(equals + 1, (size_t)(end - equals - 1));
	return step->name == NULL || step->value == NULL ? -ENOMEM : 0;
}

/* The first word of a place in an event. */
static int read_root(struct parsing *p, const struct place_scope *scope)
{
	size_t len = strcspn(p->at, ".[|");

	if (len == 4 && memcmp(p->at, "data", 4) == 0) {
		p->message = scope->data;
		p->at += len;
		if (*p->at != '.')
			return bad(p, "data is an object: name one of its fields");
		p->at++;
		if (add_name(p, "data", 4) != 0)
			return -ENOMEM;
		return read_field(p);
	}
	for (size_t i = 0; i < N_ATTRIBUTES; i++) {
		if (len == strlen(attributes[i].name) && memcmp(p->at, attributes[i].name, len) == 0) {
			p->at += len;
			p->place->whole = strcmp(attributes[i].name, "revision") == 0;
			if (*p->at == '.' || *p->at == '[')
				return bad(p, "%s is a value: nothing is inside it", attributes[i].name);
			return add_name(p, attributes[i].json, strlen(attributes[i].json));
		}
	}
	return bad(p, "begins with source, subject, revision, id, type, time, audience or data");
}

/* The first word of a place in an item of a list. */
static int read_item(struct parsing *p, const ProtobufCFieldDescriptor *list)
{
	p->field = list;
	p->entry = true;
	p->message = inside(list);
	p->place->personal = is_personal(list);
	if (strcmp(p->at, ".number") == 0) {
		p->at += strlen(".number");
		p->field = NULL;
		p->message = NULL;
		p->place->item_number = p->place->whole = true;
		p->place->personal = false;
		return 0;
	}
	if (strcmp(p->at, ".") == 0) {
		p->at++;
		return 0;
	}
	if (p->message == NULL)
		return bad(p, "the items of this list are values: \".\" is the item, \".number\" its number");
	return read_field(p);
}

static int check_end(struct parsing *p, bool list)
{
	bool is_list = p->field != NULL && p->field->label == PROTOBUF_C_LABEL_REPEATED && !p->entry;
	char json[JSON_NAME_MAX + 1] = "this", names[160];

	if (p->field != NULL)
		json_name(json, p->field->name);
	if (list)
		return is_list ? 0 : bad(p, "%s is no list", json);
	if (is_list)
		return bad(p, "%s is a list: say which of it, as in %s[0], or give it rows of their own", json, json);
	if (p->message != NULL) {
		names_of(names, sizeof names, p->message);
		return bad(p, "%s is an object: name one of its fields, %s", json, names);
	}
	return 0;
}

static int read_one(struct parsing *p, const struct place_scope *scope, bool list)
{
	int r = scope->list != NULL ? read_item(p, scope->list) : read_root(p, scope);

	while (r == 0 && *p->at != '\0') {
		if (*p->at == '[')
			r = read_brackets(p);
		else if (*p->at == '.') {
			p->at++;
			r = read_field(p);
		} else
			r = bad(p, "a dot or a bracket is missing before \"%.20s\"", p->at);
	}
	if (r == 0)
		r = check_end(p, list);
	p->place->field = p->field;
	return r;
}

int place_compile(struct place *out, const char *text, const struct place_scope *scope, bool list,
	char rule[static PLACE_RULE_MAX])
{
	const char *end, *bar;
	char *one;
	int r;

	for (;;) {
		text += strspn(text, " ");
		bar = strchr(text, '|');
		end = bar != NULL ? bar : text + strlen(text);
		while (end > text && end[-1] == ' ')
			end--;
		one = strndup(text, (size_t)(end - text));
		if (one == NULL)
			return -ENOMEM;
		r = read_one(&(struct parsing){.place = out, .at = one, .rule = rule}, scope, list);
		free(one);
		if (r != 0 || bar == NULL)
			return r;
		out->next = calloc(1, sizeof *out);
		if (out->next == NULL)
			return -ENOMEM;
		out = out->next;
		text = bar + 1;
	}
}

void place_deinit(struct place *p)
{
	struct place *next = p->next;

	for (size_t i = 0; i < p->n; i++) {
		free(p->steps[i].name);
		free(p->steps[i].value);
	}
	*p = (struct place){0};
	if (next != NULL)
		place_deinit(next);
	free(next);
}

static json_t *select_item(json_t *list, const struct place_step *step)
{
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(json_object_get(item, step->name));

		if (text != NULL && strcmp(text, step->value) == 0)
			return item;
	}
	return NULL;
}

json_t *place_find(const struct place *p, json_t *root)
{
	for (; p != NULL; p = p->next) {
		json_t *json = root;

		for (size_t i = 0; i < p->n && json != NULL; i++) {
			const struct place_step *step = &p->steps[i];

			json = step->kind == STEP_NAME     ? json_object_get(json, step->name)
			       : step->kind == STEP_NUMBER ? json_array_get(json, step->index)
							   : select_item(json, step);
		}
		if (json != NULL && !json_is_null(json))
			return json;
	}
	return NULL;
}

bool place_is(const struct place *p, const char *attribute, const char *data_field)
{
	if (p->next != NULL || p->n == 0)
		return false;
	if (attribute != NULL)
		return p->n == 1 && p->steps[0].kind == STEP_NAME && strcmp(p->steps[0].name, attribute) == 0;
	return p->n == 2 && place_leads(p, data_field);
}

bool place_leads(const struct place *p, const char *path)
{
	if (p->n == 0 || strcmp(p->steps[0].name, "data") != 0)
		return false;
	for (size_t i = 1; i < p->n; i++) {
		size_t len = strcspn(path, ".");

		if (p->steps[i].kind != STEP_NAME || strlen(p->steps[i].name) != len ||
			strncmp(p->steps[i].name, path, len) != 0)
			return false;
		path += len + (path[len] == '.');
	}
	return *path == '\0';
}
