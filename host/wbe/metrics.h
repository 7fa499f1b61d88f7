/* What a worker tells Prometheus, and what engines tell alike of their transport. doc/operations.md lists the names. */
#ifndef TF_WBE_METRICS_H
#define TF_WBE_METRICS_H

#include "loop/lag.h"
#include "wbe/executor.h"
#include "wbe/server.h"

struct tf_worker_metrics { /* all borrowed */
	struct tf_server *server;
	const struct tf_lag *lag;
	const char *exchange, *topic;
};

/* A tf_page_config.write; `metrics` is a struct tf_worker_metrics. */
void tf_worker_metrics_write(void *metrics, struct tf_buf *out);

/* What the worker-based executor of an engine has counted. */
void tf_executor_wbe_metrics(const struct tf_executor *x, struct tf_buf *out);
/* The loop of a process, and the process itself. */
void tf_process_metrics(const struct tf_lag *lag, struct tf_buf *out);

#endif
