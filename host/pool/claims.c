#include "pool/claims.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

struct tf_claims *tf_claims_map(int fd, struct tf_err *err)
{
	void *page = mmap(NULL, sizeof(struct tf_claims), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		tf_err_sys(err, "mapping a slot's claims");
		return NULL;
	}
	return page;
}

struct tf_claims *tf_claims_new(int *fd, struct tf_err *err)
{
	*fd = memfd_create("tfhost-claims", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, sizeof(struct tf_claims)) < 0) {
		tf_err_sys(err, "memfd_create");
		if (*fd >= 0)
			close(*fd);
		return NULL;
	}
	struct tf_claims *c = tf_claims_map(*fd, err);
	if (!c)
		close(*fd);
	return c;
}

void tf_claims_delete(struct tf_claims *c)
{
	if (c)
		munmap(c, sizeof(*c));
}

void tf_claims_offer(struct tf_claims *c, uint64_t n)
{
	atomic_store(&c->word[n % TF_CLAIMS], TF_CLAIM_OFFERED);
}

static bool claim(struct tf_claims *c, uint64_t n, enum tf_claim to)
{
	uint32_t offered = TF_CLAIM_OFFERED;
	return atomic_compare_exchange_strong(&c->word[n % TF_CLAIMS], &offered, (uint32_t)to);
}

bool tf_claims_take(struct tf_claims *c, uint64_t n)
{
	return claim(c, n, TF_CLAIM_TAKEN);
}

bool tf_claims_take_back(struct tf_claims *c, uint64_t n)
{
	return claim(c, n, TF_CLAIM_BACK);
}

void tf_claims_start(struct tf_claims *c, uint64_t n)
{
	struct timespec cpu = {0};
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	atomic_store(
		&c->cpu_us[n % TF_CLAIMS], (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000);
	atomic_store(&c->begun_us[n % TF_CLAIMS], tf_clock_us());
	atomic_store(&c->word[n % TF_CLAIMS], TF_CLAIM_STARTED);
}

enum tf_claim tf_claims_get(const struct tf_claims *c, uint64_t n)
{
	return (enum tf_claim)atomic_load(&c->word[n % TF_CLAIMS]);
}

uint64_t tf_claims_begun_us(const struct tf_claims *c, uint64_t n, uint64_t now)
{
	uint64_t us = atomic_load(&c->begun_us[n % TF_CLAIMS]);
	return us > 0 && us < now ? us : now;
}

uint64_t tf_claims_cpu_us(const struct tf_claims *c, uint64_t n)
{
	return atomic_load(&c->cpu_us[n % TF_CLAIMS]);
}

void tf_claims_refuse(struct tf_claims *c, uint64_t bytes)
{
	atomic_store(&c->refused, bytes ? bytes : 1);
}

uint64_t tf_claims_refused(const struct tf_claims *c)
{
	return c ? atomic_load(&c->refused) : 0;
}
