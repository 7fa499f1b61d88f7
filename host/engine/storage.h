/* What the atoms gave: results, failures, histories, injected values, progress (ENGINE.md 6, 7, 14).
 *
 * Values are kept and passed on as the text they came as. States are the scheduler's; storage asks
 * for them where a result may only be read in some.
 *
 * An item of a map atom has a detail like an atom: wherever an atom is asked for, the number of an item
 * will do. To persist an item is to persist an atom detail of its own, a task's, named as tf_storage_name
 * says ("m[3]"); the map's detail holds the list of results. On resume, such details are items to be added.
 */
#ifndef TF_ENGINE_STORAGE_H
#define TF_ENGINE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/uuid.h"
#include "base/value.h"
#include "engine/graph.h"
#include "engine/scheduler.h"
#include "engine/trace.h"
#include "persistence/detail.h"

struct tf_storage;

/* Borrows both. keep_failures: failures of rounds that were retried stay in the lists of failures
 * and a failure is filed under the atom's intention, as in TaskFlow 5.0.0 (ENGINE.md 7). */
struct tf_storage *tf_storage_new(const struct tf_graph *g, struct tf_scheduler *states, bool keep_failures);
void tf_storage_delete(struct tf_storage *s);

/* A new item of a map atom; its number comes after those of all atoms and items. index: from 0. */
unsigned tf_storage_add_item(struct tf_storage *s, unsigned map, uint32_t index);
size_t tf_storage_item_count(const struct tf_storage *s);
/* Whether this is an item, and which: *map and *index are set only then. */
bool tf_storage_item(const struct tf_storage *s, unsigned atom, unsigned *map, uint32_t *index);
/* Of an atom the scheduler's, of an item what was set last. */
enum tf_state tf_storage_state(const struct tf_storage *s, unsigned atom);
void tf_storage_set_item_state(struct tf_storage *s, unsigned item, enum tf_state state);
/* Of an atom; of an item "m[1]", counted from 1 and valid until the next name is asked for. */
const char *tf_storage_name(struct tf_storage *s, unsigned atom);

const char *tf_storage_uuid(const struct tf_storage *s, unsigned atom);
int64_t tf_storage_round(const struct tf_storage *s, unsigned atom);
double tf_storage_progress(const struct tf_storage *s, unsigned atom);
void tf_storage_set_progress(struct tf_storage *s, unsigned atom, double progress);
/* What a task told with its progress: the event's members but for the progress. */
void tf_storage_set_progress_details(struct tf_storage *s, unsigned atom, struct tf_value *event);
/* Keep when actions run from now on, and where (trace.h); without it the next two do nothing. */
void tf_storage_trace(struct tf_storage *s);
void tf_storage_began(struct tf_storage *s, unsigned atom);
void tf_storage_ended(struct tf_storage *s, unsigned atom, const struct tf_trace_end *end);
/* Who performs the atom's action, as the executor told; "": somebody may, as an earlier engine was about to have it
 * performed; NULL: nobody. */
void tf_storage_set_performer(struct tf_storage *s, unsigned atom, const char *performer);
const char *tf_storage_performer(const struct tf_storage *s, unsigned atom);
/* A member of the atom's metadata. */
void tf_storage_set_meta(struct tf_storage *s, unsigned atom, const char *key, struct tf_value *value);
struct tf_value *tf_storage_meta(
	const struct tf_storage *s, unsigned atom, const char *key); /* new, or NULL */
/* All of it, its progress included; new. */
struct tf_value *tf_storage_metadata(const struct tf_storage *s, unsigned atom);

/* Flow-wide injected values: the members of an object. Of a name that is injected both ways, to keep and transiently,
 * the way that came first is in view, as in the reference. */
enum tf_inject {
	TF_INJECT_KEPT,      /* replaces what is kept under these names */
	TF_INJECT_UNDER,     /* kept, where nothing is yet */
	TF_INJECT_TRANSIENT, /* never kept beyond this process */
};
void tf_storage_inject(struct tf_storage *s, struct tf_value *object, enum tf_inject how);
/* For one atom alone; what is there under these names is replaced. */
void tf_storage_inject_atom(struct tf_storage *s, unsigned atom, struct tf_value *object, bool transient);
/* Whether anything was injected under this name: for tf_validate. */
bool tf_storage_has(const void *storage, uint32_t atom, const char *symbol);
/* Name of the detail that keeps them in a logbook (ENGINE.md 7). */
#define TF_INJECTOR "_TaskFlow_INJECTOR"
struct tf_value *tf_storage_stored(const struct tf_storage *s);    /* all that are kept, a new object */
const struct tf_map *tf_storage_store(const struct tf_storage *s); /* name -> struct tf_value * */

