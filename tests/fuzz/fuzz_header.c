/* Headers of batches. What is understood can be written, and read back as the same. */
#include "core/batch.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header h, again;
	struct bytes packed, twice;

	if (header_decode(&h, bytes_of(data, size)) != 0)
		return 0;
	must(h.count > 0 && h.count <= BATCH_EVENTS_MAX && header_last(&h) >= h.first && header_last(&h) <= INT64_MAX);
	must(header_encode(&packed, &h) == 0);
	must(header_decode(&again, packed) == 0);
	must(header_encode(&twice, &again) == 0);
	must(bytes_equal(packed, twice));
	free((void *)packed.data);
	free((void *)twice.data);
	header_deinit(&h);
	header_deinit(&again);
	return 0;
}
