#include "core/event_check.h"

#include "core/handle.h"
#include "core/json.h"
#include "core/rule.h"
#include "core/wire.h"
#include "enlight/event/v1/decision.pb-c.h"
#include "enlight/event/v1/person.pb-c.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ROLE_VALUES_MAX = 8, RULE_MAX = 512 };

static const ProtobufCMessageDescriptor *const decision = &enlight__event__v1__decision__descriptor;
static const ProtobufCMessageDescriptor *const withdrawal = &enlight__event__v1__withdrawal__descriptor;
static const ProtobufCMessageDescriptor *const erasure = &enlight__event__v1__erasure__descriptor;

void verdict_refuse(struct verdict *v, int outcome, const char *place, const char *rule_format, ...)
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
		verdict_refuse(v, DRAFT_RULE, place, "%s", rule_text(kind));
}

void event_check_attributes(struct verdict *v, const struct event *e, const char *audience)
{
	static const char *const classes[] = {"public", "internal", "personal", NULL};
	char name[TYPE_MAX + 1];

	check_text(v, "/id", e->id, RULE_ID);
	check_text(v, "/subject", e->subject, RULE_SUBJECT);
	check_text(v, "/time", e->time, RULE_TIME);
	if (e->type != NULL && !topic_name_of_type(name, e->type))
		verdict_refuse(v, DRAFT_RULE, "/type", TYPE_PREFIX "FAMILY.NAME.vN");
	if (e->traceparent != NULL && !traceparent_valid(e->traceparent))
		verdict_refuse(v, DRAFT_RULE, "/traceparent", "as in W3C Trace Context");
	if (e->data_class != NULL && !in_words(e->data_class, classes))
		verdict_refuse(v, DRAFT_RULE, "/dataclass", "public, internal or personal");
	if (e->data_class != NULL && strcmp(e->data_class, "personal") == 0 && strcmp(audience, AUDIENCE_NETWORK) == 0)
		verdict_refuse(v, DRAFT_RULE, "/enlightaudience", "named members only: the event is marked personal");
	if (e->keep_until != NULL && (strlen(e->keep_until) != 10 || !rule_holds(RULE_DATE, e->keep_until, 10)))
		verdict_refuse(v, DRAFT_RULE, "/keepuntil", "YYYY-MM-DD");
}

struct bytes event_value(const struct event *e, const char *place)
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
		verdict_refuse(v, DRAFT_RULE, "/subject", "%s/ID, as the topic's family", e->topic->family);
		return;
	}
	if (e->topic->id == NULL || bytes_equal(event_value(e, e->topic->id), bytes_str(e->subject + family + 1)))
		return;
	snprintf(place, sizeof place, "/data/%s", e->topic->id);
	verdict_refuse(v, DRAFT_RULE, place, "the ID of the subject, which is FAMILY/ID");
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
	verdict_refuse(v, DRAFT_FORBIDDEN, "/source", "published by the %s alone: the member in data.%s",
		e->topic->publisher, e->topic->roles[0]);
}

/* What a decision or withdrawal is about must be of its own family, and an object rather than another such word. */
static void check_about(struct verdict *v, const struct event *e, const char *audience)
{
	char name[TYPE_MAX + 1] = "";
	struct bytes about = event_value(e, "topic");
	const char *point;
	const struct topic *topic;

	if (about.len <= TYPE_MAX)
		memcpy(name, about.data, about.len);
	point = strchr(name, '.');
	topic = topic_find(name);
	if (point == NULL || !bytes_equal(bytes_of(name, (size_t)(point - name)), bytes_str(e->topic->family)) ||
		strcmp(point, ".decision") == 0 || strcmp(point, ".withdrawal") == 0)
		verdict_refuse(v, DRAFT_RULE, "/data/topic", "a topic of the family %s that carries objects",
			e->topic->family);
	if (topic != NULL && topic->personal && !e->topic->personal && strcmp(audience, AUDIENCE_NETWORK) == 0)
		verdict_refuse(v, DRAFT_RULE, "/enlightaudience", "named members only: the object is personal");
}

static void check_decision(struct verdict *v, const struct event *e, const char *publisher)
{
	if (bytes_equal(event_value(e, "source"), bytes_str(publisher)))
		verdict_refuse(
			v, DRAFT_FORBIDDEN, "/data/source", "a decision is the other side's, not the publisher's own");
	if (!bytes_equal(event_value(e, "subject"), bytes_str(e->subject)))
		verdict_refuse(v, DRAFT_RULE, "/data/subject", "the subject of the event itself");
}

size_t event_persons(const struct event *e, struct bytes *out, size_t max)
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

bool event_names(const struct event *e, struct bytes person)
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
	size_t n = event_persons(e, persons, PERSONS_MAX);

	for (size_t i = 0; i < n; i++)
		if (!event_names(e, persons[i])) {
			verdict_refuse(v, DRAFT_RULE, "/persons", "every person in the data");
			return;
		}
}

static void check_audience(struct verdict *v, const struct event *e, const char *publisher, const char *audience)
{
	bool network = strcmp(audience, AUDIENCE_NETWORK) == 0;

	if (network && e->topic->personal)
		verdict_refuse(v, DRAFT_RULE, "/enlightaudience", "named members only: the topic is personal");
	if (e->topic->self && strcmp(audience, publisher) != 0)
		verdict_refuse(v, DRAFT_RULE, "/enlightaudience", "the publisher alone: a node says this to itself");
	if (network && e->topic->message == erasure && event_value(e, "person").data != NULL)
		verdict_refuse(v, DRAFT_RULE, "/data/person", "not to the network, which needs the sequences alone");
	if (e->data_class != NULL && strcmp(e->data_class, e->topic->data_class) != 0)
		verdict_refuse(v, DRAFT_RULE, "/dataclass", "%s, as the topic's", e->topic->data_class);
}

void event_check_data(struct verdict *v, const struct event *e, const char *publisher, const char *audience)
{
	size_t before = v->problems->total;

	rules_check(e->topic->rules, e->data, "/data", v->problems);
	if (v->problems->total != before && v->worst == 0)
		v->worst = DRAFT_RULE;
	check_subject(v, e);
	check_role(v, e, publisher);
	check_audience(v, e, publisher, audience);
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

	event_check_attributes(&v, e, audience);
	if (e->topic == NULL)
		return v.worst;
	if (!wire_valid(e->topic->message, e->data))
		verdict_refuse(
			&v, DRAFT_RULE, "/data", "a well-formed message of the topic with all its required fields");
	else
		event_check_data(&v, e, publisher, audience);
	return v.worst;
}
