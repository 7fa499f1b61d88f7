#include "script/task_arguments.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "protocol/failure.h"
#include "script/failure_lua.h"
#include "script/value_lua.h"

/* Python's list of quoted names: 'a', 'b', and 'c'. Appends name i of n. */
static void arguments_add_name(struct tf_buf *out, const char *name, size_t i, size_t n)
{
	if (i > 0)
		tf_buf_puts(out, n == 2 ? " and " : i + 1 == n ? ", and " : ", ");
	tf_buf_printf(out, "'%s'", name);
}

/* "TestTask1.execute()", as Python names the function in a TypeError. */
static void arguments_function_name(const struct tf_request *r, char *out, size_t size)
{
	const char *dot = r->task_cls ? strrchr(r->task_cls, '.') : NULL;
	snprintf(out, size, "%.100s.%s()",
		dot           ? dot + 1
		: r->task_cls ? r->task_cls
			      : "Task",
		tf_action_name(r->action));
}

TF_RAISES static void arguments_push_value(lua_State *L, struct tf_json v, const char *what)
{
	struct tf_err err;
	if (v.len == 2 && !memcmp(v.text, "{}", 2)) /* so often that it is worth a line */
		lua_newtable(L);
	else if (tf_value_lua_push(L, v, what, &err) < 0)
		luaL_error(L, "%s", err.message);
}

/* Set the member `name` of the table at the top of the stack to the Failure of `dict`. */
TF_RAISES static void arguments_set_failure(lua_State *L, struct tf_json dict)
{
	struct tf_err err;
	if (tf_failure_lua_push(L, dict, &err) < 0)
		luaL_error(L, "%s", err.message);
}

/* Stack: arguments at the top. Adds what a revert gets besides (PROTOCOL.md 8). */
TF_RAISES static void arguments_add_revert(lua_State *L, const struct tf_request *r)
{
	if (!r->has_result)
		lua_pushlightuserdata(L, NULL);
	else if (r->result_failed)
		arguments_set_failure(L, tf_value_json(r->result));
	else
		arguments_push_value(L, tf_value_json(r->result), "result");
	lua_setfield(L, -2, "result");
	lua_newtable(L); /* arguments, failures */
	if (r->failures) {
		struct tf_json_iter it = tf_json_iter(tf_value_json(r->failures));
		struct tf_json key, dict;
		while (tf_json_next(&it, &key, &dict)) {
			arguments_push_value(L, key, "failures");
			arguments_set_failure(L, dict);
			lua_rawset(L, -3);
		}
	}
	lua_setfield(L, -2, "flow_failures");
}

void tf_task_field(lua_State *L, int index, const char *name)
{
	/* By way of the metatable: asking the instance would call into Lua. */
	if (luaL_getmetafield(L, index, "example")) {
		lua_getfield(L, -1, name);
		lua_remove(L, -2);
	} else {
		lua_getfield(L, index, name);
	}
}

