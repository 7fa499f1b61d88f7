/* Folders and small files, by descriptor: what the filesystem transport asks of the kernel.
 *
 * A folder stays the same one although its path may come to name another; files in it are read
 * without following links and without waiting, whatever somebody put there under their name.
 * Functions that return an errno value return 0 on success. */
#ifndef TF_TRANSPORT_FS_FOLDER_H
#define TF_TRANSPORT_FS_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Absolute form of `path` (the working directory may change later). Caller frees. */
char *tf_fs_folder_absolute(const char *path);
/* Descriptor of the folder, which is created with its parents if need be; or an error code < 0. */
int tf_fs_folder_open(const char *path, struct tf_err *err);
/* The same for a folder inside another, created with that one's access rights. `path` is the outer
 * one's, for the error. A symbolic link is refused. */
int tf_fs_folder_open_in(int folder, const char *path, const char *name, struct tf_err *err);
/* Whether `path` still names the folder of this descriptor. */
bool tf_fs_folder_is(int folder, const char *path);
/* Whether the folder was removed. */
bool tf_fs_folder_is_gone(int folder);

/* Append the content of a regular file. errno, or EINVAL: no regular file, EFBIG: longer than max. */
int tf_fs_folder_read(int folder, const char *name, size_t max, struct tf_buf *out);
/* Create a new file with this content; nothing is left of it on failure. `sync`: onto the disk. */
int tf_fs_folder_write(int folder, const char *name, const struct tf_buf *content, bool sync);
/* The same with a regular file of ours that is there already. */
int tf_fs_folder_rewrite(int folder, const char *name, const struct tf_buf *content, bool sync);

#endif
