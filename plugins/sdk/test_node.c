#include "enlight-plugin-test.h"

#include "connection.h"
#include "core/handle.h"
#include "core/wire.h"
#include "frame.h"
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE "ut.ee"
#define TIME "2026-11-23T09:30:00Z"
#define TODAY "2026-11-23"

enum { CAP = 4 * 1024 * 1024, REMOVE_FDS = 16, BEAT_MS = 60000 };

typedef Enlight__Plugin__V1__ToPlugin to_plugin;
typedef Enlight__Plugin__V1__FromPlugin from_plugin;

struct enlight_test {
	const struct enlight_plugin *plugin;
	struct enlight *e;
	char *state;
	struct buffer log;
	json_t *published; /* events in the order they came */
	size_t n_answered; /* of them */

	json_t *places;    /* "SOURCE ID": {sequence, revision, attempt} */
	json_t *revisions; /* "SOURCE TOPIC SUBJECT": the last */
	uint64_t n_events, n_numbers;

	struct enlight_result *results; /* of the deliveries `first_number` and on */
	struct enlight_result erased;
	uint64_t first_number;
	size_t n_results;
};

/* ---- what the plugin says ---- */

static void take_result(struct enlight_test *t, const Enlight__Plugin__V1__Result *m)
{
	struct enlight_result *r;

	if (m->number < t->first_number || m->number - t->first_number >= t->n_results)
		return;
	r = &t->results[m->number - t->first_number];
	*r = (struct enlight_result){.outcome = strcmp(m->outcome, "done") == 0    ? ENLIGHT_DONE
						: strcmp(m->outcome, "retry") == 0 ? ENLIGHT_RETRY
										   : ENLIGHT_REJECT,
		.retry_after_ms = m->retry_after_ms};
	if (m->reason != NULL)
		snprintf(r->reason, sizeof r->reason, "%s", m->reason);
}

/* Takes whole frames in; publications are answered later, when the plugin has returned. */
static bool take_frames(void *context, struct bytes b)
{
	struct frames frames = {.data = (uint8_t *)b.data, .len = b.len};
	struct enlight_test *t = context;
	struct bytes frame;

	while (frames_next(&frames, &frame) == FRAME_WHOLE) {
		from_plugin *m = wire_unpack(&enlight__plugin__v1__from_plugin__descriptor, frame, CAP);

		if (m == NULL)
			return false;
		if (m->result != NULL)
			take_result(t, m->result);
		if (m->log != NULL)
			buffer_printf(&t->log, "%s: %s\n", m->log->level, m->log->text);
		if (m->publish != NULL)
			json_array_append_new(t->published,
				json_loadb((const char *)m->publish->event.data, m->publish->event.len, 0, NULL));
		wire_free(m);
	}
	return true;
}

static void tell(struct enlight_test *t, const to_plugin *m)
{
	size_t len;
	uint8_t *packed = wire_pack(m, &len);

	if (packed != NULL)
		connection_take(t->e, bytes_of(packed, len));
	free(packed);
}

/* ---- events ---- */

/* What a node knows about an event that it had before, or gives to a new one. NULL: out of memory. */
static json_t *place_of(struct enlight_test *t, const struct draft *d, bool *again)
{
	char key[HANDLE_MAX + TYPE_MAX + SUBJECT_MAX + 3];
	json_int_t revision;
	json_t *place;

	snprintf(key, sizeof key, "%s %s", d->source, d->event.id);
	place = json_object_get(t->places, key);
	*again = place != NULL;
	if (place != NULL)
		return place;
	place = json_pack("{sI, sI}", "sequence", (json_int_t)++t->n_events, "attempt", (json_int_t)0);
	if (json_object_set_new(t->places, key, place) != 0)
		return NULL;
	snprintf(key, sizeof key, "%s %s %s", d->source, d->event.topic->name, d->event.subject);
	revision = d->event.revision != 0 ? (json_int_t)d->event.revision
					  : json_integer_value(json_object_get(t->revisions, key)) + 1;
	json_object_set_new(t->revisions, key, json_integer(revision));
	json_object_set_new(place, "revision", json_integer(revision));
	return place;
}

static uint64_t number_in(const json_t *place, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(place, name));
}

/* Reads an event as its publisher's node would. The draft is complete but for its revision. */
static bool read_event(
	struct enlight_test *t, struct draft *d, json_t *json, const char *source, struct problems *problems)
{
	char id[32];

	snprintf(id, sizeof id, "test-%llu", (unsigned long long)++t->n_numbers);
	if (draft_from_json(d, json, source, problems) != 0)
		return false;
	if (draft_complete(d, id, TIME, TODAY) != 0)
		return false;
	return event_validate(&d->event, source, d->audience, problems) == 0;
}

