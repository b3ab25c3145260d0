#include "core/session.h"

#include "core/handle.h"
#include "core/wire.h"
#include "enlight/link/v1/link.pb-c.h"
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { CLAIM_MAX = HEADER_MAX, CLAIM_UNPACKED_MAX = 64 * 1024, TRANSCRIPT_LEN = 2 * DIGEST_LEN };

static const char listener_domain[] = "enlight hello listener 1";
static const char dialler_domain[] = "enlight hello dialler 1";
static const char session_domain[] = "enlight session 1";
static const char session_key_domain[] = "enlight session key 1";

const char *refuse_text(enum refuse_code code)
{
	static const char *const texts[] = {
		[REFUSE_NO_SESSION] = "no session",
		[REFUSE_MALFORMED] = "malformed",
		[REFUSE_VERSION] = "no version in common",
		[REFUSE_NETWORK] = "another network",
		[REFUSE_STRANGER] = "stranger",
		[REFUSE_KEY] = "key",
		[REFUSE_SECOND] = "another session stays",
		[REFUSE_SAME_KEYS] = "two nodes run with the same keys",
		[REFUSE_ENTITLEMENT] = "not entitled",
		[REFUSE_POSITION] = "no such position",
		[REFUSE_BATCH] = "batch not accepted",
		[REFUSE_LIMIT] = "limit",
		[REFUSE_BUSY] = "busy",
		[REFUSE_ORDER] = "out of order",
	};
	size_t n = sizeof texts / sizeof *texts;

	return (size_t)code < n && texts[code] != NULL ? texts[code] : "unknown";
}

void hello_wipe(struct hello *h)
{
	sodium_memzero(h, sizeof *h);
}

/* H(D) ‖ H(L): what both ends saw of each other. */
static void transcript(uint8_t out[static TRANSCRIPT_LEN], const struct hello *h)
{
	const struct digest *d = h->dialled ? &h->own_claim : &h->peer_claim;
	const struct digest *l = h->dialled ? &h->peer_claim : &h->own_claim;

	memcpy(out, d->bytes, DIGEST_LEN);
	memcpy(out + DIGEST_LEN, l->bytes, DIGEST_LEN);
}

static void hash_transcript(struct digest *out, const char *domain, struct bytes secret, const struct hello *h)
{
	crypto_generichash_state state;
	uint8_t both[TRANSCRIPT_LEN];

	transcript(both, h);
	crypto_generichash_init(&state, NULL, 0, DIGEST_LEN);
	crypto_generichash_update(&state, (const uint8_t *)domain, strlen(domain) + 1);
	crypto_generichash_update(&state, secret.data, secret.len);
	crypto_generichash_update(&state, both, sizeof both);
	crypto_generichash_final(&state, out->bytes, DIGEST_LEN);
	sodium_memzero(&state, sizeof state);
}

/* Session id and key, once both claims are known. The ephemeral secret is gone afterwards. False: the other end's
 * ephemeral key is of small order, so the result would be everybody's to know. */
static bool agree(struct hello *h, const uint8_t peer_ephemeral[static 32])
{
	uint8_t shared[crypto_scalarmult_BYTES];
	bool good =
		crypto_scalarmult(shared, h->ephemeral_secret, peer_ephemeral) == 0; /* refuses an all-zero result */
	struct digest d;

	sodium_memzero(h->ephemeral_secret, sizeof h->ephemeral_secret);
	if (good) {
		hash_transcript(&d, session_domain, (struct bytes){0}, h);
		memcpy(h->session, d.bytes, SESSION_ID_LEN);
		hash_transcript(&d, session_key_domain, bytes_of(shared, sizeof shared), h);
		memcpy(h->session_key, d.bytes, sizeof h->session_key);
	}
	sodium_memzero(&d, sizeof d);
	sodium_memzero(shared, sizeof shared);
	return good;
}

static ProtobufCBinaryData binary(const void *data, size_t len)
{
	return (ProtobufCBinaryData){len, (uint8_t *)data};
}

