#include "script/task_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "script/call.h"
#include "script/failure_lua.h"
#include "script/hooks.h"
#include "script/sources.h"
#include "script/state.h"
#include "script/task_action.h"

enum { RUNNER_GC_STEP = 64 }; /* kilobytes of garbage worth a step of collection between two tasks */

struct tf_task_runner {
	struct tf_runner runner;
	lua_State *L;            /* borrowed */
	char *const *references; /* borrowed; NULL: tasks of this state */
	size_t count;
	int collected; /* kilobytes in use after the last step of collection */
	int table;     /* registry reference: wire name -> class, or atom name -> instance */
};

struct runner_load {
	struct tf_task_runner *runner;
	const char *module, *name; /* of the reference; name NULL: every class of the module */
	const char *reference;
	size_t found;
};

/* (is_class, value) -> boolean at the top replaced */
TF_RAISES static bool runner_is_class(lua_State *L, int is_class, int value)
{
	lua_pushvalue(L, is_class);
	lua_pushvalue(L, value);
	lua_call(L, 1, 1);
	bool yes = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return yes;
}

/* (what the reference names, load): adds its classes to the runner's table. */
TF_RAISES static int runner_add(lua_State *L)
{
	struct runner_load *load = lua_touserdata(L, 2);
	tf_hooks_add(L, load->module);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "taskflow.task");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "is_class");
	int is_class = lua_gettop(L);
	lua_rawgeti(L, LUA_REGISTRYINDEX, load->runner->table);
	int table = lua_gettop(L);
	if (load->name) {
		if (!runner_is_class(L, is_class, 1))
			return luaL_error(
				L, "%s is not a Task class but a %s", load->reference, luaL_typename(L, 1));
		lua_pushfstring(L, "%s.%s", load->module, load->name);
		lua_pushvalue(L, 1);
		lua_settable(L, table);
		load->found++;
		return 0;
	}
	if (!lua_istable(L, 1))
		return luaL_error(L, "%s returns a %s, not a table of Task classes", load->reference,
			luaL_typename(L, 1));
	lua_pushnil(L);
	while (lua_next(L, 1)) { /* key, value */
		int value = lua_gettop(L);
		if (lua_type(L, -2) == LUA_TSTRING && *lua_tostring(L, -2) != '_' &&
			runner_is_class(L, is_class, value)) {
			lua_pushfstring(L, "%s.%s", load->module, lua_tostring(L, -2));
			lua_pushvalue(L, value);
			lua_settable(L, table);
			load->found++;
		}
		lua_settop(L, value - 1);
	}
	return 0;
}

static int runner_load_reference(struct tf_task_runner *r, const char *reference, struct tf_err *err)
{
	char *module = NULL, *name = NULL;
	struct runner_load load = {.runner = r, .reference = reference};
	int rc = tf_state_load(r->L, reference, &module, &name, err);
	if (rc < 0)
		return rc;
	load.module = module;
	load.name = name;
	lua_pushcfunction(r->L, runner_add);
	lua_insert(r->L, -2);
	lua_pushlightuserdata(r->L, &load);
	rc = tf_call(r->L, 2, 0, err);
	if (rc == 0 && load.found == 0)
		rc = tf_err_set(err, TF_ENOTFOUND,
			"%s has no Task class: return a table of task.Task{...} from the script", reference);
	free(module);
	free(name);
	return rc;
}

static int runner_name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the runner's table, sorted. */
static char **runner_names(struct tf_task_runner *r)
{
	size_t n = 0, cap = 0;
	char **names = NULL;
	lua_rawgeti(r->L, LUA_REGISTRYINDEX, r->table);
	lua_pushnil(r->L);
	while (lua_next(r->L, -2)) {
		if (n + 1 >= cap) {
			cap = cap ? 2 * cap : 16;
			names = tf_realloc(names, cap * sizeof(*names));
		}
		lua_pop(r->L, 1);
		if (lua_type(r->L, -1) == LUA_TSTRING)
			names[n++] = tf_strdup(lua_tostring(r->L, -1));
	}
	lua_pop(r->L, 1);
	if (!names)
		names = tf_malloc(sizeof(*names));
	names[n] = NULL;
	qsort(names, n, sizeof(*names), runner_name_cmp);
	return names;
}

