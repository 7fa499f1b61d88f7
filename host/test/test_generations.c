/* Generations with real processes: what each load does is decided by the test, in the forked loader. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/cmocka_all.h"

#include "base/log.h"
#include "leak_check.h"
#include "base/mem.h"
#include "pool/generations.h"

enum { SLOTS = 2, MAX_JOBS = 64, WAIT_MS = 20000 };

/* ---- what is loaded: read by the loader when it is forked ---- */

enum how { GOOD, BROKEN, HANGS, DIES, NO_SETUP };
static struct {
	enum how how;
	int version;
	const char *extra; /* a second class */
} script;
static int loaded; /* in loader and slots: the version there */

static int run_load(void *arg, char ***names, struct tf_err *err)
{
	(void)arg;
	leak_check_skip();
	loaded = script.version;
	if (script.how == HANGS)
		pause();
	if (script.how == DIES)
		_exit(4);
	if (script.how == BROKEN)
		return tf_err_set(err, TF_ELUA, "tasks.lua:%d: broken", script.version);
	*names = tf_calloc(3, sizeof(char *));
	(*names)[0] = tf_strdup("t.A");
	(*names)[1] = tf_strdup(script.extra);
	return 0;
}

static void run_sources(void *arg, char ***files, char *hash)
{
	(void)arg;
	*files = tf_calloc(2, sizeof(char *));
	(*files)[0] = tf_asprintf("/tasks-%d.lua", script.version);
	snprintf(hash, TF_SOURCES_HASH, "%016d", script.version);
}

static int run_start(void *arg, struct tf_err *err)
{
	(void)arg;
	return script.how == NO_SETUP ? tf_err_set(err, TF_ELUA, "setup: no database") : 0;
}

static struct tf_value *run_task(
	void *arg, const struct tf_request *r, const struct tf_runner_sink *sink, bool *failed)
{
	struct tf_buf text = TF_BUF_INIT;
	struct tf_json v;
	int64_t ms = 0;
	(void)arg;
	sink->started(sink->arg);
	if (tf_json_get(tf_value_json(r->arguments), "ms", &v))
		tf_json_int64(v, &ms);
	if (ms)
		usleep((useconds_t)(ms * 1000));
	*failed = false;
	tf_buf_printf(&text, "%d", loaded);
	return tf_value_take(&text);
}

static const struct tf_runner runner = {
	.load = run_load, .sources = run_sources, .slot_start = run_start, .run = run_task};

/* ---- the owner ---- */

struct fixture {
	struct tf_loop *loop;
	struct tf_generations *g;
	unsigned ready, backs, done_count;
	size_t names;
	int version[MAX_JOBS];
	uint64_t number[MAX_JOBS];
	bool back[MAX_JOBS];
	struct tf_err error; /* of ready */
	unsigned answers;
	struct tf_err answer; /* of the last reload */
	struct tf_label label;
	bool stopped;
};

static void on_ready(void *arg, char *const *names, size_t count, const struct tf_err *err)
{
	struct fixture *f = arg;
	(void)names;
	f->ready++;
	f->names = count;
	if (err)
		f->error = *err;
}

static void on_back(void *arg, uint64_t job)
{
	struct fixture *f = arg;
	f->backs++;
	f->back[job] = true;
}

static void on_done(void *arg, uint64_t job, bool failed, struct tf_value *result)
{
	struct fixture *f = arg;
	f->done_count++;
	f->version[job] = failed ? -1 : atoi(tf_value_text(result));
	f->number[job] = tf_generations_label(f->g)->number;
}

static void on_answer(void *arg, const struct tf_label *label, const struct tf_err *err)
{
	struct fixture *f = arg;
	f->answers++;
	f->answer = err ? *err : (struct tf_err){0};
	if (label)
		f->label = *label;
}

static void on_stopped(void *arg)
{
	((struct fixture *)arg)->stopped = true;
}

static void on_tick(void *arg)
{
	(void)arg;
}

