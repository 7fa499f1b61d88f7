/* A worker's memory grew for half an hour of mixed load with messages of a megabyte that were long forgotten: they had lain
 * among small ones that stayed. It cost 4 MB in 20 minutes of make soak. */
#include <malloc.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"

enum { LARGE = 1 << 20, ROUNDS = 32, SMALL = 200 };

static void large_blocks_are_given_back(void **state)
{
	char *kept[ROUNDS], *large;
	(void)state;
	tf_mem_set_up();
	free(tf_malloc(
		2 * LARGE)); /* from now on glibc, left to itself, has those of a megabyte in the heap */
	for (int i = 0; i < ROUNDS; i++) {
		large = tf_malloc(LARGE + (size_t)i * 4096); /* does not fit where the last one was */
		memset(large, 'y', LARGE);
		kept[i] = tf_malloc(SMALL); /* what a ledger has of a small outcome */
		free(large);
	}
	const struct mallinfo2 m = mallinfo2();
	if (m.fordblks > LARGE)
		fail_msg("%zu bytes are free in the heap, of %zu", m.fordblks, m.arena);
	for (int i = 0; i < ROUNDS; i++)
		free(kept[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(large_blocks_are_given_back)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
