#include "core/commit.h"

#include "core/work.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct job *job_new(enum job_kind kind, struct trust *trust)
{
	struct job *j = calloc(1, sizeof *j);

	if (j == NULL)
		return NULL;
	j->kind = kind;
	j->trust = trust == NULL ? NULL : trust_ref(trust);
	return j;
}

static void publish_job_deinit(struct publish_job *p)
{
	for (size_t i = 0; i < p->n_drafts; i++)
		draft_deinit(&p->drafts[i]);
	free(p->drafts);
	free(p->results);
	problems_deinit(&p->problems);
}

static void accept_job_deinit(struct accept_job *a)
{
	sealed_batch_deinit(&a->batch);
	free((void *)a->contradicted.data);
	opened_free(a->opened);
	sodium_memzero(a->session_key, sizeof a->session_key);
}

void job_free(struct job *j)
{
	if (j == NULL)
		return;
	switch (j->kind) {
	case JOB_PUBLISH:
		publish_job_deinit(&j->publish);
		break;
	case JOB_ACCEPT:
		accept_job_deinit(&j->accept);
		break;
	case JOB_REPAIR:
		accept_job_deinit(&j->repair.delivered);
		break;
	case JOB_RECEIPT:
		free((void *)j->receipt.packed.data);
		break;
	case JOB_NOTE:
		free((void *)j->note.text.data);
		break;
	case JOB_SETTING:
		free(j->setting.name);
		free(j->setting.value);
		break;
	case JOB_DELIVERY:
		free(j->delivery.puts);
		free(j->delivery.removes);
		break;
	case JOB_CHECKPOINT:
		free(j->checkpoint.heads);
		publish_job_deinit(&j->checkpoint.publish);
		break;
	case JOB_REPUBLISH:
		publish_job_deinit(&j->republish.publish);
		break;
	case JOB_DISOWN:
		free(j->disown.audience);
		break;
	case JOB_ACT:
		break;
	}
	publish_job_deinit(&j->act);
	commit_changes_free(j->changes);
	trust_unref(j->trust);
	free(j);
}

void commit_changes_free(struct commit_changes *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n_batches; i++) {
		sealed_batch_deinit(&c->batches[i].batch);
		sodium_memzero(c->batches[i].key, sizeof c->batches[i].key);
		free(c->batches[i].audience);
	}
	for (size_t i = 0; i < c->n_channels; i++) {
		channel_row_deinit(&c->channels[i].row);
		free((void *)c->channels[i].header.data);
		free((void *)c->channels[i].receipt.data);
	}
	for (size_t i = 0; i < c->n_receipts; i++)
		free(c->receipts[i].audience);
	free(c->batches);
	free(c->channels);
	free(c->receipts);
	free(c);
}

struct committer *committer_new(const char *member, const struct node_keys *keys, const struct store_keys *store_keys)
{
	struct committer *c = calloc(1, sizeof *c);

	if (c == NULL)
		return NULL;
	assert(strlen(member) <= HANDLE_MAX);
	strcpy(c->member, member);
	c->keys = *keys;
	c->store_keys = *store_keys;
	c->incarnation = 1;
	return c;
}

int committer_restored(struct committer *c, const char *value)
{
	char *end;
	unsigned long incarnation = strtoul(value, &end, 10);

	if (end == value || *end != '\0' || incarnation == 0 || incarnation > INT32_MAX)
		return -EBADMSG;
	c->incarnation = (uint32_t)incarnation;
	return 0;
}

uint32_t committer_sign(
	const struct committer *c, uint8_t signature[static SIGNATURE_LEN], const char *domain, struct bytes message)
{
	domain_sign(signature, domain, message, c->keys.sign_secret);
	return c->keys.number;
}

bool committer_has_keys(const struct committer *c, const struct store_keys *keys)
{
	return sodium_memcmp(&c->store_keys, keys, sizeof *keys) == 0;
}

void committer_free(struct committer *c)
{
	if (c == NULL)
		return;
	sodium_memzero(c, sizeof *c);
	free(c);
}

