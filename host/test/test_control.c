/* The control socket over a real loop: what clients may do wrong, and what they are told. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmocka_all.h"
#include "control_rig.h"

static void wrong_lines_are_answered_and_the_next_one_counts(void **state)
{
	static const struct {
		const char *line, *part;
	} cases[] = {
		{"nonsense", "no JSON"},
		{"{\"command\": \"echo\"", "no JSON"},
		{"{\"command\": \"echo\"} x", "no JSON"},
		{"\xff\xfe", "no JSON"},
		{"[]", "expected an object with \\\"command\\\""},
		{"7", "expected an object"},
		{"{}", "expected an object"},
		{"{\"command\": 7}", "expected an object"},
		{"{\"command\": \"bogus\"}", "unknown command"},
		{"{\"command\": \"refuse\"}", "not \\\"now\\\""},
	};
	struct control_rig r;
	(void)state;
	control_rig_open(&r);
	int fd = control_rig_dial(r.path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		control_rig_say(fd, cases[i].line);
		control_rig_say(fd, "\n\n"); /* an empty line asks nothing */
		char *got = control_rig_hear(&r, fd, 1);
		assert_non_null(strstr(got, "{\"ok\": false, \"error\": \""));
		if (!strstr(got, cases[i].part))
			fail_msg("%s: %s", cases[i].line, got);
		free(got);
	}
	control_rig_say(fd, "{\"command\": \"echo\", \"n\": 1}\n");
	control_rig_expect(&r, fd, 1, "{\"ok\": true, \"result\": {\"command\": \"echo\", \"n\": 1}}\n");
	close(fd);
	control_rig_close(&r);
}

static void help_lists_the_commands(void **state)
{
	struct control_rig r;
	(void)state;
	control_rig_open(&r);
	int fd = control_rig_dial(r.path);
	control_rig_say(fd, "{\"command\": \"help\"}\n");
	control_rig_expect(&r, fd, 1,
		"{\"ok\": true, \"result\": {\"echo\": \"says it again\", \"hold\": \"answers later\", "
		"\"refuse\": \"does not\", \"watch\": \"goes on\"}}\n");
	close(fd);
	control_rig_close(&r);
}

static void lines_come_in_pieces_and_many_at_once(void **state)
{
	struct control_rig r;
	(void)state;
	control_rig_open(&r);
	int fd = control_rig_dial(r.path);
	for (const char *p = "{\"command\": \"echo\"}"; *p; p++) {
		char piece[] = {*p, '\0'};
		control_rig_say(fd, piece);
		control_rig_turn(&r);
	}
	control_rig_say(fd, "\n{\"command\": \"echo\", \"n\": 2}\n{\"command\": \"echo\", \"n\": 3}\n");
	control_rig_expect(&r, fd, 3,
		"{\"ok\": true, \"result\": {\"command\": \"echo\"}}\n"
		"{\"ok\": true, \"result\": {\"command\": \"echo\", \"n\": 2}}\n"
		"{\"ok\": true, \"result\": {\"command\": \"echo\", \"n\": 3}}\n");
	close(fd);
	control_rig_close(&r);
}

static void a_client_that_asks_no_more_hears_its_answers(void **state)
{
	struct control_rig r;
	(void)state;
	control_rig_open(&r);
	int fd = control_rig_dial(r.path);
	control_rig_say(fd, "{\"command\": \"hold\"}\n{\"command\": \"echo\"}\n{\"comm");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	control_rig_expect(&r, fd, 1, "{\"ok\": true, \"result\": {\"command\": \"echo\"}}\n");
	assert_int_equal(r.held_count, 1);
	tf_control_answer(r.held[0], "true");
	control_rig_expect(&r, fd, 2, "{\"ok\": true, \"result\": true}\nclosed");
	close(fd);
	control_rig_close(&r);
}

