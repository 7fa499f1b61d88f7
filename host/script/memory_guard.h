/* A limit on what a Lua state allocates, for the length of one action. Near the limit garbage is collected before it counts:
 * from half of it on, with each sixteenth more. Far beyond it (half as much again, which garbage may excuse no longer) the
 * guard calls `breach`, which does not return: no pcall of a script gets to see it. What lies between is the supervisor's
 * to judge, by what the process occupies (pool_limits.c). */
#ifndef TF_SCRIPT_MEMORY_GUARD_H
#define TF_SCRIPT_MEMORY_GUARD_H

#include <stddef.h>
#include <stdint.h>

struct lua_State;

struct tf_memory_guard {
	struct lua_State *L;
	void *(*alloc)(void *ud, void *at, size_t before, size_t after); /* the state's own */
	void *ud;
	size_t used, limit, next; /* bytes; `next`: when to collect again */
	int step;                 /* the collector's, as it was */
	void (*breach)(void *arg, uint64_t bytes);
	void *arg;
};

/* Guard `L` until the end; `g` stays where it is. Does not raise; `g` is zeroed at first. */
void tf_memory_guard_begin(struct tf_memory_guard *g, struct lua_State *L, uint64_t limit,
	void (*breach)(void *arg, uint64_t bytes), void *arg);
/* Does nothing for one that never began. */
void tf_memory_guard_end(struct tf_memory_guard *g);

#endif