#define WAIT(f, condition) \
	do { \
		struct tf_timer *tick_ = tf_timer_new((f)->loop, on_tick, NULL); \
		uint64_t limit_ = tf_clock_ms(&tf_clock_real) + WAIT_MS; \
		tf_timer_start(tick_, 5, 5); \
		while (!(condition) && tf_clock_ms(&tf_clock_real) < limit_) \
			tf_loop_turn((f)->loop, true); \
		tf_timer_delete(tick_); \
		assert_true(condition); \
	} while (0)

static void rest(struct fixture *f, uint64_t ms)
{
	uint64_t until = tf_clock_ms(&tf_clock_real) + ms;
	WAIT(f, tf_clock_ms(&tf_clock_real) >= until);
}

static void become(enum how how, int version, const char *extra)
{
	script.how = how;
	script.version = version;
	script.extra = extra;
}

static int setup(void **state)
{
	static const struct tf_pool_events events = {.ready = on_ready, .back = on_back, .done = on_done};
	struct fixture *f = TF_NEW(struct fixture);
	const struct tf_generations_config config = {
		.pool = {.slots = SLOTS, .runner = &runner}, .load_ms = 500};
	become(GOOD, 1, NULL);
	f->loop = tf_loop_new();
	assert_int_equal(tf_generations_new(f->loop, &config, &events, f, &f->g, NULL), 0);
	WAIT(f, f->ready == 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	tf_generations_delete(f->g);
	tf_loop_delete(f->loop);
	free(f);
	return 0;
}

static int submit(struct fixture *f, uint64_t job, unsigned ms)
{
	struct tf_err err;
	char text[32];
	snprintf(text, sizeof(text), "{\"ms\": %u}", ms);
	struct tf_request r = {.task_cls = (char *)(uintptr_t) "t.A", .task_name = (char *)(uintptr_t) "n"};
	r.arguments = tf_value_parse(text, strlen(text), 0, NULL);
	int rc = tf_generations_submit(f->g, job, &r, &err);
	tf_value_unref(r.arguments);
	return rc;
}

/* Reload and wait for what comes of it: 0, or the code of the refusal. */
static int reload(struct fixture *f, struct tf_reload how)
{
	unsigned before = f->answers;
	how.done = on_answer;
	how.arg = f;
	tf_generations_reload(f->g, &how);
	WAIT(f, f->answers > before);
	return f->answer.code;
}

static bool status_has(const struct fixture *f, const char *text)
{
	struct tf_buf out = TF_BUF_INIT;
	tf_generations_status(f->g, &out);
	bool has = strstr(out.data, text) != NULL;
	assert_int_equal(tf_json_validate(out.data, out.len, 0, NULL, NULL), 0);
	tf_buf_free(&out);
	return has;
}

/* ---- tests ---- */

static void the_next_request_runs_in_the_new_code(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(submit(f, 1, 300), 0); /* goes on in the old */
	become(GOOD, 2, "t.B");
	assert_int_equal(reload(f, (struct tf_reload){0}), 0);
	assert_int_equal(f->label.number, 2);
	assert_string_equal(f->label.hash, "0000000000000002");
	assert_int_equal(f->ready, 2);
	assert_int_equal(f->names, 2);
	assert_int_equal(submit(f, 2, 0), 0);
	assert_int_equal(tf_generations_label(f->g)->number, 2);
	assert_int_equal(submit(f, 3, 0), TF_EAGAIN); /* two slots in all */
	WAIT(f, f->done_count == 2);
	assert_int_equal(f->version[1], 1);
	assert_int_equal(f->number[1], 1);
	assert_int_equal(f->version[2], 2);
	assert_int_equal(f->number[2], 2);
	assert_string_equal(tf_generations_files(f->g)->data, "/tasks-2.lua");
}

static void what_had_not_begun_comes_back(void **state)
{
	struct fixture *f = *state;
	uint64_t job = 0;
	/* Quick ones, so that slots get some ahead. */
	for (int i = 0; i < 20; i++) {
		while (job < MAX_JOBS / 2 && submit(f, job, 0) == 0)
			job++;
		usleep(500);
		tf_loop_turn(f->loop, false);
	}
	WAIT(f, f->done_count + f->backs == job); /* on a busy machine, the quick ones take long */
	become(GOOD, 2, NULL);
	tf_generations_reload(f->g, &(struct tf_reload){.done = on_answer, .arg = f});
	uint64_t first = job;
	while (job < MAX_JOBS && submit(f, job, 200) == 0)
		job++;
	WAIT(f, f->answers == 1);
	WAIT(f, f->done_count + f->backs == job);
	for (uint64_t i = first; i < job; i++)
		assert_true(f->back[i] ? f->version[i] == 0 : f->version[i] == 1);
}

static void bad_scripts_change_nothing(void **state)
{
	static const struct {
		enum how how;
		const char *story;
	} cases[] = {{BROKEN, "tasks.lua:7: broken"}, {HANGS, "not loaded after 0.5 s"},
		{DIES, "exited with code 4"}, {NO_SETUP, "no database"}};
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		become(cases[i].how, 7, NULL);
		assert_true(reload(f, (struct tf_reload){0}) < 0);
		assert_non_null(strstr(f->answer.message, cases[i].story));
		assert_true(status_has(f, cases[i].story));
		f->done_count = 0;
		assert_int_equal(submit(f, i, 0), 0);
		WAIT(f, f->done_count == 1);
		assert_int_equal(f->version[i], 1);
	}
	assert_int_equal(f->ready, 1);
	become(GOOD, 2, NULL);
	assert_int_equal(reload(f, (struct tf_reload){0}), 0);
	assert_int_equal(f->label.number, 2); /* those that failed have no number */
	assert_true(status_has(f, "\"load_error\": null"));
}

