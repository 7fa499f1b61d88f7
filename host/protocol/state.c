#include "protocol/state.h"

#include "base/err.h"

static const char *const names[] = {
#define X(name) #name,
	TF_REQUEST_STATES(X)
#undef X
};

/* One row a state: the set of states it may change to, as bits. */
#define TO(name) (1u << TF_REQUEST_##name)
static const unsigned moves[TF_REQUEST_STATE_COUNT] = {
	[TF_REQUEST_WAITING] = TO(PENDING) | TO(RUNNING) | TO(FAILURE),
	[TF_REQUEST_PENDING] = TO(WAITING) | TO(RUNNING) | TO(SUCCESS) | TO(FAILURE),
	[TF_REQUEST_RUNNING] = TO(WAITING) | TO(SUCCESS) | TO(FAILURE),
};
#undef TO

const char *tf_request_state_name(enum tf_request_state s)
{
	TF_ASSERT((unsigned)s < TF_REQUEST_STATE_COUNT);
	return names[s];
}

bool tf_request_may(enum tf_request_state from, enum tf_request_state to)
{
	TF_ASSERT((unsigned)from < TF_REQUEST_STATE_COUNT && (unsigned)to < TF_REQUEST_STATE_COUNT);
	return moves[from] & (1u << to);
}

bool tf_request_final(enum tf_request_state s)
{
	TF_ASSERT((unsigned)s < TF_REQUEST_STATE_COUNT);
	return moves[s] == 0;
}
