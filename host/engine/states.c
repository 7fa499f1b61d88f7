#include "engine/states.h"

#include <string.h>

#include "base/err.h"

static const char *const state_names[] = {
#define X(name) #name,
	TF_STATES(X)
#undef X
};
static const char *const intention_names[] = {
#define X(name) #name,
	TF_INTENTIONS(X)
#undef X
};

#define BIT(state) (1u << TF_##state)

static const unsigned task_table[TF_STATE_COUNT] = {
	[TF_PENDING] = BIT(RUNNING) | BIT(IGNORE),
	[TF_RUNNING] = BIT(SUCCESS) | BIT(FAILURE),
	[TF_SUCCESS] = BIT(REVERTING),
	[TF_FAILURE] = BIT(REVERTING),
	[TF_REVERTING] = BIT(REVERTED) | BIT(REVERT_FAILURE),
	[TF_REVERTED] = BIT(PENDING),
	[TF_IGNORE] = BIT(PENDING),
};
/* A retry controller may do this besides. */
static const unsigned retry_table[TF_STATE_COUNT] = {
	[TF_SUCCESS] = BIT(RETRYING),
	[TF_RETRYING] = BIT(RUNNING),
};
static const unsigned flow_table[TF_STATE_COUNT] = {
	[TF_PENDING] = BIT(RUNNING),
	[TF_RUNNING] = BIT(SUCCESS) | BIT(FAILURE) | BIT(REVERTED) | BIT(SUSPENDING) | BIT(RESUMING),
	[TF_SUCCESS] = BIT(RUNNING) | BIT(PENDING),
	[TF_FAILURE] = BIT(RUNNING),
	[TF_REVERTED] = BIT(PENDING),
	[TF_SUSPENDING] = BIT(SUSPENDED) | BIT(SUCCESS) | BIT(FAILURE) | BIT(REVERTED) | BIT(RESUMING),
	[TF_SUSPENDED] = BIT(RUNNING),
	[TF_RESUMING] = BIT(SUSPENDED),
};
static const unsigned flow_ignored_from =
	BIT(PENDING) | BIT(FAILURE) | BIT(SUCCESS) | BIT(SUSPENDED) | BIT(REVERTED);
static const unsigned flow_ignored_to = BIT(SUSPENDING) | BIT(SUSPENDED) | BIT(RESUMING);

const char *tf_state_name(enum tf_state s)
{
	TF_ASSERT((unsigned)s < TF_STATE_COUNT);
	return state_names[s];
}

const char *tf_intention_name(enum tf_intention i)
{
	TF_ASSERT((unsigned)i < sizeof intention_names / sizeof *intention_names);
	return intention_names[i];
}

bool tf_state_find(const char *name, enum tf_state *out)
{
	for (unsigned i = 0; i < TF_STATE_COUNT; i++) {
		if (strcmp(state_names[i], name) != 0)
			continue;
		*out = (enum tf_state)i;
		return true;
	}
	return false;
}

bool tf_intention_find(const char *name, enum tf_intention *out)
{
	for (unsigned i = 0; i < sizeof intention_names / sizeof *intention_names; i++) {
		if (strcmp(intention_names[i], name) != 0)
			continue;
		*out = (enum tf_intention)i;
		return true;
	}
	return false;
}

bool tf_task_may(enum tf_state from, enum tf_state to)
{
	return task_table[from] >> to & 1;
}

bool tf_retry_may(enum tf_state from, enum tf_state to)
{
	return (task_table[from] | retry_table[from]) >> to & 1;
}

int tf_flow_may(enum tf_state from, enum tf_state to)
{
	if (from == to)
		return 0;
	if (flow_table[from] >> to & 1)
		return 1;
	if ((flow_ignored_from >> from & 1) && (flow_ignored_to >> to & 1))
		return 0;
	return -1;
}
