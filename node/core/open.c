/* open - what of a delivered batch can be judged by itself: header and signature, seal and root, each event and its rules.
 *
 * This is most of what accepting costs, and needs neither the ledger nor what came before. So it may be done ahead of the commit, in
 * another thread (job_prepare); accept.c acts on what is found here, in its own order, and does what was not done. */
#include "core/work.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

int opened_header(struct accept_job *job, const struct trust *trust)
{
	enum card_key_state state;
	struct opened *o;
	const uint8_t *key;

	if (job->opened != NULL)
		return 0;
	o = calloc(1, sizeof *o);
	if (o == NULL)
		return -ENOMEM;
	o->header_result = header_decode(&o->header, job->batch.header);
	if (o->header_result < 0) {
		free(o);
		return -ENOMEM;
	}
	job->opened = o;
	if (o->header_result != 0)
		return 0;
	key = trust_sign_key(trust, o->header.publisher, o->header.key, &state);
	o->key_known = key != NULL;
	o->key_revoked = key != NULL && state == CARD_KEY_REVOKED;
	o->signed_well = key != NULL && header_verify(job->batch.header, job->batch.signature, key);
	digest_header(&o->digest, job->batch.header);
	return 0;
}

static int open_event(
	struct opened_event *out, const struct header *h, struct bytes packed, const struct store_keys *keys)
{
	char topic[TYPE_MAX + 1];

	out->result = event_unpack(&out->event, packed);
	if (out->result != 0)
		return out->result < 0 ? out->result : 0;
	index_event(&out->id, keys, h->publisher, out->event.id);
	out->has_object = topic_name_of_type(topic, out->event.type);
	if (out->has_object)
		index_object(&out->object, keys, h->publisher, topic, out->event.subject);
	out->rules = event_validate(&out->event, h->publisher, h->audience, &out->problems);
	return out->rules < 0 ? out->rules : 0;
}

static void close_events(struct opened *o)
{
	for (size_t i = 0; o->events != NULL && i < o->slots.n; i++) {
		event_deinit(&o->events[i].event);
		problems_deinit(&o->events[i].problems);
	}
	free(o->events);
	o->events = NULL;
}

static int open_events(struct opened *o, const struct store_keys *keys)
{
	int r = 0;

	o->events = calloc(o->slots.n, sizeof *o->events);
	if (o->events == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < o->slots.n && r == 0; i++)
		if (o->slots.items[i].event.data != NULL)
			r = open_event(&o->events[i], &o->header, o->slots.items[i].event, keys);
	return r;
}

int opened_body(struct accept_job *job, const struct store_keys *keys)
{
	struct bytes wrapped = bytes_of(job->wrapped, WRAPPED_KEY_LEN);
	struct opened *o = job->opened;
	int r = 0;

	if (o->body_opened)
		return 0;
	o->unwrapped = key_unwrap(o->key, job->session_key, &o->digest, wrapped);
	if (o->unwrapped)
		r = o->body_result = batch_open(&o->slots, &o->header, &job->batch, o->key);
	if (o->unwrapped && r == 0)
		r = open_events(o, keys);
	o->body_opened = r >= 0;
	if (r >= 0)
		return 0;
	close_events(o);
	slots_deinit(&o->slots);
	return r;
}

void opened_free(struct opened *o)
{
	if (o == NULL)
		return;
	close_events(o);
	slots_deinit(&o->slots);
	header_deinit(&o->header);
	sodium_memzero(o->key, sizeof o->key);
	free(o);
}

/* What is missing for want of memory is tried again by the commit, which can say so. */
void job_prepare(struct job *j, const struct committer *c)
{
	const struct opened *o;

	if (j->kind != JOB_ACCEPT || j->accept.batch.body.data == NULL || opened_header(&j->accept, j->trust) != 0)
		return;
	o = j->accept.opened;
	if (o->header_result == 0 && o->signed_well)
		opened_body(&j->accept, &c->store_keys);
}