int work_channel(struct channel_work **out, struct work *w, const char *publisher, const char *audience)
{
	struct channel_work **channels, *cw;
	int r;

	*out = NULL;
	for (size_t i = 0; i < w->n_channels; i++) {
		cw = w->channels[i];
		if (strcmp(cw->row.publisher, publisher) == 0 && strcmp(cw->row.audience, audience) == 0) {
			*out = cw;
			return 0;
		}
	}
	channels = realloc(w->channels, (w->n_channels + 1) * sizeof(struct channel_work *));
	if (channels == NULL)
		return -ENOMEM;
	w->channels = channels;
	cw = calloc(1, sizeof *cw);
	if (cw == NULL)
		return -ENOMEM;
	r = w->ops->channel_find(w->ledger, publisher, audience, &cw->row);
	if (r == LEDGER_NONE) {
		strcpy(cw->row.publisher, publisher);
		cw->row.audience = strdup(audience);
		r = cw->row.audience == NULL ? -ENOMEM : 0;
	}
	if (r != 0) {
		free(cw);
		return r;
	}
	w->channels[w->n_channels++] = cw;
	*out = cw;
	return 0;
}

uint64_t work_next_sequence(const struct channel_work *cw)
{
	const struct segment *last;

	if (cw->n_segments == 0)
		return cw->row.last + 1;
	last = &cw->segments[cw->n_segments - 1];
	return last->first + last->builder.n;
}

static void channel_work_free(struct channel_work *cw)
{
	for (size_t i = 0; i < cw->n_segments; i++)
		batch_builder_deinit(&cw->segments[i].builder);
	free(cw->segments);
	free((void *)cw->header.data);
	channel_row_deinit(&cw->row);
	free(cw);
}

/* Writes one changed channel back and hands what it is now to the changes. */
static int finish_channel(struct work *w, struct channel_work *cw)
{
	struct changed_channel *out = &w->changes->channels[w->changes->n_channels];
	int r;

	r = w->ops->channel_put(w->ledger, &cw->row);
	if (r != 0)
		return r;
	out->row = cw->row;
	out->row.audience = strdup(cw->row.audience);
	if (out->row.audience == NULL)
		return -ENOMEM;
	out->header = cw->header;
	cw->header = (struct bytes){0};
	memcpy(out->signature, cw->signature, sizeof out->signature);
	w->changes->n_channels++;
	return 0;
}

static int finish(struct work *w)
{
	int r = work_seal(w);

	if (r != 0)
		return r;
	w->changes->channels = calloc(w->n_channels + 1, sizeof *w->changes->channels);
	if (w->changes->channels == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_channels; i++) {
		struct channel_work *cw = w->channels[i];

		if (!cw->changed && !cw->receipt)
			continue;
		r = finish_channel(w, cw);
		if (r != 0)
			return r;
	}
	return work_receipts(w);
}

static int run_delivery(struct work *w, struct delivery_job *d)
{
	struct cursor_row cursor = {d->plugin, d->cursor};
	int r = w->ops->cursor_put(w->ledger, &cursor);

	for (size_t i = 0; i < d->n_removes && r == 0; i++) {
		r = w->ops->held_remove(w->ledger, d->plugin, &d->removes[i]);
		if (r == LEDGER_NONE)
			r = 0; /* put and removed between two commits */
	}
	for (size_t i = 0; i < d->n_puts && r == 0; i++)
		r = w->ops->held_put(w->ledger, &d->puts[i]);
	d->done = r == 0;
	return r;
}

static int run_note(struct work *w, struct note_job *n)
{
	int r = w->ops->note_put(w->ledger, n->kind, n->member, n->number, n->text);

	n->done = r == 0;
	return r;
}

static int run_setting(struct work *w, struct setting_job *s)
{
	int r = w->ops->setting_put(w->ledger, s->name, s->value);

	s->done = r == 0;
	return r;
}

