#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "test/cmocka_all.h"

#define STAMP "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "

static FILE *caught;
static int real_stderr;

static void catch_stderr(void)
{
	caught = tmpfile();
	assert_non_null(caught);
	fcntl(fileno(caught), F_SETFL, O_APPEND);
	real_stderr = dup(STDERR_FILENO);
	dup2(fileno(caught), STDERR_FILENO);
}

/* What was logged since catch_stderr; caller frees. */
static char *release_stderr(void)
{
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	long size = lseek(fileno(caught), 0, SEEK_END);
	char *text = tf_calloc(1, (size_t)size + 1);
	assert_int_equal(pread(fileno(caught), text, (size_t)size, 0), size);
	fclose(caught);
	return text;
}

static int matches(const char *text, const char *pattern)
{
	regex_t re;
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	int rc = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	return rc == 0;
}

static void a_line_has_stamp_level_area_and_text(void **state)
{
	(void)state;
	catch_stderr();
	tf_info("worker", "text key=%d", 1);
	tf_warn("amqp", "w");
	tf_error("pool", "e");
	char *text = release_stderr();
	assert_true(matches(text, STAMP "INFO worker: text key=1\n"));
	assert_non_null(strstr(text, "Z WARN amqp: w\n"));
	assert_non_null(strstr(text, "Z ERROR pool: e\n"));
	free(text);
}

static void levels_filter(void **state)
{
	(void)state;
	assert_int_equal(tf_log_get_level(), TF_LOG_INFO);
	catch_stderr();
	tf_debug("a", "no");
	tf_log_set_level(TF_LOG_DEBUG);
	tf_debug("a", "yes");
	tf_log_set_level(TF_LOG_ERROR);
	tf_warn("a", "no");
	tf_error("a", "yes");
	tf_log_set_level(TF_LOG_OFF);
	tf_error("a", "no");
	tf_log(TF_LOG_OFF, "a", NULL, "no");
	tf_log_set_level(TF_LOG_INFO);
	char *text = release_stderr();
	assert_null(strstr(text, "no"));
	assert_non_null(strstr(text, "DEBUG a: yes\n"));
	assert_non_null(strstr(text, "ERROR a: yes\n"));
	free(text);
}

/* A peer puts a line of ours, or a terminal's control sequence, into a name we log. */
static void foreign_bytes_cannot_forge_a_line(void **state)
{
	(void)state;
	catch_stderr();
	tf_info("a", "%s", "x\n2026-01-01T00:00:00.000Z INFO a: forged");
	tf_info("a", "%s", "\x1b[2J\r\t\x7f\x01");
	tf_info("a", "%s", "\xc2\x9b[2J"); /* CSI as one character of the C1 set */
	tf_info("a", "%s", "\xff\xc3(\xed\xa0\x80\xe2\x82");
	tf_info("a", "%s", "na\xc3\xafve \xf0\x9f\x90\xa7 C:\\dir");
	char *text = release_stderr();
	size_t lines = 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, 5);
	assert_non_null(strstr(text, "x\\n2026-01-01T00:00:00.000Z INFO a: forged\n"));
	assert_non_null(strstr(text, ": \\x1b[2J\\r\\t\\x7f\\x01\n"));
	assert_non_null(strstr(text, ": \\xc2\\x9b[2J\n"));
	assert_non_null(strstr(text, ": \\xff\\xc3(\\xed\\xa0\\x80\\xe2\\x82\n"));
	assert_non_null(strstr(text, ": na\xc3\xafve \xf0\x9f\x90\xa7 C:\\dir\n"));
	free(text);
}

static void long_lines_are_cut_and_say_so(void **state)
{
	(void)state;
	char *big = tf_malloc(100001);
	for (size_t n = 3900; n < 4200; n += n == 4100 ? 1 : 10) {
		memset(big, n % 20 ? 'x' : '\x01', n);
		big[n] = '\0';
		catch_stderr();
		tf_info("area", "%s", big);
		char *text = release_stderr();
		size_t len = strlen(text);
		assert_true(len <= 4096);
		assert_int_equal(text[len - 1], '\n');
		assert_ptr_equal(strchr(text, '\n'), text + len - 1);
		if (n > 4100)
			assert_string_equal(text + len - 4, "...\n");
		free(text);
	}
	/* Penguins: the cut may fall into a character, in the text and in the line. */
	for (size_t i = 0; i < 100000; i += 4)
		memcpy(big + i, "\xf0\x9f\x90\xa7", 4);
	big[100000] = '\0';
	catch_stderr();
	tf_info("area", "%s", big);
	char *text = release_stderr();
	assert_int_equal(tf_utf8_valid_len(text, strlen(text)), strlen(text));
	assert_string_equal(text + strlen(text) - 4, "...\n");
	free(text);
	free(big);
}

static void errno_survives(void **state)
{
	(void)state;
	catch_stderr();
	close(STDERR_FILENO); /* writing fails */
	errno = ENOENT;
	tf_error("a", "lost");
	assert_int_equal(errno, ENOENT);
	free(release_stderr());
}

enum { THREADS = 4, LINES = 500 };

