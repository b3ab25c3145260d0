#include "work.h"

#include "core/limits.h"
#include "value.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *number_text(uint64_t n)
{
	char *out;

	return asprintf(&out, "%llu", (unsigned long long)n) < 0 ? NULL : out;
}

/* Digest of owner and texts, each with its NUL, as the 64 digits they are found by; memory the caller frees. NULL: out of
 * memory. */
static char *digest_text(const struct sql *sql, const char *a, const char *b, const char *c)
{
	uint8_t digest[DIGEST_LEN];
	struct buffer in = {0};
	char *out = malloc(2 * DIGEST_LEN + 1);

	buffer_add(&in, sql->owner, strlen(sql->owner) + 1);
	buffer_add(&in, a, strlen(a) + 1);
	buffer_add(&in, b, strlen(b) + 1);
	if (c != NULL)
		buffer_add(&in, c, strlen(c) + 1);
	if (out != NULL && in.error == 0 && crypto_generichash(digest, sizeof digest, in.data, in.len, NULL, 0) == 0) {
		hex_encode(out, digest, sizeof digest);
	} else {
		free(out);
		out = NULL;
	}
	buffer_deinit(&in);
	return out;
}

/* ---- values ---- */

struct preparing {
	const struct mapping *mapping;
	char *reason;
};

/* "joint_course.ects is no number (registrar.yaml:12)" */
static int refuse(struct preparing *p, const char *table, const struct column *c, const char *rule)
{
	const char *slash = strrchr(p->mapping->file, '/');

	snprintf(p->reason, WORK_REASON_MAX, "%s.%s %s (%s:%u)", table, c->name, rule,
		slash != NULL ? slash + 1 : p->mapping->file, mapping_line(p->mapping, &c->from));
	return WORK_REFUSED;
}

/* Values of some columns from what stands at `root`, an event or the item `number` of a list. */
static int make_values(struct preparing *p, char **out, const char *table, const struct column *columns, size_t n,
	json_t *root, size_t number, bool required)
{
	const char *rule = NULL;
	json_t *json;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		json = columns[i].place.item_number ? json_integer((json_int_t)number)
						    : json_incref(place_find(&columns[i].place, root));
		r = json == NULL && columns[i].place.item_number ? -ENOMEM
								 : value_make(&out[i], &columns[i], json, &rule);
		json_decref(json);
		if (r == 0 && out[i] == NULL && required) {
			rule = "has no value and is part of the key";
			r = VALUE_REFUSED;
		}
		if (r == VALUE_REFUSED)
			r = refuse(p, table, &columns[i], rule);
	}
	return r;
}

static int make_item(struct preparing *p, char **out, const struct rows *rows, json_t *item, size_t number)
{
	int r = make_values(p, out, rows->table, rows->key, rows->n_key, item, number, true);

	if (r == 0)
		r = make_values(p, out + rows->n_key, rows->table, rows->columns, rows->n_columns, item, number, false);
	return r;
}

static int make_rows(struct preparing *p, struct work_rows *out, const struct rows *rows, json_t *event)
{
	json_t *list = place_find(&rows->place, event), *item;
	size_t i;
	int r;

	if (json_array_size(list) == 0)
		return 0;
	out->items = calloc(json_array_size(list), sizeof *out->items);
	if (out->items == NULL)
		return -ENOMEM;
	json_array_foreach(list, i, item)
	{
		out->items[i] = calloc(rows->n_key + rows->n_columns, sizeof **out->items);
		if (out->items[i] == NULL)
			return -ENOMEM;
		out->n = i + 1;
		r = make_item(p, out->items[i], rows, item, i + 1);
		if (r != 0)
			return r;
	}
	return 0;
}

static int make_key(struct preparing *p, struct work_table *w, json_t *event)
{
	const struct table *t = w->table;

	w->texts = calloc(t->n_key + t->n_columns, sizeof *w->texts);
	w->rows = calloc(t->n_rows + 1, sizeof *w->rows);
	if (w->texts == NULL || w->rows == NULL)
		return -ENOMEM;
	return make_values(p, w->texts, t->table, t->key, t->n_key, event, 0, true);
}

static int make_state(struct preparing *p, struct work_table *w, const struct work_event *e)
{
	const struct table *t = w->table;
	int r = make_key(p, w, e->json);

	if (r == 0)
		r = make_values(p, w->texts + t->n_key, t->table, t->columns, t->n_columns, e->json, 0, false);
	for (size_t i = 0; r == 0 && i < t->n_rows; i++)
		r = make_rows(p, &w->rows[i], &t->rows[i], e->json);
	w->revision = number_text(e->revision);
	return r == 0 && w->revision == NULL ? -ENOMEM : r;
}

