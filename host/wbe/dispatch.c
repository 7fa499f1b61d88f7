/* Requests that leave an engine, and what is due with time: probes, expiry, silence, sending again
 * (PROTOCOL.md 5.1 to 5.3, ARCHITECTURE 4). */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "protocol/peer.h"
#include "wbe/client.h"

/* Requests in a topic's queue, not begun, at most: enough for many workers to find the next one there, and no more than
 * a broker keeps at hand. The rest waits here, where a suspended flow gets it back. In a directory each is a file,
 * made anew by an engine that has none to write again, and that is dear. */
#define PENDING_MAX_BROKER 1024
#define PENDING_MAX_DIRECTORY 256
/* Topics tried for one with room, when several have the class. */
#define PICKS 4
/* Next try after the transport's queue was full. */
#define CLOGGED_MS 50
/* Between two looks at requests that have a queue limit. */
#define OWN_LIMITS_MS 50
/* Requests remembered that expired in the queue of a topic. */
#define EXPIRED_MAX 10000

/* Of a request with a queue limit. */
static uint64_t queue_time_left(const struct tf_client *c, const struct tf_flight *f)
{
	uint64_t now = tf_pace_ms(&c->pace);
	return f->begin_by > now ? f->begin_by - now : 0;
}

/* Half of the time after which it may be given up, whatever its clock and ours say: from then on a worker asks first. */
static int64_t ask_from(const struct tf_client *c, const struct tf_flight *f)
{
	int64_t ms = c->config.transition_timeout_ms;
	int64_t own = f->queue_ms ? (int64_t)queue_time_left(c, f) : -1;
	if (own >= 0 && (ms < 0 || own < ms))
		ms = own;
	return ms < 0 ? -1 : (int64_t)tf_limits_wall_ms() + ms / 2;
}

/* ---- sending */

int tf_client_send(
	struct tf_client *c, struct tf_flight *f, const char *topic, unsigned flags, struct tf_err *err)
{
	char header[TF_PEER_MAX];
	struct tf_peer peer = TF_PEER_INIT;
	peer.round = f->round;
	peer.dispatch = f->dispatch + 1;
	peer.limits = f->request.limits;
	peer.priority = f->priority;
	if (f->queue_ms && f->state != TF_REQUEST_RUNNING)
		peer.expires = (int64_t)(tf_limits_wall_ms() + queue_time_left(c, f));
	if (f->state != TF_REQUEST_RUNNING)
		peer.ask_from = ask_from(c, f);
	if (f->losses + 1 >= tf_client_attempts(c, f))
		peer.once = 1; /* the last attempt, which its engine watches over */
	/* A Python worker gets what TaskFlow sends and no more; a private queue is one of ours. */
	bool ours = !(flags & TF_PUBLISH_DECLARE) || tf_map_get(c->tfhost_seen, topic);
	if (ours && (flags & TF_PUBLISH_DECLARE))
		flags |= TF_PUBLISH_TRACK;
	tf_buf_reset(&c->scratch);
	tf_request_write(&f->request, &c->scratch);
	const struct tf_message m = {.topic = topic,
		.type = TF_TYPE_REQUEST,
		.reply_to = c->config.reply_topic,
		.correlation_id = f->uuid,
		.priority = f->priority,
		.expires_ms = peer.expires >= 0 ? queue_time_left(c, f) + 1 : 0,
		.peer = ours ? tf_peer_write(&peer, header) : NULL,
		.body = c->scratch.data,
		.body_len = c->scratch.len};
	int rc = tf_transport_publish(c->transport, &m, flags, tf_inflight_publish(c->inflight, f), err);
	if (rc < 0)
		return rc;
	f->dispatch++;
	tf_client_sent(c, f);
	return 0;
}

void tf_client_not_sent(struct tf_client *c, struct tf_flight *f, const char *topic, const struct tf_err *err)
{
	const char *const *types =
		err->code == TF_ELIMIT || err->code == TF_EFORMAT ? tf_types_value_error : tf_types_os_error;
	tf_client_complete(c, f, true,
		tf_failure_format(types, "the request to %s task '%s' could not be sent to topic '%s': %s",
			tf_action_name(f->request.action), f->request.task_name, topic, err->message));
}

static int check_values(const struct tf_request *r, struct tf_err *err)
{
	const struct {
		const char *name;
		const struct tf_value *value;
	} parts[] = {{"arguments", r->arguments}, {"result", r->result}, {"failures", r->failures}};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].value && tf_message_check_value(tf_value_json(parts[i].value), err) < 0)
			return tf_err_prefix(err, "%s", parts[i].name);
	}
	return 0;
}

struct tf_lane *tf_client_lane(struct tf_client *c, const char *topic)
{
	struct tf_lane *lane = tf_map_get(c->lanes, topic);
	if (!lane) {
		lane = TF_NEW(struct tf_lane);
		lane->heard_at = tf_pace_ms(&c->pace);
		tf_map_set(c->lanes, topic, lane);
	}
	return lane;
}

