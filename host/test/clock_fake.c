#include "test/clock_fake.h"

static uint64_t now_ms(void *arg)
{
	return ((const struct tf_clock_fake *)arg)->ms;
}

void tf_clock_fake_init(struct tf_clock_fake *fake, uint64_t ms)
{
	*fake = (struct tf_clock_fake){.clock = {.now_ms = now_ms, .arg = fake}, .ms = ms};
}

void tf_clock_fake_advance(struct tf_clock_fake *fake, uint64_t ms)
{
	fake->ms += ms;
}
