#include "persistence/pg_session.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "persistence/pg_statements.h"

enum { PATIENCE_MS = 5000, PAUSE_MS = 100 };

static void wait_a_bit(int *waited)
{
	struct timespec ts = {0, PAUSE_MS * 1000000L};
	nanosleep(&ts, NULL);
	*waited += PAUSE_MS;
}

int tf_pg_session_open(
	struct tf_pg_session *s, const char *url, enum tf_durability durability, struct tf_err *err)
{
	*s = (struct tf_pg_session){.held = tf_map_new()};
	tf_uuid(s->id);
	return tf_pg_open(url, durability, tf_pg_statements, TF_PG_STATEMENT_COUNT, &s->pg, err);
}

void tf_pg_session_close(struct tf_pg_session *s)
{
	/* The server ends a session some time after its connection; locks are given back before that. */
	if (s->pg && tf_map_count(s->held) > 0)
		tf_pg_run(s->pg, TF_PG_UNLOCK_ALL, NULL, 0, NULL, NULL);
	tf_pg_close(s->pg);
	tf_map_delete(s->held, NULL);
}

/* ---- locks ---- */

/* 1: ours now, 0: another connection has it. */
static int try_lock(struct tf_pg_session *s, const char *flow, struct tf_err *err)
{
	PGresult *r;
	int rc = tf_pg_run(s->pg, TF_PG_TRY_LOCK, &flow, 1, &r, err);
	if (rc == 0) {
		rc = PQgetvalue(r, 0, 0)[0] == 't';
		PQclear(r);
	}
	return rc;
}

/* 1: somebody has the lock, 0: nobody. */
static int read_owner(struct tf_pg_session *s, const char *flow, struct tf_owner *out, struct tf_err *err)
{
	PGresult *r;
	*out = (struct tf_owner){.pid = -1};
	int rc = tf_pg_run(s->pg, TF_PG_OWNER, &flow, 1, &r, err);
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

static int write_owner(struct tf_pg_session *s, const char *flow, struct tf_err *err)
{
	struct tf_owner me;
	char pid[24];
	tf_owner_self(&me);
	snprintf(pid, sizeof pid, "%" PRId64, me.pid);
	const char *params[] = {flow, s->id, pid, me.host, me.since};
	return tf_pg_run(s->pg, TF_PG_SET_OWNER, params, 5, NULL, err);
}

/* The lock of a process that died may live until the server has noticed. */
static int lock_in_time(struct tf_pg_session *s, const char *flow, struct tf_owner *owner, struct tf_err *err)
{
	int rc = try_lock(s, flow, err);
	for (int waited = 0; rc == 0 && waited < PATIENCE_MS; wait_a_bit(&waited)) {
		int known = read_owner(s, flow, owner, err);
		if (known < 0)
			return known;
		if (known && !tf_owner_is_dead(owner))
			break;
		rc = try_lock(s, flow, err);
	}
	return rc;
}

static int lock_step(struct tf_pg_session *s, void *arg, struct tf_err *err)
{
	const char *flow = arg;
	struct tf_owner owner;
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
		tf_pg_run(s->pg, TF_PG_UNLOCK, &flow, 1, NULL, NULL);
	return rc;
}

int tf_pg_lock(struct tf_pg_session *s, const char *flow, struct tf_err *err)
{
	/* The server would give it to us once more. */
	if (tf_map_get(s->held, flow))
		return tf_err_set(err, TF_EAGAIN, "flow %s is run by this process already", flow);
	char *uuid = tf_strdup(flow);
	int rc = tf_pg_on_session(s, lock_step, uuid, err);
	free(uuid);
	return rc;
}

/* Its row stays, so that whoever lost the lock for a time can tell that we had it. */
void tf_pg_unlock(struct tf_pg_session *s, const char *flow)
{
	if (tf_map_remove(s->held, flow))
		tf_pg_run(s->pg, TF_PG_UNLOCK, &flow, 1, NULL, NULL);
}

struct owner_query {
	const char *flow;
	struct tf_owner *out;
};

static int owner_step(struct tf_pg_session *s, void *arg, struct tf_err *err)
{
	struct owner_query *q = arg;
	return read_owner(s, q->flow, q->out, err);
}

bool tf_pg_owner(struct tf_pg_session *s, const char *flow, struct tf_owner *out)
{
	struct owner_query q = {flow, out};
	return tf_pg_on_session(s, owner_step, &q, NULL) == 1;
}

/* ---- a connection that was lost ---- */

/* 1: we were the last to have the lock, 0: nobody is known, for the server crashed; TF_ESTATE: another engine. */
static int was_ours(struct tf_pg_session *s, const char *flow, struct tf_err *err)
{
	PGresult *r;
	int rc = tf_pg_run(s->pg, TF_PG_SESSION, &flow, 1, &r, err);
	if (rc < 0)
		return rc;
	rc = PQntuples(r) > 0;
	if (rc && strcmp(PQgetvalue(r, 0, 0), s->id) != 0)
		rc = tf_err_set(err, TF_ESTATE,
			"%s: the connection was lost for a time, and flow %s was taken by another engine",
			tf_pg_name(s->pg), flow);
	PQclear(r);
	return rc;
}

static int lock_again(struct tf_pg_session *s, const char *flow, struct tf_err *err)
{
	int got = 0, ours = was_ours(s, flow, err);
	for (int waited = 0; got == 0 && ours >= 0; wait_a_bit(&waited)) {
		got = try_lock(s, flow, err);
		ours = got < 0 ? got : was_ours(s, flow, err);
		if (got == 0 && ours >= 0 && waited >= PATIENCE_MS)
			return tf_err_set(err, TF_EAGAIN,
				"%s: the connection was lost, and flow %s is locked by the old one still",
				tf_pg_name(s->pg), flow);
		if (got != 0)
			break;
	}
	return ours == 0 ? write_owner(s, flow, err) : ours < 0 ? ours : 0;
}

struct locks_again {
	struct tf_pg_session *s;
	int rc;
	struct tf_err *err;
};

static bool one_again(const char *flow, void *value, void *arg)
{
	struct locks_again *l = arg;
	(void)value;
	l->rc = lock_again(l->s, flow, l->err);
	return l->rc == 0;
}

static int connect_again(struct tf_pg_session *s, struct tf_err *err)
{
	int rc = tf_pg_again(s->pg, err);
	for (int waited = 0; (rc == TF_EIO || rc == TF_EAGAIN) && waited < PATIENCE_MS;) {
		wait_a_bit(&waited);
		rc = tf_pg_again(s->pg, err);
	}
	if (rc < 0)
		return rc;
	struct locks_again l = {s, 0, err};
	tf_map_each(s->held, one_again, &l);
	if (l.rc < 0)
		tf_pg_drop(s->pg); /* without its locks it may not be used */
	return l.rc;
}

int tf_pg_on_session(struct tf_pg_session *s, int (*step)(struct tf_pg_session *, void *, struct tf_err *),
	void *arg, struct tf_err *err)
{
	if (!tf_pg_lost(s->pg)) {
		int rc = step(s, arg, err);
		if (rc >= 0 || !tf_pg_lost(s->pg))
			return rc;
	}
	int rc = connect_again(s, err);
	return rc < 0 ? rc : step(s, arg, err);
}
