/* What a logbook keeps (persistence/detail.h) as tables of Lua: a field a column, strings; values in them are JSON text. */
#ifndef TF_SCRIPT_DETAIL_LUA_H
#define TF_SCRIPT_DETAIL_LUA_H

#include <stddef.h>

#include "persistence/detail.h"
#include "script/call.h"

struct lua_State;

/* From the plain table at `row`, a positive index. Raise nothing; return 0 or a code. The caller frees what is in `d`,
 * after a failure too. A flow's `book` stays empty. */
int tf_detail_lua_book(struct lua_State *L, int row, struct tf_book_detail *d, struct tf_err *err);
int tf_detail_lua_flow(struct lua_State *L, int row, struct tf_flow_detail *d, struct tf_err *err);
/* From the list of tables at `list`; NULL with err. */
struct tf_atom_detail *tf_detail_lua_atoms(struct lua_State *L, int list, size_t *count, struct tf_err *err);
void tf_detail_lua_atoms_free(struct tf_atom_detail *rows, size_t count);

/* Set the fields of the table at the top. */
TF_RAISES void tf_detail_lua_push_book(struct lua_State *L, const struct tf_book_detail *d);
TF_RAISES void tf_detail_lua_push_flow(struct lua_State *L, const struct tf_flow_detail *d);
TF_RAISES void tf_detail_lua_push_atom(struct lua_State *L, const struct tf_atom_detail *d);

#endif
