/* LuaJIT issue 829: compiled loops over pairs() crashed one run in four of the conformance flows, for two registers were
 * exchanged by their lower halves. The same code is written here by hand, seen to fail, and repaired. */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "test/cmocka_all.h"

#include <lauxlib.h>
#include <lua.h>

#include "script/jit_repair.h"
#include "script/state.h"

#ifdef __x86_64__

struct two { /* comes back in rax and rdx */
	uint64_t first, second;
};

/* Like LuaJIT's lj_vm_next, it also leaves something in its caller's frame, right above the return address. */
struct two wide(void);
__asm__(".text\n"
	"wide:\n"
	"movabs $0x7f0011112222, %rax\n"
	"movabs $0x7f0033334444, %rdx\n"
	"mov %rax, 8(%rsp)\n"
	"mov %rdx, 16(%rsp)\n"
	"ret\n");

/* sub rsp, 24; call wide; xchg eax, edx; add rsp, 24; ret: in a page that `wide` can be called from */
static unsigned char *write_code(size_t *size)
{
	unsigned char *page = MAP_FAILED;
	uintptr_t at = (uintptr_t)wide & ~(uintptr_t)0xfff;
	for (uintptr_t away = 1 << 20; page == MAP_FAILED && away < 1 << 30; away += 1 << 20)
		page = mmap((void *)(at - away), 4096,
			PROT_READ | PROT_WRITE, // NOLINT(performance-no-int-to-ptr)
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_true(page != MAP_FAILED);
	unsigned char code[] = {0x48, 0x83, 0xEC, 24, 0xE8, 0, 0, 0, 0, 0x92, 0x48, 0x83, 0xC4, 24, 0xC3};
	int32_t offset = (int32_t)((intptr_t)wide - (intptr_t)(page + 9));
	memcpy(code + 5, &offset, sizeof offset);
	memcpy(page, code, sizeof code);
	*size = sizeof code;
	return page;
}

static struct two run(unsigned char *code)
{
	struct two (*f)(void);
	memcpy(&f, &code, sizeof f);
	assert_int_equal(mprotect(code, 4096, PROT_READ | PROT_EXEC), 0);
	struct two got = f();
	assert_int_equal(mprotect(code, 4096, PROT_READ | PROT_WRITE), 0);
	return got;
}

static void whole_registers(void **state)
{
	(void)state;
	size_t size;
	unsigned char *code = write_code(&size);
	assert_int_equal(run(code).first, UINT64_C(0x33334444)); /* the fault */

	/* calls into other objects are none of ours */
	assert_int_equal(
		tf_jit_repair(code, size, (const void *)(uintptr_t)dlsym(RTLD_DEFAULT, "memcpy")), 0);
	assert_int_equal(run(code).first, UINT64_C(0x33334444));

	assert_int_equal(tf_jit_repair(code, size, (const void *)(uintptr_t)wide), 1);
	struct two got = run(code);
	assert_int_equal(got.first, UINT64_C(0x7f0033334444));
	assert_int_equal(got.second, UINT64_C(0x7f0011112222));
	assert_int_equal(tf_jit_repair(code, size, (const void *)(uintptr_t)wide), 0); /* once */
	munmap(code, 4096);
}

static void nothing_to_do(void **state)
{
	(void)state;
	unsigned char code[] = {0x90, 0xE8, 0, 0, 0, 0, 0x48, 0x92, 0xE8, 1, 2};
	unsigned char before[sizeof code];
	memcpy(before, code, sizeof code);
	assert_int_equal(tf_jit_repair(code, sizeof code, (const void *)(uintptr_t)wide), 0);
	assert_int_equal(tf_jit_repair(code, 0, (const void *)(uintptr_t)wide), 0);
	assert_memory_equal(code, before, sizeof code);
}

#endif

/* Scripts are compiled as ever. */
static void the_compiler_is_on(void **state)
{
	(void)state;
	lua_State *L;
	assert_int_equal(tf_state_new(NULL, &L, NULL), 0);
	assert_int_equal(
		luaL_dostring(L, "local util = require 'jit.util'\n"
				 "local t, n = {}, 0\n"
				 "for i = 1, 100 do t['k' .. i] = i end\n"
				 "for _ = 1, 200 do for _, v in pairs(t) do n = n + v end end\n"
				 "assert(n == 200 * 5050)\n"
				 "assert(jit.status() and util.traceinfo(1), 'nothing was compiled')"),
		0);
	tf_state_delete(L);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef __x86_64__
		cmocka_unit_test(whole_registers),
		cmocka_unit_test(nothing_to_do),
#endif
		cmocka_unit_test(the_compiler_is_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
