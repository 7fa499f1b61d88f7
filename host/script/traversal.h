/* next() and pairs() that LuaJIT does not compile. Debian 12's (2022-03-20) compiles loops over them wrongly, now and
 * then: two registers are exchanged by their lower halves (LuaJIT issue 829), and others ended before their first
 * element. As C functions they are called from compiled code, as every LuaJIT before 2021 did it.
 */
#ifndef TF_SCRIPT_TRAVERSAL_H
#define TF_SCRIPT_TRAVERSAL_H

#include "script/call.h"

/* Call once, when the standard libraries are open and before any script runs. */
TF_RAISES void tf_traversal_open(struct lua_State *L);

#endif
