/* The tables in PostgreSQL: made when they are missing, changed from one version of tfhost to the next. */
#ifndef TF_PERSISTENCE_PG_SCHEMA_H
#define TF_PERSISTENCE_PG_SCHEMA_H

#include "persistence/pg_conn.h"

/* TF_EFORMAT: a newer tfhost made them, or they are not TaskFlow's. Two processes may do it at once. */
int tf_pg_upgrade(struct tf_pg *p, struct tf_err *err);

#endif
