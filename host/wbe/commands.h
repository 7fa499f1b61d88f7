/* What a worker's control socket understands (control/control.h). To add a command: a file command_NAME.c with a
 * `const struct tf_command tf_command_NAME`, and a line here. */
#ifndef TF_WBE_COMMANDS_H
#define TF_WBE_COMMANDS_H

#include "control/control.h"
#include "wbe/reloader.h"
#include "wbe/server.h"
#include "wbe/worker.h"

/* X(name): tf_command_<name> */
#define TF_WORKER_COMMANDS(X) \
	X(status) \
	X(health) \
	X(reload) \
	X(rollback)

#define X(name) extern const struct tf_command tf_command_##name;
TF_WORKER_COMMANDS(X)
#undef X

/* The subject of the commands, all borrowed. */
struct tf_worker_subject {
	const char *topic, *exchange;
	const char *place; /* URL without password */
	uint64_t begun_ms; /* on the loop's clock */
	struct tf_loop *loop;
	struct tf_server *server;
	const struct tf_reloader *reloader;
};

extern const struct tf_command *const tf_worker_commands[];

#endif
