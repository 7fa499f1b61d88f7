/* A flow, as lua/taskflow/engines/compiler.lua lays it out in steps, to engine/graph. */
#ifndef TF_SCRIPT_FLOW_LOAD_H
#define TF_SCRIPT_FLOW_LOAD_H

#include "base/err.h"
#include "engine/graph.h"
#include "script/call.h"

struct lua_State;

/* Build `g`, which the caller owns, from the plan at `index`. Its `steps` are values that follow each other without a table
 * a step; `order` lists all atoms in order of adding, as lua/taskflow/atom.lua describes them:
 *   "open", name, "linear" | "unordered" | "graph"
 *   "tasks", first, last      places in `order`
 *   "retry", place
 *   "links", count, from, to, more, numbers    lists: of each link the children; of some a table of more, { number of the
 *                             decider, depth }; by child its number among flows and atoms, from 1 in order of adding, or 0:
 *                             its links do not count
 *   "close"
 * `class_name`(atom) gives the class's name; `check_name`(atom) is asked about names that are not plain, and may raise.
 * Not compiled yet. Negative with err when a value of the flow cannot be represented or the graph refuses. */
TF_RAISES int tf_flow_load(struct lua_State *L, int index, struct tf_graph *g, struct tf_err *err);

/* Push the atoms of the list at `index`, which are in order of adding, by number, from 1: that list itself where both are
 * the same. `g` is compiled. */
TF_RAISES void tf_flow_number(struct lua_State *L, int index, const struct tf_graph *g);

#endif