/* An object of which only publisher and subject are known, as an event that has what a key can need. */
static json_t *stand_in(const struct topic *topic, const char *source, const char *subject)
{
	const char *id = strchr(subject, '/');
	json_t *json = json_pack("{s:s, s:s, s:{}}", "source", source, "subject", subject, "data");

	if (json != NULL && topic->id != NULL && id != NULL &&
		json_object_set_new(json_object_get(json, "data"), topic->id, json_string(id + 1)) != 0) {
		json_decref(json);
		json = NULL;
	}
	return json;
}

static int make_withdrawal(struct preparing *p, struct work_table *w, const struct work_event *e, uint64_t revision)
{
	json_t *object = stand_in(w->table->of, e->source, e->subject);
	const char *rule;
	int r = object == NULL ? -ENOMEM : make_key(p, w, object);

	json_decref(object);
	if (r == 0 && !table_deletes_withdrawn(w->table))
		r = value_convert(&w->time, w->table->withdrawn_type.kind, e->time, false, &rule);
	if (r == VALUE_REFUSED) {
		snprintf(p->reason, WORK_REASON_MAX, "%s.%s %s", w->table->table, w->table->withdrawn, rule);
		return WORK_REFUSED;
	}
	w->revision = number_text(revision);
	return r == 0 && w->revision == NULL ? -ENOMEM : r;
}

/* ---- the whole ---- */

static int make_done(struct work *w, const struct work_event *e)
{
	char incarnation[16];

	snprintf(incarnation, sizeof incarnation, "%u", (unsigned)e->incarnation);
	w->done[DONE_EVENT] = digest_text(w->sql, e->source, e->id, NULL);
	w->done[DONE_SOURCE] = strdup(e->source);
	w->done[DONE_ID] = strdup(e->id);
	w->done[DONE_CHANNEL] = digest_text(w->sql, e->source, e->audience, incarnation);
	w->done[DONE_SEQUENCE] = number_text(e->sequence);
	w->done[DONE_SETTLED] = number_text(e->settled);
	w->own_object = digest_text(w->sql, e->source, e->topic, e->subject);
	for (size_t i = 0; i <= DONE_SETTLED; i++) {
		if (w->done[i] == NULL)
			return -ENOMEM;
	}
	/* One in 256, whatever else the channel carries between ours. */
	w->prune = e->settled != 0 && strncmp(w->done[DONE_EVENT], "00", 2) == 0;
	return w->own_object == NULL ? -ENOMEM : 0;
}

/* What the event takes back; NULL: it is no withdrawal. */
static const char *withdrawn_topic(const struct work_event *e, uint64_t *revision)
{
	const char *dot = strchr(e->topic, '.');
	json_t *data = json_object_get(e->json, "data"), *number = json_object_get(data, "revision");

	if (dot == NULL || strcmp(dot, ".withdrawal") != 0)
		return NULL;
	*revision = json_is_string(number) ? strtoull(json_string_value(number), NULL, 10)
					   : (uint64_t)json_integer_value(number);
	return json_string_value(json_object_get(data, "topic"));
}

static int make_tables(struct preparing *p, struct work *w, const struct work_event *e)
{
	const struct mapping *m = p->mapping;
	uint64_t withdrawn_revision = 0;
	const char *withdrawn = withdrawn_topic(e, &withdrawn_revision);
	int r = 0;

	w->tables = calloc(m->n_tables + 1, sizeof *w->tables);
	if (w->tables == NULL)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < m->n_tables; i++) {
		struct work_table *t = &w->tables[w->n_tables];
		bool state = strcmp(m->tables[i].topic, e->topic) == 0;

		if (!state && (withdrawn == NULL || strcmp(m->tables[i].topic, withdrawn) != 0))
			continue;
		*t = (struct work_table){.table = &m->tables[i], .sql = &w->sql->tables[i], .withdraw = !state};
		w->n_tables++;
		r = state ? make_state(p, t, e) : make_withdrawal(p, t, e, withdrawn_revision);
		if (r != 0 || state || w->done[DONE_OBJECT] != NULL)
			continue;
		w->done[DONE_OBJECT] = digest_text(w->sql, e->source, withdrawn, e->subject);
		w->done[DONE_REVISION] = number_text(withdrawn_revision);
		if (w->done[DONE_OBJECT] == NULL || w->done[DONE_REVISION] == NULL)
			r = -ENOMEM;
	}
	return r;
}

int work_prepare(
	struct work *out, const struct sql *sql, const struct work_event *event, char reason[static WORK_REASON_MAX])
{
	struct preparing p = {sql->mapping, reason};
	int r;

