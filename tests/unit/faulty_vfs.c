#include "faulty_vfs.h"

#include <sqlite3.h>
#include <string.h>

static struct {
	unsigned long calls;
	int rc;
} faults[N_FAULTY_CALLS];

static sqlite3_vfs faulty;
static sqlite3_vfs *real;
static const struct faulty_watch nobody;
static const struct faulty_watch *watch = &nobody;

/* The real file lies behind. */
struct file {
	_Alignas(8) sqlite3_file base; /* SQLite promises no more */
	const char *path;              /* SQLite's; NULL: without a name */
	bool syncs_name;               /* as SQLite does with the first sync of a new journal or WAL */
};

static sqlite3_file *real_of(sqlite3_file *f)
{
	return (sqlite3_file *)(void *)((struct file *)(void *)f + 1);
}

static const char *path_of(sqlite3_file *f)
{
	return ((struct file *)(void *)f)->path;
}

static int fault(enum faulty_call which)
{
	if (faults[which].rc == SQLITE_OK)
		return SQLITE_OK;
	if (faults[which].calls > 0) {
		faults[which].calls--;
		return SQLITE_OK;
	}
	return faults[which].rc;
}

static int f_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}

static int f_read(sqlite3_file *f, void *data, int n, sqlite3_int64 at)
{
	return real_of(f)->pMethods->xRead(real_of(f), data, n, at);
}

static int f_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
	int rc = fault(FAULTY_WRITE);

	if (rc == SQLITE_OK)
		rc = real_of(f)->pMethods->xWrite(real_of(f), data, n, at);
	if (rc == SQLITE_OK && path_of(f) != NULL && watch->written != NULL)
		watch->written(path_of(f), data, (size_t)n, (uint64_t)at);
	return rc;
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = real_of(f)->pMethods->xTruncate(real_of(f), size);

	if (rc == SQLITE_OK && path_of(f) != NULL && watch->truncated != NULL)
		watch->truncated(path_of(f), (uint64_t)size);
	return rc;
}

static int f_sync(sqlite3_file *f, int flags)
{
	struct file *file = (struct file *)(void *)f;
	int rc = fault(FAULTY_SYNC);

	if (rc == SQLITE_OK)
		rc = real_of(f)->pMethods->xSync(real_of(f), flags);
	if (rc == SQLITE_OK && file->path != NULL && watch->synced != NULL)
		watch->synced(file->path, file->syncs_name);
	if (rc == SQLITE_OK)
		file->syncs_name = false;
	return rc;
}

static int f_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int f_lock(sqlite3_file *f, int lock)
{
	return real_of(f)->pMethods->xLock(real_of(f), lock);
}

static int f_unlock(sqlite3_file *f, int lock)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), lock);
}

static int f_reserved(sqlite3_file *f, int *out)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int f_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int f_device(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *f)
{
	real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int f_shm_unmap(sqlite3_file *f, int delete)
{
	return real_of(f)->pMethods->xShmUnmap(real_of(f), delete);
}

static const sqlite3_io_methods methods = {2, f_close, f_read, f_write, f_truncate, f_sync, f_size, f_lock, f_unlock,
	f_reserved, f_control, f_sector, f_device, f_shm_map, f_shm_lock, f_shm_barrier, f_shm_unmap, NULL, NULL};

static int f_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
	const int journal = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
	struct file *file = (struct file *)(void *)f;
	int rc = real->xOpen(real, name, real_of(f), flags, out_flags);

	file->path = name;
	file->syncs_name = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & journal) != 0;
	f->pMethods = real_of(f)->pMethods != NULL ? &methods : NULL;
	if (rc == SQLITE_OK && name != NULL && watch->opened != NULL)
		watch->opened(name);
	return rc;
}

static int f_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
	int rc = real->xDelete(real, name, sync_folder);

	if (rc == SQLITE_OK && watch->deleted != NULL)
		watch->deleted(name, sync_folder != 0);
	return rc;
}

void faulty_vfs_register(void)
{
	real = sqlite3_vfs_find(NULL);
	faulty = *real;
	faulty.zName = "faulty";
	faulty.szOsFile = (int)sizeof(struct file) + real->szOsFile;
	faulty.xOpen = f_open;
	faulty.xDelete = f_delete;
	sqlite3_vfs_register(&faulty, 1);
}

void faulty_vfs_fail(enum faulty_call which, unsigned long calls, int rc)
{
	faults[which].calls = calls;
	faults[which].rc = rc;
}

void faulty_vfs_watch(const struct faulty_watch *w)
{
	watch = w != NULL ? w : &nobody;
}
