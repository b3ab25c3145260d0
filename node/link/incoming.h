/* incoming - the connections that were dialled from outside: routing id and CURVE key on one side, our number on the other.
 *
 * A ROUTER says nothing of who comes and goes, so the table is bounded instead: at most INCOMING_MAX connections, at most
 * INCOMING_PER_KEY_MAX with one key, where the one idle longest gives way. An entry that has ended is known no more, and waits to be
 * reported. */
#ifndef ENLIGHT_LINK_INCOMING_H
#define ENLIGHT_LINK_INCOMING_H

#include "base/bytes.h"
#include "core/limits.h"

enum {
	INCOMING_MAX = 4096,
	INCOMING_PER_KEY_MAX = 8, /* so that one member cannot push out the others' */
};

struct incoming {
	uint32_t number; /* 0: muted, what it sends is ignored */
	uint8_t key[LINK_PUBLIC_LEN];
	const char *reason; /* why it ended */
	/* The table's own: */
	struct incoming *next_by_id, *next_by_number; /* in a bucket */
	struct incoming *older, *newer;               /* by last use; `newer` also chains the ended */
	size_t id_len;
	uint8_t id[];
};

struct incoming_table;

struct incoming_table *incoming_new(uint32_t first_number); /* NULL: out of memory */
void incoming_free(struct incoming_table *t);               /* NULL is a no-op */

struct incoming *incoming_by_id(struct incoming_table *t, struct bytes id); /* NULL: unknown */
struct incoming *incoming_by_number(struct incoming_table *t, uint32_t number);

/* Enters a connection under the next number, or a muted one; others may end for it. NULL: out of memory. */
struct incoming *incoming_add(
	struct incoming_table *t, struct bytes id, const uint8_t key[static LINK_PUBLIC_LEN], bool muted);

void incoming_used(struct incoming_table *t, struct incoming *e); /* it is not idle */

/* It is known no more, and will be reported with this reason; without one, or when it is muted, it is freed at once. */
void incoming_end(struct incoming_table *t, struct incoming *e, const char *reason);

/* Ends those for which `ends` says so; all when it is NULL. */
void incoming_end_where(struct incoming_table *t, bool (*ends)(void *context, const struct incoming *e), void *context,
	const char *reason);

/* The next ended connection that had a number, in the order of their ends; the caller frees it with free(). NULL: none. */
struct incoming *incoming_take_ended(struct incoming_table *t);
bool incoming_has_ended(const struct incoming_table *t);

#endif
