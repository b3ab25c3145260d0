/* Packed events out of a batch: read, judged, shown and written again. */
#include "core/event.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems problems = {0};
	struct withdrawn withdrawn;
	struct judged judged;
	uint64_t *erased;
	uint8_t *packed;
	struct event e;
	json_t *json;
	size_t len;
	int r;

	if (event_unpack(&e, bytes_of(data, size)) != 0)
		return 0;
	r = event_validate(&e, "ut.ee", "ugent.be", &problems);
	must((r == 0) == (problems.total == 0));
	if (r == 0) {
		event_judges(&e, &judged);
		event_withdraws(&e, &withdrawn);
		if (event_erases(&e, &erased) > 0)
			free(erased);
		must(event_pack(&packed, &len, &e) == 0);
		free(packed);
	}
	json = event_to_json(&e, "ut.ee", "ugent.be", true);
	must(json != NULL || r != 0);
	json_decref(json);
	problems_deinit(&problems);
	event_deinit(&e);
	return 0;
}
