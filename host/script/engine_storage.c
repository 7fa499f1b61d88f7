#include <limits.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/engine_handle.h"
#include "script/value_lua.h"

/* The object at `index`, or nil, message, code: *pushed is 3 then. */
TF_RAISES static struct tf_value *storage_object(lua_State *L, int index, const char *what, int *pushed)
{
	struct tf_err err;
	luaL_checktype(L, index, LUA_TTABLE);
	struct tf_value *v = tf_value_lua_get(L, index, what, &err);
	if (v && tf_json_type(tf_value_json(v)) != TF_JSON_OBJECT) {
		tf_value_unref(v);
		v = NULL;
		tf_err_set(&err, TF_EINVAL, "%s must be a table from name to value", what);
	}
	*pushed = v ? 0 : tf_bind_fail(L, &err);
	return v;
}

/* fetch_list(name) -> the values of all providers */
TF_RAISES static int storage_fetch_list(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	const char *symbol = luaL_checkstring(L, 2);
	struct tf_err err;
	struct tf_value *v = tf_engine_fetch_list(h->engine, symbol, &err);
	return v ? tf_engine_handle_push(L, v, symbol) : tf_bind_fail(L, &err);
}

/* inject_atom(name, table, transient) -> true */
TF_RAISES static int storage_inject_atom(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	int pushed;
	struct tf_value *v = storage_object(L, 3, "inject_atom_args", &pushed);
	if (!v)
		return pushed;
	tf_engine_inject_atom(h->engine, atom, v, lua_toboolean(L, 4));
	tf_value_unref(v);
	lua_pushboolean(L, 1);
	return 1;
}

/* The list of { param, symbol, optional } at `index`, as userdata on the stack. */
TF_RAISES static struct tf_binding *storage_bindings(lua_State *L, int index, size_t *count)
{
	luaL_checktype(L, index, LUA_TTABLE);
	*count = lua_objlen(L, index);
	struct tf_binding *out = lua_newuserdata(L, (*count + 1) * sizeof(*out));
	for (size_t i = 0; i < *count; i++) {
		lua_rawgeti(L, index, (int)i + 1);
		int at = lua_gettop(L);
		out[i] = (struct tf_binding){
			.param = tf_bind_string(L, at, "param"),
			.symbol = tf_bind_string(L, at, "symbol"),
			.optional = tf_bind_boolean(L, at, "optional"),
		};
		lua_pop(L, 1);
	}
	return out;
}

/* mapped(name or nil, bindings) -> values by parameter */
TF_RAISES static int storage_mapped(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = lua_isnil(L, 2) ? UINT_MAX : tf_engine_handle_atom(L, h, 2);
	size_t count;
	struct tf_err err;
	struct tf_binding *bindings = storage_bindings(L, 3, &count);
	struct tf_value *v = tf_engine_mapped(h->engine, atom, bindings, count, &err);
	return v ? tf_engine_handle_push(L, v, "arguments") : tf_bind_fail(L, &err);
}

/* unsatisfied(name, bindings) -> list of parameters */
TF_RAISES static int storage_unsatisfied(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	size_t count;
	int n = 0;
	struct tf_binding *bindings = storage_bindings(L, 3, &count);
	lua_newtable(L);
	for (size_t i = 0; i < count; i++) {
		if (tf_engine_satisfied(h->engine, atom, &bindings[i]))
			continue;
		lua_pushstring(L, bindings[i].param);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* failures_by_name(revert) -> failure dicts by name */
TF_RAISES static int storage_failures(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	return tf_engine_handle_push(L, tf_engine_failures(h->engine, lua_toboolean(L, 2)), "failures");
}

/* history(name) -> list of { value, failure dicts by name }, the retry's own failure dict or nil; nothing if it is no
 * retry */
TF_RAISES static int storage_history(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	struct tf_value *own;
	if (atom >= tf_graph_atom_count(h->graph) || !tf_graph_atom_is_retry(h->graph, atom))
		return 0;
	int n = tf_engine_handle_push(L, tf_engine_history(h->engine, atom, &own), "history");
	if (n != 1 || !own)
		return n;
	n = tf_engine_handle_push(L, tf_value_ref(own), "failure");
	return n == 1 ? 2 : n;
}

/* set_progress(name, progress, details or nil) -> true */
TF_RAISES static int storage_set_progress(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	double progress = luaL_checknumber(L, 3);
	struct tf_value *details = NULL;
	int pushed;
	if (!lua_isnoneornil(L, 4)) {
		details = storage_object(L, 4, "progress details", &pushed);
		if (!details)
			return pushed;
	}
	tf_engine_set_progress(h->engine, atom, progress, details);
	tf_value_unref(details);
	lua_pushboolean(L, 1);
	return 1;
}

/* progress_details(name) -> table, or nothing */
TF_RAISES static int storage_progress_details(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_value *v = tf_engine_progress_details(h->engine, tf_engine_handle_atom(L, h, 2));
	return v ? tf_engine_handle_push(L, v, "progress details") : 0;
}

/* update_metadata(name, table) -> true */
TF_RAISES static int storage_update_metadata(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	int pushed;
	struct tf_value *v = storage_object(L, 3, "metadata", &pushed);
	if (!v)
		return pushed;
	tf_engine_update_metadata(h->engine, atom, v);
	tf_value_unref(v);
	lua_pushboolean(L, 1);
	return 1;
}

/* metadata(name) -> table */
TF_RAISES static int storage_metadata(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_value *v = tf_engine_metadata(h->engine, tf_engine_handle_atom(L, h, 2));
	return tf_engine_handle_push(L, v, "metadata");
}

/* reset_atom(name) -> true */
TF_RAISES static int storage_reset_atom(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_err err;
	if (tf_engine_reset_atom(h->engine, tf_engine_handle_atom(L, h, 2), &err) < 0)
		return tf_bind_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

const struct luaL_Reg tf_engine_storage_methods[] = {
	{"fetch_list", storage_fetch_list},
	{"inject_atom", storage_inject_atom},
	{"mapped", storage_mapped},
	{"unsatisfied", storage_unsatisfied},
	{"failures_by_name", storage_failures},
	{"history", storage_history},
	{"set_progress", storage_set_progress},
	{"progress_details", storage_progress_details},
	{"update_metadata", storage_update_metadata},
	{"metadata", storage_metadata},
	{"reset_atom", storage_reset_atom},
	{NULL, NULL},
};
