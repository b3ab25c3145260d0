/* keep - makes durable what is in force already: rosters and cards that were accepted, and the operator's blocks.
 *
 * One goes after the other, since a restart takes them in again in the order in which they were written (ledger.h). What cannot be
 * written is tried again until it can; who waits for it is told the first time. */
#include "core/node_state.h"

#include <stdlib.h>
#include <string.h>

enum { KEEP_AGAIN_MS = 1000 };

static void tell(struct node *n, struct unsaved *u, bool durable)
{
	if (u->tag != 0)
		node_act_kept(n, u->tag, durable);
	u->tag = 0;
}

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

static void save_next(struct node *n)
{
	struct job *job;

	if (n->unsaved == NULL || n->saving || (n->save_failed && n->now_ms < n->save_ms))
		return;
	job = copy_job(n->unsaved->job);
	if (job == NULL)
		n->short_of_memory = true; /* the next tick tries again */
	else
		n->saving = node_act_commit(n, job);
}

void keep_nothing(struct node *n, uint64_t tag)
{
	n->short_of_memory = true;
	node_log(n, LOG_LEVEL_ERROR, "store: out of memory: what is in force now will not be after a restart");
	if (tag != 0)
		node_act_kept(n, tag, false);
}

void keep(struct node *n, struct job *job, uint64_t tag)
{
	struct unsaved *u = calloc(1, sizeof *u), **at = &n->unsaved;

	if (u == NULL) {
		job_free(job);
		keep_nothing(n, tag);
		return;
	}
	u->job = job;
	u->tag = tag;
	while (*at != NULL)
		at = &(*at)->next;
	*at = u;
	if (n->save_failed)
		tell(n, u, false);
	save_next(n);
}

static void free_first(struct node *n)
{
	struct unsaved *u = n->unsaved;

	n->unsaved = u->next;
	job_free(u->job);
	free(u);
}

void keep_committed(struct node *n, const struct job *job)
{
	bool durable = job->kind == JOB_NOTE ? job->note.done : job->setting.done;

	if (!n->saving)
		return;
	n->saving = false;
	if (durable) {
		if (n->save_failed)
			node_log(n, LOG_LEVEL_INFO, "store: what is in force can be written again");
		n->save_failed = false;
		tell(n, n->unsaved, true);
		free_first(n);
	} else {
		if (!n->save_failed)
			node_log(n, LOG_LEVEL_ERROR,
				"store: a roster, card or block is in force and not on disk; trying again until it is "
				"kind=%s",
				job->kind == JOB_NOTE ? job->note.kind : "block");
		n->save_failed = true;
		n->save_ms = n->now_ms + KEEP_AGAIN_MS;
		for (struct unsaved *u = n->unsaved; u != NULL; u = u->next)
			tell(n, u, false);
	}
	save_next(n);
}

void keep_tick(struct node *n)
{
	save_next(n);
}

void keep_free(struct node *n)
{
	while (n->unsaved != NULL)
		free_first(n);
}
