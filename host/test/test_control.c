/* The control socket over a real loop: what clients may do wrong, and what they are told. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmocka_all.h"
#include "control/client.h"
#include "control/control.h"
#include "temp_folder.h"

enum { WAIT_MS = 5000, HELD = 200 };

struct rig {
	struct temp_folder folder;
	struct tf_loop *loop;
	struct tf_timer *step;
	struct tf_control *control;
	const char *path;
	struct tf_control_call *held[HELD];
	size_t held_count;
};

static void run_echo(void *subject, struct tf_json request, struct tf_control_call *call)
{
	(void)subject;
	char *copy = tf_strndup(request.text, request.len);
	tf_control_answer(call, copy);
	free(copy);
}

static void run_hold(void *subject, struct tf_json request, struct tf_control_call *call)
{
	struct rig *r = subject;
	(void)request;
	assert_true(r->held_count < HELD);
	r->held[r->held_count++] = call;
}

static void run_refuse(void *subject, struct tf_json request, struct tf_control_call *call)
{
	struct tf_err err;
	(void)subject;
	(void)request;
	tf_err_set(&err, TF_ESTATE, "not \"now\"");
	tf_control_refuse(call, &err);
}

static void on_gone(void *arg)
{
	struct rig *r = arg;
	tf_control_answer(r->held[--r->held_count], NULL);
}

static void run_watch(void *subject, struct tf_json request, struct tf_control_call *call)
{
	struct rig *r = subject;
	(void)request;
	r->held[r->held_count++] = call;
	tf_control_go_on(call, on_gone, r);
}

static const struct tf_command watch = {.name = "watch", .help = "goes on", .run = run_watch};
static const struct tf_command echo = {.name = "echo", .help = "says it again", .run = run_echo};
static const struct tf_command hold = {.name = "hold", .help = "answers later", .run = run_hold};
static const struct tf_command refuse = {.name = "refuse", .help = "does not", .run = run_refuse};
static const struct tf_command *const commands[] = {&echo, &hold, &refuse, &watch, NULL};

static void on_step(void *arg)
{
	struct rig *r = arg;
	tf_loop_stop(r->loop);
}

/* Let the loop do what there is to do. */
static void turn(struct rig *r)
{
	tf_timer_start(r->step, 2, 0);
	tf_loop_run(r->loop);
}

static void rig_open(struct rig *r)
{
	struct tf_err err;
	memset(r, 0, sizeof(*r));
	temp_folder_make(&r->folder);
	r->loop = tf_loop_new();
	r->step = tf_timer_new(r->loop, on_step, r);
	char *path = tf_strdup(temp_folder_path(&r->folder, "socket"));
	if (tf_control_new(r->loop, "test", path, commands, r, &r->control, &err) < 0)
		fail_msg("%s", err.message);
	free(path);
	r->path = tf_control_path(r->control);
}

static void rig_close(struct rig *r)
{
	tf_control_delete(r->control);
	tf_timer_delete(r->step);
	tf_loop_delete(r->loop);
	assert_false(temp_folder_has(&r->folder, "socket"));
	temp_folder_remove(&r->folder);
}

static int dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What came on `fd` until `count` lines are there or it was closed, which is told by a last line "closed". Caller frees. */
static char *hear(struct rig *r, int fd, size_t count)
{
	struct tf_buf in = TF_BUF_INIT;
	uint64_t limit = tf_clock_ms(&tf_clock_real) + WAIT_MS;
	for (size_t lines = 0; lines < count;) {
		char chunk[4096];
		ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
		if (n > 0) {
			for (ssize_t i = 0; i < n; i++)
				lines += chunk[i] == '\n';
			tf_buf_append(&in, chunk, (size_t)n);
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			tf_buf_puts(&in, "closed");
			break;
		}
		if (tf_clock_ms(&tf_clock_real) > limit)
			fail_msg("%zu of %zu lines came", lines, count);
		turn(r);
	}
	tf_buf_putc(&in, '\0');
	return in.data;
}

