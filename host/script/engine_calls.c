#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/log.h"
#include "base/mem.h"
#include "protocol/failure.h"
#include "script/bind.h"
#include "script/engine_handle.h"
#include "script/interrupt.h"
#include "script/failure_lua.h"
#include "script/value_lua.h"

enum { CALL_MAX_ARGS = 6 };

/* An argument of a handler. */
struct call_arg {
	enum { ARG_NIL, ARG_STRING, ARG_INTEGER, ARG_VALUE } kind;
	const char *string;
	int integer;
	struct tf_value *value;
};

struct handler_call {
	struct tf_engine_handle *h;
	const char *name; /* of the handler */
	struct call_arg args[CALL_MAX_ARGS];
	int nargs, nresults;
};

static struct call_arg call_string(const char *s)
{
	return (struct call_arg){.kind = ARG_STRING, .string = s};
}

static struct call_arg call_integer(int i)
{
	return (struct call_arg){.kind = ARG_INTEGER, .integer = i};
}

static struct call_arg call_value(struct tf_value *v)
{
	return (struct call_arg){.kind = v ? ARG_VALUE : ARG_NIL, .value = v};
}

/* (handler call) -> its results */
TF_RAISES static int call_trampoline(lua_State *L)
{
	struct handler_call *call = lua_touserdata(L, 1);
	struct tf_err err;
	luaL_checkstack(L, CALL_MAX_ARGS + 4, "handler");
	tf_engine_handle_env(L, call->h); /* call, env */
	lua_getfield(L, -1, "handlers");
	lua_getfield(L, -1, call->name); /* call, env, handlers, function */
	for (int i = 0; i < call->nargs; i++) {
		const struct call_arg *a = &call->args[i];
		if (a->kind == ARG_STRING)
			lua_pushstring(L, a->string);
		else if (a->kind == ARG_INTEGER)
			lua_pushinteger(L, a->integer);
		else if (a->kind == ARG_NIL)
			lua_pushnil(L);
		else if (tf_value_lua_push(L, tf_value_json(a->value), call->name, &err) < 0)
			luaL_error(L, "%s", err.message);
	}
	lua_call(L, call->nargs, call->nresults);
	return call->nresults;
}

/* What a listener does wrong is its own affair: it is reported. */
static void call_notify(struct handler_call *call)
{
	lua_State *L = call->h->calls;
	struct tf_err err;
	if (!lua_checkstack(L, 4)) {
		tf_warn("engine", "a listener was not called: stack overflow");
		return;
	}
	lua_pushcfunction(L, call_trampoline);
	lua_pushlightuserdata(L, call);
	if (tf_call(L, 1, 0, &err) < 0)
		tf_warn("engine", "telling the listeners about '%s': %s", call->name, err.message);
}

static void on_flow(void *arg, enum tf_state state, enum tf_state old)
{
	struct handler_call call = {.h = arg,
		.name = "flow",
		.args = {call_string(tf_state_name(state)), call_string(tf_state_name(old))},
		.nargs = 2};
	call_notify(&call);
}

/* Atoms are numbered from 1 in Lua. */
static void on_atom(void *arg, unsigned atom, enum tf_state state, enum tf_state old, struct tf_value *result)
{
	struct tf_engine_handle *h = arg;
	if (!h->atoms_heard)
		return;
	struct handler_call call = {.h = h,
		.name = "atom",
		.args = {call_integer((int)atom + 1), call_string(tf_state_name(state)),
			call_string(tf_state_name(old))},
		.nargs = 3};
	struct tf_value *outer = h->result;
	bool outer_failed = h->result_failed;
	h->result = result;
	h->result_failed = state == TF_FAILURE || state == TF_REVERT_FAILURE;
	call_notify(&call);
	h->result = outer;
	h->result_failed = outer_failed;
}

