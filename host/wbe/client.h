/* The engine side of a run, inside: what executor.c (life and interface), receive.c (messages that
 * come in) and dispatch.c (requests that go out, and what is due with time) share. Not for others. */
#ifndef TF_WBE_CLIENT_H
#define TF_WBE_CLIENT_H

#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "base/intern.h"
#include "wbe/executor.h"
#include "wbe/finder.h"
#include "wbe/inflight.h"
#include "wbe/outbox.h"
#include "wbe/pace.h"
#include "wbe/supervision.h"
#include "wbe/throttle.h"

struct tf_client {
	struct tf_executor base;
	struct tf_loop *loop; /* borrowed */
	struct tf_wbe_seam seam;
	struct tf_wbe_config config; /* strings and arrays owned, defaults filled in */

	struct tf_transport *transport; /* owned; NULL unless started */
	struct tf_map *expired; /* uuid -> round + 1: given up here; a worker that begins one is told */
	bool own_limits;        /* some requests have a queue limit of their own */
	uint64_t limits_at;     /* paced; when to look at those next */
	bool cancelling;        /* executions are to end, and not to go to other workers */
	bool was_up;            /* in this run */
	uint64_t grace_end;     /* paced; after a reconnect */
	struct tf_err down;     /* why it is not up */
	struct tf_timer *timer; /* owned */
	uint64_t armed;         /* when the timer fires; UINT64_MAX: not armed */

	struct tf_pace pace;
	struct tf_finder *finder;           /* owned */
	struct tf_inflight *inflight;       /* owned */
	struct tf_supervision *supervision; /* owned */
	struct tf_map *tfhost_topics;       /* topics whose worker answered with our header */
	struct tf_map *lanes;               /* by topic */
	struct tf_intern *workers;          /* names for people, by their number - 1 */
	struct tf_map *tfhost_seen;         /* topics where any worker ever did: Python may share them */
	struct tf_outbox outbox;

	uint64_t probe_at, declare_at; /* next probe; next that declares the topic's queue */
	uint64_t probe_gap;
	int64_t question;   /* number of the present one, that search.c sends through the queues of topics */
	int64_t asks;       /* number of the last question for one request */
	int64_t check;      /* number of the last probe, see vanished.c */
	bool search_anew;   /* more is searched for than when that was sent */
	uint64_t search_at; /* paced; when to send it again */
	uint64_t doubt_at;  /* paced; next look at topics that are silent */
	uint64_t heard_at;  /* paced; last message from anybody */
	uint64_t asked_at;  /* paced; first question to the broker since then, 0: none */
	uint64_t echo_at;   /* paced; last question to the broker */
	bool clogged;       /* the transport's queue was full: place again soon */
	bool full;          /* requests wait because as many as are allowed are PENDING on their topics */
	struct tf_buf scratch;
	struct tf_throttle throttle;
	struct tf_tally *tally; /* owned */
	struct tf_wbe_stats stats;
};

/* Numbers of probes begin somewhere beyond this one, those of questions end long before. */
#define TF_CLIENT_CHECKS ((int64_t)1 << 40)

/* A request whose outcome cannot be read fails so much later, unless one that can be read comes. */
#define TF_CLIENT_UNREADABLE_MS 3000

static inline struct tf_log_ids tf_flight_log_ids(const struct tf_client *c, const struct tf_flight *f)
{
	return (struct tf_log_ids){
		.flow = c->config.reply_topic, .atom = f->request.task_name, .request = f->uuid};
}

/* executor.c */
uint64_t tf_client_now(const struct tf_client *c);
/* Have the timer fire in `ms` at the latest. */
void tf_client_arm(struct tf_client *c, uint64_t ms);
/* The outcome of `f`, which moves to SUCCESS or FAILURE and is gone. Takes over `result`. False (and
 * nothing happens) if its state does not allow it. */
