/* A keyed 128-bit digest (SipHash-2-4, Aumasson and Bernstein): tells whether two bodies are equal
 * without keeping them. Who does not know the key cannot make two that collide. */
#ifndef TF_WBE_DIGEST_H
#define TF_WBE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct tf_digest_key {
	uint64_t k0, k1;
};

#define TF_DIGEST_TEXT 33 /* 32 hex digits and NUL */

struct tf_digest_key tf_digest_random_key(void);
/* Writes the digest of data[0..len) as text, returns `out`. */
const char *tf_digest(
	const struct tf_digest_key *key, const void *data, size_t len, char out[TF_DIGEST_TEXT]);

#endif
