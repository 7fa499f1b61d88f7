/* The amqp transport's side on the loop; see amqp.h for how it works. */
#include "transport/amqp.h"
#include "transport/amqp_diagnose.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "transport/amqp_watch.h"

enum {
	TOLD_MAX = 16,
	DELIVER_AT_ONCE = 512, /* messages in one turn of the loop */
	FLUSH_MS = 2000,       /* transport.h, tf_transport_close */
	GRACE_MS = 300,        /* for a thread whose socket was shut down */
	WATCH_MS = 500,
	STUCK_MS_WITHOUT_HEARTBEAT = 60000,
	SEND_AT_ONCE = 64,                  /* messages of one turn */
	QUEUED_BYTES_PER_MESSAGE_LIMIT = 4, /* publishes waiting: so many times max_message */
};

struct tf_amqp {
	struct tf_transport base;
	struct tf_amqp_shared *shared; /* one reference */
	struct tf_timer *watchdog;
	struct tf_later *send; /* what this turn has published and settled */
	struct tf_amqp_watch confirms, messages;
	unsigned unsent;
	bool unsettled;
	uint64_t order; /* of the last publish */
	size_t queued_bytes;
	struct tf_amqp_delivery_list deliveries;        /* taken over, not yet called back */
	unsigned consumer_failures, publisher_failures; /* seen */
	uint64_t told[TOLD_MAX]; /* hashes of the errors reported since it was last up; 0: free */
	bool *closed; /* set by close when it is called from a callback of ours; NULL: not in one */
	bool was_up;
};

static struct tf_amqp *amqp_of(struct tf_transport *t)
{
	return (struct tf_amqp *)t;
}

/* --- news from the threads --- */

struct news {
	struct tf_amqp_publish_list published;
	bool up, fresh_error;
	bool skipped; /* deliveries were left, those before come first */
	struct tf_err err;
};

static bool fresh(struct tf_amqp_link *l, unsigned *seen, struct news *n)
{
	if (l->failures == *seen)
		return false;
	*seen = l->failures;
	n->err = l->err;
	return true;
}

static struct news take_news(struct tf_amqp *a)
{
	struct tf_amqp_shared *s = a->shared;
	struct news n = {0};

	pthread_mutex_lock(&s->lock);
	n.skipped = a->deliveries.head != NULL;
	if (!n.skipped) { /* else they stay there, and count against the consumer */
		a->deliveries = s->deliveries;
		s->deliveries = (struct tf_amqp_delivery_list){0};
		if (s->throttled)
			tf_amqp_link_wake(&s->consumer);
		s->throttled = false;
	}
	n.published = s->published;
	/* Up means consuming: not before every topic is. Another topic later does not make it down. */
	n.up = s->consumer.up && s->publisher.up && (s->consumer_ready || a->base.up);
	n.fresh_error = fresh(&s->publisher, &a->publisher_failures, &n);
	n.fresh_error |= fresh(&s->consumer, &a->consumer_failures, &n);
	a->base.stats.oversized += s->oversized;
	a->base.stats.malformed += s->malformed;
	s->oversized = s->malformed = 0;
	s->published = (struct tf_amqp_publish_list){0};
	pthread_mutex_unlock(&s->lock);
	return n;
}

static void tell_state(struct tf_amqp *a, bool up, const struct tf_err *err)
{
	a->base.up = up;
	if (a->base.events.state)
		a->base.events.state(a->base.arg, up, err);
}

static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3;
	return h ? h : 1;
}

/* Whether this was told before: each attempt fails alike, those at other URLs in their own way. */
static bool told(struct tf_amqp *a, const struct tf_err *err)
{
	const uint64_t h = hash(err->message);
	size_t i;

	for (i = 0; i < TOLD_MAX && a->told[i]; i++)
		if (a->told[i] == h)
			return true;
	a->told[i % TOLD_MAX] = h;
	return false;
}

static void on_down(struct tf_amqp *a, const struct tf_err *err)
{
	if (told(a, err) && !a->base.up)
		return;
	tf_warn("amqp", "exchange %s: %s; trying again", a->base.exchange, err->message);
	tell_state(a, false, err);
}

static void on_up(struct tf_amqp *a)
{
	if (a->was_up)
		a->base.stats.reconnects++;
	a->was_up = true;
	memset(a->told, 0, sizeof(a->told));
	tf_info("amqp", "exchange %s: connected", a->base.exchange);
	tell_state(a, true, NULL);
}

