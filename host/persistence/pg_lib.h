/* libpq, loaded when a logbook on PostgreSQL is opened. Linked, it would bring twenty libraries (LDAP, Kerberos, a second
 * TLS) into every process of ours: ten milliseconds of each start and four megabytes of each worker.
 *
 * Include this instead of libpq-fe.h, and call the functions by their names. */
#ifndef TF_PERSISTENCE_PG_LIB_H
#define TF_PERSISTENCE_PG_LIB_H

#include <libpq-fe.h>

#include "base/err.h"

#define TF_PG_LIB_FUNCTIONS(X) \
	X(PQclear) \
	X(PQcmdTuples) \
	X(PQconnectdbParams) \
	X(PQconninfoFree) \
	X(PQconninfoParse) \
	X(PQenterPipelineMode) \
	X(PQerrorMessage) \
	X(PQexec) \
	X(PQexecPrepared) \
	X(PQexitPipelineMode) \
	X(PQfinish) \
	X(PQfname) \
	X(PQfreemem) \
	X(PQgetResult) \
	X(PQgetisnull) \
	X(PQgetlength) \
	X(PQgetvalue) \
	X(PQntuples) \
	X(PQpipelineSync) \
	X(PQprepare) \
	X(PQresultErrorField) \
	X(PQresultStatus) \
	X(PQsendPrepare) \
	X(PQsendQueryParams) \
	X(PQsendQueryPrepared) \
	X(PQsetNoticeProcessor) \
	X(PQstatus)

/* The same for every user of the process, and for its life; filled by tf_pg_lib_load. */
extern struct tf_pg_lib {
#define X(name) __typeof__(&(name)) name; /* NOLINT(bugprone-macro-parentheses) */
	TF_PG_LIB_FUNCTIONS(X)
#undef X
} tf_pg_lib;

/* Before any other call. TF_ENOTFOUND: it is not installed, or too old; says what to install. */
int tf_pg_lib_load(struct tf_err *err);

#define PQclear tf_pg_lib.PQclear
#define PQcmdTuples tf_pg_lib.PQcmdTuples
#define PQconnectdbParams tf_pg_lib.PQconnectdbParams
#define PQconninfoFree tf_pg_lib.PQconninfoFree
#define PQconninfoParse tf_pg_lib.PQconninfoParse
#define PQenterPipelineMode tf_pg_lib.PQenterPipelineMode
#define PQerrorMessage tf_pg_lib.PQerrorMessage
#define PQexec tf_pg_lib.PQexec
#define PQexecPrepared tf_pg_lib.PQexecPrepared
#define PQexitPipelineMode tf_pg_lib.PQexitPipelineMode
#define PQfinish tf_pg_lib.PQfinish
#define PQfname tf_pg_lib.PQfname
#define PQfreemem tf_pg_lib.PQfreemem
#define PQgetResult tf_pg_lib.PQgetResult
#define PQgetisnull tf_pg_lib.PQgetisnull
#define PQgetlength tf_pg_lib.PQgetlength
#define PQgetvalue tf_pg_lib.PQgetvalue
#define PQntuples tf_pg_lib.PQntuples
#define PQpipelineSync tf_pg_lib.PQpipelineSync
#define PQprepare tf_pg_lib.PQprepare
#define PQresultErrorField tf_pg_lib.PQresultErrorField
#define PQresultStatus tf_pg_lib.PQresultStatus
#define PQsendPrepare tf_pg_lib.PQsendPrepare
#define PQsendQueryParams tf_pg_lib.PQsendQueryParams
#define PQsendQueryPrepared tf_pg_lib.PQsendQueryPrepared
#define PQsetNoticeProcessor tf_pg_lib.PQsetNoticeProcessor
#define PQstatus tf_pg_lib.PQstatus

#endif
