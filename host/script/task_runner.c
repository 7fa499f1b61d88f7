#include "script/task_runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "script/bind.h"
#include "script/call.h"
#include "script/failure_lua.h"
#include "script/hooks.h"
#include "script/memory_guard.h"
#include "script/sources.h"
#include "script/state.h"
#include "script/task_arguments.h"
#include "script/value_lua.h"

enum { RUNNER_GC_STEP = 64 }; /* kilobytes of garbage worth a step of collection between two tasks */

struct tf_task_runner {
	struct tf_runner runner;
	lua_State *L;            /* borrowed */
	char *const *references; /* borrowed; NULL: tasks of this state */
	size_t count;
	int collected; /* kilobytes in use after the last step of collection */
	int table;     /* registry reference: wire name -> class, or atom name -> instance */
};

/* ---- one action ---- */

enum hook { PRE_EXECUTE, POST_EXECUTE, PRE_REVERT, POST_REVERT, HOOKS };
static const char *const hook_names[HOOKS] = {"pre_execute", "post_execute", "pre_revert", "post_revert"};

/* What all tasks of a class share that say no more than their name. */
struct perform_class {
	bool has[HOOKS];
	bool bare; /* execute takes no arguments */
	struct tf_limits limits;
};
/* Keys of the metatable that such tasks share: struct perform_class, and `execute`. */
enum { CLASS_FACTS = 1, CLASS_EXECUTE = 2 };

struct perform {
	struct tf_task_arguments arguments; /* first: tf_task_arguments gets the address of both */
	const struct tf_runner_sink *sink;
	const struct perform_class *class; /* NULL: the task says more than its name */
	const void *task;                  /* its table */
	struct perform *outer;
	struct tf_value *result;
	bool failed;
};

/* The actions that are under way, the innermost first: a task may run an engine of its own. */
static struct perform *performing;

TF_RAISES int tf_task_runner_notify(lua_State *L)
{
	const void *task = lua_topointer(L, 1);
	const char *type = luaL_checkstring(L, 2);
	struct tf_err err;
	const struct perform *p = performing;
	while (p && p->task != task)
		p = p->outer;
	lua_pushboolean(L, p != NULL);
	if (!p)
		return 1;
	const struct tf_runner_sink *sink = p->sink;
	if (!lua_istable(L, 3) || tf_value_lua_is_list(L, 3))
		tf_bind_raise(
			L, "TypeError", "the details of event '%s' must be a table with string keys", type);
	struct tf_value *details = tf_value_lua_get(L, 3, "details", &err);
	if (!details)
		tf_bind_raise(L, "TypeError", "event '%s': %s", type, err.message);
	bool is_object = tf_json_type(tf_value_json(details)) == TF_JSON_OBJECT;
	if (is_object && sink->event)
		sink->event(sink->arg, type, details);
	tf_value_unref(details);
	if (!is_object)
		tf_bind_raise(
			L, "TypeError", "the details of event '%s' must be a table with string keys", type);
	return 1;
}

/* The field of the task at index `task`, a number of those units. */
TF_RAISES static uint64_t perform_limit(lua_State *L, int task, const char *name, double units)
{
	tf_task_field(L, task, name);
	double n = lua_tonumber(L, -1) * units;
	lua_pop(L, 1);
	return n >= 1 && n < 1e18 ? (uint64_t)n : 0;
}

/* Of the one task that a slot runs; not on the stack, for the state refers to it even when something raises. */
static struct tf_memory_guard perform_guard;

static void perform_guard_begin(lua_State *L, uint64_t limit, const struct tf_runner_sink *sink)
{
	static struct tf_memory_guard_events events;
	events = (struct tf_memory_guard_events){.breach = sink->breach, .refused = sink->refused};
	tf_memory_guard_begin(&perform_guard, L, limit, &events, sink->arg);
}

/* Task and supervisor are told when it has to end. */
TF_RAISES static void perform_tell_limits(
	lua_State *L, int task, const struct tf_limits *l, const struct tf_runner_sink *sink)
{
	lua_pushliteral(L, "_limits"); /* "_limits", { began, time, warning } */
	lua_createtable(L, 3, 0);
	lua_pushnumber(L, (double)tf_clock_ms(&tf_clock_real) / 1000);
	lua_rawseti(L, -2, 1);
	lua_pushnumber(L, (double)l->time_ms / 1000);
	lua_rawseti(L, -2, 2);
	lua_pushnumber(L, (double)l->warning_ms / 1000);
	lua_rawseti(L, -2, 3);
	lua_rawset(L, task);
	if (sink->limits)
		sink->limits(sink->arg, l);
}

