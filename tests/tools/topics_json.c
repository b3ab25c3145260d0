/* The tables of topics and rules as JSON: what event_validate() obeys, for programs that share no code with us. */
#include "make_vectors.h"

#include "core/json.h"
#include "core/rule.h"
#include "core/topic.h"
#include <stdlib.h>
#include <string.h>

static const char about[] = "The topics and the rules on their data, printed from the tables that the node obeys; "
			    "proto/README.md, section 13, "
			    "says how to read them.";

/* Texts parted by commas. */
static json_t *split(const char *text)
{
	json_t *list = json_array();

	while (text != NULL && *text != '\0') {
		size_t n = strcspn(text, ",");

		add(list, json_stringn(text, n));
		text += n;
		text += strspn(text, ", ");
	}
	return list;
}

static json_t *places(const char *const *place)
{
	json_t *list = json_array();

	for (; place != NULL && *place != NULL; place++)
		add(list, json_string(*place));
	return list;
}

/* ---- Kinds ---- */

static json_t *kind_json(const struct rule_form *f)
{
	json_t *o = json_object();

	if (f->pattern != NULL)
		set(o, "pattern", json_string(f->pattern));
	if (f->max_bytes > 0) {
		set(o, "minBytes", number(f->min_bytes));
		set(o, "maxBytes", number(f->max_bytes));
	}
	if (f->also != NULL)
		set(o, "also", split(f->also));
	set(o, "text", json_string(f->text));
	return o;
}

static json_t *kinds_json(void)
{
	json_t *o = json_object();

	for (int kind = 0; kind < RULE_KINDS; kind++)
		if (kind != RULE_ANY && kind != RULE_MESSAGE)
			set(o, rule_form(kind)->name, kind_json(rule_form(kind)));
	return o;
}

/* ---- Messages ---- */

static const char *type_name(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
		return "string";
	case PROTOBUF_C_TYPE_BYTES:
		return "bytes";
	case PROTOBUF_C_TYPE_BOOL:
		return "bool";
	case PROTOBUF_C_TYPE_UINT32:
		return "uint32";
	case PROTOBUF_C_TYPE_UINT64:
		return "uint64";
	default:
		must(type == PROTOBUF_C_TYPE_MESSAGE, "a field of a type that this program does not know");
		return "message";
	}
}

static const char *label_name(ProtobufCLabel label)
{
	return label == PROTOBUF_C_LABEL_REPEATED   ? "repeated"
	       : label == PROTOBUF_C_LABEL_REQUIRED ? "required"
						    : "optional";
}

static json_t *field_json(const struct rule *rule, const ProtobufCFieldDescriptor *field)
{
	char name[JSON_NAME_MAX + 1];
	json_t *o = json_object();

	json_name(name, field->name);
	set(o, "field", json_string(name));
	set(o, "number", number(field->id));
	set(o, "label", json_string(label_name(field->label)));
	set(o, "type", json_string(type_name(field->type)));
	if (rule->set != NULL)
		set(o, "message", json_string(rule->set->type->short_name));
	else if (rule->kind != RULE_ANY)
		set(o, "rule", json_string(rule_form(rule->kind)->name));
	if (rule->min > 0)
		set(o, "min", number(rule->min));
	if (rule->max > 0)
		set(o, "max", number(rule->max));
	if (rule->list != NULL) {
		set(o, "codes", split(rule->list));
		set(o, "open", json_boolean(rule->kind != RULE_ONE_OF));
	}
	return o;
}

static json_t *relation_json(const struct relation *r)
{
	const char *const all[] = {r->a, r->b, r->c, NULL};
	json_t *o = json_object();

	set(o, "relation", json_string(r->kind->name));
	set(o, "places", places(all));
	set(o, "at", json_string(r->at != NULL ? r->at : ""));
	set(o, "text", json_string(r->text));
	return o;
}

/* Adds a message and those inside it. */
static void add_message(json_t *messages, const struct rule_set *rules)
{
	json_t *o, *fields, *relations;

	if (json_object_get(messages, rules->type->short_name) != NULL)
		return;
	o = json_object();
	set(messages, rules->type->short_name, o);
	fields = json_array();
	relations = json_array();
	set(o, "fields", fields);
	set(o, "relations", relations);
	for (unsigned i = 0; i < rules->type->n_fields; i++) {
		add(fields, field_json(&rules->rules[i], &rules->type->fields[i]));
		if (rules->rules[i].set != NULL)
			add_message(messages, rules->rules[i].set);
	}
	for (const struct relation *r = rules->relations; r != NULL && r->kind != NULL; r++)
		add(relations, relation_json(r));
}

/* ---- Topics ---- */

static json_t *topic_json(const struct topic *t)
{
	json_t *o = json_object();

	set(o, "topic", json_string(t->name));
	set(o, "type", json_string(t->type));
	set(o, "family", json_string(t->family));
	set(o, "message", json_string(t->message->short_name));
	set(o, "personal", json_boolean(t->personal));
	if (t->self)
		set(o, "self", json_true());
	set(o, "dataClass", json_string(t->data_class));
	set(o, "publisher", json_string(t->publisher));
	set(o, "roles", places(t->roles));
	set(o, "persons", places(t->persons));
	set(o, "keepDays", number(t->keep_days));
	set(o, "id", t->id == NULL ? json_null() : json_string(t->id));
	set(o, "purpose", json_string(t->purpose));
	return o;
}

static json_t *topics_json(void)
{
	json_t *o = json_object(), *messages = json_object(), *list = json_array();

	set(o, "about", json_string(about));
	set(o, "kinds", kinds_json());
	for (size_t i = 0; i < n_topics; i++) {
		add(list, topic_json(&topics[i]));
		add_message(messages, topics[i].rules);
	}
	set(o, "messages", messages);
	set(o, "topics", list);
	return o;
}

/* ---- Text ---- */

static bool holds_object(json_t *json)
{
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach(json, key, v) if (json_is_object(v) || holds_object(v)) return true;
	json_array_foreach(json, i, v) if (json_is_object(v) || holds_object(v)) return true;
	return false;
}

static void print(struct buffer *out, json_t *json, int depth);

static void print_member(struct buffer *out, const char *key, json_t *v, bool first, int depth)
{
	buffer_printf(out, "%s\n%*s", first ? "" : ",", depth, "");
	if (key != NULL)
		buffer_printf(out, "\"%s\": ", key);
	print(out, v, depth);
}

/* Rows, which hold no other rows, on one line each. */
static void print(struct buffer *out, json_t *json, int depth)
{
	size_t before, i;
	const char *key;
	char *flat;
	json_t *v;

	if (!holds_object(json)) {
		flat = json_dumps(json, JSON_ENCODE_ANY);
		must(flat != NULL, "out of memory");
		buffer_str(out, flat);
		free(flat);
		return;
	}
	buffer_str(out, json_is_object(json) ? "{" : "[");
	before = out->len;
	json_object_foreach(json, key, v) print_member(out, key, v, out->len == before, depth + 1);
	json_array_foreach(json, i, v) print_member(out, NULL, v, i == 0, depth + 1);
	buffer_printf(out, "\n%*s%s", depth, "", json_is_object(json) ? "}" : "]");
}

char *topics_text(void)
{
	json_t *json = topics_json();
	struct buffer out = {0};
	char *text;

	print(&out, json, 0);
	buffer_str(&out, "\n");
	must(out.error == 0, "out of memory");
	text = strdup(buffer_cstr(&out));
	must(text != NULL, "out of memory");
	buffer_deinit(&out);
	json_decref(json);
	return text;
}
