#include "core/event.h"

#include "core/handle.h"
#include "core/json.h"
#include "core/rule.h"
#include "core/wire.h"
#include "enlight/event/v1/decision.pb-c.h"
#include "enlight/event/v1/person.pb-c.h"
#include "enlight/log/v1/log.pb-c.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	ADDED_MAX = 256,               /* bytes that completing and numbering add to a draft */
	JSON_TEXT_MAX = 4 * EVENT_MAX, /* of one event's data */
	ROLE_VALUES_MAX = 8,
	RULE_MAX = 512,
	REVISION_DIGITS_MAX = 18,
};

#define CONTENT_JSON "application/json"
#define CONTENT_PROTOBUF "application/protobuf"

static const ProtobufCMessageDescriptor *const decision = &enlight__event__v1__decision__descriptor;
static const ProtobufCMessageDescriptor *const withdrawal = &enlight__event__v1__withdrawal__descriptor;
static const ProtobufCMessageDescriptor *const erasure = &enlight__event__v1__erasure__descriptor;

/* ---- Memory ---- */

void event_deinit(struct event *e)
{
	free(e->id);
	free(e->type);
	free(e->subject);
	free(e->time);
	free((void *)e->data.data);
	free(e->traceparent);
	for (size_t i = 0; i < e->n_persons; i++)
		free(e->persons[i]);
	free(e->persons);
	free(e->data_class);
	free(e->keep_until);
	*e = (struct event){0};
}

void draft_deinit(struct draft *d)
{
	event_deinit(&d->event);
	free(d->source);
	free(d->audience);
	*d = (struct draft){0};
}

/* Copies text that may be absent. False: out of memory. */
static bool copy(char **out, const char *s)
{
	*out = s == NULL ? NULL : strdup(s);
	return s == NULL || *out != NULL;
}

static bool copy_bytes(char **out, struct bytes b)
{
	*out = strndup((const char *)b.data, b.len);
	return *out != NULL;
}

/* ---- Bytes ---- */

/* Lets the message borrow everything; what a draft does not have yet is empty. */
static void as_message(Enlight__Log__V1__Event *m, const struct event *e)
{
	enlight__log__v1__event__init(m);
	m->salt = (ProtobufCBinaryData){SALT_LEN, (uint8_t *)e->salt};
	m->id = e->id != NULL ? e->id : (char *)"";
	m->type = e->type != NULL ? e->type : (char *)"";
	m->subject = e->subject != NULL ? e->subject : (char *)"";
	m->time = e->time != NULL ? e->time : (char *)"";
	m->revision = e->revision;
	m->has_data = e->data.data != NULL;
	m->data = (ProtobufCBinaryData){e->data.len, (uint8_t *)e->data.data};
	m->traceparent = e->traceparent;
	m->n_person = e->n_persons;
	m->person = e->persons;
	m->data_class = e->data_class != NULL ? e->data_class : (char *)"";
	m->keep_until = e->keep_until != NULL ? e->keep_until : (char *)"";
}

int event_pack(uint8_t **out, size_t *len, const struct event *e)
{
	Enlight__Log__V1__Event m;

	*out = NULL;
	as_message(&m, e);
	if (protobuf_c_message_get_packed_size(&m.base) > EVENT_MAX)
		return EVENT_TOO_LARGE;
	*out = wire_pack(&m, len);
	return *out == NULL ? -ENOMEM : 0;
}

static bool add_person(struct event *e, struct bytes person)
{
	char **persons = realloc(e->persons, (e->n_persons + 1) * sizeof *persons);

	if (persons == NULL)
		return false;
	e->persons = persons;
	if (!copy_bytes(&persons[e->n_persons], person))
		return false;
	e->n_persons++;
	return true;
}

/* Numbers as in log.proto. False: out of memory. */
static bool take_field(struct event *e, const struct wire_field *f)
{
	char **const texts[] = {[2] = &e->id,
		[3] = &e->type,
		[4] = &e->subject,
		[5] = &e->time,
		[8] = &e->traceparent,
		[10] = &e->data_class,
		[11] = &e->keep_until};

	switch (f->number) {
	case 1:
		memcpy(e->salt, f->content.data, f->content.len);
		return true;
	case 6:
		e->revision = f->value;
		return true;
	case 7:
		e->data = bytes_of(bytes_dup(f->content), f->content.len);
		return e->data.data != NULL;
	case 9:
		return add_person(e, f->content);
	default:
		return f->number > 11 || copy_bytes(texts[f->number], f->content);
	}
}

