/* What the C modules share: how they fail, and how they read tables. Private to host/script/. */
#ifndef TF_SCRIPT_BIND_H
#define TF_SCRIPT_BIND_H

#include <stdbool.h>

#include "base/err.h"
#include "base/value.h"
#include "script/call.h"

struct lua_State;

/* The world's failures return nil, message, code: "ENOTFOUND", as in base/err.h without its prefix. */
TF_RAISES int tf_bind_fail(struct lua_State *L, const struct tf_err *err);

/* The caller's mistakes raise taskflow.exceptions' `class`, which names the line of the user's script; luaL_error
 * would name one of the library. */
TF_RAISES _Noreturn void tf_bind_raise(struct lua_State *L, const char *class, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Member `key` of the table at `index`. Of another type than asked for: a Lua error that names the key.
 * Strings are borrowed while the table keeps them. */
TF_RAISES const char *tf_bind_string(struct lua_State *L, int index, const char *key); /* NULL: absent */
TF_RAISES double tf_bind_number(struct lua_State *L, int index, const char *key, double absent);
TF_RAISES bool tf_bind_boolean(struct lua_State *L, int index, const char *key);
/* As a value, NULL if absent; a new reference. `what` starts the path in the error. */
TF_RAISES struct tf_value *tf_bind_value(struct lua_State *L, int index, const char *key, const char *what);
/* Member `key` as a NULL-terminated array of strings that lives as long as the userdata pushed for it. */
TF_RAISES const char **tf_bind_strings(struct lua_State *L, int index, const char *key);

#endif
