/* secret - files that hold one secret of 32 bytes (node-N.key, store.key): 64 hexadecimal digits and a line end, readable by
 * their owner only. An identity key has a file of its own form: cli/identity.h. */
#ifndef ENLIGHT_BASE_SECRET_H
#define ENLIGHT_BASE_SECRET_H

#include "base/bytes.h"
#include "base/problem.h"

enum { SECRET_FILE_LEN = 32, SECRET_BAD = 1 };

/* Reads a secret; the caller wipes it. `private_folder`: the system keeps others out of the folder (systemd's credentials), so
 * the file's mode does not matter. 0; SECRET_BAD with a problem: cannot be read, others may read it, or its content is no
 * secret; -ENOMEM. */
int secret_read(uint8_t out[static SECRET_FILE_LEN], const char *path, bool private_folder, struct problems *problems);

/* Writes a new file, mode 0600, durably. 0, -EEXIST (an existing file stays as it is), other -errno. */
int secret_write(const char *path, const uint8_t secret[static SECRET_FILE_LEN]);

/* The same in the place of a file that may be there: under that name is always the one or the other, whole. 0 or -errno. */
int secret_replace(const char *path, const uint8_t secret[static SECRET_FILE_LEN]);

/* Overwrites a file and removes it, durably. What a file system or a disk copied elsewhere by itself is out of reach. 0 or -errno. */
int secret_destroy(const char *path);

#endif
