#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "pool/pool_private.h"
#include "pool/process.h"
#include "protocol/failure.h"

enum {
	SLOT_CHUNK = 64 << 10, /* bytes of one read */
	SLOT_TURN_READS = 16,  /* reads before other descriptors get their turn */
	SLOT_KEEP = 256 << 10, /* bytes of buffer kept between jobs */
	SLOT_YOUNG_MS = 1000,  /* a slot that ends idle before this counts as a bad start */
	SLOT_MAX_ATTEMPTS = 2, /* slots that may die before a job began to run in one */
	SLOT_UNKNOWN_MS = 500, /* tf_pool_delete waits for a slot to tell its pid */
};

static void slot_io(void *arg, int events);

bool pool_is_child(uint64_t pid)
{
	siginfo_t info;
	return pid > 1 && pid <= INT32_MAX &&
	       waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void pool_job_free(struct pool_job *j)
{
	if (!j)
		return;
	free(j->name);
	free(j->stop_why);
	free(j->flow);
	free(j->uuid);
	free(j->cls);
	tf_buf_free(&j->frame);
	free(j);
}

void pool_slot_init(struct pool_slot *s, struct tf_pool *p)
{
	*s = (struct pool_slot){.pool = p, .fd = -1, .life = UINT64_MAX};
}

static void slot_watch(struct pool_slot *s)
{
	tf_io_watch(s->io, TF_IO_READ | (s->sent < s->out.len ? TF_IO_WRITE : 0));
}

static void slot_close(struct pool_slot *s)
{
	tf_io_delete(s->io);
	s->io = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	tf_buf_free(&s->in);
	tf_buf_free(&s->out);
	s->sent = 0;
	tf_claims_delete(s->claims);
	s->claims = NULL;
	s->jobs = s->ahead = 0;
	s->sent_count = s->over = s->seen = s->ran = s->weighed_ms = 0;
	s->life = UINT64_MAX;
	s->grown = false;
}

/* The slot's page goes to it as the first thing in its socket. */
static int slot_share_claims(struct pool_slot *s, int fd, struct tf_err *err)
{
	int page;
	struct tf_buf frame = TF_BUF_INIT;
	s->claims = tf_claims_new(&page, err);
	if (!s->claims)
		return TF_EIO;
	tf_frame_put(&frame, TF_MAX_FRAME, TF_FRAME_CLAIMS, 0, NULL, NULL);
	int rc = tf_frame_pass(fd, &frame, page, err);
	close(page);
	tf_buf_free(&frame);
	return rc;
}

int pool_slot_fork(struct pool_slot *s, struct tf_err *err)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return tf_err_sys(err, "socketpair");
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	s->id = ++s->pool->next_id;
	int rc = slot_share_claims(s, pair[0], err);
	if (rc == 0)
		rc = pool_loader_ask(s->pool, s->id, pair[1], err);
	close(pair[1]);
	if (rc < 0) {
		tf_claims_delete(s->claims);
		s->claims = NULL;
		close(pair[0]);
		return rc;
	}
	if (s->pool->config.counters)
		s->pool->config.counters->forked++;
	s->state = POOL_SLOT_FORKING;
	s->pool->oom_count = tf_oom_count(s->pool->oom);
	s->pid = 0;
	s->fd = pair[0];
	s->born_ms = pool_now(s->pool);
	s->io = tf_io_new(s->pool->loop, s->fd, slot_io, s);
	slot_watch(s);
	return 0;
}

void pool_slot_kill(struct pool_slot *s)
{
	if (s->pid <= 0)
		return;
	kill(-s->pid, SIGKILL); /* its group: what the task started goes with it */
	kill(s->pid, SIGKILL);
}

/* The slot broke the rules: end it, and let its death say why. */
static void slot_breach(struct pool_slot *s, const char *story)
{
	tf_error("pool", "slot (pid %d) is killed: %s", (int)s->pid, story);
	free(s->breach);
	s->breach = tf_asprintf("what it sent cannot be: %s", story);
	if (s->state == POOL_SLOT_IDLE)
		s->pool->idle--;
	s->state = POOL_SLOT_ENDING;
	tf_io_watch(s->io, 0);
	pool_slot_kill(s);
}

