/* A link's socket, watched by the loop while the link's thread only waits. Internal to host/transport/amqp*. */
#ifndef TF_TRANSPORT_AMQP_WATCH_H
#define TF_TRANSPORT_AMQP_WATCH_H

#include "loop/loop.h"
#include "transport/amqp.h"

struct tf_amqp_watch {
	/* set by the owner, borrowed */
	struct tf_loop *loop;
	struct tf_amqp_link *link;
	bool (*read)(void *arg); /* what has arrived; false: the thread has to go on from here */
	void (*news)(void *arg); /* after `read`; may end the watch and free what it is part of */
	void *arg;
	/* of the watch */
	struct tf_io *io; /* NULL: none */
	int fd;           /* a duplicate of the link's */
	unsigned connection;
};

/* Read in the thread's place from here on, if it waits; nothing if it is at work. To be called when there are news of it. */
void tf_amqp_watch_begin(struct tf_amqp_watch *w);
/* The thread reads again. */
void tf_amqp_watch_end(struct tf_amqp_watch *w);

#endif
