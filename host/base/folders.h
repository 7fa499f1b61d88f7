/* Folders that have to be there. */
#ifndef TF_BASE_FOLDERS_H
#define TF_BASE_FOLDERS_H

#include <sys/types.h>

#include "base/err.h"

/* Make the folder `path`, and those above it, as far as they are not there; with `mode`, less the umask. Negative: the first
 * that could not be made; whether something else has the name of a folder shows when it is used. err may be NULL. */
int tf_make_folders(const char *path, mode_t mode, struct tf_err *err);

#endif
