#include "control/door.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

enum { DOOR_PAUSE_MS = 100 };

struct tf_door {
	int fd;
	const char *area, *name;
	void (*entered)(void *arg, int fd);
	void *arg;
	struct tf_io *io;
	struct tf_timer *pause; /* until clients are let in again */
	bool paused;            /* the last one could not be */
};

static void door_resume(void *arg)
{
	struct tf_door *d = arg;
	tf_io_watch(d->io, TF_IO_READ);
}

static void door_pause(struct tf_door *d, int why)
{
	if (why == EAGAIN || why == EWOULDBLOCK || why == EINTR || why == ECONNABORTED)
		return;
	if (!d->paused)
		tf_warn(d->area, "%s: clients have to wait: %s", d->name, strerror(why));
	d->paused = true;
	tf_io_watch(d->io, 0);
	tf_timer_start(d->pause, DOOR_PAUSE_MS, 0);
}

static void door_io(void *arg, int events)
{
	struct tf_door *d = arg;
	(void)events;
	int fd = accept4(d->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		door_pause(d, errno);
		return;
	}
	d->paused = false;
	d->entered(d->arg, fd);
}

struct tf_door *tf_door_new(struct tf_loop *loop, int fd, const char *area, const char *name,
	void (*entered)(void *arg, int fd), void *arg)
{
	struct tf_door *d = TF_NEW(struct tf_door);
	*d = (struct tf_door){.fd = fd, .area = area, .name = name, .entered = entered, .arg = arg};
	d->io = tf_io_new(loop, fd, door_io, d);
	d->pause = tf_timer_new(loop, door_resume, d);
	tf_io_watch(d->io, TF_IO_READ);
	return d;
}

void tf_door_delete(struct tf_door *d)
{
	if (!d)
		return;
	tf_io_delete(d->io);
	tf_timer_delete(d->pause);
	close(d->fd);
	free(d);
}
