/* PostgreSQL, with the tables that TaskFlow's migrations make there (values are of the type json), for several engine
 * hosts on one logbook. Beside them: tfhost_schema (version of what we added), tfhost_owners (who runs a flow), and
 * columns named tfhost_*, which Python does not look at.
 *
 * A flow's lock is an advisory lock of our session: it ends with the process, or when the server has not heard of its
 * host for half a minute. A session that was lost is made again with its locks; a flow that another engine took
 * meanwhile is that one's, and saving it fails from then on. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "persistence/backend.h"
#include "persistence/exact.h"
#include "persistence/pg_conn.h"
#include "persistence/pg_schema.h"

enum { PATIENCE_MS = 5000, PAUSE_MS = 100 };

#define TIME(column) "to_char(" column ", 'YYYY-MM-DD HH24:MI:SS.US')"
#define LOCK_KEY "hashtextextended('tfhost flow ' || $1, 0)"
#define ATOM_COLUMNS \
	"uuid, parent_uuid, name, version, state, intention, " TIME("created_at") ", " TIME( \
		"updated_at") ", atom_type, results, failure, revert_results, revert_failure, meta, " \
			      "tfhost_exact"

/* name, text */
#define STATEMENTS(X) \
	X(BOOK, "INSERT INTO logbooks (created_at, meta, name, uuid) VALUES ($1, $2, $3, $4) " \
		"ON CONFLICT (uuid) DO UPDATE SET updated_at = excluded.created_at, meta = excluded.meta, " \
		"name = excluded.name") \
	X(FLOW, "INSERT INTO flowdetails (created_at, parent_uuid, meta, name, state, uuid) " \
		"VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (uuid) DO UPDATE SET updated_at = " \
		"excluded.created_at, " \
		"meta = excluded.meta, name = excluded.name, state = excluded.state") \
	X(FLOW_STATE, "UPDATE flowdetails SET updated_at = $1, state = $2 WHERE uuid = $3") \
	X(ATOM, "INSERT INTO atomdetails (created_at, meta, parent_uuid, name, version, state, uuid, " \
		"failure, results, " \
		"revert_results, revert_failure, atom_type, intention, tfhost_exact) " \
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (uuid) " \
		"DO UPDATE SET " \
		"updated_at = excluded.created_at, meta = excluded.meta, state = excluded.state, " \
		"failure = excluded.failure, results = excluded.results, revert_results = " \
		"excluded.revert_results, " \
		"revert_failure = excluded.revert_failure, intention = excluded.intention, " \
		"tfhost_exact = excluded.tfhost_exact") \
	X(BOOKS, "SELECT uuid, name, " TIME("created_at") ", " TIME( \
			 "updated_at") ", meta FROM logbooks WHERE $1::text IS NULL OR uuid = $1 " \
				       "ORDER BY created_at, uuid") \
	X(FLOWS, "SELECT uuid, parent_uuid, name, state, " TIME("created_at") ", " TIME( \
			 "updated_at") ", meta FROM flowdetails WHERE ($1::text IS NULL OR parent_uuid = " \
				       "$1) " \
				       "AND ($2::text IS NULL OR starts_with(uuid, $2)) ORDER BY " \
				       "tfhost_order") \
	X(ATOMS, "SELECT " ATOM_COLUMNS " FROM atomdetails WHERE parent_uuid = $1 ORDER BY tfhost_order") \
	X(ATOM_BY_UUID, "SELECT " ATOM_COLUMNS " FROM atomdetails WHERE uuid = $1") \
	/* atoms and flows below go with it: ON DELETE CASCADE */ \
	X(DROP_BOOK, "DELETE FROM logbooks WHERE uuid = $1") \
	X(DROP_FLOW, "DELETE FROM flowdetails WHERE uuid = $1") \
	X(TRY_LOCK, "SELECT pg_try_advisory_lock(" LOCK_KEY ")") \
	X(UNLOCK, "SELECT pg_advisory_unlock(" LOCK_KEY ")") \
	X(SET_OWNER, \
		"INSERT INTO tfhost_owners (flow_uuid, session, pid, host, since) VALUES ($1, $2, $3, $4, " \
		"$5) " \
		"ON CONFLICT (flow_uuid) DO UPDATE SET session = excluded.session, pid = excluded.pid, " \
		"host = excluded.host, since = excluded.since") \
	X(DROP_OWNER, "DELETE FROM tfhost_owners WHERE flow_uuid = $1 AND session = $2") \
	X(SESSION, "SELECT session FROM tfhost_owners WHERE flow_uuid = $1") \
	/* An advisory lock of one 64-bit key shows as its two halves. */ \
	X(OWNER, "SELECT o.pid, o.host, o.since FROM tfhost_owners o, (SELECT " LOCK_KEY " AS key) k " \
		 "WHERE o.flow_uuid = $1 AND EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = " \
		 "'advisory' AND l.granted " \
		 "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND " \
		 "l.objsubid = 1 " \
		 "AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & " \
		 "4294967295)")
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