static void expect(struct rig *r, int fd, size_t lines, const char *text)
{
	char *got = hear(r, fd, lines);
	assert_string_equal(got, text);
	free(got);
}

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
	struct rig r;
	(void)state;
	rig_open(&r);
	int fd = dial(r.path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		say(fd, cases[i].line);
		say(fd, "\n\n"); /* an empty line asks nothing */
		char *got = hear(&r, fd, 1);
		assert_non_null(strstr(got, "{\"ok\": false, \"error\": \""));
		if (!strstr(got, cases[i].part))
			fail_msg("%s: %s", cases[i].line, got);
		free(got);
	}
	say(fd, "{\"command\": \"echo\", \"n\": 1}\n");
	expect(&r, fd, 1, "{\"ok\": true, \"result\": {\"command\": \"echo\", \"n\": 1}}\n");
	close(fd);
	rig_close(&r);
}

static void help_lists_the_commands(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	int fd = dial(r.path);
	say(fd, "{\"command\": \"help\"}\n");
	expect(&r, fd, 1,
		"{\"ok\": true, \"result\": {\"echo\": \"says it again\", \"hold\": \"answers later\", "
		"\"refuse\": \"does not\", \"watch\": \"goes on\"}}\n");
	close(fd);
	rig_close(&r);
}

static void lines_come_in_pieces_and_many_at_once(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	int fd = dial(r.path);
	for (const char *p = "{\"command\": \"echo\"}"; *p; p++) {
		char piece[] = {*p, '\0'};
		say(fd, piece);
		turn(&r);
	}
	say(fd, "\n{\"command\": \"echo\", \"n\": 2}\n{\"command\": \"echo\", \"n\": 3}\n");
	expect(&r, fd, 3,
		"{\"ok\": true, \"result\": {\"command\": \"echo\"}}\n"
		"{\"ok\": true, \"result\": {\"command\": \"echo\", \"n\": 2}}\n"
		"{\"ok\": true, \"result\": {\"command\": \"echo\", \"n\": 3}}\n");
	close(fd);
	rig_close(&r);
}

static void a_client_that_asks_no_more_hears_its_answers(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	int fd = dial(r.path);
	say(fd, "{\"command\": \"hold\"}\n{\"command\": \"echo\"}\n{\"comm");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect(&r, fd, 1, "{\"ok\": true, \"result\": {\"command\": \"echo\"}}\n");
	assert_int_equal(r.held_count, 1);
	tf_control_answer(r.held[0], "true");
	expect(&r, fd, 2, "{\"ok\": true, \"result\": true}\nclosed");
	close(fd);
	rig_close(&r);
}

static void who_left_is_answered_to_nobody(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	int gone = dial(r.path), stays = dial(r.path);
	say(gone, "{\"command\": \"hold\"}\n");
	say(stays, "{\"command\": \"hold\"}\n");
	turn(&r);
	assert_int_equal(r.held_count, 2);
	close(gone);
	turn(&r);
	for (size_t i = 0; i < r.held_count; i++)
		tf_control_answer(r.held[i], NULL);
	expect(&r, stays, 1, "{\"ok\": true, \"result\": null}\n");
	close(stays);
	/* Still waiting at the end: the owner answers afterwards. */
	r.held_count = 0;
	int last = dial(r.path);
	say(last, "{\"command\": \"hold\"}\n");
	turn(&r);
	assert_int_equal(r.held_count, 1);
	struct tf_control_call *call = r.held[0];
	rig_close(&r);
	tf_control_answer(call, "1");
	close(last);
}

static void too_long_a_line_closes(void **state)
{
	struct rig r;
	char piece[4096];
	(void)state;
	rig_open(&r);
	int fd = dial(r.path);
	memset(piece, ' ', sizeof(piece));
	for (size_t sent = 0; sent <= TF_CONTROL_MAX_LINE + sizeof(piece); turn(&r)) {
		ssize_t n = send(fd, piece, sizeof(piece), MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += (size_t)n;
	}
	expect(&r, fd, 1, "closed");
	close(fd);
	rig_close(&r);
}

static void clients_and_their_questions_are_limited(void **state)
{
	enum { CALLS = 64 }; /* of one client */
	struct rig r;
	int fds[TF_CONTROL_CLIENTS];
	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < TF_CONTROL_CLIENTS; i++) {
		fds[i] = dial(r.path);
		turn(&r);
	}
	int more = dial(r.path);
	expect(&r, more, 1, "closed");
	close(more);
	for (size_t i = 0; i < CALLS; i++)
		say(fds[0], "{\"command\": \"hold\"}\n");
	say(fds[0], "{\"command\": \"echo\"}\n");
	expect(&r, fds[0], 1, "{\"ok\": false, \"error\": \"more than 64 commands wait\"}\n");
	assert_int_equal(r.held_count, CALLS);
	close(fds[1]); /* makes room */
	turn(&r);
	more = dial(r.path);
	say(more, "{\"command\": \"refuse\"}\n");
	expect(&r, more, 1, "{\"ok\": false, \"error\": \"not \\\"now\\\"\"}\n");
	close(more);
	for (size_t i = 0; i < CALLS; i++)
		tf_control_answer(r.held[i], NULL);
	for (size_t i = 0; i < TF_CONTROL_CLIENTS; i++) {
		if (i != 1)
			close(fds[i]);
	}
	rig_close(&r);
}

