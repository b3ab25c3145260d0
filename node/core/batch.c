#include "core/batch.h"

#include "core/handle.h"
#include "core/wire.h"
#include "enlight/log/v1/log.pb-c.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
	FORMAT = 1,
	SUITE = 1, /* Ed25519, BLAKE2b-256, XChaCha20-Poly1305, X25519 */
	HEADER_UNPACKED_MAX = 256 * 1024,
	SLOT_OVERHEAD_MAX = 2 * (1 + 5), /* two tags of one byte, two lengths of at most five */
};

static const char header_domain[] = "enlight header 1";

static_assert(BODY_OVERHEAD == crypto_aead_xchacha20poly1305_ietf_ABYTES, "sealing adds a tag");

/* Format and suite keep their places in every later format, which this node could not unpack to look at them. */
static int header_format(struct bytes packed)
{
	uint64_t format = 0, suite = 0;
	struct wire_field f;

	while (wire_next(&packed, &f)) {
		if (f.number == 1 && !f.counted)
			format = f.value;
		else if (f.number == 2 && !f.counted)
			suite = f.value;
	}
	if (format == 0 || suite == 0 || format > UINT32_MAX || suite > UINT32_MAX)
		return BATCH_MALFORMED;
	return format == FORMAT && suite == SUITE ? 0 : BATCH_UNKNOWN_FORMAT;
}

static struct bytes view(ProtobufCBinaryData b)
{
	return bytes_of(b.data, b.len);
}

static bool header_digests(struct header *out, const Enlight__Log__V1__Header *m)
{
	out->has_after = m->after != NULL;
	if (m->after != NULL)
		out->after_sequence = m->after->sequence;
	return digest_from(&out->network, view(m->network)) && digest_from(&out->previous, view(m->previous)) &&
	       digest_from(&out->root, view(m->root)) && digest_from(&out->roster, view(m->roster)) &&
	       digest_from(&out->card, view(m->card)) &&
	       (m->after == NULL || digest_from(&out->after_digest, view(m->after->digest)));
}

/* Where the batch stands in its channel. */
static bool place_valid(const struct header *h)
{
	if (h->incarnation < 1 || h->count < 1 || h->count > BATCH_EVENTS_MAX)
		return false;
	if (h->first < 1 || h->first > (uint64_t)INT64_MAX - h->count)
		return false;
	if ((h->first == 1) != digest_equal(&h->previous, &digest_zero))
		return false;
	if (!h->has_after)
		return h->first > 1;
	return h->first == h->after_sequence + 1 && digest_equal(&h->previous, &h->after_digest) &&
	       (h->incarnation > 1 || h->first == 1);
}

/* The one form of the audience; the publisher is in it only alone. */
static int header_audience(struct header *out, const Enlight__Log__V1__Header *m)
{
	errno = 0;
	out->audience = audience_join(m->audience, m->n_audience);
	if (out->audience == NULL)
		return errno == ENOMEM ? -ENOMEM : BATCH_MALFORMED;
	if (strchr(out->audience, ',') != NULL && audience_has(out->audience, out->publisher))
		return BATCH_MALFORMED;
	return 0;
}

static int header_fill(struct header *out, const Enlight__Log__V1__Header *m)
{
	if (!handle_valid(m->publisher) || !header_digests(out, m))
		return BATCH_MALFORMED;
	strcpy(out->publisher, m->publisher);
	out->incarnation = m->incarnation;
	out->first = m->first;
	out->count = m->count;
	out->time_ms = m->time_ms;
	out->key = m->key;
	if (!place_valid(out) || out->key < 1 || out->time_ms > INT64_MAX)
		return BATCH_MALFORMED;
	return header_audience(out, m);
}

int header_decode(struct header *out, struct bytes packed)
{
	Enlight__Log__V1__Header *m = NULL;
	int r;

	*out = (struct header){0};
	r = packed.len <= HEADER_MAX ? header_format(packed) : BATCH_MALFORMED;
	if (r != 0)
		return r;
	m = wire_unpack(&enlight__log__v1__header__descriptor, packed, HEADER_UNPACKED_MAX);
	if (m == NULL)
		return errno == ENOMEM ? -ENOMEM : BATCH_MALFORMED;
	r = header_fill(out, m);
	if (r != 0)
		header_deinit(out);
	wire_free(m);
	return r;
}

static ProtobufCBinaryData binary(const struct digest *d)
{
	return (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)d->bytes};
}

