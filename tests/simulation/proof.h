/* proof - whether two signed headers prove that their publisher showed two histories.
 *
 * For somebody who believes neither the node that accuses nor the one that is accused: it goes by the bytes of the headers, the signatures and the
 * publisher's card alone. Its code is its own, down to reading a card: of core, which stops the channel, it uses nothing. */
#ifndef ENLIGHT_TESTS_PROOF_H
#define ENLIGHT_TESTS_PROOF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proof_header {
	const uint8_t *packed;
	size_t len;
	const uint8_t *signature; /* 64 bytes */
};

struct proof {
	const char *publisher;
	const uint8_t *network;  /* digest of the first roster, 32 bytes */
	const uint8_t *identity; /* key of the publisher in the roster, 32 bytes */
	const char *card;        /* its text with its signatures */
	size_t card_len;
	struct proof_header a, b;
};

/* NULL: it is proved. Otherwise what is missing, for people. */
const char *proof_lacks(const struct proof *p);
/* Of what is proved: whether somebody else may have signed one of the two, since its key was revoked. Then it blames nobody. */
bool proof_leaves_a_thief(const struct proof *p);

#endif
