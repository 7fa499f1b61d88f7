/* The engine: runs a compiled flow against an executor (ENGINE.md 9). No loop, no clock, no Lua:
 * the owner calls tf_engine_step whenever completions have arrived (tf_engine_complete is what
 * executors call through their events), and waits on its loop in between.
 *
 *   tf_engine_start(e, err);
 *   while (!tf_engine_finished(e)) { tf_engine_step(e); if (nothing happened) tf_loop_turn(loop, true); }
 *
 * or, with all phases in view, begin and advance.
 */
#ifndef TF_ENGINE_ENGINE_H
#define TF_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/value.h"
#include "persistence/detail.h"
#include "engine/executor.h"
#include "engine/graph.h"
#include "engine/states.h"

struct tf_engine;

/* A call of a retry controller; members are borrowed. */
struct tf_retry_call {
	unsigned atom;
	struct tf_value *history;       /* [[value, {"atom": failure dict}], ...], newest last */
	struct tf_value *failure;       /* the controller's own last failure, or NULL */
	struct tf_value *arguments;     /* object: execute's mapping, for revert revert's */
	struct tf_value *flow_failures; /* revert only: {"atom": failure dict}; else NULL */
};
enum tf_decision { TF_DECISION_RETRY, TF_DECISION_REVERT, TF_DECISION_REVERT_ALL };

/* What has changed of a flow since the last time; borrowed. */
struct tf_flow_change {
	const char *state; /* of the flow; NULL: as it was */
	const struct tf_atom_detail *atoms;
	size_t count, fresh; /* the first `fresh` have no row yet */
};

enum tf_interruption { TF_GO_ON, TF_SUSPEND, TF_CANCEL };

/* Members may be NULL (retries and deciders only if the graph has none); arguments are borrowed
 * during the call. A callback may ask the engine, inject and suspend; nothing else. */
struct tf_engine_events {
	void (*flow)(void *arg, enum tf_state state, enum tf_state old);
	/* result: value or failure dict for SUCCESS, FAILURE, REVERTED, REVERT_FAILURE; else NULL. */
	void (*atom)(
		void *arg, unsigned atom, enum tf_state state, enum tf_state old, struct tf_value *result);
	/* What a task notified; and "update_progress" 0.0 and 1.0 by the engine itself (ENGINE.md 13). */
	void (*task_event)(void *arg, unsigned atom, const char *type, struct tf_value *details);
	/* Retries and deciders run in the owner's process (PROTOCOL.md 5.6), inside tf_engine_start or step.
	 * execute, revert: the value, or with *failed set the failure dict; a new reference. */
	struct tf_value *(*retry_execute)(void *arg, const struct tf_retry_call *call, bool *failed);
	struct tf_value *(*retry_revert)(void *arg, const struct tf_retry_call *call, bool *failed);
	/* An enum tf_decision; -1 with *failure set to a failure dict (new reference): the flow ends FAILURE. A RETRY may set
	 * *delay_ms (0 before): the retry begins anew no earlier than so long after this; everything else goes on. */
	int (*retry_on_failure)(
		void *arg, const struct tf_retry_call *call, uint64_t *delay_ms, struct tf_value **failure);
	/* 1 go, 0 do not, -1 with *failure set. history: {source atom: its result or failure dict}. */
	int (*decide)(void *arg, int decider, struct tf_value *history, struct tf_value **failure);
	/* Keep all of it, or nothing, before returning: outcomes count only then, and what begins is told to an executor
	 * only then. An error ends the run with a StorageFailure. NULL: nothing is kept, at no cost. */
	int (*keep)(void *arg, const struct tf_flow_change *change, struct tf_err *err);
	/* May be NULL. Asked before each atom begins, for a serial executor runs all that are ready in one go. */
	enum tf_interruption (*interrupted)(void *arg);
};

