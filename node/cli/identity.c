#include "cli/identity.h"

#include "core/handle.h"
#include "core/note.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
	SEED_LEN = crypto_sign_SEEDBYTES,
	SALT_BYTES = crypto_pwhash_SALTBYTES,
	NONCE_BYTES = crypto_secretbox_NONCEBYTES,
	BOX_LEN = NONCE_BYTES + crypto_secretbox_MACBYTES + SEED_LEN,
	OPS_MAX = 16,
	MEMORY_MAX = 1024 * 1024 * 1024, /* a file must not make us take all there is */
};

void identity_new(struct identity *out, const char *member)
{
	*out = (struct identity){0};
	snprintf(out->member, sizeof out->member, "%s", member);
	crypto_sign_keypair(out->public, out->secret);
}

void identity_wipe(struct identity *id)
{
	sodium_memzero(id, sizeof *id);
}

/* Writes the `sealed` line. */
static int write_sealed(struct buffer *out, const uint8_t *seed, struct bytes passphrase)
{
	uint8_t key[crypto_secretbox_KEYBYTES], salt[SALT_BYTES], box[BOX_LEN];
	char salt_text[BASE64_SIZE(SALT_BYTES)], box_text[BASE64_SIZE(BOX_LEN)];
	int r;

	randombytes_buf(salt, sizeof salt);
	randombytes_buf(box, NONCE_BYTES);
	r = crypto_pwhash(key, sizeof key, (const char *)passphrase.data, passphrase.len, salt,
		crypto_pwhash_OPSLIMIT_MODERATE, crypto_pwhash_MEMLIMIT_MODERATE, crypto_pwhash_ALG_ARGON2ID13);
	if (r == 0)
		crypto_secretbox_easy(box + NONCE_BYTES, seed, SEED_LEN, box, key);
	sodium_memzero(key, sizeof key);
	if (r != 0)
		return -ENOMEM;
	base64_encode(salt_text, salt, sizeof salt);
	base64_encode(box_text, box, sizeof box);
	buffer_printf(out, "sealed argon2id %u %u %s %s\n", (unsigned)crypto_pwhash_OPSLIMIT_MODERATE,
		(unsigned)crypto_pwhash_MEMLIMIT_MODERATE, salt_text, box_text);
	return out->error;
}

int identity_write(struct buffer *out, const struct identity *id, struct bytes passphrase)
{
	char text[BASE64_SIZE(32)];

	base64_encode(text, id->public, sizeof id->public);
	buffer_printf(out, "enlight identity 1\nmember %s\npublic %s\n", id->member, text);
	if (passphrase.len != 0)
		return write_sealed(out, id->secret, passphrase);
	base64_encode(text, id->secret, SEED_LEN); /* libsodium keeps the seed in front */
	buffer_printf(out, "secret %s\n", text);
	sodium_memzero(text, sizeof text);
	return out->error;
}

/* What the lines are read into. */
struct reading {
	struct identity *id;
	struct bytes passphrase;
	uint8_t seed[SEED_LEN];
	bool has_seed, has_line;
};

static int take_member(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct reading *r = into;

	if (!handle_valid(line->words[1]))
		note_problem(problems, name, line, 1, "a handle is a domain name in lower case");
	else
		snprintf(r->id->member, sizeof r->id->member, "%s", line->words[1]);
	return 0;
}

static int take_public(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct reading *r = into;

	if (!base64_decode(r->id->public, SIGN_PUBLIC_LEN, line->words[1], strlen(line->words[1])))
		note_problem(problems, name, line, 1, "a key is the base64 of 32 bytes");
	return 0;
}

static int take_secret(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct reading *r = into;

	r->has_line = r->has_seed = true;
	if (!base64_decode(r->seed, SEED_LEN, line->words[1], strlen(line->words[1])))
		note_problem(problems, name, line, 1, "a key is the base64 of 32 bytes");
	return 0;
}

