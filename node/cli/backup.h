/* backup - a backup's file, as verbs read it (backup.c). Functions answer an exit status and have printed why. */
#ifndef ENLIGHT_CLI_BACKUP_H
#define ENLIGHT_CLI_BACKUP_H

#include "cli/cli.h"
#include "core/backup_head.h"

/* From now on a signal that ends a command is only noted; told by the second, which waits for one, it ends in order. */
void backup_hold_signals(void);
bool backup_is_told_to_end(unsigned wait_ms);

int backup_read_head(struct backup_head *out, const char *path);

/* Whether a node key on the member's card (a file) signed the backup; else a message and an exit status. */
int backup_check_signer(const struct cli *c, const char *path, const char *card_path);

/* The store key, opened by --identity and --passphrase-file; the caller wipes it. `path` is the backup's, for messages. */
int backup_open_key(
	uint8_t secret[static SECRET_LEN], const struct cli *c, const struct backup_head *h, const char *path);

#endif
