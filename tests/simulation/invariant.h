/* invariant - what must hold in a simulated network whatever happens; the first that does not becomes network_broken(). */
#ifndef ENLIGHT_TESTS_INVARIANT_H
#define ENLIGHT_TESTS_INVARIANT_H

#include "network.h"

/* Before a frame of an honest member goes out: it acknowledges what is durable, and delivers to who may read. */
void check_sent(struct network *w, size_t from, size_t to, struct bytes frame);
/* After the commit of what a peer delivered: who showed two histories is stopped, with evidence. */
/* `before`: number of the last batch that was held when the commit began. */
void check_accepted(struct network *w, size_t member, const struct accept_job *job, uint64_t before);
/* Rosters and cards in force are the members'. Every ledger: chains without gaps, the publisher's bytes, nobody else's, all that was acknowledged, receipts, evidence. */
void check_ledgers(struct network *w);
/* The same, and everything opened: empty slots are counted, what breaks a rule is marked, and nothing else is. */
void check_bodies(struct network *w);
/* Everything has arrived, and is where it has to be: also at the plugins. */
bool check_arrived(struct network *w, char *why, size_t size);
void check_end(struct network *w);

#endif
