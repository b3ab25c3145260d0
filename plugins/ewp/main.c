/* enlight-ewp - turns documents of Erasmus Without Paper into events, for people and for their scripts. */
#include "core/handle.h"
#include "ewp/convert.h"
#include "ewp/document.h"
#include "ewp/values.h"

#include <argp.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

const char *argp_program_version = "enlight-ewp " ENLIGHT_VERSION;

enum { KEY_MEMBER = 0x100, KEY_AUDIENCE, KEY_SCHEMAS };

static const struct argp_option options[] = {
	{"member", KEY_MEMBER, "HANDLE", 0, "Whose document it is: the member that will publish the events"},
	{"audience", KEY_AUDIENCE, "MEMBER,...", 0,
		"Who may read courses; network: all members. A nomination goes to its receiving university alone"},
	{"schemas", KEY_SCHEMAS, "DIR", 0,
		"Check the document against the official schemas first: DIR/catalog.xml and what it names"},
	{0},
};

static const char doc[] =
	"Prints the events that a document of Erasmus Without Paper holds, as `enlight publish` takes them, one a "
	"line: all of them "
	"or, when anything is wrong, none. Taken are get responses of courses 0.7.1 and of omobilities 3.0.0. "
	"`enlight-ewp "
	"fields` prints which element becomes which field.\n\n"
	"What is wrong, and what an event cannot carry, is listed on the standard error as FILE:LINE: TEXT. FILE may "
	"be - for the "
	"standard input."
	"\vExample:\n"
	"  enlight-ewp convert --member uniba.sk --audience network --schemas ewp/schemas courses.xml > events\n"
	"  enlight publish events\n"
	"  enlight-ewp convert --member uniba.sk nominations.xml | enlight publish\n\n"
	"Repeat a run as often as you like: what says nothing new is answered as unchanged.\n\n"
	"Exit status:\n"
	"   0  done\n"
	"  64  the command line is wrong\n"
	"  65  the document is wrong, or an event of it would be refused\n"
	"  66  the file, or the folder of schemas, cannot be read\n"
	"  71  out of memory\n"
	"  74  writing failed\n";

struct settings {
	const char *verb, *file;
	const char *member, *audience, *schemas;
};

static error_t on_option(int key, char *arg, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case KEY_MEMBER:
		s->member = arg;
		return 0;
	case KEY_AUDIENCE:
		s->audience = arg;
		return 0;
	case KEY_SCHEMAS:
		s->schemas = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num == 0)
			s->verb = arg;
		else if (state->arg_num == 1)
			s->file = arg;
		else
			argp_error(state, "too many arguments");
		return 0;
	case ARGP_KEY_END:
		if (s->verb == NULL || (strcmp(s->verb, "convert") != 0 && strcmp(s->verb, "fields") != 0))
			argp_error(state, "what to do? convert, or fields");
		else if (strcmp(s->verb, "convert") == 0 && (s->file == NULL || s->member == NULL))
			argp_error(state, "convert needs --member and a file");
		else if (strcmp(s->verb, "fields") == 0 && s->file != NULL)
			argp_error(state, "fields takes no file");
		else if (s->member != NULL && !handle_valid(s->member))
			argp_error(state, "--member: a university's domain in lower case: uniba.sk");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {options, on_option, "convert FILE\nfields", doc};

static int say(const char *text, const char *more)
{
	fprintf(stderr, "enlight-ewp: %s%s%s\n", text, more[0] == '\0' ? "" : ": ", more);
	return EX_OSERR;
}

/* Whether all that was printed has left; asked right behind the printing, while errno is of it. */
static int written(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EX_OK;
	say("cannot write", strerror(errno));
	return EX_IOERR;
}

/* ---- fields ---- */

static int out_of_memory(void)
{
	return say(strerror(ENOMEM), "");
}

/* `path` is where the group's elements stand, `place` where its fields do; both end with their separator or are empty. False: out of
 * memory. */
