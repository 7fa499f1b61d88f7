/* SQLite, with the tables of TaskFlow's SQLAlchemy backend (ENGINE.md 14.1), so that either can read the other's file.
 * WAL, so that readers never wait; PRAGMA user_version is the version of what we added: indexes. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/folders.h"
#include "base/mem.h"
#include "persistence/backend.h"

enum { SCHEMA_VERSION = 1, BUSY_MS = 5000, BUSY_STEP_MS = 10, LOG_PAGES = 4000 };

/* name, text */
#define STATEMENTS(X) \
	X(BEGIN, "BEGIN IMMEDIATE") \
	X(COMMIT, "COMMIT") \
	X(ROLLBACK, "ROLLBACK") \
	X(BOOK, "INSERT INTO logbooks (created_at, meta, name, uuid) VALUES (?1, ?2, ?3, ?4) " \
		"ON CONFLICT (uuid) DO UPDATE SET updated_at = ?1, meta = ?2, name = ?3") \
	X(FLOW, "INSERT INTO flowdetails (created_at, parent_uuid, meta, name, state, uuid) " \
		"VALUES (?1, ?2, ?3, ?4, ?5, ?6) " \
		"ON CONFLICT (uuid) DO UPDATE SET updated_at = ?1, meta = ?3, name = ?4, state = ?5") \
	X(FLOW_STATE, "UPDATE flowdetails SET updated_at = ?1, state = ?2 WHERE uuid = ?3") \
	X(ATOM_ADD, "INSERT INTO atomdetails (created_at, meta, parent_uuid, name, version, state, uuid, " \
		    "failure, results, " \
		    "revert_results, revert_failure, atom_type, intention) " \
		    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) " \
		    "ON CONFLICT (uuid) DO UPDATE SET updated_at = ?1, meta = ?2, version = ?5, state = " \
		    "?6, failure = ?8, " \
		    "results = ?9, revert_results = ?10, revert_failure = ?11, intention = ?13") \
	X(ATOM, "UPDATE atomdetails SET updated_at = ?1, meta = ?2, state = ?6, failure = ?8, results = " \
		"?9, " \
		"revert_results = ?10, revert_failure = ?11, intention = ?13 WHERE uuid = ?7") \
	X(BOOKS, "SELECT uuid, name, created_at, updated_at, meta FROM logbooks " \
		 "WHERE ?1 IS NULL OR uuid = ?1 ORDER BY created_at, uuid") \
	X(FLOWS, "SELECT uuid, parent_uuid, name, state, created_at, updated_at, meta FROM flowdetails " \
		 "WHERE (?1 IS NULL OR parent_uuid = ?1) AND (?2 IS NULL OR substr(uuid, 1, length(?2)) = " \
		 "?2) " \
		 "ORDER BY created_at, rowid") \
	X(ATOMS, "SELECT uuid, parent_uuid, name, version, state, intention, created_at, updated_at, " \
		 "atom_type, results, " \
		 "failure, revert_results, revert_failure, meta FROM atomdetails " \
		 "WHERE parent_uuid = ?1 ORDER BY rowid") \
	X(ATOM_BY_UUID, \
		"SELECT uuid, parent_uuid, name, version, state, intention, created_at, updated_at, " \
		"atom_type, " \
		"results, failure, revert_results, revert_failure, meta FROM atomdetails WHERE uuid = ?1") \
	X(DROP_BOOK_ATOMS, "DELETE FROM atomdetails WHERE parent_uuid IN " \
			   "(SELECT uuid FROM flowdetails WHERE parent_uuid = ?1)") \
	X(DROP_BOOK_FLOWS, "DELETE FROM flowdetails WHERE parent_uuid = ?1") \
	X(DROP_BOOK, "DELETE FROM logbooks WHERE uuid = ?1") \
	X(DROP_FLOW_ATOMS, "DELETE FROM atomdetails WHERE parent_uuid = ?1") \
	X(DROP_FLOW, "DELETE FROM flowdetails WHERE uuid = ?1")
