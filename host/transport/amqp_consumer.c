/* The consumer link's thread: declares and consumes our queues, hands messages to the loop in
 * batches, settles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "transport/amqp_conn.h"
#include "transport/amqp_graves.h"

#define TAG_PREFIX "tfhost"
#define TAG_MAX 48

enum {
	READ_AT_ONCE = 512, /* frames, before settling and waking the loop */
	/* Deliveries that the loop has not taken; beyond, we stop reading. */
	WAITING_MAX = 20000,
	WAITING_BYTES_MAX = 64 << 20,
	TRACKED_MAX = 1 << 14,
	SHARED_MAX = 8,   /* topics; workers have one */
	STABLE_MS = 1000, /* a connection that lived so long was a good one */
	CLOSE_MS = 1000,
};

/* Settled or not, of the channel's delivery tags from `low` to `high`. When the oldest are acked, one
 * frame acks them all. */
struct tags {
	uint64_t low, high;
	bool lost_track;           /* more open at once than the ring holds: each is acked alone */
	uint8_t ring[TRACKED_MAX]; /* enum tag_state of tag n at n % TRACKED_MAX */
};

enum tag_state { OPEN, ACKED /* not yet sent */, SETTLED };

struct consuming {
	bool on;
	unsigned prefetch; /* what it was begun with */
	unsigned turn;     /* in its tag */
};

struct consumer {
	struct tf_amqp_shared *shared;
	struct tf_amqp_link *link;
	struct tf_amqp_conn conn;
	size_t url;
	uint64_t generation;         /* of the channel: the upper bits of our tags */
	struct consuming *consuming; /* owned; by topic */
	size_t known;                /* topics in `consuming` */
	size_t at;                   /* all topics below are consumed */
	unsigned limits;             /* of `shared`, when their prefetches were looked at */
	struct tf_amqp_delivery_list batch;
	uint64_t oversized, malformed;
	struct tags tags;
	struct tf_amqp_settle_list settles; /* taken over, being sent */
	struct tf_graves graves;            /* of who published to our shared topics */
};

/* --- frames --- */

static void track(struct tags *t, uint64_t tag)
{
	t->high = tag;
	if (t->high - t->low >= TRACKED_MAX)
		t->lost_track = true;
	t->ring[tag % TRACKED_MAX] = OPEN;
}

/* The broker has cancelled a consumer: its queue was deleted, or its node has died. */
static void on_cancel(struct consumer *c, amqp_bytes_t tag)
{
	const size_t prefix = strlen(TAG_PREFIX);
	char number[48] = "", *turn;
	size_t i;

	if (tag.len > prefix && tag.len - prefix < sizeof(number))
		memcpy(number, (const char *)tag.bytes + prefix, tag.len - prefix);
	i = (size_t)strtoul(number, &turn, 10);
	if (i >= c->known || *turn != '.' || strtoul(turn + 1, NULL, 10) != c->consuming[i].turn)
		return;
	c->consuming[i].on = false;
	c->at = 0;
	tf_warn("amqp", "%s: exchange %s: a queue of ours was deleted, declaring it again", c->conn.where,
		c->shared->exchange);
}

static int on_method(void *arg, const amqp_method_t *m, struct tf_err *err)
{
	(void)err;
	if (m->id == AMQP_BASIC_CANCEL_METHOD)
		on_cancel(arg, ((const amqp_basic_cancel_t *)m->decoded)->consumer_tag);
	return 0;
}

