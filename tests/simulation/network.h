/* network - a whole network of universities in one process: core's node, commits and queries of each member, with virtual
 * time, ledgers in memory, and connections that can be cut. Everything random comes from one seed, so a run can be repeated to
 * the byte.
 *
 * A frame takes a random while, but the frames of one connection keep their order, as on TCP. A commit takes a random while too, and a crash
 * before its end undoes it. */
#ifndef ENLIGHT_TESTS_NETWORK_H
#define ENLIGHT_TESTS_NETWORK_H

#include "core/node.h"
#include "memory_ledger.h"

enum { NETWORK_MAX = 512, NETWORK_JOBS_MAX = 8192 };

struct network;

/* What was answered with success, as the publisher's local system knows it. */
struct acknowledged {
	size_t publisher;
	char *audience, *id;
	uint64_t sequence;
	bool lost; /* with its publisher's disk, before anybody else had it */
};

struct network *network_new(uint64_t seed, size_t n_members);
/* The same with members that are not in the first roster: the last `n_later` ones. With `plugins` each has one. */
struct network *network_new_with(uint64_t seed, size_t n_members, size_t n_later, bool plugins, bool traced);
void network_free(struct network *w);

size_t network_size(const struct network *w);
const char *network_handle(const struct network *w, size_t member);
uint64_t network_now_ms(const struct network *w);
uint32_t network_random(struct network *w, uint32_t below);

/* A local system of the member posts one course offering. `audience` as people write it. It is repeated, as local systems do, until it is
 * answered with success; also over crashes. */
void network_publish(struct network *w, size_t member, const char *audience, const char *course);

/* Faults. A cut connection loses what is in flight; both ends learn of it, and the dialler tries again. */
void network_crash(struct network *w, size_t member);
void network_start(struct network *w, size_t member);
void network_slow(struct network *w, size_t member, unsigned ms); /* whatever it does takes so much longer at most */
bool network_is_up(const struct network *w, size_t member);
void network_cut(struct network *w, size_t a, size_t b); /* until network_heal() */
void network_heal(struct network *w, size_t a, size_t b);
void network_drop(struct network *w, size_t a, size_t b); /* once */

/* A member's disk goes back to what it was: it stops, and starts again from the copy, which is taken. */
void network_go_back(struct network *w, size_t member, struct memory_ledger *copy);
/* The same by an operator who restores a backup, so that the node knows. */
void network_restore(struct network *w, size_t member, struct memory_ledger *copy);

/* From now on so many of a thousand frames are lost, each alone: the connection stays. 0: none. */
void network_lose(struct network *w, unsigned per_mille);

/* One member takes nothing more from another, though the connection stands; what is sent meanwhile waits at the sender and is lost
 * in the end. Answers how many bytes wait. */
void network_stall(struct network *w, size_t from, size_t to, bool stalled);
size_t network_stalled_bytes(const struct network *w, size_t from, size_t to);

/* Lets virtual time pass; in the second form no more than so many happenings in all, and none after an invariant broke. */
void network_run(struct network *w, uint64_t ms);
void network_run_steps(struct network *w, uint64_t ms, uint64_t steps);
/* Until everything acknowledged has arrived and has its receipt, at most so long; false: it has not. */
bool network_settle(struct network *w, uint64_t most_ms);

/* Holds at any time: what a member holds of a channel begins at 1, has no gap, and is byte for byte what every other holder has; nobody holds what
 * is not for it; nothing acknowledged is missing at its publisher; no invariant broke on the way. Answers NULL or what is wrong (static memory). */
const char *network_check(struct network *w);
/* Holds at the end: every acknowledged event is at every reader of its audience, once and in order, and nothing else is. */
const char *network_check_complete(struct network *w);

size_t network_acknowledged(const struct network *w, const struct acknowledged **out);
struct node *network_node(struct network *w, size_t member);
struct memory_ledger *network_ledger(struct network *w, size_t member);

/* Changes the next frame that goes from one member to another, before it is delivered. */
typedef void (*network_tamper)(void *context, struct bytes frame);
void network_tamper_with(struct network *w, size_t from, size_t to, network_tamper tamper, void *context);

#endif