static void a_check_changes_nothing(void **state)
{
	struct fixture *f = *state;
	become(GOOD, 2, NULL);
	assert_int_equal(reload(f, (struct tf_reload){.check = true}), 0);
	assert_string_equal(f->label.hash, "0000000000000002");
	become(NO_SETUP, 3, NULL);
	assert_true(reload(f, (struct tf_reload){.check = true}) < 0);
	assert_int_equal(f->ready, 1);
	assert_true(status_has(f, "\"load_error\": null"));
	assert_true(status_has(f, "\"current\": 1"));
}

static void files_that_say_the_same_are_no_change(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(reload(f, (struct tf_reload){.if_new = true}), 0);
	assert_int_equal(f->ready, 1);
	assert_int_equal(reload(f, (struct tf_reload){0}), 0); /* on demand all the same */
	assert_int_equal(f->ready, 2);
	become(BROKEN, 5, NULL);
	assert_true(reload(f, (struct tf_reload){.if_new = true}) < 0);
	become(GOOD, 1, NULL);
	assert_int_equal(reload(f, (struct tf_reload){.if_new = true}), 0);
	assert_int_equal(f->ready, 2);
	assert_true(status_has(f, "\"load_error\": null")); /* mended */
}

static void a_change_while_one_loads_starts_over(void **state)
{
	struct fixture *f = *state;
	become(HANGS, 2, NULL);
	tf_generations_reload(f->g, &(struct tf_reload){.if_new = true, .done = on_answer, .arg = f});
	become(GOOD, 3, NULL);
	tf_generations_reload(f->g, &(struct tf_reload){.check = true, .done = on_answer, .arg = f});
	WAIT(f, f->answers == 2); /* who only checked hears of the load that came of both */
	assert_int_equal(f->answer.code, 0);
	assert_int_equal(f->label.number, 2);
	assert_int_equal(f->ready, 2);
}