	*out = (struct work){.sql = sql, .revision = event->revision};
	r = make_tables(&p, out, event);
	if (r == 0 && out->n_tables != 0)
		r = make_done(out, event);
	return r;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; texts != NULL && i < n; i++)
		free(texts[i]);
	free(texts);
}

static void work_table_deinit(struct work_table *w)
{
	const struct table *t = w->table;

	for (size_t i = 0; w->rows != NULL && i < t->n_rows; i++) {
		for (size_t j = 0; j < w->rows[i].n; j++)
			free_texts(w->rows[i].items[j], t->rows[i].n_key + t->rows[i].n_columns);
		free(w->rows[i].items);
	}
	free(w->rows);
	free_texts(w->texts, t->n_key + t->n_columns);
	free(w->revision);
	free(w->time);
}

void work_deinit(struct work *w)
{
	for (size_t i = 0; i < w->n_tables; i++)
		work_table_deinit(&w->tables[i]);
	free(w->tables);
	for (size_t i = 0; i < DONE_VALUES; i++)
		free(w->done[i]);
	free(w->own_object);
	*w = (struct work){0};
}

size_t work_size(const struct work *w)
{
	size_t n = 1;

	for (size_t i = 0; i < w->n_tables; i++) {
		n++;
		for (size_t j = 0; j < w->tables[i].table->n_rows; j++)
			n += w->tables[i].rows[j].n;
	}
	return n;
}

/* ---- running ---- */

/* A statement with the values of its parameters; `item` is that of a list's row, or NULL. */
static const char *value_of(const struct param *p, const struct work_table *w, const struct rows *rows,
	char *const *item, char *const *done)
{
	if (p->kind == PARAM_DONE) {
		assert(done != NULL);
		return done[p->index];
	}
	assert(w != NULL);
	if (p->kind == PARAM_ROW_KEY || p->kind == PARAM_ROW_COLUMN) {
		assert(rows != NULL && item != NULL);
		return item[p->kind == PARAM_ROW_KEY ? p->index : rows->n_key + p->index];
	}
	switch (p->kind) {
	case PARAM_KEY:
		return w->texts[p->index];
	case PARAM_COLUMN:
		return w->texts[w->table->n_key + p->index];
	case PARAM_REVISION:
		return w->revision;
	case PARAM_PERSON:
		return w->person;
	default:
		return w->time;
	}
}

struct running {
	const struct executor *x;
	const struct work_table *table;
	const struct rows *rows;
	char *const *item, *const *done;
};

/* Runs a statement, if it is needed at all. */
static int run(const struct running *on, const struct statement *s, const char *note, bool *changed)
{
	const char **values;
	bool ignored;
	int r;

	if (s->sql == NULL)
		return 0;
	values = calloc(s->n_params + 1, sizeof *values);
	if (values == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_params; i++)
		values[i] = value_of(&s->params[i], on->table, on->rows, on->item, on->done);
	r = on->x->run(on->x->context, s, values, note, changed != NULL ? changed : &ignored);
	free(values);
	return r;
}

static int run_rows(
	const struct running *on, const struct rows *rows, const struct rows_sql *sql, const struct work_rows *w)
{
	int r = run(on, &sql->clear, "its list anew", NULL);

	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = run(&(struct running){on->x, on->table, rows, w->items[i], NULL}, &sql->add, NULL, NULL);
	return r;
}

/* The new state, unless a newer one is there. */
static int run_state(const struct running *on)
{
	const struct work_table *w = on->table;
	bool changed = false;
	int r = run(on, &w->sql->update, "the row, when an older revision is there", &changed);

	if (r == 0 && !changed)
		r = run(on, &w->sql->insert, "when that changed no row: a new one, when none is there", &changed);
	for (size_t i = 0; r == 0 && changed && i < w->table->n_rows; i++)
		r = run_rows(on, &w->table->rows[i], &w->sql->rows[i], &w->rows[i]);
	return r;
}

static int run_withdrawal(const struct running *on)
{
	const struct work_table *w = on->table;
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->table->n_rows; i++)
		r = run(on, &w->sql->rows[i].withdraw, "its list, unless a newer revision is there", NULL);
	if (r == 0)
		r = run(on, &w->sql->withdraw, "the row, unless a newer revision is there", NULL);
	return r;
}

static int ask_seen(const struct work *w, const struct executor *x, bool *done, uint64_t *withdrawn)
{
	const char *values[2] = {w->done[DONE_EVENT], w->own_object};

	*done = false;
	*withdrawn = 0;
	return x->seen(x->context, &w->sql->seen, values, done, withdrawn);
}

