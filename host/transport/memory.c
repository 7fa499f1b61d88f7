/* The broker inside the process: transports of one loop that name the same exchange talk to each
 * other. It behaves as the brokers do where peers can tell: a queue is gone with its last consumer
 * (auto_delete), prefetch bounds what is unsettled, consumers of one queue take turns, and a requeued
 * message goes back to its place.
 *
 * A publish is routed at once; everything that is called back is left to the hub's post. */
#include "transport/transport.h"

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/mem.h"
#include "transport/memory_fault.h"
#include "transport/options.h"
#include "transport/tags.h"

enum { TURN_MAX = 256 }; /* callbacks of a kind before other handles of the loop get their turn */

struct parcel { /* one message */
	TAILQ_ENTRY(parcel) link;
	struct tf_message m;       /* strings and body follow the struct */
	uint64_t seq;              /* place in its queue */
	struct consumer *consumer; /* while unsettled */
	unsigned refs;             /* a callback that settles must not pull the message from under itself */
	unsigned flags;
	uint64_t id;
};
TAILQ_HEAD(parcels, parcel);

struct queue {
	char *topic;          /* owned */
	struct parcels again; /* requeued, in order of seq, all before `fresh` */
	struct parcels fresh;
	size_t count;
	uint64_t seq;
	TAILQ_HEAD(, consumer) consumers; /* the next to be served first */
	TAILQ_ENTRY(queue) ready_link;
	bool ready;
};

struct consumer {
	struct memory *transport;
	struct queue *queue;
	unsigned prefetch, unsettled;
	TAILQ_ENTRY(consumer) queue_link, transport_link;
};

struct notice { /* a callback to make */
	TAILQ_ENTRY(notice) link;
	struct memory *transport;
	bool is_state, up;
	uint64_t id;
	enum tf_publish_status status;
	struct tf_err *err; /* owned or NULL */
};

struct hub { /* one exchange of one loop */
	struct hub *next;
	struct tf_loop *loop;
	char *exchange;
	unsigned refs;         /* transports, and a dispatch that runs */
	struct tf_map *queues; /* topic -> struct queue */
	TAILQ_HEAD(, queue) ready;
	TAILQ_HEAD(, notice) notices;
	struct tf_post *post;
};

struct memory {
	struct tf_transport base;
	struct hub *hub;
	TAILQ_HEAD(, consumer) consumers;
	struct tf_tags tags;   /* -> struct parcel */
	struct parcels outbox; /* published while down */
	unsigned drop;
};

/* The broker of this process. The transport interface has no broker to hand in but the loop. */
static pthread_mutex_t hubs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hub *hubs;

static void dispatch(void *arg);

static struct hub *hub_get(struct tf_loop *loop, const char *exchange)
{
	struct hub *h;

	pthread_mutex_lock(&hubs_lock);
	for (h = hubs; h && (h->loop != loop || strcmp(h->exchange, exchange) != 0); h = h->next)
		;
	if (!h) {
		h = TF_NEW(struct hub);
		h->loop = loop;
		h->exchange = tf_strdup(exchange);
		h->queues = tf_map_new();
		TAILQ_INIT(&h->ready);
		TAILQ_INIT(&h->notices);
		h->post = tf_post_new(loop, dispatch, h);
		h->next = hubs;
		hubs = h;
	}
	h->refs++;
	pthread_mutex_unlock(&hubs_lock);
	return h;
}

static void parcel_unref(struct parcel *p)
{
	if (--p->refs == 0)
		free(p);
}

static void queue_free(void *value)
{
	struct queue *q = value;
	struct parcel *p;

	TF_ASSERT(TAILQ_EMPTY(&q->consumers));
	while ((p = TAILQ_FIRST(&q->again))) {
		TAILQ_REMOVE(&q->again, p, link);
		parcel_unref(p);
	}
	while ((p = TAILQ_FIRST(&q->fresh))) {
		TAILQ_REMOVE(&q->fresh, p, link);
		parcel_unref(p);
	}
	free(q->topic);
	free(q);
}

static void hub_unref(struct hub *h)
{
	struct hub **at;

	if (--h->refs > 0)
		return;
	pthread_mutex_lock(&hubs_lock);
	for (at = &hubs; *at != h; at = &(*at)->next)
		;
	*at = h->next;
	pthread_mutex_unlock(&hubs_lock);
	TF_ASSERT(TAILQ_EMPTY(&h->notices));
	tf_post_delete(h->post);
	tf_map_delete(h->queues, queue_free);
	free(h->exchange);
	free(h);
}

