#include "persistence/backend.h"

#include <string.h>

#include "base/mem.h"

/* What follows `scheme` and "///" or "//" in a connection: SQLAlchemy's spelling. */
static const char *after_scheme(const char *connection, const char *scheme)
{
	size_t n = strlen(scheme);
	if (strncmp(connection, scheme, n) != 0)
		return NULL;
	connection += n;
	if (strncmp(connection, ":///", 4) == 0)
		return connection + 4;
	return strncmp(connection, "://", 3) == 0 ? connection + 3 : NULL;
}

int tf_backend_open(const struct tf_backend_config *config, struct tf_backend **out, struct tf_err *err)
{
	const char *connection = config->connection, *path = after_scheme(connection, "sqlite");
	if (path)
		return tf_backend_sqlite.open(path[0] ? path : ":memory:", config, out, err);
	if (strcmp(connection, "memory") == 0 || strncmp(connection, "memory://", 9) == 0)
		return tf_backend_sqlite.open(":memory:", config, out, err);
	if (strstr(connection, "://"))
		return tf_err_set(err, TF_ENOTFOUND,
			"no backend for '%s': known are sqlite:///file, a path, memory", connection);
	return tf_backend_sqlite.open(connection, config, out, err);
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
