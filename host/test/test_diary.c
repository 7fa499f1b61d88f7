/* A worker's diary: what is open in it after the worker's death, whatever was written when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/uuid.h"
#include "cmocka_all.h"
#include "temp_folder.h"
#include "wbe/diary.h"

static char uuid[TF_UUID_LEN + 1];

static char *folder(void **state)
{
	return tf_asprintf("%s/a/b", ((struct temp_folder *)*state)->path);
}

static int set_up(void **state)
{
	tf_uuid(uuid);
	static struct temp_folder made;
	temp_folder_make(&made);
	*state = &made;
	return 0;
}

static int tear_down(void **state)
{
	temp_folder_remove(*state);
	return 0;
}

static uint64_t take(struct tf_diary *d, const char *name)
{
	struct tf_err err;
	uint64_t id = 0;
	char *body = tf_asprintf("{\"task\":\n\"%s\"}", name);
	const struct tf_diary_entry e = {.reply_to = (char *)"flow",
		.correlation_id = (char *)name,
		.body = body,
		.body_len = strlen(body)};
	if (tf_diary_take(d, &e, &id, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(id > 0);
	free(body);
	return id;
}

/* As a SIGKILL leaves it: a copy of the file that nobody has locked. Returns its path; caller frees. */
static char *kill_writer(const char *dir, struct tf_diary *d)
{
	char *path = tf_asprintf("%s/%s.diary", dir, uuid), *copy = tf_asprintf("%s/copy", dir);
	char *command = tf_asprintf("cp '%s' '%s'", path, copy);
	assert_int_equal(system(command), 0);
	tf_diary_delete(d);
	assert_int_equal(rename(copy, path), 0);
	free(copy);
	free(command);
	return path;
}

static void what_is_open_is_found(void **state)
{
	char *dir = folder(state);
	struct tf_diary *d = tf_diary_new(dir, uuid);
	struct stat st;
	assert_int_not_equal(stat(dir, &st), 0); /* nothing is made before it is needed */
	uint64_t waits = take(d, "waits"), gone = take(d, "gone"), ended = take(d, "ended"),
		 long_ = take(d, "long");
	assert_int_equal(tf_diary_outcome(d, ended, true, "{\"final\":\n1}", 12, NULL), 0);
	assert_int_equal(tf_diary_acknowledge(d, long_, NULL), 0);
	assert_int_equal(tf_diary_outcome(d, gone, false, "1", 1, NULL), 0);
	tf_diary_settle(d, gone);
	assert_int_equal(tf_diary_open_count(d), 3);
	assert_null(tf_orphan_next(dir)); /* its worker lives */
	(void)waits;
	char *path = kill_writer(dir, d);
	struct tf_orphan *o = tf_orphan_next(dir);
	assert_non_null(o);
	assert_string_equal(o->owner, uuid);
	assert_int_equal(o->count, 3);
	assert_string_equal(o->entries[0].reply_to, "flow");
	assert_string_equal(o->entries[0].correlation_id, "waits");
	assert_string_equal(o->entries[0].body, "{\"task\":\n\"waits\"}");
	assert_false(o->entries[0].acknowledged);
	assert_null(o->entries[0].final);
	assert_true(o->entries[1].failed);
	assert_string_equal(o->entries[1].final, "{\"final\":\n1}");
	assert_true(o->entries[2].acknowledged);
	assert_null(tf_orphan_next(dir)); /* it is ours now */
	tf_orphan_delete(o, false);
	o = tf_orphan_next(dir);
	assert_non_null(o);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0077, 0);
	tf_orphan_delete(o, true);
	assert_int_not_equal(stat(path, &st), 0);
	free(path);
	free(dir);
}

