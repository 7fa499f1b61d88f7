/* Shared by engine.c (atoms and their actions), engine_run.c (the run), engine_resolve.c (failures and deciders) and engine_map.c (items of maps). */
#ifndef TF_ENGINE_ENGINE_INTERNAL_H
#define TF_ENGINE_ENGINE_INTERNAL_H

#include "engine/delays.h"
#include "engine/engine.h"
#include "engine/graph_internal.h"
#include "engine/scheduler.h"
#include "engine/storage.h"

struct tf_arrival { /* a completion in the inbox; result owned */
	uint32_t atom;
	float ran_s; /* this and worker: see tf_completion */
	int64_t round;
	enum tf_action action;
	bool failed;
	bool accepted; /* it is the outcome of what the atom does now */
	uint16_t worker;
	uint64_t receipt;
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

/* What has changed since the last commit; nothing where nothing is kept. */
struct tf_journal {
	uint8_t *noted; /* by atom and item: 0 no; 1; 2 + state: that is where it goes */
	size_t cap;
	uint32_t *atoms; /* the noted ones */
	size_t count;
	uint8_t *stored;    /* by atom and item: has a row */
	uint8_t *ahead;     /* by atom and item: written as RUNNING, and not begun yet */
	uint32_t *foreseen; /* those that are, and some that were */
	size_t foreseen_count, foreseen_cap;
	bool flow, store;
	char store_uuid[TF_UUID_LEN + 1]; /* of the injected values' detail; "": has no row */
};

struct tf_put_off {  /* of a retry */
	uint64_t at; /* when it may begin anew; 0: any time */
	bool waits;  /* it is ready, but not due */
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
	bool active; /* between start and the end of the run */
	enum tf_phase phase;
	bool started;       /* the executor */
	bool prepared;      /* the flow is in its logbook, if it has one */
	bool loaded;        /* an earlier engine's atoms have not been looked at yet */
	bool cancelled;     /* the next start reverts */
	bool cancelling;    /* this run does */
	bool cut_off;       /* that engine died in the middle of a run */
	bool unsafe;        /* this run could not write to the logbook: it ends */
	uint8_t *in_flight; /* by atom and item: submitted, not completed */
	size_t in_flight_count, in_flight_cap;
	struct tf_fanout **maps;          /* by atom; NULL while no map has begun */
	struct tf_arrival *inbox, *batch; /* batch: being processed */
	size_t inbox_count, inbox_cap, batch_cap;
	struct tf_work *works; /* begun, not handed to the executor yet */
	size_t work_count, work_cap;
	struct tf_journal journal;
	struct tf_put_off *put_off; /* by atom; NULL while no retry had a delay */
	struct tf_delays delays;    /* moments of retries that were put off; some may have gone on since */
	size_t put_off_count;       /* that wait */
	struct tf_engine_counts counts;
	struct tf_raised_list failures;                 /* of the machine: these end the run */
	struct tf_raised_list raised;                   /* of the last run */
	struct tf_value *progress_begin, *progress_end; /* {"progress": 0.0}, {"progress": 1.0} */
};

/* --- engine.c --- */
/* The run cannot go on: takes over `failure`. */
void tf_engine_fail(struct tf_engine *e, uint32_t atom, struct tf_value *failure);
/* A failure dict out of an error record. */
struct tf_value *tf_engine_failure_of(const struct tf_err *err);
/* New state without a result: storage, progress, notification (ENGINE.md 13). Nothing if nothing changes. */
void tf_engine_change(struct tf_engine *e, uint32_t atom, enum tf_state state);

/* The state in which an action ends. */
enum tf_state tf_engine_end_of(const struct tf_arrival *c);
/* The end of an action: its result is kept; nobody is told yet. */
void tf_engine_keep(struct tf_engine *e, uint32_t atom, enum tf_state end, struct tf_value *result);
/* What was kept is the atom's state from here on, and told; nothing follows from it yet. */
void tf_engine_settle(struct tf_engine *e, uint32_t atom, enum tf_state end, struct tf_value *result);
/* Settle an atom's action, then do what a failure leads to. */
void tf_engine_complete(struct tf_engine *e, const struct tf_arrival *c);
/* Hand an action to the executor, now or with the others of this step. Takes over `arguments`. False: the run fails. */
bool tf_engine_submit(struct tf_engine *e, uint32_t atom, bool revert, struct tf_value *arguments);
/* Notify; progress: also as an event of the task, or NULL. */
void tf_engine_tell(struct tf_engine *e, uint32_t atom, enum tf_state state, enum tf_state old,
	struct tf_value *result, struct tf_value *progress);
bool tf_engine_is_retry(const struct tf_engine *e, uint32_t atom); /* also of an item: it is none */
/* 0, or TF_ESTATE if the transition is not allowed. */
int tf_engine_change_flow(struct tf_engine *e, enum tf_state state, struct tf_err *err);
/* Whether this is the outcome of what the atom does now; then it is in flight no more. */
bool tf_engine_accept(struct tf_engine *e, const struct tf_arrival *c);
/* Begin what is ready, until an error. True if there was anything. */
bool tf_engine_schedule(struct tf_engine *e);
/* Hand what was begun since to the executor. */
void tf_engine_dispatch(struct tf_engine *e);
void tf_engine_add_raised(
	struct tf_raised_list *l, uint32_t atom, struct tf_value *failure); /* takes it over */
void tf_engine_clear_raised(struct tf_raised_list *l);
uint64_t tf_engine_now(const struct tf_engine *e);
/* Asks the owner; true: the flow is being suspended. */
bool tf_engine_interrupted(struct tf_engine *e);

/* --- journal.c: what is to be written, and writing it; all do nothing where nothing is kept --- */
int tf_journal_begin(struct tf_engine *e, struct tf_err *err); /* the flow gets its rows */
void tf_journal_note(struct tf_engine *e, uint32_t atom);
/* The atom comes to `end`, which is not its state yet. */
void tf_journal_note_end(struct tf_engine *e, uint32_t atom, enum tf_state end);
void tf_journal_note_flow(struct tf_engine *e);
void tf_journal_note_store(struct tf_engine *e);
/* The atom, PENDING, will begin once what is noted counts: the next commit has it as RUNNING already, so that one is
 * enough for both. */
void tf_journal_foresee(struct tf_engine *e, uint32_t atom);
/* It changes its state: true if that was foreseen, and is written. */
bool tf_journal_foreseen(struct tf_engine *e, uint32_t atom, enum tf_state state);
/* What was foreseen and has not come true is noted as it is. */
void tf_journal_correct(struct tf_engine *e);
/* Outcomes that were noted did not come to count. */
void tf_journal_abandon(struct tf_engine *e);
/* It has a row. */
void tf_journal_loaded(struct tf_engine *e, uint32_t atom);
void tf_journal_loaded_store(struct tf_engine *e, const char *uuid);
void tf_journal_free(struct tf_engine *e);
/* Write what was noted, in one transaction. False: it failed, now or before in this run, which has to end. */
bool tf_engine_commit(struct tf_engine *e);

/* --- engine_resolve.c --- */
/* An execution failed: ask the retries around it, and change intentions (ENGINE.md 9.3). */
void tf_engine_resolve(struct tf_engine *e, uint32_t atom, struct tf_value *failure);
/* Put the candidates whose deciders agree among the ready atoms, ignore the others (ENGINE.md 4.1). */
void tf_engine_decide(struct tf_engine *e);
/* Whether a decider is asked before the atom executes. */
bool tf_engine_has_deciders(const struct tf_engine *e, uint32_t atom);
/* The retry's subgraph begins anew (ENGINE.md 9.5). */
void tf_engine_retry(struct tf_engine *e, uint32_t retry);

/* --- engine_map.c ---
 * A map atom executes by having its items executed, as many at once as its limit allows, and is reverted by
 * having them reverted, the last one first. Its states are an atom's; of the scheduler it is one. An item's
 * failure makes the map fail at once; items that still run then are reverted after they end. Once reverting
 * is decided elsewhere, a map begins no more items and ends when the running ones have. */
bool tf_engine_is_map(const struct tf_engine *e, uint32_t atom);
/* Its state is RUNNING or REVERTING: begin items, also those that an earlier run left. */
void tf_engine_map_begin(struct tf_engine *e, uint32_t map, bool revert);
/* An action of an item ended, or will not be performed. */
void tf_engine_map_completed(struct tf_engine *e, const struct tf_arrival *c);
void tf_engine_map_withdrawn(struct tf_engine *e, uint32_t item);
/* Resolve what a stopped run left: the failures of its items, or its own. */
void tf_engine_map_resolve(struct tf_engine *e, uint32_t map, struct tf_value *failure);
/* The map is PENDING again: so are its items; a new list comes with the next execution. */
void tf_engine_map_renew(struct tf_engine *e, uint32_t map);
/* The number of an item that a logbook has, to be loaded. */
uint32_t tf_engine_map_load(struct tf_engine *e, uint32_t map, uint32_t index);
void tf_engine_map_free(struct tf_engine *e);

#endif