/* Lengths that the wire does not know. */
static bool lengths_valid(struct bytes packed)
{
	static const size_t max[12] = {[1] = SALT_LEN,
		[2] = ID_MAX,
		[3] = TYPE_MAX,
		[4] = SUBJECT_MAX,
		[5] = TIME_MAX,
		[7] = EVENT_MAX,
		[8] = TRACEPARENT_MAX,
		[9] = PERSON_MAX,
		[10] = ID_MAX,
		[11] = ID_MAX};
	size_t persons = 0;
	struct wire_field f;

	while (wire_next(&packed, &f)) {
		if (f.number == 6 && f.value == 0)
			return false;
		if (f.number > 11 || f.number == 6)
			continue;
		persons += f.number == 9 ? 1 : 0;
		if (f.content.len > max[f.number] || (f.number == 1 && f.content.len != SALT_LEN) ||
			persons > PERSONS_MAX)
			return false;
	}
	return true;
}

int event_unpack(struct event *out, struct bytes packed)
{
	struct wire_field f;

	*out = (struct event){0};
	if (packed.len > EVENT_MAX || !wire_valid(&enlight__log__v1__event__descriptor, packed) ||
		!lengths_valid(packed))
		return EVENT_MALFORMED;
	while (wire_next(&packed, &f))
		if (!take_field(out, &f)) {
			event_deinit(out);
			return -ENOMEM;
		}
	out->topic = topic_of_type(out->type);
	return 0;
}

/* ---- Validation ---- */

/* What was found wrong so far. */
struct verdict {
	struct problems *problems;
	int worst; /* DRAFT_..., the lowest of those met; 0: none */
};

__attribute__((format(printf, 4, 5))) static void refuse(
	struct verdict *v, int outcome, const char *place, const char *rule_format, ...)
{
	char rule[RULE_MAX];
	va_list args;

	va_start(args, rule_format);
	vsnprintf(rule, sizeof rule, rule_format, args);
	va_end(args);
	problem_add(v->problems, place, rule);
	if (v->worst == 0 || outcome < v->worst)
		v->worst = outcome;
}

