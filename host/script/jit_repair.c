#include "script/jit_repair.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "script/call.h"

#ifdef __x86_64__

enum { CALL = 0xE8, CALL_SIZE = 5, XCHG_EAX_EDX = 0x92, NOP = 0x90 };

/* Code that calls a function and exchanges what it returned, all 64 bits of it. One for the process: the function is
 * always the same. */
static pthread_mutex_t thunk_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned char *thunk_code;
static const unsigned char *thunk_target;

static unsigned char *call_target(const unsigned char *at)
{
	int32_t offset;
	memcpy(&offset, at + 1, sizeof offset);
	return (unsigned char *)(uintptr_t)(at + CALL_SIZE) + offset;
}

static bool reaches(const unsigned char *from, const unsigned char *to)
{
	intptr_t distance = to - from;
	return distance >= INT32_MIN + 64 && distance <= INT32_MAX - 64;
}

/* A free page that a call from `near` reaches. */
static unsigned char *map_near(const unsigned char *near, size_t page)
{
	const intptr_t step = 1 << 20, limit = 1 << 30;
	const intptr_t base = (intptr_t)near & -(intptr_t)page;
	for (intptr_t distance = step; distance < limit; distance += step)
		for (int sign = -1; sign <= 1; sign += 2) {
			void *hint = (void *)(base + sign * distance); // NOLINT(performance-no-int-to-ptr)
			void *p = mmap(hint, page, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
			if (p == hint)
				return p;
			if (p != MAP_FAILED)
				munmap(p, page); /* an old kernel takes the address for a wish */
		}
	return NULL;
}

static unsigned char *make_thunk(const unsigned char *target)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *p = map_near(target, page);
	if (!p)
		return NULL;
	unsigned char text[] = {0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, /* mov rax, target */
		0xFF, 0xD0,                                         /* call rax */
		0x48, 0x92,                                         /* xchg rax, rdx */
		0xC3};                                              /* ret */
	memcpy(text + 2, &target, sizeof target);
	memcpy(p, text, sizeof text);
	if (mprotect(p, page, PROT_READ | PROT_EXEC) == 0)
		return p;
	munmap(p, page);
	return NULL;
}

static unsigned char *thunk_for(const unsigned char *target)
{
	pthread_mutex_lock(&thunk_lock);
	if (!thunk_code && (thunk_code = make_thunk(target)))
		thunk_target = target;
	unsigned char *found = thunk_target == target ? thunk_code : NULL;
	pthread_mutex_unlock(&thunk_lock);
	return found;
}

static bool in_object(const unsigned char *address, const void *object)
{
	Dl_info info;
	return dladdr(address, &info) && info.dli_fbase == object;
}

/* The call goes through the thunk, the short exchange goes away. */
static int repair_place(unsigned char *at)
{
	unsigned char *thunk = thunk_for(call_target(at));
	if (!thunk || !reaches(at, thunk))
		return -1;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *first = at - (uintptr_t)at % page;
	size_t len = (size_t)(at + CALL_SIZE + 1 - first);
	if (mprotect(first, len, PROT_READ | PROT_WRITE) < 0)
		return -1;
	int32_t offset = (int32_t)(thunk - (at + CALL_SIZE));
	memcpy(at + 1, &offset, sizeof offset);
	at[CALL_SIZE] = NOP;
	return mprotect(first, len, PROT_READ | PROT_EXEC);
}

int tf_jit_repair(unsigned char *code, size_t size, const void *within)
{
	Dl_info info;
	int places = 0;
	if (!dladdr(within, &info))
		return 0;
	for (size_t i = 0; i + CALL_SIZE < size; i++) {
		if (code[i] != CALL || code[i + CALL_SIZE] != XCHG_EAX_EDX ||
			!in_object(call_target(code + i), info.dli_fbase))
			continue;
		if (repair_place(code + i) < 0)
			return -1;
		places++;
	}
	return places;
}

#else

int tf_jit_repair(unsigned char *code, size_t size, const void *within)
{
	(void)code, (void)size, (void)within;
	return 0;
}

#endif

/* ("stop", trace number, ...), with jit.util.tracemc as upvalue: a trace is ready and has not run yet. */
static int on_trace(lua_State *L)
{
	const char *what = lua_tostring(L, 1);
	if (!what || strcmp(what, "stop") != 0)
		return 0;
	lua_pushvalue(L, lua_upvalueindex(1)); /* tracemc */
	lua_pushvalue(L, 2);                   /* tracemc, number */
	if (lua_pcall(L, 1, 2, 0) != 0 || !lua_isstring(L, -2))
		return 0;                                    /* code, address */
	void *code = (void *)(uintptr_t)lua_tonumber(L, -1); // NOLINT(performance-no-int-to-ptr)
	/* any function of LuaJIT says where LuaJIT is */
	if (tf_jit_repair(code, lua_objlen(L, -2), (const void *)(uintptr_t)lua_next) < 0) {
		tf_warn("script", "a compiled loop cannot be repaired (LuaJIT issue 829): scripts go on "
				  "without the compiler");
		luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
		luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
	}
	return 0;
}

TF_RAISES void tf_jit_repair_attach(lua_State *L)
{
	lua_getglobal(L, "jit");          /* jit */
	lua_getfield(L, -1, "attach");    /* jit, attach */
	lua_getglobal(L, "require");      /* jit, attach, require */
	lua_pushliteral(L, "jit.util");   /* jit, attach, require, name */
	lua_call(L, 1, 1);                /* jit, attach, util */
	lua_getfield(L, -1, "tracemc");   /* jit, attach, util, tracemc */
	lua_remove(L, -2);                /* jit, attach, tracemc */
	lua_pushcclosure(L, on_trace, 1); /* jit, attach, on_trace */
	lua_pushliteral(L, "trace");      /* jit, attach, on_trace, event */
	lua_call(L, 2, 0);                /* jit */
	lua_pop(L, 1);
}
