#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folders.h"

static char top[] = "/tmp/tfhost-folders-XXXXXX";

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(top) && chdir(top) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	rmdir("a/b/c");
	rmdir("a/b");
	rmdir("a");
	unlink("file");
	return chdir("/") == 0 ? rmdir(top) : -1;
}

static void those_that_are_missing_are_made(void **state)
{
	struct tf_err err;
	struct stat st;
	char path[64];
	(void)state;
	assert_int_equal(tf_make_folders("a", 0700, &err), 0);
	assert_int_equal(tf_make_folders("a//b/c/", 0700, &err), 0);
	assert_int_equal(tf_make_folders("a/b/c", 0700, &err), 0);
	assert_int_equal(tf_make_folders("", 0700, &err), 0);
	assert_int_equal(tf_make_folders("/", 0700, &err), 0);
	strcat(strcpy(path, top), "/a/b/c");
	assert_int_equal(tf_make_folders(path, 0700, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void the_first_that_cannot_be_made_is_told(void **state)
{
	struct tf_err err;
	(void)state;
	assert_int_equal(symlink("nowhere", "file"), 0); /* neither a folder nor missing */
	assert_true(tf_make_folders("file/x/y", 0700, &err) < 0);
	assert_non_null(strstr(err.message, "cannot make file/x: "));
	assert_true(tf_make_folders("file/x", 0700, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(those_that_are_missing_are_made),
		cmocka_unit_test(the_first_that_cannot_be_made_is_told),
	};
	return cmocka_run_group_tests_name("folders", tests, set_up, tear_down);
}
