/* Events as local systems post them, in JSON, to the node of whoever they say they are from. What becomes a draft is valid, can be packed, and is shown as what it was. */
#include "core/event.h"
#include "core/handle.h"
#include "core/limits.h"
#include "fuzz.h"

static void follow(struct draft *d, const char *member)
{
	struct problems problems = {0};
	struct event back;
	uint8_t *packed;
	json_t *json;
	size_t len;
	int r;

	must(draft_complete(d, "an-id", "2026-11-23T09:30:00Z", "2026-11-23") == 0);
	must(event_validate(&d->event, member, d->audience, &problems) == 0);
	d->event.revision = d->event.revision == 0 ? 1 : d->event.revision;
	r = event_pack(&packed, &len, &d->event);
	must(r == 0 || r == EVENT_TOO_LARGE);
	if (r == 0) {
		must(event_unpack(&back, bytes_of(packed, len)) == 0);
		must(event_validate(&back, member, d->audience, &problems) == 0);
		json = event_to_json(&back, member, d->audience, true);
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
	const char *member = json_string_value(json_object_get(json, "source"));
	struct problems problems = {0};
	struct draft d;
	int r;

	if (json == NULL)
		return 0;
	if (member == NULL || !handle_valid(member))
		member = "ut.ee";
	r = draft_from_json(&d, json, member, &problems);
	must((r == 0) == (problems.total == 0));
	if (r == 0)
		follow(&d, member);
	draft_deinit(&d);
	problems_deinit(&problems);
	json_decref(json);
	return 0;
}
