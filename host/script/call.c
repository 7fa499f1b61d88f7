#include "script/call.h"

#include <stdbool.h>
#include <stdint.h>
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

/* Of the innermost call that is under way. */
static struct call_trace *call_tracing;

/* Push the function if the state has made it; else nothing. Never raises. */
static bool call_push_made(lua_State *L, lua_CFunction fn)
{
	lua_pushlightuserdata(L, (void *)(uintptr_t)fn);
	lua_rawget(L, LUA_REGISTRYINDEX);
	if (!lua_isnil(L, -1))
		return true;
	lua_pop(L, 1);
	return false;
}

TF_RAISES void tf_call_push(lua_State *L, int (*fn)(lua_State *L))
{
	if (call_push_made(L, fn))
		return;
	lua_pushcfunction(L, fn);
	lua_pushlightuserdata(L, (void *)(uintptr_t)fn); /* function, key */
	lua_pushvalue(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
}

/* (error) -> error */
static int call_handler(lua_State *L)
{
	struct call_trace *trace = call_tracing;
	trace->text.len = 0; /* a handler may run again for an error inside itself */
	if (trace->wanted)
		tf_failure_lua_traceback(L, 1, trace->entry, &trace->text);
	return 1;
}

/* The error value stays on the stack on TF_ELUA. */
static int call_run(lua_State *L, int nargs, int nresults, struct call_trace *trace)
{
	int base = lua_gettop(L) - nargs; /* index of the function */
	struct call_trace *outer = call_tracing;
	tf_call_push(L, call_handler);
	lua_insert(L, base); /* handler, function, arguments */
	call_tracing = trace;
	int status = lua_pcall(L, nargs, nresults, base);
	call_tracing = outer;
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

struct call_first {
	lua_CFunction fn;
	void *arg;
};

/* The first call of a function in a state, which makes it. */
TF_RAISES static int call_first(lua_State *L)
{
	const struct call_first *call = lua_touserdata(L, 1);
	tf_call_push(L, call->fn);
	lua_pushlightuserdata(L, call->arg);
	lua_call(L, 1, 0);
	return 0;
}

int tf_call_protected(struct lua_State *L, int (*fn)(struct lua_State *L), void *arg, struct tf_err *err)
{
	int status;
	if (lua_checkstack(L, 3) && call_push_made(L, fn)) {
		lua_pushlightuserdata(L, arg);
		status = lua_pcall(L, 1, 0, 0);
	} else {
		/* lua_cpcall needs no memory before it is protected; the stack of L may be full. */
		struct call_first first = {fn, arg};
		status = lua_cpcall(L, call_first, &first);
	}
	if (status == 0)
		return 0;
	const char *text = lua_tostring(L, -1);
	tf_err_set(err, TF_ELUA, "%s", text ? text : "error value is not a string");
	lua_pop(L, 1);
	return TF_ELUA;
}
