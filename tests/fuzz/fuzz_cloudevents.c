/* Bodies of POST /v1/events. The first byte chooses the media type; of binary mode the lines up to an empty one are headers,
 * `NAME: VALUE`. */
#include "api/cloudevents.h"
#include "fuzz.h"

static bool may_publish(void *context, const char *topic)
{
	return topic_matches("course.*", topic) || topic_matches("mobility.*", topic);
}

/* Cuts the headers off the front of `text` and moves it behind them. */
static void take_headers(struct event_parts *parts, char **text)
{
	char *line = *text, *end, *value;

	for (; (end = strchr(line, '\n')) != NULL && end != line; line = end + 1) {
		*end = '\0';
		value = strstr(line, ": ");
		if (value == NULL)
			continue;
		*value = '\0';
		event_parts_add(parts, line, value + 2);
	}
	*text = end == NULL ? line : end + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = {data, size};
	struct event_parts parts = {0};
	struct drafts d = {.type = &media_types[choose(&c) % n_media_types],
		.headers = &parts,
		.member = "ut.ee",
		.now_ms = 1795426200250,
		.may_publish = may_publish};
	char *text = malloc(c.left + 1), *body = text;
	size_t len;

	must(text != NULL);
	if (c.left > 0)
		memcpy(text, c.at, c.left);
	text[c.left] = '\0';
	if (d.type->binary)
		take_headers(&parts, &body);
	len = c.left - (size_t)(body - text);
	must(drafts_read(&d, bytes_of(len == 0 ? NULL : body, len)) == 0); /* as of a request without a body */
	must((d.outcome == 0) == (d.problems.total == 0));
	must(d.n <= EVENTS_MAX);
	for (size_t i = 0; i < d.n && d.outcome == 0; i++)
		must(d.items[i].event.topic != NULL && may_publish(NULL, d.items[i].event.topic->name));
	drafts_deinit(&d);
	free(text);
	return 0;
}
