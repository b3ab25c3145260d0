#include "memory_ledger.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Every table is an array of rows sorted by their keys. A key is a string of bytes whose order is the row's: numbers
 * stand in it big-endian. Changes are noted with the row that was there before, so that a part or all of them can be undone
 * from the end; a row that was replaced lives until the commit, and with it every view of it. */

enum table {
	CHANNELS,    /* publisher NUL audience -> channel_row, audience */
	CHANNEL_IDS, /* id -> key in CHANNELS */
	BATCHES,     /* number -> stored_batch */
	ENDS,        /* channel, last -> number */
	ASIDE,       /* number -> stored_batch */
	BRANCHES,    /* channel, digest of a batch in ASIDE -> above */
	LEFT_OUT,    /* name, number, slot -> object_row, of batches in ASIDE */
	LEFT_EVENTS, /* name, number -> nothing */
	ORIGINS,     /* number -> enum origin */
	AGAIN,       /* enum origin, number -> nothing */
	EVENTS,      /* name -> place */
	OBJECTS,     /* name, number, slot -> object_row */
	PERSONS,     /* number, name -> nothing */
	MARKS,       /* number, slot, kind -> text */
	UNCOVERED,   /* channel, sequence -> nothing */
	RECEIPTS,    /* channel, reader -> stored_receipt */
	NOTES,       /* turn, number, kind NUL member -> text */
	FORKS,       /* channel, header, header -> both signatures */
	SETTINGS,    /* name -> value */
	CURSORS,     /* plugin -> place */
	HELD,        /* plugin, number, slot -> held_row */
	N_TABLES,
};

struct row {
	size_t key_len, value_len;
	uint8_t *value; /* behind the key */
	_Alignas(max_align_t) uint8_t key[];
};

struct change {
	enum table table;
	struct row *before; /* NULL: there was none */
	struct row *after;  /* NULL: removed */
};

struct memory_ledger {
	struct {
		struct row **rows;
		size_t n, size;
	} tables[N_TABLES];
	struct change *changes;
	size_t n_changes, size_changes;
	size_t part; /* changes before the savepoint */
	bool in_transaction, in_part;
	uint64_t next_number, next_channel;
	uint64_t bytes, limit_bytes;
	uint64_t fail_after;
	int fail_result; /* 0: nothing fails */
};

struct stored_batch {
	struct batch_row row; /* its views are made anew for each look */
	size_t header, signature, body, wrapped;
	bool has_body;
	uint8_t data[];
};

struct stored_receipt {
	struct receipt_row row;
	uint8_t signature[SIGNATURE_LEN];
	uint8_t packed[];
};

/* Keys */

struct key {
	uint8_t *grown; /* NULL: all is in `room` */
	size_t len;
	int error;
	uint8_t room[256];
};

static void key_add(struct key *k, const void *data, size_t len)
{
	uint8_t *grown;

	if (k->error != 0 || len == 0)
		return;
	if (k->len + len > sizeof k->room) {
		grown = realloc(k->grown, k->len + len);
		if (grown == NULL) {
			k->error = -ENOMEM;
			return;
		}
		if (k->grown == NULL)
			memcpy(grown, k->room, k->len);
		k->grown = grown;
	}
	memcpy((k->grown != NULL ? k->grown : k->room) + k->len, data, len);
	k->len += len;
}

static void key_u64(struct key *k, uint64_t v)
{
	uint8_t be[8];

	for (int i = 0; i < 8; i++)
		be[i] = (uint8_t)(v >> (56 - 8 * i));
	key_add(k, be, sizeof be);
}

static void key_text(struct key *k, const char *s)
{
	key_add(k, s, strlen(s) + 1);
}

static void key_name(struct key *k, const struct index_key *name)
{
	key_add(k, name->bytes, sizeof name->bytes);
}

static struct bytes key_view(const struct key *k)
{
	return bytes_of(k->grown != NULL ? k->grown : k->room, k->len);
}

static void key_deinit(struct key *k)
{
	free(k->grown);
}

static uint64_t read_u64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* Rows */

static struct row *row_new(struct bytes key, struct bytes value)
{
	size_t align = _Alignof(max_align_t), at = (key.len + align - 1) / align * align;
	struct row *row = malloc(sizeof *row + at + value.len);

	if (row == NULL)
		return NULL;
	row->key_len = key.len;
	row->value_len = value.len;
	row->value = row->key + at;
	memcpy(row->key, key.data, key.len);
	if (value.len != 0)
		memcpy(row->value, value.data, value.len);
	return row;
}

static struct bytes row_key(const struct row *row)
{
	return bytes_of(row->key, row->key_len);
}

static struct bytes row_value(const struct row *row)
{
	return bytes_of(row->value, row->value_len);
}

static int compare(struct bytes a, struct bytes b)
{
	int r = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

	return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
}

