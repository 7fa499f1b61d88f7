/* Requests that leave an engine, and what is due with time: probes, expiry, silence, sending again
 * (PROTOCOL.md 5.1 to 5.3, ARCHITECTURE 4). */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "protocol/peer.h"
#include "wbe/client.h"

/* While a request waits for a worker to appear, probes start so far apart and slow down. */
#define HURRY_MS 100
/* Longest sleep while something is in flight: see TF_PACE_STEP_MS. */
#define ATTENTION_MS (TF_PACE_STEP_MS / 2)
/* Requests in a topic's queue, not begun, at most: enough for many workers to find the next one there, and no more than
 * a broker keeps at hand. The rest waits here, where a suspended flow gets it back. In a directory each is a file,
 * made anew by an engine that has none to write again, and that is dear. */
#define PENDING_MAX_BROKER 1024
#define PENDING_MAX_DIRECTORY 256
/* Topics tried for one with room, when several have the class. */
#define PICKS 4
/* Next try after the transport's queue was full. */
#define CLOGGED_MS 50
/* A request that runs is asked for again so often, until the worker's queue is back. */
#define AGAIN_MS 1000
/* A PENDING request is sent again so long after a reconnect: a worker that has it says so first. */
#define SETTLE_MS 2500
/* Silence of a topic with requests PENDING, after which its queue is in doubt. */
#define DOUBT_MS 1000
/* Between two looks at requests that have a queue limit. */
#define OWN_LIMITS_MS 50
/* Requests remembered that expired in the queue of a topic. */
#define EXPIRED_MAX 10000

#define flight_of(w) ((struct tf_flight *)(void *)((char *)(w)-offsetof(struct tf_flight, watch)))

/* Of a request with a queue limit. */
static uint64_t queue_time_left(const struct tf_client *c, const struct tf_flight *f)
{
	uint64_t now = tf_pace_ms(&c->pace);
	return f->begin_by > now ? f->begin_by - now : 0;
}

/* ---- sending */

static int send(
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
	if (f->losses + 1 >= (f->attempts ? f->attempts : c->config.attempts))
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
		.peer = ours ? tf_peer_write(&peer, header) : NULL,
		.body = c->scratch.data,
		.body_len = c->scratch.len};
	int rc = tf_transport_publish(c->transport, &m, flags, tf_inflight_publish(c->inflight, f), err);
	if (rc == 0)
		f->dispatch++;
	return rc;
}

