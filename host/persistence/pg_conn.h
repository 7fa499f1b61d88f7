/* One connection to a PostgreSQL server: statements prepared once, many of them in one round trip, failures told as
 * ours. Used by postgresql.c alone.
 *
 * A connection that was lost is made again by tf_pg_again; what its session held (locks) is gone then. */
#ifndef TF_PERSISTENCE_PG_CONN_H
#define TF_PERSISTENCE_PG_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "persistence/backend.h"
#include "persistence/pg_lib.h"

enum { TF_PG_PARAMS_MAX = 14 };

struct tf_pg;

/* `url` is libpq's or SQLAlchemy's spelling (postgresql+psycopg2://). TF_EINVAL, TF_EAUTH, TF_ENOTFOUND (no such
 * database), TF_EAGAIN (too many connections, starting up), TF_EIO (nobody answers). `statements` is borrowed. */
int tf_pg_open(const char *url, enum tf_durability durability, const char *const *statements, unsigned count,
	struct tf_pg **out, struct tf_err *err);
void tf_pg_close(struct tf_pg *p); /* NULL allowed */

const char *tf_pg_name(const struct tf_pg *p); /* host, port and database, for stories: no password */
bool tf_pg_lost(const struct tf_pg *p);
int tf_pg_again(struct tf_pg *p, struct tf_err *err);
void tf_pg_drop(struct tf_pg *p); /* lost from now on */

/* Run one statement; *out (unless NULL) is its result, the caller's to PQclear. */
int tf_pg_run(struct tf_pg *p, unsigned statement, const char *const *params, int count, PGresult **out,
	struct tf_err *err);
/* Plain text, several statements. */
int tf_pg_script(struct tf_pg *p, const char *sql, struct tf_err *err);
/* A query of one row and column. */
int tf_pg_number(struct tf_pg *p, const char *sql, int64_t *out, struct tf_err *err);

/* A batch is one transaction of statements that each change a row: begin, add ..., end. An error may be told by a later
 * call; end tells the first one, and then nothing of the batch is kept. TF_ENOTFOUND: there was no row to change. */
int tf_pg_batch_begin(struct tf_pg *p, struct tf_err *err);
int tf_pg_batch_add(
	struct tf_pg *p, unsigned statement, const char *const *params, int count, struct tf_err *err);
int tf_pg_batch_end(struct tf_pg *p, struct tf_err *err);

#endif
