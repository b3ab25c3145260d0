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

void handle_held(struct request *rq)
{
	enum held_state state;
	json_t *list;

	if (!parse_state(&state, request_value(rq, "state"))) {
		request_problem_at(rq, REFUSED_PARAMETER, "state", "dead, retrying or parked");
		return;
	}
	list = rq->api->options.ops->held(rq->api->options.context, request_value(rq, "plugin"), state);
	request_json(rq, 200, list == NULL ? NULL : json_pack("{s:o}", "letters", list));
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
