/* enlight-plugin - how a program in C is given a node's events, each until it has said what became of it.
 *
 * Fill in one `const struct enlight_plugin` named `plugin` and link with the SDK (pkg-config enlight-plugin): its main() speaks
 * the plugin protocol (proto/enlight/plugin/v1) with the node that started the program. The protocol has descriptors of its
 * own, so what the program prints goes to the node's log and breaks nothing. One thread; callbacks run one after the other.
 *
 * An event may come again after a crash, with the same source and id: act once by keeping (source, id) in the transaction of
 * the effect. plugins/README.md begins at nothing and ends at a plugin. */
#ifndef ENLIGHT_PLUGIN_H
#define ENLIGHT_PLUGIN_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct enlight; /* the connection to the node */

/* One event. Everything is valid until the callback that was given it returns. */
struct enlight_event {
	const char *source;       /* the publishing member */
	const char *id;           /* unique for that source */
	const char *type, *topic; /* eu.enlight.course.offering.v1, course.offering */
	const char *subject;      /* FAMILY/ID: the object this event is the new state of */
	const char *time;         /* RFC 3339 */
	const char *audience;     /* network, or members with commas between */
	const char *traceparent;  /* or NULL */
	uint64_t revision;        /* of the object: 1, 2, 3 */
	uint32_t incarnation;     /* of the channel */
	uint64_t sequence;        /* in the channel: 1, 2, 3 */
	uint64_t
		settled; /* below this sequence nothing of the channel will come again, unless its publisher's key was stolen */
	unsigned attempt;      /* 1, 2, 3 */
	bool stale;            /* a decision on a revision that is no longer the last */
	const uint8_t *digest; /* 32 bytes: what a decision on this event cites */
	const ProtobufCMessage
		*message;    /* the topic's message (enlight/event/v1/course.pb-c.h), unpacked; NULL: a topic
					    * that the SDK does not know */
	const uint8_t *data; /* the same as it came, packed */
	size_t data_len;
};

/* The event as a CloudEvents JSON object, as GET /v1/events?data=true shows it, but for what only the store knows (cursor,
 * received_ms). A new reference; NULL: out of memory. */
json_t *enlight_event_json(const struct enlight_event *event);

/* There is no outcome 0: a result that was forgotten is not taken for success, the event comes again. */
enum enlight_outcome {
	ENLIGHT_DONE = 1, /* it is done, durably */
	ENLIGHT_RETRY,    /* not now: come again, as long as it takes. For what is wrong with the world */
	ENLIGHT_REJECT,   /* never like this: an operator must look. For what is wrong with the event */
};

/* What became of an event. The reason is one line for the operator: no names, no values out of the event. */
struct enlight_result {
	enum enlight_outcome outcome;
	uint32_t retry_after_ms; /* 0: as the node thinks best */
	char reason[256];
};

/* Fills in a result, with printf's format for the reason, of which 255 bytes are kept. Returns the outcome. */
enum enlight_outcome enlight_result(struct enlight_result *result, enum enlight_outcome outcome,
	const char *reason_format, ...) __attribute__((format(printf, 3, 4)));

/* What is to be forgotten: events of one channel, and what they were about. Lists end with NULL; they may be shorter than
 * the number of events, when the node has forgotten them already. */
struct enlight_erasure {
	const char *source, *audience;
	const uint64_t *sequences;
	size_t n_sequences;
	const char *const *ids;
	const char *const *subjects;
	const char *person; /* identifier, or NULL */
};

/* A setting of the plugin's own, below `settings:` in enlight.yaml, or in a YAML file of its own (enlight_settings_file). A
 * table has at most 31 rows and ends with one without a name. Values land in a struct at the rows' offsets; texts are owned
 * by the SDK and valid until stop. */
enum enlight_setting_type {
	ENLIGHT_TEXT = 1, /* const char * */
	ENLIGHT_PATH,     /* const char *; a relative one begins in the file's folder */
	ENLIGHT_NUMBER,   /* uint64_t */
	ENLIGHT_DURATION, /* uint64_t, milliseconds: 500ms, 30s, 5min */
	ENLIGHT_FLAG,     /* bool */
};
struct enlight_setting {
	const char *name;
	enum enlight_setting_type type;
	size_t offset;
	bool required;
	const char *fallback; /* the default, as it would stand in the file; NULL: none */
	const char *help;
};

