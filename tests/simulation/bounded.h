/* bounded - what a simulated node keeps in memory has a bound that does not depend on what others do to it, and credit is neither made nor lost. */
#ifndef ENLIGHT_TESTS_BOUNDED_H
#define ENLIGHT_TESTS_BOUNDED_H

#include "network.h"

/* After a happening at the member: what waits is bounded, and every session is with whom it says. */
void check_step(struct network *w, size_t member);
/* When everything has arrived: nothing is under way, and what readers granted is what publishers have. */
void check_at_rest(struct network *w);

#endif
