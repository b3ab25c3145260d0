/* wire - reads protobuf from outside: a walk over the wire bytes first (depth, lengths, UTF-8 and NUL of strings, unknown
 * groups, field count), then protobuf-c with a capped allocator. protobuf-c alone has no recursion limit and takes any
 * bytes for a string. */
#ifndef ENLIGHT_CORE_WIRE_H
#define ENLIGHT_CORE_WIRE_H

#include "base/bytes.h"
#include <protobuf-c/protobuf-c.h>

/* Whether the bytes are a well-formed message of the type: nesting at most DEPTH_MAX, lengths inside, strings UTF-8
 * without NUL, required fields present. */
bool wire_valid(const ProtobufCMessageDescriptor *type, struct bytes packed);

/* wire_valid() and unpacking, the allocations together at most `cap_bytes`. The caller releases with wire_free(). NULL:
 * malformed, above the cap, or out of memory (errno EPROTO or ENOMEM). */
void *wire_unpack(const ProtobufCMessageDescriptor *type, struct bytes packed, size_t cap_bytes);
void wire_free(void *message); /* NULL is a no-op */

/* Packs any message into memory the caller frees. NULL: out of memory. */
uint8_t *wire_pack(const void *message, size_t *len);

#endif
