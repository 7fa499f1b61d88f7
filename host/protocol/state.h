/* The request state machine of the engine side (PROTOCOL.md 5.2), as a table.
 * Lenient where the reference loses messages: PENDING -> SUCCESS is an implied RUNNING. Beyond it a request whose
 * worker is lost is given to another: RUNNING -> WAITING; and if the worker was not lost after all, WAITING -> RUNNING.
 * What was never sent cannot get there: the caller drops such replies. */
#ifndef TF_PROTOCOL_STATE_H
#define TF_PROTOCOL_STATE_H

#include <stdbool.h>

#define TF_REQUEST_STATES(X) X(WAITING) X(PENDING) X(RUNNING) X(SUCCESS) X(FAILURE)
enum tf_request_state {
#define X(name) TF_REQUEST_##name,
	TF_REQUEST_STATES(X)
#undef X
		TF_REQUEST_STATE_COUNT
};
const char *tf_request_state_name(enum tf_request_state s);
/* Whether from -> to is a change that is allowed. Same state: false (ignored by callers). */
bool tf_request_may(enum tf_request_state from, enum tf_request_state to);
bool tf_request_final(enum tf_request_state s);

#endif
