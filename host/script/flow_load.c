#include "script/flow_load.h"

#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/value_lua.h"

enum { FLOW_PLAIN_MAX = 8, FLOW_LINK_LISTS = 4, FLOW_DEPTH_ALL = 3 };

/* Where the walk is. Positive stack indices. */
struct flow_walk {
	lua_State *L;
	struct tf_graph *graph;
	int describe;     /* the plan */
	int steps;        /* the list */
	int at, last;     /* of the next value, of the last */
	int atoms;        /* list of all, in order of adding */
	int examples;     /* table: metatable -> node id of a task that says no more than its name */
	const void *meta; /* of the last task, see flow_look_at */
	int like;
	/* Members that such a task may have, its name first; all else it shares with the `example` of its class. Lua's own
	 * copies: compared by address. */
	const char *plain[FLOW_PLAIN_MAX];
	int plain_count;
	int *ids; /* the graph's node ids of flows and atoms, in order of adding */
	size_t count;
	struct tf_err *err;
};

/* A flow or an atom has this id, or was refused: rc again. */
static int flow_added(struct flow_walk *w, int rc)
{
	if (rc >= 0)
		w->ids[w->count++] = rc;
	return rc;
}

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

TF_RAISES static int flow_add_atom(struct flow_walk *w, int atom, const char *class_name, bool retry)
{
	lua_State *L = w->L;
	struct tf_atom_spec spec = {.task_cls = class_name};
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

/* Names that are plain text of ASCII are most of all; others are looked at in Lua, which raises what is wrong. */
TF_RAISES static void flow_check_name(struct flow_walk *w, int atom, int name)
{
	lua_State *L = w->L;
	size_t len = 0, i = 0;
	const char *s = lua_type(L, name) == LUA_TSTRING ? lua_tolstring(L, name, &len) : "";
	while (i < len && (signed char)s[i] > 0)
		i++;
	if (len > 0 && i == len)
		return;
	lua_getfield(L, w->describe, "check_name");
	lua_pushvalue(L, atom);
	lua_call(L, 1, 0);
}

/* Pushes the class name of the atom at index `atom`: borrowed. */
TF_RAISES static const char *flow_class_name(struct flow_walk *w, int atom)
{
	lua_getfield(w->L, w->describe, "class_name");
	lua_pushvalue(w->L, atom);
	lua_call(w->L, 1, 1);
	return lua_tostring(w->L, -1);
}

/* Learn the members that an instance may have which says no more than its name, from the metatable at the top. */
TF_RAISES static void flow_learn_plain(struct flow_walk *w)
{
	lua_State *L = w->L;
	lua_getfield(L, -1, "plain");
	for (int n = (int)lua_objlen(L, -1); w->plain_count < n && w->plain_count < FLOW_PLAIN_MAX;
		w->plain_count++) {
		lua_rawgeti(L, -1, w->plain_count + 1);
		w->plain[w->plain_count] = lua_tostring(L, -1);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* The metatable at the top is that of w->meta from here on: w->like is the id of a task with it that says no more than
 * its name, 0 if there was none yet, -1 if there can be none. */
TF_RAISES static void flow_look_at(struct flow_walk *w)
{
	lua_State *L = w->L;
	w->meta = lua_topointer(L, -1);
	lua_pushvalue(L, -1);
	lua_rawget(L, w->examples);
	w->like = (int)lua_tointeger(L, -1);
	lua_pop(L, 1);
	if (w->like > 0)
		return;
	lua_pushliteral(L, "example");
	lua_rawget(L, -2);
	w->like = lua_isnil(L, -1) ? -1 : 0;
	lua_pop(L, 1);
	if (w->like == 0 && w->plain_count == 0)
		flow_learn_plain(w);
}

TF_RAISES static bool flow_is_plain(const struct flow_walk *w, const char *key)
{
	for (int i = 0; i < w->plain_count; i++) {
		if (key == w->plain[i])
			return true;
	}
	return false;
}

/* Whether the instance at index `atom` has no more than its name, which is pushed then; else nothing is. */
TF_RAISES static bool flow_push_plain_name(struct flow_walk *w, int atom)
{
	lua_State *L = w->L;
	lua_pushnil(L); /* the name */
	lua_pushnil(L);
	while (lua_next(L, atom)) { /* name, key, value */
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
		if (!flow_is_plain(w, key)) {
			lua_pop(L, 3);
			return false;
		}
		if (key == w->plain[0])
			lua_replace(L, -3);
		else
			lua_pop(L, 1);
	}
	return true;
}

TF_RAISES static int flow_add_atom_checked(struct flow_walk *w, int atom, bool retry)
{
	lua_getfield(w->L, atom, "name");
	flow_check_name(w, atom, lua_gettop(w->L));
	return flow_add_atom(w, atom, flow_class_name(w, atom), retry);
}

/* The task at index `atom`. */
TF_RAISES static int flow_add_task(struct flow_walk *w, int atom)
{
	lua_State *L = w->L;
	if (!lua_getmetatable(L, atom))
		return flow_add_atom_checked(w, atom, false);
	if (lua_topointer(L, -1) != w->meta)
		flow_look_at(w);
	int meta = lua_gettop(L);
	bool plain = w->like >= 0 && flow_push_plain_name(w, atom);
	if (plain && w->like > 0) {
		flow_check_name(w, atom, lua_gettop(L));
		return tf_graph_add_task_like(w->graph, w->like, lua_tostring(L, -1));
	}
	int id = flow_add_atom_checked(w, atom, false);
	if (plain && id > 0) {
		w->like = id;
		lua_pushvalue(L, meta);
		lua_pushinteger(L, id);
		lua_rawset(L, w->examples);
	}
	return id;
}

/* All from one place in the list of atoms to another. */
TF_RAISES static int flow_add_tasks(struct flow_walk *w)
{
	lua_State *L = w->L;
	int first = (int)lua_tointeger(L, flow_next(w)), last = (int)lua_tointeger(L, flow_next(w)), rc = 0;
	int top = lua_gettop(L);
	for (int i = first; i <= last && rc >= 0; i++) {
		lua_rawgeti(L, w->atoms, i);
		rc = flow_add_task(w, top + 1);
		flow_added(w, rc);
		lua_settop(L, top);
	}
	return rc;
}

TF_RAISES static int flow_open(struct flow_walk *w)
{
	const char *name = lua_tostring(w->L, flow_next(w)), *pattern = lua_tostring(w->L, flow_next(w));
	enum tf_pattern p = !strcmp(pattern, "graph")       ? TF_GRAPH
			    : !strcmp(pattern, "unordered") ? TF_UNORDERED
							    : TF_LINEAR;
	return tf_graph_open_flow(w->graph, name, p);
}

/* Push member `at` of the list at `list`: a number, which is taken off again. 0: there is none. */
TF_RAISES static lua_Integer flow_number_at(lua_State *L, int list, lua_Integer at)
{
	lua_rawgeti(L, list, (int)at);
	lua_Integer n = lua_tointeger(L, -1);
	lua_pop(L, 1);
	return n;
}

/* Between children that take part; of some there is a table that says more. */
TF_RAISES static int flow_link(struct flow_walk *w, int lists, int link)
{
	lua_State *L = w->L;
	int from_list = lists, to_list = lists + 1, said = lists + 2, numbers = lists + 3;
	lua_Integer from = flow_number_at(L, numbers, flow_number_at(L, from_list, link)),
		    to = flow_number_at(L, numbers, flow_number_at(L, to_list, link));
	int decider = -1, depth = FLOW_DEPTH_ALL;
	if (from < 1 || to < 1)
		return 0;
	if ((size_t)from > w->count || (size_t)to > w->count)
		return tf_err_set(w->err, TF_EINVAL, "a link names a child that was not added");
	lua_rawgeti(L, said, link);
	if (lua_istable(L, -1)) {
		decider = (int)tf_bind_number(L, lua_gettop(L), "number", -1);
		depth = (int)tf_bind_number(L, lua_gettop(L), "depth", FLOW_DEPTH_ALL);
	}
	lua_pop(L, 1);
	return tf_graph_link(w->graph, w->ids[from - 1], w->ids[to - 1], decider, depth, w->err);
}

TF_RAISES static int flow_links(struct flow_walk *w)
{
	lua_State *L = w->L;
	int count = (int)lua_tointeger(L, flow_next(w)), lists = lua_gettop(L) + 1, rc = 0;
	for (int i = 0; i < FLOW_LINK_LISTS; i++)
		luaL_checktype(L, flow_next(w), LUA_TTABLE);
	for (int i = 1; i <= count && rc >= 0; i++)
		rc = flow_link(w, lists, i);
	return rc;
}

TF_RAISES static int flow_step(struct flow_walk *w)
{
	const char *op = lua_tostring(w->L, flow_next(w));
	if (!strcmp(op, "tasks"))
		return flow_add_tasks(w);
	if (!strcmp(op, "close"))
		return tf_graph_close_flow(w->graph);
	if (!strcmp(op, "links"))
		return flow_links(w);
	if (!strcmp(op, "open"))
		return flow_added(w, flow_open(w));
	lua_rawgeti(w->L, w->atoms, (int)lua_tointeger(w->L, flow_next(w)));
	return flow_added(w, flow_add_atom_checked(w, lua_gettop(w->L), true));
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
	luaL_checkstack(L, 30, "flow");
	struct flow_walk w = {.L = L, .graph = g, .describe = index, .at = 1, .err = err};
	lua_getfield(L, index, "steps");
	w.steps = lua_gettop(L);
	w.last = (int)lua_objlen(L, w.steps);
	lua_getfield(L, index, "order");
	w.atoms = lua_gettop(L);
	/* Each flow has steps of its own. */
	w.ids = lua_newuserdata(L, ((size_t)w.last + lua_objlen(L, w.atoms)) * sizeof(*w.ids));
	lua_newtable(L);
	w.examples = lua_gettop(L);
	while (w.at <= w.last && rc >= 0) {
		rc = flow_step(&w);
		lua_settop(L, w.examples);
	}
	lua_settop(L, top);
	return rc < 0 ? rc : 0;
}