bool tf_client_complete(struct tf_client *c, struct tf_flight *f, bool failed, struct tf_value *result);
/* The same for an outcome that came in a message: it is acknowledged once the engine settles `tag`. */
bool tf_client_outcome(
	struct tf_client *c, struct tf_flight *f, bool failed, struct tf_value *result, uint64_t tag);

/* receive.c */
void tf_client_message(void *arg, const struct tf_message *m);
void tf_client_oversized(void *arg, const struct tf_message *m);

/* While a request waits for a worker to appear, probes start so far apart and slow down. */
#define TF_CLIENT_HURRY_MS 100
/* Longest sleep while something is in flight: see TF_PACE_STEP_MS. */
#define TF_CLIENT_ATTENTION_MS (TF_PACE_STEP_MS / 2)
/* A request that runs is asked for again so often, until the worker's queue is back. */
#define TF_CLIENT_AGAIN_MS 1000

static inline bool tf_client_in_grace(const struct tf_client *c)
{
	return tf_pace_ms(&c->pace) < c->grace_end;
}

/* silence.c */
/* Give up workers that have been silent for too long, unless it is the broker that is. */
void tf_client_judge_silence(struct tf_client *c);
bool tf_client_broker_is_silent(const struct tf_client *c);
/* A worker is lost with `f`, in the way that `story` tells, which is taken over. */
void tf_client_lose(struct tf_client *c, struct tf_flight *f, char *story);
/* Runs that `f` may have in all. */
unsigned tf_client_attempts(const struct tf_client *c, const struct tf_flight *f);
/* Whether `f` was lost with as many workers as it may be: it fails then, and is gone. */
bool tf_client_used_up(struct tf_client *c, struct tf_flight *f);

/* recover.c */
/* Send again what is due in this queue. A running request goes to its worker alone, a pending one to all. */
void tf_client_send_again(struct tf_client *c, enum tf_flight_queue queue);
/* Where requests are PENDING and no worker has said anything for a moment: is the queue there? */
void tf_client_doubt(struct tf_client *c);

/* dispatch.c */
/* Publish the request; the next two are for what is WAITING or sent again. TF_EAGAIN: the transport is clogged. */
int tf_client_send(
	struct tf_client *c, struct tf_flight *f, const char *topic, unsigned flags, struct tf_err *err);
/* It could not be: it fails, and is gone. */
void tf_client_not_sent(
	struct tf_client *c, struct tf_flight *f, const char *topic, const struct tf_err *err);
/* A message came, whatever it is: the way to us is open. */
void tf_client_heard(struct tf_client *c);
/* Whether this probe is our own question to the broker. */
bool tf_client_is_echo(const struct tf_client *c, const struct tf_message *m);
void tf_client_published(void *arg, uint64_t id, enum tf_publish_status status, const struct tf_err *err);
void tf_client_state(void *arg, bool up, const struct tf_err *err);
/* The topic's queue is gone, with what nobody had taken. */
void tf_client_lost(void *arg, const char *topic);
/* Send every WAITING request that a known worker can run. */
void tf_client_place(struct tf_client *c);
/* A probe to this topic; `echo`: number that is to come back, or -1. */
void tf_client_probe(struct tf_client *c, const char *topic, unsigned flags, int64_t echo);
/* What is PENDING on the topic. */
struct tf_lane *tf_client_lane(struct tf_client *c, const char *topic);
/* A worker of the topic has answered. */
void tf_client_topic_heard(struct tf_client *c, const char *topic);
/* Whether requests wait there behind others. */
bool tf_client_is_busy(const struct tf_client *c, const struct tf_lane *lane);
/* A worker of the topic says that it has no free slot. */
void tf_client_busy(struct tf_client *c, const char *topic);
/* Send this WAITING request if a known worker can run it; otherwise look for one soon. */
void tf_client_place_one(struct tf_client *c, struct tf_flight *f);
/* rejoin.c: a request that an earlier engine of the flow sent, and that a worker may run. */
/* Ask that worker whether it is there, before anybody else gets the request. */
void tf_client_rejoin(struct tf_client *c, struct tf_flight *f);
/* A worker of this topic is there: it gets what it may run already. */
void tf_client_met(struct tf_client *c, const struct tf_peer *peer, const char *topic);
/* It is not: ask the others. */
void tf_client_give_up_rejoining(struct tf_client *c, struct tf_flight *f);
/* It went before it had the request, which is PENDING. */
void tf_client_missed(struct tf_client *c, struct tf_flight *f);
/* The connection was lost while it was on its way there: ask again. */
void tf_client_rejoin_again(struct tf_client *c, struct tf_flight *f);
/* tf_client_give_up_rejoining for those that have asked for too long. */
void tf_client_rejoin_due(struct tf_client *c);

