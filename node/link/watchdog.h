/* watchdog - says when resident memory has grown beyond its limit.
 *
 * libzmq collects the parts of a message until the last has come, outside all of its limits and unseen by us. What helps is to
 * close the socket; what tells is the memory of the process. */
#ifndef ENLIGHT_LINK_WATCHDOG_H
#define ENLIGHT_LINK_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

struct watchdog {
	uint64_t limit_bytes;     /* 0: never barks */
	uint64_t threshold_bytes; /* limit_bytes, or more while memory is needed for something else than floods */
	uint64_t next_ms;
	bool settling; /* it has barked, and memory is being freed by other threads */
};

void watchdog_init(struct watchdog *w, uint64_t limit_bytes);

/* Looks at most every 200 ms. True: over the threshold; the caller drops what grows. When that has not helped, it barks again only
 * after further growth by a quarter of the limit. */
bool watchdog_look(struct watchdog *w, uint64_t now_ms);

uint64_t watchdog_resident(void); /* bytes; 0: not known */

#endif