/* Where the first row at or behind the key stands. */
static size_t seek(const struct memory_ledger *m, enum table table, struct bytes key)
{
	size_t low = 0, high = m->tables[table].n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(row_key(m->tables[table].rows[middle]), key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct row *row_at(const struct memory_ledger *m, enum table table, size_t i)
{
	return i < m->tables[table].n ? m->tables[table].rows[i] : NULL;
}

static bool row_begins(const struct row *row, const struct key *key)
{
	return row != NULL && row->key_len >= key->len && memcmp(row->key, key_view(key).data, key->len) == 0;
}

static struct row *row_find(const struct memory_ledger *m, enum table table, struct bytes key)
{
	struct row *row = row_at(m, table, seek(m, table, key));

	return row != NULL && bytes_equal(row_key(row), key) ? row : NULL;
}

/* Puts `row` (or, when NULL, nothing) where a row of that key stands or would stand. There is room for one more. */
static struct row *exchange(struct memory_ledger *m, enum table table, struct bytes key, struct row *row)
{
	size_t i = seek(m, table, key), n = m->tables[table].n;
	struct row **rows = m->tables[table].rows;
	struct row *before = row_at(m, table, i);

	if (before != NULL && !bytes_equal(row_key(before), key))
		before = NULL;
	if (before == NULL && row != NULL) {
		memmove(rows + i + 1, rows + i, (n - i) * sizeof *rows);
		m->tables[table].n++;
	} else if (before != NULL && row == NULL) {
		memmove(rows + i, rows + i + 1, (n - i - 1) * sizeof *rows);
		m->tables[table].n--;
	}
	if (row != NULL)
		rows[i] = row;
	m->bytes += row != NULL ? row->key_len + row->value_len : 0;
	m->bytes -= before != NULL ? before->key_len + before->value_len : 0;
	return before;
}

static bool grow(void **items, size_t *size, size_t n, size_t item)
{
	size_t wanted = *size != 0 ? 2 * *size : 16;
	void *grown;

	if (n < *size)
		return true;
	grown = realloc(*items, wanted * item);
	if (grown == NULL)
		return false;
	*items = grown;
	*size = wanted;
	return true;
}

static bool room_for_change(struct memory_ledger *m, enum table table)
{
	void *rows = m->tables[table].rows, *changes = m->changes;
	bool ok;

	ok = grow(&rows, &m->tables[table].size, m->tables[table].n, sizeof *m->tables[table].rows);
	m->tables[table].rows = rows;
	if (ok)
		ok = grow(&changes, &m->size_changes, m->n_changes, sizeof *m->changes);
	m->changes = changes;
	return ok;
}

static int planned_failure(struct memory_ledger *m)
{
	int r = m->fail_result;

	if (r == 0 || m->fail_after-- > 0)
		return 0;
	m->fail_result = 0;
	return r;
}

/* Adds, replaces or (row NULL) removes. `row` is taken in any case. */
static int change(struct memory_ledger *m, enum table table, struct bytes key, struct row *row)
{
	int r = planned_failure(m);

	assert(m->in_transaction);
	if (r == 0 && !room_for_change(m, table))
		r = -ENOMEM;
	if (r != 0) {
		free(row);
		return r;
	}
	m->changes[m->n_changes++] =
		(struct change){.table = table, .before = exchange(m, table, key, row), .after = row};
	return 0;
}

/* The key is given up. */
static int put(struct memory_ledger *m, enum table table, struct key *key, struct bytes value)
{
	struct row *row = key->error == 0 ? row_new(key_view(key), value) : NULL;
	int r = row != NULL ? change(m, table, row_key(row), row) : -ENOMEM;

	key_deinit(key);
	return r;
}

static int drop(struct memory_ledger *m, enum table table, const struct row *row)
{
	return change(m, table, row_key(row), NULL);
}

static void undo_to(struct memory_ledger *m, size_t n)
{
	while (m->n_changes > n) {
		struct change *c = &m->changes[--m->n_changes];
		const struct row *named = c->before != NULL ? c->before : c->after;

		if (named != NULL)
			exchange(m, c->table, row_key(named), c->before);
		free(c->after);
	}
}

/* Life */

struct memory_ledger *memory_ledger_new(void)
{
	struct memory_ledger *m = calloc(1, sizeof *m);

	if (m != NULL) {
		m->next_number = 1;
		m->next_channel = 1;
	}
	return m;
}

static bool copy_table(struct memory_ledger *to, const struct memory_ledger *from, enum table table)
{
	size_t n = from->tables[table].n;

	to->tables[table].rows = calloc(n + 1, sizeof *to->tables[table].rows);
	if (to->tables[table].rows == NULL)
		return false;
	to->tables[table].size = n + 1;
	for (size_t i = 0; i < n; i++) {
		const struct row *row = from->tables[table].rows[i];

		to->tables[table].rows[i] = row_new(row_key(row), row_value(row));
		if (to->tables[table].rows[i] == NULL)
			return false;
		to->tables[table].n++;
	}
	return true;
}

struct memory_ledger *memory_ledger_copy(const struct memory_ledger *m)
{
	struct memory_ledger *copy = memory_ledger_new();

	assert(!m->in_transaction);
	if (copy == NULL)
		return NULL;
	for (int i = 0; i < N_TABLES; i++)
		if (!copy_table(copy, m, i)) {
			memory_ledger_free(copy);
			return NULL;
		}
	copy->next_channel = m->next_channel;
	copy->bytes = m->bytes;
	copy->limit_bytes = m->limit_bytes;
	memory_ledger_restart(copy);
	return copy;
}

void memory_ledger_free(struct memory_ledger *m)
{
	if (m == NULL)
		return;
	memory_ledger_rollback(m);
	for (int i = 0; i < N_TABLES; i++) {
		for (size_t k = 0; k < m->tables[i].n; k++)
			free(m->tables[i].rows[k]);
		free(m->tables[i].rows);
	}
	free(m->changes);
	free(m);
}

void memory_ledger_begin(struct memory_ledger *m)
{
	assert(!m->in_transaction);
	m->in_transaction = true;
}

void memory_ledger_commit(struct memory_ledger *m)
{
	assert(m->in_transaction && !m->in_part);
	for (size_t i = 0; i < m->n_changes; i++)
		free(m->changes[i].before);
	m->n_changes = 0;
	m->in_transaction = false;
}

void memory_ledger_rollback(struct memory_ledger *m)
{
	undo_to(m, 0);
	m->in_transaction = false;
	m->in_part = false;
}

void memory_ledger_restart(struct memory_ledger *m)
{
	static const enum table tables[] = {BATCHES, ASIDE};

	m->next_number = 1;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct row *last = row_at(m, tables[i], m->tables[tables[i]].n - 1);

		if (last != NULL && read_u64(last->key) >= m->next_number)
			m->next_number = read_u64(last->key) + 1;
	}
}

void memory_ledger_limit(struct memory_ledger *m, uint64_t bytes)
{
	m->limit_bytes = bytes;
}

void memory_ledger_fail(struct memory_ledger *m, uint64_t changes, int result)
{
	m->fail_after = changes;
	m->fail_result = result;
}

int memory_ledger_forks(const struct memory_ledger *m, uint64_t channel, memory_fork_visit visit, void *context)
{
	struct key key = {0};
	int r = 0;

	key_u64(&key, channel);
	for (size_t i = seek(m, FORKS, key_view(&key)); r == 0 && row_begins(row_at(m, FORKS, i), &key); i++) {
		const struct row *row = m->tables[FORKS].rows[i];
		size_t len = (size_t)read_u64(row->key + 8);

		r = visit(context, bytes_of(row->key + 16, len), row->value,
			bytes_of(row->key + 16 + len, row->key_len - 16 - len), row->value + SIGNATURE_LEN);
	}
	return r;
}

size_t memory_ledger_held(const struct memory_ledger *m)
{
	return m->tables[HELD].n;
}

uint64_t memory_ledger_bytes(const struct memory_ledger *m)
{
	return m->bytes;
}

/* The ledger */

static bool position(uint64_t v)
{
	return v <= INT64_MAX; /* the store's range */
}

static int channel_copy(struct channel_row *out, const struct row *row)
{
	memcpy(out, row->value, sizeof *out);
	out->audience = strdup((const char *)row->value + sizeof *out);
	return out->audience != NULL ? 0 : -ENOMEM;
}

static int channel_find(void *ledger, const char *publisher, const char *audience, struct channel_row *out)
{
	struct memory_ledger *m = ledger;
	struct key key = {0};
	struct row *row;

	*out = (struct channel_row){0};
	key_text(&key, publisher);
	key_text(&key, audience);
	row = row_find(m, CHANNELS, key_view(&key));
	key_deinit(&key);
	return row != NULL ? channel_copy(out, row) : LEDGER_NONE;
}

static int channel_add(struct memory_ledger *m, const struct key *named, uint64_t id)
{
	struct key key = {0};

	key_u64(&key, id);
	return put(m, CHANNEL_IDS, &key, key_view(named));
}

static int channel_write(struct memory_ledger *m, struct key *key, const struct channel_row *row, const char *audience)
{
	size_t len = strlen(audience) + 1;
	uint8_t *value = malloc(sizeof *row + len);
	int r = -ENOMEM;

	if (value == NULL) {
		key_deinit(key);
		return r;
	}
	memcpy(value, row, sizeof *row);
	memcpy(value + sizeof *row, audience, len);
	r = put(m, CHANNELS, key, bytes_of(value, sizeof *row + len));
	free(value);
	return r;
}

static int channel_put(void *ledger, struct channel_row *row)
{
	struct memory_ledger *m = ledger;
	struct key key = {0}, id = {0};
	const struct row *named;
	int r;

	if (!position(row->first) || !position(row->last))
		return -ERANGE;
	if (row->id != 0) { /* its name stays */
		key_u64(&id, row->id);
		named = row_find(m, CHANNEL_IDS, key_view(&id));
		if (named == NULL)
			return LEDGER_NONE;
		key_add(&key, named->value, named->value_len);
		return channel_write(m, &key, row, row->audience);
	}
	key_text(&key, row->publisher);
	key_text(&key, row->audience);
	if (row_find(m, CHANNELS, key_view(&key)) != NULL) {
		key_deinit(&key);
		return -EEXIST;
	}
	row->id = m->next_channel++;
	r = channel_add(m, &key, row->id);
	if (r == 0)
		return channel_write(m, &key, row, row->audience);
	key_deinit(&key);
	return r;
}

static uint64_t next_number(void *ledger)
{
	struct memory_ledger *m = ledger;

	return m->next_number++;
}

static struct batch_row batch_view(const struct row *row)
{
	const struct stored_batch *b = (const struct stored_batch *)(const void *)row->value;
	struct batch_row out = b->row;
	const uint8_t *p = b->data;

	out.header = bytes_of(p, b->header);
	out.signature = bytes_of(p + b->header, b->signature);
	out.wrapped = bytes_of(p + b->header + b->signature, b->wrapped);
	out.body = b->has_body ? bytes_of(p + b->header + b->signature + b->wrapped, b->body) : bytes_of(NULL, 0);
	return out;
}

static struct stored_batch *batch_pack(const struct batch_row *row, size_t *len)
{
	const struct bytes parts[] = {row->header, row->signature, row->wrapped, row->body};
	struct stored_batch *b;
	uint8_t *p;

	*len = sizeof *b + row->header.len + row->signature.len + row->wrapped.len + row->body.len;
	b = calloc(1, *len);
	if (b == NULL)
		return NULL;
	b->row = *row;
	b->header = row->header.len;
	b->signature = row->signature.len;
	b->wrapped = row->wrapped.len;
	b->body = row->body.len;
	b->has_body = row->body.data != NULL;
	p = b->data;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		if (parts[i].data != NULL)
			memcpy(p, parts[i].data, parts[i].len);
		p += parts[i].len;
	}
	return b;
}