TF_RAISES static struct tf_limits perform_own_limits(lua_State *L, int task)
{
	return (struct tf_limits){.time_ms = perform_limit(L, task, "time_limit", 1000),
		.warning_ms = perform_limit(L, task, "time_warning", 1000),
		.memory = perform_limit(L, task, "memory_limit", 1)};
}

/* What the request leaves open, the task says. */
TF_RAISES static void perform_limits(lua_State *L, int task, const struct perform_class *class,
	const struct tf_request *r, const struct tf_runner_sink *sink)
{
	struct tf_limits l = r->limits;
	const struct tf_limits own = class ? class->limits : perform_own_limits(L, task);
	tf_limits_fill(&l, &own);
	if (sink->defaults)
		tf_limits_fill(&l, sink->defaults);
	if (l.time_ms && l.warning_ms >= l.time_ms)
		l.warning_ms = 0;
	if (tf_limits_any(&l))
		perform_tell_limits(L, task, &l, sink);
	if (sink->limits && (l.memory || tf_memory_guard_is_useful()))
		perform_guard_begin(L, l.memory, sink);
}

TF_RAISES static bool perform_has(lua_State *L, int task, const char *name)
{
	tf_task_field(L, task, name);
	bool has = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return has;
}

/* Stack: metatable of the task's class at the top, which keeps what is found out. */
TF_RAISES static const struct perform_class *perform_learn_class(lua_State *L, int task)
{
	int meta = lua_gettop(L);
	struct perform_class *class = lua_newuserdata(L, sizeof(*class));
	*class = (struct perform_class){.limits = perform_own_limits(L, task)};
	for (int hook = 0; hook < HOOKS; hook++)
		class->has[hook] = perform_has(L, task, hook_names[hook]);
	tf_task_field(L, task, "execute"); /* class, function */
	class->bare = !tf_task_takes_arguments(L, lua_gettop(L));
	lua_rawseti(L, meta, CLASS_EXECUTE);
	lua_rawseti(L, meta, CLASS_FACTS);
	return class;
}

/* NULL if the task at that index says more than its name. Valid while the task is. */
TF_RAISES static const struct perform_class *perform_class_of(lua_State *L, int task)
{
	const struct perform_class *class = NULL;
	if (!lua_getmetatable(L, task))
		return NULL;
	lua_rawgeti(L, -1, CLASS_FACTS); /* metatable, facts */
	class = lua_touserdata(L, -1);
	lua_pop(L, 1);
	if (!class) {
		lua_pushliteral(L, "example");
		lua_rawget(L, -2);
		bool plain = !lua_isnil(L, -1);
		lua_pop(L, 1);
		class = plain ? perform_learn_class(L, task) : NULL;
	}
	lua_pop(L, 1);
	return class;
}

/* Call that function of the task at index 1, if it has one; the failure of that, or NULL. */
TF_RAISES static struct tf_value *perform_call_hook(lua_State *L, const struct perform *p, enum hook hook)
{
	struct tf_value *failure = NULL;
	const char *name = hook_names[hook];
	if (p->class && !p->class->has[hook])
		return NULL;
	tf_task_field(L, 1, name);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return NULL;
	}
	lua_pushvalue(L, 1);
	tf_call_catch(L, 1, 0, name, &failure);
	return failure;
}

/* Push function and arguments of the action, (task, perform) at 1 and 2: how many; 0 if there is nothing to call, and
 * *failure is the failure if that is one. */
TF_RAISES static int perform_push_call(lua_State *L, struct perform *p, struct tf_value **failure)
{
	const struct tf_request *r = p->arguments.request;
	int top = lua_gettop(L);
	*failure = NULL;
	if (p->class && p->class->bare && r->action == TF_EXECUTE && !r->has_result && !r->failures &&
		tf_value_len(r->arguments) == strlen("{}")) {
		lua_getmetatable(L, 1);
		lua_rawgeti(L, -1, CLASS_EXECUTE);
		lua_replace(L, -2);
		lua_pushvalue(L, 1);
		return 2;
	}
	tf_call_push(L, tf_task_arguments);
	lua_pushvalue(L, 1);
	lua_pushvalue(L, 2);
	if (tf_call_catch(L, 2, LUA_MULTRET, tf_action_name(r->action), failure) < 0)
		return 0;
	*failure = p->arguments.failure;
	p->arguments.failure = NULL;
	return lua_gettop(L) - top;
}

