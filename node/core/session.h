/* session - the Hellos of a link: who is there, and the key that this session's batch keys are wrapped with.
 *
 * The dialling node sends claim D. The listening node answers with claim L and a signature over
 * "enlight hello listener 1" ‖ 0x00 ‖ H(D) ‖ H(L); the dialling node then signs the same after
 * "enlight hello dialler 1" (H: BLAKE2b-256; both signatures are Ed25519, by the node keys that the claims name).
 * session id = first 16 bytes of H("enlight session 1" ‖ 0x00 ‖ H(D) ‖ H(L))
 * session key = H("enlight session key 1" ‖ 0x00 ‖ X25519(ephemerals) ‖ H(D) ‖ H(L))
 *
 * Whom a node blocks by its own configuration, and which of two sessions stays, is the caller's to say. */
#ifndef ENLIGHT_CORE_SESSION_H
#define ENLIGHT_CORE_SESSION_H

#include "core/trust.h"

enum { LINK_VERSION = 1, LINK_VERSION_OLDEST = 1 };

/* Codes of Refuse; the table in proto/README.md has the same rows. */
enum refuse_code {
	REFUSE_NO_SESSION = 1,  /* the frame's session is not one of ours: say Hello again */
	REFUSE_MALFORMED = 2,   /* not a frame of this contract */
	REFUSE_VERSION = 3,     /* no version in common */
	REFUSE_NETWORK = 4,     /* another network */
	REFUSE_STRANGER = 5,    /* not a member, blocked, or not the one who was dialled */
	REFUSE_KEY = 6,         /* the keys claimed are not those of the member's card, or the signature is not good */
	REFUSE_SECOND = 7,      /* another session between these members stays */
	REFUSE_SAME_KEYS = 8,   /* two nodes run with the same keys */
	REFUSE_ENTITLEMENT = 9, /* the channel is not the asker's to read */
	REFUSE_POSITION = 10,   /* the place asked for is not in the channel's history */
	REFUSE_BATCH = 11,      /* a delivered batch was not accepted; the channel stops */
	REFUSE_LIMIT = 12,      /* a limit of the contract was passed */
	REFUSE_BUSY = 13,       /* try again later */
	REFUSE_ORDER = 14,      /* a legal message at a place where it may not stand */
};
const char *refuse_text(enum refuse_code code); /* for logs; "unknown" for others */

/* What one end knows of the Hellos. Plain data, wiped by hello_wipe(). After a refusal nothing but the names stands in
 * it. */
struct hello {
	bool dialled;                       /* by this node */
	char peer[HANDLE_MAX + 1];          /* whom we dialled, or whom the claim names */
	uint8_t peer_link[LINK_PUBLIC_LEN]; /* CURVE key of the other end of the connection */
	uint8_t ephemeral_secret[32];
	struct digest own_claim, peer_claim;
	uint8_t peer_boot[BOOT_ID_LEN];
	uint32_t peer_key, peer_roster;
	uint32_t version; /* the highest that both speak */
	uint64_t peer_time_ms;
	uint8_t session[SESSION_ID_LEN]; /* valid once both claims are known */
	uint8_t session_key[32];
};

/* What all functions need to know of this node; all borrowed. */
struct hello_self {
	const struct trust *trust;
	const char *member;
	const struct node_keys *keys;
	const uint8_t *boot; /* BOOT_ID_LEN */
	uint64_t now_ms;
};

/* The dialling side's first Hello: fills in `h` and gives the packed claim (owned memory). 0 or -ENOMEM. */
int hello_dial(struct hello *h, const struct hello_self *self, const char *peer,
	const uint8_t peer_link[static LINK_PUBLIC_LEN], struct entropy *entropy, struct bytes *claim);

/* The listening side: checks the claim of a connection whose CURVE key is `peer_link`, answers with claim and
 * signature. 0; a refuse_code (positive); -ENOMEM. */
int hello_answer(struct hello *h, const struct hello_self *self, const uint8_t peer_link[static LINK_PUBLIC_LEN],
	struct bytes peer_claim, struct entropy *entropy, struct bytes *claim, uint8_t signature[static SIGNATURE_LEN]);

/* The dialling side: checks the answer, gives its own signature. 0; a refuse_code; -ENOMEM. */
int hello_finish(struct hello *h, const struct hello_self *self, struct bytes peer_claim, struct bytes peer_signature,
	uint8_t signature[static SIGNATURE_LEN]);

/* The listening side: checks the dialler's signature. 0 or a refuse_code. */
int hello_accept(struct hello *h, const struct hello_self *self, struct bytes peer_signature);

void hello_wipe(struct hello *h);

#endif