/* This node's claim towards `h->peer`, packed, with a fresh nonce and ephemeral key. */
static int claim_make(struct bytes *out, struct hello *h, const struct hello_self *self, struct entropy *entropy)
{
	Enlight__Link__V1__Claim m = ENLIGHT__LINK__V1__CLAIM__INIT;
	uint8_t nonce[NONCE_LEN], ephemeral[crypto_scalarmult_BYTES];

	entropy_fill(entropy, nonce, sizeof nonce);
	entropy_fill(entropy, h->ephemeral_secret, sizeof h->ephemeral_secret);
	crypto_scalarmult_base(ephemeral, h->ephemeral_secret);
	m.version = LINK_VERSION;
	m.oldest = LINK_VERSION_OLDEST;
	m.network = binary(trust_network(self->trust)->bytes, DIGEST_LEN);
	m.from = (char *)self->member;
	m.to = h->peer;
	m.from_link = binary(self->keys->link_public, LINK_PUBLIC_LEN);
	m.to_link = binary(h->peer_link, LINK_PUBLIC_LEN);
	m.nonce = binary(nonce, sizeof nonce);
	m.ephemeral = binary(ephemeral, sizeof ephemeral);
	m.boot = binary(self->boot, BOOT_ID_LEN);
	m.key = self->keys->number;
	m.time_ms = self->now_ms;
	m.roster = trust_roster(self->trust)->number;
	out->data = wire_pack(&m, &out->len);
	if (out->data == NULL)
		return -ENOMEM;
	digest_plain(&h->own_claim, *out);
	return 0;
}

/* The key that `h->peer` says it uses, when its newest card lists it as current for this very connection; NULL: not
 * so. */
static const struct card_key *peer_key(const struct hello *h, const struct hello_self *self)
{
	const struct card *card = trust_is_member(self->trust, h->peer) ? trust_card(self->trust, h->peer) : NULL;
	const struct card_key *key = card != NULL ? card_key(card, h->peer_key) : NULL;

	if (key == NULL || key->state != CARD_KEY_CURRENT || memcmp(key->link, h->peer_link, LINK_PUBLIC_LEN) != 0)
		return NULL;
	return key;
}

static bool claim_shape(const Enlight__Link__V1__Claim *m)
{
	return m->oldest >= 1 && m->oldest <= m->version && m->network.len == DIGEST_LEN && handle_valid(m->from) &&
	       handle_valid(m->to) && m->from_link.len == LINK_PUBLIC_LEN && m->to_link.len == LINK_PUBLIC_LEN &&
	       m->nonce.len == NONCE_LEN && m->ephemeral.len == 32 && m->boot.len == BOOT_ID_LEN;
}

/* Who claims to be there: a member, not this one, and the one that was dialled. */
static int claim_members(const struct hello *h, const struct hello_self *self, const Enlight__Link__V1__Claim *m)
{
	if (strcmp(m->to, self->member) != 0)
		return REFUSE_STRANGER;
	if (strcmp(m->from, self->member) == 0)
		return memcmp(h->peer_link, self->keys->link_public, LINK_PUBLIC_LEN) == 0 ? REFUSE_SAME_KEYS
											   : REFUSE_STRANGER;
	if (h->dialled && strcmp(m->from, h->peer) != 0)
		return REFUSE_STRANGER;
	return trust_is_member(self->trust, m->from) ? 0 : REFUSE_STRANGER;
}

/* Everything that a claim alone can be judged by, in the order of the contract. */
static int claim_check(struct hello *h, const struct hello_self *self, const Enlight__Link__V1__Claim *m)
{
	int r;

	if (!claim_shape(m))
		return REFUSE_MALFORMED;
	if (m->version < LINK_VERSION_OLDEST || m->oldest > LINK_VERSION)
		return REFUSE_VERSION;
	if (memcmp(m->network.data, trust_network(self->trust)->bytes, DIGEST_LEN) != 0)
		return REFUSE_NETWORK;
	r = claim_members(h, self, m);
	if (r != 0)
		return r;
	strcpy(h->peer, m->from);
	memcpy(h->peer_boot, m->boot.data, BOOT_ID_LEN);
	h->peer_key = m->key;
	h->peer_roster = m->roster;
	h->peer_time_ms = m->time_ms;
	h->version = m->version < LINK_VERSION ? m->version : LINK_VERSION;
	if (memcmp(m->from_link.data, h->peer_link, LINK_PUBLIC_LEN) != 0 ||
		memcmp(m->to_link.data, self->keys->link_public, LINK_PUBLIC_LEN) != 0 || peer_key(h, self) == NULL)
		return REFUSE_KEY;
	return 0;
}

