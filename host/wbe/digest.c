#include "wbe/digest.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/uuid.h"

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

/* Little-endian word of up to 8 bytes. */
static uint64_t word(const unsigned char *p, size_t n)
{
	uint64_t w = 0;
	while (n--)
		w = w << 8 | p[n];
	return w;
}

const char *tf_digest(const struct tf_digest_key *key, const void *data, size_t len, char out[TF_DIGEST_TEXT])
{
	const unsigned char *p = data;
	uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du ^ 0xee,
		key->k0 ^ 0x6c7967656e657261u, key->k1 ^ 0x7465646279746573u};
	uint64_t half[2];
	size_t whole = len & ~(size_t)7;

	for (size_t i = 0; i <= whole; i += 8) {
		uint64_t m = i < whole ? word(p + i, 8) : word(p + i, len - whole) | (uint64_t)len << 56;
		v[3] ^= m;
		rounds(v, 2);
		v[0] ^= m;
	}
	v[2] ^= 0xee;
	rounds(v, 4);
	half[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	rounds(v, 4);
	half[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
	snprintf(out, TF_DIGEST_TEXT, "%016" PRIx64 "%016" PRIx64, half[0], half[1]);
	return out;
}

struct tf_digest_key tf_digest_random_key(void)
{
	struct tf_digest_key k = {0};
	for (int i = 0; i < 64; i += 16) {
		k.k0 |= (uint64_t)tf_random(1u << 16) << i;
		k.k1 |= (uint64_t)tf_random(1u << 16) << i;
	}
	return k;
}
