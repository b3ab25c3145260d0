/* vectors/event.json: for each topic the event that the node shows as its example, as it is published on one day, and events
 * that break one rule each. */
#include "make_vectors.h"

#include "core/event_check.h"
#include "core/json.h"
#include "core/wire.h"
#include <stdlib.h>
#include <string.h>

static const char about[] = "One valid event of each topic: `event` is what a local system posts, `persons`, "
			    "`dataclass` and `keepuntil` are what "
			    "the publisher adds on the day `today`, `packed` is the Event, `leaf` its digest. "
			    "`refused` are such events with one "
			    "thing changed: `value` at `at` of the event (null: taken out; data as text are packed "
			    "bytes in base64), or another "
			    "`publisher` or `audience`. Each breaks `rule` at `place`, and nothing at another place; "
			    "`says` is how one node puts it.";
static const char today[] = "2026-11-23";

static const struct refused {
	const char *topic;
	const char *at;        /* a JSON pointer into the event, or NULL */
	const char *value;     /* JSON; NULL: taken out */
	const char *publisher; /* NULL: as in the event */
	const char *audience;
	const char *place, *rule;
} refused[] = {
	/* kinds of fields */
	{"course.offering", "/data/ounitId", "\"LTAT 02\"", NULL, NULL, "/data/ounitId", "id"},
	{"course.offering", "/data/kind", "\"a course\"", NULL, NULL, "/data/kind", "code"},
	{"mobility.nomination", "/data/student/gender", "\"female\"", NULL, NULL, "/data/student/gender", "one-of"},
	{"course.offering", "/data/code", "\"LTAT\\u0007\"", NULL, NULL, "/data/code", "line"},
	{"course.offering", "/data/title/1/value", "\"\"", NULL, NULL, "/data/title/1/value", "text"},
	{"course.offering", "/data/title/0/lang", "\"plain English\"", NULL, NULL, "/data/title/0/lang", "language"},
	{"mobility.nomination", "/data/student/birthDate", "\"2023-02-29\"", NULL, NULL, "/data/student/birthDate",
		"date"},
	{"mobility.learning", "/data/signatures/0/time", "\"2026-12-01T10:15:00+01:00\"", NULL, NULL,
		"/data/signatures/0/time", "time"},
	{"course.offering", "/data/credits/0/value", "\"6,5\"", NULL, NULL, "/data/credits/0/value", "decimal"},
	{"course.offering", "/data/iscedF", "\"613\"", NULL, NULL, "/data/iscedF", "isced-f"},
	{"course.offering", "/data/eqfLevel", "\"9\"", NULL, NULL, "/data/eqfLevel", "eqf"},
	{"mobility.learning", "/data/languageSkills/0/cefrLevel", "\"D1\"", NULL, NULL,
		"/data/languageSkills/0/cefrLevel", "cefr"},
	{"mobility.nomination", "/data/student/nationality", "\"EST\"", NULL, NULL, "/data/student/nationality",
		"country"},
	{"mobility.nomination", "/data/receivingAcademicYear", "\"2026/2028\"", NULL, NULL,
		"/data/receivingAcademicYear", "academic-year"},
	{"mobility.nomination", "/data/sendingTerm", "\"2026/2027-3/2\"", NULL, NULL, "/data/sendingTerm", "term"},
	{"course.offering", "/data/partners/0/heiId", "\"UGent.be\"", NULL, NULL, "/data/partners/0/heiId", "handle"},
	{"credential.issued", "/data/holder/esi", "\"urn:schac:personalUniqueCode:int:esi:21304417\"", NULL, NULL,
		"/data/holder/esi", "esi"},
	{"staff.nomination", "/data/staff/allianceId", "\"urn:schac:personalUniqueCode:int:esi:uniba.sk:s-50417\"",
		NULL, NULL, "/data/staff/allianceId", "alliance-id"},
	{"mobility.nomination", "/data/student/personId", "\"b41887\"", NULL, NULL, "/data/student/personId",
		"person-id"},
	{"mobility.stay", "/data/student", "\"Kadri Tamm\"", NULL, NULL, "/data/student", "person"},
	{"mobility.nomination", "/data/student/email", "\"kadri.tamm\"", NULL, NULL, "/data/student/email", "email"},
	{"course.offering", "/data/urls/0/url", "\"ftp://ut.ee\"", NULL, NULL, "/data/urls/0/url", "url"},
	{"credential.issued", "/data/document/mediaType", "\"pdf\"", NULL, NULL, "/data/document/mediaType",
		"media-type"},
	{"credential.issued", "/data/document/name", "\"../credential.json\"", NULL, NULL, "/data/document/name",
		"file-name"},
	{"mobility.withdrawal", "/data/topic", "\"mobility\"", NULL, NULL, "/data/topic", "topic"},
	{"person.correction", "/data/subjects/0", "\"c442c289\"", NULL, NULL, "/data/subjects/0", "subject"},
	{"course.decision", "/data/digest", "\"AAAA\"", NULL, NULL, "/data/digest", "digest"},
	{"document.part", "/data/content", "\"\"", NULL, NULL, "/data/content", "piece"},
	{"person.erasure", "/data/sequences/1", "\"0\"", NULL, NULL, "/data/sequences/1", "positive"},
	/* entries of repeated fields */
	{"course.offering", "/data/title", "[]", NULL, NULL, "/data/title", "entries"},
	{"agreement.terms", "/data/partners/2", "{\"heiId\": \"uu.se\"}", NULL, NULL, "/data/partners", "entries"},
	/* relations between fields */
	{"enrolment.request", "/data/courseId", NULL, NULL, NULL, "/data", "any-of"},
	{"mobility.nomination", "/data/plannedEnd", "\"2027-01-31\"", NULL, NULL, "/data/plannedEnd", "in-order"},
	{"mobility.nomination", "/data/receiving/heiId", "\"ut.ee\"", NULL, NULL, "/data/receiving", "differ"},
	{"mobility.transcript", "/data/issuer", "\"uu.se\"", "uu.se", NULL, "/data/issuer", "either"},
	{"agreement.terms", "/data/partners/1/heiId", "\"ugent.be\"", NULL, NULL, "/data/partners", "distinct"},
	{"document.part", "/data/number", "3", NULL, NULL, "/data/number", "not-above"},
	{"course.decision", "/data/comment", "[]", NULL, NULL, "/data/comment", "explained"},
	{"credential.issued", "/data/document/documentId", "\"doc-1\"", NULL, NULL, "/data/document", "one-form"},
	{"credential.issued", "/data/document/size", "3", NULL, NULL, "/data/document/content", "content-fits"},
	/* the event around the data */
	{"course.offering", "/enlightrevision", "0", NULL, NULL, "", "event"},
	{"course.offering", "/id", "\"00000000001111111111222222222233333333334444444444555555555566666\"", NULL, NULL,
		"", "event"},
	{"course.offering", "/id", "\"two words\"", NULL, NULL, "/id", "id"},
	{"course.offering", "/subject", "\"CR/\"", NULL, NULL, "/subject", "subject"},
	{"course.offering", "/time", "\"2026-11-23 09:30:00\"", NULL, NULL, "/time", "time"},
	{"course.offering", "/type", "\"eu.enlight.course.offering\"", NULL, NULL, "/type", "type"},
	{"course.offering", "/traceparent", "\"00-00000000000000000000000000000000-00f067aa0ba902b7-01\"", NULL, NULL,
		"/traceparent", "traceparent"},
	{"course.offering", "/dataclass", "\"secret\"", NULL, NULL, "/dataclass", "class"},
	{"course.offering", "/dataclass", "\"internal\"", NULL, NULL, "/dataclass", "class"},
	{"course.offering", "/keepuntil", "\"2036\"", NULL, NULL, "/keepuntil", "keep-until"},
	{"mobility.nomination", "/persons", "[]", NULL, NULL, "/persons", "persons"},
	/* the message: one field alone; one twice, a NUL, no UTF-8, a group, cut short, a number in another wire type */
	{"mobility.stay", "/data", "\"CgFh\"", NULL, NULL, "/data", "message"},
	{"course.withdrawal", "/data", "\"Cg9jb3Vyc2Uub2ZmZXJpbmcQARoFZXJyb3IaBWVycm9y\"", NULL, NULL, "/data",
		"message"},
	{"course.withdrawal", "/data", "\"Cg9jb3Vyc2Uub2ZmZXJpbmcQARoBAA==\"", NULL, NULL, "/data", "message"},
	{"course.withdrawal", "/data", "\"Cg9jb3Vyc2Uub2ZmZXJpbmcQARoB/w==\"", NULL, NULL, "/data", "message"},
	{"course.withdrawal", "/data", "\"Cg9jb3Vyc2Uub2ZmZXJpbmcQARoFZXJyb3IrLA==\"", NULL, NULL, "/data", "message"},
	{"course.withdrawal", "/data", "\"Cg9jb3Vyc2Uub2ZmZXJpbmcQARoFZXJyb3Ii\"", NULL, NULL, "/data", "message"},
	{"course.withdrawal", "/data", "\"Cg9jb3Vyc2Uub2ZmZXJpbmcSATEaBWVycm9y\"", NULL, NULL, "/data", "message"},
	/* the data and who, whom, what about */
	{"mobility.nomination", "/subject", "\"staff/c442c289-5541-4cae-9edb-8ad8b1c40e57\"", NULL, NULL, "/subject",
		"family"},
	{"mobility.nomination", "/subject", "\"mobility/another\"", NULL, NULL, "/data/mobilityId", "subject-id"},
	{"mobility.nomination", NULL, NULL, "ugent.be", NULL, "/source", "role"},
	{"agreement.terms", NULL, NULL, "uu.se", NULL, "/source", "role"},
	{"mobility.nomination", NULL, NULL, NULL, "network", "/enlightaudience", "personal"},
	{"label.withdrawal", "/data/topic", "\"label.learner\"", NULL, "network", "/enlightaudience", "personal"},
	{"node.act", NULL, NULL, NULL, "rug.nl", "/enlightaudience", "self"},
	{"node.act", NULL, NULL, "rug.nl", NULL, "/enlightaudience", "self"},
	{"person.erasure", NULL, NULL, NULL, "network", "/data/person", "erased-person"},
	{"mobility.withdrawal", "/data/topic", "\"course.offering\"", NULL, NULL, "/data/topic", "about"},
	{"mobility.withdrawal", "/data/topic", "\"mobility.decision\"", NULL, NULL, "/data/topic", "about"},
	{"course.decision", NULL, NULL, "ut.ee", NULL, "/data/source", "other-side"},
	{"course.decision", "/data/subject", "\"course/another\"", NULL, NULL, "/data/subject", "judged-subject"},
};

