/* The worker-based engine's executor: engine/executor.h over a transport (PROTOCOL.md 5).
 *
 * It probes the topics, places each request on a capable worker, watches the request state machine
 * and its timers, and supervises tfhost workers by their beats: silence beyond `silence_ms` while a
 * request is RUNNING means that the worker is lost, and the request goes to another one; a WorkerLost failure
 * that names worker, topic and for how long follows when its attempts are used up, or when no worker takes it
 * within `transition_timeout_ms`. An outcome of the worker that was presumed lost counts, if it is the first. After a
 * reconnect it sends again what may have been lost with the broker, and the worker's ledger answers
 * or joins. It is lenient: a SUCCESS that overtakes its RUNNING is a success.
 *
 * While a connection that was up is down, no request expires and no worker is judged. Python workers
 * get what the reference gives them: nothing is sent to them twice.
 *
 * Nothing is delivered inside a call of this interface but by stop. `done` and `event` may call
 * submit and stop, not destroy.
 */
#ifndef TF_WBE_EXECUTOR_H
#define TF_WBE_EXECUTOR_H

#include "base/histogram.h"
#include "engine/executor.h"
#include "loop/loop.h"
#include "transport/transport.h"
#include "wbe/seam.h"
#include "wbe/tally.h"

struct tf_wbe_config {
	struct tf_transport_config transport; /* exchange: "default" if NULL */
	const char *const *topics;            /* NULL-terminated */
	const char *reply_topic;              /* the flow uuid (PROTOCOL.md 1) */
	uint64_t probe_ms;                    /* 0: 5000 */
	int64_t worker_expiry_ms;             /* 0: 60000; negative: never */
	int64_t transition_timeout_ms;        /* 0: 60000; negative: never */
	uint64_t silence_ms;                  /* 0: 2400 */
	unsigned attempts;                    /* of a request that has no limit of its own; 0: 3 */
	uint64_t grace_ms;                    /* after a reconnect, before silence counts; 0: 10000 */
};

struct tf_wbe_stats {
	uint64_t malformed;   /* messages rejected */
	uint64_t stale;       /* replies of an unknown, finished or earlier request, dropped */
	uint64_t lost;        /* requests whose worker was lost because it was silent, each time */
	uint64_t died;        /* requests whose worker said that the process that ran them died */
	uint64_t handed_over; /* of them, given to another worker */
	uint64_t timeouts, resent;
	uint64_t seen; /* how often a worker became known: 0, nobody ever answered */
	size_t workers, in_flight;
	uint64_t reconnects;
	uint64_t
		oldest_ms; /* so long ago was the oldest request submitted that has not begun; 0: none waits */
	struct tf_histogram wait, run; /* of requests: from submission to begin, from begin to end */
	struct tf_histogram confirm;   /* as in struct tf_transport */
};

int tf_executor_wbe_new(struct tf_loop *loop, const struct tf_wbe_config *config, struct tf_executor **out,
	struct tf_err *err);
const struct tf_tally *tf_executor_wbe_tally(const struct tf_executor *x); /* of all outcomes */
void tf_executor_wbe_stats(const struct tf_executor *x, struct tf_wbe_stats *out);

/* The same with time and transport handed in. */
int tf_executor_wbe_new_with(struct tf_loop *loop, const struct tf_wbe_config *config,
	const struct tf_wbe_seam *seam, struct tf_executor **out, struct tf_err *err);
/* Do what is due now and deliver what happened. A timer on the loop calls it; so does a test that
 * steps the clock. */
void tf_executor_wbe_tick(struct tf_executor *x);

#endif
