/* enlight.yaml, by the table of its settings: everything that does not look at files. */
#include "config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings *s = settings_new("enlight.yaml");
	struct config *c = calloc(1, sizeof *c);
	struct problems problems = {0};
	int r;

	must(s != NULL && c != NULL);
	must(settings_parse(s, c, config_table, bytes_of(data, size)) == 0);
	r = settings_finish(s, &problems);
	must(r == 0 || r == SETTINGS_BAD);
	must((r == 0) == (problems.total == 0));
	if (r == 0) {
		must(c->member != NULL && c->trust.anchor != NULL);
		must(settings_changes(c, c, config_table, NULL, NULL) == 0);
	}
	problems_deinit(&problems);
	settings_release(c, config_table);
	settings_free(s);
	free(c);
	return 0;
}
