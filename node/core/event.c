#include "core/event.h"

#include "core/event_check.h"
#include "core/wire.h"
#include "enlight/event/v1/decision.pb-c.h"
#include "enlight/event/v1/person.pb-c.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const ProtobufCMessageDescriptor *const decision = &enlight__event__v1__decision__descriptor;
static const ProtobufCMessageDescriptor *const erasure = &enlight__event__v1__erasure__descriptor;
static const ProtobufCMessageDescriptor *const withdrawal = &enlight__event__v1__withdrawal__descriptor;

static void free_strings(struct event *e)
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
}

void event_deinit(struct event *e)
{
	if (e->memory != NULL)
		free(e->memory);
	else
		free_strings(e);
	*e = (struct event){0};
}

void draft_deinit(struct draft *d)
{
	event_deinit(&d->event);
	free(d->source);
	free(d->audience);
	*d = (struct draft){0};
}

static bool copy_bytes(char **out, struct bytes b)
{
	*out = strndup((const char *)b.data, b.len);
	return *out != NULL;
}

void event_message(Enlight__Log__V1__Event *m, const struct event *e)
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
	event_message(&m, e);
	if (protobuf_c_message_get_packed_size(&m.base) > EVENT_MAX)
		return EVENT_TOO_LARGE;
	*out = wire_pack(&m, len);
	return *out == NULL ? -ENOMEM : 0;
}

bool event_add_person(struct event *e, struct bytes person)
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

/* Copies into the block at `*at`, which moves behind it. */
static char *put(uint8_t **at, struct bytes b)
{
	char *out = (char *)*at;

	if (b.len > 0)
		memcpy(out, b.data, b.len);
	out[b.len] = '\0';
	*at += b.len + 1;
	return out;
}

/* Numbers as in log.proto. */
static void take_field(struct event *e, const struct wire_field *f, uint8_t **at)
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
		break;
	case 6:
		e->revision = f->value;
		break;
	case 7:
		e->data = bytes_of(put(at, f->content), f->content.len);
		break;
	case 9:
		e->persons[e->n_persons++] = put(at, f->content);
		break;
	default:
		if (f->number <= 11)
			*texts[f->number] = put(at, f->content);
	}
}

/* Lengths that the wire does not know. Tells how many persons there are. */
static bool lengths_valid(struct bytes packed, size_t *n_persons)
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
	struct wire_field f;

	*n_persons = 0;
	while (wire_next(&packed, &f)) {
		if (f.number == 6 && f.value == 0)
			return false;
		if (f.number > 11 || f.number == 6)
			continue;
		*n_persons += f.number == 9 ? 1 : 0;
		if (f.content.len > max[f.number] || (f.number == 1 && f.content.len != SALT_LEN) ||
			*n_persons > PERSONS_MAX)
			return false;
	}
	return true;
}

int event_unpack(struct event *out, struct bytes packed)
{
	struct wire_field f;
	size_t n_persons;
	uint8_t *at;

	*out = (struct event){0};
	if (packed.len > EVENT_MAX || !wire_valid(&enlight__log__v1__event__descriptor, packed) ||
		!lengths_valid(packed, &n_persons))
		return EVENT_MALFORMED;
	/* Pointers first. A text and its NUL are shorter than the same text with its tag and length. */
	out->memory = malloc(n_persons * sizeof *out->persons + packed.len);
	if (out->memory == NULL)
		return -ENOMEM;
	out->persons = out->memory;
	at = (uint8_t *)(out->persons + n_persons);
	while (wire_next(&packed, &f))
		take_field(out, &f, &at);
	out->topic = topic_of_type(out->type);
	return 0;
}

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
	return copy_value(out->source, sizeof out->source, event_value(e, "source")) &&
	       copy_value(out->topic, sizeof out->topic, event_value(e, "topic")) &&
	       copy_value(out->subject, sizeof out->subject, event_value(e, "subject")) &&
	       digest_from(&out->leaf, event_value(e, "digest"));
}

bool event_withdraws(const struct event *e, struct withdrawn *out)
{
	if (e->topic == NULL || e->topic->message != withdrawal || !wire_valid(withdrawal, e->data))
		return false;
	out->revision = number_in(e, "revision");
	return copy_value(out->topic, sizeof out->topic, event_value(e, "topic"));
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

bool event_is_erasure(const struct event *e)
{
	return e->topic != NULL && e->topic->message == erasure;
}

long event_erases(const struct event *e, uint64_t **out)
{
	const ProtobufCFieldDescriptor *field;
	struct buffer sequences = {0};
	struct bytes rest = e->data;
	struct wire_field f;
	size_t len = 0;

	*out = NULL;
	if (!event_is_erasure(e) || !wire_valid(erasure, e->data))
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