void pool_slot_stop(struct pool_slot *s)
{
	if (s->state != POOL_SLOT_BUSY) /* it ends already */
		return;
	s->state = POOL_SLOT_ENDING;
	tf_io_watch(s->io, 0);
	pool_slot_kill(s);
}

/* ---- jobs ---- */

void pool_slot_flush(struct pool_slot *s)
{
	while (s->sent < s->out.len) {
		ssize_t n =
			send(s->fd, s->out.data + s->sent, s->out.len - s->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				s->sent = s->out.len; /* it is dying: its end is told when it is reaped */
			break;
		}
		s->sent += (size_t)n;
	}
	if (s->sent == s->out.len) {
		s->sent = 0;
		tf_buf_reset(&s->out);
		if (s->out.cap > SLOT_KEEP)
			tf_buf_free(&s->out);
	}
	slot_watch(s);
}

/* Work that waits for a slot, left by a dead one or taken back from a slow one. */
static void slot_adopt(struct pool_slot *s)
{
	struct pool_job *j;
	while ((j = s->pool->orphans) != NULL && pool_slot_has_room(s)) {
		s->pool->orphans = j->next;
		pool_slot_run(s, j);
	}
}

void pool_slot_dismiss(struct pool_slot *s)
{
	if (s->state == POOL_SLOT_IDLE)
		s->pool->idle--;
	s->dismissed = true;
	s->state = POOL_SLOT_ENDING;
	shutdown(s->fd, SHUT_WR);
	s->hung_ms = pool_hung(s->pool) + TF_POOL_STOP_MS;
}

void pool_slot_offer(struct pool_slot *s)
{
	s->state = POOL_SLOT_IDLE;
	s->pool->idle++;
	slot_adopt(s);
}

void pool_slot_idle(struct pool_slot *s)
{
	if (s->ended) {
		s->state = POOL_SLOT_ENDING;
	} else if (pool_has_surplus(s->pool)) {
		pool_slot_dismiss(s);
	} else if (pool_recycle_is_due(s)) {
		pool_recycle(s);
	} else if (pool_recycle_is_full(s)) {
		s->state = POOL_SLOT_STANDBY;
	} else {
		pool_slot_offer(s);
	}
}

void pool_tell_free(struct tf_pool *p)
{
	if (!p->starved || p->idle == 0)
		return;
	p->starved = false;
	if (p->events.slot_free)
		p->events.slot_free(p->arg);
}

static void slot_tell_failed(struct pool_slot *s, bool told, const struct tf_err *err)
{
	if (s->pool->events.slot_failed)
		s->pool->events.slot_failed(s->pool->arg, told, err);
}

/* ---- frames of the slot ---- */

static void slot_on_born(struct pool_slot *s, const struct tf_frame *f)
{
	struct tf_err err;
	uint64_t pid;
	if (tf_frame_get_u64(f, 0, &pid, &err) < 0 ||
		(s->pid ? (uint64_t)s->pid != pid : !pool_is_child(pid))) {
		slot_breach(s, "a pid that is not its own");
		return;
	}
	s->pid = (pid_t)pid;
	s->state = POOL_SLOT_STARTING;
}

static void slot_on_event(struct pool_slot *s, const struct tf_frame *f)
{
	struct tf_pool *p = s->pool;
	struct tf_err err;
	const struct tf_slice type = f->field[0], text = f->field[1];
	if (type.len == 0 || memchr(type.data, 0, type.len) ||
		tf_utf8_valid_len(type.data, type.len) < type.len) {
		const struct tf_log_ids ids = pool_log_ids(s->job);
		tf_warn_of(&ids, "pool", "task '%s': an event type that is no text is dropped", s->job->name);
		return;
	}
	struct tf_value *details = tf_value_parse(text.data, text.len, 0, &err);
	if (!details || tf_json_type(tf_value_json(details)) != TF_JSON_OBJECT) {
		slot_breach(s, details ? "event details that are no object" : err.message);
		tf_value_unref(details);
		return;
	}
	char *name = tf_strndup(type.data, type.len);
	if (p->events.event)
		p->events.event(p->arg, s->job->id, name, details);
	free(name);
	tf_value_unref(details);
}

