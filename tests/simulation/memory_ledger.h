/* memory_ledger - the ledger of a simulated node: the same two tables of functions as the store's, over sorted rows in memory.
 *
 * What the disk does to a node happens here by a call: a crash is memory_ledger_rollback(), a restore from an old copy is
 * memory_ledger_copy(), a full disk memory_ledger_limit(). One thread. */
#ifndef ENLIGHT_TESTS_MEMORY_LEDGER_H
#define ENLIGHT_TESTS_MEMORY_LEDGER_H

#include "core/ledger.h"

struct memory_ledger;

struct memory_ledger *memory_ledger_new(void); /* NULL: out of memory */
struct memory_ledger *memory_ledger_copy(
	const struct memory_ledger *m);           /* outside a transaction; NULL: out of memory */
void memory_ledger_free(struct memory_ledger *m); /* NULL is a no-op */

void memory_ledger_begin(struct memory_ledger *m);
void memory_ledger_commit(struct memory_ledger *m);
void memory_ledger_rollback(struct memory_ledger *m); /* no-op outside a transaction */

/* What a new start forgets: the next number is again the one after the highest that is held. */
void memory_ledger_restart(struct memory_ledger *m);

/* batch_add answers LEDGER_FULL when all rows together would have more bytes, unless the batch erases; 0: no limit. */
void memory_ledger_limit(struct memory_ledger *m, uint64_t bytes);

/* The change after the next `changes` ones answers `result` instead, once. */
void memory_ledger_fail(struct memory_ledger *m, uint64_t changes, int result);

/* The evidence against a channel's publisher: pairs of signed headers. */
typedef int (*memory_fork_visit)(void *context, struct bytes header_a, const uint8_t *signature_a,
	struct bytes header_b, const uint8_t *signature_b);
int memory_ledger_forks(const struct memory_ledger *m, uint64_t channel, memory_fork_visit visit, void *context);

size_t memory_ledger_held(const struct memory_ledger *m);    /* rows of all plugins */
uint64_t memory_ledger_bytes(const struct memory_ledger *m); /* of all rows together */

extern const struct ledger_ops memory_ledger_ops;   /* `ledger` is the struct memory_ledger */
extern const struct archive_ops memory_archive_ops; /* so is `archive`; call outside transactions */

#endif
