/* A Lua state: where modules come from, what a reference loads, errors that pass the gate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include <lauxlib.h>
#include <lua.h>

#include "base/mem.h"
#include "script/call.h"
#include "script/state.h"

struct fixture {
	char dir[40];
	char *before; /* working directory */
	lua_State *L;
};

static void put(const struct fixture *f, const char *name, const char *text)
{
	char path[200];
	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	for (char *slash = strchr(path + strlen(f->dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* The tests work in a directory of their own. */
static int setup(void **state)
{
	struct fixture *f = TF_NEW(struct fixture);
	struct tf_err err;
	snprintf(f->dir, sizeof(f->dir), "/tmp/tf-state-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->before = getcwd(NULL, 0);
	assert_int_equal(chdir(f->dir), 0);
	unsetenv("TFHOST_LUA_DIR");
	if (tf_state_new(NULL, &f->L, &err) < 0)
		fail_msg("%s", err.message);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char *command = tf_asprintf("rm -r %s", f->dir);
	assert_int_equal(lua_gettop(f->L), 0);
	tf_state_delete(f->L);
	assert_int_equal(chdir(f->before), 0);
	assert_int_equal(system(command), 0);
	free(command);
	free(f->before);
	free(f);
	return 0;
}

/* The value of a chunk as text. */
static char *eval(lua_State *L, const char *chunk)
{
	struct tf_err err;
	if (luaL_loadstring(L, chunk))
		fail_msg("%s", lua_tostring(L, -1));
	if (tf_call(L, 0, 1, &err) < 0)
		return tf_strdup(err.message);
	char *text = tf_strdup(lua_tostring(L, -1));
	lua_pop(L, 1);
	return text;
}

static void assert_eval(struct fixture *f, const char *chunk, const char *expected)
{
	char *text = eval(f->L, chunk);
	if (!text || !strstr(text, expected))
		fail_msg("%s: %s", chunk, text ? text : "(nil)");
	free(text);
}

static void library_comes_first(void **state)
{
	struct fixture *f = *state;
	put(f, "taskflow.lua", "return 'shadow'");
	put(f, "taskflow/task.lua", "return 'shadow'");
	put(f, "taskflow/mine.lua", "return 'mine'");
	assert_eval(f, "return type(require 'taskflow')", "table");
	assert_eval(f, "return type(require('taskflow.task').Task)", "function");
	assert_eval(f, "return require 'taskflow.mine'", "mine"); /* not the library's: the user's own */
	assert_eval(f, "return package.cpath:match('^%.') or package.cpath:match(';%.') or 'none'", "none");
}

static void source_tree_before_embedded(void **state)
{
	struct fixture *f = *state;
	struct tf_err err;
	lua_State *L;
	put(f, "tree/taskflow/task.lua", "return { from = 'tree' }");
	put(f, "tree/taskflow/deep/init.lua", "return 'deep'");
	for (int by_environment = 0; by_environment < 2; by_environment++) {
		struct tf_state_options options = {.lua_dir = by_environment ? NULL : "tree"};
		if (by_environment)
			setenv("TFHOST_LUA_DIR", "tree", 1);
		assert_int_equal(tf_state_new(&options, &L, &err), 0);
		char *text = eval(L, "return require('taskflow.task').from .. require('taskflow.deep') .. "
				     "type(require('taskflow.states'))");
		assert_string_equal(text, "treedeeptable");
		free(text);
		tf_state_delete(L);
	}
	unsetenv("TFHOST_LUA_DIR");
}

static void user_modules(void **state)
{
	struct fixture *f = *state;
	put(f, "here.lua", "return 'here'");
	put(f, "pack/init.lua", "return 'pack'");
	put(f, "pack/sub.lua", "return ...");
	put(f, "other/here.lua", "return 'other'");
	put(f, "other/beside.lua", "return 'beside'");
	assert_eval(f, "return require 'here'", "here");
	assert_eval(f, "return require 'pack' .. require 'pack.sub'", "packpack.sub");
	assert_eval(f, "package.loaded.here = nil return 1", "1");
	tf_state_add_dir(f->L, "other");
	tf_state_add_dir(f->L, "other");
	tf_state_add_dir(f->L, "odd;?");
	assert_eval(f, "return require 'here' .. require 'beside'", "otherbeside");
	assert_eval(f, "return select(2, package.path:gsub('other/%?%.lua', '')) .. ' times'", "1 times");
}

static void load(struct fixture *f, const char *reference, const char *module, const char *name, int type)
{
	struct tf_err err;
	char *got_module = NULL, *got_name = NULL;
	if (tf_state_load(f->L, reference, &got_module, &got_name, &err) < 0)
		fail_msg("%s: %s", reference, err.message);
	assert_int_equal(lua_type(f->L, -1), type);
	assert_string_equal(got_module, module);
	if (name)
		assert_string_equal(got_name, name);
	else
		assert_null(got_name);
	free(got_module);
	free(got_name);
	lua_pop(f->L, 1);
	assert_int_equal(lua_gettop(f->L), 0);
}

static void references(void **state)
{
	struct fixture *f = *state;
	put(f, "a.lua", "n = (n or 0) + 1 return { x = 1, me = (...) }");
	put(f, "pack/b.lua", "return { y = {}, c = require 'c' }");
	put(f, "pack/c.lua", "return { back = pcall(require, 'b') }"); /* requires its requirer */
	put(f, "pack/one.two.lua", "return 3");
	load(f, "a.lua", "a", NULL, LUA_TTABLE);
	load(f, "./a.lua:x", "a", "x", LUA_TNUMBER);
	load(f, "a:me", "a", "me", LUA_TSTRING);
	load(f, "a", "a", NULL, LUA_TTABLE);
	assert_eval(f, "return n .. require('a').me", "1a"); /* run once, however it is named */
	load(f, "pack/b.lua:y", "b", "y", LUA_TTABLE);
	assert_eval(f, "return tostring(require('b').c.back)", "false"); /* a loop is an error, not endless */
	load(f, "pack/one.two.lua", "one.two", NULL, LUA_TNUMBER);
	load(f, "pack.b", "pack.b", NULL, LUA_TTABLE);
}

TF_RAISES static int raise_from_c(lua_State *L)
{
	return luaL_error(L, "from C %d", *(int *)lua_touserdata(L, 1));
}

static void the_gate(void **state)
{
	struct fixture *f = *state;
	struct tf_err err;
	struct tf_value *failure;
	int seven = 7;
	assert_int_equal(tf_call_protected(f->L, raise_from_c, &seven, &err), TF_ELUA);
	assert_string_equal(err.message, "from C 7");
	lua_pushliteral(f->L, "below");
	assert_eval(
		f, "error({ exc_type_names = { 'KeyError', 'Exception' }, message = 'k' })", "KeyError: k");
	assert_eval(f, "error('plain', 0)", "plain");
	assert_eval(f, "local function f() return f() + 1 end return f()", "stack overflow");
	/* an error while an error is handled */
	assert_eval(f, "error(setmetatable({}, { __tostring = function() error('again') end }))",
		"cannot be read");
	assert_int_equal(luaL_loadstring(f->L, "local a, b = ... return a + b, a * b"), 0);
	lua_pushinteger(f->L, 3);
	lua_pushinteger(f->L, 4);
	assert_int_equal(tf_call_catch(f->L, 2, 2, "sum", &failure), 0);
	assert_null(failure);
	assert_int_equal(lua_tointeger(f->L, -2), 7);
	assert_int_equal(lua_tointeger(f->L, -1), 12);
	lua_pop(f->L, 2);
	assert_string_equal(lua_tostring(f->L, -1), "below");
	lua_pop(f->L, 1);
}

/* What LuaJIT compiles wrongly it is not given; all else is compiled, and loops do what they did. */
static void traversal(void **state)
{
	struct fixture *f = *state;
	assert_eval(f,
		"local info = require('jit.util').funcinfo\n"
		"return info(next).ffid == info(require).ffid and info((pairs {})).ffid == "
		"info(require).ffid "
		"and info(ipairs).ffid ~= info(require).ffid and 'C functions'",
		"C functions");
	assert_eval(f,
		"local t, n = { 1, 2, nil, 4 }, 0\n"
		"for i = 1, 100 do t['k' .. i] = i end\n"
		"for _ = 1, 200 do for _, v in pairs(t) do n = n + v end end\n"
		"for k, v in next, t do t[k] = nil n = n + v end\n"
		"assert(require('jit.util').traceinfo(1), 'nothing was compiled')\n"
		"return next(t) == nil and tostring(n)",
		"1016457");
	assert_eval(f, "pairs(nil)", "bad argument #1 to 'pairs' (table expected, got nil)");
	assert_eval(f, "next({}, 1)", "invalid key to 'next'");
	assert_eval(f, "return select('#', next({})) .. tostring(next({}))", "1nil");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {T(library_comes_first), T(source_tree_before_embedded),
		T(user_modules), T(references), T(the_gate), T(traversal)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
