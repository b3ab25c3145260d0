/* GET /v1/events, /v1/events/{source}/{id} and its evidence: answered by the read worker. */
#include "api/handlers.h"

#include "api/filter.h"
#include "core/handle.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_DATA_MAX = 200 };

static void parse_after(struct events_query *q, const struct request *rq, struct problems *problems)
{
	const char *text = request_value(rq, "after");

	q->from_start = text == NULL;
	if (text != NULL && !place_parse(&q->after, text))
		problem_add(problems, "after", "a cursor, as in an answer's `next`: NUMBER.INDEX");
}

static void answer_page(struct request *rq, struct query *query)
{
	struct events_query *q = &query->events;
	json_t *json;

	if (query->result != 0) {
		request_problem(rq, REFUSED_FAILED, NULL);
		return;
	}
	place_given(rq->api, &q->next);
	json = json_pack("{s:O, s:o, s:b}", "events", q->events, "next",
		json_sprintf("%llu.%u", (unsigned long long)q->next.number, (unsigned)q->next.index), "more",
		q->more ? 1 : 0);
	request_json(rq, 200, json);
}

static void show(struct request *rq, bool may)
{
	struct query *query = rq->query;

	rq->query = NULL;
	if (may)
		request_query(rq, query, rq->queried);
	else
		query_free(query);
}

/* Asks when nothing is wrong with the parameters; else says what is. The query is taken. `filter`: what payloads are asked for; NULL:
 * none. */
static void ask(struct request *rq, struct query *query, const struct problems *problems, int r,
	const struct event_filter *filter, void (*queried)(struct request *rq, struct query *query))
{
	rq->query = query;
	rq->queried = queried;
	if (r != 0)
		request_out_of_memory(rq);
	else if (problems->total > 0)
		request_problem(rq, REFUSED_PARAMETER, problems);
	else if (filter != NULL)
		request_show(rq, filter, show);
	else
		show(rq, true);
}

void handle_events_get(struct request *rq)
{
	struct query *query = query_new(QUERY_EVENTS);
	struct problems problems = {0};
	struct events_query *q;
	int r;

	if (query == NULL) {
		request_out_of_memory(rq);
		return;
	}
	q = &query->events;
	q->with_data = request_flag(rq, "data", &problems);
	q->limit = limit_parse(rq, q->with_data ? LIMIT_DATA_MAX : LIMIT_MAX, &problems);
	parse_after(q, rq, &problems);
	r = filter_of_request(&q->filter, rq, &problems);
	if (r == 0 && problems.total == 0 && !q->from_start && place_beyond(rq, "after", &q->after)) {
		query_free(query);
		return;
	}
	ask(rq, query, &problems, r, q->with_data ? &q->filter : NULL, answer_page);
	problems_deinit(&problems);
}

/* Copies of a request's source and id, and what its peer may read, into a query for one event. 0 or -ENOMEM. */
static int name_event(
	char **source, char **id, struct event_filter *filter, const struct request *rq, struct problems *problems)
{
	if (!handle_valid(request_value(rq, "source")))
		problem_add(problems, "source", "a member's handle");
	*source = strdup(request_value(rq, "source"));
	*id = strdup(request_value(rq, "id"));
	if (*source == NULL || *id == NULL)
		return -ENOMEM;
	return access_readable(&rq->api->access, rq->peer, &filter->readable, &filter->n_readable);
}

static void answer_event(struct request *rq, struct query *query)
{
	if (query->result != 0)
		request_problem(rq, REFUSED_FAILED, NULL);
	else if (query->event.event == NULL)
		request_problem(rq, REFUSED_NOT_FOUND, NULL);
	else
		request_json(rq, 200, json_incref(query->event.event));
}

void handle_event_get(struct request *rq)
{
	struct query *query = query_new(QUERY_EVENT);
	struct problems problems = {0};
	struct event_filter of = {0};
	struct event_query *q;
	int r;

	if (query == NULL) {
		request_out_of_memory(rq);
		return;
	}
	q = &query->event;
	q->with_data = request_flag(rq, "data", &problems);
	r = name_event(&q->source, &q->id, &q->filter, rq, &problems);
	q->filter.self = true;
	of.source = q->source;
	ask(rq, query, &problems, r, q->with_data ? &of : NULL, answer_event);
	problems_deinit(&problems);
}

static void answer_evidence(struct request *rq, struct query *query)
{
	const struct bytes *file = &query->evidence.file;

	if (query->result != 0) {
		request_problem(rq, REFUSED_FAILED, NULL);
	} else if (file->data == NULL) {
		request_problem(rq, REFUSED_NOT_FOUND, NULL);
	} else {
		rq->answered = true;
		rq->status = 200;
		rq->content_type = "application/octet-stream";
		buffer_add(&rq->answer, file->data, file->len);
		if (rq->answer.error != 0)
			request_out_of_memory(rq);
	}
}

void handle_evidence_get(struct request *rq)
{
	struct query *query = query_new(QUERY_EVIDENCE);
	struct problems problems = {0};
	struct event_filter of = {0};
	struct evidence_query *q;
	int r;

	if (query == NULL) {
		request_out_of_memory(rq);
		return;
	}
	q = &query->evidence;
	r = name_event(&q->source, &q->id, &q->filter, rq, &problems);
	q->filter.self = true;
	of.source = q->source;
	ask(rq, query, &problems, r, &of, answer_evidence);
	problems_deinit(&problems);
}

void handle_fork_get(struct request *rq)
{
	const char *publisher = request_value(rq, "source"), *audience = request_value(rq, "audience");
	const struct api_options *o = &rq->api->options;
	struct query *query = query_new(QUERY_EVIDENCE);
	struct problems problems = {0};
	struct evidence_query *q;

	if (query == NULL) {
		request_out_of_memory(rq);
		return;
	}
	q = &query->evidence;
	if (!handle_valid(publisher))
		problem_add(&problems, "source", "a member's handle");
	q->source = strdup(publisher);
	errno = 0;
	q->audience = audience_resolve(audience, publisher, o->ops->resolve, o->context);
	if (q->audience == NULL && errno != ENOMEM)
		problem_add(&problems, "audience", FILTER_AUDIENCE_RULE);
	ask(rq, query, &problems, q->source == NULL || errno == ENOMEM ? -ENOMEM : 0, NULL, answer_evidence);
	problems_deinit(&problems);
}
