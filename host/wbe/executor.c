#include "wbe/executor.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "protocol/failure.h"
#include "wbe/client.h"

#define PROBE_MS 5000
#define WORKER_EXPIRY_MS 60000
#define TRANSITION_TIMEOUT_MS 60000
#define SILENCE_MS 2400
#define GRACE_MS 10000
#define ATTEMPTS 3

uint64_t tf_client_now(const struct tf_client *c)
{
	return tf_clock_ms(&c->pace.clock);
}

void tf_client_arm(struct tf_client *c, uint64_t ms)
{
	uint64_t at = tf_client_now(c) + ms;
	if (at >= c->armed)
		return;
	c->armed = at;
	tf_timer_start(c->timer, ms, 0);
}

/* What the outcome tells about times; returns how long it ran, 0: not known. */
static uint64_t measure(struct tf_client *c, const struct tf_flight *f, bool failed)
{
	struct tf_tally_row *row = tf_tally_row(c->tally, f->request.task_cls);
	failed ? row->failed++ : row->succeeded++;
	if (!f->begun_us)
		return 0;
	uint64_t ran_us = tf_clock_us() - f->begun_us;
	tf_histogram_add(&c->stats.wait, f->begun_us - f->came_us);
	tf_histogram_add(&c->stats.run, ran_us);
	return ran_us;
}

bool tf_client_outcome(
	struct tf_client *c, struct tf_flight *f, bool failed, struct tf_value *result, uint64_t tag)
{
	if (!tf_inflight_move(c->inflight, f, failed ? TF_REQUEST_FAILURE : TF_REQUEST_SUCCESS)) {
		tf_value_unref(result);
		return false;
	}
	uint64_t ran_us = measure(c, f, failed);
	tf_supervision_unwatch(c->supervision, &f->watch);
	const struct tf_completion done = {.atom = f->atom,
		.round = f->round,
		.action = f->request.action,
		.failed = failed,
		.result = result,
		.receipt = tag,
		.worker = f->worker,
		.ran_s = (float)((double)ran_us / 1e6)};
	tf_outbox_done(&c->outbox, &done);
	tf_value_unref(result);
	tf_flight_delete(f);
	tf_client_arm(c, 0);
	return true;
}

bool tf_client_complete(struct tf_client *c, struct tf_flight *f, bool failed, struct tf_value *result)
{
	return tf_client_outcome(c, f, failed, result, 0);
}

void tf_executor_wbe_tick(struct tf_executor *x)
{
	struct tf_client *c = (struct tf_client *)x;
	c->armed = UINT64_MAX;
	tf_pace_tick(&c->pace);
	if (c->transport)
		tf_client_due(c);
	tf_outbox_deliver(&c->outbox, c->outbox.count, x);
	if (c->transport)
		tf_client_arm(c, tf_client_next(c));
}

static void on_timer(void *arg)
{
	tf_executor_wbe_tick(arg);
}

static int start(struct tf_executor *x, struct tf_err *err)
{
	struct tf_client *c = (struct tf_client *)x;
	static const struct tf_transport_events events = {.message = tf_client_message,
		.oversized = tf_client_oversized,
		.published = tf_client_published,
		.lost = tf_client_lost,
		.state = tf_client_state};
	struct tf_transport *t;

	if (c->transport)
		return tf_err_set(err, TF_ESTATE, "the worker-based executor is started already");
	int rc = c->seam.open(c->loop, &c->config.transport, &events, c, &t, err);
	if (rc < 0)
		return rc;
	rc = tf_transport_consume(t, c->config.reply_topic, 0, err);
	if (rc < 0) {
		tf_transport_close(t);
		return rc;
	}
	c->transport = t;
	c->was_up = c->cancelling = false;
	tf_err_set(&c->down, TF_ECLOSED, "not connected yet");
	tf_pace_create(&c->pace, c->seam.clock);
	c->heard_at = c->asked_at = c->echo_at = c->doubt_at = c->search_at = 0;
	c->search_anew = false;
	c->asks = (int64_t)tf_random(1u << 30);
	c->check = TF_CLIENT_CHECKS + ((int64_t)tf_random(1u << 30) << 8); /* as with the question */
	c->question = (int64_t)tf_random(1u << 30);                        /* not that of our former self */
	c->finder = tf_finder_new(
		c->seam.clock, c->config.worker_expiry_ms > 0 ? (uint64_t)c->config.worker_expiry_ms : 0);
	c->supervision = tf_supervision_new(&c->pace, c->config.silence_ms);
	c->tfhost_topics = tf_map_new();
	c->tfhost_seen = tf_map_new();
	c->lanes = tf_map_new();
	c->expired = tf_map_new();
	c->own_limits = false;
	c->probe_gap = c->config.probe_ms;
	c->probe_at = c->declare_at = tf_client_now(c);
	c->clogged = c->full = false;
	c->armed = UINT64_MAX;
	if (!c->config.topics[0])
		tf_warn("engine", "no topics are configured: no worker can be found");
	tf_client_arm(c, 0);
	return 0;
}

