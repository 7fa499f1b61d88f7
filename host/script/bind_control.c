/* Module tfhost.control: the control sockets of other processes. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/clock.h"
#include "control/client.h"
#include "script/bind.h"
#include "script/modules.h"

/* sockets(kind) -> paths of the sockets of living processes of that kind ("worker"), in no order | nil, message, code */
TF_RAISES static int control_sockets(lua_State *L)
{
	const char *kind = luaL_checkstring(L, 1);
	char **paths;
	struct tf_err err;
	if (tf_control_find(kind, &paths, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_newtable(L);
	for (int i = 0; paths[i]; i++) {
		lua_pushstring(L, paths[i]);
		lua_rawseti(L, -2, i + 1);
		free(paths[i]);
	}
	free(paths);
	return 1;
}

/* ask(path, request, seconds) -> text of the result | nil, message, code. The request is the text of a JSON object. */
TF_RAISES static int control_ask(lua_State *L)
{
	const char *path = luaL_checkstring(L, 1), *request = luaL_checkstring(L, 2);
	unsigned timeout_ms = (unsigned)(1000 * luaL_checknumber(L, 3));
	struct tf_value *result;
	struct tf_err err;
	if (tf_control_ask(path, request, timeout_ms ? timeout_ms : 1, &result, &err) < 0)
		return tf_bind_fail(L, &err);
	lua_pushlstring(L, tf_value_text(result), tf_value_len(result));
	tf_value_unref(result);
	return 1;
}

#define STREAMS_META "tfhost.control.streams"

/* Several connections that tell events. */
struct streams {
	int count;
	struct tf_control_stream *of[]; /* NULL: over */
};

/* follow(paths, request, seconds) -> streams | nil, message, code. Who cannot be reached is told by the first `next`. */
TF_RAISES static int control_follow(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	const char *request = luaL_checkstring(L, 2);
	unsigned timeout_ms = (unsigned)(1000 * luaL_checknumber(L, 3));
	int count = (int)lua_objlen(L, 1);
	struct tf_err err;
	struct streams *s = lua_newuserdata(L, sizeof(*s) + (size_t)count * sizeof(s->of[0]));
	s->count = 0;
	luaL_getmetatable(L, STREAMS_META);
	lua_setmetatable(L, -2);
	for (int i = 0; i < count; i++) {
		lua_rawgeti(L, 1, i + 1);
		const char *path = luaL_checkstring(L, -1);
		if (tf_control_follow(path, request, timeout_ms ? timeout_ms : 1, &s->of[i], &err) < 0)
			return tf_bind_fail(L, &err);
		s->count = i + 1;
		lua_pop(L, 1);
	}
	return 1;
}

/* One that has something to say, before `limit_ms`; -1: none; -2: all are over. */
static int streams_wait(struct streams *s, uint64_t limit_ms)
{
	uint64_t now = tf_clock_ms(&tf_clock_real);
	struct pollfd *wait = calloc((size_t)s->count + 1, sizeof(*wait));
	int found = -2;
	for (int i = 0; wait && i < s->count; i++) {
		wait[i] = (struct pollfd){
			.fd = s->of[i] ? tf_control_stream_fd(s->of[i]) : -1, .events = POLLIN};
		found = s->of[i] ? -1 : found;
	}
	if (wait && found == -1 &&
		poll(wait, (nfds_t)s->count, now < limit_ms ? (int)(limit_ms - now) : 0) > 0)
		for (int i = 0; i < s->count && found < 0; i++)
			found = wait[i].revents ? i : found;
	free(wait);
	return found;
}

/* streams:next(seconds) -> index, text of an event | index, nil, message, code: that one is over
 * | nil: nothing within that time | false: all are over */
TF_RAISES static int streams_next(lua_State *L)
{
	struct streams *s = luaL_checkudata(L, 1, STREAMS_META);
	uint64_t limit_ms = tf_clock_ms(&tf_clock_real) + (uint64_t)(1000 * luaL_checknumber(L, 2));
	struct tf_value *event;
	struct tf_err err;
	for (int i = 0;; i++) {
		int rc = i < s->count && s->of[i] ? tf_control_stream_next(s->of[i], &event, &err) : 0;
		if (rc > 0) {
			lua_pushinteger(L, i + 1);
			lua_pushlstring(L, tf_value_text(event), tf_value_len(event));
			tf_value_unref(event);
			return 2;
		}
		if (rc < 0) {
			tf_control_stream_delete(s->of[i]);
			s->of[i] = NULL;
			lua_pushinteger(L, i + 1);
			return 1 + tf_bind_fail(L, &err);
		}
		if (i < s->count)
			continue;
		i = streams_wait(s, limit_ms);
		if (i == -2) {
			lua_pushboolean(L, 0);
			return 1;
		}
		if (i < 0 && tf_clock_ms(&tf_clock_real) >= limit_ms)
			return 0;
		i = -1;
	}
}

static int streams_gc(lua_State *L)
{
	struct streams *s = lua_touserdata(L, 1);
	for (int i = 0; i < s->count; i++)
		tf_control_stream_delete(s->of[i]);
	s->count = 0;
	return 0;
}

int tf_bind_control_open(lua_State *L)
{
	static const struct luaL_Reg functions[] = {
		{"sockets", control_sockets}, {"ask", control_ask}, {"follow", control_follow}, {NULL, NULL}};
	static const struct luaL_Reg methods[] = {{"next", streams_next}, {"__gc", streams_gc}, {NULL, NULL}};
	luaL_newmetatable(L, STREAMS_META);
	luaL_register(L, NULL, methods);
	lua_pushvalue(L, -1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	lua_newtable(L);
	luaL_register(L, NULL, functions);
	return 1;
}