static unsigned pending_max(const struct tf_client *c)
{
	return c->transport->ops->broker ? PENDING_MAX_BROKER : PENDING_MAX_DIRECTORY;
}

/* A topic for this class that takes one more; NULL: none is known (*full is not set) or none has room (it is). */
static const char *pick(struct tf_client *c, const char *task_cls, bool *full)
{
	const char *topic = NULL;
	for (int i = 0; i < PICKS; i++) {
		topic = tf_finder_pick(c->finder, task_cls);
		if (!topic || tf_client_lane(c, topic)->pending < pending_max(c))
			return topic;
	}
	*full = true;
	return NULL;
}

bool tf_client_send_first(struct tf_client *c, struct tf_flight *f, const char *topic, const char *worker)
{
	struct tf_err err;
	const struct tf_request *r = &f->request;
	struct tf_value *large = tf_request_too_large(r, r->limits.arguments);
	if (large) {
		tf_client_complete(c, f, true, large);
		return false;
	}
	int rc = check_values(r, &err);
	if (rc == 0)
		rc = worker ? tf_client_send(c, f, worker, 0, &err)
			    : tf_client_send(c, f, topic, TF_PUBLISH_DECLARE, &err);
	if (rc == TF_EAGAIN) {
		c->clogged = true;
		return false;
	}
	if (rc < 0) {
		tf_client_not_sent(c, f, topic, &err);
		return false;
	}
	free(f->topic);
	f->topic = tf_strdup(topic);
	tf_inflight_move(c->inflight, f, TF_REQUEST_PENDING);
	f->lane = tf_client_lane(c, topic);
	f->lane->pending++;
	return true;
}

/* The first request that finds no worker starts a hunt: probes soon, then at growing distances. */
static void hunt(struct tf_client *c, const struct tf_flight *f)
{
	const struct tf_waiting *w = tf_inflight_waiting(c->inflight);
	if (TAILQ_NEXT(w, link) || TAILQ_FIRST(&w->flights) != f || TAILQ_NEXT(f, queued))
		return; /* others waited before: it is on */
	uint64_t soon = tf_client_now(c) + TF_CLIENT_HURRY_MS;
	c->probe_gap = TF_CLIENT_HURRY_MS;
	if (c->probe_at > soon)
		c->probe_at = soon;
}

void tf_client_place_one(struct tf_client *c, struct tf_flight *f)
{
	bool full = false;
	if (TAILQ_FIRST(&f->waiting->flights) != f)
		return; /* others of its class wait already */
	const char *topic = pick(c, f->request.task_cls, &full);
	if (topic)
		tf_client_send_first(c, f, topic, NULL);
	else if (full)
		c->full = true;
	else
		hunt(c, f);
}

/* Send what waits for this class; false when the transport takes no more. */
static bool place_class(struct tf_client *c, struct tf_waiting *w)
{
	const char *topic;
	while ((topic = pick(c, w->task_cls, &c->full)) != NULL) {
		struct tf_flight *f = TAILQ_FIRST(&w->flights);
		bool last = !TAILQ_NEXT(f, queued); /* `w` goes with its last request */
		tf_client_send_first(c, f, topic, NULL);
		if (c->clogged)
			return false;
		if (last)
			break;
	}
	return true;
}

void tf_client_place(struct tf_client *c)
{
	struct tf_waiting *w = tf_inflight_waiting(c->inflight), *next;
	c->clogged = c->full = false;
	for (; w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (!place_class(c, w))
			break;
	}
	if (c->clogged)
		tf_client_arm(c, CLOGGED_MS);
}

void tf_client_published(void *arg, uint64_t id, enum tf_publish_status status, const struct tf_err *err)
{
	struct tf_client *c = arg;
	struct tf_flight *f = c->transport ? tf_inflight_published(c->inflight, id) : NULL;
	if (!f || status == TF_PUBLISHED)
		return;
	struct tf_err unknown;
	if (!err) {
		tf_err_set(&unknown, TF_EIO, "nothing is bound to the topic");
		err = &unknown;
	}
	if (f->queue == TF_QUEUE_ASKING)
		tf_client_give_up_rejoining(c, f);
	else if (f->state == TF_REQUEST_PENDING && f->watch.worker)
		tf_client_missed(c, f);
	else if (f->state == TF_REQUEST_PENDING)
		tf_client_not_sent(c, f, f->topic, err);
	else if (f->state == TF_REQUEST_RUNNING && f->watch.worker && tf_client_in_grace(c))
		tf_inflight_again(
			c->inflight, f, TF_QUEUE_RUNNING_AGAIN, tf_pace_ms(&c->pace) + TF_CLIENT_AGAIN_MS);
}

