#include "api/cloudevents.h"
#include "base/stamp.h"
#include "io/cloudevents/v1/cloudevents.pb-c.h"
#include "core/json.h"
#include "core/wire.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

/* 2026-11-23T09:30:00.250Z */
static const uint64_t now_ms = 1795426200250;

static bool all_topics(void *context, const char *topic)
{
	return true;
}

static bool only_mobility(void *context, const char *topic)
{
	return topic_matches("mobility.*", topic);
}

static struct drafts drafts_for(const char *type)
{
	struct drafts d = {
		.type = media_type_find(type), .member = "ut.ee", .now_ms = now_ms, .may_publish = all_topics};

	ck_assert_ptr_nonnull(d.type);
	return d;
}

/* A valid event that ut.ee may publish, without id and time when `bare`. */
static json_t *course(bool bare)
{
	json_t *event = event_example(topic_find("course.offering"));

	ck_assert_ptr_nonnull(event);
	json_object_set_new(event, "source", json_string("ut.ee"));
	if (bare) {
		json_object_del(event, "id");
		json_object_del(event, "time");
		json_object_del(event, "source");
	}
	return event;
}

static char *text_of(json_t *json)
{
	char *text = json_dumps(json, JSON_ENCODE_ANY);

	ck_assert_ptr_nonnull(text);
	json_decref(json);
	return text;
}

static void read_text(struct drafts *d, const char *text)
{
	ck_assert_int_eq(drafts_read(d, bytes_str(text)), 0);
}

/* The same as messages, for the protobuf forms: attributes as text, data packed. */
struct packed {
	Io__Cloudevents__V1__CloudEvent event;
	Io__Cloudevents__V1__CloudEvent__AttributesEntry entries[EVENT_ATTRIBUTES_MAX + 2];
	Io__Cloudevents__V1__CloudEventAttributeValue values[EVENT_ATTRIBUTES_MAX + 2];
	Io__Cloudevents__V1__CloudEvent__AttributesEntry *list[EVENT_ATTRIBUTES_MAX + 2];
	Io__Cloudevents__V1__Instant instant;
	json_t *json;
	uint8_t *data;
	size_t data_len;
};

static Io__Cloudevents__V1__CloudEventAttributeValue *add_attribute(
	struct packed *p, const char *name, const char *value)
{
	size_t i = p->event.n_attributes++;

	io__cloudevents__v1__cloud_event__attributes_entry__init(&p->entries[i]);
	io__cloudevents__v1__cloud_event_attribute_value__init(&p->values[i]);
	p->entries[i].key = (char *)name;
	p->entries[i].value = &p->values[i];
	p->values[i].attr_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT_ATTRIBUTE_VALUE__ATTR_CE_STRING;
	p->values[i].ce_string = (char *)value;
	p->list[i] = &p->entries[i];
	return &p->values[i];
}

static void packed_init(struct packed *p)
{
	struct problems problems = {0};
	const char *key;
	json_t *value;

	*p = (struct packed){.json = course(false)};
	io__cloudevents__v1__cloud_event__init(&p->event);
	p->event.attributes = p->list;
	ck_assert_int_eq(json_to_message(&p->data, &p->data_len, topic_find("course.offering")->message,
				 json_object_get(p->json, "data"), "", &problems),
		0);
	json_object_foreach(p->json, key, value)
	{
		const char *text = json_string_value(value);

		if (strcmp(key, "id") == 0)
			p->event.id = (char *)text;
		else if (strcmp(key, "source") == 0)
			p->event.source = (char *)text;
		else if (strcmp(key, "type") == 0)
			p->event.type = (char *)text;
		else if (strcmp(key, "specversion") == 0)
			p->event.spec_version = (char *)text;
		else if (strcmp(key, "subject") == 0 || strcmp(key, "enlightaudience") == 0)
			add_attribute(p, key, text);
	}
	p->event.data_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT__DATA_BINARY_DATA;
	p->event.binary_data.data = p->data;
	p->event.binary_data.len = p->data_len;
}

static void packed_deinit(struct packed *p)
{
	json_decref(p->json);
	free(p->data);
}

static void read_packed(struct drafts *d, const struct packed *p)
{
	size_t len;
	uint8_t *bytes = wire_pack(&p->event, &len);

	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(drafts_read(d, bytes_of(bytes, len)), 0);
	free(bytes);
}