static void slot_on_done(struct pool_slot *s, const struct tf_frame *f)
{
	struct tf_pool *p = s->pool;
	struct tf_err err = {0};
	bool failed = f->field[0].len == 1 && f->field[0].data[0] == '1';
	struct tf_value *result = tf_value_parse(f->field[1].data, f->field[1].len, 0, &err);
	if (result && failed &&
		(tf_failure_check_schema(tf_value_json(result), &err) < 0 ||
			tf_failure_check_reconstruct(tf_value_json(result), &err) < 0)) {
		tf_value_unref(result);
		result = NULL;
	}
	if (!result) {
		slot_breach(s, err.message);
		return;
	}
	pool_slot_tell_started(s);
	if (p->deleted) {
		tf_value_unref(result);
		return;
	}
	struct pool_job *j = pool_slot_pop(s);
	p->bad_starts = 0;
	p->next_fork_ms = 0;
	pool_recycle_count(s);
	if (s->job)
		slot_adopt(s);
	else
		pool_slot_idle(s);
	if (p->events.done)
		p->events.done(p->arg, j->id, failed, result);
	pool_job_free(j);
	tf_value_unref(result);
	if (!p->deleted)
		pool_tell_free(p);
}

static void slot_on_frame(struct pool_slot *s, const struct tf_frame *f)
{
	struct tf_pool *p = s->pool;
	struct tf_err err;
	uint64_t bytes;
	bool starting = s->state == POOL_SLOT_STARTING;
	bool busy = s->state == POOL_SLOT_BUSY && s->job && f->id == s->job->id;
	if (f->type == TF_FRAME_BORN && (starting || s->state == POOL_SLOT_FORKING)) {
		slot_on_born(s, f);
	} else if (f->type == TF_FRAME_READY && starting) {
		pool_recycle_begin(s);
		pool_slot_idle(s);
		pool_tell_free(p);
	} else if (f->type == TF_FRAME_START_ERROR && starting) {
		tf_err_set(&err, TF_ELUA, "a slot could not start: %.*s", (int)f->field[0].len,
			f->field[0].data);
		if (!p->events.slot_failed)
			tf_error("pool", "%s", err.message);
		slot_tell_failed(s, true, &err);
	} else if (f->type == TF_FRAME_LIMITS && busy && f->field[0].len == sizeof(struct tf_limits)) {
		struct tf_limits l;
		memcpy(&l, f->field[0].data, sizeof(l));
		pool_limits_begin(s, &l);
	} else if (f->type == TF_FRAME_BREACH && busy && tf_frame_get_u64(f, 0, &bytes, &err) == 0) {
		pool_limits_breach(s, bytes);
	} else if (f->type == TF_FRAME_EVENT && busy) {
		pool_slot_tell_started(s);
		if (!p->deleted)
			slot_on_event(s, f);
	} else if (f->type == TF_FRAME_DONE && busy) {
		slot_on_done(s, f);
	} else {
		char story[80];
		snprintf(story, sizeof(story), "%s out of turn", tf_frame_type_name(f->type));
		slot_breach(s, story);
	}
}

static bool slot_listens(const struct pool_slot *s)
{
	return !s->pool->deleted && s->fd >= 0 && !s->breach && !(s->job && s->job->stop_types);
}

/* Handle the whole frames in `in`. */
static void slot_take_frames(struct pool_slot *s)
{
	struct tf_pool *p = s->pool;
	size_t at = 0;
	while (slot_listens(s) && s->in.len - at >= TF_FRAME_HEADER) {
		struct tf_frame f;
		struct tf_err err;
		size_t used;
		if (tf_frame_get(s->in.data + at, s->in.len - at, p->config.max_frame, &f, &used, &err) < 0) {
			slot_breach(s, err.message);
			return;
		}
		if (used == 0)
			break;
		at += used;
		slot_on_frame(s, &f);
	}
	if (p->deleted)
		return;
	tf_buf_consume(&s->in, at);
	if (s->in.len == 0 && s->in.cap > SLOT_KEEP)
		tf_buf_free(&s->in);
}

