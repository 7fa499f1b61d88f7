#include "engine_fixture_internal.h"

#include <string.h>

#include "test/cmocka_all.h"

#include "protocol/failure.h"

/* Values that the history has not used yet: one occurrence less for each use. */
static struct json_object *remaining(struct fixture *f, const struct tf_retry_call *c)
{
	struct json_object *o = f->task_of[c->atom], *values, *arguments = fixture_parse(c->arguments),
			   *rest = json_object_new_array();
	if (strcmp(fixture_text_of(o, "class", ""), "ParameterizedForEach") == 0)
		values = json_object_object_get(arguments, "values");
	else
		values = json_object_object_get(o, "values");
	struct json_object *history = fixture_parse(c->history);
	for (size_t i = 0; i < json_object_array_length(values); i++)
		json_object_array_add(rest, json_object_get(json_object_array_get_idx(values, i)));
	for (size_t h = 0; h < json_object_array_length(history); h++) {
		struct json_object *used =
			json_object_array_get_idx(json_object_array_get_idx(history, h), 0);
		for (size_t i = 0; i < json_object_array_length(rest); i++) {
			if (!json_object_equal(used, json_object_array_get_idx(rest, i)))
				continue;
			json_object_array_del_idx(rest, i, 1);
			break;
		}
	}
	json_object_put(history);
	json_object_put(arguments);
	return rest;
}

static size_t history_len(const struct tf_retry_call *c)
{
	return tf_json_count(tf_value_json(c->history));
}

/* Failures by their text: [[1, {"a": "boom-a"}]]. */
static void write_history(struct fixture *f, const struct tf_retry_call *c)
{
	struct json_object *history = fixture_parse(c->history);
	for (size_t i = 0; i < json_object_array_length(history); i++) {
		struct json_object *failures =
			json_object_array_get_idx(json_object_array_get_idx(history, i), 1);
		struct json_object *texts = json_object_new_object();
		json_object_object_foreach(failures, name, failure)
		{
			json_object_object_add(texts, name,
				json_object_get(json_object_object_get(failure, "exception_str")));
		}
		json_object_array_put_idx(json_object_array_get_idx(history, i), 1, texts);
	}
	fixture_entry(&f->histories, "%s", json_object_to_json_string_ext(history, JSON_C_TO_STRING_PLAIN));
	json_object_put(history);
}

struct tf_value *fixture_retry_execute(void *arg, const struct tf_retry_call *c, bool *failed)
{
	struct fixture *f = arg;
	const char *cls = fixture_text_of(f->task_of[c->atom], "class", "");
	if (strcmp(cls, "Times") == 0) {
		struct json_object *n = json_object_new_int64((int64_t)history_len(c) + 1);
		struct tf_value *v = fixture_value_of(n);
		json_object_put(n);
		return v;
	}
	if (strcmp(cls, "ForEach") != 0 && strcmp(cls, "ParameterizedForEach") != 0)
		return tf_value_null();
	struct json_object *rest = remaining(f, c);
	*failed = json_object_array_length(rest) == 0;
	struct tf_value *v;
	if (*failed)
		v = tf_failure_format(tf_types_not_found,
			"No elements left in collection of iterable retry controller %s",
			fixture_name_of(f, c->atom));
	else
		v = fixture_value_of(json_object_array_get_idx(rest, 0));
	json_object_put(rest);
	return v;
}

int fixture_retry_on_failure(
	void *arg, const struct tf_retry_call *c, uint64_t *delay, struct tf_value **failure)
{
	struct fixture *f = arg;
	struct json_object *o = f->task_of[c->atom], *rest;
	*delay = (uint64_t)fixture_int_of(o, "delay");
	const char *cls = fixture_text_of(o, "class", "");
	fixture_entry(&f->calls, "on_failure %s %zu", fixture_name_of(f, c->atom), history_len(c));
	write_history(f, c);
	int give_up = fixture_int_of(o, "revert_all") ? TF_DECISION_REVERT_ALL : TF_DECISION_REVERT;
	if (strcmp(cls, "Times") == 0)
		return (int64_t)history_len(c) < fixture_int_of(o, "attempts") ? TF_DECISION_RETRY : give_up;
	if (strcmp(cls, "AlwaysRevertAll") == 0)
		return TF_DECISION_REVERT_ALL;
	if (strcmp(cls, "AlwaysRevert") == 0)
		return TF_DECISION_REVERT;
	if (strcmp(cls, "Broken") == 0) {
		*failure = tf_failure_format(
			tf_types_value_error, "Unknown atom failure resolution action/strategy");
		return -1;
	}
	rest = remaining(f, c);
	int decision = json_object_array_length(rest) ? TF_DECISION_RETRY : give_up;
	json_object_put(rest);
	return decision;
}

struct tf_value *fixture_retry_revert(void *arg, const struct tf_retry_call *c, bool *failed)
{
	struct fixture *f = arg;
	assert_non_null(c->flow_failures);
	fixture_entry(&f->calls, "revert %s %zu", fixture_name_of(f, c->atom), history_len(c));
	write_history(f, c);
	*failed = false;
	return tf_value_null();
}

int fixture_decide(void *arg, int decider, struct tf_value *history, struct tf_value **failure)
{
	struct fixture *f = arg;
	struct json_object *answer = json_object_object_get(f->deciders[decider], "decider");
	fixture_entry(&f->calls, "decide %s", tf_value_text(history));
	if (json_object_is_type(answer, json_type_string)) {
		*failure = tf_failure_format(fixture_runtime_error, "%s", json_object_get_string(answer));
		return -1;
	}
	return json_object_get_boolean(answer);
}
