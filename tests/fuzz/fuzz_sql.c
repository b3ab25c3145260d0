/* Mappings of enlight-sql, and what a good one makes of an event of each of its topics. */
#include "core/event.h"
#include "fuzz.h"
#include "work.h"

static int run(void *context, const struct statement *s, const char *const *values, const char *note, bool *changed)
{
	must(s->sql != NULL);
	for (size_t i = 0; i < s->n_params; i++)
		if (values[i] != NULL)
			*(size_t *)context += strlen(values[i]);
	*changed = s->number % 2 == 0;
	return 0;
}

static int seen(void *context, const struct statement *s, const char *const *values, bool *done, uint64_t *withdrawn)
{
	*done = false;
	*withdrawn = 0;
	return 0;
}

static void apply(const struct sql *sql, const struct topic *topic)
{
	json_t *json = event_example(topic);
	size_t length = 0;
	const struct executor x = {&length, run, seen};
	const char *subject = json_string_value(json_object_get(json, "subject"));
	const char *const ids[] = {"1", NULL}, *const subjects[] = {subject, NULL};
	const struct work_erasure erasure = {
		json_string_value(json_object_get(json, "source")), "urn:x:1", ids, subjects};
	struct work_event e = {.json = json,
		.source = json_string_value(json_object_get(json, "source")),
		.id = json_string_value(json_object_get(json, "id")),
		.topic = topic->name,
		.subject = subject,
		.time = json_string_value(json_object_get(json, "time")),
		.audience = json_string_value(json_object_get(json, "enlightaudience")),
		.revision = 2,
		.sequence = 17,
		.settled = 16,
		.incarnation = 1};
	char reason[WORK_REASON_MAX];
	struct work work = {0};
	int r = work_prepare(&work, sql, &e, reason);

	must(r == 0 || r == WORK_REFUSED);
	if (r == 0)
		must(work_run(&work, &x) == 0);
	must(work_erase(sql, &erasure, &x) == 0);
	work_deinit(&work);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems = {0};
	struct mapping m;
	struct sql sql = {0};
	int r = mapping_parse(&m, "mapping.yaml", bytes_of(data, size), &problems);

	must(r == 0 || r == MAPPING_BAD);
	must((r == 0) == (problems.total == 0));
	if (r == 0) {
		must(sql_init(&sql, &m, '"', "ut.ee/registrar") == 0);
		for (size_t i = 0; i < m.n_tables; i++)
			apply(&sql, m.tables[i].of);
		apply(&sql, topic_find("course.withdrawal"));
	}
	sql_deinit(&sql);
	mapping_deinit(&m);
	problems_deinit(&problems);
	return 0;
}
