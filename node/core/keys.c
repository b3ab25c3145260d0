#include "core/keys.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

enum { NONCE_WRAP_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };

static_assert(WRAPPED_KEY_LEN == NONCE_WRAP_LEN + BATCH_KEY_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES,
	"a wrapped key is nonce, key and tag");
static_assert(SIGN_SECRET_LEN == crypto_sign_SECRETKEYBYTES, "libsodium's form: seed and public key");

static void derive(uint8_t out[static 32], const uint8_t secret[static SECRET_LEN], const char context[static 8])
{
	int r = crypto_kdf_derive_from_key(out, 32, 1, context, secret);

	assert(r == 0);
	(void)r;
}

void node_keys_derive(struct node_keys *out, uint32_t number, const uint8_t secret[static SECRET_LEN])
{
	uint8_t seed[crypto_sign_SEEDBYTES];

	out->number = number;
	derive(seed, secret, "enlsign_");
	crypto_sign_seed_keypair(out->sign_public, out->sign_secret, seed);
	sodium_memzero(seed, sizeof seed);
	derive(out->link_secret, secret, "enllink_");
	crypto_scalarmult_base(out->link_public, out->link_secret);
}

void store_keys_derive(struct store_keys *out, const uint8_t secret[static SECRET_LEN])
{
	derive(out->wrap, secret, "enlwrap_");
	derive(out->index, secret, "enlindex");
}

void node_keys_wipe(struct node_keys *k)
{
	sodium_memzero(k, sizeof *k);
}

void store_keys_wipe(struct store_keys *k)
{
	sodium_memzero(k, sizeof *k);
}

enum { DOMAIN_MAX = 32, SIGNED_MAX = DOMAIN_MAX + HEADER_MAX };

/* Returns the length of what is signed, 0 when it is too long. */
static size_t signed_bytes(uint8_t out[static SIGNED_MAX], const char *domain, struct bytes message)
{
	size_t len = strlen(domain) + 1;

	assert(len <= DOMAIN_MAX);
	if (message.len > HEADER_MAX)
		return 0;
	memcpy(out, domain, len);
	if (message.len != 0)
		memcpy(out + len, message.data, message.len);
	return len + message.len;
}

void domain_sign(uint8_t signature[static SIGNATURE_LEN], const char *domain, struct bytes message,
	const uint8_t secret[static SIGN_SECRET_LEN])
{
	uint8_t buffer[SIGNED_MAX];
	size_t len = signed_bytes(buffer, domain, message);

	assert(len != 0);
	crypto_sign_detached(signature, NULL, buffer, len, secret);
}

bool domain_verify(const uint8_t signature[static SIGNATURE_LEN], const char *domain, struct bytes message,
	const uint8_t key[static SIGN_PUBLIC_LEN])
{
	uint8_t buffer[SIGNED_MAX];
	size_t len = signed_bytes(buffer, domain, message);

	return len != 0 && crypto_sign_verify_detached(signature, buffer, len, key) == 0;
}

void entropy_init(struct entropy *e, const uint8_t seed[static 32])
{
	memcpy(e->seed, seed, sizeof e->seed);
	e->counter = 0;
}

/* Draw number n is ChaCha20's stream (randombytes_buf_deterministic) under BLAKE2b-256(seed ‖ n), n as 8 bytes
 * big-endian. */
void entropy_fill(struct entropy *e, void *out, size_t len)
{
	uint8_t input[sizeof e->seed + 8], seed[randombytes_SEEDBYTES];

	memcpy(input, e->seed, sizeof e->seed);
	for (unsigned i = 0; i < 8; i++)
		input[sizeof e->seed + i] = (uint8_t)(e->counter >> (56 - 8 * i));
	e->counter++;
	crypto_generichash(seed, sizeof seed, input, sizeof input, NULL, 0);
	randombytes_buf_deterministic(out, len, seed);
	sodium_memzero(input, sizeof input);
	sodium_memzero(seed, sizeof seed);
}

void entropy_wipe(struct entropy *e)
{
	sodium_memzero(e, sizeof *e);
}

