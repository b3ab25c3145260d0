/* door - the two ways in: listening sockets, bound by us so that their rights and names are exactly ours. */
#ifndef ENLIGHT_API_DOOR_H
#define ENLIGHT_API_DOOR_H

#include <stdbool.h>
#include <sys/stat.h>

/* Listens on a Unix socket, created with mode 0660. A socket file on which nobody answers is left over from a node that was
 * killed, and replaced; anything else in its place is an error. Returns the descriptor, or -errno with `*why`, memory the caller
 * frees (NULL: short of memory). `*st` is the file's, for door_remove(). */
int door_socket(const char *path, struct stat *st, char **why);

/* Removes the socket's file, unless another has taken its place. */
void door_remove(const char *path, const struct stat *st);

/* Listens on TCP; the address must be a loopback one ("127.0.0.1:4848", "[::1]:4848"). The same returns; `*port` is the one in use. */
int door_loopback(const char *address, unsigned *port, char **why);

/* Whether a Host header names loopback, with or without a port: what a page from elsewhere, whose name was bent to point
 * here, cannot send. NULL: no. */
bool door_host_is_loopback(const char *host);

#endif
