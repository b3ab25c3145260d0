#include "link/incoming.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 2048 }; /* a power of two */

struct incoming_table {
	uint8_t hash_key[crypto_shorthash_KEYBYTES]; /* peers pick routing ids: keyed, lest they pick one bucket */
	uint32_t first_number, next_number;
	size_t n;
	struct incoming *by_id[BUCKETS], *by_number[BUCKETS];
	struct incoming *oldest, *newest;
	struct incoming *ended, **ended_end;
};

struct incoming_table *incoming_new(uint32_t first_number)
{
	struct incoming_table *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	crypto_shorthash_keygen(t->hash_key);
	t->first_number = t->next_number = first_number;
	t->ended_end = &t->ended;
	return t;
}

static struct incoming **id_bucket(struct incoming_table *t, struct bytes id)
{
	uint8_t hash[crypto_shorthash_BYTES];

	crypto_shorthash(hash, id.data, id.len, t->hash_key);
	return &t->by_id[(hash[0] | hash[1] << 8) & (BUCKETS - 1)];
}

static struct incoming **number_bucket(struct incoming_table *t, uint32_t number)
{
	return &t->by_number[number & (BUCKETS - 1)];
}

struct incoming *incoming_by_id(struct incoming_table *t, struct bytes id)
{
	struct incoming *e = *id_bucket(t, id);

	while (e != NULL && !bytes_equal(bytes_of(e->id, e->id_len), id))
		e = e->next_by_id;
	return e;
}

struct incoming *incoming_by_number(struct incoming_table *t, uint32_t number)
{
	struct incoming *e = *number_bucket(t, number);

	while (e != NULL && e->number != number)
		e = e->next_by_number;
	return number == 0 ? NULL : e;
}

static void line_up(struct incoming_table *t, struct incoming *e)
{
	e->older = t->newest;
	e->newer = NULL;
	*(t->newest == NULL ? &t->oldest : &t->newest->newer) = e;
	t->newest = e;
}

static void step_out(struct incoming_table *t, struct incoming *e)
{
	*(e->older == NULL ? &t->oldest : &e->older->newer) = e->newer;
	*(e->newer == NULL ? &t->newest : &e->newer->older) = e->older;
}

void incoming_used(struct incoming_table *t, struct incoming *e)
{
	if (t->newest == e)
		return;
	step_out(t, e);
	line_up(t, e);
}

void incoming_end(struct incoming_table *t, struct incoming *e, const char *reason)
{
	struct incoming **p;

	for (p = id_bucket(t, bytes_of(e->id, e->id_len)); *p != e; p = &(*p)->next_by_id)
		assert(*p != NULL);
	*p = e->next_by_id;
	for (p = number_bucket(t, e->number); *p != e; p = &(*p)->next_by_number)
		assert(*p != NULL);
	*p = e->next_by_number;
	step_out(t, e);
	t->n--;
	if (e->number == 0 || reason == NULL) {
		free(e);
		return;
	}
	e->reason = reason;
	e->newer = NULL;
	*t->ended_end = e;
	t->ended_end = &e->newer;
}

void incoming_end_where(struct incoming_table *t, bool (*ends)(void *context, const struct incoming *e), void *context,
	const char *reason)
{
	struct incoming *e, *newer;

	for (e = t->oldest; e != NULL; e = newer) {
		newer = e->newer;
		if (ends == NULL || ends(context, e))
			incoming_end(t, e, reason);
	}
}

/* One more connection with this key is coming: its oldest goes when it has its share, the oldest of all when the table is full. */
static void make_room(struct incoming_table *t, const uint8_t *key)
{
	struct incoming *oldest = NULL;
	size_t n = 0;

	for (struct incoming *e = t->newest; e != NULL; e = e->older)
		if (memcmp(e->key, key, LINK_PUBLIC_LEN) == 0) {
			oldest = e;
			n++;
		}
	if (n >= INCOMING_PER_KEY_MAX)
		incoming_end(t, oldest, "too many connections");
	if (t->n >= INCOMING_MAX)
		incoming_end(t, t->oldest, "too many connections");
}

/* Numbers are not used twice; should two thousand million connections have come, those still in use are passed over. */
static uint32_t fresh_number(struct incoming_table *t)
{
	uint32_t number;

	do {
		number = t->next_number++;
		if (t->next_number == 0)
			t->next_number = t->first_number;
	} while (incoming_by_number(t, number) != NULL);
	return number;
}

struct incoming *incoming_add(
	struct incoming_table *t, struct bytes id, const uint8_t key[static LINK_PUBLIC_LEN], bool muted)
{
	struct incoming *e = calloc(1, sizeof *e + id.len), **bucket;

	if (e == NULL)
		return NULL;
	make_room(t, key);
	memcpy(e->key, key, LINK_PUBLIC_LEN);
	memcpy(e->id, id.data, id.len);
	e->id_len = id.len;
	e->number = muted ? 0 : fresh_number(t);
	bucket = id_bucket(t, id);
	e->next_by_id = *bucket;
	*bucket = e;
	bucket = number_bucket(t, e->number);
	e->next_by_number = *bucket;
	*bucket = e;
	line_up(t, e);
	t->n++;
	return e;
}

bool incoming_has_ended(const struct incoming_table *t)
{
	return t->ended != NULL;
}

struct incoming *incoming_take_ended(struct incoming_table *t)
{
	struct incoming *e = t->ended;

	if (e == NULL)
		return NULL;
	t->ended = e->newer;
	if (t->ended == NULL)
		t->ended_end = &t->ended;
	return e;
}

void incoming_free(struct incoming_table *t)
{
	struct incoming *e;

	if (t == NULL)
		return;
	incoming_end_where(t, NULL, NULL, "closed");
	while ((e = incoming_take_ended(t)) != NULL)
		free(e);
	free(t);
}
