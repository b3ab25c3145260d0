#include "core/archived.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

void archived_deinit(struct archived *o)
{
	slots_deinit(&o->slots);
	header_deinit(&o->header);
}

int archived_read(struct archived *out, const struct store_keys *keys, const struct batch_row *row)
{
	struct sealed_batch sealed = {.header = row->header, .body = row->body};
	uint8_t key[BATCH_KEY_LEN];
	int r;

	*out = (struct archived){.row = *row};
	memcpy(sealed.signature, row->signature.data, SIGNATURE_LEN);
	r = header_decode(&out->header, row->header);
	if (r == 0 && !key_unwrap(key, keys->wrap, &row->digest, row->wrapped))
		r = -EBADMSG;
	if (r == 0)
		r = batch_open(&out->slots, &out->header, &sealed, key);
	sodium_memzero(key, sizeof key);
	return r > 0 ? -EBADMSG : r;
}
