/* Bodies of the three message types (PROTOCOL.md 3): to and from bytes, with the reference's
 * validation rules and ours.
 *
 * A parse function takes foreign bytes. On failure it returns TF_EFORMAT or TF_ELIMIT with a story
 * that names the path inside the body ("arguments: expected an object, found null"); nothing then
 * needs freeing. Departures from the reference: bodies that kill a Python peer (PROTOCOL.md 10) are
 * rejected here. A failure that a Python engine would take in a RESPONSE, but could not send on in a
 * revert (a root type missing, no traceback), is normalised.
 *
 * Members of a REQUEST that its failures' reconstruction refuses (PROTOCOL.md 4, step two) are not
 * rejected: the worker answers such a request with a failure (tf_failure_reconstruct_error).
 */
#ifndef TF_PROTOCOL_MESSAGE_H
#define TF_PROTOCOL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"
#include "protocol/limits.h"

/* Limits of what is taken from a peer. A body may nest as deep as a value and the wrapping around it. */
#define TF_BODY_MAX_DEPTH (TF_JSON_MAX_DEPTH + 8)
#define TF_NAME_MAX 255 /* bytes of a topic: it travels as an AMQP short string */
#define TF_NOTIFY_MAX_TASKS 100000

#define TF_TYPE_NOTIFY "NOTIFY"
#define TF_TYPE_REQUEST "REQUEST"
#define TF_TYPE_RESPONSE "RESPONSE"

/* Whether a body of this content type is one of ours; NULL (no such property) is not, as with kombu
 * (PROTOCOL.md 2.4, 12.3). Parameters are ignored. */
bool tf_message_is_json(const char *content_type);

enum tf_action { TF_EXECUTE, TF_REVERT };
const char *tf_action_name(enum tf_action a); /* "execute", "revert" */

/* REQUEST: open object. All members owned. */
struct tf_request {
	char *task_cls;
	char *task_name;
	struct tf_value *task_version; /* string or array */
	enum tf_action action;
	struct tf_value *arguments; /* object, never NULL after a parse */
	bool has_result;            /* revert: member present and not null */
	bool result_failed;         /* ["failure", dict] */
	struct tf_value *result;    /* value or failure dict; NULL unless has_result */
	struct tf_value *failures;  /* object name -> failure dict; NULL if absent */
	struct tf_limits limits;    /* not in the body: what the engine says beside it */
	const char *flow, *uuid;    /* nor these: for logs, borrowed, NULL: not known; no copy has them */
};
int tf_request_parse(const char *body, size_t len, struct tf_request *out, struct tf_err *err);
/* Appends the body. A revert always carries result and failures (PROTOCOL.md 3.3). */
void tf_request_write(const struct tf_request *r, struct tf_buf *out);
void tf_request_free(struct tf_request *r); /* frees members, zeroes */
/* Why arguments of more than `limit` bytes (0: any) are not run, as a failure; NULL: they are not too large, or it is a revert,
 * which would be worse not made than large. */
struct tf_value *tf_request_too_large(const struct tf_request *r, uint64_t limit);
/* Deep enough for a second owner: strings copied, values referenced. */
void tf_request_copy(const struct tf_request *r, struct tf_request *out);

/* RESPONSE: closed object. The shape of data must be the one that the state needs, or for
 * WAITING, PENDING and RUNNING any of the three. */
#define TF_RESPONSE_STATES(X) X(WAITING) X(PENDING) X(RUNNING) X(SUCCESS) X(FAILURE) X(EVENT)
enum tf_response_state {
#define X(name) TF_RESPONSE_##name,
	TF_RESPONSE_STATES(X)
#undef X
};
const char *tf_response_state_name(enum tf_response_state s);

struct tf_response {
	enum tf_response_state state;
	struct tf_value *result;  /* SUCCESS: value; FAILURE: failure dict (checked); else NULL */
	char *event_type;         /* EVENT */
	struct tf_value *details; /* EVENT: object */
};
/* After a failure out->state alone is of use: the state of a JSON object whose data is unusable, else
 * WAITING. So an engine learns that a task has ended whose outcome it cannot read. */
int tf_response_parse(const char *body, size_t len, struct tf_response *out, struct tf_err *err);
void tf_response_write(const struct tf_response *r, struct tf_buf *out);
void tf_response_free(struct tf_response *r);

/* NOTIFY: closed object. A probe is `{}`, an answer {"topic", "tasks"}. */
struct tf_notify {
	bool answer;
	char *topic;  /* answer only */
	char **tasks; /* class names */
	size_t task_count;
};
int tf_notify_parse(const char *body, size_t len, struct tf_notify *out, struct tf_err *err);
void tf_notify_write(const struct tf_notify *n, struct tf_buf *out);
void tf_notify_free(struct tf_notify *n);

/* Whether a value may be sent: kombu 5.3 and later takes any object with exactly the keys __type__
 * and __value__ for one of its own and dies of a type it does not know (PROTOCOL.md 10).
 * TF_EFORMAT names the path. */
int tf_message_check_value(struct tf_json value, struct tf_err *err);

#endif
