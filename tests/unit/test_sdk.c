/* The SDK for plugins: with the fake node in this process, and as processes that are spoken to over pipes. */
#include "connection.h"
#include "core/wire.h"
#include "enlight-plugin-test.h"
#include "enlight/event/v1/course.pb-c.h"
#include "enlight/log/v1/log.pb-c.h"
#include "frame.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>

#define COURSE(id, subject)                                                                                            \
	"{\"specversion\": \"1.0\", \"id\": \"" id "\", \"source\": \"ut.ee\", "                                       \
	"\"type\": \"eu.enlight.course.offering.v1\", \"subject\": \"course/" subject "\", "                           \
	"\"enlightaudience\": \"ugent.be\", \"data\": {\"courseId\": \"" subject "\", "                                \
	"\"title\": [{\"lang\": \"en\", \"value\": \"Game Theory\"}]}}"

/* ---- an allocator that can fail ---- */

static size_t allocations_left; /* the one that brings it to 0 fails; 0: none does */

static bool fails(void)
{
	if (allocations_left == 0 || --allocations_left != 0)
		return false;
	return true;
}

#include "failing_memory.h"

/* ---- a plugin inside the test: it notes what it was told ---- */

struct values {
	const char *file, *word;
	uint64_t number, wait_ms;
	bool on;
};

static const struct enlight_setting rows[] = {
	{"file", ENLIGHT_PATH, offsetof(struct values, file), .fallback = "some/file", .help = "A file."},
	{"word", ENLIGHT_TEXT, offsetof(struct values, word), .help = "A word."},
	{"number", ENLIGHT_NUMBER, offsetof(struct values, number), .fallback = "7", .help = "A number."},
	{"wait", ENLIGHT_DURATION, offsetof(struct values, wait_ms), .fallback = "2s", .help = "A time."},
	{"on", ENLIGHT_FLAG, offsetof(struct values, on), .fallback = "true", .help = "Whether."},
	{0},
};

static struct {
	struct values values;
	int start_result;
	const char *settings_file; /* read by start when set */
	const char *publish;       /* published by start and deliver when set */
	enum enlight_outcome outcome;
	const char *reason;
	unsigned starts, delivered, erased, stopped;
	struct enlight_event last;
	char topic[64], title[64];
	json_t *json;
	char answers[1024];
} told;

static void publish_again(struct enlight *e)
{
	json_t *event = told.publish == NULL ? NULL : json_loads(told.publish, 0, NULL);

	if (event != NULL)
		enlight_publish(e, event);
	json_decref(event);
}

static int note_start(struct enlight *e, const void *values, void **state)
{
	struct values more = {0};

	told.starts++;
	told.values = *(const struct values *)values;
	*state = &told;
	publish_again(e);
	if (told.settings_file != NULL)
		return enlight_settings_file(e, told.settings_file, rows, &more, sizeof more);
	return told.start_result;
}

static enum enlight_outcome note_deliver(
	struct enlight *e, void *state, const struct enlight_event *event, struct enlight_result *result)
{
	const Enlight__Event__V1__CourseOffering *course = (const void *)event->message;

	told.delivered++;
	told.last = *event;
	snprintf(told.topic, sizeof told.topic, "%s", event->topic);
	if (course != NULL && course->n_title > 0)
		snprintf(told.title, sizeof told.title, "%s", course->title[0]->value);
	json_decref(told.json);
	told.json = enlight_event_json(event);
	publish_again(e);
	if (told.reason != NULL)
		return enlight_result(result, told.outcome, "%s", told.reason);
	return told.outcome;
}

static enum enlight_outcome note_erase(
	struct enlight *e, void *state, const struct enlight_erasure *what, struct enlight_result *result)
{
	told.erased++;
	ck_assert_str_eq(what->source, "ut.ee");
	ck_assert_uint_eq(what->n_sequences, 2);
	ck_assert_uint_eq(what->sequences[1], 9);
	ck_assert_str_eq(what->ids[0], "a");
	ck_assert_ptr_null(what->ids[1]);
	ck_assert_ptr_null(what->subjects[0]);
	ck_assert_str_eq(what->person, "ut.ee:b41887");
	return enlight_result(result, ENLIGHT_RETRY, "busy");
}

static void note_published(struct enlight *e, void *state, uint64_t number, unsigned status, json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);
	size_t len = strlen(told.answers);

	snprintf(told.answers + len, sizeof told.answers - len, "%u %u %s\n", (unsigned)number, status, text);
	free(text);
}

static void note_stop(struct enlight *e, void *state)
{
	told.stopped++;
}

static const struct enlight_plugin noting = {
	.name = "noting",
	.topics = "course.*",
	.settings = rows,
	.settings_size = sizeof(struct values),
	.start = note_start,
	.deliver = note_deliver,
	.erase = note_erase,
	.published = note_published,
	.stop = note_stop,
};

static struct enlight_test *node;

/* Check runs each test in a process of its own, so all begin with the zeroed state. */
static void set_up(void)
{
	told.outcome = ENLIGHT_DONE;
	node = enlight_test_new(&noting);
	ck_assert_ptr_nonnull(node);
}

static void tear_down(void)
{
	enlight_test_free(node);
	json_decref(told.json);
}

/* ---- with the fake node ---- */

/* An event comes with its attributes, its unpacked message, and as the JSON that the local API shows. */
START_TEST(test_event_is_decoded)
{
	struct enlight_result result;

	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	result = enlight_test_deliver(node, COURSE("a", "CR1"));
	ck_assert_msg(result.outcome == ENLIGHT_DONE, "%s", result.reason);
	ck_assert_str_eq(told.topic, "course.offering");
	ck_assert_str_eq(told.title, "Game Theory");
	ck_assert_uint_eq(told.last.revision, 1);
	ck_assert_uint_eq(told.last.sequence, 1);
	ck_assert_uint_eq(told.last.attempt, 1);
	ck_assert_str_eq(json_string_value(json_object_get(told.json, "source")), "ut.ee");
	ck_assert_str_eq(json_string_value(json_object_get(told.json, "enlightaudience")), "ugent.be");
	ck_assert_str_eq(json_string_value(json_object_get(told.json, "state")), "accepted");
	ck_assert_int_eq(json_integer_value(json_object_get(told.json, "sequence")), 1);
	ck_assert_int_eq(json_string_length(json_object_get(told.json, "digest")), 64);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(told.json, "data"), "courseId")), "CR1");
	ck_assert_int_eq(enlight_test_stop(node), 0);
	ck_assert_uint_eq(told.stopped, 1);
}
END_TEST