struct postgresql {
	struct tf_backend base;
	struct tf_pg *pg;
	struct tf_map *held; /* uuids of flows whose locks we have or must have again */
	char session[TF_UUID_LEN + 1];
};

static struct postgresql *postgresql_of(struct tf_backend *b)
{
	return (struct postgresql *)b;
}

static void pause_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&ts, NULL);
}

/* ---- locks ---- */

/* 1: ours now, 0: another session has it. */
static int try_lock(struct postgresql *s, const char *flow, struct tf_err *err)
{
	PGresult *r;
	int rc = tf_pg_run(s->pg, ST_TRY_LOCK, &flow, 1, &r, err);
	if (rc == 0) {
		rc = PQgetvalue(r, 0, 0)[0] == 't';
		PQclear(r);
	}
	return rc;
}

static int read_owner(struct postgresql *s, const char *flow, struct tf_owner *out, struct tf_err *err)
{
	PGresult *r;
	*out = (struct tf_owner){.pid = -1};
	int rc = tf_pg_run(s->pg, ST_OWNER, &flow, 1, &r, err);
	if (rc < 0)
		return rc;
	rc = PQntuples(r) > 0;
	if (rc) {
		out->pid = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
		snprintf(out->host, sizeof out->host, "%s", PQgetvalue(r, 0, 1));
		snprintf(out->since, sizeof out->since, "%s", PQgetvalue(r, 0, 2));
	}
	PQclear(r);
	return rc;
}

static int write_owner(struct postgresql *s, const char *flow, struct tf_err *err)
{
	struct tf_owner me;
	char pid[24];
	tf_owner_self(&me);
	snprintf(pid, sizeof pid, "%" PRId64, me.pid);
	const char *params[] = {flow, s->session, pid, me.host, me.since};
	return tf_pg_run(s->pg, ST_SET_OWNER, params, 5, NULL, err);
}

/* The lock of a process that died may live until the server has noticed. */
static int lock_in_time(struct postgresql *s, const char *flow, struct tf_owner *owner, struct tf_err *err)
{
	int rc = try_lock(s, flow, err);
	for (int waited = 0; rc == 0 && waited < PATIENCE_MS; waited += PAUSE_MS) {
		int known = read_owner(s, flow, owner, err);
		if (known < 0)
			return known;
		if (known && !tf_owner_is_dead(owner))
			break;
		pause_ms(PAUSE_MS);
		rc = try_lock(s, flow, err);
	}
	return rc;
}

static int lock_flow(struct postgresql *s, const char *flow, struct tf_err *err)
{
	struct tf_owner owner;
	if (tf_map_get(s->held, flow))
		return tf_err_set(err, TF_EAGAIN, "flow %s is run by this process already", flow);
	int rc = lock_in_time(s, flow, &owner, err);
	if (rc < 0)
		return rc;
	if (rc == 0)
		return tf_err_set(err, TF_EAGAIN,
			"flow %s is run by another engine: process %" PRId64 " on %s, since %s UTC", flow,
			owner.pid, owner.host, owner.since);
	rc = write_owner(s, flow, err);
	if (rc == 0)
		tf_map_set(s->held, flow, s);
	else
		tf_pg_run(s->pg, ST_UNLOCK, &flow, 1, NULL, NULL);
	return rc;
}

static void unlock_flow(struct postgresql *s, const char *flow)
{
	const char *params[] = {flow, s->session};
	if (!tf_map_remove(s->held, flow))
		return;
	tf_pg_run(s->pg, ST_DROP_OWNER, params, 2, NULL, NULL);
	tf_pg_run(s->pg, ST_UNLOCK, params, 1, NULL, NULL);
}

/* ---- a session that was lost ---- */

struct relock {
	struct postgresql *s;
	int rc;
	struct tf_err *err;
};

