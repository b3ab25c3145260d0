/* event - one event, from the CloudEvents form of the edges to the bytes in a batch and back.
 *
 * A `draft` is what a local system wants to publish, before the node gave it revision, salt and sequence. A `struct event`
 * is what stands in a slot. Both ends validate with event_validate(), so that what one node accepts no other refuses. */
#ifndef ENLIGHT_CORE_EVENT_H
#define ENLIGHT_CORE_EVENT_H

#include "base/bytes.h"
#include "base/problem.h"
#include "core/digest.h"
#include "core/topic.h"
#include <jansson.h>

/* One event in the clear. All strings are owned by the struct and NUL-terminated; release with event_deinit(). The zeroed
 * value is empty. What was unpacked lies in one block, `memory`; else each string is an allocation of its own. */
struct event {
	uint8_t salt[SALT_LEN];
	char *id;
	char *type;
	const struct topic *topic; /* of `type`; NULL: unknown to this node */
	char *subject;
	char *time;        /* RFC 3339 */
	uint64_t revision; /* 0 in a draft: the node fills in the next */
	struct bytes data; /* packed message; owned; NULL when absent */
	char *traceparent; /* or NULL */
	char **persons;    /* identifiers of the persons concerned */
	size_t n_persons;
	char *data_class;
	char *keep_until; /* YYYY-MM-DD */
	void *memory;
};

struct draft {
	struct event event;
	char *source;   /* as given; must be the member itself */
	char *audience; /* in its one form (handle.h) */
};

void event_deinit(struct event *e);
void draft_deinit(struct draft *d);

/* Packs a whole event into log.v1.Event bytes, in memory the caller frees; unpacks them after a walk over the wire bytes
 * (depth, lengths, UTF-8, NUL) with a capped allocator.
 * event_pack: 0, -ENOMEM, or EVENT_TOO_LARGE. event_unpack: 0, -ENOMEM, or EVENT_MALFORMED. */
enum { EVENT_TOO_LARGE = 1, EVENT_MALFORMED };
int event_pack(uint8_t **out, size_t *len, const struct event *e);
int event_unpack(struct event *out, struct bytes packed);

/* Reads a draft from CloudEvents JSON (one object). `member` is the publishing node's member; a missing `source` means it.
 * A missing `id` or `time` stays NULL and is the caller's to fill in before event_complete(). All that is wrong goes to `problems`, with JSON pointers
 * ("/data/student/names/0/family").
 * What is wrong: attributes and extensions that are not ours too, since an event could not carry them. `out` is empty unless
 * 0 is returned.
 * Returns 0 when nothing was wrong; DRAFT_SYNTAX (400: not a CloudEvent), DRAFT_RULE (422: breaks a rule of its topic,
 * unknown topic included), DRAFT_FORBIDDEN (403: not this member's to publish), DRAFT_TOO_LARGE (413), or -ENOMEM. The
 * worst of several wins, in the order SYNTAX, TOO_LARGE, FORBIDDEN, RULE. */
enum { DRAFT_SYNTAX = 1, DRAFT_TOO_LARGE, DRAFT_FORBIDDEN, DRAFT_RULE };
int draft_from_json(struct draft *out, json_t *cloudevent, const char *member, struct problems *problems);

/* The same for an event whose attributes and data are apart, as in CloudEvents' protobuf form and in binary mode over
 * HTTP. `attribute` is called with each attribute's name (EVENT_ATTRIBUTES) and answers its value, borrowed, or NULL. `data`
 * is the packed message when `packed`, else JSON text. */
#define EVENT_ATTRIBUTES                                                                                               \
	"specversion", "id", "source", "type", "subject", "time", "traceparent", "enlightaudience", "enlightrevision", \
		"datacontenttype"
struct draft_source {
	const char *(*attribute)(void *context, const char *name);
	void *context;
	struct bytes data;
	bool packed;
};
int draft_from_parts(struct draft *out, const struct draft_source *in, const char *member, struct problems *problems);

/* Fills in what the node adds: persons, data class and keep_until (from the topic and `today`, YYYY-MM-DD), and id and
 * time when they were absent (both borrowed). 0 or -ENOMEM. */
int draft_complete(struct draft *d, const char *id, const char *time, const char *today);

/* Every rule of the topic, the publisher's role and the audience's kind included. Topics unknown to this node only have the
 * rules on attributes. What the node adds (draft_complete) is checked when it is there. `audience` in its one form.
 * 0: valid; DRAFT_RULE or DRAFT_FORBIDDEN with `problems`; -ENOMEM. */
int event_validate(const struct event *e, const char *publisher, const char *audience, struct problems *problems);

/* Whether the event is a decision, and on what. */
struct judged {
	char source[HANDLE_MAX + 1]; /* publisher of the judged object */
	char topic[TYPE_MAX + 1];    /* name of its topic */
	char subject[SUBJECT_MAX + 1];
	uint64_t revision;
	struct digest leaf; /* of the judged event */
};
bool event_judges(const struct event *e, struct judged *out);

/* Whether the event is a withdrawal, and of what: an object of the same publisher with the event's own subject. */
struct withdrawn {
	char topic[TYPE_MAX + 1]; /* name of the object's topic */
	uint64_t revision;        /* that it takes back: the object's last */
};
bool event_withdraws(const struct event *e, struct withdrawn *out);

bool event_is_erasure(const struct event *e);

/* Sequences of its own channel that an erasure event lists, for the rule on leaf-only slots. Returns how many; `*out` is
 * memory the caller frees (NULL with 0). -ENOMEM as a negative count. */
long event_erases(const struct event *e, uint64_t **out);

/* The CloudEvents JSON object of an event, as a new reference; `data` as proto-JSON only when `with_data` (bytes in
 * base64 as `data_base64` when the topic is unknown). NULL: out of memory. */
json_t *event_to_json(const struct event *e, const char *source, const char *audience, bool with_data);

/* A whole valid event of the topic as CloudEvents JSON, as a new reference, for people and for tests: its data are the
 * topic's example, its source the member that may publish them. NULL: out of memory. */
json_t *event_example(const struct topic *topic);

#endif
