/* What slots tell Prometheus, a worker's and a parallel engine's. */
#ifndef TF_POOL_METRICS_H
#define TF_POOL_METRICS_H

#include "pool/executor.h"

/* `whose`: "worker" or "engine", part of the names. */
void tf_slots_metrics(const char *whose, unsigned slots, unsigned busy, const struct tf_pool_counters *counts,
	struct tf_buf *out);
/* All of a parallel executor. */
void tf_executor_parallel_metrics(const struct tf_executor *x, struct tf_buf *out);

#endif
