/* The supervisor's side of the loader: starts it, has it fork slots, brings it back when it dies. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool_private.h"
#include "pool/process.h"

enum {
	LOADER_TRIES = 3, /* starts of a loader in a row that end before it has loaded */
	LOADER_CHUNK = 16 << 10,
	LOADER_EXEC_FAILED = 127, /* as shells say it */
};

/* In the child: nothing of the supervisor stays but the control socket. */
_Noreturn static void loader_become(struct tf_pool *p, int fd, pid_t supervisor)
{
	if (!p->config.loader_argv)
		tf_loop_forked(p->loop);
	if (tf_process_detach(supervisor) < 0)
		_exit(0);
	if (!p->config.loader_argv) {
		tf_process_close_exec(fd);
		int code = tf_loader_main(fd, p->config.runner);
		fflush(NULL);
		_exit(code);
	}
	if (fd == TF_LOADER_FD)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, TF_LOADER_FD);
	close_range(TF_LOADER_FD + 1, ~0u, 0);
	/* This very executable. By its name while that still is it; once replaced on disk, by the link, which
	 * goes on to lead to the old one. */
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		execv(path, p->config.loader_argv);
	}
	execv("/proc/self/exe", p->config.loader_argv);
	execvp(p->config.loader_argv[0], p->config.loader_argv); /* /proc may be absent */
	_exit(LOADER_EXEC_FAILED);
}

static void loader_io(void *arg, int events);

int pool_loader_start(struct tf_pool *p, struct tf_err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return tf_err_sys(err, "socketpair");
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	fflush(NULL); /* or the child would write it once more */
	pid_t supervisor = getpid();
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before); /* no handler of ours may run in the child */
	pid_t pid = fork();
	if (pid == 0)
		loader_become(p, pair[1], supervisor);
	int rc = pid < 0 ? tf_err_sys(err, "fork") : 0;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		return rc;
	}
	p->loader_pid = pid;
	p->loader_fd = pair[0];
	p->loader_state = POOL_LOADER_LOADING;
	p->loader_io = tf_io_new(p->loop, p->loader_fd, loader_io, p);
	tf_io_watch(p->loader_io, TF_IO_READ);
	return 0;
}

int pool_loader_ask(struct tf_pool *p, uint64_t id, int fd, struct tf_err *err)
{
	struct tf_buf frame = TF_BUF_INIT;
	uint64_t max_frame = p->config.max_frame;
	const struct tf_slice field = tf_frame_u64(&max_frame);
	tf_frame_put(&frame, TF_MAX_FRAME, TF_FRAME_FORK, id, &field, NULL);
	int rc = tf_frame_pass(p->loader_fd, &frame, fd, err);
	if (rc < 0)
		tf_err_prefix(err, "asking the loader for a slot");
	if (rc == TF_ESTATE)
		kill(p->loader_pid, SIGKILL);
	tf_buf_free(&frame);
	return rc;
}

static struct pool_slot *loader_slot_by_id(struct tf_pool *p, uint64_t id)
{
	for (unsigned i = 0; i < p->slot_count; i++) {
		if (p->slots[i].state != POOL_SLOT_ABSENT && p->slots[i].id == id)
			return &p->slots[i];
	}
	return NULL;
}

static void loader_keep_files(struct tf_pool *p, const struct tf_frame *f)
{
	tf_buf_reset(&p->files);
	tf_buf_append(&p->files, f->field[1].data, f->field[1].len);
}

static void loader_on_loaded(struct tf_pool *p, const struct tf_frame *f)
{
	bool first = !p->loaded;
	size_t count = 0, n = 0;
	const char *list = f->field[0].data;
	loader_keep_files(p, f);
	snprintf(p->hash, sizeof(p->hash), "%.*s", (int)f->field[2].len, f->field[2].data);
	p->loader_state = POOL_LOADER_READY;
	p->loader_failures = 0;
	p->loaded = true;
	pool_fill(p);
	if (!first || !p->events.ready)
		return;
	for (size_t i = 0; i < f->field[0].len; i++)
		count += list[i] == '\0';
	char **names = tf_calloc(count + 1, sizeof(*names));
	for (size_t at = 0; n < count; at += strlen(names[n]) + 1, n++)
		names[n] = tf_strdup(list + at);
	p->class_limits = tf_calloc(count + 1, sizeof(*p->class_limits));
	if (f->field[3].len == count * sizeof(*p->class_limits))
		memcpy(p->class_limits, f->field[3].data, f->field[3].len);
	p->events.ready(p->arg, names, count, NULL);
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* The scripts do not load. Slots of an earlier loader go on; it may be mended on disk. */
static void loader_on_load_error(struct tf_pool *p, const struct tf_frame *f)
{
	struct tf_err err;
	loader_keep_files(p, f);
	tf_err_set(&err, TF_ELUA, "%.*s", (int)f->field[0].len, f->field[0].data);
	if (p->loaded)
		tf_error("pool", "loading the scripts again: %s", err.message);
	else
		pool_give_up(p, &err);
}

static void loader_on_frame(struct tf_pool *p, const struct tf_frame *f)
{
	uint64_t pid;
	struct tf_err err;
	if (f->type == TF_FRAME_LOADED && p->loader_state == POOL_LOADER_LOADING) {
		loader_on_loaded(p, f);
	} else if (f->type == TF_FRAME_LOAD_ERROR && p->loader_state == POOL_LOADER_LOADING) {
		loader_on_load_error(p, f);
	} else if (f->type == TF_FRAME_FORKED && tf_frame_get_u64(f, 0, &pid, &err) == 0) {
		struct pool_slot *s = loader_slot_by_id(p, f->id);
		if (s)
			pool_slot_forked(s, pid);
		if (!p->deleted)
			pool_fill(p);
	} else {
		tf_error("pool", "the loader is killed: it sent %s out of turn", tf_frame_type_name(f->type));
		kill(p->loader_pid, SIGKILL);
	}
}

static void loader_take_frames(struct tf_pool *p)
{
	size_t at = 0;
	while (!p->deleted && p->loader_in.len - at >= TF_FRAME_HEADER) {
		struct tf_frame f;
		struct tf_err err;
		size_t used;
		if (tf_frame_get(p->loader_in.data + at, p->loader_in.len - at, TF_MAX_FRAME, &f, &used,
			    &err) < 0) {
			tf_error("pool", "the loader is killed: %s", err.message);
			kill(p->loader_pid, SIGKILL);
			at = p->loader_in.len;
			break;
		}
		if (used == 0)
			break;
		at += used;
		loader_on_frame(p, &f);
	}
	if (!p->deleted)
		tf_buf_consume(&p->loader_in, at);
}

/* Read what the loader has sent. */
static void loader_read(struct tf_pool *p)
{
	while (!p->deleted && p->loader_fd >= 0) {
		tf_buf_reserve(&p->loader_in, LOADER_CHUNK);
		ssize_t n =
			recv(p->loader_fd, p->loader_in.data + p->loader_in.len, LOADER_CHUNK, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0 && p->loader_hung_ms == 0) { /* it ends; SIGCHLD follows */
				tf_io_watch(p->loader_io, 0);
				p->loader_hung_ms = pool_hung(p);
			}
			return;
		}
		p->loader_in.len += (size_t)n;
		loader_take_frames(p);
	}
}

