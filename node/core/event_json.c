#include "core/event.h"

#include "core/handle.h"
#include "core/event_check.h"
#include "core/json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	if (data != NULL && !set(object, "datacontenttype", json_string(CONTENT_JSON))) {
		json_decref(data);
		return false;
	}
	if (data != NULL)
		return set(object, "data", data);
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

	if (topic->self)
		return source;
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
