/* sim - runs a simulated network with faults, and says what did not hold: `sim --help`.
 *
 * Everything comes from the seed, so a run that failed is run again by its command line, to the byte. A step is one happening at one
 * member: a frame that arrives, a commit that ends, a timer. */
#include "invariant.h"
#include "fault.h"
#include "network_state.h"
#include "operate.h"
#include "plugin.h"
#include <getopt.h>
#include <inttypes.h>

enum {
	TROUBLES_MAX = 24,      /* faults at one time */
	TURN_MS = 300,          /* between two things that the world does to the network, at most */
	CHECK_STEPS = 2000,     /* between two looks at all ledgers */
	ARRIVE_MS = 600 * 1000, /* once faults stop, everything arrives within this */
};

struct sim {
	struct network *w;
	uint64_t seed, steps;
	size_t members;
	bool chosen[64]; /* of the faults */
	size_t n_chosen;
	bool traced, quiet;
	struct trouble troubles[TROUBLES_MAX];
	size_t n_troubles;
	unsigned long long n_struck, n_published;
	uint64_t healed_ms, arrived_ms, next_check;
};

/* ---- what the world does ---- */

/* Every object has its own audience, so that its revisions have an order that a plugin can be held to. */
static void publish(struct sim *s)
{
	struct network *w = s->w;
	size_t n = w->n, from = network_random(w, (uint32_t)n), object = network_random(w, 12);
	size_t one = (from + 1 + object) % n, two = (from + 2 + object * object) % n;
	char audience[160], course[32];

	if (!w->members[from].joined || !w->members[from].in_roster)
		return;
	one = one == from ? (one + 1) % n : one;
	snprintf(course, sizeof course, "CR/%zu", object);
	if (object % 3 == 0)
		snprintf(audience, sizeof audience, "network");
	else if (object % 3 == 1 || two == from || two == one)
		snprintf(audience, sizeof audience, "%s", w->members[one].handle);
	else
		snprintf(audience, sizeof audience, "%s,%s", w->members[one < two ? one : two].handle,
			w->members[one < two ? two : one].handle);
	network_publish(w, from, audience, course);
	s->n_published++;
}

static void strike(struct sim *s)
{
	size_t which = network_random(s->w, (uint32_t)s->n_chosen), i = 0;
	struct trouble t = {0};

	while (!s->chosen[i] || which-- > 0)
		i++;
	t.fault = &faults[i];
	if (s->n_troubles == TROUBLES_MAX || !t.fault->begin(s->w, &t))
		return;
	s->n_struck++;
	network_trace(s->w, "fault %s %zu %zu", t.fault->name, t.a, t.b);
	if (t.fault->end == NULL)
		return;
	t.until_ms = s->w->now_ms + 1 + network_random(s->w, t.fault->most_ms);
	s->troubles[s->n_troubles++] = t;
}

static void heal(struct sim *s, uint64_t before_ms)
{
	for (size_t i = s->n_troubles; i-- > 0;) {
		struct trouble t = s->troubles[i];

		if (t.until_ms > before_ms)
			continue;
		s->troubles[i] = s->troubles[--s->n_troubles];
		network_trace(s->w, "fault %s ends", t.fault->name);
		t.until_ms = 0;
		t.fault->end(s->w, &t);
		if (t.until_ms > 0)
			s->troubles[s->n_troubles++] = t;
	}
}

static void turn(struct sim *s)
{
	unsigned n = network_random(s->w, 4) == 0 ? network_random(s->w, 20) : network_random(s->w, 3);

	for (unsigned i = 0; i < n; i++)
		publish(s);
	if (s->n_chosen > 0 && network_random(s->w, 6) == 0)
		strike(s);
	heal(s, s->w->now_ms);
	network_run_steps(s->w, 1 + network_random(s->w, TURN_MS), s->steps);
	if (s->w->steps < s->next_check)
		return;
	s->next_check = s->w->steps + CHECK_STEPS;
	check_ledgers(s->w);
}

/* ---- a run ---- */

/* Time passes, and operators look after their plugins' dead letters. */
static void mend(struct network *w)
{
	network_run(w, 500);
	for (size_t i = 0; i < w->n; i++)
		if (w->members[i].plugin != NULL && w->broken[0] == '\0')
			plugin_mend(w->members[i].plugin);
}