static void who_left_is_answered_to_nobody(void **state)
{
	struct control_rig r;
	(void)state;
	control_rig_open(&r);
	int gone = control_rig_dial(r.path), stays = control_rig_dial(r.path);
	control_rig_say(gone, "{\"command\": \"hold\"}\n");
	control_rig_say(stays, "{\"command\": \"hold\"}\n");
	control_rig_turn(&r);
	assert_int_equal(r.held_count, 2);
	close(gone);
	control_rig_turn(&r);
	for (size_t i = 0; i < r.held_count; i++)
		tf_control_answer(r.held[i], NULL);
	control_rig_expect(&r, stays, 1, "{\"ok\": true, \"result\": null}\n");
	close(stays);
	/* Still waiting at the end: the owner answers afterwards. */
	r.held_count = 0;
	int last = control_rig_dial(r.path);
	control_rig_say(last, "{\"command\": \"hold\"}\n");
	control_rig_turn(&r);
	assert_int_equal(r.held_count, 1);
	struct tf_control_call *call = r.held[0];
	control_rig_close(&r);
	tf_control_answer(call, "1");
	close(last);
}

static void too_long_a_line_closes(void **state)
{
	struct control_rig r;
	char piece[4096];
	(void)state;
	control_rig_open(&r);
	int fd = control_rig_dial(r.path);
	memset(piece, ' ', sizeof(piece));
	for (size_t sent = 0; sent <= TF_CONTROL_MAX_LINE + sizeof(piece); control_rig_turn(&r)) {
		ssize_t n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	control_rig_expect(&r, fd, 1, "closed");
	close(fd);
	control_rig_close(&r);
}

static void clients_and_their_questions_are_limited(void **state)
{
	enum { CALLS = 64 }; /* of one client */
	struct control_rig r;
	int fds[TF_CONTROL_CLIENTS];
	(void)state;
	control_rig_open(&r);
	for (size_t i = 0; i < TF_CONTROL_CLIENTS; i++) {
		fds[i] = control_rig_dial(r.path);
		control_rig_turn(&r);
	}
	int more = control_rig_dial(r.path);
	control_rig_expect(&r, more, 1, "closed");
	close(more);
	for (size_t i = 0; i < CALLS; i++)
		control_rig_say(fds[0], "{\"command\": \"hold\"}\n");
	control_rig_say(fds[0], "{\"command\": \"echo\"}\n");
	control_rig_expect(&r, fds[0], 1, "{\"ok\": false, \"error\": \"more than 64 commands wait\"}\n");
	assert_int_equal(r.held_count, CALLS);
	close(fds[1]); /* makes room */
	control_rig_turn(&r);
	more = control_rig_dial(r.path);
	control_rig_say(more, "{\"command\": \"refuse\"}\n");
	control_rig_expect(&r, more, 1, "{\"ok\": false, \"error\": \"not \\\"now\\\"\"}\n");
	close(more);
	for (size_t i = 0; i < CALLS; i++)
		tf_control_answer(r.held[i], NULL);
	for (size_t i = 0; i < TF_CONTROL_CLIENTS; i++) {
		if (i != 1)
			close(fds[i]);
	}
	control_rig_close(&r);
}

static void a_client_that_does_not_read_is_closed(void **state)
{
	enum { ANSWER = 6 << 20 }; /* three are more than a client may leave */
	struct control_rig r;
	(void)state;
	control_rig_open(&r);
	int lazy = control_rig_dial(r.path), other = control_rig_dial(r.path);
	char *text = tf_calloc(1, ANSWER + 1);
	memset(text, '1', ANSWER);
	control_rig_say(lazy, "{\"command\": \"hold\"}\n{\"command\": \"hold\"}\n{\"command\": \"hold\"}\n");
	control_rig_turn(&r);
	assert_int_equal(r.held_count, 3);
	for (size_t i = 0; i < 3; i++)
		tf_control_answer(r.held[i], text);
	control_rig_turn(&r);
	char *got = control_rig_hear(&r, lazy, 3); /* what the kernel had, then the end */
	assert_string_equal(got + strlen(got) - strlen("closed"), "closed");
	assert_true(strlen(got) < ANSWER);
	free(got);
	free(text);
	control_rig_say(other, "{\"command\": \"echo\"}\n");
	control_rig_expect(&r, other, 1, "{\"ok\": true, \"result\": {\"command\": \"echo\"}}\n");
	close(lazy);
	close(other);
	control_rig_close(&r);
}

static void the_socket_is_its_owners_alone(void **state)
{
	struct control_rig r;
	struct stat st;
	char *directory;
	struct tf_err err;
	(void)state;
	control_rig_open(&r);
	assert_int_equal(stat(r.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	const char *own = temp_folder_path(&r.folder, "own");
	setenv("TFHOST_CONTROL_DIR", own, 1);
	assert_int_equal(tf_control_directory(false, &directory, &err), TF_ENOTFOUND);
	assert_int_equal(tf_control_directory(true, &directory, &err), 0);
	assert_string_equal(directory, own);
	free(directory);
	assert_int_equal(stat(own, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(chmod(own, 0750), 0); /* others could come in */
	assert_int_equal(tf_control_directory(false, &directory, &err), TF_EAUTH);
	assert_non_null(strstr(err.message, "mode 0700"));
	assert_int_equal(chmod(own, 0700), 0);
	const char *link = temp_folder_path(&r.folder, "link");
	assert_int_equal(symlink(own, link), 0); /* somebody points us elsewhere */
	setenv("TFHOST_CONTROL_DIR", link, 1);
	assert_int_equal(tf_control_directory(true, &directory, &err), TF_EAUTH);
	unsetenv("TFHOST_CONTROL_DIR");
	control_rig_close(&r);
}

static void a_path_that_cannot_be_is_refused(void **state)
{
	struct control_rig r;
	struct tf_control *c;
	struct tf_err err;
	char path[256];
	(void)state;
	control_rig_open(&r);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(tf_control_new(r.loop, "test", path, control_rig_commands, &r, &c, &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "longer than 107 bytes"));
	assert_true(tf_control_new(r.loop, "test", temp_folder_path(&r.folder, "none/socket"),
			    control_rig_commands, &r, &c, &err) < 0);
	control_rig_close(&r);
}

static double cpu_seconds(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A client waits for as long as this process may open nothing; the loop does not spin meanwhile. */
static void without_descriptors_clients_wait(void **state)
{
	if (getenv("UNDER_VALGRIND"))
		skip(); /* under it the kernel accepts what is beyond our limit, and Valgrind closes that */
	enum { LONG_MS = 400 };
	struct control_rig r;
	struct rlimit before, none;
	(void)state;
	control_rig_open(&r);
	int fd = control_rig_dial(r.path);
	control_rig_say(fd, "{\"command\": \"echo\"}\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 3; /* what is open stays so */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	double began = cpu_seconds();
	tf_timer_start(r.step, LONG_MS, 0);
	tf_loop_run(r.loop);
	double used = cpu_seconds() - began;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	if (used > 0.25 * LONG_MS / 1000)
		fail_msg("%d ms took %.0f ms of CPU time", LONG_MS, 1000 * used);
	char *answer = control_rig_hear(&r, fd, 1);
	assert_non_null(strstr(answer, "\"ok\": true"));
	free(answer);
	close(fd);
	control_rig_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_lines_are_answered_and_the_next_one_counts),
		cmocka_unit_test(help_lists_the_commands),
		cmocka_unit_test(lines_come_in_pieces_and_many_at_once),
		cmocka_unit_test(a_client_that_asks_no_more_hears_its_answers),
		cmocka_unit_test(who_left_is_answered_to_nobody),
		cmocka_unit_test(too_long_a_line_closes),
		cmocka_unit_test(clients_and_their_questions_are_limited),
		cmocka_unit_test(a_client_that_does_not_read_is_closed),
		cmocka_unit_test(the_socket_is_its_owners_alone),
		cmocka_unit_test(a_path_that_cannot_be_is_refused),
		cmocka_unit_test(without_descriptors_clients_wait),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