static struct row *find_number(const struct memory_ledger *m, enum table table, uint64_t number)
{
	struct key key = {0};

	key_u64(&key, number);
	return row_find(m, table, key_view(&key));
}

static struct row *find_pair(const struct memory_ledger *m, enum table table, uint64_t a, uint64_t b)
{
	struct key key = {0};

	key_u64(&key, a);
	key_u64(&key, b);
	return row_find(m, table, key_view(&key));
}

/* The first row whose key is the pair or comes after it, as long as it begins with `a`. */
static struct row *find_pair_from(const struct memory_ledger *m, enum table table, uint64_t a, uint64_t b)
{
	struct key key = {0};
	struct row *row;

	key_u64(&key, a);
	key_u64(&key, b);
	row = row_at(m, table, seek(m, table, key_view(&key)));
	return row != NULL && read_u64(row->key) == a ? row : NULL;
}

static bool is_full(const struct memory_ledger *m, const struct batch_row *row)
{
	return m->limit_bytes != 0 && !row->erases && m->bytes + row->header.len + row->body.len > m->limit_bytes;
}

static int batch_add(void *ledger, const struct batch_row *row)
{
	struct memory_ledger *m = ledger;
	uint64_t last = row->first + row->count - 1;
	struct key number = {0}, end = {0};
	struct stored_batch *b;
	size_t len;
	int r;

	if (!position(row->number) || !position(row->first) || !position(last))
		return -ERANGE;
	if (is_full(m, row))
		return LEDGER_FULL;
	if (find_number(m, CHANNEL_IDS, row->channel) == NULL)
		return -EINVAL;
	if (find_number(m, BATCHES, row->number) != NULL || find_pair(m, ENDS, row->channel, last) != NULL)
		return -EEXIST;
	b = batch_pack(row, &len);
	if (b == NULL)
		return -ENOMEM;
	key_u64(&number, row->number);
	r = put(m, BATCHES, &number, bytes_of(b, len));
	free(b);
	if (r != 0)
		return r;
	key_u64(&end, row->channel);
	key_u64(&end, last);
	return put(m, ENDS, &end, bytes_of(&row->number, sizeof row->number));
}

