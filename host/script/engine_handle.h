/* An engine as Lua holds it. Private to host/script/: bind_engine.c (module and methods), engine_calls.c (what the
 * engine asks of Lua), engine_executor.c (which executor).
 *
 * Lua owns the engine through a userdata; a method of a closed one is an error. Everything that runs in Lua on
 * the engine's behalf uses two threads of its own, so that an engine may be run from a coroutine and a
 * task may notify from one: `tasks` for tasks and retries, `calls` for listeners and deciders. */
#ifndef TF_SCRIPT_ENGINE_HANDLE_H
#define TF_SCRIPT_ENGINE_HANDLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/histogram.h"
#include "base/uuid.h"
#include "engine/engine.h"
#include "loop/loop.h"
#include "persistence/backend.h"
#include "script/call.h"
#include "script/task_runner.h"

struct lua_State;
struct luaL_Reg;

struct tf_engine_handle {
	struct tf_loop *loop;            /* owned */
	struct tf_engine *engine;        /* owned; NULL: closed, or not made yet */
	struct tf_executor *executor;    /* the engine's, or owned while there is no engine */
	struct tf_graph *graph;          /* the engine's, or owned while there is no engine */
	struct tf_timer *wake;           /* owned; NULL while nothing had to wait for a moment */
	struct tf_task_runner *runner;   /* owned; parallel only */
	struct lua_State *tasks, *calls; /* anchored in the userdata's environment */
	struct tf_value *result;         /* of the notification that is being delivered; borrowed */
	bool result_failed;
	bool atoms_heard, tasks_heard; /* the handlers `atom` and `event` have somebody to tell */
	bool serial, worker_based;
	bool running;               /* inside start or step */
	bool watched;               /* signals suspend or cancel the run */
	struct tf_backend *backend; /* a reference, or NULL: nothing is kept */
	unsigned long commits;      /* counted for tests alone */
	struct tf_histogram commit; /* how long each took */
	struct tf_page *page;       /* owned, as the next; NULL: no metrics */
	struct tf_lag *lag;
	uint64_t tick_ms,
		ticked_ms; /* between calls of the handler `tick` (0: none), and when it was last called */
	unsigned asked;    /* how often the engine asked whether it is interrupted */
	bool virtual_time; /* delays are over at once, and `virtual_ms` says how long they were */
	uint64_t virtual_ms;
	struct tf_clock virtual_clock;
	bool gather; /* statistics: seconds by phase, of the run */
	double seconds[TF_PHASE_ENDING], began, active_for;
	double advanced, turned; /* the last phase ended, the loop had its last turn for nothing */
	pid_t owner; /* the process that made it; in a slot forked from that it is not ours to touch */
	char flow_uuid[TF_UUID_LEN + 1];
};

/* engine_keep.c: take over what a logbook has of the flow, from the options at `index`: { backend, flow_uuid } or
 * { flow_uuid, flow_state, details }. `open` comes first and names the flow; with a backend it takes the flow's lock,
 * which `close` lets go of. */
TF_RAISES int tf_engine_keep_open(
	struct lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err);
TF_RAISES int tf_engine_keep_load(
	struct lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err);
/* Events of an engine that keeps its flow. */
struct tf_engine_events tf_engine_keep_events(const struct tf_engine_handle *h);
void tf_engine_keep_close(struct tf_engine_handle *h);

/* Environment of the userdata, pushed on L: { handlers, tasks, ... }; at ENGINE_ATOMS the atoms by number, from 1, if
 * these are what runs. Nil once collected. */
enum { ENGINE_ATOMS = 1 };
TF_RAISES void tf_engine_handle_env(struct lua_State *L, const struct tf_engine_handle *h);

/* The handle at index 1. Raises if it is none, closed, or another process's. */
TF_RAISES struct tf_engine_handle *tf_engine_handle_check(struct lua_State *L);
/* Number of the atom or item that is named at `index`. Raises NotFound. */
TF_RAISES unsigned tf_engine_handle_atom(struct lua_State *L, const struct tf_engine_handle *h, int index);
/* Push a value and release it: 1; or nil, message, code: 3. */
TF_RAISES int tf_engine_handle_push(struct lua_State *L, struct tf_value *v, const char *what);

/* What a signal that came asks for: Ctrl-C cancels, TERM suspends. */
enum tf_interruption tf_engine_handle_interruption(const struct tf_engine_handle *h);
/* engine_metrics.c: the method `metrics`, and the end of its page. */
TF_RAISES int tf_engine_metrics(struct lua_State *L);
void tf_engine_metrics_close(struct tf_engine_handle *h);
/* engine_turns.c: methods of the userdata that run the flow. */
extern const struct luaL_Reg tf_engine_turns_methods[];
/* engine_values.c: methods of the userdata that give and take values, and give failures. */
extern const struct luaL_Reg tf_engine_values_methods[];
/* engine_storage.c: methods of the userdata that lua/taskflow/engines/storage.lua calls. */
extern const struct luaL_Reg tf_engine_storage_methods[];

/* The clock of an engine with virtual_time; arg is the handle. */
uint64_t tf_engine_handle_virtual_ms(void *arg);

/* engine_calls.c: events of `engine/engine.h` that call the handlers in Lua. */
extern const struct tf_engine_events tf_engine_handle_events;
/* Calls the handler `tick`; arg is the handle. */
void tf_engine_handle_tick(void *arg);
/* What the serial executor asks: arg is the handle. */
struct lua_State *tf_engine_handle_tasks(void *arg);
TF_RAISES void tf_engine_handle_push_task(void *arg, unsigned atom, const char *name, struct lua_State *L);
void tf_engine_handle_raised(void *arg, const char *name, struct lua_State *L);

/* engine_executor.c: make h->executor from the options at `index` (checked by lua/taskflow/engines/options.lua). */
TF_RAISES int tf_engine_handle_executor(
	struct lua_State *L, int index, struct tf_engine_handle *h, struct tf_err *err);

#endif
