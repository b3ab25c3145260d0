/* stamp - times and ids as the edges write them. Only stamp_uuid() draws randomness: core leaves it to the edges. */
#ifndef ENLIGHT_BASE_STAMP_H
#define ENLIGHT_BASE_STAMP_H

#include <stdint.h>

enum {
	STAMP_TIME = 25, /* 2026-11-23T09:30:00.000Z */
	STAMP_DAY = 11,  /* 2026-11-23 */
	STAMP_UUID = 37,
};

void stamp_time(char out[static STAMP_TIME], uint64_t ms); /* RFC 3339, UTC; ms since 1970, before the year 10000 */
void stamp_day(char out[static STAMP_DAY], uint64_t ms);

/* A UUIDv7 (RFC 9562, section 5.7). Those of one batch rise: `counter` stands in the 12 bits behind the time. */
void stamp_uuid(char out[static STAMP_UUID], uint64_t ms, unsigned counter);

#endif