static void not_sent(struct tf_client *c, struct tf_flight *f, const char *topic, const struct tf_err *err)
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
	struct tf_value *large = r->action == TF_EXECUTE
					 ? tf_failure_size(r->task_name, "arguments",
						   tf_value_len(r->arguments), r->limits.arguments)
					 : NULL;
	if (large) {
		tf_client_complete(c, f, true, large);
		return false;
	}
	int rc = check_values(r, &err);
	if (rc == 0)
		rc = worker ? send(c, f, worker, 0, &err) : send(c, f, topic, TF_PUBLISH_DECLARE, &err);
	if (rc == TF_EAGAIN) {
		c->clogged = true;
		return false;
	}
	if (rc < 0) {
		not_sent(c, f, topic, &err);
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
	uint64_t soon = tf_client_now(c) + HURRY_MS;
	c->probe_gap = HURRY_MS;
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

static bool in_grace(const struct tf_client *c)
{
	return tf_pace_ms(&c->pace) < c->grace_end;
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
		not_sent(c, f, f->topic, err);
	else if (f->state == TF_REQUEST_RUNNING && f->watch.worker && in_grace(c))
		tf_inflight_again(c->inflight, f, TF_QUEUE_RUNNING_AGAIN, tf_pace_ms(&c->pace) + AGAIN_MS);
}

/* ---- after a reconnect */

/* Whether a queue of that topic may have held it, and nobody says if it is gone. A Python worker gets nothing twice. */
static bool may_have_lost(const struct tf_client *c, const struct tf_flight *f)
{
	return f->state == TF_REQUEST_PENDING && !c->transport->ops->tracks &&
	       tf_map_get(c->tfhost_topics, f->topic);
}

void tf_client_lost(void *arg, const char *topic)
{
	struct tf_client *c = arg;
	size_t lost = 0;
	if (!c->transport)
		return;
	tf_client_lane(c, topic)->gone++;
	uint64_t at = tf_pace_ms(&c->pace) + (in_grace(c) ? SETTLE_MS : 0);
	for (struct tf_flight *f = tf_inflight_first(c->inflight); f; f = tf_inflight_next(f)) {
		/* What has no outcome yet goes to the new queue; a watched one went to its worker's own. */
		if (f->state != TF_REQUEST_PENDING || f->publish || f->watch.worker ||
			f->queue == TF_QUEUE_UNREADABLE || strcmp(f->topic, topic) != 0)
			continue;
		tf_inflight_again(c->inflight, f, TF_QUEUE_PENDING_AGAIN, at);
		lost++;
	}
	if (lost)
		tf_warn_of(&(struct tf_log_ids){.flow = c->config.reply_topic}, "engine",
			"the queue of topic '%s' is gone: the last worker went, or the broker; %zu requests "
			"are "
			"sent "
			"again",
			topic, lost);
	tf_client_arm(c, 0);
}

/* Whatever a queue held may be gone with the broker: requests on their way, replies on theirs. */
static void recover(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	c->grace_end = now + c->config.grace_ms;
	tf_supervision_grace(c->supervision, c->config.grace_ms);
	for (struct tf_flight *f = tf_inflight_first(c->inflight), *next; f; f = next) {
		next = tf_inflight_next(f);
		if (f->state == TF_REQUEST_RUNNING && f->watch.worker)
			tf_inflight_again(c->inflight, f, TF_QUEUE_RUNNING_AGAIN, now);
		else if (f->state == TF_REQUEST_PENDING && f->watch.worker)
			tf_client_rejoin_again(c, f);
		else if (f->state == TF_REQUEST_PENDING && c->transport->ops->groups &&
			 tf_map_get(c->tfhost_seen, f->topic))
			tf_client_search_again(c, f); /* a worker may have dropped it, as we were away */
		else if (may_have_lost(c, f))
			tf_inflight_again(c->inflight, f, TF_QUEUE_PENDING_AGAIN, now + SETTLE_MS);
	}
}

void tf_client_state(void *arg, bool up, const struct tf_err *err)
{
	struct tf_client *c = arg;
	if (!c->transport)
		return;
	if (up) {
		bool again = c->pace.paused;
		tf_pace_pause(&c->pace, false);
		if (again)
			recover(c);
		c->was_up = true;
		c->probe_at = c->declare_at = tf_client_now(c);
	} else {
		tf_warn_of(&(struct tf_log_ids){.flow = c->config.reply_topic}, "engine",
			"the connection is down: %s", err ? err->message : "no reason given");
		tf_pace_pause(&c->pace, c->was_up); /* a broker that was never there is no reason to wait */
		if (err)
			c->down = *err;
	}
	tf_client_arm(c, 0);
}

/* A running request goes to its worker alone, whose ledger joins or answers; a pending one to all. */
static void send_again(struct tf_client *c, enum tf_flight_queue queue)
{
	struct tf_flight *f;
	uint64_t now = tf_pace_ms(&c->pace);
	while ((f = tf_inflight_next_again(c->inflight, queue)) != NULL && f->again_at <= now) {
		struct tf_err err;
		bool running = queue == TF_QUEUE_RUNNING_AGAIN;
		tf_inflight_dequeue(c->inflight, f);
		if (running && !f->watch.worker)
			continue;
		int rc = running ? send(c, f, f->watch.worker->peer.worker, 0, &err)
				 : send(c, f, f->topic, TF_PUBLISH_DECLARE, &err);
		if (rc == 0)
			c->stats.resent++;
		else if (rc == TF_EAGAIN)
			tf_inflight_again(c->inflight, f, queue, now + AGAIN_MS);
		else if (!running)
			not_sent(c, f, f->topic, &err);
	}
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

void tf_client_topic_heard(struct tf_client *c, const char *topic)
{
	struct tf_lane *lane = tf_map_get(c->lanes, topic);
	if (lane)
		lane->heard_at = tf_pace_ms(&c->pace);
}

/* Where requests are PENDING and no worker has said anything for a moment, the queue may be gone with the last worker: a
 * probe tells, and need not wait for its time. */
static void doubt(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	if (!c->transport->ops->tracks || !tf_transport_is_up(c->transport) || now < c->doubt_at ||
		!tf_inflight_count(c->inflight))
		return;
	c->doubt_at = now + ATTENTION_MS;
	for (size_t i = 0; c->config.topics[i]; i++) {
		struct tf_lane *lane = tf_map_get(c->lanes, c->config.topics[i]);
		if (!lane || !lane->pending || !lane->heard_at || now - lane->heard_at < DOUBT_MS)
			continue;
		lane->heard_at =
			0; /* once, until it is heard of again: then the probes of every few seconds do */
		tf_client_probe(c, c->config.topics[i], 0, -1);
	}
}

static void probe(struct tf_client *c)
{
	uint64_t now = tf_client_now(c);
	if (!tf_transport_is_up(c->transport) || now < c->probe_at)
		return;
	/* A probe that declares leaves one message for a worker that starts later, which answers at
	 * once then; the hurried ones between must not pile up there. */
	bool declare = now >= c->declare_at;
	for (size_t i = 0; c->config.topics[i]; i++)
		tf_client_probe(c, c->config.topics[i], declare ? TF_PUBLISH_DECLARE : 0, -1);
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

/* Whether the request waits behind others for workers that are there. It does not wait in vain then, and the transition
 * timeout does not count: the reference lets such a request expire, and the worker runs it all the same. */
static bool in_line(struct tf_client *c, const struct tf_flight *f)
{
	const uint64_t now = tf_pace_ms(&c->pace) + 1;
	const char *topic = f->lane ? NULL : tf_finder_pick(c->finder, f->request.task_cls);
	const struct tf_lane *lane = f->lane ? f->lane : topic ? tf_client_lane(c, topic) : NULL;

	return lane && lane->busy_at && now - lane->busy_at <= 2 * c->config.probe_ms;
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

/* What happened to the request, for people; caller frees. */
static char *loss_story(const struct tf_client *c, const struct tf_watched *w, const struct tf_flight *f)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_printf(&b, "worker %s (topic '%s'", w->peer.worker, f->topic);
	if (w->peer.host[0])
		tf_buf_printf(&b, ", host %s", w->peer.host);
	if (w->peer.pid > 0)
		tf_buf_printf(&b, ", pid %lld", (long long)w->peer.pid);
	tf_buf_printf(&b,
		") was silent for %.1f s while it ran task '%s': its process was killed or stopped, or it "
		"lost its "
		"connection; what the task did until then is not known",
		(double)(tf_pace_ms(&c->pace) - w->heard) / 1000.0, f->request.task_name);
	return b.data;
}

/* The worker of `f` is lost: another one may take it, unless it was tried often enough. */
static void hand_over(struct tf_client *c, struct tf_flight *f, const struct tf_watched *w)
{
	unsigned attempts = f->attempts ? f->attempts : c->config.attempts;
	char *story = loss_story(c, w, f);
	struct tf_log_ids ids = tf_flight_log_ids(c, f);
	ids.worker = w->peer.worker;
	tf_debug_of(&ids, "engine", "%s", story);
	c->stats.lost++;
	f->losses++;
	f->begun_us = 0;
	if (c->cancelling && f->request.action == TF_EXECUTE) {
		tf_client_complete(c, f, true,
			tf_failure_format(tf_types_cancelled, "%s; its engine was cancelled", story));
		free(story);
		return;
	}
	if (f->losses >= attempts) {
		tf_client_complete(c, f, true,
			tf_failure_format(tf_types_worker_lost, "%s; attempts used up: %u of %u", story,
				f->losses, attempts));
		free(story);
		return;
	}
	free(f->loss);
	f->loss = story;
	c->stats.handed_over++;
	tf_supervision_unwatch(c->supervision, &f->watch);
	tf_inflight_wait_again(c->inflight, f, tf_pace_ms(&c->pace));
}

/* Who is there besides? Whoever answers gets what the lost worker had. */
static void look_for_others(struct tf_client *c)
{
	c->probe_gap = HURRY_MS;
	c->probe_at = tf_client_now(c);
	tf_client_place(c);
}

/* ---- is it the worker that is silent, or the broker?
 *
 * A broker that stands still (stopped, out of memory, behind a network that swallows packets) silences
 * everybody at once, long before a heartbeat tells. So while a worker is silent for half the time
 * allowed we send ourselves a message; without an answer no worker is judged. */

#define ECHO_MS 400

static uint64_t half_silence(const struct tf_client *c)
{
	return (uint64_t)c->config.silence_ms / 2;
}

static bool broker_is_silent(const struct tf_client *c)
{
	return c->transport->ops->broker && tf_pace_ms(&c->pace) - c->heard_at >= half_silence(c);
}

bool tf_client_is_echo(const struct tf_client *c, const struct tf_message *m)
{
	return m->reply_to && !strcmp(m->reply_to, c->config.reply_topic);
}

void tf_client_heard(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	if (c->asked_at && now - c->asked_at >= half_silence(c)) {
		tf_info("engine", "the broker delivers again, after %.1f s",
			(double)(now - c->heard_at) / 1000.0);
		tf_supervision_grace(c->supervision, (uint64_t)c->config.silence_ms);
	}
	c->asked_at = 0;
	c->heard_at = now;
}

static void ask_broker(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	const struct tf_watched *w = tf_supervision_longest(c->supervision);
	if (!w || !c->transport->ops->broker || now - w->heard < half_silence(c) ||
		now - c->echo_at < ECHO_MS)
		return;
	const struct tf_message m = {.topic = c->config.reply_topic,
		.type = TF_TYPE_NOTIFY,
		.reply_to = c->config.reply_topic,
		.body = "{}",
		.body_len = 2};
	c->echo_at = now;
	if (!c->asked_at)
		c->asked_at = now;
	(void)tf_transport_publish(c->transport, &m, 0, 0, NULL); /* no answer says enough */
}

static void judge_silence(struct tf_client *c)
{
	struct tf_watched *w;
	ask_broker(c);
	if (broker_is_silent(c))
		return;
	while ((w = tf_supervision_silent(c->supervision)) != NULL) {
		const struct tf_log_ids ids = {.flow = c->config.reply_topic, .worker = w->peer.worker};
		tf_warn_of(&ids, "engine", "worker %s is silent: its tasks go to others", w->peer.worker);
		bool last = false;
		while (!last) {
			struct tf_watch *watch = TAILQ_FIRST(&w->watches);
			struct tf_flight *f = flight_of(watch);
			last = !TAILQ_NEXT(watch, link); /* `w` goes with its last watch */
			tf_finder_forget(c->finder, f->topic);
			hand_over(c, f, w);
		}
		look_for_others(c);
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
		judge_silence(c);
		send_again(c, TF_QUEUE_RUNNING_AGAIN);
		send_again(c, TF_QUEUE_PENDING_AGAIN);
		tf_client_rejoin_due(c);
		tf_client_search_due(c);
	}
	size_t forgotten = tf_finder_expire(c->finder);
	if (forgotten)
		tf_info("engine", "%zu workers were not heard of for %.0f s and are forgotten", forgotten,
			(double)c->config.worker_expiry_ms / 1000.0);
	probe(c);
	doubt(c);
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
	if (!broker_is_silent(c))
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
	uint64_t ms = tf_inflight_count(c->inflight) ? ATTENTION_MS : c->config.probe_ms;
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
