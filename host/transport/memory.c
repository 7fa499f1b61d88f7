/* The broker inside the process: transports of one loop that name the same exchange talk to each
 * other. It behaves as the brokers do where peers can tell: a queue is gone with its last consumer
 * (auto_delete), prefetch bounds what is unsettled, consumers of one queue take turns, and a requeued
 * message goes back to its place.
 *
 * A publish is routed at once; everything that is called back is left to the hub's post. */
#include "transport/transport.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "transport/memory_fault.h"
#include "transport/memory_hub.h"
#include "transport/options.h"

static int memory_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_url_list *urls, struct tf_transport **out, struct tf_err *err)
{
	static const struct tf_option options[] = {{"polling_interval", TF_OPTION_IGNORED, NULL}, {0}};
	struct tf_memory *t;
	int rc = tf_options_read("memory", config->options, options, err);

	(void)urls;
	if (rc < 0)
		return rc;
	t = TF_NEW(struct tf_memory);
	t->hub = tf_memory_hub_get(loop, config->exchange);
	TAILQ_INIT(&t->consumers);
	TAILQ_INIT(&t->outbox);
	t->base.up = true;
	tf_memory_notify(t, &(struct tf_memory_notice){.is_state = true, .up = true}, NULL);
	*out = &t->base;
	return 0;
}

static int memory_consume(struct tf_transport *base, const char *topic, const char *group, unsigned prefetch,
	struct tf_err *err)
{
	(void)group;
	struct tf_memory *t = (struct tf_memory *)base;
	struct tf_memory_consumer *c;

	TAILQ_FOREACH(c, &t->consumers, transport_link)
	{
		if (strcmp(c->queue->topic, topic) == 0)
			return tf_err_set(err, TF_EEXIST, "topic %s is consumed already", topic);
	}
	c = TF_NEW(struct tf_memory_consumer);
	c->transport = t;
	c->queue = tf_memory_queue_declare(t->hub, topic);
	c->prefetch = prefetch;
	TAILQ_INSERT_TAIL(&t->consumers, c, transport_link);
	TAILQ_INSERT_TAIL(&c->queue->consumers, c, queue_link);
	tf_memory_queue_kick(t->hub, c->queue);
	return 0;
}

static void memory_limit(struct tf_transport *base, const char *topic, unsigned prefetch)
{
	struct tf_memory *t = (struct tf_memory *)base;
	struct tf_memory_consumer *c;

	TAILQ_FOREACH(c, &t->consumers, transport_link)
	{
		if (strcmp(c->queue->topic, topic) != 0)
			continue;
		c->prefetch = prefetch;
		tf_memory_queue_kick(t->hub, c->queue);
	}
}

static int memory_publish(struct tf_transport *base, const struct tf_message *m, unsigned flags, uint64_t id,
	struct tf_err *err)
{
	struct tf_memory *t = (struct tf_memory *)base;
	struct tf_memory_parcel *p = tf_memory_parcel_new(m);

	(void)err;
	p->flags = flags;
	p->id = id;
	base->queued++;
	if (base->up)
		tf_memory_route(t, p);
	else
		TAILQ_INSERT_TAIL(&t->outbox, p, link);
	return 0;
}

static void memory_settle(struct tf_transport *base, uint64_t tag, enum tf_settle how)
{
	struct tf_memory *t = (struct tf_memory *)base;
	struct tf_memory_parcel *p = tf_tags_take(&t->tags, tag);

	if (!p)
		return;
	if (how == TF_REQUEUE) {
		base->stats.requeued++;
		tf_memory_requeue(p);
		return;
	}
	if (how == TF_REJECT)
		base->stats.rejected++;
	p->consumer->unsettled--;
	tf_memory_queue_kick(t->hub, p->consumer->queue);
	tf_memory_parcel_unref(p);
}

static void requeue_each(void *arg, void *message)
{
	struct tf_memory *t = arg;

	t->base.stats.requeued++;
	tf_memory_requeue(message);
}

static void memory_close(struct tf_transport *base)
{
	struct tf_memory *t = (struct tf_memory *)base;
	struct tf_memory_consumer *c;
	struct tf_memory_parcel *p;
	struct tf_memory_notice *n, *next;

	tf_tags_drain(&t->tags, requeue_each, t);
	tf_tags_destroy(&t->tags);
	while ((c = TAILQ_FIRST(&t->consumers))) {
		TAILQ_REMOVE(&t->consumers, c, transport_link);
		TAILQ_REMOVE(&c->queue->consumers, c, queue_link);
		if (TAILQ_EMPTY(&c->queue->consumers))
			tf_memory_queue_delete(t->hub, c->queue);
		free(c);
	}
	while ((p = TAILQ_FIRST(&t->outbox))) {
		TAILQ_REMOVE(&t->outbox, p, link);
		tf_memory_parcel_unref(p);
	}
	for (n = TAILQ_FIRST(&t->hub->notices); n; n = next) {
		next = TAILQ_NEXT(n, link);
		if (n->transport != t)
			continue;
		TAILQ_REMOVE(&t->hub->notices, n, link);
		free(n->err);
		free(n);
	}
	tf_memory_hub_unref(t->hub);
	free(t);
}

void tf_memory_set_up(struct tf_transport *base, bool up)
{
	struct tf_memory *t = (struct tf_memory *)base;
	struct tf_memory_consumer *c;
	struct tf_memory_parcel *p;
	struct tf_err err;

	TF_ASSERT(base->ops == &tf_transport_memory);
	if (base->up == up)
		return;
	base->up = up;
	if (!up) {
		tf_err_set(&err, TF_EIO, "connection cut by a test");
		tf_memory_notify(t, &(struct tf_memory_notice){.is_state = true}, &err);
		tf_tags_drain(&t->tags, requeue_each, t);
		return;
	}
	base->stats.reconnects++;
	tf_memory_notify(t, &(struct tf_memory_notice){.is_state = true, .up = true}, NULL);
	while ((p = TAILQ_FIRST(&t->outbox))) {
		TAILQ_REMOVE(&t->outbox, p, link);
		tf_memory_route(t, p);
	}
	TAILQ_FOREACH(c, &t->consumers, transport_link)
	{
		tf_memory_queue_kick(t->hub, c->queue);
	}
}

void tf_memory_drop(struct tf_transport *base, unsigned count)
{
	TF_ASSERT(base->ops == &tf_transport_memory);
	((struct tf_memory *)base)->drop = count;
}

const struct tf_transport_ops tf_transport_memory = {
	.name = "memory",
	.schemes = {"memory"},
	.open = memory_open,
	.consume = memory_consume,
	.limit = memory_limit,
	.publish = memory_publish,
	.settle = memory_settle,
	.close = memory_close,
};
