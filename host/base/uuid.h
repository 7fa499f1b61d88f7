/* Random (version 4) UUIDs as 36-character lower-case text (RFC 4122). */
#ifndef TF_BASE_UUID_H
#define TF_BASE_UUID_H

#include <stdbool.h>

#define TF_UUID_LEN 36

/* Writes 36 characters and NUL. Random bytes from the kernel, buffered; safe after fork. */
void tf_uuid(char out[TF_UUID_LEN + 1]);
/* Whether the text looks like one, of any version. */
bool tf_is_uuid(const char *text);
/* From the same bytes as tf_uuid. Both may be called on any thread. */
unsigned tf_random(unsigned bound); /* uniform in [0, bound), bound > 0; for jitter and choice */

#endif
