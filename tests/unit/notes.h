/* notes - members, rosters and cards for tests, made from fixed seeds: the same in every run. */
#ifndef ENLIGHT_TESTS_NOTES_H
#define ENLIGHT_TESTS_NOTES_H

#include "core/card.h"
#include "core/roster.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* A member's keys. `generation` tells an identity key from the one that replaced it. */
struct actor {
	const char *handle;
	uint8_t public[SIGN_PUBLIC_LEN], secret[SIGN_SECRET_LEN];
};

static inline struct actor actor_of(const char *handle, unsigned generation)
{
	struct actor a = {.handle = handle};
	struct digest seed;
	struct buffer b = {0};

	buffer_printf(&b, "%s identity %u", handle, generation);
	digest_plain(&seed, bytes_of(b.data, b.len));
	buffer_deinit(&b);
	crypto_sign_seed_keypair(a.public, a.secret, seed.bytes);
	return a;
}

static inline struct node_keys node_keys_of(const char *handle, uint32_t number)
{
	struct node_keys keys;
	struct digest seed;
	struct buffer b = {0};

	buffer_printf(&b, "%s node %u", handle, number);
	digest_plain(&seed, bytes_of(b.data, b.len));
	buffer_deinit(&b);
	node_keys_derive(&keys, number, seed.bytes);
	return keys;
}

static inline struct card_key card_key_of(const char *handle, uint32_t number, enum card_key_state state)
{
	struct node_keys keys = node_keys_of(handle, number);
	struct card_key k = {.number = number, .state = state};

	memcpy(k.sign, keys.sign_public, sizeof k.sign);
	memcpy(k.link, keys.link_public, sizeof k.link);
	return k;
}

static inline struct bytes view(const struct buffer *b)
{
	return bytes_of(b->data, b->len);
}

/* The signed part of what may already bear signatures. */
static inline struct bytes signed_part(const struct buffer *note)
{
	const uint8_t *end = note->len == 0 ? NULL : memmem(note->data, note->len, "\n\n", 2);

	return bytes_of(note->data, end == NULL ? note->len : (size_t)(end - note->data) + 1);
}

static inline void sign(struct buffer *note, const char *name, const uint8_t *secret)
{
	struct bytes text = signed_part(note);
	struct buffer line = {0};

	note_sign(&line, text, name, secret);
	if (text.len == note->len)
		buffer_str(note, "\n");
	buffer_add(note, line.data, line.len);
	buffer_deinit(&line);
}

static inline void sign_by(struct buffer *note, const struct actor *a)
{
	sign(note, a->handle, a->secret);
}

static inline void sign_by_node(struct buffer *note, const char *handle, uint32_t number)
{
	struct node_keys keys = node_keys_of(handle, number);
	struct buffer name = {0};

	buffer_printf(&name, "%s+%u", handle, number);
	sign(note, buffer_cstr(&name), keys.sign_secret);
	buffer_deinit(&name);
}

/* The unsigned text of a roster after `before` (NULL: the first). The members come sorted by handle. */
static inline struct buffer roster_text(
	const struct buffer *before, unsigned number, unsigned quorum, const struct actor *members, size_t n)
{
	static const char origin_word[] = "\norigin ";
	struct buffer b = {0};
	struct digest d;
	char hex[2 * DIGEST_LEN + 1], key[BASE64_SIZE(SIGN_PUBLIC_LEN)];

	buffer_printf(&b, "enlight roster 1\nnetwork enlight\nnumber %u\nprevious ", number);
	if (before == NULL) {
		buffer_str(&b, "none\n");
	} else {
		const char *origin = memmem(before->data, before->len, origin_word, strlen(origin_word));

		digest_plain(&d, signed_part(before));
		hex_encode(hex, d.bytes, sizeof d.bytes);
		buffer_printf(&b, "%s\norigin ", hex);
		if (origin == NULL)
			buffer_printf(&b, "%s\n", hex);
		else
			buffer_printf(&b, "%.64s\n", origin + strlen(origin_word));
	}
	buffer_printf(&b, "quorum %u\n", quorum);
	for (size_t i = 0; i < n; i++) {
		base64_encode(key, members[i].public, SIGN_PUBLIC_LEN);
		buffer_printf(&b, "member %s EU %s University of %s\n", members[i].handle, key, members[i].handle);
	}
	return b;
}

/* A card with one current key, those of lower numbers retired, signed as it must be. */
static inline struct buffer card_text(
	const struct digest *network, const struct actor *a, uint32_t number, uint32_t key)
{
	struct card_key keys[16];
	struct buffer b = {0};

	for (uint32_t k = 1; k <= key; k++)
		keys[k - 1] = card_key_of(a->handle, k, k == key ? CARD_KEY_CURRENT : CARD_KEY_RETIRED);
	card_write(&b, network, a->handle, number, "tcp://node.example:4847", keys, key, NULL, 0);
	sign_by(&b, a);
	sign_by_node(&b, a->handle, key);
	return b;
}

#endif
