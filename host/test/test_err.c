#include "base/err.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "test/cmocka_all.h"

static void every_code_has_its_own_text(void **state)
{
	(void)state;
	const char *seen[TF_ERR_COUNT];
	for (int i = 0; i < TF_ERR_COUNT; i++) {
		seen[i] = tf_err_text(-(i + 1));
		assert_true(strlen(seen[i]) > 0);
		assert_string_not_equal(seen[i], "unknown error");
		for (int k = 0; k < i; k++)
			assert_string_not_equal(seen[i], seen[k]);
	}
	assert_string_equal(tf_err_text(TF_EFORMAT), "malformed data");
	assert_string_equal(tf_err_text(TF_OK), "success");
}

static void foreign_codes_have_a_text(void **state)
{
	(void)state;
	const int foreign[] = {1, -TF_ERR_COUNT - 1, INT32_MAX, INT32_MIN};
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
		assert_string_equal(tf_err_text(foreign[i]), "unknown error");
}

static void set_records_story_and_place(void **state)
{
	(void)state;
	struct tf_err err;
	int line = __LINE__ + 1;
	assert_int_equal(tf_err_set(&err, TF_ELIMIT, "%d of %s", 3, "x"), TF_ELIMIT);
	assert_int_equal(err.code, TF_ELIMIT);
	assert_string_equal(err.message, "3 of x");
	assert_int_equal(err.line, line);
	assert_non_null(strstr(err.file, "test_err.c"));
}

static void null_record_is_allowed(void **state)
{
	(void)state;
	assert_int_equal(tf_err_set(NULL, TF_EIO, "x"), TF_EIO);
	errno = ENOENT;
	assert_int_equal(tf_err_sys(NULL, "x"), TF_ESYS);
	assert_true(tf_err_prefix(NULL, "x") < 0);
}

static void a_story_may_quote_the_one_it_replaces(void **state)
{
	(void)state;
	struct tf_err err;
	tf_err_set(&err, TF_EIO, "first");
	tf_err_set(&err, TF_EAUTH, "second after %s", err.message);
	assert_string_equal(err.message, "second after first");
	assert_int_equal(tf_err_prefix(&err, "%s and", err.message), TF_EAUTH);
	assert_string_equal(err.message, "second after first and: second after first");
}

static void long_stories_are_cut_and_say_so(void **state)
{
	(void)state;
	struct tf_err err;
	char long_text[3000];
	memset(long_text, 'a', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	tf_err_set(&err, TF_EIO, "%s", long_text);
	assert_int_equal(strlen(err.message), sizeof err.message - 1);
	assert_string_equal(err.message + sizeof err.message - 5, "a...");
	assert_int_equal(tf_err_prefix(&err, "prefix"), TF_EIO);
	assert_memory_equal(err.message, "prefix: aaa", 11);
	assert_int_equal(strlen(err.message), sizeof err.message - 1);
	assert_string_equal(err.message + sizeof err.message - 5, "a...");
	errno = EACCES;
	tf_err_sys(&err, "%s", long_text);
	assert_string_equal(err.message + sizeof err.message - 5, "a...");
}

/* Messages go into logs and over the wire: half a character would make them invalid. */
static void cutting_keeps_whole_characters(void **state)
{
	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		struct tf_err err;
		char text[2400];
		size_t n = lead;
		memset(text, 'a', lead);
		while (n + 5 < sizeof text) {
			memcpy(text + n, "\xf0\x9f\x90\xa7", 4);
			n += 4;
		}
		text[n] = '\0';
		tf_err_set(&err, TF_EIO, "%s", text);
		size_t len = strlen(err.message);
		assert_int_equal(tf_utf8_valid_len(err.message, len), len);
		assert_string_equal(err.message + len - 3, "...");
		assert_true(len + 4 >= sizeof err.message - 1);
	}
}

static void sys_appends_the_text_of_errno(void **state)
{
	(void)state;
	struct tf_err err;
	errno = ENOENT;
	assert_int_equal(tf_err_sys(&err, "open %s", "/x"), TF_ESYS);
	assert_string_equal(err.message, "open /x: No such file or directory");
	assert_int_equal(errno, ENOENT);
}

static void a_bug_names_its_place_and_aborts(void **state)
{
	(void)state;
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		TF_ASSERT(1 + 1 == 3);
		_exit(0);
	}
	close(fds[1]);
	char text[300] = "";
	ssize_t n = read(fds[0], text, sizeof text - 1);
	close(fds[0]);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(n > 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "1 + 1 == 3"));
	assert_non_null(strstr(text, "test_err.c:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_its_own_text),
		cmocka_unit_test(foreign_codes_have_a_text),
		cmocka_unit_test(set_records_story_and_place),
		cmocka_unit_test(null_record_is_allowed),
		cmocka_unit_test(a_story_may_quote_the_one_it_replaces),
		cmocka_unit_test(long_stories_are_cut_and_say_so),
		cmocka_unit_test(cutting_keeps_whole_characters),
		cmocka_unit_test(sys_appends_the_text_of_errno),
		cmocka_unit_test(a_bug_names_its_place_and_aborts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
