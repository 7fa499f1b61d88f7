#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>

#include "base/mem.h"

enum { CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

struct tf_arena_chunk {
	struct tf_arena_chunk *next;
	size_t size;
	alignas(max_align_t) char bytes[];
};

void *tf_arena_alloc(struct tf_arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	n = (n + align - 1) / align * align;
	if (n > a->left) {
		/* Chunks double, so that few are needed whatever the size of the flow. */
		size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_MIN;
		if (size > CHUNK_MAX)
			size = CHUNK_MAX;
		if (size < n)
			size = n;
		struct tf_arena_chunk *c = tf_malloc(sizeof *c + size);
		c->next = a->chunks;
		c->size = size;
		a->chunks = c;
		a->at = c->bytes;
		a->left = size;
	}
	void *p = a->at;
	a->at += n;
	a->left -= n;
	return p;
}

void tf_arena_free(struct tf_arena *a)
{
	while (a->chunks) {
		struct tf_arena_chunk *c = a->chunks;
		a->chunks = c->next;
		free(c);
	}
	*a = TF_ARENA_INIT;
}
