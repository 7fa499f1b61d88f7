/* Changes of real files, as the kernel tells them. */
#include "loop/watch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/settle.h"
#include "test/cmocka_all.h"

enum { LIMIT_MS = 10000, QUIET_MS = 150 };

struct fixture {
	struct tf_loop *loop;
	struct tf_watch *watch;
	char dir[64];
	unsigned changes, early;
	bool goes_on; /* after the change was told early there is more */
	bool holds;   /* tf_watch_early_holds, at the last change */
	bool rang;
};

static void on_changed(void *arg)
{
	struct fixture *f = arg;
	f->changes++;
	f->holds = tf_watch_early_holds(f->watch);
}

static void put(const struct fixture *f, const char *name, const char *text);

static void on_early(void *arg)
{
	struct fixture *f = arg;
	f->early++;
	if (f->goes_on) {
		put(f, "a.lua", "4");
		usleep(2000 * TF_SETTLE_QUIET_MS); /* the loop is held up, too */
	}
}

static void on_ring(void *arg)
{
	((struct fixture *)arg)->rang = true;
}

static void run_for(struct fixture *f, uint64_t ms, unsigned until_changes)
{
	struct tf_timer *t = tf_timer_new(f->loop, on_ring, f);
	f->rang = false;
	tf_timer_start(t, ms, 0);
	while (!f->rang && f->changes < until_changes)
		tf_loop_turn(f->loop, true);
	tf_timer_delete(t);
}

/* Exactly one change is told. */
static void one_change(struct fixture *f)
{
	run_for(f, LIMIT_MS, 1);
	assert_int_equal(f->changes, 1);
	run_for(f, QUIET_MS, 2);
	assert_int_equal(f->changes, 1);
	f->changes = 0;
}

static void no_change(struct fixture *f)
{
	run_for(f, QUIET_MS, 1);
	assert_int_equal(f->changes, 0);
}

static const char *in(const struct fixture *f, const char *name)
{
	static char text[4][160];
	static unsigned turn;
	char *out = text[turn++ % 4];
	snprintf(out, sizeof(text[0]), "%s/%s", f->dir, name);
	return out;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	FILE *to = fopen(in(f, name), "w");
	assert_non_null(to);
	fputs(text, to);
	fclose(to);
}

static void watch(struct fixture *f, const char *name)
{
	struct tf_buf files = TF_BUF_INIT;
	const char *path = in(f, name);
	tf_buf_append(&files, path, strlen(path) + 1);
	assert_int_equal(tf_watch_set(f->watch, &files, NULL), 0);
	tf_buf_free(&files);
	no_change(f);
}

