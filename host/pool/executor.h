/* The parallel engine's executor: engine/executor.h over a pool in fork mode. */
#ifndef TF_POOL_EXECUTOR_H
#define TF_POOL_EXECUTOR_H

#include "base/histogram.h"
#include "engine/executor.h"
#include "loop/loop.h"
#include "pool/pool.h"
#include "pool/runner.h"

/* `runner` is borrowed and must outlive the executor; its `run` finds a task by task_name.
 * Work beyond max_workers waits in order of submission. */
int tf_executor_parallel_new(struct tf_loop *loop, const struct tf_runner *runner, unsigned max_workers,
	struct tf_executor **out, struct tf_err *err);

struct tf_parallel_stats {
	unsigned slots, busy;
	uint64_t oldest_ms;             /* so long has the action waited that waits longest; 0: none waits */
	struct tf_histogram wait, run;  /* of actions: from submission to begin, from begin to end */
	struct tf_pool_counters counts; /* of slots */
};
void tf_executor_parallel_stats(const struct tf_executor *x, struct tf_parallel_stats *out);

#endif