/* ---- JSON ---- */

/* Puts a value at a place of the event, or takes away what is there. */
static void change(json_t *json, const char *at, json_t *value)
{
	for (;;) {
		size_t len = strcspn(++at, "/");
		char name[64];

		must(len < sizeof name, at);
		memcpy(name, at, len);
		name[len] = '\0';
		at += len;
		if (*at == '\0' && json_is_array(json))
			must((size_t)atoi(name) < json_array_size(json)
					? json_array_set(json, (size_t)atoi(name), value) == 0
					: json_array_append(json, value) == 0,
				name);
		else if (*at == '\0' && json_is_null(value))
			must(json_object_del(json, name) == 0, name);
		else if (*at == '\0')
			must(json_object_set(json, name, value) == 0, name);
		if (*at == '\0')
			return;
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(name)) : json_object_get(json, name);
		must(json != NULL, "a place that is not there");
	}
}

static const char *text_in(json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	must(text != NULL, name);
	return text;
}

static char *copy(json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	return text == NULL ? NULL : strdup(text);
}

static json_t *persons_json(const struct event *e)
{
	json_t *list = json_array();

	for (size_t i = 0; i < e->n_persons; i++)
		add(list, json_string(e->persons[i]));
	return list;
}

/* ---- Events ---- */

static struct bytes data_of(const struct topic *topic, json_t *json)
{
	struct problems problems = {0};
	uint8_t *packed = NULL;
	size_t len = 0;

