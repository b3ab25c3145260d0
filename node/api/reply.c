#include "api/request.h"

#include "core/wire.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

const struct problem_row problem_rows[REFUSED_KINDS] = {
	[REFUSED_SYNTAX] = {"syntax", 400, "What was sent cannot be read; nothing was done"},
	[REFUSED_PARAMETER] = {"parameter", 400, "A parameter of the request is unknown or malformed"},
	[REFUSED_FORBIDDEN] = {"forbidden", 403, "The access table or an object's owner does not allow this"},
	[REFUSED_NOT_FOUND] = {"not-found", 404, "There is no such thing, or none that you may read"},
	[REFUSED_METHOD] = {"method", 405, "This path does not have that method"},
	[REFUSED_CONFLICT] = {"conflict", 409,
		"An id or revision is taken, or the object has moved on; nothing was published"},
	[REFUSED_BEYOND] = {"beyond", 409, "The cursor is not of this store: nothing that it has is behind it"},
	[REFUSED_TOO_LARGE] = {"too-large", 413, "The request is larger than the limits allow; nothing was done"},
	[REFUSED_MEDIA_TYPE] = {"media-type", 415, "The body's media type is not one of those this path takes"},
	[REFUSED_HOST] = {"host", 421, "The Host header does not name this machine's loopback"},
	[REFUSED_RULE] = {"rule", 422, "An event breaks a rule of its topic; nothing was published"},
	[REFUSED_ACT] = {"act", 422, "A roster, card or reason is not acceptable; nothing was done"},
	[REFUSED_NOT_READY] = {"not-ready", 503, "The node is not ready"},
	[REFUSED_BUSY] = {"busy", 503, "Too many requests are waiting; try again"},
	[REFUSED_FAILED] = {"failed", 503, "The node could not do it; nothing was done"},
	[REFUSED_FULL] = {"full", 507, "The disk, or the store's limit, is full; nothing was published"},
	[REFUSED_NOT_DURABLE] = {"not-durable", 507,
		"It is done, but could not be written to disk yet; the node tries again by itself"},
	[REFUSED_NOT_TOLD] = {"not-told", 507,
		"The audit trail cannot say yet that you read payloads; they are not shown"},
};

enum { RETRY_AFTER_S = 5 };

/* A place may hold a name that was sent, cut in the middle of a character: then what is not ASCII shows as `?`. */
void json_append_text(struct buffer *out, const char *text)
{
	bool good = utf8_valid((const uint8_t *)text, strlen(text));
	const char *plain = text;

	buffer_str(out, "\"");
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || good))
			continue;
		buffer_add(out, plain, (size_t)(text - plain));
		if (c >= 0x80)
			buffer_str(out, "?");
		else if (c < 0x20)
			buffer_printf(out, "\\u%04x", c);
		else
			buffer_printf(out, "\\%c", c);
		plain = text + 1;
	}
	buffer_add(out, plain, (size_t)(text - plain));
	buffer_str(out, "\"");
}

/* For this answer nothing is allocated. */
void request_out_of_memory(struct request *rq)
{
	static const char body[] = "{\"type\":\"urn:enlight:problem:failed\",\"title\":\"The node is short of memory\","
				   "\"status\":503}\n";

	buffer_deinit(&rq->answer);
	rq->fixed = body;
	rq->answered = true;
	rq->status = problem_rows[REFUSED_FAILED].status;
	rq->content_type = "application/problem+json";
	rq->retry_after_s = RETRY_AFTER_S;
}

void request_json(struct request *rq, unsigned status, json_t *json)
{
	assert(!rq->answered);
	rq->answered = true;
	rq->status = status;
	rq->content_type = "application/json";
	if (json != NULL)
		json_append(&rq->answer, json);
	buffer_str(&rq->answer, "\n");
	if (json == NULL || rq->answer.error != 0)
		request_out_of_memory(rq);
	json_decref(json);
}

static void append_errors(struct buffer *out, const struct problems *problems)
{
	buffer_str(out, ",\"errors\":[");
	for (size_t i = 0; i < problems->n; i++) {
		buffer_str(out, i == 0 ? "{\"pointer\":" : ",{\"pointer\":");
		json_append_text(out, problems->items[i].place);
		buffer_str(out, ",\"rule\":");
		json_append_text(out, problems->items[i].rule);
		buffer_str(out, "}");
	}
	buffer_str(out, "]");
	if (problems->total > problems->n)
		buffer_printf(out, ",\"further\":%zu", problems->total - problems->n);
}

void request_problem(struct request *rq, enum problem_kind kind, const struct problems *problems)
{
	const struct problem_row *row = &problem_rows[kind];

	assert(!rq->answered);
	rq->answered = true;
	rq->status = row->status;
	rq->content_type = "application/problem+json";
	if (row->status == 503)
		rq->retry_after_s = RETRY_AFTER_S;
	buffer_printf(&rq->answer, "{\"type\":\"urn:enlight:problem:%s\",\"title\":\"%s\",\"status\":%u", row->name,
		row->title, row->status);
	if (problems != NULL && problems->total > 0)
		append_errors(&rq->answer, problems);
	buffer_str(&rq->answer, "}\n");
	if (rq->answer.error != 0)
		request_out_of_memory(rq);
}

void request_problem_at(struct request *rq, enum problem_kind kind, const char *pointer, const char *rule)
{
	struct problem item = {.place = (char *)pointer, .rule = (char *)rule};
	struct problems problems = {.items = &item, .n = 1, .total = 1};

	request_problem(rq, kind, &problems);
}
