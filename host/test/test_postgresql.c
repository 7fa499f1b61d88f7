/* What only a server can do to a logbook: be away, end our session, refuse us, be newer than we are. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "logbook.h"
#include "pg_server.h"

static int set_up(void **state)
{
	(void)state;
	pg_server_empty();
	return 0;
}

static void save_one(struct tf_backend *b, const char *uuid, int code, const char *words)
{
	struct tf_err err = {0};
	struct tf_atom_detail atom = logbook_atom(uuid, "SUCCESS", "1", NULL);
	int rc = logbook_save(b, "flow-1", "RUNNING", &atom, 1, 1, &err);
	tf_atom_detail_free(&atom);
	if (rc != code || (words && !strstr(err.message, words)))
		fail_msg("%d: %s", rc, err.message);
}

static size_t count(struct tf_backend *b)
{
	struct logbook_atoms kept = logbook_atoms(b, "flow-1");
	size_t n = kept.count;
	logbook_atoms_free(&kept);
	return n;
}

/* ---- connecting ---- */

static void refused(const char *url, int code, const char *words)
{
	struct tf_err err = {0};
	int rc = logbook_try(url, &err);
	if (rc != code || !strstr(err.message, words))
		fail_msg("%s: %d: %s", url, rc, err.message);
	assert_null(strstr(err.message, "secret")); /* passwords are nobody's business */
}

static void test_connecting(void **state)
{
	const char *at = strstr(pg_server_url(), "@");
	char url[200];
	(void)state;
	snprintf(url, sizeof url, "postgresql://tfhost:not-secret%s", at);
	refused(url, TF_EAUTH, "authentication failed");
	snprintf(url, sizeof url, "postgresql://nobody:secret%s", at);
	refused(url, TF_EAUTH, "authentication failed");
	snprintf(url, sizeof url, "%s2", pg_server_url());
	refused(url, TF_ENOTFOUND, "tfhost2");
	refused("postgresql://u:secret@127.0.0.1:1/db", TF_EIO, "postgresql://127.0.0.1:1/db");
	refused("postgresql://u:secret@[::1/db", TF_EINVAL, "postgresql://user:password@host");
	refused("postgres://u:secret@h:port/db", TF_EIO, "port");
	refused("mysql://u:secret@h/db", TF_ENOTFOUND, "mysql://");
	/* SQLAlchemy's spelling */
	snprintf(url, sizeof url, "postgresql+psycopg2%s", strchr(pg_server_url(), ':'));
	tf_backend_close(logbook_open(url));
}

static void test_no_rights(void **state)
{
	(void)state;
	pg_server_sql("ALTER SCHEMA public OWNER TO postgres; GRANT USAGE ON SCHEMA public TO tfhost");
	refused(pg_server_url(), TF_EAUTH, "permission denied");
}

static void test_newer_schema(void **state)
{
	(void)state;
	tf_backend_close(logbook_open(pg_server_url()));
	pg_server_sql("UPDATE tfhost_schema SET version = 99");
	refused(pg_server_url(), TF_EFORMAT, "newer version of tfhost (schema 99");
	pg_server_sql("UPDATE tfhost_schema SET version = 1");
	tf_backend_close(logbook_open(pg_server_url()));
}

static void test_foreign_tables(void **state)
{
	(void)state;
	pg_server_sql("CREATE TABLE logbooks (pages INTEGER); ALTER TABLE logbooks OWNER TO tfhost");
	refused(pg_server_url(), TF_EFORMAT, "not TaskFlow's");
	pg_server_sql("SELECT pages FROM logbooks"); /* as it was */
}

static int opened(void)
{
	struct tf_err err = {0};
	if (logbook_try(pg_server_url(), &err) == 0)
		return 0;
	fprintf(stderr, "%s\n", err.message);
	return 1;
}

/* Many hosts may be the first at once. */
static void test_made_by_several(void **state)
{
	enum { HOSTS = 6 };
	pid_t children[HOSTS];
	(void)state;
	for (int i = 0; i < HOSTS; i++) {
		children[i] = fork();
		if (children[i] == 0)
			_exit(opened());
	}
	for (int i = 0; i < HOSTS; i++) {
		int status;
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
}

/* ---- sessions that end ---- */

#define END_SESSIONS "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tfhost'"

static void test_session_ended(void **state)
{
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(pg_server_url()), *other = logbook_open(pg_server_url());
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(b->ops->lock(b, "flow-1", &err), 0);
	save_one(b, "atom-1", 0, NULL);
	pg_server_sql(END_SESSIONS);
	save_one(b, "atom-2", 0, NULL); /* on a new session, with the lock again */
	assert_int_equal(other->ops->lock(other, "flow-1", &err), TF_EAGAIN);
	assert_int_equal(count(other), 2);
	tf_backend_close(other);
	tf_backend_close(b);
}

/* Who was away while another engine took the flow never writes to it again, not even once it is free. */
static void test_taken_meanwhile(void **state)
{
	struct tf_err err = {0};
	(void)state;
	struct tf_backend *b = logbook_open(pg_server_url()), *other;
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(b->ops->lock(b, "flow-1", &err), 0);
	pg_server_sql(END_SESSIONS);
	other = logbook_open(pg_server_url());
	if (other->ops->lock(other, "flow-1", &err) < 0)
		fail_msg("%s", err.message);
	save_one(b, "atom-1", TF_ESTATE, "taken by another engine");
	other->ops->unlock(other, "flow-1");
	save_one(b, "atom-1", TF_ESTATE, "taken by another engine");
	assert_int_equal(count(other), 0);
	tf_backend_close(other);
	tf_backend_close(b);
}

static void test_server_restarts(void **state)
{
	struct tf_err err = {0};
	struct tf_owner owner;
	(void)state;
	struct tf_backend *b = logbook_open(pg_server_url());
	logbook_flow(b, "book-1", "flow-1");
	assert_int_equal(b->ops->lock(b, "flow-1", &err), 0);
	save_one(b, "atom-1", 0, NULL);
	pg_server_control("kill9");
	save_one(b, "atom-2", TF_EIO, "cannot connect");
	pg_server_control("start");
	save_one(b, "atom-3", 0, NULL);
	assert_int_equal(count(b), 2);
	assert_true(b->ops->owner(b, "flow-1", &owner));
	assert_int_equal(owner.pid, getpid());
	tf_backend_close(b);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup(test, set_up)
	const struct CMUnitTest tests[] = {
		WITH(test_connecting),
		WITH(test_no_rights),
		WITH(test_newer_schema),
		WITH(test_foreign_tables),
		WITH(test_made_by_several),
		WITH(test_session_ended),
		WITH(test_taken_meanwhile),
		WITH(test_server_restarts),
	};
	return cmocka_run_group_tests(tests, pg_server_start, pg_server_stop);
}