/* What the problems of a read are, joined; for messages. */
static void assert_problem(const struct drafts *d, const char *name, int outcome, const char *place, const char *rule)
{
	ck_assert_msg(d->outcome == outcome, "%s: outcome %d", name, d->outcome);
	for (size_t i = 0; i < d->problems.n; i++)
		if (strcmp(d->problems.items[i].place, place) == 0 && strstr(d->problems.items[i].rule, rule) != NULL)
			return;
	ck_abort_msg("%s: no %s: %s but %s: %s", name, place, rule, d->problems.n > 0 ? d->problems.items[0].place : "",
		d->problems.n > 0 ? d->problems.items[0].rule : "nothing");
}

/* One event of every form gives the same draft. */
START_TEST(test_all_forms_say_the_same)
{
	struct event_parts parts = {.n = 0};
	struct drafts d[6];
	struct packed p;
	char *one = text_of(course(false)), *list, *data;
	uint8_t *bytes;
	size_t len;

	ck_assert_int_gt(asprintf(&list, " [ %s ]\n", one), 0);
	d[0] = drafts_for("application/cloudevents+json; charset=UTF-8");
	read_text(&d[0], one);
	d[1] = drafts_for("Application/CloudEvents-Batch+JSON");
	read_text(&d[1], list);

	packed_init(&p);
	d[2] = drafts_for("application/cloudevents+protobuf");
	add_attribute(&p, "time", "")->attr_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT_ATTRIBUTE_VALUE__ATTR_CE_TIMESTAMP;
	io__cloudevents__v1__instant__init(&p.instant);
	p.instant.has_seconds = true;
	p.instant.seconds = (int64_t)(now_ms / 1000);
	p.values[p.event.n_attributes - 1].ce_timestamp = &p.instant;
	read_packed(&d[2], &p);
	{
		Io__Cloudevents__V1__CloudEventBatch batch;
		Io__Cloudevents__V1__CloudEvent *events[] = {&p.event};

		io__cloudevents__v1__cloud_event_batch__init(&batch);
		batch.n_events = 1;
		batch.events = events;
		bytes = wire_pack(&batch, &len);
		d[3] = drafts_for("application/cloudevents-batch+protobuf");
		ck_assert_int_eq(drafts_read(&d[3], bytes_of(bytes, len)), 0);
		free(bytes);
	}

	event_parts_add(&parts, "datacontenttype", "application/json");
	for (size_t i = 0; i < 6; i++) {
		static const char *const names[] = {
			"id", "source", "type", "specversion", "subject", "enlightaudience"};

		ck_assert(event_parts_add(&parts, names[i], json_string_value(json_object_get(p.json, names[i]))));
	}
	d[4] = drafts_for("application/json");
	d[4].headers = &parts;
	data = json_dumps(json_object_get(p.json, "data"), 0);
	read_text(&d[4], data);
	parts.items[0].value = "application/protobuf";
	d[5] = drafts_for("application/protobuf");
	d[5].headers = &parts;
	ck_assert_int_eq(drafts_read(&d[5], bytes_of(p.data, p.data_len)), 0);

	for (size_t i = 0; i < 6; i++) {
		ck_assert_msg(d[i].outcome == 0 && d[i].n == 1, "form %zu: %s %s", i,
			d[i].problems.n > 0 ? d[i].problems.items[0].place : "",
			d[i].problems.n > 0 ? d[i].problems.items[0].rule : "");
		ck_assert_str_eq(d[i].items[0].event.id, "01a207bd-a9c0-7cc3-98c4-dc0c0c07398f");
		ck_assert_str_eq(d[i].items[0].event.subject, d[0].items[0].event.subject);
		ck_assert_str_eq(d[i].items[0].audience, d[0].items[0].audience);
		ck_assert(bytes_equal(d[i].items[0].event.data, d[0].items[0].event.data));
		ck_assert_str_eq(d[i].items[0].event.data_class, "public");
		ck_assert_str_eq(d[i].items[0].event.keep_until, d[0].items[0].event.keep_until);
	}
	ck_assert_str_eq(d[2].items[0].event.time, "2026-11-23T09:30:00.000000000Z");
	ck_assert_str_eq(d[4].items[0].event.time, "2026-11-23T09:30:00.250Z");
	for (size_t i = 0; i < 6; i++)
		drafts_deinit(&d[i]);
	packed_deinit(&p);
	free(one);
	free(list);
	free(data);
}
END_TEST