/* Ours still, though the lock was let go for a moment? */
static int is_ours(struct postgresql *s, const char *flow, struct tf_err *err)
{
	PGresult *r;
	int rc = tf_pg_run(s->pg, ST_SESSION, &flow, 1, &r, err);
	if (rc < 0)
		return rc;
	if (PQntuples(r) == 0 || strcmp(PQgetvalue(r, 0, 0), s->session) != 0)
		rc = tf_err_set(err, TF_ESTATE,
			"%s: the connection was lost for a time, and flow %s was taken by another engine",
			tf_pg_name(s->pg), flow);
	PQclear(r);
	return rc;
}

static bool relock_one(const char *flow, void *value, void *arg)
{
	struct relock *r = arg;
	(void)value;
	r->rc = is_ours(r->s, flow, r->err);
	for (int waited = 0; r->rc == 0; waited += PAUSE_MS) {
		int got = try_lock(r->s, flow, r->err);
		if (got != 0) {
			r->rc = got < 0 ? got : is_ours(r->s, flow, r->err);
			break;
		}
		if (waited >= PATIENCE_MS)
			r->rc = tf_err_set(r->err, TF_EAGAIN,
				"%s: the connection was lost, and its old session holds flow %s still",
				tf_pg_name(r->s->pg), flow);
		else
			pause_ms(PAUSE_MS);
	}
	return r->rc == 0;
}

static int connect_again(struct postgresql *s, struct tf_err *err)
{
	int rc = tf_pg_again(s->pg, err);
	for (int waited = 0; (rc == TF_EIO || rc == TF_EAGAIN) && waited < PATIENCE_MS; waited += PAUSE_MS) {
		pause_ms(PAUSE_MS);
		rc = tf_pg_again(s->pg, err);
	}
	struct relock r = {s, rc, err};
	if (rc == 0)
		tf_map_each(s->held, relock_one, &r);
	return r.rc;
}

/* Run `step`, and once more on a new session if the old one turns out to be lost: whatever we write may be written
 * twice. */
static int on_session(struct postgresql *s, int (*step)(struct postgresql *, void *, struct tf_err *),
	void *arg, struct tf_err *err)
{
	int rc = tf_pg_lost(s->pg) ? connect_again(s, err) : 0;
	if (rc == 0)
		rc = step(s, arg, err);
	if (rc < 0 && tf_pg_lost(s->pg)) {
		rc = connect_again(s, err);
		if (rc == 0)
			rc = step(s, arg, err);
	}
	return rc;
}

/* ---- saving ---- */

/* A null value is NULL, as the reference has it. */
static const char *text_of(const struct tf_value *v)
{
	return v && tf_json_type(tf_value_json(v)) != TF_JSON_NULL ? tf_value_text(v) : NULL;
}

static int add_book(struct postgresql *s, const struct tf_book_detail *d, const char *now, struct tf_err *err)
{
	const char *params[] = {now, text_of(d->meta), d->name, d->uuid};
	return tf_pg_batch_add(s->pg, ST_BOOK, params, 4, err);
}

static int add_flow(struct postgresql *s, const struct tf_flow_detail *d, const char *now, struct tf_err *err)
{
	const char *params[] = {now, d->book, text_of(d->meta), d->name, d->state, d->uuid};
	return tf_pg_batch_add(s->pg, ST_FLOW, params, 6, err);
}

static int add_atom(struct postgresql *s, const char *flow, const struct tf_atom_detail *d, const char *now,
	struct tf_err *err)
{
	struct tf_exact exact;
	tf_exact_split(d, &exact);
	const char *params[TF_PG_PARAMS_MAX] = {now, text_of(exact.meta), flow, d->name, d->version, d->state,
		d->uuid, text_of(exact.failure), text_of(exact.results), text_of(exact.revert_results),
		text_of(exact.revert_failure), d->is_retry ? "RETRY_DETAIL" : "TASK_DETAIL", d->intention,
		text_of(exact.rest)};
	int rc = tf_pg_batch_add(s->pg, ST_ATOM, params, TF_PG_PARAMS_MAX, err);
	tf_exact_free(&exact);
	return rc;
}

