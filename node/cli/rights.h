/* rights - what root does in another user's folder it does with that user's rights, so that a link there reaches nothing which its
 * owner could not reach anyway, and files are born as that owner's. */
#ifndef ENLIGHT_CLI_RIGHTS_H
#define ENLIGHT_CLI_RIGHTS_H

#include <stdbool.h>
#include <sys/types.h>

/* Who can decide what stands under a path: the first but root that owns a part of it, or of where a link in it leads; root (0) when all
 * that is there of it is root's. Always 0 where root did not call. 0 or -errno. */
int rights_owner(uid_t *out, const char *path);

/* Whether root called, and a folder can be written in by others than its owner. */
bool rights_shared(const char *folder);

/* From here on the process acts with the user and groups that `owner` logs in with; 0: with those of who called. Where root did not
 * call nothing changes. 0; -ENOENT: no such user on this machine; other -errno. After an error nothing may be done but end. */
int rights_take(uid_t owner);

#endif