/* What the sender leaves out the node fills in: a rising UUIDv7, the time of now, itself as the source. */
START_TEST(test_gaps_are_filled)
{
	struct drafts d = drafts_for("application/cloudevents-batch+json");
	char *text = text_of(json_pack("[o, o]", course(true), course(true))), prefix[32];

	read_text(&d, text);
	ck_assert_int_eq(d.outcome, 0);
	ck_assert_uint_eq(d.n, 2);
	ck_assert_str_eq(d.items[0].source, "ut.ee");
	ck_assert_str_eq(d.items[0].event.time, "2026-11-23T09:30:00.250Z");
	snprintf(prefix, sizeof prefix, "%08llx-%04llx-7", (unsigned long long)now_ms >> 16,
		(unsigned long long)now_ms & 0xffff);
	ck_assert_int_eq(strncmp(d.items[0].event.id, prefix, strlen(prefix)), 0);
	ck_assert_int_lt(strcmp(d.items[0].event.id, d.items[1].event.id), 0);
	drafts_deinit(&d);
	free(text);
}
END_TEST

/* What is not JSON is refused with line and column, in words of ours that quote nothing. */
static const struct {
	const char *name, *type, *body;
	int outcome;
	const char *place, *rule;
} texts[] = {
	{"empty", "application/cloudevents+json", "", DRAFT_SYNTAX, "", "line 1, column 1"},
	{"cut short", "application/cloudevents+json", "{\"id\": \"x\",\n \"type", DRAFT_SYNTAX, "", "line 2"},
	{"not JSON", "application/cloudevents+json", "{id: 1}", DRAFT_SYNTAX, "", "not JSON"},
	{"twice", "application/cloudevents+json", "{\"secret\": 1, \"secret\": 2}", DRAFT_SYNTAX, "",
		"same name twice"},
	{"behind", "application/cloudevents+json", "{} {}", DRAFT_SYNTAX, "", "behind the value"},
	{"comma behind", "application/cloudevents+json", "{},", DRAFT_SYNTAX, "", "behind the value"},
	{"not UTF-8", "application/cloudevents+json", "{\"id\": \"\xff\"}", DRAFT_SYNTAX, "", "not UTF-8"},
	{"NUL", "application/cloudevents+json", "{\"id\": \"\\u0000\"}", DRAFT_SYNTAX, "", "NUL"},
	{"a list for one", "application/cloudevents+json", "[]", DRAFT_SYNTAX, "", "object"},
	{"a number for one", "application/cloudevents+json", "5", DRAFT_SYNTAX, "", ""},
	{"an object for a list", "application/cloudevents-batch+json", "{}", DRAFT_SYNTAX, "", "JSON list"},
	{"nothing for a list", "application/cloudevents-batch+json", " ", DRAFT_SYNTAX, "", "JSON list"},
	{"open list", "application/cloudevents-batch+json", "[", DRAFT_SYNTAX, "", "ends before"},
	{"open list after one", "application/cloudevents-batch+json", "[{}", DRAFT_SYNTAX, "", "ends before"},
	{"comma at the end", "application/cloudevents-batch+json", "[{},]", DRAFT_SYNTAX, "/1", "line 1"},
	{"open text", "application/cloudevents-batch+json", "[{\"a\": \"\\", DRAFT_SYNTAX, "/0", ""},
	{"behind the list", "application/cloudevents-batch+json", "[{}]\n]", DRAFT_SYNTAX, "", "behind the list"},
	{"wrong brackets", "application/cloudevents-batch+json", "[{\"a\": [}]]", DRAFT_SYNTAX, "/0", "not JSON"},
	{"second wrong", "application/cloudevents-batch+json", "[{},\n {x}]", DRAFT_SYNTAX, "/1", "line 2, column"},
	{"nulls", "application/cloudevents-batch+json", "[null]", DRAFT_SYNTAX, "/0", ""},
	{"no attributes", "application/cloudevents+json", "{}", DRAFT_SYNTAX, "/specversion", "required"},
	{"not protobuf", "application/cloudevents+protobuf", "\x0a\xff", DRAFT_SYNTAX, "", "not an io.cloudevents"},
	{"a group", "application/cloudevents-batch+protobuf", "\x0b\x0c", DRAFT_SYNTAX, "/0", "CloudEventBatch"},
	{"long varint", "application/cloudevents-batch+protobuf", "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		DRAFT_SYNTAX, "/0", "CloudEventBatch"},
	{"beyond the end", "application/cloudevents-batch+protobuf", "\x0a\x05xx", DRAFT_SYNTAX, "/0",
		"CloudEventBatch"},
	{"empty event", "application/cloudevents+protobuf", "", DRAFT_RULE, "/data", "required"},
};

START_TEST(test_syntax)
{
	struct drafts d = drafts_for(texts[_i].type);

	read_text(&d, texts[_i].body);
	assert_problem(&d, texts[_i].name, texts[_i].outcome, texts[_i].place, texts[_i].rule);
	for (size_t i = 0; i < d.problems.n; i++)
		ck_assert_msg(strstr(d.problems.items[i].rule, "secret") == NULL, "%s quotes", texts[_i].name);
	ck_assert_uint_eq(d.n, 0);
	drafts_deinit(&d);
}
END_TEST

/* In a list all that is wrong is said at once, each place with the event's number, and the worst names the outcome. */
START_TEST(test_places_have_numbers)
{
	struct drafts d = drafts_for("application/cloudevents-batch+json");
	json_t *wrong = course(false), *others = course(false), *strange = course(false);
	char *text;

	json_object_del(json_object_get(wrong, "data"), "courseId");
	json_object_set_new(others, "source", json_string("uu.se"));
	json_object_set_new(strange, "colour", json_string("blue"));
	text = text_of(json_pack("[o, o, o, o]", course(false), wrong, others, strange));
	read_text(&d, text);
	assert_problem(&d, "missing", DRAFT_FORBIDDEN, "/1/data/courseId", "");
	assert_problem(&d, "other", DRAFT_FORBIDDEN, "/2/source", "ut.ee");
	assert_problem(&d, "strange", DRAFT_FORBIDDEN, "/3/colour", "");
	drafts_deinit(&d);
	free(text);
}
END_TEST

/* A topic that the access table does not give is refused before anything is said about its fields. */
START_TEST(test_topics_are_for_those_who_may)
{
	struct drafts d = drafts_for("application/cloudevents+json");
	json_t *event = course(false);
	char *text;

	json_object_del(event, "data");
	text = text_of(event);
	d.may_publish = only_mobility;
	read_text(&d, text);
	assert_problem(&d, "topic", DRAFT_FORBIDDEN, "/type", "access table");
	ck_assert_uint_eq(d.problems.n, 1);
	drafts_deinit(&d);
	free(text);
}
END_TEST

static char *repeat(const char *begin, const char *what, size_t n, const char *end)
{
	struct buffer b = {0};
	char *text;
	size_t len;

	buffer_str(&b, begin);
	for (size_t i = 0; i < n; i++)
		buffer_str(&b, what);
	buffer_str(&b, end);
	buffer_cstr(&b);
	text = buffer_take(&b, &len);
	ck_assert_ptr_nonnull(text);
	return text;
}

/* Limits hold before anything is built in memory: bytes of one event, values in it, depth. */
START_TEST(test_limits)
{
	static const struct {
		const char *name, *type, *begin, *what;
		size_t n;
		const char *end, *place;
		int outcome;
	} cases[] = {
		{"bytes of JSON", "application/cloudevents+json", "{\"id\": \"", "x", EVENT_JSON_MAX, "\"}", "",
			DRAFT_TOO_LARGE},
		{"bytes of JSON in a list", "application/cloudevents-batch+json", "[{\"id\": \"", "x", EVENT_JSON_MAX,
			"\"}]", "/0", DRAFT_TOO_LARGE},
		{"values", "application/cloudevents+json", "{\"data\": [[]", ",[]", EVENT_JSON_VALUES / 2, "]}", "",
			DRAFT_TOO_LARGE},
		{"bytes of protobuf", "application/cloudevents+protobuf", "", "\x0a\x01x", 80 * 1024, "", "",
			DRAFT_TOO_LARGE},
		{"depth", "application/cloudevents+json", "", "[", 5000, "", "", DRAFT_SYNTAX},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct drafts d = drafts_for(cases[i].type);
		char *text = repeat(cases[i].begin, cases[i].what, cases[i].n, cases[i].end);

		read_text(&d, text);
		assert_problem(&d, cases[i].name, cases[i].outcome, cases[i].place, "");
		ck_assert_uint_eq(d.n, 0);
		drafts_deinit(&d);
		free(text);
	}
}
END_TEST

/* A list of as many valid events as are allowed is taken; one more is refused for its length. */
START_TEST(test_as_many_as_are_allowed)
{
	char *one = text_of(course(true)), *more;

	ck_assert_int_gt(asprintf(&more, ",%s", one), 0);
	for (size_t n = EVENTS_MAX; n <= EVENTS_MAX + 1; n++) {
		struct drafts d = drafts_for("application/cloudevents-batch+json");
		char *begin, *text;

		ck_assert_int_gt(asprintf(&begin, "[%s", one), 0);
		text = repeat(begin, more, n - 1, "]");
		read_text(&d, text);
		if (n == EVENTS_MAX)
			ck_assert(d.outcome == 0 && d.n == n);
		else
			assert_problem(&d, "one more", DRAFT_TOO_LARGE, "", "4096");
		drafts_deinit(&d);
		free(begin);
		free(text);
	}
	free(one);
	free(more);
}
END_TEST

/* An empty list is a list. */
START_TEST(test_empty_lists)
{
	static const struct {
		const char *type, *body;
	} cases[] = {{"application/cloudevents-batch+json", " [ ]\n"}, {"application/cloudevents-batch+protobuf", ""}};

	for (size_t i = 0; i < 2; i++) {
		struct drafts d = drafts_for(cases[i].type);

		read_text(&d, cases[i].body);
		ck_assert(d.outcome == 0 && d.n == 0 && d.problems.total == 0);
		drafts_deinit(&d);
	}
}
END_TEST

/* What a protobuf event may not hold. */
static void no_data(struct packed *p)
{
	p->event.data_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT__DATA__NOT_SET;
}

static void twice(struct packed *p)
{
	add_attribute(p, "time", "2026-11-23T09:30:00Z");
	add_attribute(p, "time", "2026-11-23T09:30:00Z");
}

static void twice_by_field(struct packed *p)
{
	add_attribute(p, "id", "other");
}

static void unknown(struct packed *p)
{
	add_attribute(p, "colour", "blue");
}

static void too_many(struct packed *p)
{
	static char names[EVENT_ATTRIBUTES_MAX][8];

	while (p->event.n_attributes <= EVENT_ATTRIBUTES_MAX) {
		size_t i = p->event.n_attributes;

		snprintf(names[i % EVENT_ATTRIBUTES_MAX], sizeof names[0], "a%zu", i);
		add_attribute(p, names[i % EVENT_ATTRIBUTES_MAX], "x");
	}
}

static void bytes_value(struct packed *p)
{
	Io__Cloudevents__V1__CloudEventAttributeValue *v = add_attribute(p, "time", NULL);

	v->attr_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT_ATTRIBUTE_VALUE__ATTR_CE_BYTES;
	v->ce_bytes = (ProtobufCBinaryData){0};
}

static void late_time(struct packed *p)
{
	add_attribute(p, "time", "")->attr_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT_ATTRIBUTE_VALUE__ATTR_CE_TIMESTAMP;
	io__cloudevents__v1__instant__init(&p->instant);
	p->instant.has_seconds = true;
	p->instant.seconds = 253402300800;
	p->values[p->event.n_attributes - 1].ce_timestamp = &p->instant;
}

static void other_message(struct packed *p)
{
	static Io__Cloudevents__V1__TypedMessage any;

	io__cloudevents__v1__typed_message__init(&any);
	any.type_url = (char *)"type.googleapis.com/enlight.event.v1.Nomination";
	any.has_value = true;
	any.value.data = p->data;
	any.value.len = p->data_len;
	p->event.data_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT__DATA_PROTO_DATA;
	p->event.proto_data = &any;
}

static void right_message(struct packed *p)
{
	other_message(p);
	p->event.proto_data->type_url = (char *)"type.googleapis.com/enlight.event.v1.CourseOffering";
}

static void as_text(struct packed *p)
{
	p->event.data_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT__DATA_TEXT_DATA;
	p->event.text_data = json_dumps(json_object_get(p->json, "data"), 0);
	free(p->data);
	p->data = (uint8_t *)p->event.text_data;
}

static void revision_number(struct packed *p)
{
	Io__Cloudevents__V1__CloudEventAttributeValue *v = add_attribute(p, "enlightrevision", "");

	v->attr_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT_ATTRIBUTE_VALUE__ATTR_CE_INTEGER;
	v->ce_integer = 7;
}

static void broken_data(struct packed *p)
{
	p->event.binary_data.len--;
}

static const struct {
	const char *name;
	void (*change)(struct packed *p);
	int outcome;
	const char *place, *rule;
} packed_cases[] = {
	{"no data", no_data, DRAFT_RULE, "/data", "required"},
	{"an attribute twice", twice, DRAFT_SYNTAX, "", "twice"},
	{"an attribute and a field", twice_by_field, DRAFT_SYNTAX, "", "twice"},
	{"unknown attribute", unknown, DRAFT_RULE, "/colour", "not an attribute"},
	{"too many attributes", too_many, DRAFT_SYNTAX, "", "too many"},
	{"bytes as a value", bytes_value, DRAFT_SYNTAX, "", "value"},
	{"a time after the year 9999", late_time, DRAFT_SYNTAX, "", "value"},
	{"another message", other_message, DRAFT_RULE, "/data", "type URL"},
	{"the topic's message", right_message, 0, NULL, NULL},
	{"JSON as text", as_text, 0, NULL, NULL},
	{"revision as a number", revision_number, 0, NULL, NULL},
	{"broken data", broken_data, DRAFT_SYNTAX, "/data", ""},
};

START_TEST(test_packed_events)
{
	struct drafts d = drafts_for("application/cloudevents+protobuf");
	struct packed p;

	packed_init(&p);
	packed_cases[_i].change(&p);
	read_packed(&d, &p);
	if (packed_cases[_i].outcome != 0)
		assert_problem(&d, packed_cases[_i].name, packed_cases[_i].outcome, packed_cases[_i].place,
			packed_cases[_i].rule);
	else
		ck_assert_msg(d.outcome == 0 && d.n == 1, "%s: %s", packed_cases[_i].name,
			d.problems.n > 0 ? d.problems.items[0].rule : "");
	if (packed_cases[_i].change == revision_number)
		ck_assert_uint_eq(d.items[0].event.revision, 7);
	drafts_deinit(&d);
	packed_deinit(&p);
}
END_TEST

/* Media types are compared as HTTP says, and only UTF-8 is read. */
START_TEST(test_media_types)
{
	static const struct {
		const char *header;
		bool known;
	} cases[] = {
		{"application/cloudevents+json", true},
		{"application/cloudevents+json;charset=utf-8", true},
		{"application/cloudevents+json ; charset=\"UTF-8\"", true},
		{"application/cloudevents+json; charset=latin1", false},
		{"application/cloudevents+json; q=1", false},
		{"application/cloudevents", false},
		{"application/cloudevents+jsonx", false},
		{"text/plain", false},
		{"", false},
		{NULL, false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		ck_assert_msg((media_type_find(cases[i].header) != NULL) == cases[i].known, "%s", cases[i].header);
}
END_TEST

/* Times, days and ids have the form that the contract asks for. */
START_TEST(test_stamps)
{
	char time[STAMP_TIME], day[STAMP_DAY], id[STAMP_UUID];

	stamp_time(time, 0);
	ck_assert_str_eq(time, "1970-01-01T00:00:00.000Z");
	stamp_time(time, 253402300799999);
	ck_assert_str_eq(time, "9999-12-31T23:59:59.999Z");
	stamp_day(day, 951782400000);
	ck_assert_str_eq(day, "2000-02-29");
	stamp_uuid(id, 0x0123456789ab, 0xabc);
	ck_assert_int_eq(strncmp(id, "01234567-89ab-7abc-", 19), 0);
	ck_assert_ptr_nonnull(strchr("89ab", id[19]));
	ck_assert_uint_eq(strlen(id), 36);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cloudevents");
	TCase *tc = tcase_create("cloudevents");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_all_forms_say_the_same);
	tcase_add_test(tc, test_gaps_are_filled);
	tcase_add_loop_test(tc, test_syntax, 0, sizeof texts / sizeof *texts);
	tcase_add_test(tc, test_places_have_numbers);
	tcase_add_test(tc, test_topics_are_for_those_who_may);
	tcase_add_test(tc, test_limits);
	tcase_add_test(tc, test_as_many_as_are_allowed);
	tcase_add_test(tc, test_empty_lists);
	tcase_add_loop_test(tc, test_packed_events, 0, sizeof packed_cases / sizeof *packed_cases);
	tcase_add_test(tc, test_media_types);
	tcase_add_test(tc, test_stamps);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
