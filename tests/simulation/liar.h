/* liar - members that do what no honest node does: their frames are changed, repeated and made up on their way out, with their own keys.
 *
 * Who has lied once stays a liar to the invariants: nothing is promised of its channels any more, all else goes on. At most a third of
 * the members do. */
#ifndef ENLIGHT_TESTS_LIAR_H
#define ENLIGHT_TESTS_LIAR_H

#include "network.h"

enum lie {
	LIE_EQUIVOCATE = 1, /* another batch of the same place, before or after the true one, or instead of it */
	LIE_WITHHOLD = 2,   /* slots without their events */
	LIE_NETWORK = 4,    /* the batch of another network */
	LIE_AUDIENCE = 8,   /* a batch for others */
	LIE_CLAIM = 16,     /* Hellos in another's name */
	LIE_FLOOD = 32,     /* twenty frames for one */
	LIE_ORDER = 64,     /* what was said before, again, at any place of any session */
	LIE_RAISE = 128,    /* a later incarnation, though nothing was lost */
	LIE_FORGE = 256,    /* batches and receipts whose signature is of something else */
	LIE_OLD_KEY = 512,  /* batches that are signed with a key that it no longer uses */
	/* To another, heads of that one's channel under its first key, which was stolen and revoked. None of the faults: soon that one looks at no
	 * head any more before it starts again. */
	LIE_STOLEN = 1024,
};

/* False: there are enough liars. */
bool liar_begin(struct network *w, size_t member, enum lie lie);
void liar_end(struct network *w, size_t member, enum lie lie);

/* Publishes events that only another may publish. */
bool liar_publish(struct network *w, size_t member);

/* Lists a key of another on its card. */
bool liar_claim_key(struct network *w, size_t member, size_t victim);

#endif
