#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "wbe/service.h"

/* A final message that nobody takes is offered again so often, and given up after so long. */
#define RETRY_MS 1000
/* So long its engine may object to a request that comes again; and so often it is told while it is away. */
#define OFFER_MS 50
#define OFFERS 5
#define GIVE_UP_MS 60000
/* By a worker that is to end: for an engine that is only coming back from a lost broker. */
#define LAST_TRIES_MS 2000
/* Of so many at a time, while nobody reads their queues; more are given up at once. */
#define STRANDED_MAX 1000
/* Next try after the transport's queue was full. */
#define CLOGGED_MS 100
/* Unasked NOTIFY answers while the window is full: as often as engines probe. */
#define ANSWER_MS 5000

/* ---- sending */

static int send(
	struct tf_server *s, struct tf_job *j, const struct tf_buf *body, uint64_t id, struct tf_err *err)
{
	char header[TF_PEER_MAX];
	struct tf_peer peer = s->self;
	peer.round = j->peer.round;
	peer.dispatch = j->peer.dispatch;
	peer.action = (int)j->action;
	peer.generation = j->label.number ? (int64_t)j->label.number : -1;
	memcpy(peer.hash, j->label.hash, sizeof(peer.hash));
	peer.ran_us = j->ran_us;
	const struct tf_message m = {.topic = j->engine->reply_to,
		.type = TF_TYPE_RESPONSE,
		.correlation_id = j->correlation_id,
		.peer = j->peer.present ? tf_peer_write(&peer, header) : NULL,
		.body = body->data,
		.body_len = body->len};
	return tf_transport_publish(s->transport, &m, 0, id, err);
}

static int send_running(struct tf_server *s, struct tf_job *j, struct tf_err *err)
{
	const struct tf_response running = {.state = TF_RESPONSE_RUNNING};
	tf_buf_reset(&s->scratch);
	tf_response_write(&running, &s->scratch);
	int rc = send(s, j, &s->scratch, 0, err);
	j->running_owed = rc == TF_EAGAIN;
	return rc;
}

void tf_reply_pending(struct tf_server *s, const struct tf_message *m, const struct tf_peer *of, bool given)
{
	char header[TF_PEER_MAX];
	struct tf_peer peer = s->self;
	const struct tf_response pending = {.state = TF_RESPONSE_PENDING};
	peer.round = of->round;
	peer.action = of->action;
	peer.echo = of->echo;
	peer.given = given ? 1 : -1;
	tf_buf_reset(&s->scratch);
	tf_response_write(&pending, &s->scratch);
	const struct tf_message reply = {.topic = m->reply_to,
		.type = TF_TYPE_RESPONSE,
		.correlation_id = m->correlation_id,
		.peer = tf_peer_write(&peer, header),
		.body = s->scratch.data,
		.body_len = s->scratch.len};
	/* Who hears nothing sends the request again, and we join it. */
	(void)tf_transport_publish(s->transport, &reply, 0, 0, NULL);
}

static void leave_begun(struct tf_server *s, struct tf_job *j)
{
	if (j->unsaid)
		TAILQ_REMOVE(&s->begun, j, list);
	j->unsaid = false;
}

void tf_reply_running(struct tf_server *s, struct tf_job *j)
{
	struct tf_err err;
	const struct tf_log_ids ids = tf_job_log_ids(j);
	leave_begun(s, j);
	if (send_running(s, j, &err) < 0)
		tf_warn_of(&ids, "worker", "could not tell topic '%s' that task '%s' runs: %s",
			j->engine->reply_to, j->task_name, err.message);
}

void tf_reply_begun(struct tf_server *s, struct tf_job *j)
{
	if (!j->peer.present) {
		tf_reply_running(s, j);
		return;
	}
	TAILQ_INSERT_TAIL(&s->begun, j, list);
	j->unsaid = true;
	tf_service_arm(s, 0);
}

void tf_reply_all_begun(struct tf_server *s)
{
	struct tf_job *j;
	while ((j = TAILQ_FIRST(&s->begun)) != NULL)
		tf_reply_running(s, j);
}

void tf_reply_event(struct tf_server *s, struct tf_job *j, const char *type, struct tf_value *details)
{
	struct tf_err err;
	if (j->unsaid)
		tf_reply_running(s, j);
	uint64_t left_out;
	const struct tf_response event = {
		.state = TF_RESPONSE_EVENT, .event_type = (char *)type, .details = details};
	int rc = tf_json_type(tf_value_json(details)) == TF_JSON_OBJECT
			 ? tf_message_check_value(tf_value_json(details), &err)
			 : tf_err_set(&err, TF_EINVAL, "its details are not an object");
	if (rc == 0) {
		tf_buf_reset(&s->scratch);
		tf_response_write(&event, &s->scratch);
		rc = send(s, j, &s->scratch, 0, &err);
	}
	if (rc == 0)
		return;
	s->stats.events_dropped++;
	const struct tf_log_ids ids = tf_job_log_ids(j);
	if (tf_throttle_allows(&s->throttle, tf_clock_ms(&s->pace.clock), &left_out))
		tf_warn_of(&ids, "worker", "event '%.64s' of task '%s' is not sent: %s", type, j->task_name,
			err.message);
}

