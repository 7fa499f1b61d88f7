/* The one gate into Lua: every call from C passes here. A message handler takes the traceback while the
 * stack still exists, the stack is balanced afterwards, errors come back as our records. */
#ifndef TF_SCRIPT_CALL_H
#define TF_SCRIPT_CALL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

struct lua_State;

/* Functions marked so may leave by a Lua error (longjmp): call them only from a protected call, with no
 * C memory that nobody else would free. */
#define TF_RAISES

/* Push a C function without upvalues. A state makes it once: calls of tasks are many. */
TF_RAISES void tf_call_push(struct lua_State *L, int (*fn)(struct lua_State *L));

/* As lua_pcall of the function below its nargs arguments. 0: nresults are on the stack. TF_ELUA: function
 * and arguments are gone, nothing is pushed, err->message is Lua's message ("tasks.lua:7: boom"; a table
 * with a __tostring or a `message` speaks through that). */
int tf_call(struct lua_State *L, int nargs, int nresults, struct tf_err *err);

/* The same, but on TF_ELUA the failure dict (failure_lua.h) of what was raised, traceback included, is a
 * new reference in *failure, which is NULL on success. `entry` names the called function in the
 * traceback ("execute"), since a caller in C gives it no name. */
int tf_call_catch(struct lua_State *L, int nargs, int nresults, const char *entry, struct tf_value **failure);

/* Run a C function under protection: fn(L) with `arg` as its only argument, a light userdata. */
int tf_call_protected(struct lua_State *L, int (*fn)(struct lua_State *L), void *arg, struct tf_err *err);

#endif
