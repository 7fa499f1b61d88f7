#include "cmd/rerun.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "loop/loop.h"
#include "loop/watch.h"
#include "pool/process.h"

enum {
	RERUN_CHUNK = 16 << 10,
	RERUN_KILL_MS = 3000,
	RERUN_MAX_OUTPUT = 64 << 20,
};

/* One pipe from the process that runs. */
struct stream {
	struct rerun *owner;
	int fd; /* -1: at its end */
	struct tf_io *io;
	struct tf_buf data;
};

struct rerun {
	int (*run)(void *arg, int sources);
	void *arg;
	struct tf_loop *loop;
	struct tf_watch *watch;
	struct tf_timer *kill_timer;
	struct stream output, sources;
	struct tf_buf before; /* what the last whole run printed */
	bool first, again, live;
	pid_t pid; /* 0: none runs */
	int status, signo;
};

/* ---- what is shown ---- */

/* Copy a line without what differs from run to run: "   0.01s  a  RUNNING", "... SUCCESS (0.03 s)". */
static char *without_times(const char *line, size_t len)
{
	struct tf_buf out = TF_BUF_INIT;
	tf_buf_reserve(&out, len + 1);
	for (size_t i = 0; i < len;) {
		size_t n = i;
		while (n < len && isdigit((unsigned char)line[n]))
			n++;
		size_t digits = n > i && n < len && line[n] == '.' ? strspn(line + n + 1, "0123456789") : 0;
		size_t end = n + 1 + digits;
		if (digits && end < len && line[end] == ' ')
			end++;
		if (digits && end < len && line[end] == 's' &&
			(end + 1 == len || !isalnum((unsigned char)line[end + 1]))) {
			while (out.len && out.data[out.len - 1] == ' ')
				out.len--;
			i = end + 1;
			continue;
		}
		if (n == i)
			n++;
		tf_buf_append(&out, line + i, n - i);
		i = n;
	}
	return tf_buf_steal(&out);
}

/* Call `each` with the lines of a text. */
static void each_line(
	const struct tf_buf *text, void (*each)(void *arg, const char *line, size_t len), void *arg)
{
	for (size_t at = 0; at < text->len;) {
		const char *line = text->data + at, *end = memchr(line, '\n', text->len - at);
		size_t len = end ? (size_t)(end - line) : text->len - at;
		each(arg, line, len);
		at += len + 1;
	}
}

struct lines {
	struct tf_map *known; /* line without times -> how often, as an integer */
	char mark;
	size_t shown;
};

static void count_line(void *arg, const char *line, size_t len)
{
	struct lines *lines = arg;
	char *key = without_times(line, len);
	uintptr_t count = (uintptr_t)tf_map_get(lines->known, key);
	tf_map_set(lines->known, key, (void *)(count + 1)); /* NOLINT(performance-no-int-to-ptr): a count */
	free(key);
}

static void show_unknown(void *arg, const char *line, size_t len)
{
	struct lines *lines = arg;
	char *key = without_times(line, len);
	uintptr_t count = (uintptr_t)tf_map_get(lines->known, key);
	if (count > 0) {
		tf_map_set(lines->known, key,
			(void *)(count - 1)); /* NOLINT(performance-no-int-to-ptr): a count */
	} else {
		printf("%c %.*s\n", lines->mark, (int)len, line);
		lines->shown++;
	}
	free(key);
}

static size_t show_missing(const struct tf_buf *of, const struct tf_buf *in, char mark)
{
	struct lines lines = {.known = tf_map_new(), .mark = mark};
	each_line(in, count_line, &lines);
	each_line(of, show_unknown, &lines);
	tf_map_delete(lines.known, NULL);
	return lines.shown;
}

static void show_end(const struct rerun *r)
{
	if (WIFSIGNALED(r->status))
		printf("-- killed by signal %d\n", WTERMSIG(r->status));
	else
		printf("-- exit code %d\n", WEXITSTATUS(r->status));
}

static void show(struct rerun *r)
{
	struct tf_buf *now = &r->output.data;
	if (r->live) {
		show_end(r);
		printf("-- waiting for a change (Ctrl-C ends)\n");
		fflush(stdout);
		return;
	}
	if (r->first) {
		if (now->len)
			fwrite(now->data, 1, now->len, stdout);
	} else {
		size_t gone = show_missing(&r->before, now, '-'), came = show_missing(now, &r->before, '+');
		if (gone + came == 0)
			printf("  nothing differs\n");
	}
	show_end(r);
	fflush(stdout);
	r->first = false;
	tf_buf_free(&r->before);
	r->before = *now;
	*now = TF_BUF_INIT;
}

/* ---- runs ---- */