int header_encode(struct bytes *out, const struct header *h)
{
	Enlight__Log__V1__Header m = ENLIGHT__LOG__V1__HEADER__INIT;
	Enlight__Log__V1__After after = ENLIGHT__LOG__V1__AFTER__INIT;
	char *parts[AUDIENCE_MAX], *audience = strdup(h->audience);

	*out = (struct bytes){0};
	if (audience == NULL)
		return -ENOMEM;
	after.sequence = h->after_sequence;
	after.digest = binary(&h->after_digest);
	m.format = FORMAT;
	m.suite = SUITE;
	m.network = binary(&h->network);
	m.publisher = (char *)h->publisher;
	m.n_audience = audience_split(audience, parts);
	m.audience = parts;
	m.incarnation = h->incarnation;
	m.first = h->first;
	m.count = h->count;
	m.previous = binary(&h->previous);
	m.after = h->has_after ? &after : NULL;
	m.root = binary(&h->root);
	m.time_ms = h->time_ms;
	m.roster = binary(&h->roster);
	m.card = binary(&h->card);
	m.key = h->key;
	out->data = wire_pack(&m, &out->len);
	free(audience);
	return out->data == NULL ? -ENOMEM : 0;
}

void header_deinit(struct header *h)
{
	free(h->audience);
	*h = (struct header){0};
}

bool header_verify(
	struct bytes packed, const uint8_t signature[static SIGNATURE_LEN], const uint8_t key[static SIGN_PUBLIC_LEN])
{
	return domain_verify(signature, header_domain, packed, key);
}