static void nothing_is_left_of_what_is_settled(void **state)
{
	char *dir = folder(state), *path = tf_asprintf("%s/%s.diary", dir, uuid);
	struct tf_diary *d = tf_diary_new(dir, uuid);
	struct stat st;
	for (int i = 0; i < 100; i++) {
		uint64_t id = take(d, "x");
		tf_diary_settle(d, id);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	tf_diary_delete(d);
	assert_int_not_equal(stat(path, &st), 0);
	free(path);
	free(dir);
}

/* Cut at each byte: what was whole before is there. */
static void a_torn_end_hides_nothing_before_it(void **state)
{
	char *dir = folder(state);
	struct tf_diary *d = tf_diary_new(dir, uuid);
	struct stat st;
	take(d, "one");
	char *path = tf_asprintf("%s/%s.diary", dir, uuid);
	assert_int_equal(stat(path, &st), 0);
	off_t whole = st.st_size;
	uint64_t two = take(d, "two");
	assert_int_equal(tf_diary_outcome(d, two, false, "{}", 2, NULL), 0);
	free(path);
	path = kill_writer(dir, d);
	assert_int_equal(stat(path, &st), 0);
	for (off_t size = st.st_size; size >= whole; size--) {
		assert_int_equal(truncate(path, size), 0);
		struct tf_orphan *o = tf_orphan_next(dir);
		assert_non_null(o);
		assert_in_range(o->count, 1, 2);
		assert_string_equal(o->entries[0].correlation_id, "one");
		assert_true(size < st.st_size || o->entries[1].final);
		tf_orphan_delete(o, false);
	}
	free(path);
	free(dir);
}

/* Never idle, a worker writes for ever: the file stays as small as what is open. */
static void it_does_not_grow_for_ever(void **state)
{
	char *dir = folder(state), name[32], *path = tf_asprintf("%s/%s.diary", dir, uuid);
	struct tf_diary *d = tf_diary_new(dir, uuid);
	struct stat st;
	uint64_t oldest = take(d, "oldest"), last = take(d, "0");
	assert_int_equal(tf_diary_acknowledge(d, oldest, NULL), 0);
	for (int i = 1; i < 60000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		uint64_t id = take(d, name);
		assert_int_equal(tf_diary_outcome(d, last, false, "{}", 2, NULL), 0);
		tf_diary_settle(d, last);
		last = id;
	}
	assert_int_equal(tf_diary_outcome(d, last, true, "{}", 2, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 1, 2 << 20);
	free(path);
	path = kill_writer(dir, d);
	struct tf_orphan *o = tf_orphan_next(dir);
	assert_int_equal(o->count, 2);
	assert_string_equal(o->entries[0].correlation_id, "oldest");
	assert_true(o->entries[0].acknowledged);
	assert_string_equal(o->entries[1].correlation_id, "59999");
	assert_string_equal(o->entries[1].final, "{}");
	tf_orphan_delete(o, true);
	free(path);
	free(dir);
}

static void a_disk_that_refuses_is_an_error(void **state)
{
	char *file = tf_asprintf("%s/a", ((struct temp_folder *)*state)->path), *dir = folder(state);
	FILE *f = fopen(file, "w"); /* where a directory should be */
	struct tf_diary *d = tf_diary_new(dir, uuid);
	struct tf_err err;
	uint64_t id;
	const struct tf_diary_entry e = {
		.reply_to = (char *)"r", .correlation_id = (char *)"c", .body = (char *)"{}", .body_len = 2};
	fclose(f);
	assert_true(tf_diary_take(d, &e, &id, &err) < 0);
	assert_non_null(strstr(err.message, "/a"));
	assert_int_equal(tf_diary_open_count(d), 0);
	tf_diary_delete(d);
	free(file);
	free(dir);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_open_is_found),
		T(nothing_is_left_of_what_is_settled),
		T(a_torn_end_hides_nothing_before_it),
		T(it_does_not_grow_for_ever),
		T(a_disk_that_refuses_is_an_error),
	};
	return cmocka_run_group_tests_name("diary", tests, NULL, NULL);
}
