/* What may be lost with a connection, a broker, or the queue of a topic that went with its last worker. */
#include <string.h>

#include "base/log.h"
#include "wbe/client.h"

/* A PENDING request is sent again so long after a reconnect: a worker that has it says so first. */
#define SETTLE_MS 2500
/* Silence of a topic with requests PENDING, after which its queue is in doubt. */
#define DOUBT_MS 1000

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
	uint64_t at = tf_pace_ms(&c->pace) + (tf_client_in_grace(c) ? SETTLE_MS : 0);
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
void tf_client_send_again(struct tf_client *c, enum tf_flight_queue queue)
{
	struct tf_flight *f;
	uint64_t now = tf_pace_ms(&c->pace);
	while ((f = tf_inflight_next_again(c->inflight, queue)) != NULL && f->again_at <= now) {
		struct tf_err err;
		bool running = queue == TF_QUEUE_RUNNING_AGAIN;
		tf_inflight_dequeue(c->inflight, f);
		if (running && !f->watch.worker)
			continue;
		int rc = running ? tf_client_send(c, f, f->watch.worker->peer.worker, 0, &err)
				 : tf_client_send(c, f, f->topic, TF_PUBLISH_DECLARE, &err);
		if (rc == 0)
			c->stats.resent++;
		else if (rc == TF_EAGAIN)
			tf_inflight_again(c->inflight, f, queue, now + TF_CLIENT_AGAIN_MS);
		else if (!running)
			tf_client_not_sent(c, f, f->topic, &err);
	}
}

void tf_client_topic_heard(struct tf_client *c, const char *topic)
{
	struct tf_lane *lane = tf_map_get(c->lanes, topic);
	if (lane)
		lane->heard_at = tf_pace_ms(&c->pace);
}

/* Where requests are PENDING and no worker has said anything for a moment, the queue may be gone with the last worker: a
 * probe tells, and need not wait for its time. */
void tf_client_doubt(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	if (!c->transport->ops->tracks || !tf_transport_is_up(c->transport) || now < c->doubt_at ||
		!tf_inflight_count(c->inflight))
		return;
	c->doubt_at = now + TF_CLIENT_ATTENTION_MS;
	for (size_t i = 0; c->config.topics[i]; i++) {
		struct tf_lane *lane = tf_map_get(c->lanes, c->config.topics[i]);
		if (!lane || !lane->pending || !lane->heard_at || now - lane->heard_at < DOUBT_MS)
			continue;
		lane->heard_at =
			0; /* once, until it is heard of again: then the probes of every few seconds do */
		tf_client_probe(c, c->config.topics[i], 0, -1);
	}
}
