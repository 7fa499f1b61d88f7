#include "control_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cmocka_all.h"

static void run_echo(void *subject, struct tf_json request, struct tf_control_call *call)
{
	(void)subject;
	char *copy = tf_strndup(request.text, request.len);
	tf_control_answer(call, copy);
	free(copy);
}

static void run_hold(void *subject, struct tf_json request, struct tf_control_call *call)
{
	struct control_rig *r = subject;
	(void)request;
	assert_true(r->held_count < CONTROL_RIG_HELD);
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
	struct control_rig *r = arg;
	tf_control_answer(r->held[--r->held_count], NULL);
}

static void run_watch(void *subject, struct tf_json request, struct tf_control_call *call)
{
	struct control_rig *r = subject;
	(void)request;
	r->held[r->held_count++] = call;
	tf_control_go_on(call, on_gone, r);
}

static const struct tf_command watch = {.name = "watch", .help = "goes on", .run = run_watch};
static const struct tf_command echo = {.name = "echo", .help = "says it again", .run = run_echo};
static const struct tf_command hold = {.name = "hold", .help = "answers later", .run = run_hold};
static const struct tf_command refuse = {.name = "refuse", .help = "does not", .run = run_refuse};
const struct tf_command *const control_rig_commands[] = {&echo, &hold, &refuse, &watch, NULL};

static void on_step(void *arg)
{
	struct control_rig *r = arg;
	tf_loop_stop(r->loop);
}

void control_rig_turn(struct control_rig *r)
{
	tf_timer_start(r->step, 2, 0);
	tf_loop_run(r->loop);
}

void control_rig_open(struct control_rig *r)
{
	struct tf_err err;
	memset(r, 0, sizeof(*r));
	temp_folder_make(&r->folder);
	r->loop = tf_loop_new();
	r->step = tf_timer_new(r->loop, on_step, r);
	char *path = tf_strdup(temp_folder_path(&r->folder, "socket"));
	if (tf_control_new(r->loop, "test", path, control_rig_commands, r, &r->control, &err) < 0)
		fail_msg("%s", err.message);
	free(path);
	r->path = tf_control_path(r->control);
}

void control_rig_close(struct control_rig *r)
{
	tf_control_delete(r->control);
	tf_timer_delete(r->step);
	tf_loop_delete(r->loop);
	assert_false(temp_folder_has(&r->folder, "socket"));
	temp_folder_remove(&r->folder);
}

int control_rig_dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void control_rig_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

char *control_rig_hear(struct control_rig *r, int fd, size_t count)
{
	struct tf_buf in = TF_BUF_INIT;
	uint64_t limit = tf_clock_ms(&tf_clock_real) + CONTROL_RIG_WAIT_MS;
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
		control_rig_turn(r);
	}
	tf_buf_putc(&in, '\0');
	return in.data;
}

void control_rig_expect(struct control_rig *r, int fd, size_t lines, const char *text)
{
	char *got = control_rig_hear(r, fd, lines);
	assert_string_equal(got, text);
	free(got);
}
