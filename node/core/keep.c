/* keep - makes durable what is in force already, rosters and cards that were accepted and the operator's blocks, and what the audit
 * trail says of it and of other acts.
 *
 * One goes after the other, since a restart takes them in again in the order in which they were written (ledger.h). What cannot be
 * written is tried again until it can; who waits for it is told the first time. An act and its event in the trail are one transaction;
 * where the trail takes nothing, for want of space or of a card of this member, the act becomes durable alone, and who did it is told that
 * something is missing. An event keeps its id through all tries, so that it can be there only once. */
#include "core/node_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP_AGAIN_MS = 1000 };

static void tell(struct node *n, struct unsaved *u, bool durable)
{
	if (u->tag != 0)
		node_act_kept(n, u->tag, durable);
	u->tag = 0;
}

static bool has_act(const struct unsaved *u)
{
	return u->act.event.topic != NULL;
}

/* ---- the jobs ---- */

static char *copy_text(const char *text, bool *good)
{
	char *copy = text == NULL ? NULL : strdup(text);

	*good &= text == NULL || copy != NULL;
	return copy;
}

/* The commit worker gets a copy: what is not durable must be there for the next try. */
static struct job *copy_job(const struct job *from)
{
	struct job *job = job_new(from->kind, NULL);
	bool good = true;

	if (job == NULL)
		return NULL;
	if (from->kind == JOB_NOTE) {
		job->note = from->note;
		job->note.text.data = bytes_dup(from->note.text);
		good = job->note.text.data != NULL;
	} else {
		job->setting.name = copy_text(from->setting.name, &good);
		job->setting.value = copy_text(from->setting.value, &good);
	}
	if (good)
		return job;
	job_free(job);
	return NULL;
}

/* Gives the job the event as well. False: out of memory. */
static bool add_act(const struct node *n, struct job *job, const struct draft *act)
{
	job->act.drafts = calloc(1, sizeof *job->act.drafts);
	if (job->act.drafts == NULL || act_draft_copy(job->act.drafts, act) != 0)
		return false;
	job->act.n_drafts = 1;
	job->trust = trust_ref(n->trust);
	return true;
}

static struct job *make_job(const struct node *n, const struct unsaved *u)
{
	struct job *job = u->job == NULL ? job_new(JOB_ACT, NULL) : copy_job(u->job);
	bool with_act = has_act(u) && (u->job == NULL || !u->apart) && node_why_not_ready(n) == NULL;

	if (job == NULL || !with_act || add_act(n, job, &u->act))
		return job;
	job_free(job);
	return NULL;
}

/* What is in force goes before what is only to be told: it must not wait for a trail that takes nothing. */
static struct unsaved *next_unsaved(const struct node *n)
{
	struct unsaved *u = n->unsaved;

	while (u != NULL && u->job == NULL)
		u = u->next;
	return u == NULL && node_why_not_ready(n) == NULL ? n->unsaved : u;
}

static void save_next(struct node *n)
{
	struct unsaved *u = next_unsaved(n);
	struct job *job;

	if (u == NULL || n->saving != NULL || (n->save_failed && n->now_ms < n->save_ms))
		return;
	job = make_job(n, u);
	if (job == NULL)
		n->short_of_memory = true; /* the next tick tries again */
	else if (node_act_commit(n, job))
		n->saving = u;
}

/* ---- what is to be kept ---- */

void keep_nothing(struct node *n, uint64_t tag)
{
	n->short_of_memory = true;
	node_log(n, LOG_LEVEL_ERROR, "store: out of memory: what is in force now will not be after a restart");
	if (tag != 0)
		node_act_kept(n, tag, false);
}

static void log_act(struct node *n, const struct act *act)
{
	char uid[16] = "-";

	if (act->by_user)
		snprintf(uid, sizeof uid, "%u", act->uid);
	node_log(n, LOG_LEVEL_INFO, "audit: %s uid=%s object=\"%s\" result=%s reason=\"%s\"", act->verb, uid,
		act->object == NULL ? "" : act->object, act->result == NULL ? "done" : act->result,
		act->reason == NULL ? "" : act->reason);
}

static void free_unsaved(struct unsaved *u)
{
	job_free(u->job);
	draft_deinit(&u->act);
	free(u);
}

static size_t acts_waiting(const struct node *n)
{
	size_t acts = 0;

	for (const struct unsaved *u = n->unsaved; u != NULL; u = u->next)
		acts += has_act(u);
	return acts;
}

bool keep_is_full(const struct node *n)
{
	return acts_waiting(n) >= ACTS_MAX;
}

/* Takes the job; NULL: out of memory. */
static struct unsaved *unsaved_new(const struct node *n, struct job *job, const struct act *act, uint64_t tag)
{
	struct unsaved *u = calloc(1, sizeof *u);

