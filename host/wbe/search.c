/* Requests that an earlier engine of the flow may have sent, nobody knows to whom: it was killed before that was kept. Where
 * such a request may be: in the queue of a topic, with a worker that waits for a slot or runs it, in the ledger of one that
 * has run it, or nowhere. Sent once more at once it would be run by another worker, too. So first a question goes through
 * the queue of each topic. When that is answered, all that stood before it was taken by workers. Then all of them are asked,
 * as a group, who has which. What nobody claims is sent. Workers other than ours cannot be asked. */
#include <stdlib.h>

#include "base/mem.h"
#include "protocol/peer.h"
#include "wbe/client.h"

/* Who is asked answers at once. */
#define ASK_MS 1000
/* A question that has not come through is sent again: who has taken it may stand still. */
#define QUESTION_MS 1000

void tf_client_search(struct tf_client *c, struct tf_flight *f)
{
	if (!c->transport->ops->groups) {
		tf_client_give_up_rejoining(c, f);
		return;
	}
	f->given = false;
	tf_inflight_again(c->inflight, f, TF_QUEUE_SEARCHING, UINT64_MAX);
	c->search_anew = true;
	c->search_at = 0;
	if (c->probe_at > tf_client_now(c) && !tf_finder_pick(c->finder, f->request.task_cls))
		c->probe_at = tf_client_now(c);
	tf_client_arm(c, 0);
}

void tf_client_search_again(struct tf_client *c, struct tf_flight *f)
{
	free(f->performer);
	f->performer = tf_strdup("");
	tf_inflight_wait_again(c->inflight, f, tf_pace_ms(&c->pace));
	tf_client_search(c, f);
}

void tf_client_found(struct tf_client *c, struct tf_flight *f, const struct tf_peer *peer)
{
	if (f->state == TF_REQUEST_PENDING)
		tf_client_claimed(c, f, peer->given == 1);
	/* What was with a worker is not any more if the queue is gone meanwhile, or if it answers late. */
	if (f->queue != TF_QUEUE_ASKING || !f->topic || peer->echo != f->asked ||
		f->gone != tf_client_lane(c, f->topic)->gone)
		return;
	/* It was in the queue again since the question had come through: another one finds out who has taken it. */
	if (peer->given == 1) {
		f->given = true;
		return;
	}
	tf_inflight_published(c->inflight, f->publish); /* what becomes of the question does not matter */
	tf_inflight_move(c->inflight, f, TF_REQUEST_PENDING);
	f->lane = tf_client_lane(c, f->topic);
	f->lane->pending++;
}

int tf_client_ask(struct tf_client *c, struct tf_flight *f, const char *topic, uint64_t id)
{
	char header[TF_PEER_MAX], *group = tf_wbe_group(topic);
	struct tf_peer peer = TF_PEER_INIT;
	peer.ask = 1;
	peer.echo = f->asked = ++c->asks;
	peer.round = f->round;
	peer.action = (int)f->request.action;
	const struct tf_message m = {.topic = group,
		.type = TF_TYPE_NOTIFY,
		.reply_to = c->config.reply_topic,
		.correlation_id = f->uuid,
		.peer = tf_peer_write(&peer, header),
		.body = "{}",
		.body_len = 2};
	int rc = group ? tf_transport_publish(c->transport, &m, 0, id, NULL) : TF_EINVAL;
	free(group);
	return rc;
}

static void ask(struct tf_client *c, struct tf_flight *f, const char *topic)
{
	free(f->topic);
	f->topic = tf_strdup(topic);
	f->gone = tf_client_lane(c, topic)->gone;
	if (tf_client_ask(c, f, topic, tf_inflight_publish(c->inflight, f)) == 0)
		tf_inflight_again(c->inflight, f, TF_QUEUE_ASKING, tf_pace_ms(&c->pace) + ASK_MS);
	else
		tf_client_give_up_rejoining(c, f);
}

static void ask_all(struct tf_client *c, enum tf_flight_queue queue, const char *topic)
{
	struct tf_flight *next, *last = tf_inflight_last_again(c->inflight, queue);
	bool more = last != NULL;
	for (struct tf_flight *f = tf_inflight_next_again(c->inflight, queue); more; f = next) {
		next = TAILQ_NEXT(f, queued);
		more = f != last; /* those asked may enter the same queue again, at its end */
		if (!f->performer[0] && tf_finder_offers(c->finder, topic, f->request.task_cls))
			ask(c, f, topic);
	}
}

void tf_client_search_answer(struct tf_client *c, const char *topic, const struct tf_peer *peer)
{
	struct tf_flight *f, *next;
	if (peer->present && peer->echo == c->question && !c->search_anew) {
		tf_client_lane(c, topic)->passed = c->question;
		ask_all(c, TF_QUEUE_ASKING, topic);
		ask_all(c, TF_QUEUE_SEARCHING, topic);
	}
	if (tf_inflight_next_again(c->inflight, TF_QUEUE_SEARCHING))
		tf_client_arm(c, 0);
	if (peer->present || tf_map_get(c->tfhost_seen, topic))
		return;
	for (f = tf_inflight_next_again(c->inflight, TF_QUEUE_SEARCHING); f; f = next) {
		next = TAILQ_NEXT(f, queued);
		if (tf_finder_offers(c->finder, topic, f->request.task_cls))
			tf_client_give_up_rejoining(c, f);
	}
}

void tf_client_search_due(struct tf_client *c)
{
	uint64_t now = tf_pace_ms(&c->pace);
	if (now < c->search_at || !tf_transport_is_up(c->transport) ||
		!tf_inflight_next_again(c->inflight, TF_QUEUE_SEARCHING))
		return;
	bool sent = false;
	for (size_t i = 0; c->config.topics[i]; i++) {
		const char *topic = c->config.topics[i];
		if (!tf_map_get(c->tfhost_seen, topic))
			continue;
		if (!sent && c->search_anew)
			c->question++;
		c->search_anew = false;
		sent = true;
		if (tf_client_lane(c, topic)->passed == c->question)
			ask_all(c, TF_QUEUE_SEARCHING, topic); /* it may offer more now */
		else
			tf_client_probe(c, topic, TF_PUBLISH_DECLARE, c->question);
	}
	if (sent)
		c->search_at = now + QUESTION_MS;
}
