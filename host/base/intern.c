#include "base/intern.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/arena.h"

enum { FIRST_SLOTS = 64 }; /* a power of two */

struct tf_intern {
	uint32_t *slots; /* open addressing: id, or TF_NONE */
	uint32_t slot_count;
	const char **texts; /* by id */
	uint32_t *hashes;
	uint32_t count, cap;
	struct tf_arena arena;
};

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h ^ h >> 15;
}

static uint32_t *new_slots(uint32_t n)
{
	uint32_t *slots = tf_malloc(n * sizeof *slots);
	memset(slots, 0xff, n * sizeof *slots);
	return slots;
}

struct tf_intern *tf_intern_new(void)
{
	struct tf_intern *t = TF_NEW(struct tf_intern);
	t->slot_count = FIRST_SLOTS;
	t->slots = new_slots(FIRST_SLOTS);
	return t;
}

void tf_intern_delete(struct tf_intern *t)
{
	if (!t)
		return;
	tf_arena_free(&t->arena);
	free(t->slots);
	free(t->texts);
	free(t->hashes);
	free(t);
}

/* The slot that holds s, or the free one where it belongs. */
static uint32_t *slot_of(const struct tf_intern *t, const char *s, uint32_t hash)
{
	uint32_t mask = t->slot_count - 1;
	for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
		uint32_t id = t->slots[i];
		if (id == TF_NONE || (t->hashes[id] == hash && strcmp(t->texts[id], s) == 0))
			return &t->slots[i];
	}
}

static void grow(struct tf_intern *t)
{
	free(t->slots);
	t->slot_count *= 2;
	t->slots = new_slots(t->slot_count);
	uint32_t mask = t->slot_count - 1;
	for (uint32_t id = 0; id < t->count; id++) {
		uint32_t i = t->hashes[id] & mask;
		while (t->slots[i] != TF_NONE)
			i = (i + 1) & mask;
		t->slots[i] = id;
	}
}

uint32_t tf_intern_add(struct tf_intern *t, const char *s)
{
	uint32_t hash = hash_of(s);
	uint32_t *slot = slot_of(t, s, hash);
	if (*slot != TF_NONE)
		return *slot;
	TF_ASSERT(t->count < TF_NONE / 4);
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : FIRST_SLOTS;
		t->texts = tf_realloc(t->texts, t->cap * sizeof *t->texts);
		t->hashes = tf_realloc(t->hashes, t->cap * sizeof *t->hashes);
	}
	size_t n = strlen(s) + 1;
	t->texts[t->count] = memcpy(tf_arena_alloc(&t->arena, n), s, n);
	t->hashes[t->count] = hash;
	*slot = t->count++;
	if (t->count > t->slot_count / 4 * 3)
		grow(t);
	return t->count - 1;
}

uint32_t tf_intern_find(const struct tf_intern *t, const char *s)
{
	return *slot_of(t, s, hash_of(s));
}

uint32_t tf_intern_number(struct tf_intern *t, const char *s, uint32_t limit)
{
	uint32_t id = t->count < limit ? tf_intern_add(t, s) : tf_intern_find(t, s);
	return id == TF_NONE ? 0 : id + 1;
}

const char *tf_intern_text(const struct tf_intern *t, uint32_t id)
{
	TF_ASSERT(id < t->count);
	return t->texts[id];
}

uint32_t tf_intern_count(const struct tf_intern *t)
{
	return t->count;
}