static void on_task_event(void *arg, unsigned atom, const char *type, struct tf_value *details)
{
	struct tf_engine_handle *h = arg;
	if (!h->tasks_heard)
		return;
	struct handler_call call = {.h = h,
		.name = "event",
		.args = {call_integer((int)atom + 1), call_string(type), call_value(details)},
		.nargs = 3};
	call_notify(&call);
}

void tf_engine_handle_tick(void *arg)
{
	struct handler_call call = {.h = arg, .name = "tick"};
	call_notify(&call);
}

/* Call a handler that answers: 0 with its result (or nresults) at the top of `L`, or -1 with *failure. */
static int call_ask(struct handler_call *call, lua_State *L, struct tf_value **failure)
{
	call->nresults = call->nresults ? call->nresults : 1;
	if (!lua_checkstack(L, 8)) {
		*failure = tf_failure_format(tf_types_lua_error, "stack overflow");
		return -1;
	}
	lua_pushcfunction(L, call_trampoline);
	lua_pushlightuserdata(L, call);
	return tf_call_catch(L, 1, call->nresults, call->name, failure) < 0 ? -1 : 0;
}

static struct handler_call retry_call(
	struct tf_engine_handle *h, const char *method, const struct tf_retry_call *r)
{
	return (struct handler_call){.h = h,
		.name = "retry",
		.args = {call_integer((int)r->atom + 1), call_string(method), call_value(r->arguments),
			call_value(r->history), call_value(r->failure), call_value(r->flow_failures)},
		.nargs = 6};
}

/* The error that the last call_ask gave, kept as the live one of that atom's failure. */
static void note_raised(struct tf_engine_handle *h, lua_State *L, const char *name)
{
	if (!tf_failure_lua_raised(L))
		return;
	tf_engine_handle_raised(h, name, L);
	lua_pop(L, 1);
}

/* The name under which errors of deciders and of on_failure are kept: no atom has it. */
#define RAISED_BY_ENGINE ""

static struct tf_value *retry_value(
	struct tf_engine_handle *h, const char *method, const struct tf_retry_call *r, bool *failed)
{
	struct handler_call call = retry_call(h, method, r);
	struct tf_value *v;
	struct tf_err err;
	*failed = true;
	if (call_ask(&call, h->tasks, &v) < 0) {
		note_raised(h, h->tasks, tf_graph_atom(h->graph, r->atom)->name);
		return v;
	}
	v = tf_value_lua_get(h->tasks, -1, "result", &err);
	lua_pop(h->tasks, 1);
	*failed = v == NULL;
	return v ? v : tf_failure_format(tf_types_type_error, "%s", err.message);
}

static struct tf_value *on_retry_execute(void *arg, const struct tf_retry_call *r, bool *failed)
{
	return retry_value(arg, "execute", r, failed);
}

static struct tf_value *on_retry_revert(void *arg, const struct tf_retry_call *r, bool *failed)
{
	return retry_value(arg, "revert", r, failed);
}

static int on_retry_on_failure(
	void *arg, const struct tf_retry_call *r, uint64_t *delay_ms, struct tf_value **failure)
{
	static const struct {
		const char *name;
		int decision;
	} decisions[] = {
		{"RETRY", TF_DECISION_RETRY},
		{"REVERT", TF_DECISION_REVERT},
		{"REVERT_ALL", TF_DECISION_REVERT_ALL},
	};
	struct tf_engine_handle *h = arg;
	struct handler_call call = retry_call(h, "on_failure", r);
	call.nresults = 2;
	if (call_ask(&call, h->tasks, failure) < 0) {
		note_raised(h, h->tasks, RAISED_BY_ENGINE);
		return -1;
	}
	int decision = -1;
	const char *name = lua_type(h->tasks, -2) == LUA_TSTRING ? lua_tostring(h->tasks, -2) : NULL;
	*delay_ms = (uint64_t)(lua_tonumber(h->tasks, -1) * 1000);
	for (size_t i = 0; name && i < sizeof(decisions) / sizeof(decisions[0]); i++) {
		if (!strcmp(decisions[i].name, name))
			decision = decisions[i].decision;
	}
	TF_ASSERT(decision >= 0); /* the handler lets nothing else pass */
	lua_pop(h->tasks, 2);
	return decision;
}