/* Opens the seed with the passphrase. */
static int unseal(struct reading *r, const struct note_line *line, uint32_t ops, uint32_t memory, const uint8_t *salt,
	const uint8_t *box, const char *name, struct problems *problems)
{
	uint8_t key[crypto_secretbox_KEYBYTES];

	if (crypto_pwhash(key, sizeof key, (const char *)r->passphrase.data, r->passphrase.len, salt, ops, memory,
		    crypto_pwhash_ALG_ARGON2ID13) != 0)
		return -ENOMEM;
	if (crypto_secretbox_open_easy(r->seed, box + NONCE_BYTES, BOX_LEN - NONCE_BYTES, box, key) == 0)
		r->has_seed = true;
	else
		note_problem(problems, name, line, 0, "the passphrase does not open this key");
	sodium_memzero(key, sizeof key);
	return 0;
}

static int take_sealed(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct reading *r = into;
	uint8_t salt[SALT_BYTES], box[BOX_LEN];
	uint32_t ops, memory;

	r->has_line = true;
	if (strcmp(line->words[1], "argon2id") != 0 || !note_number(&ops, line->words[2], OPS_MAX) ||
		!note_number(&memory, line->words[3], MEMORY_MAX) || memory < crypto_pwhash_MEMLIMIT_MIN ||
		!base64_decode(salt, sizeof salt, line->words[4], strlen(line->words[4])) ||
		!base64_decode(box, sizeof box, line->words[5], strlen(line->words[5]))) {
		note_problem(problems, name, line, 1, "argon2id, operations, bytes of memory, salt and box");
		return 0;
	}
	if (r->passphrase.len != 0)
		return unseal(r, line, ops, memory, salt, box, name, problems);
	r->id->sealed = true;
	return 0;
}

static const struct note_word words[] = {
	{"member", 1, 1, true, false, take_member},
	{"public", 1, 1, true, false, take_public},
	{"secret", 1, 1, false, false, take_secret},
	{"sealed", 5, 5, false, false, take_sealed},
};

/* Makes the key pair of the seed, which must be that of the public half. */
static bool expand(struct identity *id, const uint8_t *seed)
{
	uint8_t public[SIGN_PUBLIC_LEN];

	crypto_sign_seed_keypair(public, id->secret, seed);
	return memcmp(public, id->public, sizeof public) == 0;
}

int identity_parse(
	struct identity *out, const char *name, struct bytes text, struct bytes passphrase, struct problems *problems)
{
	struct reading r = {.id = out, .passphrase = passphrase};
	size_t before = problems->total;
	struct note n;
	int result;

	*out = (struct identity){0};
	result = note_parse(&n, "identity", name, text, problems);
	if (result != 0)
		return result == NOTE_BAD ? IDENTITY_BAD : result;
	result = note_walk(&n, words, sizeof words / sizeof *words, &r, name, problems);
	if (result != 0)
		goto out;
	if (!r.has_line)
		note_problem_at(problems, name, 1, "a line `secret` or `sealed` is missing");
	if (problems->total == before && r.has_seed && !expand(out, r.seed))
		note_problem_at(problems, name, 1, "the secret is not that of the public key");
	result = problems->total == before ? 0 : IDENTITY_BAD;
out:
	sodium_memzero(n.text, n.text_len);
	sodium_memzero(n.memory, n.text_len);
	note_deinit(&n);
	sodium_memzero(r.seed, sizeof r.seed);
	if (result != 0)
		identity_wipe(out);
	return result;
}

void fingerprint(char out[static FINGERPRINT_SIZE], const char *member, const uint8_t public[static SIGN_PUBLIC_LEN])
{
	uint8_t text[HANDLE_MAX + 2 + SIGN_PUBLIC_LEN];
	size_t len = (size_t)snprintf((char *)text, HANDLE_MAX + 2, "%s\n", member);
	struct digest d;

	memcpy(text + len, public, SIGN_PUBLIC_LEN);
	digest_plain(&d, bytes_of(text, len + SIGN_PUBLIC_LEN));
	for (size_t i = 0; i < 8; i++) {
		const uint8_t *p = d.bytes + 4 * i;
		uint32_t v = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];

		snprintf(out + 6 * i, 6, "%05u", v % 100000);
		if (i > 0)
			out[6 * i - 1] = ' ';
	}
}
