#include "persistence/backend.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

/* scheme, what may open it, whether it is given the whole URL or what follows the scheme */
static const struct {
	const char *scheme;
	const struct tf_backend_ops *ops;
	bool whole;
} kinds[] = {
	{"sqlite", &tf_backend_sqlite, false},
	{"postgresql", &tf_backend_postgresql, true},
	{"postgres", &tf_backend_postgresql, true},
	{"dir", &tf_backend_directory, false},
	{"file", &tf_backend_directory, false},
};

/* What follows `scheme` and "://", or NULL; SQLAlchemy may name a driver too: postgresql+psycopg2://. */
static const char *after_scheme(const char *connection, const char *scheme)
{
	size_t n = strlen(scheme);
	if (strncmp(connection, scheme, n) != 0)
		return NULL;
	if (connection[n] == '+')
		n = strcspn(connection, ":");
	return strncmp(connection + n, "://", 3) == 0 ? connection + n + 3 : NULL;
}

#define BACKEND_KNOWN "sqlite:///file, a path, postgresql://host/database, dir:///path (to read) and memory"

/* SQLAlchemy's spelling: three slashes and a relative path, or four and an absolute one. */
static const char *sqlite_path(const char *rest)
{
	rest += rest[0] == '/';
	return rest[0] ? rest : ":memory:";
}

static int open_path(const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err)
{
	struct stat st;
	if (stat(config->connection, &st) == 0 && S_ISDIR(st.st_mode))
		return tf_backend_directory.open(config->connection, config, out, err);
	return tf_backend_sqlite.open(config->connection, config, out, err);
}

int tf_backend_open(const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err)
{
	const char *connection = config->connection;
	if (strcmp(connection, "memory") == 0 || strncmp(connection, "memory://", 9) == 0)
		return tf_backend_sqlite.open(":memory:", config, out, err);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const char *rest = after_scheme(connection, kinds[i].scheme);
		if (!rest)
			continue;
		if (kinds[i].ops == &tf_backend_sqlite)
			rest = sqlite_path(rest);
		return kinds[i].ops->open(kinds[i].whole ? connection : rest, config, out, err);
	}
	if (!connection[0]) /* SQLite would take it for a file that goes when it is closed */
		return tf_err_set(
			err, TF_EINVAL, "the connection to a logbook is empty: known are " BACKEND_KNOWN);
	if (strstr(connection, "://")) /* it may hold a password: only the scheme is told */
		return tf_err_set(err, TF_ENOTFOUND, "no backend for '%.*s://': known are " BACKEND_KNOWN,
			(int)strcspn(connection, ":"), connection);
	return open_path(config, out, err);
}

struct tf_backend *tf_backend_ref(struct tf_backend *b)
{
	b->references++;
	return b;
}

void tf_backend_close(struct tf_backend *b)
{
	if (b && b->references-- == 0)
		b->ops->close(b);
}
