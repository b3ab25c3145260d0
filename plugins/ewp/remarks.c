#include "ewp/remarks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

static struct remark *next_remark(struct remarks *r)
{
	size_t size = r->size == 0 ? 16 : 2 * r->size;
	struct remark *items;

	if (r->n == r->size) {
		items = realloc(r->items, size * sizeof *items);
		if (items == NULL)
			return NULL;
		r->items = items;
		r->size = size;
	}
	return &r->items[r->n];
}

void remark_add(struct remarks *r, unsigned long line, const char *format, ...)
{
	struct remark *next = next_remark(r);
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (next == NULL || vasprintf(&text, format, args) < 0) {
		r->error = -ENOMEM;
	} else {
		*next = (struct remark){line, r->n, text};
		r->n++;
	}
	va_end(args);
}

static int by_line(const void *left, const void *right)
{
	const struct remark *a = left, *b = right;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->number < b->number ? -1 : 1;
}

void remarks_print(struct remarks *r, const char *file, FILE *out)
{
	if (r->n > 1)
		qsort(r->items, r->n, sizeof *r->items, by_line);
	for (size_t i = 0; i < r->n; i++)
		fprintf(out, "%s:%lu: %s\n", file, r->items[i].line, r->items[i].text);
}

void remarks_deinit(struct remarks *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i].text);
	free(r->items);
	*r = (struct remarks){0};
}