static struct queue *queue_declare(struct hub *h, const char *topic)
{
	struct queue *q = tf_map_get(h->queues, topic);

	if (q)
		return q;
	q = TF_NEW(struct queue);
	q->topic = tf_strdup(topic);
	TAILQ_INIT(&q->again);
	TAILQ_INIT(&q->fresh);
	TAILQ_INIT(&q->consumers);
	tf_map_set(h->queues, topic, q);
	return q;
}

static void queue_delete(struct hub *h, struct queue *q)
{
	tf_map_remove(h->queues, q->topic);
	if (q->ready)
		TAILQ_REMOVE(&h->ready, q, ready_link);
	queue_free(q);
}

/* Messages or room came: look at the queue in the next turn. */
static void queue_kick(struct hub *h, struct queue *q)
{
	if (q->ready || q->count == 0)
		return;
	q->ready = true;
	TAILQ_INSERT_TAIL(&h->ready, q, ready_link);
	tf_post_wake(h->post);
}

static void requeue(struct parcel *p)
{
	struct consumer *c = p->consumer;
	struct queue *q = c->queue;
	struct parcel *after = TAILQ_LAST(&q->again, parcels);

	while (after && after->seq > p->seq)
		after = TAILQ_PREV(after, parcels, link);
	if (after)
		TAILQ_INSERT_AFTER(&q->again, after, p, link);
	else
		TAILQ_INSERT_HEAD(&q->again, p, link);
	p->m.redelivered = true;
	p->consumer = NULL;
	q->count++;
	c->unsettled--;
	queue_kick(c->transport->hub, q);
}

static void notify(struct memory *t, const struct notice *what, const struct tf_err *err)
{
	struct notice *n = TF_NEW(struct notice);

	*n = *what;
	n->transport = t;
	if (err) {
		n->err = TF_NEW(struct tf_err);
		*n->err = *err;
	}
	TAILQ_INSERT_TAIL(&t->hub->notices, n, link);
	tf_post_wake(t->hub->post);
}

static void finish(struct memory *t, uint64_t id, enum tf_publish_status status, const struct tf_err *err)
{
	if (status == TF_PUBLISHED)
		t->base.stats.published++;
	else if (status == TF_RETURNED)
		t->base.stats.returned++;
	if (id)
		notify(t, &(struct notice){.id = id, .status = status}, err);
	else
		t->base.queued--;
}

/* Takes the reference to `p`. */
static void route(struct memory *t, struct parcel *p)
{
	struct queue *q = tf_map_get(t->hub->queues, p->m.topic);
	struct tf_err err;
	uint64_t id = p->id;

	if (t->drop) {
		t->drop--;
		parcel_unref(p);
		finish(t, id, TF_PUBLISHED, NULL);
		return;
	}
	if (!q && (p->flags & TF_PUBLISH_DECLARE))
		q = queue_declare(t->hub, p->m.topic);
	if (!q) {
		parcel_unref(p);
		finish(t, id, TF_RETURNED, NULL);
		return;
	}
	if (q->count >= t->base.max_queued) {
		tf_err_set(&err, TF_ELIMIT, "the queue of topic %s holds %zu messages that nobody reads",
			q->topic, q->count);
		parcel_unref(p);
		finish(t, id, TF_PUBLISH_FAILED, &err);
		return;
	}
	p->seq = q->seq++;
	q->count++;
	TAILQ_INSERT_TAIL(&q->fresh, p, link);
	finish(t, id, TF_PUBLISHED, NULL);
	queue_kick(t->hub, q);
}

static const char *place(char **at, const char *s)
{
	char *start = *at;

	if (!s)
		return NULL;
	*at = stpcpy(start, s) + 1;
	return start;
}

static size_t room(const char *s)
{
	return s ? strlen(s) + 1 : 0;
}

static struct parcel *parcel_new(const struct tf_message *m)
{
	size_t strings =
		room(m->topic) + room(m->type) + room(m->reply_to) + room(m->correlation_id) + room(m->peer);
	struct parcel *p = tf_malloc(sizeof(*p) + strings + m->body_len + 1);
	char *at = (char *)(p + 1);

