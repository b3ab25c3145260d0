/* power - what a disk may hold after the power has failed, for any moment of what SQLite wrote.
 *
 * While recording, every change to the files of a folder goes to them and into a log. A `power_disk` is the log played again up to an
 * entry: the power fails there. What was synced is on it. Of all else each write is there, or not, or in part, whatever the order; a name
 * that was made or removed may be so or not before its folder was synced. (That a torn write leaves the bytes beside it alone is
 * SQLite's own assumption, SQLITE_IOCAP_POWERSAFE_OVERWRITE.)
 *
 * Programs are linked with `--wrap=fsync`, so that what is synced beside SQLite counts as well. State at file scope, as in faulty_vfs.h. */
#ifndef ENLIGHT_TESTS_POWER_H
#define ENLIGHT_TESTS_POWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Forgets the log. What lies in the folder now is durable; from now on changes are recorded. The path is borrowed. */
void power_record(const char *folder);
void power_stop(void);
void power_mark(void); /* an entry that means something to the caller */

struct power_counts {
	size_t entries, writes, truncations, syncs, names, marks;
};
struct power_counts power_counts(void);
void power_forget(void); /* frees the log */

/* Disks that lie: what the checks of a test must notice. */
enum power_lie { POWER_HONEST, POWER_IGNORES_SYNC, POWER_IGNORES_NAMES };

struct power_disk *power_disk_new(enum power_lie lie); /* as it was when the recording began */
void power_disk_free(struct power_disk *d);
bool power_disk_step(struct power_disk *d);          /* plays one entry; false: there is none */
size_t power_disk_marks(const struct power_disk *d); /* among those played */

/* Replaces the files of another folder by what the disk may hold now; each seed makes one of the possible outcomes. */
void power_disk_write(const struct power_disk *d, uint64_t seed, const char *folder);

#endif
