/* GET /v1/events, /v1/events/{source}/{id} and its evidence: answered by the read worker. */
#include "api/handlers.h"

#include "api/filter.h"
#include "core/handle.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_USUAL = 100, LIMIT_MAX = 1000, LIMIT_DATA_MAX = 200 };

static unsigned parse_limit(const struct request *rq, bool with_data, struct problems *problems)
{
	const char *text = request_value(rq, "limit");
	unsigned long max = with_data ? LIMIT_DATA_MAX : LIMIT_MAX, value;
	char *end;

	if (text == NULL)
		return LIMIT_USUAL;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < 1 || value > max) {
		problem_addf(problems, "limit", "a number from 1 to %lu", max);
		return LIMIT_USUAL;
	}
	return (unsigned)value;
}

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

/* Asks when nothing is wrong with the parameters; else says what is. The query is taken. */
static void ask(struct request *rq, struct query *query, const struct problems *problems, int r,
	void (*queried)(struct request *rq, struct query *query))
{
	if (r == 0 && problems->total == 0) {
		request_query(rq, query, queried);
		return;
	}
	query_free(query);
	if (r != 0)
		request_out_of_memory(rq);
	else
		request_problem(rq, REFUSED_PARAMETER, problems);
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
	q->limit = parse_limit(rq, q->with_data, &problems);
	parse_after(q, rq, &problems);
	r = filter_of_request(&q->filter, rq, &problems);
	if (r == 0 && problems.total == 0 && !q->from_start && place_beyond(rq, "after", &q->after)) {
		query_free(query);
		return;
	}
	if (r == 0 && problems.total == 0 && q->with_data)
		filter_audit(rq, "read events", &q->filter);
	ask(rq, query, &problems, r, answer_page);
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

static void audit_event(const struct request *rq, const char *act, char *source)
{
	struct event_filter of = {.source = source};

	filter_audit(rq, act, &of);
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
	struct event_query *q;
	int r;

	if (query == NULL) {
		request_out_of_memory(rq);
		return;
	}
	q = &query->event;
	q->with_data = request_flag(rq, "data", &problems);
	r = name_event(&q->source, &q->id, &q->filter, rq, &problems);
	if (r == 0 && problems.total == 0 && q->with_data)
		audit_event(rq, "read event", q->source);
	ask(rq, query, &problems, r, answer_event);
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
	struct evidence_query *q;
	int r;

	if (query == NULL) {
		request_out_of_memory(rq);
		return;
	}
	q = &query->evidence;
	r = name_event(&q->source, &q->id, &q->filter, rq, &problems);
	if (r == 0 && problems.total == 0)
		audit_event(rq, "read evidence", q->source);
	ask(rq, query, &problems, r, answer_evidence);
	problems_deinit(&problems);
}

void handle_fork_get(struct request *rq)
{
	const char *publisher = request_value(rq, "source"), *audience = request_value(rq, "audience");
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
	q->audience = audience_normalise(audience, publisher);
	if (q->audience == NULL && errno != ENOMEM)
		problem_add(&problems, "audience", "`network`, or handles of members with commas between");
	ask(rq, query, &problems, q->source == NULL || errno == ENOMEM ? -ENOMEM : 0, answer_evidence);
	problems_deinit(&problems);
}
