/* The engine: runs a compiled flow against an executor (ENGINE.md 9). No loop, no clock, no Lua:
 * the owner calls tf_engine_step whenever completions have arrived (tf_engine_complete is what
 * executors call through their events), and waits on its loop in between.
 *
 *   tf_engine_start(e, err);
 *   while (!tf_engine_finished(e)) { tf_engine_step(e); if (nothing happened) tf_loop_turn(loop, true); }
 */
#ifndef TF_ENGINE_ENGINE_H
#define TF_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/value.h"
#include "engine/executor.h"
#include "engine/graph.h"
#include "engine/states.h"

struct tf_engine;

struct tf_engine_events { /* members may be NULL; arguments are borrowed during the call */
	void (*flow)(void *arg, enum tf_state state, enum tf_state old);
	/* result: value or failure dict for SUCCESS, FAILURE, REVERTED, REVERT_FAILURE; else NULL. */
	void (*atom)(void *arg, unsigned atom, enum tf_state state, enum tf_state old, struct tf_value *result);
	void (*task_event)(void *arg, unsigned atom, const char *type, struct tf_value *details);
	/* Retries and deciders run in the owner's process (PROTOCOL.md 5.6); see retry.h once they exist. */
};

struct tf_engine_options {
	bool defer_reverts;
	bool never_resolve;
	struct tf_value *store; /* flow-wide injected object, or NULL; referenced */
	const char *flow_uuid; /* NULL: a new one */
};

/* Takes over `graph` (compiled) and `executor` (destroyed with the engine). */
struct tf_engine *tf_engine_new(struct tf_graph *graph, struct tf_executor *executor,
	const struct tf_engine_options *options, const struct tf_engine_events *events, void *arg);
void tf_engine_delete(struct tf_engine *e);

int tf_engine_validate(struct tf_engine *e, struct tf_err *err);
/* Validate, start the executor, schedule what is ready. After a run ended: ENGINE.md 12 (rerun). */
int tf_engine_start(struct tf_engine *e, struct tf_err *err);
/* Take the completions that have arrived and go on. True if anything was done. */
bool tf_engine_step(struct tf_engine *e);
bool tf_engine_finished(const struct tf_engine *e);
void tf_engine_suspend(struct tf_engine *e);
int tf_engine_reset(struct tf_engine *e, struct tf_err *err);

const char *tf_engine_flow_uuid(const struct tf_engine *e);
enum tf_state tf_engine_flow_state(const struct tf_engine *e);
enum tf_state tf_engine_atom_state(const struct tf_engine *e, unsigned atom);
enum tf_intention tf_engine_atom_intention(const struct tf_engine *e, unsigned atom);
const char *tf_engine_atom_uuid(const struct tf_engine *e, unsigned atom);
const struct tf_graph *tf_engine_graph(const struct tf_engine *e);
double tf_engine_atom_progress(const struct tf_engine *e, unsigned atom); /* 0..1 */

/* What run() raises (ENGINE.md 10): failure dicts, borrowed until the next start. atom[i] is whose. */
size_t tf_engine_failure_count(const struct tf_engine *e);
struct tf_value *tf_engine_failure(const struct tf_engine *e, size_t i, unsigned *atom);

/* Storage (ENGINE.md 6). New references; NULL with err TF_ENOTFOUND. */
struct tf_value *tf_engine_fetch(struct tf_engine *e, const char *symbol, struct tf_err *err);
struct tf_value *tf_engine_fetch_all(struct tf_engine *e); /* object */
/* Execute result of an atom (value or, *failed, its failure dict). */
struct tf_value *tf_engine_result(struct tf_engine *e, unsigned atom, bool *failed, struct tf_err *err);
struct tf_value *tf_engine_revert_result(struct tf_engine *e, unsigned atom, bool *failed, struct tf_err *err);
void tf_engine_inject(struct tf_engine *e, struct tf_value *object); /* adds to the store */

#endif