	if (json_is_string(json))
		must(json_base64(&packed, &len, json_string_value(json), json_string_length(json)) == 0, "base64");
	else
		must(json_to_message(&packed, &len, topic->message, json, "/data", &problems) == 0, topic->name);
	return bytes_of(packed, len);
}

/* The event with what its publisher adds; what the JSON says about that goes before. */
static struct event event_from(const struct topic *topic, json_t *json)
{
	struct draft d = {0};
	struct digest salt;
	struct bytes data;
	json_t *v;

	d.event.topic = topic;
	d.event.id = copy(json, "id");
	d.event.type = copy(json, "type");
	d.event.subject = copy(json, "subject");
	d.event.time = copy(json, "time");
	d.event.traceparent = copy(json, "traceparent");
	data = data_of(topic, json_object_get(json, "data"));
	if (wire_valid(topic->message, data))
		d.event.data = data;
	digest_plain(&salt, bytes_str(topic->name));
	memcpy(d.event.salt, salt.bytes, SALT_LEN);
	must(draft_complete(&d, NULL, NULL, today) == 0, topic->name);
	d.event.data = data;
	d.event.topic = topic_of_type(d.event.type);
	v = json_object_get(json, "enlightrevision");
	d.event.revision = v == NULL ? 1 : (uint64_t)json_integer_value(v);
	if (json_object_get(json, "dataclass") != NULL) {
		free(d.event.data_class);
		d.event.data_class = copy(json, "dataclass");
	}
	if (json_object_get(json, "keepuntil") != NULL) {
		free(d.event.keep_until);
		d.event.keep_until = copy(json, "keepuntil");
	}
	if (json_object_get(json, "persons") != NULL) /* none */
		while (d.event.n_persons > 0)
			free(d.event.persons[--d.event.n_persons]);
	return d.event;
}

