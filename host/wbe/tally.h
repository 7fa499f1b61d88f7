/* How requests ended, by the class of their task. Bounded: names beyond the first TF_TALLY_CLASSES, and those that are too
 * long, share the row "other". Names need not come from a friend. */
#ifndef TF_WBE_TALLY_H
#define TF_WBE_TALLY_H

#include <stdint.h>

enum { TF_TALLY_CLASSES = 200, TF_TALLY_NAME_MAX = 200 };

struct tf_tally;

struct tf_tally_row {
	const char *name; /* owned by the tally */
	uint64_t succeeded, failed;
};

struct tf_tally *tf_tally_new(void);
void tf_tally_delete(struct tf_tally *t); /* NULL allowed */
/* The row of that class, to count in; NULL: "other". It lives as long as the tally. */
struct tf_tally_row *tf_tally_row(struct tf_tally *t, const char *name);
/* Rows in order of their first request; NULL after the last. */
const struct tf_tally_row *tf_tally_at(const struct tf_tally *t, unsigned i);

#endif