enum statement {
#define X(name, text) ST_##name,
	STATEMENTS(X)
#undef X
		ST_COUNT
};
static const char *const statements[] = {
#define X(name, text) text,
	STATEMENTS(X)
#undef X
};

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS logbooks (created_at DATETIME, updated_at DATETIME, meta TEXT, name "
	"VARCHAR(255), "
	"uuid VARCHAR(64) NOT NULL, PRIMARY KEY (uuid), UNIQUE (uuid));"
	"CREATE TABLE IF NOT EXISTS flowdetails (created_at DATETIME, updated_at DATETIME, parent_uuid "
	"VARCHAR(64), meta TEXT, "
	"name VARCHAR(255), state VARCHAR(255), uuid VARCHAR(64) NOT NULL, PRIMARY KEY (uuid), UNIQUE "
	"(uuid), "
	"FOREIGN KEY(parent_uuid) REFERENCES logbooks (uuid) ON DELETE CASCADE);"
	"CREATE TABLE IF NOT EXISTS atomdetails (created_at DATETIME, updated_at DATETIME, meta TEXT, "
	"parent_uuid VARCHAR(64), "
	"name VARCHAR(255), version VARCHAR(64), state VARCHAR(255), uuid VARCHAR(64) NOT NULL, failure "
	"TEXT, results TEXT, "
	"revert_results TEXT, revert_failure TEXT, atom_type VARCHAR(12), intention VARCHAR(7), PRIMARY KEY "
	"(uuid), "
	"UNIQUE (uuid), FOREIGN KEY(parent_uuid) REFERENCES flowdetails (uuid) ON DELETE CASCADE);"
	"CREATE INDEX IF NOT EXISTS tfhost_flows_of_book ON flowdetails (parent_uuid);"
	"CREATE INDEX IF NOT EXISTS tfhost_atoms_of_flow ON atomdetails (parent_uuid);"
	"PRAGMA user_version = 1;";

struct sqlite {
	struct tf_backend base;
	sqlite3 *db;
	char *path;
	sqlite3_stmt *prepared[ST_COUNT]; /* as they are first used */
	struct tf_owner_locks *locks;
};

static int fail(struct sqlite *s, int rc, const char *what, struct tf_err *err)
{
	int code = TF_EIO;
	const char *hint = "";
	switch (rc & 0xff) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		code = TF_EFORMAT;
		hint = ": the file is damaged or no database, and was left as it is";
		break;
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
		code = TF_EAUTH;
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		code = TF_EAGAIN;
		hint = ": another process holds it locked";
		break;
	case SQLITE_FULL:
		hint = ": make room, then resume the flow";
		break;
	default:
		break;
	}
	return tf_err_set(err, code, "%s: %s: %s%s", s->path, what,
		s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc), hint);
}

static sqlite3_stmt *statement(struct sqlite *s, enum statement which, struct tf_err *err)
{
	if (!s->prepared[which]) {
		int rc = sqlite3_prepare_v3(
			s->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, &s->prepared[which], NULL);
		if (rc != SQLITE_OK) {
			fail(s, rc, "the tables are not as expected", err);
			return NULL;
		}
	}
	return s->prepared[which];
}

static int run(struct sqlite *s, enum statement which, const char *what, struct tf_err *err)
{
	sqlite3_stmt *st = statement(s, which, err);
	if (!st)
		return TF_EIO;
	int rc = sqlite3_step(st);
	int code = rc == SQLITE_DONE ? 0 : fail(s, rc, what, err);
	sqlite3_reset(st);
	return code;
}

/* --- opening ----------------------------------------------------------------------------- */

static void make_parents(const char *path)
{
	char *folder = tf_strdup(path), *slash = strrchr(folder, '/');
	if (slash) {
		*slash = '\0';
		(void)tf_make_folders(folder, 0700, NULL); /* what is wrong with it the opening tells */
	}
	free(folder);
}

static int version_of(struct sqlite *s, int *version, struct tf_err *err)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	int code = 0;
	if (rc == SQLITE_ROW)
		*version = sqlite3_column_int(st, 0);
	else
		code = fail(s, rc, "cannot be read", err);
	sqlite3_finalize(st);
	return code;
}

/* Two that open a new file at once: SQLite does not wait for the other here. */
static int begin_log(struct sqlite *s)
{
	int rc = SQLITE_BUSY;
	for (int waited = 0; rc == SQLITE_BUSY && waited < BUSY_MS; waited += BUSY_STEP_MS) {
		if (waited > 0)
			sqlite3_sleep(BUSY_STEP_MS);
		rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	}
	return rc;
}

