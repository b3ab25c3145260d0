/* invariant - what must hold in a simulated network whatever happens; the first that does not becomes network_broken(). */
#ifndef ENLIGHT_TESTS_INVARIANT_H
#define ENLIGHT_TESTS_INVARIANT_H

#include "network.h"

/* After a happening at the member: what waits is bounded, and every session is with whom it says. */
void check_step(struct network *w, size_t member);
/* Before a frame of an honest member goes out: it acknowledges what is durable, and delivers to who may read. */
void check_sent(struct network *w, size_t from, size_t to, struct bytes frame);
/* Every ledger: chains without gaps, the publisher's bytes, nobody else's, all that was acknowledged, receipts, evidence. */
void check_ledgers(struct network *w);
/* The same, and everything opened: empty slots are counted, what breaks a rule is marked, and nothing else is. */
void check_bodies(struct network *w);
/* Everything has arrived, and is where it has to be: also at the plugins. */
bool check_arrived(struct network *w, char *why, size_t size);
void check_end(struct network *w);

#endif
