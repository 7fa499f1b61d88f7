/* What tfhost peers tell each other in the x-tfhost header (TF_PEER_HEADER), a compact JSON object.
 * Python peers never see a difference: bodies are unchanged (ARCHITECTURE 4).
 *
 *   REQUEST:   {"v":1,"round":R,"dispatch":D}        engine -> worker; with "once":1 nobody may run it
 *              again: the worker acknowledges when it starts, and no queue gives it to another one then;
 *              "time_ms", "warning_ms", "memory", "arguments", "result": limits of this run (limits.h);
 *              "priority": of those that wait at a worker the highest is next; absent: 0;
 *              "expires": Unix time in ms from which on it must not begin: its engine has given it up by then;
 *              "ask_from": Unix time in ms from which on the worker asks before it begins: a RESPONSE with the state PENDING, and
 *              a moment for the engine to say "drop". Long before the engine can have given it up, so the clocks need not agree
 *   NOTIFY:    {"v":1,"cancel":1,"round":R,"action":A}   engine -> worker that runs a request, named by the correlation id:
 *              end it; its outcome follows as any other
 *   NOTIFY:    {"v":1,"drop":1,"round":R,"action":A}     the same, for a request that has its outcome already: if it was not
 *              begun, forget it, and say nothing
 *   NOTIFY:    {"v":1,"ask":1,"round":R,"action":A}      engine -> all workers of a topic: who has that request (waits with it,
 *              runs it, has its outcome) says so: a RESPONSE with the state PENDING (and the question's "echo"), RUNNING, or the outcome;
 *              PENDING with "given":1 from who gave it back to the queue lately, and cannot know more
 *   RESPONSE:  {"v":1,"worker":W,"host":H,"pid":P,"round":R,"dispatch":D,"action":A,"generation":G,"hash":X}
 *              a final one with "ran_us": microseconds that the task ran
 *   NOTIFY:    {"v":1,"worker":W,"host":H,"pid":P}   answer, and beat  worker -> engine;  {"v":1} probe
 *              with "full":1 when no slot is free; "echo":N of a probe comes back in its answer; an answer to a census
 *              (wbe/census.h) also with "slots":S,"busy":B,"waiting":N (requests here that no slot has yet),
 *              "generation":G,"hash":X
 * W is the worker's uuid, which is also the topic of its private queue. Execute and revert of one
 * round share R, so a reply says which action A it answers. G and X say which code ran: the number of the worker's
 * scripts, raised with each reload, and a hash of what they say. Unknown members are ignored.
 */
#ifndef TF_PROTOCOL_PEER_H
#define TF_PROTOCOL_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/limits.h"

#define TF_PEER_HOST_MAX 64

struct tf_peer {
	bool present;                    /* the other side is tfhost */
	char worker[37];                 /* "" if absent */
	char host[TF_PEER_HOST_MAX + 1]; /* where the worker runs, for people; "" if absent */
	int64_t pid;                     /* -1 if absent */
	int64_t round;                   /* raised with each retry or reset of the atom; -1 if absent */
	int64_t dispatch;                /* raised with each sending of the same round; -1 if absent */
	int64_t full;                    /* 1: a worker without a free slot; -1 if absent */
	int64_t slots, busy, waiting;    /* of a worker, to a census; -1 if absent */
	int64_t once;                    /* 1: not to be run again; -1 if absent */
	int64_t expires;                 /* -1: never */
	int64_t ask_from;                /* -1: never */
	int64_t cancel;                  /* 1: end that request; -1 if absent */
	int64_t drop;                    /* 1: forget that request; -1 if absent */
	int64_t ask;                     /* 1: who has that request? -1 if absent */
	int64_t given;                   /* 1: it was given back to its queue lately; -1 if absent */
	int64_t echo;                    /* of a probe and its answer; -1 if absent */
	struct tf_limits limits;         /* of a request; zeroes: none */
	int priority;                    /* of a request */
	int action;                      /* enum tf_action that a reply answers; -1 if absent */
	int64_t generation;              /* of the worker's scripts; -1 if absent */
	char hash[17];                   /* of them, hex; "" if absent */
	int64_t ran_us;                  /* of an outcome; -1 if absent */
};

/* A header that says nothing yet but "tfhost". */
#define TF_PEER_INIT \
	((struct tf_peer){.present = true, \
		.pid = -1, \
		.round = -1, \
		.dispatch = -1, \
		.full = -1, \
		.slots = -1, \
		.busy = -1, \
		.waiting = -1, \
		.once = -1, \
		.cancel = -1, \
		.drop = -1, \
		.ask = -1, \
		.given = -1, \
		.echo = -1, \
		.expires = -1, \
		.ask_from = -1, \
		.action = -1, \
		.generation = -1, \
		.ran_us = -1})

/* Never fails: anything but a well-formed header is "not present". text may be NULL. */
struct tf_peer tf_peer_parse(const char *text);
/* Writes the header into buf (at least TF_PEER_MAX bytes), returns buf. */
#define TF_PEER_MAX 640
const char *tf_peer_write(const struct tf_peer *p, char buf[TF_PEER_MAX]);

/* Whether `text` is a uuid in the form of base/uuid.h: only such a name is used as a topic. */
bool tf_peer_is_uuid(const char *text);

#endif
