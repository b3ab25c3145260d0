/* migrations - how a database came to be what it is: each step leads from one version of the tables to the next.
 *
 * `user_version` counts the steps taken. A step that was released is never changed; a later one is added. */
#ifndef ENLIGHT_STORE_MIGRATIONS_H
#define ENLIGHT_STORE_MIGRATIONS_H

#include <sqlite3.h>
#include <stddef.h>

enum { STORE_APPLICATION_ID = 0x454e4c54 }; /* "ENLT" */

extern const char *const migrations[]; /* SQL of each step */
extern const size_t n_migrations;

/* Takes the steps that are missing, each in a transaction of its own. SQLITE_OK; SQLITE_MISMATCH: the database has taken
 * more steps than there are; SQLITE_NOTADB: not empty and not ours; or what SQLite says. */
int migrate(sqlite3 *db, const char *const *steps, size_t n_steps);

#endif
