/* Module tfhost.engine: engines for lua/taskflow/engines. Failures of the world return nil, message, code. */
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/engine_handle.h"
#include "script/flow_load.h"
#include "script/modules.h"
#include "script/value_lua.h"

#define ENGINE_TYPE "tfhost.engine"
/* Its address is the key in the registry of a table: handle -> environment of its userdata, weak. */
static char engine_handles;

void tf_engine_handle_env(lua_State *L, const struct tf_engine_handle *h)
{
	lua_pushlightuserdata(L, &engine_handles);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_pushlightuserdata(L, (void *)(uintptr_t)h);
	lua_rawget(L, -2);
	lua_remove(L, -2);
}

static void handle_close(struct tf_engine_handle *h)
{
	/* A slot collects garbage too: its copy names processes and connections of its parent. */
	if (h->owner != getpid())
		return;
	if (h->engine) {
		tf_engine_delete(h->engine);
	} else {
		tf_graph_delete(h->graph);
		if (h->executor)
			h->executor->ops->destroy(h->executor);
	}
	tf_engine_metrics_close(h);
	tf_engine_keep_close(h);
	tf_task_runner_delete(h->runner);
	tf_timer_delete(h->wake);
	if (h->loop)
		tf_loop_delete(h->loop);
	memset(h, 0, sizeof(*h));
}

struct tf_engine_handle *tf_engine_handle_check(lua_State *L)
{
	struct tf_engine_handle *h = luaL_checkudata(L, 1, ENGINE_TYPE);
	if (!h->engine)
		tf_bind_raise(L, "InvalidState", "the engine is closed");
	if (h->owner != getpid())
		tf_bind_raise(L, "InvalidState",
			"the engine belongs to the process that made it, not to one of its slots");
	return h;
}

unsigned tf_engine_handle_atom(lua_State *L, const struct tf_engine_handle *h, int index)
{
	const char *name = luaL_checkstring(L, index);
	int atom = tf_engine_find(h->engine, name);
	if (atom < 0)
		tf_bind_raise(
			L, "NotFound", "Unknown atom name '%s' in flow '%s'", name, tf_graph_name(h->graph));
	return (unsigned)atom;
}

int tf_engine_handle_push(lua_State *L, struct tf_value *v, const char *what)
{
	struct tf_err err;
	int rc = tf_value_lua_push(L, tf_value_json(v), what, &err);
	tf_value_unref(v);
	return rc < 0 ? tf_bind_fail(L, &err) : 1;
}

/* A thread for calls into Lua, kept in the environment at `env`. */
TF_RAISES static lua_State *handle_thread(lua_State *L, int env, const char *key)
{
	lua_State *thread = lua_newthread(L);
	lua_setfield(L, env, key);
	return thread;
}

/* A userdata that is still empty, with its environment: (options) -> options, handle, environment */
TF_RAISES static struct tf_engine_handle *handle_new(lua_State *L)
{
	struct tf_engine_handle *h = lua_newuserdata(L, sizeof(*h));
	memset(h, 0, sizeof(*h));
	h->owner = getpid();
	luaL_getmetatable(L, ENGINE_TYPE);
	lua_setmetatable(L, -2);
	lua_newtable(L); /* options, handle, environment */
	lua_pushvalue(L, -1);
	lua_setfenv(L, -3);
	lua_pushlightuserdata(L, &engine_handles);
	lua_rawget(L, LUA_REGISTRYINDEX);
	lua_pushlightuserdata(L, h);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 1);
	return h;
}

/* The atoms are in reach by their numbers, unless other tasks run for some of them. Stack as in engine_load. */
TF_RAISES static void keep_atoms(lua_State *L, const struct tf_engine_handle *h)
{
	lua_getfield(L, 1, "tasks");
	lua_pushnil(L);
	bool others = lua_next(L, -2);
	lua_settop(L, 3);
	if (others)
		return;
	lua_getfield(L, 1, "plan");
	lua_getfield(L, 4, "order");
	tf_flow_number(L, 5, h->graph);
	lua_rawseti(L, 3, ENGINE_ATOMS);
	lua_settop(L, 3);
}

