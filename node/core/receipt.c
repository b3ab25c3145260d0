#include "core/receipt.h"

#include "core/handle.h"
#include "core/wire.h"
#include "enlight/log/v1/log.pb-c.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1, RECEIPT_UNPACKED_MAX = 256 * 1024 };

static const char receipt_domain[] = "enlight receipt 1";

static struct bytes view(ProtobufCBinaryData b)
{
	return bytes_of(b.data, b.len);
}

static bool numbers_valid(const struct receipt *r)
{
	return r->incarnation >= 1 && r->key >= 1 && r->time_ms <= INT64_MAX && r->from == 1 && r->from <= r->to &&
	       r->to < INT64_MAX && r->uncovered <= r->to - r->from + 1;
}

static int receipt_fill(struct receipt *out, const Enlight__Log__V1__Receipt *m)
{
	if (m->format != FORMAT || !handle_valid(m->reader) || !handle_valid(m->publisher) ||
		!digest_from(&out->network, view(m->network)) || !digest_from(&out->head, view(m->head)))
		return RECEIPT_MALFORMED;
	strcpy(out->reader, m->reader);
	strcpy(out->publisher, m->publisher);
	out->incarnation = m->incarnation;
	out->from = m->from;
	out->to = m->to;
	out->uncovered = m->uncovered;
	out->time_ms = m->time_ms;
	out->key = m->key;
	if (!numbers_valid(out))
		return RECEIPT_MALFORMED;
	errno = 0;
	out->audience = audience_join(m->audience, m->n_audience);
	if (out->audience == NULL)
		return errno == ENOMEM ? -ENOMEM : RECEIPT_MALFORMED;
	return audience_has(out->audience, out->reader) ? 0 : RECEIPT_MALFORMED;
}

int receipt_decode(struct receipt *out, struct bytes packed)
{
	Enlight__Log__V1__Receipt *m;
	int r;

	*out = (struct receipt){0};
	if (packed.len > HEADER_MAX)
		return RECEIPT_MALFORMED;
	m = wire_unpack(&enlight__log__v1__receipt__descriptor, packed, RECEIPT_UNPACKED_MAX);
	if (m == NULL)
		return errno == ENOMEM ? -ENOMEM : RECEIPT_MALFORMED;
	r = receipt_fill(out, m);
	if (r != 0)
		receipt_deinit(out);
	wire_free(m);
	return r;
}

void receipt_deinit(struct receipt *r)
{
	free(r->audience);
	*r = (struct receipt){0};
}

static int receipt_encode(struct bytes *out, const struct receipt *r)
{
	Enlight__Log__V1__Receipt m = ENLIGHT__LOG__V1__RECEIPT__INIT;
	char *parts[AUDIENCE_MAX], *audience = strdup(r->audience);

	*out = (struct bytes){0};
	if (audience == NULL)
		return -ENOMEM;
	m.format = FORMAT;
	m.network = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)r->network.bytes};
	m.reader = (char *)r->reader;
	m.publisher = (char *)r->publisher;
	m.n_audience = audience_split(audience, parts);
	m.audience = parts;
	m.incarnation = r->incarnation;
	m.from = r->from;
	m.to = r->to;
	m.head = (ProtobufCBinaryData){DIGEST_LEN, (uint8_t *)r->head.bytes};
	m.uncovered = r->uncovered;
	m.time_ms = r->time_ms;
	m.key = r->key;
	out->data = wire_pack(&m, &out->len);
	free(audience);
	return out->data == NULL ? -ENOMEM : 0;
}

int receipt_sign(struct bytes *packed, uint8_t signature[static SIGNATURE_LEN], const struct receipt *r,
	const struct node_keys *keys)
{
	int result = receipt_encode(packed, r);

	if (result < 0)
		return result;
	domain_sign(signature, receipt_domain, *packed, keys->sign_secret);
	return 0;
}

bool receipt_verify(
	struct bytes packed, const uint8_t signature[static SIGNATURE_LEN], const uint8_t key[static SIGN_PUBLIC_LEN])
{
	return domain_verify(signature, receipt_domain, packed, key);
}