/* The fake node numbers as a node does: the same event again is the next attempt, another of its object the next revision. */
START_TEST(test_fake_node_numbers)
{
	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	enlight_test_deliver(node, COURSE("a", "CR1"));
	enlight_test_deliver(node, COURSE("b", "CR1"));
	ck_assert_uint_eq(told.last.revision, 2);
	ck_assert_uint_eq(told.last.sequence, 2);
	enlight_test_deliver(node, COURSE("a", "CR1"));
	ck_assert_uint_eq(told.last.revision, 1);
	ck_assert_uint_eq(told.last.sequence, 1);
	ck_assert_uint_eq(told.last.attempt, 2);
	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	ck_assert_uint_eq(told.stopped, 1);
	enlight_test_deliver(node, COURSE("a", "CR1"));
	ck_assert_uint_eq(told.last.attempt, 3);
}
END_TEST

static const struct {
	const char *name, *event, *reason;
} refused[] = {
	{"not JSON", "{", ": not JSON"},
	{"a rule of the topic",
		"{\"specversion\": \"1.0\", \"type\": \"eu.enlight.course.offering.v1\", \"subject\": \"course/1\", "
		"\"enlightaudience\": \"network\", \"data\": {\"courseId\": \"1\", \"title\": []}}",
		"/data/title: "},
	{"not to us",
		"{\"specversion\": \"1.0\", \"type\": \"eu.enlight.course.offering.v1\", \"subject\": \"course/1\", "
		"\"enlightaudience\": \"rug.nl\", \"data\": {\"courseId\": \"1\", \"title\": [{\"lang\": \"en\", "
		"\"value\": \"x\"}]}}",
		"/enlightaudience: does not name the test's member, ugent.be"},
};

/* What no node would deliver does not reach the plugin either, and the test is told the rule. */
START_TEST(test_fake_node_refuses)
{
	struct enlight_result result;

	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	result = enlight_test_deliver(node, refused[_i].event);
	ck_assert_msg(result.outcome == 0, "%s", refused[_i].name);
	ck_assert_msg(strncmp(result.reason, refused[_i].reason, strlen(refused[_i].reason)) == 0, "%s: %s",
		refused[_i].name, result.reason);
	ck_assert_uint_eq(told.delivered, 0);
}
END_TEST

/* A plugin that is not running gets nothing, and the test is told. */
START_TEST(test_fake_node_without_plugin)
{
	ck_assert_str_eq(enlight_test_deliver(node, COURSE("a", "CR1")).reason, "the plugin does not run");
	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	ck_assert_int_eq(enlight_test_stop(node), 0);
	ck_assert_int_eq(enlight_test_deliver(node, COURSE("a", "CR1")).outcome, 0);
}
END_TEST

#define TEN_E "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
#define HUNDRED_E TEN_E TEN_E TEN_E TEN_E TEN_E TEN_E TEN_E TEN_E TEN_E TEN_E

static const struct {
	const char *name, *given, *answered;
} reasons[] = {
	{"as it is", "the registrar is closed", "the registrar is closed"},
	{"none", "", ""},
	{"not UTF-8",
		"a\xff\xfe"
		"b\xc3"
		"c",
		"a??b?c"},
	{"cut inside a character", "caf\xc3", "caf"},
	{"several lines", "a\nb\tc\n", "a b c"},
	{"too long", "x" HUNDRED_E HUNDRED_E,
		"x" HUNDRED_E TEN_E TEN_E "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"},
	{"too long, inside a character", HUNDRED_E HUNDRED_E,
		HUNDRED_E TEN_E TEN_E "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"},
};

/* A reason reaches the operator as one line of UTF-8 of at most 255 bytes, whatever it was made of. */
START_TEST(test_reasons)
{
	struct enlight_result result;

	told.outcome = ENLIGHT_REJECT;
	told.reason = reasons[_i].given;
	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	result = enlight_test_deliver(node, COURSE("a", "CR1"));
	ck_assert_int_eq(result.outcome, ENLIGHT_REJECT);
	ck_assert_msg(strcmp(result.reason, reasons[_i].answered) == 0, "%s: %s", reasons[_i].name, result.reason);
}
END_TEST

/* A plugin that says nothing about an event gets it again: only an outcome that was given counts. */
START_TEST(test_forgotten_result)
{
	struct enlight_result result;

	told.outcome = 0;
	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	result = enlight_test_deliver(node, COURSE("a", "CR1"));
	ck_assert_int_eq(result.outcome, ENLIGHT_RETRY);
	ck_assert_str_eq(result.reason, "the plugin gave no result");
}
END_TEST

/* What is published is answered with its number: 201, 200 for the same id again, 422 with the rules it breaks; what `start`
 * publishes as well. */
START_TEST(test_publish)
{
	static const char *const own =
		"{\"specversion\": \"1.0\", \"id\": \"mine\", \"type\": \"eu.enlight.course.offering.v1\", "
		"\"subject\": \"course/X\", \"enlightaudience\": \"ut.ee\", \"data\": {\"courseId\": \"X\", "
		"\"title\": [{\"lang\": \"en\", \"value\": \"x\"}]}}";

	told.publish = own;
	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	ck_assert_str_eq(told.answers, "1 201 {\"id\":\"mine\",\"revision\":1,\"audience\":\"ut.ee\",\"sequence\":1,"
				       "\"digest\":\"\"}\n");
	told.answers[0] = '\0';
	enlight_test_deliver(node, COURSE("a", "CR1"));
	ck_assert_msg(strncmp(told.answers, "2 200 ", 6) == 0, "%s", told.answers);
	told.publish = "{\"specversion\": \"1.0\"}";
	told.answers[0] = '\0';
	enlight_test_deliver(node, COURSE("b", "CR1"));
	ck_assert_msg(strncmp(told.answers, "3 422 {\"errors\":[{\"pointer\":\"/", 30) == 0, "%s", told.answers);
	ck_assert_ptr_nonnull(enlight_test_published(node, 2));
	ck_assert_ptr_null(enlight_test_published(node, 3));
	ck_assert_str_eq(json_string_value(json_object_get(enlight_test_published(node, 0), "id")), "mine");
}
END_TEST

