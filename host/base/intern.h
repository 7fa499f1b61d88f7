/* Names as small numbers: each distinct string is kept once. A flow of a million atoms repeats
 * the same symbols and class names, and comparing numbers is what its indexes are made of. */
#ifndef TF_BASE_INTERN_H
#define TF_BASE_INTERN_H

#include <stdint.h>

#define TF_NONE UINT32_MAX

struct tf_intern;

struct tf_intern *tf_intern_new(void);
void tf_intern_delete(struct tf_intern *t);
uint32_t tf_intern_add(struct tf_intern *t, const char *s);         /* its id, dense from 0 */
uint32_t tf_intern_find(const struct tf_intern *t, const char *s);  /* its id, or TF_NONE */
const char *tf_intern_text(const struct tf_intern *t, uint32_t id); /* lives as long as t */
/* Its id + 1, for at most `limit` strings in all; 0: it would be one more. */
uint32_t tf_intern_number(struct tf_intern *t, const char *s, uint32_t limit);
uint32_t tf_intern_count(const struct tf_intern *t);

#endif
