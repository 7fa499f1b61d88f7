#include "transport/amqp_routes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KEY_PREFIX "tfhost."

void tf_routes_create(struct tf_routes *r)
{
	*r = (struct tf_routes){.by_topic = tf_map_new()};
	tf_uuid(r->mark);
}

void tf_routes_destroy(struct tf_routes *r)
{
	tf_map_delete(r->by_topic, NULL);
}

bool tf_route_is_key(const char *routing_key)
{
	return !strncmp(routing_key, KEY_PREFIX, sizeof(KEY_PREFIX) - 1);
}

uint64_t tf_routes_next(struct tf_routes *r)
{
	return ++r->last;
}

void tf_routes_add(struct tf_routes *r, const char *topic, uint64_t number)
{
	tf_map_set(r->by_topic, topic, (void *)(uintptr_t)number);
}

uint64_t tf_routes_find(const struct tf_routes *r, const char *topic)
{
	return (uintptr_t)tf_map_get(r->by_topic, topic);
}

bool tf_routes_forget(struct tf_routes *r, const char *topic, uint64_t number)
{
	if (tf_routes_find(r, topic) != number)
		return false;
	tf_map_remove(r->by_topic, topic);
	return true;
}

static const char *key_of(const struct tf_routes *r, uint64_t number, char buf[TF_ROUTE_MAX])
{
	snprintf(buf, TF_ROUTE_MAX, KEY_PREFIX "%s.%" PRIu64, r->mark, number);
	return buf;
}

const char *tf_route_key(const struct tf_routes *r, const struct tf_amqp_publish *m, char buf[TF_ROUTE_MAX])
{
	return m->route ? key_of(r, m->route, buf) : m->m.topic;
}

struct unbinding {
	const struct tf_routes *routes;
	struct tf_amqp_conn *conn;
	uint64_t deadline;
};

static bool unbind(const char *topic, void *number, void *arg)
{
	const struct unbinding *u = arg;
	char key[TF_ROUTE_MAX];

	return tf_amqp_now() < u->deadline && tf_amqp_conn_unbind_queue(u->conn, topic,
						      key_of(u->routes, (uintptr_t)number, key), NULL) == 0;
}

void tf_routes_unbind(struct tf_routes *r, struct tf_amqp_conn *c, uint64_t deadline)
{
	struct unbinding u = {r, c, deadline};

	tf_map_each(r->by_topic, unbind, &u);
}
