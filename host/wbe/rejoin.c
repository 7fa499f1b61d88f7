/* Requests of a flow that another engine began. The worker that runs one, or ran it lately, joins or answers it from its
 * ledger; another worker of the topic would run it again. So that one is asked first, on its private queue. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "protocol/peer.h"
#include "wbe/client.h"

/* A worker that is there answers at once; one that runs something says so every second besides. */
#define ASK_MS 2500

static void ask(struct tf_client *c, struct tf_flight *f)
{
	char header[TF_PEER_MAX];
	const struct tf_peer peer = TF_PEER_INIT;
	const struct tf_message m = {.topic = f->performer,
		.type = TF_TYPE_NOTIFY,
		.reply_to = c->config.reply_topic,
		.peer = tf_peer_write(&peer, header),
		.body = "{}",
		.body_len = 2};
	if (tf_transport_publish(c->transport, &m, 0, tf_inflight_publish(c->inflight, f), NULL) < 0)
		tf_client_give_up_rejoining(c, f);
}

void tf_client_rejoin(struct tf_client *c, struct tf_flight *f)
{
	tf_inflight_again(c->inflight, f, TF_QUEUE_ASKING, tf_pace_ms(&c->pace) + ASK_MS);
	ask(c, f);
}

/* Who is known as its performer has begun it: that was a run. Whether another one has it now is still to be seen. */
static void lose_performer(struct tf_client *c, struct tf_flight *f)
{
	tf_client_lose(c, f,
		tf_asprintf(
			"worker %s, which ran task '%s' when its engine was killed, is not there any more; "
			"what the task did until then is not known",
			f->performer, f->request.task_name));
	free(f->performer);
	f->performer = tf_strdup("");
	tf_client_search(c, f);
}

void tf_client_give_up_rejoining(struct tf_client *c, struct tf_flight *f)
{
	if (f->performer && f->performer[0]) {
		lose_performer(c, f);
		return;
	}
	free(f->performer);
	f->performer = NULL;
	if (tf_client_used_up(c, f))
		return;
	tf_inflight_wait(c->inflight, f);
	tf_client_place_one(c, f);
}

void tf_client_met(struct tf_client *c, const struct tf_peer *peer, const char *topic)
{
	struct tf_flight *f = tf_inflight_next_again(c->inflight, TF_QUEUE_ASKING), *next;
	for (; f; f = next) {
		next = TAILQ_NEXT(f, queued);
		if (strcmp(f->performer, peer->worker) != 0)
			continue;
		tf_inflight_wait(c->inflight, f);
		if (tf_client_send_first(c, f, topic,
			    peer->worker)) /* its queue goes with it, and nobody else reads that */
			tf_supervision_watch(c->supervision, &f->watch, peer);
	}
}

static void take_back(struct tf_client *c, struct tf_flight *f)
{
	tf_supervision_unwatch(c->supervision, &f->watch);
	tf_inflight_wait_again(c->inflight, f, tf_pace_ms(&c->pace));
}

void tf_client_missed(struct tf_client *c, struct tf_flight *f)
{
	take_back(c, f);
	tf_client_give_up_rejoining(c, f);
}

void tf_client_rejoin_again(struct tf_client *c, struct tf_flight *f)
{
	take_back(c, f);
	tf_client_rejoin(c, f);
}

void tf_client_rejoin_due(struct tf_client *c)
{
	struct tf_flight *f;
	uint64_t now = tf_pace_ms(&c->pace);
	while ((f = tf_inflight_next_again(c->inflight, TF_QUEUE_ASKING)) != NULL && f->again_at <= now) {
		if (f->given)
			tf_client_search(c, f);
		else
			tf_client_give_up_rejoining(c, f);
	}
}
