/* limits - constants of the contract (proto/README.md): two nodes that differ in one of them cannot talk. */
#ifndef ENLIGHT_CORE_LIMITS_H
#define ENLIGHT_CORE_LIMITS_H

enum {
	DIGEST_LEN = 32,      /* BLAKE2b-256 */
	SALT_LEN = 16,        /* of an event */
	SIGNATURE_LEN = 64,   /* Ed25519 */
	SIGN_PUBLIC_LEN = 32, /* Ed25519 */
	LINK_PUBLIC_LEN = 32, /* CURVE, X25519 */
	NONCE_LEN = 32,       /* of a Hello */
	SESSION_ID_LEN = 16,
	BOOT_ID_LEN = 16,
	WRAPPED_KEY_LEN = 24 + 32 + 16, /* nonce, key, tag */

	EVENT_MAX = 192 * 1024,  /* bytes of one packed Event */
	BODY_MAX = 256 * 1024,   /* bytes of one packed Body, before sealing */
	BODY_OVERHEAD = 16,      /* sealing adds a tag */
	FRAME_MAX = 320 * 1024,  /* bytes of one frame */
	HEADER_MAX = 16 * 1024,  /* bytes of one packed Header */
	BATCH_EVENTS_MAX = 4096, /* slots of one batch */
	NOTE_MAX = 256 * 1024,   /* bytes of one roster or card */
	DEPTH_MAX = 16,          /* nesting of messages in a message */
	FIELDS_MAX = 65536,      /* fields of one message and of those inside it, together */

	HANDLE_MAX = 63,     /* characters of a member's handle */
	MEMBERS_MAX = 512,   /* of a roster */
	AUDIENCE_MAX = 64,   /* members named in one audience */
	CHANNELS_MAX = 4096, /* of one publisher that one reader takes */
	ID_MAX = 64,         /* characters of an event's id */
	SUBJECT_MAX = 128,   /* characters of FAMILY/ID */
	TYPE_MAX = 128,      /* characters of an event's type */
	TIME_MAX = 40,       /* characters of an RFC 3339 time */
	TRACEPARENT_MAX = 64,
	PERSON_MAX = 256,       /* characters of a person's identifier */
	PERSONS_MAX = 64,       /* persons concerned by one event */
	KEY_NUMBERS_MAX = 1000, /* node keys of one member */
};

#endif
