/* fuzz - what the fuzzing targets share. A target is one function over the real code: libFuzzer calls it with inputs that it makes
 * up, replay.c with those of the corpus. Nothing is kept from one input to the next but what is const. */
#ifndef ENLIGHT_TESTS_FUZZ_H
#define ENLIGHT_TESTS_FUZZ_H

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define must(what) ((what) ? (void)0 : fuzz_broken(#what, __FILE__, __LINE__))
_Noreturn static inline void fuzz_broken(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* An input that is read from the front as choices. Behind its end there are zeros. */
struct choices {
	const uint8_t *at;
	size_t left;
};

static inline uint8_t choose(struct choices *c)
{
	if (c->left == 0)
		return 0;
	c->left--;
	return *c->at++;
}

static inline uint64_t choose_number(struct choices *c, unsigned n_bytes)
{
	uint64_t v = 0;

	while (n_bytes-- > 0)
		v = v << 8 | choose(c);
	return v;
}

/* So many of the bytes that follow, or all. */
static inline struct bytes choose_bytes(struct choices *c, size_t len)
{
	struct bytes b;

	if (len > c->left)
		len = c->left;
	b = bytes_of(c->at, len);
	c->at += len;
	c->left -= len;
	return b;
}

#endif
