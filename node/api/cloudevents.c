#include "api/cloudevents.h"

#include "core/limits.h"
#include "core/wire.h"
#include "io/cloudevents/v1/cloudevents.pb-c.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	PLACE_LEN = 24,          /* "/4095" */
	EVENT_SLACK = 16 * 1024, /* of one event in protobuf, beside its data: attributes */
};

/* Numbers of fields as in cloudevents.proto. */
enum {
	EVENT_ID = 1,
	EVENT_SOURCE,
	EVENT_VERSION,
	EVENT_TYPE,
	EVENT_ATTRIBUTE,
	EVENT_BINARY,
	EVENT_TEXT,
	EVENT_TYPED,
};
enum { ENTRY_KEY = 1, ENTRY_VALUE };
enum { VALUE_BOOLEAN = 1, VALUE_INTEGER, VALUE_TEXT, VALUE_BYTES, VALUE_URI, VALUE_URI_REF, VALUE_INSTANT };
enum { TYPED_URL = 1, TYPED_VALUE };
enum { INSTANT_SECONDS = 1, INSTANT_NANOS };

static const int64_t instant_max = 253402300799; /* seconds: the end of the year 9999 */

/* ---- what all forms share ---- */

/* The outcomes are numbered from the worst to the mildest. */
static void worsen(struct drafts *d, int outcome)
{
	if (d->outcome == 0 || outcome < d->outcome)
		d->outcome = outcome;
}

static void refuse(struct drafts *d, int outcome, const char *place, const char *rule)
{
	problem_add(&d->problems, place, rule);
	worsen(d, outcome);
}

static void place_of(const struct drafts *d, size_t i, char place[static PLACE_LEN])
{
	if (d->type->batch)
		snprintf(place, PLACE_LEN, "/%zu", i);
	else
		place[0] = '\0';
}

static void refuse_event(struct drafts *d, size_t i, int outcome, const char *where, const char *rule)
{
	char place[PLACE_LEN];
	struct problems found = {0};

	place_of(d, i, place);
	problem_add(&found, where, rule);
	problems_move(&d->problems, place, &found);
	problems_deinit(&found);
	worsen(d, outcome);
}

static int push(struct drafts *d, struct draft *draft)
{
	if (d->n == d->size) {
		size_t size = d->size == 0 ? (d->type->batch ? 64 : 1) : d->size * 2;
		struct draft *items = realloc(d->items, size * sizeof *items);

		if (items == NULL)
			return -ENOMEM;
		d->items = items;
		d->size = size;
	}
	d->items[d->n++] = *draft;
	*draft = (struct draft){0};
	return 0;
}

/* Whether the topic may be published by who asks. A type that names none is the validation's to refuse. */
static bool may_publish(const struct drafts *d, const char *type)
{
	char topic[TYPE_MAX + 1];

	return type == NULL || !topic_name_of_type(topic, type) || d->may_publish(d->context, topic);
}

static bool refuse_topic(struct drafts *d, size_t i, const char *type)
{
	if (may_publish(d, type))
		return false;
	refuse_event(d, i, DRAFT_FORBIDDEN, "/type", "the access table does not let you publish this topic");
	return true;
}

static int complete(const struct drafts *d, size_t i, struct draft *draft)
{
	char id[STAMP_UUID];

	if (draft->event.id == NULL)
		stamp_uuid(id, d->now_ms, (unsigned)i);
	return draft_complete(
		draft, draft->event.id == NULL ? id : NULL, draft->event.time == NULL ? d->time : NULL, d->today);
}

/* Takes one event that was read with result `r`, what was found wrong with it included. Once one is refused the others are
 * looked at too, so that all that is wrong is said at once, but not kept. */
static int take(struct drafts *d, size_t i, int r, struct draft *draft, struct problems *found)
{
	char place[PLACE_LEN];

	if (r > 0)
		worsen(d, r);
	if (r == 0 && d->outcome == 0)
		r = complete(d, i, draft);
	if (r == 0 && d->outcome == 0)
		r = push(d, draft);
	place_of(d, i, place);
	problems_move(&d->problems, place, found);
	problems_deinit(found);
	draft_deinit(draft);
	return r < 0 ? r : 0;
}