static void *log_many(void *arg)
{
	for (int i = 0; i < LINES; i++)
		tf_info("thread", "<%s %d>", (const char *)arg, i);
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	(void)state;
	static const char *const names[THREADS] = {
		"aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc", "dddddddddddd"};
	pthread_t threads[THREADS];
	catch_stderr();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, (void *)names[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	char *text = release_stderr(), *rest = text;
	int lines = 0;
	for (char *line; (line = strsep(&rest, "\n")) && *line; lines++)
		assert_true(matches(line, STAMP "INFO thread: <(a{12}|b{12}|c{12}|d{12}) [0-9]+>$"));
	assert_int_equal(lines, THREADS * LINES);
	free(text);
}

static char *logged_as(enum tf_log_format f, const struct tf_log_ids *ids, const char *text)
{
	tf_log_set_format(f);
	catch_stderr();
	tf_log(TF_LOG_WARN, "pool", ids, "%s", text);
	tf_log_set_format(TF_LOG_TEXT);
	return release_stderr();
}

/* Whatever is in the text and the ids, the line is one JSON object of strings, below the limit of a pipe. */
static void json_lines_are_json(void **state)
{
	(void)state;
	char *big = tf_malloc(9001);
	const char *const texts[] = {"plain", "a \"b\" \\ c\nd\x01 \xff \xc2\x9b na\xc3\xafve", "", big};
	memset(big, '"', 9000);
	big[9000] = '\0';
	const struct tf_log_ids ids = {.flow = "f1", .atom = big, .request = "r\n1"};
	tf_log_set_ids(&(struct tf_log_ids){.worker = "w1", .flow = "not this one"});
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tf_json root, v;
		struct tf_err err;
		char *line = logged_as(TF_LOG_JSON, &ids, texts[i]);
		size_t len = strlen(line);
		assert_true(len <= 4096 && line[len - 1] == '\n' && strchr(line, '\n') == line + len - 1);
		assert_int_equal(tf_json_validate(line, len, 0, &root, &err), 0);
		assert_int_equal(tf_json_count(root), 8);
		assert_true(tf_json_get(root, "level", &v) && tf_json_string_is(v, "warn"));
		assert_true(tf_json_get(root, "area", &v) && tf_json_string_is(v, "pool"));
		assert_true(tf_json_get(root, "flow", &v) && tf_json_string_is(v, "f1"));
		assert_true(tf_json_get(root, "request", &v) && tf_json_string_is(v, "r\n1"));
		assert_true(tf_json_get(root, "worker", &v) && tf_json_string_is(v, "w1"));
		assert_true(tf_json_get(root, "message", &v));
		assert_true(i > 0 || tf_json_string_is(v, "plain"));
		free(line);
	}
	tf_log_set_ids(&(struct tf_log_ids){.flow = "", .worker = ""});
	free(big);
}

static void logfmt_lines_have_pairs(void **state)
{
	(void)state;
	const struct tf_log_ids ids = {.atom = "a task", .request = "r1"};
	tf_log_set_ids(&(struct tf_log_ids){.worker = "w1"});
	char *line = logged_as(TF_LOG_LOGFMT, &ids, "it \"ran\"");
	assert_true(matches(line, "^time=[0-9T:.-]+Z level=warn area=pool msg=\"it \\\\\"ran\\\\\"\" "
				  "atom=\"a task\" request=r1 worker=w1\n$"));
	free(line);
	line = logged_as(TF_LOG_TEXT, &ids, "it ran");
	assert_true(matches(line, STAMP "WARN pool: it ran atom=\"a task\" request=r1\n$"));
	free(line);
	tf_log_set_ids(&(struct tf_log_ids){.flow = "", .worker = ""});
}

static void the_environment_sets_format_and_level(void **state)
{
	(void)state;
	setenv("TFHOST_LOG_FORMAT", "json", 1);
	setenv("TFHOST_LOG_LEVEL", "error", 1);
	tf_log_from_environment();
	assert_int_equal(tf_log_get_format(), TF_LOG_JSON);
	assert_int_equal(tf_log_get_level(), TF_LOG_ERROR);
	setenv("TFHOST_LOG_FORMAT", "yaml", 1);
	setenv("TFHOST_LOG_LEVEL", "", 1);
	tf_log_from_environment();
	assert_int_equal(tf_log_get_format(), TF_LOG_JSON);
	assert_int_equal(tf_log_get_level(), TF_LOG_ERROR);
	unsetenv("TFHOST_LOG_FORMAT");
	unsetenv("TFHOST_LOG_LEVEL");
	tf_log_set_format(TF_LOG_TEXT);
	tf_log_set_level(TF_LOG_INFO);
}

/* A worker whose stderr was a pipe that its parent did not read stopped for good when it was full. */
static void a_pipe_that_nobody_reads_stops_nothing(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	real_stderr = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	alarm(20);
	for (int i = 0; i < MANY; i++)
		tf_info("many", "%0100d", i);
	alarm(0);
	char *text = tf_calloc(1, 1 << 20);
	assert_true(read(fds[0], text, 1 << 19) > 30000);
	tf_info("many", "room again");
	size_t len = (size_t)read(fds[0], text, (1 << 20) - 1);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	close(fds[0]);
	text[len] = '\0';
	assert_true(matches(text, STAMP "WARN log: [0-9]+ lines were lost, standard error was full\n"));
	assert_non_null(strstr(text, "INFO many: room again\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_stamp_level_area_and_text),
		cmocka_unit_test(levels_filter),
		cmocka_unit_test(foreign_bytes_cannot_forge_a_line),
		cmocka_unit_test(long_lines_are_cut_and_say_so),
		cmocka_unit_test(json_lines_are_json),
		cmocka_unit_test(logfmt_lines_have_pairs),
		cmocka_unit_test(the_environment_sets_format_and_level),
		cmocka_unit_test(errno_survives),
		cmocka_unit_test(lines_of_threads_do_not_mix),
		cmocka_unit_test(a_pipe_that_nobody_reads_stops_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