static void nothing_comes_of_a_load_that_is_held(void **state)
{
	const struct tf_reload held = {.if_new = true, .hold = true, .done = on_answer, .arg = *state};
	struct fixture *f = *state;
	assert_false(tf_generations_release(f->g));
	become(GOOD, 2, NULL);
	tf_generations_reload(f->g, &held);
	rest(f, 200);
	assert_int_equal(f->answers, 0);
	assert_true(status_has(f, "\"current\": 1"));
	assert_true(status_has(f, "\"slots\": 0")); /* no setup hook has run */
	assert_true(tf_generations_release(f->g));
	assert_false(tf_generations_release(f->g));
	WAIT(f, f->answers == 1);
	assert_int_equal(f->label.number, 2);
	become(BROKEN, 3, NULL);
	tf_generations_reload(f->g, &held);
	rest(f, 200);
	assert_true(status_has(f, "\"load_error\": null"));
	assert_true(tf_generations_release(f->g));
	assert_int_equal(f->answers, 2); /* known already */
	assert_non_null(strstr(f->answer.message, "tasks.lua:3: broken"));
	become(GOOD, 2, NULL);
	tf_generations_reload(f->g, &held);
	assert_true(tf_generations_release(f->g)); /* before it has loaded */
	WAIT(f, f->answers == 3);
	assert_int_equal(f->answer.code, 0);
	assert_int_equal(f->ready, 2); /* the same as before */
}

static void a_load_that_is_held_gives_way_to_the_next(void **state)
{
	struct fixture *f = *state;
	become(GOOD, 2, NULL);
	tf_generations_reload(f->g, &(struct tf_reload){.if_new = true, .hold = true});
	rest(f, 100);
	become(GOOD, 3, NULL);
	assert_int_equal(reload(f, (struct tf_reload){0}), 0);
	assert_string_equal(f->label.hash, "0000000000000003");
	assert_int_equal(f->label.number, 2);
	assert_false(tf_generations_release(f->g));
	become(GOOD, 4, NULL);
	tf_generations_reload(f->g, &(struct tf_reload){.if_new = true, .hold = true});
	tf_generations_reload(f->g, &(struct tf_reload){.check = true, .done = on_answer, .arg = f});
	rest(f, 200);
	assert_int_equal(f->answers, 1); /* who only checks does not hurry it */
	assert_true(tf_generations_release(f->g));
	WAIT(f, f->answers == 2);
	assert_int_equal(f->label.number, 3);
}

static void rollback_returns_and_returns_again(void **state)
{
	struct fixture *f = *state;
	struct tf_err err;
	assert_int_equal(tf_generations_rollback(f->g, on_answer, f, &err), TF_ESTATE);
	become(GOOD, 2, "t.B");
	assert_int_equal(reload(f, (struct tf_reload){0}), 0);
	become(BROKEN, 9, NULL); /* the files are not looked at */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(tf_generations_rollback(f->g, on_answer, f, &err), 0);
		WAIT(f, f->answers == 2 + i);
		assert_int_equal(f->label.number, i % 2 ? 2 : 1);
		assert_int_equal(f->names, i % 2 ? 2 : 1);
		f->done_count = 0;
		assert_int_equal(submit(f, i, 0), 0);
		WAIT(f, f->done_count == 1);
		assert_int_equal(f->version[i], i % 2 ? 2 : 1);
	}
}

/* Whether so many are done; the one that came back, since it had not begun, is submitted again. */
static bool done_in_time(struct fixture *f, uint64_t job, unsigned count)
{
	if (f->back[job] && submit(f, job, 1) == 0)
		f->back[job] = false;
	return f->done_count == count;
}

static void old_generations_are_gone(void **state)
{
	struct fixture *f = *state;
	for (int i = 2; i < 30; i++) {
		become(GOOD, i, NULL);
		assert_int_equal(submit(f, (uint64_t)i, 1), 0);
		assert_int_equal(reload(f, (struct tf_reload){0}), 0);
		WAIT(f, done_in_time(f, (uint64_t)i, (unsigned)i - 1));
	}
	WAIT(f, !status_has(f, "FINISHING") && !status_has(f, "\"generation\": 27,"));
	assert_true(status_has(f, "\"generation\": 28, \"state\": \"PREVIOUS\""));
	assert_true(status_has(f, "\"generation\": 29, \"state\": \"CURRENT\""));
}

static void a_lost_loader_is_replaced_from_the_files(void **state)
{
	struct fixture *f = *state;
	struct tf_buf out = TF_BUF_INIT;
	tf_generations_status(f->g, &out);
	const char *pid = strstr(out.data, "\"loader_pid\": ");
	become(GOOD, 2, NULL);
	assert_int_equal(kill((pid_t)atoi(pid + strlen("\"loader_pid\": ")), SIGKILL), 0);
	tf_buf_free(&out);
	WAIT(f, f->ready == 2);
	assert_int_equal(submit(f, 1, 0), 0);
	WAIT(f, f->done_count == 1);
	assert_int_equal(f->version[1], 2);
}