static int runner_load(void *arg, char ***names, struct tf_err *err)
{
	struct tf_task_runner *r = arg;
	for (size_t i = 0; i < r->count; i++) {
		int rc = runner_load_reference(r, r->references[i], err);
		if (rc < 0)
			return rc;
	}
	*names = runner_names(r);
	return 0;
}

static void runner_sources(void *arg, char ***files, char *hash)
{
	struct tf_task_runner *r = arg;
	*files = tf_sources_list(r->L, hash);
}

struct runner_limits {
	struct tf_task_runner *runner;
	const char *name;
	struct tf_class_limits *out;
};

TF_RAISES static int runner_read_limits(lua_State *L)
{
	const struct runner_limits *r = lua_touserdata(L, 1);
	lua_getglobal(L, "require");
	lua_pushliteral(L, "taskflow.task");
	lua_call(L, 1, 1);
	lua_getfield(L, -1, "class_limits");
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->runner->table);
	lua_getfield(L, -1, r->name);
	lua_remove(L, -2);
	lua_call(L, 1, 3);
	r->out->concurrency = (uint64_t)lua_tonumber(L, -3);
	r->out->arguments = (uint64_t)lua_tonumber(L, -2);
	r->out->result = (uint64_t)lua_tonumber(L, -1);
	return 0;
}

static void runner_class_limits(void *arg, const char *name, struct tf_class_limits *out)
{
	struct tf_task_runner *r = arg;
	struct runner_limits limits = {r, name, out};
	struct tf_err err;
	if (tf_call_protected(r->L, runner_read_limits, &limits, &err) < 0)
		tf_warn("script", "limits of '%s': %s", name, err.message);
}

/* Slots are forks of one state: without this all would draw the same random numbers. */
TF_RAISES static int runner_reseed(lua_State *L)
{
	uint64_t seed;
	while (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		;
	lua_getglobal(L, "math");
	lua_getfield(L, -1, "randomseed");
	lua_pushnumber(L, (double)(seed >> 11));
	lua_call(L, 1, 0);
	return 0;
}

static int runner_slot_start(void *arg, struct tf_err *err)
{
	struct tf_task_runner *r = arg;
	setvbuf(stdout, NULL, _IOLBF, 0); /* a killed slot would take what it printed with it */
	int rc = tf_call_protected(r->L, runner_reseed, NULL, err);
	return rc < 0 ? rc : tf_hooks_setup(r->L, err);
}

static void runner_slot_stop(void *arg)
{
	struct tf_task_runner *r = arg;
	tf_hooks_teardown(r->L);
	fflush(stdout);
}

/* (table, key) -> table[key]; items of maps come to be as they are asked for */
TF_RAISES static int runner_find(lua_State *L)
{
	lua_settop(L, 2);
	lua_gettable(L, 1);
	return 1;
}

/* Push the task that the request names, built anew in a worker; or its failure. */
static struct tf_value *runner_push_task(struct tf_task_runner *r, const struct tf_request *request)
{
	lua_State *L = r->L;
	struct tf_value *failure;
	const char *key = r->references ? request->task_cls : request->task_name;
	lua_pushcfunction(L, runner_find);
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->table);
	lua_pushstring(L, key);
	if (tf_call_catch(L, 2, 1, "find", &failure) < 0)
		return failure;
	if (lua_isnil(L, -1)) {
		struct tf_buf args = TF_BUF_INIT;
		tf_buf_putc(&args, '[');
		tf_json_write_string(&args, key, strlen(key));
		tf_buf_putc(&args, ']');
		char *text = tf_asprintf("'%s'", key);
		struct tf_failure f = {.exception_str = text, .exc_type_names = tf_types_key_error};
		f.exc_args = tf_value_take(&args);
		failure = tf_failure_value(&f);
		tf_value_unref(f.exc_args);
		free(text);
		return failure;
	}
	if (!r->references)
		return NULL;
	lua_newtable(L); /* class, options */
	lua_pushstring(L, request->task_name);
	lua_setfield(L, -2, "name");
	tf_call_catch(L, 1, 1, "new", &failure);
	return failure;
}

