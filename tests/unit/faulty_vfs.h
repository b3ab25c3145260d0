/* faulty_vfs - SQLite's file system with faults: the n-th write or sync from now on fails.
 *
 * State at file scope, as SQLite has one default file system for a process. */
#ifndef ENLIGHT_TESTS_FAULTY_VFS_H
#define ENLIGHT_TESTS_FAULTY_VFS_H

enum faulty_call { FAULTY_WRITE, FAULTY_SYNC, N_FAULTY_CALLS };

/* Makes it the default; call once before a database is opened. */
void faulty_vfs_register(void);

/* The call of this kind after the next `calls` ones, and all later ones, answer `rc` and do nothing. SQLITE_OK: no faults. */
void faulty_vfs_fail(enum faulty_call which, unsigned long calls, int rc);

#endif