struct tf_engine_options {
	bool defer_reverts;
	bool never_resolve;
	bool keep_injected; /* what atoms are made with (spec.inject) is part of their details, not transient */
	/* Do what TaskFlow 5.0.0 does where ENGINE.md 20 leaves the choice: failures of rounds that were
	 * retried successfully stay in flow_failures and in what run() raises; a failure that arrives when
	 * reverting has been decided counts as one of revert; reset keeps retry histories and failures; a
	 * RETRY decided after a REVERT_ALL overrides it; a failure under a retry that a decider ignored ends
	 * the run instead of going to the retry around it; what an earlier engine left RUNNING while reverting
	 * had been decided is reverted at once, and a revert that failed just before that engine died is
	 * forgotten. Off: none of these. */
	bool reference_quirks;
	struct tf_value *store; /* flow-wide injected object, or NULL; referenced */
	const char *flow_uuid;  /* NULL: a new one */
	/* For delays of retries; borrowed. NULL: time stands still, and only delays of 0 end. A delay is not kept in the
	 * logbook: a flow that is resumed by another engine retries at once. */
	const struct tf_clock *clock;
};

/* Takes over `graph` (compiled) and `executor` (destroyed with the engine). */
struct tf_engine *tf_engine_new(struct tf_graph *graph, struct tf_executor *executor,
	const struct tf_engine_options *options, const struct tf_engine_events *events, void *arg);
void tf_engine_delete(struct tf_engine *e);

/* Take over what a logbook has of this flow: its state (NULL: none) and the details of its atoms, found by name.
 * Before anything else is asked of the engine. Details of atoms that the flow does not have are left alone; injected
 * values of options.store win. TF_EEXIST: a detail is of a task where the flow has a retry, or the other way round;
 * TF_EFORMAT. */
int tf_engine_load(struct tf_engine *e, const char *state, const struct tf_atom_detail *atoms, size_t count,
	struct tf_err *err);
int tf_engine_validate(struct tf_engine *e, struct tf_err *err);
/* Tell of RESUMING and SUSPENDED if an earlier engine left the flow in the middle (ENGINE.md 9.6), and put the flow and
 * its atoms into the logbook: once. Reset the flow if it is REVERTED. Start does it by itself. */
int tf_engine_prepare(struct tf_engine *e, struct tf_err *err);
/* The phases of a run (ENGINE.md 9.1), which TaskFlow's run_iter yields. */
#define TF_PHASES(X) X(RESUMING) X(SCHEDULING) X(WAITING) X(ANALYZING) X(ENDING) X(ENDED)
enum tf_phase {
#define X(name) TF_PHASE_##name,
	TF_PHASES(X)
#undef X
};
/* A run phase by phase: begin, then advance until the phase is ENDED. Errors as those of start. */
int tf_engine_begin(struct tf_engine *e, struct tf_err *err);
/* What advance will do next. */
enum tf_phase tf_engine_phase(const struct tf_engine *e);
/* The same as a word; of ENDING and ENDED it is the flow's state at the end. */
const char *tf_engine_phase_name(struct tf_engine *e);
/* Do what the phase says. WAITING is the owner's: while `waits`, it turns its loop before it advances. */
void tf_engine_advance(struct tf_engine *e);
/* Whether nothing can happen before a completion arrives, or `wait_ms` is over. */
bool tf_engine_waits(const struct tf_engine *e);
/* Milliseconds until a retry's delay is over; UINT64_MAX: none waits. Step again then. */
uint64_t tf_engine_wait_ms(const struct tf_engine *e);

struct tf_engine_counts {            /* of a run */
	uint64_t completed;          /* actions that ended */
	uint64_t discarded_failures; /* failures that were resolved */
	uint64_t incomplete;         /* actions that are in flight */
	uint64_t awaiting;           /* atoms that are ready and not begun */
};
struct tf_engine_counts tf_engine_counts(struct tf_engine *e);

/* Validate, start the executor, schedule what is ready. After a run ended: ENGINE.md 12 (rerun).
 * When the run ends, inside this or a step, the executor is stopped; its next run starts it again.
 * TF_ESTATE: running already; TF_EMISSING; the executor's error. */
int tf_engine_start(struct tf_engine *e, struct tf_err *err);
/* Take the completions that have arrived and go on. True if anything was done. */
bool tf_engine_step(struct tf_engine *e);
bool tf_engine_finished(const struct tf_engine *e);
/* Running atoms finish, nothing new starts (ENGINE.md 12). Nothing if not running. */
void tf_engine_suspend(struct tf_engine *e);
/* Nothing begins any more, what runs is ended where the executor can, and what has run is reverted, retries or not: from
 * now on, or from the next start. What an
 * earlier engine left RUNNING fails with tfhost.Cancelled instead of running again. */
void tf_engine_cancel(struct tf_engine *e);
/* All atoms PENDING, the next start runs everything anew. TF_ESTATE while running. */
int tf_engine_reset(struct tf_engine *e, struct tf_err *err);

