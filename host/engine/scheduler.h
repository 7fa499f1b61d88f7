/* What may run next: states and intentions of all atoms, and which are ready (ENGINE.md 9).
 * A pure step machine: it is told what happened to an atom and says which atoms became ready.
 *
 * Each node counts its unsettled predecessors (settled: SUCCESS or IGNORE, meant to stay so, with
 * every predecessor settled) and its unclear successors (clear: PENDING, REVERTED or IGNORE, with
 * every successor clear). A change of state touches only the counts it alters, so that the cost
 * of a completed atom does not depend on the size of the flow. Work on a retry's successors goes
 * only where something has started; intentions of PENDING atoms follow from what was decided and
 * are computed when asked for.
 */
#ifndef TF_ENGINE_SCHEDULER_H
#define TF_ENGINE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/graph.h"
#include "engine/states.h"

struct tf_scheduler;

/* override_revert_all: a RETRY decided after a REVERT_ALL wins, as in TaskFlow 5.0.0 (ENGINE.md 21). */
struct tf_scheduler *tf_scheduler_new(struct tf_graph *g, bool override_revert_all);
void tf_scheduler_delete(struct tf_scheduler *s);

enum tf_state tf_scheduler_state(const struct tf_scheduler *s, unsigned atom);
enum tf_intention tf_scheduler_intention(struct tf_scheduler *s, unsigned atom);
/* Every atom SUCCESS or IGNORE. */
bool tf_scheduler_all_done(const struct tf_scheduler *s);

/* Count everything anew from the states, forget the ready atoms, find them again: start of a run.
 * Linear in the graph. */
void tf_scheduler_rebuild(struct tf_scheduler *s);
/* Every atom PENDING and meant to be executed. rebuild comes later. */
void tf_scheduler_reset(struct tf_scheduler *s);
/* An atom as an earlier engine left it (all others are PENDING and meant to be executed); after the last one `loaded`
 * finds out whether all were to revert. rebuild comes later. */
void tf_scheduler_load(
	struct tf_scheduler *s, unsigned atom, enum tf_state state, enum tf_intention intention);
void tf_scheduler_loaded(struct tf_scheduler *s);
/* An atom changed its state; atoms that are ready now join the candidates or the ready ones.
 * RUNNING also sets the intention EXECUTE; other intentions stay. */
void tf_scheduler_set(struct tf_scheduler *s, unsigned atom, enum tf_state state);

/* The atoms that would be ready to execute, if their deciders agree, once these RUNNING ones are SUCCESS: their number,
 * and in *next them, valid until the next call. Nothing changes. */
size_t tf_scheduler_foresee(
	struct tf_scheduler *s, const unsigned *atoms, size_t count, const unsigned **next);

/* Be told of each atom that gets another intention in a resolution and has to keep it beyond this process: those
 * that have started, and those that nothing would hold back. */
void tf_scheduler_on_intention(struct tf_scheduler *s, void (*changed)(void *arg, unsigned atom), void *arg);
/* The intention to keep. Unlike the next it costs nothing, for that of a PENDING atom behind others follows from
 * theirs. */
enum tf_intention tf_scheduler_kept_intention(const struct tf_scheduler *s, unsigned atom);

/* Resolutions of a failure (ENGINE.md 9.3). */
void tf_scheduler_revert_all(struct tf_scheduler *s);
/* `retry` gets `intention` (REVERT or RETRY), all its successors REVERT. */
void tf_scheduler_mark(struct tf_scheduler *s, unsigned retry, enum tf_intention intention);

/* Told of each atom that changes in a bulk operation, right after its change. */
typedef void tf_scheduler_visit(void *arg, unsigned atom, enum tf_state old);
/* `retry` := EXECUTE, each successor := PENDING and EXECUTE (ENGINE.md 9.5). */
void tf_scheduler_retry(struct tf_scheduler *s, unsigned retry, tf_scheduler_visit *visit, void *arg);
/* A decider said no: `atom` and what `depth` says (ENGINE.md 4.1) := IGNORE. */
void tf_scheduler_ignore(
	struct tf_scheduler *s, unsigned atom, int depth, tf_scheduler_visit *visit, void *arg);

/* Next atom that would be ready to execute if its deciders agree; false: none. */
bool tf_scheduler_candidate(struct tf_scheduler *s, unsigned *atom);
/* Join the ready atoms: a candidate whose deciders agree, an atom that a stopped run left over. */
void tf_scheduler_ready(struct tf_scheduler *s, unsigned atom);

enum tf_action_kind { TF_DO_NOTHING, TF_DO_EXECUTE, TF_DO_REVERT, TF_DO_RETRY };
/* What a ready atom is ready for, now. */
enum tf_action_kind tf_scheduler_action(struct tf_scheduler *s, unsigned atom);
/* Take all ready atoms, by falling priority, then in node order. Valid until the next take. */
size_t tf_scheduler_take(struct tf_scheduler *s, const unsigned **atoms);
size_t tf_scheduler_ready_count(const struct tf_scheduler *s);
/* Whether an atom is ready (or a candidate). */
bool tf_scheduler_left(struct tf_scheduler *s);

#endif