static void on_published(struct tf_amqp *a, struct tf_amqp_publish *m)
{
	if (m->lost) {
		if (a->base.events.lost)
			a->base.events.lost(a->base.arg, m->m.topic);
		free(m);
		return;
	}
	a->base.queued--;
	a->queued_bytes -= m->size;
	if (m->status == TF_PUBLISHED) {
		a->base.stats.published++;
		tf_histogram_add(&a->base.confirm, tf_clock_us() - m->at_us);
	} else if (m->status == TF_RETURNED)
		a->base.stats.returned++;
	if (m->id && a->base.events.published)
		a->base.events.published(a->base.arg, m->id, m->status, m->err);
	free(m->err);
	free(m);
}

static void on_delivery(struct tf_amqp *a, struct tf_amqp_delivery *d)
{
	if (!d->oversized) {
		a->base.stats.received++;
		a->base.events.message(a->base.arg, &d->m);
	} else if (a->base.events.oversized) {
		a->base.events.oversized(a->base.arg, &d->m);
	}
	free(d);
}

/* False: closed by a callback, and `a` is gone. */
static bool deliver(struct tf_amqp *a, bool more, const bool *closed)
{
	struct tf_amqp_delivery *d;
	int n;

	for (n = 0; n < DELIVER_AT_ONCE && (d = a->deliveries.head) != NULL; n++) {
		a->deliveries.head = d->next;
		if (!d->next)
			a->deliveries = (struct tf_amqp_delivery_list){0};
		on_delivery(a, d);
		if (*closed)
			return false;
	}
	if (a->deliveries.head || more)
		tf_post_wake(a->shared->post); /* timers and other descriptors come first */
	return true;
}

/* Everything is taken before the first callback: callbacks may call anything, close included. */
static void on_post(void *arg)
{
	struct tf_amqp *a = arg;
	struct news n = take_news(a);
	struct tf_amqp_publish *p;
	bool closed = false;

	tf_amqp_watch_begin(&a->confirms);
	tf_amqp_watch_begin(&a->messages);
	a->closed = &closed;
	if (n.fresh_error)
		on_down(a, &n.err);
	if (!closed && n.up && !a->base.up)
		on_up(a);
	while (!closed && (p = tf_amqp_publish_shift(&n.published)) != NULL)
		on_published(a, p);
	tf_amqp_publish_free(&n.published);
	if (!closed && deliver(a, n.skipped, &closed))
		a->closed = NULL;
}

/* What was taken over comes first: on_post is on its way. */
static bool read_confirms(void *arg)
{
	struct tf_amqp *a = arg;

	return a->deliveries.head || tf_amqp_publisher_read(a->shared);
}

static bool read_messages(void *arg)
{
	struct tf_amqp *a = arg;

	return a->deliveries.head || tf_amqp_consumer_read(a->shared);
}

/* --- watching the threads --- */

static void watch(struct tf_amqp *a, struct tf_amqp_link *l)
{
	const uint64_t heartbeat = (uint64_t)a->shared->options.heartbeat * 1000;
	const uint64_t limit = heartbeat ? heartbeat * 2 : STUCK_MS_WITHOUT_HEARTBEAT;
	const uint64_t since = atomic_load(&l->busy_since), now = tf_amqp_now();

	if (since == 0 || now < since || now - since <= limit)
		return;
	tf_warn("amqp", "exchange %s: the %s's connection is stuck for %llu s: closing it", a->base.exchange,
		l->name, (unsigned long long)(now - since) / 1000);
	tf_amqp_link_shutdown(l);
}

static void on_watchdog(void *arg)
{
	struct tf_amqp *a = arg;

	watch(a, &a->shared->consumer);
	watch(a, &a->shared->publisher);
}

/* --- sending --- */

static void send_published(struct tf_amqp *a)
{
	if (a->unsent && !tf_amqp_publisher_send(a->shared))
		tf_amqp_link_wake(&a->shared->publisher);
	a->unsent = 0;
}

/* The outcomes first: a request is acknowledged after them. */
static void on_send(void *arg)
{
	struct tf_amqp *a = arg;

	send_published(a);
	if (a->unsettled && !tf_amqp_consumer_settle(a->shared))
		tf_amqp_link_wake(&a->shared->consumer);
	a->unsettled = false;
}