static int setup(void **state)
{
	struct fixture *f = TF_NEW(struct fixture);
	strcpy(f->dir, "/tmp/tfhost-watch-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	put(f, "a.lua", "1");
	mkdir(in(f, "one"), 0700);
	mkdir(in(f, "two"), 0700);
	put(f, "one/a.lua", "1");
	put(f, "two/a.lua", "2");
	assert_int_equal(symlink("one", in(f, "now")), 0);
	f->loop = tf_loop_new();
	usleep(20000); /* the file is older than the watch, on the clock of files too */
	assert_int_equal(tf_watch_new(f->loop, on_changed, f, &f->watch, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	tf_watch_delete(f->watch);
	tf_loop_delete(f->loop);
	snprintf(command, sizeof(command), "rm -r %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void each_way_to_write_a_file_is_one_change(void **state)
{
	struct fixture *f = *state;
	watch(f, "a.lua");
	put(f, "a.lua", "2");
	one_change(f);
	put(f, "new", "3");
	assert_int_equal(rename(in(f, "new"), in(f, "a.lua")), 0);
	one_change(f);
	unlink(in(f, "a.lua"));
	run_for(f, 3 * TF_SETTLE_QUIET_MS, 1); /* missing: not yet over */
	assert_int_equal(f->changes, 0);
	put(f, "a.lua", "4");
	one_change(f);
	put(f, "other.lua", "5");
	no_change(f);
}

static void a_file_that_is_being_written_is_waited_for(void **state)
{
	struct fixture *f = *state;
	watch(f, "a.lua");
	int fd = open(in(f, "a.lua"), O_WRONLY | O_TRUNC);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(write(fd, "x", 1), 1);
		run_for(f, 3 * TF_SETTLE_QUIET_MS, 1);
		assert_int_equal(f->changes, 0);
	}
	close(fd);
	one_change(f);
}

static void what_may_be_over_is_told_early(void **state)
{
	struct fixture *f = *state;
	watch(f, "a.lua");
	tf_watch_on_early(f->watch, on_early);
	put(f, "new", "2");
	uint64_t before = tf_clock_ms(tf_loop_clock(f->loop));
	assert_int_equal(rename(in(f, "new"), in(f, "a.lua")), 0);
	one_change(f);
	assert_int_equal(f->early, 1);
	assert_true(f->holds);
	assert_true(tf_watch_since(f->watch) >= before);
	f->goes_on = true;
	put(f, "a.lua", "3");
	one_change(f);
	assert_int_equal(f->early, 2); /* once is enough */
	assert_false(f->holds);
	f->goes_on = false;
	int fd = open(in(f, "a.lua"), O_WRONLY | O_TRUNC);
	run_for(f, 3 * TF_SETTLE_QUIET_MS, 1);
	assert_int_equal(f->early, 2); /* half of it is on the disk */
	close(fd);
	one_change(f);
	assert_int_equal(f->early, 3);
}

static void a_file_that_stays_away_is_a_change_in_the_end(void **state)
{
	struct fixture *f = *state;
	watch(f, "a.lua");
	unlink(in(f, "a.lua"));
	one_change(f);
	put(f, "a.lua", "1");
	one_change(f);
}

static void what_does_not_exist_may_appear(void **state)
{
	struct fixture *f = *state;
	watch(f, "deep/er/b.lua");
	mkdir(in(f, "deep"), 0700);
	one_change(f);
	mkdir(in(f, "deep/er"), 0700);
	one_change(f);
	put(f, "deep/er/b.lua", "1");
	one_change(f);
}

static void links_and_directories_on_the_way_count(void **state)
{
	struct fixture *f = *state;
	watch(f, "now/a.lua");
	assert_int_equal(symlink("two", in(f, "next")), 0);
	no_change(f);
	assert_int_equal(rename(in(f, "next"), in(f, "now")), 0);
	one_change(f);
	put(f, "one/a.lua", "3"); /* nobody goes there any more */
	no_change(f);
	put(f, "two/a.lua", "4");
	one_change(f);
	assert_int_equal(rename(in(f, "two"), in(f, "old")), 0);
	assert_int_equal(rename(in(f, "one"), in(f, "two")), 0);
	one_change(f);
	put(f, "two/a.lua", "5");
	one_change(f);
}

static void links_in_a_ring_end(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(symlink("y", in(f, "x")), 0);
	assert_int_equal(symlink("x", in(f, "y")), 0);
	watch(f, "x/a.lua");
	put(f, "a.lua", "2");
	no_change(f);
}

static void a_change_before_the_watch_is_told(void **state)
{
	struct fixture *f = *state;
	struct tf_buf files = TF_BUF_INIT;
	const char *path = in(f, "a.lua");
	usleep(20000);
	put(f, "a.lua", "2"); /* between reading and watching */
	tf_buf_append(&files, path, strlen(path) + 1);
	assert_int_equal(tf_watch_set(f->watch, &files, NULL), 0);
	tf_buf_free(&files);
	one_change(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(each_way_to_write_a_file_is_one_change),
		TEST(a_file_that_is_being_written_is_waited_for),
		TEST(what_may_be_over_is_told_early),
		TEST(a_file_that_stays_away_is_a_change_in_the_end),
		TEST(what_does_not_exist_may_appear),
		TEST(links_and_directories_on_the_way_count),
		TEST(links_in_a_ring_end),
		TEST(a_change_before_the_watch_is_told),
#undef TEST
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
