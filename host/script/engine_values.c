/* Methods of engines: values that go in and come out, results and failures of atoms among them. */
#include <limits.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/engine_handle.h"
#include "script/value_lua.h"

/* failures() -> list of { atom = name or nil, failure = dict } */
TF_RAISES static int values_failures(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	size_t n = tf_engine_failure_count(h->engine);
	lua_createtable(L, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		struct tf_err err;
		unsigned atom;
		struct tf_value *dict = tf_engine_failure(h->engine, i, &atom);
		lua_newtable(L);
		if (atom != UINT_MAX) {
			lua_pushstring(L, tf_engine_atom_name(h->engine, atom));
			lua_setfield(L, -2, "atom");
		}
		if (tf_value_lua_push(L, tf_value_json(dict), "failure", &err) < 0)
			return luaL_error(L, "%s", err.message);
		lua_setfield(L, -2, "failure");
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

TF_RAISES static int values_fetch(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	const char *symbol = luaL_checkstring(L, 2);
	struct tf_err err;
	struct tf_value *v = tf_engine_fetch(h->engine, symbol, &err);
	return v ? tf_engine_handle_push(L, v, symbol) : tf_bind_fail(L, &err);
}

TF_RAISES static int values_fetch_all(lua_State *L)
{
	return tf_engine_handle_push(L, tf_engine_fetch_all(tf_engine_handle_check(L)->engine), "results");
}

/* fetch_all_text() -> JSON text, numbers as they came */
TF_RAISES static int values_fetch_all_text(lua_State *L)
{
	struct tf_value *v = tf_engine_fetch_all(tf_engine_handle_check(L)->engine);
	lua_pushlstring(L, tf_value_text(v), tf_value_len(v));
	tf_value_unref(v);
	return 1;
}

/* fetch_texts() -> { name = JSON text } */
TF_RAISES static int values_fetch_texts(lua_State *L)
{
	struct tf_value *all = tf_engine_fetch_all(tf_engine_handle_check(L)->engine);
	struct tf_json_iter it = tf_json_iter(tf_value_json(all));
	struct tf_json key, value;
	lua_newtable(L);
	while (tf_json_next(&it, &key, &value)) {
		char *name = tf_json_strdup(key, NULL);
		if (!name)
			continue;
		lua_pushlstring(L, value.text, value.len);
		lua_setfield(L, -2, name);
		free(name);
	}
	tf_value_unref(all);
	return 1;
}

/* result(name, revert) -> value, whether it is a failure dict */
TF_RAISES static int values_result(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	bool failed = false;
	struct tf_err err;
	struct tf_value *v = lua_toboolean(L, 3) ? tf_engine_revert_result(h->engine, atom, &failed, &err)
						 : tf_engine_result(h->engine, atom, &failed, &err);
	if (!v)
		return tf_bind_fail(L, &err);
	int n = tf_engine_handle_push(L, v, "result");
	if (n != 1)
		return n;
	lua_pushboolean(L, failed);
	return 2;
}

/* notified() -> result of the notification that is being delivered, whether it is a failure dict; nothing if
 * there is none */
TF_RAISES static int values_notified(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	if (!h->result)
		return 0;
	int n = tf_engine_handle_push(L, tf_value_ref(h->result), "result");
	if (n != 1)
		return n;
	lua_pushboolean(L, h->result_failed);
	return 2;
}

/* inject(table, transient) */
TF_RAISES static int values_inject(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_err err;
	luaL_checktype(L, 2, LUA_TTABLE);
	struct tf_value *v = tf_value_lua_get(L, 2, "store", &err);
	if (!v)
		return tf_bind_fail(L, &err);
	bool object = tf_json_type(tf_value_json(v)) == TF_JSON_OBJECT;
	if (object)
		tf_engine_inject(h->engine, v, lua_toboolean(L, 3));
	tf_value_unref(v);
	if (!object)
		return luaL_error(L, "the store must be a table from name to value");
	lua_pushboolean(L, 1);
	return 1;
}

/* inject_text(name, JSON text): as inject, for a value that need not have a Lua form */
TF_RAISES static int values_inject_text(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	size_t name_len, len;
	const char *name = luaL_checklstring(L, 2, &name_len), *text = luaL_checklstring(L, 3, &len);
	struct tf_err err;
	if (tf_json_validate(text, len, 0, NULL, &err) < 0)
		return tf_bind_fail(L, &err);
	struct tf_buf object = TF_BUF_INIT;
	tf_buf_putc(&object, '{');
	tf_json_write_string(&object, name, tf_utf8_valid_len(name, name_len));
	tf_buf_puts(&object, ": ");
	tf_buf_append(&object, text, len);
	tf_buf_putc(&object, '}');
	struct tf_value *v = tf_value_take(&object);
	tf_engine_inject(h->engine, v, false);
	tf_value_unref(v);
	lua_pushboolean(L, 1);
	return 1;
}

const struct luaL_Reg tf_engine_values_methods[] = {
	{"failures", values_failures},
	{"fetch", values_fetch},
	{"fetch_all", values_fetch_all},
	{"fetch_all_text", values_fetch_all_text},
	{"fetch_texts", values_fetch_texts},
	{"result", values_result},
	{"notified", values_notified},
	{"inject", values_inject},
	{"inject_text", values_inject_text},
	{NULL, NULL},
};