/* Read what is there, at most `reads` times. False at the end of the stream. */
static bool slot_read(struct pool_slot *s, unsigned reads)
{
	for (unsigned i = 0; i < reads && slot_listens(s); i++) {
		tf_buf_reserve(&s->in, SLOT_CHUNK);
		size_t room = s->in.cap - s->in.len - 1;
		ssize_t n = recv(s->fd, s->in.data + s->in.len, room, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		if (n == 0)
			return false;
		s->in.len += (size_t)n;
		slot_take_frames(s);
		if ((size_t)n < room)
			return true; /* drained, or nearly: the loop will say */
	}
	return true;
}

/* ---- the end of a slot ---- */

/* The pool has no loader any more. */
static void slot_fail_orphans(struct tf_pool *p)
{
	struct tf_err err;
	tf_err_set(&err, TF_ESTATE, "a slot ended, and there is no loader to replace it");
	pool_fail_orphans(p, &err);
}

/* The jobs of a slot that is gone: another slot gets those that it had not begun; the one it ran has failed, and so has
 * one that it took twice and never began. */
static void slot_lose_jobs(
	struct pool_slot *s, enum tf_slot_death cause, int status, const struct rusage *usage)
{
	struct tf_pool *p = s->pool;
	pool_slot_tell_started(s);
	if (p->deleted)
		return;
	struct pool_job *j = s->job, *behind = j->next, *next;
	bool taken = tf_claims_get(s->claims, j->number) != TF_CLAIM_OFFERED;
	s->job = j->next = NULL;
	for (; behind; behind = next) {
		next = behind->next;
		pool_add_orphan(p, behind);
	}
	if (p->over)
		slot_fail_orphans(p);
	if (p->deleted)
		return;
	if (!j->started && !j->stop_types && j->attempts < SLOT_MAX_ATTEMPTS && !s->breach && !p->over) {
		j->attempts += taken;
		pool_add_orphan(p, j);
		return;
	}
	struct tf_value *failure = pool_death_failure(s, j, cause, status, usage);
	if (p->events.done)
		p->events.done(p->arg, j->id, true, failure);
	tf_value_unref(failure);
	pool_job_free(j);
}

/* Forget the process; count it if it was of no use. */
static void slot_gone(struct pool_slot *s, enum pool_slot_state was)
{
	struct tf_pool *p = s->pool;
	slot_close(s);
	s->state = POOL_SLOT_ABSENT;
	s->pid = 0;
	s->ended = s->dismissed = false;
	s->hung_ms = 0;
	if (was == POOL_SLOT_FORKING || was == POOL_SLOT_STARTING ||
		((was == POOL_SLOT_IDLE || was == POOL_SLOT_STANDBY) &&
			pool_now(p) - s->born_ms < SLOT_YOUNG_MS))
		p->bad_starts++;
	uint64_t at = pool_now(p) + pool_delay(p->bad_starts);
	if (p->bad_starts && at > p->next_fork_ms)
		p->next_fork_ms = at;
}

void pool_slot_reap(struct pool_slot *s)
{
	struct tf_pool *p = s->pool;
	int status;
	struct rusage usage;
	struct tf_err err;
	if (s->pid <= 0 || s->state == POOL_SLOT_ABSENT)
		return;
	pid_t got = wait4(s->pid, &status, WNOHANG, &usage);
	if (got == 0 || (got < 0 && errno == EINTR))
		return;
	if (got < 0) { /* somebody else reaped it */
		status = 0;
		usage = (struct rusage){0};
	}
	s->ended = true; /* what it sent before it died counts */
	while (slot_listens(s) && slot_read(s, SLOT_TURN_READS)) {
		struct pollfd more = {.fd = s->fd, .events = POLLIN};
		if (p->deleted || poll(&more, 1, 0) <= 0 || !(more.revents & POLLIN))
			break;
	}
	if (p->deleted)
		return;
	enum pool_slot_state was = s->state;
	if (was == POOL_SLOT_IDLE)
		p->idle--;
	if (was == POOL_SLOT_STARTING || was == POOL_SLOT_FORKING) {
		struct tf_buf text = TF_BUF_INIT;
		tf_process_describe_end(status, &text);
		tf_err_set(&err, TF_ECLOSED, "slot (pid %d) %s before it was ready", (int)s->pid, text.data);
		tf_warn("pool", "%s", err.message);
		tf_buf_free(&text);
		slot_tell_failed(s, false, &err);
		if (p->deleted)
			return;
	}
	s->state = POOL_SLOT_ENDING;
	enum tf_slot_death cause = pool_death_cause(s, was, status);
	if (p->config.counters && !(s->dismissed && !s->breach))
		p->config.counters->deaths[cause]++;
	p->oom_count = tf_oom_count(p->oom);
	if (s->job)
		slot_lose_jobs(s, cause, status, &usage);
	if (p->deleted)
		return;
	slot_gone(s, was);
	free(s->breach);
	s->breach = NULL;
	if (p->wanted == 0) {
		pool_return_orphans(p);
		if (!p->deleted && p->events.empty && tf_pool_live_slots(p) == 0)
			p->events.empty(p->arg);
	}
	if (p->deleted)
		return;
	pool_recycle_promote(p);
	pool_fill(p);
	pool_tell_free(p);
}

/* The socket ended. A living process has no use without it. */
static void slot_hung_up(struct pool_slot *s)
{
	tf_io_watch(s->io, 0);
	if (s->pid <= 0) {
		if (s->pool->loader_pid == 0) { /* it died before it forked this slot */
			slot_gone(s, s->state);
			pool_fill(s->pool);
		}
		return; /* else the loader is about to tell which process that was */
	}
	uint64_t id = s->id;
	pool_slot_reap(s);
	if (s->pool->deleted || s->state == POOL_SLOT_ABSENT || s->id != id)
		return;
	if (s->state == POOL_SLOT_IDLE)
		s->pool->idle--;
	s->state = POOL_SLOT_ENDING; /* SIGCHLD follows */
	s->hung_ms = pool_hung(s->pool);
}

bool pool_slot_check_hung(struct pool_slot *s, uint64_t limit_ms)
{
	if (s->hung_ms == 0)
		return false;
	if (s->hung_ms <= limit_ms) {
		if (s->dismissed)
			tf_warn("pool", "slot (pid %d) is killed: it did not end by itself", (int)s->pid);
		if (!s->breach)
			s->breach = tf_strdup("it closed its socket");
		pool_slot_kill(s);
	}
	return true;
}

static void slot_io(void *arg, int events)
{
	struct pool_slot *s = arg;
	struct tf_pool *p = s->pool;
	pool_enter(p);
	if (events & TF_IO_WRITE)
		pool_slot_flush(s);
	if ((events & TF_IO_READ) && !slot_read(s, SLOT_TURN_READS) && slot_listens(s))
		slot_hung_up(s);
	pool_leave(p);
}

void pool_slot_loader_died(struct pool_slot *s)
{
	if (s->state == POOL_SLOT_FORKING)
		slot_watch(s); /* it becomes ready all the same, or its socket has ended */
}

void pool_slot_forked(struct pool_slot *s, uint64_t pid)
{
	if (s->state != POOL_SLOT_FORKING)
		return; /* it told by itself */
	if (!pool_is_child(pid)) {
		slot_gone(s, POOL_SLOT_FORKING);
		return;
	}
	s->pid = (pid_t)pid;
	s->state = POOL_SLOT_STARTING;
	pool_slot_reap(s); /* its SIGCHLD may have come before its name */
}

/* The loader is dead; a slot it may have forked tells its pid, or its socket ends. */
static void slot_find_pid(struct pool_slot *s)
{
	struct pollfd wait = {.fd = s->fd, .events = POLLIN};
	char bytes[64];
	struct tf_frame f;
	size_t used;
	uint64_t pid;
	struct tf_err err;
	if (poll(&wait, 1, SLOT_UNKNOWN_MS) <= 0)
		return;
	ssize_t n = recv(s->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n > 0 && tf_frame_get(bytes, (size_t)n, sizeof(bytes), &f, &used, &err) == 0 && used > 0 &&
		f.type == TF_FRAME_BORN && tf_frame_get_u64(&f, 0, &pid, &err) == 0 && pool_is_child(pid))
		s->pid = (pid_t)pid;
}

void pool_slot_end(struct pool_slot *s)
{
	if (s->state == POOL_SLOT_FORKING && s->pid == 0 && s->fd >= 0)
		slot_find_pid(s);
	pool_slot_kill(s);
	if (s->pid > 0) {
		while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	slot_close(s);
	for (struct pool_job *j; (j = s->job) != NULL;) {
		s->job = j->next;
		pool_job_free(j);
	}
	free(s->breach);
	s->breach = NULL;
	s->pid = 0;
	s->state = POOL_SLOT_ABSENT;
}
