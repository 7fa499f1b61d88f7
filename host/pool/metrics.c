#include "pool/metrics.h"

#include <stdio.h>

#include "base/exposition.h"

void tf_slots_metrics(const char *whose, unsigned slots, unsigned busy, const struct tf_pool_counters *counts,
	struct tf_buf *out)
{
	const struct tf_labelled deaths[] = {
#define X(name, text) {text, counts->deaths[TF_SLOT_##name]},
		TF_SLOT_DEATHS(X)
#undef X
	};
	char name[64];
	snprintf(name, sizeof(name), "tfhost_%s_slots", whose);
	tf_expose_head(out, name, "gauge", "Tasks at once: places that are taken, and those that are free.");
	tf_expose_sample(out, name, busy, "state", "busy", NULL);
	tf_expose_sample(out, name, slots > busy ? slots - busy : 0, "state", "idle", NULL);
	snprintf(name, sizeof(name), "tfhost_%s_slot_deaths_total", whose);
	TF_EXPOSE_LABELLED(
		out, name, "Processes of tasks that ended when they were not to, by cause.", "cause", deaths);
	snprintf(name, sizeof(name), "tfhost_%s_slots_forked_total", whose);
	tf_expose_counter(out, name, "Processes for tasks that were begun.", counts->forked);
	snprintf(name, sizeof(name), "tfhost_%s_slots_replaced_total", whose);
	tf_expose_head(out, name, "counter", "Of them, replaced between two tasks, by reason.");
	tf_expose_sample(out, name, counts->spent, "reason", "tasks", NULL);
	tf_expose_sample(out, name, counts->grown, "reason", "memory", NULL);
}

void tf_executor_parallel_metrics(const struct tf_executor *x, struct tf_buf *out)
{
	struct tf_parallel_stats s;
	tf_executor_parallel_stats(x, &s);
	tf_expose_histogram(out, "tfhost_engine_queue_wait_seconds",
		"How long actions waited, from their submission until a process began them.", &s.wait);
	tf_expose_histogram(out, "tfhost_engine_run_seconds", "How long tasks ran.", &s.run);
	tf_expose_gauge(out, "tfhost_engine_oldest_unstarted_seconds",
		"How long the action waits that waits longest; 0: none waits.", (double)s.oldest_ms / 1000);
	tf_slots_metrics("engine", s.slots, s.busy, &s.counts, out);
}
