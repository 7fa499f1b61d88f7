#include "wbe/census.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "protocol/message.h"
#include "wbe/seam.h"

enum {
	CENSUS_STEP_MS = 50,
	CENSUS_QUIET_MS = 250,   /* after the last new answer nobody else is expected */
	CENSUS_SILENT_MS = 1000, /* on a topic where nobody has answered at all */
	CENSUS_PROBES = 4,       /* each step, beside as many as there are known workers */
	CENSUS_MAX_PROBES = 256,
	CENSUS_MAX_FOUND = 65536, /* anybody can send answers */
};

struct found {
	TAILQ_ENTRY(found) link;
	struct tf_peer peer;
	struct tf_notify notify; /* owned */
	uint64_t answered_ms;
	unsigned answers;
};

struct census {
	const struct tf_census_config *config;
	struct tf_loop *loop;
	struct tf_transport *transport;
	struct tf_timer *step;
	char reply_to[TF_UUID_LEN + 1];
	TAILQ_HEAD(, found) found; /* in the order of their answers */
	size_t count;
	uint64_t begun_ms, asked_ms, news_ms;
	bool asked;
	struct tf_err down;
};

static uint64_t now_ms(const struct census *c)
{
	return tf_clock_ms(tf_loop_clock(c->loop));
}

/* ---- asking ---- */

static void probe(struct census *c, const char *topic)
{
	char header[TF_PEER_MAX];
	const struct tf_peer self = TF_PEER_INIT;
	const struct tf_message m = {.topic = topic,
		.type = TF_TYPE_NOTIFY,
		.reply_to = c->reply_to,
		.peer = tf_peer_write(&self, header),
		.body = "{}",
		.body_len = 2};
	tf_transport_publish(c->transport, &m, 0, 0, NULL);
}

static bool has_answered(const struct census *c, const char *topic)
{
	const struct found *f;
	TAILQ_FOREACH(f, &c->found, link)
	{
		if (!strcmp(f->notify.topic, topic))
			return true;
	}
	return false;
}

static void ask_first(struct census *c)
{
	c->asked = true;
	c->asked_ms = c->news_ms = now_ms(c);
	for (const char *const *t = c->config->topics; *t; t++) {
		char *group = tf_wbe_group(*t);
		if (group)
			probe(c, group);
		probe(c, *t);
		free(group);
	}
}

/* Where one has answered there may be more, unless all were asked at once: they take turns. */
static void ask_again(struct census *c)
{
	size_t probes = c->transport->ops->groups ? 0 : c->count + CENSUS_PROBES;
	for (const char *const *t = c->config->topics; *t; t++) {
		char *group = tf_wbe_group(*t);
		for (size_t i = 0; group && i < probes && i < CENSUS_MAX_PROBES && has_answered(c, *t); i++)
			probe(c, group);
		free(group);
	}
}

static bool is_done(const struct census *c)
{
	uint64_t now = now_ms(c);
	if (now - c->begun_ms >= c->config->wait_ms)
		return true;
	if (!c->asked || now - c->news_ms < CENSUS_QUIET_MS)
		return false;
	for (const char *const *t = c->config->topics; *t; t++)
		if (!has_answered(c, *t) && now - c->asked_ms < CENSUS_SILENT_MS)
			return false;
	return true;
}

static void on_step(void *arg)
{
	struct census *c = arg;
	if (is_done(c))
		tf_loop_stop(c->loop);
	else if (c->asked)
		ask_again(c);
}

/* ---- answers ---- */

static bool is_same(const struct found *f, const struct tf_peer *peer, const struct tf_notify *n)
{
	return !strcmp(f->notify.topic, n->topic) && f->peer.present == peer->present &&
	       !strcmp(f->peer.worker, peer->worker);
}

/* Takes over `n`, which is an answer. */
static void take(struct census *c, const struct tf_peer *peer, struct tf_notify *n)
{
	struct found *f;
	TAILQ_FOREACH(f, &c->found, link)
	{
		if (is_same(f, peer, n))
			break;
	}
	if (f || c->count == CENSUS_MAX_FOUND) {
		if (f && peer->slots >= 0) /* it says more than its answer on the topic did */
			f->peer = *peer;
		if (f)
			f->answers++;
		tf_notify_free(n);
		return;
	}
	f = TF_NEW(struct found);
	f->peer = *peer;
	f->notify = *n;
	f->answers = 1;
	c->news_ms = now_ms(c);
	f->answered_ms = c->news_ms - c->asked_ms;
	TAILQ_INSERT_TAIL(&c->found, f, link);
	c->count++;
}

static void on_message(void *arg, const struct tf_message *m)
{
	struct census *c = arg;
	struct tf_notify n;
	tf_transport_settle(c->transport, m->tag, TF_ACK);
	if (!m->type || strcmp(m->type, TF_TYPE_NOTIFY) != 0 ||
		tf_notify_parse(m->body, m->body_len, &n, NULL) < 0)
		return;
	const struct tf_peer peer = tf_peer_parse(m->peer);
	if (n.answer && c->asked)
		take(c, &peer, &n);
	else
		tf_notify_free(&n);
}

static void on_state(void *arg, bool up, const struct tf_err *err)
{
	struct census *c = arg;
	if (up && !c->asked)
		ask_first(c);
	else if (!up && err)
		c->down = *err;
}

/* ---- all of it ---- */

static void tell(struct census *c, const struct tf_census_visitor *v)
{
	const struct found *f;
	for (const char *const *t = c->config->topics; *t; t++) {
		TAILQ_FOREACH(f, &c->found, link)
		{
			const struct tf_census_worker w = {.topic = f->notify.topic,
				.peer = &f->peer,
				.classes = f->notify.tasks,
				.class_count = f->notify.task_count,
				.answered_ms = f->answered_ms,
				.answers = f->answers};
			if (!strcmp(w.topic, *t))
				v->worker(v->arg, &w);
		}
		if (!has_answered(c, *t))
			v->nobody(v->arg, *t);
	}
}

static int run(struct census *c, struct tf_err *err)
{
	static const struct tf_transport_events events = {.message = on_message, .state = on_state};
	int rc = tf_transport_open(c->loop, &c->config->transport, &events, c, &c->transport, err);
	if (rc == 0)
		rc = tf_transport_consume(c->transport, c->reply_to, 0, err);
	if (rc < 0)
		return rc;
	c->step = tf_timer_new(c->loop, on_step, c);
	tf_timer_start(c->step, CENSUS_STEP_MS, CENSUS_STEP_MS);
	tf_loop_run(c->loop);
	if (c->asked)
		return 0;
	return tf_err_set(err, TF_ETIMEOUT, "no connection within %g s: %s",
		(double)c->config->wait_ms / 1000, c->down.code ? c->down.message : "no answer");
}

int tf_census(
	const struct tf_census_config *config, const struct tf_census_visitor *visitor, struct tf_err *err)
{
	struct census c = {.config = config, .loop = tf_loop_new()};
	struct found *f;
	TAILQ_INIT(&c.found);
	tf_uuid(c.reply_to);
	c.begun_ms = now_ms(&c);
	int rc = run(&c, err);
	if (rc == 0)
		tell(&c, visitor);
	tf_timer_delete(c.step);
	if (c.transport)
		tf_transport_close(c.transport);
	tf_loop_delete(c.loop);
	while ((f = TAILQ_FIRST(&c.found)) != NULL) {
		TAILQ_REMOVE(&c.found, f, link);
		tf_notify_free(&f->notify);
		free(f);
	}
	return rc;
}