/* ---- time */

void tf_client_probe(struct tf_client *c, const char *topic, unsigned flags, int64_t echo)
{
	char header[TF_PEER_MAX];
	struct tf_peer peer = TF_PEER_INIT;
	peer.echo = echo;
	const struct tf_message m = {.topic = topic,
		.type = TF_TYPE_NOTIFY,
		.reply_to = c->config.reply_topic,
		.peer = tf_peer_write(&peer, header),
		.body = "{}",
		.body_len = 2};
	struct tf_err err;
	uint64_t left_out;
	if (tf_map_get(c->tfhost_seen, topic))
		flags |= TF_PUBLISH_TRACK;
	if (tf_transport_publish(c->transport, &m, flags, 0, &err) < 0 &&
		tf_throttle_allows(&c->throttle, tf_client_now(c), &left_out))
		tf_warn_of(&(struct tf_log_ids){.flow = c->config.reply_topic}, "engine",
			"topic '%s' cannot be probed: %s", topic, err.message);
}

static void probe(struct tf_client *c)
{
	uint64_t now = tf_client_now(c);
	if (!tf_transport_is_up(c->transport) || now < c->probe_at)
		return;
	/* A probe that declares leaves one message for a worker that starts later, which answers at
	 * once then; the hurried ones between must not pile up there. */
	bool declare = now >= c->declare_at;
	int64_t check = tf_client_next_check(c);
	for (size_t i = 0; c->config.topics[i]; i++)
		tf_client_probe(c, c->config.topics[i], declare ? TF_PUBLISH_DECLARE : 0, check);
	if (declare)
		c->declare_at = now + c->config.probe_ms;
	uint64_t gap =
		tf_inflight_waiting(c->inflight) ? c->probe_gap + c->probe_gap / 2 : c->config.probe_ms;
	c->probe_gap = gap < c->config.probe_ms ? gap : c->config.probe_ms;
	c->probe_at = now + c->probe_gap;
	if (c->probe_at > c->declare_at)
		c->probe_at = c->declare_at;
}

static struct tf_value *expiry_failure(const struct tf_client *c, const struct tf_flight *f, uint64_t waited)
{
	struct tf_buf why = TF_BUF_INIT;
	if (!tf_transport_is_up(c->transport)) {
		tf_buf_printf(&why, "there is no connection: %s", c->down.message);
	} else if (f->state == TF_REQUEST_PENDING) {
		tf_buf_printf(&why,
			"it was sent to topic '%s', where no worker started it: all are busy, or gone",
			f->topic);
	} else if (tf_finder_pick(c->finder, f->request.task_cls)) {
		tf_buf_printf(&why,
			"it waits behind %u others that no worker has started: all are busy, or gone",
			pending_max(c));
	} else {
		tf_buf_printf(&why, "no worker that offers '%s' answered on topics", f->request.task_cls);
		for (size_t i = 0; c->config.topics[i]; i++)
			tf_buf_printf(&why, "%s '%s'", i ? "," : "", c->config.topics[i]);
	}
	struct tf_value *v = tf_failure_format(tf_types_request_timeout,
		"Request '%s' (%s of %s) has expired after waiting for %.2f seconds for it to transition out "
		"of "
		"(WAITING, PENDING) states; %s",
		f->request.task_name, tf_action_name(f->request.action), f->request.task_cls,
		(double)waited / 1000.0, why.data);
	tf_buf_free(&why);
	return v;
}

/* Its worker was lost, and nobody took it over. */
static struct tf_value *abandoned_failure(const struct tf_flight *f, uint64_t waited)
{
	return tf_failure_format(tf_types_worker_lost, "%s; no other worker took it over within %.2f seconds",
		f->loss, (double)waited / 1000.0);
}

bool tf_client_is_busy(const struct tf_client *c, const struct tf_lane *lane)
{
	return lane->busy_at && tf_pace_ms(&c->pace) + 1 - lane->busy_at <= 2 * c->config.probe_ms;
}

/* Whether the request waits behind others for workers that are there. It does not wait in vain then, and the transition
 * timeout does not count: the reference lets such a request expire, and the worker runs it all the same. */
static bool in_line(struct tf_client *c, const struct tf_flight *f)
{
	const char *topic = f->lane ? NULL : tf_finder_pick(c->finder, f->request.task_cls);
	const struct tf_lane *lane = f->lane ? f->lane : topic ? tf_client_lane(c, topic) : NULL;

	return lane && tf_client_is_busy(c, lane);
}

void tf_client_busy(struct tf_client *c, const char *topic)
{
	if (tf_map_count(c->lanes) < TF_FINDER_MAX_TOPICS)
		tf_client_lane(c, topic)->busy_at = tf_pace_ms(&c->pace) + 1;
}