static int save_step(struct postgresql *s, void *arg, struct tf_err *err)
{
	const struct tf_save *save = arg;
	char now[TF_STAMP_SIZE];
	tf_stamp(now);
	int rc = tf_pg_batch_begin(s->pg, err);
	if (rc < 0)
		return rc;
	if (save->book)
		rc = add_book(s, save->book, now, err);
	if (rc == 0 && save->flow)
		rc = add_flow(s, save->flow, now, err);
	if (rc == 0 && save->flow_state) {
		const char *params[] = {now, save->flow_state, save->flow_uuid};
		rc = tf_pg_batch_add(s->pg, ST_FLOW_STATE, params, 3, err);
	}
	for (size_t i = 0; i < save->count && rc == 0; i++)
		rc = add_atom(s, save->flow_uuid, &save->atoms[i], now, err);
	return tf_pg_batch_end(s->pg, err);
}

static int pg_save(struct tf_backend *b, const struct tf_save *save, struct tf_err *err)
{
	struct tf_save copy = *save;
	return on_session(postgresql_of(b), save_step, &copy, err);
}

/* ---- reading ---- */

struct query {
	enum statement statement;
	const char *params[2];
	int count;
	PGresult *rows;
};

static int query_step(struct postgresql *s, void *arg, struct tf_err *err)
{
	struct query *q = arg;
	return tf_pg_run(s->pg, q->statement, q->params, q->count, &q->rows, err);
}

static char *text_at(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? NULL : tf_strdup(PQgetvalue(r, row, column));
}

static int value_at(struct postgresql *s, const PGresult *r, int row, int column, struct tf_value **out,
	struct tf_err *err)
{
	*out = NULL;
	if (PQgetisnull(r, row, column))
		return 0;
	*out = tf_value_parse(
		PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column), TF_JSON_DEPTH_CAP, err);
	return *out ? 0
		    : tf_err_prefix(err, "%s: %s of %s", tf_pg_name(s->pg), PQfname(r, column),
			      PQgetvalue(r, row, 0));
}

static int pg_books(struct tf_backend *b, const char *uuid, void (*visit)(void *, struct tf_book_detail *),
	void *arg, struct tf_err *err)
{
	struct postgresql *s = postgresql_of(b);
	struct query q = {ST_BOOKS, {uuid}, 1, NULL};
	int rc = on_session(s, query_step, &q, err);
	for (int i = 0; rc == 0 && i < PQntuples(q.rows); i++) {
		struct tf_book_detail d = {.uuid = text_at(q.rows, i, 0),
			.name = text_at(q.rows, i, 1),
			.created_at = text_at(q.rows, i, 2),
			.updated_at = text_at(q.rows, i, 3)};
		rc = value_at(s, q.rows, i, 4, &d.meta, err);
		if (rc == 0)
			visit(arg, &d);
		tf_book_detail_free(&d);
	}
	PQclear(q.rows);
	return rc;
}

static int pg_flows(struct tf_backend *b, const char *book, const char *uuid,
	void (*visit)(void *, struct tf_flow_detail *), void *arg, struct tf_err *err)
{
	struct postgresql *s = postgresql_of(b);
	struct query q = {ST_FLOWS, {book, uuid}, 2, NULL};
	int rc = on_session(s, query_step, &q, err);
	for (int i = 0; rc == 0 && i < PQntuples(q.rows); i++) {
		struct tf_flow_detail d = {.uuid = text_at(q.rows, i, 0),
			.book = text_at(q.rows, i, 1),
			.name = text_at(q.rows, i, 2),
			.state = text_at(q.rows, i, 3),
			.created_at = text_at(q.rows, i, 4),
			.updated_at = text_at(q.rows, i, 5)};
		rc = value_at(s, q.rows, i, 6, &d.meta, err);
		if (rc == 0)
			visit(arg, &d);
		tf_flow_detail_free(&d);
	}
	PQclear(q.rows);
	return rc;
}

static int read_atom(
	struct postgresql *s, const PGresult *r, int row, struct tf_atom_detail *d, struct tf_err *err)
{
	const char *type = PQgetvalue(r, row, 8);
	*d = (struct tf_atom_detail){.uuid = text_at(r, row, 0),
		.flow = text_at(r, row, 1),
		.name = text_at(r, row, 2),
		.version = text_at(r, row, 3),
		.state = text_at(r, row, 4),
		.intention = text_at(r, row, 5),
		.created_at = text_at(r, row, 6),
		.updated_at = text_at(r, row, 7),
		.is_retry = strcmp(type, "RETRY_DETAIL") == 0};
	struct tf_value **values[] = {
		&d->results, &d->failure, &d->revert_results, &d->revert_failure, &d->meta};
	struct tf_value *exact = NULL;
	int rc = 0;
	for (int i = 0; i < 5 && rc == 0; i++)
		rc = value_at(s, r, row, 9 + i, values[i], err);
	if (rc == 0)
		rc = value_at(s, r, row, 14, &exact, err);
	if (exact)
		tf_exact_join(d, exact);
	tf_value_unref(exact);
	return rc;
}

