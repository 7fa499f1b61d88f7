/* `tfhost run FLOW`: options to one JSON object, which lua/tfhost/run.lua works on. */
#include <argp.h>

#include "cmd/command.h"
#include "cmd/command_line.h"
#include "cmd/flow_args.h"
#include "cmd/lua_command.h"
#include "cmd/rerun.h"
#include "cmd/transport_args.h"

enum {
	KEY_JSON = 256,
	KEY_PLAIN,
	KEY_TOPICS,
	KEY_TIMEOUT,
	KEY_WATCH,
	KEY_BACKEND,
	KEY_DURABILITY,
};

static const struct argp_option run_options[] = {
	{"engine", 'e', "NAME", 0,
		"serial (default), parallel, worker-based, or a URI as parallel://?max_workers=3", 0},
	{"topics", KEY_TOPICS, "A,B", 0, "Topics of workers (\"default\")", 0},
	{"option", 'o', "NAME=VALUE", 0, "Any other option of the engine, as max_workers=4", 0},
	{"timeout", KEY_TIMEOUT, "SECONDS", 0,
		"How long a request may wait for a worker (60; negative: for ever)", 0},
	{"backend", KEY_BACKEND, "FILE", 0,
		"Where the flow is kept: an SQLite file, or none (also: TFHOST_BACKEND; default: "
		"tfhost/flows.db in the "
		"user's state directory)",
		0},
	{"durability", KEY_DURABILITY, "HOW", 0,
		"normal (default: survives a kill; a power cut may cost the last steps), full, off", 0},
	{"json", KEY_JSON, 0, 0, "One JSON object a line for each event, the results in the last", 0},
	{"plain", KEY_PLAIN, 0, 0, "Lines instead of a tree on a terminal", 0},
	{"watch", KEY_WATCH, 0, 0,
		"Run again whenever the flow's scripts change, and show what came out differently; keeps no "
		"flow "
		"unless --backend says where",
		0},
	{0},
};

struct run_args {
	struct tf_flow_args flow;
	struct tf_transport_args transport;
	struct tf_value *engine; /* object or NULL, owned */
	const char *backend, *durability;
	bool json, plain, watch;
};

static error_t run_parse(int key, char *value, struct argp_state *state)
{
	struct run_args *args = state->input;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &args->flow;
		state->child_inputs[1] = &args->transport;
		return 0;
	case 'e':
		tf_args_set_text(&args->engine, "engine", value);
		return 0;
	case KEY_TOPICS:
		tf_args_set_text(&args->engine, "topics", value);
		return 0;
	case KEY_TIMEOUT:
		tf_args_set_text(&args->engine, "transition_timeout", value);
		return 0;
	case 'o':
		tf_args_set_pair(&args->engine, "--option", value, state);
		return 0;
	case KEY_BACKEND:
		args->backend = value;
		return 0;
	case KEY_DURABILITY:
		args->durability = value;
		return 0;
	case KEY_JSON:
		args->json = true;
		return 0;
	case KEY_PLAIN:
		args->plain = true;
		return 0;
	case KEY_WATCH:
		args->watch = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child run_children[] = {
	{&tf_flow_argp, 0, NULL, 0}, {&tf_transport_argp, 0, "Transport (worker-based engine):", 1}, {0}};

static const struct argp run_argp = {
	.options = run_options,
	.parser = run_parse,
	.args_doc = "FLOW",
	.doc = "Run a flow: FLOW is a Lua file or a module, with :NAME after it for one of several flows. It "
	       "returns a "
	       "flow or a function that builds one."
	       "\vExit codes: 0 SUCCESS, 2 the flow cannot be used, 3 REVERTED, 4 FAILURE, 5 no worker was "
	       "ever seen, "
	       "6 SUSPENDED, 64 wrong command line. Ctrl-C cancels: what runs on tfhost workers "
	       "and in processes of a parallel engine is ended, then the flow is reverted. TERM suspends: "
	       "what "
	       "runs is finished. Both end with 128 + signal; a second signal ends at once.",
	.children = run_children,
};

/* { reference, engine_options, store, file_store, json, plain } */
static struct tf_value *run_options_value(struct run_args *args)
{
	struct tf_value *all = NULL;
	tf_args_set_text(&args->engine, "url", args->transport.url);
	tf_args_set_text(&args->engine, "exchange", args->transport.exchange);
	tf_args_set_text(&args->engine, "transport", args->transport.transport);
	if (args->transport.options)
		tf_args_set_member(
			&args->engine, "transport_options", tf_value_text(args->transport.options));
	tf_flow_args_put(&args->flow, &all);
	tf_args_set_text(&all, "backend", args->backend || !args->watch ? args->backend : "none");
	tf_args_set_text(&all, "durability", args->durability);
	tf_args_set_member(&all, "engine_options", args->engine ? tf_value_text(args->engine) : "{}");
	tf_args_set_flag(&all, "json", args->json);
	tf_args_set_flag(&all, "plain", args->plain);
	return all;
}

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
	struct run_args args = {0};
	tf_command_line(&run_argp, argc, argv, 0, &args);
	struct tf_value *options = run_options_value(&args);
	struct run_job job = {.program = argv[0], .options = options};
	int code = args.watch ? tf_rerun(run_once, &job, argv[0], false) : run_once(&job, -1);
	tf_value_unref(options);
	tf_value_unref(args.transport.options);
	tf_value_unref(args.engine);
	tf_flow_args_free(&args.flow);
	return code;
}