/* The first thing that is wrong, as a reason. */
static void explain(struct enlight_result *result, const struct problems *problems)
{
	if (problems->n > 0)
		snprintf(result->reason, sizeof result->reason, "%s: %s", problems->items[0].place,
			problems->items[0].rule);
	else
		snprintf(result->reason, sizeof result->reason, "out of memory");
}

static void send_event(struct enlight_test *t, struct draft *d, json_t *place, uint64_t number)
{
	Enlight__Plugin__V1__Deliver deliver = ENLIGHT__PLUGIN__V1__DELIVER__INIT;
	to_plugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	struct digest digest;
	uint8_t *packed;
	size_t len;

	d->event.revision = number_in(place, "revision");
	json_object_set_new(place, "attempt", json_integer((json_int_t)number_in(place, "attempt") + 1));
	if (event_pack(&packed, &len, &d->event) != 0)
		return;
	digest_leaf(&digest, bytes_of(packed, len));
	deliver.number = number;
	deliver.source = d->source;
	deliver.audience = d->audience;
	deliver.incarnation = 1;
	deliver.sequence = number_in(place, "sequence");
	deliver.event = (ProtobufCBinaryData){len, packed};
	deliver.digest = (ProtobufCBinaryData){DIGEST_LEN, digest.bytes};
	deliver.attempt = (uint32_t)number_in(place, "attempt");
	deliver.settled = 1;
	m.deliver = &deliver;
	tell(t, &m);
	free(packed);
}

static void deliver(struct enlight_test *t, const char *text, uint64_t number, struct enlight_result *result)
{
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *place;
	const char *given = json_string_value(json_object_get(json, "source"));
	char *source = strdup(given != NULL ? given : SOURCE);
	struct problems problems = {0};
	struct draft d = {0};
	bool again;

	if (json == NULL) {
		problem_add(&problems, "", "not JSON");
	} else if (source != NULL && read_event(t, &d, json, source, &problems) &&
		   !audience_has(d.audience, ENLIGHT_TEST_MEMBER) && strcmp(source, ENLIGHT_TEST_MEMBER) != 0) {
		problem_add(&problems, "/enlightaudience", "does not name the test's member, " ENLIGHT_TEST_MEMBER);
	}
	place = problems.total == 0 && d.source != NULL ? place_of(t, &d, &again) : NULL;
	if (place == NULL)
		explain(result, &problems);
	else
		send_event(t, &d, place, number);
	draft_deinit(&d);
	problems_deinit(&problems);
	free(source);
	json_decref(json);
}

/* ---- publications ---- */

static void answer(struct enlight_test *t, const json_t *event, uint64_t number)
{
	Enlight__Plugin__V1__Published p = ENLIGHT__PLUGIN__V1__PUBLISHED__INIT;
	to_plugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	json_t *json = json_deep_copy(event), *place = NULL;
	struct problems problems = {0};
	Enlight__Plugin__V1__Problem items[PROBLEMS_MAX], *list[PROBLEMS_MAX];
	struct draft d = {0};
	bool again = false;

	if (read_event(t, &d, json, ENLIGHT_TEST_MEMBER, &problems))
		place = place_of(t, &d, &again);
	p.number = number;
	p.status = place == NULL ? 422 : again ? 200 : 201;
	if (place != NULL) {
		p.id = d.event.id;
		p.audience = d.audience;
		p.has_revision = p.has_sequence = true;
		p.revision = number_in(place, "revision");
		p.sequence = number_in(place, "sequence");
	}
	for (size_t i = 0; i < problems.n; i++) {
		enlight__plugin__v1__problem__init(&items[i]);
		items[i].place = problems.items[i].place;
		items[i].rule = problems.items[i].rule;
		list[i] = &items[i];
	}
	p.n_problems = problems.n;
	p.problems = list;
	m.published = &p;
	tell(t, &m);
	draft_deinit(&d);
	problems_deinit(&problems);
	json_decref(json);
}

static void answer_all(struct enlight_test *t)
{
	while (t->n_answered < json_array_size(t->published) && t->e->status < 0) {
		t->n_answered++;
		answer(t, json_array_get(t->published, t->n_answered - 1), t->n_answered);
	}
}

const json_t *enlight_test_published(const struct enlight_test *t, size_t i)
{
	return json_array_get(t->published, i);
}

/* ---- a test's calls ---- */

struct enlight_test *enlight_test_new(const struct enlight_plugin *of)
{
	struct enlight_test *t = calloc(1, sizeof *t);
	const char *parent = getenv("TMPDIR");

