#include "base/uuid.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "base/err.h"

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

/* Bytes in store. A child must not repeat its parent's, and slots are cloned without fork's handlers: so the kernel
 * empties the store in each child, which costs less than to ask for the pid each time. */
struct pool {
	size_t left;
	unsigned char bytes[1024];
};

static _Thread_local struct pool *pool; /* of this thread, once it has needed one */
static pthread_key_t pools;             /* frees each with its thread */
static pthread_once_t pools_once = PTHREAD_ONCE_INIT;

static void pool_delete(void *p)
{
	munmap(p, sizeof(struct pool));
	pool = NULL;
}

static void make_pools(void)
{
	TF_ASSERT(pthread_key_create(&pools, pool_delete) == 0);
}

static struct pool *pool_new(void)
{
	struct pool *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	TF_ASSERT(p != MAP_FAILED && madvise(p, sizeof *p, MADV_WIPEONFORK) == 0);
	pthread_once(&pools_once, make_pools);
	TF_ASSERT(pthread_setspecific(pools, p) == 0);
	return p;
}

static void random_bytes(void *out, size_t n)
{
	if (!pool)
		pool = pool_new();
	if (pool->left < n) {
		fill(pool->bytes, sizeof pool->bytes);
		pool->left = sizeof pool->bytes;
	}
	pool->left -= n;
	memcpy(out, pool->bytes + pool->left, n);
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

bool tf_is_uuid(const char *text)
{
	return strlen(text) == TF_UUID_LEN && strspn(text, "0123456789abcdef-") == TF_UUID_LEN &&
	       text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-';
}