	*p = (struct parcel){.refs = 1};
	p->m.topic = place(&at, m->topic);
	p->m.type = place(&at, m->type);
	p->m.reply_to = place(&at, m->reply_to);
	p->m.correlation_id = place(&at, m->correlation_id);
	p->m.peer = place(&at, m->peer);
	p->m.content_type = "application/json";
	p->m.body = at;
	p->m.body_len = m->body_len;
	if (m->body_len)
		memcpy(at, m->body, m->body_len);
	at[m->body_len] = '\0';
	return p;
}

static void make_notice(struct notice *n)
{
	struct memory *t = n->transport;

	if (n->is_state) {
		if (t->base.events.state)
			t->base.events.state(t->base.arg, n->up, n->err);
	} else {
		t->base.queued--;
		if (t->base.events.published)
			t->base.events.published(t->base.arg, n->id, n->status, n->err);
	}
	free(n->err);
	free(n);
}

static bool has_room(const struct consumer *c)
{
	return c->transport->base.up && (c->prefetch == 0 || c->unsettled < c->prefetch);
}

/* The first consumer with room moves to the end of the line. */
static struct consumer *next_consumer(struct queue *q)
{
	struct consumer *c;

	TAILQ_FOREACH(c, &q->consumers, queue_link)
	{
		if (has_room(c)) {
			TAILQ_REMOVE(&q->consumers, c, queue_link);
			TAILQ_INSERT_TAIL(&q->consumers, c, queue_link);
			return c;
		}
	}
	return NULL;
}

static struct parcel *queue_pop(struct queue *q)
{
	struct parcel *p = TAILQ_FIRST(&q->again);

	if (p) {
		TAILQ_REMOVE(&q->again, p, link);
	} else {
		p = TAILQ_FIRST(&q->fresh);
		TAILQ_REMOVE(&q->fresh, p, link);
	}
	q->count--;
	return p;
}

/* Deliver one message of the queue, if a consumer has room. */
static void serve(struct hub *h, struct queue *q)
{
	struct consumer *c;
	struct memory *t;
	struct parcel *p;

	TAILQ_REMOVE(&h->ready, q, ready_link);
	q->ready = false;
	if (q->count == 0 || !(c = next_consumer(q)))
		return;
	t = c->transport;
	p = queue_pop(q);
	queue_kick(h, q); /* at the end of the line, behind the other queues */
	if (p->m.body_len > t->base.max_message) {
		struct tf_message m = p->m;
		m.body = "";
		m.body_len = 0;
		t->base.stats.oversized++;
		if (t->base.events.oversized)
			t->base.events.oversized(t->base.arg, &m);
		parcel_unref(p);
		return;
	}
	t->base.stats.received++;
	c->unsettled++;
	p->consumer = c;
	p->m.tag = tf_tags_add(&t->tags, p);
	p->refs++;
	t->base.events.message(t->base.arg, &p->m); /* may settle, publish, close */
	parcel_unref(p);
}

static void dispatch(void *arg)
{
	struct hub *h = arg;
	struct notice *n;
	struct queue *q;
	int i;

	h->refs++;
	for (i = 0; i < TURN_MAX && (n = TAILQ_FIRST(&h->notices)); i++) {
		TAILQ_REMOVE(&h->notices, n, link);
		make_notice(n);
	}
	for (i = 0; i < TURN_MAX && (q = TAILQ_FIRST(&h->ready)); i++)
		serve(h, q);
	if (h->refs > 1 && (!TAILQ_EMPTY(&h->notices) || !TAILQ_EMPTY(&h->ready)))
		tf_post_wake(h->post);
	hub_unref(h);
}

static int memory_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_url_list *urls, struct tf_transport **out, struct tf_err *err)
{
	static const struct tf_option options[] = {{"polling_interval", TF_OPTION_IGNORED, NULL}, {0}};
	struct memory *t;
	int rc = tf_options_read("memory", config->options, options, err);

	(void)urls;
	if (rc < 0)
		return rc;
	t = TF_NEW(struct memory);
	t->hub = hub_get(loop, config->exchange);
	TAILQ_INIT(&t->consumers);
	TAILQ_INIT(&t->outbox);
	t->base.up = true;
	notify(t, &(struct notice){.is_state = true, .up = true}, NULL);
	*out = &t->base;
	return 0;
}

static int memory_consume(struct tf_transport *base, const char *topic, const char *group, unsigned prefetch,
	struct tf_err *err)
{
	(void)group;
	struct memory *t = (struct memory *)base;
	struct consumer *c;

