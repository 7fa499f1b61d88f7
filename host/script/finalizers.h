/* Finalizers of scripts that raise errors. LuaJIT throws such an error into whatever ran when the collector found the
 * object; when that was the exit of a compiled trace, Debian 12's (2022-03-20) unwinds a frame that it does not describe
 * and crashes the process. Finalizers that scripts set by newproxy, ffi.gc and ffi.metatype are run protected here:
 * what they raise becomes a warning in the log, as in Lua 5.4. (Unseen: a __gc that is set a second time or by
 * rawset or debug.setmetatable, and those of other C modules.)
 */
#ifndef TF_SCRIPT_FINALIZERS_H
#define TF_SCRIPT_FINALIZERS_H

#include "script/call.h"

/* Call once, when the standard libraries are open and before any script runs. */
TF_RAISES void tf_finalizers_open(struct lua_State *L);

#endif
