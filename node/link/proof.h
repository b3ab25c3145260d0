/* proof - that a stranger is refused, shown by being one.
 *
 * Without a ZAP handler libzmq lets every CURVE key in, silently. So a node shows before its port is open, by a real handshake with
 * a key made for this moment, that it would be refused. */
#ifndef ENLIGHT_LINK_PROOF_H
#define ENLIGHT_LINK_PROOF_H

#include "link/socket.h"

/* Lets a random key knock at a throw-away server, with the node's keys and options, at an abstract Unix address. 0: refused.
 * -EPERM: let in, or no answer within five seconds. Other -errno: no sockets. */
int proof_stranger_is_refused(void *context, const struct socket_keys *keys);

#endif
