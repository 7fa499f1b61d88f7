/* Faults for tests: what a broker and the network between do to a transport of memory.c. */
#ifndef TF_TRANSPORT_MEMORY_FAULT_H
#define TF_TRANSPORT_MEMORY_FAULT_H

#include "transport/transport.h"

extern const struct tf_transport_ops tf_transport_memory;

/* Cut the connection, or restore it. While cut: publishes wait, nothing is delivered; what was
 * unsettled is delivered again (redelivered), and its old tags are void. Queues outlive a cut. The
 * `state` callback follows at the next turn. */
void tf_memory_set_up(struct tf_transport *base, bool up);

/* The next `count` publishes are reported TF_PUBLISHED, but never arrive. */
void tf_memory_drop(struct tf_transport *base, unsigned count);

#endif
