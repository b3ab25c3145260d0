/* note - signed text: rosters and cards. What is signed is the bytes; nothing is serialised again to be verified.
 *
 * Form (signatures after C2SP signed-note): a first line `enlight KIND 1`, lines `word value value ...` with single spaces,
 * an empty line, then one line for each signature: `— NAME BASE64` (em dash U+2014). The base64 holds 4 bytes of key hint
 * and 64 bytes of Ed25519 signature over the text up to and including the line end before the empty line. The hint is the
 * first 4 bytes of BLAKE2b-256(NAME ‖ 0x0A ‖ 0x01 ‖ public key). UTF-8; no tab, CR or other control character; every line ends
 * with one LF; at most NOTE_MAX bytes. */
#ifndef ENLIGHT_CORE_NOTE_H
#define ENLIGHT_CORE_NOTE_H

#include "base/bytes.h"
#include "base/problem.h"
#include "core/digest.h"

enum { NOTE_WORDS_MAX = 64 }; /* words of one line */

struct note_line {
	const char **words; /* words[0] is the keyword */
	size_t n_words;
	unsigned number; /* line number in the file, from 1 */
};

struct note_signature {
	const char *name;
	uint8_t hint[4];
	uint8_t signature[SIGNATURE_LEN];
	unsigned number; /* line number */
};

struct note {
	char *memory; /* holds all strings below */
	char *text;   /* the whole file, as it was; `text_len` bytes */
	size_t text_len;
	size_t signed_len;       /* of which the first ones are signed */
	struct note_line *lines; /* without the first */
	size_t n_lines;
	struct note_signature *signatures;
	size_t n_signatures;
	struct digest digest; /* BLAKE2b-256 of the signed bytes: names the roster or card */
};

/* Reads a note of a kind ("roster", "card"). `name` is the file's, for problems' places (`name:line:column`). 0; NOTE_BAD
 * with `problems`; -ENOMEM. Release with note_deinit(). */
enum { NOTE_BAD = 1 };
int note_parse(struct note *out, const char *kind, const char *name, struct bytes text, struct problems *problems);
void note_deinit(struct note *n);

/* Whether one of the note's signatures has this name and key, and verifies. */
bool note_signed_by(const struct note *n, const char *name, const uint8_t key[static SIGN_PUBLIC_LEN]);

/* The signature line (with LF) for a note's text by a key, appended to `out`. `text` is the signed part. */
void note_sign(struct buffer *out, struct bytes text, const char *name, const uint8_t secret[static 64]);

#endif
