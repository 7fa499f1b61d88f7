#include "fake_wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"

struct fake_wire *fake_wire_last;

static int consume(
	struct tf_transport *t, const char *topic, const char *group, unsigned prefetch, struct tf_err *err)
{
	struct fake_wire *w = (struct fake_wire *)t;
	char *more = tf_asprintf(
		"%s%s %s%s", w->topics ? w->topics : "", topic, group ? group : "", group ? " " : "");
	(void)prefetch, (void)err;
	free(w->topics);
	w->topics = more;
	return 0;
}

static void limit(struct tf_transport *t, const char *topic, unsigned prefetch)
{
	(void)topic;
	((struct fake_wire *)t)->limit = prefetch;
}

static int publish(
	struct tf_transport *t, const struct tf_message *m, unsigned flags, uint64_t id, struct tf_err *err)
{
	struct fake_wire *w = (struct fake_wire *)t;
	if (w->refuse)
		return tf_err_set(err, w->refuse, "refused by the test");
	struct fake_sent *s = TF_NEW(struct fake_sent);
	s->m = *m;
	s->m.topic = tf_strdup(m->topic);
	s->m.type = tf_strdup(m->type);
	s->m.reply_to = tf_strdup(m->reply_to);
	s->m.correlation_id = tf_strdup(m->correlation_id);
	s->m.peer = tf_strdup(m->peer);
	s->m.body = tf_strndup(m->body, m->body_len);
	s->flags = flags;
	s->id = id;
	TAILQ_INSERT_TAIL(&w->sent, s, link);
	w->sent_count++;
	return 0;
}

static void settle(struct tf_transport *t, uint64_t tag, enum tf_settle how)
{
	struct fake_wire *w = (struct fake_wire *)t;
	if (tag == 0 || tag > w->next_tag)
		fail_msg("settled a tag that was never given");
	if (w->settled[tag])
		fail_msg("settled a message twice");
	w->settled[tag] = true;
	w->unsettled--;
	w->last = how;
	w->last_tag = tag;
	if (w->on_settle)
		w->on_settle(w, tag, how);
	*(how == TF_ACK ? &w->acked : how == TF_REJECT ? &w->rejected : &w->requeued) += 1;
}

static void close_wire(struct tf_transport *t)
{
	struct fake_wire *w = (struct fake_wire *)t;
	fake_wire_drop(w);
	free(w->topics);
	free(w->settled);
	if (fake_wire_last == w)
		fake_wire_last = NULL;
	free(w);
}

static const struct tf_transport_ops fake_ops = {.name = "fake",
	.consume = consume,
	.limit = limit,
	.publish = publish,
	.settle = settle,
	.close = close_wire};

static const struct tf_transport_ops fake_broker_ops = {.name = "fake",
	.broker = true,
	.consume = consume,
	.limit = limit,
	.publish = publish,
	.settle = settle,
	.close = close_wire};

static const struct tf_transport_ops fake_tracking_ops = {.name = "fake",
	.tracks = true,
	.groups = true,
	.consume = consume,
	.limit = limit,
	.publish = publish,
	.settle = settle,
	.close = close_wire};

void fake_wire_tracks(struct fake_wire *w)
{
	w->base.ops = &fake_tracking_ops;
}

void fake_wire_lost(struct fake_wire *w, const char *topic)
{
	w->base.events.lost(w->base.arg, topic);
}

void fake_wire_broker(struct fake_wire *w)
{
	w->base.ops = &fake_broker_ops;
}

int fake_wire_open(struct tf_loop *loop, const struct tf_transport_config *config,
	const struct tf_transport_events *events, void *arg, struct tf_transport **out, struct tf_err *err)
{
	(void)err;
	struct fake_wire *w = TF_NEW(struct fake_wire);
	TAILQ_INIT(&w->sent);
	w->base.ops = &fake_ops;
	w->base.loop = loop;
	w->base.events = *events;
	w->base.arg = arg;
	w->base.exchange = tf_strdup(config->exchange);
	w->base.max_message = config->max_message ? config->max_message : TF_MAX_MESSAGE;
	w->base.max_queued = TF_MAX_QUEUED;
	fake_wire_last = w;
	*out = &w->base;
	return 0;
}

struct fake_sent *fake_wire_take(struct fake_wire *w)
{
	struct fake_sent *s = TAILQ_FIRST(&w->sent);
	if (s) {
		TAILQ_REMOVE(&w->sent, s, link);
		w->sent_count--;
	}
	return s;
}

void fake_sent_free(struct fake_sent *s)
{
	free((char *)s->m.topic);
	free((char *)s->m.type);
	free((char *)s->m.reply_to);
	free((char *)s->m.correlation_id);
	free((char *)s->m.peer);
	free((char *)s->m.body);
	free(s);
}

size_t fake_wire_drop(struct fake_wire *w)
{
	size_t n = 0;
	struct fake_sent *s;
	for (; (s = fake_wire_take(w)) != NULL; n++)
		fake_sent_free(s);
	return n;
}

uint64_t fake_wire_deliver(struct fake_wire *w, const struct tf_message *m)
{
	struct tf_message copy = *m;
	copy.tag = ++w->next_tag;
	if (copy.tag >= w->settled_cap) {
		size_t cap = w->settled_cap ? 2 * w->settled_cap : 64;
		w->settled = tf_realloc(w->settled, cap * sizeof(*w->settled));
		memset(w->settled + w->settled_cap, 0, (cap - w->settled_cap) * sizeof(*w->settled));
		w->settled_cap = cap;
	}
	w->unsettled++;
	w->base.events.message(w->base.arg, &copy);
	return copy.tag;
}

void fake_wire_confirm(struct fake_wire *w, uint64_t id, enum tf_publish_status status)
{
	struct tf_err err;
	tf_err_set(&err, TF_EIO, "failed by the test");
	w->base.events.published(w->base.arg, id, status, status == TF_PUBLISH_FAILED ? &err : NULL);
}

void fake_wire_state(struct fake_wire *w, bool up)
{
	struct tf_err err;
	tf_err_set(&err, TF_EIO, "cut by the test");
	w->base.up = up;
	w->base.events.state(w->base.arg, up, up ? NULL : &err);
}
