/* Receipts of readers. What is understood can be signed, and read back. */
#include "core/receipt.h"
#include "world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct node_keys keys = node_keys_of("ut.ee", 1);
	uint8_t signature[SIGNATURE_LEN] = {0};
	struct receipt r, again;
	struct bytes packed;

	must(!receipt_verify(bytes_of(data, size), signature, keys.sign_public));
	if (receipt_decode(&r, bytes_of(data, size)) != 0)
		return 0;
	must(receipt_sign(&packed, signature, &r, &keys) == 0);
	must(receipt_verify(packed, signature, keys.sign_public));
	must(receipt_decode(&again, packed) == 0);
	must(again.from == r.from && again.to == r.to && again.uncovered == r.uncovered &&
		strcmp(again.audience, r.audience) == 0);
	free((void *)packed.data);
	receipt_deinit(&r);
	receipt_deinit(&again);
	return 0;
}