static int run_kind(struct work *w, struct job *j)
{
	switch (j->kind) {
	case JOB_PUBLISH:
		return work_publish(w, &j->publish);
	case JOB_ACCEPT:
		return work_accept(w, &j->accept);
	case JOB_REPAIR:
		return work_repair(w, &j->repair);
	case JOB_RECEIPT:
		return work_receipt(w, &j->receipt);
	case JOB_NOTE:
		return run_note(w, &j->note);
	case JOB_SETTING:
		return run_setting(w, &j->setting);
	case JOB_DELIVERY:
		return run_delivery(w, &j->delivery);
	case JOB_ACT:
		break;
	case JOB_CHECKPOINT:
		return work_checkpoint(w, &j->checkpoint);
	case JOB_REPUBLISH:
		return work_republish(w, &j->republish);
	case JOB_DISOWN:
		return work_disown(w, &j->disown);
	}
	return 0;
}

static int run_job(struct work *w, struct job *j)
{
	int r = run_kind(w, j);

	return r == 0 && j->act.n_drafts > 0 ? work_publish(w, &j->act) : r;
}

/* A header of ours that a reader showed: it may make a channel go back, before something is published in it. */
static bool is_first(const struct work *w, const struct job *j)
{
	return j->kind == JOB_ACCEPT && j->accept.witness[0] != '\0' && strcmp(j->accept.peer, w->c->member) == 0;
}

static int run_jobs(struct work *w, struct job *const *jobs, size_t n, bool first)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		if (is_first(w, jobs[i]) != first)
			continue;
		if (jobs[i]->trust != NULL)
			w->trust = jobs[i]->trust;
		r = run_job(w, jobs[i]);
	}
	return r;
}

int commit_run(struct committer *c, const struct ledger_ops *ops, void *ledger, struct job *const *jobs, size_t n,
	uint64_t now_ms, const uint8_t seed[static 32], struct commit_changes **out)
{
	struct work w = {.c = c, .ops = ops, .ledger = ledger, .now_ms = now_ms};
	int r = 0;

	*out = NULL;
	entropy_init(&w.entropy, seed);
	w.changes = calloc(1, sizeof *w.changes);
	if (w.changes == NULL)
		r = -ENOMEM;
	r = r != 0 ? r : run_jobs(&w, jobs, n, true);
	r = r != 0 ? r : run_jobs(&w, jobs, n, false);
	if (r == 0)
		r = finish(&w);
	if (r == 0) {
		*out = w.changes;
		w.changes = NULL;
	}
	for (size_t i = 0; i < w.n_channels; i++)
		channel_work_free(w.channels[i]);
	free(w.channels);
	commit_changes_free(w.changes);
	entropy_wipe(&w.entropy);
	return r;
}

void commit_failed(struct job *const *jobs, size_t n, int result)
{
	bool full = result == LEDGER_FULL;

	for (size_t i = 0; i < n; i++) {
		jobs[i]->act.outcome = full ? PUBLISH_FULL : PUBLISH_FAILED;
		switch (jobs[i]->kind) {
		case JOB_PUBLISH:
			jobs[i]->publish.outcome = full ? PUBLISH_FULL : PUBLISH_FAILED;
			break;
		case JOB_CHECKPOINT:
			jobs[i]->checkpoint.publish.outcome = full ? PUBLISH_FULL : PUBLISH_FAILED;
			break;
		case JOB_REPUBLISH:
			jobs[i]->republish.publish.outcome = full ? PUBLISH_FULL : PUBLISH_FAILED;
			break;
		case JOB_ACCEPT:
			jobs[i]->accept.outcome = full ? ACCEPT_FULL : ACCEPT_FAILED;
			jobs[i]->accept.why = full ? "the disk is full" : "out of memory";
			break;
		case JOB_REPAIR:
			jobs[i]->repair.done = false;
			jobs[i]->repair.why = "it could not be stored";
			break;
		case JOB_RECEIPT:
			jobs[i]->receipt.good = false;
			jobs[i]->receipt.lost = true;
			jobs[i]->receipt.why = "not stored";
			break;
		case JOB_DELIVERY:
			jobs[i]->delivery.done = false;
			break;
		case JOB_DISOWN:
			jobs[i]->disown.done = false;
			break;
		case JOB_NOTE:
			jobs[i]->note.done = false;
			break;
		case JOB_SETTING:
			jobs[i]->setting.done = false;
			break;
		case JOB_ACT:
			break;
		}
	}
}
