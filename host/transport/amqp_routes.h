/* Bindings of our own by which a publisher notices that a topic's queue is not the one it was.
 *
 * A queue of the compat topology goes with its last reader, or with the broker, what is in it too; whoever publishes next
 * makes another one of that name, and nobody is told. So the queue is bound under a key that nobody else knows, which goes
 * with it, and what shall not get lost unnoticed is published by that key, mandatory: when it comes back, the queue that
 * took what was sent before by the key is gone. Exact, as a broker handles a channel's messages in order; and it costs
 * nothing but one more binding. Readers see no difference but in the routing key, which TaskFlow does not look at.
 *
 * A key is never used for two bindings: what comes back late then says nothing about the present one. Who ends takes its keys
 * back; amqp_graves.h is for those of others.
 */
#ifndef TF_TRANSPORT_AMQP_ROUTES_H
#define TF_TRANSPORT_AMQP_ROUTES_H

#include "base/map.h"
#include "base/uuid.h"
#include "transport/amqp_conn.h"

struct tf_routes {
	char mark[TF_UUID_LEN + 1]; /* in all keys */
	uint64_t last;
	struct tf_map *by_topic; /* number of the binding; outlives the connection, as the binding does */
};

#define TF_ROUTE_MAX 256

void tf_routes_create(struct tf_routes *r);
void tf_routes_destroy(struct tf_routes *r);
/* Whether a message that came by this routing key was sent so by a publisher of ours. */
bool tf_route_is_key(const char *routing_key);
/* The number of a binding that nobody has made. */
uint64_t tf_routes_next(struct tf_routes *r);
/* It is made: the topic's queue has it. */
void tf_routes_add(struct tf_routes *r, const char *topic, uint64_t number);
/* The number of the topic's binding; 0: it has none. */
uint64_t tf_routes_find(const struct tf_routes *r, const char *topic);
/* That binding is gone; false: it was not the topic's any more. */
bool tf_routes_forget(struct tf_routes *r, const char *topic, uint64_t number);
/* The routing key of a message, by its route. Borrowed: in `buf`, or the topic. */
const char *tf_route_key(const struct tf_routes *r, const struct tf_amqp_publish *m, char buf[TF_ROUTE_MAX]);
/* Take all bindings back, as far as the broker lets us until `deadline` (ms). */
void tf_routes_unbind(struct tf_routes *r, struct tf_amqp_conn *c, uint64_t deadline);

#endif
