#include "script/transport_lua.h"

#include <lauxlib.h>
#include <lua.h>

#include "script/bind.h"

void tf_transport_lua_read(lua_State *L, int index, struct tf_transport_config *out)
{
	*out = (struct tf_transport_config){
		.url = tf_bind_string(L, index, "url"),
		.transport = tf_bind_string(L, index, "transport"),
		.exchange = tf_bind_string(L, index, "exchange"),
	};
	lua_getfield(L, index, "retry_options");
	if (lua_istable(L, -1)) {
		int retry = lua_gettop(L);
		out->retry.interval_start = tf_bind_number(L, retry, "interval_start", 0);
		out->retry.interval_step = tf_bind_number(L, retry, "interval_step", 0);
		out->retry.interval_max = tf_bind_number(L, retry, "interval_max", 0);
		out->retry.max_retries = (int)tf_bind_number(L, retry, "max_retries", 0);
	}
	lua_pop(L, 1);
	/* Last, since it alone is owned. */
	out->options = tf_bind_value(L, index, "transport_options", "transport_options");
}
