#include "script/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/err.h"
#include "base/excerpt.h"
#include "base/mem.h"
#include "base/value.h"
#include "protocol/failure.h"
#include "script/call.h"
#include "script/failure_lua.h"
#include "script/sources.h"
#include "script/state.h"
#include "script/value_lua.h"

struct program_arg {
	char *const *argv;
	int argc, script;
};

TF_RAISES static int program_set_arg(lua_State *L)
{
	const struct program_arg *a = lua_touserdata(L, 1);
	lua_newtable(L);
	for (int i = 0; i < a->argc; i++) {
		lua_pushstring(L, a->argv[i]);
		lua_rawseti(L, -2, i - a->script);
	}
	lua_setglobal(L, "arg");
	return 0;
}

void tf_program_set_arg(struct lua_State *L, char *const *argv, int argc, int script)
{
	struct program_arg a = {.argv = argv, .argc = argc, .script = script};
	struct tf_err err;
	TF_ASSERT(tf_call_protected(L, program_set_arg, &a, &err) == 0);
}

void tf_program_excerpt(lua_State *L, const char *message)
{
	struct tf_buf files = TF_BUF_INIT, out = TF_BUF_INIT;
	tf_sources_put(L, &files);
	if (tf_excerpt(message, &files, &out))
		fwrite(out.data, 1, out.len, stderr);
	tf_buf_free(&files);
	tf_buf_free(&out);
}

void tf_program_report(lua_State *L, const struct tf_value *failure)
{
	struct tf_json dict = tf_value_json(failure), text;
	char *summary = NULL;
	/* A plain Lua error says all by itself: its type would only be in the way. */
	if (tf_failure_is(dict, "tfhost.LuaError") && tf_json_get(dict, "exception_str", &text))
		summary = tf_json_strdup(text, NULL);
	if (!summary)
		summary = tf_failure_summary(dict);
	fprintf(stderr, "tfhost: %s\n", summary);
	char *frames = tf_json_get(dict, "traceback_str", &text) ? tf_json_strdup(text, NULL) : NULL;
	char *all = tf_asprintf("%s\n%s", summary, frames ? frames : "");
	tf_program_excerpt(L, all);
	if (frames && *frames)
		fprintf(stderr, "Traceback (most recent call last):\n%s", frames);
	free(all);
	free(frames);
	free(summary);
}

/* Stack: chunk and its arguments. 0 with nresults on the stack. */
static int program_call(lua_State *L, int nargs, int nresults)
{
	struct tf_value *failure;
	int rc = tf_call_catch(L, nargs, nresults, "main chunk", &failure);
	if (rc < 0) {
		fflush(stdout);
		/* error() without a value ends a program without a word, as in lua. */
		if (tf_failure_lua_raised(L)) {
			lua_pop(L, 1);
			tf_program_report(L, failure);
		}
		tf_value_unref(failure);
	}
	return rc;
}

static int program_not_loaded(lua_State *L)
{
	fprintf(stderr, "tfhost: %s\n", lua_tostring(L, -1));
	tf_program_excerpt(L, lua_tostring(L, -1));
	lua_pop(L, 1);
	return TF_ELUA;
}

int tf_program_run_code(struct lua_State *L, const char *code)
{
	if (luaL_loadbuffer(L, code, strlen(code), "=(command line)"))
		return program_not_loaded(L);
	return program_call(L, 0, 0);
}

int tf_program_run_file(struct lua_State *L, char *const *argv, int argc)
{
	const char *file = argv[0];
	const char *slash = strrchr(file, '/');
	char *dir = slash ? tf_strndup(file, slash == file ? 1 : (size_t)(slash - file)) : tf_strdup(".");
	tf_state_add_dir(L, dir);
	free(dir);
	if (luaL_loadfile(L, strcmp(file, "-") ? file : NULL))
		return program_not_loaded(L);
	if (!lua_checkstack(L, argc)) {
		fprintf(stderr, "tfhost: too many arguments\n");
		lua_pop(L, 1);
		return TF_ELUA;
	}
	for (int i = 1; i < argc; i++)
		lua_pushstring(L, argv[i]);
	return program_call(L, argc - 1, 0);
}

struct program_main {
	const char *module;
	const struct tf_value *argument;
};

/* (main) -> integer */
TF_RAISES static int program_main(lua_State *L)
{
	const struct program_main *m = lua_touserdata(L, 1);
	struct tf_err err;
	lua_getglobal(L, "require");
	lua_pushstring(L, m->module);
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "main");
	if (tf_value_lua_push(L, tf_value_json(m->argument), "options", &err) < 0)
		return luaL_error(L, "%s", err.message);
	lua_call(L, 1, 1);
	return 1;
}

int tf_program_run_module(struct lua_State *L, const char *module, const struct tf_value *argument, int *code)
{
	struct program_main m = {.module = module, .argument = argument};
	lua_pushcfunction(L, program_main);
	lua_pushlightuserdata(L, &m);
	int rc = program_call(L, 1, 1);
	if (rc < 0)
		return rc;
	*code = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	return 0;
}
