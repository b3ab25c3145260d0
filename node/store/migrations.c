#include "store/migrations.h"

#include <stdbool.h>
#include <stdio.h>

/* Rows that are found by a keyed name are small and lie in the index itself (WITHOUT ROWID). The names of events and objects
 * begin with the time of their UUIDv7, so their indexes grow at the end. Those of persons do not: a table led by them would be
 * written all over, so it is led by the batch, and who looks for a person reads it whole.
 *
 * An object keeps a row per revision, the one with the highest place counts: when batches are set aside, the revision before
 * is the last again. `aside_...` hold what was set aside, in the same columns. */
const char *const migrations[] = {
	"PRAGMA application_id = 1162759252;"

	"CREATE TABLE channel("
	"  id INTEGER PRIMARY KEY, publisher TEXT NOT NULL, audience TEXT NOT NULL, incarnation INTEGER NOT NULL,"
	"  first INTEGER NOT NULL, last INTEGER NOT NULL, head BLOB NOT NULL, key INTEGER NOT NULL,"
	"  uncovered INTEGER NOT NULL, bytes INTEGER NOT NULL, stopped INTEGER NOT NULL,"
	"  UNIQUE(publisher, audience)) STRICT;"

	"CREATE TABLE batch("
	"  number INTEGER PRIMARY KEY, channel INTEGER NOT NULL REFERENCES channel(id), incarnation INTEGER NOT NULL,"
	"  first INTEGER NOT NULL, last INTEGER NOT NULL, digest BLOB NOT NULL, stored_ms INTEGER NOT NULL,"
	"  header BLOB NOT NULL, signature BLOB NOT NULL, wrapped BLOB NOT NULL, body BLOB) STRICT;"
	"CREATE UNIQUE INDEX batch_by_end ON batch(channel, last);"

	"CREATE TABLE event("
	"  key BLOB PRIMARY KEY, number INTEGER NOT NULL, slot INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE object("
	"  key BLOB NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL, revision INTEGER NOT NULL,"
	"  data BLOB NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY(key, number, slot)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE person("
	"  number INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY(number, key)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE mark("
	"  number INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, text TEXT NOT NULL,"
	"  PRIMARY KEY(number, slot, kind)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE uncovered("
	"  channel INTEGER NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY(channel, sequence)) STRICT, WITHOUT ROWID;"

	"CREATE TABLE aside_batch("
	"  number INTEGER PRIMARY KEY, channel INTEGER NOT NULL REFERENCES channel(id), incarnation INTEGER NOT NULL,"
	"  first INTEGER NOT NULL, last INTEGER NOT NULL, digest BLOB NOT NULL, stored_ms INTEGER NOT NULL,"
	"  header BLOB NOT NULL, signature BLOB NOT NULL, wrapped BLOB NOT NULL, body BLOB) STRICT;"
	"CREATE TABLE aside_event("
	"  key BLOB NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL,"
	"  PRIMARY KEY(number, slot, key)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE aside_object("
	"  key BLOB NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL, revision INTEGER NOT NULL,"
	"  data BLOB NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY(number, slot, key)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE aside_person("
	"  number INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY(number, key)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE aside_mark("
	"  number INTEGER NOT NULL, slot INTEGER NOT NULL, kind INTEGER NOT NULL, text TEXT NOT NULL,"
	"  PRIMARY KEY(number, slot, kind)) STRICT, WITHOUT ROWID;"

	"CREATE TABLE receipt("
	"  channel INTEGER NOT NULL REFERENCES channel(id), reader TEXT NOT NULL, incarnation INTEGER NOT NULL,"
	"  upto INTEGER NOT NULL, uncovered INTEGER NOT NULL, time_ms INTEGER NOT NULL, packed BLOB NOT NULL,"
	"  signature BLOB NOT NULL, PRIMARY KEY(channel, reader)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE note("
	"  kind TEXT NOT NULL, member TEXT NOT NULL, number INTEGER NOT NULL, text BLOB NOT NULL) STRICT;"
	"CREATE UNIQUE INDEX note_in_order ON note(kind DESC, number, member);"
	"CREATE TABLE fork("
	"  channel INTEGER NOT NULL REFERENCES channel(id), header_a BLOB NOT NULL, signature_a BLOB NOT NULL,"
	"  header_b BLOB NOT NULL, signature_b BLOB NOT NULL) STRICT;"
	"CREATE INDEX fork_by_channel ON fork(channel);"
	"CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",

	"CREATE TABLE cursor("
	"  plugin TEXT PRIMARY KEY, number INTEGER NOT NULL, slot INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE held("
	"  plugin TEXT NOT NULL, number INTEGER NOT NULL, slot INTEGER NOT NULL, channel INTEGER NOT NULL,"
	"  sequence INTEGER NOT NULL, source TEXT NOT NULL, topic TEXT NOT NULL, lane BLOB NOT NULL, state INTEGER NOT "
	"NULL,"
	"  attempts INTEGER NOT NULL, deaths INTEGER NOT NULL, next_ms INTEGER NOT NULL, since_ms INTEGER NOT NULL,"
	"  reason TEXT NOT NULL, PRIMARY KEY(plugin, number, slot)) STRICT, WITHOUT ROWID;",

	/* A note was judged by those before it, so the order counts; the rows of step 1 still stand in it. */
	"CREATE TABLE accepted_note("
	"  turn INTEGER PRIMARY KEY, kind TEXT NOT NULL, member TEXT NOT NULL, number INTEGER NOT NULL, text BLOB NOT "
	"NULL,"
	"  UNIQUE(kind, member, number, text)) STRICT;"
	"INSERT INTO accepted_note(kind, member, number, text)"
	"  SELECT kind, member, number, text FROM note ORDER BY rowid;"
	"DROP TABLE note;"
	"ALTER TABLE accepted_note RENAME TO note;",

	/* What a later incarnation left out is published again (enum origin); below 0: it was. */
	"ALTER TABLE channel ADD COLUMN next_incarnation INTEGER NOT NULL DEFAULT 0;"
	"UPDATE channel SET stopped = 9223372036854775807 WHERE stopped <> 0;" /* it was a flag: the place is not known */
	"ALTER TABLE aside_batch ADD COLUMN above INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE aside_batch ADD COLUMN again INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX aside_batch_by_digest ON aside_batch(channel, digest);"
	"CREATE INDEX aside_batch_again ON aside_batch(again, number) WHERE again > 0;"
	"CREATE INDEX aside_event_by_key ON aside_event(key);"
	"CREATE INDEX aside_object_by_key ON aside_object(key, revision);",
};
const size_t n_migrations = sizeof migrations / sizeof *migrations;

