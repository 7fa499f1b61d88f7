#include "script/task_action.h"

#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "base/clock.h"
#include "protocol/failure.h"
#include "script/bind.h"
#include "script/failure_lua.h"
#include "script/memory_guard.h"
#include "script/task_arguments.h"
#include "script/value_lua.h"

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

TF_RAISES int tf_task_action_notify(lua_State *L)
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

TF_RAISES struct tf_value *tf_task_action_perform(struct lua_State *L, int index, const struct tf_request *r,
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