/* ---- attributes that stand apart from the data ---- */

static const char *const known_attributes[] = {EVENT_ATTRIBUTES};

static const char *find_attribute(void *context, const char *name)
{
	const struct event_parts *p = context;

	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->items[i].name, name) == 0)
			return p->items[i].value;
	return NULL;
}

bool event_parts_add(struct event_parts *p, const char *name, const char *value)
{
	if (p->n == EVENT_ATTRIBUTES_MAX || find_attribute(p, name) != NULL)
		return false;
	p->items[p->n++] = (struct event_attribute){.name = name, .value = value};
	return true;
}

static bool known_attribute(const char *name)
{
	for (size_t i = 0; i < sizeof known_attributes / sizeof *known_attributes; i++)
		if (strcmp(name, known_attributes[i]) == 0)
			return true;
	return false;
}

/* An attribute that would be dropped on the way to the readers is refused instead. */
static bool refuse_unknown(struct drafts *d, size_t i, const struct event_parts *p)
{
	for (size_t k = 0; k < p->n; k++) {
		char where[80];

		if (known_attribute(p->items[k].name))
			continue;
		snprintf(where, sizeof where, "/%.64s", p->items[k].name);
		refuse_event(d, i, DRAFT_RULE, where, "not an attribute of these events, which could not carry it");
		return true;
	}
	return false;
}

/* A source that is the member by another name: the member. Everything else as it is. */
static const char *source_of(const struct drafts *d, const char *source)
{
	const char *handle = source == NULL || d->resolve == NULL ? NULL : d->resolve(d->resolve_context, source);

	return handle != NULL && strcmp(handle, d->member) == 0 ? d->member : source;
}

/* The attributes of one event, which draft_from_parts() asks for. */
struct attributes {
	const struct drafts *d;
	const struct event_parts *parts;
};

static const char *give_attribute(void *context, const char *name)
{
	const struct attributes *a = context;
	const char *value = find_attribute((void *)a->parts, name);

	return strcmp(name, "source") == 0 ? source_of(a->d, value) : value;
}

static int take_parts(struct drafts *d, size_t i, const struct event_parts *parts, struct bytes data, bool packed)
{
	struct attributes attributes = {d, parts};
	struct draft_source in = {.attribute = give_attribute, .context = &attributes, .data = data, .packed = packed};
	struct problems found = {0};
	struct draft draft = {0};
	int r;

	if (refuse_unknown(d, i, parts) || refuse_topic(d, i, find_attribute((void *)parts, "type")))
		return 0;
	r = draft_from_parts(&draft, &in, d->member, &found);
	return take(d, i, r, &draft, &found);
}

static int read_binary(struct drafts *d, struct bytes body)
{
	return take_parts(d, 0, d->headers, body, d->type->packed);
}

/* ---- JSON ---- */

/* jansson's own texts quote what was sent; these do not. */
static const char *json_words(enum json_error_code code)
{
	static const struct {
		enum json_error_code code;
		const char *words;
	} rows[] = {
		{json_error_stack_overflow, "nested too deep"},
		{json_error_invalid_utf8, "not UTF-8"},
		{json_error_premature_end_of_input, "ends before it is complete"},
		{json_error_end_of_input_expected, "something stands behind the value"},
		{json_error_null_character, "a NUL character"},
		{json_error_null_byte_in_key, "a NUL character in a name"},
		{json_error_duplicate_key, "the same name twice in one object"},
		{json_error_numeric_overflow, "a number that is too large"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].code == code)
			return rows[i].words;
	return "not JSON";
}