static struct bytes pack(const struct event *e)
{
	uint8_t *packed;
	size_t len;

	must(event_pack(&packed, &len, e) == 0, "pack");
	return bytes_of(packed, len);
}

static json_t *valid_json(const struct topic *topic)
{
	json_t *example = event_example(topic), *o = json_object();
	struct problems problems = {0};
	struct event e = event_from(topic, example);
	const char *source = text_in(example, "source"), *audience = text_in(example, "enlightaudience");
	struct bytes packed = pack(&e);
	struct digest leaf;

	must(event_validate(&e, source, audience, &problems) == 0, topic->name);
	digest_leaf(&leaf, packed);
	set(o, "topic", json_string(topic->name));
	set(o, "event", event_to_json(&e, source, audience, true));
	set(o, "salt", hex(e.salt, SALT_LEN));
	set(o, "persons", persons_json(&e));
	set(o, "dataclass", json_string(e.data_class));
	set(o, "keepuntil", json_string(e.keep_until));
	set(o, "packed", hex(packed.data, packed.len));
	set(o, "leaf", hex_digest(&leaf));
	free((void *)packed.data);
	event_deinit(&e);
	json_decref(example);
	return o;
}

/* What a reader finds wrong: at one place only. */
static json_t *said(const struct refused *c, struct bytes packed, const char *publisher, const char *audience)
{
	struct problems problems = {0};
	struct event e;
	json_t *says;
	int r = event_unpack(&e, packed);

	if (r == EVENT_MALFORMED)
		problem_add(&problems, "", "a well-formed Event within the limits");
	else
		must(r == 0 && event_validate(&e, publisher, audience, &problems) != 0, c->rule);
	for (size_t i = 0; i < problems.n; i++)
		must(strcmp(problems.items[i].place, c->place) == 0, problems.items[i].place);
	says = json_string(problems.items[0].rule);
	event_deinit(&e);
	problems_deinit(&problems);
	return says;
}

static json_t *refused_json(const struct refused *c)
{
	const struct topic *topic = topic_find(c->topic);
	json_t *example = event_example(topic), *o = json_object();
	json_t *value = c->value == NULL ? json_null() : json_loads(c->value, JSON_DECODE_ANY, NULL);
	const char *publisher = c->publisher != NULL ? c->publisher : text_in(example, "source");
	const char *audience = c->audience != NULL ? c->audience : text_in(example, "enlightaudience");
	struct bytes packed;
	struct event e;

	must(value != NULL, c->value);
	if (c->at != NULL)
		change(example, c->at, value);
	e = event_from(topic, example);
	packed = pack(&e);
	set(o, "topic", json_string(c->topic));
	set(o, "at", c->at == NULL ? json_null() : json_string(c->at));
	set(o, "value", value);
	set(o, "publisher", json_string(publisher));
	set(o, "audience", json_string(audience));
	set(o, "packed", hex(packed.data, packed.len));
	set(o, "place", json_string(c->place));
	set(o, "rule", json_string(c->rule));
	set(o, "says", said(c, packed, publisher, audience));
	free((void *)packed.data);
	event_deinit(&e);
	json_decref(example);
	return o;
}

json_t *event_vectors(void)
{
	json_t *o = json_object(), *good = json_array(), *bad = json_array();

	set(o, "about", json_string(about));
	set(o, "today", json_string(today));
	for (size_t i = 0; i < n_topics; i++)
		add(good, valid_json(&topics[i]));
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		add(bad, refused_json(&refused[i]));
	set(o, "events", good);
	set(o, "refused", bad);
	return o;
}
