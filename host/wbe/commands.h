/* What a worker's control socket understands (control/control.h). To add a command: a file command_NAME.c with a
 * `const struct tf_command tf_command_NAME`, and a line here. */
#ifndef TF_WBE_COMMANDS_H
#define TF_WBE_COMMANDS_H

#include <sys/queue.h>

#include "control/control.h"
#include "wbe/reloader.h"
#include "wbe/server.h"
#include "wbe/worker.h"

/* X(name): tf_command_<name> */
#define TF_WORKER_COMMANDS(X) \
	X(status) \
	X(health) \
	X(reload) \
	X(rollback) \
	X(slots) \
	X(drain) \
	X(events)

#define X(name) extern const struct tf_command tf_command_##name;
TF_WORKER_COMMANDS(X)
#undef X

struct tf_follower; /* command_events.c */
enum { TF_WORKER_ENDING = 64 };

/* The subject of the commands, all borrowed. */
struct tf_worker_subject {
	const char *topic, *exchange;
	const char *place; /* URL without password */
	uint64_t begun_ms; /* on the loop's clock */
	struct tf_loop *loop;
	struct tf_server *server; /* NULL: it is gone already */
	const struct tf_reloader *reloader;
	const char *control_path;
	LIST_HEAD(, tf_follower) followers;
	/* Begin to end, as TERM does; seconds: NAN for the configured ones. */
	void (*drain)(void *arg, double seconds);
	void *drain_arg;
	struct tf_control_call
		*ending[TF_WORKER_ENDING]; /* wait until all is done, for tf_command_answer_drained */
	size_t ending_count;
};
/* It has ended, or ends: what is left to say of that. */
void tf_command_answer_drained(const struct tf_worker_subject *w, struct tf_control_call *call);

extern const struct tf_command *const tf_worker_commands[];

#endif
