/* From a Deliver to what a callback sees, and from there to JSON. */
#include "connection.h"

#include "core/wire.h"
#include <errno.h>
#include <string.h>

enum { UNPACKED_MAX = 16 * 1024 * 1024 };

void delivery_deinit(struct delivery *d)
{
	wire_free(d->message);
	wire_free(d->frame);
	event_deinit(&d->event);
	*d = (struct delivery){0};
}

/* The data of a topic that is known must be its message: the node checked it, but a node may be older or newer. */
static int read_data(struct delivery *d)
{
	if (d->event.topic == NULL)
		return 0;
	d->message = wire_unpack(d->event.topic->message, d->event.data, UNPACKED_MAX);
	if (d->message == NULL)
		return errno == ENOMEM ? -ENOMEM : DELIVERY_UNREADABLE;
	return 0;
}

int delivery_read(struct delivery *d, struct enlight_event *out, Enlight__Plugin__V1__ToPlugin *frame)
{
	const Enlight__Plugin__V1__Deliver *m = frame->deliver;
	int r;

	*d = (struct delivery){.frame = frame};
	r = event_unpack(&d->event, bytes_of(m->event.data, m->event.len));
	if (r == EVENT_MALFORMED || (r == 0 && m->digest.len != DIGEST_LEN))
		r = DELIVERY_UNREADABLE;
	if (r == 0)
		r = read_data(d);
	if (r != 0) {
		delivery_deinit(d);
		return r;
	}
	if (!topic_name_of_type(d->topic, d->event.type))
		memcpy(d->topic, d->event.type, strlen(d->event.type) + 1);
	*out = (struct enlight_event){
		.source = m->source,
		.id = d->event.id,
		.type = d->event.type,
		.topic = d->topic,
		.subject = d->event.subject,
		.time = d->event.time,
		.audience = m->audience,
		.traceparent = d->event.traceparent,
		.revision = d->event.revision,
		.incarnation = m->incarnation,
		.sequence = m->sequence,
		.settled = m->settled,
		.attempt = m->attempt,
		.stale = m->has_stale && m->stale,
		.digest = m->digest.data,
		.message = d->message,
		.data = d->event.data.data,
		.data_len = d->event.data.len,
	};
	return 0;
}

json_t *enlight_event_json(const struct enlight_event *event)
{
	const struct event e = {
		.id = (char *)event->id,
		.type = (char *)event->type,
		.topic = topic_of_type(event->type),
		.subject = (char *)event->subject,
		.time = (char *)event->time,
		.revision = event->revision,
		.data = {event->data, event->data_len},
		.traceparent = (char *)event->traceparent,
	};
	char digest[2 * DIGEST_LEN + 1];
	json_t *json = event_to_json(&e, event->source, event->audience, true);

	hex_encode(digest, event->digest, DIGEST_LEN);
	if (json == NULL || json_object_set_new(json, "sequence", json_integer((json_int_t)event->sequence)) != 0 ||
		json_object_set_new(json, "incarnation", json_integer(event->incarnation)) != 0 ||
		json_object_set_new(json, "digest", json_string(digest)) != 0 ||
		json_object_set_new(json, "state", json_string(event->stale ? "stale" : "accepted")) != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}