static void expire_one(struct tf_client *c, struct tf_flight *f, uint64_t waited)
{
	c->stats.timeouts++;
	if (f->state == TF_REQUEST_PENDING && tf_map_count(c->expired) < EXPIRED_MAX) {
		int64_t *round = TF_NEW(int64_t);
		*round = f->round;
		free(tf_map_remove(c->expired, f->uuid));
		tf_map_set(c->expired, f->uuid, round);
	}
	tf_client_complete(
		c, f, true, f->losses ? abandoned_failure(f, waited) : expiry_failure(c, f, waited));
}

/* Queue limits of tasks are in no order: all requests are looked at, a few times a second. */
static void expire_own(struct tf_client *c)
{
	struct tf_flight *next;
	uint64_t now = tf_pace_ms(&c->pace);
	if (!c->own_limits || now < c->limits_at)
		return;
	c->limits_at = now + OWN_LIMITS_MS;
	for (struct tf_flight *f = tf_inflight_first(c->inflight); f; f = next) {
		next = tf_inflight_next(f);
		if (f->queue_ms && f->state != TF_REQUEST_RUNNING && queue_time_left(c, f) == 0)
			expire_one(c, f, f->queue_ms + now - f->begin_by);
	}
}

static void expire(struct tf_client *c)
{
	struct tf_flight *f;
	expire_own(c);
	uint64_t now = tf_pace_ms(&c->pace);
	if (c->config.transition_timeout_ms < 0)
		return;
	while ((f = tf_inflight_oldest(c->inflight)) != NULL &&
		now - f->since >= (uint64_t)c->config.transition_timeout_ms) {
		uint64_t waited = now - f->since;
		if (in_line(c, f)) {
			tf_inflight_renew(c->inflight, f, now);
			continue;
		}
		expire_one(c, f, waited);
	}
}

static void give_up_unreadable(struct tf_client *c)
{
	struct tf_flight *f;
	uint64_t now = tf_pace_ms(&c->pace);
	while ((f = tf_inflight_next_again(c->inflight, TF_QUEUE_UNREADABLE)) != NULL && f->again_at <= now)
		tf_client_complete(c, f, true,
			tf_failure_format(tf_types_value_error,
				"the worker on topic '%s' sent an outcome of task '%s' that cannot be read, "
				"and "
				"no other followed: %s",
				f->topic, f->request.task_name, f->unreadable));
}

void tf_client_due(struct tf_client *c)
{
	if (!c->pace.paused) {
		expire(c);
		give_up_unreadable(c);
		tf_client_judge_silence(c);
		tf_client_send_again(c, TF_QUEUE_RUNNING_AGAIN);
		tf_client_send_again(c, TF_QUEUE_PENDING_AGAIN);
		tf_client_rejoin_due(c);
		tf_client_search_due(c);
	}
	size_t forgotten = tf_finder_expire(c->finder);
	if (forgotten)
		tf_info("engine", "%zu workers were not heard of for %.0f s and are forgotten", forgotten,
			(double)c->config.worker_expiry_ms / 1000.0);
	probe(c);
	tf_client_doubt(c);
	if (c->clogged || c->full)
		tf_client_place(c);
}

static uint64_t sooner(uint64_t ms, uint64_t due, uint64_t now)
{
	uint64_t in = due > now ? due - now : 0;
	return in < ms ? in : ms;
}

static uint64_t paced_next(const struct tf_client *c, uint64_t ms)
{
	uint64_t now = tf_pace_ms(&c->pace);
	const struct tf_flight *f = tf_inflight_oldest(c->inflight);
	if (f && c->own_limits)
		ms = sooner(ms, c->limits_at, now);
	if (f && c->config.transition_timeout_ms >= 0)
		ms = sooner(ms, f->since + (uint64_t)c->config.transition_timeout_ms, now);
	if (!tf_client_broker_is_silent(c))
		ms = sooner(ms, tf_supervision_due(c->supervision), now);
	for (int q = TF_QUEUE_PENDING_AGAIN; q < TF_QUEUE_COUNT; q++) {
		f = tf_inflight_next_again(c->inflight, (enum tf_flight_queue)q);
		if (f)
			ms = sooner(ms, f->again_at, now);
	}
	return ms;
}

uint64_t tf_client_next(const struct tf_client *c)
{
	uint64_t ms = tf_inflight_count(c->inflight) ? TF_CLIENT_ATTENTION_MS : c->config.probe_ms;
	if (c->outbox.count)
		return 0;
	if (c->clogged && ms > CLOGGED_MS)
		ms = CLOGGED_MS;
	if (!c->pace.paused)
		ms = paced_next(c, ms);
	if (tf_transport_is_up(c->transport))
		ms = sooner(ms, c->probe_at, tf_client_now(c));
	return sooner(ms, tf_finder_due(c->finder), tf_client_now(c));
}
