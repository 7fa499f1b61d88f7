#include "task_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/cmocka_all.h"

#include <lua.h>

#include "base/mem.h"
#include "protocol/failure.h"
#include "script/state.h"

const char task_rig_script[] = "host/test/data/tasks.lua";

void task_rig_put_file(const char *dir, const char *name, const char *text)
{
	char path[100];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

int task_rig_setup(void **state)
{
	struct task_rig *f = TF_NEW(struct task_rig);
	struct tf_err err;
	char **names;
	snprintf(f->dir, sizeof(f->dir), "/tmp/tf-runner-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->references[0] = (char *)task_rig_script;
	if (tf_state_new(NULL, &f->L, &err) < 0)
		fail_msg("%s", err.message);
	f->runner = tf_task_runner_new(f->L, f->references, 1);
	f->r = tf_task_runner_get(f->runner);
	if (f->r->load(f->r->arg, &names, &err) < 0)
		fail_msg("%s", err.message);
	bool private = false, add = false;
	for (char **n = names; *n; n++) {
		private |= !strcmp(*n, "tasks._Private") || !strcmp(*n, "tasks.helper");
		add |= !strcmp(*n, "tasks.Add");
		free(*n);
	}
	free(names);
	assert_true(add && !private);
	*state = f;
	return 0;
}

int task_rig_teardown(void **state)
{
	struct task_rig *f = *state;
	char *command = tf_asprintf("rm -r %s", f->dir);
	assert_int_equal(lua_gettop(f->L), 0);
	tf_task_runner_delete(f->runner);
	tf_state_delete(f->L);
	assert_int_equal(system(command), 0);
	free(command);
	tf_buf_free(&f->events);
	free(f->text);
	free(f);
	return 0;
}

static void on_started(void *arg)
{
	struct task_rig *f = arg;
	f->started++;
}

static void on_event(void *arg, const char *type, struct tf_value *details)
{
	struct task_rig *f = arg;
	assert_int_equal(f->started, 1);
	tf_buf_printf(&f->events, "%s %s;", type, tf_value_text(details));
}

struct tf_value *task_rig_value(const char *text)
{
	struct tf_err err;
	struct tf_value *v = tf_value_parse(text, strlen(text), 0, &err);
	if (!v)
		fail_msg("%s: %s", text, err.message);
	return v;
}

bool task_rig_run(struct task_rig *f, struct tf_request *request)
{
	const struct tf_runner_sink sink = {.started = on_started, .event = on_event, .arg = f};
	bool failed;
	f->started = 0;
	f->events.len = 0;
	struct tf_value *v = f->r->run(f->r->arg, request, &sink, &failed);
	f->r->idle(f->r->arg);
	if (failed) {
		struct tf_err err;
		struct tf_json dict = tf_value_json(v);
		if (tf_failure_check_schema(dict, &err) < 0 || tf_failure_check_reconstruct(dict, &err) < 0)
			fail_msg("%s: %s", err.message, tf_value_text(v));
		assert_int_equal(tf_json_count(dict), 6);
	}
	free(f->text);
	f->text = tf_strdup(tf_value_text(v));
	tf_value_unref(v);
	assert_int_equal(lua_gettop(f->L), 0);
	return failed;
}

bool task_rig_execute(struct task_rig *f, const char *cls, const char *arguments)
{
	struct tf_request r = {
		.task_cls = (char *)cls, .task_name = (char *)"the name", .action = TF_EXECUTE};
	r.arguments = task_rig_value(arguments);
	bool failed = task_rig_run(f, &r);
	tf_value_unref(r.arguments);
	return failed;
}

void task_rig_assert_result(struct task_rig *f, const char *cls, const char *arguments, const char *result)
{
	if (task_rig_execute(f, cls, arguments))
		fail_msg("%s %s failed: %s", cls, arguments, f->text);
	assert_string_equal(f->text, result);
	assert_int_equal(f->started, 1);
}

void task_rig_assert_contains(struct task_rig *f, const char *part)
{
	if (!strstr(f->text, part))
		fail_msg("no %s\nin %s", part, f->text);
}

void task_rig_assert_failure(
	struct task_rig *f, const char *cls, const char *arguments, const char *types, const char *text)
{
	if (!task_rig_execute(f, cls, arguments))
		fail_msg("%s %s gave %s", cls, arguments, f->text);
	task_rig_assert_contains(f, types);
	task_rig_assert_contains(f, text);
}