/* What is hashed for an index starts with one byte that says what it is; each text ends with a NUL. */
enum { INDEX_EVENT = 0x01, INDEX_OBJECT = 0x02, INDEX_PERSON = 0x03, INDEX_DATA = 0x04, INDEX_LANE = 0x05 };

static void index_texts(struct index_key *out, const struct store_keys *k, uint8_t domain, const char *const *texts)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, k->index, sizeof k->index, sizeof out->bytes);
	crypto_generichash_update(&state, &domain, 1);
	for (; *texts != NULL; texts++)
		crypto_generichash_update(&state, (const uint8_t *)*texts, strlen(*texts) + 1);
	crypto_generichash_final(&state, out->bytes, sizeof out->bytes);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20; /* lower case */
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The 6 bytes of time of a UUIDv7 in its usual text form (RFC 9562, sections 4 and 5.7). */
static bool uuid7_time(uint8_t time[static 6], const char *text)
{
	enum { LEN = 36, VERSION = 14, VARIANT = 19 };
	unsigned n = 0;

	if (strlen(text) != LEN || text[VERSION] != '7' || strchr("89abAB", text[VARIANT]) == NULL)
		return false;
	for (unsigned i = 0; i < LEN; i++) {
		bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
		int digit = hex_digit(text[i]);

		if (hyphen ? text[i] != '-' : digit < 0)
			return false;
		if (hyphen || n == 12)
			continue;
		time[n / 2] = (uint8_t)(n % 2 == 0 ? digit << 4 : time[n / 2] | digit);
		n++;
	}
	return true;
}

/* Puts the UUID's time, where there is one, in front of the hash's first ten bytes. */
static void index_by_time(struct index_key *out, const char *id)
{
	uint8_t time[6];

	if (!uuid7_time(time, id))
		return;
	memmove(out->bytes + sizeof time, out->bytes, sizeof out->bytes - sizeof time);
	memcpy(out->bytes, time, sizeof time);
}

void index_event(struct index_key *out, const struct store_keys *k, const char *source, const char *id)
{
	index_texts(out, k, INDEX_EVENT, (const char *[]){source, id, NULL});
	index_by_time(out, id);
}

void index_object(
	struct index_key *out, const struct store_keys *k, const char *source, const char *topic, const char *subject)
{
	const char *slash = strchr(subject, '/');

	index_texts(out, k, INDEX_OBJECT, (const char *[]){source, topic, subject, NULL});
	if (slash != NULL)
		index_by_time(out, slash + 1);
}

void index_lane(struct index_key *out, const struct store_keys *k, const char *source, const char *subject)
{
	index_texts(out, k, INDEX_LANE, (const char *[]){source, subject, NULL});
}

void index_person(struct index_key *out, const struct store_keys *k, const char *person)
{
	index_texts(out, k, INDEX_PERSON, (const char *[]){person, NULL});
}

void index_data(struct digest *out, const struct store_keys *k, struct bytes data)
{
	crypto_generichash_state state;
	uint8_t domain = INDEX_DATA;

	crypto_generichash_init(&state, k->index, sizeof k->index, DIGEST_LEN);
	crypto_generichash_update(&state, &domain, 1);
	crypto_generichash_update(&state, data.data, data.len);
	crypto_generichash_final(&state, out->bytes, DIGEST_LEN);
}

void key_wrap(uint8_t out[static WRAPPED_KEY_LEN], const uint8_t wrapping[static 32], const struct digest *header,
	const uint8_t key[static BATCH_KEY_LEN], struct entropy *entropy)
{
	entropy_fill(entropy, out, NONCE_WRAP_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
		out + NONCE_WRAP_LEN, NULL, key, BATCH_KEY_LEN, header->bytes, DIGEST_LEN, NULL, out, wrapping);
}

bool key_unwrap(uint8_t key[static BATCH_KEY_LEN], const uint8_t wrapping[static 32], const struct digest *header,
	struct bytes wrapped)
{
	return wrapped.len == WRAPPED_KEY_LEN &&
	       crypto_aead_xchacha20poly1305_ietf_decrypt(key, NULL, NULL, wrapped.data + NONCE_WRAP_LEN,
		       wrapped.len - NONCE_WRAP_LEN, header->bytes, DIGEST_LEN, wrapped.data, wrapping) == 0;
}