static int submit(struct tf_executor *x, const struct tf_work *w, struct tf_err *err)
{
	struct tf_client *c = (struct tf_client *)x;
	if (!c->transport)
		return tf_err_set(err, TF_ESTATE, "the worker-based executor is not started");
	struct tf_flight *f = tf_inflight_add(c->inflight, w, tf_pace_ms(&c->pace));
	if (!f)
		return tf_err_set(
			err, TF_EEXIST, "a request of atom '%s' (%s) is in flight already", w->name, w->uuid);
	f->came_us = tf_clock_us();
	c->own_limits = c->own_limits || f->queue_ms;
	free(tf_map_remove(c->expired, f->uuid)); /* this is a new one */
	if (f->performer && !f->performer[0])
		tf_client_search(c, f);
	else if (f->performer)
		tf_client_rejoin(c, f);
	else
		tf_client_place_one(c, f);
	tf_client_arm(c, tf_client_next(c));
	return 0;
}

static void settle(struct tf_executor *x, uint64_t receipt)
{
	struct tf_client *c = (struct tf_client *)x;
	if (c->transport)
		tf_transport_settle(c->transport, receipt, TF_ACK);
}

/* What is WAITING was sent to nobody. */
static void withdraw(struct tf_executor *x)
{
	struct tf_client *c = (struct tf_client *)x;
	struct tf_flight *next;
	for (struct tf_flight *f = tf_inflight_first(c->inflight); f; f = next) {
		next = tf_inflight_next(f);
		if (f->state != TF_REQUEST_WAITING || !tf_inflight_move(c->inflight, f, TF_REQUEST_FAILURE))
			continue;
		unsigned atom = f->atom;
		int64_t round = f->round;
		tf_flight_delete(f);
		x->events.withdrawn(x->arg, atom, round);
	}
}

static void cancel(struct tf_executor *x)
{
	struct tf_client *c = (struct tf_client *)x;
	if (c->transport)
		tf_client_cancel(c);
}

/* What the transport has counted. What it rejected before we saw it is malformed like the rest. */
static void add_transport(struct tf_wbe_stats *s, const struct tf_transport *t)
{
	s->malformed += t->stats.malformed + t->stats.oversized;
	s->reconnects += t->stats.reconnects;
	tf_histogram_merge(&s->confirm, &t->confirm);
}

static void stop(struct tf_executor *x)
{
	struct tf_client *c = (struct tf_client *)x;
	struct tf_transport *t = c->transport;
	struct tf_flight *f;

	if (!t)
		return;
	c->transport = NULL; /* from here on submit refuses */
	while ((f = tf_inflight_first(c->inflight)) != NULL) {
		struct tf_value *why = tf_failure_format(tf_types_request_timeout,
			"Request '%s' (%s of %s) was given up in state %s: the engine was stopped",
			f->request.task_name, tf_action_name(f->request.action), f->request.task_cls,
			tf_request_state_name(f->state));
		tf_client_complete(c, f, true, why);
	}
	tf_timer_stop(c->timer);
	c->armed = UINT64_MAX;
	tf_finder_delete(c->finder);
	tf_supervision_delete(c->supervision);
	tf_map_delete(c->tfhost_topics, NULL);
	tf_map_delete(c->tfhost_seen, NULL);
	tf_map_delete(c->lanes, free);
	tf_map_delete(c->expired, free);
	c->finder = NULL;
	c->supervision = NULL;
	c->tfhost_topics = c->tfhost_seen = c->lanes = c->expired = NULL;
	add_transport(&c->stats, t);
	tf_transport_close(t);
	tf_outbox_deliver(&c->outbox, SIZE_MAX, x);
}

