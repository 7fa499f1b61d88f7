#include "engine/detail.h"

#include <stdlib.h>

void tf_atom_detail_free(struct tf_atom_detail *d)
{
	char *strings[] = {d->uuid, d->name, d->version, d->state, d->intention};
	struct tf_value *values[] = {d->results, d->failure, d->revert_results, d->revert_failure, d->meta};
	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
		free(strings[i]);
		tf_value_unref(values[i]);
	}
	*d = (struct tf_atom_detail){0};
}
