/* The worker side, inside: what server.c (life and interface), intake.c (messages that come in),
 * reply.c (messages that go out) and jobs.c (requests that have no delivered outcome yet) share. Not
 * for others.
 *
 * A job is one request that this worker took: waiting for a slot, in a slot, running (the task was
 * built), or finished, when its final message is on its way. It is over when the broker has that.
 */
#ifndef TF_WBE_SERVICE_H
#define TF_WBE_SERVICE_H

#include <stddef.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "pool/runqueue.h"
#include "protocol/peer.h"
#include "wbe/digest.h"
#include "wbe/ledger.h"
#include "wbe/pace.h"
#include "wbe/server.h"
#include "wbe/throttle.h"
#include "wbe/window.h"

/* Longest sleep while there are jobs: see TF_PACE_STEP_MS. */
#define TF_SERVICE_ATTENTION_MS (TF_PACE_STEP_MS / 2)

/* An engine that work is done for. */
struct tf_engine_peer {
	TAILQ_ENTRY(tf_engine_peer) link;
	char *reply_to; /* owned */
	bool tfhost;
	size_t jobs;
};

#define TF_JOB_STATES(X) X(QUEUED) X(SUBMITTED) X(RUNNING) X(FINISHED)
enum tf_job_state {
#define X(name) TF_JOB_##name,
	TF_JOB_STATES(X)
#undef X
};

struct tf_job {
	TAILQ_ENTRY(tf_job) all;
	TAILQ_ENTRY(tf_job) list;      /* of `begun` while unsaid, `retry` while retrying */
	struct tf_runplace place;      /* in `queue`, until its outcome is known */
	uint64_t id;                   /* for the pool, and of the final message's publish */
	char *key;                     /* owned; what makes a repetition of it one */
	struct tf_engine_peer *engine; /* borrowed */
	char *correlation_id;          /* owned */
	struct tf_peer peer;           /* what the request's header said */
	enum tf_action action;
	char *task_name; /* owned */
	uint64_t tag;    /* to be settled; 0: none */
	bool tag_live;   /* its connection was not lost since */
	enum tf_job_state state;
	struct tf_request request; /* owned; empty once it runs */
	uint64_t result_limit;     /* bytes; 0: none */
	uint64_t queued_at;        /* paced; since then it waits for a slot here */
	struct tf_label label;     /* of the code that runs it; number 0: none yet */
	bool from_ledger;
	unsigned
		offers; /* SUBMITTED, but not to the pool: its engine was told so often that it is here; 0: it is not so */
	bool offered;      /* and has got that */
	uint64_t asked_at; /* paced; when it was on offer last; 0: never */
	uint64_t entry;    /* in the diary; 0: none. QUEUED with one: no broker has it */
	uint64_t begun_at; /* paced; when it was RUNNING first */
	uint64_t came_us,
		begun_us; /* of tf_clock_us: when it arrived, when it began; the latter 0: it has not */
	int64_t ran_us;   /* -1: it has not ended, or never began */
	struct tf_tally_row *tally; /* borrowed; of its class */
	bool running_owed;          /* RUNNING could not be sent yet: it goes before the final message */
	bool unsaid;                /* in `begun` */
	/* FINISHED: */
	bool failed;
	struct tf_buf final;  /* body */
	uint64_t finished_at; /* paced */
	bool retrying;        /* in `retry`; also while it is on offer */
	bool stranded;        /* nobody reads the queue of its final message, for now */
	uint64_t retry_at;    /* paced */
};
TAILQ_HEAD(tf_jobs, tf_job);

/* An engine that has asked what is served here, lately. */
struct tf_listener {
	TAILQ_ENTRY(tf_listener) link;
	char *reply_to; /* owned */
	bool tfhost;
	uint64_t asked_at; /* paced */
	bool owed;         /* to be told what is served now */
};

struct tf_held { /* a message that came while draining */
	TAILQ_ENTRY(tf_held) link;
	uint64_t tag;
};

struct tf_server {
	struct tf_loop *loop; /* borrowed */
	struct tf_server_events events;
	void *arg;
	char *topic;         /* owned */
	char *group;         /* tf_wbe_group; owned */
	struct tf_peer self; /* uuid, host, pid */
	uint64_t beat_ms;
	unsigned slots;
	unsigned prefetch;                        /* of the configuration; 0: by the slots */
	struct tf_limits limits;                  /* of tasks that have none of their own */
	const struct tf_concurrency *concurrency; /* borrowed from the config */
	size_t concurrency_count;
	struct tf_window window;

	struct tf_transport *transport; /* owned */
	struct tf_endpoint endpoint;
	struct tf_timer *timer; /* owned */
	uint64_t armed;         /* when the timer fires; UINT64_MAX: not armed */
	struct tf_pace pace;

	struct tf_map *classes; /* names served */
	struct tf_buf answer;   /* body of a NOTIFY answer; empty before the pool is ready */
	bool consuming;