/* search.c: a request that an earlier engine of the flow may have sent, nobody knows to whom. */
/* Find out who has it, before anybody else gets it. */
void tf_client_search(struct tf_client *c, struct tf_flight *f);
/* The same for one that is PENDING. */
void tf_client_search_again(struct tf_client *c, struct tf_flight *f);
/* Ask all workers of the topic for it, whose answers have the number f->asked; `id` as of tf_transport_publish. */
int tf_client_ask(struct tf_client *c, struct tf_flight *f, const char *topic, uint64_t id);
/* An answer from this topic. */
void tf_client_search_answer(struct tf_client *c, const char *topic, const struct tf_peer *peer);
/* What is due of that. */
void tf_client_search_due(struct tf_client *c);
/* A worker of the topic that was asked has it, and has not begun it: it is PENDING. */
void tf_client_found(struct tf_client *c, struct tf_flight *f, const struct tf_peer *peer);

/* vanished.c: a request that is in no queue, and with no worker. */
/* A number for the next probes. */
int64_t tf_client_next_check(struct tf_client *c);
/* It was sent just now. */
void tf_client_sent(struct tf_client *c, struct tf_flight *f);
/* A worker says that it has it, or that it gave it back to its queue. */
void tf_client_claimed(struct tf_client *c, struct tf_flight *f, bool given);
/* An answer to a probe, from this topic. */
void tf_client_checked(struct tf_client *c, const char *topic, const struct tf_peer *peer);

/* cancel.c: have the worker that runs it end it, if the engine wants that and the worker is one of ours. */
void tf_client_cancel_running(struct tf_client *c, struct tf_flight *f);
/* A worker has got a request that this engine does not wait for: have it dropped. `f`: what of its atom is in flight now, or
 * NULL. Nothing is lost by that: this engine, or the one that resumes it, sends whatever it still wants. */
void tf_client_drop_unwanted(
	struct tf_client *c, const struct tf_flight *f, const char *uuid, const struct tf_peer *peer);
/* `runner` has begun it: have the copy dropped that waits with another worker, if one said so. */
void tf_client_drop_copy(struct tf_client *c, struct tf_flight *f, const struct tf_peer *runner);
/* RUNNING came for a request that this engine has given up: have that worker end it. */
void tf_client_stop_expired(struct tf_client *c, const char *uuid, const struct tf_peer *peer);
/* End all executions that can be reached. */
void tf_client_cancel(struct tf_client *c);
/* The failure of a request that no worker runs; a new reference. */
struct tf_value *tf_client_cancelled(const struct tf_flight *f);

/* Send a WAITING request to a topic, or with `worker` to the private queue of one that serves the topic: it is PENDING
 * then (true), or failed and gone, or the transport is clogged. */
bool tf_client_send_first(struct tf_client *c, struct tf_flight *f, const char *topic, const char *worker);
/* Probes, expiry, silence, repeated sendings: whatever is due. */
void tf_client_due(struct tf_client *c);
/* Milliseconds until something is due. */
uint64_t tf_client_next(const struct tf_client *c);

#endif
