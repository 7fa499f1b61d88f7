#include "base/folders.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

int tf_make_folders(const char *path, mode_t mode, struct tf_err *err)
{
	char *copy = tf_strdup(path), *end = copy;
	int rc = 0;
	while (rc == 0 && *(end += strspn(end, "/"))) {
		end += strcspn(end, "/");
		char after = *end;
		*end = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			rc = tf_err_sys(err, "cannot make %s", copy);
		*end = after;
	}
	free(copy);
	return rc;
}
