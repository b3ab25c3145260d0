/* draft - rosters and signatures in the making: texts in, texts out. Whoever makes a roster collects lines from others, so
 * each problem names the file and line a bad one came from. */
#ifndef ENLIGHT_CLI_DRAFT_H
#define ENLIGHT_CLI_DRAFT_H

#include "core/keys.h"
#include "core/roster.h"

/* A text and the name it goes by in problems. Borrowed. */
struct draft_file {
	const char *name;
	struct bytes text;
};

enum { DRAFT_BAD = 1, DRAFT_SIGNED };

/* A network's first roster, unsigned, from files that hold `member` and `alias` lines in any order (empty lines and lines that
 * begin with `#` are left out). `quorum` 0: the smallest, one more than half. 0; DRAFT_BAD with `problems`; -ENOMEM. The text is
 * appended to `out` on success only. */
int draft_first(struct buffer *out, const char *network, unsigned quorum, const struct draft_file *files,
	size_t n_files, struct problems *problems);

/* What a next roster changes. */
struct draft_changes {
	const struct draft_file *add; /* `member` lines of new members, and `alias` lines */
	size_t n_add;
	const struct draft_file *rekey; /* `member` lines with a changed key, name or country */
	size_t n_rekey;
	const char *const *remove; /* handles or aliases; all aliases go too */
	size_t n_remove;
	const char *const *alias; /* HANDLE=DOMAIN */
	size_t n_alias;
	unsigned quorum; /* 0: as before, or the smallest when that is not more than half any longer */
};

/* The roster after `from`, unsigned; lines of `from` that this version does not know are kept. As draft_first(). Changing nothing is
 * a problem. `name` is `from`'s. */
int draft_next(struct buffer *out, const struct roster *from, const char *name, const struct draft_changes *changes,
	struct problems *problems);

/* The note with one more signature, appended to `out`. 0, or DRAFT_SIGNED when it bears it already (the note as it is), or
 * -ENOMEM. */
int draft_sign(
	struct buffer *out, const struct note *n, const char *name, const uint8_t secret[static SIGN_SECRET_LEN]);

/* One note with the signatures of several copies of the same text, in the order of their names. 0; DRAFT_BAD with
 * `problems` when a text differs or is no note of this kind; -ENOMEM. */
int draft_merge(struct buffer *out, const char *kind, const struct draft_file *copies, size_t n_copies,
	struct problems *problems);

#endif