static int batch_get(void *ledger, uint64_t number, struct batch_row *out)
{
	const struct row *row = find_number(ledger, BATCHES, number);

	if (row == NULL)
		return LEDGER_NONE;
	*out = batch_view(row);
	return 0;
}

static int batch_mend(void *ledger, const struct batch_row *row)
{
	struct batch_row mended;
	struct key number = {0};
	struct stored_batch *b;
	size_t len;
	int r = batch_get(ledger, row->number, &mended);

	if (r != 0)
		return r;
	mended.digest = row->digest;
	mended.header = row->header;
	mended.signature = row->signature;
	mended.wrapped = row->wrapped;
	mended.body = row->body;
	b = batch_pack(&mended, &len);
	if (b == NULL)
		return -ENOMEM;
	key_u64(&number, row->number);
	r = put(ledger, BATCHES, &number, bytes_of(b, len));
	free(b);
	return r;
}

/* The batch that a row of ENDS names. */
static int batch_of_end(struct memory_ledger *m, const struct row *end, struct batch_row *out)
{
	uint64_t number;

	if (end == NULL)
		return LEDGER_NONE;
	memcpy(&number, end->value, sizeof number);
	return batch_get(m, number, out);
}

static int batch_ending(void *ledger, uint64_t channel, uint64_t last, struct batch_row *out)
{
	return batch_of_end(ledger, find_pair(ledger, ENDS, channel, last), out);
}

static int batch_holding(void *ledger, uint64_t channel, uint64_t sequence, struct batch_row *out)
{
	int r = batch_of_end(ledger, find_pair_from(ledger, ENDS, channel, sequence), out);

	return r == 0 && out->first > sequence ? LEDGER_NONE : r;
}

/* Removes what names a batch's number: at the start of the key, behind a keyed name, or in the value. */
enum { NUMBER_FIRST = 0, NUMBER_AFTER_NAME = sizeof(struct index_key), NUMBER_IN_VALUE = -1 };