static bool in_words(const char *word, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static bool lower_hex(const char *s, size_t n, bool zero_allowed)
{
	size_t digits = strspn(s, "0123456789abcdef");

	return digits >= n && (zero_allowed || strspn(s, "0") < n);
}

/* W3C Trace Context, section 3.2: version 00, or a later one of the same form. */
static bool traceparent_valid(const char *s)
{
	return strlen(s) == 55 && lower_hex(s, 2, true) && strncmp(s, "ff", 2) != 0 && s[2] == '-' &&
	       lower_hex(s + 3, 32, false) && s[35] == '-' && lower_hex(s + 36, 16, false) && s[52] == '-' &&
	       lower_hex(s + 53, 2, true);
}

static void check_text(struct verdict *v, const char *place, const char *s, enum rule_kind kind)
{
	if (s != NULL && !rule_holds(kind, s, strlen(s)))
		refuse(v, DRAFT_RULE, place, "%s", rule_text(kind));
}

static void check_attributes(struct verdict *v, const struct event *e, const char *audience)
{
	static const char *const classes[] = {"public", "internal", "personal", NULL};
	char name[TYPE_MAX + 1];

	check_text(v, "/id", e->id, RULE_ID);
	check_text(v, "/subject", e->subject, RULE_SUBJECT);
	check_text(v, "/time", e->time, RULE_TIME);
	if (e->type != NULL && !topic_name_of_type(name, e->type))
		refuse(v, DRAFT_RULE, "/type", TYPE_PREFIX "FAMILY.NAME.vN");
	if (e->traceparent != NULL && !traceparent_valid(e->traceparent))
		refuse(v, DRAFT_RULE, "/traceparent", "as in W3C Trace Context");
	if (e->data_class != NULL && !in_words(e->data_class, classes))
		refuse(v, DRAFT_RULE, "/dataclass", "public, internal or personal");
	if (e->data_class != NULL && strcmp(e->data_class, "personal") == 0 && strcmp(audience, AUDIENCE_NETWORK) == 0)
		refuse(v, DRAFT_RULE, "/enlightaudience", "named members only: the event is marked personal");
	if (e->keep_until != NULL && (strlen(e->keep_until) != 10 || !rule_holds(RULE_DATE, e->keep_until, 10)))
		refuse(v, DRAFT_RULE, "/keepuntil", "YYYY-MM-DD");
}

static struct bytes value_at(const struct event *e, const char *place)
{
	struct bytes value = {NULL, 0};

	place_values(e->topic->message, e->data, place, &value, 1);
	return value;
}

static void check_subject(struct verdict *v, const struct event *e)
{
	size_t family = strcspn(e->subject, "/");
	char place[JSON_NAME_MAX + 8];

	if (!bytes_equal(bytes_of(e->subject, family), bytes_str(e->topic->family)) || e->subject[family] == '\0') {
		refuse(v, DRAFT_RULE, "/subject", "%s/ID, as the topic's family", e->topic->family);
		return;
	}
	if (e->topic->id == NULL || bytes_equal(value_at(e, e->topic->id), bytes_str(e->subject + family + 1)))
		return;
	snprintf(place, sizeof place, "/data/%s", e->topic->id);
	refuse(v, DRAFT_RULE, place, "the ID of the subject, which is FAMILY/ID");
}

static void check_role(struct verdict *v, const struct event *e, const char *publisher)
{
	struct bytes values[ROLE_VALUES_MAX];
	size_t n;

	if (e->topic->roles == NULL)
		return;
	for (const char *const *place = e->topic->roles; *place != NULL; place++) {
		n = place_values(e->topic->message, e->data, *place, values, ROLE_VALUES_MAX);
		for (size_t i = 0; i < n && i < ROLE_VALUES_MAX; i++)
			if (bytes_equal(values[i], bytes_str(publisher)))
				return;
	}
	refuse(v, DRAFT_FORBIDDEN, "/source", "published by the %s alone: the member in data.%s", e->topic->publisher,
		e->topic->roles[0]);
}

/* What a decision or withdrawal is about must be of its own family, and an object rather than another such word. */
static void check_about(struct verdict *v, const struct event *e, const char *audience)
{
	char name[TYPE_MAX + 1] = "";
	struct bytes about = value_at(e, "topic");
	const char *point;
	const struct topic *topic;

	if (about.len <= TYPE_MAX)
		memcpy(name, about.data, about.len);
	point = strchr(name, '.');
	topic = topic_find(name);
	if (point == NULL || !bytes_equal(bytes_of(name, (size_t)(point - name)), bytes_str(e->topic->family)) ||
		strcmp(point, ".decision") == 0 || strcmp(point, ".withdrawal") == 0)
		refuse(v, DRAFT_RULE, "/data/topic", "a topic of the family %s that carries objects", e->topic->family);
	if (topic != NULL && topic->personal && !e->topic->personal && strcmp(audience, AUDIENCE_NETWORK) == 0)
		refuse(v, DRAFT_RULE, "/enlightaudience", "named members only: the object is personal");
}

static void check_decision(struct verdict *v, const struct event *e, const char *publisher)
{
	if (bytes_equal(value_at(e, "source"), bytes_str(publisher)))
		refuse(v, DRAFT_FORBIDDEN, "/data/source", "a decision is the other side's, not the publisher's own");
	if (!bytes_equal(value_at(e, "subject"), bytes_str(e->subject)))
		refuse(v, DRAFT_RULE, "/data/subject", "the subject of the event itself");
}

/* Gives the values at all places where the topic has persons, each once, at most `max`; how many there are in all. */
static size_t persons_of(const struct event *e, struct bytes *out, size_t max)
{
	size_t n = 0, found = 0, kept = 0;

	for (const char *const *place = e->topic->persons; place != NULL && *place != NULL; place++) {
		n = place_values(e->topic->message, e->data, *place, out + found, max - found);
		found = found + n < max ? found + n : max;
	}
	for (size_t i = 0; i < found; i++) {
		size_t k = 0;

		while (k < kept && !bytes_equal(out[k], out[i]))
			k++;
		if (k == kept)
			out[kept++] = out[i];
	}
	return kept;
}

static bool names_person(const struct event *e, struct bytes person)
{
	for (size_t i = 0; i < e->n_persons; i++)
		if (bytes_equal(bytes_str(e->persons[i]), person))
			return true;
	return false;
}

/* Readers erase by the list that the publisher's node made: a person left out could not be forgotten. */
static void check_persons(struct verdict *v, const struct event *e)
{
	struct bytes persons[PERSONS_MAX];
	size_t n = persons_of(e, persons, PERSONS_MAX);

	for (size_t i = 0; i < n; i++)
		if (!names_person(e, persons[i])) {
			refuse(v, DRAFT_RULE, "/persons", "every person in the data");
			return;
		}
}

static void check_audience(struct verdict *v, const struct event *e, const char *audience)
{
	bool network = strcmp(audience, AUDIENCE_NETWORK) == 0;

	if (network && e->topic->personal)
		refuse(v, DRAFT_RULE, "/enlightaudience", "named members only: the topic is personal");
	if (network && e->topic->message == erasure && value_at(e, "person").data != NULL)
		refuse(v, DRAFT_RULE, "/data/person", "not to the network, which needs the sequences alone");
	if (e->data_class != NULL && strcmp(e->data_class, e->topic->data_class) != 0)
		refuse(v, DRAFT_RULE, "/dataclass", "%s, as the topic's", e->topic->data_class);
}

/* `e` has a topic and data that are well-formed for it. */
static void check_data(struct verdict *v, const struct event *e, const char *publisher, const char *audience)
{
	size_t before = v->problems->total;

	rules_check(e->topic->rules, e->data, "/data", v->problems);
	if (v->problems->total != before && v->worst == 0)
		v->worst = DRAFT_RULE;
	check_subject(v, e);
	check_role(v, e, publisher);
	check_audience(v, e, audience);
	if (e->topic->message == decision || e->topic->message == withdrawal)
		check_about(v, e, audience);
	if (e->topic->message == decision)
		check_decision(v, e, publisher);
	if (e->keep_until != NULL)
		check_persons(v, e);
}

int event_validate(const struct event *e, const char *publisher, const char *audience, struct problems *problems)
{
	struct verdict v = {problems, 0};

	check_attributes(&v, e, audience);
	if (e->topic == NULL)
		return v.worst;
	if (!wire_valid(e->topic->message, e->data))
		refuse(&v, DRAFT_RULE, "/data", "a well-formed message of the topic with all its required fields");
	else
		check_data(&v, e, publisher, audience);
	return v.worst;
}

/* ---- Drafts ---- */

enum {
	SPECVERSION,
	ID,
	SOURCE,
	TYPE,
	SUBJECT,
	TIME,
	TRACEPARENT,
	AUDIENCE,
	REVISION,
	CONTENT_TYPE,
	N_ATTRIBUTES,
};

static const char *const attributes[N_ATTRIBUTES + 1] = {EVENT_ATTRIBUTES, NULL};

/* What a CloudEvent consists of, wherever it came from. All borrowed. */
struct parts {
	const char *attribute[N_ATTRIBUTES];
	char revision[24]; /* when it came as a number */
	json_t *json;      /* data as JSON, or */
	struct bytes packed;
	bool is_packed;
};

static void take_attributes(struct verdict *v, struct draft *d, const struct parts *in, const char *member)
{
	static const int needed[] = {SPECVERSION, TYPE, SUBJECT, AUDIENCE};
	char place[32];

	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (in->attribute[needed[i]] == NULL) {
			snprintf(place, sizeof place, "/%s", attributes[needed[i]]);
			refuse(v, i < 2 ? DRAFT_SYNTAX : DRAFT_RULE, place, "required");
		}
	if (in->attribute[SPECVERSION] != NULL && strcmp(in->attribute[SPECVERSION], "1.0") != 0)
		refuse(v, DRAFT_SYNTAX, "/specversion", "1.0");
	if (in->attribute[SOURCE] != NULL && strcmp(in->attribute[SOURCE], member) != 0)
		refuse(v, DRAFT_FORBIDDEN, "/source", "the member of this node: %s", member);
	if (in->attribute[TYPE] != NULL && d->event.topic == NULL)
		refuse(v, DRAFT_RULE, "/type", "a topic of this network's contract, as `enlight topics` lists them");
}

static void take_revision(struct verdict *v, struct draft *d, const char *text)
{
	size_t digits = text == NULL ? 0 : strspn(text, "0123456789");

	if (text == NULL)
		return;
	if (digits == 0 || digits > REVISION_DIGITS_MAX || text[digits] != '\0' || text[0] == '0')
		refuse(v, DRAFT_RULE, "/enlightrevision", "a whole number, 1 or more");
	else
		d->event.revision = strtoull(text, NULL, 10);
}

static int take_audience(struct verdict *v, struct draft *d, const char *text, const char *member)
{
	if (text == NULL)
		return 0;
	d->audience = audience_normalise(text, member);
	if (d->audience == NULL && errno == ENOMEM)
		return -ENOMEM;
	if (d->audience == NULL)
		refuse(v, DRAFT_RULE, "/enlightaudience",
			"network, or the handles of at most %d members with commas between", AUDIENCE_MAX);
	return 0;
}

static bool content_type_is(const char *given, const char *type)
{
	size_t len = strlen(type);

	return given == NULL || (strncasecmp(given, type, len) == 0 && given[len + strspn(given + len, " ")] != '/' &&
					strchr("; ", given[len]) != NULL);
}

/* Whether e.data is there and well-formed afterwards. */
static int take_data(struct verdict *v, struct draft *d, const struct parts *in)
{
	const ProtobufCMessageDescriptor *type = d->event.topic->message;
	uint8_t *packed;
	size_t len;
	int r;

	if (!content_type_is(in->attribute[CONTENT_TYPE], in->is_packed ? CONTENT_PROTOBUF : CONTENT_JSON)) {
		refuse(v, DRAFT_SYNTAX, "/datacontenttype",
			CONTENT_JSON " with the data as JSON, or " CONTENT_PROTOBUF " with packed data");
		return 0;
	}
	if (!in->is_packed && in->json == NULL) {
		refuse(v, DRAFT_RULE, "/data", "required");
		return 0;
	}
	if (in->is_packed) {
		if (!wire_valid(type, in->packed)) {
			refuse(v, DRAFT_SYNTAX, "/data", "a well-formed message %s with all its required fields",
				type->name);
			return 0;
		}
		packed = bytes_dup(in->packed);
		len = in->packed.len;
		r = packed == NULL ? -ENOMEM : 0;
	} else
		r = json_to_message(&packed, &len, type, in->json, "/data", v->problems);
	if (r < 0)
		return r;
	if (r == JSON_REFUSED && v->worst == 0)
		v->worst = DRAFT_RULE;
	if (r == 0)
		d->event.data = bytes_of(packed, len);
	return 0;
}

static int take_persons(struct event *e)
{
	struct bytes persons[PERSONS_MAX];
	size_t n = e->topic == NULL || e->data.data == NULL ? 0 : persons_of(e, persons, PERSONS_MAX);

	for (size_t i = 0; i < n && e->n_persons < PERSONS_MAX; i++)
		if (!names_person(e, persons[i]) && !add_person(e, persons[i]))
			return -ENOMEM;
	return 0;
}

static void check_size(struct verdict *v, const struct event *e)
{
	Enlight__Log__V1__Event m;

	as_message(&m, e);
	if (protobuf_c_message_get_packed_size(&m.base) + ADDED_MAX > EVENT_MAX)
		refuse(v, DRAFT_TOO_LARGE, "/data",
			"an event of at most %d bytes; documents go out in pieces (document.part)",
			EVENT_MAX - ADDED_MAX);
}

static int copy_attributes(struct draft *d, const struct parts *in, const char *member)
{
	struct event *e = &d->event;

	if (!copy(&d->source, member) || !copy(&e->id, in->attribute[ID]) || !copy(&e->type, in->attribute[TYPE]) ||
		!copy(&e->subject, in->attribute[SUBJECT]) || !copy(&e->time, in->attribute[TIME]) ||
		!copy(&e->traceparent, in->attribute[TRACEPARENT]))
		return -ENOMEM;
	e->topic = e->type == NULL ? NULL : topic_of_type(e->type);
	return 0;
}

/* Checks what could be taken; what is missing was refused already. */
static int check_draft(struct verdict *v, struct draft *d, const char *member)
{
	const char *audience = d->audience != NULL ? d->audience : member;

	check_attributes(v, &d->event, audience);
	if (d->event.data.data == NULL)
		return 0;
	if (d->event.subject != NULL)
		check_data(v, &d->event, member, audience);
	check_size(v, &d->event);
	return v->worst == 0 ? take_persons(&d->event) : 0;
}

static int build(struct verdict *v, struct draft *d, const struct parts *in, const char *member)
{
	int r = copy_attributes(d, in, member);

	if (r != 0)
		return r;
	take_attributes(v, d, in, member);
	take_revision(v, d, in->attribute[REVISION]);
	r = take_audience(v, d, in->attribute[AUDIENCE], member);
	if (r == 0 && d->event.topic != NULL)
		r = take_data(v, d, in);
	if (r == 0)
		r = check_draft(v, d, member);
	return r;
}

static int finish(const struct verdict *v, struct draft *d, int r)
{
	if (r == 0)
		r = v->worst;
	if (r != 0)
		draft_deinit(d);
	return r;
}

static int attribute_named(const char *name)
{
	int i = 0;

	while (i < N_ATTRIBUTES && strcmp(attributes[i], name) != 0)
		i++;
	return i;
}

static void take_member(struct verdict *v, struct parts *parts, const char *key, json_t *value)
{
	int i = attribute_named(key);
	char place[80];

	snprintf(place, sizeof place, "/%.64s", key);
	if (i == N_ATTRIBUTES)
		refuse(v, DRAFT_RULE, place, "not an attribute of these events, which could not carry it");
	else if (i == REVISION && json_is_integer(value)) {
		snprintf(parts->revision, sizeof parts->revision, "%lld", (long long)json_integer_value(value));
		parts->attribute[i] = parts->revision;
	} else if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		refuse(v, DRAFT_SYNTAX, place, "text");
	else
		parts->attribute[i] = json_string_value(value);
}

/* `data_base64`: a packed message. `*memory` is what the caller frees. */
static int take_base64(struct verdict *v, struct parts *parts, json_t *value, uint8_t **memory)
{
	int r = JSON_REFUSED;

	if (json_is_string(value))
		r = json_base64(memory, &parts->packed.len, json_string_value(value), json_string_length(value));
	if (r == JSON_REFUSED) {
		refuse(v, DRAFT_SYNTAX, "/data_base64", "bytes in base64");
		return 0;
	}
	parts->packed.data = *memory;
	parts->is_packed = true;
	return r;
}

int draft_from_json(struct draft *out, json_t *cloudevent, const char *member, struct problems *problems)
{
	struct verdict v = {problems, 0};
	struct parts parts = {0};
	uint8_t *memory = NULL;
	const char *key;
	json_t *value;
	int r = 0;

	*out = (struct draft){0};
	if (!json_is_object(cloudevent)) {
		refuse(&v, DRAFT_SYNTAX, "", "an object: one CloudEvent");
		return v.worst;
	}
	json_object_foreach(cloudevent, key, value)
	{
		if (json_is_null(value))
			continue; /* unset, says the CloudEvents JSON format */
		if (strcmp(key, "data") == 0)
			parts.json = value;
		else if (strcmp(key, "data_base64") != 0)
			take_member(&v, &parts, key, value);
		else if (r == 0)
			r = take_base64(&v, &parts, value, &memory);
	}
	if (parts.json != NULL && parts.is_packed)
		refuse(&v, DRAFT_SYNTAX, "/data_base64", "not together with data");
	else if (parts.is_packed && parts.attribute[CONTENT_TYPE] == NULL)
		refuse(&v, DRAFT_SYNTAX, "/datacontenttype", CONTENT_PROTOBUF " with data_base64");
	if (r == 0)
		r = build(&v, out, &parts, member);
	free(memory);
	return finish(&v, out, r);
}

/* JSON text of one event's data; NULL with a refusal. */
static json_t *parse(struct verdict *v, struct bytes text)
{
	json_error_t error;
	json_t *json;

	if (text.len > JSON_TEXT_MAX) {
		refuse(v, DRAFT_TOO_LARGE, "/data", "at most %d bytes of JSON", JSON_TEXT_MAX);
		return NULL;
	}
	json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (json == NULL)
		refuse(v, DRAFT_SYNTAX, "/data", "JSON, each name once; wrong at line %d, column %d", error.line,
			error.column);
	return json;
}

int draft_from_parts(struct draft *out, const struct draft_source *in, const char *member, struct problems *problems)
{
	struct verdict v = {problems, 0};
	struct parts parts = {.packed = in->data, .is_packed = in->packed};
	int r = 0;

	*out = (struct draft){0};
	for (int i = 0; i < N_ATTRIBUTES; i++)
		parts.attribute[i] = in->attribute(in->context, attributes[i]);
	if (!in->packed && in->data.len > 0)
		parts.json = parse(&v, in->data);
	if (parts.json != NULL || v.worst == 0)
		r = build(&v, out, &parts, member);
	json_decref(parts.json);
	return finish(&v, out, r);
}

static char *days_after(const char *date, unsigned days)
{
	struct tm tm = {0};
	char text[16];
	time_t t;

	tm.tm_year = (int)strtol(date, NULL, 10) - 1900;
	tm.tm_mon = (int)strtol(date + 5, NULL, 10) - 1;
	tm.tm_mday = (int)strtol(date + 8, NULL, 10) + (int)days;
	t = timegm(&tm);
	if (gmtime_r(&t, &tm) == NULL || strftime(text, sizeof text, "%Y-%m-%d", &tm) != 10)
		return strdup("9999-12-31");
	return strdup(text);
}

int draft_complete(struct draft *d, const char *id, const char *time, const char *today)
{
	struct event *e = &d->event;

	if (take_persons(e) != 0 || (e->id == NULL && !copy(&e->id, id)) || (e->time == NULL && !copy(&e->time, time)))
		return -ENOMEM;
	free(e->data_class);
	free(e->keep_until);
	e->keep_until = NULL;
	if (!copy(&e->data_class, e->topic->data_class))
		return -ENOMEM;
	e->keep_until = days_after(today, e->topic->keep_days);
	return e->keep_until == NULL ? -ENOMEM : 0;
}

/* ---- What others ask of an event ---- */

static bool copy_value(char *out, size_t size, struct bytes value)
{
	if (value.data == NULL || value.len >= size)
		return false;
	memcpy(out, value.data, value.len);
	out[value.len] = '\0';
	return true;
}

/* The number in the field `name` of well-formed data. */
static uint64_t number_in(const struct event *e, const char *name)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(e->topic->message, name);
	struct bytes rest = e->data;
	struct wire_field f;

	while (wire_next(&rest, &f))
		if (f.number == field->id)
			return f.value;
	return 0;
}

