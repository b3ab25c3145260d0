#include "thief.h"

#include "core/handle.h"
#include "network_state.h"
#include <assert.h>

/* One visit of a thief to a reader. */
struct striking {
	struct network *w;
	size_t victim, reader;
	struct trust *trust; /* the reader's */
	struct memory_ledger *disk;
	struct node_keys keys;
	char audience[HANDLE_MAX + 1];
	unsigned n_taken;
	bool stopped, refused;
};

bool thief_steals(struct network *w, size_t victim)
{
	struct member *m = &w->members[victim];

	if (m->stolen != NULL || !m->up || m->liar || m->went_back)
		return false;
	m->stolen = memory_ledger_copy(m->ledger);
	assert(m->stolen != NULL);
	memory_ledger_limit(m->stolen, 0);
	memory_ledger_fail(m->stolen, 0, 0);
	m->stolen_key = m->keys.number;
	return true;
}

/* Whether the reader would let the stolen key in. */
static bool is_in_force(const struct striking *s)
{
	enum card_key_state state;

	return trust_sign_key(s->trust, s->w->members[s->victim].handle, s->keys.number, &state) != NULL &&
	       state == CARD_KEY_CURRENT;
}

/* ---- what the thief publishes ---- */

static struct committer *new_committer(const struct striking *s)
{
	const struct member *m = &s->w->members[s->victim];
	struct committer *c = committer_new(m->handle, &s->keys, &m->store_keys);

	assert(c != NULL);
	return c;
}

/* Goes on in a later incarnation than any that the victim had then. */
static void raise(const struct striking *s, struct committer *c)
{
	struct channel_row row = {0};
	char value[16];
	int r;

	memory_ledger_ops.channel_find(s->disk, s->w->members[s->victim].handle, s->audience, &row);
	snprintf(value, sizeof value, "%u", row.incarnation + 1);
	channel_row_deinit(&row);
	r = committer_restored(c, value);
	assert(r == 0);
}

static struct job *publish_job(const struct striking *s)
{
	struct job *job = job_new(JOB_PUBLISH, s->trust);
	size_t n = 1 + network_random(s->w, 3);
	char id[64], course[32];
	struct wish wish = {.audience = (char *)s->audience, .id = id, .course = course};

	assert(job != NULL);
	job->publish.drafts = calloc(n, sizeof *job->publish.drafts);
	assert(job->publish.drafts != NULL);
	job->publish.n_drafts = n;
	for (size_t i = 0; i < n; i++) {
		snprintf(id, sizeof id, THIEF_ID "%zu-%llx", s->victim, (unsigned long long)network_draw(s->w));
		snprintf(course, sizeof course, "CR/%u", network_random(s->w, 12));
		network_fill_draft(s->w, s->victim, &wish, &job->publish.drafts[i]);
	}
	return job;
}

/* One transaction with one job on a disk; false: it failed. */
static bool run(struct network *w, struct committer *c, struct memory_ledger *disk, struct job *job)
{
	struct commit_changes *changes = NULL;
	uint8_t seed[32];
	int r;

	network_draw_seed(w, seed);
	memory_ledger_begin(disk);
	r = commit_run(c, &memory_ledger_ops, disk, &job, 1, w->now_ms, seed, &changes);
	if (r == 0)
		memory_ledger_commit(disk);
	else
		memory_ledger_rollback(disk);
	commit_changes_free(changes);
	return r == 0;
}

static bool publish(const struct striking *s)
{
	struct committer *c = new_committer(s);
	struct job *job = publish_job(s);
	bool good;

	if (network_random(s->w, 3) == 0)
		raise(s, c);
	good = run(s->w, c, s->disk, job) && job->publish.outcome == PUBLISH_OK;
	job_free(job);
	committer_free(c);
	return good;
}

/* ---- what the reader takes ---- */

static struct job *accept_job(const struct striking *s, const struct batch_row *row)
{
	const struct member *m = &s->w->members[s->victim];
	struct job *job = job_new(JOB_ACCEPT, s->trust);
	uint8_t key[BATCH_KEY_LEN], seed[32];
	struct entropy entropy;
	bool opened = key_unwrap(key, m->store_keys.wrap, &row->digest, row->wrapped);

	assert(job != NULL && opened);
	network_draw_seed(s->w, seed);
	entropy_init(&entropy, seed);
	strcpy(job->accept.peer, m->handle);
	network_draw_seed(s->w, job->accept.session_key);
	key_wrap(job->accept.wrapped, job->accept.session_key, &row->digest, key, &entropy);
	job->accept.batch.header = bytes_of(bytes_dup(row->header), row->header.len);
	job->accept.batch.body = bytes_of(bytes_dup(row->body), row->body.len);
	memcpy(job->accept.batch.signature, row->signature.data, SIGNATURE_LEN);
	return job;
}

static int deliver(void *context, const struct batch_row *row)
{
	struct striking *s = context;
	const struct member *reader = &s->w->members[s->reader];
	struct job *job = accept_job(s, row);
	bool done = run(s->w, reader->committer, reader->ledger, job);

	if (done && job->accept.outcome == ACCEPT_OK)
		s->n_taken++;
	else if (done && job->accept.outcome == ACCEPT_FORK)
		s->stopped = true;
	else if (!done || job->accept.outcome != ACCEPT_HELD)
		s->refused = true;
	job_free(job);
	return s->stopped || s->refused;
}

static void show_all(struct striking *s)
{
	struct channel_row row = {0};

	if (memory_ledger_ops.channel_find(s->disk, s->w->members[s->victim].handle, s->audience, &row) == 0)
		memory_archive_ops.channel_batches(s->disk, row.id, 0, deliver, s);
	channel_row_deinit(&row);
}

static void note_theft(const struct striking *s)
{
	struct network *w = s->w;

	w->thefts = realloc(w->thefts, (w->n_thefts + 1) * sizeof *w->thefts);
	assert(w->thefts != NULL);
	w->thefts[w->n_thefts++] = (struct theft){s->victim, strdup(s->audience)};
	w->members[s->victim].robbed = true;
}

/* The reader is away from now on, and has met the thief. */
static bool meet(struct striking *s)
{
	struct member *m = &s->w->members[s->victim];

	if (!publish(s))
		return false;
	network_crash(s->w, s->reader);
	show_all(s);
	network_trace(s->w, "%s met a thief of %s, channel %s: %u batches taken%s", s->w->members[s->reader].handle,
		m->handle, s->audience, s->n_taken, s->stopped ? ", stopped" : "");
	if (s->n_taken == 0 && !s->stopped)
		return false;
	memory_ledger_free(m->old); /* it has not got the card that says so */
	m->old = NULL;
	note_theft(s);
	return true;
}

bool thief_strikes(struct network *w, size_t victim, size_t reader)
{
	struct member *m = &w->members[victim], *r = &w->members[reader];
	struct striking s = {.w = w, .victim = victim, .reader = reader, .disk = m->stolen};
	bool met = false;

	m->stolen = NULL;
	if (s.disk != NULL && victim != reader && r->up && r->in_roster && !r->liar && !m->liar && !m->went_back &&
		m->keys.number == m->stolen_key) {
		s.keys = m->keys;
		s.trust = trust_ref(node_trust(r->node));
		strcpy(s.audience, network_random(w, 2) == 0 ? "network" : r->handle);
		met = is_in_force(&s) && meet(&s);
		trust_unref(s.trust);
	}
	memory_ledger_free(s.disk);
	return met;
}
