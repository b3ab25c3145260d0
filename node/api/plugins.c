/* Plugins and dead letters: what operators see of them, and do. Answered at once, out of the host's picture. */
#include "api/handlers.h"

#include "api/filter.h"
#include "api/request.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void handle_plugins(struct request *rq)
{
	json_t *list = rq->api->options.ops->plugins(rq->api->options.context);

	request_json(rq, 200, list == NULL ? NULL : json_pack("{s:o}", "plugins", list));
}

static bool parse_state(enum held_state *out, const char *text)
{
	static const struct {
		const char *name;
		enum held_state state;
	} rows[] = {{"dead", HELD_DEAD}, {"parked", HELD_PARKED}, {"retrying", HELD_RETRYING}};

	*out = 0;
	for (size_t i = 0; i < sizeof rows / sizeof *rows && text != NULL; i++)
		if (strcmp(rows[i].name, text) == 0)
			*out = rows[i].state;
	return text == NULL || *out != 0;
}

/* PLUGIN/NUMBER.INDEX; a plugin that the node does not have is found out later. */
static bool parse_cursor(struct held_page *page, const char *text)
{
	size_t len = text == NULL ? 0 : strcspn(text, "/");

	if (text == NULL)
		return true;
	if (len == 0 || len > PLUGIN_NAME_MAX || text[len] == '\0' || !place_parse(&page->after, text + len + 1))
		return false;
	memcpy(page->after_plugin, text, len);
	return true;
}

static json_t *page_json(const struct held_page *page)
{
	json_t *next = json_null();

	if (page->after_plugin[0] != '\0')
		next = json_sprintf("%s/%llu.%u", page->after_plugin, (unsigned long long)page->after.number,
			(unsigned)page->after.index);
	return json_pack("{s:o, s:o, s:b}", "letters", page->letters, "next", next, "more", page->more ? 1 : 0);
}

void handle_held(struct request *rq)
{
	static const char cursor[] = "a cursor, as in an answer's `next`: PLUGIN/NUMBER.INDEX";
	struct held_page page = {.plugin = request_value(rq, "plugin")};
	struct problems problems = {0};
	int r;

	if (!parse_state(&page.state, request_value(rq, "state")))
		problem_add(&problems, "state", "dead, retrying or parked");
	if (!parse_cursor(&page, request_value(rq, "after")))
		problem_add(&problems, "after", cursor);
	page.limit = limit_parse(rq, LIMIT_MAX, &problems);
	r = problems.total > 0 ? 0 : rq->api->options.ops->held(rq->api->options.context, &page);
	if (r == -ENOENT)
		problem_add(&problems, "after", cursor);
	if (problems.total > 0)
		request_problem(rq, REFUSED_PARAMETER, &problems);
	else if (r != 0)
		request_out_of_memory(rq);
	else
		request_json(rq, 200, page_json(&page));
	problems_deinit(&problems);
}

/* The place of the path. False: answered. */
static bool parse_place(struct request *rq, struct place *out)
{
	if (place_parse(out, request_value(rq, "place")))
		return true;
	request_problem(rq, REFUSED_NOT_FOUND, NULL);
	return false;
}

void handle_held_row(struct request *rq)
{
	struct place place;
	json_t *row;

	if (!parse_place(rq, &place))
		return;
	row = rq->api->options.ops->held_row(rq->api->options.context, request_value(rq, "plugin"), &place);
	if (json_is_null(row))
		request_problem(rq, REFUSED_NOT_FOUND, NULL);
	else
		request_json(rq, 200, row);
}

static void answer(struct request *rq, int r, const char *verb, const char *state, const char *reason)
{
	const char *plugin = request_value(rq, "plugin"), *place = request_value(rq, "place");
	char object[128];

	if (r == -ENOENT) {
		request_problem(rq, REFUSED_NOT_FOUND, NULL);
		return;
	}
	if (r == -EBUSY) {
		request_problem_at(rq, REFUSED_CONFLICT, "",
			"it is parked: it comes again by itself when the one before it is done or dropped");
		return;
	}
	snprintf(object, sizeof object, "%s/%s", plugin, place);
	request_tell(rq, verb, object, reason);
	request_acted(rq, 200, json_pack("{s:s, s:s, s:s}", "plugin", plugin, "place", place, "state", state));
}

void handle_held_retry(struct request *rq)
{
	struct place place;
	const char *reason;

	if (parse_place(rq, &place) && request_reason_given(rq, &reason))
		answer(rq,
			rq->api->options.ops->held_retry(rq->api->options.context, request_value(rq, "plugin"), &place),
			"dead.retry", "retrying", reason);
}

static void answer_all(struct request *rq, const struct held_filter *filter, int n, const char *reason)
{
	const char *plugin = request_value(rq, "plugin");
	char object[ACT_OBJECT_MAX + 1];

	if (n < 0) {
		request_problem(rq, REFUSED_NOT_FOUND, NULL);
		return;
	}
	snprintf(object, sizeof object, "%s/* source=%s topic=%s n=%d", plugin,
		filter->source == NULL ? "*" : filter->source, filter->topic == NULL ? "*" : filter->topic, n);
	request_tell(rq, "dead.retry", object, reason);
	request_acted(rq, 200, json_pack("{s:s, s:i}", "plugin", plugin, "retrying", n));
}

void handle_held_retry_all(struct request *rq)
{
	struct held_filter filter = {request_value(rq, "source"), request_value(rq, "topic")};
	const struct api_options *o = &rq->api->options;
	struct problems problems = {0};
	const char *reason;

	filter_check(rq, &problems);
	if (problems.total > 0)
		request_problem(rq, REFUSED_PARAMETER, &problems);
	else if (request_reason_given(rq, &reason))
		answer_all(
			rq, &filter, o->ops->held_retry_all(o->context, request_value(rq, "plugin"), &filter), reason);
	problems_deinit(&problems);
}

void handle_held_drop(struct request *rq)
{
	struct place place;
	json_t *json;
	const char *reason;

	if (!parse_place(rq, &place))
		return;
	json = request_reason(rq, &reason);
	if (json != NULL)
		answer(rq,
			rq->api->options.ops->held_drop(rq->api->options.context, request_value(rq, "plugin"), &place),
			"dead.drop", "dropped", reason);
	json_decref(json);
}
