#include "engine_fixture_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "test/cmocka_all.h"

#include "base/mem.h"
#include "protocol/failure.h"

static struct fixture *of(struct tf_executor *x)
{
	return (struct fixture *)((char *)x - offsetof(struct fixture, executor));
}

static int x_start(struct tf_executor *x, struct tf_err *err)
{
	(void)err;
	of(x)->starts++;
	return 0;
}

/* Whether the element that an item was given is in the list `key` of its map. */
static bool fails_with(struct json_object *o, const char *key, const struct tf_work *w)
{
	struct json_object *list, *arguments = fixture_parse(w->arguments), *element;
	bool found = false;
	if (json_object_object_get_ex(o, key, &list) &&
		json_object_object_get_ex(arguments, fixture_text_of(o, "each", ""), &element))
		for (size_t i = 0; i < json_object_array_length(list); i++)
			found = found || json_object_equal(json_object_array_get_idx(list, i), element);
	json_object_put(arguments);
	return found;
}

static struct tf_value *item_outcome(struct fixture *f, const struct tf_work *w, bool *failed)
{
	struct json_object *o = f->task_of[fixture_owner_of(f, w->atom)];
	const char *key = w->action == TF_REVERT ? "revert_fail_elements"
			  : w->round == 0        ? "fail_elements_once"
						 : "";
	*failed = fails_with(o, key, w) || (w->action == TF_EXECUTE && fails_with(o, "fail_elements", w));
	if (*failed)
		return tf_failure_format(
			fixture_runtime_error, "%sboom-%s", w->action == TF_REVERT ? "r" : "", w->name);
	struct tf_json element;
	if (w->action == TF_EXECUTE &&
		tf_json_get(tf_value_json(w->arguments), fixture_text_of(o, "each", ""), &element))
		return tf_value_from(element);
	return tf_value_null();
}

static struct tf_value *outcome(struct fixture *f, const struct tf_work *w, bool *failed)
{
	if (fixture_owner_of(f, w->atom) != w->atom)
		return item_outcome(f, w, failed);
	struct json_object *o = f->task_of[w->atom], *v;
	if (w->action == TF_REVERT) {
		*failed = json_object_object_get_ex(o, "revert_fail", &v) && json_object_get_boolean(v);
		if (*failed)
			return tf_failure_format(tf_types_value_error, "rboom-%s", w->name);
		char text[256];
		snprintf(text, sizeof text, "reverted-%s", w->name);
		return tf_value_string(text);
	}
	*failed = f->fail_by_round && f->failures_left[w->atom] > 0 ? w->round < f->failures_left[w->atom]
								    : f->failures_left[w->atom] != 0;
	if (*failed && f->fail_by_round) {
		return tf_failure_format(fixture_runtime_error, "boom-%s", w->name);
	} else if (*failed) {
		f->failures_left[w->atom] -= f->failures_left[w->atom] > 0;
		return tf_failure_format(fixture_runtime_error, "boom-%s", w->name);
	}
	if (json_object_object_get_ex(o, "result_text", &v)) { /* exact text */
		const char *text = json_object_get_string(v);
		struct tf_value *exact = tf_value_parse(text, strlen(text), 0, NULL);
		assert_non_null(exact);
		return exact;
	}
	return fixture_value_of(json_object_object_get(o, "result"));
}

static int x_submit(struct tf_executor *x, const struct tf_work *w, struct tf_err *err)
{
	struct fixture *f = of(x);
	if (f->refuse_submit && --f->refuse_submit == 0)
		return tf_err_set(err, TF_ECLOSED, "executor refuses '%s'", w->name);
	fixture_entry(&f->log, "%s %s", tf_action_name(w->action), w->name);
	if (w->action == TF_EXECUTE)
		fixture_entry(&f->calls, "execute %s %s", w->name, tf_value_text(w->arguments));
	else
		fixture_entry(&f->calls, "revert %s %s %s%s %s", w->name, tf_value_text(w->arguments),
			w->result_failed ? "failed " : "", w->result_failed ? "" : tf_value_text(w->result),
			tf_value_text(w->failures));
	assert_string_equal(w->uuid, tf_engine_atom_uuid(f->engine, w->atom));
	fixture_check_kept(f, w->atom, w->action == TF_REVERT ? TF_REVERTING : TF_RUNNING);
	if (f->work_count == f->work_cap) {
		f->work_cap = f->work_cap ? f->work_cap * 2 : 8;
		f->works = tf_realloc(f->works, f->work_cap * sizeof *f->works);
	}
	struct fixture_work *k = &f->works[f->work_count++];
	*k = (struct fixture_work){w->atom, w->round, w->action, false, NULL};
	k->result = outcome(f, w, &k->failed);
	return 0;
}

/* Receipts are numbers of atoms, from 1. */
static void x_settle(struct tf_executor *x, uint64_t receipt)
{
	struct fixture *f = of(x);
	fixture_check_kept(
		f, (unsigned)(receipt - 1), tf_engine_atom_state(f->engine, (unsigned)(receipt - 1)));
	f->settled++;
}

static void x_withdraw(struct tf_executor *x)
{
	struct fixture *f = of(x);
	if (!f->gives_back)
		return;
	size_t count = f->work_count;
	f->work_count = 0;
	for (size_t i = 0; i < count; i++) {
		tf_value_unref(f->works[i].result);
		x->events.withdrawn(x->arg, f->works[i].atom, f->works[i].round);
	}
}

static void x_stop(struct tf_executor *x)
{
	of(x)->stops++;
}

static void x_destroy(struct tf_executor *x)
{
	(void)x;
}

const struct tf_executor_ops fixture_executor = {.name = "fixture",
	.start = x_start,
	.submit = x_submit,
	.settle = x_settle,
	.withdraw = x_withdraw,
	.stop = x_stop,
	.destroy = x_destroy};
const struct tf_executor_ops fixture_executor_at_once = {.name = "fixture",
	.at_once = true,
	.start = x_start,
	.submit = x_submit,
	.settle = x_settle,
	.stop = x_stop,
	.destroy = x_destroy};

static void deliver(struct fixture *f, struct fixture_work k)
{
	struct tf_completion c = {.atom = k.atom,
		.round = k.round,
		.action = k.action,
		.failed = k.failed,
		.result = k.result,
		.receipt = k.atom + (uint64_t)1};
	f->executor.events.done(f->executor.arg, &c);
	tf_value_unref(k.result);
}

void fixture_deliver(struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->work_count; i++) {
		if (strcmp(fixture_name_of(f, f->works[i].atom), name) != 0)
			continue;
		struct fixture_work k = f->works[i];
		memmove(&f->works[i], &f->works[i + 1], (--f->work_count - i) * sizeof k);
		deliver(f, k);
		return;
	}
	fail_msg("'%s' is not running", name);
}

void fixture_deliver_all(struct fixture *f)
{
	for (size_t i = 0; i < f->work_count; i++)
		deliver(f, f->works[i]);
	f->work_count = 0;
}