	TAILQ_FOREACH(c, &t->consumers, transport_link)
	{
		if (strcmp(c->queue->topic, topic) == 0)
			return tf_err_set(err, TF_EEXIST, "topic %s is consumed already", topic);
	}
	c = TF_NEW(struct consumer);
	c->transport = t;
	c->queue = queue_declare(t->hub, topic);
	c->prefetch = prefetch;
	TAILQ_INSERT_TAIL(&t->consumers, c, transport_link);
	TAILQ_INSERT_TAIL(&c->queue->consumers, c, queue_link);
	queue_kick(t->hub, c->queue);
	return 0;
}

static void memory_limit(struct tf_transport *base, const char *topic, unsigned prefetch)
{
	struct memory *t = (struct memory *)base;
	struct consumer *c;

	TAILQ_FOREACH(c, &t->consumers, transport_link)
	{
		if (strcmp(c->queue->topic, topic) != 0)
			continue;
		c->prefetch = prefetch;
		queue_kick(t->hub, c->queue);
	}
}

static int memory_publish(struct tf_transport *base, const struct tf_message *m, unsigned flags, uint64_t id,
	struct tf_err *err)
{
	struct memory *t = (struct memory *)base;
	struct parcel *p = parcel_new(m);

	(void)err;
	p->flags = flags;
	p->id = id;
	base->queued++;
	if (base->up)
		route(t, p);
	else
		TAILQ_INSERT_TAIL(&t->outbox, p, link);
	return 0;
}

static void memory_settle(struct tf_transport *base, uint64_t tag, enum tf_settle how)
{
	struct memory *t = (struct memory *)base;
	struct parcel *p = tf_tags_take(&t->tags, tag);

	if (!p)
		return;
	if (how == TF_REQUEUE) {
		base->stats.requeued++;
		requeue(p);
		return;
	}
	if (how == TF_REJECT)
		base->stats.rejected++;
	p->consumer->unsettled--;
	queue_kick(t->hub, p->consumer->queue);
	parcel_unref(p);
}

static void requeue_each(void *arg, void *message)
{
	struct memory *t = arg;

	t->base.stats.requeued++;
	requeue(message);
}

static void memory_close(struct tf_transport *base)
{
	struct memory *t = (struct memory *)base;
	struct consumer *c;
	struct parcel *p;
	struct notice *n, *next;

	tf_tags_drain(&t->tags, requeue_each, t);
	tf_tags_destroy(&t->tags);
	while ((c = TAILQ_FIRST(&t->consumers))) {
		TAILQ_REMOVE(&t->consumers, c, transport_link);
		TAILQ_REMOVE(&c->queue->consumers, c, queue_link);
		if (TAILQ_EMPTY(&c->queue->consumers))
			queue_delete(t->hub, c->queue);
		free(c);
	}
	while ((p = TAILQ_FIRST(&t->outbox))) {
		TAILQ_REMOVE(&t->outbox, p, link);
		parcel_unref(p);
	}
	for (n = TAILQ_FIRST(&t->hub->notices); n; n = next) {
		next = TAILQ_NEXT(n, link);
		if (n->transport != t)
			continue;
		TAILQ_REMOVE(&t->hub->notices, n, link);
		free(n->err);
		free(n);
	}
	hub_unref(t->hub);
	free(t);
}

void tf_memory_set_up(struct tf_transport *base, bool up)
{
	struct memory *t = (struct memory *)base;
	struct consumer *c;
	struct parcel *p;
	struct tf_err err;

	TF_ASSERT(base->ops == &tf_transport_memory);
	if (base->up == up)
		return;
	base->up = up;
	if (!up) {
		tf_err_set(&err, TF_EIO, "connection cut by a test");
		notify(t, &(struct notice){.is_state = true}, &err);
		tf_tags_drain(&t->tags, requeue_each, t);
		return;
	}
	base->stats.reconnects++;
	notify(t, &(struct notice){.is_state = true, .up = true}, NULL);
	while ((p = TAILQ_FIRST(&t->outbox))) {
		TAILQ_REMOVE(&t->outbox, p, link);
		route(t, p);
	}
	TAILQ_FOREACH(c, &t->consumers, transport_link)
	{
		queue_kick(t->hub, c->queue);
	}
}

void tf_memory_drop(struct tf_transport *base, unsigned count)
{
	TF_ASSERT(base->ops == &tf_transport_memory);
	((struct memory *)base)->drop = count;
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
