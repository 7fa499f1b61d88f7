/* The engine's side (wbe/executor.h) over a scripted transport and a clock that the test steps. */
#ifndef TF_TEST_EXECUTOR_RIG_H
#define TF_TEST_EXECUTOR_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock_fake.h"
#include "fake_wire.h"
#include "wbe/executor.h"
#include "wbe_names.h"

/* All zero is a good start; the test fills in what it wants otherwise, then opens it. */
struct executor_rig {
	struct tf_loop *loop;
	struct tf_clock_fake clock;
	struct tf_executor *x;
	struct fake_wire *wire;
	struct tf_wbe_config config; /* topics: alpha and beta unless told; the reply topic is FLOW */
	size_t done, failed, events, withdrawn;
	struct tf_completion last; /* result owned */
	char *last_event;
	bool inside;             /* no callback may come */
	uint64_t queue_ms;       /* of what is submitted */
	int priority;            /* likewise */
	const char *performer;   /* likewise: NULL unless the request may have been sent in an earlier life */
	char performer_seen[64]; /* who said last that it runs what was submitted */
	struct tf_limits limits;
	bool stop_in_done;
	bool hold_receipts;    /* the outcomes are not safe yet */
	const char *order[64]; /* "done" and "event", as they came */
	size_t order_count;
};

/* Made and started; the transport is not up yet. */
void executor_open(struct executor_rig *r);
/* Start it again, after a stop. */
void executor_start(struct executor_rig *r);
void executor_up(struct executor_rig *r);
/* Opened and up, and a worker of topic alpha offers m.T: one of ours by this name, of Python if NULL. */
void executor_ready(struct executor_rig *r, const char *worker);
void executor_close(struct executor_rig *r);
/* The engine is killed, another one takes its place and name. It knows what was told until then; nothing is submitted. */
void executor_resume(struct executor_rig *r);

/* An hour is a matter of milliseconds: steps as the timer would make them. */
void executor_pass(struct executor_rig *r, uint64_t ms);

/* Task "add" of class `cls`. Returns what submit() does. */
int executor_submit_as(
	struct executor_rig *r, const char *uuid, const char *cls, enum tf_action action, int64_t round);
void executor_submit(struct executor_rig *r, const char *uuid, const char *cls);

/* A message from outside; `peer`: the header of tfhost, or NULL. */
void executor_deliver(
	struct executor_rig *r, const char *type, const char *id, const char *peer, const char *body);
/* A worker of `topic` says what it serves. */
void executor_answer(struct executor_rig *r, const char *topic, const char *cls, const char *peer);
void executor_respond(
	struct executor_rig *r, const char *id, const char *peer, const char *state, const char *data);
/* Header of a reply by `worker` for this round; good until the next call. */
const char *executor_by(const char *worker, int64_t round);

/* The oldest message, which must be of this type and to this topic. To be freed by fake_sent_free(). */
struct fake_sent *executor_sent(struct executor_rig *r, const char *type, const char *topic);
/* The next REQUEST, whatever was sent before it; NULL if none. */
struct fake_sent *executor_next_request(struct executor_rig *r);

/* The last outcome was a failure of this type, with this in its summary. */
void assert_executor_failed(struct executor_rig *r, const char *type, const char *text);
struct tf_wbe_stats executor_stats(struct executor_rig *r);

#endif