/* What is larger than any event can be is refused before it is sent. */
START_TEST(test_publish_has_a_limit)
{
	struct enlight e = {.started = true};
	char *large = calloc(1, FRAME_MAX + 1);
	json_t *event;

	memset(large, 'x', FRAME_MAX);
	event = json_pack("{ss}", "data", large);
	errno = 0;
	ck_assert_uint_eq(enlight_publish(&e, event), 0);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_uint_eq(e.out.len, 0);
	json_decref(event);
	free(large);
}
END_TEST

/* An erasure comes with all its lists, and its result goes back. */
START_TEST(test_erase)
{
	static const uint64_t sequences[] = {4, 9};
	static const char *const ids[] = {"a", NULL};
	const struct enlight_erasure what = {
		.sequences = sequences, .n_sequences = 2, .ids = ids, .person = "ut.ee:b41887"};
	struct enlight_result result;

	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	result = enlight_test_erase(node, &what);
	ck_assert_int_eq(result.outcome, ENLIGHT_RETRY);
	ck_assert_str_eq(result.reason, "busy");
	ck_assert_uint_eq(told.erased, 1);
}
END_TEST

/* A plugin that keeps nothing has nothing to forget. */
START_TEST(test_erase_nothing)
{
	const struct enlight_plugin keeps_nothing = {.name = "nothing", .deliver = note_deliver};
	struct enlight_test *t = enlight_test_new(&keeps_nothing);

	ck_assert_int_eq(enlight_test_start(t, NULL), 0);
	ck_assert_int_eq(enlight_test_erase(t, &(struct enlight_erasure){0}).outcome, ENLIGHT_DONE);
	enlight_test_free(t);
}
END_TEST

/* Settings land in the plugin's struct, defaults included; it may be given as YAML or as JSON. */
START_TEST(test_settings)
{
	ck_assert_int_eq(enlight_test_start(node, "word: no\nwait: 5min\n"), 0);
	ck_assert_str_eq(told.values.word, "no");
	ck_assert_str_eq(told.values.file, "some/file");
	ck_assert_uint_eq(told.values.wait_ms, 300000);
	ck_assert_uint_eq(told.values.number, 7);
	ck_assert(told.values.on);
	ck_assert_int_eq(
		enlight_test_start(node, "{\"word\": \"b\", \"file\": \"/abs\", \"number\": 12, \"on\": false}"), 0);
	ck_assert_str_eq(told.values.file, "/abs");
	ck_assert_uint_eq(told.values.number, 12);
	ck_assert(!told.values.on);
}
END_TEST

/* Every mistake in the settings is logged with its place, and the plugin does not start: 78. */
START_TEST(test_settings_with_mistakes)
{
	ck_assert_int_eq(enlight_test_start(node, "\n\n   {\"wrod\": \"a\",\n    \"on\": \"maybe\"}"), EX_CONFIG);
	ck_assert_str_eq(enlight_test_log(node), "error: settings:3:5: error: unknown setting; did you mean \"word\"?\n"
						 "error: settings:4:11: error: on: must be true or false\n");
	ck_assert_uint_eq(told.starts, 0);
	ck_assert_uint_eq(told.stopped, 0);
}
END_TEST

/* The same holds for a file of the plugin's own. */
START_TEST(test_settings_file)
{
	char path[256], wanted[600];

	snprintf(path, sizeof path, "%s/own.yaml", enlight_test_state(node));
	ck_assert_int_eq(file_write(path, "word: a\nfile: b\n", 16, 0600), 0);
	told.settings_file = path;
	ck_assert_int_eq(enlight_test_start(node, NULL), 0);
	ck_assert_int_eq(file_write(path, "word: a\nfile: b\nx: 1\n", 21, 0600), 0);
	ck_assert_int_eq(enlight_test_start(node, NULL), EX_CONFIG);
	snprintf(wanted, sizeof wanted, "error: %s:3:1: error: unknown setting\n", path);
	ck_assert_str_eq(enlight_test_log(node), wanted);
}
END_TEST

/* A plugin that cannot start is started again later; what it did not begin is not stopped. */
START_TEST(test_start_fails)
{
	told.start_result = -ECONNREFUSED;
	ck_assert_int_eq(enlight_test_start(node, NULL), EX_TEMPFAIL);
	ck_assert_uint_eq(told.starts, 1);
	ck_assert_int_eq(enlight_test_stop(node), EX_TEMPFAIL);
	ck_assert_uint_eq(told.stopped, 0);
}
END_TEST

/* ---- frame by frame, in this process ---- */

static struct buffer said; /* frames that came from the connection */

static bool keep(void *context, struct bytes frames)
{
	buffer_add(&said, frames.data, frames.len);
	return true;
}

typedef Enlight__Plugin__V1__ToPlugin to_plugin;
typedef Enlight__Plugin__V1__FromPlugin from_plugin;

static const ProtobufCMessageDescriptor *const from = &enlight__plugin__v1__from_plugin__descriptor;

/* A packed event, of any type. */
static struct bytes any_event(uint8_t *out, const char *id, const char *type, const char *data)
{
	Enlight__Log__V1__Event m = ENLIGHT__LOG__V1__EVENT__INIT;

