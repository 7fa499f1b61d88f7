/* The commands of `tfhost`: each takes its own argv (argv[0] is "tfhost NAME") and returns the exit code
 * of the process. */
#ifndef TF_CMD_COMMAND_H
#define TF_CMD_COMMAND_H

#include "base/version.h"

/* Exit codes that every command uses (sysexits.h for what is not the command's own result). */
enum tf_exit {
	TF_EXIT_OK = 0,
	TF_EXIT_ERROR = 1,
	TF_EXIT_GIVEN_BACK = 3, /* worker: the drain timeout was over before all that ran had finished */
	TF_EXIT_USAGE = 64,     /* EX_USAGE: wrong command line */
};

/* name, function, one line for --help; a NULL line hides the command */
#define TF_COMMANDS(X) \
	X("run", tf_cmd_run, "run a flow, show its progress and its results") \
	X("new", tf_cmd_new, "make a project: tasks, a flow, a spec, a configuration") \
	X("dev", tf_cmd_dev, "run a flow on workers of its own, again on each save; needs no broker") \
	X("lint", tf_cmd_lint, "find mistakes in a flow or in tasks without running them") \
	X("graph", tf_cmd_graph, "draw a flow: text, SVG, dot, mermaid") \
	X("flow", tf_cmd_flow, "list, show, resume, cancel or delete the flows that run keeps") \
	X("trace", tf_cmd_trace, "show when the atoms of a flow ran, and where") \
	X("worker", tf_cmd_worker, "serve tasks to engines over a broker or a directory") \
	X("doctor", tf_cmd_doctor, "find out what a worker would meet: broker or directory, scripts, clock") \
	X("conf", tf_cmd_conf, "show the settings of a worker or a run, and where each comes from") \
	X("workers", tf_cmd_workers, "ask over the broker who serves which tasks, and how busy they are") \
	X("status", tf_cmd_status, "show what the workers of this machine serve") \
	X("ps", tf_cmd_ps, "list what the workers of this machine run") \
	X("top", tf_cmd_top, "watch workers on the terminal") \
	X("events", tf_cmd_events, "follow what happens to workers and their requests") \
	X("health", tf_cmd_health, "tell by the exit code whether workers are alive and ready") \
	X("slots", tf_cmd_slots, "have a worker serve with more or fewer slots") \
	X("drain", tf_cmd_drain, "have a worker finish what it runs, and end") \
	X("shutdown", tf_cmd_shutdown, "have a worker end now, and give back what it runs") \
	X("reload", tf_cmd_reload, "have a worker load its scripts again") \
	X("rollback", tf_cmd_rollback, "have a worker return to the scripts before") \
	X("lua", tf_cmd_lua, "run a Lua script with the library at hand") \
	X("loader", tf_cmd_loader, NULL)

#define X(name, function, line) int function(int argc, char **argv);
TF_COMMANDS(X)
#undef X

#endif