static void a_client_that_does_not_read_is_closed(void **state)
{
	enum { ANSWER = 6 << 20 }; /* three are more than a client may leave */
	struct rig r;
	(void)state;
	rig_open(&r);
	int lazy = dial(r.path), other = dial(r.path);
	char *text = tf_calloc(1, ANSWER + 1);
	memset(text, '1', ANSWER);
	say(lazy, "{\"command\": \"hold\"}\n{\"command\": \"hold\"}\n{\"command\": \"hold\"}\n");
	turn(&r);
	assert_int_equal(r.held_count, 3);
	for (size_t i = 0; i < 3; i++)
		tf_control_answer(r.held[i], text);
	turn(&r);
	char *got = hear(&r, lazy, 3); /* what the kernel had, then the end */
	assert_string_equal(got + strlen(got) - strlen("closed"), "closed");
	assert_true(strlen(got) < ANSWER);
	free(got);
	free(text);
	say(other, "{\"command\": \"echo\"}\n");
	expect(&r, other, 1, "{\"ok\": true, \"result\": {\"command\": \"echo\"}}\n");
	close(lazy);
	close(other);
	rig_close(&r);
}

static void the_socket_is_its_owners_alone(void **state)
{
	struct rig r;
	struct stat st;
	char *directory;
	struct tf_err err;
	(void)state;
	rig_open(&r);
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
	rig_close(&r);
}

static void a_path_that_cannot_be_is_refused(void **state)
{
	struct rig r;
	struct tf_control *c;
	struct tf_err err;
	char path[256];
	(void)state;
	rig_open(&r);
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(tf_control_new(r.loop, "test", path, commands, &r, &c, &err), TF_EINVAL);
	assert_non_null(strstr(err.message, "longer than 107 bytes"));
	assert_true(tf_control_new(r.loop, "test", temp_folder_path(&r.folder, "none/socket"), commands, &r,
			    &c, &err) < 0);
	rig_close(&r);
}

/* ---- the other end */

struct asking {
	const char *path, *request;
	struct tf_value *result;
	struct tf_err err;
	int rc;
	bool done;
};

static void *ask(void *arg)
{
	struct asking *a = arg;
	a->rc = tf_control_ask(a->path, a->request, WAIT_MS, &a->result, &a->err);
	__atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Ask from a thread while the loop runs here. */
static void asked(struct rig *r, struct asking *a)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, ask, a), 0);
	while (!__atomic_load_n(&a->done, __ATOMIC_ACQUIRE))
		turn(r);
	pthread_join(thread, NULL);
}

static void a_client_gets_result_or_refusal(void **state)
{
	struct rig r;
	(void)state;
	rig_open(&r);
	struct asking good = {.path = r.path, .request = "{\"command\": \"echo\"}"};
	asked(&r, &good);
	assert_int_equal(good.rc, 0);
	assert_string_equal(tf_value_text(good.result), "{\"command\": \"echo\"}");
	tf_value_unref(good.result);
	struct asking bad = {.path = r.path, .request = "{\"command\": \"refuse\"}"};
	asked(&r, &bad);
	assert_int_equal(bad.rc, TF_ESTATE);
	assert_string_equal(bad.err.message, "not \"now\"");
	char *path = tf_strdup(r.path);
	rig_close(&r);
	struct asking gone = {.path = path, .request = "{}"};
	ask(&gone);
	assert_int_equal(gone.rc, TF_ECLOSED);
	free(path);
}

