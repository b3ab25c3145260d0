/* backup - a backup's file, as verbs read it (backup.c). Functions answer an exit status and have printed why. */
#ifndef ENLIGHT_CLI_BACKUP_H
#define ENLIGHT_CLI_BACKUP_H

#include "cli/cli.h"
#include "core/backup_head.h"

/* From now on a signal that ends a command is only noted; told by the second, which waits for one, it ends in order. */
void backup_hold_signals(void);
bool backup_is_told_to_end(unsigned wait_ms);

/* Opened once, so that what is judged is what is read later. */
struct backup_file {
	const char *path; /* borrowed */
	FILE *file;       /* NULL when closed */
	struct backup_head head;
	uint8_t begin[BACKUP_HEAD_MAX]; /* the bytes in which the head stands */
};
int backup_file_open(struct backup_file *out, const char *path);
void backup_file_close(struct backup_file *b); /* the zeroed value is fine */

/* Whether a node key on the member's card (a file) signed the backup; else a message and an exit status. */
int backup_check_signer(const struct cli *c, const struct backup_file *b, const char *card_path);

/* The store key, opened by --identity and --passphrase-file; the caller wipes it. */
int backup_open_key(uint8_t secret[static SECRET_LEN], const struct cli *c, const struct backup_file *b);

#endif
