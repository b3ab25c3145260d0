#include "api/filter.h"

#include "core/handle.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool number_parse(uint64_t *out, const char **text, uint64_t max)
{
	const char *p = *text;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*text = p;
	*out = v;
	return true;
}

bool place_parse(struct place *out, const char *text)
{
	uint64_t number, index;

	if (!number_parse(&number, &text, INT64_MAX) || *text++ != '.' ||
		!number_parse(&index, &text, PLACE_INDEX_MAX) || *text != '\0')
		return false;
	*out = (struct place){.number = number, .index = (uint32_t)index};
	return true;
}

unsigned limit_parse(const struct request *rq, unsigned long max, struct problems *problems)
{
	const char *text = request_value(rq, "limit");
	unsigned long value;
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

void place_given(struct api *a, const struct place *place)
{
	if (place->number > a->last_given)
		a->last_given = place->number;
}

bool place_beyond(struct request *rq, const char *name, const struct place *place)
{
	uint64_t last = rq->api->options.ops->last_number(rq->api->options.context);
	char rule[96];

	if (last < rq->api->last_given)
		last = rq->api->last_given;
	if (place->number <= last)
		return false;
	snprintf(rule, sizeof rule, "beyond the last place, %llu.%d", (unsigned long long)last,
		last == 0 ? 0 : PLACE_INDEX_MAX);
	request_problem_at(rq, REFUSED_BEYOND, name, rule);
	return true;
}

static int take_copy(char **out, const char *value)
{
	if (value == NULL)
		return 0;
	*out = strdup(value);
	return *out == NULL ? -ENOMEM : 0;
}

/* People write an audience in any order; the publisher, when it is asked for too, may stand among the members. */
static int take_audience(
	struct event_filter *out, const struct request *rq, const char *value, struct problems *problems)
{
	const struct api_options *o = &rq->api->options;

	if (value == NULL)
		return 0;
	errno = 0;
	out->audience = audience_resolve(value, out->source == NULL ? "" : out->source, o->ops->resolve, o->context);
	if (out->audience != NULL)
		return 0;
	if (errno == ENOMEM)
		return -ENOMEM;
	problem_add(problems, "audience", FILTER_AUDIENCE_RULE);
	return 0;
}

void filter_check(const struct request *rq, struct problems *problems)
{
	const char *source = request_value(rq, "source"), *topic = request_value(rq, "topic");

	if (source != NULL && !handle_valid(source))
		problem_add(problems, "source", "a member's handle");
	if (topic != NULL && !topic_pattern_valid(topic))
		problem_add(problems, "topic", "a topic, or a pattern that covers one (`course.*`, `*.decision`, `*`)");
}

int filter_of_request(struct event_filter *out, const struct request *rq, struct problems *problems)
{
	const char *topic = request_value(rq, "topic");
	const char *self = topic != NULL && topic_is_self(topic) ? rq->api->options.member : NULL;
	int r;

	filter_check(rq, problems);
	r = take_copy(&out->source, request_value(rq, "source"));
	if (r == 0)
		r = take_copy(&out->topic, topic);
	if (r == 0)
		r = take_copy(&out->subject, request_value(rq, "subject"));
	if (r == 0)
		r = take_audience(out, rq, request_value(rq, "audience"), problems);
	if (r == 0 && self != NULL && out->source == NULL)
		r = take_copy(&out->source, self);
	if (r == 0 && self != NULL && out->audience == NULL)
		r = take_copy(&out->audience, self); /* that one channel has them all */
	if (r == 0)
		r = access_readable(&rq->api->access, rq->peer, &out->readable, &out->n_readable);
	return r;
}
