/* What operators and monitoring ask: status, peers, channels, topics, notes by hand, health and metrics. Answered at once, out of
 * the loop's own picture. */
#include "api/handlers.h"

#include "api/filter.h"
#include "core/handle.h"
#include "core/rule.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static json_t *ask(const struct request *rq, json_t *(*op)(void *context))
{
	return op(rq->api->options.context);
}

static json_t *parameters_json(const struct route *route)
{
	json_t *list = json_array();

	for (const struct route_parameter *p = route->parameters; p->name != NULL; p++)
		if (json_array_append_new(list, json_pack("{s:s, s:s}", "name", p->name, "help", p->help)) != 0)
			goto fail;
	return list;
fail:
	json_decref(list);
	return NULL;
}

/* What is served at this door. */
void handle_index(struct request *rq)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n_routes && list != NULL; i++) {
		const struct route *r = &routes[i];
		json_t *row;

		if (rq->door->loopback && !r->loopback)
			continue;
		row = json_pack("{s:s, s:s, s:s, s:o}", "method", r->method, "path", r->path, "help", r->help,
			"parameters", parameters_json(r));
		if (json_array_append_new(list, row) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	request_json(rq, 200, list == NULL ? NULL : json_pack("{s:o}", "routes", list));
}

/* All reasons why the node is not ready; NULL: out of memory. */
static json_t *all_reasons(const struct request *rq)
{
	const char *full = rq->api->options.ops->full(rq->api->options.context);
	json_t *reasons = ask(rq, rq->api->options.ops->not_ready);

	if (reasons != NULL && full != NULL && json_array_append_new(reasons, json_string(full)) != 0) {
		json_decref(reasons);
		return NULL;
	}
	return reasons;
}

/* Adds what api knows itself. False: out of memory. */
static bool complete_status(struct request *rq, json_t *status)
{
	json_t *reasons = all_reasons(rq);
	bool ready = json_array_size(reasons) == 0;

	return json_object_set_new(status, "reasons", reasons) == 0 &&
	       json_object_set_new(status, "ready", json_boolean(ready)) == 0 &&
	       json_object_set_new(status, "version", json_string(ENLIGHT_VERSION)) == 0;
}

void handle_status(struct request *rq)
{
	json_t *status = ask(rq, rq->api->options.ops->status);

	if (status != NULL && !complete_status(rq, status)) {
		json_decref(status);
		status = NULL;
	}
	request_json(rq, 200, status);
}

void handle_peers(struct request *rq)
{
	request_json(rq, 200, ask(rq, rq->api->options.ops->peers));
}

/* ---- channels ---- */

/* `audience` as it is called in the publisher's channels; NULL with errno: ENOMEM, or it is no audience. */
static char *audience_asked(const struct request *rq, const char *publisher)
{
	const struct api_options *o = &rq->api->options;

	errno = 0;
	return audience_resolve(request_value(rq, "audience"), publisher, o->ops->resolve, o->context);
}

static bool channel_asked(const struct request *rq, const json_t *channel)
{
	const char *source = request_value(rq, "source");
	const char *publisher = json_string_value(json_object_get(channel, "publisher"));
	char *audience;
	bool same;

	if (source != NULL && strcmp(source, publisher) != 0)
		return false;
	if (request_value(rq, "audience") == NULL)
		return true;
	audience = audience_asked(rq, publisher);
	same = audience != NULL && strcmp(audience, json_string_value(json_object_get(channel, "audience"))) == 0;
	free(audience);
	return same;
}

/* Takes out what was not asked for. -ENOMEM: some of it may be missing that was. */
static int keep_asked(const struct request *rq, json_t *channels)
{
	for (size_t i = json_array_size(channels); i > 0; i--) {
		errno = 0;
		if (channel_asked(rq, json_array_get(channels, i - 1)))
			continue;
		if (errno == ENOMEM)
			return -ENOMEM;
		json_array_remove(channels, i - 1);
	}
	return 0;
}

/* Whether the parameters make sense; else answers. */
static bool check_asked(struct request *rq)
{
	struct problems problems = {0};
	char *audience = NULL;
	bool good = true;

	filter_check(rq, &problems);
	if (request_value(rq, "audience") != NULL) {
		audience = audience_asked(rq, "");
		good = audience != NULL || errno != ENOMEM;
		if (audience == NULL && good)
			problem_add(&problems, "audience", FILTER_AUDIENCE_RULE);
	}
	if (!good)
		request_out_of_memory(rq);
	else if (problems.total > 0)
		request_problem(rq, REFUSED_PARAMETER, &problems);
	good = good && problems.total == 0;
	problems_deinit(&problems);
	free(audience);
	return good;
}

void handle_channels(struct request *rq)
{
	json_t *answer;

	if (!check_asked(rq))
		return;
	answer = ask(rq, rq->api->options.ops->channels);
	if (keep_asked(rq, json_object_get(answer, "channels")) != 0) {
		json_decref(answer);
		answer = NULL;
	}
	request_json(rq, 200, answer);
}

/* ---- topics ---- */

static json_t *topic_json(const struct topic *t)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:s, s:i, s:s, s:s}", "name", t->name, "type", t->type,
		"family", t->family, "personal", t->personal ? 1 : 0, "self", t->self ? 1 : 0, "dataClass",
		t->data_class, "publisher", t->publisher, "keepDays", (int)t->keep_days, "message", t->message->name,
		"purpose", t->purpose);
}

