/* Backends and their rows as Lua holds them (bind_persistence.c), for the binding of engines. */
#ifndef TF_SCRIPT_BACKEND_LUA_H
#define TF_SCRIPT_BACKEND_LUA_H

#include <stddef.h>

#include "persistence/backend.h"
#include "script/call.h"

struct lua_State;

/* The open backend at `index`; a Lua error if there is none. Lua owns it. */
TF_RAISES struct tf_backend *tf_backend_lua_check(struct lua_State *L, int index);
/* Atom details from the list of rows at `list`; NULL with err. */
struct tf_atom_detail *tf_backend_lua_atoms(struct lua_State *L, int list, size_t *count, struct tf_err *err);
void tf_backend_lua_atoms_free(struct tf_atom_detail *rows, size_t count);

#endif
