/* A PostgreSQL server of the test program's own (spec/support/postgresql), ended with it. */
#ifndef TF_TEST_PG_SERVER_H
#define TF_TEST_PG_SERVER_H

/* Group fixtures: false (-1) with a line on stderr if it does not start. */
int pg_server_start(void **state);
int pg_server_stop(void **state);

const char *pg_server_url(void);
/* stop, start, restart or kill9. */
void pg_server_control(const char *what);
/* Run as the superuser; fails the test on error. */
void pg_server_sql(const char *sql);
/* Begin with an empty database. */
void pg_server_empty(void);

#endif
