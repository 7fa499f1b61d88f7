/* A clock that stands still until told otherwise, for every test that waits. */
#ifndef TF_TEST_CLOCK_FAKE_H
#define TF_TEST_CLOCK_FAKE_H

#include "base/clock.h"

struct tf_clock_fake {
	struct tf_clock clock; /* hand out &fake.clock; the fake must not move */
	uint64_t ms;
};

/* Starts at `ms`. */
void tf_clock_fake_init(struct tf_clock_fake *fake, uint64_t ms);
void tf_clock_fake_advance(struct tf_clock_fake *fake, uint64_t ms);

#endif
