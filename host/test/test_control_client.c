/* The client of control sockets (control/client.h) against one. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmocka_all.h"
#include "control/client.h"
#include "control_rig.h"

struct asking {
	const char *path, *request;
	struct tf_value *result;
	struct tf_err err;
	int rc;
	bool done;
};

static void *ask(void *arg)
{
	struct asking *a = arg;
	a->rc = tf_control_ask(a->path, a->request, CONTROL_RIG_WAIT_MS, &a->result, &a->err);
	__atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Ask from a thread while the loop runs here. */
static void asked(struct control_rig *r, struct asking *a)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, ask, a), 0);
	while (!__atomic_load_n(&a->done, __ATOMIC_ACQUIRE))
		control_rig_turn(r);
	pthread_join(thread, NULL);
}

static void a_client_gets_result_or_refusal(void **state)
{
	struct control_rig r;
	(void)state;
	control_rig_open(&r);
	struct asking good = {.path = r.path, .request = "{\"command\": \"echo\"}"};
	asked(&r, &good);
	assert_int_equal(good.rc, 0);
	assert_string_equal(tf_value_text(good.result), "{\"command\": \"echo\"}");
	tf_value_unref(good.result);
	struct asking bad = {.path = r.path, .request = "{\"command\": \"refuse\"}"};
	asked(&r, &bad);
	assert_int_equal(bad.rc, TF_ESTATE);
	assert_string_equal(bad.err.message, "not \"now\"");
	char *path = tf_strdup(r.path);
	control_rig_close(&r);
	struct asking gone = {.path = path, .request = "{}"};
	ask(&gone);
	assert_int_equal(gone.rc, TF_ECLOSED);
	free(path);
}

/* A worker that was stopped accepted nobody; once its line was full, `connect` waited for ever, whatever the timeout was. */
static void who_stands_still_is_given_up_however_often(void **state)
{
	struct control_rig r;
	struct tf_value *result;
	struct tf_err err;
	char **paths;
	(void)state;
	control_rig_open(&r);
	for (size_t i = 0; i < 40; i++) { /* the loop does not run */
		uint64_t began = tf_clock_ms(&tf_clock_real);
		assert_int_equal(
			tf_control_ask(r.path, "{\"command\": \"echo\"}", 20, &result, &err), TF_ETIMEOUT);
		assert_non_null(strstr(err.message, "no answer within 0.02 s"));
		assert_true(tf_clock_ms(&tf_clock_real) - began < CONTROL_RIG_WAIT_MS);
	}
	control_rig_turn(&r);
	const char *own = temp_folder_path(&r.folder, "own");
	setenv("TFHOST_CONTROL_DIR", own, 1);
	struct tf_control *full;
	assert_int_equal(tf_control_new(r.loop, "test", NULL, control_rig_commands, &r, &full, &err), 0);
	for (size_t i = 0; i < 40; i++) { /* it is found all the same */
		assert_int_equal(tf_control_find("test", &paths, &err), 0);
		assert_non_null(paths[0]);
		assert_string_equal(paths[0], tf_control_path(full));
		assert_null(paths[1]);
		free(paths[0]);
		free(paths);
	}
	tf_control_delete(full);
	unsetenv("TFHOST_CONTROL_DIR");
	control_rig_close(&r);
}

/* Events until one hangs up; who does not read costs a bounded amount of memory; who is gone is forgotten at once. */
static void events_go_on_until_one_hangs_up(void **state)
{
	struct tf_control_stream *stream;
	struct tf_value *event;
	struct tf_err err;
	struct control_rig r;
	static char large[1 << 18];
	(void)state;
	control_rig_open(&r);
	assert_int_equal(
		tf_control_follow(r.path, "{\"command\": \"watch\"}", CONTROL_RIG_WAIT_MS, &stream, &err), 0);
	while (r.held_count == 0)
		control_rig_turn(&r);
	assert_int_equal(tf_control_stream_next(stream, &event, &err), 0); /* nothing yet */
	assert_true(tf_control_tell(r.held[0], "{\"n\": 1}", 8));
	assert_true(tf_control_tell(r.held[0], "{\"n\": 2}", 8));
	control_rig_turn(&r);
	for (int n = 1; n <= 2; n++) {
		char text[32];
		snprintf(text, sizeof(text), "{\"n\": %d}", n);
		assert_int_equal(tf_control_stream_next(stream, &event, &err), 1);
		assert_string_equal(tf_value_text(event), text);
		tf_value_unref(event);
	}
	memset(large, ' ', sizeof(large));
	unsigned told = 0;
	while (told < 100 && tf_control_tell(r.held[0], large, sizeof(large)))
		told++;
	assert_in_range(told, TF_CONTROL_UNREAD / sizeof(large), TF_CONTROL_UNREAD / sizeof(large) + 1);
	tf_control_stream_delete(stream);
	while (r.held_count > 0)
		control_rig_turn(&r);
	/* The server goes first. */
	assert_int_equal(
		tf_control_follow(r.path, "{\"command\": \"watch\"}", CONTROL_RIG_WAIT_MS, &stream, &err), 0);
	while (r.held_count == 0)
		control_rig_turn(&r);
	assert_true(tf_control_tell(r.held[0], "3", 1));
	control_rig_close(&r);
	assert_int_equal(
		tf_control_stream_next(stream, &event, &err), 1); /* what goes is sent before the end */
	tf_value_unref(event);
	assert_int_equal(tf_control_stream_next(stream, &event, &err), TF_ECLOSED);
	tf_control_stream_delete(stream);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_gets_result_or_refusal),
		cmocka_unit_test(who_stands_still_is_given_up_however_often),
		cmocka_unit_test(events_go_on_until_one_hangs_up),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("control client", tests, NULL, NULL);
}
