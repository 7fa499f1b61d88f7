/* Base64, standard alphabet, padded (RFC 4648 section 4). */
#ifndef TF_BASE_BASE64_H
#define TF_BASE_BASE64_H

#include "base/buf.h"
#include "base/err.h"

void tf_base64_encode(struct tf_buf *out, const void *bytes, size_t n);
/* Appends the decoded bytes; TF_EFORMAT on a foreign character, bad padding or length, and
 * then appends nothing. Unused bits of the last character are ignored, as Python does. */
int tf_base64_decode(struct tf_buf *out, const char *text, size_t n, struct tf_err *err);

#endif
