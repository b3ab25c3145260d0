/* cloudevents - reads the bodies of POST /v1/events: CloudEvents 1.0 in JSON or protobuf, one or many, and HTTP's binary mode
 * (https://github.com/cloudevents/spec: JSON format, Protobuf format, HTTP protocol binding).
 *
 * Every event becomes a complete and valid draft (core/event.h), or all that is wrong with all of them is reported. Bodies of many
 * are read event by event, so that what one request can make the node allocate stays near the size of its body. */
#ifndef ENLIGHT_API_CLOUDEVENTS_H
#define ENLIGHT_API_CLOUDEVENTS_H

#include "base/stamp.h"
#include "base/bytes.h"
#include "base/problem.h"
#include "core/event.h"
#include "core/handle.h"

enum {
	EVENTS_BODY_MAX = 4 << 20, /* bytes of one request's body */
	EVENTS_MAX = 4096,         /* events of one request */
	EVENT_JSON_MAX = 1 << 20,  /* bytes of one event in JSON: EVENT_MAX, in base64 and with room for its names */
	EVENT_JSON_VALUES = 65536, /* objects, lists and their members in it */
	EVENT_ATTRIBUTES_MAX = 24, /* attributes of one event in protobuf or as headers */
};

/* Attributes of one event, where they do not stand in JSON. Names and values are borrowed. */
struct event_parts {
	struct event_attribute {
		const char *name, *value;
	} items[EVENT_ATTRIBUTES_MAX];
	size_t n;
};
/* False: there is no room, or the name is there already. */
bool event_parts_add(struct event_parts *p, const char *name, const char *value);

struct drafts;

/* What a Content-Type means; one row each. */
struct media_type {
	const char *name;
	int (*read)(struct drafts *d, struct bytes body);
	bool batch;  /* several events: places begin with their number */
	bool binary; /* attributes are in `ce-` headers, the body is the data */
	bool packed; /* the data is a packed message */
	const char *help;
};
extern const struct media_type media_types[];
extern const size_t n_media_types;

/* The row of a Content-Type header's value (parameters: only charset=utf-8). NULL: none. */
const struct media_type *media_type_find(const char *content_type);

/* The drafts of one request, and what reading them needs. */
struct drafts {
	struct draft *items; /* owned */
	size_t n, size;
	struct problems problems;
	int outcome; /* the worst of all: 0 or DRAFT_... */
	char time[STAMP_TIME], today[STAMP_DAY];

	/* Given: */
	const struct media_type *type;
	const struct event_parts *headers; /* of binary mode */
	const char *member;
	uint64_t now_ms;
	handle_resolve resolve; /* what a member is called otherwise, with its context; NULL: nothing */
	void *resolve_context;
	/* Whether who asks may publish the topic; asked for each event. */
	bool (*may_publish)(void *context, const char *topic);
	void *context;
};

/* Reads a body. 0, and `outcome` says what became of it; or -ENOMEM. Release with drafts_deinit() either way. */
int drafts_read(struct drafts *d, struct bytes body);
void drafts_deinit(struct drafts *d);

#endif
