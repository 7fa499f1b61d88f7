/* A flow, as lua/taskflow/engines/compiler.lua lays it out in steps, to engine/graph. */
#ifndef TF_SCRIPT_FLOW_LOAD_H
#define TF_SCRIPT_FLOW_LOAD_H

#include "base/err.h"
#include "engine/graph.h"
#include "script/call.h"

struct lua_State;

/* Build `g`, which the caller owns, from the list of steps at `index`. Members of a step:
 *   { op = "open", name, pattern = "linear" | "unordered" | "graph" }
 *   { op = "task" | "retry", atom, task_cls }    atom as lua/taskflow/atom.lua describes it
 *   { op = "link", from, to, decider, depth }    from, to: the steps that opened or added the children
 *   { op = "close" }
 * Not compiled yet. Negative with err when a value of the flow cannot be represented or the graph refuses. */
TF_RAISES int tf_flow_load(struct lua_State *L, int index, struct tf_graph *g, struct tf_err *err);

#endif
