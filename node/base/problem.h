/* problem - what is wrong with something that came from outside: all of it at once, each with its place and the rule.
 *
 * A place is a JSON pointer (RFC 6901) for events and `file:line:column` for files. A rule is our own words and never
 * quotes the rejected value: it may be a person's or a secret. */
#ifndef ENLIGHT_BASE_PROBLEM_H
#define ENLIGHT_BASE_PROBLEM_H

#include <stddef.h>

enum { PROBLEMS_MAX = 100 }; /* further ones are counted, not kept */

struct problem {
	char *place;
	char *rule;
};

/* The zeroed value is empty and ready; release with problems_deinit(). */
struct problems {
	struct problem *items;
	size_t n;
	size_t total; /* n, and those beyond PROBLEMS_MAX */
};

/* Adds one; both strings are copied. Out of memory only counts it. */
void problem_add(struct problems *p, const char *place, const char *rule);
void problem_addf(struct problems *p, const char *place, const char *rule_format, ...)
	__attribute__((format(printf, 3, 4)));

/* Moves all of `from` behind those of `to`, each place with `prefix` in front. `from` is empty afterwards. */
void problems_move(struct problems *to, const char *prefix, struct problems *from);
void problems_deinit(struct problems *p);

#endif
