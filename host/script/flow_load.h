/* A flow, as lua/taskflow/engines/compiler.lua lays it out in steps, to engine/graph. */
#ifndef TF_SCRIPT_FLOW_LOAD_H
#define TF_SCRIPT_FLOW_LOAD_H

#include "base/err.h"
#include "engine/graph.h"
#include "script/call.h"

struct lua_State;

/* Build `g`, which the caller owns, from the list at `index`, where values follow each other without a table a step:
 *   "open", name, "linear" | "unordered" | "graph"
 *   task, class name          a task as lua/taskflow/atom.lua describes it
 *   "retry", retry, class name
 *   "link", from, to, decider or -1, depth    from, to: numbers of flows and atoms, from 1 in order of adding
 *   "close"
 * Not compiled yet. Negative with err when a value of the flow cannot be represented or the graph refuses. */
TF_RAISES int tf_flow_load(struct lua_State *L, int index, struct tf_graph *g, struct tf_err *err);

/* Push the atoms of the list at `index`, which are in order of adding, by number, from 1: that list itself where both are
 * the same. `g` is compiled. */
TF_RAISES void tf_flow_number(struct lua_State *L, int index, const struct tf_graph *g);

#endif
