/* remarks - what is to be said about lines of a document, in any order while it is read, by line when it is printed. */
#ifndef ENLIGHT_EWP_REMARKS_H
#define ENLIGHT_EWP_REMARKS_H

#include <stddef.h>
#include <stdio.h>

struct remark {
	unsigned long line;
	size_t number; /* as they came: those of one line stay in order */
	char *text;
};

/* The zeroed value is empty and ready. `error` is -ENOMEM once one could not be kept. */
struct remarks {
	struct remark *items;
	size_t n, size;
	int error;
};

void remark_add(struct remarks *r, unsigned long line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* One line each, `FILE:LINE: TEXT`, sorted by line. */
void remarks_print(struct remarks *r, const char *file, FILE *out);
void remarks_deinit(struct remarks *r);

#endif
