/* The worker: answers probes, runs requests in the pool, replies, and acknowledges a request after
 * its outcome is published and confirmed (PROTOCOL.md 7, ARCHITECTURE 4).
 *
 * Consumes its topic (prefetch: twice the number of slots, more while requests are over at once, so that a slot that becomes free finds its
 * next request here, not behind a round trip; one that waits here for a second is given back to the
 * queue, for other workers) and a private queue named by its uuid. While
 * its window is full it sends NOTIFY answers unasked every 5 s to each reply_to it has work of, and
 * to tfhost engines a beat every `beat_ms`. A request it already runs or has lately answered (same
 * reply_to, correlation id, action, round) is joined or answered from the ledger, not run twice.
 *
 * Whatever a request asks for, it gets a final message, or is rejected as malformed, or goes back to
 * its queue. A final message that nobody can take now (its engine's queue is gone) is offered again
 * for a minute, then dropped with a warning. Memory is bounded: by the prefetch window for requests,
 * by the ledger's limits for outcomes.
 */
#ifndef TF_WBE_SERVER_H
#define TF_WBE_SERVER_H

#include "base/histogram.h"
#include "loop/loop.h"
#include "pool/pool.h"
#include "transport/transport.h"
#include "wbe/endpoint.h"
#include "wbe/seam.h"
#include "wbe/tally.h"

struct tf_server;

/* At most so many tasks of the class `cls` run at a time, whatever the class itself says. */
struct tf_concurrency {
	char *cls; /* as on the wire */
	unsigned limit;
};

struct tf_server_config {
	struct tf_transport_config
		transport; /* prefetch 0: as window.h says, with twice as many as there are slots for narrow */
	const char *topic; /* required */
	const char *uuid;  /* of the worker; NULL: a new one */
	struct tf_pool_config pool;
	/* Directory for what engines that do not watch over us (Python's) were promised, of this topic alone: whoever serves the
	 * topic on this machine goes on with what a killed worker left there. NULL: nothing is kept. Not where queues outlive
	 * their readers by themselves. */
	const char *journal;
	uint64_t
		journal_ms; /* what runs so long for such an engine is acknowledged, and kept there alone; 0: 180000 */
	uint64_t beat_ms;        /* 0: 500 */
	uint64_t load_ms;        /* as in tf_generations_config */
	struct tf_limits limits; /* arguments and result of tasks that have none of their own */
	const struct tf_concurrency *concurrency; /* borrowed while the server lives */
	size_t concurrency_count;
};

struct tf_server_stats {
	uint64_t requests;                     /* taken as new work, and not given back */
	uint64_t succeeded, failed;            /* of them, when their final message was delivered */
	uint64_t dropped;                      /* final messages that nobody took */
	uint64_t malformed;                    /* messages rejected */
	uint64_t joined, answered_from_ledger; /* requests that came again */
	uint64_t probes;                       /* answered */
	uint64_t given_back;                   /* running tasks that a drain ended */
	uint64_t events_dropped;               /* events of tasks that could not be sent */
	uint64_t redelivered;                  /* requests that the broker had delivered before */
	uint64_t oldest_ms; /* so long ago came the oldest request that has not begun; 0: none waits */
	struct tf_histogram wait, run; /* of requests: from arrival to begin, from begin to end */
	unsigned slots, busy;
	unsigned waiting;   /* requests here that no slot has yet */
	unsigned unsettled; /* messages taken from the topic's queue that it still has, too */
	unsigned window;    /* so many may be that at once */
	size_t unsent;      /* messages that the broker has not confirmed */
	size_t ledger_outcomes, ledger_bytes;
	uint64_t reconnects;
	bool connected, draining;
};

/* A request that the worker has. */
struct tf_server_task {
	uint64_t job;                     /* as in tf_slot_info */
	const char *name, *uuid, *engine; /* task, correlation id, reply topic; borrowed during the visit */
	const char *task_cls;             /* likewise; NULL: in a slot, which knows it */
	enum tf_action action;
	const char *state; /* "waiting" for a slot, "starting" in one, "running", "delivering" its outcome */
	int64_t waited_ms; /* from its coming to its beginning, or until now */
	int64_t ran_ms;    /* since it began, or while it ran; -1: it has not begun */
	uint64_t generation; /* of the scripts; 0: none yet */
};

/* What happens to the worker and its requests: a JSON object {"event": "started", "at": Unix time, ...}. */
typedef void tf_server_witness(void *arg, const char *json, size_t len);

struct tf_server_events {
	/* Scripts loaded and serving (names: class names), or err: nothing can be served. Again whenever other scripts serve. */
	void (*ready)(void *arg, char *const *names, size_t count, const struct tf_err *err);
	/* Drained after tf_server_drain, or broken beyond repair (err). The owner then deletes it, in
	 * this callback or later. */
	void (*stopped)(void *arg, const struct tf_err *err);
};

int tf_server_new(struct tf_loop *loop, const struct tf_server_config *config,
	const struct tf_server_events *events, void *arg, struct tf_server **out, struct tf_err *err);
/* Take no more work, give back what has not started, finish what runs, then `stopped`. What still runs after `timeout_ms` (0:
 * no limit) is ended and given back, too; what cannot be given back, because its engine wants no second run, fails with
 * WorkerLost. Called again it can shorten the time. */
void tf_server_drain(struct tf_server *s, uint64_t timeout_ms);
void tf_server_stats(const struct tf_server *s, struct tf_server_stats *out);
const struct tf_tally *tf_server_tally(const struct tf_server *s); /* of outcomes delivered */
const struct tf_transport *tf_server_transport(const struct tf_server *s);
/* 0: a request that is sent now is taken. TF_ESTATE: not so, and why: it drains, has loaded no scripts yet, has no connection. */
int tf_server_check_ready(const struct tf_server *s, struct tf_err *err);
typedef void tf_server_visit(void *arg, const struct tf_server_task *task);
void tf_server_each_task(const struct tf_server *s, tf_server_visit *visit, void *arg);
/* Serve with so many slots from now on. TF_EINVAL: not from 1 to TF_POOL_MAX_SLOTS. TF_ESTATE: it drains. */
int tf_server_resize(struct tf_server *s, unsigned slots, struct tf_err *err);
/* From now on tell what happens; NULL: no longer. Costs nothing while nobody wants to know. */
void tf_server_watch(struct tf_server *s, tf_server_witness *witness, void *arg);
const char *tf_server_uuid(const struct tf_server *s);
/* What it runs requests with, borrowed. Not for a server made by tf_server_new_with. */
struct tf_generations *tf_server_generations(struct tf_server *s);
/* The same with time, transport and pool handed in. */
int tf_server_new_with(struct tf_loop *loop, const struct tf_server_config *config,
	const struct tf_wbe_seam *seam, const struct tf_endpoint_ops *endpoint,
	const struct tf_server_events *events, void *arg, struct tf_server **out, struct tf_err *err);
/* Do what is due now. A timer on the loop calls it; so does a test that steps the clock. */
void tf_server_tick(struct tf_server *s);
/* Gives up at once: running slots are killed, their requests requeued. */
void tf_server_delete(struct tf_server *s);

#endif