static int on_decide(void *arg, int decider, struct tf_value *history, struct tf_value **failure)
{
	struct tf_engine_handle *h = arg;
	struct handler_call call = {
		.h = h, .name = "decide", .args = {call_integer(decider), call_value(history)}, .nargs = 2};
	if (call_ask(&call, h->calls, failure) < 0) {
		note_raised(h, h->calls, RAISED_BY_ENGINE);
		return -1;
	}
	int go = lua_toboolean(h->calls, -1);
	lua_pop(h->calls, 1);
	return go;
}

/* A serial executor runs all that are ready before the loop turns again: the tick comes from here then. */
static void tick_between(struct tf_engine_handle *h)
{
	enum { SELDOM = 16 }; /* a power of two */
	if (!h->tick_ms || (h->asked++ & (SELDOM - 1)))
		return;
	uint64_t now = tf_clock_ms(&tf_clock_real);
	if (now - h->ticked_ms < h->tick_ms)
		return;
	h->ticked_ms = now;
	tf_engine_handle_tick(h);
}

static enum tf_interruption on_interrupted(void *arg)
{
	struct tf_engine_handle *h = arg;
	if (h->serial)
		tick_between(h);
	return tf_engine_handle_interruption(arg);
}

const struct tf_engine_events tf_engine_handle_events = {
	.flow = on_flow,
	.atom = on_atom,
	.task_event = on_task_event,
	.retry_execute = on_retry_execute,
	.retry_revert = on_retry_revert,
	.retry_on_failure = on_retry_on_failure,
	.decide = on_decide,
	.interrupted = on_interrupted,
};

/* ---- the serial executor ---- */

struct lua_State *tf_engine_handle_tasks(void *arg)
{
	const struct tf_engine_handle *h = arg;
	return h->tasks;
}

TF_RAISES void tf_engine_handle_push_task(void *arg, unsigned atom, const char *name, lua_State *L)
{
	tf_engine_handle_env(L, arg);
	lua_rawgeti(L, -1, ENGINE_ATOMS); /* env, atoms */
	if (lua_istable(L, -1)) {
		lua_rawgeti(L, -1, (int)atom + 1);
		lua_replace(L, -3);
		lua_pop(L, 1);
		if (!lua_isnil(L, -1))
			return;
		lua_pop(L, 1); /* an item of a map */
		tf_engine_handle_env(L, arg);
	} else {
		lua_pop(L, 1);
	}
	lua_getfield(L, -1, "tasks");
	lua_getfield(L, -1, name);
	if (lua_isnil(L, -1))
		luaL_error(L, "no task '%s'", name);
	lua_replace(L, -3); /* task, tasks */
	lua_pop(L, 1);
}

struct raised {
	struct tf_engine_handle *h;
	const char *name;
};

/* (raised, error value): handlers.raised(name, error) */
TF_RAISES static int keep_raised(lua_State *L)
{
	struct raised *raised = lua_touserdata(L, 1);
	tf_engine_handle_env(L, raised->h);
	lua_getfield(L, -1, "handlers");
	lua_getfield(L, -1, "raised");
	lua_pushstring(L, raised->name);
	lua_pushvalue(L, 2);
	lua_call(L, 2, 0);
	return 0;
}

void tf_engine_handle_raised(void *arg, const char *name, struct lua_State *L)
{
	struct raised raised = {.h = arg, .name = name};
	struct tf_err err;
	if (!lua_checkstack(L, 4))
		return;
	lua_pushcfunction(L, keep_raised); /* error, function */
	lua_pushlightuserdata(L, &raised);
	lua_pushvalue(L, -3);
	if (tf_call(L, 2, 0, &err) < 0)
		tf_warn("engine", "an error value was lost: %s", err.message);
}