static bool print_fields(const struct ewp_group *group, const char *path, const char *place)
{
	bool printed = true;

	for (const struct ewp_field *f = group->fields; f->element != NULL && printed; f++) {
		bool list = f->presence == EWP_MANY || f->presence == EWP_SOME || value_is_entry(f->type);
		char *below = NULL, *inside = NULL;

		if (f->type == EWP_NAME) /* pair_names() puts them there */
			printf("| `%s%s` | `%snames[].%s` | %s | %s |\n", path, f->element, place, f->field,
				ewp_presence_text(f->presence), value_text(f->type));
		else if (f->group == NULL)
			printf("| `%s%s` | `%s%s%s` | %s | %s |\n", path, f->element, place, f->field, list ? "[]" : "",
				ewp_presence_text(f->presence), value_text(f->type));
		if (f->group == NULL)
			continue;
		if (asprintf(&below, "%s%s/", path, f->element) < 0)
			below = NULL;
		if (asprintf(&inside, "%s%s%s%s", place, f->field == NULL ? "" : f->field,
			    list && f->field != NULL ? "[]" : "", f->field == NULL ? "" : ".") < 0)
			inside = NULL;
		printed = below != NULL && inside != NULL && print_fields(f->group, below, inside);
		free(below);
		free(inside);
	}
	return printed;
}

static int run_fields(void)
{
	for (size_t i = 0; i < n_ewp_kinds; i++) {
		printf("%s%s: each `%s` becomes an event `%s`.\n\n", i == 0 ? "" : "\n", ewp_kinds[i].name,
			ewp_kinds[i].object, ewp_kinds[i].topic);
		puts("| element | field | by the standard | as |\n|---|---|---|---|");
		if (!print_fields(&ewp_kinds[i].group, "", ""))
			return out_of_memory();
	}
	return written();
}

/* ---- convert ---- */

/* The outcome as an exit status; the events are written when all is well. */
static int finish(const struct settings *s, struct ewp_result *result, int outcome)
{
	remarks_print(&result->left_out, s->file, stderr);
	remarks_print(&result->refused, s->file, stderr);
	switch (outcome) {
	case 0:
		fwrite(result->events.data, 1, result->events.len, stdout);
		return written();
	case EWP_REFUSED:
		return EX_DATAERR;
	case EWP_NO_SCHEMA:
		say("there is no usable schema for this document, with all it imports, below", s->schemas);
		return EX_NOINPUT;
	case EWP_WHOSE_AUDIENCE:
		say("this document does not say who may read it: give --audience", "");
		return EX_USAGE;
	default:
		return say(strerror(-outcome), "");
	}
}

static int read_file(const struct settings *s, void **text, size_t *len)
{
	int r = file_read(text, len, strcmp(s->file, "-") == 0 ? "/dev/stdin" : s->file, DOCUMENT_MAX);

	if (r == 0)
		return EX_OK;
	if (r == -EFBIG) {
		fprintf(stderr, "%s:1: more than %d MiB\n", s->file, DOCUMENT_MAX / (1024 * 1024));
		return EX_DATAERR;
	}
	say(s->file, strerror(-r));
	return r == -ENOMEM ? EX_OSERR : EX_NOINPUT;
}

static int run_convert(const struct settings *s)
{
	struct ewp_request request = {.member = s->member, .schemas = s->schemas};
	struct ewp_result result = {0};
	char *audience = NULL;
	void *text = NULL;
	size_t len;
	int r;

	if (s->audience != NULL) {
		audience = audience_normalise(s->audience, s->member);
		if (audience == NULL && errno == ENOMEM)
			return out_of_memory();
		if (audience == NULL) {
			say("--audience", "network, or handles of members with commas between");
			return EX_USAGE;
		}
	}
	r = read_file(s, &text, &len);
	if (r == EX_OK) {
		request.text = bytes_of(text, len);
		request.audience = audience;
		r = finish(s, &result, ewp_convert(&result, &request));
	}
	ewp_result_deinit(&result);
	document_end();
	free(text);
	free(audience);
	return r;
}

int main(int argc, char **argv)
{
	struct settings s = {0};

	if (sodium_init() < 0 || argp_parse(&parser, argc, argv, 0, NULL, &s) != 0)
		return EX_OSERR;
	return strcmp(s.verb, "fields") == 0 ? run_fields() : run_convert(&s);
}
