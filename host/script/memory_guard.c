#include "script/memory_guard.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

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
	if (g->used < g->room / 2) {
		g->next = g->room / 2;
		return;
	}
	g->next = g->used + g->room / 16;
	guard_collect_soon(g);
}

static void *guard_alloc(void *ud, void *at, size_t before, size_t after)
{
	struct tf_memory_guard *g = ud;
	size_t used = g->used - (at ? before : 0) + after;
	if (after > before && used / 3 * 2 > g->limit)
		g->events->breach(g->arg, used);
	void *now = g->alloc(g->ud, at, before, after);
	if (!now && after)
		g->events->refused(g->arg, after - (at ? before : 0));
	g->used = used;
	if (used > g->next)
		guard_grow(g);
	else if (used < g->room / 2)
		g->next = g->room / 2;
	return now;
}

/* Bytes that the process may still map; SIZE_MAX without a limit. */
static size_t guard_room(void)
{
	struct rlimit space, data;
	size_t pages[6] = {0}, least = SIZE_MAX, page = (size_t)sysconf(_SC_PAGESIZE);
	if (!tf_memory_guard_is_useful())
		return SIZE_MAX;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return SIZE_MAX;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (fscanf(f, "%zu", &pages[i]) != 1)
			break;
	}
	fclose(f);
	const size_t used[] = {pages[0] * page, pages[5] * page}; /* size, and data with stack */
	getrlimit(RLIMIT_AS, &space);
	getrlimit(RLIMIT_DATA, &data);
	const rlim_t limits[] = {space.rlim_cur, data.rlim_cur};
	for (size_t i = 0; i < 2; i++) {
		size_t left = limits[i] > used[i] ? (size_t)limits[i] - used[i] : 0;
		if (limits[i] != RLIM_INFINITY && left < least)
			least = left;
	}
	return least;
}

bool tf_memory_guard_is_useful(void)
{
	struct rlimit space, data;
	return getrlimit(RLIMIT_AS, &space) == 0 && getrlimit(RLIMIT_DATA, &data) == 0 &&
	       (space.rlim_cur != RLIM_INFINITY || data.rlim_cur != RLIM_INFINITY);
}

void tf_memory_guard_begin(struct tf_memory_guard *g, struct lua_State *L, uint64_t limit,
	const struct tf_memory_guard_events *events, void *arg)
{
	tf_memory_guard_end(g); /* something raised before its end */
	*g = (struct tf_memory_guard){
		.L = L, .limit = limit ? (size_t)limit : SIZE_MAX, .events = events, .arg = arg};
	g->used = (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024;
	size_t left = guard_room();
	g->room = left < SIZE_MAX - g->used && left + g->used < g->limit ? left + g->used : g->limit;
	g->next = g->room / 2;
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
