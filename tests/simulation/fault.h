/* fault - what can go wrong in the simulated network, by name. */
#ifndef ENLIGHT_TESTS_FAULT_H
#define ENLIGHT_TESTS_FAULT_H

#include "network.h"

/* One fault that is under way; a and b are the members that it strikes. */
struct trouble {
	const struct fault *fault;
	size_t a, b;
	uint64_t until_ms; /* an end that sets it to later is followed by another end */
	unsigned phase;
};

struct fault {
	const char *name, *help;
	unsigned most_ms;                                    /* lasts at most so long; 0: a moment */
	bool (*begin)(struct network *w, struct trouble *t); /* false: it cannot be now */
	void (*end)(struct network *w, struct trouble *t);
};
extern const struct fault faults[];
extern const size_t n_faults;

#endif
