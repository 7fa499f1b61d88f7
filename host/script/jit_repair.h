/* Debian 12's LuaJIT (2022-03-20) exchanges the two results of next() in some compiled loops by an instruction of 32
 * bits, which cuts a pointer in half: a loop over pairs() crashes the process, depending on where memory lies
 * (LuaJIT issue 829, repaired upstream two weeks later). LuaJIT calls mprotect before code can run; the program has
 * an mprotect of its own that repairs such places first. A LuaJIT without the fault has none. (The handler of
 * jit.attach would be the natural place, but with one attached LuaJIT crashes when a trace is given up in a coroutine
 * that has only C functions.)
 */
#ifndef TF_SCRIPT_JIT_REPAIR_H
#define TF_SCRIPT_JIT_REPAIR_H

#include <stddef.h>

/* Repairs machine code in writable memory. Calls count if they go into the object (program or library) that has
 * `within`. Returns the number of places, or -1 if there is one that cannot be repaired. */
int tf_jit_repair(unsigned char *code, size_t size, const void *within);

/* Does nothing. Whoever makes states calls it, so that the linker takes the mprotect out of the library. */
void tf_jit_repair_link(void);

#endif
