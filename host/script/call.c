#include "script/call.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "protocol/failure.h"
#include "script/failure_lua.h"

/* What the message handler collects while the stack of the error still exists. */
struct call_trace {
	const char *entry;
	struct tf_buf text;
	bool wanted;
};

/* (error) -> error. Upvalue 1: struct call_trace. */
static int call_handler(lua_State *L)
{
	struct call_trace *trace = lua_touserdata(L, lua_upvalueindex(1));
	trace->text.len = 0; /* a handler may run again for an error inside itself */
	if (trace->wanted)
		tf_failure_lua_traceback(L, 1, trace->entry, &trace->text);
	return 1;
}

/* The error value stays on the stack on TF_ELUA. */
static int call_run(lua_State *L, int nargs, int nresults, struct call_trace *trace)
{
	int base = lua_gettop(L) - nargs; /* index of the function */
	lua_pushlightuserdata(L, trace);
	lua_pushcclosure(L, call_handler, 1);
	lua_insert(L, base); /* handler, function, arguments */
	int status = lua_pcall(L, nargs, nresults, base);
	lua_remove(L, base);
	return status == 0 ? 0 : TF_ELUA;
}

int tf_call_catch(struct lua_State *L, int nargs, int nresults, const char *entry, struct tf_value **failure)
{
	struct call_trace trace = {.entry = entry, .wanted = true};
	*failure = NULL;
	int rc = call_run(L, nargs, nresults, &trace);
	if (rc < 0) {
		*failure = tf_failure_lua(L, -1, trace.text.data);
		lua_pop(L, 1);
	}
	tf_buf_free(&trace.text);
	return rc;
}

/* The place in the user's script that the library's exceptions carry, NULL: none. Borrowed from the error value at
 * the top of the stack. */
static const char *call_where(lua_State *L)
{
	if (!lua_istable(L, -1))
		return NULL;
	lua_pushliteral(L, "where");
	lua_rawget(L, -2);
	const char *where = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	lua_pop(L, 1);
	return where;
}

int tf_call(struct lua_State *L, int nargs, int nresults, struct tf_err *err)
{
	struct call_trace trace = {0};
	if (call_run(L, nargs, nresults, &trace) == 0)
		return 0;
	if (lua_type(L, -1) == LUA_TSTRING) {
		tf_err_set(err, TF_ELUA, "%s", lua_tostring(L, -1));
	} else {
		struct tf_value *failure = tf_failure_lua(L, -1, NULL);
		char *text = tf_failure_summary(tf_value_json(failure));
		const char *where = call_where(L);
		tf_err_set(err, TF_ELUA, "%s%s%s", where ? where : "", where ? ": " : "", text);
		free(text);
		tf_value_unref(failure);
	}
	lua_pop(L, 1);
	return TF_ELUA;
}

int tf_call_protected(struct lua_State *L, int (*fn)(struct lua_State *L), void *arg, struct tf_err *err)
{
	/* lua_cpcall needs no memory before it is protected; the stack of L may be full. */
	int status = lua_cpcall(L, fn, arg);
	if (status == 0)
		return 0;
	const char *text = lua_tostring(L, -1);
	tf_err_set(err, TF_ELUA, "%s", text ? text : "error value is not a string");
	lua_pop(L, 1);
	return TF_ELUA;
}
