/* act - something an operator did to this node, or the node by itself, as an event of its audit trail.
 *
 * The trail is a channel like any other, from the node to its own member alone: signed, chained, and never on a link. Nobody else
 * can publish in it (draft_from_json() refuses the topic). An act becomes durable together with what it does (keep.c). */
#ifndef ENLIGHT_CORE_ACT_H
#define ENLIGHT_CORE_ACT_H

#include "core/event.h"
#include "core/limits.h"

#define ACT_TOPIC "node.act"
enum { ACT_USER_MAX = 32, ACT_OBJECT_MAX = 200 };

/* Who did what, to what, and why. Strings are borrowed. */
struct act {
	char id[ID_MAX + 1]; /* a fresh one (stamp_uuid) */
	const char *verb;    /* as of the command: "peers.block" */
	const char *result;  /* "known", "refused"; NULL: done */
	bool by_user;        /* with `uid`; else the node did it by itself */
	unsigned uid;
	char user[ACT_USER_MAX + 1]; /* the uid's name, or empty */
	const char *object; /* a member, a plugin and a place...; NULL: the node. No payload, person or secret */
	const char *reason; /* or NULL */
};

/* Makes the event that says so, complete and valid, for JOB_ACT or a job's `act`. Words that no event may carry become a `?`.
 * 0 or -ENOMEM; `out` is for draft_deinit() on 0. */
int act_draft(struct draft *out, const struct act *act, const char *member, uint64_t time_ms);

/* The same draft once more. 0 or -ENOMEM. */
int act_draft_copy(struct draft *out, const struct draft *from);

#endif
