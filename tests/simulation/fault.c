#include "fault.h"

#include "liar.h"
#include "network_state.h"
#include "operate.h"
#include <errno.h>
#include "plugin.h"
#include "thief.h"

/* A member that is up, for `a`; another one for `b`. */
static bool pick(struct network *w, struct trouble *t)
{
	t->a = network_random(w, (uint32_t)w->n);
	t->b = network_random(w, (uint32_t)w->n);
	return w->members[t->a].up && t->a != t->b;
}

static struct plugin_mood *mood_of(struct network *w, struct trouble *t)
{
	struct plugin *p = pick(w, t) ? w->members[t->a].plugin : NULL;

	return p == NULL ? NULL : plugin_mood(p);
}

/* ---- members ---- */

static bool crash_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t) || w->members[t->a].crash_in != 0)
		return false;
	w->members[t->a].crash_in = 1 + network_random(w, 60);
	return true;
}

static void crash_end(struct network *w, struct trouble *t)
{
	w->members[t->a].crash_in = 0;
	network_start(w, t->a);
}

static bool full_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	memory_ledger_limit(
		w->members[t->a].ledger, memory_ledger_bytes(w->members[t->a].ledger) + network_random(w, 4000));
	return true;
}

static void full_end(struct network *w, struct trouble *t)
{
	memory_ledger_limit(w->members[t->a].ledger, 0);
}

static bool disk_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	memory_ledger_fail(w->members[t->a].ledger, network_random(w, 40), -ENOMEM);
	return true;
}

static bool slow_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	w->members[t->a].slow_ms = 200 + network_random(w, 3000);
	return true;
}

static void slow_end(struct network *w, struct trouble *t)
{
	w->members[t->a].slow_ms = 0;
}

static bool silent_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	for (size_t i = 0; i < w->n; i++)
		network_stall(w, i, t->a, true);
	return true;
}

static void silent_end(struct network *w, struct trouble *t)
{
	for (size_t i = 0; i < w->n; i++)
		network_stall(w, i, t->a, false);
}

static bool clock_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	w->members[t->a].clock_ms = (int64_t)network_random(w, 1600000000) - 800000000; /* nine days either way */
	return true;
}

/* ---- connections ---- */

static bool drop_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	network_drop(w, t->a, t->b);
	return true;
}

static bool cut_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	network_cut(w, t->a, t->b);
	return true;
}

static void cut_end(struct network *w, struct trouble *t)
{
	network_heal(w, t->a, t->b);
}

/* Whose numbers fall into one half, by the bits of `a`, and whose into the other. */
static bool apart(const struct trouble *t, size_t i, size_t k)
{
	return (i >> t->a & 1) != (k >> t->a & 1);
}

static bool partition_begin(struct network *w, struct trouble *t)
{
	t->a = network_random(w, 3);
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < i; k++)
			if (apart(t, i, k))
				network_cut(w, i, k);
	return true;
}

static void partition_end(struct network *w, struct trouble *t)
{
	for (size_t i = 0; i < w->n; i++)
		for (size_t k = 0; k < i; k++)
			if (apart(t, i, k))
				network_heal(w, i, k);
}

static bool one_way_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	way(w, t->a, t->b)->mute = true;
	return true;
}

static void one_way_end(struct network *w, struct trouble *t)
{
	way(w, t->a, t->b)->mute = false;
}

static bool delay_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	way(w, t->a, t->b)->delay_ms = way(w, t->b, t->a)->delay_ms = 1 + network_random(w, 20000);
	return true;
}

static void delay_end(struct network *w, struct trouble *t)
{
	way(w, t->a, t->b)->delay_ms = way(w, t->b, t->a)->delay_ms = 0;
}

/* Every connection has its own pace: what was sent later to one arrives before what was sent earlier to another. */
static bool reorder_begin(struct network *w, struct trouble *t)
{
	t->a = 0;
	for (size_t i = 0; i < w->n * w->n; i++)
		w->ways[i].delay_ms = network_random(w, 3000);
	return true;
}

static void reorder_end(struct network *w, struct trouble *t)
{
	(void)t;
	for (size_t i = 0; i < w->n * w->n; i++)
		w->ways[i].delay_ms = 0;
}

static bool lose_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	way(w, t->a, t->b)->lost = 10 + network_random(w, 300);
	return true;
}

static void lose_end(struct network *w, struct trouble *t)
{
	way(w, t->a, t->b)->lost = 0;
}

static bool double_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	way(w, t->a, t->b)->doubled = 10 + network_random(w, 300);
	return true;
}

static void double_end(struct network *w, struct trouble *t)
{
	way(w, t->a, t->b)->doubled = 0;
}