bool event_judges(const struct event *e, struct judged *out)
{
	if (e->topic == NULL || e->topic->message != decision || !wire_valid(decision, e->data))
		return false;
	out->revision = number_in(e, "revision");
	return copy_value(out->source, sizeof out->source, value_at(e, "source")) &&
	       copy_value(out->topic, sizeof out->topic, value_at(e, "topic")) &&
	       copy_value(out->subject, sizeof out->subject, value_at(e, "subject")) &&
	       digest_from(&out->leaf, value_at(e, "digest"));
}

/* Adds what one entry of the list holds: a number, or many in a row. */
static bool add_sequences(struct buffer *out, const struct wire_field *f)
{
	struct bytes rest = f->counted ? f->content : bytes_of(NULL, 0);
	uint64_t v;

	if (!f->counted)
		buffer_add(out, &f->value, sizeof f->value);
	while (wire_number(&rest, &v))
		buffer_add(out, &v, sizeof v);
	return out->error == 0;
}

long event_erases(const struct event *e, uint64_t **out)
{
	const ProtobufCFieldDescriptor *field;
	struct buffer sequences = {0};
	struct bytes rest = e->data;
	struct wire_field f;
	size_t len = 0;

	*out = NULL;
	if (e->topic == NULL || e->topic->message != erasure || !wire_valid(erasure, e->data))
		return 0;
	field = protobuf_c_message_descriptor_get_field_by_name(erasure, "sequences");
	while (wire_next(&rest, &f))
		if (f.number == field->id && !add_sequences(&sequences, &f)) {
			buffer_deinit(&sequences);
			return -ENOMEM;
		}
	if (sequences.len > 0)
		*out = buffer_take(&sequences, &len);
	return (long)(len / sizeof **out);
}

