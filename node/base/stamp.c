#include "base/stamp.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void split(struct tm *out, uint64_t ms)
{
	time_t seconds = (time_t)(ms / 1000);

	if (gmtime_r(&seconds, out) == NULL)
		*out = (struct tm){.tm_mday = 1};
}

/* strftime() writes nothing when it does not fit, and a year beyond 9999 would not. */
void stamp_time(char out[static STAMP_TIME], uint64_t ms)
{
	struct tm tm;
	char head[32] = "";

	split(&tm, ms);
	strftime(head, sizeof head, "%Y-%m-%dT%H:%M:%S", &tm);
	head[19] = '\0';
	snprintf(out, STAMP_TIME, "%s.%03uZ", head, (unsigned)(ms % 1000));
}

void stamp_day(char out[static STAMP_DAY], uint64_t ms)
{
	struct tm tm;
	char day[32] = "";

	split(&tm, ms);
	strftime(day, sizeof day, "%Y-%m-%d", &tm);
	memcpy(out, day, STAMP_DAY - 1);
	out[STAMP_DAY - 1] = '\0';
}

void stamp_uuid(char out[static STAMP_UUID], uint64_t ms, unsigned counter)
{
	uint8_t b[16];
	char hex[33];

	for (int i = 0; i < 6; i++)
		b[i] = (uint8_t)(ms >> (40 - 8 * i));
	randombytes_buf(b + 6, sizeof b - 6);
	b[6] = (uint8_t)(0x70 | (counter >> 8 & 0x0f));
	b[7] = (uint8_t)counter;
	b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
	sodium_bin2hex(hex, sizeof hex, b, sizeof b);
	snprintf(out, STAMP_UUID, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}
