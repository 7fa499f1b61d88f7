/* Shared by pool.c (interface), pool_loader.c, pool_slot.c (one slot's life) and pool_ahead.c (the requests in its
 * socket); nobody else includes it. */
#ifndef TF_POOL_PRIVATE_H
#define TF_POOL_PRIVATE_H

#include <sys/resource.h>

#include "base/buf.h"
#include "base/log.h"
#include "loop/loop.h"
#include "pool/claims.h"
#include "pool/frame.h"
#include "pool/oom.h"
#include "pool/pool.h"

/* A request from submit to done. Kept whole until the slot says that it began, because a slot found dead before
 * that gives it back. */
struct pool_job {
	uint64_t id;
	char *name, *cls;  /* for the story of a lost slot */
	char *flow, *uuid; /* for logs; NULL: not known */
	struct tf_buf frame;
	uint64_t order;  /* of submission */
	uint64_t number; /* of its RUN frame in the life of its slot */
	unsigned attempts;
	bool started;
	struct tf_limits limits; /* told as it began; zeroes: none */
	uint64_t limited_ms;     /* when that was */
	bool warned;
	bool accounted;                /* cpu_ns and oom_count are known */
	uint64_t oom_count;            /* when it was seen to have begun */
	uint64_t cpu_ns;               /* of its process, when it was seen to have begun */
	bool heavy;                    /* had too much memory when looked at last */
	const char *const *stop_types; /* it is to end with such a failure; NULL: it is not */
	char *stop_why;                /* owned */
	struct pool_job *next;         /* in pool_slot.job or pool.orphans */
};

enum pool_slot_state {
	POOL_SLOT_ABSENT,   /* no process; one is wanted */
	POOL_SLOT_FORKING,  /* asked of the loader; pid unknown until it or the slot tells */
	POOL_SLOT_STARTING, /* exists, runs the runner's slot_start */
	POOL_SLOT_STANDBY,  /* ready to take the place of one that ends soon */
	POOL_SLOT_IDLE,
	POOL_SLOT_BUSY,
	POOL_SLOT_ENDING, /* killed or closed its socket; to be reaped */
};

struct pool_slot {
	struct tf_pool *pool;
	enum pool_slot_state state;
	uint64_t id; /* of this life, never used again */
	pid_t pid;   /* 0: none, or not known yet */
	int fd;      /* -1: none */
	struct tf_io *io;
	struct tf_buf in, out;
	size_t sent; /* of out */
	struct tf_claims *claims;
	struct pool_job *job; /* BUSY, or ENDING with a job to be answered; what waits behind it follows */
	unsigned jobs;        /* in `job` */
	unsigned ahead;       /* so many may wait behind the first */
	uint64_t sent_count;  /* RUN frames in this life */
	uint64_t over;        /* those below are done, or taken back */
	uint64_t seen;        /* number of the first job at the last tick, and one; 0: none */
	uint64_t begun_ms;    /* since then the first job is the first */
	uint64_t born_ms;
	uint64_t hung_ms;    /* closed its socket then, but lived; 0: did not */
	bool dismissed;      /* not wanted any more, it ends by itself */
	bool ended;          /* reaped: what it still had sent is read, nothing new is given to it */
	char *breach;        /* why we killed it */
	uint64_t ran;        /* requests in this life that are over */
	uint64_t life;       /* so many it may have; UINT64_MAX: any number */
	uint64_t memory;     /* bytes of its own when it was ready; while there is a limit on growth */
	uint64_t growth;     /* so many more it may have */
	uint64_t weighed_ms; /* when that was looked at; 0: not yet */
	bool grown;          /* it had more */
};

enum pool_loader_state { POOL_LOADER_NONE, POOL_LOADER_LOADING, POOL_LOADER_READY };

