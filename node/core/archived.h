/* archived - a stored batch in the clear, for whoever reads events back. */
#ifndef ENLIGHT_CORE_ARCHIVED_H
#define ENLIGHT_CORE_ARCHIVED_H

#include "core/batch.h"
#include "core/ledger.h"

struct archived {
	struct header header;
	struct slots slots;
	struct batch_row row; /* its views are not valid any more; the numbers are */
};

/* Unwraps the batch key and opens the body. 0, -EBADMSG (the disk changed it) or -ENOMEM; release with archived_deinit() either way. */
int archived_read(struct archived *out, const struct store_keys *keys, const struct batch_row *row);
void archived_deinit(struct archived *o);

#endif
