/* The worker-based engine's executor: engine/executor.h over a transport (PROTOCOL.md 5).
 *
 * It probes the topics, places each request on a capable worker, watches the request state machine
 * and its timers, and supervises tfhost workers by their beats: silence beyond `silence_ms` while a
 * request is RUNNING gives a WorkerLost failure that names worker, topic and for how long. After a
 * reconnect it sends again what may have been lost with the broker, and the worker's ledger answers
 * or joins. It is lenient: a SUCCESS that overtakes its RUNNING is a success.
 */
#ifndef TF_WBE_EXECUTOR_H
#define TF_WBE_EXECUTOR_H

#include "engine/executor.h"
#include "loop/loop.h"
#include "transport/transport.h"

struct tf_wbe_config {
	struct tf_transport_config transport; /* exchange: "default" if NULL */
	const char *const *topics; /* NULL-terminated */
	const char *reply_topic; /* the flow uuid (PROTOCOL.md 1) */
	uint64_t probe_ms; /* 0: 5000 */
	int64_t worker_expiry_ms; /* 0: 60000; negative: never */
	int64_t transition_timeout_ms; /* 0: 60000; negative: never */
	uint64_t silence_ms; /* 0: 2500 */
};

struct tf_wbe_stats {
	uint64_t malformed; /* messages rejected */
	uint64_t stale; /* replies of an unknown, finished or earlier request, dropped */
	uint64_t lost, timeouts, resent;
	size_t workers, in_flight;
};

int tf_executor_wbe_new(struct tf_loop *loop, const struct tf_wbe_config *config, struct tf_executor **out,
	struct tf_err *err);
void tf_executor_wbe_stats(const struct tf_executor *x, struct tf_wbe_stats *out);

#endif
