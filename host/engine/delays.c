#include "engine/delays.h"

#include <stdlib.h>

#include "base/mem.h"

static void swap(struct tf_delay *a, struct tf_delay *b)
{
	struct tf_delay t = *a;
	*a = *b;
	*b = t;
}

/* Of the same moment the lower number is first. */
static bool before(const struct tf_delay *a, const struct tf_delay *b)
{
	return a->at != b->at ? a->at < b->at : a->atom < b->atom;
}

void tf_delays_add(struct tf_delays *d, uint32_t atom, uint64_t at)
{
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 8;
		d->heap = tf_realloc(d->heap, d->cap * sizeof(*d->heap));
	}
	size_t i = d->count++;
	d->heap[i] = (struct tf_delay){at, atom};
	for (; i > 0 && before(&d->heap[i], &d->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&d->heap[i], &d->heap[(i - 1) / 2]);
}

bool tf_delays_due(struct tf_delays *d, uint64_t now, uint32_t *atom)
{
	if (d->count == 0 || d->heap[0].at > now)
		return false;
	*atom = d->heap[0].atom;
	d->heap[0] = d->heap[--d->count];
	for (size_t i = 0, child; (child = 2 * i + 1) < d->count; i = child) {
		if (child + 1 < d->count && before(&d->heap[child + 1], &d->heap[child]))
			child++;
		if (!before(&d->heap[child], &d->heap[i]))
			break;
		swap(&d->heap[i], &d->heap[child]);
	}
	return true;
}

uint64_t tf_delays_next(const struct tf_delays *d)
{
	return d->count ? d->heap[0].at : UINT64_MAX;
}

void tf_delays_free(struct tf_delays *d)
{
	free(d->heap);
	*d = (struct tf_delays){0};
}