/* Reads the other end's claim and checks it; gives its ephemeral key. */
static int claim_read(uint8_t ephemeral[static 32], struct hello *h, const struct hello_self *self, struct bytes packed)
{
	Enlight__Link__V1__Claim *m;
	int r;

	if (packed.len > CLAIM_MAX)
		return REFUSE_MALFORMED;
	m = wire_unpack(&enlight__link__v1__claim__descriptor, packed, CLAIM_UNPACKED_MAX);
	if (m == NULL)
		return errno == ENOMEM ? -ENOMEM : REFUSE_MALFORMED;
	r = claim_check(h, self, m);
	if (r == 0) {
		memcpy(ephemeral, m->ephemeral.data, 32);
		digest_plain(&h->peer_claim, packed);
	}
	wire_free(m);
	return r;
}

static void sign(uint8_t signature[static SIGNATURE_LEN], const struct hello *h, const struct hello_self *self)
{
	uint8_t both[TRANSCRIPT_LEN];

	transcript(both, h);
	domain_sign(signature, h->dialled ? dialler_domain : listener_domain, bytes_of(both, sizeof both),
		self->keys->sign_secret);
}

/* Whether the other end signed both claims with the key that it claimed, which must still be in force. */
static int check_signature(const struct hello *h, const struct hello_self *self, struct bytes signature)
{
	const struct card_key *key = peer_key(h, self);
	uint8_t both[TRANSCRIPT_LEN];

	if (signature.len != SIGNATURE_LEN)
		return REFUSE_MALFORMED;
	if (key == NULL)
		return REFUSE_KEY;
	transcript(both, h);
	return domain_verify(signature.data, h->dialled ? listener_domain : dialler_domain, bytes_of(both, sizeof both),
		       key->sign)
		       ? 0
		       : REFUSE_KEY;
}

/* After a refusal only the names are left. */
static void forget(struct hello *h)
{
	struct hello names = {.dialled = h->dialled};

	memcpy(names.peer, h->peer, sizeof names.peer);
	memcpy(names.peer_link, h->peer_link, sizeof names.peer_link);
	hello_wipe(h);
	*h = names;
}

int hello_dial(struct hello *h, const struct hello_self *self, const char *peer,
	const uint8_t peer_link[static LINK_PUBLIC_LEN], struct entropy *entropy, struct bytes *claim)
{
	int r;

	*h = (struct hello){.dialled = true};
	*claim = (struct bytes){0};
	strncpy(h->peer, peer, HANDLE_MAX);
	memcpy(h->peer_link, peer_link, LINK_PUBLIC_LEN);
	r = claim_make(claim, h, self, entropy);
	if (r != 0)
		forget(h);
	return r;
}

int hello_answer(struct hello *h, const struct hello_self *self, const uint8_t peer_link[static LINK_PUBLIC_LEN],
	struct bytes peer_claim, struct entropy *entropy, struct bytes *claim, uint8_t signature[static SIGNATURE_LEN])
{
	uint8_t ephemeral[32];
	int r;

	*h = (struct hello){.dialled = false};
	*claim = (struct bytes){0};
	memcpy(h->peer_link, peer_link, LINK_PUBLIC_LEN);
	r = claim_read(ephemeral, h, self, peer_claim);
	if (r == 0)
		r = claim_make(claim, h, self, entropy);
	if (r == 0 && !agree(h, ephemeral))
		r = REFUSE_KEY;
	if (r != 0) {
		forget(h);
		free((void *)claim->data);
		*claim = (struct bytes){0};
		return r;
	}
	sign(signature, h, self);
	return 0;
}

int hello_finish(struct hello *h, const struct hello_self *self, struct bytes peer_claim, struct bytes peer_signature,
	uint8_t signature[static SIGNATURE_LEN])
{
	uint8_t ephemeral[32];
	int r = claim_read(ephemeral, h, self, peer_claim);

	if (r == 0)
		r = check_signature(h, self, peer_signature);
	if (r == 0 && !agree(h, ephemeral))
		r = REFUSE_KEY;
	if (r != 0)
		forget(h);
	else
		sign(signature, h, self);
	return r;
}

int hello_accept(struct hello *h, const struct hello_self *self, struct bytes peer_signature)
{
	int r = check_signature(h, self, peer_signature);

	if (r != 0)
		forget(h);
	return r;
}
