#include "core/backup_head.h"

#include "core/handle.h"
#include "core/note.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static_assert(BACKUP_SEALED_LEN == SECRET_LEN + crypto_box_SEALBYTES, "the key and what a sealed box adds");

static int take_member(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct backup_head *h = into;

	if (!handle_valid(line->words[1]))
		note_problem(problems, name, line, 1, "a handle is a domain name in lower case");
	else
		snprintf(h->member, sizeof h->member, "%s", line->words[1]);
	return 0;
}

static int take_network(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	if (!hex_decode(((struct backup_head *)into)->network, DIGEST_LEN, line->words[1]))
		note_problem(problems, name, line, 1, "64 hexadecimal digits");
	return 0;
}

static int take_time(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct backup_head *h = into;

	snprintf(h->time, sizeof h->time, "%s", line->words[1]);
	return 0;
}

static int take_version(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	return 0; /* for people */
}

static int take_roster(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	if (!note_number(&((struct backup_head *)into)->roster, line->words[1], UINT32_MAX))
		note_problem(problems, name, line, 1, "a roster's number");
	return 0;
}

static void take_key(
	uint8_t *out, size_t len, const struct note_line *line, const char *name, struct problems *problems)
{
	if (!base64_decode(out, len, line->words[1], strlen(line->words[1])))
		note_problem(problems, name, line, 1, "the base64 of %zu bytes", len);
}

static int take_identity(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	take_key(((struct backup_head *)into)->identity, SIGN_PUBLIC_LEN, line, name, problems);
	return 0;
}

static int take_sealed(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	take_key(((struct backup_head *)into)->sealed, BACKUP_SEALED_LEN, line, name, problems);
	return 0;
}

static int take_database(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct backup_head *h = into;
	const char *digits = line->words[1];
	size_t n = strspn(digits, "0123456789");

	if (n == 0 || n > 18 || digits[n] != '\0')
		note_problem(problems, name, line, 1, "how many bytes follow");
	else
		h->bytes = strtoull(digits, NULL, 10);
	if (!hex_decode(h->digest.bytes, DIGEST_LEN, line->words[2]))
		note_problem(problems, name, line, 2, "64 hexadecimal digits");
	return 0;
}

static int take_signed(void *into, const struct note_line *line, const char *name, struct problems *problems)
{
	struct backup_head *h = into;

	if (!note_number(&h->key, line->words[1], UINT32_MAX))
		note_problem(problems, name, line, 1, "a node key's number");
	if (!base64_decode(h->signature, sizeof h->signature, line->words[2], strlen(line->words[2])))
		note_problem(problems, name, line, 2, "the base64 of a signature");
	return 0;
}

static const struct note_word words[] = {
	{"member", 1, 1, true, false, take_member},
	{"network", 1, 1, true, false, take_network},
	{"time", 1, 1, true, false, take_time},
	{"version", 1, NOTE_WORDS_MAX, true, false, take_version},
	{"roster", 2, 2, true, false, take_roster},
	{"identity", 1, 1, true, false, take_identity},
	{"store-key", 1, 1, true, false, take_sealed},
	{"database", 2, 2, true, false, take_database},
	{"signed", 2, 2, true, false, take_signed},
};

static const char last[] = "\nsigned ";

/* Up to and with the last line; 0: there is none. */
static size_t head_len(struct bytes begin)
{
	size_t max = begin.len < BACKUP_HEAD_MAX ? begin.len : BACKUP_HEAD_MAX;
	const uint8_t *line = memmem(begin.data, max, last, sizeof last - 1), *end;

	if (line == NULL)
		return 0;
	end = memchr(line + 1, '\n', max - (size_t)(line + 1 - begin.data));
	return end == NULL ? 0 : (size_t)(end - begin.data) + 1;
}

int backup_head_parse(struct backup_head *out, const char *name, struct bytes begin, struct problems *problems)
{
	size_t before = problems->total;
	struct note n;
	int r;

	*out = (struct backup_head){.len = head_len(begin)};
	if (out->len == 0) {
		problem_add(problems, name, "is no backup: it has no head");
		return BACKUP_HEAD_BAD;
	}
	r = note_parse(&n, "backup", name, bytes_of(begin.data, out->len), problems);
	if (r != 0)
		return r == NOTE_BAD ? BACKUP_HEAD_BAD : r;
	r = note_walk(&n, words, sizeof words / sizeof *words, out, name, problems);
	note_deinit(&n);
	return r != 0 ? r : problems->total == before ? 0 : BACKUP_HEAD_BAD;
}

void backup_head_write(
	struct buffer *out, const struct backup_head *h, const struct digest *roster, const char *version)
{
	char network[2 * DIGEST_LEN + 1], hex[2 * DIGEST_LEN + 1];
	char identity[BASE64_SIZE(SIGN_PUBLIC_LEN)], sealed[BASE64_SIZE(BACKUP_SEALED_LEN)];

	hex_encode(network, h->network, DIGEST_LEN);
	hex_encode(hex, roster->bytes, DIGEST_LEN);
	base64_encode(identity, h->identity, sizeof h->identity);
	base64_encode(sealed, h->sealed, sizeof h->sealed);
	buffer_printf(out, "enlight backup 1\nmember %s\nnetwork %s\ntime %s\nversion %s\nroster %u %s\n", h->member,
		network, h->time, version, h->roster, hex);
	buffer_printf(out, "identity %s\nstore-key %s\n", identity, sealed);
}

void backup_head_database(struct buffer *out, uint64_t bytes, const struct digest *digest)
{
	char hex[2 * DIGEST_LEN + 1];

	hex_encode(hex, digest->bytes, DIGEST_LEN);
	buffer_printf(out, "database %llu %s\n", (unsigned long long)bytes, hex);
}

void backup_head_signed(struct buffer *out, uint32_t key, const uint8_t signature[static SIGNATURE_LEN])
{
	char text[BASE64_SIZE(SIGNATURE_LEN)];

	base64_encode(text, signature, SIGNATURE_LEN);
	buffer_printf(out, "signed %u %s\n", key, text);
}

bool backup_head_verify(
	const struct backup_head *h, struct bytes begin, const uint8_t sign_public[static SIGN_PUBLIC_LEN])
{
	const uint8_t *line = memmem(begin.data, h->len, last, sizeof last - 1);
	struct bytes above = bytes_of(begin.data, line == NULL ? 0 : (size_t)(line - begin.data) + 1);

	return domain_verify(h->signature, BACKUP_HEAD_DOMAIN, above, sign_public);
}

bool backup_seal(uint8_t out[static BACKUP_SEALED_LEN], const uint8_t secret[static SECRET_LEN],
	const uint8_t identity[static SIGN_PUBLIC_LEN])
{
	uint8_t box[crypto_box_PUBLICKEYBYTES];

	return crypto_sign_ed25519_pk_to_curve25519(box, identity) == 0 &&
	       crypto_box_seal(out, secret, SECRET_LEN, box) == 0;
}

bool backup_unseal(uint8_t secret[static SECRET_LEN], const struct backup_head *h,
	const uint8_t identity_secret[static SIGN_SECRET_LEN])
{
	uint8_t box[crypto_box_PUBLICKEYBYTES], box_secret[crypto_box_SECRETKEYBYTES];
	bool good = crypto_sign_ed25519_pk_to_curve25519(box, h->identity) == 0 &&
		    crypto_sign_ed25519_sk_to_curve25519(box_secret, identity_secret) == 0 &&
		    crypto_box_seal_open(secret, h->sealed, sizeof h->sealed, box, box_secret) == 0;

	sodium_memzero(box_secret, sizeof box_secret);
	return good;
}
