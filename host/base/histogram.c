#include "base/histogram.h"

#include <math.h>

double tf_histogram_bound(int i)
{
	return i < TF_HISTOGRAM_BOUNDS ? ldexp(1, TF_HISTOGRAM_FIRST + i) : (double)INFINITY;
}

uint64_t tf_histogram_count(const struct tf_histogram *h)
{
	uint64_t n = 0;
	for (int i = 0; i <= TF_HISTOGRAM_BOUNDS; i++)
		n += h->buckets[i];
	return n;
}

void tf_histogram_merge(struct tf_histogram *h, const struct tf_histogram *more)
{
	for (int i = 0; i <= TF_HISTOGRAM_BOUNDS; i++)
		h->buckets[i] += more->buckets[i];
	h->sum_us += more->sum_us;
}

double tf_histogram_quantile(const struct tf_histogram *h, double share)
{
	double wanted = share * (double)tf_histogram_count(h), before = 0;
	for (int i = 0; i < TF_HISTOGRAM_BOUNDS; i++) {
		double here = (double)h->buckets[i];
		if (here > 0 && before + here >= wanted) {
			double high = tf_histogram_bound(i), low = i ? high / 2 : 0;
			return low + (high - low) * (wanted - before) / here;
		}
		before += here;
	}
	return wanted > 0 ? tf_histogram_bound(TF_HISTOGRAM_BOUNDS - 1) : 0;
}
