/* faulty_vfs - SQLite's file system with faults: the n-th write or sync from now on fails; and somebody may look on (power.h).
 *
 * State at file scope, as SQLite has one default file system for a process. */
#ifndef ENLIGHT_TESTS_FAULTY_VFS_H
#define ENLIGHT_TESTS_FAULTY_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum faulty_call { FAULTY_WRITE, FAULTY_SYNC, N_FAULTY_CALLS };

/* Makes it the default; call once before a database is opened. */
void faulty_vfs_register(void);

/* The call of this kind after the next `calls` ones, and all later ones, answer `rc` and do nothing. SQLITE_OK: no faults. */
void faulty_vfs_fail(enum faulty_call which, unsigned long calls, int rc);

/* Is told of each change to a file with a name, after it was made and in the thread that made it. `names`: the folder was
 * synced with it. */
struct faulty_watch {
	void (*opened)(const char *path); /* it may be new */
	void (*written)(const char *path, const void *data, size_t n, uint64_t at);
	void (*truncated)(const char *path, uint64_t size);
	void (*synced)(const char *path, bool names);
	void (*deleted)(const char *path, bool names);
};
void faulty_vfs_watch(const struct faulty_watch *watch); /* borrowed; NULL: nobody */

#endif
