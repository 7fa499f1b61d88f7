#include "transport/amqp_watch.h"

#include <fcntl.h>
#include <unistd.h>

void tf_amqp_watch_end(struct tf_amqp_watch *w)
{
	if (!w->io)
		return;
	atomic_store(&w->link->loop_reads, false);
	tf_io_delete(w->io);
	close(w->fd);
	w->io = NULL;
}

/* What is left to do is the thread's, until it has news. */
static void leave_to_thread(struct tf_amqp_watch *w)
{
	tf_io_watch(w->io, 0);
	atomic_store(&w->link->loop_reads, false);
	tf_amqp_link_wake(w->link);
}

static void on_readable(void *arg, int events)
{
	struct tf_amqp_watch *w = arg;

	(void)events;
	if (!w->read(w->arg))
		leave_to_thread(w);
	w->news(w->arg);
}

static void open_socket(struct tf_amqp_watch *w)
{
	pthread_mutex_lock(&w->link->fd_lock);
	w->fd = fcntl(w->link->fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&w->link->fd_lock);
	w->connection = w->link->connection;
	w->io = w->fd >= 0 ? tf_io_new(w->loop, w->fd, on_readable, w) : NULL;
	if (!w->io && w->fd >= 0)
		close(w->fd);
}

void tf_amqp_watch_begin(struct tf_amqp_watch *w)
{
	struct tf_amqp_link *l = w->link;

	if ((w->io && atomic_load(&l->loop_reads)) || pthread_mutex_trylock(&l->own) != 0)
		return;
	if (w->io && (!l->serving || w->connection != l->connection))
		tf_amqp_watch_end(w);
	if (l->serving && !w->io)
		open_socket(w);
	if (w->io) {
		atomic_store(&l->loop_reads, true);
		tf_io_watch(w->io, TF_IO_READ);
		tf_amqp_link_wake(l); /* or it would wake with us, for the first that arrives */
	}
	pthread_mutex_unlock(&l->own);
}
