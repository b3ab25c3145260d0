/* check - whether what is stored is still what was taken in: each batch by its own digest, chain, signature, seal and root.
 *
 * Runs in the read worker, a page at a time (QUERY_CHECK); whoever has an archive and the store's keys may run it as well. */
#ifndef ENLIGHT_CORE_CHECK_H
#define ENLIGHT_CORE_CHECK_H

#include "core/ledger.h"
#include "core/trust.h"

/* A place in a channel: behind a batch. Sequence 0: its beginning. */
struct behind {
	uint32_t incarnation;
	uint64_t sequence;
	struct digest digest; /* of that batch's header */
};

/* A batch that is not what it was. */
struct damage {
	uint64_t number, channel; /* row id */
	char publisher[HANDLE_MAX + 1];
	char *audience; /* owned */
	uint32_t incarnation;
	uint64_t first, last;
	struct behind behind; /* what is before it, by the store */
	const char *what;     /* is wrong with it */
};

/* A page of the check. */
struct check_query {
	uint64_t after;      /* batches with a higher number */
	uint64_t only;       /* not 0: this batch alone */
	struct trust *trust; /* for the signatures, a reference, the query's; NULL: they are not looked at */
	/* Answer: */
	struct damage *damages; /* owned */
	size_t n_damages;
	size_t n_batches; /* looked at */
	uint64_t next;    /* the number of the last of them */
	uint64_t end;     /* of the last one there is */
	bool more;
};
enum { CHECK_BATCHES = 64, CHECK_BYTES = 4 << 20 }; /* of a page; at least one batch */

/* 0, or a negative errno: -EBADMSG when the archive cannot be walked through. */
int check_run(const struct store_keys *keys, const struct archive_ops *ops, void *archive, struct check_query *query);
void check_deinit(struct check_query *query);

#endif
