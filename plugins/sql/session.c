#include "session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is found by looking: passed on, and counted when it is a misfit. */
struct found {
	struct session *session;
	size_t n;
};

static void complain(void *context, bool misfit, const void *field, const char *text)
{
	struct found *f = context;
	struct session *s = f->session;
	char *line;

	f->n += misfit;
	if (s->complain == NULL ||
		asprintf(&line, "%s:%u: %s", s->mapping.file, mapping_line(&s->mapping, field), text) < 0)
		return;
	s->complain(s->context, misfit, line);
	free(line);
}

/* Creates what there is not: to some databases each is a transaction, of which the last may not have come about. */
static int create_done(struct session *s, const bool there[static DONE_PARTS], struct trouble *trouble)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < DONE_PARTS; i++) {
		if (!there[i])
			r = database_do(s->db, s->sql.create[i], trouble);
	}
	return r == 0 ? database_commit(s->db, trouble) : r;
}

int session_open(struct session *s, struct trouble *trouble)
{
	struct found found = {.session = s};
	bool done[DONE_PARTS] = {false};
	int r;

	if (s->db != NULL && !s->doubtful)
		return 0;
	session_close(s);
	r = database_open(&s->db, s->mapping.connection, s->mapping.wait_ms, trouble);
	if (r != 0)
		return r;
	r = database_look(s->db, &s->mapping, done, complain, &found, trouble);
	if (r == 0 && found.n != 0) {
		*trouble = (struct trouble){.what = DATABASE_MISMATCH,
			.words = "the mapping does not fit the database; the log has the lines"};
		r = DATABASE_MISMATCH;
	}
	if (r == 0)
		r = sql_init(&s->sql, &s->mapping, database_quote(s->db), s->owner);
	if (r == 0)
		r = create_done(s, done, trouble);
	if (r != 0)
		session_close(s);
	return r;
}

void session_close(struct session *s)
{
	database_close(s->db);
	s->db = NULL;
	s->doubtful = false;
	sql_deinit(&s->sql);
}

void session_deinit(struct session *s)
{
	session_close(s);
	mapping_deinit(&s->mapping);
	free(s->owner);
}

/* ---- the executor that is a database ---- */

struct doing {
	struct session *session;
	struct trouble *trouble;
};

static int run(void *context, const struct statement *s, const char *const *values, const char *note, bool *changed)
{
	struct doing *d = context;

	(void)note;
	if (d->session->beat != NULL)
		d->session->beat(d->session->context);
	return database_run(d->session->db, s, values, changed, d->trouble);
}

struct asked {
	const char *event;
	bool done;
	uint64_t withdrawn;
};

static void seen_row(void *context, const char *event, const char *revision)
{
	struct asked *a = context;
	uint64_t n = revision != NULL ? strtoull(revision, NULL, 10) : 0;

	if (event != NULL && strcmp(event, a->event) == 0)
		a->done = true;
	else if (n > a->withdrawn)
		a->withdrawn = n;
}

static int seen(void *context, const struct statement *s, const char *const *values, bool *done, uint64_t *withdrawn)
{
	struct doing *d = context;
	struct asked a = {.event = values[0]};
	int r = database_query(d->session->db, s, values, seen_row, &a, d->trouble);

	*done = a.done;
	*withdrawn = a.withdrawn;
	return r;
}

/* Makes what was done durable, or undoes it. A connection that is lost is given up at once. One that fails in no known way, or
 * knows tables that are no longer so, is still good for other events. */
static int finish(struct session *s, int r, struct trouble *trouble)
{
	if (r == 0)
		r = database_commit(s->db, trouble);
	if (r != 0)
		database_rollback(s->db); /* also after a commit that failed: what it held would spoil the next one */
	if (r == DATABASE_LOST)
		session_close(s);
	else if (r == DATABASE_MISMATCH || r == DATABASE_FAILS)
		s->doubtful = true;
	return r;
}

int session_apply(struct session *s, const struct work *const *work, size_t n, struct trouble *trouble)
{
	struct doing d = {s, trouble};
	struct executor x = {&d, run, seen};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = work_run(work[i], &x);
	return finish(s, r, trouble);
}

int session_erase(struct session *s, const struct work_erasure *e, struct trouble *trouble)
{
	struct doing d = {s, trouble};
	struct executor x = {&d, run, seen};

	return finish(s, work_erase(&s->sql, e, &x), trouble);
}

void session_words(const struct session *s, const struct trouble *t, char out[static SESSION_WORDS_MAX])
{
	const char *slash = strrchr(s->mapping.file, '/'), *file = slash != NULL ? slash + 1 : s->mapping.file;
	char code[48] = "", line[96] = "";

	if (t->sqlstate[0] != '\0')
		snprintf(code, sizeof code, " (SQLSTATE %s, code %d)", t->sqlstate, t->native);
	if (t->at != NULL)
		snprintf(line, sizeof line, "; see %.64s:%u", file, mapping_line(&s->mapping, t->at));
	snprintf(out, SESSION_WORDS_MAX, "%s%s%s%s%s", t->table != NULL ? t->table : "", t->table != NULL ? ": " : "",
		t->words != NULL ? t->words : "out of memory", code, line);
}
