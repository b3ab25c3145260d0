#include "core/event.h"

#include "core/event_check.h"
#include "core/handle.h"
#include "core/json.h"
#include "core/rule.h"
#include "core/wire.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* Drafts: what a local system gives, read into an event. */

enum {
	ADDED_MAX = 256,               /* bytes that completing and numbering add to a draft */
	JSON_TEXT_MAX = 4 * EVENT_MAX, /* of one event's data */
	REVISION_DIGITS_MAX = 18,
};

/* Copies text that may be absent. False: out of memory. */
static bool copy(char **out, const char *s)
{
	*out = s == NULL ? NULL : strdup(s);
	return s == NULL || *out != NULL;
}

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

static const char *const attribute_names[N_ATTRIBUTES] = {EVENT_ATTRIBUTES};

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
			snprintf(place, sizeof place, "/%s", attribute_names[needed[i]]);
			verdict_refuse(v, i < 2 ? DRAFT_SYNTAX : DRAFT_RULE, place, "required");
		}
	if (in->attribute[SPECVERSION] != NULL && strcmp(in->attribute[SPECVERSION], "1.0") != 0)
		verdict_refuse(v, DRAFT_SYNTAX, "/specversion", "1.0");
	if (in->attribute[SOURCE] != NULL && strcmp(in->attribute[SOURCE], member) != 0)
		verdict_refuse(v, DRAFT_FORBIDDEN, "/source", "the member of this node: %s", member);
	if (in->attribute[TYPE] != NULL && d->event.topic == NULL)
		verdict_refuse(
			v, DRAFT_RULE, "/type", "a topic of this network's contract, as `enlight topics` lists them");
	if (d->event.topic != NULL && d->event.topic->self)
		verdict_refuse(v, DRAFT_FORBIDDEN, "/type", "published by the node itself, of what it was told to do");
}

static void take_revision(struct verdict *v, struct draft *d, const char *text)
{
	size_t digits = text == NULL ? 0 : strspn(text, "0123456789");

	if (text == NULL)
		return;
	if (digits == 0 || digits > REVISION_DIGITS_MAX || text[digits] != '\0' || text[0] == '0')
		verdict_refuse(v, DRAFT_RULE, "/enlightrevision", "a whole number, 1 or more");
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
		verdict_refuse(v, DRAFT_RULE, "/enlightaudience",
			"network, or the handles of at most %d members with commas between", AUDIENCE_MAX);
	return 0;
}

/* Absent, or the type with or without parameters. */
static bool content_type_is(const char *given, const char *type)
{
	size_t len = strlen(type);

	return given == NULL || (strncasecmp(given, type, len) == 0 && strchr("; ", given[len]) != NULL);
}

/* Fills in the data when they are there and well-formed. */
static int take_data(struct verdict *v, struct draft *d, const struct parts *in)
{
	const ProtobufCMessageDescriptor *type = d->event.topic->message;
	uint8_t *packed;
	size_t len;
	int r;

	if (!content_type_is(in->attribute[CONTENT_TYPE], in->is_packed ? CONTENT_PROTOBUF : CONTENT_JSON)) {
		verdict_refuse(v, DRAFT_SYNTAX, "/datacontenttype",
			CONTENT_JSON " with the data as JSON, or " CONTENT_PROTOBUF " with packed data");
		return 0;
	}
	if (!in->is_packed && in->json == NULL) {
		verdict_refuse(v, DRAFT_RULE, "/data", "required");
		return 0;
	}
	if (in->is_packed) {
		if (!wire_valid(type, in->packed)) {
			verdict_refuse(v, DRAFT_SYNTAX, "/data",
				"a well-formed message %s with all its required fields", type->name);
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
	size_t n = e->topic == NULL || e->data.data == NULL ? 0 : event_persons(e, persons, PERSONS_MAX);

	for (size_t i = 0; i < n && e->n_persons < PERSONS_MAX; i++)
		if (!event_names(e, persons[i]) && !event_add_person(e, persons[i]))
			return -ENOMEM;
	return 0;
}

static void check_size(struct verdict *v, const struct event *e)
{
	Enlight__Log__V1__Event m;

	event_message(&m, e);
	if (protobuf_c_message_get_packed_size(&m.base) + ADDED_MAX > EVENT_MAX)
		verdict_refuse(v, DRAFT_TOO_LARGE, "/data",
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

	event_check_attributes(v, &d->event, audience);
	if (d->event.data.data == NULL)
		return 0;
	if (d->event.subject != NULL)
		event_check_data(v, &d->event, member, audience);
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

	while (i < N_ATTRIBUTES && strcmp(attribute_names[i], name) != 0)
		i++;
	return i;
}

static void take_member(struct verdict *v, struct parts *parts, const char *key, json_t *value)
{
	int i = attribute_named(key);
	char place[32] = "";

	if (rule_holds(RULE_CODE, key, strlen(key))) /* what is no attribute's name does not stand in our answer */
		snprintf(place, sizeof place, "/%.30s", key);
	if (i == N_ATTRIBUTES)
		verdict_refuse(v, DRAFT_RULE, place, "not an attribute of these events, which could not carry it");
	else if (i == REVISION && json_is_integer(value)) {
		snprintf(parts->revision, sizeof parts->revision, "%lld", (long long)json_integer_value(value));
		parts->attribute[i] = parts->revision;
	} else if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		verdict_refuse(v, DRAFT_SYNTAX, place, "text");
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
		verdict_refuse(v, DRAFT_SYNTAX, "/data_base64", "bytes in base64");
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
		verdict_refuse(&v, DRAFT_SYNTAX, "", "an object: one CloudEvent");
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
		verdict_refuse(&v, DRAFT_SYNTAX, "/data_base64", "not together with data");
	else if (parts.is_packed && parts.attribute[CONTENT_TYPE] == NULL)
		verdict_refuse(&v, DRAFT_SYNTAX, "/datacontenttype", CONTENT_PROTOBUF " with data_base64");
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
		verdict_refuse(v, DRAFT_TOO_LARGE, "/data", "at most %d bytes of JSON", JSON_TEXT_MAX);
		return NULL;
	}
	json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (json == NULL)
		verdict_refuse(v, DRAFT_SYNTAX, "/data", "JSON, each name once; wrong at line %d, column %d",
			error.line, error.column);
	return json;
}

int draft_from_parts(struct draft *out, const struct draft_source *in, const char *member, struct problems *problems)
{
	struct verdict v = {problems, 0};
	struct parts parts = {.packed = in->data, .is_packed = in->packed};
	int r = 0;

	*out = (struct draft){0};
	for (int i = 0; i < N_ATTRIBUTES; i++)
		parts.attribute[i] = in->attribute(in->context, attribute_names[i]);
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
