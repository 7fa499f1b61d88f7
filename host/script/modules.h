/* The C modules that scripts can require; tf_state_new puts them into package.preload.
 * One line a module, opened by lua's usual `int open(lua_State *L)`. */
#ifndef TF_SCRIPT_MODULES_H
#define TF_SCRIPT_MODULES_H

struct lua_State;

/* X(module name, open function) */
#define TF_SCRIPT_MODULES(X) \
	X("taskflow.values", tf_bind_values_open) \
	X("tfhost.engine", tf_bind_engine_open) \
	X("tfhost.worker", tf_bind_worker_open) \
	X("tfhost.persistence", tf_bind_persistence_open) \
	X("tfhost.host", tf_bind_host_open) \
	X("tfhost.control", tf_bind_control_open) \
	X("tfhost.census", tf_bind_census_open) \
	X("tfhost.terminal", tf_bind_terminal_open) \
	X("tfhost.log", tf_bind_log_open)

#define X(name, open) int open(struct lua_State *L);
TF_SCRIPT_MODULES(X)
#undef X

#endif
