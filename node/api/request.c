#include "api/request.h"

#include <stdlib.h>
#include <string.h>

const char *request_value(const struct request *rq, const char *name)
{
	for (size_t i = 0; i < rq->n_values; i++)
		if (strcmp(rq->values[i].name, name) == 0)
			return rq->values[i].value;
	return NULL;
}

bool request_flag(const struct request *rq, const char *name, struct problems *problems)
{
	const char *value = request_value(rq, name);

	if (value != NULL && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		problem_add(problems, name, "true or false");
	return value != NULL && strcmp(value, "true") == 0;
}

const char *request_header(const struct request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

void request_body_release(struct request *rq)
{
	rq->api->body_bytes -= rq->body_held;
	rq->body_held = 0;
	buffer_deinit(&rq->body);
}

/* Tags are never used twice, so an answer for a request that is gone finds none. The node may answer before it returns: then
 * nothing is waited for. */
uint64_t request_wait(struct request *rq)
{
	rq->tag = ++rq->api->last_tag;
	return rq->tag;
}

void request_publish(struct request *rq, struct job *job)
{
	job->tag = request_wait(rq);
	if (rq->api->options.ops->publish(rq->api->options.context, job) != 0) {
		rq->tag = 0;
		job_free(job);
		request_problem(rq, REFUSED_BUSY, NULL);
	}
}

void request_query(struct request *rq, struct query *query, void (*queried)(struct request *rq, struct query *query))
{
	query->tag = request_wait(rq);
	rq->queried = queried;
	if (rq->api->options.ops->query(rq->api->options.context, query) != 0) {
		rq->tag = 0;
		query_free(query);
		request_problem(rq, REFUSED_BUSY, NULL);
	}
}

void request_resume(struct request *rq)
{
	if (!rq->suspended)
		return;
	rq->suspended = false;
	MHD_resume_connection(rq->connection);
}
