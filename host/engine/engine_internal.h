/* Shared by engine.c (the run) and engine_resolve.c (failures and deciders). */
#ifndef TF_ENGINE_ENGINE_INTERNAL_H
#define TF_ENGINE_ENGINE_INTERNAL_H

#include "engine/engine.h"
#include "engine/graph_internal.h"
#include "engine/scheduler.h"
#include "engine/storage.h"

struct tf_arrival { /* a completion in the inbox; result owned */
	uint32_t atom;
	int64_t round;
	enum tf_action action;
	bool failed;
	struct tf_value *result;
};
struct tf_raised {
	uint32_t atom; /* TF_NONE: nobody's */
	struct tf_value *failure;
};
struct tf_raised_list {
	struct tf_raised *items;
	size_t count, cap;
};

struct tf_engine {
	struct tf_graph *g;
	struct tf_executor *x;
	struct tf_engine_options options;
	struct tf_engine_events on;
	void *arg;
	struct tf_scheduler *sched;
	struct tf_storage *storage;
	char *flow_uuid;
	enum tf_state flow_state;
	bool active;        /* between start and the end of the run */
	bool started;       /* the executor */
	uint8_t *in_flight; /* by atom: submitted, not completed */
	size_t in_flight_count;
	struct tf_arrival *inbox, *batch; /* batch: being processed */
	size_t inbox_count, inbox_cap, batch_cap;
	struct tf_raised_list failures;                 /* of the machine: these end the run */
	struct tf_raised_list raised;                   /* of the last run */
	struct tf_value *progress_begin, *progress_end; /* {"progress": 0.0}, {"progress": 1.0} */
};

/* The run cannot go on: takes over `failure`. */
void tf_engine_fail(struct tf_engine *e, uint32_t atom, struct tf_value *failure);
/* A failure dict out of an error record. */
struct tf_value *tf_engine_failure_of(const struct tf_err *err);
/* New state without a result: storage, progress, notification (ENGINE.md 13). Nothing if nothing changes. */
void tf_engine_change(struct tf_engine *e, uint32_t atom, enum tf_state state);

/* An execution failed: ask the retries around it, and change intentions (ENGINE.md 9.3). */
void tf_engine_resolve(struct tf_engine *e, uint32_t atom, struct tf_value *failure);
/* Put the candidates whose deciders agree among the ready atoms, ignore the others (ENGINE.md 4.1). */
void tf_engine_decide(struct tf_engine *e);
/* The retry's subgraph begins anew (ENGINE.md 9.5). */
void tf_engine_retry(struct tf_engine *e, uint32_t retry);

#endif
