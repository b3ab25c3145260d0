/* failing_memory - asks the test's own `static bool fails(void)` before every allocation; where it says so, there is no memory. For
 * programs that are linked with `failing_memory` (meson.build). Define fails() before this is included. Check allocates too. */
#ifndef ENLIGHT_TESTS_FAILING_MEMORY_H
#define ENLIGHT_TESTS_FAILING_MEMORY_H

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __real_vasprintf(char **out, const char *format, va_list args);
int __wrap_vasprintf(char **out, const char *format, va_list args);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline bool failing_memory(void)
{
	if (!fails())
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return failing_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return failing_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return failing_memory() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return failing_memory() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return failing_memory() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return failing_memory() ? NULL : __real_strndup(s, n);
}

/* As the C library does, with nothing sensible in `*out`. */
int __wrap_vasprintf(char **out, const char *format, va_list args)
{
	if (!failing_memory())
		return __real_vasprintf(out, format, args);
	*out = (char *)1;
	return -1;
}

int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = __wrap_vasprintf(out, format, args);
	va_end(args);
	return r;
}

#endif
