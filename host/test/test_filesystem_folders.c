/* The folders of the filesystem transport: several, private queues in them, and folders that come and go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "fs_env.h"

static void test_store_processed(void **state)
{
	struct peer b;
	char *more = tf_asprintf(
		", \"store_processed\": true, \"processed_folder\": \"%s/done/with\"", fs_dir.path);

	(void)state;
	fs_put("1_" FS_UUID "0001.ex_t.msg", "one");
	fs_open_on(&b, "q", "q", more);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 1);
	assert_true(temp_folder_has(&fs_dir, "done/with/1_" FS_UUID "0001.ex_t.msg"));
	peer_close(&b);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	free(more);
}

static void test_mirrored_folders(void **state)
{
	struct peer engine, worker;

	(void)state;
	fs_open_on(&engine, "A", "B", "");
	fs_open_on(&worker, "B", "A", "");
	peer_consume(&engine, "t", 0);
	peer_consume(&worker, "t", 0);
	peer_send(&engine, "t", "to worker", 0, 0);
	peer_send(&worker, "t", "to engine", 0, 0);
	peer_until(&engine, engine.count, 1);
	peer_until(&worker, worker.count, 1);
	assert_string_equal(worker.messages[0].body, "to worker");
	assert_string_equal(engine.messages[0].body, "to engine");
	/* requeued where it was read, unlike in kombu, which loses it to the other side */
	tf_transport_settle(worker.t, worker.messages[0].tag, TF_REQUEUE);
	peer_until(&worker, worker.count, 2);
	peer_close(&engine);
	peer_close(&worker);
	assert_int_equal(temp_folder_count(&fs_dir, "B", ".msg"), 1);
	assert_int_equal(temp_folder_count(&fs_dir, "A", ".msg"), 1);
}

static void test_private_queue_is_removed(void **state)
{
	struct peer a, b, c;
	int i;

	(void)state;
	fs_open_peer(&a);
	fs_open_peer(&b);
	fs_open_peer(&c);
	peer_consume(&b, FS_UUID "0000", 1);
	peer_consume(&c, "t", 1);
	for (i = 0; i < 4; i++) {
		peer_send(&a, FS_UUID "0000", "reply", 0, 1);
		peer_send(&a, FS_UUID "0001", "of another", 0, 1);
		peer_send(&a, "t", "request", 0, 1);
	}
	peer_until(&a, a.outcome_count, 12);
	peer_until(&b, b.count, 1);
	peer_until(&c, c.count, 1);
	peer_close(&b);
	peer_close(&c);
	assert_int_equal(temp_folder_count(&fs_dir, "q", "0000.msg"), 0);
	assert_int_equal(temp_folder_count(&fs_dir, "q", "0001.msg"), 4);
	assert_int_equal(temp_folder_count(&fs_dir, "q", "_t.msg"), 4);
	peer_close(&a);
}

/* With our header, as only peers of ours get it. */
static void send_ours(struct peer *p, const char *topic, uint64_t id)
{
	struct tf_err err;
	const struct tf_message m = {
		.topic = topic, .type = "NOTIFY", .peer = "{\"v\":1}", .body = "{}", .body_len = 2};
	assert_int_equal(tf_transport_publish(p->t, &m, 0, id, &err), 0);
}

/* What comes for a reader of ours that has closed its queue is returned, and no file stays; Python's queues are its own affair. */
static void test_closed_queue_returns(void **state)
{
	struct peer a, b;
	const char *topic = FS_UUID "0000";

	(void)state;
	fs_open_peer(&a);
	fs_open_peer(&b);
	peer_consume(&b, topic, 0);
	peer_until(&b, b.ups, 1);
	send_ours(&a, topic, 1);
	peer_until(&b, b.count, 1);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	peer_close(&b);
	send_ours(&a, topic, 2);
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.outcomes[1].status, TF_RETURNED);
	assert_int_equal(a.t->stats.returned, 1);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	peer_send(&a, topic, "reply", 0, 3);
	peer_until(&a, a.outcome_count, 3);
	assert_int_equal(a.outcomes[2].status, TF_PUBLISHED);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 1);
	assert_int_equal(temp_folder_count(&fs_dir, FS_SPOOL, topic), 0);
	peer_close(&a);
}

static void test_folder_vanishes(void **state)
{
	struct temp_folder q;
	struct peer a, b;
	uint64_t tag;

	(void)state;
	fs_open_peer(&a);
	fs_open_peer(&b);
	peer_consume(&b, "t", 0);
	peer_send(&a, "t", "1", 0, 1);
	peer_until(&b, b.count, 1);
	tag = b.messages[0].tag;
	snprintf(q.path, sizeof(q.path), "%s", temp_folder_path(&fs_dir, "q"));
	temp_folder_remove(&q);
	peer_send(&a, "t", "2", 0, 2); /* waits for the folder */
	peer_until(&b, b.downs, 1);
	assert_non_null(strstr(b.down_err.message, q.path));
	tf_transport_settle(b.t, tag, TF_ACK); /* void */
	peer_until(&b, b.ups, 2);              /* made anew */
	peer_until(&a, a.outcome_count, 2);
	assert_int_equal(a.outcomes[1].status, TF_PUBLISHED);
	peer_until(&b, b.count, 2);
	assert_string_equal(b.messages[1].body, "2");
	/* another folder in its place */
	assert_int_equal(rename(temp_folder_path(&fs_dir, "q"), temp_folder_path(&fs_dir, "old")), 0);
	mkdir(temp_folder_path(&fs_dir, "q"), 0777);
	peer_until(&b, b.ups, 3);
	peer_until(&a, a.ups, 3);
	peer_send(&a, "t", "3", 0, 3);
	peer_until(&b, b.count, 3);
	assert_string_equal(b.messages[2].body, "3");
	assert_int_equal(b.t->stats.reconnects, 2);
	peer_close(&a);
	peer_close(&b);
}

static void test_folder_cannot_be_made(void **state)
{
	struct peer a;

	(void)state;
	temp_folder_write(&fs_dir, "file", "");
	fs_open_on(&a, "file/q", "q", "");
	peer_send(&a, "t", "1", 0, 1);
	peer_until(&a, a.downs, 1);
	assert_non_null(strstr(a.down_err.message, "file/q: Not a directory"));
	assert_false(tf_transport_is_up(a.t));
	peer_idle(&a, 1500); /* tried again, told once */
	assert_int_equal(a.downs, 1);
	unlink(temp_folder_path(&fs_dir, "file"));
	peer_until(&a, a.outcome_count, 1);
	assert_int_equal(a.outcomes[0].status, TF_PUBLISHED);
	assert_int_equal(a.ups, 1);
	peer_close(&a);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fs_set_up, fs_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_store_processed),
		CASE(test_mirrored_folders),
		CASE(test_private_queue_is_removed),
		CASE(test_closed_queue_returns),
		CASE(test_folder_vanishes),
		CASE(test_folder_cannot_be_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