/* Says where in the whole body it is, in lines and characters from 1. */
enum { RULE_LEN = 128 };
static void json_rule(char rule[static RULE_LEN], struct bytes body, size_t at, const char *words)
{
	unsigned long line = 1, column = 1;

	for (size_t k = 0; k < at && k < body.len; k++) {
		if (body.data[k] == '\n') {
			line++;
			column = 1;
		} else if ((body.data[k] & 0xc0) != 0x80) {
			column++;
		}
	}
	snprintf(rule, RULE_LEN, "line %lu, column %lu: %s", line, column, words);
}

static void refuse_list(struct drafts *d, struct bytes body, size_t at, const char *words)
{
	char rule[RULE_LEN];

	json_rule(rule, body, at, words);
	refuse(d, DRAFT_SYNTAX, "", rule);
}

/* What a scan over JSON text finds without parsing it: where a value ends, and how many values are in it at most. */
struct json_scan {
	size_t end;
	size_t values;
};

/* From `from` to the comma or bracket that ends the value in a list, or to the end of the body. */
static struct json_scan scan_value(struct bytes body, size_t from)
{
	struct json_scan s = {.end = from, .values = 1};
	size_t depth = 0;
	bool text = false;

	for (; s.end < body.len; s.end++) {
		uint8_t c = body.data[s.end];

		if (text) {
			if (c == '\\')
				s.end++;
			else if (c == '"')
				text = false;
			continue;
		}
		if (depth == 0 && (c == ',' || c == ']'))
			break;
		if (c == '"')
			text = true;
		else if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		if (c == '{' || c == '[' || c == ',')
			s.values++;
	}
	if (s.end > body.len)
		s.end = body.len;
	return s;
}

/* Names the event's source as the member is called. */
static int resolve_source(const struct drafts *d, json_t *event)
{
	const char *source = json_string_value(json_object_get(event, "source"));

	if (source == NULL || source_of(d, source) == source)
		return 0;
	return json_object_set_new(event, "source", json_string(d->member)) == 0 ? 0 : -ENOMEM;
}

static int take_json(struct drafts *d, size_t i, struct bytes body, size_t from, struct json_scan scan)
{
	struct problems found = {0};
	struct draft draft = {0};
	char rule[RULE_LEN];
	json_error_t error;
	json_t *json;
	int r = 0;

	if (scan.end - from > EVENT_JSON_MAX || scan.values > EVENT_JSON_VALUES) {
		refuse_event(d, i, DRAFT_TOO_LARGE, "", "an event of at most 1 MiB of JSON and 65536 values in it");
		return 0;
	}
	json = json_loadb((const char *)body.data + from, scan.end - from, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL) {
		if (json_error_code(&error) == json_error_out_of_memory)
			return -ENOMEM;
		json_rule(rule, body, from + (size_t)error.position, json_words(json_error_code(&error)));
		refuse_event(d, i, DRAFT_SYNTAX, "", rule);
		return 0;
	}
	if (!refuse_topic(d, i, json_string_value(json_object_get(json, "type")))) {
		r = resolve_source(d, json);
		if (r == 0)
			r = draft_from_json(&draft, json, d->member, &found);
		r = take(d, i, r, &draft, &found);
	}
	json_decref(json);
	return r;
}

static int read_json(struct drafts *d, struct bytes body)
{
	struct json_scan scan = scan_value(body, 0);

	scan.end = body.len; /* a comma after the value is the parser's to refuse */
	return take_json(d, 0, body, 0, scan);
}

static size_t skip_space(struct bytes body, size_t at)
{
	while (at < body.len && strchr(" \t\r\n", body.data[at]) != NULL && body.data[at] != '\0')
		at++;
	return at;
}

