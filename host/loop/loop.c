#include "loop/loop.h"

#include <errno.h>
#include <stdio.h>
#include <uv.h>

#include "base/mem.h"

struct tf_loop {
	uv_loop_t uv;
};

/* The handles: uv comes first, so that the close callback can free by the uv pointer. */
struct tf_timer {
	uv_timer_t uv;
	void (*cb)(void *arg);
	void *arg; /* borrowed */
};

struct tf_io {
	uv_poll_t uv;
	void (*cb)(void *arg, int events);
	void *arg;   /* borrowed */
	int watched; /* TF_IO_ flags */
};

struct tf_signal {
	uv_signal_t uv;
	void (*cb)(void *arg, int signo);
	void *arg; /* borrowed */
};

struct tf_post {
	uv_async_t uv;
	void (*cb)(void *arg);
	void *arg; /* borrowed */
};

struct tf_later {
	uv_prepare_t uv;
	void (*cb)(void *arg);
	void *arg; /* borrowed */
};

/* What libuv refuses here is a lack of descriptors or memory, or a bug of ours. */
#define MUST(call) must((call), #call, __FILE__, __LINE__)
static void must(int rc, const char *what, const char *file, int line)
{
	if (rc == 0)
		return;
	char text[200];
	snprintf(text, sizeof text, "%s: %s", what, uv_strerror(rc));
	tf_bug(text, file, line);
}

static void free_handle(uv_handle_t *uv)
{
	free(uv);
}

struct tf_loop *tf_loop_new(void)
{
	struct tf_loop *loop = TF_NEW(struct tf_loop);
	MUST(uv_loop_init(&loop->uv));
	return loop;
}

static void must_be_closing(uv_handle_t *uv, void *arg)
{
	(void)arg;
	if (uv_is_closing(uv))
		return;
	const char *kind = "handle";
	switch (uv->type) {
	case UV_TIMER:
		kind = "tf_timer";
		break;
	case UV_POLL:
		kind = "tf_io";
		break;
	case UV_SIGNAL:
		kind = "tf_signal";
		break;
	case UV_ASYNC:
		kind = "tf_post";
		break;
	case UV_PREPARE:
		kind = "tf_later";
		break;
	default:
		break;
	}
	char text[80];
	snprintf(text, sizeof text, "tf_loop_delete: a %s of the loop is still alive", kind);
	tf_bug(text, __FILE__, __LINE__);
}

void tf_loop_delete(struct tf_loop *loop)
{
	if (!loop)
		return;
	uv_walk(&loop->uv, must_be_closing, NULL);
	/* A stop that is still pending would make the first run return without a turn. */
	while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
	}
	MUST(uv_loop_close(&loop->uv));
	free(loop);
}

void tf_loop_run(struct tf_loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

bool tf_loop_turn(struct tf_loop *loop, bool block)
{
	/* A timer that is due would be called before the wait, and what it did would have to wait for the next event. */
	bool due = uv_backend_timeout(&loop->uv) == 0;
	return uv_run(&loop->uv, block && !due ? UV_RUN_ONCE : UV_RUN_NOWAIT) != 0;
}

void tf_loop_stop(struct tf_loop *loop)
{
	uv_stop(&loop->uv);
}

static void forget_signal(uv_handle_t *uv, void *arg)
{
	(void)arg;
	if (uv->type == UV_SIGNAL && !uv_is_closing(uv))
		MUST(uv_signal_stop((uv_signal_t *)uv));
}

void tf_loop_forked(struct tf_loop *loop)
{
	uv_walk(&loop->uv, forget_signal, NULL);
}

const struct tf_clock *tf_loop_clock(struct tf_loop *loop)
{
	(void)loop;
	return &tf_clock_real;
}

static void on_timer(uv_timer_t *uv)
{
	struct tf_timer *t = (struct tf_timer *)uv;
	t->cb(t->arg);
}

struct tf_timer *tf_timer_new(struct tf_loop *loop, void (*cb)(void *arg), void *arg)
{
	struct tf_timer *t = TF_NEW(struct tf_timer);
	MUST(uv_timer_init(&loop->uv, &t->uv));
	t->cb = cb;
	t->arg = arg;
	return t;
}

void tf_timer_start(struct tf_timer *t, uint64_t ms, uint64_t repeat_ms)
{
	/* The loop's time is that of the turn's begin; counting from there would be too early. */
	uv_update_time(t->uv.loop);
	MUST(uv_timer_start(&t->uv, on_timer, ms, repeat_ms));
}

void tf_timer_stop(struct tf_timer *t)
{
	MUST(uv_timer_stop(&t->uv));
}

bool tf_timer_active(const struct tf_timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->uv);
}