void handle_topics(struct request *rq)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n_topics; i++)
		if (json_array_append_new(list, topic_json(&topics[i])) != 0) {
			json_decref(list);
			request_out_of_memory(rq);
			return;
		}
	request_json(rq, 200, json_pack("{s:o}", "topics", list));
}

void handle_topic(struct request *rq)
{
	const struct topic *t = topic_find(request_value(rq, "topic"));
	json_t *json;

	if (t == NULL) {
		request_problem(rq, REFUSED_NOT_FOUND, NULL);
		return;
	}
	json = topic_json(t);
	if (json == NULL || json_object_set_new(json, "example", event_example(t)) != 0) {
		json_decref(json);
		json = NULL;
	}
	request_json(rq, 200, json);
}

/* ---- acts of an operator ---- */

/* The results that import_note() and block() share. What is in force now is answered when it is durable. */
static void answer_act(struct request *rq, int r, const struct problems *problems, unsigned done, json_t *json)
{
	if (problems->total == 0 && (r == 0 || r == 1)) {
		request_acted(rq, r == 0 ? done : 200, json);
		return;
	}
	rq->tag = 0;
	json_decref(json);
	if (problems->total > 0)
		request_problem(rq, REFUSED_ACT, problems);
	else if (r == -EAGAIN)
		request_problem(rq, REFUSED_BUSY, NULL);
	else
		request_problem(rq, r == -ENOENT ? REFUSED_NOT_FOUND : REFUSED_FAILED, NULL);
}

/* Parameters of a media type are not looked at: notes are ASCII but for names in UTF-8, and say so themselves. */
static bool is_text(const struct request *rq)
{
	const char *type = request_header(rq, "Content-Type");

	return type != NULL && strncmp(type, "text/plain", 10) == 0 && strchr("; \t", type[10]) != NULL;
}

static void import_note(struct request *rq, const char *first_word, const char *verb)
{
	struct bytes text = bytes_of(rq->body.data, rq->body.len);
	struct problems problems = {0};
	size_t len = strlen(first_word);
	const char *reason;
	struct act act;
	int r;

	if (!request_reason_given(rq, &reason))
		return;
	if (!is_text(rq)) {
		request_problem_at(rq, REFUSED_MEDIA_TYPE, "Content-Type", "text/plain");
		return;
	}
	if (text.len < len || memcmp(text.data, first_word, len) != 0) {
		request_problem_at(rq, REFUSED_ACT, "", "the first line does not say what this path takes");
		return;
	}
	request_act(rq, &act, verb, NULL, reason);
	r = rq->api->options.ops->import_note(rq->api->options.context, request_wait(rq), &act, text, &problems);
	answer_act(rq, r, &problems, 201, json_pack("{s:s}", "state", r == 0 ? "taken" : "known"));
	problems_deinit(&problems);
}

void handle_card(struct request *rq)
{
	import_note(rq, "enlight card ", "card.import");
}

void handle_roster(struct request *rq)
{
	import_note(rq, "enlight roster ", "roster.import");
}

void handle_invite(struct request *rq)
{
	request_json(rq, 200, ask(rq, rq->api->options.ops->invite));
}

void handle_rosters(struct request *rq)
{
	request_json(rq, 200, ask(rq, rq->api->options.ops->rosters));
}

static const char no_such_roster[] = "no roster that the node holds; GET /v1/rosters lists them";

/* The digest in the path; false: there is no such roster, and that is answered. */
static bool path_digest(struct request *rq, struct digest *out)
{
	const char *hex = request_value(rq, "digest");

	if (strlen(hex) == 2 * sizeof out->bytes && hex_decode(out->bytes, sizeof out->bytes, hex))
		return true;
	request_problem_at(rq, REFUSED_NOT_FOUND, "digest", no_such_roster);
	return false;
}

void handle_roster_text(struct request *rq)
{
	struct digest digest;
	struct bytes text;

	if (!path_digest(rq, &digest))
		return;
	text = rq->api->options.ops->roster_text(rq->api->options.context, &digest);
	if (text.data == NULL) {
		request_problem_at(rq, REFUSED_NOT_FOUND, "digest", no_such_roster);
		return;
	}
	request_json(rq, 200,
		json_pack("{s:s, s:s%}", "digest", request_value(rq, "digest"), "text", (const char *)text.data,
			text.len));
}

