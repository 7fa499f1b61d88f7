#include "persistence/pg_lib.h"

#include <dlfcn.h>

#define LIBRARY "libpq.so.5"

struct tf_pg_lib tf_pg_lib;

int tf_pg_lib_load(struct tf_err *err)
{
	static void *library; /* never unloaded: its functions are in use until the end */
	if (library)
		return 0;
	void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return tf_err_set(err, TF_ENOTFOUND,
			"a logbook on PostgreSQL needs " LIBRARY " (Debian: libpq5): %s", dlerror());
	const struct {
		const char *name;
		void *into;
	} functions[] = {
#define X(name) {#name, &(name)},
		TF_PG_LIB_FUNCTIONS(X)
#undef X
	};
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		void *found = dlsym(lib, functions[i].name);
		if (!found) {
			dlclose(lib);
			return tf_err_set(err, TF_ENOTFOUND,
				LIBRARY " has no %s: it is older than PostgreSQL 14", functions[i].name);
		}
		*(void **)functions[i].into = found;
	}
	library = lib;
	return 0;
}
