/* Structural equality. Members are sorted by name, so that a peer's large object costs n log n. */
#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

struct member {
	struct tf_json key, value;
};

/* The later of two equal names first: it is the one that counts. Place in the text is the tie-break. */
static int by_name(const void *a, const void *b)
{
	const struct member *ma = a, *mb = b;
	int order = tf_json_string_compare(ma->key, mb->key);
	if (order)
		return order;
	return (ma->key.text < mb->key.text) - (ma->key.text > mb->key.text);
}

/* Distinct members in order of name; caller frees. */
static struct member *sorted_members(struct tf_json object, size_t *count)
{
	size_t n = tf_json_count(object), kept = 0;
	struct member *m = tf_calloc(n, sizeof *m);
	struct tf_json_iter it = tf_json_iter(object);
	for (size_t i = 0; i < n; i++)
		TF_ASSERT(tf_json_next(&it, &m[i].key, &m[i].value));
	qsort(m, n, sizeof *m, by_name);
	for (size_t i = 0; i < n; i++) {
		if (!kept || tf_json_string_compare(m[kept - 1].key, m[i].key) != 0)
			m[kept++] = m[i];
	}
	*count = kept;
	return m;
}

static bool objects_equal(struct tf_json a, struct tf_json b)
{
	size_t na, nb;
	struct member *ma = sorted_members(a, &na);
	struct member *mb = sorted_members(b, &nb);
	bool equal = na == nb;
	for (size_t i = 0; equal && i < na; i++)
		equal = tf_json_string_compare(ma[i].key, mb[i].key) == 0 &&
			tf_json_equal(ma[i].value, mb[i].value);
	free(ma);
	free(mb);
	return equal;
}

static bool arrays_equal(struct tf_json a, struct tf_json b)
{
	struct tf_json_iter ia = tf_json_iter(a), ib = tf_json_iter(b);
	struct tf_json va, vb;
	for (;;) {
		bool more_a = tf_json_next(&ia, NULL, &va);
		bool more_b = tf_json_next(&ib, NULL, &vb);
		if (!more_a || !more_b)
			return more_a == more_b;
		if (!tf_json_equal(va, vb))
			return false;
	}
}

static bool same_text(struct tf_json a, struct tf_json b)
{
	return a.len == b.len && memcmp(a.text, b.text, a.len) == 0;
}

static struct tf_json without_minus_of_zero(struct tf_json v)
{
	return v.len == 2 && memcmp(v.text, "-0", 2) == 0 ? (struct tf_json){v.text + 1, 1} : v;
}

static bool reals_equal(struct tf_json a, struct tf_json b)
{
	double da, db;
	TF_ASSERT(tf_json_double(a, &da) && tf_json_double(b, &db));
	return da == db || (isnan(da) && isnan(db));
}

bool tf_json_equal(struct tf_json a, struct tf_json b)
{
	if (same_text(a, b))
		return true;
	enum tf_json_type type = tf_json_type(a);
	if (type != tf_json_type(b))
		return false;
	switch (type) {
	case TF_JSON_OBJECT:
		return objects_equal(a, b);
	case TF_JSON_ARRAY:
		return arrays_equal(a, b);
	case TF_JSON_STRING:
		return tf_json_string_compare(a, b) == 0;
	case TF_JSON_REAL:
		return reals_equal(a, b);
	case TF_JSON_INTEGER:
		return same_text(without_minus_of_zero(a), without_minus_of_zero(b));
	default:
		return true;
	}
}