static void loader_close(struct tf_pool *p)
{
	tf_io_delete(p->loader_io);
	p->loader_io = NULL;
	if (p->loader_fd >= 0)
		close(p->loader_fd);
	p->loader_fd = -1;
	tf_buf_free(&p->loader_in);
	p->loader_state = POOL_LOADER_NONE;
	p->loader_hung_ms = 0;
}

/* The loader ended by itself, or could not be started: try again, or give up. */
void pool_loader_failed(struct tf_pool *p, const struct tf_err *err, bool again)
{
	p->loader_failures++;
	if (!p->over)
		tf_warn("pool", "%s", err->message);
	if (p->loaded && p->events.loader_lost) {
		p->events.loader_lost(p->arg, err);
		return;
	}
	bool endless = p->config.loader_argv && p->loaded;
	if (!again || (!endless && p->loader_failures > LOADER_TRIES))
		pool_give_up(p, err);
	if (!p->deleted && !p->over)
		tf_timer_start(p->timer, pool_delay(p->loader_failures), 0);
}

void pool_loader_reap(struct tf_pool *p)
{
	int status;
	if (p->loader_pid <= 0)
		return;
	pid_t got = waitpid(p->loader_pid, &status, WNOHANG);
	if (got == 0 || (got < 0 && errno == EINTR))
		return;
	loader_read(p); /* load error, pids of slots */
	if (p->deleted)
		return;
	bool was_loading = p->loader_state == POOL_LOADER_LOADING;
	pid_t pid = p->loader_pid;
	loader_close(p);
	p->loader_pid = 0;
	for (unsigned i = 0; i < p->slot_count; i++)
		pool_slot_loader_died(&p->slots[i]);
	struct tf_buf text = TF_BUF_INIT;
	struct tf_err err;
	tf_process_describe_end(got < 0 ? 0 : status, &text);
	tf_err_set(&err, TF_ECLOSED, "the loader (pid %d) %s%s", (int)pid, text.data,
		was_loading ? " while it loaded the scripts" : "");
	tf_buf_free(&text);
	/* Before the first load an exit is the scripts' own doing; a signal may be an accident. */
	pool_loader_failed(p, &err, p->loaded || (got > 0 && WIFSIGNALED(status)));
}

static void loader_io(void *arg, int events)
{
	struct tf_pool *p = arg;
	(void)events;
	pool_enter(p);
	loader_read(p);
	pool_leave(p);
}

/* Kill the loader first: it could fork slots that nobody learns of. What it had sent tells their pids. */
void pool_loader_end(struct tf_pool *p)
{
	if (p->loader_pid > 0) {
		/* Not its group: a slot just forked is still in it, and must live to tell its pid. */
		kill(p->loader_pid, SIGKILL);
		while (waitpid(p->loader_pid, NULL, 0) < 0 && errno == EINTR)
			;
		p->loader_pid = 0;
	}
	while (p->loader_fd >= 0) {
		struct tf_frame f;
		struct tf_err err;
		size_t used = 0;
		uint64_t pid;
		if (tf_frame_get(p->loader_in.len ? p->loader_in.data : "", p->loader_in.len, TF_MAX_FRAME,
			    &f, &used, &err) == 0 &&
			used > 0) {
			struct pool_slot *s = f.type == TF_FRAME_FORKED ? loader_slot_by_id(p, f.id) : NULL;
			if (s && s->pid == 0 && tf_frame_get_u64(&f, 0, &pid, &err) == 0 &&
				pool_is_child(pid))
				s->pid = (pid_t)pid;
			tf_buf_consume(&p->loader_in, used);
			continue;
		}
		tf_buf_reserve(&p->loader_in, LOADER_CHUNK);
		ssize_t n =
			recv(p->loader_fd, p->loader_in.data + p->loader_in.len, LOADER_CHUNK, MSG_DONTWAIT);
		if (n <= 0)
			break;
		p->loader_in.len += (size_t)n;
	}
	loader_close(p);
}
