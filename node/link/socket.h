/* socket - ZeroMQ sockets as links need them: every option that keeps a peer within bounds is set before the first bind or connect. */
#ifndef ENLIGHT_LINK_SOCKET_H
#define ENLIGHT_LINK_SOCKET_H

#include "core/limits.h"
#include <stdint.h>

struct socket_keys {
	uint8_t public_key[LINK_PUBLIC_LEN];
	uint8_t secret[32];
};

/* A context for links: one I/O thread for those who dial in, one for those dialled. NULL with errno. */
void *socket_context(void);

/* A CURVE server that asks ZAP; a CURVE client that expects `server_key` and never reconnects by itself. -errno, `*out` NULL then. */
int socket_router(void **out, void *context, const struct socket_keys *keys);
int socket_dealer(
	void **out, void *context, const struct socket_keys *keys, const uint8_t server_key[static LINK_PUBLIC_LEN]);

/* A socket that receives what becomes of another's connections; read it with socket_event(). -errno. */
int socket_monitor(void **out, void *context, void *watched);

/* The next ZMQ_EVENT_... without waiting; 0: none. */
int socket_event(void *monitor);

/* Closes at once, nothing lingers, and sets it to NULL. NULL is a no-op. */
void socket_close(void **socket);
void socket_close_monitor(void **monitor, void *watched);

#endif
