#include "proof.h"

#include "enlight/log/v1/log.pb-c.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Enlight__Log__V1__Header Header;

enum { KEY = 32, SIGNATURE = 64, HINT = 4, LINE = 512 };

/* ---- the card ---- */

/* The signed part: all before the first empty line. 0: there is none. */
static size_t signed_len(const char *text, size_t len)
{
	const char *end = memmem(text, len, "\n\n", 2);

	return end == NULL ? 0 : (size_t)(end - text) + 1;
}

/* The next line, without its end; false: no further one. Moves `*rest`. */
static bool next_line(char out[static LINE], const char **rest, const char *end)
{
	const char *stop = memchr(*rest, '\n', (size_t)(end - *rest));

	if (stop == NULL)
		return false;
	snprintf(out, LINE, "%.*s", (int)(stop - *rest), *rest);
	*rest = stop + 1;
	return true;
}

static bool from_base64(uint8_t *out, size_t len, const char *text)
{
	size_t n = 0;

	return sodium_base642bin(out, len, text, strlen(text), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       n == len;
}

/* Whether the publisher's identity key signed the card. */
static bool card_is_signed(const struct proof *p, size_t part)
{
	const char *rest = p->card + part + 1, *end = p->card + p->card_len;
	char line[LINE], name[LINE], base64[LINE];
	uint8_t hint_and_signature[HINT + SIGNATURE];

	while (next_line(line, &rest, end))
		if (sscanf(line, "\u2014 %511s %511s", name, base64) == 2 && strcmp(name, p->publisher) == 0 &&
			from_base64(hint_and_signature, sizeof hint_and_signature, base64))
			return crypto_sign_verify_detached(
				       hint_and_signature + HINT, (const uint8_t *)p->card, part, p->identity) == 0;
	return false;
}

/* The signing key of that number, and what has become of it since. */
static bool card_lists(
	uint8_t key[static KEY], char state[static LINE], const struct proof *p, size_t part, uint32_t number)
{
	const char *rest = p->card, *end = p->card + part;
	char line[LINE], base64[LINE];
	unsigned listed;

	while (next_line(line, &rest, end))
		if (sscanf(line, "%511s %u sign %511s", state, &listed, base64) == 3 && listed == number)
			return from_base64(key, KEY, base64);
	return false;
}

/* ---- the headers ---- */

static bool is_signed(const struct proof *p, size_t part, const struct proof_header *h, uint32_t number)
{
	static const char domain[] = "enlight header 1"; /* with the NUL behind it */
	uint8_t *message = malloc(sizeof domain + h->len), key[KEY];
	char state[LINE];
	bool good = message != NULL && card_lists(key, state, p, part, number);

	if (good) {
		memcpy(message, domain, sizeof domain);
		memcpy(message + sizeof domain, h->packed, h->len);
		good = crypto_sign_verify_detached(h->signature, message, sizeof domain + h->len, key) == 0;
	}
	free(message);
	return good;
}

static bool same_channel(const Header *a, const Header *b)
{
	bool same = strcmp(a->publisher, b->publisher) == 0 && a->incarnation == b->incarnation &&
		    a->n_audience == b->n_audience;

	for (size_t i = 0; same && i < a->n_audience; i++)
		same = strcmp(a->audience[i], b->audience[i]) == 0;
	return same;
}

/* `b` stands below the place where `a` says that the incarnation begins. */
static bool below_beginning(const Header *a, const Header *b)
{
	return a->after != NULL && b->first < a->first;
}

static bool contradict(const Header *a, const Header *b)
{
	bool overlap = a->first < b->first + b->count && b->first < a->first + a->count;

	return overlap || below_beginning(a, b) || below_beginning(b, a);
}

static bool of_network(const struct proof *p, const Header *h)
{
	return h->network.len == KEY && memcmp(h->network.data, p->network, KEY) == 0;
}

static const char *judge(const struct proof *p, const Header *a, const Header *b)
{
	size_t part = signed_len(p->card, p->card_len);

	if (a == NULL || b == NULL)
		return "not two headers";
	if (part == 0 || !card_is_signed(p, part))
		return "the card is not the publisher's";
	if (!of_network(p, a) || !of_network(p, b))
		return "a header of another network";
	if (strcmp(a->publisher, p->publisher) != 0 || !same_channel(a, b))
		return "not of one channel and incarnation of the publisher";
	if (p->a.len == p->b.len && memcmp(p->a.packed, p->b.packed, p->a.len) == 0)
		return "one header twice";
	if (!contradict(a, b))
		return "both can be true";
	if (!is_signed(p, part, &p->a, a->key) || !is_signed(p, part, &p->b, b->key))
		return "a header that the publisher did not sign";
	return NULL;
}

static bool is_revoked(const struct proof *p, uint32_t number)
{
	uint8_t key[KEY];
	char state[LINE];

	return card_lists(key, state, p, signed_len(p->card, p->card_len), number) && strcmp(state, "revoked") == 0;
}

static Header *unpack(const struct proof_header *h)
{
	return enlight__log__v1__header__unpack(NULL, h->len, h->packed);
}

static void forget(Header *h)
{
	if (h != NULL)
		enlight__log__v1__header__free_unpacked(h, NULL);
}

const char *proof_lacks(const struct proof *p)
{
	Header *a = unpack(&p->a), *b = unpack(&p->b);
	const char *lacks = judge(p, a, b);

	forget(a);
	forget(b);
	return lacks;
}

bool proof_leaves_a_thief(const struct proof *p)
{
	Header *a = unpack(&p->a), *b = unpack(&p->b);
	bool open = a != NULL && b != NULL && (is_revoked(p, a->key) || is_revoked(p, b->key));

	forget(a);
	forget(b);
	return open;
}