static void settle(struct sim *s)
{
	struct network *w = s->w;
	char why[512] = "";
	uint64_t until;

	while (s->n_troubles > 0)
		heal(s, UINT64_MAX);
	for (size_t i = 0; i < w->n; i++) {
		memory_ledger_fail(w->members[i].ledger, 0, 0);
		network_start(w, i);
	}
	operate_again(w);
	s->healed_ms = w->now_ms;
	until = w->now_ms + ARRIVE_MS;
	while (w->broken[0] == '\0' && !check_arrived(w, why, sizeof why) && w->now_ms < until)
		mend(w);
	s->arrived_ms = w->now_ms - s->healed_ms;
	if (w->broken[0] == '\0' && !check_arrived(w, why, sizeof why))
		network_break(w, "it has not arrived %d s after the faults stopped: %s", ARRIVE_MS / 1000, why);
	check_end(w);
}

static bool is_chosen(const struct sim *s, const char *name)
{
	for (size_t i = 0; i < n_faults; i++)
		if (strcmp(faults[i].name, name) == 0)
			return s->chosen[i];
	return false;
}

static int run(struct sim *s)
{
	struct network *w = s->w =
		network_new_with(s->seed, s->members, is_chosen(s, "join") ? s->members / 5 : 0, true, s->traced);
	bool good;

	while (w->steps < s->steps && w->broken[0] == '\0')
		turn(s);
	settle(s);
	good = w->broken[0] == '\0';
	if (!good)
		printf("FAILED seed %" PRIu64 " step %" PRIu64 ": %s\n", s->seed, w->broken_step, w->broken);
	printf("seed %" PRIu64 ": %s, %zu members, %" PRIu64
	       " steps, %llu events, %llu faults, %llu crashes, %llu frames, %llu commits, "
	       "%llu delivered, %llu applied, %llu lies, %zu thefts, %" PRIu64 " s virtual, arrived %" PRIu64
	       " s after\n",
		s->seed, good ? "held" : "broken", s->members, w->steps, s->n_published, s->n_struck, w->n_crashes,
		w->n_frames, w->n_commits, w->n_delivered, w->n_applied, w->n_lies, w->n_thefts,
		(w->now_ms - 1000000000) / 1000, s->arrived_ms / 1000);
	network_free(w);
	return good ? 0 : 1;
}

/* ---- the command line ---- */

static void list_faults(void)
{
	for (size_t i = 0; i < n_faults; i++)
		printf("%-14s %s\n", faults[i].name, faults[i].help);
}

static bool choose(struct sim *s, char *list)
{
	for (char *name = strtok(list, ","); name != NULL; name = strtok(NULL, ",")) {
		bool all = strcmp(name, "all") == 0, known = all || strcmp(name, "none") == 0;

		for (size_t i = 0; i < n_faults; i++)
			if (all || strcmp(name, faults[i].name) == 0)
				s->chosen[i] = known = true;
		if (!known) {
			fprintf(stderr, "sim: there is no fault %s; `--faults list` prints them\n", name);
			return false;
		}
	}
	for (size_t i = 0; i < n_faults; i++)
		s->n_chosen += s->chosen[i];
	return true;
}

static const char help[] =
	"sim [--seed N] [--steps M] [--members K] [--faults LIST] [--trace]\n"
	"\n"
	"The core of K members (9) in one process, with virtual time, network, disks, entropy and plugins, for M steps "
	"(20000), with\n"
	"faults drawn from the seed (1). Exit 0 when every invariant held, 1 otherwise: then the first line says seed, "
	"step and what\n"
	"was broken. The last line counts. The same arguments give the same output.\n"
	"\n"
	"--faults LIST   names with commas between, `all` (also without this option), `none`; `list` prints what there "
	"is\n"
	"--trace         prints what happens, and what the nodes log: step, virtual milliseconds, member, what\n";

static bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	return *end == '\0' && *text >= '0' && *text <= '9' && *out >= least && *out <= most;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"seed", required_argument, NULL, 's'},
		{"steps", required_argument, NULL, 'n'}, {"members", required_argument, NULL, 'm'},
		{"faults", required_argument, NULL, 'f'}, {"trace", no_argument, NULL, 't'},
		{"help", no_argument, NULL, 'h'}, {0}};
	struct sim s = {.seed = 1, .steps = 20000, .members = 9};
	char every[] = "all", *list = every;
	uint64_t members = 9;
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			good &= read_number(optarg, 0, UINT64_MAX, &s.seed);
			break;
		case 'n':
			good &= read_number(optarg, 0, UINT64_MAX, &s.steps);
			break;
		case 'm':
			good &= read_number(optarg, 2, NETWORK_MAX, &members);
			break;
		case 'f':
			list = optarg;
			break;
		case 't':
			s.traced = true;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			good = false;
		}
	}
	if (!good || optind != argc) {
		fputs(help, stderr);
		return 64;
	}
	if (strcmp(list, "list") == 0) {
		list_faults();
		return 0;
	}
	s.members = (size_t)members;
	return choose(&s, list) ? run(&s) : 64;
}
