/* The known name that somebody may have meant. */
#ifndef TF_BASE_NEAREST_H
#define TF_BASE_NEAREST_H

#include <stddef.h>

/* Of `count` names the one nearest to `word` by edits (a swap of neighbours is one), if those are at most a third of the
 * word's length and one is allowed in any case; NULL: none is near. Borrowed from `names`. */
const char *tf_nearest(const char *word, const char *const *names, size_t count);

#endif
