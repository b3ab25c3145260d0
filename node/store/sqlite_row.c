#include "store/sqlite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	int rc, r;
} errors[] = {
	{SQLITE_OK, 0},
	{SQLITE_FULL, LEDGER_FULL},
	{SQLITE_IOERR_SHMSIZE, LEDGER_FULL}, /* the WAL's index could not grow */
	{SQLITE_NOMEM, -ENOMEM},
	{SQLITE_IOERR_NOMEM, -ENOMEM},
	{SQLITE_RANGE, -ERANGE},
	{SQLITE_TOOBIG, -EMSGSIZE},
	{SQLITE_CONSTRAINT_PRIMARYKEY, -EEXIST},
	{SQLITE_CONSTRAINT_ROWID, -EEXIST},
	{SQLITE_CONSTRAINT_UNIQUE, -EEXIST},
	{SQLITE_CONSTRAINT, -EINVAL},
	{SQLITE_BUSY, -EBUSY},
	{SQLITE_LOCKED, -EBUSY},
	{SQLITE_CANTOPEN, -EACCES},
	{SQLITE_PERM, -EACCES},
	{SQLITE_READONLY, -EROFS},
	{SQLITE_CORRUPT, -EBADMSG},
	{SQLITE_NOTADB, -EBADMSG},
	{SQLITE_ERROR, -EBADMSG}, /* a table of ours is not there */
	{SQLITE_MISMATCH, -EPROTO},
};

int sqlite_error(int rc)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].rc == rc)
			return errors[i].r;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].rc == (rc & 0xff))
			return errors[i].r;
	return -EIO;
}

int sqlite_open_error(sqlite3 *db, int rc)
{
	int e = (rc & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;

	return e != 0 ? -e : sqlite_error(rc);
}

int sqlite_configure(sqlite3 *db, const char *const *sql, size_t n)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
		rc = sqlite3_exec(db, sql[i], NULL, NULL, NULL);
	return rc;
}

int sqlite_prepare(sqlite3 *db, sqlite3_stmt **out, const char *const *sql, size_t n)
{
	int rc = SQLITE_OK;

	for (size_t i = 0; i < n && rc == SQLITE_OK; i++)
		rc = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);
	return rc;
}

void sqlite_finalize(sqlite3_stmt **stmts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sqlite3_finalize(stmts[i]);
		stmts[i] = NULL;
	}
}

struct call call_to(sqlite3_stmt *stmt)
{
	return (struct call){.stmt = stmt, .rc = SQLITE_OK};
}

static void called(struct call *c, int rc)
{
	if (c->rc == SQLITE_OK)
		c->rc = rc;
}

void call_u64(struct call *c, uint64_t v)
{
	called(c, sqlite3_bind_int64(c->stmt, ++c->argument, (sqlite3_int64)v));
}

void call_position(struct call *c, uint64_t v)
{
	called(c, v > INT64_MAX ? SQLITE_RANGE : SQLITE_OK);
	call_u64(c, v);
}

void call_bytes(struct call *c, struct bytes v)
{
	const void *data = v.data != NULL ? v.data : (const uint8_t *)""; /* NULL would bind NULL */

	called(c, sqlite3_bind_blob64(c->stmt, ++c->argument, data, v.len, SQLITE_STATIC));
}

void call_bytes_or_null(struct call *c, struct bytes v)
{
	if (v.data != NULL)
		call_bytes(c, v);
	else
		called(c, sqlite3_bind_null(c->stmt, ++c->argument));
}

void call_text(struct call *c, const char *v)
{
	called(c, sqlite3_bind_text(c->stmt, ++c->argument, v, -1, SQLITE_STATIC));
}

int call_step(struct call *c)
{
	return c->rc != SQLITE_OK ? c->rc : sqlite3_step(c->stmt);
}

uint64_t column_u64(sqlite3_stmt *stmt, int column)
{
	return (uint64_t)sqlite3_column_int64(stmt, column);
}

struct bytes column_bytes(sqlite3_stmt *stmt, int column)
{
	const void *data = sqlite3_column_blob(stmt, column);

	return bytes_of(data, (size_t)sqlite3_column_bytes(stmt, column));
}

