/* The store looked through, a page at a time, and its damaged batches asked for again. */
#include "api/handlers.h"

#include "api/request.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *damages_json(const struct check_query *q)
{
	json_t *list = json_array();

	for (size_t i = 0; i < q->n_damages && list != NULL; i++) {
		const struct damage *d = &q->damages[i];

		if (json_array_append_new(
			    list, json_pack("{s:I, s:s, s:s, s:I, s:I, s:I, s:s}", "number", (json_int_t)d->number,
					  "publisher", d->publisher, "audience", d->audience, "incarnation",
					  (json_int_t)d->incarnation, "first", (json_int_t)d->first, "last",
					  (json_int_t)d->last, "what", d->what)) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

/* False: the query failed, which is answered. */
static bool answered_well(struct request *rq, const struct query *query)
{
	if (query->result == 0)
		return true;
	if (query->result == -EBADMSG)
		request_problem_at(rq, REFUSED_FAILED, "",
			"the database's structure is damaged: restore a backup, or start with an empty store");
	else
		request_problem(rq, query->result == -EAGAIN ? REFUSED_BUSY : REFUSED_FAILED, NULL);
	return false;
}

static void answer_check(struct request *rq, struct query *query)
{
	const struct check_query *q = &query->check;
	json_t *damages;

	if (!answered_well(rq, query))
		return;
	damages = damages_json(q);
	request_json(rq, 200,
		damages == NULL ? NULL
				: json_pack("{s:I, s:I, s:I, s:b, s:o}", "batches", (json_int_t)q->n_batches, "next",
					  (json_int_t)q->next, "end", (json_int_t)q->end, "more", (int)q->more,
					  "damages", damages));
}

/* A batch's number from a parameter; it may be left out when 0 will do. False: answered already. */
static bool number_of(struct request *rq, const char *name, uint64_t least, uint64_t *out)
{
	const char *text = request_value(rq, name);
	size_t n = text == NULL ? 0 : strspn(text, "0123456789");

	*out = text == NULL ? 0 : strtoull(text, NULL, 10);
	if ((text == NULL && least == 0) || (n > 0 && n <= 18 && text[n] == '\0' && *out >= least))
		return true;
	request_problem_at(rq, REFUSED_PARAMETER, name, "a batch's number");
	return false;
}

static struct query *check_query(struct request *rq)
{
	struct query *query = query_new(QUERY_CHECK);

	if (query == NULL)
		request_out_of_memory(rq);
	return query;
}

void handle_store_check(struct request *rq)
{
	struct query *query;
	uint64_t after;

	if (!number_of(rq, "after", 0, &after))
		return;
	query = check_query(rq);
	if (query == NULL)
		return;
	query->check.after = after;
	request_query(rq, query, answer_check);
}

static void begin_repair(struct request *rq, struct query *query)
{
	const struct damage *d = query->check.damages;
	char object[ACT_OBJECT_MAX + 1];
	struct act act;
	int r;

	if (!answered_well(rq, query))
		return;
	if (query->check.n_batches == 0) {
		request_problem_at(rq, REFUSED_NOT_FOUND, "number", "there is no such batch");
		return;
	}
	if (query->check.n_damages == 0) {
		request_json(rq, 200, json_pack("{s:s}", "state", "whole"));
		return;
	}
	snprintf(object, sizeof object, "batch %llu of %s", (unsigned long long)d->number, d->publisher);
	request_act(rq, &act, "store.repair", object, request_value(rq, "reason"));
	r = rq->api->options.ops->repair(rq->api->options.context, request_wait(rq), &act, d);
	if (r == 0) {
		request_acted(rq, 202, json_pack("{s:s}", "state", "asked"));
		return;
	}
	rq->tag = 0;
	request_problem(rq, REFUSED_BUSY, NULL);
}

void handle_store_repair(struct request *rq)
{
	struct query *query;
	const char *reason;
	uint64_t number;

	if (!request_reason_given(rq, &reason) || !number_of(rq, "number", 1, &number))
		return;
	query = check_query(rq);
	if (query == NULL)
		return;
	query->check.only = number;
	request_query(rq, query, begin_repair);
}

void handle_store_repairs(struct request *rq)
{
	request_json(rq, 200, rq->api->options.ops->repairs(rq->api->options.context));
}