struct tf_pool {
	struct tf_loop *loop;
	struct tf_pool_config config;
	struct tf_pool_events events;
	void *arg;
	const struct tf_clock *clock;
	struct tf_signal *chld;
	struct tf_timer *timer;      /* to try again: the loader, the slots */
	struct tf_timer *hung_timer; /* to kill what closed its socket and does not end */
	struct tf_timer *limits;     /* pool_on_limits */
	struct tf_timer *tick;       /* pool_on_tick */
	uint64_t limits_at;          /* when `limits` fires */
	uint64_t tick_ms;            /* its present length */

	struct tf_io *loader_io;
	struct tf_buf loader_in;
	uint64_t loader_hung_ms; /* as pool_slot.hung_ms */
	enum pool_loader_state loader_state;
	pid_t loader_pid;
	int loader_fd;            /* -1: none */
	unsigned loader_failures; /* in a row */

	struct tf_buf files;                  /* tf_pool_files */
	struct tf_class_limits *class_limits; /* tf_pool_class_limits */
	struct tf_oom *oom;                   /* owned */
	uint64_t oom_count;                   /* when it was looked at last */

	struct pool_slot
		*slots; /* room for TF_POOL_MAX_SLOTS and as many successors: their handles point at them */
	struct pool_job *orphans; /* wait for the next idle slot, oldest first */
	uint64_t next_id, next_order;
	uint64_t next_fork_ms; /* not before */
	unsigned slot_count;   /* places in use of `slots` */
	unsigned wanted;       /* slots */
	unsigned idle;
	unsigned bad_starts; /* slots in a row that ended before they were of use */

	unsigned depth; /* callbacks on the stack */
	bool deleted;   /* tf_pool_delete came from inside one */
	bool loaded;    /* at least once: ready was told */
	bool over;      /* ready(err) or lost was told */
	bool shrinking; /* more slots may live than are wanted */
	bool starved;   /* slot_free is owed when a slot becomes idle */
	char hash[TF_SOURCES_HASH];
};

static inline struct tf_log_ids pool_log_ids(const struct pool_job *j)
{
	return (struct tf_log_ids){.flow = j->flow, .atom = j->name, .request = j->uuid};
}

/* Around every entry from the loop: the pool may be deleted by its owner's callbacks. After each callback look
 * at p->deleted and touch nothing more if it is set. */
void pool_enter(struct tf_pool *p);
void pool_leave(struct tf_pool *p);
/* A process closed its socket. It is most likely exiting, and a kill now would hide how: wait a moment. Returns
 * the time, never 0. */
uint64_t pool_hung(struct tf_pool *p);
/* Ask for what is missing: slots of the loader, or a loader; now or when its time comes. */
void pool_fill(struct tf_pool *p);
/* More slots live than are wanted, without those that end. */
bool pool_has_surplus(struct tf_pool *p);
/* Jobs that wait for a slot will not get one. */
void pool_fail_orphans(struct tf_pool *p, const struct tf_err *err);
/* ready(err) or lost(err), once; what waits for a slot fails. */
void pool_give_up(struct tf_pool *p, const struct tf_err *err);

int pool_loader_start(struct tf_pool *p, struct tf_err *err);
/* It ended by itself, or could not be started: try `again`, or give up. */
void pool_loader_failed(struct tf_pool *p, const struct tf_err *err, bool again);
/* Look whether it has ended, and if so settle that. */
void pool_loader_reap(struct tf_pool *p);
/* For tf_pool_delete: kill it, wait, learn the pids of slots it had forked. */
void pool_loader_end(struct tf_pool *p);
/* Have it fork a slot: send FORK with `fd`. */
int pool_loader_ask(struct tf_pool *p, uint64_t id, int fd, struct tf_err *err);
uint64_t pool_now(const struct tf_pool *p);
/* 100 ms, doubled with each failure in a row, 10 s at most; 0 for none. */
uint64_t pool_delay(unsigned failures);

