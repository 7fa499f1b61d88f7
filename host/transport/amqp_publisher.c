/* The publisher link's thread: publishes in order, takes the broker's confirms and returns.
 *
 * A message is in one of three places: `queue` (to be sent), `inflight` (sent, unconfirmed), `done`.
 * Whatever loses a channel moves all of `inflight` back to the front of `queue`, in the order of
 * submission: delivery is at least once.
 *
 * A refusal that is no fault of the message (a permission was taken away, the vhost is being deleted) is waited out: one that
 * concerns the exchange like a lost connection, one that concerns a topic's queue by the messages to it, in `barred`.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "transport/amqp_conn.h"
#include "transport/amqp_routes.h"

enum {
	SEND_AT_ONCE = 64, /* messages between two looks at what the broker says */
	SEND_BYTES_AT_ONCE = 1 << 20,
	INFLIGHT_MAX = 4096, /* a power of two */
	READ_AT_ONCE = 1024,
	TRIES_MAX = 8, /* of a message that the broker returns or refuses */
	DECLARED_MAX = 10000,
	STABLE_MS = 1000,
	CLOSE_MS = 500,
	BARRED_MS = 1000, /* between two tries of what may not be declared */
	BARRED_SAID_MS = 10000,
};

struct publisher {
	struct tf_amqp_shared *shared;
	struct tf_amqp_link *link;
	struct tf_amqp_conn conn;
	size_t url;
	struct tf_map *declared; /* topics, on this channel */
	struct tf_routes routes;
	struct tf_amqp_publish_list queue, again, done;
	struct tf_amqp_publish_list barred; /* may not be sent for now */
	uint64_t barred_until, barred_said; /* ms */
	bool mute;                          /* the broker refused a message: up again when it takes one */
	/* Ring: sequence number n of the channel is at n % INFLIGHT_MAX; NULL: settled. */
	struct tf_amqp_publish *inflight[INFLIGHT_MAX];
	uint64_t first, next; /* sequence numbers: oldest unsettled, next to be sent */
	uint64_t returned;    /* where the last return was found */
	/* Messages to be sent one at a time, since the broker closed the channel over one of them. */
	size_t suspects;
};

static struct tf_amqp_publish **slot(struct publisher *p, uint64_t seq)
{
	return &p->inflight[seq % INFLIGHT_MAX];
}

/* --- outcomes --- */

static void finish(struct publisher *p, struct tf_amqp_publish *m, enum tf_publish_status status,
	const struct tf_err *err)
{
	m->status = status;
	if (err) {
		m->err = TF_NEW(struct tf_err);
		*m->err = *err;
	}
	tf_amqp_publish_append(&p->done, m);
	if (p->suspects)
		p->suspects--;
}

/* `wake`: unless it is the loop that calls, and looks next. */
static void report(struct publisher *p, bool wake)
{
	struct tf_amqp_shared *s = p->shared;

	if (!p->done.head)
		return;
	pthread_mutex_lock(&s->lock);
	tf_amqp_publish_prepend(&p->done, &s->published);
	s->published = p->done;
	p->done = (struct tf_amqp_publish_list){0};
	if (wake)
		tf_amqp_wake_loop(s);
	pthread_mutex_unlock(&s->lock);
}

/* Send it again, unless that was tried often enough. */
static void try_again(
	struct publisher *p, struct tf_amqp_publish *m, enum tf_publish_status otherwise, const char *why)
{
	struct tf_err err;

	if (++m->tries < TRIES_MAX) {
		tf_amqp_publish_append(&p->again, m);
		return;
	}
	tf_err_set(&err, TF_EIO, "%s: message to topic %s: %s, %u times", p->conn.where, m->m.topic, why,
		m->tries);
	finish(p, m, otherwise, &err);
}

static void forget_settled(struct publisher *p)
{
	while (p->first < p->next && !*slot(p, p->first))
		p->first++;
}

static void taken(struct publisher *p, struct tf_amqp_publish *m)
{
	finish(p, m, TF_PUBLISHED, NULL);
	if (p->mute)
		tf_amqp_link_up(p->shared, p->link);
	p->mute = false;
}