static int ask_number(sqlite3 *db, const char *sql, sqlite3_int64 *out)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK) {
		rc = sqlite3_step(stmt);
		if (rc == SQLITE_ROW) {
			*out = sqlite3_column_int64(stmt, 0);
			rc = SQLITE_OK;
		}
	}
	sqlite3_finalize(stmt);
	return rc;
}

static int take_step(sqlite3 *db, const char *sql, size_t version)
{
	char count[64];
	int rc;

	snprintf(count, sizeof count, "PRAGMA user_version = %zu", version);
	rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, count, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int migrate(sqlite3 *db, const char *const *steps, size_t n_steps)
{
	sqlite3_int64 tables = 0, application = 0, version = 0;
	int rc;

	rc = ask_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
	if (rc == SQLITE_OK)
		rc = ask_number(db, "PRAGMA application_id", &application);
	if (rc == SQLITE_OK)
		rc = ask_number(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		return rc;
	if (application != STORE_APPLICATION_ID && (tables != 0 || application != 0 || version != 0))
		return SQLITE_NOTADB;
	if (version < 0 || (size_t)version > n_steps)
		return SQLITE_MISMATCH;
	for (size_t i = (size_t)version; i < n_steps && rc == SQLITE_OK; i++)
		rc = take_step(db, steps[i], i + 1);
	return rc;
}
