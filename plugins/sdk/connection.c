#include "connection.h"

#include "base/settings.h"
#include "core/wire.h"
#include "frame.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { PROTOCOL = 1, FRAME_CAP = 8 * 1024 * 1024 };

typedef Enlight__Plugin__V1__ToPlugin to_plugin;

struct enlight *connection_new(
	const struct enlight_plugin *of, bool (*write)(void *context, struct bytes frames), void *context)
{
	struct enlight *e = calloc(1, sizeof *e);

	if (e == NULL)
		return NULL;
	e->plugin = of;
	e->write = write;
	e->context = context;
	e->status = -1;
	e->window = of->order == ENLIGHT_IN_ORDER ? 1 : of->window == 0 ? WINDOW_USUAL : of->window;
	if (e->window > WINDOW_MAX)
		e->window = WINDOW_MAX;
	e->deliveries = calloc(e->window, sizeof *e->deliveries);
	e->events = calloc(e->window, sizeof *e->events);
	e->results = calloc(e->window, sizeof *e->results);
	if (e->deliveries != NULL && e->events != NULL && e->results != NULL)
		return e;
	connection_free(e);
	return NULL;
}

void connection_free(struct enlight *e)
{
	if (e == NULL)
		return;
	if (e->started && e->plugin->stop != NULL)
		e->plugin->stop(e, e->state);
	for (size_t i = 0; i < e->n; i++)
		delivery_deinit(&e->deliveries[i]);
	own_settings_free(e);
	buffer_deinit(&e->out);
	buffer_deinit(&e->early);
	free(e->deliveries);
	free(e->events);
	free(e->results);
	free(e->member);
	free(e->name);
	free(e->folder);
	free(e->state_folder);
	free(e);
}

