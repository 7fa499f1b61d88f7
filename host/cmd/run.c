/* `tfhost run FLOW`: options to one JSON object, which lua/tfhost/run.lua works on. */
#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/lua_command.h"
#include "cmd/rerun.h"
#include "cmd/run_args.h"

/* What a run needs; the state is made in the process that runs. */
struct run_job {
	const char *program;
	const struct tf_value *options;
};

static int run_once(void *arg, int sources)
{
	const struct run_job *job = arg;
	return tf_lua_command(job->program, "tfhost.run", job->options, sources);
}

int tf_cmd_run(int argc, char **argv)
{
	struct tf_run_args args = {0};
	tf_command_line(&tf_run_argp, argc, argv, 0, &args);
	struct tf_value *options = tf_run_args_value(&args);
	struct run_job job = {.program = argv[0], .options = options};
	int code = args.watch ? tf_rerun(run_once, &job, argv[0], false) : run_once(&job, -1);
	tf_value_unref(options);
	tf_run_args_free(&args);
	return code;
}
