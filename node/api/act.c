/* Acts of operators on their way into the node's audit trail (core/act.h). Whatever route one comes by, it goes through here: who acts
 * is what the kernel says, and no act is answered, and no payload shown, before the trail says so on the disk. */
#include "api/request.h"

#include "base/stamp.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_AGAIN_MS = 3600 * 1000 }; /* who goes on reading the same is noted so often */

void request_act(const struct request *rq, struct act *out, const char *verb, const char *object, const char *reason)
{
	*out = (struct act){.verb = verb, .by_user = true, .uid = rq->peer->uid, .object = object, .reason = reason};
	stamp_uuid(out->id, rq->api->options.ops->now_ms(rq->api->options.context), 0);
	access_name(out->user, sizeof out->user, out->uid);
}

void request_tell(struct request *rq, const char *verb, const char *object, const char *reason)
{
	struct act act;

	request_act(rq, &act, verb, object, reason);
	rq->api->options.ops->audit(rq->api->options.context, request_wait(rq), &act);
}

void request_when_kept(struct request *rq, void (*kept)(struct request *rq))
{
	rq->kept = kept;
	if (rq->tag == 0)
		kept(rq);
}

static void give_answer(struct request *rq)
{
	if (rq->not_durable) {
		buffer_deinit(&rq->answer);
		request_problem(rq, REFUSED_NOT_DURABLE, NULL);
	}
	rq->answered = true;
}

void request_acted(struct request *rq, unsigned status, json_t *json)
{
	request_json(rq, status, json);
	rq->answered = false;
	request_when_kept(rq, give_answer);
}

/* ---- payloads ---- */

/* Where this was noted before; else the place of what was noted longest ago. */
static struct read_noted *find_read(struct api *a, unsigned uid, const char *what)
{
	struct read_noted *oldest = &a->reads[0];

	for (size_t i = 0; i < API_READS; i++) {
		if (a->reads[i].uid == uid && strcmp(a->reads[i].what, what) == 0)
			return &a->reads[i];
		if (a->reads[i].until_ms < oldest->until_ms)
			oldest = &a->reads[i];
	}
	oldest->until_ms = 0;
	oldest->uid = uid;
	snprintf(oldest->what, sizeof oldest->what, "%s", what);
	return oldest;
}

static void describe(char out[static ACT_OBJECT_MAX + 1], const struct event_filter *f)
{
	snprintf(out, ACT_OBJECT_MAX + 1, "source=%s topic=%s", f->source == NULL ? "*" : f->source,
		f->topic == NULL ? "*" : f->topic);
}

static void shown(struct request *rq)
{
	if (!rq->not_durable)
		find_read(rq->api, rq->peer->uid, rq->shown)->until_ms = rq->api->now_ms + READ_AGAIN_MS;
	rq->show(rq, !rq->not_durable);
	if (rq->not_durable)
		request_problem(rq, REFUSED_NOT_TOLD, NULL);
}

void request_show(struct request *rq, const struct event_filter *f, void (*show)(struct request *rq, bool may))
{
	bool is_operator = access_roles(&rq->api->access, rq->peer) & ACCESS_OPERATOR;
	char what[ACT_OBJECT_MAX + 1];

	describe(what, f);
	if (!is_operator || (f->topic != NULL && topic_is_self(f->topic)) ||
		find_read(rq->api, rq->peer->uid, what)->until_ms > rq->api->now_ms) {
		show(rq, true);
		return;
	}
	rq->show = show;
	snprintf(rq->shown, sizeof rq->shown, "%s", what);
	request_tell(rq, "events.read", what, NULL);
	request_when_kept(rq, shown);
}
