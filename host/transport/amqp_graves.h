/* Bindings of publishers that are gone (amqp_routes.h). One that is killed leaves its keys on the queue of a topic, for as long
 * as that stays: with the durable topology for ever. Who consumes the queue sees the keys, and the publishers' own topics as
 * reply_to; when one has not been heard of for a while, and nobody consumes that topic's queue, its key is unbound.
 *
 * Whether somebody ended or was killed is not known: of those that ended there is nothing to unbind.
 *
 * A publisher that lost its connection and comes back later finds its key gone as with the queue, and searches for what it
 * had sent, as it does after each reconnect. On the consumer link's thread.
 */
#ifndef TF_TRANSPORT_AMQP_GRAVES_H
#define TF_TRANSPORT_AMQP_GRAVES_H

#include <sys/queue.h>

#include "base/map.h"
#include "transport/amqp_conn.h"

struct tf_grave;

struct tf_graves {
	struct tf_map *by_key; /* owned */
	uint64_t next_look;
	TAILQ_HEAD(, tf_grave) by_turn; /* who is looked at next comes first */
};

void tf_graves_create(struct tf_graves *g);
void tf_graves_destroy(struct tf_graves *g);
/* A message came by this routing key; nothing happens if it is no publisher's own. `now`: ms, as below. */
void tf_graves_heard(struct tf_graves *g, const char *key, const char *reply_to, uint64_t now);
/* Milliseconds until tf_graves_look may have something to do. */
int tf_graves_due(const struct tf_graves *g, uint64_t now);
/* Look at some that are due; `topics`: names of those whose queues may have the keys. 0, or the connection is lost. */
int tf_graves_look(struct tf_graves *g, struct tf_amqp_conn *c, const char *const *topics, size_t count,
	uint64_t now, struct tf_err *err);

#endif
