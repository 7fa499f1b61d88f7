/* A raised Lua value becomes a failure dict (PROTOCOL.md 4).
 *
 * A string: tfhost.LuaError, RuntimeError, Exception, with the text as raised (file:line as Lua gives it).
 * A table with `exc_type_names` (a Failure of taskflow.failure, an exception of taskflow.exceptions): keeps
 * exc_type_names, its text (`exception_str`, else `message`), its arguments (`exc_args`, else
 * `exception_args`, else `args`), `traceback_str` if not empty, and `causes`; members that no failure dict
 * may hold are replaced, never sent. Anything else: LuaError with its tostring text.
 */
#ifndef TF_SCRIPT_FAILURE_LUA_H
#define TF_SCRIPT_FAILURE_LUA_H

#include "base/buf.h"
#include "base/value.h"

struct lua_State;

/* What is at `index` as a failure dict; `traceback` (frames as below) is used unless the value has its own,
 * may be NULL. New reference, never NULL; does not raise. */
struct tf_value *tf_failure_lua(struct lua_State *L, int index, const char *traceback);

/* Push the error value of which tf_failure_lua made the latest failure, and forget it: for who can raise it again in
 * this process as it was. 0, with nothing pushed, if there is none. */
int tf_failure_lua_raised(struct lua_State *L);

/* Appends the stack of `L` from `level`, outermost call first, innermost last, in Python's shape:
 * `  File "F", line N, in f\n    source line\n`. Frames of C functions have no file and are left out.
 * `entry` names the outermost Lua function, which C called. Long stacks lose their middle. */
void tf_failure_lua_traceback(struct lua_State *L, int level, const char *entry, struct tf_buf *out);

/* Push the Failure object (taskflow.failure's from_dict) of a failure dict; TF_ELUA with nothing pushed. */
int tf_failure_lua_push(struct lua_State *L, struct tf_json dict, struct tf_err *err);

#endif
