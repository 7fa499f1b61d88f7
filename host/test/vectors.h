/* The recorded messages of spec/fixtures/vectors, for tests. Run from the project's root. */
#ifndef TF_TEST_VECTORS_H
#define TF_TEST_VECTORS_H

#include <json-c/json.h>

/* A vector file read by json-c, an oracle that shares nothing with our own reader. Aborts with the
 * file's name if it cannot. Caller puts. */
struct json_object *tf_vector_read(const char *file);

/* Calls `visit` for each recorded message: files "amqp-*" and "filesystem-*" with a body_text.
 * Returns how many there were. */
int tf_vectors_each(void (*visit)(const char *file, struct json_object *vector, void *arg), void *arg);

/* String member, NULL if absent or null. */
const char *tf_vector_text(struct json_object *vector, const char *name);

#endif
