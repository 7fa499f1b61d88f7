#include "persistence/pg_conn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* So many statements go out before answers are read: their answers (some 60 bytes each) fit into any socket's buffer,
 * so neither side ever waits for the other to read. */
enum { AHEAD = 100 };

struct tf_pg {
	PGconn *conn; /* NULL: never connected */
	char *url, *name;
	enum tf_durability durability;
	const char *const *statements;
	unsigned count;
	bool *prepared; /* of this session */
	unsigned sent;  /* statements whose answers were not read */
	int code;       /* first failure of the batch */
	struct tf_err story;
};

/* ---- failures ---- */

/* SQLSTATE or its class -> code and what to do; the first that fits. */
static const struct {
	const char *state;
	int code;
	const char *hint;
} known_states[] = {
	{"28", TF_EAUTH, "check user and password"},
	{"42501", TF_EAUTH, "the role needs the right to read, write and create tables"},
	{"25006", TF_EAUTH, "the server only reads: connect to the primary"},
	{"3F000", TF_EAUTH, "the role needs a schema that it may make tables in"},
	{"3D000", TF_ENOTFOUND, "make it with createdb"},
	{"53100", TF_EIO, "make room on the server, then resume the flow"},
	{"53", TF_EAGAIN, "the server is at its limits"},
	{"55P03", TF_EAGAIN, "another session holds it locked"},
	{"40", TF_EAGAIN, "another session was in the way"},
	{"57P03", TF_EAGAIN, "the server starts up or shuts down"},
	{"57P01", TF_EIO, "the server was shut down"},
	{"XX001", TF_EFORMAT, "the database is damaged, and was left as it is"},
	{"XX002", TF_EFORMAT, "the database is damaged, and was left as it is"},
	{"42", TF_EFORMAT, "the tables are not TaskFlow's"},
	{"23503", TF_ENOTFOUND, "what it belongs to was deleted"},
	{"22", TF_EINVAL, "PostgreSQL cannot hold this value"},
};

