/* What a node may write to a plugin: the input as it stands on the pipe, frames with their lengths in front, taken by the SDK of a plugin
 * that looks at everything it is given. */
#include "connection.h"
#include "core/wire.h"
#include "frame.h"
#include "fuzz.h"

static int start(struct enlight *e, const void *settings, void **state)
{
	must(enlight_member(e) != NULL && enlight_name(e) != NULL && enlight_state(e) != NULL &&
		enlight_folder(e) != NULL);
	return 0;
}

static enum enlight_outcome deliver(
	struct enlight *e, void *state, const struct enlight_event *event, struct enlight_result *result)
{
	json_t *json = enlight_event_json(event);

	enlight_log(e, ENLIGHT_INFO, "event %s", event->subject);
	if (json == NULL)
		return enlight_result(result, ENLIGHT_REJECT, "no JSON of %s", event->id);
	enlight_publish(e, json);
	json_decref(json);
	return event->attempt % 2 == 0 ? ENLIGHT_DONE : enlight_result(result, ENLIGHT_RETRY, "%s", event->audience);
}

static enum enlight_outcome erase(
	struct enlight *e, void *state, const struct enlight_erasure *what, struct enlight_result *result)
{
	size_t n = 0;

	while (what->ids[n] != NULL)
		n += strlen(what->ids[n]) < SIZE_MAX;
	return n > 0 ? ENLIGHT_DONE : 0;
}

static void published(struct enlight *e, void *state, uint64_t number, unsigned status, json_t *answer)
{
	must(json_is_object(answer));
}

struct values {
	char *file;
	uint64_t number, wait_ms;
	bool flag;
};

static const struct enlight_setting settings[] = {
	{"file", ENLIGHT_PATH, offsetof(struct values, file), .help = "a file"},
	{"number", ENLIGHT_NUMBER, offsetof(struct values, number), .fallback = "7", .help = "a number"},
	{"wait", ENLIGHT_DURATION, offsetof(struct values, wait_ms), .help = "a time"},
	{"flag", ENLIGHT_FLAG, offsetof(struct values, flag), .help = "a flag"},
	{0},
};

static const struct enlight_plugin fuzzed = {
	.name = "fuzzed",
	.version = "1",
	.topics = "course.*, mobility.*",
	.order = ENLIGHT_LANES,
	.window = 8,
	.settings = settings,
	.settings_size = sizeof(struct values),
	.start = start,
	.deliver = deliver,
	.erase = erase,
	.published = published,
};

/* What goes out is frames that the node can read. */
static bool written(void *context, struct bytes b)
{
	struct frames frames = {.data = (uint8_t *)b.data, .len = b.len};
	struct bytes frame;

	while (frames_next(&frames, &frame) == FRAME_WHOLE)
		must(wire_valid(&enlight__plugin__v1__from_plugin__descriptor, frame));
	must(frames.at == frames.len);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frames frames = {.data = (uint8_t *)data, .len = size};
	struct enlight *e = connection_new(&fuzzed, written, NULL);
	struct bytes frame;

	must(e != NULL);
	while (e->status < 0 && frames_next(&frames, &frame) == FRAME_WHOLE)
		connection_take(e, frame);
	if (e->status < 0)
		connection_eof(e);
	connection_free(e);
	return 0;
}