void tf_timer_delete(struct tf_timer *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->uv, free_handle);
}

static void on_poll(uv_poll_t *uv, int status, int events);

static void poll_watched(struct tf_io *io)
{
	int events = 0;
	if (io->watched & TF_IO_READ)
		events |= UV_READABLE;
	if (io->watched & TF_IO_WRITE)
		events |= UV_WRITABLE;
	MUST(events ? uv_poll_start(&io->uv, events, on_poll) : uv_poll_stop(&io->uv));
}

static void on_poll(uv_poll_t *uv, int status, int events)
{
	struct tf_io *io = (struct tf_io *)uv;
	int ready = 0;
	if (events & UV_READABLE)
		ready |= TF_IO_READ;
	if (events & UV_WRITABLE)
		ready |= TF_IO_WRITE;
	if (status < 0) {
		/* libuv stops watching on an error condition; the contract is level-triggered. */
		ready = io->watched;
		poll_watched(io);
	}
	io->cb(io->arg, ready);
}

struct tf_io *tf_io_new(struct tf_loop *loop, int fd, void (*cb)(void *arg, int events), void *arg)
{
	struct tf_io *io = TF_NEW(struct tf_io);
	int rc = uv_poll_init(&loop->uv, &io->uv, fd);
	if (rc) {
		free(io);
		errno = -rc; /* libuv's codes are negated errno values here */
		return NULL;
	}
	io->cb = cb;
	io->arg = arg;
	return io;
}

void tf_io_watch(struct tf_io *io, int events)
{
	if (events == io->watched)
		return;
	io->watched = events;
	poll_watched(io);
}

void tf_io_delete(struct tf_io *io)
{
	if (!io)
		return;
	/* Takes the descriptor out of the kernel's set now, not in the close phase. */
	MUST(uv_poll_stop(&io->uv));
	uv_close((uv_handle_t *)&io->uv, free_handle);
}

static void on_signal(uv_signal_t *uv, int signo)
{
	struct tf_signal *s = (struct tf_signal *)uv;
	s->cb(s->arg, signo);
}

struct tf_signal *tf_signal_new(struct tf_loop *loop, int signo, void (*cb)(void *arg, int signo), void *arg)
{
	struct tf_signal *s = TF_NEW(struct tf_signal);
	MUST(uv_signal_init(&loop->uv, &s->uv));
	s->cb = cb;
	s->arg = arg;
	MUST(uv_signal_start(&s->uv, on_signal, signo));
	return s;
}

void tf_signal_delete(struct tf_signal *s)
{
	if (s)
		uv_close((uv_handle_t *)&s->uv, free_handle);
}

static void on_async(uv_async_t *uv)
{
	struct tf_post *p = (struct tf_post *)uv;
	p->cb(p->arg);
}

struct tf_post *tf_post_new(struct tf_loop *loop, void (*cb)(void *arg), void *arg)
{
	struct tf_post *p = TF_NEW(struct tf_post);
	MUST(uv_async_init(&loop->uv, &p->uv, on_async));
	p->cb = cb;
	p->arg = arg;
	return p;
}

void tf_post_wake(struct tf_post *p)
{
	MUST(uv_async_send(&p->uv));
}

void tf_post_delete(struct tf_post *p)
{
	if (p)
		uv_close((uv_handle_t *)&p->uv, free_handle);
}

static void on_prepare(uv_prepare_t *uv)
{
	struct tf_later *l = (struct tf_later *)uv;
	MUST(uv_prepare_stop(uv));
	l->cb(l->arg);
}

struct tf_later *tf_later_new(struct tf_loop *loop, void (*cb)(void *arg), void *arg)
{
	struct tf_later *l = TF_NEW(struct tf_later);
	MUST(uv_prepare_init(&loop->uv, &l->uv));
	uv_unref((uv_handle_t *)&l->uv);
	l->cb = cb;
	l->arg = arg;
	return l;
}

void tf_later_ask(struct tf_later *l)
{
	MUST(uv_prepare_start(&l->uv, on_prepare));
}

void tf_later_delete(struct tf_later *l)
{
	if (l)
		uv_close((uv_handle_t *)&l->uv, free_handle);
}