static int on_content(void *arg, struct tf_amqp_content *x, struct tf_err *err)
{
	struct consumer *c = arg;

	if (x->method != AMQP_BASIC_DELIVER_METHOD)
		return 0;
	track(&c->tags, x->delivery_tag);
	if (x->refused) {
		c->tags.ring[x->delivery_tag % TRACKED_MAX] = SETTLED;
		if (x->oversized)
			c->oversized++;
		else
			c->malformed++;
		tf_warn("amqp", "exchange %s, topic %s: message of %llu bytes rejected: %s",
			c->shared->exchange, x->routing_key, (unsigned long long)x->size, x->refused);
		if (x->d) {
			x->d->oversized = true;
			tf_amqp_delivery_append(&c->batch, x->d);
			x->d = NULL;
		}
		return tf_amqp_conn_settle(&c->conn, x->delivery_tag, TF_REJECT, err);
	}
	if (c->shared->options.durable) /* else the bindings go with the last worker */
		tf_graves_heard(&c->graves, x->routing_key, x->d->m.reply_to, tf_amqp_now());
	x->d->m.tag |= c->generation << TF_AMQP_TAG_BITS;
	tf_amqp_delivery_append(&c->batch, x->d);
	x->d = NULL;
	return 0;
}

static const struct tf_amqp_handler HANDLER = {.method = on_method, .content = on_content};

/* --- queues between us and the loop --- */

/* True when the loop has more than enough to do. */
static bool hand_over(struct consumer *c, bool wake)
{
	struct tf_amqp_shared *s = c->shared;
	bool throttled;

	pthread_mutex_lock(&s->lock);
	if (c->batch.head || c->oversized || c->malformed) {
		tf_amqp_delivery_join(&s->deliveries, &c->batch);
		s->oversized += c->oversized;
		s->malformed += c->malformed;
		c->oversized = c->malformed = 0;
		if (wake)
			tf_amqp_wake_loop(s);
	}
	throttled = s->deliveries.count > WAITING_MAX || s->deliveries.bytes > WAITING_BYTES_MAX;
	s->throttled = throttled;
	pthread_mutex_unlock(&s->lock);
	return throttled;
}

/* Ack the oldest in one frame, as far as nothing open is among them. */
static int ack_oldest(struct consumer *c, struct tf_err *err)
{
	struct tags *t = &c->tags;
	uint64_t last = 0;
	unsigned count = 0;

	for (; t->low <= t->high && t->ring[t->low % TRACKED_MAX] != OPEN; t->low++)
		if (t->ring[t->low % TRACKED_MAX] == ACKED) {
			last = t->low;
			count++;
		}
	return count ? tf_amqp_conn_ack(&c->conn, last, count > 1, err) : 0;
}

/* Acks are collected, the rest is sent; true in *later if it is an ack. */
static int settle(struct consumer *c, uint64_t tag, enum tf_settle how, bool *later, struct tf_err *err)
{
	struct tags *t = &c->tags;

	*later = false;
	if (t->lost_track)
		return tf_amqp_conn_settle(&c->conn, tag, how, err);
	if (tag < t->low || tag > t->high)
		return 0;
	*later = how == TF_ACK;
	t->ring[tag % TRACKED_MAX] = *later ? ACKED : SETTLED;
	return *later ? 0 : tf_amqp_conn_settle(&c->conn, tag, how, err);
}

static void take_settles(struct consumer *c)
{
	const struct tf_amqp_settle_list empty = {.items = c->settles.items, .cap = c->settles.cap};

	pthread_mutex_lock(&c->shared->lock);
	c->settles = c->shared->settles;
	c->shared->settles = empty; /* the two arrays swap for ever */
	pthread_mutex_unlock(&c->shared->lock);
}

static int send_settles(struct consumer *c, struct tf_err *err)
{
	const uint64_t mask = ((uint64_t)1 << TF_AMQP_TAG_BITS) - 1;
	size_t i, acks = 0;
	bool later;
	int rc = 0;

	take_settles(c);
	for (i = 0; i < c->settles.count && rc == 0; i++) {
		const struct tf_amqp_settle x = c->settles.items[i];

		/* Of a lost channel: the broker has already put the message back. */
		if (x.tag >> TF_AMQP_TAG_BITS != c->generation)
			continue;
		rc = settle(c, x.tag & mask, x.how, &later, err);
		if (later)
			c->settles.items[acks++].tag = x.tag & mask;
	}
	if (rc == 0)
		rc = ack_oldest(c, err);
	for (i = 0; i < acks && rc == 0; i++) {
		const uint64_t tag = c->settles.items[i].tag;

		if (tag < c->tags.low || c->tags.ring[tag % TRACKED_MAX] != ACKED)
			continue;
		c->tags.ring[tag % TRACKED_MAX] = SETTLED;
		rc = tf_amqp_conn_settle(&c->conn, tag, TF_ACK, err);
	}
	c->settles.count = 0;
	return rc == 0 ? tf_amqp_conn_flush(&c->conn, err) : rc;
}

