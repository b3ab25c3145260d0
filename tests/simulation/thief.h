/* thief - who holds a stolen node key of an honest member: it publishes in that one's name.
 *
 * A reader meets it while it is cut off from everybody else, and cannot know: it does not have the card that revokes the key yet. What the thief shows
 * goes on where its copy ends, contradicts it, or begins a later incarnation somewhere in it. */
#ifndef ENLIGHT_TESTS_THIEF_H
#define ENLIGHT_TESTS_THIEF_H

#include "network.h"

#define THIEF_ID "thief-" /* how the ids of its events begin */

/* Takes the member's key, and a copy of its disk. False: it cannot be now. */
bool thief_steals(struct network *w, size_t victim);

/* The reader crashes, and holds what the thief showed it when it is started again. False: it did not believe the thief. The victim's key is to be
 * revoked then, before anything else happens: until it is, the member that it is stolen from would believe it too. */
bool thief_strikes(struct network *w, size_t victim, size_t reader);

#endif