/* ---- JSON ---- */

static bool set(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value) == 0;
}

static json_t *base64_json(struct bytes b)
{
	char *text = malloc(BASE64_SIZE(b.len));
	json_t *json = NULL;

	if (text != NULL) {
		base64_encode(text, b.data, b.len);
		json = json_string(text);
	}
	free(text);
	return json;
}

/* Data that is not a message of its topic is shown as the bytes it is: it came from outside. */
static bool set_data(json_t *object, const struct event *e)
{
	json_t *data = NULL;

	if (e->topic != NULL) {
		errno = 0;
		data = json_from_message(e->topic->message, e->data);
		if (data == NULL && errno == ENOMEM)
			return false;
	}
	if (data != NULL)
		return set(object, "datacontenttype", json_string(CONTENT_JSON)) && set(object, "data", data);
	if (e->data.data == NULL)
		return true;
	return set(object, "datacontenttype", json_string(CONTENT_PROTOBUF)) &&
	       set(object, "data_base64", base64_json(e->data));
}

json_t *event_to_json(const struct event *e, const char *source, const char *audience, bool with_data)
{
	json_t *json = json_object();
	bool good = json != NULL && set(json, "specversion", json_string("1.0")) &&
		    set(json, "id", json_string(e->id)) && set(json, "source", json_string(source)) &&
		    set(json, "type", json_string(e->type)) && set(json, "subject", json_string(e->subject)) &&
		    set(json, "time", json_string(e->time)) && set(json, "enlightaudience", json_string(audience)) &&
		    set(json, "enlightrevision", json_integer((json_int_t)e->revision));

	if (good && e->traceparent != NULL)
		good = set(json, "traceparent", json_string(e->traceparent));
	if (good && with_data)
		good = set_data(json, e);
	if (!good) {
		json_decref(json);
		return NULL;
	}
	return json;
}