/* ---- the final message */

static void try_later(struct tf_server *s, struct tf_job *j, uint64_t ms)
{
	if (!j->retrying)
		TAILQ_INSERT_TAIL(&s->retry, j, list);
	j->retrying = true;
	j->retry_at = tf_pace_ms(&s->pace) + ms;
	tf_service_arm(s, ms);
}

static int offer(struct tf_server *s, struct tf_job *j)
{
	const struct tf_response pending = {.state = TF_RESPONSE_PENDING};
	struct tf_err err;
	tf_buf_reset(&s->scratch);
	tf_response_write(&pending, &s->scratch);
	j->offers++;
	j->offered = false;
	j->asked_at = tf_pace_ms(&s->pace);
	return send(s, j, &s->scratch, j->id, &err);
}

static void accept(struct tf_server *s, struct tf_job *j)
{
	j->offers = 0;
	tf_job_enqueue(s, j);
}

void tf_reply_offer(struct tf_server *s, struct tf_job *j)
{
	if (offer(s, j) < 0)
		accept(s, j);
}

/* So that all that it has left in the queue does not keep us for as long as the first of it. */
static bool is_gone(struct tf_server *s, const struct tf_job *j)
{
	size_t len;
	return tf_ledger_get(s->gone, j->engine->reply_to, &len) != NULL;
}

static void on_offered(struct tf_server *s, struct tf_job *j, enum tf_publish_status status)
{
	if (status == TF_PUBLISHED) {
		j->offered = true;
		try_later(s, j, OFFER_MS);
	} else if (status == TF_RETURNED && j->offers < OFFERS && !is_gone(s, j)) {
		try_later(s, j, RETRY_MS);
	} else if (status == TF_RETURNED) {
		tf_info("worker", "task '%s' came late, or again, and its engine is gone: it is not run",
			j->task_name);
		tf_ledger_put(s->gone, j->engine->reply_to, "", 0);
		j->state = TF_JOB_QUEUED; /* never begun */
		tf_job_delete(s, j, TF_ACK);
	} else {
		accept(s, j);
	}
}

void tf_reply_hurry(struct tf_server *s, struct tf_job *j)
{
	if (j->retrying)
		try_later(s, j, 0);
}

static void remember(struct tf_server *s, struct tf_job *j)
{
	tf_buf_reset(&s->scratch); /* what produced it goes first */
	tf_buf_append(&s->scratch, &j->label, sizeof(j->label));
	tf_buf_append(&s->scratch, j->final.data, j->final.len);
	tf_ledger_put(s->ledger, j->key, s->scratch.data, s->scratch.len);
}

static void give_up(struct tf_server *s, struct tf_job *j, const char *why)
{
	const struct tf_log_ids ids = tf_job_log_ids(j);
	uint64_t left_out;
	if (tf_throttle_allows(&s->throttle, tf_clock_ms(&s->pace.clock), &left_out))
		tf_warn_of(&ids, "worker",
			"the outcome of task '%s' for topic '%s' (correlation id %s) is dropped: %s",
			j->task_name, j->engine->reply_to, j->correlation_id, why);
	s->stats.dropped++;
	remember(s, j);
	tf_promise_kept(s, j);
	tf_job_delete(s, j, TF_ACK);
}

void tf_reply_final(struct tf_server *s, struct tf_job *j)
{
	struct tf_err err;
	int rc = j->running_owed ? send_running(s, j, &err) : 0;
	if (rc == 0)
		rc = send(s, j, &j->final, j->id, &err);
	if (rc == TF_ELIMIT) { /* say so, instead of what does not fit */
		struct tf_value *why =
			tf_failure_format(tf_types_value_error, "the %s of task '%s' cannot be sent: %s",
				j->failed ? "failure" : "result", j->task_name, err.message);
		const struct tf_response failure = {.state = TF_RESPONSE_FAILURE, .result = why};
		tf_buf_free(&j->final);
		tf_response_write(&failure, &j->final);
		tf_value_unref(why);
		j->failed = true;
		rc = send(s, j, &j->final, j->id, &err);
	}
	if (rc == TF_EAGAIN)
		try_later(s, j, CLOGGED_MS);
	else if (rc < 0)
		give_up(s, j, err.message);
}

/* Whose engine is gone keeps no other request from coming: from now on the outcome is this process's, and no longer safe
 * with the broker, as it is not with an engine that asks for it when it is back. */
static void strand(struct tf_server *s, struct tf_job *j)
{
	if (j->stranded)
		return;
	j->stranded = true;
	s->stranded++;
	tf_job_acknowledge(s, j);
}

static bool is_worth_a_try(const struct tf_server *s, const struct tf_job *j)
{
	uint64_t patience = s->draining && j->stranded ? LAST_TRIES_MS : GIVE_UP_MS;
	return s->stranded <= STRANDED_MAX && tf_pace_ms(&s->pace) - j->finished_at < patience;
}

