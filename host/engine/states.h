/* States, intentions and allowed transitions of flows and atoms (ENGINE.md 8). */
#ifndef TF_ENGINE_STATES_H
#define TF_ENGINE_STATES_H

#include <stdbool.h>

#define TF_STATES(X) \
	X(PENDING) \
	X(RUNNING) \
	X(SUCCESS) \
	X(FAILURE) \
	X(REVERTING) \
	X(REVERTED) \
	X(REVERT_FAILURE) \
	X(IGNORE) \
	X(RETRYING) \
	X(SUSPENDING) \
	X(SUSPENDED) \
	X(RESUMING)
enum tf_state {
#define X(name) TF_##name,
	TF_STATES(X)
#undef X
		TF_STATE_COUNT
};
#define TF_INTENTIONS(X) X(EXECUTE) X(REVERT) X(RETRY) X(IGNORE)
enum tf_intention {
#define X(name) TF_INTENT_##name,
	TF_INTENTIONS(X)
#undef X
};
const char *tf_state_name(enum tf_state s);
const char *tf_intention_name(enum tf_intention i);
/* By name; false: there is none of that name. */
bool tf_state_find(const char *name, enum tf_state *out);
bool tf_intention_find(const char *name, enum tf_intention *out);
/* What may be scheduled; bulk resets write states without asking. */
bool tf_task_may(enum tf_state from, enum tf_state to);
bool tf_retry_may(enum tf_state from, enum tf_state to);
/* Flow: 1 allowed, 0 ignored without notification, -1 invalid (TF_ESTATE). */
int tf_flow_may(enum tf_state from, enum tf_state to);

#endif
