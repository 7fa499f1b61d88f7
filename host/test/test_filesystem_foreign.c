/* What the filesystem transport makes of what others put into its folder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "fs_env.h"

static void test_foreign_things(void **state)
{
	struct peer a, b;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	struct temp_folder q;
	char *text;

	(void)state;
	fs_put("0_" FS_UUID "0000.other.msg", "secret");
	assert_int_equal(symlink("0_" FS_UUID "0000.other.msg",
				 temp_folder_path(&fs_dir, "q/1_" FS_UUID "0001.ex_t.msg")),
		0);
	assert_int_equal(symlink("/dev/zero", temp_folder_path(&fs_dir, "q/2_" FS_UUID "0002.ex_t.msg")), 0);
	assert_int_equal(mkfifo(temp_folder_path(&fs_dir, "q/3_" FS_UUID "0003.ex_t.msg"), 0666), 0);
	assert_int_equal(mkdir(temp_folder_path(&fs_dir, "q/4_" FS_UUID "0004.ex_t.msg"), 0777), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		temp_folder_path(&fs_dir, "q/5_" FS_UUID "0005.ex_t.msg"));
	assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
	temp_folder_write(&fs_dir, "q/6_" FS_UUID "0006.ex_t.msg", "garbage");
	temp_folder_write(&fs_dir, "q/7_" FS_UUID "0007.ex_t.msg", "{}");
	fs_put("8_" FS_UUID "0008.ex_t.msg", "\\ud800");
	/* much larger than any message, without using the disk */
	temp_folder_write(&fs_dir, "q/9_" FS_UUID "0009.ex_t.msg", "{");
	assert_int_equal(
		truncate(temp_folder_path(&fs_dir, "q/9_" FS_UUID "0009.ex_t.msg"), (off_t)1 << 40), 0);
	fs_put("10_" FS_UUID "0010.ex_t.msg", "good");

	fs_open_peer(&a);
	fs_open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1);
	peer_until(&b, b.count, 1);
	assert_string_equal(b.messages[0].body, "good");
	assert_int_equal(b.t->stats.malformed, 8);
	assert_int_equal(b.t->stats.oversized, 1);
	assert_int_equal(temp_folder_count(&fs_dir, FS_QUARANTINE, ".msg"), 9);
	text = temp_folder_read(&fs_dir, FS_QUARANTINE "/6_" FS_UUID "0006.ex_t.msg");
	assert_string_equal(text, "garbage");
	free(text);
	assert_true(temp_folder_has(&fs_dir, "q/0_" FS_UUID "0000.other.msg"));
	/* not looped on, not in the way */
	peer_send(&a, "t", "better", 0, 0);
	peer_until(&b, b.count, 2);
	assert_int_equal(b.t->stats.malformed, 8);
	/* the quarantine may be emptied at any time */
	snprintf(q.path, sizeof(q.path), "%s", temp_folder_path(&fs_dir, FS_QUARANTINE));
	temp_folder_remove(&q);
	temp_folder_write(&fs_dir, "q/6_" FS_UUID "0006.ex_t.msg", "garbage");
	temp_folder_write(&fs_dir, "q/7_" FS_UUID "0007.ex_t.msg", "garbage");
	peer_until(&b, b.t->stats.malformed, 10);
	peer_close(&a);
	peer_close(&b); /* tries again what it could not set aside */
	assert_int_equal(temp_folder_count(&fs_dir, FS_QUARANTINE, ".msg"), 2);
	close(s);
	assert_int_equal(temp_folder_count(&fs_dir, FS_SPOOL, ""), 0);
}