/* Whether the task lets parameter `name` be missing. Stack: task at index 1. */
TF_RAISES static bool arguments_is_optional(lua_State *L, const char *name)
{
	tf_task_field(L, 1, "optional_parameters");
	bool yes = false;
	if (lua_istable(L, -1)) {
		lua_getfield(L, -1, name);
		yes = lua_toboolean(L, -1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return yes;
}

/* What one call works on: indices into the stack. */
struct arguments_frame {
	int function, arguments, first; /* `first`: where values of parameters begin, self included */
	int kwargs;                     /* index of the value for the catch-all parameter, 0: none */
	bool takes_kwargs;
};

/* Name of parameter n of the function, or NULL. Lua functions alone have names. */
static const char *arguments_parameter(lua_State *L, int function, int n)
{
	if (lua_iscfunction(L, function))
		return NULL;
	lua_pushvalue(L, function);
	const char *name = lua_getlocal(L, NULL, n); /* reads the function, leaves it */
	lua_pop(L, 1);
	return name;
}

TF_RAISES bool tf_task_takes_arguments(lua_State *L, int function)
{
	return arguments_parameter(L, function, 2) != NULL;
}

/* Push a value for each parameter after self and take it out of the arguments. Appends the quoted names of those
 * that miss; *missing counts them. */
TF_RAISES static void arguments_push_parameters(
	lua_State *L, struct arguments_frame *f, const char **missing, size_t *missing_count, size_t max)
{
	const char *name;
	for (int n = 2; (name = arguments_parameter(L, f->function, n)); n++) {
		luaL_checkstack(L, 8, "too many parameters");
		if (f->takes_kwargs && !strcmp(name, "kwargs")) {
			lua_pushvalue(L, f->arguments); /* what is left of it at the end */
			f->kwargs = lua_gettop(L);
			continue;
		}
		lua_getfield(L, f->arguments, name); /* ..., value */
		if (lua_isnil(L, -1)) {
			if (!arguments_is_optional(L, name) && *missing_count < max)
				missing[(*missing_count)++] = name;
			continue;
		}
		lua_pushnil(L);
		lua_setfield(L, f->arguments, name);
	}
}

/* A revert need not take what it has no use for. */
TF_RAISES static void arguments_drop_unused(lua_State *L, int arguments)
{
	static const char *const names[] = {"result", "flow_failures"};
	for (size_t i = 0; i < 2; i++) {
		lua_pushnil(L);
		lua_setfield(L, arguments, names[i]);
	}
}

/* The failure for arguments that do not fit the parameters, or NULL. */
TF_RAISES static struct tf_value *arguments_mismatch(lua_State *L, const struct tf_request *r,
	const struct arguments_frame *f, const char *const *missing, size_t missing_count)
{
	char function[160];
	const char *unexpected = NULL;
	if (!f->kwargs) {
		lua_pushnil(L);
		while (lua_next(L, f->arguments)) {
			lua_pop(L, 1);
			const char *key = lua_tostring(L, -1);
			if (!unexpected || strcmp(key, unexpected) < 0)
				unexpected = key; /* alive: the table holds it */
		}
	}
	if (!unexpected && missing_count == 0)
		return NULL;
	arguments_function_name(r, function, sizeof(function));
	if (unexpected)
		return tf_failure_format(tf_types_type_error, "%s got an unexpected keyword argument '%s'",
			function, unexpected);
	struct tf_buf names = TF_BUF_INIT;
	for (size_t i = 0; i < missing_count; i++)
		arguments_add_name(&names, missing[i], i, missing_count);
	struct tf_value *v =
		tf_failure_format(tf_types_type_error, "%s missing %zu required positional argument%s: %s",
			function, missing_count, missing_count == 1 ? "" : "s", names.data);
	tf_buf_free(&names);
	return v;
}

TF_RAISES int tf_task_arguments(lua_State *L)
{
	struct tf_task_arguments *p = lua_touserdata(L, 2);
	const struct tf_request *r = p->request;
	const char *missing[64];
	size_t missing_count = 0;
	tf_task_field(L, 1, tf_action_name(r->action)); /* task, struct, function */
	if (lua_isnil(L, -1))
		return 0;
	struct arguments_frame f = {.function = lua_gettop(L)};
	tf_task_field(L, 1, "kwargs");
	f.takes_kwargs = lua_toboolean(L, -1);
	lua_pop(L, 1);
	arguments_push_value(L, tf_value_json(r->arguments), "arguments"); /* ..., function, arguments */
	f.arguments = lua_gettop(L);
	if (r->action == TF_REVERT) {
		arguments_add_revert(L, r);
	} else if (r->has_result || r->failures) {
		char function[160];
		arguments_function_name(r, function, sizeof(function));
		p->failure =
			tf_failure_format(tf_types_type_error, "%s got an unexpected keyword argument '%s'",
				function, r->has_result ? "result" : "failures");
		return 0;
	}
	lua_pushvalue(L, f.function);
	f.first = lua_gettop(L) + 1;
	lua_pushvalue(L, 1); /* ..., arguments, function, task */
	arguments_push_parameters(L, &f, missing, &missing_count, sizeof(missing) / sizeof(missing[0]));
	if (r->action == TF_REVERT && !f.kwargs)
		arguments_drop_unused(L, f.arguments);
	p->failure = arguments_mismatch(L, r, &f, missing, missing_count);
	if (p->failure)
		return 0;
	return lua_gettop(L) - f.first + 2;
}