static void on_confirm(struct publisher *p, uint64_t tag, bool multiple, bool ack)
{
	uint64_t seq = multiple ? p->first : tag;
	struct tf_amqp_publish *m;

	if (multiple && tag == 0)
		tag = p->next - 1;
	if (seq < p->first || tag >= p->next)
		return; /* settled before, or none of ours */
	for (; seq <= tag; seq++) {
		m = *slot(p, seq);
		*slot(p, seq) = NULL;
		if (m && ack)
			taken(p, m);
		else if (m)
			try_again(p, m, TF_PUBLISH_FAILED, "the broker refused it");
	}
	forget_settled(p);
}

static int on_method(void *arg, const amqp_method_t *m, struct tf_err *err)
{
	(void)err;
	if (m->id == AMQP_BASIC_ACK_METHOD) {
		const amqp_basic_ack_t *x = m->decoded;

		on_confirm(arg, x->delivery_tag, x->multiple, true);
	} else if (m->id == AMQP_BASIC_NACK_METHOD) {
		const amqp_basic_nack_t *x = m->decoded;

		on_confirm(arg, x->delivery_tag, x->multiple, false);
	}
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_message(const struct tf_message *a, const char *key, const struct tf_message *b)
{
	return a->body_len == b->body_len && strcmp(key, b->topic) == 0 &&
	       same_text(a->correlation_id, b->correlation_id) && same_text(a->type, b->type) &&
	       same_text(a->reply_to, b->reply_to) && same_text(a->peer, b->peer) &&
	       memcmp(a->body, b->body, a->body_len) == 0;
}

static struct tf_amqp_publish *find_from(struct publisher *p, uint64_t *seq, const struct tf_message *m)
{
	struct tf_amqp_publish *x;
	char key[TF_ROUTE_MAX];

	for (; *seq < p->next; (*seq)++) {
		x = *slot(p, *seq);
		if (x && same_message(&x->m, tf_route_key(&p->routes, x, key), m))
			return x;
	}
	return NULL;
}

/* A return has no sequence number. The broker handles a channel's messages in order, so it is the next one
 * after the last returned that has the same content; the second search is for brokers that do not. */
static struct tf_amqp_publish *find_returned(struct publisher *p, const struct tf_message *m, uint64_t *seq)
{
	struct tf_amqp_publish *x;

	*seq = p->returned + 1 > p->first ? p->returned + 1 : p->first;
	x = find_from(p, seq, m);
	if (x)
		return x;
	*seq = p->first;
	return find_from(p, seq, m);
}

/* What was sent by the same binding before `m`, which came back, went to a queue that is gone: whatever the broker says
 * of it, it is told first, and then that all is lost. */
static void lose(struct publisher *p, const struct tf_amqp_publish *m, uint64_t seq)
{
	struct tf_amqp_publish *news;

	if (!tf_routes_forget(&p->routes, m->m.topic, m->route))
		return; /* it was known when `m` came back */
	tf_map_remove(p->declared, m->m.topic);
	for (uint64_t i = p->first; i < seq; i++) {
		struct tf_amqp_publish *x = *slot(p, i);

		if (!x || x->route != m->route)
			continue;
		*slot(p, i) = NULL;
		finish(p, x, TF_PUBLISHED, NULL);
	}
	news = tf_amqp_publish_new(&(struct tf_message){.topic = m->m.topic});
	news->lost = true;
	tf_amqp_publish_append(&p->done, news);
}

static int on_content(void *arg, struct tf_amqp_content *x, struct tf_err *err)
{
	struct publisher *p = arg;
	struct tf_amqp_publish *m;
	uint64_t seq;

	(void)err;
	if (x->method != AMQP_BASIC_RETURN_METHOD || !x->d)
		return 0;
	m = find_returned(p, &x->d->m, &seq);
	if (!m)
		return 0;
	p->returned = seq;
	*slot(p, seq) = NULL;
	if (m->route)
		lose(p, m, seq);
	forget_settled(p);
	if (m->flags & TF_PUBLISH_DECLARE) {
		tf_map_remove(p->declared, m->m.topic);
		try_again(p, m, TF_RETURNED,
			"nothing was bound to the topic although we had declared its queue");
	} else {
		finish(p, m, TF_RETURNED, NULL);
	}
	return 0;
}

static const struct tf_amqp_handler HANDLER = {.method = on_method, .content = on_content};

/* --- order --- */

static int by_order(const void *a, const void *b)
{
	const struct tf_amqp_publish *x = *(struct tf_amqp_publish *const *)a;
	const struct tf_amqp_publish *y = *(struct tf_amqp_publish *const *)b;

	return (x->order > y->order) - (x->order < y->order);
}

/* All of `again`, and of `inflight` if the channel is lost, to the front of the queue; of `barred` if its time has come. */
static void requeue(struct publisher *p, bool lost)
{
	struct tf_amqp_publish_list front = {0};
	struct tf_amqp_publish *m, **all;
	size_t n = 0, i, cap = 0;

	if (p->barred.head && (lost || tf_amqp_now() >= p->barred_until))
		tf_amqp_publish_prepend(&p->again, &p->barred);
	for (m = p->again.head; m; m = m->next)
		cap++;
	if (lost)
		cap += (size_t)(p->next - p->first);
	if (cap == 0)
		return;
	all = tf_malloc(cap * sizeof(*all));
	while ((m = tf_amqp_publish_shift(&p->again)) != NULL)
		all[n++] = m;
	for (; lost && p->first < p->next; p->first++) {
		if (*slot(p, p->first))
			all[n++] = *slot(p, p->first);
		*slot(p, p->first) = NULL;
	}
	qsort(all, n, sizeof(*all), by_order);
	for (i = 0; i < n; i++)
		tf_amqp_publish_append(&front, all[i]);
	free(all);
	tf_amqp_publish_prepend(&p->queue, &front);
}

/* --- sending --- */

static void forget_declared(struct publisher *p)
{
	tf_map_delete(p->declared, NULL);
	p->declared = tf_map_new();
}

static int set_up_channel(struct publisher *p, struct tf_err *err)
{
	int rc;

	p->first = p->next = 1; /* confirms count from 1 */
	p->returned = 0;
	forget_declared(p);
	rc = tf_amqp_conn_confirm_select(&p->conn, err);
	return rc < 0 ? rc : tf_amqp_conn_declare_exchange(&p->conn, err);
}

static int declare_destination(struct publisher *p, const struct tf_amqp_publish *m, struct tf_err *err)
{
	int rc;

	if (!(m->flags & TF_PUBLISH_DECLARE) || tf_map_get(p->declared, m->m.topic))
		return 0;
	/* The exchange goes with its last queue. */
	rc = tf_amqp_conn_declare_exchange(&p->conn, err);
	if (rc == 0)
		rc = tf_amqp_conn_declare_queue(&p->conn, m->m.topic, err);
	if (rc < 0)
		return rc;
	if (tf_map_count(p->declared) >= DECLARED_MAX)
		forget_declared(p);
	tf_map_set(p->declared, m->m.topic, p);
	return 0;
}

/* How `m` gets to its queue: by the topic, or by a binding of our own, made here if it may be. */
static int find_route(struct publisher *p, struct tf_amqp_publish *m, struct tf_err *err)
{
	char key[TF_ROUTE_MAX];
	int rc;

	m->route = m->flags & TF_PUBLISH_TRACK ? tf_routes_find(&p->routes, m->m.topic) : 0;
	if (m->route)
		return 0;
	if ((m->flags & TF_PUBLISH_TRACK) && (m->flags & TF_PUBLISH_DECLARE))
		tf_map_remove(p->declared, m->m.topic);
	rc = declare_destination(p, m, err);
	if (rc < 0 || !(m->flags & TF_PUBLISH_TRACK) || !(m->flags & TF_PUBLISH_DECLARE))
		return rc;
	m->route = tf_routes_next(&p->routes);
	rc = tf_amqp_conn_bind_queue(&p->conn, m->m.topic, tf_route_key(&p->routes, m, key), err);
	if (rc == 0)
		tf_routes_add(&p->routes, m->m.topic, m->route);
	return rc;
}

/* The broker closed the channel over a message (err says why): go on with a new one. */
static int new_channel(struct publisher *p, struct tf_err *err)
{
	const struct tf_err story = *err;
	const bool alone = p->suspects && p->next - p->first == 1;
	struct tf_amqp_publish *guilty = NULL;
	int rc;

	if (p->conn.closed.code == AMQP_ACCESS_REFUSED) { /* for all of them, until somebody permits it */
		p->mute = true;
		return err->code = TF_EIO;
	}
	/* 404: the exchange went with its last queue; that is nobody's fault. */
	if (p->conn.closed.code != AMQP_NOT_FOUND) {
		if (alone) {
			guilty = *slot(p, p->first);
			*slot(p, p->first) = NULL;
		} else {
			p->suspects = (size_t)(p->next - p->first);
		}
	}
	requeue(p, true);
	if (guilty)
		finish(p, guilty, TF_PUBLISH_FAILED, &story);
	rc = tf_amqp_conn_reopen(&p->conn, TF_AMQP_CHANNEL, err);
	if (rc == 0)
		rc = set_up_channel(p, err);
	return rc == TF_ESTATE ? TF_EIO : rc;
}

static bool may_send(struct publisher *p)
{
	const uint64_t inflight = p->next - p->first;

	return p->queue.head && !p->conn.blocked && inflight < (p->suspects ? 1 : INFLIGHT_MAX);
}

/* After a declaration that the broker refused; true: it is worth another try. */
static bool declare_once_more(struct publisher *p, const struct tf_amqp_publish *m)
{
	if (tf_amqp_conn_bury_queue(&p->conn, m->m.topic))
		return true;
	/* 404: the queue went with its last user before it was bound. */
	return p->conn.closed.code == AMQP_NOT_FOUND &&
	       tf_amqp_conn_reopen(&p->conn, TF_AMQP_DECLARE_CHANNEL, NULL) == 0;
}

/* It waits until somebody permits it, or nobody waits for it. */
static void bar(struct publisher *p, struct tf_amqp_publish *m, const struct tf_err *err)
{
	const uint64_t now = tf_amqp_now();

	if (!p->barred_said || now - p->barred_said >= BARRED_SAID_MS) {
		p->barred_said = now;
		tf_warn("amqp", "message to topic %s: %s; trying again", m->m.topic, err->message);
	}
	if (!m->id) {
		finish(p, m, TF_PUBLISH_FAILED, err);
		return;
	}
	if (!p->barred.head)
		p->barred_until = now + BARRED_MS;
	m->tries = 0;
	tf_amqp_publish_append(&p->barred, m);
	if (p->suspects)
		p->suspects--;
}

/* The first of the queue cannot be sent, since the broker refused what it needs (err says why). */
static int on_refusal(struct publisher *p, struct tf_err *err)
{
	struct tf_amqp_publish *m = p->queue.head;
	const struct tf_amqp_closed closed = p->conn.closed;
	int rc;

	if (closed.class_id == AMQP_EXCHANGE_CLASS && closed.code != AMQP_PRECONDITION_FAILED)
		return err->code = TF_EIO; /* it concerns all: with a new connection */
	if (++m->tries < TRIES_MAX && declare_once_more(p, m))
		return 0; /* it is still the first */
	tf_amqp_publish_shift(&p->queue);
	if (closed.code == AMQP_ACCESS_REFUSED || closed.code == AMQP_NOT_FOUND)
		bar(p, m, err);
	else
		finish(p, m, TF_PUBLISH_FAILED, err);
	rc = tf_amqp_conn_reopen(&p->conn, TF_AMQP_DECLARE_CHANNEL, err);
	return rc == TF_ESTATE ? TF_EIO : rc;
}

/* As it is sent perhaps long after it was published. */
static uint64_t time_left(const struct tf_amqp_publish *m)
{
	uint64_t waited;

	if (!m->m.expires_ms) /* most of all: not worth a look at the clock */
		return 0;
	waited = (tf_clock_us() - m->at_us) / 1000;
	return waited < m->m.expires_ms ? m->m.expires_ms - waited : 1;
}

static int send_one(struct publisher *p, struct tf_err *err)
{
	struct tf_amqp_publish *m = p->queue.head;
	struct tf_message sent;
	char key[TF_ROUTE_MAX];
	int rc = find_route(p, m, err);

	if (rc == TF_ESTATE)
		return on_refusal(p, err);
	if (rc < 0)
		return rc;
	tf_amqp_publish_shift(&p->queue);
	sent = m->m;
	sent.topic = tf_route_key(&p->routes, m, key);
	sent.expires_ms = time_left(m);
	rc = tf_amqp_conn_publish(&p->conn, &sent, err);
	if (rc == TF_ELIMIT) {
		finish(p, m, TF_PUBLISH_FAILED, err);
		return 0;
	}
	/* Also when it failed: half of it may have been sent, and it is sent again. */
	*slot(p, p->next++) = m;
	return rc;
}

static int send_some(struct publisher *p, struct tf_err *err)
{
	size_t bytes = 0;
	unsigned n;
	int rc = 0;

	for (n = 0; rc == 0 && n < SEND_AT_ONCE && bytes < SEND_BYTES_AT_ONCE && may_send(p); n++) {
		bytes += p->queue.head->m.body_len;
		rc = send_one(p, err);
	}
	return rc == 0 ? tf_amqp_conn_flush(&p->conn, err) : rc;
}

/* --- a connection's life --- */

struct orders { /* from the loop and the consumer */
	bool stop, ready;
	uint64_t deadline;
	size_t url;
};

static struct orders take_orders(struct publisher *p)
{
	struct tf_amqp_shared *s = p->shared;
	struct orders o;

	pthread_mutex_lock(&s->lock);
	o = (struct orders){.stop = p->link->stop,
		.ready = s->consumer_ready,
		.deadline = p->link->deadline,
		.url = s->active_url};
	tf_amqp_publish_prepend(&s->to_publish, &p->queue);
	p->queue = s->to_publish;
	s->to_publish = (struct tf_amqp_publish_list){0};
	pthread_mutex_unlock(&s->lock);
	return o;
}

/* Whether it can be sent without a call that the broker answers, and in one piece with others. */
static bool goes_at_once(const struct publisher *p, const struct tf_amqp_publish *m)
{
	const bool tracked = m->flags & TF_PUBLISH_TRACK;

	if ((m->flags & TF_PUBLISH_DECLARE) && !(tracked ? tf_routes_find(&p->routes, m->m.topic) != 0
							 : tf_map_get(p->declared, m->m.topic) != NULL))
		return false;
	return tf_amqp_out_fits(&p->conn, &m->m);
}

static bool send_without_waiting(void *serving)
{
	struct publisher *p = serving;
	const struct orders o = take_orders(p);
	struct tf_err err;
	int rc = 0;

	if (o.stop || !o.ready || o.url != p->url || p->suspects || p->conn.out.len)
		return false;
	p->conn.no_waiting = true;
	while (rc == 0 && may_send(p) && goes_at_once(p, p->queue.head))
		rc = send_one(p, &err);
	tf_amqp_conn_flush(&p->conn, NULL);
	p->conn.no_waiting = false;
	if (rc < 0) /* it counts as sent, and was not: as the thread does, with a new connection */
		tf_amqp_link_shutdown(p->link);
	report(p, true);
	return rc == 0 && !p->conn.out.len && (!p->queue.head || !may_send(p));
}

bool tf_amqp_publisher_send(struct tf_amqp_shared *s)
{
	return tf_amqp_link_instead(&s->publisher, send_without_waiting);
}

static bool read_here(void *serving)
{
	struct publisher *p = serving;
	int rc = tf_amqp_conn_read_here(&p->conn, READ_AT_ONCE);

	if (rc == 0)
		requeue(p, false);
	report(p, false);
	return rc == 0 && !p->conn.out.len && !(p->queue.head && may_send(p));
}

bool tf_amqp_publisher_read(struct tf_amqp_shared *s)
{
	return tf_amqp_link_instead(&s->publisher, read_here);
}

static bool idle(const struct publisher *p)
{
	return !p->queue.head && !p->again.head && !p->barred.head && p->first == p->next;
}

/* How long the link may wait for something to happen; -1: as long as it likes. */
static int patience(const struct publisher *p, const struct orders *o, bool sending)
{
	const uint64_t now = tf_amqp_now();
	uint64_t until = o->stop ? o->deadline : UINT64_MAX;

	if (sending)
		return 0;
	if (p->barred.head && p->barred_until < until)
		until = p->barred_until;
	if (until == UINT64_MAX)
		return -1;
	return now < until ? (int)(until - now) : 0;
}

static int handle_input(struct publisher *p, struct tf_err *err)
{
	int rc = tf_amqp_conn_read(&p->conn, READ_AT_ONCE, err);

	if (rc == TF_ESTATE)
		rc = new_channel(p, err);
	if (rc == 0)
		requeue(p, false);
	report(p, true);
	return rc;
}

/* Until stopped (0), told to follow the consumer to another broker, or the connection is lost. */
static int serve(struct publisher *p, struct tf_err *err)
{
	struct orders o;
	bool open;
	int rc;

	for (;;) {
		o = take_orders(p);
		if (o.stop && (idle(p) || tf_amqp_now() >= o.deadline)) {
			if (idle(p))
				tf_routes_unbind(&p->routes, &p->conn, o.deadline);
			return 0;
		}
		if (o.url != p->url && !o.stop)
			return tf_err_set(err, TF_ECLOSED, "%s: following the consumer to another broker",
				p->conn.where);
		open = o.ready || o.stop;
		rc = open ? send_some(p, err) : 0;
		report(p, true);
		if (rc < 0)
			return rc;
		if (tf_amqp_conn_wait(&p->conn, patience(p, &o, open && may_send(p))))
			rc = handle_input(p, err);
		if (rc < 0)
			return rc;
		requeue(p, false);
	}
}

static int connect_broker(struct publisher *p, struct tf_err *err)
{
	int rc = tf_amqp_conn_open(&p->conn, &p->shared->urls.urls[p->url], err);

	if (rc == 0)
		rc = set_up_channel(p, err);
	if (rc == 0 && !p->mute)
		tf_amqp_link_up(p->shared, p->link);
	return rc;
}

/* Wait until the consumer has found a broker; false: stopped with nothing (or no time) left. */
static bool await_consumer(struct publisher *p)
{
	struct orders o;

	for (;;) {
		o = take_orders(p);
		p->url = o.url;
		if (o.stop)
			return !idle(p) && tf_amqp_now() < o.deadline;
		if (o.ready)
			return true;
		tf_amqp_link_sleep(p->link, -1);
	}
}

void *tf_amqp_publisher_main(void *shared)
{
	struct tf_amqp_shared *s = shared;
	struct publisher *p = TF_NEW(struct publisher);
	struct tf_err err;
	unsigned failures = 0;
	uint64_t since;
	int rc;

	*p = (struct publisher){.shared = s, .link = &s->publisher, .first = 1, .next = 1};
	p->conn = (struct tf_amqp_conn){.shared = s,
		.link = p->link,
		.handler = &HANDLER,
		.arg = p,
		.declare_channel = TF_AMQP_DECLARE_CHANNEL};
	p->declared = tf_map_new();
	tf_routes_create(&p->routes);
	pthread_mutex_lock(&p->link->own);
	while (await_consumer(p)) {
		since = tf_amqp_now();
		rc = connect_broker(p, &err);
		p->link->serving = rc == 0 && !p->conn.tls ? p : NULL;
		p->link->connection++;
		if (rc == 0)
			rc = serve(p, &err);
		p->link->serving = NULL;
		tf_amqp_conn_close(&p->conn, rc == 0 || rc == TF_ESTATE || rc == TF_ECLOSED, CLOSE_MS);
		requeue(p, true);
		report(p, true);
		if (rc == 0)
			break;
		tf_amqp_link_down(s, p->link, &err);
		if (tf_amqp_now() - since >= STABLE_MS)
			failures = 0;
		else
			tf_amqp_link_backoff(s, p->link, ++failures);
	}
	requeue(p, true);
	pthread_mutex_lock(&s->lock);
	tf_amqp_publish_prepend(&s->to_publish, &p->queue); /* close() tells how many are lost */
	pthread_mutex_unlock(&s->lock);
	tf_map_delete(p->declared, NULL);
	tf_routes_destroy(&p->routes);
	pthread_mutex_unlock(&p->link->own);
	free(p);
	tf_amqp_link_end(s, &s->publisher);
	return NULL;
}