static void a_canary_gets_its_share_and_serves(void **state)
{
	struct fixture *f = *state;
	become(GOOD, 2, NULL);
	assert_int_equal(reload(f, (struct tf_reload){.share = 0.5, .canary_wanted = 10}), 0);
	assert_true(status_has(f, "\"state\": \"CANARY\""));
	unsigned canary = 0;
	for (uint64_t i = 0; i < 20 && f->ready == 1; i++) {
		WAIT(f, f->done_count == i);
		assert_int_equal(submit(f, i, 0), 0);
		WAIT(f, f->done_count == i + 1);
		canary += f->version[i] == 2;
	}
	assert_int_equal(canary, 10);
	assert_int_equal(f->ready, 2);
	assert_true(status_has(f, "\"current\": 2"));
}

static void stopping_ends_the_slots(void **state)
{
	struct fixture *f = *state;
	tf_generations_stop(f->g, on_stopped, f);
	WAIT(f, f->stopped);
	assert_int_equal(reload(f, (struct tf_reload){0}), TF_ESTATE);
}

struct count {
	unsigned slots, busy;
	pid_t last;
	uint64_t generation;
};

static void count_slot(void *arg, const struct tf_label *label, const struct tf_slot_info *info)
{
	struct count *c = arg;
	c->slots++;
	c->busy += info->job != 0;
	assert_true(info->pid == 0 || info->pid != c->last);
	assert_int_equal(info->job != 0, !strcmp(info->state, "busy") && info->task_cls != NULL);
	c->last = info->pid;
	c->generation = label->number;
}

static struct count count(struct fixture *f)
{
	struct count c = {0};
	tf_generations_each_slot(f->g, count_slot, &c);
	return c;
}

static void submit_when_free(struct fixture *f, uint64_t job, unsigned ms)
{
	while (submit(f, job, ms) != 0)
		tf_loop_turn(f->loop, true);
}

/* More slots are there at once; fewer once what runs in them has ended, and nothing new begins in those meanwhile. */
static void slots_come_and_go(void **state)
{
	struct fixture *f = *state;
	WAIT(f, count(f).slots == SLOTS);
	uint64_t job = 1;
	for (; job <= SLOTS; job++)
		submit_when_free(f, job, 300);
	tf_generations_resize(f->g, 3 * SLOTS);
	for (; job <= 3 * SLOTS; job++)
		submit_when_free(f, job, 300);
	assert_int_equal(count(f).busy, 3 * SLOTS);
	tf_generations_resize(f->g, 1);
	assert_int_equal(submit(f, job, 0), TF_EAGAIN);
	WAIT(f, count(f).slots == 1);
	WAIT(f, f->done_count == 3 * SLOTS);
	submit_when_free(f, job, 0);
	WAIT(f, f->done_count == 3 * SLOTS + 1);
	become(GOOD, 2, NULL);
	assert_int_equal(reload(f, (struct tf_reload){0}), 0);
	WAIT(f, count(f).slots == 1 && count(f).generation == 2); /* new scripts get as many */
	tf_generations_resize(f->g, 2);
	WAIT(f, count(f).slots == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(the_next_request_runs_in_the_new_code),
		TEST(what_had_not_begun_comes_back),
		TEST(bad_scripts_change_nothing),
		TEST(a_check_changes_nothing),
		TEST(files_that_say_the_same_are_no_change),
		TEST(a_change_while_one_loads_starts_over),
		TEST(nothing_comes_of_a_load_that_is_held),
		TEST(a_load_that_is_held_gives_way_to_the_next),
		TEST(rollback_returns_and_returns_again),
		TEST(old_generations_are_gone),
		TEST(a_lost_loader_is_replaced_from_the_files),
		TEST(a_canary_gets_its_share_and_serves),
		TEST(slots_come_and_go),
		TEST(stopping_ends_the_slots),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
