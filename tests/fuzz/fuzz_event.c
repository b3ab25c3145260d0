/* Packed events out of a batch: read, judged, shown and written again. */
#include "core/event.h"
#include "fuzz.h"

static void look(const struct event *e, const char *publisher, const char *audience)
{
	struct problems problems = {0};
	struct withdrawn withdrawn;
	struct judged judged;
	uint64_t *erased;
	uint8_t *packed;
	json_t *json;
	size_t len;
	int r = event_validate(e, publisher, audience, &problems);

	must((r == 0) == (problems.total == 0));
	if (r == 0) {
		event_judges(e, &judged);
		event_withdraws(e, &withdrawn);
		if (event_erases(e, &erased) > 0)
			free(erased);
		must(event_pack(&packed, &len, e) == 0);
		free(packed);
	}
	json = event_to_json(e, publisher, audience, true);
	must(json != NULL || r != 0);
	json_decref(json);
	problems_deinit(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event e;

	if (event_unpack(&e, bytes_of(data, size)) != 0)
		return 0;
	look(&e, "ut.ee", "ugent.be");
	look(&e, "ugent.be", "network");
	event_deinit(&e);
	return 0;
}
