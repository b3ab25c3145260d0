/* The plugin: what the node delivers goes into the database, many events in one transaction. When that fails each event has
 * its own, so that one bad record spoils nothing else.
 *
 * What waits for a lock says nothing to the node meanwhile: no wait is long (mapping's `wait`), and a window waits only so
 * often before the rest of it is put off unasked. */
#include "enlight-plugin.h"
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	WINDOW = 256,    /* events */
	ROWS_MAX = 4096, /* in a transaction, but for an event that has more alone */
	PATIENCE = 3,    /* times `wait` that a window waits */
};

struct options {
	const char *mapping;
};

static const struct enlight_setting options[] = {
	{"mapping", ENLIGHT_PATH, offsetof(struct options, mapping), true, NULL,
		"The file that says which events become which rows."},
	{0},
};

struct state {
	struct enlight *enlight;
	struct session session;
};

static void complain(void *context, bool misfit, const char *text)
{
	struct state *s = context;

	enlight_log(s->enlight, misfit ? ENLIGHT_ERROR : ENLIGHT_WARN, "%s", text);
}

static void beat(void *context)
{
	struct state *s = context;

	enlight_beat(s->enlight);
}

static int start(struct enlight *e, const void *settings, void **out)
{
	const struct options *o = settings;
	struct state *s = calloc(1, sizeof *s);
	struct problems problems = {0};
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->enlight = e;
	s->session.complain = complain;
	s->session.beat = beat;
	s->session.context = s;
	if (asprintf(&s->session.owner, "%s/%s", enlight_member(e), enlight_name(e)) < 0)
		s->session.owner = NULL;
	r = mapping_read(&s->session.mapping, o->mapping, &problems);
	for (size_t i = 0; i < problems.n; i++)
		enlight_log(e, ENLIGHT_ERROR, "%s: %s", problems.items[i].place, problems.items[i].rule);
	problems_deinit(&problems);
	if (s->session.owner == NULL)
		r = -ENOMEM;
	if (r == 0) {
		*out = s;
		return 0;
	}
	session_deinit(&s->session);
	free(s);
	return r < 0 ? r : -EINVAL;
}

static void stop(struct enlight *e, void *state)
{
	struct state *s = state;

	(void)e;
	if (s == NULL)
		return;
	session_deinit(&s->session);
	free(s);
}

/* What became of one that the database was asked about. */
static enum enlight_outcome judge(struct state *s, int r, const struct trouble *trouble, struct enlight_result *result)
{
	char words[SESSION_WORDS_MAX];

	if (r == 0) {
		result->outcome = ENLIGHT_DONE;
		return ENLIGHT_DONE;
	}
	session_words(&s->session, trouble, words);
	return enlight_result(result, r == DATABASE_REFUSED ? ENLIGHT_REJECT : ENLIGHT_RETRY, "%s", words);
}

/* Makes an event ready; what can be said without the database is said. Whether the database is to be asked. */
static bool prepare(struct state *s, const struct enlight_event *e, struct work *out, struct enlight_result *result)
{
	struct work_event event = {
		.json = enlight_event_json(e),
		.source = e->source,
		.id = e->id,
		.topic = e->topic,
		.subject = e->subject,
		.time = e->time,
		.audience = e->audience,
		.revision = e->revision,
		.sequence = e->sequence,
		.settled = e->settled,
		.incarnation = e->incarnation,
	};
	char reason[WORK_REASON_MAX];
	int r = event.json == NULL ? -ENOMEM : work_prepare(out, &s->session.sql, &event, reason);

	json_decref(event.json);
	if (r == WORK_REFUSED)
		enlight_result(result, ENLIGHT_REJECT, "%s", reason);
	else if (r != 0)
		enlight_result(result, ENLIGHT_RETRY, "out of memory");
	else
		result->outcome = ENLIGHT_DONE;
	return r == 0 && out->n_tables != 0;
}

/* One window being worked on: of the events those that the database is asked about. */
struct window {
	struct work work[WINDOW];
	const struct work *asked[WINDOW];
	struct enlight_result *results[WINDOW];
	size_t n;
	uint64_t waited_ms; /* in vain */
	struct trouble trouble;
};

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Applies some in one transaction. What was made ready knows the statements of the connection it was made for: when that is
 * lost so is the rest. */