/* --- open --- */

/* kombu reads some options out of the query; better to say that we do not than to ignore it. */
static void warn_of_queries(const struct tf_url_list *urls)
{
	char *where;
	size_t i;

	for (i = 0; i < urls->count; i++) {
		if (!urls->urls[i].query)
			continue;
		where = tf_url_redact(&urls->urls[i]);
		tf_warn("amqp", "%s: what follows '?' in the URL is ignored: use transport_options", where);
		free(where);
	}
}

static int amqp_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_url_list *urls, struct tf_transport **out, struct tf_err *err)
{
	struct tf_amqp *a;
	struct tf_amqp_shared *s;
	int rc = tf_amqp_shared_new(config, urls, &s, err);

	if (rc < 0)
		return rc;
	warn_of_queries(urls);
	a = TF_NEW(struct tf_amqp);
	a->shared = s;
	a->confirms = (struct tf_amqp_watch){
		.loop = loop, .link = &s->publisher, .read = read_confirms, .news = on_post, .arg = a};
	a->messages = (struct tf_amqp_watch){
		.loop = loop, .link = &s->consumer, .read = read_messages, .news = on_post, .arg = a};
	s->post = tf_post_new(loop, on_post, a);
	a->send = tf_later_new(loop, on_send, a);
	a->watchdog = tf_timer_new(loop, on_watchdog, a);
	tf_timer_start(a->watchdog, WATCH_MS, WATCH_MS);
	s->refs += 2;
	tf_amqp_link_start(&s->consumer, tf_amqp_consumer_main, s);
	tf_amqp_link_start(&s->publisher, tf_amqp_publisher_main, s);
	*out = &a->base;
	return 0;
}

/* --- calls --- */

static int amqp_consume(
	struct tf_transport *t, const char *topic, const char *group, unsigned prefetch, struct tf_err *err)
{
	struct tf_amqp_shared *s = amqp_of(t)->shared;
	size_t i;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->topic_count && rc == 0; i++)
		if (strcmp(s->topics[i].name, topic) == 0)
			rc = tf_err_set(err, TF_EEXIST, "topic %s is consumed already", topic);
	if (rc == 0) {
		s->topics = tf_realloc(s->topics, (s->topic_count + 1) * sizeof(*s->topics));
		s->topics[s->topic_count++] = (struct tf_amqp_topic){
			.name = tf_strdup(topic), .group = tf_strdup(group), .prefetch = prefetch};
		s->consumer_ready = false; /* what is published from now on waits for it */
	}
	pthread_mutex_unlock(&s->lock);
	tf_amqp_link_wake(&s->consumer);
	return rc;
}

static void amqp_limit(struct tf_transport *t, const char *topic, unsigned prefetch)
{
	struct tf_amqp_shared *s = amqp_of(t)->shared;
	size_t i;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->topic_count; i++)
		if (strcmp(s->topics[i].name, topic) == 0)
			s->topics[i].prefetch = prefetch;
	s->limits++;
	pthread_mutex_unlock(&s->lock);
	tf_amqp_link_wake(&s->consumer);
}

static char *put(char **at, const char *text)
{
	char *start = *at;

	if (!text)
		return NULL;
	*at = stpcpy(start, text) + 1;
	return start;
}