static int prepare_file(struct sqlite *s, const struct tf_backend_config *config, struct tf_err *err)
{
	static const char *const synchronous[] = {[TF_DURABILITY_OFF] = "PRAGMA synchronous = OFF",
		[TF_DURABILITY_NORMAL] = "PRAGMA synchronous = NORMAL",
		[TF_DURABILITY_FULL] = "PRAGMA synchronous = FULL"};
	int version = 0;
	sqlite3_busy_timeout(s->db, BUSY_MS);
	/* A last close that copies the log costs a run more than the run; the log is copied as it grows. */
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	int rc = version_of(s, &version, err);
	if (rc != 0)
		return rc;
	if (version > SCHEMA_VERSION)
		return tf_err_set(err, TF_EFORMAT,
			"%s: it was made by a newer version of tfhost (schema %d, known here: %d); use that "
			"one",
			s->path, version, SCHEMA_VERSION);
	rc = begin_log(s);
	if (rc == SQLITE_OK) /* copying it waits for the disk, twice */
		rc = sqlite3_wal_autocheckpoint(s->db, LOG_PAGES);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(s->db, synchronous[config->durability], NULL, NULL, NULL);
	if (rc == SQLITE_OK && version < SCHEMA_VERSION)
		rc = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : fail(s, rc, "cannot be written", err);
}

static void sqlite_close(struct tf_backend *b)
{
	struct sqlite *s = (struct sqlite *)b;
	for (size_t i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(s->prepared[i]);
	sqlite3_close(s->db);
	tf_owner_locks_delete(s->locks);
	free(s->path);
	free(s);
}

static int sqlite_open(
	const char *path, const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err)
{
	struct sqlite *s = TF_NEW(struct sqlite);
	bool memory = strcmp(path, ":memory:") == 0;
	(void)sqlite3_config(
		SQLITE_CONFIG_MEMSTATUS, 0); /* a lock each allocation, for sums that nobody asks for */
	s->base.ops = &tf_backend_sqlite;
	s->path = tf_strdup(path);
	if (!memory) {
		make_parents(path);
		int fd = open(
			path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* results are nobody else's business */
		if (fd >= 0)
			close(fd);
	}
	int rc = sqlite3_open_v2(
		path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
	int code = rc == SQLITE_OK ? prepare_file(s, config, err) : fail(s, rc, "cannot be opened", err);
	if (code != 0) {
		sqlite_close(&s->base);
		return code;
	}
	if (!memory) {
		char *dir = tf_asprintf("%s.locks", path);
		s->locks = tf_owner_locks_new(dir);
		free(dir);
	}
	*out = &s->base;
	return 0;
}

/* --- saving ------------------------------------------------------------------------------ */

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	if (text)
		sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, at);
}

/* A null value is NULL, as the reference has it. */
static void bind_value(sqlite3_stmt *st, int at, const struct tf_value *v)
{
	if (v && tf_json_type(tf_value_json(v)) != TF_JSON_NULL)
		sqlite3_bind_text(st, at, tf_value_text(v), (int)tf_value_len(v), SQLITE_STATIC);
	else
		sqlite3_bind_null(st, at);
}

static int save_book(struct sqlite *s, const struct tf_book_detail *d, const char *now, struct tf_err *err)
{
	sqlite3_stmt *st = statement(s, ST_BOOK, err);
	if (!st)
		return TF_EIO;
	bind_text(st, 1, now);
	bind_value(st, 2, d->meta);
	bind_text(st, 3, d->name);
	bind_text(st, 4, d->uuid);
	return run(s, ST_BOOK, "the book cannot be written", err);
}

static int save_flow(struct sqlite *s, const struct tf_flow_detail *d, const char *now, struct tf_err *err)
{
	sqlite3_stmt *st = statement(s, ST_FLOW, err);
	if (!st)
		return TF_EIO;
	bind_text(st, 1, now);
	bind_text(st, 2, d->book);
	bind_value(st, 3, d->meta);
	bind_text(st, 4, d->name);
	bind_text(st, 5, d->state);
	bind_text(st, 6, d->uuid);
	return run(s, ST_FLOW, "the flow cannot be written", err);
}

static int save_state(struct sqlite *s, const struct tf_save *save, const char *now, struct tf_err *err)
{
	sqlite3_stmt *st = statement(s, ST_FLOW_STATE, err);
	if (!st)
		return TF_EIO;
	bind_text(st, 1, now);
	bind_text(st, 2, save->flow_state);
	bind_text(st, 3, save->flow_uuid);
	int rc = run(s, ST_FLOW_STATE, "the flow cannot be written", err);
	if (rc == 0 && sqlite3_changes(s->db) == 0)
		rc = tf_err_set(err, TF_ENOTFOUND, "%s: flow %s is not there any more: it was deleted",
			s->path, save->flow_uuid);
	return rc;
}

static int save_atom(struct sqlite *s, const struct tf_save *save, const struct tf_atom_detail *d, bool fresh,
	const char *now, struct tf_err *err)
{
	enum statement which = fresh ? ST_ATOM_ADD : ST_ATOM;
	sqlite3_stmt *st = statement(s, which, err);
	if (!st)
		return TF_EIO;
	bind_text(st, 1, now);
	bind_value(st, 2, d->meta);
	if (fresh) {
		bind_text(st, 3, save->flow_uuid);
		bind_text(st, 4, d->name);
		bind_text(st, 5, d->version);
		bind_text(st, 12, d->is_retry ? "RETRY_DETAIL" : "TASK_DETAIL");
	}
	bind_text(st, 6, d->state);
	bind_text(st, 7, d->uuid);
	bind_value(st, 8, d->failure);
	bind_value(st, 9, d->results);
	bind_value(st, 10, d->revert_results);
	bind_value(st, 11, d->revert_failure);
	bind_text(st, 13, d->intention);
	int rc = run(s, which, "an atom cannot be written", err);
	if (rc == 0 && !fresh && sqlite3_changes(s->db) == 0)
		return save_atom(s, save, d, true, now, err);
	return rc;
}

static int save_parts(struct sqlite *s, const struct tf_save *save, struct tf_err *err)
{
	char now[TF_STAMP_SIZE];
	tf_stamp(now);
	int rc = save->book ? save_book(s, save->book, now, err) : 0;
	if (rc == 0 && save->flow)
		rc = save_flow(s, save->flow, now, err);
	if (rc == 0 && save->flow_state)
		rc = save_state(s, save, now, err);
	for (size_t i = 0; i < save->count && rc == 0; i++)
		rc = save_atom(s, save, &save->atoms[i], i < save->fresh, now, err);
	return rc;
}

static int sqlite_save(struct tf_backend *b, const struct tf_save *save, struct tf_err *err)
{
	struct sqlite *s = (struct sqlite *)b;
	int rc = run(s, ST_BEGIN, "cannot be written", err);
	if (rc != 0)
		return rc;
	rc = save_parts(s, save, err);
	if (rc == 0)
		rc = run(s, ST_COMMIT, "cannot be written", err);
	if (rc != 0)
		run(s, ST_ROLLBACK, "", NULL);
	return rc;
}

/* --- reading ----------------------------------------------------------------------------- */

static char *text_at(sqlite3_stmt *st, int column)
{
	const unsigned char *text = sqlite3_column_text(st, column);
	return text ? tf_strdup((const char *)text) : NULL;
}

/* What a stranger wrote need not be JSON: such a value is reported and read as none. */
static int value_at(struct sqlite *s, sqlite3_stmt *st, int column, struct tf_value **out, struct tf_err *err)
{
	const char *text = (const char *)sqlite3_column_text(st, column);
	*out = NULL;
	if (!text)
		return 0;
	*out = tf_value_parse(text, (size_t)sqlite3_column_bytes(st, column), TF_JSON_DEPTH_CAP, err);
	return *out ? 0 : tf_err_prefix(err, "%s: column %s", s->path, sqlite3_column_name(st, column));
}

static int finish(struct sqlite *s, sqlite3_stmt *st, int rc, int code, struct tf_err *err)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return code == 0 && rc != SQLITE_DONE ? fail(s, rc, "cannot be read", err) : code;
}