static int ask(struct state *s, struct window *w, size_t from, size_t n)
{
	uint64_t since = clock_ms();
	int r;

	if (s->session.db == NULL)
		return DATABASE_LOST;
	if (w->waited_ms >= PATIENCE * s->session.mapping.wait_ms)
		return DATABASE_LATER;
	r = session_apply(&s->session, w->asked + from, n, &w->trouble);
	if (r == DATABASE_LATER)
		w->waited_ms += clock_ms() - since;
	return r;
}

static void apply_each(struct state *s, struct window *w, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++) {
		int r = ask(s, w, i, 1);

		if (r == DATABASE_REFUSED) /* perhaps its own commit was still under way: look again */
			r = ask(s, w, i, 1);
		judge(s, r, &w->trouble, w->results[i]);
	}
}

static void apply_some(struct state *s, struct window *w, size_t from, size_t n)
{
	int r = ask(s, w, from, n);

	if (r > 0 && r != DATABASE_LOST && (n > 1 || r == DATABASE_REFUSED)) {
		apply_each(s, w, from, n);
		return;
	}
	for (size_t i = from; i < from + n; i++)
		judge(s, r, &w->trouble, w->results[i]);
}

/* How many from there on make a transaction. */
static size_t transaction(const struct window *w, size_t from)
{
	size_t n = 1, rows = work_size(w->asked[from]);

	while (from + n < w->n && (rows += work_size(w->asked[from + n])) <= ROWS_MAX)
		n++;
	return n;
}

static void apply(struct state *s, struct window *w)
{
	for (size_t from = 0, n; from < w->n; from += n) {
		n = transaction(w, from);
		apply_some(s, w, from, n);
	}
}

static void deliver_some(struct state *s, const struct enlight_event *events, size_t n, struct enlight_result *results)
{
	struct window *w = calloc(1, sizeof *w);
	struct trouble trouble = {0};
	int r = w == NULL ? -ENOMEM : session_open(&s->session, &trouble);

	for (size_t i = 0; i < n; i++) {
		if (r != 0) {
			judge(s, r, &trouble, &results[i]);
		} else if (prepare(s, &events[i], &w->work[i], &results[i])) {
			w->results[w->n] = &results[i];
			w->asked[w->n++] = &w->work[i];
		}
	}
	if (r == 0)
		apply(s, w);
	for (size_t i = 0; w != NULL && i < n; i++)
		work_deinit(&w->work[i]);
	free(w);
}

static void deliver_many(
	struct enlight *e, void *state, const struct enlight_event *events, size_t n, struct enlight_result *results)
{
	for (size_t i = 0, some; i < n; i += some) {
		some = n - i < WINDOW ? n - i : WINDOW;
		deliver_some(state, events + i, some, results + i);
		enlight_beat(e);
	}
}

static enum enlight_outcome erase(
	struct enlight *e, void *state, const struct enlight_erasure *erasure, struct enlight_result *result)
{
	struct work_erasure what = {erasure->source, erasure->person, erasure->ids, erasure->subjects};
	bool alone = what.person != NULL && (what.subjects == NULL || what.subjects[0] == NULL);
	struct state *s = state;
	struct trouble trouble = {0};
	const struct table *blind = alone ? mapping_blind(&s->session.mapping) : NULL;
	int r = session_open(&s->session, &trouble);

	(void)e;
	if (r == 0)
		r = session_erase(&s->session, &what, &trouble);
	if (r == 0 && blind != NULL) {
		trouble = (struct trouble){.table = blind->table,
			.at = &blind->table,
			.words = "has no column to find the person by, and the node no longer knows the subjects: "
				 "forget it by hand"};
		r = DATABASE_REFUSED;
	}
	return judge(s, r, &trouble, result);
}

const struct enlight_plugin plugin = {
	.name = "enlight-sql",
	.version = ENLIGHT_VERSION,
	.order = ENLIGHT_LANES,
	.window = WINDOW,
	.settings = options,
	.settings_size = sizeof(struct options),
	.start = start,
	.deliver_many = deliver_many,
	.erase = erase,
	.stop = stop,
};