static int pg_atoms(struct tf_backend *b, const char *flow, const char *uuid,
	void (*visit)(void *, struct tf_atom_detail *), void *arg, struct tf_err *err)
{
	struct postgresql *s = postgresql_of(b);
	struct query q = {flow ? ST_ATOMS : ST_ATOM_BY_UUID, {flow ? flow : uuid}, 1, NULL};
	int rc = on_session(s, query_step, &q, err);
	for (int i = 0; rc == 0 && i < PQntuples(q.rows); i++) {
		struct tf_atom_detail d;
		rc = read_atom(s, q.rows, i, &d, err);
		if (rc == 0)
			visit(arg, &d);
		tf_atom_detail_free(&d);
	}
	PQclear(q.rows);
	return rc;
}

/* ---- deleting ---- */

static int drop(
	struct postgresql *s, enum statement which, const char *what, const char *uuid, struct tf_err *err)
{
	struct query q = {which, {uuid}, 1, NULL};
	int rc = on_session(s, query_step, &q, err);
	if (rc == 0 && strcmp(PQcmdTuples(q.rows), "0") == 0)
		rc = tf_err_set(err, TF_ENOTFOUND, "%s: no %s %s", tf_pg_name(s->pg), what, uuid);
	PQclear(q.rows);
	return rc;
}

static int pg_remove_book(struct tf_backend *b, const char *uuid, struct tf_err *err)
{
	return drop(postgresql_of(b), ST_DROP_BOOK, "book", uuid, err);
}

static int pg_remove_flow(struct tf_backend *b, const char *uuid, struct tf_err *err)
{
	return drop(postgresql_of(b), ST_DROP_FLOW, "flow", uuid, err);
}

/* ---- owners ---- */

static int lock_step(struct postgresql *s, void *arg, struct tf_err *err)
{
	return lock_flow(s, arg, err);
}

static int pg_lock(struct tf_backend *b, const char *flow, struct tf_err *err)
{
	char *uuid = tf_strdup(flow);
	int rc = on_session(postgresql_of(b), lock_step, uuid, err);
	free(uuid);
	return rc;
}

static void pg_unlock(struct tf_backend *b, const char *flow)
{
	unlock_flow(postgresql_of(b), flow);
}

struct owner_query {
	const char *flow;
	struct tf_owner *out;
};

static int owner_step(struct postgresql *s, void *arg, struct tf_err *err)
{
	struct owner_query *q = arg;
	return read_owner(s, q->flow, q->out, err);
}

static bool pg_owner(struct tf_backend *b, const char *flow, struct tf_owner *out)
{
	struct owner_query q = {flow, out};
	return on_session(postgresql_of(b), owner_step, &q, NULL) == 1;
}

/* ---- opening ---- */

static void pg_close(struct tf_backend *b)
{
	struct postgresql *s = postgresql_of(b);
	tf_pg_close(s->pg);
	tf_map_delete(s->held, NULL);
	free(s);
}

static int pg_open(
	const char *url, const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err)
{
	struct postgresql *s = TF_NEW(struct postgresql);
	s->base.ops = &tf_backend_postgresql;
	s->held = tf_map_new();
	tf_uuid(s->session);
	int rc = tf_pg_open(url, config->durability, statements, ST_COUNT, &s->pg, err);
	if (rc == 0)
		rc = tf_pg_upgrade(s->pg, err);
	if (rc == 0)
		*out = &s->base;
	else
		pg_close(&s->base);
	return rc;
}

const struct tf_backend_ops tf_backend_postgresql = {
	.name = "postgresql",
	.open = pg_open,
	.close = pg_close,
	.save = pg_save,
	.books = pg_books,
	.flows = pg_flows,
	.atoms = pg_atoms,
	.remove_book = pg_remove_book,
	.remove_flow = pg_remove_flow,
	.lock = pg_lock,
	.unlock = pg_unlock,
	.owner = pg_owner,
};