static int read_json_batch(struct drafts *d, struct bytes body)
{
	size_t at = skip_space(body, 0), i = 0;
	int r = 0;

	if (at == body.len || body.data[at] != '[') {
		refuse(d, DRAFT_SYNTAX, "", "a batch is a JSON list");
		return 0;
	}
	at = skip_space(body, at + 1);
	if (at < body.len && body.data[at] == ']')
		at++;
	else
		for (bool more = true; more && r == 0; i++) {
			struct json_scan scan = scan_value(body, at);

			if (i == EVENTS_MAX) {
				refuse(d, DRAFT_TOO_LARGE, "", "at most 4096 events in one request");
				return 0;
			}
			r = take_json(d, i, body, at, scan);
			if (scan.end == body.len) {
				refuse_list(d, body, body.len, "the list ends before it is complete");
				return r;
			}
			more = body.data[scan.end] == ',';
			at = scan.end + 1;
		}
	if (r == 0 && skip_space(body, at) != body.len)
		refuse_list(d, body, at, "something stands behind the list");
	return r;
}

/* ---- protobuf ---- */

/* Texts of one event, with the NUL that they lack on the wire; and the text forms of attributes that are not text. */
struct texts {
	char *at; /* where the next one goes */
	char forms[EVENT_ATTRIBUTES_MAX][STAMP_TIME + 8];
	size_t n_forms;
};

static const char *keep_text(struct texts *t, struct bytes text)
{
	char *out = t->at;

	if (text.len > 0)
		memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	t->at += text.len + 1;
	return out;
}

static const char *integer_text(struct texts *t, int32_t v)
{
	char *out = t->forms[t->n_forms++];

	snprintf(out, sizeof t->forms[0], "%" PRId32, v);
	return out;
}

static const char *instant_text(struct texts *t, struct bytes instant)
{
	char *out = t->forms[t->n_forms++];
	int64_t seconds = 0;
	int32_t nanos = 0;
	struct wire_field f;

	while (wire_next(&instant, &f)) {
		if (f.number == INSTANT_SECONDS)
			seconds = (int64_t)f.value;
		else if (f.number == INSTANT_NANOS)
			nanos = (int32_t)f.value;
	}
	if (seconds < 0 || seconds > instant_max || nanos < 0 || nanos > 999999999)
		return NULL;
	stamp_time(out, (uint64_t)seconds * 1000);
	snprintf(out + 19, sizeof t->forms[0] - 19, ".%09dZ", (int)nanos);
	return out;
}

/* An attribute's value as text, as the JSON and HTTP forms have it. NULL: a kind that has none. Of several the last counts. */
static const char *value_text(struct texts *t, struct bytes value)
{
	struct wire_field f, last = {0};

	while (wire_next(&value, &f))
		if (f.number <= VALUE_INSTANT)
			last = f;
	switch (last.number) {
	case VALUE_TEXT:
	case VALUE_URI:
	case VALUE_URI_REF:
		return keep_text(t, last.content);
	case VALUE_BOOLEAN:
		return last.value != 0 ? "true" : "false";
	case VALUE_INTEGER:
		return integer_text(t, (int32_t)last.value);
	case VALUE_INSTANT:
		return instant_text(t, last.content);
	default:
		return NULL;
	}
}

/* One event, taken apart. */
struct packed_event {
	struct event_parts parts;
	struct bytes data, type_url; /* type_url: data NULL when there is none */
	bool has_data, packed, typed;
};

/* Empty is absent: that is how proto3 senders leave a field out. */
static void add_fixed(struct event_parts *p, struct texts *t, const char *name, struct bytes value)
{
	if (value.len > 0)
		event_parts_add(p, name, keep_text(t, value));
}

static void take_typed(struct packed_event *e, struct bytes typed)
{
	struct wire_field f;

	e->data = bytes_of("", 0);
	e->type_url = (struct bytes){0};
	while (wire_next(&typed, &f)) {
		if (f.number == TYPED_URL)
			e->type_url = f.content;
		else if (f.number == TYPED_VALUE)
			e->data = f.content;
	}
}

