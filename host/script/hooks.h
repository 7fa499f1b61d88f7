/* What a worker's scripts want done in each slot: the fields `setup` and `teardown` of the tables that they return, functions
 * without arguments. A resource that setup opens (a connection, a cache) lives as long as the slot, so as long as its generation
 * serves, and is there for every task that runs in it. */
#ifndef TF_SCRIPT_HOOKS_H
#define TF_SCRIPT_HOOKS_H

#include "script/call.h"

struct lua_State;

/* Remember what package.loaded[module] is, once; a hook that is no function raises. */
TF_RAISES void tf_hooks_add(struct lua_State *L, const char *module);
/* In a slot: call each setup, in the order in which the scripts were added. The first that fails ends it: TF_ELUA. */
int tf_hooks_setup(struct lua_State *L, struct tf_err *err);
/* In a slot that ends: each teardown, the last script first. One that fails is logged. */
void tf_hooks_teardown(struct lua_State *L);

#endif
