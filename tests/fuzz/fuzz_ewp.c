/* Documents of Erasmus Without Paper, through the tables, without the official schemas: what no schema would let through comes
 * along too. Every event that comes out is one that a node takes. */
#include "core/event.h"
#include "ewp/convert.h"
#include "ewp/document.h"
#include "fuzz.h"

static void look(char *line)
{
	struct problems problems = {0};
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	struct draft d;

	must(json != NULL);
	must(draft_from_json(&d, json, "uniba.sk", &problems) == 0);
	draft_deinit(&d);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const audiences[] = {"network", "ugent.be", NULL};
	struct choices c = {data, size};
	const char *audience = audiences[choose(&c) % 3];
	struct ewp_request request = {bytes_of(c.at, c.left), "uniba.sk", audience, NULL};
	struct ewp_result result;
	int r = ewp_convert(&result, &request);

	must(r == 0 || r == EWP_REFUSED || r == EWP_WHOSE_AUDIENCE);
	must(r != EWP_REFUSED || result.refused.n > 0);
	if (r == 0 && result.events.len > 0)
		for (char *save, *line = strtok_r((char *)buffer_cstr(&result.events), "\n", &save); line != NULL;
			line = strtok_r(NULL, "\n", &save))
			look(line);
	ewp_result_deinit(&result);
	return 0;
}