static size_t varint_put(uint8_t *out, size_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

/* Tag and length of a field that carries its length. */
static size_t field_put(uint8_t *out, unsigned number, size_t len)
{
	out[0] = (uint8_t)(number << 3 | 2);
	return 1 + varint_put(out + 1, len);
}

static int leaves_grow(struct batch_builder *b)
{
	size_t size = b->size == 0 ? 16 : 2 * b->size;
	struct digest *leaves;

	if (b->n < b->size)
		return 0;
	leaves = realloc(b->leaves, size * sizeof *leaves);
	if (leaves == NULL)
		return -ENOMEM;
	b->leaves = leaves;
	b->size = size;
	return 0;
}

/* Appends a Slot whose only field is `number`. */
static int slot_add(struct batch_builder *b, unsigned number, struct bytes content, const struct digest *leaf)
{
	uint8_t inner[SLOT_OVERHEAD_MAX], outer[SLOT_OVERHEAD_MAX];
	size_t n_inner = field_put(inner, number, content.len);
	size_t n_outer = field_put(outer, 1, n_inner + content.len);
	size_t before = b->body.len;

	if (b->n == BATCH_EVENTS_MAX || content.len > BODY_MAX - before ||
		n_outer + n_inner > BODY_MAX - before - content.len)
		return BATCH_FULL;
	if (leaves_grow(b) < 0)
		return -ENOMEM;
	buffer_add(&b->body, outer, n_outer);
	buffer_add(&b->body, inner, n_inner);
	buffer_add(&b->body, content.data, content.len);
	if (b->body.error != 0) {
		b->body.error = 0;
		b->body.len = before;
		return -ENOMEM;
	}
	b->leaves[b->n++] = *leaf;
	return 0;
}

int batch_add(struct batch_builder *b, struct bytes packed_event, struct digest *leaf)
{
	assert(packed_event.len <= EVENT_MAX);
	digest_leaf(leaf, packed_event);
	return slot_add(b, 1, packed_event, leaf);
}

int batch_add_leaf(struct batch_builder *b, const struct digest *leaf)
{
	return slot_add(b, 2, bytes_of(leaf->bytes, DIGEST_LEN), leaf);
}

struct bytes batch_builder_event(const struct batch_builder *b, size_t index)
{
	struct bytes rest = bytes_of(b->body.data, b->body.len), slot;
	struct wire_field f = {0};

	assert(index < b->n);
	for (size_t i = 0; i <= index; i++)
		if (!wire_next(&rest, &f))
			abort();
	slot = f.content;
	if (!wire_next(&slot, &f))
		abort();
	return f.content;
}

void batch_truncate(struct batch_builder *b, size_t n, size_t body_len)
{
	assert(n <= b->n && body_len <= b->body.len);
	b->n = n;
	b->body.len = body_len;
}

void batch_builder_deinit(struct batch_builder *b)
{
	buffer_deinit(&b->body);
	free(b->leaves);
	*b = (struct batch_builder){0};
}

/* What the seal covers beside the body: returned, the caller frees it. NULL: out of memory. */
static uint8_t *associated(const struct sealed_batch *b, size_t *len)
{
	uint8_t *data = malloc(b->header.len + SIGNATURE_LEN);

	*len = b->header.len + SIGNATURE_LEN;
	if (data == NULL)
		return NULL;
	memcpy(data, b->header.data, b->header.len);
	memcpy(data + b->header.len, b->signature, SIGNATURE_LEN);
	return data;
}

/* Zero is fine: a batch key seals one body once. */
static const uint8_t body_nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

int batch_reseal(struct sealed_batch *b, uint8_t key[static BATCH_KEY_LEN], const struct batch_builder *left,
	struct entropy *entropy)
{
	size_t associated_len, len = left->body.len + BODY_OVERHEAD;
	uint8_t *data = associated(b, &associated_len);
	uint8_t *body = malloc(len);
	int r = -ENOMEM;

	if (data == NULL || body == NULL)
		goto out;
	entropy_fill(entropy, key, BATCH_KEY_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		body, NULL, left->body.data, left->body.len, data, associated_len, NULL, body_nonce, key);
	free((void *)b->body.data);
	b->body = bytes_of(body, len);
	body = NULL;
	r = 0; /* NOLINT(clang-analyzer-unix.Malloc): `b` has the body */
out:
	free(body);
	free(data);
	return r;
}

int batch_seal(struct sealed_batch *out, uint8_t key[static BATCH_KEY_LEN], struct header *h,
	const struct batch_builder *b, const struct node_keys *keys, struct entropy *entropy)
{
	int r;

	assert(b->n >= 1 && h->key == keys->number);
	*out = (struct sealed_batch){0};
	h->count = (uint32_t)b->n;
	merkle_root(&h->root, b->leaves, b->n);
	assert(place_valid(h));
	r = header_encode(&out->header, h);
	if (r < 0)
		return r;
	domain_sign(out->signature, header_domain, out->header, keys->sign_secret);
	r = batch_reseal(out, key, b, entropy);
	if (r < 0)
		sealed_batch_deinit(out);
	return r;
}

/* A slot holds exactly one of event and leaf. */
static bool slot_read(struct slot *out, struct bytes packed)
{
	struct wire_field f;
	unsigned found = 0;

	*out = (struct slot){0};
	while (wire_next(&packed, &f)) {
		if (f.number > 2)
			continue;
		if (found++ != 0 || (f.number == 1 && f.content.len > EVENT_MAX))
			return false;
		if (f.number == 1)
			out->event = f.content;
		else if (!digest_from(&out->leaf, f.content))
			return false;
	}
	if (out->event.data != NULL)
		digest_leaf(&out->leaf, out->event);
	return found == 1;
}

/* Splits a body into exactly `n` slots. Walked rather than unpacked: thousands of small messages would cost an
 * allocation each. */
static bool body_split(struct slot *items, size_t n, struct bytes body)
{
	struct wire_field f;
	size_t found = 0;

	if (!wire_valid(&enlight__log__v1__body__descriptor, body))
		return false;
	while (wire_next(&body, &f))
		if (f.number == 1 && (found == n || !slot_read(&items[found++], f.content)))
			return false;
	return found == n;
}

static int root_check(const struct slots *s, const struct digest *root)
{
	struct digest *leaves = malloc(s->n * sizeof *leaves), got;

	if (leaves == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		leaves[i] = s->items[i].leaf;
	merkle_root(&got, leaves, s->n);
	free(leaves);
	return digest_equal(&got, root) ? 0 : BATCH_FORGED;
}

/* Opens the seal into memory that `out` owns. */
static int body_unseal(struct slots *out, size_t *len, const struct sealed_batch *b, const uint8_t *key)
{
	size_t associated_len;
	uint8_t *data;
	int r;

	*len = b->body.len - BODY_OVERHEAD;
	data = associated(b, &associated_len);
	out->memory = malloc(*len + 1);
	if (data == NULL || out->memory == NULL) {
		free(data);
		return -ENOMEM;
	}
	r = crypto_aead_xchacha20poly1305_ietf_decrypt(
		out->memory, NULL, NULL, b->body.data, b->body.len, data, associated_len, body_nonce, key);
	free(data);
	return r == 0 ? 0 : BATCH_FORGED;
}

int batch_open(struct slots *out, const struct header *h, const struct sealed_batch *b,
	const uint8_t key[static BATCH_KEY_LEN])
{
	size_t len;
	int r;

	assert(h->count >= 1 && h->count <= BATCH_EVENTS_MAX);
	*out = (struct slots){0};
	if (b->body.data == NULL || b->body.len < BODY_OVERHEAD || b->body.len > BODY_MAX + BODY_OVERHEAD)
		return BATCH_MALFORMED;
	r = body_unseal(out, &len, b, key);
	if (r != 0)
		goto out;
	out->n = h->count;
	out->items = calloc(out->n, sizeof *out->items);
	if (out->items == NULL)
		r = -ENOMEM;
	else if (!body_split(out->items, out->n, bytes_of(out->memory, len)))
		r = BATCH_MALFORMED;
	else
		r = root_check(out, &h->root);
out:
	if (r != 0)
		slots_deinit(out);
	return r;
}

void slots_deinit(struct slots *s)
{
	free(s->memory);
	free(s->items);
	*s = (struct slots){0};
}

void sealed_batch_deinit(struct sealed_batch *b)
{
	free((void *)b->header.data);
	free((void *)b->body.data);
	*b = (struct sealed_batch){0};
}