	m.salt = (ProtobufCBinaryData){SALT_LEN, (uint8_t *)(uintptr_t) "0123456789abcdef"};
	m.id = (char *)id;
	m.type = (char *)type;
	m.subject = (char *)"course/1";
	m.time = (char *)"2026-11-23T09:30:00Z";
	m.revision = 1;
	m.has_data = true;
	m.data = (ProtobufCBinaryData){strlen(data), (uint8_t *)(uintptr_t)data};
	m.data_class = (char *)"public";
	m.keep_until = (char *)"2030-01-01";
	return bytes_of(out, enlight__log__v1__event__pack(&m, out));
}

/* A Start, or a Deliver with this event, as a frame without its length. */
static struct bytes start_frame(uint8_t *out, const char *state, const char *settings, uint32_t beat_ms)
{
	Enlight__Plugin__V1__Start start = ENLIGHT__PLUGIN__V1__START__INIT;
	to_plugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;

	start.protocol = 1;
	start.member = (char *)"ugent.be";
	start.name = (char *)"test";
	start.settings = (char *)settings;
	start.state = (char *)state;
	start.beat_ms = beat_ms;
	start.file = (char *)"enlight.yaml";
	start.folder = (char *)"/etc/enlight";
	m.start = &start;
	return bytes_of(out, enlight__plugin__v1__to_plugin__pack(&m, out));
}

static struct bytes deliver_frame(uint8_t *out, uint64_t number, struct bytes event)
{
	Enlight__Plugin__V1__Deliver deliver = ENLIGHT__PLUGIN__V1__DELIVER__INIT;
	to_plugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	uint8_t digest[DIGEST_LEN] = {1};

	deliver.number = number;
	deliver.source = (char *)"ut.ee";
	deliver.audience = (char *)"network";
	deliver.incarnation = 1;
	deliver.sequence = number;
	deliver.event = (ProtobufCBinaryData){event.len, (uint8_t *)event.data};
	deliver.digest = (ProtobufCBinaryData){DIGEST_LEN, digest};
	deliver.attempt = 1;
	deliver.settled = 1;
	m.deliver = &deliver;
	return bytes_of(out, enlight__plugin__v1__to_plugin__pack(&m, out));
}

/* The last frame that was said. */
static from_plugin *last_said(void)
{
	struct frames frames = {.data = said.data, .len = said.len};
	from_plugin *m = NULL;
	struct bytes frame;

	while (frames_next(&frames, &frame) == FRAME_WHOLE) {
		wire_free(m);
		m = wire_unpack(from, frame, 65536);
	}
	ck_assert_ptr_nonnull(m);
	return m;
}

static struct enlight *started(uint8_t *memory)
{
	struct enlight *e = connection_new(&noting, keep, NULL);

	connection_take(e, start_frame(memory, "/nonexistent", "{}", 1000));
	ck_assert_int_eq(e->status, -1);
	ck_assert_str_eq(told.values.file, "/etc/enlight/some/file");
	return e;
}

/* A topic that the SDK does not know comes without a message, but with its name and its bytes. */
START_TEST(test_unknown_topic)
{
	uint8_t memory[4096], event[1024];
	struct enlight *e = started(memory);

	connection_take(e, deliver_frame(memory, 3, any_event(event, "a", "eu.enlight.canteen.menu.v1", "soup")));
	ck_assert_uint_eq(told.delivered, 1);
	ck_assert_str_eq(told.topic, "canteen.menu");
	ck_assert_ptr_null(told.last.message);
	ck_assert_uint_eq(told.last.data_len, 4);
	ck_assert_str_eq(json_string_value(json_object_get(told.json, "data_base64")), "c291cA==");
	connection_free(e);
	buffer_deinit(&said);
}
END_TEST

/* An event that cannot be read, or data that are not of its topic, are refused by the SDK; the plugin goes on. */
START_TEST(test_unreadable_event)
{
	uint8_t memory[4096], event[1024];
	struct bytes packed = _i == 0 ? bytes_str("\xff\xff\xff")
				      : any_event(event, "a", "eu.enlight.course.offering.v1", "not a course");
	struct enlight *e = started(memory);
	from_plugin *m;

	connection_take(e, deliver_frame(memory, 3, packed));
	m = last_said();
	ck_assert_ptr_nonnull(m->result);
	ck_assert_uint_eq(m->result->number, 3);
	ck_assert_str_eq(m->result->outcome, "reject");
	ck_assert_str_eq(m->result->reason, "cannot be read");
	ck_assert_uint_eq(told.delivered, 0);
	ck_assert_int_eq(e->status, -1);
	wire_free(m);
	connection_free(e);
	buffer_deinit(&said);
}
END_TEST

static const struct {
	const char *name;
	const char *frame;
	size_t len;
	bool before_start;
	int status;
} frames_of_all_kinds[] = {
	{"nothing in it", "", 0, false, -1},
	{"a kind of tomorrow", "\xfa\x07\x01x", 4, false, -1},
	{"a kind of tomorrow, before Start", "\xfa\x07\x01x", 4, true, -1},
	{"Drain", "\x2a\x00", 2, false, EX_OK},
	{"not a message", "\xff\xff\xff", 3, false, EX_SOFTWARE},
	{"Deliver without its fields", "\x12\x00", 2, false, EX_SOFTWARE},
	{"Drain before Start", "\x2a\x00", 2, true, EX_SOFTWARE},
	{"Drain and Published at once", "\x2a\x00\x22\x04\x08\x01\x10\x01", 8, false, EX_SOFTWARE},
	{"Start again", "\x0a\x0d\x08\x01\x12\x01x\x1a\x01x\x2a\x01x\x30\x01", 15, false, EX_SOFTWARE},
	{"Start of no version", "\x0a\x0d\x08\x00\x12\x01x\x1a\x01x\x2a\x01x\x30\x01", 15, true, EX_SOFTWARE},
};

