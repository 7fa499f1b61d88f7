/* The worker: answers probes, runs requests in the pool, replies, and acknowledges a request after
 * its outcome is published and confirmed (PROTOCOL.md 7, ARCHITECTURE 4).
 *
 * Consumes its topic (prefetch: the number of slots) and a private queue named by its uuid. While
 * its window is full it sends NOTIFY answers unasked every 5 s to each reply_to it has work of, and
 * to tfhost engines a beat every `beat_ms`. A request it already runs or has lately answered (same
 * reply_to, correlation id, action, round) is joined or answered from the ledger, not run twice.
 */
#ifndef TF_WBE_SERVER_H
#define TF_WBE_SERVER_H

#include "loop/loop.h"
#include "pool/pool.h"
#include "transport/transport.h"

struct tf_server;

struct tf_server_config {
	struct tf_transport_config transport;
	const char *topic; /* required */
	struct tf_pool_config pool;
	uint64_t beat_ms; /* 0: 500 */
};

struct tf_server_stats {
	uint64_t requests, succeeded, failed, malformed, joined, answered_from_ledger, probes;
	unsigned slots, busy;
};

struct tf_server_events {
	/* Scripts loaded and serving (names: class names), or err: nothing can be served. */
	void (*ready)(void *arg, char *const *names, size_t count, const struct tf_err *err);
	/* Drained after tf_server_drain, or broken beyond repair (err). The owner then deletes it. */
	void (*stopped)(void *arg, const struct tf_err *err);
};

int tf_server_new(struct tf_loop *loop, const struct tf_server_config *config,
	const struct tf_server_events *events, void *arg, struct tf_server **out, struct tf_err *err);
/* Take no more work, give back what has not started, finish what runs, then `stopped`. */
void tf_server_drain(struct tf_server *s);
void tf_server_stats(const struct tf_server *s, struct tf_server_stats *out);
const char *tf_server_uuid(const struct tf_server *s);
/* Gives up at once: running slots are killed, their requests requeued. */
void tf_server_delete(struct tf_server *s);

#endif
