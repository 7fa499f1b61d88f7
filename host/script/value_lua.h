/* Values between base/value and Lua (ARCHITECTURE 2). Both directions name the place inside the value
 * ("result.rows[3].id") when something cannot be represented, and neither raises.
 *
 *   JSON              Lua
 *   null              cjson.null: light userdata NULL (encode: nil too)
 *   true, false       boolean
 *   integer           number up to 2^53 in magnitude; int64_t cdata, then uint64_t cdata beyond;
 *                     wider than 64 bits: refused
 *   real              number; a number that is integral and within 2^53 is written as an integer
 *   string            string, bytes of UTF-8; a lone surrogate is refused
 *   array             table with the list marker (its metatable); encode also takes an unmarked table whose
 *                     keys are exactly 1..n, n > 0; an empty unmarked table is {}
 *   object            table with string keys; written in order of keys (bytes), so that text is repeatable
 *
 * Marked list: elements 1..#t, nil holes inside are refused; other keys are refused. Refused when encoding:
 * functions, threads, userdata, other cdata, mixed keys, holes, cycles, invalid UTF-8, depth beyond
 * TF_VALUE_LUA_MAX_DEPTH. Metatables other than the marker are ignored (raw access).
 */
#ifndef TF_SCRIPT_VALUE_LUA_H
#define TF_SCRIPT_VALUE_LUA_H

#include "base/value.h"

struct lua_State;

/* Once per state, by tf_state_new: marker metatable and 64-bit helpers in the registry. */
void tf_value_lua_open(struct lua_State *L);

/* Push `v` (validated). `what` starts the path in errors ("result", "arguments"). On error nothing is pushed:
 * TF_EFORMAT, TF_ELIMIT, TF_ELUA (out of memory). */
int tf_value_lua_push(struct lua_State *L, struct tf_json v, const char *what, struct tf_err *err);

/* Append the JSON text of the Lua value at `index` to `out`; on error `out` is as before. TF_EINVAL with the
 * path. TF_ELIMIT beyond TF_VALUE_LUA_MAX bytes. */
int tf_value_lua_write(
	struct lua_State *L, int index, const char *what, struct tf_buf *out, struct tf_err *err);
#define TF_VALUE_LUA_MAX (64u << 20)
/* Values travel inside others: a result in a response, an exception's argument in a failure in a request. What
 * is written here must still be within TF_JSON_MAX_DEPTH there. */
#define TF_VALUE_LUA_MAX_DEPTH (TF_JSON_MAX_DEPTH - 16)

/* The same as a value; NULL on error. */
struct tf_value *tf_value_lua_get(struct lua_State *L, int index, const char *what, struct tf_err *err);

/* Give the table at `index` the list marker. Whether it has it. */
void tf_value_lua_mark_list(struct lua_State *L, int index);
int tf_value_lua_is_list(struct lua_State *L, int index);

/* Pushing is in value_push.c, writing in value_write.c.
 *
 * Module `taskflow.values` (bind_values.c): null, list(t) -> t marked, is_list(t), int64(n or text),
 * encode(v) -> text | nil, message, decode(text) -> v | nil, message. */

#endif