	struct tf_jobs jobs, begun, retry;
	struct tf_runqueue queue; /* of the jobs that wait for a slot, or have one */
	struct tf_map *by_id;     /* id in hex -> job */
	struct tf_map *by_key;    /* the latest job of a key */
	uint64_t last_id;
	uint64_t stalled_since; /* paced; since then nothing that waits has found a slot */
	uint64_t patience;      /* how long that may be before what waits is given back */
	struct tf_patience {
		uint64_t ms, renewed; /* the same for what waits for its class alone; when it last did */
	} blocked;
	unsigned asked;   /* for so many unsettled requests of the topic */
	size_t live_tags; /* jobs with one */
	size_t stranded;  /* jobs that are */
	TAILQ_HEAD(, tf_engine_peer) engines;
	struct tf_map *engines_by_topic;
	TAILQ_HEAD(tf_audience, tf_listener) audience; /* who asked last comes last */
	struct tf_map *audience_by_topic;
	size_t audience_count;
	bool announcing;          /* some are owed that */
	struct tf_ledger *ledger; /* owned */
	struct tf_diary
		*diary;  /* owned; what engines that do not watch over us were promised; NULL: none is kept */
	char *diary_dir; /* owned */
	TAILQ_HEAD(, tf_inheritance) inheritances; /* diaries of dead workers that are being looked at */
	uint64_t look_at;                          /* of the clock; for such */
	uint64_t journal_ms; /* what runs longer for such an engine is acknowledged, and in the diary alone */
	struct tf_ledger *given; /* owned; requests given back to the queue lately, without a body */
	struct tf_ledger *gone;  /* owned; engines that were not there lately, by reply_to */
	struct tf_digest_key digest_key;

	uint64_t beat_at, answer_at; /* paced */
	bool draining;
	TAILQ_HEAD(, tf_held) held;
	uint64_t release_at;               /* paced; when to give back what is held */
	uint64_t drain_until;              /* of the clock; 0: no limit */
	uint64_t offline_since;            /* while draining without a connection */
	bool report_ready, report_stopped; /* calls to the owner that are due */
	bool stopped;
	struct tf_err ready_err, stopped_err; /* code 0: none */
	char **names;                         /* owned; NULL-terminated */

	struct tf_buf scratch;
	struct tf_throttle throttle;
	struct tf_tally *tally; /* owned */
	struct tf_server_stats stats;
	tf_server_witness *witness; /* NULL: nobody listens */
	void *witness_arg;
};

/* witness.c: what happens, for who listens. `more`: members of the event besides, or NULL. */
void tf_witness_tell(struct tf_server *s, const char *event, const char *more);
void tf_witness_job(struct tf_server *s, const struct tf_job *j, const char *event, const char *more);
/* The task has notified, and it has ended. */
void tf_witness_notified(
	struct tf_server *s, const struct tf_job *j, const char *type, const struct tf_value *details);
void tf_witness_finished(
	struct tf_server *s, const struct tf_job *j, bool failed, const struct tf_value *result);
/* Scripts with so many classes serve. */
void tf_witness_generation(struct tf_server *s, size_t classes);
/* An event that says why. */
void tf_witness_reason(struct tf_server *s, const char *event, const char *why);

static inline struct tf_log_ids tf_job_log_ids(const struct tf_job *j)
{
	return (struct tf_log_ids){
		.flow = j->engine->reply_to, .atom = j->task_name, .request = j->correlation_id};
}

/* server.c */
void tf_service_arm(struct tf_server *s, uint64_t ms);

/* jobs.c */
void tf_jobs_create(struct tf_server *s); /* the empty tables */
/* A new job that waits for nothing yet; takes `r` over. */
struct tf_job *tf_job_new(struct tf_server *s, const struct tf_message *m, const char *key,
	const struct tf_peer *peer, struct tf_request *r);
/* Forget it, its tag settled. */
void tf_job_delete(struct tf_server *s, struct tf_job *j, enum tf_settle how);
unsigned tf_jobs_waiting(const struct tf_server *s); /* how many have no slot yet */
struct tf_job *tf_job_find(const struct tf_server *s, uint64_t id);
/* Settle its tag; it stays, and its outcome is sent all the same. */
void tf_job_acknowledge(struct tf_server *s, struct tf_job *j);
/* The one that has this place in the queue. */
static inline struct tf_job *tf_job_at(struct tf_runplace *w)
{
	return w ? (struct tf_job *)(void *)((char *)w - offsetof(struct tf_job, place)) : NULL;
}
/* Other classes are served: how many of each may run. */
void tf_jobs_limit(struct tf_server *s);
/* What a job may have as arguments and result, of those that say something the first: its engine, its class, this worker. */
void tf_job_limits(const struct tf_server *s, const struct tf_request *r, struct tf_limits *out);
/* All that waits for a slot goes back to the queue. */
void tf_jobs_return(struct tf_server *s);
/* Wait for a slot. */
void tf_job_enqueue(struct tf_server *s, struct tf_job *j);
/* Its engine may have given it up by now, and has not been asked lately. */
bool tf_job_is_doubtful(const struct tf_server *s, const struct tf_job *j);
/* Hand waiting jobs to free slots. */
void tf_jobs_pump(struct tf_server *s);
/* The pool gives `j` back: it waits for a slot again. */
void tf_job_put_back(struct tf_server *s, struct tf_job *j);
/* Have the transport deliver as many requests as fit the window, and those that wait for their class beside them. */
void tf_jobs_ask(struct tf_server *s);
/* Take more or fewer requests from the queue, as fast as they end. */
void tf_jobs_look(struct tf_server *s);
/* What has waited too long for a slot goes back to the queue: another worker may be idle. */
void tf_jobs_release(struct tf_server *s); /* acknowledge what runs long and is supervised */
void tf_jobs_give_back(struct tf_server *s);
/* Adopt the delivery `tag` of the same request. */
void tf_job_join(struct tf_server *s, struct tf_job *j, uint64_t tag);
/* A QUEUED job will not be run: its outcome is this failure, which is taken over. */
void tf_job_refuse(struct tf_server *s, struct tf_job *j, struct tf_value *failure);
/* The outcome of `j`: composes the final message and sends it. Takes over `result`. */
void tf_job_finish(struct tf_server *s, struct tf_job *j, bool failed, struct tf_value *result);
/* Give back what is on offer to its engine. */
void tf_jobs_withdraw(struct tf_server *s);
/* A connection was lost: its tags are void, what waited is the broker's again. */
void tf_jobs_disconnected(struct tf_server *s);

