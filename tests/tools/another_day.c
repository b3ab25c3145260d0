/* another_day - the daemon in a time of its own: enlightd whose clocks are so many seconds ahead as the file ENLIGHT_TEST_AHEAD says,
 * each time they are read. What a node does once a day is thus shown by a real one that runs over midnight within a second. */
#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);

static long seconds_ahead(void)
{
	const char *path = getenv("ENLIGHT_TEST_AHEAD");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n;

	assert(fd >= 0); /* it is run for nothing else */
	n = read(fd, text, sizeof text - 1);
	assert(n > 0);
	close(fd);
	return strtol(text, NULL, 10);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = __real_clock_gettime(clock, t);

	t->tv_sec += seconds_ahead();
	return r;
}