/* load{ plan, tasks, handlers, engine, store, defer_reverts, never_resolve, ... } -> handle */
TF_RAISES static int engine_load(lua_State *L)
{
	struct tf_err err;
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	struct tf_engine_handle *h = handle_new(L); /* options, handle, environment */
	static const char *const kept[] = {"handlers", "tasks"};
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		lua_getfield(L, 1, kept[i]);
		lua_setfield(L, 3, kept[i]);
	}
	h->tasks = handle_thread(L, 3, "task thread");
	h->calls = handle_thread(L, 3, "call thread");
	h->loop = tf_loop_new();
	h->graph = tf_graph_new();
	if (tf_engine_keep_open(L, 1, h, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_getfield(L, 1, "plan");
	luaL_checktype(L, 4, LUA_TTABLE);
	if (tf_flow_load(L, 4, h->graph, &err) < 0 || tf_graph_compile(h->graph, &err) < 0 ||
		tf_engine_handle_executor(L, 1, h, &err) < 0)
		return tf_bind_fail(L, &err);
	if (h->serial)
		keep_atoms(L, h);
	h->virtual_time = tf_bind_boolean(L, 1, "virtual_time");
	h->virtual_clock = (struct tf_clock){.now_ms = tf_engine_handle_virtual_ms, .arg = h};
	struct tf_engine_options options = {
		.defer_reverts = tf_bind_boolean(L, 1, "defer_reverts"),
		.never_resolve = tf_bind_boolean(L, 1, "never_resolve"),
		.keep_injected = tf_bind_boolean(L, 1, "keep_injected"),
		.reference_quirks = tf_bind_boolean(L, 1, "reference_quirks"),
		.flow_uuid = h->flow_uuid,
		.clock = h->virtual_time ? &h->virtual_clock : tf_loop_clock(h->loop),
		.store = tf_bind_value(L, 1, "store", "store"),
	};
	h->gather = tf_bind_boolean(L, 1, "gather_statistics");
	const struct tf_engine_events events = tf_engine_keep_events(h);
	h->engine = tf_engine_new(h->graph, h->executor, &options, &events, h);
	tf_value_unref(options.store);
	if (tf_engine_keep_load(L, 1, h, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_settop(L, 2);
	return 1;
}

TF_RAISES static int engine_close(lua_State *L)
{
	struct tf_engine_handle *h = luaL_checkudata(L, 1, ENGINE_TYPE);
	if (h->running)
		tf_bind_raise(L, "InvalidState", "the engine is running: suspend it, close it afterwards");
	handle_close(h);
	return 0;
}

static int engine_gc(lua_State *L)
{
	handle_close(luaL_checkudata(L, 1, ENGINE_TYPE));
	return 0;
}

/* prepare() -> true: the flow is in its logbook, if it has one */
TF_RAISES static int engine_prepare(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_err err;
	if (tf_engine_prepare(h->engine, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

TF_RAISES static int engine_validate(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_err err;
	if (tf_engine_validate(h->engine, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

TF_RAISES static int engine_suspend(lua_State *L)
{
	tf_engine_suspend(tf_engine_handle_check(L)->engine);
	return 0;
}

TF_RAISES static int engine_cancel(lua_State *L)
{
	tf_engine_cancel(tf_engine_handle_check(L)->engine);
	return 0;
}

TF_RAISES static int engine_reset(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	struct tf_err err;
	if (tf_engine_reset(h->engine, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_pushboolean(L, 1);
	return 1;
}

TF_RAISES static int engine_state(lua_State *L)
{
	lua_pushstring(L, tf_state_name(tf_engine_flow_state(tf_engine_handle_check(L)->engine)));
	return 1;
}

TF_RAISES static int engine_flow_uuid(lua_State *L)
{
	lua_pushstring(L, tf_engine_flow_uuid(tf_engine_handle_check(L)->engine));
	return 1;
}

/* name(index) -> name of the atom at this place of the node order, from 1; nil: none, as of an item of a map */
TF_RAISES static int engine_name(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	lua_Integer i = luaL_checkinteger(L, 2);
	if (i < 1 || (size_t)i > tf_graph_atom_count(h->graph))
		return 0;
	lua_pushstring(L, tf_graph_atom(h->graph, (unsigned)i - 1)->name);
	return 1;
}

/* atoms() -> names in node order */
TF_RAISES static int engine_atoms(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	size_t n = tf_graph_atom_count(h->graph);
	lua_createtable(L, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		lua_pushstring(L, tf_graph_atom(h->graph, (unsigned)i)->name);
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

/* atom(name) -> state, intention, uuid, progress */
TF_RAISES static int engine_atom(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	lua_pushstring(L, tf_state_name(tf_engine_atom_state(h->engine, atom)));
	lua_pushstring(L, tf_intention_name(tf_engine_atom_intention(h->engine, atom)));
	lua_pushstring(L, tf_engine_atom_uuid(h->engine, atom));
	lua_pushnumber(L, tf_engine_atom_progress(h->engine, atom));
	return 4;
}

/* states() -> a byte for the state of each atom, in node order; the names of states by that byte */
TF_RAISES static int engine_states(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	size_t n = tf_graph_atom_count(h->graph);
	char *bytes = lua_newuserdata(L, n + 1);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)tf_engine_atom_state(h->engine, (unsigned)i);
	lua_pushlstring(L, bytes, n);
	lua_newtable(L);
	for (int state = 0; state < TF_STATE_COUNT; state++) {
		lua_pushstring(L, tf_state_name((enum tf_state)state));
		lua_rawseti(L, -2, state);
	}
	return 2;
}

/* item(number) -> number of its map, place in it: all from 1 */
TF_RAISES static int engine_item(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned map;
	size_t index;
	if (!tf_engine_item(h->engine, (unsigned)luaL_checkinteger(L, 2) - 1, &map, &index))
		return luaL_error(L, "this is no item");
	lua_pushinteger(L, (lua_Integer)map + 1);
	lua_pushinteger(L, (lua_Integer)index + 1);
	return 2;
}

/* listen(atoms, tasks): whether states of atoms, whether events of tasks are to be told */
TF_RAISES static int engine_listen(lua_State *L)
{
	struct tf_engine_handle *h =
		luaL_checkudata(L, 1, ENGINE_TYPE); /* a closed one tells nobody anyhow */
	h->atoms_heard = lua_toboolean(L, 2);
	h->tasks_heard = lua_toboolean(L, 3);
	return 0;
}

/* items(name) -> how many the map of that name has; nil if it is no map */
TF_RAISES static int engine_items(lua_State *L)
{
	struct tf_engine_handle *h = tf_engine_handle_check(L);
	unsigned atom = tf_engine_handle_atom(L, h, 2);
	if (atom >= tf_graph_atom_count(h->graph) || !tf_graph_atom(h->graph, atom)->each)
		return 0;
	lua_pushinteger(L, (lua_Integer)tf_engine_item_count(h->engine, atom));
	return 1;
}

static const struct luaL_Reg engine_methods[] = {
	{"close", engine_close},
	{"prepare", engine_prepare},
	{"validate", engine_validate},
	{"metrics", tf_engine_metrics},
	{"suspend", engine_suspend},
	{"cancel", engine_cancel},
	{"reset", engine_reset},
	{"state", engine_state},
	{"flow_uuid", engine_flow_uuid},
	{"name", engine_name},
	{"atoms", engine_atoms},
	{"atom", engine_atom},
	{"states", engine_states},
	{"listen", engine_listen},
	{"item", engine_item},
	{"items", engine_items},
	{NULL, NULL},
};

/* cores() -> number of processors to use */
static int engine_cores(lua_State *L)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	lua_pushinteger(L, n > 0 ? n : 1);
	return 1;
}

int tf_bind_engine_open(lua_State *L)
{
	lua_pushlightuserdata(L, &engine_handles);
	lua_newtable(L); /* key, handles */
	lua_newtable(L);
	lua_pushliteral(L, "v");
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
	lua_rawset(L, LUA_REGISTRYINDEX);
	luaL_newmetatable(L, ENGINE_TYPE);
	lua_pushcfunction(L, engine_gc);
	lua_setfield(L, -2, "__gc");
	lua_newtable(L);
	luaL_register(L, NULL, engine_methods);
	luaL_register(L, NULL, tf_engine_turns_methods);
	luaL_register(L, NULL, tf_engine_values_methods);
	luaL_register(L, NULL, tf_engine_storage_methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_newtable(L);
	lua_pushcfunction(L, engine_load);
	lua_setfield(L, -2, "load");
	lua_pushcfunction(L, engine_cores);
	lua_setfield(L, -2, "cores");
	return 1;
}