/* A worker that was stopped accepted nobody; once its line was full, `connect` waited for ever, whatever the timeout was. */
static void who_stands_still_is_given_up_however_often(void **state)
{
	struct rig r;
	struct tf_value *result;
	struct tf_err err;
	char **paths;
	(void)state;
	rig_open(&r);
	for (size_t i = 0; i < 40; i++) { /* the loop does not run */
		uint64_t began = tf_clock_ms(&tf_clock_real);
		assert_int_equal(
			tf_control_ask(r.path, "{\"command\": \"echo\"}", 20, &result, &err), TF_ETIMEOUT);
		assert_non_null(strstr(err.message, "no answer within 0.02 s"));
		assert_true(tf_clock_ms(&tf_clock_real) - began < WAIT_MS);
	}
	turn(&r);
	const char *own = temp_folder_path(&r.folder, "own");
	setenv("TFHOST_CONTROL_DIR", own, 1);
	struct tf_control *full;
	assert_int_equal(tf_control_new(r.loop, "test", NULL, commands, &r, &full, &err), 0);
	for (size_t i = 0; i < 40; i++) { /* it is found all the same */
		assert_int_equal(tf_control_find("test", &paths, &err), 0);
		assert_non_null(paths[0]);
		assert_string_equal(paths[0], tf_control_path(full));
		assert_null(paths[1]);
		free(paths[0]);
		free(paths);
	}
	tf_control_delete(full);
	unsetenv("TFHOST_CONTROL_DIR");
	rig_close(&r);
}

/* Events until one hangs up; who does not read costs a bounded amount of memory; who is gone is forgotten at once. */
static void events_go_on_until_one_hangs_up(void **state)
{
	struct tf_control_stream *stream;
	struct tf_value *event;
	struct tf_err err;
	struct rig r;
	static char large[1 << 18];
	(void)state;
	rig_open(&r);
	assert_int_equal(tf_control_follow(r.path, "{\"command\": \"watch\"}", WAIT_MS, &stream, &err), 0);
	while (r.held_count == 0)
		turn(&r);
	assert_int_equal(tf_control_stream_next(stream, &event, &err), 0); /* nothing yet */
	assert_true(tf_control_tell(r.held[0], "{\"n\": 1}", 8));
	assert_true(tf_control_tell(r.held[0], "{\"n\": 2}", 8));
	turn(&r);
	for (int n = 1; n <= 2; n++) {
		char text[32];
		snprintf(text, sizeof(text), "{\"n\": %d}", n);
		assert_int_equal(tf_control_stream_next(stream, &event, &err), 1);
		assert_string_equal(tf_value_text(event), text);
		tf_value_unref(event);
	}
	memset(large, ' ', sizeof(large));
	unsigned told = 0;
	while (told < 100 && tf_control_tell(r.held[0], large, sizeof(large)))
		told++;
	assert_in_range(told, TF_CONTROL_UNREAD / sizeof(large), TF_CONTROL_UNREAD / sizeof(large) + 1);
	tf_control_stream_delete(stream);
	while (r.held_count > 0)
		turn(&r);
	/* The server goes first. */
	assert_int_equal(tf_control_follow(r.path, "{\"command\": \"watch\"}", WAIT_MS, &stream, &err), 0);
	while (r.held_count == 0)
		turn(&r);
	assert_true(tf_control_tell(r.held[0], "3", 1));
	rig_close(&r);
	assert_int_equal(
		tf_control_stream_next(stream, &event, &err), 1); /* what goes is sent before the end */
	tf_value_unref(event);
	assert_int_equal(tf_control_stream_next(stream, &event, &err), TF_ECLOSED);
	tf_control_stream_delete(stream);
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
	struct rig r;
	struct rlimit before, none;
	(void)state;
	rig_open(&r);
	int fd = dial(r.path);
	say(fd, "{\"command\": \"echo\"}\n");
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
	char *answer = hear(&r, fd, 1);
	assert_non_null(strstr(answer, "\"ok\": true"));
	free(answer);
	close(fd);
	rig_close(&r);
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
		cmocka_unit_test(a_client_gets_result_or_refusal),
		cmocka_unit_test(events_go_on_until_one_hangs_up),
		cmocka_unit_test(who_stands_still_is_given_up_however_often),
		cmocka_unit_test(without_descriptors_clients_wait),
	};
	tf_log_set_level(TF_LOG_OFF);
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
