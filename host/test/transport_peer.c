#include "transport_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

/* Room for one more after `count`: doubled whenever that is a power of two. */
static void *grow(void *array, size_t count, size_t size)
{
	return (count & (count - 1)) == 0 ? tf_realloc(array, (count ? count * 2 : 1) * size) : array;
}

static void on_message(void *arg, const struct tf_message *m)
{
	struct peer *p = arg;
	struct peer_message *c;
	struct peer_message copy;

	assert_false(p->inside);
	p->messages = grow(p->messages, p->count, sizeof(*p->messages));
	c = &p->messages[p->count++];
	*c = (struct peer_message){
		.topic = tf_strdup(m->topic),
		.type = tf_strdup(m->type),
		.reply_to = tf_strdup(m->reply_to),
		.correlation_id = tf_strdup(m->correlation_id),
		.peer = tf_strdup(m->peer),
		.content_type = tf_strdup(m->content_type),
		.body = tf_malloc(m->body_len + 1),
		.body_len = m->body_len,
		.tag = m->tag,
		.redelivered = m->redelivered,
	};
	if (m->body_len)
		memcpy(c->body, m->body, m->body_len);
	c->body[m->body_len] = '\0';
	copy = *c; /* the array may move while the hook runs the loop's calls */
	if (p->settle >= 0)
		tf_transport_settle(p->t, m->tag, (enum tf_settle)p->settle);
	assert_memory_equal(m->body, copy.body, copy.body_len); /* still valid after settling */
	if (p->hook)
		p->hook(p, &copy);
}

static void on_published(void *arg, uint64_t id, enum tf_publish_status status, const struct tf_err *err)
{
	struct peer *p = arg;
	struct peer_outcome *o;

	assert_false(p->inside);
	assert_int_not_equal(id, 0);
	p->outcomes = grow(p->outcomes, p->outcome_count, sizeof(*p->outcomes));
	o = &p->outcomes[p->outcome_count++];
	*o = (struct peer_outcome){.id = id, .status = status};
	if (err)
		o->err = *err;
}

static void on_lost(void *arg, const char *topic)
{
	struct peer *p = arg;

	assert_false(p->inside);
	p->losts++;
	snprintf(p->lost, sizeof(p->lost), "%s", topic);
	p->lost_after = p->outcome_count;
}

static void on_state(void *arg, bool up, const struct tf_err *err)
{
	struct peer *p = arg;

	assert_false(p->inside);
	if (up) {
		p->ups++;
		return;
	}
	p->downs++;
	assert_non_null(err);
	p->down_err = *err;
}

int peer_open_config(
	struct peer *p, struct tf_loop *loop, const struct tf_transport_config *config, struct tf_err *err)
{
	static const struct tf_transport_events events = {
		.message = on_message, .published = on_published, .lost = on_lost, .state = on_state};

	*p = (struct peer){.loop = loop, .settle = -1};
	return tf_transport_open(loop, config, &events, p, &p->t, err);
}

void peer_open(struct peer *p, struct tf_loop *loop, const char *transport, const char *exchange,
	const char *options)
{
	struct tf_err err = {0};
	struct tf_value *v = options ? tf_value_parse(options, strlen(options), 0, &err) : NULL;
	struct tf_transport_config config = {.transport = transport, .exchange = exchange, .options = v};

	if ((options && !v) || peer_open_config(p, loop, &config, &err) < 0)
		fail_msg("%s", err.message);
	tf_value_unref(v);
}

void peer_consume(struct peer *p, const char *topic, unsigned prefetch)
{
	struct tf_err err = {0};

	p->inside = true;
	if (tf_transport_consume(p->t, topic, prefetch, &err) < 0)
		fail_msg("%s", err.message);
	p->inside = false;
}

void peer_send(struct peer *p, const char *topic, const char *body, unsigned flags, uint64_t id)
{
	struct tf_message m = {.topic = topic,
		.type = "REQUEST",
		.reply_to = "reply",
		.correlation_id = body,
		.body = body,
		.body_len = strlen(body)};
	struct tf_err err = {0};
	bool was = p->inside;

	p->inside = true;
	if (tf_transport_publish(p->t, &m, flags, id, &err) < 0)
		fail_msg("%s", err.message);
	p->inside = was;
}

static uint64_t counter_value(const void *counter, size_t size)
{
	uint64_t u64;
	uint32_t u32;

	assert_true(size == sizeof(u64) || size == sizeof(u32));
	if (size == sizeof(u64)) {
		memcpy(&u64, counter, sizeof(u64));
		return u64;
	}
	memcpy(&u32, counter, sizeof(u32));
	return u32;
}

static void nothing(void *arg)
{
	(void)arg;
}

void peer_until_at(struct peer *p, const void *counter, size_t size, uint64_t n, const char *file, int line)
{
	struct tf_timer *tick = tf_timer_new(p->loop, nothing, NULL);
	uint64_t end = tf_clock_ms(&tf_clock_real) + 60000;

	tf_timer_start(tick, 10, 10);
	while (counter_value(counter, size) < n) {
		if (tf_clock_ms(&tf_clock_real) > end)
			fail_msg("%s:%d: still %ju of %ju after a minute", file, line,
				(uintmax_t)counter_value(counter, size), (uintmax_t)n);
		tf_loop_turn(p->loop, true);
	}
	tf_timer_delete(tick);
}

void peer_idle(struct peer *p, unsigned ms)
{
	struct tf_timer *tick = tf_timer_new(p->loop, nothing, NULL);
	uint64_t end = tf_clock_ms(&tf_clock_real) + ms;

	tf_timer_start(tick, 1, 1);
	do
		tf_loop_turn(p->loop, true);
	while (tf_clock_ms(&tf_clock_real) < end);
	tf_timer_delete(tick);
}

void peer_forget(struct peer *p)
{
	size_t i;

	for (i = 0; i < p->count; i++) {
		struct peer_message *m = &p->messages[i];

		free(m->topic);
		free(m->type);
		free(m->reply_to);
		free(m->correlation_id);
		free(m->peer);
		free(m->content_type);
		free(m->body);
	}
	free(p->messages);
	free(p->outcomes);
	p->messages = NULL;
	p->outcomes = NULL;
	p->count = p->outcome_count = 0;
}

void peer_close(struct peer *p)
{
	if (p->t) {
		p->inside = true;
		tf_transport_close(p->t);
		p->t = NULL;
	}
	peer_forget(p);
}