/* libpq's stories end in a newline and may have several lines. */
static void one_line(const char *text, char *out, size_t size)
{
	size_t n = 0;
	for (; *text && n + 1 < size; text++) {
		bool space = isspace((unsigned char)*text);
		if (!space || (n > 0 && out[n - 1] != ' '))
			out[n++] = space ? ' ' : *text;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

static int fail(struct tf_pg *p, const PGresult *r, struct tf_err *err)
{
	char text[600];
	const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
	const char *primary = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
	one_line(primary ? primary : PQerrorMessage(p->conn), text, sizeof text);
	for (size_t i = 0; state && i < sizeof known_states / sizeof *known_states; i++)
		if (strncmp(state, known_states[i].state, strlen(known_states[i].state)) == 0)
			return tf_err_set(err, known_states[i].code, "%s: %s (SQLSTATE %s): %s", p->name,
				text, state, known_states[i].hint);
	return tf_err_set(err, TF_EIO, "%s: %s%s%s", p->name, text[0] ? text : "the connection was lost",
		state ? " SQLSTATE " : "", state ? state : "");
}

/* A failed connection has no SQLSTATE, only the server's words; their SQLSTATEs are not told before protocol 3.2. */
static int fail_to_connect(struct tf_pg *p, struct tf_err *err)
{
	static const struct {
		const char *words;
		int code;
	} known[] = {{"authentication failed", TF_EAUTH}, {"no password supplied", TF_EAUTH},
		{"pg_hba.conf", TF_EAUTH}, {"role \"", TF_EAUTH}, {"permission denied", TF_EAUTH},
		{"too many c", TF_EAGAIN}, {"starting up", TF_EAGAIN}, {"shutting down", TF_EAGAIN},
		{"does not exist", TF_ENOTFOUND}};
	char text[600];
	one_line(PQerrorMessage(p->conn), text, sizeof text);
	int code = TF_EIO;
	for (size_t i = 0; i < sizeof known / sizeof *known && code == TF_EIO; i++)
		if (strstr(text, known[i].words))
			code = known[i].code;
	return tf_err_set(err, code, "%s: cannot connect: %s", p->name, text);
}

static void on_notice(void *arg, const char *message)
{
	char text[300];
	one_line(message, text, sizeof text);
	tf_debug("postgresql", "%s: %s", tf_pg_name(arg), text);
}

/* ---- connecting ---- */

/* Without SQLAlchemy's name of a driver: postgresql+psycopg2://. */
static char *libpq_url(const char *url)
{
	const char *plus = strchr(url, '+'), *end = strstr(url, "://");
	if (plus && end && plus < end)
		return tf_asprintf("%.*s%s", (int)(plus - url), url, end);
	return tf_strdup(url);
}

/* Host, port and database as far as the URL names them. */
static int make_name(struct tf_pg *p, struct tf_err *err)
{
	const char *host = "", *port = "", *db = "";
	char *story = NULL;
	PQconninfoOption *options = PQconninfoParse(p->url, &story);
	if (!options) {
		/* The story may quote the URL, and with it a password. */
		PQfreemem(story);
		return tf_err_set(err, TF_EINVAL,
			"the connection is no URL of a PostgreSQL database: it is spelled "
			"postgresql://user:password@host:port/database");
	}
	for (PQconninfoOption *o = options; o->keyword; o++) {
		if (o->val && strcmp(o->keyword, "host") == 0)
			host = o->val;
		else if (o->val && strcmp(o->keyword, "port") == 0)
			port = o->val;
		else if (o->val && strcmp(o->keyword, "dbname") == 0)
			db = o->val;
	}
	p->name = tf_asprintf("postgresql://%s%s%s/%s", host, port[0] ? ":" : "", port, db);
	PQconninfoFree(options);
	return 0;
}

int tf_pg_script(struct tf_pg *p, const char *sql, struct tf_err *err)
{
	PGresult *r = PQexec(p->conn, sql);
	ExecStatusType status = PQresultStatus(r);
	int rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : fail(p, r, err);
	PQclear(r);
	return rc;
}

int tf_pg_number(struct tf_pg *p, const char *sql, int64_t *out, struct tf_err *err)
{
	PGresult *r = PQexec(p->conn, sql);
	int rc = PQresultStatus(r) != PGRES_TUPLES_OK ? fail(p, r, err)
		 : PQntuples(r) == 1                  ? 0
				     : tf_err_set(err, TF_EFORMAT, "%s: no answer to: %s", p->name, sql);
	if (rc == 0)
		*out = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return rc;
}

/* A server knows nothing between full and off: what it has not written yet is lost when it dies itself, so normal is
 * full here. The keepalives free the locks of a host that vanished: the server notices within half a minute. */
static int set_up(struct tf_pg *p, struct tf_err *err)
{
	static const char settings[] =
		"SET client_encoding = 'UTF8'; SET client_min_messages = warning; SET datestyle = 'ISO, YMD';"
		"SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = "
		"3;";
	int rc = tf_pg_script(p, settings, err);
	if (rc == 0)
		rc = tf_pg_script(p,
			p->durability == TF_DURABILITY_OFF ? "SET synchronous_commit = off"
							   : "SET synchronous_commit = on",
			err);
	return rc;
}

int tf_pg_again(struct tf_pg *p, struct tf_err *err)
{
	/* What comes before the URL it can change. */
	static const char *const keys[] = {"connect_timeout", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "application_name", "dbname", NULL};
	const char *const values[] = {"10", "10", "5", "3", "30000", "tfhost", p->url, NULL};
	PQfinish(p->conn);
	memset(p->prepared, 0, p->count * sizeof *p->prepared);
	p->conn = PQconnectdbParams(keys, values, 1);
	if (PQstatus(p->conn) != CONNECTION_OK)
		return fail_to_connect(p, err);
	PQsetNoticeProcessor(p->conn, on_notice, p);
	return set_up(p, err);
}

int tf_pg_open(const char *url, enum tf_durability durability, const char *const *statements, unsigned count,
	struct tf_pg **out, struct tf_err *err)
{
	int rc = tf_pg_lib_load(err);
	if (rc < 0)
		return rc;
	struct tf_pg *p = TF_NEW(struct tf_pg);
	p->url = libpq_url(url);
	p->durability = durability;
	p->statements = statements;
	p->count = count;
	p->prepared = tf_calloc(count, sizeof *p->prepared);
	rc = make_name(p, err);
	if (rc == 0)
		rc = tf_pg_again(p, err);
	if (rc == 0)
		*out = p;
	else
		tf_pg_close(p);
	return rc;
}

void tf_pg_close(struct tf_pg *p)
{
	if (!p)
		return;
	PQfinish(p->conn);
	free(p->prepared);
	free(p->name);
	free(p->url);
	free(p);
}

const char *tf_pg_name(const struct tf_pg *p)
{
	return p->name;
}

void tf_pg_drop(struct tf_pg *p)
{
	PQfinish(p->conn);
	p->conn = NULL;
}

bool tf_pg_lost(const struct tf_pg *p)
{
	return PQstatus(p->conn) != CONNECTION_OK;
}

/* ---- statements ---- */

static void name_of(unsigned statement, char out[16])
{
	snprintf(out, 16, "tfhost_%u", statement);
}

int tf_pg_run(struct tf_pg *p, unsigned statement, const char *const *params, int count, PGresult **out,
	struct tf_err *err)
{
	char name[16];
	name_of(statement, name);
	PGresult *r = NULL;
	int rc = 0;
	if (!p->prepared[statement]) {
		r = PQprepare(p->conn, name, p->statements[statement], 0, NULL);
		p->prepared[statement] = PQresultStatus(r) == PGRES_COMMAND_OK;
		rc = p->prepared[statement] ? 0 : fail(p, r, err);
		PQclear(r);
		r = NULL;
	}
	if (rc == 0) {
		r = PQexecPrepared(p->conn, name, count, params, NULL, NULL, 0);
		ExecStatusType status = PQresultStatus(r);
		rc = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : fail(p, r, err);
	}
	if (out && rc == 0)
		*out = r;
	else
		PQclear(r);
	return rc;
}

/* ---- batches ---- */

static void note_failure(struct tf_pg *p, const PGresult *r)
{
	if (p->code == 0)
		p->code = fail(p, r, &p->story);
}

/* One statement's answer, and the NULL that ends it; false once the connection is gone. */
static bool read_answer(struct tf_pg *p)
{
	PGresult *r = PQgetResult(p->conn);
	if (!r) {
		note_failure(p, NULL);
		return false;
	}
	ExecStatusType status = PQresultStatus(r);
	if (status == PGRES_FATAL_ERROR)
		note_failure(p, r);
	else if (p->code == 0 && strcmp(PQcmdTuples(r), "0") == 0)
		p->code = tf_err_set(
			&p->story, TF_ENOTFOUND, "%s: what was to be changed was deleted", p->name);
	PQclear(r);
	if (status != PGRES_PIPELINE_SYNC)
		PQclear(PQgetResult(p->conn));
	return !tf_pg_lost(p);
}

/* Everything that went out is answered. */
static void synchronise(struct tf_pg *p)
{
	if (!PQpipelineSync(p->conn))
		note_failure(p, NULL);
	bool more = !tf_pg_lost(p);
	while (more && p->sent > 0) {
		more = read_answer(p);
		p->sent--;
	}
	if (more)
		read_answer(p); /* to the synchronisation itself */
	p->sent = 0;
}

static void send(struct tf_pg *p, const char *name, const char *sql, const char *const *params, int count)
{
	int ok = name ? PQsendQueryPrepared(p->conn, name, count, params, NULL, NULL, 0)
		      : PQsendQueryParams(p->conn, sql, 0, NULL, NULL, NULL, NULL, 0);
	if (!ok)
		note_failure(p, NULL);
	else if (++p->sent == AHEAD)
		synchronise(p);
}

int tf_pg_batch_begin(struct tf_pg *p, struct tf_err *err)
{
	p->code = 0;
	p->sent = 0;
	if (!PQenterPipelineMode(p->conn))
		return fail(p, NULL, err);
	send(p, NULL, "BEGIN", NULL, 0);
	return 0;
}

int tf_pg_batch_add(
	struct tf_pg *p, unsigned statement, const char *const *params, int count, struct tf_err *err)
{
	char name[16];
	name_of(statement, name);
	if (p->code == 0 && !p->prepared[statement]) {
		p->prepared[statement] = true; /* taken back with the batch if it fails */
		if (!PQsendPrepare(p->conn, name, p->statements[statement], 0, NULL))
			note_failure(p, NULL);
		else
			p->sent++;
	}
	if (p->code == 0)
		send(p, name, NULL, params, count);
	if (p->code != 0 && err)
		*err = p->story;
	return p->code;
}

int tf_pg_batch_end(struct tf_pg *p, struct tf_err *err)
{
	if (p->code == 0)
		send(p, NULL, "COMMIT", NULL, 0);
	synchronise(p);
	PQexitPipelineMode(p->conn);
	if (p->code == 0)
		return 0;
	if (!tf_pg_lost(p)) {
		/* A statement that was prepared by the batch may be there or not: begin anew with all of them. */
		PQclear(PQexec(p->conn, "ROLLBACK"));
		PQclear(PQexec(p->conn, "DEALLOCATE ALL"));
		memset(p->prepared, 0, p->count * sizeof *p->prepared);
	}
	if (err)
		*err = p->story;
	return p->code;
}
