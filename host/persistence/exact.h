/* Values that a database with a strict JSON type refuses: those with NaN, Infinity or -Infinity, which Python's json
 * module writes and reads. Such a value is kept with null in their place, and exactly beside it. */
#ifndef TF_PERSISTENCE_EXACT_H
#define TF_PERSISTENCE_EXACT_H

#include "persistence/detail.h"

struct tf_exact {
	struct tf_value *results, *failure, *revert_results, *revert_failure,
		*meta;         /* strict; NULL where there was none */
	struct tf_value *rest; /* {"results": exact value, ...} of those that had to change; NULL: none had */
};

/* The values of `d` as a strict database takes them; free with tf_exact_free. */
void tf_exact_split(const struct tf_atom_detail *d, struct tf_exact *out);
void tf_exact_free(struct tf_exact *e);
/* Put exact values back into `d`; one whose strict form was changed since is out of date and left. */
void tf_exact_join(struct tf_atom_detail *d, const struct tf_value *rest);

#endif
