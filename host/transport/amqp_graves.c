#include "transport/amqp_graves.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "transport/amqp_routes.h"

enum {
	PACE_MS = 100,     /* a few calls at a time: messages wait for them */
	TURN_MS = 15000,   /* publishers of ours say something every 5 s, to one of a topic's consumers */
	ALIVE_MS = 300000, /* after a look that found somebody */
	GRAVES_MAX = 4096,
	LOOKS_AT_ONCE = 2,
};

struct tf_grave {
	TAILQ_ENTRY(tf_grave) link;
	char *key, *owner; /* owned; its routing key, and the topic that it consumes */
	uint64_t heard_at, turn_at, alive_until;
	bool absent; /* at the last look; a queue that an operator deleted is back at the next */
};

void tf_graves_create(struct tf_graves *g)
{
	*g = (struct tf_graves){.by_key = tf_map_new()};
	TAILQ_INIT(&g->by_turn);
}

static void forget(struct tf_graves *g, struct tf_grave *x)
{
	TAILQ_REMOVE(&g->by_turn, x, link);
	tf_map_remove(g->by_key, x->key);
	free(x->key);
	free(x->owner);
	free(x);
}

void tf_graves_destroy(struct tf_graves *g)
{
	struct tf_grave *x;

	while ((x = TAILQ_FIRST(&g->by_turn)) != NULL)
		forget(g, x);
	tf_map_delete(g->by_key, NULL);
}

static void enqueue(struct tf_graves *g, struct tf_grave *x, uint64_t now)
{
	x->turn_at = now + TURN_MS;
	TAILQ_INSERT_TAIL(&g->by_turn, x, link);
}

void tf_graves_heard(struct tf_graves *g, const char *key, const char *reply_to, uint64_t now)
{
	struct tf_grave *x;

	if (!reply_to || !tf_route_is_key(key))
		return;
	x = tf_map_get(g->by_key, key);
	if (!x) {
		if (tf_map_count(g->by_key) == GRAVES_MAX)
			forget(g, TAILQ_FIRST(&g->by_turn));
		x = TF_NEW(struct tf_grave);
		x->key = tf_strdup(key);
		x->owner = tf_strdup(reply_to);
		tf_map_set(g->by_key, key, x);
		enqueue(g, x, now);
	}
	x->heard_at = now;
}

int tf_graves_due(const struct tf_graves *g, uint64_t now)
{
	const struct tf_grave *x = TAILQ_FIRST(&g->by_turn);

	uint64_t at = x ? x->turn_at : now + TURN_MS; /* whatever comes meanwhile */

	if (at < g->next_look)
		at = g->next_look;
	return at > now ? (int)(at - now) : 0;
}

/* Nobody consumes its topic. */
static int is_absent(struct tf_amqp_conn *c, const struct tf_grave *x, bool *absent, struct tf_err *err)
{
	unsigned consumers = 0;
	int rc = tf_amqp_conn_count_consumers(c, x->owner, &consumers, err);

	*absent = rc == 0 ? consumers == 0 : rc == TF_ESTATE && c->closed.code == AMQP_NOT_FOUND;
	return rc == TF_ESTATE ? 0 : rc;
}

static int unbind(struct tf_amqp_conn *c, const struct tf_grave *x, const char *const *topics, size_t count,
	struct tf_err *err)
{
	int rc = 0;

	tf_debug("amqp",
		"exchange %s: whoever consumed topic %s is gone: the binding %s is undone, if it was left",
		c->shared->exchange, x->owner, x->key);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = tf_amqp_conn_unbind_queue(c, topics[i], x->key, err);
	return rc;
}

static int look(struct tf_graves *g, struct tf_grave *x, struct tf_amqp_conn *c, const char *const *topics,
	size_t count, uint64_t now, struct tf_err *err)
{
	bool absent = false, before = x->absent;
	int rc = is_absent(c, x, &absent, err);

	x->absent = rc == 0 && absent;
	x->alive_until = absent ? 0 : now + ALIVE_MS;
	if (!x->absent || !before) {
		enqueue(g, x, now);
		return rc;
	}
	rc = unbind(c, x, topics, count, err);
	TAILQ_INSERT_TAIL(&g->by_turn, x, link);
	forget(g, x);
	return rc;
}

int tf_graves_look(struct tf_graves *g, struct tf_amqp_conn *c, const char *const *topics, size_t count,
	uint64_t now, struct tf_err *err)
{
	struct tf_grave *x;
	unsigned looks = 0;
	int rc = 0;

	g->next_look = now + PACE_MS;
	while (rc == 0 && looks < LOOKS_AT_ONCE && (x = TAILQ_FIRST(&g->by_turn)) != NULL &&
		x->turn_at <= now) {
		TAILQ_REMOVE(&g->by_turn, x, link);
		if (now - x->heard_at < TURN_MS || now < x->alive_until) {
			x->absent = false;
			enqueue(g, x, now);
			continue;
		}
		looks++;
		rc = look(g, x, c, topics, count, now, err);
	}
	return rc == TF_ESTATE ? TF_EIO : rc;
}
