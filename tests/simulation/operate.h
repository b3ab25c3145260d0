/* operate - what operators do to a simulated network: node keys renewed and revoked, members that join and leave.
 *
 * A note is given to one or two nodes by hand and travels by itself from there. */
#ifndef ENLIGHT_TESTS_OPERATE_H
#define ENLIGHT_TESTS_OPERATE_H

#include "network.h"

/* All answer false when it cannot be done now. */
bool operate_renew(struct network *w, size_t member);  /* its card lists two keys from now on */
void operate_retire(struct network *w, size_t member); /* it starts again with the newer one, and retires the older */
bool operate_join(struct network *w);
bool operate_leave(struct network *w, size_t member);
/* Keeps a copy of what is on its disk, and puts it back later; `known`: as a backup that is restored, so that the node knows. */
bool operate_keep_old(struct network *w, size_t member);
void operate_go_back(struct network *w, size_t member, bool known);
/* It starts again with another key; the one it had may be stolen. Only when it may. */
bool operate_may_revoke(const struct network *w, size_t member);
void operate_revoke(struct network *w, size_t member);
/* A roster without the member is on its way that half of the others signed: not enough. */
bool operate_minority(struct network *w, size_t member);
/* Gives every newest note again where it was given, since a crash may have lost it; and, as operators do by mail, to one of each group of members
 * that were away while the keys of all others changed: nobody there lets them in, and they let nobody in. */
void operate_again(struct network *w);

#endif
