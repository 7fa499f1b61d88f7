/* The script files that a Lua state has read, and a hash of what they say. Whatever reads a script goes through
 * tf_sources_load, which reads the file once: what is hashed is what runs. */
#ifndef TF_SCRIPT_SOURCES_H
#define TF_SCRIPT_SOURCES_H

#include <stdint.h>

#include "base/buf.h"
#include "pool/runner.h"
#include "script/call.h"

struct lua_State;

/* In a new state: an empty list, package.loaders[index] replaced by one that searches package.path and notes where, and
 * `loadfile` and `dofile` that note what they read. */
TF_RAISES void tf_sources_open(struct lua_State *L, int index);
/* As luaL_loadfile: the chunk, or the message, at the top; 0 or Lua's error code. */
TF_RAISES int tf_sources_load(struct lua_State *L, const char *path);
/* What was read or looked for, as absolute paths in the order of the first time; NULL-terminated, the caller frees strings
 * and array. `hash` (TF_SOURCES_HASH bytes, unless NULL): of the contents read. */
char **tf_sources_list(struct lua_State *L, char *hash);
/* Append them to `out`, each ended by NUL. */
void tf_sources_put(struct lua_State *L, struct tf_buf *out);

#endif
