#include "script/flow_load.h"

#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/value_lua.h"

enum { FLOW_PLAIN_MAX = 8 };

/* Where the walk is. Positive stack indices. */
struct flow_walk {
	lua_State *L;
	struct tf_graph *graph;
	int steps;    /* the list */
	int at, last; /* of the next value, of the last */
	int examples; /* table: example -> node id of a task like it */
	/* Members of an instance that says no more than its name; all else it shares with the `example` of its class.
	 * Lua's own copies: compared by address. */
	const char *plain[FLOW_PLAIN_MAX];
	int plain_count;
	int *ids; /* the graph's node ids of flows and atoms, in order of adding */
	size_t count;
	struct tf_err *err;
};

/* Push the next value of the list. */
TF_RAISES static int flow_next(struct flow_walk *w)
{
	lua_rawgeti(w->L, w->steps, w->at++);
	return lua_gettop(w->L);
}

TF_RAISES static struct tf_binding *flow_bindings(lua_State *L, int atom, const char *key, uint32_t *count)
{
	lua_getfield(L, atom, key);
	luaL_checktype(L, -1, LUA_TTABLE);
	int list = lua_gettop(L);
	*count = (uint32_t)lua_objlen(L, list);
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

TF_RAISES static struct tf_provide *flow_provides(lua_State *L, int atom, uint32_t *count)
{
	lua_getfield(L, atom, "save_as");
	luaL_checktype(L, -1, LUA_TTABLE);
	int list = lua_gettop(L);
	*count = (uint32_t)lua_objlen(L, list);
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

TF_RAISES static bool flow_has(lua_State *L, int atom, const char *key)
{
	lua_getfield(L, atom, key);
	bool has = !lua_isnil(L, -1);
	lua_pop(L, 1);
	return has;
}

/* Atom and class name come next: the atom at index `atom`. */
TF_RAISES static int flow_add_atom(struct flow_walk *w, int atom, bool retry)
{
	lua_State *L = w->L;
	struct tf_atom_spec spec = {.task_cls = lua_tostring(L, flow_next(w))};
	spec.name = tf_bind_string(L, atom, "name");
	spec.priority = (int)tf_bind_number(L, atom, "priority", 0);
	spec.attempts = (unsigned)tf_bind_number(L, atom, "attempts", 0);
	spec.limits =
		(struct tf_limits){.time_ms = (uint64_t)(1000 * tf_bind_number(L, atom, "time_limit", 0)),
			.warning_ms = (uint64_t)(1000 * tf_bind_number(L, atom, "time_warning", 0)),
			.memory = (uint64_t)tf_bind_number(L, atom, "memory_limit", 0),
			.arguments = (uint64_t)tf_bind_number(L, atom, "argument_limit", 0),
			.result = (uint64_t)tf_bind_number(L, atom, "result_limit", 0)};
	spec.concurrency = (unsigned)tf_bind_number(L, atom, "concurrency", 0);
	spec.queue_ms = (uint64_t)(1000 * tf_bind_number(L, atom, "queue_limit", 0));
	spec.each = tf_bind_string(L, atom, "each");
	spec.limit = (size_t)tf_bind_number(L, atom, "limit", 0);
	spec.no_revert = !retry && !flow_has(L, atom, "revert") && !flow_has(L, atom, "reference");
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

/* From the metatable of the first such instance, which stays as long as its class. */
TF_RAISES static void flow_learn_plain(struct flow_walk *w, int atom)
{
	lua_State *L = w->L;
	if (!luaL_getmetafield(L, atom, "plain"))
		return;
	for (int n = (int)lua_objlen(L, -1); w->plain_count < n && w->plain_count < FLOW_PLAIN_MAX;
		w->plain_count++) {
		lua_rawgeti(L, -1, w->plain_count + 1);
		w->plain[w->plain_count] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

TF_RAISES static bool flow_is_plain(const struct flow_walk *w, const char *key)
{
	for (int i = 0; i < w->plain_count; i++) {
		if (key == w->plain[i])
			return true;
	}
	return false;
}

/* Push the example of an instance that has no more than its name; false, with nothing pushed: it has more. */
TF_RAISES static bool flow_push_example(struct flow_walk *w, int atom)
{
	lua_State *L = w->L;
	if (!luaL_getmetafield(L, atom, "example"))
		return false;
	if (w->plain_count == 0)
		flow_learn_plain(w, atom);
	lua_pushnil(L);
	while (lua_next(L, atom)) {
		lua_pop(L, 1);
		const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
		if (!flow_is_plain(w, key)) {
			lua_pop(L, 2);
			return false;
		}
	}
	return true;
}

TF_RAISES static int flow_add_task(struct flow_walk *w, int atom)
{
	lua_State *L = w->L;
	bool plain = flow_push_example(w, atom);
	int example = lua_gettop(L);
	if (plain) {
		lua_pushvalue(L, example);
		lua_rawget(L, w->examples);
		if (!lua_isnil(L, -1)) {
			w->at++; /* the class name */
			return tf_graph_add_task_like(
				w->graph, (int)lua_tointeger(L, -1), tf_bind_string(L, atom, "name"));
		}
	}
	int id = flow_add_atom(w, atom, false);
	if (plain && id >= 0) {
		lua_pushvalue(L, example);
		lua_pushinteger(L, id);
		lua_rawset(L, w->examples);
	}
	return id;
}

TF_RAISES static int flow_open(struct flow_walk *w)
{
	const char *name = lua_tostring(w->L, flow_next(w)), *pattern = lua_tostring(w->L, flow_next(w));
	enum tf_pattern p = !strcmp(pattern, "graph")       ? TF_GRAPH
			    : !strcmp(pattern, "unordered") ? TF_UNORDERED
							    : TF_LINEAR;
	return tf_graph_open_flow(w->graph, name, p);
}

TF_RAISES static int flow_link(struct flow_walk *w)
{
	lua_State *L = w->L;
	size_t from = (size_t)lua_tointeger(L, flow_next(w)), to = (size_t)lua_tointeger(L, flow_next(w));
	int decider = (int)lua_tointeger(L, flow_next(w)), depth = (int)lua_tointeger(L, flow_next(w));
	if (from < 1 || from > w->count || to < 1 || to > w->count)
		return tf_err_set(w->err, TF_EINVAL, "a link names a child that was not added");
	return tf_graph_link(w->graph, w->ids[from - 1], w->ids[to - 1], decider, depth, w->err);
}

TF_RAISES static int flow_step(struct flow_walk *w)
{
	int first = flow_next(w);
	bool atom = lua_istable(w->L, first);
	const char *op = atom ? "" : lua_tostring(w->L, first);
	if (!strcmp(op, "close"))
		return tf_graph_close_flow(w->graph);
	if (!strcmp(op, "link"))
		return flow_link(w);
	int id = atom                   ? flow_add_task(w, first)
		 : !strcmp(op, "retry") ? flow_add_atom(w, flow_next(w), true)
					: flow_open(w);
	w->ids[w->count++] = id;
	return id;
}

void tf_flow_number(lua_State *L, int index, const struct tf_graph *g)
{
	size_t count = tf_graph_atom_count(g), same = 0;
	int id = 0, last = (int)count, atom;
	for (; same < count && (atom = tf_graph_atom_of(g, id)) <= (int)same; id++)
		same += atom >= 0;
	if (same == count) {
		lua_pushvalue(L, index);
		return;
	}
	lua_createtable(L, last, 0);
	id = 0;
	for (int i = 1; i <= last; id++) {
		if ((atom = tf_graph_atom_of(g, id)) < 0)
			continue;
		lua_rawgeti(L, index, i++);
		lua_rawseti(L, -2, atom + 1);
	}
}

int tf_flow_load(lua_State *L, int index, struct tf_graph *g, struct tf_err *err)
{
	int top = lua_gettop(L), rc = 0;
	luaL_checkstack(L, 20, "flow");
	struct flow_walk w = {
		.L = L, .graph = g, .steps = index, .at = 1, .last = (int)lua_objlen(L, index), .err = err};
	w.ids = lua_newuserdata(L, ((size_t)w.last + 1) * sizeof(*w.ids));
	lua_newtable(L);
	w.examples = lua_gettop(L);
	while (w.at <= w.last && rc >= 0) {
		rc = flow_step(&w);
		lua_settop(L, w.examples);
	}
	lua_settop(L, top);
	return rc < 0 ? rc : 0;
}
