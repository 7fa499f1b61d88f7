/* The transport part of an engine's or a worker's options, from a Lua table. */
#ifndef TF_SCRIPT_TRANSPORT_LUA_H
#define TF_SCRIPT_TRANSPORT_LUA_H

#include "script/call.h"
#include "transport/transport.h"

struct lua_State;

/* Members url, exchange, transport, transport_options, retry_options of the table at `index`. Strings are borrowed
 * while the table keeps them; out->options is a new reference, NULL if absent. */
TF_RAISES void tf_transport_lua_read(struct lua_State *L, int index, struct tf_transport_config *out);

#endif