void pool_slot_init(struct pool_slot *s, struct tf_pool *p);
/* Have the loader fork it: ABSENT -> FORKING. */
int pool_slot_fork(struct pool_slot *s, struct tf_err *err);
/* The loader says which process it is; 0: it could not fork. */
void pool_slot_forked(struct pool_slot *s, uint64_t pid);
/* Whether `pid`, told by another process, is one that we may signal and reap. */
bool pool_is_child(uint64_t pid);
/* The loader will not say any more. */
void pool_slot_loader_died(struct pool_slot *s);
/* Send what is in `out`, as far as it goes. */
void pool_slot_flush(struct pool_slot *s);
/* Whether it may be given a job now: it is idle, or quick. */
bool pool_slot_has_room(const struct pool_slot *s);
/* Give it a job; an IDLE one becomes BUSY. Takes over `j`. */
void pool_slot_run(struct pool_slot *s, struct pool_job *j);
/* Its first job is over; the caller's from now on. */
struct pool_job *pool_slot_pop(struct pool_slot *s);
/* Its first job is to end (stop_types): kill it for that. */
void pool_slot_stop(struct pool_slot *s);
/* Call events.started if the first job has begun and that was not told. */
void pool_slot_tell_started(struct pool_slot *s);
void pool_on_tick(void *arg);
/* Call events.slot_free if that is owed. */
void pool_tell_free(struct tf_pool *p);
/* pool_death.c: why the process ended, with this status of wait. Before its jobs are taken. */
enum tf_slot_death pool_death_cause(const struct pool_slot *s, enum pool_slot_state was, int status);
/* The failure of `j`, which the slot ran. */
struct tf_value *pool_death_failure(const struct pool_slot *s, const struct pool_job *j,
	enum tf_slot_death cause, int status, const struct rusage *usage);
/* pool_recycle.c: it is ready, and new. */
void pool_recycle_begin(struct pool_slot *s);
/* A request of its own is over. */
void pool_recycle_count(struct pool_slot *s);
/* It gets no request any more, and is replaced: not so while nothing could replace it. */
bool pool_recycle_is_due(const struct pool_slot *s);
/* It is due and has nothing to do: let it end, its successor takes over. */
void pool_recycle(struct pool_slot *s);
/* Whether the slots that work or could are as many as are wanted; `s` is not counted. */
bool pool_recycle_is_full(const struct pool_slot *s);
/* Those that stand by take the places that are free. */
void pool_recycle_promote(struct tf_pool *p);
/* It waits for work or to be needed, or ends if it is not needed any more. */
void pool_slot_idle(struct pool_slot *s);
/* It is IDLE from now on, or BUSY with what waited for one. */
void pool_slot_offer(struct pool_slot *s);
/* A slot without work that is not needed any more: let it end by itself. */
void pool_slot_dismiss(struct pool_slot *s);
/* Take back what it has not begun. */
void pool_slot_take_back(struct pool_slot *s);
/* pool_limits.c: the first job of the slot has told its limits. */
void pool_limits_begin(struct pool_slot *s, const struct tf_limits *l);
/* The first job of the slot is about to take so much memory. */
void pool_limits_breach(struct pool_slot *s, uint64_t bytes);
/* Warn of what comes near its limit, end what is beyond it. */
void pool_on_limits(void *arg);
/* Find a job of this slot that was not begun, and take it out; NULL. */
struct pool_job *pool_slot_retrieve(struct pool_slot *s, uint64_t job);
/* All that waits for a slot is the caller's again. */
void pool_return_orphans(struct tf_pool *p);
/* Look whether the process has ended, and if so settle everything. */
void pool_slot_reap(struct pool_slot *s);
/* Kill it if its socket closed before `limit_ms`. True if it still is to be waited for. */
bool pool_slot_check_hung(struct pool_slot *s, uint64_t limit_ms);
/* SIGKILL to it and what it started. */
void pool_slot_kill(struct pool_slot *s);
/* For tf_pool_delete: kill, wait, release. No callbacks. */
void pool_slot_end(struct pool_slot *s);
void pool_job_free(struct pool_job *j);
/* It waits for the next idle slot, in the order of submission. */
void pool_add_orphan(struct tf_pool *p, struct pool_job *j);

#endif
