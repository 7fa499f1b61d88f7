#include "persistence/pg_schema.h"

#include <inttypes.h>
#include <stdio.h>

/* What TaskFlow's migrations up to 40fc8c914bd2 (TaskFlow 5.0.0) leave; alembic_version tells Python that they ran. */
#define TASKFLOW \
	"CREATE TYPE atom_types AS ENUM ('RETRY_DETAIL', 'TASK_DETAIL');" \
	"CREATE TYPE intention_type AS ENUM ('EXECUTE', 'IGNORE', 'REVERT', 'RETRY');" \
	"CREATE TABLE logbooks (created_at TIMESTAMP, updated_at TIMESTAMP, meta JSON, name VARCHAR(255), " \
	"uuid VARCHAR(64) NOT NULL PRIMARY KEY);" \
	"CREATE TABLE flowdetails (created_at TIMESTAMP, updated_at TIMESTAMP, parent_uuid VARCHAR(64), " \
	"meta JSON, " \
	"state VARCHAR(255), name VARCHAR(255), uuid VARCHAR(64) NOT NULL PRIMARY KEY, " \
	"CONSTRAINT flowdetails_ibfk_1 FOREIGN KEY (parent_uuid) REFERENCES logbooks (uuid) ON DELETE " \
	"CASCADE);" \
	"CREATE TABLE atomdetails (created_at TIMESTAMP, updated_at TIMESTAMP, parent_uuid VARCHAR(64), " \
	"meta JSON, " \
	"name VARCHAR(255), results JSON, version VARCHAR(64), state VARCHAR(255), uuid VARCHAR(64) NOT " \
	"NULL PRIMARY KEY, " \
	"failure JSON, atom_type atom_types, intention intention_type DEFAULT 'EXECUTE', revert_results " \
	"JSON, " \
	"revert_failure JSON, CONSTRAINT taskdetails_ibfk_1 FOREIGN KEY (parent_uuid) REFERENCES " \
	"flowdetails (uuid) " \
	"ON DELETE CASCADE);" \
	"CREATE INDEX logbook_uuid_idx ON logbooks (uuid);" \
	"CREATE INDEX flowdetails_uuid_idx ON flowdetails (uuid);" \
	"CREATE INDEX taskdetails_uuid_idx ON atomdetails (uuid);" \
	"CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, " \
	"CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));" \
	"INSERT INTO alembic_version VALUES ('40fc8c914bd2');"

/* to_regclass would remember within a transaction that there was none. */
#define TABLE_IS_THERE(name) \
	"SELECT count(*) FROM pg_tables WHERE tablename = '" name \
	"' AND schemaname = ANY (current_schemas(false))"

/* The step to version i + 1. */
static const char *const steps[] = {
	"CREATE TABLE tfhost_schema (version INTEGER NOT NULL);"
	"INSERT INTO tfhost_schema VALUES (0);"
	"CREATE TABLE tfhost_owners (flow_uuid VARCHAR(64) NOT NULL PRIMARY KEY, session VARCHAR(36) NOT "
	"NULL, "
	"pid BIGINT NOT NULL, host TEXT NOT NULL, since TEXT NOT NULL);"
	"ALTER TABLE flowdetails ADD COLUMN tfhost_order BIGSERIAL;"
	"ALTER TABLE atomdetails ADD COLUMN tfhost_order BIGSERIAL, ADD COLUMN tfhost_exact TEXT;"
	"CREATE INDEX tfhost_flows_of_book ON flowdetails (parent_uuid);"
	"CREATE INDEX tfhost_atoms_of_flow ON atomdetails (parent_uuid);",
};
enum { SCHEMA_VERSION = sizeof steps / sizeof *steps };

static int step_up(struct tf_pg *p, int64_t version, struct tf_err *err)
{
	char note[80];
	int64_t tables = 0;
	int rc = 0;
	if (version == 0)
		rc = tf_pg_number(p, TABLE_IS_THERE("logbooks"), &tables, err);
	if (rc == 0 && version == 0 && !tables)
		rc = tf_pg_script(p, TASKFLOW, err);
	for (int64_t i = version; rc == 0 && i < SCHEMA_VERSION; i++)
		rc = tf_pg_script(p, steps[i], err);
	snprintf(note, sizeof note, "UPDATE tfhost_schema SET version = %d", SCHEMA_VERSION);
	return rc < 0 ? rc : tf_pg_script(p, note, err);
}

static int version_of(struct tf_pg *p, int64_t *version, struct tf_err *err)
{
	*version = 0;
	int rc = tf_pg_number(p, TABLE_IS_THERE("tfhost_schema"), version, err);
	if (rc == 0 && *version)
		rc = tf_pg_number(p, "SELECT version FROM tfhost_schema", version, err);
	if (rc == 0 && *version > SCHEMA_VERSION)
		rc = tf_err_set(err, TF_EFORMAT,
			"%s: it was made by a newer version of tfhost (schema %" PRId64
			", known here: %d); use that one",
			tf_pg_name(p), *version, SCHEMA_VERSION);
	return rc;
}

int tf_pg_upgrade(struct tf_pg *p, struct tf_err *err)
{
	int64_t version;
	int rc = version_of(p, &version, err);
	if (rc < 0 || version == SCHEMA_VERSION)
		return rc;
	rc = tf_pg_script(p, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('tfhost schema'))", err);
	if (rc == 0)
		rc = version_of(p, &version, err); /* another process may have been faster */
	if (rc == 0 && version < SCHEMA_VERSION)
		rc = step_up(p, version, err);
	if (rc == 0)
		return tf_pg_script(p, "COMMIT", err);
	tf_pg_script(p, "ROLLBACK", NULL);
	return rc;
}
