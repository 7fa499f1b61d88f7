#include "base/nearest.h"

#include <limits.h>
#include <string.h>

enum { NEAREST_MAX = 63 }; /* longer words are no names of ours */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Three rows of the usual table: a swap looks two rows back. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][NEAREST_MAX + 1];
	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] =
				least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], before[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

const char *tf_nearest(const char *word, const char *const *names, size_t count)
{
	size_t len = strlen(word);
	unsigned limit = len / 3 ? (unsigned)(len / 3) : 1, best = UINT_MAX;
	const char *found = NULL;
	if (len > NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(names[i]);
		unsigned d = n <= NEAREST_MAX ? distance(word, len, names[i], n) : UINT_MAX;
		if (d <= limit && d < best) {
			best = d;
			found = names[i];
		}
	}
	return found;
}