/* Items of a map atom (graph.h: each) are numbered after the atoms, as they come to be; events tell of them like
 * of atoms, and they may be asked for wherever an atom is. Their names are "map[1]", counted from 1. */
bool tf_engine_item(const struct tf_engine *e, unsigned atom, unsigned *map, size_t *index); /* from 0 */
size_t tf_engine_item_count(const struct tf_engine *e, unsigned map); /* of the present round */
unsigned tf_engine_item_at(const struct tf_engine *e, unsigned map, size_t index);
int tf_engine_find(const struct tf_engine *e, const char *name); /* atom or item, or -1 */
const char *tf_engine_atom_name(
	const struct tf_engine *e, unsigned atom); /* valid until the next name is asked for */

const char *tf_engine_flow_uuid(const struct tf_engine *e);
enum tf_state tf_engine_flow_state(const struct tf_engine *e);
enum tf_state tf_engine_atom_state(const struct tf_engine *e, unsigned atom);
enum tf_intention tf_engine_atom_intention(const struct tf_engine *e, unsigned atom);
const char *tf_engine_atom_uuid(const struct tf_engine *e, unsigned atom);
const struct tf_graph *tf_engine_graph(const struct tf_engine *e);
double tf_engine_atom_progress(const struct tf_engine *e, unsigned atom); /* 0..1 */

/* What run() raises (ENGINE.md 10): failure dicts, borrowed until the next start. *atom is whose,
 * UINT_MAX for nobody's. */
size_t tf_engine_failure_count(const struct tf_engine *e);
struct tf_value *tf_engine_failure(const struct tf_engine *e, size_t i, unsigned *atom);

/* Storage (ENGINE.md 6). New references; NULL with err TF_ENOTFOUND. */
struct tf_value *tf_engine_fetch(struct tf_engine *e, const char *symbol, struct tf_err *err);
/* An array of the values of all providers. */
struct tf_value *tf_engine_fetch_list(struct tf_engine *e, const char *symbol, struct tf_err *err);
struct tf_value *tf_engine_fetch_all(struct tf_engine *e); /* object */
/* Execute result of an atom (value or, *failed, its failure dict). */
struct tf_value *tf_engine_result(struct tf_engine *e, unsigned atom, bool *failed, struct tf_err *err);
struct tf_value *tf_engine_revert_result(
	struct tf_engine *e, unsigned atom, bool *failed, struct tf_err *err);
/* Add to the store, or to what one atom alone is given; transient: not to the logbook. An item: its map's. */
void tf_engine_inject(struct tf_engine *e, struct tf_value *object, bool transient);
void tf_engine_inject_atom(struct tf_engine *e, unsigned atom, struct tf_value *object, bool transient);
/* What a mapping would give: an object by parameter. atom UINT_MAX: of all providers, whatever the scope. */
struct tf_value *tf_engine_mapped(struct tf_engine *e, unsigned atom, const struct tf_binding *bindings,
	size_t count, struct tf_err *err);
/* Whether anything is injected or will be provided for a parameter of the atom. */
bool tf_engine_satisfied(const struct tf_engine *e, unsigned atom, const struct tf_binding *b);
/* Failures by name of atom: {"atom": failure dict}. */
struct tf_value *tf_engine_failures(struct tf_engine *e, bool revert);
/* [[value, {"atom": failure dict}], ...]; *failure: the retry's own, borrowed, or NULL. */
struct tf_value *tf_engine_history(struct tf_engine *e, unsigned retry, struct tf_value **failure);
/* details: an object, empty for none, NULL to leave them as they are. */
void tf_engine_set_progress(struct tf_engine *e, unsigned atom, double progress, struct tf_value *details);
/* {"at_progress": 0.5, "details": {...}}, or NULL. */
struct tf_value *tf_engine_progress_details(struct tf_engine *e, unsigned atom);
/* Metadata of an atom: the members of an object replace those of their names; all of it, new. */
void tf_engine_update_metadata(struct tf_engine *e, unsigned atom, struct tf_value *object);
struct tf_value *tf_engine_metadata(struct tf_engine *e, unsigned atom);
/* An atom PENDING, without results: it runs again in the next run. TF_ESTATE while running, or for an item. */
int tf_engine_reset_atom(struct tf_engine *e, unsigned atom, struct tf_err *err);

#endif
