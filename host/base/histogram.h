/* How long things took, counted in buckets that double: 2^-14 s (61 µs), 2^-13 s, ... 2^12 s (68 minutes), longer.
 *
 * An observation is a few instructions and allocates nothing. One thread. Zeroes are an empty histogram; copy it
 * to look at it later. */
#ifndef TF_BASE_HISTOGRAM_H
#define TF_BASE_HISTOGRAM_H

#include <stdint.h>

enum { TF_HISTOGRAM_FIRST = -14, TF_HISTOGRAM_BOUNDS = 27 };

struct tf_histogram {
	uint64_t buckets[TF_HISTOGRAM_BOUNDS + 1]; /* each for itself; the last has no bound */
	uint64_t sum_us;
};

#define TF_HISTOGRAM_MAX_US (UINT64_C(1) << 49) /* 17 years: what is longer counts as that */

/* Count what took `us` microseconds. */
static inline void tf_histogram_add(struct tf_histogram *h, uint64_t us)
{
	if (us > TF_HISTOGRAM_MAX_US)
		us = TF_HISTOGRAM_MAX_US;
	/* Bits of (its length in units of the first bound, rounded up) - 1: that many doublings hold it. */
	uint64_t above = us ? (us * (1 << -TF_HISTOGRAM_FIRST) - 1) / 1000000 : 0;
	int bits = above ? 64 - __builtin_clzll(above) : 0;
	h->buckets[bits < TF_HISTOGRAM_BOUNDS ? bits : TF_HISTOGRAM_BOUNDS]++;
	h->sum_us += us;
}

/* Upper bound of bucket i in seconds; infinite for the last. */
double tf_histogram_bound(int i);
uint64_t tf_histogram_count(const struct tf_histogram *h);
/* Add the counts of `more`. */
void tf_histogram_merge(struct tf_histogram *h, const struct tf_histogram *more);
/* Seconds that a share of all (0.5: the median) did not exceed, interpolated within a bucket; 0 if there is none. */
double tf_histogram_quantile(const struct tf_histogram *h, double share);

#endif
