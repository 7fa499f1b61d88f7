/* Supervisor side of the slots: starts the loader, has it fork slots, hands them requests, reports how each ended
 * (ARCHITECTURE 1). A slot runs one request at a time. Slots that are quick get more ahead, which is taken back for
 * others when one takes longer than a few milliseconds.
 *
 * Slots are reaped here (the loader clones them with CLONE_PARENT). A slot that dies while it runs a
 * job gives that job a WorkerLost failure that names signal or exit code, pid and resource usage,
 * and is replaced. All callbacks run on the loop, never inside a call of this interface.
 */
#ifndef TF_POOL_POOL_H
#define TF_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"
#include "loop/loop.h"
#include "pool/runner.h"
#include "protocol/message.h"

struct tf_pool;

struct tf_pool_config {
	unsigned slots; /* at least 1, at most TF_POOL_MAX_SLOTS */
	/* Exec mode (worker): argv of the loader, NULL-terminated; argv[0] is this executable. The
	 * loader finds its end of the control socket at descriptor TF_LOADER_FD and calls
	 * tf_loader_main. */
	char *const *loader_argv;
	/* Fork mode (parallel engine): the loader is a fork of this process that runs `runner`,
	 * so that closures of the engine's scripts exist in the slots. Used when loader_argv is NULL. */
	const struct tf_runner *runner;
	size_t max_frame;                  /* bytes of one request or result; 0: TF_MAX_FRAME */
	bool idle_start;                   /* load, and have no slot before tf_pool_want */
	struct tf_pool_counters *counters; /* borrowed, counted up; NULL: nobody wants to know */
	/* A slot is replaced between two requests: after at most so many (up to a fifth fewer, so that not all go at once),
	 * or once its memory has grown by so many bytes since it began (up to a fifth less). 0: never for that. Its
	 * successor is ready by then, as a rule. */
	unsigned max_tasks;
	uint64_t max_growth;
};
/* Ends of slots that nobody asked for, by cause: name and what users see. TASK_STOPPED: its engine cancelled the task, or a
 * drain was over. */
#define TF_SLOT_DEATHS(X) \
	X(EXIT, "exit") \
	X(SIGNAL, "signal") \
	X(TIME_LIMIT, "time_limit") \
	X(MEMORY_LIMIT, "memory_limit") \
	X(OUT_OF_MEMORY, "out_of_memory") \
	X(TASK_STOPPED, "task_stopped") \
	X(BAD_MESSAGE, "bad_message") \
	X(START, "start")
enum tf_slot_death {
#define X(name, text) TF_SLOT_##name,
	TF_SLOT_DEATHS(X)
#undef X
		TF_SLOT_DEATH_COUNT
};
struct tf_pool_counters {
	uint64_t deaths[TF_SLOT_DEATH_COUNT];
	uint64_t forked;       /* slots */
	uint64_t spent, grown; /* of them, replaced: they had run their number of requests; had grown */
};
#define TF_LOADER_FD 3
#define TF_POOL_MAX_SLOTS 4096
#define TF_MAX_FRAME (64u << 20)

struct tf_pool_events {
	/* The loader has loaded (names: class names served, borrowed) or could not (err). */
	void (*ready)(void *arg, char *const *names, size_t count, const struct tf_err *err);
	/* The task was built and runs; told within milliseconds, and in any case before its events and its end. begun_us: when
	 * that was, of tf_clock_us. */
	void (*started)(void *arg, uint64_t job, uint64_t begun_us);
	void (*event)(void *arg, uint64_t job, const char *type, struct tf_value *details);
	/* The job waited behind one that takes long, and no slot is idle: it is the caller's again, as if it had not been
	 * submitted. NULL: it waits here. */
	void (*back)(void *arg, uint64_t job);
	void (*done)(void *arg, uint64_t job, bool failed, struct tf_value *result);
	/* A slot became free after all were busy. */
	void (*slot_free)(void *arg);
	/* The loader died by itself and cannot be brought back: the pool serves no more. */
	void (*lost)(void *arg, const struct tf_err *err);
	/* A loader that had loaded ended by itself. Set, it is not started again: the files may say something else by now.
	 * The slots that live go on. NULL: the pool brings it back. */
	void (*loader_lost)(void *arg, const struct tf_err *err);
	/* A slot ended before it was ready; `told`: it said why itself. */
	void (*slot_failed)(void *arg, bool told, const struct tf_err *err);
	/* No slot is wanted (tf_pool_want) and the last one has ended. */
	void (*empty)(void *arg);
};

int tf_pool_new(struct tf_loop *loop, const struct tf_pool_config *config,
	const struct tf_pool_events *events, void *arg, struct tf_pool **out, struct tf_err *err);
/* Hand a request to a slot; `job` is the caller's key. TF_EAGAIN: none is free, nor quick enough to be given more. */
int tf_pool_submit(struct tf_pool *p, uint64_t job, const struct tf_request *r, struct tf_err *err);
/* Have `slots` slots from now on, at most TF_POOL_MAX_SLOTS: more are forked, or those that are too many end, at once or
 * after the requests that they have; they get TF_POOL_STOP_MS to do so. */
void tf_pool_want(struct tf_pool *p, unsigned slots);
#define TF_POOL_STOP_MS 5000
/* Give all requests back that no slot has begun (events.back). */
void tf_pool_take_back(struct tf_pool *p);
/* End `job`, whatever it does: taken back if no slot has begun it, else its slot is killed. `done` follows with a failure of
 * `types` (static) whose text begins with `why`; false, and nothing follows, if the pool does not have the job. */
bool tf_pool_stop_job(struct tf_pool *p, uint64_t job, const char *const *types, const char *why);
/* Processes of slots, those that end included. */
unsigned tf_pool_live_slots(const struct tf_pool *p);
pid_t tf_pool_loader_pid(const struct tf_pool *p); /* 0: none */
/* What the loader has read, each path ended by NUL, and its hash; known from `ready` on, also when it failed. */
const struct tf_buf *tf_pool_files(const struct tf_pool *p);
const char *tf_pool_hash(const struct tf_pool *p);
/* What the classes say of themselves: as many as `ready` has told names, in that order. NULL before. */
const struct tf_class_limits *tf_pool_class_limits(const struct tf_pool *p);
/* Slots that have nothing to do. */
unsigned tf_pool_free_slots(const struct tf_pool *p);
unsigned tf_pool_busy_slots(const struct tf_pool *p);
/* Pid of the slot that runs `job`, 0 if none. */
pid_t tf_pool_job_pid(const struct tf_pool *p, uint64_t job);
/* A slot, for people. */
struct tf_slot_info {
	pid_t pid;            /* 0: not known yet */
	const char *state;    /* "forking", "starting", "standby", "idle", "busy", "ending" */
	uint64_t job;         /* busy: the caller's key, else 0 */
	const char *task_cls; /* of the job; borrowed during the visit; NULL: idle */
	unsigned ahead;       /* requests that wait in its socket behind that */
	uint64_t cpu_ns;      /* processor time of the job so far, without its first milliseconds */
};
typedef void tf_slot_visit(void *arg, const struct tf_slot_info *info);
void tf_pool_each_slot(const struct tf_pool *p, tf_slot_visit *visit, void *arg);
/* Kill what still runs (SIGKILL), end the loader, reap all, free. Blocks for milliseconds. */
void tf_pool_delete(struct tf_pool *p);

/* The loader process: serves the control socket on `fd` until it closes, forking slots that run
 * `runner`. Returns the exit code of the process. */
int tf_loader_main(int fd, const struct tf_runner *runner);

#endif
