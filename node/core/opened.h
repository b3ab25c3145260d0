/* opened - a stored batch in the clear, for whoever reads events back. */
#ifndef ENLIGHT_CORE_OPENED_H
#define ENLIGHT_CORE_OPENED_H

#include "core/batch.h"
#include "core/ledger.h"

struct opened {
	struct header header;
	struct slots slots;
	struct batch_row row; /* its views are not valid any more; the numbers are */
};

/* Unwraps the batch key and opens the body. 0, -EBADMSG (the disk changed it) or -ENOMEM; release with opened_deinit() either way. */
int opened_read(struct opened *out, const struct store_keys *keys, const struct batch_row *row);
void opened_deinit(struct opened *o);

#endif