/* The text at a place of JSON ("partners.1.heiId"); NULL: there is none. */
static const char *text_in(json_t *json, const char *place)
{
	for (;;) {
		size_t len = strcspn(place, ".");
		char name[JSON_NAME_MAX + 1];

		snprintf(name, sizeof name, "%.*s", (int)len, place);
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(name)) : json_object_get(json, name);
		if (place[len] == '\0')
			return json_string_value(json);
		place += len + 1;
	}
}

static const char *example_source(const struct topic *topic, json_t *data)
{
	const char *source = NULL;

	if (topic->roles != NULL)
		source = text_in(data, topic->roles[0]);
	if (topic->roles != NULL && source == NULL) /* a list of them */
		source = text_in(data, "partners.0.heiId");
	return source != NULL ? source : "ugent.be";
}

static const char *example_audience(const struct topic *topic, json_t *data, const char *source)
{
	static const char *const others[] = {
		"receiving.heiId", "sending.heiId", "host.heiId", "partners.1.heiId", "source"};

	if (strcmp(topic->data_class, "public") == 0 || strcmp(topic->family, "node") == 0)
		return AUDIENCE_NETWORK;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		const char *other = text_in(data, others[i]);

		if (other != NULL && strcmp(other, source) != 0)
			return other;
	}
	return "rug.nl";
}

json_t *event_example(const struct topic *topic)
{
	json_t *data = json_loads(topic->example, 0, NULL), *json = json_object();
	const char *source, *id, *subject;
	bool good = data != NULL && json != NULL;

	if (!good)
		goto out;
	source = example_source(topic, data);
	subject = text_in(data, "subject");
	id = topic->id == NULL ? NULL : text_in(data, topic->id);
	good = set(json, "specversion", json_string("1.0")) &&
	       set(json, "id", json_string("01a207bd-a9c0-7cc3-98c4-dc0c0c07398f")) &&
	       set(json, "source", json_string(source)) && set(json, "type", json_string(topic->type)) &&
	       set(json, "subject",
		       subject != NULL && id == NULL
			       ? json_string(subject)
			       : json_sprintf("%s/%s", topic->family, id != NULL ? id : "7f3b61")) &&
	       set(json, "time", json_string("2026-11-23T09:30:00Z")) &&
	       set(json, "enlightaudience", json_string(example_audience(topic, data, source))) &&
	       set(json, "datacontenttype", json_string(CONTENT_JSON)) && set(json, "data", json_incref(data));
out:
	json_decref(data);
	if (!good) {
		json_decref(json);
		json = NULL;
	}
	return json;
}
