#include "core/wire.h"

#include "core/limits.h"
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
	VARINT_LEN_MAX = 10,
	NUMBERS_PER_WORD = 64,
	SEEN_WORDS = 2, /* no message of ours has more than 128 fields; a unit test walks them all */
};

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

/* What is left to read, and how much more of it may be fields. */
struct walk {
	const uint8_t *p, *end;
	unsigned depth;
	unsigned fields;
};

static bool message_valid(struct walk *w, const ProtobufCMessageDescriptor *type);

/* Takes a varint at `*p`, which moves behind it. */
static bool long_varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_LEN_MAX && *p < end; i++) {
		uint8_t b = *(*p)++;

		if (i == VARINT_LEN_MAX - 1 && b > 1)
			return false; /* more than 64 bits */
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (b < 0x80) {
			*out = v;
			return true;
		}
	}
	return false;
}

/* Nearly all tags and lengths are of one byte. */
static inline bool take_varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
	if (*p < end && **p < 0x80) {
		*out = *(*p)++;
		return true;
	}
	return long_varint(p, end, out);
}

static bool read_varint(struct walk *w, uint64_t *out)
{
	return take_varint(&w->p, w->end, out);
}

static bool skip(struct walk *w, size_t n)
{
	if ((size_t)(w->end - w->p) < n)
		return false;
	w->p += n;
	return true;
}

/* The length of the UTF-8 sequence at `p`, 0 when there is none (RFC 3629, section 4). */
static size_t utf8_sequence(const uint8_t *p, size_t left)
{
	static const struct {
		uint8_t first, last, second_low, second_high, len;
	} forms[] = {
		{0x01, 0x7f, 0, 0, 1},
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	size_t f = 0, n = sizeof forms / sizeof *forms;

	while (f < n && !(p[0] >= forms[f].first && p[0] <= forms[f].last))
		f++;
	if (f == n || left < forms[f].len)
		return 0;
	if (forms[f].len > 1 && (p[1] < forms[f].second_low || p[1] > forms[f].second_high))
		return 0;
	for (size_t i = 2; i < forms[f].len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return forms[f].len;
}

bool utf8_valid(const uint8_t *p, size_t len)
{
	const uint64_t high = UINT64_C(0x8080808080808080), ones = UINT64_C(0x0101010101010101);
	uint64_t word;

	while (len > 0) {
		size_t n;

		if (len >= sizeof word) {
			memcpy(&word, p, sizeof word);
			if (((word | (word - ones)) & high) == 0) { /* ASCII without NUL: the usual case */
				p += sizeof word;
				len -= sizeof word;
				continue;
			}
		}
		n = *p > 0 && *p < 0x80 ? 1 : utf8_sequence(p, len);
		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

static int wire_type_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_LEN;
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32;
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64;
	default:
		return WIRE_VARINT;
	}
}

/* Whether every reader takes the varint for the same number: what is too large for its field some would cut off. A negative number of 32 bits
 * stands as the same one of 64. */
static bool in_range(const ProtobufCFieldDescriptor *field, uint64_t v)
{
	if (field == NULL)
		return true;
	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_SINT32:
		return v <= UINT32_MAX;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_ENUM:
		return v <= INT32_MAX || v >= (uint64_t)INT32_MIN;
	case PROTOBUF_C_TYPE_BOOL:
		return v <= 1;
	default:
		return true;
	}
}

/* A value that carries no length of its own; `field` is NULL for an unknown one. */
static bool scalar_valid(struct walk *w, const ProtobufCFieldDescriptor *field, int wire_type)
{
	uint64_t v;

	switch (wire_type) {
	case WIRE_VARINT:
		return read_varint(w, &v) && in_range(field, v);
	case WIRE_64:
		return skip(w, 8);
	case WIRE_32:
		return skip(w, 4);
	default:
		return false; /* groups are in no contract of ours */
	}
}

/* Numbers in a row without tags, which any repeated number may come as. */
static bool packed_valid(struct walk *w, const ProtobufCFieldDescriptor *field)
{
	while (w->p < w->end)
		if (w->fields-- == 0 || !scalar_valid(w, field, wire_type_of(field->type)))
			return false;
	return true;
}

/* The content of a field that carries its length; `field` is NULL for an unknown one. */
static bool content_valid(struct walk *inner, const ProtobufCFieldDescriptor *field)
{
	if (field == NULL)
		return true;
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		return utf8_valid(inner->p, (size_t)(inner->end - inner->p));
	case PROTOBUF_C_TYPE_BYTES:
		return true;
	case PROTOBUF_C_TYPE_MESSAGE:
		return inner->depth++ < DEPTH_MAX && message_valid(inner, field->descriptor);
	default:
		return field->label == PROTOBUF_C_LABEL_REPEATED && packed_valid(inner, field);
	}
}

static bool field_valid(struct walk *w, const ProtobufCFieldDescriptor *field, int wire_type)
{
	struct walk inner;
	uint64_t len;

	if (wire_type != WIRE_LEN)
		return (field == NULL || wire_type == wire_type_of(field->type)) && scalar_valid(w, field, wire_type);
	if (!read_varint(w, &len) || len > (size_t)(w->end - w->p))
		return false;
	inner = (struct walk){w->p, w->p + len, w->depth, w->fields};
	if (!content_valid(&inner, field))
		return false;
	w->p += len;
	w->fields = inner.fields;
	return true;
}

/* Notes that the field was there; false when it stood once already and may not repeat: readers that merge and readers that
 * take the last would see two different events. */
