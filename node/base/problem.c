#include "base/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes both strings. */
static void add_taken(struct problems *p, char *place, char *rule)
{
	struct problem *items = NULL;

	p->total++;
	if (place != NULL && rule != NULL && p->n < PROBLEMS_MAX)
		items = realloc(p->items, (p->n + 1) * sizeof *items);
	if (items == NULL) {
		free(place);
		free(rule);
		return;
	}
	p->items = items;
	p->items[p->n++] = (struct problem){place, rule};
}

void problem_add(struct problems *p, const char *place, const char *rule)
{
	add_taken(p, strdup(place), strdup(rule));
}

void problem_addf(struct problems *p, const char *place, const char *rule_format, ...)
{
	char *rule = NULL;
	va_list args;

	va_start(args, rule_format);
	if (vasprintf(&rule, rule_format, args) < 0)
		rule = NULL;
	va_end(args);
	add_taken(p, strdup(place), rule);
}

void problems_move(struct problems *to, const char *prefix, struct problems *from)
{
	char *place;

	for (size_t i = 0; i < from->n; i++) {
		if (asprintf(&place, "%s%s", prefix, from->items[i].place) < 0)
			place = NULL;
		add_taken(to, place, from->items[i].rule);
		from->items[i].rule = NULL;
	}
	to->total += from->total - from->n;
	problems_deinit(from);
}

void problems_deinit(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->items[i].place);
		free(p->items[i].rule);
	}
	free(p->items);
	*p = (struct problems){0};
}