enum enlight_order {
	ENLIGHT_IN_ORDER, /* one event after the other; one that is to be tried again holds up all that follow */
	ENLIGHT_LANES,    /* several at a time, of one publisher and subject in order */
};

struct enlight_plugin {
	const char *name, *version;
	const char *
		topics; /* patterns with commas between: "course.*, enrolment.*"; NULL: all that the configuration allows */
	enum enlight_order order;
	unsigned window;                        /* with lanes: events it takes at a time; 0: 64 */
	const struct enlight_setting *settings; /* NULL: it has none of its own */
	size_t settings_size;                   /* of the struct they land in */

	/* Called once before the first event. `settings` is the struct that was filled in, valid until stop; `*state` is
	 * handed to all other callbacks. 0; or -errno, after enlight_log() said why: nothing else is called then, and the
	 * node starts the plugin again later. NULL: nothing to do. */
	int (*start)(struct enlight *e, const void *settings, void **state);

	/* One event. What it returns is the outcome; `result` is zeroed and takes the reason. */
	enum enlight_outcome (*deliver)(
		struct enlight *e, void *state, const struct enlight_event *event, struct enlight_result *result);

	/* Set instead of `deliver`: as many of different lanes as there are for now, up to the window. results[i] is of
	 * events[i] and zeroed; it takes outcome and reason. */
	void (*deliver_many)(struct enlight *e, void *state, const struct enlight_event *events, size_t n,
		struct enlight_result *results);

	/* Forget. NULL: there is nothing to forget, and the node is told that it is done. */
	enum enlight_outcome (*erase)(
		struct enlight *e, void *state, const struct enlight_erasure *erasure, struct enlight_result *result);

	/* What became of enlight_publish(); `answer` is borrowed. NULL: only failures are logged. */
	void (*published)(struct enlight *e, void *state, uint64_t number, unsigned status, json_t *answer);

	void (*stop)(struct enlight *e, void *state); /* NULL: nothing to do */
};

/* The one the program is. */
extern const struct enlight_plugin plugin;

/* What the SDK's main() does. A program that is more than a plugin has a main() of its own, which comes to this one when
 * nothing else was asked of it. */
int enlight_main(int argc, char **argv);

/* Publishes an event, a CloudEvents JSON object (borrowed), through the node, as POST /v1/events does. Returns a number that
 * `published` will be called with: the status as of the local API, and `answer` {"id", "revision", "audience", "sequence", "digest"}
 * or {"errors": [{"pointer", "rule"}]}. 0, with errno ENOMEM, or EMSGSIZE: larger than any event can be. To publish once,
 * choose the event's id yourself: the same id again is answered with the old answer. */
uint64_t enlight_publish(struct enlight *e, json_t *event);

enum enlight_level { ENLIGHT_ERROR, ENLIGHT_WARN, ENLIGHT_INFO, ENLIGHT_DEBUG };
void enlight_log(struct enlight *e, enum enlight_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Reads a YAML file by a table, as the plugin's settings are read, into a zeroed struct of `size` bytes. 0; -EINVAL: it has
 * mistakes, and each was logged with its line (when `start` fails after that, the node knows that it is the configuration's
 * fault); -ENOMEM. */
int enlight_settings_file(
	struct enlight *e, const char *path, const struct enlight_setting *rows, void *out, size_t size);

/* Tells the node that a callback which takes long is alive; cheap enough to be called in every round of a loop. */
void enlight_beat(struct enlight *e);

const char *enlight_member(const struct enlight *e); /* whose node it is */
const char *enlight_name(const struct enlight *e);   /* of the plugin in the configuration */
const char *enlight_state(const struct enlight *e);  /* a folder that is the plugin's own */
const char *enlight_folder(const struct enlight *e); /* where relative paths of the settings begin */

#endif
