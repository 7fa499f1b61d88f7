/* Bodies of the three message types (PROTOCOL.md 3): to and from bytes, with the reference's
 * validation rules and ours.
 *
 * A parse function takes foreign bytes. On failure it returns TF_EFORMAT or TF_ELIMIT with a story
 * that names the path inside the body ("arguments: expected an object, found null"); nothing then
 * needs freeing. Departures from the reference: bodies that kill a Python peer (PROTOCOL.md 10) are
 * rejected here.
 */
#ifndef TF_PROTOCOL_MESSAGE_H
#define TF_PROTOCOL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

#define TF_TYPE_NOTIFY "NOTIFY"
#define TF_TYPE_REQUEST "REQUEST"
#define TF_TYPE_RESPONSE "RESPONSE"

enum tf_action { TF_EXECUTE, TF_REVERT };
const char *tf_action_name(enum tf_action a); /* "execute", "revert" */

/* REQUEST. All members owned. */
struct tf_request {
	char *task_cls;
	char *task_name;
	struct tf_value *task_version; /* string or array */
	enum tf_action action;
	struct tf_value *arguments; /* object, never NULL after a parse */
	bool has_result; /* revert: member present and not null */
	bool result_failed; /* ["failure", dict] */
	struct tf_value *result; /* value or failure dict; NULL unless has_result */
	struct tf_value *failures; /* object name -> failure dict; NULL if absent */
};
int tf_request_parse(const char *body, size_t len, struct tf_request *out, struct tf_err *err);
/* Appends the body. A revert always carries result and failures (PROTOCOL.md 3.3). */
void tf_request_write(const struct tf_request *r, struct tf_buf *out);
void tf_request_free(struct tf_request *r); /* frees members, zeroes */

/* RESPONSE */
#define TF_RESPONSE_STATES(X) X(WAITING) X(PENDING) X(RUNNING) X(SUCCESS) X(FAILURE) X(EVENT)
enum tf_response_state {
#define X(name) TF_RESPONSE_##name,
	TF_RESPONSE_STATES(X)
#undef X
};
const char *tf_response_state_name(enum tf_response_state s);

struct tf_response {
	enum tf_response_state state;
	struct tf_value *result; /* SUCCESS: value; FAILURE: failure dict (checked); else NULL */
	char *event_type; /* EVENT */
	struct tf_value *details; /* EVENT: object */
};
int tf_response_parse(const char *body, size_t len, struct tf_response *out, struct tf_err *err);
void tf_response_write(const struct tf_response *r, struct tf_buf *out);
void tf_response_free(struct tf_response *r);

/* NOTIFY. A probe is `{}`, an answer {"topic", "tasks"}. */
struct tf_notify {
	bool answer;
	char *topic; /* answer only */
	char **tasks; /* class names */
	size_t task_count;
};
int tf_notify_parse(const char *body, size_t len, struct tf_notify *out, struct tf_err *err);
void tf_notify_write(const struct tf_notify *n, struct tf_buf *out);
void tf_notify_free(struct tf_notify *n);

#endif
