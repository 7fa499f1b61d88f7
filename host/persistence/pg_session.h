/* A session with a PostgreSQL server that outlives its connection, and the locks of flows that it holds.
 *
 * A flow's lock is an advisory lock of the connection: it ends with the process, or when the server has not heard of
 * its host for half a minute. A connection that was lost is made again with its locks. A flow that another engine took
 * meanwhile is that one's: from then on everything fails with TF_ESTATE, until the flow is unlocked. */
#ifndef TF_PERSISTENCE_PG_SESSION_H
#define TF_PERSISTENCE_PG_SESSION_H

#include "base/map.h"
#include "base/uuid.h"
#include "persistence/pg_conn.h"

struct tf_pg_session {
	struct tf_pg *pg;
	struct tf_map *held; /* uuids of flows whose locks we have, or must have again */
	char id[TF_UUID_LEN + 1];
};

/* *s may be closed whatever open returned. */
int tf_pg_session_open(
	struct tf_pg_session *s, const char *url, enum tf_durability durability, struct tf_err *err);
void tf_pg_session_close(struct tf_pg_session *s);

/* Run `step`, once more if the connection turns out to be lost: what it does is done twice then. Waits some seconds for
 * a server that is away. */
int tf_pg_on_session(struct tf_pg_session *s, int (*step)(struct tf_pg_session *, void *, struct tf_err *),
	void *arg, struct tf_err *err);

int tf_pg_lock(struct tf_pg_session *s, const char *flow, struct tf_err *err); /* as tf_backend_ops.lock */
void tf_pg_unlock(struct tf_pg_session *s, const char *flow);
bool tf_pg_owner(struct tf_pg_session *s, const char *flow, struct tf_owner *out);

#endif
