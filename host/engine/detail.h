/* An atom as a logbook keeps it (ENGINE.md 14). */
#ifndef TF_ENGINE_DETAIL_H
#define TF_ENGINE_DETAIL_H

#include <stdbool.h>

#include "base/value.h"

struct tf_atom_detail { /* all owned; values NULL where there is none */
	char *uuid, *name, *version;
	bool is_retry;
	char *state, *intention;
	struct tf_value *results, *failure, *revert_results, *revert_failure, *meta;
};

/* Frees what it holds. */
void tf_atom_detail_free(struct tf_atom_detail *d);

#endif
