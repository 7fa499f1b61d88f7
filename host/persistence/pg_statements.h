/* The statements that postgresql.c and pg_session.c run. */
#ifndef TF_PERSISTENCE_PG_STATEMENTS_H
#define TF_PERSISTENCE_PG_STATEMENTS_H

#define TF_PG_TIME(column) "to_char(" column ", 'YYYY-MM-DD HH24:MI:SS.US')"
#define TF_PG_LOCK_KEY "hashtextextended('tfhost flow ' || $1, 0)"
#define TF_PG_ATOM_COLUMNS \
	"uuid, parent_uuid, name, version, state, intention, " TF_PG_TIME("created_at") ", " TF_PG_TIME( \
		"updated_at") ", atom_type, results, failure, revert_results, revert_failure, meta, " \
			      "tfhost_exact"

/* name, text */
#define TF_PG_STATEMENTS(X) \
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
	X(BOOKS, "SELECT uuid, name, " TF_PG_TIME("created_at") ", " TF_PG_TIME( \
			 "updated_at") ", meta FROM logbooks WHERE $1::text IS NULL OR uuid = $1 " \
				       "ORDER BY created_at, uuid") \
	X(FLOWS, "SELECT uuid, parent_uuid, name, state, " TF_PG_TIME("created_at") ", " TF_PG_TIME( \
			 "updated_at") ", meta FROM flowdetails WHERE ($1::text IS NULL OR parent_uuid = " \
				       "$1) " \
				       "AND ($2::text IS NULL OR starts_with(uuid, $2)) ORDER BY " \
				       "tfhost_order") \
	X(ATOMS, "SELECT " TF_PG_ATOM_COLUMNS \
		 " FROM atomdetails WHERE parent_uuid = $1 ORDER BY tfhost_order") \
	X(ATOM_BY_UUID, "SELECT " TF_PG_ATOM_COLUMNS " FROM atomdetails WHERE uuid = $1") \
	/* atoms and flows below go with it: ON DELETE CASCADE */ \
	X(DROP_BOOK, "WITH o AS (DELETE FROM tfhost_owners WHERE flow_uuid IN " \
		     "(SELECT uuid FROM flowdetails WHERE parent_uuid = $1)) DELETE FROM logbooks WHERE " \
		     "uuid = $1") \
	X(DROP_FLOW, "WITH o AS (DELETE FROM tfhost_owners WHERE flow_uuid = $1) " \
		     "DELETE FROM flowdetails WHERE uuid = $1") \
	X(TRY_LOCK, "SELECT pg_try_advisory_lock(" TF_PG_LOCK_KEY ")") \
	X(UNLOCK, "SELECT pg_advisory_unlock(" TF_PG_LOCK_KEY ")") \
	X(UNLOCK_ALL, "SELECT pg_advisory_unlock_all()") \
	X(SET_OWNER, \
		"INSERT INTO tfhost_owners (flow_uuid, session, pid, host, since) VALUES ($1, $2, $3, $4, " \
		"$5) " \
		"ON CONFLICT (flow_uuid) DO UPDATE SET session = excluded.session, pid = excluded.pid, " \
		"host = excluded.host, since = excluded.since") \
	X(SESSION, "SELECT session FROM tfhost_owners WHERE flow_uuid = $1") \
	/* An advisory lock of one 64-bit key shows as its two halves. */ \
	X(OWNER, "SELECT o.pid, o.host, o.since FROM tfhost_owners o, (SELECT " TF_PG_LOCK_KEY " AS key) k " \
		 "WHERE o.flow_uuid = $1 AND EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = " \
		 "'advisory' AND l.granted " \
		 "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND " \
		 "l.objsubid = 1 " \
		 "AND l.classid::bigint = (k.key >> 32) & 4294967295 AND l.objid::bigint = k.key & " \
		 "4294967295)")
enum tf_pg_statement {
#define X(name, text) TF_PG_##name,
	TF_PG_STATEMENTS(X)
#undef X
		TF_PG_STATEMENT_COUNT
};

extern const char *const tf_pg_statements[TF_PG_STATEMENT_COUNT];

#endif
