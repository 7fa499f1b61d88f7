#include "pool/slot.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/claims.h"
#include "pool/frame.h"
#include "protocol/failure.h"

enum {
	SLOT_KEEP = 1 << 20,  /* bytes of buffer kept between requests */
	SLOT_OOM_SCORE = 500, /* the kernel, when out of memory, should take a task, not the supervisor */
};

struct slot {
	int fd;
	const struct tf_runner *runner;
	size_t max_frame;
	struct tf_claims *claims;
	uint64_t job;    /* that it runs */
	uint64_t number; /* of its RUN frame */
	struct tf_buf in, out;
	struct tf_err err;
};

/* The supervisor is gone, or will not read: nothing that we do matters any more. */
_Noreturn static void slot_quit(void)
{
	fflush(stdout);
	_exit(0);
}

static void slot_send(struct slot *s)
{
	if (tf_frame_send(s->fd, &s->out, &s->err) < 0)
		slot_quit();
}

static void slot_started(void *arg)
{
	struct slot *s = arg;
	tf_claims_start(s->claims, s->number);
}

static void slot_limits(void *arg, const struct tf_limits *l)
{
	struct slot *s = arg;
	const struct tf_slice field = {(const char *)l, sizeof(*l)};
	tf_frame_put(&s->out, s->max_frame, TF_FRAME_LIMITS, s->job, &field, NULL);
	slot_send(s);
}

static void slot_breach(void *arg, uint64_t bytes)
{
	struct slot *s = arg;
	const struct tf_slice field = tf_frame_u64(&bytes);
	tf_frame_put(&s->out, s->max_frame, TF_FRAME_BREACH, s->job, &field, NULL);
	slot_send(s);
	for (;;)
		pause();
}

/* Nothing is sent: that would need memory. The supervisor looks at the claims when it has reaped us. */
static void slot_refused(void *arg, size_t bytes)
{
	struct slot *s = arg;
	tf_claims_refuse(s->claims, bytes);
	for (;;)
		kill(getpid(), SIGKILL);
}

static void slot_event(void *arg, const char *type, struct tf_value *details)
{
	struct slot *s = arg;
	const struct tf_slice fields[] = {
		{type, strlen(type)}, {tf_value_text(details), tf_value_len(details)}};
	if (tf_frame_put(&s->out, s->max_frame, TF_FRAME_EVENT, s->job, fields, &s->err) < 0)
		tf_warn("slot", "event '%.100s' is not sent: %s", type, s->err.message);
	else
		slot_send(s);
}

static void slot_put_done(struct slot *s, bool failed, struct tf_value *result)
{
	const struct tf_slice fields[] = {
		{failed ? "1" : "0", 1}, {tf_value_text(result), tf_value_len(result)}};
	if (tf_frame_put(&s->out, s->max_frame, TF_FRAME_DONE, s->job, fields, &s->err) == 0)
		return;
	struct tf_value *failure = tf_failure_format(tf_types_value_error, "%s: %s",
		failed ? "the failure is too large to send" : "the result is too large to send",
		s->err.message);
	const struct tf_slice instead[] = {{"1", 1}, {tf_value_text(failure), tf_value_len(failure)}};
	tf_frame_put(&s->out, TF_FRAME_HEADER + SLOT_KEEP, TF_FRAME_DONE, s->job, instead, NULL);
	tf_value_unref(failure);
}

static void slot_run(struct slot *s, const struct tf_request *r)
{
	const struct tf_runner_sink sink = {.started = slot_started,
		.limits = slot_limits,
		.breach = slot_breach,
		.refused = slot_refused,
		.event = slot_event,
		.defaults = &s->runner->defaults,
		.arg = s};
	bool failed = true;
	struct tf_value *result = s->runner->run(s->runner->arg, r, &sink, &failed);
	slot_put_done(s, failed, result);
	tf_value_unref(result);
	slot_send(s);
	if (s->out.cap > SLOT_KEEP)
		tf_buf_free(&s->out);
}

/* The page that the supervisor sent before anything else. */
static int slot_get_claims(struct slot *s)
{
	struct tf_frame f;
	size_t used;
	int page;
	int rc = tf_frame_recv(s->fd, &s->in, s->max_frame, &f, &used, &page, &s->err);
	if (rc == TF_ECLOSED)
		slot_quit();
	if (rc == 0 && (f.type != TF_FRAME_CLAIMS || page < 0))
		rc = tf_err_set(
			&s->err, TF_EFORMAT, "frame %s instead of the claims", tf_frame_type_name(f.type));
	if (rc == 0) {
		tf_buf_consume(&s->in, used);
		s->claims = tf_claims_map(page, &s->err);
	}
	if (page >= 0)
		close(page);
	return s->claims ? 0 : TF_EIO;
}

static void slot_begin(struct slot *s)
{
	/* The loader tells it too, but it may be killed first: then nobody could reap us. */
	uint64_t pid = (uint64_t)getpid();
	const struct tf_slice field = tf_frame_u64(&pid);
	tf_frame_put(&s->out, s->max_frame, TF_FRAME_BORN, 0, &field, NULL);
	slot_send(s);
	prctl(PR_SET_NAME, "tfhost-slot"); /* what ps and top call it */
	int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score >= 0) {
		dprintf(score, "%d", SLOT_OOM_SCORE); /* raising one's own is always allowed; else no harm */
		close(score);
	}
	int rc = slot_get_claims(s);
	if (rc == 0)
		tf_mem_on_exhausted(slot_refused, s);
	if (rc == 0 && s->runner->slot_start)
		rc = s->runner->slot_start(s->runner->arg, &s->err);
	if (rc < 0) {
		const struct tf_slice story = {s->err.message, strlen(s->err.message)};
		tf_frame_put(&s->out, s->max_frame, TF_FRAME_START_ERROR, 0, &story, NULL);
		slot_send(s);
		_exit(1);
	}
	tf_frame_put(&s->out, s->max_frame, TF_FRAME_READY, 0, NULL, NULL);
	slot_send(s);
}

/* The next request that was not taken back. */
static int slot_next(struct slot *s, struct tf_request *r)
{
	struct tf_frame frame;
	size_t used;
	for (;; s->number++) {
		int rc = tf_frame_recv(s->fd, &s->in, s->max_frame, &frame, &used, NULL, &s->err);
		if (rc < 0)
			return rc;
		bool ours = tf_claims_take(s->claims, s->number);
		rc = ours ? tf_frame_get_request(&frame, r, &s->err) : 0;
		if (ours)
			tf_frame_set_log_ids(&frame);
		s->job = frame.id;
		tf_buf_consume(&s->in, used);
		if (s->in.len == 0 && s->in.cap > SLOT_KEEP)
			tf_buf_free(&s->in);
		if (ours)
			return rc;
	}
}

int tf_slot_main(int fd, const struct tf_runner *runner, size_t max_frame)
{
	struct slot s = {.fd = fd, .runner = runner, .max_frame = max_frame};
	struct tf_request request;
	slot_begin(&s);
	for (;; s.number++) {
		int rc = slot_next(&s, &request);
		if (rc == TF_ECLOSED && runner->slot_stop)
			runner->slot_stop(runner->arg);
		if (rc == TF_ECLOSED)
			slot_quit();
		if (rc < 0) {
			tf_error("slot", "cannot read a request: %s", s.err.message);
			return 1;
		}
		slot_run(&s, &request);
		tf_request_free(&request);
		if (runner->idle && s.in.len == 0)
			runner->idle(runner->arg);
	}
}
