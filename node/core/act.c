#include "core/act.h"

#include "base/stamp.h"
#include "core/rule.h"
#include "core/wire.h"
#include "enlight/event/v1/node.pb-c.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line as it may stand in the event, or `?`; NULL when there is none. */
static char *line(const char *text)
{
	if (text == NULL || *text == '\0')
		return NULL;
	return (char *)(utf8_valid((const uint8_t *)text, strlen(text)) && rule_holds(RULE_LINE, text, strlen(text))
				? text
				: "?");
}

static int pack_data(struct bytes *out, const struct act *act)
{
	Enlight__Event__V1__Act m = ENLIGHT__EVENT__V1__ACT__INIT;
	uint8_t *packed;
	size_t len;

	m.act_id = (char *)act->id;
	m.act = (char *)act->verb;
	m.result = (char *)(act->result == NULL ? "done" : act->result);
	m.has_uid = act->by_user;
	m.uid = act->uid;
	m.user = line(act->user);
	m.object = line(act->object);
	m.reason = line(act->reason);
	packed = wire_pack(&m, &len);
	*out = bytes_of(packed, packed == NULL ? 0 : len);
	return packed == NULL ? -ENOMEM : 0;
}

int act_draft(struct draft *out, const struct act *act, const char *member, uint64_t time_ms)
{
	const struct topic *topic = topic_find(ACT_TOPIC);
	char time[STAMP_TIME], today[STAMP_DAY], subject[SUBJECT_MAX + 1];
	struct event *e = &out->event;
	int r;

	*out = (struct draft){0};
	stamp_time(time, time_ms);
	stamp_day(today, time_ms);
	snprintf(subject, sizeof subject, "%s/%s", topic->family, act->id);
	e->topic = topic;
	e->type = strdup(topic->type);
	e->subject = strdup(subject);
	out->source = strdup(member);
	out->audience = strdup(member);
	r = pack_data(&e->data, act);
	if (e->type == NULL || e->subject == NULL || out->source == NULL || out->audience == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = draft_complete(out, act->id, time, today);
	if (r != 0)
		draft_deinit(out);
	return r;
}

static char *copy(const char *text, bool *good)
{
	char *out = text == NULL ? NULL : strdup(text);

	*good &= text == NULL || out != NULL;
	return out;
}

int act_draft_copy(struct draft *out, const struct draft *from)
{
	const struct event *e = &from->event;
	bool good = true;

	assert(e->n_persons == 0 && e->memory == NULL);
	*out = (struct draft){
		.source = copy(from->source, &good),
		.audience = copy(from->audience, &good),
		.event = {.id = copy(e->id, &good),
			.type = copy(e->type, &good),
			.topic = e->topic,
			.subject = copy(e->subject, &good),
			.time = copy(e->time, &good),
			.data = bytes_of(bytes_dup(e->data), e->data.len),
			.data_class = copy(e->data_class, &good),
			.keep_until = copy(e->keep_until, &good)},
	};
	if (good && out->event.data.data != NULL)
		return 0;
	draft_deinit(out);
	return -ENOMEM;
}
