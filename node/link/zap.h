/* zap - who may connect: answers ZAP (ZeroMQ RFC 27) in a thread of its own from a table of CURVE public keys.
 *
 * libzmq asks once, at the handshake, and lets everybody in when nobody listens at ZAP's address: see proof.h. An admitted peer
 * gets the User-Id "key in hexadecimal", which libzmq attaches to each of its frames. */
#ifndef ENLIGHT_LINK_ZAP_H
#define ENLIGHT_LINK_ZAP_H

#include "core/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zap;

#define ZAP_DOMAIN "enlight"

/* Starts answering for the sockets of a context; the table is empty, so that nobody is let in. -errno. */
int zap_start(struct zap **out, void *context);

/* Replaces the table by a copy of `n` keys. Safe while handshakes are going on. 0 or -ENOMEM (the old table stays). */
int zap_allow(struct zap *z, const uint8_t *keys, size_t n);

bool zap_allows(struct zap *z, const uint8_t key[static LINK_PUBLIC_LEN]);
uint64_t zap_refused(struct zap *z); /* handshakes refused so far */

/* Waits for the thread, which ends with zmq_ctx_shutdown(): call that before. NULL is a no-op. */
void zap_stop(struct zap *z);

#endif
