#include "core/ledger.h"

#include <stdlib.h>

void channel_row_deinit(struct channel_row *row)
{
	free(row->audience);
	*row = (struct channel_row){0};
}
