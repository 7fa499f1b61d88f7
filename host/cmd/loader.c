/* `tfhost loader --worker UUID [--path PATH] [--limits TIME_MS,WARNING_MS,BYTES] [--dir DIR]... REFERENCE...`: what a worker
 * runs to load its scripts and fork slots (pool.h). Not for people: it speaks on the descriptor that the supervisor left at
 * TF_LOADER_FD. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/command.h"
#include "pool/pool.h"
#include "script/state.h"
#include "script/task_runner.h"

int tf_cmd_loader(int argc, char **argv)
{
	struct lua_State *L = NULL;
	struct tf_err err;
	if (argc < 2 || fcntl(TF_LOADER_FD, F_GETFD) < 0) {
		fprintf(stderr, "%s: this command is started by `tfhost worker`, not by hand\n", argv[0]);
		return TF_EXIT_USAGE;
	}
	fcntl(TF_LOADER_FD, F_SETFD, FD_CLOEXEC); /* programs that scripts start must not hold it */
	if (tf_state_new(NULL, &L, &err) < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], err.message);
		return TF_EXIT_ERROR;
	}
	int first = 1;
	if (first + 1 < argc && !strcmp(argv[first], "--worker")) {
		tf_log_set_ids(&(struct tf_log_ids){.worker = argv[first + 1]});
		first += 2;
	}
	if (first + 1 < argc && !strcmp(argv[first], "--path")) {
		tf_state_set_path(L, argv[first + 1]);
		first += 2;
	}
	struct tf_limits limits = {0};
	if (first + 1 < argc && !strcmp(argv[first], "--limits")) {
		sscanf(argv[first + 1], "%" SCNu64 ",%" SCNu64 ",%" SCNu64, &limits.time_ms,
			&limits.warning_ms, &limits.memory);
		first += 2;
	}
	for (; first + 1 < argc && !strcmp(argv[first], "--dir"); first += 2)
		tf_state_add_dir(L, argv[first + 1]);
	struct tf_task_runner *runner = tf_task_runner_new(L, argv + first, (size_t)(argc - first));
	tf_task_runner_set_defaults(runner, &limits);
	int code = tf_loader_main(TF_LOADER_FD, tf_task_runner_get(runner));
	tf_task_runner_delete(runner);
	tf_state_delete(L);
	return code;
}