static int sqlite_books(struct tf_backend *b, const char *uuid,
	void (*visit)(void *, struct tf_book_detail *), void *arg, struct tf_err *err)
{
	struct sqlite *s = (struct sqlite *)b;
	sqlite3_stmt *st = statement(s, ST_BOOKS, err);
	int rc = SQLITE_ERROR, code = 0;
	if (!st)
		return TF_EIO;
	bind_text(st, 1, uuid);
	while (code == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct tf_book_detail d = {.uuid = text_at(st, 0),
			.name = text_at(st, 1),
			.created_at = text_at(st, 2),
			.updated_at = text_at(st, 3)};
		code = value_at(s, st, 4, &d.meta, err);
		if (code == 0)
			visit(arg, &d);
		tf_book_detail_free(&d);
	}
	return finish(s, st, rc, code, err);
}

static int sqlite_flows(struct tf_backend *b, const char *book, const char *uuid,
	void (*visit)(void *, struct tf_flow_detail *), void *arg, struct tf_err *err)
{
	struct sqlite *s = (struct sqlite *)b;
	sqlite3_stmt *st = statement(s, ST_FLOWS, err);
	int rc = SQLITE_ERROR, code = 0;
	if (!st)
		return TF_EIO;
	bind_text(st, 1, book);
	bind_text(st, 2, uuid);
	while (code == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct tf_flow_detail d = {.uuid = text_at(st, 0),
			.book = text_at(st, 1),
			.name = text_at(st, 2),
			.state = text_at(st, 3),
			.created_at = text_at(st, 4),
			.updated_at = text_at(st, 5)};
		code = value_at(s, st, 6, &d.meta, err);
		if (code == 0)
			visit(arg, &d);
		tf_flow_detail_free(&d);
	}
	return finish(s, st, rc, code, err);
}

