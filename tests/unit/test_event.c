#include "core/act.h"
#include "core/event.h"

#include "core/handle.h"
#include "core/json.h"
#include "core/limits.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define TODAY "2026-11-23"
#define NOW "2026-11-23T09:30:00Z"

static json_t *example(const char *topic)
{
	json_t *json = event_example(topic_find(topic));

	ck_assert_ptr_nonnull(json);
	return json;
}

static const char *text(json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static void print(const struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		fprintf(stderr, "%s: %s\n", problems->items[i].place, problems->items[i].rule);
}

/* The draft of what only a node says, with the words of the JSON. */
static int act_from_json(struct draft *draft, json_t *json, const char *member)
{
	json_t *data = json_object_get(json, "data");
	struct act act = {.verb = text(data, "act"),
		.by_user = true,
		.uid = (unsigned)json_integer_value(json_object_get(data, "uid")),
		.object = text(data, "object"),
		.reason = text(data, "reason")};
	int r;

	strcpy(act.id, text(json, "id"));
	strcpy(act.user, text(data, "user"));
	r = act_draft(draft, &act, member, 1000);
	ck_assert_str_eq(draft->event.time, "1970-01-01T00:00:01.000Z");
	free(draft->event.time);
	draft->event.time = strdup(NOW);
	return r;
}

/* A packed event of what the JSON says, as its node would write it. */
static struct bytes pack(json_t *json, const char *member)
{
	struct problems problems = {0};
	struct draft draft;
	uint8_t *packed;
	size_t len;
	bool self = topic_of_type(text(json, "type"))->self;
	int r = self ? act_from_json(&draft, json, member) : draft_from_json(&draft, json, member, &problems);

	print(&problems);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(draft_complete(&draft, "from-us", NOW, TODAY), 0);
	draft.event.revision = 3;
	memset(draft.event.salt, 7, sizeof draft.event.salt);
	ck_assert_int_eq(event_pack(&packed, &len, &draft.event), 0);
	draft_deinit(&draft);
	problems_deinit(&problems);
	return bytes_of(packed, len);
}

/* Every topic's example goes from JSON into a slot and back to the same JSON, and is valid at both ends. */
START_TEST(test_examples_travel)
{
	const struct topic *topic = &topics[_i];
	json_t *json = event_example(topic), *back;
	struct problems problems = {0};
	struct bytes packed = pack(json, text(json, "source"));
	struct event e;

	ck_assert_int_eq(event_unpack(&e, packed), 0);
	ck_assert_ptr_eq(e.topic, topic);
	ck_assert_uint_eq(e.revision, 3);
	ck_assert_uint_eq(e.salt[15], 7);
	ck_assert_str_eq(e.data_class, topic->data_class);
	ck_assert_uint_eq(e.n_persons, topic->persons != NULL ? 1 : 0);
	ck_assert_int_eq(event_validate(&e, text(json, "source"), text(json, "enlightaudience"), &problems), 0);
	back = event_to_json(&e, text(json, "source"), text(json, "enlightaudience"), true);
	json_object_set_new(json, "enlightrevision", json_integer(3));
	ck_assert(json_equal(json, back));
	json_decref(back);
	back = event_to_json(&e, text(json, "source"), text(json, "enlightaudience"), false);
	ck_assert_ptr_null(json_object_get(back, "data"));
	json_decref(back);
	json_decref(json);
	event_deinit(&e);
	free((void *)packed.data);
}
END_TEST

/* What is wrong with an event: `place` gets `value` (JSON; NULL removes it), and `pointer` names it. */
static const struct {
	const char *topic, *place, *value;
	int outcome;
	const char *pointer;
} bad[] = {
	{"course.offering", "specversion", "\"0.3\"", DRAFT_SYNTAX, "/specversion"},
	{"course.offering", "specversion", NULL, DRAFT_SYNTAX, "/specversion"},
	{"course.offering", "type", NULL, DRAFT_SYNTAX, "/type"},
	{"course.offering", "type", "5", DRAFT_SYNTAX, "/type"},
	{"course.offering", "type", "\"eu.enlight.course.offer.v1\"", DRAFT_RULE, "/type"},
	{"course.offering", "type", "\"course.offering\"", DRAFT_RULE, "/type"},
	{"course.offering", "source", "\"rug.nl\"", DRAFT_FORBIDDEN, "/source"},
	{"node.act", "time", NULL, DRAFT_FORBIDDEN, "/type"}, /* local systems cannot say what operators did */
	{"node.act", "enlightaudience", "\"network\"", DRAFT_FORBIDDEN, "/enlightaudience"},
	{"course.offering", "id", "\"a b\"", DRAFT_RULE, "/id"},
	{"course.offering", "id", "\"\"", DRAFT_RULE, "/id"},
	{"course.offering", "subject", NULL, DRAFT_RULE, "/subject"},
	{"course.offering", "subject", "\"course\"", DRAFT_RULE, "/subject"},
	{"course.offering", "subject", "\"mobility/CR/1\"", DRAFT_RULE, "/subject"},
	{"course.offering", "subject", "\"course/CR/1\"", DRAFT_RULE, "/data/courseId"},
	{"course.offering", "time", "\"2026-11-23T09:30:00+01:00\"", DRAFT_RULE, "/time"},
	{"course.offering", "traceparent", "\"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7\"", DRAFT_RULE,
		"/traceparent"},
	{"course.offering", "traceparent", "\"00-00000000000000000000000000000000-00f067aa0ba902b7-01\"", DRAFT_RULE,
		"/traceparent"},
	{"course.offering", "traceparent", "\"ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01\"", DRAFT_RULE,
		"/traceparent"},
	{"course.offering", "tracestate", "\"a=b\"", DRAFT_RULE, "/tracestate"},
	{"course.offering", "myextension", "\"x\"", DRAFT_RULE, "/myextension"},
	{"course.offering", "enlightrevision", "0", DRAFT_RULE, "/enlightrevision"},
	{"course.offering", "enlightrevision", "-1", DRAFT_RULE, "/enlightrevision"},
	{"course.offering", "enlightrevision", "\"1x\"", DRAFT_RULE, "/enlightrevision"},
	{"course.offering", "enlightrevision", "1.5", DRAFT_SYNTAX, "/enlightrevision"},
	{"course.offering", "enlightrevision", "\"1234567890123456789\"", DRAFT_RULE, "/enlightrevision"},
	{"course.offering", "enlightaudience", NULL, DRAFT_RULE, "/enlightaudience"},
	{"course.offering", "enlightaudience", "\"network,rug.nl\"", DRAFT_RULE, "/enlightaudience"},
	{"course.offering", "enlightaudience", "\"RUG\"", DRAFT_RULE, "/enlightaudience"},
	{"course.offering", "datacontenttype", "\"text/xml\"", DRAFT_SYNTAX, "/datacontenttype"},
	{"course.offering", "datacontenttype", "\"application/protobuf\"", DRAFT_SYNTAX, "/datacontenttype"},
	{"course.offering", "data", NULL, DRAFT_RULE, "/data"},
	{"course.offering", "data", "[]", DRAFT_RULE, "/data"},
	{"course.offering", "data_base64", "\"AAAA\"", DRAFT_SYNTAX, "/data_base64"},
	{"course.offering", "data/courseId", NULL, DRAFT_RULE, "/data/courseId"},
	{"course.offering", "data/colour", "\"red\"", DRAFT_RULE, "/data/colour"},
	{"course.offering", "data/a~1b", "\"red\"", DRAFT_RULE, "/data/a~1b"},
	{"course.offering", "data/title", "[]", DRAFT_RULE, "/data/title"},
	{"course.offering", "data/title/1/lang", "\"e\"", DRAFT_RULE, "/data/title/1/lang"},
	{"course.offering", "data/title/0/value", "\"\"", DRAFT_RULE, "/data/title/0/value"},
	{"course.offering", "data/kind", "\"a course\"", DRAFT_RULE, "/data/kind"},
	{"course.offering", "data/iscedF", "\"613\"", DRAFT_RULE, "/data/iscedF"},
	{"course.offering", "data/iscedF", "613", DRAFT_RULE, "/data/iscedF"},
	{"course.offering", "data/eqfLevel", "\"9\"", DRAFT_RULE, "/data/eqfLevel"},
	{"course.offering", "data/urls/0/url", "\"ftp://ut.ee\"", DRAFT_RULE, "/data/urls/0/url"},
	{"course.offering", "data/credits/0/value", "\"6,0\"", DRAFT_RULE, "/data/credits/0/value"},
	{"course.offering", "data/credits",
		"[{\"scheme\": \"ects\", \"value\": \"6\"}, {\"scheme\": \"ects\", \"value\": \"5\"}]", DRAFT_RULE,
		"/data/credits"},
	{"course.offering", "data/runs/0/end", "\"2026-08-31\"", DRAFT_RULE, "/data/runs/0/end"},
	{"course.offering", "data/runs/0/end", "\"2026-02-30\"", DRAFT_RULE, "/data/runs/0/end"},
	{"course.offering", "data/runs/0/places", "-1", DRAFT_RULE, "/data/runs/0/places"},
	{"course.offering", "data/runs/0/places", "4294967296", DRAFT_RULE, "/data/runs/0/places"},
	{"course.offering", "data/runs/0/term/academicYear", "\"2026/2028\"", DRAFT_RULE,
		"/data/runs/0/term/academicYear"},
	{"course.offering", "data/partners/0/heiId", "\"Ghent\"", DRAFT_RULE, "/data/partners/0/heiId"},
	{"mobility.nomination", "enlightaudience", "\"network\"", DRAFT_RULE, "/enlightaudience"},
	{"mobility.nomination", "data/sending/heiId", "\"rug.nl\"", DRAFT_FORBIDDEN, "/source"},
	{"mobility.nomination", "data/receiving/heiId", "\"ut.ee\"", DRAFT_RULE, "/data/receiving"},
	{"mobility.nomination", "data/student/names", "[]", DRAFT_RULE, "/data/student/names"},
	{"mobility.nomination", "data/student/names/0/family", NULL, DRAFT_RULE, "/data/student/names/0/family"},
	{"mobility.nomination", "data/student/names/0/family", "5", DRAFT_RULE, "/data/student/names/0/family"},
	{"mobility.nomination", "data/student/esi", NULL, DRAFT_RULE, "/data/student"},
	{"mobility.nomination", "data/student/esi", "\"b41887\"", DRAFT_RULE, "/data/student/esi"},
	{"mobility.nomination", "data/student/gender", "\"F\"", DRAFT_RULE, "/data/student/gender"},
	{"mobility.nomination", "data/student/nationality", "\"ee\"", DRAFT_RULE, "/data/student/nationality"},
	{"mobility.nomination", "data/student/email", "\"kadri\"", DRAFT_RULE, "/data/student/email"},
	{"mobility.nomination", "data/student/photo", "\"AAAA\"", DRAFT_RULE, "/data/student/photo"},
	{"mobility.nomination", "data/studentIscedF", "\"61\"", DRAFT_RULE, "/data/studentIscedF"},
	{"mobility.nomination", "data/sendingTerm", "\"2026/2027-3/2\"", DRAFT_RULE, "/data/sendingTerm"},
	{"mobility.nomination", "data/nonStandardPeriod", "\"yes\"", DRAFT_RULE, "/data/nonStandardPeriod"},
	{"mobility.nomination", "data/plannedEnd", "\"2027-01\"", DRAFT_RULE, "/data/plannedEnd"},
	{"mobility.learning", "data/signatures/0/party", "\"friend\"", DRAFT_RULE, "/data/signatures/0/party"},
	{"mobility.learning", "data/languageSkills/0/cefrLevel", "\"D1\"", DRAFT_RULE,
		"/data/languageSkills/0/cefrLevel"},
	{"mobility.stay", "data/receiving/heiId", "\"rug.nl\"", DRAFT_FORBIDDEN, "/source"},
	{"mobility.transcript", "data/issuer", "\"rug.nl\"", DRAFT_FORBIDDEN, "/source"},
	{"agreement.terms", "data/partners/0/heiId", "\"rug.nl\"", DRAFT_FORBIDDEN, "/source"},
	{"agreement.terms", "data/partners/1/heiId", "\"ugent.be\"", DRAFT_RULE, "/data/partners"},
	{"agreement.terms", "data/conditions", NULL, DRAFT_RULE, "/data/conditions"},
	{"credential.issued", "data/document/digest", "\"AAAA\"", DRAFT_RULE, "/data/document/digest"},
	{"credential.issued", "data/document/content", "\"e30\"", 0, NULL},
	{"credential.issued", "data/document/content", "\"e31=\"", DRAFT_RULE, "/data/document/content"},
	{"credential.issued", "data/document/content", "\"e!0=\"", DRAFT_RULE, "/data/document/content"},
	{"credential.issued", "data/document/content", "\"fX0=\"", DRAFT_RULE, "/data/document/content"},
	{"credential.issued", "data/document/documentId", "\"d\"", DRAFT_RULE, "/data/document"},
	{"credential.issued", "data/document/size", "3", DRAFT_RULE, "/data/document/content"},
	{"mobility.decision", "data/source", "\"ugent.be\"", DRAFT_FORBIDDEN, "/data/source"},
	{"mobility.decision", "data/subject", "\"mobility/other\"", DRAFT_RULE, "/data/subject"},
	{"mobility.decision", "data/topic", "\"course.offering\"", DRAFT_RULE, "/data/topic"},
	{"mobility.decision", "data/topic", "\"mobility.decision\"", DRAFT_RULE, "/data/topic"},
	{"mobility.decision", "data/verdict", "\"perhaps\"", DRAFT_RULE, "/data/verdict"},
	{"mobility.decision", "data/comment", NULL, DRAFT_RULE, "/data/comment"},
	{"mobility.decision", "data/revision", "0", DRAFT_RULE, "/data/revision"},
	{"mobility.decision", "data/revision", "\"18446744073709551616\"", DRAFT_RULE, "/data/revision"},
	{"mobility.decision", "data/digest", "\"AAAA\"", DRAFT_RULE, "/data/digest"},
	{"label.decision", "enlightaudience", "\"network\"", 0, NULL},
	{"label.decision", "data/topic", "\"label.learner\"", 0, NULL},
	{"person.erasure", "enlightaudience", "\"network\"", DRAFT_RULE, "/data/person"},
	{"person.erasure", "data/sequences", "[]", DRAFT_RULE, "/data/sequences"},
	{"person.erasure", "data/sequences", "[1, 0]", DRAFT_RULE, "/data/sequences/1"},
	{"person.erasure", "data/sequences", "[1, \"two\"]", DRAFT_RULE, "/data/sequences/1"},
	{"document.part", "data/number", "3", DRAFT_RULE, "/data/number"},
	{"node.checkpoint", "data/node", "\"rug.nl\"", DRAFT_FORBIDDEN, "/source"},
};

/* Puts a value at a place like "data/runs/0/end"; keys come as in a JSON pointer. */
static void put(json_t *json, const char *place, const char *value)
{
	char key[64];
	size_t len;

	for (;; place += len + 1) {
		len = strcspn(place, "/");
		snprintf(key, sizeof key, "%.*s", (int)len, place);
		if (place[len] == '\0')
			break;
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(key)) : json_object_get(json, key);
		ck_assert_ptr_nonnull(json);
	}
	if (strstr(key, "~1") != NULL)
		strcpy(key, "a/b");
	if (value == NULL)
		ck_assert_int_eq(json_object_del(json, key), 0);
	else
		ck_assert_int_eq(json_object_set_new(json, key, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
}

/* Each rule refuses with its outcome and names the place. */
START_TEST(test_bad_events)
{
	struct problems problems = {0};
	json_t *json = example(bad[_i].topic);
	char *member = strdup(text(json, "source"));
	struct draft draft;
	bool named = bad[_i].pointer == NULL;
	int r;

	put(json, bad[_i].place, bad[_i].value);
	r = draft_from_json(&draft, json, member, &problems);
	for (size_t i = 0; i < problems.n; i++)
		named = named || strcmp(problems.items[i].place, bad[_i].pointer) == 0;
	if (r != bad[_i].outcome || !named)
		print(&problems);
	ck_assert_msg(r == bad[_i].outcome, "%s %s: %d", bad[_i].place, bad[_i].value, r);
	ck_assert_msg(named, "%s not named", bad[_i].pointer);
	draft_deinit(&draft);
	problems_deinit(&problems);
	json_decref(json);
	free(member);
}
END_TEST

/* All that is wrong is told at once, and the worst decides the answer. */
START_TEST(test_all_problems_at_once)
{
	json_t *json = example("mobility.nomination");
	struct problems problems = {0};
	struct draft draft;

	put(json, "data/studentIscedF", "\"1\"");
	put(json, "data/student/gender", "\"F\"");
	put(json, "enlightaudience", "\"network\"");
	put(json, "data/sending/heiId", "\"uu.se\"");
	ck_assert_int_eq(draft_from_json(&draft, json, "ut.ee", &problems), DRAFT_FORBIDDEN);
	ck_assert_uint_eq(problems.n, 4);
	for (size_t i = 0; i < problems.n; i++) /* values of persons never stand in messages */
		ck_assert_ptr_null(strstr(problems.items[i].rule, "uu.se"));
	problems_deinit(&problems);
	json_decref(json);
}
END_TEST

/* Without id, time and source the node fills in; a given revision stands, as number or text. */
START_TEST(test_what_the_node_fills_in)
{
	json_t *json = example("mobility.nomination");
	struct problems problems = {0};
	struct draft draft;

	put(json, "id", NULL);
	put(json, "time", NULL);
	put(json, "source", NULL);
	put(json, "enlightrevision", "\"4\"");
	put(json, "enlightaudience", "\"ugent.be, ut.ee\"");
	ck_assert_int_eq(draft_from_json(&draft, json, "ut.ee", &problems), 0);
	ck_assert_ptr_null(draft.event.id);
	ck_assert_ptr_null(draft.event.time);
	ck_assert_uint_eq(draft.event.revision, 4);
	ck_assert_str_eq(draft.source, "ut.ee");
	ck_assert_str_eq(draft.audience, "ugent.be");
	ck_assert_int_eq(draft_complete(&draft, "minted", NOW, "2024-02-29"), 0);
	ck_assert_str_eq(draft.event.id, "minted");
	ck_assert_str_eq(draft.event.time, NOW);
	ck_assert_str_eq(draft.event.keep_until, "2031-03-01"); /* 2557 days later */
	ck_assert_str_eq(draft.event.data_class, "personal");
	ck_assert_uint_eq(draft.event.n_persons, 1);
	ck_assert_str_eq(draft.event.persons[0], "urn:schac:personalUniqueCode:int:esi:ut.ee:b41887");
	ck_assert_int_eq(event_validate(&draft.event, "ut.ee", "ugent.be", &problems), 0);
	draft_deinit(&draft);
	json_decref(json);
}
END_TEST

struct given {
	json_t *json;
	const char *content_type;
};

static const char *attribute(void *context, const char *name)
{
	const struct given *given = context;

	return strcmp(name, "datacontenttype") == 0 ? given->content_type : text(given->json, name);
}

/* Attributes and data apart make the same event, packed or as JSON text, and malformed data are the sender's syntax. */
START_TEST(test_parts)
{
	json_t *json = example("course.offering");
	struct given given = {json, NULL};
	struct problems problems = {0};
	struct draft_source in = {attribute, &given, {NULL, 0}, true};
	struct draft draft;
	uint8_t *packed;
	size_t len;
	char *plain = json_dumps(json_object_get(json, "data"), 0);

	ck_assert_int_eq(json_to_message(&packed, &len, topic_find("course.offering")->message,
				 json_object_get(json, "data"), "", &problems),
		0);
	in.data = bytes_of(packed, len);
	ck_assert_int_eq(draft_from_parts(&draft, &in, "ugent.be", &problems), 0);
	ck_assert(bytes_equal(draft.event.data, in.data));
	draft_deinit(&draft);

	in.packed = false;
	in.data = bytes_str(plain);
	given.content_type = "application/json; charset=utf-8";
	ck_assert_int_eq(draft_from_parts(&draft, &in, "ugent.be", &problems), 0);
	ck_assert(bytes_equal(draft.event.data, bytes_of(packed, len)));
	draft_deinit(&draft);
	ck_assert_uint_eq(problems.n, 0);

	in.data.len--;
	ck_assert_int_eq(draft_from_parts(&draft, &in, "ugent.be", &problems), DRAFT_SYNTAX);
	in.data = bytes_str("{\"courseId\": \"a\", \"courseId\": \"b\"}");
	ck_assert_int_eq(draft_from_parts(&draft, &in, "ugent.be", &problems), DRAFT_SYNTAX);
	given.content_type = "application/protobuf";
	in.packed = true;
	in.data = bytes_of(packed, len - 1);
	ck_assert_int_eq(draft_from_parts(&draft, &in, "ugent.be", &problems), DRAFT_SYNTAX);
	problems_deinit(&problems);
	free(packed);
	free(plain);
	json_decref(json);
}
END_TEST

/* A packed message may come inside JSON too, when its type says so. */
START_TEST(test_packed_data_in_json)
{
	json_t *json = example("course.offering");
	struct problems problems = {0};
	struct draft draft;
	uint8_t *packed;
	size_t len;
	char *encoded;

	ck_assert_int_eq(json_to_message(&packed, &len, topic_find("course.offering")->message,
				 json_object_get(json, "data"), "", &problems),
		0);
	encoded = malloc(BASE64_SIZE(len));
	base64_encode(encoded, packed, len);
	put(json, "data", NULL);
	json_object_set_new(json, "data_base64", json_string(encoded));
	ck_assert_int_eq(draft_from_json(&draft, json, "ugent.be", &problems), DRAFT_SYNTAX);
	put(json, "datacontenttype", "\"application/protobuf\"");
	problems_deinit(&problems);
	ck_assert_int_eq(draft_from_json(&draft, json, "ugent.be", &problems), 0);
	ck_assert(bytes_equal(draft.event.data, bytes_of(packed, len)));
	draft_deinit(&draft);
	free(encoded);
	free(packed);
	json_decref(json);
}
END_TEST

/* What would not fit into a batch is refused before anything else happens to it. */
START_TEST(test_too_large)
{
	json_t *json = example("course.offering"), *long_text = json_array();
	struct problems problems = {0};
	struct draft draft;
	char *words = malloc(30001);

	memset(words, 'x', 30000);
	words[30000] = '\0';
	for (int i = 0; i < 7; i++)
		json_array_append_new(long_text, json_pack("{ssss}", "lang", "en", "value", words));
	json_object_set_new(json_object_get(json, "data"), "description", long_text);
	ck_assert_int_eq(draft_from_json(&draft, json, "ugent.be", &problems), DRAFT_TOO_LARGE);
	json_array_remove(long_text, 0);
	problems_deinit(&problems);
	ck_assert_int_eq(draft_from_json(&draft, json, "ugent.be", &problems), 0);
	draft_deinit(&draft);
	json_decref(json);
	free(words);
}
END_TEST

/* A reader finds the same faults that the publisher's node would have refused. */
START_TEST(test_readers_check_again)
{
	json_t *json = example("mobility.nomination");
	struct bytes packed = pack(json, "ut.ee");
	struct problems problems = {0};
	struct event e;

	ck_assert_int_eq(event_unpack(&e, packed), 0);
	ck_assert_int_eq(event_validate(&e, "ut.ee", "ugent.be", &problems), 0);
	ck_assert_int_eq(event_validate(&e, "rug.nl", "ugent.be", &problems), DRAFT_FORBIDDEN);
	ck_assert_int_eq(event_validate(&e, "ut.ee", "network", &problems), DRAFT_RULE);
	e.persons[0][0] = 'x';
	ck_assert_int_eq(event_validate(&e, "ut.ee", "ugent.be", &problems), DRAFT_RULE);
	e.persons[0][0] = 'u';
	e.data_class[0] = 'P';
	ck_assert_int_eq(event_validate(&e, "ut.ee", "ugent.be", &problems), DRAFT_RULE);
	e.data_class[0] = 'p';
	e.data.len--;
	ck_assert_int_eq(event_validate(&e, "ut.ee", "ugent.be", &problems), DRAFT_RULE);
	e.topic = NULL; /* of a later version: its data are not ours to judge */
	ck_assert_int_eq(event_validate(&e, "ut.ee", "ugent.be", &problems), 0);
	ck_assert_int_eq(event_validate(&e, "ut.ee", "network", &problems), DRAFT_RULE);
	problems_deinit(&problems);
	event_deinit(&e);
	free((void *)packed.data);
	json_decref(json);
}
END_TEST

/* An event of a topic unknown to this node is shown with its data as bytes. */
START_TEST(test_unknown_topics_are_shown)
{
	json_t *json = example("course.offering"), *shown;
	struct bytes packed = pack(json, "ugent.be");
	struct event e;

	ck_assert_int_eq(event_unpack(&e, packed), 0);
	e.topic = NULL;
	shown = event_to_json(&e, "ugent.be", "network", true);
	ck_assert_str_eq(text(shown, "datacontenttype"), "application/protobuf");
	ck_assert_ptr_nonnull(text(shown, "data_base64"));
	json_decref(shown);
	event_deinit(&e);
	free((void *)packed.data);
	json_decref(json);
}
END_TEST

/* A decision names what it judges, whole; another event judges nothing. */
START_TEST(test_decisions)
{
	json_t *json = example("mobility.decision");
	struct bytes packed = pack(json, "ugent.be");
	struct judged judged;
	struct event e;

	ck_assert_int_eq(event_unpack(&e, packed), 0);
	ck_assert(event_judges(&e, &judged));
	ck_assert_str_eq(judged.source, "ut.ee");
	ck_assert_str_eq(judged.topic, "mobility.nomination");
	ck_assert_str_eq(judged.subject, e.subject);
	ck_assert_uint_eq(judged.revision, 1);
	ck_assert_uint_eq(judged.leaf.bytes[0], 0x5f);
	e.data.len--;
	ck_assert(!event_judges(&e, &judged));
	e.topic = topic_find("mobility.nomination");
	ck_assert(!event_judges(&e, &judged));
	event_deinit(&e);
	free((void *)packed.data);
	json_decref(json);
}
END_TEST

/* An erasure lists sequences, written one by one or in a row; another event erases nothing. */
START_TEST(test_erasures)
{
	static const uint8_t in_a_row[] = {0x0a, 1, 'x', 0x1a, 3, 5, 0x96, 1, 0x18, 7};
	json_t *json = example("person.erasure");
	struct bytes packed = pack(json, "ugent.be");
	uint64_t *sequences;
	struct event e, other = {.topic = topic_find("course.offering")};

	ck_assert_int_eq(event_unpack(&e, packed), 0);
	ck_assert_int_eq(event_erases(&e, &sequences), 3);
	ck_assert(sequences[0] == 18 && sequences[1] == 19 && sequences[2] == 27);
	free(sequences);
	event_deinit(&e);
	e = (struct event){.topic = topic_find("person.erasure"), .data = {in_a_row, sizeof in_a_row}};
	ck_assert_int_eq(event_erases(&e, &sequences), 3);
	ck_assert(sequences[0] == 5 && sequences[1] == 150 && sequences[2] == 7);
	free(sequences);
	ck_assert_int_eq(event_erases(&other, &sequences), 0);
	ck_assert_ptr_null(sequences);
	free((void *)packed.data);
	json_decref(json);
}
END_TEST

/* Whatever byte of an event changes, it is refused or is an event, and nothing breaks. */
START_TEST(test_mutations)
{
	static const uint8_t values[] = {0x00, 0x01, 0x0a, 0x1a, 0x7f, 0x80, 0xff};
	json_t *json = event_example(&topics[_i]);
	struct bytes packed = pack(json, text(json, "source"));
	uint8_t *copy = bytes_dup(packed);

	for (size_t i = 0; i < packed.len; i++) {
		for (size_t k = 0; k < sizeof values; k++) {
			struct problems problems = {0};
			struct judged judged;
			uint64_t *sequences;
			struct event e;

			copy[i] = values[k];
			if (event_unpack(&e, bytes_of(copy, packed.len)) == 0) {
				event_validate(&e, "ut.ee", "ugent.be", &problems);
				event_judges(&e, &judged);
				event_erases(&e, &sequences);
				free(sequences);
				json_decref(event_to_json(&e, "ut.ee", "ugent.be", true));
				event_deinit(&e);
			}
			problems_deinit(&problems);
		}
		copy[i] = packed.data[i];
	}
	free(copy);
	free((void *)packed.data);
	json_decref(json);
}
END_TEST

/* Whatever words an act is given, its event breaks no rule; a copy is the same event. */
START_TEST(test_acts_are_always_valid)
{
	static const char *const words[] = {NULL, "", "ugent.be", "a\nb", "\x7f", "\xff\xfe", "\xc3"};
	char longer[1200];

	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	for (size_t i = 0; i <= sizeof words / sizeof *words; i++) {
		const char *word = i < sizeof words / sizeof *words ? words[i] : longer;
		struct act act = {.id = "a", .verb = "peers.block", .object = word, .reason = word};
		struct problems problems = {0};
		struct draft draft, copy;

		snprintf(act.user, sizeof act.user, "%.*s", ACT_USER_MAX, word == NULL ? "" : word);
		ck_assert_int_eq(act_draft(&draft, &act, "ut.ee", 1000), 0);
		ck_assert_str_eq(draft.audience, "ut.ee");
		ck_assert_str_eq(draft.event.subject, "node/a");
		ck_assert_int_eq(act_draft_copy(&copy, &draft), 0);
		draft_deinit(&draft);
		ck_assert_int_eq(event_validate(&copy.event, "ut.ee", "ut.ee", &problems), 0);
		draft_deinit(&copy);
	}
}
END_TEST

/* A salt is 16 bytes: with a shorter one a leaf digest would tell something about a guessable event. */
START_TEST(test_salt_has_its_length)
{
	json_t *json = example("course.offering");
	struct bytes packed = pack(json, "ugent.be");
	uint8_t *shorter = bytes_dup(bytes_of(packed.data + 1, packed.len - 1));
	struct event e;

	ck_assert_uint_eq(packed.data[0], 0x0a); /* the salt stands first */
	ck_assert_uint_eq(packed.data[1], SALT_LEN);
	shorter[0] = 0x0a;
	shorter[1] = SALT_LEN - 1;
	ck_assert_int_eq(event_unpack(&e, bytes_of(shorter, packed.len - 1)), EVENT_MALFORMED);
	free(shorter);
	free((void *)packed.data);
	json_decref(json);
}
END_TEST

/* An event that breaks a limit of the contract is malformed, whoever packed it. */
START_TEST(test_limits_of_packed_events)
{
	char *persons[PERSONS_MAX + 1], id[ID_MAX + 2];
	struct event e = {.id = (char *)"i",
		.type = (char *)"t",
		.subject = (char *)"s",
		.time = (char *)"t",
		.data_class = (char *)"public",
		.keep_until = (char *)"2030-01-01",
		.revision = 1};
	struct event out;
	uint8_t *packed, *large = calloc(1, EVENT_MAX);
	size_t len;

	for (size_t i = 0; i <= PERSONS_MAX; i++)
		persons[i] = (char *)"p";
	for (int i = 0; i < 5; i++) {
		struct event changed = e;

		memset(id, 'i', sizeof id);
		id[ID_MAX + 1] = '\0';
		changed.revision = i == 1 ? 0 : 1;
		changed.id = i == 2 ? id : e.id;
		changed.persons = persons;
		changed.n_persons = i == 3 ? PERSONS_MAX + 1 : 0;
		changed.data = i == 4 ? bytes_of(large, EVENT_MAX) : bytes_of(NULL, 0);
		ck_assert_int_eq(event_pack(&packed, &len, &changed), i == 4 ? EVENT_TOO_LARGE : 0);
		if (i < 4)
			ck_assert_int_eq(event_unpack(&out, bytes_of(packed, len)), i == 0 ? 0 : EVENT_MALFORMED);
		if (i == 0)
			event_deinit(&out);
		free(packed);
	}
	free(large);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event");
	TCase *tc = tcase_create("event");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_examples_travel, 0, (int)n_topics);
	tcase_add_loop_test(tc, test_bad_events, 0, sizeof bad / sizeof *bad);
	tcase_add_test(tc, test_all_problems_at_once);
	tcase_add_test(tc, test_what_the_node_fills_in);
	tcase_add_test(tc, test_parts);
	tcase_add_test(tc, test_packed_data_in_json);
	tcase_add_test(tc, test_too_large);
	tcase_add_test(tc, test_readers_check_again);
	tcase_add_test(tc, test_unknown_topics_are_shown);
	tcase_add_test(tc, test_decisions);
	tcase_add_test(tc, test_erasures);
	tcase_add_loop_test(tc, test_mutations, 0, (int)n_topics);
	tcase_add_test(tc, test_acts_are_always_valid);
	tcase_add_test(tc, test_salt_has_its_length);
	tcase_add_test(tc, test_limits_of_packed_events);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
