#include "sample.h"

#include "core/wire.h"
#include "enlight/event/v1/course.pb-c.h"
#include "io/cloudevents/v1/cloudevents.pb-c.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AN_ID "00000000-0000-7000-8000-000000000001"
#define A_COURSE "00000000-0000-7000-8000-000000000002"

static const char prose[] =
	"Students of two universities read the same texts, meet on line every second week and once in person, and "
	"write "
	"in pairs that cross the border. The course ends with a public reading of what they have written; the marks "
	"are "
	"agreed by both teachers and count at both universities. No knowledge of the other language is needed, though "
	"those who have it will find some use for it. Places are few: whoever wants one says why, in a page at most.";

void sample_data(uint8_t out[static SAMPLE_DATA], const char *course_id)
{
	Enlight__Event__V1__CourseOffering m = ENLIGHT__EVENT__V1__COURSE_OFFERING__INIT;
	Enlight__Event__V1__LocalizedText title = ENLIGHT__EVENT__V1__LOCALIZED_TEXT__INIT, text = title;
	Enlight__Event__V1__LocalizedText *titles[] = {&title}, *texts[] = {&text};
	char words[sizeof prose];

	strcpy(words, prose);
	title.lang = text.lang = (char *)"en";
	title.value = (char *)"Writing across a border";
	text.value = words;
	m.course_id = (char *)course_id;
	m.code = (char *)"LIT-2041";
	m.n_title = m.n_description = 1;
	m.title = titles;
	m.description = texts;
	m.kind = (char *)"course";
	while (protobuf_c_message_get_packed_size(&m.base) > SAMPLE_DATA)
		words[strlen(words) - 1] = '\0';
	assert(protobuf_c_message_get_packed_size(&m.base) == SAMPLE_DATA);
	protobuf_c_message_pack(&m.base, out);
}

static void put_hex(char *out, unsigned digits, uint64_t value)
{
	for (; digits > 0; value >>= 4)
		out[--digits] = "0123456789abcdef"[value & 15];
}

void sample_uuid(char out[static UUID_LEN], uint64_t time_ms, uint64_t number)
{
	memcpy(out, "xxxxxxxx-xxxx-7000-8000-xxxxxxxxxxxx", UUID_LEN);
	put_hex(out, 8, time_ms >> 16);
	put_hex(out + 9, 4, time_ms);
	put_hex(out + 24, 12, number);
}

static size_t find(const struct sample *s, const char *text)
{
	const uint8_t *at = memmem(s->packed, s->len, text, strlen(text));

	assert(at != NULL);
	return (size_t)(at - s->packed) + strlen(text) - UUID_LEN;
}

int sample_new(struct sample *out)
{
	enum { N = 4 };
	static const char *const attributes[N][2] = {{"subject", "course/" A_COURSE}, {"time", SAMPLE_TIME},
		{"enlightaudience", "network"}, {"datacontenttype", "application/protobuf"}};
	Io__Cloudevents__V1__CloudEvent e = IO__CLOUDEVENTS__V1__CLOUD_EVENT__INIT, *events[] = {&e};
	Io__Cloudevents__V1__CloudEventBatch batch = IO__CLOUDEVENTS__V1__CLOUD_EVENT_BATCH__INIT;
	Io__Cloudevents__V1__CloudEventAttributeValue values[N];
	Io__Cloudevents__V1__CloudEvent__AttributesEntry entries[N], *list[N];
	uint8_t data[SAMPLE_DATA];

	for (size_t i = 0; i < N; i++) {
		io__cloudevents__v1__cloud_event_attribute_value__init(&values[i]);
		io__cloudevents__v1__cloud_event__attributes_entry__init(&entries[i]);
		values[i].attr_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT_ATTRIBUTE_VALUE__ATTR_CE_STRING;
		values[i].ce_string = (char *)attributes[i][1];
		entries[i].key = (char *)attributes[i][0];
		entries[i].value = &values[i];
		list[i] = &entries[i];
	}
	sample_data(data, A_COURSE);
	e.id = (char *)AN_ID;
	e.spec_version = (char *)"1.0";
	e.type = (char *)SAMPLE_TYPE;
	e.n_attributes = N;
	e.attributes = list;
	e.data_case = IO__CLOUDEVENTS__V1__CLOUD_EVENT__DATA_BINARY_DATA;
	e.binary_data = (ProtobufCBinaryData){sizeof data, data};
	batch.n_events = 1;
	batch.events = events;
	*out = (struct sample){0};
	out->packed = wire_pack(&batch, &out->len);
	if (out->packed == NULL)
		return -1;
	out->id = find(out, AN_ID);
	out->subject = find(out, "course/" A_COURSE);
	out->course = find(out, "\x0a\x24" A_COURSE); /* the tag and length of the data's first field */
	return 0;
}

void sample_stamp(const struct sample *s, uint8_t *copy, uint64_t time_ms, uint64_t number)
{
	memcpy(copy, s->packed, s->len);
	sample_uuid((char *)copy + s->id, time_ms, number);
	sample_uuid((char *)copy + s->subject, time_ms, number);
	sample_uuid((char *)copy + s->course, time_ms, number);
}
