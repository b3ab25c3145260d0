/* commit_world - a publisher (ut.ee) and a reader (ugent.be) with their ledgers in memory, for tests of commits. */
#ifndef ENLIGHT_TESTS_COMMIT_WORLD_H
#define ENLIGHT_TESTS_COMMIT_WORLD_H

#include "core/commit.h"
#include "core/handle.h"
#include "memory_ledger.h"
#include "notes.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#define PUBLISHER "ut.ee"
#define READER "ugent.be"
#define OTHER "rug.nl"
enum { NOW_MS = 1700000 };

struct world {
	struct trust *trust;
	struct node_keys publisher_keys, reader_keys;
	struct store_keys store_keys;
	struct memory_ledger *publisher, *reader;
	struct committer *publishing, *reading;
	uint8_t seed[32];
	uint8_t session_key[32];
};

static inline struct trust *world_learn(struct trust *t, struct buffer *text)
{
	struct problems problems = {0};
	struct trust *next;

	ck_assert_int_eq(trust_with(&next, t, "note", bytes_of(text->data, text->len), &problems), 0);
	trust_unref(t);
	buffer_deinit(text);
	return next;
}

static inline struct trust *world_trust(const char *const *handles, size_t n)
{
	struct problems problems = {0};
	struct actor members[8];
	struct digest network;
	struct buffer text;
	struct trust *t;

	for (size_t i = 0; i < n; i++)
		members[i] = actor_of(handles[i], 0);
	text = roster_text(NULL, 1, (unsigned)(n / 2 + 1), members, n);
	digest_plain(&network, signed_part(&text));
	for (size_t i = 0; i < n; i++)
		sign_by(&text, &members[i]);
	ck_assert_int_eq(trust_new(&t, &network, "roster", view(&text), &problems), 0);
	buffer_deinit(&text);
	for (size_t i = 0; i < n; i++) {
		text = card_text(&network, &members[i], 1, 1);
		t = world_learn(t, &text);
	}
	return t;
}

static inline void world_init(struct world *w)
{
	static const char *const handles[] = {OTHER, READER, PUBLISHER};
	uint8_t secret[32] = {1};

	*w = (struct world){.trust = world_trust(handles, 3)};
	w->publisher_keys = node_keys_of(PUBLISHER, 1);
	w->reader_keys = node_keys_of(READER, 1);
	store_keys_derive(&w->store_keys, secret);
	w->publisher = memory_ledger_new();
	w->reader = memory_ledger_new();
	w->publishing = committer_new(PUBLISHER, &w->publisher_keys, &w->store_keys);
	w->reading = committer_new(READER, &w->reader_keys, &w->store_keys);
	memset(w->session_key, 7, sizeof w->session_key);
}

static inline void world_deinit(struct world *w)
{
	memory_ledger_free(w->publisher);
	memory_ledger_free(w->reader);
	committer_free(w->publishing);
	committer_free(w->reading);
	trust_unref(w->trust);
}

/* The disk changes a bit of a stored digest. */
static inline void world_flip_digest(struct memory_ledger *ledger, uint64_t number)
{
	struct batch_row row;

	memory_ledger_begin(ledger);
	ck_assert_int_eq(memory_ledger_ops.batch_get(ledger, number, &row), 0);
	row.digest.bytes[7] ^= 16;
	ck_assert_int_eq(memory_ledger_ops.batch_mend(ledger, &row), 0);
	memory_ledger_commit(ledger);
}

/* The disk leaves half of a stored header. */
static inline void world_cut_header(struct memory_ledger *ledger, uint64_t number)
{
	struct batch_row row;

	memory_ledger_begin(ledger);
	ck_assert_int_eq(memory_ledger_ops.batch_get(ledger, number, &row), 0);
	row.header.len /= 2;
	ck_assert_int_eq(memory_ledger_ops.batch_mend(ledger, &row), 0);
	memory_ledger_commit(ledger);
}

/* Runs one job in a transaction of its own. */
static inline int world_run(struct world *w, struct committer *c, struct memory_ledger *ledger, struct job *job,
	struct commit_changes **changes)
{
	int r;

	w->seed[0]++;
	w->seed[1] += w->seed[0] == 0;
	memory_ledger_begin(ledger);
	r = commit_run(c, &memory_ledger_ops, ledger, &job, 1, NOW_MS, w->seed, changes);
	if (r == 0) {
		memory_ledger_commit(ledger);
	} else {
		memory_ledger_rollback(ledger);
		commit_failed(&job, 1, r);
	}
	return r;
}

/* Runs a job and undoes it, as when another job of its transaction finds the disk full. */
static inline void world_run_in_vain(
	struct world *w, struct committer *c, struct memory_ledger *ledger, struct job *job)
{
	struct commit_changes *changes = NULL;

	memory_ledger_begin(ledger);
	ck_assert_int_eq(commit_run(c, &memory_ledger_ops, ledger, &job, 1, NOW_MS, w->seed, &changes), 0);
	memory_ledger_rollback(ledger);
	commit_changes_free(changes);
}

/* A complete draft of a topic: its example with some members of the data replaced (`patch` is JSON). */
static inline struct draft world_draft(const char *member, const char *topic, const char *subject, const char *audience,
	const char *id, const char *patch)
{
	const struct topic *t = topic_find(topic);
	json_t *data = json_loads(t->example, 0, NULL), *changes = json_loads(patch, 0, NULL), *event;
	struct problems problems = {0};
	struct draft d;
	int r;

	ck_assert_ptr_nonnull(changes);
	json_object_update(data, changes);
	json_decref(changes);
	event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "id", id, "type", t->type,
		"subject", subject, "time", "2026-11-23T09:30:00Z", "enlightaudience", audience, "data", data);
	r = draft_from_json(&d, event, member, &problems);
	ck_assert_msg(r == 0, "%s: %s", problems.n > 0 ? problems.items[0].place : "",
		problems.n > 0 ? problems.items[0].rule : "");
	json_decref(event);
	ck_assert_int_eq(draft_complete(&d, id, "2026-11-23T09:30:00Z", "2026-11-23"), 0);
	return d;
}

static inline struct draft world_course(const char *course, const char *audience, const char *id, const char *code)
{
	char subject[64], patch[128];

	snprintf(subject, sizeof subject, "course/%s", course);
	snprintf(patch, sizeof patch, "{\"courseId\": \"%s\", \"code\": \"%s\"}", course, code);
	return world_draft(PUBLISHER, "course.offering", subject, audience, id, patch);
}

static inline struct job *world_publish_job(struct world *w, struct draft *drafts, size_t n)
{
	struct job *job = job_new(JOB_PUBLISH, w->trust);

	job->publish.drafts = calloc(n, sizeof *drafts);
	ck_assert_ptr_nonnull(job->publish.drafts);
	memcpy(job->publish.drafts, drafts, n * sizeof *drafts);
	job->publish.n_drafts = n;
	return job;
}

#endif
