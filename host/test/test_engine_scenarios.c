/* What TaskFlow 5.0.0 did with the 58 flows of spec/fixtures/vectors/engine-scenarios.json and with the
 * random ones of spec/fixtures/engine-random.json (recorded by record_flows.py): events, outcome, results,
 * what was raised, final states and intentions, for each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine_fixture.h"

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;
	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

static char *joined(struct json_object *list)
{
	struct tf_buf b = TF_BUF_INIT;
	tf_buf_puts(&b, "");
	for (size_t i = 0; i < json_object_array_length(list); i++)
		tf_buf_printf(&b, "%s%s", i ? "; " : "",
			json_object_get_string(json_object_array_get_idx(list, i)));
	return tf_buf_steal(&b);
}

static struct json_object *split(const char *log)
{
	struct json_object *list = json_object_new_array();
	char *copy = tf_strdup(log), *at = copy, *end;
	for (; *at; at = end) {
		end = strstr(at, "; ");
		if (end) {
			*end = '\0';
			end += 2;
		} else {
			end = at + strlen(at);
		}
		json_object_array_add(list, json_object_new_string(at));
	}
	free(copy);
	return list;
}

/* Entries that name `name`. */
static char *selected(struct json_object *list, const char *name)
{
	struct json_object *out = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *e = json_object_array_get_idx(list, i);
		const char *word = strchr(json_object_get_string(e), ' ') + 1;
		size_t n = strcspn(word, " ");
		if (strlen(name) == n && memcmp(word, name, n) == 0)
			json_object_array_add(out, json_object_get(e));
	}
	char *text = joined(out);
	json_object_put(out);
	return text;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(json_object_get_string(*(struct json_object *const *)a),
		json_object_get_string(*(struct json_object *const *)b));
}

static void same_text(char *got, char *expected)
{
	assert_string_equal(got, expected);
	free(got);
	free(expected);
}

/* Without order: each atom's own order, and all of them together as a multiset. */
static void compare_unordered(
	struct json_object *got, struct json_object *expected, struct json_object *atoms)
{
	json_object_object_foreach(atoms, name, unused)
	{
		(void)unused;
		same_text(selected(got, name), selected(expected, name));
	}
	json_object_array_sort(got, by_text);
	struct json_object *sorted = NULL;
	json_object_deep_copy(expected, &sorted, NULL);
	json_object_array_sort(sorted, by_text);
	same_text(joined(got), joined(sorted));
	json_object_put(sorted);
}

static void compare_events(struct fixture *f, struct json_object *s, struct json_object *atoms)
{
	struct json_object *expected = json_object_object_get(s, "events"), *got = split(fixture_log(f));
	if (json_object_get_boolean(json_object_object_get(s, "ordered")))
		same_text(joined(got), joined(expected));
	else
		compare_unordered(got, expected, atoms);
	json_object_put(got);
}

/* The text of each failure, as the reference's failure.exception_str. */
static void compare_texts(struct fixture *f, struct json_object *expected)
{
	assert_int_equal(tf_engine_failure_count(f->engine), json_object_array_length(expected));
	for (size_t i = 0; i < json_object_array_length(expected); i++) {
		struct json_object *failure =
			json_tokener_parse(tf_value_text(tf_engine_failure(f->engine, i, NULL)));
		const char *text = json_object_get_string(json_object_array_get_idx(expected, i));
		assert_non_null(strstr(text_of(failure, "exception_str"), text));
		json_object_put(failure);
	}
}

static void compare_raised(struct fixture *f, struct json_object *s)
{
	struct json_object *texts;
	if (json_object_object_get_ex(s, "failures", &texts)) {
		assert_string_equal(text_of(s, "exception"), "WrappedFailure");
		compare_texts(f, texts);
		return;
	}
	assert_int_equal(tf_engine_failure_count(f->engine), 1);
	assert_non_null(strstr(fixture_raised(f), text_of(s, "exception")));
	if (text_of(s, "message"))
		assert_non_null(strstr(fixture_raised(f), text_of(s, "message")));
}