/* The action itself: the failure, or NULL with the returned value in p->result. (task, perform) at 1 and 2. */
TF_RAISES static struct tf_value *perform_call_action(lua_State *L, struct perform *p)
{
	struct tf_value *failure;
	int top = lua_gettop(L), count = perform_push_call(L, p, &failure);
	if (count == 0) {
		p->result = failure ? NULL : tf_value_null();
		return failure;
	}
	if (tf_call_catch(L, count - 1, 1, tf_action_name(p->arguments.request->action), &failure) < 0)
		return failure;
	struct tf_err err;
	p->result = lua_isnil(L, -1) ? tf_value_null() : tf_value_lua_get(L, -1, "result", &err);
	lua_settop(L, top);
	return p->result ? NULL : tf_failure_format(tf_types_type_error, "%s", err.message);
}

/* `later` was raised while `earlier` was handled: it wins, with the other among its causes, as in Python. */
static struct tf_value *perform_chain(struct tf_value *later, struct tf_value *earlier)
{
	static const char *const keys[] = {
		"exception_str", "traceback_str", "exc_type_names", "version", "exc_args"};
	struct tf_json v, causes;
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_putc(&b, '{');
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!tf_json_get(tf_value_json(later), keys[i], &v))
			continue;
		tf_buf_printf(&b, "\"%s\": ", keys[i]);
		tf_buf_append(&b, v.text, v.len);
		tf_buf_puts(&b, ", ");
	}
	tf_buf_puts(&b, "\"causes\": [");
	tf_buf_puts(&b, tf_value_text(earlier));
	if (tf_json_get(tf_value_json(earlier), "causes", &causes)) {
		struct tf_json_iter it = tf_json_iter(causes);
		while (tf_json_next(&it, NULL, &v)) {
			tf_buf_puts(&b, ", ");
			tf_buf_append(&b, v.text, v.len);
		}
	}
	tf_buf_puts(&b, "]}");
	tf_value_unref(later);
	tf_value_unref(earlier);
	return tf_value_take(&b);
}

/* (task, perform): pre, action, and post in any case (ENGINE.md 2.4) */
TF_RAISES static int perform_phases(lua_State *L)
{
	struct perform *p = lua_touserdata(L, 2);
	bool execute = p->arguments.request->action == TF_EXECUTE;
	performing = p;
	struct tf_value *failure = perform_call_hook(L, p, execute ? PRE_EXECUTE : PRE_REVERT);
	if (!failure)
		failure = perform_call_action(L, p);
	if (failure)
		p->result = failure;
	p->failed = failure != NULL;
	struct tf_value *post = perform_call_hook(L, p, execute ? POST_EXECUTE : POST_REVERT);
	if (post && p->failed) {
		p->result = perform_chain(post, p->result);
	} else if (post) {
		tf_value_unref(p->result);
		p->result = post;
		p->failed = true;
	}
	return 0;
}

/* Failure dicts that cannot be rebuilt fail the request before it starts (PROTOCOL.md 7, step 2). */
static struct tf_value *perform_check_failures(const struct tf_request *r)
{
	struct tf_err err;
	int rc = 0;
	if (r->has_result && r->result_failed)
		rc = tf_failure_check_reconstruct(tf_value_json(r->result), &err);
	if (rc == 0 && r->failures) {
		struct tf_json_iter it = tf_json_iter(tf_value_json(r->failures));
		struct tf_json key, dict;
		while (rc == 0 && tf_json_next(&it, &key, &dict))
			rc = tf_failure_check_reconstruct(dict, &err);
	}
	return rc < 0 ? tf_failure_format(tf_types_value_error, "%s", err.message) : NULL;
}

TF_RAISES struct tf_value *tf_task_runner_perform(struct lua_State *L, int index, const struct tf_request *r,
	const struct tf_runner_sink *sink, bool *failed)
{
	struct perform p = {.arguments = {.request = r}, .sink = sink, .outer = performing};
	int top = lua_gettop(L);
	*failed = true;
	if (!lua_checkstack(L, 16))
		return tf_failure_format(tf_types_lua_error, "stack overflow");
	struct tf_value *failure = perform_check_failures(r);
	if (failure)
		return failure;
	lua_pushvalue(L, index);
	int task = lua_gettop(L);
	p.class = perform_class_of(L, task);
	p.task = lua_topointer(L, task);
	perform_limits(L, task, p.class, r, sink);
	if (sink->started)
		sink->started(sink->arg);
	tf_call_push(L, perform_phases);
	lua_pushvalue(L, task);
	lua_pushlightuserdata(L, &p);
	if (tf_call_catch(L, 2, 0, "notify", &failure) < 0) { /* between its calls: no memory, a finalizer */
		tf_value_unref(p.result);
		p.result = failure;
		p.failed = true;
	}
	performing = p.outer; /* whatever was raised */
	tf_memory_guard_end(&perform_guard);
	lua_settop(L, top);
	*failed = p.failed;
	return p.result;
}

/* ---- the runner ---- */

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
		run->result = tf_task_runner_perform(L, -1, run->request, run->sink, &run->failed);
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