/* audience.c: who wants to know at once when other classes are served */
void tf_audience_create(struct tf_server *s);
void tf_audience_destroy(struct tf_server *s);
/* That engine has probed, or sent a request. */
void tf_audience_heard(struct tf_server *s, const char *reply_to, bool tfhost);
/* All of them are to be told what is served now, who asked last first. */
void tf_audience_announce(struct tf_server *s);
/* Tell the next few. */
void tf_audience_step(struct tf_server *s);

/* intake.c */
void tf_service_message(void *arg, const struct tf_message *m);
/* Begin, or answer, what another worker had begun. False: we have it already, or it is no request. */
struct tf_diary_entry;
bool tf_service_inherit(struct tf_server *s, const struct tf_diary_entry *e);

/* inherit.c: outcomes promised to engines that do not watch over us, whatever becomes of us */
void tf_inherit_create(struct tf_server *s, const char *dir); /* NULL: nothing is kept */
void tf_inherit_destroy(struct tf_server *s);
/* Under this key a worker binds the queue of its topic. Caller frees. */
char *tf_inherit_key(const char *worker);
/* Look for workers that have died. */
void tf_inherit_look(struct tf_server *s);
/* The outcome of a publish; false: it was none of these. */
bool tf_inherit_published(struct tf_server *s, uint64_t id, enum tf_publish_status status);
/* `j` is about to be RUNNING. */
void tf_promise_begin(struct tf_server *s, struct tf_job *j);
/* Its delivery will be acknowledged; false: it must not be. */
bool tf_promise_acknowledge(struct tf_server *s, struct tf_job *j);
/* Its final message is composed. */
void tf_promise_outcome(struct tf_server *s, struct tf_job *j);
/* And delivered, or dropped. */
void tf_promise_kept(struct tf_server *s, struct tf_job *j);

/* reply.c */
void tf_reply_running(struct tf_server *s, struct tf_job *j);
/* `j` began: RUNNING, at once to Python, in the next turn to an engine of ours, to which the outcome says it too. */
void tf_reply_begun(struct tf_server *s, struct tf_job *j);
/* Say what tf_reply_begun put off. */
void tf_reply_all_begun(struct tf_server *s);
void tf_reply_event(struct tf_server *s, struct tf_job *j, const char *type, struct tf_value *details);
/* Does its engine, one of ours, still want it? The request waits for a moment, is dropped if that says no or is gone for
 * seconds, and is enqueued otherwise. */
void tf_reply_offer(struct tf_server *s, struct tf_job *j);
/* To a question (its header: `of`): the request waits for a slot here; `given`: it went back to the queue lately. */
void tf_reply_pending(struct tf_server *s, const struct tf_message *m, const struct tf_peer *of, bool given);
/* A final message that waits to be tried again is tried now. */
void tf_reply_hurry(struct tf_server *s, struct tf_job *j);
/* Send the final message of `j`, whose `final` is composed; on trouble it will be tried again. */
void tf_reply_final(struct tf_server *s, struct tf_job *j);
void tf_reply_published(void *arg, uint64_t id, enum tf_publish_status status, const struct tf_err *err);
/* Try again what is due. */
void tf_reply_retry(struct tf_server *s);
/* A NOTIFY answer to this topic, with our header for a tfhost engine; `echo`: of its probe, -1 if none. */
void tf_reply_notify(struct tf_server *s, const char *reply_to, bool tfhost, int64_t echo);
/* The same with what there is to do here, to who takes a census. */
void tf_reply_census(struct tf_server *s, const char *reply_to);
/* Beats, and unasked answers while the window is full. */
void tf_reply_beats(struct tf_server *s);
/* Milliseconds until something of this is due; at most `ms`. */
uint64_t tf_reply_next(const struct tf_server *s, uint64_t ms);

#endif
