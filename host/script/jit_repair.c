#include "script/jit_repair.h"

#include <dlfcn.h>
#include <errno.h>
#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

#ifdef __x86_64__

enum { CALL = 0xE8, CALL_SIZE = 5, XCHG_EAX_EDX = 0x92, NOP = 0x90 };

/* Code that calls a function and exchanges what it returned, all 64 bits of it. The function finds its caller's frame
 * where it would be without: it keeps what it found there. r11 lives over the call: the function is always lj_vm_next,
 * whose few registers do not include it, and compiled code expects nothing in it. One for the process. */
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
	unsigned char text[] = {0x41, 0x5B,         /* pop r11 */
		0x48, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, /* mov rax, target */
		0xFF, 0xD0,                         /* call rax */
		0x48, 0x92,                         /* xchg rax, rdx */
		0x41, 0xFF, 0xE3};                  /* jmp r11 */
	memcpy(text + 4, &target, sizeof target);
	memcpy(p, text, sizeof text);
	if (syscall(SYS_mprotect, p, page, PROT_READ | PROT_EXEC) == 0)
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
	int32_t offset = (int32_t)(thunk - (at + CALL_SIZE));
	memcpy(at + 1, &offset, sizeof offset);
	at[CALL_SIZE] = NOP;
	return 0;
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

/* The C library's own, as LuaJIT finds it: it makes the memory of its traces executable by this call. */
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): its names are reserved
int mprotect(void *address, size_t len, int flags)
{
	/* any function of LuaJIT says where LuaJIT is */
	const void *lua = (const void *)(uintptr_t)lua_next;
	Dl_info info;
	if (flags == (PROT_READ | PROT_EXEC) && dladdr(lua, &info) &&
		in_object(__builtin_return_address(0), info.dli_fbase) &&
		tf_jit_repair(address, len, lua) < 0) {
		tf_error("script", "compiled code cannot be repaired (LuaJIT issue 829): no memory near it");
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_mprotect, address, len, flags);
}

#else

int tf_jit_repair(unsigned char *code, size_t size, const void *within)
{
	(void)code, (void)size, (void)within;
	return 0;
}

#endif

void tf_jit_repair_link(void)
{
}
