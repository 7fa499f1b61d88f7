/* What the files of the engine's fixture share: the notation, the logbook, and who plays retries and the executor. */
#ifndef TF_TEST_ENGINE_FIXTURE_INTERNAL_H
#define TF_TEST_ENGINE_FIXTURE_INTERNAL_H

#include <stdbool.h>

#include "engine_fixture.h"

extern const char *const fixture_runtime_error[]; /* what tasks and deciders raise */

/* ---- engine_fixture_notation.c: members of an object, by key ---- */

const char *fixture_text_of(struct json_object *o, const char *key, const char *otherwise); /* borrowed */
int fixture_int_of(struct json_object *o, const char *key);                                 /* 0: absent */
bool fixture_flag(struct json_object *o, const char *key);
/* The caller's. */
struct tf_value *fixture_value_of(struct json_object *o);
struct json_object *fixture_parse(struct tf_value *v);
/* Add the flow to f->graph; its number there. */
int fixture_add_flow(struct fixture *f, struct json_object *o);
/* Once compiled: which atom has which notation. */
void fixture_find_atoms(struct fixture *f, struct json_object *flow);

/* ---- engine_fixture_book.c ---- */

int fixture_keep(
	void *arg, const struct tf_flow_change *c, struct tf_err *err); /* as tf_engine_events.keep */
/* What an engine with a logbook may do only once that says so, whenever it is killed. */
void fixture_check_kept(const struct fixture *f, unsigned atom, enum tf_state state);

/* ---- engine_fixture_retry.c: as in tf_engine_events ---- */

struct tf_value *fixture_retry_execute(void *arg, const struct tf_retry_call *c, bool *failed);
int fixture_retry_on_failure(
	void *arg, const struct tf_retry_call *c, uint64_t *delay, struct tf_value **failure);
struct tf_value *fixture_retry_revert(void *arg, const struct tf_retry_call *c, bool *failed);
int fixture_decide(void *arg, int decider, struct tf_value *history, struct tf_value **failure);

/* ---- engine_fixture_executor.c: plays the tasks ---- */

extern const struct tf_executor_ops fixture_executor, fixture_executor_at_once;

/* ---- engine_fixture.c ---- */

/* Another entry of a log: "; " between them. */
__attribute__((format(printf, 2, 3))) void fixture_entry(struct tf_buf *b, const char *fmt, ...);
const char *fixture_name_of(const struct fixture *f, unsigned atom); /* borrowed */
/* The atom; of an item, its map. */
unsigned fixture_owner_of(const struct fixture *f, unsigned atom);

#endif
