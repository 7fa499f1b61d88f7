/* Values between JSON text and Lua. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test/cmocka_all.h"

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/call.h"
#include "script/state.h"
#include "script/value_lua.h"

static int setup(void **state)
{
	lua_State *L;
	struct tf_err err;
	if (tf_state_new(NULL, &L, &err) < 0)
		fail_msg("%s", err.message);
	*state = L;
	return 0;
}

static int teardown(void **state)
{
	lua_State *L = *state;
	assert_int_equal(lua_gettop(L), 0);
	tf_state_delete(L);
	return 0;
}

static int push(lua_State *L, const char *text, struct tf_err *err)
{
	struct tf_json v;
	int rc = tf_json_validate(text, strlen(text), 4096, &v, err);
	if (rc < 0)
		fail_msg("%s: %s", text, err->message);
	return tf_value_lua_push(L, v, "result", err);
}

/* Evaluate a Lua expression to the top of the stack. */
static void eval(lua_State *L, const char *expression)
{
	struct tf_err err;
	char *chunk = tf_asprintf("local values = require 'taskflow.values' return %s", expression);
	if (luaL_loadstring(L, chunk))
		fail_msg("%s", lua_tostring(L, -1));
	if (tf_call(L, 0, 1, &err) < 0)
		fail_msg("%s: %s", chunk, err.message);
	free(chunk);
}

static void roundtrip(void **state)
{
	lua_State *L = *state;
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"null", "null"},
		{"true", "true"},
		{"[false]", "[false]"},
		{"[]", "[]"},
		{"{}", "{}"},
		{"[[], {}, [null]]", "[[], {}, [null]]"},
		{"0", "0"},
		{"-0.0", "-0.0"},
		{"-17", "-17"},
		{"9007199254740991", "9007199254740991"},
		{"9007199254740992", "9007199254740992"},
		{"9007199254740993", "9007199254740993"},
		{"-9007199254740993", "-9007199254740993"},
		{"9223372036854775807", "9223372036854775807"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"9223372036854775808", "9223372036854775808"},
		{"18446744073709551615", "18446744073709551615"},
		{"0.1", "0.1"},
		{"1.5e300", "1.5e+300"},
		{"NaN", "NaN"},
		{"Infinity", "Infinity"},
		{"-Infinity", "-Infinity"},
		{"\"a\\u0000b\"", "\"a\\u0000b\""},
		{"\"\\ud83d\\ude00 \xc3\xa9\"", "\"\\ud83d\\ude00 \\u00e9\""},
		{"{\"b\": 1, \"a\": [1, {\"z\": 0, \"y\": 0}]}",
			"{\"a\": [1, {\"y\": 0, \"z\": 0}], \"b\": 1}"},
		{"{\"k\": 1, \"k\": 2}", "{\"k\": 2}"},
		{"{\"a\\u0000\": 1, \"a\": 2, \"\": 3}", "{\"\": 3, \"a\": 2, \"a\\u0000\": 1}"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tf_err err;
		struct tf_buf out = TF_BUF_INIT;
		if (push(L, rows[i].in, &err) < 0)
			fail_msg("%s: %s", rows[i].in, err.message);
		if (tf_value_lua_write(L, -1, "result", &out, &err) < 0)
			fail_msg("%s: %s", rows[i].in, err.message);
		assert_string_equal(out.data, rows[i].out);
		tf_buf_free(&out);
		lua_pop(L, 1);
	}
}

