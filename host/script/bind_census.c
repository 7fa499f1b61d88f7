/* census(options) of module tfhost.census: who answers on topics. Options: topics, wait (seconds), and those of a transport. */
#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"
#include "script/modules.h"
#include "script/transport_lua.h"
#include "wbe/census.h"

enum { CENSUS_MAX_SECONDS = 86400 };

static void set_text(lua_State *L, const char *name, const char *text)
{
	if (!text[0])
		return;
	lua_pushstring(L, text);
	lua_setfield(L, -2, name);
}

static void set_number(lua_State *L, const char *name, int64_t n)
{
	if (n < 0)
		return;
	lua_pushnumber(L, (lua_Number)n);
	lua_setfield(L, -2, name);
}

static void append(lua_State *L)
{
	lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
}

static void on_worker(void *arg, const struct tf_census_worker *w)
{
	lua_State *L = arg;
	const struct tf_peer *p = w->peer;
	lua_newtable(L); /* workers, silent, worker */
	set_text(L, "topic", w->topic);
	set_text(L, "kind", p->present ? "tfhost" : "other");
	set_text(L, "worker", p->worker);
	set_text(L, "host", p->host);
	set_text(L, "hash", p->hash);
	set_number(L, "pid", p->pid);
	set_number(L, "slots", p->slots);
	set_number(L, "busy", p->busy);
	set_number(L, "waiting", p->waiting);
	set_number(L, "generation", p->generation);
	set_number(L, "answers", w->answers);
	lua_pushnumber(L, (lua_Number)w->answered_ms / 1000);
	lua_setfield(L, -2, "answered");
	lua_newtable(L); /* ..., classes */
	for (size_t i = 0; i < w->class_count; i++) {
		lua_pushstring(L, w->classes[i]);
		append(L);
	}
	lua_setfield(L, -2, "classes"); /* workers, silent, worker */
	lua_pushvalue(L, -1);
	lua_rawseti(L, -4, (int)lua_objlen(L, -4) + 1);
	lua_pop(L, 1); /* workers, silent */
}

static void on_nobody(void *arg, const char *topic)
{
	lua_State *L = arg;
	lua_pushstring(L, topic);
	append(L);
}

/* take(options) -> workers, topics where nobody has answered | nil, message, code */
TF_RAISES static int census_take(lua_State *L)
{
	struct tf_census_config config = {0};
	struct tf_err err;
	luaL_checktype(L, 1, LUA_TTABLE);
	double wait = tf_bind_number(L, 1, "wait", 2);
	config.wait_ms =
		(uint64_t)(1000 * (wait > 0 && wait < CENSUS_MAX_SECONDS ? wait : CENSUS_MAX_SECONDS));
	config.topics = tf_bind_strings(L, 1, "topics"); /* a userdata stays on the stack */
	luaL_argcheck(L, config.topics && config.topics[0], 1, "topics: expected a list of names");
	lua_newtable(L);
	lua_newtable(L); /* ..., workers, silent */
	tf_transport_lua_read(L, 1, &config.transport);
	if (!config.transport.exchange)
		config.transport.exchange = "default";
	const struct tf_census_visitor visitor = {.worker = on_worker, .nobody = on_nobody, .arg = L};
	int rc = tf_census(&config, &visitor, &err);
	tf_value_unref(config.transport.options);
	return rc < 0 ? tf_bind_fail(L, &err) : 2;
}

int tf_bind_census_open(lua_State *L)
{
	static const struct luaL_Reg functions[] = {{"take", census_take}, {NULL, NULL}};
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
