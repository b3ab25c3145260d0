/* read_events - how fast bodies of POST /v1/events become valid drafts: all that the loop does for an event before its commit.
 *
 *   read_events [EVENTS [ROUNDS]]
 *
 * Reads a batch of EVENTS (1000) nominations ROUNDS (50) times as protobuf and as JSON, and prints events per second. */
#include "api/cloudevents.h"
#include "core/json.h"
#include "core/wire.h"
#include "io/cloudevents/v1/cloudevents.pb-c.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef Io__Cloudevents__V1__CloudEvent CloudEvent;
typedef Io__Cloudevents__V1__CloudEventAttributeValue AttributeValue;
typedef Io__Cloudevents__V1__CloudEvent__AttributesEntry AttributesEntry;

static bool anything(void *context, const char *topic)
{
	return true;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const char *type, const char *member, struct bytes body, size_t n, unsigned rounds)
{
	double begin = now_s(), seconds;

	for (unsigned i = 0; i < rounds; i++) {
		struct drafts d = {.type = media_type_find(type),
			.member = member,
			.now_ms = 1795426200250,
			.may_publish = anything};
		int r = drafts_read(&d, body);
		bool good = r == 0 && d.outcome == 0 && d.n == n;

		if (!good && d.problems.n > 0)
			fprintf(stderr, "%s: %s\n", d.problems.items[0].place, d.problems.items[0].rule);
		drafts_deinit(&d);
		if (!good)
			return -1;
	}
	seconds = now_s() - begin;
	printf("%-40s %8.0f events/s  %6.2f us each  %zu bytes each\n", type, (double)n * rounds / seconds,
		seconds * 1e6 / ((double)n * rounds), body.len / n);
	return 0;
}

static const char *text_at(const json_t *event, const char *name)
{
	return json_string_value(json_object_get(event, name));
}

/* The same event n times. */
static uint8_t *packed_batch(const json_t *event, const struct topic *topic, size_t n, size_t *len)
{
	static const char *const names[] = {"subject", "time", "enlightaudience"};
	AttributeValue values[3];
	AttributesEntry entries[3], *list[3];
	Io__Cloudevents__V1__CloudEventBatch batch = IO__CLOUDEVENTS__V1__CLOUD_EVENT_BATCH__INIT;
	CloudEvent e = IO__CLOUDEVENTS__V1__CLOUD_EVENT__INIT, **events = calloc(n, sizeof *events);
	struct problems problems = {0};
	uint8_t *packed = NULL;

	for (size_t i = 0; i < 3; i++) {
		io__cloudevents__v1__cloud_event__attributes_entry__init(&entries[i]);
		io__cloudevents__v1__cloud_event_attribute_value__init(&values[i]);
		values[i].attr_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT_ATTRIBUTE_VALUE__ATTR_CE_STRING;
		values[i].ce_string = (char *)text_at(event, names[i]);
		entries[i].key = (char *)names[i];
		entries[i].value = &values[i];
		list[i] = &entries[i];
	}
	e.source = (char *)text_at(event, "source");
	e.spec_version = (char *)text_at(event, "specversion");
	e.type = (char *)text_at(event, "type");
	e.attributes = list;
	e.n_attributes = 3;
	e.data_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT__DATA_BINARY_DATA;
	if (events == NULL || json_to_message(&e.binary_data.data, &e.binary_data.len, topic->message,
				      json_object_get(event, "data"), "", &problems) != 0)
		goto out;
	for (size_t i = 0; i < n; i++)
		events[i] = &e;
	batch.n_events = n;
	batch.events = events;
	packed = wire_pack(&batch, len);
out:
	free(e.binary_data.data);
	free(events);
	return packed;
}

static char *text_batch(json_t *event, size_t n)
{
	json_t *list = json_array();
	char *text;

	json_object_del(event, "id");
	for (size_t i = 0; i < n; i++)
		json_array_append(list, event);
	text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, len = 0;
	unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 50;
	const struct topic *topic = topic_find("mobility.nomination");
	json_t *event = event_example(topic);
	const char *member = event == NULL ? NULL : text_at(event, "source");
	uint8_t *packed;
	char *text;
	int r = -1;

	if (sodium_init() < 0 || event == NULL || n == 0)
		return EXIT_FAILURE;
	packed = packed_batch(event, topic, n, &len);
	text = text_batch(event, n);
	if (packed != NULL && text != NULL)
		r = run("application/cloudevents-batch+protobuf", member, bytes_of(packed, len), n, rounds);
	if (r == 0)
		r = run("application/cloudevents-batch+json", member, bytes_str(text), n, rounds);
	free(packed);
	free(text);
	json_decref(event);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
