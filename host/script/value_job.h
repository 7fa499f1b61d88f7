/* One conversion between base/value and Lua: where it is inside the value, what it carries, and how it is refused.
 * Internal to value_lua.c, value_push.c and value_write.c. */
#ifndef TF_SCRIPT_VALUE_JOB_H
#define TF_SCRIPT_VALUE_JOB_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "script/call.h"

struct lua_State;

#define TF_VALUE_EXACT 9007199254740992.0 /* 2^53: integers up to here are exact in a Lua number */

/* Where we are inside the value: a list from the innermost container outwards, on the C stack. */
struct tf_value_place {
	const struct tf_value_place *up;
	const char *key; /* member name; NULL: element `index` */
	size_t key_len;
	size_t index;
	const void *table; /* encode: identity, to find cycles */
	unsigned depth;
};

/* What one conversion carries; lives outside the protected call, which may be left by a jump. */
struct tf_value_job {
	struct tf_json json; /* decode */
	const char *what;
	struct tf_buf *out; /* encode */
	struct tf_buf scratch;
	size_t start; /* encode: length of `out` before */
	int marker;   /* stack index of the marker metatable */
	int code;     /* of the error raised by ourselves */
	struct tf_err *err;
};

/* What tf_value_lua_open keeps in a state: the list marker; (unsigned, high, low) -> a 64-bit integer; and back:
 * (v) -> signed, high, low, or nil if it is something else. */
enum tf_value_tool { TF_VALUE_MARKER, TF_VALUE_MAKE64, TF_VALUE_SPLIT64 };
void tf_value_tool_push(struct lua_State *L, enum tf_value_tool tool);

/* Leave the conversion with "PATH: story". */
__attribute__((format(printf, 5, 6))) TF_RAISES _Noreturn void tf_value_job_refuse(struct lua_State *L,
	struct tf_value_job *job, const struct tf_value_place *at, int code, const char *fmt, ...);
/* Run fn(value?, job) under protection; without results the value is an argument, at the top. Returns 0 or the code; our
 * own refusals keep theirs and their story. Frees `scratch`. */
int tf_value_job_run(
	struct lua_State *L, int (*fn)(struct lua_State *L), struct tf_value_job *job, int nresults);

#endif