static void compare_end(struct fixture *f, struct json_object *s, struct json_object *atoms)
{
	json_object_object_foreach(atoms, name, pair)
	{
		char expected[64];
		snprintf(expected, sizeof expected, "%s/%s",
			json_object_get_string(json_object_array_get_idx(pair, 0)),
			json_object_get_string(json_object_array_get_idx(pair, 1)));
		assert_string_equal(fixture_state(f, name), expected);
	}
	assert_string_equal(tf_state_name(tf_engine_flow_state(f->engine)), text_of(s, "flow_state"));
	struct json_object *results;
	if (json_object_object_get_ex(s, "results", &results)) {
		struct tf_value *all = tf_engine_fetch_all(f->engine);
		struct json_object *got = json_tokener_parse(tf_value_text(all));
		assert_true(json_object_equal(got, results));
		json_object_put(got);
		tf_value_unref(all);
	}
}

static char *options_of(struct json_object *s)
{
	struct json_object *o = NULL, *v;
	if (!json_object_object_get_ex(s, "options", &v) || json_object_deep_copy(v, &o, NULL) != 0)
		o = json_object_new_object();
	json_object_object_add(o, "reference_quirks", json_object_new_boolean(1));
	if (json_object_object_get_ex(s, "store", &v))
		json_object_object_add(o, "store", json_object_get(v));
	char *text = tf_strdup(json_object_to_json_string(o));
	json_object_put(o);
	return text;
}

static int code_of(const char *exception)
{
	return !exception                                      ? 0
	       : strcmp(exception, "MissingDependencies") == 0 ? TF_EMISSING
	       : strcmp(exception, "Duplicate") == 0           ? TF_EEXIST
							       : 0;
}

static void scenario(struct json_object *s)
{
	struct tf_err err = {0};
	char *options = options_of(s);
	int expected_code = code_of(text_of(s, "exception"));
	struct fixture *f =
		fixture_new(json_object_to_json_string(json_object_object_get(s, "flow")), options, &err);
	free(options);
	int rc = f ? fixture_run(f, &err) : err.code;
	assert_int_equal(rc, expected_code);
	if (f) {
		struct json_object *atoms = json_object_object_get(s, "atoms");
		compare_events(f, s, atoms);
		compare_end(f, s, atoms);
		if (rc == 0 && strcmp(text_of(s, "outcome"), "raised") == 0)
			compare_raised(f, s);
		else
			assert_int_equal(tf_engine_failure_count(f->engine), 0);
	}
	fixture_delete(f);
}

static void run_scenario(void **state)
{
	scenario(*state);
}

static size_t add_tests(const char *path, struct json_object **file, struct CMUnitTest **tests, size_t count)
{
	struct json_object *list;
	*file = json_object_from_file(path);
	if (!*file || !json_object_object_get_ex(*file, "scenarios", &list)) {
		fprintf(stderr, "cannot read %s: run from the top of the tree\n", path);
		exit(1);
	}
	size_t more = json_object_array_length(list);
	*tests = tf_realloc(*tests, (count + more) * sizeof **tests);
	for (size_t i = 0; i < more; i++) {
		struct json_object *s = json_object_array_get_idx(list, i);
		(*tests)[count + i] = (struct CMUnitTest){text_of(s, "name"), run_scenario, NULL, NULL, s};
	}
	return count + more;
}

int main(int argc, char **argv) /* optional: other files of scenarios */
{
	static const char *const recorded[] = {
		"", "spec/fixtures/vectors/engine-scenarios.json", "spec/fixtures/engine-random.json"};
	const char *const *paths = argc > 1 ? (const char *const *)argv : recorded;
	int path_count = argc > 1 ? argc : 3;
	struct json_object **files = tf_calloc((size_t)path_count, sizeof *files);
	struct CMUnitTest *tests = NULL;
	size_t count = 0;
	for (int i = 1; i < path_count; i++)
		count = add_tests(paths[i], &files[i], &tests, count);
	int rc = _cmocka_run_group_tests("scenarios", tests, count, NULL, NULL);
	for (int i = 1; i < path_count; i++)
		json_object_put(files[i]);
	free(files);
	free(tests);
	return rc;
}