static int drop_number(struct memory_ledger *m, enum table table, int where, uint64_t number)
{
	for (size_t i = m->tables[table].n; i-- > 0;) {
		const struct row *row = m->tables[table].rows[i];
		struct place place;
		uint64_t named;
		int r;

		if (where == NUMBER_IN_VALUE) {
			memcpy(&place, row->value, sizeof place);
			named = place.number;
		} else {
			named = read_u64(row->key + where);
		}
		r = named == number ? drop(m, table, row) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

static int leave_event_out(struct memory_ledger *m, struct bytes name, uint64_t number)
{
	struct key key = {0};

	key_add(&key, name.data, name.len);
	key_u64(&key, number);
	return put(m, LEFT_EVENTS, &key, bytes_of(NULL, 0));
}

/* Moves every event and revision in the batch to where those of batches that are kept apart stand. */
static int leave_out(struct memory_ledger *m, uint64_t number)
{
	int r = 0;

	for (size_t i = m->tables[EVENTS].n; i-- > 0 && r == 0;) {
		const struct row *row = m->tables[EVENTS].rows[i];
		struct place place;

		memcpy(&place, row->value, sizeof place);
		if (place.number != number)
			continue;
		r = leave_event_out(m, row_key(row), number);
		if (r == 0)
			r = drop(m, EVENTS, row);
	}

	for (size_t i = m->tables[OBJECTS].n; i-- > 0 && r == 0;) {
		const struct row *row = m->tables[OBJECTS].rows[i];
		struct key key = {0};

		if (read_u64(row->key + NUMBER_AFTER_NAME) != number)
			continue;
		key_add(&key, row->key, row->key_len);
		r = put(m, LEFT_OUT, &key, row_value(row));
		if (r == 0)
			r = drop(m, OBJECTS, row);
	}
	return r;
}

static int keep_apart(
	struct memory_ledger *m, const struct batch_row *batch, struct bytes stored, uint64_t above, enum origin again)
{
	struct key number = {0}, branch = {0}, origin = {0}, turn = {0};
	int r;

	key_u64(&number, batch->number);
	r = put(m, ASIDE, &number, stored);
	key_u64(&branch, batch->channel);
	key_add(&branch, batch->digest.bytes, DIGEST_LEN);
	if (r == 0)
		r = put(m, BRANCHES, &branch, bytes_of(&above, sizeof above));
	if (r == 0) {
		key_u64(&origin, batch->number);
		r = put(m, ORIGINS, &origin, bytes_of(&again, sizeof again));
	}
	key_u64(&turn, again);
	key_u64(&turn, batch->number);
	return r != 0 || again == ORIGIN_NONE ? r : put(m, AGAIN, &turn, bytes_of(NULL, 0));
}

static int set_batch_aside(struct memory_ledger *m, const struct row *end, uint64_t above, bool again)
{
	static const struct {
		enum table table;
		int where;
	} indexes[] = {{PERSONS, NUMBER_FIRST}, {MARKS, NUMBER_FIRST}};
	const struct row *batch;
	struct batch_row view;
	uint64_t number;
	int r;

	memcpy(&number, end->value, sizeof number);
	batch = find_number(m, BATCHES, number);
	assert(batch != NULL);
	view = batch_view(batch);
	r = keep_apart(m, &view, row_value(batch), above, again ? ORIGIN_OWN : ORIGIN_NONE);
	if (r == 0)
		r = leave_out(m, number);
	if (r == 0)
		r = drop(m, BATCHES, batch);
	if (r == 0)
		r = drop(m, ENDS, end);
	for (size_t i = 0; i < sizeof indexes / sizeof *indexes && r == 0; i++)
		r = drop_number(m, indexes[i].table, indexes[i].where, number);
	return r;
}

/* What left the history above this place goes on at it, once the history has gone back so far. */
static int lower_branches(struct memory_ledger *m, uint64_t channel, uint64_t above)
{
	struct key from = {0};
	int r = 0;

	key_u64(&from, channel);
	for (size_t i = seek(m, BRANCHES, key_view(&from)); r == 0 && row_begins(row_at(m, BRANCHES, i), &from); i++) {
		const struct row *row = row_at(m, BRANCHES, i);
		struct key key = {0};
		uint64_t left;

		memcpy(&left, row->value, sizeof left);
		key_add(&key, row->key, row->key_len);
		if (left > above)
			r = put(m, BRANCHES, &key, bytes_of(&above, sizeof above));
	}
	return r;
}

static int set_aside(void *ledger, uint64_t channel, uint64_t above, bool again)
{
	struct memory_ledger *m = ledger;
	const struct row *row;
	struct batch_row batch;
	uint64_t from = above;
	int r;

	if (!position(above))
		return 0;
	r = lower_branches(m, channel, above);
	while (r == 0 && (row = find_pair_from(m, ENDS, channel, from + 1)) != NULL) {
		from = read_u64(row->key + 8);
		r = batch_of_end(m, row, &batch);
		if (r == 0 && batch.first > above)
			r = set_batch_aside(m, row, above, again);
	}
	while (r == 0 && (row = find_pair_from(m, UNCOVERED, channel, above + 1)) != NULL)
		r = drop(m, UNCOVERED, row);
	return r;
}

static int aside_add(void *ledger, const struct batch_row *row, uint64_t above)
{
	struct memory_ledger *m = ledger;
	struct stored_batch *b;
	size_t len;
	int r;

	if (is_full(m, row))
		return LEDGER_FULL;
	b = batch_pack(row, &len);
	r = b == NULL ? -ENOMEM : keep_apart(m, row, bytes_of(b, len), above, ORIGIN_READERS);
	free(b);
	return r;
}

static int aside_find(void *ledger, uint64_t channel, const struct digest *digest, uint64_t *above)
{
	struct key key = {0};
	const struct row *row;

	key_u64(&key, channel);
	key_add(&key, digest->bytes, DIGEST_LEN);
	row = row_find(ledger, BRANCHES, key_view(&key));
	if (row == NULL)
		return LEDGER_NONE;
	memcpy(above, row->value, sizeof *above);
	return 0;
}

static int aside_holding(void *ledger, uint64_t channel, uint32_t incarnation, uint64_t sequence, struct batch_row *out)
{
	struct memory_ledger *m = ledger;

	for (size_t i = 0; i < m->tables[ASIDE].n; i++) {
		*out = batch_view(m->tables[ASIDE].rows[i]);
		if (out->channel == channel && out->incarnation == incarnation && out->first <= sequence &&
			sequence - out->first < out->count)
			return 0;
	}
	return LEDGER_NONE;
}

static int aside_named(void *ledger, uint64_t channel, const struct digest *digest, struct batch_row *out)
{
	struct memory_ledger *m = ledger;

	for (size_t i = 0; i < m->tables[ASIDE].n; i++) {
		*out = batch_view(m->tables[ASIDE].rows[i]);
		if (out->channel == channel && digest_equal(&out->digest, digest))
			return 0;
	}
	return LEDGER_NONE;
}

static int aside_next(void *ledger, struct batch_row *out, enum origin *origin)
{
	struct memory_ledger *m = ledger;
	const struct row *row = row_at(m, AGAIN, 0);

	if (row == NULL)
		return LEDGER_NONE;
	*origin = (enum origin)read_u64(row->key);
	row = find_number(m, ASIDE, read_u64(row->key + 8));
	assert(row != NULL);
	*out = batch_view(row);
	return 0;
}

static int aside_done(void *ledger, uint64_t number)
{
	struct memory_ledger *m = ledger;

	for (size_t i = 0; i < m->tables[AGAIN].n; i++)
		if (read_u64(m->tables[AGAIN].rows[i]->key + 8) == number)
			return drop(m, AGAIN, m->tables[AGAIN].rows[i]);
	return 0;
}

static int aside_again(void *ledger, uint64_t number)
{
	struct memory_ledger *m = ledger;
	const struct row *row = find_number(m, ORIGINS, number);
	struct key turn = {0};
	enum origin origin;

	memcpy(&origin, row->value, sizeof origin);
	key_u64(&turn, origin);
	key_u64(&turn, number);
	return origin == ORIGIN_NONE ? 0 : put(m, AGAIN, &turn, bytes_of(NULL, 0));
}

static int aside_event(void *ledger, const struct index_key *name, const struct place *place)
{
	return leave_event_out(ledger, bytes_of(name->bytes, sizeof name->bytes), place->number);
}

static int aside_origin(void *ledger, const struct index_key *event, enum origin *out)
{
	struct memory_ledger *m = ledger;
	struct key key = {0};

	*out = ORIGIN_NONE;
	key_name(&key, event);
	for (size_t i = seek(m, LEFT_EVENTS, key_view(&key)); row_begins(row_at(m, LEFT_EVENTS, i), &key); i++)
		memcpy(out,
			find_number(m, ORIGINS, read_u64(row_at(m, LEFT_EVENTS, i)->key + sizeof event->bytes))->value,
			sizeof *out);
	return 0;
}

static int event_find(void *ledger, const struct index_key *name, struct place *out)
{
	struct key key = {0};
	const struct row *row;

	key_name(&key, name);
	row = row_find(ledger, EVENTS, key_view(&key));
	if (row == NULL)
		return LEDGER_NONE;
	memcpy(out, row->value, sizeof *out);
	return 0;
}

static int event_add(void *ledger, const struct index_key *name, const struct place *place)
{
	struct key key = {0};

	key_name(&key, name);
	if (row_find(ledger, EVENTS, key_view(&key)) != NULL)
		return LEDGER_HELD;
	return put(ledger, EVENTS, &key, bytes_of(place, sizeof *place));
}

/* The last row of the name: a revision each, the highest place counts. */
static int object_find(void *ledger, const struct index_key *name, struct object_row *out)
{
	struct memory_ledger *m = ledger;
	struct key key = {0}, end = {0};
	const struct row *row;
	size_t i;

	key_name(&key, name);
	key_name(&end, name);
	key_u64(&end, UINT64_MAX);
	key_u64(&end, UINT64_MAX);
	i = seek(m, OBJECTS, key_view(&end));
	row = i > 0 ? row_at(m, OBJECTS, i - 1) : NULL;
	if (!row_begins(row, &key))
		return LEDGER_NONE;
	memcpy(out, row->value, sizeof *out);
	return 0;
}

static int put_object(
	struct memory_ledger *m, enum table table, const struct index_key *name, const struct object_row *row)
{
	struct key key = {0};

	key_name(&key, name);
	key_u64(&key, row->place.number);
	key_u64(&key, row->place.index);
	return put(m, table, &key, bytes_of(row, sizeof *row));
}

static int object_put(void *ledger, const struct index_key *name, const struct object_row *row)
{
	return put_object(ledger, OBJECTS, name, row);
}

static int aside_object(void *ledger, const struct index_key *name, const struct object_row *row)
{
	return put_object(ledger, LEFT_OUT, name, row);
}

static int aside_revision(void *ledger, const struct index_key *name, uint64_t *out)
{
	struct memory_ledger *m = ledger;
	struct object_row object;
	struct key key = {0};

	*out = 0;
	key_name(&key, name);
	for (size_t i = seek(m, LEFT_OUT, key_view(&key)); row_begins(row_at(m, LEFT_OUT, i), &key); i++) {
		memcpy(&object, row_at(m, LEFT_OUT, i)->value, sizeof object);
		if (object.revision > *out)
			*out = object.revision;
	}
	return 0;
}

static int person_add(void *ledger, const struct index_key *name, uint64_t number)
{
	struct key key = {0};

	key_u64(&key, number);
	key_name(&key, name);
	return put(ledger, PERSONS, &key, bytes_of(NULL, 0));
}

static int mark_add(void *ledger, const struct place *place, enum mark_kind kind, const char *text)
{
	struct key key = {0};

	key_u64(&key, place->number);
	key_u64(&key, place->index);
	key_u64(&key, kind);
	return put(ledger, MARKS, &key, bytes_of(text, strlen(text) + 1));
}

static int uncovered_add(void *ledger, uint64_t channel, uint64_t sequence)
{
	struct key key = {0};

	if (!position(sequence))
		return -ERANGE;
	key_u64(&key, channel);
	key_u64(&key, sequence);
	return put(ledger, UNCOVERED, &key, bytes_of(NULL, 0));
}

static int uncovered_remove(void *ledger, uint64_t channel, uint64_t sequence)
{
	const struct row *row = find_pair(ledger, UNCOVERED, channel, sequence);

	return row != NULL ? drop(ledger, UNCOVERED, row) : LEDGER_NONE;
}

static struct receipt_row receipt_view(const struct row *row)
{
	const struct stored_receipt *s = (const struct stored_receipt *)(const void *)row->value;
	struct receipt_row out = s->row;

	out.reader = (const char *)row->key + 8;
	out.signature = s->signature;
	out.packed.data = s->packed;
	return out;
}

static const struct row *receipt_row(struct memory_ledger *m, uint64_t channel, const char *reader)
{
	struct key key = {0};
	const struct row *row;

	key_u64(&key, channel);
	key_text(&key, reader);
	row = row_find(m, RECEIPTS, key_view(&key));
	key_deinit(&key);
	return row;
}

static int receipt_find(void *ledger, uint64_t channel, const char *reader, struct receipt_row *out)
{
	const struct row *row = receipt_row(ledger, channel, reader);

	if (row == NULL)
		return LEDGER_NONE;
	*out = receipt_view(row);
	return 0;
}

static bool newer_held(struct memory_ledger *m, const struct receipt_row *row)
{
	struct receipt_row held;

	if (receipt_find(m, row->channel, row->reader, &held) != 0)
		return false;
	return held.incarnation != row->incarnation ? held.incarnation > row->incarnation : held.to > row->to;
}

static int receipt_put(void *ledger, const struct receipt_row *row)
{
	struct memory_ledger *m = ledger;
	size_t len = sizeof(struct stored_receipt) + row->packed.len;
	struct stored_receipt *s;
	struct key key = {0};
	int r;

	if (!position(row->to))
		return -ERANGE;
	if (find_number(m, CHANNEL_IDS, row->channel) == NULL)
		return -EINVAL;
	if (newer_held(m, row))
		return 0;
	s = calloc(1, len);
	if (s == NULL)
		return -ENOMEM;
	s->row = *row;
	memcpy(s->signature, row->signature, SIGNATURE_LEN);
	if (row->packed.len != 0)
		memcpy(s->packed, row->packed.data, row->packed.len);
	key_u64(&key, row->channel);
	key_text(&key, row->reader);
	r = put(m, RECEIPTS, &key, bytes_of(s, len));
	free(s);
	return r;
}

static int receipt_remove(void *ledger, uint64_t channel, const char *reader)
{
	const struct row *row = receipt_row(ledger, channel, reader);

	return row != NULL ? drop(ledger, RECEIPTS, row) : 0;
}

static int note_put(void *ledger, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	struct memory_ledger *m = ledger;
	struct key key = {0};
	struct bytes name;

	key_u64(&key, m->tables[NOTES].n + 1); /* none is ever removed */
	key_u64(&key, number);
	key_text(&key, kind);
	key_text(&key, member != NULL ? member : "");
	name = bytes_of(key_view(&key).data + 8, key.len - 8);
	for (size_t i = 0; i < m->tables[NOTES].n; i++) {
		const struct row *row = m->tables[NOTES].rows[i];

		if (bytes_equal(bytes_of(row->key + 8, row->key_len - 8), name) && bytes_equal(row_value(row), text)) {
			key_deinit(&key);
			return 0;
		}
	}
	return put(ledger, NOTES, &key, text);
}

static int fork_put(void *ledger, uint64_t channel, struct bytes header_a, struct bytes signature_a,
	struct bytes header_b, struct bytes signature_b)
{
	struct memory_ledger *m = ledger;
	uint8_t signatures[2 * SIGNATURE_LEN] = {0};
	struct key key = {0};

	key_u64(&key, channel);
	key_u64(&key, header_a.len);
	key_add(&key, header_a.data, header_a.len);
	if (row_begins(row_at(m, FORKS, seek(m, FORKS, key_view(&key))), &key)) {
		key_deinit(&key);
		return LEDGER_HELD;
	}
	key_add(&key, header_b.data, header_b.len);
	if (signature_a.len == SIGNATURE_LEN && signature_b.len == SIGNATURE_LEN) {
		memcpy(signatures, signature_a.data, SIGNATURE_LEN);
		memcpy(signatures + SIGNATURE_LEN, signature_b.data, SIGNATURE_LEN);
	}
	return put(m, FORKS, &key, bytes_of(signatures, sizeof signatures));
}

static int setting_put(void *ledger, const char *name, const char *value)
{
	struct key key = {0};
	const struct row *row;

	key_text(&key, name);
	if (value != NULL)
		return put(ledger, SETTINGS, &key, bytes_of(value, strlen(value) + 1));
	row = row_find(ledger, SETTINGS, key_view(&key));
	key_deinit(&key);
	return row != NULL ? drop(ledger, SETTINGS, row) : 0;
}

static int cursor_put(void *ledger, const struct cursor_row *row)
{
	struct key key = {0};

	key_text(&key, row->plugin);
	return put(ledger, CURSORS, &key, bytes_of(&row->place, sizeof row->place));
}

static void held_key(struct key *key, const char *plugin, const struct place *place)
{
	key_text(key, plugin);
	key_u64(key, place->number);
	key_u64(key, place->index);
}

static int held_put(void *ledger, const struct held_row *row)
{
	struct key key = {0};

	held_key(&key, row->plugin, &row->place);
	return put(ledger, HELD, &key, bytes_of(row, sizeof *row));
}

static int held_remove(void *ledger, const char *plugin, const struct place *place)
{
	struct key key = {0};
	const struct row *row;

	held_key(&key, plugin, place);
	row = row_find(ledger, HELD, key_view(&key));
	key_deinit(&key);
	return row != NULL ? drop(ledger, HELD, row) : LEDGER_NONE;
}

static int savepoint(void *ledger)
{
	struct memory_ledger *m = ledger;

	assert(m->in_transaction && !m->in_part);
	m->part = m->n_changes;
	m->in_part = true;
	return 0;
}

static int rollback(void *ledger)
{
	struct memory_ledger *m = ledger;

	assert(m->in_part);
	undo_to(m, m->part);
	m->in_part = false;
	return 0;
}

static int release(void *ledger)
{
	struct memory_ledger *m = ledger;

	assert(m->in_part);
	m->in_part = false;
	return 0;
}

const struct ledger_ops memory_ledger_ops = {
	.channel_find = channel_find,
	.channel_put = channel_put,
	.next_number = next_number,
	.batch_add = batch_add,
	.batch_get = batch_get,
	.batch_mend = batch_mend,
	.batch_ending = batch_ending,
	.batch_holding = batch_holding,
	.set_aside = set_aside,
	.aside_add = aside_add,
	.aside_event = aside_event,
	.aside_object = aside_object,
	.aside_find = aside_find,
	.aside_named = aside_named,
	.aside_holding = aside_holding,
	.aside_next = aside_next,
	.aside_done = aside_done,
	.aside_again = aside_again,
	.aside_origin = aside_origin,
	.aside_revision = aside_revision,
	.event_find = event_find,
	.event_add = event_add,
	.object_find = object_find,
	.object_put = object_put,
	.person_add = person_add,
	.mark_add = mark_add,
	.uncovered_add = uncovered_add,
	.uncovered_remove = uncovered_remove,
	.receipt_find = receipt_find,
	.receipt_put = receipt_put,
	.receipt_remove = receipt_remove,
	.note_put = note_put,
	.fork_put = fork_put,
	.setting_put = setting_put,
	.cursor_put = cursor_put,
	.held_put = held_put,
	.held_remove = held_remove,
	.savepoint = savepoint,
	.rollback = rollback,
	.release = release,
};

/* The archive */

static int channels(void *archive, channel_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	const struct row *named;
	struct channel_row row;
	int r = 0;

	for (size_t i = 0; i < m->tables[CHANNEL_IDS].n && r == 0; i++) {
		named = row_find(m, CHANNELS, row_value(m->tables[CHANNEL_IDS].rows[i]));
		assert(named != NULL);
		r = channel_copy(&row, named);
		if (r == 0)
			r = visit(context, &row);
		channel_row_deinit(&row);
	}
	return r;
}

static int receipts(void *archive, receipt_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	struct receipt_row row;
	int r = 0;

	for (size_t i = 0; i < m->tables[RECEIPTS].n && r == 0; i++) {
		row = receipt_view(m->tables[RECEIPTS].rows[i]);
		r = visit(context, &row);
	}
	return r;
}

static int notes(void *archive, note_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	int r = 0;

	for (size_t i = 0; i < m->tables[NOTES].n && r == 0; i++) {
		const struct row *row = m->tables[NOTES].rows[i];
		const char *kind = (const char *)row->key + 16;

		r = visit(context, kind, kind + strlen(kind) + 1, (uint32_t)read_u64(row->key + 8), row_value(row));
	}
	return r;
}

static int settings(void *archive, setting_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	int r = 0;

	for (size_t i = 0; i < m->tables[SETTINGS].n && r == 0; i++)
		r = visit(context, (const char *)m->tables[SETTINGS].rows[i]->key,
			(const char *)m->tables[SETTINGS].rows[i]->value);
	return r;
}

static int forks(void *archive, fork_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	int r = 0;

	for (size_t i = 0; i < m->tables[FORKS].n && r == 0; i++) {
		const struct row *row = m->tables[FORKS].rows[i];
		size_t len = (size_t)read_u64(row->key + 8);
		struct fork_row fork = {read_u64(row->key), bytes_of(row->key + 16, len),
			bytes_of(row->value, SIGNATURE_LEN), bytes_of(row->key + 16 + len, row->key_len - 16 - len),
			bytes_of(row->value + SIGNATURE_LEN, SIGNATURE_LEN)};

		r = visit(context, &fork);
	}
	return r;
}

static int cursors(void *archive, cursor_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	int r = 0;

	for (size_t i = 0; i < m->tables[CURSORS].n && r == 0; i++) {
		const struct row *row = m->tables[CURSORS].rows[i];
		struct cursor_row cursor = {.plugin = (const char *)row->key};

		memcpy(&cursor.place, row->value, sizeof cursor.place);
		r = visit(context, &cursor);
	}
	return r;
}

static int held(void *archive, held_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	int r = 0;

	for (size_t i = 0; i < m->tables[HELD].n && r == 0; i++) {
		struct held_row row;

		memcpy(&row, m->tables[HELD].rows[i]->value, sizeof row);
		r = visit(context, &row);
	}
	return r;
}

static int batches(void *archive, uint64_t from, batch_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	struct batch_row batch;
	struct key key = {0};
	int r = 0;

	key_u64(&key, from);
	for (size_t i = seek(m, BATCHES, key_view(&key)); i < m->tables[BATCHES].n && r == 0; i++) {
		batch = batch_view(m->tables[BATCHES].rows[i]);
		r = visit(context, &batch);
	}
	return r;
}

static int channel_batches(void *archive, uint64_t channel, uint64_t after, batch_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	struct batch_row batch;
	struct key key = {0};
	int r = 0;

	if (!position(after))
		return 0;
	key_u64(&key, channel);
	key_u64(&key, after + 1);
	for (size_t i = seek(m, ENDS, key_view(&key)); i < m->tables[ENDS].n && r == 0; i++) {
		const struct row *row = m->tables[ENDS].rows[i];

		if (read_u64(row->key) != channel)
			break;
		r = batch_of_end(m, row, &batch);
		if (r == 0)
			r = visit(context, &batch);
	}
	return r;
}

static int visit_batch_ending(void *archive, uint64_t channel, uint64_t last, batch_visit visit, void *context)
{
	struct batch_row batch;
	int r = batch_ending(archive, channel, last, &batch);

	return r == 0 ? visit(context, &batch) : r;
}

static int aside(void *archive, uint64_t channel, const struct digest *digest)
{
	uint64_t above;

	return aside_find(archive, channel, digest, &above);
}

static int aside_pends(void *archive)
{
	return row_at(archive, AGAIN, 0) != NULL ? 0 : LEDGER_NONE;
}

static int visit_batch(void *archive, uint64_t number, batch_visit visit, void *context)
{
	struct batch_row batch;
	int r = batch_get(archive, number, &batch);

	return r == 0 ? visit(context, &batch) : r;
}

static int marks(void *archive, uint64_t number, mark_visit visit, void *context)
{
	struct memory_ledger *m = archive;
	struct key key = {0};
	int r = 0;

	key_u64(&key, number);
	for (size_t i = seek(m, MARKS, key_view(&key)); r == 0 && row_begins(row_at(m, MARKS, i), &key); i++) {
		const struct row *row = m->tables[MARKS].rows[i];

		r = visit(context, (uint32_t)read_u64(row->key + 8), (enum mark_kind)read_u64(row->key + 16),
			(const char *)row->value);
	}
	return r;
}

static uint64_t last_number(void *archive)
{
	struct memory_ledger *m = archive;
	const struct row *last = row_at(m, BATCHES, m->tables[BATCHES].n - 1);

	return last != NULL ? read_u64(last->key) : 0;
}

const struct archive_ops memory_archive_ops = {
	.channels = channels,
	.receipts = receipts,
	.notes = notes,
	.settings = settings,
	.cursors = cursors,
	.held = held,
	.forks = forks,
	.batches = batches,
	.channel_batches = channel_batches,
	.batch_ending = visit_batch_ending,
	.aside = aside,
	.aside_pends = aside_pends,
	.event = event_find,
	.batch = visit_batch,
	.marks = marks,
	.last_number = last_number,
};