	if (t == NULL)
		return NULL;
	t->plugin = of;
	t->published = json_array();
	t->places = json_object();
	t->revisions = json_object();
	if (asprintf(&t->state, "%s/enlight-plugin-XXXXXX", parent != NULL ? parent : "/tmp") < 0) {
		t->state = NULL;
	} else if (mkdtemp(t->state) == NULL) {
		free(t->state);
		t->state = NULL;
	}
	if (t->published != NULL && t->places != NULL && t->revisions != NULL && t->state != NULL)
		return t;
	enlight_test_free(t);
	return NULL;
}

int enlight_test_start(struct enlight_test *t, const char *settings)
{
	Enlight__Plugin__V1__Start start = ENLIGHT__PLUGIN__V1__START__INIT;
	to_plugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;

	enlight_test_stop(t);
	connection_free(t->e);
	t->e = connection_new(t->plugin, take_frames, t);
	if (t->e == NULL)
		return -1;
	json_array_clear(t->published);
	t->n_answered = 0;
	start.protocol = 1;
	start.member = (char *)ENLIGHT_TEST_MEMBER;
	start.name = (char *)t->plugin->name;
	start.settings = (char *)settings;
	start.state = t->state;
	start.beat_ms = BEAT_MS;
	start.file = (char *)"settings";
	m.start = &start;
	tell(t, &m);
	if (t->e->status < 0)
		answer_all(t);
	return t->e->status < 0 ? 0 : t->e->status;
}

static bool runs(struct enlight_test *t, struct enlight_result *result)
{
	if (t->e != NULL && t->e->status < 0)
		return true;
	snprintf(result->reason, sizeof result->reason, "the plugin does not run");
	return false;
}

void enlight_test_deliver_many(
	struct enlight_test *t, const char *const *events, size_t n, struct enlight_result *results)
{
	memset(results, 0, n * sizeof *results);
	t->results = results;
	t->n_results = n;
	t->first_number = t->n_numbers + 1;
	t->n_numbers += n;
	for (size_t i = 0; i < n; i++)
		if (runs(t, &results[i]))
			deliver(t, events[i], t->first_number + i, &results[i]);
	if (t->e != NULL) {
		connection_idle(t->e);
		answer_all(t);
	}
	t->n_results = 0;
}

struct enlight_result enlight_test_deliver(struct enlight_test *t, const char *event)
{
	struct enlight_result result;

	enlight_test_deliver_many(t, &event, 1, &result);
	return result;
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return n;
}

struct enlight_result enlight_test_erase(struct enlight_test *t, const struct enlight_erasure *what)
{
	Enlight__Plugin__V1__Erase erase = ENLIGHT__PLUGIN__V1__ERASE__INIT;
	to_plugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;

	t->erased = (struct enlight_result){0};
	if (!runs(t, &t->erased))
		return t->erased;
	t->results = &t->erased;
	t->n_results = 1;
	t->first_number = erase.number = ++t->n_numbers;
	erase.source = (char *)(what->source != NULL ? what->source : SOURCE);
	erase.audience = (char *)(what->audience != NULL ? what->audience : ENLIGHT_TEST_MEMBER);
	erase.sequences = (uint64_t *)what->sequences;
	erase.n_sequences = what->n_sequences;
	erase.ids = (char **)what->ids;
	erase.n_ids = count(what->ids);
	erase.subjects = (char **)what->subjects;
	erase.n_subjects = count(what->subjects);
	erase.person = (char *)what->person;
	m.erase = &erase;
	tell(t, &m);
	answer_all(t);
	t->n_results = 0;
	return t->erased;
}

const char *enlight_test_log(struct enlight_test *t)
{
	const char *text = buffer_cstr(&t->log);

	return text != NULL ? text : "";
}

const char *enlight_test_state(const struct enlight_test *t)
{
	return t->state;
}

int enlight_test_stop(struct enlight_test *t)
{
	Enlight__Plugin__V1__Drain drain = ENLIGHT__PLUGIN__V1__DRAIN__INIT;
	to_plugin m = ENLIGHT__PLUGIN__V1__TO_PLUGIN__INIT;
	int status;

	if (t->e == NULL)
		return 0;
	m.drain = &drain;
	if (t->e->status < 0)
		tell(t, &m);
	status = t->e->status;
	connection_free(t->e);
	t->e = NULL;
	return status;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st, (void)kind, (void)at;
	return remove(path);
}

void enlight_test_free(struct enlight_test *t)
{
	if (t == NULL)
		return;
	enlight_test_stop(t);
	if (t->state != NULL)
		nftw(t->state, remove_one, REMOVE_FDS, FTW_DEPTH | FTW_PHYS);
	free(t->state);
	buffer_deinit(&t->log);
	json_decref(t->published);
	json_decref(t->places);
	json_decref(t->revisions);
	free(t);
}
