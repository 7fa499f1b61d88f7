/* The kernel's word that a file is complete in a folder (inotify): renamed into it, or closed
 * after writing. */
#ifndef TF_TRANSPORT_FS_WATCH_H
#define TF_TRANSPORT_FS_WATCH_H

#include "base/err.h"
#include "loop/loop.h"

struct tf_fs_watch_events {
	void (*name)(void *arg, const char *name);
	void (*lost)(void *arg); /* more happened than the kernel could tell: list the folder */
	void (*gone)(void *arg); /* the folder was removed, renamed or unmounted */
};

struct tf_fs_watch;

/* `folder` is the descriptor of what `path` named; a path that names another one by now is an error,
 * as is a kernel without inotify or at its limit. `events` must outlive the watch. The callbacks must
 * not delete it. */
int tf_fs_watch_new(struct tf_loop *loop, int folder, const char *path,
	const struct tf_fs_watch_events *events, void *arg, struct tf_fs_watch **out, struct tf_err *err);
void tf_fs_watch_delete(struct tf_fs_watch *w); /* NULL allowed */

#endif