	if (u != NULL && (act == NULL || act_draft(&u->act, act, n->member, n->time_ms) == 0)) {
		u->job = job;
		u->tag = tag;
		return u;
	}
	free(u);
	job_free(job);
	return NULL;
}

void keep(struct node *n, struct job *job, const struct act *act, uint64_t tag)
{
	bool full =
		act != NULL &&
		acts_waiting(n) >= (job == NULL ? ACTS_MAX / 2 : ACTS_MAX); /* some room stays for what must be done */
	struct unsaved *u = full ? NULL : unsaved_new(n, job, act, tag), **at = &n->unsaved;

	if (act != NULL)
		log_act(n, act);
	if (full)
		node_log(n, LOG_LEVEL_ERROR, "audit: too many acts wait for the disk; the last line is not recorded");
	if (full && tag != 0)
		node_act_kept(n, tag, false);
	if (u == NULL && !full)
		keep_nothing(n, tag);
	if (u == NULL)
		return;
	while (*at != NULL)
		at = &(*at)->next;
	*at = u;
	if (n->save_failed || (has_act(u) && node_why_not_ready(n) != NULL))
		tell(n, u, false);
	save_next(n);
}

bool keep_time(struct node *n, const char *name, uint64_t tag)
{
	struct job *job = job_new(JOB_SETTING, NULL);

	if (job != NULL)
		job->setting.name = strdup(name);
	if (job != NULL && asprintf(&job->setting.value, "%llu", (unsigned long long)n->time_ms) < 0)
		job->setting.value = NULL;
	if (job != NULL && job->setting.name != NULL && job->setting.value != NULL) {
		keep(n, job, NULL, tag);
		return true;
	}
	job_free(job);
	n->short_of_memory = true;
	if (tag != 0)
		node_act_kept(n, tag, false);
	return false;
}

/* ---- what became of it ---- */

static void remove_unsaved(struct node *n, struct unsaved *u)
{
	struct unsaved **at = &n->unsaved;

	while (*at != u) {
		assert(*at != NULL); /* it is one of them */
		at = &(*at)->next;
	}
	*at = u->next;
	free_unsaved(u);
}

/* Forgets what the job made durable. False: nothing was. */
static bool take_durable(struct unsaved *u, const struct job *job)
{
	bool done = job->kind == JOB_NOTE ? job->note.done : job->kind == JOB_SETTING && job->setting.done;
	bool told = job->act.n_drafts > 0 && job->act.outcome == PUBLISH_OK;

	if (done) {
		job_free(u->job);
		u->job = NULL;
	}
	if (told) {
		draft_deinit(&u->act);
		u->act = (struct draft){0};
	}
	return done || told;
}

static void failed(struct node *n, const struct unsaved *u)
{
	const char *what = u->job == NULL ? "act" : u->job->kind == JOB_NOTE ? u->job->note.kind : "setting";

	if (!n->save_failed)
		node_log(n, LOG_LEVEL_ERROR,
			"store: a roster, card, setting or act is in force and not on disk; trying again until it is "
			"kind=%s",
			what);
	n->save_failed = true;
	n->save_ms = n->now_ms + KEEP_AGAIN_MS;
	for (struct unsaved *each = n->unsaved; each != NULL; each = each->next)
		tell(n, each, false);
}

static void done(struct node *n, struct unsaved *u)
{
	tell(n, u, true);
	remove_unsaved(n, u);
	if (n->save_failed && n->unsaved == NULL) {
		node_log(n, LOG_LEVEL_INFO, "store: what is in force can be written again");
		n->save_failed = false;
	}
}

void keep_committed(struct node *n, const struct job *job)
{
	struct unsaved *u = n->saving;
	bool both;

	if (u == NULL || (job->kind != JOB_NOTE && job->kind != JOB_SETTING && job->kind != JOB_ACT))
		return;
	n->saving = NULL;
	both = u->job != NULL && job->act.n_drafts > 0;
	if (take_durable(u, job))
		n->save_ms = n->now_ms; /* what waits behind it need not wait longer */
	else if (both)
		u->apart = true;
	else
		failed(n, u);
	if (u->job == NULL && !has_act(u))
		done(n, u);
	save_next(n);
}

void keep_tick(struct node *n)
{
	/* The key may have gone since they came. What is under way it has signed. */
	if (node_why_not_ready(n) != NULL)
		for (struct unsaved *u = n->unsaved; u != NULL; u = u->next)
			if (has_act(u) && u != n->saving)
				tell(n, u, false);
	save_next(n);
}

void keep_free(struct node *n)
{
	while (n->unsaved != NULL)
		remove_unsaved(n, n->unsaved);
}