/* The attributes that are fields of the message, and the data: of several forms the last counts. Tells how many other attributes there are. */
static size_t take_fixed(struct packed_event *e, struct texts *t, struct bytes packed)
{
	static const char *const names[] = {
		[EVENT_ID] = "id", [EVENT_SOURCE] = "source", [EVENT_VERSION] = "specversion", [EVENT_TYPE] = "type"};
	size_t n_others = 0;
	struct wire_field f;

	while (wire_next(&packed, &f)) {
		if (f.number <= EVENT_TYPE)
			add_fixed(&e->parts, t, names[f.number], f.content);
		else if (f.number == EVENT_ATTRIBUTE)
			n_others++;
		if (f.number < EVENT_BINARY || f.number > EVENT_TYPED)
			continue;
		e->has_data = true;
		e->packed = f.number != EVENT_TEXT;
		e->typed = f.number == EVENT_TYPED;
		if (e->typed)
			take_typed(e, f.content);
		else
			e->data = f.content;
	}
	return n_others;
}

/* NULL, or what is wrong. */
static const char *take_attribute(struct packed_event *e, struct texts *t, struct bytes entry)
{
	const char *name = NULL, *value = NULL;
	struct wire_field f;

	while (wire_next(&entry, &f)) {
		if (f.number == ENTRY_KEY)
			name = keep_text(t, f.content);
		else if (f.number == ENTRY_VALUE)
			value = value_text(t, f.content);
	}
	if (name == NULL || value == NULL)
		return "an attribute without a name, or with a value that is not text, number, true, false or time";
	return event_parts_add(&e->parts, name, value) ? NULL : "an attribute twice";
}

static const char *take_apart(struct packed_event *e, struct texts *t, struct bytes packed)
{
	const char *wrong = NULL;
	struct wire_field f;

	if (take_fixed(e, t, packed) > EVENT_ATTRIBUTES_MAX - e->parts.n)
		return "too many attributes";
	while (wrong == NULL && wire_next(&packed, &f))
		if (f.number == EVENT_ATTRIBUTE)
			wrong = take_attribute(e, t, f.content);
	return wrong;
}

/* What stands behind the last slash of the type URL must be the topic's message. */
static bool type_url_fits(const struct packed_event *e)
{
	const char *type = find_attribute((void *)&e->parts, "type");
	const struct topic *topic = !e->typed || type == NULL ? NULL : topic_of_type(type);
	const uint8_t *slash;

	if (topic == NULL)
		return true;
	slash = e->type_url.len == 0 ? NULL : memrchr(e->type_url.data, '/', e->type_url.len);
	return slash != NULL &&
	       bytes_equal(bytes_of(slash + 1, (size_t)(e->type_url.data + e->type_url.len - slash - 1)),
		       bytes_str(topic->message->name));
}

static int take_cloud_event(struct drafts *d, size_t i, struct bytes packed, char *room)
{
	struct packed_event e;
	struct texts texts;
	const char *wrong;

	e.parts.n = 0; /* the rest is large, and rarely used */
	e.data = e.type_url = (struct bytes){0};
	e.has_data = e.packed = e.typed = false;
	texts.at = room;
	texts.n_forms = 0;
	wrong = take_apart(&e, &texts, packed);
	if (wrong != NULL) {
		refuse_event(d, i, DRAFT_SYNTAX, "", wrong);
		return 0;
	}
	if (!e.has_data) {
		refuse_event(d, i, DRAFT_RULE, "/data", "is required");
		return 0;
	}
	if (!type_url_fits(&e)) {
		refuse_event(d, i, DRAFT_RULE, "/data", "the type URL names another message than the topic's");
		return 0;
	}
	return take_parts(d, i, &e.parts, e.data, e.packed);
}

/* Walked rather than unpacked, which would cost an allocation for each attribute. */
static int take_packed(struct drafts *d, size_t i, struct bytes packed)
{
	char *room;
	int r;

	if (packed.len > EVENT_MAX + EVENT_SLACK) {
		refuse_event(d, i, DRAFT_TOO_LARGE, "", "an event of at most 192 KiB");
		return 0;
	}
	if (!wire_valid(&io__cloudevents__v1__cloud_event__descriptor, packed)) {
		refuse_event(d, i, DRAFT_SYNTAX, "", "not an io.cloudevents.v1.CloudEvent");
		return 0;
	}
	room = malloc(packed.len + 1); /* a text and its NUL are shorter than the text with its tag and length */
	if (room == NULL)
		return -ENOMEM;
	r = take_cloud_event(d, i, packed, room);
	free(room);
	return r;
}

