/* POST /v1/events: CloudEvents in, one job, and its answer. Everything that can be judged without the store is judged here,
 * before the job; what remains is the commit's (core/commit.h). */
#include "api/handlers.h"

#include "api/cloudevents.h"
#include "api/request.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool may_publish(void *context, const char *topic)
{
	const struct request *rq = context;

	return access_may_publish(&rq->api->access, rq->peer, topic);
}

/* The `ce-` headers of binary mode, decoded; what is decoded is kept until the drafts are made. */
struct headers {
	struct event_parts parts;
	char *names[EVENT_ATTRIBUTES_MAX], *values[EVENT_ATTRIBUTES_MAX];
	size_t n;
	const char *wrong; /* NULL: nothing */
	int error;
};

static char *lower_case(const char *text)
{
	char *copy = strdup(text);

	for (char *p = copy; p != NULL && *p != '\0'; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
	return copy;
}

static enum MHD_Result collect_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct headers *h = context;
	char *text;

	if (strncasecmp(name, "ce-", 3) != 0 || value == NULL)
		return MHD_YES;
	if (h->n == EVENT_ATTRIBUTES_MAX) {
		h->wrong = "too many ce- headers";
		return MHD_NO;
	}
	text = percent_decode(bytes_str(value));
	if (text == NULL && errno == EINVAL) {
		h->wrong = "a ce- header that is not percent-encoded UTF-8";
		return MHD_NO;
	}
	h->values[h->n] = text;
	h->names[h->n++] = lower_case(name + 3);
	if (text == NULL || h->names[h->n - 1] == NULL) {
		h->error = -ENOMEM;
		return MHD_NO;
	}
	if (!event_parts_add(&h->parts, h->names[h->n - 1], text)) {
		h->wrong = "a ce- header twice";
		return MHD_NO;
	}
	return MHD_YES;
}

static void headers_deinit(struct headers *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->names[i]);
		free(h->values[i]);
	}
}

/* Hands the drafts over to a job. */
static void publish(struct request *rq, struct drafts *d)
{
	struct job *job = job_new(JOB_PUBLISH, NULL);

	if (job == NULL) {
		request_out_of_memory(rq);
		return;
	}
	job->publish.drafts = d->items;
	job->publish.n_drafts = d->n;
	d->items = NULL;
	d->n = 0;
	rq->batch = d->type->batch;
	request_body_release(rq);
	request_publish(rq, job);
}

static enum problem_kind problem_of_draft(int outcome)
{
	static const enum problem_kind kinds[] = {
		[DRAFT_SYNTAX] = REFUSED_SYNTAX,
		[DRAFT_TOO_LARGE] = REFUSED_TOO_LARGE,
		[DRAFT_FORBIDDEN] = REFUSED_FORBIDDEN,
		[DRAFT_RULE] = REFUSED_RULE,
	};

	return kinds[outcome];
}

static void answer_drafts(struct request *rq, struct drafts *d, int r)
{
	if (r != 0)
		request_out_of_memory(rq);
	else if (d->outcome != 0)
		request_problem(rq, problem_of_draft(d->outcome), &d->problems);
	else if (d->n == 0) /* an empty batch is a batch */
		request_json(rq, 200, json_pack("{s:[]}", "events"));
	else
		publish(rq, d);
}

static void read_events(struct request *rq, const struct media_type *type)
{
	struct headers h = {.n = 0};
	struct drafts d = {
		.type = type,
		.headers = &h.parts,
		.member = rq->api->options.member,
		.now_ms = rq->api->options.ops->now_ms(rq->api->options.context),
		.resolve = rq->api->options.ops->resolve,
		.resolve_context = rq->api->options.context,
		.may_publish = may_publish,
		.context = rq,
	};

	if (type->binary) {
		event_parts_add(&h.parts, "datacontenttype", type->name);
		MHD_get_connection_values(rq->connection, MHD_HEADER_KIND, collect_header, &h);
	}
	if (h.error != 0)
		request_out_of_memory(rq);
	else if (h.wrong != NULL)
		request_problem_at(rq, REFUSED_SYNTAX, "", h.wrong);
	else
		answer_drafts(rq, &d, drafts_read(&d, bytes_of(rq->body.data, rq->body.len)));
	drafts_deinit(&d);
	headers_deinit(&h);
}

static void refuse_media_type(struct request *rq)
{
	struct problems accepted = {0};

	for (size_t i = 0; i < n_media_types; i++)
		problem_add(&accepted, "Content-Type", media_types[i].name);
	request_problem(rq, REFUSED_MEDIA_TYPE, &accepted);
	problems_deinit(&accepted);
}

void handle_events_post(struct request *rq)
{
	const struct media_type *type = media_type_find(request_header(rq, "Content-Type"));

	if (request_not_ready(rq))
		return;
	if (type == NULL)
		refuse_media_type(rq);
	else
		read_events(rq, type);
}

/* ---- the answer ---- */

static const char *const state_names[] = {
	[PUBLISH_NEW] = "published",
	[PUBLISH_AGAIN] = "again",
	[PUBLISH_UNCHANGED] = "unchanged",
};

/* Written by hand: the many objects of a large batch are never built. */
static void append_result(struct buffer *out, const struct draft *draft, const struct published *p)
{
	char leaf[2 * DIGEST_LEN + 1];

	hex_encode(leaf, p->leaf.bytes, DIGEST_LEN);
	buffer_str(out, "{\"id\":");
	json_append_text(out, draft->event.id);
	buffer_printf(out, ",\"state\":\"%s\",\"revision\":%llu,\"audience\":", state_names[p->state],
		(unsigned long long)p->revision);
	json_append_text(out, draft->audience);
	buffer_printf(out, ",\"sequence\":%llu,\"digest\":\"%s\"}", (unsigned long long)p->sequence, leaf);
}

static void answer_published(struct request *rq, const struct publish_job *p)
{
	bool any_new = false;

	buffer_str(&rq->answer, "{\"events\":[");
	for (size_t i = 0; i < p->n_drafts; i++) {
		any_new = any_new || p->results[i].state == PUBLISH_NEW;
		buffer_str(&rq->answer, i == 0 ? "" : ",");
		append_result(&rq->answer, &p->drafts[i], &p->results[i]);
	}
	buffer_str(&rq->answer, "]}\n");
	rq->answered = true;
	rq->status = any_new ? 201 : 200;
	rq->content_type = "application/json";
	if (rq->answer.error != 0)
		request_out_of_memory(rq);
}

static enum problem_kind problem_of_outcome(enum publish_outcome outcome)
{
	static const enum problem_kind kinds[] = {
		[PUBLISH_RULE] = REFUSED_RULE,
		[PUBLISH_CONFLICT] = REFUSED_CONFLICT,
		[PUBLISH_FULL] = REFUSED_FULL,
		[PUBLISH_FAILED] = REFUSED_FAILED,
	};

	return kinds[outcome];
}

/* A batch of one has places with a number too; the job, which knows no batches, gave them none. */
void events_post_published(struct request *rq, struct job *job)
{
	struct publish_job *p = &job->publish;

	if (p->outcome == PUBLISH_OK) {
		answer_published(rq, p);
		return;
	}
	if (rq->batch && p->n_drafts == 1) {
		struct problems numbered = {0};

		problems_move(&numbered, "/0", &p->problems);
		request_problem(rq, problem_of_outcome(p->outcome), &numbered);
		problems_deinit(&numbered);
		return;
	}
	request_problem(rq, problem_of_outcome(p->outcome), &p->problems);
}