/* A frame is one when its last byte is there, not before; the next begins behind it. */
START_TEST(test_frames_in_pieces)
{
	static const uint8_t bytes[] = {0x83, 0x00, 'a', 'b', 'c', 0x00, 0x01, 'd'};
	struct frames f = {.data = (uint8_t *)(uintptr_t)bytes};
	struct bytes frame;

	for (f.len = 0; f.len < 5; f.len++)
		ck_assert_int_eq(frames_next(&f, &frame), FRAME_PARTLY);
	f.len = sizeof bytes;
	ck_assert_int_eq(frames_next(&f, &frame), FRAME_WHOLE);
	ck_assert(bytes_equal(frame, bytes_str("abc")));
	ck_assert_int_eq(frames_next(&f, &frame), FRAME_WHOLE);
	ck_assert_uint_eq(frame.len, 0);
	ck_assert_int_eq(frames_next(&f, &frame), FRAME_WHOLE);
	ck_assert(bytes_equal(frame, bytes_str("d")));
	ck_assert_int_eq(frames_next(&f, &frame), FRAME_PARTLY);
}
END_TEST

/* The answer to Start is Ready, and what `start` published comes after it. */
START_TEST(test_ready_is_first)
{
	struct frames frames;
	uint8_t memory[4096];
	struct bytes frame;
	struct enlight *e;
	from_plugin *m;

	told.publish = "{}";
	e = started(memory);
	frames = (struct frames){.data = said.data, .len = said.len};
	ck_assert_int_eq(frames_next(&frames, &frame), FRAME_WHOLE);
	m = wire_unpack(from, frame, 65536);
	ck_assert_ptr_nonnull(m->ready);
	ck_assert_str_eq(m->ready->topics[0], "course.*");
	ck_assert_str_eq(m->ready->order, "in order");
	wire_free(m);
	m = last_said();
	ck_assert_ptr_nonnull(m->publish);
	wire_free(m);
	connection_free(e);
	buffer_deinit(&said);
}
END_TEST

/* Frames that are unknown are skipped; those that break the protocol end the plugin. */
START_TEST(test_frames)
{
	uint8_t memory[4096];
	struct enlight *e = connection_new(&noting, keep, NULL);

	if (!frames_of_all_kinds[_i].before_start)
		connection_take(e, start_frame(memory, "/nonexistent", NULL, 1000));
	connection_take(e, bytes_of(frames_of_all_kinds[_i].frame, frames_of_all_kinds[_i].len));
	ck_assert_msg(e->status == frames_of_all_kinds[_i].status, "%s: %d", frames_of_all_kinds[_i].name, e->status);
	connection_free(e);
	buffer_deinit(&said);
}
END_TEST

/* Whatever byte of a Start or Deliver changes, the plugin answers or ends; under the sanitizers. */
START_TEST(test_mutations)
{
	uint8_t memory[4096], event[1024], copy[4096];
	struct bytes frame = deliver_frame(memory, 3,
		any_event(event, "a", "eu.enlight.course.offering.v1",
			"\x0a\x01x\x1a\x07\x0a\x02"
			"en\x12\x01y"));
	uint8_t other[512];

	for (size_t i = 0; i < frame.len; i++) {
		struct enlight *e = connection_new(&noting, keep, NULL);

		connection_take(e, start_frame(other, "/nonexistent", NULL, 1000));
		for (unsigned bit = 0; bit < 8 && e->status < 0; bit++) {
			memcpy(copy, frame.data, frame.len);
			copy[i] ^= (uint8_t)(1 << bit);
			connection_take(e, bytes_of(copy, frame.len));
		}
		connection_take(e, bytes_of(frame.data, i));
		connection_free(e);
		buffer_clear(&said);
	}
	ck_assert_uint_gt(told.delivered, 0);
	buffer_deinit(&said);
}
END_TEST

/* Start, an event and an erasure, with any one allocation failing: no crash, nothing lost, and the event is not taken for
 * done unless it was delivered. */
static int converse_once(struct enlight **out)
{
	static const struct enlight_plugin small = {
		.name = "small", .settings = rows, .settings_size = sizeof(struct values), .deliver = note_deliver};
	static uint8_t memory[4096], event[1024];
	struct bytes start, deliver;
	struct enlight *e;

	deliver = deliver_frame(memory, 3,
		any_event(event, "a", "eu.enlight.course.offering.v1",
			"\x0a\x01x\x1a\x07\x0a\x02"
			"en\x12\x01y"));
	e = connection_new(&small, keep, NULL);
	*out = e;
	if (e == NULL)
		return EX_OSERR;
	start = start_frame(memory + deliver.len, "/nonexistent", "{\"word\": \"a\"}", 1000);
	connection_take(e, start);
	if (e->status < 0)
		connection_take(e, deliver);
	if (e->status < 0)
		connection_take(e,
			bytes_of("\x1a\x15\x08\x04\x12\x01x\x1a\x01y\x20\x05\x2a\x01i\x32\x01s\x3a\x01p\x20\x06", 23));
	return e->status;
}

START_TEST(test_allocations_fail)
{
	size_t failures = 0;
	struct enlight *e;
	int status;

	for (size_t n = 1;; n++) {
		bool finished;

		told.delivered = 0;
		said = (struct buffer){0};
		allocations_left = n;
		status = converse_once(&e);
		finished = allocations_left != 0;
		allocations_left = 0;
		connection_free(e);
		if (finished)
			break;
		failures++;
		ck_assert_msg(status == -1 || status == EX_OSERR || status == EX_CONFIG, "%zu: %d", n, status);
		if (said.error == 0 && said.len > 0 && status == -1)
			wire_free(last_said());
		buffer_deinit(&said);
	}
	ck_assert_int_eq(status, -1);
	ck_assert_uint_eq(told.delivered, 1);
	ck_assert_uint_gt(failures, 20);
	wire_free(last_said());
	buffer_deinit(&said);
}
END_TEST

/* ---- as processes ---- */

/* A plugin that runs. */
static struct {
	pid_t pid;
	int to, from, errors;
	struct frames frames;
	char folder[128];
} child;

static void spawn(const char *variable)
{
	const char *program = getenv(variable);
	int in[2], out[2], errors[2];

	ck_assert_ptr_nonnull(program);
	if (child.folder[0] == '\0')
		unit_folder(child.folder, sizeof child.folder);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(errors, O_CLOEXEC), 0);
	child.pid = fork();
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC); /* what the test itself was given */
		dup2(in[1], 0);
		dup2(out[1], 1);
		dup2(errors[1], 2);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	close(in[1]);
	close(out[1]);
	close(errors[1]);
	child.to = in[0];
	child.from = out[0];
	child.errors = errors[0];
}

