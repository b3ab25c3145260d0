/* Events as local systems post them, in JSON. What becomes a draft is valid, can be packed, and is shown as what it was. */
#include "core/event.h"
#include "core/limits.h"
#include "fuzz.h"

static void follow(struct draft *d)
{
	struct problems problems = {0};
	struct event back;
	uint8_t *packed;
	json_t *json;
	size_t len;
	int r;

	must(draft_complete(d, "an-id", "2026-11-23T09:30:00Z", "2026-11-23") == 0);
	must(event_validate(&d->event, "ut.ee", d->audience, &problems) == 0);
	d->event.revision = d->event.revision == 0 ? 1 : d->event.revision;
	r = event_pack(&packed, &len, &d->event);
	must(r == 0 || r == EVENT_TOO_LARGE);
	if (r == 0) {
		must(event_unpack(&back, bytes_of(packed, len)) == 0);
		must(event_validate(&back, "ut.ee", d->audience, &problems) == 0);
		json = event_to_json(&back, "ut.ee", d->audience, true);
		must(json != NULL);
		json_decref(json);
		event_deinit(&back);
		free(packed);
	}
	problems_deinit(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	struct problems problems = {0};
	struct draft d;
	int r;

	if (json == NULL)
		return 0;
	r = draft_from_json(&d, json, "ut.ee", &problems);
	must((r == 0) == (problems.total == 0));
	if (r == 0)
		follow(&d);
	draft_deinit(&d);
	problems_deinit(&problems);
	json_decref(json);
	return 0;
}
