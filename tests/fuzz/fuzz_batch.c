/* Bodies of batches as a member may seal them: the input is the packed Body, sealed here with a fixed key under a header that is
 * well-formed. With a first byte that is odd the header's count and root are those of the body, as an honest publisher's are, so that
 * the events inside are looked at too. */
#include "core/batch.h"
#include "core/wire.h"
#include "enlight/log/v1/log.pb-c.h"
#include "fuzz.h"

#include <sodium.h>

static const uint8_t key[BATCH_KEY_LEN] = {7};

static struct bytes seal(struct bytes plain, struct bytes header, const uint8_t *signature)
{
	static const uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
	unsigned long long len;
	uint8_t *out = malloc(plain.len + BODY_OVERHEAD);
	struct buffer data = {0};

	must(out != NULL);
	buffer_add(&data, header.data, header.len);
	buffer_add(&data, signature, SIGNATURE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		out, &len, plain.data, plain.len, data.data, data.len, NULL, nonce, key);
	buffer_deinit(&data);
	return bytes_of(out, len);
}

/* Count and root of what the body holds, when that is a body. */
static void fit(struct header *h, struct bytes plain)
{
	Enlight__Log__V1__Body *body = wire_unpack(&enlight__log__v1__body__descriptor, plain, 8 << 20);
	struct digest leaves[64];
	size_t n = body == NULL ? 0 : body->n_slot;

	for (size_t i = 0; i < n && n <= 64; i++) {
		const Enlight__Log__V1__Slot *slot = body->slot[i];

		if (slot->has_event)
			digest_leaf(&leaves[i], bytes_of(slot->event.data, slot->event.len));
		else if (slot->has_leaf && slot->leaf.len == DIGEST_LEN)
			memcpy(leaves[i].bytes, slot->leaf.data, DIGEST_LEN);
		else
			n = 0;
	}
	if (n > 0 && n <= 64) {
		h->count = (uint32_t)n;
		merkle_root(&h->root, leaves, n);
	}
	wire_free(body);
}

static void look(const struct slots *slots)
{
	for (size_t i = 0; i < slots->n; i++) {
		struct problems problems = {0};
		struct event e;

		if (slots->items[i].event.data == NULL || event_unpack(&e, slots->items[i].event) != 0)
			continue;
		event_validate(&e, "ut.ee", "ugent.be", &problems);
		problems_deinit(&problems);
		event_deinit(&e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct header h = {.publisher = "ut.ee", .incarnation = 1, .first = 1, .count = 1, .has_after = true, .key = 1};
	struct choices c = {data, size};
	bool fits = choose(&c) & 1;
	struct bytes plain = bytes_of(c.at, c.left);
	struct sealed_batch batch = {0};
	struct slots slots;
	int r;

	h.audience = strdup("ugent.be");
	if (fits)
		fit(&h, plain);
	must(header_encode(&batch.header, &h) == 0);
	batch.body = seal(plain, batch.header, batch.signature);
	r = batch_open(&slots, &h, &batch, key);
	if (r == 0) {
		must(slots.n == h.count);
		look(&slots);
		slots_deinit(&slots);
	}
	must(r == 0 || r == BATCH_MALFORMED || r == BATCH_FORGED);
	sealed_batch_deinit(&batch);
	header_deinit(&h);
	return 0;
}
