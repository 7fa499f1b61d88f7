/* Books, flows and atoms as a logbook keeps them (ENGINE.md 14). Strings and values are NULL where there is none. */
#ifndef TF_PERSISTENCE_DETAIL_H
#define TF_PERSISTENCE_DETAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/value.h"

/* Times are "2026-01-31 03:08:18.220959", UTC. */
struct tf_book_detail {
	char *uuid, *name, *created_at, *updated_at;
	struct tf_value *meta;
};
struct tf_flow_detail {
	char *uuid, *book, *name, *state, *created_at, *updated_at;
	struct tf_value *meta;
};
struct tf_atom_detail {
	char *uuid, *flow, *name, *version, *state, *intention, *created_at, *updated_at;
	bool is_retry;
	struct tf_value *results, *failure, *revert_results, *revert_failure, *meta;
};

/* The time now, in that spelling. */
enum { TF_STAMP_SIZE = 32 };
void tf_stamp(char out[TF_STAMP_SIZE]);

/* Free what it owns. */
void tf_book_detail_free(struct tf_book_detail *d);
void tf_flow_detail_free(struct tf_flow_detail *d);
void tf_atom_detail_free(struct tf_atom_detail *d);

#endif
