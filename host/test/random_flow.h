/* Random flows of any shape for property tests: the same seed gives the same flow. */
#ifndef TF_TEST_RANDOM_FLOW_H
#define TF_TEST_RANDOM_FLOW_H

#include <stdint.h>

#include "engine/graph.h"

struct rng {
	uint64_t state;
};
struct rng rng_seed(uint64_t seed);
uint32_t rng_below(struct rng *r, uint32_t bound); /* 0..bound - 1; bound > 0 */
/* TF_SEED if set, else a new one; printed, so that a failure can be repeated. */
uint64_t rng_test_seed(const char *test);

/* Build and compile. Up to `max` atoms and inner flows, some atoms retries, nested up to 4 deep. Atoms provide and need
 * (optionally) the symbols s0..s3; graph flows have random links, of which some have deciders. */
struct tf_graph *random_flow(struct rng *r, unsigned max);

#endif
