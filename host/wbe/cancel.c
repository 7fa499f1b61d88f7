/* A cancelled engine: its executions end, its reverts go on. What nobody has been asked for fails here. A tfhost worker that
 * runs one gets a cancel on its private queue, and answers with the outcome as always. What waits in the queue of a topic can
 * not be taken back: it is cancelled when its worker says that it runs. A Python worker cannot be asked: its task runs to
 * its end. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "protocol/failure.h"
#include "protocol/peer.h"
#include "wbe/client.h"

struct tf_value *tf_client_cancelled(const struct tf_flight *f)
{
	return tf_failure_format(tf_types_cancelled,
		"task '%s' was cancelled by its engine: no worker runs it", f->request.task_name);
}

static void tell_to_end(struct tf_client *c, const char *worker, const char *uuid, int64_t round,
	enum tf_action action, bool drop)
{
	char header[TF_PEER_MAX];
	struct tf_err err;
	struct tf_peer peer = TF_PEER_INIT;
	*(drop ? &peer.drop : &peer.cancel) = 1;
	peer.round = round;
	peer.action = (int)action;
	const struct tf_message m = {.topic = worker,
		.type = TF_TYPE_NOTIFY,
		.reply_to = c->config.reply_topic,
		.correlation_id = uuid,
		.peer = tf_peer_write(&peer, header),
		.body = "{}",
		.body_len = 2};
	const struct tf_log_ids ids = {.flow = c->config.reply_topic, .request = uuid, .worker = worker};
	if (tf_transport_publish(c->transport, &m, 0, 0, &err) < 0)
		tf_warn_of(&ids, "engine", "worker %s is not asked to end a task: %s", worker, err.message);
}

void tf_client_cancel_running(struct tf_client *c, struct tf_flight *f)
{
	if (c->cancelling && f->request.action == TF_EXECUTE && f->watch.worker)
		tell_to_end(c, f->watch.worker->peer.worker, f->uuid, f->round, f->request.action, false);
}

static bool was_given_up(const struct tf_client *c, const char *uuid, const struct tf_peer *peer)
{
	const int64_t *round = tf_map_get(c->expired, uuid);
	return round && *round == peer->round && peer->worker[0] && peer->action >= 0;
}

void tf_client_stop_expired(struct tf_client *c, const char *uuid, const struct tf_peer *peer)
{
	if (was_given_up(c, uuid, peer))
		tell_to_end(c, peer->worker, uuid, peer->round, (enum tf_action)peer->action, false);
}

/* What is in flight now came after it: a later round, or the revert. */
static bool is_past(const struct tf_flight *f, const struct tf_peer *peer)
{
	return peer->round < f->round ||
	       (peer->round == f->round && peer->action == TF_EXECUTE && f->request.action == TF_REVERT);
}

void tf_client_drop_unwanted(
	struct tf_client *c, const struct tf_flight *f, const char *uuid, const struct tf_peer *peer)
{
	bool names_it = peer->worker[0] && peer->action >= 0 && peer->round >= 0 && peer->given != 1;
	if (names_it && (!f || is_past(f, peer)))
		tell_to_end(c, peer->worker, uuid, peer->round, (enum tf_action)peer->action, true);
}

void tf_client_drop_copy(struct tf_client *c, struct tf_flight *f, const struct tf_peer *runner)
{
	if (f->holder && strcmp(f->holder, runner->worker) != 0)
		tell_to_end(c, f->holder, f->uuid, f->round, f->request.action, true);
	free(f->holder);
	f->holder = NULL;
}

void tf_client_cancel(struct tf_client *c)
{
	struct tf_flight *next;
	c->cancelling = true;
	for (struct tf_flight *f = tf_inflight_first(c->inflight); f; f = next) {
		next = tf_inflight_next(f);
		if (f->state == TF_REQUEST_RUNNING)
			tf_client_cancel_running(c, f);
		else if (f->state == TF_REQUEST_WAITING && f->request.action == TF_EXECUTE)
			tf_client_complete(c, f, true, tf_client_cancelled(f));
	}
}
