#include "script/memory_guard.h"

#include <lua.h>

enum { GUARD_STEP = 200 }; /* the collector's, by default */

/* The next time that the collector may run, it does, and to the end of its cycle. None of this allocates. */
static void guard_collect_soon(struct tf_memory_guard *g)
{
	lua_gc(g->L, LUA_GCSETSTEPMUL, 0);
	lua_gc(g->L, LUA_GCRESTART, 0);
}

static void guard_grow(struct tf_memory_guard *g)
{
	if (g->used < g->limit / 2) {
		g->next = g->limit / 2;
		return;
	}
	g->next = g->used + g->limit / 16;
	guard_collect_soon(g);
}

static void *guard_alloc(void *ud, void *at, size_t before, size_t after)
{
	struct tf_memory_guard *g = ud;
	size_t used = g->used - (at ? before : 0) + after;
	if (after > before && used > g->limit + g->limit / 2)
		g->breach(g->arg, used);
	void *now = g->alloc(g->ud, at, before, after);
	if (!now && after)
		return NULL;
	g->used = used;
	if (used > g->next)
		guard_grow(g);
	else if (used < g->limit / 2)
		g->next = g->limit / 2;
	return now;
}

void tf_memory_guard_begin(struct tf_memory_guard *g, struct lua_State *L, uint64_t limit,
	void (*breach)(void *arg, uint64_t bytes), void *arg)
{
	tf_memory_guard_end(g); /* something raised before its end */
	*g = (struct tf_memory_guard){.L = L, .limit = (size_t)limit, .breach = breach, .arg = arg};
	g->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
	g->next = g->limit / 2;
	g->step = lua_gc(L, LUA_GCSETSTEPMUL, GUARD_STEP);
	lua_gc(L, LUA_GCSETSTEPMUL, g->step);
	g->alloc = lua_getallocf(L, &g->ud);
	lua_setallocf(L, guard_alloc, g);
}

void tf_memory_guard_end(struct tf_memory_guard *g)
{
	if (!g->L)
		return;
	lua_setallocf(g->L, g->alloc, g->ud);
	lua_gc(g->L, LUA_GCSETSTEPMUL, g->step);
	g->L = NULL;
}
