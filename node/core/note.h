/* note - signed text: rosters and cards. What is signed is the bytes; nothing is serialised again to be verified.
 *
 * Form (signatures after C2SP signed-note): a first line `enlight KIND 1`, lines `word value value ...` with single spaces,
 * an empty line, then one line for each signature: `— NAME BASE64` (em dash U+2014). The base64 holds 4 bytes of key hint
 * and 64 bytes of Ed25519 signature over the text up to and including the line end before the empty line. The hint is the
 * first 4 bytes of BLAKE2b-256(NAME ‖ 0x0A ‖ 0x01 ‖ public key). NAME is 1 to NOTE_NAME_MAX printable ASCII characters.
 *
 * A note that nobody has signed yet ends with its last line; an empty line without a signature after it is refused, so a text
 * has one form. One name signs once with one key. UTF-8 (RFC 3629), every line ends with one LF; no tab, CR or other
 * control character (U+0000 to 001F, 007F to 009F), and none that hides or reorders what a person reads (U+2028 to 202E,
 * 2066 to 2069, FEFF). A word at a line's start is printable ASCII. At most NOTE_MAX bytes, NOTE_WORDS_MAX words in a line, NOTE_SIGNATURES_MAX signatures.
 * Unknown words are ignored, except with a leading `!`: who does not know such a word must refuse the note. */
#ifndef ENLIGHT_CORE_NOTE_H
#define ENLIGHT_CORE_NOTE_H

#include "base/bytes.h"
#include "base/problem.h"
#include "core/digest.h"

enum {
	NOTE_WORDS_MAX = 64, /* words of one line */
	NOTE_SIGNATURES_MAX = 2 * MEMBERS_MAX,
	NOTE_NAME_MAX = HANDLE_MAX + 11, /* a handle, `+` and a key number */
	NOTE_HINT_LEN = 4,
};

struct note_line {
	const char **words; /* words[0] is the keyword */
	size_t n_words;
	unsigned number; /* line number in the file, from 1 */
};

struct note_signature {
	const char *name;
	uint8_t hint[NOTE_HINT_LEN];
	uint8_t signature[SIGNATURE_LEN];
	unsigned number; /* line number */
};

/* Plain data; every pointer in it lives until note_deinit(). */
struct note {
	char *memory;       /* holds all strings below */
	const char **words; /* and this all words */
	char *text;         /* the whole file, as it was; `text_len` bytes and a NUL behind them */
	size_t text_len;
	size_t signed_len;       /* of which the first ones are signed */
	struct note_line *lines; /* without the first */
	size_t n_lines;
	struct note_signature *signatures;
	size_t n_signatures;
	struct digest digest; /* BLAKE2b-256 of the signed bytes: names the roster or card */
};

/* Reads a note of a kind ("roster", "card"). `name` is the file's, for problems' places (`name:line:column`, columns in
 * characters). No signature is verified. 0; NOTE_BAD with `problems`; -ENOMEM. Release with note_deinit(); on failure
 * `*out` is zeroed. */
enum { NOTE_BAD = 1 };
int note_parse(struct note *out, const char *kind, const char *name, struct bytes text, struct problems *problems);
void note_deinit(struct note *n); /* the zeroed value is fine */

/* Adds a problem at a word of a line; at the line's start when `word` is 0; and at the line where the next signature would go. */
void note_problem(struct problems *p, const char *name, const struct note_line *line, size_t word, const char *rule,
	...) __attribute__((format(printf, 5, 6)));
void note_problem_at(struct problems *p, const char *name, unsigned line, const char *rule, ...)
	__attribute__((format(printf, 4, 5)));
unsigned note_end(const struct note *n);

/* One word of a kind of note: a table of them is its grammar. */
struct note_word {
	const char *word;
	size_t min, max;     /* values after the word */
	bool required, many; /* at least once; more than once */
	/* Takes one line in, adding to `problems` what is wrong. 0 or -ENOMEM. */
	int (*take)(void *into, const struct note_line *line, const char *name, struct problems *problems);
};

/* Gives each line to its word's row; adds problems for lines with too few or many values, repeated, missing and
 * unknown `!` words. 0 or -ENOMEM: whether it went well shows in `problems->total`. */
int note_walk(const struct note *n, const struct note_word *words, size_t n_words, void *into, const char *name,
	struct problems *problems);

/* A whole number from 1 to `max` without sign or leading zero. False: no such number. */
bool note_number(uint32_t *out, const char *word, uint32_t max);

/* Whether the signature was made with this key under the name it bears. */
bool note_verify(const struct note *n, const struct note_signature *s, const uint8_t key[static SIGN_PUBLIC_LEN]);

/* Whether one of the note's signatures has this name and key, and verifies. */
bool note_signed_by(const struct note *n, const char *name, const uint8_t key[static SIGN_PUBLIC_LEN]);

/* The signature line (with LF) for a note's text by a key (Ed25519 secret key of libsodium), appended to `out`. `text` is the
 * signed part. The caller puts the empty line before the first one. */
void note_sign(struct buffer *out, struct bytes text, const char *name, const uint8_t secret[static 64]);

/* A signature line that was read, written again: the same bytes. */
void note_signature_write(struct buffer *out, const struct note_signature *s);

#endif