static void config_free(struct tf_wbe_config *c)
{
	free((char *)c->transport.url);
	free((char *)c->transport.transport);
	free((char *)c->transport.exchange);
	tf_value_unref(c->transport.options);
	for (size_t i = 0; c->topics[i]; i++)
		free((char *)c->topics[i]);
	free((void *)c->topics);
	free((char *)c->reply_topic);
}

static const char *worker_name(const struct tf_executor *x, uint16_t number)
{
	return tf_intern_text(((const struct tf_client *)x)->workers, number - 1u);
}

static void destroy(struct tf_executor *x)
{
	struct tf_client *c = (struct tf_client *)x;
	stop(x);
	tf_timer_delete(c->timer);
	tf_inflight_delete(c->inflight);
	tf_intern_delete(c->workers);
	tf_tally_delete(c->tally);
	tf_buf_free(&c->scratch);
	config_free(&c->config);
	free(c);
}

static const char *const *copy_topics(const char *const *topics)
{
	size_t n = 0;
	while (topics && topics[n])
		n++;
	const char **copy = tf_calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = tf_strdup(topics[i]);
	return copy;
}

static void config_copy(const struct tf_wbe_config *from, struct tf_wbe_config *to)
{
	*to = *from;
	to->transport.url = tf_strdup(from->transport.url);
	to->transport.transport = tf_strdup(from->transport.transport);
	to->transport.exchange = tf_strdup(from->transport.exchange ? from->transport.exchange : "default");
	tf_value_ref(to->transport.options);
	to->topics = copy_topics(from->topics);
	to->reply_topic = tf_strdup(from->reply_topic);
	to->probe_ms = from->probe_ms ? from->probe_ms : PROBE_MS;
	to->worker_expiry_ms = from->worker_expiry_ms ? from->worker_expiry_ms : WORKER_EXPIRY_MS;
	to->transition_timeout_ms =
		from->transition_timeout_ms ? from->transition_timeout_ms : TRANSITION_TIMEOUT_MS;
	to->silence_ms = from->silence_ms ? from->silence_ms : SILENCE_MS;
	to->attempts = from->attempts ? from->attempts : ATTEMPTS;
	to->grace_ms = from->grace_ms ? from->grace_ms : GRACE_MS;
}

static const struct tf_executor_ops ops = {
	.name = "worker-based",
	.start = start,
	.submit = submit,
	.settle = settle,
	.withdraw = withdraw,
	.cancel = cancel,
	.worker = worker_name,
	.stop = stop,
	.destroy = destroy,
};

int tf_executor_wbe_new_with(struct tf_loop *loop, const struct tf_wbe_config *config,
	const struct tf_wbe_seam *seam, struct tf_executor **out, struct tf_err *err)
{
	if (!config->reply_topic || !config->reply_topic[0])
		return tf_err_set(
			err, TF_EINVAL, "worker-based executor: a reply topic (the flow's uuid) is needed");
	struct tf_client *c = TF_NEW(struct tf_client);
	c->base.ops = &ops;
	c->loop = loop;
	c->seam = *seam;
	config_copy(config, &c->config);
	c->timer = tf_timer_new(loop, on_timer, c);
	c->workers = tf_intern_new();
	c->armed = UINT64_MAX;
	c->inflight = tf_inflight_new();
	c->tally = tf_tally_new();
	tf_outbox_create(&c->outbox);
	tf_pace_create(&c->pace, seam->clock);
	*out = &c->base;
	return 0;
}

int tf_executor_wbe_new(struct tf_loop *loop, const struct tf_wbe_config *config, struct tf_executor **out,
	struct tf_err *err)
{
	const struct tf_wbe_seam real = {.clock = tf_loop_clock(loop), .open = tf_transport_open};
	return tf_executor_wbe_new_with(loop, config, &real, out, err);
}

void tf_executor_wbe_stats(const struct tf_executor *x, struct tf_wbe_stats *out)
{
	const struct tf_client *c = (const struct tf_client *)x;
	const struct tf_flight *oldest = tf_inflight_oldest(c->inflight);
	*out = c->stats;
	if (c->transport)
		add_transport(out, c->transport);
	out->oldest_ms = oldest ? (tf_clock_us() - oldest->came_us) / 1000 : 0;
	out->workers = c->finder ? tf_finder_count(c->finder) : 0;
	out->in_flight = tf_inflight_count(c->inflight);
}

const struct tf_tally *tf_executor_wbe_tally(const struct tf_executor *x)
{
	return ((const struct tf_client *)x)->tally;
}
