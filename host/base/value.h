/* A value that travels between Lua, wire, engine and disk: immutable, reference-counted,
 * validated JSON text (ARCHITECTURE 2). Passing one on never changes a byte of it.
 *
 * References may be taken and dropped on any thread. */
#ifndef TF_BASE_VALUE_H
#define TF_BASE_VALUE_H

#include "base/json.h"

struct tf_value; /* opaque */

/* Validate and copy. NULL with err (TF_EFORMAT, TF_ELIMIT). max_depth 0: default. */
struct tf_value *tf_value_parse(const char *text, size_t len, unsigned max_depth, struct tf_err *err);
/* Copy text that is known to be valid (a slice of validated text, our own writer's). */
struct tf_value *tf_value_from(struct tf_json json);
/* The same from a buffer that our own writers filled; empties `b`. */
struct tf_value *tf_value_take(struct tf_buf *b);
struct tf_value *tf_value_string(const char *utf8); /* a JSON string */
struct tf_value *tf_value_null(void);               /* a new reference, never NULL */
struct tf_value *tf_value_empty_object(void);       /* a new reference */

struct tf_value *tf_value_ref(struct tf_value *v); /* returns v; NULL gives NULL */
void tf_value_unref(struct tf_value *v);           /* NULL allowed */

struct tf_json tf_value_json(const struct tf_value *v); /* borrowed while v lives */
const char *tf_value_text(const struct tf_value *v);    /* NUL-terminated, borrowed */
size_t tf_value_len(const struct tf_value *v);

#endif