static void stream_close(struct stream *s)
{
	tf_io_delete(s->io);
	s->io = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static void start(struct rerun *r);

/* The run is over once its process has ended and its pipes are read. */
static void look(struct rerun *r)
{
	struct tf_err err;
	if (r->pid != 0 || r->output.fd >= 0 || r->sources.fd >= 0)
		return;
	tf_timer_stop(r->kill_timer);
	if (r->signo) {
		tf_loop_stop(r->loop);
		return;
	}
	if (r->sources.data.len && tf_watch_set(r->watch, &r->sources.data, &err) < 0)
		fprintf(stderr, "%s\n", err.message);
	if (r->again)
		start(r);
	else
		show(r);
}

static void stream_read(void *arg, int events)
{
	struct stream *s = arg;
	(void)events;
	tf_buf_reserve(&s->data, RERUN_CHUNK);
	ssize_t n = read(s->fd, s->data.data + s->data.len, RERUN_CHUNK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		s->data.len += (size_t)n;
	if (n <= 0 || s->data.len > RERUN_MAX_OUTPUT) {
		stream_close(s);
		look(s->owner);
	}
}

static void stream_open(struct stream *s, struct rerun *r, int fd)
{
	tf_buf_reset(&s->data);
	s->owner = r;
	s->fd = fd;
	s->io = tf_io_new(r->loop, fd, stream_read, s);
	tf_io_watch(s->io, TF_IO_READ);
}

_Noreturn static void become(struct rerun *r, int output, int sources, pid_t parent)
{
	tf_loop_forked(r->loop);
	if (tf_process_detach(parent) < 0)
		_exit(0);
	tf_process_close_stdin();
	if (output >= 0)
		dup2(output, STDOUT_FILENO);
	int code = r->run(r->arg, sources);
	fflush(NULL);
	_exit(code);
}

static void start(struct rerun *r)
{
	int output[2] = {-1, -1}, sources[2];
	sigset_t all, before;
	r->again = false;
	if ((!r->live && pipe2(output, O_CLOEXEC) < 0) || pipe2(sources, O_CLOEXEC) < 0) {
		perror("pipe");
		exit(TF_EXIT_ERROR);
	}
	fflush(NULL);
	pid_t parent = getpid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	r->pid = fork();
	if (r->pid == 0)
		become(r, output[1], sources[1], parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (r->pid < 0) {
		perror("fork");
		exit(TF_EXIT_ERROR);
	}
	close(sources[1]);
	if (!r->live) {
		close(output[1]);
		stream_open(&r->output, r, output[0]);
	}
	stream_open(&r->sources, r, sources[0]);
}

/* What it started may outlive it, and hold its output open. */
static void on_child(void *arg, int signo)
{
	struct rerun *r = arg;
	(void)signo;
	if (r->pid <= 0 || waitpid(r->pid, &r->status, WNOHANG) != r->pid)
		return;
	kill(-r->pid, SIGKILL);
	r->pid = 0;
	look(r);
}

static void end_run(struct rerun *r)
{
	kill(r->pid, SIGTERM);
	tf_timer_start(r->kill_timer, RERUN_KILL_MS, 0);
}

static void on_kill_timer(void *arg)
{
	const struct rerun *r = arg;
	if (r->pid > 0)
		kill(-r->pid, SIGKILL);
}

static void on_changed(void *arg)
{
	struct rerun *r = arg;
	char when[16] = "";
	time_t now = time(NULL);
	struct tm tm;
	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%T", &tm);
	printf("---- %s\n", when);
	fflush(stdout);
	if (r->pid > 0 || r->output.fd >= 0 || r->sources.fd >= 0) {
		r->again = true;
		if (r->pid > 0)
			end_run(r);
	} else {
		start(r);
	}
}

static void on_signal(void *arg, int signo)
{
	struct rerun *r = arg;
	if (r->signo || r->pid <= 0) { /* the second, or nothing to wait for */
		r->signo = signo;
		on_kill_timer(r);
		tf_loop_stop(r->loop);
		return;
	}
	r->signo = signo;
	end_run(r);
}

int tf_rerun(int (*run)(void *arg, int sources), void *arg, const char *program, bool live)
{
	static const int signals[] = {SIGCHLD, SIGINT, SIGTERM};
	enum { COUNT = sizeof(signals) / sizeof(signals[0]) };
	struct tf_signal *handles[COUNT];
	struct tf_err err;
	struct rerun r = {.run = run, .arg = arg, .first = true, .live = live};
	r.output.fd = r.sources.fd = -1;
	r.loop = tf_loop_new();
	if (tf_watch_new(r.loop, on_changed, &r, &r.watch, &err) < 0) {
		fprintf(stderr, "%s: %s\n", program, err.message);
		tf_loop_delete(r.loop);
		return TF_EXIT_ERROR;
	}
	r.kill_timer = tf_timer_new(r.loop, on_kill_timer, &r);
	for (size_t i = 0; i < COUNT; i++)
		handles[i] =
			tf_signal_new(r.loop, signals[i], signals[i] == SIGCHLD ? on_child : on_signal, &r);
	start(&r);
	tf_loop_run(r.loop);
	for (size_t i = 0; i < COUNT; i++)
		tf_signal_delete(handles[i]);
	tf_timer_delete(r.kill_timer);
	tf_watch_delete(r.watch);
	stream_close(&r.output);
	stream_close(&r.sources);
	tf_buf_free(&r.output.data);
	tf_buf_free(&r.sources.data);
	tf_buf_free(&r.before);
	tf_loop_delete(r.loop);
	return 128 + r.signo;
}
