#include "transport/fs_watch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/mem.h"
#include "transport/fs_folder.h"

struct tf_fs_watch {
	int fd;
	struct tf_io *io;
	const struct tf_fs_watch_events *events;
	void *arg; /* borrowed */
};

static void on_event(struct tf_fs_watch *w, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		w->events->lost(w->arg);
	else if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED))
		w->events->gone(w->arg);
	else if (e->len)
		w->events->name(w->arg, e->name);
}

/* One buffer a turn, what is left makes the descriptor readable again. */
static void on_readable(void *arg, int events)
{
	struct tf_fs_watch *w = arg;
	_Alignas(struct inotify_event) char buffer[1 << 16];
	ssize_t n, at;

	(void)events;
	n = read(w->fd, buffer, sizeof(buffer));
	for (at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(const void *)(buffer + at);

		at += (ssize_t)(sizeof(*e) + e->len);
		on_event(w, e);
	}
}

int tf_fs_watch_new(struct tf_loop *loop, int folder, const char *path,
	const struct tf_fs_watch_events *events, void *arg, struct tf_fs_watch **out, struct tf_err *err)
{
	struct tf_fs_watch *w = TF_NEW(struct tf_fs_watch);

	w->events = events;
	w->arg = arg;
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0 ||
		inotify_add_watch(w->fd, path,
			IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) < 0) {
		tf_err_sys(err, "watching folder %s (inotify)", path);
		goto failed;
	}
	if (!tf_fs_folder_is(folder, path)) {
		tf_err_set(err, TF_EAGAIN, "folder %s was replaced", path);
		goto failed;
	}
	w->io = tf_io_new(loop, w->fd, on_readable, w);
	if (!w->io) {
		tf_err_sys(err, "watching folder %s (epoll)", path);
		goto failed;
	}
	tf_io_watch(w->io, TF_IO_READ);
	*out = w;
	return 0;
failed:
	if (w->fd >= 0)
		close(w->fd);
	free(w);
	return TF_ESYS;
}

void tf_fs_watch_delete(struct tf_fs_watch *w)
{
	if (!w)
		return;
	tf_io_delete(w->io);
	close(w->fd);
	free(w);
}