static bool note_seen(uint64_t *seen, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field)
{
	size_t i = (size_t)(field - type->fields);
	uint64_t bit = UINT64_C(1) << i % NUMBERS_PER_WORD;
	bool again;

	if (i >= SEEN_WORDS * NUMBERS_PER_WORD)
		return false;
	again = (seen[i / NUMBERS_PER_WORD] & bit) != 0;
	seen[i / NUMBERS_PER_WORD] |= bit;
	return !again || field->label == PROTOBUF_C_LABEL_REPEATED;
}

static bool required_seen(const uint64_t *seen, const ProtobufCMessageDescriptor *type)
{
	for (size_t i = 0; i < type->n_fields; i++)
		if (type->fields[i].label == PROTOBUF_C_LABEL_REQUIRED &&
			(seen[i / NUMBERS_PER_WORD] >> i % NUMBERS_PER_WORD & 1) == 0)
			return false;
	return true;
}

static bool message_valid(struct walk *w, const ProtobufCMessageDescriptor *type)
{
	uint64_t seen[SEEN_WORDS] = {0};

	while (w->p < w->end) {
		const ProtobufCFieldDescriptor *field;
		uint64_t tag;

		if (w->fields-- == 0 || !read_varint(w, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
			return false;
		field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
		if (field != NULL && !note_seen(seen, type, field))
			return false;
		if (!field_valid(w, field, (int)(tag & 7)))
			return false;
	}
	return required_seen(seen, type);
}

bool wire_valid(const ProtobufCMessageDescriptor *type, struct bytes packed)
{
	static const uint8_t nothing[1];
	const uint8_t *p = packed.data == NULL ? nothing : packed.data;
	struct walk w = {p, p + packed.len, 1, FIELDS_MAX};

	return message_valid(&w, type);
}

static uint64_t fixed(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

bool wire_number(struct bytes *rest, uint64_t *out)
{
	const uint8_t *p = rest->data;

	if (rest->len == 0 || !take_varint(&p, rest->data + rest->len, out))
		return false;
	rest->len -= (size_t)(p - rest->data);
	rest->data = p;
	return true;
}

/* The value of a field that is not counted; `*p` moves behind it. */
static bool take_value(const uint8_t **p, const uint8_t *end, int wire_type, uint64_t *out)
{
	size_t n = wire_type == WIRE_64 ? 8 : 4;

	if (wire_type == WIRE_VARINT)
		return take_varint(p, end, out);
	if ((wire_type != WIRE_64 && wire_type != WIRE_32) || (size_t)(end - *p) < n)
		return false;
	*out = fixed(*p, n);
	*p += n;
	return true;
}

bool wire_next(struct bytes *rest, struct wire_field *out)
{
	const uint8_t *p = rest->data, *end;
	uint64_t tag;

	if (rest->len == 0)
		return false;
	end = p + rest->len;
	if (!take_varint(&p, end, &tag))
		return false;
	out->number = (uint32_t)(tag >> 3);
	out->counted = (tag & 7) == WIRE_LEN;
	if (!out->counted) {
		if (!take_value(&p, end, (int)(tag & 7), &out->value))
			return false;
	} else {
		if (!take_varint(&p, end, &out->value) || out->value > (size_t)(end - p))
			return false;
		out->content = (struct bytes){p, out->value};
		p += out->value;
	}
	*rest = (struct bytes){p, (size_t)(end - p)};
	return true;
}

/* Where protobuf-c puts a message and all that hangs on it: a list of blocks, most often of one, which are released together. The message
 * itself comes first, so it leads to them. */
struct block {
	struct block *next;
	size_t size, used;
	max_align_t data[];
};
struct arena {
	struct block *first, *last;
	size_t left; /* of what may be allocated */
	bool no_memory;
};

enum { BLOCK_BYTES = 2048 }; /* what is larger has a block to itself */

static bool arena_grow(struct arena *a, size_t size)
{
	struct block *b;

	if (size < BLOCK_BYTES)
		size = BLOCK_BYTES;
	b = malloc(sizeof *b + size);
	if (b == NULL) {
		a->no_memory = true;
		return false;
	}
	*b = (struct block){.size = size};
	if (a->last == NULL)
		a->first = b;
	else
		a->last->next = b;
	a->last = b;
	return true;
}

static void *arena_alloc(void *context, size_t size)
{
	struct arena *a = context;
	uint8_t *p;

	if (size > a->left)
		return NULL;
	a->left -= size;
	size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	if ((a->last == NULL || size > a->last->size - a->last->used) && !arena_grow(a, size))
		return NULL;
	p = (uint8_t *)a->last->data + a->last->used;
	a->last->used += size;
	return p;
}

static void arena_free(void *context, void *p)
{
}

static void blocks_free(struct block *b)
{
	while (b != NULL) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

void *wire_unpack(const ProtobufCMessageDescriptor *type, struct bytes packed, size_t cap_bytes)
{
	struct arena arena = {.left = cap_bytes};
	ProtobufCAllocator allocator = {arena_alloc, arena_free, &arena};
	void *message;

	if (!wire_valid(type, packed)) {
		errno = EPROTO;
		return NULL;
	}
	message = protobuf_c_message_unpack(type, &allocator, packed.len, packed.data);
	if (message == NULL) {
		blocks_free(arena.first);
		errno = arena.no_memory ? ENOMEM : EPROTO;
	}
	assert(message == NULL || message == arena.first->data);
	return message;
}

void wire_free(void *message)
{
	if (message != NULL)
		blocks_free((struct block *)((uint8_t *)message - offsetof(struct block, data)));
}

uint8_t *wire_pack(const void *message, size_t *len)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *out = malloc(size > 0 ? size : 1);

	*len = 0;
	if (out != NULL)
		*len = protobuf_c_message_pack(message, out);
	return out;
}
