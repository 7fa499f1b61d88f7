/* A limit on what a Lua state allocates, for the length of one action. Near the limit garbage is collected before it counts:
 * from half of it on, with each sixteenth more. Far beyond it (half as much again, which garbage may excuse no longer) the
 * guard calls `breach`, which does not return: no pcall of a script gets to see it. What lies between is the supervisor's
 * to judge, by what the process occupies (pool_limits.c).
 *
 * Where the process itself has a limit, what it leaves counts in the same way; and when an allocation fails all the same, which in
 * Lua would be an error that a pcall can swallow, the guard calls `refused`. */
#ifndef TF_SCRIPT_MEMORY_GUARD_H
#define TF_SCRIPT_MEMORY_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lua_State;

/* Neither returns. */
struct tf_memory_guard_events {
	void (*breach)(void *arg, uint64_t bytes); /* it takes so much */
	void (*refused)(void *arg, size_t bytes);  /* so much more cannot be had */
};

struct tf_memory_guard {
	struct lua_State *L;
	void *(*alloc)(void *ud, void *at, size_t before, size_t after); /* the state's own */
	void *ud;
	size_t used, next; /* bytes; `next`: when to collect again */
	size_t limit;      /* of the task; SIZE_MAX: none */
	size_t room;       /* what there is, by the limits of the task and the process */
	int step;          /* the collector's, as it was */
	const struct tf_memory_guard_events *events;
	void *arg;
};

/* Guard `L` until the end; `g` and `events` stay where they are. limit 0: none of its own. Does not raise; `g` is zeroed at first. */
void tf_memory_guard_begin(struct tf_memory_guard *g, struct lua_State *L, uint64_t limit,
	const struct tf_memory_guard_events *events, void *arg);
/* Whether this process has limits (ulimit -v, -d): then a guard is of use without one of the task. */
bool tf_memory_guard_is_useful(void);
/* Does nothing for one that never began. */
void tf_memory_guard_end(struct tf_memory_guard *g);

#endif