void connection_fail(struct enlight *e, int status, const char *format, ...)
{
	va_list args;

	if (e->status >= 0)
		return;
	e->status = status;
	fprintf(stderr, "%s: ", e->plugin->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

const char *enlight_member(const struct enlight *e)
{
	return e->member;
}

const char *enlight_name(const struct enlight *e)
{
	return e->name;
}

const char *enlight_state(const struct enlight *e)
{
	return e->state_folder;
}

const char *enlight_folder(const struct enlight *e)
{
	return e->folder;
}

/* ---- the start ---- */

/* Patterns with commas between, as a list that borrows from `copy`. Returns how many. */
static size_t split(char *copy, char **out)
{
	size_t n = 0;

	for (char *save, *word = strtok_r(copy, ", \t\n", &save); word != NULL; word = strtok_r(NULL, ", \t\n", &save))
		out[n++] = word;
	return n;
}

static void say_ready(struct enlight *e)
{
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Ready ready = ENLIGHT__PLUGIN__V1__READY__INIT;
	char *copy = strdup(e->plugin->topics != NULL ? e->plugin->topics : "*");
	char **words = copy != NULL ? calloc(strlen(copy) / 2 + 1, sizeof *words) : NULL;

	if (words == NULL) {
		e->out.error = -ENOMEM;
	} else {
		ready.protocol = PROTOCOL;
		ready.n_topics = split(copy, words);
		ready.topics = words;
		ready.order = (char *)(e->plugin->order == ENLIGHT_LANES ? "lanes" : "in order");
		ready.has_window = e->plugin->order == ENLIGHT_LANES;
		ready.window = (uint32_t)e->window;
		ready.version = (char *)e->plugin->version;
		frame.ready = &ready;
		frame_put(&e->out, &frame);
	}
	if (e->early.error != 0)
		e->out.error = e->early.error;
	buffer_add(&e->out, e->early.data, e->early.len);
	buffer_deinit(&e->early);
	free(words);
	free(copy);
	connection_flush(e);
}

static bool keep_start(struct enlight *e, const Enlight__Plugin__V1__Start *start)
{
	e->member = strdup(start->member);
	e->name = strdup(start->name);
	e->state_folder = strdup(start->state);
	e->folder = strdup(start->folder != NULL ? start->folder : "");
	e->beat_ms = start->beat_ms;
	return e->member != NULL && e->name != NULL && e->state_folder != NULL && e->folder != NULL;
}

static int start_plugin(struct enlight *e, const void *values)
{
	int r = e->plugin->start == NULL ? 0 : e->plugin->start(e, values, &e->state);

	if (r == 0) {
		e->started = true;
		say_ready(e);
	} else if (r != -ENOMEM && e->bad_settings) {
		connection_fail(e, EX_CONFIG, "its settings have errors");
	} else {
		connection_fail(e, EX_TEMPFAIL, "does not start: %s", strerror(abs(r)));
	}
	return r;
}

static void take_start(struct enlight *e, to_plugin *m)
{
	const Enlight__Plugin__V1__Start *start = m->start;
	void *values;
	int r;

	if (e->member != NULL || start->protocol < PROTOCOL) {
		connection_fail(e, EX_SOFTWARE, "the node breaks the protocol: Start");
		return;
	}
	if (e->plugin->deliver == NULL && e->plugin->deliver_many == NULL) {
		connection_fail(e, EX_SOFTWARE, "has neither deliver nor deliver_many");
		return;
	}
	if (!keep_start(e, start)) {
		connection_fail(e, EX_OSERR, "out of memory");
		return;
	}
	r = own_settings_read(e, &values, e->plugin->settings, e->plugin->settings_size,
		start->file != NULL ? start->file : "settings", e->folder,
		start->settings != NULL ? start->settings : "{}");
	if (r == SETTINGS_BAD)
		connection_fail(e, EX_CONFIG, "its settings have errors");
	else if (r != 0)
		connection_fail(e, EX_OSERR, "out of memory");
	else
		start_plugin(e, values);
}

/* ---- events ---- */

/* Appends a Result. A plugin that gave none gets the event again. */
static void answer(struct enlight *e, uint64_t number, struct enlight_result *result)
{
	static const char *const words[] = {
		[ENLIGHT_DONE] = "done", [ENLIGHT_RETRY] = "retry", [ENLIGHT_REJECT] = "reject"};
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Result m = ENLIGHT__PLUGIN__V1__RESULT__INIT;

	if (result->outcome < ENLIGHT_DONE || result->outcome > ENLIGHT_REJECT)
		enlight_result(result, ENLIGHT_RETRY, "the plugin gave no result");
	result->reason[REASON_MAX] = '\0';
	text_tidy(result->reason);
	m.number = number;
	m.outcome = (char *)words[result->outcome];
	m.has_retry_after_ms = result->outcome == ENLIGHT_RETRY && result->retry_after_ms != 0;
	m.retry_after_ms = result->retry_after_ms;
	if (result->outcome != ENLIGHT_DONE && result->reason[0] != '\0')
		m.reason = result->reason;
	frame.result = &m;
	frame_put(&e->out, &frame);
}

void connection_idle(struct enlight *e)
{
	size_t n = e->n;

	if (n == 0)
		return;
	memset(e->results, 0, n * sizeof *e->results);
	if (e->plugin->deliver_many != NULL)
		e->plugin->deliver_many(e, e->state, e->events, n, e->results);
	else
		e->results[0].outcome = e->plugin->deliver(e, e->state, &e->events[0], &e->results[0]);
	for (size_t i = 0; i < n; i++) {
		answer(e, e->deliveries[i].frame->deliver->number, &e->results[i]);
		delivery_deinit(&e->deliveries[i]);
	}
	e->n = 0;
	e->gathered_bytes = 0;
	connection_flush(e);
}

/* Takes the frame, as the one below does. */
static void take_deliver(struct enlight *e, to_plugin *m)
{
	uint64_t number = m->deliver->number;
	struct enlight_result result = {0};
	size_t len = m->deliver->event.len;
	int r = delivery_read(&e->deliveries[e->n], &e->events[e->n], m);

	if (r == 0) {
		e->n++;
		e->gathered_bytes += len;
		if (e->plugin->deliver_many == NULL || e->n == e->window || e->gathered_bytes >= GATHER_MAX)
			connection_idle(e);
		return;
	}
	if (r == DELIVERY_UNREADABLE)
		enlight_result(&result, ENLIGHT_REJECT, "cannot be read");
	else
		enlight_result(&result, ENLIGHT_RETRY, "out of memory");
	answer(e, number, &result);
	connection_flush(e);
}

/* A list that ends with NULL; NULL: out of memory. */
static char **ended(char *const *items, size_t n)
{
	char **out = calloc(n + 1, sizeof *out);

	if (out == NULL)
		return NULL;
	if (n > 0)
		memcpy(out, items, n * sizeof *out);
	return out;
}

static void take_erase(struct enlight *e, to_plugin *m)
{
	const Enlight__Plugin__V1__Erase *erase = m->erase;
	char **ids = ended(erase->ids, erase->n_ids), **subjects = ended(erase->subjects, erase->n_subjects);
	struct enlight_result result = {0};
	const struct enlight_erasure erasure = {
		.source = erase->source,
		.audience = erase->audience,
		.sequences = erase->sequences,
		.n_sequences = erase->n_sequences,
		.ids = (const char *const *)ids,
		.subjects = (const char *const *)subjects,
		.person = erase->person,
	};

	if (ids == NULL || subjects == NULL)
		enlight_result(&result, ENLIGHT_RETRY, "out of memory");
	else if (e->plugin->erase == NULL)
		result.outcome = ENLIGHT_DONE;
	else
		result.outcome = e->plugin->erase(e, e->state, &erasure, &result);
	answer(e, erase->number, &result);
	free(ids);
	free(subjects);
	wire_free(m);
	connection_flush(e);
}

/* ---- publications ---- */

static json_t *answer_errors(const Enlight__Plugin__V1__Published *p)
{
	json_t *errors = json_array();

	for (size_t i = 0; i < p->n_problems; i++)
		json_array_append_new(
			errors, json_pack("{ss, ss}", "pointer", p->problems[i]->place, "rule", p->problems[i]->rule));
	return json_pack("{so}", "errors", errors);
}

static json_t *answer_json(const Enlight__Plugin__V1__Published *p)
{
	char digest[2 * DIGEST_LEN + 1] = "";

	if (p->status >= 300)
		return answer_errors(p);
	if (p->has_digest && p->digest.len == DIGEST_LEN)
		hex_encode(digest, p->digest.data, DIGEST_LEN);
	return json_pack("{ss?, sI, ss?, sI, ss}", "id", p->id, "revision", (json_int_t)p->revision, "audience",
		p->audience, "sequence", (json_int_t)p->sequence, "digest", digest);
}

static void take_published(struct enlight *e, to_plugin *m)
{
	const Enlight__Plugin__V1__Published *p = m->published;
	json_t *json;

	if (e->plugin->published != NULL) {
		json = answer_json(p);
		if (json == NULL)
			connection_fail(e, EX_OSERR, "out of memory");
		else
			e->plugin->published(e, e->state, p->number, p->status, json);
		json_decref(json);
	} else if (p->status >= 300) {
		enlight_log(e, ENLIGHT_WARN, "publish: refused number=%llu status=%u%s%s%s%s",
			(unsigned long long)p->number, (unsigned)p->status, p->n_problems > 0 ? " place=" : "",
			p->n_problems > 0 ? p->problems[0]->place : "", p->n_problems > 0 ? " rule=" : "",
			p->n_problems > 0 ? p->problems[0]->rule : "");
	}
	wire_free(m);
}

static void take_drain(struct enlight *e, to_plugin *m)
{
	wire_free(m);
	if (e->status < 0)
		e->status = EX_OK;
}

/* ---- frames ---- */

static const struct {
	size_t offset; /* of the field in the frame */
	void (*take)(struct enlight *e, to_plugin *m);
} kinds[] = {
	{offsetof(to_plugin, deliver), take_deliver},
	{offsetof(to_plugin, erase), take_erase},
	{offsetof(to_plugin, published), take_published},
	{offsetof(to_plugin, drain), take_drain},
};

/* Which of `kinds` a frame is, -1: none we know, -2: several at once. */
static int kind_of(const to_plugin *m)
{
	const void *field;
	int kind = -1;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		memcpy(&field, (const char *)m + kinds[i].offset, sizeof field);
		if (field != NULL)
			kind = kind == -1 ? (int)i : -2;
	}
	return m->start != NULL && kind >= 0 ? -2 : kind;
}

void connection_take(struct enlight *e, struct bytes frame)
{
	to_plugin *m = wire_unpack(&enlight__plugin__v1__to_plugin__descriptor, frame, FRAME_CAP);
	int kind = m == NULL ? -2 : kind_of(m);

	if (m == NULL && errno == ENOMEM) {
		connection_fail(e, EX_OSERR, "out of memory");
	} else if (kind == -2) {
		connection_fail(e, EX_SOFTWARE, "the node breaks the protocol: a frame that cannot be read");
	} else if (m->start != NULL) {
		take_start(e, m);
	} else if (kind >= 0 && !e->started) {
		connection_fail(e, EX_SOFTWARE, "the node breaks the protocol: something before Start");
	} else if (kind >= 0) {
		if (kinds[kind].take != take_deliver)
			connection_idle(e);
		kinds[kind].take(e, m);
		return;
	}
	wire_free(m);
}

void connection_eof(struct enlight *e)
{
	connection_idle(e);
	if (e->status < 0)
		e->status = EX_OK;
}