static size_t room(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

struct tf_amqp_publish *tf_amqp_publish_new(const struct tf_message *m)
{
	size_t size = sizeof(struct tf_amqp_publish) + room(m->topic) + room(m->type) + room(m->reply_to) +
		      room(m->correlation_id) + room(m->peer) + m->body_len;
	struct tf_amqp_publish *p = tf_malloc(size);
	char *at = (char *)(p + 1);

	*p = (struct tf_amqp_publish){.size = size};
	p->m.topic = put(&at, m->topic);
	p->m.type = put(&at, m->type);
	p->m.reply_to = put(&at, m->reply_to);
	p->m.correlation_id = put(&at, m->correlation_id);
	p->m.peer = put(&at, m->peer);
	p->at_us = tf_clock_us();
	p->m.body = at;
	p->m.body_len = m->body_len;
	p->m.priority = m->priority;
	p->m.expires_ms = m->expires_ms;
	if (m->body_len)
		memcpy(at, m->body, m->body_len);
	return p;
}

static int amqp_publish(
	struct tf_transport *t, const struct tf_message *m, unsigned flags, uint64_t id, struct tf_err *err)
{
	struct tf_amqp *a = amqp_of(t);
	struct tf_amqp_shared *s = a->shared;
	const size_t limit = s->max_message * QUEUED_BYTES_PER_MESSAGE_LIMIT;
	struct tf_amqp_publish *p;

	if (t->queued && a->queued_bytes + m->body_len > limit)
		return tf_err_set(
			err, TF_EAGAIN, "%zu bytes of messages wait to be published", a->queued_bytes);
	p = tf_amqp_publish_new(m);
	p->flags = flags;
	p->id = id;
	p->order = ++a->order;
	t->queued++;
	a->queued_bytes += p->size;
	pthread_mutex_lock(&s->lock);
	tf_amqp_publish_append(&s->to_publish, p);
	pthread_mutex_unlock(&s->lock);
	tf_later_ask(a->send);
	if (++a->unsent == SEND_AT_ONCE)
		send_published(a);
	return 0;
}

static void amqp_settle(struct tf_transport *t, uint64_t tag, enum tf_settle how)
{
	struct tf_amqp_shared *s = amqp_of(t)->shared;
	struct tf_amqp_settle_list *l = &s->settles;

	if (how == TF_REJECT)
		t->stats.rejected++;
	else if (how == TF_REQUEUE)
		t->stats.requeued++;
	pthread_mutex_lock(&s->lock);
	if (l->count == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->items = tf_realloc(l->items, l->cap * sizeof(*l->items));
	}
	l->items[l->count++] = (struct tf_amqp_settle){tag, how};
	pthread_mutex_unlock(&s->lock);
	amqp_of(t)->unsettled = true;
	tf_later_ask(amqp_of(t)->send);
}

/* --- close --- */

/* A thread that does not end in time hangs in the resolver or in connect, which nobody can break off: it
 * ends by itself later, and frees what is shared. */
static void stop_link(struct tf_amqp_shared *s, struct tf_amqp_link *l, uint64_t deadline)
{
	pthread_mutex_lock(&s->lock);
	l->stop = true;
	l->deadline = deadline;
	pthread_mutex_unlock(&s->lock);
	tf_amqp_link_wake(l);
	if (tf_amqp_link_join(s, l, deadline))
		return;
	tf_amqp_link_shutdown(l);
	if (!tf_amqp_link_join(s, l, tf_amqp_now() + GRACE_MS))
		pthread_detach(l->thread);
}

static void amqp_close(struct tf_transport *t)
{
	struct tf_amqp *a = amqp_of(t);
	struct tf_amqp_shared *s = a->shared;
	const uint64_t deadline = tf_amqp_now() + FLUSH_MS;
	size_t lost = 0;
	struct tf_amqp_publish *p;
	struct tf_post *post;

	tf_amqp_watch_end(&a->confirms);
	tf_amqp_watch_end(&a->messages);
	/* The publisher first: our queues live until the consumer has gone. */
	stop_link(s, &s->publisher, deadline);
	stop_link(s, &s->consumer, deadline > tf_amqp_now() + GRACE_MS ? deadline : tf_amqp_now() + GRACE_MS);
	pthread_mutex_lock(&s->lock);
	post = s->post;
	s->post = NULL;
	for (p = s->to_publish.head; p; p = p->next)
		lost++;
	pthread_mutex_unlock(&s->lock);
	if (lost)
		tf_warn("amqp", "exchange %s: closed with %zu messages that the broker has not confirmed",
			t->exchange, lost);
	tf_post_delete(post);
	tf_later_delete(a->send);
	tf_timer_delete(a->watchdog);
	if (a->closed)
		*a->closed = true;
	tf_amqp_delivery_free(&a->deliveries);
	tf_amqp_shared_unref(s);
	free(a);
}

const struct tf_transport_ops tf_transport_amqp = {
	.name = "amqp",
	.broker = true,
	.tracks = true,
	.groups = true,
	.schemes = {"amqp", "amqps", NULL},
	.open = amqp_open,
	.consume = amqp_consume,
	.limit = amqp_limit,
	.publish = amqp_publish,
	.settle = amqp_settle,
	.close = amqp_close,
	.diagnose = tf_amqp_diagnose,
};
