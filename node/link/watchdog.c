#include "link/watchdog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum { LOOK_MS = 200, SETTLE_MS = 400 };

void watchdog_init(struct watchdog *w, uint64_t limit_bytes)
{
	*w = (struct watchdog){.limit_bytes = limit_bytes, .threshold_bytes = limit_bytes};
}

uint64_t watchdog_resident(void)
{
	char text[128];
	uint64_t pages;
	ssize_t n;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%*u %" SCNu64, &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

bool watchdog_look(struct watchdog *w, uint64_t now_ms)
{
	uint64_t resident, slack = w->limit_bytes / 4;

	if (w->limit_bytes == 0 || now_ms < w->next_ms)
		return false;
	w->next_ms = now_ms + LOOK_MS;
	if (w->settling)
		malloc_trim(0); /* what a flood filled is free now, but not given back by itself */
	resident = watchdog_resident();
	if (w->settling || resident + slack < w->threshold_bytes)
		w->threshold_bytes = resident + slack > w->limit_bytes ? resident + slack : w->limit_bytes;
	w->settling = resident > w->threshold_bytes;
	if (w->settling)
		w->next_ms = now_ms + SETTLE_MS;
	return w->settling;
}
