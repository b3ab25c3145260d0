/* Files of evidence, of the network of world.h. With an odd first byte the headers and receipts in the file are signed anew with the keys of
 * whom they name, so that what stands behind the signatures is reached. A file that is broken says one thing and proves nothing; one that
 * proves is about one event or one fork; nothing depends on when it is read. */
#include "core/evidence.h"
#include "core/wire.h"
#include "enlight/log/v1/evidence.pb-c.h"
#include "world.h"

enum { UNPACKED_MAX = 4 << 20 };

static void sign_header_again(Enlight__Log__V1__SignedHeader *m)
{
	struct bytes packed = bytes_of(m->header.data, m->header.len);
	struct node_keys keys;
	struct header h;

	if (m->signature.len != SIGNATURE_LEN || header_decode(&h, packed) != 0)
		return;
	keys = node_keys_of(h.publisher, h.key);
	domain_sign(m->signature.data, "enlight header 1", packed, keys.sign_secret);
	header_deinit(&h);
}

static void sign_receipt_again(Enlight__Log__V1__HeldBy *m)
{
	struct bytes packed = bytes_of(m->receipt.data, m->receipt.len);
	struct node_keys keys;
	struct receipt r;

	if (m->signature.len != SIGNATURE_LEN || receipt_decode(&r, packed) != 0)
		return;
	keys = node_keys_of(r.reader, r.key);
	domain_sign(m->signature.data, "enlight receipt 1", packed, keys.sign_secret);
	receipt_deinit(&r);
}

static void sign_shown_again(Enlight__Log__V1__Shown *s)
{
	for (size_t i = 0; i < s->n_chain; i++)
		sign_header_again(s->chain[i]);
	for (size_t i = 0; i < s->n_receipt; i++)
		sign_receipt_again(s->receipt[i]);
}

/* The file with good signatures, in memory that the caller frees; empty when it is not one. */
static struct bytes sign_again(struct bytes file)
{
	Enlight__Log__V1__Evidence *e = wire_unpack(&enlight__log__v1__evidence__descriptor, file, UNPACKED_MAX);
	struct bytes out = {0};

	if (e == NULL)
		return out;
	if (e->event != NULL)
		sign_shown_again(e->event);
	for (size_t i = 0; i < e->n_anchored; i++)
		sign_shown_again(e->anchored[i]->checkpoint);
	if (e->fork != NULL) {
		sign_header_again(e->fork->one);
		sign_header_again(e->fork->other);
	}
	out.data = wire_pack(e, &out.len);
	wire_free(e);
	must(out.data != NULL);
	return out;
}

static void check(struct bytes file)
{
	struct buffer roster = fuzz_roster();
	struct evidence_report r, again;
	struct digest network;

	digest_plain(&network, signed_part(&roster));
	buffer_deinit(&roster);
	must(evidence_verify(&r, file, &network) == 0 && r.n > 0);
	must(r.findings[0].kind != FINDING_BROKEN || (r.n == 1 && !r.proved && !r.has_event));
	for (size_t i = 1; i < r.n; i++)
		must(r.findings[i].kind != FINDING_BROKEN);
	must(evidence_verify(&again, file, &network) == 0 && again.n == r.n && again.proved == r.proved);
	evidence_report_deinit(&r);
	evidence_report_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes file;

	if (size == 0)
		return 0;
	file = bytes_of(data + 1, size - 1);
	check(file);
	if (data[0] % 2 == 0)
		return 0;
	file = sign_again(file);
	if (file.data != NULL)
		check(file);
	free((void *)file.data);
	return 0;
}
