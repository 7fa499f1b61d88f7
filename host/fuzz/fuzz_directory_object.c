/* Any JSON as an object of the directory backend: refused, or details whose parts are valid text and values; and its
 * values split for a strict database and joined again are the same. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "persistence/directory_object.h"
#include "persistence/exact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const struct tf_value *a, const struct tf_value *b)
{
	return a == b || (a && b && strcmp(tf_value_text(a), tf_value_text(b)) == 0);
}

/* What a strict database gives back: the strict values and the rest. */
static void there_and_back(const struct tf_atom_detail *d)
{
	struct tf_exact e;
	tf_exact_split(d, &e);
	struct tf_atom_detail back = {.results = tf_value_ref(e.results),
		.failure = tf_value_ref(e.failure),
		.revert_results = tf_value_ref(e.revert_results),
		.revert_failure = tf_value_ref(e.revert_failure),
		.meta = tf_value_ref(e.meta)};
	if (e.rest) {
		TF_ASSERT(tf_json_validate(tf_value_text(e.rest), tf_value_len(e.rest), TF_JSON_DEPTH_CAP,
				  NULL, NULL) == 0);
		tf_exact_join(&back, e.rest);
	}
	if (e.results)
		TF_ASSERT(tf_json_validate(tf_value_text(e.results), tf_value_len(e.results),
				  TF_JSON_DEPTH_CAP, NULL, NULL) == 0);
	TF_ASSERT(
		same(back.results, d->results) && same(back.failure, d->failure) && same(back.meta, d->meta));
	TF_ASSERT(
		same(back.revert_results, d->revert_results) && same(back.revert_failure, d->revert_failure));
	tf_atom_detail_free(&back);
	tf_exact_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tf_value *v = tf_value_parse((const char *)data, size, 0, NULL);
	struct tf_book_detail book;
	struct tf_flow_detail flow;
	struct tf_atom_detail atom;
	if (!v)
		return 0;
	if (tf_directory_book(tf_value_json(v), &book, NULL) == 0)
		tf_book_detail_free(&book);
	if (tf_directory_flow(tf_value_json(v), &flow, NULL) == 0)
		tf_flow_detail_free(&flow);
	if (tf_directory_atom(tf_value_json(v), &atom, NULL) == 0) {
		there_and_back(&atom);
		tf_atom_detail_free(&atom);
	}
	tf_value_unref(v);
	return 0;
}
