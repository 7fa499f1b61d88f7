#include "transport/tags.h"

#include "base/err.h"
#include "base/mem.h"

/* A tag is the number of the delivery, shifted, and the slot that holds it: the number makes it
 * unique, the slot makes the look-up a plain index. */
enum { SLOT_BITS = 24 };

struct tf_tag_slot {
	uint64_t tag; /* 0: free */
	void *message;
	size_t next_free; /* index + 1; 0 ends the list */
};

static void grow(struct tf_tags *t)
{
	size_t i, cap = t->cap ? t->cap * 2 : 16;

	TF_ASSERT(cap <= (size_t)1 << SLOT_BITS);
	t->slots = tf_realloc(t->slots, cap * sizeof(*t->slots));
	for (i = cap; i > t->cap; i--) {
		t->slots[i - 1] = (struct tf_tag_slot){.next_free = t->free};
		t->free = i;
	}
	t->cap = cap;
}

uint64_t tf_tags_add(struct tf_tags *t, void *message)
{
	struct tf_tag_slot *s;
	size_t index;

	TF_ASSERT(message);
	if (!t->free)
		grow(t);
	index = t->free - 1;
	s = &t->slots[index];
	t->free = s->next_free;
	*s = (struct tf_tag_slot){.tag = ++t->issued << SLOT_BITS | index, .message = message};
	t->count++;
	return s->tag;
}

void *tf_tags_take(struct tf_tags *t, uint64_t tag)
{
	size_t index = tag & (((uint64_t)1 << SLOT_BITS) - 1);
	void *message;

	if (tag == 0 || index >= t->cap || t->slots[index].tag != tag)
		return NULL;
	message = t->slots[index].message;
	t->slots[index] = (struct tf_tag_slot){.next_free = t->free};
	t->free = index + 1;
	t->count--;
	return message;
}

static int by_tag(const void *a, const void *b)
{
	const struct tf_tag_slot *x = a, *y = b;

	return x->tag < y->tag ? -1 : x->tag > y->tag;
}

void tf_tags_drain(struct tf_tags *t, void (*each)(void *arg, void *message), void *arg)
{
	struct tf_tag_slot *slots = t->slots;
	size_t i, cap = t->cap;

	/* Numbers go on, so that the drained tags stay unknown. */
	*t = (struct tf_tags){.issued = t->issued};
	if (cap)
		qsort(slots, cap, sizeof(*slots), by_tag);
	for (i = 0; i < cap; i++)
		if (slots[i].tag)
			each(arg, slots[i].message);
	free(slots);
}

void tf_tags_destroy(struct tf_tags *t)
{
	free(t->slots);
	*t = TF_TAGS_INIT;
}
