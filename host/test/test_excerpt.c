#include "base/excerpt.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "temp_folder.h"

static struct temp_folder folder;
static char *script;

static int setup(void **state)
{
	(void)state;
	temp_folder_make(&folder);
	temp_folder_write(&folder, "tasks.lua", "one\n\n\tthree\nfour\x1b[2J\nfive\nsix\n");
	script = tf_strdup(temp_folder_path(&folder, "tasks.lua"));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(script);
	temp_folder_remove(&folder);
	return 0;
}

static void check_with(const char *format, const struct tf_buf *files, const char *expected)
{
	struct tf_buf out = TF_BUF_INIT;
	char *message = tf_asprintf(format, script);
	bool found = tf_excerpt(message, files, &out);
	assert_int_equal(found, *expected != '\0');
	tf_buf_putc(&out, '\0');
	assert_string_equal(out.data, expected);
	tf_buf_free(&out);
	free(message);
}

static void check(const char *format, const char *expected)
{
	check_with(format, NULL, expected);
}

#define THREE "     1 | one\n     2 |\n>    3 | \tthree\n     4 | four?[2J\n     5 | five\n"

static void places(void **state)
{
	(void)state;
	check("%s:3: boom", THREE);
	check("tfhost run: '%s:3: boom'", THREE);
	check("error loading module 'x' from file 'tasks.lua':\n\t%s:3: boom", THREE);
	check("tfhost.LuaError: boom\n  File \"other.lua\", line 9, in f\n  File \"%s\", line 3, in g\n",
		THREE);
	check("%s:1: boom", ">    1 | one\n     2 |\n     3 | \tthree\n");
	check("%s:6: boom", "     4 | four?[2J\n     5 | five\n>    6 | six\n");
}

static void no_place(void **state)
{
	(void)state;
	check("%s:7: past the end", "");
	check("%s:0: no line", "");
	check("from file '%s':\n\t ...", "");
	check("%s: no line", "");
	check("%s:99999999999999999999: too large", "");
	check("%s.gone.lua:1: no file", "");
	check("", "");
	check(".lua:", "");
	check("File \"%s\", line ", "");
}

/* A path that LuaJIT has cut is one of the files; which, must be clear. */
static void cut_path(void **state)
{
	struct tf_buf files = TF_BUF_INIT;
	(void)state;
	check("...asks.lua:3: boom", "");
	tf_buf_append(&files, "/a/other.lua", sizeof("/a/other.lua"));
	tf_buf_append(&files, script, strlen(script) + 1);
	check_with("...asks.lua:3: boom", &files, THREE);
	tf_buf_append(&files, "/b/tasks.lua", sizeof("/b/tasks.lua"));
	check_with("...asks.lua:3: boom", &files, "");
	tf_buf_free(&files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places), cmocka_unit_test(no_place), cmocka_unit_test(cut_path)};
	return cmocka_run_group_tests_name("excerpt", tests, setup, teardown);
}
