/* What stands in a request's head: routes, the parts of paths, percent-encoding, hosts, cursors and media types. The input is lines: method,
 * path (or Host), cursor, Content-Type. */
#include "api/cloudevents.h"
#include "api/door.h"
#include "api/filter.h"
#include "core/wire.h"
#include "fuzz.h"

static int part(void *context, struct bytes name, struct bytes value)
{
	char *text = percent_decode(value);

	must(name.len > 0);
	if (text == NULL)
		return 1;
	must(utf8_valid((const uint8_t *)text, strlen(text)) && strlen(text) <= value.len);
	free(text);
	return 0;
}

static char *line(struct choices *c)
{
	const uint8_t *end = c->left == 0 ? NULL : memchr(c->at, '\n', c->left);
	size_t len = end == NULL ? c->left : (size_t)(end - c->at);
	struct bytes b = choose_bytes(c, len);
	char *text = strndup(b.len == 0 ? "" : (const char *)b.data, b.len);

	must(text != NULL);
	choose(c);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = {data, size};
	char *method = line(&c), *path = line(&c), *cursor = line(&c), *type = line(&c), allow[ROUTE_ALLOW_MAX];
	const struct route *route = route_find(method, path, false, allow);
	const struct route *outside = route_find(method, path, true, allow);
	struct place place;

	must(outside == NULL || (outside == route && outside->loopback));
	must(strlen(allow) < sizeof allow);
	if (route != NULL)
		route_parts(route, path, part, NULL);
	if (place_parse(&place, cursor))
		must(place.number <= INT64_MAX && place.index <= PLACE_INDEX_MAX);
	media_type_find(type);
	must(!door_host_is_loopback(path) || strchr(path, '/') == NULL);
	topic_pattern_valid(cursor);
	free(method);
	free(path);
	free(cursor);
	free(type);
	return 0;
}