/* One run, while it is protected as a whole. */
struct runner_run {
	struct tf_task_runner *runner;
	const struct tf_request *request;
	const struct tf_runner_sink *sink;
	struct tf_value *result;
	bool failed;
};

TF_RAISES static int runner_run_protected(lua_State *L)
{
	struct runner_run *run = lua_touserdata(L, 1);
	run->failed = true;
	run->result = runner_push_task(run->runner, run->request);
	if (!run->result)
		run->result = tf_task_action_perform(L, -1, run->request, run->sink, &run->failed);
	return 0;
}

static struct tf_value *runner_run(
	void *arg, const struct tf_request *request, const struct tf_runner_sink *sink, bool *failed)
{
	struct tf_task_runner *r = arg;
	struct runner_run run = {.runner = r, .request = request, .sink = sink};
	struct tf_err err;
	/* What runs between the protected calls may raise as well: no memory, a finalizer of the script. */
	if (tf_call_protected(r->L, runner_run_protected, &run, &err) < 0) {
		tf_value_unref(run.result);
		run.failed = true;
		run.result = tf_failure_format(tf_types_lua_error, "%s", err.message);
	}
	*failed = run.failed;
	fflush(stdout);
	return run.result;
}

TF_RAISES static int runner_collect(lua_State *L)
{
	struct tf_task_runner *r = lua_touserdata(L, 1);
	int before = r->collected, now = lua_gc(L, LUA_GCCOUNT, 0);
	if (now > before && now - before < RUNNER_GC_STEP)
		return 0;
	lua_gc(L, LUA_GCSTEP, RUNNER_GC_STEP); /* runs finalizers of scripts */
	r->collected = lua_gc(L, LUA_GCCOUNT, 0);
	return 0;
}

static void runner_idle(void *arg)
{
	struct tf_task_runner *r = arg;
	struct tf_err err;
	if (tf_call_protected(r->L, runner_collect, r, &err) < 0)
		tf_warn("script", "collecting garbage: %s", err.message);
}

static struct tf_task_runner *runner_new(lua_State *L)
{
	struct tf_task_runner *r = TF_NEW(struct tf_task_runner);
	r->L = L;
	r->runner = (struct tf_runner){.arg = r,
		.load = runner_load,
		.sources = runner_sources,
		.slot_start = runner_slot_start,
		.slot_stop = runner_slot_stop,
		.run = runner_run,
		.idle = runner_idle};
	return r;
}

struct tf_task_runner *tf_task_runner_new(struct lua_State *L, char *const *references, size_t count)
{
	struct tf_task_runner *r = runner_new(L);
	r->references = references;
	r->count = count;
	r->runner.class_limits = runner_class_limits;
	lua_newtable(L);
	r->table = luaL_ref(L, LUA_REGISTRYINDEX);
	return r;
}

struct tf_task_runner *tf_task_runner_new_tasks(struct lua_State *L, int index)
{
	struct tf_task_runner *r = runner_new(L);
	lua_pushvalue(L, index);
	r->table = luaL_ref(L, LUA_REGISTRYINDEX);
	return r;
}

void tf_task_runner_set_defaults(struct tf_task_runner *r, const struct tf_limits *limits)
{
	r->runner.defaults = *limits;
}

void tf_task_runner_delete(struct tf_task_runner *r)
{
	if (!r)
		return;
	luaL_unref(r->L, LUA_REGISTRYINDEX, r->table);
	free(r);
}

const struct tf_runner *tf_task_runner_get(const struct tf_task_runner *r)
{
	return &r->runner;
}