static void encodes_lua(void **state)
{
	lua_State *L = *state;
	static const struct {
		const char *expression, *out;
	} rows[] = {
		{"nil", "null"},
		{"values.null", "null"},
		{"{1, 2, 3}", "[1, 2, 3]"},
		{"values.list{}", "[]"},
		{"values.list{1}", "[1]"},
		{"{}", "{}"},
		{"{values.null, 2}", "[null, 2]"},
		{"1e15", "1000000000000000"},
		{"2^53", "9007199254740992"},
		{"2^53 + 2", "9007199254740994.0"},
		{"1/3", "0.3333333333333333"},
		{"values.int64('9223372036854775807')", "9223372036854775807"},
		{"values.int64(2^60)", "1152921504606846976"},
		{"values.int64(5)", "5"},
		{"{[2] = 'b', [1] = 'a'}", "[\"a\", \"b\"]"},
		{"setmetatable({a = 1}, {__index = error, __pairs = error})", "{\"a\": 1}"},
		{"values.decode(values.encode{x = {values.list{}}})", "{\"x\": [[]]}"},
		{"0/0 ~= 0/0", "true"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tf_err err;
		eval(L, rows[i].expression);
		struct tf_value *v = tf_value_lua_get(L, -1, "result", &err);
		if (!v)
			fail_msg("%s: %s", rows[i].expression, err.message);
		/* a real out of the exact range is Python's own text, which the writer's test covers */
		if (strcmp(rows[i].expression, "2^53 + 2"))
			assert_string_equal(tf_value_text(v), rows[i].out);
		else
			assert_int_equal(tf_json_type(tf_value_json(v)), TF_JSON_REAL);
		tf_value_unref(v);
		lua_pop(L, 1);
	}
}

static void refuses_with_path(void **state)
{
	lua_State *L = *state;
	static const struct {
		const char *expression, *story;
	} rows[] = {
		{"print", "result: a function cannot"},
		{"{a = {b = {print}}}", "result.a.b[1]: a function cannot"},
		{"{a = io.stdout}", "result.a: a userdata cannot"},
		{"coroutine.create(print)", "result: a thread cannot"},
		{"{1, 2, x = 3}", "key \"x\""},
		{"{1, nil, 3}", "hole at [2]"},
		{"{[0] = 1}", "table key"},
		{"{[1.5] = 1}", "fractional"},
		{"{[true] = 1}", "boolean"},
		{"values.list{x = 1}", "key \"x\""},
		{"{['a b'] = {'\\255'}}", "result[\"a b\"][1]: string is not valid UTF-8 at byte 1"},
		{"{['\\255'] = 1}", "key is not valid UTF-8"},
		{"(function() local t = {} t.me = {t} return t end)()",
			"result.me[1]: a table that contains itself"},
		{"require('ffi').new('int[3]')", "cdata"},
		{"require('ffi').new('int')", "cdata"},
		{"(function() local t = {} for _ = 1, 200 do t = {t} end return t end)()", "deeper than 112"},
		{"(function() local t = {'xxxxxxxxxx'} for _ = 1, 60 do t = {t, t} end return t end)()",
			"larger than"},
		{"(function() local t = {} t[1] = 1 t[2^40] = 1 return t end)()", "hole at [2]"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tf_err err;
		struct tf_buf out = TF_BUF_INIT;
		tf_buf_puts(&out, "kept");
		eval(L, rows[i].expression);
		int rc = tf_value_lua_write(L, -1, "result", &out, &err);
		if (rc == 0 || !strstr(err.message, rows[i].story))
			fail_msg("%s: %s", rows[i].expression, rc == 0 ? out.data : err.message);
		assert_true(rc == TF_EINVAL || rc == TF_ELIMIT);
		assert_string_equal(out.data, "kept");
		tf_buf_free(&out);
		lua_pop(L, 1);
	}
}

static void refuses_json(void **state)
{
	lua_State *L = *state;
	struct tf_err err;
	assert_int_equal(push(L, "{\"x\": [0, 18446744073709551616]}", &err), TF_ELIMIT);
	assert_string_equal(err.message, "result.x[2]: integer of 20 digits does not fit 64 bits; pass it on "
					 "unread, or send it as a string");
	assert_int_equal(push(L, "-9223372036854775809", &err), TF_ELIMIT);
	assert_non_null(strstr(err.message, "19 digits"));
	assert_int_equal(push(L, "{\"x\": \"\\ud800\"}", &err), TF_EFORMAT);
	assert_non_null(strstr(err.message, "result.x:"));
	assert_int_equal(push(L, "{\"\\udc00\": 1}", &err), TF_EFORMAT);
	char deep[600];
	memset(deep, '[', 300);
	memset(deep + 300, ']', 300);
	char *text = tf_strndup(deep, 600);
	assert_int_equal(push(L, text, &err), TF_ELIMIT);
	free(text);
	assert_int_equal(lua_gettop(L), 0);
}

/* One megabyte strings, nested: not quadratic in the depth that scripts use. */
static void large(void **state)
{
	lua_State *L = *state;
	struct tf_err err;
	eval(L, "(function() local t = string.rep('\xc3\xa9x', 500000) for i = 1, 40 do t = {b = t, a = i} "
		"end return t end)()");
	struct tf_value *v = tf_value_lua_get(L, -1, "result", &err);
	assert_non_null(v);
	assert_int_equal(tf_value_lua_push(L, tf_value_json(v), "again", &err), 0);
	struct tf_value *again = tf_value_lua_get(L, -1, "result", &err);
	assert_true(tf_value_len(v) > 3000000);
	assert_string_equal(tf_value_text(v), tf_value_text(again));
	tf_value_unref(v);
	tf_value_unref(again);
	lua_pop(L, 2);
}

static void full_stack(void **state)
{
	lua_State *L = *state;
	struct tf_err err;
	int n = 0;
	while (lua_checkstack(L, 1) && n < 1000000) {
		lua_pushnil(L);
		n++;
	}
	struct tf_json one = {"[1]", 3};
	assert_int_equal(tf_value_lua_push(L, one, "x", &err), TF_ELUA);
	lua_settop(L, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(roundtrip, setup, teardown),
		cmocka_unit_test_setup_teardown(encodes_lua, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_with_path, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_json, setup, teardown),
		cmocka_unit_test_setup_teardown(large, setup, teardown),
		cmocka_unit_test_setup_teardown(full_stack, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