void tf_reply_published(void *arg, uint64_t id, enum tf_publish_status status, const struct tf_err *err)
{
	struct tf_server *s = arg;
	struct tf_job *j = tf_job_find(s, id);
	if (!j) {
		(void)tf_inherit_published(s, id, status);
		return;
	}
	if (j->offers) {
		on_offered(s, j, status);
		return;
	}
	if (status == TF_PUBLISHED) {
		const struct tf_log_ids ids = tf_job_log_ids(j);
		if (j->label.number)
			tf_debug_of(&ids, "worker", "task '%s': %s by generation %" PRIu64 " (%s)",
				j->task_name, j->failed ? "failure" : "success", j->label.number,
				j->label.hash);
		if (j->from_ledger)
			s->stats.answered_from_ledger++;
		else if (j->failed)
			s->stats.failed++, j->tally->failed++;
		else
			s->stats.succeeded++, j->tally->succeeded++;
		remember(s, j);
		tf_promise_kept(s, j);
		tf_job_delete(s, j, TF_ACK);
		s->window.ended++;
		tf_jobs_look(s);
		return;
	}
	if (status == TF_RETURNED)
		strand(s, j);
	if (is_worth_a_try(s, j))
		try_later(s, j, RETRY_MS);
	else
		give_up(s, j, err ? err->message : "no engine reads this topic any more");
}

void tf_reply_retry(struct tf_server *s)
{
	uint64_t now = tf_pace_ms(&s->pace);
	struct tf_job *j, *next;
	struct tf_jobs due = TAILQ_HEAD_INITIALIZER(due);
	for (j = TAILQ_FIRST(&s->retry); j; j = next) {
		next = TAILQ_NEXT(j, list);
		if (j->retry_at > now)
			continue;
		TAILQ_REMOVE(&s->retry, j, list);
		j->retrying = false;
		TAILQ_INSERT_TAIL(&due, j, list);
	}
	while ((j = TAILQ_FIRST(&due)) != NULL) {
		TAILQ_REMOVE(&due, j, list);
		if (!j->offers)
			tf_reply_final(s, j);
		else if (j->offered)
			accept(s, j);
		else
			tf_reply_offer(s, j);
	}
}

/* ---- NOTIFY */

/* `self`: NULL for who does not know our header. */
static void send_notify(struct tf_server *s, const char *reply_to, const struct tf_peer *self)
{
	char header[TF_PEER_MAX];
	struct tf_err err;
	const struct tf_message m = {.topic = reply_to,
		.type = TF_TYPE_NOTIFY,
		.peer = self ? tf_peer_write(self, header) : NULL,
		.body = s->answer.data,
		.body_len = s->answer.len};
	if (tf_transport_publish(s->transport, &m, 0, 0, &err) < 0)
		tf_debug("worker", "no NOTIFY answer to topic '%s': %s", reply_to, err.message);
}

void tf_reply_notify(struct tf_server *s, const char *reply_to, bool tfhost, int64_t echo)
{
	struct tf_peer self = s->self;
	if (s->endpoint.ops->busy_slots(s->endpoint.pool) >= s->slots)
		self.full = 1;
	self.echo = echo;
	send_notify(s, reply_to, tfhost ? &self : NULL);
}

void tf_reply_census(struct tf_server *s, const char *reply_to)
{
	struct tf_peer self = s->self;
	self.slots = s->slots;
	self.busy = s->endpoint.ops->busy_slots(s->endpoint.pool);
	self.waiting = tf_jobs_waiting(s);
	if (s->endpoint.ops->label) {
		const struct tf_label *label = s->endpoint.ops->label(s->endpoint.pool);
		self.generation = (int64_t)label->number;
		memcpy(self.hash, label->hash, sizeof(self.hash));
	}
	send_notify(s, reply_to, &self);
}

void tf_reply_beats(struct tf_server *s)
{
	const struct tf_engine_peer *e;
	uint64_t now = tf_pace_ms(&s->pace);
	if (!tf_transport_is_up(s->transport) || s->answer.len == 0)
		return;
	bool beat = now >= s->beat_at, answer = now >= s->answer_at && s->live_tags >= s->window.size;
	if (beat)
		s->beat_at = now + s->beat_ms;
	if (answer)
		s->answer_at = now + ANSWER_MS;
	TAILQ_FOREACH(e, &s->engines, link)
	{
		if (e->tfhost ? beat : answer)
			tf_reply_notify(s, e->reply_to, e->tfhost, -1);
	}
}

static uint64_t sooner(uint64_t ms, uint64_t due, uint64_t now)
{
	uint64_t in = due > now ? due - now : 0;
	return in < ms ? in : ms;
}

uint64_t tf_reply_next(const struct tf_server *s, uint64_t ms)
{
	const struct tf_job *j;
	uint64_t now = tf_pace_ms(&s->pace);
	if (!tf_transport_is_up(s->transport))
		return ms;
	TAILQ_FOREACH(j, &s->retry, list)
	ms = sooner(ms, j->retry_at, now);
	if (!TAILQ_EMPTY(&s->engines))
		ms = sooner(ms, s->beat_at, now);
	if (s->live_tags >= s->window.size)
		ms = sooner(ms, s->answer_at, now);
	return ms;
}
