/* wire - reads protobuf from outside: a walk over the wire bytes first, then protobuf-c with a capped allocator.
 * protobuf-c alone has no recursion limit and takes any bytes for a string.
 *
 * The walk is stricter than protobuf asks: groups are refused, a field that is not repeated stands at most once, and a known
 * field has its own wire type. Our writers never do otherwise, and what readers could understand in two ways is not
 * evidence of anything. Unknown fields are skipped. */
#ifndef ENLIGHT_CORE_WIRE_H
#define ENLIGHT_CORE_WIRE_H

#include "base/bytes.h"
#include <protobuf-c/protobuf-c.h>

/* Whether the bytes are a well-formed message of the type: nesting at most DEPTH_MAX (the message itself counts), fields
 * at most FIELDS_MAX, lengths inside, strings UTF-8 without NUL, required fields present. */
bool wire_valid(const ProtobufCMessageDescriptor *type, struct bytes packed);

/* wire_valid() and unpacking, the allocations together at most `cap_bytes`. The caller releases with wire_free(). NULL, with
 * errno EPROTO: malformed or above the cap; ENOMEM: out of memory. */
void *wire_unpack(const ProtobufCMessageDescriptor *type, struct bytes packed, size_t cap_bytes);
void wire_free(void *message); /* NULL is a no-op */

/* Packs any message into memory the caller frees. NULL: out of memory. */
uint8_t *wire_pack(const void *message, size_t *len);

/* Reads bytes that wire_valid() found good, field by field and without allocating: gives the next one and moves `rest` behind
 * it. False: no further one. */
struct wire_field {
	uint32_t number;
	bool counted;         /* carries its length: `content`; otherwise `value` */
	uint64_t value;       /* as it stands: fixed numbers as little-endian, signed ones not decoded */
	struct bytes content; /* text, bytes, message, or numbers in a row */
};
bool wire_next(struct bytes *rest, struct wire_field *out);

/* The next of varints in a row (a packed repeated field's content). False: no further one. */
bool wire_number(struct bytes *rest, uint64_t *out);

/* UTF-8 (RFC 3629: no surrogates, shortest forms) without NUL. */
bool utf8_valid(const uint8_t *p, size_t len);

#endif