/* Keep what came with a final state: SUCCESS, FAILURE, REVERTED or REVERT_FAILURE; the state is not
 * set yet. A retry's SUCCESS is a new entry of its history, its REVERTED clears that. */
void tf_storage_save(struct tf_storage *s, unsigned atom, enum tf_state state, struct tf_value *result);
/* What was saved counts from here on: in the lists of failures, and where a result falls short of what the atom
 * provides, in the log. The state is not set yet. */
void tf_storage_count(struct tf_storage *s, unsigned atom, enum tf_state state, struct tf_value *result);
/* Its failures are told under another name: leave it out of flow_failures and what is raised. */
void tf_storage_forget_failures(struct tf_storage *s, unsigned atom);
/* The atom is PENDING again: a new round. */
void tf_storage_new_round(struct tf_storage *s, unsigned atom);
/* Take over what a logbook has of an atom or item whose state there is `state`; once, before anything else is kept.
 * TF_EFORMAT: it is not what a logbook has of such an atom. */
int tf_storage_load(struct tf_storage *s, unsigned atom, enum tf_state state,
	const struct tf_atom_detail *from, struct tf_err *err);
/* The atom or item as a logbook keeps it, but for state and intention; tf_atom_detail_free. */
void tf_storage_write(struct tf_storage *s, unsigned atom, struct tf_atom_detail *out);
/* As if it had never run; its round is a new one. */
void tf_storage_clear(struct tf_storage *s, unsigned atom);
/* Every atom begins anew; with keep_failures, failures and histories stay. */
void tf_storage_reset(struct tf_storage *s);

/* Arguments of execute or revert as an object, optional ones that nobody supplies left out.
 * NULL with TF_ENOTFOUND. New reference, as all below. */
struct tf_value *tf_storage_arguments(struct tf_storage *s, unsigned atom, bool revert, struct tf_err *err);
/* The same for any mapping; atom TF_NONE: all providers, whatever the scope. */
struct tf_value *tf_storage_mapped(struct tf_storage *s, unsigned atom, const struct tf_binding *bindings,
	size_t count, struct tf_err *err);
/* Whether a parameter is optional, or something is injected or will be provided for it. */
bool tf_storage_satisfied(const struct tf_storage *s, unsigned atom, const struct tf_binding *b);
struct tf_value *tf_storage_fetch(struct tf_storage *s, const char *symbol, struct tf_err *err);
struct tf_value *tf_storage_fetch_list(
	struct tf_storage *s, const char *symbol, struct tf_err *err); /* all of them */
struct tf_value *tf_storage_fetch_all(struct tf_storage *s);
struct tf_value *tf_storage_result(struct tf_storage *s, unsigned atom, bool *failed, struct tf_err *err);
struct tf_value *tf_storage_revert_result(
	struct tf_storage *s, unsigned atom, bool *failed, struct tf_err *err);

/* Execute failures as flow_failures: {"atom": failure dict}. */
struct tf_value *tf_storage_failures(struct tf_storage *s);
struct tf_value *tf_storage_revert_failures(
	struct tf_storage *s); /* the same of revert; linear in the flow */
/* All execute failures, then all revert failures, in node order: `visit` borrows. */
void tf_storage_each_failure(
	struct tf_storage *s, void (*visit)(void *arg, unsigned atom, struct tf_value *failure), void *arg);

/* A retry's history: [[value, {"atom": failure dict}], ...]. */
struct tf_value *tf_storage_history(struct tf_storage *s, unsigned retry);
/* Add a failure to its newest entry, unless the atom has one there. TF_ENOTFOUND: no entry. */
int tf_storage_add_retry_failure(
	struct tf_storage *s, unsigned retry, unsigned atom, struct tf_value *failure, struct tf_err *err);
/* The retry's own failure, borrowed, or NULL. */
struct tf_value *tf_storage_own_failure(const struct tf_storage *s, unsigned atom);

#endif
