/* Requests that vanished from the queue of a topic while the queue stayed the one it was: an operator has purged it, or deleted
 * a message. Nobody is told. But each probe has a number, and goes the way that the requests before it went: when it is
 * answered, workers have taken all that stood before it. They are asked then, as a group (search.c), who has what has been
 * PENDING for long. What nobody claims, time and again, is sent once more: not before a worker that stands still, and may have
 * it, would have lost its connection and the broker given it to another one.
 *
 * Only where all workers are ours: others cannot be asked, and what one of them took must not run twice. */
#include "base/log.h"
#include "wbe/client.h"

/* Without a sign of it for so long a request is asked for: where some worker is idle, and where all have enough to do. */
#define PATIENCE_MS 8000
#define PATIENCE_BUSY_MS 60000
/* Two heartbeats of 10 s, and what it takes to notice. */
#define VANISHED_MS 25000
#define MISSES 3
/* After one answer; those that are claimed come last the next time. */
#define ASKS_AT_ONCE 32

int64_t tf_client_next_check(struct tf_client *c)
{
	return ++c->check;
}

void tf_client_sent(struct tf_client *c, struct tf_flight *f)
{
	f->check = c->check + 1;
	f->sure_at = tf_pace_ms(&c->pace);
	f->misses = 0;
}

void tf_client_claimed(struct tf_client *c, struct tf_flight *f, bool given)
{
	f->sure_at = tf_pace_ms(&c->pace);
	f->misses = 0;
	if (given) /* it is behind this number again */
		f->check = c->check + 1;
}

/* Whether a worker must have taken it by now, if it is anywhere. */
static bool must_be_taken(const struct tf_flight *f, const struct tf_lane *lane, int64_t check)
{
	return f->state == TF_REQUEST_PENDING && f->lane == lane && f->queue == TF_QUEUE_NONE &&
	       !f->publish && !f->watch.worker && f->check <= check;
}

static bool is_vanished(const struct tf_client *c, const struct tf_flight *f)
{
	return f->misses >= MISSES && tf_pace_ms(&c->pace) - f->missed_at >= VANISHED_MS;
}

static void ask(struct tf_client *c, struct tf_flight *f, const char *topic)
{
	if (!f->misses++)
		f->missed_at = tf_pace_ms(&c->pace);
	(void)tf_client_ask(c, f, topic, 0); /* asked again soon */
}

static void send_again(struct tf_client *c, struct tf_flight *f)
{
	f->misses = 0;
	tf_inflight_again(c->inflight, f, TF_QUEUE_PENDING_AGAIN, tf_pace_ms(&c->pace));
	tf_client_arm(c, 0);
}

void tf_client_checked(struct tf_client *c, const char *topic, const struct tf_peer *peer)
{
	struct tf_lane *lane = tf_map_get(c->lanes, topic);
	const uint64_t now = tf_pace_ms(&c->pace);
	unsigned asks = 0, lost = 0;
	if (lane && !peer->present)
		lane->mixed = true;
	if (!lane || lane->mixed || !lane->pending || !c->transport->ops->groups || peer->echo > c->check ||
		peer->echo < TF_CLIENT_CHECKS)
		return;
	const uint64_t patience = tf_client_is_busy(c, lane) ? PATIENCE_BUSY_MS : PATIENCE_MS;
	unsigned left = lane->pending; /* of what may be a million that wait behind them */
	for (struct tf_flight *f = tf_inflight_first(c->inflight); f && left; f = tf_inflight_next(f)) {
		left -= f->state == TF_REQUEST_PENDING && f->lane == lane;
		if (!must_be_taken(f, lane, peer->echo) || (!f->misses && now - f->sure_at < patience))
			continue;
		if (is_vanished(c, f)) {
			lost++;
			send_again(c, f);
		} else if (asks++ < ASKS_AT_ONCE) {
			ask(c, f, topic);
		}
	}
	if (lost)
		tf_warn_of(&(struct tf_log_ids){.flow = c->config.reply_topic}, "engine",
			"no worker of topic '%s' has %u requests, nor has its queue: it was purged; they are "
			"sent again",
			topic, lost);
}
