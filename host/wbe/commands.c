#include "wbe/commands.h"

#include <stddef.h>

const struct tf_command *const tf_worker_commands[] = {
#define X(name) &tf_command_##name,
	TF_WORKER_COMMANDS(X)
#undef X
		NULL,
};