void handle_roster_pin(struct request *rq)
{
	struct problems none = {0};
	struct digest digest;
	char hex[2 * DIGEST_LEN + 1];
	const char *reason;
	struct act act;
	int r;

	if (!request_reason_given(rq, &reason) || !path_digest(rq, &digest))
		return;
	hex_encode(hex, digest.bytes, DIGEST_LEN);
	request_act(rq, &act, "roster.pin", hex, reason);
	r = rq->api->options.ops->pin(rq->api->options.context, request_wait(rq), &act, &digest);
	if (r == -ENOENT) {
		rq->tag = 0;
		request_problem_at(rq, REFUSED_NOT_FOUND, "digest", no_such_roster);
		return;
	}
	answer_act(rq, r, &none, 200, json_pack("{s:s}", "state", r == 0 ? "pinned" : "known"));
}

static void set_block(struct request *rq, bool block, const char *reason)
{
	const char *member = request_value(rq, "member");
	struct problems problems = {0};
	struct act act;
	int r;

	if (strcmp(member, rq->api->options.member) == 0) {
		request_problem_at(rq, REFUSED_ACT, "member", "this node's own member, to which there is no link");
		return;
	}
	request_act(rq, &act, block ? "peers.block" : "peers.unblock", member, reason);
	r = !handle_valid(member) ? -ENOENT
				  : rq->api->options.ops->block(
					    rq->api->options.context, request_wait(rq), &act, member, block, &problems);
	if (r == -ENOENT) {
		rq->tag = 0;
		request_problem_at(
			rq, REFUSED_NOT_FOUND, "member", "no member of the network; GET /v1/peers lists them");
		return;
	}
	answer_act(rq, r, &problems, 200, json_pack("{s:s, s:b}", "member", member, "blocked", block ? 1 : 0));
	problems_deinit(&problems);
}

enum { REASON_MAX = 500 };

static bool is_reason(const char *text)
{
	size_t len = strlen(text);

	return len <= REASON_MAX && rule_holds(RULE_LINE, text, len);
}

json_t *request_reason(struct request *rq, const char **reason)
{
	json_t *json = json_loadb((const char *)rq->body.data, rq->body.len, JSON_REJECT_DUPLICATES, NULL);

	*reason = json_string_value(json_object_get(json, "reason"));
	if (json == NULL)
		request_problem_at(rq, REFUSED_SYNTAX, "", "a JSON object with a reason");
	else if (*reason == NULL || !is_reason(*reason) || json_object_size(json) != 1)
		request_problem_at(rq, REFUSED_ACT, "/reason", "one line of 1 to 500 bytes, and nothing else");
	else
		return json;
	json_decref(json);
	return NULL;
}

bool request_reason_given(struct request *rq, const char **reason)
{
	*reason = request_value(rq, "reason");
	if (*reason == NULL || is_reason(*reason))
		return true;
	request_problem_at(rq, REFUSED_PARAMETER, "reason", "one line of 1 to 500 bytes");
	return false;
}

void handle_peer_block(struct request *rq)
{
	const char *reason;
	json_t *json = request_reason(rq, &reason);

	if (json != NULL)
		set_block(rq, true, reason);
	json_decref(json);
}

void handle_peer_unblock(struct request *rq)
{
	const char *reason;

	if (request_reason_given(rq, &reason))
		set_block(rq, false, reason);
}

/* ---- health ---- */

void handle_metrics(struct request *rq)
{
	api_metrics(rq->api, &rq->answer);
	rq->answered = true;
	rq->status = 200;
	rq->content_type = "text/plain; version=0.0.4; charset=utf-8";
	if (rq->answer.error != 0)
		request_out_of_memory(rq);
}

void handle_live(struct request *rq)
{
	request_json(rq, 200, json_pack("{s:b}", "live", 1));
}

/* Answers 503 with the reasons when there are any; true then. Takes `reasons`. */
static bool refuse_by(struct request *rq, json_t *reasons)
{
	json_t *reason;
	struct problems problems = {0};
	size_t i;

	if (reasons == NULL) {
		request_out_of_memory(rq);
		return true;
	}
	json_array_foreach(reasons, i, reason)
		problem_add(&problems, "", json_string_value(reason) == NULL ? "" : json_string_value(reason));
	json_decref(reasons);
	if (problems.total > 0)
		request_problem(rq, REFUSED_NOT_READY, &problems);
	problems_deinit(&problems);
	return rq->answered;
}

bool request_not_ready(struct request *rq)
{
	return refuse_by(rq, ask(rq, rq->api->options.ops->not_ready));
}

void handle_ready(struct request *rq)
{
	if (!refuse_by(rq, all_reasons(rq)))
		request_json(rq, 200, json_pack("{s:b}", "ready", 1));
}