static int read_packed(struct drafts *d, struct bytes body)
{
	return take_packed(d, 0, body);
}

static bool take_varint(struct bytes *rest, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; rest->len > 0 && shift < 64; shift += 7) {
		uint8_t b = *rest->data++;

		rest->len--;
		*out |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			return true;
	}
	return false;
}

/* The next `events` field of a CloudEventBatch (number 1, with a length: tag 0x0a). The batch has no other field, so anything
 * else is not one. The walk over the inside is the event's own: together they could hold more fields than one message may. */
static bool next_packed(struct bytes *rest, struct bytes *out)
{
	uint64_t tag, len;

	if (!take_varint(rest, &tag) || tag != 0x0a || !take_varint(rest, &len) || len > rest->len)
		return false;
	*out = bytes_of(rest->data, (size_t)len);
	rest->data += len;
	rest->len -= (size_t)len;
	return true;
}

static int read_packed_batch(struct drafts *d, struct bytes body)
{
	int r = 0;

	for (size_t i = 0; body.len > 0 && r == 0; i++) {
		struct bytes event;

		if (i == EVENTS_MAX) {
			refuse(d, DRAFT_TOO_LARGE, "", "at most 4096 events in one request");
			return 0;
		}
		if (!next_packed(&body, &event)) {
			refuse_event(d, i, DRAFT_SYNTAX, "", "not an io.cloudevents.v1.CloudEventBatch");
			return 0;
		}
		r = take_packed(d, i, event);
	}
	return r;
}

/* ---- media types ---- */

const struct media_type media_types[] = {
	{"application/cloudevents+json", read_json, .help = "one event"},
	{"application/cloudevents-batch+json", read_json_batch, .batch = true, .help = "a list of events"},
	{"application/cloudevents+protobuf", read_packed, .help = "one `io.cloudevents.v1.CloudEvent`"},
	{"application/cloudevents-batch+protobuf", read_packed_batch, .batch = true,
		.help = "an `io.cloudevents.v1.CloudEventBatch`: the fast way for many"},
	{"application/json", read_binary, .binary = true, .help = "the data; the attributes as `ce-` headers"},
	{"application/protobuf", read_binary, .binary = true, .packed = true,
		.help = "the packed data; the attributes as `ce-` headers"},
};
const size_t n_media_types = sizeof media_types / sizeof *media_types;

static bool parameters_fit(const char *p)
{
	p += strspn(p, " \t");
	if (*p == '\0')
		return true;
	if (*p++ != ';')
		return false;
	p += strspn(p, " \t");
	if (strncasecmp(p, "charset=", 8) != 0)
		return false;
	p += 8;
	return strcasecmp(p, "utf-8") == 0 || strcasecmp(p, "\"utf-8\"") == 0;
}

const struct media_type *media_type_find(const char *content_type)
{
	size_t len;

	if (content_type == NULL)
		return NULL;
	len = strcspn(content_type, " \t;");
	for (size_t i = 0; i < n_media_types; i++)
		if (strlen(media_types[i].name) == len && strncasecmp(media_types[i].name, content_type, len) == 0)
			return parameters_fit(content_type + len) ? &media_types[i] : NULL;
	return NULL;
}

int drafts_read(struct drafts *d, struct bytes body)
{
	stamp_time(d->time, d->now_ms);
	stamp_day(d->today, d->now_ms);
	if (body.data == NULL)
		body = bytes_str(""); /* readers add to the pointer, and what is nowhere has no neighbours */
	return d->type->read(d, body);
}

void drafts_deinit(struct drafts *d)
{
	for (size_t i = 0; i < d->n; i++)
		draft_deinit(&d->items[i]);
	free(d->items);
	problems_deinit(&d->problems);
	*d = (struct drafts){0};
}