static bool stale_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	way(w, t->a, t->b)->stale = 50 + network_random(w, 300);
	network_drop(w, t->a, t->b);
	return true;
}

static void stale_end(struct network *w, struct trouble *t)
{
	way(w, t->a, t->b)->stale = 0;
}

/* Numbers in the frames show that one was overtaken, as they show that one was lost. */
static bool overtake_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t))
		return false;
	way(w, t->a, t->b)->overtaking = 10 + network_random(w, 300);
	return true;
}

static void overtake_end(struct network *w, struct trouble *t)
{
	way(w, t->a, t->b)->overtaking = 0;
}

/* ---- plugins ---- */

static void plugin_healed(struct network *w, struct trouble *t)
{
	struct plugin *p = w->members[t->a].plugin;

	*plugin_mood(p) = (struct plugin_mood){0};
	plugin_mend(p);
}

static bool plugin_crash_begin(struct network *w, struct trouble *t)
{
	struct plugin_mood *mood = mood_of(w, t);

	if (mood == NULL)
		return false;
	mood->crashes = 5 + network_random(w, 200);
	return true;
}

static bool plugin_hang_begin(struct network *w, struct trouble *t)
{
	struct plugin_mood *mood = mood_of(w, t);

	if (mood == NULL)
		return false;
	mood->hangs = true;
	return true;
}

static bool plugin_fail_begin(struct network *w, struct trouble *t)
{
	struct plugin_mood *mood = mood_of(w, t);

	if (mood == NULL)
		return false;
	mood->objects = network_random(w, 8);
	switch (network_random(w, 4)) {
	case 0:
		mood->rejects = true;
		break;
	case 1:
		mood->retries = true;
		break;
	case 2:
		mood->dies = true;
		break;
	default:
		mood->fails = 1 + network_random(w, 500);
	}
	return true;
}

/* ---- operators ---- */

static bool renew_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && operate_renew(w, t->a);
}

static void renew_end(struct network *w, struct trouble *t)
{
	operate_retire(w, t->a);
}

static bool revoke_begin(struct network *w, struct trouble *t)
{
	if (!pick(w, t) || !operate_may_revoke(w, t->a))
		return false;
	operate_revoke(w, t->a);
	return true;
}

static bool thief_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && thief_steals(w, t->a);
}

/* The theft is found out, when a reader has met the thief that is away from all others for a while. */
static void thief_end(struct network *w, struct trouble *t)
{
	if (t->phase++ > 0) {
		network_start(w, t->b);
		return;
	}
	if (!operate_may_revoke(w, t->a) || !thief_strikes(w, t->a, t->b))
		return;
	operate_revoke(w, t->a);
	t->until_ms = w->now_ms + 1 + network_random(w, 20000);
}

static bool join_begin(struct network *w, struct trouble *t)
{
	t->a = t->b = 0;
	return operate_join(w);
}

static bool leave_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && operate_leave(w, t->a);
}

static bool restore_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && operate_keep_old(w, t->a);
}

/* The member's operator puts back an old copy of the disk while the reader that holds most of what the member has published since is away. */
static void restore_end(struct network *w, struct trouble *t)
{
	if (t->phase++ > 0) {
		network_heal(w, t->a, t->b);
		return;
	}
	t->b = network_longest_copy(w, t->a);
	operate_go_back(w, t->a, true);
	network_cut(w, t->a, t->b);
	t->until_ms = w->now_ms + 1 + network_random(w, 60000);
}

static bool minority_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && operate_minority(w, t->a);
}

/* ---- lies ---- */

static bool liar_pick(struct network *w, struct trouble *t, enum lie lie)
{
	return pick(w, t) && liar_begin(w, t->a, lie);
}

/* clang-format off */
#define LIE(name, lie) \
	static bool name##_begin(struct network *w, struct trouble *t) \
	{ \
		return liar_pick(w, t, lie); \
	} \
	static void name##_end(struct network *w, struct trouble *t) \
	{ \
		liar_end(w, t->a, lie); \
	}
/* clang-format on */
LIE(audience, LIE_AUDIENCE)
LIE(equivocate, LIE_EQUIVOCATE)
LIE(flood, LIE_FLOOD)
LIE(forge, LIE_FORGE)
LIE(old_key, LIE_OLD_KEY)
LIE(network, LIE_NETWORK)
LIE(order, LIE_ORDER)
LIE(raise, LIE_RAISE)
LIE(withhold, LIE_WITHHOLD)

/* It says Hello to everybody anew. */
static bool claim_begin(struct network *w, struct trouble *t)
{
	if (!liar_pick(w, t, LIE_CLAIM))
		return false;
	for (size_t i = 0; i < w->n; i++)
		network_drop(w, t->a, i);
	return true;
}

