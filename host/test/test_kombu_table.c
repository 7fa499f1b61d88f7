/* Exchange tables of kombu >= 5.3, against the one that kombu wrote. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "base/mem.h"
#include "temp_folder.h"
#include "transport/kombu_table.h"
#include "transport_peer.h"

static void collect(void *arg, const char *routing_key, const char *pattern, const char *queue)
{
	tf_buf_printf(arg, "%s|%s|%s;", routing_key, pattern, queue);
}

static void test_vector(void **state)
{
	json_object *v = json_object_from_file("spec/fixtures/vectors/filesystem-control-table.json"), *file,
		    *text;
	struct tf_buf rows = TF_BUF_INIT, made = TF_BUF_INIT, again = TF_BUF_INIT;
	const char *table;
	struct tf_err err;

	(void)state;
	assert_true(json_object_object_get_ex(v, "file", &file) &&
		    json_object_object_get_ex(file, "text", &text));
	table = json_object_get_string(text);
	assert_int_equal(tf_kombu_table_read(table, strlen(table), collect, &rows, &err), 0);
	assert_string_equal(
		rows.data, "reply-uuid||test-exchange_reply-uuid;test-tasks||test-exchange_test-tasks;");
	/* declared in that order by us: the same bytes */
	assert_true(tf_kombu_table_add("", 0, "test-tasks", "test-exchange_test-tasks", &made));
	assert_true(
		tf_kombu_table_add(made.data, made.len, "reply-uuid", "test-exchange_reply-uuid", &again));
	assert_string_equal(again.data, table);
	assert_false(
		tf_kombu_table_add(table, strlen(table), "test-tasks", "test-exchange_test-tasks", &made));
	tf_buf_free(&rows);
	tf_buf_free(&made);
	tf_buf_free(&again);
	json_object_put(v);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {"{}", "[1]", "[[]]", "[[\"a\",\"\"]]", "[[\"a\",\"\",\"q\",\"x\"]]",
		"[[\"a\",\"\",null]]", "[[\"a\",\"\",\"\\ud800\"]]", "[[\"a\",\"\",\"q\"]", "[[\"a\"", "x",
		"\xff"};
	struct tf_buf rows = TF_BUF_INIT;
	struct tf_err err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (tf_kombu_table_read(bad[i], strlen(bad[i]), NULL, NULL, &err) != TF_EFORMAT)
			fail_msg("accepted: %s", bad[i]);
	/* created, not written yet */
	assert_int_equal(tf_kombu_table_read("", 0, collect, &rows, &err), 0);
	assert_int_equal(tf_kombu_table_read("[]", 2, collect, &rows, &err), 0);
	assert_int_equal(rows.len, 0);
}

/* Two first binders of kombu lose a row; ours do not. */
static void test_many_at_once(void **state)
{
	enum { PROCESSES = 4, ROWS = 10 };
	struct temp_folder dir;
	char *folder, *text, key[32];
	struct tf_buf rows = TF_BUF_INIT;
	struct tf_err err;
	int i, k, status;

	(void)state;
	temp_folder_make(&dir);
	folder = tf_strdup(temp_folder_path(&dir, "control"));
	for (i = 0; i < PROCESSES; i++) {
		if (fork() != 0)
			continue;
		for (k = 0; k < ROWS;) {
			snprintf(key, sizeof(key), "k%d-%d", i, k);
			int rc = tf_kombu_table_register(folder, "ex", key, "queue", &err);

			if (rc == 0)
				k++;
			else if (rc != TF_EAGAIN)
				_exit(1);
			else
				usleep(1000);
		}
		free(folder); /* Valgrind looks at the children too */
		_exit(0);
	}
	for (i = 0; i < PROCESSES; i++) {
		wait(&status);
		assert_int_equal(status, 0);
	}
	assert_int_equal(tf_kombu_table_register(folder, "ex", "k0-0", "queue", &err), 0); /* is there */
	assert_int_equal(temp_folder_count(&dir, "control", ""), 1);
	text = temp_folder_read(&dir, "control/ex.exchange");
	assert_int_equal(tf_kombu_table_read(text, strlen(text), collect, &rows, &err), 0);
	for (i = 0; i < PROCESSES * ROWS; i++) {
		snprintf(key, sizeof(key), "k%d-%d|", i / ROWS, i % ROWS);
		assert_non_null(strstr(rows.data, key));
	}
	for (i = 0, k = 0; rows.data[i]; i++)
		k += rows.data[i] == ';';
	assert_int_equal(k, PROCESSES * ROWS);
	tf_buf_free(&rows);
	free(text);
	free(folder);
	temp_folder_remove(&dir);
}

static void test_left_alone(void **state)
{
	struct temp_folder dir;
	struct tf_err err;
	char *text;
	int fd;

	(void)state;
	temp_folder_make(&dir);
	temp_folder_write(&dir, "ex.exchange", "no table");
	assert_int_equal(tf_kombu_table_register(dir.path, "ex", "k", "q", &err), TF_EFORMAT);
	assert_non_null(strstr(err.message, "ex.exchange"));
	text = temp_folder_read(&dir, "ex.exchange");
	assert_string_equal(text, "no table");
	free(text);
	/* empty: another one is about to write it, or died before */
	temp_folder_write(&dir, "ex.exchange", "");
	fd = open(temp_folder_path(&dir, "ex.exchange"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	assert_int_equal(tf_kombu_table_register(dir.path, "ex", "k", "q", &err), TF_EAGAIN);
	close(fd);
	assert_int_equal(tf_kombu_table_register(dir.path, "ex", "k", "q", &err), 0);
	text = temp_folder_read(&dir, "ex.exchange");
	assert_string_equal(text, "[[\"k\", \"\", \"q\"]]");
	free(text);
	temp_folder_remove(&dir);
}

static void test_registered_by_the_transport(void **state)
{
	struct tf_loop *loop = tf_loop_new();
	struct temp_folder dir;
	struct peer p;
	char *options, *text;

	(void)state;
	temp_folder_make(&dir);
	options = tf_asprintf(
		"{\"data_folder_in\": \"%s/q\", \"data_folder_out\": \"%s/q\", \"control_folder\": \"%s/c\"}",
		dir.path, dir.path, dir.path);
	peer_open(&p, loop, "filesystem", "ex", options);
	peer_consume(&p, "t", 0);
	peer_until(&p, p.ups, 1);
	peer_idle(&p, 20);
	assert_false(temp_folder_has(&dir, "c")); /* not unless asked to */
	peer_close(&p);
	free(options);
	options = tf_asprintf(
		"{\"data_folder_in\": \"%s/q\", \"data_folder_out\": \"%s/q\", \"control_folder\": \"%s/c\", "
		"\"register\": true}",
		dir.path, dir.path, dir.path);
	peer_open(&p, loop, "filesystem", "ex", options);
	peer_consume(&p, "t", 0);
	peer_until(&p, p.ups, 1);
	peer_consume(&p, "u", 0);
	peer_idle(&p, 20);
	text = temp_folder_read(&dir, "c/ex.exchange");
	assert_string_equal(text, "[[\"u\", \"\", \"ex_u\"], [\"t\", \"\", \"ex_t\"]]");
	peer_close(&p);
	free(text);
	free(options);
	temp_folder_remove(&dir);
	tf_loop_delete(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_left_alone),
		cmocka_unit_test(test_registered_by_the_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
