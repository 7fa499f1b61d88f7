/* Backends as Lua holds them (bind_persistence.c), for the binding of engines. */
#ifndef TF_SCRIPT_BACKEND_LUA_H
#define TF_SCRIPT_BACKEND_LUA_H

#include "persistence/backend.h"
#include "script/call.h"

struct lua_State;

/* The open backend at `index`; a Lua error if there is none. Lua owns it. */
TF_RAISES struct tf_backend *tf_backend_lua_check(struct lua_State *L, int index);

#endif