static int read_atom(struct sqlite *s, sqlite3_stmt *st, struct tf_atom_detail *d, struct tf_err *err)
{
	const char *type = (const char *)sqlite3_column_text(st, 8);
	*d = (struct tf_atom_detail){.uuid = text_at(st, 0),
		.flow = text_at(st, 1),
		.name = text_at(st, 2),
		.version = text_at(st, 3),
		.state = text_at(st, 4),
		.intention = text_at(st, 5),
		.created_at = text_at(st, 6),
		.updated_at = text_at(st, 7),
		.is_retry = type && strcmp(type, "RETRY_DETAIL") == 0};
	struct tf_value **values[] = {
		&d->results, &d->failure, &d->revert_results, &d->revert_failure, &d->meta};
	int code = 0;
	for (int i = 0; i < 5 && code == 0; i++)
		code = value_at(s, st, 9 + i, values[i], err);
	return code;
}

static int sqlite_atoms(struct tf_backend *b, const char *flow, const char *uuid,
	void (*visit)(void *, struct tf_atom_detail *), void *arg, struct tf_err *err)
{
	struct sqlite *s = (struct sqlite *)b;
	sqlite3_stmt *st = statement(s, flow ? ST_ATOMS : ST_ATOM_BY_UUID, err);
	int rc = SQLITE_ERROR, code = 0;
	if (!st)
		return TF_EIO;
	bind_text(st, 1, flow ? flow : uuid);
	while (code == 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct tf_atom_detail d;
		code = read_atom(s, st, &d, err);
		if (code == 0)
			visit(arg, &d);
		tf_atom_detail_free(&d);
	}
	return finish(s, st, rc, code, err);
}

/* --- deleting ---------------------------------------------------------------------------- */

static int drop(struct sqlite *s, const enum statement *steps, size_t count, const char *uuid,
	const char *what, struct tf_err *err)
{
	int rc = run(s, ST_BEGIN, "cannot be written", err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count && rc == 0; i++) {
		sqlite3_stmt *st = statement(s, steps[i], err);
		if (st)
			bind_text(st, 1, uuid);
		rc = st ? run(s, steps[i], "cannot be deleted", err) : TF_EIO;
	}
	if (rc == 0 && sqlite3_changes(s->db) == 0)
		rc = tf_err_set(err, TF_ENOTFOUND, "%s: no %s %s", s->path, what, uuid);
	if (rc == 0)
		rc = run(s, ST_COMMIT, "cannot be written", err);
	if (rc != 0)
		run(s, ST_ROLLBACK, "", NULL);
	return rc;
}

static int sqlite_remove_book(struct tf_backend *b, const char *uuid, struct tf_err *err)
{
	static const enum statement steps[] = {ST_DROP_BOOK_ATOMS, ST_DROP_BOOK_FLOWS, ST_DROP_BOOK};
	return drop((struct sqlite *)b, steps, 3, uuid, "book", err);
}

static int sqlite_remove_flow(struct tf_backend *b, const char *uuid, struct tf_err *err)
{
	static const enum statement steps[] = {ST_DROP_FLOW_ATOMS, ST_DROP_FLOW};
	return drop((struct sqlite *)b, steps, 2, uuid, "flow", err);
}

/* --- owners ------------------------------------------------------------------------------ */

static int sqlite_lock(struct tf_backend *b, const char *flow, struct tf_err *err)
{
	struct sqlite *s = (struct sqlite *)b;
	return s->locks ? tf_owner_lock(s->locks, flow, err) : 0;
}

static void sqlite_unlock(struct tf_backend *b, const char *flow)
{
	struct sqlite *s = (struct sqlite *)b;
	if (s->locks)
		tf_owner_unlock(s->locks, flow);
}

static bool sqlite_owner(struct tf_backend *b, const char *flow, struct tf_owner *out)
{
	struct sqlite *s = (struct sqlite *)b;
	return s->locks && tf_owner_of(s->locks, flow, out);
}

const struct tf_backend_ops tf_backend_sqlite = {
	.name = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.save = sqlite_save,
	.books = sqlite_books,
	.flows = sqlite_flows,
	.atoms = sqlite_atoms,
	.remove_book = sqlite_remove_book,
	.remove_flow = sqlite_remove_flow,
	.lock = sqlite_lock,
	.unlock = sqlite_unlock,
	.owner = sqlite_owner,
};
