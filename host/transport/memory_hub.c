#include "transport/memory_hub.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { TURN_MAX = 256 }; /* callbacks of a kind before other handles of the loop get their turn */

/* The broker of this process. The transport interface has no broker to hand in but the loop. */
static pthread_mutex_t hubs_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tf_memory_hub *hubs;

static void dispatch(void *arg);

struct tf_memory_hub *tf_memory_hub_get(struct tf_loop *loop, const char *exchange)
{
	struct tf_memory_hub *h;

	pthread_mutex_lock(&hubs_lock);
	for (h = hubs; h && (h->loop != loop || strcmp(h->exchange, exchange) != 0); h = h->next)
		;
	if (!h) {
		h = TF_NEW(struct tf_memory_hub);
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

void tf_memory_parcel_unref(struct tf_memory_parcel *p)
{
	if (--p->refs == 0)
		free(p);
}

static void queue_free(void *value)
{
	struct tf_memory_queue *q = value;
	struct tf_memory_parcel *p;

	TF_ASSERT(TAILQ_EMPTY(&q->consumers));
	while ((p = TAILQ_FIRST(&q->again))) {
		TAILQ_REMOVE(&q->again, p, link);
		tf_memory_parcel_unref(p);
	}
	while ((p = TAILQ_FIRST(&q->fresh))) {
		TAILQ_REMOVE(&q->fresh, p, link);
		tf_memory_parcel_unref(p);
	}
	free(q->topic);
	free(q);
}

void tf_memory_hub_unref(struct tf_memory_hub *h)
{
	struct tf_memory_hub **at;

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

struct tf_memory_queue *tf_memory_queue_declare(struct tf_memory_hub *h, const char *topic)
{
	struct tf_memory_queue *q = tf_map_get(h->queues, topic);

	if (q)
		return q;
	q = TF_NEW(struct tf_memory_queue);
	q->topic = tf_strdup(topic);
	TAILQ_INIT(&q->again);
	TAILQ_INIT(&q->fresh);
	TAILQ_INIT(&q->consumers);
	tf_map_set(h->queues, topic, q);
	return q;
}

void tf_memory_queue_delete(struct tf_memory_hub *h, struct tf_memory_queue *q)
{
	tf_map_remove(h->queues, q->topic);
	if (q->ready)
		TAILQ_REMOVE(&h->ready, q, ready_link);
	queue_free(q);
}

void tf_memory_queue_kick(struct tf_memory_hub *h, struct tf_memory_queue *q)
{
	if (q->ready || q->count == 0)
		return;
	q->ready = true;
	TAILQ_INSERT_TAIL(&h->ready, q, ready_link);
	tf_post_wake(h->post);
}

void tf_memory_requeue(struct tf_memory_parcel *p)
{
	struct tf_memory_consumer *c = p->consumer;
	struct tf_memory_queue *q = c->queue;
	struct tf_memory_parcel *after = TAILQ_LAST(&q->again, tf_memory_parcels);

	while (after && after->seq > p->seq)
		after = TAILQ_PREV(after, tf_memory_parcels, link);
	if (after)
		TAILQ_INSERT_AFTER(&q->again, after, p, link);
	else
		TAILQ_INSERT_HEAD(&q->again, p, link);
	p->m.redelivered = true;
	p->consumer = NULL;
	q->count++;
	c->unsettled--;
	tf_memory_queue_kick(c->transport->hub, q);
}

void tf_memory_notify(struct tf_memory *t, const struct tf_memory_notice *what, const struct tf_err *err)
{
	struct tf_memory_notice *n = TF_NEW(struct tf_memory_notice);

	*n = *what;
	n->transport = t;
	if (err) {
		n->err = TF_NEW(struct tf_err);
		*n->err = *err;
	}
	TAILQ_INSERT_TAIL(&t->hub->notices, n, link);
	tf_post_wake(t->hub->post);
}

static void finish(struct tf_memory *t, uint64_t id, enum tf_publish_status status, const struct tf_err *err)
{
	if (status == TF_PUBLISHED)
		t->base.stats.published++;
	else if (status == TF_RETURNED)
		t->base.stats.returned++;
	if (id)
		tf_memory_notify(t, &(struct tf_memory_notice){.id = id, .status = status}, err);
	else
		t->base.queued--;
}

void tf_memory_route(struct tf_memory *t, struct tf_memory_parcel *p)
{
	struct tf_memory_queue *q = tf_map_get(t->hub->queues, p->m.topic);
	struct tf_err err;
	uint64_t id = p->id;

	if (t->drop) {
		t->drop--;
		tf_memory_parcel_unref(p);
		finish(t, id, TF_PUBLISHED, NULL);
		return;
	}
	if (!q && (p->flags & TF_PUBLISH_DECLARE))
		q = tf_memory_queue_declare(t->hub, p->m.topic);
	if (!q) {
		tf_memory_parcel_unref(p);
		finish(t, id, TF_RETURNED, NULL);
		return;
	}
	if (q->count >= t->base.max_queued) {
		tf_err_set(&err, TF_ELIMIT, "the queue of topic %s holds %zu messages that nobody reads",
			q->topic, q->count);
		tf_memory_parcel_unref(p);
		finish(t, id, TF_PUBLISH_FAILED, &err);
		return;
	}
	p->seq = q->seq++;
	q->count++;
	TAILQ_INSERT_TAIL(&q->fresh, p, link);
	finish(t, id, TF_PUBLISHED, NULL);
	tf_memory_queue_kick(t->hub, q);
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

struct tf_memory_parcel *tf_memory_parcel_new(const struct tf_message *m)
{
	size_t strings =
		room(m->topic) + room(m->type) + room(m->reply_to) + room(m->correlation_id) + room(m->peer);
	struct tf_memory_parcel *p = tf_malloc(sizeof(*p) + strings + m->body_len + 1);
	char *at = (char *)(p + 1);

	*p = (struct tf_memory_parcel){.refs = 1};
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

static void make_notice(struct tf_memory_notice *n)
{
	struct tf_memory *t = n->transport;

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

static bool has_room(const struct tf_memory_consumer *c)
{
	return c->transport->base.up && (c->prefetch == 0 || c->unsettled < c->prefetch);
}

/* The first consumer with room moves to the end of the line. */
static struct tf_memory_consumer *next_consumer(struct tf_memory_queue *q)
{
	struct tf_memory_consumer *c;

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

static struct tf_memory_parcel *queue_pop(struct tf_memory_queue *q)
{
	struct tf_memory_parcel *p = TAILQ_FIRST(&q->again);

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
static void serve(struct tf_memory_hub *h, struct tf_memory_queue *q)
{
	struct tf_memory_consumer *c;
	struct tf_memory *t;
	struct tf_memory_parcel *p;

	TAILQ_REMOVE(&h->ready, q, ready_link);
	q->ready = false;
	if (q->count == 0 || !(c = next_consumer(q)))
		return;
	t = c->transport;
	p = queue_pop(q);
	tf_memory_queue_kick(h, q); /* at the end of the line, behind the other queues */
	if (p->m.body_len > t->base.max_message) {
		struct tf_message m = p->m;
		m.body = "";
		m.body_len = 0;
		t->base.stats.oversized++;
		if (t->base.events.oversized)
			t->base.events.oversized(t->base.arg, &m);
		tf_memory_parcel_unref(p);
		return;
	}
	t->base.stats.received++;
	c->unsettled++;
	p->consumer = c;
	p->m.tag = tf_tags_add(&t->tags, p);
	p->refs++;
	t->base.events.message(t->base.arg, &p->m); /* may settle, publish, close */
	tf_memory_parcel_unref(p);
}

static void dispatch(void *arg)
{
	struct tf_memory_hub *h = arg;
	struct tf_memory_notice *n;
	struct tf_memory_queue *q;
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
	tf_memory_hub_unref(h);
}