static bool read_here(void *serving)
{
	struct consumer *c = serving;
	int rc = tf_amqp_conn_read_here(&c->conn, READ_AT_ONCE);

	hand_over(c, false);
	return rc == 0 && !c->conn.out.len && c->at == c->known;
}

bool tf_amqp_consumer_read(struct tf_amqp_shared *s)
{
	return tf_amqp_link_instead(&s->consumer, read_here);
}

static bool settle_without_waiting(void *serving)
{
	struct consumer *c = serving;
	struct tf_err err;
	bool sent;

	if (c->conn.out.len)
		return false;
	c->conn.no_waiting = true;
	sent = send_settles(c, &err) == 0;
	c->conn.no_waiting = false;
	if (!sent) /* those are lost: the broker gives the messages again on a new connection */
		tf_amqp_link_shutdown(c->link);
	return sent && !c->conn.out.len;
}

bool tf_amqp_consumer_settle(struct tf_amqp_shared *s)
{
	return tf_amqp_link_instead(&s->consumer, settle_without_waiting);
}

/* The next topic that is not consumed, copied: the array may move. False: all are, and the
 * publisher may send. */
static bool next_topic(struct consumer *c, struct tf_amqp_topic *out)
{
	struct tf_amqp_shared *s = c->shared;
	bool found = false;

	pthread_mutex_lock(&s->lock);
	if (c->known < s->topic_count) {
		c->consuming = tf_realloc(c->consuming, s->topic_count * sizeof(*c->consuming));
		while (c->known < s->topic_count)
			c->consuming[c->known++] = (struct consuming){0};
		c->at = 0;
	}
	while (c->at < c->known && c->consuming[c->at].on)
		c->at++;
	if (c->at < c->known) {
		found = true;
		*out = s->topics[c->at];
	}
	if (s->consumer_ready == found) {
		s->consumer_ready = !found;
		tf_amqp_link_wake(&s->publisher);
		tf_amqp_wake_loop(s);
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

static void tag_of(size_t i, unsigned turn, char tag[TAG_MAX])
{
	snprintf(tag, TAG_MAX, TAG_PREFIX "%zu.%u", i, turn);
}

static int begin_consuming(struct consumer *c, size_t i, const struct tf_amqp_topic *t, struct tf_err *err)
{
	char tag[TAG_MAX];
	int rc;

	tag_of(i, c->consuming[i].turn + 1, tag);
	rc = tf_amqp_conn_consume(&c->conn, t->name, t->prefetch, tag, err);
	if (rc == 0)
		c->consuming[i] = (struct consuming){true, t->prefetch, c->consuming[i].turn + 1};
	return rc;
}

static int consume_topics(struct consumer *c, struct tf_err *err)
{
	struct tf_amqp_topic t;
	int rc = 0;

	while (rc == 0 && next_topic(c, &t)) {
		rc = tf_amqp_conn_declare_exchange(&c->conn, err);
		if (rc == 0)
			rc = tf_amqp_conn_declare_queue(&c->conn, t.name, err);
		if (rc == 0 && t.group)
			rc = tf_amqp_conn_bind_queue(&c->conn, t.name, t.group, err);
		if (rc == TF_ESTATE)
			tf_amqp_conn_bury_queue(&c->conn, t.name); /* for the next connection */
		if (rc == 0)
			rc = begin_consuming(c, c->at, &t, err);
	}
	return rc;
}

/* A topic that is consumed with another prefetch than is wanted now. */
static bool changed_topic(struct consumer *c, size_t *i, struct tf_amqp_topic *out)
{
	struct tf_amqp_shared *s = c->shared;
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (*i = 0; c->limits != s->limits && *i < c->known; ++*i) {
		*out = s->topics[*i];
		found = c->consuming[*i].on && c->consuming[*i].prefetch != out->prefetch;
		if (found)
			break;
	}
	if (!found)
		c->limits = s->limits;
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* A consumer's limit is for life: another takes its place, and comes first, for a queue of ours goes with its last. */
static int follow_limits(struct consumer *c, struct tf_err *err)
{
	struct tf_amqp_topic t;
	char old[TAG_MAX];
	size_t i;
	int rc = 0;

	while (rc == 0 && changed_topic(c, &i, &t)) {
		tag_of(i, c->consuming[i].turn, old);
		rc = begin_consuming(c, i, &t, err);
		if (rc == 0)
			rc = tf_amqp_conn_cancel(&c->conn, old, err);
	}
	return rc;
}

/* Names of the topics that are not ours alone, at most `max`; they stay. */
static size_t shared_topics(struct tf_amqp_shared *s, const char **names, size_t max)
{
	size_t i, n = 0;

	pthread_mutex_lock(&s->lock);
	for (i = 0; i < s->topic_count && n < max; i++)
		if (!tf_is_uuid(s->topics[i].name))
			names[n++] = s->topics[i].name;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static int look_at_graves(struct consumer *c, struct tf_err *err)
{
	const uint64_t now = tf_amqp_now();
	const char *names[SHARED_MAX];

	if (tf_graves_due(&c->graves, now) > 0)
		return 0;
	return tf_graves_look(
		&c->graves, &c->conn, names, shared_topics(c->shared, names, SHARED_MAX), now, err);
}

/* --- a connection's life --- */

static int connect_broker(struct consumer *c, struct tf_err *err)
{
	struct tf_amqp_shared *s = c->shared;
	int rc = tf_amqp_conn_open(&c->conn, &s->urls.urls[c->url], err);

	if (rc < 0)
		return rc;
	c->generation = (c->generation + 1) & 0xffff;
	c->known = c->at = 0;
	c->tags = (struct tags){.low = 1};
	rc = tf_amqp_conn_declare_exchange(&c->conn, err);
	if (rc == 0)
		rc = consume_topics(c, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	s->active_url = c->url;
	pthread_mutex_unlock(&s->lock);
	tf_amqp_link_up(s, c->link);
	tf_amqp_link_wake(&s->publisher); /* it follows us to this URL */
	return 0;
}

/* The loop has too much to do: keep the connection alive without reading. */
static int pause_reading(struct consumer *c, struct tf_err *err)
{
	const unsigned interval = c->conn.heartbeat ? (unsigned)c->conn.heartbeat * 250 : 1000;
	uint64_t now;

	tf_amqp_link_sleep(c->link, (int)interval);
	now = tf_amqp_now();
	atomic_store(&c->link->busy_since, now);
	if (!c->conn.heartbeat || now - c->conn.serviced < interval)
		return 0;
	c->conn.serviced = now;
	return tf_amqp_conn_send_heartbeat(&c->conn, err);
}

/* Until stopped (0) or the connection is lost. */
static int serve(struct consumer *c, struct tf_err *err)
{
	bool stop, throttled = false;
	int rc;

	for (;;) {
		stop = tf_amqp_link_stopping(c->shared, c->link, NULL);
		rc = send_settles(c, err);
		if (rc < 0 || stop)
			return rc;
		rc = consume_topics(c, err);
		if (rc == 0)
			rc = follow_limits(c, err);
		if (rc == 0)
			rc = look_at_graves(c, err);
		if (rc < 0)
			return rc;
		if (throttled)
			rc = pause_reading(c, err);
		else if (tf_amqp_conn_wait(&c->conn, tf_graves_due(&c->graves, tf_amqp_now())))
			rc = tf_amqp_conn_read(&c->conn, READ_AT_ONCE, err);
		throttled = hand_over(c, true);
		if (rc < 0)
			return rc;
	}
}

/* The next topic from *i on whose queue is ours alone; its name stays. NULL: no more. */
static const char *private_topic(struct tf_amqp_shared *s, size_t *i)
{
	const char *found = NULL;

	pthread_mutex_lock(&s->lock);
	while (!found && *i < s->topic_count) {
		const char *name = s->topics[(*i)++].name;

		found = tf_is_uuid(name) ? name : NULL;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* Queues of others would keep the bindings of groups that we made. */
static void leave_groups(struct consumer *c)
{
	struct tf_amqp_topic t = {0};
	size_t i = 0, count = 0;

	do {
		pthread_mutex_lock(&c->shared->lock);
		count = c->shared->topic_count;
		if (i < count)
			t = c->shared->topics[i];
		pthread_mutex_unlock(&c->shared->lock);
		if (i < count && t.group && !tf_is_uuid(t.name) &&
			tf_amqp_conn_unbind_queue(&c->conn, t.name, t.group, NULL) < 0)
			return;
	} while (++i < count);
}

/* Nobody will read what comes now. Without an answer in time they go when they expire. */
static void delete_private_queues(struct consumer *c)
{
	const char *topic;
	size_t i = 0;

	while ((topic = private_topic(c->shared, &i)) != NULL)
		if (tf_amqp_conn_delete_queue(&c->conn, topic, NULL) < 0)
			return;
}

static void leave(struct consumer *c)
{
	const struct timeval tv = tf_amqp_seconds(CLOSE_MS / 1000.0);

	amqp_set_rpc_timeout(c->conn.state, &tv);
	leave_groups(c);
	if (c->shared->options.durable)
		delete_private_queues(c);
}

static void disconnect(struct consumer *c, bool orderly)
{
	pthread_mutex_lock(&c->shared->lock);
	c->shared->consumer_ready = false;
	pthread_mutex_unlock(&c->shared->lock);
	hand_over(c, true);
	tf_amqp_conn_close(&c->conn, orderly, CLOSE_MS);
}

void *tf_amqp_consumer_main(void *shared)
{
	struct tf_amqp_shared *s = shared;
	struct consumer c = {
		.shared = s,
		.link = &s->consumer,
		.conn = {.shared = s,
			.link = &s->consumer,
			.handler = &HANDLER,
			.declare_channel = TF_AMQP_CHANNEL},
	};
	struct tf_err err;
	unsigned failures = 0;
	uint64_t since;
	int rc;

	c.conn.arg = &c;
	tf_graves_create(&c.graves);
	pthread_mutex_lock(&c.link->own);
	while (!tf_amqp_link_stopping(s, c.link, NULL)) {
		since = tf_amqp_now();
		rc = connect_broker(&c, &err);
		c.link->serving = rc == 0 && !c.conn.tls ? &c : NULL;
		c.link->connection++;
		if (rc == 0)
			rc = serve(&c, &err);
		else
			since = UINT64_MAX;
		c.link->serving = NULL;
		if (rc == 0)
			leave(&c);
		disconnect(&c, rc == 0 || rc == TF_ESTATE);
		if (rc == 0)
			break;
		tf_amqp_link_down(s, c.link, &err);
		if (since != UINT64_MAX && tf_amqp_now() - since >= STABLE_MS) {
			failures = 0; /* the same broker again, at once */
			continue;
		}
		c.url = (c.url + 1) % s->urls.count;
		if (++failures % s->urls.count == 0)
			tf_amqp_link_backoff(s, c.link, (unsigned)(failures / s->urls.count));
	}
	tf_amqp_delivery_free(&c.batch);
	free(c.settles.items);
	free(c.consuming);
	tf_graves_destroy(&c.graves);
	pthread_mutex_unlock(&c.link->own);
	tf_amqp_link_end(s, c.link);
	return NULL;
}
