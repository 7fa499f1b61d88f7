/* PostgreSQL, with the tables that TaskFlow's migrations make there (values are of the type json), for several engine
 * hosts on one logbook. Beside them: tfhost_schema (version of what we added), tfhost_owners (who runs a flow), and
 * columns named tfhost_*, which Python does not look at. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "persistence/backend.h"
#include "persistence/exact.h"
#include "persistence/pg_conn.h"
#include "persistence/pg_schema.h"
#include "persistence/pg_session.h"
#include "persistence/pg_statements.h"

const char *const tf_pg_statements[TF_PG_STATEMENT_COUNT] = {
#define X(name, text) text,
	TF_PG_STATEMENTS(X)
#undef X
};

struct postgresql {
	struct tf_backend base;
	struct tf_pg_session session;
};

static struct tf_pg_session *session_of(struct tf_backend *b)
{
	return &((struct postgresql *)b)->session;
}

/* ---- saving ---- */

/* A null value is NULL, as the reference has it. */
static const char *text_of(const struct tf_value *v)
{
	return v && tf_json_type(tf_value_json(v)) != TF_JSON_NULL ? tf_value_text(v) : NULL;
}

static int add_book(
	struct tf_pg_session *s, const struct tf_book_detail *d, const char *now, struct tf_err *err)
{
	const char *params[] = {now, text_of(d->meta), d->name, d->uuid};
	return tf_pg_batch_add(s->pg, TF_PG_BOOK, params, 4, err);
}

static int add_flow(
	struct tf_pg_session *s, const struct tf_flow_detail *d, const char *now, struct tf_err *err)
{
	const char *params[] = {now, d->book, text_of(d->meta), d->name, d->state, d->uuid};
	return tf_pg_batch_add(s->pg, TF_PG_FLOW, params, 6, err);
}

static int add_atom(struct tf_pg_session *s, const char *flow, const struct tf_atom_detail *d,
	const char *now, struct tf_err *err)
{
	struct tf_exact exact;
	tf_exact_split(d, &exact);
	const char *params[TF_PG_PARAMS_MAX] = {now, text_of(exact.meta), flow, d->name, d->version, d->state,
		d->uuid, text_of(exact.failure), text_of(exact.results), text_of(exact.revert_results),
		text_of(exact.revert_failure), d->is_retry ? "RETRY_DETAIL" : "TASK_DETAIL", d->intention,
		text_of(exact.rest)};
	int rc = tf_pg_batch_add(s->pg, TF_PG_ATOM, params, TF_PG_PARAMS_MAX, err);
	tf_exact_free(&exact);
	return rc;
}

static int save_step(struct tf_pg_session *s, void *arg, struct tf_err *err)
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
		rc = tf_pg_batch_add(s->pg, TF_PG_FLOW_STATE, params, 3, err);
	}
	for (size_t i = 0; i < save->count && rc == 0; i++)
		rc = add_atom(s, save->flow_uuid, &save->atoms[i], now, err);
	return tf_pg_batch_end(s->pg, err);
}

static int pg_save(struct tf_backend *b, const struct tf_save *save, struct tf_err *err)
{
	struct tf_save copy = *save;
	return tf_pg_on_session(session_of(b), save_step, &copy, err);
}

/* ---- reading ---- */

struct query {
	enum tf_pg_statement statement;
	const char *params[2];
	int count;
	PGresult *rows;
};

static int query_step(struct tf_pg_session *s, void *arg, struct tf_err *err)
{
	struct query *q = arg;
	return tf_pg_run(s->pg, q->statement, q->params, q->count, &q->rows, err);
}

static char *text_at(const PGresult *r, int row, int column)
{
	return PQgetisnull(r, row, column) ? NULL : tf_strdup(PQgetvalue(r, row, column));
}

static int value_at(struct tf_pg_session *s, const PGresult *r, int row, int column, struct tf_value **out,
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
	struct tf_pg_session *s = session_of(b);
	struct query q = {TF_PG_BOOKS, {uuid}, 1, NULL};
	int rc = tf_pg_on_session(s, query_step, &q, err);
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
	struct tf_pg_session *s = session_of(b);
	struct query q = {TF_PG_FLOWS, {book, uuid}, 2, NULL};
	int rc = tf_pg_on_session(s, query_step, &q, err);
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
	struct tf_pg_session *s, const PGresult *r, int row, struct tf_atom_detail *d, struct tf_err *err)
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
	struct tf_pg_session *s = session_of(b);
	struct query q = {flow ? TF_PG_ATOMS : TF_PG_ATOM_BY_UUID, {flow ? flow : uuid}, 1, NULL};
	int rc = tf_pg_on_session(s, query_step, &q, err);
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

static int drop(struct tf_pg_session *s, enum tf_pg_statement which, const char *what, const char *uuid,
	struct tf_err *err)
{
	struct query q = {which, {uuid}, 1, NULL};
	int rc = tf_pg_on_session(s, query_step, &q, err);
	if (rc == 0 && strcmp(PQcmdTuples(q.rows), "0") == 0)
		rc = tf_err_set(err, TF_ENOTFOUND, "%s: no %s %s", tf_pg_name(s->pg), what, uuid);
	PQclear(q.rows);
	return rc;
}

static int pg_remove_book(struct tf_backend *b, const char *uuid, struct tf_err *err)
{
	return drop(session_of(b), TF_PG_DROP_BOOK, "book", uuid, err);
}

static int pg_remove_flow(struct tf_backend *b, const char *uuid, struct tf_err *err)
{
	return drop(session_of(b), TF_PG_DROP_FLOW, "flow", uuid, err);
}

/* ---- owners ---- */

static int pg_lock(struct tf_backend *b, const char *flow, struct tf_err *err)
{
	return tf_pg_lock(session_of(b), flow, err);
}

static void pg_unlock(struct tf_backend *b, const char *flow)
{
	tf_pg_unlock(session_of(b), flow);
}

static bool pg_owner(struct tf_backend *b, const char *flow, struct tf_owner *out)
{
	return tf_pg_owner(session_of(b), flow, out);
}

/* ---- opening ---- */

static void pg_close(struct tf_backend *b)
{
	tf_pg_session_close(session_of(b));
	free(b);
}

static int pg_open(
	const char *url, const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err)
{
	struct postgresql *s = TF_NEW(struct postgresql);
	s->base.ops = &tf_backend_postgresql;
	int rc = tf_pg_session_open(&s->session, url, config->durability, err);
	if (rc == 0)
		rc = tf_pg_upgrade(s->session.pg, err);
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