static void send_bytes(const void *data, size_t len)
{
	ck_assert_int_eq(send(child.to, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Appends a frame with its length. */
static void put(struct buffer *out, struct bytes frame)
{
	uint8_t head[3] = {(uint8_t)(frame.len | 0x80), (uint8_t)(frame.len >> 7 | 0x80), (uint8_t)(frame.len >> 14)};

	buffer_add(out, head, sizeof head);
	buffer_add(out, frame.data, frame.len);
}

static void send_frame(struct bytes frame)
{
	struct buffer b = {0};

	put(&b, frame);
	send_bytes(b.data, b.len);
	buffer_deinit(&b);
}

static from_plugin *next_frame(void)
{
	struct bytes frame;
	from_plugin *m;

	while (frames_next(&child.frames, &frame) != FRAME_WHOLE)
		if (frames_fill(&child.frames, child.from) <= 0)
			return NULL;
	m = wire_unpack(from, frame, 65536);
	ck_assert_ptr_nonnull(m);
	return m;
}

/* The frames that come next say this: `ready`, `done 3`, `retry 4 REASON`, `log TEXT`, `beat`. */
static void expect(const char *wanted)
{
	from_plugin *m = next_frame();
	char got[600] = "end";

	if (m != NULL && m->ready != NULL)
		snprintf(got, sizeof got, "ready %s %u", m->ready->order, m->ready->window);
	else if (m != NULL && m->result != NULL)
		snprintf(got, sizeof got, "%s %u %u%s%s", m->result->outcome, (unsigned)m->result->number,
			m->result->retry_after_ms, m->result->reason != NULL ? " " : "",
			m->result->reason != NULL ? m->result->reason : "");
	else if (m != NULL && m->log != NULL)
		snprintf(got, sizeof got, "log %s", m->log->text);
	else if (m != NULL && m->beat != NULL)
		snprintf(got, sizeof got, "beat");
	wire_free(m);
	ck_assert_str_eq(got, wanted);
}

static void start_child(uint32_t beat_ms)
{
	uint8_t memory[1024];

	spawn("SDK_PLUGIN");
	send_frame(start_frame(memory, child.folder, "{\"greeting\": \"hello\"}", beat_ms));
	expect("log start: hello to test at ugent.be");
	expect("ready lanes 8");
}

static void add_large_event(struct buffer *out, uint64_t number, const char *id, const char *data)
{
	static uint8_t memory[65536], event[65536];

	put(out, deliver_frame(memory, number, any_event(event, id, "eu.enlight.x.y.v1", data)));
}

static void add_event(struct buffer *out, uint64_t number, const char *id)
{
	add_large_event(out, number, id, "data");
}

/* All that the child wrote to stderr, once it has ended. */
static const char *errors_of_child(void)
{
	static char text[8192];
	size_t len = 0;
	ssize_t n;

	while ((n = read(child.errors, text + len, sizeof text - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}

static int status_of_child(void)
{
	int status;

	ck_assert_int_eq(waitpid(child.pid, &status, 0), child.pid);
	frames_deinit(&child.frames);
	close(child.from);
	close(child.to);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void drain(void)
{
	send_frame(bytes_str("\x2a\x02\x08\x05"));
}

static void remove_folder(void)
{
	if (child.folder[0] != '\0')
		unit_folder_remove(child.folder);
}

/* What a plugin or its children print goes to stderr, what they read is empty, and neither meets the protocol. */
START_TEST(test_stray_output)
{
	struct buffer b = {0};
	const char *errors;

	start_child(60000);
	add_event(&b, 1, "print");
	add_event(&b, 2, "child");
	send_bytes(b.data, b.len);
	expect("log took 2");
	expect("done 1 0");
	expect("done 2 0");
	drain();
	expect("log stopped");
	expect("end");
	ck_assert_int_eq(status_of_child(), 0);
	errors = errors_of_child();
	ck_assert_msg(strstr(errors, "a stray line, and -1 from standard input\n") != NULL, "%s", errors);
	ck_assert_msg(strstr(errors, "from a child\n") != NULL, "%s", errors);
	ck_assert_msg(strstr(errors, "leaked") == NULL, "%s", errors);
	buffer_deinit(&b);
}
END_TEST

/* Events that have come are delivered together, as many as the window has room for, and each gets its own result. */
START_TEST(test_gathering)
{
	struct buffer b = {0};

	start_child(60000);
	for (uint64_t i = 1; i <= 18; i++)
		add_event(&b, i, i == 2 ? "later" : i == 3 ? "nothing" : "x");
	send_bytes(b.data, b.len);
	expect("log took 8");
	expect("done 1 0");
	expect("retry 2 5000 the registrar is closed");
	expect("retry 3 0 the plugin gave no result");
	for (unsigned i = 4; i <= 18; i++) {
		char wanted[32];

		if (i == 9 || i == 17)
			expect(i == 9 ? "log took 8" : "log took 2");
		snprintf(wanted, sizeof wanted, "done %u 0", i);
		expect(wanted);
	}
	drain();
	expect("log stopped");
	ck_assert_int_eq(status_of_child(), 0);
	buffer_deinit(&b);
}
END_TEST

/* So are those that take several reads, as long as the next one does not wait. */
START_TEST(test_gathering_over_reads)
{
	struct buffer b = {0};
	char data[20001];

	memset(data, 'x', sizeof data - 1);
	data[sizeof data - 1] = '\0';
	start_child(60000);
	kill(child.pid, SIGSTOP); /* so that all is there before it looks */
	for (uint64_t i = 1; i <= 5; i++)
		add_large_event(&b, i, "x", data);
	send_bytes(b.data, b.len);
	kill(child.pid, SIGCONT);
	expect("log took 5");
	shutdown(child.to, SHUT_WR);
	ck_assert_int_eq(status_of_child(), 0);
	buffer_deinit(&b);
}
END_TEST

/* Drain comes after what was sent before it: every event has its result when the plugin ends. */
START_TEST(test_drain)
{
	struct buffer b = {0};

	start_child(60000);
	add_event(&b, 1, "x");
	add_event(&b, 2, "x");
	buffer_add(&b, "\x02\x2a\x00", 3);
	send_bytes(b.data, b.len);
	expect("log took 2");
	expect("done 1 0");
	expect("done 2 0");
	expect("log stopped");
	expect("end");
	ck_assert_int_eq(status_of_child(), 0);
	buffer_deinit(&b);
}
END_TEST

/* A node that is gone leaves a plugin that stops and ends well. */
START_TEST(test_eof)
{
	start_child(60000);
	shutdown(child.to, SHUT_WR);
	expect("log stopped");
	expect("end");
	ck_assert_int_eq(status_of_child(), 0);
}
END_TEST

/* So does one that does not read any more. */
START_TEST(test_nobody_reads)
{
	struct buffer b = {0};

	start_child(60000);
	close(child.from);
	add_event(&b, 1, "x");
	send_bytes(b.data, b.len);
	ck_assert_int_eq(status_of_child(), 0);
	buffer_deinit(&b);
}
END_TEST

/* Bytes may come in any pieces. */
START_TEST(test_pieces)
{
	struct buffer b = {0};

	start_child(60000);
	add_event(&b, 1, "x");
	for (size_t i = 0; i < b.len; i++)
		send_bytes(b.data + i, 1);
	expect("log took 1");
	expect("done 1 0");
	drain();
	expect("log stopped");
	ck_assert_int_eq(status_of_child(), 0);
	buffer_deinit(&b);
}
END_TEST

static const struct {
	const char *name, *bytes;
	size_t len;
	const char *said;
} broken[] = {
	{"a frame above the limit", "\x81\x80\x14", 3,
		"sdk-plugin: the node breaks the protocol: a frame larger than 327680 bytes\n"},
	{"a length without end", "\x80\x80\x80\x80\x80\x80", 6,
		"sdk-plugin: the node breaks the protocol: a frame larger than 327680 bytes\n"},
	{"bytes that are no message", "\x02\xff\xff", 3,
		"sdk-plugin: the node breaks the protocol: a frame that cannot be read\n"},
};

/* What breaks the protocol ends the plugin with a line that says so: 70. It stops as ever. */
START_TEST(test_broken_frames)
{
	start_child(60000);
	send_bytes(broken[_i].bytes, broken[_i].len);
	expect("log stopped");
	expect("end");
	ck_assert_int_eq(status_of_child(), EX_SOFTWARE);
	ck_assert_str_eq(errors_of_child(), broken[_i].said);
}
END_TEST

/* A quiet plugin beats; so does one inside a long callback. */
START_TEST(test_beats)
{
	char path[256];
	struct buffer b = {0};

	start_child(30);
	expect("beat");
	expect("beat");
	add_event(&b, 1, "slow");
	send_bytes(b.data, b.len);
	for (;;) {
		from_plugin *m = next_frame();
		bool took = m->log != NULL;

		ck_assert(took || m->beat != NULL);
		wire_free(m);
		if (took)
			break;
	}
	expect("beat");
	expect("beat");
	snprintf(path, sizeof path, "%s/go-on", child.folder);
	ck_assert_int_eq(file_write(path, "", 0, 0600), 0);
	for (;;) {
		from_plugin *m = next_frame();
		bool done = m->result != NULL;

		wire_free(m);
		if (done)
			break;
	}
	kill(child.pid, SIGKILL);
	ck_assert_int_eq(status_of_child(), -SIGKILL);
	buffer_deinit(&b);
}
END_TEST

/* Mistakes in the settings are named with file, line and column, on stderr and to the node, and the plugin ends: 78. */
START_TEST(test_settings_of_a_process)
{
	uint8_t memory[1024];

	spawn("SDK_PLUGIN");
	send_frame(start_frame(memory, child.folder, "\n\n\n    {\n      \"wait\": 30}", 60000));
	expect("log enlight.yaml:4:5: error: missing setting \"greeting\"");
	expect("log enlight.yaml:5:15: error: wait: must be a duration such as 30s, 5min or 7d");
	expect("end");
	ck_assert_int_eq(status_of_child(), EX_CONFIG);
	ck_assert_str_eq(errors_of_child(),
		"enlight.yaml:4:5: error: missing setting \"greeting\"\n"
		"enlight.yaml:5:15: error: wait: must be a duration such as 30s, 5min or 7d\n"
		"sdk-plugin: its settings have errors\n");
}
END_TEST

static void run_example(const char *const *ids, size_t n, bool killed)
{
	uint8_t memory[1024];
	struct buffer b = {0};

	spawn("SDK_EXAMPLE");
	send_frame(start_frame(memory, child.folder, "{}", 60000));
	expect("ready in order 0");
	for (size_t i = 0; i < n; i++) {
		char wanted[32];

		add_event(&b, i + 1, ids[i]);
		send_bytes(b.data, b.len);
		buffer_clear(&b);
		snprintf(wanted, sizeof wanted, "done %u 0", (unsigned)i + 1);
		expect(wanted);
	}
	buffer_deinit(&b);
	if (killed)
		kill(child.pid, SIGKILL);
	else
		shutdown(child.to, SHUT_WR);
	ck_assert_int_eq(status_of_child(), killed ? -SIGKILL : 0);
}

/* The example acts once: after it was killed, what comes again changes nothing, and half a line is as if it had never been. */
START_TEST(test_example_acts_once)
{
	static const char *const first[] = {"a", "b"}, *const second[] = {"a", "b", "c"};
	char path[256];
	void *text;
	size_t len;
	FILE *file;

	spawn("SDK_EXAMPLE"); /* only to have the folder */
	shutdown(child.to, SHUT_WR);
	ck_assert_int_eq(status_of_child(), 0);
	run_example(first, 2, true);
	snprintf(path, sizeof path, "%s/events.txt", child.folder);
	file = fopen(path, "a");
	ck_assert_ptr_nonnull(file);
	fputs("ut.ee c netwo", file);
	fclose(file);
	run_example(second, 3, false);
	ck_assert_int_eq(file_read(&text, &len, path, 4096), 0);
	ck_assert_str_eq(text, "ut.ee a network 1 x.y course/1 1\nut.ee b network 2 x.y course/1 1\n"
			       "ut.ee c network 3 x.y course/1 1\n");
	free(text);
}
END_TEST

/* A line that the example could not write, or only in part, stands there once when it comes again. */
START_TEST(test_example_fails_to_write)
{
	const struct rlimit little = {40, RLIM_INFINITY}, much = {RLIM_INFINITY, RLIM_INFINITY};
	struct buffer b = {0};
	uint8_t memory[1024];
	char path[256];
	void *text;
	size_t len;

	signal(SIGXFSZ, SIG_IGN); /* there as well */
	spawn("SDK_EXAMPLE");
	send_frame(start_frame(memory, child.folder, "{}", 60000));
	expect("ready in order 0");
	add_event(&b, 1, "a");
	send_bytes(b.data, b.len);
	expect("done 1 0");
	ck_assert_int_eq(prlimit(child.pid, RLIMIT_FSIZE, &little, NULL), 0);
	for (unsigned number = 2; number <= 3; number++) {
		buffer_clear(&b);
		add_event(&b, number, "b");
		send_bytes(b.data, b.len);
		expect(number == 2 ? "retry 2 0 cannot write: File too large" : "done 3 0");
		ck_assert_int_eq(prlimit(child.pid, RLIMIT_FSIZE, &much, NULL), 0);
	}
	drain();
	ck_assert_int_eq(status_of_child(), 0);
	snprintf(path, sizeof path, "%s/events.txt", child.folder);
	ck_assert_int_eq(file_read(&text, &len, path, 4096), 0);
	ck_assert_str_eq(text, "ut.ee a network 1 x.y course/1 1\nut.ee b network 3 x.y course/1 1\n");
	free(text);
	buffer_deinit(&b);
}
END_TEST

/* Asked to forget, it keeps no line of the erased sequences, and goes on behind the others. */
START_TEST(test_example_forgets)
{
	uint8_t memory[1024];
	struct buffer b = {0};
	char path[256];
	void *text;
	size_t len;

	spawn("SDK_EXAMPLE");
	add_event(&b, 1, "a");
	add_event(&b, 2, "b");
	send_frame(start_frame(memory, child.folder, "{}", 60000));
	send_bytes(b.data, b.len);
	/* Erase{number 3, source ut.ee, audience network, sequences 1} */
	send_frame(bytes_str("\x1a\x14\x08\x03\x12\x05ut.ee\x1a\x07network\x20\x01"));
	buffer_clear(&b);
	add_event(&b, 4, "c");
	send_bytes(b.data, b.len);
	drain();
	expect("ready in order 0");
	for (unsigned i = 1; i <= 4; i++) {
		char wanted[32];

		snprintf(wanted, sizeof wanted, "done %u 0", i);
		expect(wanted);
	}
	ck_assert_int_eq(status_of_child(), 0);
	snprintf(path, sizeof path, "%s/events.txt", child.folder);
	ck_assert_int_eq(file_read(&text, &len, path, 4096), 0);
	ck_assert_str_eq(text, "ut.ee b network 2 x.y course/1 1\nut.ee c network 4 x.y course/1 1\n");
	free(text);
	buffer_deinit(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sdk");
	TCase *fake = tcase_create("fake node"), *frame = tcase_create("frames"), *process = tcase_create("process");

	tcase_add_checked_fixture(fake, set_up, tear_down);
	tcase_add_test(fake, test_event_is_decoded);
	tcase_add_test(fake, test_fake_node_numbers);
	tcase_add_loop_test(fake, test_fake_node_refuses, 0, sizeof refused / sizeof *refused);
	tcase_add_test(fake, test_fake_node_without_plugin);
	tcase_add_loop_test(fake, test_reasons, 0, sizeof reasons / sizeof *reasons);
	tcase_add_test(fake, test_forgotten_result);
	tcase_add_test(fake, test_publish);
	tcase_add_test(fake, test_publish_has_a_limit);
	tcase_add_test(fake, test_erase);
	tcase_add_test(fake, test_erase_nothing);
	tcase_add_test(fake, test_settings);
	tcase_add_test(fake, test_settings_with_mistakes);
	tcase_add_test(fake, test_settings_file);
	tcase_add_test(fake, test_start_fails);
	suite_add_tcase(suite, fake);
	tcase_add_checked_fixture(frame, set_up, tear_down);
	tcase_add_test(frame, test_frames_in_pieces);
	tcase_add_test(frame, test_ready_is_first);
	tcase_add_test(frame, test_unknown_topic);
	tcase_add_loop_test(frame, test_unreadable_event, 0, 2);
	tcase_add_loop_test(frame, test_frames, 0, sizeof frames_of_all_kinds / sizeof *frames_of_all_kinds);
	tcase_add_test(frame, test_mutations);
	tcase_add_test(frame, test_allocations_fail);
	tcase_set_timeout(frame, 60);
	suite_add_tcase(suite, frame);
	tcase_add_checked_fixture(process, NULL, remove_folder);
	tcase_add_test(process, test_stray_output);
	tcase_add_test(process, test_gathering);
	tcase_add_test(process, test_gathering_over_reads);
	tcase_add_test(process, test_drain);
	tcase_add_test(process, test_eof);
	tcase_add_test(process, test_nobody_reads);
	tcase_add_test(process, test_pieces);
	tcase_add_loop_test(process, test_broken_frames, 0, sizeof broken / sizeof *broken);
	tcase_add_test(process, test_beats);
	tcase_add_test(process, test_settings_of_a_process);
	tcase_add_test(process, test_example_acts_once);
	tcase_add_test(process, test_example_fails_to_write);
	tcase_add_test(process, test_example_forgets);
	tcase_set_timeout(process, 60);
	suite_add_tcase(suite, process);
	return unit_run(suite);
}
