/* Memory that lives and dies with one owner: many small pieces, one release. */
#ifndef TF_BASE_ARENA_H
#define TF_BASE_ARENA_H

#include <stddef.h>

struct tf_arena_chunk;
struct tf_arena {
	struct tf_arena_chunk *chunks; /* newest first */
	char *at;                      /* free space of the newest */
	size_t left;
};

#define TF_ARENA_INIT ((struct tf_arena){0})

void *tf_arena_alloc(struct tf_arena *a, size_t n); /* aligned for any object, not zeroed */
void tf_arena_free(struct tf_arena *a);             /* releases everything and zeroes */

#endif