int work_run(const struct work *w, const struct executor *x)
{
	struct running on = {.x = x, .done = w->done};
	uint64_t withdrawn;
	bool done;
	int r;

	if (w->n_tables == 0)
		return 0;
	r = ask_seen(w, x, &done, &withdrawn);
	if (r != 0 || done)
		return r;
	for (size_t i = 0; r == 0 && i < w->n_tables; i++) {
		on.table = &w->tables[i];
		if (on.table->withdraw)
			r = run_withdrawal(&on);
		else if (w->revision > withdrawn)
			r = run_state(&on);
	}
	on.table = NULL;
	if (r == 0)
		r = run(&on, &w->sql->record, "that it is done", NULL);
	if (r == 0 && w->prune)
		r = run(&on, &w->sql->prune, "what will not come again", NULL);
	return r;
}

/* ---- erasure ---- */

static int erase_object(const struct running *on)
{
	const struct work_table *w = on->table;
	int r = 0;

	for (size_t i = 0; r == 0 && i < w->table->n_rows; i++)
		r = run(on, &w->sql->rows[i].erase, "its list", NULL);
	if (r == 0)
		r = run(on, &w->sql->erase, "the row", NULL);
	return r;
}

/* What the tables have of a subject, whatever the topic. */
static int erase_subject(const struct sql *sql, const char *source, const char *subject, const struct executor *x)
{
	char reason[WORK_REASON_MAX];
	struct preparing p = {sql->mapping, reason};
	size_t family = strcspn(subject, "/");
	json_t *object;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sql->mapping->n_tables; i++) {
		struct work_table w = {.table = &sql->mapping->tables[i], .sql = &sql->tables[i]};

		if (strncmp(w.table->of->family, subject, family) != 0 || w.table->of->family[family] != '\0')
			continue;
		object = stand_in(w.table->of, source, subject);
		r = object == NULL ? -ENOMEM : make_key(&p, &w, object);
		if (r == 0)
			r = erase_object(&(struct running){.x = x, .table = &w});
		else if (r == WORK_REFUSED)
			r = 0; /* what cannot be a key is in no row */
		json_decref(object);
		work_table_deinit(&w);
	}
	return r;
}

/* The source alone: more of the key is not asked for. */
static int make_source(struct work_table *w, const char *source)
{
	const struct table *t = w->table;

	w->texts = calloc(t->n_key + t->n_columns, sizeof *w->texts);
	for (size_t i = 0; w->texts != NULL && i < t->n_key; i++) {
		if (place_is(&t->key[i].place, "source", NULL) && (w->texts[i] = strdup(source)) == NULL)
			return -ENOMEM;
	}
	return w->texts != NULL ? 0 : -ENOMEM;
}

/* What the tables have of a person, found by the columns with its identifiers. */
static int erase_person(const struct sql *sql, const char *source, const char *person, const struct executor *x)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sql->mapping->n_tables; i++) {
		struct work_table w = {.table = &sql->mapping->tables[i], .sql = &sql->tables[i], .person = person};
		struct running on = {.x = x, .table = &w};

		r = make_source(&w, source);
		for (size_t j = 0; r == 0 && j < w.table->n_rows; j++)
			r = run(&on, &w.sql->rows[j].erase_person, "its list", NULL);
		if (r == 0)
			r = run(&on, &w.sql->erase_person, "the person's rows", NULL);
		work_table_deinit(&w);
	}
	return r;
}

/* Should the event come all the same, it finds itself done. */
static int erase_event(const struct sql *sql, const char *source, const char *id, const struct executor *x)
{
	char *done[DONE_VALUES] = {[DONE_EVENT] = digest_text(sql, source, id, NULL),
		[DONE_SOURCE] = strdup(source),
		[DONE_ID] = strdup(id)};
	int r = -ENOMEM;

	if (done[DONE_EVENT] != NULL && done[DONE_SOURCE] != NULL && done[DONE_ID] != NULL)
		r = run(&(struct running){.x = x, .done = done}, &sql->record, "that it is done", NULL);
	for (size_t i = 0; i < DONE_VALUES; i++)
		free(done[i]);
	return r;
}

int work_erase(const struct sql *sql, const struct work_erasure *e, const struct executor *x)
{
	int r = e->person != NULL ? erase_person(sql, e->source, e->person, x) : 0;

	for (size_t i = 0; r == 0 && e->subjects != NULL && e->subjects[i] != NULL; i++)
		r = erase_subject(sql, e->source, e->subjects[i], x);
	for (size_t i = 0; r == 0 && e->ids != NULL && e->ids[i] != NULL; i++)
		r = erase_event(sql, e->source, e->ids[i], x);
	return r;
}
