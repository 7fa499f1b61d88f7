/* What a worker keeps for engines that do not watch over it, and what it makes of what a dead one has left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmocka_all.h"
#include "server_rig.h"
#include "temp_folder.h"
#include "wbe/diary.h"

#define DEAD "c0d9c6b0-1111-4222-8333-444444444444"
#define BODY \
	"{\"task_cls\": \"m.T\", \"task_name\": \"t\", \"task_version\": [1, 0], \"action\": \"execute\"}"

struct rig {
	struct temp_folder folder;
	struct server_rig w;
};

static void start(struct rig *r)
{
	static const char *const classes[] = {"m.T", NULL};
	r->w = (struct server_rig){.classes = classes,
		.tracks = true,
		.config = {.pool.slots = 4, .journal = r->folder.path, .journal_ms = 5000}};
	server_open(&r->w);
}

static void stop(struct rig *r)
{
	if (r->w.s)
		server_close(&r->w);
}

static int set_up(void **state)
{
	struct rig *r = TF_NEW(struct rig);
	temp_folder_make(&r->folder);
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;
	stop(r);
	temp_folder_remove(&r->folder);
	free(r);
	return 0;
}

static void request(struct rig *r, const char *id)
{
	server_deliver(&r->w, "REQUEST", id, NULL, BODY, false);
	tf_server_tick(r->w.s);
}

/* The oldest message: to this topic, about this request, with this in its body. Confirmed, or returned. */
static void expect(
	struct rig *r, const char *topic, const char *id, const char *text, enum tf_publish_status status)
{
	struct fake_sent *s = fake_wire_take(r->w.wire);
	assert_non_null(s);
	assert_string_equal(s->m.topic, topic);
	if (id)
		assert_string_equal(s->m.correlation_id, id);
	assert_non_null(strstr(s->m.body, text));
	if (s->id)
		fake_wire_confirm(r->w.wire, s->id, status);
	fake_sent_free(s);
}

static size_t files(const struct rig *r)
{
	return temp_folder_count(&r->folder, ".", ".diary");
}

/* The diary of a dead worker; `how`: "" (it ran), "a" (acknowledged), "e" (ended). */
static void leave(struct rig *r, const char *const *hows)
{
	struct tf_diary *d = tf_diary_new(r->folder.path, DEAD);
	char *command = tf_asprintf("cd %s && cp %s.diary copy", r->folder.path, DEAD);
	for (int i = 0; hows[i]; i++) {
		char id[2] = {(char)('A' + i), '\0'};
		uint64_t entry;
		const struct tf_diary_entry e = {.reply_to = (char *)ENGINE,
			.correlation_id = id,
			.body = (char *)BODY,
			.body_len = strlen(BODY)};
		assert_int_equal(tf_diary_take(d, &e, &entry, NULL), 0);
		if (hows[i][0] == 'a')
			assert_int_equal(tf_diary_acknowledge(d, entry, NULL), 0);
		if (hows[i][0] == 'e')
			assert_int_equal(tf_diary_outcome(d, entry, false, "{\"kept\": 1}", 11, NULL), 0);
	}
	assert_int_equal(system(command), 0);
	tf_diary_delete(d);
	free(command);
	command = tf_asprintf("cd %s && mv copy %s.diary", r->folder.path, DEAD);
	assert_int_equal(system(command), 0);
	free(command);
}

static void a_request_is_kept_from_running_to_delivery(void **state)
{
	struct rig *r = *state;
	start(r);
	request(r, "A");
	assert_int_equal(files(r), 0); /* its queue has it */
	fake_pool_started(r->w.pool, 0);
	assert_int_equal(files(r), 1);
	expect(r, ENGINE, "A", "RUNNING", TF_PUBLISHED);
	fake_pool_done(r->w.pool, 0, false, "7");
	expect(r, ENGINE, "A", "SUCCESS", TF_PUBLISHED);
	assert_int_equal(r->w.wire->acked, 1);
	stop(r);
	assert_int_equal(files(r), 0);
}

static void what_runs_long_is_acknowledged_and_kept(void **state)
{
	struct rig *r = *state;
	start(r);
	request(r, "A");
	fake_pool_started(r->w.pool, 0);
	server_pass(&r->w, 4900);
	assert_int_equal(r->w.wire->acked, 0);
	tf_clock_fake_advance(&r->w.clock, 200);
	tf_server_tick(r->w.s);
	assert_int_equal(r->w.wire->acked, 1);
	stop(r); /* in the midst of it */
	assert_int_equal(files(r), 1);
	start(r); /* another one goes on with it */
	assert_int_equal(r->w.pool->count, 1);
}

static void outcomes_are_delivered_and_what_nobody_else_has_is_run(void **state)
{
	struct rig *r = *state;
	leave(r, (const char *const[]){"e", "a", NULL});
	start(r);
	expect(r, ENGINE, "A", "kept", TF_RETURNED); /* once more, later */
	assert_int_equal(r->w.pool->count, 1);
	fake_pool_started(r->w.pool, 0);
	expect(r, ENGINE, "B", "RUNNING", TF_PUBLISHED);
	fake_pool_done(r->w.pool, 0, false, "7");
	expect(r, ENGINE, "B", "SUCCESS", TF_PUBLISHED);
	tf_clock_fake_advance(&r->w.clock, 900);
	tf_server_tick(r->w.s);
	tf_clock_fake_advance(&r->w.clock, 900);
	tf_server_tick(r->w.s);
	expect(r, ENGINE, "A", "kept", TF_PUBLISHED);
	stop(r);
	assert_int_equal(files(r), 0);
}

static void what_its_queue_has_is_left_to_it(void **state)
{
	struct rig *r = *state;
	leave(r, (const char *const[]){"", NULL});
	start(r);
	expect(r, "tfhost-worker." DEAD, NULL, "{}", TF_PUBLISHED);
	assert_int_equal(r->w.pool->count, 0);
	assert_int_equal(files(r), 0);
}

static void what_went_with_its_queue_is_run(void **state)
{
	struct rig *r = *state;
	leave(r, (const char *const[]){"", "", NULL});
	start(r);
	assert_int_equal(r->w.pool->count, 0);
	expect(r, "tfhost-worker." DEAD, NULL, "{}", TF_RETURNED);
	assert_int_equal(r->w.pool->count, 2);
	fake_wire_state(r->w.wire, false); /* no delivery of a connection, so it is not gone with one */
	fake_wire_state(r->w.wire, true);
	assert_int_equal(r->w.pool->count, 2);
	assert_int_equal(files(r), 1); /* ours */
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_is_kept_from_running_to_delivery),
		T(what_runs_long_is_acknowledged_and_kept),
		T(outcomes_are_delivered_and_what_nobody_else_has_is_run),
		T(what_its_queue_has_is_left_to_it),
		T(what_went_with_its_queue_is_run),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("wbe_inherit", tests, NULL, NULL);
}
