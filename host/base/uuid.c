#include "base/uuid.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"

/* A child must not repeat its parent's random bytes: each fork makes what is buffered stale.
 * (Children inherit the registration, so it is made once per program.) */
static atomic_uint generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void forked(void)
{
	atomic_fetch_add(&generation, 1);
}

static void watch_forks(void)
{
	TF_ASSERT(pthread_atfork(NULL, NULL, forked) == 0);
}

static void fill(unsigned char *bytes, size_t n)
{
	while (n) {
		ssize_t got = getrandom(bytes, n, 0);
		TF_ASSERT(got >= 0 || errno == EINTR);
		if (got > 0) {
			bytes += got;
			n -= (size_t)got;
		}
	}
}

static void random_bytes(void *out, size_t n)
{
	static _Thread_local struct {
		unsigned char bytes[1024];
		size_t left;
		unsigned generation;
	} pool;

	pthread_once(&once, watch_forks);
	unsigned now = atomic_load(&generation);
	if (pool.generation != now || pool.left < n) {
		fill(pool.bytes, sizeof pool.bytes);
		pool.left = sizeof pool.bytes;
		pool.generation = now;
	}
	pool.left -= n;
	memcpy(out, pool.bytes + pool.left, n);
}

void tf_uuid(char out[TF_UUID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char b[16];
	random_bytes(b, sizeof b);
	b[6] = (b[6] & 0x0f) | 0x40; /* version 4 */
	b[8] = (b[8] & 0x3f) | 0x80; /* RFC 4122 variant */
	for (size_t i = 0; i < sizeof b; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = hex[b[i] >> 4];
		*out++ = hex[b[i] & 15];
	}
	*out = '\0';
}

unsigned tf_random(unsigned bound)
{
	TF_ASSERT(bound > 0);
	/* Values past the last whole multiple of bound would favour the small results. */
	uint32_t past = UINT32_MAX - UINT32_MAX % bound;
	uint32_t r;
	do
		random_bytes(&r, sizeof r);
	while (r >= past);
	return r % bound;
}