const char *column_text(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	return text != NULL ? text : "";
}

bool column_digest(struct digest *out, sqlite3_stmt *stmt, int column)
{
	return digest_from(out, column_bytes(stmt, column));
}

int batch_row_read(struct batch_row *out, sqlite3_stmt *stmt)
{
	uint64_t first = column_u64(stmt, 3);

	*out = (struct batch_row){
		.number = column_u64(stmt, 0),
		.channel = column_u64(stmt, 1),
		.incarnation = (uint32_t)column_u64(stmt, 2),
		.first = first,
		.count = (uint32_t)(column_u64(stmt, 4) - first + 1),
		.stored_ms = column_u64(stmt, 6),
		.header = column_bytes(stmt, 7),
		.signature = column_bytes(stmt, 8),
		.wrapped = column_bytes(stmt, 9),
		.body = column_bytes(stmt, 10),
	};
	return column_digest(&out->digest, stmt, 5) && out->signature.len == SIGNATURE_LEN ? 0 : -EBADMSG;
}

int channel_row_read(struct channel_row *out, sqlite3_stmt *stmt)
{
	const char *publisher = column_text(stmt, 1);

	*out = (struct channel_row){
		.id = column_u64(stmt, 0),
		.incarnation = (uint32_t)column_u64(stmt, 3),
		.first = column_u64(stmt, 4),
		.last = column_u64(stmt, 5),
		.key = (uint32_t)column_u64(stmt, 7),
		.uncovered = column_u64(stmt, 8),
		.bytes = column_u64(stmt, 9),
		.stopped = column_u64(stmt, 10),
		.next_incarnation = (uint32_t)column_u64(stmt, 11),
	};
	if (strlen(publisher) > HANDLE_MAX || !column_digest(&out->head, stmt, 6))
		return -EBADMSG;
	memcpy(out->publisher, publisher, strlen(publisher) + 1);
	out->audience = strdup(column_text(stmt, 2));
	return out->audience != NULL ? 0 : -ENOMEM;
}

int receipt_row_read(struct receipt_row *out, sqlite3_stmt *stmt)
{
	struct bytes signature = column_bytes(stmt, 7);

	*out = (struct receipt_row){
		.channel = column_u64(stmt, 0),
		.reader = column_text(stmt, 1),
		.incarnation = (uint32_t)column_u64(stmt, 2),
		.to = column_u64(stmt, 3),
		.uncovered = column_u64(stmt, 4),
		.time_ms = column_u64(stmt, 5),
		.packed = column_bytes(stmt, 6),
		.signature = signature.data,
	};
	return signature.len == SIGNATURE_LEN ? 0 : -EBADMSG;
}

static bool copy_text(char *out, size_t size, sqlite3_stmt *stmt, int column)
{
	const char *text = column_text(stmt, column);

	if (strlen(text) >= size)
		return false;
	strcpy(out, text);
	return true;
}

int held_row_read(struct held_row *out, sqlite3_stmt *stmt)
{
	struct bytes lane = column_bytes(stmt, 7);

	*out = (struct held_row){
		.place = {column_u64(stmt, 1), (uint32_t)column_u64(stmt, 2)},
		.channel = column_u64(stmt, 3),
		.sequence = column_u64(stmt, 4),
		.state = (enum held_state)column_u64(stmt, 8),
		.attempts = (uint32_t)column_u64(stmt, 9),
		.deaths = (uint32_t)column_u64(stmt, 10),
		.next_ms = column_u64(stmt, 11),
		.since_ms = column_u64(stmt, 12),
	};
	if (lane.len != sizeof out->lane.bytes || !copy_text(out->plugin, sizeof out->plugin, stmt, 0) ||
		!copy_text(out->source, sizeof out->source, stmt, 5) ||
		!copy_text(out->topic, sizeof out->topic, stmt, 6) ||
		!copy_text(out->reason, sizeof out->reason, stmt, 13))
		return -EBADMSG;
	memcpy(out->lane.bytes, lane.data, sizeof out->lane.bytes);
	return out->state >= HELD_RETRYING && out->state <= HELD_PARKED ? 0 : -EBADMSG;
}