static void test_body_over_the_limit(void **state)
{
	char *options = tf_asprintf(
		"{\"data_folder_in\": \"%s/q\", \"data_folder_out\": \"%s/q\"}", fs_dir.path, fs_dir.path);
	struct tf_transport_config config = {
		.transport = "filesystem", .exchange = "ex", .max_message = 4, .max_queued = 2};
	struct tf_message m = {.topic = "t", .body = "12345", .body_len = 5};
	struct peer b;
	struct tf_err err;

	(void)state;
	fs_put("1_" FS_UUID "0001.ex_t.msg", "12345");
	fs_put("2_" FS_UUID "0002.ex_t.msg", "1234");
	config.options = tf_value_parse(options, strlen(options), 0, NULL);
	assert_int_equal(peer_open_config(&b, fs_loop, &config, &err), 0);
	peer_consume(&b, "t", 0);
	peer_until(&b, b.count, 1);
	assert_string_equal(b.messages[0].body, "1234");
	assert_int_equal(b.t->stats.oversized, 1);
	assert_int_equal(tf_transport_publish(b.t, &m, 0, 1, &err), TF_ELIMIT);
	peer_send(&b, "t", "x", 0, 1);
	peer_send(&b, "t", "x", 0, 1);
	m.body_len = 1;
	assert_int_equal(tf_transport_publish(b.t, &m, 0, 1, &err), TF_EAGAIN);
	peer_until(&b, b.outcome_count, 2);
	assert_int_equal(b.t->queued, 0);
	peer_close(&b);
	tf_value_unref(config.options);
	free(options);
}

/* A Python writer works under the final name, without a lock that would mean anything. */
static void test_slow_writer(void **state)
{
	struct peer a, b;
	char *content = fs_content("slow");
	size_t half = strlen(content) / 2;
	FILE *f = fopen(temp_folder_path(&fs_dir, "q/1_" FS_UUID "0001.ex_t.msg"), "w");

	(void)state;
	fs_open_peer(&a);
	fs_open_peer(&b);
	b.settle = TF_ACK;
	peer_consume(&b, "t", 1); /* the incomplete one takes no room */
	peer_send(&a, "t", "fast", 0, 0);
	peer_until(&b, b.count, 1);
	assert_string_equal(b.messages[0].body, "fast");
	fwrite(content, 1, half, f);
	fflush(f);
	peer_idle(&b, 100);
	peer_send(&a, "t", "fast", 0, 0);
	peer_until(&b, b.count, 2);
	fwrite(content + half, 1, strlen(content) - half, f);
	fclose(f);
	peer_until(&b, b.count, 3);
	assert_string_equal(b.messages[2].body, "slow");
	assert_int_equal(b.t->stats.malformed, 0);
	assert_int_equal(temp_folder_count(&fs_dir, FS_QUARANTINE, ""), 0);
	peer_close(&a);
	peer_close(&b);
	free(content);
}

static void test_writer_never_finishes(void **state)
{
	struct peer b, c;
	uint64_t start = tf_clock_ms(&tf_clock_real);

	(void)state;
	temp_folder_write(&fs_dir, "q/1_" FS_UUID "0001.ex_t.msg", "");
	temp_folder_write(&fs_dir, "q/2_" FS_UUID "0002.ex_t.msg", "{\"body\": \"");
	fs_open_peer(&b);
	peer_consume(&b, "t", 0);
	peer_until(&b, b.t->stats.malformed, 2);
	assert_in_range(tf_clock_ms(&tf_clock_real) - start, 1900, 30000);
	assert_int_equal(temp_folder_count(&fs_dir, FS_QUARANTINE, ".msg"), 2);
	assert_int_equal(b.count, 0);
	/* one who leaves in that time gives it back as it was */
	temp_folder_write(&fs_dir, "q/3_" FS_UUID "0003.ex_t.msg", "{\"body\": \"");
	peer_idle(&b, 100);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 0);
	peer_close(&b);
	assert_int_equal(temp_folder_count(&fs_dir, "q", ".msg"), 1);
	fs_put("3_" FS_UUID "0003.ex_t.msg", "now");
	fs_open_peer(&c);
	c.settle = TF_ACK;
	peer_consume(&c, "t", 0);
	peer_until(&c, c.count, 1);
	peer_close(&c);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, fs_set_up, fs_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_foreign_things),
		CASE(test_body_over_the_limit),
		CASE(test_slow_writer),
		CASE(test_writer_never_finishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
