/* evidence - one file that proves an event, or a fork, to somebody who has no node. Format: proto/README.md, section "Evidence".
 *
 * A node writes it (QUERY_EVIDENCE), anybody verifies it: with the network's digest, which comes from elsewhere, since a file that
 * brought its own trust would prove nothing. What a file shows is said in findings. Each has a `what` that proto/README.md lists, what
 * or whom it is about, and a sentence for people. */
#ifndef ENLIGHT_CORE_EVIDENCE_H
#define ENLIGHT_CORE_EVIDENCE_H

#include "core/batch.h"
#include "core/receipt.h"

enum {
	EVIDENCE_MAX = 16 << 20,       /* bytes of a file */
	EVIDENCE_CHAIN_MAX = 12288,    /* headers of one chain; a file has two at most */
	EVIDENCE_ANCHORS_MAX = 1,      /* checkpoints of one file */
	EVIDENCE_CHAIN_BYTES = 4 << 20 /* what a node puts into one chain */
};

enum finding_kind {
	FINDING_PROVES = 1,
	FINDING_PROVES_NOT, /* what one might think it shows, and it does not */
	FINDING_BROKEN,     /* it does not hang together: such a file proves nothing */
};
struct finding {
	enum finding_kind kind;
	const char *what;           /* a word of the table in proto/README.md; static */
	char about[HANDLE_MAX + 1]; /* a member; a place in the file when broken; else empty */
	char *text;
};

/* What a file shows. Release with evidence_report_deinit(). */
struct evidence_report {
	struct finding *findings; /* in the order in which they were found */
	size_t n;
	bool proved; /* its event was published as it says, or its fork happened */
	/* The event, when the file is about one and its bytes can be read: */
	bool has_event;
	struct event event;
	char publisher[HANDLE_MAX + 1];
	char *audience;
	uint32_t incarnation;
	uint64_t sequence;
	struct digest leaf;
};

/* Judges a file by the digest of the network's first roster, or of a later one that the caller trusts instead. No I/O, no clock.
 * 0, whatever the verdict; -ENOMEM. Then `out` is empty. */
int evidence_verify(struct evidence_report *out, struct bytes file, const struct digest *network);
void evidence_report_deinit(struct evidence_report *r); /* the zeroed value is fine */
const char *finding_kind_word(enum finding_kind kind);  /* "proves", "does not prove", "broken" */

/* Whether two headers of a channel contradict each other: same channel and incarnation, and their events overlap, or one lies below the
 * place where the other begins the incarnation. The same header twice does not. */
bool headers_contradict(
	const struct header *a, const struct digest *digest_a, const struct header *b, const struct digest *digest_b);

/* A checkpoint names heads only by anchors: H(salt ‖ digest of a header). The salt is made from the publisher's index key, the
 * checkpoint's time and the header, so that it is there again when evidence is asked for, and tells nobody else anything. */
void checkpoint_salt(
	uint8_t salt[static SALT_LEN], const struct store_keys *keys, const char *time, const struct digest *header);
void checkpoint_anchor(struct digest *out, const uint8_t salt[static SALT_LEN], const struct digest *header);
struct Enlight__Event__V1__Checkpoint;
bool checkpoint_names(const struct Enlight__Event__V1__Checkpoint *c, const struct digest *anchor);
/* The id of the checkpoint of a day (since 1970, UTC): checkpoint-YYYY-MM-DD. One a day: an id names one event for ever. */
enum { CHECKPOINT_ID_SIZE = 32 };
void checkpoint_id(char out[static CHECKPOINT_ID_SIZE], uint64_t day);

/* Packs evidence of a fork: `notes` are texts as trust_with() would take them one after the other, the first roster first. `*out` is
 * owned memory. 0 or -ENOMEM. */
struct signed_header {
	struct bytes header;
	const uint8_t *signature; /* SIGNATURE_LEN */
};
int evidence_pack_fork(struct bytes *out, const struct bytes *notes, size_t n_notes, const struct signed_header *one,
	const struct signed_header *other);

#endif
