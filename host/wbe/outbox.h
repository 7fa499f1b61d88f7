/* What an executor has to tell its engine, in order, until the engine can be called: a completion
 * must not fire inside submit, nor inside a callback of the transport, which the engine might then
 * close. */
#ifndef TF_WBE_OUTBOX_H
#define TF_WBE_OUTBOX_H

#include <stdbool.h>
#include <sys/queue.h>

#include "engine/executor.h"

struct tf_outbox {
	TAILQ_HEAD(, tf_outbox_item) items;
	size_t count;
};

void tf_outbox_create(struct tf_outbox *o);
void tf_outbox_done(struct tf_outbox *o, const struct tf_completion *c); /* refs c->result */
void tf_outbox_event(
	struct tf_outbox *o, unsigned atom, int64_t round, const char *type, struct tf_value *details);
void tf_outbox_began(struct tf_outbox *o, unsigned atom, int64_t round, const char *performer);
/* Deliver at most `max` items, first in first out. A callback may add some, and may call this. */
void tf_outbox_deliver(struct tf_outbox *o, size_t max, const struct tf_executor *to);

#endif
