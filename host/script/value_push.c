/* JSON to Lua. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/value_job.h"
#include "script/value_lua.h"

TF_RAISES static void value_push64(lua_State *L, bool is_unsigned, uint64_t u)
{
	tf_value_tool_push(L, TF_VALUE_MAKE64);
	lua_pushboolean(L, is_unsigned);
	lua_pushnumber(L, (double)(u >> 32));
	lua_pushnumber(L, (double)(u & 0xffffffffu));
	lua_call(L, 3, 1);
}

TF_RAISES static void value_push_integer(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, struct tf_json v)
{
	int64_t i;
	if (tf_json_int64(v, &i)) {
		if (i >= -(int64_t)TF_VALUE_EXACT && i <= (int64_t)TF_VALUE_EXACT)
			lua_pushnumber(L, (double)i);
		else
			value_push64(L, false, (uint64_t)i);
		return;
	}
	bool negative = v.text[0] == '-';
	size_t digits = v.len - negative;
	char text[24];
	if (!negative && digits <= 20) { /* 2^64 has 20 digits */
		memcpy(text, v.text, digits);
		text[digits] = '\0';
		errno = 0;
		unsigned long long u = strtoull(text, NULL, 10);
		if (errno == 0) {
			value_push64(L, true, u);
			return;
		}
	}
	tf_value_job_refuse(L, job, at, TF_ELIMIT,
		"integer of %zu digits does not fit 64 bits; pass it on unread, or send it as a string",
		digits);
}

TF_RAISES static void value_push_string(lua_State *L, struct tf_value_job *job,
	const struct tf_value_place *at, struct tf_json token, const char *noun)
{
	if (!memchr(token.text, '\\', token.len)) {
		lua_pushlstring(L, token.text + 1, token.len - 2);
		return;
	}
	struct tf_err err;
	job->scratch.len = 0;
	if (tf_json_unescape(token, &job->scratch, &err) < 0)
		tf_value_job_refuse(
			L, job, at, TF_EFORMAT, "%s cannot be a Lua string: %s", noun, err.message);
	lua_pushlstring(L, job->scratch.len ? job->scratch.data : "", job->scratch.len);
}

TF_RAISES static void value_push(lua_State *L, struct tf_value_job *job, const struct tf_value_place *at,
	struct tf_json v, struct tf_json_iter *outer);

/* Leaves `it` at the end of the container. */
TF_RAISES static void value_push_container(
	lua_State *L, struct tf_value_job *job, const struct tf_value_place *at, struct tf_json_iter *it)
{
	if (at->depth >= TF_JSON_MAX_DEPTH)
		tf_value_job_refuse(L, job, at, TF_ELIMIT, "nested deeper than %d", TF_JSON_MAX_DEPTH);
	luaL_checkstack(L, 8, job->what);
	struct tf_value_place in = {.up = at, .depth = at->depth + 1};
	struct tf_json key, val;
	lua_newtable(L); /* table */
	if (it->object) {
		while (tf_json_step(it, &key, &val)) {
			in.key = key.text + 1;
			in.key_len = key.len - 2;
			value_push_string(L, job, &in, key, "key"); /* table, key */
			value_push(L, job, &in, val, it);           /* table, key, value */
			lua_rawset(L, -3);
		}
		return;
	}
	lua_pushvalue(L, job->marker);
	lua_setmetatable(L, -2);
	while (tf_json_step(it, &key, &val)) {
		in.index++;
		if (in.index > INT32_MAX)
			tf_value_job_refuse(L, job, at, TF_ELIMIT, "list too long");
		value_push(L, job, &in, val, it); /* table, value */
		lua_rawseti(L, -2, (int)in.index);
	}
}

/* v is what the last step of `outer` found (NULL: the whole text). Steps read every byte once,
 * however deep it lies. */
TF_RAISES static void value_push(lua_State *L, struct tf_value_job *job, const struct tf_value_place *at,
	struct tf_json v, struct tf_json_iter *outer)
{
	struct tf_json_iter it;
	double d = 0;
	switch (tf_json_type(v)) {
	case TF_JSON_NULL:
		lua_pushlightuserdata(L, NULL);
		return;
	case TF_JSON_TRUE:
	case TF_JSON_FALSE:
		lua_pushboolean(L, tf_json_type(v) == TF_JSON_TRUE);
		return;
	case TF_JSON_INTEGER:
		value_push_integer(L, job, at, v);
		return;
	case TF_JSON_REAL:
		tf_json_double(v, &d);
		lua_pushnumber(L, d);
		return;
	case TF_JSON_STRING:
		value_push_string(L, job, at, v, "string");
		return;
	case TF_JSON_ARRAY:
	case TF_JSON_OBJECT:
		it = outer ? tf_json_enter(outer) : tf_json_iter(v);
		value_push_container(L, job, at, &it);
		if (outer)
			tf_json_leave(outer, &it);
		return;
	}
}

TF_RAISES static int value_decode(lua_State *L)
{
	struct tf_value_job *job = lua_touserdata(L, 1);
	struct tf_value_place root = {0};
	tf_value_tool_push(L, TF_VALUE_MARKER);
	job->marker = lua_gettop(L);
	value_push(L, job, &root, job->json, NULL);
	return 1;
}

int tf_value_lua_push(struct lua_State *L, struct tf_json v, const char *what, struct tf_err *err)
{
	struct tf_value_job job = {.json = v, .what = what, .err = err};
	return tf_value_job_run(L, value_decode, &job, 1);
}