static void claim_end(struct network *w, struct trouble *t)
{
	liar_end(w, t->a, LIE_CLAIM);
}

static bool claim_key_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && liar_claim_key(w, t->a, t->b);
}

static bool bogus_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && liar_publish(w, t->a);
}

static bool rewind_begin(struct network *w, struct trouble *t)
{
	return pick(w, t) && operate_keep_old(w, t->a);
}

static void rewind_end(struct network *w, struct trouble *t)
{
	operate_go_back(w, t->a, false);
}

const struct fault faults[] = {
	/* alphabetical */
	{"audience", "a liar delivers a batch to one who is not in its audience", 60000, audience_begin, audience_end},
	{"bogus", "a liar publishes what only others may publish", 0, bogus_begin, NULL},
	{"claim", "a liar says Hello in the name of another", 60000, claim_begin, claim_end},
	{"claim-key", "a liar lists another's signing key on its card", 0, claim_key_begin, NULL},
	{"clock", "a member's wall clock jumps, by up to nine days either way", 0, clock_begin, NULL},
	{"crash", "a member ends at one of its next happenings, also in the middle of a commit, and starts again later",
		20000, crash_begin, crash_end},
	{"cut", "no connection between two members", 60000, cut_begin, cut_end},
	{"delay", "frames between two members take up to 20 s", 60000, delay_begin, delay_end},
	{"disk", "one of a member's next writes fails", 0, disk_begin, NULL},
	{"double", "frames from one member to another come twice", 60000, double_begin, double_end},
	{"drop", "a connection breaks", 0, drop_begin, NULL},
	{"equivocate", "a liar shows two batches of one place", 60000, equivocate_begin, equivocate_end},
	{"flood", "a liar sends twenty frames for one", 20000, flood_begin, flood_end},
	{"forge", "a liar's batches and receipts have signatures of something else", 60000, forge_begin, forge_end},
	{"full", "a member's disk is full", 60000, full_begin, full_end},
	{"join", "a member joins; a fifth of the members is not in the first roster then", 0, join_begin, NULL},
	{"leave", "a member leaves, by a new roster", 0, leave_begin, NULL},
	{"lose", "frames from one member to another are lost", 60000, lose_begin, lose_end},
	{"minority", "half of the members sign a roster without another member", 0, minority_begin, NULL},
	{"network", "a liar delivers a batch of another network", 60000, network_begin, network_end},
	{"old-key", "a liar signs batches with a key that it no longer uses", 60000, old_key_begin, old_key_end},
	{"one-way", "what one member sends another is lost, and nobody notices", 90000, one_way_begin, one_way_end},
	{"order", "a liar says what it said before again, to anybody, at any time", 60000, order_begin, order_end},
	{"overtake", "frames from one member to another overtake each other", 60000, overtake_begin, overtake_end},
	{"partition", "two halves of the network without a connection", 60000, partition_begin, partition_end},
	{"plugin-crash", "a plugin ends in the middle, before or after its effect", 60000, plugin_crash_begin,
		plugin_healed},
	{"plugin-fail", "a plugin rejects, puts off or dies of the events of some objects, or puts off any", 120000,
		plugin_fail_begin, plugin_healed},
	{"plugin-hang", "a plugin says nothing any more", 120000, plugin_hang_begin, plugin_healed},
	{"raise", "a liar raises a channel's incarnation", 60000, raise_begin, raise_end},
	{"reorder", "every connection has a pace of its own", 60000, reorder_begin, reorder_end},
	{"renew", "a member gets another node key, and retires the one it had", 30000, renew_begin, renew_end},
	{"restore", "an operator restores an old copy of a disk while the reader with the longest copy is away", 60000,
		restore_begin, restore_end},
	{"revoke", "a member's node key may be stolen: it gets another", 0, revoke_begin, NULL},
	{"rewind", "a member goes on from an old copy of its disk, as if nothing had been after it", 60000,
		rewind_begin, rewind_end},
	{"silent", "a member takes nothing", 90000, silent_begin, silent_end},
	{"slow", "whatever a member does takes seconds", 60000, slow_begin, slow_end},
	{"stale", "frames of an earlier connection come in a new one", 60000, stale_begin, stale_end},
	{"thief", "who stole a member's node key publishes in its name, at a reader that has no word of it yet", 20000,
		thief_begin, thief_end},
	{"withhold", "a liar leaves events out of the slots of a batch", 60000, withhold_begin, withhold_end},
};
const size_t n_faults = sizeof faults / sizeof *faults;
