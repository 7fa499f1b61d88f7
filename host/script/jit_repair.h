/* Debian 12's LuaJIT (2022-03-20) exchanges the two results of next() in some compiled loops by an instruction of 32
 * bits, which cuts a pointer in half: a loop over pairs() crashes the process, depending on where memory lies
 * (LuaJIT issue 829, repaired upstream two weeks later). Each new trace is looked at, and such a place is repaired
 * before the trace runs for the first time. A LuaJIT without the fault has no such place.
 */
#ifndef TF_SCRIPT_JIT_REPAIR_H
#define TF_SCRIPT_JIT_REPAIR_H

#include <stddef.h>

struct lua_State;

/* Raises Lua errors. The libraries are open; takes the place of jit.attach for "trace". */
void tf_jit_repair_attach(struct lua_State *L);

/* Repairs machine code that is mapped for reading and executing. Calls count if they go into the object (program or
 * library) that has `within`. Returns the number of places, or -1 with errno if there is one that cannot be. */
int tf_jit_repair(unsigned char *code, size_t size, const void *within);

#endif
