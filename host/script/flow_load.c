#include "script/flow_load.h"

#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/value_lua.h"

/* Where the walk is. Positive stack indices; `ids` maps a step (1-based) to the graph's node id. */
struct flow_walk {
	lua_State *L;
	struct tf_graph *graph;
	int steps, step; /* tables */
	int *ids;
	size_t count;
	struct tf_err *err;
};

TF_RAISES static struct tf_binding *flow_bindings(lua_State *L, int atom, const char *key, size_t *count)
{
	lua_getfield(L, atom, key);
	luaL_checktype(L, -1, LUA_TTABLE);
	int list = lua_gettop(L);
	*count = lua_objlen(L, list);
	struct tf_binding *out = lua_newuserdata(L, (*count + 1) * sizeof(*out)); /* list, array */
	for (size_t i = 0; i < *count; i++) {
		lua_rawgeti(L, list, (int)i + 1);
		int binding = lua_gettop(L);
		out[i] = (struct tf_binding){
			.param = tf_bind_string(L, binding, "param"),
			.symbol = tf_bind_string(L, binding, "symbol"),
			.optional = tf_bind_boolean(L, binding, "optional"),
		};
		lua_pop(L, 1);
	}
	return out;
}

TF_RAISES static struct tf_provide *flow_provides(lua_State *L, int atom, size_t *count)
{
	lua_getfield(L, atom, "save_as");
	luaL_checktype(L, -1, LUA_TTABLE);
	int list = lua_gettop(L);
	*count = lua_objlen(L, list);
	struct tf_provide *out = lua_newuserdata(L, (*count + 1) * sizeof(*out)); /* list, array */
	for (size_t i = 0; i < *count; i++) {
		lua_rawgeti(L, list, (int)i + 1);
		int provide = lua_gettop(L);
		const char *how = tf_bind_string(L, provide, "how");
		out[i].symbol = tf_bind_string(L, provide, "symbol");
		out[i].how = !strcmp(how, "index") ? TF_INDEX : !strcmp(how, "key") ? TF_KEY : TF_WHOLE;
		out[i].index = (size_t)tf_bind_number(L, provide, "index", 0);
		lua_pop(L, 1);
	}
	return out;
}

/* Constant inputs of the atom, or NULL. An empty table means none. */
TF_RAISES static int flow_inject(struct flow_walk *w, int atom, const char *name, struct tf_value **out)
{
	lua_State *L = w->L;
	struct tf_err *err = w->err;
	*out = NULL;
	lua_getfield(L, atom, "inject");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return 0;
	}
	*out = tf_value_lua_get(L, -1, "inject", err);
	lua_pop(L, 1);
	if (!*out)
		return tf_err_prefix(err, "task '%s'", name);
	if (tf_json_type(tf_value_json(*out)) != TF_JSON_OBJECT) {
		tf_value_unref(*out);
		return tf_err_set(
			err, TF_EINVAL, "task '%s': inject must be a table from name to value", name);
	}
	return 0;
}

TF_RAISES static int flow_add_atom(struct flow_walk *w, bool retry)
{
	lua_State *L = w->L;
	struct tf_atom_spec spec = {.task_cls = tf_bind_string(L, w->step, "task_cls")};
	lua_getfield(L, w->step, "atom");
	int atom = lua_gettop(L);
	spec.name = tf_bind_string(L, atom, "name");
	spec.priority = (int)tf_bind_number(L, atom, "priority", 0);
	spec.attempts = (unsigned)tf_bind_number(L, atom, "attempts", 0);
	spec.each = tf_bind_string(L, atom, "each");
	spec.limit = (size_t)tf_bind_number(L, atom, "limit", 0);
	spec.execute = flow_bindings(L, atom, "execute_mapping", &spec.execute_count);
	spec.revert = flow_bindings(L, atom, "revert_mapping", &spec.revert_count);
	spec.provides = flow_provides(L, atom, &spec.provide_count);
	lua_getfield(L, atom, "version");
	int rc = flow_inject(w, atom, spec.name, &spec.inject);
	if (rc < 0)
		return rc;
	/* From here to the end nothing raises: the references are ours alone. */
	spec.version = tf_value_lua_get(L, -1, "version", w->err);
	rc = w->err && !spec.version ? w->err->code : 0;
	if (rc == 0)
		rc = retry ? tf_graph_add_retry(w->graph, &spec) : tf_graph_add_task(w->graph, &spec);
	tf_value_unref(spec.version);
	tf_value_unref(spec.inject);
	return rc;
}

TF_RAISES static int flow_open(struct flow_walk *w)
{
	const char *pattern = tf_bind_string(w->L, w->step, "pattern");
	enum tf_pattern p = !strcmp(pattern, "graph")       ? TF_GRAPH
			    : !strcmp(pattern, "unordered") ? TF_UNORDERED
							    : TF_LINEAR;
	return tf_graph_open_flow(w->graph, tf_bind_string(w->L, w->step, "name"), p);
}

TF_RAISES static int flow_link(struct flow_walk *w)
{
	size_t from = (size_t)tf_bind_number(w->L, w->step, "from", 0);
	size_t to = (size_t)tf_bind_number(w->L, w->step, "to", 0);
	int decider = (int)tf_bind_number(w->L, w->step, "decider", -1);
	int depth = (int)tf_bind_number(w->L, w->step, "depth", 3);
	if (from < 1 || from > w->count || to < 1 || to > w->count)
		return tf_err_set(w->err, TF_EINVAL, "a link names a child that was not added");
	return tf_graph_link(w->graph, w->ids[from - 1], w->ids[to - 1], decider, depth, w->err);
}

TF_RAISES static int flow_step(struct flow_walk *w)
{
	const char *op = tf_bind_string(w->L, w->step, "op");
	if (!strcmp(op, "open"))
		return flow_open(w);
	if (!strcmp(op, "close"))
		return tf_graph_close_flow(w->graph);
	if (!strcmp(op, "link"))
		return flow_link(w);
	return flow_add_atom(w, !strcmp(op, "retry"));
}

int tf_flow_load(lua_State *L, int index, struct tf_graph *g, struct tf_err *err)
{
	struct flow_walk w = {.L = L, .graph = g, .steps = index, .err = err};
	int top = lua_gettop(L);
	luaL_checkstack(L, 20, "flow");
	w.count = lua_objlen(L, index);
	w.ids = lua_newuserdata(L, (w.count + 1) * sizeof(*w.ids));
	int base = lua_gettop(L), rc = 0;
	for (size_t i = 0; i < w.count && rc >= 0; i++) {
		lua_rawgeti(L, index, (int)i + 1);
		w.step = lua_gettop(L);
		rc = flow_step(&w);
		w.ids[i] = rc;
		lua_settop(L, base);
	}
	lua_settop(L, top);
	return rc < 0 ? rc : 0;
}
